/* sched/evidence.h -- evidence: making, inheriting, copying it.
 *
 * What is installed lies in the installer's frame, behind a region (weft/cancel.h) of kind WEFT__PROMPT, so that the tree of
 * scopes knows under which handlers a child was forked.  Three kinds of readers:
 *
 *   the fiber itself   reads env, its own; E1: env's frames are below it on its stack, or (a continuation) on stacks that
 *                      are suspended until it returns
 *   forked children    see the `shared` part of what was installed where they were forked, E2: joined before the frame goes.
 *                      Run by their joiner they see no more: their parent's fiber has WEFT__APART for `low`, so that each
 *                      join takes the slow path, which changes env around the child's call
 *   spawned fibers     see a copy of the shared part, counted, E3: made at most once for each frame, published by a
 *                      compare-and-swap, told under its lock when the frame goes
 *
 *   E4  low is WEFT__APART wherever a child that is called here must not see all of env.  A perform changes env alone,
 *       outwards, where children see no less than before: so inside of a clause low may be APART without need, and what changes both puts
 *       back what it found, not what env would ask for
 *
 * A body with a stack of its own (effect/once.c) may go on elsewhere, below other frames, or when those around it have gone.  So it
 * has a copy, as spawned fibers have; what is not shared it finds through `root`, where its driver is, at the price of a walk.
 *
 * What a clause forks sees what the clause does, or, stolen, what children of the performer see: only one of the two could be
 * had without a store for each fork or each perform, so neither is promised.
 *
 * Rejected: a mutable table in each fiber (a stolen child would read what its parent changes); a chain that is searched
 * (a perform below a hundred handlers would pay for each).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_EVIDENCE_H
#define WEFT_SCHED_EVIDENCE_H

#include "alloc/spin.h"
#include "sched/audit.h"
#include "sched/fiber.h"
#include <weft/cancel.h>
#include <weft/evidence.h>

/* What every frame that installs something begins with. */
typedef struct installed {
    weft__region region;
    const weft__evidence *evidence;
    char *low; /* E4: the installer's, as it was */
} installed;

typedef struct weft__observer {
    weft_exit (*see)(const weft_effect *effect, const void *payload, const weft_place *at, void *self);
    void *self;
    const weft__evidence *outer; /* in force while it looks */
    const struct weft__observer *next;
} weft__observer;

/* A value that is made when it is first asked for (effect/lazy.c): counted, by the frame that provides it and by each copy. */
typedef struct weft__lazy {
    _Atomic uint64_t refs;
    const void *(*get)(const weft__entry *e); /* NULL: it could not be made */
    size_t bytes; /* of its memory */
} weft__lazy;

/* A copy for spawned fibers, with the entries, and the values of entries that are values, behind it. */
typedef struct weft__copy {
    _Atomic uint64_t refs;
    spin lock;
    struct weft__prompt *prompt; /* whose handler it is; NULL once the frame has gone.  Under the lock */
    size_t bytes;
    weft__observer observer;
    weft__evidence evidence;
} weft__copy;

/* One thing to install. */
typedef struct evidence_item {
    const weft_effect *effect;
    weft__entry entry;
} evidence_item;

extern const weft__evidence weft__no_evidence;

/* What it takes: bytes, best aligned to EVIDENCE_ALIGN, so that what a perform looks at lies in one line; at least to 16.
 * Numbers the effects. */
enum { EVIDENCE_ALIGN = 32 };
size_t weft__evidence_room(const weft__evidence *outer, const evidence_item *items, size_t n, bool shared);
/* In that room: items (and what is observed, if see is not NULL) around which `outer` holds.  shared: children see it. */
const weft__evidence *weft__evidence_make(void *room, const weft__evidence *outer, const evidence_item *items, size_t n,
                                          const weft__observer *see, bool shared);
/* The frame goes. */
void weft__evidence_end(const weft__evidence *e);
/* What holds around a body with a stack of its own, where `around` does and `kept` is its shared part, kept for as long: of what
 * is not shared the body, wherever it goes on, finds what is around its driver; `elsewhere` (WEFT__ELSEWHERE) stands for that. */
size_t weft__evidence_root_room(const weft__evidence *around);
const weft__evidence *weft__evidence_root(void *room, const weft__evidence *around, const weft__evidence *kept, fiber *body,
                                          const weft__entry *elsewhere);
/* Entry of a value that is there, or will be made. */
static inline bool entry_is_value(const weft__entry *e) { return !e->clause; }
void weft__lazy_drop(weft__lazy *l); /* NULL: none */
/* What is installed for a key, NULL: nothing.  `here`: what the caller sees. */
const weft__entry *weft__evidence_find(const weft__evidence *here, const weft_effect *effect);

/* What a child forked in n sees. */
const weft__evidence *weft__evidence_of(weft__node *n);
/* For a fiber that is spawned under e: a view that lives as long as it is kept.  NULL: no memory. */
const weft__evidence *weft__evidence_keep(const weft__evidence *e);
void weft__evidence_drop(const weft__evidence *e);

/* Of the calling thread, if it has no fiber; and what tasks see that it sends to a runtime. */
const weft__evidence *weft__evidence_of_thread(void);
void weft__evidence_set_thread(const weft__evidence *e);
/* Only what is shared of it, from now on; returns what it was. */
const weft__evidence *weft__evidence_thread_child(void);

/* ---- env of a fiber ------------------------------------------------------------------------------------- */

#define WEFT__APART ((char *)UINTPTR_MAX)

static inline bool evidence_is_apart(const fiber *f) { return f->pub.low == WEFT__APART; }

/* Owner of f. */
static inline void evidence_set(fiber *f, const weft__evidence *e) {
    f->pub.env = e;
    f->pub.low = WEFT_LIKELY(e->shared == e) ? f->low : WEFT__APART;
}

/* Owner of f, around whose frames `at` lies innermost: at->evidence holds; and no more. */
static inline void evidence_enter(installed *at, fiber *f) {
    at->low = f->pub.low;
    weft__region_enter(&at->region, &f->pub, WEFT__PROMPT);
    evidence_set(f, at->evidence);
    if (WEFT__RARE) weft__audit_evidence(f);
}
static inline void evidence_put_back(fiber *f, const weft__evidence *e, char *low) {
    f->pub.env = e;
    f->pub.low = low;
}
static inline void evidence_leave(const installed *at, const weft__evidence *outer, fiber *f) {
    evidence_put_back(f, outer, at->low);
    if (WEFT__RARE) weft__audit_evidence(f);
}

/* A child is called on its parent's stack, or (f is NULL) a plain thread's.  Returns what evidence_child_ends puts back. */
static inline const weft__evidence *evidence_child_begins(fiber *f) {
    if (WEFT_UNLIKELY(!f)) return weft__evidence_thread_child();
    const weft__evidence *own = f->pub.env;
    if (WEFT_LIKELY(!evidence_is_apart(f))) return own;
    const weft__evidence *shown = weft__evidence_of(f->pub.scope);
    if (shown != own) evidence_set(f, shown);
    return own;
}
static inline void evidence_child_ends(fiber *f, const weft__evidence *own) {
    if (WEFT_UNLIKELY(!f)) return weft__evidence_set_thread(own);
    if (WEFT_LIKELY(f->pub.env == own)) return;
    f->pub.env = own;
    f->pub.low = WEFT__APART; /* else it would not have been changed */
}

#endif
