/* Scopes: finalizers, what is acquired, the arena, what plain threads may do.
 *
 * Time is virtual (it stands still while anything can run), so each time below is exact on any number of workers.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/scope_children.h"

/* ---- finalizers ----------------------------------------------------------------------------------------- */

static char order[64];
static int order_n;
static weft_exit notes(void *arg) {
    order[order_n++] = *(const char *)arg;
    order[order_n] = 0;
    return fine;
}
static weft_exit notes_late(void *arg) {
    CHECK(weft_ok(weft_sleep(weft_s(2)))); /* shielded */
    return notes(arg);
}
static weft_exit notes_and_fails(void *arg) {
    notes(arg);
    return (weft_exit){WEFT_EXIT_FAIL, 300 + *(const char *)arg, NULL};
}
static void fresh_order(void) { order_n = order[0] = 0; }

static void reverse(void *arg) {
    (void)arg;
    weft_exit e;
    fresh_order();
    none_yet();
    WEFT_SCOPE(s, &e) {
        CHECK_EQ(weft_defer(s, notes, "a", 0), WEFT_OK);
        CHECK_EQ(weft_defer(s, notes_late, "b", 0), WEFT_OK);
        CHECK_EQ(weft_defer(s, notes, "c", 0), WEFT_OK);
        spawn_sleeper(weft_s(1));
    }
    CHECK(weft_ok(e));
    CHECK(!strcmp(order, "cba"));
    CHECK_EQ(weft_now(), weft_s(3)); /* after the children */
    fresh_order();
    WEFT_SCOPE(s, &e) {
        weft_defer(s, notes, "a", 0);
        weft_defer(s, notes_late, "b", 0);
        spawn_sleeper(weft_s(100));
        break;
    }
    CHECK(!strcmp(order, "ba"));
    CHECK_EQ(weft_now(), weft_s(5));
}
TEST(finalizers_run_last_first_after_the_children_and_may_wait) { on_clock(WEFT_CLOCK_AUTO, reverse); }

static void errors_collected(void *arg) {
    (void)arg;
    weft_exit e;
    fresh_order();
    WEFT_SCOPE(s, &e) {
        weft_defer(s, notes_and_fails, "a", 0);
        weft_defer(s, notes, "b", 0);
        weft_defer(s, notes_and_fails, "c", 0);
    }
    CHECK(!strcmp(order, "cba"));
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, 300 + 'c');
    CHECK(e.cause->kind == WEFT_CAUSE_THEN);
    CHECK_EQ(leaves_with_code(e.cause, 300 + 'a'), 1);
    WEFT_SCOPE(s, &e) {
        weft_defer(s, notes_and_fails, "a", 0);
        weft_start(s, failer, .code = 300);
    }
    CHECK_EQ(e.code, 300); /* the first error stays the first */
    CHECK_EQ(leaves_with_code(e.cause, 300 + 'a'), 1);
    CHECK(weft_cause_has(e.cause, WEFT_CAUSE_THEN));
}
TEST(all_finalizers_run_and_their_errors_are_attached) { on_clock(WEFT_CLOCK_AUTO, errors_collected); }

static weft_exit fails_with_text(void *arg) { return weft_failf(330, "resource %d", *(int *)arg); }
static weft_exit only_says_so(void *arg) {
    weft_failf(331, "resource %d", *(int *)arg);
    return fine;
}
static weft_exit awaits_failure(void *arg) { return fails_itself(arg); }
static int finalizer_texts(int n);
WEFT_TASK(finalizer_texts, int, int);
static int finalizer_texts(int n) {
    weft_exit e;
    char text[300];
    WEFT_SCOPE(s, &e) weft_defer(s, fails_with_text, &n, 0);
    CHECK_EQ(e.code, 330);
    CHECK(strstr(weft_exit_format(e, text, sizeof text), "resource 9"));
    WEFT_SCOPE(s, &e) weft_defer(s, only_says_so, &n, 0);
    CHECK_EQ(e.code, 331);
    CHECK(strstr(weft_exit_format(e, text, sizeof text), "resource 9"));
    WEFT_SCOPE(s, &e) weft_defer(s, awaits_failure, NULL, 0);
    CHECK_EQ(e.code, 320);
    CHECK(strstr(weft_exit_format(e, text, sizeof text), "failure number 320"));
    return 0;
}
static void finalizer_texts_body(void *arg) {
    (void)arg;
    finalizer_texts_fiber f;
    CHECK(weft_ok(weft_spawn(&f, finalizer_texts, 9)));
    CHECK(weft_ok(weft_await(f, finalizer_texts, NULL))); /* failures of finalizers are the scope's */
    weft_drop(f);
}
TEST(a_finalizers_error_keeps_its_text) { on_clock(WEFT_CLOCK_AUTO, finalizer_texts_body); }

