/* Children that end their parent's body: where they run, when, and what else happens meanwhile.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/handler_effects.h"
#include <weft/promise.h>
#include <weft/test.h>

static _Atomic int finished; /* bodies and children that ended */

/* Waits, perhaps, performs, and finds itself stopped. */
typedef struct ender {
    int ms, with, fails;
    bool outside; /* it is not within what it ends */
} ender;
static long ends(ender how);
WEFT_TASK(ends, long, ender);
static long ends(ender how) {
    if (how.ms && !weft_ok(weft_sleep(weft_ms(how.ms)))) { /* another was faster */
        finished++;
        return -2;
    }
    if (how.fails) {
        weft_failf(how.fails, "failure number %d", how.fails);
        finished++;
        return -3;
    }
    weft_exit e = weft_perform(stop, NULL, how.with);
    if (thread_fiber()) CHECK_EQ(weft_checkpoint().tag, how.outside ? WEFT_EXIT_OK : WEFT_EXIT_INTERRUPT);
    CHECK(is_aborted(e));
    finished++;
    return -1;
}

static weft_handler shared_stop(void) {
    static const weft_clause stops[] = {WEFT_ABORT(stop, on_stop)};
    return (weft_handler){.clauses = stops, .n = 1, .shared = true};
}

static void ends_with(long from, long to, weft_exit e, long r) {
    CHECK(weft_ok(e));
    CHECK(from <= r && r <= to);
    CHECK(weft_ok(weft_checkpoint()));
    CHECK(!weft_stopping());
}

/* ---- forked --------------------------------------------------------------------------------------------- */

static long forks_enders(int ms);
WEFT_TASK(forks_enders, long, int);
static long forks_enders(int ms) {
    ends_task t[3];
    for (int i = 0; i < 3; i++) weft_fork(&t[i], ends, .ms = ms, .with = i + 1);
    if (ms) weft_sleep(weft_ms(ms));
    for (int i = 2; i >= 0; i--) CHECK(weft_join(&t[i], ends) < 0);
    if (thread_fiber()) CHECK_EQ(weft_checkpoint().tag, WEFT_EXIT_INTERRUPT);
    finished++;
    return 0;
}
static void forked(void *arg) {
    weft_handler h = shared_stop();
    (void)arg;
    for (int ms = 0; ms < 2; ms++) {
        long r = 0;
        finished = 0;
        weft_exit e = weft_handle(&h, forks_enders, &r, ms);
        ends_with(1, 3, e, r);
        CHECK_EQ(finished, 4);
    }
}
TEST(a_forked_child_ends_its_parents_body_wherever_it_runs) {
    forked(NULL);
    often(WEFT_CLOCK_AUTO, forked, 20);
}

static int not_shared(int n);
WEFT_TASK(not_shared, int, int);
static int child_of_unshared(int n);
WEFT_TASK(child_of_unshared, int, int);
static int child_of_unshared(int n) {
    weft_exit e = weft_perform(stop, NULL, n);
    weft_exit_drop(e);
    return e.code;
}
static int not_shared(int n) {
    child_of_unshared_task t;
    int a = 0, b = 0;
    weft_fork(&t, child_of_unshared, n);
    CHECK_EQ(weft_join(&t, child_of_unshared), WEFT_E_UNHANDLED);
    CHECK(weft_ok(weft_zip_par(WEFT_BR(child_of_unshared, &a, 1), WEFT_BR(child_of_unshared, &b, 2))));
    CHECK(a == WEFT_E_UNHANDLED && b == WEFT_E_UNHANDLED);
    return 5;
}
static void unshared(void *arg) {
    int r = 0;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ABORT(stop, on_stop));
    (void)arg;
    CHECK(weft_ok(weft_handle(&h, not_shared, &r, 1)));
    CHECK_EQ(r, 5);
}
TEST(a_child_cannot_end_a_body_whose_handler_is_not_shared) { everywhere(unshared); }

/* ---- branches ------------------------------------------------------------------------------------------- */

