/* Abort clauses: what becomes of the body, of what it holds and of its children, and who may end it.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/handler_effects.h"
#include <weft/sync.h>

#define STOPPING(self) WEFT_HANDLER((self), WEFT_ABORT(stop, on_stop))
#define STOPPING_SHARED(self) WEFT_SHARED_HANDLER((self), WEFT_ABORT(stop, on_stop))

static weft_exit stops(long with) {
    weft_exit e = weft_perform(stop, NULL, with);
    CHECK(is_aborted(e));
    return e;
}

/* ---- the body ------------------------------------------------------------------------------------------- */

static _Atomic int returned; /* frames */
static long recurses(int n);
WEFT_TASK(recurses, long, int);
static long recurses(int n) {
    long r = 0;
    if (n == 0)
        stops(42);
    else
        r = recurses(n - 1);
    returned++;
    return r + 1;
}
static void answers(void *arg) {
    long r = -1, self = 1000;
    (void)arg;
    weft_handler h = STOPPING(&self);
    returned = 0;
    CHECK(weft_ok(weft_handle(&h, recurses, &r, 20)));
    CHECK_EQ(r, 1042);
    CHECK_EQ(returned, 21);
    CHECK(weft_ok(weft_checkpoint())); /* the caller is not asked to stop */
    CHECK(!weft_stopping());
}
TEST(an_abort_ends_the_body_by_returning_and_its_clause_answers) { everywhere(answers); }

static weft_exit says_no(const stop_op *op, void *answer, void *self) {
    (void)answer;
    ++*(int *)self;
    return (weft_exit){WEFT_EXIT_FAIL, (int)op->with, NULL};
}
static long stops_and_fails(int code);
WEFT_TASK(stops_and_fails, long, int);
static long stops_and_fails(int code) {
    stops(320);
    weft_failf(code, "besides");
    return 1;
}
static void answers_with_failure(void *arg) {
    long r = -1;
    int calls = 0;
    char text[400];
    (void)arg;
    weft_handler h = WEFT_HANDLER(&calls, WEFT_ABORT(stop, says_no)), good = STOPPING(NULL);
    weft_exit e = weft_handle(&h, recurses, &r, 0);
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, 42);
    CHECK_EQ(r, -1);
    e = weft_handle(&h, stops_and_fails, &r, 321);
    CHECK_EQ(e.code, 320);
    CHECK(!arg || strstr(weft_exit_render(e, text, sizeof text), "besides")); /* attached */
    weft_exit_drop(e);
    CHECK(weft_ok(weft_handle(&good, stops_and_fails, &r, 321))); /* the clause answers for it */
    CHECK_EQ(r, 320);
    CHECK_EQ(calls, 2);
}
static void answers_with_failure_here(void *arg) { (void)arg, answers_with_failure(""); }
TEST(what_an_abort_clause_returns_is_what_handling_returns) {
    answers_with_failure(NULL);
    on_clock(WEFT_CLOCK_AUTO, answers_with_failure_here);
}

static long twice_over(int n);
WEFT_TASK(twice_over, long, int);
static long twice_over(int n) {
    stops(1);
    stops(2);
    CHECK(is_aborted(weft_perform(halt, NULL, 3)));
    return n;
}
static void second_ignored(void *arg) {
    long r = 0;
    (void)arg;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ABORT(stop, on_stop), WEFT_ABORT(halt, on_halt));
    CHECK(weft_ok(weft_handle(&h, twice_over, &r, 5)));
    CHECK_EQ(r, 1);
}
TEST(a_second_abort_is_ignored) { everywhere(second_ignored); }

