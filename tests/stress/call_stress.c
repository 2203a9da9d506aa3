/* Tasks from outside: every call runs once and returns to its own caller, while workers fall asleep and wake.
 *
 * Each caller makes calls with pauses drawn from a seed, long enough now and then for all workers to sleep, so
 * that the queue from outside and the idle protocol meet in every state.  A lost wake-up is a hang.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/san.h"
#include "sched/audit.h"
#include "sched/registry.h"
#include <pthread.h>
#include <stdatomic.h>
#include <weft/fork.h>
#include <weft/runtime.h>

enum { CALLERS = 4, CALLS = WEFT__SAN_STACKS > 1 ? 500 : 4000 };

static long half(long n);
WEFT_TASK(half, long, long);
static long half(long n) {
    if (n < 2) return n;
    half_task t;
    weft_fork(&t, half, n / 2);
    long rest = half(n - n / 2);
    return rest + weft_join(&t, half);
}

static _Atomic long runs;
static void body(void *arg) {
    atomic_fetch_add(&runs, 1);
    *(long *)arg = half(*(long *)arg);
}

typedef struct caller {
    weft_runtime *rt;
    uint64_t seed;
} caller;

static void *call(void *arg) {
    caller *c = arg;
    for (int i = 0; i < CALLS; i++) {
        c->seed = c->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        long n = (long)(c->seed >> 58), want = n;
        for (volatile uint64_t spin = (c->seed >> 40) % 256 == 0 ? 200000 : (c->seed >> 40) % 64; spin > 0; spin--) {}
        CHECK_EQ(weft_call(c->rt, body, &n), WEFT_OK);
        CHECK_EQ(n, want);
    }
    return NULL;
}

static void run(unsigned workers, int callers) {
    weft_runtime *rt;
    pthread_t t[CALLERS];
    caller c[CALLERS];
    atomic_store(&runs, 0);
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = workers, .stack_bytes = 16384), &rt), WEFT_OK);
    for (int i = 0; i < callers; i++) {
        c[i] = (caller){rt, (uint64_t)i + 1};
        CHECK_EQ(pthread_create(&t[i], NULL, call, &c[i]), 0);
    }
    for (int i = 0; i < callers; i++) pthread_join(t[i], NULL);
    CHECK_EQ(atomic_load(&runs), (long)callers * CALLS);
    weft__audit_quiet(weft__registry_enter(rt));
    weft__registry_leave(rt);
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

TEST(one_caller_and_one_worker) { run(1, 1); }
TEST(four_callers_and_two_workers) { run(2, 4); }
TEST(four_callers_and_eight_workers) { run(8, 4); }
TEST(four_callers_and_a_hundred_and_thirty_workers) { run(130, 4); }

TEST_MAIN
