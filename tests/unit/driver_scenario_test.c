/* The scenarios of the drivers' source, each under every driver: a counter, spawned tasks, delays, an environment, an error
 * result with its traces, a handler of one's own, a fixed clock, a task that is cancelled.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/driver_runs.h"

/* ---- D-A: a counter in the store ------------------------------------------------------------------------ */

WEFT_STATE(counter, long);

static long count(int n);
WEFT_TASK(count, long, int);
static long count(int n) {
    long c;
    for (int i = 0; i < n; i++) {
        if (!weft_must(weft_do_get(counter, &c)) || !weft_must(weft_do_put(counter, c + 1))) return 0;
    }
    return c + 1;
}
static void counted(weft_result *r) {
    long final = -1;
    CHECK(weft_result_is_ok(r) && !weft_result_is_err(r));
    CHECK(weft_ok(weft_result_error(r)));
    CHECK_EQ(VALUE(r, count), 1);
    CHECK(weft_ok(weft_result_get(r, counter, &final)));
    CHECK_EQ(final, 1);
}
TEST(d_a_a_counter_in_the_store_goes_from_0_to_1) { UNDER_ALL(counted, count, WEFT_WITH(WEFT_STORE(WEFT_SET(counter, 0))), 1); }

/* ---- D-B: three are spawned, and waited for -------------------------------------------------------------- */

static long square(long n);
WEFT_TASK(square, long, long);
static long square(long n) {
    weft_must(weft_do_delay(weft_ms(10 - n)));
    return n * n;
}

static long in_parallel(int n);
WEFT_TASK(in_parallel, long, int);
static long in_parallel(int n) {
    square_fiber f[3];
    long sum = 0, each;
    for (int i = 0; i < n; i++)
        if (!weft_must(weft_do_spawn(&f[i], square, i + 1))) return -1;
    for (int i = 0; i < n; i++) {
        if (!weft_must(weft_do_wait(f[i], square, &each))) return -1;
        sum = sum * 10 + each;
        weft_must(weft_do_wait(f[i], square, &each)); /* as often as one likes */
        weft_drop(f[i]);
    }
    return sum;
}
static void all_there(weft_result *r) { CHECK_EQ(VALUE(r, in_parallel), 149); }
TEST(d_b_three_are_spawned_and_waited_for_in_their_order) { UNDER_ALL(all_there, in_parallel, WEFT_WITH(0), 3); }

/* ---- D-C: who delays lets the others run ----------------------------------------------------------------- */

static int sleeps_2_s(int n);
WEFT_TASK(sleeps_2_s, int, int);
static int sleeps_2_s(int n) {
    weft_time t = -1;
    weft_must(weft_do_delay(weft_s(2)));
    weft_must(weft_do_get_time(&t));
    weft_do_tell("slept until %d s", (int)(t / weft_s(1)));
    return n;
}
static int runs(int n);
WEFT_TASK(runs, int, int);
static int runs(int n) {
    weft_time t = -1;
    weft_must(weft_yield());
    weft_must(weft_do_get_time(&t));
    weft_do_tell("peer ran at %d s", (int)(t / weft_s(1)));
    return n;
}
static int three(int n);
WEFT_TASK(three, int, int);
static int three(int n) {
    sleeps_2_s_fiber a;
    runs_fiber b, c;
    weft_must(weft_do_spawn(&a, sleeps_2_s, 1));
    weft_must(weft_do_spawn(&b, runs, 2));
    weft_must(weft_do_spawn(&c, runs, 3));
    int x = 0, y = 0, z = 0;
    weft_must(weft_do_wait(a, sleeps_2_s, &x));
    weft_must(weft_do_wait(b, runs, &y));
    weft_must(weft_do_wait(c, runs, &z));
    return n + x + y + z;
}
static void peers_first(weft_result *r) {
    const weft_log *log = weft_result_log(r);
    CHECK_EQ(VALUE(r, three), 16);
    CHECK_EQ(log->n, 3);
    CHECK(strcmp(log->first->text, "peer ran at 0 s") == 0);
    CHECK(strcmp(log->first->next->text, "peer ran at 0 s") == 0);
    CHECK(strcmp(log->last->text, "slept until 2 s") == 0);
    CHECK_EQ(log->last->time, weft_s(2));
    CHECK(log->last->fiber && log->last->at.line > 0);
}
TEST(d_c_a_delay_lets_two_runnable_peers_run) { UNDER_ALL(peers_first, three, WEFT_WITH(0), 10); }

