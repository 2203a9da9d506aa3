/* sched/thread.c -- the thread-local block and the few functions that may touch it by name.
 *
 * Everything here is compiled so that no caller can keep the block's address: a fiber that resumes on
 * another thread must not write to its old one.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/thread.h"
#include "sched/worker.h"
#include <errno.h>
#include <weft/kernel.h>
#include <weft/runtime.h>

#if defined(__clang__)
#define OPAQUE __attribute__((noinline))
#else
#define OPAQUE __attribute__((noipa))
#endif

typedef struct __attribute__((aligned(16))) thread_block {
    fiber *running;
    _Atomic uint32_t attn;
} thread_block;

_Static_assert(offsetof(thread_block, running) == 0 && offsetof(thread_block, attn) == 8,
               "weft/fork.h reads the block by these offsets");

/* `used`: only assembly names it from outside this file. */
__attribute__((visibility("default"), used, tls_model("initial-exec"))) __thread thread_block weft__tls = {
    .attn = ATTN_PLAIN,
};

OPAQUE _Atomic uint32_t *weft__thread_attn(void) {
    __asm__ volatile("" ::: "memory");
    return &weft__tls.attn;
}

OPAQUE int *weft__thread_errno(void) {
    __asm__ volatile("" ::: "memory");
    return &errno;
}

/* Exported here: where <weft/errno.h> is included, errno is no longer the thread's. */
WEFT_API int *weft_errno(void) { return weft__thread_errno(); }

/* The C++ runtime, if the program has one, keeps the exceptions of a thread that are being handled in a block of
 * two words. */
extern void *__cxa_get_globals(void) __attribute__((weak));

OPAQUE void **weft__thread_exceptions(void) {
    __asm__ volatile("" ::: "memory");
    return __cxa_get_globals ? (void **)__cxa_get_globals() : NULL;
}

/* On a plain thread nothing hangs on the head, it only has to be one. */
weft_head weft_kernel_head(void) {
    static weft_task nowhere;
    fiber *f = thread_fiber();
    return f ? f->pub.head : &nowhere;
}

int weft_worker_index(void) {
    fiber *f = thread_fiber();
    return f ? (int)f->w->index : -1;
}
