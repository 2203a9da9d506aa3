/* sched/bias.h -- a lock that one worker takes without a locked instruction, as long as nobody else wants it.
 *
 *   lock    an ordinary one: everybody else's, and the owner's while there is none
 *   held    the owner has it; the owner alone writes it
 *   owner   who may take it by `held`: nobody, or `home`
 *   home    who takes `lock` again and again.  Constant once it was owner: a late L1 of a former owner would be taken for the
 *           next one's, L4 would let go of its lock
 *
 *   owner                                         another
 *   L1 held := LOCK                               R0 takes `lock`
 *   L2 light fence                                R1 owner := nobody
 *   L3 still owner?  it has the lock              R2 heavy fence
 *   L4 else held := 0; as others                  R3 waits for held == 0: it has the lock
 *   U  held := 0
 *
 * Of L1, L3 and R1, R3 one side sees the other's store: an asymmetric pair of fences (alloc/atomic.h), of which the light one is
 * an order to the compiler, and the heavy one a system call that interrupts those threads of the process which run.  It costs
 * a microsecond or more, so who gets the lock must have taken it BIAS_AFTER times in a row, and twice as often after each time
 * that it was taken away: a lock that two contend for soon is an ordinary one.
 *
 * Orders.  U and L4 release, R3 acquire: what the owner wrote is seen, whichever of the two R3 finds.  The other way round nothing
 * is needed: who becomes owner does so while it holds `lock`, and what it does by `held` follows in its own order.
 *
 * Whoever has the lock lets it go by storing 0 to the word it was given.  Not recursive; no thread but the owner's worker's is
 * ever `me`.  Rejected: an owner forever (a worker that does not come by would have to be waited for).
 * Self-contained over alloc/atomic.h.  Model: tests/model.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_BIAS_H
#define WEFT_SCHED_BIAS_H

#include "sched/wait.h"
#include <weft/base.h>

#ifndef BIAS_AFTER
#if defined(WEFT_DEBUG) && WEFT_DEBUG > 1 /* the rare paths are forced: owners come and go */
#define BIAS_AFTER 2u
#define BIAS_AFTER_MOST 4u
#else
#define BIAS_AFTER 1000u
#endif
#endif
#ifndef BIAS_AFTER_MOST
#define BIAS_AFTER_MOST (1u << 30)
#endif

typedef struct biased {
    wait_queue lock, held; /* 0 or QUEUE_LOCK */
    _Atomic(uintptr_t) owner;
    /* under `lock` */
    uintptr_t home;
    uint32_t run, after; /* home has taken `lock` so often in a row; it becomes the owner after so many */
    bool given;          /* there was an owner */
} biased;

/* The program defines it: are there heavy fences? */
bool weft__bias_possible(void);

static inline void bias_init(biased *b) { b->after = BIAS_AFTER; } /* pre: zeroed */

/* `lock` is held.  By who has it now, 0: a thread that is never an owner. */
static inline void bias_look(biased *b, uintptr_t me) {
    if (atom_load_rlx(&b->owner)) {
        atom_store_rlx(&b->owner, 0); /* R1 */
        atom_fence_heavy();           /* R2 */
        for (unsigned spins = 0; atom_load_acq(&b->held);) { /* R3 */
            arch_relax();
            if (++spins % 128 == 0) weft__os_yield();
        }
        b->run = 0;
        if (b->after < BIAS_AFTER_MOST) b->after *= 2;
    } else if (me && me == b->home) {
        if (++b->run < b->after) return;
        b->run = 0;
        if (!weft__bias_possible()) return;
        b->given = true;
        atom_store_rlx(&b->owner, me);
    } else {
        b->run = 0;
        if (!b->given) b->home = me;
    }
}

static __attribute__((noinline, unused)) wait_queue *bias_lock_slow(biased *b, uintptr_t me) {
    uintptr_t word;
    queue_lock(&b->lock, &word);
    bias_look(b, me);
    return &b->lock;
}

/* pre: me was the owner a moment ago.  True: it has the lock, by `held`. */
static inline __attribute__((always_inline)) bool bias_take(biased *b, uintptr_t me) {
    atom_store_rlx(&b->held, QUEUE_LOCK);                        /* L1 */
    atom_fence_light();                                          /* L2 */
    if (WEFT_LIKELY(atom_load_rlx(&b->owner) == me)) return true; /* L3 */
    atom_store_rel(&b->held, 0);                                 /* L4 */
    return false;
}

/* me: the worker of this thread, or 0.  Returns what bias_unlock wants. */
static inline __attribute__((always_inline)) wait_queue *bias_lock(biased *b, uintptr_t me) {
    if (WEFT_LIKELY(me && atom_load_rlx(&b->owner) == me && bias_take(b, me))) return &b->held;
    return bias_lock_slow(b, me);
}

static inline void bias_unlock(wait_queue *held) { queue_unlock(held, 0); }

/* No read-modify-write was executed for it. */
static inline bool bias_is_held(const biased *b, const wait_queue *held) { return held == &b->held; }

#endif
