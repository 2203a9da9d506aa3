/* alloc/spin.h -- a lock for sections of a few dozen instructions that never suspend.
 *
 * Zero-initialised means free.  Not recursive.  After a while of spinning a waiter lets the processor
 * go, because the holder may have lost it.  Rejected: a ticket lock, which hands the lock to a thread
 * that may not be running.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_ALLOC_SPIN_H
#define WEFT_ALLOC_SPIN_H

#include "alloc/arch.h"
#include "alloc/atomic.h"
#include "alloc/os.h"

typedef struct spin {
    _Atomic uint32_t held;
} spin;

/* L1 exchange, acquire   with L2 of the last holder: what it wrote is seen. */
static inline void spin_lock(spin *s) {
    unsigned spins = 0;
    while (atom_xchg_acq(&s->held, 1)) { /* L1 */
        while (atom_load_rlx(&s->held)) {
            arch_relax();
            if (++spins % 128 == 0) weft__os_yield();
        }
    }
}

/* L2 store, release      with L1 of the next holder. */
static inline void spin_unlock(spin *s) { atom_store_rel(&s->held, 0); } /* L2 */

#endif
