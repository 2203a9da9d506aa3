/* sched/fiber.h -- fibers and carriers.
 *
 * A carrier is a pooled stack whose bottom frame is a worker's loop (worker.c).  The loop runs tasks as plain
 * calls; a task that must wait leaves the worker, and its carrier becomes a suspended fiber: the loop's frame,
 * the task's frames above it, nothing copied.  So there is one structure for both, the control block at the
 * top of the stack:
 *
 *   lo | guard above this | ... frames grow down ... | control block | top
 *
 *   RUNNING    its worker's thread is on it; w->running == f
 *   SUSPENDED  saved in ctx, and known to exactly one of: a join word, a spawned fiber's list of waiters, a gate, the
 *              carrier that runs what it waits for (`then`), or about to be (after-switch action in flight)
 *   READY      suspended, and on a run queue
 *   IDLE       a carrier without a task, suspended in its loop, on w->carriers
 *
 * Who may touch a control block: the thread it runs on; while suspended, whoever holds the one reference above.
 * Every reference passes through an RMW of release and acquire order (sched/join.h) or stays on one worker.
 *
 * Children.  pub.root <-> ... <-> pub.head is the list of outstanding children in fork order.  Those up to
 * `anchor` are shared (offered to other workers at some time), those after it are private:
 *   C1  c->site has WEFT__SHARED  <=>  c is not newer than anchor        (root counts as shared)
 *   C2  private children are unstarted and known to this fiber alone
 *   C3  a fiber that leaves its worker has no private children, unless memory for offering them ran out
 *
 * The switch leaves a note (`after`) for the side it switches to: what to do with the fiber that was left, once
 * its registers are saved.  It is the only place where a suspended fiber becomes visible to others.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_FIBER_H
#define WEFT_SCHED_FIBER_H

#include "alloc/stack.h"
#include "sched/ctx.h"
#include <weft/exit.h>
#include <weft/fork.h>

typedef struct worker worker;

typedef struct fiber {
    /* The first two cache lines are all that a switch touches. */
    struct weft__fiber pub; /* what inlined code reads; must be first */
    worker *w;              /* the worker it runs on; rewritten at every switch-in */
    weft_task *anchor;      /* newest shared child, or &pub.root */
    uintptr_t links[2];     /* of run queues and inboxes (sched/item.h) */
    uint32_t bound;         /* the only worker it may run on, or BOUND_NOWHERE */
    int saved_errno;        /* the thread's errno, while suspended */
    ctx ctx;
    struct weft_fiber *self; /* the spawned fiber it is, NULL for others */
    weft_task *task;        /* what the carrier runs, NULL between tasks; read by the fault report */
    weft_task *first;       /* carrier: run this before looking for work */
    struct fiber *then;     /* carrier: the fiber that waits for the task it runs, known to nobody else */
    struct fiber *below;    /* link of w->carriers */
    weft_exit exit;         /* what weft_fail said; taken by whoever ends the task */
    void *exceptions[2];    /* the C++ runtime's per-thread state, while suspended */
    stack stk;
} fiber;

#define BOUND_NOWHERE UINT32_MAX

typedef enum after_kind {
    AFTER_PARK, /* `from` waits for `task` */
    AFTER_RUN,  /* `from` waits for `task`, which the carrier switched to runs now */
    AFTER_AWAIT, /* `from` waits for the end of a spawned fiber */
    AFTER_GATE, /* `from` waits for a gate */
    AFTER_LIMIT, /* `from` waits for a place below max_fibers */
    AFTER_FREE, /* `from` is a carrier without a task */
} after_kind;

typedef struct after {
    after_kind kind;
    fiber *from;
    weft_task *task; /* PARK, RUN, AWAIT */
    void *what;      /* AWAIT, LIMIT: its waiter; GATE: the gate */
} after;

/* The control block of the fiber on this stack. */
static inline fiber *weft__fiber_on(const stack *s) {
    return (fiber *)(((uintptr_t)s->top - sizeof(fiber)) & ~(uintptr_t)63);
}

/* A fresh carrier, set up so that its loop starts when it is switched to.  NULL when there is no stack.  Owner of w. */
fiber *weft__carrier_of(worker *w, stack_class cls);
/* Give all idle carriers of w back.  Owner of w. */
void weft__carriers_drop(worker *w);
/* Give back one that is not on the list: pre: it will never run again. */
void weft__carrier_drop(worker *w, fiber *f);

/* Carriers kept suspended in their loops: as many as a worker may need in quick succession.  The rest go
 * back to the stack pool, whose own cache is larger but whose stacks must be set up again. */
#define CARRIERS_KEPT (WEFT__RARE ? 1 : 16)
/* Run one ready item of this worker from `f`, a task on this very stack: for when there is no other. */
void weft__help(fiber *f);
/* From the thread's own stack to the first carrier; returns when the worker leaves its loop. */
void weft__fiber_enter(worker *w, fiber *first);
/* Back to the thread's own stack, for good. */
_Noreturn void weft__fiber_leave(fiber *self);

#endif
