/* Conservation under random interrupts: no permit lost, nobody excluded twice or left behind, by ten thousand schedules of each kind.
 *
 * A run: a few fibers do random things to one object, and note what they have; the main task interrupts some of them at random
 * moments.  One who is left behind is a deadlock, which fails the run, as does whatever is not as it was in the end.
 * WEFT_RUNS=n in the environment for another number of runs; WEFT_SEED=n begins there.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/san.h"
#include "test.h"
#include <weft/cancel.h>
#include <weft/fiber.h>
#include <weft/sync.h>
#include <weft/test.h>

#if defined(WEFT_TEST_EMULATED) || (defined(WEFT_DEBUG) && WEFT_DEBUG > 0)
enum { RUNS = 200 };
#else
enum { RUNS = WEFT__SAN_STACKS > 1 ? 200 : 10000 };
#endif
enum { FIBERS = 4 };

typedef struct state {
    weft_test t;
    weft_mutex m;
    weft_rwlock l;
    weft_sem s;
    weft_cond c;
    weft_barrier b;
    weft_once o;
    weft_ref r;
    weft_latch latch;
    weft_group g;
    int inside, readers, produced, consumed, set_up, added, left;
    unsigned there[3]; /* at the barrier, in each round */
} state;

static unsigned draw(state *s, unsigned below) { return (unsigned)(weft_test_random(s->t) % below); }
static const weft_exit fine = {WEFT_EXIT_OK, 0, NULL};

typedef struct job {
    state *s;
    weft_exit (*step)(state *s);
    int times;
} job;
static int works(job j);
WEFT_TASK(works, int, job);
static bool is_stopped(weft_exit e) { return e.tag == WEFT_EXIT_INTERRUPT; }
static int works(job j) {
    for (int i = 0; i < j.times; i++)
        if (is_stopped(j.step(j.s))) break;
    return 0;
}

/* All do `step`; at most `victims` of them are interrupted. */
static void crowd(state *s, weft_exit (*step)(state *), int times, unsigned victims) {
    works_fiber f[FIBERS];
    for (int i = 0; i < FIBERS; i++) weft_check(s->t, weft_ok(weft_spawn(&f[i], works, s, step, times)));
    for (unsigned i = draw(s, victims + 1); i > 0; i--) {
        for (unsigned k = draw(s, 4); k > 0; k--) weft_yield();
        weft_interrupt_async(f[draw(s, FIBERS)], "by chance");
    }
    for (int i = 0; i < FIBERS; i++) {
        weft_exit e = weft_await(f[i], works, NULL);
        weft_check(s->t, weft_ok(e) || is_stopped(e));
        weft_drop(f[i]);
    }
}

/* Others may come in between. */
static void linger(state *s) {
    switch (draw(s, 4)) {
    case 0: weft_yield(); break;
    case 1: weft_sleep(weft_us(draw(s, 3))); break;
    case 2: weft_point(); break;
    default: break;
    }
}

/* ---- each object ---------------------------------------------------------------------------------------- */

static weft_exit lock_somehow(state *s) {
    switch (draw(s, 3)) {
    case 0: return weft_mutex_lock_for(&s->m, weft_us(draw(s, 3)));
    case 1: return weft_mutex_try(&s->m) ? fine : (weft_exit){WEFT_EXIT_FAIL, WEFT_E_BUSY, NULL};
    default: return weft_mutex_lock(&s->m);
    }
}
static weft_exit mutex_step(state *s) {
    weft_exit e = lock_somehow(s);
    weft_check(s->t, weft_mutex_is_mine(&s->m) == weft_ok(e));
    if (!weft_ok(e)) return e;
    weft_check(s->t, s->inside++ == 0);
    linger(s);
    weft_check(s->t, --s->inside == 0);
    weft_check(s->t, weft_mutex_unlock(&s->m) == WEFT_OK);
    return e;
}
static void mutex_body(state *s) {
    crowd(s, mutex_step, 3, 3);
    weft_check(s->t, weft_mutex_try(&s->m) && weft_mutex_unlock(&s->m) == WEFT_OK);
}

static weft_exit sem_step(state *s) {
    weft_exit e = draw(s, 2) ? weft_sem_acquire(&s->s) : weft_sem_acquire_for(&s->s, weft_us(draw(s, 3)));
    if (!weft_ok(e)) return e;
    weft_check(s->t, ++s->inside <= 2);
    linger(s);
    s->inside--;
    weft_check(s->t, weft_sem_release(&s->s) == WEFT_OK);
    return e;
}
static void sem_body(state *s) {
    weft_sem_init(&s->s, 2, 2);
    crowd(s, sem_step, 3, 3);
    weft_check(s->t, weft_sem_permits(&s->s) == 2);
}

