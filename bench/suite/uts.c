/* bench/suite/uts.c -- unbalanced tree search; a task for every node.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "uts.h"

#include <weft/kernel.h>

#include "workload.h"

enum { DEPTH_LIMIT = 10 };

typedef struct visit_input {
    uts_node n;
} visit_input;

static uts_count visit(weft_head k, visit_input in);
WEFT_KERNEL(visit, uts_count, visit_input);

static uts_count visit(weft_head k, visit_input in) {
    int children = uts_children(&in.n, DEPTH_LIMIT);
    if (children == 0) return UTS_COUNT(1, 1);
    visit_task child[children];
    uts_count sum = UTS_COUNT(1, 0);
    for (int i = 0; i < children; i++) k = weft_kernel_fork(k, &child[i], visit, uts_child(&in.n, i));
    for (int i = children; i-- > 0;) sum += weft_kernel_join(&child[i], visit);
    return sum;
}

static int64_t run(void *data, int64_t size) {
    (void)data;
    (void)size;
    return visit(weft_kernel_head(), (visit_input){uts_root()});
}

static int64_t answer(int64_t size) {
    (void)size;
    return UTS_COUNT(4130071, 3305118);
}

static int64_t ops(int64_t size) {
    return answer(size) >> 32;
}

const workload uts_t1 = {"uts/T1", "node", uts_serial_run, run, DEPTH_LIMIT, DEPTH_LIMIT, answer, ops, 0, 0};
