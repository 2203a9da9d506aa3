/* alloc/slab.c -- objects of one size: chunks, caches, remote free.
 *
 *   pool --- caches (all, open or idle)
 *              |--- free:   LIFO of free objects           owner only
 *              |--- remote: objects freed by others        any thread pushes, the owner drains
 *              `--- chunks: 64 KiB, aligned to 64 KiB      appended by the owner
 *                     [ header | one audit bit an object | object 0 | object 1 | ... ]
 *
 * An object's home never changes: a closed cache stays in the pool, still receives what others free,
 * and serves again, with all it has, when the next cache is opened.
 *
 * Invariant, per cache:  made == on free + on remote + live        (made: objects ever cut from chunks)
 *
 * Rejected: moving objects between caches in batches (a home that changes needs an atomic in each free,
 * and a producer-consumer pair would carry all memory to the consumer); a depot of free objects (the
 * remote list already brings them back to where they are needed next); giving chunks back before the
 * pool closes (a count of live objects for each chunk on every get and put).
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/slab.h"
#include "alloc/heap.h"
#include "alloc/os.h"
#include "alloc/remote_list.h"
#include "alloc/san.h"
#include "alloc/spin.h"
#include <string.h>

enum { CHUNK_BYTES = 64 * 1024, LEAST_BYTES = 16, MOST_BYTES = 4096 };
static const uint64_t CHUNK_MARK = 0x57656674536c6162u;

typedef struct chunk {
    uint64_t mark;
    slab_cache *home;
    struct chunk *older;
    _Atomic uint32_t cut; /* objects made so far; the owner writes */
    uint64_t seen[]; /* one bit an object, used by an audit */
} chunk;

struct slab_cache {
    /* owner only */
    remote_node *free;
    size_t nfree;
    _Atomic(chunk *) newest; /* others only look through it (weft__slab_each) */
    size_t made;
    size_t object_bytes; /* constant, like the next two */
    uint32_t first, count; /* of a chunk: offset of object 0, number of objects */
    slab_pool *pool;
    slab_cache *next_idle, *next_all; /* under the pool's lock */
    /* anyone writes */
    _Alignas(WEFT__LINE) remote_list remote;
};

struct slab_pool {
    size_t object_bytes;
    bool user_poisons;
    spin lock;
    slab_cache *idle; /* closed, waiting to be opened again */
    slab_cache *all;
    uint32_t open;
};

static chunk *chunk_of(const void *object) {
    return (chunk *)((uintptr_t)object & ~(uintptr_t)(CHUNK_BYTES - 1));
}

/* The audit bits take their place from the objects: the largest count for which both fit. */
static void chunk_shape(size_t object_bytes, uint32_t *first, uint32_t *count) {
    size_t n = (CHUNK_BYTES - sizeof(chunk)) / object_bytes, head;
    for (;; n--) {
        head = sizeof(chunk) + (n + 63) / 64 * sizeof(uint64_t);
        head = (head + WEFT__LINE - 1) & ~(size_t)(WEFT__LINE - 1);
        if (head + n * object_bytes <= CHUNK_BYTES) break;
    }
    *first = (uint32_t)head;
    *count = (uint32_t)n;
}

/* What a free list uses of an object; the rest is poisoned. */
static void hide(const slab_cache *c, void *object) {
    if (!c->pool->user_poisons) san_poison((char *)object + sizeof(remote_node), c->object_bytes - sizeof(remote_node));
}

/* ---- get and put ---------------------------------------------------------------------------- */

/* Owner only. */
static void take_back_remote(slab_cache *c) {
    remote_node *n = remote_drain(&c->remote), *last = n;
    if (!n) return;
    for (c->nfree++; last->next; last = last->next) {
        /* An object pushed twice closes a ring. */
        if (WEFT_UNLIKELY(++c->nfree > c->made)) {
            weft__os_die("slab: %p or a neighbour was freed twice", (void *)n);
        }
    }
    last->next = c->free;
    c->free = n;
}

static WEFT_COLD chunk *chunk_add(slab_cache *c) {
    chunk *k = weft__heap_alloc(CHUNK_BYTES, CHUNK_BYTES);
    if (!k) return NULL;
    k->mark = CHUNK_MARK;
    k->home = c;
    k->older = atom_load_rlx(&c->newest);
    atom_store_rel(&c->newest, k);
    return k;
}

/* The private list is empty: what others gave back, then the newest chunk, then a new one. */
static __attribute__((noinline)) void *get_slow(slab_cache *c) {
    take_back_remote(c);
    remote_node *n = c->free;
    if (n) {
        c->free = n->next;
        c->nfree--;
        return n;
    }
    chunk *k = atom_load_rlx(&c->newest);
    if ((!k || atom_load_rlx(&k->cut) == c->count) && !(k = chunk_add(c))) return NULL;
    c->made++;
    uint32_t i = atom_load_rlx(&k->cut);
    atom_store_rel(&k->cut, i + 1);
    return (char *)k + c->first + i * c->object_bytes;
}

void *weft__slab_get(slab_cache *c) {
    remote_node *n = c->free;
    if (WEFT_LIKELY(n != NULL)) {
        c->free = n->next;
        c->nfree--;
    } else {
        n = get_slow(c);
        if (!n) return NULL;
    }
    san_unpoison(n, c->object_bytes);
    return n;
}

