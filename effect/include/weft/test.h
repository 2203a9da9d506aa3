/* weft/test.h -- testing programs of fibers: one body, many schedules, and nothing left behind.
 *
 *   WEFT_TEST(t, .runs = 1000) {                     // 1000 runs, each with a schedule of its own
 *       int n = 0;                                    // what the body uses begins anew in each
 *       ...
 *       weft_check(t, n == 2);
 *   }
 *
 * The body runs on the deterministic executor (weft/runtime.h), on the caller's stack, as the main fiber of a runtime that is
 * opened and closed for each run.  A run fails by
 *
 *   a check that does not hold
 *   a fiber that has not ended when the body ends, or whose handle was not dropped
 *   a continuation that was kept, and that nobody used (weft/continuation.h)
 *   a failure that nobody looked at
 *   a deadlock
 *   time that never advanced: with a manual clock something still sleeps, and nobody is left to advance it
 *   a million turns of fibers without an end: they poll for what never comes
 *   memory of Weft's that was not given back: arenas, causes, locals, what was deferred
 *   with .isolate, its death by a signal
 *
 * The first run that fails ends the search.  Its schedule is minimised by running the body again with fewer and fewer
 * turns, as long as it fails in the same way, and the report says how to replay what is left:
 *
 *   test.c:12: 'counter' failed in run 3 (random, seed 3): check failed: n == 2 (test.c:20)
 *   replay: WEFT_TEST='counter' WEFT_REPLAY='4:1' and the program, also under a debugger
 *
 * The report goes to *.result if there is one; else it is written to standard error, and abort() is called.
 * In the environment: WEFT_REPLAY=schedule lets each test, or that which WEFT_TEST names, run once, by this schedule;
 * WEFT_SEED=n and WEFT_RUNS=n take the place of .seed and .runs.  Who replays a run that has drawn random numbers
 * (weft_test_random) needs its seed, too.
 *
 * Sources: Trio (MockClock, wait_all_tasks_blocked, Sequencer), Go (testing/synctest), Shuttle, CHESS.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_TEST_KIT_H
#define WEFT_TEST_KIT_H

#include <weft/promise.h>
#include <weft/runtime.h>
#include <weft/time.h>

WEFT_BEGIN_C

typedef enum weft_test_failure {
    WEFT_TEST_PASSED,
    WEFT_TEST_CHECK,      /* a check did not hold */
    WEFT_TEST_LEAK,       /* a fiber outlived the body, or its handle did; a continuation was kept for nothing */
    WEFT_TEST_UNOBSERVED, /* nobody looked at a failure */
    WEFT_TEST_DEADLOCK,
    WEFT_TEST_TIME,       /* somebody sleeps until a time to which the clock was never advanced */
    WEFT_TEST_MEMORY,
    WEFT_TEST_DIED,       /* .isolate: by a signal, or exit */
    WEFT_TEST_BROKEN,     /* a run could not be begun: no memory, options that fit nothing */
    WEFT_TEST_ENDLESS,    /* more than .turns, and no end */
} weft_test_failure;

enum { WEFT_TEST_REPORT = 4096, WEFT_TEST_SCHEDULE = 1024 };

typedef struct weft_test_result {
    weft_test_failure failure;
    unsigned runs;       /* of the search; those to minimise not counted */
    unsigned minimising; /* those */
    uint64_t seed;       /* of the run that failed */
    bool repeatable;     /* it failed again in the same way when it was replayed, or this was a replay */
    bool exhausted;      /* WEFT_EXPLORE_DFS: there is no other schedule within its bounds */
    unsigned turns;      /* of the schedule, before it was minimised; how many are left is seen in it */
    char schedule[WEFT_TEST_SCHEDULE];
    char report[WEFT_TEST_REPORT]; /* "" if it passed */
} weft_test_result;

