/* Interrupts, in every kind of wait; masks; graces.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/cancel_fibers.h"

/* ---- interrupt ------------------------------------------------------------------------------------------ */

static void waits_for_end(void *arg) {
    (void)arg;
    sleeper_fiber f;
    none_yet();
    CHECK(weft_ok(weft_spawn(&f, sleeper, weft_s(100))));
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    char reason[] = "shutting down";
    CHECK(weft_ok(weft_interrupt(f, reason)));
    int line = __LINE__ - 1;
    reason[0] = 'x';
    CHECK_EQ(ended, 1);
    CHECK(weft_is_done(f));
    CHECK_EQ(weft_now(), weft_s(1));
    CHECK_EQ(weft_fiber_status(f.handle), WEFT_STATUS_CANCELLED);
    int got = 99;
    weft_exit e = weft_await(f, sleeper, &got);
    CHECK_EQ(got, 99);
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(e.code, WEFT_E_CANCELLED);
    CHECK(e.cause && e.cause->kind == WEFT_CAUSE_INTERRUPT);
    CHECK(!strcmp(e.cause->text, "shutting down"));
    CHECK(strstr(e.cause->file, "cancel_test.c"));
    CHECK_EQ(e.cause->line, line);
    CHECK(weft_ok(weft_checkpoint())); /* the awaiter is not interrupted */
    CHECK(weft_ok(weft_interrupt(f, "again"))); /* stays as it is */
    CHECK(!strcmp(weft_await(f, sleeper, NULL).cause->text, "shutting down"));
    weft_drop(f);
    CHECK_EQ(weft_interrupt(f, "gone").code, WEFT_E_STALE);
    CHECK_EQ(weft_interrupt_async(f, "gone").code, WEFT_E_STALE);
    CHECK_EQ(weft_interrupt_grace(f, "gone", 0), WEFT_E_STALE);
}
TEST(interrupt_waits_for_the_end_and_says_who_and_why) { on_clock(WEFT_CLOCK_AUTO, waits_for_end); }

static int names_itself(int n);
WEFT_TASK(names_itself, int, int);
static int names_itself(int n) {
    sleeper_fiber f;
    CHECK(weft_ok(weft_spawn(&f, sleeper, weft_s(1))));
    CHECK(weft_ok(weft_interrupt(f, NULL)));
    weft_exit e = weft_await(f, sleeper, NULL);
    CHECK_EQ(e.cause->who, weft_self().id);
    CHECK(!strcmp(e.cause->who_name, "the boss"));
    CHECK(!strcmp(e.cause->text, ""));
    weft_drop(f);
    return n;
}
static void who(void *arg) {
    (void)arg;
    names_itself_fiber f;
    weft_exit e = weft_spawn_with(&f, names_itself, {.name = "the boss"}, 1);
    CHECK(weft_ok(e));
    CHECK(weft_ok(weft_await(f, names_itself, NULL)));
    weft_drop(f);
}
TEST(an_interrupt_names_the_fiber_that_asked) { on_clock(WEFT_CLOCK_AUTO, who); }

static void asynchronous(void *arg) {
    (void)arg;
    sleeper_fiber f;
    none_yet();
    CHECK(weft_ok(weft_spawn(&f, sleeper, weft_s(100))));
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK(weft_ok(weft_interrupt_async(f, "a")));
    CHECK(weft_ok(weft_interrupt_async(f, "b"))); /* the first one counts */
    weft_exit e = weft_await(f, sleeper, NULL);
    CHECK_EQ(e.code, WEFT_E_CANCELLED);
    CHECK(!strcmp(e.cause->text, "a"));
    CHECK_EQ(weft_now(), weft_s(1));
    weft_drop(f);
}
TEST(an_asynchronous_interrupt_only_asks) { often(WEFT_CLOCK_AUTO, asynchronous, 50); }

