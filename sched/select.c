/* sched/select.c -- waiting for the first of several (weft/select.h).
 *
 * Each arm on a channel or a promise has a record, and all records carry the same ticket: whoever wins it makes that
 * arm happen, under the lock of its channel, and the others can be won no more (sched/wait.h).
 *
 *   wait                                                      wake: as with one record
 *   A1 winner := PARKING                                      B1 lock the channel
 *   A2 lock all channels and promises, in address order       B2 CAS winner ticket -> WOKEN, the value is copied
 *   A3 asked to stop?  one of them ready?  undo               B3 unlock, make runnable
 *   A4 link a record on each, leave the stack
 *   A5 winner := OPEN, unlock all
 *   A6 awake: lock each other one, take the record out
 *
 * Why this is sound.  Two selects that meet: one of them holds the lock, and scans, while it has no open wait; so the
 * other's is won or not, and never both by each other.  Nothing is overlooked: no lock is free between the scan and OPEN.
 * The frame: A5 unlocks one after the other, and the waiter may be won as soon as the first is free.  But it does not return
 * before it has had the lock of every other one (A6), which it gets when A5 has come there; so A5 reads what comes next
 * before it unlocks.  After the last unlock it touches nothing.
 * The same channel in several arms is locked once.  I2 and I3 of sched/chan.h say "but one of the same wait": a select that
 * sends and receives on one channel does not meet itself.
 *
 * Before all this each arm is tried alone, from a random one on: of arms that are ready all have the same chance.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <weft/select.h>
#include "sched/chan.h"
#include "sched/det.h"
#include "sched/fail.h"
#include "sched/promise.h"

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

#define NO_ARM FAILED(WEFT_E_INVALID, "weft_select: no arm that could ever be ready")
#define TOO_MANY FAILED(WEFT_E_LIMIT, "weft_select: more than WEFT_SELECT_MOST arms")
#define NO_TIME FAILED(WEFT_E_INVALID, "weft_select: the duration is negative, or too long for the clock")
#define NO_MEMORY FAILED(WEFT_E_NOMEM, "weft_select: no memory for another value")
#define ARM_CLOSED FAILED(WEFT_E_CLOSED, "weft_select: the channel of this arm is closed")

typedef struct arm_room {
    chan_record r;
    uintptr_t word; /* while it is locked; promise: its queue's word; channel: what lets it go */
    uint32_t order; /* of room k: the arm that is k-th in address order */
} arm_room;

_Static_assert(sizeof(arm_room) <= sizeof(weft_arm_room), "weft/select.h has room for it");

typedef struct choice {
    const weft_arm *arms;
    arm_room *rooms;
    unsigned n, waits; /* arms; of them on something that is waited for: rooms[0..waits).order */
    unsigned start;    /* the arm that is looked at first */
    int timer, otherwise; /* the arm, or -1 */
    int64_t deadline;
} choice;

static bool is_promise(const weft_arm *a) { return a->kind == WEFT_ARM_PROMISE; }
static bool sends(const weft_arm *a) { return a->kind == WEFT_ARM_SEND; }
static inline unsigned arm_at(const choice *s, unsigned k) { return s->rooms[k].order; }
static inline void *object_at(const choice *s, unsigned k) { return s->arms[arm_at(s, k)].on; }

/* ---- what there is to wait for ------------------------------------------------------------------------ */

static inline void sort_in(choice *s, unsigned arm) {
    unsigned k = s->waits++;
    for (; k > 0 && (uintptr_t)object_at(s, k - 1) > (uintptr_t)s->arms[arm].on; k--) s->rooms[k].order = s->rooms[k - 1].order;
    s->rooms[k].order = arm;
}

static WEFT_COLD bool add_timer(choice *s, unsigned arm) {
    const weft_arm *a = &s->arms[arm];
    int64_t at = a->time;
    if (a->kind == WEFT_ARM_AFTER && !weft__deadline_of(weft_now(), a->time, &at)) return false;
    if (s->timer >= 0 && at >= s->deadline) return true;
    s->timer = (int)arm;
    s->deadline = at;
    return true;
}

