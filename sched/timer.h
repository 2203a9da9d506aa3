/* sched/timer.h -- one timer, in whichever container keeps it: a wheel (real time) or a timeline (virtual time).
 *
 * Zero-initialised means not armed.  The memory is the caller's; a container keeps links into it while it is armed and
 * none afterwards.  `home` names the container and what became of the timer:
 *
 *   0            never armed, or cancelled, or popped from a timeline
 *   w            armed on w
 *   w | FIRED    fired on w, a wheel: the callback may still run, under w's lock
 *
 *   0 or FIRED -> armed   who arms it, one thread at a time; others may be cancelling it meanwhile
 *   armed -> 0            whoever cancels it, under the lock of its home
 *   armed -> FIRED        whoever expires it, under the lock of its home, before the callback
 *
 * home is written under the lock of the container it names, and the first four words are all that a wheel uses.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_TIMER_H
#define WEFT_SCHED_TIMER_H

#include "alloc/atomic.h"
#include <stdbool.h>
#include <stdint.h>

#define TIMER_FIRED ((uintptr_t)1)

typedef struct timer_link {
    struct timer_link *next, *prev;
} timer_link;

typedef struct timer {
    union {
        timer_link link;                          /* wheel: the circular list of its slot */
        struct { struct timer *sibling, *back; }; /* timeline: see there */
    };
    int64_t deadline; /* ns, as given */
    _Atomic(uintptr_t) home;
    union {
        struct timer *child; /* timeline: eldest child */
        const void *near;    /* wheel: what firing it will touch, or NULL */
    };
    uint64_t seq;        /* timeline: order among equal deadlines */
} timer;

_Static_assert(sizeof(timer) <= 48, "a timer is part of every control block");

/* What a container calls for a timer that is due: under the container's lock, the timer unlinked and no longer
 * armed.  The timer may be armed again, or its memory reused, from here on.  Must not cancel any timer, nor arm one but
 * with wheel_link or timeline_link on this very container; must not suspend. */
typedef void timer_fire(timer *t, void *arg);

/* Any thread; a glance, of use to its owner and to tests. */
static inline bool timer_armed(const timer *t) {
    uintptr_t home = atom_load_rlx(&t->home);
    return home != 0 && !(home & TIMER_FIRED);
}

#endif