static void before_start(void *arg) {
    (void)arg;
    runner_fiber f;
    none_yet();
    CHECK(weft_ok(weft_spawn(&f, runner, 1)));
    CHECK(weft_ok(weft_interrupt(f, "before it starts")));
    if (!others_run_ahead()) {
        CHECK_EQ(begun, 0);
        CHECK_EQ(weft_fiber_status(f.handle), WEFT_STATUS_CANCELLED);
    }
    weft_exit e = weft_await(f, runner, NULL);
    CHECK_EQ(begun, weft_ok(e) ? 1 : 0); /* run to its end, or not at all */
    weft_drop(f);
}
TEST(a_fiber_interrupted_before_its_start_runs_no_user_code) { often(WEFT_CLOCK_AUTO, before_start, 200); }

static int deaf(int n);
WEFT_TASK(deaf, int, int);
static int deaf(int n) { return n; } /* notices nothing: it completes */
static int asks_itself(int n);
WEFT_TASK(asks_itself, int, int);
static int asks_itself(int n) {
    deaf_fiber me = {weft_self()};
    weft_exit e = weft_interrupt(me, "enough of me");
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, WEFT_E_INSIDE);
    if (n) CHECK(interrupted(weft_sleep(weft_s(1))));
    return n;
}
static void self_interrupt(void *arg) {
    (void)arg;
    asks_itself_fiber f;
    CHECK(weft_ok(weft_spawn(&f, asks_itself, 1)));
    CHECK_EQ(weft_await(f, asks_itself, NULL).code, WEFT_E_CANCELLED);
    weft_drop(f);
    CHECK(weft_ok(weft_spawn(&f, asks_itself, 0)));
    CHECK(weft_ok(weft_await(f, asks_itself, NULL))); /* it did not notice: it has completed */
    CHECK_EQ(weft_fiber_status(f.handle), WEFT_STATUS_DONE);
    weft_drop(f);
    CHECK_EQ(weft_now(), 0);
}
TEST(a_fiber_that_interrupts_itself_is_only_asked) { on_clock(WEFT_CLOCK_AUTO, self_interrupt); }

typedef struct duel {
    int me, masked, ring;
} duel;
static weft_handle duelists[8];
static _Atomic int inside;
static int duelist(duel d);
WEFT_TASK(duelist, int, duel);
static int duelist(duel d) {
    weft_mask m;
    if (d.masked) weft_mask_begin(&m);
    weft_sleep(weft_s(1));
    duelist_fiber other = {duelists[(d.me + 1) % d.ring]};
    weft_exit e = weft_interrupt(other, "you first");
    CHECK(weft_ok(e) || e.code == WEFT_E_INSIDE || interrupted(e));
    if (e.code == WEFT_E_INSIDE) atomic_fetch_add(&inside, 1);
    if (d.masked) weft_mask_end(&m);
    CHECK(interrupted(weft_sleep(WEFT_FOREVER))); /* its turn comes */
    return 0;
}
static void duels(void *arg) {
    (void)arg;
    for (int ring = 2; ring <= 5; ring++) {
        for (int masked = 0; masked <= 1; masked++) {
            duelist_fiber f[8];
            inside = 0;
            for (int i = 0; i < ring; i++) {
                CHECK(weft_ok(weft_spawn(&f[i], duelist, i, masked, ring)));
                duelists[i] = f[i].handle;
            }
            for (int i = 0; i < ring; i++) CHECK_EQ(weft_await(f[i], duelist, NULL).code, WEFT_E_CANCELLED);
            if (masked) CHECK_EQ(inside, 1);
            for (int i = 0; i < ring; i++) weft_drop(f[i]);
        }
    }
}
TEST(fibers_that_interrupt_each_other_all_end_masked_or_not) { often(WEFT_CLOCK_AUTO, duels, 50); }

