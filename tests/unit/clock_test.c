/* Clocks, one that is advanced, one that jumps, the real one; sleeping, timeouts and deadlines on each.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/heap.h"
#include "alloc/os.h"
#include "alloc/san.h"
#include "sched/worker.h"
#include <pthread.h>
#include <stdatomic.h>
#include <weft/promise.h>
#include <weft/scope.h>

static const unsigned worker_counts[] = {1, 2, 4};

/* Once for each number of workers, on a runtime that stays open; nothing is left behind. */
static void on_each_size(weft_clock clock, void (*use)(weft_runtime *rt)) {
    for (unsigned i = 0; i < 3; i++) {
        uint64_t before = weft__heap_live();
        weft_runtime *rt;
        CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = worker_counts[i], .clock = clock), &rt), WEFT_OK);
        use(rt);
        CHECK_EQ(weft_close(rt), WEFT_OK);
        CHECK_EQ(weft__heap_live(), before);
    }
}

static void run_each_size(weft_clock clock, void (*body)(void *)) {
    for (unsigned i = 0; i < 3; i++) {
        uint64_t before = weft__heap_live();
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = worker_counts[i], .clock = clock), body, NULL), WEFT_OK);
        CHECK_EQ(weft__heap_live(), before);
    }
}

static void wait_for_pending(weft_runtime *rt, size_t n) {
    while (weft_clock_pending(rt) != n) weft__os_yield();
}

/* ---- what woke when ----------------------------------------------------------------------------------- */

enum { LOG_MOST = 2000 };
typedef struct entry {
    int who;
    weft_time at;
} entry;
static entry log_of[LOG_MOST];
static _Atomic int logged;

static void note(int who) {
    int i = atomic_fetch_add(&logged, 1);
    CHECK(i < LOG_MOST);
    log_of[i] = (entry){who, weft_now()};
}

typedef struct nap {
    weft_duration d;
    int who, times;
} nap;

static long sleeper(nap n);
WEFT_TASK(sleeper, long, nap);
static long sleeper(nap n) {
    for (int i = 0; i < n.times; i++) {
        weft_time want = weft_now() + n.d;
        CHECK(weft_ok(weft_sleep(n.d)));
        CHECK_EQ(weft_now(), want);
        note(n.who);
    }
    return 0;
}

static void start(weft_runtime *rt, weft_duration d, int who, int times) {
    weft_spawn_options o = {.runtime = rt};
    CHECK(weft_ok(weft_spawn_with((sleeper_fiber *)NULL, sleeper, o, .d = d, .who = who, .times = times)));
}

/* ---- manual ------------------------------------------------------------------------------------------- */

static void order(weft_runtime *rt) {
    atomic_store(&logged, 0);
    static const weft_duration ds[] = {30, 10, 20, 10, 30, 5};
    for (int i = 0; i < 6; i++) { /* one after the other, so that the order of going to sleep is known */
        start(rt, weft_ms(ds[i]), i, 1);
        wait_for_pending(rt, (size_t)i + 1);
    }
    CHECK(weft_ok(weft_clock_advance(rt, weft_ms(4))));
    CHECK_EQ(atomic_load(&logged), 0);
    CHECK(weft_ok(weft_clock_advance(rt, weft_ms(96))));
    CHECK_EQ(atomic_load(&logged), 6);
    static const int want[] = {5, 1, 3, 2, 0, 4};
    for (int i = 0; i < 6; i++) {
        CHECK_EQ(log_of[i].who, want[i]);
        CHECK_EQ(log_of[i].at, weft_ms(ds[want[i]]));
    }
    CHECK_EQ(weft_clock_pending(rt), 0);
}
TEST(sleepers_wake_by_deadline_then_by_their_going_to_sleep) { on_each_size(WEFT_CLOCK_MANUAL, order); }

