/* Effect values, one step after the other: what each constructor gives, on a fiber and directly on a thread.
 *
 * Each body below runs twice: on a fiber of a runtime, by weft_run_effect, and on a plain thread, by weft_run_here.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/eff_values.h"
#include "alloc/heap.h"
#include "alloc/san.h"
#include <math.h>

static bool here;
#define RUN(e, out) (here ? weft_run_here(e, out) : weft_run_effect(e, out))

static void on_fiber(void *body) {
    here = false;
    forget();
    ((void (*)(void))(uintptr_t)body)();
}
#define BOTH(name)                                                                           \
    static void body_##name(void);                                                           \
    TEST(name) {                                                                             \
        CHECK_EQ(WEFT_OK, weft_run(&WEFT_OPTIONS(.workers = 1), on_fiber, (void *)(uintptr_t)body_##name)); \
        here = true;                                                                         \
        forget();                                                                            \
        body_##name();                                                                       \
    }                                                                                        \
    static void body_##name(void)

/* What is not caught by what is beside it is the test's. */
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
        weft_exit_drop(end_);                                                                \
    } while (0)

static void check_says(weft_exit e, const char *text) {
    char said[1000];
    weft_exit_render(e, said, sizeof said);
    test_note("%.150s", said);
    CHECK(strstr(said, text) != NULL);
    test_note(NULL);
}

/* ---- leaves --------------------------------------------------------------------------------------- */

BOTH(an_effect_does_nothing_until_it_is_run_and_can_be_run_again) {
    eff_long e = weft_eff_call(eff_long, twice, 21);
    CHECK_EQ(calls, 0);
    CHECK_LONG(e, 42);
    CHECK_LONG(e, 42);
    CHECK_EQ(calls, 2);
    CHECK_OK(RUN(e, NULL));
    CHECK_EQ(calls, 3);
}

BOTH(succeed_gives_its_value_whatever_its_size) {
    CHECK_LONG(SUCCEED(7), 7);
    pair p = {0, 0};
    CHECK_OK(RUN(weft_eff_succeed(eff_pair, .first = 0.5, .second = 9), &p));
    CHECK(p.first == 0.5 && p.second == 9);
    static big from, to;
    for (size_t i = 0; i < sizeof from; i++) from.text[i] = (char)i;
    CHECK_OK(RUN(weft_eff_value(eff_big, from), &to));
    CHECK(memcmp(&from, &to, sizeof from) == 0);
}

BOTH(fail_and_die_say_where_they_were_written) {
    weft_exit e = RUN(weft_eff_fail(eff_long, 300, "no such key"), NULL);
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, 300);
    check_says(e, "no such key");
    check_says(e, "eff_test.c");
    e = RUN(weft_eff_die(eff_long, 301, "broken"), NULL);
    CHECK_EQ(e.tag, WEFT_EXIT_DIE);
    CHECK_EQ(e.code, 301);
    CHECK_ENDS(weft_eff_fail(eff_long, 0, "no code"), WEFT_EXIT_FAIL, WEFT_E_INVALID);
    weft_exit given = {WEFT_EXIT_FAIL, 302, NULL};
    CHECK_ENDS(weft_eff_exit(eff_long, given), WEFT_EXIT_FAIL, 302);
    CHECK_ENDS(weft_eff_exit(eff_long, ((weft_exit){WEFT_EXIT_OK, 0, NULL})), WEFT_EXIT_DIE, WEFT_E_INVALID);
}

BOTH(what_a_called_task_says_is_how_the_effect_ends) {
    CHECK_LONG(weft_eff_call(eff_long, even, 4), 4);
    weft_exit e = RUN(weft_eff_call(eff_long, even, 5), NULL);
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, 300);
    check_says(e, "5 is odd");
    weft_exit_drop(e);
    CHECK_ENDS(weft_eff_call(eff_long, dies, 1), WEFT_EXIT_DIE, 301);
    CHECK_LONG(weft_eff_call(eff_long, even, 6), 6); /* the run's failure was not the fiber's */
}

BOTH(a_suspended_effect_is_made_by_each_run) {
    eff_long e = weft_eff_suspend(eff_long, next_even, 8);
    CHECK_EQ(calls, 0);
    CHECK_LONG(e, 8);
    CHECK_LONG(e, 8);
    CHECK_EQ(calls, 2);
    CHECK_ENDS(weft_eff_suspend(eff_long, next_even, 9), WEFT_EXIT_FAIL, 300);
}