static weft_exit too_slow(void *arg) {
    notes(arg);
    weft_exit e = weft_sleep(weft_s(100));
    CHECK_EQ(e.code, WEFT_E_INTERRUPTED);
    return fine;
}
static void budgets(void *arg) {
    (void)arg;
    weft_exit e;
    fresh_order();
    WEFT_SCOPE(s, &e) {
        weft_defer(s, notes_late, "a", weft_s(3));
        weft_defer(s, too_slow, "b", weft_s(1));
        weft_defer(s, too_slow, "c", weft_s(2));
    }
    CHECK(!strcmp(order, "cba"));
    CHECK_EQ(weft_now(), weft_s(5));
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK(e.cause->kind == WEFT_CAUSE_THEN);
    CHECK_EQ(pending(), 0);
    WEFT_SCOPE(s, NULL) CHECK_EQ(weft_defer(s, notes, "x", -1), WEFT_E_INVALID);
    CHECK(!strcmp(order, "cba"));
}
TEST(each_finalizer_has_a_time_of_its_own) { on_clock(WEFT_CLOCK_AUTO, budgets); }

static int finalized(int n);
WEFT_TASK(finalized, int, int);
static int finalized(int n) {
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        weft_defer(s, notes_late, "a", 0);
        weft_defer(s, notes_late, "b", 0);
        weft_sleep(weft_s(100));
    }
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    return n;
}
static void finalizers_when_interrupted(void *arg) {
    (void)arg;
    finalized_fiber f;
    fresh_order();
    CHECK(weft_ok(weft_spawn(&f, finalized, 1)));
    weft_sleep(weft_s(1));
    CHECK(weft_ok(weft_interrupt(f, "stop"))); /* waits for them */
    CHECK(!strcmp(order, "ba"));
    CHECK_EQ(weft_now(), weft_s(5));
    weft_drop(f);
}
TEST(finalizers_of_an_interrupted_fiber_are_shielded_and_awaited) {
    often(WEFT_CLOCK_AUTO, finalizers_when_interrupted, 50);
}

static weft_exit has_children(void *arg) {
    weft_exit e;
    spawn_sleeper(weft_s(2)); /* belongs to the finalizer */
    WEFT_SCOPE(s, &e) {
        weft_start(s, sleeper, weft_s(3));
        spawn_sleeper(weft_s(1));
    }
    CHECK(weft_ok(e));
    return notes(arg);
}
static weft_exit has_failing_child(void *arg) {
    spawn_failer(weft_s(1), 340);
    return notes(arg);
}
static void finalizer_children(void *arg) {
    (void)arg;
    weft_exit e;
    fresh_order();
    none_yet();
    WEFT_SCOPE(s, &e) weft_defer(s, has_children, "a", 0);
    CHECK(weft_ok(e));
    CHECK_EQ(ended, 3);
    CHECK_EQ(stopped, 0);
    CHECK_EQ(weft_now(), weft_s(3));
    WEFT_SCOPE(s, &e) weft_defer(s, has_children, "b", weft_s(1)); /* its children are stopped with it */
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(weft_now(), weft_s(4));
    CHECK_EQ(ended, 6);
    WEFT_SCOPE(s, &e) weft_defer(s, has_failing_child, "c", 0);
    CHECK_EQ(e.code, 340);
}
static weft_exit has_children_in_time(void *arg) {
    spawn_sleeper(weft_s(2));
    weft_exit e;
    WEFT_SCOPE(s, &e) weft_start(s, sleeper, weft_s(3));
    return (void)arg, e;
}
static void finalizer_children_in_time(void *arg) {
    (void)arg;
    weft_exit e;
    none_yet();
    WEFT_SCOPE(s, &e) weft_defer(s, has_children_in_time, NULL, weft_s(1));
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
    CHECK_EQ(weft_now(), weft_s(1));
    CHECK_EQ(stopped, 2);
}
TEST(children_of_a_finalizer_belong_to_it_and_its_budget) {
    (void)finalizer_children;
    on_clock(WEFT_CLOCK_AUTO, finalizer_children_in_time);
}

