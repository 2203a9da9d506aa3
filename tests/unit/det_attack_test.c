/* Programs that broke the deterministic executor and the test kit once: pollers, threads that wait beside each other, runs
 * that end in their own way.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/heap.h"
#include "alloc/san.h"
#include "sched/det.h"
#include "sched/registry.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#include <weft/cancel.h>
#include <weft/test.h>

#define DET(...) WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, __VA_ARGS__)

static volatile bool flag;
static _Atomic unsigned polled; /* how often anybody has, in this run */

static int setter(int x);
WEFT_TASK(setter, int, int);
static int setter(int x) {
    flag = true;
    return x;
}

/* ---- who polls, ends ----------------------------------------------------------------------------------- */

static void by_yield(void) { weft_yield(); }
static void by_checkpoint(void) { weft_checkpoint(); }
static void by_sleep(void) { weft_sleep(0); }
static void (*poll)(void);

static int poller(int x);
WEFT_TASK(poller, int, int);
static int poller(int x) {
    while (!flag) {
        atomic_fetch_add(&polled, 1);
        poll();
    }
    return x;
}

static void pollers(int n, weft_priority priority) {
    poller_fiber p[80];
    for (int i = 0; i < n; i++) CHECK(weft_ok(weft_spawn_with(&p[i], poller, ((weft_spawn_options){.priority = priority}), i)));
    for (int i = 0; i < n; i++) {
        CHECK(weft_ok(weft_await(p[i], poller, NULL)));
        weft_drop(p[i]);
    }
}

static void for_priority(weft_priority of_pollers, weft_priority of_setter) {
    setter_fiber f;
    CHECK(weft_ok(weft_spawn_with(&f, setter, ((weft_spawn_options){.priority = of_setter}), 1)));
    pollers(3, of_pollers);
    weft_drop(f);
}
static void for_low(void) { for_priority(WEFT_PRIORITY_NORMAL, WEFT_PRIORITY_LOW); }
static void for_normal(void) { for_priority(WEFT_PRIORITY_HIGH, WEFT_PRIORITY_NORMAL); }

/* More than are alternatives of one choice. */
static void for_a_child(void) {
    setter_task t;
    weft_fork(&t, setter, 1);
    pollers(80, WEFT_PRIORITY_NORMAL);
    weft_join(&t, setter);
}

static void *briefly(void *arg, weft_offload_call *call) {
    (void)call;
    while (atomic_load(&polled) < 300) sched_yield(); /* they are at it, and go on */
    return arg;
}
static int offloader(int x);
WEFT_TASK(offloader, int, int);
static int offloader(int x) {
    weft_offload(briefly, NULL, NULL, NULL);
    flag = true;
    return x;
}
static void for_outside(void) {
    offloader_fiber f;
    CHECK(weft_ok(weft_spawn(&f, offloader, 1)));
    pollers(2, WEFT_PRIORITY_NORMAL);
    CHECK(weft_ok(weft_await(f, offloader, NULL)));
    weft_drop(f);
}

static int sleeper(int x);
WEFT_TASK(sleeper, int, int);
static int sleeper(int x) {
    weft_sleep(weft_ms(1));
    flag = true;
    return x;
}
static void for_time(void) {
    sleeper_fiber f;
    CHECK(weft_ok(weft_spawn(&f, sleeper, 1)));
    pollers(1, WEFT_PRIORITY_NORMAL);
    weft_drop(f);
}

static void begin(void *body) {
    flag = false;
    atomic_store(&polled, 0);
    ((void (*)(void))body)();
}

static void on_each_strategy(void (*body)(void)) {
    static void (*const ways[])(void) = {by_yield, by_checkpoint, by_sleep};
    for (unsigned i = 0; i < 3; i++)
        for (weft_explore how = WEFT_EXPLORE_FIFO; how <= WEFT_EXPLORE_REPLAY; how++) {
            if (how == WEFT_EXPLORE_DFS) continue; /* tests only */
            poll = ways[i];
            const char *schedule = how == WEFT_EXPLORE_REPLAY ? "" : NULL;
            CHECK_EQ(weft_run(&DET(.explore = how, .seed = 7, .schedule = schedule), begin, (void *)body), WEFT_OK);
        }
}
TEST(who_polls_for_low_priority_ends) { on_each_strategy(for_low); }
TEST(who_polls_with_high_priority_ends) { on_each_strategy(for_normal); }
TEST(who_polls_for_a_child_left_behind_ends) { on_each_strategy(for_a_child); }
TEST(who_polls_for_an_offload_ends) { on_each_strategy(for_outside); }
TEST(who_polls_for_a_sleeper_on_the_real_clock_ends) { on_each_strategy(for_time); }

/* ---- the empty schedule is fifo ------------------------------------------------------------------------ */

static char trace[64];
static unsigned traced;

static int twice(int c);
WEFT_TASK(twice, int, int);
static int twice(int c) {
    trace[traced++] = (char)c;
    weft_yield();
    trace[traced++] = (char)(c + 'A' - 'a');
    return c;
}

