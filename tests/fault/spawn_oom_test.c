/* Allocation number n fails, for every n, once and for good: a program of fibers either runs to its answer or is
 * refused with WEFT_E_NOMEM, nothing is left behind, nothing hangs.
 *
 * A program copes with a refused spawn by calling the function itself, and with an await that is refused by
 * awaiting again.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/heap.h"
#include "alloc/san.h"
#include "sched/gate.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <weft/fiber.h>

static weft_runtime *rt;
static _Atomic unsigned spawn_refused, await_refused;

static weft_spawn_options where(void) { return (weft_spawn_options){.runtime = thread_fiber() ? NULL : rt}; }

/* True if it was spawned; if not, for the one reason there may be. */
static bool spawned(weft_exit e) {
    if (weft_ok(e)) return true;
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, WEFT_E_NOMEM);
    atomic_fetch_add(&spawn_refused, 1);
    return false;
}
/* True if the await was refused and has to be made again. */
static bool refused(weft_exit e) {
    if (weft_ok(e)) return false;
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, WEFT_E_NOMEM);
    atomic_fetch_add(&await_refused, 1);
    weft_yield();
    sched_yield();
    return true;
}

/* Nested, of several kinds by depth. */
static long tree(int depth);
WEFT_TASK(tree, long, int);
static long tree(int depth) {
    if (depth == 0) {
        weft_yield();
        return 1;
    }
    tree_fiber f[3];
    bool is[3];
    long sum = 0;
    for (int i = 0; i < 3; i++) {
        weft_spawn_options o = where();
        o.bound = i == 1;
        o.stack_bytes = i == 2 ? 256 << 10 : 0;
        is[i] = spawned(weft_spawn_with(&f[i], tree, o, depth - 1));
        if (!is[i]) CHECK_EQ(weft_await(f[i], tree, NULL).code, WEFT_E_STALE);
    }
    weft_yield();
    for (int i = 2; i >= 0; i--) {
        long got = 0;
        if (!is[i])
            got = tree(depth - 1);
        else
            while (refused(weft_await(f[i], tree, &got))) {}
        if (is[i]) CHECK_EQ(weft_drop(f[i]), WEFT_OK);
        sum += got;
    }
    return sum;
}

