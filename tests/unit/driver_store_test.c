/* The store: snapshots for what is spawned, one store for what is forked, puts that are seen and stay.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/driver_runs.h"
#include "effect/store.h"
#include <weft/continuation.h>
#include <weft/scope.h>

WEFT_STATE(number, long);
WEFT_STATE(other, long);

typedef struct big {
    char bytes[1000];
    long sum;
} big;
WEFT_STATE(large, big);

#define GET(key)                                                                             \
    __extension__({                                                                          \
        key##_value got_ = {0};                                                              \
        weft_must(weft_do_get(key, &got_));                                                  \
        got_;                                                                                \
    })

static void ended_well(weft_result *r) {
    if (weft_result_is_err(r)) fprintf(stderr, "%s\n", weft_result_format(r, true, text, sizeof text));
    CHECK(weft_result_is_ok(r));
}

/* ---- snapshots ---------------------------------------------------------------------------------------- */

static long adds(long n);
WEFT_TASK(adds, long, long);
static long adds(long n) {
    weft_must(weft_do_put(number, GET(number) + n));
    weft_must(weft_do_delay(weft_ms(2)));
    return GET(number);
}
static int spawns_adders(int n);
WEFT_TASK(spawns_adders, int, int);
static int spawns_adders(int n) {
    adds_fiber f, g;
    long a = 0, b = 0;
    weft_must(weft_do_put(number, 100));
    weft_must(weft_do_spawn(&f, adds, 1));
    weft_must(weft_do_put(number, 200));
    weft_must(weft_spawn(&g, adds, 2)); /* in either way */
    weft_must(weft_do_put(number, 300));
    weft_must(weft_do_delay(weft_ms(1)));
    CHECK_EQ(GET(number), 300);
    weft_must(weft_do_wait(f, adds, &a));
    weft_must(weft_do_wait(g, adds, &b));
    CHECK_EQ(a, 101);
    CHECK_EQ(b, 202);
    CHECK_EQ(GET(number), 300);
    weft_drop(f), weft_drop(g);
    return n;
}
TEST(a_spawned_fiber_has_a_snapshot_of_its_own) { UNDER_ALL(ended_well, spawns_adders, WEFT_WITH(0), 1); }

static int chains(int n);
WEFT_TASK(chains, int, int);
static int chains(int n) {
    chains_fiber f;
    CHECK_EQ(GET(number), 10 - n);
    weft_must(weft_do_put(number, 11 - n));
    if (!n) return 0;
    weft_must(weft_do_spawn(&f, chains, n - 1));
    weft_must(weft_do_put(number, -1));
    int v = -1;
    weft_must(weft_do_wait(f, chains, &v));
    weft_drop(f);
    CHECK_EQ(GET(number), -1);
    return v + n;
}
TEST(snapshots_of_snapshots) { UNDER_ALL(ended_well, chains, WEFT_WITH(WEFT_STORE(WEFT_SET(number, 0))), 10); }

/* ---- one store for what is forked --------------------------------------------------------------------- */

static weft_exit plus(long *value, void *arg) {
    *value += *(long *)arg;
    return weft_done;
}
static int modifies(int n);
WEFT_TASK(modifies, int, int);
static int modifies(int n) {
    long one = 1, after = 0;
    for (int i = 0; i < n; i++) {
        weft_must(weft_do_modify(number, plus, &one, &after));
        CHECK(after > 0);
        weft_point();
    }
    return n;
}
static int forks(int n);
WEFT_TASK(forks, int, int);
static int forks(int n) {
    forks_task child;
    if (n == 0) return modifies(5);
    weft_fork(&child, forks, n - 1);
    forks(n - 1);
    weft_join(&child, forks);
    return n;
}
static void exactly(weft_result *r) {
    long v = 0;
    ended_well(r);
    CHECK(weft_ok(weft_result_get(r, number, &v)));
    CHECK_EQ(v, 5 * 16);
}
TEST(forked_children_modify_their_fiber_s_store_one_after_the_other) {
    UNDER_ALL(exactly, forks, WEFT_WITH(WEFT_STORE(WEFT_SET(number, 0))), 4);
}

