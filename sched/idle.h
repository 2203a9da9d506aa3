/* sched/idle.h -- the idle protocol: who sleeps, who searches, who wakes whom.
 *
 * Promises.  No lost wake-up: work that was made public while a worker slept is found.  Work conservation:
 * once things settle, no worker sleeps while work is public and no one searches for it.
 *
 *   nsearch   workers (and tokens on their way to one) that are looking for work
 *   mask      one bit a worker: it sleeps, or is about to
 *   permit    one word a worker: somebody cleared its bit and hands it a search token
 *
 *   submit                                       sleep
 *   N1 make work public (seq_cst RMW)            B1 set own bit                     (seq_cst RMW)
 *   N2 nsearch != 0: a searcher will see it      B2 nsearch-- if searching          (seq_cst RMW)
 *   N3 some bit set: wake_one                    B3 look at own inbox; nsearch == 0: at all public work
 *                                                B4 found: take the bit back and search, else sleep
 *   wake_one: W1 token, CAS nsearch 0 -> 1; W2 pick and clear a bit, post its permit; or, when there is no
 *   sleeper: W3 give the token back and W4 look again: a worker may have gone to sleep while the token made
 *   it believe that somebody searched.  W4 repeats until the CAS fails, a sleeper is found, or nothing is
 *   public; any fixed number of tries loses work conservation.
 *   found: F1 nsearch--; who brings it to zero wakes the next one, so that one submitter is enough.
 *
 * Every access marked above is seq_cst: submit and sleep are two stores each followed by a load of the
 * other's, and so are token and sleeper.  Weaker where that is enough: nsearch++ (relaxed, counted before
 * the search's own loads in the same thread), F1 (acq_rel: nobody sleeps because of it that the wake_one
 * that follows would miss).  Checked under sequential consistency and with store buffers in tests/model,
 * each order and each step with a mutant.
 *
 * Rejected: waking on every submission (a locked instruction on a global line each); an event count (every
 * submitter and every sleeper touch one line); waking all.
 *
 * A sleeper also wakes when its time has come: it takes its bit back, or, if somebody else has it, waits for the permit.
 *
 * The program defines the seven functions declared below (sched/search.c; tests/model has its own).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_IDLE_H
#define WEFT_SCHED_IDLE_H

#include "alloc/atomic.h"
#include <stdbool.h>
#include <stdint.h>

#define IDLE_WORKERS_MAX 1024
#define IDLE_WORDS (IDLE_WORKERS_MAX / 64)

typedef struct idle {
    _Alignas(128) _Atomic uint32_t nsearch;
    _Alignas(128) _Atomic uint64_t mask[IDLE_WORDS];
    unsigned workers; /* constant after start */
} idle;

bool weft__idle_public_work(idle *d);             /* is any work public?  seq_cst loads */
bool weft__idle_rescan(idle *d, unsigned worker); /* the same, and ask busy workers for theirs */
bool weft__idle_own(idle *d, unsigned worker);    /* work that only this worker may run?  seq_cst loads */
void weft__idle_post(idle *d, unsigned worker);   /* permit := 1 (release), wake its thread */
bool weft__idle_sleep(idle *d, unsigned worker);  /* until permit == 1 (acquire), then permit := 0: true; or its time has come */
void weft__idle_claimed(idle *d);                 /* a worker is about to be awake: counts it, for who looks for rest */
bool weft__idle_rest(idle *d, unsigned worker);   /* B5; true: it took the own bit back, and there is work */

static inline unsigned idle_words(const idle *d) { return (d->workers + 63) / 64; }

/* Is anybody asleep?  Any thread. */
static inline bool idle_any(idle *d) {
    for (unsigned i = 0; i < idle_words(d); i++)
        if (atom_load_seq(&d->mask[i])) return true;
    return false;
}

/* Is `worker` asleep, or about to be?  Any thread. */
static inline bool idle_is_set(idle *d, unsigned worker) {
    return atom_load_seq(&d->mask[worker / 64]) >> (worker % 64) & 1;
}

/* Take the bit of `worker` out of the mask.  True for exactly one caller each time it was set. */
static inline bool idle_claim(idle *d, unsigned worker) {
    uint64_t bit = UINT64_C(1) << (worker % 64);
    if (!(atom_and_seq(&d->mask[worker / 64], ~bit) & bit)) return false;
    weft__idle_claimed(d);
    return true;
}

/* Pick a sleeper and hand it the token (W2). */
static inline bool idle_wake_any(idle *d) {
    for (unsigned i = 0; i < idle_words(d); i++) {
        uint64_t m = atom_load_seq(&d->mask[i]);
        for (; m; m &= m - 1) {
            unsigned w = i * 64 + (unsigned)__builtin_ctzll(m);
            if (!idle_claim(d, w)) continue;
            weft__idle_post(d, w);
            return true;
        }
    }
    return false;
}

/* Wake one sleeper if nobody searches.  Any thread.  True if one was woken. */
static inline bool idle_wake_one(idle *d) {
    for (;;) {
        uint32_t none = 0;
        if (!atom_cas_seq(&d->nsearch, &none, 1)) return false; /* W1 */
        if (idle_wake_any(d)) return true;                      /* W2 */
        atom_sub_seq(&d->nsearch, 1);                           /* W3 */
        if (!weft__idle_public_work(d) || !idle_any(d)) return false; /* W4 */
    }
}

/* After making work public (N1).  Any thread.  True if a sleeper was woken. */
static inline bool idle_notify(idle *d) {
    if (atom_load_seq(&d->nsearch)) return false; /* N2 */
    return idle_any(d) && idle_wake_one(d);       /* N3 */
}

/* A worker starts to search. */
static inline void idle_search(idle *d) { atom_add_rlx(&d->nsearch, 1); }

/* A searching worker has found work (F1). */
static inline void idle_found(idle *d) {
    if (atom_sub_ar(&d->nsearch, 1) == 1) idle_wake_one(d);
}

/* A worker without work goes to sleep.  Returns true when it comes back holding a search token (it counts
 * as searching), false when it found that there is work and never slept (it does not count). */
static inline bool idle_park(idle *d, unsigned worker, bool searching) {
    atom_or_seq(&d->mask[worker / 64], UINT64_C(1) << (worker % 64)); /* B1 */
    uint32_t others = searching ? atom_sub_seq(&d->nsearch, 1) - 1    /* B2 */
                                : atom_load_seq(&d->nsearch);
    bool work = weft__idle_own(d, worker) || (others == 0 && weft__idle_rescan(d, worker)); /* B3 */
    if (work && idle_claim(d, worker)) return false;                                       /* B4 */
    if (weft__idle_rest(d, worker)) return false;                                          /* B5 */
    while (!weft__idle_sleep(d, worker))
        if (idle_claim(d, worker)) return false;
    return true;
}

#endif
