/* The test kit: what it reports, what it leaves behind, replay, minimising, processes of their own.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "alloc/san.h"
#include "test.h"
#include <stdatomic.h>
#include <weft/continuation.h>
#include <weft/scope.h>
#include <weft/test.h>

static weft_test_result r;

/* Is it in the report? */
static void says(const char *text) {
    if (!strstr(r.report, text)) fprintf(stderr, "no '%s' in:\n%s\n", text, r.report);
    CHECK(strstr(r.report, text) != NULL);
}
static void failed_as(weft_test_failure how, const char *text) {
    if (r.failure != how) fprintf(stderr, "%s\n", r.report);
    CHECK_EQ(r.failure, how);
    says(text);
}
static void passed(void) { failed_as(WEFT_TEST_PASSED, ""); }

static int napper(int ms);
WEFT_TASK(napper, int, int);
static int napper(int ms) {
    weft_sleep(weft_ms(ms));
    return ms;
}
static int failer(int code);
WEFT_TASK(failer, int, int);
static int failer(int code) {
    weft_failf(WEFT_E_USER + code, "failed with %d", code);
    return 0;
}
static int counter;
static int bump(int times);
WEFT_TASK(bump, int, int);
static int bump(int times) {
    for (int i = 0; i < times; i++) {
        int seen = counter;
        weft_point();
        counter = seen + 1;
    }
    return 0;
}
static void two_bump(int times) {
    counter = 0;
    WEFT_SCOPE(s, NULL) {
        weft_spawn((bump_fiber *)NULL, bump, times);
        weft_spawn((bump_fiber *)NULL, bump, times);
    }
}

/* ---- each failure --------------------------------------------------------------------------------------- */

TEST(what_holds_passes) {
    WEFT_TEST(t, .name = "good", .runs = 20, .result = &r) {
        napper_fiber f;
        int ms = 0;
        weft_spawn(&f, napper, 3000);
        weft_await(f, napper, &ms);
        weft_drop(f);
        CHECK(weft_check(t, ms == 3000 && weft_now() == weft_s(3)));
    }
    passed();
    CHECK_EQ(r.runs, 20);
    CHECK_EQ(strlen(r.report), 0);
}

TEST(the_first_check_that_does_not_hold_is_reported_and_the_body_goes_on) {
    int reached = 0;
    WEFT_TEST(t, .name = "checks", .result = &r) {
        CHECK(!weft_check(t, 1 + 1 == 3));
        CHECK(!weft_check(t, 2 + 2 == 5));
        reached++;
    }
    CHECK_EQ(reached, 2); /* the run, and its repetition */
    failed_as(WEFT_TEST_CHECK, "'checks' failed in run 1 (fifo, seed 0): check failed: 1 + 1 == 3 (");
    says("kit_test.c:");
    says("\nreplay: WEFT_TEST='checks' WEFT_REPLAY='' and the program");
    CHECK(!strstr(r.report, "2 + 2"));
    CHECK(r.repeatable);
}

TEST(a_fiber_that_outlives_the_body_is_named) {
    WEFT_TEST(t, .result = &r) { weft_spawn((napper_fiber *)NULL, napper, 1); }
    failed_as(WEFT_TEST_LEAK, "leaked: the body has ended, these fibers have not\n");
    says("'napper' at ");
    says("not started");
    says("kit_test.c:"); /* the name of a test without one */
}

WEFT_EFFECT(ask, int, int x;);
static int asks(int x);
WEFT_TASK(asks, int, int);
static int asks(int x) {
    int r = 0;
    weft_perform(ask, &r, x);
    return r;
}
static weft_exit keeps(weft_k k, const ask_op *op, void *answer, void *self) {
    (void)op, (void)answer;
    *(weft_k *)self = weft_keep(k);
    return weft_done;
}
TEST(a_continuation_that_was_kept_and_not_used_is_told) {
    weft_k k[2];
    for (int n = 0; n <= 2; n++) {
        WEFT_TEST(t, .result = &r) {
            for (int i = 0; i < 2; i++) {
                weft_handler h = WEFT_HANDLER(&k[i], WEFT_ONESHOT(ask, keeps));
                weft_check(t, weft_ok(weft_handle(&h, asks, NULL, i)));
            }
            for (int i = 0; i < n; i++) weft_check(t, weft_ok(weft_resume(k[i], ask, i, NULL)));
        }
        if (n == 2) break;
        failed_as(WEFT_TEST_LEAK, n ? "leaked: 1 continuation was kept, and never used; resume or discontinue each one"
                                    : "leaked: 2 continuations were kept, and never used; resume or discontinue each one");
    }
    CHECK_EQ(r.failure, WEFT_TEST_PASSED);
}

