/* bench/suite/machinery.h -- what is measured without a workload: the context switch, an idle runtime, and
 * what plain threads do to a runtime.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef BENCH_MACHINERY_H
#define BENCH_MACHINERY_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Nanoseconds of one round trip (two switches) between this thread and a context on a 64 KiB stack: the
 * median of short slices that fit `seconds`.  `*again` counts disturbed slices. */
double switch_round_trip(bool native, double seconds, int *again);

typedef struct idle_report {
    double wall_ns; /* of the second */
    double cpu_us;  /* CPU time this process used in it */
} idle_report;

/* Keep a runtime with a worker for every CPU, at least two, open and idle for one second.  False with
 * *why (static text) if it cannot be opened.  So do the other two. */
bool idle_second(idle_report *out, const char **why);

typedef struct spawned_report {
    double ns;       /* a fiber, spawned and run */
    int rows, again; /* samples.h */
} spawned_report;

/* Four plain threads spawn into two workers: as many slices as fit `seconds`, at least `rows_min`. */
bool spawn_from_threads(double seconds, int rows_min, spawned_report *out, const char **why);

typedef struct wake_report {
    double weft_ns, bare_ns, ratio; /* medians of the samples, and their quotient */
    int samples, again;             /* times the machine was disturbed and all were taken again */
} wake_report;

/* Wake a sleeping worker by a spawn, and a sleeping thread by FUTEX_WAKE. */
bool wake_latency(wake_report *out, const char **why);

typedef struct apart_report {
    double ns, line_ns, ratio; /* a round trip over channels, of a cache line; medians, and that of their quotients */
    int rows, again;
} apart_report;

/* Two fibers, bound to two workers: as many rows as fit `seconds`, at least `rows_min`. */
bool channels_apart(double seconds, int rows_min, apart_report *out, const char **why);

typedef struct parked_report {
    double ns, baseline_ns, ratio; /* a fiber, spawned and parked; a stack, guarded and touched; medians */
    double bytes;                  /* a fiber: growth of resident memory and page tables */
    int64_t maps, maps_more;       /* mappings that hold the stacks; growth of all mappings; the largest */
    int rows, again;               /* again: rows that were disturbed; they count */
} parked_report;

typedef struct sleepers_report {
    double cpu_ns, cpu_ms;           /* processor time: of one sleeper, of all; medians of the rows */
    double late_p50_us, late_p99_us; /* lateness at waking: medians of the rows */
    int rows, again;                 /* again: rows that were disturbed; they count */
} sleepers_report;

/* A hundred thousand fibers sleep on one worker.  A row takes one and a half seconds. */
bool sleepers(int rows, sleepers_report *out, const char **why);

typedef struct crowd_report {
    double ns, jain;           /* lock and unlock; fairness: medians of the rows */
    double baseline_ns, ratio; /* of the word of a lock, alone (locks_serial.c); and of the quotients */
    int rows, again;
} crowd_report;

/* 64 fibers on two workers lock and unlock one mutex.  A row takes a second. */
bool mutex_crowd(int rows, crowd_report *out, const char **why);

/* A million fibers that wait at once, on default or on tiny stacks. */
bool parked_million(bool tiny, int rows, parked_report *out, const char **why);
/* One row of it, in a process of its own: weft-bench --parked WHAT.  The exit status. */
int parked_child(const char *what);

#ifdef __cplusplus
}
#endif
#endif
