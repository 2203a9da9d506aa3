/* effect/layer_plan.c -- before a build: which layers there are, and what each gives.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "effect/layer.h"
#include "sched/cause.h"
#include "sched/fail.h"
#include "sched/local.h"
#include "sched/thread.h"
#include <stdio.h>
#include <string.h>

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* ---- walking ------------------------------------------------------------------------------------------- */

/* Layers in an order in which each comes after what it needs. */
typedef struct plan {
    const weft_layer **at;
    size_t n, room;
} plan;

/* From the root to what is being looked at. */
typedef struct path {
    const weft_layer *layer;
    const struct path *outer;
    unsigned depth;
} path;

static bool is_planned(const plan *p, const weft_layer *l) {
    for (size_t i = 0; i < p->n; i++)
        if (p->at[i] == l) return true;
    return false;
}

static bool add(plan *p, const weft_layer *l) {
    if (p->n == p->room) {
        size_t room = p->room ? 2 * p->room : 16;
        const weft_layer **more = weft__heap_alloc(room * sizeof *more, 0);
        if (!more) return false;
        if (p->n) memcpy(more, p->at, p->n * sizeof *more);
        weft__heap_free(p->at, p->room * sizeof *more);
        p->at = more;
        p->room = room;
    }
    p->at[p->n++] = l;
    return true;
}

static bool is_good(const weft_layer *l) {
    if (!l || l->kind > WEFT__BOTH || (l->n && !l->of) || l->budget < 0) return false;
    return l->kind != WEFT__LEAF || (l->key && (l->value || l->acquire));
}

/* "a needs b needs a": from the first of them down to the last, which needs the first. */
static size_t print_way(const path *at, const weft_layer *first, char *text, size_t bytes) {
    size_t n = at->layer == first ? 0 : print_way(at->outer, first, text, bytes);
    if (n >= bytes) return n;
    weft_place place = at->layer->at;
    return n + (size_t)snprintf(text + n, bytes - n, "'%s' (%s:%d) needs ", layer_name(at->layer), place.file, place.line);
}

static weft_exit circle(const path *at, const weft_layer *first) {
    fiber *f = thread_fiber();
    char text[WEFT_CAUSE_TEXT_MAX + 1] = "a layer needs itself: ";
    size_t n = strlen(text);
    n += print_way(at, first, text + n, sizeof text - n);
    if (n < sizeof text) snprintf(text + n, sizeof text - n, "'%s'", layer_name(first));
    weft_exit e = {WEFT_EXIT_FAIL, WEFT_E_CYCLE,
                   weft__cause_leaf(WEFT_CAUSE_FAIL, WEFT_E_CYCLE, text, first->at.file, first->at.line)};
    return f ? weft__hold_own(f, e) : e;
}

static bool is_above(const path *at, const weft_layer *l) {
    for (; at; at = at->outer)
        if (at->layer == l) return true;
    return false;
}

static weft_exit walk(plan *p, const weft_layer *l, const path *outer) {
    if (!is_good(l))
        return FAILED(WEFT_E_INVALID, "weft_layer_build: a layer is NULL, or has neither value nor acquire; make layers with "
                                      "WEFT_LAYER, weft_layer_plus and weft_layer_both");
    if (is_above(outer, l)) return circle(outer, l);
    if (is_planned(p, l)) return success;
    const path here = {l, outer, outer ? outer->depth + 1 : 1};
    if (here.depth > WEFT_LAYER_DEPTH_MAX)
        return FAILED(WEFT_E_LIMIT, "weft_layer_build: layers are nested deeper than WEFT_LAYER_DEPTH_MAX; give "
                                    "weft_layer_plus and weft_layer_both more than two at a time");
    for (size_t i = 0; i < l->n; i++) {
        weft_exit e = walk(p, l->of[i], &here);
        if (!weft_ok(e)) return e;
    }
    return add(p, l) ? success : FAILED(WEFT_E_NOMEM, "weft_layer_build: no memory for the plan of a build");
}

