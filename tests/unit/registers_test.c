/* What a function keeps in registers across fork and join is there afterwards, whatever the slow paths did meanwhile.
 *
 * The compiler is told that the slow paths lose little (weft/fork.h), so each kind of register is held live across
 * one, with a migration to another thread in between where that matters.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "sched/join.h"
#include <sched.h>
#include <stdatomic.h>
#include <weft/fork.h>
#include <weft/runtime.h>

typedef struct waiting {
    const weft_task *me;
    int round;
} waiting;

static _Atomic int started;

/* Ends when its parent has suspended. */
static long child(waiting in);
WEFT_TASK(child, long, waiting);
static long child(waiting in) {
    atomic_store(&started, in.round);
    while (atomic_load(&in.me->join) <= JOIN_DONE || atomic_load(&in.me->join) & JOIN_PENDING) sched_yield();
    memset((char[512]){0}, in.round, 512); /* the C library may use the widest registers */
    return in.round;
}

static long nothing(long x);
WEFT_TASK(nothing, long, long);
static long nothing(long x) { return x; }

static void until_stolen(int round) {
    while (atomic_load(&started) != round) {
        nothing_task t;
        weft_fork(&t, nothing, round);
        CHECK_EQ(weft_join(&t, nothing), round);
        sched_yield();
    }
}

/* ---- general registers -------------------------------------------------------------------------------- */

enum { VALUES = 13 };

#define LOAD                                                                                 \
    long a = p[0], b = p[1], c = p[2], d = p[3], e = p[4], f = p[5], g = p[6], h = p[7], i = p[8], j = p[9],  \
         k = p[10], l = p[11], m = p[12]
#define STORE                                                                                \
    p[0] = a, p[1] = b, p[2] = c, p[3] = d, p[4] = e, p[5] = f, p[6] = g, p[7] = h, p[8] = i, p[9] = j,       \
    p[10] = k, p[11] = l, p[12] = m

__attribute__((noinline)) static void fork_between(child_task *t, volatile long *p, int round) {
    LOAD;
    weft_fork(t, child, &t->task, round);
    STORE;
}
__attribute__((noinline)) static bool take_between(child_task *t, volatile long *p) {
    LOAD;
    bool mine = weft_take(t);
    STORE;
    return mine;
}

static void check_values(volatile long *p) {
    for (int i = 0; i < VALUES; i++) CHECK_EQ(p[i], 1000 + i);
}

static void general(void *arg) {
    (void)arg;
    volatile long p[VALUES];
    for (int i = 0; i < VALUES; i++) p[i] = 1000 + i;
    atomic_store(&started, 0);
    for (int round = 1; round <= 50; round++) {
        child_task t;
        fork_between(&t, p, round);
        check_values(p);
        until_stolen(round);
        CHECK(!take_between(&t, p));
        check_values(p);
    }
}
TEST(general_registers_survive) { CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 2), general, NULL), WEFT_OK); }

/* ---- floating point ----------------------------------------------------------------------------------- */

__attribute__((noinline)) static long double extended(child_task *t, long double x, long double z) {
    long double y = x * x + 1, w = z / 3 + x, q = x - z;
    bool mine = weft_take(t);
    return mine ? -1 : y + w * q;
}
__attribute__((noinline)) static double plain(child_task *t, double x, double z) {
    double y = x * x + 1, w = z / 3 + x, q = x - z;
    bool mine = weft_take(t);
    return mine ? -1 : y + w * q;
}

static void floating(void *arg) {
    (void)arg;
    atomic_store(&started, 0);
    for (int round = 1; round <= 100; round++) {
        child_task t;
        weft_fork(&t, child, &t.task, round);
        until_stolen(round);
        if (round & 1) {
            volatile long double x = round, z = round + 7;
            CHECK(extended(&t, x, z) == x * x + 1 + (z / 3 + x) * (x - z));
        } else {
            volatile double x = round, z = round + 7, y = x * x + 1, w = z / 3 + x, q = x - z;
            double got = plain(&t, x, z), want = y + w * q;
            CHECK(got - want < 1e-9 && want - got < 1e-9);
        }
    }
}
TEST(floating_point_values_survive) { CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 2), floating, NULL), WEFT_OK); }

/* ---- the widest vectors -------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#include <immintrin.h>

enum { WIDE = 24 };

/* AVX-512 in this function alone: the header was read without it. */
__attribute__((target("avx512f"), noinline)) static bool wide(child_task *t, const double *in, double *out) {
    __m512d v[WIDE];
#pragma GCC unroll 24
    for (int i = 0; i < WIDE; i++) v[i] = _mm512_loadu_pd(in + 8 * i);
    bool mine = weft_take(t);
#pragma GCC unroll 24
    for (int i = 0; i < WIDE; i++) _mm512_storeu_pd(out + 8 * i, v[i]);
    return mine;
}

static void vectors(void *arg) {
    (void)arg;
    double in[WIDE * 8], out[WIDE * 8];
    atomic_store(&started, 0);
    for (int round = 1; round <= 50; round++) {
        child_task t;
        for (int i = 0; i < WIDE * 8; i++) in[i] = round * 1000 + i;
        weft_fork(&t, child, &t.task, round);
        until_stolen(round);
        CHECK(!wide(&t, in, out));
        CHECK(memcmp(in, out, sizeof in) == 0);
    }
}
TEST(vectors_of_avx512_survive) {
    if (!__builtin_cpu_supports("avx512bw")) return;
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 2), vectors, NULL), WEFT_OK);
}
#endif

TEST_MAIN
