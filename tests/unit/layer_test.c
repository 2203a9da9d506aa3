/* Layers: what is built, in what order, how often; what a failure and an interrupt leave; the order of releases.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/runs.h"
#include <stdatomic.h>
#include <weft/layer.h>

WEFT_KEY(a_key, int);
WEFT_KEY(b_key, int);
WEFT_KEY(c_key, int);
WEFT_KEY(d_key, int);

/* ---- layers that leave a trace -------------------------------------------------------------------------- */

/* What an acquire does: takes a time, sees a sum of keys, may fail. */
typedef struct thing {
    char name;
    int value, fails, fails_to_release;
    weft_duration takes, release_takes;
} thing;

static char trace[200];
static _Atomic unsigned written;
static _Atomic int alive;
static void note(char c) { trace[atomic_fetch_add(&written, 1)] = c; }
static void anew(void) {
    memset(trace, 0, sizeof trace);
    written = 0;
    alive = 0;
}
static const char *traced(void) {
    trace[written] = 0;
    return trace;
}
#define CHECK_TRACE(expected)                                                                \
    do {                                                                                     \
        if (strcmp(traced(), (expected))) fprintf(stderr, "trace: %s\n", trace);             \
        CHECK(!strcmp(trace, (expected)));                                                   \
    } while (0)

static int of(const int *p) { return p ? *p : 0; }
static int in_sight(void) { return of(weft_env(a_key)) + of(weft_env(b_key)) + of(weft_env(c_key)) + of(weft_env(d_key)); }

/* A capital when it begins, the small letter when it is there. */
static weft_exit acquire(int *value, void *arg) {
    thing *t = arg;
    note((char)(t->name - 'a' + 'A'));
    int seen = in_sight();
    if (t->takes) CHECK(weft_ok(weft_sleep(t->takes))); /* masked: never interrupted */
    if (t->fails) return weft_failf(t->fails, "%c failed", t->name);
    *value = t->value + seen;
    atomic_fetch_add(&alive, 1);
    note(t->name);
    return weft_done;
}
static weft_exit release(int *value, void *arg) {
    thing *t = arg;
    if (t->release_takes) {
        weft_exit e = weft_sleep(t->release_takes);
        if (!weft_ok(e)) note('!');
    }
    CHECK_EQ(*value, t->value + in_sight()); /* what it saw when it was acquired */
    atomic_fetch_sub(&alive, 1);
    note('-');
    note(t->name);
    return t->fails_to_release ? weft_failf(t->fails_to_release, "%c stuck", t->name) : weft_done;
}

static thing ta, tb, tc, td;
static void things(void) {
    anew();
    ta = (thing){.name = 'a', .value = 1};
    tb = (thing){.name = 'b', .value = 10};
    tc = (thing){.name = 'c', .value = 100};
    td = (thing){.name = 'd', .value = 1000};
}
static const weft_layer a = WEFT_LAYER(a_key, acquire, release, .arg = &ta), b = WEFT_LAYER(b_key, acquire, release, .arg = &tb),
                        c = WEFT_LAYER(c_key, acquire, release, .arg = &tc);
/* With needs. */
static const weft_layer b_of_a = WEFT_LAYER(b_key, acquire, release, .arg = &tb, WEFT_NEEDS(&a)),
                        c_of_a = WEFT_LAYER(c_key, acquire, release, .arg = &tc, WEFT_NEEDS(&a)),
                        d_of_both = WEFT_LAYER(d_key, acquire, release, .arg = &td, WEFT_NEEDS(&b_of_a, &c_of_a));

static int uses(int fails);
WEFT_TASK(uses, int, int);
static int uses(int fails) {
    note('u');
    if (fails) weft_failf(fails, "no use");
    return in_sight();
}

static bool says(weft_exit e, const char *needle) {
    char text[900];
    weft_exit_render(e, text, sizeof text);
    if (!strstr(text, needle)) fprintf(stderr, "%s\n", text);
    return strstr(text, needle) != NULL;
}

/* ---- one after the other -------------------------------------------------------------------------------- */

