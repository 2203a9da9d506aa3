/* weft/runtime.h -- a runtime: workers, their stacks, and the way in from plain threads.
 *
 *   weft_err e = weft_run(NULL, body, &arg);     // open, run body(&arg) on a worker, close
 *
 * A runtime is a handle; a process may have several, and nothing is shared between them.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_RUNTIME_H
#define WEFT_RUNTIME_H

#include <weft/exit.h>
#include <weft/time.h>

WEFT_BEGIN_C

typedef struct weft_runtime weft_runtime;

/* A fiber failed, and its handle was dropped without anybody having looked at its exit.  Called once, from the fiber's
 * worker or the thread that dropped it; must not suspend.  e is the callee's until it returns. */
typedef void weft_unobserved_fn(void *arg, weft_exit e, const char *name);
/* Something the program should know: a deadlock with its waiters, fibers left behind at a shutdown, continuations
 * left behind at the end.  Several lines, no end after the last.  Must neither suspend nor call into Weft. */
typedef void weft_report_fn(void *arg, const char *text);

/* What runs the fibers. */
typedef enum weft_executor {
    WEFT_EXECUTOR_DEFAULT, /* parallel; deterministic in weft_run if WEFT_SEED is set in the environment */
    WEFT_PARALLEL,         /* worker threads, work stealing */
    /* One worker, on the thread of the caller, so that the same program runs the same way each time.  Ready fibers run in
     * the order in which they became ready, those of higher priority first, and those that a running fiber has forked and
     * left behind take turns with them, but each 64th time the lowest priority; the running fiber goes on until it waits or
     * yields, or has passed 1000 scheduling points.  What comes from outside (other threads, a real clock) is let in only when
     * nothing else can go on, or for long nothing has been done but to yield.
     * The thread runs fibers in weft_run and weft_call, and while it waits in weft_close, weft_shutdown, weft_clock_advance or for
     * the start or the end of one of the runtime's fibers or a place below .max_fibers; one that only waits gives its turn up
     * when all is at rest, one whose function in weft_call waits does not.  .workers and .pin mean nothing. */
    WEFT_DETERMINISTIC,
} weft_executor;

/* How the deterministic executor chooses at its scheduling points: fork, join, spawn, await, drop, is_done, yield, the
 * completion of a promise, interrupt, checkpoint, the end of a scope, weft_point.  Some of them never suspend elsewhere: a lock of
 * the operating system that is held across one of them may stop the thread for ever here.  At each of them another strategy than fifo may
 * let a ready fiber run first, at a fork make the child runnable by itself, and where a fiber waits take any ready one.
 * Sources: CHESS (Musuvathi and others 2008), PCT (Burckhardt and others 2010). */
typedef enum weft_explore {
    WEFT_EXPLORE_DEFAULT, /* fifo with seed 0, else random; replay if there is a .schedule */
    WEFT_EXPLORE_FIFO,
    WEFT_EXPLORE_RANDOM,
    WEFT_EXPLORE_PCT,     /* random priorities with two changes: depth 3 */
    WEFT_EXPLORE_DFS,     /* WEFT_TEST only: one schedule after the other */
    WEFT_EXPLORE_REPLAY,  /* .schedule */
} weft_explore;

/* Zero means default everywhere; set `size` with WEFT_OPTIONS. */
typedef struct weft_options {
    size_t size;        /* sizeof(weft_options) */
    unsigned workers;   /* 0: one per CPU this process may use (affinity and cgroup quota); at most 1024 */
    size_t stack_bytes; /* stack a task starts on; 0: 64 KiB; rounded up to 16, 64, 256 KiB, 1 or 8 MiB */
    bool pin;           /* pin worker i to CPU i of the affinity mask */
    size_t max_fibers;  /* spawned fibers alive at once; at the limit weft_spawn waits.  0: no limit */
    weft_clock clock;   /* real, manual or auto (weft/time.h) */
    weft_unobserved_fn *on_unobserved; /* NULL: failures that nobody looks at are silent */
    weft_report_fn *on_report;         /* NULL: reports go nowhere */
    void *hook_arg;     /* first argument of both */
    weft_executor executor;
    uint64_t seed;        /* deterministic: of the strategy */
    weft_explore explore; /* deterministic: the strategy */
    const char *schedule; /* deterministic: replay this one, as a failed WEFT_TEST has printed it, or "@file", a record; read
                           * by the call */
    const char *record;   /* parallel: write the order in which fibers come to their scheduling points to this file (16 bytes
                           * each, at most 4 million), for the deterministic executor to follow; sched/record.h says what is
                           * not in it.  Each point then costs an access to a shared counter, each spawn an allocation */
} weft_options;