BOTH(a_promise_gives_what_it_is_completed_with) {
    weft_promise p = WEFT_PROMISE, q = WEFT_PROMISE;
    static long answer = 42;
    void *got = NULL;
    CHECK_EQ(weft_promise_complete(&p, &answer), WEFT_OK);
    CHECK_OK(RUN(weft_eff_from_promise(&p), &got));
    CHECK(got == &answer);
    CHECK_EQ(weft_promise_fail(&q, (weft_exit){WEFT_EXIT_FAIL, 303, NULL}), WEFT_OK);
    CHECK_ENDS(weft_eff_from_promise(&q), WEFT_EXIT_FAIL, 303);
    CHECK_ENDS(weft_eff_from_promise(NULL), WEFT_EXIT_FAIL, WEFT_E_INVALID);
}

static weft_exit asks(const void *payload, void *reply) {
    if (*(const int *)payload == 0) return (weft_exit){WEFT_EXIT_FAIL, 304, NULL};
    *(long *)reply = *(const int *)payload;
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}

BOTH(perform_asks_by_a_payload_and_gives_the_reply) {
    weft_eff_arena a = {0};
    int three = 3, none = 0;
    CHECK_LONG(weft__eff_perform(eff_long, "ask", asks, &three, sizeof three), 3);
    CHECK_ENDS(weft__eff_perform(eff_long, "ask", asks, &none, sizeof none), WEFT_EXIT_FAIL, 304);
    eff_long kept = weft_eff_keep(eff_long, &a, weft__eff_perform(eff_long, "ask", asks, &three, sizeof three));
    three = 0;
    CHECK_LONG(kept, 3);
    weft_eff_arena_close(&a);
}

/* ---- one after the other -------------------------------------------------------------------------- */

BOTH(maps_apply_from_the_inside_outwards) {
    eff_double e = weft_eff_map(eff_double, weft_eff_map(eff_long, weft_eff_call(eff_long, twice, 3), twice), half);
    double d = 0;
    CHECK_OK(RUN(e, &d));
    CHECK(d == 6);
    eff_long many = SUCCEED(1); /* more than one step holds, all of them literals of this block */
    eff_long m1 = weft_eff_map(eff_long, many, twice), m2 = weft_eff_map(eff_long, m1, twice);
    eff_long m3 = weft_eff_map(eff_long, m2, twice), m4 = weft_eff_map(eff_long, m3, twice);
    eff_long m5 = weft_eff_map(eff_long, m4, twice), m6 = weft_eff_map(eff_long, m5, twice);
    CHECK_LONG(m6, 64);
    CHECK_LONG(m4, 16);
    CHECK_LONG(m1, 2);
}

BOTH(a_map_that_fails_ends_those_after_it) {
    eff_long e = weft_eff_map(eff_long, weft_eff_map(eff_long, SUCCEED(3), even), twice);
    CHECK_ENDS(e, WEFT_EXIT_FAIL, 300);
    CHECK_EQ(calls, 1);
    CHECK_ENDS(weft_eff_map(eff_long, SUCCEED(3), dies), WEFT_EXIT_DIE, 301);
}

static long scale(long n, const double *by);
WEFT_EFF_FN(scale, long, long, double);
static long scale(long n, const double *by) { return (long)((double)n * *by); }

BOTH(closures_go_with_the_effect) {
    CHECK_LONG(weft_eff_map_with(eff_long, SUCCEED(10), scale, 1.5), 15);
    CHECK_LONG(weft_eff_flat_map_with(eff_long, SUCCEED(10), add, .n = 5), 15);
    weft_eff_arena a = {0};
    eff_long twenty = weft_eff_map_with(eff_long, SUCCEED(10), scale, 2);
    eff_long e = weft_eff_keep(eff_long, &a, weft_eff_flat_map_with(eff_long, twenty, add, 7));
    CHECK_LONG(e, 27);
    weft_eff_arena_close(&a);
}

BOTH(flat_map_runs_what_its_function_returns) {
    CHECK_LONG(weft_eff_flat_map(eff_long, SUCCEED(4), next_even), 4);
    CHECK_ENDS(weft_eff_flat_map(eff_long, SUCCEED(5), next_even), WEFT_EXIT_FAIL, 300);
    CHECK_ENDS(weft_eff_flat_map(eff_long, FAIL(305), next_even), WEFT_EXIT_FAIL, 305);
    CHECK_EQ(calls, 2);
}

static weft_eff_unit note_it(weft_eff_arena *a, long n);
WEFT_EFF_NEXT(note_it, weft_eff_unit, long);
static weft_eff_unit note_it(weft_eff_arena *a, long n) { return weft_eff_keep(weft_eff_unit, a, MARK(n)); }

