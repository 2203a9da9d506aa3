/* Plans: what is shown of an effect, how it is cut, and what is counted while it runs.
 *
 * Time is virtual, so each count below is exact.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/runs.h"
#include <pthread.h>
#include <weft/explain.h>
#include <weft/schedule.h>
#include <weft/scope.h>

WEFT_EFF(eff_long, long);
typedef struct two {
    long first, second;
} two;
WEFT_EFF(eff_two, two);

/* ---- what effects are made of ---------------------------------------------------------------------------- */

static long work_for(long ms) {
    if (ms) weft_sleep(weft_ms(ms));
    return ms;
}
WEFT_TASK(work_for, long, long);
static _Atomic int bad_calls;
static long fail_twice(long n) {
    weft_sleep(weft_ms(n));
    if (++bad_calls <= 2) weft_failf(300 + bad_calls, "call %d", bad_calls);
    return n;
}
WEFT_TASK(fail_twice, long, long);
static long increment(long n) { return n + 1; }
WEFT_TASK(increment, long, long);
static long sum(two t) { return t.first + t.second; }
WEFT_TASK(sum, long, two);

static eff_long work_again(weft_eff_arena *a, long n);
WEFT_EFF_NEXT(work_again, eff_long, long);
static eff_long work_again(weft_eff_arena *a, long n) {
    eff_long more = weft_eff_call(eff_long, work_for, n * 10);
    return weft_eff_keep(eff_long, a, weft_eff_map(eff_long, more, increment));
}
static eff_long count_down(weft_eff_arena *a, long n);
WEFT_EFF_NEXT(count_down, eff_long, long);
static eff_long count_down(weft_eff_arena *a, long n) {
    if (n == 0) return weft_eff_keep(eff_long, a, weft_eff_succeed(eff_long, 0));
    eff_long less = weft_eff_succeed(eff_long, n - 1);
    return weft_eff_keep(eff_long, a, weft_eff_flat_map(eff_long, less, count_down));
}

static const weft_explain_options bare = {.no_places = true};

static char text[1 << 16];
#define EXPECT_TEXT(e, options, expected)                                                    \
    do {                                                                                     \
        size_t n_ = weft_explain_with((e), (options), text, sizeof text);                    \
        if (strcmp(text, (expected))) fprintf(stderr, "%s:%d: it says\n%s", __FILE__, __LINE__, text); \
        CHECK(!strcmp(text, (expected)));                                                    \
        CHECK_EQ(n_, strlen(text));                                                          \
    } while (0)

/* ---- plans ------------------------------------------------------------------------------------------------ */

TEST(a_plan_has_a_line_for_each_node_with_its_place) {
    char expected[200];
    eff_long e = weft_eff_flat_map(eff_long, weft_eff_call(eff_long, work_for, 3), work_again);
    int at = __LINE__ - 1;
    snprintf(expected, sizeof expected, "flat_map work_again  %s:%d\n  call work_for  %s:%d\n", __FILE__, at, __FILE__, at);
    EXPECT_TEXT(e, NULL, expected);
    CHECK_EQ(weft_explain(e, WEFT_EXPLAIN_TEXT, NULL, 0), strlen(expected));
}

TEST(a_plan_says_what_each_node_is_about) {
    weft_schedule s = weft_schedule_times(weft_schedule_exponential(weft_ms(10), 2), 3);
    eff_long call = weft_eff_call(eff_long, work_for, 1), broken = weft_eff_fail(eff_long, 301, "no route");
    eff_long defect = weft_eff_die(eff_long, 302, "a rule");
    eff_two z = weft_eff_zip(eff_two, weft_eff_retry(eff_long, call, s), weft_eff_timeout(eff_long, broken, weft_us(1500)));
    eff_long all = weft_eff_annotate(eff_long, weft_eff_map(eff_long, z, sum), "while\nloading");
    EXPECT_TEXT(weft_eff_race(eff_long, all, defect, weft_eff_never(eff_long)), &bare,
                "race\n"
                "  annotate  \"while loading\"\n"
                "    map sum\n"
                "      zip\n"
                "        retry  times(exponential(10ms, 2), 3)\n"
                "          call work_for\n"
                "        timeout  1.5ms\n"
                "          fail  code 301: no route\n"
                "  die  code 302: a rule\n"
                "  never\n");
}

