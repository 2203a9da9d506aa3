/* sched/spawn_run.h -- running a spawned fiber to its end, inlined into the worker's loop: between the loop and user code
 * lies one call, so that one return is mispredicted when a fiber that was suspended ends (sched/switch.h).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_SPAWN_RUN_H
#define WEFT_SCHED_SPAWN_RUN_H

#include "sched/switch.h"

void weft__spawn_failed(fiber *self, weft_fiber *s);
fiber *weft__spawn_end_slow(worker *w, weft_fiber *s, uintptr_t old, fiber *next);
fiber *weft__spawn_run_helping(fiber *self, weft_fiber *s);
void weft__limit_give(runtime *rt);

/* Run s on the stack of `self`, a carrier without a task; returns the fiber to go on with, or NULL. */
SWITCH_INLINE fiber *spawn_run(fiber *self, weft_fiber *s) {
    const weft_site *site = (const weft_site *)(s->task.site & ~(uintptr_t)WEFT__JOINED);
    uint64_t counted = !(s->flags & SPAWN_DAEMON);
    weft_task *head = self->pub.head;
    if (WEFT_UNLIKELY(s->bound != BOUND_NOWHERE)) self->bound = s->bound = self->w->index;
    self->self = s;
    self->task = &s->task;
    atom_store_rlx(&s->on, self);
    atom_store_rlx(&s->status, WEFT_STATUS_RUNNING);
    site->run(&s->task, head);
    if (WEFT_UNLIKELY(self->pub.head != head)) weft__check_joined(self, &s->task, head);
    self->self = NULL;
    self->task = NULL;
    self->bound = BOUND_NOWHERE;
    bool ok = weft_ok(self->exit);
    if (WEFT_UNLIKELY(!ok)) weft__spawn_failed(self, s);
    atom_store_rlx(&s->on, NULL);
    atom_store_rlx(&s->status, ok ? WEFT_STATUS_DONE : WEFT_STATUS_FAILED);
    worker *w = self->w;
    runtime *rt = w->rt;
    fiber *next = self->then;
    self->then = NULL;
    uintptr_t old = end_finish(&s->task.join); /* the last access to *s */
    if (WEFT_UNLIKELY(old)) next = weft__spawn_end_slow(w, s, old, next);
    if (WEFT_UNLIKELY(rt->max_fibers)) weft__limit_give(rt);
    atom_store_rel(&w->ended, atom_load_rlx(&w->ended) + counted);
    if (WEFT_UNLIKELY(atom_load_rlx(&rt->draining))) weft__drain_look(rt);
    return next;
}

#endif
