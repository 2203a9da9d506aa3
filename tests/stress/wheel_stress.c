/* Wheels under fire: one thread arms, on two wheels in turn, two cancel, two expire; each arming ends exactly once,
 * fired or cancelled, and no timer fires early.
 *
 * Time is a counter that the expirers move by jumps from nothing to hours, so that cascades and batches happen all the
 * time.  A timer is armed again as soon as its last arming is over, which may be inside the callback.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/san.h"
#include "sched/wheel.h"
#include <pthread.h>
#include <sched.h>

#if defined(__OPTIMIZE__)
#define SLOW (WEFT__SAN_STACKS > 1)
#else
#define SLOW 1
#endif

enum { WHEELS = 2, TIMERS = 3000, ARMS = SLOW ? 60000 : 300000 };

typedef struct entry {
    timer timer;
    _Atomic uint32_t busy;             /* 1 from before it is armed until it has ended */
    _Atomic uint32_t fired, cancelled; /* armings that ended so */
    uint32_t armed;                    /* the owner's count */
    uint32_t plain;                    /* written by who ends an arming; the lock and busy order it */
} entry;

static wheel wheels[WHEELS];
static entry entries[TIMERS];
static _Atomic int64_t clock_ns;
static _Atomic uint32_t owner_done;

static uint64_t rnd(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Mostly within a few ticks, sometimes as far as a day. */
static int64_t span(uint64_t *state) {
    uint64_t r = rnd(state), bits = r % 8 ? 12 + r % 13 : 12 + r % 35;
    return (int64_t)(rnd(state) >> (64 - bits));
}

static void end(entry *e, _Atomic uint32_t *how) {
    e->plain++;
    atom_add_rlx(how, 1);
    CHECK_EQ(atom_load_rlx(&e->busy), 1);
    atom_store_rel(&e->busy, 0);
}

static void *owner(void *arg) {
    uint64_t state = (uintptr_t)arg;
    for (int armed = 0, missed = 0; armed < ARMS;) {
        entry *e = &entries[rnd(&state) % TIMERS];
        if (atom_load_acq(&e->busy)) {
            if (++missed % 64 == 0) sched_yield();
            continue;
        }
        armed++;
        atom_store_rlx(&e->busy, 1);
        e->armed++;
        wheel_arm(&wheels[rnd(&state) % WHEELS], &e->timer, atom_load_rlx(&clock_ns) + span(&state) - 200000);
    }
    atom_store_rel(&owner_done, 1);
    return NULL;
}

static void *canceller(void *arg) {
    uint64_t state = (uintptr_t)arg;
    while (!atom_load_acq(&owner_done)) {
        entry *e = &entries[rnd(&state) % TIMERS];
        if (wheel_cancel(&e->timer)) end(e, &e->cancelled);
    }
    return NULL;
}

static void fire(timer *t, void *arg) {
    entry *e = (entry *)t;
    CHECK(t->deadline <= *(int64_t *)arg);
    end(e, &e->fired);
}

static void *expirer(void *arg) {
    uint64_t state = (uintptr_t)arg;
    for (int i = 0; !atom_load_acq(&owner_done); i++) {
        bool late = atom_load_rlx(&clock_ns) > INT64_MAX / 2; /* an expirer that was lucky for long: time stands from here on */
        int64_t jump = late ? 0 : span(&state), now = atom_add_rlx(&clock_ns, jump) + jump;
        wheel *w = &wheels[rnd(&state) % WHEELS];
        wheel_expire(w, now, fire, &now);
        if (i % 512 == 0) CHECK(wheel_audit(w));
    }
    return NULL;
}

static void run(uint64_t seed) {
    void *(*const body[])(void *) = {owner, canceller, canceller, expirer, expirer};
    pthread_t p[5];
    memset(entries, 0, sizeof entries);
    atom_store_rlx(&owner_done, 0);
    atom_store_rlx(&clock_ns, (int64_t)seed << 40);
    for (int i = 0; i < WHEELS; i++) wheel_init(&wheels[i], atom_load_rlx(&clock_ns));
    for (uintptr_t i = 0; i < 5; i++) CHECK(pthread_create(&p[i], NULL, body[i], (void *)(seed * 1000 + i + 1)) == 0);
    for (int i = 0; i < 5; i++) pthread_join(p[i], NULL);
}

/* What is left fires now; then the books must balance. */
static void settle(uint64_t *fired, uint64_t *cancelled) {
    int64_t end_of_time = INT64_MAX;
    for (int i = 0; i < WHEELS; i++) {
        CHECK(wheel_audit(&wheels[i]));
        wheel_expire(&wheels[i], end_of_time, fire, &end_of_time);
        CHECK_EQ(wheel_count(&wheels[i]), 0);
        CHECK_EQ(wheel_next(&wheels[i]), INT64_MAX);
        CHECK(wheel_audit(&wheels[i]));
    }
    for (entry *e = entries; e < entries + TIMERS; e++) {
        CHECK_EQ(atom_load_rlx(&e->fired) + atom_load_rlx(&e->cancelled), e->armed);
        CHECK_EQ(e->plain, e->armed);
        *fired += atom_load_rlx(&e->fired);
        *cancelled += atom_load_rlx(&e->cancelled);
    }
}

TEST(each_arming_ends_exactly_once) {
    uint64_t fired = 0, cancelled = 0;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        run(seed);
        settle(&fired, &cancelled);
    }
    printf("%llu fired, %llu cancelled\n", (unsigned long long)fired, (unsigned long long)cancelled);
    CHECK(fired > 0 && cancelled > 0);
}

TEST_MAIN
