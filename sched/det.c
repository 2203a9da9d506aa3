/* sched/det.c -- the deterministic executor.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/det.h"
#include "alloc/heap.h"
#include "sched/cause.h"
#include "sched/evidence.h"
#include "sched/exit.h"
#include "sched/quiet.h"
#include "sched/record.h"
#include "sched/report.h"
#include "sched/spawn_run.h"
#include "sched/thread.h"
#include <inttypes.h>
#include <stdio.h>

/* ---- names -------------------------------------------------------------------------------------------- */

/* Of tasks in the order in which they were spawned, or, of forked children, got a carrier: the same in each run. */
#define STRAND (UINT64_C(1) << 62)

static uint64_t recorded_name(item i) {
    fiber *f = item_fiber(i);
    weft_task *t = item_task(i);
    if (f) return weft__record_name(f);
    return (t->site & WEFT__JOINED) == WEFT__SPAWNED ? weft__record_name_of_block(spawn_of_task(t)) : 0;
}

static uint64_t name_of(const det *d, item i) {
    fiber *f = item_fiber(i);
    if (explore_follows(&d->explorer)) return recorded_name(i);
    if (f) return f->self ? f->self->id : f->name;
    weft_task *t = item_task(i);
    return (t->site & WEFT__JOINED) == WEFT__SPAWNED ? spawn_of_task(t)->id : STRAND + d->strands + 1;
}

/* ---- ready work --------------------------------------------------------------------------------------- */

static bool is_forked_child(item i) {
    weft_task *t = item_task(i);
    return t && (t->site & WEFT__JOINED) != WEFT__SPAWNED && !(atom_load_rlx(&t->join) & JOIN_ROOT);
}

static void push(det *d, item i) {
    if (is_forked_child(i)) {
        d->claimed = item_task(i);
        return;
    }
    weft__queue_forget_home(i);
    fifo_push(&d->line[weft__queue_priority(i)], i);
}

static void push_all(det *d, fifo *from) {
    while (from->n) push(d, fifo_pop(from));
}

void weft__det_ready(worker *w) {
    det *d = w->rt->det;
    queue *q = &w->queue;
    push_all(d, &q->high);
    push_all(d, &q->mine);
    push_all(d, &q->fresh);
    push_all(d, &q->bound);
    push_all(d, &q->low);
    if (q->runnext) push(d, q->runnext);
    q->runnext = 0;
}

/* And it is that one's turn again. */
void weft__det_put_back(worker *w, item i) {
    det *d = w->rt->det;
    d->turn--;
    d->child_next = is_forked_child(i);
    if (is_forked_child(i))
        d->claimed = item_task(i);
    else
        fifo_push_first(&d->line[weft__queue_priority(i)], i);
}

static bool any_child(const worker *w) { return w->rt->det->claimed || deque_size((deque *)&w->deque); }

bool weft__det_any(const worker *w) {
    const det *d = w->rt->det;
    return d->line[PRIORITY_HIGH].n | d->line[PRIORITY_NORMAL].n | d->line[PRIORITY_LOW].n || any_child(w) ||
           !weft__queue_empty(w);
}

/* One of the children that fibers have left behind: the one that was put back, else the oldest or the newest. */
static item child(worker *w, bool newest) {
    det *d = w->rt->det;
    void *t = d->claimed;
    d->claimed = NULL;
    if (!t && (newest ? !(t = deque_pop(&w->deque)) : deque_steal(&w->deque, &t) != DEQUE_OK)) return 0;
    return item_of_task(t);
}

#define OLDEST ((item)2) /* a child, not yet taken: no items */
#define NEWEST ((item)4)

/* Who is next by itself, not yet taken: the highest priority, and normal ones and children take turns; but each
 * FAIR_TURNSth time the lowest, since others may wait for it by yields. */
static item first_in_line(const worker *w) {
    const det *d = w->rt->det;
    const fifo *high = &d->line[PRIORITY_HIGH], *normal = &d->line[PRIORITY_NORMAL], *low = &d->line[PRIORITY_LOW];
    item a_child = any_child(w) ? OLDEST : 0;
    if (d->turn % FAIR_TURNS == FAIR_TURNS - 1) {
        if (low->n) return low->first;
        if (high->n && (a_child || normal->n)) return a_child ? a_child : normal->first;
    }
    if (high->n) return high->first;
    if (a_child && (d->child_next || !normal->n)) return a_child;
    if (normal->n) return normal->first;
    return low->n ? low->first : 0;
}

