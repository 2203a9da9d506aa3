/* sched/fiber.c -- carriers and the switch between fibers.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/fiber.h"
#include "alloc/san.h"
#include "sched/join.h"
#include "sched/misuse.h"
#include "sched/thread.h"
#include "sched/worker.h"

/* Carriers kept suspended in their loops: as many as a worker may need in quick succession.  The rest go
 * back to the stack pool, whose own cache is larger but whose stacks must be set up again. */
#define CARRIERS_KEPT (WEFT__RARE ? 1 : 16)

/* A join on less stack than this goes to another one: a quarter of the class, at most 16 KiB (more with
 * instrumented frames). */
static size_t low_mark(const stack *s) {
    size_t quarter = weft__stack_class_bytes(s->cls) / 4, most = (size_t)16 * 1024 * WEFT__SAN_STACKS;
    return quarter < most ? quarter : most;
}

/* Executed on the side that was switched to, first thing.  Copies the note before acting: it lies on the
 * stack of `from`, which may be running elsewhere the moment it is visible. */
static void after_switch(fiber *self, const after *note) {
    after a = *note;
    switch (a.kind) {
    case AFTER_NOTHING:
        break;
    case AFTER_PARK:
        if (!join_park(&a.task->join, (uintptr_t)a.from)) self->resume = a.from;
        break;
    case AFTER_RUN:
        self->first = a.task;
        break;
    case AFTER_FREE:
        if (self->w->n_carriers >= CARRIERS_KEPT) {
            weft__carrier_drop(self->w, a.from);
            break;
        }
        a.from->next = self->w->carriers;
        self->w->carriers = a.from;
        self->w->n_carriers++;
        break;
    }
}

void weft__fiber_switch(fiber *from, fiber *to, after note) {
    worker *w = from->w;
    to->w = w;
    w->running = to;
    weft__thread_set(to);
    const after *got = weft__ctx_switch(&from->ctx, &to->ctx, &note);
    after_switch(from, got); /* maybe on another worker: from->w was rewritten */
}

static void carrier_entry(void *note) {
    fiber *self = thread_fiber();
    after_switch(self, note);
    weft__worker_loop(self);
}

void weft__fiber_enter(worker *w, fiber *first) {
    after note = {AFTER_NOTHING, NULL, NULL};
    first->w = w;
    w->running = first;
    weft__thread_set(first);
    weft__ctx_switch(&w->thread, &first->ctx, &note);
    weft__thread_set(NULL);
}

_Noreturn void weft__fiber_leave(fiber *self) {
    weft__ctx_switch(&self->ctx, &self->w->thread, NULL);
    weft__misuse("a worker that left its loop was resumed: this is a defect of Weft");
}

fiber *weft__carrier_get(worker *w) {
    fiber *f = w->carriers;
    if (f) {
        w->carriers = f->next;
        w->n_carriers--;
        return f;
    }
    stack s;
    if (!weft__stack_get(w->stacks, w->rt->stack_cls, &s)) return NULL;
    f = weft__fiber_on(&s);
    *f = (fiber){.w = w, .stk = s};
    f->pub.head = f->anchor = &f->pub.root;
    f->pub.root.site = WEFT__SHARED;
    f->pub.low = s.lo + low_mark(&s);
    weft__ctx_init(&f->ctx, s.lo, (char *)f, carrier_entry);
    worker_count(&w->stats.stacks);
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
        w->carriers = f->next;
        weft__carrier_drop(w, f);
    }
    w->n_carriers = 0;
}
