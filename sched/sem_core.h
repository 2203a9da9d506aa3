/* sched/sem_core.h -- the state of a semaphore.
 *
 *   {permits:63 | WAITERS}
 *
 * WAITERS: somebody may be on the queue.  It is set only while there is no permit, and cleared under the lock of the queue; as long as
 * it is set only holders of that lock change the state.  So who waits is never overtaken: a permit is released to who waits
 * longest, or, if nobody can be won, WAITERS is cleared first and the permit is then there for all.
 *
 *   acquire                                       release
 *   P1 permits, no WAITERS: CAS, acquire          V1 no WAITERS: CAS one more, release
 *   P2 lock the queue; the same, or set WAITERS   V2 lock the queue; WAITERS still: win the oldest waiter
 *      and link                                   V3 there is none: clear WAITERS, unlock, V1
 *
 * The last access of a release is V1's CAS, or comes before the waiter is made runnable.
 * Self-contained over alloc/atomic.h.  Model: tests/model.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_SEM_CORE_H
#define WEFT_SCHED_SEM_CORE_H

#include "alloc/atomic.h"

typedef _Atomic(uintptr_t) sem_state;

#define SEM_WAITERS ((uintptr_t)1)
#define SEM_ONE ((uintptr_t)2)

/* P1. */
static inline bool sem_take(sem_state *s) {
    uintptr_t state = atom_load_rlx(s);
    while (state >= SEM_ONE && !(state & SEM_WAITERS))
        if (atom_cas_acq(s, &state, state - SEM_ONE)) return true;
    return false;
}

/* P2, under the lock of the queue.  False: the caller waits. */
static inline bool sem_take_or_wait(sem_state *s) {
    uintptr_t state = atom_load_rlx(s);
    for (;;) {
        if (state & SEM_WAITERS) return false;
        if (atom_cas_acq(s, &state, state >= SEM_ONE ? state - SEM_ONE : SEM_WAITERS)) return state >= SEM_ONE;
    }
}

typedef enum sem_given { SEM_GIVEN, SEM_FULL, SEM_LOOK } sem_given;

/* V1.  LOOK: at the queue. */
static inline sem_given sem_give(sem_state *s, uintptr_t most) {
    uintptr_t state = atom_load_rlx(s);
    for (;;) {
        if (state & SEM_WAITERS) return SEM_LOOK;
        if (state >= most) return SEM_FULL;
        if (atom_cas_rel(s, &state, state + SEM_ONE)) return SEM_GIVEN;
    }
}

/* V2 and V3, under the lock of the queue.  Somebody else may have cleared WAITERS, and then the state is everybody's. */
static inline bool sem_has_waiters(sem_state *s) { return atom_load_rlx(s) & SEM_WAITERS; }
static inline void sem_nobody(sem_state *s) { atom_store_rlx(s, 0); }

#endif
