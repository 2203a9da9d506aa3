/* weft/base.h -- what every Weft header shares: export marks, error codes, the version.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_BASE_H
#define WEFT_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_VERSION_MAJOR 0
#define WEFT_VERSION_MINOR 1
#define WEFT_VERSION_PATCH 0
#define WEFT_VERSION_STRING "0.1.0"

#ifdef __cplusplus
#define WEFT_BEGIN_C extern "C" {
#define WEFT_END_C }
#else
#define WEFT_BEGIN_C
#define WEFT_END_C
#endif

#define WEFT_API __attribute__((visibility("default")))
#define WEFT_COLD __attribute__((cold, noinline))
#define WEFT_LIKELY(x) __builtin_expect(!!(x), 1)
#define WEFT_UNLIKELY(x) __builtin_expect(!!(x), 0)

WEFT_BEGIN_C

/* Every fallible call returns one of these; zero is success.  The numbers are part of the ABI:
 * new codes go at the end. */
typedef enum weft_err {
    WEFT_OK = 0,
    WEFT_E_INVALID,  /* an argument is out of its documented range */
    WEFT_E_SIZE,     /* an options struct carries a size this library does not know */
    WEFT_E_NOMEM,    /* memory, or address space for stacks, is exhausted */
    WEFT_E_THREAD,   /* not one worker thread could be started */
    WEFT_E_CLOSED,   /* the runtime, or the channel, is closed, or was never open */
    WEFT_E_INSIDE,   /* the call would wait for the very runtime it is made from */
    WEFT_E_LIMIT,    /* a documented limit is reached */
    WEFT_E_STALE,    /* the handle was dropped, or is of no fiber */
    WEFT_E_FORKED,   /* the runtime was opened before fork(2): the child process has no workers */
    WEFT_E_INTERRUPTED, /* the caller is asked to stop */
    WEFT_E_CANCELLED, /* the fiber awaited was asked to stop, and did */
    WEFT_E_TIMEOUT,  /* the time was over first */
    WEFT_E_DEADLOCK, /* everything waited, and nothing could end any of the waits */
    WEFT_E_BUSY,     /* something has not ended, or does not come to rest */
    WEFT_E_TWICE,    /* done already: a promise is completed once, one at a time advances a clock */
    WEFT_E_ENDED,    /* the scope is closed */
    WEFT_E_UNBALANCED, /* a begin and an end that do not belong together */
    WEFT_E_MODE,     /* the runtime's clock is of another kind */
    WEFT_E_BROKEN,   /* a promise that nobody will complete */
    WEFT_E_WOULDBLOCK, /* it cannot be done now, and the caller did not want to wait */
    WEFT_E_NOT_HELD, /* a lock that the caller does not hold */
    WEFT_E_UNHANDLED, /* an effect was performed that no handler here handles */
    WEFT_E_ABORTED,  /* an effect has ended the body of its handler: return to it */
    WEFT_E_MISSING,  /* there is no value under this key */
    WEFT_E_CYCLE,    /* something needs itself, by way of others */
} weft_err;

/* What `err` means and what to do about it: one sentence, static, never NULL.
 * [any thread] [never suspends] */
WEFT_API const char *weft_err_text(weft_err err);

/* The version of the library that is linked, "major.minor.patch".  [any thread] */
WEFT_API const char *weft_version(void);

WEFT_END_C
#endif
