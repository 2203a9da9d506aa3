/* A stack overflow is reported with task, fork site and stack size, then the handler before ours runs.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/san.h"
#include "sched/registry.h"
#include "sched/worker.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <weft/fiber.h>
#include <weft/kernel.h>
#include <weft/runtime.h>

static volatile int limit = 100000000;

__attribute__((noinline)) static int dive(int depth) {
    volatile char frame[1024];
    frame[0] = (char)depth;
    if (depth == limit) return 0;
    return dive(depth + 1) + frame[0];
}

static int diver(int x);
WEFT_TASK(diver, int, int);
static int diver(int x) { return dive(x); }

/* Fills its stack level by level, so that some join moves its child to a stack of its own: that child is the
 * task the report must name. */
static int filler(int n);
WEFT_TASK(filler, int, int);
static int filler(int n) {
    volatile char frame[512];
    frame[n % 512] = (char)n;
    if (n == 0) {
        diver_task t;
        weft_fork(&t, diver, 0);
        return weft_join(&t, diver) + frame[n % 512];
    }
    filler_task t;
    weft_fork(&t, filler, n - 1);
    return weft_join(&t, filler);
}

static void fills_then_dives(void *arg) { *(int *)arg = filler(200 * WEFT__SAN_STACKS); }
static void dives(void *arg) { *(int *)arg = dive(0); }

static void run_with(void (*fn)(void *), size_t stack) {
    int x;
    weft_run(&WEFT_OPTIONS(.workers = 1, .stack_bytes = stack), fn, &x);
}
static void run_64k(void *fn) { run_with((void (*)(void *))fn, 0); }
static void run_1m(void *fn) { run_with((void (*)(void *))fn, 1 << 20); }

static void expect_report(void (*run)(void *), void (*fn)(void *), const char *needle) {
    char text[8192];
    int status = test_in_child(run, fn, text, sizeof text);
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    if (!strstr(text, "weft: stack overflow in task") || !strstr(text, needle)) {
        fprintf(stderr, "no \"%s\" in:\n%s\n", needle, text);
        abort();
    }
}

TEST(an_overflow_names_the_task_its_fork_site_and_the_stack_size) {
    expect_report(run_64k, dives, "'main task'");
    expect_report(run_64k, dives, WEFT__SAN_STACKS > 1 ? "256 KiB" : "stack of 64 KiB");
    expect_report(run_64k, fills_then_dives, WEFT__RARE ? "er' forked at " : "'filler' forked at ");
    expect_report(run_64k, fills_then_dives, "overflow_test.c:");
    expect_report(run_1m, dives, WEFT__SAN_STACKS > 1 ? "4096 KiB" : "stack of 1024 KiB");
}

/* A spawned fiber: its own task and the place of its weft_spawn, wherever on the stack it is, before its first wait
 * (a plain call at the bottom of a worker's stack) and after. */
enum { SPAWN_LINE = __LINE__ + 3 };
static void spawns_diver(size_t stack, const char *name) {
    diver_fiber f;
    weft_spawn_with(&f, diver, ((weft_spawn_options){.stack_bytes = stack, .name = name}), 0);
    weft_await(f, diver, NULL);
}
static void spawned_dives(void *arg) {
    (void)arg;
    spawns_diver(0, NULL);
}
static void spawned_dives_on_a_megabyte(void *arg) {
    (void)arg;
    spawns_diver(1 << 20, NULL);
}
static void named_dives(void *arg) {
    (void)arg;
    spawns_diver(0, "deep-thought");
}
static int late_diver(int x);
WEFT_TASK(late_diver, int, int);
enum { LATE_LINE = __LINE__ + 6 };
static int late_diver(int x) {
    for (int i = 0; i < 10; i++) weft_yield();
    return dive(x);
}
static void spawned_dives_late(void *arg) {
    for (int i = 0; i < 3; i++) weft_spawn((late_diver_fiber *)NULL, late_diver, *(int *)arg);
    for (int i = 0; i < 100; i++) weft_yield();
}
TEST(an_overflow_in_a_spawned_fiber_names_its_task_and_its_spawn_site) {
    char place[64];
    snprintf(place, sizeof place, "overflow_test.c:%d", SPAWN_LINE);
    expect_report(run_64k, spawned_dives, "'diver'");
    expect_report(run_64k, spawned_dives, place);
    expect_report(run_64k, spawned_dives_on_a_megabyte, place);
    expect_report(run_64k, spawned_dives_on_a_megabyte, WEFT__SAN_STACKS > 1 ? "4096 KiB" : "stack of 1024 KiB");
    snprintf(place, sizeof place, "overflow_test.c:%d", LATE_LINE);
    expect_report(run_64k, spawned_dives_late, "'late_diver'");
    expect_report(run_64k, spawned_dives_late, place);
}
TEST(an_overflow_in_a_named_fiber_says_its_name) { expect_report(run_64k, named_dives, "deep-thought"); }

static void earlier_handler(int sig) {
    static const char text[] = "the earlier handler ran\n";
    (void)sig;
    (void)!write(2, text, sizeof text - 1);
    _exit(3);
}
static void run_with_handler(void *fn) {
    struct sigaction a = {.sa_handler = earlier_handler, .sa_flags = SA_ONSTACK};
    sigaction(SIGSEGV, &a, NULL);
    run_64k(fn);
}
TEST(the_handler_that_was_there_before_runs_after_the_report) {
    expect_report(run_with_handler, dives, "the earlier handler ran");
}

static weft_runtime *closing;
static void dives_when_closing(void *arg) {
    while (weft_workers(closing) != 0) sched_yield();
    dives(arg);
}
static void *closer(void *arg) {
    weft_close(closing);
    return arg;
}
static void overflow_while_closing(void *arg) {
    pthread_t t;
    int x;
    (void)arg;
    weft_open(&WEFT_OPTIONS(.workers = 1), &closing);
    pthread_create(&t, NULL, closer, NULL);
    weft_call(closing, dives_when_closing, &x);
    pthread_join(t, NULL);
}
TEST(an_overflow_while_the_runtime_closes_is_reported) {
#ifdef WEFT__TSAN
    return; /* its handler gives up on threads of a forked process now and then, before ours is asked */
#endif
    for (int tries = 0; tries < 50; tries++) { /* the closer may be faster than the call */
        char text[8192];
        int status = test_in_child(overflow_while_closing, NULL, text, sizeof text);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
        if (!strstr(text, "weft: stack overflow in task")) fprintf(stderr, "%s\n", text);
        CHECK(strstr(text, "weft: stack overflow in task"));
        return;
    }
}

static void guard_write(void *arg) {
    (void)arg;
    weft_runtime *rt;
    weft_open(&WEFT_OPTIONS(.workers = 1), &rt);
    runtime *inner = weft__registry_enter(rt);
    volatile char *guard = inner->workers[0].running->stk.lo - 8;
    *guard = 1;
}
TEST(a_plain_thread_that_hits_a_guard_is_not_called_an_overflow) {
    char text[8192];
    int status = test_in_child(guard_write, NULL, text, sizeof text);
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    CHECK(!strstr(text, "weft: stack overflow"));
}

static void null_write(void *arg) {
    (void)arg;
    volatile int *volatile nowhere = NULL;
    *nowhere = 1;
}
TEST(another_fault_is_not_called_an_overflow) {
    char text[8192];
    int status = test_in_child(run_64k, null_write, text, sizeof text);
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    CHECK(!strstr(text, "weft: stack overflow"));
}

TEST_MAIN
