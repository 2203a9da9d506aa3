/* Scenarios: what is tried again, and repeated, as a schedule says; plans of effects, and counts.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fault/driver.h"
#include <weft/explain.h>
#include <weft/fiber.h>
#include <weft/schedule.h>

typedef struct trial {
    int attempts, failures;
} trial;

static long aside(int ms);
WEFT_TASK(aside, long, int);
static long aside(int ms) {
    void *p = take();
    FINE(weft_sleep(weft_ms(ms)));
    give(p);
    return ms;
}

/* Holds something, has a fiber beside it, and says that it failed. */
static weft_exit try_it(void *arg) {
    trial *t = arg;
    void *p = take();
    t->attempts++;
    FINE(weft_spawn((aside_fiber *)NULL, aside, 3));
    weft_exit e = weft_sleep(weft_ms(1));
    give(p);
    if (!weft_ok(e)) return e;
    return t->attempts <= t->failures ? weft_failf(300, "attempt %d", t->attempts) : e;
}

static bool any_code(int32_t code, void *arg) {
    (void)arg;
    return code >= 0;
}
static bool no_code(int32_t code, void *arg) {
    (void)arg;
    return code < 0;
}

static void retries(void) {
    trial t = {0, 2};
    weft_schedule s = weft_schedule_while(weft_schedule_exponential(weft_ms(2), 2), any_code, NULL);
    s = weft_schedule_seeded(weft_schedule_jittered(weft_schedule_up_to(weft_schedule_times(s, 3), weft_s(9)), 0.5, 2), 1);
    if (FINE(weft_retry(&s, try_it, &t))) CHECK(t.attempts == 3 || refusing());
    t = (trial){0, 1000};
    weft_exit e = weft_retry(&s, try_it, &t);
    CHECK(!weft_ok(e));
    if (e.code == 300)
        CHECK(t.attempts == 4 && e.cause);
    else
        FINE(e);
    t = (trial){0, 1000};
    weft_schedule line = weft_schedule_until(weft_schedule_linear(1), no_code, NULL);
    weft_schedule twice = weft_schedule_both(line, weft_schedule_recurs(1));
    e = weft_retry(&twice, try_it, &t);
    if (e.code != 300) FINE(e);
    FAILS(weft_retry(NULL, try_it, &t), WEFT_E_INVALID);
}

static void repeats(void) {
    trial t = {0, 0};
    weft_schedule s = weft_schedule_either(weft_schedule_fixed(weft_ms(5)), weft_schedule_capped(weft_schedule_spaced(9), 3));
    s = weft_schedule_and_then(weft_schedule_times(s, 2), weft_schedule_recurs(1));
    char text[200];
    CHECK_EQ(weft_schedule_check(&s), WEFT_OK);
    CHECK(!strncmp(weft_schedule_format(&s, text, sizeof text), "and_then(times(either(fixed(5ms)", 32));
    if (FINE(weft_repeat(&s, try_it, &t))) CHECK_EQ(t.attempts, 4);
}

/* By hand: a state needs nothing that could be refused. */
static void followed(unsigned workers) {
    (void)workers;
    weft_schedule s = weft_schedule_jittered(weft_schedule_spaced(weft_ms(4)), 0, 1);
    weft_schedule_state state;
    weft_duration d;
    CHECK_EQ(weft_schedule_begin(&state, &s, 0), WEFT_OK);
    CHECK(weft_schedule_next(&state, 0, 300, &d) && d <= weft_ms(4));
}

/* ---- plans ------------------------------------------------------------------------------------------------ */

WEFT_EFF(eff_long, long);
static long holds(long n) {
    void *p = take();
    FINE(weft_sleep(weft_ms(n)));
    give(p);
    return n;
}
WEFT_TASK(holds, long, long);
static eff_long more(weft_eff_arena *a, long n);
WEFT_EFF_NEXT(more, eff_long, long);
static eff_long more(weft_eff_arena *a, long n) { return weft_eff_keep(eff_long, a, weft_eff_call(eff_long, holds, n + 1)); }

static void explained(void) {
    char text[2000];
    weft_counters c;
    weft_count k;
    eff_long e = weft_eff_flat_map(eff_long, weft_eff_call(eff_long, holds, 1), more);
    for (weft_explain_format f = WEFT_EXPLAIN_TEXT; f <= WEFT_EXPLAIN_SVG; f++)
        CHECK(weft_explain(e, f, text, sizeof text) || refusing());
    if (!FINE_ERR(weft_counters_open(&c, e))) return;
    FINE(weft_run_effect_with(e, NULL, (&(weft_eff_options){.watch = weft_counters_watch(&c)})));
    CHECK(weft_counters_get(&c, e, &k) && k.runs <= 1);
    CHECK(k.runs == 1 || refusing());
    CHECK(weft_explain_with(e, (&(weft_explain_options){.counters = &c}), text, sizeof text) || refusing());
    weft_counters_close(&c);
}

const scenario schedule_scenarios[] = {
    {"retries", retries, NULL},     {"repeats", repeats, NULL}, {"followed", NULL, followed},
    {"explained", explained, NULL}, {NULL, NULL, NULL},
};
