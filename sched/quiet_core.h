/* sched/quiet_core.h -- is this the moment when nothing in a runtime can go on by itself?  The part of sched/quiet.h that is
 * lock-free against sleepers, wakers and those who announce work.
 *
 *   moves   counts what may end a rest, or let one begin: a bit is claimed (weft__idle_claimed), announced work has ended
 *
 *   look, by a worker about to sleep, its bit set; under a lock, so that two that look at once do not each see the other
 *   Q1 every bit is set                     else somebody is awake, who will look before it sleeps
 *   Q2 take the own bit back; note moves    else it is claimed, and a permit is on its way
 *   Q3 every other bit is set
 *   Q4 no announced work is out
 *   Q5 no work is public or in an inbox
 *   Q6 moves is what it was                 then at Q4 all slept, nothing was out, and what was there then would have been
 *                                           found by Q5, since nobody was awake to take it: rest
 *   Q7 act; if nothing is due, put the bit back
 *   Q8 look for work                        what came meanwhile found no sleeper here
 *   Q9 moves is what it was, and so was rest?  Else from Q1: who went to sleep meanwhile found this one awake
 *
 * All accesses are seq_cst.  Rejected: no moves (a worker woken between Q3 and Q5 has taken the work away, and announced work
 * may end in between); Q1 only once (two workers, each of which sees the other awake, and both sleep).
 * Self-contained over sched/idle.h.  The program defines the two functions declared below.  Model: tests/model.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_QUIET_CORE_H
#define WEFT_SCHED_QUIET_CORE_H

#include "sched/idle.h"

bool weft__quiet_expects(idle *d);              /* is announced work out?  seq_cst load */
bool weft__quiet_act(idle *d, unsigned worker); /* at rest: true if it has made something ready on this worker */

/* From weft__idle_claimed; and after announced work has ended, before a sleeper is woken for that. */
static inline void quiet_moved(_Atomic uint64_t *moves) { atom_add_seq(moves, 1); }

static inline bool quiet_asleep(idle *d, unsigned except) {
    for (unsigned i = 0; i < d->workers; i++)
        if (i != except && !idle_is_set(d, i)) return false;
    return true;
}

/* Q1; also before the lock is taken, to save that. */
static inline bool quiet_maybe(idle *d) { return quiet_asleep(d, UINT32_MAX); }

static inline bool quiet_work(idle *d) {
    for (unsigned i = 0; i < d->workers; i++)
        if (weft__idle_own(d, i)) return true;
    return weft__idle_public_work(d);
}

/* The lock is held, and the own bit set; it is taken back if true is returned: the worker does not sleep. */
static inline bool quiet_look(idle *d, _Atomic uint64_t *moves, unsigned worker) {
    while (quiet_maybe(d)) {                                                              /* Q1 */
        if (!idle_claim(d, worker)) return false;                                         /* Q2 */
        uint64_t before = atom_load_seq(moves);
        bool asleep = quiet_asleep(d, worker);                                            /* Q3 */
        bool expects = asleep && weft__quiet_expects(d);                                  /* Q4 */
        bool still = asleep && !quiet_work(d) && atom_load_seq(moves) == before;          /* Q5, Q6 */
        if (still && !expects && weft__quiet_act(d, worker)) return true;                 /* Q7 */
        atom_or_seq(&d->mask[worker / 64], UINT64_C(1) << (worker % 64));
        if ((weft__idle_own(d, worker) || weft__idle_public_work(d)) && idle_claim(d, worker)) return true; /* Q8 */
        if (still && atom_load_seq(moves) == before) return false;                        /* Q9 */
    }
    return false;
}

#endif
