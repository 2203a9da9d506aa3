/* bench/suite/queens.c -- all placements of 12 queens; a task for every queen that can be placed.
 *
 * What is forked is the rest of the rows: while the search is below one row, another worker may take the ones
 * after it, and nobody having done so, it is a loop as in the baseline.  Forking every placement and joining
 * them in a second loop costs a mispredicted branch a node, 4 ns, more than the forks.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "queens.h"

#include <weft/kernel.h>

#include "workload.h"

/* The rows still to try for the next queen; the board lies in the parent's frame. */
typedef struct rest {
    const board *b;
    long row;
} rest;

static long queens(weft_head k, rest in);
WEFT_KERNEL(queens, long, rest);

__attribute__((noinline)) static long place(weft_head k, const board *above, int row) {
    board b = queens_put(above, row);
    return b.placed == b.n ? 1 : queens(k, (rest){&b, 0});
}

static long queens(weft_head k, rest in) {
    long found = 0;
    for (int row = (int)in.row; row < in.b->n; row++) {
        if (!queens_free(in.b, row)) continue;
        queens_task others;
        found += place(weft_kernel_fork(k, &others, queens, in.b, row + 1), in.b, row);
        k = weft_kernel_take(&others);
        if (!k) return found + weft_out(&others);
    }
    return found;
}

static int64_t run(void *data, int64_t n) {
    (void)data;
    board empty = {.n = (signed char)n};
    return queens(weft_kernel_head(), (rest){&empty, 0});
}

static int64_t answer(int64_t n) {
    static const int64_t known[QUEENS_MAX + 1] = {1,  1,   0,   0,    2,     10,    4,     40,
                                                  92, 352, 724, 2680, 14200, 73712, 365596};
    return known[n];
}

const workload nqueens_12 = {"nqueens/12", "node", queens_serial_run,  run, 12,
                             12,           answer, queens_count_nodes, 0,   0};