static int stolen_asker(int n);
WEFT_TASK(stolen_asker, int, int);
static weft_handle parent_of_asker;
static int stolen_asker(int n) {
    weft_mask m;
    weft_mask_begin(&m);
    weft_sleep(weft_s(1));
    deaf_fiber parent = {parent_of_asker};
    weft_exit e = weft_interrupt(parent, "my own parent"); /* which waits for me */
    weft_mask_end(&m);
    CHECK_EQ(e.code, WEFT_E_INSIDE);
    return n;
}
static int forks_asker(int n);
WEFT_TASK(forks_asker, int, int);
static int forks_asker(int n) {
    parent_of_asker = weft_self();
    stolen_asker_task t;
    weft_fork(&t, stolen_asker, 1);
    weft_sleep(weft_ms(1)); /* so that it is taken */
    weft_join(&t, stolen_asker);
    return n;
}
static void child_asks_parent(void *arg) {
    (void)arg;
    forks_asker_fiber f;
    CHECK(weft_ok(weft_spawn(&f, forks_asker, 1)));
    weft_await(f, forks_asker, NULL);
    weft_drop(f);
}
TEST(a_masked_forked_child_that_interrupts_its_own_fiber_does_not_wait) { on_clock(WEFT_CLOCK_AUTO, child_asks_parent); }

static void *interrupts_from_thread(void *arg) {
    sleeper_fiber f = {*(weft_handle *)arg};
    while (begun == 0) sched_yield();
    CHECK(weft_ok(weft_interrupt(f, "from a thread")));
    CHECK_EQ(ended, 1);
    return NULL;
}
static void from_thread(void *arg) {
    (void)arg;
    none_yet();
    sleeper_fiber f;
    pthread_t t;
    CHECK(weft_ok(weft_spawn(&f, sleeper, WEFT_FOREVER)));
    CHECK_EQ(pthread_create(&t, NULL, interrupts_from_thread, &f.handle), 0);
    weft_exit e = weft_await(f, sleeper, NULL);
    CHECK_EQ(e.code, WEFT_E_CANCELLED);
    CHECK_EQ(e.cause->who, 0);
    pthread_join(t, NULL);
    weft_drop(f);
}
TEST(a_plain_thread_interrupts_and_waits) {
    for (unsigned n = 1; n <= 2; n++) {
        weft_runtime *rt; /* not weft_run: there this would be a deadlock before the thread comes */
        CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = n), &rt), WEFT_OK);
        for (int i = 0; i < 20; i++) CHECK_EQ(weft_call(rt, from_thread, NULL), WEFT_OK);
        CHECK_EQ(weft_close(rt), WEFT_OK);
    }
}

/* ---- in every kind of wait ------------------------------------------------------------------------------ */

typedef enum kind {
    SLEEPING, FOREVER, AWAITING, TIMED_AWAITING, PROMISE, TIMED_PROMISE, SCOPE_END, SCOPE_END_STARTED, JOIN, READY,
    YIELDING, CHECKING, OFFLOADED, KINDS
} kind;
static const char *const kind_names[] = {"sleep", "sleep for ever", "await", "timed await", "promise", "timed promise",
                                         "end of a scope", "end of a scope, started", "join", "start", "yield",
                                         "checkpoint", "offload"};

static void *blocks(void *arg, weft_offload_call *call) {
    while (!weft_offload_cancelled(call)) sched_yield();
    atomic_fetch_add((_Atomic int *)arg, 1);
    return arg;
}
static _Atomic int blocked, dropped;
static void drops(void *result) {
    CHECK(result == &blocked);
    atomic_fetch_add(&dropped, 1);
}

