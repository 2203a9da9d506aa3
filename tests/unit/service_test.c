/* Services: clock, random numbers and console, by default, overridden, and as doubles.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/runs.h"
#include <weft/layer.h>
#include <weft/par.h>
#include <weft/service.h>
#include <weft/test.h>

/* ---- clock ---------------------------------------------------------------------------------------------- */

static weft_time at(int n);
WEFT_TASK(at, weft_time, int);
static weft_time at(int n) {
    CHECK(weft_ok(weft_clock_sleep(weft_s(n))));
    return weft_clock_now();
}
static void clocks(void *arg) {
    weft_time a = 0, b = 0;
    (void)arg;
    CHECK(weft_ok(weft_clock_sleep(weft_ms(5))));
    CHECK_EQ(weft_clock_now(), weft_ms(5)); /* the runtime's */
    CHECK(weft_ok(weft_clock_sleep_until(weft_ms(7))));
    CHECK_EQ(weft_now(), weft_ms(7));
    WEFT_PROVIDE(weft_clock, weft_clock_fixed(weft_s(10))) {
        CHECK(weft_ok(weft_zip_par(WEFT_BR(at, &a, 1), WEFT_BR(at, &b, 1000))));
        CHECK_EQ(a, weft_s(10));
        CHECK_EQ(b, weft_s(10));
        CHECK(weft_ok(weft_clock_sleep_until(weft_s(20))));
        CHECK_EQ(weft_clock_sleep(-1).code, WEFT_E_INVALID);
        CHECK_EQ(weft_clock_sleep(INT64_MAX).code, WEFT_E_INVALID);
    }
    CHECK_EQ(weft_clock_now(), weft_ms(7));
}
TEST(the_clock_is_the_runtimes_and_can_be_fixed) { on_clock(WEFT_CLOCK_AUTO, clocks); }

static weft_exit sleeps_fixed(void *arg) {
    (void)arg;
    for (;;) {
        weft_exit e = weft_clock_sleep(weft_s(1));
        if (!weft_ok(e)) return e;
        e = weft_sleep(weft_us(10)); /* by the runtime's clock, as the timeout */
        if (!weft_ok(e)) return e;
    }
}
static void stopped(void *arg) {
    (void)arg;
    WEFT_PROVIDE(weft_clock, weft_clock_fixed(0)) CHECK_EQ(weft_timeout(weft_ms(1), sleeps_fixed, NULL).code, WEFT_E_TIMEOUT);
}
TEST(a_timeout_goes_by_the_runtimes_clock) { on_clock(WEFT_CLOCK_AUTO, stopped); }

TEST(on_a_plain_thread_the_clock_is_the_systems) {
    weft_time before = weft_now();
    CHECK(weft_clock_now() >= before);
    WEFT_PROVIDE(weft_clock, weft_clock_fixed(3)) CHECK_EQ(weft_clock_now(), 3);
}

/* ---- random --------------------------------------------------------------------------------------------- */

TEST(seeded_numbers_are_those_of_splitmix64) {
    static const uint64_t published[] = {UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
                                         UINT64_C(9817491932198370423), UINT64_C(4593380528125082431),
                                         UINT64_C(16408922859458223821)};
    weft_random_state r;
    WEFT_PROVIDE(weft_random, weft_random_seeded(&r, 1234567)) {
        for (int i = 0; i < 5; i++) CHECK(weft_random_next() == published[i]);
    }
}

static void numbers(uint64_t *out, int n) {
    for (int i = 0; i < n; i++) out[i] = i % 2 ? (uint64_t)weft_random_int(1000003) : (uint64_t)(weft_random_float() * 1e15);
}
TEST(the_same_seed_gives_the_same_numbers) {
    uint64_t a[50], b[50], c[50];
    weft_random_state r;
    WEFT_PROVIDE(weft_random, weft_random_seeded(&r, 42)) numbers(a, 50);
    WEFT_PROVIDE(weft_random, weft_random_seeded(&r, 42)) numbers(b, 50);
    WEFT_PROVIDE(weft_random, weft_random_seeded(&r, 43)) numbers(c, 50);
    CHECK(!memcmp(a, b, sizeof a));
    CHECK(memcmp(a, c, sizeof a));
}

