/* sched/worker.c -- the loop at the bottom of every carrier.
 *
 * Work is a task (run as a plain call on this very stack) or a suspended fiber (switched to; the carrier,
 * now without a task, goes back to the worker's list as the switch's last act).  A task that suspends takes
 * the carrier with it and the worker goes on with another one, so after every task the loop asks its fiber
 * anew which worker it is on.
 *
 * Rejected: a scheduler stack that every switch bounces through: two switches where one does.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/worker.h"
#include "alloc/arch.h"
#include "sched/join.h"
#include "sched/misuse.h"
#include "sched/thread.h"

void weft__ready_push(worker *w, fiber *f) {
    f->next = w->ready;
    w->ready = f;
}

/* A task's children are joined before it returns: the list is what it was. */
static void check_joined(fiber *self, const weft_task *t, const weft_task *head) {
    if (WEFT_LIKELY(self->pub.head == head)) return;
    const weft_site *site = (const weft_site *)(t->site & ~(uintptr_t)WEFT__JOINED);
    weft__misuse("task '%s' (forked at %s:%d) returned without joining a child it forked; "
                 "join every child before the frame that holds its descriptor returns",
                 site->name, site->file, site->line);
}

fiber *weft__task_run(fiber *self, weft_task *t) {
    const weft_site *site = (const weft_site *)(t->site & ~(uintptr_t)WEFT__JOINED);
    weft_task *outer = self->task, *head = self->pub.head;
    self->task = t;
    site->run(t, head);
    check_joined(self, t, head);
    self->task = outer;
    uintptr_t waiter = join_finish(&t->join); /* the last access to *t, but for root tasks */
    if (waiter & JOIN_ROOT) {
        weft__root_done((root_task *)(waiter & ~JOIN_ROOT));
        return NULL;
    }
    return (fiber *)waiter;
}

/* Runs a stolen task and tells the search whether stealing it was worth while. */
static fiber *run_stolen(fiber *self, weft_task *t) {
    worker *w = self->w;
    uint64_t start = arch_ticks();
    fiber *waiter = weft__task_run(self, t);
    if (self->w == w) weft__steal_took(w, arch_ticks() - start);
    return waiter;
}

_Noreturn void weft__worker_loop(fiber *self) {
    for (;;) {
        work next = {self->first, self->resume, false};
        self->first = NULL;
        self->resume = NULL;
        if (!next.task && !next.fiber) next = weft__work_next(self->w);
        if (next.task) next.fiber = (next.stolen ? run_stolen : weft__task_run)(self, next.task);
        else if (!next.fiber) weft__fiber_leave(self);
        if (next.fiber) weft__fiber_switch(self, next.fiber, (after){AFTER_FREE, self, NULL});
    }
}