/* The payload is the performer's frame's; the clause gets a copy. */
WEFT_EFFECT(stop_with, char, char text[40]; long numbers[8];);
static weft_exit on_stop_with(const stop_with_op *op, void *answer, void *self) {
    (void)self;
    CHECK(!strcmp(op->text, "what is in a frame that is gone"));
    long sum = 0;
    for (int i = 0; i < 8; i++) sum += op->numbers[i];
    *(long *)answer = sum;
    return weft_done;
}
static long stops_with(int n);
WEFT_TASK(stops_with, long, int);
static long stops_with(int n) {
    CHECK(is_aborted(weft_perform(stop_with, NULL, "what is in a frame that is gone", {1, 2, 3, 4, 5, 6, 7, n})));
    return 0;
}
static void payloads(void *arg) {
    long r = 0;
    (void)arg;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ABORT(stop, on_stop), WEFT_ABORT(stop_with, on_stop_with));
    CHECK(weft_ok(weft_handle(&h, stops_with, &r, 100)));
    CHECK_EQ(r, 128);
}
TEST(an_abort_clause_gets_a_copy_of_what_was_performed) { everywhere(payloads); }

/* The clause runs outside of its handler, after the body, on the handler's fiber. */
static weft_exit asks_then_stops(const stop_op *op, void *answer, void *self) {
    CHECK(weft_ok(weft_checkpoint()));
    CHECK_EQ(returned, *(int *)self);
    *(long *)answer = op->with + asked();
    return weft_perform(halt, NULL, 7); /* further out */
}
static long stops_twice(int n);
WEFT_TASK(stops_twice, long, int);
static long stops_twice(int n) {
    weft_handler inner[] = {NUMBERED(8), WEFT_HANDLER(&n, WEFT_TAIL(who, on_who), WEFT_ABORT(stop, asks_then_stops))};
    long r = 0;
    inner[1].self = &n;
    returned = 0;
    weft_exit e = weft_handle_list(inner, 2, recurses, &r, n - 1);
    CHECK(is_aborted(e));
    CHECK_EQ(r, 50);
    return 0;
}
static void clause_outside(void *arg) {
    long r = 0;
    (void)arg;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ABORT(halt, on_halt));
    CHECK(weft_ok(weft_handle(&h, stops_twice, &r, 3)));
    CHECK_EQ(r, 70);
}
TEST(an_abort_clause_runs_after_its_body_and_outside_of_its_handler) { everywhere(clause_outside); }

/* Several nested: what is within the ended body is over, too. */
static bool on_fiber(void) { return weft_self().fiber || thread_fiber(); }
static _Atomic int ended_inside;
static long through(int n);
WEFT_TASK(through, long, int);
static long through(int n) {
    if (n == 0) return stops(5).code;
    weft_handler h[] = {NUMBERED(n), WEFT_HANDLER(NULL, WEFT_ABORT(halt, on_halt))};
    long r = -1;
    weft_exit e = weft_handle_list(h, 2, through, &r, n - 1);
    if (on_fiber()) { /* a thread cannot be asked to stop */
        CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
        CHECK_EQ(r, -1);
        if (n < 10) CHECK_EQ(weft_checkpoint().tag, WEFT_EXIT_INTERRUPT); /* the others know by e alone */
    }
    ended_inside++;
    return 0;
}
static void through_several(void *arg) {
    long r = 0;
    (void)arg;
    ended_inside = 0;
    weft_handler h = STOPPING(NULL);
    CHECK(weft_ok(weft_handle(&h, through, &r, 10)));
    CHECK_EQ(r, 5);
    CHECK_EQ(ended_inside, 10);
    CHECK(weft_ok(weft_checkpoint()));
    CHECK(weft_ok(weft_handle(&h, through, &r, 200))); /* on several stacks */
    CHECK_EQ(ended_inside, 210);
    CHECK(weft_ok(weft_checkpoint()));
}
TEST(an_abort_ends_all_handlers_within_its_own_as_interrupts) { everywhere(through_several); }

/* ---- what the body waits for, and holds ----------------------------------------------------------------- */

