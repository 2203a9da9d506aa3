/* sched/gate.h -- one fiber waits until somebody opens: the smallest wait there is.  For tests and benchmarks, until
 * promises come.
 *
 * The word follows sched/join.h: 0, then the waiting fiber, or open.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_GATE_H
#define WEFT_SCHED_GATE_H

#include "sched/switch.h"

typedef struct gate {
    _Atomic(uintptr_t) word;
} gate;

/* One fiber, once.  Suspends unless the gate is open. */
static inline void gate_wait(gate *g) {
    fiber *f = thread_fiber();
    if (join_done(&g->word)) return;
    if (fiber_suspend(f, (after){AFTER_GATE, f, NULL, &g->word})) return;
    while (!join_done(&g->word)) weft__help(f);
}

/* Once.  [any thread] */
static inline void gate_open(gate *g, runtime *rt) {
    uintptr_t waiter = join_finish(&g->word);
    fiber *f = thread_fiber();
    if (!waiter) return;
    if (f && f->w->rt == rt)
        weft__ready(f->w, (fiber *)waiter);
    else
        weft__inject_visiting(rt, item_of_fiber((fiber *)waiter));
}

#endif
