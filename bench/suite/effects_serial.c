/* bench/suite/effects_serial.c -- the baseline of effect/state_get_put: a counter behind two functions.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "../common/serial.h"
#include "workload.h"

static int64_t counter;

BENCH_SERIAL void get(int64_t *to) {
    *to = counter;
    __asm__ volatile("" ::: "memory");
}

BENCH_SERIAL void put(const int64_t *from) {
    counter = *from;
    __asm__ volatile("" ::: "memory");
}

int64_t effects_serial_run(void *data, int64_t n) {
    (void)data;
    counter = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t c;
        get(&c);
        c++;
        put(&c);
    }
    return counter;
}