TEST(a_handle_that_is_not_dropped_is_named) {
    WEFT_TEST(t, .result = &r) {
        napper_fiber f;
        weft_spawn(&f, napper, 1);
        weft_await(f, napper, NULL);
    }
    failed_as(WEFT_TEST_LEAK, "leaked: the handle of 'napper' (spawned at ");
}

TEST(a_body_may_forget_if_it_says_so) {
    WEFT_TEST(t, .forgets = true, .result = &r) {
        napper_fiber f;
        weft_spawn(&f, napper, 1);
        weft_await(f, napper, NULL);
        weft_spawn((napper_fiber *)NULL, napper, 1);
    }
    passed();
}

TEST(a_failure_that_nobody_looks_at_is_one) {
    WEFT_TEST(t, .result = &r) { WEFT_SCOPE(s, NULL) weft_spawn((napper_fiber *)NULL, napper, 1); }
    passed();
    WEFT_TEST(t, .result = &r) {
        failer_fiber f;
        weft_spawn(&f, failer, 7);
        weft_yield();
        weft_drop(f);
    }
    failed_as(WEFT_TEST_UNOBSERVED, "nobody looked at the failure of 'failer':\nfailed (code 263) at ");
    says("failed with 7");
    WEFT_TEST(t, .result = &r) { weft_fail(WEFT_E_USER, "the body itself"); }
    failed_as(WEFT_TEST_UNOBSERVED, "nobody looked at the failure of 'the body':\n");
}

TEST(a_deadlock_is_reported_with_those_who_wait) {
    WEFT_TEST(t, .result = &r) {
        weft_promise p = WEFT_PROMISE;
        weft_exit e = weft_promise_await(&p, NULL);
        CHECK(!weft_ok(e));
    }
    failed_as(WEFT_TEST_DEADLOCK, "deadlock: everything that is left waits");
    says("main task: waits for a promise");
}

TEST(time_that_nobody_advances_is_reported) {
    WEFT_TEST(t, .manual_clock = true, .result = &r) { weft_sleep(weft_s(1)); }
    failed_as(WEFT_TEST_TIME, "time never advanced: ");
    says("main task: sleeps");
    WEFT_TEST(t, .manual_clock = true, .result = &r) {
        WEFT_SCOPE(s, NULL) {
            weft_spawn((napper_fiber *)NULL, napper, 1000);
            weft_clock_advance(NULL, weft_s(1));
        }
    }
    passed();
}

TEST(memory_that_is_not_given_back_is_counted) {
    WEFT_TEST(t, .result = &r) {
        weft_promise p = WEFT_PROMISE;
        weft_promise_fail(&p, weft_failf(WEFT_E_USER, "a text of %s", "its own"));
        failer_fiber f;
        weft_spawn(&f, failer, 1);
        weft_await(f, failer, NULL);
        weft_drop(f);
        weft_promise_drop(&p);
    }
    failed_as(WEFT_TEST_UNOBSERVED, "the body"); /* weft_failf was its own */
    static weft_promise p[2]; /* of the run, and of its repetition */
    int n = 0;
    WEFT_TEST(t, .result = &r) {
        weft_promise_init(&p[n]);
        failer_fiber f;
        weft_spawn(&f, failer, 1);
        weft_promise_fail(&p[n++], weft_await(f, failer, NULL));
        weft_drop(f);
    }
    CHECK_EQ(n, 2);
    failed_as(WEFT_TEST_MEMORY, "bytes of Weft's");
    says("leaked: ");
    for (int i = 0; i < n; i++) weft_promise_drop(&p[i]);
}

