/* Scopes: who belongs to which.
 *
 * Time is virtual (it stands still while anything can run), so each time below is exact on any number of workers.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/scope_children.h"

/* ---- who belongs to it ---------------------------------------------------------------------------------- */

static void daemons(void *arg) {
    (void)arg;
    weft_exit e;
    none_yet();
    WEFT_SCOPE(s, &e) {
        for (int i = 0; i < 3; i++)
            CHECK(weft_ok(weft_spawn_with((sleeper_fiber *)NULL, sleeper, {.daemon = true}, weft_s(1000))));
        spawn_sleeper(weft_s(2));
        weft_start(s, sleeper, weft_s(3));
    }
    CHECK(weft_ok(e));
    CHECK_EQ(weft_now(), weft_s(3));
    CHECK_EQ(ended, 5);
    CHECK_EQ(stopped, 3);
}
TEST(daemons_of_a_scope_are_stopped_when_the_others_have_ended) { on_clock(WEFT_CLOCK_AUTO, daemons); }

typedef struct handshake {
    weft_duration before;
    int fail; /* 1: before it has started, 2: right after */
} handshake;
static int server(handshake h);
WEFT_TASK(server, int, handshake);
static int server(handshake h) {
    if (!weft_ok(weft_sleep(h.before))) return -1;
    if (h.fail == 1) {
        weft_failf(360, "no port");
        return 0;
    }
    weft_started();
    weft_started();
    if (h.fail == 2) {
        weft_failf(361, "later");
        return 0;
    }
    weft_sleep(weft_s(100));
    return 0;
}
static void ready(void *arg) {
    (void)arg;
    weft_exit e;
    server_fiber f;
    WEFT_SCOPE(s, &e, .policy = WEFT_SUPERVISE) {
        e = weft_spawn_with(&f, server, {.ready = true}, .before = weft_s(2));
        CHECK(weft_ok(e));
        CHECK_EQ(weft_now(), weft_s(2));
        CHECK(!weft_is_done(f));
        e = weft_spawn_with(&f, server, {.ready = true}, weft_s(1), 1);
        CHECK_EQ(e.code, 360);
        CHECK_EQ(weft_fiber_status(f.handle), WEFT_STATUS_FAILED);
        CHECK_EQ(weft_await(f, server, NULL).code, 360);
        CHECK_EQ(weft_drop(f), WEFT_OK);
        e = weft_spawn_with((server_fiber *)NULL, server, {.ready = true}, .before = weft_s(1));
        CHECK(weft_ok(e));
        CHECK_EQ(weft_now(), weft_s(4));
        counter_fiber c;
        e = weft_spawn_with(&c, counter, {.ready = true}, 1); /* ends without having said so */
        CHECK(weft_ok(e));
        CHECK(weft_is_done(c));
        break;
    }
}
TEST(a_spawner_waits_until_the_fiber_says_it_has_started) { on_clock(WEFT_CLOCK_AUTO, ready); }

static void ready_then_fails(void *arg) {
    (void)arg;
    weft_exit e;
    WEFT_SCOPE(s, NULL, .policy = WEFT_SUPERVISE) {
        server_fiber f;
        e = weft_spawn_with(&f, server, {.ready = true}, 0, 2);
        CHECK(weft_ok(e)); /* it had started; its failure is what await says */
        CHECK_EQ(weft_await(f, server, NULL).code, 361);
        weft_drop(f);
    }
}
TEST(a_fiber_that_fails_after_it_has_started_has_started) { on_clock(WEFT_CLOCK_AUTO, ready_then_fails); }

static int spawns_ready(int n);
WEFT_TASK(spawns_ready, int, int);
static int spawns_ready(int n) {
    weft_exit e;
    WEFT_SCOPE(s, NULL) {
        e = weft_spawn_with((server_fiber *)NULL, server, {.ready = true}, .before = weft_s(50));
        CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    }
    return n;
}
static void ready_cancelled(void *arg) {
    (void)arg;
    spawns_ready_fiber f;
    CHECK(weft_ok(weft_spawn(&f, spawns_ready, 1)));
    weft_sleep(weft_s(1));
    CHECK(weft_ok(weft_interrupt(f, "while it waits for the start")));
    CHECK_EQ(weft_now(), weft_s(1));
    weft_drop(f);
    /* the one that should start is stopped */
    WEFT_SCOPE(s, NULL, .timeout = weft_s(1)) {
        weft_exit e = weft_spawn_with((server_fiber *)NULL, server, {.ready = true}, .before = weft_s(50));
        CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    }
    CHECK_EQ(weft_now(), weft_s(2));
}
TEST(waiting_for_a_start_can_be_stopped) { often(WEFT_CLOCK_AUTO, ready_cancelled, 50); }

