/* bench/suite/interrupts.c -- interrupt/parked:50000, interrupt/scope:50000: stop fibers that all wait.
 *
 * Each waits on a gate of its own that never opens.  Timed: from the first request until all have ended and
 * their memory is free.  parked: every one is asked, then every one awaited and dropped.  scope: their scope is
 * cancelled and left.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <stdlib.h>
#include <weft/scope.h>

#include "../common/clock.h"
#include "sched/gate.h"
#include "workload.h"

enum { FIBERS_PARKED = 50000, TURN = 64 };

typedef gate *gate_ref;
static int waits(gate *g);
WEFT_TASK(waits, int, gate_ref);

typedef struct parked {
    gate gate[FIBERS_PARKED];
    waits_fiber fiber[FIBERS_PARKED];
} parked;

static int64_t waiting, stopped;

static int waits(gate *g) {
    waiting++;
    weft_exit e = gate_wait(g);
    stopped += e.tag == WEFT_EXIT_INTERRUPT;
    return 0;
}

static void *open_parked(int64_t n) {
    (void)n;
    return calloc(1, sizeof(parked));
}

/* Returns when all wait. */
static void park_all(parked *p, int64_t n, bool handles) {
    waiting = stopped = 0;
    for (int64_t i = 0; i < n; i++) {
        p->gate[i] = (gate){0};
        must(weft_spawn(handles ? &p->fiber[i] : NULL, waits, &p->gate[i]));
        if (i % TURN == TURN - 1) must(weft_yield());
    }
    while (waiting < n) must(weft_yield());
}

static int64_t run_each(void *data, int64_t n) {
    parked *p = data;
    int64_t interrupted = 0;
    park_all(p, n, true);
    int64_t begin = wall_ns();
    for (int64_t i = 0; i < n; i++) must(weft_interrupt_async(p->fiber[i], "no longer needed"));
    for (int64_t i = 0; i < n; i++) {
        weft_exit e = weft_await(p->fiber[i], waits, NULL);
        interrupted += e.tag == WEFT_EXIT_INTERRUPT && e.code == WEFT_E_CANCELLED;
        weft_drop(p->fiber[i]);
    }
    bench_own_ns = wall_ns() - begin;
    return interrupted == stopped ? stopped : -1;
}

static int64_t run_scope(void *data, int64_t n) {
    weft_exit e;
    int64_t begin = 0;
    WEFT_SCOPE(s, &e) {
        park_all(data, n, false);
        begin = wall_ns();
        weft_scope_cancel(s, "no longer needed");
    }
    bench_own_ns = wall_ns() - begin;
    return e.tag == WEFT_EXIT_INTERRUPT && e.code == WEFT_E_CANCELLED ? stopped : -1;
}

static int64_t identity(int64_t n) {
    return n;
}

#define INTERRUPTS(text, fn)                                                                  \
    {                                                                                         \
        .name = text, .op = "fiber", .weft = fn, .one = FIBERS_PARKED, .many = FIBERS_PARKED, \
        .answer = identity, .ops = identity, .open = open_parked, .close = free               \
    }
const workload interrupt_parked = INTERRUPTS("interrupt/parked:50000", run_each);
const workload interrupt_scope = INTERRUPTS("interrupt/scope:50000", run_scope);
