/* Schedules, and what follows them: which delays, how often, and what is not tried again.
 *
 * Time is virtual, so each time below is exact on any number of workers.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/runs.h"
#include <math.h>
#include <weft/fiber.h>
#include <weft/schedule.h>
#include <weft/scope.h>

/* ---- delays, by hand ---------------------------------------------------------------------------------- */

enum { MOST = 64 };

/* The delays of s in ms if attempts take `takes`, -1: it is over, -2: for ever. */
static size_t delays(const weft_schedule *s, weft_duration takes, size_t most, int64_t out[]) {
    weft_schedule_state state;
    weft_time now = weft_s(1000);
    weft_duration d;
    size_t n = 0;
    CHECK_EQ(weft_schedule_begin(&state, s, now), WEFT_OK);
    while (n < most) {
        now += takes;
        bool on = weft_schedule_next(&state, now, 300, &d);
        out[n++] = !on ? -1 : d == WEFT_FOREVER ? -2 : d / weft_ms(1);
        if (!on || d == WEFT_FOREVER) break;
        CHECK_EQ(d % weft_ms(1), 0);
        now += d;
    }
    return n;
}

static void check_delays(weft_schedule s, weft_duration takes, size_t n, const int64_t *expected, int line) {
    int64_t got[MOST];
    char text[400];
    test_note("schedule of line %d: %.100s", line, weft_schedule_format(&s, text, sizeof text));
    CHECK_EQ(delays(&s, takes, n, got), n);
    for (size_t i = 0; i < n; i++) CHECK_EQ(got[i], expected[i]);
    test_note(NULL);
}
#define DELAYS(s, takes, ...)                                                                \
    do {                                                                                     \
        const int64_t expected_[] = {__VA_ARGS__};                                           \
        check_delays((s), (takes), sizeof expected_ / sizeof *expected_, expected_, __LINE__); \
    } while (0)

TEST(each_schedule_has_its_delays) {
    DELAYS(weft_schedule_recurs(0), 0, -1);
    DELAYS(weft_schedule_recurs(3), weft_ms(7), 0, 0, 0, -1);
    DELAYS(weft_schedule_spaced(weft_ms(20)), weft_ms(7), 20, 20, 20, 20);
    DELAYS(weft_schedule_linear(weft_ms(5)), 0, 5, 10, 15, 20);
    DELAYS(weft_schedule_exponential(weft_ms(10), 2), weft_ms(1), 10, 20, 40, 80, 160, 320);
    DELAYS(weft_schedule_exponential(weft_ms(8), 1.5), 0, 8, 12, 18, 27);
    DELAYS(weft_schedule_exponential(weft_ms(8), 0.5), 0, 8, 4, 2, 1);
    DELAYS(weft_schedule_exponential(0, 2), 0, 0, 0, 0);
}

TEST(a_fixed_schedule_keeps_to_its_times_and_skips_those_missed) {
    DELAYS(weft_schedule_fixed(weft_ms(10)), 0, 10, 10, 10);
    DELAYS(weft_schedule_fixed(weft_ms(10)), weft_ms(3), 7, 7, 7);
    DELAYS(weft_schedule_fixed(weft_ms(10)), weft_ms(10), 0, 0, 0);
    DELAYS(weft_schedule_fixed(0), weft_ms(3), 0, 0);
    weft_schedule s = weft_schedule_fixed(weft_ms(10));
    weft_schedule_state state;
    weft_duration d;
    CHECK_EQ(weft_schedule_begin(&state, &s, 0), WEFT_OK);
    CHECK(weft_schedule_next(&state, weft_ms(25), 0, &d)); /* late by 1.5: at once, */
    CHECK_EQ(d, 0);
    CHECK(weft_schedule_next(&state, weft_ms(27), 0, &d)); /* and then at 30 again, not at 35, and once */
    CHECK_EQ(d, weft_ms(3));
    CHECK(weft_schedule_next(&state, weft_ms(30), 0, &d));
    CHECK_EQ(d, weft_ms(10));
}

