/* Scopes: how they are left, what their children do to them, deadlines, shields, finalizers, arenas.
 *
 * Time is virtual (it stands still while anything can run), so each time below is exact on any number of workers.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/runs.h"
#include <pthread.h>
#include <stdatomic.h>
#include <weft/promise.h>
#include <weft/scope.h>

static const weft_exit fine = {WEFT_EXIT_OK, 0, NULL};

/* ---- children ------------------------------------------------------------------------------------------- */

static _Atomic int begun, ended, stopped; /* of the children below */

static void none_yet(void) {
    atomic_store(&begun, 0);
    atomic_store(&ended, 0);
    atomic_store(&stopped, 0);
}

/* Sleeps; says whether it was stopped. */
static int sleeper(weft_duration d);
WEFT_TASK(sleeper, int, weft_duration);
static int sleeper(weft_duration d) {
    atomic_fetch_add(&begun, 1);
    if (!weft_ok(weft_sleep(d))) atomic_fetch_add(&stopped, 1);
    atomic_fetch_add(&ended, 1);
    return 7;
}

/* Computes and ends. */
static int counter(int by);
WEFT_TASK(counter, int, int);
static int counter(int by) {
    atomic_fetch_add(&ended, by);
    return by;
}

/* Fails after a time. */
typedef struct failing {
    weft_duration after;
    int code;
} failing;
static int failer(failing what);
WEFT_TASK(failer, int, failing);
static int failer(failing what) {
    atomic_fetch_add(&begun, 1);
    if (what.after && !weft_ok(weft_sleep(what.after))) {
        atomic_fetch_add(&stopped, 1);
        return 0;
    }
    weft_failf(what.code, "failure number %d", what.code);
    return 0;
}

/* Needs a time to clean up once it is stopped; may fail meanwhile. */
static int slow_to_stop(failing cleanup);
WEFT_TASK(slow_to_stop, int, failing);
static int slow_to_stop(failing cleanup) {
    atomic_fetch_add(&begun, 1);
    weft_exit e = weft_sleep(weft_s(1000));
    CHECK_EQ(e.code, WEFT_E_INTERRUPTED);
    atomic_fetch_add(&stopped, 1);
    WEFT_SCOPE(s, NULL, .shield = true) CHECK(weft_ok(weft_sleep(cleanup.after)));
    atomic_fetch_add(&ended, 1);
    if (cleanup.code) weft_failf(cleanup.code, "while cleaning up");
    return 0;
}

static void spawn_sleeper(weft_duration d) { CHECK(weft_ok(weft_spawn((sleeper_fiber *)NULL, sleeper, d))); }
static void spawn_failer(weft_duration after, int code) {
    CHECK(weft_ok(weft_spawn((failer_fiber *)NULL, failer, after, code)));
}

static int leaves_with_code(const weft_cause *c, int code) {
    if (!c) return 0;
    if (c->kind <= WEFT_CAUSE_INTERRUPT) return c->code == code;
    return leaves_with_code(c->first, code) + (c->second ? leaves_with_code(c->second, code) : 0);
}

/* ---- leaving -------------------------------------------------------------------------------------------- */

static void ends_normally(void *arg) {
    (void)arg;
    weft_exit e = {WEFT_EXIT_DIE, 1, NULL};
    none_yet();
    WEFT_SCOPE(s, &e) {
        spawn_sleeper(weft_s(7));
        CHECK(weft_ok(weft_start(s, sleeper, weft_s(5))));
        CHECK(weft_ok(weft_start(s, counter, 10)));
    }
    CHECK(weft_ok(e) && !e.cause);
    CHECK_EQ(weft_now(), weft_s(7));
    CHECK_EQ(ended, 12);
    CHECK_EQ(stopped, 0);
}
TEST(the_end_of_a_scope_waits_for_its_children) { on_clock(WEFT_CLOCK_AUTO, ends_normally); }

static void empty(void *arg) {
    (void)arg;
    weft_exit e = {WEFT_EXIT_DIE, 1, NULL};
    WEFT_SCOPE(s, &e) {}
    CHECK(weft_ok(e) && e.code == 0 && !e.cause);
    WEFT_SCOPE(s, NULL) {}
    weft_exit f = {WEFT_EXIT_DIE, 1, NULL};
    WEFT_SCOPE(s, &f, .name = "named", .policy = WEFT_COLLECT, .shield = true, .timeout = weft_s(1), .grace = 1) {}
    CHECK(weft_ok(f));
    CHECK_EQ(pending(), 0);
}
TEST(an_empty_scope_ends_well) { on_clock(WEFT_CLOCK_AUTO, empty); }

typedef enum way { RETURN, BREAK, GOTO, CONTINUE } way;

/* The children run before the scope is left: they sleep. */
static int leaves_by(way how) {
    weft_exit e = fine;
    WEFT_SCOPE(s, &e) {
        spawn_sleeper(weft_s(100));
        weft_start(s, sleeper, weft_s(50));
        CHECK(weft_ok(weft_sleep(weft_s(1))));
        CHECK_EQ(begun, 2);
        if (how == RETURN) return 1;
        if (how == BREAK) break;
        if (how == GOTO) goto out;
        if (how == CONTINUE) continue;
    }
    CHECK(e.tag == (how == BREAK ? (unsigned)WEFT_EXIT_INTERRUPT : (unsigned)WEFT_EXIT_OK));
    return 2;
out:
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    return 3;
}
static void leaves_early(void *arg) {
    (void)arg;
    static const int expected[] = {1, 2, 3};
    for (way how = RETURN; how <= GOTO; how++) {
        none_yet();
        weft_time before = weft_now();
        CHECK_EQ(leaves_by(how), expected[how]);
        CHECK_EQ(weft_now() - before, weft_s(1));
        CHECK_EQ(ended, 2);
        CHECK_EQ(stopped, 2);
    }
}
TEST(return_break_and_goto_cancel_the_children_and_wait_for_them) { on_clock(WEFT_CLOCK_AUTO, leaves_early); }

static void continues(void *arg) {
    (void)arg;
    none_yet();
    CHECK_EQ(leaves_by(CONTINUE), 2);
    CHECK_EQ(weft_now(), weft_s(100));
    CHECK_EQ(stopped, 0);
    CHECK_EQ(ended, 2);
}
TEST(continue_leaves_a_scope_as_its_end_does) { on_clock(WEFT_CLOCK_AUTO, continues); }

static void unstarted(void *arg) {
    (void)arg;
    none_yet();
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        for (int i = 0; i < 10; i++) weft_start(s, counter, 1);
        break;
    }
    CHECK(ended == 0 || others_run_ahead());
    none_yet();
    WEFT_SCOPE(s, &e) {
        for (int i = 0; i < 10; i++) spawn_sleeper(weft_s(1));
        break;
    }
    CHECK_EQ(begun, ended);
    CHECK(begun == 0 || others_run_ahead());
    CHECK_EQ(weft_now(), 0);
}
TEST(children_of_a_scope_left_early_are_not_started) { on_clock(WEFT_CLOCK_AUTO, unstarted); }

