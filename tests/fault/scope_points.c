/* Scenarios: scopes with every option, finalizers, arenas, timeouts.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fault/driver.h"

/* ---- children ----------------------------------------------------------------------------------------- */

static int naps(int ms);
WEFT_TASK(naps, int, int);
static int naps(int ms) {
    void *p = take();
    weft_exit e = weft_sleep(weft_ms(ms));
    if (e.tag != WEFT_EXIT_INTERRUPT) FINE(e); /* the scope may stop it */
    give(p);
    return ms;
}

static int fails_late(int ms);
WEFT_TASK(fails_late, int, int);
static int fails_late(int ms) {
    if (weft_ok(weft_sleep(weft_ms(ms)))) weft_failf(300, "after %d ms", ms);
    return ms;
}

/* Until it is stopped. */
static int serves(int n);
WEFT_TASK(serves, int, int);
static int serves(int n) {
    void *p = take();
    while (weft_ok(weft_sleep(weft_s(1)))) {}
    give(p);
    return n;
}

/* A scope's exit: ok, `code`, or explained. */
static void ends_with(weft_exit e, int code) {
    if (!weft_ok(e) && e.code != code) FINE(e);
}

static void plain(void) {
    weft_exit e;
    naps_fiber f;
    WEFT_SCOPE(s, &e) {
        for (int i = 0; i < 3; i++) FINE(weft_start(s, naps, i));
        if (FINE(weft_spawn(&f, naps, 2))) FINE(UNTIL_ENDED(f, naps, NULL));
        FINE(weft_spawn((naps_fiber *)NULL, naps, 1));
        FINE(weft_spawn_with((serves_fiber *)NULL, serves, {.daemon = true}, 1));
        FINE(weft_yield());
    }
    FINE(e);
}

static void policies(void) {
    const weft_policy each[] = {WEFT_FAIL_FAST, WEFT_SUPERVISE, WEFT_COLLECT};
    for (int i = 0; i < 3; i++) {
        weft_exit e;
        WEFT_SCOPE(s, &e, .policy = each[i], .name = "policy") {
            FINE(weft_start(s, fails_late, 1));
            FINE(weft_spawn((fails_late_fiber *)NULL, fails_late, 2));
            FINE(weft_spawn((naps_fiber *)NULL, naps, 3)); /* the first failure may stop it: then it is not asked */
            while (each[i] == WEFT_FAIL_FAST && weft_ok(weft_sleep(weft_ms(1))) && !refusing() && !stopping()) {}
        }
        ends_with(e, 300);
        if (each[i] == WEFT_SUPERVISE) FINE(e);
    }
}

static void cancelled(void) {
    weft_exit e;
    WEFT_SCOPE(s, &e, .name = "cancelled") {
        for (int i = 0; i < 3; i++) FINE(weft_spawn((serves_fiber *)NULL, serves, i));
        FINE(weft_yield());
        weft_scope_cancel(s, "enough");
        CHECK(!weft_ok(weft_yield()));
        CHECK(weft_stopping());
    }
    CHECK(e.tag == WEFT_EXIT_INTERRUPT);
}

/* From another fiber, and with children started from there. */
static int intrudes(weft_scope *s);
WEFT_TASK(intrudes, int, weft_scope *);
static int intrudes(weft_scope *s) {
    if (FINE(weft_start(s, naps, 1))) FINE(weft_sleep(weft_ms(2)));
    weft_scope_cancel(s, NULL);
    return 1;
}
static void from_elsewhere(void) {
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        if (!FINE(weft_spawn((intrudes_fiber *)NULL, intrudes, s))) break;
        FINE(weft_spawn_with((serves_fiber *)NULL, serves, {.scope = s}, 1));
        while (weft_ok(weft_sleep(weft_s(1))) && !stopping()) {}
        if (stopping()) weft_scope_cancel(s, "the intruder may have been stopped");
    }
    if (!weft_ok(e)) CHECK(e.tag == WEFT_EXIT_INTERRUPT || refusing());
}