TEST(schedules_are_composed_from_the_inside_outwards) {
    weft_schedule ten = weft_schedule_spaced(weft_ms(10)), twice = weft_schedule_exponential(weft_ms(1), 2);
    DELAYS(weft_schedule_capped(twice, weft_ms(5)), 0, 1, 2, 4, 5, 5);
    DELAYS(weft_schedule_times(twice, 3), 0, 1, 2, 4, -1);
    DELAYS(weft_schedule_and_then(weft_schedule_times(twice, 2), weft_schedule_times(ten, 2)), 0, 1, 2, 10, 10, -1);
    DELAYS(weft_schedule_and_then(weft_schedule_recurs(0), ten), 0, 10, 10);
    DELAYS(weft_schedule_both(ten, weft_schedule_times(weft_schedule_linear(weft_ms(4)), 4)), 0, 10, 10, 12, 16, -1);
    DELAYS(weft_schedule_either(ten, weft_schedule_times(weft_schedule_linear(weft_ms(4)), 4)), 0, 4, 8, 10, 10, 10);
    DELAYS(weft_schedule_either(weft_schedule_recurs(1), weft_schedule_times(ten, 2)), 0, 0, 10, -1);
    weft_schedule burst = weft_schedule_and_then(weft_schedule_times(twice, 2), weft_schedule_times(ten, 1));
    DELAYS(weft_schedule_and_then(burst, burst), 0, 1, 2, 10, 1, 2, 10, -1);
}

TEST(up_to_counts_from_when_its_part_began) {
    weft_schedule ten = weft_schedule_spaced(weft_ms(10));
    DELAYS(weft_schedule_up_to(ten, weft_ms(30)), 0, 10, 10, 10, -1); /* the fourth attempt begins at 30 exactly */
    DELAYS(weft_schedule_up_to(ten, weft_ms(29)), 0, 10, 10, -1);
    DELAYS(weft_schedule_up_to(ten, weft_ms(30)), weft_ms(4), 10, 10, -1);
    DELAYS(weft_schedule_up_to(ten, 0), 0, -1);
    weft_schedule twenty = weft_schedule_up_to(ten, weft_ms(20)), fifteen = weft_schedule_up_to(ten, weft_ms(15));
    DELAYS(weft_schedule_and_then(twenty, fifteen), 0, 10, 10, 10, -1);
}

static bool is_timeout(int32_t code, void *asked) {
    ++*(int *)asked;
    return code == WEFT_E_TIMEOUT;
}
TEST(a_predicate_sees_the_code_and_ends_it_for_good) {
    int asked = 0;
    weft_schedule s = weft_schedule_while(weft_schedule_recurs(9), is_timeout, &asked);
    weft_schedule u = weft_schedule_until(weft_schedule_recurs(9), is_timeout, &asked);
    weft_schedule_state state;
    weft_duration d;
    CHECK_EQ(weft_schedule_begin(&state, &s, 0), WEFT_OK);
    CHECK(weft_schedule_next(&state, 0, WEFT_E_TIMEOUT, &d));
    CHECK(weft_schedule_next(&state, 0, WEFT_E_TIMEOUT, &d));
    CHECK(!weft_schedule_next(&state, 0, 300, &d));
    CHECK(!weft_schedule_next(&state, 0, WEFT_E_TIMEOUT, &d));
    CHECK_EQ(asked, 3);
    CHECK_EQ(weft_schedule_begin(&state, &u, 0), WEFT_OK);
    CHECK(weft_schedule_next(&state, 0, 300, &d));
    CHECK(!weft_schedule_next(&state, 0, WEFT_E_TIMEOUT, &d));
}