TEST(options_that_fit_nothing_are_a_broken_test) {
    int ran = 0;
    WEFT_TEST(t, .explore = (weft_explore)77, .result = &r) ran++;
    failed_as(WEFT_TEST_BROKEN, "no such strategy, or two clocks");
    WEFT_TEST(t, .real_clock = true, .manual_clock = true, .result = &r) ran++;
    failed_as(WEFT_TEST_BROKEN, "no such strategy, or two clocks");
    WEFT_TEST(t, .explore = WEFT_EXPLORE_REPLAY, .result = &r) ran++;
    failed_as(WEFT_TEST_BROKEN, "no such strategy, or two clocks");
    WEFT_TEST(t, .schedule = "1:0", .result = &r) ran++;
    failed_as(WEFT_TEST_BROKEN, "'1:0' is no schedule: it looks like 12:1,40:2");
    WEFT_TEST(t, .stack_bytes = SIZE_MAX, .result = &r) ran++;
    failed_as(WEFT_TEST_BROKEN, "the run could not be begun");
    CHECK_EQ(ran, 0);
}

static void nested(void *arg) {
    (void)arg;
    int ran = 0;
    WEFT_TEST(t, .result = &r) ran++;
    CHECK_EQ(ran, 0);
}
TEST(in_a_fiber_a_test_is_broken) {
    CHECK_EQ(weft_run(NULL, nested, NULL), WEFT_OK);
    failed_as(WEFT_TEST_BROKEN, weft_err_text(WEFT_E_INSIDE));
}

/* ---- nothing is left behind ----------------------------------------------------------------------------- */

static int by_return(weft_test_result *result) {
    WEFT_TEST(t, .runs = 10, .result = result) {
        if (t.run == 3) return (int)t.run;
    }
    return -1;
}
TEST(a_body_is_left_by_continue_break_and_return) {
    int ran = 0;
    WEFT_TEST(t, .runs = 10, .result = &r) {
        ran++;
        if (ran > 0) continue;
        CHECK(false);
    }
    passed();
    CHECK_EQ(ran, 10);
    CHECK_EQ(r.runs, 10);
    WEFT_TEST(t, .runs = 10, .result = &r) {
        if (t.run == 4) break;
    }
    passed();
    CHECK_EQ(r.runs, 5);
    CHECK_EQ(by_return(&r), 3);
    passed();
    CHECK_EQ(r.runs, 4);
    WEFT_TEST(t, .runs = 10, .result = &r) {
        weft_check(t, t.run < 2);
        if (t.run == 2) break;
    }
    failed_as(WEFT_TEST_CHECK, "t.run < 2");
    CHECK_EQ(r.runs, 3);
}

TEST(nothing_is_left_behind) {
    WEFT_TEST(t, .result = &r) {}
    uint64_t live = weft__heap_live();
    for (weft_explore how = WEFT_EXPLORE_RANDOM; how <= WEFT_EXPLORE_DFS; how++) {
        WEFT_TEST(t, .runs = 100, .explore = how, .result = &r) {
            two_bump(2);
            weft_check(t, counter == 4);
        }
        failed_as(WEFT_TEST_CHECK, "counter == 4");
        CHECK_EQ(weft__heap_live(), live);
    }
    WEFT_TEST(t, .result = &r) {
        weft_spawn((napper_fiber *)NULL, napper, 1);
        weft_spawn((failer_fiber *)NULL, failer, 1);
        WEFT_SCOPE(s, NULL) {
            weft_alloc(s, 100000);
            weft_promise never = WEFT_PROMISE;
            weft_promise_await(&never, NULL);
        }
    }
    CHECK(r.failure != WEFT_TEST_PASSED);
    CHECK_EQ(weft__heap_live(), live);
    WEFT_TEST(t, .result = &r) {
        failer_fiber f[100];
        for (int i = 0; i < 100; i++) weft_spawn(&f[i], failer, 1);
        for (int i = 0; i < 100; i++) weft_await(f[i], failer, NULL);
    }
    failed_as(WEFT_TEST_LEAK, "the handle of 'failer'");
    CHECK_EQ(weft__heap_live(), live);
}

/* ---- without .result ------------------------------------------------------------------------------------ */

static void fails_loudly(void *arg) {
    (void)arg;
    WEFT_TEST(t, .name = "loud") weft_check(t, t.run > 7);
}
TEST(without_a_place_for_the_result_a_failure_ends_the_process) {
    EXPECT_DEATH(fails_loudly, NULL, SIGABRT, "'loud' failed in run 1 (fifo, seed 0): check failed: t.run > 7 (");
}

/* ---- the environment ------------------------------------------------------------------------------------ */

