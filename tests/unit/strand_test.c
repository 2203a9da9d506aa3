/* Ready work never strands: who makes a fiber ready and then computes, without a fork, join or suspension, leaves it
 * to a worker that sleeps.
 *
 * In each round the others are asleep (the idle mask says so), then A makes something ready and computes until it has
 * started.  Nobody but the other worker can run it: a hang is the failure.  The monitor is no help either, since it
 * only asks, and A does not look.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "sched/gate.h"
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <weft/fiber.h>

enum { ROUNDS = 100, SEVERAL = 5 };

static unsigned asleep(runtime *rt) { return (unsigned)__builtin_popcountll(atom_load_seq(&rt->idle.mask[0])); }

static void until_asleep(runtime *rt) {
    while (asleep(rt) != rt->n_workers - 1) sched_yield();
}

/* How long the started fiber let A wait; the median is printed, the issue asks for 1 ms with a processor each. */
static double waited[ROUNDS];
static int rounds_done;
static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}
static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static void say(const char *what) {
    qsort(waited, (size_t)rounds_done, sizeof *waited, by_size);
    fprintf(stderr, "    %s: started after %.0f us (median), %.0f us (longest)\n", what, waited[rounds_done / 2],
            waited[rounds_done - 1]);
    rounds_done = 0;
}

static _Atomic int started;

/* Computes: no poll, no call into the library. */
static void compute_until_started(int n) {
    double start = now_us();
    while (atomic_load(&started) < n) sched_yield(); /* lets the other worker have this processor, if it must */
    waited[rounds_done++] = now_us() - start;
}

static long starts(long round);
WEFT_TASK(starts, long, long);
static long starts(long round) {
    atomic_fetch_add(&started, 1);
    return round;
}

static void spawner(void *arg) {
    runtime *rt = thread_fiber()->w->rt;
    int several = *(int *)arg;
    for (long round = 0; round < ROUNDS; round++) {
        starts_fiber f[SEVERAL];
        atomic_store(&started, 0);
        until_asleep(rt);
        for (int i = 0; i < several; i++) CHECK(weft_ok(weft_spawn(&f[i], starts, round)));
        compute_until_started(several);
        for (int i = 0; i < several; i++) {
            long got;
            CHECK(weft_ok(weft_await(f[i], starts, &got)));
            CHECK_EQ(got, round);
            weft_drop(f[i]);
        }
    }
}
static void on_workers(unsigned workers, void (*body)(void *), int several, const char *what) {
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = workers), body, &several), WEFT_OK);
    say(what);
}

TEST(a_spawned_fiber_starts_beside_a_computing_spawner) { on_workers(2, spawner, 1, "one spawned"); }
TEST(several_spawned_fibers_start_beside_a_computing_spawner) {
    on_workers(2, spawner, SEVERAL, "several spawned, two workers");
    on_workers(4, spawner, SEVERAL, "several spawned, four workers");
}

static gate doors[SEVERAL];
static _Atomic int waiting;

static long behind_a_door(long i);
WEFT_TASK(behind_a_door, long, long);
static long behind_a_door(long i) {
    atomic_fetch_add(&waiting, 1);
    gate_wait(&doors[i]);
    atomic_fetch_add(&started, 1);
    return i;
}

static void opener(void *arg) {
    runtime *rt = thread_fiber()->w->rt;
    int several = *(int *)arg;
    for (int round = 0; round < ROUNDS; round++) {
        behind_a_door_fiber f[SEVERAL];
        atomic_store(&started, 0);
        atomic_store(&waiting, 0);
        for (int i = 0; i < several; i++) {
            doors[i] = (gate){0};
            CHECK(weft_ok(weft_spawn(&f[i], behind_a_door, i)));
        }
        for (bool all = false; !all;) { /* the word holds the fiber once it has left its stack */
            weft_yield();
            sched_yield();
            all = true;
            for (int i = 0; i < several; i++) all = all && atom_load_acq(&doors[i].word) > JOIN_DONE;
        }
        until_asleep(rt);
        for (int i = 0; i < several; i++) gate_open(&doors[i], rt);
        compute_until_started(several);
        for (int i = 0; i < several; i++) {
            CHECK(weft_ok(weft_await(f[i], behind_a_door, NULL)));
            weft_drop(f[i]);
        }
    }
}
TEST(a_resumed_fiber_goes_on_beside_a_computing_opener) { on_workers(2, opener, 1, "one opened"); }
TEST(several_resumed_fibers_go_on_beside_a_computing_opener) {
    on_workers(2, opener, SEVERAL, "several opened, two workers");
    on_workers(4, opener, SEVERAL, "several opened, four workers");
}

/* What was made ready while everybody was busy, by somebody who computes afterwards: the worker that becomes idle
 * asks, and the next thing made ready answers. */
static long busy(long until);
WEFT_TASK(busy, long, long);
static _Atomic int stop_busy;
static long busy(long x) {
    atomic_fetch_add(&waiting, 1);
    while (!atomic_load(&stop_busy)) sched_yield();
    return x;
}
static void busy_then_idle(void *arg) {
    runtime *rt = thread_fiber()->w->rt;
    (void)arg;
    for (long round = 0; round < ROUNDS; round++) {
        busy_fiber b;
        starts_fiber f[2];
        atomic_store(&started, 0);
        atomic_store(&waiting, 0);
        atomic_store(&stop_busy, 0);
        until_asleep(rt);
        CHECK(weft_ok(weft_spawn(&b, busy, 0)));
        while (!atomic_load(&waiting)) sched_yield();
        atomic_store(&stop_busy, 1);
        CHECK(weft_ok(weft_spawn(&f[0], starts, round))); /* just before, or while, or after the other asks */
        until_asleep(rt);
        CHECK(weft_ok(weft_spawn(&f[1], starts, round)));
        compute_until_started(2);
        CHECK(weft_ok(weft_await(b, busy, NULL)));
        weft_drop(b);
        for (int i = 0; i < 2; i++) {
            CHECK(weft_ok(weft_await(f[i], starts, NULL)));
            weft_drop(f[i]);
        }
    }
}
TEST(work_made_ready_around_the_moment_of_falling_asleep_starts) { on_workers(2, busy_then_idle, 1, "around sleep"); }

TEST_MAIN
