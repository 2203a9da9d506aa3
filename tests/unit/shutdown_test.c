/* Shutting down in steps, deadlocks, abandoned work.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/heap.h"
#include "alloc/os.h"
#include "alloc/san.h"
#include <pthread.h>
#include <stdatomic.h>
#include <weft/promise.h>
#include <weft/scope.h>


#if defined(WEFT__TSAN)
#define UNDER_TSAN 1
#else
#define UNDER_TSAN 0
#endif

static const unsigned worker_counts[] = {1, 2};

static char report[20000];
static _Atomic int reports;
static void keep(void *arg, const char *text) {
    (void)arg;
    snprintf(report, sizeof report, "%s", text);
    atomic_fetch_add(&reports, 1);
}

static void on_each_size(void (*use)(weft_runtime *rt)) {
    for (unsigned i = 0; i < 2; i++) {
        weft_runtime *rt;
        uint64_t before = weft__heap_live();
        atomic_store(&reports, 0);
        CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = worker_counts[i], .on_report = keep), &rt), WEFT_OK);
        use(rt);
        CHECK_EQ(weft_close(rt), WEFT_E_CLOSED); /* the test has closed it */
        CHECK_EQ(weft__heap_live(), before);
    }
}

static weft_promise door;
static _Atomic int begun, ended, stopped;

static long visitor(long x);
WEFT_TASK(visitor, long, long);
static long visitor(long x) {
    atomic_fetch_add(&begun, 1);
    weft_exit e = weft_promise_await(&door, NULL);
    if (e.tag == WEFT_EXIT_INTERRUPT) atomic_fetch_add(&stopped, 1);
    atomic_fetch_add(&ended, 1);
    return x;
}

static long stubborn(long x);
WEFT_TASK(stubborn, long, long);
static long stubborn(long x) {
    weft_mask m;
    weft_mask_begin(&m);
    visitor(x);
    weft_mask_end(&m);
    return x;
}

static void reset(void) {
    weft_promise_init(&door);
    atomic_store(&begun, 0);
    atomic_store(&ended, 0);
    atomic_store(&stopped, 0);
    report[0] = 0;
}

static void wait_begun(int n) {
    while (atomic_load(&begun) < n) weft__os_yield();
}

/* ---- the steps ---------------------------------------------------------------------------------------- */

static void idle(weft_runtime *rt) {
    size_t left = 99;
    CHECK_EQ(weft_shutdown(rt, 0, 0, &left), WEFT_OK);
    CHECK_EQ(left, 0);
    CHECK_EQ(weft_shutdown(rt, 0, 0, &left), WEFT_E_CLOSED);
}
TEST(an_idle_runtime_is_shut_down_at_once) { on_each_size(idle); }

static void *open_door(void *arg) {
    (void)arg;
    for (int i = 0; i < 100; i++) weft__os_yield();
    weft_promise_complete(&door, NULL);
    return NULL;
}
static void in_time(weft_runtime *rt) {
    reset();
    weft_spawn_options o = {.runtime = rt};
    for (long i = 0; i < 10; i++) CHECK(weft_ok(weft_spawn_with((visitor_fiber *)NULL, visitor, o, i)));
    wait_begun(10);
    pthread_t t;
    pthread_create(&t, NULL, open_door, NULL);
    CHECK_EQ(weft_shutdown(rt, weft_s(60), 0, NULL), WEFT_OK);
    pthread_join(t, NULL);
    CHECK_EQ(atomic_load(&ended), 10);
    CHECK_EQ(atomic_load(&stopped), 0);
    CHECK_EQ(atomic_load(&reports), 0);
}
TEST(what_ends_while_it_drains_is_not_interrupted) { on_each_size(in_time); }

static void in_scope(void *arg) {
    (void)arg;
    WEFT_SCOPE(s, NULL)
        for (long i = 0; i < 5; i++) CHECK(weft_ok(weft_spawn((visitor_fiber *)NULL, visitor, i)));
}
static long scoped(long x);
WEFT_TASK(scoped, long, long);
static long scoped(long x) {
    in_scope(NULL);
    return x;
}
static void after_drain(weft_runtime *rt) {
    reset();
    weft_spawn_options o = {.runtime = rt};
    for (long i = 0; i < 5; i++) CHECK(weft_ok(weft_spawn_with((visitor_fiber *)NULL, visitor, o, i)));
    CHECK(weft_ok(weft_spawn_with((scoped_fiber *)NULL, scoped, o, 1)));
    wait_begun(10);
    size_t left = 99;
    CHECK_EQ(weft_shutdown(rt, weft_ms(1), weft_s(60), &left), WEFT_OK);
    CHECK_EQ(left, 0);
    CHECK_EQ(atomic_load(&ended), 10);
    CHECK_EQ(atomic_load(&stopped), 10);
    CHECK_EQ(atomic_load(&reports), 0);
}
TEST(what_does_not_end_in_time_is_interrupted) { on_each_size(after_drain); }

