/* bench/suite/locks.c -- mutex/uncontended: one fiber locks and unlocks; mutex/fibers:64/workers:2: as many do nothing else, for a
 * second.
 *
 * Both are compared with what the processor takes for the two atomic operations of a lock, on one thread.
 *
 * Of the crowd each fiber counts its own, and all one number under the mutex; both sums must be equal.  Jain's index of
 * fairness is (sum x)^2 / (n * sum x^2): 1 if all had it equally often, 1/n if one had it always.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <weft/fiber.h>
#include <weft/promise.h>
#include <weft/sync.h>

#include "../common/clock.h"
#include "../common/samples.h"
#include "machinery.h"
#include "workload.h"

enum { PAIRS = 4000000, CROWD = 64, SECOND_MS = 1000 };

static int64_t run_uncontended(void *data, int64_t n) {
    static weft_mutex lock = WEFT_MUTEX;
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i < n; i++) {
        must(weft_mutex_lock(&lock));
        sum++;
        if (weft_mutex_unlock(&lock)) bench_die("mutex/uncontended: not held");
    }
    return sum;
}
static int64_t identity(int64_t n) {
    return n;
}
const workload mutex_uncontended = {.name = "mutex/uncontended",
                                    .op = "lock and unlock",
                                    .serial = locks_serial_run,
                                    .weft = run_uncontended,
                                    .one = PAIRS,
                                    .many = PAIRS,
                                    .answer = identity,
                                    .ops = identity};

/* ---- mutex/fibers:64/workers:2 ---- */

typedef struct crowd {
    _Alignas(128) weft_mutex lock;
    int64_t count; /* under it, in its cache line */
    _Alignas(128) _Atomic bool over;
    double jain[SAMPLES_ROWS];
    int rows;
    double ns;
} crowd;
typedef crowd *crowd_ref;

static int64_t locks(crowd *c);
WEFT_TASK(locks, int64_t, crowd_ref);

static int64_t locks(crowd *c) {
    int64_t n = 0;
    for (; !atomic_load_explicit(&c->over, memory_order_relaxed); n++) {
        must(weft_mutex_lock(&c->lock));
        c->count++;
        weft_mutex_unlock(&c->lock);
    }
    return n;
}

static int stops(crowd *c);
WEFT_TASK(stops, int, crowd_ref);
/* On a thread of its own: the workers have no time for timers. */
static void *stop(void *arg, weft_offload_call *call) {
    (void)call;
    weft_sleep(weft_ms(SECOND_MS));
    atomic_store(&((crowd *)arg)->over, true);
    return NULL;
}
static int stops(crowd *c) {
    must(weft_offload(stop, c, NULL, NULL));
    return 0;
}

static void second(void *arg) {
    crowd *c = arg;
    locks_fiber f[CROWD];
    stops_fiber s;
    double sum = 0, squares = 0;
    int64_t total = 0;
    c->count = 0;
    atomic_store(&c->over, false);
    must(weft_spawn(&s, stops, c));
    must(weft_yield());
    int64_t start = wall_ns();
    for (int i = 0; i < CROWD; i++) must(weft_spawn(&f[i], locks, c));
    for (int i = 0; i < CROWD; i++) {
        int64_t n = 0;
        must(weft_await(f[i], locks, &n));
        weft_drop(f[i]);
        total += n;
        sum += (double)n;
        squares += (double)n * (double)n;
    }
    c->ns = (double)(wall_ns() - start) / (double)total;
    must(weft_await(s, stops, NULL));
    weft_drop(s);
    if (total != c->count) bench_die("mutex/fibers: %" PRId64 " locked, %" PRId64 " counted", total, c->count);
    if (c->rows < SAMPLES_ROWS) c->jain[c->rows++] = sum * sum / (CROWD * squares);
}

typedef struct slice_of {
    crowd *c;
    weft_runtime *rt;
} slice_of;
static double slice(void *arg) {
    slice_of *s = arg;
    if (weft_call(s->rt, second, s->c)) bench_die("mutex/fibers: the runtime is closed");
    return s->c->ns;
}

static double baseline(void *none) {
    (void)none;
    int64_t start = wall_ns();
    if (locks_serial_run(NULL, PAIRS) != PAIRS) bench_die("mutex/fibers: the baseline was not free");
    return (double)(wall_ns() - start) / PAIRS;
}

bool mutex_crowd(int rows, crowd_report *out, const char **why) {
    samples taken;
    crowd *c = aligned_alloc(128, sizeof *c);
    weft_options o = WEFT_OPTIONS(.workers = 2, .pin = true);
    weft_runtime *rt = NULL;
    weft_err err = c ? weft_open(&o, &rt) : WEFT_E_NOMEM;
    if (err) {
        *why = weft_err_text(err);
        free(c);
        return false;
    }
    c->lock = (weft_mutex)WEFT_MUTEX;
    c->rows = 0;
    slice_of s = {c, rt};
    party p[] = {{slice, &s}, {baseline, NULL}};
    samples_take(&taken, p, 2, rows);
    *out = (crowd_report){samples_median(&taken, 0), median(c->jain, (size_t)c->rows), samples_median(&taken, 1),
                          samples_quotient(&taken, 0, 1), taken.rows, taken.again};
    weft_close(rt);
    free(c);
    return true;
}
