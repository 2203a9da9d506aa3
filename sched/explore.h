/* sched/explore.h -- what a run does at each of its choices: schedules, and the strategies that make them.
 *
 * A run of the deterministic executor (sched/det.h) is a sequence of choices among n >= 2 alternatives.  Alternative 0 is
 * what the executor does by itself: go on, or the first in line.  So a schedule is written down by the choices that were
 * others, its turns, and the empty schedule is first in, first out:
 *
 *   "12:1,40:2"       at choice 12 the alternative 1, at choice 40 number 2, else 0
 *   "12:1;21,9"       and of what came from outside, first fiber 21 was let in, then 9
 *
 * Strategies:
 *   fifo     0
 *   random   goes on with who runs with a probability that the seed decides (1/2 to 15/16), else any, all equally likely
 *   PCT      each fiber has a random priority, the highest goes on, and at two random choices whoever would go on becomes
 *            the lowest: finds a bug that needs at most 3 orderings with a probability of at least 1/(n k^2), n fibers and k
 *            choices (Burckhardt and others, ASPLOS 2010)
 *   dfs      all schedules of at most DFS_TURNS turns, one after the other
 *   replay   a given schedule; or a record of the parallel executor (sched/record.h), whose next name goes on
 *
 * Only numbers go in and out: nothing here knows a fiber.  One thread.
 *
 * Rejected: writing down every choice (a schedule that is minimised is then still as long as the run); naming fibers in a
 * schedule (it would have to name what they do as well).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_EXPLORE_H
#define WEFT_SCHED_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/runtime.h>

#define PCT_CHANGES 2      /* depth 3 */
#define TURNS_MOST 4096    /* of a schedule that is written down */
#define DFS_TURNS 2        /* bound on a depth-first search: turns, */
#define DFS_CHOICES 4096   /* and choices among which they may lie */

typedef struct turn {
    uint32_t at;     /* number of the choice, from 0 */
    uint16_t chosen; /* never 0 */
} turn;

/* A schedule that is written down. */
typedef struct schedule {
    turn *turns;
    uint64_t *outside; /* who was let in from outside, in order */
    uint32_t n, n_outside;
    uint32_t room, room_outside;
    bool cut; /* there were more turns than fit, or memory for them */
} schedule;

typedef struct explorer {
    weft_explore how;
    uint64_t seed, rng;
    uint32_t choices;   /* made so far */
    unsigned stay;      /* random: who runs goes on with probability 1 - 2^-stay */
    bool diverged;      /* replay: an alternative of the schedule was not there */
    schedule made;      /* what was done */
    schedule given;     /* replay, dfs: what to do */
    uint32_t at, at_outside; /* next of given */
    struct {
        uint32_t change[PCT_CHANGES]; /* at which choices */
        uint64_t low[PCT_CHANGES];    /* who became the lowest there, 0: nobody yet; the later, the lower */
    } pct;
    /* replay of a record: names in the order in which they went on; 0: has been seen to */
    uint64_t *record;
    uint64_t n_record, at_record;
    uint64_t bends; /* whose turn it was could not go on */
    /* dfs: how many alternatives there were */
    uint16_t *widths;
    uint32_t n_widths, room_widths;
} explorer;

/* length: choices that a run has, 0 if that is not known: PCT's changes lie among them.  text: a schedule, for replay.
 * Errors: WEFT_E_INVALID (the text is none), WEFT_E_NOMEM. */
weft_err weft__explore_begin(explorer *e, weft_explore how, uint64_t seed, uint32_t length, const char *text);
void weft__explore_end(explorer *e);

typedef enum explore_where {
    EXPLORE_GO_ON, /* at a point: the first is to go on with who runs */
    EXPLORE_NEXT,  /* who runs waits, or ends */
    EXPLORE_YIELD, /* who runs makes place for others: they may wait for each other by yields, so no priorities are for ever */
} explore_where;
/* Which of n >= 2 alternatives?  who[0..n): their names, 0 for none. */
uint32_t weft__explore_choose(explorer *e, const uint64_t *who, uint32_t n, explore_where where);
/* Is something done that is not done by itself? */
bool weft__explore_flip(explorer *e);
/* Follow a record in place of the schedule given; the array is the caller's, and written. */
void weft__explore_follow(explorer *e, uint64_t *names, uint64_t n);
static inline bool explore_follows(const explorer *e) { return e->record != NULL; }
/* Does the strategy ask at all? */
static inline bool explore_asks(const explorer *e) { return e->how != WEFT_EXPLORE_FIFO; }

/* Who is let in next, 0: whoever came first.  And: that one was. */
uint64_t weft__explore_outside(const explorer *e);
void weft__explore_let_in(explorer *e, uint64_t who);

/* Room for whatever a run may write down: while it goes on nothing is allocated, on the stack of whichever fiber that would be.
 * False: there is no memory. */
bool weft__explore_reserve_made(explorer *e);
/* And for whatever may be given to it. */
bool weft__explore_reserve(explorer *e);
/* Begin another run by this strategy; `given` stays. */
void weft__explore_restart(explorer *e, weft_explore how, uint64_t seed, uint32_t length);
/* What is done is what was done. */
void weft__schedule_copy(schedule *to, const turn *turns, uint32_t n, const uint64_t *outside, uint32_t n_outside);

/* dfs: what a run has shown leads to the next schedule, in `given`.  False: there is none. */
bool weft__explore_next(explorer *e);

/* As above, with its end; at most `room` bytes.  Returns how long it is. */
size_t weft__schedule_print(const schedule *s, char *to, size_t room);
/* Errors: WEFT_E_INVALID (also one of more turns than fit), WEFT_E_NOMEM; then s is empty. */
weft_err weft__schedule_parse(schedule *s, const char *text);
void weft__schedule_free(schedule *s);

#endif
