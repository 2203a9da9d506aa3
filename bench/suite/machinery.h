/* bench/suite/machinery.h -- what is measured without a workload: the context switch, an idle runtime.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef BENCH_MACHINERY_H
#define BENCH_MACHINERY_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Nanoseconds of one round trip (two switches) between this thread and a context on a 64 KiB stack: the
 * median of short slices that fit `seconds`.  `*again` counts disturbed slices. */
double switch_round_trip(bool native, double seconds, int *again);

typedef struct idle_report {
    double wall_ns; /* of the second */
    double cpu_us;  /* CPU time this process used in it */
} idle_report;

/* Keep a runtime with a worker for every CPU, at least two, open and idle for one second.  False with
 * *why (static text) if it cannot be opened. */
bool idle_second(idle_report *out, const char **why);

#ifdef __cplusplus
}
#endif
#endif
