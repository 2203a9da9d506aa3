/* Combinators of control: which branch counts, what happens to the others, whose the values and the causes are.
 *
 * Time is virtual, so each time below is exact on any number of workers.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/runs.h"
#include <stdatomic.h>
#include <weft/par.h>
#include <weft/scope.h>

/* ---- branches ------------------------------------------------------------------------------------------- */

static _Atomic int begun, ended, stopped, dropped;
static const weft_exit fine = {WEFT_EXIT_OK, 0, NULL};
static void none_yet(void) {
    begun = ended = stopped = dropped = 0;
}

/* Takes a time, then has a value or fails. */
typedef struct job {
    weft_duration takes;
    long value;
    int fails; /* its code; 0: it has the value */
} job;
static long toil(job j);
WEFT_TASK(toil, long, job);
static long toil(job j) {
    atomic_fetch_add(&begun, 1);
    if (j.takes && !weft_ok(weft_sleep(j.takes))) {
        atomic_fetch_add(&stopped, 1);
        return -1;
    }
    atomic_fetch_add(&ended, 1);
    if (j.fails) weft_failf(j.fails, "failure %d", j.fails);
    return j.value;
}

/* Is stopped, cleans up for a time, and may fail meanwhile. */
static int tidy(job j);
WEFT_TASK(tidy, int, job);
static int tidy(job j) {
    atomic_fetch_add(&begun, 1);
    CHECK(!weft_ok(weft_sleep(weft_s(1000))));
    atomic_fetch_add(&stopped, 1);
    WEFT_SCOPE(s, NULL, .shield = true) CHECK(weft_ok(weft_sleep(j.takes)));
    if (j.fails) weft_failf(j.fails, "while cleaning up");
    return 0;
}

static double half(double x);
WEFT_TASK(half, double, double);
static double half(double x) {
    atomic_fetch_add(&begun, 1);
    atomic_fetch_add(&ended, 1);
    return x / 2;
}

typedef struct large {
    char text[200];
} large;
static large write_large(int n);
WEFT_TASK(write_large, large, int);
static large write_large(int n) {
    large l;
    snprintf(l.text, sizeof l.text, "number %d", n);
    return l;
}

static void drop_long(void *value) {
    CHECK(*(long *)value >= 100);
    atomic_fetch_add(&dropped, 1);
}

static int leaves_with_code(const weft_cause *c, int code) {
    if (!c) return 0;
    if (c->kind <= WEFT_CAUSE_INTERRUPT) return c->code == code;
    return leaves_with_code(c->first, code) + (c->second ? leaves_with_code(c->second, code) : 0);
}

/* ---- all ------------------------------------------------------------------------------------------------ */

static void zip_values(void *arg) {
    (void)arg;
    long n = 0, m = 0;
    double d = 0;
    large l;
    none_yet();
    CHECK(weft_ok(weft_zip_par()));
    CHECK(weft_ok(weft_zip_par(WEFT_BR(half, &d, 5.0))));
    CHECK(d == 2.5);
    CHECK(weft_ok(weft_zip_par(WEFT_BR(toil, &n, 0, 7, 0), WEFT_BR(half, &d, 3.0), WEFT_BR(write_large, &l, 12),
                               WEFT_BR(toil, NULL, .value = 5), WEFT_BR(toil, &m, .value = 8))));
    CHECK_EQ(n, 7);
    CHECK(d == 1.5);
    CHECK(!strcmp(l.text, "number 12"));
    CHECK_EQ(m, 8);
    CHECK_EQ(weft_now(), 0);
    CHECK(weft_ok(weft_all(WEFT_BR(toil, &n, weft_s(3), 1, 0), WEFT_BR(toil, &m, weft_s(5), 2, 0), WEFT_BR(half, &d, 1.0))));
    CHECK_EQ(n + m, 3);
    CHECK_EQ(weft_now(), weft_s(5)); /* and not 8 */
}
TEST(zip_par_has_all_values_and_its_branches_wait_at_once) { on_clock(WEFT_CLOCK_AUTO, zip_values); }

static void zip_fails(void *arg) {
    (void)arg;
    long n = 1, m = 1, o = 1;
    none_yet();
    weft_exit e = weft_zip_par(WEFT_BR(toil, &n, weft_s(5), 100, 0), WEFT_BR(toil, &m, weft_s(1), 101, 301),
                               WEFT_BR_DROP(toil, &o, drop_long, 0, 102, 0));
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, 301);
    CHECK_EQ(leaves_with_code(e.cause, 301), 1);
    CHECK(!weft_cause_has(e.cause, WEFT_CAUSE_BOTH)); /* the sibling's own interrupt does not show */
    CHECK_EQ(weft_now(), weft_s(1));
    CHECK_EQ(stopped, 1);
    CHECK_EQ(n + m + o, 3);
    CHECK_EQ(dropped, 1);
}
TEST(zip_par_fails_as_soon_as_any_branch_does) { on_clock(WEFT_CLOCK_AUTO, zip_fails); }

static void zip_fails_twice(void *arg) {
    (void)arg;
    none_yet();
    weft_exit e = weft_zip_par(WEFT_BR(tidy, NULL, weft_s(2), 0, 302), WEFT_BR(toil, NULL, weft_s(1), 0, 301),
                               WEFT_BR(tidy, NULL, weft_s(3), 0, 0));
    CHECK_EQ(e.code, 301);
    CHECK_EQ(leaves_with_code(e.cause, 301), 1);
    CHECK_EQ(leaves_with_code(e.cause, 302), 1);
    CHECK(weft_cause_has(e.cause, WEFT_CAUSE_BOTH));
    CHECK_EQ(weft_now(), weft_s(4)); /* cleaning up is waited for */
    CHECK_EQ(stopped, 2);
}
TEST(failures_that_follow_are_attached_to_the_first) { on_clock(WEFT_CLOCK_AUTO, zip_fails_twice); }