BOTH(tap_keeps_the_value_and_its_failure_counts) {
    CHECK_LONG(weft_eff_tap(eff_long, SUCCEED(11), note_it), 11);
    CHECK_EQ(marks, 1);
    CHECK_EQ(marked[0], 11);
    CHECK_ENDS(weft_eff_tap(eff_long, SUCCEED(5), next_even), WEFT_EXIT_FAIL, 300);
    CHECK_LONG(weft_eff_tap_with(eff_long, SUCCEED(5), add, 1), 5);
}

BOTH(zip_gives_both_in_order) {
    pair p = {0, 0};
    CHECK_OK(RUN(weft_eff_zip(eff_pair, weft_eff_map(eff_double, SUCCEED(5), half), weft_eff_call(eff_long, twice, 4)), &p));
    CHECK(p.first == 2.5 && p.second == 8);
    eff_double no = weft_eff_fail(eff_double, 306, "no");
    CHECK_ENDS(weft_eff_zip(eff_pair, no, weft_eff_call(eff_long, twice, 4)), WEFT_EXIT_FAIL, 306);
    CHECK_EQ(calls, 1);
    CHECK_ENDS(weft_eff_zip(eff_pair, weft_eff_succeed(eff_double, 1), FAIL(307)), WEFT_EXIT_FAIL, 307);
}

static big fill(char c);
WEFT_TASK(fill, big, char);
static big fill(char c) {
    big b;
    memset(&b, c, sizeof b);
    return b;
}
static long sum_of(big b);
WEFT_TASK(sum_of, long, big);
static long sum_of(big b) {
    long n = 0;
    for (size_t i = 0; i < sizeof b; i++) n += b.text[i];
    return n;
}
WEFT_EFF(eff_char, char);
static eff_big fill_next(weft_eff_arena *a, char c);
WEFT_EFF_NEXT(fill_next, eff_big, char);
static eff_big fill_next(weft_eff_arena *a, char c) { return weft_eff_keep(eff_big, a, weft_eff_call(eff_big, fill, c)); }

BOTH(large_values_pass_through_every_step) {
    eff_big b = weft_eff_flat_map(eff_big, weft_eff_succeed(eff_char, 3), fill_next);
    CHECK_LONG(weft_eff_map(eff_long, weft_eff_ensuring(eff_big, b, MARK(1)), sum_of), 3072);
    CHECK_EQ(marks, 1);
}

/* ---- errors --------------------------------------------------------------------------------------- */

static weft_exit other(weft_exit e);
WEFT_TASK(other, weft_exit, weft_exit);
static weft_exit other(weft_exit e) { return (weft_exit){WEFT_EXIT_FAIL, e.code + 100, NULL}; }
static weft_exit well(weft_exit e);
WEFT_TASK(well, weft_exit, weft_exit);
static weft_exit well(weft_exit e) {
    (void)e;
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}

BOTH(map_error_changes_failures_only) {
    CHECK_ENDS(weft_eff_map_error(eff_long, weft_eff_call(eff_long, even, 5), other), WEFT_EXIT_FAIL, 400);
    CHECK_LONG(weft_eff_map_error(eff_long, SUCCEED(1), other), 1);
    CHECK_ENDS(weft_eff_map_error(eff_long, weft_eff_die(eff_long, 301, "no"), other), WEFT_EXIT_DIE, 301);
    CHECK_ENDS(weft_eff_map_error(eff_long, FAIL(300), well), WEFT_EXIT_DIE, WEFT_E_INVALID);
}

static eff_long reraise(weft_eff_arena *a, weft_exit e);
WEFT_EFF_NEXT(reraise, eff_long, weft_exit);
static eff_long reraise(weft_eff_arena *a, weft_exit e) { return weft_eff_keep(eff_long, a, weft_eff_exit(eff_long, e)); }

BOTH(catch_all_catches_failures_and_nothing_else) {
    CHECK_LONG(weft_eff_catch_all(eff_long, weft_eff_call(eff_long, even, 5), code_of), 300);
    CHECK_LONG(weft_eff_catch_all(eff_long, SUCCEED(1), code_of), 1);
    CHECK_ENDS(weft_eff_catch_all(eff_long, weft_eff_die(eff_long, 301, "no"), code_of), WEFT_EXIT_DIE, 301);
    weft_exit interrupt = {WEFT_EXIT_INTERRUPT, WEFT_E_CANCELLED, NULL};
    eff_long stops = weft_eff_exit(eff_long, interrupt);
    CHECK_ENDS(weft_eff_catch_all(eff_long, stops, code_of), WEFT_EXIT_INTERRUPT, WEFT_E_CANCELLED);
    weft_exit e = RUN(weft_eff_catch_all(eff_long, weft_eff_call(eff_long, even, 5), reraise), NULL);
    CHECK_EQ(e.code, 300);
    check_says(e, "5 is odd"); /* its cause lives on */
    weft_exit_drop(e);
    eff_long inner = weft_eff_flat_map(eff_long, weft_eff_catch_all(eff_long, FAIL(311), code_of), next_even);
    CHECK_LONG(weft_eff_catch_all(eff_long, inner, code_of), 300); /* what a handler gave may fail again, further out */
}

