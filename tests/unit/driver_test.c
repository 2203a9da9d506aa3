/* Drivers and their results: what is refused, what is told, what is left behind; logs, random numbers, failures.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/driver_runs.h"
#include <weft/scope.h>

static bool says(const char *what) { return strstr(text, what); }

static void ended_well(weft_result *r) {
    if (weft_result_is_err(r)) fprintf(stderr, "%s\n", weft_result_format(r, true, text, sizeof text));
    CHECK(weft_result_is_ok(r));
}

/* ---- what a driver refuses ------------------------------------------------------------------------------ */

static int plain(int n);
WEFT_TASK(plain, int, int);
static int plain(int n) { return n + 1; }
static long wide(int n);
WEFT_TASK(wide, long, int);
static long wide(int n) { return n; }

static int drives(int how);
WEFT_TASK(drives, int, int);
static int drives(int how) {
    int v = 0;
    weft_result *r = how ? weft_run_sync(plain, NULL, 1) : weft_run_async(plain, NULL, 1);
    CHECK_EQ(weft_result_error(r).code, WEFT_E_INSIDE);
    CHECK(strstr(weft_exit_format(weft_result_error(r), text, sizeof text), "weft_run_inside"));
    weft_result_free(r);
    r = weft_run_inside(plain, NULL, 1);
    CHECK(weft_ok(weft_result_value(r, plain, &v)) && v == 2);
    weft_result_free(r);
    return how;
}
TEST(a_runtime_inside_of_a_task_is_refused) {
    UNDER_ALL(ended_well, drives, WEFT_WITH(0), 0);
    UNDER_ALL(ended_well, drives, WEFT_WITH(0), 1);
}

TEST(inside_needs_a_fiber) {
    weft_result *r = weft_run_inside(plain, NULL, 1);
    CHECK_EQ(weft_result_error(r).code, WEFT_E_INVALID);
    weft_result_free(r);
}

TEST(a_value_is_of_the_task_that_was_run) {
    long v = 0;
    weft_result *r = weft_run_sync(plain, NULL, 1);
    CHECK_EQ(weft_result_value(r, wide, &v).code, WEFT_E_INVALID);
    CHECK_EQ(VALUE(r, plain), 2);
    CHECK(strstr(weft_result_format(r, false, text, sizeof text), "ok: 'plain'"));
    weft_result_free(r);
    weft_result_free(NULL);
}

TEST(bad_options_are_an_error_result) {
    weft_result *r = weft_run_async(plain, WEFT_WITH(.workers = 100000), 1);
    CHECK_EQ(weft_result_error(r).code, WEFT_E_INVALID);
    weft_result_free(r);
    const weft_binding none[] = {{NULL, NULL, NULL, NULL}};
    r = weft_run_sync(plain, WEFT_WITH(.env = none, .n_env = 1), 1);
    CHECK_EQ(weft_result_error(r).code, WEFT_E_INVALID);
    weft_result_free(r);
    const weft_clause bad[] = {{NULL, NULL, 0}};
    r = weft_run_sync(plain, WEFT_WITH(WEFT_HANDLERS({bad, 1, NULL, NULL, NULL, {NULL, 0}, false})), 1);
    CHECK_EQ(weft_result_error(r).code, WEFT_E_INVALID);
    weft_result_free(r);
}

/* ---- how a program ends ----------------------------------------------------------------------------------- */

static int waits_for_nobody(int n);
WEFT_TASK(waits_for_nobody, int, int);
static int waits_for_nobody(int n) {
    weft_promise never = WEFT_PROMISE;
    weft_must(weft_do_await(&never, NULL));
    return n;
}
static void deadlocked(weft_result *r) {
    CHECK_EQ(weft_result_error(r).tag, WEFT_EXIT_FAIL);
    CHECK_EQ(weft_result_error(r).code, WEFT_E_DEADLOCK);
    weft_result_format(r, true, text, sizeof text);
    CHECK(says("'waits_for_nobody'") && says("a promise"));
}
TEST(a_deadlock_is_an_error_with_the_list_of_who_waits) {
    weft_result *r = weft_run_sync(waits_for_nobody, NULL, 1);
    deadlocked(r);
    weft_result_free(r);
    r = weft_run_async(waits_for_nobody, WEFT_WITH(.workers = 2), 1);
    deadlocked(r);
    weft_result_free(r);
}