TEST(delays_that_do_not_fit_are_for_ever) {
    weft_schedule huge = weft_schedule_exponential(WEFT_FOREVER / 2, 1e300);
    weft_schedule_state state;
    weft_duration d;
    CHECK_EQ(weft_schedule_begin(&state, &huge, weft_s(1)), WEFT_OK);
    CHECK(weft_schedule_next(&state, weft_s(1), 0, &d));
    CHECK(d >= WEFT_FOREVER / 2 && d != WEFT_FOREVER);
    for (int i = 0; i < 5; i++) CHECK(weft_schedule_next(&state, weft_s(1), 0, &d) && d == WEFT_FOREVER);

    int64_t got[MOST];
    weft_schedule doubled = weft_schedule_exponential(1000000, 2);
    size_t n = delays(&doubled, 0, MOST, got);
    CHECK_EQ(got[n - 1], -2);
    CHECK_EQ(n, 44); /* 1 ms doubled 43 times is the first with more than 63 bits; all before are exact */
    for (size_t i = 0; i + 1 < n; i++) CHECK_EQ(got[i], INT64_C(1) << i);

    weft_schedule line = weft_schedule_linear(WEFT_FOREVER / 2), spaced = weft_schedule_spaced(WEFT_FOREVER);
    CHECK_EQ(weft_schedule_begin(&state, &line, 0), WEFT_OK);
    CHECK(weft_schedule_next(&state, 0, 0, &d) && d == WEFT_FOREVER / 2);
    CHECK(weft_schedule_next(&state, 0, 0, &d) && d == WEFT_FOREVER - 1);
    CHECK(weft_schedule_next(&state, 0, 0, &d) && d == WEFT_FOREVER);
    CHECK_EQ(weft_schedule_begin(&state, &spaced, 0), WEFT_OK);
    CHECK(weft_schedule_next(&state, 5, 0, &d) && d == WEFT_FOREVER);

    /* what is limited from outside is limited however large it is within */
    weft_schedule capped = weft_schedule_capped(weft_schedule_jittered(huge, 1, 1e300), weft_s(7));
    CHECK_EQ(weft_schedule_begin(&state, &capped, 0), WEFT_OK);
    for (int i = 0; i < 5; i++) CHECK(weft_schedule_next(&state, 0, 0, &d) && d == weft_s(7));
    weft_schedule up_to = weft_schedule_up_to(spaced, weft_s(5));
    CHECK_EQ(weft_schedule_begin(&state, &up_to, 0), WEFT_OK);
    CHECK(!weft_schedule_next(&state, 0, 0, &d));
    CHECK_EQ(d, 0);
}

TEST(jitter_stays_within_its_bounds_and_follows_its_seed) {
    weft_schedule s = weft_schedule_seeded(weft_schedule_jittered(weft_schedule_spaced(weft_ms(100)), 0.5, 1.5), 7);
    weft_schedule other = weft_schedule_seeded(s, 8);
    weft_schedule_state a, b, c;
    int64_t least = INT64_MAX, most = 0, sum = 0, differ = 0;
    CHECK_EQ(weft_schedule_begin(&a, &s, 0), WEFT_OK);
    CHECK_EQ(weft_schedule_begin(&b, &s, 99), WEFT_OK);
    CHECK_EQ(weft_schedule_begin(&c, &other, 0), WEFT_OK);
    for (int i = 0; i < 10000; i++) {
        weft_duration x, y, z;
        CHECK(weft_schedule_next(&a, i, 0, &x) && weft_schedule_next(&b, i, 0, &y) && weft_schedule_next(&c, i, 0, &z));
        CHECK_EQ(x, y);
        differ += x != z;
        if (x < least) least = x;
        if (x > most) most = x;
        sum += x;
    }
    CHECK(least >= weft_ms(50) && least < weft_ms(51));
    CHECK(most <= weft_ms(150) && most > weft_ms(149));
    CHECK(sum / 10000 > weft_ms(98) && sum / 10000 < weft_ms(102));
    CHECK(differ > 9990);
    DELAYS(weft_schedule_jittered(weft_schedule_spaced(weft_ms(8)), 2, 2), 0, 16, 16);
}

/* ---- bad ones ----------------------------------------------------------------------------------------- */

