/* Mutexes: exclusion, interrupts, times, plain threads, other runtimes, what is known of who holds them.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/runs.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <weft/dump.h>
#include <weft/promise.h>
#include <weft/scope.h>
#include <weft/sync.h>

static bool failed(weft_exit e, int code) { return e.tag == WEFT_EXIT_FAIL && e.code == code; }
static bool interrupted(weft_exit e) { return e.tag == WEFT_EXIT_INTERRUPT && e.code == WEFT_E_INTERRUPTED; }

/* ---- exclusion ---------------------------------------------------------------------------------------- */

typedef struct shared {
    weft_mutex m;
    long sum;
    int inside;
} shared;
typedef shared *shared_ref;

static void enter(shared *s, bool waits_inside) {
    CHECK(weft_ok(weft_mutex_lock(&s->m)));
    CHECK_EQ(s->inside++, 0);
    CHECK(weft_mutex_is_mine(&s->m));
    if (waits_inside) weft_yield();
    s->sum++;
    CHECK_EQ(--s->inside, 0);
    CHECK_EQ(weft_mutex_unlock(&s->m), WEFT_OK);
    CHECK(!weft_mutex_is_mine(&s->m));
}

static int counts(shared *s);
WEFT_TASK(counts, int, shared_ref);
static int counts(shared *s) {
    for (int i = 0; i < 20; i++) enter(s, i % 3 == 0);
    return 0;
}

enum { FIBERS = 8 };
static void excludes(void *arg) {
    shared s = {.m = WEFT_MUTEX};
    counts_fiber f[FIBERS];
    (void)arg;
    for (int i = 0; i < FIBERS; i++) CHECK(weft_ok(weft_spawn(&f[i], counts, &s)));
    for (int i = 0; i < FIBERS; i++) {
        CHECK(weft_ok(weft_await(f[i], counts, NULL)));
        weft_drop(f[i]);
    }
    CHECK_EQ(s.sum, FIBERS * 20);
    CHECK_EQ(atomic_load(&s.m.word) & ~(uintptr_t)7, 0);
}
TEST(one_at_a_time) { often(WEFT_CLOCK_REAL, excludes, 20); }
TEST(one_at_a_time_in_virtual_time) { on_clock(WEFT_CLOCK_AUTO, excludes); }

static void refuses(void *arg) {
    weft_mutex m;
    (void)arg;
    weft_mutex_init(&m);
    CHECK_EQ(weft_mutex_unlock(&m), WEFT_E_NOT_HELD);
    CHECK(weft_ok(weft_mutex_lock(&m)));
    CHECK(!weft_mutex_try(&m));
    CHECK(failed(weft_mutex_lock(&m), WEFT_E_INSIDE));
    CHECK(failed(weft_mutex_lock_for(&m, weft_ms(1)), WEFT_E_INSIDE));
    CHECK_EQ(weft_mutex_unlock(&m), WEFT_OK);
    CHECK_EQ(weft_mutex_unlock(&m), WEFT_E_NOT_HELD);
    CHECK(weft_mutex_try(&m));
    CHECK_EQ(weft_mutex_unlock(&m), WEFT_OK);
    CHECK(failed(weft_mutex_lock_for(&m, -1), WEFT_E_INVALID));
    CHECK(weft_ok(weft_mutex_lock_for(&m, 0)));
    CHECK_EQ(weft_mutex_unlock(&m), WEFT_OK);
}
TEST(a_mutex_is_not_recursive_and_unlocked_by_its_holder_only) {
    on_clock(WEFT_CLOCK_REAL, refuses);
    refuses(NULL);
}

/* ---- another fiber, while the main task holds it ------------------------------------------------------- */

typedef struct attempt {
    weft_mutex *m;
    weft_duration limit; /* 0: none */
    int *inside;
} attempt;

static weft_exit tries(attempt a);
WEFT_TASK(tries, weft_exit, attempt);
static weft_exit tries(attempt a) {
    CHECK_EQ(weft_mutex_unlock(a.m), WEFT_E_NOT_HELD);
    weft_exit e = a.limit ? weft_mutex_lock_for(a.m, a.limit) : weft_mutex_lock(a.m);
    CHECK_EQ(weft_mutex_is_mine(a.m), weft_ok(e));
    if (!weft_ok(e)) return e;
    ++*a.inside;
    CHECK_EQ(weft_mutex_unlock(a.m), WEFT_OK);
    return e;
}