static int out_of_three(void) {
    WEFT_SCOPE(a, NULL) {
        spawn_sleeper(weft_s(100));
        WEFT_SCOPE(b, NULL) {
            spawn_sleeper(weft_s(100));
            weft_mask m;
            weft_mask_begin(&m);
            WEFT_SCOPE(c, NULL) {
                spawn_sleeper(weft_s(100));
                weft_sleep(weft_s(1));
                CHECK_EQ(weft_mask_end(&m), WEFT_E_UNBALANCED);
            }
            CHECK_EQ(weft_mask_end(&m), WEFT_OK);
            WEFT_SCOPE(c, NULL) {
                spawn_sleeper(weft_s(100));
                weft_sleep(weft_s(1));
                return 1;
            }
        }
    }
    return 0;
}
static void nested(void *arg) {
    (void)arg;
    none_yet();
    CHECK_EQ(out_of_three(), 1);
    CHECK_EQ(ended, 4);
    CHECK_EQ(weft_now(), weft_s(101)); /* the masked inner one waited for its own */
}
TEST(a_return_leaves_all_scopes_around_it_from_the_inside_out) { on_clock(WEFT_CLOCK_AUTO, nested); }

static void inner_first(void *arg) {
    (void)arg;
    weft_exit outer, inner;
    none_yet();
    WEFT_SCOPE(a, &outer) {
        weft_start(a, sleeper, weft_s(3));
        WEFT_SCOPE(b, &inner) weft_start(b, sleeper, weft_s(2));
        CHECK(weft_ok(inner));
        CHECK_EQ(ended, 1);
        CHECK_EQ(weft_now(), weft_s(2));
    }
    CHECK(weft_ok(outer));
    CHECK_EQ(weft_now(), weft_s(3));
}
TEST(an_inner_scope_waits_for_its_own_children_only) { on_clock(WEFT_CLOCK_AUTO, inner_first); }

static void forgets_join(void *arg) {
    (void)arg;
    WEFT_SCOPE(s, NULL) {
        counter_task t;
        weft_fork(&t, counter, 1);
    }
}
static void forgets_join_in_run(void *arg) { weft_run(&WEFT_OPTIONS(.workers = *(unsigned *)arg), forgets_join, NULL); }
TEST(a_join_forgotten_inside_a_scope_ends_the_program) {
    for (unsigned n = 1; n <= 2; n++)
        EXPECT_DEATH(forgets_join_in_run, &n, SIGABRT, "a scope ended with a forked child");
}

static void forgets_mask_end(void *arg) {
    (void)arg;
    weft_mask m;
    WEFT_SCOPE(s, NULL) weft_mask_begin(&m);
}
static void forgets_mask_in_run(void *arg) { weft_run(&WEFT_OPTIONS(.workers = *(unsigned *)arg), forgets_mask_end, NULL); }
TEST(a_mask_left_open_inside_a_scope_ends_the_program) {
    for (unsigned n = 1; n <= 2; n++) EXPECT_DEATH(forgets_mask_in_run, &n, SIGABRT, "scope");
}

/* ---- the function form ---------------------------------------------------------------------------------- */

static weft_exit starts_two(weft_scope *s, void *arg) {
    weft_start(s, sleeper, weft_s(2));
    spawn_sleeper(weft_s(3));
    return *(weft_exit *)arg;
}
static weft_exit fails(weft_scope *s, void *arg) {
    weft_start(s, sleeper, weft_s(20));
    spawn_sleeper(weft_s(30));
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    return weft_failf(300 + *(int *)arg, "fn failed %d", *(int *)arg);
}
static int calls_fails(int n);
WEFT_TASK(calls_fails, int, int);
static int calls_fails(int n) {
    weft_exit e = weft_scope_run(NULL, fails, &n);
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, 300 + n);
    CHECK(e.cause && strstr(e.cause->text, "fn failed"));
    return 0;
}
static void function_form(void *arg) {
    (void)arg;
    weft_exit ok = fine;
    none_yet();
    CHECK(weft_ok(weft_scope_run(NULL, starts_two, &ok)));
    CHECK_EQ(weft_now(), weft_s(3));
    CHECK_EQ(ended, 2);
    none_yet();
    calls_fails_fiber f;
    CHECK(weft_ok(weft_spawn(&f, calls_fails, 4)));
    CHECK_EQ(weft_await(f, calls_fails, NULL).code, 304); /* weft_failf is its failure, too */
    weft_drop(f);
    CHECK_EQ(stopped, 2);
    CHECK_EQ(weft_now(), weft_s(4));
}
TEST(the_function_form_ends_as_the_statement_does_and_its_own_failure_counts) {
    on_clock(WEFT_CLOCK_AUTO, function_form);
}

static weft_exit never(weft_scope *s, void *arg) {
    (void)s, (void)arg;
    abort();
}
static void invalid(void *arg) {
    (void)arg;
    weft_exit e = fine;
    WEFT_SCOPE(s, &e, .timeout = -1) abort();
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, WEFT_E_INVALID);
    e = fine;
    WEFT_SCOPE(s, &e, .grace = -1) abort();
    CHECK_EQ(e.code, WEFT_E_INVALID);
    WEFT_SCOPE(s, NULL, .policy = (weft_policy)3) abort();
    CHECK_EQ(weft_scope_run(&(weft_scope_options){.timeout = -5}, never, NULL).code, WEFT_E_INVALID);
    WEFT_SCOPE(s, &e) CHECK_EQ(weft_defer(s, NULL, NULL, 0), WEFT_E_INVALID);
    CHECK(weft_ok(e));
}
TEST(options_out_of_range_skip_the_block) { on_clock(WEFT_CLOCK_AUTO, invalid); }

/* ---- failures ------------------------------------------------------------------------------------------- */

static void first_failure(void *arg) {
    (void)arg;
    none_yet();
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        spawn_sleeper(weft_s(100));
        weft_start(s, sleeper, weft_s(100));
        CHECK(weft_ok(weft_spawn((slow_to_stop_fiber *)NULL, slow_to_stop, weft_s(3), 301)));
        spawn_failer(weft_s(1), 300);
        weft_exit mine = weft_sleep(weft_s(100)); /* the owner's block is stopped as well */
        CHECK_EQ(mine.tag, WEFT_EXIT_INTERRUPT);
        CHECK_EQ(weft_now(), weft_s(1));
    }
    CHECK_EQ(weft_now(), weft_s(4));
    CHECK_EQ(ended, 3);
    CHECK_EQ(stopped, 3);
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, 300);
    CHECK(e.cause && e.cause->kind == WEFT_CAUSE_BOTH);
    CHECK_EQ(leaves_with_code(e.cause, 300), 1);
    CHECK_EQ(leaves_with_code(e.cause, 301), 1);
    CHECK(!weft_cause_has(e.cause, WEFT_CAUSE_INTERRUPT)); /* who was stopped has not failed */
    CHECK(weft_ok(weft_checkpoint()));
}
TEST(the_first_failure_cancels_the_others_and_those_that_follow_are_attached) {
    often(WEFT_CLOCK_AUTO, first_failure, 50);
}