static int sleeps_long(int n);
WEFT_TASK(sleeps_long, int, int);
static int sleeps_long(int n) {
    weft_do_delay(weft_s(3600));
    return n;
}
static int fails_at_once(int n);
WEFT_TASK(fails_at_once, int, int);
static int fails_at_once(int n) {
    weft_must(weft_do_spawn((sleeps_long_fiber *)NULL, sleeps_long, n));
    weft_must(weft_do_delay(weft_s(1)));
    weft_fail(303, "gives up");
    return n;
}
static void gave_up(weft_result *r) {
    CHECK_EQ(weft_result_error(r).code, 303);
}
#define weft_do_spawn_away(name, ...) weft_do_spawn((name##_fiber *)NULL, name, __VA_ARGS__)
static int in_time(int n);
WEFT_TASK(in_time, int, int);
static int in_time(int n) {
    weft_time start = weft_now();
    weft_result *r = weft_run_inside(fails_at_once, NULL, n);
    gave_up(r);
    weft_result_free(r);
    CHECK_EQ(weft_now() - start, weft_s(1));
    return n;
}
TEST(a_program_that_has_failed_stops_what_it_spawned) { UNDER_ALL(ended_well, in_time, WEFT_WITH(0), 1); }

static int leaves_running(int n);
WEFT_TASK(leaves_running, int, int);
static int leaves_running(int n) {
    weft_must(weft_do_spawn_away(sleeps_long, n));
    return n;
}
static int waited(int n);
WEFT_TASK(waited, int, int);
static int waited(int n) {
    weft_time start = weft_now();
    weft_result *r = weft_run_inside(leaves_running, NULL, n);
    ended_well(r);
    weft_result_free(r);
    CHECK_EQ(weft_now() - start, weft_s(3600));
    return n;
}
TEST(a_program_that_ended_well_waits_for_what_it_spawned) { UNDER_ALL(ended_well, waited, WEFT_WITH(0), 1); }

static int fails_unseen(int n);
WEFT_TASK(fails_unseen, int, int);
static int fails_unseen(int n) { return weft_fail(304, "nobody looks"), n; }
static int lets_fail(int n);
WEFT_TASK(lets_fail, int, int);
static int lets_fail(int n) {
    weft_must(weft_do_spawn_away(fails_unseen, n));
    weft_must(weft_do_delay(weft_ms(1)));
    return n;
}
static int unseen;
static void count_unseen(void *arg, weft_exit e, const char *name) {
    CHECK(arg == &unseen && e.code == 304 && strcmp(name, "fails_unseen") == 0);
    unseen++;
}
TEST(a_failure_that_nobody_looks_at_concerns_nobody_and_is_told) {
    weft_run_with with = {.on_unobserved = count_unseen, .hook_arg = &unseen, .clock = WEFT_CLOCK_AUTO};
    for (int sync = 0; sync < 2; sync++) {
        unseen = 0;
        weft_result *r = sync ? weft_run_sync(lets_fail, &with, 1) : weft_run_async(lets_fail, &with, 1);
        ended_well(r);
        CHECK_EQ(unseen, 1);
        weft_result_free(r);
    }
}

/* Who runs it is interrupted: the program is, and its fibers have ended when the driver returns. */
static _Atomic int stopped_well;
static int notices(int n);
WEFT_TASK(notices, int, int);
static int notices(int n) {
    weft_exit e = weft_do_delay(weft_s(3600));
    CHECK(weft_exit_interrupted(e));
    stopped_well++;
    return n;
}
static int two_notice(int n);
WEFT_TASK(two_notice, int, int);
static int two_notice(int n) {
    weft_must(weft_do_spawn_away(notices, n));
    return notices(n);
}
static int runs_it(int n);
WEFT_TASK(runs_it, int, int);
static int runs_it(int n) {
    weft_result *r = weft_run_inside(two_notice, NULL, n);
    CHECK(weft_exit_interrupted(weft_result_error(r)));
    CHECK_EQ(stopped_well, 2);
    weft_result_free(r);
    return n;
}
static void interrupts(void *arg) {
    runs_it_fiber f;
    (void)arg;
    stopped_well = 0;
    CHECK(weft_ok(weft_spawn(&f, runs_it, 1)));
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK(weft_ok(weft_interrupt(f, "enough")));
    weft_drop(f);
}
TEST(who_is_interrupted_while_it_runs_a_program_interrupts_it) {
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.clock = WEFT_CLOCK_AUTO), interrupts, NULL), WEFT_OK);
    WEFT_TEST(t, .runs = 50) interrupts(NULL);
}