static int gathers(int n);
WEFT_TASK(gathers, int, int);
static int gathers(int n) {
    int each[4];
    weft_must(weft_do_gather(WEFT_BR(modifies, &each[0], 20), WEFT_BR(modifies, &each[1], 20), WEFT_BR(modifies, &each[2], 20),
                             WEFT_BR(modifies, &each[3], 20)));
    CHECK_EQ(GET(number), 80);
    return n;
}
TEST(branches_share_the_store_of_their_fiber) {
    UNDER_ALL(exactly, gathers, WEFT_WITH(WEFT_STORE(WEFT_SET(number, 0))), 4);
}

/* On real workers, for long enough that children are taken. */
static int hammers(int n);
WEFT_TASK(hammers, int, int);
static int hammers(int n) {
    long one = 1;
    hammers_task child;
    if (n == 0) {
        for (int i = 0; i < 200; i++) {
            weft_must(weft_do_modify(number, plus, &one, NULL));
            weft_must(weft_do_put(other, i));
            CHECK(GET(other) >= 0);
        }
        return 0;
    }
    weft_fork(&child, hammers, n - 1);
    hammers(n - 1);
    weft_join(&child, hammers);
    return n;
}
TEST(nothing_is_lost_on_several_workers) {
    for (int i = 0; i < 20; i++) {
        long v = 0;
        const weft_run_with *with = WEFT_WITH(WEFT_STORE(WEFT_SET(number, 0), WEFT_SET(other, 0)), .workers = 3);
        weft_result *r = weft_run_async(hammers, with, 7);
        ended_well(r);
        CHECK(weft_ok(weft_result_get(r, number, &v)));
        CHECK_EQ(v, 128 * 200);
        weft_result_free(r);
    }
}

/* ---- values --------------------------------------------------------------------------------------------- */

static int misses(int n);
WEFT_TASK(misses, int, int);
static int misses(int n) {
    long v = 5, one = 1;
    weft_exit e = weft_do_get(number, &v);
    CHECK(e.tag == WEFT_EXIT_FAIL && e.code == WEFT_E_MISSING && v == 5);
    CHECK(strstr(weft_exit_format(e, text, sizeof text), "number"));
    CHECK(strstr(text, "driver_store_test.c"));
    CHECK_EQ(weft_do_modify(number, plus, &one, &v).code, WEFT_E_MISSING);
    CHECK_EQ(weft_do_get(number, &v).code, WEFT_E_MISSING);
    weft_must(weft_do_put(number, 1));
    CHECK_EQ(GET(number), 1);
    return n;
}
TEST(what_was_never_put_is_missing) { UNDER_ALL(ended_well, misses, WEFT_WITH(0), 1); }

static weft_exit refuses(long *value, void *arg) {
    *value = 99;
    return weft_exit_interrupted(*(weft_exit *)arg) ? weft_done : *(weft_exit *)arg;
}
static int keeps(int n);
WEFT_TASK(keeps, int, int);
static int keeps(int n) {
    weft_exit no = {WEFT_EXIT_FAIL, 301, NULL};
    big b = {.bytes = "text", .sum = 7};
    long v = 3;
    weft_must(weft_do_put(number, 1));
    CHECK_EQ(weft_do_modify(number, refuses, &no, &v).code, 301);
    CHECK(GET(number) == 1 && v == 3);
    for (int i = 0; i < 10; i++) {
        b.sum = i;
        weft_must(weft_do_put(large, b));
        weft_must(weft_do_put(other, i));
    }
    b = GET(large);
    CHECK(b.sum == 9 && strcmp(b.bytes, "text") == 0);
    CHECK(GET(other) == 9 && GET(number) == 1);
    return n;
}
TEST(values_of_all_sizes_stay_what_was_put) { UNDER_ALL(ended_well, keeps, WEFT_WITH(0), 1); }

/* ---- what is caught ------------------------------------------------------------------------------------- */