/* Started children that fail: called here, or taken by another stack while the owner sleeps. */
static void started_fails(void *arg) {
    (void)arg;
    for (int taken = 0; taken <= 1; taken++) {
        weft_exit e;
        none_yet();
        WEFT_SCOPE(s, &e) {
            for (int i = 0; i < 5; i++) weft_start(s, counter, 1);
            weft_start(s, failer, .code = 300);
            if (taken) weft_sleep(weft_s(1));
        }
        CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
        CHECK_EQ(e.code, 300);
        CHECK(strstr(e.cause->text, "failure number 300"));
        CHECK(weft_ok(weft_checkpoint())); /* the failure is the child's, not its owner's */
        weft_exit_drop(e);
    }
}
static int outlives(int n);
WEFT_TASK(outlives, int, int);
static int outlives(int n) {
    started_fails(NULL);
    return n;
}
static void started_fails_in_fiber(void *arg) {
    started_fails(arg);
    outlives_fiber f;
    int n = 0;
    CHECK(weft_ok(weft_spawn(&f, outlives, 5)));
    CHECK(weft_ok(weft_await(f, outlives, &n))); /* it did not fail itself */
    CHECK_EQ(n, 5);
    weft_drop(f);
}
TEST(a_failing_started_child_fails_its_scope_and_not_its_fiber) { often(WEFT_CLOCK_AUTO, started_fails_in_fiber, 50); }

static void supervised(void *arg) {
    (void)arg;
    none_yet();
    weft_exit e;
    WEFT_SCOPE(s, &e, .policy = WEFT_SUPERVISE) {
        spawn_sleeper(weft_s(5));
        spawn_failer(weft_s(1), 300);
        weft_start(s, failer, weft_s(2), 301);
        weft_start(s, failer, .code = 302);
    }
    CHECK(weft_ok(e));
    CHECK_EQ(weft_now(), weft_s(5));
    CHECK_EQ(stopped, 0);
    CHECK_EQ(ended, 1);
}
TEST(failures_of_supervised_children_concern_nobody_else) { on_clock(WEFT_CLOCK_AUTO, supervised); }

static void collected(void *arg) {
    (void)arg;
    none_yet();
    weft_exit e;
    WEFT_SCOPE(s, &e, .policy = WEFT_COLLECT) {
        spawn_sleeper(weft_s(5));
        spawn_failer(weft_s(1), 300);
        weft_start(s, failer, weft_s(2), 301);
        spawn_failer(weft_s(3), 302);
    }
    CHECK_EQ(e.code, 300);
    for (int code = 300; code <= 302; code++) CHECK_EQ(leaves_with_code(e.cause, code), 1);
    CHECK_EQ(weft_now(), weft_s(5));
    CHECK_EQ(stopped, 0);
}
TEST(collected_failures_cancel_nobody_and_are_all_reported) { on_clock(WEFT_CLOCK_AUTO, collected); }

static int dies(int code);
WEFT_TASK(dies, int, int);
static int dies(int code) {
    weft_die(code, "a rule was broken");
    return 0;
}
static void defects(void *arg) {
    (void)arg;
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        CHECK(weft_ok(weft_spawn((dies_fiber *)NULL, dies, 400)));
        spawn_sleeper(weft_s(9));
    }
    CHECK_EQ(e.tag, WEFT_EXIT_DIE);
    CHECK_EQ(e.code, 400);
    CHECK_EQ(weft_now(), 0);
}
TEST(a_defect_is_a_failure_too) { on_clock(WEFT_CLOCK_AUTO, defects); }

static int waits_for_stopped(int n);
WEFT_TASK(waits_for_stopped, int, int);
static int waits_for_stopped(int n) {
    sleeper_fiber f;
    CHECK(weft_ok(weft_spawn_with(&f, sleeper, {.detached = true}, weft_s(100))));
    weft_interrupt_async(f, "enough");
    weft_exit e = weft_expect(f, sleeper, NULL);
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    weft_drop(f);
    return n;
}
/* As a spawned one does, a started one that ends with an interrupt does not fail its scope. */
static void interrupted_is_no_failure(void *arg) {
    (void)arg;
    for (int how = 0; how < 3; how++) {
        weft_exit e;
        none_yet();
        WEFT_SCOPE(s, &e) {
            if (how == 0) CHECK(weft_ok(weft_spawn((waits_for_stopped_fiber *)NULL, waits_for_stopped, 1)));
            if (how > 0) weft_start(s, waits_for_stopped, 1);
            if (how == 1) weft_sleep(weft_s(1)); /* so another stack takes it */
        }
        CHECK(weft_ok(e));
    }
}
TEST(a_child_that_ends_with_an_interrupt_has_not_failed) { on_clock(WEFT_CLOCK_AUTO, interrupted_is_no_failure); }

static int inner_early(int how) {
    WEFT_SCOPE(b, NULL) {
        CHECK(weft_ok(weft_spawn((slow_to_stop_fiber *)NULL, slow_to_stop, weft_s(1), 310)));
        weft_sleep(weft_s(1));
        if (how) return 1;
    }
    return 0;
}
static void suppressed(void *arg) {
    (void)arg;
    weft_exit e;
    none_yet();
    WEFT_SCOPE(a, &e) CHECK_EQ(inner_early(1), 1);
    CHECK(weft_ok(e)); /* nothing else happened: there is nothing to attach it to */
    CHECK_EQ(ended, 1);
    WEFT_SCOPE(a, &e) {
        CHECK_EQ(inner_early(1), 1);
        weft_start(a, failer, .code = 300);
    }
    CHECK_EQ(e.code, 300);
    CHECK(e.cause && e.cause->kind == WEFT_CAUSE_THEN);
    CHECK_EQ(leaves_with_code(e.cause, 310), 1);
    WEFT_SCOPE(a, &e) {
        CHECK_EQ(inner_early(1), 1);
        CHECK_EQ(inner_early(1), 1);
        weft_start(a, failer, .code = 300);
    }
    CHECK_EQ(leaves_with_code(e.cause, 310), 2);
}
TEST(failures_of_a_scope_left_early_are_attached_to_the_scope_around_it) { on_clock(WEFT_CLOCK_AUTO, suppressed); }

static void cancels_with_reason(void *arg) {
    (void)arg;
    weft_exit e;
    none_yet();
    WEFT_SCOPE(s, &e) {
        char reason[] = "the user went away";
        spawn_sleeper(weft_s(9));
        weft_sleep(weft_s(1));
        weft_scope_cancel(s, reason);
        weft_scope_cancel(s, "the second one does not count");
        memset(reason, 'x', sizeof reason - 1);
        weft_exit mine = weft_checkpoint();
        CHECK_EQ(mine.tag, WEFT_EXIT_INTERRUPT);
        CHECK_EQ(mine.code, WEFT_E_INTERRUPTED);
    }
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(e.code, WEFT_E_CANCELLED);
    CHECK(!strcmp(e.cause->text, "the user went away"));
    CHECK(strstr(e.cause->file, "scope_test.c"));
    CHECK_EQ(stopped, 1);
    CHECK(weft_ok(weft_checkpoint()));
    CHECK_EQ(weft_now(), weft_s(1));
    WEFT_SCOPE(s, &e) weft_scope_cancel(s, NULL); /* nobody noticed */
    CHECK(weft_ok(e));
}
TEST(a_cancelled_scope_says_who_and_why) { on_clock(WEFT_CLOCK_AUTO, cancels_with_reason); }