static weft_exit defers_more(void *arg) {
    weft_scope *s = arg;
    CHECK_EQ(weft_defer(s, notes, "x", 0), WEFT_OK);
    notes("y");
    weft_exit e = weft_start(s, counter, 1);
    CHECK_EQ(e.code, WEFT_E_ENDED);
    counter_fiber f;
    e = weft_spawn_with(&f, counter, {.scope = s}, 1);
    CHECK_EQ(e.code, WEFT_E_ENDED);
    CHECK_EQ(weft_drop(f), WEFT_E_STALE);
    return fine;
}
static void late_defer(void *arg) {
    (void)arg;
    weft_exit e;
    fresh_order();
    none_yet();
    WEFT_SCOPE(s, &e) {
        weft_defer(s, notes, "a", 0);
        weft_defer(s, defers_more, s, 0);
        weft_start(s, counter, 1);
    }
    CHECK(weft_ok(e));
    CHECK(!strcmp(order, "xya"));
    CHECK_EQ(ended, 1);
}
TEST(a_closed_scope_takes_no_children_and_runs_what_is_deferred_at_once) { on_clock(WEFT_CLOCK_AUTO, late_defer); }

/* Children add to their scope while others do. */
enum { DEFERS = 2000 };
static _Atomic int finalizers_run;
static weft_exit counts(void *arg) {
    (void)arg;
    atomic_fetch_add(&finalizers_run, 1);
    return fine;
}
static int defers_many(weft_scope *s);
WEFT_TASK(defers_many, int, weft_scope *);
static int defers_many(weft_scope *s) {
    for (int i = 0; i < DEFERS; i++) CHECK_EQ(weft_defer(s, counts, NULL, 0), WEFT_OK);
    return 0;
}
static void concurrent_defers(void *arg) {
    (void)arg;
    finalizers_run = 0;
    WEFT_SCOPE(s, NULL)
        for (int i = 0; i < 4; i++) CHECK(weft_ok(weft_spawn((defers_many_fiber *)NULL, defers_many, s)));
    CHECK_EQ(finalizers_run, 4 * DEFERS);
}
TEST(children_may_defer_at_the_same_time) { often(WEFT_CLOCK_AUTO, concurrent_defers, 20); }

/* ---- acquiring ------------------------------------------------------------------------------------------ */

