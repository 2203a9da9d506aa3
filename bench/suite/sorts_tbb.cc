// bench/suite/sorts_tbb.cc -- the sort of sorts.c by oneTBB.  Compiled only if there is one.
// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <tbb/parallel_sort.h>
#include <tbb/task_arena.h>

#include "../common/clock.h"
#include "workload.h"

extern "C" int64_t sort_tbb(void *data, int64_t n, unsigned workers) {
    tbb::task_arena arena(static_cast<int>(workers));
    int64_t *a = sort_begins(data, n), begun = wall_ns();
    arena.execute([=] { tbb::parallel_sort(a, a + n); });
    bench_own_ns = wall_ns() - begun;
    return sort_ends(a, n);
}
