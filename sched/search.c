/* sched/search.c -- where a worker without work looks, in which order, and how it goes to sleep.
 *
 *   own ready work (sched/queue.h), own shared children (newest first), what came from outside, other workers'
 *   shared children (oldest first) and public run queues (half); then a request to each busy worker, a while of
 *   looking again, and sleep (sched/idle.h)
 *
 * A request is the WANT bit in a worker's attention word.  Two pauses keep tiny tasks from being torn apart
 * by an idle thief, the collapse that most runtimes show on two workers: a thief whose last steals were not
 * worth it waits before it asks again (ask_after), and nobody asks a worker whose offers keep coming back
 * (calm_until).  Before it sleeps a worker asks everybody regardless, so no request is ever forgotten.
 *
 * Rejected: last victim first (hammers one line); asking all the time.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/arch.h"
#include "alloc/fault.h"
#include "sched/clock.h"
#include "sched/det.h"
#include "sched/quiet.h"
#include "sched/thread.h"
#include "sched/worker.h"

#define PAY_US 1            /* a stolen task shorter than this was not worth it */
#define LONE_US 2           /* one ready item alone is left to its owner for so long */
#define ASK_PAUSE_MAX_US 32 /* longest pause between requests; shorter than the search before sleep */

static inline worker *worker_of(idle *d, unsigned i) {
    runtime *rt = (runtime *)((char *)d - offsetof(runtime, idle));
    return &rt->workers[i];
}

/* ---- the seven functions of sched/idle.h ------------------------------------------------------------- */

bool weft__idle_public_work(idle *d) {
    runtime *rt = (runtime *)((char *)d - offsetof(runtime, idle));
    if (inbox_any(&rt->outside) || atom_load_seq(&rt->stopping)) return true;
    for (unsigned i = 0; i < rt->n_workers; i++)
        if (deque_size(&rt->workers[i].deque) || run_queue_size(&rt->workers[i].open)) return true;
    return false;
}

bool weft__idle_own(idle *d, unsigned i) {
    worker *w = worker_of(d, i);
    return inbox_any(&w->inbox) || (WEFT_UNLIKELY(w->rt->det != NULL) && weft__det_wanted(w->rt));
}

static void ask(worker *v) {
    if (!(atom_load_rlx(v->attn) & ATTN_WANT)) atom_or_rlx(v->attn, ATTN_WANT);
}

/* An offer that was taken back meanwhile has used up the earlier request, so ask again. */
bool weft__idle_rescan(idle *d, unsigned self) {
    bool found = weft__idle_public_work(d);
    for (unsigned i = 0; !found && i < d->workers; i++)
        if (i != self) ask(worker_of(d, i));
    return found;
}

void weft__idle_post(idle *d, unsigned i) {
    worker *w = worker_of(d, i);
    atom_store_rel(&w->permit, 1);
    weft__os_futex_wake(&w->permit, 1);
}

/* Until the next tick of its wheel at most. */
bool weft__idle_sleep(idle *d, unsigned i) {
    worker *w = worker_of(d, i);
    while (!atom_load_acq(&w->permit)) {
        int64_t next = wheel_count(&w->wheel) ? wheel_next(&w->wheel) : INT64_MAX, left = -1;
        if (next != INT64_MAX && (left = next - weft__os_now()) <= 0) {
            w->timed = true;
            return false;
        }
        bool early = weft_fault_point(FAULT_SPURIOUS);
        weft__os_futex_wait(&w->permit, 0, early ? fault_moment(left) : left);
        if (early && !atom_load_acq(&w->permit)) return false;
    }
    atom_store_rlx(&w->permit, 0);
    return true;
}

void weft__idle_claimed(idle *d) { atom_add_seq(&((runtime *)((char *)d - offsetof(runtime, idle)))->claims, 1); }

bool weft__idle_rest(idle *d, unsigned i) { return weft__quiet_look(worker_of(d, i)); }

/* Who idles now, or was just woken, would ask too late for a task that forks at once: ask on their behalf. */
void weft__ask_for_others(worker *w) {
    runtime *rt = w->rt;
    if (rt->n_workers > 1 && (atom_load_rlx(&rt->idle.nsearch) || idle_any(&rt->idle))) ask(w);
}

void weft__work_offered(worker *w) {
    if (idle_notify(&w->rt->idle)) worker_count(&w->stats.wakes);
}

