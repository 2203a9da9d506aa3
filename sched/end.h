/* sched/end.h -- the end of a spawned fiber: awaiters, the executor and the holder of the handle, on any workers.
 *
 * One word, the `join` of the fiber's descriptor:
 *   bit 0 DONE      the task has returned, its result and exit are written
 *   bit 1 DROPPED   nobody holds the handle
 *   the rest        newest waiter of a list through the waiters' stacks
 *
 *   await   CAS the own waiter in, unless DONE       E1, acq_rel: success releases the waiter to E2, failure acquires
 *                                                    the result from E2
 *   finish  exchange by DONE, wake whom it held      E2, acq_rel: releases the result, acquires the waiters
 *   drop    or DROPPED, unless DONE                  E3, acq_rel: acquires what the block was used for before it is
 *                                                    freed here, releases what the holder did to it to E2
 *   look    DONE?                                    E4, acquire, with E2
 *
 * Whoever comes second of finish and drop frees the block: finish if the word held DROPPED, drop if it held DONE.  So
 * E2 is the executor's last access to a block unless it frees it.  An await through a handle ends before that handle is
 * dropped (weft/fiber.h): no waiter is left then.
 *
 * Rejected: a reference count beside the word: two more RMWs in the life of each fiber.
 * Self-contained over alloc/atomic.h.  Model: tests/model.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_END_H
#define WEFT_SCHED_END_H

#include "alloc/atomic.h"
#include <stdbool.h>
#include <stdint.h>

#define END_DONE ((uintptr_t)1)
#define END_DROPPED ((uintptr_t)2)
#define END_FLAGS ((uintptr_t)3)

static inline bool end_done(_Atomic(uintptr_t) *word) {
    return atom_load_acq(word) & END_DONE; /* E4 */
}

/* Put `waiter` before the newest one, which goes into *older.  False: done. */
static inline bool end_await(_Atomic(uintptr_t) *word, uintptr_t waiter, uintptr_t *older) {
    uintptr_t old = atom_load_acq(word);
    do {
        if (old & END_DONE) return false;
        *older = old & ~END_FLAGS;
    } while (!atom_cas_ar(word, &old, waiter | (old & END_DROPPED))); /* E1 */
    return true;
}

/* What the word held: the waiters to wake, and DROPPED if the caller frees the block. */
static inline uintptr_t end_finish(_Atomic(uintptr_t) *word) {
    return atom_xchg_ar(word, END_DONE); /* E2 */
}

/* What the word held: DONE if the caller frees the block, DROPPED if it was dropped before. */
static inline uintptr_t end_drop(_Atomic(uintptr_t) *word) {
    uintptr_t old = atom_load_acq(word); /* E4 */
    if (old & END_DONE) return old;
    return atom_or_ar(word, END_DROPPED); /* E3 */
}

#endif