static item take(worker *w, item i) {
    det *d = w->rt->det;
    d->turn++;
    d->child_next = i != OLDEST && i != NEWEST;
    if (!d->child_next) return child(w, i == NEWEST);
    fifo_remove(&d->line[weft__queue_priority(i)], i);
    return i;
}

item weft__det_fiber(worker *w) {
    det *d = w->rt->det;
    if (!weft__queue_empty(w)) weft__det_ready(w);
    for (unsigned p = 0; p < PRIORITIES; p++) {
        item i = d->line[p].n ? d->line[p].first : 0;
        for (unsigned k = 0; k < d->line[p].n; k++, i = item_link(i)->next) {
            if (!item_fiber(i)) continue;
            fifo_remove(&d->line[p], i);
            return i;
        }
    }
    return 0;
}

/* ---- alternatives ------------------------------------------------------------------------------------- */

static void add(alternatives *a, item i, uint64_t who) {
    if (a->n == DET_ALTERNATIVES) return;
    a->items[a->n] = i;
    a->who[a->n++] = who;
}

static void add_line(alternatives *a, const det *d, unsigned priority, uint32_t most, item but) {
    const fifo *line = &d->line[priority];
    item i = line->first;
    for (unsigned k = 0; k < line->n && k < most; k++, i = item_link(i)->next)
        if (i != but) add(a, i, name_of(d, i));
}

/* First of all who is next by itself, so that 0 at each choice is fifo.  No kind keeps another out. */
static void add_ready(alternatives *a, worker *w) {
    det *d = w->rt->det;
    item first = first_in_line(w);
    if (!first) return;
    add(a, first, first == OLDEST ? STRAND + d->strands + 1 : name_of(d, first));
    if (first != OLDEST && any_child(w)) add(a, OLDEST, STRAND + d->strands + 1);
    if (!d->claimed && deque_size(&w->deque) > 1) add(a, NEWEST, STRAND + d->strands + 2);
    add_line(a, d, PRIORITY_HIGH, DET_ALTERNATIVES / 4, first);
    add_line(a, d, PRIORITY_LOW, DET_ALTERNATIVES / 4, first);
    add_line(a, d, PRIORITY_NORMAL, DET_ALTERNATIVES, first);
}

static bool searching(const det *d) { return explore_asks(&d->explorer) && !d->calm; }

/* Afresh; `running` may go on. */
static alternatives *what_is_there(worker *w, fiber *running) {
    det *d = w->rt->det;
    alternatives *a = &d->at_hand;
    if (!weft__queue_empty(w)) weft__det_ready(w);
    a->n = 0;
    if (running) add(a, 0, name_of(d, item_of_fiber(running)));
    add_ready(a, w);
    return a;
}

/* Of those that are bounded. */
static void count_turn(runtime *rt) {
    det *d = rt->det;
    if (!d->most || ++d->steps <= d->most) return;
    d->steps = 0;
    weft__quiet_endless(rt);
}

item weft__det_pop(worker *w) {
    det *d = w->rt->det;
    explore_where where = d->yields ? EXPLORE_YIELD : EXPLORE_NEXT;
    d->yields = false;
    if (where == EXPLORE_NEXT) d->points = d->polls = 0;
    count_turn(w->rt);
    if (!weft__queue_empty(w)) weft__det_ready(w);
    if (!searching(d)) {
        item i = first_in_line(w);
        return i ? take(w, i) : 0;
    }
    const alternatives *a = what_is_there(w, NULL);
    if (a->n == 0) return 0;
    return take(w, a->items[a->n == 1 ? 0 : weft__explore_choose(&d->explorer, a->who, a->n, where)]);
}

/* ---- what comes from outside -------------------------------------------------------------------------- */

static void collect(worker *w, inbox *from) {
    item i = inbox_drain(from);
    fifo newest_first = {0};
    while (i) {
        item older = item_link(i)->next;
        fifo_push_first(&newest_first, i);
        i = older;
    }
    while (newest_first.n) fifo_push(&w->rt->det->outside, fifo_pop(&newest_first));
}

/* Who is to come next, by the schedule that is replayed; without one, or if that one cannot come any more, who came first. */
static item whose_turn(worker *w) {
    det *d = w->rt->det;
    uint64_t who = weft__explore_outside(&d->explorer);
    item i = d->outside.n ? d->outside.first : 0;
    if (!who || !i) return i;
    for (unsigned k = 0; k < d->outside.n; k++, i = item_link(i)->next)
        if (name_of(d, i) == who) return i;
    if (atom_load_seq(&w->rt->foreign)) return 0;
    d->explorer.diverged = true;
    return d->outside.first;
}