static void check_refused(weft_schedule s, weft_err error) {
    weft_schedule_state state;
    weft_duration d = 5;
    char text[40];
    CHECK_EQ(weft_schedule_check(&s), error);
    CHECK_EQ(weft_schedule_begin(&state, &s, 0), error);
    CHECK(!weft_schedule_next(&state, 0, 0, &d));
    CHECK_EQ(d, 0);
    CHECK(!strcmp(weft_schedule_format(&s, text, sizeof text), "a schedule in error"));
}
static weft_exit not_called(void *arg) {
    (void)arg;
    CHECK(false);
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}
TEST(a_schedule_in_error_says_so_to_who_follows_it) {
    weft_schedule good = weft_schedule_recurs(1), bad = weft_schedule_spaced(-1), large = good;
    check_refused(bad, WEFT_E_INVALID);
    check_refused(weft_schedule_fixed(INT64_MIN), WEFT_E_INVALID);
    check_refused(weft_schedule_exponential(1, -1), WEFT_E_INVALID);
    check_refused(weft_schedule_exponential(1, (double)NAN), WEFT_E_INVALID);
    check_refused(weft_schedule_exponential(1, (double)INFINITY), WEFT_E_INVALID);
    check_refused(weft_schedule_jittered(good, 2, 1), WEFT_E_INVALID);
    check_refused(weft_schedule_jittered(good, -1, 1), WEFT_E_INVALID);
    check_refused(weft_schedule_jittered(good, 0, (double)INFINITY), WEFT_E_INVALID);
    check_refused(weft_schedule_while(good, NULL, NULL), WEFT_E_INVALID);
    check_refused(weft_schedule_both(good, weft_schedule_capped(bad, 5)), WEFT_E_INVALID);
    check_refused((weft_schedule){0}, WEFT_E_INVALID);
    for (int i = 1; i < WEFT_SCHEDULE_PARTS; i++) large = weft_schedule_capped(large, 5);
    CHECK_EQ(weft_schedule_check(&large), WEFT_OK);
    check_refused(weft_schedule_capped(large, 5), WEFT_E_LIMIT);
    check_refused(weft_schedule_and_then(large, good), WEFT_E_LIMIT);
    check_refused(weft_schedule_spaced(-1), WEFT_E_INVALID);
    CHECK_EQ(weft_schedule_check(NULL), WEFT_E_INVALID);
    CHECK_EQ(weft_retry(NULL, not_called, NULL).code, WEFT_E_INVALID);
    CHECK_EQ(weft_repeat(&bad, not_called, NULL).code, WEFT_E_INVALID);
    CHECK_EQ(weft_retry(&good, NULL, NULL).code, WEFT_E_INVALID);
    CHECK_EQ(weft_retry(&good, NULL, NULL).tag, WEFT_EXIT_FAIL);
}

TEST(a_schedule_is_written_down_as_it_is_made) {
    char text[200], little[12], none = 'x';
    weft_schedule s = weft_schedule_and_then(
        weft_schedule_times(weft_schedule_jittered(weft_schedule_exponential(weft_us(1500), 2), 0.8, 1.2), 5),
        weft_schedule_up_to(weft_schedule_spaced(WEFT_FOREVER), weft_s(90)));
    CHECK(!strcmp(weft_schedule_format(&s, text, sizeof text),
                  "and_then(times(jittered(exponential(1.5ms, 2), 0.8, 1.2), 5), up_to(spaced(forever), 90s))"));
    CHECK(!strcmp(weft_schedule_format(&s, little, sizeof little), "and_then(ti"));
    CHECK(weft_schedule_format(&s, &none, 0) == &none && none == 'x');
}

/* ---- a retry ------------------------------------------------------------------------------------------ */

typedef struct chore {
    weft_duration takes;
    int failures;        /* attempts that fail, from the first one on */
    uint32_t how;        /* 0: FAIL */
    bool by_weft_fail;   /* and returns ok, */
    bool returned;       /* or that exit */
    int attempts;
    weft_time at[MOST];  /* when each began */
} chore;

static const weft_exit fine = {WEFT_EXIT_OK, 0, NULL};

static weft_exit labour(void *arg) {
    chore *w = arg;
    CHECK(w->attempts < MOST);
    w->at[w->attempts++] = weft_now();
    if (w->takes) {
        weft_exit e = weft_sleep(w->takes);
        if (!weft_ok(e)) return e;
    }
    if (w->attempts > w->failures) return fine;
    weft_exit said = w->by_weft_fail ? weft_failf(300 + w->attempts, "attempt %d", w->attempts) : fine;
    if (w->by_weft_fail) return w->returned ? said : fine;
    return (weft_exit){w->how ? w->how : WEFT_EXIT_FAIL, 300 + w->attempts, NULL};
}

