/* Semaphores, conditions, latches, wait groups, barriers, once, ref cells, read-write locks.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/runs.h"
#include <pthread.h>
#include <stdatomic.h>
#include <weft/promise.h>
#include <weft/scope.h>
#include <weft/sync.h>

static bool failed(weft_exit e, int code) { return e.tag == WEFT_EXIT_FAIL && e.code == code; }
static bool interrupted(weft_exit e) { return e.tag == WEFT_EXIT_INTERRUPT && e.code == WEFT_E_INTERRUPTED; }
static void rest(int ms) { CHECK(weft_ok(weft_sleep(weft_ms(ms)))); }

/* A fiber that calls step(arg), and says how that went. */
typedef struct call {
    weft_exit (*step)(void *arg);
    void *arg;
} call;
static weft_exit does(call c);
WEFT_TASK(does, weft_exit, call);
static weft_exit does(call c) { return c.step(c.arg); }
static does_fiber begin(weft_exit (*step)(void *), void *arg) {
    does_fiber f;
    CHECK(weft_ok(weft_spawn(&f, does, step, arg)));
    return f;
}
static weft_exit end_of(does_fiber f) {
    weft_exit e = {WEFT_EXIT_DIE, 0, NULL}, how = weft_await(f, does, &e);
    weft_drop(f);
    return weft_ok(how) ? e : how;
}
static bool is_cancelled(weft_exit e) { return e.tag == WEFT_EXIT_INTERRUPT && e.code == WEFT_E_CANCELLED; }

/* ---- semaphore ---------------------------------------------------------------------------------------- */

static int order[8], n_order;
typedef struct ticket {
    weft_sem *s;
    int id;
} ticket;
static weft_exit acquires(void *arg) {
    const ticket *t = arg;
    weft_exit e = weft_sem_acquire(t->s);
    if (weft_ok(e)) order[n_order++] = t->id;
    return e;
}

static void permits_in_order(void *arg) {
    weft_sem s;
    ticket t[4];
    does_fiber f[4];
    (void)arg;
    n_order = 0;
    CHECK_EQ(weft_sem_init(&s, 0, 2), WEFT_OK);
    for (int i = 0; i < 4; i++) {
        t[i] = (ticket){&s, i};
        f[i] = begin(acquires, &t[i]);
        rest(1);
    }
    CHECK(!weft_sem_try(&s));
    CHECK(weft_ok(weft_interrupt(f[1], "not needed")));
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(weft_sem_release(&s), WEFT_OK);
        CHECK(!weft_sem_try(&s)); /* it is another one's already */
        rest(1);
        CHECK_EQ(n_order, i + 1);
    }
    CHECK(order[0] == 0 && order[1] == 2 && order[2] == 3);
    CHECK_EQ(weft_sem_permits(&s), 0);
    CHECK_EQ(weft_sem_release(&s), WEFT_OK);
    CHECK_EQ(weft_sem_release(&s), WEFT_OK);
    CHECK_EQ(weft_sem_release(&s), WEFT_E_LIMIT);
    CHECK_EQ(weft_sem_permits(&s), 2);
    for (int i = 0; i < 4; i++) CHECK_EQ(is_cancelled(end_of(f[i])), i == 1);
}
TEST(permits_go_to_who_waits_longest) { on_clock(WEFT_CLOCK_AUTO, permits_in_order); }

static void late_permits(void *arg) {
    weft_sem s;
    (void)arg;
    CHECK_EQ(weft_sem_init(&s, -1, 0), WEFT_E_INVALID);
    CHECK_EQ(weft_sem_init(&s, 3, 2), WEFT_E_INVALID);
    CHECK_EQ(weft_sem_init(&s, 0, -1), WEFT_E_INVALID);
    CHECK_EQ(weft_sem_init(&s, 1, 0), WEFT_OK);
    CHECK(weft_ok(weft_sem_acquire(&s)));
    CHECK(failed(weft_sem_acquire_for(&s, weft_ms(3)), WEFT_E_TIMEOUT));
    CHECK(failed(weft_sem_acquire_for(&s, -1), WEFT_E_INVALID));
    CHECK_EQ(weft_sem_release(&s), WEFT_OK);
    CHECK_EQ(weft_sem_permits(&s), 1);
    CHECK(weft_ok(weft_sem_acquire_for(&s, 0)));
}
TEST(a_wait_for_a_permit_ends_in_time) {
    on_clock(WEFT_CLOCK_AUTO, late_permits);
    late_permits(NULL);
}