/* Left early, through two of them. */
static void leaves(int n) {
    weft_exit inner, outer;
    WEFT_SCOPE(s, &outer) {
        FINE(weft_spawn((serves_fiber *)NULL, serves, 1));
        WEFT_SCOPE(t, &inner) {
            FINE(weft_start(t, serves, 2));
            FINE(weft_spawn((serves_fiber *)NULL, serves, 3));
            FINE(weft_spawn((fails_late_fiber *)NULL, fails_late, 0));
            for (int i = 0; i < n; i++)
                if (!weft_ok(weft_yield())) break;
            return;
        }
    }
}
static void left_early(void) {
    for (int n = 0; n < 4; n++) leaves(n);
}

/* ---- time --------------------------------------------------------------------------------------------- */

static void deadlines(void) {
    weft_exit e;
    WEFT_SCOPE(s, &e, .timeout = weft_ms(5), .name = "timeout") {
        for (int i = 0; i < 2; i++) FINE(weft_spawn((serves_fiber *)NULL, serves, i));
        CHECK(weft_deadline() <= weft_now() + weft_ms(5));
        while (weft_ok(weft_sleep(weft_s(1)))) {}
    }
    ends_with(e, WEFT_E_TIMEOUT);
    CHECK(!weft_ok(e));
    WEFT_SCOPE(s, &e, .deadline = weft_now() + weft_ms(5), .grace = weft_ms(2)) {
        FINE(weft_spawn((serves_fiber *)NULL, serves, 1));
        while (weft_ok(weft_sleep(weft_ms(1)))) {}
    }
    ends_with(e, WEFT_E_TIMEOUT);
    WEFT_SCOPE(s, &e, .timeout = weft_s(1)) FINE(weft_start(s, naps, 1));
    FINE(e);
    CHECK_EQ(weft_deadline(), WEFT_FOREVER);
}

static void bad_scopes(void) {
    weft_exit e;
    WEFT_SCOPE(s, &e, .timeout = -1) CHECK(!s);
    FAILS(e, WEFT_E_INVALID);
    FAILS(weft_timeout(-1, NULL, NULL), WEFT_E_INVALID);
}

static weft_exit sleeps(void *ms) { return weft_sleep(weft_ms(*(int *)ms)); }
static weft_exit spawns_and_sleeps(void *ms) {
    FINE(weft_spawn((serves_fiber *)NULL, serves, 1));
    return weft_sleep(weft_ms(*(int *)ms));
}
static void timeouts(void) {
    int one = 1, ten = 10;
    FINE(weft_timeout(weft_ms(5), sleeps, &one));
    FAILS(weft_timeout(weft_ms(5), sleeps, &ten), WEFT_E_TIMEOUT);
    FAILS(weft_timeout(weft_ms(5), spawns_and_sleeps, &ten), WEFT_E_TIMEOUT);
}

/* Inside the shield nothing outside is noticed. */
static int shielded(int n);
WEFT_TASK(shielded, int, int);
static int shielded(int n) {
    weft_exit e;
    void *p = take();
    WEFT_SCOPE(s, &e, .shield = true, .name = "shield") {
        FINE(weft_start(s, naps, 1));
        CHECK(weft_ok(weft_sleep(weft_ms(3))));
    }
    give(p);
    return n;
}
static void shields(void) {
    shielded_fiber f;
    if (!FINE(weft_spawn(&f, shielded, 1))) return;
    FINE(weft_sleep(weft_ms(1)));
    CHECK(weft_ok(weft_interrupt_async(f, "shielded")));
    UNTIL_ENDED(f, shielded, NULL);
    CHECK_EQ(weft_drop(f), WEFT_OK);
}

/* ---- finalizers --------------------------------------------------------------------------------------- */

