/* The environment: who sees what, from when until when, on whatever worker; what is missing; values made when asked for.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/runs.h"
#include <stdatomic.h>
#include <weft/continuation.h>
#include <weft/env.h>
#include <weft/par.h>
#include <weft/promise.h>
#include <weft/scope.h>

typedef struct greeting {
    const char *text;
    int times;
} greeting;
typedef struct large {
    char text[3000];
} large;
WEFT_KEY(port, int);
WEFT_KEY(hello, greeting);
WEFT_KEY(page, large);
WEFT_KEY(alpha, long);
WEFT_KEY(beta, long);
WEFT_KEY(gamma_, long);

static int the_port(void) {
    const int *p = weft_env(port);
    return p ? *p : -1;
}

static int port_plus(int n);
WEFT_TASK(port_plus, int, int);
static int port_plus(int n) { return the_port() + n; }

static void body_exit(weft_exit e, weft_err code, const char *needle) {
    char text[600];
    CHECK(e.tag == WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, code);
    weft_exit_render(e, text, sizeof text);
    if (!strstr(text, needle)) fprintf(stderr, "%s\n", text);
    CHECK(strstr(text, needle) != NULL);
}

/* ---- who sees what -------------------------------------------------------------------------------------- */

static void provides(void *arg) {
    int n = 0;
    (void)arg;
    CHECK_EQ(the_port(), -1);
    CHECK(weft_ok(weft_provide(port, 80, port_plus, &n, 1)));
    CHECK_EQ(n, 81);
    CHECK_EQ(the_port(), -1);
    WEFT_PROVIDE(hello, {.text = "hi", .times = 3}) {
        CHECK_EQ(weft_env(hello)->times, 3);
        CHECK(!strcmp(weft_env(hello)->text, "hi"));
        greeting two = {"ho", 2};
        WEFT_PROVIDE(hello, two) {
            two.times = 9;
            CHECK_EQ(weft_env(hello)->times, 2); /* it was copied */
        }
        CHECK_EQ(weft_env(hello)->times, 3);
    }
    CHECK(weft_env(hello) == NULL);
    const weft_binding list[] = {WEFT_BIND(port, 1), WEFT_BIND(hello, {"x", 4}), WEFT_BIND(port, 2)};
    CHECK(weft_ok(weft_provide_list(list, 3, port_plus, &n, 0)));
    CHECK_EQ(n, 2); /* the last one holds */
    WEFT_PROVIDE_LIST(list, 0) CHECK_EQ(the_port(), -1);
}
TEST(what_is_provided_holds_inside_and_not_outside) { on_clock(WEFT_CLOCK_AUTO, provides); }
TEST(on_a_plain_thread_the_environment_works_as_well) { provides(NULL); }

static weft_exit get_port(int *n) { return weft_env_get(port, n); }
static void misses(void *arg) {
    int n = 7;
    (void)arg;
    WEFT_PROVIDE(hello, {"x", 1}) {
        weft_exit e = get_port(&n);
        body_exit(e, WEFT_E_MISSING, "'port'");
        body_exit(e, WEFT_E_MISSING, "env_test.c");
        weft_exit_drop(e);
    }
    CHECK_EQ(n, 7);
    WEFT_PROVIDE(port, 5) {
        CHECK(weft_ok(get_port(&n)));
        CHECK(weft_ok(weft_env_get(port, NULL)));
    }
    CHECK_EQ(n, 5);
}
TEST(a_missing_key_is_a_failure_that_names_key_and_place) { on_clock(WEFT_CLOCK_AUTO, misses); }

/* ---- every way out -------------------------------------------------------------------------------------- */

static int leaves(int how) {
    for (int i = 0; i < 2; i++) {
        WEFT_PROVIDE(port, 100 + how) {
            WEFT_PROVIDE(port, 200 + how) {
                CHECK_EQ(the_port(), 200 + how);
                if (how == 1) return the_port();
                if (how == 2) goto out;
                if (how == 3) continue; /* ends the block */
                if (how == 4) break;
            }
            CHECK_EQ(the_port(), 100 + how);
            if (how == 4) break;
        }
        CHECK_EQ(the_port(), 10);
    }
out:
    return the_port();
}
static void leaves_all_ways(void *arg) {
    (void)arg;
    WEFT_PROVIDE(port, 10) {
        for (int how = 0; how < 5; how++) {
            CHECK_EQ(leaves(how), how == 1 ? 201 : 10);
            CHECK_EQ(the_port(), 10);
        }
    }
    CHECK_EQ(the_port(), -1);
}
TEST(an_override_ends_with_its_block_however_it_is_left) {
    on_clock(WEFT_CLOCK_AUTO, leaves_all_ways);
    leaves_all_ways(NULL);
}