static void *call_in(void *rt) {
    CHECK_EQ(weft_call(rt, in_scope, NULL), WEFT_OK);
    return NULL;
}
static void calls_too(weft_runtime *rt) {
    reset();
    pthread_t t;
    pthread_create(&t, NULL, call_in, rt);
    wait_begun(5);
    CHECK_EQ(weft_shutdown(rt, 0, weft_s(60), NULL), WEFT_OK);
    pthread_join(t, NULL);
    CHECK_EQ(atomic_load(&stopped), 5);
}
TEST(calls_from_plain_threads_are_interrupted_as_well) { on_each_size(calls_too); }

static void nothing(void *arg) { (void)arg; }
static void stuck(weft_runtime *rt) {
    reset();
    weft_spawn_options o = {.runtime = rt, .name = "mule"};
    visitor_fiber late = {{NULL, 0}};
    for (long i = 0; i < 3; i++) CHECK(weft_ok(weft_spawn_with((stubborn_fiber *)NULL, stubborn, o, i)));
    CHECK(weft_ok(weft_spawn_with((visitor_fiber *)NULL, visitor, o, 3)));
    wait_begun(4);
    for (int times = 1; times <= 2; times++) {
        size_t left = 99;
        CHECK_EQ(weft_shutdown(rt, 0, weft_ms(times == 1 ? 500 : 1), &left), WEFT_E_BUSY);
        CHECK_EQ(left, 3);
        CHECK_EQ(atomic_load(&reports), times);
        CHECK_EQ(atomic_load(&stopped), 1);
        CHECK(strstr(report, "shutdown: these have not ended\n") == report);
        CHECK(strstr(report, "'mule' at ") && strstr(report, ": waits for a promise (") && strstr(report, ", masked"));
    }
    weft_exit e = weft_spawn_with(&late, visitor, o, 1);
    CHECK(e.tag == WEFT_EXIT_FAIL && e.code == WEFT_E_CLOSED);
    CHECK(late.handle.fiber == NULL);
    CHECK_EQ(weft_call(rt, nothing, NULL), WEFT_E_CLOSED);
    weft_promise_complete(&door, NULL);
    size_t left = 99;
    CHECK_EQ(weft_shutdown(rt, weft_s(60), 0, &left), WEFT_OK);
    CHECK_EQ(left, 0);
    CHECK_EQ(atomic_load(&ended), 4);
}
TEST(what_is_left_is_counted_and_listed_and_may_be_shut_down_again) { on_each_size(stuck); }

/* While it drains what runs may still spawn; once it is interrupted it may not. */
static _Atomic int inside;
static long spawns_inside(long x);
WEFT_TASK(spawns_inside, long, long);
static long spawns_inside(long x) {
    weft_mask m;
    weft_mask_begin(&m);
    atomic_fetch_add(&begun, 1);
    weft_promise_await(&door, NULL);
    visitor_fiber f;
    weft_exit e = weft_spawn(&f, visitor, x);
    atomic_store(&inside, weft_ok(e) ? -1 : e.code);
    weft_mask_end(&m);
    return x;
}
static void spawn_late(weft_runtime *rt) {
    reset();
    weft_spawn_options o = {.runtime = rt};
    CHECK(weft_ok(weft_spawn_with((spawns_inside_fiber *)NULL, spawns_inside, o, 1)));
    wait_begun(1);
    CHECK_EQ(weft_shutdown(rt, 0, 0, NULL), WEFT_E_BUSY);
    weft_promise_complete(&door, NULL);
    CHECK_EQ(weft_shutdown(rt, weft_s(60), 0, NULL), WEFT_OK);
    CHECK_EQ(atomic_load(&inside), WEFT_E_CLOSED);
}
TEST(who_is_interrupted_by_a_shutdown_may_not_spawn) { on_each_size(spawn_late); }

