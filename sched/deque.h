/* sched/deque.h -- the shared half of a worker's fork deque.
 *
 * Children start private: a list through the descriptors, in the frames of the fiber that forked them
 * (weft/fork.h), touched by nobody else.  When an idle worker asks for work, the owner moves the oldest
 * private children here, and here they can be stolen.
 *
 *   ring     slots of item pointers, capacity a power of two; index i lives in slot i mod capacity
 *   ts       one word {top:40 | n:24}: items top .. top+n-1 are on offer
 *
 *   thieves take the oldest, index top:          CAS (top, n) -> (top+1, n-1)
 *   the owner adds at the end:                   slots, then ts += k
 *   the owner takes the newest, index top+n-1:   CAS (top, n) -> (top, n-1), the last one as a thief would
 *
 * All arbitration is a CAS on one word, so the owner needs no fence, and an offer is one addition however
 * many items it covers.
 *
 * D1  An index equal to `top` leaves the deque only by top+1: it is never offered again.  So slot[top] does
 *     not change while a thief holds (top, n), and a CAS that succeeds claims the item that was read.
 * D2  Only the owner changes n upwards, only the owner writes slots and the ring.
 * D3  An item is in at most one deque, at the place the owner noted in it.
 *
 * Orders, by label:
 *   P1 slot store, relaxed        P2 ts add, seq_cst: releases the slots and the items' contents to S1; seq_cst
 *                                 because `notify` of sched/idle.h follows and must not pass it
 *   S1 ts load, acquire           with P2
 *   S2 ring load, acquire         with G1: the ring is at least the one that P2 of S1's value was made on
 *   S3 slot load, relaxed         before S4; a value read from a slot whose index is gone is dropped
 *   S4 ts CAS, acq_rel            release: S3 may not sink below it, or it could read the slot's next tenant
 *                                 (with R1); a failure returns nothing, so its order is irrelevant
 *   R1 ts load, acquire           owner's room test, with S4: slots below the top it sees are free to reuse
 *   T1 ts CAS, relaxed            owner: what it takes it wrote itself; RMWs continue P2's release sequence
 *   G1 ring store, release        the copied slots
 *
 * Rejected: items between a private `split` and a public part in one array (Lace, and the first design of
 * this one): the push then needs a slot, an index and a room test, and can fail when memory is out; one
 * exchange per slot (Wool): an atomic operation at every join of a public child; Chase-Lev: a fence at
 * every pop.  Model: tests/model; stress: tests/stress/deque_stress.c.
 *
 * Self-contained over alloc/atomic.h so that a model checker can take it.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_DEQUE_H
#define WEFT_SCHED_DEQUE_H

#include "alloc/atomic.h"
#include <stddef.h>
#include <stdint.h>

#define DEQUE_N_BITS 24
#define DEQUE_N_MASK ((UINT64_C(1) << DEQUE_N_BITS) - 1)
#define DEQUE_TOP_MASK (UINT64_MAX >> DEQUE_N_BITS)
#define DEQUE_MAX_ITEMS (UINT64_C(1) << (DEQUE_N_BITS - 1))

typedef struct deque_ring {
    uint64_t capacity; /* power of two, at most DEQUE_MAX_ITEMS */
    struct deque_ring *replaced; /* the ring before: thieves may still read it, freed with the deque */
    _Atomic(void *) slot[];
} deque_ring;

typedef struct deque {
    _Atomic uint64_t ts;         /* owner and thieves */
    _Atomic(deque_ring *) ring;  /* owner writes, thieves read */
} deque;

typedef enum deque_result {
    DEQUE_OK,
    DEQUE_EMPTY,  /* steal: nothing on offer */
    DEQUE_LOST,   /* steal: somebody else was faster, look again */
    DEQUE_GONE,   /* take: stolen, or popped by the owner itself */
    DEQUE_BURIED, /* take: newer items lie on top of it */
} deque_result;

#define DEQUE_RING_BYTES(capacity) (sizeof(deque_ring) + (size_t)(capacity) * sizeof(_Atomic(void *)))

static inline uint64_t deque_top(uint64_t ts) { return ts >> DEQUE_N_BITS; }
static inline uint64_t deque_n(uint64_t ts) { return ts & DEQUE_N_MASK; }
static inline uint64_t deque_pack(uint64_t top, uint64_t n) { return top << DEQUE_N_BITS | n; }

/* Items on offer.  Any thread; seq_cst, for the idle protocol's rescan. */
static inline uint64_t deque_size(deque *d) { return deque_n(atom_load_seq(&d->ts)); }

/* ---- owner ---------------------------------------------------------------------------------------- */