static int fails_inside(int code);
WEFT_TASK(fails_inside, int, int);
static int fails_inside(int code) {
    CHECK_EQ(the_port(), 1);
    if (code) weft_failf(code, "with port %d", the_port());
    weft_sleep(weft_ms(5));
    return 4;
}
static weft_exit provides_and_sleeps(void *arg) {
    int n;
    weft_exit e = weft_provide(port, 1, fails_inside, &n, 0);
    CHECK_EQ(the_port(), 2);
    *(weft_exit *)arg = e;
    return e;
}
static void ends_badly(void *arg) {
    int n = 0;
    weft_exit inner = weft_done;
    (void)arg;
    WEFT_PROVIDE(port, 2) {
        weft_exit e = weft_provide(port, 1, fails_inside, &n, 300);
        body_exit(e, (weft_err)300, "with port 1");
        CHECK_EQ(the_port(), 2);
        CHECK(weft_ok(weft_checkpoint())); /* the failure is that of the call, not the caller's */
        e = weft_timeout(weft_ms(2), provides_and_sleeps, &inner);
        CHECK_EQ(e.code, WEFT_E_TIMEOUT);
        CHECK(inner.tag == WEFT_EXIT_INTERRUPT);
        CHECK_EQ(the_port(), 2);
        CHECK(weft_ok(weft_provide(port, 1, fails_inside, NULL, 0)));
    }
}
TEST(failure_and_interrupt_put_the_environment_back) { on_clock(WEFT_CLOCK_AUTO, ends_badly); }

static weft_exit cannot_be_made(int *value, void *arg) {
    *value = *(int *)arg;
    return weft_failf(302, "not with %d", *value);
}
TEST(on_a_plain_thread_failures_are_those_of_what_was_called) {
    int two = 2, n = 9;
    weft_exit failed = weft_provide(port, 1, fails_inside, &n, 300);
    body_exit(failed, (weft_err)300, "with port 1");
    weft_exit_drop(failed);
    CHECK_EQ(n, 9);
    const weft_binding list[] = {WEFT_BIND_LAZY(port, cannot_be_made, &two)};
    WEFT_PROVIDE_LIST(list, 1) {
        weft_exit e = weft_env_get(port, &n);
        body_exit(e, (weft_err)302, "not with 2");
        weft_exit_drop(e);
        CHECK_EQ(the_port(), -1);
    }
}

/* ---- children ------------------------------------------------------------------------------------------- */

static int tree(int depth);
WEFT_TASK(tree, int, int);
/* Each level overrides for one of its children; whoever runs it waits now and then. */
static int tree(int depth) {
    int mine = the_port(), sum = mine;
    if (depth == 0) {
        weft_sleep(weft_us(mine % 3));
        CHECK_EQ(the_port(), mine);
        return mine;
    }
    tree_task outer;
    weft_fork(&outer, tree, depth - 1);
    WEFT_PROVIDE(port, mine + 1) {
        tree_task inner;
        tree_fiber f;
        weft_fork(&inner, tree, depth - 1);
        CHECK(weft_ok(weft_spawn(&f, tree, depth - 1)));
        int a = 0, b = 0, c = 0;
        CHECK(weft_ok(weft_zip_par(WEFT_BR(tree, &a, depth - 1), WEFT_BR(port_plus, &b, 0))));
        CHECK_EQ(b, mine + 1);
        sum += a + weft_join(&inner, tree);
        CHECK(weft_ok(weft_await(f, tree, &c)));
        weft_drop(f);
        CHECK_EQ(a, c);
        sum += c;
    }
    CHECK_EQ(the_port(), mine);
    return sum + weft_join(&outer, tree);
}
/* What the tree gives that nobody runs in parallel. */
static int tree_sum(int depth, int port) {
    return depth == 0 ? port : port + tree_sum(depth - 1, port) + 3 * tree_sum(depth - 1, port + 1);
}
static void trees(void *arg) {
    (void)arg;
    WEFT_PROVIDE(port, 3) CHECK_EQ(tree(4), tree_sum(4, 3));
}
TEST(children_and_theirs_see_what_was_provided_where_they_began) { often(WEFT_CLOCK_AUTO, trees, 30); }