static weft_exit wait_in(kind k) {
    sleeper_fiber f;
    weft_promise p = WEFT_PROMISE;
    weft_exit e = fine;
    if (k == AWAITING || k == TIMED_AWAITING) CHECK(weft_ok(weft_spawn_with(&f, sleeper, {.daemon = true}, weft_s(100))));
    switch (k) {
    case SLEEPING: return weft_sleep(weft_s(100));
    case FOREVER: return weft_sleep(WEFT_FOREVER);
    case AWAITING: e = weft_await(f, sleeper, NULL); weft_drop(f); return e;
    case TIMED_AWAITING: e = weft_await_for(f, sleeper, NULL, weft_s(50)); weft_drop(f); return e;
    case PROMISE: return weft_promise_await(&p, NULL);
    case TIMED_PROMISE: return weft_promise_await_for(&p, NULL, weft_s(50));
    case SCOPE_END: WEFT_SCOPE(s, &e) CHECK(weft_ok(weft_spawn((sleeper_fiber *)NULL, sleeper, weft_s(100)))); return e;
    case SCOPE_END_STARTED:
        WEFT_SCOPE(s, &e)
            for (int i = 0; i < 3; i++) CHECK(weft_ok(weft_start(s, sleeper, weft_s(100))));
        return e;
    case JOIN: {
        sleeper_task t;
        weft_fork(&t, sleeper, weft_s(100));
        CHECK(weft_ok(weft_sleep(weft_ms(1)))); /* so that it is taken */
        CHECK_EQ(weft_join(&t, sleeper), 7);
        return weft_checkpoint();
    }
    case READY: {
        e = weft_spawn_with(&f, sleeper, ((weft_spawn_options){.daemon = true, .ready = true}), weft_s(100));
        weft_drop(f);
        return e;
    }
    case YIELDING: while (weft_ok(e = weft_yield())) {} return e;
    case CHECKING: while (weft_ok(e = weft_checkpoint())) {} return e;
    default: return weft_offload(blocks, (void *)&blocked, NULL, drops);
    }
}
static int waits_somehow(kind k);
WEFT_TASK(waits_somehow, int, kind);
static _Atomic int at_it;
static int waits_somehow(kind k) {
    at_it = 1;
    weft_exit e = wait_in(k);
    CHECK(interrupted(e));
    CHECK(weft_stopping());
    /* A level: every later call that suspends says the same, at once. */
    weft_time t = weft_now();
    weft_promise p = WEFT_PROMISE;
    sleeper_fiber f;
    void *r = NULL;
    CHECK(interrupted(weft_sleep(weft_s(1))));
    CHECK(interrupted(weft_sleep(0)));
    CHECK(interrupted(weft_sleep_until(0)));
    CHECK(interrupted(weft_yield()));
    CHECK(interrupted(weft_checkpoint()));
    CHECK(interrupted(weft_promise_await(&p, NULL)));
    CHECK(interrupted(weft_promise_await_for(&p, NULL, weft_s(1))));
    CHECK_EQ(weft_promise_complete(&p, NULL), WEFT_OK);
    CHECK(interrupted(weft_promise_await(&p, NULL)));
    CHECK(interrupted(weft_offload(blocks, (void *)&blocked, &r, NULL)));
    CHECK(weft_ok(weft_spawn(&f, sleeper, weft_s(1))));
    CHECK(interrupted(weft_await(f, sleeper, NULL)));
    CHECK(interrupted(weft_await_for(f, sleeper, NULL, weft_s(1))));
    weft_exit asked = weft_interrupt(f, NULL); /* asked all the same */
    CHECK(interrupted(asked) || (weft_ok(asked) && weft_is_done(f)));
    weft_drop(f);
    CHECK_EQ(weft_now(), t);
    return 1;
}
static kind now_testing;
static void in_a_wait(void *arg) {
    (void)arg;
    waits_somehow_fiber f;
    at_it = blocked = dropped = 0;
    CHECK(weft_ok(weft_spawn(&f, waits_somehow, now_testing)));
    if (now_testing >= YIELDING)
        while (!at_it) weft_yield();
    else
        CHECK(weft_ok(weft_sleep(weft_s(1))));
    weft_time t = weft_now();
    CHECK(weft_ok(weft_interrupt(f, kind_names[now_testing])));
    CHECK_EQ(weft_now(), t);
    CHECK_EQ(weft_fiber_status(f.handle), WEFT_STATUS_CANCELLED);
    weft_drop(f);
}
TEST(a_fiber_is_interrupted_in_every_kind_of_wait_and_stays_interrupted) {
    for (now_testing = SLEEPING; now_testing < KINDS; now_testing++) {
        fprintf(stderr, "    %s\n", kind_names[now_testing]);
        for (unsigned n = now_testing == CHECKING ? 2 : 1; n <= 2; n++) {
            for (int i = 0; i < (n == 2 ? 50 : 1); i++)
                run_ends(&WEFT_OPTIONS(.workers = n, .clock = WEFT_CLOCK_AUTO), in_a_wait, NULL, WEFT_OK);
            if (now_testing == OFFLOADED) CHECK(blocked == dropped && blocked <= 1); /* 0: asked before it was begun */
        }
    }
}

