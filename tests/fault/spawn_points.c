/* Scenarios: fork and join, spawning with every option, awaiting in every form, failing.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fault/driver.h"
#include "sched/thread.h"

/* ---- fork and join ------------------------------------------------------------------------------------ */

static long fib(long n);
WEFT_TASK(fib, long, long);
static long fib(long n) {
    if (n < 2) {
        if (n == 0) FINE(weft_yield());
        return n;
    }
    fib_task child;
    weft_fork(&child, fib, n - 2);
    long a = fib(n - 1);
    return a + weft_join(&child, fib);
}

static long kernel(weft_head k, long n);
WEFT_KERNEL(kernel, long, long);
static long kernel(weft_head k, long n) {
    if (n < 2) return n;
    kernel_task child;
    long a = kernel(weft_kernel_fork(k, &child, kernel, n - 2), n - 1);
    return a + weft_kernel_join(&child, kernel);
}

static void forks(void) {
    CHECK_EQ(fib(8), 21);
    CHECK_EQ(kernel(weft_kernel_head(), 8), 21);
    CHECK(weft_worker_index() >= 0);
}

/* More children than a ring has room for, all offered because their parent waits. */
static int leaf(int n);
WEFT_TASK(leaf, int, int);
static int leaf(int n) {
    if (n % 100 == 0) FINE(weft_sleep(weft_us(1)));
    return n;
}
static void many_children(void) {
    enum { N = 600 };
    static leaf_task child[N];
    long sum = 0;
    for (int i = 0; i < N; i++) weft_fork(&child[i], leaf, i);
    FINE(weft_sleep(weft_us(1)));
    for (int i = N - 1; i >= 0; i--) sum += weft_join(&child[i], leaf);
    CHECK_EQ(sum, N * (N - 1) / 2);
}

/* ---- options ------------------------------------------------------------------------------------------ */

static int turns(int n);
WEFT_TASK(turns, int, int);
static int turns(int n) {
    weft_started();
    void *p = take();
    for (int i = 0; i < 2; i++)
        if (!FINE(weft_yield())) break;
    give(p);
    return n;
}

/* Small enough for a tiny stack. */
static int tiny(int n);
WEFT_TASK(tiny, int, int);
static int tiny(int n) {
    (void)weft_yield();
    return n;
}

static int for_ever(int n);
WEFT_TASK(for_ever, int, int);
static int for_ever(int n) {
    (void)weft_sleep(WEFT_FOREVER);
    return n;
}

/* The handle, if there is one, is live, and answers. */
static void ask(turns_fiber f) {
    weft_handle h = f.handle;
    if (!h.fiber) {
        CHECK_EQ(weft_fiber_status(h), WEFT_STATUS_NONE);
        CHECK(weft_fiber_name(h) == NULL && weft_fiber_site(h) == NULL);
        CHECK_EQ(weft_fiber_drop(h), WEFT_E_STALE);
        return;
    }
    CHECK(weft_fiber_status(h) != WEFT_STATUS_NONE);
    CHECK(weft_fiber_name(h) != NULL);
    CHECK(strcmp(weft_fiber_site(h)->name, "turns") == 0);
}

static void options(void) {
    const weft_spawn_options each[] = {
        {.name = "named"}, {.stack_bytes = 256 << 10}, {.stack_bytes = 16 << 10}, {.bound = true}, {.detached = true},
        {.priority = WEFT_PRIORITY_HIGH}, {.priority = WEFT_PRIORITY_LOW}, {.ready = true}, {.name = "both", .ready = true},
    };
    enum { N = sizeof each / sizeof *each };
    turns_fiber f[N];
    for (int i = 0; i < N; i++) {
        FINE(weft_spawn_with(&f[i], turns, each[i], i));
        ask(f[i]);
    }
    for (int i = 0; i < N; i++) {
        int got = i;
        if (!f[i].handle.fiber) continue;
        if (FINE(UNTIL_ENDED(f[i], turns, &got))) CHECK_EQ(got, i);
        CHECK_EQ(weft_drop(f[i]), WEFT_OK);
        CHECK_EQ(weft_drop(f[i]), WEFT_E_STALE);
    }
}

static int roomy(int n);
WEFT_TASK(roomy, int, int);
static int roomy(int n) {
    CHECK(thread_fiber()->stk.cls != STACK_2K);
    FINE(weft_yield());
    return n;
}

