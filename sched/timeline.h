/* sched/timeline.h -- timers of a virtual clock, in exact order: by deadline, then by order of arming; those that are linked
 * late come behind all others of their deadline, whenever armed.
 *
 * One per runtime, all workers share it, hence its own lock.  A pairing heap through the timers: nothing is allocated,
 * arming is one comparison, the log n of it is paid by pop and cancel.  No recursion: callers stand on small stacks.
 *
 *   child      eldest child; every child is due after its parent
 *   sibling    next younger sibling, NULL at the youngest; NULL for the root
 *   back       next older sibling, the parent for the eldest, NULL for the root
 *
 * Rejected: the wheel (virtual time jumps from timer to timer, and a tick would merge different instants); a binary
 * heap in an array (grows, and a timer must know its index); a balanced tree (arming is log n).
 * Source: Fredman, Sedgewick, Sleator, Tarjan, Algorithmica 1, 1986.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_TIMELINE_H
#define WEFT_SCHED_TIMELINE_H

#include "alloc/spin.h"
#include "sched/timer.h"
#include <stddef.h>

typedef struct timeline {
    _Alignas(WEFT__LINE) spin lock;
    timer *root;
    uint64_t seq; /* timers ever armed */
    _Atomic size_t count;
} timeline; /* zero-initialised: empty */

void weft__timeline_link(timeline *l, timer *t, int64_t deadline);
void weft__timeline_link_late(timeline *l, timer *t, int64_t deadline);
void weft__timeline_arm(timeline *l, timer *t, int64_t deadline);
bool weft__timeline_cancel(timeline *l, timer *t);
bool weft__timeline_first(timeline *l, int64_t *deadline);
timer *weft__timeline_pop(timeline *l, int64_t limit);
size_t weft__timeline_pop_until(timeline *l, int64_t limit, timer_fire *fire, void *arg);
bool weft__timeline_pop_one(timeline *l, int64_t limit, timer_fire *fire, void *arg);
bool weft__timeline_audit(timeline *l);

static inline void timeline_init(timeline *l) { *l = (timeline){0}; }
static inline void timeline_lock(timeline *l) { spin_lock(&l->lock); }
static inline void timeline_unlock(timeline *l) { spin_unlock(&l->lock); }

/* Arm t.  Lock held: for callbacks.  pre: t is not armed. */
static inline void timeline_link(timeline *l, timer *t, int64_t deadline) { weft__timeline_link(l, t, deadline); }

/* The same, behind the others of that time. */
static inline void timeline_link_late(timeline *l, timer *t, int64_t deadline) { weft__timeline_link_late(l, t, deadline); }

/* timeline_link, the lock taken.  Any thread. */
static inline void timeline_arm(timeline *l, timer *t, int64_t deadline) { weft__timeline_arm(l, t, deadline); }

/* Disarm t.  Any thread, not in a callback.  False: t was not armed on l, and if pop_until had fired it, its callback
 * has returned.  Either way its memory is the caller's. */
static inline bool timeline_cancel(timeline *l, timer *t) { return weft__timeline_cancel(l, t); }

/* The earliest deadline; false: no timer.  Any thread. */
static inline bool timeline_first(timeline *l, int64_t *deadline) { return weft__timeline_first(l, deadline); }

/* Take the first timer if it is due by `limit`, else NULL.  Any thread.  It is not armed any more, and nobody is told:
 * a canceller that comes later gets false while the taker still uses it, so the two must agree by other means. */
static inline timer *timeline_pop(timeline *l, int64_t limit) { return weft__timeline_pop(l, limit); }

/* Fire all that are due by `limit`, in order, those too that callbacks link meanwhile; returns how many.  All under one
 * hold of the lock: no other thread sees half of an instant.  Any thread. */
static inline size_t timeline_pop_until(timeline *l, int64_t limit, timer_fire *fire, void *arg) {
    return weft__timeline_pop_until(l, limit, fire, arg);
}

/* The same for the first of them only. */
static inline bool timeline_pop_one(timeline *l, int64_t limit, timer_fire *fire, void *arg) {
    return weft__timeline_pop_one(l, limit, fire, arg);
}

/* Timers armed.  Any thread.  Acquire, with the release in each that takes one out, as wheel_count. */
static inline size_t timeline_count(const timeline *l) { return atom_load_acq(&l->count); }

/* Is everything this file says true?  Takes the lock; walks all timers. */
static inline bool timeline_audit(timeline *l) { return weft__timeline_audit(l); }

#endif