static void items(void *arg) {
    int in[50], out[50];
    (void)arg;
    for (int i = 0; i < 50; i++) in[i] = i;
    WEFT_PROVIDE(port, 1000) {
        CHECK(weft_ok(weft_for_each_par(port_plus, in, 50, out, .parallelism = 4)));
        for (int i = 0; i < 50; i++) CHECK_EQ(out[i], 1000 + i);
        weft_exit e;
        WEFT_SCOPE(s, &e) {
            WEFT_PROVIDE(port, 5) CHECK(weft_ok(weft_start(s, port_plus, 1)));
        }
        CHECK(weft_ok(e));
    }
}
TEST(items_and_started_children_see_the_environment) { often(WEFT_CLOCK_AUTO, items, 10); }

/* Outlives who provided, and spawns again. */
static int lives_on(int generations);
WEFT_TASK(lives_on, int, int);
static weft_promise provider_is_gone;
static int lives_on(int generations) {
    const large *p = weft_env(page);
    CHECK(p && p->text[0] == 'a' && p->text[2999] == 'z');
    weft_promise_await(&provider_is_gone, NULL);
    CHECK(weft_env(page) == p);
    CHECK(p->text[0] == 'a' && p->text[2999] == 'z');
    CHECK_EQ(the_port(), 6);
    if (generations == 0) return weft_env(hello)->times;
    int n = -1;
    lives_on_fiber f;
    WEFT_PROVIDE(hello, {"again", 10 * generations}) CHECK(weft_ok(weft_spawn(&f, lives_on, generations - 1)));
    CHECK(weft_ok(weft_await(f, lives_on, &n)));
    weft_drop(f);
    return n;
}
static lives_on_fiber provides_for_others(void) {
    lives_on_fiber f;
    large *text = malloc(sizeof *text);
    memset(text, 'b', sizeof *text);
    text->text[0] = 'a';
    text->text[2999] = 'z';
    WEFT_PROVIDE(page, *text) {
        memset(text, 'x', sizeof *text);
        free(text);
        WEFT_PROVIDE(port, 6) CHECK(weft_ok(weft_spawn(&f, lives_on, 2)));
    }
    return f;
}
static void outlive(void *arg) {
    int n = 0;
    (void)arg;
    weft_promise_init(&provider_is_gone);
    lives_on_fiber f = provides_for_others(), g = provides_for_others();
    CHECK(weft_env(page) == NULL);
    weft_promise_complete(&provider_is_gone, NULL);
    CHECK(weft_ok(weft_await(f, lives_on, &n)));
    CHECK_EQ(n, 10);
    CHECK(weft_ok(weft_await(g, lives_on, &n)));
    weft_drop(f);
    weft_drop(g);
}
TEST(a_fiber_that_outlives_its_provider_has_the_values_still) { often(WEFT_CLOCK_AUTO, outlive, 30); }

/* ---- handlers ------------------------------------------------------------------------------------------- */