/* ---- D-D: a second takes a second ------------------------------------------------------------------------ */

static weft_duration timed(weft_duration d);
WEFT_TASK(timed, weft_duration, weft_duration);
static weft_duration timed(weft_duration d) {
    weft_time start, end;
    weft_must(weft_do_get_time(&start));
    weft_must(weft_do_delay(d));
    weft_must(weft_do_get_time(&end));
    weft_must(weft_do_wait_until(start)); /* past: at once */
    weft_must(weft_do_wait_until(end + d));
    weft_must(weft_do_get_time(&start));
    CHECK(start >= end + d);
    return end - start + d + d;
}
static void a_second(weft_result *r) { CHECK_EQ(VALUE(r, timed), weft_s(1)); }
TEST(d_d_a_delay_of_a_second_takes_one) { UNDER_ALL(a_second, timed, WEFT_WITH(0), weft_s(1)); }

TEST(d_d_on_the_real_clock_it_takes_at_least_as_long) {
    weft_result *r = weft_run_sync(timed, NULL, weft_ms(2));
    CHECK(weft_result_is_ok(r));
    weft_result_free(r);
    r = weft_run_async(timed, NULL, weft_ms(2));
    CHECK(weft_result_is_ok(r));
    weft_result_free(r);
}

/* ---- D-E: asked of the environment ------------------------------------------------------------------------ */

typedef const char *name_of;
WEFT_KEY(who, name_of);

static int greets(int n);
WEFT_TASK(greets, int, int);
static int greets(int n) {
    const char *name = NULL;
    if (!weft_must(weft_do_ask(who, &name))) return -1;
    weft_do_tell("Hello, %s!", name);
    return n;
}
static int greets_twice(int n);
WEFT_TASK(greets_twice, int, int);
static int greets_twice(int n) {
    greets_fiber f;
    int a = 0;
    weft_must(weft_do_spawn(&f, greets, 1));
    weft_must(weft_do_wait(f, greets, &a));
    weft_must(weft_do_local(who, "moon", greets, NULL, 2));
    weft_must(weft_do_gather(WEFT_BR(greets, NULL, 3), WEFT_BR(greets, NULL, 4)));
    return n + a;
}
static void greeted(weft_result *r) {
    const char *name = NULL;
    const weft_log *log = weft_result_log(r);
    CHECK_EQ(VALUE(r, greets_twice), 6);
    CHECK_EQ(log->n, 4);
    CHECK(strcmp(log->first->text, "Hello, World!") == 0);
    CHECK(strcmp(log->first->next->text, "Hello, moon!") == 0);
    CHECK(strcmp(log->last->text, "Hello, World!") == 0);
    CHECK(weft_ok(weft_result_ask(r, who, &name)));
    CHECK(strcmp(name, "World") == 0);
}
TEST(d_e_the_environment_is_asked_by_the_program_and_its_children) {
    UNDER_ALL(greeted, greets_twice, WEFT_WITH(WEFT_ENV(WEFT_BIND(who, "World"))), 5);
}

static void nobody_there(weft_result *r) {
    const char *name = NULL;
    CHECK_EQ(weft_result_error(r).code, WEFT_E_MISSING);
    CHECK(strstr(weft_exit_render(weft_result_error(r), text, sizeof text), "who"));
    CHECK_EQ(weft_result_ask(r, who, &name).code, WEFT_E_MISSING);
}
TEST(d_e_what_nobody_provides_is_missing) { UNDER_ALL(nobody_there, greets, WEFT_WITH(0), 5); }