/* What runs beside them does not run on them. */
static void tiny_stacks(void) {
    tiny_fiber f[3];
    enum { N = 12 };
    roomy_task forked[N];
    for (int i = 0; i < N; i++) {
        weft_fork(&forked[i], roomy, i);
        FINE(weft_spawn((roomy_fiber *)NULL, roomy, i));
        FINE(weft_spawn_with((tiny_fiber *)NULL, tiny, {.stack_bytes = WEFT_STACK_TINY}, i));
    }
    FINE(weft_sleep(weft_ms(1)));
    for (int i = N - 1; i >= 0; i--) (void)weft_join(&forked[i], roomy);
    for (int i = 0; i < 3; i++) FINE(weft_spawn_with(&f[i], tiny, {.stack_bytes = WEFT_STACK_TINY}, i));
    for (int i = 0; i < 3; i++) {
        int got = i;
        if (!f[i].handle.fiber) continue;
        if (FINE(UNTIL_ENDED(f[i], tiny, &got))) CHECK_EQ(got, i);
        CHECK_EQ(weft_drop(f[i]), WEFT_OK);
    }
}

static void daemons(void) {
    for_ever_fiber f;
    const weft_spawn_options o = {.daemon = true, .name = "daemon"};
    if (FINE(weft_spawn_with(&f, for_ever, o, 1))) CHECK_EQ(weft_drop(f), WEFT_OK);
    FINE(weft_spawn_with((for_ever_fiber *)NULL, for_ever, {.daemon = true}, 2));
    FINE(weft_spawn((turns_fiber *)NULL, turns, 3));
    FINE(weft_yield());
}

static void bad_options(void) {
    turns_fiber f;
    FAILS(weft_spawn_with(&f, turns, {.stack_bytes = 1}, 1), WEFT_E_INVALID);
    FAILS(weft_spawn_with(&f, turns, {.priority = 7}, 1), WEFT_E_INVALID);
}

/* ---- awaiting ----------------------------------------------------------------------------------------- */

static int naps(int ms);
WEFT_TASK(naps, int, int);
static int naps(int ms) { return FINE(weft_sleep(weft_ms(ms))) ? ms : -1; }

typedef struct wants {
    naps_fiber f;
    int how;
} wants;
static int awaits(wants w);
WEFT_TASK(awaits, int, wants);
static int awaits(wants w) {
    int got = 20;
    weft_exit e;
    switch (w.how) {
    case 0: e = weft_await(w.f, naps, &got); break;
    case 1: e = weft_await_for(w.f, naps, &got, weft_ms(5)); break;
    case 2: e = weft_await_until(w.f, naps, &got, weft_now() + weft_s(1)); break;
    case 3: e = weft_fiber_await(w.f.handle); break;
    case 4: e = weft_fiber_await_for(w.f.handle, weft_s(1)); break;
    default: e = weft_expect(w.f, naps, &got); break;
    }
    if (w.how == 1 && !weft_ok(e))
        FAILS(e, WEFT_E_TIMEOUT);
    else if (FINE(e))
        CHECK(got == 20 || got == -1); /* -1: that one was told to stop, and returned */
    return w.how;
}

static void awaiters(void) {
    enum { N = 6 };
    naps_fiber f;
    awaits_fiber a[N];
    if (!FINE(weft_spawn(&f, naps, 20))) return;
    for (int i = 0; i < N; i++) FINE(weft_spawn(&a[i], awaits, f, i));
    FAILS(weft_fiber_await(weft_self()), weft_self().fiber ? WEFT_E_INSIDE : WEFT_E_STALE);
    for (int i = 0; i < N; i++) {
        if (!a[i].handle.fiber) continue;
        FINE(UNTIL_ENDED(a[i], awaits, NULL));
        CHECK_EQ(weft_drop(a[i]), WEFT_OK);
    }
    FINE(UNTIL_ENDED(f, naps, NULL));
    CHECK_EQ(weft_drop(f), WEFT_OK);
    FAILS(weft_await(f, naps, NULL), WEFT_E_STALE);
}

