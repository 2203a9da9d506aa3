/* sched/rwlock_core.h -- the state of a read-write lock.
 *
 *   {readers | WRITER | WAITERS}      0: free, and nobody waits
 *
 * WAITERS: somebody may be on the queue, and who comes waits.  Set and cleared under the lock of the queue, by who is about to
 * wait and by who lets others in.  While it is set readers only leave without that lock, and not the last of them.
 *
 *   go in                                         leave
 *   G1 no WAITERS (a writer: 0): CAS, acquire     O1 the last one, and WAITERS: go to O2; else CAS itself out, release
 *   G2 lock the queue; the same, or set WAITERS   O2 lock the queue; still the last (acquire): win who is to go in,
 *      and link                                   O3 who is won is in (release); there is none: clear WAITERS, O1 again
 *
 *   G3 gave up waiting: lock the queue; only readers are in and only readers wait: all those go in
 *
 * O2 acquires what the readers did who left before: who goes in next knows only the last one of them.
 * The last access of a release is O1's CAS, or comes before those who were won are made runnable.
 * Self-contained over alloc/atomic.h.  Model: tests/model.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_RWLOCK_CORE_H
#define WEFT_SCHED_RWLOCK_CORE_H

#include "alloc/atomic.h"

typedef _Atomic(uintptr_t) rwlock_state;

#define RWLOCK_WAITERS ((uintptr_t)1)
#define RWLOCK_WRITER ((uintptr_t)2)
#define RWLOCK_READER ((uintptr_t)4)

/* G1. */
static inline bool rwlock_read(rwlock_state *s) {
    uintptr_t state = atom_load_rlx(s);
    while (!(state & (RWLOCK_WAITERS | RWLOCK_WRITER)))
        if (atom_cas_acq(s, &state, state + RWLOCK_READER)) return true;
    return false;
}
static inline bool rwlock_write(rwlock_state *s) {
    uintptr_t state = 0;
    return atom_cas_acq(s, &state, RWLOCK_WRITER);
}

/* G2, under the lock of the queue.  False: the caller waits. */
static inline bool rwlock_read_or_wait(rwlock_state *s) {
    uintptr_t state = atom_load_rlx(s);
    for (;;) {
        if (state & RWLOCK_WAITERS) return false;
        bool in = !(state & RWLOCK_WRITER);
        if (atom_cas_acq(s, &state, in ? state + RWLOCK_READER : state | RWLOCK_WAITERS)) return in;
    }
}
static inline bool rwlock_write_or_wait(rwlock_state *s) {
    uintptr_t state = atom_load_rlx(s);
    for (;;) {
        if (state & RWLOCK_WAITERS) return false;
        if (atom_cas_acq(s, &state, state ? state | RWLOCK_WAITERS : RWLOCK_WRITER)) return state == 0;
    }
}

/* O1, of one that is in; self: READER or WRITER.  False: it is in still, and the queue is to be looked at. */
static inline bool rwlock_leave(rwlock_state *s, uintptr_t self) {
    uintptr_t state = atom_load_rlx(s);
    while (state != (self | RWLOCK_WAITERS))
        if (atom_cas_rel(s, &state, state - self)) return true;
    return false;
}

/* O2, under the lock of the queue: is it the last one still, and WAITERS set? */
static inline bool rwlock_is_last(rwlock_state *s, uintptr_t self) { return atom_load_acq(s) == (self | RWLOCK_WAITERS); }

/* O3.  in: WRITER or so many times READER.  more: others are left on the queue. */
static inline void rwlock_let_in(rwlock_state *s, uintptr_t in, bool more) { atom_store_rel(s, in | (more ? RWLOCK_WAITERS : 0)); }
static inline void rwlock_nobody(rwlock_state *s, uintptr_t self) { atom_store_rlx(s, self); }

/* G3, under the lock of the queue.  Nobody waits to write: may those who wait to read go in? */
static inline bool rwlock_may_read(rwlock_state *s) { return (atom_load_rlx(s) & (RWLOCK_WAITERS | RWLOCK_WRITER)) == RWLOCK_WAITERS; }
/* So they do, so many. */
static inline void rwlock_join(rwlock_state *s, uintptr_t readers) {
    uintptr_t state = atom_load_rlx(s);
    while (!atom_cas_acq(s, &state, (state & ~RWLOCK_WAITERS) + readers * RWLOCK_READER)) {}
}

#endif
