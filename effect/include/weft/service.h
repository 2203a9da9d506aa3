/* weft/service.h -- services: clock, random numbers, console; keys of the environment whose values are functions.
 *
 *   weft_time t = weft_clock_now();
 *   int64_t die = 1 + weft_random_int(6);
 *   weft_exit e = weft_console_print("%d\n", (int)die);
 *
 *   WEFT_PROVIDE(weft_clock, weft_clock_fixed(weft_s(10))) { ... }            // in there it is ten o'clock
 *   weft_random_state r;
 *   WEFT_PROVIDE(weft_random, weft_random_seeded(&r, 42)) { ... }             // the same numbers each time
 *   weft_recording out;
 *   char text[1000];
 *   WEFT_PROVIDE(weft_console, weft_console_recorded(&out, text, sizeof text, "yes\n")) { ... }
 *
 * A service of your own is a struct of functions under a WEFT_KEY; a function of a service gets the service, as it was
 * provided.  Its `self` lives as long as who may ask for it, spawned fibers among them, and may be used by several at once.
 *
 * Without a provider the clock is the runtime's, random numbers are the runtime's, and a console is missing: Weft prints
 * nothing by itself, so the program says where its text goes.
 *
 * Who sleeps by weft_sleep, and every timeout, goes by the runtime's clock, whatever clock is provided: to control these as
 * well, give the runtime a manual or an automatic clock (weft/time.h).
 *
 * Source: effectpy's Clock and Random, ZIO's default services; SplitMix64 (Steele, Lea, Flood 2014); Lemire's bounded
 * numbers (2019).  SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SERVICE_H
#define WEFT_SERVICE_H

#include <weft/env.h>
#include <weft/time.h>

WEFT_BEGIN_C

/* ---- clock --------------------------------------------------------------------------------------------- */

typedef struct weft_clock_service {
    weft_time (*now)(const struct weft_clock_service *c);
    weft_exit (*sleep_until)(const struct weft_clock_service *c, weft_time t); /* a cancellation point */
    void *self;
    weft_time at; /* for clocks that need no more */
} weft_clock_service;
WEFT_KEY(weft_clock, weft_clock_service);

/* By the clock that is provided, else as weft_now, weft_sleep_until and weft_sleep.
 * Errors of sleep (tag FAIL): WEFT_E_INVALID (negative, or the deadline does not fit into 63 bits).
 * [any thread] [the last two suspend: cancellation points] */
WEFT_API weft_time weft_clock_now(void);
WEFT_API weft_exit weft_clock_sleep_until(weft_time t);
WEFT_API weft_exit weft_clock_sleep(weft_duration d);

/* It is `at`, for ever; who sleeps lets others run, and goes on.  [any thread] [never suspends] */
WEFT_API weft_clock_service weft_clock_fixed(weft_time at);

/* ---- random -------------------------------------------------------------------------------------------- */

typedef struct weft_random_service {
    uint64_t (*next)(const struct weft_random_service *r); /* 64 bits */
    void *self;
} weft_random_service;
WEFT_KEY(weft_random, weft_random_service);

/* Random numbers, of the service that is provided; else of the runtime: another sequence in each run, but on the deterministic
 * executor one that follows from its seed.  Not for secrets.
 * next: 64 random bits.  int: 0 to bound - 1, each as likely; a bound that is not positive is a checked misuse.  float: at
 * least 0, less than 1, a multiple of 2^-53.  [any thread] [never suspends] */
WEFT_API uint64_t weft_random_next(void);
WEFT_API int64_t weft_random_int(int64_t bound);
WEFT_API double weft_random_float(void);
/* One of n > 0 elements of an array. */
#define weft_random_choice(items, n) ((items)[weft_random_int((int64_t)(n))])

/* Numbers that follow from a seed, in the order in which they are asked for.  Its field is the library's. */
typedef struct weft_random_state {
    WEFT__ATOMIC(uint64_t) at;
} weft_random_state;
/* [any thread] [never suspends] */
WEFT_API weft_random_service weft_random_seeded(weft_random_state *s, uint64_t seed);

/* ---- console ------------------------------------------------------------------------------------------- */

typedef struct weft_console_service {
    weft_exit (*write)(const struct weft_console_service *c, const char *text, size_t bytes);
    weft_exit (*read)(const struct weft_console_service *c, char *line, size_t bytes); /* NULL: there is no input */
    void *self;
} weft_console_service;
WEFT_KEY(weft_console, weft_console_service);

/* Write to the console that is provided; print: as printf does.  read: its next line, without the end, cut to `bytes`,
 * terminated.  Errors (tag FAIL): WEFT_E_MISSING (no console is provided, or it has no input), WEFT_E_NOMEM (print, of more
 * than 1 KiB), those of the console.  [any thread] [suspends as the console does] */
WEFT_API weft_exit weft_console_write(const char *text, size_t bytes);
__attribute__((format(printf, 1, 2))) WEFT_API weft_exit weft_console_print(const char *format, ...);
WEFT_API weft_exit weft_console_read(char *line, size_t bytes);

/* What was written to a console, for tests. */
typedef struct weft_recording {
    char *text;        /* all of it, terminated; read it when nobody writes */
    size_t used, lost; /* bytes in text; those that found no room */
    size_t bytes;      /* what follows is the library's */
    const char *input;
    WEFT__ATOMIC(uint32_t) lock;
} weft_recording;
/* A console that records into buffer, of bytes > 0, and reads the lines of input (NULL: none); after the last, {FAIL,
 * WEFT_E_CLOSED}.
 * [any thread] [never suspends] */
WEFT_API weft_console_service weft_console_recorded(weft_recording *r, char *buffer, size_t bytes, const char *input);

WEFT_END_C
#endif
