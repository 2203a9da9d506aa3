/* effect/eff.h -- effect values inside: nodes, arenas, runs, and what others may ask of them.
 *
 *   node        a step, immutable (weft/eff.h).  A literal, or a slot of an arena's block.
 *   reference   what effects are passed as, and what nodes name each other by.  Of a literal its address; of a slot the
 *               word of weft/eff_ops.h, which the slot itself holds as `self` from the moment it is taken to the moment
 *               its arena is closed, and never again: the generation counts up with each taking, and a block with a slot
 *               whose generations have run out is not used any more.  Blocks stay mapped for good.  So whether a
 *               reference is of a living slot is one load and one comparison, and the answer is exact.
 *   run         an interpreter's state, in the frame of the function that runs an effect.
 *   frame       what is to be done with a value, or a failure.  Two kinds on one stack of words, which grows upwards:
 *                 word    the reference of a map or flat_map; with bit 2 the number of the function to go on with lies below it
 *                 frame   an eff_frame, and above it a word with its address, and bit 1
 *               A frame's address is constant until it is popped, so regions of the tree of scopes (masks, timeouts)
 *               lie in frames.
 *   value       lies in v; a function reads it there and writes its own to w, then the two change places
 *
 * Rejected: a reference of two words, {address, stamp} (twice the size of what every function returns; a macro would have to
 * name its argument twice to check its type); reusing slots as soon as they are free (a stale reference then names a stranger).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EFFECT_EFF_H
#define WEFT_EFFECT_EFF_H

#include "sched/cancel.h"
#include "sched/thread.h"
#include <weft/eff.h>
#include <weft/scope.h>

#define EFF_INLINE static inline __attribute__((always_inline))

typedef uintptr_t eff_ref;

/* ---- nodes ---------------------------------------------------------------------------------------- */

enum { EFF_ARENA = 1, EFF_FRAME = 2, EFF_INDEXED = 4 }; /* of a word */

/* NULL: it does not live any more. */
EFF_INLINE const weft_eff_node *eff_node(eff_ref ref) {
    const weft_eff_node *n = weft__eff_at(ref);
    if (!(ref & EFF_ARENA)) return n;
    return WEFT_LIKELY(weft__look(&n->self) == ref) ? n : NULL;
}

/* The functions of a step. */
EFF_INLINE const weft__eff_step *eff_functions(const weft_eff_node *n) {
    return WEFT_UNLIKELY(n->data == WEFT__EFF_WIDE) ? n->u.step.fn[0].all : n->u.step.fn;
}

/* "flat_map" */
const char *weft__eff_kind_name(unsigned kind);

/* The effects that n is made of, in the order in which they are run, as far as they are known before a run; what functions
 * return is not.  Of a step of several maps the only child is the one it was made of.  Returns how many there are; writes at
 * most `most` of them. */
size_t weft__eff_children(const weft_eff_node *n, eff_ref *out, size_t most);

/* ---- what a run tells ----------------------------------------------------------------------------- */

struct eff_run;
typedef struct eff_frame eff_frame;

/* A place in a run's stack, from the newest frame to the oldest. */
typedef struct weft__eff_pending {
    const uintptr_t *at;        /* the walk's */
    const weft_eff_node *node;  /* its name and place; a copy, or the node itself; NULL: it does not live any more */
    unsigned state;             /* of a frame: how far it is (effect/eff_frame.h); 0: its first part runs */
} weft__eff_pending;

/* weft_eff_options.trace: failed is called by a run, and by each branch's, when something does not end well, before any frame
 * is popped, so what it was told last is what the run ends with, if it does.  `at` is the node that ended so (NULL: not known),
 * `first` the place to begin with.  It must not suspend, and e's cause is lent. */
typedef struct weft__eff_trace {
    void (*failed)(struct weft__eff_trace *t, weft_exit e, const weft_eff_node *at, weft__eff_pending first);
} weft__eff_trace;
/* The next one further out; false: there is none. */
bool weft__eff_pending_next(weft__eff_pending *p);

/* weft_eff_options.watch: told of each node that is run, before and after; by several fibers at once, if there are parallel
 * branches. Must not suspend.  Maps are not fused then. */
typedef struct weft__eff_watch {
    void (*enter)(struct weft__eff_watch *t, const weft_eff_node *n);
    void (*leave)(struct weft__eff_watch *t, const weft_eff_node *n, weft_exit e);
} weft__eff_watch;

/* ---- runs ----------------------------------------------------------------------------------------- */

enum { EFF_VALUE_ROOM = 64, EFF_WORDS = 64, EFF_POLL = 256, EFF_POLLS_A_YIELD = 64 };

typedef struct eff_chunk eff_chunk;
typedef struct eff_guard eff_guard;

