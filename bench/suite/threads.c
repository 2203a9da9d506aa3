/* bench/suite/threads.c -- spawn/threads:4: plain threads spawn into a runtime of two workers.
 *
 * Fire and forget: nobody holds a handle, and the clock stops when the last fiber has run.  Fibers count
 * themselves, each worker in a cache line of its own.  The spawning threads wait at the start, so that
 * their creation is not timed.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>
#include <weft/fiber.h>

#include "../common/clock.h"
#include "../common/samples.h"
#include "machinery.h"
#include "workload.h"

enum { THREADS = 4, WORKERS = 2, EACH = 50000, TOTAL = THREADS * EACH };

typedef struct counter {
    _Alignas(64) _Atomic int64_t ran, sum; /* written by one worker */
} counter;

typedef struct crowd {
    weft_runtime *rt;
    counter of[WORKERS];
    _Atomic int waiting;
    _Atomic bool go;
} crowd;

typedef struct one {
    crowd *c;
    long number;
} one;

static int count(one in);
WEFT_TASK(count, int, one);

static void add(_Atomic int64_t *to, int64_t n) {
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + n, memory_order_release);
}

static int count(one in) {
    counter *mine = &in.c->of[weft_worker_index()];
    add(&mine->sum, in.number);
    add(&mine->ran, 1);
    return 0;
}

static void *spawning(void *arg) {
    crowd *c = arg;
    int first = atomic_fetch_add(&c->waiting, 1) * EACH;
    while (!atomic_load_explicit(&c->go, memory_order_acquire)) sched_yield();
    for (long i = 0; i < EACH; i++)
        must(weft_spawn_with(NULL, count, ((weft_spawn_options){.runtime = c->rt}), c, first + i));
    return NULL;
}

static int64_t total(crowd *c, size_t offset) {
    int64_t n = 0;
    for (int i = 0; i < WORKERS; i++)
        n += atomic_load_explicit((_Atomic int64_t *)(void *)((char *)&c->of[i] + offset),
                                  memory_order_acquire);
    return n;
}

static double slice(void *arg) {
    crowd c = {.rt = arg};
    pthread_t t[THREADS];
    const struct timespec nap = {.tv_nsec = 20000};
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&t[i], NULL, spawning, &c)) bench_die("spawn/threads: a thread cannot be started");
    while (atomic_load(&c.waiting) < THREADS) sched_yield();
    int64_t start = wall_ns();
    atomic_store_explicit(&c.go, true, memory_order_release);
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    while (total(&c, offsetof(counter, ran)) < TOTAL) nanosleep(&nap, NULL);
    int64_t ns = wall_ns() - start, sum = total(&c, offsetof(counter, sum));
    if (sum != (int64_t)TOTAL * (TOTAL - 1) / 2) bench_die("spawn/threads: wrong answer %" PRId64, sum);
    return (double)ns / TOTAL;
}

bool spawn_from_threads(double seconds, int rows_min, spawned_report *out, const char **why) {
    samples taken;
    weft_runtime *rt;
    weft_options o = WEFT_OPTIONS(.workers = WORKERS);
    weft_err err = weft_open(&o, &rt);
    if (!err && weft_workers(rt) != WORKERS) {
        weft_close(rt);
        err = WEFT_E_THREAD;
    }
    if (err) {
        *why = weft_err_text(err);
        return false;
    }
    party p = {slice, rt};
    double fit = seconds * 1e9 / (slice(rt) * TOTAL);
    int rows = fit > SAMPLES_ROWS / 2 ? SAMPLES_ROWS / 2 : (int)fit;
    samples_take(&taken, &p, 1, rows > rows_min ? rows : rows_min);
    *out = (spawned_report){samples_median(&taken, 0), taken.rows, taken.again};
    weft_close(rt);
    return true;
}
