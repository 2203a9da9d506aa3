/* bench/suite/queens_serial.c -- the baseline of n queens: the same search by plain calls.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "queens.h"

#include "../common/serial.h"
#include "workload.h"

BENCH_SERIAL long queens(board b) {
    if (b.placed == b.n) return 1;
    long found = 0;
    for (int row = 0; row < b.n; row++)
        if (queens_free(&b, row)) found += queens(queens_put(&b, row));
    return found;
}

int64_t queens_serial_run(void *data, int64_t n) {
    (void)data;
    return queens((board){.n = (signed char)n});
}

static int64_t nodes_below(const board *b) {
    int64_t nodes = 1;
    if (b->placed == b->n) return nodes;
    for (int row = 0; row < b->n; row++) {
        if (!queens_free(b, row)) continue;
        board next = queens_put(b, row);
        nodes += nodes_below(&next);
    }
    return nodes;
}

/* Calls of `queens` in the search: the empty board and every placement that can be reached. */
int64_t queens_count_nodes(int64_t n) {
    board empty = {.n = (signed char)n};
    return nodes_below(&empty);
}
