/* weft/schedule.h -- schedules: whether to do something again, and how long to wait before.
 *
 *   const weft_schedule gently =
 *       weft_schedule_times(weft_schedule_jittered(weft_schedule_exponential(weft_ms(10), 2), 0.8, 1.2), 5);
 *   weft_exit e = weft_retry(&gently, fetch, &call);        // 1 + 5 attempts at most
 *
 * A schedule is a value without pointers into anything: it is copied, returned, kept in a global, and used by any number of
 * fibers at once.  What changes while it is followed lies in a weft_schedule_state, one for each run of it.
 *
 * It is asked after each attempt (of a retry) or run (of a repeat), and answers with a delay, or that it is over:
 *
 *   recurs(n)            n times, without a delay
 *   spaced(d)            for ever, d after each
 *   fixed(d)             for ever, at multiples of d after the beginning; who is late goes on at once, missed times are skipped
 *   linear(d)            for ever: d, 2 d, 3 d, ...
 *   exponential(d, x)    for ever: d, d x, d x^2, ...
 *   capped(s, d)         as s, each delay at most d
 *   jittered(s, lo, hi)  as s, each delay times a random number from lo to hi
 *   times(s, n)          as s, n times at most
 *   up_to(s, d)          as s, as long as the next would begin at most d after the beginning
 *   while(s, f)          as s, as long as f(code) holds, the code of the failure
 *   and_then(a, b)       a until it is over, then b, which begins then
 *   both(a, b)           as long as both go on, after the longer delay
 *   either(a, b)         as long as one of them goes on, after the shorter delay of those that do
 *
 * They are applied from the inside outwards: capped(jittered(s, 0.5, 1.5), d) is never above d, and the other way round it may
 * be.  Delays do not overflow: what does not fit is WEFT_FOREVER, which waits until it is interrupted.
 *
 * Source: effectpy's schedules (whose state lies in the schedule: two retries at once disturb each other), ZIO's, Haskell's
 * Control.Retry.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHEDULE_H
#define WEFT_SCHEDULE_H

#include <weft/exit.h>
#include <weft/time.h>

WEFT_BEGIN_C

/* A schedule has at most this many parts: each function below is one, `times` two. */
enum { WEFT_SCHEDULE_PARTS = 16 };

/* Does it go on after this failure?  Must not suspend. */
typedef bool weft_schedule_fn(int32_t code, void *arg);

typedef struct weft__schedule_part {
    uint8_t kind;
    uint8_t first; /* of two operands: how many parts before this one the first ends; the other ends just before it */
    union {
        int64_t n;
        double x;
        weft_schedule_fn *fn;
    } a;
    union {
        int64_t n;
        double x;
        void *arg;
    } b;
} weft__schedule_part;

/* The fields are the library's. */
typedef struct weft_schedule {
    uint8_t parts, error; /* error: a weft_err */
    bool timed;           /* a part needs to know when it began */
    bool random, seeded;
    uint64_t seed;
    weft__schedule_part part[WEFT_SCHEDULE_PARTS]; /* operands before what is made of them */
} weft_schedule;

/* One run of a schedule: a value, too.  The fields are the library's. */
typedef struct weft_schedule_state {
    const weft_schedule *schedule;
    uint64_t random;
    bool over;
    struct {
        int64_t n;
        union {
            int64_t n;
            double x;
        } b;
    } part[WEFT_SCHEDULE_PARTS];
} weft_schedule_state;

/* ---- making them -------------------------------------------------------------------------------------- */

/* All of these: [any thread] [never suspends].  What is out of range (a negative duration or factor, lo > hi, no function) or
 * too large makes a schedule that is in error, and so is what is made of it; who follows it is told. */

WEFT_API weft_schedule weft_schedule_recurs(uint64_t n);
WEFT_API weft_schedule weft_schedule_spaced(weft_duration d);
WEFT_API weft_schedule weft_schedule_fixed(weft_duration d);
WEFT_API weft_schedule weft_schedule_linear(weft_duration d);
WEFT_API weft_schedule weft_schedule_exponential(weft_duration d, double factor);

WEFT_API weft_schedule weft_schedule_capped(weft_schedule s, weft_duration most);
WEFT_API weft_schedule weft_schedule_times(weft_schedule s, uint64_t n);
WEFT_API weft_schedule weft_schedule_up_to(weft_schedule s, weft_duration total);
/* Of a repeat the code is 0. */
WEFT_API weft_schedule weft_schedule_while(weft_schedule s, weft_schedule_fn *goes_on, void *arg);
WEFT_API weft_schedule weft_schedule_until(weft_schedule s, weft_schedule_fn *ends, void *arg);

WEFT_API weft_schedule weft_schedule_and_then(weft_schedule a, weft_schedule b);
WEFT_API weft_schedule weft_schedule_both(weft_schedule a, weft_schedule b);
WEFT_API weft_schedule weft_schedule_either(weft_schedule a, weft_schedule b);

/* The random numbers of each run are its own: drawn from the runtime's (on the deterministic executor, from its seed), or, of a
 * schedule with a seed, always the same. */
WEFT_API weft_schedule weft_schedule_jittered(weft_schedule s, double lo, double hi);
WEFT_API weft_schedule weft_schedule_seeded(weft_schedule s, uint64_t seed);

/* WEFT_OK; WEFT_E_INVALID (something in it is out of range), WEFT_E_LIMIT (more than WEFT_SCHEDULE_PARTS).
 * [any thread] [never suspends] */
WEFT_API weft_err weft_schedule_check(const weft_schedule *s);

/* As it is written: "times(exponential(10ms, 2), 5)".  Cut to `bytes`, terminated (if bytes > 0).  Returns buffer.
 * [any thread] [never suspends] */
WEFT_API char *weft_schedule_format(const weft_schedule *s, char *buffer, size_t bytes);

/* ---- following them ----------------------------------------------------------------------------------- */

/* Before the first attempt, at `now` (any clock, but one).  *s must stay until the last call of next.
 * Errors: those of weft_schedule_check; the run is over then.  [any thread] [never suspends] */
WEFT_API weft_err weft_schedule_begin(weft_schedule_state *state, const weft_schedule *s, weft_time now);

/* After an attempt that ended at `now` with the failure `code` (0: with none): true: once more, *delay from now.  False: it is
 * over, and stays so; *delay is 0.  [the owner of *state] [never suspends, but what is given to while or until is called] */
WEFT_API bool weft_schedule_next(weft_schedule_state *state, weft_time now, int32_t code, weft_duration *delay);

/* fn(arg), and again when it fails, as the schedule says.  The exit of the last attempt; or the interrupt, if the caller is
 * interrupted while it waits for the next one.  Only failures are tried again (tag FAIL, returned or by weft_fail, or those of
 * fibers that fn spawned), not defects and interrupts.  Each attempt is a scope of its own: what it spawned has ended, and what
 * it deferred has been done, before the next one, and no failure but the last one is kept.
 * Errors (tag FAIL; fn is not called): WEFT_E_INVALID (the schedule is in error, or there is no function).
 * [any thread; on a plain thread the thread sleeps] [suspends: cancellation point, between two attempts] */
WEFT_API weft_exit weft_retry(const weft_schedule *s, weft_exit (*fn)(void *arg), void *arg);

/* fn(arg), and again as long as it succeeds and the schedule goes on: recurs(n) means 1 + n runs.  The exit of the last run: a
 * failure, a defect or an interrupt ends it.  Otherwise as weft_retry. */
WEFT_API weft_exit weft_repeat(const weft_schedule *s, weft_exit (*fn)(void *arg), void *arg);

WEFT_END_C
#endif
