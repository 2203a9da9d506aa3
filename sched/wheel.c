/* sched/wheel.c -- the slow half of the wheel: expiry, and cancelling what moved meanwhile.
 *
 * Expire goes from one occupied slot to the next: enter it (now becomes its first tick), empty it from its oldest
 * end, by firing on level 0, by moving to lower levels above.  Each step leaves the wheel whole, so the lock can be let
 * go between any two, and another thread that expires meanwhile goes on where this one stopped.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/wheel.h"

#define NEVER UINT64_MAX
#define GLANCE 16 /* timers of a slot looked at for an exact wheel_next; with more, the slot's first tick is it */

static uint64_t now_of(const wheel *w) { return atom_load_rlx(&w->now); }

static void set_now(wheel *w, uint64_t tick) {
    atom_store_rlx(&w->now, tick);
    w->floor = tick;
}

static timer *timer_of(timer_link *l) { return (timer *)l; }
static bool slot_empty(const timer_link *slot) { return slot->next == slot; }
static timer_link *slot_at(wheel *w, unsigned level, uint64_t tick) {
    return &w->slot[level][tick >> (level * 6) & (WHEEL_SLOTS - 1)];
}

void weft__wheel_init(wheel *w, int64_t now) {
    *w = (wheel){0};
    for (unsigned i = 0; i < WHEEL_LEVELS * WHEEL_SLOTS; i++) {
        timer_link *slot = &w->slot[0][0] + i;
        slot->next = slot->prev = slot;
    }
    set_now(w, wheel_tick_at(now));
    atom_store_rlx(&w->next, NEVER);
}

/* ---- cancel ------------------------------------------------------------------------------------------ */

/* The general form of wheel_cancel.  Once its lock has been had, the callback of a fired timer is over. */
bool weft__wheel_cancel_slow(timer *t) {
    for (uintptr_t home; (home = atom_load_acq(&t->home)) != 0;) {
        wheel *w = (wheel *)(home & ~TIMER_FIRED);
        wheel_lock(w);
        bool still = atom_load_rlx(&t->home) == home, armed = still && !(home & TIMER_FIRED);
        if (armed) wheel_unlink(w, t);
        wheel_unlock(w);
        if (still) return armed;
    }
    return false;
}

/* ---- expire ------------------------------------------------------------------------------------------ */

/* The first occupied slot at or after now.  It is on the lowest level that has any: a level's slots all come before
 * the next level's.  pre: no cascade is under way. */
static bool find(const wheel *w, unsigned *level, uint64_t *tick) {
    uint64_t now = now_of(w);
    for (unsigned k = 0; k < WHEEL_LEVELS; k++, now >>= 6) {
        uint64_t later = w->occupied[k] & ~(uint64_t)0 << (now & (WHEEL_SLOTS - 1));
        if (!later) continue;
        *level = k;
        *tick = ((now & ~(uint64_t)(WHEEL_SLOTS - 1)) | (unsigned)__builtin_ctzll(later)) << (6 * k);
        return true;
    }
    return false;
}

/* The earliest tick in a slot that begins at `tick`, or just that if many would have to be looked at. */
static uint64_t earliest(wheel *w, unsigned level, uint64_t tick) {
    uint64_t least = NEVER;
    unsigned looked = 0;
    timer_link *slot = slot_at(w, level, tick);
    for (timer_link *l = slot->next; l != slot; l = l->next) {
        uint64_t t = wheel_tick_of(timer_of(l)->deadline);
        if (t < least) least = t;
        if (++looked > GLANCE) return tick;
    }
    return least > tick ? least : tick;
}

static void update_next(wheel *w) {
    unsigned level;
    uint64_t tick = NEVER;
    if (w->cascading) tick = now_of(w);
    else if (find(w, &level, &tick) && level) tick = earliest(w, level, tick);
    atom_store_rlx(&w->next, tick);
}

/* Lets others have the lock.  A waiter needs the time of a few cache misses to see that it is free. */
static void breathe(wheel *w) {
    wheel_unlock(w);
    for (int i = 0; i < 4; i++) arch_relax();
    wheel_lock(w);
}

/* Fires the timers of the slot of now, oldest first, as far as the budget goes. */
/* A sleeping fiber's memory is cold: fetched some timers ahead, it is there when it is needed. */
static timer_link *prefetch(const timer_link *slot, timer_link *at) {
    if (at == slot) return at;
    const char *near = timer_of(at)->near;
    if (near) {
        __builtin_prefetch(near, 1);
        __builtin_prefetch(near + WEFT__LINE / 2, 1);
    }
    __asm__ volatile(""); /* see prefetch_next */
    return at->next;
}

