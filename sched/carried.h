/* sched/carried.h -- what a fiber carries for the layer above: one pointer, which its children see, too.
 *
 *   C1  set before the fiber starts, constant until it has ended; so whoever runs a child of its may read it
 *   C2  a spawned fiber has one of its own, made by `inherit` of its spawner's; it goes with the fiber's block
 *   C3  a forked child is part of its fiber, taken by another worker or not: it has its parent's
 *   C4  so is a body with a stack of its own (sched/coro.h); but that may go on when the fiber does, or has ended, so it is
 *       lent what the fiber carries until it ends
 *   C5  more stack is the fiber itself, which waits: it moves there, and back
 *
 * A fiber without one, and what it spawns, pays a load for each spawn and each failure.
 * Rejected: fiber-locals (weft/local.h), a list that is searched: what is read for each effect is found at once.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_CARRIED_H
#define WEFT_SCHED_CARRIED_H

#include "sched/fiber.h"
#include "sched/spawn.h"

typedef struct carried_ops {
    /* For s, which is spawned by f, who carries `from`.  NULL: no memory. */
    struct carried *(*inherit)(struct carried *from, fiber *f, weft_fiber *s);
    /* C4, and C5 (is_f): `to` begins on behalf of f, which calls; and ends, which it says itself.  Must not suspend. */
    void (*lend)(struct carried *c, fiber *f, fiber *to, bool is_f);
    void (*unlend)(struct carried *c, fiber *to, fiber *f);
    /* The block of its fiber goes.  Any thread; must not suspend. */
    void (*drop)(struct carried *c);
    /* f, or a child on f, fails: with what it was told by another (passed on), or first of all.  Must not suspend. */
    void (*failed)(struct carried *c, fiber *f, weft_exit e, bool passed_on);
} carried_ops;

typedef struct carried {
    const carried_ops *ops;
    _Atomic(fiber *) on; /* where its fiber runs, once it has started; to be changed by `ops` */
    fiber *home;         /* where that is again once nothing is lent; set when it starts, then changed by `ops` */
} carried;

/* Of a forked child: that of the fiber it is part of. */
static inline carried *carried_of(const weft__node *forked_in) {
    return forked_in->owner ? ((fiber *)forked_in->owner)->carried : NULL;
}

static inline void carried_note_failure(fiber *f, weft_exit e, bool passed_on) {
    if (WEFT_UNLIKELY(f->carried != NULL)) f->carried->ops->failed(f->carried, f, e, passed_on);
}

#endif
