// bench/suite/targets.cc -- the table.  Performance is shown against it, never asserted: a busy machine is
// not a defect.
// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "targets.h"

#include <cstdio>

static const Target targets[] = {
    {"fib/kernel/workers:1", "ratio", false, 1.3},
    {"fib/api/workers:1", "ratio", false, 2.5},
    {"fib/kernel/workers:2", "speedup", true, 1.95},
    {"fib/api/workers:2", "speedup", true, 1.95},
    {"flat/kernel/workers:1", "ns_per_op", false, 5},
    {"flat/kernel/workers:2", "ns_per_op", false, 5.5},
    {"flat/api/workers:1", "ns_per_op", false, 8},
    {"flat/api/workers:2", "over_one_worker_ns", false, 2},
    {"seq/kernel/workers:1", "ns_per_op", false, 2},
    {"seq/kernel/workers:2", "ns_per_op", false, 5},
    {"seq/api/workers:1", "ns_per_op", false, 5},
    {"seq/api/workers:2", "over_one_worker_ns", false, 2},
    {"skynet/kernel/workers:1", "ns_per_op", false, 3},
    {"skynet/kernel/workers:2", "ns_per_op", false, 1.5},
    {"skynet/api/workers:1", "ns_per_op", false, 5.5},
    {"skynet/api/workers:2", "over_one_worker_ns", false, 2},
    {"nqueens/12/workers:1", "ratio", false, 1.03},
    {"nqueens/12/workers:2", "speedup", true, 1.95},
    {"uts/T1/workers:1", "ratio", false, 1.03},
    {"uts/T1/workers:2", "speedup", true, 1.95},
    {"spawn_await/never_blocks", "ns_per_op", false, 30},
    {"spawn_await/blocks_once", "ns_per_op", false, 55},
    {"spawn_await/batch:100000", "ns_per_op", false, 45},
    {"spawn/threads:4", "ns_per_op", false, 150},
    {"yield/fibers:2", "ns_per_op", false, 15},
    {"yield/fibers:1000", "ns_per_op", false, 17},
    {"wake/latency", "ratio", false, 1.5},
    {"skynet/fibers/workers:1", "ns_per_op", false, 60},
    {"skynet/fibers/workers:2", "ns_per_op", false, 35},
    {"chan/pingpong/workers:1", "ns_per_op", false, 55},
    {"chan/pingpong/workers:2", "ns_per_op", false, 100},
    {"chan/pingpong/apart", "ratio", false, 5},
    {"chan/bounded128/1p1c/workers:1", "ns_per_op", false, 9},
    {"chan/bounded128/1p1c/workers:2", "ns_per_op", false, 20},
    {"chan/bounded128/4p4c/workers:1", "ns_per_op", false, 10},
    {"chan/bounded128/4p4c/workers:2", "ns_per_op", false, 20},
    {"select/2", "ns_per_op", false, 90},
    {"select/4", "ns_per_op", false, 105},
    {"skynet/channels/workers:1", "ns_per_op", false, 120},
    {"skynet/channels/workers:2", "ns_per_op", false, 65},
    {"timer/arm", "ns_per_op", false, 15},
    {"timer/cancel", "ns_per_op", false, 10},
    {"scope/empty", "ns_per_op", false, 6},
    {"scope/one_child", "ns_per_op", false, 14},
    {"timeout/not_fired", "ns_per_op", false, 20},
    {"zip_par/2", "ns_per_op", false, 12},
    {"race/2", "ns_per_op", false, 30},
    {"for_each_par/grain:1", "ns_per_op", false, 8},
    {"effect/flat_map_1e6", "ns_per_op", false, 10},
    {"effect/map_fused", "ns_per_op", false, 2},
    {"env/read/depth:0", "ns_per_op", false, 2},
    {"env/read/depth:1000", "ns_per_op", false, 2},
    {"interrupt/parked:50000", "ns_per_op", false, 150},
    {"mutex/uncontended", "ns_per_op", false, 6},
    {"mutex/fibers:64/workers:2", "ns_per_op", false, 12},
    {"mutex/fibers:64/workers:2", "jain", true, 0.95},
    {"handler/countdown", "ns_per_op", false, 2},
    {"handler/iterator", "ns_per_op", false, 2},
    {"handler/generator", "ns_per_op", false, 15},
    {"handler/resume_nontail", "ns_per_op", false, 20},
    {"handler/parsing_dollars", "ns_per_op", false, 2},
    {"handler/product_early", "ratio", false, 1.15},
    {"handler/handler_sieve", "ns_per_op", false, 4},
    {"handler/depth:10", "ratio", false, 1.05},
    {"handler/depth:100", "ratio", false, 1.05},
    {"handler/depth:1000", "ratio", false, 1.05},
    {"timer/sleepers:100000", "cpu_ms", false, 100},
    {"timer/sleepers:100000", "late_p50_us", false, 200},
    {"timer/sleepers:100000", "late_p99_us", false, 600},
    {"parked/fibers:1000000", "bytes_per_fiber", false, 4400},
    {"parked/fibers:1000000", "maps", false, 1},
    {"parked/fibers:1000000", "ratio", false, 1.3},
    {"parked/tiny:1000000", "bytes_per_fiber", false, 2450},
    {"parked/tiny:1000000", "maps", false, 1},
    {"effect/state_get_put/sync", "ns_per_op", false, 4},
    {"effect/state_get_put/async", "ns_per_op", false, 4},
    {"idle/cpu", "cpu_us", false, 100},
    {"parallel_for/1e7/workers:1", "ratio", false, 1.05},
    {"parallel_for/1e7/workers:2", "ratio", false, 1.05},
    {"sort/1e7/workers:2", "ratio", false, 1.0},
};

std::vector<const Target *> targets_of(const std::string &name) {
    std::vector<const Target *> found;
    for (const Target &t : targets)
        if (name == t.entry) found.push_back(&t);
    return found;
}

std::string target_text(const Target &t) {
    char text[64];
    snprintf(text, sizeof text, "%s %s %g", t.counter, t.at_least ? ">=" : "<=", t.limit);
    return text;
}

bool target_met(const Target &t, double measured) {
    return t.at_least ? measured >= t.limit : measured <= t.limit;
}