static void again(weft_runtime *rt) {
    atomic_store(&logged, 0);
    start(rt, weft_ms(10), 0, 10);
    wait_for_pending(rt, 1);
    start(rt, weft_ms(25), 1, 4);
    wait_for_pending(rt, 2);
    CHECK(weft_ok(weft_clock_advance(rt, weft_ms(100))));
    CHECK_EQ(atomic_load(&logged), 14); /* those too that are due at the very end */
    weft_time last = 0;
    int by[2] = {0, 0};
    for (int i = 0; i < 14; i++) {
        CHECK(log_of[i].at >= last);
        last = log_of[i].at;
        by[log_of[i].who]++;
        CHECK_EQ(log_of[i].at, by[log_of[i].who] * (log_of[i].who ? weft_ms(25) : weft_ms(10)));
    }
}
TEST(who_sleeps_again_inside_an_advance_is_woken_inside_it) { on_each_size(WEFT_CLOCK_MANUAL, again); }

static void read_now(void *arg) { *(weft_time *)arg = weft_now(); }
static void steps(weft_runtime *rt) {
    weft_time now = -1;
    CHECK_EQ(weft_call(rt, read_now, &now), WEFT_OK);
    CHECK_EQ(now, 0);
    for (int i = 1; i <= 100; i++) {
        CHECK(weft_ok(weft_clock_advance(rt, 7)));
        CHECK_EQ(weft_call(rt, read_now, &now), WEFT_OK);
        CHECK_EQ(now, 7 * i);
    }
    CHECK(weft_ok(weft_clock_advance(rt, 0)));
    CHECK_EQ(weft_call(rt, read_now, &now), WEFT_OK);
    CHECK_EQ(now, 700);
}
TEST(time_is_what_the_advances_add_up_to) { on_each_size(WEFT_CLOCK_MANUAL, steps); }

/* Each tenth second one more; woken fibers make work for others, which is over before time goes on. */
static _Atomic long work_done;
static long piece(long depth);
WEFT_TASK(piece, long, long);
static long piece(long depth) {
    if (depth == 0) return atomic_fetch_add(&work_done, 1), 0;
    piece_task left;
    piece_fiber right;
    weft_fork(&left, piece, depth - 1);
    CHECK(weft_ok(weft_spawn(&right, piece, depth - 1)));
    weft_yield();
    weft_await(right, piece, NULL);
    weft_drop(right);
    return weft_join(&left, piece);
}
static long worker_task(long n);
WEFT_TASK(worker_task, long, long);
static long worker_task(long n) {
    for (long i = 1; i <= n; i++) {
        CHECK(weft_ok(weft_sleep(weft_ms(100))));
        long before = atomic_load(&work_done);
        piece(5);
        CHECK_EQ(atomic_load(&work_done), before + 32);
        CHECK_EQ(weft_now(), i * weft_ms(100));
    }
    return 0;
}
static void rest_between(weft_runtime *rt) {
    atomic_store(&work_done, 0);
    CHECK(weft_ok(weft_spawn_with((worker_task_fiber *)NULL, worker_task, ((weft_spawn_options){.runtime = rt}), 20)));
    wait_for_pending(rt, 1);
    CHECK(weft_ok(weft_clock_advance(rt, weft_s(2))));
    CHECK_EQ(atomic_load(&work_done), 20 * 32);
}
TEST(time_stands_still_while_what_was_woken_works) { on_each_size(WEFT_CLOCK_MANUAL, rest_between); }

static void advance_inside(void *arg) {
    (void)arg;
    atomic_store(&logged, 0);
    for (int i = 0; i < 5; i++)
        CHECK(weft_ok(weft_spawn((sleeper_fiber *)NULL, sleeper, .d = weft_ms(50 - 10 * i), .who = i, .times = 1)));
    CHECK(weft_ok(weft_clock_advance(NULL, weft_ms(30)))); /* waits first until all of them sleep */
    CHECK_EQ(atomic_load(&logged), 3);
    CHECK_EQ(weft_now(), weft_ms(30));
    CHECK(weft_ok(weft_clock_advance(NULL, weft_ms(20))));
    CHECK_EQ(atomic_load(&logged), 5);
    for (int i = 0; i < 5; i++) CHECK_EQ(log_of[i].who, 4 - i);
}
TEST(a_fiber_advances_its_own_runtime) { run_each_size(WEFT_CLOCK_MANUAL, advance_inside); }

