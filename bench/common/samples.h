/* bench/common/samples.h -- interleaved slices and what is read off them.
 *
 * A row holds one slice of every party (say: the serial program, one worker, two workers), run one after
 * the other; every second row runs them backwards, so that a slow drift of the machine cancels.  A row
 * during which the machine was disturbed (load.h) is run again, up to twice as many rows as wanted; if
 * more than half stayed disturbed all rows count.  Results are medians over the rows: of one party's
 * times, or of the quotients taken inside each row.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SAMPLES_PARTIES = 3, SAMPLES_ROWS = 64 };

/* Runs one slice, checks its answer, returns nanoseconds per operation. */
typedef struct party {
    double (*slice)(void *arg);
    void *arg;
} party;

typedef struct samples {
    int rows;  /* that count */
    int again; /* rows that were disturbed and run again */
    double ns[SAMPLES_ROWS][SAMPLES_PARTIES];
} samples;

/* pre: parties <= SAMPLES_PARTIES, 0 < wanted <= SAMPLES_ROWS / 2. */
void samples_take(samples *s, const party *p, int parties, int wanted);

double samples_median(const samples *s, int of);
double samples_quotient(const samples *s, int over, int under);   /* median of over/under */
double samples_difference(const samples *s, int from, int minus); /* median of from-minus */

/* Median of values[0..n); reorders them.  pre: n > 0. */
double median(double *values, size_t n);

#ifdef __cplusplus
}
#endif
#endif
