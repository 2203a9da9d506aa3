/* Spawned fibers: handles, awaiting, yielding, exits, options, bounds.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/heap.h"
#include "alloc/san.h"
#include "sched/gate.h"
#include "sched/registry.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <weft/fiber.h>

static const unsigned worker_counts[] = {1, 2, 8};

static void on_each_size(void (*body)(void *), void *arg) {
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = worker_counts[i]), body, arg), WEFT_OK);
}

static long twice(long x);
WEFT_TASK(twice, long, long);
static long twice(long x) { return 2 * x; }

/* ---- spawn and await ---------------------------------------------------------------------------------- */

static void one_fiber(void *arg) {
    (void)arg;
    twice_fiber f;
    long got = 0;
    CHECK(weft_ok(weft_spawn(&f, twice, 21)));
    CHECK(weft_ok(weft_await(f, twice, &got)));
    CHECK_EQ(got, 42);
    got = 0;
    CHECK(weft_ok(weft_await(f, twice, &got))); /* any number of times */
    CHECK_EQ(got, 42);
    CHECK(weft_ok(weft_await(f, twice, NULL)));
    CHECK_EQ(weft_fiber_status(f.handle), WEFT_STATUS_DONE);
    CHECK_EQ(weft_drop(f), WEFT_OK);
}
TEST(an_awaited_fiber_gives_its_result_any_number_of_times) { on_each_size(one_fiber, NULL); }

static void many(void *arg) {
    enum { N = 20000 };
    (void)arg;
    twice_fiber *f = malloc(N * sizeof *f);
    for (long i = 0; i < N; i++) CHECK(weft_ok(weft_spawn(&f[i], twice, i)));
    for (long i = 0; i < N; i++) {
        long got;
        CHECK(weft_ok(weft_await(f[i], twice, &got)));
        CHECK_EQ(got, 2 * i);
        CHECK_EQ(weft_drop(f[i]), WEFT_OK);
    }
    free(f);
}
TEST(many_fibers_each_give_their_own_result) { on_each_size(many, NULL); }

static long tree(long depth);
WEFT_TASK(tree, long, long);
static long tree(long depth) {
    if (depth == 0) return 1;
    tree_fiber a, b;
    long x, y;
    CHECK(weft_ok(weft_spawn(&a, tree, depth - 1)));
    CHECK(weft_ok(weft_spawn(&b, tree, depth - 1)));
    CHECK(weft_ok(weft_await(a, tree, &x)));
    CHECK(weft_ok(weft_await(b, tree, &y)));
    weft_drop(a);
    weft_drop(b);
    return x + y;
}
static void tree_body(void *arg) {
    (void)arg;
    CHECK_EQ(tree(10), 1024);
}
TEST(fibers_spawn_and_await_fibers) { on_each_size(tree_body, NULL); }

typedef struct wide {
    char bytes[1024];
} wide;
static wide turn(wide w);
WEFT_TASK(turn, wide, wide);
static wide turn(wide w) {
    for (size_t i = 0; i < sizeof w.bytes / 2; i++) {
        char c = w.bytes[i];
        w.bytes[i] = w.bytes[1023 - i];
        w.bytes[1023 - i] = c;
    }
    return w;
}
static void big_input(void *arg) {
    (void)arg;
    turn_fiber f;
    wide got;
    CHECK(weft_ok(weft_spawn(&f, turn, {1, 2, 3})));
    CHECK(weft_ok(weft_await(f, turn, &got)));
    CHECK(got.bytes[1023] == 1 && got.bytes[1021] == 3 && got.bytes[0] == 0);
    weft_drop(f);
}
TEST(inputs_and_results_may_have_a_kilobyte) { on_each_size(big_input, NULL); }

/* ---- many awaiters ------------------------------------------------------------------------------------ */

static weft_handle shared;
static _Atomic int arrived;
static gate opened;

