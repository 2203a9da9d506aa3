/* bench/suite/workload.h -- a program that is measured: the serial one, the one with tasks or
 * fibers, and what both must answer.
 *
 * Serial functions and the others live in files of their own, compiled by the compiler of the build at -O2,
 * so that neither sees through the other and no call is folded away.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stdint.h>
#include <weft/exit.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One slice: the answer for `size`.  `data` is what the workload's `open` returned. */
typedef int64_t work_fn(void *data, int64_t size);

/* A slice that has to prepare something says here how many nanoseconds its measured part took; -1 before each:
 * all of it. */
extern int64_t bench_own_ns;

typedef struct workload {
    const char *name;  /* the entry is called so, or name/workers:N: workloads.c */
    const char *op;    /* what one operation is */
    work_fn *serial;   /* the same without Weft, or NULL: no baseline */
    work_fn *weft;     /* runs on a worker */
    int64_t one, many; /* the size on 1 worker, and on more */
    int64_t (*answer)(int64_t size);
    int64_t (*ops)(int64_t size);
    void *(*open)(int64_t size); /* memory that is allocated and touched before timing, or NULL; */
    void (*close)(void *data);   /* `open` returning NULL means there is not enough memory */
} workload;

typedef enum workload_kind {
    FORKS,        /* an entry for each number of workers */
    FORKS_LONG,   /* the same, not repeated: a row takes a second */
    FIBERS,       /* the same; also measured with the native context */
    FIBERS_ALONE, /* one entry, on one worker; also measured with the native context */
    ALONE         /* one entry, on one worker */
} workload_kind;

typedef struct listing {
    const workload *w;
    workload_kind kind;
} listing;

extern const listing workloads[];
extern const int workload_count;

/* The same by another library: the baseline of an entry, with as many threads as the entry has workers.  With more than
 * one it runs on a plain thread that is bound nowhere. */
typedef int64_t peer_fn(void *data, int64_t size, unsigned workers);
typedef struct peer {
    const workload *w;
    const char *name;
    peer_fn *run; /* NULL: it was not there when this program was built */
} peer;
/* NULL: w is compared with no other library. */
const peer *peer_of(const workload *w);

/* Print why, and abort: a number measured with a wrong answer is worth nothing. */
__attribute__((noreturn, format(printf, 1, 2))) void bench_die(const char *format, ...);
__attribute__((noreturn, cold)) void bench_die_of(weft_exit e);
static inline void must(weft_exit e) {
    if (!weft_ok(e)) bench_die_of(e);
}

/* chans.c, pars.c, fib.c, empty.c, skynet.c, queens.c, uts.c, fibers.c, timers.c, scopes.c, interrupts.c, locks.c, loops.c, sorts.c, effs.c,
 * effects.c, handlers.c, envs.c; the serial ones in
 * *_serial.c */
extern const workload fib_kernel, fib_api, flat_kernel, flat_api, seq_kernel, seq_api, skynet_kernel,
    skynet_api, skynet_fibers, nqueens_12, uts_t1, spawn_never_blocks, spawn_blocks_once, spawn_batch,
    yield_two, yield_many, timer_arm, timer_cancel, timer_cancel_cold, scope_empty, scope_one_child,
    timeout_not_fired, interrupt_parked, interrupt_scope, chan_pingpong, chan_one_pair, chan_four_pairs, select_two,
    select_four, skynet_channels, loop_1e7, sort_1e7, mutex_uncontended, zip_par_2, race_2, for_each_par_1,
    eff_flat_map, eff_map, handler_countdown, handler_iterator, handler_dollars, handler_product, handler_sieve, handler_depth[4],
    handler_generator, handler_nontail, effect_state_sync, effect_state_async;
extern const workload env_read_0, env_read_1000;
work_fn fib_serial_run, flat_serial_run, seq_serial_run, skynet_serial_run, queens_serial_run, uts_serial_run,
    locks_serial_run, effs_serial_run, effects_serial_run;
work_fn envs_serial_run;
int64_t queens_count_nodes(int64_t n);
peer_fn loop_openmp, sort_tbb;        /* loops_openmp.c, sorts_tbb.cc */
int64_t *sort_begins(void *data, int64_t n); /* the array, unsorted again */
int64_t sort_ends(const int64_t *a, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