static int spawns_more(int n);
WEFT_TASK(spawns_more, int, int);
static int spawns_more(int n) {
    weft_exit e = weft_spawn((sleeper_fiber *)NULL, sleeper, weft_s(1));
    CHECK(interrupted(e));
    return n;
}
static void at_the_limit(void *arg) {
    (void)arg;
    sleeper_fiber a;
    spawns_more_fiber b;
    CHECK(weft_ok(weft_spawn(&a, sleeper, weft_s(100))));
    CHECK(weft_ok(weft_spawn(&b, spawns_more, 1)));
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK(weft_ok(weft_interrupt(b, "while it waits for a place")));
    CHECK_EQ(weft_now(), weft_s(1));
    weft_drop(b);
    CHECK(weft_ok(weft_interrupt(a, NULL)));
    weft_drop(a);
    for (int i = 0; i < 10; i++) CHECK(weft_ok(weft_spawn((sleeper_fiber *)NULL, sleeper, weft_s(1)))); /* no place was lost */
    CHECK_EQ(weft_now(), weft_s(5));
}
TEST(a_fiber_is_interrupted_while_it_waits_for_a_place) {
    for (unsigned n = 1; n <= 2; n++)
        run_ends(&WEFT_OPTIONS(.workers = n, .clock = WEFT_CLOCK_AUTO, .max_fibers = 2), at_the_limit, NULL, WEFT_OK);
}

/* ---- masks ---------------------------------------------------------------------------------------------- */

static int masked(int n);
WEFT_TASK(masked, int, int);
static int masked(int n) {
    weft_mask a, b, r, stranger;
    weft_exit e;
    weft_mask_begin(&a);
    CHECK(weft_ok(weft_sleep(weft_s(2)))); /* interrupted after one */
    CHECK(weft_ok(weft_checkpoint()));
    CHECK(weft_stopping());
    weft_mask_begin(&b);
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK_EQ(weft_mask_restore(&r, &b), WEFT_OK);
    CHECK(weft_ok(weft_checkpoint())); /* the outer mask still holds */
    CHECK_EQ(weft_mask_end(&r), WEFT_OK);
    CHECK_EQ(weft_mask_restore(&r, &a), WEFT_OK);
    CHECK(interrupted(weft_sleep(weft_s(1))));
    CHECK_EQ(weft_mask_end(&b), WEFT_E_UNBALANCED);
    CHECK_EQ(weft_mask_end(&r), WEFT_OK);
    CHECK_EQ(weft_mask_end(&a), WEFT_E_UNBALANCED);
    CHECK_EQ(weft_mask_end(&b), WEFT_OK);
    memset(&stranger, 0, sizeof stranger);
    CHECK_EQ(weft_mask_restore(&r, &stranger), WEFT_E_UNBALANCED);
    CHECK_EQ(weft_mask_restore(&r, &b), WEFT_E_UNBALANCED);
    CHECK(weft_ok(weft_checkpoint()));
    /* a timeout inside a mask is its own affair */
    WEFT_SCOPE(s, &e, .timeout = weft_s(1)) CHECK(interrupted(weft_sleep(weft_s(100))));
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK(weft_ok(weft_checkpoint()));
    WEFT_SCOPE(s, &e) {
        CHECK(weft_ok(weft_spawn((sleeper_fiber *)NULL, sleeper, weft_s(1))));
        CHECK(weft_ok(weft_sleep(weft_ms(1))));
    }
    CHECK(weft_ok(e));
    CHECK_EQ(weft_mask_end(&a), WEFT_OK);
    CHECK(interrupted(weft_checkpoint()));
    CHECK_EQ(weft_mask_end(&a), WEFT_E_UNBALANCED);
    return n;
}
static void masks(void *arg) {
    (void)arg;
    masked_fiber f;
    CHECK(weft_ok(weft_spawn(&f, masked, 1)));
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK(weft_ok(weft_interrupt(f, "masked")));
    CHECK_EQ(weft_now(), weft_s(5));
    CHECK_EQ(weft_fiber_status(f.handle), WEFT_STATUS_CANCELLED);
    weft_drop(f);
}
TEST(a_mask_puts_an_interrupt_off_until_its_end_and_a_restore_lets_it_through) { often(WEFT_CLOCK_AUTO, masks, 50); }

