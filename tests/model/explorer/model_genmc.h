/* tests/model/explorer/model_genmc.h -- a model as a plain C11 program over pthreads and the real
 * alloc/atomic.h, for a weak-memory checker (GenMC): it finds what the explorer leaves out, stores that enter
 * the modification order early and load buffering.
 *
 *   genmc --imm --check-liveness -- -DWEFT_MODEL_GENMC -DWEFT_MODEL_INSTANCE=0 -I. deque_model.c
 *
 * Waiting is a spin.  What the explorer checks about reused variables is not checked here.
 * Included by model.h alone.  SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_MODEL_GENMC_H
#define WEFT_MODEL_GENMC_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#ifndef WEFT_MODEL_INSTANCE
#define WEFT_MODEL_INSTANCE 0
#endif

#ifdef __GENMC__
void __VERIFIER_assume(int);
#define model_assume(c) __VERIFIER_assume(c)
#else
#define model_assume(c) ((c) ? (void)0 : pthread_exit(NULL))
#endif

typedef struct model_data {
    uint64_t value;
} model_data;

static inline void model_write(model_data *d, uint64_t value) {
    d->value = value;
}
static inline uint64_t model_read(model_data *d) {
    return d->value;
}

typedef _Atomic uint64_t model_count;
static inline uint64_t model_count_add(model_count *c, int n) {
    uint64_t by = (uint64_t)(int64_t)n;
    return atomic_fetch_add_explicit(c, by, memory_order_relaxed) + by;
}

#define model_peek(p) atomic_load_explicit((p), memory_order_relaxed)
#define model_reuse(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define model_check(c) assert(c)
#define model_exit() pthread_exit(NULL)
#define model_forget(state) ((void)(state))
#define model_self() 0u

static inline void model_await(bool (*condition)(void *arg), void *arg) {
    while (!condition(arg)) {}
}

const model_instance *model_instance_;

static void *model_start(void *self) {
    the_model.thread((unsigned)(uintptr_t)self);
    return NULL;
}

int main(void) {
    pthread_t t[MODEL_THREADS];
    model_instance_ = &the_model.instances[WEFT_MODEL_INSTANCE];
    the_model.setup();
    for (unsigned i = 0; i < model_instance_->threads; i++)
        pthread_create(&t[i], NULL, model_start, (void *)(uintptr_t)i);
    for (unsigned i = 0; i < model_instance_->threads; i++) pthread_join(t[i], NULL);
    if (the_model.finish) the_model.finish();
    return 0;
}

#endif