static int how; /* of the combinators below */
static weft_exit combined(ender a, ender b) {
    long x = 5, y = 5;
    weft_exit exits[2];
    switch (how) {
    case 0:
        return weft_zip_par(WEFT_BR(ends, &x, a.ms, a.with, a.fails, false), WEFT_BR(ends, &y, b.ms, b.with, b.fails, false));
    case 1:
        return weft_race(NULL, WEFT_BR(ends, &x, a.ms, a.with, a.fails, false),
                         WEFT_BR(ends, &y, b.ms, b.with, b.fails, false));
    case 2:
        return weft_any(NULL, WEFT_BR(ends, &x, a.ms, a.with, a.fails, false),
                        WEFT_BR(ends, &y, b.ms, b.with, b.fails, false));
    case 3:
        return weft_all_settled(exits, WEFT_BR(ends, &x, a.ms, a.with, a.fails, false),
                                WEFT_BR(ends, &y, b.ms, b.with, b.fails, false));
    case 4: return weft_for_each_par(ends, ((ender[]){a, b}), 2, NULL, .parallelism = 2);
    case 5:
        return weft_timeout_to(weft_s(1), WEFT_BR(ends, &x, a.ms, a.with, a.fails, false),
                               WEFT_BR(ends, &y, b.ms, b.with, b.fails, false));
    default:
        return weft_hedge(NULL, weft_ms(1), WEFT_BR(ends, &x, a.ms, a.with, a.fails, false),
                          WEFT_BR(ends, &y, b.ms, b.with, b.fails, false));
    }
}
enum { COMBINATORS = 7 };
typedef struct both {
    ender a, b;
} both;
static long combines(both w);
WEFT_TASK(combines, long, both);
static long combines(both w) {
    weft_exit e = combined(w.a, w.b);
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT); /* never a value, never another failure */
    CHECK_EQ(weft_yield().tag, WEFT_EXIT_INTERRUPT);
    finished++;
    return 0;
}
static void branches(void *arg) {
    weft_handler h = shared_stop();
    (void)arg;
    for (how = 0; how < COMBINATORS; how++)
        for (int ms = 0; ms < 4; ms++) {
            long r = 0;
            finished = 0;
            weft_exit e = weft_handle(&h, combines, &r, {ms & 1, 1, 0, false}, {ms >> 1, 2, 0, false});
            ends_with(1, 2, e, r);
            CHECK(finished >= 2);
        }
}
TEST(a_branch_ends_the_body_around_its_combinator) { often(WEFT_CLOCK_AUTO, branches, 20); }

/* A sibling fails, before or after. */
static long combines_failing(both w);
WEFT_TASK(combines_failing, long, both);
static long combines_failing(both w) {
    weft_exit e = combined(w.a, w.b);
    CHECK(!weft_ok(e) || how == 3 || how == 5);
    finished++;
    return 7;
}
static void failing(void *arg) {
    weft_handler h = shared_stop();
    (void)arg;
    for (how = 0; how < 5; how++)
        for (int ms = 0; ms < 4; ms++) {
            long r = 0;
            bool first = how != 2 && how != 3 && !(ms & 1) && ms >> 1; /* the failure decides before the other performs */
            CHECK(weft_ok(weft_handle(&h, combines_failing, &r, {ms & 1, 1, 305, false}, {ms >> 1, 2, 0, false})));
            CHECK(first ? r == 7 : r == 2 || r == 7);
            if (how == 2 || how == 3) CHECK_EQ(r, 2);
            CHECK(weft_ok(weft_checkpoint()));
        }
}
TEST(a_failing_sibling_and_an_abort_leave_one_of_the_two) { often(WEFT_CLOCK_AUTO, failing, 20); }

/* ---- spawned -------------------------------------------------------------------------------------------- */

static long waits_for_end(int n);
WEFT_TASK(waits_for_end, long, int);
static long waits_for_end(int n) {
    ends_fiber f[2];
    weft_exit e, told;
    WEFT_SCOPE(s, &e) {
        CHECK(weft_ok(weft_spawn(&f[0], ends, .ms = 1, .with = n)));
        CHECK(weft_ok(weft_spawn(&f[1], ends, .ms = 1, .with = n + 1)));
        told = weft_sleep(weft_s(1000)); /* is woken */
        CHECK_EQ(told.tag, WEFT_EXIT_INTERRUPT);
    }
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    CHECK(weft_now() < weft_s(1000));
    finished++;
    return 0;
}
static void spawned(void *arg) {
    weft_handler h = shared_stop();
    long r = 0;
    (void)arg;
    finished = 0;
    weft_exit e = weft_handle(&h, waits_for_end, &r, 1);
    ends_with(1, 2, e, r);
    CHECK_EQ(finished, 3);
}
TEST(a_spawned_fiber_ends_a_body_that_waits) { often(WEFT_CLOCK_AUTO, spawned, 20); }

/* It belongs to the scope around the handler, and is not within. */
static long awaits_ender(int n);
WEFT_TASK(awaits_ender, long, int);
static long awaits_ender(int n) {
    ends_fiber f;
    CHECK(weft_ok(weft_spawn(&f, ends, .with = n, .outside = true)));
    weft_mask m;
    weft_mask_begin(&m);
    weft_exit e = weft_await(f, ends, NULL);
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(e.code, WEFT_E_CANCELLED);
    weft_mask_end(&m);
    weft_drop(f);
    return 0;
}
static void says_so(void *arg) {
    weft_handler h = shared_stop();
    long r = 0;
    (void)arg;
    weft_exit e = weft_handle(&h, awaits_ender, &r, 3);
    ends_with(3, 3, e, r);
}
TEST(a_spawned_fiber_that_ended_a_body_was_interrupted) { on_clock(WEFT_CLOCK_AUTO, says_so); }

