/* sched/spawn.h -- spawned fibers: the block behind a handle, and the end protocol.
 *
 * The block is a slab object: header, then the task's descriptor at a fixed place (weft/fiber.h writes the input
 * there), so a spawned task is run like any other.  Its memory is never unmapped while the runtime is open; `id` is 0
 * in a free block, so a stale handle is noticed.
 *
 * How it ends, and who frees the block: sched/end.h, on the descriptor's `join`.
 *
 * Counting.  Each worker counts what it spawned and what it ended; a runtime is drained when the ended, summed first,
 * equal the spawned, summed after: ended only grows, and never beyond spawned.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_SPAWN_H
#define WEFT_SCHED_SPAWN_H

#include "sched/end.h"
#include "sched/fiber.h"
#include <weft/fiber.h>

typedef struct runtime runtime;
typedef struct weft_fiber weft_fiber;

enum { SPAWN_DAEMON = 1, SPAWN_DETACHED = 2, SPAWN_KEPT = 4 /* ended, on its scope's list */ };

/* What few fibers have: allocated when the first of it is needed, freed with the block. */
typedef struct spawn_more {
    const char *name;
    _Atomic(struct grace *) grace;   /* sched/interrupt.c */
    struct binding *locals;          /* snapshot for the start; afterwards what is left for a merge */
    wait_queue started;              /* DONE once weft_started was called, or the fiber has ended */
    _Atomic uint32_t did_start;      /* the former */
    struct carried *carried;         /* sched/carried.h; NULL: nothing */
    const struct weft__evidence *env; /* what it starts with, NULL: nothing; a reference (sched/evidence.h) */
    uint64_t path, births;           /* sched/record.h: its name, and its children so far, which are its own to count */
} spawn_more;

/* Bits of `asked`. */
enum { ASKED_STOP = 1, ASKED_SOON = 2, ASKED_DETACHED = 4, ASKED_SEEN = 8, /* somebody looked at the exit */
       ASKED_DETACHING = 16, ASKED_ENDING = 32 /* sched/cancel.c */ };

struct weft_fiber {
    runtime *rt;          /* overwritten while the block is free */
    _Atomic uint64_t id;  /* 0: free */
    union {
        weft_exit exit;   /* written before E2; until then */
        struct weft_fiber *in[2]; /* next, previous of those that belong to `scope`, under its lock */
    };
    weft__node *scope;    /* where it belongs; the runtime's node has no list */
    _Atomic(fiber *) on;  /* the stack it is on, while it has one */
    _Atomic(spawn_more *) more;
    uint16_t bound;       /* SPAWN_BOUND until it starts, then the worker */
    _Atomic uint16_t home; /* the worker in whose own queue it lies unstarted, and HOME_OLD; or BOUND_NOWHERE; that worker alone */
    _Atomic uint8_t status, asked;
    uint8_t flags;
    uint8_t cls : 3, size_class : 2, priority : 2, special : 1; /* special: has any of what most have not */
    weft_task task;       /* at WEFT__FIBER_TASK; name##_task begins here.  task.place: see spawn_why */
};

#define SPAWN_CLASSES 4
#define HOME_OLD 0x4000 /* in `mine`, no longer in `fresh` (sched/queue.h) */

static inline weft_fiber *spawn_of_task(weft_task *t) { return (weft_fiber *)((char *)t - WEFT__FIBER_TASK); }

static inline const weft_site *spawn_site(const weft_fiber *s) {
    return (const weft_site *)(s->task.site & ~(uintptr_t)WEFT__SITE_BITS);
}
static inline const char *spawn_name(weft_fiber *s) {
    spawn_more *m = atom_load_acq(&s->more);
    return m && m->name ? m->name : spawn_site(s)->name;
}

/* A queue that ends once: DONE, all that wait are woken; wait for that on a plain thread. */
void weft__queue_finish(wait_queue *q);
bool weft__queue_done(void *q); /* a wait_queue */
waiter *weft__queue_win_all(uintptr_t word);
bool weft__queue_wait_thread(wait_queue *q, int64_t deadline);

/* Why it was interrupted, 0 if it was not: a reference, in a word that has no other meaning in a spawned task. */
static inline _Atomic uint64_t *spawn_why_word(weft_fiber *s) { return &s->task.place; }
static inline const weft_cause *spawn_why(weft_fiber *s) { return (const weft_cause *)(uintptr_t)atom_load_acq(spawn_why_word(s)); }

/* Wait for a waiter without a fiber; the thread blocks. */
void weft__wait_thread(waiter *me);

/* Is h a fiber whose handle was not dropped?  weft__known: or the caller itself. */
bool weft__alive(weft_handle h);
bool weft__known(weft_handle h);
/* Wait for the end; the exit of the wait, not of the fiber. */
weft_exit weft__await_end(weft_handle h);
/* What f's task is called. */
const char *weft__fiber_name(const fiber *f);

/* Give the block back: its fiber has ended, nobody has its handle. */
void weft__block_free(weft_fiber *s);

/* The rare part, made if there is none; NULL: no memory. */
spawn_more *weft__spawn_more(weft_fiber *s);

/* Wakes one that waits: called by who has won the wait. */
void weft__wait_over(waiter *w);

/* A scope ends and gives up the handle of a fiber that has ended. */
void weft__spawn_forget(weft_fiber *s);

/* Has every counted fiber ended?  Any thread. */
bool weft__drained(runtime *rt);

#endif
