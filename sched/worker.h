/* sched/worker.h -- workers and the runtime they belong to.
 *
 * Fields are grouped by who writes them, a pair of cache lines between groups.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_WORKER_H
#define WEFT_SCHED_WORKER_H

#include "alloc/os.h"
#include "alloc/spin.h"
#include "alloc/stack.h"
#include "sched/deque.h"
#include "sched/fiber.h"
#include "sched/idle.h"

/* WEFT_DEBUG 2 forces the rare paths: every fork offers all children, rings start at 4 slots, one carrier is
 * kept, and every few joins move to another stack. */
#if defined(WEFT_DEBUG) && WEFT_DEBUG > 1
#define WEFT__RARE 1
#else
#define WEFT__RARE 0
#endif

/* Written by the owner (relaxed, so that a reader sees whole values), read by weft_runtime_stats. */
typedef struct worker_stats {
    _Atomic uint64_t published, stolen, taken_back, suspended, wakes, parks, stacks;
} worker_stats;

struct worker {
    /* owner only */
    _Alignas(1024) struct runtime *rt;
    unsigned index;
    fiber *running;       /* the fiber this thread is on */
    fiber *carriers;      /* idle carriers, LIFO */
    unsigned n_carriers;
    fiber *ready;         /* resumable fibers of this worker; empty unless stacks ran out */
    stack_cache *stacks;
    uint64_t rng;         /* victim order */
    uint64_t offered_at;  /* ticks of the last offer */
    uint64_t share;       /* children in the last offer */
    unsigned unpaid;      /* offers in a row that did not pay, at most UNPAID_MAX (share.c) */
    uint64_t ask_after;   /* thief: do not ask for work before (ticks) */
    uint64_t ask_pause;   /* thief: current pause between requests (ticks) */
    ctx thread;           /* the thread's own stack, while the worker is in its loop */
    os_thread os;
    bool started;
    worker_stats stats;

    /* owner and thieves */
    _Alignas(WEFT__LINE) deque deque;
    _Atomic uint64_t calm_until; /* owner writes, thieves read: offers do not pay now, ask later (ticks) */
    _Atomic uint32_t *attn;      /* the thread's attention word; constant once the runtime runs */

    /* anyone writes */
    _Alignas(WEFT__LINE) _Atomic uint32_t permit;
};

/* A task that came from outside: in the frame of the plain thread that waits for it. */
typedef struct root_task {
    weft_task task;
    void (*fn)(void *);
    void *arg;
    struct root_task *next;
    _Atomic uint32_t done; /* futex word of the waiting thread */
} root_task;

/* A join word that holds a root task instead of a fiber has this bit: the waiter is a plain thread. */
#define JOIN_ROOT ((uintptr_t)2)

typedef struct runtime {
    /* constant after start */
    unsigned n_workers;
    worker *workers;
    size_t workers_bytes;
    stack_class stack_cls;
    stack_pool *pool;
    bool pin;
    uint64_t ticks_per_us;
    uint64_t search_ticks; /* how long a worker looks for work before it sleeps */

    /* start and stop; any thread */
    _Alignas(WEFT__LINE) _Atomic uint32_t gate; /* futex: GATE_SHUT until all threads are there */
    _Atomic uint32_t alive;                     /* futex: workers still in their loops */
    _Atomic uint32_t stopping;

    /* tasks from outside: FIFO under the lock; injected counts them, seq_cst, for the idle protocol */
    _Alignas(WEFT__LINE) spin inject_lock;
    root_task *inject_first, **inject_last;
    _Atomic uint32_t injected;

    _Alignas(WEFT__LINE) idle idle;

    /* monitor */
    os_thread monitor;
    bool monitor_started;
    _Atomic uint32_t monitor_stop; /* futex */
} runtime;

enum { GATE_SHUT, GATE_OPEN, GATE_ABANDONED };

static inline void worker_count(_Atomic uint64_t *counter) {
    atom_store_rlx(counter, atom_load_rlx(counter) + 1);
}
static inline void worker_count_by(_Atomic uint64_t *counter, uint64_t n) {
    atom_store_rlx(counter, atom_load_rlx(counter) + n);
}

/* ---- runtime.c -------------------------------------------------------------------------------------- */

/* The body of a worker's thread. */
void weft__worker_thread(void *worker);
/* The oldest task from outside, NULL if there is none.  Any worker. */
weft_task *weft__inject_take(runtime *rt);
/* Tell the plain thread that waits for this root task.  The last access to it. */
void weft__root_done(root_task *root);

/* ---- worker.c --------------------------------------------------------------------------------------- */

/* The bottom frame of every carrier. */
_Noreturn void weft__worker_loop(fiber *self);
/* Run an unstarted, claimed task on the stack of `self` with no child of its own outstanding beyond `head`.
 * Returns the fiber that waited for it, or NULL. */
fiber *weft__task_run(fiber *self, weft_task *t);
void weft__ready_push(worker *w, fiber *f);

/* ---- search.c --------------------------------------------------------------------------------------- */

typedef struct work {
    weft_task *task; /* one of the two, or neither when the worker has to stop */
    fiber *fiber;
    bool stolen;
} work;

/* What this worker does next; sleeps while there is nothing. */
work weft__work_next(worker *w);
/* A stolen task took this long. */
void weft__steal_took(worker *w, uint64_t ticks);
/* Work was made public. */
void weft__work_offered(worker *w);
/* The same from a thread that is no worker. */
void weft__work_injected(runtime *rt);
/* Let every sleeping worker look around (shutdown). */
void weft__wake_all(runtime *rt);

/* ---- share.c ---------------------------------------------------------------------------------------- */

/* Somebody wants this worker's attention: offer private children of the running fiber. */
void weft__attend(fiber *f);
/* Offer all private children: the fiber is about to leave the worker. */
void weft__share_all(fiber *f);
/* What became of an offer: it was taken back unstolen; or a stolen child is being waited for. */
void weft__offer_unpaid(worker *w);
void weft__offer_waited(worker *w);

/* ---- monitor.c -------------------------------------------------------------------------------------- */

void weft__monitor_start(runtime *rt); /* goes on without one if there is no thread to be had */
void weft__monitor_stop(runtime *rt);

#endif