static void retry_in_time(void *arg) {
    (void)arg;
    weft_schedule s = weft_schedule_times(weft_schedule_exponential(weft_ms(10), 2), 5);
    chore w = {.takes = weft_ms(1), .failures = 3};
    CHECK(weft_ok(weft_retry(&s, labour, &w)));
    CHECK_EQ(w.attempts, 4);
    CHECK_EQ(w.at[1], weft_ms(11));
    CHECK_EQ(w.at[2], weft_ms(32));
    CHECK_EQ(w.at[3], weft_ms(73));
    CHECK_EQ(weft_now(), weft_ms(74));
    w = (chore){.failures = MOST};
    weft_exit e = weft_retry(&s, labour, &w); /* the same value again: its state was the first retry's */
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, 306);
    CHECK_EQ(w.attempts, 6);
    CHECK_EQ(weft_now(), weft_ms(74 + 310));
}
TEST(a_retry_waits_as_its_schedule_says_and_returns_the_last_failure) { on_clock(WEFT_CLOCK_AUTO, retry_in_time); }

static void retry_up_to(void *arg) {
    (void)arg;
    weft_schedule s = weft_schedule_up_to(weft_schedule_spaced(weft_ms(10)), weft_ms(42));
    chore w = {.takes = weft_ms(5), .failures = MOST};
    CHECK_EQ(weft_retry(&s, labour, &w).code, 303); /* at 0, 15, 30; not at 45 */
    CHECK_EQ(weft_now(), weft_ms(35));
}
TEST(the_total_counts_from_the_beginning_of_the_first_attempt) { on_clock(WEFT_CLOCK_AUTO, retry_up_to); }