/* Many go to sleep while the clock is advanced, in small steps: each wakes exactly once and never late. */
enum { COMERS = 300 };
static void *come(void *rt) {
    for (int i = 0; i < COMERS; i++) start(rt, weft_ms(1 + i % 7), i, 2);
    return NULL;
}
static void concurrent(weft_runtime *rt) {
    atomic_store(&logged, 0);
    pthread_t t;
    pthread_create(&t, NULL, come, rt);
    for (int i = 0; i < 200; i++) CHECK(weft_ok(weft_clock_advance(rt, weft_ms(1) / 4)));
    pthread_join(t, NULL);
    CHECK(weft_ok(weft_clock_advance(rt, weft_ms(100))));
    CHECK_EQ(atomic_load(&logged), 2 * COMERS);
    for (int i = 1; i < 2 * COMERS; i++) CHECK(log_of[i].at >= log_of[i - 1].at);
    CHECK_EQ(weft_clock_pending(rt), 0);
}
TEST(who_goes_to_sleep_while_time_goes_on_is_not_lost) { on_each_size(WEFT_CLOCK_MANUAL, concurrent); }

/* ---- what else follows a virtual clock ---------------------------------------------------------------- */

static weft_exit wait_long(void *arg) {
    (void)arg;
    return weft_sleep(weft_s(3600));
}
static long everything_timed(long x);
WEFT_TASK(everything_timed, long, long);
static long everything_timed(long x) {
    weft_promise never = WEFT_PROMISE;
    weft_time at = weft_now();
    weft_exit e = weft_promise_await_for(&never, NULL, weft_ms(100));
    CHECK(e.tag == WEFT_EXIT_FAIL && e.code == WEFT_E_TIMEOUT);
    CHECK_EQ(weft_now(), at += weft_ms(100));

    e = weft_promise_await_until(&never, NULL, at + weft_ms(50));
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_now(), at += weft_ms(50));

    sleeper_fiber f;
    CHECK(weft_ok(weft_spawn(&f, sleeper, .d = weft_s(1), .who = 7, .times = 1)));
    e = weft_await_for(f, sleeper, NULL, weft_ms(400));
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_now(), at += weft_ms(400));
    CHECK(weft_ok(weft_await(f, sleeper, NULL)));
    CHECK_EQ(weft_now(), at += weft_ms(600));
    weft_drop(f);

    e = weft_timeout(weft_ms(30), wait_long, NULL);
    CHECK(e.tag == WEFT_EXIT_FAIL && e.code == WEFT_E_TIMEOUT);
    CHECK_EQ(weft_now(), at += weft_ms(30));

    WEFT_SCOPE(s, &e, .deadline = at + weft_ms(20)) {
        CHECK_EQ(weft_deadline(), at + weft_ms(20));
        CHECK(!weft_ok(weft_sleep(weft_s(1))));
    }
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_now(), at += weft_ms(20));

    WEFT_SCOPE(s, &e, .timeout = weft_ms(20), .grace = weft_ms(5)) {
        CHECK(weft_ok(weft_sleep(weft_ms(19))));
        CHECK(!weft_stopping());
        CHECK(weft_ok(weft_sleep(weft_ms(2))));
        CHECK(weft_stopping());
        CHECK(!weft_ok(weft_sleep(weft_s(1))));
    }
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_now(), at += weft_ms(25));
    return x;
}

/* Interrupted after a grace on the runtime's clock. */
static long patient(long x);
WEFT_TASK(patient, long, long);
static long patient(long x) {
    CHECK(!weft_ok(weft_sleep(WEFT_FOREVER)));
    CHECK_EQ(weft_now(), weft_s(5));
    return x;
}