static long code(weft_exit e);
WEFT_TASK(code, long, weft_exit);
static long code(weft_exit e) { return e.code; }

BOTH(fold_makes_a_value_of_both_and_is_not_folded_itself) {
    CHECK_LONG(weft_eff_fold(eff_long, SUCCEED(4), twice, code), 8);
    CHECK_LONG(weft_eff_fold(eff_long, FAIL(308), twice, code), 308);
    CHECK_ENDS(weft_eff_fold(eff_long, SUCCEED(5), even, code), WEFT_EXIT_FAIL, 300);
    CHECK_ENDS(weft_eff_fold(eff_long, weft_eff_die(eff_long, 301, "no"), twice, code), WEFT_EXIT_DIE, 301);
}

BOTH(annotate_says_something_about_what_went_wrong) {
    weft_exit e = RUN(weft_eff_annotate(eff_long, weft_eff_call(eff_long, even, 5), "while counting"), NULL);
    CHECK_EQ(e.code, 300);
    CHECK(weft_cause_has(e.cause, WEFT_CAUSE_NOTE));
    check_says(e, "while counting");
    weft_exit_drop(e);
    CHECK_LONG(weft_eff_annotate(eff_long, SUCCEED(2), "not said"), 2);
}

/* ---- again ---------------------------------------------------------------------------------------- */

static _Atomic int attempts;
static long third(long n);
WEFT_TASK(third, long, long);
static long third(long n) {
    if (++attempts % 3) weft_failf(309, "attempt %d", attempts);
    return n + attempts;
}

BOTH(retry_tries_failures_again_and_each_run_follows_the_schedule_anew) {
    attempts = 0;
    eff_long e = weft_eff_retry(eff_long, weft_eff_call(eff_long, third, 0), weft_schedule_recurs(5));
    CHECK_LONG(e, 3);
    CHECK_LONG(e, 6);
    attempts = 0;
    CHECK_ENDS(weft_eff_retry(eff_long, weft_eff_call(eff_long, third, 0), weft_schedule_recurs(1)), WEFT_EXIT_FAIL, 309);
    CHECK_EQ(attempts, 2);
    attempts = 0;
    CHECK_ENDS(weft_eff_retry(eff_long, weft_eff_map(eff_long, SUCCEED(1), dies), weft_schedule_recurs(5)), WEFT_EXIT_DIE, 301);
    CHECK_ENDS(weft_eff_retry(eff_long, FAIL(309), weft_schedule_spaced(-1)), WEFT_EXIT_FAIL, WEFT_E_INVALID);
}

BOTH(repeat_goes_on_until_the_schedule_or_a_failure_ends_it) {
    CHECK_LONG(weft_eff_repeat(eff_long, weft_eff_call(eff_long, twice, 4), weft_schedule_recurs(3)), 8);
    CHECK_EQ(calls, 4);
    attempts = 2;
    CHECK_ENDS(weft_eff_repeat(eff_long, weft_eff_call(eff_long, third, 4), weft_schedule_recurs(3)), WEFT_EXIT_FAIL, 309);
    CHECK_EQ(attempts, 4);
}

BOTH(a_memo_is_asked_once_and_keeps_failures_too) {
    eff_long_memo m = {.value = 0}, f = {.value = 0};
    eff_long e = weft_eff_memoise(eff_long, weft_eff_call(eff_long, twice, 4), &m);
    CHECK_LONG(e, 8);
    CHECK_LONG(e, 8);
    CHECK_EQ(calls, 1);
    weft_eff_memo_drop(&m.memo);
    CHECK_LONG(e, 8);
    CHECK_EQ(calls, 2);
    e = weft_eff_memoise(eff_long, weft_eff_call(eff_long, even, 5), &f);
    CHECK_ENDS(e, WEFT_EXIT_FAIL, 300);
    CHECK_ENDS(e, WEFT_EXIT_FAIL, 300);
    CHECK_EQ(calls, 3);
    weft_eff_memo_drop(&f.memo);
    eff_long_memo itself = {.value = 0};
    eff_long inner = weft_eff_memoise(eff_long, SUCCEED(1), &itself);
    CHECK_ENDS(weft_eff_memoise(eff_long, inner, &itself), WEFT_EXIT_FAIL, WEFT_E_INSIDE);
    weft_eff_memo_drop(&itself.memo);
}

