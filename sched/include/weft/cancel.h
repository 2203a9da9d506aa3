/* weft/cancel.h -- asking a fiber to stop, and how it notices.
 *
 *   weft_interrupt(f, "shutting down");          // and wait until it has ended, finalizers included
 *
 *   // in the fiber: every call that may suspend notices
 *   weft_exit e = weft_sleep(weft_s(1));
 *   if (!weft_ok(e)) return cleanup(), 0;
 *
 * Cancellation is a level, not an event: once a fiber (or a scope, weft/scope.h) is asked to stop, every suspending call
 * below it returns {INTERRUPT, WEFT_E_INTERRUPTED} at once, and goes on doing so, until the fiber ends or the scope is
 * left.  Nothing is unwound behind the program's back: a fiber ends by returning.  One that noticed and returned has
 * been interrupted; one that returned without noticing has completed.
 *
 * A mask puts it off: between begin and end nothing is noticed, afterwards all of it.  A shield (weft/scope.h) does
 * the same for a limited time.
 *
 * Source: Trio's level cancellation and checkpoints; ZIO's uninterruptibleMask.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_CANCEL_H
#define WEFT_CANCEL_H

#include <weft/fiber.h>
#include <weft/time.h>

WEFT_BEGIN_C

/* ---- what inlined code knows of the tree of scopes ---------------------------------------------------- */

enum {
    WEFT__FAIL_FAST, /* policies: a failing child cancels the others; */
    WEFT__SUPERVISE, /* concerns nobody else; */
    WEFT__COLLECT,   /* is only recorded */
};
enum {
    WEFT__BASE,    /* the outermost node of a task, in its control block */
    WEFT__SCOPE,   /* a scope: fibers may belong to it */
    WEFT__MASK,    /* what is outside does not reach in */
    WEFT__RESTORE, /* inside a mask: reached as if the mask were not there */
    WEFT__PROMPT,  /* something is installed here (weft/evidence.h); fibers belong to the scope around it */
};

/* What can be cancelled as a whole.  Its fields are the library's (sched/cancel.h). */
typedef struct weft__node {
    struct weft__node *outer;
    struct weft__fiber *owner;
    WEFT__ATOMIC(uint64_t) state; /* 0: an ordinary scope to which nothing happened */
    uint16_t depth;               /* nodes of the same task further out */
    uint8_t kind, shield, policy, unused[3];
    WEFT__ATOMIC(uint32_t) lock;  /* all below */
    uint32_t live, regular;       /* fibers that have not ended; of these, no daemons */
    struct weft_fiber *fibers;    /* those that have not ended */
    weft_task *ended;             /* those that have, until their handles are dropped */
    WEFT__ATOMIC(uintptr_t) inner; /* weft__node *: nodes inside that have something to be reached */
    const weft_cause *why;        /* it is cancelled */
    const char *name;             /* for dumps; NULL */
    void *closing;                /* the owner, while it waits for its fibers */
    weft_exit failure;            /* of its children */
    struct weft__node *next, *prev; /* in outer->inner, under that one's lock */
} weft__node;

/* A scope's deadline, directly behind its region.  Written at entry without looking at a clock: the first cancellation
 * point inside makes a time of it and arms the timer. */
typedef struct weft__deadline {
    weft_time at;     /* once armed, or if given absolute; else the duration */
    uint64_t entered; /* ticks of the processor at entry; 0: `at` is absolute */
    uint64_t armed;
    weft_duration grace;
    uintptr_t timer[6], kind;
} weft__deadline;

/* A node in a frame.  The mark lies on the list of children, so that each child is known to be inside or outside. */
typedef struct weft__region {
    weft_task mark;
    weft__node node;
} weft__region;

WEFT_API extern const weft_site weft__region_site;

/* Two words of a node.  A memset of them all becomes a string instruction, which takes longer than the rest of entering. */
typedef long long weft__words __attribute__((vector_size(16), aligned(8), may_alias));

/* Enter a node.  `state` and `kind` as above.  [on a fiber] */
static inline __attribute__((always_inline)) void weft__region_enter(weft__region *r, struct weft__fiber *f,
                                                                     unsigned kind) {
    weft__node *outer = f->scope;
    r->mark.site = (uintptr_t)&weft__region_site;
    r->mark.older = f->head;
    f->head->newer = &r->mark;
    f->head = &r->mark;
    r->node.outer = outer;
    r->node.owner = f;
    weft__words *rest = (weft__words *)(void *)&r->node.state;
    const weft__words zero = {0, 0};
    WEFT__STATIC_ASSERT(sizeof r->node - offsetof(weft__node, state) == 7 * sizeof zero, "all of it");
    rest[0] = rest[1] = rest[2] = rest[3] = rest[4] = rest[5] = rest[6] = zero;
    r->node.depth = (uint16_t)(outer->depth + 1);
    r->node.kind = (uint8_t)kind;
    f->scope = &r->node;
}