static inline bool prepare(choice *s) {
    for (unsigned i = 0; i < s->n; i++) {
        const weft_arm *a = &s->arms[i];
        switch (a->kind) {
        case WEFT_ARM_RECEIVE:
        case WEFT_ARM_SEND:
        case WEFT_ARM_PROMISE:
            if (a->on) sort_in(s, i);
            break;
        case WEFT_ARM_AFTER:
        case WEFT_ARM_UNTIL:
            if (!add_timer(s, i)) return false;
            break;
        case WEFT_ARM_OTHERWISE: s->otherwise = (int)i; break;
        default: break;
        }
    }
    return true;
}

/* Any of n, each as likely; of a search's run, always the same. */
static inline unsigned any_of(fiber *f, unsigned n) {
    uint64_t x = f ? f->w->rng : arch_ticks();
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    if (f) f->w->rng = x;
    return (unsigned)(((x * UINT64_C(0x2545f4914f6cdd1d) >> 32) * n) >> 32);
}

/* ---- trying ------------------------------------------------------------------------------------------- */

/* Lossy or unbounded: never waits, so it is tried here only. */
static WEFT_COLD attempt try_special(weft_chan *c, const void *value) {
    switch (weft_chan_try_send(c, value)) {
    case WEFT_OK: return CHAN_DONE;
    case WEFT_E_CLOSED: return CHAN_CLOSED;
    case WEFT_E_NOMEM: return CHAN_GROW;
    default: return CHAN_NOT;
    }
}

static inline attempt try_arm(const weft_arm *a, fiber *f) {
    if (!a->on) return CHAN_NOT;
    if (is_promise(a)) return weft__queue_done(a->on) ? CHAN_DONE : CHAN_NOT;
    weft_chan *c = a->on;
    if (!chan_may(c, sends(a))) return CHAN_NOT;
    if (WEFT_UNLIKELY(sends(a) && c->special)) return try_special(c, a->value);
    chan_deal d = {NULL, NULL, NULL};
    wait_queue *held = chan_lock(c, f);
    attempt got = chan_try(c, sends(a), a->value, &d);
    chan_unlock(held);
    if (d.partner) chan_wake(f, d.partner);
    return got;
}

static inline bool can_wait(const weft_arm *a) {
    return a->kind == WEFT_ARM_RECEIVE || a->kind == WEFT_ARM_SEND || a->kind == WEFT_ARM_PROMISE;
}

/* The arm that happened, or -1. */
static inline int try_all(const choice *s, fiber *f, attempt *how) {
    unsigned i = s->start;
    for (unsigned k = 0; k < s->n; k++, i = i + 1 < s->n ? i + 1 : 0) {
        const weft_arm *a = &s->arms[i];
        if (can_wait(a) && (*how = try_arm(a, f)) != CHAN_NOT) return (int)i;
    }
    return -1;
}

/* ---- locking all -------------------------------------------------------------------------------------- */

/* A2.  A promise that is completed has no lock any more: false, and *ready is its arm.  *fenced: a read-modify-write was
 * executed. */
static inline bool lock_all(choice *s, const fiber *f, int *ready, bool *fenced) {
    void *last = NULL;
    *fenced = false;
    for (unsigned k = 0; k < s->waits; k++) {
        unsigned i = arm_at(s, k);
        void *object = s->arms[i].on;
        if (object == last) continue;
        last = object;
        if (WEFT_LIKELY(!is_promise(&s->arms[i]))) {
            weft_chan *c = object;
            wait_queue *held = chan_lock(c, f);
            *fenced |= !bias_is_held(&c->lock, held);
            s->rooms[i].word = (uintptr_t)held;
            continue;
        }
        if ((*fenced = queue_lock(object, &s->rooms[i].word))) continue;
        *ready = (int)i;
        return false;
    }
    return true;
}