static int canceller(weft_scope *s);
WEFT_TASK(canceller, int, weft_scope *);
static int canceller(weft_scope *s) {
    weft_sleep(weft_s(1));
    weft_scope_cancel(s, "from within");
    CHECK_EQ(weft_sleep(weft_s(1)).tag, WEFT_EXIT_INTERRUPT);
    return 0;
}
static void cancelled_from_within(void *arg) {
    (void)arg;
    weft_exit e, inner;
    none_yet();
    WEFT_SCOPE(s, &e) {
        CHECK(weft_ok(weft_spawn((canceller_fiber *)NULL, canceller, s)));
        WEFT_SCOPE(t, &inner) {
            spawn_sleeper(weft_s(50));
            weft_start(t, sleeper, weft_s(60));
        }
        CHECK_EQ(inner.tag, WEFT_EXIT_INTERRUPT);
        CHECK_EQ(inner.code, WEFT_E_INTERRUPTED);
    }
    CHECK_EQ(stopped, 2);
    CHECK_EQ(e.code, WEFT_E_CANCELLED);
    CHECK(strstr(e.cause->who_name, "canceller"));
    CHECK_EQ(weft_now(), weft_s(1));
}
TEST(a_child_cancels_its_scope_and_all_inside) { often(WEFT_CLOCK_AUTO, cancelled_from_within, 50); }

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

/* ---- weft_timeout --------------------------------------------------------------------------------------- */

static weft_exit sleeps(void *arg) { return weft_sleep(*(weft_duration *)arg); }
static weft_exit computes(void *arg) { return (void)arg, fine; }
static weft_exit fails_itself(void *arg) {
    (void)arg;
    failer_fiber f;
    weft_exit e = weft_spawn_with(&f, failer, {.detached = true}, .code = 320);
    CHECK(weft_ok(e));
    e = weft_await(f, failer, NULL);
    weft_drop(f);
    return e;
}
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

/* ---- finalizers ----------------------------------------------------------------------------------------- */

static char order[64];
static int order_n;
static weft_exit notes(void *arg) {
    order[order_n++] = *(const char *)arg;
    order[order_n] = 0;
    return fine;
}
static weft_exit notes_late(void *arg) {
    CHECK(weft_ok(weft_sleep(weft_s(2)))); /* shielded */
    return notes(arg);
}
static weft_exit notes_and_fails(void *arg) {
    notes(arg);
    return (weft_exit){WEFT_EXIT_FAIL, 300 + *(const char *)arg, NULL};
}
static void fresh_order(void) { order_n = order[0] = 0; }

static void reverse(void *arg) {
    (void)arg;
    weft_exit e;
    fresh_order();
    none_yet();
    WEFT_SCOPE(s, &e) {
        CHECK_EQ(weft_defer(s, notes, "a", 0), WEFT_OK);
        CHECK_EQ(weft_defer(s, notes_late, "b", 0), WEFT_OK);
        CHECK_EQ(weft_defer(s, notes, "c", 0), WEFT_OK);
        spawn_sleeper(weft_s(1));
    }
    CHECK(weft_ok(e));
    CHECK(!strcmp(order, "cba"));
    CHECK_EQ(weft_now(), weft_s(3)); /* after the children */
    fresh_order();
    WEFT_SCOPE(s, &e) {
        weft_defer(s, notes, "a", 0);
        weft_defer(s, notes_late, "b", 0);
        spawn_sleeper(weft_s(100));
        break;
    }
    CHECK(!strcmp(order, "ba"));
    CHECK_EQ(weft_now(), weft_s(5));
}
TEST(finalizers_run_last_first_after_the_children_and_may_wait) { on_clock(WEFT_CLOCK_AUTO, reverse); }

static void errors_collected(void *arg) {
    (void)arg;
    weft_exit e;
    fresh_order();
    WEFT_SCOPE(s, &e) {
        weft_defer(s, notes_and_fails, "a", 0);
        weft_defer(s, notes, "b", 0);
        weft_defer(s, notes_and_fails, "c", 0);
    }
    CHECK(!strcmp(order, "cba"));
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, 300 + 'c');
    CHECK(e.cause->kind == WEFT_CAUSE_THEN);
    CHECK_EQ(leaves_with_code(e.cause, 300 + 'a'), 1);
    WEFT_SCOPE(s, &e) {
        weft_defer(s, notes_and_fails, "a", 0);
        weft_start(s, failer, .code = 300);
    }
    CHECK_EQ(e.code, 300); /* the first error stays the first */
    CHECK_EQ(leaves_with_code(e.cause, 300 + 'a'), 1);
    CHECK(weft_cause_has(e.cause, WEFT_CAUSE_THEN));
}
TEST(all_finalizers_run_and_their_errors_are_attached) { on_clock(WEFT_CLOCK_AUTO, errors_collected); }

static weft_exit fails_with_text(void *arg) { return weft_failf(330, "resource %d", *(int *)arg); }
static weft_exit only_says_so(void *arg) {
    weft_failf(331, "resource %d", *(int *)arg);
    return fine;
}
static weft_exit awaits_failure(void *arg) { return fails_itself(arg); }
static int finalizer_texts(int n);
WEFT_TASK(finalizer_texts, int, int);
static int finalizer_texts(int n) {
    weft_exit e;
    char text[300];
    WEFT_SCOPE(s, &e) weft_defer(s, fails_with_text, &n, 0);
    CHECK_EQ(e.code, 330);
    CHECK(strstr(weft_exit_format(e, text, sizeof text), "resource 9"));
    WEFT_SCOPE(s, &e) weft_defer(s, only_says_so, &n, 0);
    CHECK_EQ(e.code, 331);
    CHECK(strstr(weft_exit_format(e, text, sizeof text), "resource 9"));
    WEFT_SCOPE(s, &e) weft_defer(s, awaits_failure, NULL, 0);
    CHECK_EQ(e.code, 320);
    CHECK(strstr(weft_exit_format(e, text, sizeof text), "failure number 320"));
    return 0;
}
static void finalizer_texts_body(void *arg) {
    (void)arg;
    finalizer_texts_fiber f;
    CHECK(weft_ok(weft_spawn(&f, finalizer_texts, 9)));
    CHECK(weft_ok(weft_await(f, finalizer_texts, NULL))); /* failures of finalizers are the scope's */
    weft_drop(f);
}
TEST(a_finalizers_error_keeps_its_text) { on_clock(WEFT_CLOCK_AUTO, finalizer_texts_body); }

static weft_exit too_slow(void *arg) {
    notes(arg);
    weft_exit e = weft_sleep(weft_s(100));
    CHECK_EQ(e.code, WEFT_E_INTERRUPTED);
    return fine;
}
static void budgets(void *arg) {
    (void)arg;
    weft_exit e;
    fresh_order();
    WEFT_SCOPE(s, &e) {
        weft_defer(s, notes_late, "a", weft_s(3));
        weft_defer(s, too_slow, "b", weft_s(1));
        weft_defer(s, too_slow, "c", weft_s(2));
    }
    CHECK(!strcmp(order, "cba"));
    CHECK_EQ(weft_now(), weft_s(5));
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK(e.cause->kind == WEFT_CAUSE_THEN);
    CHECK_EQ(pending(), 0);
    WEFT_SCOPE(s, NULL) CHECK_EQ(weft_defer(s, notes, "x", -1), WEFT_E_INVALID);
    CHECK(!strcmp(order, "cba"));
}
TEST(each_finalizer_has_a_time_of_its_own) { on_clock(WEFT_CLOCK_AUTO, budgets); }

