/* Fiber-locals: what a fiber inherits, what it does not, what is copied, dropped and merged.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/heap.h"
#include <stdatomic.h>
#include <weft/local.h>
#include <weft/promise.h>
#include <weft/scope.h>

static const unsigned worker_counts[] = {1, 2};

static _Atomic int alive; /* values that copy or merge made */

static void on_each_size(void (*body)(void *)) {
    for (unsigned i = 0; i < 2; i++) {
        uint64_t before = weft__heap_live();
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = worker_counts[i]), body, NULL), WEFT_OK);
        CHECK_EQ(weft__heap_live(), before);
        CHECK_EQ(atomic_load(&alive), 0);
    }
}

static int one = 1, two = 2;
static const weft_local inherits = WEFT_LOCAL(.name = "inherits");
static const weft_local own = WEFT_LOCAL(.name = "own", .policy = WEFT_LOCAL_OWN);

/* ---- inheriting --------------------------------------------------------------------------------------- */

static long looks(long depth);
WEFT_TASK(looks, long, long);
static long looks(long depth) {
    CHECK(weft_local_get(&inherits) == &one);
    CHECK(weft_local_get(&own) == NULL);
    weft_yield();
    if (depth > 0) {
        looks_fiber f;
        CHECK(weft_ok(weft_spawn(&f, looks, depth - 1)));
        CHECK_EQ(weft_local_set(&inherits, &two), WEFT_OK); /* not seen by f, which was spawned before */
        CHECK_EQ(weft_local_set(&own, &two), WEFT_OK);
        CHECK(weft_ok(weft_await(f, looks, NULL)));
        weft_drop(f);
        CHECK(weft_local_get(&inherits) == &two);
        CHECK(weft_local_get(&own) == &two);
    }
    return depth;
}
static void inherit(void *arg) {
    (void)arg;
    looks_fiber f[10];
    CHECK(weft_local_get(&inherits) == NULL);
    CHECK_EQ(weft_local_set(&inherits, &one), WEFT_OK);
    CHECK_EQ(weft_local_set(&own, &one), WEFT_OK);
    for (long i = 0; i < 10; i++) CHECK(weft_ok(weft_spawn(&f[i], looks, i)));
    for (int i = 0; i < 10; i++) {
        CHECK(weft_ok(weft_await(f[i], looks, NULL)));
        weft_drop(f[i]);
    }
    CHECK(weft_local_get(&inherits) == &one); /* what they set is theirs */
    CHECK(weft_local_get(&own) == &one);
    CHECK_EQ(weft_local_set(&inherits, NULL), WEFT_OK);
    CHECK(weft_local_get(&inherits) == NULL);
}
TEST(a_spawned_fiber_inherits_what_its_spawner_had_set) { on_each_size(inherit); }

static void in_scopes(void *arg) {
    (void)arg;
    CHECK_EQ(weft_local_set(&inherits, &one), WEFT_OK);
    WEFT_SCOPE(s, NULL) {
        for (long i = 0; i < 5; i++) CHECK(weft_ok(weft_spawn((looks_fiber *)NULL, looks, i)));
        for (long i = 0; i < 5; i++)
            CHECK(weft_ok(weft_spawn_with((looks_fiber *)NULL, looks, ((weft_spawn_options){.detached = true}), i)));
    }
}
TEST(fibers_of_a_scope_and_detached_ones_inherit) { on_each_size(in_scopes); }

static void fresh(void *arg) {
    CHECK(weft_local_get(&inherits) == NULL);
    CHECK_EQ(weft_local_set(&inherits, arg), WEFT_OK);
    CHECK(weft_local_get(&inherits) == arg);
}
TEST(each_call_from_a_plain_thread_starts_without) {
    weft_runtime *rt;
    uint64_t before = weft__heap_live();
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 2), &rt), WEFT_OK);
    for (int i = 0; i < 20; i++) CHECK_EQ(weft_call(rt, fresh, &one), WEFT_OK);
    CHECK_EQ(weft_close(rt), WEFT_OK);
    CHECK_EQ(weft__heap_live(), before);
}

TEST(on_a_plain_thread_there_are_none) {
    CHECK(weft_local_get(&inherits) == NULL);
    CHECK_EQ(weft_local_set(&inherits, &one), WEFT_E_INVALID);
    CHECK_EQ(weft_local_join((weft_handle){NULL, 0}), WEFT_E_INVALID);
}