static long gated(long x);
WEFT_TASK(gated, long, long);
static long gated(long x) {
    gate_wait(&opened);
    return x;
}
static long awaiter(long x);
WEFT_TASK(awaiter, long, long);
static long awaiter(long x) {
    (void)x;
    atomic_fetch_add(&arrived, 1);
    long got;
    CHECK(weft_ok(weft_await((gated_fiber){shared}, gated, &got)));
    return got;
}
static void *awaiting_thread(void *arg) {
    (void)arg;
    atomic_fetch_add(&arrived, 1);
    long got = 0;
    CHECK(weft_ok(weft_await((gated_fiber){shared}, gated, &got)));
    CHECK_EQ(got, 7);
    return NULL;
}
static void many_awaiters(void *arg) {
    enum { FIBERS = 50, THREADS = 3 };
    (void)arg;
    gated_fiber g;
    awaiter_fiber a[FIBERS];
    pthread_t t[THREADS];
    atomic_store(&arrived, 0);
    opened = (gate){0};
    CHECK(weft_ok(weft_spawn(&g, gated, 7)));
    shared = g.handle;
    for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&t[i], NULL, awaiting_thread, NULL), 0);
    for (int i = 0; i < FIBERS; i++) CHECK(weft_ok(weft_spawn(&a[i], awaiter, 0)));
    while (atomic_load(&arrived) < FIBERS + THREADS) {
        weft_yield();
        sched_yield();
    }
    gate_open(&opened, thread_fiber()->w->rt);
    for (int i = 0; i < FIBERS; i++) {
        long got;
        CHECK(weft_ok(weft_await(a[i], awaiter, &got)));
        CHECK_EQ(got, 7);
        weft_drop(a[i]);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    CHECK_EQ(weft_drop(g), WEFT_OK);
}
TEST(fibers_and_threads_may_await_the_same_fiber) { on_each_size(many_awaiters, NULL); }

/* ---- from plain threads ------------------------------------------------------------------------------- */

static void *spawning_thread(void *rt) {
    for (long i = 0; i < 2000; i++) {
        twice_fiber f;
        long got = 0;
        CHECK(weft_ok(weft_spawn_with(&f, twice, ((weft_spawn_options){.runtime = rt}), i)));
        CHECK(weft_ok(weft_await(f, twice, &got)));
        CHECK_EQ(got, 2 * i);
        CHECK_EQ(weft_drop(f), WEFT_OK);
    }
    return NULL;
}
TEST(plain_threads_spawn_and_await) {
    weft_runtime *rt;
    pthread_t t[4];
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 2), &rt), WEFT_OK);
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&t[i], NULL, spawning_thread, rt), 0);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

/* ---- yield -------------------------------------------------------------------------------------------- */

static int order[64], ordered;
static long stepper(long id);
WEFT_TASK(stepper, long, long);
static long stepper(long id) {
    for (int i = 0; i < 4; i++) {
        order[ordered++] = (int)id;
        weft_yield();
    }
    return 0;
}
static void yielding(void *arg) {
    (void)arg;
    stepper_fiber f[3];
    ordered = 0;
    for (long i = 0; i < 3; i++) CHECK(weft_ok(weft_spawn(&f[i], stepper, i)));
    for (int i = 0; i < 3; i++) {
        CHECK(weft_ok(weft_await(f[i], stepper, NULL)));
        weft_drop(f[i]);
    }
    CHECK_EQ(ordered, 12);
    int seen[3] = {0};
    for (int i = 0; i < 12; i += 3) { /* in every round each has one turn */
        for (int k = 0; k < 3; k++) seen[order[i + k]]++;
        for (int k = 0; k < 3; k++) CHECK_EQ(seen[k], i / 3 + 1);
    }
}
TEST(yielding_fibers_take_turns) { CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), yielding, NULL), WEFT_OK); }

/* ---- who begins first --------------------------------------------------------------------------------- */