/* What a test in a child process said. */
static void environment_test(void *arg) {
    const char *const *pairs = arg;
    for (; *pairs; pairs += 2) setenv(pairs[0], pairs[1], 1);
    int ran = 0;
    WEFT_TEST(t, .name = "this", .runs = 1000, .result = &r) {
        if (!ran++) fprintf(stderr, "seed %llu, ", (unsigned long long)t.seed);
        two_bump(2);
        weft_check(t, counter == 4);
    }
    fprintf(stderr, "runs %u, ran %d, failure %d, %s", r.runs, ran, (int)r.failure, r.report);
}
static char said[8192];
static bool said_in(const char *text) {
    if (strstr(said, text)) return true;
    fprintf(stderr, "no '%s' in: %s\n", text, said);
    return false;
}
#define UNDER(...) \
    CHECK_EQ(test_in_child(environment_test, (const char *[]){__VA_ARGS__, NULL}, said, sizeof said), 0)

TEST(the_environment_replays_and_seeds) {
    environment_test((const char *[]){NULL});
    CHECK_EQ(r.failure, WEFT_TEST_CHECK);
    CHECK(r.runs > 1); /* else the rest shows nothing */
    static char schedule[WEFT_TEST_SCHEDULE], seed[32];
    strcpy(schedule, r.schedule);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)r.seed);

    UNDER("WEFT_REPLAY", schedule);
    CHECK(said_in("runs 1, ran 1, failure 1"));
    CHECK(said_in("(replay, seed 0)"));
    UNDER("WEFT_REPLAY", schedule, "WEFT_TEST", "this");
    CHECK(said_in("runs 1, ran 1, failure 1"));
    UNDER("WEFT_REPLAY", schedule, "WEFT_TEST", "that", "WEFT_RUNS", "1");
    CHECK(said_in("seed 0, runs 1, ran 1, failure 0"));
    UNDER("WEFT_REPLAY", "");
    CHECK(said_in("runs 1, ran 1, failure 0"));
    UNDER("WEFT_REPLAY", "x");
    CHECK(said_in("runs 0, ran 0, failure 8"));
    UNDER("WEFT_SEED", seed, "WEFT_RUNS", "1");
    CHECK(said_in("runs 1,"));
    CHECK(said_in("failure 1,"));
    UNDER("WEFT_SEED", "1000", "WEFT_RUNS", "100");
    CHECK(said_in("seed 1000, "));
}

/* Also that of seed 0, which by itself would be fifo: it is how to replay a schedule that is too long to be written down. */
TEST(one_run_of_a_search_is_still_of_its_strategy) {
    setenv("WEFT_SEED", "0", 1);
    setenv("WEFT_RUNS", "1", 1);
    WEFT_TEST(t, .runs = 1000, .result = &r) {
        two_bump(500);
        weft_check(t, counter == 1000);
    }
    failed_as(WEFT_TEST_CHECK, "failed in run 1 (random, seed 0)");
    WEFT_TEST(t, .result = &r) {
        two_bump(500);
        weft_check(t, counter == 1000);
    }
    passed(); /* fifo, as without the environment */
    unsetenv("WEFT_SEED");
    unsetenv("WEFT_RUNS");
}

/* ---- repeatable, or not --------------------------------------------------------------------------------- */

TEST(what_depends_on_an_earlier_run_is_said_to_be_not_repeatable) {
    int runs = 0;
    WEFT_TEST(t, .runs = 10, .result = &r) weft_check(t, ++runs != 3);
    failed_as(WEFT_TEST_CHECK, "failed in run 3 (random, seed 2)");
    says("\nnot repeatable by its schedule '");
    CHECK(!r.repeatable);
    CHECK_EQ(r.minimising, 0);
    WEFT_TEST(t, .runs = 10, .result = &r) weft_check(t, t.run != 5); /* its number is the same */
    failed_as(WEFT_TEST_CHECK, "failed in run 6 (random, seed 5)");
    CHECK(r.repeatable);
}

