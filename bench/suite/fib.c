/* bench/suite/fib.c -- fib, where a task is next to nothing and only the cost of forking is left.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <weft/kernel.h>

#include "workload.h"

/* The head is in `k`; take, and not join, so that the last call is a tail call, as in the serial one. */
static long fib(weft_head k, long n);
WEFT_KERNEL(fib, long, long);

static long fib(weft_head k, long n) {
    if (n < 2) return n;
    long a;
    {
        fib_task child;
        a = fib(weft_kernel_fork(k, &child, fib, n - 2), n - 1);
        k = weft_kernel_take(&child);
        if (!k) return a + weft_out(&child);
        n = weft_in(&child);
    }
    return a + fib(k, n);
}

static long fib_plain(long n);
WEFT_TASK(fib_plain, long, long);

static long fib_plain(long n) {
    if (n < 2) return n;
    fib_plain_task child;
    weft_fork(&child, fib_plain, n - 2);
    long a = fib_plain(n - 1);
    return a + weft_join(&child, fib_plain);
}

static int64_t run_kernel(void *data, int64_t n) {
    (void)data;
    return fib(weft_kernel_head(), n);
}

static int64_t run_api(void *data, int64_t n) {
    (void)data;
    return fib_plain(n);
}

static int64_t answer(int64_t n) {
    int64_t a = 0, b = 1;
    for (int64_t i = 0; i < n; i++) {
        int64_t next = a + b;
        a = b;
        b = next;
    }
    return a;
}

/* Internal nodes of the call tree: the calls that fork. */
static int64_t ops(int64_t n) {
    return answer(n + 1) - 1;
}

const workload fib_kernel = {
    "fib/kernel", "internal node", fib_serial_run, run_kernel, 33, 36, answer, ops, 0, 0};
const workload fib_api = {"fib/api", "internal node", fib_serial_run, run_api, 33, 36, answer, ops, 0, 0};