/* Those before `end`, each once; a promise's word is in the room of its first arm. */
static inline void unlock_until(const choice *s, unsigned end) {
    unsigned first = 0;
    void *object = end ? object_at(s, 0) : NULL;
    for (unsigned k = 1; k <= end; k++) {
        void *next = k < end ? object_at(s, k) : NULL;
        if (next == object) continue;
        uintptr_t word = s->rooms[arm_at(s, first)].word;
        if (is_promise(&s->arms[arm_at(s, first)])) /* what comes next was read: s may be gone after the last one */
            queue_unlock(object, word);
        else
            chan_unlock((wait_queue *)word);
        object = next;
        first = k;
    }
}

/* How many are locked when lock_all stopped at `arm`. */
static unsigned place_of(const choice *s, unsigned arm) {
    unsigned k = 0;
    while (arm_at(s, k) != arm) k++;
    return k;
}

/* A3, all locked: the arm that happened, or -1; its partner is woken when all is unlocked. */
static inline int scan(const choice *s, chan_deal *d, attempt *how) {
    unsigned i = s->start;
    for (unsigned k = 0; k < s->n; k++, i = i + 1 < s->n ? i + 1 : 0) {
        const weft_arm *a = &s->arms[i];
        if (!can_wait(a) || !a->on || is_promise(a)) continue;
        if (WEFT_UNLIKELY(sends(a) && ((weft_chan *)a->on)->special)) continue; /* try_all */
        if ((*how = chan_try(a->on, sends(a), a->value, d)) != CHAN_NOT) return (int)i;
    }
    return -1;
}

static inline void link_all(choice *s, struct fiber *f, uint64_t ticket) {
    unsigned first = 0;
    for (unsigned k = 0; k < s->waits; k++) {
        unsigned i = arm_at(s, k);
        const weft_arm *a = &s->arms[i];
        chan_record *r = &s->rooms[i].r;
        r->waiter.f = f;
        r->waiter.ticket = ticket;
        r->value = a->value;
        r->how = CHAN_NOT;
        if (object_at(s, first) != a->on) first = k;
        uintptr_t *word = &s->rooms[arm_at(s, first)].word;
        if (is_promise(a))
            *word = queue_link(*word, &r->waiter);
        else
            chan_link(chan_ring_of(a->on, sends(a)), &r->waiter);
    }
}

/* A6.  `won`: the arm by which it was woken, -1: otherwise.  What has no other arm on its object needs no look. */
static inline void leave_all(const choice *s, const fiber *f, int won) {
    for (unsigned k = 0, end; k < s->waits; k = end) {
        void *object = object_at(s, k);
        for (end = k + 1; end < s->waits && object_at(s, end) == object; end++) {}
        if (end == k + 1 && (int)arm_at(s, k) == won) continue;
        uintptr_t word = 0;
        wait_queue *held = object;
        if (!is_promise(&s->arms[arm_at(s, k)]))
            held = chan_lock(object, f);
        else if (!queue_lock(object, &word))
            continue; /* emptied meanwhile */
        for (unsigned j = k; j < end; j++) {
            unsigned i = arm_at(s, j);
            waiter *w = &s->rooms[i].r.waiter;
            if (!is_promise(&s->arms[i]))
                chan_unlink(chan_ring_of(object, sends(&s->arms[i])), w);
            else if (w->next)
                word = queue_unlink(word, w);
        }
        queue_unlock(held, word);
    }
}

/* Woken: by which arm?  -1: by a promise. */
static inline int happened(const choice *s, attempt *how) {
    for (unsigned k = 0; k < s->waits; k++) {
        unsigned i = arm_at(s, k);
        if ((*how = s->rooms[i].r.how) != CHAN_NOT) return (int)i;
    }
    return -1;
}