/* Permits that come from elsewhere: as many as were acquired are gone. */
static weft_exit consume_step(state *s) {
    weft_exit e = weft_sem_acquire(&s->s);
    if (weft_ok(e)) s->consumed++;
    return e;
}
static int produces(state *s) {
    for (int i = 0; i < FIBERS * 2; i++) {
        weft_check(s->t, weft_sem_release(&s->s) == WEFT_OK);
        linger(s);
    }
    return 0;
}
typedef state *state_ref;
WEFT_TASK(produces, int, state_ref);
static void flow_body(state *s) {
    produces_fiber p;
    weft_sem_init(&s->s, 0, 0);
    weft_check(s->t, weft_ok(weft_spawn(&p, produces, s)));
    crowd(s, consume_step, 2, 3);
    weft_check(s->t, weft_ok(weft_await(p, produces, NULL)));
    weft_drop(p);
    weft_check(s->t, weft_sem_permits(&s->s) + s->consumed == FIBERS * 2);
}

/* Two roles by chance: put a thing, or take one.  What is there and waited for is never left lying: after each put somebody is
 * signalled, and who was signalled and stops hands the signal on. */
static weft_exit cond_step(state *s) {
    weft_exit e = weft_mutex_lock(&s->m);
    if (!weft_ok(e)) return e;
    s->produced++;
    if (draw(s, 2)) weft_cond_signal(&s->c);
    else weft_cond_broadcast(&s->c);
    weft_check(s->t, weft_mutex_unlock(&s->m) == WEFT_OK);
    linger(s);
    weft_mask mask; /* takes one for the one it put: never less than those who wait for one */
    weft_mask_begin(&mask);
    e = weft_mutex_lock(&s->m);
    while (weft_ok(e) && s->produced == s->consumed) e = weft_cond_wait(&s->c, &s->m);
    weft_check(s->t, weft_ok(e) && weft_mutex_is_mine(&s->m));
    s->consumed++;
    weft_cond_signal(&s->c);
    weft_check(s->t, weft_mutex_unlock(&s->m) == WEFT_OK);
    weft_mask_end(&mask);
    return weft_checkpoint();
}
static weft_exit cond_wait_step(state *s) {
    weft_exit e = weft_mutex_lock(&s->m);
    if (!weft_ok(e)) return e;
    e = draw(s, 2) ? weft_cond_wait(&s->c, &s->m) : weft_cond_wait_for(&s->c, &s->m, weft_us(draw(s, 3)));
    weft_check(s->t, weft_mutex_is_mine(&s->m));
    weft_check(s->t, s->inside++ == 0);
    linger(s);
    s->inside--;
    weft_check(s->t, weft_mutex_unlock(&s->m) == WEFT_OK);
    return e;
}
static int broadcasts(state *s) {
    while (!s->left) {
        weft_cond_broadcast(&s->c);
        weft_sleep(weft_us(1));
    }
    return 0;
}
WEFT_TASK(broadcasts, int, state_ref);
static void cond_body(state *s) {
    crowd(s, cond_step, 2, 3);
    weft_check(s->t, s->produced == s->consumed);
    broadcasts_fiber f;
    weft_check(s->t, weft_ok(weft_spawn(&f, broadcasts, s)));
    crowd(s, cond_wait_step, 2, 3);
    s->left = 1;
    weft_check(s->t, weft_ok(weft_await(f, broadcasts, NULL)));
    weft_drop(f);
}

static weft_exit rw_step(state *s) {
    bool writes = draw(s, 2);
    weft_time t = draw(s, 2) ? WEFT_FOREVER : weft_now() + weft_us(draw(s, 3));
    weft_exit e = writes ? weft_rwlock_write_until(&s->l, t) : weft_rwlock_read_until(&s->l, t);
    if (!weft_ok(e)) return e;
    if (writes) weft_check(s->t, s->inside++ == 0 && s->readers == 0);
    else weft_check(s->t, s->inside == 0 && ++s->readers);
    linger(s);
    if (writes) s->inside--;
    else s->readers--;
    weft_check(s->t, (writes ? weft_rwlock_write_end(&s->l) : weft_rwlock_read_end(&s->l)) == WEFT_OK);
    return e;
}
static void rw_body(state *s) {
    crowd(s, rw_step, 3, 3);
    weft_check(s->t, weft_rwlock_try_write(&s->l) && weft_rwlock_write_end(&s->l) == WEFT_OK);
    weft_check(s->t, s->l.state == 0);
}

