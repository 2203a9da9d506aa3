/* effect/explain.h -- a plan: what an effect is made of, as a list in the order of reading.
 *
 * It is made by one walk over the nodes, without recursion: the walk's stack, the list, and the table of nodes that were met
 * lie on the heap, so depth costs memory and no C stack.  A node that is met again is an item that refers to the first
 * one: a plan is a tree with references, and as large as there are nodes, however often they are shared.  There are no
 * cycles: a node is made of nodes that were there before it.
 *
 * Rejected: writing while walking (the first occurrence of a node must know whether there will be another).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EFFECT_EXPLAIN_H
#define WEFT_EFFECT_EXPLAIN_H

#include "effect/eff.h"
#include "effect/paper.h"
#include <weft/explain.h>

#define PLAN_NONE UINT32_MAX

typedef enum plan_kind {
    PLAN_NODE,
    PLAN_SAME,  /* the node of item `same`, which is shown there */
    PLAN_STALE, /* it does not live any more */
    PLAN_MORE,  /* `more` nodes that are not shown stand here */
    PLAN_MADE,  /* those that a function of the parent made, at one place, while it ran */
} plan_kind;

typedef struct plan_item {
    plan_kind kind;
    uint32_t parent;           /* an item, PLAN_NONE of the root */
    uint32_t depth;
    uint32_t same;
    uint32_t number;           /* what others call it who refer to it; 0: nobody does */
    const char *role;          /* of this operand to its parent; NULL: none in particular */
    const weft_eff_node *node; /* NULL: none */
    const weft_eff_site *site;
    const char *made;          /* PLAN_MADE: the kind of node */
    uint64_t more;
    bool counted;
    weft_count count;
} plan_item;

typedef struct plan {
    plan_item *items;
    size_t n, room;
    uint64_t total; /* different nodes, shown or not */
    bool places;
} plan;

/* frame: where that of whoever called with root ends: a literal just below it is of a function that has returned.
 * False: no memory; nothing is to be freed. */
bool weft__plan_make(plan *p, eff_ref root, const weft_explain_options *o, const void *frame);
void weft__plan_free(plan *p);
plan_item *weft__plan_add(plan *p, plan_item item); /* NULL: no memory */

/* What is said of a node besides its kind, name and place; NULL: nothing. */
const char *weft__plan_detail(const weft_eff_node *n, char *buffer, size_t bytes);
/* Its function; NULL: it has none. */
const char *weft__plan_name(const plan_item *i);
const char *weft__plan_kind(const plan_item *i);

void weft__plan_text(const plan *p, paper *out);
void weft__plan_json(const plan *p, paper *out);
void weft__plan_dot(const plan *p, paper *out);
/* False: no memory. */
bool weft__plan_svg(const plan *p, paper *out);

/* ---- nodes that were met ---------------------------------------------------------------------------------- */

/* A number for each of many pairs of addresses.  Grows; 24 bytes an entry, half of them used. */
typedef struct met_entry {
    const void *key, *beside;
    uint64_t value;
} met_entry;
typedef struct met {
    met_entry *entries;
    size_t n, room; /* room: a power of two, or 0 */
} met;

/* The entry of the pair, made with value 0 if there was none (then *fresh).  NULL: no memory. */
met_entry *weft__met(met *m, const void *key, const void *beside, bool *fresh);
/* NULL: there is none. */
met_entry *weft__met_look(const met *m, const void *key, const void *beside);
void weft__met_free(met *m);

/* ---- counters ------------------------------------------------------------------------------------------------ */

/* What node did, if it is counted; the items of what its functions made, to be put behind its operands. */
bool weft__counters_of(const weft_counters *c, const weft_eff_node *node, weft_count *count);
/* The i-th place where functions of `node` made nodes; NULL: where it is not known whose.  False: there are no more. */
bool weft__counters_made(const weft_counters *c, const weft_eff_node *node, size_t *i, plan_item *item);

#endif