TEST(random_numbers_are_those_of_the_seed_which_the_report_names) {
    static uint64_t first[3];
    for (int again = 0; again < 2; again++) {
        WEFT_TEST(t, .seed = 5, .runs = 1, .result = &r)
            for (int i = 0; i < 3; i++) {
                uint64_t n = weft_test_random(t);
                if (again) CHECK_EQ(n, first[i]);
                first[i] = n;
            }
        passed();
    }
    CHECK(first[0] != first[1] && first[1] != first[2]);
    WEFT_TEST(t, .name = "dice", .runs = 100, .result = &r) weft_check(t, weft_test_random(t) % 6 != 3);
    failed_as(WEFT_TEST_CHECK, "% 6 != 3");
    CHECK(r.repeatable);
    char seed[64];
    snprintf(seed, sizeof seed, "replay: WEFT_TEST='dice' WEFT_SEED=%llu WEFT_REPLAY=''", (unsigned long long)r.seed);
    says(seed);
    static weft_test_result again;
    WEFT_TEST(t, .name = "dice", .seed = r.seed, .schedule = r.schedule, .result = &again)
        weft_check(t, weft_test_random(t) % 6 != 3);
    CHECK_EQ(again.failure, WEFT_TEST_CHECK);
}

TEST(a_replay_is_one_run) {
    int ran = 0;
    WEFT_TEST(t, .runs = 1000, .result = &r) {
        two_bump(1);
        weft_check(t, counter == 2);
    }
    failed_as(WEFT_TEST_CHECK, "counter == 2");
    static weft_test_result again;
    WEFT_TEST(t, .runs = 7, .schedule = r.schedule, .result = &again) {
        ran++;
        two_bump(1);
        weft_check(t, counter == 2);
    }
    CHECK_EQ(again.failure, WEFT_TEST_CHECK);
    CHECK_EQ(ran, 1);
    CHECK(again.repeatable);
    CHECK(!strcmp(again.schedule, r.schedule));
}

/* ---- minimising ----------------------------------------------------------------------------------------- */

static int noise(int points);
WEFT_TASK(noise, int, int);
static int noise(int points) {
    for (int i = 0; i < points; i++) weft_point();
    return 0;
}
static void bump_in_a_crowd(void) {
    counter = 0;
    WEFT_SCOPE(s, NULL) {
        for (int i = 0; i < 3; i++) weft_spawn((noise_fiber *)NULL, noise, 20);
        weft_spawn((bump_fiber *)NULL, bump, 1);
        weft_spawn((bump_fiber *)NULL, bump, 1);
        for (int i = 0; i < 3; i++) weft_spawn((noise_fiber *)NULL, noise, 20);
    }
}

/* The schedule without its turn number n; false: it has not so many. */
static bool without_turn(const char *schedule, unsigned n, char *to) {
    const char *from = schedule;
    for (; n && from; n--) from = (from = strchr(from, ',')) ? from + 1 : NULL;
    if (!from || !*from) return false;
    const char *after = strchr(from, ',');
    sprintf(to, "%.*s%s", (int)(from - schedule), schedule, after ? after + 1 : "");
    size_t length = strlen(to);
    if (length && to[length - 1] == ',') to[length - 1] = 0;
    return true;
}
TEST(only_the_turns_that_are_needed_are_left) {
    unsigned longest = 0;
    for (uint64_t seed = 0; seed < 5; seed++) {
        WEFT_TEST(t, .runs = 1000, .seed = 1 + 1000 * seed, .explore = WEFT_EXPLORE_RANDOM, .result = &r) {
            bump_in_a_crowd();
            weft_check(t, counter == 2);
        }
        failed_as(WEFT_TEST_CHECK, "counter == 2");
        CHECK(r.minimising > 0);
        if (r.turns > longest) longest = r.turns;
        static weft_test_result shorter;
        static char text[WEFT_TEST_SCHEDULE];
        unsigned left = 0;
        for (; without_turn(r.schedule, left, text); left++) {
            WEFT_TEST(t, .schedule = text, .result = &shorter) {
                bump_in_a_crowd();
                weft_check(t, counter == 2);
            }
            test_note("'%s' without turn %u: '%s'", r.schedule, left, text);
            CHECK_EQ(shorter.failure, WEFT_TEST_PASSED);
        }
        CHECK(left < r.turns);
        CHECK(left <= 6);
    }
    CHECK(longest > 30);
    test_note(NULL);
}

TEST(a_schedule_that_is_too_long_is_replayed_by_its_seed) {
    WEFT_TEST(t, .name = "long", .runs = 1000, .explore = WEFT_EXPLORE_RANDOM, .seed = 3, .result = &r) {
        two_bump(30000);
        weft_check(t, counter == 60000);
    }
    failed_as(WEFT_TEST_CHECK, "failed in run 1 (random, seed 3)");
    says("\nreplay: WEFT_TEST='long' WEFT_SEED=3 WEFT_RUNS=1 and the program (the schedule has 4096 turns)");
    CHECK_EQ(r.turns, 4096);
    CHECK_EQ(r.minimising, 0);
}

