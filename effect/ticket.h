/* effect/ticket.h -- whose turn it is with a continuation: one word of its body.
 *
 *   {generation:40 | runtime:22 | state:2}      a continuation is a body, and {generation | runtime} of one of its performs
 *
 *   DRIVEN --perform: the generation counts up--> HELD --its driver, by a store--> DRIVEN
 *                                                  \--keep, by its driver--> KEPT --anybody, one of them--> DRIVEN
 *
 *   T1 DRIVEN to HELD, and out of HELD, leads only the driver that was left for: `holder`, which stays while the body is
 *      held.  Others who have the same continuation see HELD, and (release, acquire) no older holder, who may be themselves
 *   T2 keep releases what the driver, and the body before it, have written; take of KEPT acquires it, by the compare-and-swap
 *      that only one can win, since no later perform has the same generation
 *   T3 whoever took it for nothing gives it back as it was: a release, as keep is
 *   T4 a runtime with a single worker has nobody to compete with: a store
 *
 * Rejected: a flag in each continuation (they are values, of which there may be copies); a lock.
 * Self-contained over alloc/atomic.h.  Model: tests/model.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EFFECT_TICKET_H
#define WEFT_EFFECT_TICKET_H

#include "alloc/atomic.h"
#include <stdbool.h>
#include <stdint.h>

enum { TICKET_DRIVEN, TICKET_HELD, TICKET_KEPT, TICKET_STATES = 4, TICKET_RUNTIME_BITS = 22 };
#define TICKET_GENERATION ((uint64_t)TICKET_STATES << TICKET_RUNTIME_BITS)

typedef _Atomic uint64_t ticket_word;
typedef _Atomic uintptr_t ticket_holder;

/* A new body on this word, of the runtime with this number. */
static inline void ticket_begin(ticket_word *word, uint64_t runtime) {
    uint64_t old = atom_load_rlx(word);
    atom_store_rlx(word, (old & ~(TICKET_GENERATION - 1)) | runtime % (1u << TICKET_RUNTIME_BITS) * TICKET_STATES);
}

/* The body, which is driven, performs. */
static inline void ticket_hold(ticket_word *word) {
    atom_store_rel(word, atom_load_rlx(word) + (TICKET_GENERATION + TICKET_HELD - TICKET_DRIVEN)); /* T1 */
}

static inline bool ticket_is_of(uint64_t ticket, uint64_t runtime) {
    return (ticket & (TICKET_GENERATION - 1)) == runtime % (1u << TICKET_RUNTIME_BITS) * TICKET_STATES;
}

/* Is it held for this perform?  Its driver. */
static inline bool ticket_is_held(const ticket_word *word, uint64_t ticket) {
    return atom_load_rlx(word) == (ticket | TICKET_HELD);
}

/* T2.  Pre: it is held, by the caller. */
static inline void ticket_keep(ticket_word *word, uint64_t ticket) { atom_store_rel(word, ticket | TICKET_KEPT); }

/* True: the caller has it, out of state *was. */
static inline bool ticket_take(ticket_word *word, uint64_t ticket, ticket_holder *holder, uintptr_t me, bool alone,
                               uint64_t *was) {
    uint64_t now = atom_load_acq(word);
    *was = now ^ ticket;
    if (*was == TICKET_HELD && atom_load_rlx(holder) == me) { /* T1 */
        atom_store_rlx(word, ticket | TICKET_DRIVEN);
        return true;
    }
    if (*was != TICKET_KEPT) return false;
    if (!alone) return atom_cas_ar(word, &now, ticket | TICKET_DRIVEN); /* T2 */
    atom_store_rlx(word, ticket | TICKET_DRIVEN); /* T4 */
    return true;
}

/* T3. */
static inline void ticket_give_back(ticket_word *word, uint64_t ticket, uint64_t was) { atom_store_rel(word, ticket | was); }

/* A moment's view. */
static inline bool ticket_is_open(const ticket_word *word, uint64_t ticket) {
    uint64_t state = atom_load_acq(word) ^ ticket;
    return state == TICKET_HELD || state == TICKET_KEPT;
}

#endif
