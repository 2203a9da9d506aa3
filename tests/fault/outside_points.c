/* Scenarios of plain threads: opening, calling, closing, shutting down, manual clocks, limits, deadlocks.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fault/driver.h"

static bool opened(const weft_options *o, weft_runtime **rt) {
    bool ok = FINE_ERR(weft_open(o, rt));
    CHECK(ok == (*rt != NULL));
    return ok;
}

static int naps(int ms);
WEFT_TASK(naps, int, int);
static int naps(int ms) {
    void *p = take();
    weft_exit e = weft_sleep(weft_ms(ms));
    if (e.tag != WEFT_EXIT_INTERRUPT) FINE(e); /* one is interrupted */
    give(p);
    return ms;
}
static int serves(int n);
WEFT_TASK(serves, int, int);
static int serves(int n) {
    void *p = take();
    while (weft_ok(weft_sleep(weft_s(3600)))) {}
    give(p);
    return n;
}

/* ---- from open to close -------------------------------------------------------------------------------- */

static void counts(void *arg) { ++*(int *)arg; }

static void lifecycle(unsigned workers) {
    weft_runtime *rt;
    int n = 0;
    if (!opened(&WEFT_OPTIONS(.workers = workers), &rt)) return;
    CHECK(weft_workers(rt) >= 1 && weft_workers(rt) <= workers);
    CHECK_EQ(weft_call(rt, counts, &n), WEFT_OK);
    CHECK_EQ(n, 1);
    weft_stats stats = {.size = sizeof stats};
    CHECK_EQ(weft_runtime_stats(rt, &stats), WEFT_OK);
    CHECK(stats.stacks > 0);
    CHECK_EQ(weft_close(rt), WEFT_OK);
    CHECK_EQ(weft_close(rt), WEFT_E_CLOSED);
    CHECK_EQ(weft_call(rt, counts, &n), WEFT_E_CLOSED);
    CHECK_EQ(weft_workers(rt), 0);
    CHECK(strlen(weft_version()) > 0 && strlen(weft_err_text(WEFT_E_CLOSED)) > 0);
}

static void defaults(unsigned workers) {
    int n = 0;
    (void)workers;
    if (FINE_ERR(weft_run(NULL, counts, &n))) CHECK_EQ(n, 1);
    if (FINE_ERR(weft_run(&WEFT_OPTIONS(.workers = 1, .stack_bytes = 1 << 20, .pin = true), counts, &n))) CHECK(n > 0);
    CHECK_EQ(weft_run(&(weft_options){.size = 1}, counts, &n), WEFT_E_SIZE);
    CHECK_EQ(weft_run(NULL, NULL, NULL), WEFT_E_INVALID);
}

