/* Allocation number n fails, for every n, once and for good: a program of forks either runs to its answer or is
 * refused with a code, and nothing is left behind either way.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/heap.h"
#include "sched/join.h"
#include "sched/worker.h"
#include <sched.h>
#include <weft/fork.h>
#include <weft/runtime.h>

static long fib(long n);
WEFT_TASK(fib, long, long);
static long fib(long n) {
    if (n < 2) return n;
    fib_task child;
    weft_fork(&child, fib, n - 2);
    long a = fib(n - 1);
    return a + weft_join(&child, fib);
}

/* Deep enough to need several stacks. */
static long chain(long n);
WEFT_TASK(chain, long, long);
static long chain(long n) {
    volatile char frame[512];
    frame[0] = 1;
    if (n == 0) return 0;
    chain_task child;
    weft_fork(&child, chain, n - 1);
    return weft_join(&child, chain) + frame[0];
}

/* Enough children at once for a ring to grow, joined in fork order. */
enum { MANY = 1000 };
static long wide(void) {
    static fib_task t[MANY];
    long sum = 0;
    for (int i = 0; i < MANY; i++) weft_fork(&t[i], fib, i % 5);
    for (int i = 0; i < MANY; i++) sum += weft_join(&t[i], fib);
    return sum;
}

static void body(void *arg) {
    long *got = arg;
    got[0] = fib(15);
    got[1] = chain(WEFT__RARE ? 50 : 400);
    got[2] = wide();
}

static weft_err run_once(unsigned workers) {
    long got[3] = {0};
    weft_err err = weft_run(&WEFT_OPTIONS(.workers = workers), body, got);
    if (err == WEFT_OK) {
        CHECK_EQ(got[0], 610);
        CHECK_EQ(got[1], WEFT__RARE ? 50 : 400);
        CHECK_EQ(got[2], MANY / 5 * (0 + 1 + 1 + 2 + 3));
    } else {
        CHECK(err == WEFT_E_NOMEM || err == WEFT_E_THREAD);
    }
    return err;
}

/* How many allocations a run makes depends on the schedule: the sweep ends after a few clean runs in a row. */
static void sweep(unsigned workers, int persistent) {
    uint64_t live = weft__heap_live();
    unsigned refused = 0, clean = 0;
    for (uint64_t n = 1; clean < 5; n++) {
        weft__heap_fail_at(n, persistent);
        weft_err err = run_once(workers);
        clean = weft__heap_asked() < n ? clean + 1 : 0;
        weft__heap_fail_at(0, 0);
        CHECK_EQ(weft__heap_live(), live);
        refused += err != WEFT_OK;
        CHECK(n < 3000);
    }
    CHECK(refused >= 3);
    CHECK_EQ(run_once(workers), WEFT_OK);
}

TEST(one_worker_survives_each_single_failure) { sweep(1, 0); }
TEST(one_worker_survives_each_lasting_failure) { sweep(1, 1); }
TEST(two_workers_survive_each_single_failure) { sweep(2, 0); }
TEST(two_workers_survive_each_lasting_failure) { sweep(2, 1); }

/* Memory runs out while the program runs: no stack for another carrier, no larger ring. */
static void starve(void *arg) {
    weft__heap_fail_at(1, 1);
    body(arg);
    weft__heap_fail_at(0, 0);
}
TEST(a_running_program_finishes_without_another_allocation) {
    for (unsigned workers = 1; workers <= 8; workers *= 2) {
        long got[3] = {0};
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = workers, .stack_bytes = 1 << 20), starve, got), WEFT_OK);
        CHECK_EQ(got[0], 610);
        CHECK_EQ(got[2], MANY / 5 * 7);
    }
}

TEST_MAIN