static void drain_spawn(weft_runtime *rt) {
    reset();
    weft_spawn_options o = {.runtime = rt};
    CHECK(weft_ok(weft_spawn_with((spawns_inside_fiber *)NULL, spawns_inside, o, 1)));
    wait_begun(1);
    pthread_t t;
    pthread_create(&t, NULL, open_door, NULL);
    CHECK_EQ(weft_shutdown(rt, weft_s(60), 0, NULL), WEFT_OK);
    pthread_join(t, NULL);
    CHECK_EQ(atomic_load(&inside), -1);
    CHECK_EQ(atomic_load(&ended), 1);
}
TEST(what_runs_may_spawn_while_it_drains) { on_each_size(drain_spawn); }

static void shut_inside(void *rt) { CHECK_EQ(weft_shutdown(rt, 0, 0, NULL), WEFT_E_INSIDE); }
static void refusals(weft_runtime *rt) {
    CHECK_EQ(weft_shutdown(rt, -1, 0, NULL), WEFT_E_INVALID);
    CHECK_EQ(weft_shutdown(rt, 0, -1, NULL), WEFT_E_INVALID);
    CHECK_EQ(weft_call(rt, shut_inside, rt), WEFT_OK);
    CHECK_EQ(weft_close(rt), WEFT_OK);
}
TEST(a_shutdown_from_inside_or_of_negative_time_is_refused) { on_each_size(refusals); }

static void daemons(weft_runtime *rt) {
    reset();
    weft_spawn_options o = {.runtime = rt, .daemon = true, .name = "daemon"};
    for (long i = 0; i < 3; i++) CHECK(weft_ok(weft_spawn_with((visitor_fiber *)NULL, visitor, o, i)));
    wait_begun(3);
    CHECK_EQ(weft_shutdown(rt, 0, 0, NULL), WEFT_OK);
    CHECK_EQ(atomic_load(&ended), 0);
}
TEST(daemons_are_abandoned_where_they_wait) { on_each_size(daemons); }

/* ---- deadlocks ---------------------------------------------------------------------------------------- */

static const weft_clock clocks[] = {WEFT_CLOCK_REAL, WEFT_CLOCK_MANUAL, WEFT_CLOCK_AUTO};

static void run_everywhere(void (*body)(void *), weft_err want) {
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned c = 0; c < 3; c++) {
            uint64_t before = weft__heap_live();
            reset();
            atomic_store(&reports, 0);
            weft_options o = WEFT_OPTIONS(.workers = worker_counts[i], .clock = clocks[c], .on_report = keep);
            CHECK_EQ(weft_run(&o, body, NULL), want);
            CHECK_EQ(atomic_load(&reports), want == WEFT_E_DEADLOCK);
            CHECK_EQ(weft__heap_live(), before);
        }
    }
}

static void all_wait(void *arg) {
    (void)arg;
    visitor_fiber f;
    CHECK(weft_ok(weft_spawn(&f, visitor, 1)));
    weft_exit e = weft_await(f, visitor, NULL);
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(e.code, WEFT_E_DEADLOCK);
    weft_drop(f);
}
TEST(a_deadlock_is_the_error_of_the_run) {
    run_everywhere(all_wait, WEFT_E_DEADLOCK);
    CHECK_EQ(atomic_load(&stopped), 1);
}

static void main_has_ended(void *arg) {
    (void)arg;
    CHECK(weft_ok(weft_spawn((visitor_fiber *)NULL, visitor, 1)));
}
TEST(a_deadlock_after_the_end_of_the_main_task_is_one) { run_everywhere(main_has_ended, WEFT_E_DEADLOCK); }

static void all_masked(void *arg) {
    (void)arg;
    stubborn_fiber f;
    CHECK(weft_ok(weft_spawn(&f, stubborn, 1)));
    weft_mask m;
    weft_mask_begin(&m);
    weft_await(f, stubborn, NULL);
    weft_mask_end(&m);
    weft_drop(f);
}
TEST(masks_do_not_hide_from_the_end_of_a_deadlock) {
    for (unsigned i = 0; i < 2; i++) {
        reset();
        atomic_store(&reports, 0);
        weft_options o = WEFT_OPTIONS(.workers = worker_counts[i], .on_report = keep);
        CHECK_EQ(weft_run(&o, all_masked, NULL), WEFT_E_DEADLOCK);
        CHECK_EQ(atomic_load(&reports), 1);
        CHECK_EQ(atomic_load(&stopped), 1);
        CHECK(strstr(report, ", masked"));
    }
}

