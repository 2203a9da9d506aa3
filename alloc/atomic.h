/* alloc/atomic.h -- the only file that spells memory_order_*.
 *
 * The order is in the operation's name, so that it is read where it is used and can be searched
 * for: rlx, acq, rel, ar (acquire and release), seq.  There is no thread fence for data here, on purpose:
 * every protocol in Weft orders itself through accesses (sequentially consistent ones where a store
 * must be seen before a later load), which costs no more than a fence on x86-64 and ARM64, and which
 * ThreadSanitizer understands without suppressions.  Two exceptions order a store before a later load: one where a
 * read-modify-write lies between them anyway, free on x86-64, where that is a full barrier; and a pair of which one side is
 * free everywhere and the other a system call.
 *
 * tests/model puts a directory with its own alloc/atomic.h first on the include path: the same
 * protocol headers then run under a checker that explores interleavings.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_ALLOC_ATOMIC_H
#define WEFT_ALLOC_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define atom_load_rlx(p) atomic_load_explicit((p), memory_order_relaxed)
#define atom_load_acq(p) atomic_load_explicit((p), memory_order_acquire)
#define atom_load_seq(p) atomic_load_explicit((p), memory_order_seq_cst)

#define atom_store_rlx(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define atom_store_rel(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define atom_store_seq(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)

#define atom_xchg_rlx(p, v) atomic_exchange_explicit((p), (v), memory_order_relaxed)
#define atom_xchg_acq(p, v) atomic_exchange_explicit((p), (v), memory_order_acquire)
#define atom_xchg_ar(p, v) atomic_exchange_explicit((p), (v), memory_order_acq_rel)

#define atom_add_rlx(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define atom_add_ar(p, v) atomic_fetch_add_explicit((p), (v), memory_order_acq_rel)
#define atom_add_seq(p, v) atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define atom_sub_ar(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel)
#define atom_sub_seq(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_seq_cst)

#define atom_or_rlx(p, v) atomic_fetch_or_explicit((p), (v), memory_order_relaxed)
#define atom_or_ar(p, v) atomic_fetch_or_explicit((p), (v), memory_order_acq_rel)
#define atom_or_seq(p, v) atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define atom_and_rlx(p, v) atomic_fetch_and_explicit((p), (v), memory_order_relaxed)
#define atom_and_ar(p, v) atomic_fetch_and_explicit((p), (v), memory_order_acq_rel)
#define atom_and_seq(p, v) atomic_fetch_and_explicit((p), (v), memory_order_seq_cst)

/* Directly after a read-modify-write: all stores before it are seen before any load after it. */
#if defined(__x86_64__)
#define atom_fence_after_rmw() atomic_signal_fence(memory_order_seq_cst)
#else
#define atom_fence_after_rmw() atomic_thread_fence(memory_order_seq_cst)
#endif

/* Of two threads that each store, then load what the other stores, with a light fence in one between the two and a heavy one
 * in the other, at least one sees the other's store.  The heavy one makes each thread of the process that runs execute a full
 * barrier; pre: weft__os_barrier_works(). */
void weft__os_barrier(void);
#define atom_fence_light() atomic_signal_fence(memory_order_seq_cst)
#define atom_fence_heavy() weft__os_barrier()

/* Compare and exchange, strong.  On failure *e holds what was found, read with the second order. */
#define atom_cas_rlx(p, e, v) \
    atomic_compare_exchange_strong_explicit((p), (e), (v), memory_order_relaxed, memory_order_relaxed)
#define atom_cas_acq(p, e, v) \
    atomic_compare_exchange_strong_explicit((p), (e), (v), memory_order_acquire, memory_order_acquire)
#define atom_cas_rel(p, e, v) \
    atomic_compare_exchange_strong_explicit((p), (e), (v), memory_order_release, memory_order_relaxed)
#define atom_cas_ar(p, e, v) \
    atomic_compare_exchange_strong_explicit((p), (e), (v), memory_order_acq_rel, memory_order_acquire)
#define atom_cas_seq(p, e, v) \
    atomic_compare_exchange_strong_explicit((p), (e), (v), memory_order_seq_cst, memory_order_acquire)

#endif
