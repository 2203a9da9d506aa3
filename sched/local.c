/* sched/local.c -- fiber-locals, and causes that a task holds for as long as one of its scopes.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/local.h"
#include "alloc/heap.h"
#include "sched/cancel.h"
#include "sched/cause.h"
#include "sched/thread.h"

/* ---- locals ------------------------------------------------------------------------------------------- */

static binding *find(binding *b, const weft_local *key) {
    while (b && b->key != key) b = b->older;
    return b;
}

void *weft_local_get(const weft_local *key) {
    fiber *f = thread_fiber();
    binding *b = f ? find(f->locals, key) : NULL;
    return b ? atom_load_acq(&b->value) : NULL;
}

static binding *bind(fiber *f, binding *older, const weft_local *key, void *value, bool made) {
    binding *b = weft__heap_alloc(sizeof *b, 0);
    if (!b) return NULL;
    b->older = older;
    b->key = key;
    atom_store_rlx(&b->value, value);
    b->of = f;
    b->made = made;
    return b;
}

static void let_go(binding *b) {
    void *value = atom_load_rlx(&b->value);
    if (b->made && b->key->drop && value) b->key->drop(value);
}

static weft_err set(fiber *f, const weft_local *key, void *value, bool made) {
    binding *b = find(f->locals, key);
    if (b && b->of == f) {
        let_go(b);
        b->made = made;
        atom_store_rel(&b->value, value);
        return WEFT_OK;
    }
    b = bind(f, f->locals, key, value, made);
    if (!b) return WEFT_E_NOMEM;
    atom_store_rel((_Atomic(binding *) *)&f->locals, b);
    f->untidy = true;
    return WEFT_OK;
}

weft_err weft_local_set(const weft_local *key, void *value) {
    fiber *f = thread_fiber();
    if (!key || !f) return WEFT_E_INVALID;
    return set(f, key, value, false);
}

void weft__locals_free(binding *b) {
    while (b) {
        binding *older = b->older;
        let_go(b);
        weft__heap_free(b, sizeof *b);
        b = older;
    }
}

/* One binding for each key, the newest. */
static bool snapshot(binding *from, binding **out) {
    for (binding *b = from; b; b = b->older) {
        if (b->key->policy == WEFT_LOCAL_OWN || find(*out, b->key)) continue;
        void *value = atom_load_acq(&b->value);
        binding *mine = bind(NULL, *out, b->key, value, false);
        if (!mine) return false;
        *out = mine;
        if (b->key->copy && value) {
            atom_store_rlx(&mine->value, b->key->copy(value));
            mine->made = true;
        }
    }
    return true;
}

bool weft__locals_inherit(fiber *from, weft_fiber *s) {
    if (!from->locals) return true;
    binding *all = NULL;
    bool ok = snapshot(from->locals, &all);
    spawn_more *m = ok && all ? weft__spawn_more(s) : NULL;
    if (m) m->locals = all;
    if (m || (ok && !all)) return true;
    weft__locals_free(all);
    return false;
}

binding *weft__locals_of(weft__node *forked_in) {
    return forked_in->owner ? atom_load_acq((_Atomic(binding *) *)&node_owner(forked_in)->locals) : NULL;
}

void weft__locals_root(fiber *c, binding *older) {
    binding **last = &c->locals;
    while (*last && (*last)->of == c) last = &(*last)->older;
    atom_store_rel((_Atomic(binding *) *)last, older);
}

static bool wants_merge(const binding *b) {
    for (; b; b = b->older)
        if (b->key->merge) return true;
    return false;
}

/* Own ones only: a stolen child's list goes on into its parent's. */
static binding *detach_own(fiber *f) {
    binding *own = f->locals, **last = &own;
    while (*last && (*last)->of == f) last = &(*last)->older;
    *last = NULL;
    f->locals = NULL;
    return own;
}

