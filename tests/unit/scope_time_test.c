/* Scopes: deadlines, timeouts, shields.
 *
 * Time is virtual (it stands still while anything can run), so each time below is exact on any number of workers.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/scope_children.h"

/* ---- deadlines ------------------------------------------------------------------------------------------ */

static void timeouts(void *arg) {
    (void)arg;
    weft_exit e;
    none_yet();
    WEFT_SCOPE(s, &e, .timeout = weft_s(2)) {
        spawn_sleeper(weft_s(100));
        weft_start(s, sleeper, weft_s(100));
        CHECK_EQ(weft_deadline(), weft_s(2));
        CHECK_EQ(weft_sleep(weft_s(100)).code, WEFT_E_INTERRUPTED);
        CHECK_EQ(weft_now(), weft_s(2));
        CHECK_EQ(weft_sleep(weft_s(100)).code, WEFT_E_INTERRUPTED);
    }
    CHECK_EQ(weft_now(), weft_s(2));
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK_EQ(stopped, 2);
    CHECK(weft_ok(weft_checkpoint()));
    CHECK_EQ(weft_deadline(), WEFT_FOREVER);

    WEFT_SCOPE(s, &e, .deadline = weft_s(5)) CHECK(!weft_ok(weft_sleep_until(weft_s(6))));
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_now(), weft_s(5));
    WEFT_SCOPE(s, &e, .deadline = weft_s(9), .timeout = weft_s(1)) weft_sleep(weft_s(100)); /* the earlier one */
    CHECK_EQ(weft_now(), weft_s(6));
    WEFT_SCOPE(s, &e, .deadline = weft_s(7), .timeout = weft_s(10)) weft_sleep(weft_s(100));
    CHECK_EQ(weft_now(), weft_s(7));
    WEFT_SCOPE(s, &e, .timeout = WEFT_FOREVER) CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK(weft_ok(e));
    CHECK_EQ(pending(), 0);
}
TEST(a_deadline_cancels_what_is_inside_and_is_a_failure) { on_clock(WEFT_CLOCK_AUTO, timeouts); }

static void in_time(void *arg) {
    (void)arg;
    weft_exit e;
    none_yet();
    WEFT_SCOPE(s, &e, .timeout = weft_s(2)) {
        weft_start(s, sleeper, weft_s(1));
        CHECK(weft_ok(weft_sleep(weft_ms(500))));
    }
    CHECK(weft_ok(e));
    CHECK_EQ(weft_now(), weft_s(1));
    CHECK_EQ(pending(), 0);
    CHECK(weft_ok(weft_sleep(weft_s(10)))); /* the timer is off the clock */
}
TEST(what_is_done_in_time_ends_well) { on_clock(WEFT_CLOCK_AUTO, in_time); }

static void past(void *arg) {
    (void)arg;
    weft_exit e;
    bool ran = false;
    none_yet();
    weft_sleep(weft_s(5));
    WEFT_SCOPE(s, &e, .deadline = weft_s(3)) {
        ran = true;
        CHECK_EQ(weft_checkpoint().tag, WEFT_EXIT_INTERRUPT);
        CHECK_EQ(weft_sleep(0).tag, WEFT_EXIT_INTERRUPT);
        CHECK_EQ(weft_yield().tag, WEFT_EXIT_INTERRUPT);
        CHECK_EQ(weft_sleep(weft_s(1)).tag, WEFT_EXIT_INTERRUPT);
    }
    CHECK(ran);
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    ran = false;
    WEFT_SCOPE(s, &e, .deadline = weft_s(3)) ran = true; /* nobody noticed */
    CHECK(ran && weft_ok(e));
    WEFT_SCOPE(s, &e, .deadline = -1) CHECK_EQ(weft_checkpoint().tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_now(), weft_s(5));
}
TEST(a_deadline_in_the_past_stops_the_first_that_looks) { on_clock(WEFT_CLOCK_AUTO, past); }

static void nested_deadlines(void *arg) {
    (void)arg;
    weft_exit outer, inner;
    none_yet();
    WEFT_SCOPE(a, &outer, .timeout = weft_s(2)) {
        WEFT_SCOPE(b, &inner, .timeout = weft_s(10)) {
            CHECK_EQ(weft_deadline(), weft_s(2));
            spawn_sleeper(weft_s(100));
            weft_sleep(weft_s(100));
        }
        CHECK_EQ(inner.tag, WEFT_EXIT_INTERRUPT); /* it is not its own deadline that passed */
        CHECK_EQ(weft_now(), weft_s(2));
    }
    CHECK_EQ(outer.code, WEFT_E_TIMEOUT);
    WEFT_SCOPE(a, &outer, .timeout = weft_s(10)) {
        WEFT_SCOPE(b, &inner, .timeout = weft_s(2)) weft_sleep(weft_s(100));
        CHECK_EQ(inner.code, WEFT_E_TIMEOUT);
        CHECK_EQ(weft_now(), weft_s(4));
        CHECK_EQ(weft_deadline(), weft_s(12));
        CHECK(weft_ok(weft_sleep(weft_s(1)))); /* the outer one goes on */
    }
    CHECK(weft_ok(outer));
    CHECK_EQ(weft_now(), weft_s(5));
}
TEST(of_nested_deadlines_the_earliest_holds) { on_clock(WEFT_CLOCK_AUTO, nested_deadlines); }

