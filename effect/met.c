/* effect/met.c -- a table of pairs of addresses: open addressing, linear probing, at most half full.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "alloc/mix.h"
#include "effect/explain.h"

enum { LEAST = 64 };

static met_entry *place(const met *m, const void *key, const void *beside) {
    uint64_t h = mixed((uint64_t)(uintptr_t)key ^ mixed((uint64_t)(uintptr_t)beside));
    for (size_t i = (size_t)h & (m->room - 1);; i = (i + 1) & (m->room - 1)) {
        met_entry *e = &m->entries[i];
        if (!e->key || (e->key == key && e->beside == beside)) return e;
    }
}

static bool grow(met *m) {
    met larger = {NULL, m->n, m->room ? m->room * 2 : LEAST};
    larger.entries = weft__heap_alloc(larger.room * sizeof *larger.entries, 0);
    if (!larger.entries) return false;
    for (size_t i = 0; i < m->room; i++)
        if (m->entries[i].key) *place(&larger, m->entries[i].key, m->entries[i].beside) = m->entries[i];
    weft__heap_free(m->entries, m->room * sizeof *m->entries);
    *m = larger;
    return true;
}

met_entry *weft__met(met *m, const void *key, const void *beside, bool *fresh) {
    met_entry *e = weft__met_look(m, key, beside);
    *fresh = !e;
    if (e) return e;
    if (m->n * 2 >= m->room && !grow(m)) return NULL;
    e = place(m, key, beside);
    *e = (met_entry){key, beside, 0};
    m->n++;
    return e;
}

met_entry *weft__met_look(const met *m, const void *key, const void *beside) {
    met_entry *e = m->room ? place(m, key, beside) : NULL;
    return e && e->key ? e : NULL;
}

void weft__met_free(met *m) {
    weft__heap_free(m->entries, m->room * sizeof *m->entries);
    *m = (met){NULL, 0, 0};
}
