/* Scenarios: sleeping, promises, blocking calls, fiber-locals, dumps.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fault/driver.h"

/* ---- time --------------------------------------------------------------------------------------------- */

static int wakes_at(int ms);
WEFT_TASK(wakes_at, int, int);
static int wakes_at(int ms) {
    weft_time at = weft_now() + weft_ms(ms);
    if (FINE(ms & 1 ? weft_sleep_until(at) : weft_sleep(weft_ms(ms)))) CHECK(weft_now() >= at);
    return ms;
}
static void sleepers(void) {
    enum { N = 8 };
    wakes_at_fiber f[N];
    for (int i = 0; i < N; i++) FINE(weft_spawn(&f[i], wakes_at, (i * 5) % N));
    FINE(weft_sleep(0));
    FINE(weft_sleep_until(weft_now()));
    CHECK(weft_clock_pending(NULL) <= N);
    FAILS(weft_sleep(-1), WEFT_E_INVALID);
    FAILS(weft_wall_wait_until(weft_wall_now()), WEFT_E_MODE);
    FAILS(weft_clock_advance(NULL, 1), WEFT_E_MODE);
    for (int i = 0; i < N; i++) {
        if (!f[i].handle.fiber) continue;
        FINE(UNTIL_ENDED(f[i], wakes_at, NULL));
        CHECK_EQ(weft_drop(f[i]), WEFT_OK);
    }
}

/* ---- promises ----------------------------------------------------------------------------------------- */

typedef struct order {
    weft_promise *p;
    int how;
} order;
static int waits(order o);
WEFT_TASK(waits, int, order);
static int waits(order o) {
    void *value = NULL;
    weft_exit e;
    switch (o.how) {
    case 0: e = weft_promise_await(o.p, &value); break;
    case 1: e = weft_promise_await_for(o.p, &value, weft_s(1)); break;
    case 2: e = weft_promise_await_until(o.p, &value, weft_now() + weft_s(1)); break;
    default: e = weft_promise_await_for(o.p, &value, weft_ms(1)); break;
    }
    if (o.how == 3 && e.code == WEFT_E_TIMEOUT) return 3;
    if (!weft_ok(e) && (e.code == 330 || e.code == WEFT_E_BROKEN)) return o.how;
    if (FINE(e)) CHECK(value == o.p);
    return o.how;
}

/* Completed, failed, or given up while some wait. */
static void promised(int end) {
    enum { N = 4 };
    weft_promise p = WEFT_PROMISE;
    waits_fiber f[N];
    if (end == 0) CHECK_EQ(weft_promise_external(&p, NULL), WEFT_OK);
    else weft_promise_init(&p);
    for (int i = 0; i < N; i++) FINE(weft_spawn(&f[i], waits, &p, i));
    if (end > 0) FINE(weft_sleep(weft_ms(2)));
    FINE(weft_yield());
    CHECK(!weft_promise_is_done(&p));
    CHECK_EQ(weft_promise_fail(&p, (weft_exit){WEFT_EXIT_OK, 0, NULL}), WEFT_E_INVALID);
    if (end < 2) CHECK_EQ(weft_promise_complete(&p, &p), WEFT_OK);
    if (end == 2) CHECK_EQ(weft_promise_fail(&p, (weft_exit){WEFT_EXIT_FAIL, 330, NULL}), WEFT_OK);
    if (end == 3) weft_promise_drop(&p);
    CHECK(weft_promise_is_done(&p));
    CHECK_EQ(weft_promise_complete(&p, NULL), WEFT_E_TWICE);
    for (int i = 0; i < N; i++) {
        if (!f[i].handle.fiber) continue;
        FINE(UNTIL_ENDED(f[i], waits, NULL));
        CHECK_EQ(weft_drop(f[i]), WEFT_OK);
    }
    if (end < 2) {
        void *value;
        if (FINE(weft_promise_await(&p, &value))) CHECK(value == &p);
    }
    if (end < 3) weft_promise_drop(&p);
}
static void promises(void) {
    for (int end = 0; end < 4; end++) promised(end);
}

/* Two hand each other a ball; each waits with a limit. */
typedef struct court {
    weft_promise ball[8];
} court;
typedef struct side {
    court *c;
    int first;
} side;
static int plays(side s);
WEFT_TASK(plays, int, side);
static int plays(side s) {
    for (int i = s.first; i < 8; i += 2) {
        if (i > 0) {
            weft_exit e = weft_promise_await_for(&s.c->ball[i - 1], NULL, weft_s(1));
            if (!weft_ok(e) && e.code != WEFT_E_TIMEOUT) FINE(e);
        }
        weft_promise_complete(&s.c->ball[i], s.c);
    }
    return 8;
}
static void ping_pong(void) {
    court c;
    plays_fiber f[2];
    for (int i = 0; i < 8; i++) weft_promise_init(&c.ball[i]);
    for (int i = 0; i < 2; i++) FINE(weft_spawn(&f[i], plays, &c, i));
    for (int i = 0; i < 2; i++) {
        if (!f[i].handle.fiber) continue;
        FINE(UNTIL_ENDED(f[i], plays, NULL));
        CHECK_EQ(weft_drop(f[i]), WEFT_OK);
    }
}