/* ---- resources ------------------------------------------------------------------------------------ */

BOTH(ensuring_runs_its_finalizer_once_whatever_happens) {
    CHECK_LONG(weft_eff_ensuring(eff_long, SUCCEED(4), MARK(1)), 4);
    CHECK_ENDS(weft_eff_ensuring(eff_long, FAIL(300), MARK(2)), WEFT_EXIT_FAIL, 300);
    CHECK_ENDS(weft_eff_ensuring(eff_long, weft_eff_die(eff_long, 301, "no"), MARK(3)), WEFT_EXIT_DIE, 301);
    CHECK_EQ(marks, 3);
    weft_exit e = RUN(weft_eff_ensuring(eff_long, weft_eff_call(eff_long, even, 5), FAIL(302)), NULL);
    CHECK_EQ(e.code, 300); /* what came first leads, */
    CHECK(weft_cause_has(e.cause, WEFT_CAUSE_THEN));
    weft_exit_drop(e);
    CHECK_ENDS(weft_eff_ensuring(eff_long, SUCCEED(4), FAIL(302)), WEFT_EXIT_FAIL, 302); /* unless nothing did */
    CHECK_LONG(weft_eff_on_interrupt(eff_long, SUCCEED(4), MARK(4)), 4);
    CHECK_ENDS(weft_eff_on_interrupt(eff_long, FAIL(300), MARK(5)), WEFT_EXIT_FAIL, 300);
    CHECK_EQ(marks, 3);
    weft_exit interrupt = {WEFT_EXIT_INTERRUPT, WEFT_E_CANCELLED, NULL};
    eff_long stops = weft_eff_exit(eff_long, interrupt);
    CHECK_ENDS(weft_eff_on_interrupt(eff_long, stops, MARK(6)), WEFT_EXIT_INTERRUPT, WEFT_E_CANCELLED);
    CHECK_EQ(marked[3], 6);
}

static weft_exit give_back(long n, const weft_exit *e);
WEFT_EFF_FN(give_back, weft_exit, long, weft_exit);
static weft_exit give_back(long n, const weft_exit *e) {
    mark(n * 1000 + (long)e->tag);
    if (n == 13) return weft_fail(313, "could not be given back");
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}

BOTH(what_was_acquired_is_released_once_with_how_its_use_ended) {
    CHECK_LONG(weft_eff_acquire_release(eff_long, SUCCEED(4), next_even, give_back), 4);
    CHECK_EQ(marked[0], 4000);
    CHECK_ENDS(weft_eff_acquire_release(eff_long, SUCCEED(5), next_even, give_back), WEFT_EXIT_FAIL, 300);
    CHECK_EQ(marked[1], 5000 + WEFT_EXIT_FAIL);
    CHECK_EQ(marks, 2);
    CHECK_ENDS(weft_eff_acquire_release(eff_long, FAIL(303), next_even, give_back), WEFT_EXIT_FAIL, 303);
    CHECK_EQ(marks, 2); /* nothing was acquired */
    CHECK_LONG(weft_eff_acquire_release_with(eff_long, SUCCEED(4), add, give_back, .n = 3), 7);
    weft_exit e = RUN(weft_eff_acquire_release(eff_long, SUCCEED(13), next_even, give_back), NULL);
    CHECK_EQ(e.code, 300);
    CHECK(weft_cause_has(e.cause, WEFT_CAUSE_THEN));
    check_says(e, "could not be given back");
    weft_exit_drop(e);
    CHECK_ENDS(weft_eff_acquire_release_with(eff_long, SUCCEED(13), add, give_back, .n = 3), WEFT_EXIT_FAIL, 313);
}

static weft_exit comes(void *arg, void **state) {
    *state = arg;
    mark(1);
    return *(int *)arg ? (weft_exit){WEFT_EXIT_OK, 0, NULL} : (weft_exit){WEFT_EXIT_FAIL, 314, NULL};
}
static weft_exit goes(void *arg, void *state, weft_exit e) {
    CHECK(arg == state);
    mark(10 + (long)e.tag);
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}

BOTH(provide_enters_and_leaves_around_an_effect) {
    int yes = 1, no = 0;
    CHECK_LONG(weft_eff_provide(eff_long, SUCCEED(4), "layer", &((weft_eff_provider){comes, goes, &yes, false})), 4);
    CHECK_EQ(marked[1], 10);
    CHECK_ENDS(weft_eff_provide(eff_long, FAIL(300), "layer", &((weft_eff_provider){comes, goes, &yes, false})), WEFT_EXIT_FAIL, 300);
    CHECK_EQ(marked[3], 10 + WEFT_EXIT_FAIL);
    CHECK_ENDS(weft_eff_provide(eff_long, SUCCEED(4), "layer", &((weft_eff_provider){comes, goes, &no, false})), WEFT_EXIT_FAIL, 314);
    CHECK_EQ(marks, 5);
}

