/* effect/handler.h -- what lies in the frame of a handler, and how a perform reaches it.
 *
 * A prompt begins with its region, so that what a body forks and waits for is inside of it.  `state` is decided once:
 *
 *   OPEN --whoever performs an effect with an abort clause, compare-and-swap--> CLAIMED --the same, payload copied--> ABORTED
 *
 *   H1 who claims writes the payload, then ABORTED, then cancels the region
 *   H2 the owner reads the payload when its body has returned.  Who claims is the owner, or a forked child, joined by then,
 *      or a spawned fiber, which claims under the lock of the copy that the owner takes when it ends its evidence
 *   H3 so an abort clause runs after its body, on the owner's fiber, alone: it needs no other care
 *
 * A body with a once clause has a stack of its own and is a task of its own (effect/once.c); then the region is not used, and
 * the base node of that stack's fiber is in its place.
 *
 * Rejected: running the clause at the perform (it would need a place for its answer that outlives an owner that goes on, and
 * would be shared by children); unwinding by longjmp or exceptions (C frames have no finalizers of their own).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EFFECT_HANDLER_H
#define WEFT_EFFECT_HANDLER_H

#include "sched/evidence.h"
#include <weft/handler.h>

enum { PROMPT_OPEN, PROMPT_CLAIMED, PROMPT_ABORTED };

typedef struct weft__prompt {
    installed at; /* must be first */
    const weft_handler *handler;
    fiber *owner;  /* whose body it is; NULL: a plain thread's */
    fiber *body;   /* it has a stack of its own: its fiber; else NULL */
    _Atomic uint32_t state;
    const weft_clause *aborted_by; /* H1 */
    void *payload;                 /* room for the largest of an abort clause */
} prompt;

/* How many items a handler installs, and the room for its abort clauses' payloads; SIZE_MAX: a clause is not one. */
size_t weft__handler_items(const weft_handler *h, size_t *payload);
/* Those items; returns how many there are. */
size_t weft__handler_fill(const weft_handler *h, prompt *p, evidence_item *items);

/* The body of h is over, and an effect has ended it: what its clause says. */
weft_exit weft__prompt_answer(prompt *p, void *answer);
static inline bool prompt_aborted(prompt *p) { return atom_load_acq(&p->state) == PROMPT_ABORTED; }

/* h has a clause that gets a continuation. */
bool weft__handler_once(const weft_handler *h);
/* effect/once.c */
weft_exit weft__handle_once(const weft_handler *h, const weft__body *b);
weft_exit weft__perform_once(const weft__entry *e, const weft_effect *effect, const void *payload, void *reply,
                             const weft_place *at);
weft_exit weft__perform_abort(const weft__entry *e, const weft_effect *effect, const void *payload, void *reply,
                              const weft_place *at);

/* As seen from `from`. */
weft_exit weft__perform_outwards(const weft_effect *effect, const void *payload, void *reply, const weft_place *at,
                                 const weft__evidence *from);

extern const weft__entry weft__entry_elsewhere;

/* What a body said, and whether it was stopped, becomes what weft_handle says. */
weft_exit weft__body_exit(fiber *f, weft_exit said, bool stopped);
#endif