static void fire_slot(wheel *w, unsigned *budget, timer_fire *fire, void *arg) {
    timer_link *slot = slot_at(w, 0, now_of(w));
    w->floor = now_of(w) + 1;
    timer_link *ahead = slot->next;
    for (int i = 0; i < WHEEL_AHEAD; i++) ahead = prefetch(slot, ahead);
    for (; !slot_empty(slot) && *budget; --*budget) {
        timer *t = timer_of(slot->next);
        ahead = prefetch(slot, ahead);
        wheel_remove(w, t);
        atom_store_rel(&w->count, wheel_count(w) - 1); /* wheel_count */
        atom_store_rlx(&t->home, (uintptr_t)w | TIMER_FIRED);
        fire(t, arg);
    }
}

/* Moves the timers of the slot of now on level `cascading` to lower levels.  Nothing is put into that slot meanwhile:
 * a tick that shares this digit with now differs in a lower one. */
static void cascade(wheel *w, unsigned *budget) {
    timer_link *slot = slot_at(w, w->cascading, now_of(w));
    for (; !slot_empty(slot) && *budget; --*budget) {
        timer *t = timer_of(slot->next);
        wheel_remove(w, t);
        uint64_t tick = wheel_tick_of(t->deadline);
        wheel_append(w, t, wheel_place(tick < now_of(w) ? now_of(w) : tick, now_of(w)));
    }
    if (slot_empty(slot)) w->cascading = 0;
}

/* Enters the next slot that begins by `until`; false: there is none, and now is `until`.
 * pre: no cascade is under way, until >= now. */
static bool enter(wheel *w, uint64_t until) {
    unsigned level = 0;
    uint64_t tick = NEVER;
    bool any = find(w, &level, &tick) && tick <= until;
    set_now(w, any ? tick : until);
    if (any) w->cascading = level;
    return any;
}

unsigned weft__wheel_expire(wheel *w, uint64_t until, timer_fire *fire, void *arg) {
    unsigned fired = 0, budget = WHEEL_BATCH;
    wheel_lock(w);
    while (until >= now_of(w) && (w->cascading || enter(w, until))) {
        unsigned before = budget;
        if (w->cascading) cascade(w, &budget);
        else {
            fire_slot(w, &budget, fire, arg);
            fired += before - budget;
        }
        if (budget) continue;
        breathe(w);
        budget = WHEEL_BATCH;
    }
    w->floor = now_of(w);
    update_next(w);
    wheel_unlock(w);
    return fired;
}

/* ---- audit ------------------------------------------------------------------------------------------- */

static bool placed_for(const wheel *w, unsigned place, uint64_t tick) {
    return place == wheel_place(tick, now_of(w)) && tick >= atom_load_rlx(&w->next);
}

/* Is t where it belongs?  A past deadline was given the tick now, or now + 1 by a callback.  A slot that is being
 * emptied holds what shares with now all digits from that level up. */
static bool timer_sound(const wheel *w, const timer *t, unsigned place) {
    uint64_t now = now_of(w), tick = wheel_tick_of(t->deadline);
    unsigned level = place / WHEEL_SLOTS;
    if (atom_load_rlx(&t->home) != (uintptr_t)w) return false;
    if (level && level == w->cascading && place % WHEEL_SLOTS == (now >> (6 * level) & (WHEEL_SLOTS - 1)))
        return tick >> (6 * level) == now >> (6 * level) && atom_load_rlx(&w->next) <= now;
    if (tick <= now) return placed_for(w, place, now) || placed_for(w, place, now + 1);
    return placed_for(w, place, tick);
}

static bool slot_sound(const wheel *w, unsigned place, size_t *timers) {
    const timer_link *slot = &w->slot[0][0] + place;
    bool bit = w->occupied[place / WHEEL_SLOTS] >> (place % WHEEL_SLOTS) & 1;
    if (bit == slot_empty(slot) || slot->next->prev != slot) return false;
    for (timer_link *l = slot->next; l != slot; l = l->next, ++*timers)
        if (l->next->prev != l || !timer_sound(w, timer_of(l), place)) return false;
    return true;
}

bool weft__wheel_audit(wheel *w) {
    wheel_lock(w);
    size_t timers = 0;
    bool sound = w->cascading < WHEEL_LEVELS;
    for (unsigned i = 0; sound && i < WHEEL_LEVELS * WHEEL_SLOTS; i++) sound = slot_sound(w, i, &timers);
    sound = sound && timers == wheel_count(w);
    wheel_unlock(w);
    return sound;
}
