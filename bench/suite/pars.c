/* bench/suite/pars.c -- zip_par/2, race/2, for_each_par/grain:1: combinators whose branches never wait.
 *
 * An operation is a branch, or an item; a race has two, though the second never starts.  The baseline calls the function.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <stdlib.h>
#include <weft/par.h>

#include "workload.h"

enum { BRANCHES = 1000000, CROWD = 1000 };

static long same(long n);
WEFT_TASK(same, long, long);

__attribute__((noinline)) static long same(long n) {
    __asm__ volatile("" : "+r"(n));
    return n;
}

static int64_t run_zip(void *data, int64_t n) {
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i < n; i += 2) {
        long a = 0, b = 0;
        must(weft_zip_par(WEFT_BR(same, &a, i), WEFT_BR(same, &b, i + 1)));
        sum += a + b;
    }
    return sum;
}

static int64_t run_race(void *data, int64_t n) {
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i < n; i++) {
        long a = 0;
        must(weft_race(NULL, WEFT_BR(same, &a, i), WEFT_BR(same, &a, i)));
        sum += a;
    }
    return sum;
}

typedef struct crowd {
    long in[CROWD], out[CROWD];
} crowd;

static void *open_crowd(int64_t n) {
    (void)n;
    return calloc(1, sizeof(crowd));
}

static int64_t run_each(void *data, int64_t n) {
    crowd *c = data;
    int64_t sum = 0;
    for (int64_t from = 0; from < n; from += CROWD) {
        for (int i = 0; i < CROWD; i++) c->in[i] = from + i;
        must(weft_for_each_par(same, c->in, CROWD, c->out, .parallelism = 8));
        for (int i = 0; i < CROWD; i++) sum += c->out[i];
    }
    return sum;
}

static int64_t answer_sum(int64_t n) {
    return n * (n - 1) / 2;
}
static int64_t ops_one(int64_t n) {
    return n;
}
static int64_t ops_two(int64_t n) {
    return 2 * n;
}

const workload zip_par_2 = {.name = "zip_par/2", .op = "branch", .serial = seq_serial_run, .weft = run_zip, .one = BRANCHES,
                            .many = BRANCHES, .answer = answer_sum, .ops = ops_one};
const workload race_2 = {.name = "race/2", .op = "branch", .serial = seq_serial_run, .weft = run_race, .one = BRANCHES / 2,
                         .many = BRANCHES / 2, .answer = answer_sum, .ops = ops_two};
const workload for_each_par_1 = {.name = "for_each_par/grain:1", .op = "item", .serial = seq_serial_run, .weft = run_each,
                                 .one = BRANCHES, .many = BRANCHES, .answer = answer_sum, .ops = ops_one,
                                 .open = open_crowd, .close = free};
