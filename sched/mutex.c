/* sched/mutex.c -- the slow half of mutexes (sched/mutex_core.h), and what plain threads wait by.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/mutex.h"
#include "sched/mutex_core.h"
#include "sched/quiet.h"
#include "sched/registry.h"
#include "sched/sync_wait.h"

/* Who has waited so long gets the mutex handed over; but one who waited for it himself may use it as long as a turn lasts before
 * it is handed on, and one who was woken tries as long to get it.  So a crowd that does nothing else takes turns, in
 * which the mutex stays in one cache, and a hand-over, which costs as much as a switch, comes once in a turn. */
enum { STARVING_US = 1000, TURN_US = 50 };
enum { LOOK_EVERY = 8, LOOK_US = 5, PAUSES_MOST = 512 };

const char weft__waits_for_mutex[] = "a mutex";

/* ---- what plain threads wait by ----------------------------------------------------------------------- */

wait_state weft__sync_wait_thread(thread_waiter *self, wait_queue *q, wait_have *have, void *arg, int64_t deadline, bool first) {
    waiter *me = &self->record;
    uintptr_t word = 0;
    if (!queue_lock(q, &word)) return WAIT_WOKEN;
    bool there = have && have(arg);
    if (!there) {
        atom_store_rlx(&me->woken, 0);
        word = first ? queue_link_oldest(word, me) : queue_link(word, me);
    }
    queue_unlock(q, word);
    if (there) return WAIT_WOKEN;
    while (!atom_load_acq(&me->woken)) {
        int64_t left = deadline == INT64_MAX ? -1 : deadline - weft__os_now();
        if (deadline != INT64_MAX && left <= 0) break;
        weft__os_futex_wait(&me->woken, 0, left);
    }
    if (atom_load_acq(&me->woken)) return WAIT_WOKEN;
    bool linked = false;
    if (queue_lock(q, &word)) {
        linked = me->next != NULL;
        queue_unlock(q, linked ? queue_unlink(word, me) : word);
    }
    if (linked) return WAIT_TIMEOUT;
    weft__wait_thread(me); /* the wake is on its way */
    return WAIT_WOKEN;
}

waiter *weft__queue_win_each(uintptr_t *word, bool all, uintptr_t tag) {
    waiter *won = NULL, **last = &won, *at = queue_newest(*word) ? queue_newest(*word)->next : NULL, *after;
    for (waiter *end = queue_newest(*word); at; at = after) {
        after = at == end ? NULL : at->next;
        if (!all && at->tag != tag) continue;
        *word = queue_unlink(*word, at);
        at->prev = NULL;
        if (at->f && !wait_win(&at->f->winner, at->ticket, WAIT_WOKEN)) continue;
        *last = at;
        last = &at->prev;
    }
    return won;
}

void weft__wake_each(waiter *won) {
    while (won) {
        waiter *at = won;
        won = at->prev;
        weft__wait_over(at);
    }
}

/* ---- lock --------------------------------------------------------------------------------------------- */

typedef struct want {
    weft_mutex *m;
    uintptr_t me;
    bool woken;    /* the one on the way */
    bool starving;
} want;

static bool mutex_have(void *arg) {
    want *w = arg;
    bool got = mutex_take_or_wait(&w->m->word, w->me, w->woken, w->starving);
    w->woken = false;
    return got;
}

static void unlock_slow(weft_mutex *m, fiber *f, uintptr_t me);

/* Woken, and gives up: the next one is to be woken instead, by who holds it, or from here. */
static WEFT_COLD void pass_on(weft_mutex *m, fiber *f, uintptr_t me) {
    uintptr_t word = 0;
    queue_lock(&m->queue, &word);
    bool mine = mutex_give_up(&m->word, me);
    queue_unlock(&m->queue, word);
    if (mine) unlock_slow(m, f, me);
}

/* Times are time stamps of the processor: a clock takes longer than a switch.  Deterministic: there is no time; who was woken in
 * vain is starving. */
static inline uint64_t now_for(const fiber *f) { return f && f->rt->det ? 0 : arch_ticks(); }
static inline bool is_past(uint64_t now, uint64_t since, unsigned us) {
    return (int64_t)(now - since) >= (int64_t)(us * weft__os_ticks_per_us());
}
static inline bool long_since(uint64_t now, uint64_t since) { return WEFT__RARE || is_past(now, since, STARVING_US); }

