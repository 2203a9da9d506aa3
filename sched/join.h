/* sched/join.h -- the join word: one child, one joiner, on any two workers.
 *
 *   PENDING --joiner, once off its stack--> waiter --executor--> DONE    the executor resumes the waiter
 *   PENDING --executor--> DONE                                          the joiner goes on
 *
 * PENDING carries a pointer: the scope the child was forked in, for the executor to know whose child it runs.
 *
 * The descriptor dies with the joiner's frame, so the exchange in `join_finish` is the executor's last
 * access to it, and the CAS in `join_park` is the last thing the joiner's side does with descriptor, fiber
 * or frame before somebody else may run them.  `join_park` therefore runs after the switch, on the stack
 * the worker went on with.
 *
 * Orders:
 *   F1 exchange, acq_rel   release: the result is visible to L1 and to K1's failure;
 *                          acquire: the waiter's saved context, released by K1, is visible to who resumes it
 *   L1 load, acquire       with F1
 *   K1 CAS, acq_rel        success releases the context to F1; failure acquires the result from F1
 *
 * Rejected: a flag for DONE beside a pointer for the waiter: two words need a store-load barrier on each
 * side.  Model: tests/model.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_JOIN_H
#define WEFT_SCHED_JOIN_H

#include "alloc/atomic.h"
#include <stdbool.h>
#include <stdint.h>

#define JOIN_DONE ((uintptr_t)1)
#define JOIN_PENDING ((uintptr_t)4) /* and above it what join_pending was given */

static inline uintptr_t join_pending(const void *of) { return (uintptr_t)of | JOIN_PENDING; }

/* Executor: the child has returned and its result is written.  Returns the waiter, or 0. */
static inline uintptr_t join_finish(_Atomic(uintptr_t) *word) {
    uintptr_t old = atom_xchg_ar(word, JOIN_DONE); /* F1 */
    return old & JOIN_PENDING ? 0 : old;
}

/* Joiner: is the result there? */
static inline bool join_done(_Atomic(uintptr_t) *word) {
    return atom_load_acq(word) == JOIN_DONE; /* L1 */
}

/* Joiner's side, after its context is saved: leave `waiter` to be resumed by the executor.  False: the child
 * is done, resume the waiter yourself. */
static inline bool join_park(_Atomic(uintptr_t) *word, uintptr_t waiter) {
    uintptr_t pending = atom_load_acq(word); /* L1 */
    return pending != JOIN_DONE && atom_cas_ar(word, &pending, waiter); /* K1 */
}

#endif
