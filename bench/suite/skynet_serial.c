/* bench/suite/skynet_serial.c -- the baseline of skynet: the same tree by plain calls.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "../common/serial.h"
#include "workload.h"

BENCH_SERIAL long node(long first, long leaves) {
    if (leaves == 1) return first;
    long sum = 0, each = leaves / 10;
    for (int i = 0; i < 10; i++) sum += node(first + i * each, each);
    return sum;
}

int64_t skynet_serial_run(void *data, int64_t rounds) {
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i < rounds; i++) sum += node(0, 1000000);
    return sum;
}
