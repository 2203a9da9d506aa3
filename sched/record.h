/* sched/record.h -- which fiber came to a scheduling point when: written by the parallel executor, followed by the
 * deterministic one.
 *
 * Names.  A fiber is named by where it comes from: the name of the fiber that spawned it, and the number of the spawn there.  So
 * it has the same name in each run in which its ancestors do the same.  The main task is RECORD_ROOT.
 *
 * A record is a file that is mapped and shared, so that it is there even if the process dies: a header, then an entry for each
 * scheduling point in the order in which the fibers came to them, with the worker each was on.  The order is that of one
 * counter.  When the file is full the rest is missing, and the header says so.
 *
 * Each entry is written by who got its number from `n`, once; nobody reads it before the process has ended or the runtime is closed.
 * The count is acquire and release, so that along the chain of numbers the order is that of causes, too.
 *
 * Followed, each entry lets its fiber run from the point where it stands to its next one.  What the record does not say:
 *   - two operations on two workers that overlap are in the order in which they began, not in that of their effects
 *   - forked children that other workers took: neither that they were taken nor the points they came to; and fibers that they
 *     spawned have no name
 *   - accesses to memory between two points; time on a real clock; what other threads do, but for the fibers they wake
 *   - with more than one weft_call, which of them
 * Who follows and finds the next fiber waiting goes on with the one that runs, and counts a bend.
 *
 * Rejected: a log for each worker, with time stamps (they are not ordered more finely than the counter, and have to be sorted
 * by somebody); a lock around each operation (the order of effects would be known, and another program be recorded).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_RECORD_H
#define WEFT_SCHED_RECORD_H

#include "sched/worker.h"

#define RECORD_ROOT 1

typedef struct record_entry {
    uint64_t name;
    uint32_t worker;
    uint32_t unused;
} record_entry;

typedef struct record {
    char magic[8];
    _Atomic uint64_t n; /* entries that were to be written: more than `room` if some are missing */
    uint64_t room;
    uint64_t unused[5];
    record_entry entries[];
} record;

/* Begin a record in the file `path`, which is replaced.  Errors: WEFT_E_INVALID (no such file can be made). */
weft_err weft__record_open(runtime *rt, const char *path);
void weft__record_close(runtime *rt);
/* f, which runs, is at a scheduling point. */
void weft__record_point(runtime *rt, const fiber *f);

/* A private copy of the entries of a record, *bytes of it to be released by weft__os_release_file.  NULL: it is none. */
record_entry *weft__record_load(const char *path, uint64_t *n, void **mapped, size_t *bytes);

/* The name of f's task; 0: it has none. */
uint64_t weft__record_name(const fiber *f);
uint64_t weft__record_name_of_block(const weft_fiber *s);
/* The next child's of f, or of a thread (NULL). */
uint64_t weft__record_child(runtime *rt, fiber *f);

#endif