/* ---- all schedules -------------------------------------------------------------------------------------- */

/* By hand.  The body's one point meets nobody.  One fiber: at the spawn it may go first (1), or later (0), which is decided once
 * more at the await. */
TEST(a_depth_first_search_comes_to_its_end) {
    WEFT_TEST(t, .explore = WEFT_EXPLORE_DFS, .result = &r) weft_point();
    passed();
    CHECK(r.exhausted);
    CHECK_EQ(r.runs, 1);
    int orders = 0;
    WEFT_TEST(t, .explore = WEFT_EXPLORE_DFS, .result = &r) {
        bump_fiber f;
        counter = 0;
        weft_spawn(&f, bump, 0);
        weft_point();
        weft_await(f, bump, NULL);
        weft_drop(f);
        orders++;
    }
    passed();
    CHECK(r.exhausted);
    CHECK_EQ(r.runs, (unsigned)orders);
    CHECK_EQ(r.runs, 4); /* at the spawn, at the point, before the await, or where it waits: there only one is ready */
}

TEST(a_search_of_all_schedules_sees_each_outcome) {
    bool seen[4] = {false};
    WEFT_TEST(t, .explore = WEFT_EXPLORE_DFS, .result = &r) {
        two_bump(1);
        CHECK(counter == 1 || counter == 2);
        seen[counter] = true;
    }
    passed();
    CHECK(r.exhausted);
    CHECK(seen[1] && seen[2]);
    WEFT_TEST(t, .explore = WEFT_EXPLORE_DFS, .runs = 3, .result = &r) two_bump(1);
    passed();
    CHECK(!r.exhausted);
    CHECK_EQ(r.runs, 3);
}

/* ---- processes of their own ----------------------------------------------------------------------------- */

/* Sanitizers end a process in their own way. */
#if defined(WEFT__ASAN) || defined(WEFT__TSAN)
#define BY_SIGNAL "the run "
#define BY_EXIT "the run ended with status " /* the leak sanitizer has another one */
#else
#define BY_SIGNAL "the run died by signal "
#define BY_EXIT "the run ended with status 3"
#endif

TEST(an_isolated_run_may_die_in_any_way) {
    int *volatile nowhere = NULL;
    WEFT_TEST(t, .isolate = true, .result = &r) abort();
    failed_as(WEFT_TEST_DIED, BY_SIGNAL);
    CHECK(r.repeatable);
    WEFT_TEST(t, .isolate = true, .result = &r) *(volatile int *)nowhere = 1;
    failed_as(WEFT_TEST_DIED, BY_SIGNAL);
    CHECK(r.repeatable);
    WEFT_TEST(t, .isolate = true, .result = &r) exit(3);
    failed_as(WEFT_TEST_DIED, BY_EXIT);
    CHECK(r.repeatable);
    WEFT_TEST(t, .isolate = true, .result = &r) _exit(0);
    failed_as(WEFT_TEST_DIED, "the run ended with status 0");
    CHECK(r.repeatable);
    WEFT_TEST(t, .isolate = true, .runs = 3, .result = &r) WEFT_SCOPE(s, NULL) weft_spawn((napper_fiber *)NULL, napper, 1);
    passed();
    CHECK_EQ(r.runs, 3);
}

TEST(an_isolated_death_keeps_its_schedule) {
    for (int i = 0; i < 2; i++) {
        WEFT_TEST(t, .isolate = true, .runs = 200, .result = &r) {
            two_bump(1);
            if (counter != 2) i ? abort() : exit(3);
        }
        failed_as(WEFT_TEST_DIED, i ? BY_SIGNAL : BY_EXIT);
        CHECK(r.repeatable);
        CHECK(strlen(r.schedule) > 0);
    }
}

TEST(an_isolated_run_fails_by_a_check_like_others) {
    WEFT_TEST(t, .isolate = true, .runs = 200, .result = &r) {
        two_bump(1);
        weft_check(t, counter == 2);
    }
    failed_as(WEFT_TEST_CHECK, "counter == 2");
    CHECK(r.repeatable);
}

