/* Scenarios: handlers of every kind, and children below them.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fault/driver.h"
#include <weft/continuation.h>
#include <weft/handler.h>
#include <weft/par.h>

WEFT_EFFECT(number, long);
WEFT_EFFECT(over, char, long with;);
WEFT_EFFECT(turn, long, long mine;);
WEFT_EFFECT(nobodys, char);

static weft_exit on_number(const number_op *op, long *reply, void *self) {
    (void)op;
    *reply = *(long *)self;
    return weft_checkpoint();
}
static weft_exit hands_on(const number_op *op, long *reply, void *self) { return (void)op, (void)reply, (void)self, weft_pass; }
static weft_exit on_over(const over_op *op, void *answer, void *self) {
    (void)self;
    *(long *)answer = op->with;
    return weft_done;
}
static weft_exit sees(const weft_effect *effect, const void *payload, const weft_place *at, void *self) {
    (void)effect, (void)payload, (void)at;
    return ++*(int *)self, (weft_exit){WEFT_EXIT_OK, 0, NULL};
}

/* ---- tail and abort clauses ----------------------------------------------------------------------------- */

static long asks(int ms);
WEFT_TASK(asks, long, int);
static long asks(int ms) {
    long n = -1;
    void *p = take();
    weft_exit e = ms ? weft_sleep(weft_ms(ms)) : (weft_exit){WEFT_EXIT_OK, 0, NULL};
    if (weft_ok(e)) e = weft_perform(number, &n);
    give(p);
    if (weft_ok(e)) return n;
    if (e.tag != WEFT_EXIT_INTERRUPT) FINE(e);
    return -1;
}
static long ends(long with);
WEFT_TASK(ends, long, long);
static long ends(long with) {
    void *p = take();
    weft_exit e = weft_perform(over, NULL, with);
    CHECK(e.tag == WEFT_EXIT_INTERRUPT);
    give(p);
    return -1;
}

static void plain(void) {
    long n = 5, got = 0;
    int seen = 0;
    weft_handler h[] = {WEFT_HANDLER(&n, WEFT_TAIL(number, on_number)), WEFT_HANDLER(NULL, WEFT_TAIL(number, hands_on)),
                        WEFT_OBSERVER(sees, &seen)};
    if (FINE(weft_handle(h, asks, &got, 0)) && !stopping()) CHECK_EQ(got, 5);
    if (FINE(weft_handle_list(h, 2, asks, &got, 0)) && !stopping()) CHECK_EQ(got, 5);
    if (FINE(weft_handle_list(h, 3, asks, &got, 1)) && !stopping()) CHECK(got == 5 && seen > 0);
    weft_handler over_it = WEFT_HANDLER(NULL, WEFT_ABORT(over, on_over));
    if (FINE(weft_handle(&over_it, ends, &got, 7))) CHECK_EQ(got, 7);
    weft_exit e = weft_perform(nobodys, NULL);
    CHECK(e.tag == WEFT_EXIT_DIE && e.code == WEFT_E_UNHANDLED);
    FAILS(weft_handle(&(weft_handler){.n = 1}, asks, &got, 0), WEFT_E_INVALID);
}

/* ---- children ------------------------------------------------------------------------------------------- */

static long has_children(int ms);
WEFT_TASK(has_children, long, int);
static long has_children(int ms) {
    long a = 0, b = 0;
    asks_task t;
    asks_fiber f;
    weft_exit e;
    weft_fork(&t, asks, ms);
    FINE(weft_zip_par(WEFT_BR(asks, &a, ms), WEFT_BR(asks, &b, 0)));
    weft_join(&t, asks);
    WEFT_SCOPE(s, &e) {
        FINE(weft_start(s, asks, 1));
        if (FINE(weft_spawn(&f, asks, 1))) FINE(UNTIL_ENDED(f, asks, &a));
    }
    FINE(e);
    return a;
}
static long ended_by_children(int n);
WEFT_TASK(ended_by_children, long, int);
static long ended_by_children(int n) {
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        if (!weft_ok(weft_spawn((ends_fiber *)NULL, ends, n))) FINE(weft_start(s, ends, n));
        while (weft_ok(weft_sleep(weft_s(1))) && !stopping() && !refusing()) {}
    }
    return -2;
}
static void shared(void) {
    static long n = 6;
    long got = 0;
    weft_handler h[] = {WEFT_SHARED_HANDLER(&n, WEFT_TAIL(number, on_number)), WEFT_HANDLER(NULL, WEFT_TAIL(number, hands_on))};
    FINE(weft_handle(h, has_children, &got, 0));
    FINE(weft_handle_list(h, 2, has_children, &got, 1));
    weft_handler over_it = WEFT_SHARED_HANDLER(NULL, WEFT_ABORT(over, on_over));
    if (FINE(weft_handle(&over_it, ended_by_children, &got, 8))) CHECK(got == 8 || got == -2);
}

/* ---- continuations -------------------------------------------------------------------------------------- */

static long takes_turns(long turns);
WEFT_TASK(takes_turns, long, long);
static long takes_turns(long turns) {
    long sum = 0, r = 0;
    void *p = take();
    for (long i = 0; i < turns; i++) {
        weft_exit e = weft_perform(turn, &r, i);
        if (!weft_ok(e)) break;
        sum += r;
    }
    give(p);
    return sum;
}
static weft_exit goes_on(weft_k k, const turn_op *op, void *answer, void *self) {
    (void)self;
    return weft_resume(k, turn, op->mine, answer);
}
static weft_exit moves_on(weft_k k, const turn_op *op, void *answer, void *self) {
    (void)answer, (void)self;
    return weft_transfer(k, turn, op->mine);
}
static weft_exit keeps(weft_k k, const turn_op *op, void *answer, void *self) {
    (void)op, (void)answer;
    *(weft_k *)self = weft_keep(k);
    return weft_done;
}
static weft_exit forgets(weft_k k, const turn_op *op, void *answer, void *self) {
    (void)k, (void)op, (void)answer, (void)self;
    return weft_done;
}

static void continuations(void) {
    long got = 0;
    weft_k kept = {NULL, 0};
    weft_handler nested = WEFT_HANDLER(NULL, WEFT_ONESHOT(turn, goes_on)),
                 flat = WEFT_HANDLER(NULL, WEFT_ONESHOT(turn, moves_on)),
                 later = WEFT_HANDLER(&kept, WEFT_ONESHOT(turn, keeps)),
                 never = WEFT_HANDLER(NULL, WEFT_ONESHOT(turn, forgets));
    if (FINE(weft_handle(&nested, takes_turns, &got, 4))) CHECK_EQ(got, 6);
    if (FINE(weft_handle(&flat, takes_turns, &got, 4))) CHECK_EQ(got, 6);
    FINE(weft_handle(&never, takes_turns, &got, 4));
    for (int discontinued = 0; discontinued < 2; discontinued++) {
        kept = (weft_k){NULL, 0};
        FINE(weft_handle(&later, takes_turns, &got, 3));
        for (int i = 0; kept.body && weft_k_is_open(kept); i++) {
            weft_k k = kept;
            weft_exit e = discontinued && i
                              ? weft_discontinue(k, (weft_exit){WEFT_EXIT_INTERRUPT, WEFT_E_CANCELLED, NULL}, &got)
                              : weft_resume(k, turn, 10, &got);
            if (e.tag != WEFT_EXIT_INTERRUPT) FINE(e);
        }
    }
}

const scenario handler_scenarios[] = {
    {"handlers", plain, NULL}, {"handlers_shared", shared, NULL}, {"continuations", continuations, NULL}, {NULL, NULL, NULL},
};
