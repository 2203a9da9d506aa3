/* Once clauses and what else a body does: it waits, is asked to stop, forks, spawns, moves from fiber to fiber.
 *
 * Time is virtual, so each time below is exact on any number of workers.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/once_bodies.h"
#include <weft/sync.h>

/* ---- who goes on with it -------------------------------------------------------------------------------- */

/* Goes on with a kept body until it is over: each turn by another fiber. */
typedef struct baton {
    kept *to;
    long *out;
} baton;
static long takes_a_turn(baton b);
WEFT_TASK(takes_a_turn, long, baton);
static long takes_a_turn(baton b) {
    weft_k k = b.to->k;
    weft_exit e = weft_resume(k, ask, 1, b.out);
    CHECK(weft_ok(e));
    CHECK_EQ(weft_resume(k, ask, 1, b.out).code, WEFT_E_TWICE);
    return 0;
}
static void passed_around(void *arg) {
    enum { TURNS = 50 };
    kept to = {.n = 0};
    long out = -1;
    weft_handler h = KEEPER(&to);
    (void)arg;
    CHECK(weft_ok(weft_handle(&h, sums, &out, TURNS)));
    for (int i = 0; i < TURNS; i++) {
        takes_a_turn_fiber f;
        CHECK_EQ(out, -1);
        CHECK(weft_ok(weft_spawn(&f, takes_a_turn, &to, &out)));
        CHECK(weft_ok(weft_await(f, takes_a_turn, NULL)));
        weft_drop(f);
    }
    CHECK_EQ(out, TURNS);
}
TEST(a_kept_body_goes_on_in_any_fiber) { often(WEFT_CLOCK_AUTO, passed_around, 50); }

/* Two fibers throw bodies at each other through a slot; whoever gets one first goes on with it. */
enum { BODIES = 8, ASKS = 20 };
typedef struct pool {
    weft_mutex lock;
    weft_k some[BODIES];
    int n, over, uses;
} pool;
static weft_exit to_the_pool(weft_k k, const ask_op *op, void *answer, void *self) {
    pool *p = self;
    (void)op, (void)answer;
    k = weft_keep(k);
    weft_mutex_lock(&p->lock);
    p->some[p->n++] = k;
    weft_mutex_unlock(&p->lock);
    return weft_done;
}
static long naps(long n);
WEFT_TASK(naps, long, long);
static long naps(long n) {
    long sum = 0;
    for (long i = 0; i < n; i++) {
        long r = 0;
        CHECK(weft_ok(weft_perform(ask, &r, i)));
        if (i % 3 == 0) CHECK(weft_ok(weft_yield()));
        if (i % 5 == 0) CHECK(weft_ok(weft_sleep(weft_us(1))));
        sum += r;
    }
    return sum;
}
static long grabs(pool *p);
WEFT_TASK(grabs, long, pool *);
static long grabs(pool *p) {
    for (bool all = false; !all;) {
        weft_k k = {NULL, 0};
        weft_mutex_lock(&p->lock);
        if (p->n) k = p->some[--p->n];
        p->uses += k.body != NULL;
        all = p->over == BODIES;
        weft_mutex_unlock(&p->lock);
        long out = -1;
        if (k.body) CHECK(weft_ok(weft_resume(k, ask, 2, &out)));
        else CHECK(weft_ok(weft_sleep(weft_us(1))));
        if (out >= 0) {
            CHECK_EQ(out, 2 * ASKS);
            weft_mutex_lock(&p->lock);
            p->over++;
            weft_mutex_unlock(&p->lock);
        }
    }
    return 0;
}
static void thrown(void *arg) {
    pool p = {.lock = WEFT_MUTEX};
    grabs_fiber f[3];
    weft_handler h = WEFT_HANDLER(&p, WEFT_ONESHOT(ask, to_the_pool));
    (void)arg;
    for (int i = 0; i < BODIES; i++) CHECK(weft_ok(weft_handle(&h, naps, NULL, ASKS)));
    for (int i = 0; i < 3; i++) CHECK(weft_ok(weft_spawn(&f[i], grabs, &p)));
    for (int i = 0; i < 3; i++) {
        CHECK(weft_ok(weft_await(f[i], grabs, NULL)));
        weft_drop(f[i]);
    }
    CHECK_EQ(p.uses, BODIES * ASKS);
}
TEST(bodies_are_thrown_among_fibers_while_they_wait_now_and_then) { often(WEFT_CLOCK_AUTO, thrown, 50); }

