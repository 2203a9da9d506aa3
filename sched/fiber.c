/* sched/fiber.c -- carriers and the switch between fibers.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/fiber.h"
#include "alloc/san.h"
#include "sched/det.h"
#include "sched/evidence.h"
#include "sched/join.h"
#include "sched/misuse.h"
#include "sched/switch.h"
#include <string.h>

/* A join on less stack than this goes to another one: a quarter of the class, at most 16 KiB (more with
 * instrumented frames). */
static size_t low_mark(const stack *s) {
    size_t quarter = weft__stack_class_bytes(s->cls) / 4, most = (size_t)16 * 1024 * WEFT__SAN_STACKS;
    return quarter < most ? quarter : most;
}

static void carrier_entry(void *note) {
    fiber *self = thread_fiber();
    after_switch(self, note);
    enter_thread(self);
    if (WEFT_UNLIKELY(self->rt->det != NULL)) weft__det_loop(self);
    weft__worker_loop(self);
}

/* A suspended fiber needs no stack, so those go first: a task that is run on top of this one keeps it from going on. */
static item ready_fiber(queue *q) {
    item next = q->runnext;
    if (item_fiber(next)) {
        q->runnext = 0;
        return next;
    }
    for (item i = q->mine.n ? q->mine.first : 0; i; i = i == q->mine.last ? 0 : item_link(i)->next) {
        if (!item_fiber(i)) continue;
        fifo_remove(&q->mine, i);
        return i;
    }
    return 0;
}

static bool has_stack(worker *w) {
    fiber *carrier = weft__carrier_get(w);
    if (carrier) weft__carrier_put(w, carrier);
    return carrier != NULL;
}

/* What runs on top of f keeps it from going on, and may wait for just that: so only while there is no stack at all.  Once the
 * runtime stops, only daemons are left: this one stays where it is. */
void weft__help(fiber *f) {
    worker *w = f->w;
    if (atom_load_acq(&w->rt->stopping)) weft__fiber_leave(f);
    if (has_stack(w)) return;
    weft__queue_collect(w, true);
    item i = w->rt->det ? weft__det_fiber(w) : ready_fiber(&w->queue);
    if (!i) i = weft__queue_pop(w);
    if (!i) i = item_of_task(deque_pop(&w->deque));
    if (item_fiber(i)) {
        weft__ready_last(w, f);
        fiber_hand_over(f, item_fiber(i));
    } else if (i) {
        fiber *waiter = weft__task_run(f, item_task(i));
        if (waiter) weft__ready(f->w, waiter);
    } else if (w->rt->det) {
        weft__det_rest(w);
    } else {
        weft__os_yield();
    }
}

fiber *weft__carrier_for_tiny(worker *w) {
    for (;;) {
        fiber *f = weft__carrier_get(w);
        if (f) return f;
        weft__queue_collect(w, true);
        item i = w->rt->det ? weft__det_fiber(w) : ready_fiber(&w->queue);
        if (i) return item_fiber(i);
        weft__os_yield();
    }
}

void weft__fiber_enter(worker *w, fiber *first) {
    first->w = w;
    w->running = first;
    weft__thread_set(first);
    weft__ctx_switch(&w->thread, &first->ctx, NULL);
    weft__thread_set(NULL);
}

_Noreturn void weft__fiber_leave(fiber *self) {
    weft__ctx_exit(&self->ctx, &self->w->thread, NULL);
    weft__misuse("a worker that left its loop was resumed: this is a defect of Weft");
}

/* All but what a late canceller may still look at: the winner, whose generation goes on, and the lock and lists of the
 * base, which are free and empty whenever no task runs here. */
static void fiber_init(fiber *f, worker *w, stack s) {
    memset(f, 0, offsetof(fiber, winner));
    memset(&f->ctx, 0, offsetof(fiber, base) - offsetof(fiber, ctx));
    memset(&f->env, 0, sizeof(fiber) - offsetof(fiber, env));
    f->w = w;
    f->rt = w->rt;
    f->stk = s;
    f->bound = BOUND_NOWHERE;
    f->base.owner = &f->pub;
    f->pub.scope = f->anchor_scope = &f->base;
    f->pub.env = f->env = &weft__no_evidence;
}

static void no_children(fiber *f) {
    f->pub.head = f->anchor = &f->root;
    f->root.site = WEFT__SHARED;
    f->pub.low = f->low = f->stk.lo + low_mark(&f->stk);
}

void weft__fiber_adopt(fiber *f, worker *w) {
    stack s = {.cls = STACK_64K};
    weft__os_thread_stack(&s.lo, &s.top);
    fiber_init(f, w, s);
    no_children(f);
    weft__ctx_adopt(&f->ctx);
}

/* A fresh stack may take system calls that fail: to the fiber that leaves its own for this one that is no news. */
static bool fresh_stack(worker *w, stack_class cls, stack *out) {
    int kept = *w->thread_errno;
    bool got = weft__stack_get(w->stacks, cls, out);
    *w->thread_errno = kept;
    return got;
}

fiber *weft__fiber_fresh(worker *w, stack_class cls) {
    stack s;
    if (!fresh_stack(w, cls, &s)) return NULL;
    fiber *f = weft__fiber_on(&s);
    fiber_init(f, w, s);
    no_children(f);
    worker_count(&w->stats.stacks);
    return f;
}

fiber *weft__carrier_of(worker *w, stack_class cls) {
    fiber *f = weft__fiber_fresh(w, cls);
    if (f) weft__ctx_init(&f->ctx, f->stk.lo, (char *)f, carrier_entry);
    return f;
}

void weft__carrier_drop(worker *w, fiber *f) {
    stack s = f->stk;
    weft__ctx_fini(&f->ctx);
    weft__stack_put(w->stacks, s);
}

void weft__carriers_drop(worker *w) {
    while (w->carriers) {
        fiber *f = w->carriers;
        w->carriers = f->below;
        weft__carrier_drop(w, f);
    }
    w->n_carriers = 0;
}
