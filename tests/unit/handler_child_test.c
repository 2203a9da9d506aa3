/* Children of a body: which handlers they see, wherever they run, and how they end their parent's body.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/handler_effects.h"
#include <weft/env.h>
#include <weft/kernel.h>
#include <weft/loop.h>
#include <weft/test.h>

/* What a child is asked for: now, or after it has waited, by itself or by a child of its own. */
typedef struct child {
    int ms, depth;
} child;
static long sees(child c);
WEFT_TASK(sees, long, child);
static long sees(child c) {
    if (c.ms && thread_fiber() && !weft_ok(weft_sleep(weft_ms(c.ms)))) return -1; /* it has lost */
    if (!c.depth) return asked();
    sees_task t;
    weft_fork(&t, sees, 0, c.depth - 1);
    long mine = asked(), its = weft_join(&t, sees);
    CHECK_EQ(mine, its);
    return its;
}

/* ---- who sees what -------------------------------------------------------------------------------------- */

static long expected;   /* what children find; */
static long own;        /* and the body itself */

static void forks(int ms) {
    sees_task t[4];
    for (int i = 0; i < 4; i++) weft_fork(&t[i], sees, i == 2 ? ms : 0, i);
    CHECK_EQ(asked(), own);
    for (int i = 3; i >= 0; i--) CHECK_EQ(weft_join(&t[i], sees), expected);
    for (int i = 0; i < 4; i++) weft_fork(&t[i], sees, i == 1 ? ms : 0, i);
    for (int i = 0; i < 4; i++) CHECK_EQ(weft_join(&t[i], sees), expected); /* the other way round */
    CHECK_EQ(asked(), own);
}

static weft_exit one_of_each(void *arg, size_t i, void *value) {
    (void)i;
    CHECK_EQ(*(long *)value, expected);
    CHECK_EQ(asked(), own); /* the caller's function: no child */
    ++*(int *)arg;
    return fine;
}
static void branches(int ms) {
    long a = 0, b = 0, c = 0, out[6];
    child in[6];
    int n = 0;
    for (int i = 0; i < 6; i++) in[i] = (child){i % 2 ? ms : 0, i % 3};
    CHECK(weft_ok(weft_zip_par(WEFT_BR(sees, &a, ms, 1), WEFT_BR(sees, &b, 0, 0), WEFT_BR(sees, &c, ms, 0))));
    CHECK(a == expected && b == expected && c == expected);
    CHECK_EQ(asked(), own);
    CHECK(weft_ok(weft_race(NULL, WEFT_BR(sees, &a, ms, 0), WEFT_BR(sees, &a, 2 * ms, 1))));
    CHECK_EQ(a, expected);
    CHECK(weft_ok(weft_any(NULL, WEFT_BR(sees, &b, ms, 1), WEFT_BR(sees, &b, ms, 1))));
    CHECK_EQ(b, expected);
    CHECK(weft_ok(weft_all_settled(NULL, WEFT_BR(sees, &c, 0, 1), WEFT_BR(sees, &a, ms, 2))));
    CHECK(a == expected && c == expected);
    CHECK(weft_ok(weft_timeout_to(weft_s(1), WEFT_BR(sees, &a, ms, 1), WEFT_BR(sees, &a, 0, 0))));
    CHECK_EQ(a, expected);
    CHECK(weft_ok(weft_hedge(NULL, weft_us(10), WEFT_BR(sees, &b, ms, 1), WEFT_BR(sees, &b, ms, 0))));
    CHECK_EQ(b, expected);
    CHECK_EQ(asked(), own);
    CHECK(weft_ok(weft_for_each_par(sees, in, 6, out, .parallelism = 3)));
    for (int i = 0; i < 6; i++) CHECK_EQ(out[i], expected);
    CHECK(weft_ok(weft_map(sees, in, 6, out)));
    for (int i = 0; i < 6; i++) CHECK_EQ(out[i], expected);
    CHECK(weft_ok(weft_stream_each(sees, in, 6, one_of_each, &n, .parallelism = 3, .window = 4)));
    CHECK_EQ(n, 6);
    CHECK_EQ(asked(), own);
}

static _Atomic int iterations;
static inline void iterates(size_t i, long expects);
WEFT_LOOP(iterates, long);
static inline void iterates(size_t i, long expects) {
    (void)i;
    CHECK_EQ(asked(), expects);
    iterations++;
}
static void loops(void) {
    iterations = 0;
    CHECK(weft_ok(weft_parallel_for_with(iterates, 40, {.grain = 4}, expected)));
    CHECK_EQ(iterations, 40);
    CHECK_EQ(asked(), own);
}

