/* effect/trace.c -- where a failure was made, and the call tree.
 *
 * On the way to success nothing is noted, unless the run is traced: what is in force where a task fails is read when it does,
 * from the nodes and the evidence that are there anyway.  It is read by the fiber that fails, under the run's lock, into memory
 * that lies ready: a tiny fiber may fail, too.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "effect/handler.h"
#include "effect/run.h"
#include "sched/cancel.h"
#include "sched/cause.h"
#include <stdio.h>
#include <string.h>

/* ---- what is in force --------------------------------------------------------------------------------- */

typedef struct list {
    level *at;
    size_t n, most;
} list;

static void add(list *l, const char *kind, const char *name, const char *file, int line) {
    if (l->n < l->most) l->at[l->n] = (level){kind, name, file, line};
    l->n++;
}

static void add_handler(list *l, const weft_handler *h) {
    add(l, h->observe && !h->n ? "observer" : "handler", h->name, h->at.file, h->at.line);
}

/* Of a copy: the handler's frame may have gone, or be going. */
static void add_copied(list *l, const weft__entry *own) {
    weft__copy *c = own->copy;
    spin_lock(&c->lock);
    if (c->prompt) add_handler(l, c->prompt->handler);
    bool gone = !c->prompt;
    spin_unlock(&c->lock);
    if (gone) add(l, "handler that is over, of", own->effect->name, own->effect->file, own->effect->line);
}

static void add_installed(list *l, const weft__evidence *e) {
    const weft__entry *own = e->n_own ? e->own : NULL;
    if (own && !own->clause)
        add(l, "environment with", own->effect->name, own->effect->file, own->effect->line);
    else if (own && own->copy)
        add_copied(l, own);
    else if (own)
        add_handler(l, own->prompt->handler);
    else if (!e->root && e->observers != e->outer->observers)
        add(l, "observer", NULL, NULL, 0);
}

static void add_all(list *l, const weft__evidence *e) {
    for (; e != &weft__no_evidence; e = e->outer) add_installed(l, e);
}

static void add_fiber(list *l, fiber *f) {
    const weft_site *site = f->self ? spawn_site(f->self) : NULL;
    if (!site && f->task) site = (const weft_site *)(f->task->site & ~(uintptr_t)WEFT__SITE_BITS);
    const char *name = site ? site->name : NULL; /* a name of its own need not live longer than the fiber */
    add(l, f->self ? "fiber" : f->strand ? "forked child" : "main task", name, site ? site->file : NULL, site ? site->line : 0);
}

static void add_node(list *l, weft__node *n) {
    if (n->kind == WEFT__PROMPT) add_installed(l, ((const installed *)(const void *)region_of(n))->evidence);
    if (n->kind == WEFT__SCOPE) add(l, "scope", n->name, NULL, 0);
    if (n->kind == WEFT__MASK) add(l, "mask", NULL, NULL, 0);
}

size_t weft__levels(fiber *f, level *to, size_t most, bool all) {
    list l = {to, 0, most};
    if (!f || !all) {
        add_all(&l, f ? f->pub.env : weft__evidence_of_thread());
        return l.n;
    }
    for (weft__node *n = f->pub.scope; n && n->owner; n = n->outer) {
        add_node(&l, n);
        if (n->kind != WEFT__BASE) continue;
        fiber *of = node_owner(n);
        add_fiber(&l, of);
        if (of->strand) continue; /* on in its parent, which waits for it */
        add_all(&l, of->env);
        break;
    }
    return l.n;
}

size_t weft_handlers_format(char *buffer, size_t bytes) {
    level at[LEVELS_MOST];
    size_t n = weft__levels(thread_fiber(), at, LEVELS_MOST, false), end = 0;
    if (bytes) *buffer = 0;
    for (size_t i = 0; i < n && i < LEVELS_MOST; i++) {
        size_t room = end < bytes ? bytes - end : 0;
        int wrote = snprintf(room ? buffer + end : NULL, room, "%s%s%s%s%s (%s:%d)", end ? "\n" : "", at[i].kind,
                             at[i].name ? " '" : "", at[i].name ? at[i].name : "", at[i].name ? "'" : "",
                             at[i].file ? at[i].file : "-", at[i].line);
        end += (size_t)wrote;
    }
    return end;
}

