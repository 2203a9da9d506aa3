/* weft/runtime.h -- a runtime: workers, their stacks, and the way in from plain threads.
 *
 *   weft_err e = weft_run(NULL, body, &arg);     // open, run body(&arg) on a worker, close
 *
 * A runtime is a handle; a process may have several, and nothing is shared between them.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_RUNTIME_H
#define WEFT_RUNTIME_H

#include <weft/base.h>

WEFT_BEGIN_C

typedef struct weft_runtime weft_runtime;

/* Zero means default everywhere; set `size` with WEFT_OPTIONS. */
typedef struct weft_options {
    size_t size;        /* sizeof(weft_options) */
    unsigned workers;   /* 0: one per CPU this process may use (affinity and cgroup quota); at most 1024 */
    size_t stack_bytes; /* stack a task starts on; 0: 64 KiB; rounded up to 16, 64, 256 KiB, 1 or 8 MiB */
    bool pin;           /* pin worker i to CPU i of the affinity mask */
    size_t max_fibers;  /* spawned fibers alive at once; at the limit weft_spawn waits.  0: no limit */
} weft_options;

/* weft_options o = WEFT_OPTIONS(.workers = 4); */
#ifdef __cplusplus
#define WEFT_OPTIONS(...) (weft_options{.size = sizeof(weft_options), __VA_ARGS__})
#else
#define WEFT_OPTIONS(...) ((weft_options){.size = sizeof(weft_options), __VA_ARGS__})
#endif

/* Open a runtime, run fn(arg) on one of its workers, wait until it has returned, close the runtime.
 * NULL options: all defaults.
 * Errors: those of weft_open; WEFT_E_INSIDE when called on a worker.
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

/* Workers of an open runtime; of the calling worker's with NULL (0 on a plain thread).  [any thread] */
WEFT_API unsigned weft_workers(weft_runtime *rt);

/* Index of the calling worker, -1 on a plain thread.  It may change across any call that suspends.
 * [any thread] */
WEFT_API int weft_worker_index(void);

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
} weft_stats;

/* Errors: WEFT_E_CLOSED, WEFT_E_SIZE, WEFT_E_INVALID.  [any thread] */
WEFT_API weft_err weft_runtime_stats(weft_runtime *rt, weft_stats *out);

WEFT_END_C
#endif