static void interrupted_waiter(void *arg) {
    weft_mutex m = WEFT_MUTEX;
    int inside = 0;
    tries_fiber f, g;
    weft_exit e;
    (void)arg;
    CHECK(weft_ok(weft_mutex_lock(&m)));
    CHECK(weft_ok(weft_spawn(&f, tries, &m, 0, &inside)));
    CHECK(weft_ok(weft_spawn(&g, tries, &m, 0, &inside)));
    CHECK(weft_ok(weft_sleep(weft_ms(1))));
    CHECK(weft_ok(weft_interrupt(f, "enough")));
    CHECK_EQ(inside, 0);
    e = weft_await(f, tries, NULL);
    CHECK(e.tag == WEFT_EXIT_INTERRUPT && e.code == WEFT_E_CANCELLED);
    CHECK_EQ(weft_mutex_unlock(&m), WEFT_OK);
    CHECK(weft_ok(weft_await(g, tries, &e)) && weft_ok(e));
    CHECK_EQ(inside, 1);
    weft_drop(f);
    weft_drop(g);
}
TEST(an_interrupt_ends_the_wait_and_others_go_on) { on_clock(WEFT_CLOCK_AUTO, interrupted_waiter); }

static void late(void *arg) {
    weft_mutex m = WEFT_MUTEX;
    int inside = 0;
    tries_fiber f, g;
    weft_exit e;
    (void)arg;
    CHECK(weft_ok(weft_mutex_lock(&m)));
    CHECK(weft_ok(weft_spawn(&f, tries, &m, weft_ms(2), &inside)));
    CHECK(weft_ok(weft_spawn(&g, tries, &m, weft_ms(20), &inside)));
    CHECK(weft_ok(weft_sleep(weft_ms(10))));
    CHECK(weft_ok(weft_await(f, tries, &e)) && failed(e, WEFT_E_TIMEOUT));
    CHECK_EQ(weft_mutex_unlock(&m), WEFT_OK);
    CHECK(weft_ok(weft_await(g, tries, &e)) && weft_ok(e));
    CHECK_EQ(inside, 1);
    CHECK_EQ(pending(), 0);
    weft_drop(f);
    weft_drop(g);
}
TEST(a_limit_ends_the_wait) { on_clock(WEFT_CLOCK_AUTO, late); }

/* Level-triggered, but only where it would wait. */
static int stopped(shared *s);
WEFT_TASK(stopped, int, shared_ref);
static int stopped(shared *s) {
    while (weft_ok(weft_sleep(weft_ms(1)))) {}
    CHECK(weft_ok(weft_mutex_lock(&s->m)));
    s->sum++;
    CHECK_EQ(weft_mutex_unlock(&s->m), WEFT_OK);
    weft_mutex held = WEFT_MUTEX;
    CHECK(interrupted(weft_checkpoint()));
    CHECK(weft_ok(weft_mutex_lock(&held)));
    CHECK_EQ(weft_mutex_unlock(&held), WEFT_OK);
    return 0;
}
static void clean_up(void *arg) {
    shared s = {.m = WEFT_MUTEX};
    stopped_fiber f;
    (void)arg;
    CHECK(weft_ok(weft_spawn(&f, stopped, &s)));
    CHECK(weft_ok(weft_sleep(weft_ms(5))));
    CHECK(weft_ok(weft_interrupt(f, "enough")));
    CHECK_EQ(s.sum, 1);
    weft_drop(f);
}
TEST(an_interrupted_fiber_locks_what_is_free) { on_clock(WEFT_CLOCK_AUTO, clean_up); }

static int stopped_at_the_door(shared *s);
WEFT_TASK(stopped_at_the_door, int, shared_ref);
static int stopped_at_the_door(shared *s) {
    while (weft_ok(weft_sleep(weft_ms(1)))) {}
    CHECK(interrupted(weft_mutex_lock(&s->m)));
    weft_mask m;
    weft_mask_begin(&m);
    CHECK(weft_ok(weft_mutex_lock(&s->m)));
    CHECK_EQ(weft_mask_end(&m), WEFT_OK);
    CHECK_EQ(weft_mutex_unlock(&s->m), WEFT_OK);
    return 0;
}
static void masked(void *arg) {
    shared s = {.m = WEFT_MUTEX};
    stopped_at_the_door_fiber f;
    (void)arg;
    CHECK(weft_ok(weft_mutex_lock(&s.m)));
    CHECK(weft_ok(weft_spawn(&f, stopped_at_the_door, &s)));
    CHECK(weft_ok(weft_sleep(weft_ms(5))));
    CHECK_EQ(weft_interrupt_async(f, "enough").tag, WEFT_EXIT_OK);
    CHECK(weft_ok(weft_sleep(weft_ms(5))));
    CHECK_EQ(weft_mutex_unlock(&s.m), WEFT_OK);
    weft_await(f, stopped_at_the_door, NULL);
    weft_drop(f);
}
TEST(an_interrupted_fiber_does_not_wait_but_masked_it_does) { on_clock(WEFT_CLOCK_AUTO, masked); }

