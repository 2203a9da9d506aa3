/* weft/evidence.h -- which handler an effect means here: what inlined code knows of it.
 *
 * An effect (weft/handler.h) and a key of the environment (weft/env.h) are objects with a slot number.  A fiber's evidence is
 * a vector that leads from slots to what was installed for them, innermost only: so a perform finds its handler in three
 * loads, however many others lie in between.  Installing makes a new vector in the installer's frame, with the entries of
 * the one around it copied; a vector is never changed while anybody may read it.
 *
 * Slots are numbered when something is first installed for them.  Slot 0 is nobody's, and every vector's entry 0 is empty.
 *
 * Source: evidence passing (Xie, Leijen, Generalized Evidence Passing for Effect Handlers, 2021).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EVIDENCE_H
#define WEFT_EVIDENCE_H

#include <weft/fork.h>

WEFT_BEGIN_C

/* An effect, or a key: its address is its identity.  Made by WEFT_EFFECT and WEFT_KEY, one in a program for each name. */
typedef struct weft_effect {
    WEFT__ATOMIC(uint64_t) slot; /* 0: nothing was ever installed for it */
    const char *name, *file;
    int line;
    uint32_t payload, reply; /* bytes */
} weft_effect;

/* A place in a source file. */
typedef struct weft_place {
    const char *file;
    int line;
} weft_place;

typedef weft_exit weft__tail_fn(const void *payload, void *reply, void *self);
struct weft__entry;
typedef weft_exit weft__apart_fn(const struct weft__entry *e, const weft_effect *effect, const void *payload, void *reply,
                                 const weft_place *at);

enum { WEFT__TAIL, WEFT__ABORT, WEFT__ONCE, WEFT__PASS, WEFT__ELSEWHERE }; /* kinds of clauses */

typedef struct weft_clause {
    const struct weft_effect *effect;
    void (*fn)(void); /* a name__tail, name__abort or name__once (weft/handler.h) */
    uint32_t kind;
} weft_clause;

/* What was installed for a slot.  Constant while it is installed. */
/* The first four are all that a plain call and a pass look at. */
typedef struct weft__entry {
    weft__tail_fn *tail;                /* a clause that is a plain call; else NULL, and `apart` is called instead */
    void *self;
    const struct weft__evidence *outer; /* what holds while the clause runs */
    const struct weft__entry *next;     /* that of the slot in `outer`: one look for each that passes; NULL: none there */
    weft__apart_fn *apart;
    const weft_clause *clause;   /* NULL: a value of the environment, at `self` */
    struct weft__prompt *prompt;        /* the handler's frame; NULL in a copy, */
    struct weft__copy *copy;            /* which knows whether the frame is still there */
    union {
        uint64_t bytes;                 /* of a value */
        struct weft__lazy *lazy;        /* of one without `self`: made when it is first asked for; NULL: there was no memory */
    };
    const weft_effect *effect;          /* or key */
} weft__entry;

typedef struct weft__evidence {
    uint32_t fast; /* slots that a perform may look up itself: all of them, or 1 where effects are observed */
    uint32_t slots;
    const struct weft__evidence *outer;  /* around it; NULL: it is nobody's */
    const struct weft__evidence *shared; /* what children see of it; itself if that is all */
    const struct weft__observer *observers; /* innermost first */
    struct fiber *root;       /* the innermost body around that has a stack of its own, NULL: none.  What is not found here is
                               * looked for where that body is driven from */
    struct weft__copy *copy;  /* for spawned fibers, once one was */
    const weft__entry *own;   /* those that were installed with it */
    uint32_t n_own;
    const weft__entry *at[];
} weft__evidence;

/* What is installed for a key of the environment: its value, NULL if there is none.  A value that is made when it is first asked
 * for is asked for.  [any thread] [suspends if what makes the value does] */
WEFT_API WEFT_COLD const void *weft__env_find_slow(const weft_effect *key);
static inline const void *weft__env_find(const weft_effect *key) {
    struct weft__fiber *f = weft__self();
    uint64_t slot = weft__look(&key->slot);
    if (WEFT_UNLIKELY(!f)) return weft__env_find_slow(key);
    const weft__evidence *here = f->env;
    const weft__entry *e = slot < here->slots ? here->at[slot] : NULL;
    if (!e) return NULL;
    return WEFT_LIKELY(e->self != NULL) ? e->self : weft__env_find_slow(key);
}

WEFT_END_C
#endif
