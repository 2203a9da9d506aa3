/* effect/counters.c -- what the nodes of an effect did: runs that are watched, and the counts.
 *
 *   count   of a node that the effect is made of; or of all that functions of such a node made at one place (a site is
 *           static, nodes that were made live as long as the run, and there may be millions of them)
 *   lane    a fiber, or a plain thread, that runs watched nodes: its stack of those that have begun and not ended.  Branches
 *           that run elsewhere have lanes of their own, at whose bottom the maker of what is made there is not known
 *
 * The tables and counts are under the lock; a lane's stack is its fiber's alone.
 *
 * Rejected: counters in the nodes (they are shared, and may be read-only); a table for each worker (a watched run need not be
 * fast).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "alloc/spin.h"
#include "effect/explain.h"
#include "sched/thread.h"
#include <string.h>

#define NOBODY UINT32_MAX

typedef struct activity {
    uint32_t count;       /* a number; NOBODY: it could not be noted */
    uint32_t maker;       /* the count of the innermost node of the effect itself around; NOBODY: it is not known */
    weft_time since;
    weft_duration others; /* what was run meanwhile on this lane */
} activity;

typedef struct lane {
    struct lane *next;
    const void *who;
    activity *stack;
    size_t n, room;
    size_t lost; /* activities for which there was no memory; they are the newest */
} lane;

typedef struct counted {
    weft_count count;
    const weft_eff_node *node; /* NULL: made, */
    uint32_t maker;            /* by functions of this one; NOBODY */
    const weft_eff_site *site;
    const char *kind;
} counted;

struct weft__counters {
    weft__eff_watch watch;
    spin lock;
    met nodes;        /* a node -> its number */
    met made;         /* a site, a maker's node -> its number */
    met lanes;
    lane *all_lanes;
    counted *counts;
    size_t n, room;
};

typedef struct weft__counters counters;

/* ---- counts; the lock is held, or nobody else knows the counters ------------------------------------------- */

/* A new one; NOBODY: no memory. */
static uint32_t add_count(counters *c, counted one) {
    if (c->n == c->room) {
        size_t larger = c->room ? c->room * 2 : 32;
        counted *p = weft__heap_alloc(larger * sizeof *p, 0);
        if (!p) return NOBODY;
        if (c->n) memcpy(p, c->counts, c->n * sizeof *p);
        weft__heap_free(c->counts, c->room * sizeof *p);
        c->counts = p;
        c->room = larger;
    }
    c->counts[c->n] = one;
    return (uint32_t)c->n++;
}

static uint32_t count_of_made(counters *c, const weft_eff_node *n, uint32_t maker) {
    bool fresh;
    const weft_eff_node *by = maker == NOBODY ? NULL : c->counts[maker].node;
    met_entry *e = weft__met(&c->made, n->site, by, &fresh);
    if (!e) return NOBODY;
    if (fresh) {
        e->value = add_count(c, (counted){.node = NULL, .maker = maker, .site = n->site, .kind = weft__eff_kind_name(n->kind)});
    }
    return (uint32_t)e->value;
}

static lane *lane_of(counters *c, const void *who) {
    bool fresh;
    met_entry *e = weft__met(&c->lanes, who, NULL, &fresh);
    if (!e) return NULL;
    if (!e->value) {
        lane *l = weft__heap_alloc(sizeof *l, 0);
        if (!l) return NULL;
        l->who = who;
        l->next = c->all_lanes;
        c->all_lanes = l;
        e->value = (uintptr_t)l;
    }
    return (lane *)(uintptr_t)e->value;
}

/* ---- what a run tells ---------------------------------------------------------------------------------------- */

static const void *caller(void) {
    fiber *f = thread_fiber();
    return f ? (const void *)f : (const void *)weft__thread_attn();
}

static bool push(lane *l, activity a) {
    if (l->n == l->room) {
        size_t larger = l->room ? l->room * 2 : 32;
        activity *p = l->lost ? NULL : weft__heap_alloc(larger * sizeof *p, 0); /* those that are lost end first */
        if (!p) return l->lost++, false;
        if (l->n) memcpy(p, l->stack, l->n * sizeof *p);
        weft__heap_free(l->stack, l->room * sizeof *p);
        l->stack = p;
        l->room = larger;
    }
    l->stack[l->n++] = a;
    return true;
}