/* ---- failures ----------------------------------------------------------------------------------------- */

static bool same_leaf(const weft_cause *a, const weft_cause *b) {
    return a == b || (a && b && a->kind == b->kind && a->file == b->file && a->line == b->line && a->file);
}

static failure *known(run *r, const weft_cause *cause) {
    for (uint64_t i = r->n_failures; i > 0 && r->n_failures - i < FAILURES_KEPT; i--)
        if (same_leaf(r->failures[(i - 1) % FAILURES_KEPT].cause, cause)) return &r->failures[(i - 1) % FAILURES_KEPT];
    return NULL;
}

static void note(failure *to, fiber *f, weft_exit e) {
    weft__cause_drop(to->cause);
    to->cause = weft__cause_keep(e.cause);
    to->exit = e;
    to->fiber = f->self ? atom_load_rlx(&f->self->id) : 0;
    const char *name = weft__fiber_name(f);
    size_t n = name ? strnlen(name, FIBER_NAME_MOST - 1) : 0;
    if (n) memcpy(to->name, name, n);
    to->name[n] = 0;
    size_t levels = weft__levels(f, to->at, LEVELS_MOST, true);
    to->n = (uint32_t)(levels < LEVELS_MOST ? levels : LEVELS_MOST);
    to->more = (uint32_t)(levels - to->n);
}

static void flag(store *s, weft_exit e, bool passed_on) {
    tree *t = passed_on && s->last ? s->last : s->task;
    if (t) t->failed = (weft_exit){e.tag, e.code, NULL};
}

void weft__run_note_failure(store *s, fiber *f, weft_exit e, bool passed_on) {
    run *r = s->run;
    spin_lock(&r->lock);
    flag(s, e, passed_on);
    if (!(passed_on && known(r, e.cause))) note(&r->failures[r->n_failures++ % FAILURES_KEPT], f, e);
    spin_unlock(&r->lock);
}

failure *weft__failure_of(run *r, weft_exit e) {
    cause_walk w;
    cause_visit v;
    failure *copy = weft__heap_alloc(sizeof *copy, 0);
    if (!copy) return NULL;
    spin_lock(&r->lock);
    const failure *found = NULL;
    for (weft__cause_walk(&w, e.cause); !found && weft__cause_next(&w, &v);)
        if (cause_is_leaf(v.cause)) found = known(r, v.cause);
    if (found) *copy = *found;
    spin_unlock(&r->lock);
    copy->cause = NULL;
    if (found) return copy;
    weft__heap_free(copy, sizeof *copy);
    return NULL;
}

void weft__failures_free(run *r) {
    for (size_t i = 0; i < FAILURES_KEPT; i++) weft__cause_drop(r->failures[i].cause);
}

/* ---- the call tree ------------------------------------------------------------------------------------ */

tree *weft__tree_at(run *r, tree *up, const char *kind, const char *name, const char *file, int line) {
    tree *t = up ? up->first : NULL;
    while (t && !(t->kind == kind && t->file == file && t->line == line && t->name == name)) t = t->next;
    if (!t && (up || !r->tree)) {
        t = weft__heap_alloc(sizeof *t, 0);
        if (t) {
            *t = (tree){.up = up, .kind = kind, .name = name, .file = file, .line = line};
            if (!up)
                r->tree = t;
            else if (up->last)
                up->last->next = t;
            else
                up->first = t;
            if (up) up->last = t;
        }
    }
    if (t)
        t->count++;
    else
        r->tree_lost++;
    return t;
}

/* Leaf by leaf: no recursion. */
void weft__tree_free(tree *t) {
    while (t) {
        if (t->first) {
            tree *first = t->first;
            t->first = first->next;
            first->up = t;
            t = first;
            continue;
        }
        tree *up = t->up;
        weft__heap_free(t, sizeof *t);
        t = up;
    }
}

weft_exit weft__run_observe(const weft_effect *effect, const void *payload, const weft_place *at, void *self) {
    store *s = store_of(thread_fiber());
    run *r = self;
    (void)payload;
    if (s && s->run == r) {
        spin_lock(&r->lock);
        s->last = weft__tree_at(r, s->task, "effect", effect->name, at->file, at->line);
        spin_unlock(&r->lock);
    }
    return weft_done;
}
