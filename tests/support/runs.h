/* tests/support/runs.h -- a body on one worker and on two, and nothing left behind.
 *
 *   TEST(a_sleeper_sleeps) { on_clock(WEFT_CLOCK_AUTO, body); }
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_TESTS_RUNS_H
#define WEFT_TESTS_RUNS_H

#include "alloc/heap.h"
#include "sched/clock.h"
#include "sched/thread.h"
#include "test.h"
#include <weft/runtime.h>

/* The first run of a process may keep what later ones use again. */
__attribute__((unused)) static void nothing(void *arg) { (void)arg; }

/* A run with these options ends with `code`, and leaves no memory behind. */
__attribute__((unused)) static void run_ends(const weft_options *o, void (*body)(void *), void *arg, weft_err code) {
    static int warm;
    if (!warm++) CHECK_EQ(weft_run(NULL, nothing, NULL), WEFT_OK);
    uint64_t live = weft__heap_live();
    CHECK_EQ(weft_run(o, body, arg), code);
    CHECK_EQ(weft__heap_live(), live);
}

__attribute__((unused)) static void on_clock(weft_clock clock, void (*body)(void *)) {
    for (unsigned workers = 1; workers <= 2; workers++)
        run_ends(&WEFT_OPTIONS(.workers = workers, .clock = clock), body, NULL, WEFT_OK);
}

/* Armed on the caller's clock.  FAILS: weft_clock_pending(NULL) is declared in weft/time.h, and defined nowhere. */
__attribute__((unused)) static size_t pending(void) { return weft__clock_armed(thread_fiber()->w->rt); }

/* Many times, where two workers may meet in more than one way. */
__attribute__((unused)) static void often(weft_clock clock, void (*body)(void *), int times) {
    on_clock(clock, body);
    for (int i = 0; i < times; i++) run_ends(&WEFT_OPTIONS(.workers = 2, .clock = clock), body, NULL, WEFT_OK);
}

#endif