/* The one on the way tries again, and lets other work of its worker go first; a turn long.  False: *starving or not, it has to
 * wait. */
static bool contend(weft_mutex *m, fiber *f, uintptr_t me, uint64_t since, bool *starving) {
    if (mutex_take(&m->word, me, true)) return true;
    *starving = f && f->rt->det;
    if (*starving) return false;
    uint64_t begin = arch_ticks(), now = begin;
    for (unsigned pauses = 1; f && f->rt->n_workers > 1 && !is_past(now, begin, TURN_US); now = arch_ticks()) {
        if (!weft__queue_empty(f->w))
            fiber_yield(f);
        else
            for (unsigned i = 0; i < pauses; i++) arch_relax();
        if (pauses < PAUSES_MOST) pauses *= 2;
        if (mutex_take(&m->word, me, true)) return true;
    }
    *starving = is_past(now, begin, TURN_US) || long_since(now, since);
    return false;
}

/* A dump may be looking at the mutex that this fiber waited for (dump.c): the wait is over for it before the mutex may go. */
static inline void let_look(fiber *f) {
    atom_or_seq(&f->winner, 0);
    while (WEFT_UNLIKELY(atom_load_seq(&f->rt->lookers))) weft__os_yield();
}

SWITCH_INLINE wait_state wait_once(fiber *f, want *w, limit *until, int64_t deadline, uintptr_t since, bool first,
                                   weft_exit *why) {
    if (!f) {
        thread_waiter me = {.record = {.tag = since}, .who = w->me};
        return weft__sync_wait_thread(&me, &w->m->queue, mutex_have, w, deadline, first);
    }
    waits_for(f, weft__waits_for_mutex, w->m);
    return wait_on_as(f, &w->m->queue, until, mutex_have, w, why, since, first);
}

SWITCH_INLINE weft_exit lock_contended(weft_mutex *m, fiber *f, uintptr_t me, bool timed, int64_t deadline) {
    want w = {m, me, false, false};
    limit until;
    weft_exit why = sync_fine;
    uintptr_t since = now_for(f);
    if (mutex_holder(atom_load_rlx(&m->word)) == me)
        return FAILED(WEFT_E_INSIDE, "weft_mutex_lock: the caller holds this mutex; it is not recursive");
    for (bool first = false;; first = true) {
        if (timed) until = (limit){.deadline = deadline, .f = f};
        wait_state how = wait_once(f, &w, timed ? &until : NULL, deadline, since, first, &why);
        if (f) let_look(f);
        if (WEFT_UNLIKELY(how != WAIT_WOKEN)) {
            if (w.woken) pass_on(m, f, me);
            return how == WAIT_CANCEL ? why : FAILED(WEFT_E_TIMEOUT, "weft_mutex_lock: the mutex was not unlocked in time");
        }
        if (mutex_holder(atom_load_rlx(&m->word)) == me) break; /* handed over, or there in the end */
        w.woken = true;
        if (contend(m, f, me, since, &w.starving)) break;
    }
    if (f) {
        f->pub.locks++;
        f->turn_began = now_for(f);
    }
    return sync_fine;
}

weft_exit weft__mutex_lock(weft_mutex *m) {
    fiber *f = thread_fiber();
    uintptr_t me = sync_me(f);
    if (f) scheduling_point(f);
    if (WEFT_LIKELY(mutex_take(&m->word, me, false))) {
        if (f) f->pub.locks++;
        return sync_fine;
    }
    return lock_contended(m, f, me, false, INT64_MAX);
}

bool weft__mutex_try(weft_mutex *m) {
    fiber *f = thread_fiber();
    if (f) scheduling_point(f);
    if (!mutex_take(&m->word, sync_me(f), false)) return false;
    if (f) f->pub.locks++;
    return true;
}

weft_exit weft_mutex_lock_until(weft_mutex *m, weft_time t) {
    fiber *f = thread_fiber();
    if (t == WEFT_FOREVER) return weft__mutex_lock(m);
    if (weft__mutex_try(m)) return sync_fine;
    return lock_contended(m, f, sync_me(f), true, t);
}

