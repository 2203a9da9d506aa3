/* Layers at once, and values that are made when asked for, whatever the schedule, whoever fails and whoever is interrupted
 * when:
 *
 *   what was acquired is released once, after all that needed it; a layer is built once in a build; nothing is left when a build
 *   has failed; nobody hangs
 *   a value is made once; a circle through several fibers is told to each of them
 *
 * Ten thousand seeds of each strategy.  WEFT_SEEDS=n in the environment for more or fewer.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/san.h"
#include "test.h"
#include <weft/layer.h>
#include <weft/par.h>
#include <weft/test.h>

static unsigned runs(void) {
    const char *n = getenv("WEFT_SEEDS");
    return n ? (unsigned)atoi(n) : WEFT__SAN_STACKS > 1 ? 300 : 10000;
}

/* ---- layers --------------------------------------------------------------------------------------------- */

static weft_test the;

/* e needs c and d, c needs a and b, d needs b. */
typedef struct part {
    struct part *needs[2];
    int acquired, released, fails;
    weft_duration takes;
} part;
static part a, b, c = {.needs = {&a, &b}}, d = {.needs = {&b}}, e = {.needs = {&c, &d}};
static part *const parts[] = {&a, &b, &c, &d, &e};

WEFT_KEY(key_a, int);
WEFT_KEY(key_b, int);
WEFT_KEY(key_c, int);
WEFT_KEY(key_d, int);
WEFT_KEY(key_e, int);

static bool is_there(const part *p) { return p->acquired == 1 && p->released == 0; }
static void check_needs(const part *p) {
    for (int i = 0; i < 2; i++)
        if (p->needs[i]) weft_check(the, is_there(p->needs[i]));
}
static weft_exit acquire(int *value, void *arg) {
    part *p = arg;
    check_needs(p);
    weft_point();
    if (p->takes) weft_check(the, weft_ok(weft_sleep(p->takes)));
    check_needs(p);
    if (p->fails) return weft_fail(300, "by chance");
    p->acquired++;
    *value = 1;
    return weft_done;
}
static weft_exit release(int *value, void *arg) {
    part *p = arg;
    weft_check(the, *value == 1 && is_there(p));
    check_needs(p);
    weft_point();
    p->released++;
    return weft_done;
}
static const weft_layer la = WEFT_LAYER(key_a, acquire, release, .arg = &a), lb = WEFT_LAYER(key_b, acquire, release, .arg = &b),
                        lc = WEFT_LAYER(key_c, acquire, release, .arg = &c, WEFT_NEEDS(&la, &lb)),
                        ld = WEFT_LAYER(key_d, acquire, release, .arg = &d, WEFT_NEEDS(&lb)),
                        le = WEFT_LAYER(key_e, acquire, release, .arg = &e, WEFT_NEEDS(&lc, &ld));

static int used;
static int uses(int n);
WEFT_TASK(uses, int, int);
static int uses(int n) {
    weft_point();
    weft_check(the, is_there(&e) && is_there(&d) && *weft_env(key_e) == 1 && *weft_env(key_d) == 1);
    used++;
    if (n) weft_sleep(weft_us(n));
    return n;
}

static int provides(int n);
WEFT_TASK(provides, int, int);
static int provides(int n) {
    weft_exit x = weft_provide_layer(weft_layer_both(&le, weft_layer_plus(&ld, &lb), &lc), uses, NULL, n);
    int failing = 0;
    for (size_t i = 0; i < 5; i++) {
        weft_check(the, parts[i]->acquired == parts[i]->released && parts[i]->acquired <= 1);
        failing += parts[i]->fails;
    }
    weft_check(the, !weft_ok(x) || used == 1);
    weft_check(the, !failing || !used);
    return n;
}