/* ---- D-F: an error result ---------------------------------------------------------------------------------- */

static int risky(int n);
WEFT_TASK(risky, int, int);
static int risky(int n) {
    weft_do_delay(weft_ms(1));
    return weft_fail(300, "something went wrong"), n; /* here */
}
enum { RISKY_LINE = __LINE__ - 2 };
static int careless(int n);
WEFT_TASK(careless, int, int);
static int careless(int n) {
    risky_fiber f;
    int v = 0;
    weft_must(weft_do_spawn(&f, risky, n));
    return weft_must(weft_do_wait(f, risky, &v)) ? v : -1;
}
static bool says(const char *what) { return strstr(text, what); }
static void went_wrong(weft_result *r) {
    int v = 7;
    char place[200];
    CHECK(weft_result_is_err(r) && !weft_result_is_ok(r));
    CHECK_EQ(weft_result_error(r).code, 300);
    CHECK_EQ(weft_result_value(r, careless, &v).code, 300);
    CHECK_EQ(v, 7);
    weft_result_format(r, false, text, sizeof text);
    snprintf(place, sizeof place, "%s:%d", __FILE__, (int)RISKY_LINE);
    CHECK(says("something went wrong") && says(place) && says("risky"));
    weft_result_continuation(r, text, sizeof text);
    CHECK(says("handler 'state'") && says("handler 'tasks'") && says("fiber 'risky'"));
    weft_result_places(r, text, sizeof text);
    CHECK(says(place) && says("fiber risky") && says("the driver of 'careless'"));
    weft_result_format(r, true, text, sizeof text);
    CHECK(says("continuation") && says("effects:") && says("places") && says("store:") && says("log:") && says("environment:"));
}
TEST(d_f_an_error_result_has_the_error_and_where_it_came_from) { UNDER_ALL(went_wrong, careless, WEFT_WITH(0), 5); }

static void and_how_often(weft_result *r) {
    went_wrong(r);
    weft_result_effects(r, text, sizeof text);
    CHECK(says("program 'careless'") && says("effect 'weft_spawn'") && says("effect 'weft_delay'"));
    const char *child = strstr(text, "fiber 'risky'");
    CHECK(child && strstr(child, "<-- failed (code 300)"));
}
TEST(d_f_traced_it_has_the_call_tree_with_the_failing_site) {
    UNDER_ALL(and_how_often, careless, WEFT_WITH(.trace = true), 5);
}

/* ---- D-G: a handler of one's own --------------------------------------------------------------------------- */

WEFT_EFFECT(custom_log, char, const char *message;);

static weft_exit on_custom_log(const custom_log_op *op, char *reply, void *self) {
    (void)reply, (void)self;
    return weft_do_tell("[LOG] %s", op->message); /* by the preset's handler, further out */
}
static int with_logging(int n);
WEFT_TASK(with_logging, int, int);
static int with_logging(int n) {
    weft_must(weft_perform(custom_log, NULL, "Starting..."));
    weft_must(weft_perform(custom_log, NULL, "Processing..."));
    return n;
}
static void in_log(weft_result *r) {
    CHECK_EQ(VALUE(r, with_logging), 3);
    CHECK_EQ(weft_result_log(r)->n, 2);
    CHECK(logged(r, "[LOG] Starting...") && logged(r, "[LOG] Processing..."));
}
TEST(d_g_a_handler_is_appended_to_the_preset) {
    UNDER_ALL(in_log, with_logging,
              WEFT_WITH(WEFT_HANDLERS(WEFT_SYNC_PRESET, WEFT_SHARED_HANDLER(NULL, WEFT_TAIL(custom_log, on_custom_log)))), 3);
}