BOTH(masks_are_left_with_what_they_are_around) {
    CHECK_LONG(weft_eff_uninterruptible(eff_long, weft_eff_restore(eff_long, SUCCEED(4))), 4);
    CHECK_LONG(weft_eff_restore(eff_long, SUCCEED(5)), 5);
    CHECK_ENDS(weft_eff_uninterruptible(eff_long, weft_eff_restore(eff_long, FAIL(300))), WEFT_EXIT_FAIL, 300);
    CHECK_OK(weft_checkpoint());
}

static long pred(long n);
WEFT_TASK(pred, long, long);
static long pred(long n) { return n - 1; }

/* ---- chains --------------------------------------------------------------------------------------- */

enum { MANY = 1000000 };

static eff_long down(weft_eff_arena *a, long n);
WEFT_EFF_NEXT(down, eff_long, long);
static eff_long down(weft_eff_arena *a, long n) {
    if (n == 0) return weft_eff_keep(eff_long, a, SUCCEED(77));
    return weft_eff_keep(eff_long, a, weft_eff_flat_map(eff_long, SUCCEED(n - 1), down));
}

static void chains(void *arg) {
    (void)arg;
    weft_eff_arena a = {0};
    eff_long left = weft_eff_keep(eff_long, &a, SUCCEED(0)), maps = left, zips = left;
    for (int i = 0; i < MANY; i++) left = weft_eff_keep(eff_long, &a, weft_eff_flat_map_with(eff_long, left, add, 1));
    for (int i = 0; i < MANY; i++) maps = weft_eff_keep(eff_long, &a, weft_eff_map(eff_long, maps, even));
    for (int i = 0; i < MANY / 10; i++) zips = weft_eff_keep(eff_long, &a, weft_eff_ensuring(eff_long, zips, MARK(0)));
    CHECK_LONG(left, MANY);
    CHECK_LONG(maps, 0);
    CHECK_LONG(zips, 0);
    CHECK_EQ(marks, MANY / 10);
    CHECK_LONG(weft_eff_flat_map(eff_long, SUCCEED(MANY), down), 77);
    weft_eff_arena_close(&a);
}

TEST(chains_of_a_million_run_on_a_small_stack_nested_either_way) {
    forget();
    here = false;
    CHECK_EQ(0, weft_run(&(weft_options){.size = sizeof(weft_options), .workers = 1, .stack_bytes = 16384}, chains, NULL));
}

TEST(chains_of_a_million_run_directly) {
    forget();
    here = true;
    chains(NULL);
}

typedef struct far { /* too large for a node */
    long n;
    char more[100];
} far;
static eff_long countdown(weft_eff_arena *a, long n, const far *p);
WEFT_EFF_NEXT_WITH(countdown, eff_long, long, far);
static long long live_most;
static eff_long countdown(weft_eff_arena *a, long n, const far *p) {
    if ((long long)weft__heap_live() > live_most) live_most = (long long)weft__heap_live();
    if (n == 0) return weft_eff_now(eff_long, a, p->n);
    eff_long body = n % 3 ? weft_eff_call(eff_long, twice, n) : weft_eff_timeout(eff_long, SUCCEED(2 * n), weft_s(1));
    eff_long less = weft_eff_map_with(eff_long, weft_eff_tap_with(eff_long, body, add, 1), scale, 0.5);
    return weft_eff_keep(eff_long, a,
                         weft_eff_flat_map_with(eff_long, weft_eff_map(eff_long, less, pred), countdown, .n = p->n + 1));
}

BOTH(a_loop_runs_in_constant_memory) {
    live_most = 0;
    eff_long e = weft_eff_timeout(eff_long, weft_eff_flat_map_with(eff_long, SUCCEED(1000), countdown, .n = 0), weft_s(1000));
    CHECK_LONG(e, 1000);
    long long few = live_most;
    eff_long m = weft_eff_flat_map(eff_long, weft_eff_flat_map_with(eff_long, SUCCEED(200000), countdown, .n = 0), next_even);
    CHECK_LONG(m, 200000);
    CHECK(live_most <= few + 4096);
}

