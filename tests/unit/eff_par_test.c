/* Effect values at once, and asked to stop: parallel effects, timeouts, interrupts, what is done all the same.
 *
 * Each body runs on one worker, on two, and on the deterministic executor under several schedules, on a virtual clock.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/eff_values.h"

#define AUTO(name)                                                                           \
    static void body_##name(void *arg);                                                      \
    TEST(name) { on_clock(WEFT_CLOCK_AUTO, body_##name); }                                   \
    static void body_##name(void *arg)

#define RUN weft_run_effect
#define CHECK_LONG(e, value)                                                                 \
    do {                                                                                     \
        long got_ = -12345;                                                                  \
        CHECK_OK(RUN(e, &got_));                                                             \
        CHECK_EQ(got_, (value));                                                             \
    } while (0)
#define CHECK_ENDS(e, tag_, code_)                                                           \
    do {                                                                                     \
        weft_exit end_ = RUN(e, NULL);                                                       \
        CHECK_EQ(end_.tag, (tag_));                                                          \
        CHECK_EQ(end_.code, (code_));                                                        \
    } while (0)
#define NAP(ms) weft_eff_call(eff_long, nap, (ms))
#define HALF(ms) weft_eff_map(eff_double, NAP(ms), half)
#define MS (weft_now() / weft_ms(1))

/* ---- at once -------------------------------------------------------------------------------------- */

AUTO(zip_par_gives_both_values_after_the_longer_of_the_two) {
    pair p = {0, 0};
    (void)arg;
    forget();
    CHECK_OK(RUN(weft_eff_zip_par(eff_pair, HALF(20), NAP(30)), &p));
    CHECK(p.first == 10 && p.second == 30);
    CHECK_EQ(MS, 30);
    CHECK_OK(RUN(weft_eff_zip(eff_pair, HALF(20), NAP(30)), &p));
    CHECK_EQ(MS, 80);
}

AUTO(the_first_failure_of_zip_par_stops_the_other) {
    (void)arg;
    forget();
    eff_long late = weft_eff_flat_map(eff_long, NAP(10), next_even), fails = weft_eff_flat_map(eff_long, NAP(5), next_even);
    CHECK_ENDS(weft_eff_zip_par(eff_pair, HALF(1000), fails), WEFT_EXIT_FAIL, 300);
    CHECK_EQ(MS, 5);
    CHECK_EQ(stopped, 1);
    CHECK_LONG(late, 10); /* and who ran it was not stopped */
    eff_double dying = weft_eff_map(eff_double, weft_eff_call(eff_long, dies, 1), half);
    CHECK_ENDS(weft_eff_zip_par(eff_pair, dying, NAP(1)), WEFT_EXIT_DIE, 301);
}

AUTO(a_race_is_won_by_the_first_and_any_by_the_first_value) {
    (void)arg;
    forget();
    CHECK_LONG(weft_eff_race(eff_long, NAP(30), NAP(10), NAP(20)), 10);
    CHECK_EQ(MS, 10);
    CHECK_EQ(stopped, 2);
    eff_long fails = weft_eff_flat_map(eff_long, NAP(5), next_even);
    CHECK_ENDS(weft_eff_race(eff_long, NAP(30), fails), WEFT_EXIT_FAIL, 300);
    CHECK_LONG(weft_eff_any(eff_long, fails, NAP(7), fails), 7);
    weft_exit e = RUN(weft_eff_any(eff_long, fails, FAIL(301)), NULL);
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK(weft_cause_has(e.cause, WEFT_CAUSE_BOTH));
}

AUTO(for_each_par_works_on_so_many_at_once_and_keeps_the_order) {
    long items[10], results[10] = {0};
    (void)arg;
    forget();
    for (int i = 0; i < 10; i++) items[i] = 10 + i % 2;
    CHECK_OK(RUN(weft_eff_for_each_par(items, 10, results, 5, next_nap), NULL));
    for (int i = 0; i < 10; i++) CHECK_EQ(results[i], items[i]);
    CHECK(MS == 21 || MS == 22);
    CHECK_OK(RUN(weft_eff_for_each_par_with(items, 10, results, 3, add, .n = 5), NULL));
    for (int i = 0; i < 10; i++) CHECK_EQ(results[i], items[i] + 5);
    weft_exit e = RUN(weft_eff_for_each_par(items, 10, results, 2, next_even), NULL);
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, 300);
    CHECK_ENDS(weft_eff_for_each_par(items, 10, results, -1, next_even), WEFT_EXIT_FAIL, WEFT_E_INVALID);
    CHECK_OK(RUN(weft_eff_for_each_par(items, 0, results, 1, next_even), NULL));
}