static int finalized(int n);
WEFT_TASK(finalized, int, int);
static int finalized(int n) {
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        weft_defer(s, notes_late, "a", 0);
        weft_defer(s, notes_late, "b", 0);
        weft_sleep(weft_s(100));
    }
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    return n;
}
static void finalizers_when_interrupted(void *arg) {
    (void)arg;
    finalized_fiber f;
    fresh_order();
    CHECK(weft_ok(weft_spawn(&f, finalized, 1)));
    weft_sleep(weft_s(1));
    CHECK(weft_ok(weft_interrupt(f, "stop"))); /* waits for them */
    CHECK(!strcmp(order, "ba"));
    CHECK_EQ(weft_now(), weft_s(5));
    weft_drop(f);
}
TEST(finalizers_of_an_interrupted_fiber_are_shielded_and_awaited) {
    often(WEFT_CLOCK_AUTO, finalizers_when_interrupted, 50);
}

static weft_exit has_children(void *arg) {
    weft_exit e;
    spawn_sleeper(weft_s(2)); /* belongs to the finalizer */
    WEFT_SCOPE(s, &e) {
        weft_start(s, sleeper, weft_s(3));
        spawn_sleeper(weft_s(1));
    }
    CHECK(weft_ok(e));
    return notes(arg);
}
static weft_exit has_failing_child(void *arg) {
    spawn_failer(weft_s(1), 340);
    return notes(arg);
}
static void finalizer_children(void *arg) {
    (void)arg;
    weft_exit e;
    fresh_order();
    none_yet();
    WEFT_SCOPE(s, &e) weft_defer(s, has_children, "a", 0);
    CHECK(weft_ok(e));
    CHECK_EQ(ended, 3);
    CHECK_EQ(stopped, 0);
    CHECK_EQ(weft_now(), weft_s(3));
    WEFT_SCOPE(s, &e) weft_defer(s, has_children, "b", weft_s(1)); /* its children are stopped with it */
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(weft_now(), weft_s(4));
    CHECK_EQ(ended, 6);
    WEFT_SCOPE(s, &e) weft_defer(s, has_failing_child, "c", 0);
    CHECK_EQ(e.code, 340);
}
static weft_exit has_children_in_time(void *arg) {
    spawn_sleeper(weft_s(2));
    weft_exit e;
    WEFT_SCOPE(s, &e) weft_start(s, sleeper, weft_s(3));
    return (void)arg, e;
}
static void finalizer_children_in_time(void *arg) {
    (void)arg;
    weft_exit e;
    none_yet();
    WEFT_SCOPE(s, &e) weft_defer(s, has_children_in_time, NULL, weft_s(1));
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_now(), weft_s(1));
    CHECK_EQ(stopped, 2);
}
TEST(children_of_a_finalizer_belong_to_it_and_its_budget) {
    (void)finalizer_children;
    on_clock(WEFT_CLOCK_AUTO, finalizer_children_in_time);
}

static weft_exit defers_more(void *arg) {
    weft_scope *s = arg;
    CHECK_EQ(weft_defer(s, notes, "x", 0), WEFT_OK);
    notes("y");
    weft_exit e = weft_start(s, counter, 1);
    CHECK_EQ(e.code, WEFT_E_ENDED);
    counter_fiber f;
    e = weft_spawn_with(&f, counter, {.scope = s}, 1);
    CHECK_EQ(e.code, WEFT_E_ENDED);
    CHECK_EQ(weft_drop(f), WEFT_E_STALE);
    return fine;
}
static void late_defer(void *arg) {
    (void)arg;
    weft_exit e;
    fresh_order();
    none_yet();
    WEFT_SCOPE(s, &e) {
        weft_defer(s, notes, "a", 0);
        weft_defer(s, defers_more, s, 0);
        weft_start(s, counter, 1);
    }
    CHECK(weft_ok(e));
    CHECK(!strcmp(order, "xya"));
    CHECK_EQ(ended, 1);
}
TEST(a_closed_scope_takes_no_children_and_runs_what_is_deferred_at_once) { on_clock(WEFT_CLOCK_AUTO, late_defer); }

/* Children add to their scope while others do. */
enum { DEFERS = 2000 };
static _Atomic int finalizers_run;
static weft_exit counts(void *arg) {
    (void)arg;
    atomic_fetch_add(&finalizers_run, 1);
    return fine;
}
static int defers_many(weft_scope *s);
WEFT_TASK(defers_many, int, weft_scope *);
static int defers_many(weft_scope *s) {
    for (int i = 0; i < DEFERS; i++) CHECK_EQ(weft_defer(s, counts, NULL, 0), WEFT_OK);
    return 0;
}
static void concurrent_defers(void *arg) {
    (void)arg;
    finalizers_run = 0;
    WEFT_SCOPE(s, NULL)
        for (int i = 0; i < 4; i++) CHECK(weft_ok(weft_spawn((defers_many_fiber *)NULL, defers_many, s)));
    CHECK_EQ(finalizers_run, 4 * DEFERS);
}
TEST(children_may_defer_at_the_same_time) { often(WEFT_CLOCK_AUTO, concurrent_defers, 20); }

/* ---- acquiring ------------------------------------------------------------------------------------------ */

static _Atomic int acquired, released;
static weft_exit acquire_slowly(void *arg, void **resource) {
    weft_exit e = weft_sleep(weft_s(2));
    CHECK(weft_ok(e)); /* masked */
    *resource = arg;
    atomic_fetch_add(&acquired, 1);
    return fine;
}
static weft_exit acquire_fails(void *arg, void **resource) {
    (void)arg, (void)resource;
    return (weft_exit){WEFT_EXIT_FAIL, 350, NULL};
}
static weft_exit acquire_awaits(void *arg, void **resource) {
    (void)resource;
    return fails_itself(arg);
}
static weft_exit release(void *resource) {
    CHECK(resource == &acquired);
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    atomic_fetch_add(&released, 1);
    return fine;
}
static int acquirer(int n);
WEFT_TASK(acquirer, int, int);
static int acquirer(int n) {
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        void *r = NULL;
        weft_exit got = weft_acquire(s, acquire_slowly, &acquired, release, 0, &r);
        CHECK(weft_ok(got));
        CHECK(r == &acquired);
        CHECK_EQ(weft_sleep(weft_s(10)).tag, WEFT_EXIT_INTERRUPT);
    }
    return n;
}
static void acquires(void *arg) {
    (void)arg;
    acquirer_fiber f;
    acquired = released = 0;
    CHECK(weft_ok(weft_spawn(&f, acquirer, 1)));
    weft_sleep(weft_s(1));
    CHECK(weft_ok(weft_interrupt(f, "while it acquires")));
    CHECK_EQ(acquired, 1);
    CHECK_EQ(released, 1);
    CHECK_EQ(weft_now(), weft_s(3));
    weft_drop(f);
    weft_exit e, got;
    WEFT_SCOPE(s, &e) {
        void *r = NULL;
        got = weft_acquire(s, acquire_fails, NULL, release, 0, &r);
        CHECK_EQ(got.code, 350);
        CHECK_EQ(weft_acquire(s, NULL, NULL, release, 0, &r).code, WEFT_E_INVALID);
        CHECK_EQ(weft_acquire(s, acquire_slowly, NULL, NULL, 0, &r).code, WEFT_E_INVALID);
    }
    CHECK(weft_ok(e));
    CHECK_EQ(released, 1); /* what was not acquired is not released */
}
TEST(acquiring_and_registering_the_release_are_one) { often(WEFT_CLOCK_AUTO, acquires, 50); }

