/* bench/suite/loops.c -- parallel_for/1e7: ten million iterations of next to nothing, a byte from one array to another.  The
 * arrays fit into a shared cache, so it is not memory that is measured; the plain loop takes about a millisecond.
 * loops_openmp.c has the same loop for OpenMP; both are compiled at -O3, where loops are vectorised.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "loops.h"

#include <stdlib.h>
#include <weft/loop.h>

#include "../common/clock.h"
#include "workload.h"

enum { SPOTS = 1000 };

static inline void move(size_t i, loop_arrays a) {
    a.out[i] = loop_body(a.in[i]);
}
WEFT_LOOP(move, loop_arrays);

static void *open_arrays(int64_t n) {
    loop_arrays *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    a->in = malloc((size_t)n);
    a->out = calloc((size_t)n, 1);
    if (a->in && a->out) {
        for (int64_t i = 0; i < n; i++) a->in[i] = (unsigned char)(i % 251);
        return a;
    }
    free(a->in);
    free(a->out);
    free(a);
    return NULL;
}

static void close_arrays(void *data) {
    loop_arrays *a = data;
    free(a->in);
    free(a->out);
    free(a);
}

/* Some of the elements, which are wiped: the next run has to write them again. */
int64_t loop_answer(loop_arrays *a, int64_t n) {
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i += n / SPOTS) {
        sum += a->out[i];
        a->out[i] = 0;
    }
    return sum;
}

static int64_t answer(int64_t n) {
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i += n / SPOTS) sum += loop_body((unsigned char)(i % 251));
    return sum;
}

static int64_t run(void *data, int64_t n) {
    loop_arrays *a = data;
    int64_t begun = wall_ns();
    must(weft_parallel_for(move, (size_t)n, a->in, a->out));
    bench_own_ns = wall_ns() - begun;
    return loop_answer(a, n);
}

static int64_t ops(int64_t n) {
    return n;
}

const workload loop_1e7 = {
    "parallel_for/1e7", "iteration", NULL, run, 10000000, 10000000, answer, ops, open_arrays, close_arrays};