TEST(a_loop_says_how_many_items_it_has) {
    static const long items[3] = {1, 2, 3};
    EXPECT_TEXT(weft_eff_for_each_par(items, 3, NULL, 0, work_again), &bare, "for_each_par work_again  3 items, 1 at once\n");
    EXPECT_TEXT(weft_eff_for_each_par(items, 1, NULL, INT64_MAX, work_again), &bare,
                "for_each_par work_again  1 item, all at once\n");
}

TEST(fused_maps_are_shown_each_by_itself) {
    eff_long e = weft_eff_map(eff_long, weft_eff_map(eff_long, weft_eff_succeed(eff_long, 1), increment), work_for);
    e = weft_eff_map(eff_long, weft_eff_map(eff_long, e, increment), work_for);
    EXPECT_TEXT(e, &bare, "map work_for\n  map increment\n    map work_for\n      map increment\n        succeed\n");
}

TEST(a_part_that_is_shared_is_shown_once_and_referred_to) {
    eff_long one = weft_eff_call(eff_long, work_for, 1), plus = weft_eff_map(eff_long, one, increment);
    eff_two both = weft_eff_zip(eff_two, plus, one);
    eff_long s = weft_eff_map(eff_long, both, sum);
    EXPECT_TEXT(weft_eff_zip(eff_two, s, plus), &bare,
                "zip\n  map sum\n    zip\n      (1) map increment\n        (2) call work_for\n      see (2)\n  see (1)\n");
    weft_eff_arena arena;
    weft_eff_arena_open(&arena);
    eff_long wide = weft_eff_keep(eff_long, &arena, one); /* 2^60 leaves, and 121 nodes */
    for (int i = 0; i < 60; i++) {
        eff_two twice = weft_eff_zip(eff_two, wide, wide);
        wide = weft_eff_keep(eff_long, &arena, weft_eff_map(eff_long, twice, sum));
    }
    weft_explain_with(wide, (&(weft_explain_options){.format = WEFT_EXPLAIN_JSON, .depth = 1000}), text, sizeof text);
    CHECK(strstr(text, "\"total\":121}"));
    weft_eff_arena_close(&arena);
}

TEST(what_is_not_shown_is_counted) {
    eff_long one = weft_eff_call(eff_long, work_for, 1), plus = weft_eff_map(eff_long, one, increment);
    eff_two both = weft_eff_zip(eff_two, plus, weft_eff_succeed(eff_long, 2));
    eff_long s = weft_eff_map(eff_long, both, sum);
    eff_two all = weft_eff_zip(eff_two, s, weft_eff_fail(eff_long, 300, ""));
    weft_explain_options o = {.no_places = true, .depth = 2};
    EXPECT_TEXT(all, &o, "zip\n  map sum\n    zip\n      ... 3 more\n  fail  code 300: \n");
    o = (weft_explain_options){.no_places = true, .most = 3};
    EXPECT_TEXT(all, &o, "zip\n  map sum\n    zip\n      ... 4 more\n");
    o.most = 7;
    EXPECT_TEXT(all, &o,
                "zip\n  map sum\n    zip\n      map increment\n        call work_for\n      succeed\n  fail  code 300: \n");
    o.most = 1;
    EXPECT_TEXT(all, &o, "zip\n  ... 6 more\n");
}

TEST(a_plan_is_cut_to_the_buffer_and_its_length_is_that_of_the_whole) {
    eff_long one = weft_eff_call(eff_long, work_for, 1);
    eff_two z = weft_eff_zip(eff_two, weft_eff_annotate(eff_long, one, "\xc3\xa9\xff<&\"\n"), one);
    for (weft_explain_format f = WEFT_EXPLAIN_TEXT; f <= WEFT_EXPLAIN_SVG; f++) {
        size_t all = weft_explain(z, f, text, sizeof text);
        CHECK_EQ(all, strlen(text));
        for (size_t bytes = 0; bytes <= all + 1; bytes++) {
            char *cut = malloc(bytes + 1); /* its end is watched by the address sanitizer */
            cut[bytes] = 'x';
            CHECK_EQ(weft_explain(z, f, cut, bytes), all);
            CHECK(cut[bytes] == 'x');
            if (bytes) CHECK(strlen(cut) == bytes - 1 || bytes > all);
            CHECK(!bytes || !strncmp(cut, text, bytes - 1));
            free(cut);
        }
    }
}

/* ---- size ------------------------------------------------------------------------------------------------- */

enum { MILLION = 1000000 };