/* Effects of effects: what is pending names what was kept long ago. */
static eff_long fib(weft_eff_arena *a, long n);
WEFT_EFF_NEXT(fib, eff_long, long);
static eff_long plus_fib(weft_eff_arena *a, long x, const plus *p);
WEFT_EFF_NEXT_WITH(plus_fib, eff_long, long, plus);
static eff_long fib(weft_eff_arena *a, long n) {
    if (n < 2) return weft_eff_now(eff_long, a, n);
    eff_long first = weft_eff_suspend(eff_long, fib, n - 1);
    return weft_eff_keep(eff_long, a, weft_eff_flat_map_with(eff_long, first, plus_fib, n - 2));
}
static eff_long wasteful(weft_eff_arena *a, long n);
WEFT_EFF_NEXT(wasteful, eff_long, long);
static eff_long wasteful(weft_eff_arena *a, long n) {
    eff_long unused = weft_eff_keep(eff_long, a, SUCCEED(n));
    (void)unused;
    eff_long same = weft_eff_keep(eff_long, a, weft_eff_timeout(eff_long, SUCCEED(n), weft_s(9)));
    return n % 2 ? weft_eff_now(eff_long, a, n) : same;
}
static eff_long plus_fib(weft_eff_arena *a, long x, const plus *p) {
    eff_long rest = weft_eff_flat_map(eff_long, weft_eff_flat_map(eff_long, SUCCEED(p->n), fib), wasteful);
    return weft_eff_keep(eff_long, a, weft_eff_flat_map_with(eff_long, rest, add, x));
}

BOTH(what_is_pending_keeps_what_it_is_made_of) {
    CHECK_LONG(weft_eff_flat_map(eff_long, SUCCEED(17), fib), 1597);
    eff_long sum = weft_eff_flat_map_with(eff_long, weft_eff_suspend(eff_long, fib, 14), plus_fib, 15);
    CHECK_LONG(weft_eff_catch_all(eff_long, sum, code_of), 987);
}

/* ---- lifetimes ------------------------------------------------------------------------------------ */

static eff_long returns_a_literal(weft_eff_arena *a, long n);
WEFT_EFF_NEXT(returns_a_literal, eff_long, long);
static uintptr_t hidden;
__attribute__((noinline)) static eff_long returns_a_literal(weft_eff_arena *a, long n) {
    (void)a;
    eff_long e = SUCCEED(n);
    hidden = e.ref;
    __asm__ volatile("" : "+m"(hidden) : "r"(e.ref) : "memory"); /* the compiler is not told what it would warn of */
    return (eff_long){hidden};
}

BOTH(an_effect_of_a_closed_arena_is_a_defect_that_says_what_to_do) {
    weft_eff_arena a = {0};
    eff_long e = weft_eff_keep(eff_long, &a, weft_eff_map(eff_long, SUCCEED(4), twice));
    eff_long around = weft_eff_map(eff_long, e, twice);
    CHECK_LONG(e, 8);
    weft_eff_arena_close(&a);
    weft_exit x = RUN(e, NULL);
    CHECK_EQ(x.tag, WEFT_EXIT_DIE);
    CHECK_EQ(x.code, WEFT_E_STALE);
    check_says(x, "weft_eff_keep");
    for (int i = 0; i < 500; i++) { /* its memory is another effect's */
        eff_long again = weft_eff_keep(eff_long, &a, weft_eff_map(eff_long, SUCCEED(i), twice));
        CHECK(again.ref != e.ref);
        CHECK_ENDS(e, WEFT_EXIT_DIE, WEFT_E_STALE);
        CHECK_ENDS(around, WEFT_EXIT_DIE, WEFT_E_STALE);
        CHECK_LONG(again, 2 * i);
        if (i % 3 == 0) weft_eff_arena_close(&a);
    }
    weft_eff_arena_close(&a);
    CHECK_ENDS(((eff_long){0}), WEFT_EXIT_DIE, WEFT_E_STALE);
    CHECK_ENDS(weft_eff_map(eff_long, ((eff_long){0}), twice), WEFT_EXIT_DIE, WEFT_E_STALE);
}

#ifndef WEFT__ASAN /* which tells by itself */
BOTH(a_literal_that_was_returned_is_a_defect) {
    CHECK_ENDS(weft_eff_flat_map(eff_long, SUCCEED(4), returns_a_literal), WEFT_EXIT_DIE, WEFT_E_STALE);
}
#endif

