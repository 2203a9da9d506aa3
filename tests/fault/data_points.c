/* Scenarios: loops over indices, reductions, scans, sorts.  All with a grain: without one the number of points is a matter of time.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fault/driver.h"
#include <weft/loop.h>
#include <weft/sort.h>

enum { N = 100 };

/* ---- loops -------------------------------------------------------------------------------------------- */

static weft_exit nap(size_t i, atomic_int *done) {
    void *p = take();
    weft_exit e = i % 10 == 3 ? weft_sleep(weft_ms(1)) : (weft_exit){WEFT_EXIT_OK, 0, NULL};
    give(p);
    if (weft_ok(e)) atomic_fetch_add(done, 1);
    return e;
}
WEFT_LOOP_EXIT(nap, atomic_int *);

static void loop(void) {
    atomic_int done = 0;
    if (FINE(weft_parallel_for_with(nap, N, {.grain = 7}, &done))) CHECK_EQ(done, N);
    else CHECK(done <= N); /* asked to stop at the end */
}

static void fail_at(size_t i, size_t at) {
    if (i == at) weft_failf(330, "iteration %zu", i);
}
static void fail_two(size_t i, size_t at) {
    fail_at(i, at);
    fail_at(i, at + 50);
}
WEFT_LOOP(fail_two, size_t);
static void loop_fails(void) {
    weft_exit e = weft_parallel_for_with(fail_two, N, {.grain = 5}, 12);
    CHECK(!weft_ok(e));
    if (e.code != 330) FINE(e);
}

/* ---- reductions, scans -------------------------------------------------------------------------------- */

static inline long add(long a, long b) { return a + b; }
static inline long index_of(size_t i, int scale) { return (long)i * scale; }
WEFT_REDUCE(index_of, long, int, add);
static inline long element(size_t i, const long *a) { return a[i]; }
WEFT_SCAN(element, long, const long *, add);

static void reduce(void) {
    long sum = -1;
    if (FINE(weft_reduce_with(index_of, &sum, N, 3, {.grain = 2}, 2))) CHECK_EQ(sum, 3 + N * (N - 1));
    else CHECK_EQ(sum, -1);
}

static void scan(void) {
    static long a[N];
    for (int i = 0; i < N; i++) a[i] = 1;
    if (FINE(weft_scan_with(element, a, N, 0, false, {.grain = 2}, a)))
        for (int i = 0; i < N; i++) CHECK_EQ(a[i], i + 1);
}

/* ---- sorts -------------------------------------------------------------------------------------------- */

static inline bool before(int a, int b) { return a < b; }
WEFT_SORT(before, int);

/* Whatever it returns, the elements are there. */
static void sort_by(weft_exit (*how)(int *a, size_t n)) {
    enum { M = 10000 };
    static int a[M];
    static bool seen[M];
    for (int i = 0; i < M; i++) a[i] = (int)((unsigned)i * 7919u % M);
    bool sorted = FINE(how(a, M));
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < M; i++) {
        CHECK(!sorted || a[i] == i);
        CHECK(!seen[a[i]]);
        seen[a[i]] = true;
    }
}
static weft_exit unstable(int *a, size_t n) { return weft_sort(before, a, n); }
static weft_exit stable(int *a, size_t n) { return weft_sort_stable(before, a, n); }
static void sort(void) { sort_by(unstable); }
static void sort_stable(void) { sort_by(stable); }

/* On a plain thread all of it is a plain loop, that needs memory for results all the same. */
static void on_a_thread(unsigned workers) {
    (void)workers;
    loop();
    reduce();
    scan();
    sort();
    sort_stable();
}

const scenario data_scenarios[] = {
    {"loop", loop, NULL}, {"loop_fails", loop_fails, NULL},   {"reduce", reduce, NULL},           {"scan", scan, NULL},
    {"sort", sort, NULL}, {"sort_stable", sort_stable, NULL}, {"on_a_thread", NULL, on_a_thread}, {NULL, NULL, NULL},
};
