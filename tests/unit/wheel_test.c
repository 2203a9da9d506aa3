/* The timing wheel, one thread, against a model: all armed timers in a plain array, searched for what is due.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "sched/wheel.h"
#include <pthread.h>

#define TICK ((int64_t)WHEEL_TICK_NS)
#define LAST_TICK ((uint64_t)INT64_MAX / WHEEL_TICK_NS)

enum { TIMERS = 300 };

typedef struct entry {
    timer timer;
    bool armed;
    uint64_t tick, order; /* fires in this order */
} entry;

static wheel w;
static entry entries[TIMERS];
static entry *due[TIMERS];
static size_t due_count, due_at;
static uint64_t orders, state;
static int64_t fire_time;

static uint64_t rnd(uint64_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static void fresh(int64_t now) {
    wheel_init(&w, now);
    memset(entries, 0, sizeof entries);
    orders = 0;
}

/* ---- the model --------------------------------------------------------------------------------------- */

static uint64_t model_first(size_t *armed) {
    uint64_t first = UINT64_MAX;
    *armed = 0;
    for (entry *e = entries; e < entries + TIMERS; e++) {
        *armed += e->armed;
        if (e->armed && e->tick < first) first = e->tick;
    }
    return first;
}

static void arm(entry *e, int64_t deadline) {
    size_t armed;
    uint64_t tick = wheel_tick_of(deadline), now = atom_load_rlx(&w.now), first = model_first(&armed);
    CHECK(!e->armed);
    e->tick = tick < now ? now : tick;
    e->order = orders++;
    e->armed = true;
    bool earlier = wheel_arm(&w, &e->timer, deadline);
    CHECK(earlier || e->tick >= first || armed == 0 || wheel_next(&w) <= (int64_t)e->tick * TICK);
    CHECK(timer_armed(&e->timer));
}

static int by_order(const void *a, const void *b) {
    const entry *x = *(entry *const *)a, *y = *(entry *const *)b;
    if (x->tick != y->tick) return x->tick < y->tick ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static void expect(uint64_t tick) {
    due_count = due_at = 0;
    for (entry *e = entries; e < entries + TIMERS; e++)
        if (e->armed && e->tick <= tick) due[due_count++] = e;
    qsort(due, due_count, sizeof *due, by_order);
}

static void fire(timer *t, void *arg) {
    CHECK(arg == &w);
    CHECK(due_at < due_count && t == &due[due_at]->timer);
    CHECK(t->deadline <= fire_time);
    CHECK(!timer_armed(t));
    due[due_at++]->armed = false;
}

static void expire(int64_t now) {
    fire_time = now;
    expect(wheel_tick_at(now));
    CHECK_EQ(wheel_expire(&w, now, fire, &w), due_count);
    CHECK_EQ(due_at, due_count);
}

/* Never late; exact right after an expire, when there are few. */
static void check_next(bool exact) {
    size_t armed;
    uint64_t first = model_first(&armed);
    CHECK_EQ(wheel_count(&w), armed);
    int64_t at = first > LAST_TICK ? INT64_MAX : (int64_t)first * TICK;
    CHECK(wheel_next(&w) <= at);
    if (exact && armed <= 16) CHECK_EQ(wheel_next(&w), at);
    CHECK(wheel_audit(&w));
}

/* ---- against the model ------------------------------------------------------------------------------- */

static int64_t some_span(void) {
    uint64_t bits = rnd(62) + 1;
    return (int64_t)rnd((uint64_t)1 << bits);
}

static int64_t later(int64_t now, int64_t span) { return span > INT64_MAX - now ? INT64_MAX : now + span; }

static int64_t some_deadline(int64_t now) {
    switch (rnd(10)) {
    case 0: return now - (int64_t)rnd(1000000);
    case 1: return INT64_MAX - (int64_t)rnd(3);
    case 2: return rnd(2) ? INT64_MIN : (int64_t)rnd(2);
    case 3: return now / TICK * TICK + (int64_t)rnd(3) * TICK; /* on a boundary */
    case 4: case 5: case 6: return later(now, (int64_t)rnd(64 * 64 * 2) * (TICK / 2));
    default: return later(now, some_span());
    }
}

static void step(int64_t *now, uint64_t gap_bits) {
    entry *e = &entries[rnd(TIMERS)];
    uint64_t what = rnd(16);
    if (what == 0) {
        *now = later(*now, (int64_t)rnd((uint64_t)1 << rnd(gap_bits)));
        bool slow = wheel_tick_at(*now) >= atom_load_rlx(&w.next);
        expire(*now);
        check_next(slow);
    } else if (e->armed || what < 4) {
        CHECK_EQ(wheel_cancel(&e->timer), e->armed);
        e->armed = false;
        CHECK(!wheel_cancel(&e->timer));
    } else arm(e, some_deadline(*now));
}

static void run(uint64_t seed, uint64_t gap_bits, int steps) {
    state = seed * 0x9e3779b97f4a7c15u + 1;
    int64_t now = (int64_t)rnd((uint64_t)1 << (rnd(50) + 1));
    fresh(now);
    for (int i = 0; i < steps; i++) step(&now, gap_bits);
    expire(INT64_MAX);
    check_next(true);
    for (entry *e = entries; e < entries + TIMERS; e++)
        if (e->armed) CHECK(e->timer.deadline > INT64_MAX - TICK && wheel_cancel(&e->timer));
    CHECK_EQ(wheel_count(&w), 0);
    CHECK(wheel_audit(&w));
}

TEST(it_does_what_the_model_does_in_short_steps) {
    for (uint64_t seed = 1; seed <= 200; seed++) run(seed, 24, 4000);
}

TEST(it_does_what_the_model_does_with_gaps_of_up_to_years) {
    for (uint64_t seed = 1; seed <= 300; seed++) run(seed, 20 + seed % 43, 2000);
}

/* ---- one behaviour each ------------------------------------------------------------------------------ */

TEST(a_timer_fires_at_the_first_tick_boundary_at_or_after_its_deadline) {
    fresh(0);
    for (int64_t deadline = TICK - 2; deadline <= TICK + 2; deadline++) {
        int64_t boundary = (deadline + TICK - 1) / TICK * TICK;
        fresh(0);
        arm(&entries[0], deadline);
        CHECK_EQ(wheel_next(&w), boundary);
        expire(deadline - 1);
        expire(boundary - 1);
        CHECK(entries[0].armed);
        expire(boundary);
        CHECK(!entries[0].armed);
    }
}

TEST(a_past_deadline_fires_at_the_next_expire) {
    fresh(1000 * TICK + 5);
    int64_t past[] = {INT64_MIN, -1, 0, 1, 999 * TICK, 1000 * TICK};
    for (int i = 0; i < 6; i++) arm(&entries[i], past[i]);
    CHECK_EQ(wheel_next(&w), 1000 * TICK);
    expire(1000 * TICK + 5);
    CHECK_EQ(wheel_count(&w), 0);
    CHECK_EQ(wheel_next(&w), INT64_MAX);
}

TEST(the_last_deadline_never_fires_and_can_be_cancelled) {
    fresh(0);
    arm(&entries[0], INT64_MAX);
    arm(&entries[1], (int64_t)LAST_TICK * TICK);
    CHECK_EQ(wheel_next(&w), (int64_t)LAST_TICK * TICK);
    expire(INT64_MAX);
    CHECK(entries[0].armed && !entries[1].armed);
    CHECK_EQ(wheel_next(&w), INT64_MAX);
    CHECK(wheel_audit(&w));
    CHECK(wheel_cancel(&entries[0].timer));
}

TEST(arm_tells_when_the_first_expiry_moved_earlier) {
    fresh(0);
    timer a = {0}, b = {0}, c = {0};
    CHECK(wheel_arm(&w, &a, 1000 * TICK));
    CHECK(!wheel_arm(&w, &b, 1000 * TICK));
    CHECK(wheel_arm(&w, &c, 999 * TICK));
    CHECK_EQ(wheel_next(&w), 999 * TICK);
}

TEST(a_sleeper_of_a_long_time_wakes_once) {
    fresh(12345);
    arm(&entries[0], 3600ll * 1000000000);
    int64_t at = wheel_next(&w);
    CHECK(at >= 3600ll * 1000000000);
    expire(at - 1);
    CHECK_EQ(wheel_next(&w), at);
    expire(at);
    CHECK_EQ(wheel_count(&w), 0);
}

TEST(an_early_wake_up_after_a_cancel_is_the_last_one) {
    fresh(0);
    arm(&entries[0], 10 * TICK);
    arm(&entries[1], 70000 * TICK);
    CHECK(wheel_cancel(&entries[0].timer));
    entries[0].armed = false;
    CHECK_EQ(wheel_next(&w), 10 * TICK);
    expire(10 * TICK);
    CHECK_EQ(wheel_next(&w), 70000 * TICK);
    CHECK(wheel_cancel(&entries[1].timer));
    entries[1].armed = false;
    expire(70000 * TICK);
    CHECK_EQ(wheel_next(&w), INT64_MAX);
}

TEST(cancel_knows_every_state) {
    fresh(0);
    timer *t = &entries[0].timer;
    CHECK(!wheel_cancel(t)); /* never armed */
    for (int bits = 0; bits < 46; bits++) {
        arm(&entries[0], ((int64_t)1 << bits) * TICK);
        CHECK(wheel_cancel(t));
        CHECK(!wheel_cancel(t)); /* cancelled */
        entries[0].armed = false;
        CHECK(wheel_audit(&w));
    }
    arm(&entries[0], TICK);
    expire(TICK);
    CHECK(!wheel_cancel(t)); /* fired */
    arm(&entries[0], TICK);
    CHECK(wheel_cancel(t)); /* armed anew, past */
    entries[0].armed = false;
    CHECK_EQ(wheel_count(&w), 0);
}

TEST(a_timer_may_move_to_another_wheel) {
    static wheel other;
    fresh(0);
    wheel_init(&other, 0);
    arm(&entries[0], TICK);
    expire(TICK);
    wheel_arm(&other, &entries[0].timer, 5 * TICK);
    CHECK_EQ(wheel_count(&other), 1);
    CHECK(wheel_cancel(&entries[0].timer));
    CHECK_EQ(wheel_count(&other), 0);
    CHECK(wheel_audit(&other) && wheel_audit(&w));
}

TEST(a_time_that_went_back_fires_nothing) {
    fresh(0);
    arm(&entries[0], 100 * TICK);
    expire(1000 * TICK);
    arm(&entries[0], 50 * TICK);
    CHECK_EQ(wheel_expire(&w, 900 * TICK, fire, &w), 0);
    CHECK(wheel_audit(&w));
    expire(1000 * TICK);
    CHECK(!entries[0].armed);
}

/* ---- many in a slot ---------------------------------------------------------------------------------- */

enum { MANY = 5 * WHEEL_BATCH + 3 };

static timer many[MANY];
static size_t many_fired;

static void fire_in_order(timer *t, void *arg) {
    (void)arg;
    CHECK(t == &many[many_fired++]);
}

TEST(more_timers_than_a_batch_keep_their_order_through_all_levels) {
    int64_t at = (((int64_t)3 << 36) + ((int64_t)5 << 24) + (7 << 12) + 9) * TICK;
    fresh(0);
    many_fired = 0;
    for (int i = 0; i < MANY; i++) wheel_arm(&w, &many[i], at - i % 100);
    for (int64_t now; (now = wheel_next(&w)) < at;) { /* the slot's begin: too many for a closer look */
        CHECK_EQ(wheel_expire(&w, now, fire_in_order, NULL), 0);
        CHECK(wheel_next(&w) > now);
        CHECK(wheel_audit(&w));
    }
    CHECK_EQ(wheel_expire(&w, at, fire_in_order, NULL), MANY);
    CHECK_EQ(many_fired, MANY);
}

/* ---- callbacks --------------------------------------------------------------------------------------- */

static int refired;

static void fire_again(timer *t, void *arg) {
    refired++;
    wheel_link(&w, t, *(int64_t *)arg);
}

TEST(a_callback_that_arms_a_past_deadline_does_not_keep_expire_busy) {
    int64_t past = 0;
    for (int64_t at = 1; at < 200; at++) { /* 63 to 64: the next tick is in another slot of level 1 */
        fresh(0);
        refired = 0;
        wheel_arm(&w, &entries[0].timer, at * TICK);
        CHECK_EQ(wheel_expire(&w, at * TICK, fire_again, &past), 1);
        CHECK(wheel_audit(&w));
        CHECK_EQ(wheel_next(&w), (at + 1) * TICK);
        CHECK_EQ(wheel_expire(&w, (at + 3) * TICK, fire_again, &past), 3);
        CHECK(wheel_cancel(&entries[0].timer));
        CHECK_EQ(refired, 4);
    }
}

static _Atomic int callback_began, cancel_began;
static int callback_over;

static void fire_slowly(timer *t, void *arg) {
    (void)t, (void)arg;
    atom_store_rel(&callback_began, 1);
    while (!atom_load_acq(&cancel_began)) arch_relax();
    for (int i = 0; i < 20000; i++) arch_relax();
    callback_over = 1;
}

static void *expirer(void *arg) {
    (void)arg;
    CHECK_EQ(wheel_expire(&w, TICK, fire_slowly, NULL), 1);
    return NULL;
}

TEST(cancel_of_a_firing_timer_waits_for_the_callback) {
    fresh(0);
    callback_over = 0;
    arm(&entries[0], TICK);
    pthread_t p;
    CHECK(pthread_create(&p, NULL, expirer, NULL) == 0);
    while (!atom_load_acq(&callback_began)) arch_relax();
    atom_store_rel(&cancel_began, 1);
    CHECK(!wheel_cancel(&entries[0].timer));
    CHECK_EQ(callback_over, 1);
    pthread_join(p, NULL);
}

TEST_MAIN
