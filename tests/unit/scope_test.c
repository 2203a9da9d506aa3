/* Scopes: how they are left, and what the failures of their children do to them.
 *
 * Time is virtual (it stands still while anything can run), so each time below is exact on any number of workers.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/scope_children.h"

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

TEST_MAIN
