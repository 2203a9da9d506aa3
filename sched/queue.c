/* sched/queue.c -- ready work.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/queue.h"
#include "sched/clock.h"
#include "sched/det.h"
#include "sched/spawn.h"
#include "sched/thread.h"
#include "sched/worker.h"

void weft__queue_forget_home(item i) {
    weft_task *t = item_task(i);
    if (t && (t->site & WEFT__JOINED) == WEFT__SPAWNED) atom_store_rlx(&spawn_of_task(t)->home, BOUND_NOWHERE);
}

void weft__queue_adopt(worker *w, item i) {
    weft_task *t = item_task(i);
    if (t && (t->site & WEFT__JOINED) == WEFT__SPAWNED) atom_store_rlx(&spawn_of_task(t)->home, (uint16_t)w->index);
    weft__queue_put(w, i);
}

void weft__queue_age(worker *w) {
    queue *q = &w->queue;
    while (q->fresh.n) {
        item i = fifo_pop(&q->fresh);
        weft_task *t = item_task(i);
        if ((t->site & WEFT__JOINED) == WEFT__SPAWNED && atom_load_rlx(&spawn_of_task(t)->home) == w->index)
            atom_store_rlx(&spawn_of_task(t)->home, (uint16_t)(w->index | HOME_OLD));
        fifo_push(&q->mine, i);
    }
}

/* The first `most` of a line.  An item may be running elsewhere once it is pushed: not fifo_pop, which looks into it. */
static unsigned share_line(worker *w, fifo *line, unsigned most) {
    unsigned moved = 0;
    for (; moved < most; moved++) {
        item i = line->first, next = item_link(i)->next;
        weft__queue_forget_home(i);
        if (!run_queue_push(&w->open, i)) break;
        line->first = next;
        line->n--;
    }
    return moved;
}

unsigned weft__queue_share(worker *w, bool all) {
    queue *q = &w->queue;
    unsigned moved = share_line(w, &q->high, q->high.n);
    moved += share_line(w, &q->mine, all ? q->mine.n : (q->mine.n + 1) / 2);
    moved += share_line(w, &q->fresh, all ? q->fresh.n : (q->fresh.n + 1) / 2);
    if (all || moved == 0) moved += share_line(w, &q->low, q->low.n);
    if ((all || moved == 0) && q->runnext) {
        weft__queue_forget_home(q->runnext);
        if (run_queue_push(&w->open, q->runnext)) {
            q->runnext = 0;
            moved++;
        }
    }
    return moved;
}

static unsigned bound_of(item i) { return item_fiber(i) ? item_fiber(i)->bound : BOUND_NOWHERE; }

unsigned weft__queue_priority(item i) {
    fiber *f = item_fiber(i);
    if (f) return f->priority;
    weft_task *t = item_task(i);
    return (t->site & WEFT__JOINED) == WEFT__SPAWNED ? spawn_of_task(t)->priority : PRIORITY_NORMAL;
}

static void send(worker *home, item i) {
    inbox_push(&home->inbox, i, &item_link(i)->next);
    weft__wake_this(home);
}

static bool is_fresh(const worker *w, item i) {
    weft_task *t = item_task(i);
    return t && (t->site & WEFT__JOINED) == WEFT__SPAWNED && atom_load_rlx(&spawn_of_task(t)->home) == w->index;
}

/* Its line on this worker; NULL: it was sent to the worker it is bound to. */
static fifo *line_of(worker *w, item i) {
    unsigned bound = bound_of(i), priority = weft__queue_priority(i);
    if (bound == w->index) return &w->queue.bound;
    if (bound == BOUND_NOWHERE)
        return priority == PRIORITY_NORMAL && is_fresh(w, i) ? &w->queue.fresh : queue_of_priority(&w->queue, priority);
    send(&w->rt->workers[bound], i);
    return NULL;
}

void weft__queue_put(worker *w, item i) {
    fifo *line = line_of(w, i);
    if (line) fifo_push(line, i);
}

void weft__queue_put_back(worker *w, item i) {
    fifo *line = line_of(w, i);
    if (line == &w->queue.fresh)
        fifo_push(line, i);
    else if (line)
        fifo_push_first(line, i);
}

bool weft__ready_elsewhere(worker *w, fiber *f) {
    runtime *rt = w->rt;
    if (rt->n_workers == 1 || f->bound != BOUND_NOWHERE || f->w != w) return false;
    unsigned to = (w->index + 1) % rt->n_workers;
    for (unsigned i = 0; i < rt->n_workers; i++)
        if (i != w->index && idle_is_set(&rt->idle, i)) to = i;
    send(&rt->workers[to], item_of_fiber(f));
    return true;
}

