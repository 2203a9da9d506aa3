/* Effect values run directly on a plain thread, and what a run tells of itself.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/eff.h"
#include "unit/eff_values.h"
#include <pthread.h>

#define HERE(e, value)                                                                       \
    do {                                                                                     \
        long got_ = -12345;                                                                  \
        CHECK_OK(weft_run_here(e, &got_));                                                   \
        CHECK_EQ(got_, (value));                                                             \
    } while (0)
#define ENDS(e, tag_, code_)                                                                 \
    do {                                                                                     \
        weft_exit end_ = weft_run_here(e, NULL);                                             \
        CHECK_EQ(end_.tag, (tag_));                                                          \
        CHECK_EQ(end_.code, (code_));                                                        \
        weft_exit_drop(end_);                                                                \
    } while (0)

/* ---- in the order of the arguments ---------------------------------------------------------------- */

static eff_long marking(weft_eff_arena *a, long n);
WEFT_EFF_NEXT(marking, eff_long, long);
static eff_long marking(weft_eff_arena *a, long n) {
    mark(n);
    return weft_eff_keep(eff_long, a, weft_eff_call(eff_long, even, n));
}
#define M(n) weft_eff_suspend(eff_long, marking, (n))

static void sequentially(void *arg) {
    (void)arg;
    forget();
    pair p;
    CHECK_OK(weft_run_here(weft_eff_zip_par(eff_pair, weft_eff_map(eff_double, M(2), half), M(4)), &p));
    CHECK(p.first == 1 && p.second == 4);
    CHECK(marks == 2 && marked[0] == 2 && marked[1] == 4);
    HERE(weft_eff_race(eff_long, M(6), M(8)), 6);
    ENDS(weft_eff_race(eff_long, M(7), M(8)), WEFT_EXIT_FAIL, 300);
    CHECK_EQ(marks, 4); /* only the first */
    HERE(weft_eff_any(eff_long, M(1), M(3), M(10), M(12)), 10);
    CHECK_EQ(marks, 7);
    weft_exit e = weft_run_here(weft_eff_any(eff_long, M(1), M(3)), NULL);
    CHECK(e.tag == WEFT_EXIT_FAIL && weft_cause_has(e.cause, WEFT_CAUSE_BOTH));
    weft_exit_drop(e);
    forget();
    long items[4] = {2, 4, 6, 8}, results[4] = {0}, odd[3] = {2, 3, 4};
    CHECK_OK(weft_run_here(weft_eff_for_each_par(items, 4, results, 2, marking), NULL));
    for (int i = 0; i < 4; i++) CHECK(marked[i] == items[i] && results[i] == items[i]);
    ENDS(weft_eff_for_each_par(odd, 3, NULL, 2, marking), WEFT_EXIT_FAIL, 300);
    CHECK_EQ(marks, 6);
    CHECK_OK(weft_run_here(weft_eff_for_each_par(items, 0, results, 2, marking), NULL));
    ENDS(weft_eff_for_each_par(items, 1, results, -2, marking), WEFT_EXIT_FAIL, WEFT_E_INVALID);
}

TEST(a_direct_run_works_on_branches_in_the_order_of_the_arguments) {
    sequentially(NULL);
    CHECK_EQ(weft_run(NULL, sequentially, NULL), WEFT_OK); /* on a fiber, too */
}

/* ---- time ----------------------------------------------------------------------------------------- */

static eff_long spins(weft_eff_arena *a, long n);
WEFT_EFF_NEXT(spins, eff_long, long);
static eff_long *again;
static eff_long spins(weft_eff_arena *a, long n) {
    (void)a;
    (void)n;
    return *again;
}