/* Dropped and detached before, while and after they run. */
static void drops(void) {
    for (int i = 0; i < 6; i++) {
        turns_fiber f;
        if (!FINE(weft_spawn(&f, turns, i))) continue;
        for (int k = 0; k < i; k++) FINE(weft_yield());
        CHECK_EQ(i & 1 ? weft_detach(f) : weft_drop(f), WEFT_OK);
        CHECK_EQ(i & 1 ? weft_drop(f) : weft_detach(f), WEFT_E_STALE);
    }
}

/* A tree of waiting fibers, wider than a worker keeps carriers. */
static long tree(int depth);
WEFT_TASK(tree, long, int);
static long tree(int depth) {
    tree_fiber f[3];
    long sum = 0;
    if (depth == 0) {
        FINE(weft_sleep(weft_us(1)));
        return 1;
    }
    for (int i = 0; i < 3; i++)
        if (!FINE(weft_spawn(&f[i], tree, depth - 1))) sum += tree(depth - 1);
    for (int i = 0; i < 3; i++) {
        long got = 0;
        if (!f[i].handle.fiber) continue;
        FINE(UNTIL_ENDED(f[i], tree, &got));
        CHECK_EQ(weft_drop(f[i]), WEFT_OK);
        sum += got;
    }
    return sum;
}
static void trees(void) {
    long n = tree(3);
    if (!stopping()) CHECK_EQ(n, 27);
}

/* Started only to fail, or to be stopped, before it says that it has started. */
static int never_ready(int how);
WEFT_TASK(never_ready, int, int);
static int never_ready(int how) {
    FINE(weft_yield());
    if (how == 0) weft_failf(304, "not ready: %d", how);
    if (how == 1) weft_started();
    if (how == 1) weft_failf(304, "ready, then not: %d", how);
    FINE(weft_sleep(weft_ms(1)));
    return how;
}
static void unready(void) {
    for (int i = 0; i < 3; i++) {
        never_ready_fiber f;
        weft_exit e = weft_spawn_with(&f, never_ready, {.ready = true}, i);
        if (!weft_ok(e) && e.code != 304) FINE(e);
        if (i == 1 && e.code == 304) CHECK(refusing() || stopping());
        if (!f.handle.fiber) continue;
        e = UNTIL_ENDED(f, never_ready, NULL);
        if (!weft_ok(e) && e.code != 304) FINE(e);
        CHECK_EQ(weft_drop(f), WEFT_OK);
        if (FINE(weft_spawn_with((never_ready_fiber *)NULL, never_ready, {.ready = true}, 2))) {}
    }
}

/* ---- failing ------------------------------------------------------------------------------------------ */

static int failing(int how);
WEFT_TASK(failing, int, int);
static int failing(int how) {
    if (how == 0) weft_fail(300, "as told");
    if (how == 1) weft_die(301, "as told");
    if (how == 2) weft_failf(302, "as told: %d", how);
    if (how > 2) FINE(weft_yield());
    if (how > 2) weft_failf(300 + how, "late: %d", how);
    return how;
}

/* What failed says so; what could not even start does not. */
static void failures(void) {
    char text[512];
    for (int i = 0; i < 4; i++) {
        failing_fiber f;
        if (!FINE(weft_spawn(&f, failing, i))) continue;
        weft_exit e = UNTIL_ENDED(f, failing, NULL);
        CHECK(!weft_ok(e));
        if (e.code < 300 || e.code > 303) FINE(e);
        CHECK(weft_exit_format(e, text, sizeof text) == text && weft_exit_render(e, text, sizeof text) == text);
        if (e.tag == WEFT_EXIT_FAIL && e.cause) CHECK(weft_cause_has(e.cause, WEFT_CAUSE_FAIL));
        if (i & 1)
            weft_exit_drop(e);
        else
            weft_exit_keep(e);
        CHECK_EQ(weft_drop(f), WEFT_OK);
    }
}

const scenario spawn_scenarios[] = {
    {"forks", forks, NULL},       {"many_children", many_children, NULL}, {"options", options, NULL},   {"tiny_stacks", tiny_stacks, NULL},
    {"daemons", daemons, NULL},   {"bad_options", bad_options, NULL}, {"awaiters", awaiters, NULL},
    {"drops", drops, NULL},       {"trees", trees, NULL},       {"failures", failures, NULL}, {"unready", unready, NULL},
    {NULL, NULL, NULL},
};