/* Ten operations on three connections (semantics.md, trap 48). */
typedef struct pool {
    weft_sem s;
    _Atomic int used, most, done;
} pool;
static weft_exit uses(void *arg) {
    pool *p = arg;
    weft_exit e = weft_sem_acquire(&p->s);
    if (!weft_ok(e)) return e;
    int used = atomic_fetch_add(&p->used, 1) + 1;
    CHECK(used <= 3);
    if (used > atomic_load(&p->most)) atomic_store(&p->most, used);
    e = weft_sleep(weft_ms(10));
    atomic_fetch_sub(&p->used, 1);
    CHECK_EQ(weft_sem_release(&p->s), WEFT_OK);
    if (weft_ok(e)) atomic_fetch_add(&p->done, 1);
    return e;
}
static void pooled(void *arg) {
    pool p = {.used = 0};
    does_fiber f[10];
    (void)arg;
    CHECK_EQ(weft_sem_init(&p.s, 3, 3), WEFT_OK);
    for (int i = 0; i < 10; i++) f[i] = begin(uses, &p);
    rest(5);
    CHECK(weft_ok(weft_interrupt_async(f[2], "a user")));
    CHECK(weft_ok(weft_interrupt_async(f[7], "one who waits")));
    for (int i = 0; i < 10; i++) end_of(f[i]);
    CHECK_EQ(weft_sem_permits(&p.s), 3);
    CHECK_EQ(atomic_load(&p.most), 3);
    CHECK_EQ(atomic_load(&p.done), 8);
}
TEST(ten_share_three_and_all_come_back) { on_clock(WEFT_CLOCK_AUTO, pooled); }

/* ---- condition ---------------------------------------------------------------------------------------- */

typedef struct mailbox {
    weft_mutex m;
    weft_cond changed;
    int n, taken;
} mailbox;
static weft_exit takes(void *arg) {
    mailbox *b = arg;
    weft_exit e = weft_mutex_lock(&b->m);
    if (!weft_ok(e)) return e;
    while (weft_ok(e) && !b->n) e = weft_cond_wait(&b->changed, &b->m);
    CHECK(weft_mutex_is_mine(&b->m));
    if (weft_ok(e)) b->n--, b->taken++;
    CHECK_EQ(weft_mutex_unlock(&b->m), WEFT_OK);
    return e;
}
static void put(mailbox *b, int n, bool all) {
    CHECK(weft_ok(weft_mutex_lock(&b->m)));
    b->n += n;
    if (all) weft_cond_broadcast(&b->changed);
    else weft_cond_signal(&b->changed);
    CHECK_EQ(weft_mutex_unlock(&b->m), WEFT_OK);
}
static void conditions(void *arg) {
    mailbox b = {.m = WEFT_MUTEX};
    does_fiber f[5];
    (void)arg;
    for (int i = 0; i < 5; i++) {
        f[i] = begin(takes, &b);
        rest(1);
    }
    put(&b, 1, false);
    rest(1);
    CHECK_EQ(b.taken, 1);
    CHECK(weft_ok(weft_interrupt(f[1], "enough")));
    put(&b, 1, false);
    rest(1);
    CHECK_EQ(b.taken, 2);
    put(&b, 1, true);
    rest(1);
    CHECK_EQ(b.taken, 3);
    put(&b, 1, true);
    for (int i = 0; i < 5; i++) CHECK_EQ(is_cancelled(end_of(f[i])), i == 1);
    CHECK_EQ(b.taken, 4);
    CHECK(failed(weft_cond_wait(&b.changed, &b.m), WEFT_E_NOT_HELD));
    CHECK(weft_ok(weft_mutex_lock(&b.m)));
    CHECK(failed(weft_cond_wait_for(&b.changed, &b.m, weft_ms(2)), WEFT_E_TIMEOUT));
    CHECK(failed(weft_cond_wait_for(&b.changed, &b.m, -1), WEFT_E_INVALID));
    CHECK_EQ(weft_mutex_unlock(&b.m), WEFT_OK);
}
TEST(a_condition_lets_the_mutex_go_and_has_it_again) { on_clock(WEFT_CLOCK_AUTO, conditions); }