static _Atomic int finalized;
static weft_exit finalizes(void *arg) {
    CHECK(weft_ok(weft_sleep(weft_ms(1)))); /* shielded */
    finalized += *(int *)arg;
    return fine;
}
static int sleeps_long(int n);
WEFT_TASK(sleeps_long, int, int);
static _Atomic int stopped_sleepers;
static int sleeps_long(int n) {
    if (!weft_ok(weft_sleep(weft_s(1000)))) atomic_fetch_add(&stopped_sleepers, 1);
    return n;
}
static weft_exit after_all(const stop_op *op, void *answer, void *self) {
    CHECK_EQ(finalized, 11);
    CHECK_EQ(stopped_sleepers, 2);
    *(long *)answer = op->with;
    return (void)self, weft_done;
}
static long holds(int n);
WEFT_TASK(holds, long, int);
static long holds(int n) {
    int one = 1, ten = 10;
    weft_exit outer, inner;
    WEFT_SCOPE(a, &outer) {
        weft_defer(a, finalizes, &one, 0);
        CHECK(weft_ok(weft_spawn((sleeps_long_fiber *)NULL, sleeps_long, 1)));
        WEFT_SCOPE(b, &inner) {
            weft_defer(b, finalizes, &ten, 0);
            CHECK(weft_ok(weft_spawn((sleeps_long_fiber *)NULL, sleeps_long, 1)));
            CHECK(weft_ok(weft_sleep(weft_ms(1)))); /* both have begun */
            stops(n);
            CHECK_EQ(weft_sleep(weft_s(1)).tag, WEFT_EXIT_INTERRUPT);
            CHECK_EQ(weft_yield().tag, WEFT_EXIT_INTERRUPT);
            CHECK_EQ(weft_checkpoint().tag, WEFT_EXIT_INTERRUPT);
            CHECK(weft_stopping());
        }
        CHECK_EQ(inner.tag, WEFT_EXIT_INTERRUPT);
    }
    CHECK_EQ(outer.tag, WEFT_EXIT_INTERRUPT);
    return 0;
}
static void scopes_end(void *arg) {
    long r = 0;
    (void)arg;
    finalized = 0;
    stopped_sleepers = 0;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ABORT(stop, after_all));
    CHECK(weft_ok(weft_handle(&h, holds, &r, 42)));
    CHECK_EQ(r, 42);
    CHECK(weft_ok(weft_sleep(weft_ms(1)))); /* the caller goes on */
}
TEST(scopes_in_the_body_cancel_wait_and_finalize_before_the_clause) { on_clock(WEFT_CLOCK_AUTO, scopes_end); }

static long masked(int n);
WEFT_TASK(masked, long, int);
static long masked(int n) {
    weft_mask m;
    weft_mask_begin(&m);
    stops(n);
    CHECK(weft_ok(weft_sleep(weft_ms(1)))); /* not noticed */
    weft_mask_end(&m);
    CHECK_EQ(weft_sleep(weft_ms(1)).tag, WEFT_EXIT_INTERRUPT);
    return 0;
}
static void in_a_mask(void *arg) {
    long r = 0;
    (void)arg;
    weft_handler h = STOPPING(NULL);
    CHECK(weft_ok(weft_handle(&h, masked, &r, 6)));
    CHECK_EQ(r, 6);
}
TEST(a_mask_in_the_body_puts_an_abort_off) { on_clock(WEFT_CLOCK_AUTO, in_a_mask); }

/* ---- who is told ---------------------------------------------------------------------------------------- */

static long told(int n);
WEFT_TASK(told, long, int);
static long told(int n) {
    long r = 0;
    weft_handler h = STOPPING(NULL);
    CHECK(weft_ok(weft_handle(&h, recurses, &r, n)));
    CHECK_EQ(r, 42);
    return 7;
}
static void not_told(void *arg) {
    told_fiber f;
    long a = 0, b = 0;
    (void)arg;
    CHECK(weft_ok(weft_zip_par(WEFT_BR(told, &a, 3), WEFT_BR(told, &b, 2)))); /* neither branch was stopped */
    CHECK_EQ(a + b, 14);
    CHECK(weft_ok(weft_spawn(&f, told, 1)));
    CHECK(weft_ok(weft_await(f, told, &a)));
    weft_drop(f);
}
TEST(the_caller_of_a_handled_abort_was_not_told_to_stop) { on_clock(WEFT_CLOCK_AUTO, not_told); }