static _Atomic int64_t told_at, stopped_at;
static int watches_for_stopping(int n);
WEFT_TASK(watches_for_stopping, int, int);
static int watches_for_stopping(int n) {
    weft_exit e;
    while (weft_ok(e = weft_sleep(weft_ms(250))))
        if (weft_stopping() && !told_at) told_at = weft_now();
    stopped_at = weft_now();
    return n;
}
static void graceful(void *arg) {
    (void)arg;
    weft_exit e;
    told_at = stopped_at = 0;
    WEFT_SCOPE(s, &e, .timeout = weft_s(2), .grace = weft_s(1)) {
        CHECK(!weft_stopping());
        CHECK(weft_ok(weft_spawn((watches_for_stopping_fiber *)NULL, watches_for_stopping, 1)));
        CHECK(weft_ok(weft_sleep(weft_ms(2001))));
        CHECK(weft_stopping());
        CHECK(!weft_ok(weft_sleep(weft_s(100))));
        CHECK_EQ(weft_now(), weft_s(3));
    }
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK(told_at >= weft_s(2) && told_at <= weft_ms(2250));
    CHECK_EQ(stopped_at, weft_s(3));
    CHECK(!weft_stopping());
    WEFT_SCOPE(s, &e, .timeout = weft_s(2), .grace = weft_s(1))
        while (!weft_stopping()) CHECK(weft_ok(weft_sleep(weft_ms(100))));
    CHECK(weft_ok(e)); /* it took the hint */
    CHECK_EQ(pending(), 0);
}
TEST(a_grace_says_stopping_first) { on_clock(WEFT_CLOCK_AUTO, graceful); }

static void value_with_timer(void *arg) {
    (void)arg;
    weft_exit e;
    none_yet();
    /* Its child wakes at the very time of the deadline, and was asleep first. */
    WEFT_SCOPE(s, &e) {
        sleeper_fiber f;
        int got = 0;
        CHECK(weft_ok(weft_spawn(&f, sleeper, weft_s(2))));
        CHECK(weft_ok(weft_sleep(weft_s(1))));
        weft_exit got_it = weft_await_until(f, sleeper, &got, weft_s(2));
        CHECK(weft_ok(got_it));
        CHECK_EQ(got, 7);
    }
    CHECK(weft_ok(e));
}
TEST(a_value_that_arrives_with_the_timer_wins) { often(WEFT_CLOCK_AUTO, value_with_timer, 50); }

/* A deadline passes while nobody looks: what is complete by then counts. */
static void value_before_look(void *arg) {
    (void)arg;
    weft_exit e;
    none_yet();
    WEFT_SCOPE(s, &e, .timeout = weft_s(2)) {
        weft_mask m;
        weft_mask_begin(&m);
        CHECK(weft_ok(weft_sleep(weft_s(3))));
        weft_mask_end(&m);
    }
    CHECK(weft_ok(e));
    WEFT_SCOPE(s, &e, .timeout = weft_s(2)) {
        weft_mask m;
        weft_mask_begin(&m);
        CHECK(weft_ok(weft_sleep(weft_s(3))));
        CHECK(weft_ok(weft_checkpoint()));
        weft_mask_end(&m);
        CHECK(!weft_ok(weft_checkpoint()));
    }
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
}
TEST(a_deadline_that_nobody_noticed_is_none) { on_clock(WEFT_CLOCK_AUTO, value_before_look); }

static weft_exit masked_sleep(void *arg) {
    (void)arg;
    weft_mask m;
    weft_mask_begin(&m);
    weft_exit e = weft_sleep(weft_s(3));
    weft_mask_end(&m);
    return e;
}
static weft_exit limited_to_ten(void *arg) { return weft_timeout(weft_s(10), masked_sleep, arg); }
static weft_exit limited_to_ten_then_looks(void *arg) {
    weft_exit e = weft_timeout(weft_s(10), masked_sleep, arg);
    return weft_ok(e) ? weft_checkpoint() : e;
}
static void value_of_inner(void *arg) {
    (void)arg;
    CHECK(weft_ok(weft_timeout(weft_s(2), masked_sleep, NULL)));
    CHECK(weft_ok(weft_timeout(weft_s(2), limited_to_ten, NULL)));
    CHECK_EQ(weft_timeout(weft_s(2), limited_to_ten_then_looks, NULL).code, WEFT_E_TIMEOUT);
}
TEST(a_timeout_with_a_value_does_not_notice_the_one_around_it) { on_clock(WEFT_CLOCK_AUTO, value_of_inner); }

