/* bench/common/samples.c -- see samples.h.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "samples.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

static void take_row(double *row, const party *p, int parties, bool backwards) {
    for (int i = 0; i < parties; i++) {
        int at = backwards ? parties - 1 - i : i;
        row[at] = p[at].slice(p[at].arg);
    }
}

void samples_take(samples *s, const party *p, int parties, int wanted) {
    double bad[SAMPLES_ROWS][SAMPLES_PARTIES];
    int quiet = 0, disturbed = 0;
    load_mark before, after;
    while (quiet < wanted && quiet + disturbed < 2 * wanted) {
        double row[SAMPLES_PARTIES] = {0};
        load_read(&before);
        take_row(row, p, parties, (quiet + disturbed) % 2 == 1);
        load_read(&after);
        if (load_disturbed(&before, &after))
            memcpy(bad[disturbed++], row, sizeof row);
        else
            memcpy(s->ns[quiet++], row, sizeof row);
    }
    s->again = disturbed;
    s->rows = quiet;
    if (quiet >= (wanted + 1) / 2) return;
    memcpy(s->ns[quiet], bad, (size_t)disturbed * sizeof bad[0]);
    s->rows += disturbed;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(double *values, size_t n) {
    qsort(values, n, sizeof *values, compare_doubles);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double samples_median(const samples *s, int of) {
    double v[SAMPLES_ROWS];
    for (int i = 0; i < s->rows; i++) v[i] = s->ns[i][of];
    return median(v, (size_t)s->rows);
}

double samples_quotient(const samples *s, int over, int under) {
    double v[SAMPLES_ROWS];
    for (int i = 0; i < s->rows; i++) v[i] = s->ns[i][over] / s->ns[i][under];
    return median(v, (size_t)s->rows);
}

double samples_difference(const samples *s, int from, int minus) {
    double v[SAMPLES_ROWS];
    for (int i = 0; i < s->rows; i++) v[i] = s->ns[i][from] - s->ns[i][minus];
    return median(v, (size_t)s->rows);
}
