/* What the tests of effect values are made of.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_TESTS_EFF_VALUES_H
#define WEFT_TESTS_EFF_VALUES_H

#include "support/runs.h"
#include <weft/eff.h>
#include <weft/scope.h>
#include <weft/test.h>

#define CHECK_OK(e)                                                                          \
    do {                                                                                     \
        weft_exit ok_ = e;                                                                   \
        char text_[300];                                                                     \
        if (!weft_ok(ok_)) test_note("%.150s", weft_exit_format(ok_, text_, sizeof text_));  \
        CHECK(weft_ok(ok_));                                                                 \
    } while (0)

WEFT_EFF(eff_long, long);
WEFT_EFF(eff_double, double);
typedef struct pair {
    double first;
    long second;
} pair;
WEFT_EFF(eff_pair, pair);
typedef struct big {
    char text[1024];
} big;
WEFT_EFF(eff_big, big);

static _Atomic int calls;

static long twice(long n);
WEFT_TASK(twice, long, long);
static long twice(long n) {
    calls++;
    return 2 * n;
}

static double half(long n);
WEFT_TASK(half, double, long);
static double half(long n) { return (double)n / 2; }

/* Fails with 300 if n is odd. */
static long even(long n);
WEFT_TASK(even, long, long);
static long even(long n) {
    calls++;
    if (n % 2) weft_failf(300, "%ld is odd", n);
    return n;
}

/* A defect. */
static long dies(long n);
WEFT_TASK(dies, long, long);
static long dies(long n) {
    weft_die(301, "a rule was broken");
    return n;
}

/* Sleeps so many ms, and gives them back, unless it is asked to stop. */
static _Atomic int stopped, slept;
static long nap(long ms);
WEFT_TASK(nap, long, long);
static long nap(long ms) {
    weft_exit e = weft_sleep(weft_ms(ms));
    if (!weft_ok(e)) {
        stopped++;
        return -1;
    }
    slept++;
    return ms;
}

/* The effects of these. */
static eff_long next_even(weft_eff_arena *a, long n);
WEFT_EFF_NEXT(next_even, eff_long, long);
static eff_long next_even(weft_eff_arena *a, long n) { return weft_eff_keep(eff_long, a, weft_eff_call(eff_long, even, n)); }

static eff_long next_nap(weft_eff_arena *a, long ms);
WEFT_EFF_NEXT(next_nap, eff_long, long);
static eff_long next_nap(weft_eff_arena *a, long ms) { return weft_eff_keep(eff_long, a, weft_eff_call(eff_long, nap, ms)); }

typedef struct plus {
    long n;
} plus;
static eff_long add(weft_eff_arena *a, long n, const plus *p);
WEFT_EFF_NEXT_WITH(add, eff_long, long, plus);
static eff_long add(weft_eff_arena *a, long n, const plus *p) {
    return weft_eff_keep(eff_long, a, weft_eff_succeed(eff_long, n + p->n));
}

/* A failure's code, as a value. */
static eff_long code_of(weft_eff_arena *a, weft_exit e);
WEFT_EFF_NEXT(code_of, eff_long, weft_exit);
static eff_long code_of(weft_eff_arena *a, weft_exit e) {
    return weft_eff_keep(eff_long, a, weft_eff_succeed(eff_long, e.code));
}

/* Marks that it was run, in the order of runs. */
enum { MARKS = 64 };
static long marked[MARKS];
static _Atomic int marks;
static weft_unit mark(long n);
WEFT_TASK(mark, weft_unit, long);
static weft_unit mark(long n) {
    int at = marks++;
    if (at < MARKS) marked[at] = n;
    return (weft_unit){0};
}

#define SUCCEED(n) weft_eff_succeed(eff_long, (n))
#define FAIL(code) weft_eff_fail(eff_long, (code), "no")
#define MARK(n) weft_eff_call(weft_eff_unit, mark, (n))

static void forget(void) {
    calls = stopped = 0;
    slept = marks = 0;
}

#endif
