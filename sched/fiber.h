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
 *   SUSPENDED  saved in ctx, and exactly one of: waiter in a join word, on a ready list, about to be either
 *              (after-switch action in flight)
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
#include <weft/fork.h>

typedef struct worker worker;

typedef struct fiber {
    struct weft__fiber pub; /* what inlined code reads; must be first */
    worker *w;              /* the worker it runs on; rewritten at every switch-in */
    weft_task *anchor;      /* newest shared child, or &pub.root */
    weft_task *task;        /* what the carrier runs, NULL between tasks; read by the fault report */
    weft_task *first;       /* carrier: run this before looking for work */
    struct fiber *resume;   /* carrier: switch to this before looking for work */
    struct fiber *next;     /* link of w->carriers or of a ready list */
    ctx ctx;
    stack stk;
} fiber;

typedef enum after_kind {
    AFTER_NOTHING,
    AFTER_PARK, /* `from` waits for `task` */
    AFTER_RUN,  /* `from` waits for `task`, which the carrier switched to runs now */
    AFTER_FREE, /* `from` is a carrier without a task */
} after_kind;

typedef struct after {
    after_kind kind;
    fiber *from;
    weft_task *task;
} after;

/* The control block of the fiber on this stack. */
static inline fiber *weft__fiber_on(const stack *s) {
    return (fiber *)(((uintptr_t)s->top - sizeof(fiber)) & ~(uintptr_t)63);
}

/* A carrier, set up so that its loop goes on when it is switched to.  NULL when there is no stack.
 * Owner of w. */
fiber *weft__carrier_get(worker *w);
/* Give all idle carriers of w back.  Owner of w. */
void weft__carriers_drop(worker *w);
/* Give back one that is not on the list: pre: it will never run again. */
void weft__carrier_drop(worker *w, fiber *f);

/* Leave `from`, the running fiber, for `to`; what `note` says happens on the other side.  Returns when
 * somebody switches back, possibly on another worker. */
void weft__fiber_switch(fiber *from, fiber *to, after note);
/* From the thread's own stack to the first carrier; returns when the worker leaves its loop. */
void weft__fiber_enter(worker *w, fiber *first);
/* Back to the thread's own stack, for good. */
_Noreturn void weft__fiber_leave(fiber *self);

#endif