BOTH(what_is_kept_needs_nothing_of_the_block_it_was_written_in) {
    weft_eff_arena a = {0};
    eff_long e;
    {
        long n = 4;
        eff_long sum = weft_eff_flat_map_with(eff_long, weft_eff_map(eff_long, SUCCEED(n), twice), add, n);
        eff_long again = weft_eff_retry(eff_long, sum, weft_schedule_recurs(2));
        e = weft_eff_keep(eff_long, &a, weft_eff_race(eff_long, again, SUCCEED(n)));
    }
    volatile char other[2000];
    for (size_t i = 0; i < sizeof other; i++) other[i] = (char)i;
    CHECK_LONG(e, 12);
    CHECK_EQ(weft_eff_keep(eff_long, &a, e).ref, e.ref);
    weft_eff_arena b = {0};
    eff_long copy = weft_eff_keep(eff_long, &b, e);
    CHECK(copy.ref != e.ref);
    weft_eff_arena_close(&a);
    CHECK_LONG(copy, 12);
    CHECK_ENDS(e, WEFT_EXIT_DIE, WEFT_E_STALE);
    weft_eff_arena_close(&b);
}

BOTH(an_arena_of_a_scope_ends_with_it) {
    eff_long e = {0};
    weft_exit x;
    WEFT_SCOPE(s, &x) {
        weft_eff_arena *a = weft_eff_arena_in(s);
        CHECK(a != NULL);
        e = weft_eff_keep(eff_long, a, SUCCEED(4));
        CHECK_LONG(e, 4);
    }
    CHECK_OK(x);
    CHECK_ENDS(e, WEFT_EXIT_DIE, WEFT_E_STALE);
}

/* ---- memory --------------------------------------------------------------------------------------- */

BOTH(a_short_run_allocates_nothing) {
    eff_long made = weft_eff_flat_map_with(eff_long, weft_eff_map(eff_long, SUCCEED(4), twice), add, 3);
    CHECK_LONG(made, 11); /* the process has blocks for arenas now */
    weft__heap_fail_at(0, 0);
    CHECK_LONG(weft_eff_map(eff_long, SUCCEED(4), twice), 8);
    CHECK_LONG(weft_eff_catch_all(eff_long, SUCCEED(4), code_of), 4);
    CHECK_LONG(weft_eff_fold(eff_long, FAIL(308), twice, code), 308);
    CHECK_LONG(made, 11);
    CHECK_EQ(weft__heap_asked(), 0);
}

BOTH(no_memory_for_frames_is_a_failure_and_finalizers_run) {
    weft_eff_arena a = {0};
    eff_long e = weft_eff_keep(eff_long, &a, SUCCEED(0));
    for (int i = 0; i < 1000; i++) e = weft_eff_keep(eff_long, &a, weft_eff_flat_map_with(eff_long, e, add, 1));
    e = weft_eff_keep(eff_long, &a, weft_eff_ensuring(eff_long, e, MARK(1)));
    weft__heap_fail_at(1, 1);
    weft_exit x = RUN(e, NULL);
    weft__heap_fail_at(0, 0);
    CHECK_EQ(x.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(x.code, WEFT_E_NOMEM);
    CHECK_EQ(marks, 1);
    CHECK_LONG(e, 1000);
    weft_eff_arena b = {0};
    weft__heap_fail_at(1, 1);
    eff_big lost = weft_eff_keep(eff_big, &b, weft_eff_flat_map(eff_big, weft_eff_succeed(eff_char, 1), fill_next));
    big text;
    x = RUN(lost, &text);
    weft__heap_fail_at(0, 0);
    CHECK_EQ(x.code, WEFT_E_NOMEM);
    weft_eff_arena_close(&a);
    weft_eff_arena_close(&b);
}

/* Each keeps what it returns in the run's arena: the first from high on the stack, the second from further down, the third while
 * what the second returned is pending. */
static eff_long keeps(weft_eff_arena *a, long n, const int *unused);
WEFT_EFF_NEXT_WITH(keeps, eff_long, long, int);
static eff_long keeps(weft_eff_arena *a, long n, const int *unused) {
    (void)unused;
    return weft_eff_keep(eff_long, a, weft_eff_call(eff_long, twice, n));
}
static eff_long keeps_more(weft_eff_arena *a, long n, const int *unused);
WEFT_EFF_NEXT_WITH(keeps_more, eff_long, long, int);
static eff_long keeps_more(weft_eff_arena *a, long n, const int *unused) {
    (void)unused;
    eff_long in_turn = weft_eff_flat_map_with(eff_long, weft_eff_call(eff_long, twice, n), keeps, 0);
    return weft_eff_keep(eff_long, a, weft_eff_map_with(eff_long, in_turn, scale, 0.5));
}
BOTH(what_a_function_returned_lives_while_any_of_it_is_pending) {
    eff_long high = weft_eff_tap_with(eff_long, SUCCEED(3), keeps, 0);
    CHECK_LONG(weft_eff_tap_with(eff_long, high, keeps_more, 0), 3);
}

TEST_MAIN