static _Atomic int acquired, released;
static weft_exit acquire_slowly(void *arg, void **resource) {
    weft_exit e = weft_sleep(weft_s(2));
    CHECK(weft_ok(e)); /* masked */
    *resource = arg;
    atomic_fetch_add(&acquired, 1);
    return fine;
}
static weft_exit acquire_fails(void *arg, void **resource) {
    (void)arg, (void)resource;
    return (weft_exit){WEFT_EXIT_FAIL, 350, NULL};
}
static weft_exit acquire_awaits(void *arg, void **resource) {
    (void)resource;
    return fails_itself(arg);
}
static weft_exit release(void *resource) {
    CHECK(resource == &acquired);
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    atomic_fetch_add(&released, 1);
    return fine;
}
static int acquirer(int n);
WEFT_TASK(acquirer, int, int);
static int acquirer(int n) {
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        void *r = NULL;
        weft_exit got = weft_acquire(s, acquire_slowly, &acquired, release, 0, &r);
        CHECK(weft_ok(got));
        CHECK(r == &acquired);
        CHECK_EQ(weft_sleep(weft_s(10)).tag, WEFT_EXIT_INTERRUPT);
    }
    return n;
}
static void acquires(void *arg) {
    (void)arg;
    acquirer_fiber f;
    acquired = released = 0;
    CHECK(weft_ok(weft_spawn(&f, acquirer, 1)));
    weft_sleep(weft_s(1));
    CHECK(weft_ok(weft_interrupt(f, "while it acquires")));
    CHECK_EQ(acquired, 1);
    CHECK_EQ(released, 1);
    CHECK_EQ(weft_now(), weft_s(3));
    weft_drop(f);
    weft_exit e, got;
    WEFT_SCOPE(s, &e) {
        void *r = NULL;
        got = weft_acquire(s, acquire_fails, NULL, release, 0, &r);
        CHECK_EQ(got.code, 350);
        CHECK_EQ(weft_acquire(s, NULL, NULL, release, 0, &r).code, WEFT_E_INVALID);
        CHECK_EQ(weft_acquire(s, acquire_slowly, NULL, NULL, 0, &r).code, WEFT_E_INVALID);
    }
    CHECK(weft_ok(e));
    CHECK_EQ(released, 1); /* what was not acquired is not released */
}
TEST(acquiring_and_registering_the_release_are_one) { often(WEFT_CLOCK_AUTO, acquires, 50); }

static int acquire_with_cause(int n);
WEFT_TASK(acquire_with_cause, int, int);
static int acquire_with_cause(int n) {
    char text[300];
    WEFT_SCOPE(s, NULL) {
        void *r;
        weft_exit e = weft_acquire(s, acquire_awaits, NULL, release, 0, &r);
        CHECK_EQ(e.code, 320);
        CHECK(strstr(weft_exit_format(e, text, sizeof text), "failure number 320"));
    }
    return n;
}
static void acquire_with_cause_body(void *arg) {
    (void)arg;
    acquire_with_cause(1);
    acquire_with_cause_fiber f;
    CHECK(weft_ok(weft_spawn(&f, acquire_with_cause, 9)));
    CHECK(weft_ok(weft_await(f, acquire_with_cause, NULL)));
    weft_drop(f);
}
TEST(what_was_received_while_acquiring_lives_as_long_as_the_scope) { on_clock(WEFT_CLOCK_AUTO, acquire_with_cause_body); }

/* ---- the arena ------------------------------------------------------------------------------------------ */

static void arena(void *arg) {
    (void)arg;
    uint64_t live = weft__heap_live();
    WEFT_SCOPE(s, NULL) {
        char *all[500];
        for (size_t i = 0; i < 500; i++) {
            all[i] = weft_alloc(s, i * 7 + 1);
            CHECK(all[i] && (uintptr_t)all[i] % 16 == 0);
            memset(all[i], (int)i, i * 7 + 1);
        }
        for (size_t i = 0; i < 500; i++)
            for (size_t j = 0; j < i * 7 + 1; j += 11) CHECK(all[i][j] == (char)i);
        char *large = weft_alloc(s, (size_t)8 << 20);
        CHECK(large && (uintptr_t)large % 16 == 0);
        memset(large, 1, (size_t)8 << 20);
        CHECK(weft_alloc(s, SIZE_MAX) == NULL);
        CHECK(weft_alloc(s, SIZE_MAX - 20) == NULL);
        CHECK(weft_alloc(s, SIZE_MAX / 2 + 1) == NULL);
        CHECK(weft_alloc(s, 0) != NULL);
        CHECK(weft__heap_live() > live);
    }
    CHECK_EQ(weft__heap_live(), live);
    WEFT_SCOPE(s, NULL) {
        CHECK(weft_alloc(s, 100000) != NULL);
        break;
    }
    CHECK_EQ(weft__heap_live(), live);
}
TEST(what_is_allocated_in_a_scope_is_aligned_and_freed_at_its_end) { run_ends(&WEFT_OPTIONS(.workers = 1), arena, NULL, WEFT_OK); }

