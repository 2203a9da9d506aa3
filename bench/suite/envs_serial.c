/* bench/suite/envs_serial.c -- the baseline of env: a value behind a pointer that lies in memory.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "workload.h"

int64_t envs_serial_run(void *data, int64_t n) {
    static int64_t value = 3;
    static int64_t *volatile at = &value;
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i < n; i++) {
        sum += *at;
        __asm__ volatile("" : "+r"(sum));
    }
    return sum;
}