static void zip_fails_at_once(void *arg) {
    (void)arg;
    none_yet();
    weft_exit e = weft_zip_par(WEFT_BR(toil, NULL, .fails = 300), WEFT_BR(toil, NULL, .value = 1), WEFT_BR(half, NULL, 1.0));
    CHECK_EQ(e.code, 300);
    if (!others_run_ahead()) CHECK_EQ(begun, 1); /* those not started never run */
    CHECK_EQ(begun, ended);
    CHECK(weft_ok(weft_checkpoint()));
    /* nor is the caller's own fiber a failure */
}
TEST(when_a_branch_fails_those_that_were_not_started_never_run) { on_clock(WEFT_CLOCK_AUTO, zip_fails_at_once); }

/* ---- the first ------------------------------------------------------------------------------------------ */

static void race_completes(void *arg) {
    (void)arg;
    long n = 0;
    size_t who = 99;
    none_yet();
    weft_exit e = weft_race(&who, WEFT_BR(toil, &n, weft_ms(300), 1, 0), WEFT_BR(toil, &n, weft_ms(200), 2, 0),
                            WEFT_BR(toil, &n, weft_ms(400), 3, 0));
    CHECK(weft_ok(e));
    CHECK_EQ(who, 1);
    CHECK_EQ(n, 2);
    CHECK_EQ(weft_now(), weft_ms(200));
    CHECK_EQ(begun, 3);
    CHECK_EQ(stopped, 2);
    /* the first to complete, also by failing */
    e = weft_race(&who, WEFT_BR(toil, &n, weft_s(1), 1, 303), WEFT_BR(toil, &n, weft_s(2), 2, 0));
    CHECK_EQ(e.code, 303);
    CHECK_EQ(who, 0);
    CHECK_EQ(weft_now(), weft_ms(1200));
    CHECK_EQ(n, 2);
    CHECK(weft_ok(weft_race(NULL, WEFT_BR(toil, &n, weft_s(1), 9, 0))));
    CHECK_EQ(n, 9);
}
TEST(race_has_the_exit_of_the_first_that_completes) { on_clock(WEFT_CLOCK_AUTO, race_completes); }

static void race_never_blocks(void *arg) {
    (void)arg;
    double d = 0;
    size_t who = 99;
    none_yet();
    CHECK(weft_ok(weft_race(&who, WEFT_BR(half, &d, 8.0), WEFT_BR(half, &d, 16.0))));
    if (!others_run_ahead()) {
        CHECK_EQ(who, 0);
        CHECK(d == 4);
        CHECK_EQ(begun, 1);
    }
    CHECK(d == (who ? 8 : 4));
}
TEST(a_race_whose_first_branch_never_waits_never_starts_the_others) { on_clock(WEFT_CLOCK_AUTO, race_never_blocks); }

static void race_of_none(void *arg) {
    (void)arg;
    char text[200];
    weft_exit e = weft_race(NULL);
    CHECK_EQ(e.code, WEFT_E_INVALID);
    CHECK(strstr(weft_exit_format(e, text, sizeof text), "pass at least one"));
    CHECK_EQ(weft_any(NULL).code, WEFT_E_INVALID);
    CHECK_EQ(weft_race_of(NULL, NULL, 2, NULL).code, WEFT_E_INVALID);
    CHECK_EQ(weft_any_of(NULL, NULL, 2, NULL).code, WEFT_E_INVALID);
    CHECK_EQ(weft_all_of(NULL, 2, NULL).code, WEFT_E_INVALID);
    CHECK_EQ(weft_settle_of(NULL, NULL, 2).code, WEFT_E_INVALID);
    CHECK(weft_ok(weft_all_settled(NULL)));
}
TEST(a_race_of_none_is_an_error) { on_clock(WEFT_CLOCK_AUTO, race_of_none); }

/* Both are done at the same moment: one value counts, the other is dropped. */
static void race_ties(void *arg) {
    (void)arg;
    long n = 0;
    none_yet();
    CHECK(weft_ok(weft_race(NULL, WEFT_BR_DROP(toil, &n, drop_long, weft_s(1), 101, 0),
                            WEFT_BR_DROP(toil, &n, drop_long, weft_s(1), 102, 0))));
    CHECK(n == 101 || n == 102);
    CHECK_EQ(ended - 1, dropped);
    CHECK_EQ(ended + stopped, 2);
}
TEST(a_value_is_delivered_or_dropped) { often(WEFT_CLOCK_AUTO, race_ties, 50); }

static void any_has_a_value(void *arg) {
    (void)arg;
    long n = 0;
    size_t who = 99;
    none_yet();
    weft_exit e = weft_any(&who, WEFT_BR(toil, &n, weft_s(1), 1, 301), WEFT_BR(toil, &n, weft_s(3), 2, 0),
                           WEFT_BR(toil, &n, weft_s(5), 3, 0));
    CHECK(weft_ok(e));
    CHECK_EQ(n, 2);
    CHECK_EQ(who, 1);
    CHECK_EQ(weft_now(), weft_s(3));
    CHECK_EQ(stopped, 1);
    e = weft_any(&who, WEFT_BR(toil, &n, weft_s(2), 0, 301), WEFT_BR(toil, &n, weft_s(1), 0, 302), WEFT_BR(toil, &n, 0, 0, 303));
    CHECK_EQ(e.code, 301);
    CHECK_EQ(who, 3);
    for (int code = 301; code <= 303; code++) CHECK_EQ(leaves_with_code(e.cause, code), 1);
    CHECK_EQ(weft_now(), weft_s(5));
    e = weft_any(&who, WEFT_BR(toil, &n, .fails = 300), WEFT_BR(toil, &n, .value = 77));
    CHECK(weft_ok(e));
    CHECK_EQ(n, 77);
}
TEST(any_has_the_first_value_or_all_causes) { on_clock(WEFT_CLOCK_AUTO, any_has_a_value); }