static long beginner(long id);
WEFT_TASK(beginner, long, long);
static long beginner(long id) {
    order[ordered++] = (int)id;
    return 0;
}

/* Orders on one worker are as said as long as nobody asks it for anything: the monitor may, at any time, and rarely does. */
static bool as_said;
static void see(bool what) { as_said = as_said && what; }
static void is_seen(const weft_options *o, void (*body)(void *)) {
    as_said = false;
    for (int tries = 0; tries < 20 && !as_said; tries++) {
        as_said = true;
        CHECK_EQ(weft_run(o, body, NULL), WEFT_OK);
    }
    CHECK(as_said);
}

static void expect_order(int first, int step) {
    see(ordered == 5);
    for (int i = 0; i < 5; i++) see(order[i] == first + i * step);
}

static void beginning(void *arg) {
    (void)arg;
    beginner_fiber f[5];
    ordered = 0;
    for (long i = 0; i < 5; i++) CHECK(weft_ok(weft_spawn(&f[i], beginner, i)));
    CHECK(weft_ok(weft_sleep(1)));
    expect_order(4, -1);
    ordered = 0;
    for (int i = 0; i < 5; i++) {
        weft_drop(f[i]);
        CHECK(weft_ok(weft_spawn(&f[i], beginner, i)));
    }
    CHECK(weft_ok(weft_yield()));
    see(ordered == 5); /* all before the one that yields: the newest, since it runs next, and then the oldest first */
    see(order[0] == 4);
    for (int i = 1; i < 5; i++) see(order[i] == i - 1);
    for (int i = 0; i < 5; i++) weft_drop(f[i]);
}
TEST(fibers_begin_newest_first) {
    is_seen(&WEFT_OPTIONS(.workers = 1, .clock = WEFT_CLOCK_AUTO), beginning);
}

/* What grew old can be taken out of its place by who awaits it. */
static beginner_fiber grown[5];
static long makes_old(long n);
WEFT_TASK(makes_old, long, long);
static long makes_old(long n) {
    for (long i = 0; i < n; i++) CHECK(weft_ok(weft_spawn(&grown[i], beginner, i)));
    CHECK(weft_ok(weft_yield()));
    return n;
}
static void awaiting_the_old(void *arg) {
    (void)arg;
    static const int turns[] = {2, 0, 3, 1};
    ordered = 0;
    CHECK(weft_ok(weft_spawn((makes_old_fiber *)NULL, makes_old, 5)));
    CHECK(weft_ok(weft_yield()));
    see(ordered == 1); /* what was spawned last ran next, and then this */
    for (int i = 0; i < 4; i++) {
        CHECK(weft_ok(weft_await(grown[turns[i]], beginner, NULL)));
        see(order[i + 1] == turns[i]);
    }
    for (int i = 0; i < 5; i++) weft_drop(grown[i]);
}
TEST(what_grew_old_is_awaited) { is_seen(&WEFT_OPTIONS(.workers = 1), awaiting_the_old); }

/* Each begins two more, so newest first the first one would never have its turn. */
static long begun, begun_before;
static long breeder(long left);
WEFT_TASK(breeder, long, long);
static long breeder(long left) {
    begun++;
    if (begun_before || left == 0) return 0;
    for (int i = 0; i < 2; i++) CHECK(weft_ok(weft_spawn((breeder_fiber *)NULL, breeder, left - 1)));
    return 0;
}
static long oldest(long id);
WEFT_TASK(oldest, long, long);
static long oldest(long id) {
    begun_before = begun;
    return id;
}
static void breeding(void *arg) {
    (void)arg;
    begun = begun_before = 0;
    CHECK(weft_ok(weft_spawn((oldest_fiber *)NULL, oldest, 0)));
    CHECK(weft_ok(weft_spawn((breeder_fiber *)NULL, breeder, 1000000)));
}
TEST(the_oldest_begins_too) {
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), breeding, NULL), WEFT_OK);
    CHECK(begun_before > 0 && begun_before <= 1100);
}

