/* bench/suite/scopes.c -- scope/empty, scope/one_child, timeout/not_fired: scopes to which nothing happens.
 *
 * The baseline calls the function that is the child, or the body.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <weft/scope.h>

#include "workload.h"

enum { SCOPES = 1000000 };

static int64_t run_empty(void *data, int64_t n) {
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i < n; i++) {
        weft_exit e;
        WEFT_SCOPE(s, &e) sum += i;
        must(e);
    }
    return sum;
}

/* A child's result is dropped, so it adds its number here. */
static int64_t noted;

static int note(long n);
WEFT_TASK(note, int, long);

__attribute__((noinline)) static int note(long n) {
    noted += n;
    return 0;
}

static int64_t run_one_child(void *data, int64_t n) {
    (void)data;
    noted = 0;
    for (int64_t i = 0; i < n; i++) {
        weft_exit e;
        WEFT_SCOPE(s, &e) must(weft_start(s, note, i));
        must(e);
    }
    return noted;
}

__attribute__((noinline)) static weft_exit body(void *arg) {
    noted += *(int64_t *)arg;
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}

static int64_t run_timeout(void *data, int64_t n) {
    (void)data;
    noted = 0;
    for (int64_t i = 0; i < n; i++) must(weft_timeout(weft_s(1), body, &i));
    return noted;
}

static int64_t answer_sum(int64_t n) {
    return n * (n - 1) / 2;
}
static int64_t ops_all(int64_t n) {
    return n;
}

#define SCOPES_OF(text, of, fn)                                                               \
    {                                                                                         \
        .name = text, .op = of, .serial = seq_serial_run, .weft = fn, .one = SCOPES,          \
        .many = SCOPES, .answer = answer_sum, .ops = ops_all                                  \
    }
const workload scope_empty = SCOPES_OF("scope/empty", "scope", run_empty);
const workload scope_one_child = SCOPES_OF("scope/one_child", "scope", run_one_child);
const workload timeout_not_fired = SCOPES_OF("timeout/not_fired", "call", run_timeout);
