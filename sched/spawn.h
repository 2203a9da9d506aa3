/* sched/spawn.h -- spawned fibers: the block behind a handle, and the end protocol.
 *
 * The block is a slab object: header, then the task's descriptor at a fixed place (weft/fiber.h writes the input
 * there), so a spawned task is run like any other.  Its memory is never unmapped while the runtime is open; `id` is 0
 * in a free block, so a stale handle is noticed.
 *
 * How it ends, and who frees the block: sched/end.h, on the descriptor's `join`.
 *
 * Counting.  Each worker counts what it spawned and what it ended; a runtime is drained when the ended, summed first,
 * equal the spawned, summed after: ended only grows, and never beyond spawned.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_SPAWN_H
#define WEFT_SCHED_SPAWN_H

#include "sched/end.h"
#include "sched/fiber.h"
#include <weft/fiber.h>

typedef struct runtime runtime;
typedef struct weft_fiber weft_fiber;

enum { SPAWN_DAEMON = 1 };

struct weft_fiber {
    runtime *rt;          /* overwritten while the block is free */
    _Atomic uint64_t id;  /* 0: free */
    weft_exit exit;       /* written before E2 */
    const char *name;
    _Atomic(fiber *) on;  /* the stack it is on, while it has one; for reports */
    uint32_t bound;       /* SPAWN_BOUND until it starts, then the worker */
    _Atomic uint8_t status;
    uint8_t flags, cls, size_class;
    _Atomic uint32_t home; /* the worker in whose own queue it lies unstarted, or BOUND_NOWHERE; that worker alone */
    uint32_t unused;
    weft_task task;       /* at WEFT__FIBER_TASK; name##_task begins here */
};

#define SPAWN_CLASSES 4

/* One await: on the waiter's stack, alive until it is woken. */
typedef struct waiter {
    uintptr_t next; /* older waiter, flags clear */
    fiber *f;       /* or, NULL, a plain thread: */
    _Atomic uint32_t woken;
} waiter;

static inline weft_fiber *spawn_of_task(weft_task *t) { return (weft_fiber *)((char *)t - WEFT__FIBER_TASK); }

/* Put `w` into the list; false: the fiber is done. */
bool weft__waiter_add(weft_fiber *s, waiter *w);

/* Has every counted fiber ended?  Any thread. */
bool weft__drained(runtime *rt);

#endif