/* ---- blocking calls ----------------------------------------------------------------------------------- */

static void *blocks(void *arg, weft_offload_call *call) {
    (void)arg, (void)weft_offload_cancelled(call);
    return take();
}
static int offloads(int n);
WEFT_TASK(offloads, int, int);
static int offloads(int n) {
    void *got = NULL;
    if (FINE(weft_offload(blocks, NULL, n & 1 ? &got : NULL, give)) && n & 1) give(got);
    return n;
}
static void offloading(void) {
    enum { N = 4 };
    offloads_fiber f[N];
    for (int i = 0; i < N; i++) FINE(weft_spawn(&f[i], offloads, i));
    offloads(5);
    for (int i = 0; i < N; i++) {
        if (!f[i].handle.fiber) continue;
        FINE(UNTIL_ENDED(f[i], offloads, NULL));
        CHECK_EQ(weft_drop(f[i]), WEFT_OK);
    }
}

/* ---- locals ------------------------------------------------------------------------------------------- */

static void *copies(void *value) {
    (void)value;
    return take();
}
static int merges_done;
static void *merges(void *own, void *others) {
    merges_done++;
    if (others) give(others);
    return own ? own : take();
}
static const weft_local inherited = WEFT_LOCAL(.name = "inherited"),
                        own = WEFT_LOCAL(.name = "own", .policy = WEFT_LOCAL_OWN),
                        copied = WEFT_LOCAL(.name = "copied", .copy = copies, .drop = give),
                        merged = WEFT_LOCAL(.name = "merged", .copy = copies, .merge = merges, .drop = give);
static int local;

static int has_locals(int n);
WEFT_TASK(has_locals, int, int);
static int has_locals(int n) {
    CHECK(weft_local_get(&own) == NULL);
    CHECK(weft_local_get(&inherited) == NULL || weft_local_get(&inherited) == &local);
    if (FINE_ERR(weft_local_set(&own, &n))) CHECK(weft_local_get(&own) == &n);
    FINE(weft_yield());
    return n;
}
/* What is set is the setter's own; what copy and merge make is counted. */
static void locals(void) {
    has_locals_fiber f[3];
    CHECK_EQ(weft_local_set(NULL, NULL), WEFT_E_INVALID);
    FINE_ERR(weft_local_set(&inherited, &local));
    FINE_ERR(weft_local_set(&own, &local));
    FINE_ERR(weft_local_set(&copied, &local));
    merges_done = 0;
    bool is_set = FINE_ERR(weft_local_set(&merged, &even));
    if (is_set) take();
    for (int i = 0; i < 3; i++) FINE(weft_spawn(&f[i], has_locals, i));
    if (f[0].handle.fiber) {
        weft_err early = weft_local_join(f[0].handle);
        if (!weft_is_done(f[0])) CHECK_EQ(early, WEFT_E_BUSY);
    }
    for (int i = 0; i < 3; i++) {
        if (!f[i].handle.fiber) continue;
        FINE(UNTIL_ENDED(f[i], has_locals, NULL));
        FINE_ERR(weft_local_join(f[i].handle));
        CHECK_EQ(weft_drop(f[i]), WEFT_OK);
        CHECK_EQ(weft_local_join(f[i].handle), WEFT_E_STALE);
    }
    if (!is_set && !merges_done) return;
    bool made = merges_done; /* then the library owns it, else it is still this function's */
    CHECK(weft_local_get(&merged) == &even);
    CHECK_EQ(weft_local_set(&merged, NULL), WEFT_OK);
    if (!made) give(&even);
}

/* ---- dumps -------------------------------------------------------------------------------------------- */

static void dumps(void) {
    wakes_at_fiber f[3];
    static char text[1 << 16];
    FILE *out = fmemopen(text, sizeof text, "w");
    for (int i = 0; i < 3; i++) FINE(weft_spawn_with(&f[i], wakes_at, {.name = "sleeper"}, 10));
    FINE(weft_yield());
    FINE_ERR(weft_dump(out));
    FINE_ERR(weft_dump_runtime(out, NULL));
    CHECK_EQ(weft_dump(NULL), WEFT_E_INVALID);
    CHECK(fclose(out) == 0 && strlen(text) > 0);
    for (int i = 0; i < 3; i++) {
        if (!f[i].handle.fiber) continue;
        FINE(UNTIL_ENDED(f[i], wakes_at, NULL));
        CHECK_EQ(weft_drop(f[i]), WEFT_OK);
    }
}

/* It is kept when a fiber waits. */
static int keeps_errno(int n);
WEFT_TASK(keeps_errno, int, int);
static int keeps_errno(int n) {
    errno = n;
    FINE(weft_sleep(weft_ms(1)));
    CHECK_EQ(errno, n);
    return n;
}
static void errnos(void) {
    FINE(weft_spawn((keeps_errno_fiber *)NULL, keeps_errno, 1));
    keeps_errno(2);
}

const scenario wait_scenarios[] = {
    {"sleepers", sleepers, NULL},     {"promises", promises, NULL}, {"ping_pong", ping_pong, NULL},
    {"offloading", offloading, NULL}, {"locals", locals, NULL},     {"dumps", dumps, NULL},
    {"errnos", errnos, NULL},         {NULL, NULL, NULL},
};
