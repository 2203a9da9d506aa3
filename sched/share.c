/* sched/share.c -- which children become public, and when.
 *
 * Only on request: a worker without work sets WANT, the owner notices at its next fork or join and offers
 * its oldest private children, one for each hungry worker, more when the last offer was gone quickly.  Oldest,
 * because in a recursion the oldest child is the largest.
 *
 * An offer that does not pay (taken back unstolen, or waited for within moments) doubles a pause during which
 * nobody asks this worker; a steal that pays ends it.
 *
 * Order that matters (tests/model, idle): WANT is cleared by an RMW, only when something will be offered,
 * and before the offer.  Clearing it with nothing to offer would hide all later work from sleeping workers.
 *
 * Rejected: offering half of the private children: counting and walking a list of a million descriptors, to
 * re-claim most of them one atomic operation each.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/arch.h"
#include "alloc/heap.h"
#include "sched/join.h"
#include "sched/cancel.h"
#include "sched/clock.h"
#include "sched/take.h"
#include "sched/thread.h"
#include "sched/worker.h"

#define UNPAID_MAX 6      /* 2 us: the longest pause */
#define SOON_US 2         /* waiting for a stolen child this soon after its offer did not pay */
#define QUICK_US 20       /* everything of an offer gone by now: offer twice as much */
#define SHARE_MAX 64


/* Marks (weft/cancel.h) lie among the children and are never offered: passing one, the children after it belong to its
 * node. */
static bool has_private(fiber *f) {
    while (f->anchor != f->pub.head) {
        weft_task *t = f->anchor->newer;
        if (t->site != (uintptr_t)&weft__region_site) return true;
        t->site |= WEFT__SHARED;
        f->anchor = t;
        f->anchor_scope = &((weft__region *)t)->node;
    }
    return false;
}

static bool grow(worker *w) {
    deque_ring *old = atom_load_rlx(&w->deque.ring);
    uint64_t capacity = old->capacity * 2;
    if (capacity > DEQUE_MAX_ITEMS) return false;
    deque_ring *r = weft__heap_alloc(DEQUE_RING_BYTES(capacity), 64);
    if (!r) return false;
    r->capacity = capacity;
    deque_grow(&w->deque, r);
    return true;
}

/* Offer the k oldest private children of f, or as many as there are and memory allows. */
static uint64_t offer(worker *w, fiber *f, uint64_t k) {
    uint64_t total = 0;
    if (cancel_due(f)) weft__deadlines_arm(f); /* a child that is run elsewhere must be stopped in time */
    while (total < k && has_private(f)) {
        uint64_t room, at = deque_end(&w->deque, &room), n = 0;
        if (room == 0 && !grow(w)) break;
        if (room == 0) continue;
        for (; n < room && total + n < k && has_private(f); n++) {
            weft_task *t = f->anchor->newer;
            t->site |= WEFT__SHARED;
            atom_store_rlx(&t->place, task_place(w->index, (at + n) & DEQUE_TOP_MASK));
            atom_store_rlx(&t->join, join_pending(f->anchor_scope));
            deque_put(&w->deque, at + n, t);
            f->anchor = t;
        }
        deque_offer(&w->deque, n);
        total += n;
    }
    if (total) worker_count_by(&w->stats.published, total);
    return total;
}

/* How many workers could use something now. */
static unsigned hungry(runtime *rt) {
    unsigned n = atom_load_rlx(&rt->idle.nsearch);
    for (unsigned i = 0; i < idle_words(&rt->idle); i++)
        n += (unsigned)__builtin_popcountll(atom_load_rlx(&rt->idle.mask[i]));
    return n ? n : 1;
}

/* One for each, doubled while offers vanish quickly. */
static uint64_t how_many(worker *w, uint64_t now) {
    bool quick = deque_size(&w->deque) == 0 && now - w->offered_at < QUICK_US * w->rt->ticks_per_us;
    w->share = quick && w->share < SHARE_MAX ? w->share * 2 : quick ? w->share : 1;
    unsigned n = hungry(w->rt);
    return n > w->share ? n : w->share;
}

/* With fewer on offer than are hungry, the request stands for the next fork or join: a parent that forks a few children
 * and then computes is asked once.  Not while offers do not pay, unless memory ran out and nothing was offered. */
static bool enough(worker *w, uint64_t offered, uint64_t now) {
    if (offered == 0) return false;
    return deque_size(&w->deque) + run_queue_size(&w->open) >= hungry(w->rt) || now < atom_load_rlx(&w->calm_until);
}

/* At a poll, never in the middle of something: what fires makes others ready. */
void weft__attend_timers(worker *w) {
    if (WEFT_LIKELY(!(atom_load_rlx(w->attn) & ATTN_TICK & ~(uint32_t)1))) return;
    atom_and_rlx(w->attn, ~(uint32_t)(ATTN_TICK & ~1));
    clock_serve_own(w);
}

void weft__attend(fiber *f) {
    worker *w = f->w;
    if (WEFT_UNLIKELY(w->rt->det != NULL)) return; /* nobody else wants anything */
    uint32_t asked = atom_load_rlx(w->attn);
    bool children = has_private(f), ready = queue_has_spare(&w->queue);
    if (!(asked & ATTN_WANT || WEFT__RARE) || (!children && !ready)) return;
    uint64_t now = arch_ticks(), k = WEFT__RARE ? UINT64_MAX : how_many(w, now);
    atom_and_rlx(w->attn, ~(uint32_t)ATTN_WANT);
    w->offered_at = now;
    uint64_t n = children ? offer(w, f, k) : 0;
    if (ready) n += weft__queue_share(w, w->queue.sharing);
    if (n) weft__work_offered(w);
    if (asked & ATTN_WANT && !enough(w, n, now)) atom_or_rlx(w->attn, ATTN_WANT);
}

void weft__share_all(fiber *f) {
    worker *w = f->w;
    if (!has_private(f)) return;
    if (WEFT_UNLIKELY(w->rt->det != NULL)) {
        offer(w, f, UINT64_MAX);
        return;
    }
    uint32_t asked = atom_and_rlx(w->attn, ~(uint32_t)ATTN_WANT);
    w->offered_at = arch_ticks();
    if (offer(w, f, UINT64_MAX))
        weft__work_offered(w);
    else if (asked & ATTN_WANT)
        atom_or_rlx(w->attn, ATTN_WANT);
}

void weft__offer_unpaid(worker *w) {
    if (w->unpaid < UNPAID_MAX) w->unpaid++;
    uint64_t us = w->rt->ticks_per_us;
    atom_store_rlx(&w->calm_until, arch_ticks() + ((2 * us) >> (UNPAID_MAX - w->unpaid)));
}

void weft__offer_waited(worker *w) {
    if (arch_ticks() - w->offered_at < SOON_US * w->rt->ticks_per_us)
        weft__offer_unpaid(w);
    else
        w->unpaid = 0;
}