static int puts_and_fails(int n);
WEFT_TASK(puts_and_fails, int, int);
static int puts_and_fails(int n) {
    weft_must(weft_do_put(number, n));
    return weft_do_fail(302, "as asked"), n;
}
static int catches(int n);
WEFT_TASK(catches, int, int);
static int catches(int n) {
    int v = 4;
    weft_exit e = weft_do_safe(puts_and_fails, &v, n);
    CHECK(e.tag == WEFT_EXIT_FAIL && e.code == 302 && v == 4);
    CHECK_EQ(GET(number), n);
    return n;
}
static int nests(int n);
WEFT_TASK(nests, int, int);
static int nests(int n) {
    int v = 0;
    CHECK(weft_ok(weft_do_safe(catches, &v, n))); /* the inner one caught it */
    return v;
}
TEST(what_was_put_before_a_failure_that_is_caught_stays_put) {
    UNDER_ALL(ended_well, nests, WEFT_WITH(0), 8);
}

WEFT_KEY(place, int);
static int is_elsewhere(int n);
WEFT_TASK(is_elsewhere, int, int);
static int is_elsewhere(int n) {
    int at = 0;
    weft_must(weft_do_ask(place, &at));
    CHECK_EQ(at, 2);
    weft_must(weft_do_put(number, n));
    return n < 0 ? weft_fail(303, "as asked"), n : n;
}
static int goes_elsewhere(int n);
WEFT_TASK(goes_elsewhere, int, int);
static int goes_elsewhere(int n) {
    int at = 0, v = 0;
    CHECK(weft_ok(weft_do_local(place, 2, is_elsewhere, &v, n)));
    CHECK(v == n && GET(number) == n);
    CHECK_EQ(weft_do_local(place, 2, is_elsewhere, &v, -n).code, 303);
    CHECK_EQ(GET(number), -n);
    weft_must(weft_do_ask(place, &at));
    CHECK_EQ(at, 1);
    return n;
}
TEST(a_local_value_is_over_however_its_task_ends_and_does_not_scope_the_store) {
    UNDER_ALL(ended_well, goes_elsewhere, WEFT_WITH(WEFT_ENV(WEFT_BIND(place, 1))), 8);
}

/* ---- beside other handlers ------------------------------------------------------------------------------- */

static weft_exit fake_get(const weft_get_op *op, char *reply, void *self) {
    (void)reply, (void)self;
    if (op->key != &number_state) return weft_pass;
    *(long *)op->to = 77;
    return weft_done;
}
static int sees_77(int n);
WEFT_TASK(sees_77, int, int);
static int sees_77(int n) {
    weft_must(weft_do_put(number, 1));
    weft_must(weft_do_put(other, 2));
    CHECK_EQ(GET(number), 77);
    CHECK_EQ(GET(other), 2);
    return n;
}
TEST(a_fake_store_for_one_key_in_a_line) {
    UNDER_ALL(ended_well, sees_77,
              WEFT_WITH(WEFT_HANDLERS(WEFT_SYNC_PRESET, WEFT_SHARED_HANDLER(NULL, WEFT_TAIL(weft_get, fake_get)))), 1);
}

/* A body with a stack of its own is part of its fiber, also when it goes on beside it. */
WEFT_EFFECT(park, int, int n;);
static weft_k parked;
static weft_exit on_park(weft_k k, const park_op *op, void *answer, void *self) {
    (void)op, (void)self;
    parked = weft_keep(k);
    *(int *)answer = -1;
    return weft_done;
}
static int parks(int n);
WEFT_TASK(parks, int, int);
static int parks(int n) {
    int v = 0;
    weft_must(weft_do_put(number, GET(number) + 1));
    weft_must(weft_perform(park, &v, n));
    weft_must(weft_do_put(number, GET(number) + v));
    return n;
}
static int resumes(int n);
WEFT_TASK(resumes, int, int);
static int resumes(int n) {
    int out = 0;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(park, on_park));
    weft_must(weft_handle(&h, parks, &out, n));
    CHECK(out == -1 && GET(number) == 1);
    weft_must(weft_resume(parked, park, 10, &out));
    CHECK_EQ(GET(number), 11);
    CHECK_EQ(out, n);
    weft_must(weft_do_put(number, 12));
    CHECK_EQ(GET(number), 12);
    return n;
}
TEST(a_body_that_is_gone_on_with_has_the_store_of_its_fiber) {
    UNDER_ALL(ended_well, resumes, WEFT_WITH(WEFT_STORE(WEFT_SET(number, 0))), 3);
}

