/* effect/store.h -- the store of a fiber: values by key, copied when somebody else has them, too.
 *
 *   store   one for each fiber of a run; carried by it (sched/carried.h), seen by its forked children
 *   table   the values, one block: where the value of each key lies, then the values.  Counted; written only by a store that
 *           alone has it.  A snapshot is another count
 *
 * Who may touch a store without its lock: the code on the stack of its fiber, while none of the fiber's children is offered
 * to other workers (S1), for then nobody else knows the store.  A child is offered by its parent's stack alone, and what it
 * wrote is seen by the parent once it has joined it; so neither side needs more than the order that fork and join give.  All
 * others, and that stack in between, take the lock.
 *
 * carried.on says which stack that is, NULL while the store is lent; home which it is afterwards.  Both are written under the
 * lock, by who begins or ends a stack.  `on` is read without it, for one question, is it me: the answer is yes only where the
 * last one to write it was this stack, the driver that waits for it or goes on after it, or (release, acquire) the last body to
 * end, whose accesses come before.
 *
 * Rejected: a lock for each access (five times the cost of what it protects); a snapshot for each forked child (whether a
 * child is called or taken would be seen in its parent's store); a map that is searched.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EFFECT_STORE_H
#define WEFT_EFFECT_STORE_H

#include "alloc/spin.h"
#include "sched/carried.h"
#include "sched/thread.h"
#include <weft/builtin.h>

typedef struct table {
    _Atomic uint64_t refs;
    uint32_t slots, end; /* keys that have a place in `at`; where the next value may lie */
    size_t bytes;        /* of the block */
    uint32_t at[];       /* where the value lies, from the table's own address; 0: none */
} table;

enum { VALUE_HEAD = 16 }; /* its key's address, before each value */

typedef struct store {
    carried carried; /* must be first */
    spin lock;
    uint32_t lent;   /* to bodies with stacks of their own, who may go on beside the fiber: meanwhile nobody is S1.  Locked */
    _Atomic uint64_t refs; /* its fiber's block, and those bodies */
    table *table;    /* S1.  A reference, or NULL: empty; */
    uint64_t slots;  /* S1.  its slots, or 0: so a look at a value asks one thing less */
    uint64_t version; /* of puts under the lock */
    uint64_t random;
    struct run *run;  /* a reference (effect/run.h) */
    struct tree *task, *last; /* traced: its fiber, and the effect it performed last; under the run's lock */
} store;

/* Of the code that runs on f, or NULL. */
static inline store *store_of(const fiber *f) { return f ? (store *)(void *)f->carried : NULL; }

bool weft__store_alone_slow(const fiber *f);
/* S1.  With acquire: what a body that was lent the store wrote, before it ended, is seen. */
static inline bool store_alone(store *s, const fiber *f) {
    if (WEFT_UNLIKELY(atom_load_acq(&s->carried.on) != f)) return false;
    return WEFT_LIKELY(f->anchor == &f->root) || weft__store_alone_slow(f);
}

/* The value, or NULL. */
static inline void *table_value(table *t, const weft_state *key) {
    uint64_t slot = weft__look(&key->slot);
    return WEFT_LIKELY(t && slot < t->slots && t->at[slot]) ? (char *)t + t->at[slot] : NULL;
}
static inline void store_set_table(store *s, table *t) {
    s->table = t;
    s->slots = t ? t->slots : 0;
}
/* table_value of its table. */
static inline void *store_value(const store *s, const weft_state *key) {
    uint64_t slot = weft__look(&key->slot);
    return WEFT_LIKELY(slot < s->slots && s->table->at[slot]) ? (char *)s->table + s->table->at[slot] : NULL;
}
static inline const weft_state *table_key(const table *t, uint32_t slot) {
    return t->at[slot] ? *(const weft_state *const *)(const void *)((const char *)t + t->at[slot] - VALUE_HEAD) : NULL;
}
table *weft__table_keep(table *t);
void weft__table_drop(table *t);

/* Of a store that nobody else knows.  False: no memory. */
bool weft__store_put(store *s, const weft_state *key, const void *from);
/* A reference to what is in it now. */
table *weft__store_snapshot(store *s, fiber *f);
/* The next number of its sequence. */
uint64_t weft__store_random(store *s, fiber *f);
/* False: there is none. */
bool weft__store_get(store *s, fiber *f, const weft_state *key, void *to);

#endif
