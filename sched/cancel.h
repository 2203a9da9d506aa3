/* sched/cancel.h -- the tree of scopes, and how a cancel travels in it.
 *
 * Nodes.  Each task has a base node, in the control block of the fiber it runs on; scopes, masks and shields are
 * nodes in its frames, and `outer` leads from the innermost to the base.  From there it goes on to the node in which the
 * task was forked or spawned, and ends at the node of the runtime.  `outer` is written before a node is entered and
 * constant until it is left.
 *
 *   asked to stop?   upwards: walk from the innermost node; a node that is cancelled says yes, a mask or a shield ends
 *                    the walk.  The walk is made when the runtime's `epoch` differs from the task's copy: every cancel
 *                    counts it up, so a cancellation point of an undisturbed task is one load and one comparison.
 *   reach            downwards: a cancelled node wakes what waits below it: its owner (if the wait's floor allows), the
 *                    fibers that belong to it, and the nodes in `inner`, recursively.
 *
 * To be reached a node must be in its outer node's `inner`: it is published there, with all that is above it, when it
 * gets its first fiber, or when a forked task of it waits for the first time.  Before that there is nothing below it
 * that waits, but its owner, whom the outer nodes of the same task know.
 *
 * Who touches what.  outer, owner, kind, depth: written by the owner before anybody else knows the node.  state: anybody.
 * why: written under the lock, once, before CANCELLED is set; constant then.  fibers, inner, next, prev: under the lock of the node whose list it is.
 * Locks are taken from the outside in, and nothing suspends or waits under one, but for a wait that is about to open
 * (sched/wait.h, C2), whose owner holds none of these.
 *
 * Reaching too many is allowed: who is woken looks, and waits again if it was not meant.  Reaching too few is not.
 *
 * Rejected: a flag in each task, set by walking down (a task that is entered meanwhile is missed, and shields are in
 * everybody's way); registering each wait with its scope (two locks for each wait, where cancels are rare).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_CANCEL_H
#define WEFT_SCHED_CANCEL_H

#include "alloc/spin.h"
#include "sched/spawn.h"
#include "sched/worker.h"
#include <weft/cancel.h>

/* Bits of a node's state. */
enum {
    NODE_CANCELLED = 1,  /* stop */
    NODE_STOPPING = 2,   /* will be cancelled soon */
    NODE_PUBLISHED = 4,  /* is in outer->inner */
    NODE_MEMBERS = 8,    /* had fibers */
    NODE_HELD = 16,      /* causes live until it is left */
    NODE_TIMED = WEFT__TIMED,
    NODE_CLOSED = 64,    /* takes no more fibers */
    NODE_FAILED = 128,
    NODE_TIMEOUT = 256,  /* its deadline passed */
    NODE_NOTICED = 512,  /* somebody was stopped by it */
    NODE_SCOPE_0 = 1024,  /* from here on bits of the scopes themselves */
};

static inline weft__region *region_of(weft__node *n) {
    return (weft__region *)((char *)n - offsetof(weft__region, node));
}
static inline fiber *node_owner(const weft__node *n) { return (fiber *)n->owner; }
static inline void node_lock(weft__node *n) { spin_lock((spin *)&n->lock); }
/* Lock held. */
static inline weft__node *node_inner(weft__node *n) { return (weft__node *)atom_load_rlx(&n->inner); }
static inline void node_unlock(weft__node *n) { spin_unlock((spin *)&n->lock); }

/* A task begins on this stack; `outer` is where it was forked or spawned. */
static inline void node_task_begins(fiber *f, weft__node *outer) {
    f->base.outer = outer;
    atom_store_rlx(&f->base.state, 0); /* kind and depth are 0, why NULL, scope &f->base between tasks */
}

/* Make n, and all that is around it, reachable. */
void weft__node_publish(weft__node *n);
/* n, the base of a body, is in `to` from now on, whoever is in it. */
void weft__node_move(weft__node *n, weft__node *to);
/* Take n, which was published, out of its outer node. */
void weft__node_retract(weft__node *n);

/* The spawned fiber that f's task is, or is a forked child of; NULL if there is none. */
weft_fiber *weft__part_of(const fiber *f);
/* Where a fiber belongs that is spawned now: the innermost scope, the runtime's node if there is none. */
weft__node *weft__node_home(fiber *f);
/* s belongs to n from now on; from anywhere as long as n is open.  False: it is closed to new ones. */
bool weft__node_join(weft__node *n, weft_fiber *s);
/* s, of n, has ended with e: n's policy, then n may close.  The last access to n. */
void weft__node_ended(weft__node *n, weft_fiber *s, weft_exit e);
uintptr_t weft__node_drop(weft__node *n, weft_fiber *s); /* as end_drop */
bool weft__node_detach(weft__node *n, weft_fiber *s);
bool weft__node_keeps(weft_fiber *s);
/* A child of n failed. */
void weft__node_failed(weft__node *n, weft_exit e);
/* Owner: wait until all fibers of n have ended, drop what handles are left. */
void weft__node_close(fiber *f, weft__node *n);
/* Owner: leave it, whatever happened to it; its fibers have ended. */
void weft__region_end(weft__region *r, fiber *f);

/* Cancel n.  `why` is taken over; the first one counts.  Anybody for whom n stays open meanwhile. */
void weft__node_cancel(weft__node *n, const weft_cause *why);
/* Let n's owner, and all below, know that a cancel is near. */
void weft__node_stopping(weft__node *n);
/* The same for a spawned fiber whose block stays. */
void weft__fiber_cancel(weft_fiber *s, const weft_cause *why, bool soft);
/* Wake what waits below n, to look. */
void weft__node_reach(weft__node *n);

/* f is told that n, in which it is, is asked to stop. */
void weft__node_tells(fiber *f, weft__node *n);
/* The walk: {OK}, or the interrupt.  Updates f->pub.epoch when it may stay away until the next cancel. */
weft_exit weft__look_up(fiber *f);
/* Arms f's deadlines, and updates f->pub.epoch, without telling it. */
void weft__look_around(fiber *f);
/* Why f is asked to stop, a reference; NULL: it is not, or nobody said. */
const weft_cause *weft__why_stopped(fiber *f);
int64_t weft__deadline_around(fiber *f);

/* The waiters that only their carriers know (fiber.then), from f outwards.  open: their waits can be ended by others from
 * now on; returns the first of them.  look: those that are asked to stop are woken. */
fiber *weft__then_open(fiber *f);
void weft__then_look(fiber *f);
/* f is about to leave its stack in a wait that is not cancelled itself. */
void weft__look_and_stay(fiber *f);

/* A cancellation point: has anything happened since the last look? */
static inline bool cancel_due(const fiber *f) {
    return WEFT_UNLIKELY(f->pub.epoch != atom_load_seq(&f->w->rt->epoch));
}

#if defined(WEFT_FAULTS) && WEFT_FAULTS
/* The spawned fiber that f is, or works for, is asked to stop, if this point is to fail.  f holds no lock, and its wait has
 * not begun. */
void weft__fault_cancel(const fiber *f);
#else
static inline void weft__fault_cancel(const fiber *f) { (void)f; }
#endif

/* The same where a public function begins or ends that is a cancellation point. */
static inline bool cancel_point(const fiber *f) {
    weft__fault_cancel(f);
    return cancel_due(f);
}

/* Look at the next cancellation point, whatever the epoch. */
static inline void cancel_look_again(fiber *f) { f->pub.epoch = EPOCH_LOOK; }

/* f, whose wait somebody on this thread has won, is ready. */
void weft__wake(fiber *f);

#endif
