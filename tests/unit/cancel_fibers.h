/* unit/cancel_fibers.h -- the fibers that the tests of cancellation stop, and what they count.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_TESTS_CANCEL_FIBERS_H
#define WEFT_TESTS_CANCEL_FIBERS_H

#include "support/runs.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <weft/promise.h>
#include <weft/scope.h>

static const weft_exit fine = {WEFT_EXIT_OK, 0, NULL};

static inline bool interrupted(weft_exit e) { return e.tag == WEFT_EXIT_INTERRUPT && e.code == WEFT_E_INTERRUPTED; }

static _Atomic int begun, ended;
static inline void none_yet(void) { begun = ended = 0; }

static int sleeper(weft_duration d);
WEFT_TASK(sleeper, int, weft_duration);
static int sleeper(weft_duration d) {
    atomic_fetch_add(&begun, 1);
    weft_sleep(d);
    atomic_fetch_add(&ended, 1);
    return 7;
}

static int runner(int n);
WEFT_TASK(runner, int, int);
static int runner(int n) {
    atomic_fetch_add(&begun, 1);
    return n;
}

#endif