/* Through handlers in between, of the fiber itself and of the body. */
static long between(int n);
WEFT_TASK(between, long, int);
static long between(int n) {
    weft_handler h = NUMBERED_SHARED(3);
    long a = 0, b = 0;
    if (n) {
        weft_exit e = weft_handle(&h, between, &a, n - 1);
        CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    } else {
        CHECK_EQ(weft_zip_par(WEFT_BR(ends, &a, .ms = 1, .with = 1), WEFT_BR(ends, &b, .ms = 2, .with = 2)).tag,
                 WEFT_EXIT_INTERRUPT);
    }
    return 0;
}
static long spawns_between(int n);
WEFT_TASK(spawns_between, long, int);
static long spawns_between(int n) {
    weft_exit e;
    WEFT_SCOPE(s, &e) CHECK(weft_ok(weft_spawn((between_fiber *)NULL, between, n)));
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    return 0;
}
static void through_handlers(void *arg) {
    weft_handler h = shared_stop();
    long r = 0;
    (void)arg;
    weft_exit e = weft_handle(&h, spawns_between, &r, 4);
    ends_with(1, 1, e, r);
    e = weft_handle(&h, between, &r, 4);
    ends_with(1, 1, e, r);
}
TEST(a_childs_abort_goes_through_handlers_between) { often(WEFT_CLOCK_AUTO, through_handlers, 10); }

/* The body returns at the same moment: ended, or over and stale. */
static _Atomic int stale, ended;
static int late(int yields);
WEFT_TASK(late, int, int);
static int late(int yields) {
    while (yields-- > 0) weft_yield();
    weft_exit e = weft_perform(stop, NULL, 9);
    if (e.code == WEFT_E_STALE)
        stale++;
    else if (is_aborted(e))
        ended++;
    weft_exit_drop(e);
    return 0;
}
static late_fiber latecomer;
static long returns_soon(int yields);
WEFT_TASK(returns_soon, long, int);
static long returns_soon(int yields) {
    CHECK(weft_ok(weft_spawn_with(&latecomer, late, {.detached = true}, yields & 3)));
    for (int i = yields >> 2; i > 0; i--) weft_yield();
    return 1;
}
static void at_the_end(void *arg) {
    weft_handler h = shared_stop();
    (void)arg;
    for (int i = 0; i < 16; i++) {
        long r = 0;
        stale = ended = 0;
        CHECK(weft_ok(weft_handle(&h, returns_soon, &r, i)));
        weft_await(latecomer, late, NULL);
        weft_drop(latecomer);
        CHECK_EQ(stale + ended, 1);
        CHECK_EQ(r, ended ? 9 : 1);
        CHECK(weft_ok(weft_checkpoint()));
    }
}
TEST(an_abort_that_races_with_the_bodys_return_is_one_or_the_other) { often(WEFT_CLOCK_AUTO, at_the_end, 50); }

/* ---- schedules ------------------------------------------------------------------------------------------ */

typedef struct tree {
    int depth, number;
} tree;
static long grows(tree t);
WEFT_TASK(grows, long, tree);
static long grows(tree t) {
    long a = 0, b = 0;
    CHECK(asked() >= 0);
    if (t.depth == 0) {
        if (t.number % 3 == 0) weft_perform(stop, NULL, t.number);
        return weft_ok(weft_yield()) ? 1 : 0;
    }
    weft_handler h[] = {NUMBERED_SHARED(t.depth), NUMBERED(100)};
    switch (t.number % 4) {
    case 0:
        weft_zip_par(WEFT_BR(grows, &a, t.depth - 1, 2 * t.number), WEFT_BR(grows, &b, t.depth - 1, 2 * t.number + 1));
        break;
    case 1: weft_handle_list(h, 2, grows, &a, t.depth - 1, 3 * t.number + 1); break;
    case 2: {
        weft_handler ends_here = shared_stop();
        if (weft_ok(weft_handle(&ends_here, grows, &a, t.depth - 1, 2 * t.number + 1))) b = 1;
        break;
    }
    default:
        WEFT_SCOPE(s, NULL) {
            weft_spawn((grows_fiber *)NULL, grows, t.depth - 1, 2 * t.number);
            weft_start(s, grows, t.depth - 1, t.number + 1);
        }
    }
    return a + b;
}
TEST(trees_of_bodies_and_children_end_under_every_schedule) {
    WEFT_TEST(t, .runs = 300) {
        weft_handler h = shared_stop();
        long r = -1;
        const weft__evidence *before = thread_fiber()->pub.env;
        weft_check(t, weft_ok(weft_handle(&h, grows, &r, 5, (int)(1 + t.seed % 16))));
        weft_check(t, r >= 0);
        weft_check(t, weft_ok(weft_checkpoint()));
        weft_check(t, thread_fiber()->pub.env == before && asked() == 0);
    }
}
TEST(races_of_aborts_end_under_every_schedule) {
    WEFT_TEST(t, .runs = 200) { branches(NULL); }
    WEFT_TEST(t, .runs = 200) { at_the_end(NULL); }
    WEFT_TEST(t, .runs = 200, .explore = WEFT_EXPLORE_PCT) { through_handlers(NULL); }
}

TEST_MAIN
