/* bench/suite/fibers.c -- spawn, await, yield: what a fiber with a handle costs, on one worker.
 *
 * The baseline, where there is one, calls the function instead.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <stdlib.h>
#include <string.h>
#include <weft/fiber.h>

#include "sched/gate.h"
#include "workload.h"

/* ---- spawn_await/never_blocks, spawn_await/batch:100000 ---- */

static long same(long n);
WEFT_TASK(same, long, long);

__attribute__((noinline)) static long same(long n) {
    __asm__ volatile("" : "+r"(n));
    return n;
}

/* Create, run, await, destroy. */
static int64_t run_never_blocks(void *data, int64_t n) {
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i < n; i++) {
        same_fiber f;
        long got = 0;
        must(weft_spawn(&f, same, i));
        must(weft_await(f, same, &got));
        weft_drop(f);
        sum += got;
    }
    return sum;
}

enum { BATCH = 100000, BATCH_ROUNDS = 4 };

/* n is a multiple of BATCH. */
static int64_t run_batch(void *data, int64_t n) {
    same_fiber *f = data;
    int64_t sum = 0;
    for (int64_t first = 0; first < n; first += BATCH) {
        for (long i = 0; i < BATCH; i++) must(weft_spawn(&f[i], same, first + i));
        for (long i = 0; i < BATCH; i++) {
            long got = 0;
            must(weft_await(f[i], same, &got));
            weft_drop(f[i]);
            sum += got;
        }
    }
    return sum;
}

static void *open_batch(int64_t n) {
    void *f = malloc(BATCH * sizeof(same_fiber));
    (void)n;
    return f ? memset(f, 0, BATCH * sizeof(same_fiber)) : NULL;
}

static int64_t answer_sum(int64_t n) {
    return n * (n - 1) / 2;
}
static int64_t ops_same(int64_t n) {
    return n;
}

/* ---- spawn_await/blocks_once ---- */

typedef gate *gate_ref;
static long pass(gate *g);
WEFT_TASK(pass, long, gate_ref);

/* 1 if it had to wait. */
static long pass(gate *g) {
    long closed = atomic_load_explicit(&g->word, memory_order_relaxed) == 0;
    gate_wait(g);
    return closed;
}

/* The yield lets the child run until it parks. */
static int64_t run_blocks_once(void *data, int64_t n) {
    runtime *rt = thread_fiber()->w->rt;
    int64_t waited = 0;
    (void)data;
    for (int64_t i = 0; i < n; i++) {
        gate g = {0};
        pass_fiber f;
        long got = 0;
        must(weft_spawn(&f, pass, &g));
        must(weft_yield());
        gate_open(&g, rt);
        must(weft_await(f, pass, &got));
        weft_drop(f);
        waited += got;
    }
    return waited;
}

/* ---- yield/fibers:N: the parent awaits and is out of the way ---- */

enum { YIELD_FIBERS = 1000 };

static long yielding(long n);
WEFT_TASK(yielding, long, long);

static long yielding(long n) {
    for (long i = 0; i < n; i++) must(weft_yield());
    return n;
}

static int64_t run_yield(int fibers, int64_t n) {
    yielding_fiber f[YIELD_FIBERS];
    int64_t sum = 0;
    for (int i = 0; i < fibers; i++) must(weft_spawn(&f[i], yielding, n / fibers));
    for (int i = 0; i < fibers; i++) {
        long got = 0;
        must(weft_await(f[i], yielding, &got));
        weft_drop(f[i]);
        sum += got;
    }
    return sum;
}

static int64_t run_yield_two(void *data, int64_t n) {
    (void)data;
    return run_yield(2, n);
}
static int64_t run_yield_many(void *data, int64_t n) {
    (void)data;
    return run_yield(YIELD_FIBERS, n);
}

enum { SINGLE = 400000, YIELDS = 2000000, BATCHES = BATCH_ROUNDS * BATCH };

const workload spawn_never_blocks = {.name = "spawn_await/never_blocks",
                                     .op = "fiber",
                                     .serial = seq_serial_run,
                                     .weft = run_never_blocks,
                                     .one = SINGLE,
                                     .many = SINGLE,
                                     .answer = answer_sum,
                                     .ops = ops_same};
const workload spawn_blocks_once = {.name = "spawn_await/blocks_once",
                                    .op = "fiber",
                                    .weft = run_blocks_once,
                                    .one = SINGLE,
                                    .many = SINGLE,
                                    .answer = ops_same,
                                    .ops = ops_same};
const workload spawn_batch = {.name = "spawn_await/batch:100000",
                              .op = "fiber",
                              .serial = flat_serial_run,
                              .weft = run_batch,
                              .one = BATCHES,
                              .many = BATCHES,
                              .answer = answer_sum,
                              .ops = ops_same,
                              .open = open_batch,
                              .close = free};
const workload yield_two = {.name = "yield/fibers:2",
                            .op = "yield",
                            .weft = run_yield_two,
                            .one = YIELDS,
                            .many = YIELDS,
                            .answer = ops_same,
                            .ops = ops_same};
const workload yield_many = {.name = "yield/fibers:1000",
                             .op = "yield",
                             .weft = run_yield_many,
                             .one = YIELDS,
                             .many = YIELDS,
                             .answer = ops_same,
                             .ops = ops_same};