/* ---- in the body ---------------------------------------------------------------------------------------- */

static char order[64];
static void event(char c) {
    size_t n = strlen(order);
    order[n] = c;
    order[n + 1] = 0;
}
static weft_gate gate;
static int through_the_gate(int name);
WEFT_TASK(through_the_gate, int, int);
static int through_the_gate(int name) {
    for (int i = 0; i < 3; i++) weft_point();
    event((char)name);
    if (weft_ok(weft_gate_wait(&gate))) event((char)(name - 'a' + 'A'));
    return 0;
}
TEST(all_blocked_means_all) {
    WEFT_TEST(t, .runs = 200, .result = &r) {
        order[0] = 0;
        weft_gate_init(&gate);
        WEFT_SCOPE(s, NULL) {
            weft_spawn((through_the_gate_fiber *)NULL, through_the_gate, 'a');
            weft_spawn((through_the_gate_fiber *)NULL, through_the_gate, 'b');
            weft_check(t, weft_ok(weft_wait_all_blocked()));
            weft_check(t, strlen(order) == 2);
            weft_gate_open(&gate);
            weft_check(t, weft_ok(weft_gate_wait(&gate)));
            weft_check(t, weft_ok(weft_wait_all_blocked()));
            weft_check(t, strlen(order) == 4);
        }
    }
    passed();
}
TEST(all_blocked_does_not_wait_for_sleepers) {
    WEFT_TEST(t, .result = &r) {
        WEFT_SCOPE(s, NULL) {
            weft_spawn((napper_fiber *)NULL, napper, 50);
            weft_check(t, weft_ok(weft_wait_all_blocked()));
            weft_check(t, weft_now() == 0);
        }
        weft_check(t, weft_now() == weft_ms(50));
    }
    passed();
}
static void asks_elsewhere(void *arg) {
    (void)arg;
    CHECK_EQ(weft_wait_all_blocked().code, WEFT_E_MODE);
}
TEST(only_the_deterministic_executor_knows_that_all_are_blocked) {
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1, .executor = WEFT_PARALLEL), asks_elsewhere, NULL), WEFT_OK);
    CHECK_EQ(weft_wait_all_blocked().code, WEFT_E_MODE);
}

static weft_sequencer steps;
static int takes_turn(int n);
WEFT_TASK(takes_turn, int, int);
static int takes_turn(int n) {
    if (!weft_ok(weft_turn_begin(&steps, (unsigned)n))) return -1;
    event((char)('0' + n));
    weft_point();
    event((char)('0' + n));
    weft_turn_end(&steps, (unsigned)n);
    return n;
}
TEST(turns_are_taken_in_order) {
    WEFT_TEST(t, .runs = 200, .result = &r) {
        order[0] = 0;
        weft_sequencer_init(&steps);
        WEFT_SCOPE(s, NULL) {
            for (int i = 4; i-- > 0;) weft_spawn((takes_turn_fiber *)NULL, takes_turn, i);
        }
        weft_check(t, !strcmp(order, "00112233"));
        weft_check(t, weft_turn_begin(&steps, WEFT_SEQUENCE_MOST).code == WEFT_E_INVALID);
        weft_turn_end(&steps, WEFT_SEQUENCE_MOST);
    }
    passed();
}
TEST(an_interrupted_turn_is_not_taken) {
    WEFT_TEST(t, .runs = 50, .result = &r) {
        order[0] = 0;
        weft_sequencer_init(&steps);
        takes_turn_fiber f;
        weft_spawn(&f, takes_turn, 1);
        weft_interrupt(f, "no turn");
        weft_drop(f);
        weft_check(t, order[0] == 0);
    }
    passed();
}

static int poller(int n);
WEFT_TASK(poller, int, int);
static int poller(int n) {
    while (weft_ok(weft_yield())) {}
    return n;
}
TEST(what_polls_without_an_end_is_ended) {
    static weft_test_result result;
    WEFT_TEST(t, .turns = 10000, .result = &result) {
        poller_fiber f;
        weft_spawn(&f, poller, 1);
        weft_await(f, poller, NULL);
        weft_drop(f);
    }
    CHECK_EQ(result.failure, WEFT_TEST_ENDLESS);
    CHECK(strstr(result.report, "'poller'") != NULL);
    CHECK(result.repeatable);
}

TEST_MAIN
