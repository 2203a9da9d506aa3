/* Scenarios: programs of effects under drivers, their stores, logs and results.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fault/driver.h"
#include <weft/driver.h>

WEFT_STATE(points_n, long);
typedef struct points_page {
    char text[500];
} points_page;
WEFT_STATE(points_large, points_page);
WEFT_KEY(points_name, const char *);
WEFT_EFFECT(points_note, char, int n;);

static weft_exit plus(long *value, void *by) {
    *value += *(long *)by;
    return weft_done;
}

/* ---- what a program does -------------------------------------------------------------------------------- */

static void uses_store(long n, bool alone) {
    long v = 0, after = 0;
    points_page page = {"page"};
    if (FINE(weft_do_put(points_n, n)) && FINE(weft_do_get(points_n, &v)) && alone) CHECK_EQ(v, n);
    if (FINE(weft_do_put(points_large, page)) && FINE(weft_do_get(points_large, &page))) CHECK_EQ(strcmp(page.text, "page"), 0);
    if (weft_ok(weft_do_get(points_n, &v)) && FINE(weft_do_modify(points_n, plus, &n, &after)) && alone) CHECK_EQ(after, v + n);
}

/* It may be cancelled, or lose a race. */
static int tells_so(int n, bool alone) {
    void *p = take();
    FINE(weft_do_tell("told %d", n));
    weft_exit e = weft_do_delay(weft_ms(1));
    if (e.tag != WEFT_EXIT_INTERRUPT) FINE(e);
    uses_store(n, alone);
    FINE(weft_perform(points_note, NULL, n));
    give(p);
    return n;
}
static int tells(int n);
WEFT_TASK(tells, int, int);
static int tells(int n) { return tells_so(n, true); }
/* A branch: the other one has the same store. */
static int tells_too(int n);
WEFT_TASK(tells_too, int, int);
static int tells_too(int n) { return tells_so(n, false); }

static void listens(void) {
    weft_log log;
    int v = 0;
    if (FINE(weft_do_listen(&log, tells, &v, 3))) CHECK(log.n <= 1 && v == 3);
    weft_log_free(&log);
}

static void *doubles(void *arg, weft_offload_call *call) {
    (void)call;
    return arg;
}

static void spawns(void) {
    tells_fiber f;
    bool done = false;
    int v = 0;
    size_t who;
    if (FINE(weft_do_spawn(&f, tells, 4))) {
        FINE(weft_do_cancel(f, "not needed", NULL));
        FINE(weft_do_is_done(f, &done));
        weft_exit e = weft_do_wait(f, tells, &v);
        if (e.tag != WEFT_EXIT_INTERRUPT) FINE(e);
        UNTIL_ENDED(f, tells, NULL);
        CHECK_EQ(weft_drop(f), WEFT_OK);
    }
    FINE(weft_do_gather(WEFT_BR(tells_too, NULL, 5), WEFT_BR(tells_too, NULL, 6)));
    FINE(weft_do_race(&who, WEFT_BR(tells_too, NULL, 7), WEFT_BR(tells_too, NULL, 8)));
}

static int fails_as(int code);
WEFT_TASK(fails_as, int, int);
static int fails_as(int code) {
    weft_do_fail(code, "as asked");
    return code;
}

static void asks_around(void) {
    const char *name = NULL;
    weft_time t = 0;
    uint64_t random;
    void *result = NULL;
    weft_promise p = WEFT_PROMISE;
    char text[300];
    if (FINE(weft_do_ask(points_name, &name))) CHECK(strcmp(name, "points") == 0);
    FINE(weft_do_local(points_name, "local", tells, NULL, 1));
    FINE(weft_do_get_time(&t));
    FINE(weft_do_wait_until(t + 1));
    FINE(weft_do_random(&random));
    CHECK_EQ(weft_promise_complete(&p, &p), WEFT_OK);
    if (FINE(weft_do_await(&p, &result))) CHECK(result == &p);
    FINE(weft_do_blocking(doubles, &p, &result, NULL));
    weft_exit e = weft_do_safe(fails_as, NULL, 320);
    if (e.code != 320) FINE(e);
    CHECK(weft_handlers_format(text, sizeof text) > 0);
}