/* ---- the log ------------------------------------------------------------------------------------------------ */

static int tells(int n);
WEFT_TASK(tells, int, int);
static int tells(int n) {
    weft_must(weft_do_tell("told %d", n));
    return n < 0 ? weft_fail(305, "negative"), n : n;
}
static int tells_detached(int n);
WEFT_TASK(tells_detached, int, int);
static int tells_detached(int n) {
    weft_must(weft_do_delay(weft_s(1)));
    return tells(n);
}
static int listens(int n);
WEFT_TASK(listens, int, int);
static int listens(int n) {
    tells_fiber f;
    weft_log inner;
    weft_must(weft_do_tell("begun"));
    weft_must(weft_do_listen(&inner, tells, NULL, 1));
    CHECK_EQ(inner.n, 1);
    CHECK(strcmp(inner.first->text, "told 1") == 0);
    weft_log_free(&inner);
    CHECK_EQ(inner.n, 0);
    CHECK_EQ(weft_do_listen(&inner, tells, NULL, -1).code, 305);
    CHECK_EQ(inner.n, 0);
    weft_must(weft_do_spawn(&f, tells, 2));
    weft_must(weft_do_wait(f, tells, NULL));
    weft_drop(f);
    weft_must(weft_do_gather(WEFT_BR(tells, NULL, 3), WEFT_BR(tells, NULL, 4)));
    weft_must(weft_do_spawn_away(tells_detached, 5)); /* when nobody listens any more */
    return n;
}
static int listens_to_that(int n);
WEFT_TASK(listens_to_that, int, int);
static int listens_to_that(int n) {
    weft_log outer;
    int v = 0;
    weft_must(weft_do_tell("before"));
    weft_must(weft_do_listen(&outer, listens, &v, n));
    CHECK_EQ(v, n);
    CHECK_EQ(outer.n, 6); /* begun, 1, -1, 2, 3, 4 */
    weft_log_free(&outer);
    return n;
}
static void all_told(weft_result *r) {
    ended_well(r);
    CHECK_EQ(weft_result_log(r)->n, 8);
    CHECK(logged(r, "before") && logged(r, "told 5"));
    CHECK(strcmp(weft_result_log(r)->last->text, "told 5") == 0);
}
TEST(who_listens_hears_what_is_told_inside_and_so_do_outer_ones) { UNDER_ALL(all_told, listens_to_that, WEFT_WITH(0), 7); }

/* ---- random numbers ------------------------------------------------------------------------------------------- */

enum { DRAWS = 4 };
typedef struct draws {
    uint64_t n[DRAWS];
} draws;
static draws draw(int n);
WEFT_TASK(draw, draws, int);
static draws draw(int n) {
    draws d;
    draw_fiber f;
    for (int i = 0; i < DRAWS; i++) weft_must(weft_do_random(&d.n[i]));
    if (!n) return d;
    draws child;
    weft_must(weft_do_spawn(&f, draw, n - 1));
    weft_must(weft_do_random(&d.n[0]));
    weft_must(weft_do_wait(f, draw, &child));
    weft_drop(f);
    for (int i = 0; i < DRAWS; i++) {
        CHECK(d.n[i] != child.n[i]);
        d.n[i] ^= child.n[i] * 3;
    }
    return d;
}
TEST(random_numbers_follow_from_the_seed_on_any_number_of_workers) {
    draws expected = {{0}};
    for (int i = 0; i < 6; i++) {
        weft_run_with with = {.seed = i < 5 ? 42 : 43, .workers = (unsigned)i};
        weft_result *r = i == 0 || i == 5 ? weft_run_sync(draw, &with, 3) : weft_run_async(draw, &with, 3);
        draws d = VALUE(r, draw);
        if (i == 0) expected = d;
        CHECK((memcmp(&d, &expected, sizeof d) == 0) == (i < 5));
        weft_result_free(r);
    }
}