static int acquire_with_cause(int n);
WEFT_TASK(acquire_with_cause, int, int);
static int acquire_with_cause(int n) {
    char text[300];
    WEFT_SCOPE(s, NULL) {
        void *r;
        weft_exit e = weft_acquire(s, acquire_awaits, NULL, release, 0, &r);
        CHECK_EQ(e.code, 320);
        CHECK(strstr(weft_exit_format(e, text, sizeof text), "failure number 320"));
    }
    return n;
}
static void acquire_with_cause_body(void *arg) {
    (void)arg;
    acquire_with_cause(1);
    acquire_with_cause_fiber f;
    CHECK(weft_ok(weft_spawn(&f, acquire_with_cause, 9)));
    CHECK(weft_ok(weft_await(f, acquire_with_cause, NULL)));
    weft_drop(f);
}
TEST(what_was_received_while_acquiring_lives_as_long_as_the_scope) { on_clock(WEFT_CLOCK_AUTO, acquire_with_cause_body); }

/* ---- the arena ------------------------------------------------------------------------------------------ */

static void arena(void *arg) {
    (void)arg;
    uint64_t live = weft__heap_live();
    WEFT_SCOPE(s, NULL) {
        char *all[500];
        for (size_t i = 0; i < 500; i++) {
            all[i] = weft_alloc(s, i * 7 + 1);
            CHECK(all[i] && (uintptr_t)all[i] % 16 == 0);
            memset(all[i], (int)i, i * 7 + 1);
        }
        for (size_t i = 0; i < 500; i++)
            for (size_t j = 0; j < i * 7 + 1; j += 11) CHECK(all[i][j] == (char)i);
        char *large = weft_alloc(s, (size_t)8 << 20);
        CHECK(large && (uintptr_t)large % 16 == 0);
        memset(large, 1, (size_t)8 << 20);
        CHECK(weft_alloc(s, SIZE_MAX) == NULL);
        CHECK(weft_alloc(s, SIZE_MAX - 20) == NULL);
        CHECK(weft_alloc(s, SIZE_MAX / 2 + 1) == NULL);
        CHECK(weft_alloc(s, 0) != NULL);
        CHECK(weft__heap_live() > live);
    }
    CHECK_EQ(weft__heap_live(), live);
    WEFT_SCOPE(s, NULL) {
        CHECK(weft_alloc(s, 100000) != NULL);
        break;
    }
    CHECK_EQ(weft__heap_live(), live);
}
TEST(what_is_allocated_in_a_scope_is_aligned_and_freed_at_its_end) { run_ends(&WEFT_OPTIONS(.workers = 1), arena, NULL, WEFT_OK); }

/* ---- who belongs to it ---------------------------------------------------------------------------------- */

static void daemons(void *arg) {
    (void)arg;
    weft_exit e;
    none_yet();
    WEFT_SCOPE(s, &e) {
        for (int i = 0; i < 3; i++)
            CHECK(weft_ok(weft_spawn_with((sleeper_fiber *)NULL, sleeper, {.daemon = true}, weft_s(1000))));
        spawn_sleeper(weft_s(2));
        weft_start(s, sleeper, weft_s(3));
    }
    CHECK(weft_ok(e));
    CHECK_EQ(weft_now(), weft_s(3));
    CHECK_EQ(ended, 5);
    CHECK_EQ(stopped, 3);
}
TEST(daemons_of_a_scope_are_stopped_when_the_others_have_ended) { on_clock(WEFT_CLOCK_AUTO, daemons); }

typedef struct handshake {
    weft_duration before;
    int fail; /* 1: before it has started, 2: right after */
} handshake;
static int server(handshake h);
WEFT_TASK(server, int, handshake);
static int server(handshake h) {
    if (!weft_ok(weft_sleep(h.before))) return -1;
    if (h.fail == 1) {
        weft_failf(360, "no port");
        return 0;
    }
    weft_started();
    weft_started();
    if (h.fail == 2) {
        weft_failf(361, "later");
        return 0;
    }
    weft_sleep(weft_s(100));
    return 0;
}
static void ready(void *arg) {
    (void)arg;
    weft_exit e;
    server_fiber f;
    WEFT_SCOPE(s, &e, .policy = WEFT_SUPERVISE) {
        e = weft_spawn_with(&f, server, {.ready = true}, .before = weft_s(2));
        CHECK(weft_ok(e));
        CHECK_EQ(weft_now(), weft_s(2));
        CHECK(!weft_is_done(f));
        e = weft_spawn_with(&f, server, {.ready = true}, weft_s(1), 1);
        CHECK_EQ(e.code, 360);
        CHECK_EQ(weft_fiber_status(f.handle), WEFT_STATUS_FAILED);
        CHECK_EQ(weft_await(f, server, NULL).code, 360);
        CHECK_EQ(weft_drop(f), WEFT_OK);
        e = weft_spawn_with((server_fiber *)NULL, server, {.ready = true}, .before = weft_s(1));
        CHECK(weft_ok(e));
        CHECK_EQ(weft_now(), weft_s(4));
        counter_fiber c;
        e = weft_spawn_with(&c, counter, {.ready = true}, 1); /* ends without having said so */
        CHECK(weft_ok(e));
        CHECK(weft_is_done(c));
        break;
    }
}
TEST(a_spawner_waits_until_the_fiber_says_it_has_started) { on_clock(WEFT_CLOCK_AUTO, ready); }

static void ready_then_fails(void *arg) {
    (void)arg;
    weft_exit e;
    WEFT_SCOPE(s, NULL, .policy = WEFT_SUPERVISE) {
        server_fiber f;
        e = weft_spawn_with(&f, server, {.ready = true}, 0, 2);
        CHECK(weft_ok(e)); /* it had started; its failure is what await says */
        CHECK_EQ(weft_await(f, server, NULL).code, 361);
        weft_drop(f);
    }
}
TEST(a_fiber_that_fails_after_it_has_started_has_started) { on_clock(WEFT_CLOCK_AUTO, ready_then_fails); }

static int spawns_ready(int n);
WEFT_TASK(spawns_ready, int, int);
static int spawns_ready(int n) {
    weft_exit e;
    WEFT_SCOPE(s, NULL) {
        e = weft_spawn_with((server_fiber *)NULL, server, {.ready = true}, .before = weft_s(50));
        CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    }
    return n;
}
static void ready_cancelled(void *arg) {
    (void)arg;
    spawns_ready_fiber f;
    CHECK(weft_ok(weft_spawn(&f, spawns_ready, 1)));
    weft_sleep(weft_s(1));
    CHECK(weft_ok(weft_interrupt(f, "while it waits for the start")));
    CHECK_EQ(weft_now(), weft_s(1));
    weft_drop(f);
    /* the one that should start is stopped */
    WEFT_SCOPE(s, NULL, .timeout = weft_s(1)) {
        weft_exit e = weft_spawn_with((server_fiber *)NULL, server, {.ready = true}, .before = weft_s(50));
        CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    }
    CHECK_EQ(weft_now(), weft_s(2));
}
TEST(waiting_for_a_start_can_be_stopped) { often(WEFT_CLOCK_AUTO, ready_cancelled, 50); }