/* Whatever it does, it is over some time. */
TEST(on_a_plain_thread_a_timeout_ends_waits_and_loops) {
    weft_promise p = WEFT_PROMISE;
    ENDS(weft_eff_timeout(eff_long, weft_eff_never(eff_long), weft_ms(1)), WEFT_EXIT_FAIL, WEFT_E_TIMEOUT);
    ENDS(weft_eff_timeout(weft_eff_unit, weft_eff_sleep(weft_s(1000)), weft_ms(1)), WEFT_EXIT_FAIL, WEFT_E_TIMEOUT);
    ENDS(weft_eff_timeout(weft_eff_pointer, weft_eff_from_promise(&p), weft_ms(1)), WEFT_EXIT_FAIL, WEFT_E_TIMEOUT);
    eff_long loops = weft_eff_flat_map(eff_long, SUCCEED(1), spins);
    again = &loops;
    ENDS(weft_eff_timeout(eff_long, loops, weft_ms(1)), WEFT_EXIT_FAIL, WEFT_E_TIMEOUT);
    forget();
    eff_long late = weft_eff_flat_map(eff_long, weft_eff_call(eff_long, nap, 3), marking);
    eff_long waits = weft_eff_ensuring(eff_long, weft_eff_never(eff_long), late);
    ENDS(weft_eff_timeout(eff_long, waits, weft_ms(1)), WEFT_EXIT_FAIL, WEFT_E_TIMEOUT);
    CHECK_EQ(slept, 1); /* the finalizer was not cut short */
    HERE(weft_eff_timeout(eff_long, SUCCEED(3), weft_s(1000)), 3);
    HERE(weft_eff_catch_all(eff_long, weft_eff_timeout(eff_long, weft_eff_never(eff_long), 0), code_of), WEFT_E_TIMEOUT);
    eff_long inner = weft_eff_catch_all(eff_long, weft_eff_timeout(eff_long, weft_eff_never(eff_long), weft_ms(1)), code_of);
    HERE(weft_eff_timeout(eff_long, inner, weft_s(1000)), WEFT_E_TIMEOUT);
}

static eff_long_memo once;
static _Atomic int makings;
static long makes(long n);
WEFT_TASK(makes, long, long);
static long makes(long n) {
    makings++;
    weft_sleep(weft_ms(2));
    return n;
}
static void *asks_once(void *arg) {
    long n = 0;
    CHECK_OK(weft_run_here(weft_eff_memoise(eff_long, weft_eff_call(eff_long, makes, 5), &once), &n));
    CHECK_EQ(n, 5);
    return arg;
}

TEST(threads_that_ask_the_same_memo_wait_for_the_first) {
    pthread_t t[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&t[i], NULL, asks_once, NULL) == 0);
    for (int i = 0; i < 4; i++) CHECK(pthread_join(t[i], NULL) == 0);
    CHECK_EQ(makings, 1);
}

/* A failure of a nested run is that run's. */
static long inside(long n);
WEFT_TASK(inside, long, long);
static long inside(long n) {
    ENDS(weft_eff_call(eff_long, even, n), WEFT_EXIT_FAIL, 300);
    return n;
}
TEST(a_failure_on_a_plain_thread_is_that_of_the_innermost_run) {
    HERE(weft_eff_call(eff_long, inside, 3), 3);
    weft_fail(302, "nobody's");
    HERE(SUCCEED(4), 4);
}

/* ---- what a run tells ----------------------------------------------------------------------------- */

static struct {
    int reports, code;
    char at[40], pending[200];
} told;

static void trace_failed(weft__eff_trace *t, weft_exit e, const weft_eff_node *at, weft__eff_pending p) {
    (void)t;
    told.reports++;
    told.code = e.code;
    told.pending[0] = 0;
    snprintf(told.at, sizeof told.at, "%s", at ? at->site->name : "?");
    while (weft__eff_pending_next(&p)) {
        size_t n = strlen(told.pending);
        const char *kind = p.node ? weft__eff_kind_name(p.node->kind) : "gone";
        snprintf(told.pending + n, sizeof told.pending - n, "%s:%s/%u ", kind, p.node ? p.node->site->name : "", p.state);
        if (p.node) CHECK(strstr(p.node->site->file, "eff_direct_test.c") && p.node->site->line > 0);
    }
}

static void traced(void *arg) {
    weft__eff_trace t = {trace_failed};
    weft_eff_options o = {.trace = &t, .direct = arg == NULL};
    memset(&told, 0, sizeof told);
    weft_eff_arena a = {0};
    eff_long e = weft_eff_map(eff_long, weft_eff_map(eff_long, SUCCEED(3), twice), twice);
    CHECK_OK(weft_run_effect_with(e, NULL, &o));
    CHECK_EQ(told.reports, 0);
    e = weft_eff_map(eff_long, weft_eff_map(eff_long, weft_eff_map(eff_long, SUCCEED(3), twice), dies), twice);
    e = weft_eff_ensuring(eff_long, weft_eff_flat_map(eff_long, e, next_even), MARK(1));
    CHECK_EQ(weft_run_effect_with(e, NULL, &o).code, 301);
    CHECK_EQ(told.reports, 1);
    CHECK(strcmp(told.at, "dies") == 0); /* among those of its step */
    CHECK(strcmp(told.pending, "flat_map:next_even/0 ensuring:ensuring/0 ") == 0);
    e = weft_eff_catch_all(eff_long, FAIL(305), code_of);
    CHECK_OK(weft_run_effect_with(weft_eff_annotate(eff_long, e, "x"), NULL, &o));
    CHECK_EQ(told.reports, 2); /* nobody knows yet that it will be caught */
    CHECK(strcmp(told.at, "fail") == 0);
    CHECK(strcmp(told.pending, "catch_all:code_of/0 annotate:annotate/0 ") == 0);
    weft_eff_arena_close(&a);
}