/* ---- interrupts ----------------------------------------------------------------------------------------- */

/* Asks, sleeps, asks, sleeps: tells what the sleeps said. */
typedef struct sleepy {
    weft_exit *said;
    weft_duration d;
} sleepy;
static long sleeps(sleepy s);
WEFT_TASK(sleeps, long, sleepy);
static long sleeps(sleepy s) {
    for (int i = 0; i < 2; i++) {
        weft_perform(ask, NULL, i);
        s.said[i] = weft_sleep(s.d);
    }
    return 1;
}
static void deadline_around(void *arg) {
    kept to = {.n = 0};
    weft_exit said[2] = {fine, fine}, e, scope;
    weft_handler h = KEEPER(&to);
    (void)arg;
    weft_time at = weft_now();
    CHECK(weft_ok(weft_handle(&h, sleeps, NULL, said, weft_s(10))));
    WEFT_SCOPE(s, &scope, .timeout = weft_s(3)) {
        e = weft_resume(to.k, ask, 0, NULL); /* sleeps in here, and is kept again */
        CHECK_EQ(said[0].tag, WEFT_EXIT_INTERRUPT);
        CHECK(weft_ok(e));
    }
    CHECK_EQ(scope.code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_now() - at, weft_s(3));
    e = weft_resume(to.k, ask, 0, NULL); /* nothing around it now */
    CHECK(weft_ok(said[1]));
    CHECK_EQ(weft_now() - at, weft_s(13));
    (void)e;
}
TEST(a_deadline_around_the_driver_of_the_moment_reaches_the_bodys_wait_and_does_not_stick) {
    on_clock(WEFT_CLOCK_AUTO, deadline_around);
}

