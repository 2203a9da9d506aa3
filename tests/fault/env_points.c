/* Scenarios: environment, values made when asked for, layers, services.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fault/driver.h"
#include <weft/eff_env.h>
#include <weft/par.h>
#include <weft/service.h>

WEFT_KEY(first, long);
WEFT_KEY(second, long);
WEFT_KEY(third, long);

static long of(const long *p) { return p ? *p : 0; }
static long in_sight(void) { return of(weft_env(first)) + of(weft_env(second)) + of(weft_env(third)); }

static long looks(int ms);
WEFT_TASK(looks, long, int);
static long looks(int ms) {
    void *p = take();
    long before = in_sight();
    if (ms) FINE(weft_sleep(weft_ms(ms)));
    CHECK_EQ(in_sight(), before);
    give(p);
    return before;
}

/* ---- provided ------------------------------------------------------------------------------------------- */

static void count(const weft_env_entry *e, void *arg) { *(int *)arg += !e->overridden; }

static void provided(void) {
    char text[200];
    long a = 0, b = 0, v = 0;
    int n = 0;
    const weft_binding list[] = {WEFT_BIND(first, 1), WEFT_BIND(second, 20)};
    looks_fiber f = {{0}};
    bool spawned = false;
    WEFT_PROVIDE_LIST(list, 2) {
        spawned = FINE(weft_spawn(&f, looks, 3)); /* outlives this */
        WEFT_PROVIDE(third, 300) {
            if (FINE(weft_zip_par(WEFT_BR(looks, &a, 1), WEFT_BR(looks, &b, 0)))) CHECK_EQ(a + b, 642);
            CHECK(weft_ok(weft_env_get(third, &v)) && v == 300);
        }
        FAILS(weft_env_get(third, &v), WEFT_E_MISSING);
        if (FINE(weft_provide(first, 5, looks, &a, 1))) CHECK_EQ(a, 25);
        weft_env_each(count, &n);
        CHECK_EQ(n, 2);
        CHECK(weft_env_format(text, sizeof text) > 20);
    }
    CHECK_EQ(in_sight(), 0);
    FAILS(weft_provide_list(NULL, 1, looks, &a, 1), WEFT_E_INVALID);
    if (!spawned) return;
    if (FINE(UNTIL_ENDED(f, looks, &a))) CHECK_EQ(a, 21);
    CHECK_EQ(weft_drop(f), WEFT_OK);
}

static void around_runs(void *arg) { CHECK_EQ(in_sight(), *(long *)arg); }
static void base(unsigned workers) {
    long seen = 7;
    looks_fiber f;
    weft_runtime *rt;
    WEFT_PROVIDE(second, 7) {
        weft_err err = weft_run(&WEFT_OPTIONS(.workers = workers), around_runs, &seen);
        FINE_ERR(err);
        if (FINE_ERR(weft_open(&WEFT_OPTIONS(.workers = workers), &rt))) {
            FINE_ERR(weft_call(rt, around_runs, &seen));
            if (FINE(weft_spawn_with(&f, looks, {.runtime = rt}, 0))) {
                if (FINE(weft_await(f, looks, &seen))) CHECK_EQ(seen, 7);
                weft_drop(f);
            }
            FINE_ERR(weft_close(rt));
        }
    }
}

/* ---- made when asked for -------------------------------------------------------------------------------- */

static weft_exit makes(long *value, void *arg) {
    long other = 0;
    void *p = take();
    weft_exit e = arg ? weft_env_get(third, &other) : weft_sleep(weft_ms(1));
    give(p);
    *value = 10 + other;
    return e;
}
static weft_exit makes_from_third(long *value, void *arg) { return makes(value, arg ? arg : value); }

static long asks(int n);
WEFT_TASK(asks, long, int);
static long asks(int n) {
    long v = 0;
    weft_exit e = weft_env_get(first, &v);
    if (FINE(e)) CHECK_EQ(v, 20);
    else weft_exit_drop(e);
    return n;
}
static void lazies(void) {
    asks_fiber f = {{0}};
    bool spawned = false;
    const weft_binding list[] = {WEFT_BIND_LAZY(first, makes_from_third, NULL), WEFT_BIND_LAZY(third, makes, NULL)};
    WEFT_PROVIDE_LIST(list, 2) {
        spawned = FINE(weft_spawn(&f, asks, 1));
        FINE(weft_zip_par(WEFT_BR(asks, NULL, 1), WEFT_BR(asks, NULL, 2), WEFT_BR(asks, NULL, 3)));
        if (!refusing() && !stopping()) CHECK_EQ(in_sight(), 30);
    }
    if (spawned) {
        FINE(UNTIL_ENDED(f, asks, NULL));
        CHECK_EQ(weft_drop(f), WEFT_OK);
    }
    long v;
    const weft_binding round[] = {WEFT_BIND_LAZY(first, makes_from_third, NULL), WEFT_BIND_LAZY(third, makes_from_third, NULL)};
    WEFT_PROVIDE_LIST(round, 2) {
        weft_exit e = weft_env_get(first, &v);
        FAILS(e, WEFT_E_CYCLE);
        weft_exit_drop(e);
    }
}

/* ---- layers --------------------------------------------------------------------------------------------- */

