/* sched/audit.h -- the invariants of the scheduler's structures, checked by walking them.
 *
 * Not for production: tests call these at quiet moments, builds with WEFT_DEBUG 2 at every slow fork and join, and where anything
 * is installed or leaves.
 * Each aborts with a text that names the invariant.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_AUDIT_H
#define WEFT_SCHED_AUDIT_H

#include "sched/worker.h"

/* C1 of sched/fiber.h, and that the list is one: older and newer agree, head ends it.  The fiber's own thread. */
void weft__audit_children(const fiber *f);
/* What is in force on f: E1 to E4 of sched/evidence.h, of every vector around it and of their copies.  The fiber's own thread. */
void weft__audit_evidence(const fiber *f);
/* Waits until every worker sleeps; then no work may be left anywhere.  A plain thread, while nobody calls. */
void weft__audit_quiet(runtime *rt);

#endif