/* ---- plain threads -------------------------------------------------------------------------------------- */

static weft_exit thread_fn(weft_scope *s, void *arg) {
    weft_defer(s, notes, "b", 0);
    return *(weft_exit *)arg;
}
TEST(on_a_plain_thread_finalizers_and_arena_work) {
    weft_exit e = {WEFT_EXIT_DIE, 1, NULL};
    uint64_t live = weft__heap_live();
    fresh_order();
    WEFT_SCOPE(s, &e) {
        CHECK(weft_alloc(s, 5000) != NULL);
        CHECK_EQ(weft_defer(s, notes, "a", 0), WEFT_OK);
        weft_scope_cancel(s, "nothing is cancelled");
        CHECK(weft_ok(weft_checkpoint()));
        void *r;
        CHECK_EQ(weft_acquire(s, acquire_fails, NULL, release, 0, &r).code, 350);
    }
    CHECK(weft_ok(e));
    weft_exit ok = fine;
    CHECK(weft_ok(weft_scope_run(NULL, thread_fn, &ok)));
    for (int i = 0; i < 1; i++) WEFT_SCOPE(s, &e, .shield = true) {
        weft_defer(s, notes_and_fails, "c", 0);
        break;
    }
    CHECK_EQ(e.code, 300 + 'c');
    CHECK(!strcmp(order, "abc"));
    CHECK_EQ(weft__heap_live(), live);
    CHECK(weft_ok(weft_timeout(weft_s(1), computes, NULL)));
    CHECK_EQ(weft_timeout(-1, computes, NULL).code, WEFT_E_INVALID);
}
TEST(on_a_plain_thread_a_failing_function_fails_its_scope) {
    static weft_exit bad = {WEFT_EXIT_FAIL, 380, NULL};
    fresh_order();
    weft_exit e = weft_scope_run(NULL, thread_fn, &bad);
    CHECK_EQ(e.code, 380);
    CHECK(!strcmp(order, "b"));
}
TEST(on_a_plain_thread_children_run_where_they_are_started) {
    weft_exit e;
    none_yet();
    WEFT_SCOPE(s, &e) {
        CHECK(weft_ok(weft_start(s, counter, 1)));
        CHECK(weft_ok(weft_start(s, counter, 2)));
        CHECK_EQ(ended, 3);
    }
    CHECK(weft_ok(e));
}

static weft_exit counts_late(void *arg) {
    ++*(int *)arg;
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}
static void used_after_end(void *arg) {
    (void)arg;
    for (int touched = 0; touched < 2; touched++) {
        weft_exit e;
        weft_scope *old = NULL;
        int late = 0;
        weft_scope_options o = {.name = touched ? "touched" : NULL};
        weft_scope s;
        CHECK(weft__scope_enter(&s, &e, o) == &s); /* the statement form's memory would be gone */
        old = &s;
        weft__scope_end(&s);
        CHECK_EQ(weft_start(old, sleeper, weft_s(1)).code, WEFT_E_ENDED);
        CHECK_EQ(weft_defer(old, counts_late, &late, 0), WEFT_OK);
        CHECK_EQ(late, 1);
        void *nothing_got = NULL;
        CHECK_EQ(weft_acquire(old, NULL, NULL, counts_late, 0, &nothing_got).code, WEFT_E_INVALID);
        weft_scope_cancel(old, "too late");
        CHECK(weft_ok(weft_checkpoint()));
    }
}
TEST(a_scope_that_is_over_starts_nothing_and_runs_what_is_deferred_at_once) { on_clock(WEFT_CLOCK_AUTO, used_after_end); }

TEST_MAIN