static void timed_manual(weft_runtime *rt) {
    everything_timed_fiber f;
    CHECK(weft_ok(weft_spawn_with(&f, everything_timed, ((weft_spawn_options){.runtime = rt}), 1)));
    CHECK(weft_ok(weft_clock_advance(rt, weft_s(2))));
    CHECK(weft_is_done(f));
    weft_drop(f);
    patient_fiber p;
    CHECK(weft_ok(weft_spawn_with(&p, patient, ((weft_spawn_options){.runtime = rt}), 1)));
    CHECK_EQ(weft_interrupt_grace(p, "time to go", weft_s(3)), WEFT_OK);
    CHECK(weft_ok(weft_clock_advance(rt, weft_s(3) - 1)));
    CHECK(!weft_is_done(p));
    CHECK(weft_ok(weft_clock_advance(rt, 1)));
    CHECK(weft_is_done(p));
    CHECK_EQ(weft_fiber_status(p.handle), WEFT_STATUS_CANCELLED);
    weft_drop(p);
}
TEST(timeouts_deadlines_and_graces_follow_the_manual_clock) { on_each_size(WEFT_CLOCK_MANUAL, timed_manual); }

static void timed_auto(void *arg) {
    (void)arg;
    everything_timed(1);
}
TEST(timeouts_deadlines_and_graces_follow_the_automatic_clock) { run_each_size(WEFT_CLOCK_AUTO, timed_auto); }

/* ---- refusals ----------------------------------------------------------------------------------------- */

static _Atomic bool release;
static _Atomic int spinning;
static long busy_bee(long x);
WEFT_TASK(busy_bee, long, long);
static long busy_bee(long x) {
    atomic_fetch_add(&spinning, 1);
    while (!atomic_load(&release)) weft__os_yield();
    return x;
}

/* The one who comes first waits for the bee, which is released by the refusal of the other one. */
static _Atomic int refused;
static void *advance_it(void *rt) {
    weft_exit e = weft_clock_advance(rt, weft_s(1));
    if (e.code != WEFT_E_TWICE) {
        CHECK(weft_ok(e));
        return NULL;
    }
    atomic_fetch_add(&refused, 1);
    atomic_store(&release, true);
    return NULL;
}
static void two_advancers(weft_runtime *rt) {
    pthread_t t;
    atomic_store(&release, false);
    atomic_store(&spinning, 0);
    atomic_store(&refused, 0);
    CHECK(weft_ok(weft_spawn_with((busy_bee_fiber *)NULL, busy_bee, ((weft_spawn_options){.runtime = rt}), 1)));
    while (!atomic_load(&spinning)) weft__os_yield();
    pthread_create(&t, NULL, advance_it, rt);
    advance_it(rt);
    pthread_join(t, NULL);
    CHECK_EQ(atomic_load(&refused), 1);
}
TEST(one_at_a_time_advances_a_clock) { on_each_size(WEFT_CLOCK_MANUAL, two_advancers); }

static void bad_advances(weft_runtime *rt) {
    weft_exit e = weft_clock_advance(rt, -1);
    CHECK(e.tag == WEFT_EXIT_FAIL && e.code == WEFT_E_INVALID);
    CHECK(weft_ok(weft_clock_advance(rt, weft_s(1))));
    CHECK_EQ(weft_clock_advance(rt, WEFT_FOREVER - weft_ms(1)).code, WEFT_E_INVALID);
    CHECK_EQ(weft_clock_advance(NULL, 1).code, WEFT_E_INVALID); /* no runtime here */
    CHECK_EQ(weft_clock_pending(NULL), 0);
    weft_time now;
    CHECK_EQ(weft_call(rt, read_now, &now), WEFT_OK);
    CHECK_EQ(now, weft_s(1));
}
TEST(a_negative_or_too_long_advance_is_invalid) {
    on_each_size(WEFT_CLOCK_MANUAL, bad_advances);
    weft_runtime *rt;
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 1, .clock = WEFT_CLOCK_MANUAL), &rt), WEFT_OK);
    CHECK_EQ(weft_close(rt), WEFT_OK);
    CHECK_EQ(weft_clock_advance(rt, 1).code, WEFT_E_CLOSED);
}

