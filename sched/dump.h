/* sched/dump.h -- what everybody is doing, as text.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_DUMP_H
#define WEFT_SCHED_DUMP_H

#include "sched/worker.h"
#include <weft/dump.h>

/* Tell .on_report who has not ended and what each waits for, below a title; returns how many they are, fibers and
 * calls, daemons not counted.  On a worker: at rest.  Never suspends; takes half a page of stack. */
size_t weft__report_waiters(runtime *rt, const char *title);
/* At rest: is a mutex that a fiber waits for in the hands of something outside of rt, or a wait just being ended from there? */
bool weft__waits_outside(runtime *rt);
/* The name of something that runs, until the next call on this thread.  For threads that are no workers. */
const char *weft__busy_name(runtime *rt);

#endif