static int all(int n);
WEFT_TASK(all, int, int);
static int all(int n) {
    uses_store(n, true);
    listens();
    spawns();
    asks_around();
    return n;
}

static int fails_in_child(int n);
WEFT_TASK(fails_in_child, int, int);
static int fails_in_child(int n) {
    fails_as_fiber f;
    if (FINE(weft_do_spawn(&f, fails_as, n))) {
        weft_must(weft_do_wait(f, fails_as, NULL));
        UNTIL_ENDED(f, fails_as, NULL);
        CHECK_EQ(weft_drop(f), WEFT_OK);
    }
    return n;
}

/* ---- results ------------------------------------------------------------------------------------------------ */

static weft_exit on_note(const points_note_op *op, char *reply, void *self) {
    (void)op, (void)reply, (void)self;
    return weft_do_tell("noted"); /* further out */
}

#define WITH(...)                                                                            \
    WEFT_WITH(WEFT_HANDLERS(WEFT_SYNC_PRESET, WEFT_SHARED_HANDLER(NULL, WEFT_TAIL(points_note, on_note))), \
              WEFT_ENV(WEFT_BIND(points_name, "points")), WEFT_STORE(WEFT_SET(points_n, 7)), __VA_ARGS__)

static void looks_at(weft_result *r, int code) {
    char text[4096];
    long v = 0;
    const char *name = NULL;
    weft_exit e = weft_result_error(r);
    CHECK(weft_result_is_ok(r) == weft_ok(e) && weft_result_is_err(r) == !weft_ok(e));
    if (weft_ok(e) || e.code != code) FINE(e);
    weft_result_continuation(r, text, sizeof text);
    weft_result_effects(r, text, sizeof text);
    weft_result_places(r, text, sizeof text);
    weft_result_format(r, true, text, sizeof text);
    CHECK(strlen(weft_result_format(r, false, text, sizeof text)) > 0);
    CHECK(weft_ok(weft_result_get(r, points_n, &v)) ? v != 0 : v == 0);
    weft_result_ask(r, points_name, &name);
    for (const weft_log_entry *l = weft_result_log(r)->first; l; l = l->next) CHECK(strlen(l->text) > 0);
    weft_result_free(r);
}

static void runs_all(void) {
    int v = 0;
    weft_result *r = weft_run_inside(all, WITH(.trace = false), 2);
    if (weft_ok(weft_result_value(r, all, &v))) CHECK_EQ(v, 2);
    looks_at(r, 0);
}
static void runs_traced(void) { looks_at(weft_run_inside(all, WITH(.trace = true), 2), 0); }
static void runs_failing(void) {
    looks_at(weft_run_inside(fails_in_child, WITH(.trace = true), 321), 321);
    looks_at(weft_run_inside(fails_in_child, NULL, 322), 322);
}

WEFT_EFF(eff_int, int);
static void runs_values(void) {
    eff_int well = weft_eff_call(eff_int, tells, 1);
    eff_int ill = weft_eff_call(eff_int, fails_as, 325);
    looks_at(weft_run_inside_eff(well, WITH(.trace = true)), 0);
    looks_at(weft_run_inside_eff(ill, WITH(.trace = true)), 325);
}

static void sync_and_async(unsigned workers) {
    looks_at(weft_run_sync(fails_in_child, WITH(.clock = WEFT_CLOCK_AUTO), 323), 323);
    looks_at(weft_run_async(fails_in_child, WITH(.clock = WEFT_CLOCK_AUTO, .workers = workers), 324), 324);
    looks_at(weft_run_sync(tells, WITH(.clock = WEFT_CLOCK_AUTO), 1), 0);
    looks_at(weft_run_async(tells, WITH(.clock = WEFT_CLOCK_AUTO, .workers = workers), 1), 0);
}

const scenario driver_scenarios[] = {
    {"program", runs_all, NULL},
    {"program_traced", runs_traced, NULL},
    {"program_failing", runs_failing, NULL},
    {"program_value", runs_values, NULL},
    {"sync_and_async", NULL, sync_and_async},
    {NULL, NULL, NULL},
};