/* A tree of zip_pars of this depth, which counts its leaves. */
static long sum(pair p);
WEFT_TASK(sum, long, pair);
static long sum(pair p) { return (long)p.first + p.second; }
static double as_double(long n);
WEFT_TASK(as_double, double, long);
static double as_double(long n) { return (double)n; }

static eff_long add_both(weft_eff_arena *a, eff_long l, eff_long r) {
    return weft_eff_keep(eff_long, a,
                         weft_eff_map(eff_long, weft_eff_zip_par(eff_pair, weft_eff_map(eff_double, l, as_double), r), sum));
}
static eff_long tree(weft_eff_arena *a, long depth) {
    if (depth == 0) return weft_eff_keep(eff_long, a, SUCCEED(1));
    eff_long l = tree(a, depth - 1);
    return add_both(a, l, tree(a, depth - 1));
}

AUTO(parallel_effects_nest_deeper_than_a_stack) {
    weft_eff_arena a = {0};
    (void)arg;
    CHECK_LONG(tree(&a, 6), 64);
    eff_long left = SUCCEED(1), right = left, one = left;
    for (int i = 0; i < 300; i++) left = add_both(&a, left, one), right = add_both(&a, one, right);
    CHECK_LONG(left, 301);
    CHECK_LONG(right, 301);
    weft_eff_arena_close(&a);
}

/* ---- two who run the same ------------------------------------------------------------------------- */

static weft_promise begun;
static eff_long *shared;
static long runs_it(int n);
WEFT_TASK(runs_it, long, int);
static long runs_it(int n) {
    long got = -1;
    (void)n;
    CHECK_OK(RUN(*shared, &got));
    return got;
}

AUTO(the_same_effect_is_run_by_two_fibers_at_once) {
    (void)arg;
    forget();
    eff_long timed = weft_eff_timeout(eff_long, NAP(10), weft_ms(20));
    eff_long e = weft_eff_map(eff_long, weft_eff_retry(eff_long, timed, weft_schedule_recurs(2)), twice);
    shared = &e;
    runs_it_fiber a, b;
    long n = 0, m = 0;
    CHECK_OK(weft_spawn(&a, runs_it, 0));
    CHECK_OK(weft_spawn(&b, runs_it, 0));
    CHECK_OK(weft_await(a, runs_it, &n));
    CHECK_OK(weft_await(b, runs_it, &m));
    weft_drop(a);
    weft_drop(b);
    CHECK_EQ(n, 20);
    CHECK_EQ(m, 20);
    CHECK_EQ(MS, 10);
}

AUTO(a_memo_is_run_once_by_all_who_ask_at_once) {
    (void)arg;
    forget();
    eff_long_memo m = {.value = 0};
    eff_long e = weft_eff_memoise(eff_long, NAP(10), &m);
    pair p;
    CHECK_OK(RUN(weft_eff_zip_par(eff_pair, weft_eff_map(eff_double, e, half), weft_eff_map(eff_long, e, twice)), &p));
    CHECK(p.first == 5 && p.second == 20);
    CHECK_EQ(slept, 1);
    weft_eff_memo_drop(&m.memo);
}

AUTO(who_is_interrupted_leaves_nothing_in_a_memo) {
    (void)arg;
    forget();
    eff_long_memo m = {.value = 0};
    eff_long e = weft_eff_memoise(eff_long, NAP(10), &m);
    CHECK_ENDS(weft_eff_timeout(eff_long, e, weft_ms(5)), WEFT_EXIT_FAIL, WEFT_E_TIMEOUT);
    CHECK_LONG(e, 10);
    CHECK_EQ(slept, 1);
    weft_eff_memo_drop(&m.memo);
}

/* ---- time ----------------------------------------------------------------------------------------- */