static int in_scope(child c);
WEFT_TASK(in_scope, int, child);
static int in_scope(child c) {
    CHECK_EQ(sees(c), expected);
    return 0;
}
static void scopes(int ms) {
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        for (int i = 0; i < 4; i++) CHECK(weft_ok(weft_start(s, in_scope, i % 2 ? ms : 0, i)));
        CHECK_EQ(asked(), own);
        WEFT_SCOPE(inner, NULL) CHECK(weft_ok(weft_start(s, in_scope, ms, 1))); /* from inside: spawned */
    }
    CHECK(weft_ok(e));
    CHECK_EQ(asked(), own);
}

static void spawns(int ms) {
    sees_fiber f[3];
    if (!thread_fiber()) return;
    for (int i = 0; i < 3; i++) CHECK(weft_ok(weft_spawn(&f[i], sees, i ? ms : 0, i)));
    for (int i = 0; i < 3; i++) {
        long n = -1;
        CHECK(weft_ok(weft_await(f[i], sees, &n)));
        CHECK_EQ(n, expected);
        weft_drop(f[i]);
    }
}

static int family(int ms);
WEFT_TASK(family, int, int);
static int family(int ms) {
    forks(ms);
    branches(ms);
    loops();
    scopes(ms);
    spawns(ms);
    forks(ms);
    return 0;
}

static void under(long outer, long inner, bool outer_shared, bool inner_shared) {
    weft_handler h[] = {NUMBERED(outer), NUMBERED(inner)};
    h[0].shared = outer_shared;
    h[1].shared = inner_shared;
    for (int ms = 0; ms < 2; ms++) {
        own = inner;
        expected = inner_shared ? inner : outer_shared ? outer : 0;
        CHECK(weft_ok(weft_handle_list(h, 2, family, NULL, ms)));
    }
}
static void who_sees_what(void *arg) {
    (void)arg;
    under(3, 5, false, false);
    under(3, 5, true, false);
    under(3, 5, false, true);
    under(3, 5, true, true);
    own = expected = 0;
    family(0);
}
TEST(children_see_what_is_shared_and_nothing_else_wherever_they_run) { often(WEFT_CLOCK_AUTO, who_sees_what, 10); }
TEST(children_on_plain_threads_see_what_is_shared_and_nothing_else) { who_sees_what(NULL); }

WEFT_KEY(colour, int);

/* The clause has children, installs something, passes: afterwards the body's children see as little as before. */
static weft_exit busy_clause(const twice_op *op, long *reply, void *self) {
    sees_task t;
    long a, b;
    weft_handler h = NUMBERED(7);
    (void)self;
    weft_fork(&t, sees, 0, 0);
    weft_join(&t, sees);
    CHECK(weft_ok(weft_zip_par(WEFT_BR(sees, &a, 0, 0), WEFT_BR(sees, &b, 0, 0))));
    CHECK(weft_ok(weft_handle(&h, sees, NULL, 0, 0)));
    WEFT_PROVIDE(colour, 3) weft_checkpoint();
    asked();
    *reply = op->of;
    return op->of ? weft_done : weft_pass;
}
static int after_clauses(int ms);
WEFT_TASK(after_clauses, int, int);
static int after_clauses(int ms) {
    for (int i = 1; i >= 0; i--) {
        weft_exit_drop(weft_perform(twice, NULL, i));
        forks(ms);
        branches(ms);
    }
    return 0;
}
static weft_exit watches(const weft_effect *effect, const void *payload, const weft_place *at, void *self) {
    sees_task t;
    (void)payload, (void)at, (void)self;
    if (effect == &who_effect) return fine;
    weft_fork(&t, sees, 0, 0);
    weft_join(&t, sees);
    return fine;
}
static weft_exit hands_on(const who_op *op, long *reply, void *self) { return (void)op, (void)reply, (void)self, weft_pass; }
static void clauses_forget_nothing(void *arg) {
    (void)arg;
    weft_handler h[] = {NUMBERED_SHARED(3), WEFT_SHARED_HANDLER(NULL, WEFT_TAIL(who, hands_on)),
                        WEFT_HANDLER(NULL, WEFT_TAIL(twice, busy_clause)), NUMBERED(5), WEFT_OBSERVER(watches, NULL)};
    own = 5;
    expected = 3;
    for (int ms = 0; ms < 2; ms++) {
        CHECK(weft_ok(weft_handle_list(h, 4, after_clauses, NULL, ms)));
        CHECK(weft_ok(weft_handle_list(h, 5, after_clauses, NULL, ms)));
    }
}
TEST(what_a_clause_does_is_nothing_to_the_bodys_children) { everywhere(clauses_forget_nothing); }