static void detached(void *arg) {
    (void)arg;
    none_yet();
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        CHECK(weft_ok(weft_spawn_with((sleeper_fiber *)NULL, sleeper, {.detached = true}, weft_s(9))));
        spawn_sleeper(weft_s(1));
    }
    CHECK(weft_ok(e));
    CHECK_EQ(weft_now(), weft_s(1));
    CHECK_EQ(ended, 1);
    WEFT_SCOPE(s, &e) {
        CHECK(weft_ok(weft_spawn_with((sleeper_fiber *)NULL, sleeper, {.detached = true}, weft_s(9))));
        weft_sleep(weft_s(1));
        weft_scope_cancel(s, "does not reach it");
    }
    CHECK_EQ(stopped, 0);
    CHECK(weft_ok(weft_sleep(weft_s(20))));
    CHECK_EQ(ended, 3);
    CHECK_EQ(stopped, 0);
}
TEST(a_detached_fiber_does_not_belong_to_the_scope_it_is_spawned_in) { on_clock(WEFT_CLOCK_AUTO, detached); }

static __attribute__((noinline)) void detaches_in_a_frame(void) {
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        sleeper_fiber f, g;
        CHECK(weft_ok(weft_spawn(&f, sleeper, weft_s(5))));
        CHECK_EQ(weft_detach(f), WEFT_OK); /* before it ran */
        CHECK_EQ(weft_detach(f), WEFT_E_STALE);
        CHECK(weft_ok(weft_spawn(&g, sleeper, weft_s(5))));
        CHECK(weft_ok(weft_sleep(weft_s(1))));
        CHECK_EQ(weft_detach(g), WEFT_OK); /* while it waits */
        weft_scope_cancel(s, "does not reach them");
        CHECK(!weft_ok(weft_checkpoint()));
    }
    CHECK_EQ(weft_now(), weft_s(1));
}
static void detach(void *arg) {
    (void)arg;
    none_yet();
    detaches_in_a_frame();
    CHECK_EQ(ended, 0);
    CHECK(weft_ok(weft_sleep(weft_s(10))));
    CHECK_EQ(ended, 2);
    CHECK_EQ(stopped, 0);
}
TEST(a_fiber_detached_later_leaves_its_scope) { on_clock(WEFT_CLOCK_AUTO, detach); }

/* What a detached fiber does once the scope's frame is gone. */
static int lives_on(int what);
WEFT_TASK(lives_on, int, int);
static int lives_on(int what) {
    CHECK(weft_ok(weft_sleep(weft_s(5))));
    if (what == 0) CHECK(!weft_stopping());
    if (what == 1) CHECK_EQ(weft_deadline(), WEFT_FOREVER);
    if (what == 2) {
        weft_exit e;
        WEFT_SCOPE(s, &e) {
            spawn_failer(weft_s(1), 300);
            spawn_sleeper(weft_s(100));
        }
        CHECK_EQ(e.code, 300);
    }
    if (what == 3) {
        weft_exit e;
        WEFT_SCOPE(s, &e) {
            weft_scope_cancel(s, "mine");
            CHECK(!weft_ok(weft_checkpoint()));
        }
        CHECK_EQ(e.code, WEFT_E_CANCELLED);
    }
    atomic_fetch_add(&ended, 1);
    return 0;
}
static __attribute__((noinline)) void detach_doing(int what) {
    volatile char below[2000] = {0}; /* the scope's frame is not one that is used again soon */
    CHECK(!below[what]);
    WEFT_SCOPE(s, NULL, .timeout = weft_s(3)) {
        lives_on_fiber f;
        CHECK(weft_ok(weft_spawn(&f, lives_on, what)));
        CHECK(weft_ok(weft_sleep(weft_s(1))));
        CHECK_EQ(weft_detach(f), WEFT_OK);
    }
}
static __attribute__((noinline)) void scribble(void) {
    volatile char frame[4096];
    for (size_t i = 0; i < sizeof frame; i++) frame[i] = 0x5f;
}
static void detached_does(int what) {
    none_yet();
    detach_doing(what);
    scribble();
    CHECK(weft_ok(weft_sleep(weft_s(10))));
    CHECK_EQ(ended, what == 2 ? 2 : 1);
}
static void detached_stopping(void *arg) { (void)arg, detached_does(0); }
static void detached_deadline(void *arg) { (void)arg, detached_does(1); }
static void detached_scope_fails(void *arg) { (void)arg, detached_does(2); }
static void detached_scope_cancels(void *arg) { (void)arg, detached_does(3); }
TEST(a_detached_fiber_asks_nothing_of_its_former_scope_stopping) { on_clock(WEFT_CLOCK_AUTO, detached_stopping); }
TEST(a_detached_fiber_asks_nothing_of_its_former_scope_deadline) { on_clock(WEFT_CLOCK_AUTO, detached_deadline); }
TEST(a_detached_fiber_has_scopes_of_its_own_that_fail) { on_clock(WEFT_CLOCK_AUTO, detached_scope_fails); }
TEST(a_detached_fiber_has_scopes_of_its_own_that_are_cancelled) { on_clock(WEFT_CLOCK_AUTO, detached_scope_cancels); }

static void handles(void *arg) {
    (void)arg;
    sleeper_fiber f[3], kept;
    weft_exit e;
    none_yet();
    WEFT_SCOPE(s, &e) {
        for (int i = 0; i < 3; i++) CHECK(weft_ok(weft_spawn(&f[i], sleeper, weft_s(1))));
        CHECK(weft_ok(weft_await(f[0], sleeper, NULL)));
        CHECK_EQ(weft_drop(f[0]), WEFT_OK); /* ended */
        CHECK_EQ(weft_drop(f[0]), WEFT_E_STALE);
        CHECK(weft_ok(weft_spawn(&kept, sleeper, weft_s(1))));
        CHECK_EQ(weft_drop(kept), WEFT_OK); /* running */
    }
    CHECK_EQ(ended, 4);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(weft_fiber_status(f[i].handle), WEFT_STATUS_NONE);
        CHECK_EQ(weft_drop(f[i]), WEFT_E_STALE);
        CHECK_EQ(weft_await(f[i], sleeper, NULL).code, WEFT_E_STALE);
    }
}
TEST(the_end_of_a_scope_drops_the_handles_of_its_fibers) { on_clock(WEFT_CLOCK_AUTO, handles); }

static int starts_in(weft_scope *s);
WEFT_TASK(starts_in, int, weft_scope *);
static int starts_in(weft_scope *s) {
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK(weft_ok(weft_start(s, sleeper, weft_s(1))));
    WEFT_SCOPE(mine, NULL) CHECK(weft_ok(weft_start(s, sleeper, weft_s(2))));
    CHECK_EQ(weft_now(), weft_s(1));
    return 0;
}
static void starts_from_elsewhere(void *arg) {
    (void)arg;
    weft_exit e;
    none_yet();
    WEFT_SCOPE(s, &e) {
        weft_mask m;
        WEFT_SCOPE(t, NULL) CHECK(weft_ok(weft_start(s, sleeper, weft_s(4)))); /* inner ends at once */
        weft_mask_begin(&m);
        CHECK(weft_ok(weft_start(s, counter, 1)));
        CHECK_EQ(weft_mask_end(&m), WEFT_OK);
        CHECK_EQ(weft_now(), 0);
        CHECK(weft_ok(weft_spawn((starts_in_fiber *)NULL, starts_in, s)));
        CHECK(weft_ok(weft_start(s, starts_in, s)));
    }
    CHECK(weft_ok(e));
    CHECK_EQ(ended, 6);
    CHECK_EQ(weft_now(), weft_s(4));
}
TEST(children_are_started_from_inner_scopes_masks_and_other_fibers) { often(WEFT_CLOCK_AUTO, starts_from_elsewhere, 50); }