/* weft_options o = WEFT_OPTIONS(.workers = 4); */
#ifdef __cplusplus
#define WEFT_OPTIONS(...) (weft_options{.size = sizeof(weft_options), __VA_ARGS__})
#else
#define WEFT_OPTIONS(...) ((weft_options){.size = sizeof(weft_options), __VA_ARGS__})
#endif

/* Open a runtime, run fn(arg) on one of its workers, wait until it and all fibers but daemons have ended, close the
 * runtime.  NULL options: all defaults.
 * WEFT_SEED=n in the environment makes it deterministic with this seed, unless .executor says which one; WEFT_EXPLORE
 * (fifo, random, pct) and WEFT_REPLAY=schedule, or WEFT_REPLAY=@file, are then read, too.  WEFT_RECORD=file is .record.
 * When nothing is left that could go on (everything waits, no timer is armed, no announced work is out: see weft_promise_external
 * and weft_offload) that is a deadlock: it is reported to .on_report with a list of those who wait, everything is
 * interrupted, and the result is WEFT_E_DEADLOCK.
 * Errors: those of weft_open; the code of fn if it failed (weft_fail); WEFT_E_DEADLOCK; WEFT_E_INSIDE when called on a
 * worker.
 * [plain thread] [blocks the thread] */
WEFT_API weft_err weft_run(const weft_options *options, void (*fn)(void *), void *arg);

/* Open a runtime.  If some worker threads cannot be started it goes on with fewer (weft_workers tells).
 * Errors: WEFT_E_INVALID (NULL out, more than 1024 workers, no stack class is large enough), WEFT_E_SIZE,
 * WEFT_E_NOMEM, WEFT_E_THREAD (not one worker), WEFT_E_LIMIT (256 runtimes are open).  On error *out is
 * NULL and nothing is left behind.  [any thread] [never suspends] */
WEFT_API weft_err weft_open(const weft_options *options, weft_runtime **out);

/* Run fn(arg) on a worker and wait until it has returned.  Any number of threads may call at once.
 * Errors: WEFT_E_CLOSED, WEFT_E_INVALID (NULL fn), WEFT_E_INSIDE (called on a worker of this or another
 * runtime: it would block the worker).  [plain thread] [blocks the thread] */
WEFT_API weft_err weft_call(weft_runtime *rt, void (*fn)(void *), void *arg);

/* Wait for the calls in progress, stop the workers, free everything.  Later uses of the handle return
 * WEFT_E_CLOSED.  Errors: WEFT_E_CLOSED, WEFT_E_INSIDE.  [plain thread] [blocks the thread] */
WEFT_API weft_err weft_close(weft_runtime *rt);

/* Shut down in steps: take no new work from outside; wait up to `drain` for what runs; then interrupt everything and wait
 * up to `grace`; then give up.  Zero: no waiting in that step.
 * WEFT_OK: all has ended (daemons aside), and the runtime is closed.  WEFT_E_BUSY: *left (may be NULL) fibers and calls
 * are still there, .on_report was told who they are and where each waits; the runtime stays open, refuses new fibers,
 * and may be shut down again.
 * Other errors: WEFT_E_CLOSED, WEFT_E_INSIDE, WEFT_E_INVALID (negative).  [plain thread] [blocks the thread] */
WEFT_API weft_err weft_shutdown(weft_runtime *rt, weft_duration drain, weft_duration grace, size_t *left);

/* Workers of an open runtime; of the calling worker's with NULL (0 on a plain thread).  [any thread] */
WEFT_API unsigned weft_workers(weft_runtime *rt);

/* Index of the calling worker, -1 on a plain thread.  It may change across any call that suspends.
 * [any thread] */
WEFT_API int weft_worker_index(void);

/* A scheduling point: in the deterministic executor other fibers may run here, in the parallel one it does nothing.  To be
 * put between two accesses to shared memory whose order a search shall try.  [any thread] [may suspend, but is no
 * cancellation point] */
WEFT_API void weft_point(void);

/* What happened so far, summed over the workers; counters only ever grow.  Read while tasks run the
 * numbers are of slightly different moments. */
typedef struct weft_stats {
    size_t size;         /* in: sizeof(weft_stats) */
    uint64_t published;  /* children offered to other workers */
    uint64_t stolen;     /* children run by another worker */
    uint64_t taken_back; /* offered, then taken back by the worker that offered */
    uint64_t suspended;  /* times a fiber left its stack to wait */
    uint64_t wakes;      /* sleeping workers woken */
    uint64_t parks;      /* times a worker went to sleep */
    uint64_t stacks;     /* stacks ever in use, of all classes */
    uint64_t choices;    /* deterministic executor: made so far */
    uint64_t bends;      /* and of these, how often a record could not be followed */
} weft_stats;

/* Errors: WEFT_E_CLOSED, WEFT_E_SIZE, WEFT_E_INVALID.  [any thread] */
WEFT_API weft_err weft_runtime_stats(weft_runtime *rt, weft_stats *out);

WEFT_END_C
#endif