WEFT_EFFECT(held, int, int n;);
typedef struct holder {
    weft_k rest;
} holder;
static weft_exit on_held(weft_k k, const held_op *op, void *answer, void *self) {
    CHECK_EQ(the_port(), op->n); /* what is around its handler */
    *(int *)answer = -1;
    ((holder *)self)->rest = weft_keep(k);
    return weft_done;
}
static weft_exit on_tail(const held_op *op, int *reply, void *self) {
    (void)self;
    *reply = the_port() * 10 + op->n;
    return weft_done;
}
static int is_held(int n);
WEFT_TASK(is_held, int, int);
static int is_held(int n) {
    CHECK_EQ(the_port(), 6);
    WEFT_PROVIDE(port, 7) {
        CHECK(weft_ok(weft_perform(held, &n, .n = 6)));
        CHECK_EQ(the_port(), 7);
        port_plus_task t;
        weft_fork(&t, port_plus, 1);
        CHECK_EQ(weft_join(&t, port_plus), 8);
    }
    CHECK_EQ(the_port(), 6);
    return n;
}
typedef holder *holder_ref;
static int goes_on(holder *h);
WEFT_TASK(goes_on, int, holder_ref);
static int goes_on(holder *h) {
    int n = 0;
    WEFT_PROVIDE(port, 99) CHECK(weft_ok(weft_resume(h->rest, held, 5, &n)));
    return n;
}
static void with_handlers(void *arg) {
    int n = 0;
    holder h;
    goes_on_fiber f;
    weft_handler once = WEFT_HANDLER(&h, WEFT_ONESHOT(held, on_held)), tail = WEFT_HANDLER(NULL, WEFT_TAIL(held, on_tail));
    (void)arg;
    WEFT_PROVIDE(port, 6) CHECK(weft_ok(weft_handle(&once, is_held, &n, 0)));
    CHECK_EQ(n, -1);
    CHECK(weft_ok(weft_spawn(&f, goes_on, &h))); /* the body goes on there, and has what was around its handler */
    CHECK(weft_ok(weft_await(f, goes_on, &n)));
    weft_drop(f);
    CHECK_EQ(n, 5);
    CHECK_EQ(the_port(), -1);
    WEFT_PROVIDE(port, 6) CHECK(weft_ok(weft_handle(&tail, is_held, &n, 0)));
    CHECK_EQ(n, 66);
}
TEST(a_clause_sees_what_is_around_its_handler_and_its_body_what_is_around_it) { often(WEFT_CLOCK_AUTO, with_handlers, 20); }

WEFT_EFFECT(stop, int, int n;);
static weft_exit on_stop(const stop_op *op, void *answer, void *self) {
    (void)self;
    CHECK_EQ(the_port(), 6);
    *(int *)answer = op->n;
    return weft_done;
}
static int stops(int n);
WEFT_TASK(stops, int, int);
static int stops(int n) {
    int out = 0;
    WEFT_PROVIDE(port, 7) {
        if (n) return weft_perform(stop, NULL, .n = n).code;
        weft_exit e = weft_provide(port, 8, stops, &out, 3);
        CHECK(e.tag == WEFT_EXIT_INTERRUPT);
        CHECK_EQ(the_port(), 7);
    }
    CHECK_EQ(the_port(), 6);
    return 1;
}
static void aborted(void *arg) {
    int n = 0;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ABORT(stop, on_stop));
    (void)arg;
    WEFT_PROVIDE(port, 6) {
        CHECK(weft_ok(weft_handle(&h, stops, &n, 0)));
        CHECK_EQ(n, 3);
        CHECK_EQ(the_port(), 6);
        CHECK(weft_ok(weft_checkpoint()));
    }
}
TEST(an_abort_leaves_what_was_provided_on_its_way) { on_clock(WEFT_CLOCK_AUTO, aborted); }

/* ---- the base environment ------------------------------------------------------------------------------- */

static void sees_base(void *arg) { CHECK_EQ(the_port(), *(int *)arg); }
TEST(what_a_plain_thread_provides_around_a_run_is_its_base) {
    int base = 77, none = -1;
    WEFT_PROVIDE(port, 77) {
        for (weft_executor x = WEFT_PARALLEL; x <= WEFT_DETERMINISTIC; x++) {
            run_ends(&WEFT_OPTIONS(.executor = x), sees_base, &base, WEFT_OK);
            weft_runtime *rt;
            CHECK_EQ(weft_open(&WEFT_OPTIONS(.executor = x), &rt), WEFT_OK);
            CHECK_EQ(weft_call(rt, sees_base, &base), WEFT_OK);
            port_plus_fiber f;
            int n = 0;
            CHECK(weft_ok(weft_spawn_with(&f, port_plus, ((weft_spawn_options){.runtime = rt}), 1)));
            CHECK(weft_ok(weft_await(f, port_plus, &n)));
            CHECK_EQ(n, 78);
            weft_drop(f);
            CHECK_EQ(weft_close(rt), WEFT_OK);
        }
    }
    run_ends(NULL, sees_base, &none, WEFT_OK);
}

/* ---- many keys ------------------------------------------------------------------------------------------ */