/* ---- the block ----------------------------------------------------------------------------------------- */

static size_t round_up(size_t bytes) { return (bytes + 15) & ~(size_t)15; }
static size_t value_room(const weft_layer *l) { return l->kind == WEFT__LEAF && !l->value ? round_up(l->key->reply) : 0; }

/* Head and steps, then the values, what is seen, the list. */
static build *lay_out(const plan *p) {
    size_t head = round_up(sizeof(build) + p->n * sizeof(layer_step)), values = 0, parts = 0;
    for (size_t i = 0; i < p->n; i++) {
        values += value_room(p->at[i]);
        parts += p->at[i]->n;
    }
    size_t bytes = head + values + parts * sizeof(seen) + p->n * sizeof(weft_binding);
    build *b = weft__heap_alloc(bytes, 16);
    if (!b) return NULL;
    char *value = (char *)b + head;
    seen *gives = (seen *)(void *)(value + values);
    b->bytes = bytes;
    b->n = p->n;
    b->list = (weft_binding *)(void *)(gives + parts);
    for (size_t i = 0; i < p->n; i++) {
        layer_step *s = &b->steps[i];
        s->layer = p->at[i];
        weft_promise_init(&s->ended);
        s->value = s->layer->value ? (void *)(uintptr_t)s->layer->value : value;
        value += value_room(s->layer);
        s->gives = gives;
        gives += s->layer->n;
    }
    return b;
}

weft_exit weft__layer_plan(const weft_layer *l, build **out) {
    plan p = {NULL, 0, 0};
    weft_exit e = walk(&p, l, NULL);
    *out = weft_ok(e) ? lay_out(&p) : NULL;
    weft__heap_free(p.at, p.room * sizeof *p.at);
    if (weft_ok(e) && !*out) return FAILED(WEFT_E_NOMEM, "weft_layer_build: no memory for a build; nothing was acquired");
    return e;
}

void weft__build_free(build *b) {
    for (size_t i = 0; i < b->n; i++) weft__cause_drop(b->steps[i].exit.cause);
    weft__cause_drop(b->end.cause);
    weft__heap_free(b, b->bytes);
}

layer_step *weft__layer_step(build *b, const weft_layer *l) {
    layer_step *s = b->steps;
    while (s->layer != l) s++;
    return s;
}

/* ---- what is given ------------------------------------------------------------------------------------- */

/* Collects what holds first, and each step once: what comes again would hold less. */
typedef struct harvest {
    const build *b;
    weft_binding *list;
    size_t n;
    bool *had;
} harvest;

static void collect(harvest *h, const layer_step *s) {
    size_t i = (size_t)(s - h->b->steps);
    if (h->had[i]) return;
    h->had[i] = true;
    if (s->layer->kind == WEFT__LEAF) {
        h->list[h->n++] = (weft_binding){s->layer->key, s->value, NULL, NULL};
        return;
    }
    for (size_t k = s->layer->n; k-- > 0;) collect(h, weft__layer_step((build *)(uintptr_t)h->b, s->layer->of[k]));
}

/* In a list the last one holds. */
static size_t turned(harvest *h) {
    for (size_t i = 0, k = h->n; i + 1 < k; i++) {
        weft_binding x = h->list[i];
        h->list[i] = h->list[--k];
        h->list[k] = x;
    }
    return h->n;
}

size_t weft__layer_sees(const build *b, const seen *s, weft_binding *list) {
    harvest h = {b, list, 0, __builtin_alloca(b->n * sizeof(bool))};
    memset(h.had, 0, b->n * sizeof(bool));
    for (; s; s = s->around) collect(&h, s->what);
    return turned(&h);
}

size_t weft__layer_gives(const build *b, const layer_step *s, weft_binding *list) {
    const seen only = {s, NULL};
    return weft__layer_sees(b, &only, list);
}
