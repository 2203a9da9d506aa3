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
 *   SUSPENDED  saved in ctx, and known to exactly one of: a join word, the carrier that runs what it waits for (`then`),
 *              a closing scope, whoever wins its wait (sched/wait.h), or about to be (after-switch action in flight)
 *   READY      suspended, and on a run queue
 *   IDLE       a carrier without a task, suspended in its loop, on w->carriers
 *
 * Who may touch a control block: the thread it runs on; while suspended, whoever holds the one reference above.
 * Every reference passes through an RMW of release and acquire order (sched/join.h) or stays on one worker.
 *
 * Children.  root <-> ... <-> pub.head is the list of outstanding children in fork order.  Those up to
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
#include "sched/wait.h"
#include <weft/cancel.h>
#include <weft/exit.h>
#include <weft/fork.h>

typedef struct worker worker;

typedef struct fiber {
    /* The first two cache lines are all that a switch touches. */
    struct weft__fiber pub; /* what inlined code reads; must be first */
    worker *w;              /* the worker it runs on; rewritten at every switch-in */
    weft_task *anchor;      /* newest shared child, or &root */
    uintptr_t links[2];     /* of run queues and inboxes (sched/item.h) */
    union {
        struct {
            uint16_t bound;    /* the only worker it may run on, or BOUND_NOWHERE */
            uint16_t priority; /* PRIORITY_NORMAL, HIGH, LOW */
        };
        uint32_t where;     /* both: WHERE_ANY for most */
    };
    int saved_errno;        /* the thread's errno, while suspended */
    uint16_t floor;         /* waits are reached by cancels of this depth or deeper; its task alone writes it */
    union {
        struct {
            bool seen;      /* it noticed that it is asked to stop, from outside of its own scopes */
            bool untidy;    /* it has locals, or holds causes */
        };
        uint16_t odd;       /* either */
    };
    bool strand;            /* it runs a forked child: base is published when it first waits */
    uint16_t told;          /* depth of the outermost node of its task that it noticed to be asked to stop, 0: from outside;
                             * only falls, until a combinator (effect/par.h) sets it to TOLD_NOTHING */
    _Atomic uint64_t winner; /* sched/wait.h; survives the tasks that come and go on this stack, like `base`'s lists */
    ctx ctx;
    /* What a task touches when it starts, waits and ends. */
    struct weft_fiber *self; /* the spawned fiber it is, NULL for others */
    struct fiber *then;     /* carrier: the fiber that waits for the task it runs, known to nobody else */
    uint64_t then_ticket;   /* 0, or: win this wait before switching to `then`, which others may end meanwhile */
    weft_task *task;        /* what the carrier runs, NULL between tasks; read by the fault report */
    weft_task *first;       /* carrier: run this before looking for work */
    const char *waits_for;  /* what it is suspended for, and where: for reports */
    const void *waits_on;
    weft_exit exit;         /* what weft_fail said; taken by whoever ends the task */
    uint64_t turn_began;    /* when it last had to wait for a mutex and got it, and */
    uint64_t looked_at;     /* when it last looked for who had waited too long (sched/mutex.c); ticks */
    struct binding *locals; /* fiber-locals, newest first (sched/local.h) */
    struct carried *carried; /* for the layer above (sched/carried.h) */
    struct held *held;      /* causes that live until the task ends, or the scope they came to (sched/local.h) */
    /* The rest. */
    struct fiber *below;    /* link of w->carriers */
    weft_task root;         /* sentinel: older end of the list of outstanding children */
    void *exceptions[2];    /* the C++ runtime's per-thread state, while suspended */
    weft__node base;        /* the outermost node of its task */
    _Atomic uint64_t ticket; /* of the continuation that it is (effect/once.c); survives as `winner` does */
    const struct weft__evidence *env; /* of its task when it began (sched/evidence.h); its own, once it has ended */
    char *low;              /* what pub.low is, but for evidence */
    struct fiber *driver;   /* coro (sched/coro.h): who goes on when it is left */
    _Atomic(struct fiber *) drives; /* the coro that it waits for; others ask what that one does */
    void (*coro_fn)(void *arg);
    void *coro_arg;
    weft__node *anchor_scope; /* where the children after `anchor` were forked */
    struct weft_fiber *waits_end_of; /* sched/interrupt.c, under its lock */
    struct runtime *rt;     /* whose stack this is; constant */
    uint64_t name;          /* deterministic executor: of a task that was not spawned (sched/det.c) */
    stack stk;
} fiber;

/* The lock of its queue is held.  False: its wait has ended some other way. */
static inline bool waiter_win(const waiter *w) {
    if (WEFT_LIKELY(w->f != NULL)) return wait_win(&w->f->winner, w->ticket, WAIT_WOKEN);
    wait_thread *t = (wait_thread *)(uintptr_t)w->ticket;
    return !t || wait_win(&t->winner, WAIT_OPEN, WAIT_WOKEN);
}

#define BOUND_NOWHERE UINT16_MAX
#define TOLD_NOTHING UINT16_MAX
enum { PRIORITY_NORMAL, PRIORITY_HIGH, PRIORITY_LOW, PRIORITIES };
#define WHERE_ANY ((uint32_t)BOUND_NOWHERE) /* bound nowhere, of normal priority; both machines are little-endian */
#define EPOCH_LOOK UINT64_MAX /* no runtime's epoch: look whether it is asked to stop */

typedef enum after_kind {
    AFTER_PARK, /* `from` waits for `task` */
    AFTER_RUN,  /* `from` waits for `task`, which the carrier switched to runs now */
    AFTER_WAIT, /* `from` waits as `what`, a leave, says */
    AFTER_LOCK, /* `from` waits for the fibers of a scope: `what` is its lock, which is let go */
    AFTER_YIELD, /* `from` is ready, and goes to the end of its line */
    AFTER_SELECT, /* the same on several queues (sched/select.c) */
    AFTER_FREE, /* `from` is a carrier without a task */
} after_kind;

typedef struct after {
    after_kind kind;
    fiber *from;
    weft_task *task; /* PARK, RUN */
    void *what;      /* WAIT, LOCK */
} after;

/* The control block of the fiber on this stack. */
static inline fiber *weft__fiber_on(const stack *s) {
    return (fiber *)(((uintptr_t)s->top - sizeof(fiber)) & ~(uintptr_t)63);
}

/* A fresh carrier, set up so that its loop starts when it is switched to.  NULL when there is no stack.  Owner of w. */
fiber *weft__carrier_of(worker *w, stack_class cls);
/* One that was never switched to and has no context yet: for sched/coro.h. */
fiber *weft__fiber_fresh(worker *w, stack_class cls);
/* Make f, a zeroed block that is used for nothing else, the fiber of the calling thread's own stack, which is to be left
 * and come back to on this thread alone. */
void weft__fiber_adopt(fiber *f, worker *w);
/* What a tiny carrier is left for when its task is over: a carrier, or a ready fiber.  Waits until there is one. */
fiber *weft__carrier_for_tiny(worker *w);
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