static void alone(void *arg) {
    (void)arg;
    for (int i = 0; i < 100; i++) CHECK(weft_ok(weft_yield()));
}
TEST(a_yield_with_nobody_else_returns) {
    on_each_size(alone, NULL);
    alone(NULL);
}

/* ---- exits -------------------------------------------------------------------------------------------- */

enum { MY_ERROR = WEFT_E_USER + 5 };

static long fails(long how);
WEFT_TASK(fails, long, long);
static long fails_in_child(long how);
WEFT_TASK(fails_in_child, long, long);
static long fails_in_child(long how) {
    if (how) weft_fail(MY_ERROR, "a child failed");
    return how;
}
static long fails(long how) {
    if (how == 1) return weft_fail(MY_ERROR, "no such thing"), 0;
    if (how == 2) {
        fails_in_child_task t;
        weft_fork(&t, fails_in_child, 1);
        return weft_join(&t, fails_in_child);
    }
    if (how == 3) {
        fails_fiber f;
        CHECK(weft_ok(weft_spawn(&f, fails, 1)));
        CHECK(!weft_ok(weft_expect(f, fails, NULL)));
        weft_drop(f);
        weft_fail(MY_ERROR + 1, "too late: the first failure counts");
    }
    return how;
}
static void failing(void *arg) {
    (void)arg;
    for (long how = 0; how <= 3; how++) {
        fails_fiber f;
        long got = -1;
        char text[200];
        CHECK(weft_ok(weft_spawn(&f, fails, how)));
        weft_exit e = weft_await(f, fails, &got);
        CHECK_EQ(weft_ok(e), how == 0);
        CHECK_EQ(got, how == 0 ? 0 : -1);
        CHECK_EQ(e.code, how == 0 ? 0 : MY_ERROR);
        CHECK_EQ(weft_fiber_status(f.handle), how == 0 ? WEFT_STATUS_DONE : WEFT_STATUS_FAILED);
        if (how == 1) CHECK(strstr(weft_exit_format(e, text, sizeof text), "no such thing"));
        if (how == 1) CHECK(strstr(text, "spawn_test.c:"));
        weft_drop(f);
    }
}
TEST(a_failure_is_a_value_that_travels_to_the_awaiter) { on_each_size(failing, NULL); }

static void fails_main(void *arg) {
    (void)arg;
    weft_fail(MY_ERROR, "main failed");
}
TEST(a_failure_of_the_main_task_is_what_run_returns) { CHECK_EQ(weft_run(NULL, fails_main, NULL), MY_ERROR); }

/* ---- handles ------------------------------------------------------------------------------------------ */

static void stale_handles(void *arg) {
    (void)arg;
    twice_fiber f, none = {{NULL, 0}};
    CHECK(weft_ok(weft_spawn(&f, twice, 1)));
    CHECK(weft_ok(weft_await(f, twice, NULL)));
    CHECK_EQ(weft_drop(f), WEFT_OK);
    CHECK_EQ(weft_drop(f), WEFT_E_STALE);
    CHECK_EQ(weft_await(f, twice, NULL).code, WEFT_E_STALE);
    CHECK_EQ(weft_fiber_status(f.handle), WEFT_STATUS_NONE);
    CHECK(weft_fiber_name(f.handle) == NULL);
    CHECK_EQ(weft_await(none, twice, NULL).code, WEFT_E_STALE);
    CHECK_EQ(weft_drop(none), WEFT_E_STALE);
    twice_fiber other; /* its block may be the same one */
    CHECK(weft_ok(weft_spawn(&other, twice, 2)));
    CHECK_EQ(weft_await(f, twice, NULL).code, WEFT_E_STALE);
    CHECK(weft_ok(weft_await(other, twice, NULL)));
    CHECK_EQ(weft_drop(other), WEFT_OK);
}
TEST(a_dropped_handle_is_refused) { on_each_size(stale_handles, NULL); }