TEST(a_failing_run_tells_what_was_pending_and_where_it_failed) {
    traced(NULL);
    CHECK_EQ(weft_run(NULL, traced, "on a fiber"), WEFT_OK);
}

static struct {
    int entered, left, failed;
    char names[200];
} seen;

static void watch_enter(weft__eff_watch *w, const weft_eff_node *n) {
    (void)w;
    seen.entered++;
    strcat(seen.names, n->site->name);
    strcat(seen.names, " ");
}
static void watch_leave(weft__eff_watch *w, const weft_eff_node *n, weft_exit e) {
    (void)w;
    (void)n;
    seen.left++;
    if (!weft_ok(e)) seen.failed++;
}

TEST(a_watched_run_enters_and_leaves_each_node_maps_one_by_one) {
    weft__eff_watch w = {watch_enter, watch_leave};
    weft_eff_options o = {.watch = &w, .direct = true};
    weft_eff_arena a = {0};
    eff_long e = weft_eff_keep(eff_long, &a, SUCCEED(3));
    for (int i = 0; i < 20; i++) e = weft_eff_keep(eff_long, &a, weft_eff_map(eff_long, e, twice));
    long n = 0;
    CHECK_OK(weft_run_effect_with(weft_eff_flat_map(eff_long, e, next_even), &n, &o));
    CHECK_EQ(n, 3 << 20);
    CHECK_EQ(seen.entered, 23);
    CHECK_EQ(seen.left, 23);
    memset(&seen, 0, sizeof seen);
    eff_long f = weft_eff_catch_all(eff_long, weft_eff_map(eff_long, weft_eff_map(eff_long, SUCCEED(3), even), twice), code_of);
    CHECK_OK(weft_run_effect_with(f, &n, &o));
    CHECK_EQ(n, 300);
    CHECK(strcmp(seen.names, "code_of twice even succeed succeed ") == 0);
    CHECK_EQ(seen.failed, 2);
    CHECK_EQ(seen.left, 5);
    weft_eff_arena_close(&a);
}

TEST(the_children_of_a_node_are_known) {
    eff_long x = SUCCEED(1), y = SUCCEED(2);
    eff_ref c[4] = {0};
    eff_long r = weft_eff_race(eff_long, x, y, x);
    CHECK_EQ(weft__eff_children(eff_node(r.ref), c, 4), 3);
    CHECK(c[0] == x.ref && c[1] == y.ref && c[2] == x.ref);
    CHECK_EQ(weft__eff_children(eff_node(r.ref), c, 1), 3);
    eff_long m = weft_eff_map(eff_long, x, twice), mm = weft_eff_map(eff_long, m, twice);
    CHECK_EQ(weft__eff_children(eff_node(mm.ref), c, 4), 1);
    CHECK(c[0] == m.ref); /* though both are one step */
    CHECK_EQ(weft__eff_children(eff_node(x.ref), c, 4), 0);
    eff_long e = weft_eff_ensuring(eff_long, x, y);
    CHECK_EQ(weft__eff_children(eff_node(e.ref), c, 4), 2);
    CHECK(strcmp(weft__eff_kind_name(eff_node(e.ref)->kind), "ensuring") == 0);
    CHECK(strcmp(weft__eff_kind_name(WEFT__EFF_NOW), "now") == 0);
}

TEST(what_is_given_now_is_not_a_part_of_another_effect) {
    weft_eff_arena a = {0};
    eff_long e = weft_eff_now(eff_long, &a, 5); /* outside of a run it is kept */
    HERE(e, 5);
    weft_eff_arena_close(&a);
}

static eff_long wraps(weft_eff_arena *a, long n);
WEFT_EFF_NEXT(wraps, eff_long, long);
static eff_long wraps(weft_eff_arena *a, long n) {
    return weft_eff_keep(eff_long, a, weft_eff_map(eff_long, weft_eff_now(eff_long, a, n), twice));
}
TEST(what_is_given_now_and_wrapped_is_a_defect) {
    ENDS(weft_eff_flat_map(eff_long, SUCCEED(1), wraps), WEFT_EXIT_DIE, WEFT_E_STALE);
}

TEST_MAIN