AUTO(a_timeout_is_a_failure_of_its_own_after_cleaning_up) {
    (void)arg;
    forget();
    eff_long e = weft_eff_timeout(eff_long, weft_eff_ensuring(eff_long, NAP(100), MARK(1)), weft_ms(30));
    CHECK_ENDS(e, WEFT_EXIT_FAIL, WEFT_E_TIMEOUT);
    CHECK_EQ(MS, 30);
    CHECK_EQ(marks, 1);
    CHECK_EQ(stopped, 1);
    CHECK_OK(weft_checkpoint()); /* who ran it goes on */
    CHECK_LONG(weft_eff_timeout(eff_long, NAP(10), weft_ms(30)), 10);
    CHECK_EQ(MS, 40);
    CHECK_LONG(weft_eff_catch_all(eff_long, e, code_of), WEFT_E_TIMEOUT);
    CHECK_ENDS(weft_eff_timeout(eff_long, weft_eff_never(eff_long), weft_ms(1)), WEFT_EXIT_FAIL, WEFT_E_TIMEOUT);
    CHECK_ENDS(weft_eff_timeout(eff_long, NAP(1), -1), WEFT_EXIT_FAIL, WEFT_E_INVALID);
}

AUTO(of_nested_timeouts_the_earlier_one_holds) {
    (void)arg;
    forget();
    eff_long inner = weft_eff_catch_all(eff_long, weft_eff_timeout(eff_long, NAP(100), weft_ms(10)), code_of);
    CHECK_LONG(weft_eff_timeout(eff_long, inner, weft_ms(50)), WEFT_E_TIMEOUT);
    CHECK_EQ(MS, 10);
    inner = weft_eff_catch_all(eff_long, weft_eff_timeout(eff_long, NAP(100), weft_ms(50)), code_of);
    CHECK_ENDS(weft_eff_timeout(eff_long, inner, weft_ms(10)), WEFT_EXIT_FAIL, WEFT_E_TIMEOUT);
    CHECK_EQ(MS, 20);
}

AUTO(a_retry_sleeps_between_attempts_and_a_timeout_inside_is_tried_again) {
    (void)arg;
    forget();
    weft_schedule twice_more = weft_schedule_times(weft_schedule_spaced(weft_ms(5)), 2);
    eff_long e = weft_eff_retry(eff_long, weft_eff_timeout(eff_long, NAP(100), weft_ms(10)), twice_more);
    CHECK_ENDS(e, WEFT_EXIT_FAIL, WEFT_E_TIMEOUT);
    CHECK_EQ(MS, 40);
    CHECK_EQ(stopped, 3);
    CHECK_ENDS(weft_eff_timeout(eff_long, weft_eff_retry(eff_long, FAIL(300), weft_schedule_spaced(weft_ms(20))), weft_ms(50)),
               WEFT_EXIT_FAIL, WEFT_E_TIMEOUT); /* the delay is interrupted */
    CHECK_EQ(MS, 90);
}

AUTO(sleep_waits_and_gives_nothing) {
    (void)arg;
    CHECK_OK(RUN(weft_eff_sleep(weft_ms(7)), NULL));
    CHECK_EQ(MS, 7);
    CHECK_ENDS(weft_eff_sleep(-1), WEFT_EXIT_FAIL, WEFT_E_INVALID);
}

static eff_long note_twice(weft_eff_arena *a, long n);
WEFT_EFF_NEXT(note_twice, eff_long, long);
static eff_long note_twice(weft_eff_arena *a, long n) {
    mark(n);
    return weft_eff_keep(eff_long, a, SUCCEED(n));
}

/* ---- interrupts ----------------------------------------------------------------------------------- */

static weft_exit ended_as;
static long ended_at, gave;
static int run_shared(int n);
WEFT_TASK(run_shared, int, int);
static int run_shared(int n) {
    weft_promise_complete(&begun, NULL);
    gave = -1;
    ended_as = RUN(*shared, &gave);
    ended_at = (long)MS;
    if (ended_as.tag != WEFT_EXIT_INTERRUPT) ended_as.cause = NULL;
    return n;
}