static long waits(int ms);
WEFT_TASK(waits, long, int);
static long waits(int ms) {
    weft_exit e = weft_sleep(weft_ms(ms));
    return weft_ok(e) ? 1 : -1;
}
static long is_interrupted(int ms);
WEFT_TASK(is_interrupted, long, int);
static long is_interrupted(int ms) {
    long r = 5;
    weft_handler h = STOPPING(NULL);
    weft_exit e = weft_handle(&h, waits, &r, ms);
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(r, 5);
    return 0;
}
static void interrupted(void *arg) {
    is_interrupted_fiber f;
    (void)arg;
    CHECK(weft_ok(weft_spawn(&f, is_interrupted, 1000)));
    weft_sleep(weft_ms(1));
    CHECK(weft_ok(weft_interrupt(f, "stop")));
    CHECK_EQ(weft_await(f, is_interrupted, NULL).tag, WEFT_EXIT_INTERRUPT);
    weft_drop(f);
}
TEST(a_body_that_is_interrupted_from_outside_is_an_interrupt) { on_clock(WEFT_CLOCK_AUTO, interrupted); }

/* Both at once: the clause answers, and the fiber is interrupted all the same. */
static long stops_late(int ms);
WEFT_TASK(stops_late, long, int);
static long stops_late(int ms) {
    weft_exit e = weft_sleep(weft_ms(ms));
    stops(weft_ok(e) ? 1 : 2);
    return 0;
}
static long races(int ms);
WEFT_TASK(races, long, int);
static long races(int ms) {
    long r = 0;
    weft_handler h = STOPPING(NULL);
    CHECK(weft_ok(weft_handle(&h, stops_late, &r, ms)));
    CHECK(r == 1 || r == 2);
    if (r == 2) CHECK_EQ(weft_checkpoint().tag, WEFT_EXIT_INTERRUPT);
    return r;
}
static void racing(void *arg) {
    (void)arg;
    for (int ms = 1; ms <= 3; ms++) {
        races_fiber f;
        long r = 0;
        CHECK(weft_ok(weft_spawn(&f, races, ms)));
        weft_sleep(weft_ms(2));
        CHECK(weft_ok(weft_interrupt(f, "stop")));
        weft_exit e = weft_await(f, races, &r);
        if (ms == 1) CHECK(weft_ok(e) && r == 1);
        if (ms == 3) CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
        weft_drop(f);
    }
}
TEST(an_abort_that_races_with_an_interrupt_is_answered_by_its_clause) { often(WEFT_CLOCK_AUTO, racing, 20); }

static weft_exit times_out(void *arg) {
    weft_handler h = STOPPING(NULL);
    return weft_handle(&h, stops_late, (long *)arg, 100);
}
static void deadlines(void *arg) {
    long r = 0;
    (void)arg;
    CHECK_EQ(weft_timeout(weft_ms(10), times_out, &r).code, WEFT_E_TIMEOUT); /* somebody inside noticed */
    CHECK_EQ(r, 2);
    CHECK(weft_ok(weft_timeout(weft_ms(1000), times_out, &r)));
    CHECK_EQ(r, 1);
    weft_exit e;
    weft_handler h = STOPPING(NULL);
    WEFT_SCOPE(s, &e, .timeout = weft_ms(5)) {
        CHECK_EQ(weft_handle(&h, waits, &r, 50).tag, WEFT_EXIT_INTERRUPT);
        CHECK(weft_ok(weft_handle(&h, stops_late, &r, 0)));
        CHECK_EQ(r, 2);
    }
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK(weft_ok(weft_checkpoint()));
}
TEST(an_abort_after_a_deadline_is_answered_by_its_clause) { on_clock(WEFT_CLOCK_AUTO, deadlines); }

TEST_MAIN