/* A masked wait is not even woken to look: as many switches with an interrupt as without. */
static int sleeps_masked(int n);
WEFT_TASK(sleeps_masked, int, int);
static int sleeps_masked(int n) {
    weft_mask m;
    weft_mask_begin(&m);
    CHECK(weft_ok(weft_sleep(weft_s(10))));
    CHECK_EQ(weft_mask_end(&m), WEFT_OK);
    return n;
}
static bool interrupts_masked;
static uint64_t switches;
static void counts_switches(void *arg) {
    (void)arg;
    sleeps_masked_fiber f;
    CHECK(weft_ok(weft_spawn(&f, sleeps_masked, 1)));
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    if (interrupts_masked) CHECK(weft_ok(weft_interrupt_async(f, NULL)));
    CHECK(weft_ok(weft_sleep(weft_s(20))));
    weft_drop(f);
    weft_stats stats = {.size = sizeof stats};
    CHECK_EQ(weft_runtime_stats(thread_fiber()->rt->handle, &stats), WEFT_OK);
    switches = stats.suspended;
}
TEST(a_masked_wait_is_not_woken_by_an_interrupt) {
    uint64_t of[2];
    for (int i = 0; i < 2; i++) {
        interrupts_masked = i;
        run_ends(&WEFT_OPTIONS(.workers = 1, .clock = WEFT_CLOCK_AUTO), counts_switches, NULL, WEFT_OK);
        of[i] = switches;
    }
    CHECK_EQ(of[0], of[1]);
}

/* A wait that began restored is woken; one that began masked is not. */
static int waits_restored(int n);
WEFT_TASK(waits_restored, int, int);
static int waits_restored(int n) {
    weft_mask m, r;
    weft_mask_begin(&m);
    CHECK_EQ(weft_mask_restore(&r, &m), WEFT_OK);
    CHECK(interrupted(weft_sleep(weft_s(100))));
    CHECK_EQ(weft_mask_end(&r), WEFT_OK);
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK_EQ(weft_mask_end(&m), WEFT_OK);
    return n;
}
/* The same in the restored part of a restored part, of two masks: whichever is restored first. */
static int waits_restored_twice(int outer_first);
WEFT_TASK(waits_restored_twice, int, int);
static int waits_restored_twice(int outer_first) {
    weft_mask outer, inner, first, second;
    weft_mask_begin(&outer);
    weft_mask_begin(&inner);
    CHECK_EQ(weft_mask_restore(&first, outer_first ? &outer : &inner), WEFT_OK);
    CHECK_EQ(weft_mask_restore(&second, outer_first ? &inner : &outer), WEFT_OK);
    CHECK(interrupted(weft_sleep(weft_s(100))));
    CHECK(interrupted(weft_checkpoint()));
    CHECK_EQ(weft_mask_end(&second), WEFT_OK);
    CHECK(interrupted(weft_checkpoint()) == !!outer_first);
    CHECK_EQ(weft_mask_end(&first), WEFT_OK);
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK_EQ(weft_mask_end(&inner), WEFT_OK);
    CHECK_EQ(weft_mask_end(&outer), WEFT_OK);
    return outer_first;
}
static void restores_twice(void *arg) {
    (void)arg;
    for (int outer_first = 0; outer_first < 2; outer_first++) {
        waits_restored_twice_fiber f;
        weft_time from = weft_now();
        CHECK(weft_ok(weft_spawn(&f, waits_restored_twice, outer_first)));
        CHECK(weft_ok(weft_sleep(weft_s(1))));
        CHECK(weft_ok(weft_interrupt(f, NULL)));
        CHECK_EQ(weft_now() - from, weft_s(2));
        weft_drop(f);
    }
}
TEST(an_interrupt_reaches_a_wait_that_is_restored_from_two_masks) { often(WEFT_CLOCK_AUTO, restores_twice, 50); }

