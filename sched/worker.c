/* sched/worker.c -- the loop at the bottom of every carrier.
 *
 * Work is a task (run as a plain call on this very stack) or a suspended fiber (switched to; the carrier,
 * now without a task, goes back to the worker's list as the switch's last act).  A task that suspends takes
 * the carrier with it and the worker goes on with another one, so after every task the loop asks its fiber
 * anew which worker it is on.
 *
 * A tiny carrier runs the task it was made for and nothing else: neither the search for work nor a child it would
 * steal fits on it.
 *
 * Rejected: a scheduler stack that every switch bounces through: two switches where one does.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/spawn_run.h"
#include "alloc/arch.h"
#include "sched/carried.h"
#include "sched/join.h"
#include "sched/cause.h"
#include "sched/evidence.h"
#include "sched/exit.h"
#include "sched/local.h"
#include "sched/misuse.h"

/* A task's children are joined before it returns, and what it locked is unlocked: all is what it was. */
void weft__not_over(fiber *self, const weft_task *t, const weft_task *head, uint32_t locks) {
    const weft_site *site = (const weft_site *)(t->site & ~(uintptr_t)WEFT__SITE_BITS);
    if (self->pub.head == head)
        weft__misuse("task '%s' (at %s:%d) returned while it held a lock (%d of them); unlock before returning, also when "
                     "interrupted", site->name, site->file, site->line, (int)(self->pub.locks - locks));
    if ((const weft_site *)(self->pub.head->site & ~(uintptr_t)WEFT__SITE_BITS) == &weft__region_site)
        weft__misuse("task '%s' (at %s:%d) returned inside a scope or mask it had entered; end what was begun before "
                     "returning", site->name, site->file, site->line);
    weft__misuse("task '%s' (forked at %s:%d) returned without joining a child it forked; "
                 "join every child before the frame that holds its descriptor returns",
                 site->name, site->file, site->line);
}

/* Whose child a claimed task is: the node it was forked in, or the one its parent joins it in. */
static weft__node *forked_in(runtime *rt, weft_task *t) {
    uintptr_t word = atom_load_acq(&t->join);
    if (word & JOIN_ROOT) return &rt->root;
    if (word & JOIN_PENDING) return (weft__node *)(word & ~(uintptr_t)7);
    return ((fiber *)word)->pub.scope;
}

static void forked_begins(fiber *self, weft__node *in) {
    runtime *rt = self->rt;
    node_task_begins(self, in);
    self->pub.epoch = EPOCH_LOOK;
    self->priority = PRIORITY_NORMAL;
    self->strand = self->base.outer != &rt->root;
    self->locals = weft__locals_of(self->base.outer);
    self->carried = carried_of(self->base.outer);
    evidence_set(self, self->env = weft__evidence_of(self->base.outer));
    if (!self->strand) weft__node_publish(&self->base);
}

static void forked_ends(fiber *self) {
    weft__task_leaves(self);
    if (atom_load_acq(&self->base.state) & NODE_PUBLISHED) weft__node_retract(&self->base);
    self->strand = false;
    self->odd = 0;
    self->carried = NULL;
    evidence_set(self, self->env = &weft__no_evidence);
}

/* A scope's child: its failure is told to the scope at once, and it does not run in a scope that is cancelled. */
static weft_exit run_started(fiber *self, weft_task *t, const weft_site *site, weft_task *head, weft__node *scope) {
    static const weft_exit ok = {WEFT_EXIT_OK, 0, NULL};
    if (weft_ok(weft__look_up(self))) site->run(t, head);
    if (!weft_ok(self->exit)) weft__node_failed(scope, self->exit);
    weft__cause_drop(self->exit.cause);
    return ok;
}

/* A forked child, or a root task.  What weft_fail said in a child travels to its parent's fiber through `place`: once
 * the child is claimed that means nothing any more, and an owner that still looks there finds no such slot. */
