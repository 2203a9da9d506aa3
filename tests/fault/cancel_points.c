/* Scenarios: interrupts, grace, masks, shields, rings of those who wait for each other's ends.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fault/driver.h"

/* Takes something, waits until it is told to stop, gives it back. */
static int serves(int n);
WEFT_TASK(serves, int, int);
static int serves(int n) {
    void *p = take();
    while (weft_ok(weft_sleep(weft_s(1)))) {}
    CHECK(weft_stopping() && !weft_ok(weft_checkpoint()));
    give(p);
    return n;
}

/* Asked to stop, it is done when that says so, whoever of us was stopped as well. */
static void stop(serves_fiber f) {
    weft_exit e = weft_interrupt(f, "enough");
    if (weft_ok(e))
        CHECK(weft_is_done(f));
    else
        FINE(e);
    UNTIL_ENDED(f, serves, NULL);
    CHECK_EQ(weft_drop(f), WEFT_OK);
}

static void interrupts(void) {
    serves_fiber f[3];
    for (int i = 0; i < 3; i++) FINE(weft_spawn(&f[i], serves, i));
    FINE(weft_yield());
    for (int i = 0; i < 3; i++)
        if (i == 1 && f[i].handle.fiber) CHECK(weft_ok(weft_interrupt_async(f[i], "first")));
    for (int i = 0; i < 3; i++)
        if (f[i].handle.fiber) stop(f[i]);
}

/* Interrupted before it starts, it never does. */
static void unstarted(void) {
    serves_fiber f;
    if (!FINE(weft_spawn(&f, serves, 1))) return;
    CHECK(weft_ok(weft_interrupt_async(f, NULL)));
    weft_exit e = UNTIL_ENDED(f, serves, NULL);
    CHECK(e.tag == WEFT_EXIT_INTERRUPT && e.code == WEFT_E_CANCELLED);
    CHECK_EQ(weft_fiber_status(f.handle), WEFT_STATUS_CANCELLED);
    CHECK_EQ(weft_drop(f), WEFT_OK);
}

static int until_stopping(int n);
WEFT_TASK(until_stopping, int, int);
static int until_stopping(int n) {
    while (!weft_stopping())
        if (!weft_ok(weft_sleep(weft_ms(1)))) break;
    return n;
}
static void grace(void) {
    until_stopping_fiber soft;
    serves_fiber hard;
    if (FINE(weft_spawn(&soft, until_stopping, 1))) {
        if (!FINE_ERR(weft_interrupt_grace(soft, "softly", weft_s(5)))) FINE(weft_interrupt(soft, "then so"));
        UNTIL_ENDED(soft, until_stopping, NULL);
        CHECK_EQ(weft_drop(soft), WEFT_OK);
    }
    if (FINE(weft_spawn(&hard, serves, 1))) {
        FINE(weft_yield());
        if (!FINE_ERR(weft_interrupt_grace(hard, "softly", weft_ms(5)))) CHECK(weft_ok(weft_interrupt_async(hard, "so")));
        CHECK_EQ(weft_interrupt_grace(hard, "", -1), WEFT_E_INVALID);
        UNTIL_ENDED(hard, serves, NULL);
        CHECK_EQ(weft_drop(hard), WEFT_OK);
    }
}

