/* What became of fibers: awaits of what was interrupted, failures that nobody looks at; priorities across waits.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/cancel_fibers.h"

/* ---- awaiting ------------------------------------------------------------------------------------------- */

static int awaits_sleeper(int n);
WEFT_TASK(awaits_sleeper, int, int);
static weft_handle awaited;
static int awaits_sleeper(int n) {
    weft_exit e = weft_await((sleeper_fiber){awaited}, sleeper, NULL);
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(e.code, WEFT_E_CANCELLED);
    CHECK(weft_ok(weft_checkpoint()));
    CHECK(weft_ok(weft_sleep(weft_s(1)))); /* not interrupted */
    return n;
}
static void many_awaiters(void *arg) {
    (void)arg;
    sleeper_fiber f;
    awaits_sleeper_fiber w[5];
    CHECK(weft_ok(weft_spawn(&f, sleeper, weft_s(100))));
    awaited = f.handle;
    for (int i = 0; i < 5; i++) CHECK(weft_ok(weft_spawn(&w[i], awaits_sleeper, i)));
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK(weft_ok(weft_interrupt(f, NULL)));
    for (int i = 0; i < 5; i++) {
        int got;
        CHECK(weft_ok(weft_await(w[i], awaits_sleeper, &got)));
        CHECK_EQ(got, i);
        weft_drop(w[i]);
    }
    weft_drop(f);
}
TEST(awaiters_of_a_cancelled_fiber_are_told_and_not_cancelled) { on_clock(WEFT_CLOCK_AUTO, many_awaiters); }

static int expects_sleeper(int n);
WEFT_TASK(expects_sleeper, int, int);
static int expects_sleeper(int n) {
    sleeper_fiber f;
    CHECK(weft_ok(weft_spawn(&f, sleeper, weft_s(10))));
    weft_exit e = weft_expect(f, sleeper, NULL);
    CHECK(interrupted(e));
    weft_drop(f);
    return n;
}
static void expecting(void *arg) {
    (void)arg;
    expects_sleeper_fiber f;
    CHECK(weft_ok(weft_spawn(&f, expects_sleeper, 1)));
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK(weft_ok(weft_interrupt(f, NULL)));
    weft_exit e = weft_await(f, expects_sleeper, NULL);
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(e.code, WEFT_E_CANCELLED); /* not: the awaiter is interrupted */
    weft_drop(f);
}
TEST(a_fiber_interrupted_while_it_expects_is_cancelled_for_its_awaiters) { on_clock(WEFT_CLOCK_AUTO, expecting); }

/* A awaits B awaits C, none of them started before the await. */
typedef enum last { C_SLEEPS, C_CHECKS, C_YIELDS } last;
static _Atomic int at_it, chain_over;
static int chain_c(last how);
WEFT_TASK(chain_c, int, last);
static int chain_c(last how) {
    at_it = 1;
    if (how == C_SLEEPS) weft_sleep(weft_s(50));
    /* computes until A has ended; whoever is woken here runs on another worker, or when this one yields */
    for (int i = 0; how == C_CHECKS && i < 100000; i++) CHECK(weft_ok(weft_checkpoint()));
    while (how == C_YIELDS && !chain_over) CHECK(weft_ok(weft_yield()));
    return 3;
}
static int chain_b(last how);
WEFT_TASK(chain_b, int, last);
static int chain_b(last how) {
    chain_c_fiber c;
    CHECK(weft_ok(weft_spawn(&c, chain_c, how)));
    weft_exit e = weft_await(c, chain_c, NULL);
    weft_drop(c);
    CHECK(weft_ok(e));
    return 2;
}
static int chain_a(last how);
WEFT_TASK(chain_a, int, last);
static int chain_a(last how) {
    chain_b_fiber b;
    CHECK(weft_ok(weft_spawn(&b, chain_b, how)));
    weft_exit e = weft_await(b, chain_b, NULL);
    weft_drop(b);
    CHECK(interrupted(e) || (weft_ok(e) && how == C_CHECKS));
    chain_over = 1;
    return weft_ok(e) ? 1 : 0;
}
static void chains(void *arg) {
    last how = *(last *)arg;
    chain_a_fiber a;
    chain_over = at_it = 0;
    CHECK(weft_ok(weft_spawn(&a, chain_a, how)));
    if (how == C_SLEEPS) CHECK(weft_ok(weft_sleep(weft_s(1))));
    else while (!at_it) weft_yield();
    CHECK(weft_ok(weft_interrupt(a, "the first of three")));
    if (how != C_CHECKS) CHECK(chain_over);
    if (how == C_SLEEPS) CHECK_EQ(weft_now(), weft_s(1));
    weft_drop(a);
}
TEST(in_a_chain_of_awaits_the_first_is_interrupted_while_the_last_goes_on) {
    for (last how = C_SLEEPS; how <= C_YIELDS; how++)
        for (unsigned n = 1; n <= 2; n++)
            for (int i = 0; i < 20; i++)
                run_ends(&WEFT_OPTIONS(.workers = n, .clock = WEFT_CLOCK_AUTO), chains, &how, WEFT_OK);
}