static fiber *run_forked(fiber *self, weft_task *t) {
    const weft_site *site = (const weft_site *)(t->site & ~(uintptr_t)WEFT__SITE_BITS);
    weft_task *outer = self->task, *head = self->pub.head;
    uint32_t locks = self->pub.locks;
    weft_exit outer_exit = self->exit, exit;
    self->exit = (weft_exit){WEFT_EXIT_OK, 0, NULL};
    weft__node *in = forked_in(self->rt, t);
    const weft__evidence *env = self->pub.env;
    carried *carries = self->carried;
    char *low = self->pub.low;
    if (WEFT_LIKELY(!outer)) {
        forked_begins(self, in);
    } else { /* it runs on top of a task that waits, and in its scope */
        self->carried = carried_of(in);
        evidence_set(self, weft__evidence_of(in));
    }
    self->task = t;
    if (WEFT_UNLIKELY(t->site & WEFT__STARTED)) {
        exit = run_started(self, t, site, head, in);
    } else {
        site->run(t, head);
        exit = self->exit;
    }
    check_over(self, t, head, locks);
    if (WEFT_LIKELY(!outer)) {
        forked_ends(self);
    } else {
        self->carried = carries;
        evidence_put_back(self, env, low);
    }
    self->task = outer;
    self->exit = outer_exit;
    atom_store_rlx(&t->place, exit_pack(exit));
    uintptr_t waiter = join_finish(&t->join); /* the last access to *t, but for root tasks */
    if (waiter & JOIN_ROOT) {
        weft__root_done(self->w->rt, (root_task *)(waiter & ~JOIN_ROOT), exit);
        return NULL;
    }
    return (fiber *)waiter;
}

static bool is_spawned(const weft_task *t) { return (t->site & WEFT__JOINED) == WEFT__SPAWNED; }

fiber *weft__task_run(fiber *self, weft_task *t) {
    return is_spawned(t) ? weft__spawn_run_helping(self, spawn_of_task(t)) : run_forked(self, t);
}

/* Runs a stolen child and tells the search whether stealing it was worth while. */
static fiber *run_stolen(fiber *self, weft_task *t) {
    worker *w = self->w;
    uint64_t start = arch_ticks();
    fiber *waiter = run_forked(self, t);
    if (self->w == w) weft__steal_took(w, arch_ticks() - start);
    return waiter;
}

/* A spawned fiber that asked for another stack size gets a carrier of that class; without memory for one it has to do
 * with this one. */
static WEFT_COLD fiber *own_carrier(fiber *self, weft_task *t) {
    fiber *f = weft__carrier_of(self->w, (stack_class)spawn_of_task(t)->cls);
    if (!f) return NULL;
    f->first = t;
    f->then = self->then;
    f->then_ticket = self->then_ticket;
    self->then = NULL;
    self->then_ticket = 0;
    return f;
}

/* Returns the fiber to go on with, or NULL. */
static inline __attribute__((always_inline)) fiber *run(fiber *self, work next) {
    if (!is_spawned(next.task)) return (next.stolen ? run_stolen : run_forked)(self, next.task);
    if (WEFT_UNLIKELY(spawn_of_task(next.task)->cls != self->stk.cls)) {
        fiber *other = own_carrier(self, next.task);
        if (other) return other;
    }
    return spawn_run(self, spawn_of_task(next.task), false);
}

void weft__task_begins(fiber *self, weft_task *t, weft__node *in) {
    forked_begins(self, in);
    self->task = t;
}

void weft__task_ends(fiber *self) {
    forked_ends(self);
    self->task = NULL;
}

fiber *weft__task_start(fiber *self, weft_task *t) { return run(self, (work){t, NULL, false}); }

_Noreturn void weft__worker_loop(fiber *self) {
    for (;;) {
        work next = {self->first, NULL, false};
        self->first = NULL;
        if (!next.task) next = weft__work_next(self->w);
        if (next.task)
            next.fiber = run(self, next);
        else if (!next.fiber)
            weft__fiber_leave(self);
        if (next.fiber && !weft__may_run_here(self->w, next.fiber)) next.fiber = NULL;
        if (WEFT_UNLIKELY(self->stk.cls == STACK_2K) && !next.fiber) next.fiber = weft__carrier_for_tiny(self->w);
        if (next.fiber) fiber_switch(self, next.fiber, (after){AFTER_FREE, self, NULL, NULL});
    }
}