/* The mutex is held by somebody else when the wait is interrupted. */
static void relocks(void *arg) {
    mailbox b = {.m = WEFT_MUTEX};
    does_fiber f = begin(takes, &b);
    (void)arg;
    rest(1);
    CHECK(weft_ok(weft_mutex_lock(&b.m)));
    CHECK(weft_ok(weft_interrupt_async(f, "enough")));
    rest(5);
    CHECK(!weft_is_done(f));
    CHECK_EQ(weft_mutex_unlock(&b.m), WEFT_OK);
    CHECK(is_cancelled(end_of(f)));
}
TEST(an_interrupted_waiter_has_the_mutex_on_return) { on_clock(WEFT_CLOCK_AUTO, relocks); }

/* ---- latch, group, barrier ----------------------------------------------------------------------------- */

static weft_exit awaits_latch(void *l) { return weft_latch_wait(l); }
static void latches(void *arg) {
    weft_latch l;
    does_fiber f[3];
    (void)arg;
    CHECK_EQ(weft_latch_init(&l, -1), WEFT_E_INVALID);
    CHECK_EQ(weft_latch_init(&l, 0), WEFT_OK);
    CHECK(weft_ok(weft_latch_wait(&l)));
    CHECK_EQ(weft_latch_init(&l, 3), WEFT_OK);
    for (int i = 0; i < 3; i++) f[i] = begin(awaits_latch, &l);
    rest(1);
    CHECK_EQ(weft_latch_count_down(&l, 4), WEFT_E_INVALID);
    CHECK_EQ(weft_latch_count_down(&l, -1), WEFT_E_INVALID);
    CHECK_EQ(weft_latch_count_down(&l, 2), WEFT_OK);
    CHECK_EQ(weft_latch_left(&l), 1);
    CHECK(weft_ok(weft_interrupt(f[0], "enough")));
    CHECK(!weft_is_done(f[1]));
    CHECK_EQ(weft_latch_count_down(&l, 1), WEFT_OK);
    CHECK_EQ(weft_latch_count_down(&l, 1), WEFT_E_INVALID);
    for (int i = 0; i < 3; i++) CHECK_EQ(is_cancelled(end_of(f[i])), i == 0);
    CHECK(weft_ok(weft_latch_wait(&l)));
}
TEST(a_latch_opens_at_zero) { on_clock(WEFT_CLOCK_AUTO, latches); }

static weft_exit works(void *g) {
    weft_sleep(weft_ms(2));
    CHECK_EQ(weft_group_done(g), WEFT_OK);
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}
static weft_exit awaits_group(void *g) { return weft_group_wait(g); }
static void groups(void *arg) {
    weft_group g = WEFT_GROUP;
    (void)arg;
    CHECK_EQ(weft_group_done(&g), WEFT_E_INVALID);
    CHECK(weft_ok(weft_group_wait(&g)));
    for (int round = 0; round < 2; round++) {
        does_fiber f[4], waits;
        CHECK_EQ(weft_group_add(&g, 4), WEFT_OK);
        for (int i = 0; i < 4; i++) f[i] = begin(works, &g);
        waits = begin(awaits_group, &g);
        CHECK(weft_ok(weft_group_wait(&g)));
        CHECK(weft_ok(end_of(waits)));
        for (int i = 0; i < 4; i++) CHECK(weft_ok(end_of(f[i])));
    }
    CHECK_EQ(weft_group_add(&g, 1), WEFT_OK);
    CHECK_EQ(weft_group_add(&g, INT64_MAX), WEFT_E_INVALID);
    CHECK_EQ(weft_group_add(&g, -2), WEFT_E_INVALID);
    does_fiber f = begin(awaits_group, &g);
    rest(1);
    CHECK(weft_ok(weft_interrupt(f, "enough")));
    CHECK(is_cancelled(end_of(f)));
    CHECK_EQ(weft_group_done(&g), WEFT_OK);
}
TEST(a_group_is_waited_for_again_and_again) { on_clock(WEFT_CLOCK_AUTO, groups); }