/* Index the next item gets, and how many fit without growing. */
static inline uint64_t deque_end(deque *d, uint64_t *room) {
    uint64_t ts = atom_load_acq(&d->ts); /* R1 */
    *room = atom_load_rlx(&d->ring)->capacity - deque_n(ts);
    return (deque_top(ts) + deque_n(ts)) & DEQUE_TOP_MASK;
}

/* Write item `at` = end, end+1, ...  pre: there is room. */
static inline void deque_put(deque *d, uint64_t at, void *item) {
    deque_ring *r = atom_load_rlx(&d->ring);
    atom_store_rlx(&r->slot[at & (r->capacity - 1)], item); /* P1 */
}

/* Offer the k items just put. */
static inline void deque_offer(deque *d, uint64_t k) { atom_add_seq(&d->ts, k); /* P2 */ }

/* Move to `bigger`, whose capacity is larger; the old ring stays readable, linked from the new one. */
static inline void deque_grow(deque *d, deque_ring *bigger) {
    deque_ring *old = atom_load_rlx(&d->ring);
    uint64_t ts = atom_load_rlx(&d->ts), end = deque_top(ts) + deque_n(ts);
    for (uint64_t i = deque_top(ts); i != end; i++) {
        void *item = atom_load_rlx(&old->slot[i & (old->capacity - 1)]);
        atom_store_rlx(&bigger->slot[i & (bigger->capacity - 1)], item);
    }
    bigger->replaced = old;
    atom_store_rel(&d->ring, bigger); /* G1 */
}

/* Take back the item that was put at index `at`, if it is the newest.  The owner may have popped it meanwhile
 * and put another one there: the slot tells. */
static inline deque_result deque_take(deque *d, uint64_t at, const void *item) {
    uint64_t ts = atom_load_rlx(&d->ts);
    deque_ring *r = atom_load_rlx(&d->ring);
    for (;;) {
        uint64_t top = deque_top(ts), n = deque_n(ts);
        if (((at - top) & DEQUE_TOP_MASK) >= n) return DEQUE_GONE;
        if (atom_load_rlx(&r->slot[at & (r->capacity - 1)]) != item) return DEQUE_GONE;
        if (((at - top) & DEQUE_TOP_MASK) != n - 1) return DEQUE_BURIED;
        uint64_t without = n == 1 ? deque_pack(top + 1, 0) : deque_pack(top, n - 1); /* D1 */
        if (atom_cas_rlx(&d->ts, &ts, without)) return DEQUE_OK;                      /* T1 */
    }
}

/* Take back the newest item, NULL if there is none. */
static inline void *deque_pop(deque *d) {
    for (;;) {
        uint64_t ts = atom_load_rlx(&d->ts);
        if (deque_n(ts) == 0) return NULL;
        uint64_t at = (deque_top(ts) + deque_n(ts) - 1) & DEQUE_TOP_MASK;
        deque_ring *r = atom_load_rlx(&d->ring);
        void *item = atom_load_rlx(&r->slot[at & (r->capacity - 1)]);
        if (deque_take(d, at, item) == DEQUE_OK) return item;
    }
}

/* ---- any thread ----------------------------------------------------------------------------------- */

/* Steal the oldest item. */
static inline deque_result deque_steal(deque *d, void **out) {
    uint64_t ts = atom_load_acq(&d->ts); /* S1 */
    uint64_t top = deque_top(ts), n = deque_n(ts);
    if (n == 0) return DEQUE_EMPTY;
    deque_ring *r = atom_load_acq(&d->ring);                        /* S2 */
    void *item = atom_load_rlx(&r->slot[top & (r->capacity - 1)]); /* S3 */
    if (!atom_cas_ar(&d->ts, &ts, deque_pack(top + 1, n - 1))) return DEQUE_LOST; /* S4 */
    *out = item;
    return DEQUE_OK;
}

/* ---- audit ---------------------------------------------------------------------------------------- */

/* Owner, while no thief is about: every item on offer is there, and they fit.  visit (may be NULL) looks at each
 * item and its index. */
static inline bool deque_audit(deque *d, bool (*visit)(void *item, uint64_t at, void *arg), void *arg) {
    uint64_t ts = atom_load_acq(&d->ts), top = deque_top(ts), n = deque_n(ts);
    deque_ring *r = atom_load_acq(&d->ring);
    if (n > r->capacity || (r->capacity & (r->capacity - 1)) != 0) return false;
    for (uint64_t i = top; i != top + n; i++) {
        void *item = atom_load_rlx(&r->slot[i & (r->capacity - 1)]);
        if (!item || (visit && !visit(item, i & DEQUE_TOP_MASK, arg))) return false;
    }
    return true;
}

#endif
