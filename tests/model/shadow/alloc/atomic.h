/* tests/model/shadow/alloc/atomic.h -- alloc/atomic.h for the explorer: the same operations, each a call.
 * First on the include path of models.  SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_ALLOC_ATOMIC_H
#define WEFT_ALLOC_ATOMIC_H

#include "tests/model/explorer/model.h"
#include <stdatomic.h>

#define MODEL_VALUE(p) __typeof__((void)0, *(p)) /* without _Atomic */

#define MODEL_SITE(op, ptr, kind_, order_)                                                             \
    __extension__({                                                                                    \
        static model_site site_ = {__FILE__, __func__, op "(" ptr ")", kind_, order_, __LINE__, false, 0, NULL}; \
        &site_;                                                                                        \
    })

#define MODEL_OP(op, p, v, kind, order)                                                                    \
    __extension__({                                                                                        \
        MODEL_VALUE(p)                                                                                     \
        found_ = (MODEL_VALUE(p))(uintptr_t)model_atomic(                                                  \
            MODEL_SITE(op, #p, kind, order), (volatile void *)(p), sizeof *(p), (uint64_t)(uintptr_t)(v)); \
        found_;                                                                                            \
    })
#define MODEL_CASOP(op, p, e, v, order)                                                     \
    model_cas(MODEL_SITE(op, #p, MODEL_CAS, order), (volatile void *)(p), sizeof *(p), (e), \
              (uint64_t)(uintptr_t)(v))

#define atom_load_rlx(p) MODEL_OP("load_rlx", p, 0, MODEL_LOAD, MODEL_RLX)
#define atom_load_acq(p) MODEL_OP("load_acq", p, 0, MODEL_LOAD, MODEL_ACQ)
#define atom_load_seq(p) MODEL_OP("load_seq", p, 0, MODEL_LOAD, MODEL_SEQ)

#define atom_store_rlx(p, v) ((void)MODEL_OP("store_rlx", p, v, MODEL_STORE, MODEL_RLX))
#define atom_store_rel(p, v) ((void)MODEL_OP("store_rel", p, v, MODEL_STORE, MODEL_REL))
#define atom_store_seq(p, v) ((void)MODEL_OP("store_seq", p, v, MODEL_STORE, MODEL_SEQ))

#define atom_xchg_rlx(p, v) MODEL_OP("xchg_rlx", p, v, MODEL_XCHG, MODEL_RLX)
#define atom_xchg_acq(p, v) MODEL_OP("xchg_acq", p, v, MODEL_XCHG, MODEL_ACQ)
#define atom_xchg_ar(p, v) MODEL_OP("xchg_ar", p, v, MODEL_XCHG, MODEL_AR)

#define atom_add_rlx(p, v) MODEL_OP("add_rlx", p, v, MODEL_ADD, MODEL_RLX)
#define atom_add_ar(p, v) MODEL_OP("add_ar", p, v, MODEL_ADD, MODEL_AR)
#define atom_add_seq(p, v) MODEL_OP("add_seq", p, v, MODEL_ADD, MODEL_SEQ)
#define atom_sub_ar(p, v) MODEL_OP("sub_ar", p, v, MODEL_SUB, MODEL_AR)
#define atom_sub_seq(p, v) MODEL_OP("sub_seq", p, v, MODEL_SUB, MODEL_SEQ)

#define atom_or_rlx(p, v) MODEL_OP("or_rlx", p, v, MODEL_OR, MODEL_RLX)
#define atom_or_ar(p, v) MODEL_OP("or_ar", p, v, MODEL_OR, MODEL_AR)
#define atom_or_seq(p, v) MODEL_OP("or_seq", p, v, MODEL_OR, MODEL_SEQ)
#define atom_and_rlx(p, v) MODEL_OP("and_rlx", p, v, MODEL_AND, MODEL_RLX)
#define atom_and_ar(p, v) MODEL_OP("and_ar", p, v, MODEL_AND, MODEL_AR)
#define atom_and_seq(p, v) MODEL_OP("and_seq", p, v, MODEL_AND, MODEL_SEQ)

/* What C11 promises of a seq_cst fence; alloc/atomic.h says why x86-64 keeps that without one. */
#define atom_fence_after_rmw() \
    ((void)model_atomic(MODEL_SITE("fence_after_rmw", "", MODEL_FENCE, MODEL_SEQ), NULL, 0, 0))

/* As pairs they promise the same; two light ones promise nothing, and no model may have two threads execute them at once. */
#define atom_fence_light() ((void)model_atomic(MODEL_SITE("fence_light", "", MODEL_FENCE, MODEL_SEQ), NULL, 0, 0))
#define atom_fence_heavy() ((void)model_atomic(MODEL_SITE("fence_heavy", "", MODEL_FENCE, MODEL_SEQ), NULL, 0, 0))

#define atom_cas_rlx(p, e, v) MODEL_CASOP("cas_rlx", p, e, v, MODEL_RLX)
#define atom_cas_acq(p, e, v) MODEL_CASOP("cas_acq", p, e, v, MODEL_ACQ)
#define atom_cas_rel(p, e, v) MODEL_CASOP("cas_rel", p, e, v, MODEL_REL)
#define atom_cas_ar(p, e, v) MODEL_CASOP("cas_ar", p, e, v, MODEL_AR)
#define atom_cas_seq(p, e, v) MODEL_CASOP("cas_seq", p, e, v, MODEL_SEQ)

#endif