static void detached(void *arg) {
    (void)arg;
    none_yet();
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        CHECK(weft_ok(weft_spawn_with((sleeper_fiber *)NULL, sleeper, {.detached = true}, weft_s(9))));
        spawn_sleeper(weft_s(1));
    }
    CHECK(weft_ok(e));
    CHECK_EQ(weft_now(), weft_s(1));
    CHECK_EQ(ended, 1);
    WEFT_SCOPE(s, &e) {
        CHECK(weft_ok(weft_spawn_with((sleeper_fiber *)NULL, sleeper, {.detached = true}, weft_s(9))));
        weft_sleep(weft_s(1));
        weft_scope_cancel(s, "does not reach it");
    }
    CHECK_EQ(stopped, 0);
    CHECK(weft_ok(weft_sleep(weft_s(20))));
    CHECK_EQ(ended, 3);
    CHECK_EQ(stopped, 0);
}
TEST(a_detached_fiber_does_not_belong_to_the_scope_it_is_spawned_in) { on_clock(WEFT_CLOCK_AUTO, detached); }

static __attribute__((noinline)) void detaches_in_a_frame(void) {
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        sleeper_fiber f, g;
        CHECK(weft_ok(weft_spawn(&f, sleeper, weft_s(5))));
        CHECK_EQ(weft_detach(f), WEFT_OK); /* before it ran */
        CHECK_EQ(weft_detach(f), WEFT_E_STALE);
        CHECK(weft_ok(weft_spawn(&g, sleeper, weft_s(5))));
        CHECK(weft_ok(weft_sleep(weft_s(1))));
        CHECK_EQ(weft_detach(g), WEFT_OK); /* while it waits */
        weft_scope_cancel(s, "does not reach them");
        CHECK(!weft_ok(weft_checkpoint()));
    }
    CHECK_EQ(weft_now(), weft_s(1));
}
static void detach(void *arg) {
    (void)arg;
    none_yet();
    detaches_in_a_frame();
    CHECK_EQ(ended, 0);
    CHECK(weft_ok(weft_sleep(weft_s(10))));
    CHECK_EQ(ended, 2);
    CHECK_EQ(stopped, 0);
}
TEST(a_fiber_detached_later_leaves_its_scope) { on_clock(WEFT_CLOCK_AUTO, detach); }

/* What a detached fiber does once the scope's frame is gone. */
static int lives_on(int what);
WEFT_TASK(lives_on, int, int);
static int lives_on(int what) {
    CHECK(weft_ok(weft_sleep(weft_s(5))));
    if (what == 0) CHECK(!weft_stopping());
    if (what == 1) CHECK_EQ(weft_deadline(), WEFT_FOREVER);
    if (what == 2) {
        weft_exit e;
        WEFT_SCOPE(s, &e) {
            spawn_failer(weft_s(1), 300);
            spawn_sleeper(weft_s(100));
        }
        CHECK_EQ(e.code, 300);
    }
    if (what == 3) {
        weft_exit e;
        WEFT_SCOPE(s, &e) {
            weft_scope_cancel(s, "mine");
            CHECK(!weft_ok(weft_checkpoint()));
        }
        CHECK_EQ(e.code, WEFT_E_CANCELLED);
    }
    atomic_fetch_add(&ended, 1);
    return 0;
}
static __attribute__((noinline)) void detach_doing(int what) {
    volatile char below[2000] = {0}; /* the scope's frame is not one that is used again soon */
    CHECK(!below[what]);
    WEFT_SCOPE(s, NULL, .timeout = weft_s(3)) {
        lives_on_fiber f;
        CHECK(weft_ok(weft_spawn(&f, lives_on, what)));
        CHECK(weft_ok(weft_sleep(weft_s(1))));
        CHECK_EQ(weft_detach(f), WEFT_OK);
    }
}
static __attribute__((noinline)) void scribble(void) {
    volatile char frame[4096];
    for (size_t i = 0; i < sizeof frame; i++) frame[i] = 0x5f;
}
static void detached_does(int what) {
    none_yet();
    detach_doing(what);
    scribble();
    CHECK(weft_ok(weft_sleep(weft_s(10))));
    CHECK_EQ(ended, what == 2 ? 2 : 1);
}
static void detached_stopping(void *arg) { (void)arg, detached_does(0); }
static void detached_deadline(void *arg) { (void)arg, detached_does(1); }
static void detached_scope_fails(void *arg) { (void)arg, detached_does(2); }
static void detached_scope_cancels(void *arg) { (void)arg, detached_does(3); }
TEST(a_detached_fiber_asks_nothing_of_its_former_scope_stopping) { on_clock(WEFT_CLOCK_AUTO, detached_stopping); }
TEST(a_detached_fiber_asks_nothing_of_its_former_scope_deadline) { on_clock(WEFT_CLOCK_AUTO, detached_deadline); }
TEST(a_detached_fiber_has_scopes_of_its_own_that_fail) { on_clock(WEFT_CLOCK_AUTO, detached_scope_fails); }
TEST(a_detached_fiber_has_scopes_of_its_own_that_are_cancelled) { on_clock(WEFT_CLOCK_AUTO, detached_scope_cancels); }