void weft__ready_slow(worker *w, item i) {
    (void)i;
    if (WEFT_UNLIKELY(w->rt->det != NULL)) return weft__det_ready(w);
    if (atom_load_rlx(w->attn) & ATTN_WANT) {
        w->queue.sharing = true;
        weft__attend(w->running);
    }
    if (w->queue.sharing && weft__queue_share(w, true)) weft__work_offered(w);
}

void weft__ready_special(worker *w, item i) {
    weft__queue_put(w, i);
    if (atom_load_rlx(w->attn) || w->queue.sharing) weft__ready_slow(w, i);
}

void weft__inject(runtime *rt, item i) {
    inbox_push(&rt->outside, i, &item_link(i)->next);
    weft__work_injected(rt);
}

void weft__inject_visiting(runtime *rt, item i) {
    atom_add_ar(&rt->visitors, 1);
    weft__inject(rt, i);
    atom_sub_ar(&rt->visitors, 1); /* the last access to *rt */
}

/* Oldest first into the queue.  False if there was nothing. */
static bool collect(worker *w, inbox *from) {
    item i = inbox_drain(from), turned = 0;
    if (!i) return false;
    while (i) {
        item older = item_link(i)->next;
        item_link(i)->next = turned;
        turned = i;
        i = older;
    }
    while (turned) {
        item next = item_link(turned)->next;
        weft__queue_put(w, turned);
        turned = next;
    }
    return true;
}

/* Whoever takes what came from outside cannot run it all: the rest is offered if anybody sleeps. */
void weft__queue_collect(worker *w, bool outside) {
    if (WEFT_UNLIKELY(w->rt->det != NULL)) return; /* it has its own time for that */
    if (collect(w, &w->inbox)) w->sent_to = true;
    if (!outside || !collect(w, &w->rt->outside)) return;
    weft__ask_for_others(w);
    unsigned n = w->queue.fresh.n + w->queue.mine.n + w->queue.high.n + w->queue.low.n;
    if (n > 1 && idle_any(&w->rt->idle) && weft__queue_share(w, false)) weft__work_offered(w);
}

/* A thousand ready fibers do not fit into the first cache, and which comes next is known: its control block is fetched two
 * turns ahead, its frame one. */
static inline void prefetch_next(const queue *q) {
    __asm__ volatile(""); /* or gcc takes it for a function without effect and drops the call */
    if (q->mine.n < 2) return;
    item next = q->mine.first, after = item_link(next)->next;
    const fiber *f = item_fiber(next);
    if (f) {
        __builtin_prefetch(f->ctx.sp);
        __builtin_prefetch((const char *)f->ctx.sp + 64);
    }
    const char *block = item_fiber(after) ? (const char *)item_fiber(after) : (const char *)item_task(after);
    __builtin_prefetch(block);
    __builtin_prefetch(block + 64);
    __builtin_prefetch(block + 128);
}

item weft__queue_pop_line(worker *w) {
    queue *q = &w->queue;
    q->streak = 0;
    if ((q->bound.n | q->fresh.n) != 0 || WEFT_UNLIKELY(q->mine.n == 0)) {
        if (q->bound.n == 0 && queue_fresh_is_next(q)) return fifo_pop_last(&q->fresh);
        if (q->bound.n != 0 || q->mine.n == 0) return weft__queue_pop_slow(w);
    }
    item i = fifo_pop(&q->mine);
    prefetch_next(q);
    return i;
}

item weft__queue_pop_slow(worker *w) {
    queue *q = &w->queue;
    if (WEFT_UNLIKELY(w->rt->det != NULL)) return weft__det_pop(w);
    if (q->turn % FAIR_TURNS == 0) {
        clock_serve_own(w);
        if (q->turn % OLDEST_TURNS == 0 && q->fresh.n) return fifo_pop(&q->fresh);
        weft__queue_collect(w, true);
        item i = run_queue_pop(&w->open);
        if (i) return i;
        if (q->low.n) return fifo_pop(&q->low);
    }
    if (q->high.n) return fifo_pop(&q->high);
    if (q->bound.n != 0 && (q->turn & 1 || (q->mine.n | q->fresh.n) == 0)) return fifo_pop(&q->bound);
    if (q->mine.n && !queue_fresh_is_next(q)) return fifo_pop(&q->mine);
    if (q->fresh.n) return fifo_pop_last(&q->fresh);
    item i = q->runnext;
    q->runnext = 0;
    if (i) return i;
    weft__queue_collect(w, true);
    if (q->high.n) return fifo_pop(&q->high);
    if (q->bound.n) return fifo_pop(&q->bound);
    if (q->mine.n) return fifo_pop(&q->mine);
    if (atom_load_rlx(&w->open.tail) != atom_load_rlx(&w->open.head) && (i = run_queue_pop(&w->open))) return i;
    return q->low.n ? fifo_pop(&q->low) : 0;
}
