/* effect/plan.c -- the walk that makes a plan of an effect, and what is said of a node.
 *
 * The stack holds operands that were not looked at yet, the next one on top.  What is too deep, or too much, is walked, too, so
 * that it can be counted, but leaves no items: such an operand is marked with the item that counts it.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "effect/explain.h"
#include <stdio.h>
#include <string.h>
#include <weft/schedule.h>

enum { MOST = 1000, DEPTH = 100, OPERANDS = 256, BELOW = 16 * 1024, HIDDEN = UINT32_MAX };

typedef struct pending {
    eff_ref ref;
    uint32_t parent, depth;
    uint32_t counted_by; /* an item; PLAN_NONE: it is shown */
    const char *role;
    const weft_eff_node *made_by; /* not an operand: what functions of this node made comes here */
} pending;

typedef struct walk {
    plan *plan;
    pending *stack;
    size_t n, room;
    met met;               /* node -> its item, or HIDDEN */
    uint32_t most, deepest;
    uint32_t rest;         /* the item that counts all from some point on; PLAN_NONE: not yet */
    const weft_counters *counters;
    uintptr_t frame;
} walk;

/* An array on the heap that has room for one more.  False: no memory. */
static bool room_for_one(void **at, size_t n, size_t *room, size_t size) {
    if (n < *room) return true;
    size_t larger = *room ? *room * 2 : 32;
    void *p = weft__heap_alloc(larger * size, 0);
    if (!p) return false;
    if (n) memcpy(p, *at, n * size);
    weft__heap_free(*at, *room * size);
    *at = p;
    *room = larger;
    return true;
}

plan_item *weft__plan_add(plan *p, plan_item item) {
    if (!room_for_one((void **)&p->items, p->n, &p->room, sizeof *p->items)) return NULL;
    p->items[p->n] = item;
    return &p->items[p->n++];
}

static bool push(walk *w, pending o) {
    if (!room_for_one((void **)&w->stack, w->n, &w->room, sizeof *w->stack)) return false;
    w->stack[w->n++] = o;
    return true;
}

static const char *role_of(const weft_eff_node *n, size_t i) {
    if (i == 0) return NULL;
    switch (n->kind) {
    case WEFT__EFF_ENSURING: return "finally";
    case WEFT__EFF_ON_INTERRUPT: return "on interrupt";
    default: return NULL;
    }
}

/* The last one first, so that the first is on top. */
static bool push_operands(walk *w, const weft_eff_node *n, uint32_t item, uint32_t depth, uint32_t counted_by) {
    eff_ref operands[OPERANDS];
    size_t all = weft__eff_children(n, operands, OPERANDS), k = all < OPERANDS ? all : OPERANDS;
    while (k-- > 0)
        if (!push(w, (pending){operands[k], item, depth, counted_by, role_of(n, k), NULL})) return false;
    return true;
}

static plan_item item_of(plan_kind kind, const pending *o) {
    return (plan_item){.kind = kind, .parent = o->parent, .depth = o->depth, .same = PLAN_NONE, .role = o->role};
}

/* Which item counts what is not shown of o: PLAN_NONE if o is shown. */
static bool who_counts(walk *w, const pending *o, uint32_t *by) {
    plan *p = w->plan;
    *by = o->counted_by != PLAN_NONE ? o->counted_by : w->rest;
    if (*by != PLAN_NONE || (p->n < w->most && o->depth <= w->deepest)) return true;
    plan_item *last = p->n ? &p->items[p->n - 1] : NULL;
    if (last && last->kind == PLAN_MORE && last->parent == o->parent && p->n < w->most) { /* its sibling's */
        *by = (uint32_t)(p->n - 1);
        return true;
    }
    if (!weft__plan_add(p, item_of(PLAN_MORE, o))) return false;
    *by = (uint32_t)(p->n - 1);
    if (p->n > w->most) w->rest = *by;
    return true;
}

static bool hide(walk *w, const pending *o, const weft_eff_node *n, uint32_t by) {
    bool fresh;
    met_entry *e = weft__met(&w->met, n, NULL, &fresh);
    if (!e) return false;
    if (!fresh) return true;
    e->value = HIDDEN;
    w->plan->total++;
    w->plan->items[by].more++;
    return push_operands(w, n, o->parent, o->depth + 1, by);
}

/* What n's functions made while it ran. */
static bool add_made(walk *w, const weft_eff_node *n, uint32_t parent, uint32_t depth) {
    plan_item item = {.kind = PLAN_MADE, .parent = parent, .depth = depth, .same = PLAN_NONE};
    for (size_t i = 0; weft__counters_made(w->counters, n, &i, &item);)
        if (!weft__plan_add(w->plan, item)) return false;
    return true;
}