/* Who is interrupted leaves for good; the others go on without it. */
static weft_exit barrier_step(state *s) {
    weft_exit e = fine;
    int rounds = 0;
    for (; rounds < 3 && weft_ok(e); rounds++) {
        s->there[rounds]++;
        e = weft_barrier_wait(&s->b, NULL);
        if (weft_ok(e)) weft_check(s->t, s->there[rounds] >= s->b.parties);
        else s->there[rounds]--;
        linger(s);
    }
    s->left += weft_barrier_leave(&s->b) == WEFT_OK; /* all but the last one */
    return e;
}
static int parties(state *s) {
    barrier_step(s);
    return 0;
}
WEFT_TASK(parties, int, state_ref);
static void barrier_body(state *s) {
    parties_fiber f[FIBERS];
    weft_barrier_init(&s->b, FIBERS);
    for (int i = 0; i < FIBERS; i++) weft_check(s->t, weft_ok(weft_spawn(&f[i], parties, s)));
    weft_wait_all_blocked(); /* all have begun: who never does would be waited for */
    for (unsigned i = draw(s, 3); i > 0; i--) {
        for (unsigned k = draw(s, 4); k > 0; k--) weft_yield();
        weft_interrupt_async(f[draw(s, FIBERS)], "by chance");
    }
    for (int i = 0; i < FIBERS; i++) {
        weft_await(f[i], parties, NULL);
        weft_drop(f[i]);
    }
    weft_check(s->t, s->b.there == 0 && s->left == FIBERS - 1);
}

static weft_exit set_up(void *arg) {
    state *s = arg;
    weft_check(s->t, s->inside++ == 0);
    weft_exit e = weft_sleep(weft_us(draw(s, 2)));
    s->inside--;
    if (weft_ok(e) && draw(s, 2)) e = (weft_exit){WEFT_EXIT_FAIL, 300, NULL};
    s->set_up += weft_ok(e);
    return e;
}
static weft_exit once_step(state *s) {
    weft_exit e = weft_once_call(&s->o, set_up, s);
    if (weft_ok(e)) weft_check(s->t, s->set_up == 1);
    return e;
}
static void once_body(state *s) {
    crowd(s, once_step, 3, 3);
    weft_check(s->t, s->set_up == weft_once_is_done(&s->o));
}

static void *plus_one(void *value, void *arg) {
    linger(arg);
    return (void *)((intptr_t)value + 1);
}
static weft_exit ref_step(state *s) {
    weft_exit e = weft_ref_update(&s->r, plus_one, s, NULL);
    s->added += weft_ok(e);
    return e;
}
static void ref_body(state *s) {
    crowd(s, ref_step, 3, 3);
    weft_check(s->t, (intptr_t)weft_ref_get(&s->r) == s->added);
}

static weft_exit counting_step(state *s) {
    linger(s);
    s->added += weft_latch_count_down(&s->latch, 1) == WEFT_OK;
    weft_check(s->t, weft_group_add(&s->g, 1) == WEFT_OK);
    linger(s);
    weft_exit e = draw(s, 2) ? weft_latch_wait(&s->latch) : fine;
    weft_check(s->t, weft_group_done(&s->g) == WEFT_OK);
    return weft_ok(e) ? weft_group_wait(&s->g) : e;
}
static void counting_body(state *s) {
    weft_latch_init(&s->latch, 100); /* what the fibers do not count is counted here */
    works_fiber f[FIBERS];
    for (int i = 0; i < FIBERS; i++) weft_check(s->t, weft_ok(weft_spawn(&f[i], works, s, counting_step, 1)));
    for (unsigned i = draw(s, 3); i > 0; i--) {
        for (unsigned k = draw(s, 4); k > 0; k--) weft_yield();
        weft_interrupt_async(f[draw(s, FIBERS)], "by chance");
    }
    weft_wait_all_blocked();
    for (int64_t left; (left = weft_latch_left(&s->latch)) != 0;)
        s->added += weft_latch_count_down(&s->latch, left) == WEFT_OK ? (int)left : 0;
    for (int i = 0; i < FIBERS; i++) {
        weft_await(f[i], works, NULL);
        weft_drop(f[i]);
    }
    weft_check(s->t, s->added == 100 && s->g.count == 0);
}

/* ---- by both strategies ---------------------------------------------------------------------------------- */

static void search(const char *name, void (*body)(state *)) {
    for (weft_explore how = WEFT_EXPLORE_RANDOM; how <= WEFT_EXPLORE_PCT; how++) {
        static weft_test_result r;
        WEFT_TEST(t, .name = name, .runs = RUNS, .seed = 1, .explore = how, .result = &r) {
            static state s; /* a run that fails may end before its fibers */
            s = (state){.t = t};
            body(&s);
        }
        if (r.failure) fprintf(stderr, "%s\n", r.report);
        CHECK_EQ(r.failure, WEFT_TEST_PASSED);
    }
}

#define SEARCH(what) \
    TEST(what##_conserved) { search(#what, what##_body); }
SEARCH(mutex)
SEARCH(sem)
SEARCH(flow)
SEARCH(cond)
SEARCH(rw)
SEARCH(barrier)
SEARCH(once)
SEARCH(ref)
SEARCH(counting)

TEST_MAIN