weft_err weft_local_join(weft_handle h) {
    fiber *f = thread_fiber();
    if (!f) return WEFT_E_INVALID;
    if (!weft__alive(h)) return WEFT_E_STALE;
    if (!end_done(&h.fiber->task.join)) return WEFT_E_BUSY;
    spawn_more *m = atom_load_acq(&h.fiber->more);
    for (binding *b = m ? m->locals : NULL; b; b = b->older) {
        if (!b->key->merge) continue;
        binding *own = find(f->locals, b->key);
        if (!own || own->of != f) {
            weft_err e = set(f, b->key, own ? atom_load_acq(&own->value) : NULL, false);
            if (e != WEFT_OK) return e;
            own = f->locals;
        }
        void *merged = b->key->merge(atom_load_rlx(&own->value), atom_load_rlx(&b->value));
        atom_store_rel(&own->value, merged);
        own->made = true;
        b->made = false;
    }
    if (m) {
        weft__locals_free(m->locals);
        m->locals = NULL;
    }
    return WEFT_OK;
}

/* ---- held causes -------------------------------------------------------------------------------------- */

typedef struct held {
    struct held *older;
    const weft_cause *cause;
    weft__node *node; /* until this one is left */
} held;

/* Masks and handlers hold nothing: n, or the scope or base around it. */
static weft__node *holder(weft__node *n) {
    while (n->kind == WEFT__MASK || n->kind == WEFT__RESTORE || n->kind == WEFT__PROMPT) n = n->outer;
    return n;
}

static bool holds(const fiber *f, const weft_cause *cause) {
    return f->held && f->held->cause == cause && f->held->node == holder(f->pub.scope);
}

weft_exit weft__hold(fiber *f, weft_exit e) {
    static const weft_cause lost = WEFT__CAUSE_STATIC(WEFT_CAUSE_FAIL, "(no memory was left to keep the cause)");
    if (!e.cause || e.cause->bytes == 0) return e;
    if (!f) {
        weft__cause_keep(e.cause);
        return e;
    }
    if (holds(f, e.cause)) return e;
    held *h = weft__heap_alloc(sizeof *h, 0);
    if (!h) {
        e.cause = &lost;
        return e;
    }
    *h = (held){f->held, weft__cause_keep(e.cause), holder(f->pub.scope)};
    f->held = h;
    f->untidy = true;
    atom_or_rlx(&h->node->state, NODE_HELD);
    return e;
}

weft_exit weft__hold_own(fiber *f, weft_exit e) {
    weft_exit held = weft__hold(f, e);
    weft__cause_drop(e.cause);
    return held;
}

static void release(held **at) {
    held *h = *at;
    *at = h->older;
    weft__cause_drop(h->cause);
    weft__heap_free(h, sizeof *h);
}

void weft__release_held(fiber *f, weft__node *n) {
    for (held **at = &f->held; *at;) {
        if ((*at)->node == n)
            release(at);
        else
            at = &(*at)->older;
    }
}

void weft_exit_drop(weft_exit e) {
    fiber *f = thread_fiber();
    if (!e.cause || e.cause->bytes == 0) return;
    if (!f) return weft__cause_drop(e.cause);
    for (held **at = &f->held; *at; at = &(*at)->older)
        if ((*at)->cause == e.cause) return release(at);
}

weft_exit weft_exit_keep(weft_exit e) {
    fiber *f = thread_fiber();
    if (!f || !e.cause || e.cause->bytes == 0) return e;
    for (held *h = f->held; h; h = h->older) {
        if (h->cause != e.cause) continue;
        if (h->node->kind != WEFT__BASE) h->node = holder(h->node->outer);
        atom_or_rlx(&h->node->state, NODE_HELD);
        break;
    }
    return e;
}

/* ---- the end of a task -------------------------------------------------------------------------------- */

void weft__task_leaves(fiber *self) {
    self->untidy = false;
    if (self->held) weft__release_held(self, &self->base);
    if (!self->locals) return;
    binding *own = detach_own(self);
    spawn_more *m = self->self && wants_merge(own) ? weft__spawn_more(self->self) : NULL;
    if (m)
        m->locals = own;
    else
        weft__locals_free(own);
}