/* ---- waiting ------------------------------------------------------------------------------------------ */

typedef struct select_leave {
    uint64_t ticket;
    spin *timers;
    const choice *s;
} select_leave;

/* A5. */
void weft__select_open(fiber *from, const void *what) {
    const select_leave *l = what;
    choice s = *l->s;
    spin *timers = l->timers;
    wait_open(&from->winner, l->ticket);
    if (timers) spin_unlock(timers);
    unlock_until(&s, s.waits);
}

/* As that of sched/chan.c. */
static WEFT_COLD wait_state wait_helping(const choice *s, fiber *f, int *arm, attempt *how, weft_exit *why) {
    if (cancel_due(f) && !weft_ok(*why = weft__look_up(f))) return WAIT_CANCEL;
    if ((*arm = try_all(s, f, how)) >= 0) return WAIT_WOKEN;
    if (s->timer >= 0 && clock_now(f->w->rt) >= s->deadline) return WAIT_TIMEOUT;
    clock_serve_own(f->w);
    weft__help_until(f, s->timer >= 0 ? s->deadline : INT64_MAX);
    return WAIT_RUNNING;
}

SWITCH_INLINE wait_state select_wait(choice *s, fiber *f, int *arm, attempt *how, limit *until, weft_exit *why) {
    for (;;) {
        select_leave l = {0, NULL, s};
        chan_deal d = {NULL, NULL, NULL};
        before_leaving(f);
        if (WEFT_UNLIKELY(f->strand)) weft__node_publish(&f->base);
        fiber *opened = WEFT_UNLIKELY(f->then && !f->then_ticket) ? weft__then_open(f) : NULL;
        item next = weft__queue_pop(f->w);
        fiber *to = next_context(f->w, next);
        if (WEFT_UNLIKELY(!to)) {
            wait_state helped = wait_helping(s, f, arm, how, why);
            if (helped == WAIT_RUNNING) continue;
            return helped;
        }
        l.ticket = wait_begin(&f->winner, f->floor); /* A1 */
        *arm = -1;
        *how = CHAN_DONE;
        bool fenced;
        unsigned locked = lock_all(s, f, arm, &fenced) ? s->waits : place_of(s, (unsigned)*arm); /* A2 */
        if (!fenced) wait_show(&f->winner, l.ticket);
        if (until) l.timers = clock_lock(f->w); /* a read-modify-write, as each lock: for the fence */
        atom_fence_after_rmw();
        if (WEFT_UNLIKELY(opened != NULL)) weft__then_look(f);
        bool due = cancel_due(f);
        if (*arm < 0 && WEFT_LIKELY(!due)) *arm = scan(s, &d, how);
        if (WEFT_UNLIKELY(due || *arm >= 0)) { /* A3 */
            if (l.timers) spin_unlock(l.timers);
            unlock_until(s, locked);
            wait_end(&f->winner);
            weft__leave_not(f, to, next);
            if (d.partner) chan_wake(f, d.partner);
            if (due && !weft_ok(*why = weft__look_up(f))) return WAIT_CANCEL;
            if (due) continue;
            return WAIT_WOKEN;
        }
        link_all(s, f, l.ticket);
        if (until) {
            until->ticket = l.ticket;
            clock_link(f->w, &until->alert, ALERT_WAIT, until->deadline);
            if (!clock_virtual(f->rt)) weft__monitor_look(f->rt);
        }
        fiber_leave(f, to, (after){AFTER_SELECT, f, NULL, &l}); /* A4, A5 */
        wait_state end = wait_end(&f->winner);
        if (until && end != WAIT_TIMEOUT) clock_cancel(f->w->rt, &until->alert);
        *arm = end == WAIT_WOKEN ? happened(s, how) : -1;
        leave_all(s, f, *arm); /* A6 */
        if (end == WAIT_WOKEN && *arm < 0) *arm = try_all(s, f, how); /* a promise, or what is ready beside it */
        if (end == WAIT_TIMEOUT && (*arm = try_all(s, f, how)) >= 0) end = WAIT_WOKEN;
        if (WEFT_LIKELY(end != WAIT_CANCEL)) return end;
        if (!weft_ok(*why = weft__look_up(f))) return WAIT_CANCEL;
    }
}

