/* sched/gate.h -- fibers wait until somebody opens: the smallest wait there is.  For tests and benchmarks.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_GATE_H
#define WEFT_SCHED_GATE_H

#include "sched/switch.h"

typedef struct gate {
    wait_queue word;
} gate;

/* Suspends unless the gate is open. */
static inline weft_exit gate_wait(gate *g) {
    fiber *f = thread_fiber();
    weft_exit why = {WEFT_EXIT_OK, 0, NULL};
    if (atom_load_acq(&g->word) & QUEUE_DONE) return why;
    waits_for(f, "a gate", g);
    wait_on(f, &g->word, NULL, NULL, NULL, &why);
    return why;
}

/* Once.  [any thread] */
static inline void gate_open(gate *g, runtime *rt) {
    (void)rt;
    weft__queue_finish(&g->word);
}

#endif