enum { KEYS = 300 };
static weft_effect made[KEYS];
static void nested(int depth) {
    if (depth == KEYS) {
        for (int i = 0; i < KEYS; i++) CHECK_EQ(*(const int *)weft__env_find(&made[i]), i);
        CHECK_EQ(the_port(), 12);
        return;
    }
    const weft_binding b = {&made[depth], &depth, NULL, NULL};
    WEFT_PROVIDE_LIST(&b, 1) nested(depth + 1);
}
static void many(void *arg) {
    (void)arg;
    for (int i = 0; i < KEYS; i++) {
        if (!made[i].name) made[i] = (weft_effect){.name = "made", .reply = sizeof(int)};
    }
    WEFT_PROVIDE(port, 12) nested(0);
}
TEST(hundreds_of_keys_are_each_found) {
    run_ends(&WEFT_OPTIONS(.stack_bytes = 8 << 20), many, NULL, WEFT_OK);
}

/* ---- values made when they are asked for ---------------------------------------------------------------- */

static atomic_int makes;
static weft_exit slow_port(int *value, void *arg) {
    atomic_fetch_add(&makes, 1);
    weft_exit e = weft_sleep(weft_ms(2));
    *value = *(int *)arg;
    return e;
}
static void lazies(void *arg) {
    int forty = 40, in[20] = {0}, out[20];
    (void)arg;
    makes = 0;
    const weft_binding list[] = {WEFT_BIND_LAZY(port, slow_port, &forty)};
    WEFT_PROVIDE_LIST(list, 1) {
        CHECK_EQ(makes, 0);
        CHECK(weft_ok(weft_for_each_par(port_plus, in, 20, out, .parallelism = 20)));
        for (int i = 0; i < 20; i++) CHECK_EQ(out[i], 40);
        CHECK_EQ(the_port(), 40);
        WEFT_PROVIDE(port, 1) CHECK_EQ(the_port(), 1);
    }
    CHECK_EQ(makes, 1);
    CHECK_EQ(weft_now(), weft_ms(2)); /* the others waited for the one */
}
TEST(a_value_is_made_once_for_all_who_ask) { often(WEFT_CLOCK_AUTO, lazies, 20); }

static int asks(weft_duration d);
WEFT_TASK(asks, int, weft_duration);
static int asks(weft_duration d) {
    weft_sleep(d);
    return the_port();
}
static void asked_after_the_provider(void *arg) {
    static int forty = 40;
    asks_fiber f[3];
    (void)arg;
    makes = 0;
    const weft_binding list[] = {WEFT_BIND_LAZY(port, slow_port, &forty)};
    WEFT_PROVIDE_LIST(list, 1) {
        for (int i = 0; i < 3; i++) CHECK(weft_ok(weft_spawn(&f[i], asks, weft_ms(i + 1))));
    }
    for (int i = 0; i < 3; i++) {
        int n = 0;
        CHECK(weft_ok(weft_await(f[i], asks, &n)));
        CHECK_EQ(n, 40);
        weft_drop(f[i]);
    }
    CHECK_EQ(makes, 1);
}
TEST(a_value_is_made_once_also_for_who_outlives_the_provider) { often(WEFT_CLOCK_AUTO, asked_after_the_provider, 20); }

static weft_exit alpha_of_beta(long *value, void *arg) {
    long b = 0;
    (void)arg;
    weft_exit e = weft_env_get(beta, &b);
    *value = b + 1;
    return e;
}
static weft_exit beta_of_port(long *value, void *arg) {
    (void)arg;
    *value = the_port() * 10;
    return weft_done;
}
static void depend(void *arg) {
    (void)arg;
    const weft_binding list[] = {WEFT_BIND_LAZY(alpha, alpha_of_beta, NULL), WEFT_BIND_LAZY(beta, beta_of_port, NULL)};
    WEFT_PROVIDE(port, 4) WEFT_PROVIDE_LIST(list, 2) {
        WEFT_PROVIDE(port, 5) CHECK_EQ(*weft_env(alpha), 41); /* where it is provided counts, not where it is asked for */
        CHECK_EQ(*weft_env(beta), 40);
    }
}
TEST(a_value_that_is_made_sees_where_it_is_provided) {
    on_clock(WEFT_CLOCK_AUTO, depend);
    depend(NULL);
}