static void plus(void *arg) {
    int n = 0;
    (void)arg;
    things();
    CHECK(weft_ok(weft_provide_layer(weft_layer_plus(&a, &b, &c), uses, &n, 0)));
    CHECK_TRACE("AaBbCcu-c-b-a");
    CHECK_EQ(n, 1 + 11 + 112); /* each saw those before */
    CHECK_EQ(in_sight(), 0);
}
TEST(plus_builds_one_after_the_other_and_each_sees_those_before) {
    on_clock(WEFT_CLOCK_AUTO, plus);
    plus(NULL);
}

static void plus_fails(void *arg) {
    int n = 7;
    (void)arg;
    things();
    tc.fails = 301;
    weft_exit e = weft_provide_layer(weft_layer_plus(&a, &b, &c), uses, &n, 0);
    CHECK_EQ(e.code, 301);
    CHECK(says(e, "c failed"));
    CHECK_TRACE("AaBbC-b-a");
    CHECK_EQ(n, 7);
    CHECK(weft_ok(weft_checkpoint()));
    weft_exit_drop(e);
}
TEST(a_plus_that_fails_releases_what_came_before) {
    on_clock(WEFT_CLOCK_AUTO, plus_fails);
    plus_fails(NULL);
}

/* ---- at once -------------------------------------------------------------------------------------------- */

static void both(void *arg) {
    int n = 0;
    (void)arg;
    things();
    ta.takes = weft_ms(3);
    tb.takes = weft_ms(2);
    tc.takes = weft_ms(1);
    weft_time began = weft_now();
    CHECK(weft_ok(weft_provide_layer(weft_layer_both(&a, &b, &c), uses, &n, 0)));
    CHECK_EQ(weft_now() - began, weft_ms(3)); /* not six */
    CHECK(strstr(traced(), "cbau-a-b-c"));    /* released last acquired first */
    CHECK_EQ(n, 111);                         /* none saw another */
}
TEST(both_build_at_once_and_none_sees_another) { often(WEFT_CLOCK_AUTO, both, 10); }

static void both_fail(void *arg) {
    int n = 7;
    (void)arg;
    things();
    ta.takes = weft_ms(5); /* goes on after the failure, and is waited for */
    tb.takes = weft_ms(1);
    tb.fails = 302;
    weft_exit e = weft_provide_layer(weft_layer_both(&a, &b), uses, &n, 0);
    CHECK_EQ(e.code, 302);
    CHECK_EQ(weft_now(), weft_ms(5));
    CHECK(strstr(traced(), "a-a"));
    CHECK_EQ(alive, 0);
    CHECK_EQ(n, 7);
    weft_exit_drop(e);
    things();
    ta.takes = weft_ms(2);
    tb.takes = weft_ms(1);
    ta.fails = 301;
    tb.fails = 302;
    e = weft_provide_layer(weft_layer_both(&a, &b), uses, &n, 0);
    CHECK_EQ(e.code, 301); /* the first in the order of the arguments */
    CHECK(says(e, "a failed"));
    CHECK(says(e, "b failed"));
    weft_exit_drop(e);
}
TEST(both_wait_for_each_other_and_release_what_succeeded) { often(WEFT_CLOCK_AUTO, both_fail, 10); }

static const weft_layer one = WEFT_LAYER_VALUE(a_key, 1), two = WEFT_LAYER_VALUE(a_key, 2), nine = WEFT_LAYER_VALUE(b_key, 9);
static void clash(void *arg) {
    int n = 0;
    (void)arg;
    things();
    CHECK(weft_ok(weft_provide_layer(weft_layer_both(&one, &two), uses, &n, 0)));
    CHECK_EQ(n, 2);
    CHECK(weft_ok(weft_provide_layer(weft_layer_both(&two, weft_layer_both(&one, &nine)), uses, &n, 0)));
    CHECK_EQ(n, 10);
    CHECK(weft_ok(weft_provide_layer(weft_layer_plus(&one, &two), uses, &n, 0)));
    CHECK_EQ(n, 2);
    CHECK(weft_ok(weft_provide_layer(weft_layer_plus(&one, &two, &one), uses, &n, 0)));
    CHECK_EQ(n, 1);
    CHECK(weft_ok(weft_provide_layer(&nine, uses, &n, 0)));
    CHECK_EQ(n, 9);
    CHECK(weft_ok(weft_provide_layer(weft_layer_plus(weft_layer_both(&one), &nine), uses, &n, 0)));
    CHECK_EQ(n, 10);
}
TEST(of_two_values_for_one_key_the_later_holds) {
    on_clock(WEFT_CLOCK_AUTO, clash);
    clash(NULL);
}

