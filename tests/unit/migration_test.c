/* A fiber that suspends and resumes on another thread finds its new worker, not its old one.
 *
 * The hazard: compilers compute the address of a thread-local variable once in a function and keep it across
 * calls, so code after a suspension looks at the thread from before it.  The test forces a migration at every
 * round: the parent's child runs on the other worker (it must be stolen, the parent keeps offering until it
 * is), and ends only when the parent has left its stack, so that the child's worker resumes the parent.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "sched/gate.h"
#include "sched/join.h"
#include "sched/thread.h"
#include "sched/worker.h"
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <weft/fiber.h>
#include <weft/fork.h>
#include <weft/kernel.h>
#include <weft/runtime.h>

static _Atomic int started;

static int nothing(int x);
WEFT_TASK(nothing, int, int);
static int nothing(int x) { return x; }

typedef struct waiting {
    const weft_task *me; /* the descriptor of this child */
    int round;
} waiting;

/* Ends when the parent has suspended: then its fiber stands in the join word. */
static int child(waiting in);
WEFT_TASK(child, int, waiting);
static int child(waiting in) {
    atomic_store(&started, in.round);
    while (atomic_load(&in.me->join) <= JOIN_DONE || atomic_load(&in.me->join) & JOIN_PENDING) sched_yield();
    return weft_worker_index();
}

/* Fork and join small children until the other worker has taken ours: each fork is a poll. */
static void until_started(int round) {
    while (atomic_load(&started) != round) {
        nothing_task t;
        weft_fork(&t, nothing, round);
        CHECK_EQ(weft_join(&t, nothing), round);
        sched_yield();
    }
}

static void rounds(void *arg) {
    int n = *(int *)arg, moved = 0;
    for (int round = 1; round <= n; round++) {
        child_task t;
        int before = weft_worker_index();
        weft_fork(&t, child, &t.task, round);
        until_started(round);
        int ran_on = weft_join(&t, child);
        int after = weft_worker_index();
        CHECK(ran_on != before);
        CHECK_EQ(after, ran_on); /* resumed where the child ended */
        moved += after != before;
        /* The first poll after the switch must see this thread's attention word and fiber: here the child may
         * be stolen again, and the fiber come back anywhere. */
        nothing_task again;
        weft_fork(&again, nothing, 5);
        CHECK_EQ(weft_join(&again, nothing), 5);
    }
    *(int *)arg = moved;
}

enum { TEST_BIT = 8 };

/* Does a poll, here and now, see a bit that is set in `attn`? */
static inline __attribute__((always_inline)) bool poll_sees(_Atomic uint32_t *attn) {
    atom_or_rlx(attn, TEST_BIT);
    WEFT__POLL(seen);
    return false;
seen:
    atom_and_rlx(attn, ~(uint32_t)TEST_BIT);
    return true;
}

/* The same question the naive way: errno's address is a "constant" to the compiler, so what it computed before a
 * suspension it uses after it.  Not asserted, it is the compiler's choice; printed, so that one sees the hazard. */
__attribute__((noinline)) static int *errno_of_this_thread(void) {
    __asm__ volatile("" ::: "memory");
    return &errno;
}

/* Polls before and after a migration in one function: an address kept from before would show the old thread. */
static void polls(void *arg) {
    int n = *(int *)arg, stale = 0;
    for (int round = 1; round <= n; round++) {
        child_task t;
        worker *before = ((fiber *)weft__self())->w;
        CHECK(poll_sees(before->attn));
        errno = 0;
        weft_fork(&t, child, &t.task, round);
        until_started(round);
        (void)weft_join(&t, child);
        worker *after = ((fiber *)weft__self())->w;
        CHECK(after != before);
        CHECK(poll_sees(after->attn));
        CHECK(weft__thread_attn() == after->attn);
        stale += &errno != errno_of_this_thread();
    }
    fprintf(stderr, "    a plain &errno was stale after %d of %d migrations\n", stale, n);
}

TEST(a_poll_after_a_migration_sees_the_new_thread) {
    int n = 200;
    atomic_store(&started, 0);
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 2), polls, &n), WEFT_OK);
}

TEST(a_resumed_fiber_is_on_the_worker_that_finished_its_child) {
    int n = 300;
    atomic_store(&started, 0);
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 2), rounds, &n), WEFT_OK);
    CHECK_EQ(n, 300);
}

/* The same through the kernel form, with an outstanding child across the migration. */
static int deep(weft_head k, waiting in);
WEFT_KERNEL(deep, int, waiting);
static int deep(weft_head k, waiting in) {
    (void)k;
    return child(in);
}

static void kernel_rounds(void *arg) {
    int n = *(int *)arg;
    atomic_store(&started, 0);
    for (int round = 1; round <= n; round++) {
        deep_task t;
        weft_head k = weft_kernel_head();
        CHECK(weft_kernel_fork(k, &t, deep, &t.task, round) == &t.task);
        until_started(round);
        int ran_on = weft_kernel_join(&t, deep);
        CHECK_EQ(weft_worker_index(), ran_on);
        CHECK(weft_kernel_head() == k);
    }
}

TEST(a_kernel_keeps_its_head_across_a_migration) {
    int n = 200;
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 2), kernel_rounds, &n), WEFT_OK);
}

/* ---- forced -------------------------------------------------------------------------------------------- */

/* Two fibers wake each other; each resume is counted, and whether it was on another worker than the one left. */
typedef struct player {
    gate mine, *other;
    int resumed, moved;
} player;
typedef player *player_ref;

static int play(player *p);
WEFT_TASK(play, int, player_ref);
static int play(player *p) {
    for (int i = 0; i < 1000; i++) {
        int before = weft_worker_index();
        bool waits = !atom_load_acq(&p->mine.word);
        CHECK(weft_ok(gate_wait(&p->mine)));
        p->resumed += waits;
        p->moved += waits && weft_worker_index() != before;
        p->mine = (gate){0};
        gate_open(p->other, NULL);
    }
    return 0;
}

static void game(void *arg) {
    player *p = arg;
    play_fiber f[2];
    for (int i = 0; i < 2; i++) {
        p[i].other = &p[1 - i].mine;
        CHECK(weft_ok(weft_spawn(&f[i], play, &p[i])));
    }
    gate_open(&p[0].mine, NULL);
    for (int i = 0; i < 2; i++) {
        CHECK(weft_ok(weft_await(f[i], play, NULL)));
        weft_drop(f[i]);
    }
}

/* With WEFT_DEBUG 2: else a suite that passes there would prove nothing about it. */
TEST(a_build_that_forces_migration_migrates_at_most_resumes) {
    for (unsigned workers = 2; workers <= 4; workers++) {
        player p[2] = {{.resumed = 0}, {.resumed = 0}};
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = workers), game, p), WEFT_OK);
        int resumed = p[0].resumed + p[1].resumed, moved = p[0].moved + p[1].moved;
        fprintf(stderr, "    %u workers: %d of %d resumes on another one\n", workers, moved, resumed);
        if (!WEFT__RARE) continue;
        CHECK(resumed > 1000);
        CHECK(moved > resumed / 2); /* nearly all; one that is offered may be taken back */
    }
}

TEST_MAIN