void weft__work_injected(runtime *rt) { idle_notify(&rt->idle); }

/* A woken worker is handed a search token, as wake_one would. */
void weft__wake_this(worker *w) {
    idle *d = &w->rt->idle;
    if (!idle_is_set(d, w->index) || !idle_claim(d, w->index)) return;
    atom_add_seq(&d->nsearch, 1);
    weft__idle_post(d, w->index);
}

/* The claim is a read-modify-write in any case: what was armed before it, the worker sees before it sleeps. */
void weft__wake_for_timer(worker *w) {
    idle *d = &w->rt->idle;
    if (!idle_claim(d, w->index)) return;
    atom_add_seq(&d->nsearch, 1);
    weft__idle_post(d, w->index);
}

void weft__wake_all(runtime *rt) {
    for (unsigned i = 0; i < rt->n_workers; i++) weft__wake_this(&rt->workers[i]);
}

/* ---- victims ------------------------------------------------------------------------------------------
 * Victim order is behind this one function: a random start, then everybody once.  With one cache cluster
 * there is no nearer worker; a topology would be fed in here. */
static unsigned first_victim(worker *w) {
    w->rng ^= w->rng << 13;
    w->rng ^= w->rng >> 7;
    w->rng ^= w->rng << 17;
    return (unsigned)(((w->rng & UINT32_MAX) * w->rt->n_workers) >> 32);
}

static bool asleep(const worker *v) {
    return atom_load_rlx(&v->rt->idle.mask[v->index / 64]) >> (v->index % 64) & 1;
}

/* The oldest shared child of v. */
static weft_task *steal_child(worker *w, worker *v) {
    void *child;
    for (;;) {
        switch (deque_steal(&v->deque, &child)) {
        case DEQUE_OK:
            worker_count(&w->stats.stolen);
            return child;
        case DEQUE_LOST:
            continue; /* somebody got one: the system made progress */
        default:
            return NULL;
        }
    }
}

/* Half of v's public queue: the first is returned, the others become ours. */
static item steal_ready(worker *w, worker *v) {
    item got[RUN_QUEUE_SLOTS / 2];
    bool lost = true;
    uint32_t n = 0;
    while (lost) n = run_queue_take(&v->open, got, RUN_QUEUE_SLOTS / 2, &lost);
    for (uint32_t i = 1; i < n; i++) weft__queue_adopt(w, got[i]);
    return n ? got[0] : 0;
}

/* One ready item alone is often one of two that talk, and the owner comes back for it at once; torn apart, the two would send each
 * message from cache to cache.  It is left to the owner for a moment; if it was taken back, asking was not worth it. */
static bool left_to_owner(worker *w, worker *v, uint64_t now) {
    uint32_t n = run_queue_size(&v->open), head = atom_load_rlx(&v->open.head);
    bool same = w->lone_of == v && w->lone_at == head;
    if (w->lone_of == v && !same) {
        w->lone_of = NULL;
        weft__steal_took(w, 0);
    }
    if (n != 1) return false;
    if (!same) {
        w->lone_of = v;
        w->lone_at = head;
        w->lone_until = now + LONE_US * w->rt->ticks_per_us;
    }
    if (now < w->lone_until) return true;
    w->lone_of = NULL;
    return false;
}

static bool has_public(worker *v) { return deque_size(&v->deque) || run_queue_size(&v->open); }

static work try_victim(worker *w, worker *v, uint64_t now) {
    if (weft_fault_armed(FAULT_STEAL) && has_public(v) && weft_fault_point(FAULT_STEAL)) return (work){NULL, NULL, false};
    work found = {steal_child(w, v), NULL, true};
    if (found.task) return found;
    if (left_to_owner(w, v, now)) return found;
    item i = steal_ready(w, v);
    if (i) return (work){item_task(i), item_fiber(i), false};
    if (now >= w->ask_after && now >= atom_load_rlx(&v->calm_until) && !asleep(v)) ask(v);
    return found;
}

/* Timers, its own and those of workers that do not get round to them. */
static void serve_timers(worker *w) {
    runtime *rt = w->rt;
    if (clock_virtual(rt)) return;
    int64_t now = weft__os_now();
    for (unsigned i = 0; i < rt->n_workers; i++) {
        worker *v = &rt->workers[i];
        if (v == w || (wheel_count(&v->wheel) && wheel_next(&v->wheel) <= now - WHEEL_TICK_NS)) weft__clock_serve(w, v, now);
    }
}

