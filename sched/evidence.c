/* sched/evidence.c -- evidence: making, inheriting, copying it.  What must hold: sched/evidence.h.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/evidence.h"
#include "alloc/heap.h"
#include "sched/cancel.h"
#include "sched/thread.h"
#include <string.h>

const weft__evidence weft__no_evidence = {.fast = 1, .slots = 1, .shared = &weft__no_evidence, .at = {NULL}};

/* ---- slots -------------------------------------------------------------------------------------------- */

static spin numbering;
static uint64_t last_slot; /* under the lock */

static _Atomic uint64_t *slot_word(const weft_effect *effect) {
    return (_Atomic uint64_t *)(uintptr_t)&effect->slot; /* the one field that is written */
}

static WEFT_COLD uint64_t number_slot(const weft_effect *effect) {
    _Atomic uint64_t *slot = slot_word(effect);
    spin_lock(&numbering);
    if (!atom_load_rlx(slot)) atom_store_rel(slot, ++last_slot);
    spin_unlock(&numbering);
    return atom_load_rlx(slot);
}

static inline uint64_t slot_of(const weft_effect *effect) {
    uint64_t slot = atom_load_acq(slot_word(effect));
    return WEFT_LIKELY(slot != 0) ? slot : number_slot(effect);
}

/* ---- making ------------------------------------------------------------------------------------------- */

static uint64_t slots_with(const weft__evidence *outer, const evidence_item *items, size_t n) {
    uint64_t slots = outer->slots;
    for (size_t i = 0; i < n; i++) {
        uint64_t slot = slot_of(items[i].effect);
        if (slot >= slots) slots = slot + 1;
    }
    return slots;
}

static size_t round_up(size_t bytes) { return (bytes + EVIDENCE_ALIGN - 1) & ~(size_t)(EVIDENCE_ALIGN - 1); }

/* One vector, its entries, its observer. */
static size_t view_room(uint64_t slots, size_t n) {
    return round_up(sizeof(weft__evidence) + slots * sizeof(weft__entry *)) + round_up(n * sizeof(weft__entry)) +
           round_up(sizeof(weft__observer));
}

/* Where children see something of it, but not all, they get a view of their own. */
static bool two_views(const weft__evidence *outer, bool shared) { return shared && outer->shared != outer; }

size_t weft__evidence_room(const weft__evidence *outer, const evidence_item *items, size_t n, bool shared) {
    size_t room = view_room(slots_with(outer, items, n), n);
    if (two_views(outer, shared)) room += view_room(slots_with(outer->shared, items, n), n);
    return room;
}

static char *view(char *room, const weft__evidence *outer, const evidence_item *items, size_t n, const weft__observer *see) {
    weft__evidence *e = (weft__evidence *)(void *)room;
    uint64_t slots = slots_with(outer, items, n);
    weft__entry *own = (weft__entry *)(void *)(room + round_up(sizeof *e + slots * sizeof *e->at));
    weft__observer *watch = (weft__observer *)(void *)((char *)own + round_up(n * sizeof *own));
    memcpy(e->at, outer->at, outer->slots * sizeof *e->at);
    if (slots > outer->slots) memset(e->at + outer->slots, 0, (slots - outer->slots) * sizeof *e->at);
    e->slots = (uint32_t)slots;
    e->outer = outer;
    e->shared = e;
    e->observers = outer->observers;
    e->root = outer->root;
    e->copy = NULL;
    e->own = own;
    e->n_own = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        own[i] = items[i].entry;
        own[i].outer = outer;
        own[i].effect = items[i].effect;
        uint64_t slot = slot_of(items[i].effect);
        own[i].next = slot < outer->slots ? outer->at[slot] : NULL;
        e->at[slot] = &own[i];
    }
    if (see) {
        *watch = *see;
        watch->outer = outer;
        watch->next = outer->observers;
        e->observers = watch;
    }
    e->fast = e->observers ? 1 : e->slots;
    return (char *)(watch + 1);
}