/* ---- needs, and what is shared -------------------------------------------------------------------------- */

static void shared(void *arg) {
    int n = 0;
    (void)arg;
    things();
    ta.takes = weft_ms(2);
    tb.takes = weft_ms(2);
    tc.takes = weft_ms(1);
    CHECK(weft_ok(weft_provide_layer(weft_layer_both(&d_of_both, &b_of_a), uses, &n, 0)));
    CHECK_EQ(n, 11 + (1000 + 11 + 101)); /* what b gives, and d; what they need is theirs alone */
    traced();
    for (const char *name = "ABCDabcd"; *name; name++) CHECK(strchr(trace, *name) == strrchr(trace, *name) || *name >= 'a');
    CHECK(strstr(trace, "Aa") == trace); /* first of all */
    CHECK(strstr(trace, "cbDdu-d-b-c-a"));
}
TEST(a_dependency_that_two_need_is_built_once_and_released_after_both) { often(WEFT_CLOCK_AUTO, shared, 10); }

static void again(void *arg) {
    int n = 0;
    (void)arg;
    things();
    for (int i = 0; i < 2; i++) CHECK(weft_ok(weft_provide_layer(weft_layer_plus(&b_of_a, &c_of_a), uses, &n, 0)));
    CHECK_TRACE("AaBbCcu-c-b-aAaBbCcu-c-b-a");
    CHECK_EQ(n, 11 + 112); /* c saw b, which is before it, and a, which it needs */
}
TEST(each_build_is_one_of_its_own) { on_clock(WEFT_CLOCK_AUTO, again); }

static void shared_fails(void *arg) {
    (void)arg;
    things();
    ta.takes = weft_ms(1);
    ta.fails = 301;
    weft_exit e = weft_provide_layer(weft_layer_both(&b_of_a, &c_of_a, &d_of_both), uses, NULL, 0);
    CHECK_EQ(e.code, 301);
    CHECK_TRACE("A"); /* once, and nobody else was begun */
    char text[400];
    weft_exit_render(e, text, sizeof text);
    CHECK(!strchr(text, '\n')); /* told once, too */
    weft_exit_drop(e);
}
TEST(a_shared_dependency_that_fails_is_tried_once) { often(WEFT_CLOCK_AUTO, shared_fails, 10); }

/* Each level has the one below twice: two to the 40th ways down. */
static void wide(void *arg) {
    int n = 0;
    (void)arg;
    things();
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        const weft_layer *l = &a;
        for (int i = 0; i < 40; i++) {
            const weft_layer *twice = i & 1 ? weft_layer_both(l, l) : weft_layer_plus(l, l);
            l = weft_layer_keep(s, twice);
        }
        CHECK(weft_ok(weft_provide_layer(l, uses, &n, 0)));
        CHECK_TRACE("Aau-a");
        for (int i = 0; i < 40; i++) l = weft_layer_keep(s, weft_layer_plus(l, &b));
        CHECK_EQ(weft_provide_layer(l, uses, &n, 0).code, WEFT_E_LIMIT);
    }
    CHECK(weft_ok(e));
}
TEST(layers_that_share_much_are_built_in_no_time_and_too_deep_ones_refused) { on_clock(WEFT_CLOCK_AUTO, wide); }

/* ---- circles -------------------------------------------------------------------------------------------- */

