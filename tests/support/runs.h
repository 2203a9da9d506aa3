/* tests/support/runs.h -- a body on one worker, on two, and on the deterministic executor under a few schedules, and nothing
 * left behind.
 *
 *   TEST(a_sleeper_sleeps) { on_clock(WEFT_CLOCK_AUTO, body); }
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_TESTS_RUNS_H
#define WEFT_TESTS_RUNS_H

#include "alloc/heap.h"
#include "sched/clock.h"
#include "sched/det.h"
#include "sched/thread.h"
#include "test.h"
#include <stdlib.h>
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

/* How many schedules of each kind are tried; WEFT_SEEDS=n in the environment for more. */
static unsigned seeds(void) {
    const char *n = getenv("WEFT_SEEDS");
#ifdef WEFT_TEST_EMULATED
    return n ? (unsigned)atoi(n) : 1;
#else
    return n ? (unsigned)atoi(n) : 4;
#endif
}

/* On the deterministic executor.  Who fails has said which seed: WEFT_SEEDS_FROM=n begins there, WEFT_SEARCH=pct is that kind
 * alone. */
static void searched(weft_clock clock, void (*body)(void *), unsigned seed, weft_explore how) {
    static const char *const names[] = {"default", "fifo", "random", "pct"};
    const char *from = getenv("WEFT_SEEDS_FROM"), *only = getenv("WEFT_SEARCH");
    if ((from && seed < (unsigned)atoi(from)) || (only && strcmp(only, names[how]))) return;
    test_note("executor: deterministic, %s, seed %u", names[how], seed);
    run_ends(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, .seed = seed, .explore = how, .clock = clock), body, NULL, WEFT_OK);
    test_note(NULL);
}

/* May something that was made ready run before the running fiber waits?  Only with other workers, or in a search. */
__attribute__((unused)) static bool others_run_ahead(void) {
    runtime *rt = thread_fiber()->w->rt;
    return rt->n_workers > 1 || (rt->det && explore_asks(&rt->det->explorer));
}

__attribute__((unused)) static void on_clock(weft_clock clock, void (*body)(void *)) {
    for (unsigned workers = 1; workers <= 2; workers++)
        run_ends(&WEFT_OPTIONS(.workers = workers, .clock = clock), body, NULL, WEFT_OK);
    for (unsigned seed = 0; seed < (clock == WEFT_CLOCK_REAL ? 1 : seeds()); seed++)
        for (weft_explore how = WEFT_EXPLORE_FIFO; how <= WEFT_EXPLORE_PCT; how++) searched(clock, body, seed, how);
}

/* Armed on the caller's clock.  FAILS: weft_clock_pending(NULL) is declared in weft/time.h, and defined nowhere. */
__attribute__((unused)) static size_t pending(void) { return weft__clock_armed(thread_fiber()->w->rt); }

/* Many times, where two workers may meet in more than one way. */
__attribute__((unused)) static void often(weft_clock clock, void (*body)(void *), int times) {
    on_clock(clock, body);
    for (int i = 0; i < times; i++) run_ends(&WEFT_OPTIONS(.workers = 2, .clock = clock), body, NULL, WEFT_OK);
}

#endif
