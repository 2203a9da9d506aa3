/* sched/mutex_core.h -- the word of a mutex: who holds it, and what is to be done when it is given back.
 *
 *   {holder:61 | STARVING | WOKEN | WAITERS}     0: free, and nobody waits
 *
 *   holder    a fiber's control block, or a block of a plain thread.  Set by whoever finds none (CAS), or by the last holder for
 *             another one; taken out by itself.
 *   WAITERS   somebody may be on the queue.  Set under the queue's lock by who is about to wait (W1), cleared under it by the
 *             holder.
 *   WOKEN     one who was on the queue was woken and is on the way.  Set under the queue's lock by the holder (R3), cleared by
 *             the woken one as soon as it has the mutex, waits again, or gives up (W1, W2).
 *   STARVING  somebody was woken in vain: the next release hands over to the oldest waiter.  Set as WAITERS is, cleared by it.
 *
 *   lock                                              unlock
 *   L1 no holder: CAS, acquire                        R1 WAITERS without WOKEN, or STARVING: go to R2;
 *   W1 lock the queue; no holder: take it;               else CAS the holder out, release: it may be freed from here on
 *      else set WAITERS; link; park (sched/wait.h)    R2 lock the queue, win the oldest waiter that can be won
 *      woken: the holder already, or try again        R3 hand over: holder := that one, or free, WOKEN
 *   W2 gives up, woken: clear WOKEN under the lock       (release); unlock the queue; make it runnable
 *                                                     R4 none: clear WAITERS, unlock the queue, R1 again
 *
 * Why nobody is stranded.  WAITERS is set under the lock under which the record is linked, and found by each R1: so each
 * release sees it, or comes before W1's look, which then finds no holder.  A release that wakes nobody leaves WOKEN: somebody is on
 * the way, who takes the mutex, or finds a holder, whose release is still to come, after WOKEN is cleared.
 * While the holder has the lock of the queue nobody else writes the word: it is not free, and WAITERS takes that lock.
 *
 * Why the memory may go: the last access of an unlock is R1's CAS, or comes before another user of the mutex is made runnable, or
 * while one that was woken is on the way.
 *
 * Rejected: handing over always (a convoy: each release is a switch); handing over from one starving waiter to the next
 * (Go: one operation each, and whoever comes last has the mutex for the next millisecond); the holder's identity in the records of those who wait, so
 * that this and the queue were one word (the dump would have to follow frames).
 * Self-contained over alloc/atomic.h.  Model: tests/model.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_MUTEX_CORE_H
#define WEFT_SCHED_MUTEX_CORE_H

#include "alloc/atomic.h"

typedef _Atomic(uintptr_t) mutex_word;

#define MUTEX_WAITERS ((uintptr_t)1)
#define MUTEX_WOKEN ((uintptr_t)2)
#define MUTEX_STARVING ((uintptr_t)4)
#define MUTEX_FLAGS ((uintptr_t)7)

static inline uintptr_t mutex_holder(uintptr_t word) { return word & ~MUTEX_FLAGS; }

/* L1.  woken: the caller is the one on the way. */
static inline bool mutex_take(mutex_word *m, uintptr_t me, bool woken) {
    uintptr_t word = atom_load_rlx(m);
    while (!mutex_holder(word))
        if (atom_cas_acq(m, &word, (woken ? word & ~MUTEX_WOKEN : word) | me)) return true;
    return false;
}

/* W1, under the lock of the queue.  False: there is a holder, and the caller waits. */
static inline bool mutex_take_or_wait(mutex_word *m, uintptr_t me, bool woken, bool starving) {
    uintptr_t word = atom_load_rlx(m);
    for (;;) {
        uintptr_t kept = woken ? word & ~MUTEX_WOKEN : word;
        bool is_free = !mutex_holder(word);
        if (atom_cas_acq(m, &word, is_free ? kept | me : kept | MUTEX_WAITERS | (starving ? MUTEX_STARVING : 0))) return is_free;
    }
}

/* W2, under the lock of the queue, by the one on the way.  True: it was free, and is the caller's, to be given back. */
static inline bool mutex_give_up(mutex_word *m, uintptr_t me) {
    uintptr_t word = atom_load_rlx(m);
    for (;;) {
        bool is_free = !mutex_holder(word);
        uintptr_t kept = word & ~MUTEX_WOKEN;
        if (atom_cas_acq(m, &word, is_free ? kept | me : kept)) return is_free;
    }
}

typedef enum mutex_released { MUTEX_FREE, MUTEX_NOT_MINE, MUTEX_LOOK } mutex_released;

/* R1, holder.  LOOK: it is still held, and the queue is to be looked at.  look: in any case, if there is one. */
static inline mutex_released mutex_release(mutex_word *m, uintptr_t me, bool look) {
    uintptr_t word = atom_load_rlx(m);
    for (;;) {
        if (mutex_holder(word) != me) return MUTEX_NOT_MINE;
        if (word & MUTEX_WAITERS && (look || !(word & MUTEX_WOKEN) || word & MUTEX_STARVING)) return MUTEX_LOOK;
        if (atom_cas_rel(m, &word, word & (MUTEX_WAITERS | MUTEX_WOKEN))) return MUTEX_FREE;
    }
}

/* The others: holder, under the lock of the queue.  more: there are others left on it. */

/* R3.  Handing over is relaxed: nobody but the next holder can take it from there, who sees what was done through what made it
 * runnable.  Who takes a free one sees it through this word alone. */
static inline void mutex_hand_over(mutex_word *m, uintptr_t to, bool more) {
    atom_store_rlx(m, to | (atom_load_rlx(m) & MUTEX_WOKEN) | (more ? MUTEX_WAITERS : 0));
}
static inline void mutex_free_for(mutex_word *m, bool more) { atom_store_rel(m, MUTEX_WOKEN | (more ? MUTEX_WAITERS : 0)); }

/* Somebody is on the way. */
static inline void mutex_free_again(mutex_word *m) { atom_store_rel(m, atom_load_rlx(m) & (MUTEX_WAITERS | MUTEX_WOKEN)); }

/* R4. */
static inline void mutex_nobody(mutex_word *m, uintptr_t me) { atom_store_rlx(m, me | (atom_load_rlx(m) & MUTEX_WOKEN)); }

#endif
