/* sched/wheel.h -- a hierarchical timing wheel, one per worker: timers in real (monotonic) time.
 *
 * Time is counted in ticks of 128 us.  A timer belongs to tick ceil(deadline / 128 us) and fires at the first expire
 * whose time has reached that tick: never early, at most one tick late if expire is called in time.
 *
 *   level k   64 slots of 64^k ticks; eight levels cover every int64 nanosecond.  A timer is on the level of the
 *             highest base-64 digit in which its tick differs from `now`, in the slot of that digit
 *   slot      circular list, oldest first: arm touches the newest timer only, which is the likeliest to be cached
 *   occupied  a bit for each slot that is not empty, exactly: the unlink that empties a slot finds its neighbours
 *             equal, so clearing the bit at once costs one comparison, and expire visits no empty slot
 *   now       the tick up to which everything has fired.  Every occupied slot is after now, but for the level-0 slot
 *             of now itself (deadlines already past) and for the slot that a cascade is emptying (`cascading`)
 *   floor     the earliest tick a timer may get: now, and now + 1 while the timers of now fire, so that expire ends
 *             although its callbacks arm timers
 *   next      no timer fires before this tick; too early after a cancel, never too late.  UINT64_MAX when empty
 *
 * When expire enters a slot of a level above 0, its timers move to lower levels (cascade), each at most seven times in
 * its life.  Expire goes from occupied slot to occupied slot by the bits: idle time costs nothing.
 *
 * Order: by tick; within a tick in order of arming, but for timers that others arm while a cascade lets the lock go
 * (each WHEEL_BATCH timers), and deadlines already past, which are in order of arming behind the tick `now`.
 * A deadline within the last tick of int64, as INT64_MAX, never fires.
 *
 * Lock: anybody may cancel and expire, so everything but the two glances (wheel_next, wheel_count) is under it.
 *
 * Rejected: a heap (log n cold lines for each operation); hlist slots (arm the same, but a cascade turns the order
 * round); one wheel with a list of later timers (a long pause for all of them at each turn); cancellation by a mark (a
 * server's timeouts are nearly all cancelled, and would be kept until they are due).
 * Source: Varghese and Lauck, SOSP 1987, scheme 7.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_WHEEL_H
#define WEFT_SCHED_WHEEL_H

#include "alloc/spin.h"
#include "sched/timer.h"
#include <stddef.h>

#define WHEEL_TICK_NS 128000
#define WHEEL_LEVELS 8u /* 48 bits of ticks; 2^63 ns are 47 */
#define WHEEL_SLOTS 64u
#define WHEEL_AHEAD 4    /* timers between fetching what they need and firing them */
#define WHEEL_BATCH 256u /* timers fired or moved before the lock is let go for a moment */

typedef struct wheel {
    /* under the lock; count and now are glanced at */
    _Alignas(WEFT__LINE) spin lock;
    uint32_t cascading; /* level whose slot of now is being emptied; 0: none */
    _Atomic uint64_t now;
    uint64_t floor;
    _Atomic size_t count;
    uint64_t occupied[WHEEL_LEVELS];
    /* written under the lock, seldom; read by anybody */
    _Alignas(WEFT__LINE) _Atomic uint64_t next;
    _Alignas(WEFT__LINE) timer_link slot[WHEEL_LEVELS][WHEEL_SLOTS];
} wheel;

void weft__wheel_init(wheel *w, int64_t now);
unsigned weft__wheel_expire(wheel *w, uint64_t tick, timer_fire *fire, void *arg);
bool weft__wheel_cancel_slow(timer *t);
bool weft__wheel_audit(wheel *w);

/* Before anything else; `now` on the clock that deadlines are on. */
static inline void wheel_init(wheel *w, int64_t now) { weft__wheel_init(w, now); }

static inline void wheel_lock(wheel *w) { spin_lock(&w->lock); }
static inline void wheel_unlock(wheel *w) { spin_unlock(&w->lock); }

/* The first tick at or after the deadline, and the last one that `now` has reached. */
static inline uint64_t wheel_tick_of(int64_t deadline) {
    return ((uint64_t)(deadline > 0 ? deadline : 0) + (WHEEL_TICK_NS - 1)) / WHEEL_TICK_NS;
}
static inline uint64_t wheel_tick_at(int64_t now) { return (uint64_t)(now > 0 ? now : 0) / WHEEL_TICK_NS; }

/* Where a timer of this tick goes; level * WHEEL_SLOTS + digit.  pre: tick >= now. */
static inline unsigned wheel_place(uint64_t tick, uint64_t now) {
    unsigned level = (63u - (unsigned)__builtin_clzll((tick ^ now) | 1)) / 6;
    return level * WHEEL_SLOTS + (unsigned)(tick >> (level * 6) & (WHEEL_SLOTS - 1));
}

/* To the newest end of a slot.  Lock held. */
static inline void wheel_append(wheel *w, timer *t, unsigned place) {
    timer_link *slot = &w->slot[0][0] + place, *newest = slot->prev;
    t->link.next = slot;
    t->link.prev = newest;
    newest->next = slot->prev = &t->link;
    w->occupied[place / WHEEL_SLOTS] |= (uint64_t)1 << (place % WHEEL_SLOTS);
}