static void enter(weft__eff_watch *w, const weft_eff_node *n) {
    counters *c = (counters *)(void *)w;
    const void *who = caller();
    spin_lock(&c->lock);
    lane *l = lane_of(c, who);
    met_entry *e = weft__met_look(&c->nodes, n, NULL);
    activity a = {NOBODY, l && l->n ? l->stack[l->n - 1].maker : NOBODY, 0, 0};
    if (e)
        a.count = a.maker = (uint32_t)e->value;
    else
        a.count = count_of_made(c, n, a.maker);
    spin_unlock(&c->lock);
    if (!l) return;
    a.since = weft_now();
    push(l, a);
}

static void leave(weft__eff_watch *w, const weft_eff_node *n, weft_exit e) {
    counters *c = (counters *)(void *)w;
    weft_time now = weft_now();
    const void *who = caller();
    (void)n;
    spin_lock(&c->lock);
    met_entry *of = weft__met_look(&c->lanes, who, NULL);
    lane *l = of ? (lane *)(uintptr_t)of->value : NULL;
    if (l && l->lost) {
        l->lost--;
    } else if (l && l->n) {
        activity a = l->stack[--l->n];
        weft_duration took = now - a.since;
        if (a.count != NOBODY) {
            weft_count *k = &c->counts[a.count].count;
            k->runs++;
            k->failures += !weft_ok(e);
            k->total += took;
            k->own += took - a.others;
        }
        if (l->n) l->stack[l->n - 1].others += took;
    }
    spin_unlock(&c->lock);
}

/* ---- opening, asking ------------------------------------------------------------------------------------------- */

static void free_all(counters *c) {
    for (lane *l = c->all_lanes, *next; l; l = next) {
        next = l->next;
        weft__heap_free(l->stack, l->room * sizeof *l->stack);
        weft__heap_free(l, sizeof *l);
    }
    weft__met_free(&c->nodes);
    weft__met_free(&c->made);
    weft__met_free(&c->lanes);
    weft__heap_free(c->counts, c->room * sizeof *c->counts);
    weft__heap_free(c, sizeof *c);
}

/* Each node of the plan gets a number. */
static bool number_nodes(counters *c, const plan *p) {
    bool fresh;
    for (size_t i = 0; i < p->n; i++) {
        if (p->items[i].kind != PLAN_NODE) continue;
        met_entry *e = weft__met(&c->nodes, p->items[i].node, NULL, &fresh);
        if (!e) return false;
        e->value = add_count(c, (counted){.node = p->items[i].node, .maker = NOBODY, .site = p->items[i].site});
        if (e->value == NOBODY) return false;
    }
    return true;
}

weft_err weft__counters_open(weft_counters *out, uintptr_t ref) {
    plan p;
    out->all = NULL;
    counters *c = weft__heap_alloc(sizeof *c, 0);
    if (!c) return WEFT_E_NOMEM;
    c->watch = (weft__eff_watch){enter, leave};
    bool done = weft__plan_make(&p, ref, &(weft_explain_options){.most = UINT32_MAX - 1, .depth = UINT32_MAX - 1},
                                __builtin_dwarf_cfa());
    if (done) {
        done = number_nodes(c, &p);
        weft__plan_free(&p);
    }
    if (!done) {
        free_all(c);
        return WEFT_E_NOMEM;
    }
    out->all = c;
    return WEFT_OK;
}

void weft_counters_close(weft_counters *c) {
    if (c->all) free_all(c->all);
    c->all = NULL;
}

weft__eff_watch *weft_counters_watch(weft_counters *c) { return c->all ? &c->all->watch : NULL; }

bool weft__counters_of(const weft_counters *of, const weft_eff_node *node, weft_count *count) {
    counters *c = of->all;
    if (!c || !node) return false;
    spin_lock(&c->lock);
    met_entry *e = weft__met_look(&c->nodes, node, NULL);
    if (e) *count = c->counts[e->value].count;
    spin_unlock(&c->lock);
    return e != NULL;
}

bool weft__counters_get(const weft_counters *c, uintptr_t ref, weft_count *count) {
    *count = (weft_count){0};
    return weft__counters_of(c, eff_node(ref), count);
}

/* A scan: there are few such places, and explaining is not counting. */
bool weft__counters_made(const weft_counters *of, const weft_eff_node *node, size_t *i, plan_item *item) {
    counters *c = of->all;
    bool found = false;
    spin_lock(&c->lock);
    while (*i < c->n && !found) {
        const counted *k = &c->counts[(*i)++];
        const weft_eff_node *by = k->maker == NOBODY ? NULL : c->counts[k->maker].node;
        if (k->node || by != node) continue;
        item->site = k->site;
        item->made = k->kind;
        item->count = k->count;
        item->counted = found = true;
    }
    spin_unlock(&c->lock);
    return found;
}