/* On another worker, while the fiber it is part of goes on. */
enum { BESIDE = 20000 };
static int modifies_beside(int n);
WEFT_TASK(modifies_beside, int, int);
static int modifies_beside(int n) {
    long one = 1;
    int v = 0;
    weft_must(weft_perform(park, &v, n));
    for (int i = 0; i < n; i++) weft_must(weft_do_modify(number, plus, &one, NULL));
    return n;
}
static int drives_it(weft_k *k);
WEFT_TASK(drives_it, int, weft_k *);
static int drives_it(weft_k *k) {
    int out = 0;
    weft_must(weft_resume(*k, park, 0, &out));
    return out;
}
static int goes_on_beside(int n);
WEFT_TASK(goes_on_beside, int, int);
static int goes_on_beside(int n) {
    int out = 0;
    long one = 1;
    drives_it_fiber f;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(park, on_park));
    weft_must(weft_handle(&h, modifies_beside, &out, n));
    weft_must(weft_do_spawn(&f, drives_it, &parked));
    for (int i = 0; i < n; i++) weft_must(weft_do_modify(number, plus, &one, NULL));
    weft_must(weft_do_wait(f, drives_it, &out));
    weft_drop(f);
    CHECK_EQ(out, n);
    CHECK_EQ(GET(number), 2 * n);
    return n;
}
TEST(a_body_that_goes_on_beside_its_fiber_loses_nothing) {
    for (int i = 0; i < 10; i++) {
        weft_result *r = weft_run_async(goes_on_beside, WEFT_WITH(WEFT_STORE(WEFT_SET(number, 0)), .workers = 2), BESIDE);
        ended_well(r);
        weft_result_free(r);
    }
    UNDER_ALL(ended_well, goes_on_beside, WEFT_WITH(WEFT_STORE(WEFT_SET(number, 0))), 20);
}

/* ---- more stack ------------------------------------------------------------------------------------------ */

/* Below many handlers the fiber goes on with more stack, and is as alone with its store there as before: no put takes the lock.
 * A body that is begun there goes on when that stack has gone, and what it puts is seen. */
enum { DEEP = 300 };
WEFT_EFFECT(nothing, char, char unused;);
static weft_exit on_nothing(const nothing_op *op, char *reply, void *self) {
    (void)op, (void)reply, (void)self;
    return weft_done;
}
static store *store_here(void) { return store_of(thread_fiber()); }
static void add(long n) { weft_must(weft_do_modify(number, plus, &n, NULL)); }
static void alone_at_the_bottom(void) {
    fiber *f = thread_fiber();
    uint64_t before = store_here()->version;
    CHECK(f->driver && atom_load_rlx(&f->carried->on) == f);
    weft_must(weft_do_put(number, GET(number) + 1));
    CHECK_EQ(store_here()->version, before);
}
static void begins_a_body(void) {
    fiber *f = thread_fiber();
    int out = 0;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(park, on_park));
    weft_must(weft_handle(&h, parks, &out, 1));
    CHECK(!atom_load_rlx(&f->carried->on)); /* it may go on beside this fiber */
    add(1);
}
typedef struct depth {
    int left;
    void (*at_the_bottom)(void);
} depth;
static int goes_deep(depth d);
WEFT_TASK(goes_deep, int, depth);
static int goes_deep(depth d) {
    weft_handler h = WEFT_HANDLER(NULL, WEFT_TAIL(nothing, on_nothing));
    int out = 0;
    if (d.left == 0) return d.at_the_bottom(), 1;
    weft_must(weft_handle(&h, goes_deep, &out, d.left - 1, d.at_the_bottom));
    add(1);
    return out;
}
static int comes_back(int n);
WEFT_TASK(comes_back, int, int);
static int comes_back(int n) {
    fiber *f = thread_fiber();
    int out = 0;
    CHECK_EQ(goes_deep((depth){DEEP, alone_at_the_bottom}), 1);
    CHECK_EQ(GET(number), DEEP + 1);
    CHECK(atom_load_rlx(&f->carried->on) == f && f->carried->home == f);
    weft_must(weft_do_put(number, 0));
    CHECK_EQ(goes_deep((depth){DEEP, begins_a_body}), 1);
    CHECK_EQ(GET(number), DEEP + 2);
    CHECK(!atom_load_rlx(&f->carried->on) && f->carried->home == f);
    weft_must(weft_resume(parked, park, 10, &out)); /* the last to have been lent it */
    CHECK_EQ(GET(number), DEEP + 12);
    CHECK(atom_load_rlx(&f->carried->on) == f);
    return n;
}
TEST(a_fiber_takes_its_store_along_to_more_stack_and_back) {
    UNDER_ALL(ended_well, comes_back, WEFT_WITH(WEFT_STORE(WEFT_SET(number, 0))), 3);
}

