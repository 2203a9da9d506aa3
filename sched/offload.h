/* sched/offload.h -- helper threads for blocking calls, of one runtime.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_OFFLOAD_H
#define WEFT_SCHED_OFFLOAD_H

#include "alloc/os.h"
#include "alloc/spin.h"

#define OFFLOAD_THREADS_MAX 64

typedef struct offload {
    spin lock;
    struct weft_offload_call *first, **last; /* waiting for a thread, oldest first */
    unsigned threads, idle;                  /* started; of these, waiting for a call */
    bool stop;
    _Atomic uint32_t calls;                  /* futex: counts what was queued */
    os_thread os[OFFLOAD_THREADS_MAX];
} offload;

/* Wait for the calls that run, given-up ones included, and end the threads. */
void weft__offload_stop(offload *o);

#endif