static uint64_t told;
static uint64_t tells(const weft_random_service *r) {
    (void)r;
    return told;
}
TEST(numbers_stay_in_their_bounds) {
    weft_random_state r;
    int seen[6] = {0};
    double sum = 0;
    WEFT_PROVIDE(weft_random, weft_random_seeded(&r, 7)) {
        for (int i = 0; i < 60000; i++) {
            int64_t n = weft_random_int(6);
            CHECK(n >= 0 && n < 6);
            seen[n]++;
            double x = weft_random_float();
            CHECK(x >= 0 && x < 1);
            sum += x;
            CHECK_EQ(weft_random_int(1), 0);
            CHECK(weft_random_int(INT64_MAX) >= 0);
        }
    }
    for (int i = 0; i < 6; i++) CHECK(seen[i] > 9500 && seen[i] < 10500); /* five standard deviations */
    CHECK(sum > 29600 && sum < 30400);
    WEFT_PROVIDE(weft_random, ((weft_random_service){tells, NULL})) {
        told = UINT64_MAX;
        CHECK(weft_random_float() < 1);
        CHECK_EQ(weft_random_int(INT64_MAX), INT64_MAX - 1);
        told = (UINT64_C(1) << 63) + 1;
        CHECK_EQ(weft_random_int(10), 5);
    }
}

TEST(a_choice_is_an_element_and_each_is_chosen) {
    static const char *const words[] = {"a", "b", "c"};
    weft_random_state r;
    unsigned seen = 0;
    WEFT_PROVIDE(weft_random, weft_random_seeded(&r, 1)) {
        for (int i = 0; i < 100; i++) seen |= 1u << (*weft_random_choice(words, 3) - 'a');
    }
    CHECK_EQ(seen, 7);
}

static void draws(void *arg) { numbers(arg, 50); }
TEST(on_the_deterministic_executor_numbers_follow_from_its_seed) {
    uint64_t a[50], b[50], c[50];
    run_ends(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, .seed = 5), draws, a, WEFT_OK);
    run_ends(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, .seed = 5), draws, b, WEFT_OK);
    run_ends(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, .seed = 6), draws, c, WEFT_OK);
    CHECK(!memcmp(a, b, sizeof a));
    CHECK(memcmp(a, c, sizeof a));
}
TEST(in_other_runs_and_on_threads_each_sequence_is_another) {
    uint64_t a[50], b[50], c[50];
    run_ends(&WEFT_OPTIONS(.executor = WEFT_PARALLEL), draws, a, WEFT_OK);
    run_ends(&WEFT_OPTIONS(.executor = WEFT_PARALLEL), draws, b, WEFT_OK);
    numbers(c, 50);
    CHECK(memcmp(a, b, sizeof a));
    CHECK(memcmp(a, c, sizeof a));
}

/* Many draw from one state at once: none gets a number that another one got. */
static uint64_t draw(int n);
WEFT_TASK(draw, uint64_t, int);
static uint64_t draw(int n) {
    (void)n;
    return weft_random_next();
}
static int by_value(const void *x, const void *y) {
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return (a > b) - (a < b);
}
static void drawn_at_once(void *arg) {
    static int in[2000];
    static uint64_t out[2000], one[2000];
    weft_random_state r;
    (void)arg;
    WEFT_PROVIDE(weft_random, weft_random_seeded(&r, 9)) CHECK(weft_ok(weft_map(draw, in, 2000, out)));
    WEFT_PROVIDE(weft_random, weft_random_seeded(&r, 9)) for (int i = 0; i < 2000; i++) one[i] = weft_random_next();
    qsort(out, 2000, sizeof *out, by_value);
    qsort(one, 2000, sizeof *one, by_value);
    CHECK(!memcmp(one, out, sizeof one)); /* the same numbers, in whatever order */
}
TEST(one_state_serves_many_at_once) { on_clock(WEFT_CLOCK_AUTO, drawn_at_once); }

static void no_bound(void *arg) {
    (void)arg;
    weft_random_int(0);
}
TEST(a_bound_that_is_not_positive_is_told) { EXPECT_DEATH(no_bound, NULL, SIGABRT, "weft_random_int: the bound is 0"); }

/* ---- console -------------------------------------------------------------------------------------------- */

