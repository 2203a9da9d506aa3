/* effect/store.c -- tables, and the clauses of get, put and modify.  What must hold: effect/store.h.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/store.h"
#include "alloc/heap.h"
#include "alloc/mix.h"
#include "effect/par.h"
#include "sched/cause.h"
#include "sched/fail.h"
#include "sched/local.h"
#include <stdio.h>
#include <string.h>

/* ---- keys --------------------------------------------------------------------------------------------- */

static spin numbering;
static uint64_t last_slot; /* under the lock */

static uint64_t slot_of(const weft_state *key) {
    _Atomic uint64_t *slot = (_Atomic uint64_t *)(uintptr_t)&key->slot; /* the one field that is written */
    if (!atom_load_acq(slot)) {
        spin_lock(&numbering);
        if (!atom_load_rlx(slot)) atom_store_rel(slot, ++last_slot);
        spin_unlock(&numbering);
    }
    return atom_load_rlx(slot);
}

/* ---- tables ------------------------------------------------------------------------------------------- */

enum { KEYS_FIRST = 8, VALUES_FIRST = 128 };

static uint32_t round_up(uint32_t bytes) { return (bytes + 15) & ~UINT32_C(15); }

table *weft__table_keep(table *t) {
    if (t) atom_add_rlx(&t->refs, 1);
    return t;
}

void weft__table_drop(table *t) {
    if (t && atom_sub_ar(&t->refs, 1) == 1) weft__heap_free(t, t->bytes);
}

/* With acquire: what the others read of it, they have read. */
static bool is_own(const table *t) { return atom_load_acq(&((table *)(uintptr_t)t)->refs) == 1; }

/* What is in t (may be NULL), with room for `slots` keys, and a value of `more` bytes. */
static table *table_with(const table *t, uint32_t slots, uint32_t more) {
    uint32_t had = t ? round_up((uint32_t)sizeof *t + t->slots * (uint32_t)sizeof *t->at) : 0, values = t ? t->end - had : 0;
    uint32_t keys = KEYS_FIRST;
    while (keys < slots) keys *= 2;
    if (t && keys < t->slots) keys = t->slots;
    uint32_t head = round_up((uint32_t)sizeof *t + keys * (uint32_t)sizeof *t->at);
    size_t room = (size_t)values + more;
    size_t bytes = head + (room < VALUES_FIRST ? VALUES_FIRST : room * 2);
    table *n = bytes < UINT32_MAX ? weft__heap_alloc(bytes, 16) : NULL;
    if (!n) return NULL;
    atom_store_rlx(&n->refs, 1);
    n->slots = keys;
    n->end = head + values;
    n->bytes = bytes;
    for (uint32_t i = 0; t && i < t->slots; i++) n->at[i] = t->at[i] ? t->at[i] - had + head : 0;
    if (values) memcpy((char *)n + head, (const char *)t + had, values);
    return n;
}

/* The place of key's value in a table that is s's alone; made if there is none.  NULL: no memory. */
static void *place_of(store *s, const weft_state *key) {
    uint64_t slot = slot_of(key);
    table *t = s->table;
    bool there = t && slot < t->slots && t->at[slot];
    uint32_t more = there ? 0 : VALUE_HEAD + round_up(key->bytes);
    if (slot >= UINT32_MAX / 16) return NULL;
    if (!t || !is_own(t) || slot >= t->slots || t->bytes - t->end < more) {
        table *n = table_with(t, (uint32_t)slot + 1, more);
        if (!n) return NULL;
        weft__table_drop(t);
        store_set_table(s, t = n);
    }
    if (!there) {
        *(const weft_state **)(void *)((char *)t + t->end) = key;
        t->at[slot] = t->end + VALUE_HEAD;
        t->end += more;
    }
    return (char *)t + t->at[slot];
}

bool weft__store_put(store *s, const weft_state *key, const void *from) {
    void *to = place_of(s, key);
    if (to) memcpy(to, from, key->bytes);
    return to;
}

/* ---- who is alone ------------------------------------------------------------------------------------- */

/* What was offered last may have been a region's mark, on whose outer side nothing is: no child. */
bool weft__store_alone_slow(const fiber *f) {
    const weft_task *t = f->anchor;
    while (t != &f->root && (const weft_site *)(t->site & ~(uintptr_t)WEFT__SITE_BITS) == &weft__region_site) t = t->older;
    return t == &f->root;
}

/* Returns whether the lock was taken. */
static bool store_enter(store *s, const fiber *f) {
    if (store_alone(s, f)) return false;
    spin_lock(&s->lock);
    return true;
}

static void store_leave(store *s, bool locked) {
    if (locked) spin_unlock(&s->lock);
}

table *weft__store_snapshot(store *s, fiber *f) {
    bool locked = store_enter(s, f);
    table *t = weft__table_keep(s->table);
    store_leave(s, locked);
    return t;
}