static void many(void *arg) {
    (void)arg;
    weft_exit e;
    none_yet();
    WEFT_SCOPE(s, &e) {
        for (int i = 0; i < 10000; i++) CHECK(weft_ok(weft_start(s, counter, 1)));
        for (int i = 0; i < 10000; i++) CHECK(weft_ok(weft_spawn((counter_fiber *)NULL, counter, 1)));
    }
    CHECK(weft_ok(e));
    CHECK_EQ(ended, 20000);
    none_yet();
    WEFT_SCOPE(s, &e)
        for (int i = 0; i < 10000; i++) CHECK(weft_ok(weft_start(s, sleeper, weft_ms(i % 100 + 1))));
    CHECK_EQ(ended, 10000);
    CHECK_EQ(weft_now(), weft_ms(100));
    none_yet();
    WEFT_SCOPE(s, &e) {
        for (int i = 0; i < 5000; i++) CHECK(weft_ok(weft_start(s, sleeper, weft_s(1))));
        for (int i = 0; i < 5000; i++) spawn_sleeper(weft_s(1));
        weft_sleep(1);
        break;
    }
    CHECK_EQ(stopped, 10000);
}
TEST(a_scope_has_many_children) { on_clock(WEFT_CLOCK_AUTO, many); }

/* ---- causes --------------------------------------------------------------------------------------------- */

static weft_exit receives(int code) {
    failer_fiber f;
    CHECK(weft_ok(weft_spawn_with(&f, failer, {.detached = true}, .code = code)));
    weft_exit e = weft_await(f, failer, NULL);
    weft_drop(f);
    return e;
}
static void keeping(void *arg) {
    (void)arg;
    weft_exit e = fine;
    uint64_t live = weft__heap_live(), inside = 0;
    WEFT_SCOPE(a, NULL) {
        WEFT_SCOPE(b, NULL) {
            WEFT_SCOPE(c, NULL) {
                e = receives(371);
                CHECK(e.cause->bytes);
                e = weft_exit_keep(e);
                weft_exit gone = receives(372);
                weft_exit_drop(gone);
                receives(373);
            }
            CHECK(strstr(e.cause->text, "371"));
            e = weft_exit_keep(e);
        }
        CHECK(strstr(e.cause->text, "371"));
        inside = weft__heap_live();
        weft_exit_drop(e);
        CHECK(weft__heap_live() < inside);
    }
    (void)live;
}
TEST(a_received_cause_lives_as_long_as_it_is_kept) { on_clock(WEFT_CLOCK_AUTO, keeping); }

static int receives_masked(int n);
WEFT_TASK(receives_masked, int, int);
static int receives_masked(int n) {
    weft_mask m, r;
    weft_mask_begin(&m);
    weft_exit e = receives(374);
    CHECK_EQ(weft_mask_restore(&r, &m), WEFT_OK);
    weft_exit g = receives(375);
    CHECK_EQ(weft_mask_end(&r), WEFT_OK);
    CHECK_EQ(weft_mask_end(&m), WEFT_OK);
    CHECK(strstr(e.cause->text, "374")); /* a mask is no scope */
    CHECK(strstr(g.cause->text, "375"));
    return n;
}
static void keeping_masked(void *arg) {
    (void)arg;
    receives_masked(1);
    WEFT_SCOPE(s, NULL) receives_masked(2);
    receives_masked_fiber f;
    CHECK(weft_ok(weft_spawn(&f, receives_masked, 9)));
    CHECK(weft_ok(weft_await(f, receives_masked, NULL)));
    weft_drop(f);
}
TEST(a_cause_received_in_a_mask_lives_until_the_scope_around_it_ends) { on_clock(WEFT_CLOCK_AUTO, keeping_masked); }

/* ---- plain threads -------------------------------------------------------------------------------------- */

static weft_exit thread_fn(weft_scope *s, void *arg) {
    weft_defer(s, notes, "b", 0);
    return *(weft_exit *)arg;
}
TEST(on_a_plain_thread_finalizers_and_arena_work) {
    weft_exit e = {WEFT_EXIT_DIE, 1, NULL};
    uint64_t live = weft__heap_live();
    fresh_order();
    WEFT_SCOPE(s, &e) {
        CHECK(weft_alloc(s, 5000) != NULL);
        CHECK_EQ(weft_defer(s, notes, "a", 0), WEFT_OK);
        weft_scope_cancel(s, "nothing is cancelled");
        CHECK(weft_ok(weft_checkpoint()));
        void *r;
        CHECK_EQ(weft_acquire(s, acquire_fails, NULL, release, 0, &r).code, 350);
    }
    CHECK(weft_ok(e));
    weft_exit ok = fine;
    CHECK(weft_ok(weft_scope_run(NULL, thread_fn, &ok)));
    for (int i = 0; i < 1; i++) WEFT_SCOPE(s, &e, .shield = true) {
        weft_defer(s, notes_and_fails, "c", 0);
        break;
    }
    CHECK_EQ(e.code, 300 + 'c');
    CHECK(!strcmp(order, "abc"));
    CHECK_EQ(weft__heap_live(), live);
    CHECK(weft_ok(weft_timeout(weft_s(1), computes, NULL)));
    CHECK_EQ(weft_timeout(-1, computes, NULL).code, WEFT_E_INVALID);
}
TEST(on_a_plain_thread_a_failing_function_fails_its_scope) {
    static weft_exit bad = {WEFT_EXIT_FAIL, 380, NULL};
    fresh_order();
    weft_exit e = weft_scope_run(NULL, thread_fn, &bad);
    CHECK_EQ(e.code, 380);
    CHECK(!strcmp(order, "b"));
}
TEST(on_a_plain_thread_children_run_where_they_are_started) {
    weft_exit e;
    none_yet();
    WEFT_SCOPE(s, &e) {
        CHECK(weft_ok(weft_start(s, counter, 1)));
        CHECK(weft_ok(weft_start(s, counter, 2)));
        CHECK_EQ(ended, 3);
    }
    CHECK(weft_ok(e));
}

static weft_exit counts_late(void *arg) {
    ++*(int *)arg;
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}
static void used_after_end(void *arg) {
    (void)arg;
    for (int touched = 0; touched < 2; touched++) {
        weft_exit e;
        weft_scope *old = NULL;
        int late = 0;
        weft_scope_options o = {.name = touched ? "touched" : NULL};
        weft_scope s;
        CHECK(weft__scope_enter(&s, &e, o) == &s); /* the statement form's memory would be gone */
        old = &s;
        weft__scope_end(&s);
        CHECK_EQ(weft_start(old, sleeper, weft_s(1)).code, WEFT_E_ENDED);
        CHECK_EQ(weft_defer(old, counts_late, &late, 0), WEFT_OK);
        CHECK_EQ(late, 1);
        void *nothing_got = NULL;
        CHECK_EQ(weft_acquire(old, NULL, NULL, counts_late, 0, &nothing_got).code, WEFT_E_INVALID);
        weft_scope_cancel(old, "too late");
        CHECK(weft_ok(weft_checkpoint()));
    }
}
TEST(a_scope_that_is_over_starts_nothing_and_runs_what_is_deferred_at_once) { on_clock(WEFT_CLOCK_AUTO, used_after_end); }

TEST_MAIN
