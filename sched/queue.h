/* sched/queue.h -- a worker's ready work: what runs next, and how it becomes visible to others.
 *
 *   runnext   the fiber made ready last: it goes first, so that two that talk to each other hand the worker back
 *             and forth; at most RUNNEXT_MOST times in a row
 *   fresh     tasks that have not begun, spawned here: newest first, private.  So a tree of fibers is worked depth first, and what is
 *             begun is few; thieves take the oldest, and so does every OLDEST_TURNSth turn, and a yield makes all of them old:
 *             they go behind `mine`
 *   mine      first in first out, private: fibers that were woken, what grew old, what was stolen.  Takes turns with fresh
 *   high, low as mine, for the other priorities: high before everything, low when there is nothing else, but for one in
 *             so many turns
 *   bound     fibers that may not leave this worker, private
 *   open      the public run queue (sched/run_queue.h): filled on request
 *   inbox     what other threads send to this worker in particular
 *
 * Only the owner touches all these.  Ready work does not strand behind a computing owner: whoever makes
 * something ready looks whether somebody asked (WANT is set by every worker before it sleeps) and then publishes all of it,
 * and, from then until it next comes here for work, whatever else it makes ready.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_QUEUE_H
#define WEFT_SCHED_QUEUE_H

#include "sched/inbox.h"
#include "sched/item.h"
#include "sched/run_queue.h"

typedef struct queue {
    item runnext;
    unsigned streak; /* runnext taken this often in a row */
    unsigned turn;   /* dispatches */
    bool sharing;    /* somebody asked since the last dispatch: publish at once */
    fifo fresh, mine, bound, high, low;
} queue;

typedef struct runtime runtime;

/* Any thread that is no worker of rt: the same, through the injection list. */
void weft__inject(runtime *rt, item i);
/* The same for a fiber that waits, by somebody who holds nothing else of rt: once pushed it may run, end, and let its
 * runtime be closed, while this thread still looks for sleepers there.  Until then the fiber itself keeps it open. */
void weft__inject_visiting(runtime *rt, item i);

/* Owner: take everything out of the inbox, and the injection list if `outside`. */
void weft__queue_collect(worker *w, bool outside);
/* Owner: move private items, at least one if there is one, to the public queue: half of them, or all.  Returns how many;
 * the caller notifies. */
unsigned weft__queue_share(worker *w, bool all);

/* Of PRIORITY_NORMAL ... */
unsigned weft__queue_priority(item i);
/* A spawned task that leaves this worker's own queue can no longer be taken out of it by its awaiter. */
void weft__queue_forget_home(item i);
/* Stolen: to the end of its line, and if it has not begun it is as if it had been spawned here. */
void weft__queue_adopt(worker *w, item i);
/* All that is fresh is old: behind mine, oldest first. */
void weft__queue_age(worker *w);

/* For WEFT__RARE: send f to another worker, one that sleeps if there is one.  False: it comes from another one anyway, is
 * bound, or there is none. */
bool weft__ready_elsewhere(worker *w, fiber *f);

/* The slow halves of what sched/worker.h inlines. */
void weft__ready_slow(worker *w, item i);    /* it is queued, and somebody asks */
void weft__ready_special(worker *w, item i); /* it is bound, or of another priority */
/* To the end of its line, whatever it is; one bound elsewhere is sent there. */
void weft__queue_put(worker *w, item i);
/* Back to where it was just taken from, so that it is next there. */
void weft__queue_put_back(worker *w, item i);
item weft__queue_pop_line(worker *w); /* not what was to run next */
item weft__queue_pop_slow(worker *w);

#define RUNNEXT_MOST 8 /* then the others have their turn */
#define FAIR_TURNS 64  /* every so many dispatches look first at what is public or comes from outside; a power of two */
/* Every so many take the oldest fresh task, which may be the root of a large tree: with 64 a tenth of the tree's inner nodes would be
 * begun early, each with a stack. */
#define OLDEST_TURNS 1024

static inline bool queue_is_empty(const queue *q) {
    return !q->runnext && (q->fresh.n | q->mine.n | q->bound.n | q->high.n | q->low.n) == 0;
}
/* Anything another worker could run? */
static inline bool queue_has_spare(const queue *q) { return q->runnext || (q->fresh.n | q->mine.n | q->high.n | q->low.n) != 0; }

static inline fifo *queue_of_priority(queue *q, unsigned priority) {
    return priority == PRIORITY_NORMAL ? &q->mine : priority == PRIORITY_HIGH ? &q->high : &q->low;
}

/* pre: i, a task that has not begun, of that priority, is on its line: fresh, unless it is old. */
static inline void weft__queue_remove(queue *q, item i, unsigned priority, bool old) {
    fifo_remove(priority == PRIORITY_NORMAL && !old ? &q->fresh : queue_of_priority(q, priority), i);
}

/* A fiber of normal priority, to the end of its line. */
static inline void weft__queue_behind(queue *q, item i) { fifo_push(&q->mine, i); }

/* What was to run next does not. */
static inline void weft__queue_displaced(queue *q, item i) { fifo_push(item_fiber(i) ? &q->mine : &q->fresh, i); }

/* pre: mine or fresh has something. */
static inline bool queue_fresh_is_next(const queue *q) { return q->fresh.n != 0 && (q->mine.n == 0 || (q->turn & 1)); }

#endif
