/* sched/worker.h -- workers and the runtime they belong to.
 *
 * Fields are grouped by who writes them, a pair of cache lines between groups.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_WORKER_H
#define WEFT_SCHED_WORKER_H

#include "alloc/fault.h"
#include "alloc/os.h"
#include "alloc/slab.h"
#include "alloc/spin.h"
#include "alloc/stack.h"
#include "sched/deque.h"
#include "sched/fiber.h"
#include "sched/idle.h"
#include "sched/offload.h"
#include "sched/queue.h"
#include "sched/spawn.h"
#include "sched/timeline.h"
#include "sched/wheel.h"
#include <weft/runtime.h>

/* WEFT_DEBUG 2 forces the rare paths: every fork offers all children, rings start at 4 slots, one carrier is kept,
 * every few joins move to another stack, every fiber made ready goes on on another worker than it was on. */
#if defined(WEFT_DEBUG) && WEFT_DEBUG > 1
#define WEFT__RARE 1
#else
#define WEFT__RARE 0
#endif

/* Written by the owner (relaxed, so that a reader sees whole values), read by weft_runtime_stats. */
typedef struct worker_stats {
    _Atomic uint64_t published, stolen, taken_back, suspended, wakes, parks, stacks, kept, used;
} worker_stats;

struct worker {
    /* owner only */
    _Alignas(1024) struct runtime *rt;
    unsigned index;
    fiber *running;       /* the fiber this thread is on */
    fiber *carriers;      /* idle carriers, LIFO */
    unsigned n_carriers;
    queue queue;          /* ready work */
    int *thread_errno;    /* this thread's errno */
    void **thread_exceptions; /* this thread's C++ exception state, NULL without the C++ runtime */
    stack_cache *stacks;
    slab_cache *blocks[SPAWN_CLASSES]; /* of spawned fibers; opened at first use */
    const weft_cause *last_why; /* of the last interrupt from here: a reference */
    slab_cache *limits;   /* of timed waits; opened at first use */
    uint64_t ids;         /* spawned here so far: the next id */
    _Atomic uint64_t spawned, ended; /* daemons not counted; owner writes, the closing thread reads */
    uint64_t rng;         /* victim order */
    uint64_t random;      /* of effect/service.c; 0: not begun */
    uint64_t offered_at;  /* ticks of the last offer */
    uint64_t share;       /* children in the last offer */
    unsigned unpaid;      /* offers in a row that did not pay, at most UNPAID_MAX (share.c) */
    uint64_t ask_after;   /* thief: do not ask for work before (ticks) */
    uint64_t ask_pause;   /* thief: current pause between requests (ticks) */
    worker *lone_of;      /* thief: there was one ready item alone, */
    uint32_t lone_at;     /* at this place of its queue, */
    uint64_t lone_until;  /* and it is the owner's until then (ticks) */
    wheel wheel;          /* its timers; others may cancel and serve them (sched/wheel.h) */
    ctx thread;           /* the thread's own stack, while the worker is in its loop */
    os_thread os;
    bool started;
    bool children_first;  /* at the last dispatch of the loop its shared children came before ready work */
    bool timed;           /* its own timers woke it, and it has not slept since */
    bool sent_to;         /* others have sent it work, and it has not slept since */
    fiber *coros;         /* idle (sched/coro.h), linked by `below`, */
    unsigned n_coros;     /* so many */
    worker_stats stats;

    /* owner and thieves */
    _Alignas(WEFT__LINE) deque deque;
    _Atomic uint64_t calm_until; /* owner writes, thieves read: offers do not pay now, ask later (ticks) */
    _Atomic uint32_t *attn;      /* the thread's attention word; constant once the runtime runs */
    run_queue open;              /* ready work on offer */

    /* anyone writes */
    _Alignas(WEFT__LINE) _Atomic uint32_t permit;
    inbox inbox; /* ready fibers bound to this worker */
};

/* A task that came from outside: in the frame of the plain thread that waits for it. */
typedef struct root_task {
    weft_task task;
    void (*fn)(void *);
    void *arg;
    const struct weft__evidence *env; /* the thread's */
    weft_exit exit;
    _Atomic uint32_t done; /* futex word of the waiting thread */
} root_task;

/* A join word that holds a root task instead of a fiber has this bit: the waiter is a plain thread. */
#define JOIN_ROOT ((uintptr_t)2)

struct runtime {
    /* constant after start */
    unsigned n_workers;
    struct det *det;       /* the deterministic executor (sched/det.h), NULL: the parallel one */
    struct record *record; /* the parallel one writes it (sched/record.h), NULL: it does not */
    bool named;            /* fibers have names as records know them */
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

    inbox outside; /* ready work from threads that are no workers */

