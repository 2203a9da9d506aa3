/* sched/local.h -- fiber-locals: a list of bindings, newest first; and the causes a task holds.
 *
 * Only the task itself changes its list, by adding in front or by storing a new value into a binding it owns; forked
 * children that were stolen read it meanwhile, so links are published and values are atomic, and a binding lives until
 * its task ends.  A stolen child's own list begins where its parent's was.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_LOCAL_H
#define WEFT_SCHED_LOCAL_H

#include "sched/spawn.h"
#include <weft/local.h>

typedef struct binding {
    struct binding *older;
    const weft_local *key;
    _Atomic(void *) value;
    fiber *of;   /* the fiber whose task may change it; NULL: a snapshot for a fiber that has not started */
    bool made;   /* by copy or merge: to be dropped */
} binding;

/* What s gets from the fiber that spawns it.  False: no memory. */
bool weft__locals_inherit(fiber *from, weft_fiber *s);
/* Free a snapshot, dropping what was made. */
void weft__locals_free(binding *b);
/* The list a forked child starts with. */
binding *weft__locals_of(weft__node *forked_in);

/* c's own go on into `older` from now on. */
void weft__locals_root(fiber *c, binding *older);

/* A task ends on self: its locals go (or stay with its block, for a merge), its held causes are let go. */
void weft__task_leaves(fiber *self);

/* e's cause lives until the caller's innermost scope ends; on a plain thread until weft_exit_drop. */
weft_exit weft__hold(fiber *f, weft_exit e);
/* The same, taking over the caller's reference. */
weft_exit weft__hold_own(fiber *f, weft_exit e);
/* The causes that came to n are let go. */
void weft__release_held(fiber *f, weft__node *n);

#endif