static void timed(void *arg) {
    (void)arg;
    sleeper_fiber f;
    int got = 0;
    CHECK(weft_ok(weft_spawn(&f, sleeper, weft_s(3))));
    CHECK(!weft_is_done(f));
    CHECK_EQ(weft_await_for(f, sleeper, &got, -1).code, WEFT_E_INVALID);
    CHECK_EQ(weft_await_for(f, sleeper, &got, 0).code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_await_for(f, sleeper, &got, weft_s(1)).code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_now(), weft_s(1));
    CHECK_EQ(weft_await_until(f, sleeper, &got, weft_s(2)).code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_await_until(f, sleeper, &got, weft_s(1)).code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_now(), weft_s(2));
    CHECK(!weft_is_done(f));
    CHECK(weft_ok(weft_await_for(f, sleeper, &got, weft_s(5))));
    CHECK_EQ(got, 7);
    CHECK_EQ(weft_now(), weft_s(3));
    CHECK(weft_is_done(f));
    CHECK(weft_ok(weft_await_for(f, sleeper, &got, WEFT_FOREVER)));
    CHECK(weft_ok(weft_await_until(f, sleeper, &got, 0)));
    weft_drop(f);
    CHECK(!weft_is_done(f));
    CHECK_EQ(weft_await_for(f, sleeper, &got, 1).code, WEFT_E_STALE);
    CHECK_EQ(pending(), 0);
}
TEST(a_timed_await_gives_up_in_time_and_the_fiber_goes_on) { on_clock(WEFT_CLOCK_AUTO, timed); }

static void promise_outcomes(void *arg) {
    (void)arg;
    weft_promise p = WEFT_PROMISE;
    void *v = NULL;
    CHECK_EQ(weft_promise_await_for(&p, &v, weft_s(1)).code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_promise_await_for(&p, &v, -1).code, WEFT_E_INVALID);
    CHECK(!weft_promise_is_done(&p));
    CHECK_EQ(weft_promise_complete(&p, &p), WEFT_OK);
    CHECK_EQ(weft_promise_complete(&p, NULL), WEFT_E_TWICE);
    CHECK(weft_promise_is_done(&p));
    CHECK(weft_ok(weft_promise_await(&p, &v)));
    CHECK(v == &p);
    CHECK(weft_ok(weft_promise_await_until(&p, &v, 0)));
    weft_promise q = WEFT_PROMISE;
    CHECK_EQ(weft_promise_fail(&q, fine), WEFT_E_INVALID);
    CHECK_EQ(weft_promise_fail(&q, (weft_exit){WEFT_EXIT_FAIL, 300, NULL}), WEFT_OK);
    CHECK_EQ(weft_promise_await(&q, NULL).code, 300);
    weft_promise_drop(&q);
    weft_promise r = WEFT_PROMISE;
    weft_promise_drop(&r);
    CHECK_EQ(weft_promise_await(&r, NULL).code, WEFT_E_BROKEN);
}
TEST(a_promise_is_completed_once) { on_clock(WEFT_CLOCK_AUTO, promise_outcomes); }

/* ---- failures nobody looks at --------------------------------------------------------------------------- */

