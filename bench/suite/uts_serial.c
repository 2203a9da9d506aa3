/* bench/suite/uts_serial.c -- the baseline of the unbalanced tree search: the same tree by plain calls.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "uts.h"

#include "../common/serial.h"
#include "workload.h"

BENCH_SERIAL uts_count visit(uts_node n, int64_t depth_limit) {
    int children = uts_children(&n, depth_limit);
    if (children == 0) return UTS_COUNT(1, 1);
    uts_count sum = UTS_COUNT(1, 0);
    for (int i = 0; i < children; i++) sum += visit(uts_child(&n, i), depth_limit);
    return sum;
}

int64_t uts_serial_run(void *data, int64_t depth_limit) {
    (void)data;
    return visit(uts_root(), depth_limit);
}
