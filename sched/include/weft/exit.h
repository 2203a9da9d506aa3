/* weft/exit.h -- how a computation ended: a value of 16 bytes, returned in two registers, and why.
 *
 *   weft_exit e = weft_await(f, fetch, &n);
 *   if (!weft_ok(e)) return puts(weft_exit_format(e, line, sizeof line)), -1;
 *
 * Everything that may suspend returns a weft_exit; other fallible calls return a weft_err.  Both use the same
 * codes: up to 255 they are Weft's own (weft/base.h), from WEFT_E_USER to WEFT_CODE_MAX yours.
 *
 * tag and code say what to do; the cause says what happened, and is a tree once several things did:
 *
 *   both:                                                          two children of a scope
 *     failed (code 300) at net.c:12: no route
 *     interrupted by fiber 12 'main' at main.c:40: shutting down
 *     then:                                                        ... and while the second one cleaned up
 *       failed (code 301) at file.c:9: disk full
 *   note at main.c:38: while loading the table                     said about both
 *
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

/* ---- causes ------------------------------------------------------------------------------------------- */

/* The first three are leaves, and numbered as the tags. */
typedef enum weft_cause_kind {
    WEFT_CAUSE_FAIL = WEFT_EXIT_FAIL,
    WEFT_CAUSE_DIE = WEFT_EXIT_DIE,
    WEFT_CAUSE_INTERRUPT = WEFT_EXIT_INTERRUPT,
    WEFT_CAUSE_BOTH, /* first and second, concurrently */
    WEFT_CAUSE_THEN, /* first; then, while it was handled, second (the error of a finalizer) */
    WEFT_CAUSE_NOTE, /* first, and a text about it */
} weft_cause_kind;

/* A tree has at most this many nodes; a copied text and a copied name at most this many bytes. */
enum { WEFT_CAUSE_NODES_MAX = 64, WEFT_CAUSE_TEXT_MAX = 247, WEFT_CAUSE_NAME_MAX = 31 };

/* A node of the tree.  Read only: it may be shared by threads, and lie in read-only memory. */
typedef struct weft_cause {
    const char *text, *file; /* text is never NULL, and "" in BOTH and THEN; file is NULL if the place is not known */
    int32_t line;
    int32_t code;            /* FAIL, DIE; 0: the code of the exit that carries it */
    uint32_t dropped;        /* leaves that found no room in the tree below this node */
    uint16_t bytes;          /* of its memory; 0: static, lives as long as the program */
    uint8_t kind;            /* a weft_cause_kind */
    uint8_t nodes;           /* of the tree below this node, itself included */
    uint64_t who;            /* INTERRUPT: the id of the fiber that asked; 0: something outside of every fiber */
    const char *who_name;    /* INTERRUPT: its name; may be NULL */
    const struct weft_cause *first, *second;
} weft_cause;

/* The initialiser of a static leaf, in C and C++.  text: a literal. */
#define WEFT__CAUSE_STATIC(kind, text) WEFT__CAUSE_AT(kind, text, __FILE__, __LINE__)
#define WEFT__CAUSE_AT(kind, text, file, line) {text, file, line, 0, 0, 0, kind, 1, 0, NULL, NULL, NULL}

/* Is a node of this kind in the tree?  false for NULL.  [any thread] [never suspends] */
WEFT_API bool weft_cause_has(const weft_cause *cause, weft_cause_kind kind);

/* ---- exits -------------------------------------------------------------------------------------------- */

typedef struct weft_exit {
    uint32_t tag; /* a weft_exit_tag */
    int32_t code; /* 0 if tag is WEFT_EXIT_OK */
    const weft_cause *cause; /* may be NULL */
} weft_exit;

static inline bool weft_ok(weft_exit e) { return e.tag == WEFT_EXIT_OK; }

/* It ended because it was asked to.  Not so if it failed first, or failed on its own beside others that were asked. */
static inline bool weft_exit_interrupted(weft_exit e) { return e.tag == WEFT_EXIT_INTERRUPT; }

/* One line without its end: what happened, where, and the text of the code if it is one of Weft's; of a tree the leaf
 * that tag and code are about, and how many more there are.  Cut to `bytes`, terminated (if bytes > 0).  Returns
 * buffer.  Takes less than 1 KiB of stack.  [any thread] [never suspends] */
WEFT_API char *weft_exit_format(weft_exit e, char *buffer, size_t bytes);

/* The whole tree in several lines, no end after the last one: a line for each leaf and each note, `both:` (`all of:`)
 * above what happened concurrently, `then:` between what came first and what came of it, a note below what it is about.
 * What found no room is counted in a last line.  Otherwise as above.
 * [any thread] [never suspends] */
WEFT_API char *weft_exit_render(weft_exit e, char *buffer, size_t bytes);

/* The cause of an exit that came from an await, a scope or the like lives until the innermost scope ends in which that was
 * (the end of the task, outside of any; on a plain thread until it is dropped).  drop: let it go now; e.cause is not used
 * any more.  keep: let it live as long as the next scope further out; returns e.  [any thread] [never suspends] */
WEFT_API void weft_exit_drop(weft_exit e);
WEFT_API weft_exit weft_exit_keep(weft_exit e);

/* ---- failing ------------------------------------------------------------------------------------------ */

/* weft_exit weft_fail(int code, const char *text)
 * Makes the running fiber end as a failure: its exit will be {FAIL, code} with `text`, a literal, and this place.
 * The function still returns normally; the first failure of a fiber is the one that counts.  Children forked by
 * a fiber are part of it.  code: 1 to WEFT_CODE_MAX, from WEFT_E_USER on your own (others become WEFT_E_INVALID).
 * Returns that exit.
 * [on a fiber; elsewhere only the exit is made] [never suspends] */
#define weft_fail(code, text_)                                                               \
    __extension__({                                                                          \
        static const weft_cause weft_cause_ = WEFT__CAUSE_STATIC(WEFT_CAUSE_FAIL, text_);    \
        weft__fail((code), &weft_cause_);                                                    \
    })

/* weft_exit weft_die(int code, const char *text)
 * The same for a defect: tag DIE. */
#define weft_die(code, text_)                                                                \
    __extension__({                                                                          \
        static const weft_cause weft_cause_ = WEFT__CAUSE_STATIC(WEFT_CAUSE_DIE, text_);     \
        weft__fail((code), &weft_cause_);                                                    \
    })

/* weft_exit weft_failf(int code, const char *format, ...)
 * weft_fail with a text made as printf makes it, cut to WEFT_CAUSE_TEXT_MAX bytes; format is a literal.  The text is
 * the fiber's: the exit that is returned lends it.  Where nobody would own it (no fiber runs, or it has failed before)
 * and where there is no memory for it, the format itself is the text.  Takes some 2 KiB of stack.
 * [on a fiber; elsewhere only the exit is made] [never suspends] */
#define weft_failf(code, ...)                                                                \
    __extension__({                                                                          \
        static const weft_cause weft_cause_ =                                                \
            WEFT__CAUSE_STATIC(WEFT_CAUSE_FAIL, WEFT__FIRST(__VA_ARGS__, 0));                \
        weft__failf((code), &weft_cause_, __VA_ARGS__);                                      \
    })
#define WEFT__FIRST(first, ...) first

/* ---- below: what the macros use ----------------------------------------------------------------------- */

/* cause is a static leaf; its kind is the tag. */
WEFT_API weft_exit weft__fail(int code, const weft_cause *cause);
__attribute__((format(printf, 3, 4))) WEFT_API weft_exit weft__failf(int code, const weft_cause *unformatted,
                                                                     const char *format, ...);

WEFT_END_C
#endif