static uint64_t draws_one(int n);
WEFT_TASK(draws_one, uint64_t, int);
static uint64_t draws_one(int n) {
    uint64_t x = 0;
    (void)n;
    weft_must(weft_do_random(&x));
    return x;
}
static uint64_t always_4(const weft_random_service *r) {
    (void)r;
    return 4;
}
static void is_4(weft_result *r) { CHECK_EQ(VALUE(r, draws_one), 4); }
TEST(random_numbers_are_those_of_the_service_that_is_provided) {
    UNDER_ALL(is_4, draws_one, WEFT_WITH(WEFT_ENV(WEFT_BIND(weft_random, {.next = always_4}))), 1);
}

/* ---- tasks ------------------------------------------------------------------------------------------------------ */

static int first_of(int n);
WEFT_TASK(first_of, int, int);
static int first_of(int n) {
    weft_must(weft_do_delay(weft_s(n)));
    return n;
}
static int races(int n);
WEFT_TASK(races, int, int);
static int races(int n) {
    size_t who = 9;
    int v = 0;
    weft_must(weft_do_race(&who, WEFT_BR(first_of, &v, 3), WEFT_BR(first_of, &v, 1), WEFT_BR(first_of, &v, 2)));
    CHECK(who == 1 && v == 1);
    CHECK_EQ(weft_now(), weft_s(1));
    return n;
}
TEST(a_race_is_won_by_the_first) {
    weft_result *r = weft_run_sync(races, WEFT_WITH(.clock = WEFT_CLOCK_AUTO), 1);
    ended_well(r);
    weft_result_free(r);
    r = weft_run_async(races, WEFT_WITH(.clock = WEFT_CLOCK_AUTO, .workers = 2), 1);
    ended_well(r);
    weft_result_free(r);
}

static void *doubles(void *arg, weft_offload_call *call) {
    (void)call;
    *(int *)arg *= 2;
    return arg;
}
static int completes(weft_promise *p);
WEFT_TASK(completes, int, weft_promise *);
static int completes(weft_promise *p) { return weft_promise_complete(p, &unseen) == WEFT_OK; }
static int awaits(int n);
WEFT_TASK(awaits, int, int);
static int awaits(int n) {
    void *result = NULL;
    weft_promise p = WEFT_PROMISE;
    completes_fiber f;
    weft_must(weft_do_spawn(&f, completes, &p));
    weft_must(weft_do_await(&p, &result));
    CHECK(result == &unseen);
    weft_must(weft_do_wait(f, completes, NULL));
    weft_drop(f);
    weft_must(weft_do_blocking(doubles, &n, &result, NULL));
    CHECK(result == &n);
    return n;
}
static void doubled(weft_result *r) { CHECK_EQ(VALUE(r, awaits), 14); }
TEST(promises_and_blocking_calls_are_awaited) { UNDER_ALL(doubled, awaits, WEFT_WITH(0), 7); }

/* A handler sees each spawn, and may refuse it. */
static weft_exit refuse_spawn(const weft_spawn_op *op, char *reply, void *self) {
    (void)reply, (void)self;
    return strcmp(op->site->name, "plain") == 0 ? weft_fail(306, "no more of these") : weft_pass;
}
static int spawns_both(int n);
WEFT_TASK(spawns_both, int, int);
static int spawns_both(int n) {
    plain_fiber f = {{NULL, 0}};
    tells_fiber g;
    weft_must(weft_do_spawn(&g, tells, n));
    weft_must(weft_do_wait(g, tells, NULL));
    weft_drop(g);
    weft_must(weft_do_spawn(&f, plain, n));
    return n;
}
static void refused(weft_result *r) {
    CHECK_EQ(weft_result_error(r).code, 306);
    CHECK(logged(r, "told 3"));
}
TEST(a_handler_may_refuse_to_spawn) {
    UNDER_ALL(refused, spawns_both,
              WEFT_WITH(WEFT_HANDLERS(WEFT_SYNC_PRESET, WEFT_SHARED_HANDLER(NULL, WEFT_TAIL(weft_spawn, refuse_spawn)))), 3);
}

/* ---- failures ------------------------------------------------------------------------------------------------------ */

