/* Effects and the environment: values and layers that are in force for an effect, on a fiber and directly on a thread.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/eff_values.h"
#include <weft/eff_env.h>

WEFT_KEY(base, long);
WEFT_KEY(extra, long);

static weft_built of_list(const weft_binding *list, size_t n) { return (weft_built){list, n}; }
#define ASK(key) weft_eff_ask(eff_long, key)
static long of(const long *p) { return p ? *p : 0; }

static long in_sight(int n);
WEFT_TASK(in_sight, long, int);
static long in_sight(int n) {
    weft_yield();
    return of(weft_env(base)) * 100 + of(weft_env(extra)) + n;
}

static bool here;
#define RUN(e, out) (here ? weft_run_here(e, out) : weft_run_effect(e, out))
static void both(void (*body)(void *)) {
    forget();
    here = false;
    on_clock(WEFT_CLOCK_AUTO, body);
    here = true;
    on_clock(WEFT_CLOCK_AUTO, body);
    body(NULL);
}
#define CHECK_LONG(e, value)                                                                 \
    do {                                                                                     \
        long got_ = -1;                                                                      \
        CHECK_OK(RUN(e, &got_));                                                             \
        CHECK_EQ(got_, (value));                                                             \
    } while (0)
#define CHECK_ENDS(e, code_)                                                                 \
    do {                                                                                     \
        weft_exit end_ = RUN(e, NULL);                                                       \
        CHECK(end_.tag == WEFT_EXIT_FAIL);                                                   \
        CHECK_EQ(end_.code, (code_));                                                        \
        weft_exit_drop(end_);                                                                \
    } while (0)

static void locals(void *arg) {
    const weft_binding one[] = {WEFT_BIND(base, 1)}, two[] = {WEFT_BIND(base, 2), WEFT_BIND(extra, 7)};
    weft_built a = of_list(one, 1), b = of_list(two, 2);
    (void)arg;
    CHECK_ENDS(ASK(base), WEFT_E_MISSING);
    CHECK_LONG(weft_eff_local(eff_long, ASK(base), &a), 1);
    CHECK_LONG(weft_eff_local(eff_long, weft_eff_map(eff_long, ASK(base), twice), &b), 4);
    CHECK_LONG(weft_eff_local(eff_long, weft_eff_local(eff_long, ASK(base), &b), &a), 2);
    eff_pair p = weft_eff_zip(eff_pair, weft_eff_map(eff_double, weft_eff_local(eff_long, ASK(base), &b), half), ASK(base));
    pair out;
    CHECK_OK(RUN(weft_eff_provide(eff_pair, p, "local", &((weft_eff_provider){weft__eff_local_enter, weft__eff_local_leave, &a, true})), &out));
    CHECK(out.first == 1.0);
    CHECK_EQ(out.second, 1); /* it holds again after the inner one */
    WEFT_PROVIDE(base, 9) {
        CHECK_LONG(ASK(base), 9);
        CHECK_LONG(weft_eff_local(eff_long, ASK(base), &a), 1);
        CHECK_EQ(in_sight(0), 900);
    }
}
TEST(an_effect_asks_and_values_are_in_force_for_one) { both(locals); }

static void at_once(void *arg) {
    const weft_binding list[] = {WEFT_BIND(base, 1), WEFT_BIND(extra, 2)}, inner[] = {WEFT_BIND(extra, 5)};
    weft_built a = of_list(list, 2), b = of_list(inner, 1);
    eff_pair p = weft_eff_zip_par(eff_pair, weft_eff_map(eff_double, weft_eff_local(eff_long, weft_eff_call(eff_long, in_sight, 0), &b), half),
                                  weft_eff_call(eff_long, in_sight, 0));
    pair out;
    (void)arg;
    CHECK_OK(RUN(weft_eff_local(eff_pair, p, &a), &out));
    CHECK(out.first == 52.5);
    CHECK_EQ(out.second, 102);
}
TEST(branches_see_what_is_in_force_around_them) { both(at_once); }