/* Waits: whatever is asked of the fiber, it gets the time. */
static weft_exit gives_back(void *p) {
    CHECK(weft_ok(weft_sleep(weft_ms(1))));
    give(p);
    atomic_fetch_add(&even.finalized, 1);
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}
static weft_exit takes(void *arg, void **resource) {
    (void)arg;
    CHECK(weft_ok(weft_sleep(weft_ms(1))));
    *resource = take();
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}
static weft_exit refuses(void *arg, void **resource) {
    (void)arg, (void)resource;
    return weft_fail(310, "not this one");
}
/* It would sleep for an hour, and fails. */
static weft_exit too_long(void *arg) {
    (void)arg;
    atomic_fetch_add(&even.finalized, 1);
    CHECK(!weft_ok(weft_sleep(weft_s(3600))));
    return (weft_exit){WEFT_EXIT_FAIL, 311, NULL};
}

static void defer(weft_scope *s) {
    void *p = take();
    if (FINE_ERR(weft_defer(s, gives_back, p, 0)))
        atomic_fetch_add(&even.deferred, 1);
    else
        give(p);
}
static void acquire(weft_scope *s) {
    void *p;
    if (FINE(weft_acquire(s, takes, NULL, gives_back, weft_s(1), &p))) atomic_fetch_add(&even.deferred, 1);
}

/* From other fibers as well. */
static int defers(weft_scope *s);
WEFT_TASK(defers, int, weft_scope *);
static int defers(weft_scope *s) {
    defer(s);
    FINE(weft_yield());
    acquire(s);
    return 1;
}

static void finalizers(void) {
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        for (int i = 0; i < 3; i++) {
            defer(s);
            acquire(s);
        }
        FINE(weft_start(s, defers, s));
        FINE(weft_spawn((defers_fiber *)NULL, defers, s));
        FINE(weft_yield());
    }
    FINE(e);
}

static void bad_finalizers(void) {
    weft_exit e;
    void *p;
    WEFT_SCOPE(s, &e) {
        CHECK_EQ(weft_defer(s, NULL, NULL, 0), WEFT_E_INVALID);
        FAILS(weft_acquire(s, NULL, NULL, NULL, 0, &p), WEFT_E_INVALID);
        weft_exit no = weft_acquire(s, refuses, NULL, gives_back, 0, &p);
        CHECK(!weft_ok(no));
        if (no.code != 310) FINE(no);
        if (FINE_ERR(weft_defer(s, too_long, NULL, weft_ms(1)))) atomic_fetch_add(&even.deferred, 1);
    }
    CHECK(!weft_ok(e) || refusing());
}
static int failing_finalizers(int n);
WEFT_TASK(failing_finalizers, int, int);
static int failing_finalizers(int n) {
    bad_finalizers();
    return n;
}
static void finalizers_fail(void) {
    failing_finalizers_fiber f;
    if (!FINE(weft_spawn(&f, failing_finalizers, 1))) return;
    UNTIL_ENDED(f, failing_finalizers, NULL);
    CHECK_EQ(weft_drop(f), WEFT_OK);
}

/* ---- arenas, functions -------------------------------------------------------------------------------- */

static weft_exit in_scope(weft_scope *s, void *arg) {
    defer(s);
    for (size_t n = 16; n < 20000; n *= 3) {
        char *p = weft_alloc(s, n);
        if (!p) CHECK(refusing());
        if (p) memset(p, 1, n);
    }
    CHECK(weft_alloc(s, SIZE_MAX) == NULL);
    for (int i = 0; i < 20; i++) FINE(weft_start(s, naps, 1)); /* their inputs fill the arena */
    weft_exit e = weft_sleep(weft_ms(1));
    if (!weft_ok(e)) return e;
    return *(int *)arg ? weft_fail(320, "as asked") : e;
}