static void wrong_mode(weft_runtime *rt) { CHECK_EQ(weft_clock_advance(rt, 1).code, WEFT_E_MODE); }
TEST(only_a_manual_clock_is_advanced) {
    on_each_size(WEFT_CLOCK_REAL, wrong_mode);
    on_each_size(WEFT_CLOCK_AUTO, wrong_mode);
}

static void bad_sleeps(void *arg) {
    (void)arg;
    weft_exit e = weft_sleep(-1);
    CHECK(e.tag == WEFT_EXIT_FAIL && e.code == WEFT_E_INVALID);
    weft_promise p = WEFT_PROMISE;
    CHECK_EQ(weft_promise_await_for(&p, NULL, -1).code, WEFT_E_INVALID);
    CHECK(weft_ok(weft_sleep(0)));
    CHECK(weft_ok(weft_sleep(1)));
    CHECK_EQ(weft_sleep(WEFT_FOREVER - 1).code, WEFT_E_INVALID); /* the deadline does not fit */
    CHECK(weft_ok(weft_sleep_until(0)));
    CHECK(weft_ok(weft_sleep_until(-5)));
    CHECK_EQ(weft_wall_wait_until(0).code, WEFT_E_MODE);
}
TEST(durations_that_make_no_sense_are_invalid) { run_each_size(WEFT_CLOCK_AUTO, bad_sleeps); }

static void busy(weft_runtime *rt) {
    static const char *const name = "bee";
    atomic_store(&release, false);
    atomic_store(&spinning, 0);
    weft_spawn_options o = {.runtime = rt, .name = name};
    CHECK(weft_ok(weft_spawn_with((busy_bee_fiber *)NULL, busy_bee, o, 1)));
    while (!atomic_load(&spinning)) weft__os_yield();
    weft_exit e = weft_clock_advance(rt, weft_s(1));
    CHECK(e.tag == WEFT_EXIT_FAIL && e.code == WEFT_E_BUSY);
    CHECK(e.cause && strstr(e.cause->text, "'bee' runs"));
    weft_exit_drop(e);
    atomic_store(&release, true);
    CHECK(weft_ok(weft_clock_advance(rt, weft_s(1))));
}
TEST(what_keeps_a_clock_from_going_on_is_named) { on_each_size(WEFT_CLOCK_MANUAL, busy); }

static void busy_outside(weft_runtime *rt) {
    weft_promise p;
    CHECK_EQ(weft_promise_external(&p, rt), WEFT_OK);
    weft_exit e = weft_clock_advance(rt, weft_s(1));
    CHECK_EQ(e.code, WEFT_E_BUSY);
    CHECK(e.cause && strstr(e.cause->text, "announced work outside"));
    weft_exit_drop(e);
    weft_time now = -1;
    CHECK_EQ(weft_call(rt, read_now, &now), WEFT_OK);
    CHECK_EQ(now, 0); /* it stayed where it was */
    CHECK_EQ(weft_promise_complete(&p, NULL), WEFT_OK);
    CHECK(weft_ok(weft_clock_advance(rt, weft_s(1))));
}
TEST(announced_work_outside_keeps_a_clock_from_going_on) { on_each_size(WEFT_CLOCK_MANUAL, busy_outside); }