/* ---- threads, other runtimes ---------------------------------------------------------------------------- */

static void *thread_counts(void *arg) {
    counts(arg);
    return NULL;
}
static void with_threads(void *arg) {
    shared s = {.m = WEFT_MUTEX};
    counts_fiber f[FIBERS];
    pthread_t t[3];
    (void)arg;
    for (int i = 0; i < FIBERS; i++) CHECK(weft_ok(weft_spawn(&f[i], counts, &s)));
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&t[i], NULL, thread_counts, &s) == 0);
    for (int i = 0; i < FIBERS; i++) {
        CHECK(weft_ok(weft_await(f[i], counts, NULL)));
        weft_drop(f[i]);
    }
    for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
    CHECK_EQ(s.sum, (FIBERS + 3) * 20);
}
TEST(fibers_and_plain_threads_share_a_mutex) {
    for (unsigned workers = 1; workers <= 2; workers++)
        for (int i = 0; i < 30; i++) run_ends(&WEFT_OPTIONS(.workers = workers), with_threads, NULL, WEFT_OK);
}

static void *holds_for_a_while(void *arg) {
    shared *s = arg;
    CHECK(weft_ok(weft_mutex_lock(&s->m)));
    atomic_store((_Atomic int *)&s->inside, 1);
    CHECK(weft_ok(weft_sleep(weft_ms(20))));
    CHECK(failed(weft_mutex_lock_for(&s->m, 0), WEFT_E_INSIDE));
    CHECK_EQ(weft_mutex_unlock(&s->m), WEFT_OK);
    return NULL;
}
static void not_a_deadlock(void *arg) {
    shared s = {.m = WEFT_MUTEX};
    pthread_t t;
    (void)arg;
    CHECK(pthread_create(&t, NULL, holds_for_a_while, &s) == 0);
    while (!atomic_load((_Atomic int *)&s.inside)) sched_yield();
    CHECK(weft_ok(weft_mutex_lock(&s.m)));
    CHECK_EQ(weft_mutex_unlock(&s.m), WEFT_OK);
    pthread_join(t, NULL);
}
TEST(who_waits_for_a_thread_is_not_deadlocked) {
    for (unsigned workers = 1; workers <= 2; workers++)
        run_ends(&WEFT_OPTIONS(.workers = workers), not_a_deadlock, NULL, WEFT_OK);
    run_ends(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC), not_a_deadlock, NULL, WEFT_OK);
}

static void counts_there(void *arg) {
    counts_fiber f[2];
    for (int i = 0; i < 2; i++) CHECK(weft_ok(weft_spawn(&f[i], counts, arg)));
    for (int i = 0; i < 2; i++) {
        CHECK(weft_ok(weft_await(f[i], counts, NULL)));
        weft_drop(f[i]);
    }
}
static void *another_runtime(void *arg) {
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 2), counts_there, arg), WEFT_OK);
    return NULL;
}
TEST(fibers_of_two_runtimes_share_a_mutex) {
    for (int round = 0; round < 20; round++) {
        shared s = {.m = WEFT_MUTEX};
        pthread_t t[2];
        for (int i = 0; i < 2; i++) CHECK(pthread_create(&t[i], NULL, another_runtime, &s) == 0);
        for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
        CHECK_EQ(s.sum, 80);
    }
}

/* ---- what is known of it -------------------------------------------------------------------------------- */

static char reported[4000];
static void keep_report(void *arg, const char *text) {
    (void)arg;
    snprintf(reported, sizeof reported, "%s", text);
}