void weft__slab_put_foreign(void *object) {
    slab_cache *home = chunk_of(object)->home;
    hide(home, object);
    remote_push(&home->remote, object);
}

void weft__slab_put(slab_cache *c, void *object) {
    if (WEFT_UNLIKELY(chunk_of(object)->home != c)) {
        weft__slab_put_foreign(object);
        return;
    }
    remote_node *n = object;
    n->next = c->free;
    c->free = n;
    c->nfree++;
    hide(c, object);
}

/* ---- caches and pools ----------------------------------------------------------------------- */

weft_err weft__slab_pool_open(slab_pool **out, size_t bytes) {
    if (bytes < LEAST_BYTES || bytes > MOST_BYTES) return WEFT_E_INVALID;
    slab_pool *p = weft__heap_alloc(sizeof *p, WEFT__LINE);
    if (!p) return WEFT_E_NOMEM;
    p->object_bytes = (bytes + LEAST_BYTES - 1) & ~(size_t)(LEAST_BYTES - 1);
    *out = p;
    return WEFT_OK;
}

void weft__slab_pool_user_poisons(slab_pool *p) { p->user_poisons = true; }

static slab_cache *cache_make(slab_pool *p) {
    slab_cache *c = weft__heap_alloc(sizeof *c, WEFT__LINE);
    if (!c) return NULL;
    c->pool = p;
    c->object_bytes = p->object_bytes;
    chunk_shape(c->object_bytes, &c->first, &c->count);
    spin_lock(&p->lock);
    c->next_all = p->all;
    p->all = c;
    p->open++;
    spin_unlock(&p->lock);
    return c;
}

slab_cache *weft__slab_cache_open(slab_pool *p) {
    spin_lock(&p->lock);
    slab_cache *c = p->idle;
    if (c) {
        p->idle = c->next_idle;
        p->open++;
    }
    spin_unlock(&p->lock);
    return c ? c : cache_make(p);
}

/* Handing a cache over is the lock's release and acquire: the next owner sees the lists of the last. */
void weft__slab_cache_close(slab_cache *c) {
    slab_pool *p = c->pool;
    spin_lock(&p->lock);
    c->next_idle = p->idle;
    p->idle = c;
    p->open--;
    spin_unlock(&p->lock);
}

static void cache_free(slab_cache *c) {
    for (chunk *k = atom_load_rlx(&c->newest), *older; k; k = older) {
        older = k->older;
        san_unpoison(k, CHUNK_BYTES);
        weft__heap_free(k, CHUNK_BYTES);
    }
    weft__heap_free(c, sizeof *c);
}

void weft__slab_pool_close(slab_pool *p) {
    if (p->open) weft__os_die("a slab pool was closed with %u caches open", p->open);
    for (slab_cache *c = p->all, *next; c; c = next) {
        next = c->next_all;
        cache_free(c);
    }
    weft__heap_free(p, sizeof *p);
}

void weft__slab_each(slab_pool *p, void (*visit)(void *object, void *arg), void *arg) {
    spin_lock(&p->lock);
    for (slab_cache *c = p->all; c; c = c->next_all)
        for (chunk *k = atom_load_acq(&c->newest); k; k = k->older)
            for (uint32_t i = 0, n = atom_load_acq(&k->cut); i < n; i++) visit((char *)k + c->first + i * c->object_bytes, arg);
    spin_unlock(&p->lock);
}

/* ---- checks --------------------------------------------------------------------------------- */

size_t weft__slab_live(slab_cache *c) {
    take_back_remote(c);
    return c->made - c->nfree;
}

/* One free object: it lies where an object of this cache can lie, and was not met before. */
static void audit_object(const slab_cache *c, const void *object) {
    chunk *k = chunk_of(object);
    if (k->mark != CHUNK_MARK || k->home != c) weft__os_die("slab: %p is on a foreign list", object);
    size_t offset = (uintptr_t)object - (uintptr_t)k - c->first, i = offset / c->object_bytes;
    if (offset % c->object_bytes || i >= atom_load_rlx(&k->cut)) weft__os_die("slab: %p is no object of its chunk", object);
    if (k->seen[i / 64] >> (i % 64) & 1) weft__os_die("slab: %p is free twice", object);
    k->seen[i / 64] |= (uint64_t)1 << (i % 64);
}

void weft__slab_audit(slab_cache *c) {
    size_t cut = 0, listed = 0;
    take_back_remote(c);
    for (chunk *k = atom_load_rlx(&c->newest); k; k = k->older) {
        memset(k->seen, 0, (c->count + 63) / 64 * sizeof *k->seen);
        cut += atom_load_rlx(&k->cut);
    }
    if (cut != c->made) weft__os_die("slab: %zu objects were made, chunks count %zu", c->made, cut);
    for (remote_node *n = c->free; n; n = n->next, listed++) audit_object(c, n);
    if (listed != c->nfree) weft__os_die("slab: %zu objects are listed, %zu counted", listed, c->nfree);
    if (listed > c->made) weft__os_die("slab: %zu objects are free, %zu were made", listed, c->made);
}
