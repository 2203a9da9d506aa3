/* Each sanitizer must report a planted fault inside a task: silence elsewhere is proof only then.
 * Without a sanitizer there is nothing to test (skipped).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/san.h"
#include "sched/gate.h"
#include "sched/thread.h"
#include <sched.h>
#include <stdatomic.h>
#include <weft/fiber.h>
#include <weft/runtime.h>

#if defined(WEFT__ASAN) || defined(WEFT__TSAN)

static void run_2(void *fn) { weft_run(&WEFT_OPTIONS(.workers = 2), (void (*)(void *))fn, NULL); }

static void must_report(void (*fn)(void *), const char *needle) {
    char text[65536];
    int status = test_in_child(run_2, fn, text, sizeof text);
    if ((WIFEXITED(status) && WEXITSTATUS(status) == 0) || !strstr(text, needle)) {
        fprintf(stderr, "no report of %s:\n%s\n", needle, text);
        abort();
    }
}

#endif

#if defined(WEFT__ASAN)

static volatile int index_out = 10;

static int overrun(int x);
WEFT_TASK(overrun, int, int);
static int overrun(int x) {
    char local[10];
    const char *volatile p = local; /* a pointer, so that this is ASan's to report, not UBSan's */
    memset(local, x, sizeof local);
    return p[index_out]; /* one past the end */
}
static void overruns(void *arg) {
    (void)arg;
    overrun_task t;
    weft_fork(&t, overrun, 1);
    index_out += weft_join(&t, overrun);
}
TEST(asan_reports_an_overrun_on_a_fiber_stack) { must_report(overruns, "stack-buffer-overflow"); }

static void uses_freed(void *arg) {
    (void)arg;
    char *volatile p = malloc(10);
    free(p);
    p[index_out % 10] = 1;
}
TEST(asan_reports_a_use_after_free_in_a_task) { must_report(uses_freed, "heap-use-after-free"); }

static volatile int huge = 2147483647;
static void overflows(void *arg) {
    (void)arg;
    huge += index_out;
}
TEST(ubsan_reports_an_overflow_in_a_task) { must_report(overflows, "signed integer overflow"); }

/* The only pointer to a block is in the frame of a suspended fiber, or nowhere.  Hidden from the compiler, and the frame of
 * malloc overwritten by the suspension. */
typedef struct holding {
    gate open;
    bool forgets;
    _Atomic int waiting;
} holding;
typedef holding *holding_ref;
static int holds(holding *h);
WEFT_TASK(holds, int, holding_ref);
static int holds(holding *h) {
    char *volatile block = malloc(1000);
    if (h->forgets) block = NULL;
    h->waiting++;
    gate_wait(&h->open);
    free(block);
    return 0;
}

/* LeakSanitizer's verdict while a hundred such fibers are suspended. */
static bool leaks_are_seen(bool forgets) {
    enum { FIBERS = 100 };
    static holding h;
    holds_fiber f[FIBERS];
    h = (holding){.forgets = forgets};
    for (int i = 0; i < FIBERS; i++) CHECK(weft_ok(weft_spawn(&f[i], holds, &h)));
    while (h.waiting < FIBERS) CHECK(weft_ok(weft_yield()));
    for (int i = 0; i < FIBERS; i++) CHECK(weft_ok(weft_yield()));
    bool seen = __lsan_do_recoverable_leak_check() != 0;
    gate_open(&h.open, thread_fiber()->w->rt);
    for (int i = 0; i < FIBERS; i++) {
        CHECK(weft_ok(weft_await(f[i], holds, NULL)));
        weft_drop(f[i]);
    }
    return seen;
}

static void forgetting(void *arg) {
    (void)arg;
    if (leaks_are_seen(true)) _exit(23);
}
TEST(lsan_reports_what_a_suspended_fiber_has_lost) { must_report(forgetting, "detected memory leaks"); }

static void keeping(void *arg) { *(bool *)arg = leaks_are_seen(false); }
TEST(lsan_finds_what_only_a_suspended_fiber_holds) {
    bool seen = true;
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 2), keeping, &seen), WEFT_OK);
    CHECK(!seen);
}

#endif

#if defined(WEFT__TSAN)

static long shared_count;
static _Atomic int started;

static int racer(int x);
WEFT_TASK(racer, int, int);
static int racer(int x) {
    (void)x;
    atomic_store_explicit(&started, 1, memory_order_relaxed);
    for (int i = 0; i < 1000; i++) shared_count++;
    return 0;
}
static int nothing(int x);
WEFT_TASK(nothing, int, int);
static int nothing(int x) { return x; }

/* The child is stolen for certain: the parent offers until it has started. */
static void races(void *arg) {
    (void)arg;
    racer_task t;
    weft_fork(&t, racer, 0);
    while (!atomic_load_explicit(&started, memory_order_relaxed)) {
        nothing_task n;
        weft_fork(&n, nothing, 0);
        (void)weft_join(&n, nothing);
        sched_yield();
    }
    for (int i = 0; i < 1000; i++) shared_count++;
    (void)weft_join(&t, racer);
}
TEST(tsan_reports_a_race_between_parent_and_child) { must_report(races, "data race"); }

#endif

int main(int argc, char **argv) {
#if defined(WEFT__ASAN) || defined(WEFT__TSAN)
    return test_main(argc, argv);
#else
    (void)argc, (void)argv, (void)test_last, (void)test_main;
    printf("0 passed, 0 failed, 1 skipped\n");
    return 77;
#endif
}