static _Atomic int told;
static char told_name[32];
static void hook(void *arg, weft_exit e, const char *name) {
    CHECK(arg == &told);
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, 300);
    CHECK(strstr(e.cause->text, "nobody looks"));
    snprintf(told_name, sizeof told_name, "%s", name);
    atomic_fetch_add(&told, 1);
}
static int fails(weft_duration after);
WEFT_TASK(fails, int, weft_duration);
static int fails(weft_duration after) {
    if (after) weft_sleep(after);
    weft_failf(300, "nobody looks %d", 1);
    return 0;
}
static void unobserved(void *arg) {
    (void)arg;
    fails_fiber f;
    told = 0;
    CHECK(weft_ok(weft_spawn((fails_fiber *)NULL, fails, 0)));
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK_EQ(told, 1);
    CHECK(!strcmp(told_name, "fails"));
    CHECK(weft_ok(weft_spawn(&f, fails, 0)));
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK_EQ(told, 1);
    weft_drop(f); /* ended, never looked at */
    CHECK_EQ(told, 2);
    CHECK(weft_ok(weft_spawn(&f, fails, weft_s(1))));
    weft_drop(f); /* before it fails */
    CHECK(weft_ok(weft_sleep(weft_s(2))));
    CHECK_EQ(told, 3);
    CHECK(weft_ok(weft_spawn(&f, fails, 0)));
    CHECK_EQ(weft_await(f, fails, NULL).code, 300);
    weft_drop(f);
    CHECK_EQ(told, 3);
    CHECK(weft_ok(weft_spawn(&f, fails, 0)));
    CHECK_EQ(weft_await_for(f, fails, NULL, weft_s(1)).code, 300);
    weft_drop(f);
    CHECK_EQ(told, 3);
    sleeper_fiber s; /* an interrupt is no failure */
    CHECK(weft_ok(weft_spawn(&s, sleeper, weft_s(9))));
    weft_sleep(1);
    weft_interrupt_async(s, NULL);
    weft_drop(s);
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK_EQ(told, 3);
}
static void unobserved_in_scope(void *arg) {
    (void)arg;
    weft_exit e;
    told = 0;
    WEFT_SCOPE(s, &e, .policy = WEFT_COLLECT) {
        CHECK(weft_ok(weft_spawn((fails_fiber *)NULL, fails, 0)));
        fails_fiber f;
        CHECK(weft_ok(weft_spawn(&f, fails, 0)));
        WEFT_SCOPE(t, NULL) weft_start(s, fails, 0);
    }
    CHECK_EQ(e.code, 300); /* the scope says it: somebody was told */
    CHECK_EQ(told, 0);
}
static void with_hook(void (*body)(void *)) {
    for (unsigned n = 1; n <= 2; n++)
        run_ends(&WEFT_OPTIONS(.workers = n, .clock = WEFT_CLOCK_AUTO, .on_unobserved = hook, .hook_arg = &told), body, NULL,
                 WEFT_OK);
}
TEST(a_failure_that_nobody_looks_at_is_told_once) { with_hook(unobserved); }
TEST(a_failure_that_a_scope_reports_was_looked_at) { with_hook(unobserved_in_scope); }

/* ---- priorities ----------------------------------------------------------------------------------------- */

static char order[64];
static _Atomic int order_n;
static int prioritised(int letter);
WEFT_TASK(prioritised, int, int);
static weft_promise start_signal;
static int prioritised(int letter) {
    weft_promise_await(&start_signal, NULL);
    order[order_n++] = (char)letter;
    weft_yield();
    order[order_n++] = (char)(letter - 'a' + 'A');
    weft_sleep(weft_s(1));
    return 0;
}
static void priorities(void *arg) {
    (void)arg;
    static const weft_priority p[] = {WEFT_PRIORITY_LOW, WEFT_PRIORITY_NORMAL, WEFT_PRIORITY_HIGH};
    memset(order, 0, sizeof order);
    order_n = 0;
    weft_promise_init(&start_signal);
    WEFT_SCOPE(s, NULL) {
        for (int i = 0; i < 6; i++) {
            weft_exit e = weft_spawn_with((prioritised_fiber *)NULL, prioritised, {.priority = p[i % 3]}, "lnhmoi"[i]);
            CHECK(weft_ok(e));
        }
        CHECK(weft_ok(weft_sleep(weft_s(1))));
        CHECK_EQ(order_n, 0);
        weft_promise_complete(&start_signal, NULL);
    }
    CHECK_EQ(strlen(order), 12);
    if (strcmp(order, "hiHInoNOlmLM")) fprintf(stderr, "    %s\n", order);
    int low_early = 0; /* at one in so many turns the low ones come first */
    for (int i = 0; i < 8; i++) low_early += strchr("lmLM", order[i]) != NULL;
    CHECK(low_early <= 1);
    for (int i = 5; i < 12; i++) CHECK(!strchr("hiHI", order[i]));
}
TEST(priorities_are_kept_across_waits) { run_ends(&WEFT_OPTIONS(.workers = 1, .clock = WEFT_CLOCK_AUTO), priorities, NULL, WEFT_OK); }

TEST_MAIN