/* One at a time: what else has arrived waits until all is at rest again. */
static bool let_in(worker *w) {
    det *d = w->rt->det;
    collect(w, &w->inbox);
    collect(w, &w->rt->outside);
    item i = whose_turn(w);
    if (!i) return false;
    if (explore_asks(&d->explorer)) weft__explore_let_in(&d->explorer, name_of(d, i));
    fifo_remove(&d->outside, i);
    push(d, i);
    return true;
}

/* ---- scheduling points -------------------------------------------------------------------------------- */

/* Others run before f goes on.  False: none does. */
static bool make_place(fiber *f) {
    worker *w = f->w;
    det *d = w->rt->det;
    const alternatives *a = what_is_there(w, f);
    if (a->n == 1 && !explore_follows(&d->explorer)) return false;
    uint32_t chosen = weft__explore_choose(&d->explorer, a->who, a->n, EXPLORE_GO_ON);
    if (chosen == 0) return false;
    fiber *to = next_context(w, take(w, a->items[chosen]));
    if (!to) return false;
    before_leaving(f);
    fiber_switch(f, to, (after){AFTER_YIELD, f, NULL, NULL});
    return true;
}

/* By a record f goes on only when it is his turn. */
void weft__det_point(fiber *f) {
    det *d = f->w->rt->det;
    if (!explore_follows(&d->explorer)) return weft__det_minor_point(f);
    while (searching(d) && make_place(f)) {}
}

/* In a search, whoever comes back goes on. */
void weft__det_minor_point(fiber *f) {
    det *d = f->w->rt->det;
    if (explore_follows(&d->explorer)) return;
    if (++d->points == POINTS_MOST)
        weft__det_yield(f);
    else if (searching(d))
        make_place(f);
}

/* Nothing but yields for long: they may be for something that comes from outside, or for the thread that drives. */
static bool look_around(fiber *f) {
    worker *w = f->w;
    det *d = w->rt->det;
    d->polls = 0;
    if (!clock_virtual(w->rt)) clock_serve_own(w);
    let_in(w);
    fiber *loop = d->until ? weft__carrier_get(w) : NULL;
    if (!loop) return false;
    before_leaving(f);
    fiber_switch(f, loop, (after){AFTER_YIELD, f, NULL, NULL});
    return true;
}

/* Others go first, if there are any. */
void weft__det_yield(fiber *f) {
    worker *w = f->w;
    det *d = w->rt->det;
    d->points = 0;
    if (++d->polls >= POLLS_MOST && look_around(f)) return;
    if (!weft__det_any(w)) return count_turn(w->rt);
    d->yields = true;
    fiber_yield(f);
}

void weft__det_forked(fiber *f) {
    det *d = f->w->rt->det;
    if (explore_follows(&d->explorer)) return;
    if (searching(d) && weft__explore_flip(&d->explorer)) weft__share_all(f);
    weft__det_minor_point(f);
}

/* ---- when nothing can go on ---------------------------------------------------------------------------- */

/* Who waits for this moment goes on; announced work may still make others ready. */
static bool all_blocked(runtime *rt) {
    det *d = rt->det;
    if (atom_load_seq(&rt->foreign)) return false;
    d->rests++;
    if (!atom_load_rlx(&d->blocked)) return false;
    weft__queue_finish(&d->blocked);
    atom_store_rlx(&d->blocked, 0);
    return true;
}

typedef struct rest_seen {
    const det *d;
    uint64_t rests;
} rest_seen;

static bool rested(void *arg) {
    const rest_seen *before = arg;
    return before->d->rests != before->rests;
}

weft_exit weft__det_blocked(fiber *f) {
    weft_exit why = {WEFT_EXIT_OK, 0, NULL};
    det *d = f->rt->det;
    rest_seen before = {d, d->rests};
    waits_for(f, "all others to wait", d);
    wait_on(f, &d->blocked, NULL, rested, &before, &why);
    return why;
}

/* True: something is ready now. */
static bool at_rest(worker *w) {
    if (!clock_virtual(w->rt)) clock_serve_own(w);
    return weft__det_any(w) || let_in(w) || all_blocked(w->rt);
}

/* Who polls may have waited for just that. */
void weft__det_rest(worker *w) {
    det *d = w->rt->det;
    if (at_rest(w)) return;
    d->rested = !d->rested;
    if (!d->rested && !weft__quiet_alone(w)) weft__os_yield();
}

/* At rest: does the thread that drives wait no longer? */
static bool gives_up(runtime *rt) {
    det *d = rt->det;
    if (d->at_rest == DET_WAIT) return false;
    return d->at_rest == DET_NOT || !(atom_load_seq(&rt->foreign) || (!clock_virtual(rt) && weft__clock_armed(rt)));
}