static _Atomic int lasts, rounds_done[8];
static weft_exit goes_round(void *arg) {
    weft_barrier *b = arg;
    weft_exit e = {WEFT_EXIT_OK, 0, NULL};
    for (int i = 0; i < 8 && weft_ok(e); i++) {
        bool last;
        atomic_fetch_add(&rounds_done[i], 1);
        e = weft_barrier_wait(b, &last);
        CHECK(!weft_ok(e) || atomic_load(&rounds_done[i]) == 3);
        lasts += last;
    }
    return e;
}
static weft_exit comes_once(void *b) { return weft_barrier_wait(b, NULL); }
static void barriers(void *arg) {
    weft_barrier b;
    does_fiber f[3];
    (void)arg;
    lasts = 0;
    for (int i = 0; i < 8; i++) rounds_done[i] = 0;
    CHECK_EQ(weft_barrier_init(&b, 0), WEFT_E_INVALID);
    CHECK_EQ(weft_barrier_init(&b, 3), WEFT_OK);
    for (int i = 0; i < 3; i++) f[i] = begin(goes_round, &b);
    for (int i = 0; i < 3; i++) CHECK(weft_ok(end_of(f[i])));
    CHECK_EQ(lasts, 8);
    f[0] = begin(comes_once, &b);
    f[1] = begin(comes_once, &b);
    rest(1);
    CHECK(weft_ok(weft_interrupt(f[0], "not any more")));
    CHECK(is_cancelled(end_of(f[0])));
    f[0] = begin(comes_once, &b);
    rest(1);
    CHECK(!weft_is_done(f[0]) && !weft_is_done(f[1]));
    CHECK_EQ(weft_barrier_leave(&b), WEFT_OK);
    CHECK(weft_ok(end_of(f[0])) && weft_ok(end_of(f[1])));
    CHECK_EQ(weft_barrier_leave(&b), WEFT_OK);
    CHECK_EQ(weft_barrier_leave(&b), WEFT_E_INVALID);
    CHECK(weft_ok(weft_barrier_wait(&b, NULL)));
}
TEST(a_barrier_opens_when_all_are_there_and_one_who_is_interrupted_is_not) { on_clock(WEFT_CLOCK_AUTO, barriers); }

/* ---- once, ref ------------------------------------------------------------------------------------------ */

typedef struct setup {
    weft_once o;
    int tried, done, fail_first;
} setup;
static weft_exit set_up(void *arg) {
    setup *s = arg;
    weft_exit e = weft_sleep(weft_ms(2));
    s->tried++;
    CHECK(failed(weft_once_call(&s->o, set_up, s), WEFT_E_INSIDE));
    if (!weft_ok(e)) return e;
    if (s->fail_first-- > 0) return (weft_exit){WEFT_EXIT_FAIL, 300, NULL};
    s->done++;
    return e;
}
static weft_exit calls_once(void *arg) { return weft_once_call(&((setup *)arg)->o, set_up, arg); }
static void once(void *arg) {
    setup s = {.fail_first = 2};
    does_fiber f[6];
    int errors = 0, fine = 0, stopped = 0;
    (void)arg;
    for (int i = 0; i < 6; i++) f[i] = begin(calls_once, &s);
    rest(1);
    CHECK(weft_ok(weft_interrupt_async(f[3], "enough")));
    for (int i = 0; i < 6; i++) {
        weft_exit e = end_of(f[i]);
        errors += failed(e, 300);
        fine += weft_ok(e);
        stopped += is_cancelled(e);
    }
    CHECK_EQ(errors, 2);
    CHECK_EQ(stopped, 1);
    CHECK_EQ(fine, 3);
    CHECK_EQ(s.done, 1);
    CHECK(weft_once_is_done(&s.o));
    CHECK(weft_ok(calls_once(&s)));
    CHECK_EQ(s.done, 1);
}
TEST(what_fails_is_tried_again_by_the_next) { on_clock(WEFT_CLOCK_AUTO, once); }

static void *plus_one(void *value, void *arg) {
    (void)arg;
    weft_yield();
    return (void *)((intptr_t)value + 1);
}
static weft_exit adds(void *r) {
    weft_exit e = {WEFT_EXIT_OK, 0, NULL};
    for (int i = 0; i < 10 && weft_ok(e); i++) e = weft_ref_update(r, plus_one, NULL, NULL);
    return e;
}
static void refs(void *arg) {
    weft_ref r;
    does_fiber f[4];
    void *now;
    bool swapped;
    (void)arg;
    weft_ref_init(&r, NULL);
    for (int i = 0; i < 4; i++) f[i] = begin(adds, &r);
    for (int i = 0; i < 4; i++) CHECK(weft_ok(end_of(f[i])));
    CHECK_EQ((intptr_t)weft_ref_get(&r), 40);
    CHECK(weft_ok(weft_ref_update(&r, plus_one, NULL, &now)));
    CHECK_EQ((intptr_t)now, 41);
    CHECK(weft_ok(weft_ref_swap_if(&r, NULL, &r, &swapped)) && !swapped);
    CHECK(weft_ok(weft_ref_swap_if(&r, now, &r, &swapped)) && swapped);
    CHECK(weft_ref_get(&r) == &r);
    CHECK(weft_ok(weft_ref_set(&r, NULL)));
    CHECK(weft_ref_get(&r) == NULL);
}
TEST(updates_of_a_cell_are_one_after_the_other) { on_clock(WEFT_CLOCK_AUTO, refs); }

