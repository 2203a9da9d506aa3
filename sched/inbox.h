/* sched/inbox.h -- a list that any thread pushes to and one takes whole.
 *
 * A push is a CAS on the head, the drain one exchange: there is no pop of single items, hence no ABA.  Items come out
 * newest first; inbox_drain turns them round.
 *
 * Orders: I1 push CAS, seq_cst: releases the item to I2; seq_cst because the pusher looks for sleepers next (N1 of
 * sched/idle.h, which I1 is).  I2 exchange, acquire.
 * Self-contained over alloc/atomic.h but for the link, which the includer names.  Model: tests/model.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_INBOX_H
#define WEFT_SCHED_INBOX_H

#include "alloc/atomic.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct inbox {
    _Alignas(128) _Atomic(uintptr_t) newest;
} inbox;

/* Is something in it?  seq_cst, for the idle protocol. */
static inline bool inbox_any(inbox *b) { return atom_load_seq(&b->newest) != 0; }

/* Any thread.  `link` is the item's link. */
static inline void inbox_push(inbox *b, uintptr_t item, uintptr_t *link) {
    uintptr_t newest = atom_load_rlx(&b->newest);
    do *link = newest;
    while (!atom_cas_seq(&b->newest, &newest, item)); /* I1 */
}

/* Everything, newest first, linked; 0 if nothing. */
static inline uintptr_t inbox_drain(inbox *b) {
    if (atom_load_rlx(&b->newest) == 0) return 0;
    return atom_xchg_acq(&b->newest, 0); /* I2 */
}

#endif