/* Nothing: the thread has what it waits for. */
static work next_work(worker *w) {
    runtime *rt = w->rt;
    det *d = rt->det;
    for (;;) {
        if (d->until && d->until(d->until_arg)) return (work){NULL, NULL, false};
        item i = weft__det_pop(w);
        if (i) return (work){item_task(i), item_fiber(i), false};
        if (at_rest(w) || (d->at_rest && weft__quiet_alone(w))) continue;
        if (gives_up(rt)) {
            d->given_up = true;
            return (work){NULL, NULL, false};
        }
        if (weft__det_wanted(rt)) return (work){NULL, NULL, false};
        worker_count(&w->stats.parks);
        w->timed = false;
        if (idle_park(&rt->idle, w->index, false)) idle_found(&rt->idle);
    }
}

uint64_t weft__det_strand(det *d) { return STRAND + ++d->strands; }

_Noreturn void weft__det_loop(fiber *self) {
    for (;;) {
        worker *w = self->w;
        work next = {self->first, NULL, false};
        self->first = NULL;
        if (!next.task) next = next_work(w);
        if (next.task) {
            if (is_forked_child(item_of_task(next.task))) self->name = weft__det_strand(w->rt->det);
            fiber *waiter = weft__task_start(self, next.task);
            if (!waiter) continue;
            if (!waiter->first) {
                weft__ready(w, waiter);
                continue;
            }
            next.fiber = waiter; /* a carrier of another size */
        } else if (!next.fiber) {
            weft__fiber_leave(self);
        }
        if (self->stk.cls == STACK_2K && !next.fiber) next.fiber = weft__carrier_for_tiny(w);
        if (next.fiber) fiber_switch(self, next.fiber, (after){AFTER_FREE, self, NULL, NULL});
    }
}

/* ---- whose thread is the worker ------------------------------------------------------------------------ */

#define TURN_LOOK_NS 1000000 /* who waits for the turn looks this often whether it is still needed */

/* False: until(arg) has become true while another thread was the worker.  That one gives the turn up when all is at rest. */
static bool be_worker(runtime *rt, bool (*until)(void *), void *arg) {
    worker *w = &rt->workers[0];
    det *d = rt->det;
    uint32_t free = 0;
    if (!atom_cas_ar(&d->busy, &free, 1)) {
        bool over = false;
        atom_add_seq(&d->wanted, 1);
        weft__wake_this(w);
        for (free = 0; !(over = until && until(arg)) && !atom_cas_ar(&d->busy, &free, 1); free = 0)
            weft__os_futex_wait(&d->busy, 1, until ? TURN_LOOK_NS : -1);
        atom_sub_seq(&d->wanted, 1);
        if (over) return false;
    }
    w->attn = weft__thread_attn();
    w->thread_errno = weft__thread_errno();
    w->thread_exceptions = weft__thread_exceptions();
    atom_store_rlx(w->attn, ATTN_DET);
    return true;
}

static void be_worker_no_more(runtime *rt) {
    weft__thread_set(NULL);
    atom_store_rlx(rt->workers[0].attn, ATTN_PLAIN);
    atom_store_seq(&rt->det->busy, 0);
    if (atom_load_seq(&rt->det->wanted)) weft__os_futex_wake(&rt->det->busy, 1);
}

/* Another thread wants to be the worker, and this one only waits. */
bool weft__det_wanted(const runtime *rt) {
    const det *d = rt->det;
    return d && d->until && atom_load_seq(&d->wanted);
}

static void drive(runtime *rt, fiber *first, bool (*until)(void *), void *arg, det_rest at_rest) {
    det *d = rt->det;
    worker *w = &rt->workers[0];
    d->until = until;
    d->until_arg = arg;
    d->at_rest = at_rest;
    d->given_up = false;
    weft__ctx_adopt(&w->thread);
    weft__fiber_enter(w, first);
    weft__carrier_drop(w, w->running); /* it has left its loop for good */
    weft__ctx_fini(&w->thread);
    d->until = NULL;
    d->at_rest = DET_WAIT;
}

void weft__det_drive(runtime *rt, bool (*until)(void *), void *arg, det_rest at_rest) {
    bool again = true;
    while (again && !until(arg) && be_worker(rt, until, arg)) {
        fiber *first = weft__carrier_get(&rt->workers[0]); /* NULL: another thread may end what is waited for */
        if (first) drive(rt, first, until, arg, at_rest);
        again = !(first && rt->det->given_up);
        be_worker_no_more(rt);
        if (again) weft__os_yield();
    }
}

typedef struct in_time {
    bool (*until)(void *);
    void *arg;
    int64_t deadline;
} in_time;