static long self_awaiter(long x);
WEFT_TASK(self_awaiter, long, long);
static long self_awaiter(long x) {
    self_awaiter_fiber me = {weft_self()};
    CHECK_EQ(weft_await(me, self_awaiter, NULL).code, WEFT_E_INSIDE);
    CHECK(strcmp(weft_fiber_name(me.handle), "narcissus") == 0);
    CHECK(strstr(weft_fiber_site(me.handle)->file, "spawn_test.c"));
    CHECK_EQ(weft_fiber_status(me.handle), WEFT_STATUS_RUNNING);
    return x;
}
static void identity(void *arg) {
    (void)arg;
    self_awaiter_fiber f;
    CHECK(weft_self().fiber == NULL);
    CHECK(weft_ok(weft_spawn_with(&f, self_awaiter, ((weft_spawn_options){.name = "narcissus"}), 1)));
    CHECK(weft_ok(weft_await(f, self_awaiter, NULL)));
    weft_drop(f);
}
TEST(a_fiber_knows_itself_and_cannot_await_itself) { on_each_size(identity, NULL); }

static _Atomic int ran;
static long counted(long x);
WEFT_TASK(counted, long, long);
static long counted(long x) {
    weft_yield();
    atomic_fetch_add(&ran, 1);
    return x;
}
static void nobody_awaits(void *arg) {
    (void)arg;
    counted_fiber f;
    for (int i = 0; i < 100; i++) CHECK(weft_ok(weft_spawn((counted_fiber *)NULL, counted, i)));
    CHECK(weft_ok(weft_spawn(&f, counted, 0)));
    CHECK_EQ(weft_drop(f), WEFT_OK); /* before it has run */
}
TEST(run_returns_when_every_fiber_has_ended) {
    atomic_store(&ran, 0);
    on_each_size(nobody_awaits, NULL);
    CHECK_EQ(atomic_load(&ran), 303);
}

/* ---- options ------------------------------------------------------------------------------------------ */

static size_t stack_here(void) { return weft__stack_class_bytes(thread_fiber()->stk.cls); }
static long measures(long x);
WEFT_TASK(measures, long, long);
static long measures(long x) {
    (void)x;
    return (long)(stack_here() / WEFT__SAN_STACKS);
}
static void stacks(void *arg) {
    static const struct {
        size_t asked;
        long got;
    } size[] = {{0, 65536}, {4096, 16384}, {16384, 16384}, {65537, 262144}, {1 << 20, 1 << 20}, {8 << 20, 8 << 20}};
    (void)arg;
    for (unsigned i = 0; i < sizeof size / sizeof *size; i++) {
        measures_fiber f;
        long got;
        CHECK(weft_ok(weft_spawn_with(&f, measures, ((weft_spawn_options){.stack_bytes = size[i].asked}), 0)));
        CHECK(weft_ok(weft_await(f, measures, &got)));
        CHECK_EQ(got, size[i].got);
        weft_drop(f);
    }
    twice_fiber f;
    weft_exit e = weft_spawn_with(&f, twice, ((weft_spawn_options){.stack_bytes = 4095}), 0);
    CHECK_EQ(e.code, WEFT_E_INVALID);
    CHECK_EQ(weft_await(f, twice, NULL).code, WEFT_E_STALE);
    e = weft_spawn_with(&f, twice, ((weft_spawn_options){.stack_bytes = (8 << 20) + 1}), 0);
    CHECK_EQ(e.code, WEFT_E_INVALID);
}
TEST(a_fiber_gets_the_stack_it_asks_for_or_an_error) { on_each_size(stacks, NULL); }

TEST(a_plain_thread_must_say_where_to_spawn) {
    twice_fiber f;
    weft_runtime *rt;
    CHECK_EQ(weft_spawn(&f, twice, 1).code, WEFT_E_INVALID);
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 1), &rt), WEFT_OK);
    CHECK_EQ(weft_close(rt), WEFT_OK);
    CHECK_EQ(weft_spawn_with(&f, twice, ((weft_spawn_options){.runtime = rt}), 1).code, WEFT_E_CLOSED);
}