/* A deadline inside the body passes while it is held. */
static long timed(weft_exit *said);
WEFT_TASK(timed, long, weft_exit *);
static long timed(weft_exit *said) {
    WEFT_SCOPE(s, &said[1], .timeout = weft_s(5)) {
        CHECK(weft_ok(weft_checkpoint()));
        CHECK(weft_ok(weft_sleep(weft_s(1))));
        weft_perform(ask, NULL, 1);
        said[0] = weft_sleep(weft_s(1));
    }
    said[2] = weft_sleep(weft_s(1));
    return 1;
}
static void deadline_inside(void *arg) {
    kept to = {.n = 0};
    weft_exit said[3] = {fine, fine, fine};
    weft_handler h = KEEPER(&to);
    (void)arg;
    CHECK(weft_ok(weft_handle(&h, timed, NULL, said)));
    CHECK(weft_ok(weft_sleep(weft_s(20)))); /* passes: of nobody's business here */
    long out = 0;
    CHECK(weft_ok(weft_resume(to.k, ask, 0, &out)));
    CHECK_EQ(out, 1);
    CHECK_EQ(said[0].tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(said[1].code, WEFT_E_TIMEOUT);
    CHECK(weft_ok(said[2]));
}
TEST(a_deadline_in_the_body_that_passed_while_it_was_held_is_found_when_it_goes_on) {
    on_clock(WEFT_CLOCK_AUTO, deadline_inside);
}

/* Whoever drives is interrupted. */
static long drives_it(baton b);
WEFT_TASK(drives_it, long, baton);
static long drives_it(baton b) {
    weft_exit e = weft_sleep(weft_s(1));
    (void)e;
    weft_resume(b.to->k, ask, 0, b.out);
    return 0;
}
static void driver_interrupted(weft_duration when, bool first, bool second) {
    kept to = {.n = 0};
    long out = 0;
    weft_exit said[2] = {fine, fine};
    drives_it_fiber f;
    weft_handler h = KEEPER(&to);
    CHECK(weft_ok(weft_handle(&h, sleeps, NULL, said, weft_s(10))));
    CHECK(weft_ok(weft_spawn(&f, drives_it, &to, &out)));
    if (when) CHECK(weft_ok(weft_sleep(when)));
    CHECK(weft_ok(weft_interrupt(f, "enough")));
    CHECK_EQ(said[0].tag == WEFT_EXIT_INTERRUPT, first);
    weft_drop(f);
    weft_time at = weft_now();
    CHECK(weft_k_is_open(to.k));
    CHECK(weft_ok(weft_resume(to.k, ask, 0, &out)));
    CHECK_EQ(weft_now() - at, weft_s(10));
    CHECK_EQ(said[1].tag == WEFT_EXIT_INTERRUPT, second);
}
static void interrupted(void *arg) {
    (void)arg;
    driver_interrupted(weft_ms(500), true, false); /* before it resumed */
    driver_interrupted(weft_s(5), true, false);    /* while the body slept */
}
TEST(an_interrupt_reaches_the_body_that_its_fiber_drives_and_stays_with_the_fiber) { on_clock(WEFT_CLOCK_AUTO, interrupted); }

static void masked(void *arg) {
    kept to = {.n = 0};
    weft_exit said[2] = {fine, fine}, scope;
    weft_handler h = KEEPER(&to);
    (void)arg;
    weft_time at = weft_now();
    CHECK(weft_ok(weft_handle(&h, sleeps, NULL, said, weft_s(10))));
    WEFT_SCOPE(s, &scope, .timeout = weft_s(1)) {
        weft_mask m;
        weft_mask_begin(&m);
        CHECK(weft_ok(weft_resume(to.k, ask, 0, NULL)));
        CHECK(weft_ok(said[0])); /* masked, as the driver is */
        weft_mask_end(&m);
        WEFT_SCOPE(in, NULL, .shield = true) {
            CHECK(weft_ok(weft_resume(to.k, ask, 0, NULL)));
            CHECK(weft_ok(said[1]));
        }
    }
    CHECK_EQ(weft_now() - at, weft_s(20));
}
TEST(a_body_is_masked_and_shielded_as_its_driver_is) { on_clock(WEFT_CLOCK_AUTO, masked); }

/* Masked in the body: goes on masked, wherever that is, until it says so itself. */
static long masks(weft_exit *said);
WEFT_TASK(masks, long, weft_exit *);
static long masks(weft_exit *said) {
    weft_mask m;
    weft_mask_begin(&m);
    said[0] = weft_perform(ask, NULL, 1);
    said[1] = weft_sleep(weft_s(1));
    weft_mask_end(&m);
    said[2] = weft_checkpoint();
    return 1;
}
static void masked_inside(void *arg) {
    kept to = {.n = 0};
    weft_exit said[3] = {fine, fine, fine};
    static const weft_exit no = {WEFT_EXIT_FAIL, 333, NULL};
    weft_handler h = KEEPER(&to);
    (void)arg;
    CHECK(weft_ok(weft_handle(&h, masks, NULL, said)));
    weft_discontinue(to.k, no, NULL);
    CHECK_EQ(said[0].code, 333);
    CHECK(weft_ok(said[1]));
    CHECK_EQ(said[2].tag, WEFT_EXIT_INTERRUPT);
}
TEST(a_body_that_is_discontinued_in_a_mask_is_interrupted_after_it) { on_clock(WEFT_CLOCK_AUTO, masked_inside); }

/* ---- scopes and fibers in it ---------------------------------------------------------------------------- */

static _Atomic int woke, was_stopped;
static long sleeper(weft_duration d);
WEFT_TASK(sleeper, long, weft_duration);
static long sleeper(weft_duration d) {
    if (weft_ok(weft_sleep(d))) atomic_fetch_add(&woke, 1);
    else atomic_fetch_add(&was_stopped, 1);
    return 5;
}
static long nurses(weft_exit *said);
WEFT_TASK(nurses, long, weft_exit *);
static long nurses(weft_exit *said) {
    WEFT_SCOPE(s, &said[1]) {
        CHECK(weft_ok(weft_spawn((sleeper_fiber *)NULL, sleeper, weft_s(2))));
        CHECK(weft_ok(weft_start(s, sleeper, weft_s(3))));
        CHECK(weft_ok(weft_spawn((sleeper_fiber *)NULL, sleeper, weft_s(100))));
        CHECK(weft_ok(weft_yield()));
        said[0] = weft_perform(ask, NULL, 1);
        if (!weft_ok(said[0])) return 0;
    }
    return 1;
}
static void nursery(void *arg) {
    weft_exit said[2] = {fine, fine};
    static const weft_exit no = {WEFT_EXIT_FAIL, 333, NULL};
    (void)arg;
    for (int how = 0; how < 2; how++) {
        kept to = {.n = 0};
        long out = -1;
        weft_handler h = KEEPER(&to);
        woke = was_stopped = 0;
        weft_time at = weft_now();
        CHECK(weft_ok(weft_handle(&h, nurses, &out, said)));
        CHECK(weft_ok(weft_sleep(weft_s(10))));
        CHECK(atomic_load(&woke) >= 1); /* they go on while it is held */
        if (how) {
            weft_discontinue(to.k, no, &out);
            CHECK_EQ(atomic_load(&woke) + atomic_load(&was_stopped), 3);
            CHECK(atomic_load(&was_stopped) >= 1);
            CHECK_EQ(weft_now() - at, weft_s(10));
        } else {
            CHECK(weft_ok(weft_resume(to.k, ask, 1, &out)));
            CHECK_EQ(out, 1);
            CHECK_EQ(atomic_load(&woke), 3);
            CHECK_EQ(weft_now() - at, weft_s(100));
        }
    }
}
TEST(the_fibers_of_a_held_body_go_on_and_are_joined_or_stopped_by_it) { often(WEFT_CLOCK_AUTO, nursery, 30); }

/* ---- forked children ------------------------------------------------------------------------------------ */

static long leaf(long n);
WEFT_TASK(leaf, long, long);
static long leaf(long n) {
    for (volatile long i = 0; i < 100; i++) {}
    if (n % 4 == 1) weft_yield();
    if (n % 4 == 2) weft_sleep(weft_us(1));
    return n;
}
static long forks(long n);
WEFT_TASK(forks, long, long);
static long forks(long n) {
    enum { CHILDREN = 4 };
    leaf_task child[CHILDREN];
    long sum = 0, r = 0;
    for (long i = 0; i < CHILDREN; i++) weft_fork(&child[i], leaf, n + i);
    CHECK(weft_ok(weft_perform(ask, &r, n)));
    if (n > 0) sum += forks(n - 1);
    for (long i = CHILDREN - 1; i >= 0; i--) {
        sum += weft_join(&child[i], leaf);
        if (i == 2) CHECK(weft_ok(weft_perform(ask, NULL, n)));
    }
    return sum + r;
}
static long forked_sum(long n) { return n < 0 ? 0 : 4 * n + 6 + 1 + forked_sum(n - 1); }
static void forked(void *arg) {
    kept to = {.n = 0};
    long out = -1;
    weft_handler h = KEEPER(&to);
    (void)arg;
    CHECK(weft_ok(weft_handle(&h, forks, &out, 5)));
    while (out < 0) {
        if (to.n % 2) {
            takes_a_turn_fiber f;
            CHECK(weft_ok(weft_spawn(&f, takes_a_turn, &to, &out)));
            CHECK(weft_ok(weft_await(f, takes_a_turn, NULL)));
            weft_drop(f);
        } else {
            CHECK(weft_ok(weft_resume(to.k, ask, 1, &out)));
        }
    }
    CHECK_EQ(to.n, 12);
    CHECK_EQ(out, forked_sum(5));
}
TEST(children_that_were_forked_below_a_perform_are_joined_wherever_their_body_goes_on) { often(WEFT_CLOCK_AUTO, forked, 50); }

/* A child forked by the driver, which the body waits for: offered when the body waits. */
static weft_promise awaited;
static long completes(long x);
WEFT_TASK(completes, long, long);
static long completes(long x) {
    CHECK_EQ(weft_promise_complete(&awaited, &awaited), WEFT_OK);
    return x;
}
static long awaits(long x);
WEFT_TASK(awaits, long, long);
static long awaits(long x) {
    if (x == 2) CHECK(weft_ok(weft_perform(ask, NULL, 1)));
    CHECK(weft_ok(weft_promise_await(&awaited, NULL)));
    return x;
}
static void drivers_child(void *arg) {
    kept to = {.n = 0};
    (void)arg;
    for (long how = 1; how <= 2; how++) {
        long out = 0;
        weft_handler h = KEEPER(&to);
        completes_task child;
        weft_promise_init(&awaited);
        weft_fork(&child, completes, 1);
        CHECK(weft_ok(weft_handle(&h, awaits, &out, how)));
        if (how == 2) CHECK(weft_ok(weft_resume(to.k, ask, 1, &out)));
        CHECK_EQ(weft_join(&child, completes), 1);
        CHECK_EQ(out, how);
    }
}
TEST(a_child_of_the_driver_may_end_what_the_body_waits_for) { on_clock(WEFT_CLOCK_AUTO, drivers_child); }

TEST_MAIN