extern const weft_layer x_of_y, y_of_z, z_of_x;
const weft_layer x_of_y = WEFT_LAYER(a_key, acquire, release, .arg = &ta, .name = "x", WEFT_NEEDS(&y_of_z)),
                 y_of_z = WEFT_LAYER(b_key, acquire, release, .arg = &tb, .name = "y", WEFT_NEEDS(&z_of_x)),
                 z_of_x = WEFT_LAYER(c_key, acquire, release, .arg = &tc, WEFT_NEEDS(&x_of_y));
extern const weft_layer own;
const weft_layer own = WEFT_LAYER(a_key, acquire, release, .arg = &ta, WEFT_NEEDS(&own));

static void circles(void *arg) {
    (void)arg;
    things();
    weft_exit e = weft_provide_layer(weft_layer_both(&d_of_both, &y_of_z), uses, NULL, 0);
    CHECK(e.tag == WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, WEFT_E_CYCLE);
    char text[600];
    weft_exit_render(e, text, sizeof text);
    const char *y = strstr(text, "'y' ("), *z = strstr(text, "needs 'c_key' ("), *x = strstr(text, "needs 'x' ("), *end = strstr(text, "needs 'y'");
    if (!(y && y < z && z < x && x < end)) fprintf(stderr, "%s\n", text);
    CHECK(y && y < z && z < x && x < end);
    weft_exit_drop(e);
    e = weft_provide_layer(&own, uses, NULL, 0);
    CHECK_EQ(e.code, WEFT_E_CYCLE);
    weft_exit_drop(e);
    CHECK_TRACE(""); /* nothing was begun */
}
TEST(a_circle_is_told_with_its_names_before_anything_is_acquired) {
    on_clock(WEFT_CLOCK_AUTO, circles);
    circles(NULL);
}

static void no_layers(void *arg) {
    const weft_layer nothing = {.kind = WEFT__LEAF}, listless = {.kind = WEFT__BOTH, .n = 2}, odd = {.kind = 17};
    (void)arg;
    CHECK_EQ(weft_provide_layer((const weft_layer *)NULL, uses, NULL, 0).code, WEFT_E_INVALID);
    CHECK_EQ(weft_provide_layer(&nothing, uses, NULL, 0).code, WEFT_E_INVALID);
    CHECK_EQ(weft_provide_layer(weft_layer_plus(&a, &listless), uses, NULL, 0).code, WEFT_E_INVALID);
    CHECK_EQ(weft_provide_layer(&odd, uses, NULL, 0).code, WEFT_E_INVALID);
}
TEST(what_is_no_layer_is_refused) { on_clock(WEFT_CLOCK_AUTO, no_layers); }

/* ---- failures on the way out ---------------------------------------------------------------------------- */

static void releases_fail(void *arg) {
    int n = 0;
    (void)arg;
    things();
    ta.fails_to_release = 401;
    tc.fails_to_release = 403;
    weft_exit e = weft_provide_layer(weft_layer_plus(&a, &b, &c), uses, &n, 300);
    CHECK_EQ(e.code, 300);
    CHECK(e.cause && weft_cause_has(e.cause, WEFT_CAUSE_THEN));
    CHECK(says(e, "no use"));
    CHECK(says(e, "a stuck"));
    CHECK(says(e, "c stuck"));
    CHECK_TRACE("AaBbCcu-c-b-a"); /* all of them */
    weft_exit_drop(e);
    things();
    ta.fails_to_release = 401;
    e = weft_provide_layer(weft_layer_plus(&a, &b), uses, &n, 0);
    CHECK_EQ(e.code, 401);
    weft_exit_drop(e);
    things();
    ta.fails_to_release = 401;
    tb.fails = 302;
    e = weft_provide_layer(weft_layer_plus(&a, &b), uses, &n, 0);
    CHECK_EQ(e.code, 302); /* the build's failure leads */
    CHECK(says(e, "a stuck"));
    CHECK(e.cause && weft_cause_has(e.cause, WEFT_CAUSE_THEN));
    weft_exit_drop(e);
    CHECK(weft_ok(weft_checkpoint()));
}
TEST(what_a_release_fails_with_is_attached_and_the_others_run) { on_clock(WEFT_CLOCK_AUTO, releases_fail); }