/* ---- settled -------------------------------------------------------------------------------------------- */

static void settles(void *arg) {
    (void)arg;
    weft_exit exits[4];
    long n = 0, m = 0;
    none_yet();
    CHECK(weft_ok(weft_all_settled(exits, WEFT_BR(toil, &n, weft_s(2), 1, 0), WEFT_BR(toil, NULL, weft_s(1), 0, 301),
                                   WEFT_BR(toil, NULL, 0, 0, 302), WEFT_BR(toil, &m, weft_s(3), 4, 0))));
    CHECK(weft_ok(exits[0]) && weft_ok(exits[3]));
    CHECK_EQ(exits[1].code, 301);
    CHECK(!strcmp(exits[1].cause->text, "failure 301"));
    CHECK_EQ(exits[2].code, 302);
    CHECK_EQ(n, 1);
    CHECK_EQ(m, 4);
    CHECK_EQ(weft_now(), weft_s(3));
    CHECK(weft_ok(weft_all_settled(NULL, WEFT_BR(toil, NULL, 0, 0, 301))));
}
TEST(settled_reports_each_exit) { on_clock(WEFT_CLOCK_AUTO, settles); }

/* ---- the caller is interrupted -------------------------------------------------------------------------- */

typedef enum which { ZIP, RACE, ANY, SETTLED, KINDS } which;
static _Atomic int exit_tag;
static int combines(which w);
WEFT_TASK(combines, int, which);
static int combines(which w) {
    long n = 5;
    weft_exit e, exits[2];
    size_t who = 9;
    if (w == ZIP) e = weft_zip_par(WEFT_BR(toil, &n, weft_s(10), 1, 0), WEFT_BR(toil, &n, weft_s(20), 2, 0));
    else if (w == RACE) e = weft_race(&who, WEFT_BR(toil, &n, weft_s(10), 1, 0), WEFT_BR(toil, &n, weft_s(20), 2, 0));
    else if (w == ANY) e = weft_any(&who, WEFT_BR(toil, &n, weft_s(10), 1, 0), WEFT_BR(toil, &n, weft_s(20), 2, 0));
    else e = weft_all_settled(exits, WEFT_BR(toil, &n, weft_s(10), 1, 0), WEFT_BR(toil, &n, weft_s(20), 2, 0));
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(e.code, WEFT_E_INTERRUPTED);
    CHECK_EQ(n, 5);
    if (w == RACE || w == ANY) CHECK_EQ(who, 2);
    if (w == SETTLED) CHECK_EQ(exits[0].code, WEFT_E_CANCELLED);
    exit_tag = (int)e.tag;
    /* still interrupted: nothing is started */
    begun = 0;
    CHECK_EQ(weft_zip_par(WEFT_BR(toil, &n, .value = 1), WEFT_BR(toil, &n, .value = 1)).tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(begun, 0);
    return 0;
}
static void interrupted(void *arg) {
    (void)arg;
    for (which w = ZIP; w < KINDS; w++) {
        combines_fiber f;
        weft_time t = weft_now();
        none_yet();
        exit_tag = 0;
        CHECK(weft_ok(weft_spawn(&f, combines, w)));
        CHECK(weft_ok(weft_sleep(weft_s(1))));
        CHECK_EQ(begun, 2);
        CHECK(weft_ok(weft_interrupt(f, "enough")));
        CHECK_EQ(stopped, 2);
        CHECK_EQ(exit_tag, WEFT_EXIT_INTERRUPT);
        CHECK_EQ(weft_await(f, combines, NULL).code, WEFT_E_CANCELLED);
        CHECK_EQ(weft_now(), t + weft_s(1));
        weft_drop(f);
    }
}
TEST(an_interrupted_caller_waits_for_its_branches) { on_clock(WEFT_CLOCK_AUTO, interrupted); }

static weft_exit zips(void *arg) {
    long n, m;
    (void)arg;
    return weft_zip_par(WEFT_BR(toil, &n, weft_s(1), 1, 0), WEFT_BR(toil, &m, weft_s(5), 2, 0));
}
static void timed_out(void *arg) {
    (void)arg;
    none_yet();
    CHECK_EQ(weft_timeout(weft_s(3), zips, NULL).code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_now(), weft_s(3));
    CHECK_EQ(stopped, 1);
    CHECK_EQ(ended, 1);
    CHECK(weft_ok(weft_timeout(weft_s(6), zips, NULL)));
}
TEST(a_deadline_around_a_combinator_stops_its_branches) { on_clock(WEFT_CLOCK_AUTO, timed_out); }

/* A branch that is stopped by a scope of its own has completed. */
static weft_exit long_sleep(void *arg) {
    (void)arg;
    return weft_sleep(weft_s(100));
}
static int gives_up(int n);
WEFT_TASK(gives_up, int, int);
static int gives_up(int n) {
    weft_exit e = weft_timeout(weft_s(n), long_sleep, NULL);
    return e.code == WEFT_E_TIMEOUT ? n : -1;
}
static void own_scopes(void *arg) {
    (void)arg;
    int a = 0, b = 0;
    CHECK(weft_ok(weft_zip_par(WEFT_BR(gives_up, &a, 2), WEFT_BR(gives_up, &b, 3))));
    CHECK_EQ(a + b, 5);
    size_t who;
    CHECK(weft_ok(weft_race(&who, WEFT_BR(gives_up, &a, 7), WEFT_BR(gives_up, &b, 6))));
    CHECK_EQ(b, 6);
    CHECK_EQ(who, 1);
}
TEST(a_branch_that_its_own_scope_stopped_has_completed) { on_clock(WEFT_CLOCK_AUTO, own_scopes); }

/* ---- nested --------------------------------------------------------------------------------------------- */

static long tree(int depth);
WEFT_TASK(tree, long, int);
static long tree(int depth) {
    long a = 0, b = 0, c = 0;
    if (depth == 0) return toil((job){weft_ms(1), 1, 0});
    if (!weft_ok(weft_zip_par(WEFT_BR(tree, &a, depth - 1), WEFT_BR(tree, &b, depth - 1), WEFT_BR(tree, &c, depth - 1)))) return -1;
    return a + b + c;
}
static void nested(void *arg) {
    (void)arg;
    long n = 0;
    none_yet();
    CHECK(weft_ok(weft_zip_par(WEFT_BR(tree, &n, 5))));
    CHECK_EQ(n, 243);
    CHECK_EQ(ended, 243);
    CHECK_EQ(weft_now(), weft_ms(1));
    size_t who;
    CHECK(weft_ok(weft_race(&who, WEFT_BR(tree, &n, 4), WEFT_BR(toil, &n, weft_us(500), 17, 0))));
    CHECK_EQ(n, 17);
    CHECK_EQ(stopped, 81);
}
TEST(combinators_nest) { on_clock(WEFT_CLOCK_AUTO, nested); }

/* ---- fibers of a branch --------------------------------------------------------------------------------- */

static int spawns(job j);
WEFT_TASK(spawns, int, job);
static int spawns(job j) {
    CHECK(weft_ok(weft_spawn((toil_fiber *)NULL, toil, j.takes, j.value, j.fails)));
    return 3;
}
static void fibers_of_branches(void *arg) {
    (void)arg;
    int n = 0, m = 0;
    none_yet();
    CHECK(weft_ok(weft_zip_par(WEFT_BR(spawns, &n, weft_s(2), 0, 0), WEFT_BR(spawns, &m, weft_s(1), 0, 0))));
    CHECK_EQ(weft_now(), weft_s(2));
    CHECK_EQ(ended, 2);
    weft_exit e = weft_zip_par(WEFT_BR(spawns, &n, weft_s(2), 0, 309), WEFT_BR(spawns, &m, weft_s(4), 0, 0));
    CHECK_EQ(e.code, 309);
    CHECK_EQ(weft_now(), weft_s(4));
    CHECK_EQ(stopped, 1);
    CHECK(weft_ok(weft_race(NULL, WEFT_BR(spawns, &n, weft_s(2), 0, 0), WEFT_BR(toil, NULL, weft_s(1), 0, 0))));
}
TEST(what_a_branch_spawns_belongs_to_the_combinator) { on_clock(WEFT_CLOCK_AUTO, fibers_of_branches); }

/* ---- kept ----------------------------------------------------------------------------------------------- */

static void losers_go_on(void *arg) {
    (void)arg;
    long n = 0, m = 0;
    size_t who;
    weft_exit all;
    const weft_par_options keep = {.rest = WEFT_KEEP};
    none_yet();
    WEFT_SCOPE(s, &all) {
        {
            weft_branch b[] = {WEFT_BR_DROP(toil, &n, drop_long, weft_s(5), 101, 0), WEFT_BR_DROP(toil, &n, drop_long, weft_s(1), 102, 0)};
            CHECK(weft_ok(weft_race_of(&who, b, 2, &keep)));
            CHECK_EQ(who, 1);
            CHECK_EQ(n, 102);
            CHECK_EQ(weft_now(), weft_s(1));
        }
        {
            weft_branch b[] = {WEFT_BR_DROP(toil, &n, drop_long, weft_s(5), 101, 0), WEFT_BR(toil, &m, weft_s(1), 0, 301)};
            weft_exit e = weft_all_of(b, 2, &keep);
            CHECK_EQ(e.code, 301);
            CHECK_EQ(weft_now(), weft_s(2));
            CHECK_EQ(stopped, 0);
        }
        {
            weft_branch b[] = {WEFT_BR(toil, &n, weft_s(1), 1, 0), WEFT_BR(toil, &m, weft_s(2), 2, 0)};
            CHECK(weft_ok(weft_all_of(b, 2, &keep)));
            CHECK_EQ(n + m, 3);
        }
        {
            weft_branch b[] = {WEFT_BR(toil, &n, .fails = 305), WEFT_BR(toil, &n, .fails = 306)};
            weft_exit e = weft_any_of(&who, b, 2, &keep);
            CHECK_EQ(leaves_with_code(e.cause, 305) + leaves_with_code(e.cause, 306), 2);
        }
    }
    CHECK(weft_ok(all));
    CHECK_EQ(weft_now(), weft_s(6));
    CHECK_EQ(dropped, 2);
}
TEST(losers_and_siblings_go_on_if_asked_to) { on_clock(WEFT_CLOCK_AUTO, losers_go_on); }

static int keeps_racing(int n);
WEFT_TASK(keeps_racing, int, int);
static int keeps_racing(int n) {
    long l;
    weft_branch b[] = {WEFT_BR_DROP(toil, &l, drop_long, weft_s(5), 101, 0), WEFT_BR_DROP(toil, &l, drop_long, weft_s(6), 102, 0)};
    CHECK_EQ(weft_race_of(NULL, b, 2, &(weft_par_options){.rest = WEFT_KEEP}).tag, WEFT_EXIT_INTERRUPT);
    return n;
}
static void kept_interrupted(void *arg) {
    (void)arg;
    for (int at = 0; at < 2; at++) {
        none_yet();
        keeps_racing_fiber f;
        CHECK(weft_ok(weft_spawn(&f, keeps_racing, 1)));
        if (at) CHECK(weft_ok(weft_sleep(weft_s(1))));
        CHECK(weft_ok(weft_interrupt(f, "enough")));
        weft_drop(f);
        CHECK(weft_ok(weft_sleep(weft_s(10)))); /* the others belong to the runtime, and end by themselves */
        CHECK_EQ(begun, ended);
        CHECK_EQ(dropped, ended);
    }
}
TEST(a_caller_that_is_interrupted_leaves_the_kept_branches_alone) { on_clock(WEFT_CLOCK_AUTO, kept_interrupted); }

/* ---- time ----------------------------------------------------------------------------------------------- */

static void instead(void *arg) {
    (void)arg;
    long n = 0;
    none_yet();
    /* C-D: a primary of 2 s, at most 500 ms, then a fallback */
    CHECK(weft_ok(weft_timeout_to(weft_ms(500), WEFT_BR(toil, &n, weft_s(2), 1, 0), WEFT_BR(toil, &n, .value = 2))));
    CHECK_EQ(n, 2);
    CHECK_EQ(weft_now(), weft_ms(500));
    CHECK_EQ(stopped, 1);
    CHECK(weft_ok(weft_timeout_to(weft_s(3), WEFT_BR(toil, &n, weft_s(2), 1, 0), WEFT_BR(toil, &n, .value = 2))));
    CHECK_EQ(n, 1);
    CHECK_EQ(weft_now(), weft_ms(2500));
    /* its own failure has no fallback, and neither has one with the code of a timeout */
    CHECK_EQ(weft_timeout_to(weft_s(3), WEFT_BR(toil, &n, 0, 1, 301), WEFT_BR(toil, &n, .value = 2)).code, 301);
    CHECK_EQ(weft_timeout_to(weft_s(3), WEFT_BR(toil, &n, 0, 1, WEFT_E_TIMEOUT), WEFT_BR(toil, &n, .value = 2)).code, WEFT_E_TIMEOUT);
    CHECK_EQ(n, 1);
    CHECK_EQ(weft_timeout_to(weft_s(1), WEFT_BR(toil, &n, weft_s(9), 1, 0), WEFT_BR(toil, &n, 0, 2, 302)).code, 302);
    CHECK_EQ(weft_timeout_to(-1, WEFT_BR(toil, &n, 0, 1, 0), WEFT_BR(toil, &n, 0, 2, 0)).code, WEFT_E_INVALID);
    CHECK_EQ(weft_timeout_to(1, WEFT_BR(toil, &n, 0, 1, 0)).code, WEFT_E_INVALID);
}
TEST(timeout_to_has_something_instead) { on_clock(WEFT_CLOCK_AUTO, instead); }

/* The value comes with the end of the time: it wins, whoever is woken first. */
static void instead_ties(void *arg) {
    (void)arg;
    long n = 0;
    CHECK(weft_ok(weft_timeout_to(weft_s(1), WEFT_BR(toil, &n, weft_s(1), 1, 0), WEFT_BR(toil, &n, .value = 2))));
    CHECK_EQ(n, 1);
}
TEST(a_value_that_comes_with_the_end_of_the_time_counts) { often(WEFT_CLOCK_AUTO, instead_ties, 20); }

static void hedged(void *arg) {
    (void)arg;
    long n = 0;
    size_t who = 9;
    none_yet();
    CHECK(weft_ok(weft_hedge(&who, weft_ms(100), WEFT_BR(toil, &n, weft_ms(50), 1, 0), WEFT_BR(toil, &n, weft_ms(10), 2, 0))));
    CHECK_EQ(n, 1); /* in time */
    CHECK_EQ(begun, 1);
    CHECK_EQ(weft_now(), weft_ms(50));
    CHECK(weft_ok(weft_hedge(&who, weft_ms(100), WEFT_BR(toil, &n, weft_ms(500), 1, 0), WEFT_BR(toil, &n, weft_ms(10), 2, 0))));
    CHECK_EQ(n, 2); /* late */
    CHECK_EQ(who, 1);
    CHECK_EQ(stopped, 1);
    CHECK_EQ(weft_now(), weft_ms(160));
    CHECK(weft_ok(weft_hedge(&who, weft_ms(100), WEFT_BR(toil, &n, weft_ms(20), 1, 301), WEFT_BR(toil, &n, weft_ms(10), 3, 0))));
    CHECK_EQ(n, 3); /* failed: the backup does not wait */
    CHECK_EQ(weft_now(), weft_ms(190));
    CHECK(weft_ok(weft_hedge(&who, weft_ms(100), WEFT_BR(toil, &n, weft_ms(300), 4, 0), WEFT_BR(toil, &n, weft_ms(10), 3, 302))));
    CHECK_EQ(n, 4);
    CHECK_EQ(who, 0);
    weft_exit e = weft_hedge(&who, weft_ms(100), WEFT_BR(toil, &n, 0, 4, 301), WEFT_BR(toil, &n, 0, 3, 302));
    CHECK_EQ(e.code, 301);
    CHECK_EQ(leaves_with_code(e.cause, 302), 1);
    begun = 0;
    CHECK(weft_ok(weft_hedge(NULL, 0, WEFT_BR(toil, &n, .value = 5), WEFT_BR(toil, &n, .value = 5))));
    CHECK_EQ(n, 5);
    if (!others_run_ahead()) CHECK_EQ(begun, 1);
    CHECK_EQ(weft_hedge(NULL, -1, WEFT_BR(toil, &n, 0, 4, 0), WEFT_BR(toil, &n, 0, 3, 0)).code, WEFT_E_INVALID);
    CHECK_EQ(weft_hedge(NULL, 1, WEFT_BR(toil, &n, 0, 4, 0)).code, WEFT_E_INVALID);
    CHECK(weft_ok(weft_hedge(NULL, WEFT_FOREVER, WEFT_BR(toil, &n, weft_s(1), 4, 0), WEFT_BR(toil, &n, 0, 3, 0))));
    CHECK_EQ(n, 4);
}
TEST(a_hedge_starts_its_backup_after_a_delay) { on_clock(WEFT_CLOCK_AUTO, hedged); }

/* ---- many items ----------------------------------------------------------------------------------------- */

static _Atomic int alive, most_alive;
typedef struct item {
    int number;
    weft_duration takes;
    int fails;
} item_in;
static int *use(item_in i);
WEFT_TASK(use, int *, item_in);
static int marks[1000];
static int *use(item_in i) {
    int now = atomic_fetch_add(&alive, 1) + 1, most = most_alive;
    while (now > most && !atomic_compare_exchange_weak(&most_alive, &most, now)) {}
    atomic_fetch_add(&begun, 1);
    weft_exit e = i.takes ? weft_sleep(i.takes) : fine;
    atomic_fetch_sub(&alive, 1);
    if (!weft_ok(e)) atomic_fetch_add(&stopped, 1);
    if (i.fails) weft_failf(i.fails, "item %d", i.number);
    return i.number % 3 ? &marks[i.number] : NULL; /* NULL is a result like others */
}
static item_in items[1000];
static int *results[1000];
static void new_items(int n, weft_duration takes) {
    none_yet();
    alive = most_alive = 0;
    for (int i = 0; i < n; i++) {
        items[i] = (item_in){i, takes, 0};
        results[i] = &marks[999];
    }
}
static void check_results(int n) {
    for (int i = 0; i < n; i++) CHECK(results[i] == (i % 3 ? &marks[i] : NULL));
}

static void each_in_order(void *arg) {
    (void)arg;
    new_items(10, weft_ms(20)); /* C-C: ten users, three at a time */
    CHECK(weft_ok(weft_for_each_par(use, items, 10, results, .parallelism = 3)));
    CHECK_EQ(weft_now(), weft_ms(80));
    CHECK_EQ(most_alive, 3);
    check_results(10);
    new_items(20, 0);
    for (int i = 0; i < 20; i++) items[i].takes = weft_ms(20 - i); /* the later ones end first */
    CHECK(weft_ok(weft_map(use, items, 20, results)));
    CHECK_EQ(weft_now(), weft_ms(100));
    CHECK_EQ(most_alive, 20);
    check_results(20);
    new_items(5, weft_ms(10)); /* 0 is 1 */
    CHECK(weft_ok(weft_for_each_par(use, items, 5, results)));
    CHECK_EQ(weft_now(), weft_ms(150));
    CHECK_EQ(most_alive, 1);
    new_items(1000, 0);
    CHECK(weft_ok(weft_for_each_par(use, items, 1000, results, .parallelism = 7, .grain = 16)));
    check_results(1000);
    CHECK(most_alive <= 7);
    CHECK_EQ(begun, 1000);
    new_items(100, weft_ms(1));
    CHECK(weft_ok(weft_for_each_par(use, items, 100, NULL, .parallelism = 4, .grain = 30)));
    CHECK_EQ(begun, 100);
    CHECK_EQ(weft_now(), weft_ms(180));
}
TEST(for_each_par_keeps_the_order_and_the_limit) { on_clock(WEFT_CLOCK_AUTO, each_in_order); }

static void each_fails(void *arg) {
    (void)arg;
    new_items(100, weft_ms(10));
    items[7].takes = weft_ms(1);
    items[7].fails = 307;
    weft_exit e = weft_for_each_par(use, items, 100, results, .parallelism = 5);
    CHECK_EQ(e.code, 307);
    CHECK_EQ(weft_now(), weft_ms(11));
    CHECK(begun <= 10 && begun >= 8);
    CHECK_EQ(alive, 0);
    CHECK_EQ(leaves_with_code(e.cause, 307), 1);
    new_items(10, 0);
    items[3].fails = 303;
    CHECK_EQ(weft_for_each_par(use, items, 10, results).code, 303);
    CHECK_EQ(begun, 4); /* the rest is not begun */
    CHECK(weft_ok(weft_checkpoint()));
}
TEST(the_first_item_that_fails_ends_for_each_par) { on_clock(WEFT_CLOCK_AUTO, each_fails); }

static void each_invalid(void *arg) {
    (void)arg;
    char text[200];
    weft_exit e = weft_for_each_par(use, items, 5, results, .parallelism = -1);
    CHECK_EQ(e.code, WEFT_E_INVALID);
    CHECK(strstr(weft_exit_format(e, text, sizeof text), "0 means 1"));
    CHECK_EQ(weft_for_each_par(use, items, 5, results, .grain = -1).code, WEFT_E_INVALID);
    CHECK_EQ(weft_for_each_par(use, NULL, 5, results).code, WEFT_E_INVALID);
    CHECK(weft_ok(weft_for_each_par(use, NULL, 0, NULL)));
}
TEST(for_each_par_says_what_is_wrong_with_its_options) { on_clock(WEFT_CLOCK_AUTO, each_invalid); }

static weft_exit eaches(void *arg) {
    return weft_for_each_par(use, items, 100, results, .parallelism = *(int *)arg);
}
static void each_timed_out(void *arg) {
    (void)arg;
    for (int k = 1; k < 5; k++) {
        weft_time t = weft_now();
        new_items(100, weft_ms(10));
        CHECK_EQ(weft_timeout(weft_ms(35), eaches, &k).code, WEFT_E_TIMEOUT);
        CHECK_EQ(weft_now() - t, weft_ms(35));
        CHECK_EQ(begun, 4 * k);
        CHECK_EQ(stopped, k);
        CHECK_EQ(alive, 0);
    }
}
TEST(a_deadline_stops_all_items_of_for_each_par) { on_clock(WEFT_CLOCK_AUTO, each_timed_out); }

static int spread(int n);
WEFT_TASK(spread, int, int);
static int spread(int n) {
    int in[4] = {n - 1, n - 1, n - 1, n - 1}, out[4] = {0}, sum = 0;
    if (n == 0) return 1;
    if (n == 3) weft_yield();
    CHECK(weft_ok(weft_for_each_par(spread, in, 4, out, .parallelism = 1 + n % 3)));
    for (int i = 0; i < 4; i++) sum += out[i];
    return sum;
}
static void each_nested(void *arg) {
    (void)arg;
    CHECK_EQ(spread(5), 1024);
}
TEST(for_each_par_nests) { often(WEFT_CLOCK_AUTO, each_nested, 20); }

/* ---- streams -------------------------------------------------------------------------------------------- */

typedef struct page {
    int number;
    char text[24];
} page;
static page fetch(item_in i);
WEFT_TASK(fetch, page, item_in);
static page fetch(item_in i) {
    page p = {i.number, ""};
    use(i);
    snprintf(p.text, sizeof p.text, "page %d", i.number);
    return p;
}

static void streams_in_order(void *arg) {
    (void)arg;
    weft_stream s;
    page p;
    size_t i, n = 0;
    new_items(50, 0);
    for (int k = 0; k < 50; k++) items[k].takes = weft_ms(1 + k * 7 % 13);
    CHECK(weft_ok(weft_stream_open(&s, fetch, items, 50, .parallelism = 6, .window = 9)));
    for (; weft_stream_next(&s, fetch, &i, &p); n++) {
        CHECK_EQ(i, n);
        CHECK_EQ(p.number, (int)n);
        CHECK_EQ(atoi(p.text + 5), (int)n);
        CHECK(begun <= (int)n + 9);
    }
    CHECK(weft_ok(weft_stream_close(&s)));
    CHECK_EQ(n, 50);
    CHECK_EQ(most_alive, 6);
    CHECK_EQ(alive, 0);
    CHECK(!weft_stream_next(&s, fetch, &i, &p));
    CHECK_EQ(weft_stream_close(&s).code, WEFT_E_INVALID);
    new_items(10, 0);
    CHECK(weft_ok(weft_stream_open(&s, fetch, items, 10)));
    for (n = 0; weft_stream_next(&s, fetch, NULL, &p); n++) {
        CHECK_EQ(p.number, (int)n);
        CHECK_EQ(begun, (int)n + 1); /* one at a time, as they are asked for */
    }
    CHECK(weft_ok(weft_stream_close(&s)));
    CHECK_EQ(n, 10);
    CHECK(weft_ok(weft_stream_open(&s, fetch, NULL, 0, .parallelism = 4)));
    CHECK(!weft_stream_next(&s, fetch, NULL, NULL));
    CHECK(weft_ok(weft_stream_close(&s)));
}
TEST(a_stream_has_results_in_the_order_of_the_items) { on_clock(WEFT_CLOCK_AUTO, streams_in_order); }

static void streams_as_they_become(void *arg) {
    (void)arg;
    weft_stream s;
    page p;
    int order[5], n = 0;
    size_t i;
    new_items(5, 0);
    for (int k = 0; k < 5; k++) items[k].takes = weft_ms(10 * (5 - k));
    CHECK(weft_ok(weft_stream_open(&s, fetch, items, 5, .parallelism = WEFT_UNLIMITED, .unordered = true)));
    while (weft_stream_next(&s, fetch, &i, &p)) {
        CHECK_EQ(p.number, (int)i);
        order[n++] = (int)i;
    }
    CHECK(weft_ok(weft_stream_close(&s)));
    CHECK_EQ(n, 5);
    /* the caller itself was in one, the longest unless others run ahead: it hands out what became meanwhile before or after */
    for (int k = 0; k + 1 < 5 && !others_run_ahead(); k++) CHECK(order[k] > order[k + 1] || order[k] == 0);
    CHECK_EQ(weft_now(), weft_ms(50));
}
TEST(an_unordered_stream_has_results_as_they_become) { on_clock(WEFT_CLOCK_AUTO, streams_as_they_become); }

static weft_exit add_up(void *arg, size_t i, void *value) {
    const page *p = value;
    CHECK_EQ(p->number, (int)i);
    *(int *)arg += p->number;
    weft_exit e = weft_sleep(weft_us(300));
    return !weft_ok(e) ? e : i == 77 ? (weft_exit){WEFT_EXIT_FAIL, 377, NULL} : fine;
}
static void drop_page(void *value) {
    CHECK(((page *)value)->text[0] == 'p');
    atomic_fetch_add(&dropped, 1);
}
static void streams_to_a_call(void *arg) {
    (void)arg;
    for (int unordered = 0; unordered < 2; unordered++) {
        int sum = 0;
        new_items(60, weft_us(500));
        CHECK(weft_ok(weft_stream_each(fetch, items, 60, add_up, &sum, .parallelism = 4, .unordered = unordered != 0)));
        CHECK_EQ(sum, 59 * 60 / 2);
        new_items(200, weft_us(500));
        weft_exit e = weft_stream_each(fetch, items, 200, add_up, &sum, .parallelism = 4, .window = 8,
                                       .unordered = unordered != 0, .drop = drop_page);
        CHECK_EQ(e.code, 377);
        CHECK(begun <= 78 + 16);
        CHECK_EQ(alive, 0);
        new_items(100, weft_us(500));
        items[42].fails = 342;
        e = weft_stream_each(fetch, items, 100, add_up, &sum, .parallelism = 5, .unordered = unordered != 0);
        CHECK_EQ(e.code, 342);
        CHECK_EQ(alive, 0);
        CHECK(weft_ok(weft_checkpoint()));
    }
    CHECK_EQ(weft_stream_each(fetch, NULL, 5, add_up, NULL).code, WEFT_E_INVALID);
    CHECK_EQ(weft_stream_each(fetch, items, 5, add_up, NULL, .parallelism = -1).code, WEFT_E_INVALID);
    CHECK_EQ(weft_stream_each(fetch, items, 5, add_up, NULL, .window = WEFT_WINDOW_MAX + 1).code, WEFT_E_INVALID);
}
TEST(a_stream_ends_early_by_its_items_or_its_taker) { on_clock(WEFT_CLOCK_AUTO, streams_to_a_call); }

static void streams_closed_early(void *arg) {
    (void)arg;
    weft_stream s;
    page p;
    new_items(100, weft_ms(1));
    CHECK(weft_ok(weft_stream_open(&s, fetch, items, 100, .parallelism = 4, .window = 10, .drop = drop_page)));
    for (int n = 0; n < 5; n++) CHECK(weft_stream_next(&s, fetch, NULL, &p));
    CHECK(weft_ok(weft_sleep(weft_ms(20)))); /* the lanes go on without being asked, as far as the window lets them */
    CHECK(begun >= 14);
    CHECK(begun <= 15);
    CHECK(weft_ok(weft_stream_close(&s)));
    CHECK_EQ(begun, 5 + dropped + stopped);
    CHECK_EQ(alive, 0);
    CHECK(weft_ok(weft_checkpoint()));
}
TEST(a_stream_that_is_closed_early_drops_what_was_not_taken) { on_clock(WEFT_CLOCK_AUTO, streams_closed_early); }

static weft_exit streams(void *arg) {
    int sum = 0;
    (void)arg;
    return weft_stream_each(fetch, items, 100, add_up, &sum, .parallelism = 3);
}
static void streams_timed_out(void *arg) {
    (void)arg;
    new_items(100, weft_ms(10));
    CHECK_EQ(weft_timeout(weft_ms(35), streams, NULL).code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_now(), weft_ms(35));
    CHECK_EQ(alive, 0);
}
TEST(a_deadline_ends_a_stream) { on_clock(WEFT_CLOCK_AUTO, streams_timed_out); }

/* ---- plain threads -------------------------------------------------------------------------------------- */

TEST(on_a_plain_thread_branches_are_calls) {
    long n = 0, m = 0;
    size_t who = 9;
    weft_exit exits[2];
    none_yet();
    CHECK(weft_ok(weft_zip_par(WEFT_BR(toil, &n, 0, 1, 0), WEFT_BR(toil, &m, 0, 2, 0))));
    CHECK_EQ(n + m, 3);
    CHECK(weft_ok(weft_race(&who, WEFT_BR(toil, &n, 0, 5, 0), WEFT_BR(toil, &m, 0, 6, 0))));
    CHECK_EQ(who, 0);
    CHECK_EQ(n + m, 7);
    CHECK(weft_ok(weft_all_settled(exits, WEFT_BR(toil, &n, 0, 5, 0), WEFT_BR(toil, &m, 0, 6, 0))));
    CHECK(weft_ok(exits[0]) && weft_ok(exits[1]));
    CHECK_EQ(begun, 5);
    new_items(10, 0);
    CHECK(weft_ok(weft_for_each_par(use, items, 10, results, .parallelism = 3)));
    check_results(10);
    weft_stream s;
    page p;
    CHECK(weft_ok(weft_stream_open(&s, fetch, items, 10, .parallelism = 3)));
    for (int i = 0; i < 8; i++) CHECK(weft_stream_next(&s, fetch, NULL, &p) && p.number == i);
    CHECK(weft_ok(weft_stream_close(&s)));
    CHECK(weft_ok(weft_timeout_to(weft_s(1), WEFT_BR(toil, &n, 0, 5, 0), WEFT_BR(toil, &n, 0, 6, 0))));
    CHECK_EQ(n, 5);
    CHECK(weft_ok(weft_hedge(&who, weft_s(1), WEFT_BR(toil, &n, 0, 8, 0), WEFT_BR(toil, &n, 0, 6, 0))));
    CHECK_EQ(n, 8);
}

TEST_MAIN
