/* tests/fault/sync_points.c -- locks and meeting points with faults: nothing is held by two, no permit is lost, whoever was not let
 * in holds nothing.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "driver.h"
#include <weft/sync.h>

/* Failed, for lack of time or for a reason that the armed faults explain. */
static bool late_or_fine(weft_exit e) { return e.code == WEFT_E_TIMEOUT ? false : FINE(e); }

static int inside; /* under a lock: how many are in it */
static void alone(void) {
    CHECK_EQ(inside++, 0);
    inside--;
}

/* As many as there is memory for do `step` n times; then all have ended. */
typedef struct crowd {
    void (*step)(void *arg);
    void *arg;
} crowd;
static int member(crowd c);
WEFT_TASK(member, int, crowd);
static int member(crowd c) {
    for (int i = 0; i < 2; i++) {
        c.step(c.arg);
        FINE(weft_yield());
    }
    return 0;
}
static void with_crowd(void (*step)(void *arg), void *arg) {
    member_fiber f[3];
    bool is[3];
    for (int i = 0; i < 3; i++) is[i] = FINE(weft_spawn(&f[i], member, step, arg));
    for (int i = 0; i < 3; i++) {
        if (!is[i]) continue;
        UNTIL_ENDED(f[i], member, NULL);
        weft_drop(f[i]);
    }
}

/* ---- mutex, condition, ref ------------------------------------------------------------------------------ */

typedef struct shop {
    weft_mutex lock;
    weft_cond changed;
    int stock;
    atomic_bool closed;
} shop;

static void visit(void *arg) {
    shop *s = arg;
    if (late_or_fine(weft_mutex_lock_for(&s->lock, weft_ms(2)))) {
        alone();
        s->stock++;
        weft_cond_signal(&s->changed);
        FINE(weft_sleep(weft_ms(1)));
        CHECK(weft_mutex_is_mine(&s->lock));
        CHECK_EQ(weft_mutex_unlock(&s->lock), WEFT_OK);
    }
    if (FINE(weft_mutex_lock(&s->lock))) {
        if (s->stock % 2) late_or_fine(weft_cond_wait_until(&s->changed, &s->lock, weft_now() + weft_ms(1)));
        if (s->stock % 3 == 1) late_or_fine(weft_cond_wait_for(&s->changed, &s->lock, weft_ms(1)));
        CHECK(weft_mutex_is_mine(&s->lock));
        CHECK_EQ(weft_mutex_unlock(&s->lock), WEFT_OK);
    }
    if (weft_mutex_try(&s->lock)) CHECK_EQ(weft_mutex_unlock(&s->lock), WEFT_OK);
    CHECK_EQ(weft_mutex_unlock(&s->lock), WEFT_E_NOT_HELD);
}
static int wakes(shop *s);
WEFT_TASK(wakes, int, shop *);
static int wakes(shop *s) {
    weft_mask m;
    weft_mask_begin(&m); /* somebody waits for this */
    while (!atomic_load(&s->closed)) {
        weft_cond_broadcast(&s->changed);
        FINE(weft_sleep(weft_ms(1)));
    }
    weft_mask_end(&m);
    return 0;
}
static void shops(void) {
    shop s = {.stock = 0};
    weft_mutex_init(&s.lock);
    with_crowd(visit, &s);
    wakes_fiber f;
    bool is = FINE(weft_spawn(&f, wakes, &s));
    if (is && late_or_fine(weft_mutex_lock_until(&s.lock, weft_now() + weft_ms(1)))) {
        FINE(weft_cond_wait(&s.changed, &s.lock));
        CHECK_EQ(weft_mutex_unlock(&s.lock), WEFT_OK);
    }
    if (!is) return;
    atomic_store(&s.closed, true);
    UNTIL_ENDED(f, wakes, NULL);
    weft_drop(f);
}

static void *one_more(void *old, void *arg) {
    (void)arg;
    return (void *)((uintptr_t)old + 1);
}
static void change(void *arg) {
    weft_ref *r = arg;
    void *was = weft_ref_get(r);
    bool changed;
    FINE(weft_ref_update(r, one_more, NULL, NULL));
    FINE(weft_ref_swap_if(r, was, was, &changed));
}
static void refs(void) {
    weft_ref r;
    weft_ref_init(&r, NULL);
    with_crowd(change, &r);
    FINE(weft_ref_set(&r, NULL));
}