static weft_exit third_time(int *value, void *arg) {
    (void)arg;
    *value = 3;
    if (atomic_fetch_add(&makes, 1) < 2) return weft_failf(301, "not yet, time %d", makes);
    return weft_done;
}
static void fails_first(void *arg) {
    int n = 0;
    (void)arg;
    makes = 0;
    const weft_binding list[] = {WEFT_BIND_LAZY(port, third_time, NULL)};
    WEFT_PROVIDE_LIST(list, 1) {
        weft_exit e = weft_env_get(port, &n);
        body_exit(e, (weft_err)301, "time 1");
        weft_exit_drop(e);
        CHECK_EQ(the_port(), -1);
        CHECK_EQ(the_port(), 3);
        CHECK_EQ(the_port(), 3);
    }
    CHECK_EQ(makes, 3);
}
TEST(a_value_that_could_not_be_made_is_made_by_the_next_who_asks) { on_clock(WEFT_CLOCK_AUTO, fails_first); }

static weft_exit asks_for_port(void *arg) { return weft_env_get(port, (int *)arg); }
static void interrupted(void *arg) {
    int forty = 40, n = 0;
    (void)arg;
    makes = 0;
    const weft_binding list[] = {WEFT_BIND_LAZY(port, slow_port, &forty)};
    WEFT_PROVIDE_LIST(list, 1) {
        CHECK_EQ(weft_timeout(weft_ms(1), asks_for_port, &n).code, WEFT_E_TIMEOUT);
        CHECK_EQ(the_port(), 40);
    }
    CHECK_EQ(makes, 2);
}
TEST(who_is_interrupted_while_making_spoils_it_for_nobody) { on_clock(WEFT_CLOCK_AUTO, interrupted); }

/* ---- circles -------------------------------------------------------------------------------------------- */

static weft_exit asks_alpha(long *value, void *arg) {
    if (arg) weft_sleep(*(weft_duration *)arg);
    return weft_env_get(alpha, value);
}
static weft_exit asks_beta(long *value, void *arg) {
    if (arg) weft_sleep(*(weft_duration *)arg);
    return weft_env_get(beta, value);
}
static weft_exit asks_gamma(long *value, void *arg) {
    if (arg) weft_sleep(*(weft_duration *)arg);
    return weft_env_get(gamma_, value);
}
static void circle_in_one(void *arg) {
    long n = 0;
    (void)arg;
    const weft_binding list[] = {WEFT_BIND_LAZY(alpha, asks_beta, NULL), WEFT_BIND_LAZY(beta, asks_gamma, NULL),
                                 WEFT_BIND_LAZY(gamma_, asks_alpha, NULL)};
    WEFT_PROVIDE_LIST(list, 3) {
        weft_exit e = weft_env_get(alpha, &n);
        body_exit(e, WEFT_E_CYCLE, "'gamma_' <- 'beta' <- 'alpha' <- 'gamma_'");
        weft_exit_drop(e);
        CHECK(weft_env(gamma_) == NULL);
    }
    const weft_binding own[] = {WEFT_BIND_LAZY(alpha, asks_alpha, NULL)};
    WEFT_PROVIDE_LIST(own, 1) {
        weft_exit e = weft_env_get(alpha, &n);
        body_exit(e, WEFT_E_CYCLE, "'alpha' <- 'alpha'");
        weft_exit_drop(e);
    }
}
TEST(a_value_made_from_itself_is_a_failure_with_the_way_round) { on_clock(WEFT_CLOCK_AUTO, circle_in_one); }

static long get_alpha(int n);
WEFT_TASK(get_alpha, long, int);
static long get_alpha(int n) {
    long v = n;
    weft_exit e = weft_env_get(alpha, &v);
    return weft_ok(e) ? v : e.code;
}
static long get_beta(int n);
WEFT_TASK(get_beta, long, int);
static long get_beta(int n) {
    long v = n;
    weft_exit e = weft_env_get(beta, &v);
    return weft_ok(e) ? v : e.code;
}
/* alpha is made by one fiber, beta by another, and each then asks for the other. */
static void circle_in_two(void *arg) {
    static weft_duration d;
    long a = 0, b = 0;
    (void)arg;
    d = weft_ms(1);
    const weft_binding list[] = {WEFT_BIND_LAZY(alpha, asks_beta, &d), WEFT_BIND_LAZY(beta, asks_alpha, &d)};
    WEFT_PROVIDE_LIST(list, 2) {
        CHECK(weft_ok(weft_zip_par(WEFT_BR(get_alpha, &a, 0), WEFT_BR(get_beta, &b, 0))));
        CHECK_EQ(a, WEFT_E_CYCLE);
        CHECK_EQ(b, WEFT_E_CYCLE);
    }
}
TEST(a_circle_through_two_fibers_is_told_and_never_hangs) { often(WEFT_CLOCK_AUTO, circle_in_two, 20); }

