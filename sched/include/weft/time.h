/* weft/time.h -- time: a runtime's clock, and waiting for it.
 *
 *   weft_sleep(weft_ms(20));
 *   weft_sleep_until(weft_now() + weft_s(1));
 *
 * Times and durations are int64 nanoseconds.  A time is a point on the clock of a runtime: monotonic, of no meaning
 * outside the process.  Waiting for the wall clock is another function, since that clock jumps.
 *
 * A runtime has one clock, chosen when it is opened, and everything that waits uses it:
 *
 *   WEFT_CLOCK_REAL     the system's monotonic clock
 *   WEFT_CLOCK_MANUAL   stands still but for weft_clock_advance: sleepers wake in the order of their deadlines, then of
 *                       their going to sleep, one after the other; each sees its own deadline as now
 *   WEFT_CLOCK_AUTO     stands still while anything can run; then it jumps to the next deadline
 *
 * The two virtual clocks start at 0 and are exact with any number of workers.
 * Source: effectpy's TestClock (manual), doeff's sim_time_handler (auto).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_TIME_H
#define WEFT_TIME_H

#include <weft/exit.h>

WEFT_BEGIN_C

typedef int64_t weft_time;     /* ns on a runtime's clock */
typedef int64_t weft_duration; /* ns */

#define WEFT_FOREVER INT64_MAX /* as a duration: without end; as a time: never */

static inline weft_duration weft_us(int64_t n) { return n * 1000; }
static inline weft_duration weft_ms(int64_t n) { return n * 1000000; }
static inline weft_duration weft_s(int64_t n) { return n * 1000000000; }

typedef enum weft_clock {
    WEFT_CLOCK_REAL = 0,
    WEFT_CLOCK_MANUAL,
    WEFT_CLOCK_AUTO,
} weft_clock;

struct weft_runtime;

/* Now, on the clock of the caller's runtime; on a plain thread the system's monotonic clock.
 * [any thread] [never suspends] */
WEFT_API weft_time weft_now(void);

/* Wait for a duration: at least that long, on the real clock usually at most 0.2 ms longer.  0 lets others run.
 * Errors (tag FAIL): WEFT_E_INVALID (negative, or the deadline does not fit into 63 bits; WEFT_FOREVER waits until it is
 * interrupted).  On a plain thread the thread sleeps.
 * [any thread] [suspends: cancellation point] */
WEFT_API weft_exit weft_sleep(weft_duration d);

/* Wait until a time of this runtime's clock.  One in the past returns at once, after letting others run.
 * [any thread] [suspends: cancellation point] */
WEFT_API weft_exit weft_sleep_until(weft_time t);

/* The wall clock: ns since 1970, UTC.  It jumps when it is set.  [any thread] [never suspends] */
WEFT_API int64_t weft_wall_now(void);

/* Wait until the wall clock shows `unix_ns`, looking again at least each second, so that a clock that is set is
 * noticed.  Only with the real clock: WEFT_E_MODE otherwise.  [any thread] [suspends: cancellation point] */
WEFT_API weft_exit weft_wall_wait_until(int64_t unix_ns);

/* Let the manual clock of `rt` (NULL: the caller's) go on by d.  Sleepers whose deadline comes up wake one after the
 * other, each only when everything else waits; one that sleeps again inside the time is woken again.  Returns when all
 * has been done and everything waits again, the caller excepted.
 * Errors: WEFT_E_MODE (not a manual clock), WEFT_E_INVALID (negative, too far), WEFT_E_BUSY (something does not come to
 * rest within a second of real time: the cause names a fiber that runs; the clock stays where it has come to),
 * WEFT_E_TWICE (somebody else advances it at this moment), WEFT_E_CLOSED.
 * [any thread] [suspends: cancellation point] */
WEFT_API weft_exit weft_clock_advance(struct weft_runtime *rt, weft_duration d);

/* How many sleepers and deadlines wait for the clock of `rt` (NULL: the caller's).  [any thread] [never suspends] */
WEFT_API size_t weft_clock_pending(struct weft_runtime *rt);

WEFT_END_C
#endif
