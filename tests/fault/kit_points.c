/* tests/fault/kit_points.c -- the deterministic executor and the test kit, with faults: each run of a test passes, or fails
 * for a reason that the armed faults explain, and the kit itself loses nothing.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "driver.h"
#include <weft/test.h>

static int stroll(int n);
WEFT_TASK(stroll, int, int);
static int stroll(int n) {
    for (int i = 0; i < n; i++) {
        weft_point();
        FINE(weft_yield());
        FINE(weft_sleep(weft_ms(1)));
    }
    return n;
}

static void few(void *arg) {
    stroll_fiber f[3];
    bool is[3];
    (void)arg;
    for (int i = 0; i < 3; i++) is[i] = FINE(weft_spawn(&f[i], stroll, i));
    for (int i = 0; i < 3; i++) {
        if (!is[i]) continue;
        UNTIL_ENDED(f[i], stroll, NULL);
        weft_drop(f[i]);
    }
    FINE(weft_wait_all_blocked());
}
static void deterministic(unsigned workers) {
    if (workers > 1) return;
    for (uint64_t seed = 0; seed < 2; seed++)
        FINE_ERR(weft_run(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, .seed = seed, .clock = WEFT_CLOCK_AUTO), few, NULL));
}

static int in_turn(weft_sequencer *s);
WEFT_TASK(in_turn, int, weft_sequencer *);
static int in_turn(weft_sequencer *s) {
    if (FINE(weft_turn_begin(s, 1))) weft_turn_end(s, 1);
    return 0;
}
static void kit(unsigned workers) {
    static weft_test_result result;
    if (workers > 1) return;
    WEFT_TEST(t, .runs = 3, .result = &result) {
        weft_sequencer turns;
        weft_sequencer_init(&turns);
        in_turn_fiber f;
        bool is = FINE(weft_spawn(&f, in_turn, &turns));
        if (FINE(weft_turn_begin(&turns, weft_test_random(t) % 1))) weft_turn_end(&turns, 0);
        weft_gate_open(&turns.turn[1]);
        if (is) UNTIL_ENDED(f, in_turn, NULL);
        if (is) weft_drop(f);
        weft_check(t, t.run < 3);
    }
    CHECK(!result.failure || refusing() || stopping());
    CHECK(!result.failure == !*result.report);
}

/* One that fails is minimised. */
static void failing(unsigned workers) {
    static weft_test_result result;
    if (workers > 1) return;
    WEFT_TEST(t, .runs = 50, .seed = 1, .result = &result) {
        stroll_fiber f;
        if (!FINE(weft_spawn(&f, stroll, 1))) continue;
        weft_check(t, !weft_is_done(f) && t.run < 5);
        UNTIL_ENDED(f, stroll, NULL);
        weft_drop(f);
    }
    CHECK(result.failure == WEFT_TEST_CHECK || refusing() || stopping());
}

const scenario kit_scenarios[] = {
    {"deterministic", NULL, deterministic}, {"kit", NULL, kit}, {"kit_failing", NULL, failing}, {NULL, NULL, NULL},
};