/* ---- copy and drop ------------------------------------------------------------------------------------ */

static void *copy_number(void *value) {
    int *mine = malloc(sizeof *mine);
    *mine = *(int *)value + 1;
    atomic_fetch_add(&alive, 1);
    return mine;
}
static void drop_number(void *value) {
    atomic_fetch_sub(&alive, 1);
    free(value);
}
static void *add_numbers(void *own_value, void *others) {
    int *sum = own_value;
    if (!sum) {
        sum = malloc(sizeof *sum);
        *sum = 0;
        atomic_fetch_add(&alive, 1);
    }
    *sum += *(int *)others;
    drop_number(others);
    return sum;
}
static const weft_local copied = WEFT_LOCAL(.name = "copied", .copy = copy_number, .drop = drop_number);
static const weft_local merged =
    WEFT_LOCAL(.name = "merged", .policy = WEFT_LOCAL_OWN, .merge = add_numbers, .drop = drop_number);

static long generation(long depth);
WEFT_TASK(generation, long, long);
static long generation(long depth) {
    int mine = *(int *)weft_local_get(&copied);
    if (depth == 0) return mine;
    generation_fiber f;
    long got = 0;
    CHECK(weft_ok(weft_spawn(&f, generation, depth - 1)));
    CHECK(weft_ok(weft_await(f, generation, &got)));
    weft_drop(f);
    CHECK_EQ(*(int *)weft_local_get(&copied), mine);
    return got;
}
static void copies(void *arg) {
    (void)arg;
    int first = 100;
    CHECK_EQ(weft_local_set(&copied, &first), WEFT_OK);
    generation_fiber f;
    long got = 0;
    CHECK(weft_ok(weft_spawn(&f, generation, 9)));
    CHECK(weft_ok(weft_await(f, generation, &got)));
    CHECK_EQ(got, 110);
    weft_drop(f);
    CHECK_EQ(first, 100);
}
TEST(a_copied_value_is_each_fibers_own_and_dropped_at_its_end) { on_each_size(copies); }

static long never_runs(long x);
WEFT_TASK(never_runs, long, long);
static long never_runs(long x) {
    weft_sleep(WEFT_FOREVER);
    return x;
}
static void not_started(void *arg) {
    (void)arg;
    int first = 1;
    CHECK_EQ(weft_local_set(&copied, &first), WEFT_OK);
    for (int i = 0; i < 100; i++) {
        never_runs_fiber f;
        CHECK(weft_ok(weft_spawn(&f, never_runs, 1)));
        if (i % 2) weft_yield();
        CHECK(weft_ok(weft_interrupt(f, NULL)));
        weft_drop(f);
    }
}
TEST(values_of_fibers_that_never_ran_are_dropped) { on_each_size(not_started); }

static void starts_a_daemon(void *arg) {
    (void)arg;
    int first = 1;
    never_runs_fiber f;
    CHECK_EQ(weft_local_set(&copied, &first), WEFT_OK);
    CHECK(weft_ok(weft_spawn_with(&f, never_runs, ((weft_spawn_options){.daemon = true}), 1)));
    while (weft_fiber_status(f.handle) != WEFT_STATUS_SUSPENDED) weft_yield();
}
TEST(values_of_an_abandoned_daemon_are_dropped) { on_each_size(starts_a_daemon); }

/* ---- merging ------------------------------------------------------------------------------------------ */