/* ---- read-write lock ------------------------------------------------------------------------------------ */

typedef struct book {
    weft_rwlock l;
    _Atomic int readers, writers, most;
    char log[32];
    _Atomic int n_log;
} book;
static void note(book *b, char c) { b->log[b->n_log++] = c; }
static weft_exit reads(void *arg) {
    book *b = arg;
    weft_exit e = weft_rwlock_read(&b->l);
    if (!weft_ok(e)) return e;
    note(b, 'r');
    int now = ++b->readers;
    if (now > b->most) b->most = now;
    CHECK_EQ(b->writers, 0);
    e = weft_sleep(weft_ms(10));
    b->readers--;
    CHECK_EQ(weft_rwlock_read_end(&b->l), WEFT_OK);
    return e;
}
static weft_exit writes(void *arg) {
    book *b = arg;
    weft_exit e = weft_rwlock_write(&b->l);
    if (!weft_ok(e)) return e;
    note(b, 'w');
    CHECK_EQ(++b->writers, 1);
    CHECK_EQ(b->readers, 0);
    CHECK(failed(weft_rwlock_write(&b->l), WEFT_E_INSIDE));
    e = weft_sleep(weft_ms(10));
    b->writers--;
    CHECK_EQ(weft_rwlock_write_end(&b->l), WEFT_OK);
    return e;
}
static void phases(void *arg) {
    book b = {.n_log = 0};
    static const char *kinds = "rrwrwr"; /* two read; a writer waits, and whoever comes after it */
    does_fiber f[6];
    (void)arg;
    for (int i = 0; i < 6; i++) {
        f[i] = begin(kinds[i] == 'r' ? reads : writes, &b);
        rest(1);
    }
    CHECK(!weft_rwlock_try_read(&b.l));
    CHECK(!weft_rwlock_try_write(&b.l));
    for (int i = 0; i < 6; i++) CHECK(weft_ok(end_of(f[i])));
    b.log[b.n_log] = 0;
    test_note("%s", b.log);
    CHECK(strcmp(b.log, "rrwrrw") == 0);
    CHECK_EQ(b.most, 2);
    CHECK_EQ(weft_rwlock_read_end(&b.l), WEFT_E_NOT_HELD);
    CHECK_EQ(weft_rwlock_write_end(&b.l), WEFT_E_NOT_HELD);
    CHECK(weft_rwlock_try_write(&b.l));
    CHECK(!weft_rwlock_try_read(&b.l));
    CHECK(failed(weft_rwlock_read_until(&b.l, weft_now() + weft_ms(1)), WEFT_E_TIMEOUT));
    CHECK_EQ(weft_rwlock_write_end(&b.l), WEFT_OK);
    CHECK(weft_rwlock_try_read(&b.l));
    CHECK(failed(weft_rwlock_write_until(&b.l, weft_now() + weft_ms(1)), WEFT_E_TIMEOUT));
    CHECK_EQ(weft_rwlock_read_end(&b.l), WEFT_OK);
    CHECK_EQ(b.l.state, 0);
}
TEST(readers_and_writers_take_turns) { on_clock(WEFT_CLOCK_AUTO, phases); }

/* The only writer gives up: readers that waited for it go in beside the one that reads. */
static void given_up(void *arg) {
    book b = {.n_log = 0};
    (void)arg;
    does_fiber r = begin(reads, &b);
    rest(1);
    does_fiber w = begin(writes, &b);
    rest(1);
    does_fiber s = begin(reads, &b);
    rest(1);
    CHECK_EQ(b.readers, 1);
    CHECK(weft_ok(weft_interrupt(w, "enough")));
    rest(1);
    CHECK_EQ(b.readers, 2);
    CHECK(is_cancelled(end_of(w)) && weft_ok(end_of(r)) && weft_ok(end_of(s)));
    CHECK_EQ(b.l.state, 0);
}
TEST(a_writer_that_gives_up_keeps_nobody_out) { on_clock(WEFT_CLOCK_AUTO, given_up); }

