/* sched/spawn_run.h -- running a spawned fiber to its end, inlined into the worker's loop: between the loop and user code
 * lies one call, so that one return is mispredicted when a fiber that was suspended ends (sched/switch.h).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_SPAWN_RUN_H
#define WEFT_SCHED_SPAWN_RUN_H

#include "sched/switch.h"

void weft__spawn_exit(fiber *self, weft_fiber *s);
fiber *weft__spawn_end_slow(worker *w, weft_fiber *s, bool waiters, fiber *next);
fiber *weft__spawn_run_helping(fiber *self, weft_fiber *s);
void weft__limit_give(runtime *rt);

/* Bound, of another priority, a daemon.  Returns whether it is counted. */
bool weft__spawn_special(fiber *self, weft_fiber *s);
/* May it run?  Not if it was asked to stop before; and what it inherits is set up. */
bool weft__spawn_starts(fiber *self, weft_fiber *s);

/* Run s on the stack of `self`, a carrier without a task; returns the fiber to go on with, or NULL.  helping: on top of a
 * task that waits. */
SWITCH_INLINE fiber *spawn_run(fiber *self, weft_fiber *s, bool helping) {
    const weft_site *site = spawn_site(s);
    runtime *rt = self->w->rt;
    uint64_t counted = 1;
    weft_task *head = self->pub.head;
    uint32_t locks = helping ? self->pub.locks : 0;
    if (WEFT_UNLIKELY(s->special)) counted = weft__spawn_special(self, s);
    self->self = s;
    self->task = &s->task;
    if (!helping) {
        self->base.outer = s->scope;
        atom_store_rlx(&self->base.state, NODE_PUBLISHED); /* known through the handle, and to its scope */
        self->pub.epoch = atom_load_seq(&rt->epoch);
        atom_store_rel(&s->on, self);
    }
    atom_store_rlx(&s->status, WEFT_STATUS_RUNNING);
    bool plain = !s->special && !atom_load_seq(&s->asked) && !atom_load_rlx(&rt->root.state);
    if (WEFT_LIKELY(plain) || weft__spawn_starts(self, s)) site->run(&s->task, head);
    check_over(self, &s->task, head, locks);
    if (WEFT_LIKELY(plain && weft_ok(self->exit) && !self->odd))
        atom_store_rlx(&s->status, WEFT_STATUS_DONE);
    else
        weft__spawn_exit(self, s);
    atom_store_rlx(&s->on, NULL);
    self->self = NULL;
    self->task = NULL;
    self->where = WHERE_ANY;
    worker *w = self->w;
    fiber *next = self->then;
    if (WEFT_UNLIKELY(next && self->then_ticket && !wait_win(&next->winner, self->then_ticket, WAIT_WOKEN))) next = NULL;
    self->then = NULL;
    self->then_ticket = 0;
    uintptr_t word;
    bool alone = end_finish(&s->task.join, &word); /* the last access to *s */
    if (WEFT_UNLIKELY(!alone || word)) next = weft__spawn_end_slow(w, s, !alone, next);
    if (WEFT_UNLIKELY(rt->max_fibers)) weft__limit_give(rt);
    atom_store_rel(&w->ended, atom_load_rlx(&w->ended) + counted);
    if (WEFT_UNLIKELY(atom_load_rlx(&rt->draining))) weft__drain_look(rt);
    return next;
}

#endif
