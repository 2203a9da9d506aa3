/* Real threads and workers on one object of each kind, with interrupts: exclusion, permits, readers, rounds.
 *
 * Fibers of a runtime of two workers, and two plain threads, do random things; a fiber interrupts others at random moments.
 *   sync_stress [name]
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/san.h"
#include "support/runs.h"
#include <pthread.h>
#include <stdatomic.h>
#include <weft/promise.h>
#include <weft/sync.h>

enum { FIBERS = 12, THREADS = 2, STEPS = WEFT__SAN_STACKS > 1 ? 60 : 400, ROUNDS = WEFT__SAN_STACKS > 1 ? 10 : 40 };

typedef struct field {
    weft_mutex m;
    weft_rwlock l;
    weft_sem s;
    weft_cond c;
    weft_ref r;
    weft_runtime *rt;
    long locked, written;           /* under m, under l */
    _Atomic long steps, updates, reading, writing, inside, all_locked, all_written;
} field;

typedef struct who {
    field *f;
    uint64_t seed;
} who;

static uint64_t draw(uint64_t *state, uint64_t below) {
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (x ^ x >> 31) % below;
}

static void *plus_one(void *value, void *arg) {
    (void)arg;
    return (void *)((intptr_t)value + 1);
}

static weft_exit lock_step(field *f, uint64_t *seed) {
    weft_exit e = draw(seed, 3) ? weft_mutex_lock(&f->m) : weft_mutex_lock_for(&f->m, weft_us((int64_t)draw(seed, 100)));
    if (!weft_ok(e)) return e;
    f->locked++;
    f->all_locked++;
    if (!draw(seed, 8)) weft_yield();
    if (!draw(seed, 8)) e = weft_cond_wait_for(&f->c, &f->m, weft_us((int64_t)draw(seed, 200)));
    CHECK(weft_mutex_is_mine(&f->m));
    if (!draw(seed, 4)) weft_cond_broadcast(&f->c);
    CHECK_EQ(weft_mutex_unlock(&f->m), WEFT_OK);
    return e;
}
static weft_exit sem_step(field *f, uint64_t *seed) {
    weft_exit e = draw(seed, 2) ? weft_sem_acquire(&f->s) : weft_sem_acquire_for(&f->s, weft_us((int64_t)draw(seed, 100)));
    if (!weft_ok(e)) return e;
    CHECK(++f->inside <= 3);
    if (!draw(seed, 4)) weft_yield();
    f->inside--;
    CHECK_EQ(weft_sem_release(&f->s), WEFT_OK);
    return e;
}
static weft_exit rw_step(field *f, uint64_t *seed) {
    bool writes = !draw(seed, 3);
    weft_time t = draw(seed, 2) ? WEFT_FOREVER : weft_now() + weft_us((int64_t)draw(seed, 100));
    weft_exit e = writes ? weft_rwlock_write_until(&f->l, t) : weft_rwlock_read_until(&f->l, t);
    if (!weft_ok(e)) return e;
    if (writes) {
        CHECK_EQ(f->writing++, 0);
        CHECK_EQ(f->reading, 0);
        f->written++;
        f->all_written++;
        f->writing--;
    } else {
        f->reading++;
        CHECK_EQ(f->writing, 0);
        if (!draw(seed, 4)) weft_yield();
        f->reading--;
    }
    CHECK_EQ(writes ? weft_rwlock_write_end(&f->l) : weft_rwlock_read_end(&f->l), WEFT_OK);
    return e;
}
static weft_exit ref_step(field *f, uint64_t *seed) {
    (void)seed;
    weft_exit e = weft_ref_update(&f->r, plus_one, NULL, NULL);
    f->updates += weft_ok(e);
    return e;
}

static int works(who w);
WEFT_TASK(works, int, who);
static int works(who w) {
    static weft_exit (*const steps[])(field *, uint64_t *) = {lock_step, sem_step, rw_step, ref_step};
    for (int i = 0; i < STEPS; i++) {
        weft_exit e = steps[draw(&w.seed, 4)](w.f, &w.seed);
        CHECK(weft_ok(e) || e.tag == WEFT_EXIT_INTERRUPT || e.code == WEFT_E_TIMEOUT);
        w.f->steps++;
        if (e.tag == WEFT_EXIT_INTERRUPT) break;
    }
    return 0;
}
static void *in_thread(void *arg) {
    works(*(who *)arg);
    CHECK_EQ(weft_outside_end(((who *)arg)->f->rt), WEFT_OK);
    return NULL;
}

static void field_day(void *arg) {
    uint64_t seed = *(uint64_t *)arg;
    field f = {.rt = thread_fiber()->rt->handle};
    works_fiber w[FIBERS];
    who t[THREADS];
    pthread_t p[THREADS];
    CHECK_EQ(weft_sem_init(&f.s, 3, 3), WEFT_OK);
    for (int i = 0; i < THREADS; i++) {
        t[i] = (who){&f, draw(&seed, UINT64_MAX)};
        CHECK_EQ(weft_outside_begin(NULL), WEFT_OK);
        CHECK(pthread_create(&p[i], NULL, in_thread, &t[i]) == 0);
    }
    for (int i = 0; i < FIBERS; i++) CHECK(weft_ok(weft_spawn(&w[i], works, &f, draw(&seed, UINT64_MAX))));
    for (int i = 0; i < FIBERS / 2; i++) {
        weft_sleep(weft_us((int64_t)draw(&seed, 300)));
        weft_interrupt_async(w[draw(&seed, FIBERS)], "by chance");
    }
    for (int i = 0; i < FIBERS; i++) {
        weft_await(w[i], works, NULL);
        weft_drop(w[i]);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(p[i], NULL);
    CHECK_EQ(weft_sem_permits(&f.s), 3);
    CHECK_EQ((intptr_t)weft_ref_get(&f.r), f.updates);
    CHECK_EQ(f.locked, f.all_locked);
    CHECK_EQ(f.written, f.all_written);
    CHECK(weft_mutex_try(&f.m) && weft_mutex_unlock(&f.m) == WEFT_OK);
    CHECK(weft_rwlock_try_write(&f.l) && weft_rwlock_write_end(&f.l) == WEFT_OK);
}

TEST(fibers_and_threads_and_interrupts) {
    for (unsigned workers = 1; workers <= 2; workers++)
        for (uint64_t seed = 1; seed <= (uint64_t)ROUNDS; seed++) {
            test_note("seed %d, %u workers", (int)seed, workers);
            run_ends(&WEFT_OPTIONS(.workers = workers), field_day, &seed, WEFT_OK);
        }
}

TEST_MAIN