static long advancer(long x);
WEFT_TASK(advancer, long, long);
static long advancer(long x) {
    weft_exit e = weft_clock_advance(NULL, weft_s(1));
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    return x;
}
static void give_up_advance(void *arg) {
    (void)arg;
    weft_promise p;
    advancer_fiber f;
    CHECK_EQ(weft_promise_external(&p, NULL), WEFT_OK);
    CHECK(weft_ok(weft_spawn(&f, advancer, 1)));
    while (weft_fiber_status(f.handle) != WEFT_STATUS_SUSPENDED) weft_yield();
    CHECK_EQ(weft_clock_advance(NULL, 1).code, WEFT_E_TWICE);
    CHECK(weft_ok(weft_interrupt(f, "never mind")));
    weft_drop(f);
    weft_promise_complete(&p, NULL);
    CHECK(weft_ok(weft_clock_advance(NULL, weft_s(1))));
    CHECK_EQ(weft_now(), weft_s(1));
}
TEST(an_interrupted_advance_is_given_up) { run_each_size(WEFT_CLOCK_MANUAL, give_up_advance); }

/* ---- automatic ---------------------------------------------------------------------------------------- */

static void day(void *arg) {
    (void)arg;
    int64_t began = weft__os_now();
    for (int i = 0; i < 24 * 60; i++) CHECK(weft_ok(weft_sleep(weft_s(60))));
    CHECK_EQ(weft_now(), weft_s(24 * 60 * 60));
    CHECK(weft__os_now() - began < weft_s(20));
}
TEST(a_day_of_sleep_takes_no_time) { run_each_size(WEFT_CLOCK_AUTO, day); }

static void auto_order(void *arg) {
    (void)arg;
    atomic_store(&logged, 0);
    WEFT_SCOPE(s, NULL) {
        for (int i = 0; i < 100; i++)
            CHECK(weft_ok(weft_spawn((sleeper_fiber *)NULL, sleeper, weft_s(1 + i * 37 % 100), i, 1)));
    }
    CHECK_EQ(atomic_load(&logged), 100);
    for (int i = 0; i < 100; i++) CHECK_EQ(log_of[i].at, weft_s(1 + i));
    CHECK_EQ(weft_now(), weft_s(100));
}
TEST(an_automatic_clock_wakes_in_order) { run_each_size(WEFT_CLOCK_AUTO, auto_order); }

static void computes(void *arg) {
    (void)arg;
    atomic_store(&logged, 0);
    CHECK(weft_ok(weft_spawn((sleeper_fiber *)NULL, sleeper, .d = 1, .who = 0, .times = 1)));
    int64_t until = weft__os_now() + weft_ms(20);
    while (weft__os_now() < until) {
        if (weft__os_now() % 2) weft_yield();
        CHECK_EQ(weft_now(), 0);
        CHECK_EQ(atomic_load(&logged), 0);
    }
    CHECK(weft_ok(weft_sleep(2)));
    CHECK_EQ(atomic_load(&logged), 1);
}
TEST(an_automatic_clock_stands_still_while_anything_runs) { run_each_size(WEFT_CLOCK_AUTO, computes); }