static void *explain_large(void *arg) {
    eff_long *nested = arg;
    char *large = malloc(1 << 20);
    for (weft_explain_format f = WEFT_EXPLAIN_TEXT; f <= WEFT_EXPLAIN_SVG; f++)
        CHECK(weft_explain(*nested, f, large, 1 << 20) > 1000);
    weft_explain_options o = {.no_places = true, .most = 10, .depth = 5};
    weft_explain_with(*nested, &o, large, 1 << 20);
    CHECK(strstr(large, "          ... 999995 more\n")); /* of a million and one, six are shown */
    weft_counters c;
    CHECK_EQ(weft_counters_open(&c, *nested), WEFT_OK);
    weft_counters_close(&c);
    free(large);
    return NULL;
}
TEST(a_million_nested_nodes_are_explained_on_a_small_stack) {
    weft_eff_arena arena;
    weft_eff_arena_open(&arena);
    eff_long nested = weft_eff_keep(eff_long, &arena, weft_eff_succeed(eff_long, 1));
    for (int i = 0; i < MILLION; i++)
        nested = weft_eff_keep(eff_long, &arena, weft_eff_flat_map(eff_long, nested, work_again));
    pthread_attr_t attr;
    pthread_t t;
    pthread_attr_init(&attr);
    CHECK(pthread_attr_setstacksize(&attr, 128 * 1024) == 0);
    CHECK(pthread_create(&t, &attr, explain_large, &nested) == 0);
    pthread_join(t, NULL);
    pthread_attr_destroy(&attr);
    weft_eff_arena_close(&arena);
}

/* ---- what went wrong -------------------------------------------------------------------------------------- */

TEST(a_part_that_does_not_live_any_more_is_said_to_be_so) {
    weft_eff_arena arena;
    weft_eff_arena_open(&arena);
    eff_long gone = weft_eff_keep(eff_long, &arena, weft_eff_call(eff_long, work_for, 1));
    weft_eff_arena_close(&arena);
    EXPECT_TEXT(weft_eff_map(eff_long, gone, increment), &bare, "map increment\n  (does not live any more)\n");
    EXPECT_TEXT((eff_long){0}, &bare, "");
}

static uintptr_t hidden;
__attribute__((noinline)) static eff_long returns_a_literal(void) {
    hidden = weft_eff_call(eff_long, work_for, 1).ref;
    __asm__ volatile("" : "+m"(hidden) : : "memory"); /* the compiler is not told what it would warn of */
    return (eff_long){hidden};
}
TEST(a_literal_of_a_function_that_has_returned_is_not_looked_at) {
    eff_long gone = returns_a_literal();
    EXPECT_TEXT(weft_eff_map(eff_long, gone, increment), &bare, "map increment\n  (does not live any more)\n");
}

TEST(without_memory_there_is_no_plan_and_nothing_is_lost) {
    weft_eff_arena arena;
    weft_eff_arena_open(&arena);
    eff_long e = weft_eff_call(eff_long, work_for, 1);
    for (int i = 0; i < 100; i++) e = weft_eff_keep(eff_long, &arena, weft_eff_map(eff_long, e, increment));
    uint64_t live = weft__heap_live();
    for (weft_explain_format f = WEFT_EXPLAIN_TEXT; f <= WEFT_EXPLAIN_SVG; f++) {
        weft__heap_fail_at(0, 0);
        size_t whole = weft_explain(e, f, text, sizeof text);
        uint64_t asked = weft__heap_asked();
        CHECK(asked > 3);
        for (uint64_t n = 1; n <= asked; n++) {
            weft__heap_fail_at(n, n & 1);
            strcpy(text, "before");
            size_t got = weft_explain(e, f, text, sizeof text);
            weft__heap_fail_at(0, 0);
            CHECK(got == 0 || got == whole);
            CHECK_EQ(got, 0);
            CHECK_EQ(*text, 0);
            CHECK_EQ(weft__heap_live(), live);
        }
    }
    weft_counters c;
    weft_err err = WEFT_E_NOMEM;
    for (uint64_t n = 1; err; n++) {
        weft__heap_fail_at(n, 0);
        err = weft_counters_open(&c, e);
        weft__heap_fail_at(0, 0);
        if (err) CHECK_EQ(err, WEFT_E_NOMEM);
        weft_counters_close(&c);
        CHECK_EQ(weft__heap_live(), live);
        CHECK(n < 100);
    }
    weft_eff_arena_close(&arena);
}

