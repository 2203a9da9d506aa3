/* bench/suite/session.h -- one entry being measured: the runtimes it needs, open side by side.
 *
 * An entry with one worker interleaves slices of the serial program and of the one with tasks; an entry with
 * more keeps a second runtime of one worker open and interleaves a third slice, so that the speed-up is
 * taken at one and the same moment.  Idle workers sleep and disturb nobody.  Serial slices run on the
 * worker of the small runtime: same thread, same core, same kind of stack.  Workers are pinned.
 * Another library's slices run on the thread that measures, which is not, if it brings threads of its own.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef BENCH_SESSION_H
#define BENCH_SESSION_H

#include "workload.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct session session;

typedef struct measured {
    double ns_per_op, baseline_ns, ratio;              /* 0 where there is no baseline */
    double one_worker_ns, speedup, over_one_worker_ns; /* 0 in entries with one worker */
    int rows, again;                                   /* samples.h */
} measured;

/* Opens the runtimes, runs every party once untimed.  NULL with *why (static text) if it cannot. */
session *session_open(const workload *w, unsigned workers, const char **why);

/* As many interleaved rows as fit `seconds`, at least `rows_min`. */
void session_measure(session *s, double seconds, int rows_min, measured *out);

void session_close(session *s);

#ifdef __cplusplus
}
#endif
#endif