/* But not while it has a child that may be elsewhere, who has the store, too. */
static int modified_there;
static void shared_at_the_bottom(void) { modifies(modified_there); }
static int forks_and_goes_deep(int n);
WEFT_TASK(forks_and_goes_deep, int, int);
static int forks_and_goes_deep(int n) {
    modifies_task t;
    weft_fork(&t, modifies, 3 * n);
    modified_there = n;
    for (int i = 0; i < 3; i++) CHECK_EQ(goes_deep((depth){DEEP, shared_at_the_bottom}), 1);
    weft_join(&t, modifies);
    CHECK_EQ(GET(number), 3 * (2 * n + DEEP));
    return n;
}
TEST(a_fiber_with_children_elsewhere_loses_nothing_on_more_stack) {
    for (int i = 0; i < 10; i++) {
        weft_result *r = weft_run_async(forks_and_goes_deep, WEFT_WITH(WEFT_STORE(WEFT_SET(number, 0)), .workers = 2), BESIDE);
        ended_well(r);
        weft_result_free(r);
    }
    UNDER_ALL(ended_well, forks_and_goes_deep, WEFT_WITH(WEFT_STORE(WEFT_SET(number, 0))), 50);
}

/* ---- without a driver -------------------------------------------------------------------------------------- */

/* On a plain thread nobody else drops its cause. */
static int code_of(weft_exit e) {
    weft_exit_drop(e);
    return e.code;
}
static int asks_for_all(int n);
WEFT_TASK(asks_for_all, int, int);
static int asks_for_all(int n) {
    long v = 0, one = 1;
    uint64_t random = 0;
    weft_log log;
    CHECK_EQ(code_of(weft_do_get(number, &v)), WEFT_E_MISSING);
    CHECK_EQ(code_of(weft_do_put(number, 1)), WEFT_E_MISSING);
    CHECK_EQ(code_of(weft_do_modify(number, plus, &one, &v)), WEFT_E_MISSING);
    CHECK_EQ(code_of(weft_do_tell("nobody hears")), WEFT_E_MISSING);
    CHECK_EQ(code_of(weft_do_listen(&log, misses, NULL, 1)), WEFT_E_MISSING);
    CHECK_EQ(code_of(weft_do_random(&random)), WEFT_E_MISSING);
    weft_exit e = weft_do_get(number, &v);
    CHECK(strstr(weft_exit_format(e, text, sizeof text), "no store"));
    weft_exit_drop(e);
    return n;
}
static void storeless(void *arg) {
    (void)arg;
    weft_handler preset[] = {WEFT_SYNC_PRESET};
    int v = 0;
    long n = 0;
    CHECK_EQ(code_of(weft_do_get(number, &n)), WEFT_E_UNHANDLED);
    CHECK(weft_ok(weft_handle_list(preset, sizeof preset / sizeof *preset, asks_for_all, &v, 1)));
    CHECK_EQ(v, 1);
}
TEST(without_a_driver_there_is_no_store) {
    CHECK_EQ(weft_run(NULL, storeless, NULL), WEFT_OK);
    storeless(NULL);
}

TEST_MAIN