static const weft_layer quick = WEFT_LAYER(b_key, acquire, release, .arg = &tb, .budget = 2000000);
static void budget(void *arg) {
    (void)arg;
    things();
    tb.release_takes = weft_ms(10);
    weft_exit e = weft_provide_layer(weft_layer_plus(&a, &quick), uses, NULL, 0);
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK_TRACE("AaBbu!-b-a");
    CHECK_EQ(weft_now(), weft_ms(2));
    weft_exit_drop(e);
}
TEST(a_release_has_its_budget) { on_clock(WEFT_CLOCK_AUTO, budget); }

/* ---- interrupts ----------------------------------------------------------------------------------------- */

static weft_exit builds(void *arg) {
    return weft_provide_layer((const weft_layer *)arg, uses, NULL, 0);
}
static void interrupted_in_acquire(void *arg) {
    (void)arg;
    things();
    ta.takes = weft_ms(5);
    ta.release_takes = weft_ms(3); /* shielded */
    CHECK_EQ(weft_timeout(weft_ms(2), builds, (void *)(uintptr_t)weft_layer_plus(&a, &b)).code, WEFT_E_TIMEOUT);
    CHECK_TRACE("Aa-a"); /* it was acquired to its end, b was not begun */
    CHECK_EQ(weft_now(), weft_ms(8));
    things();
    tb.takes = weft_ms(5);
    CHECK_EQ(weft_timeout(weft_ms(2), builds, (void *)(uintptr_t)weft_layer_both(&b_of_a, &c_of_a)).code, WEFT_E_TIMEOUT);
    CHECK_EQ(alive, 0);
        CHECK(strstr(traced(), "b-b-c-a"));
}
TEST(an_interrupt_lets_an_acquire_end_and_releases_it) { often(WEFT_CLOCK_AUTO, interrupted_in_acquire, 10); }

static int waits_long(int n);
WEFT_TASK(waits_long, int, int);
static int waits_long(int n) {
    note('w');
    CHECK(!weft_ok(weft_sleep(weft_s(1000))));
    note('x');
    return n;
}
static weft_exit uses_long(void *arg) {
    int n = 0;
    weft_exit e = weft_provide_layer((const weft_layer *)arg, waits_long, &n, 3);
    CHECK(e.tag == WEFT_EXIT_INTERRUPT);
    CHECK_EQ(n, 0);
    return e;
}
static void interrupted_in_use(void *arg) {
    (void)arg;
    things();
    ta.release_takes = weft_ms(1);
    CHECK_EQ(weft_timeout(weft_ms(2), uses_long, (void *)(uintptr_t)weft_layer_plus(&a, &b)).code, WEFT_E_TIMEOUT);
    CHECK_TRACE("AaBbwx-b-a");
    CHECK(weft_ok(weft_checkpoint()));
}
TEST(an_interrupt_in_the_use_of_a_layer_releases_it) { on_clock(WEFT_CLOCK_AUTO, interrupted_in_use); }

/* A value that is there when the interrupt comes wins. */
static int asks_to_stop(int n);
WEFT_TASK(asks_to_stop, int, int);
static weft_scope *to_cancel;
static int asks_to_stop(int n) {
    weft_scope_cancel(to_cancel, "enough");
    return n;
}
static void value_wins(void *arg) {
    int n = 0;
    weft_exit e;
    (void)arg;
    things();
    WEFT_SCOPE(s, &e) {
        to_cancel = s;
        CHECK(weft_ok(weft_provide_layer(&a, asks_to_stop, &n, 3)));
        CHECK_EQ(n, 3);
        CHECK(!weft_ok(weft_checkpoint()));
    }
    CHECK(e.tag == WEFT_EXIT_INTERRUPT);
    CHECK_TRACE("Aa-a");
}
TEST(a_value_that_is_there_wins_over_an_interrupt) { on_clock(WEFT_CLOCK_AUTO, value_wins); }

