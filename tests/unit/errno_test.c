/* errno by <weft/errno.h> is the fiber's: what it set before a suspension it finds after it, on whatever thread.
 *
 * Every round forces a migration, as tests/unit/migration_test.c does: the other worker runs the child, which ends only
 * when its parent has left its stack, so that the child's worker resumes the parent.  Both set errno to values of
 * their own around the switch, so that an address kept from before, or a value that was not saved, shows.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "sched/gate.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <weft/errno.h>
#include <weft/fiber.h>

enum { ROUNDS = 300, THEIRS = 100000 };

static _Atomic int started;

/* The thread's errno by the C library's own way, computed here and now. */
__attribute__((noinline)) static int *libc_errno(void) {
    __asm__ volatile("" ::: "memory");
    return __errno_location();
}

/* ---- fork and join ------------------------------------------------------------------------------------ */

static int nothing(int x);
WEFT_TASK(nothing, int, int);
static int nothing(int x) { return x; }

typedef struct waiting {
    const weft_task *me;
    int round;
} waiting;
static int child(waiting in);
WEFT_TASK(child, int, waiting);
static int child(waiting in) {
    errno = THEIRS + in.round;
    atomic_store(&started, in.round);
    while (atomic_load(&in.me->join) <= JOIN_DONE || atomic_load(&in.me->join) & JOIN_PENDING) sched_yield();
    CHECK_EQ(errno, THEIRS + in.round);
    return weft_worker_index();
}

static void until_stolen(int round) {
    while (atomic_load(&started) != round) {
        nothing_task t;
        weft_fork(&t, nothing, round);
        CHECK_EQ(weft_join(&t, nothing), round);
        sched_yield();
    }
}

static void joins(void *arg) {
    int moved = 0;
    for (int round = 1; round <= ROUNDS; round++) {
        child_task t;
        int before = weft_worker_index();
        weft_fork(&t, child, &t.task, round);
        until_stolen(round);
        errno = round;
        CHECK_EQ(*libc_errno(), round);
        int ran_on = weft_join(&t, child);
        CHECK_EQ(errno, round);         /* the value */
        CHECK_EQ(*libc_errno(), round); /* in the right place */
        errno = -round;
        CHECK_EQ(*libc_errno(), -round); /* and so are stores */
        CHECK(ran_on != before);
        moved += weft_worker_index() != before;
    }
    *(int *)arg = moved;
}
TEST(errno_is_kept_by_a_join_that_migrates) {
    int moved = 0;
    atomic_store(&started, 0);
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 2), joins, &moved), WEFT_OK);
    CHECK_EQ(moved, ROUNDS);
}

/* ---- spawn and await ---------------------------------------------------------------------------------- */

static int awaited(int round);
WEFT_TASK(awaited, int, int);
static int awaited(int round) {
    weft_handle me = weft_self();
    errno = THEIRS + round;
    atomic_store(&started, round);
    while ((atomic_load(&weft__task_of(me)->join) & ~QUEUE_FLAGS) == 0) sched_yield();
    CHECK_EQ(errno, THEIRS + round);
    return weft_worker_index();
}

/* The other worker sleeps, so it is given what is spawned; this one does not poll until it has started. */
static void awaits(void *arg) {
    runtime *rt = thread_fiber()->w->rt;
    int moved = 0;
    for (int round = 1; round <= ROUNDS; round++) {
        awaited_fiber f;
        int ran_on, before = weft_worker_index();
        while (atom_load_seq(&rt->idle.mask[0]) == 0) sched_yield();
        CHECK(weft_ok(weft_spawn(&f, awaited, round)));
        while (atomic_load(&started) != round) sched_yield();
        CHECK(open("/no/such/file", O_RDONLY) == -1); /* set by the C library, read by its new name */
        CHECK_EQ(errno, ENOENT);
        CHECK(weft_ok(weft_await(f, awaited, &ran_on)));
        CHECK_EQ(errno, ENOENT);
        CHECK_EQ(*libc_errno(), ENOENT);
        weft_drop(f);
        CHECK(ran_on != before);
        moved += weft_worker_index() != before;
    }
    *(int *)arg = moved;
}
TEST(errno_is_kept_by_an_await_that_migrates) {
    int moved = 0;
    atomic_store(&started, 0);
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 2), awaits, &moved), WEFT_OK);
    CHECK_EQ(moved, ROUNDS);
}

/* ---- many fibers on one thread ------------------------------------------------------------------------ */

static int keeps(int mine);
WEFT_TASK(keeps, int, int);
static int keeps(int mine) {
    for (int i = 0; i < 100; i++) {
        errno = mine * 1000 + i;
        weft_yield();
        CHECK_EQ(errno, mine * 1000 + i);
    }
    return errno;
}
static void yielding(void *arg) {
    enum { N = 20 };
    keeps_fiber f[N];
    (void)arg;
    for (int i = 0; i < N; i++) CHECK(weft_ok(weft_spawn(&f[i], keeps, i)));
    errno = 4711;
    for (int i = 0; i < N; i++) {
        int got;
        CHECK(weft_ok(weft_await(f[i], keeps, &got)));
        CHECK_EQ(got, i * 1000 + 99);
        weft_drop(f[i]);
    }
    CHECK_EQ(errno, 4711);
}
TEST(fibers_that_yield_to_each_other_each_keep_their_errno) {
    for (unsigned workers = 1; workers <= 8; workers *= 2)
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = workers), yielding, NULL), WEFT_OK);
}

static gate door;
static int parked(int mine);
WEFT_TASK(parked, int, int);
static int parked(int mine) {
    errno = mine;
    gate_wait(&door);
    return errno;
}
static void gates(void *arg) {
    (void)arg;
    for (int i = 1; i < 100; i++) {
        parked_fiber f;
        int got;
        door = (gate){0};
        CHECK(weft_ok(weft_spawn(&f, parked, i)));
        weft_yield();
        errno = 1000 + i;
        gate_open(&door, thread_fiber()->w->rt);
        CHECK(weft_ok(weft_await(f, parked, &got)));
        CHECK_EQ(got, i);
        CHECK_EQ(errno, 1000 + i);
        weft_drop(f);
    }
}
TEST(errno_is_kept_behind_a_gate) {
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), gates, NULL), WEFT_OK);
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 2), gates, NULL), WEFT_OK);
}

/* ---- plain threads ------------------------------------------------------------------------------------ */

static void *on_thread(void *arg) {
    CHECK_EQ(errno, 0);
    errno = 7;
    CHECK_EQ(*libc_errno(), 7);
    CHECK(&errno == libc_errno());
    CHECK(open("/no/such/file", O_RDONLY) == -1);
    CHECK_EQ(errno, ENOENT);
    return arg;
}
TEST(on_a_plain_thread_it_is_the_threads_errno) {
    pthread_t t;
    errno = 3;
    CHECK_EQ(pthread_create(&t, NULL, on_thread, NULL), 0);
    pthread_join(t, NULL);
    CHECK_EQ(errno, 3);
    CHECK(&errno == libc_errno());
}

TEST_MAIN