/* ---- semaphore ------------------------------------------------------------------------------------------ */

static void use(void *arg) {
    weft_sem *s = arg;
    if (FINE(weft_sem_acquire(s))) {
        FINE(weft_yield());
        CHECK_EQ(weft_sem_release(s), WEFT_OK);
    }
    if (late_or_fine(weft_sem_acquire_for(s, weft_ms(1)))) CHECK_EQ(weft_sem_release(s), WEFT_OK);
    if (late_or_fine(weft_sem_acquire_until(s, weft_now() + weft_ms(1)))) CHECK_EQ(weft_sem_release(s), WEFT_OK);
    if (weft_sem_try(s)) CHECK_EQ(weft_sem_release(s), WEFT_OK);
}
static void permits(void) {
    weft_sem s;
    CHECK_EQ(weft_sem_init(&s, 2, 2), WEFT_OK);
    with_crowd(use, &s);
    CHECK_EQ(weft_sem_permits(&s), 2);
    CHECK_EQ(weft_sem_release(&s), WEFT_E_LIMIT);
}

/* ---- latch, group, barrier, once, read-write lock ------------------------------------------------------- */

typedef struct meeting {
    weft_latch latch;
    weft_group group;
    weft_barrier barrier;
    weft_once once;
    weft_rwlock book;
} meeting;

static weft_exit open_up(void *arg) {
    (void)arg;
    weft_exit e = weft_yield();
    FINE(e);
    return e;
}
static void meet(void *arg) {
    meeting *m = arg;
    if (weft_latch_left(&m->latch) > 0) weft_latch_count_down(&m->latch, 1);
    CHECK_EQ(weft_group_add(&m->group, 1), WEFT_OK);
    FINE(weft_once_call(&m->once, open_up, NULL));
    if (FINE(weft_rwlock_read(&m->book))) CHECK_EQ(weft_rwlock_read_end(&m->book), WEFT_OK);
    if (FINE(weft_rwlock_write(&m->book))) {
        alone();
        CHECK_EQ(weft_rwlock_write_end(&m->book), WEFT_OK);
    }
    weft_time soon = weft_now() + weft_ms(1);
    if (late_or_fine(weft_rwlock_read_until(&m->book, soon))) CHECK_EQ(weft_rwlock_read_end(&m->book), WEFT_OK);
    if (late_or_fine(weft_rwlock_write_until(&m->book, soon))) CHECK_EQ(weft_rwlock_write_end(&m->book), WEFT_OK);
    if (weft_rwlock_try_read(&m->book)) CHECK_EQ(weft_rwlock_read_end(&m->book), WEFT_OK);
    if (weft_rwlock_try_write(&m->book)) CHECK_EQ(weft_rwlock_write_end(&m->book), WEFT_OK);
    CHECK_EQ(weft_group_done(&m->group), WEFT_OK);
}
static int party(meeting *m);
WEFT_TASK(party, int, meeting *);
static int party(meeting *m) {
    bool last;
    if (!FINE(weft_barrier_wait(&m->barrier, &last))) weft_barrier_leave(&m->barrier);
    return 0;
}
static void meetings(void) {
    bool told = weft_outside_begin(NULL) == WEFT_OK;
    CHECK(told);
    CHECK_EQ(weft_outside_end(NULL), WEFT_OK);
    meeting m = {.group = WEFT_GROUP, .once = WEFT_ONCE, .book = WEFT_RWLOCK};
    CHECK_EQ(weft_latch_init(&m.latch, 1), WEFT_OK);
    CHECK_EQ(weft_barrier_init(&m.barrier, 2), WEFT_OK);
    with_crowd(meet, &m);
    FINE(weft_group_wait(&m.group));
    if (weft_latch_left(&m.latch) == 0) FINE(weft_latch_wait(&m.latch));
    (void)weft_once_is_done(&m.once);
    party_fiber f;
    if (!FINE(weft_spawn(&f, party, &m))) return;
    party(&m);
    UNTIL_ENDED(f, party, NULL);
    weft_drop(f);
    weft_barrier_leave(&m.barrier);
}

const scenario sync_scenarios[] = {
    {"shops", shops, NULL},       {"refs", refs, NULL}, {"permits", permits, NULL},
    {"meetings", meetings, NULL}, {NULL, NULL, NULL},
};
