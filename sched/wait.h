/* sched/wait.h -- the wait protocol: one fiber, several who may end its wait, one of them does.
 *
 * Three parts.
 *
 *   winner   a word in the waiter's control block, {generation:40 | floor:16 | state:8}
 *
 *            RUNNING --waiter--> PARKING --waiter, off its stack--> OPEN --whoever's CAS succeeds--> WOKEN, TIMEOUT, CANCEL
 *
 *            Only the one whose CAS succeeds makes the fiber runnable.  A ticket is the value the word has while one
 *            particular wait is open: with its generation it fits no other wait, so a canceller needs no lock.  A
 *            control block's memory stays what it is while its runtime is open, so a late look is harmless.
 *   record   `waiter`, on the waiter's stack, on one queue at most
 *   queue    a word, {newest record | flags}, with a lock in it; the records are a ring: newest->next is the oldest
 *
 *   wait                                          wake
 *   A1 winner := PARKING                          B1 lock the queue
 *   A2 lock the queue (RMW), link the record      B2 CAS winner ticket -> WOKEN for each record it wants
 *   A3 asked to stop meanwhile?  undo             B3 unlink them, unlock
 *   A4 leave the stack                            B4 make runnable those it won
 *   A5 arm the timer; winner := OPEN; unlock
 *                                                 cancel
 *   time is up                                    C1 set what says so, epoch++ (RMW)
 *   T1 under the lock of the timers:              C2 winner PARKING: it is about to open; wait for it
 *      CAS winner ticket -> TIMEOUT               C3 winner OPEN, floor low enough: CAS -> CANCEL
 *
 *   after: who was not WOKEN takes its own record out, under the lock; who has a timer armed cancels it.  So when the
 *   wait is over nobody knows the record any more.
 *
 * Why nothing is lost.  A waker that holds the lock finds every linked record OPEN or already won, since the lock is
 * released after OPEN (A5).  A value is handed over by who has won; who lost the CAS keeps it and goes to the next
 * record.  A canceller that comes before A1's store is seen before A3's load (fence after A2's RMW); one that comes
 * after it sees PARKING and waits until the CAS is possible.  CANCEL only means: look again; one that looks and finds
 * that it was not meant waits once more.
 *
 * Orders.  A5 release, B2 and C3 acq_rel: whoever makes the fiber runnable sees its saved context.  A2 with B3 and with
 * each other: the lock (acquire, release).  C1 seq_cst, C2's load seq_cst.
 *
 * Rejected: a lock in the waiter; letting a canceller unlink (it would have to know every kind of queue).
 * Self-contained over alloc/atomic.h.  Model: tests/model.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_WAIT_H
#define WEFT_SCHED_WAIT_H

#include "alloc/arch.h"
#include "alloc/atomic.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The program defines it: let another thread have the processor. */
void weft__os_yield(void);

/* ---- winner ------------------------------------------------------------------------------------------- */

typedef enum wait_state {
    WAIT_RUNNING,
    WAIT_PARKING,
    WAIT_OPEN,
    WAIT_WOKEN,
    WAIT_TIMEOUT,
    WAIT_CANCEL,
} wait_state;

#define WAIT_FLOOR_MAX 0xffff /* nothing reaches this waiter */

static inline wait_state wait_state_of(uint64_t word) { return (wait_state)(word & 0xff); }
static inline unsigned wait_floor_of(uint64_t word) { return (unsigned)(word >> 8 & 0xffff); }

/* Waiter, A1.  Returns the ticket. */
static inline uint64_t wait_begin(_Atomic uint64_t *winner, unsigned floor) {
    uint64_t next = ((atom_load_rlx(winner) >> 24) + 1) << 24 | (uint64_t)floor << 8;
    atom_store_rlx(winner, next | WAIT_PARKING);
    return next | WAIT_OPEN;
}

/* Waiter, A2, if the lock was taken without a read-modify-write (sched/bias.h): here is one, for the fence alone. */
static inline void wait_show(_Atomic uint64_t *winner, uint64_t ticket) {
    (void)atom_xchg_rlx(winner, (ticket & ~(uint64_t)0xff) | WAIT_PARKING);
}

/* Waiter's side, once it is off its stack, A5. */
static inline void wait_open(_Atomic uint64_t *winner, uint64_t ticket) { atom_store_rel(winner, ticket); }

/* Anybody who knows the ticket, B2 and T1.  True: make it runnable. */
static inline bool wait_win(_Atomic uint64_t *winner, uint64_t ticket, wait_state how) {
    uint64_t expected = ticket;
    return atom_cas_ar(winner, &expected, (ticket & ~(uint64_t)0xff) | (uint64_t)how);
}