/* ---- fibers of layers ----------------------------------------------------------------------------------- */

static int serves(int fails);
WEFT_TASK(serves, int, int);
static int serves(int fails) {
    if (fails) return weft_sleep(weft_ms(3)), weft_failf(fails, "no service"), 0;
    while (weft_ok(weft_sleep(weft_s(1)))) {}
    note('x');
    return 0;
}
WEFT_KEY(server, serves_fiber);
static weft_exit start(serves_fiber *f, void *arg) {
    (void)arg;
    note('s');
    return weft_spawn_with(f, serves, {.detached = true}, 0);
}
static weft_exit stop(serves_fiber *f, void *arg) {
    (void)arg;
    weft_exit e = weft_interrupt(*f, "the layer ends");
    weft_drop(*f);
    return e;
}
static const weft_layer service = WEFT_LAYER(server, start, stop);
static void with_fibers(void *arg) {
    (void)arg;
    things();
    ta.takes = weft_ms(1);
    CHECK(weft_ok(weft_provide_layer(weft_layer_both(&a, &service), uses, NULL, 0)));
    CHECK(strchr(traced(), 'x') > strchr(trace, 'u'));
}
TEST(a_layer_can_have_a_fiber_of_its_own) { often(WEFT_CLOCK_AUTO, with_fibers, 10); }

static weft_exit start_badly(int *value, void *arg) {
    (void)arg;
    *value = 1;
    return weft_spawn((serves_fiber *)NULL, serves, 303);
}
static const weft_layer bad_service = WEFT_LAYER(b_key, start_badly, NULL);
static void with_failing_fibers(void *arg) {
    (void)arg;
    things();
    CHECK_EQ(weft_provide_layer(weft_layer_both(&a, &bad_service), uses, NULL, 0).code, 303);
    CHECK_TRACE("Aa-a");
}
TEST(what_an_acquire_spawned_belongs_to_the_build) { on_clock(WEFT_CLOCK_AUTO, with_failing_fibers); }

/* ---- building into a scope ------------------------------------------------------------------------------ */

static weft_exit finalizes(void *arg) {
    note(*(const char *)arg);
    return weft_done;
}
static void into_a_scope(void *arg) {
    weft_exit e;
    (void)arg;
    things();
    WEFT_SCOPE(s, &e) {
        weft_built built, more;
        CHECK_EQ(weft_defer(s, finalizes, (void *)(uintptr_t)"1", 0), WEFT_OK);
        CHECK(weft_ok(weft_layer_build(s, weft_layer_plus(&a, &b), &built)));
        CHECK_EQ(built.n, 2);
        CHECK_EQ(weft_defer(s, finalizes, (void *)(uintptr_t)"2", 0), WEFT_OK);
        CHECK_EQ(in_sight(), 0);
        WEFT_PROVIDE_LIST(built.list, built.n) {
            CHECK_EQ(in_sight(), 12);
            CHECK(weft_ok(weft_layer_build(s, &c, &more)));
            CHECK_EQ(*(const int *)more.list[0].value, 112);
            WEFT_PROVIDE_LIST(more.list, more.n) CHECK_EQ(in_sight(), 124);
        }
        tc.value = 112; /* of what is around a build there is nothing left at the end of the scope */
    }
    CHECK(weft_ok(e));
    CHECK_TRACE("AaBbCc-c2-b-a1");
}
TEST(a_build_in_a_scope_is_released_by_its_finalizers) { on_clock(WEFT_CLOCK_AUTO, into_a_scope); }

static void closed(void *arg) {
    weft_scope over = {.ended = WEFT__OVER};
    weft_built built;
    (void)arg;
    things();
    CHECK_EQ(weft_layer_build(&over, &a, &built).code, WEFT_E_ENDED);
    CHECK_TRACE("");
}
TEST(a_closed_scope_builds_nothing) { on_clock(WEFT_CLOCK_AUTO, closed); }