/* Zero means default everywhere. */
typedef struct weft_test_options {
    const char *name;       /* NULL: file and line */
    uint64_t seed;          /* of the first run; the others count on */
    unsigned runs;          /* 0: one, and with WEFT_EXPLORE_DFS as many as there are, at most 100 000 */
    weft_explore explore;   /* default: fifo for a single run with seed 0, else random */
    bool real_clock, manual_clock; /* neither: the clock goes by itself when nothing else can (auto) */
    bool isolate;           /* each run in a child process: one that dies is a failure like others */
    bool forgets;           /* the body may end before its fibers, and with their handles */
    const char *schedule;   /* replay this one, once */
    uint64_t turns;         /* of fibers, in a run, after which it is endless; 0: a million */
    size_t stack_bytes, max_fibers; /* as in weft_options */
    weft_test_result *result; /* NULL: a failure is written to standard error, and ends the process */
} weft_test_options;

/* One WEFT_TEST; what the body may read. */
typedef struct weft_test {
    uint64_t seed; /* of this run */
    unsigned run;  /* number of this run, from 0 */
    struct weft__test *test;
} weft_test;

/* WEFT_TEST(t, options...) { body }
 * `t` is a weft_test in the body.  The body may be left by continue (the end of this run), break and return (the end of the
 * test); not by goto or longjmp.  [plain thread] */
#define WEFT_TEST(t, ...)                                                                    \
    for (weft_test t __attribute__((cleanup(weft__test_end))) =                              \
             weft__test_begin(&(weft_test_options){__VA_ARGS__}, __FILE__, __LINE__);        \
         weft__test_next(&t);)

/* bool weft_check(weft_test t, condition)
 * False, and the run has failed, if the condition does not hold; the first one is reported, and the body goes on.
 * [any fiber of the run] [never suspends] */
#define weft_check(t, condition) weft__test_check((t).test, (condition), #condition, __FILE__, __LINE__)

/* Random numbers of the run, by its seed.  [the body and its fibers] */
WEFT_API uint64_t weft_test_random(weft_test t);

/* Wait until all other fibers wait, for something else than time.  Of several that wait so, all go on.
 * {OK}, or the interrupt.  [any fiber of the run] [cancellation point] */
WEFT_API weft_exit weft_wait_all_blocked(void);

/* ---- gates and sequencers: in any runtime ------------------------------------------------------------- */

/* Closed until it is opened, once and for all. */
typedef struct weft_gate {
    weft_promise opened;
} weft_gate;

/* Before anybody knows it.  [any thread] [never suspends] */
static inline void weft_gate_init(weft_gate *g) { weft_promise_init(&g->opened); }
/* [any thread] [never suspends; a scheduling point] */
static inline void weft_gate_open(weft_gate *g) { weft_promise_complete(&g->opened, 0); }
/* {OK}, or the interrupt.  [cancellation point] */
static inline weft_exit weft_gate_wait(weft_gate *g) { return weft_promise_await(&g->opened, 0); }

/* Turns that are taken in the order of their numbers, whoever takes them. */
enum { WEFT_SEQUENCE_MOST = 64 };
typedef struct weft_sequencer {
    weft_gate turn[WEFT_SEQUENCE_MOST + 1];
} weft_sequencer;

/* Before anybody knows it.  [any thread] [never suspends] */
WEFT_API void weft_sequencer_init(weft_sequencer *s);
/* Wait for turn n, 0 to WEFT_SEQUENCE_MOST - 1.  {OK}; WEFT_E_INVALID; or the interrupt, then the turn is not taken.
 * [cancellation point] */
WEFT_API weft_exit weft_turn_begin(weft_sequencer *s, unsigned n);
/* Turn n is over; n + 1 may begin.  [any thread] [never suspends; a scheduling point] */
WEFT_API void weft_turn_end(weft_sequencer *s, unsigned n);

/* ---- below: how the above is made --------------------------------------------------------------------- */

WEFT_API weft_test weft__test_begin(const weft_test_options *o, const char *file, int line);
WEFT_API bool weft__test_next(weft_test *t);
WEFT_API void weft__test_end(weft_test *t);
/* false */
WEFT_API bool weft__test_failed(struct weft__test *t, const char *text, const char *file, int line);
static inline bool weft__test_check(struct weft__test *t, bool holds, const char *text, const char *file, int line) {
    return WEFT_LIKELY(holds) || weft__test_failed(t, text, file, line);
}

WEFT_END_C
#endif
