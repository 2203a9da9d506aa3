/* bench/suite/handlers.h -- what the programs over handlers share with their plain versions in handlers_serial.c.
 *
 * The programs are those of effect-handlers-bench, by its descriptions: countdown, iterator, parsing_dollars, product_early,
 * handler_sieve, generator, resume_nontail.  Their published inputs take seconds each; ours take milliseconds and are the same
 * loops.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef BENCH_HANDLERS_H
#define BENCH_HANDLERS_H

#include <stdint.h>

#include "workload.h"

enum { NEWLINE = 10, DOLLAR = 36, PRODUCT_LENGTH = 1000, RESUME_DEPTH = 10000 };

/* The numbers from n down to 0. */
typedef struct numbers {
    const struct numbers *rest;
    int64_t first;
} numbers;
const numbers *product_numbers(void);

/* A recursion through this is not made a loop of. */
static inline int64_t frame_of(int64_t result) {
    __asm__ volatile("" : "+r"(result));
    return result;
}

/* A tree whose subtrees are shared, so that it takes n nodes and is walked as 2^n - 1. */
typedef struct tree {
    const struct tree *left, *right;
    int64_t value;
} tree;
const tree *generator_tree(int64_t depth);

/* What resume_nontail makes of the number performed with and the rest's result. */
static inline int64_t nontail_step(int64_t x, int64_t y) {
    int64_t d = x - 503 * y + 37;
    return (d < 0 ? -d : d) % 1009;
}

work_fn countdown_serial_run, iterator_serial_run, dollars_serial_run, product_serial_run, sieve_serial_run,
    generator_serial_run, nontail_serial_run;
int64_t sieve_hops(int64_t n);

#endif
