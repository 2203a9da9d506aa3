/* effect/lazy.c -- values of the environment that are made when they are first asked for.
 *
 * Who asks first makes the value, on its own fiber, in the environment the value is provided in, whoever asks: so it does not
 * depend on who does.  Others who ask meanwhile wait (weft_once, which also hands the making on if it fails).
 *
 * Cycles.  What makes a value carries a mark in its environment, which its children inherit: so it is known for each who
 * asks, what it is a part of.  An ask from within X for Y is an edge from X to Y, in X's list while it lasts; who would close
 * a circle is told instead of waiting.  All edges are under one lock: they exist only while values are being made.
 *
 *   Y1  an edge is in the list before its asker waits or makes; so of the askers of a circle the last one sees all the others
 *   Y2  what makes X holds X: the mark's bracket is around an environment that has X's entry
 *
 * Rejected: a timeout; a stack of names in the asker (a circle through two fibers is in neither of their stacks).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "effect/env.h"
#include "sched/cause.h"
#include "sched/exit.h"
#include "sched/fail.h"
#include "sched/local.h"
#include "sched/thread.h"
#include <stdio.h>
#include <weft/sync.h>

typedef struct lazy lazy;

/* An ask, in its asker's frame. */
typedef struct edge {
    lazy *to;
    struct edge *next;
} edge;

struct lazy {
    weft__lazy base; /* must be first */
    const weft_effect *key;
    weft_exit (*make)(void *value, void *arg);
    void *arg;
    weft_once once;
    _Atomic uint32_t made;      /* `value` may be read */
    const weft__evidence *home; /* what it sees; whoever is not below the bracket has a copy of that */
    /* under the lock */
    edge *asks;
    lazy *from, *todo;          /* of the search that goes on */
    uint64_t searched;
    _Alignas(16) char value[];
};

enum { WAY_MAX = 192 }; /* of a circle, as text */

/* What the caller is a part of making: a key as WEFT_KEY makes it, but of this file alone. */
typedef lazy *weft__making_value;
static weft_effect weft__making_key = {0, "weft__making", __FILE__, __LINE__, 0, sizeof(lazy *)};

static spin asking;
static uint64_t searches; /* under the lock */

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* ---- coming and going ---------------------------------------------------------------------------------- */

static const void *get(const weft__entry *e) {
    const void *value = NULL;
    weft_exit x = weft__lazy_ask(e, &value);
    if (!weft_ok(x)) weft_exit_drop(x);
    return value;
}

weft__lazy *weft__lazy_new(const weft_binding *b) {
    size_t bytes = sizeof(lazy) + b->key->reply;
    lazy *l = weft__heap_alloc(bytes, 16);
    if (!l) return NULL;
    atom_store_rlx(&l->base.refs, 1);
    l->base.get = get;
    l->base.bytes = bytes;
    l->key = b->key;
    l->make = (weft_exit (*)(void *, void *))b->make;
    l->arg = b->arg;
    return &l->base;
}

void weft__lazy_installed(weft__lazy *l, const weft__evidence *e) { ((lazy *)l)->home = e->shared; }

const void *weft__lazy_value(weft__lazy *l) { return l && atom_load_acq(&((lazy *)l)->made) ? ((lazy *)l)->value : NULL; }

/* ---- circles: under the lock --------------------------------------------------------------------------- */

/* Breadth first from `from`, along edges: is `to` there?  Then the way is noted in lazy.from. */
static bool reaches(lazy *from, const lazy *to) {
    lazy *last = from;
    from->searched = ++searches;
    from->from = from->todo = NULL;
    for (lazy *l = from; l; l = l->todo) {
        if (l == to) return true;
        for (edge *e = l->asks; e; e = e->next) {
            if (e->to->searched == searches) continue;
            e->to->searched = searches;
            e->to->from = l;
            e->to->todo = NULL;
            last = last->todo = e->to;
        }
    }
    return false;
}

/* `of` asks for what `of` is needed for: "a <- b <- a", each needed by the one before. */
static size_t print_circle(const lazy *of, char *text, size_t bytes) {
    size_t n = 0;
    for (const lazy *l = of; l && n < bytes; l = l->from) n += (size_t)snprintf(text + n, bytes - n, "'%s' <- ", l->key->name);
    return n < bytes ? n + (size_t)snprintf(text + n, bytes - n, "'%s'", of->key->name) : n;
}

static weft_exit circle(const char *way) {
    fiber *f = thread_fiber();
    char text[WEFT_CAUSE_TEXT_MAX + 1];
    snprintf(text, sizeof text, "a value of the environment is made from itself: %s", way);
    weft_exit e = {WEFT_EXIT_FAIL, WEFT_E_CYCLE, weft__cause_leaf(WEFT_CAUSE_FAIL, WEFT_E_CYCLE, text, NULL, 0)};
    return f ? weft__hold_own(f, e) : e;
}

/* Y1.  False: it would close a circle, whose way is in `way`. */
static bool add_edge(lazy *from, edge *e, char *way, size_t bytes) {
    spin_lock(&asking);
    bool round = reaches(e->to, from);
    if (round) {
        print_circle(from, way, bytes);
    } else {
        e->next = from->asks;
        from->asks = e;
    }
    spin_unlock(&asking);
    return !round;
}

static void remove_edge(lazy *from, const edge *e) {
    spin_lock(&asking);
    edge **at = &from->asks;
    while (*at != e) at = &(*at)->next;
    *at = e->next;
    spin_unlock(&asking);
}

/* ---- making -------------------------------------------------------------------------------------------- */

static weft_exit call_make(void *arg) {
    lazy *l = arg;
    return l->make(l->value, l->arg);
}

typedef struct call {
    lazy *l;
    const weft__evidence *home;
} call;

static weft_exit make(void *arg) {
    const call *c = arg;
    lazy *l = c->l;
    fiber *f = thread_fiber();
    const evidence_item mark = {&weft__making_key, {.self = &l, .bytes = sizeof l}};
    char *room = __builtin_alloca(weft__provide_room_in(c->home, &mark, 1) + 16);
    weft__provided *p = weft__provide_begin_in(room + (-(uintptr_t)room & 15), c->home, &mark, 1);
    weft_exit e = weft__env_call(call_make, l);
    weft__provide_end(p);
    if (weft_ok(e)) atom_store_rel(&l->made, 1);
    return weft_ok(e) || !f ? e : weft__hold_own(f, e);
}

weft_exit weft__lazy_ask(const weft__entry *e, const void **value) {
    lazy *l = (lazy *)e->lazy;
    if (!l) return FAILED(WEFT_E_NOMEM, "weft_env: there was no memory for a value that is made when it is asked for");
    if (!atom_load_acq(&l->made)) {
        lazy *const *within = weft_env(weft__making);
        call c = {l, e->copy ? &e->copy->evidence : l->home};
        edge ask = {l, NULL};
        char way[WAY_MAX];
        if (within && !add_edge(*within, &ask, way, sizeof way)) return circle(way);
        weft_exit x = weft_once_call(&l->once, make, &c);
        if (within) remove_edge(*within, &ask);
        if (!weft_ok(x)) return x;
    }
    *value = l->value;
    return success;
}