const weft__evidence *weft__evidence_make(void *room, const weft__evidence *outer, const evidence_item *items, size_t n,
                                          const weft__observer *see, bool shared) {
    weft__evidence *e = room;
    char *rest = view(room, outer, items, n, see);
    if (!shared) e->shared = outer->shared;
    if (two_views(outer, shared)) {
        weft__evidence *children = (weft__evidence *)(void *)round_up((uintptr_t)rest);
        view((char *)children, outer->shared, items, n, see);
        e->shared = children;
    }
    return e;
}

static bool is_same(const weft__entry *a, const weft__entry *b) {
    return a == b || (a && b && a->clause == b->clause && a->self == b->self);
}

size_t weft__evidence_root_room(const weft__evidence *around) { return round_up(sizeof *around + around->slots * sizeof *around->at); }

const weft__evidence *weft__evidence_root(void *room, const weft__evidence *around, const weft__evidence *kept, fiber *body,
                                          const weft__entry *elsewhere) {
    weft__evidence *e = room;
    *e = *kept;
    for (uint32_t i = 0; i < around->slots; i++) {
        const weft__entry *theirs = i < around->shared->slots ? around->shared->at[i] : NULL;
        e->at[i] = !is_same(around->at[i], theirs) ? elsewhere : theirs ? kept->at[i] : NULL;
    }
    e->slots = around->slots;
    e->fast = e->observers ? 1 : e->slots;
    e->root = body;
    e->copy = NULL;
    e->outer = e->shared = kept;
    e->own = NULL;
    e->n_own = 0;
    return e;
}

/* ---- copies ------------------------------------------------------------------------------------------- */

static _Atomic(weft__copy *) *copy_word(const weft__evidence *e) { return (_Atomic(weft__copy *) *)(uintptr_t)&e->copy; }
static weft__copy *copy_of(const weft__evidence *e) { return (weft__copy *)((uintptr_t)e - offsetof(weft__copy, evidence)); }

static size_t values_room(const weft__evidence *e) {
    size_t room = 0;
    for (size_t i = 0; i < e->n_own; i++)
        if (entry_is_value(&e->own[i]) && e->own[i].self) room += round_up(e->own[i].bytes);
    return room;
}

void weft__lazy_drop(weft__lazy *l) {
    if (l && atom_sub_ar(&l->refs, 1) == 1) weft__heap_free(l, l->bytes);
}

static void drop_lazies(const weft__copy *c) {
    for (uint32_t i = 0; i < c->evidence.n_own; i++) {
        const weft__entry *e = &c->evidence.own[i];
        if (entry_is_value(e) && !e->self) weft__lazy_drop(e->lazy);
    }
}

static void copy_values(weft__copy *c, weft__entry *own, char *values) {
    for (size_t i = 0; i < c->evidence.n_own; i++) {
        if (!entry_is_value(&own[i])) continue;
        if (!own[i].self) {
            if (own[i].lazy) atom_add_rlx(&own[i].lazy->refs, 1);
            continue;
        }
        memcpy(values, own[i].self, own[i].bytes);
        own[i].self = values;
        values += round_up(own[i].bytes);
    }
}

/* One level, around which `outer`, a copy, holds; a reference to that is taken over. */
static weft__copy *copy_level(const weft__evidence *from, const weft__evidence *outer) {
    size_t head = round_up(sizeof(weft__copy) + from->slots * sizeof(weft__entry *));
    size_t own_room = round_up(from->n_own * sizeof(weft__entry));
    size_t bytes = head + own_room + values_room(from);
    weft__copy *c = weft__heap_alloc(bytes, EVIDENCE_ALIGN);
    if (!c) return NULL;
    weft__entry *own = (weft__entry *)(void *)((char *)c + head);
    c->bytes = bytes;
    atom_store_rlx(&c->refs, 1);
    weft__evidence *e = &c->evidence; /* from->copy is being written: no assignment as a whole */
    e->fast = from->fast;
    e->slots = from->slots;
    e->outer = outer;
    e->shared = e;
    e->copy = c;
    e->own = own;
    e->n_own = from->n_own;
    for (uint32_t i = 0; i < from->n_own; i++) {
        own[i] = from->own[i];
        own[i].outer = outer;
        own[i].copy = c;
        if (own[i].prompt) c->prompt = own[i].prompt;
        own[i].prompt = NULL;
    }
    copy_values(c, own, (char *)own + own_room);
    for (uint32_t i = 0; i < from->slots; i++) {
        const weft__entry *was = from->at[i];
        const weft__entry *further = i < outer->slots ? outer->at[i] : NULL;
        bool mine = was >= from->own && was < from->own + from->n_own;
        e->at[i] = mine ? own + (was - from->own) : further;
        if (mine) own[was - from->own].next = further;
    }
    e->observers = outer->observers;
    if (from->observers != from->outer->observers) {
        c->observer = *from->observers;
        c->observer.outer = outer;
        c->observer.next = outer->observers;
        e->observers = &c->observer;
    }
    return c;
}

