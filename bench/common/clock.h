/* bench/common/clock.h -- the wall clock of every measurement.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_ns(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int64_t wall_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}
static inline int64_t process_cpu_ns(void) {
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

#endif