/* The asking is done by children of what makes the value. */
static weft_exit by_a_child(long *value, void *arg) {
    long a = 0, b = 0;
    (void)arg;
    weft_exit e = weft_zip_par(WEFT_BR(get_beta, &a, 0), WEFT_BR(get_beta, &b, 0));
    *value = a;
    return e;
}
static void circle_by_children(void *arg) {
    static weft_duration d;
    (void)arg;
    d = weft_ms(1);
    const weft_binding list[] = {WEFT_BIND_LAZY(alpha, by_a_child, NULL), WEFT_BIND_LAZY(beta, asks_alpha, &d)};
    WEFT_PROVIDE_LIST(list, 2) CHECK_EQ(*weft_env(alpha), WEFT_E_CYCLE);
}
TEST(children_are_part_of_what_makes_a_value) { often(WEFT_CLOCK_AUTO, circle_by_children, 20); }

/* ---- what is there -------------------------------------------------------------------------------------- */

static void count(const weft_env_entry *e, void *arg) {
    int *n = arg;
    n[0]++;
    n[1] += e->overridden;
    n[2] += e->lazy;
    if (e->key == &port_key && !e->overridden) n[3] = *(const int *)e->value;
}
static void lists(void *arg) {
    char text[400], cut[10];
    int n[4] = {0}, one = 1;
    (void)arg;
    const weft_binding lazy[] = {WEFT_BIND_LAZY(alpha, alpha_of_beta, NULL), WEFT_BIND(hello, {"a", 1})};
    CHECK_EQ(weft_env_format(text, sizeof text), 0);
    WEFT_PROVIDE(port, one) WEFT_PROVIDE_LIST(lazy, 2) WEFT_PROVIDE(port, 2) {
        weft_env_each(count, n);
        CHECK_EQ(n[0], 4);
        CHECK_EQ(n[1], 1);
        CHECK_EQ(n[2], 1);
        CHECK_EQ(n[3], 2);
        size_t length = weft_env_format(text, sizeof text);
        const char *expected = "port: 4 bytes\nhello: 16 bytes\nalpha: 8 bytes, made when asked for, not yet\nport: 4 bytes, overridden";
        if (strcmp(text, expected)) fprintf(stderr, "%s\n", text);
        CHECK(!strcmp(text, expected));
        CHECK_EQ(length, strlen(expected));
        CHECK_EQ(weft_env_format(cut, sizeof cut), strlen(expected));
        CHECK(!strcmp(cut, "port: 4 b"));
        CHECK_EQ(weft_env_format(NULL, 0), strlen(expected));
    }
}
TEST(the_whole_environment_can_be_listed) {
    on_clock(WEFT_CLOCK_AUTO, lists);
    lists(NULL);
}

/* ---- misuse --------------------------------------------------------------------------------------------- */

TEST(a_list_that_is_none_is_refused) {
    int n = 5;
    const weft_binding no_key[] = {{NULL, &n, NULL, NULL}}, no_value[] = {{&port_key, NULL, NULL, NULL}};
    CHECK_EQ(weft_provide_list(no_key, 1, port_plus, &n, 1).code, WEFT_E_INVALID);
    CHECK_EQ(weft_provide_list(no_value, 1, port_plus, &n, 1).code, WEFT_E_INVALID);
    CHECK_EQ(weft_provide_list(NULL, 1, port_plus, &n, 1).code, WEFT_E_INVALID);
    CHECK(weft_ok(weft_provide_list(NULL, 0, port_plus, &n, 1)));
    CHECK_EQ(n, 0);
}

static void bad_statement(void *arg) {
    (void)arg;
    WEFT_PROVIDE_LIST((const weft_binding *)NULL, 2) {}
}
static void forgets_a_child(void *arg) {
    static port_plus_task t;
    (void)arg;
    WEFT_PROVIDE(port, 1) weft_fork(&t, port_plus, 1);
}
static void forgets(void *arg) {
    (void)arg;
    weft_run(NULL, forgets_a_child, NULL);
}
TEST(misuse_is_told) {
    EXPECT_DEATH(bad_statement, NULL, SIGABRT, "WEFT_BIND");
    EXPECT_DEATH(forgets, NULL, SIGABRT, "outstanding");
}

TEST_MAIN