/* The helper looks at the clock long after everybody sleeps. */
static void *look_outside(void *arg, weft_offload_call *call) {
    (void)call;
    weft_runtime *rt = arg;
    while (weft_clock_pending(rt) == 0) weft__os_yield();
    int64_t until = weft__os_now() + weft_ms(20);
    while (weft__os_now() < until) weft__os_yield();
    return (void *)(uintptr_t)(atomic_load(&logged) == 0);
}
static long calls_out(weft_runtime *rt);
WEFT_TASK(calls_out, long, weft_runtime *);
static long calls_out(weft_runtime *rt) {
    void *still = NULL;
    CHECK(weft_ok(weft_offload(look_outside, rt, &still, NULL)));
    CHECK(still != NULL);
    CHECK_EQ(weft_now(), 0);
    return 0;
}
static void *complete_later(void *p) {
    int64_t until = weft__os_now() + weft_ms(20);
    while (weft__os_now() < until) weft__os_yield();
    CHECK_EQ(atomic_load(&logged), 0);
    CHECK_EQ(weft_promise_complete(p, p), WEFT_OK);
    return NULL;
}
static void no_jump_over_offload(weft_runtime *rt) {
    atomic_store(&logged, 0);
    start(rt, weft_s(1), 0, 1); /* jumps before the call goes out are harmless: */
    while (!atomic_load(&logged)) weft__os_yield();
    (void)rt;
}
static void outside(void *arg) {
    weft_runtime *rt = *(weft_runtime **)arg;
    weft_promise p;
    pthread_t t;
    void *value = NULL;
    atomic_store(&logged, 0);
    CHECK_EQ(weft_promise_external(&p, NULL), WEFT_OK);
    CHECK(weft_ok(weft_spawn((sleeper_fiber *)NULL, sleeper, .d = 1, .who = 0, .times = 1)));
    pthread_create(&t, NULL, complete_later, &p);
    CHECK(weft_ok(weft_promise_await(&p, &value)));
    CHECK(value == &p);
    CHECK_EQ(weft_now(), 0);
    pthread_join(t, NULL);
    CHECK(weft_ok(weft_sleep(5)));
    CHECK_EQ(atomic_load(&logged), 1);
    (void)rt;
}
static void offloads(void *arg) {
    weft_runtime *rt = *(weft_runtime **)arg;
    atomic_store(&logged, 0);
    calls_out_fiber f;
    CHECK(weft_ok(weft_spawn(&f, calls_out, rt)));
    CHECK(weft_ok(weft_spawn((sleeper_fiber *)NULL, sleeper, .d = 1, .who = 0, .times = 1)));
    CHECK(weft_ok(weft_await(f, calls_out, NULL)));
    CHECK_EQ(weft_now(), 0);
    weft_drop(f);
}
static void no_jump(weft_runtime *rt) {
    CHECK_EQ(weft_call(rt, offloads, &rt), WEFT_OK);
    no_jump_over_offload(rt);
}
TEST(an_automatic_clock_waits_for_an_offload) { on_each_size(WEFT_CLOCK_AUTO, no_jump); }
static void no_jump_2(weft_runtime *rt) { CHECK_EQ(weft_call(rt, outside, &rt), WEFT_OK); }
TEST(an_automatic_clock_waits_for_an_external_promise) { on_each_size(WEFT_CLOCK_AUTO, no_jump_2); }

/* ---- real --------------------------------------------------------------------------------------------- */

static long real_sleeper(weft_duration d);
WEFT_TASK(real_sleeper, long, weft_duration);
static long real_sleeper(weft_duration d) {
    weft_time before = weft_now();
    CHECK(weft_ok(weft_sleep(d)));
    CHECK(weft_now() - before >= d);
    return 0;
}
static void never_early(void *arg) {
    (void)arg;
    WEFT_SCOPE(s, NULL)
        for (int i = 0; i < 300; i++)
            CHECK(weft_ok(weft_spawn((real_sleeper_fiber *)NULL, real_sleeper, weft_us(1 + i * 53 % 5000))));
}
TEST(real_sleeps_are_never_too_short) { run_each_size(WEFT_CLOCK_REAL, never_early); }

static long last_forever(long x);
WEFT_TASK(last_forever, long, long);
static long last_forever(long x) {
    weft_exit e = weft_sleep(WEFT_FOREVER);
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(weft_sleep_until(WEFT_FOREVER).tag, WEFT_EXIT_INTERRUPT);
    return x;
}
static void past_and_forever(void *arg) {
    (void)arg;
    weft_time before = weft_now();
    CHECK(weft_ok(weft_sleep_until(before - weft_s(100))));
    CHECK(weft_ok(weft_sleep_until(before)));
    CHECK(weft_ok(weft_wall_wait_until(weft_wall_now() - 1)));
    CHECK(weft_now() - before < weft_s(5));
    last_forever_fiber f;
    CHECK(weft_ok(weft_spawn(&f, last_forever, 1)));
    while (weft_fiber_status(f.handle) != WEFT_STATUS_SUSPENDED) weft_yield();
    CHECK_EQ(weft_clock_pending(NULL), 0);
    CHECK(weft_ok(weft_interrupt(f, NULL)));
    CHECK_EQ(weft_await(f, last_forever, NULL).code, WEFT_E_CANCELLED);
    weft_drop(f);
    int64_t wall = weft_wall_now() + weft_ms(5);
    CHECK(weft_ok(weft_wall_wait_until(wall)));
    CHECK(weft_wall_now() >= wall);
}
TEST(a_time_in_the_past_is_over_and_forever_is_until_interrupted) { run_each_size(WEFT_CLOCK_REAL, past_and_forever); }

