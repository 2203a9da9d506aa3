/* tests/model/explorer/machine.h -- the memory of the modelled machine: C11's model, operationally.
 *
 *   location   an atomic variable: the list of all values ever stored to it (messages), oldest first
 *   view       for each location the oldest message one may still read
 *   clock      for each thread the last of its epochs that happened before; orders plain data
 *
 * A load picks any message its thread's view allows (seq_cst: not older than the last seq_cst store), and
 * moves the view there; acquire joins the view and clock that a release stored along.  A read-modify-write
 * reads the newest message and continues its release sequence.  A failed compare-and-exchange is a load.
 *
 * A seq_cst fence and memory: the thread learns of every seq_cst store before it and of what every thread knew at an
 * earlier fence; later seq_cst loads and fences learn what it knows.  `newest_seq` is both, by location.
 *
 * Left out: stores that enter the modification order before one already executed, and loads that take values
 * of stores which follow them in program order (load buffering): what only those allow is not found.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_MODEL_MACHINE_H
#define WEFT_MODEL_MACHINE_H

#include "tests/model/explorer/model.h"

enum { LOCATIONS = 24, MESSAGES = 64 };

typedef struct view {
    uint8_t at[LOCATIONS]; /* by number of the location, which depends on the execution */
    uint32_t clock[MODEL_THREADS];
} view;

typedef struct message {
    uint64_t value;
    view carried;
} message;

typedef struct location {
    volatile void *address;
    size_t bytes;
    unsigned newest, newest_seq; /* _seq: the last seq_cst store, or what was known at a fence */
    uint32_t accessed[MODEL_THREADS]; /* epochs */
    unsigned born_by;
    uint32_t born;
    message m[MESSAGES];
} location;

extern bool machine_sc; /* loads read the newest message: interleavings only */

void machine_reset(void);
void machine_start_thread(view *v, unsigned thread);

/* How many ways the access can go now; then do the nth, which returns what was there before. */
typedef struct access {
    int kind, order;
    volatile void *p;
    size_t bytes;
    uint64_t operand, expected;
    bool succeeded; /* CAS */
    bool unordered; /* set: a reuse of the variable is not ordered with the access */
    bool old;       /* set: a message was read that is not the newest */
} access;

unsigned machine_options(const view *v, const access *a);
uint64_t machine_do(view *v, unsigned thread, access *a, unsigned option);

/* Doing the access first loses nothing: whatever others do before it they can do after it with the same
 * outcome.  So for a store that is not seq_cst to a variable nobody else ever stores to (readers may still
 * read what was there before), and a load by the only one who stores.  Who stores where is learnt:
 * machine_learnt says that in this execution a variable got a writer not known before: what was explored
 * so far, without knowing, is void. */
bool machine_goes_first(const view *v, unsigned thread, const access *a);
bool machine_learnt(void);
void machine_forget_writers(void);

/* Newest value; `v` non-NULL: the thread will not read an older one from now on. */
uint64_t machine_newest(volatile void *p, size_t bytes, view *v);
bool machine_reuse(view *v, unsigned thread, volatile void *p, size_t bytes, uint64_t value);

/* Hash of memory and of what n threads know of it.  Positions count from the newest message, and what a clock
 * says is asked of `knows`, so that executions meet again whatever number of steps they took. */
uint64_t machine_hash(const view *const *views, unsigned n, uint64_t (*knows)(const uint32_t *clock));

uint64_t machine_mix(uint64_t a, uint64_t b);

#endif