static void children_and_fibers(void *arg) {
    (void)arg;
    twice_task t[3];
    twice_fiber f[3];
    for (int i = 0; i < 3; i++) weft_fork(&t[i], twice, 'a' + i);
    for (int i = 0; i < 3; i++) CHECK(weft_ok(weft_spawn(&f[i], twice, 'p' + i)));
    for (int i = 0; i < 3; i++) {
        CHECK(weft_ok(weft_await(f[i], twice, NULL)));
        weft_drop(f[i]);
    }
    for (int i = 3; i-- > 0;) weft_join(&t[i], twice);
}
TEST(the_empty_schedule_is_fifo_with_children_left_behind) {
    char fifo[sizeof trace];
    traced = 0;
    CHECK_EQ(weft_run(&DET(.explore = WEFT_EXPLORE_FIFO), children_and_fibers, NULL), WEFT_OK);
    memcpy(fifo, trace, sizeof trace);
    traced = 0;
    CHECK_EQ(weft_run(&DET(.explore = WEFT_EXPLORE_REPLAY, .schedule = ""), children_and_fibers, NULL), WEFT_OK);
    CHECK(memcmp(fifo, trace, sizeof trace) == 0);
}

/* ---- threads ------------------------------------------------------------------------------------------- */

static weft_runtime *rt;