    /* spawned fibers */
    slab_pool *blocks[SPAWN_CLASSES];
    _Alignas(WEFT__LINE) spin foreign_lock;      /* the three below */
    slab_cache *foreign_blocks[SPAWN_CLASSES];   /* for spawns from other threads */
    uint64_t foreign_ids;
    _Atomic uint64_t foreign_spawned;
    _Atomic uint64_t births;                     /* named: children of the main task, or of threads, so far */
    uint64_t max_fibers;                         /* 0: no limit */
    _Atomic uint64_t alive_fibers;               /* counted only with a limit */
    wait_queue limit_queue;                      /* spawners at the limit */
    _Atomic uint32_t spawn_slow;                 /* there is a limit, or it is being shut down */
    _Atomic uint64_t daemons;                    /* ever spawned: some may be left when it is closed */
    _Atomic uint32_t drain;                      /* futex: the closing thread waits for fibers to end */
    _Atomic uint32_t visitors;                   /* threads that wake a fiber of this runtime from outside */
    _Atomic uint32_t draining;                   /* 1 once it is being closed */
    int pid;                                     /* the process that opened it */
    weft_runtime *handle;                        /* its handle; constant after start */

    _Alignas(WEFT__LINE) idle idle;

    /* cancellation (sched/cancel.h): read at every cancellation point, written by cancels */
    _Alignas(WEFT__LINE) _Atomic uint64_t epoch;
    _Atomic uint32_t forced; /* masks do not count any more: a deadlock is being undone */
    weft__node root;         /* the outermost node */
    spin interrupt_lock;     /* fiber.waits_end_of */
    spin walk_lock;          /* sched/cancel.c: scopes that a detached fiber may just be looking at */

    /* time (sched/clock.h, sched/quiet.h) */
    weft_clock clock;        /* constant after start */
    bool watched;            /* constant after start: somebody wants to know when all is at rest */
    _Alignas(WEFT__LINE) _Atomic int64_t virtual_now;
    timeline timeline;
    slab_pool *limits;       /* constant after start */
    _Atomic uint64_t claims; /* sleepers about to wake, ever */
    bool was_unfinished, was_armed; /* under quiet_lock: at the last look for rest */
    spin quiet_lock;         /* who looks whether all is at rest; the next two */
    struct advance *advance; /* a manual clock is being advanced */
    unsigned deadlocked;     /* how often everything was told to stop because of it */
    bool in_run;             /* constant after start: opened by weft_run */
    _Atomic uint32_t advancing; /* is there one?  For a glance */
    _Atomic uint64_t progress;   /* steps of a virtual clock */
    _Atomic uint64_t foreign;    /* announced work outside: offloads, external promises */
    offload offload;
    _Atomic uint32_t roots;      /* tasks from plain threads that have not ended */
    _Atomic uint64_t last_ticket; /* the largest of coros that were given back (sched/coro.h) */
    _Atomic uint32_t lookers;    /* dumps that look at what fibers wait for */

    /* shutdown, and hooks of the program */
    _Atomic uint32_t refusing;   /* no new fibers from outside */
    _Atomic uint32_t closing_hard; /* nor from inside */
    weft_unobserved_fn *on_unobserved;
    weft_report_fn *on_report;
    void *hook_arg;

    /* monitor */
    os_thread monitor;
    bool monitor_started;
    _Atomic uint32_t monitor_word; /* futex */
    uint64_t parks_seen;           /* the monitor's */
};

/* ---- ready work (sched/queue.h), inlined; owner of w ------------------------------------------------- */

/* Runs next, before what was to run next. */
static inline void ready_item(worker *w, item i) {
    queue *q = &w->queue;
    if (q->runnext) weft__queue_displaced(q, q->runnext);
    q->runnext = i;
    if (WEFT_UNLIKELY(atom_load_rlx(w->attn) || q->sharing)) weft__ready_slow(w, i);
}

/* f is resumable; one bound elsewhere is sent there. */
static inline void weft__ready(worker *w, fiber *f) {
    if ((WEFT__RARE || weft_fault_point(FAULT_MIGRATE)) && weft__ready_elsewhere(w, f)) return;
    if (WEFT_LIKELY(f->where == WHERE_ANY) && !weft_fault_point(FAULT_DELAY))
        ready_item(w, item_of_fiber(f));
    else
        weft__ready_special(w, item_of_fiber(f));
}

/* May f run on w?  If not, it was sent to where it may. */
static inline bool weft__may_run_here(worker *w, fiber *f) {
    if (WEFT_LIKELY(f->bound == BOUND_NOWHERE) || f->bound == w->index) return true;
    weft__queue_put(w, item_of_fiber(f));
    return false;
}

static inline void weft__ready_task(worker *w, weft_task *t) {
    if (weft_fault_point(FAULT_DELAY))
        weft__ready_special(w, item_of_task(t));
    else
        ready_item(w, item_of_task(t));
}

/* f goes to the end of the line (yield). */
static inline void weft__ready_last(worker *w, fiber *f) {
    if (WEFT_LIKELY(f->where == WHERE_ANY))
        weft__queue_behind(&w->queue, item_of_fiber(f));
    else
        weft__queue_put(w, item_of_fiber(f));
}

/* Before a yield: all that is ready goes first. */
static inline void weft__queue_age_any(worker *w) {
    if (WEFT_UNLIKELY(w->queue.fresh.n != 0)) weft__queue_age(w);
}

static inline bool weft__queue_empty(const worker *w) { return queue_is_empty(&w->queue); }