uint64_t weft__store_random(store *s, fiber *f) {
    bool locked = store_enter(s, f);
    uint64_t n = mixed_next(&s->random);
    store_leave(s, locked);
    return n;
}

bool weft__store_get(store *s, fiber *f, const weft_state *key, void *to) {
    bool locked = store_enter(s, f);
    void *v = store_value(s, key);
    if (v) memcpy(to, v, key->bytes);
    store_leave(s, locked);
    return v;
}

/* ---- clauses ------------------------------------------------------------------------------------------ */

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

static WEFT_COLD weft_exit missing(fiber *f, const weft_state *key, const weft_place *at) {
    char text[WEFT_CAUSE_TEXT_MAX + 1];
    const char *what = f && f->carried ? "the store has no value for '%s'; put one first, or give one to the driver"
                                       : "there is no store for '%s' here; run it under weft_run_sync or weft_run_async";
    snprintf(text, sizeof text, what, key->name);
    weft_exit e = {WEFT_EXIT_FAIL, WEFT_E_MISSING, weft__cause_leaf(WEFT_CAUSE_FAIL, WEFT_E_MISSING, text, at->file, at->line)};
    return f ? weft__hold_own(f, e) : e;
}

static weft_exit no_memory(void) { return FAILED(WEFT_E_NOMEM, "weft_do_put: no memory for another value"); }

static WEFT_COLD weft_exit get_slow(const weft_get_op *op, fiber *f) {
    store *s = store_of(f);
    scheduling_point_here();
    return s && weft__store_get(s, f, op->key, op->to) ? success : missing(f, op->key, op->at);
}

static weft_exit on_get(const weft_get_op *op, char *reply, void *self) {
    fiber *f = thread_fiber();
    store *s = store_of(f);
    (void)reply, (void)self;
    if (WEFT_LIKELY(s && atom_load_acq(&s->carried.on) == f && f->anchor == &f->root)) {
        const void *v = store_value(s, op->key);
        if (WEFT_LIKELY(v != NULL)) {
            par_copy(op->to, v, op->key->bytes);
            return success;
        }
    }
    return get_slow(op, f);
}

static WEFT_COLD weft_exit put_slow(const weft_put_op *op, fiber *f) {
    store *s = store_of(f);
    scheduling_point_here();
    if (!s) return missing(f, op->key, op->at);
    bool locked = store_enter(s, f);
    bool ok = weft__store_put(s, op->key, op->from);
    s->version++;
    store_leave(s, locked);
    return ok ? success : no_memory();
}

static weft_exit on_put(const weft_put_op *op, char *reply, void *self) {
    fiber *f = thread_fiber();
    store *s = store_of(f);
    (void)reply, (void)self;
    if (WEFT_LIKELY(s && atom_load_acq(&s->carried.on) == f && f->anchor == &f->root)) {
        void *v = store_value(s, op->key);
        if (WEFT_LIKELY(v != NULL) && WEFT_LIKELY(is_own(s->table))) {
            par_copy(v, op->from, op->key->bytes);
            return success;
        }
    }
    return put_slow(op, f);
}

/* One try: the value and its version, fn outside of the lock, and back if nobody put meanwhile.  False: again.  Whoever is
 * alone stays so: fn neither forks nor suspends. */
static bool modify_once(store *s, fiber *f, const weft_modify_op *op, void *value, weft_exit *e) {
    bool locked = store_enter(s, f);
    const void *v = store_value(s, op->key);
    uint64_t version = s->version;
    if (v) memcpy(value, v, op->key->bytes);
    store_leave(s, locked);
    *e = v ? op->fn(value, op->arg) : missing(f, op->key, op->at);
    if (!weft_ok(*e)) return true;
    if (locked) scheduling_point(f);
    locked = store_enter(s, f);
    bool mine = s->version == version;
    if (mine && !weft__store_put(s, op->key, value)) *e = no_memory();
    s->version += mine;
    store_leave(s, locked);
    return mine;
}

static weft_exit on_modify(const weft_modify_op *op, char *reply, void *self) {
    fiber *f = thread_fiber();
    store *s = store_of(f);
    weft_exit e;
    (void)reply, (void)self;
    if (!s) return missing(f, op->key, op->at);
    _Alignas(16) char small[256];
    size_t bytes = op->key->bytes;
    void *value = bytes <= sizeof small ? small : weft__heap_alloc(bytes, 16);
    if (!value) return no_memory();
    do scheduling_point(f);
    while (!modify_once(s, f, op, value, &e));
    if (weft_ok(e) && op->to) memcpy(op->to, value, bytes);
    if (value != small) weft__heap_free(value, bytes);
    return e;
}

const weft_clause weft__clauses_state[3] = {WEFT_TAIL(weft_get, on_get), WEFT_TAIL(weft_put, on_put),
                                            WEFT_TAIL(weft_modify, on_modify)};