static void others(void *arg) {
    (void)arg;
    weft_schedule s = weft_schedule_spaced(weft_ms(10));
    chore w = {.failures = 5, .how = WEFT_EXIT_DIE}, x = {.failures = 5, .how = WEFT_EXIT_INTERRUPT};
    CHECK_EQ(weft_retry(&s, labour, &w).tag, WEFT_EXIT_DIE);
    CHECK_EQ(w.attempts, 1);
    CHECK_EQ(weft_retry(&s, labour, &x).tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(x.attempts, 1);
    CHECK_EQ(weft_now(), 0);
}
TEST(defects_and_interrupts_are_not_tried_again) { on_clock(WEFT_CLOCK_AUTO, others); }

static weft_exit dies_once(void *arg) {
    ++*(int *)arg;
    weft_die(400, "a rule was broken");
    return (weft_exit){WEFT_EXIT_FAIL, 300, NULL};
}
static void by_weft_fail(void *arg) {
    (void)arg;
    weft_schedule s = weft_schedule_recurs(9);
    chore w = {.failures = 3, .by_weft_fail = true};
    int calls = 0;
    CHECK(weft_ok(weft_retry(&s, labour, &w)));
    CHECK_EQ(w.attempts, 4);
    w = (chore){.failures = MOST, .by_weft_fail = true};
    weft_exit e = weft_retry(&s, labour, &w);
    CHECK_EQ(e.code, 310);
    CHECK(!strcmp(e.cause->text, "attempt 10"));
    w = (chore){.failures = MOST, .by_weft_fail = true, .returned = true};
    CHECK(!strcmp(weft_retry(&s, labour, &w).cause->text, "attempt 10"));
    e = weft_retry(&s, dies_once, &calls);
    CHECK_EQ(e.tag, WEFT_EXIT_DIE);
    CHECK_EQ(calls, 1);
} /* and the main fiber has not failed: on_clock checks that the run ends with WEFT_OK */
TEST(what_weft_fail_says_in_an_attempt_is_that_attempts_failure) { on_clock(WEFT_CLOCK_AUTO, by_weft_fail); }

/* ---- two at once -------------------------------------------------------------------------------------- */

static weft_schedule shared;
static long retries(chore *w);
WEFT_TASK(retries, long, chore *);
static long retries(chore *w) {
    weft_exit e = weft_retry(&shared, labour, w);
    return weft_ok(e) ? 0 : e.code;
}
static void two_at_once(void *arg) {
    (void)arg;
    shared = weft_schedule_times(weft_schedule_exponential(weft_ms(10), 2), 4);
    chore w[2] = {{.failures = MOST}, {.takes = weft_ms(3), .failures = MOST}};
    retries_fiber f[2];
    long code;
    for (int i = 0; i < 2; i++) CHECK(weft_ok(weft_spawn(&f[i], retries, &w[i])));
    for (int i = 0; i < 2; i++) {
        CHECK(weft_ok(weft_await(f[i], retries, &code)));
        CHECK_EQ(code, 305);
        CHECK_EQ(w[i].attempts, 5);
        for (int k = 0; k < 5; k++) CHECK_EQ(w[i].at[k], weft_ms(10) * ((1 << k) - 1) + k * w[i].takes);
        weft_drop(f[i]);
    }
}
TEST(two_retries_at_once_follow_one_schedule_without_disturbing_each_other) { often(WEFT_CLOCK_AUTO, two_at_once, 20); }

/* ---- interrupts --------------------------------------------------------------------------------------- */

static void interrupted_in_delay(void *arg) {
    (void)arg;
    shared = weft_schedule_spaced(weft_s(100));
    chore w = {.failures = MOST};
    retries_fiber f;
    CHECK(weft_ok(weft_spawn(&f, retries, &w)));
    CHECK(weft_ok(weft_sleep(weft_s(250))));
    CHECK(weft_ok(weft_interrupt(f, "enough")));
    CHECK_EQ(weft_now(), weft_s(250));
    CHECK_EQ(w.attempts, 3);
    CHECK_EQ(weft_await(f, retries, NULL).tag, WEFT_EXIT_INTERRUPT);
    weft_drop(f);
    CHECK_EQ(pending(), 0);
}
TEST(a_retry_is_interrupted_while_it_waits) { on_clock(WEFT_CLOCK_AUTO, interrupted_in_delay); }

/* Says of its interrupt that it was a failure. */
static weft_exit misled(void *arg) {
    ++*(int *)arg;
    return weft_ok(weft_sleep(weft_s(1))) ? fine : (weft_exit){WEFT_EXIT_FAIL, 300, NULL};
}
static weft_exit retry_misled(void *arg) {
    weft_schedule s = weft_schedule_recurs(1000);
    return weft_retry(&s, misled, arg);
}
static void stops_without_a_delay(void *arg) {
    (void)arg;
    int attempts = 0;
    weft_exit e = weft_timeout(weft_ms(500), retry_misled, &attempts);
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK_EQ(attempts, 1);
    CHECK_EQ(weft_now(), weft_ms(500));
}
TEST(who_is_asked_to_stop_tries_nothing_again) { on_clock(WEFT_CLOCK_AUTO, stops_without_a_delay); }

/* ---- an attempt is a scope ---------------------------------------------------------------------------- */

static _Atomic int alive, most_alive;
static long helper(int fails);
WEFT_TASK(helper, long, int);
static long helper(int fails) {
    if (++alive > most_alive) most_alive = alive;
    if (weft_ok(weft_sleep(fails ? weft_ms(5) : weft_ms(50))) && fails) weft_failf(fails, "the helper of an attempt");
    alive--;
    return 0;
}
static weft_exit with_helpers(void *arg) {
    int *attempts = arg;
    CHECK_EQ(alive, 0);
    ++*attempts;
    CHECK(weft_ok(weft_spawn((helper_fiber *)NULL, helper, 0)));
    CHECK(weft_ok(weft_spawn((helper_fiber *)NULL, helper, *attempts < 4 ? 300 + *attempts : 0)));
    return fine;
}
static void helpers_end(void *arg) {
    (void)arg;
    int attempts = 0;
    alive = most_alive = 0;
    weft_schedule s = weft_schedule_times(weft_schedule_spaced(weft_ms(100)), 9), never = weft_schedule_recurs(0);
    CHECK(weft_ok(weft_retry(&s, with_helpers, &attempts)));
    CHECK_EQ(attempts, 4);
    CHECK_EQ(alive, 0);
    CHECK_EQ(weft_now(), 3 * weft_ms(105) + weft_ms(50));
    attempts = 0;
    weft_exit e = weft_retry(&never, with_helpers, &attempts);
    CHECK_EQ(e.code, 301);
    CHECK(!strcmp(e.cause->text, "the helper of an attempt")); /* the cause outlives the attempt's scope */
}
TEST(the_fibers_of_an_attempt_end_before_the_next_one_and_fail_it) {
    for (unsigned seed = 0; seed < 10; seed++) searched(WEFT_CLOCK_AUTO, helpers_end, seed, WEFT_EXPLORE_RANDOM);
}

static void many_attempts(void *arg) {
    (void)arg;
    chore w = {.failures = 60, .by_weft_fail = true};
    weft_schedule s = weft_schedule_recurs(UINT64_MAX);
    CHECK(weft_ok(weft_retry(&s, labour, &w)));
    uint64_t before = weft__heap_live();
    for (int i = 0; i < 100; i++) {
        w.attempts = 0;
        w.returned = i & 1;
        CHECK(weft_ok(weft_retry(&s, labour, &w)));
    }
    CHECK_EQ(weft__heap_live(), before);
}
TEST(failures_that_were_tried_again_are_not_kept) {
    run_ends(&WEFT_OPTIONS(.workers = 1, .clock = WEFT_CLOCK_AUTO), many_attempts, NULL, WEFT_OK);
}

/* ---- a repeat ----------------------------------------------------------------------------------------- */

static void repeats(void *arg) {
    (void)arg;
    weft_schedule s = weft_schedule_times(weft_schedule_fixed(weft_ms(10)), 3), once = weft_schedule_recurs(0);
    chore w = {.takes = weft_ms(4)};
    CHECK(weft_ok(weft_repeat(&s, labour, &w)));
    CHECK_EQ(w.attempts, 4);
    for (int i = 0; i < 4; i++) CHECK_EQ(w.at[i], i * weft_ms(10));
    CHECK_EQ(weft_now(), weft_ms(34));
    CHECK(weft_ok(weft_repeat(&once, labour, &w)));
    CHECK_EQ(w.attempts, 5);
    w = (chore){.failures = 1};
    CHECK_EQ(weft_repeat(&s, labour, &w).code, 301);
    CHECK_EQ(w.attempts, 1);
}
TEST(a_repeat_runs_once_more_than_its_schedule_says_and_ends_with_a_failure) { on_clock(WEFT_CLOCK_AUTO, repeats); }

/* ---- without a runtime -------------------------------------------------------------------------------- */

TEST(a_plain_thread_retries_too) {
    weft_schedule s = weft_schedule_times(weft_schedule_spaced(1000), 3);
    chore w = {.failures = 2}, never = {.failures = MOST};
    CHECK(weft_ok(weft_retry(&s, labour, &w)));
    CHECK_EQ(w.attempts, 3);
    CHECK_EQ(weft_retry(&s, labour, &never).code, 304);
    CHECK(never.at[3] - never.at[0] >= 3000);
}

/* ---- random numbers ----------------------------------------------------------------------------------- */

static weft_duration drawn[2];
static void draw_two(void *arg) {
    (void)arg;
    weft_schedule s = weft_schedule_jittered(weft_schedule_spaced(weft_s(1000)), 0, 1);
    weft_schedule_state a, b;
    CHECK_EQ(weft_schedule_begin(&a, &s, 0), WEFT_OK);
    CHECK_EQ(weft_schedule_begin(&b, &s, 0), WEFT_OK);
    CHECK(weft_schedule_next(&a, 0, 0, &drawn[0]));
    CHECK(weft_schedule_next(&b, 0, 0, &drawn[1]));
    CHECK(drawn[0] != drawn[1]); /* who is spread out by jitter must not be spread out in the same way */
}
TEST(jitter_differs_from_run_to_run_and_is_replayed_by_the_seed) {
    weft_duration first[2];
    for (uint64_t seed = 1; seed < 5; seed++) {
        run_ends(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, .seed = seed), draw_two, NULL, WEFT_OK);
        memcpy(first, drawn, sizeof first);
        run_ends(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, .seed = seed), draw_two, NULL, WEFT_OK);
        CHECK(!memcmp(first, drawn, sizeof first));
        run_ends(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, .seed = seed + 100), draw_two, NULL, WEFT_OK);
        CHECK(memcmp(first, drawn, sizeof first));
    }
    run_ends(&WEFT_OPTIONS(.workers = 1), draw_two, NULL, WEFT_OK);
    memcpy(first, drawn, sizeof first);
    run_ends(&WEFT_OPTIONS(.workers = 1), draw_two, NULL, WEFT_OK);
    CHECK(memcmp(first, drawn, sizeof first));
}

TEST_MAIN
