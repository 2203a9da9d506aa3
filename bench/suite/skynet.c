/* bench/suite/skynet.c -- skynet: a tree of 1 111 111 nodes, ten children each, whose million leaves
 * answer their number.  Nine children are forked, the tenth is called: the parent has nothing else to do.
 * With fibers all ten are spawned, then awaited.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <weft/fiber.h>
#include <weft/kernel.h>

#include "workload.h"

enum { LEAVES = 1000000, NODES = 1111111, CHILDREN = 10, FORKED = CHILDREN - 1 };

typedef struct span {
    long first, leaves;
} span;

static long node(weft_head k, span s);
WEFT_KERNEL(node, long, span);

static long node(weft_head k, span s) {
    if (s.leaves == 1) return s.first;
    node_task child[FORKED];
    long each = s.leaves / 10;
    for (int i = 0; i < FORKED; i++) k = weft_kernel_fork(k, &child[i], node, s.first + i * each, each);
    long sum = node(k, (span){s.first + FORKED * each, each});
    for (int i = FORKED; i-- > 0;) sum += weft_kernel_join(&child[i], node);
    return sum;
}

static long node_plain(span s);
WEFT_TASK(node_plain, long, span);

static long node_plain(span s) {
    if (s.leaves == 1) return s.first;
    node_plain_task child[FORKED];
    long each = s.leaves / 10;
    for (int i = 0; i < FORKED; i++) weft_fork(&child[i], node_plain, s.first + i * each, each);
    long sum = node_plain((span){s.first + FORKED * each, each});
    for (int i = FORKED; i-- > 0;) sum += weft_join(&child[i], node_plain);
    return sum;
}

static long node_spawned(span s);
WEFT_TASK(node_spawned, long, span);

static long node_spawned(span s) {
    if (s.leaves == 1) return s.first;
    node_spawned_fiber child[CHILDREN];
    long sum = 0, each = s.leaves / CHILDREN;
    for (int i = 0; i < CHILDREN; i++) must(weft_spawn(&child[i], node_spawned, s.first + i * each, each));
    for (int i = 0; i < CHILDREN; i++) {
        long below = 0;
        must(weft_await(child[i], node_spawned, &below));
        weft_drop(child[i]);
        sum += below;
    }
    return sum;
}

static int64_t run_kernel(void *data, int64_t rounds) {
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i < rounds; i++) sum += node(weft_kernel_head(), (span){0, LEAVES});
    return sum;
}

static int64_t run_api(void *data, int64_t rounds) {
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i < rounds; i++) sum += node_plain((span){0, LEAVES});
    return sum;
}

static int64_t run_fibers(void *data, int64_t rounds) {
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i < rounds; i++) sum += node_spawned((span){0, LEAVES});
    return sum;
}

static int64_t answer(int64_t rounds) {
    return rounds * ((int64_t)LEAVES * (LEAVES - 1) / 2);
}
static int64_t ops(int64_t rounds) {
    return rounds * NODES;
}

const workload skynet_kernel = {
    "skynet/kernel", "node", skynet_serial_run, run_kernel, 4, 8, answer, ops, 0, 0};
const workload skynet_api = {"skynet/api", "node", skynet_serial_run, run_api, 4, 8, answer, ops, 0, 0};
const workload skynet_fibers = {
    "skynet/fibers", "node", skynet_serial_run, run_fibers, 1, 1, answer, ops, 0, 0};
