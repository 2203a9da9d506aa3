/* Programs with known mistakes with locks: each is found, minimised, and found again by its schedule; without the mistake nothing is.
 *
 *   leaked permit     one who is interrupted returns without giving back what it has
 *   lock order        two mutexes, taken in either order
 *   lost signal       a condition that is looked at before the mutex is locked
 *   barging           what was true when the mutex was let go is taken for true after it was locked again
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include <weft/cancel.h>
#include <weft/fiber.h>
#include <weft/sync.h>
#include <weft/test.h>

typedef struct state {
    weft_test t;
    weft_mutex a, b;
    weft_cond c;
    weft_sem s;
    bool right, there;
    int balance;
} state;
typedef state *state_ref;

/* ---- leaked permit -------------------------------------------------------------------------------------- */

static int uses(state *s);
WEFT_TASK(uses, int, state_ref);
static int uses(state *s) {
    if (!weft_ok(weft_sem_acquire(&s->s))) return 0;
    weft_exit e = weft_sleep(weft_us(1));
    if (!weft_ok(e) && !s->right) return 0;
    weft_sem_release(&s->s);
    return 0;
}
static void leaked_permit(state *s) {
    uses_fiber f[2];
    weft_sem_init(&s->s, 1, 1);
    for (int i = 0; i < 2; i++) weft_spawn(&f[i], uses, s);
    weft_yield();
    weft_interrupt(f[0], "enough");
    for (int i = 0; i < 2; i++) {
        weft_await(f[i], uses, NULL);
        weft_drop(f[i]);
    }
    weft_check(s->t, weft_sem_permits(&s->s) == 1);
}

/* ---- lock order ----------------------------------------------------------------------------------------- */

typedef struct both {
    weft_mutex *first, *second;
} both;
static int takes_both(both b);
WEFT_TASK(takes_both, int, both);
static int takes_both(both b) {
    if (!weft_ok(weft_mutex_lock(b.first))) return 0;
    if (weft_ok(weft_mutex_lock(b.second))) weft_mutex_unlock(b.second);
    weft_mutex_unlock(b.first);
    return 0;
}
static void lock_order(state *s) {
    takes_both_fiber f, g;
    weft_spawn(&f, takes_both, &s->a, &s->b);
    weft_spawn(&g, takes_both, s->right ? &s->a : &s->b, s->right ? &s->b : &s->a);
    weft_await(f, takes_both, NULL);
    weft_await(g, takes_both, NULL);
    weft_drop(f);
    weft_drop(g);
}

/* ---- lost signal ---------------------------------------------------------------------------------------- */

static int waits(state *s);
WEFT_TASK(waits, int, state_ref);
static int waits(state *s) {
    bool there = s->there; /* too early */
    if (!weft_ok(weft_mutex_lock(&s->a))) return 0;
    if (s->right) there = s->there;
    if (!there) weft_cond_wait(&s->c, &s->a);
    weft_mutex_unlock(&s->a);
    return 0;
}
static void lost_signal(state *s) {
    waits_fiber f;
    weft_spawn(&f, waits, s);
    if (!weft_ok(weft_mutex_lock(&s->a))) return;
    s->there = true;
    weft_cond_signal(&s->c);
    weft_mutex_unlock(&s->a);
    weft_await(f, waits, NULL);
    weft_drop(f);
}

/* ---- barging -------------------------------------------------------------------------------------------- */

static int pays(state *s);
WEFT_TASK(pays, int, state_ref);
static int pays(state *s) {
    weft_mutex_lock(&s->a);
    bool enough = s->balance >= 10;
    if (!s->right) {
        weft_mutex_unlock(&s->a);
        weft_mutex_lock(&s->a);
    }
    if (enough) s->balance -= 10;
    weft_mutex_unlock(&s->a);
    return 0;
}
static void barging(state *s) {
    pays_fiber f[2];
    s->balance = 10;
    for (int i = 0; i < 2; i++) weft_spawn(&f[i], pays, s);
    for (int i = 0; i < 2; i++) {
        weft_await(f[i], pays, NULL);
        weft_drop(f[i]);
    }
    weft_check(s->t, s->balance == 0);
}

/* ---- searches ------------------------------------------------------------------------------------------- */

static weft_test_result result;

static weft_test_failure run(void (*body)(state *), bool right, weft_explore how, unsigned runs, const char *schedule) {
    WEFT_TEST(t, .name = "locks", .runs = schedule ? 1 : runs, .seed = 1, .explore = how, .schedule = schedule, .result = &result) {
        static state s; /* a deadlock ends the body's waits before the fibers' */
        s = (state){.t = t, .right = right};
        body(&s);
    }
    return result.failure;
}

static void found(void (*body)(state *), weft_test_failure failure, const char *says) {
    for (weft_explore how = WEFT_EXPLORE_RANDOM; how <= WEFT_EXPLORE_PCT; how++) {
        CHECK_EQ(run(body, false, how, 1000, NULL), failure);
        CHECK(result.repeatable);
        test_note("%.150s", result.report);
        CHECK(strstr(result.report, says));
        char schedule[WEFT_TEST_SCHEDULE];
        memcpy(schedule, result.schedule, sizeof schedule);
        fprintf(stderr, "    run %u, schedule '%s'\n", result.runs, schedule);
        CHECK_EQ(run(body, false, how, 1, schedule), failure);
        CHECK_EQ(run(body, true, how, 1000, NULL), WEFT_TEST_PASSED);
        test_note(NULL);
    }
}

TEST(a_leaked_permit_is_found) { found(leaked_permit, WEFT_TEST_DEADLOCK, "a permit"); }
TEST(a_lock_order_inversion_is_found_and_its_ring_named) { found(lock_order, WEFT_TEST_DEADLOCK, "ring: "); }
TEST(a_lost_signal_is_found) { found(lost_signal, WEFT_TEST_DEADLOCK, "a condition"); }
TEST(a_check_that_was_overtaken_is_found) { found(barging, WEFT_TEST_CHECK, "s->balance == 0"); }

TEST_MAIN