/* Fibers of a plain thread. */
static void from_threads(unsigned workers) {
    weft_runtime *rt;
    naps_fiber f[3];
    if (!opened(&WEFT_OPTIONS(.workers = workers), &rt)) return;
    for (int i = 0; i < 3; i++) FINE(weft_spawn_with(&f[i], naps, {.runtime = rt}, i));
    for (int i = 0; i < 3; i++) {
        int got = i;
        if (!f[i].handle.fiber) continue;
        if (i == 2) FINE(weft_interrupt(f[i], "from outside") );
        weft_exit e = weft_await(f[i], naps, &got);
        CHECK(weft_is_done(f[i]));
        if (i < 2 && FINE(e)) CHECK_EQ(got, i);
        weft_exit_drop(e);
        CHECK_EQ(weft_drop(f[i]), WEFT_OK);
    }
    serves_fiber s;
    if (FINE(weft_spawn_with(&s, serves, {.runtime = rt}, 1))) {
        FAILS(weft_await_for(s, serves, NULL, weft_us(10)), WEFT_E_TIMEOUT);
        if (!FINE_ERR(weft_interrupt_grace(s, "soon", 1))) CHECK(weft_ok(weft_interrupt_async(s, "now")));
        weft_exit_drop(weft_await(s, serves, NULL));
        CHECK_EQ(weft_drop(s), WEFT_OK);
    }
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

/* A promise that a thread completes. */
static void external(unsigned workers) {
    weft_runtime *rt;
    weft_promise p;
    if (!opened(&WEFT_OPTIONS(.workers = workers, .clock = WEFT_CLOCK_AUTO), &rt)) return;
    CHECK_EQ(weft_promise_external(&p, rt), WEFT_OK);
    naps_fiber f;
    FINE(weft_spawn_with(&f, naps, {.runtime = rt}, 1));
    CHECK_EQ(weft_promise_complete(&p, &p), WEFT_OK);
    void *value = NULL;
    CHECK(weft_ok(weft_promise_await(&p, &value)) && value == &p);
    if (f.handle.fiber) {
        weft_exit_drop(weft_await(f, naps, NULL));
        CHECK_EQ(weft_drop(f), WEFT_OK);
    }
    weft_promise_drop(&p);
    CHECK_EQ(weft_close(rt), WEFT_OK);
    CHECK_EQ(weft_promise_external(&p, rt), WEFT_E_CLOSED);
}

/* ---- two runtimes ------------------------------------------------------------------------------------- */

typedef struct abroad_of {
    serves_fiber f;
} abroad_of;
static int awaits_abroad(abroad_of a);
WEFT_TASK(awaits_abroad, int, abroad_of);
static int awaits_abroad(abroad_of a) {
    serves_fiber f = a.f;
    weft_exit e = weft_await_for(f, serves, NULL, weft_ms(1));
    if (e.code != WEFT_E_TIMEOUT && e.tag != WEFT_EXIT_INTERRUPT) FINE(e);
    e = weft_interrupt(f, "from another runtime");
    if (!weft_ok(e) && e.tag != WEFT_EXIT_INTERRUPT) FINE(e);
    return 1;
}
static void abroad(unsigned workers) {
    weft_runtime *here, *there;
    if (!opened(&WEFT_OPTIONS(.workers = workers), &here)) return;
    if (opened(&WEFT_OPTIONS(.workers = workers), &there)) {
        serves_fiber s;
        awaits_abroad_fiber a[2];
        if (FINE(weft_spawn_with(&s, serves, {.runtime = there}, 1))) {
            for (int i = 0; i < 2; i++) FINE(weft_spawn_with(&a[i], awaits_abroad, {.runtime = here}, s));
            for (int i = 0; i < 2; i++) {
                if (!a[i].handle.fiber) continue;
                weft_exit_drop(weft_await(a[i], awaits_abroad, NULL));
                CHECK_EQ(weft_drop(a[i]), WEFT_OK);
            }
            CHECK(weft_ok(weft_interrupt(s, "at last")));
            CHECK_EQ(weft_drop(s), WEFT_OK);
        }
        CHECK_EQ(weft_close(there), WEFT_OK);
    }
    CHECK_EQ(weft_close(here), WEFT_OK);
}

/* ---- limits ------------------------------------------------------------------------------------------- */

static atomic_int ran;
static int one(int n);
WEFT_TASK(one, int, int);
static int one(int n) {
    atomic_fetch_add(&ran, 1);
    FINE(weft_yield());
    return n;
}
static int spawner(int n);
WEFT_TASK(spawner, int, int);
static int spawner(int n) {
    for (int i = 0; i < n; i++) FINE(weft_spawn((one_fiber *)NULL, one, i));
    return n;
}
static void at_the_limit(void *arg) {
    (void)arg;
    FINE(weft_spawn((spawner_fiber *)NULL, spawner, 4));
    for (int i = 0; i < 4; i++) FINE(weft_spawn((one_fiber *)NULL, one, i));
}
static void limited(unsigned workers) {
    weft_runtime *rt;
    if (!opened(&WEFT_OPTIONS(.workers = workers, .max_fibers = 2), &rt)) return;
    atomic_store(&ran, 0);
    CHECK_EQ(weft_call(rt, at_the_limit, NULL), WEFT_OK);
    for (int i = 0; i < 3; i++) FINE(weft_spawn_with((one_fiber *)NULL, one, {.runtime = rt}, i));
    CHECK_EQ(weft_close(rt), WEFT_OK);
    if (!refusing() && !stopping()) CHECK_EQ(atomic_load(&ran), 11);
}

/* ---- clocks ------------------------------------------------------------------------------------------- */

/* Whoever advances a clock may be told to stop as well. */
static int advances(int n);
WEFT_TASK(advances, int, int);
static int advances(int n) {
    for (int i = 0; i < n; i++) {
        weft_exit e = weft_clock_advance(NULL, weft_ms(2));
        if (e.code != WEFT_E_TWICE) FINE(e);
    }
    return n;
}
static void several_hands(void *arg) {
    (void)arg;
    advances_fiber a[2];
    for (int i = 0; i < 2; i++) FINE(weft_spawn(&a[i], advances, 3));
    FINE(weft_spawn((naps_fiber *)NULL, naps, 3));
    for (int i = 0; i < 10; i++) {
        weft_exit e = weft_clock_advance(NULL, weft_ms(1));
        if (e.code != WEFT_E_TWICE) FINE(e);
        FINE(weft_yield());
    }
    for (int i = 0; i < 2; i++) {
        if (!a[i].handle.fiber) continue;
        FINE(UNTIL_ENDED(a[i], advances, NULL));
        CHECK_EQ(weft_drop(a[i]), WEFT_OK);
    }
}

static void sleeps_by_hand(void *arg) {
    weft_runtime *rt = arg;
    naps_fiber f;
    if (!FINE(weft_spawn(&f, naps, 20))) return;
    FINE(weft_yield());
    CHECK(weft_ok(weft_clock_advance(NULL, weft_ms(5))));
    CHECK_EQ(weft_clock_pending(rt), stopping() ? weft_clock_pending(NULL) : 1);
    CHECK(weft_ok(weft_clock_advance(NULL, weft_ms(30))));
    CHECK_EQ(weft_now(), weft_ms(35));
    CHECK(weft_is_done(f));
    CHECK_EQ(weft_drop(f), WEFT_OK);
}
static void by_hand(unsigned workers) {
    weft_runtime *rt;
    if (!opened(&WEFT_OPTIONS(.workers = workers, .clock = WEFT_CLOCK_MANUAL), &rt)) return;
    CHECK_EQ(weft_call(rt, sleeps_by_hand, rt), WEFT_OK);
    CHECK_EQ(weft_call(rt, several_hands, rt), WEFT_OK);
    FINE(weft_spawn_with((naps_fiber *)NULL, naps, {.runtime = rt}, 3));
    CHECK(weft_ok(weft_clock_advance(rt, weft_ms(10))));
    CHECK_EQ(weft_close(rt), WEFT_OK);
    FAILS(weft_clock_advance(rt, 1), WEFT_E_CLOSED);
}

static void real_time(void *arg) {
    (void)arg;
    naps_fiber f;
    FINE(weft_wall_wait_until(weft_wall_now() + weft_us(100)));
    if (FINE(weft_spawn(&f, naps, 1))) {
        FINE(UNTIL_ENDED(f, naps, NULL));
        CHECK_EQ(weft_drop(f), WEFT_OK);
    }
    CHECK(weft_ok(weft_sleep(weft_us(10))));
}
static void real_clock(unsigned workers) { FINE_ERR(weft_run(&WEFT_OPTIONS(.workers = workers), real_time, NULL)); }

/* ---- the end ------------------------------------------------------------------------------------------ */

static void reports(void *arg, const char *text) {
    CHECK(strlen(text) > 0);
    ++*(int *)arg;
}
static void unobserved(void *arg, weft_exit e, const char *name) {
    CHECK(!weft_ok(e) && name);
    ++*(int *)arg;
}

static int stubborn(weft_promise *p);
WEFT_TASK(stubborn, int, weft_promise *);
static int stubborn(weft_promise *p) {
    weft_mask m;
    weft_mask_begin(&m);
    CHECK(weft_ok(weft_promise_await(p, NULL)));
    weft_mask_end(&m);
    return 1;
}

/* First those go that can be asked, then the one that is masked. */
static void shutdowns(unsigned workers) {
    weft_runtime *rt;
    weft_promise p = WEFT_PROMISE;
    int told = 0;
    size_t left = 0;
    if (!opened(&WEFT_OPTIONS(.workers = workers, .on_report = reports, .hook_arg = &told), &rt)) return;
    for (int i = 0; i < 3; i++) FINE(weft_spawn_with((serves_fiber *)NULL, serves, {.runtime = rt}, i));
    FINE(weft_spawn_with((stubborn_fiber *)NULL, stubborn, {.runtime = rt}, &p));
    weft_err err = weft_shutdown(rt, 0, weft_ms(3), &left);
    CHECK_EQ(weft_shutdown(rt, -1, 0, NULL), err == WEFT_OK ? WEFT_E_INVALID : WEFT_E_INVALID);
    CHECK(err == WEFT_OK || err == WEFT_E_BUSY);
    CHECK_EQ(weft_promise_complete(&p, NULL), WEFT_OK);
    if (err == WEFT_OK) return;
    CHECK(left > 0);
    FAILS(weft_spawn_with((serves_fiber *)NULL, serves, {.runtime = rt}, 1), WEFT_E_CLOSED);
    CHECK_EQ(weft_shutdown(rt, weft_s(10), 0, &left), WEFT_OK);
    CHECK_EQ(left, 0);
}

/* Nobody completes what it awaits. */
static int waits_for_ever(int n);
WEFT_TASK(waits_for_ever, int, int);
static int waits_for_ever(int n) {
    weft_promise p = WEFT_PROMISE;
    void *held = take();
    CHECK(!weft_ok(weft_promise_await(&p, NULL)));
    give(held);
    return n;
}
static void deadlocked(void *arg) {
    waits_for_ever_fiber f;
    (void)arg;
    if (!FINE(weft_spawn(&f, waits_for_ever, 1))) return;
    CHECK(!weft_ok(weft_await(f, waits_for_ever, NULL)));
    weft_drop(f);
}
static void deadlocks(unsigned workers) {
    int told = 0;
    weft_options o = WEFT_OPTIONS(.workers = workers, .clock = WEFT_CLOCK_AUTO, .on_report = reports, .hook_arg = &told);
    weft_err err = weft_run(&o, deadlocked, NULL);
    if (err != WEFT_E_DEADLOCK) CHECK(FINE_ERR(err) ? refusing() || stopping() : true);
}

static int told_nobody(int n);
WEFT_TASK(told_nobody, int, int);
static int told_nobody(int n) {
    weft_failf(300, "number %d", n);
    return n;
}
static void unseen(void *arg) {
    (void)arg;
    for (int i = 0; i < 3; i++) FINE(weft_spawn((told_nobody_fiber *)NULL, told_nobody, i));
}
static void unobserved_failures(unsigned workers) {
    int told = 0;
    weft_options o = WEFT_OPTIONS(.workers = workers, .on_unobserved = unobserved, .hook_arg = &told);
    if (workers > 1) return; /* the hook's count is no atomic */
    if (FINE_ERR(weft_run(&o, unseen, NULL)) && !refusing() && !stopping()) CHECK_EQ(told, 3);
}

/* On a plain thread nothing waits for others, and scopes run their children at once. */
static weft_exit no_op(void *arg) {
    give(arg);
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}
static void no_runtime(unsigned workers) {
    weft_exit e;
    (void)workers;
    WEFT_SCOPE(s, &e) {
        FINE(weft_start(s, naps, 0));
        void *p = take();
        if (!FINE_ERR(weft_defer(s, no_op, p, 0))) give(p);
        for (size_t n = 100; n < 5000; n *= 2)
            if (!weft_alloc(s, n)) CHECK(refusing());
    }
    FINE(e);
    CHECK(weft_ok(weft_yield()) && weft_ok(weft_checkpoint()) && weft_ok(weft_sleep(1)) && !weft_stopping());
    naps_fiber f;
    FAILS(weft_spawn(&f, naps, 1), WEFT_E_INVALID);
    CHECK_EQ(weft_dump_runtime(stderr, NULL), WEFT_E_INVALID);
}

const scenario outside_scenarios[] = {
    {"lifecycle", NULL, lifecycle}, {"defaults", NULL, defaults},     {"from_threads", NULL, from_threads},
    {"external", NULL, external},   {"abroad", NULL, abroad}, {"limited", NULL, limited},       {"by_hand", NULL, by_hand},
    {"real_clock", NULL, real_clock}, {"shutdowns", NULL, shutdowns}, {"deadlocks", NULL, deadlocks},
    {"unobserved", NULL, unobserved_failures}, {"no_runtime", NULL, no_runtime}, {NULL, NULL, NULL},
};