/* Off its slot.  Lock held. */
static inline void wheel_remove(wheel *w, timer *t) {
    timer_link *next = t->link.next, *prev = t->link.prev;
    next->prev = prev;
    prev->next = next;
    if (next != prev) return;
    unsigned place = (unsigned)(next - &w->slot[0][0]);
    w->occupied[place / WHEEL_SLOTS] &= ~((uint64_t)1 << (place % WHEEL_SLOTS));
}

/* wheel_link with the tick of the deadline computed before the lock was taken. */
static inline __attribute__((always_inline)) bool wheel_link_tick(wheel *w, timer *t, int64_t deadline, uint64_t tick) {
    if (tick < w->floor) tick = w->floor;
    t->deadline = deadline;
    wheel_append(w, t, wheel_place(tick, atom_load_rlx(&w->now)));
    atom_store_rlx(&t->home, (uintptr_t)w);
    atom_store_rlx(&w->count, atom_load_rlx(&w->count) + 1);
    if (tick >= atom_load_rlx(&w->next)) return false;
    atom_store_rlx(&w->next, tick);
    return true;
}

/* Arm t.  Lock held; a callback of this wheel's expire may call it.  pre: t is not armed.  True: wheel_next moved
 * earlier, so who sleeps by it must be told. */
static inline __attribute__((always_inline)) bool wheel_link(wheel *w, timer *t, int64_t deadline) {
    return wheel_link_tick(w, t, deadline, wheel_tick_of(deadline));
}

/* wheel_link, the lock taken.  Any thread. */
static inline __attribute__((always_inline)) bool wheel_arm(wheel *w, timer *t, int64_t deadline) {
    uint64_t tick = wheel_tick_of(deadline);
    wheel_lock(w);
    bool earlier = wheel_link_tick(w, t, deadline, tick);
    wheel_unlock(w);
    return earlier;
}

/* Undo wheel_link.  Lock held.  The last access to t is the store of home (C3). */
static inline __attribute__((always_inline)) void wheel_unlink(wheel *w, timer *t) {
    wheel_remove(w, t);
    atom_store_rel(&w->count, atom_load_rlx(&w->count) - 1); /* wheel_count */
    atom_store_rel(&t->home, 0); /* C3 */
}

/* Disarm t.  Any thread, not under a wheel's lock, hence not in a callback.
 *   true    t will not fire, and its memory is the caller's
 *   false   t was not armed.  If it had fired, its callback has returned; if another thread had cancelled it, that
 *           thread no longer touches it.  Either way its memory is the caller's too.
 *   C1 home load, acquire     with C3: another canceller is through with t
 *   C2 home load under lock   home is written under the lock it names: what names this wheel is current
 *   C3 home store, release    the last access to t
 * pre: the wheel t was last armed on still exists, unless t was cancelled. */
static inline __attribute__((always_inline)) bool wheel_cancel(timer *t) {
    uintptr_t home = atom_load_acq(&t->home); /* C1 */
    if (home == 0) return false;
    if (WEFT_UNLIKELY(home & TIMER_FIRED)) return weft__wheel_cancel_slow(t);
    wheel *w = (wheel *)home;
    wheel_lock(w);
    bool still = atom_load_rlx(&t->home) == home; /* C2 */
    if (WEFT_LIKELY(still)) wheel_unlink(w, t);
    wheel_unlock(w);
    return WEFT_LIKELY(still) || weft__wheel_cancel_slow(t);
}

/* No timer fires before this time, in ns; INT64_MAX: none is armed, or none that ever fires.  May be early, after a
 * cancel or for a cascade: then expire at that time fires nothing and moves it.  Any thread; relaxed. */
static inline int64_t wheel_next(const wheel *w) {
    uint64_t next = atom_load_rlx(&w->next);
    return next > INT64_MAX / WHEEL_TICK_NS ? INT64_MAX : (int64_t)(next * WHEEL_TICK_NS);
}

/* Timers armed.  Any thread.  Acquire: who sees that the last is gone, sees what whoever took it out did before: that it is awake (sched/quiet.c). */
static inline size_t wheel_count(const wheel *w) { return atom_load_acq(&w->count); }

/* Fire what is due at `now`; returns how many.  Any thread, not under the lock, several at once too.  Nothing due is
 * two loads; so call it whenever the time was read anyway: that keeps the wheel's `now` near, and timers that are armed
 * next on the levels where they belong.  A `now` behind the wheel's fires nothing. */
static inline unsigned wheel_expire(wheel *w, int64_t now, timer_fire *fire, void *arg) {
    uint64_t tick = wheel_tick_at(now);
    if (tick < atom_load_rlx(&w->next) && tick / WHEEL_SLOTS <= atom_load_rlx(&w->now) / WHEEL_SLOTS) return 0;
    return weft__wheel_expire(w, tick, fire, arg);
}

/* Is everything this file says true?  Takes the lock; walks all timers.  Not in a callback. */
static inline bool wheel_audit(wheel *w) { return weft__wheel_audit(w); }

#endif