/* Inputs of every block size. */
#define SIZED(n)                                                                             \
    typedef struct in_##n {                                                                  \
        char bytes[n];                                                                       \
    } in_##n;                                                                                \
    static int sized_##n(in_##n in);                                                         \
    WEFT_TASK(sized_##n, int, in_##n);                                                       \
    static int sized_##n(in_##n in) {                                                        \
        weft_yield();                                                                        \
        return in.bytes[0];                                                                  \
    }                                                                                        \
    static int spawn_##n(void) {                                                             \
        sized_##n##_fiber f;                                                                 \
        int got = 0;                                                                         \
        if (!spawned(weft_spawn_with(&f, sized_##n, where(), {1}))) return 1;                \
        while (refused(weft_await(f, sized_##n, &got))) {}                                   \
        weft_drop(f);                                                                        \
        return got;                                                                          \
    }
SIZED(100)
SIZED(300)
SIZED(1024)

/* Nobody awaits them; the runtime does. */
static _Atomic int detached_ran;
static int detached(int x);
WEFT_TASK(detached, int, int);
static int detached(int x) {
    weft_yield();
    atomic_fetch_add(&detached_ran, x);
    return x;
}

static void program(void) {
    CHECK_EQ(tree(3), 27);
    CHECK_EQ(spawn_100() + spawn_300() + spawn_1024(), 3);
    for (int i = 0; i < 10; i++)
        if (!spawned(weft_spawn_with((detached_fiber *)NULL, detached, where(), 1))) detached(1);
}

static void body(void *arg) {
    (void)arg;
    program();
}
static void *thread(void *arg) {
    body(arg);
    return NULL;
}

static weft_err on_workers(unsigned workers) {
    atomic_store(&detached_ran, 0);
    weft_err err = weft_run(&WEFT_OPTIONS(.workers = workers), body, NULL);
    CHECK(err == WEFT_OK || err == WEFT_E_NOMEM || err == WEFT_E_THREAD);
    CHECK_EQ(atomic_load(&detached_ran), err == WEFT_OK ? 10 : 0);
    return err;
}
static weft_err on_a_thread(unsigned workers) {
    pthread_t t;
    atomic_store(&detached_ran, 0);
    weft_err err = weft_open(&WEFT_OPTIONS(.workers = workers), &rt);
    if (err == WEFT_OK) {
        CHECK_EQ(pthread_create(&t, NULL, thread, NULL), 0);
        pthread_join(t, NULL);
        CHECK_EQ(weft_close(rt), WEFT_OK);
        CHECK_EQ(atomic_load(&detached_ran), 10);
    } else {
        CHECK(err == WEFT_E_NOMEM || err == WEFT_E_THREAD);
    }
    return err;
}

/* How many allocations a run makes depends on the schedule: the sweep ends after a few clean runs in a row. */
static void sweep(weft_err (*run)(unsigned), unsigned workers, int persistent) {
    uint64_t live = weft__heap_live();
    unsigned not_opened = 0, clean = 0;
    uint64_t n = 1;
    atomic_store(&spawn_refused, 0);
    atomic_store(&await_refused, 0);
    for (; clean < 5; n++) {
        weft__heap_fail_at(n, persistent);
        weft_err err = run(workers);
        clean = weft__heap_asked() < n ? clean + 1 : 0;
        weft__heap_fail_at(0, 0);
        CHECK_EQ(weft__heap_live(), live);
        not_opened += err != WEFT_OK;
        CHECK(n < 3000);
    }
    fprintf(stderr, "    %u not opened, %u spawns and %u awaits refused in %llu runs\n", not_opened,
            atomic_load(&spawn_refused), atomic_load(&await_refused), (unsigned long long)n);
    CHECK(not_opened >= 3);
    CHECK(atomic_load(&spawn_refused) > 0);
    CHECK_EQ(run(workers), WEFT_OK);
}

TEST(one_worker_survives_each_single_failure) { sweep(on_workers, 1, 0); }
TEST(one_worker_survives_each_lasting_failure) { sweep(on_workers, 1, 1); }
TEST(two_workers_survive_each_single_failure) { sweep(on_workers, 2, 0); }
TEST(two_workers_survive_each_lasting_failure) { sweep(on_workers, 2, 1); }
TEST(a_plain_thread_survives_each_single_failure) { sweep(on_a_thread, 1, 0); }
TEST(a_plain_thread_survives_each_lasting_failure) { sweep(on_a_thread, 1, 1); }
TEST(a_plain_thread_of_two_workers_survives_each_single_failure) { sweep(on_a_thread, 2, 0); }
TEST(a_plain_thread_of_two_workers_survives_each_lasting_failure) { sweep(on_a_thread, 2, 1); }

/* ---- no stack from now on, while fibers wait ---------------------------------------------------------- */

#if !defined(WEFT__ASAN) /* it keeps a shadow of each stack: of all there are, 8 GB */

/* Takes every stack that is to be had without an allocation: those of idle carriers and those of the pool. */
typedef struct hoard {
    stack *stacks;
    size_t n;
} hoard;
static hoard take_all_stacks(void) {
    worker *w = thread_fiber()->w;
    size_t room = 1 << 14; /* of the largest class a region has 8192 */
    hoard h = {malloc(room * sizeof(stack)), 0};
    weft__carriers_drop(w);
    weft__heap_fail_at(1, 1);
    while (weft__stack_get(w->stacks, w->rt->stack_cls, &h.stacks[h.n])) CHECK(++h.n < room);
    return h;
}
static void give_back_stacks(hoard h) {
    weft__heap_fail_at(0, 0);
    while (h.n > 0) weft__stack_put(thread_fiber()->w->stacks, h.stacks[--h.n]);
    free(h.stacks);
}

enum { WAITERS = 20 };
static gate door[WAITERS];
static int waits(int i);
WEFT_TASK(waits, int, int);
static int waits(int i) {
    gate_wait(&door[i]);
    weft_yield();
    return i;
}
static int opens(int x);
WEFT_TASK(opens, int, int);
static int opens(int x) {
    for (int i = 0; i < WAITERS; i++) gate_open(&door[i], thread_fiber()->w->rt);
    return x;
}
static void starved(void *arg) {
    int before = *(int *)arg; /* so many wait on stacks of their own already */
    waits_fiber f[WAITERS];
    bool is[WAITERS];
    opens_fiber o;
    memset(door, 0, sizeof door);
    for (int i = 0; i < before; i++) is[i] = spawned(weft_spawn(&f[i], waits, i));
    for (int i = 0; i < 5; i++) weft_yield();
    hoard h = take_all_stacks();
    for (int i = before; i < WAITERS; i++) is[i] = spawned(weft_spawn(&f[i], waits, i));
    bool opener = spawned(weft_spawn(&o, opens, 1));
    if (!opener) opens(1);
    for (int i = 0; i < WAITERS; i++) {
        int got = i;
        if (!is[i]) continue;
        while (refused(weft_await(f[i], waits, &got))) {}
        CHECK_EQ(got, i);
        weft_drop(f[i]);
    }
    give_back_stacks(h);
    if (opener) weft_drop(o);
}
TEST(fibers_that_wait_go_on_when_there_are_no_more_stacks) {
    uint64_t live = weft__heap_live();
    for (unsigned workers = 1; workers <= 2; workers++)
        for (int before = 0; before <= WAITERS; before += 10) {
            CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = workers, .stack_bytes = 8 << 20), starved, &before), WEFT_OK);
            CHECK_EQ(weft__heap_live(), live);
        }
}

/* Nobody waits for itself here: the first awaits one behind a door, the second the first, the third the second.  But
 * a fiber that has no stack to leave its own for must not run the one that waits for it on top of itself.  The newest
 * is run first, then the others in their order: first, second, third, the one who opens.  In another order, which the
 * monitor may bring about, it cannot know, and there is an end to it: what waits for each other is a deadlock. */
enum { FIRST, SECOND, THIRD, BEHIND_THE_DOOR, IN_ROW };
static weft_handle row[IN_ROW];
static gate last_door;
static int gated(int x);
WEFT_TASK(gated, int, int);
static int gated(int x) {
    gate_wait(&last_door);
    return x;
}
static int awaits(int whom);
WEFT_TASK(awaits, int, int);
static bool refused_in_row(weft_exit e) { return e.tag != WEFT_EXIT_INTERRUPT && refused(e); }
static int awaits(int whom) {
    while (refused_in_row(weft_fiber_await(row[whom]))) {}
    return 1;
}
static int opens_last(int x);
WEFT_TASK(opens_last, int, int);
static int opens_last(int x) {
    gate_open(&last_door, thread_fiber()->w->rt);
    return x;
}
static weft_handle spawn_awaits(int whom) {
    awaits_fiber f;
    CHECK(weft_ok(weft_spawn(&f, awaits, whom)));
    return f.handle;
}
static void in_a_row(void *arg) {
    gated_fiber g;
    opens_last_fiber o;
    (void)arg;
    last_door = (gate){0};
    CHECK(weft_ok(weft_spawn(&g, gated, 1)));
    row[BEHIND_THE_DOOR] = g.handle;
    for (int i = 0; i < 5; i++) weft_yield();
    row[SECOND] = spawn_awaits(FIRST);
    row[THIRD] = spawn_awaits(SECOND);
    CHECK(weft_ok(weft_spawn(&o, opens_last, 1)));
    row[FIRST] = spawn_awaits(BEHIND_THE_DOOR);
    hoard h = take_all_stacks();
    while (refused_in_row(weft_fiber_await(row[THIRD]))) {}
    give_back_stacks(h);
    while (refused_in_row(weft_await(o, opens_last, NULL))) {}
    weft_drop(o);
    for (int i = 0; i < IN_ROW; i++) weft_fiber_drop(row[i]);
}
TEST(fibers_that_await_each_other_in_a_row_end_when_there_are_no_more_stacks) {
    alarm(30); /* a hang is the failure */
    weft_err err = WEFT_E_DEADLOCK;
    for (int tries = 0; err == WEFT_E_DEADLOCK && tries < 3; tries++)
        err = weft_run(&WEFT_OPTIONS(.workers = 1, .stack_bytes = 8 << 20), in_a_row, NULL);
    CHECK_EQ(err, WEFT_OK);
    alarm(0);
}

#endif

TEST_MAIN
