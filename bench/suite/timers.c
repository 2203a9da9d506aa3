/* bench/suite/timers.c -- timer/arm, timer/cancel, timer/cancel_cold: the runtime's own path to a worker's wheel.
 *
 * A million other timers are armed on the wheel, a hundred seconds or more from now, so that none fires.  Blocks of a
 * thousand are armed, then cancelled in the same order: each is cancelled a thousand operations after it was armed, and
 * the two halves have clocks of their own.  Cold: random ones of the million are cancelled, a thousand in a row, and
 * armed again off the clock.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <stdlib.h>
#include <weft/fiber.h>

#include "../common/clock.h"
#include "sched/clock.h"
#include "sched/thread.h"
#include "workload.h"

enum { OTHERS = 1000000, BLOCK = 1000, TABLE = 64 * BLOCK, OPS = 200 * BLOCK };
#define NEAREST_NS INT64_C(100000000000)
#define FARTHEST_NS INT64_C(1000000000000)

typedef struct timers {
    alert other[OTHERS], mine[BLOCK];
    int64_t after[TABLE]; /* random durations */
    uint64_t random;      /* the generator's state */
    bool armed;           /* the others are */
} timers;

static uint64_t random_below(timers *t, uint64_t limit) {
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return t->random % limit;
}
static int64_t random_duration(timers *t) {
    return NEAREST_NS + (int64_t)random_below(t, (uint64_t)(FARTHEST_NS - NEAREST_NS));
}

static void *open_timers(int64_t n) {
    timers *t = calloc(1, sizeof *t);
    (void)n;
    if (!t) return NULL;
    t->random = 88172645463325252u;
    for (int i = 0; i < TABLE; i++) t->after[i] = random_duration(t);
    return t;
}

static inline void arm(worker *w, alert *a, int64_t deadline) {
    spin *lock = clock_lock(w);
    clock_link(w, a, ALERT_WAIT, deadline);
    spin_unlock(lock);
}

static worker *ready_worker(timers *t) {
    worker *w = thread_fiber()->w;
    for (int i = 0; i < OTHERS && !t->armed; i++) arm(w, &t->other[i], wall_ns() + random_duration(t));
    t->armed = true;
    return w;
}

/* Returns how many were cancelled in time: all. */
static int64_t run_blocks(void *data, int64_t n, bool time_arm) {
    timers *t = data;
    worker *w = ready_worker(t);
    int64_t cancelled = 0, arming = 0, cancelling = 0, now = wall_ns();
    for (int64_t first = 0; first < n; first += BLOCK) {
        const int64_t *after = &t->after[first % TABLE];
        int64_t begin = wall_ns();
        for (int i = 0; i < BLOCK; i++) arm(w, &t->mine[i], now + after[i]);
        int64_t middle = wall_ns();
        for (int i = 0; i < BLOCK; i++) cancelled += clock_cancel(w->rt, &t->mine[i]);
        cancelling += wall_ns() - middle;
        arming += middle - begin;
    }
    bench_own_ns = time_arm ? arming : cancelling;
    return cancelled;
}

static int64_t run_arm(void *data, int64_t n) {
    return run_blocks(data, n, true);
}
static int64_t run_cancel(void *data, int64_t n) {
    return run_blocks(data, n, false);
}

/* One from each thousandth of the others, in a shuffled order: none twice in a block. */
static void choose(timers *t, alert **chosen) {
    for (unsigned i = 0; i < BLOCK; i++)
        chosen[i] = &t->other[i * 389 % BLOCK * (OTHERS / BLOCK) + random_below(t, OTHERS / BLOCK)];
}

static int64_t run_cold(void *data, int64_t n) {
    timers *t = data;
    worker *w = ready_worker(t);
    alert *chosen[BLOCK];
    int64_t cancelled = 0, cancelling = 0, now = wall_ns();
    for (int64_t first = 0; first < n; first += BLOCK) {
        choose(t, chosen);
        int64_t begin = wall_ns();
        for (int i = 0; i < BLOCK; i++) cancelled += clock_cancel(w->rt, chosen[i]);
        cancelling += wall_ns() - begin;
        for (int i = 0; i < BLOCK; i++) arm(w, chosen[i], now + t->after[first % TABLE + i]);
    }
    bench_own_ns = cancelling;
    return cancelled;
}

static int64_t identity(int64_t n) {
    return n;
}

#define TIMERS(text, of, fn)                                                                  \
    {                                                                                         \
        .name = text, .op = of, .weft = fn, .one = OPS, .many = OPS, .answer = identity,      \
        .ops = identity, .open = open_timers, .close = free                                   \
    }
const workload timer_arm = TIMERS("timer/arm", "timer", run_arm);
const workload timer_cancel = TIMERS("timer/cancel", "timer", run_cancel);
const workload timer_cancel_cold = TIMERS("timer/cancel_cold", "timer", run_cold);