TEST(a_plain_thread_sleeps_as_well) {
    int64_t before = weft__os_now(), wall = weft_wall_now() + weft_ms(3);
    CHECK(weft_ok(weft_sleep(weft_ms(2))));
    CHECK(weft__os_now() - before >= weft_ms(2));
    CHECK(weft_ok(weft_sleep_until(weft_now() + weft_ms(1))));
    CHECK(weft_ok(weft_wall_wait_until(wall)));
    CHECK(weft_wall_now() >= wall);
    CHECK_EQ(weft_sleep(-1).code, WEFT_E_INVALID);
}

/* A worker that computes is asked by the monitor to serve its timers, at its polls. */
static _Atomic bool woken;
static long wakes_up(weft_duration d);
WEFT_TASK(wakes_up, long, weft_duration);
static long wakes_up(weft_duration d) {
    CHECK(weft_ok(weft_sleep(d)));
    atomic_store(&woken, true);
    return 0;
}
static long empty(long x);
WEFT_TASK(empty, long, long);
static long empty(long x) { return x; }

static void checkpoints(void *arg) {
    weft_exit e;
    bool fork = *(bool *)arg;
    int64_t began = weft_now();
    WEFT_SCOPE(s, &e, .timeout = weft_ms(20)) {
        CHECK(weft_ok(weft_checkpoint()));
        while (weft_ok(weft_checkpoint())) {
            if (!fork) continue;
            empty_task t;
            weft_fork(&t, empty, 1);
            weft_join(&t, empty);
        }
    }
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK(weft_now() - began >= weft_ms(20));
    CHECK(weft_now() - began < weft_s(5));
}
TEST(deadlines_pass_while_the_only_worker_computes_with_polls) {
    for (int fork = 0; fork < 2; fork++) {
        bool with = fork;
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), checkpoints, &with), WEFT_OK);
    }
}

static void polls(void *arg) {
    (void)arg;
    atomic_store(&woken, false);
    CHECK(weft_ok(weft_spawn((wakes_up_fiber *)NULL, wakes_up, weft_ms(5))));
    weft_yield();
    int64_t until = weft__os_now() + weft_s(10);
    while (weft_clock_pending(NULL) && weft__os_now() < until) {
        empty_task t;
        weft_fork(&t, empty, 1);
        weft_join(&t, empty);
    }
    CHECK_EQ(weft_clock_pending(NULL), 0); /* it has fired: who slept is ready */
    weft_yield(); /* wherever it was made ready, public or not, it is this worker's to run */
    CHECK(atomic_load(&woken));
}
TEST(fork_and_join_serve_the_timers_of_a_worker_that_computes) {
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), polls, NULL), WEFT_OK);
}

static void no_polls(void *arg) {
    (void)arg;
    if (WEFT__RARE) return; /* who serves the timer sends what it wakes back to this worker */
    atomic_store(&woken, false);
    CHECK(weft_ok(weft_spawn((wakes_up_fiber *)NULL, wakes_up, weft_ms(20))));
    weft_yield(); /* it sleeps, on this worker's wheel or on another's */
    int64_t until = weft__os_now() + weft_s(10);
    while (!atomic_load(&woken) && weft__os_now() < until) {}
    CHECK(atomic_load(&woken));
}
TEST(another_worker_serves_the_timers_of_one_that_computes_without_polls) {
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 2), no_polls, NULL), WEFT_OK);
}

TEST_MAIN