/* ---- evidence after every way out ----------------------------------------------------------------------- */

static weft_exit too_late(void *arg) {
    (void)arg;
    CHECK_EQ(asked(), own);
    weft_sleep(weft_s(1));
    return fine;
}
static weft_exit leaves_early(void) {
    WEFT_SCOPE(s, NULL) {
        CHECK(weft_ok(weft_start(s, in_scope, 0, 1)));
        weft_handler h = NUMBERED(9);
        CHECK(weft_ok(weft_handle(&h, sees, NULL, 0, 0)));
        return fine;
    }
    return fine;
}
static weft_exit on_halt_and_asks(const halt_op *op, void *answer, void *self) {
    (void)self;
    *(long *)answer = op->with + asked();
    return weft_done;
}
static long halts(int n);
WEFT_TASK(halts, long, int);
static long halts(int n) {
    weft_handler h = NUMBERED(8);
    if (n == 0) CHECK(is_aborted(weft_perform(halt, NULL, 1)));
    return n ? weft_handle(&h, halts, NULL, n - 1).code : 0;
}
static int ways_out(int ms);
WEFT_TASK(ways_out, int, int);
static int ways_out(int ms) {
    long r = 0;
    CHECK_EQ(weft_timeout(weft_ms(1), too_late, NULL).code, WEFT_E_TIMEOUT);
    forks(ms);
    leaves_early();
    forks(ms);
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ABORT(halt, on_halt_and_asks));
    CHECK(weft_ok(weft_handle(&h, halts, &r, 3)));
    CHECK_EQ(r, own + 1);
    forks(ms);
    branches(ms);
    return 0;
}
static void restored(void *arg) {
    (void)arg;
    weft_handler h[] = {NUMBERED_SHARED(3), NUMBERED(5)};
    own = 5;
    expected = 3;
    CHECK(weft_ok(weft_handle_list(h, 2, ways_out, NULL, 0)));
    CHECK(weft_ok(weft_handle_list(h, 2, ways_out, NULL, 1)));
    CHECK_EQ(asked(), 0);
}
TEST(every_way_out_puts_back_what_was_in_force) { on_clock(WEFT_CLOCK_AUTO, restored); }

/* ---- fibers that outlive the frame ---------------------------------------------------------------------- */

static long later(weft_gate *g);
typedef weft_gate *gate_ref;
WEFT_TASK(later, long, gate_ref);
static long later(weft_gate *g) {
    char text[300];
    CHECK(weft_ok(weft_gate_wait(g)));
    weft_exit e = weft_perform(stop, NULL, 1);
    CHECK_EQ(e.tag, WEFT_EXIT_DIE);
    CHECK_EQ(e.code, WEFT_E_STALE);
    weft_exit_format(e, text, sizeof text);
    CHECK(strstr(text, "'stop'"));
    CHECK(strstr(text, "handler used after its frame"));
    weft_exit_drop(e);
    weft_handler h = NUMBERED(2);
    long inner = 0;
    CHECK(weft_ok(weft_handle(&h, asks, &inner, 0)));
    CHECK_EQ(inner, 2);
    sees_fiber f;
    CHECK(weft_ok(weft_spawn(&f, sees, 1, 2)));
    long its = 0;
    CHECK(weft_ok(weft_await(f, sees, &its)));
    weft_drop(f);
    CHECK_EQ(its, 3);
    return asked() + sees((child){1, 2});
}
static later_fiber left;
static int leaves_one(weft_gate *g);
WEFT_TASK(leaves_one, int, gate_ref);
static int leaves_one(weft_gate *g) {
    CHECK(weft_ok(weft_spawn_with(&left, later, {.detached = true}, g)));
    return 0;
}
static void outlives(void *arg) {
    static const long three = 3;
    static const weft_clause clauses[] = {WEFT_TAIL(who, on_who), WEFT_ABORT(stop, on_stop)};
    weft_handler h = {.clauses = clauses, .n = 2, .self = (void *)(uintptr_t)&three, .shared = true};
    weft_gate g;
    long n = 0;
    (void)arg;
    weft_gate_init(&g);
    CHECK(weft_ok(weft_handle(&h, leaves_one, NULL, &g)));
    weft_gate_open(&g);
    CHECK(weft_ok(weft_await(left, later, &n)));
    CHECK_EQ(n, 6);
    weft_drop(left);
}
TEST(a_spawned_fiber_keeps_shared_handlers_but_cannot_end_a_body_that_is_over) { often(WEFT_CLOCK_AUTO, outlives, 20); }

TEST_MAIN
