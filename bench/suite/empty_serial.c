/* bench/suite/empty_serial.c -- the baseline of flat and seq: call the empty function.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "../common/serial.h"
#include "workload.h"

BENCH_SERIAL long task(long n) {
    __asm__ volatile("" : "+r"(n));
    return n;
}

int64_t seq_serial_run(void *data, int64_t n) {
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i < n; i++) sum += task(i);
    return sum;
}

int64_t flat_serial_run(void *data, int64_t n) {
    return seq_serial_run(data, n);
}
