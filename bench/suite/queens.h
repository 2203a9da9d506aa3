/* bench/suite/queens.h -- n queens: the board, and whether a queen may be put there.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef BENCH_QUEENS_H
#define BENCH_QUEENS_H

#include <stdbool.h>

enum { QUEENS_MAX = 14 };

/* The first `placed` columns hold a queen in row[column].  16 bytes; each placement makes its own copy. */
typedef struct board {
    signed char n, placed, row[QUEENS_MAX];
} board;

static inline bool queens_free(const board *b, int row) {
    for (int c = 0; c < b->placed; c++) {
        int apart = b->row[c] - row, columns = b->placed - c;
        if (apart == 0 || apart == columns || apart == -columns) return false;
    }
    return true;
}

static inline board queens_put(const board *above, int row) {
    board b = *above;
    b.row[(int)b.placed++] = (signed char)row;
    return b;
}

#endif