/* Run e in a fiber, and interrupt it after so many ms. */
static weft_exit interrupted(eff_long e, long after) {
    run_shared_fiber f;
    shared = &e;
    weft_promise_init(&begun);
    CHECK_OK(weft_spawn(&f, run_shared, 0));
    CHECK_OK(weft_promise_await(&begun, NULL));
    CHECK_OK(weft_sleep(weft_ms(after)));
    CHECK_OK(weft_interrupt(f, "enough"));
    weft_exit x = weft_await(f, run_shared, NULL);
    weft_drop(f);
    return x;
}

AUTO(an_interrupted_run_cleans_up_masked_and_nothing_catches_it) {
    (void)arg;
    forget();
    eff_long cleans = weft_eff_flat_map(eff_long, NAP(10), note_twice);
    eff_long e = weft_eff_ensuring(eff_long, weft_eff_catch_all(eff_long, NAP(1000), code_of), cleans);
    CHECK_EQ(interrupted(e, 5).tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(ended_as.tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(ended_at, 15);
    CHECK_EQ(marks, 1); /* the finalizer slept, and was not interrupted */
    CHECK_EQ(marked[0], 10);
    CHECK_EQ(stopped, 1);
}

AUTO(on_interrupt_is_run_when_it_was_one) {
    (void)arg;
    forget();
    CHECK_EQ(interrupted(weft_eff_on_interrupt(eff_long, weft_eff_never(eff_long), MARK(3)), 5).tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(marks, 1);
}

static weft_exit give_back(long n, const weft_exit *e);
WEFT_EFF_FN(give_back, weft_exit, long, weft_exit);
static weft_exit give_back(long n, const weft_exit *e) {
    weft_exit x = weft_sleep(weft_ms(10));
    mark(n * 10 + (long)e->tag);
    return x;
}

AUTO(acquiring_is_not_interrupted_and_releasing_neither) {
    (void)arg;
    forget();
    eff_long e = weft_eff_acquire_release(eff_long, NAP(20), next_nap, give_back);
    CHECK_EQ(interrupted(e, 5).tag, WEFT_EXIT_INTERRUPT); /* while it acquires */
    CHECK_EQ(slept, 1);
    CHECK_EQ(ended_at, 30);
    CHECK_EQ(marks, 1);
    CHECK_EQ(marked[0], 200 + WEFT_EXIT_INTERRUPT);
    CHECK_EQ(interrupted(e, 25).tag, WEFT_EXIT_INTERRUPT); /* while it uses */
    CHECK_EQ(marked[1], 200 + WEFT_EXIT_INTERRUPT);
    CHECK_EQ(slept, 2);
}

AUTO(what_is_uninterruptible_ends_first_and_what_is_restored_does_not) {
    (void)arg;
    forget();
    eff_long e = weft_eff_uninterruptible(eff_long, NAP(20));
    eff_long then = weft_eff_flat_map(eff_long, e, next_nap);
    CHECK_EQ(interrupted(then, 5).tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(ended_at, 20);
    CHECK_EQ(slept, 1);
    eff_long restored = weft_eff_ensuring(eff_long, weft_eff_restore(eff_long, NAP(100)), MARK(1));
    eff_long part = weft_eff_uninterruptible(eff_long, restored);
    CHECK_EQ(interrupted(part, 5).tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(ended_at, 25);
    CHECK_EQ(marks, 1);
}

AUTO(branches_are_stopped_and_clean_up_before_the_run_ends) {
    (void)arg;
    forget();
    eff_double left = weft_eff_ensuring(eff_double, HALF(1000), weft_eff_flat_map(eff_long, NAP(10), note_twice));
    eff_long right = weft_eff_ensuring(eff_long, NAP(1000), weft_eff_flat_map(eff_long, NAP(20), note_twice));
    eff_long both = weft_eff_map(eff_long, weft_eff_zip_par(eff_pair, left, right), sum);
    CHECK_EQ(interrupted(both, 5).tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(ended_at, 25);
    CHECK_EQ(marks, 2);
}

static eff_long for_ever(weft_eff_arena *a, long n);
WEFT_EFF_NEXT(for_ever, eff_long, long);
static eff_long for_ever(weft_eff_arena *a, long n) {
    (void)a;
    (void)n;
    return *shared;
}

/* Nothing in it suspends. */
AUTO(a_run_without_an_end_lets_others_run_and_can_be_interrupted) {
    (void)arg;
    forget();
    eff_long e = weft_eff_flat_map(eff_long, SUCCEED(1), for_ever);
    run_shared_fiber f;
    shared = &e;
    weft_promise_init(&begun);
    CHECK_OK(weft_spawn(&f, run_shared, 0));
    CHECK_OK(weft_promise_await(&begun, NULL));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_interrupt(f, "enough"));
    CHECK_EQ(weft_await(f, run_shared, NULL).tag, WEFT_EXIT_INTERRUPT);
    weft_drop(f);
}

static run_shared_fiber counting;
static _Atomic long counted;
static long counts(long n);
WEFT_TASK(counts, long, long);
static long counts(long n) {
    if (++counted == 100) CHECK_OK(weft_interrupt_async(counting, "enough"));
    return n;
}

AUTO(a_long_chain_of_maps_notices_an_interrupt_on_its_way) {
    weft_eff_arena a = {0};
    (void)arg;
    counted = 0;
    eff_long e = weft_eff_keep(eff_long, &a, SUCCEED(0));
    for (int i = 0; i < 5000; i++) e = weft_eff_keep(eff_long, &a, weft_eff_map(eff_long, e, counts));
    shared = &e;
    weft_promise_init(&begun);
    CHECK_OK(weft_spawn(&counting, run_shared, 0));
    CHECK_EQ(weft_await(counting, run_shared, NULL).tag, WEFT_EXIT_INTERRUPT);
    CHECK(counted >= 100 && counted < 1000);
    weft_drop(counting);
    weft_eff_arena_close(&a);
}

/* ---- schedules ------------------------------------------------------------------------------------ */

static _Atomic int held, held_most;
static long holds(long n);
WEFT_TASK(holds, long, long);
static long holds(long n) {
    if (++held > held_most) held_most = held;
    weft_yield();
    held--;
    return n;
}
static eff_long next_holds(weft_eff_arena *a, long n);
WEFT_EFF_NEXT(next_holds, eff_long, long);
static eff_long next_holds(weft_eff_arena *a, long n) { return weft_eff_keep(eff_long, a, weft_eff_call(eff_long, holds, n)); }

TEST(of_a_parallel_loop_no_schedule_has_more_at_once_than_was_said) {
    WEFT_TEST(t, .runs = 300) {
        long items[8] = {0, 1, 2, 3, 4, 5, 6, 7}, results[8] = {0};
        held = held_most = 0;
        weft_exit e = RUN(weft_eff_for_each_par(items, 8, results, 3, next_holds), NULL);
        weft_check(t, weft_ok(e));
        weft_check(t, held_most <= 3);
        for (int i = 0; i < 8; i++) weft_check(t, results[i] == i);
    }
}

TEST(a_memo_is_asked_once_in_every_schedule) {
    WEFT_TEST(t, .runs = 300) {
        forget();
        eff_long_memo m = {.value = 0};
        eff_long e = weft_eff_memoise(eff_long, weft_eff_flat_map(eff_long, weft_eff_call(eff_long, holds, 4), next_even), &m);
        eff_long three = weft_eff_race(eff_long, e, e, e);
        long n = 0;
        pair p = {0, 0};
        weft_exit x = RUN(weft_eff_zip_par(eff_pair, weft_eff_map(eff_double, e, half), three), &p);
        weft_check(t, weft_ok(x) && p.first == 2 && p.second == 4);
        weft_check(t, weft_ok(RUN(e, &n)) && n == 4);
        weft_eff_memo_drop(&m.memo);
    }
}

TEST(in_every_schedule_what_is_acquired_is_released_once) {
    WEFT_TEST(t, .runs = 300) {
        forget();
        eff_long used = weft_eff_acquire_release(eff_long, weft_eff_call(eff_long, holds, 2), next_holds, give_back);
        long n = 0;
        weft_exit x = RUN(weft_eff_race(eff_long, used, NAP(3), weft_eff_timeout(eff_long, used, weft_ms(2))), &n);
        weft_check(t, weft_ok(x) || x.code == WEFT_E_TIMEOUT);
        weft_check(t, marks <= 2);
        for (int i = 0; i < marks; i++) weft_check(t, marked[i] / 10 == 2);
        weft_check(t, held == 0);
    }
}

TEST_MAIN
