/* unit/scope_children.h -- the children that the tests of scopes start, and what they count.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_TESTS_SCOPE_CHILDREN_H
#define WEFT_TESTS_SCOPE_CHILDREN_H

#include "support/runs.h"
#include <pthread.h>
#include <stdatomic.h>
#include <weft/promise.h>
#include <weft/scope.h>

static const weft_exit fine = {WEFT_EXIT_OK, 0, NULL};

static _Atomic int begun, ended, stopped; /* of the children below */

static inline void none_yet(void) {
    atomic_store(&begun, 0);
    atomic_store(&ended, 0);
    atomic_store(&stopped, 0);
}

/* Sleeps; says whether it was stopped. */
static int sleeper(weft_duration d);
WEFT_TASK(sleeper, int, weft_duration);
static inline int sleeper(weft_duration d) {
    atomic_fetch_add(&begun, 1);
    if (!weft_ok(weft_sleep(d))) atomic_fetch_add(&stopped, 1);
    atomic_fetch_add(&ended, 1);
    return 7;
}

/* Computes and ends. */
static int counter(int by);
WEFT_TASK(counter, int, int);
static inline int counter(int by) {
    atomic_fetch_add(&ended, by);
    return by;
}

/* Fails after a time. */
typedef struct failing {
    weft_duration after;
    int code;
} failing;
static int failer(failing what);
WEFT_TASK(failer, int, failing);
static inline int failer(failing what) {
    atomic_fetch_add(&begun, 1);
    if (what.after && !weft_ok(weft_sleep(what.after))) {
        atomic_fetch_add(&stopped, 1);
        return 0;
    }
    weft_failf(what.code, "failure number %d", what.code);
    return 0;
}

/* Needs a time to clean up once it is stopped; may fail meanwhile. */
static int slow_to_stop(failing cleanup);
WEFT_TASK(slow_to_stop, int, failing);
static inline int slow_to_stop(failing cleanup) {
    atomic_fetch_add(&begun, 1);
    weft_exit e = weft_sleep(weft_s(1000));
    CHECK_EQ(e.code, WEFT_E_INTERRUPTED);
    atomic_fetch_add(&stopped, 1);
    WEFT_SCOPE(s, NULL, .shield = true) CHECK(weft_ok(weft_sleep(cleanup.after)));
    atomic_fetch_add(&ended, 1);
    if (cleanup.code) weft_failf(cleanup.code, "while cleaning up");
    return 0;
}

static inline void spawn_sleeper(weft_duration d) { CHECK(weft_ok(weft_spawn((sleeper_fiber *)NULL, sleeper, d))); }
static inline void spawn_failer(weft_duration after, int code) {
    CHECK(weft_ok(weft_spawn((failer_fiber *)NULL, failer, after, code)));
}

static inline int leaves_with_code(const weft_cause *c, int code) {
    if (!c) return 0;
    if (c->kind <= WEFT_CAUSE_INTERRUPT) return c->code == code;
    return leaves_with_code(c->first, code) + (c->second ? leaves_with_code(c->second, code) : 0);
}

/* Bodies of timeouts and finalizers. */
static inline weft_exit computes(void *arg) { return (void)arg, fine; }
static inline weft_exit fails_itself(void *arg) {
    (void)arg;
    failer_fiber f;
    weft_exit e = weft_spawn_with(&f, failer, {.detached = true}, .code = 320);
    CHECK(weft_ok(e));
    e = weft_await(f, failer, NULL);
    weft_drop(f);
    return e;
}

#endif
