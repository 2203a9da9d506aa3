/* bench/suite/loops_openmp.c -- the loop of loops.c by OpenMP, statically divided.  Compiled with OpenMP, and only if there
 * is one.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "../common/clock.h"
#include "loops.h"
#include "workload.h"

int64_t loop_openmp(void *data, int64_t n, unsigned workers) {
    loop_arrays *arrays = data;
    const unsigned char *in = arrays->in;
    unsigned char *out = arrays->out;
    int64_t begun = wall_ns();
#pragma omp parallel for schedule(static) num_threads((int)workers) firstprivate(in, out)
    for (int64_t i = 0; i < n; i++) out[i] = loop_body(in[i]);
    bench_own_ns = wall_ns() - begun;
    return loop_answer(arrays, n);
}
