/* sched/take.h -- the slow halves of fork and join; where a shared child lies: the worker whose deque it was
 * offered on, and the index there.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_TAKE_H
#define WEFT_SCHED_TAKE_H

#include "sched/deque.h"
#include <weft/fork.h>

/* The slow halves of fork and join.  Inlined code reaches them through sched/slow_x86_64.S, or, on other machines,
 * by the plain calls weft__fork_slow_call and weft__take_slow_call.  `sp` is the stack pointer of the inlined
 * code: what lies below it is dead.  fork's result only says that it returned. */
uintptr_t weft__fork_slow_at(weft_task *t, const weft_site *site, weft_task *head, const char *sp);
uintptr_t weft__take_slow_at(weft_task *t, const char *sp);

static inline uint64_t task_place(unsigned worker, uint64_t index) {
    return (uint64_t)worker << (64 - DEQUE_N_BITS) | index;
}
static inline unsigned place_worker(uint64_t place) { return (unsigned)(place >> (64 - DEQUE_N_BITS)); }
static inline uint64_t place_index(uint64_t place) { return place & DEQUE_TOP_MASK; }

#endif