static void daemon_waits(void *arg) {
    (void)arg;
    CHECK(weft_ok(weft_spawn_with((visitor_fiber *)NULL, visitor, ((weft_spawn_options){.daemon = true}), 1)));
    while (!atomic_load(&begun)) weft_yield();
}
TEST(a_daemon_that_waits_is_no_deadlock) { run_everywhere(daemon_waits, WEFT_OK); }

/* Everything waits, but something will end it. */
static long opens_later(long x);
WEFT_TASK(opens_later, long, long);
static long opens_later(long x) {
    CHECK(weft_ok(weft_sleep(weft_ms(5))));
    weft_promise_complete(&door, NULL);
    return x;
}
static void timer_pending(void *arg) {
    (void)arg;
    CHECK(weft_ok(weft_spawn((visitor_fiber *)NULL, visitor, 1)));
    CHECK(weft_ok(weft_spawn((opens_later_fiber *)NULL, opens_later, 1)));
    CHECK(weft_ok(weft_promise_await(&door, NULL)));
}
TEST(with_a_timer_pending_it_is_no_deadlock) {
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned c = 0; c < 3; c += 2) {
            reset();
            weft_options o = WEFT_OPTIONS(.workers = worker_counts[i], .clock = clocks[c]);
            CHECK_EQ(weft_run(&o, timer_pending, NULL), WEFT_OK);
        }
    }
}

static void *opens_slowly(void *p) {
    int64_t until = weft__os_now() + weft_ms(10);
    while (weft__os_now() < until) weft__os_yield();
    CHECK_EQ(weft_promise_complete(p, NULL), WEFT_OK);
    return NULL;
}
static void announced(void *arg) {
    (void)arg;
    pthread_t t;
    CHECK_EQ(weft_promise_external(&door, NULL), WEFT_OK);
    pthread_create(&t, NULL, opens_slowly, &door);
    CHECK(weft_ok(weft_promise_await(&door, NULL)));
    pthread_join(t, NULL);
}
TEST(with_announced_work_outside_it_is_no_deadlock) { run_everywhere(announced, WEFT_OK); }

static void *blocks(void *arg, weft_offload_call *call) {
    (void)call;
    int64_t until = weft__os_now() + weft_ms(10);
    while (weft__os_now() < until) weft__os_yield();
    return arg;
}
static void offloaded(void *arg) {
    CHECK(weft_ok(weft_offload(blocks, arg, NULL, NULL)));
}
TEST(with_a_blocking_call_out_it_is_no_deadlock) { run_everywhere(offloaded, WEFT_OK); }

static void broken_in_the_end(void *arg) {
    (void)arg;
    CHECK_EQ(weft_promise_external(&door, NULL), WEFT_OK);
    CHECK(weft_ok(weft_spawn((visitor_fiber *)NULL, visitor, 1)));
    while (!atomic_load(&begun)) weft_yield();
    weft_promise_drop(&door); /* the waiter goes on with BROKEN */
}
/* FAILS under TSan: sched/promise.c, weft_promise_drop writes exit.cause while those it has just woken read exit. */
TEST(a_promise_that_is_given_up_ends_its_waits) {
    if (UNDER_TSAN) return;
    run_everywhere(broken_in_the_end, WEFT_OK);
    CHECK_EQ(atomic_load(&ended), 1);
}

/* An open runtime, without weft_run, may rest for ever. */
static void rests(weft_runtime *rt) {
    reset();
    visitor_fiber f;
    CHECK(weft_ok(weft_spawn_with(&f, visitor, ((weft_spawn_options){.runtime = rt}), 1)));
    wait_begun(1);
    int64_t until = weft__os_now() + weft_ms(5);
    while (weft__os_now() < until) weft__os_yield();
    CHECK_EQ(atomic_load(&reports), 0);
    weft_promise_complete(&door, NULL);
    CHECK(weft_ok(weft_await(f, visitor, NULL)));
    weft_drop(f);
    CHECK_EQ(weft_close(rt), WEFT_OK);
}
TEST(an_open_runtime_may_rest) { on_each_size(rests); }

TEST_MAIN