/* ---- counts ----------------------------------------------------------------------------------------------- */

static weft_count count_of(const weft_counters *c, eff_long e) {
    weft_count k;
    CHECK(weft_counters_get(c, e, &k));
    return k;
}

static void counted(void *arg) {
    (void)arg;
    weft_counters c;
    eff_long one = weft_eff_call(eff_long, work_for, 5), again = weft_eff_flat_map(eff_long, one, work_again);
    eff_two z = weft_eff_zip(eff_two, again, one);
    eff_long all = weft_eff_map(eff_long, z, sum);
    long n = 0;
    CHECK_EQ(weft_counters_open(&c, all), WEFT_OK);
    for (int i = 0; i < 2; i++)
        CHECK(weft_ok(weft_run_effect_with(all, &n, (&(weft_eff_options){.watch = weft_counters_watch(&c)}))));
    CHECK_EQ(n, 51 + 5);
    CHECK_EQ(weft_now(), 2 * weft_ms(60));
    weft_count k = count_of(&c, one);
    CHECK_EQ(k.runs, 4);
    CHECK_EQ(k.failures, 0);
    CHECK_EQ(k.total, weft_ms(20));
    CHECK_EQ(k.own, weft_ms(20));
    k = count_of(&c, again);
    CHECK_EQ(k.runs, 2);
    CHECK_EQ(k.total, 2 * weft_ms(55));
    CHECK_EQ(k.own, 0); /* what it made has its own counts */
    CHECK_EQ(count_of(&c, all).total, 2 * weft_ms(60));
    CHECK(!weft_counters_get(&c, weft_eff_succeed(eff_long, 1), &k));
    CHECK_EQ(k.runs, 0);
    weft_explain_options o = {.no_places = true, .counters = &c};
    EXPECT_TEXT(all, &o,
                "map sum  -- 2 runs, 120ms, own 0ns\n"
                "  zip  -- 2 runs, 120ms, own 0ns\n"
                "    flat_map work_again  -- 2 runs, 110ms, own 0ns\n"
                "      (1) call work_for  -- 4 runs, 20ms, own 20ms\n"
                "      : map increment  -- 2 runs, 100ms, own 0ns\n"
                "      : call work_for  -- 2 runs, 100ms, own 100ms\n"
                "    see (1)\n");
    weft_counters_close(&c);
    weft_counters_close(&c);
}
TEST(counts_say_how_often_each_node_ran_and_how_long) { on_clock(WEFT_CLOCK_AUTO, counted); }

static void failures(void *arg) {
    (void)arg;
    weft_counters c;
    bad_calls = 0;
    eff_long one = weft_eff_call(eff_long, fail_twice, 7), noted = weft_eff_annotate(eff_long, one, "here");
    CHECK_EQ(weft_counters_open(&c, noted), WEFT_OK);
    for (int i = 0; i < 3; i++) {
        weft_exit e = weft_run_effect_with(noted, NULL, (&(weft_eff_options){.watch = weft_counters_watch(&c)}));
        CHECK_EQ(e.tag, i < 2 ? WEFT_EXIT_FAIL : WEFT_EXIT_OK);
    }
    weft_explain_options o = {.no_places = true, .counters = &c};
    EXPECT_TEXT(noted, &o,
                "annotate  \"here\"  -- 3 runs, 2 failed, 21ms, own 0ns\n"
                "  call fail_twice  -- 3 runs, 2 failed, 21ms, own 21ms\n");
    o.format = WEFT_EXPLAIN_JSON;
    weft_explain_with(noted, &o, text, sizeof text);
    CHECK(strstr(text, "\"name\":\"fail_twice\",\"runs\":3,\"failures\":2,\"total_ns\":21000000,\"own_ns\":21000000}"));
    weft_counters_close(&c);
}
TEST(failures_are_counted_where_they_pass) { on_clock(WEFT_CLOCK_AUTO, failures); }

