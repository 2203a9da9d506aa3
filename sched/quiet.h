/* sched/quiet.h -- rest: the moment when nothing in a runtime can go on by itself.
 *
 * A worker that is about to sleep looks whether it is the last one awake (sched/quiet_core.h): it takes its bit back, under
 * a lock, so that two that look at once do not each see the other; if every other worker sleeps, none woke meanwhile, no
 * work is public, in an inbox or outside, and none is announced, it is the only thread that runs anything of this runtime, and
 * that stays so until it makes something ready itself or somebody outside does.  That is rest, exactly, and costs the hot
 * paths nothing.
 *
 * What happens then, in this order:
 *   auto clock                                            time jumps to the next timer, which fires
 *   manual clock, being advanced                          the same up to the target; there, the advancer goes on
 *   inside weft_run, something has not ended, and no
 *   timer is armed                                        a deadlock: reported, and everything is interrupted
 *
 * Rejected: counting runnable fibers (an RMW on one line in each wake-up).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_QUIET_H
#define WEFT_SCHED_QUIET_H

#include "sched/worker.h"

/* w is about to sleep.  True: it has made something ready, and does not sleep; its bit is taken back. */
bool weft__quiet_look(worker *w);
/* The same for the only worker, which is not about to sleep. */
bool weft__quiet_alone(worker *w);
/* Everything is asked to stop, because there is no end to it: by turns as at a deadlock; the third time is a misuse. */
void weft__quiet_endless(runtime *rt);
/* Something that rest depends on has changed while all may sleep: let somebody look. */
void weft__quiet_changed(runtime *rt);

/* Announced work outside begins, ends. */
void weft__foreign_begins(runtime *rt);
void weft__foreign_ends(runtime *rt);

/* The monitor: an advance makes no progress. */
void weft__advance_watch(runtime *rt, int64_t now);

#endif
