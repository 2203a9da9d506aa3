/* What a handle does away from home, and after it was dropped.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "sched/gate.h"
#include <sched.h>
#include <stdatomic.h>
#include <weft/fiber.h>

/* ---- across runtimes ---------------------------------------------------------------------------------- */

static weft_runtime *other;

static long twice(long x);
WEFT_TASK(twice, long, long);
static long twice(long x) {
    weft_yield();
    return 2 * x;
}

static void awaits_in_the_other(void *arg) {
    runtime *mine = thread_fiber()->w->rt;
    (void)arg;
    for (long i = 0; i < 1000; i++) {
        twice_fiber f;
        long got;
        CHECK(weft_ok(weft_spawn_with(&f, twice, ((weft_spawn_options){.runtime = other}), i)));
        CHECK(weft_ok(weft_await(f, twice, &got)));
        CHECK_EQ(got, 2 * i);
        CHECK_EQ(weft_drop(f), WEFT_OK);
        CHECK(thread_fiber()->w->rt == mine);
    }
}
TEST(a_fiber_that_awaits_one_of_another_runtime_stays_in_its_own) {
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 2), &other), WEFT_OK);
    for (unsigned workers = 1; workers <= 2; workers++)
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = workers), awaits_in_the_other, NULL), WEFT_OK);
    CHECK_EQ(weft_close(other), WEFT_OK);
}

static weft_handle unstarted;
static _Atomic int spawned, awaiting;
static long leaves_one_unstarted(long x);
WEFT_TASK(leaves_one_unstarted, long, long);
static long leaves_one_unstarted(long x) {
    twice_fiber f;
    CHECK(weft_ok(weft_spawn(&f, twice, x)));
    unstarted = f.handle;
    atomic_store(&spawned, 1);
    while (!atomic_load(&awaiting)) sched_yield(); /* it is in this worker's private queue until then */
    for (int i = 0; i < 1000; i++) sched_yield();
    CHECK(weft_ok(weft_await(f, twice, NULL)));
    return x;
}
/* On worker 0 of one runtime, what lies in the queue of worker 0 of the other. */
static void awaits_unstarted(void *arg) {
    long got;
    (void)arg;
    while (!atomic_load(&spawned)) sched_yield();
    atomic_store(&awaiting, 1);
    CHECK(weft_ok(weft_await((twice_fiber){unstarted}, twice, &got)));
    CHECK_EQ(got, 10);
}
TEST(an_unstarted_fiber_of_another_runtime_is_left_in_its_queue) {
    leaves_one_unstarted_fiber f;
    atomic_store(&spawned, 0);
    atomic_store(&awaiting, 0);
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 1), &other), WEFT_OK);
    CHECK(weft_ok(weft_spawn_with(&f, leaves_one_unstarted, ((weft_spawn_options){.runtime = other}), 5)));
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), awaits_unstarted, NULL), WEFT_OK);
    CHECK(weft_ok(weft_await(f, leaves_one_unstarted, NULL)));
    CHECK_EQ(weft_fiber_drop(unstarted), WEFT_OK);
    CHECK_EQ(weft_drop(f), WEFT_OK);
    CHECK_EQ(weft_close(other), WEFT_OK);
}

/* ---- after the drop ----------------------------------------------------------------------------------- */

static gate door;
static long waits(long x);
WEFT_TASK(waits, long, long);
static long waits(long x) {
    gate_wait(&door);
    return x;
}
static long opens(long x);
WEFT_TASK(opens, long, long);
static long opens(long x) {
    gate_open(&door, thread_fiber()->w->rt);
    return x;
}
static void drops_a_running_one(void *arg) {
    waits_fiber f;
    long got = -1;
    (void)arg;
    door = (gate){0};
    CHECK(weft_ok(weft_spawn(&f, waits, 5)));
    weft_yield();
    CHECK_EQ(weft_drop(f), WEFT_OK);
    CHECK_EQ(weft_drop(f), WEFT_E_STALE);
    CHECK_EQ(weft_fiber_status(f.handle), WEFT_STATUS_NONE);
    CHECK(weft_fiber_name(f.handle) == NULL);
    CHECK(weft_fiber_site(f.handle) == NULL);
    CHECK(weft_ok(weft_spawn((opens_fiber *)NULL, opens, 1)));
    CHECK_EQ(weft_await(f, waits, &got).code, WEFT_E_STALE);
    CHECK_EQ(got, -1);
}
TEST(a_handle_that_was_dropped_before_the_end_is_refused) {
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), drops_a_running_one, NULL), WEFT_OK);
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 2), drops_a_running_one, NULL), WEFT_OK);
}

TEST_MAIN