static int runs(int fail);
WEFT_TASK(runs, int, int);
static int runs(int fail) {
    const weft_scope_options o = {.policy = WEFT_COLLECT};
    weft_exit e = weft_scope_run(fail ? &o : NULL, in_scope, &fail);
    ends_with(e, 320);
    return fail;
}
static void scope_run(void) {
    for (int fail = 0; fail < 2; fail++) {
        runs_fiber f;
        if (!FINE(weft_spawn(&f, runs, fail))) continue;
        ends_with(UNTIL_ENDED(f, runs, NULL), 320);
        CHECK_EQ(weft_drop(f), WEFT_OK);
    }
}

/* Scopes in scopes: failures with texts of their own come up, are kept on the way, and come together. */
static int deep(int depth);
WEFT_TASK(deep, int, int);
static int deep(int depth) {
    weft_exit e;
    char text[2048];
    WEFT_SCOPE(s, &e, .policy = depth & 1 ? WEFT_COLLECT : WEFT_FAIL_FAST) {
        defer(s);
        if (depth > 0) {
            deep_fiber f;
            FINE(weft_start(s, deep, depth - 1));
            if (FINE(weft_spawn(&f, deep, depth - 1))) {
                weft_exit x = weft_await(f, deep, NULL);
                if (weft_ok(weft_exit_keep(x))) weft_exit_drop(x);
            }
        }
        FINE(weft_start(s, naps, 1));
        if (depth == 0) weft_failf(340, "at depth %d", depth);
        weft_exit_render(weft_timeout(weft_ms(1), sleeps, &depth), text, sizeof text);
    }
    if (!weft_ok(e)) weft_exit_render(e, text, sizeof text);
    if (!weft_ok(e) && e.tag == WEFT_EXIT_FAIL) weft__expect(e);
    return depth;
}
static void deep_scopes(void) {
    deep_fiber f;
    if (!FINE(weft_spawn(&f, deep, 2))) return;
    ends_with(UNTIL_ENDED(f, deep, NULL), 340);
    CHECK_EQ(weft_drop(f), WEFT_OK);
}

/* One is detached from the scope, and outlives it. */
static void detached(void) {
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        naps_fiber f[3];
        for (int i = 0; i < 3; i++) {
            if (!FINE(weft_spawn(&f[i], naps, 5))) continue;
            for (int k = 0; k < i; k++) FINE(weft_yield());
            CHECK_EQ(weft_detach(f[i]), WEFT_OK);
        }
    }
    FINE(e);
}

/* Started, spawned, deferred too late. */
static weft_exit late_spawn(void *arg) {
    weft_scope *s = arg;
    FAILS(weft_spawn_with((naps_fiber *)NULL, naps, {.scope = s}, 1), WEFT_E_ENDED);
    void *p;
    FAILS(weft_acquire(s, takes, NULL, gives_back, 0, &p), WEFT_E_ENDED);
    void *q = take();
    atomic_fetch_add(&even.deferred, 1);
    CHECK_EQ(weft_defer(s, gives_back, q, 0), WEFT_OK);
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}
static void too_late(void) {
    weft_exit e;
    weft_scope over;
    weft_scope *s = weft__scope_enter(&over, &e, (weft_scope_options){.name = "over"});
    if (FINE_ERR(weft_defer(s, late_spawn, s, 0))) {}
    weft__scope_end(s);
    FINE(e);
    FAILS(weft_start(&over, naps, 1), WEFT_E_ENDED);
}

const scenario scope_scenarios[] = {
    {"plain", plain, NULL},           {"policies", policies, NULL},     {"cancelled", cancelled, NULL},
    {"from_elsewhere", from_elsewhere, NULL}, {"left_early", left_early, NULL}, {"deadlines", deadlines, NULL},
    {"bad_scopes", bad_scopes, NULL}, {"timeouts", timeouts, NULL},     {"shields", shields, NULL},
    {"finalizers", finalizers, NULL}, {"finalizers_fail", finalizers_fail, NULL}, {"scope_run", scope_run, NULL},
    {"deep_scopes", deep_scopes, NULL}, {"detached", detached, NULL}, {"too_late", too_late, NULL},     {NULL, NULL, NULL},
};
