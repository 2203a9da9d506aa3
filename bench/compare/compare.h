/* bench/compare/compare.h -- weft-compare: what does a fiber cost against a direct call?
 *
 * A workload is a piece of work that every mode does in its own way and that has one answer.  A mode is a
 * way to run it: `direct` by plain calls, `fork` by weft_fork and weft_join on some number of workers,
 * `fiber` by weft_spawn and weft_await, `threads` with threads of the operating system.  A round is the
 * workload once; a slice is as many rounds as it takes to be measurable.
 *
 * To add a mode: a name in mode_kind, a line in modes.c, and a function in each workload that has it.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef COMPARE_H
#define COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/fiber.h>

typedef enum mode_kind { MODE_DIRECT, MODE_FORK, MODE_FIBER, MODE_THREADS, MODE_KINDS } mode_kind;
enum { MODES_MAX = 8, WORKERS_MAX = 1024 };

typedef struct options {
    const char *input; /* the directory of `tree` */
    unsigned workers;  /* 0: as many as Weft starts by itself */
    const char *json;  /* NULL: none */
    bool quick;        /* small sizes, few repetitions: to see that it works */
} options;

typedef struct mode {
    mode_kind kind;
    unsigned workers;
    weft_runtime *rt; /* where the kind needs one */
    char name[24];    /* "fork:2" */
} mode;

typedef struct modes {
    mode of[MODES_MAX];
    int count; /* of[0] is direct */
} modes;

/* What a round is given and what it leaves. */
typedef struct job {
    const struct workload *w;
    const mode *m;
    void *data;               /* the workload's own */
    uint64_t rounds;          /* of a slice */
    uint64_t tasks;           /* out: of one round */
    uint64_t answer;          /* out */
    bool unsteady;            /* out: the rounds of the slice did not all answer the same */
    const char *error;        /* out: why the mode cannot run here (static text), or NULL */
    int64_t ns;               /* out: of the slice */
    int64_t began_ns;         /* out: when it began, of the real-time clock */
    int64_t input_changed_ns; /* out: when the input was changed last, same clock; 0: never */
} job;

typedef struct workload {
    const char *name;
    const char *task;                      /* what a task is */
    unsigned threads;                      /* of mode threads; 0: as many as there are workers */
    bool hexadecimal;                      /* the answer is a digest, not a number */
    bool may_change;                       /* the input belongs to somebody else */
    uint64_t (*round[MODE_KINDS])(job *j); /* one round's answer; NULL: the mode makes no sense here */
} workload;

typedef struct result {
    bool ran;
    const char *why_not; /* when it did not */
    unsigned workers;
    double seconds, ns_per_task, overhead_percent, speedup; /* of one round; medians */
    uint64_t answer;
} result;

typedef struct outcome {
    const workload *w;
    uint64_t tasks;
    int changes; /* times the input changed and the measurement began anew */
    result of[MODES_MAX];
} outcome;

/* small.c */
extern const workload work_fib, work_skynet, work_small100;
typedef struct sizes {
    long fib, leaves;
} sizes;

/* sleep.c */
extern const workload work_sleep100;

/* tree.c */
extern const workload work_tree;

/* options.c.  Prints and exits with 2 on bad arguments, with 0 after --help. */
options options_parse(int argc, char **argv);

/* modes.c.  Prints and returns false if a runtime cannot be opened. */
bool modes_open(modes *all, unsigned workers);
void modes_close(modes *all);
void slice_run(job *j); /* j->rounds rounds in the job's mode, timed */

/* measure.c.  Prints and returns false on a wrong answer. */
bool measure(outcome *out, const workload *w, void *data, const modes *all, bool quick);

/* printable.c: `text` for a terminal or a JSON file, whatever bytes a file name has: control characters,
 * backslashes and what is not UTF-8 become \xNN.  Free it.  NULL if there is no memory. */
char *printable(const char *text);
const char *answer_text(const workload *w, uint64_t answer,
                        char out[24]); /* a number, or 16 digits of a digest */

/* The end: "weft-compare: ..." on stderr. */
__attribute__((noreturn, cold)) void fail_of(weft_exit e);
static inline void must(weft_exit e) {
    if (!weft_ok(e)) fail_of(e);
}
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...); /* exit status 1 */

#endif