weft_exit weft_mutex_lock_for(weft_mutex *m, weft_duration d) {
    int64_t at;
    if (!weft__deadline_of(weft_now(), d, &at))
        return FAILED(WEFT_E_INVALID, "weft_mutex_lock_for: the duration is negative, or too long for the clock");
    return weft_mutex_lock_until(m, at);
}

bool weft_mutex_is_mine(const weft_mutex *m) {
    return mutex_holder(atom_load_rlx((mutex_word *)(uintptr_t)&m->word)) == sync_me(thread_fiber());
}

uintptr_t weft__mutex_holder(const void *m) {
    return mutex_holder(atom_load_rlx((mutex_word *)(uintptr_t)&((const weft_mutex *)m)->word));
}

/* ---- unlock ------------------------------------------------------------------------------------------- */

/* Has the oldest waited for too long, and the holder had its turn? */
static bool is_due(const fiber *f, uintptr_t queue) {
    const waiter *newest = queue_newest(queue);
    if (!newest || (f && f->rt->det)) return false;
    uint64_t now = arch_ticks();
    return long_since(now, newest->next->tag) && (!f || WEFT__RARE || is_past(now, f->turn_began, TURN_US));
}

/* R2 to R4.  Who is to be made runnable; *again: nobody, and it is still held. */
static waiter *choose(weft_mutex *m, fiber *f, uintptr_t me, bool look, bool *again) {
    uintptr_t queue = 0;
    queue_lock(&m->queue, &queue);
    uintptr_t word = atom_load_rlx(&m->word);
    bool hand = word & MUTEX_STARVING || (look && is_due(f, queue));
    bool wakes = hand || !(word & MUTEX_WOKEN);
    waiter *to = wakes ? queue_win_oldest(&queue) : NULL;
    bool more = queue_newest(queue) != NULL;
    *again = wakes && !to;
    if (to && hand)
        mutex_hand_over(&m->word, sync_who(to), more);
    else if (to)
        mutex_free_for(&m->word, more);
    else if (wakes)
        mutex_nobody(&m->word, me);
    else
        mutex_free_again(&m->word);
    queue_unlock(&m->queue, queue);
    return to;
}

/* Is it time to ask is_due?  While others wait, every so many releases the time stamp is read, which costs much less than the lock of
 * the queue. */
static inline bool looks(fiber *f) {
    if (!f || WEFT__RARE) return true;
    if (WEFT_LIKELY(++f->pub.turns % LOOK_EVERY) || f->rt->det) return false;
    uint64_t now = arch_ticks();
    if (!is_past(now, f->looked_at, LOOK_US)) return false;
    f->looked_at = now;
    return true;
}

/* By the holder. */
static void unlock_slow(weft_mutex *m, fiber *f, uintptr_t me) {
    bool look = looks(f);
    waiter *to = NULL;
    for (bool again = true; again;) {
        if (mutex_release(&m->word, me, look) != MUTEX_LOOK) return;
        to = choose(m, f, me, look, &again);
    }
    if (to) weft__wait_over(to);
}

void weft__mutex_let_go(weft_mutex *m, fiber *f) {
    if (f) f->pub.locks--;
    unlock_slow(m, f, sync_me(f));
}

weft_err weft__mutex_unlock(weft_mutex *m) {
    fiber *f = thread_fiber();
    if (mutex_holder(atom_load_rlx(&m->word)) != sync_me(f)) return WEFT_E_NOT_HELD;
    weft__mutex_let_go(m, f);
    if (!f) return WEFT_OK;
    if (weft__attn()) { /* who only locks and unlocks polls nowhere else */
        weft__attend_timers(f->w);
        weft__attend(f);
    }
    scheduling_point(f);
    return WEFT_OK;
}

/* ---- threads that take part --------------------------------------------------------------------------- */

static weft_err outside(weft_runtime *handle, bool begins) {
    fiber *f = thread_fiber();
    if (!handle && !f) return WEFT_E_INVALID;
    if (!handle) handle = f->w->rt->handle;
    runtime *rt = weft__registry_enter(handle);
    if (!rt) return WEFT_E_CLOSED;
    (begins ? weft__foreign_begins : weft__foreign_ends)(rt);
    weft__registry_leave(handle);
    return WEFT_OK;
}

weft_err weft_outside_begin(weft_runtime *rt) { return outside(rt, true); }
weft_err weft_outside_end(weft_runtime *rt) { return outside(rt, false); }
