/* alloc/fault.h -- fault points: places that can be made to fail on purpose, chosen by number.
 *
 *   if (weft_fault_point(FAULT_MAP)) return NULL;      // as if the system had refused
 *
 * Only in a build with WEFT_FAULTS; in every other one a point is the constant false, and nothing of this file is in the
 * library.
 *
 * Concepts
 *   point    one passing of such a place.  Points of the armed kinds are counted, from 1
 *   plan     which kinds, and which point: point k fails, or all from k on do
 *   to fail  whatever the kind says: an allocation is refused, a wait returns early, a fiber is interrupted
 *
 * What fails is always something that may happen: a program that keeps the library's rules has to cope with it, and so has
 * the library.  Who counts and who fails may be different threads; with one worker and a virtual clock the count is the same
 * in each run, but for the waits of threads (ERRNO, SPURIOUS).
 *
 * Rejected: names for points, by file and line (a sweep wants each passing, not each place); probabilities (a failure would
 * not come back when it is looked for).
 * Source: SQLite's fault counters, FoundationDB's BUGGIFY.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_ALLOC_FAULT_H
#define WEFT_ALLOC_FAULT_H

#include "alloc/atomic.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum fault_kind {
    FAULT_ALLOC,    /* an allocation of the heap, a slab's chunk, a region of stacks */
    FAULT_MAP,      /* address space is not to be had; a guard cannot be made */
    FAULT_STACK,    /* a worker has no stack to go on with, at this moment */
    FAULT_THREAD,   /* a thread cannot be started */
    FAULT_FD,       /* a file or pipe cannot be opened: the probe of guards, what /proc and the cgroup say */
    FAULT_ERRNO,    /* another system call gives an error it may give: EINTR of a futex wait, ENOMEM, EPERM */
    FAULT_SPURIOUS, /* a futex wait, or the sleep of a worker, ends for no reason */
    FAULT_DELAY,    /* what is made ready goes to the end of the line, instead of being next */
    FAULT_STEAL,    /* a thief finds nothing, although there is something */
    FAULT_MIGRATE,  /* a fiber made ready is sent to another worker, if it may go there */
    FAULT_CANCEL,   /* at a cancellation point, the spawned fiber that runs is asked to stop */
    FAULT_KINDS
} fault_kind;

/* A wait of `ns` (negative: without end) that is cut short.  Not to nothing: when all are, two who wait for each other's
 * waiting still have to meet. */
static inline int64_t fault_moment(int64_t ns) {
    enum { MOMENT_NS = 100 * 1000 };
    return ns < 0 || ns > MOMENT_NS ? MOMENT_NS : ns;
}

/* A system call, or its failure with `error`. */
#define weft_fault_call(kind, error, call) (weft_fault_point(kind) ? (errno = (error), -1) : (call))

#if defined(WEFT_FAULTS) && WEFT_FAULTS

typedef struct fault_plan {
    uint32_t kinds;  /* bits, 1 << kind */
    uint64_t k;      /* the point that fails; 0: none, they are only counted */
    bool persistent; /* so do all after it */
} fault_plan;

extern _Atomic uint32_t weft__fault_kinds; /* armed */
bool weft__fault_hit(void);

static inline bool weft_fault_armed(fault_kind kind) {
    return __builtin_expect(atom_load_rlx(&weft__fault_kinds) >> kind & 1, 0);
}

/* Is this point to fail?  Any thread. */
static inline bool weft_fault_point(fault_kind kind) { return weft_fault_armed(kind) && weft__fault_hit(); }

/* The driver's: while no runtime is open, or from where it does not matter that others are about to pass a point. */
void weft__fault_arm(fault_plan plan); /* and count from 1 */
void weft__fault_disarm(void);
uint64_t weft__fault_passed(void); /* points since it was armed; */
uint64_t weft__fault_failed(void); /* of these, how many failed */
const char *weft__fault_name(fault_kind kind);

#else

static inline bool weft_fault_armed(fault_kind kind) {
    (void)kind;
    return false;
}
static inline bool weft_fault_point(fault_kind kind) { return weft_fault_armed(kind); }

#endif

#endif