static void handles(void *arg) {
    (void)arg;
    sleeper_fiber f[3], kept;
    weft_exit e;
    none_yet();
    WEFT_SCOPE(s, &e) {
        for (int i = 0; i < 3; i++) CHECK(weft_ok(weft_spawn(&f[i], sleeper, weft_s(1))));
        CHECK(weft_ok(weft_await(f[0], sleeper, NULL)));
        CHECK_EQ(weft_drop(f[0]), WEFT_OK); /* ended */
        CHECK_EQ(weft_drop(f[0]), WEFT_E_STALE);
        CHECK(weft_ok(weft_spawn(&kept, sleeper, weft_s(1))));
        CHECK_EQ(weft_drop(kept), WEFT_OK); /* running */
    }
    CHECK_EQ(ended, 4);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(weft_fiber_status(f[i].handle), WEFT_STATUS_NONE);
        CHECK_EQ(weft_drop(f[i]), WEFT_E_STALE);
        CHECK_EQ(weft_await(f[i], sleeper, NULL).code, WEFT_E_STALE);
    }
}
TEST(the_end_of_a_scope_drops_the_handles_of_its_fibers) { on_clock(WEFT_CLOCK_AUTO, handles); }

static int starts_in(weft_scope *s);
WEFT_TASK(starts_in, int, weft_scope *);
static int starts_in(weft_scope *s) {
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK(weft_ok(weft_start(s, sleeper, weft_s(1))));
    WEFT_SCOPE(mine, NULL) CHECK(weft_ok(weft_start(s, sleeper, weft_s(2))));
    CHECK_EQ(weft_now(), weft_s(1));
    return 0;
}
static void starts_from_elsewhere(void *arg) {
    (void)arg;
    weft_exit e;
    none_yet();
    WEFT_SCOPE(s, &e) {
        weft_mask m;
        WEFT_SCOPE(t, NULL) CHECK(weft_ok(weft_start(s, sleeper, weft_s(4)))); /* inner ends at once */
        weft_mask_begin(&m);
        CHECK(weft_ok(weft_start(s, counter, 1)));
        CHECK_EQ(weft_mask_end(&m), WEFT_OK);
        CHECK_EQ(weft_now(), 0);
        CHECK(weft_ok(weft_spawn((starts_in_fiber *)NULL, starts_in, s)));
        CHECK(weft_ok(weft_start(s, starts_in, s)));
    }
    CHECK(weft_ok(e));
    CHECK_EQ(ended, 6);
    CHECK_EQ(weft_now(), weft_s(4));
}
TEST(children_are_started_from_inner_scopes_masks_and_other_fibers) { often(WEFT_CLOCK_AUTO, starts_from_elsewhere, 50); }

static void many(void *arg) {
    (void)arg;
    weft_exit e;
    none_yet();
    WEFT_SCOPE(s, &e) {
        for (int i = 0; i < 10000; i++) CHECK(weft_ok(weft_start(s, counter, 1)));
        for (int i = 0; i < 10000; i++) CHECK(weft_ok(weft_spawn((counter_fiber *)NULL, counter, 1)));
    }
    CHECK(weft_ok(e));
    CHECK_EQ(ended, 20000);
    none_yet();
    WEFT_SCOPE(s, &e)
        for (int i = 0; i < 10000; i++) CHECK(weft_ok(weft_start(s, sleeper, weft_ms(i % 100 + 1))));
    CHECK_EQ(ended, 10000);
    CHECK_EQ(weft_now(), weft_ms(100));
    none_yet();
    WEFT_SCOPE(s, &e) {
        for (int i = 0; i < 5000; i++) CHECK(weft_ok(weft_start(s, sleeper, weft_s(1))));
        for (int i = 0; i < 5000; i++) spawn_sleeper(weft_s(1));
        weft_sleep(1);
        break;
    }
    CHECK_EQ(stopped, 10000);
}
TEST(a_scope_has_many_children) { on_clock(WEFT_CLOCK_AUTO, many); }

TEST_MAIN