static weft_exit forgive(const weft_fail_op *op, char *reply, void *self) {
    (void)reply, (void)self;
    return op->exit.code == 307 ? weft_done : weft_pass;
}
static int fails_with(int code);
WEFT_TASK(fails_with, int, int);
static int fails_with(int code) {
    if (!weft_ok(weft_do_fail(code, "by effect"))) return 0;
    return code;
}
TEST(a_handler_decides_what_a_failure_is) {
    const weft_run_with *forgiving =
        WEFT_WITH(WEFT_HANDLERS(WEFT_SYNC_PRESET, WEFT_SHARED_HANDLER(NULL, WEFT_TAIL(weft_fail, forgive))));
    weft_result *r = weft_run_sync(fails_with, forgiving, 307);
    CHECK_EQ(VALUE(r, fails_with), 307);
    weft_result_free(r);
    r = weft_run_sync(fails_with, forgiving, 308);
    CHECK_EQ(weft_result_error(r).code, 308);
    weft_result_format(r, false, text, sizeof text);
    CHECK(says("by effect") && says("driver_test.c"));
    weft_result_free(r);
}

/* Many are caught; the one that counts is shown. */
static int catches_many(int n);
WEFT_TASK(catches_many, int, int);
static int catches_many(int n) {
    for (int i = 0; i < n; i++) CHECK_EQ(weft_do_safe(fails_with, NULL, 400 + i).code, 400 + i);
    weft_exit e;
    WEFT_SCOPE(s, &e, .name = "inner") weft_fail(309, "this one");
    return n;
}
static void this_one(weft_result *r) {
    CHECK_EQ(weft_result_error(r).code, 309);
    weft_result_continuation(r, text, sizeof text);
    CHECK(says("scope 'inner'") && !says("'safe'"));
}
TEST(of_many_failures_that_which_counts_is_shown) { UNDER_ALL(this_one, catches_many, WEFT_WITH(0), 20); }

static int deep(int n);
WEFT_TASK(deep, int, int);
static int deep(int n) {
    int v = 0;
    if (n == 0) return weft_fail(310, "far down"), 0;
    weft_handler none = WEFT_SHARED_HANDLER(NULL, WEFT_TAIL(weft_fail, forgive));
    none.name = "a level";
    weft_must(weft_handle(&none, deep, &v, n - 1));
    return v;
}
static void cut(weft_result *r) {
    CHECK_EQ(weft_result_error(r).code, 310);
    weft_result_continuation(r, text, sizeof text);
    CHECK(says("handler 'a level'") && says("more)"));
}
TEST(a_continuation_of_many_levels_is_cut) { UNDER_ALL(cut, deep, WEFT_WITH(0), 40); }

/* Each text, cut to each length, is terminated and no longer. */
TEST(texts_are_cut_to_the_room_there_is) {
    char whole[4096], part[4096];
    weft_result *r = weft_run_sync(deep, WEFT_WITH(.trace = true), 3);
    weft_result_format(r, true, whole, sizeof whole);
    for (size_t n = 0; n < strlen(whole) + 2; n++) {
        memset(part, 'x', sizeof part);
        CHECK(weft_result_format(r, true, part, n) == part);
        if (n) CHECK(strlen(part) == (n - 1 < strlen(whole) ? n - 1 : strlen(whole)));
        if (n) CHECK(memcmp(part, whole, strlen(part)) == 0);
        CHECK_EQ(part[n], 'x');
    }
    weft_result_free(r);
}

/* ---- handlers, as text ------------------------------------------------------------------------------------------------ */

static int formats(int n);
WEFT_TASK(formats, int, int);
static int formats(int n) {
    char all[2048], few[10];
    size_t whole = weft_handlers_format(all, sizeof all);
    CHECK_EQ(whole, strlen(all));
    CHECK_EQ(weft_handlers_format(few, sizeof few), whole);
    CHECK_EQ(strlen(few), sizeof few - 1);
    CHECK_EQ(weft_handlers_format(NULL, 0), whole);
    CHECK(strncmp(all, "handler 'state'", 15) == 0);
    CHECK(strstr(all, "\nhandler 'fail'"));
    return n;
}
static int formats_in_child(int n);
WEFT_TASK(formats_in_child, int, int);
static int formats_in_child(int n) {
    formats_fiber f;
    weft_must(weft_do_spawn(&f, formats, n));
    weft_must(weft_do_wait(f, formats, NULL));
    weft_drop(f);
    weft_must(weft_do_gather(WEFT_BR(formats, NULL, 1), WEFT_BR(formats, NULL, 2)));
    return formats(n);
}
TEST(the_handlers_in_force_are_listed_innermost_first) {
    char none[10] = "x";
    UNDER_ALL(ended_well, formats_in_child, WEFT_WITH(0), 1);
    CHECK_EQ(weft_handlers_format(none, sizeof none), 0);
    CHECK_EQ(none[0], 0);
}

TEST_MAIN
