/* A stack overflow is reported with task, fork site and stack size, then the handler before ours runs.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/san.h"
#include "sched/registry.h"
#include "sched/worker.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
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
}
TEST(an_overflow_while_the_runtime_closes_is_reported) {
    for (int tries = 0; tries < 50; tries++) { /* the closer may be faster than the call */
        char text[8192];
        int status = test_in_child(overflow_while_closing, NULL, text, sizeof text);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
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