static void drop_copy(weft__copy *c) {
    while (c && atom_sub_ar(&c->refs, 1) == 1) {
        const weft__evidence *outer = c->evidence.outer;
        drop_lazies(c);
        weft__heap_free(c, c->bytes);
        c = outer == &weft__no_evidence ? NULL : copy_of(outer);
    }
}

static const weft__evidence *kept(weft__copy *c) {
    atom_add_rlx(&c->refs, 1);
    return &c->evidence;
}

/* The outermost level that has no copy yet. */
static const weft__evidence *lacking(const weft__evidence *e) {
    const weft__evidence *found = NULL;
    for (; e != &weft__no_evidence && !atom_load_acq(copy_word(e)); e = e->outer) found = e;
    return found;
}

/* The frame has one reference to its copy. */
const weft__evidence *weft__evidence_keep(const weft__evidence *e) {
    e = e->shared;
    for (const weft__evidence *level; (level = lacking(e));) {
        const weft__evidence *around = level->outer;
        const weft__evidence *outer = around == &weft__no_evidence ? around : kept(atom_load_acq(copy_word(around)));
        weft__copy *c = copy_level(level, outer), *none = NULL;
        if (!c) {
            weft__evidence_drop(outer);
            return NULL;
        }
        if (!atom_cas_ar(copy_word(level), &none, c)) drop_copy(c); /* another child was faster */
    }
    return e == &weft__no_evidence ? e : kept(atom_load_acq(copy_word(e)));
}

void weft__evidence_drop(const weft__evidence *e) {
    if (e != &weft__no_evidence) drop_copy(copy_of(e));
}

static void end_view(const weft__evidence *e) {
    weft__copy *c = atom_load_acq(copy_word(e));
    if (!c) return;
    spin_lock(&c->lock);
    c->prompt = NULL;
    spin_unlock(&c->lock);
    drop_copy(c);
}

void weft__evidence_end(const weft__evidence *e) {
    end_view(e);
    if (e->shared != e && e->shared != e->outer->shared) end_view(e->shared);
}

/* ---- who sees what ------------------------------------------------------------------------------------- */

const weft__evidence *weft__evidence_of(weft__node *n) {
    for (; n && n->owner; n = n->outer) {
        if (n->kind == WEFT__PROMPT) return ((installed *)(void *)region_of(n))->evidence->shared;
        if (n->kind == WEFT__BASE) return node_owner(n)->env->shared;
    }
    return &weft__no_evidence;
}

static _Thread_local const weft__evidence *of_thread;

const weft__evidence *weft__evidence_of_thread(void) { return of_thread ? of_thread : &weft__no_evidence; }
void weft__evidence_set_thread(const weft__evidence *e) { of_thread = e; }
const weft__evidence *weft__evidence_thread_child(void) {
    const weft__evidence *own = weft__evidence_of_thread();
    of_thread = own->shared;
    return own;
}

const weft__entry *weft__evidence_find(const weft__evidence *here, const weft_effect *effect) {
    uint64_t slot = weft__look(&effect->slot);
    return slot < here->slots ? here->at[slot] : NULL;
}

const void *weft__env_find_slow(const weft_effect *key) {
    fiber *f = thread_fiber();
    const weft__entry *e = weft__evidence_find(f ? f->pub.env : weft__evidence_of_thread(), key);
    if (!e || !entry_is_value(e)) return NULL;
    return e->self || !e->lazy ? e->self : e->lazy->get(e);
}