enum { WEFT__TIMED = 32 }; /* in state: a deadline follows the region */

/* Did nothing happen that leaving would have to undo? */
static inline __attribute__((always_inline)) bool weft__region_untouched(const weft__region *r,
                                                                         const struct weft__fiber *f) {
    uint64_t state = weft__look(&r->node.state); /* not 0: the slow way looks again */
    return (state | (r->mark.site & WEFT__SHARED)) == 0 && f->head == &r->mark;
}

static inline __attribute__((always_inline)) void weft__region_leave(weft__region *r, struct weft__fiber *f) {
    f->head = r->mark.older;
    f->scope = r->node.outer;
}

/* ---- interrupt ---------------------------------------------------------------------------------------- */

/* weft_exit weft_interrupt(name_fiber f, const char *reason)
 * Ask a fiber to stop and wait until it has ended.  Returns ok when it has; the fiber's own exit is what await says.
 * A fiber that has not started never will.  One that has ended stays as it is.  Of itself a fiber cannot wait for the
 * end, nor can two that are interrupting each other while masked: then it is only asked, and the return is
 * {FAIL, WEFT_E_INSIDE}.  `reason` is copied; NULL for none.
 * Errors (tag FAIL): WEFT_E_STALE; INTERRUPT when the caller itself is interrupted while it waits (f is asked all the
 * same).  [any thread] [suspends: cancellation point; blocks a plain thread] */
#define weft_interrupt(f, reason) weft__interrupt((f).handle, (reason), __FILE__, __LINE__, true)

/* The same without waiting.  [any thread] [never suspends] */
#define weft_interrupt_async(f, reason) weft__interrupt((f).handle, (reason), __FILE__, __LINE__, false)

/* First ask softly: weft_stopping() turns true in f, and nothing else happens; after `grace` it is interrupted as above.
 * Returns at once.  Errors: WEFT_E_STALE, WEFT_E_INVALID (negative grace), WEFT_E_NOMEM.
 * [any thread] [never suspends] */
#define weft_interrupt_grace(f, reason, grace) \
    weft__interrupt_grace((f).handle, (reason), __FILE__, __LINE__, (grace))

/* Is the caller asked to stop?  ok, or {INTERRUPT, WEFT_E_INTERRUPTED, why}.  A loop that computes calls it now and then.
 * ok on a plain thread.  [any thread] [never suspends, but a cancellation point] */
WEFT_API weft_exit weft_checkpoint(void);

/* Will the caller have to stop soon?  True from the soft request on, and once it is interrupted, masked or not.
 * [any thread] [never suspends] */
WEFT_API bool weft_stopping(void);

/* ---- masks -------------------------------------------------------------------------------------------- */

/* In the caller's frame, between begin and end. */
typedef struct weft_mask {
    weft__region region;
    uint32_t floor;
} weft_mask;

/* Nothing is noticed until weft_mask_end(m).  Masks nest, with scopes and with each other, like brackets; fibers spawned
 * meanwhile belong to the enclosing scope, and are not masked.
 * [on a fiber; a no-op on a plain thread] [never suspends] */
WEFT_API void weft_mask_begin(weft_mask *m);
/* Inside the mask `of`: notice again what would be noticed without it, until weft_mask_end(m).
 * WEFT_E_UNBALANCED: `of` is not an open mask of this fiber; nothing is changed, and no end is due. */
WEFT_API weft_err weft_mask_restore(weft_mask *m, weft_mask *of);
/* WEFT_E_UNBALANCED: m is not what was begun last; nothing is changed. */
WEFT_API weft_err weft_mask_end(weft_mask *m);

/* ---- below: what the macros use ----------------------------------------------------------------------- */

WEFT_API weft_exit weft__interrupt(weft_handle h, const char *reason, const char *file, int line, bool wait);
WEFT_API weft_err weft__interrupt_grace(weft_handle h, const char *reason, const char *file, int line,
                                        weft_duration grace);

WEFT_END_C
#endif