/* Under the mask nothing is noticed; where it is restored, and after it, all is. */
static int masked(int n);
WEFT_TASK(masked, int, int);
static int masked(int n) {
    weft_mask m, r;
    weft_mask_begin(&m);
    void *p = take();
    for (int i = 0; i < 2; i++) CHECK(weft_ok(weft_sleep(weft_ms(1))) && weft_ok(weft_yield()) && weft_ok(weft_checkpoint()));
    CHECK_EQ(weft_mask_restore(&r, &m), WEFT_OK);
    bool noticed = !weft_ok(weft_sleep(weft_ms(1)));
    CHECK_EQ(weft_mask_end(&m), WEFT_E_UNBALANCED);
    CHECK_EQ(weft_mask_end(&r), WEFT_OK);
    CHECK(weft_ok(weft_checkpoint()));
    give(p);
    CHECK_EQ(weft_mask_end(&m), WEFT_OK);
    if (noticed) CHECK(!weft_ok(weft_checkpoint()));
    return n;
}
static void masks(void) {
    for (int i = 0; i < 3; i++) {
        masked_fiber f;
        if (!FINE(weft_spawn(&f, masked, i))) continue;
        for (int k = 0; k < i; k++) FINE(weft_sleep(weft_us(700)));
        weft_exit e = weft_interrupt(f, "masked or not");
        if (!weft_ok(e)) FINE(e);
        UNTIL_ENDED(f, masked, NULL);
        CHECK_EQ(weft_drop(f), WEFT_OK);
    }
}

/* Two that interrupt each other, and wait, masked or not. */
typedef struct ring {
    struct duel *d;
    int me;
} ring;
typedef struct duel {
    weft_promise begin;
    weft_handle of[2];
    bool masked;
} duel;
static int duels(ring r);
WEFT_TASK(duels, int, ring);
static int duels(ring r) {
    weft_mask m;
    if (r.d->masked) weft_mask_begin(&m);
    weft_exit e = weft_promise_await(&r.d->begin, NULL);
    if (weft_ok(e) && r.d->of[1 - r.me].fiber) {
        duels_fiber other = {r.d->of[1 - r.me]};
        e = weft_interrupt(other, "you or me");
        CHECK(weft_ok(e) || e.tag == WEFT_EXIT_INTERRUPT || (e.tag == WEFT_EXIT_FAIL && e.code == WEFT_E_INSIDE));
    }
    if (r.d->masked) weft_mask_end(&m);
    return r.me;
}
static void duelling(bool masked) {
    duel d = {WEFT_PROMISE, {{NULL, 0}, {NULL, 0}}, masked};
    duels_fiber f[2];
    for (int i = 0; i < 2; i++) {
        FINE(weft_spawn(&f[i], duels, &d, i));
        d.of[i] = f[i].handle;
    }
    CHECK_EQ(weft_promise_complete(&d.begin, NULL), WEFT_OK);
    for (int i = 0; i < 2; i++)
        if (f[i].handle.fiber) UNTIL_ENDED(f[i], duels, NULL);
    for (int i = 0; i < 2; i++)
        if (f[i].handle.fiber) CHECK_EQ(weft_drop(f[i]), WEFT_OK);
}
static void rings(void) {
    duelling(false);
    duelling(true);
}

/* Asked to stop while forked children of it run and wait. */
static int strand(int n);
WEFT_TASK(strand, int, int);
static int strand(int n) {
    void *p = take();
    bool on = weft_ok(weft_sleep(weft_ms(n)));
    give(p);
    return on;
}
static int forked(int n);
WEFT_TASK(forked, int, int);
static int forked(int n) {
    strand_task a, b;
    weft_fork(&a, strand, n);
    weft_fork(&b, strand, n + 1);
    weft_exit e = weft_sleep(weft_ms(n));
    int sum = weft_join(&b, strand);
    sum += weft_join(&a, strand);
    return weft_ok(e) ? sum : -1;
}
static void strands(void) {
    forked_fiber f;
    if (!FINE(weft_spawn(&f, forked, 2))) return;
    FINE(weft_sleep(weft_ms(1)));
    CHECK(weft_ok(weft_interrupt_async(f, "all of it")));
    UNTIL_ENDED(f, forked, NULL);
    CHECK_EQ(weft_drop(f), WEFT_OK);
}

const scenario cancel_scenarios[] = {
    {"interrupts", interrupts, NULL}, {"unstarted", unstarted, NULL}, {"grace", grace, NULL}, {"masks", masks, NULL},
    {"rings", rings, NULL},           {"strands", strands, NULL},     {NULL, NULL, NULL},
};
