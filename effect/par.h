/* effect/par.h -- what the combinators share: a region around children whose descriptors lie in the caller's frames.
 *
 * A par is a scope's node without the scope: what a cancel of it reaches is exactly its children.  It is entered by its owner,
 * lies in the owner's frame, and is left when nobody else knows it any more:
 *
 *   P1  every forked child is taken back, or joined, before the region is left; so what children point to lives in frames
 *   P2  `first` is decided once, by a compare-and-swap, by whichever child's end decides; who decides cancels the region
 *       before its own end is known to the owner.  A child that ends on the owner's stack need not cancel what nobody else
 *       has: the owner looks at `first` before it calls the next one
 *   P3  a child that starts after the cancel ends without having called anything: who runs it looks first, owner or thief
 *   P4  a child's state and exit are written by who runs it, and read by the owner after the join
 *   P5  the running fiber's own failure (fiber.exit) and what it was told (fiber.told, seen) are set aside on entry and put back
 *       on leaving: in between they are the child's, called here or run elsewhere.  So a caller that gets a value was not told
 *       to stop, whatever its children were; one that gets the interrupt is told again, outside of the region.  The same for
 *       what is installed: in between it is what children see
 *
 * "Stopped" is told from "failed" and from "completed" by fiber.told: the depth of the outermost node that a cancellation point
 * reported since the child began.  At the region's depth or further out the child was stopped; further in it was one of the
 * child's own scopes, which is its own affair.
 *
 * Rejected: a fiber for each branch (33 to 60 ns); a statement scope with started children (its arena, its
 * options and its exit are made for blocks, and a race must not run what is left); deciding under a lock.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EFFECT_PAR_H
#define WEFT_EFFECT_PAR_H

#include "sched/cancel.h"
#include "sched/evidence.h"
#include "sched/thread.h"
#include <weft/par.h>

#define PAR_INLINE static inline __attribute__((always_inline))

typedef enum par_kind { PAR_ALL, PAR_RACE, PAR_ANY, PAR_SETTLE } par_kind;

typedef struct weft__par {
    weft__region region;
    fiber *owner;
    weft_branch *branches;
    _Atomic uint64_t first; /* number of the child that decided, from 1; 0: none has */
    par_kind kind;
    uint16_t told;          /* the owner's, */
    bool seen;
    weft_exit exit;         /* set aside */
    const weft__evidence *env;
} par;

/* How a branch is. */
enum { BRANCH_NOT_BEGUN, BRANCH_ENDED_WELL, BRANCH_ENDED_ILL, BRANCH_STOPPED };

static const weft_exit par_success = {WEFT_EXIT_OK, 0, NULL};

PAR_INLINE void par_enter(par *p, fiber *f) {
    weft__region_enter(&p->region, &f->pub, WEFT__SCOPE);
    p->owner = f;
    *(uint64_t *)&p->first = 0;
    p->told = f->told;
    p->seen = f->seen;
    p->exit = f->exit;
    p->env = evidence_child_begins(f);
    f->exit = par_success;
    f->told = TOLD_NOTHING;
}

/* Is it only the owner who knows anything of it? */
PAR_INLINE bool par_private(const par *p) {
    return (weft__look(&p->region.node.state) | (p->region.mark.site & WEFT__SHARED)) == 0;
}

PAR_INLINE void par_restore(par *p, fiber *f) {
    f->exit = p->exit;
    f->told = p->told;
    f->seen = p->seen;
    evidence_child_ends(f, p->env);
}

/* Everything is over, and nothing happened that leaving would have to undo; children that were not called are forgotten. */
PAR_INLINE void par_leave(par *p, fiber *f) {
    weft__region_leave(&p->region, &f->pub);
    par_restore(p, f);
}

/* Owner, all children joined: wait for the fibers that belong to it, and leave.  Returns how those failed, a reference. */
weft_exit weft__par_leave_slow(par *p, fiber *f);

/* Nobody is needed any more.  Any worker, before its child's end is known. */
void weft__par_cancel(par *p);
/* Has the child with this number decided? */
PAR_INLINE bool par_decide(par *p, uint64_t number) {
    uint64_t none = 0;
    return atom_cas_ar(&p->first, &none, number);
}

/* May the owner call another child?  A cancellation point. */
PAR_INLINE bool par_goes_on(fiber *f) { return WEFT_LIKELY(!cancel_point(f)) || weft_ok(weft__look_up(f)); }

/* The caller's interrupt, of an owner that has left the region; {INTERRUPT, WEFT_E_CANCELLED} if only the children were
 * stopped. */
weft_exit weft__par_interrupt(fiber *f);

/* weft_par_options.rest == WEFT_KEEP (effect/par_keep.c) */
weft_exit weft__par_keep(par_kind kind, size_t *who, weft_branch *b, size_t n);

/* b has ended on f, whose own nodes at `depth` and further out are not b's. */
void weft__branch_note_end(weft_branch *b, fiber *f, unsigned depth);
bool weft__branch_decides(const par *p, const weft_branch *b);
/* Not by its owner, or on top of its owner's wait; fiber.told is reset. */
void weft__branch_run_elsewhere(weft_branch *b, fiber *f, weft_head head);

/* By its owner.  False: it did not end well. */
PAR_INLINE bool branch_call_here(par *p, fiber *f, weft_branch *b) {
    b->run(b->call, f->pub.head);
    if (WEFT_LIKELY(weft_ok(f->exit) && f->told > p->region.node.depth)) {
        b->state = BRANCH_ENDED_WELL;
        return true;
    }
    weft__branch_note_end(b, f, p->region.node.depth);
    return false;
}

PAR_INLINE void branch_decide_here(par *p, const weft_branch *b) {
    if (weft__branch_decides(p, b) && par_decide(p, (uint64_t)(b - p->branches) + 1) && !par_private(p)) weft__par_cancel(p);
}

/* The end of a race, or of weft_any: all n are joined, the region is left here. */
weft_exit weft__par_first_end(par *p, fiber *f, size_t n, size_t *who);

PAR_INLINE void *branch_value(const weft_branch *b) { return (char *)b->call + b->at; }
void weft__branch_drop(weft_branch *b);

/* Values are small, and their sizes known where they are used only. */
PAR_INLINE void par_copy(void *to, const void *from, size_t bytes) {
    if (WEFT_LIKELY(bytes == 8))
        __builtin_memcpy(to, from, 8);
    else if (bytes == 4)
        __builtin_memcpy(to, from, 4);
    else
        __builtin_memcpy(to, from, bytes);
}
PAR_INLINE void branch_deliver(weft_branch *b) {
    if (b->out) par_copy(b->out, branch_value(b), b->bytes);
}

#endif