static long counts(long n);
WEFT_TASK(counts, long, long);
static long counts(long n) {
    int *number = malloc(sizeof *number);
    *number = (int)n;
    CHECK(weft_local_get(&merged) == NULL);
    atomic_fetch_add(&alive, 1);
    CHECK_EQ(weft_local_set(&merged, number), WEFT_OK);
    return n;
}
static weft_promise door;
static long counts_late(long n);
WEFT_TASK(counts_late, long, long);
static long counts_late(long n) {
    weft_promise_await(&door, NULL);
    return counts(n);
}
static void merges(void *arg) {
    (void)arg;
    counts_fiber f[10];
    for (long i = 0; i < 10; i++) CHECK(weft_ok(weft_spawn(&f[i], counts, i + 1)));
    for (int i = 0; i < 10; i++) {
        CHECK(weft_ok(weft_await(f[i], counts, NULL)));
        CHECK_EQ(weft_local_join(f[i].handle), WEFT_OK);
        CHECK_EQ(weft_local_join(f[i].handle), WEFT_OK); /* nothing is left */
    }
    CHECK_EQ(*(int *)weft_local_get(&merged), 55);
    for (int i = 0; i < 10; i++) {
        weft_drop(f[i]);
        CHECK_EQ(weft_local_join(f[i].handle), WEFT_E_STALE);
    }
    weft_promise_init(&door);
    counts_late_fiber late;
    CHECK(weft_ok(weft_spawn(&late, counts_late, 1)));
    CHECK_EQ(weft_local_join(late.handle), WEFT_E_BUSY);
    weft_promise_complete(&door, NULL);
    CHECK(weft_ok(weft_await(late, counts_late, NULL)));
    CHECK_EQ(weft_local_join(late.handle), WEFT_OK);
    weft_drop(late);
    CHECK_EQ(*(int *)weft_local_get(&merged), 56);
}
TEST(what_an_ended_fiber_left_is_merged_once) { on_each_size(merges); }

static void merges_named(void *arg) {
    (void)arg;
    counts_fiber f[10];
    weft_spawn_options o = {.name = "counter"};
    for (long i = 0; i < 10; i++) CHECK(weft_ok(weft_spawn_with(&f[i], counts, o, i + 1)));
    for (int i = 0; i < 10; i++) {
        CHECK(weft_ok(weft_await(f[i], counts, NULL)));
        CHECK_EQ(weft_local_join(f[i].handle), WEFT_OK);
        CHECK_EQ(weft_local_join(f[i].handle), WEFT_OK);
    }
    CHECK_EQ(*(int *)weft_local_get(&merged), 55);
    for (int i = 0; i < 10; i++) {
        weft_drop(f[i]);
        CHECK_EQ(weft_local_join(f[i].handle), WEFT_E_STALE);
    }
}
TEST(what_an_ended_named_fiber_left_is_merged_once) { on_each_size(merges_named); }

/* ---- forked children ---------------------------------------------------------------------------------- */

static long leaf(long x);
WEFT_TASK(leaf, long, long);
static long leaf(long x) {
    CHECK(weft_local_get(&inherits) == &one);
    if (x % 3 == 0) weft_yield();
    looks_fiber f;
    CHECK(weft_ok(weft_spawn(&f, looks, 0)));
    CHECK(weft_ok(weft_await(f, looks, NULL)));
    weft_drop(f);
    return 1;
}
static long forks(long depth);
WEFT_TASK(forks, long, long);
static long forks(long depth) {
    if (depth == 0) return leaf(depth);
    forks_task left;
    weft_fork(&left, forks, depth - 1);
    long right = forks(depth - 1);
    weft_yield(); /* what is forked is offered */
    return right + weft_join(&left, forks);
}
static void forked(void *arg) {
    (void)arg;
    CHECK_EQ(weft_local_set(&inherits, &one), WEFT_OK);
    for (int i = 0; i < 20; i++) CHECK_EQ(forks(6), 64);
    CHECK(weft_local_get(&inherits) == &one);
}
TEST(a_forked_child_sees_its_parents_values_stolen_or_not) { on_each_size(forked); }

/* ---- without memory ----------------------------------------------------------------------------------- */

static void no_memory(void *arg) {
    (void)arg;
    looks_fiber f;
    weft__heap_fail_at(1, 0);
    CHECK_EQ(weft_local_set(&inherits, &two), WEFT_E_NOMEM);
    weft__heap_fail_at(0, 0);
    CHECK(weft_local_get(&inherits) == NULL);
    CHECK_EQ(weft_local_set(&inherits, &one), WEFT_OK);
    CHECK(weft_ok(weft_spawn(&f, looks, 0))); /* the slab is there */
    CHECK(weft_ok(weft_await(f, looks, NULL)));
    weft_drop(f);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        weft__heap_fail_at(nth, 0);
        weft_exit e = weft_spawn(&f, looks, 0);
        weft__heap_fail_at(0, 0);
        CHECK(e.tag == WEFT_EXIT_FAIL && e.code == WEFT_E_NOMEM);
    }
}
TEST(without_memory_nothing_is_set_or_half_inherited) {
    uint64_t before = weft__heap_live();
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), no_memory, NULL), WEFT_OK);
    CHECK_EQ(weft__heap_live(), before);
}

TEST_MAIN