/* Further out than the preset: it is found all the same, and what it performs goes out from there. */
static weft_exit on_custom_count(const custom_log_op *op, char *reply, void *self) {
    (void)op, (void)reply;
    __atomic_fetch_add((int *)self, 1, __ATOMIC_RELAXED);
    return weft_done;
}
static int heard;
static void counted_two(weft_result *r) {
    CHECK_EQ(VALUE(r, with_logging), 3);
    CHECK_EQ(heard, 2);
    heard = 0;
}
TEST(d_g_or_prepended) {
    const weft_handler handlers[] = {WEFT_SHARED_HANDLER(&heard, WEFT_TAIL(custom_log, on_custom_count)), WEFT_ASYNC_PRESET};
    UNDER_ALL(counted_two, with_logging, WEFT_WITH(.handlers = handlers, .n_handlers = sizeof handlers / sizeof *handlers), 3);
}

static void unknown(weft_result *r) {
    CHECK_EQ(weft_result_error(r).tag, WEFT_EXIT_DIE);
    CHECK_EQ(weft_result_error(r).code, WEFT_E_UNHANDLED);
    weft_result_format(r, false, text, sizeof text);
    CHECK(says("custom_log") && says("with_logging"));
}
TEST(d_g_without_one_the_program_has_died_of_it) { UNDER_ALL(unknown, with_logging, WEFT_WITH(0), 3); }

static int never_looks(int n);
WEFT_TASK(never_looks, int, int);
static int never_looks(int n) {
    weft_perform(custom_log, NULL, "to nobody");
    return n;
}
static void noticed(weft_result *r) {
    CHECK_EQ(weft_result_error(r).tag, WEFT_EXIT_DIE);
    CHECK_EQ(weft_result_error(r).code, WEFT_E_UNHANDLED);
}
TEST(d_g_also_if_it_never_looks) { UNDER_ALL(noticed, never_looks, WEFT_WITH(0), 3); }

/* ---- D-H: a fixed clock ------------------------------------------------------------------------------------- */

static weft_time what_time(int n);
WEFT_TASK(what_time, weft_time, int);
static weft_time what_time(int n) {
    weft_time t = -1;
    if (n) return weft_must(weft_do_delay(weft_s(n))), what_time(0);
    return weft_must(weft_do_get_time(&t)) ? t : -1;
}
static void at_noon(weft_result *r) { CHECK_EQ(VALUE(r, what_time), weft_s(43200)); }
TEST(d_h_a_fixed_time_in_the_store) {
    UNDER_ALL(at_noon, what_time, WEFT_WITH(WEFT_STORE(WEFT_SET(weft_current_time, weft_s(43200)))), 3);
}
static weft_exit noon(const weft_get_time_op *op, weft_time *now, void *self) {
    (void)op, (void)self;
    *now = weft_s(43200);
    return weft_done;
}
TEST(d_h_or_a_handler_that_stops_it) {
    UNDER_ALL(at_noon, what_time,
              WEFT_WITH(WEFT_HANDLERS(WEFT_SYNC_PRESET, WEFT_SHARED_HANDLER(NULL, WEFT_TAIL(weft_get_time, noon)))), 3);
}
TEST(d_h_or_a_clock_that_is_provided) {
    UNDER_ALL(at_noon, what_time, WEFT_WITH(WEFT_ENV(WEFT_BIND(weft_clock, weft_clock_fixed(weft_s(43200))))), 3);
}

/* ---- D-I: cancelled, then waited for ------------------------------------------------------------------------- */

