/* bench/suite/loops_openmp.c -- the loop of loops.c by OpenMP, statically divided.  Compiled with OpenMP, and only if there
 * is one.
 *
 * Its threads are bound to the first CPUs, as workers are: unbound, the second one is as a rule woken on the CPU of the first
 * and stays there for as long as a loop takes.  Not by OMP_PROC_BIND, which would bind the main thread before main, and with
 * it all threads that it starts.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <omp.h>
#include <sched.h>

#include "../common/clock.h"
#include "loops.h"
#include "workload.h"

static void bind_to(const cpu_set_t *allowed, int nth) {
    cpu_set_t one;
    size_t cpu = 0;
    for (int left = nth % CPU_COUNT(allowed); !CPU_ISSET(cpu, allowed) || left > 0; cpu++)
        left -= CPU_ISSET(cpu, allowed) != 0;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

/* The threads of OpenMP's pool stay bound. */
static void bind_threads(unsigned workers, const cpu_set_t *allowed) {
    static unsigned bound;
    if (bound < workers) {
#pragma omp parallel num_threads((int)workers)
        bind_to(allowed, omp_get_thread_num());
        bound = workers;
    }
    bind_to(allowed, 0);
}

int64_t loop_openmp(void *data, int64_t n, unsigned workers) {
    loop_arrays *arrays = data;
    const unsigned char *in = arrays->in;
    unsigned char *out = arrays->out;
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed)) bench_die("sched_getaffinity failed");
    if (workers > 1) bind_threads(workers, &allowed);
    int64_t begun = wall_ns();
#pragma omp parallel for schedule(static) num_threads((int)workers) firstprivate(in, out)
    for (int64_t i = 0; i < n; i++) out[i] = loop_body(in[i]);
    bench_own_ns = wall_ns() - begun;
    sched_setaffinity(0, sizeof allowed, &allowed);
    return loop_answer(arrays, n);
}
