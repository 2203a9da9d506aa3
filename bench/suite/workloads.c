/* bench/suite/workloads.c -- the list of them.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "workload.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const listing workloads[] = {
    {&fib_kernel, FORKS},
    {&fib_api, FORKS},
    {&flat_kernel, FORKS},
    {&flat_api, FORKS},
    {&seq_kernel, FORKS},
    {&seq_api, FORKS},
    {&skynet_kernel, FORKS},
    {&skynet_api, FORKS},
    {&nqueens_12, FORKS},
    {&uts_t1, FORKS},
    {&spawn_never_blocks, FIBERS_ALONE},
    {&spawn_blocks_once, FIBERS_ALONE},
    {&spawn_batch, FIBERS_ALONE},
    {&yield_two, FIBERS_ALONE},
    {&yield_many, FIBERS_ALONE},
    {&skynet_fibers, FIBERS},
    {&timer_arm, ALONE},
    {&timer_cancel, ALONE},
    {&timer_cancel_cold, ALONE},
    {&scope_empty, ALONE},
    {&scope_one_child, ALONE},
    {&timeout_not_fired, ALONE},
    {&eff_flat_map, ALONE},
    {&eff_map, ALONE},
    {&zip_par_2, ALONE},
    {&race_2, ALONE},
    {&for_each_par_1, ALONE},
    {&env_read_0, ALONE},
    {&interrupt_parked, FIBERS_ALONE},
    {&interrupt_scope, FIBERS_ALONE},
    {&chan_pingpong, FIBERS},
    {&chan_one_pair, FIBERS},
    {&chan_four_pairs, FIBERS},
    {&select_two, FIBERS_ALONE},
    {&select_four, FIBERS_ALONE},
    {&skynet_channels, FIBERS},
    {&mutex_uncontended, ALONE},
    {&handler_countdown, ALONE},
    {&handler_iterator, ALONE},
    {&handler_dollars, ALONE},
    {&handler_product, ALONE},
    {&handler_sieve, ALONE},
    {&handler_depth[0], ALONE},
    {&handler_depth[1], ALONE},
    {&handler_depth[2], ALONE},
    {&handler_depth[3], ALONE},
    {&handler_generator, ALONE},
    {&handler_nontail, ALONE},
    {&effect_state_sync, ALONE},
    {&effect_state_async, ALONE},
    {&env_read_1000, ALONE}, /* after all that installs handlers: a thousand keys lengthen every vector of evidence made later */
    {&loop_1e7, FORKS},
    {&sort_1e7, FORKS_LONG},
};
const int workload_count = (int)(sizeof workloads / sizeof *workloads);

#if BENCH_OPENMP
#define OPENMP(run) run
#else
#define OPENMP(run) NULL
#endif
#if BENCH_TBB
#define TBB(run) run
#else
#define TBB(run) NULL
#endif

static const peer peers[] = {
    {&loop_1e7, "OpenMP", OPENMP(loop_openmp)},
    {&sort_1e7, "oneTBB", TBB(sort_tbb)},
};

const peer *peer_of(const workload *w) {
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++)
        if (peers[i].w == w) return &peers[i];
    return NULL;
}

int64_t bench_own_ns;

void bench_die(const char *format, ...) {
    va_list ap;
    fputs("weft-bench: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}

void bench_die_of(weft_exit e) {
    char line[256];
    bench_die("a fiber failed: %s", weft_exit_format(e, line, sizeof line));
}
