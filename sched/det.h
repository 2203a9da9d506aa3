/* sched/det.h -- the deterministic executor: one worker, on the thread of the caller.
 *
 * It is the parallel executor with one worker, but for this:
 *
 *   thread   nobody's: whoever calls (weft_call), or waits from outside (drive), is the worker as long as that takes, one
 *            thread at a time.  weft_call runs its function on the caller's own stack, as a fiber like others.
 *   ready    whatever becomes ready goes into `line`; the worker's own queue is always empty, so that every pop takes the
 *            slow path, and the attention word is never 0, so that every push, fork and join does.  The fast paths know
 *            nothing of this executor.
 *   points   at a scheduling point others may run first, if the strategy says so (sched/explore.h), or the record that is
 *            followed (sched/record.h)
 *   outside  what other threads make ready, and timers of a real clock, are let in when nothing else can go on, or
 *            everything else has but polled for long
 *   loop     at the bottom of its carriers is a loop of its own: whatever a task that ended made ready goes through `line`
 *
 * Everything here is touched by the worker alone, but for `busy` and `wanted`:
 *   busy     a lock.  Taken by an RMW of acquire order, given up by a seq_cst store, which is a release: who is the worker next
 *            sees all that the last one did
 *   wanted   seq_cst, as that store.  Who wants the turn counts himself before he looks at `busy`, and who gives it up looks at
 *            `wanted` after his store: one of the two sees the other.  Who rests is woken through the idle mask, as by work
 *
 * Rejected: an executor of its own beside the parallel one (two implementations of every wait, of which one is tested); one
 * thread per runtime (a schedule is then the kernel's matter wherever the two meet, and a debugger has to follow).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_DET_H
#define WEFT_SCHED_DET_H

#include "sched/explore.h"
#include "sched/worker.h"

#define POINTS_MOST 1000     /* it may wait for others by checkpoints: it yields */
#define POLLS_MOST 100       /* they may wait for what is outside: it is let in */
#define DET_ALTERNATIVES 256 /* of one choice; what is beyond is not considered */

/* Not on the stacks of fibers, which may be tiny. */
typedef struct alternatives {
    item items[DET_ALTERNATIVES];
    uint64_t who[DET_ALTERNATIVES];
    uint32_t n;
} alternatives;

typedef enum det_rest {
    DET_WAIT,    /* for what comes from outside */
    DET_REST,    /* only if that is announced, or a timer of the real clock is armed */
    DET_NOT,     /* for nothing */
} det_rest;

typedef struct det {
    explorer explorer;
    fifo line[PRIORITIES]; /* ready; of each priority in the order in which it became so */
    weft_task *claimed;    /* a forked child that was picked and put back: its links are its siblings' */
    fifo outside;          /* came from outside, not yet let in */
    bool child_next;       /* by itself: children and ready work take turns */
    unsigned turn;         /* what was taken so far */
    unsigned points;       /* since the last yield, wait or end, */
    unsigned polls;        /* and yields since the last wait or end */
    bool yields;           /* the next pop is a yield's */
    bool calm;             /* no scheduling points: who ends a run has seen enough */
    uint64_t steps, most;  /* turns since it was said that there is no end to them, and how many may be; 0: any number */
    uint64_t strands;      /* forked children that got a carrier: names for them */
    bool (*until)(void *); /* what the thread waits for, while it drives; NULL: for nothing, a function runs on its stack */
    void *until_arg;
    det_rest at_rest;      /* and whether it waits on when nothing can go on */
    wait_queue blocked;    /* fibers that wait until all others do */
    uint64_t rests;        /* how often all did */
    bool rested;           /* since then a wait that polls has had the time to look */
    fiber *root;           /* the caller's stack, while its function runs, */
    weft_task task;        /* which is this task */
    void *record;          /* that is followed, mapped */
    size_t record_bytes;
    alternatives at_hand;  /* of the choice that is made */
    bool given_up;         /* the last drive ended at rest */
    _Atomic uint32_t busy; /* futex: a thread is the worker */
    _Atomic uint32_t wanted; /* threads that wait to be it */
} det;

weft_err weft__det_open(runtime *rt, const weft_options *o);
/* All has ended, or is given up. */
void weft__det_close(runtime *rt);

/* Run fn(arg) on this thread; returns its exit. */
weft_exit weft__det_call(runtime *rt, void (*fn)(void *), void *arg);
/* Be the worker until until(arg), which any thread may ask, or until nothing can go on.  At rest the turn passes to another
 * thread that wants it. */
void weft__det_drive(runtime *rt, bool (*until)(void *), void *arg, det_rest at_rest);
/* The same, at most until a time of the real clock; INT64_MAX: without end.  At rest it waits. */
void weft__det_drive_for(runtime *rt, bool (*until)(void *), void *arg, int64_t deadline);
/* Wait until all others do. */
weft_exit weft__det_blocked(fiber *f);

/* Write to standard error how this run can be had again. */
void weft__det_tell(const det *d);

/* The halves of weft__det_call, for a caller whose function is the code between them. */
void weft__det_enter(runtime *rt);
weft_exit weft__det_leave(runtime *rt);

/* ---- what other files call when rt->det ---------------------------------------------------------------- */

void weft__det_ready(worker *w);          /* what is in the worker's queue is ready */
void weft__det_put_back(worker *w, item i); /* picked, not used */
item weft__det_pop(worker *w);
item weft__det_fiber(worker *w);          /* a ready fiber, no task: for when there is no stack for another */
bool weft__det_any(const worker *w);      /* is anything ready? */
bool weft__det_wanted(const runtime *rt); /* false without an executor */
void weft__det_forked(fiber *f);          /* after a fork */
void weft__det_rest(worker *w);           /* nothing is ready, and no stack to look for work on: for a wait that polls */
void weft__det_point(fiber *f);
void weft__det_minor_point(fiber *f);     /* one that records do not have: fork, join, checkpoint */
void weft__det_yield(fiber *f);
_Noreturn void weft__det_loop(fiber *self);
uint64_t weft__det_strand(det *d); /* a name for one more that has a stack */

#endif