/* A million nodes, made one after the other by one function, are one line. */
TEST(what_functions_make_is_counted_by_place) {
    weft_counters c;
    eff_long e = weft_eff_flat_map(eff_long, weft_eff_succeed(eff_long, 1000), count_down);
    CHECK_EQ(weft_counters_open(&c, e), WEFT_OK);
    CHECK(weft_ok(weft_run_effect_with(e, NULL, (&(weft_eff_options){.watch = weft_counters_watch(&c)}))));
    weft_explain_options o = {.no_places = true, .counters = &c, .format = WEFT_EXPLAIN_JSON};
    weft_explain_with(e, &o, text, sizeof text);
    CHECK(strstr(text, "\"kind\":\"flat_map\",\"made\":true,\"name\":\"count_down\",\"runs\":1000,\"failures\":0"));
    CHECK(strstr(text, "\"kind\":\"succeed\",\"made\":true,\"runs\":1000"));
    CHECK(strstr(text, "\"kind\":\"succeed\",\"made\":true,\"runs\":1,"));
    CHECK(strstr(text, "\"total\":2}"));
    weft_counters_close(&c);
}

static void two_makers(void *arg) {
    (void)arg;
    weft_counters c;
    eff_long once = weft_eff_flat_map(eff_long, weft_eff_call(eff_long, work_for, 1), work_again);
    eff_long twice = weft_eff_flat_map(eff_long, once, work_again);
    CHECK_EQ(weft_counters_open(&c, twice), WEFT_OK);
    weft_eff_options watched = {.watch = weft_counters_watch(&c)};
    CHECK(weft_ok(weft_run_effect_with(twice, NULL, &watched)));
    weft_explain_options o = {.no_places = true, .counters = &c};
    EXPECT_TEXT(twice, &o,
                "flat_map work_again  -- 1 run, 121ms, own 0ns\n"
                "  flat_map work_again  -- 1 run, 11ms, own 0ns\n"
                "    call work_for  -- 1 run, 1ms, own 1ms\n"
                "    : map increment  -- 1 run, 10ms, own 0ns\n"
                "    : call work_for  -- 1 run, 10ms, own 10ms\n"
                "  : map increment  -- 1 run, 110ms, own 0ns\n"
                "  : call work_for  -- 1 run, 110ms, own 110ms\n");
    weft_counters_close(&c);
}
TEST(what_one_function_makes_for_two_nodes_is_counted_below_each) { on_clock(WEFT_CLOCK_AUTO, two_makers); }

static weft_counters shared_counters;
static eff_long shared_effect;
static long run_shared(long times);
WEFT_TASK(run_shared, long, long);
static long run_shared(long times) {
    weft_eff_options o = {.watch = weft_counters_watch(&shared_counters)};
    while (times-- > 0) CHECK(weft_ok(weft_run_effect_with(shared_effect, NULL, &o)));
    return 0;
}
static void at_once(void *arg) {
    (void)arg;
    weft_exit e;
    eff_long one = weft_eff_call(eff_long, work_for, 2);
    shared_effect = weft_eff_flat_map(eff_long, one, work_again);
    CHECK_EQ(weft_counters_open(&shared_counters, shared_effect), WEFT_OK);
    WEFT_SCOPE(s, &e)
    for (int i = 0; i < 8; i++) CHECK(weft_ok(weft_spawn((run_shared_fiber *)NULL, run_shared, 10)));
    CHECK(weft_ok(e));
    weft_count k = count_of(&shared_counters, one);
    CHECK_EQ(k.runs, 80);
    CHECK_EQ(k.total, 80 * weft_ms(2));
    k = count_of(&shared_counters, shared_effect);
    CHECK_EQ(k.runs, 80);
    CHECK_EQ(k.total, 80 * weft_ms(22));
    CHECK_EQ(k.own, 0);
    weft_counters_close(&shared_counters);
}
TEST(several_fibers_count_at_once) { on_clock(WEFT_CLOCK_AUTO, at_once); }

static void lost(void *arg) {
    (void)arg;
    weft_counters c;
    eff_long e = weft_eff_flat_map(eff_long, weft_eff_call(eff_long, work_for, 1), work_again);
    e = weft_eff_flat_map(eff_long, weft_eff_flat_map(eff_long, e, work_again), work_again);
    CHECK_EQ(weft_counters_open(&c, e), WEFT_OK);
    for (uint64_t n = 1; n < 30; n++) {
        weft__heap_fail_at(n, n & 1);
        weft_run_effect_with(e, NULL, (&(weft_eff_options){.watch = weft_counters_watch(&c)}));
        weft__heap_fail_at(0, 0);
    }
    CHECK(count_of(&c, e).runs < 29);
    weft_counters_close(&c);
}
TEST(counts_without_memory_are_lost_and_nothing_else) {
    run_ends(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, .clock = WEFT_CLOCK_AUTO), lost, NULL, WEFT_OK);
}

TEST_MAIN
