/* bench/suite/loops.h -- the loop that Weft and OpenMP run.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

#include <stdint.h>

typedef struct loop_arrays {
    unsigned char *in, *out;
} loop_arrays;

static inline unsigned char loop_body(unsigned char x) {
    return (unsigned char)(3 * x + 1);
}

int64_t loop_answer(loop_arrays *a, int64_t n);

#endif
