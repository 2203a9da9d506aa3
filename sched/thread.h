/* sched/thread.h -- what a thread knows about itself: its running fiber and its attention word.
 *
 * The block lives at the thread-local symbol `weft__tls`, whose layout the inlined code of weft/fork.h and
 * weft/kernel.h knows: the fiber at offset 0, the attention word at offset 8.  A thread without a runtime
 * has no fiber and PLAIN set for good, so that every fork there takes the slow path.
 *
 * attn: any thread sets bits, the owner polls with a relaxed load at each fork and clears with an RMW.
 * Relaxed is enough: the accesses of the idle protocol that follow a request carry the ordering
 * (tests/model, idle).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_THREAD_H
#define WEFT_SCHED_THREAD_H

#include "alloc/atomic.h"
#include "sched/fiber.h"

/* Bit 0 is set in each request: join tests it together with the low bit of a descriptor. */
enum {
    ATTN_WANT = 1,      /* a worker without work asks for some */
    ATTN_TICK = 4 | 1,  /* the monitor: timers are overdue */
    ATTN_PLAIN = 2 | 1, /* no runtime on this thread */
    ATTN_POINTS = 8,    /* scheduling points are to be told (sched/record.h); stays */
    ATTN_DET = ATTN_POINTS | 1, /* the deterministic executor runs on it: no fast path for anybody */
};

/* The calling thread's running fiber, NULL on a plain thread.  Evaluated anew at each call. */
static inline fiber *thread_fiber(void) { return (fiber *)weft__self(); }

/* Owner only.  Address and store are one statement, for the reason given in weft/fork.h. */
static inline void weft__thread_set(fiber *f) {
#if defined(__x86_64__)
    uintptr_t offset;
    __asm__ volatile("movq weft__tls@gottpoff(%%rip), %0\n\tmovq %1, %%fs:(%0)" : "=&r"(offset) : "r"(f) : "memory");
#else
    uintptr_t offset, thread;
    __asm__ volatile("adrp %0, :gottprel:weft__tls\n\tldr %0, [%0, :gottprel_lo12:weft__tls]\n\t"
                     "mrs %1, tpidr_el0\n\tstr %2, [%1, %0]"
                     : "=&r"(offset), "=&r"(thread) : "r"(f) : "memory");
#endif
}

/* Owner only.  Not inlined: an address of the thread is computed there and dies there. */
_Atomic uint32_t *weft__thread_attn(void);
int *weft__thread_errno(void);
void **weft__thread_exceptions(void); /* NULL in a program without the C++ runtime */

/* A scheduling point of f, which runs: in public functions, before they do anything, or after.  Not under a lock. */
void weft__point(fiber *f);
void weft_point(void);
static inline void scheduling_point(fiber *f) {
    if (WEFT_UNLIKELY(weft__attn() & ATTN_POINTS)) weft__point(f);
}
/* The same where nobody has looked yet whether there is a fiber. */
static inline void scheduling_point_here(void) {
    if (WEFT_UNLIKELY(weft__attn() & ATTN_POINTS)) weft_point();
}

#endif
