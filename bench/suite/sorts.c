/* bench/suite/sorts.c -- sort/1e7: ten million random numbers of 64 bits, sorted.  Each slice copies them first, off the
 * clock.  sorts_tbb.cc has the same for oneTBB.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <stdlib.h>
#include <string.h>
#include <weft/sort.h>

#include "../common/clock.h"
#include "workload.h"

static inline bool ascending(int64_t a, int64_t b) {
    return a < b;
}
WEFT_SORT(ascending, int64_t);

typedef struct numbers {
    int64_t *random, *a;
} numbers;

static void close_numbers(void *data) {
    numbers *k = data;
    free(k->random);
    free(k->a);
    free(k);
}

static void *open_numbers(int64_t n) {
    numbers *k = calloc(1, sizeof *k);
    if (!k) return NULL;
    k->random = malloc((size_t)n * sizeof *k->random);
    k->a = malloc((size_t)n * sizeof *k->a);
    if (!k->random || !k->a) {
        close_numbers(k);
        return NULL;
    }
    uint64_t x = 88172645463325252u;
    for (int64_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        k->random[i] = (int64_t)x;
    }
    return k;
}

int64_t *sort_begins(void *data, int64_t n) {
    numbers *k = data;
    memcpy(k->a, k->random, (size_t)n * sizeof *k->a);
    return k->a;
}

/* The elements that are not before the next one. */
int64_t sort_ends(const int64_t *a, int64_t n) {
    int64_t out_of_order = 0;
    for (int64_t i = 1; i < n; i++) out_of_order += a[i - 1] > a[i];
    return out_of_order;
}

static int64_t run(void *data, int64_t n) {
    int64_t *a = sort_begins(data, n), begun = wall_ns();
    must(weft_sort(ascending, a, (size_t)n));
    bench_own_ns = wall_ns() - begun;
    return sort_ends(a, n);
}

static int64_t none(int64_t n) {
    (void)n;
    return 0;
}
static int64_t ops(int64_t n) {
    return n;
}

const workload sort_1e7 = {
    "sort/1e7", "element", NULL, run, 10000000, 10000000, none, ops, open_numbers, close_numbers};