static void consoles(void *arg) {
    char text[64], line[8], whole[3000];
    weft_recording r;
    (void)arg;
    CHECK_EQ(weft_console_print("nobody hears %d\n", 1).code, WEFT_E_MISSING);
    CHECK_EQ(weft_console_read(line, sizeof line).code, WEFT_E_MISSING);
    WEFT_PROVIDE(weft_console, weft_console_recorded(&r, text, sizeof text, "first\n\nmuch too long\nlast")) {
        CHECK(weft_ok(weft_console_print("%s is %d\n", "x", 3)));
        CHECK(weft_ok(weft_console_write("abc", 2)));
        CHECK(!strcmp(r.text, "x is 3\nab"));
        CHECK(weft_ok(weft_console_read(line, sizeof line)) && !strcmp(line, "first"));
        CHECK(weft_ok(weft_console_read(line, sizeof line)) && !strcmp(line, ""));
        CHECK(weft_ok(weft_console_read(line, sizeof line)) && !strcmp(line, "much to"));
        CHECK(weft_ok(weft_console_read(line, sizeof line)) && !strcmp(line, "last"));
        CHECK_EQ(weft_console_read(line, sizeof line).code, WEFT_E_CLOSED);
        CHECK(weft_ok(weft_console_print("%0100d", 7)));
        CHECK_EQ(r.used, 63);
        CHECK_EQ(r.used + r.lost, 109);
        CHECK_EQ(r.text[63], 0);
    }
    WEFT_PROVIDE(weft_console, weft_console_recorded(&r, whole, sizeof whole, NULL)) {
        CHECK(weft_ok(weft_console_print("%02000d", 7))); /* more than the stack has room for */
        CHECK_EQ(strlen(r.text), 2000);
        CHECK_EQ(r.text[1999], '7');
        CHECK_EQ(weft_console_read(line, sizeof line).code, WEFT_E_CLOSED);
    }
}
TEST(a_console_is_missing_until_it_is_provided_and_can_be_recorded) {
    on_clock(WEFT_CLOCK_AUTO, consoles);
    consoles(NULL);
}

static int prints(int n);
WEFT_TASK(prints, int, int);
static int prints(int n) {
    CHECK(weft_ok(weft_console_print("%04d\n", n)));
    return 0;
}
static void printed_at_once(void *arg) {
    static int in[200];
    char text[1100], line[8];
    weft_recording r, back;
    (void)arg;
    for (int i = 0; i < 200; i++) in[i] = i;
    WEFT_PROVIDE(weft_console, weft_console_recorded(&r, text, sizeof text, NULL)) CHECK(weft_ok(weft_map(prints, in, 200, NULL)));
    CHECK_EQ(r.used, 1000);
    int sum = 0;
    WEFT_PROVIDE(weft_console, weft_console_recorded(&back, line, 1, r.text)) {
        while (weft_ok(weft_console_read(line, sizeof line))) sum += atoi(line);
    }
    CHECK_EQ(sum, 199 * 100);
}
TEST(lines_of_several_fibers_stay_whole) { on_clock(WEFT_CLOCK_AUTO, printed_at_once); }

/* ---- together ------------------------------------------------------------------------------------------- */

static int greets(int n);
WEFT_TASK(greets, int, int);
static int greets(int n) {
    weft_console_print("%d at %d: %d\n", n, (int)(weft_clock_now() / weft_s(1)), (int)weft_random_int(100));
    return n;
}
TEST(a_program_runs_with_all_of_its_services_replaced) {
    char text[200];
    weft_recording out;
    weft_random_state r;
    const weft_layer *doubles = weft_layer_both(&(const weft_layer)WEFT_LAYER_VALUE(weft_clock, weft_clock_fixed(weft_s(8))),
                                                &(const weft_layer)WEFT_LAYER_VALUE(weft_random, weft_random_seeded(&r, 1)),
                                                &(const weft_layer)WEFT_LAYER_VALUE(weft_console, weft_console_recorded(&out, text, sizeof text, NULL)));
    CHECK(weft_ok(weft_provide_layer(doubles, greets, NULL, 3)));
    CHECK(!strncmp(text, "3 at 8: ", 8));
}

TEST_MAIN
