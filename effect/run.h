/* effect/run.h -- a run of a driver: what its fibers have in common, and what is left of it for the result.
 *
 * Counted: each store of the run has a reference, the result has one; so a detached fiber that goes on keeps it.  Everything
 * that changes is under the lock.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EFFECT_RUN_H
#define WEFT_EFFECT_RUN_H

#include "effect/store.h"
#include <weft/driver.h>

/* One level of a continuation: a handler, a scope, a fiber. */
typedef struct level {
    const char *kind, *name, *file;
    int line;
} level;

enum { LEVELS_MOST = 24, FAILURES_KEPT = 8, FIBER_NAME_MOST = 32 };

/* Where a failure was made.  Of the last few. */
typedef struct failure {
    const weft_cause *cause; /* a reference */
    weft_exit exit;
    uint64_t fiber;
    char name[FIBER_NAME_MOST];
    weft_place spawned;
    uint32_t n, more;        /* levels, and those that found no room */
    level at[LEVELS_MOST];   /* innermost first */
} failure;

/* The call tree: fibers, and what they performed where. */
typedef struct tree {
    struct tree *up, *next, *first, *last; /* next: of the same `up`, in the order of their coming */
    const char *kind, *name, *file;
    int line;
    uint64_t count;
    weft_exit failed; /* here; its cause is not kept */
} tree;

typedef struct listener {
    struct listener *next;
    uint64_t ticket;
    weft_log log;
} listener;

typedef struct run {
    _Atomic uint64_t refs;
    weft_site site;       /* of the fiber that runs the program: its name, and where the driver was called */
    bool trace;
    spin lock;            /* all below */
    weft_log log;
    listener *listeners;  /* in the frames of who listens */
    failure failures[FAILURES_KEPT];
    uint64_t n_failures;  /* ever */
    tree *tree;
    uint64_t tree_lost;   /* without memory */
    level pending[LEVELS_MOST]; /* of an effect value that failed: what was to be done with its value, innermost first */
    size_t n_pending;     /* and those that found no room */
} run;

/* A value of the program's environment. */
typedef struct asked {
    struct asked *next;
    const weft_effect *key;
    _Alignas(16) char value[];
} asked;

struct weft_result {
    weft_exit exit;     /* a reference */
    run *run;           /* a reference; NULL: there was no memory for one */
    const weft_site *program;
    table *table;       /* the program's fiber's, at its end; a reference */
    asked *env;
    failure *where;     /* a copy; NULL: not known */
    char *report;       /* of a deadlock: who waits; NULL */
    size_t report_bytes, bytes;
    _Alignas(16) char value[]; /* of `bytes` */
};

run *weft__run_new(const weft_site *program, bool trace);
run *weft__run_keep(run *r);
void weft__run_drop(run *r);

/* For want of memory for another one. */
weft_result *weft__result_lost(void);

/* A store for the first fiber of r; the rest by inheritance.  NULL: no memory. */
store *weft__store_new(run *r, uint64_t seed);

/* effect/log.c; NULL: no memory */
weft_log_entry *weft__log_entry(const char *text, const weft_place *at);
void weft__log_add(weft_log *log, weft_log_entry *e);

/* effect/trace.c */
/* What is in force on f (NULL: this thread): handlers only, or scopes and fibers as well.  Returns how many levels there
 * are. */
size_t weft__levels(fiber *f, level *to, size_t most, bool all);
void weft__run_note_failure(store *s, fiber *f, weft_exit e, bool passed_on);
void weft__failures_free(run *r);
/* A copy of the failure that e is about, for the caller to free; NULL: not known, or no memory. */
failure *weft__failure_of(run *r, weft_exit e);
/* A part of the tree below `up`, found or made, once more.  Under the lock; NULL: no memory, or no `up`. */
tree *weft__tree_at(run *r, tree *up, const char *kind, const char *name, const char *file, int line);
void weft__tree_free(tree *t);
weft_observe_fn weft__run_observe; /* self: the run */

#endif