static int starts(int x);
WEFT_TASK(starts, int, int);
static int starts(int x) {
    weft_started();
    return x;
}
TEST(a_thread_that_waits_for_a_start_drives) {
    starts_fiber f;
    CHECK_EQ(weft_open(&DET(.seed = 0), &rt), WEFT_OK);
    CHECK(weft_ok(weft_spawn_with(&f, starts, ((weft_spawn_options){.runtime = rt, .ready = true}), 1)));
    weft_drop(f);
    CHECK_EQ(weft_close(rt), WEFT_OK);
}
TEST(a_thread_that_waits_for_a_place_drives) {
    CHECK_EQ(weft_open(&DET(.max_fibers = 2), &rt), WEFT_OK);
    for (int i = 0; i < 5; i++)
        CHECK(weft_ok(weft_spawn_with((setter_fiber *)NULL, setter, ((weft_spawn_options){.runtime = rt}), i)));
    CHECK_EQ(weft_close(rt), WEFT_OK);
}
TEST(a_thread_that_waits_with_a_limit_drives) {
    setter_fiber f;
    CHECK_EQ(weft_open(&DET(.seed = 0), &rt), WEFT_OK);
    CHECK(weft_ok(weft_spawn_with(&f, setter, ((weft_spawn_options){.runtime = rt}), 1)));
    CHECK(weft_ok(weft_await_for(f, setter, NULL, weft_s(5))));
    weft_drop(f);
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

static int for_ever(int x);
WEFT_TASK(for_ever, int, int);
static int for_ever(int x) {
    while (weft_ok(weft_yield())) {}
    return x;
}
TEST(a_shutdown_comes_to_fibers_that_never_wait) {
    for (int n = 1; n <= 2; n++) {
        CHECK_EQ(weft_open(&DET(.seed = 0), &rt), WEFT_OK);
        for (int i = 0; i < n; i++)
            CHECK(weft_ok(weft_spawn_with((for_ever_fiber *)NULL, for_ever, ((weft_spawn_options){.runtime = rt}), i)));
        CHECK_EQ(weft_shutdown(rt, weft_ms(2), weft_s(5), NULL), WEFT_OK);
    }
}

static weft_promise promise;
static int awaiter(int x);
WEFT_TASK(awaiter, int, int);
static int awaiter(int x) {
    weft_promise_await(&promise, NULL);
    return x;
}
static awaiter_fiber awaited;
static void *awaits(void *arg) {
    (void)arg;
    CHECK(weft_ok(weft_await(awaited, awaiter, NULL)));
    return NULL;
}
static void completes(void *arg) {
    (void)arg;
    weft_promise_complete(&promise, NULL);
}
/* Another thread drives it, and has nothing to do. */
static bool rests(weft_runtime *handle) {
    runtime *in = weft__registry_enter(handle);
    bool does = atom_load_seq(&in->det->busy) && idle_is_set(&in->idle, 0);
    weft__registry_leave(handle);
    return does;
}
TEST(a_thread_that_only_waits_gives_its_turn_to_a_call) {
    pthread_t thread;
    CHECK_EQ(weft_open(&DET(.seed = 0), &rt), WEFT_OK);
    for (int i = 0; i < 20; i++) {
        weft_promise_init(&promise);
        CHECK(weft_ok(weft_spawn_with(&awaited, awaiter, ((weft_spawn_options){.runtime = rt}), 1)));
        CHECK_EQ(pthread_create(&thread, NULL, awaits, NULL), 0);
        while (i % 2 && !rests(rt)) sched_yield();
        CHECK_EQ(weft_call(rt, completes, NULL), WEFT_OK);
        pthread_join(thread, NULL);
        weft_drop(awaited);
    }
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

/* ---- the kit ------------------------------------------------------------------------------------------- */

static int count;
static int add(int x);
WEFT_TASK(add, int, int);
static int add(int x) {
    int was = count;
    weft_point();
    count = was + x;
    return x;
}
static bool lost(void) {
    add_fiber f[2];
    count = 0;
    for (int i = 0; i < 2; i++) weft_spawn(&f[i], add, 1);
    for (int i = 0; i < 2; i++) {
        weft_await(f[i], add, NULL);
        weft_drop(f[i]);
    }
    return count != 2;
}

static weft_test_result result;

TEST(a_body_that_knows_the_number_of_its_run_is_repeated) {
    WEFT_TEST(t, .runs = 200, .result = &result) weft_check(t, !lost() || t.run % 2);
    CHECK_EQ(result.failure, WEFT_TEST_CHECK);
    CHECK(result.repeatable);
}
TEST(a_body_that_is_left_is_not_called_unrepeatable) {
    WEFT_TEST(t, .runs = 200, .result = &result)
        if (!weft_check(t, !lost())) break;
    CHECK_EQ(result.failure, WEFT_TEST_CHECK);
    CHECK(strstr(result.report, "WEFT_REPLAY='") != NULL);
}
TEST(a_report_of_a_test_without_a_name_can_be_replayed) {
    char name[128];
    for (int i = 0; i < 2; i++) {
        WEFT_TEST(t, .runs = i ? 1 : 200, .result = &result) weft_check(t, !lost());
        CHECK_EQ(result.failure, WEFT_TEST_CHECK);
        CHECK_EQ(sscanf(result.report, "%127[^ ]", name), 1);
        name[strlen(name) - 1] = 0;
        setenv("WEFT_TEST", name, 1);
        setenv("WEFT_REPLAY", result.schedule, 1);
    }
    unsetenv("WEFT_TEST");
    unsetenv("WEFT_REPLAY");
}
TEST(a_test_in_a_test_is_refused_and_leaves_nothing) {
    weft_test_result inner = {.failure = WEFT_TEST_PASSED};
    WEFT_TEST(t, .runs = 2, .result = &result) WEFT_TEST(u, .result = &inner) weft_check(u, false);
    CHECK_EQ(inner.failure, WEFT_TEST_BROKEN);
    CHECK_EQ(result.failure, WEFT_TEST_PASSED);
}

/* How an isolated run may end, other than by its end. */
static void exits(void) { _exit(0); }
static void fails(void) { _exit(3); }
static void is_killed(void) { kill(getpid(), SIGKILL); }
static void faults(void) {
    volatile uintptr_t nowhere = 8;
    *(volatile int *)nowhere = 1;
}
TEST(an_isolated_run_that_ends_otherwise_is_found_and_minimised) {
    static void (*const ends[])(void) = {exits, fails, is_killed, faults};
    for (unsigned i = 0; i < 4; i++) {
        if (ends[i] == faults && WEFT__SAN_STACKS > 1) continue; /* the sanitizer's affair */
        WEFT_TEST(t, .runs = 200, .isolate = true, .result = &result)
            if (lost()) ends[i]();
        CHECK_EQ(result.failure, WEFT_TEST_DIED);
        CHECK(result.repeatable);
        CHECK(strlen(result.schedule) < 12);
    }
}
TEST(an_isolated_body_that_is_left_ends_the_test) {
    WEFT_TEST(t, .runs = 5, .isolate = true, .result = &result) break;
    CHECK_EQ(result.failure, WEFT_TEST_PASSED);
    CHECK_EQ(result.runs, 1);
}

/* ---- memory -------------------------------------------------------------------------------------------- */

static void *at_once(void *arg, weft_offload_call *call) {
    (void)call;
    return arg;
}
static void offloads(void *arg) {
    (void)arg;
    setter_fiber f;
    bool spawned = weft_ok(weft_spawn(&f, setter, 1));
    weft_offload(at_once, NULL, NULL, NULL);
    if (!spawned) return;
    weft_await(f, setter, NULL);
    weft_drop(f);
}
TEST(without_memory_what_is_outside_is_let_in) {
    weft_run(&DET(.seed = 1), offloads, NULL);
    for (unsigned n = 1; n < 30; n++) {
        weft__heap_fail_at(n, true);
        weft_run(&DET(.seed = n), offloads, NULL);
        weft__heap_fail_at(0, false);
    }
}

static void sleeps(void *arg) {
    weft_exit *e = arg;
    *e = weft_sleep(weft_s(1));
}
TEST(without_memory_for_a_stack_a_virtual_clock_comes_to_a_sleep) {
    for (unsigned n = 1; n < 30; n++) {
        weft_exit e = {WEFT_EXIT_OK, 0, NULL};
        weft__heap_fail_at(n, true);
        weft_err err = weft_run(&DET(.clock = WEFT_CLOCK_AUTO), sleeps, &e);
        weft__heap_fail_at(0, false);
        CHECK(err == WEFT_OK || err == WEFT_E_NOMEM);
        CHECK(weft_ok(e));
    }
}

TEST_MAIN
