/* bench/compare/sleep.c -- the workload sleep100: a hundred tasks that each sleep a millisecond, then answer
 * twice their number.  The seeds' own comparison of fibers with direct calls (effectpy's "Fiber Overhead").
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <weft/time.h>

#include "../common/clock.h"
#include "compare.h"

enum { SLEEPERS = 100, NAP_NS = 1000000 };

/* What a task answers that has slept since then. */
static long rested(long id, int64_t since) {
    int64_t slept = wall_ns() - since;
    if (slept < NAP_NS) fail("sleep100: task %ld slept %lld ns, less than a millisecond", id, (long long)slept);
    return 2 * id;
}

static long nap(long id) {
    struct timespec left = {.tv_nsec = NAP_NS};
    int64_t start = wall_ns();
    while (nanosleep(&left, &left) != 0)
        if (errno != EINTR) fail("sleep100: nanosleep failed");
    return rested(id, start);
}

static long nap_fiber(long id);
WEFT_TASK(nap_fiber, long, long);

static long nap_fiber(long id) {
    int64_t start = wall_ns();
    must(weft_sleep(weft_ms(1)));
    return rested(id, start);
}

static uint64_t direct_round(job *j) {
    long sum = 0;
    j->tasks = SLEEPERS;
    for (long i = 0; i < SLEEPERS; i++) sum += nap(i);
    return (uint64_t)sum;
}

static uint64_t fiber_round(job *j) {
    nap_fiber_fiber fiber[SLEEPERS];
    long sum = 0;
    j->tasks = SLEEPERS;
    for (long i = 0; i < SLEEPERS; i++) must(weft_spawn(&fiber[i], nap_fiber, i));
    for (long i = 0; i < SLEEPERS; i++) {
        long got = 0;
        must(weft_await(fiber[i], nap_fiber, &got));
        weft_drop(fiber[i]);
        sum += got;
    }
    return (uint64_t)sum;
}

static void *nap_thread(void *arg) {
    return (void *)nap((long)arg);
}

static uint64_t threads_round(job *j) {
    pthread_t thread[SLEEPERS];
    long sum = 0, started = 0;
    j->tasks = SLEEPERS;
    while (started < SLEEPERS && pthread_create(&thread[started], NULL, nap_thread, (void *)started) == 0)
        started++;
    for (long i = 0; i < started; i++) {
        void *got;
        pthread_join(thread[i], &got);
        sum += (long)got;
    }
    if (started < SLEEPERS) j->error = "100 threads cannot be started here";
    return (uint64_t)sum;
}

const workload work_sleep100 = {
    .name = "sleep100",
    .task = "a function that sleeps a millisecond and returns twice its number",
    .threads = SLEEPERS,
    .round = {[MODE_DIRECT] = direct_round, [MODE_FIBER] = fiber_round, [MODE_THREADS] = threads_round},
};
