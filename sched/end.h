/* sched/end.h -- how a spawned fiber ends: its executor, those who await it, and the handle, in one word.
 *
 * The word is a queue of waits (sched/wait.h) with two flags:
 *   DONE      the task has returned, its result and exit are written; nobody waits any more
 *   DROPPED   nobody holds the handle
 *
 *   await   lock, link the own record, unlock once off the stack    E1, lock: failure acquires the result from E2 or E3
 *   finish  nobody waits: CAS to DONE                                E2, acq_rel: releases the result
 *           else lock, win the waits, exchange by DONE               E3, acq_rel: the same; an exchange, since one who
 *                                                                    left the queue may drop while it is locked
 *   drop    or DROPPED, unless DONE                                  E4, acq_rel: acquires what the block was used for
 *                                                                    before it is freed here, releases what the holder did
 *   look    DONE?                                                    E5, acquire, with E2 and E3
 *
 * Whoever comes second of finish and drop frees the block: finish if the word held DROPPED, drop if it held DONE.  So
 * E2 or E3 is the executor's last access to a block unless it frees it.  An await through a handle ends before that
 * handle is dropped (weft/fiber.h): a word with waiters is never dropped.
 *
 * Rejected: a reference count beside the word: two more RMWs in the life of each fiber.
 * Self-contained over alloc/atomic.h.  Model: tests/model.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_END_H
#define WEFT_SCHED_END_H

#include "sched/wait.h"

#define END_DONE QUEUE_DONE
#define END_DROPPED QUEUE_DROPPED

static inline bool end_done(wait_queue *word) {
    return atom_load_acq(word) & END_DONE; /* E5 */
}

/* DROPPED stays beside DONE: until the block is free, or another's, the handle that was dropped is seen to be none. */

/* Nobody waits?  Then it is done.  *word: what it held: 0 or DROPPED. */
static inline bool end_finish(wait_queue *q, uintptr_t *word) {
    *word = atom_load_rlx(q);
    while (!(*word & ~END_DROPPED))
        if (atom_cas_ar(q, word, END_DONE | *word)) return true; /* E2 */
    return false;
}

/* Somebody waits, or did a moment ago: after this, win the waits in the ring and call end_finish_locked. */
static inline uintptr_t end_lock(wait_queue *q) {
    uintptr_t word = 0;
    queue_lock(q, &word); /* it cannot be DONE */
    return word;
}

/* Returns true if the caller frees the block. */
static inline bool end_finish_locked(wait_queue *q) {
    uintptr_t old = atom_load_rlx(q);
    while (!atom_cas_ar(q, &old, END_DONE | (old & END_DROPPED))) {} /* E3 */
    return old & END_DROPPED;
}

/* What the word held: DONE if the caller frees the block, DROPPED if it was dropped before. */
static inline uintptr_t end_drop(wait_queue *q) {
    uintptr_t old = atom_load_acq(q); /* E5 */
    if (old & END_DONE) return old;
    return atom_or_ar(q, END_DROPPED); /* E4 */
}

#endif
