/* bench/suite/effs_serial.c -- a function called through a pointer, as often as an effect has steps.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "workload.h"

__attribute__((noinline)) static int64_t inc(int64_t n) {
    __asm__ volatile("" : "+r"(n));
    return n + 1;
}

int64_t effs_serial_run(void *data, int64_t n) {
    int64_t (*volatile step)(int64_t) = inc;
    int64_t x = 0;
    (void)data;
    for (int64_t i = 0; i < n; i++) x = step(x);
    return x;
}