static work try_all_victims(worker *w) {
    unsigned n = w->rt->n_workers, at = first_victim(w);
    uint64_t now = arch_ticks();
    work found = {NULL, NULL, false};
    for (unsigned i = 0; i < n; i++, at = at + 1 == n ? 0 : at + 1) {
        if (at == w->index) continue;
        found = try_victim(w, &w->rt->workers[at], now);
        if (found.task || found.fiber) break;
    }
    return found;
}

void weft__steal_took(worker *w, uint64_t ticks) {
    uint64_t us = w->rt->ticks_per_us;
    if (ticks >= PAY_US * us) {
        w->ask_pause = 0;
        return;
    }
    w->ask_pause = w->ask_pause ? w->ask_pause * 2 : us / 4 + 1;
    if (w->ask_pause > ASK_PAUSE_MAX_US * us) w->ask_pause = ASK_PAUSE_MAX_US * us;
    w->ask_after = arch_ticks() + w->ask_pause;
}

/* ---- looking for work ------------------------------------------------------------------------------- */

/* Work that needs no search.  Ready work and own shared children take turns at going first. */
static work at_hand(worker *w) {
    w->children_first = !w->children_first;
    weft_task *child = w->children_first ? deque_pop(&w->deque) : NULL;
    if (child) return (work){child, NULL, false};
    item i = weft__queue_pop(w);
    if (i) return (work){item_task(i), item_fiber(i), false};
    return (work){deque_pop(&w->deque), NULL, false};
}

/* Counted as searching.  Returns without work after a while, or at shutdown; woken by its own timers, after one look: it
 * will sleep until the next tick. */
static work search(worker *w) {
    runtime *rt = w->rt;
    uint64_t until = w->timed ? 0 : arch_ticks() + rt->search_ticks;
    for (;;) {
        serve_timers(w);
        work found = at_hand(w);
        if (found.task || found.fiber) return found;
        found = try_all_victims(w);
        if (found.task || found.fiber) return found;
        if (arch_ticks() >= until || atom_load_rlx(&rt->stopping)) return found;
        for (int i = 0; i < 4; i++) arch_relax();
    }
}

/* Half of the workers at most search at a time. */
static bool may_search(const runtime *rt) {
    return 2 * atom_load_rlx(&rt->idle.nsearch) < rt->n_workers;
}

/* Its bound fibers talk to those of others: what it waits for will be sent to it.  Until then, or for a while, or, after a moment,
 * until it may search: only then does it look at anything but its own. */
static work await_inbox(worker *w) {
    uint64_t now = arch_ticks(), until = now + w->rt->search_ticks, moment = now + w->rt->search_ticks / 16;
    work found = {NULL, NULL, false};
    do {
        for (int i = 0; i < 16 && !inbox_any(&w->inbox); i++) arch_relax();
        if (inbox_any(&w->inbox)) found = at_hand(w);
        if (found.task || found.fiber) break;
        now = arch_ticks();
    } while ((now < moment || !may_search(w->rt)) && now < until && !atom_load_rlx(&w->rt->stopping));
    return found;
}

work weft__work_next(worker *w) {
    runtime *rt = w->rt;
    work found = {NULL, NULL, false};
    if (WEFT_LIKELY(!atom_load_rlx(&rt->stopping))) found = at_hand(w);
    if (!(found.task || found.fiber) && WEFT_UNLIKELY(w->sent_to)) found = await_inbox(w);
    if (found.task || found.fiber) return found;
    bool searching = may_search(rt);
    if (searching) idle_search(&rt->idle);
    for (;;) {
        if (searching && !atom_load_rlx(&rt->stopping)) {
            found = search(w);
            if (found.task || found.fiber) {
                idle_found(&rt->idle);
                weft__ask_for_others(w);
                return found;
            }
        }
        if (atom_load_acq(&rt->stopping)) {
            if (searching) atom_sub_seq(&rt->idle.nsearch, 1);
            return found;
        }
        worker_count(&w->stats.parks);
        w->timed = w->sent_to = false;
        searching = idle_park(&rt->idle, w->index, searching);
        if (!searching) { /* there is work: search for it, throttled or not */
            idle_search(&rt->idle);
            searching = true;
        }
    }
}