static void layers(weft_test t) {
    the = t;
    used = 0;
    uint64_t chance = weft_test_random(t);
    for (size_t i = 0; i < 5; i++, chance >>= 6) {
        parts[i]->acquired = parts[i]->released = 0;
        parts[i]->fails = (chance & 15) == 0;
        parts[i]->takes = chance >> 4 & 1 ? weft_us((int64_t)(chance >> 5 & 1) + 1) : 0;
    }
    provides_fiber f;
    weft_spawn(&f, provides, (int)(chance & 3));
    for (uint64_t n = chance >> 2 & 15; n > 0; n--) weft_yield();
    if (chance & 1 << 6) weft_sleep(weft_us((int64_t)(chance >> 7 & 3)));
    if (chance & 1 << 9) weft_interrupt_async(f, "by chance");
    weft_await(f, provides, NULL);
    weft_drop(f);
}
TEST(layers_are_built_once_and_released_in_order_random) {
    WEFT_TEST(t, .name = "layers", .runs = runs(), .explore = WEFT_EXPLORE_RANDOM) { layers(t); }
}
TEST(layers_are_built_once_and_released_in_order_pct) {
    WEFT_TEST(t, .name = "layers", .runs = runs(), .explore = WEFT_EXPLORE_PCT) { layers(t); }
}

/* ---- values made when asked for ------------------------------------------------------------------------- */

WEFT_KEY(x, int);
WEFT_KEY(y, int);
WEFT_KEY(z, int);
static int made[3];
static bool round_;

static weft_exit from(int *value, int *times, weft_exit (*next)(int *)) {
    int n = 0;
    weft_point();
    weft_exit s = next(&n);
    weft_point();
    if (weft_ok(s)) ++*times;
    *value = n + 1;
    return s;
}
static weft_exit get_x(int *n) { return weft_env_get(x, n); }
static weft_exit get_y(int *n) { return weft_env_get(y, n); }
static weft_exit get_z(int *n) { return weft_env_get(z, n); }
static weft_exit sleeps(int *n) {
    (void)n;
    return weft_sleep(weft_us(1));
}
static weft_exit make_x(int *v, void *arg) { return (void)arg, from(v, &made[0], get_y); }
static weft_exit make_y(int *v, void *arg) { return (void)arg, from(v, &made[1], get_z); }
static weft_exit make_z(int *v, void *arg) { return (void)arg, from(v, &made[2], round_ ? get_x : sleeps); }

static int asks(int which);
WEFT_TASK(asks, int, int);
static int asks(int which) {
    int n = 0;
    weft_exit s = which == 0 ? get_x(&n) : which == 1 ? get_y(&n) : get_z(&n);
    weft_check(the, !weft_ok(s) || n == 3 - which);
    weft_check(the, weft_ok(s) ? !round_ : s.tag == WEFT_EXIT_INTERRUPT || (round_ && s.code == WEFT_E_CYCLE));
    return n;
}
static void values(weft_test t) {
    const weft_binding list[] = {WEFT_BIND_LAZY(x, make_x, NULL), WEFT_BIND_LAZY(y, make_y, NULL), WEFT_BIND_LAZY(z, make_z, NULL)};
    asks_fiber f[4];
    uint64_t chance = weft_test_random(t);
    the = t;
    made[0] = made[1] = made[2] = 0;
    round_ = chance & 1;
    WEFT_PROVIDE_LIST(list, 3) {
        for (int i = 0; i < 4; i++) weft_spawn(&f[i], asks, (int)((chance >> (4 + 2 * i) & 3) % 3));
    }
    for (uint64_t n = chance >> 12 & 7; n > 0; n--) weft_yield();
    if (chance & 2) weft_interrupt_async(f[chance >> 2 & 3], "by chance");
    for (int i = 0; i < 4; i++) {
        weft_await(f[i], asks, NULL);
        weft_drop(f[i]);
    }
    for (int i = 0; i < 3; i++) weft_check(t, made[i] <= 1 - (int)round_);
}
TEST(values_are_made_once_and_circles_told_random) {
    WEFT_TEST(t, .name = "values", .runs = runs(), .explore = WEFT_EXPLORE_RANDOM) { values(t); }
}
TEST(values_are_made_once_and_circles_told_pct) {
    WEFT_TEST(t, .name = "values", .runs = runs(), .explore = WEFT_EXPLORE_PCT) { values(t); }
}

TEST_MAIN