typedef struct pair {
    weft_mutex *first, *second;
} pair;
static int takes_both(pair p);
WEFT_TASK(takes_both, int, pair);
static int takes_both(pair p) {
    CHECK(weft_ok(weft_mutex_lock(p.first)));
    CHECK(weft_ok(weft_sleep(weft_ms(1))));
    weft_exit e = weft_mutex_lock(p.second);
    if (weft_ok(e)) weft_mutex_unlock(p.second);
    weft_mutex_unlock(p.first);
    return weft_ok(e);
}
static void crosswise(void *arg) {
    static weft_mutex a, b;
    takes_both_fiber f, g;
    (void)arg;
    CHECK(weft_ok(weft_spawn(&f, takes_both, &a, &b)));
    CHECK(weft_ok(weft_spawn(&g, takes_both, &b, &a)));
    weft_await(f, takes_both, NULL);
    weft_await(g, takes_both, NULL);
    weft_drop(f);
    weft_drop(g);
}
TEST(a_deadlock_report_names_the_ring) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        *reported = 0;
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = workers, .clock = WEFT_CLOCK_AUTO, .on_report = keep_report), crosswise, NULL),
                 WEFT_E_DEADLOCK);
        test_note("%.150s", strstr(reported, "ring") ? strstr(reported, "ring") : reported);
        CHECK(strstr(reported, "ring: ") && strstr(reported, "' awaits "));
        CHECK(strstr(reported, "waits for a mutex (0x") && strstr(reported, ") held by "));
        CHECK(strstr(reported, "holds 1 lock"));
        test_note(NULL);
    }
}

static void dumps(void *arg) {
    shared s = {.m = WEFT_MUTEX};
    counts_fiber f[2];
    char *text = NULL;
    size_t n;
    (void)arg;
    CHECK(weft_ok(weft_mutex_lock(&s.m)));
    for (int i = 0; i < 2; i++) CHECK(weft_ok(weft_spawn(&f[i], counts, &s)));
    CHECK(weft_ok(weft_sleep(weft_ms(5))));
    FILE *out = open_memstream(&text, &n);
    CHECK_EQ(weft_dump(out), WEFT_OK);
    fclose(out);
    CHECK_EQ(weft_mutex_unlock(&s.m), WEFT_OK);
    for (int i = 0; i < 2; i++) {
        CHECK(weft_ok(weft_await(f[i], counts, NULL)));
        weft_drop(f[i]);
    }
    CHECK(strstr(text, "held by "));
    CHECK(strstr(text, "holds 1 lock"));
    free(text);
}
TEST(a_dump_says_who_holds_what) { on_clock(WEFT_CLOCK_AUTO, dumps); }

static int forgets(shared *s);
WEFT_TASK(forgets, int, shared_ref);
static int forgets(shared *s) {
    weft_mutex_lock(&s->m);
    return 0;
}
static void forgetful(void *arg) {
    shared s = {.m = WEFT_MUTEX};
    forgets_fiber f;
    (void)arg;
    weft_spawn(&f, forgets, &s);
    weft_await(f, forgets, NULL);
}
static void forgetful_child(void *arg) {
    shared s = {.m = WEFT_MUTEX};
    forgets_task t;
    (void)arg;
    weft_fork(&t, forgets, &s);
    weft_join(&t, forgets);
}
static void in_parallel(void *body) { weft_run(&WEFT_OPTIONS(.workers = 1), *(void (**)(void *))body, NULL); }
static void in_turn(void *body) { weft_run(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC), *(void (**)(void *))body, NULL); }
TEST(a_task_that_ends_with_a_lock_is_named) {
    void (*spawned)(void *) = forgetful, (*forked)(void *) = forgetful_child;
    EXPECT_DEATH(in_parallel, &spawned, SIGABRT, "task 'forgets'");
    EXPECT_DEATH(in_turn, &spawned, SIGABRT, "while it held a lock");
    EXPECT_DEATH(in_parallel, &forked, SIGABRT, "while it held a lock");
}

/* ---- fairness ------------------------------------------------------------------------------------------- */

static _Atomic bool over;
static long hogs(shared *s);
WEFT_TASK(hogs, long, shared_ref);
static long hogs(shared *s) {
    long n = 0;
    for (; !atomic_load(&over); n++) {
        weft_mutex_lock(&s->m);
        s->sum++;
        weft_mutex_unlock(&s->m);
    }
    return n;
}
static void crowd(void *arg) {
    shared s = {.m = WEFT_MUTEX};
    hogs_fiber f[4];
    long total = 0;
    (void)arg;
    atomic_store(&over, false);
    for (int i = 0; i < 4; i++) CHECK(weft_ok(weft_spawn(&f[i], hogs, &s)));
    CHECK(weft_ok(weft_sleep(weft_ms(300))));
    atomic_store(&over, true);
    for (int i = 0; i < 4; i++) {
        long n = 0;
        CHECK(weft_ok(weft_await(f[i], hogs, &n)));
        CHECK(n > 0);
        total += n;
        weft_drop(f[i]);
    }
    CHECK_EQ(total, s.sum);
}
TEST(nobody_starves_behind_those_who_come_back_at_once) { run_ends(&WEFT_OPTIONS(.workers = 2), crowd, NULL, WEFT_OK); }

TEST_MAIN
