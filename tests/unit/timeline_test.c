/* The timeline against a model: all armed timers in a plain array, searched for the first.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "sched/timeline.h"

enum { TIMERS = 200, MANY = 200000 };

typedef struct entry {
    timer timer;
    bool armed;
    int64_t deadline;
    uint64_t order;
} entry;

static timeline line;
static entry entries[TIMERS];
static timer *many;
static uint64_t orders, state;

static uint64_t rnd(uint64_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static void fresh(uint64_t seed) {
    timeline_init(&line);
    memset(entries, 0, sizeof entries);
    orders = 0;
    state = seed * 0x9e3779b97f4a7c15u + 1;
}

static void arm(entry *e, int64_t deadline) {
    CHECK(!e->armed);
    e->armed = true;
    e->deadline = deadline;
    e->order = orders++;
    timeline_arm(&line, &e->timer, deadline);
    CHECK(timer_armed(&e->timer));
}

/* What comes first, and how many are armed. */
static entry *model_first(size_t *armed) {
    entry *first = NULL;
    *armed = 0;
    for (entry *e = entries; e < entries + TIMERS; e++) {
        if (!e->armed) continue;
        ++*armed;
        if (!first || e->deadline < first->deadline ||
            (e->deadline == first->deadline && e->order < first->order)) first = e;
    }
    return first;
}

static void check_first(void) {
    size_t armed;
    int64_t deadline = 0;
    entry *first = model_first(&armed);
    CHECK_EQ(timeline_count(&line), armed);
    CHECK_EQ(timeline_first(&line, &deadline), first != NULL);
    if (first) CHECK_EQ(deadline, first->deadline);
    CHECK(timeline_audit(&line));
}

static void is_first(timer *t) {
    size_t armed;
    entry *first = model_first(&armed);
    CHECK(first && t == &first->timer && !timer_armed(t));
    first->armed = false;
}

static void fire(timer *t, void *arg) {
    CHECK(t->deadline <= *(int64_t *)arg);
    is_first(t);
}

static void pop_one(int64_t limit) {
    size_t armed;
    entry *first = model_first(&armed);
    timer *t = timeline_pop(&line, limit);
    CHECK_EQ(t != NULL, first && first->deadline <= limit);
    if (t) is_first(t);
}

static void pop_all(int64_t limit) {
    size_t before, after;
    model_first(&before);
    size_t fired = timeline_pop_until(&line, limit, fire, &limit);
    entry *first = model_first(&after);
    CHECK_EQ(fired, before - after);
    CHECK(!first || first->deadline > limit);
}

static void step(int64_t range) {
    entry *e = &entries[rnd(TIMERS)];
    int64_t deadline = (int64_t)rnd((uint64_t)range) - range / 4;
    if (rnd(50) == 0) deadline = rnd(2) ? INT64_MAX : INT64_MIN;
    switch (rnd(12)) {
    case 0: pop_one(deadline); break;
    case 1: if (rnd(8) == 0) pop_all(deadline); break;
    case 2: case 3: case 4:
        CHECK_EQ(timeline_cancel(&line, &e->timer), e->armed);
        e->armed = false;
        break;
    default: if (!e->armed) arm(e, deadline);
    }
}

TEST(it_does_what_the_model_does) {
    for (uint64_t seed = 1; seed <= 60; seed++) {
        fresh(seed);
        int64_t range = (int64_t)4 << rnd(60); /* small: many equal deadlines */
        for (int i = 0; i < 3000; i++) {
            step(range);
            if (i % 16 == 0) check_first();
        }
        pop_all(INT64_MAX);
        check_first();
    }
}

TEST(equal_deadlines_come_in_order_of_arming) {
    fresh(1);
    for (int i = 0; i < TIMERS; i++) arm(&entries[i], 7);
    for (int i = 0; i < TIMERS; i++) CHECK(timeline_pop(&line, 7) == &entries[i].timer);
    CHECK(timeline_pop(&line, INT64_MAX) == NULL);
}

TEST(a_timer_armed_again_goes_behind_its_equals) {
    fresh(1);
    for (int i = 0; i < 3; i++) arm(&entries[i], 7);
    CHECK(timeline_cancel(&line, &entries[0].timer));
    entries[0].armed = false;
    arm(&entries[0], 7);
    CHECK(timeline_pop(&line, 7) == &entries[1].timer);
    CHECK(timeline_pop(&line, 7) == &entries[2].timer);
    CHECK(timeline_pop(&line, 7) == &entries[0].timer);
}

TEST(cancel_knows_every_state) {
    fresh(1);
    timer *t = &entries[0].timer;
    static timeline other;
    CHECK(!timeline_cancel(&line, t));
    arm(&entries[0], 1);
    CHECK(!timeline_cancel(&other, t));
    CHECK(timeline_cancel(&line, t));
    CHECK(!timeline_cancel(&line, t));
    entries[0].armed = false;
    arm(&entries[0], 1);
    pop_all(1);
    CHECK(!timeline_cancel(&line, t));
}

static void fire_and_link(timer *t, void *arg) {
    int64_t *now = arg;
    CHECK(t->deadline >= *now);
    *now = t->deadline;
    if (*now < 100) timeline_link(&line, t, *now + 10);
}

TEST(what_a_callback_links_fires_in_the_same_call_if_it_is_due) {
    fresh(1);
    int64_t now = 0;
    timeline_arm(&line, &entries[0].timer, 3);
    timeline_arm(&line, &entries[1].timer, 5);
    CHECK_EQ(timeline_pop_until(&line, 60, fire_and_link, &now), 12);
    CHECK_EQ(now, 55);
    CHECK_EQ(timeline_count(&line), 2);
}

/* The worst shapes: one chain, one node with all others as children, then whatever cancels leave. */
static void fill(int64_t first, int64_t stride) {
    fresh(9);
    many = calloc(MANY, sizeof *many);
    CHECK(many != NULL);
    for (int64_t i = 0; i < MANY; i++) timeline_arm(&line, &many[i], first + stride * i);
}

static void fire_rising(timer *t, void *arg) {
    int64_t *last = arg;
    CHECK(t->deadline >= *last);
    *last = t->deadline;
}

static void empty(size_t left) {
    int64_t last = INT64_MIN;
    CHECK_EQ(timeline_pop_until(&line, INT64_MAX, fire_rising, &last), left);
    free(many);
}

TEST(rising_deadlines_make_one_wide_node) {
    fill(0, 1);
    empty(MANY);
}

TEST(falling_deadlines_make_one_chain) {
    fill(0, -1);
    empty(MANY);
}

TEST(cancels_from_anywhere_leave_a_heap) {
    fill(0, 1);
    size_t left = MANY;
    CHECK(timeline_pop(&line, 0) == &many[0]);
    left--;
    for (int i = 0; i < MANY; i++) left -= timeline_cancel(&line, &many[rnd(MANY)]);
    CHECK_EQ(timeline_count(&line), left);
    empty(left);
}

TEST_MAIN