static void restores(void *arg) {
    (void)arg;
    waits_restored_fiber f;
    CHECK(weft_ok(weft_spawn(&f, waits_restored, 1)));
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK(weft_ok(weft_interrupt(f, NULL)));
    CHECK_EQ(weft_now(), weft_s(2));
    weft_drop(f);
}
TEST(an_interrupt_reaches_a_wait_in_a_restored_part) { often(WEFT_CLOCK_AUTO, restores, 50); }

/* Children are not masked; a cancel from outside reaches them when the mask ends (here: their scope is inside of it). */
static int spawns_masked(int n);
WEFT_TASK(spawns_masked, int, int);
static int spawns_masked(int n) {
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        weft_mask m;
        weft_mask_begin(&m);
        CHECK(weft_ok(weft_spawn((sleeper_fiber *)NULL, sleeper, weft_s(100)))); /* of the scope: not masked */
        CHECK(weft_ok(weft_sleep(weft_s(2))));
        CHECK_EQ(ended, 1);
        CHECK_EQ(weft_mask_end(&m), WEFT_OK);
    }
    CHECK(interrupted(e));
    return n;
}
static void mask_and_children(void *arg) {
    (void)arg;
    spawns_masked_fiber f;
    none_yet();
    CHECK(weft_ok(weft_spawn(&f, spawns_masked, 1)));
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK(weft_ok(weft_interrupt(f, NULL)));
    CHECK_EQ(weft_now(), weft_s(2));
    weft_drop(f);
}
TEST(a_fiber_spawned_inside_a_mask_is_not_masked) { often(WEFT_CLOCK_AUTO, mask_and_children, 50); }

TEST(on_a_plain_thread_masks_do_nothing) {
    weft_mask m, r;
    weft_mask_begin(&m);
    CHECK_EQ(weft_mask_restore(&r, &m), WEFT_OK);
    CHECK_EQ(weft_mask_end(&r), WEFT_OK);
    CHECK_EQ(weft_mask_end(&m), WEFT_OK);
    CHECK(weft_ok(weft_checkpoint()));
    CHECK(!weft_stopping());
}

/* ---- grace ---------------------------------------------------------------------------------------------- */

static _Atomic int64_t told_at, stopped_at;
static int polite(int heeds);
WEFT_TASK(polite, int, int);
static int polite(int heeds) {
    while (weft_ok(weft_sleep(weft_ms(300)))) {
        if (!weft_stopping()) continue;
        if (!told_at) told_at = weft_now();
        if (heeds) return 1;
    }
    stopped_at = weft_now();
    return 0;
}
static void graces(void *arg) {
    (void)arg;
    for (int heeds = 0; heeds <= 1; heeds++) {
        polite_fiber f;
        weft_time t = weft_now();
        told_at = stopped_at = 0;
        CHECK(weft_ok(weft_spawn(&f, polite, heeds)));
        CHECK(weft_ok(weft_sleep(weft_s(1))));
        CHECK_EQ(weft_interrupt_grace(f, "soon", -1), WEFT_E_INVALID);
        CHECK_EQ(weft_interrupt_grace(f, "soon", weft_s(2)), WEFT_OK);
        CHECK_EQ(weft_interrupt_grace(f, "later", weft_s(20)), WEFT_OK); /* the first one counts */
        CHECK_EQ(weft_now(), t + weft_s(1));
        weft_exit e = weft_await(f, polite, NULL);
        CHECK_EQ(told_at, t + weft_ms(1200));
        CHECK_EQ(stopped_at, heeds ? 0 : t + weft_s(3));
        CHECK_EQ(e.code, heeds ? 0 : WEFT_E_CANCELLED);
        if (!heeds) CHECK(!strcmp(e.cause->text, "soon"));
        CHECK_EQ(weft_interrupt_grace(f, "over", weft_s(1)), WEFT_OK); /* stays as it is */
        weft_drop(f);
        CHECK_EQ(pending(), 0);
    }
}
TEST(a_grace_asks_softly_first_and_interrupts_after_it) { often(WEFT_CLOCK_AUTO, graces, 50); }

TEST_MAIN
