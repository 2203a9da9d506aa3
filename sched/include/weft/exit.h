/* weft/exit.h -- how a computation ended: a value of 16 bytes, returned in two registers.
 *
 *   weft_exit e = weft_await(f, fetch, &n);
 *   if (!weft_ok(e)) return puts(weft_exit_format(e, line, sizeof line)), -1;
 *
 * Everything that may suspend returns a weft_exit; other fallible calls return a weft_err.  Both use the same
 * codes: up to 255 they are Weft's own (weft/base.h), from WEFT_E_USER to WEFT_CODE_MAX yours.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EXIT_H
#define WEFT_EXIT_H

#include <weft/base.h>

WEFT_BEGIN_C

enum { WEFT_E_USER = 256, WEFT_CODE_MAX = 65535 };

typedef enum weft_exit_tag {
    WEFT_EXIT_OK = 0,
    WEFT_EXIT_FAIL,      /* an error the program expects; code says which */
    WEFT_EXIT_DIE,       /* a defect: a rule was broken */
    WEFT_EXIT_INTERRUPT, /* somebody asked it to stop */
} weft_exit_tag;

/* Why: a text and the place that said so.  Immutable; lives as long as the program. */
typedef struct weft_cause {
    const char *text, *file;
    int line;
} weft_cause;

typedef struct weft_exit {
    uint32_t tag; /* a weft_exit_tag */
    int32_t code; /* 0 if tag is WEFT_EXIT_OK */
    const weft_cause *cause;
} weft_exit;

static inline bool weft_ok(weft_exit e) { return e.tag == WEFT_EXIT_OK; }

/* One line without its end: what happened, where, and the text of the code if it is one of Weft's.  Cut to `bytes`
 * (at least 1), terminated.  Returns buffer.  [any thread] [never suspends] */
WEFT_API char *weft_exit_format(weft_exit e, char *buffer, size_t bytes);

WEFT_API weft_exit weft__fail(int code, const weft_cause *cause);

/* weft_exit weft_fail(int code, const char *text)
 * Makes the running fiber end as a failure: its exit will be {FAIL, code} with `text`, a literal, and this place.
 * The function still returns normally; the first failure of a fiber is the one that counts.  Children forked by
 * a fiber are part of it.  code: 1 to WEFT_CODE_MAX, from WEFT_E_USER on your own (others become WEFT_E_INVALID).
 * Returns that exit.
 * [on a fiber; elsewhere only the exit is made] [never suspends] */
#define weft_fail(code, text_)                                                               \
    __extension__({                                                                          \
        static const weft_cause weft_cause_ = {text_, __FILE__, __LINE__};                   \
        weft__fail((code), &weft_cause_);                                                    \
    })

WEFT_END_C
#endif