/* What to run next, 0 if nothing is at hand. */
static inline item weft__queue_pop(worker *w) {
    queue *q = &w->queue;
    q->sharing = false;
    if (WEFT_UNLIKELY(++q->turn % FAIR_TURNS == 0 || q->high.n != 0)) return weft__queue_pop_slow(w);
    if (q->runnext && q->streak < RUNNEXT_MOST) {
        item i = q->runnext;
        q->runnext = 0;
        q->streak++;
        return i;
    }
    return weft__queue_pop_line(w);
}

/* ---- carriers (sched/fiber.h), inlined; owner of w --------------------------------------------------- */

/* One of the runtime's stack class.  NULL: there is no stack. */
static inline fiber *weft__carrier_get(worker *w) {
    fiber *f = w->carriers;
    if (weft_fault_point(FAULT_STACK)) return NULL;
    if (WEFT_UNLIKELY(!f)) return weft__carrier_of(w, w->rt->stack_cls);
    w->carriers = f->below;
    w->n_carriers--;
    return f;
}

/* An idle one back, from another fiber.  Of another class it is not kept. */
static inline void weft__carrier_put(worker *w, fiber *f) {
    if (WEFT_UNLIKELY(w->n_carriers >= CARRIERS_KEPT || f->stk.cls != w->rt->stack_cls)) {
        weft__carrier_drop(w, f);
        return;
    }
    f->below = w->carriers;
    w->carriers = f;
    w->n_carriers++;
}

enum { MONITOR_AWAKE, MONITOR_RESTS, MONITOR_STOP };
enum { GATE_SHUT, GATE_OPEN, GATE_ABANDONED };

static inline void worker_count(_Atomic uint64_t *counter) {
    atom_store_rlx(counter, atom_load_rlx(counter) + 1);
}
static inline void worker_count_by(_Atomic uint64_t *counter, uint64_t n) {
    atom_store_rlx(counter, atom_load_rlx(counter) + n);
}

/* ---- runtime.c -------------------------------------------------------------------------------------- */

/* The halves of weft_run: a runtime where deadlock is an error; was there one? */
weft_err weft__run_open(const weft_options *options, weft_runtime **out);
bool weft__run_close(weft_runtime *rt);
/* The body of a worker's thread. */
void weft__worker_thread(void *worker);
/* Tell the plain thread that waits for this root task.  The last access to it. */
void weft__root_done(runtime *rt, root_task *root, weft_exit exit);
/* A fiber ended while the runtime is being closed: was it the last? */
void weft__drain_look(runtime *rt);

/* ---- record.c --------------------------------------------------------------------------------------- */

void weft__record_yield(fiber *f); /* a yield: of a search it is no point, others come anyway */

/* ---- worker.c --------------------------------------------------------------------------------------- */

/* The bottom frame of every carrier. */
_Noreturn void weft__worker_loop(fiber *self);
/* Run an unstarted, claimed task on the stack of `self` with no child of its own outstanding beyond `head`.
 * Returns the fiber that waited for it, or NULL. */
fiber *weft__task_run(fiber *self, weft_task *t);

/* A task begins, and ends, on the stack of `self` outside of the loop; it belongs to `in`. */
void weft__task_begins(fiber *self, weft_task *t, weft__node *in);
void weft__task_ends(fiber *self);
/* One turn of the loop: a task that was claimed.  Returns the fiber that waited for it; or a carrier, to run it in place of
 * `self`, which is then its `first`; or NULL. */
fiber *weft__task_start(fiber *self, weft_task *t);

/* Abort: a task left a child behind, or a lock. */
WEFT_COLD void weft__not_over(fiber *self, const weft_task *t, const weft_task *head, uint32_t locks);
static inline void check_over(fiber *self, const weft_task *t, const weft_task *head, uint32_t locks) {
    if (WEFT_UNLIKELY(self->pub.head != head || self->pub.locks != locks)) weft__not_over(self, t, head, locks);
}

/* ---- spawn.c ---------------------------------------------------------------------------------------- */

bool weft__spawn_open(runtime *rt);  /* pools of blocks; false: no memory, close it all the same */
void weft__spawn_abandon(runtime *rt); /* what live daemons have beside their blocks is freed */
void weft__spawn_close(runtime *rt); /* frees all blocks, live daemons included */

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
/* Let this worker offer what it has at its next poll, if anybody is without work. */
void weft__ask_for_others(worker *w);
/* Something was put into this worker's inbox. */
void weft__wake_this(worker *w);
/* A timer was armed on this worker's wheel by somebody else. */
void weft__wake_for_timer(worker *w);
/* Let every sleeping worker look around (shutdown). */
void weft__wake_all(runtime *rt);

/* ---- share.c ---------------------------------------------------------------------------------------- */

/* The monitor says that timers are overdue: serve them.  At polls. */
void weft__attend_timers(worker *w);
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
void weft__monitor_wake(runtime *rt);
/* Something was armed, or has to be watched: look soon. */
static inline void weft__monitor_look(runtime *rt) {
    if (WEFT_UNLIKELY(atom_load_rlx(&rt->monitor_word) == MONITOR_RESTS)) weft__monitor_wake(rt);
}

#endif