/* What was acquired is released, whatever happens: it counts as held, and as a finalizer. */
static weft_exit acquire(long *value, void *arg) {
    void *p = take();
    weft_exit e = weft_sleep(weft_ms(1));
    *value = *(const long *)arg;
    if (FINE(e)) {
        atomic_fetch_add(&even.deferred, 1);
        return e;
    }
    give(p);
    return e;
}
static weft_exit release(long *value, void *arg) {
    CHECK_EQ(*value, *(const long *)arg);
    atomic_fetch_add(&even.finalized, 1);
    give(&even);
    weft_exit e = weft_sleep(weft_us(100));
    FINE(e);
    return e;
}
static weft_exit refuses(long *value, void *arg) {
    (void)value;
    (void)arg;
    FINE(weft_sleep(weft_ms(1)));
    return weft_failf(300, "layer %d", 3);
}
static long one = 1, two = 20;
static const weft_layer layer_one = WEFT_LAYER(first, acquire, release, .arg = &one),
                        layer_two = WEFT_LAYER(second, acquire, release, .arg = &two, WEFT_NEEDS(&layer_one)),
                        layer_bad = WEFT_LAYER(third, refuses, NULL, WEFT_NEEDS(&layer_one)),
                        layer_value = WEFT_LAYER_VALUE(third, 300);
extern const weft_layer turns_back, turns;
const weft_layer turns_back = WEFT_LAYER(first, acquire, release, .arg = &one, WEFT_NEEDS(&turns)),
                 turns = WEFT_LAYER(second, acquire, release, .arg = &one, WEFT_NEEDS(&turns_back));

static void layers(void) {
    long v = 0;
    if (FINE(weft_provide_layer(weft_layer_plus(&layer_one, weft_layer_both(&layer_two, &layer_value)), looks, &v, 1))) CHECK_EQ(v, 321);
    weft_exit e = weft_provide_layer(weft_layer_both(&layer_two, &layer_bad), looks, NULL, 1);
    CHECK(!weft_ok(e));
    if (e.code != 300) FINE(e);
    weft_exit_drop(e);
    FAILS(weft_provide_layer(&turns, looks, NULL, 0), WEFT_E_CYCLE);
    WEFT_SCOPE(s, &e) {
        weft_built built;
        const weft_layer *l = weft_layer_keep(s, weft_layer_both(&layer_one, &layer_two));
        if (l && FINE(weft_layer_build(s, l, &built)))
            WEFT_PROVIDE_LIST(built.list, built.n) CHECK_EQ(in_sight(), 21);
    }
    FINE(e);
}

/* ---- effects -------------------------------------------------------------------------------------------- */

WEFT_EFF(eff_long, long);

static void effects(void) {
    const weft_binding list[] = {WEFT_BIND(first, 1), WEFT_BIND(third, 300)};
    weft_built values = {list, 2};
    long v = 0;
    eff_long seen = weft_eff_call(eff_long, looks, 1);
    if (FINE(weft_run_effect(weft_eff_local(eff_long, weft_eff_ask(eff_long, third), &values), &v))) CHECK_EQ(v, 300);
    if (FINE(weft_run_effect(weft_eff_local(eff_long, weft_eff_provide_layer(eff_long, seen, &layer_two), &values), &v))) CHECK_EQ(v, 321);
    weft_exit e = weft_run_effect(weft_eff_provide_layer(eff_long, seen, &layer_bad), &v);
    CHECK(!weft_ok(e));
    if (e.code != 300) FINE(e);
    weft_exit_drop(e);
    FAILS(weft_run_effect(weft_eff_ask(eff_long, third), &v), WEFT_E_MISSING);
    CHECK_EQ(in_sight(), 0);
}

/* ---- services ------------------------------------------------------------------------------------------- */

static void services(void) {
    char text[100], line[10];
    weft_recording r;
    weft_random_state state;
    FINE(weft_clock_sleep(weft_ms(1)));
    FINE(weft_clock_sleep_until(weft_clock_now() + weft_ms(1)));
    CHECK(weft_random_next() | 1);
    CHECK(weft_random_float() < 1);
    FAILS(weft_console_print("x"), WEFT_E_MISSING);
    FAILS(weft_console_read(line, sizeof line), WEFT_E_MISSING);
    WEFT_PROVIDE(weft_clock, weft_clock_fixed(3)) {
        FINE(weft_clock_sleep(weft_s(1)));
        CHECK_EQ(weft_clock_now(), 3);
    }
    WEFT_PROVIDE(weft_random, weft_random_seeded(&state, 3)) CHECK(weft_random_int(3) < 3);
    WEFT_PROVIDE(weft_console, weft_console_recorded(&r, text, sizeof text, "a\n")) {
        CHECK(weft_ok(weft_console_write("abc", 3)));
        if (FINE(weft_console_print("%02000d", 1))) CHECK_EQ(r.used + r.lost, 2003);
        CHECK(weft_ok(weft_console_read(line, sizeof line)));
        FAILS(weft_console_read(line, sizeof line), WEFT_E_CLOSED);
    }
}

const scenario env_scenarios[] = {
    {"provided", provided, NULL}, {"base", NULL, base},         {"lazies", lazies, NULL},
    {"layers", layers, NULL},     {"provided_effects", effects, NULL}, {"services", services, NULL}, {NULL, NULL, NULL},
};
