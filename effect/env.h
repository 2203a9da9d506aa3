/* effect/env.h -- values that are installed: brackets around what they are in force for.
 *
 * A bracket is a vector of evidence (sched/evidence.h) whose entries are values, behind a region of kind WEFT__PROMPT, in its
 * installer's frame: so children find it as they find handlers.  Always shared.
 *
 *   V1  an entry's value lies where its binding's does, which outlives the bracket; a copy's in the copy
 *   V2  what is made later (effect/lazy.c) is counted: by the bracket, and by each copy
 *
 * Rejected: a map with reference counts that is copied at each provide (an allocation, and a search at each read); a value
 * in the entry itself (readers would have to know its size before they know where it is). SPDX-License-Identifier:
 * Apache-2.0 OR MIT */
#ifndef WEFT_EFFECT_ENV_H
#define WEFT_EFFECT_ENV_H

#include "sched/evidence.h"
#include <weft/env.h>

struct weft__provided {
    installed at; /* must be first */
    fiber *f;     /* NULL: a plain thread's */
    const weft__evidence *before;
};

/* The caller's. */
const weft__evidence *weft__env_here(void);

/* Around `outer`, which need not be the caller's. */
size_t weft__provide_room_in(const weft__evidence *outer, const evidence_item *items, size_t n);
weft__provided *weft__provide_begin_in(void *room, const weft__evidence *outer, const evidence_item *items, size_t n);

/* fn(arg) as a plain call, but what it says by weft_fail is its own exit, if it returns none.  The exit's reference is the
 * caller's. */
weft_exit weft__env_call(weft_exit (*fn)(void *arg), void *arg);
/* The same with the list in force, which is a good one. */
weft_exit weft__env_call_with(const weft_binding *list, size_t n, weft_exit (*fn)(void *arg), void *arg);

/* What is to be made (effect/lazy.c). */
weft__lazy *weft__lazy_new(const weft_binding *b); /* NULL: no memory */
/* It is installed in e's shared part: that is what it sees. */
void weft__lazy_installed(weft__lazy *l, const weft__evidence *e);
const void *weft__lazy_value(weft__lazy *l); /* NULL: not made yet */
weft_exit weft__lazy_ask(const weft__entry *e, const void **value);
#endif