typedef struct eff_run {
    fiber *f;               /* NULL: a plain thread */
    weft_exit *said;        /* what a function called here failed with */
    uint16_t *told;
    uint32_t depth;         /* of the innermost node of the tree of scopes that the run entered, or was begun in */
    int32_t budget;         /* steps until it polls */
    uintptr_t *top, *limit; /* words */
    char *v, *w;
    uint32_t room, polls;   /* bytes v and w have */
    const weft_eff_options *o;
    weft_eff_arena *arena, arenas[2]; /* the one functions keep effects in; the other is empty */
    const uintptr_t *mark;  /* words below this, */
    uintptr_t mark_level;   /* of the piece so deep, or of older ones, name nothing in the arena */
    weft_exit exit;         /* while it fails */
    const weft_eff_node *at; /* where that began */
    bool known;             /* it was told already, and a finalizer ran in between */
    eff_guard *guard;       /* the innermost uninterruptible part */
    weft_time deadline;     /* of a plain thread */
    eff_chunk *chunks, *spare;
    char *large;            /* v and w, if they are not below */
    uintptr_t floor;        /* a literal from here to the stack pointer is none any more */
    weft_exit said_here;    /* said, and told, of a plain thread */
    uint16_t told_here;
    uintptr_t words[EFF_WORDS] __attribute__((aligned(16)));
    char values[2][EFF_VALUE_ROOM] __attribute__((aligned(16)));
} eff_run;

/* What a handler of a node or a frame returns: the reference of the effect to run next, or */
enum { EFF_VALUE = 0, EFF_FAILED = 4, EFF_END = 8 }; /* a value is in v; run.exit is set; the run is over, and v is its value */

/* How a run begins: with an effect, or with the one that fn returns. */
typedef struct eff_start {
    eff_ref ref;
    weft__eff_fn *fn;
    const void *in, *with;
} eff_start;

/* Run it, and what is pending of it, to its end.  ok: `bytes` of its value are in *out (may be NULL).  Else the cause's
 * reference is the caller's.  What the fiber said before is put aside. */
weft_exit weft__eff_exec(eff_start s, void *out, size_t bytes, const weft_eff_options *o);

/* Has what was called here not ended well? */
EFF_INLINE bool eff_ill(const eff_run *r) {
    return WEFT_UNLIKELY(r->said->tag != WEFT_EXIT_OK) || WEFT_UNLIKELY(*r->told <= r->depth);
}
/* How not. */
uintptr_t weft__eff_said(eff_run *r);
/* The same if it may have. */
EFF_INLINE uintptr_t eff_called(eff_run *r) { return eff_ill(r) ? weft__eff_said(r) : EFF_VALUE; }
/* The run fails; e's cause is taken over, or lent. */
EFF_INLINE uintptr_t eff_fail(eff_run *r, weft_exit e) {
    r->exit = e;
    return EFF_FAILED;
}
uintptr_t weft__eff_fail_lent(eff_run *r, weft_exit e);
uintptr_t weft__eff_stale(eff_run *r);
uintptr_t weft__eff_no_memory(eff_run *r);
/* Call fn, which returns an effect; that, or EFF_VALUE (it gave a value now), or EFF_FAILED. */
uintptr_t weft__eff_next(eff_run *r, weft__eff_fn *fn, const void *in, const void *with);
/* The same, where nothing but the function itself needs what it was made of any more. */
uintptr_t weft__eff_next_last(eff_run *r, weft__eff_fn *fn, const void *in, const void *with);
/* A cancellation point, and now and then a yield.  False: the run fails. */
bool weft__eff_poll(eff_run *r);
/* Of a plain thread: run.deadline has passed, and the run fails. */
bool weft__eff_too_late(eff_run *r);
/* Room for values of so many bytes; what v holds is lost. */
bool weft__eff_values_grow(eff_run *r, size_t bytes);

EFF_INLINE void eff_swap(eff_run *r) {
    char *v = r->v;
    r->v = r->w;
    r->w = v;
}

/* Values are small, and their sizes are known where they are made only. */
EFF_INLINE void eff_copy(void *to, const void *from, size_t bytes) {
    if (WEFT_LIKELY(bytes == 8))
        __builtin_memcpy(to, from, 8);
    else
        __builtin_memcpy(to, from, bytes);
}

/* ---- arenas --------------------------------------------------------------------------------------- */

/* Has it any memory?  Does it hold any node? */
static inline bool eff_arena_used(const weft_eff_arena *a) { return a->blocks || a->bytes; }
EFF_INLINE bool eff_arena_empty(const weft_eff_arena *a) { return a->used == a->from; }
/* What was kept in it is over; memory for as much is left. */
void weft__eff_arena_reset(weft_eff_arena *a);

#endif