static long homebody(long rounds);
WEFT_TASK(homebody, long, long);
static long homebody(long rounds) {
    int home = weft_worker_index();
    for (long i = 0; i < rounds; i++) {
        twice_fiber f;
        CHECK(weft_ok(weft_spawn(&f, twice, i)));
        weft_yield();
        CHECK_EQ(weft_worker_index(), home);
        CHECK(weft_ok(weft_await(f, twice, NULL)));
        CHECK_EQ(weft_worker_index(), home);
        weft_drop(f);
    }
    return home;
}
static void bound(void *arg) {
    (void)arg;
    enum { N = 6 };
    homebody_fiber f[N];
    for (int i = 0; i < N; i++)
        CHECK(weft_ok(weft_spawn_with(&f[i], homebody, ((weft_spawn_options){.bound = true}), 300)));
    for (int i = 0; i < N; i++) {
        CHECK(weft_ok(weft_await(f[i], homebody, NULL)));
        weft_drop(f[i]);
    }
}
TEST(a_bound_fiber_never_leaves_its_worker) { on_each_size(bound, NULL); }

static long forever(long x);
WEFT_TASK(forever, long, long);
static long forever(long x) {
    gate never = {0};
    while (x >= 0) {
        weft_yield();
        if (x) gate_wait(&never);
    }
    return x;
}
static void daemons(void *arg) {
    (void)arg;
    for (long i = 0; i < 4; i++)
        CHECK(weft_ok(weft_spawn_with((forever_fiber *)NULL, forever, ((weft_spawn_options){.daemon = true}), i % 2)));
    for (int i = 0; i < 10; i++) weft_yield();
}
TEST(daemons_do_not_keep_the_runtime_open) { on_each_size(daemons, NULL); }

static _Atomic int alive, most;
static long lives(long x);
WEFT_TASK(lives, long, long);
static long lives(long x) {
    int now = atomic_fetch_add(&alive, 1) + 1, seen = atomic_load(&most);
    while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now)) {}
    for (int i = 0; i < 3; i++) weft_yield();
    atomic_fetch_sub(&alive, 1);
    return x;
}
static void crowded(void *arg) {
    (void)arg;
    for (long i = 0; i < 500; i++) CHECK(weft_ok(weft_spawn((lives_fiber *)NULL, lives, i)));
}
TEST(the_spawner_waits_at_the_limit) {
    for (unsigned i = 0; i < 3; i++) {
        atomic_store(&most, 0);
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = worker_counts[i], .max_fibers = 10), crowded, NULL), WEFT_OK);
        CHECK(atomic_load(&most) <= 10 && atomic_load(&most) > 0);
        CHECK_EQ(atomic_load(&alive), 0);
    }
}

static void in_child_process(void *arg) {
    weft_runtime *rt = arg;
    twice_fiber f;
    int x = 0;
    if (weft_spawn_with(&f, twice, ((weft_spawn_options){.runtime = rt}), 1).code != WEFT_E_FORKED) _exit(1);
    if (weft_call(rt, (void (*)(void *))abort, &x) != WEFT_E_FORKED) _exit(2);
    if (weft_close(rt) != WEFT_E_FORKED) _exit(3);
    _exit(42);
}
TEST(the_child_of_fork_gets_an_error_and_the_parent_goes_on) {
    weft_runtime *rt;
    char text[100];
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 2), &rt), WEFT_OK);
    int status = test_in_child(in_child_process, rt, text, sizeof text);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 42);
    spawning_thread(rt);
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

TEST(nothing_is_left_behind) {
    uint64_t live = weft__heap_live();
    for (int i = 0; i < 5; i++) on_each_size(many, NULL);
    CHECK_EQ(weft__heap_live(), live);
}

TEST_MAIN