/* ---- weft_timeout --------------------------------------------------------------------------------------- */

static weft_exit sleeps(void *arg) { return weft_sleep(*(weft_duration *)arg); }
static void timeout_function(void *arg) {
    (void)arg;
    weft_duration d = weft_s(10), little = weft_s(1);
    CHECK(weft_ok(weft_timeout(weft_s(2), computes, NULL)));
    CHECK(weft_ok(weft_timeout(weft_s(2), sleeps, &little)));
    CHECK_EQ(weft_now(), weft_s(1));
    weft_exit e = weft_timeout(weft_s(2), sleeps, &d);
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_now(), weft_s(3));
    CHECK_EQ(weft_timeout(-1, sleeps, &d).code, WEFT_E_INVALID);
    CHECK(weft_ok(weft_timeout(WEFT_FOREVER, sleeps, &d)));
    CHECK_EQ(weft_now(), weft_s(13));
    CHECK_EQ(pending(), 0);
}
TEST(a_function_within_a_timeout_is_stopped_in_time) { on_clock(WEFT_CLOCK_AUTO, timeout_function); }

static void timeout_cause(void *arg) {
    (void)arg;
    weft_exit e = weft_timeout(weft_s(2), fails_itself, NULL);
    CHECK_EQ(e.code, 320);
    char text[200];
    weft_exit_format(e, text, sizeof text);
    CHECK(strstr(text, "failure number 320"));
}
TEST(a_failure_from_within_a_timeout_brings_its_cause) { on_clock(WEFT_CLOCK_AUTO, timeout_cause); }

static void timeout_zero(void *arg) {
    (void)arg;
    weft_duration d = weft_s(1);
    CHECK(weft_ok(weft_timeout(0, computes, NULL)));
    CHECK_EQ(weft_timeout(0, sleeps, &d).code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_now(), 0);
}
TEST(a_timeout_of_nothing_is_over_at_the_first_wait) { on_clock(WEFT_CLOCK_AUTO, timeout_zero); }

/* ---- shields -------------------------------------------------------------------------------------------- */

static int shielded(weft_duration budget);
WEFT_TASK(shielded, int, weft_duration);
static int shielded(weft_duration budget) {
    weft_exit inside, around;
    WEFT_SCOPE(a, &around) {
        WEFT_SCOPE(s, &inside, .shield = true, .timeout = budget) {
            spawn_sleeper(weft_s(5)); /* is inside as well */
            weft_exit e = weft_sleep(weft_s(4));
            CHECK_EQ(weft_ok(e), budget == 0);
            CHECK(weft_stopping());
        }
        CHECK_EQ(weft_sleep(1).code, WEFT_E_INTERRUPTED);
    }
    CHECK_EQ(around.code, WEFT_E_INTERRUPTED);
    /* Shielded it did what it had to: it says so, unless its time was over. */
    CHECK_EQ(inside.code, budget ? WEFT_E_TIMEOUT : WEFT_E_INTERRUPTED);
    return 1;
}
static void shields(void *arg) {
    (void)arg;
    for (int budget = 0; budget <= 2; budget += 2) {
        shielded_fiber f;
        none_yet();
        weft_time start = weft_now();
        CHECK(weft_ok(weft_spawn(&f, shielded, weft_s(budget))));
        CHECK(weft_ok(weft_sleep(weft_s(1))));
        CHECK(weft_ok(weft_interrupt(f, "stop")));
        CHECK_EQ(weft_now() - start, budget ? weft_s(2) : weft_s(5));
        CHECK_EQ(weft_fiber_status(f.handle), WEFT_STATUS_CANCELLED);
        CHECK_EQ(stopped, budget ? 1 : 0);
        weft_drop(f);
    }
}
TEST(a_shield_keeps_an_interrupt_out_for_as_long_as_it_may) { often(WEFT_CLOCK_AUTO, shields, 50); }

static void shield_keeps_deadline_out(void *arg) {
    (void)arg;
    weft_exit a, b;
    WEFT_SCOPE(outer, &a, .timeout = weft_s(1)) {
        WEFT_SCOPE(inner, &b, .shield = true) {
            CHECK_EQ(weft_deadline(), WEFT_FOREVER);
            CHECK(weft_ok(weft_sleep(weft_s(3))));
        }
    }
    CHECK_EQ(weft_now(), weft_s(3));
    CHECK_EQ(a.code, WEFT_E_TIMEOUT); /* noticed by the end of the inner one */
    CHECK_EQ(b.tag, WEFT_EXIT_INTERRUPT);
}
TEST(a_shield_keeps_an_outer_deadline_out) { on_clock(WEFT_CLOCK_AUTO, shield_keeps_deadline_out); }

TEST_MAIN
