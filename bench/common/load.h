/* bench/common/load.h -- how much somebody else used this machine while something was measured.
 *
 * Three witnesses, because none sees everything.  /proc/stat counts what other processes and the
 * hypervisor (steal) took, in ticks of 10 ms: good for a whole run.  The schedstat files count to the
 * nanosecond how long this process's threads stood runnable without a CPU: good for one slice, but blind
 * to a neighbour on another core.  A slice is called disturbed if any of them says so clearly.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct load_mark {
    int64_t wall_ns, own_cpu_ns; /* of this process, and its children that have ended */
    int64_t waited_ns;           /* its threads were runnable and did not run */
    int64_t busy_ns, steal_ns;   /* of the whole machine, all CPUs added up */
} load_mark;

typedef struct load_share {
    double foreign; /* other processes' CPU time, as a share of all CPUs' time */
    double steal;   /* taken by the hypervisor, same unit */
} load_share;

void load_read(load_mark *m);

/* pre: `a` was read before `b`. */
load_share load_between(const load_mark *a, const load_mark *b);
bool load_disturbed(const load_mark *a, const load_mark *b);

#ifdef __cplusplus
}
#endif
#endif