/* ---- trees of layers by chance -------------------------------------------------------------------------- */

enum { LAYERS = 12 };
typedef struct node {
    _Atomic int acquired, released, order;
    bool fails;
    int needs[3], n;
} node;
static node nodes[LAYERS];
static weft_layer made[LAYERS];
static const weft_layer *needed[LAYERS][3];
static weft_effect keys[LAYERS];
static _Atomic int order;
static bool apart; /* on two workers at once an acquire that ended first may be noted second */

static weft_exit acquire_node(int *value, void *arg) {
    node *x = arg;
    for (int i = 0; i < x->n; i++) {
        const int *p = weft__env_find(&keys[x->needs[i]]);
        CHECK(p && *p == x->needs[i]);
        CHECK_EQ(nodes[x->needs[i]].acquired, 1);
    }
    if ((x - nodes) % 2) weft_sleep(weft_us((x - nodes) % 5));
    CHECK_EQ(atomic_fetch_add(&x->acquired, 1), 0);
    if (x->fails) {
        x->acquired = 0;
        return weft_fail(300, "by chance");
    }
    *value = (int)(x - nodes);
    x->order = atomic_fetch_add(&order, 1) + 1;
    return weft_done;
}
static weft_exit release_node(int *value, void *arg) {
    node *x = arg;
    CHECK_EQ(*value, x - nodes);
    CHECK_EQ(x->acquired, 1);
    CHECK_EQ(atomic_fetch_add(&x->released, 1), 0);
    if (!apart) CHECK_EQ(x->order, order); /* last acquired first */
    order--;
    for (int i = 0; i < x->n; i++) CHECK_EQ(nodes[x->needs[i]].released, 0);
    return weft_done;
}
static unsigned draw(unsigned *state, unsigned n) { return (*state = *state * 1103515245 + 12345) / 65536 % n; }
static unsigned chance;
static void by_chance(void *arg) {
    unsigned r = chance;
    (void)arg;
    memset(nodes, 0, sizeof nodes);
    order = 0;
    for (int i = 0; i < LAYERS; i++) {
        node *x = &nodes[i];
        if (!keys[i].name) keys[i] = (weft_effect){.name = "made", .reply = sizeof(int)};
        x->n = i ? (int)draw(&r, (unsigned)(i < 3 ? i + 1 : 4)) : 0;
        x->fails = draw(&r, 40) == 0;
        for (int k = 0; k < x->n; k++) {
            x->needs[k] = (int)draw(&r, (unsigned)i);
            needed[i][k] = &made[x->needs[k]];
        }
        made[i] = (weft_layer)WEFT_LAYER(a_key, acquire_node, release_node, .arg = x, .of = needed[i], .n = (size_t)x->n);
        made[i].key = &keys[i];
    }
    weft_exit e;
    WEFT_SCOPE(s, &e, .timeout = draw(&r, 3) ? 0 : weft_us(draw(&r, 8) + 1)) {
        weft_built built;
        weft_exit got = weft_layer_build(s, weft_layer_both(&made[LAYERS - 1], weft_layer_plus(&made[LAYERS - 2], &made[LAYERS - 3]), &made[LAYERS - 4]), &built);
        if (weft_ok(got)) CHECK_EQ(built.n, 4);
        else CHECK_EQ(order, 0); /* all that it had is released by now */
    }
    for (int i = 0; i < LAYERS; i++) CHECK_EQ(nodes[i].acquired, nodes[i].released);
}
TEST(layers_by_chance_keep_their_order_and_leave_nothing) {
    for (chance = 1; chance <= 60; chance++) {
        apart = true;
        run_ends(&WEFT_OPTIONS(.workers = 2, .clock = WEFT_CLOCK_AUTO), by_chance, NULL, WEFT_OK);
        apart = false;
        searched(WEFT_CLOCK_AUTO, by_chance, chance, WEFT_EXPLORE_RANDOM);
        searched(WEFT_CLOCK_AUTO, by_chance, chance, WEFT_EXPLORE_PCT);
    }
}

TEST_MAIN