static bool show(walk *w, const pending *o, const weft_eff_node *n) {
    bool fresh;
    plan *p = w->plan;
    met_entry *e = weft__met(&w->met, n, NULL, &fresh);
    plan_item item = item_of(PLAN_NODE, o);
    if (!e) return false;
    item.node = n;
    item.site = n->site;
    if (!fresh && e->value != HIDDEN) {
        item.kind = PLAN_SAME;
        item.same = (uint32_t)e->value;
        p->items[item.same].number = 1;
        return weft__plan_add(p, item) != NULL;
    }
    if (fresh) p->total++;
    item.counted = w->counters && weft__counters_of(w->counters, n, &item.count);
    e->value = p->n;
    if (!weft__plan_add(p, item)) return false;
    uint32_t at = (uint32_t)(p->n - 1);
    if (w->counters && !push(w, (pending){.made_by = n, .parent = at, .depth = o->depth + 1})) return false;
    return push_operands(w, n, at, o->depth + 1, PLAN_NONE);
}

static bool look_at(walk *w, pending o) {
    uint32_t by;
    if (o.made_by) return add_made(w, o.made_by, o.parent, o.depth);
    const weft_eff_node *n = w->frame - 1 - o.ref < BELOW ? NULL : eff_node(o.ref);
    if (!who_counts(w, &o, &by)) return false;
    if (n) return by == PLAN_NONE ? show(w, &o, n) : hide(w, &o, n, by);
    if (by == PLAN_NONE) return weft__plan_add(w->plan, item_of(PLAN_STALE, &o)) != NULL;
    w->plan->items[by].more++;
    return true;
}

/* Those that are referred to are numbered in the order of reading. */
static void give_numbers(plan *p) {
    uint32_t number = 0;
    for (size_t i = 0; i < p->n; i++)
        if (p->items[i].number) p->items[i].number = ++number;
}

bool weft__plan_make(plan *p, eff_ref root, const weft_explain_options *o, const void *frame) {
    walk w = {.plan = p, .most = o->most ? o->most : MOST, .deepest = o->depth ? o->depth : DEPTH, .rest = PLAN_NONE};
    bool done = true;
    *p = (plan){.places = !o->no_places};
    w.frame = (uintptr_t)frame;
    w.counters = o->counters && o->counters->all ? o->counters : NULL;
    if (root) done = push(&w, (pending){.ref = root, .parent = PLAN_NONE, .counted_by = PLAN_NONE});
    while (done && w.n) done = look_at(&w, w.stack[--w.n]);
    if (done && w.counters) done = add_made(&w, NULL, PLAN_NONE, 0);
    weft__heap_free(w.stack, w.room * sizeof *w.stack);
    weft__met_free(&w.met);
    give_numbers(p);
    if (!done) weft__plan_free(p);
    return done;
}

void weft__plan_free(plan *p) {
    weft__heap_free(p->items, p->room * sizeof *p->items);
    *p = (plan){.items = NULL};
}

/* ---- what is said of a node ------------------------------------------------------------------------------- */

const char *weft__plan_kind(const plan_item *i) {
    if (i->kind == PLAN_MADE) return i->made;
    if (i->node && i->node->kind == WEFT__EFF_FAIL && i->site) return i->site->name; /* fail or die */
    return i->node ? weft__eff_kind_name(i->node->kind) : "";
}

const char *weft__plan_name(const plan_item *i) {
    return i->site && i->site->name && strcmp(i->site->name, weft__plan_kind(i)) ? i->site->name : NULL;
}

static void each_detail(paper *p, const weft__eff_each_spec *s) {
    weft__paper_print(p, "%zu item%s, ", s->n, s->n == 1 ? "" : "s");
    if (s->parallelism < INT64_MAX)
        weft__paper_print(p, "%lld at once", (long long)(s->parallelism ? s->parallelism : 1));
    else
        weft__paper_print(p, "all at once");
}

const char *weft__plan_detail(const weft_eff_node *n, char *buffer, size_t bytes) {
    paper p = paper_on(buffer, bytes);
    const weft_cause *cause = n->u.leaf.with;
    switch (n->kind) {
    case WEFT__EFF_FAIL: weft__paper_print(&p, "code %d: %s", (int)n->u.leaf.number, cause->text); break;
    case WEFT__EFF_EXIT: weft_exit_format(*(const weft_exit *)n->u.leaf.with, buffer, bytes); break;
    case WEFT__EFF_SLEEP:
    case WEFT__EFF_TIMEOUT: weft__paper_duration(&p, n->u.leaf.number); break;
    case WEFT__EFF_RETRY:
    case WEFT__EFF_REPEAT: weft_schedule_format(n->u.leaf.with, buffer, bytes); break;
    case WEFT__EFF_EACH: each_detail(&p, n->u.leaf.with); break;
    case WEFT__EFF_ANNOTATE: weft__paper_print(&p, "\"%s\"", (const char *)n->u.leaf.with); break;
    default: return NULL;
    }
    return buffer;
}
