/* bench/suite/fib_serial.c -- the baseline of fib: not inlined into itself, otherwise as a C programmer
 * writes it.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "../common/serial.h"
#include "workload.h"

BENCH_SERIAL long fib(long n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

int64_t fib_serial_run(void *data, int64_t n) {
    (void)data;
    return fib(n);
}