/* Waiter, running again: how did it end? */
static inline wait_state wait_end(_Atomic uint64_t *winner) {
    uint64_t word = atom_load_rlx(winner);
    atom_store_rlx(winner, word & ~(uint64_t)0xff); /* RUNNING */
    return wait_state_of(word);
}

/* Canceller, after C1: end the wait of this moment if a cancel at `depth` reaches it.  True: make it runnable. */
static inline bool wait_poke(_Atomic uint64_t *winner, unsigned depth) {
    uint64_t word = atom_load_seq(winner); /* C2 */
    for (unsigned spins = 0;; word = atom_load_seq(winner)) {
        wait_state state = wait_state_of(word);
        if ((state != WAIT_PARKING && state != WAIT_OPEN) || wait_floor_of(word) > depth) return false;
        if (state == WAIT_OPEN && wait_win(winner, word, WAIT_CANCEL)) return true; /* C3 */
        arch_relax();
        if (++spins % 128 == 0) weft__os_yield(); /* it may have lost the processor on its way */
    }
}

/* ---- records and queues ------------------------------------------------------------------------------- */

typedef struct waiter {
    struct waiter *next, *prev; /* newer, older in the ring of its queue, whose lock guards them; next NULL: on none */
    struct fiber *f;          /* NULL: a plain thread waits, */
    _Atomic uint32_t woken;   /* on this word */
    uint64_t ticket;
    uintptr_t tag;            /* the user's, as the queue's flags are */
} waiter;

/* A plain thread that waits on several queues at once: its records have f NULL, and the address of this for a ticket. */
typedef struct wait_thread {
    _Atomic uint64_t winner; /* WAIT_OPEN from the start */
    _Atomic uint32_t woken;
} wait_thread;

typedef _Atomic(uintptr_t) wait_queue;

/* Flags of the word.  What the first two mean is their user's affair (sched/end.h); a queue that is DONE is empty and
 * stays so. */
#define QUEUE_DONE ((uintptr_t)1)
#define QUEUE_DROPPED ((uintptr_t)2)
#define QUEUE_LOCK ((uintptr_t)4)
#define QUEUE_FLAGS ((uintptr_t)7)

static inline waiter *queue_newest(uintptr_t word) { return (waiter *)(word & ~QUEUE_FLAGS); }

/* Lock.  False: it is DONE, and not locked.  *word: what it held. */
static inline bool queue_lock(wait_queue *q, uintptr_t *word) {
    uintptr_t old = atom_load_acq(q);
    for (unsigned spins = 0;;) {
        if (old & QUEUE_DONE) return false;
        if (!(old & QUEUE_LOCK)) {
            if (!atom_cas_seq(q, &old, old | QUEUE_LOCK)) continue;
            *word = old;
            return true;
        }
        arch_relax();
        if (++spins % 128 == 0) weft__os_yield();
        old = atom_load_acq(q);
    }
}

/* Holder of the lock.  `word`: the new value, without LOCK. */
static inline void queue_unlock(wait_queue *q, uintptr_t word) { atom_store_rel(q, word); }

/* Holder of the lock.  The new value of the word, whose old one is `word`. */
static inline uintptr_t queue_link(uintptr_t word, waiter *w) {
    waiter *newest = queue_newest(word);
    if (newest) {
        w->next = newest->next;
        w->prev = newest;
        newest->next->prev = w;
        newest->next = w;
    } else {
        w->next = w->prev = w;
    }
    return (uintptr_t)w | (word & QUEUE_FLAGS);
}

/* The same as its oldest.  newest->next is that, so in a queue that is not empty the word stays. */
static inline uintptr_t queue_link_oldest(uintptr_t word, waiter *w) {
    uintptr_t linked = queue_link(word, w);
    return queue_newest(word) ? word : linked;
}

static inline uintptr_t queue_unlink(uintptr_t word, waiter *w) {
    waiter *newest = queue_newest(word);
    waiter *left = newest != w ? newest : w->prev != w ? w->prev : NULL;
    w->prev->next = w->next;
    w->next->prev = w->prev;
    w->next = NULL;
    return (uintptr_t)left | (word & QUEUE_FLAGS);
}

/* The waiter itself, after a wait that nobody on the queue ended. */
static inline void queue_leave(wait_queue *q, waiter *w) {
    uintptr_t word;
    if (!queue_lock(q, &word)) return; /* emptied meanwhile, record and all */
    if (w->next) word = queue_unlink(word, w);
    queue_unlock(q, word);
}

#endif