/* ---- plain threads -------------------------------------------------------------------------------------- */

typedef struct both {
    weft_sem s;
    weft_latch l;
    weft_barrier b;
    weft_group g;
    mailbox box;
    weft_runtime *rt;
    long sum;
} both;
static weft_exit takes_part(void *arg) {
    both *t = arg;
    for (int i = 0; i < 50; i++) {
        CHECK(weft_ok(weft_sem_acquire(&t->s)));
        t->sum++;
        CHECK_EQ(weft_sem_release(&t->s), WEFT_OK);
    }
    for (int i = 0; i < 10; i++) CHECK(weft_ok(weft_barrier_wait(&t->b, NULL)));
    put(&t->box, 1, true);
    CHECK(weft_ok(takes(&t->box)));
    CHECK_EQ(weft_latch_count_down(&t->l, 1), WEFT_OK);
    CHECK(weft_ok(weft_latch_wait(&t->l)));
    CHECK_EQ(weft_group_done(&t->g), WEFT_OK);
    return weft_group_wait(&t->g);
}
static void *in_thread(void *arg) {
    both *t = arg;
    CHECK(weft_ok(takes_part(t)));
    CHECK_EQ(weft_outside_end(t->rt), WEFT_OK);
    return NULL;
}
static void with_threads(void *arg) {
    both t = {.g = WEFT_GROUP, .rt = thread_fiber()->rt->handle};
    pthread_t p[2];
    does_fiber f[3];
    (void)arg;
    CHECK_EQ(weft_sem_init(&t.s, 1, 1), WEFT_OK);
    CHECK_EQ(weft_latch_init(&t.l, 5), WEFT_OK);
    CHECK_EQ(weft_barrier_init(&t.b, 5), WEFT_OK);
    CHECK_EQ(weft_group_add(&t.g, 5), WEFT_OK);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(weft_outside_begin(NULL), WEFT_OK);
        CHECK(pthread_create(&p[i], NULL, in_thread, &t) == 0);
    }
    for (int i = 0; i < 3; i++) f[i] = begin(takes_part, &t);
    for (int i = 0; i < 3; i++) CHECK(weft_ok(end_of(f[i])));
    for (int i = 0; i < 2; i++) pthread_join(p[i], NULL);
    CHECK_EQ(t.sum, 250);
}
TEST(plain_threads_take_part) {
    for (unsigned workers = 1; workers <= 2; workers++)
        for (int i = 0; i < 20; i++) run_ends(&WEFT_OPTIONS(.workers = workers), with_threads, NULL, WEFT_OK);
    CHECK_EQ(weft_outside_begin(NULL), WEFT_E_INVALID);
}

static weft_exit stopped_before(void *arg) {
    both *t = arg;
    while (weft_ok(weft_sleep(weft_ms(1)))) {}
    CHECK(interrupted(weft_latch_wait(&t->l)));
    CHECK(interrupted(weft_barrier_wait(&t->b, NULL)));
    CHECK(interrupted(weft_group_wait(&t->g)));
    CHECK(interrupted(weft_sem_acquire(&t->s)));
    CHECK_EQ(weft_sem_release(&t->s), WEFT_OK);
    CHECK(weft_ok(weft_sem_acquire(&t->s))); /* there is one */
    return weft_checkpoint();
}
static void level(void *arg) {
    both t = {.g = WEFT_GROUP};
    (void)arg;
    CHECK_EQ(weft_sem_init(&t.s, 0, 1), WEFT_OK);
    CHECK_EQ(weft_latch_init(&t.l, 1), WEFT_OK);
    CHECK_EQ(weft_barrier_init(&t.b, 2), WEFT_OK);
    CHECK_EQ(weft_group_add(&t.g, 1), WEFT_OK);
    does_fiber f = begin(stopped_before, &t);
    rest(2);
    CHECK(weft_ok(weft_interrupt(f, "enough")));
    CHECK(is_cancelled(end_of(f)));
    CHECK_EQ(t.b.there, 0);
}
TEST(one_that_is_asked_to_stop_does_not_wait) { on_clock(WEFT_CLOCK_AUTO, level); }

TEST_MAIN
