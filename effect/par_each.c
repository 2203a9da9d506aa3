/* effect/par_each.c -- weft_for_each_par: the same function for many items, so many at a time.
 *
 * A lane is a hand that works on items.  The caller is the first; each lane, when it begins, forks the next one, as long as
 * there may be more: so there is always one that nobody has taken yet, and its descriptor lies in the frame of the lane before.
 * It is taken when that lane waits in an item, or when a worker without work asks.  At most `most` lanes, hence items, are
 * alive; a crowd of ten thousand that never wait is one lane.
 *
 *   L1  an item is claimed by counting `next` up, by one lane; claims are in the order of the numbers
 *   L2  as long as the next lane is private nobody else claims: the first lane counts without an atomic operation.  It becomes
 *       shared on the owner's own stack, in a poll or a wait, so the owner sees it before anybody can claim
 *   L3  a lane looks whether it goes on after it has claimed: who finds nothing left was not stopped
 *
 * Otherwise effect/par.h.  Failures are the region's (sched/cancel.h): the first cancels it.
 * Rejected: a child for each item (ten thousand descriptors for k hands); claims of several items by default (those behind one
 * that waits would wait with it).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/par.h"
#include "sched/cause.h"
#include "sched/det.h"
#include "sched/fail.h"
#include "sched/local.h"

typedef struct each {
    par par;
    weft__each_call what;
    uint64_t most, grain;
    _Atomic uint64_t next;   /* item */
    _Atomic uint32_t stopped; /* an item was not worked on, or not to its end */
} each;

typedef struct lane {
    weft_task task;
    each *of;
    uint64_t number;
} lane;

PAR_INLINE uint64_t claim(each *e, bool alone) {
    if (!alone) return atom_add_rlx(&e->next, e->grain);
    uint64_t at = atom_load_rlx(&e->next);
    atom_store_rlx(&e->next, at + e->grain); /* L2 */
    return at;
}

/* As good as a fork: others may take the next lane. */
PAR_INLINE void poll(fiber *f) {
    if (WEFT_LIKELY(!weft__attn())) return;
    weft__attend_timers(f->w);
    weft__attend(f);
    if (f->w->rt->det) weft__det_minor_point(f);
}

static void item_ended_ill(each *e, fiber *f) {
    weft_exit x = f->exit;
    f->exit = par_success;
    atom_store_rlx(&e->stopped, 1);
    if (weft_ok(x)) return; /* stopped */
    if (x.tag == WEFT_EXIT_INTERRUPT)
        weft__par_cancel(&e->par); /* no failure, but it has no result either */
    else
        weft__node_failed(&e->par.region.node, x);
    weft__cause_drop(x.cause);
}

/* Items from `at`, a claim.  False: the lane ends. */
PAR_INLINE bool work_on(each *e, fiber *f, uint64_t at, unsigned depth) {
    uint64_t end = WEFT_LIKELY(e->grain == 1) ? at + 1 : at + e->grain < e->what.n ? at + e->grain : e->what.n;
    for (; at < end; at++) {
        if (WEFT_UNLIKELY(!par_goes_on(f))) { /* L3 */
            atom_store_rlx(&e->stopped, 1);
            return false;
        }
        e->what.call(e->what.items, e->what.results, at);
        if (WEFT_UNLIKELY(!weft_ok(f->exit)) || WEFT_UNLIKELY(f->told <= depth)) {
            item_ended_ill(e, f);
            return false;
        }
        poll(f);
    }
    return true;
}

/* Nodes of f at `depth` and further out are not the items'. */
PAR_INLINE void run_lane(each *e, fiber *f, uint64_t number, unsigned depth) {
    lane next;
    next.task.site = 0;
    bool more = number + 1 < e->most;
    if (more) {
        next.of = e;
        next.number = number + 1;
        weft__fork(&next.task, e->what.site);
    }
    uint64_t at;
    do at = claim(e, number == 0 && !(next.task.site & WEFT__SHARED));
    while (at < e->what.n && work_on(e, f, at, depth));
    if (more) (void)weft__take(&next.task); /* nobody took it: there is nothing left for it */
}

/* Taken by somebody else. */
void weft__lane_run(weft_task *task, weft_head head) {
    lane *l = (lane *)task;
    fiber *f = thread_fiber();
    uint16_t told = f->told;
    (void)head;
    f->told = TOLD_NOTHING;
    run_lane(l->of, f, l->number, 0);
    f->told = told;
}

static weft_exit on_thread(const weft__each_call *c) {
    const weft__evidence *own = evidence_child_begins(NULL);
    for (size_t i = 0; i < c->n; i++) c->call(c->items, c->results, i);
    evidence_child_ends(NULL, own);
    return par_success;
}

weft_exit weft__for_each(const weft__each_call *c, const weft_each_options *o) {
    fiber *f = thread_fiber();
    each e;
    if (o->parallelism < 0 || o->grain < 0)
        return FAILED(WEFT_E_INVALID, "weft_for_each_par: .parallelism or .grain is negative; 0 means 1");
    if (c->n == 0) return par_success;
    if (!c->items) return FAILED(WEFT_E_INVALID, "weft_for_each_par: a number of items, but no items; pass an array of them");
    if (!f) return on_thread(c);
    scheduling_point(f);
    e.what = *c;
    e.grain = !o->grain ? 1 : (uint64_t)o->grain < c->n ? (uint64_t)o->grain : c->n;
    e.most = o->parallelism ? (uint64_t)o->parallelism : 1;
    if (e.most > c->n) e.most = c->n;
    *(uint64_t *)&e.next = 0;
    *(uint32_t *)&e.stopped = 0;
    par_enter(&e.par, f);
    run_lane(&e, f, 0, e.par.region.node.depth);
    weft_exit x = par_success;
    if (WEFT_LIKELY(par_private(&e.par)))
        par_leave(&e.par, f);
    else
        x = weft__par_leave_slow(&e.par, f);
    if (WEFT_UNLIKELY(!weft_ok(x))) return weft__hold_own(f, x);
    return WEFT_UNLIKELY(atom_load_rlx(&e.stopped)) ? weft__par_interrupt(f) : par_success;
}
