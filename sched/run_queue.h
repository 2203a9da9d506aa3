/* sched/run_queue.h -- the public run queue of a worker: one producer, many consumers, first in first out.
 *
 * A worker's ready items are private (sched/queue.c) until somebody asks; then half of them come here.  Thieves take
 * half of what is here.  Fixed size: what does not fit stays private.
 *
 *   head   next to be taken; consumers, the owner among them, move it by CAS
 *   tail   next to be written; the owner alone
 *
 * Orders:
 *   W1 head load, acquire    owner's room test, with C2 of consumers: slots before head are free to reuse
 *   W2 slot store, relaxed   before W3
 *   W3 tail store, seq_cst   releases slot and item to C1; seq_cst because notify (sched/idle.h) follows
 *   C0 head load, acquire    before C1: with a head newer than the tail, n would be a huge number (refused)
 *   C1 tail load, acquire    with W3
 *      slot loads, relaxed   before C2
 *   C2 head CAS, acq_rel     release: the copies may not sink below it (with W1)
 * Indices are 32 bits and wrap; with 16 a consumer that sleeps through a whole turn would take items twice (tokio
 * 5041).
 *
 * Source: Go's runqueue (proc.go).  Rejected: a head of two halves {steal, real} (tokio): a second RMW for each theft.
 * Self-contained over alloc/atomic.h.  Model: tests/model; stress: tests/stress/run_queue_stress.c.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_RUN_QUEUE_H
#define WEFT_SCHED_RUN_QUEUE_H

#include "alloc/atomic.h"
#include <stdbool.h>
#include <stdint.h>

#ifndef RUN_QUEUE_SLOTS
#define RUN_QUEUE_SLOTS 256u /* a power of two */
#endif

typedef struct run_queue {
    _Alignas(128) _Atomic uint32_t head;
    _Alignas(128) _Atomic uint32_t tail;
    _Atomic(uintptr_t) slot[RUN_QUEUE_SLOTS];
} run_queue;

/* Items in it, or more.  Any thread; for the idle protocol's rescan the load of tail is seq_cst, with W3.  The head may be
 * old (C2 is not seq_cst, and time passes between the loads), so what is more than fits counts as full: as empty it would
 * lose a wake-up.  Acquire, so that it is not newer than the tail. */
static inline uint32_t run_queue_size(run_queue *q) {
    uint32_t head = atom_load_acq(&q->head), n = atom_load_seq(&q->tail) - head;
    return n <= RUN_QUEUE_SLOTS ? n : RUN_QUEUE_SLOTS;
}

/* Owner.  False: full. */
static inline bool run_queue_push(run_queue *q, uintptr_t item) {
    uint32_t tail = atom_load_rlx(&q->tail);
    if (tail - atom_load_acq(&q->head) >= RUN_QUEUE_SLOTS) return false; /* W1 */
    atom_store_rlx(&q->slot[tail % RUN_QUEUE_SLOTS], item);              /* W2 */
    atom_store_seq(&q->tail, tail + 1);                                  /* W3 */
    return true;
}

/* Take the oldest half, at most `most`, into out.  Any thread.  Returns how many; 0 when it is empty or somebody
 * else was faster, which *lost tells. */
static inline uint32_t run_queue_take(run_queue *q, uintptr_t *out, uint32_t most, bool *lost) {
    *lost = false;
    uint32_t head = atom_load_acq(&q->head);        /* C0 */
    uint32_t n = atom_load_acq(&q->tail) - head;    /* C1 */
    if (n == 0 || n > RUN_QUEUE_SLOTS) return 0;
    n -= n / 2;
    if (n > most) n = most;
    for (uint32_t i = 0; i < n; i++) out[i] = atom_load_rlx(&q->slot[(head + i) % RUN_QUEUE_SLOTS]);
    if (atom_cas_ar(&q->head, &head, head + n)) return n; /* C2 */
    *lost = true;
    return 0;
}

/* Take the oldest.  Any thread; for the owner 0 means empty. */
static inline uintptr_t run_queue_pop(run_queue *q) {
    uintptr_t item;
    for (bool lost = true; lost;)
        if (run_queue_take(q, &item, 1, &lost)) return item;
    return 0;
}

#endif