static void fails(void *arg) {
    const weft_binding list[] = {WEFT_BIND(base, 1)}, bad[] = {{&base_key, NULL, NULL, NULL}};
    weft_built a = of_list(list, 1), none = of_list(bad, 1);
    (void)arg;
    CHECK_ENDS(weft_eff_local(eff_long, weft_eff_map(eff_long, ASK(base), even), &a), 300);
    CHECK(!weft_env(base));
    CHECK_ENDS(weft_eff_local(eff_long, ASK(extra), &a), WEFT_E_MISSING);
    CHECK_ENDS(weft_eff_local(eff_long, ASK(base), &none), WEFT_E_INVALID);
    CHECK(weft_ok(weft_checkpoint()));
    CHECK(!weft_env(base));
}
TEST(a_failure_puts_the_environment_back) { both(fails); }

static void timed_out(void *arg) {
    const weft_binding list[] = {WEFT_BIND(base, 1)};
    weft_built a = of_list(list, 1);
    (void)arg;
    weft_exit e = weft_run_effect(weft_eff_timeout(eff_long, weft_eff_local(eff_long, weft_eff_never(eff_long), &a), weft_ms(1)), NULL);
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK(!weft_env(base));
    CHECK(weft_ok(weft_checkpoint()));
}
TEST(a_timeout_puts_the_environment_back) { on_clock(WEFT_CLOCK_AUTO, timed_out); }

/* ---- layers --------------------------------------------------------------------------------------------- */

static char trace[40];
static void note(char c) { trace[strlen(trace)] = c; }
static weft_exit opens(long *value, void *arg) {
    const char *t = arg;
    note(*t);
    if (t[1] == '!') return weft_failf(301, "%c does not open", *t);
    *value = of(weft_env(base)) + 1;
    return weft_done;
}
static weft_exit closes(long *value, void *arg) {
    const char *t = arg;
    note('-');
    note(*t);
    CHECK_EQ(*value, of(weft_env(base)) + 1);
    return t[1] == '?' ? weft_failf(302, "%c does not close", *t) : weft_done;
}
static char a_name[] = "a", b_name[] = "b", c_name[] = "c!", d_name[] = "d?";
static const weft_layer la = WEFT_LAYER(base, opens, closes, .arg = a_name), lb = WEFT_LAYER(extra, opens, closes, .arg = b_name, WEFT_NEEDS(&la)),
                        lc = WEFT_LAYER(extra, opens, closes, .arg = c_name, WEFT_NEEDS(&la)),
                        ld = WEFT_LAYER(extra, opens, closes, .arg = d_name);
#define CHECK_TRACE(text)                                                                    \
    do {                                                                                     \
        CHECK(!strcmp(trace, text));                                                         \
        memset(trace, 0, sizeof trace);                                                      \
    } while (0)
static void layers(void *arg) {
    eff_long look = weft_eff_call(eff_long, in_sight, 0), odd = weft_eff_map(eff_long, weft_eff_succeed(eff_long, 3), even);
    eff_long all = weft_eff_provide_layer(eff_long, look, weft_layer_both(&la, &lb));
    (void)arg;
    memset(trace, 0, sizeof trace);
    CHECK_LONG(all, 102);
    CHECK_TRACE("ab-b-a");
    CHECK_LONG(all, 102); /* each run builds anew */
    CHECK_TRACE("ab-b-a");
    CHECK_ENDS(weft_eff_provide_layer(eff_long, odd, &lb), 300);
    CHECK_TRACE("ab-b-a");
    CHECK_ENDS(weft_eff_provide_layer(eff_long, look, &lc), 301);
    CHECK_TRACE("ac-a");
    CHECK_ENDS(weft_eff_provide_layer(eff_long, look, &ld), 302);
    CHECK_TRACE("d-d");
    weft_exit e = RUN(weft_eff_provide_layer(eff_long, odd, &ld), NULL);
    CHECK_EQ(e.code, 300);
    CHECK(weft_cause_has(e.cause, WEFT_CAUSE_THEN));
    weft_exit_drop(e);
    CHECK_TRACE("d-d");
    CHECK(weft_ok(weft_checkpoint()));
}
TEST(a_layer_is_built_for_an_effect_and_released_after_it) { both(layers); }

static void layers_timed_out(void *arg) {
    (void)arg;
    memset(trace, 0, sizeof trace);
    weft_exit e = weft_run_effect(weft_eff_timeout(eff_long, weft_eff_provide_layer(eff_long, weft_eff_never(eff_long), &la), weft_ms(2)), NULL);
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK_TRACE("a-a");
    CHECK(!weft_env(base));
}
TEST(a_timeout_releases_the_layer_of_an_effect) { on_clock(WEFT_CLOCK_AUTO, layers_timed_out); }

TEST_MAIN
