/* effect/layer.h -- a build: what is known of each layer in it.
 *
 * A plan (effect/layer_plan.c) walks the layers before anything is acquired: it refuses circles, counts, and makes one block
 * for all that the build will need, so that nothing but an acquire can fail later.  Steps lie in it in an order in which each
 * comes after what it needs.
 *
 * A step is built once, by who comes first; others wait for it:
 *
 *   NEW --who builds it, compare-and-swap--> CLAIMED --the same, exit written, promise completed--> done
 *
 *   B1  who waits for a step waits for something further down in a graph without circles: so some step can always go on
 *   B2  acquired steps are on a list, newest first, in the order their acquires ended in: releasing in this order is right
 *   B3  `sees` of a step is written by who builds it, before its acquire; release reads it again
 *
 * Rejected: a map from keys to values that each step copies and extends (what a layer gives follows from the layers alone);
 * releasing what was acquired at once at once, as effectpy does (what both needed might go under one of them).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EFFECT_LAYER_H
#define WEFT_EFFECT_LAYER_H

#include "alloc/spin.h"
#include <weft/layer.h>
#include <weft/promise.h>

/* What a layer sees: what this step gives, and what is seen around it. */
typedef struct seen {
    const struct layer_step *what;
    const struct seen *around;
} seen;

typedef struct layer_step {
    const weft_layer *layer;
    _Atomic uint32_t claimed;
    weft_promise ended;
    weft_exit exit;         /* has a reference */
    const seen *sees;       /* B3 */
    seen *gives;            /* room for layer->n of them */
    void *value;
    struct layer_step *older; /* B2 */
} layer_step;

typedef struct build {
    size_t bytes;        /* of this block */
    size_t n;
    spin lock;           /* `acquired` */
    layer_step *acquired;
    weft_exit end;       /* of its releases: has a reference */
    weft_binding *list;  /* what the last step gives */
    layer_step steps[];
} build;

/* The block for l.  Errors: those of weft_layer_build. */
weft_exit weft__layer_plan(const weft_layer *l, build **out);
void weft__build_free(build *b);
layer_step *weft__layer_step(build *b, const weft_layer *l);

/* What a step gives, and what can be seen, as bindings in `list`, later ones before earlier.  room for all steps; returns how
 * many. */
size_t weft__layer_gives(const build *b, const layer_step *s, weft_binding *list);
size_t weft__layer_sees(const build *b, const seen *s, weft_binding *list);

static inline const char *layer_name(const weft_layer *l) { return l->name ? l->name : l->key ? l->key->name : "?"; }
#endif