static WEFT_COLD wait_state wait_on_thread(choice *s, int *arm, attempt *how) {
    wait_thread t = {WAIT_OPEN, 0};
    chan_deal d = {NULL, NULL, NULL};
    *arm = -1;
    *how = CHAN_DONE;
    bool fenced;
    unsigned locked = lock_all(s, NULL, arm, &fenced) ? s->waits : place_of(s, (unsigned)*arm);
    if (*arm < 0) *arm = scan(s, &d, how);
    if (*arm < 0) link_all(s, NULL, (uintptr_t)&t);
    unlock_until(s, locked);
    if (d.partner) chan_wake(NULL, d.partner);
    if (*arm >= 0) return WAIT_WOKEN;
    wait_state end = weft__thread_waits(&t, s->timer >= 0 ? s->deadline : INT64_MAX) ? WAIT_WOKEN : WAIT_TIMEOUT;
    *arm = end == WAIT_WOKEN ? happened(s, how) : -1;
    leave_all(s, NULL, *arm);
    if (*arm < 0) *arm = try_all(s, NULL, how);
    return *arm >= 0 ? WAIT_WOKEN : end;
}

/* ---- weft_select -------------------------------------------------------------------------------------- */

static WEFT_COLD weft_exit unusual(const weft_arm *a, attempt how) {
    if (is_promise(a)) return weft__promise_outcome(a->on, a->value);
    return how == CHAN_CLOSED ? ARM_CLOSED : NO_MEMORY;
}

static inline weft_exit said(const choice *s, int *which, int arm, attempt how) {
    const weft_arm *a = &s->arms[arm];
    *which = how == CHAN_GROW ? -1 : arm;
    return WEFT_LIKELY(how == CHAN_DONE && !is_promise(a)) ? success : unusual(a, how);
}

weft_exit weft_select_arms(int *which, const weft_arm *arms, weft_arm_room *room, size_t n) {
    choice s = {arms, (arm_room *)room, (unsigned)n, 0, 0, -1, -1, INT64_MAX};
    weft_exit why = success;
    fiber *f = thread_fiber();
    int arm;
    attempt how = CHAN_DONE;
    *which = -1;
    if (WEFT_UNLIKELY(n > WEFT_SELECT_MOST)) return TOO_MANY;
    if (f) scheduling_point(f);
    if (f && WEFT_UNLIKELY(cancel_due(f)) && !weft_ok(why = weft__look_up(f))) return why;
    if (WEFT_UNLIKELY(!prepare(&s))) return NO_TIME;
    if (WEFT_UNLIKELY(!s.waits && s.timer < 0 && s.otherwise < 0)) return NO_ARM;
    s.start = any_of(f, s.n);
    if ((arm = try_all(&s, f, &how)) >= 0) return said(&s, which, arm, how);
    if (s.otherwise >= 0) {
        bool due = s.timer >= 0 && weft_now() >= s.deadline;
        *which = due ? s.timer : s.otherwise;
        return success;
    }
    wait_state end;
    if (WEFT_LIKELY(f != NULL)) {
        limit until = {.deadline = s.deadline, .f = f};
        waits_for(f, "one of several", arms);
        end = select_wait(&s, f, &arm, &how, s.timer >= 0 ? &until : NULL, &why);
    } else {
        end = wait_on_thread(&s, &arm, &how);
    }
    if (WEFT_UNLIKELY(end == WAIT_CANCEL)) return why;
    if (WEFT_UNLIKELY(end == WAIT_TIMEOUT)) {
        *which = s.timer;
        return success;
    }
    return said(&s, which, arm, how);
}
