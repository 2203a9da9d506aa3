/* sched/clock.h -- a runtime's clock, and what is armed on it.
 *
 * Real time: each worker has a wheel (sched/wheel.h), served when it looks for work, every so many dispatches, at a poll
 * when the monitor asked for it, by workers without work for those that are busy; a sleeping worker sleeps until its
 * wheel's next tick.  Virtual time: one timeline for all (sched/timeline.h), served only at rest (sched/quiet.c), one
 * timer after the other, so that nothing else moves meanwhile.
 *
 * An alert is a timer that says what it is for.  It fires under the lock of its container: a wait is won there (its
 * winner decides, sched/wait.h), so that whoever gets that lock later knows; everything else is done when the lock is free:
 * making fibers ready, cancelling a scope.  Until that is over a scope's deadline is FIRING, and who leaves the scope waits for
 * it.
 *
 * Rejected: a timer thread (a wake-up and a hand-over for each); one heap for all workers (a shared lock in each sleep).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_CLOCK_H
#define WEFT_SCHED_CLOCK_H

#include "sched/timeline.h"
#include "sched/timer.h"
#include "sched/wheel.h"
#include "sched/worker.h"
#include <weft/cancel.h>

typedef enum alert_kind {
    ALERT_WAIT,  /* ends a wait */
    ALERT_SCOPE, /* cancels a scope: the alert lies in a weft__deadline */
    ALERT_GRACE, /* interrupts a fiber */
    ALERT_NOTHING, /* lets time come so far */
} alert_kind;

typedef struct alert {
    timer timer;
    uintptr_t kind;
} alert;

/* What a wait waits for besides its queue. */
typedef struct limit {
    alert alert;
    int64_t deadline;
    fiber *f;
    uint64_t ticket;
} limit;

/* Of a wait that may be one of a million: not in the waiter's frame, where each lies in a page of its own and a wheel that
 * moves them meets nothing but misses.  `spare` if there is no memory.  Owner of the worker f is on. */
limit *weft__limit_get(fiber *f, limit *spare, int64_t deadline);
void weft__limit_put(fiber *f, limit *l, limit *spare);
bool weft__limits_open(runtime *rt);
void weft__limits_close(runtime *rt);

/* A deadline's life. */
enum { DEADLINE_LAZY, DEADLINE_ARMED, DEADLINE_FIRING, DEADLINE_OVER };

_Static_assert(sizeof(timer) <= sizeof(((weft__deadline *)0)->timer), "weft/cancel.h has room for a timer");
_Static_assert(offsetof(weft__deadline, kind) == offsetof(weft__deadline, timer) + offsetof(alert, kind), "an alert");

static inline bool clock_virtual(const runtime *rt) { return rt->clock != WEFT_CLOCK_REAL; }

/* Now.  Any thread. */
static inline int64_t clock_now(runtime *rt) {
    return WEFT_LIKELY(!clock_virtual(rt)) ? weft__os_now() : atom_load_acq(&rt->virtual_now);
}

/* Lock what w arms its timers on; the caller unlocks. */
static inline spin *clock_lock(worker *w) {
    spin *s = WEFT_LIKELY(!clock_virtual(w->rt)) ? &w->wheel.lock : &w->rt->timeline.lock;
    spin_lock(s);
    return s;
}

/* Arm; the lock is held. */
static inline void clock_link(worker *w, alert *a, alert_kind kind, int64_t deadline) {
    a->kind = kind;
    if (WEFT_LIKELY(!clock_virtual(w->rt))) {
        a->timer.near = kind == ALERT_WAIT ? ((limit *)a)->f : NULL;
        wheel_link(&w->wheel, &a->timer, deadline);
    } else if (kind == ALERT_SCOPE) /* a value that comes with the end of the time counts, whichever was armed first */
        timeline_link_late(&w->rt->timeline, &a->timer, deadline);
    else
        timeline_link(&w->rt->timeline, &a->timer, deadline);
}

/* False: it has fired, or was not armed; whatever it did under the lock is done. */
static inline bool clock_cancel(runtime *rt, alert *a) {
    if (WEFT_LIKELY(!clock_virtual(rt))) return wheel_cancel(&a->timer);
    return timeline_cancel(&rt->timeline, &a->timer);
}

/* Timers armed on rt.  Any thread; a moment's view. */
size_t weft__clock_armed(runtime *rt);

/* Fire what is due on the wheel of v, whose worker is w or busy. */
void weft__clock_serve(worker *w, worker *v, int64_t now);
/* w's own, if there is anything; reads the clock only then. */
static inline void clock_serve_own(worker *w) {
    if (wheel_count(&w->wheel)) weft__clock_serve(w, w, weft__os_now());
}

/* Virtual: let time come to the next timer, if that is not after `limit`, and fire it.  At rest, sched/quiet.c. */
bool weft__clock_step(worker *w, int64_t limit);

/* Make the deadlines of f's scopes known to the clock: those that nobody had to know of yet. */
void weft__deadlines_arm(fiber *f);
/* The owner leaves the scope: afterwards nobody touches the deadline.  Arms nothing. */
void weft__deadline_over(fiber *f, weft__deadline *d);

/* now + d; false: negative, or it does not fit. */
bool weft__deadline_of(int64_t now, int64_t d, int64_t *at);

#endif
