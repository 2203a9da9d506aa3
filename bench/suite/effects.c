/* bench/suite/effects.c -- effect/state_get_put/sync and /async: a counter in the store of a program, under both drivers.
 *
 * A driver opens a runtime of its own, which it may not do on a worker; so it is called on a plain thread, which has inherited
 * the worker's CPU, and what is measured is the program, not the driver: the processor's time, since who looks whether a row
 * was disturbed looks at another thread.
 * The baseline calls a function that reads the counter, and one that writes it.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <pthread.h>
#include <weft/driver.h>

#include "../common/clock.h"
#include "workload.h"

enum { ROUNDS = 5000000 };

WEFT_STATE(bench_counter, int64_t);

static int64_t count(int64_t n);
WEFT_TASK(count, int64_t, int64_t);

__attribute__((noinline)) static int64_t count(int64_t n) {
    int64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID), c = 0;
    for (int64_t i = 0; i < n; i++) {
        must(weft_do_get(bench_counter, &c));
        must(weft_do_put(bench_counter, c + 1));
    }
    bench_own_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
    return n;
}

typedef struct drive {
    int64_t n, counted;
    bool sync;
} drive;

static void *driven(void *arg) {
    drive *d = arg;
    const weft_run_with *with = WEFT_WITH(WEFT_STORE(WEFT_SET(bench_counter, 0)), .workers = 1);
    weft_result *r = d->sync ? weft_run_sync(count, with, d->n) : weft_run_async(count, with, d->n);
    must(weft_result_error(r));
    must(weft_result_get(r, bench_counter, &d->counted));
    weft_result_free(r);
    return NULL;
}

static int64_t run(int64_t n, bool sync) {
    drive d = {n, -1, sync};
    pthread_t thread;
    if (pthread_create(&thread, NULL, driven, &d) != 0) bench_die("effect/state_get_put: no thread");
    pthread_join(thread, NULL);
    return d.counted;
}
static int64_t run_sync(void *data, int64_t n) {
    (void)data;
    return run(n, true);
}
static int64_t run_async(void *data, int64_t n) {
    (void)data;
    return run(n, false);
}

static int64_t answer_n(int64_t n) {
    return n;
}
static int64_t ops_both(int64_t n) {
    return 2 * n;
}

#define STATE_OF(text, fn)                                                                    \
    {                                                                                         \
        .name = text, .op = "get or put", .serial = effects_serial_run, .weft = fn, .one = ROUNDS, .many = ROUNDS, \
        .answer = answer_n, .ops = ops_both                                                   \
    }
const workload effect_state_sync = STATE_OF("effect/state_get_put/sync", run_sync);
const workload effect_state_async = STATE_OF("effect/state_get_put/async", run_async);
