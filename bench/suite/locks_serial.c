/* bench/suite/locks_serial.c -- the baseline of mutex: the two atomic operations on one word without which there is no lock.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <stdatomic.h>

#include "workload.h"

int64_t locks_serial_run(void *data, int64_t n) {
    static _Alignas(128) _Atomic uintptr_t word;
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i < n; i++) {
        uintptr_t is_free = 0, mine = 1;
        if (!atomic_compare_exchange_strong_explicit(&word, &is_free, 1, memory_order_acquire, memory_order_relaxed)) break;
        __asm__ volatile("" : "+r"(sum));
        sum++;
        if (!atomic_compare_exchange_strong_explicit(&word, &mine, 0, memory_order_release, memory_order_relaxed)) break;
    }
    return sum;
}
