/* bench/suite/empty.c -- flat and seq: tasks that do nothing, all forked from one parent.
 *
 * flat forks a million, then joins them, the newest first; their descriptors are touched beforehand.
 * seq forks and joins one at a time.  With a second worker idle, seq is where most schedulers collapse:
 * the thief keeps asking for the one child there is.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <stdlib.h>
#include <string.h>
#include <weft/kernel.h>

#include "workload.h"

static long empty(weft_head k, long n);
static long empty_plain(long n);
WEFT_KERNEL(empty, long, long);
WEFT_TASK(empty_plain, long, long);

__attribute__((noinline)) static long empty(weft_head k, long n) {
    (void)k;
    __asm__ volatile("" : "+r"(n));
    return n;
}

__attribute__((noinline)) static long empty_plain(long n) {
    __asm__ volatile("" : "+r"(n));
    return n;
}

static int64_t run_flat_kernel(void *data, int64_t n) {
    empty_task *t = data;
    weft_head k = weft_kernel_head();
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++) k = weft_kernel_fork(k, &t[i], empty, i);
    for (int64_t i = n; i-- > 0;) sum += weft_kernel_join(&t[i], empty);
    return sum;
}

static int64_t run_flat_api(void *data, int64_t n) {
    empty_plain_task *t = data;
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++) weft_fork(&t[i], empty_plain, i);
    for (int64_t i = n; i-- > 0;) sum += weft_join(&t[i], empty_plain);
    return sum;
}

static int64_t run_seq_kernel(void *data, int64_t n) {
    weft_head k = weft_kernel_head();
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i < n; i++) {
        empty_task t;
        weft_kernel_fork(k, &t, empty, i);
        sum += weft_kernel_join(&t, empty);
    }
    return sum;
}

static int64_t run_seq_api(void *data, int64_t n) {
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i < n; i++) {
        empty_plain_task t;
        weft_fork(&t, empty_plain, i);
        sum += weft_join(&t, empty_plain);
    }
    return sum;
}

static int64_t answer(int64_t n) {
    return n * (n - 1) / 2;
}
static int64_t ops(int64_t n) {
    return n;
}

static void *open_flat(int64_t n) {
    size_t bytes = (size_t)n * sizeof(empty_task);
    void *t = aligned_alloc(64, bytes);
    if (t) memset(t, 0, bytes);
    return t;
}

enum { FLAT = 1000000, SEQ = 4000000, SEQ_MANY = 8000000 };
_Static_assert(sizeof(empty_task) == 64 && sizeof(empty_plain_task) == 64, "one line each");

const workload flat_kernel = {
    "flat/kernel", "task", flat_serial_run, run_flat_kernel, FLAT, FLAT, answer, ops, open_flat, free};
const workload flat_api = {"flat/api", "task", flat_serial_run, run_flat_api, FLAT, FLAT,
                           answer,     ops,    open_flat,       free};
const workload seq_kernel = {
    "seq/kernel", "task", seq_serial_run, run_seq_kernel, SEQ, SEQ_MANY, answer, ops, 0, 0};
const workload seq_api = {"seq/api", "task", seq_serial_run, run_seq_api, SEQ, SEQ_MANY, answer, ops, 0, 0};