static _Atomic int cleaned_up;
static int endless(int n);
WEFT_TASK(endless, int, int);
static int endless(int n) {
    while (weft_ok(weft_do_delay(weft_s(1)))) {}
    cleaned_up++;
    return n;
}
static int cancels(int n);
WEFT_TASK(cancels, int, int);
static int cancels(int n) {
    endless_fiber f;
    bool pending = false, done = true;
    int v = 9;
    cleaned_up = 0;
    weft_must(weft_do_spawn(&f, endless, 1));
    weft_must(weft_do_delay(weft_ms(3500)));
    weft_must(weft_do_is_done(f, &done));
    CHECK(!done);
    weft_must(weft_do_cancel(f, "enough", &pending));
    CHECK(pending);
    weft_exit e = weft_do_wait(f, endless, &v);
    CHECK(e.tag == WEFT_EXIT_INTERRUPT && e.code == WEFT_E_CANCELLED);
    CHECK_EQ(cleaned_up, 1); /* who waits is woken when it has ended */
    CHECK_EQ(v, 9);
    weft_must(weft_do_is_done(f, &done));
    CHECK(done);
    weft_must(weft_do_cancel(f, "again", &pending));
    CHECK(!pending);
    CHECK(weft_ok(weft_do_delay(1))); /* the waiter itself goes on */
    weft_drop(f);
    CHECK_EQ(weft_do_cancel(f, "once more", NULL).code, WEFT_E_STALE);
    return n;
}
static void went_on(weft_result *r) { CHECK_EQ(VALUE(r, cancels), 3); }
TEST(d_i_who_waits_for_a_cancelled_task_is_told_and_goes_on) { UNDER_ALL(went_on, cancels, WEFT_WITH(0), 3); }

/* ---- the same of effect values ------------------------------------------------------------------------------- */

WEFT_EFF(eff_long, long);

static long plus_one(long n);
WEFT_TASK(plus_one, long, long);
static long plus_one(long n) {
    long c = 0;
    weft_must(weft_do_get(counter, &c));
    weft_must(weft_do_put(counter, c + n));
    weft_do_tell("%ld", c + n);
    return c + n;
}
static eff_long once_more(weft_eff_arena *a, long n);
WEFT_EFF_NEXT(once_more, eff_long, long);
static eff_long once_more(weft_eff_arena *a, long n) {
    return weft_eff_keep(eff_long, a, weft_eff_call(eff_long, plus_one, n));
}

static void doubled(weft_result *r) {
    long v = 0, final = 0;
    char wrong = 0;
    CHECK(weft_ok(weft_result_value_eff(r, &v)));
    CHECK_EQ(v, 4);
    CHECK(weft_ok(weft_result_get(r, counter, &final)) && final == 4);
    CHECK_EQ(weft_result_log(r)->n, 2);
    CHECK_EQ(weft_result_value_eff(r, &wrong).code, WEFT_E_INVALID);
}
static void failed_inside(weft_result *r) {
    CHECK_EQ(weft_result_error(r).code, WEFT_E_MISSING);
    weft_result_continuation(r, text, sizeof text);
    CHECK(says("plus_one") && says("flat_map") && says("handler 'state'"));
}
#define UNDER_BOTH(check, e, with)                                                           \
    do {                                                                                     \
        for (int sync_ = 0; sync_ < 2; sync_++) {                                            \
            weft_result *r_ = sync_ ? weft_run_sync_eff(e, with) : weft_run_async_eff(e, with); \
            note_result(sync_ ? "sync" : "async", r_);                                       \
            check(r_);                                                                       \
            weft_result_free(r_);                                                            \
        }                                                                                    \
        WEFT_TEST(t, .runs = 20) {                                                           \
            weft_result *r_ = weft_run_inside_eff(e, with);                                  \
            check(r_);                                                                       \
            weft_result_free(r_);                                                            \
        }                                                                                    \
    } while (0)
TEST(effect_values_are_run_by_drivers_too) {
    eff_long e = weft_eff_flat_map(eff_long, weft_eff_call(eff_long, plus_one, 1), once_more);
    UNDER_BOTH(doubled, e, WEFT_WITH(WEFT_STORE(WEFT_SET(counter, 1)), .workers = 2));
}
TEST(what_was_pending_in_an_effect_value_is_part_of_the_continuation) {
    eff_long e = weft_eff_flat_map(eff_long, weft_eff_call(eff_long, plus_one, 1), once_more);
    UNDER_BOTH(failed_inside, e, WEFT_WITH(.workers = 2));
}

TEST_MAIN