static bool is_or_late(void *arg) {
    const in_time *t = arg;
    return t->until(t->arg) || weft__os_now() >= t->deadline;
}

#define REST_LOOK_NS 1000000 /* at rest it looks this often for what comes from outside, and at the time */

void weft__det_drive_for(runtime *rt, bool (*until)(void *), void *arg, int64_t deadline) {
    if (deadline == INT64_MAX) return weft__det_drive(rt, until, arg, DET_WAIT);
    in_time t = {until, arg, deadline};
    _Atomic uint32_t nobody = 0;
    while (!is_or_late(&t)) {
        weft__det_drive(rt, is_or_late, &t, DET_NOT);
        int64_t left = deadline - weft__os_now();
        if (!until(arg) && left > 0) weft__os_futex_wait(&nobody, 0, left < REST_LOOK_NS ? left : REST_LOOK_NS);
    }
}

static const weft_site root_site = {NULL, "main task", "weft_call", 0};

void weft__det_enter(runtime *rt) {
    det *d = rt->det;
    be_worker(rt, NULL, NULL);
    worker *w = &rt->workers[0];
    fiber *f = d->root;
    weft__fiber_adopt(f, w);
    f->name = RECORD_ROOT;
    atom_add_ar(&rt->roots, 1);
    d->task.site = (uintptr_t)&root_site | WEFT__SHARED;
    w->running = f;
    weft__thread_set(f);
    weft__task_begins(f, &d->task, &rt->root);
    evidence_set(f, f->env = weft__evidence_of_thread()->shared);
}

weft_exit weft__det_leave(runtime *rt) {
    fiber *f = rt->det->root;
    check_over(f, &rt->det->task, &f->root, 0);
    weft__task_ends(f);
    weft_exit e = f->exit;
    weft__ctx_fini(&f->ctx);
    atom_sub_ar(&rt->roots, 1);
    be_worker_no_more(rt);
    return e;
}

weft_exit weft__det_call(runtime *rt, void (*fn)(void *), void *arg) {
    weft__det_enter(rt);
    fn(arg);
    return weft__det_leave(rt);
}

void weft__det_tell(const det *d) {
    char schedule[512], text[600];
    size_t n = weft__schedule_print(&d->explorer.made, schedule, sizeof schedule);
    int length = snprintf(text, sizeof text, "weft: in the deterministic executor, seed %" PRIu64 ", schedule '%s'%s\n",
                          d->explorer.seed, schedule, n >= sizeof schedule ? " and more" : "");
    weft__os_write_err(text, (size_t)length);
}

/* ---- open and close ----------------------------------------------------------------------------------- */

static weft_err follow(det *d, const char *path) {
    uint64_t n;
    record_entry *entries = weft__record_load(path, &n, &d->record, &d->record_bytes);
    if (!entries) return WEFT_E_INVALID;
    for (uint64_t i = 0; i < n; i++) ((uint64_t *)entries)[i] = entries[i].name; /* closed up */
    weft__explore_follow(&d->explorer, (uint64_t *)entries, n);
    return WEFT_OK;
}

weft_err weft__det_open(runtime *rt, const weft_options *o) {
    det *d = weft__heap_alloc(sizeof *d, 0);
    if (!d) return WEFT_E_NOMEM;
    rt->det = d;
    rt->watched = true;
    d->root = weft__heap_alloc(sizeof *d->root, _Alignof(fiber));
    weft_explore how = o->explore;
    if (how == WEFT_EXPLORE_DEFAULT)
        how = o->schedule ? WEFT_EXPLORE_REPLAY : o->seed ? WEFT_EXPLORE_RANDOM : WEFT_EXPLORE_FIFO;
    bool record = how == WEFT_EXPLORE_REPLAY && o->schedule && *o->schedule == '@';
    weft_err err = weft__explore_begin(&d->explorer, how, o->seed, 0, o->schedule && !record ? o->schedule : "");
    if (record) err = follow(d, o->schedule + 1);
    if (err == WEFT_OK && explore_asks(&d->explorer) && !weft__explore_reserve_made(&d->explorer)) err = WEFT_E_NOMEM;
    rt->named = record;
    rt->spawn_slow = rt->spawn_slow || record;
    return d->root ? err : WEFT_E_NOMEM;
}

void weft__det_close(runtime *rt) {
    det *d = rt->det;
    if (!d) return;
    weft__explore_end(&d->explorer);
    if (d->record) weft__os_unmap_file(d->record, d->record_bytes);
    if (d->root) weft__heap_free(d->root, sizeof *d->root);
    weft__heap_free(d, sizeof *d);
}
