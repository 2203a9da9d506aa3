/* The cancellation sweep (unit/sweep.h): an interrupt at each cancellation point of a program in turn.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/runs.h"
#include "unit/sweep.h"
#include <stdatomic.h>
#include <weft/promise.h>
#include <weft/scope.h>

static const weft_exit fine = {WEFT_EXIT_OK, 0, NULL};

/* What must hold however it ends: each cleanup once, what was acquired released. */
typedef struct tally {
    _Atomic int acquired, released, deferred, finalized, shields_begun, shields_done;
} tally;
static tally of;

static weft_exit take(void *arg, void **resource) {
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK(weft_ok(weft_yield()));
    atomic_fetch_add(&of.acquired, 1);
    *resource = arg;
    return fine;
}
static weft_exit give_back(void *resource) {
    (void)resource;
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    atomic_fetch_add(&of.released, 1);
    return fine;
}
static weft_exit finalizer(void *arg) {
    (void)arg;
    CHECK(weft_ok(weft_yield()));
    CHECK(weft_ok(weft_sleep(weft_ms(500))));
    atomic_fetch_add(&of.finalized, 1);
    return fine;
}
static void defer(weft_scope *s) {
    atomic_fetch_add(&of.deferred, 1);
    CHECK_EQ(weft_defer(s, finalizer, NULL, 0), WEFT_OK);
}
static int worker_child(int depth);
WEFT_TASK(worker_child, int, int);
static int worker_child(int depth) {
    WEFT_SCOPE(s, NULL) {
        defer(s);
        if (!weft_ok(weft_sleep(weft_s(depth)))) return -1;
        if (depth > 0) {
            weft_start(s, worker_child, depth - 1);
            CHECK(weft_ok(weft_spawn((worker_child_fiber *)NULL, worker_child, depth - 1)));
        }
        if (!weft_ok(weft_yield())) break;
    }
    return depth;
}
static void scenario_nested(void) {
    weft_exit e;
    WEFT_SCOPE(a, &e) {
        void *r;
        defer(a);
        weft_acquire(a, take, &of, give_back, 0, &r);
        WEFT_SCOPE(b, NULL, .timeout = weft_s(20)) {
            defer(b);
            weft_start(b, worker_child, 2);
            CHECK(weft_ok(weft_spawn((worker_child_fiber *)NULL, worker_child, 1)));
            if (!weft_ok(weft_sleep(weft_s(2)))) return;
        }
        weft_acquire(a, take, &of, give_back, 0, &r);
    }
}
static int completes(weft_promise *p);
WEFT_TASK(completes, int, weft_promise *);
static int completes(weft_promise *p) {
    weft_exit e = weft_sleep(weft_s(2));
    weft_promise_complete(p, NULL);
    return weft_ok(e);
}
static void scenario_promises(void) {
    weft_promise p = WEFT_PROMISE, q = WEFT_PROMISE;
    WEFT_SCOPE(s, NULL) {
        defer(s);
        completes_fiber f, g;
        CHECK(weft_ok(weft_spawn(&f, completes, &p)));
        weft_promise_await_for(&p, NULL, weft_s(1));
        CHECK(weft_ok(weft_spawn(&g, completes, &q)));
        weft_await_for(f, completes, NULL, weft_ms(500));
        weft_promise_await(&p, NULL);
        weft_await(g, completes, NULL);
        weft_drop(f);
        weft_interrupt(g, "too late");
    }
    CHECK(weft_promise_is_done(&p) || weft_promise_complete(&p, NULL) == WEFT_OK);
}
static void scenario_masks(void) {
    weft_mask m, r;
    weft_mask_begin(&m);
    atomic_fetch_add(&of.shields_begun, 2);
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK(weft_ok(weft_yield()));
    CHECK_EQ(weft_mask_restore(&r, &m), WEFT_OK);
    weft_sleep(weft_s(1));
    WEFT_SCOPE(s, NULL) {
        defer(s);
        weft_start(s, worker_child, 1);
        weft_sleep(weft_s(1));
    }
    CHECK_EQ(weft_mask_end(&r), WEFT_OK);
    weft_duration d = weft_s(1);
    (void)d;
    WEFT_SCOPE(s, NULL, .timeout = weft_s(1)) {
        defer(s);
        CHECK(!weft_ok(weft_sleep(weft_s(3)))); /* its own deadline holds in a mask */
    }
    atomic_fetch_add(&of.shields_done, 1);
    CHECK_EQ(weft_mask_end(&m), WEFT_OK);
    WEFT_SCOPE(s, NULL, .shield = true) {
        defer(s);
        weft_start(s, worker_child, 1);
        CHECK(weft_ok(weft_sleep(weft_s(1))));
        worker_child_fiber f;
        CHECK(weft_ok(weft_spawn(&f, worker_child, 0)));
        CHECK(weft_ok(weft_await(f, worker_child, NULL)));
        atomic_fetch_add(&of.shields_done, 1);
    }
    weft_sleep(weft_s(1));
}
static void scenario_forks(void) {
    WEFT_SCOPE(s, NULL) {
        defer(s);
        worker_child_task t, u;
        weft_fork(&t, worker_child, 1);
        weft_fork(&u, worker_child, 2);
        weft_sleep(weft_s(1));
        weft_join(&u, worker_child);
        weft_yield();
        weft_join(&t, worker_child);
    }
}
static void scenario_all(void) {
    scenario_nested();
    scenario_promises();
    scenario_masks();
    scenario_forks();
}

static void conserved(void) {
    CHECK_EQ(of.acquired, of.released);
    CHECK_EQ(of.deferred, of.finalized);
    CHECK_EQ(of.shields_begun, of.shields_done);
    memset((void *)&of, 0, sizeof of);
}
TEST(wherever_it_is_interrupted_each_cleanup_runs_once) {
    static void (*const scenarios[])(void) = {scenario_nested, scenario_promises, scenario_masks, scenario_forks, scenario_all};
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        unsigned points = sweep(scenarios[i], conserved);
        fprintf(stderr, "    scenario %zu: interrupted at %u points\n", i, points);
        CHECK(points > 10);
    }
}

TEST_MAIN
