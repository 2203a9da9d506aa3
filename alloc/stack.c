/* alloc/stack.c -- the stack pool: regions of equal slots, a depot, per-worker caches.
 *
 * Concepts
 *   slot    a power of two of address space and a page: with strides that are a power of two all stacks share
 *           a few sets of the processor's translation buffer, and a thousand fibers taking turns miss it at
 *           every switch (22 ns instead of 11); a tiny one is 2 KiB and a line, many to a page
 *   region  one reservation of slots, plus one for what is known about them; never released before the
 *           pool, never moved, so a lookup needs no lock
 *   fresh   slots at or above a region's `bump`: never used, no guard, no page table
 *   depot   per region, the numbers of its free slots; as long as the region has slots, so a put cannot
 *           fail
 *   cache   one worker's free stacks of each class, most recent first
 *
 * Invariant, per class:  sum of bump == in use + in caches + sum of free
 *
 * Who writes what: the depot, `listed` and bump under the class's lock; `guard` of a slot by whoever
 * holds the slot.
 *
 * Rejected: mmap per stack (a mapping each, 65,530 in all); free lists threaded through the stacks
 * (touches a page of every free stack, and trimming would cut the list); discarding pages at put (a TLB
 * shootdown on a hot path); poisoning free stacks for ASan (the last frames still run on them).
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/stack.h"
#include "alloc/heap.h"
#include "alloc/san.h"
#include "alloc/spin.h"
#include <string.h>

enum {
    MOST_REGIONS = 64, /* a class */
    MOST_CACHED = 64,
    LEAST_PAGES = 4, /* a slot, where pages are large */
    COLOURS = 16,
    PAGE_SHIFT = 12, /* of the smallest page there is */
    CANARY_WORDS = 8, /* a cache line */
    CANARY_BYTES = CANARY_WORDS * sizeof(uint64_t),
    LEAST_SLOTS = 4, /* a region: below this memory is exhausted */
    MODEST_SHARE = 8,
};
static const size_t REGION_BYTES = (size_t)68 << 30; /* 2^20 stacks of the default class on x86-64 */
static const size_t REGION_SLOTS = (size_t)1 << 20;
static const size_t REGION_ALIGN = (size_t)2 << 20; /* page tables are not shared with neighbours */
static const uint64_t CANARY = 0x5765667453746b21u;

/* Frames that are instrumented, or not optimised, do not fit into 2 KiB. */
#if defined(__OPTIMIZE__)
#define TINY_BYTES (WEFT__SAN_STACKS > 1 ? 16384 : 2048)
#else
#define TINY_BYTES 16384
#endif

static const struct {
    size_t bytes;
    uint32_t cached; /* the most in a cache; half of it travels at a time */
} CLASS[STACK_CLASSES] = {
    [STACK_64K] = {(size_t)WEFT__SAN_STACKS << 16, 64}, [STACK_16K] = {(size_t)WEFT__SAN_STACKS << 14, 64},
    [STACK_256K] = {(size_t)WEFT__SAN_STACKS << 18, 16}, [STACK_1M] = {(size_t)WEFT__SAN_STACKS << 20, 8},
    [STACK_8M] = {(size_t)WEFT__SAN_STACKS << 23, 4}, [STACK_2K] = {TINY_BYTES, 64},
};

enum { /* listed */
    IN_DEPOT = 1,
    CLEAN = 2, /* in the depot, and its pages were given back */
    SEEN = 4,  /* during an audit */
};

typedef struct region {
    char *base;
    size_t bytes;
    size_t info_bytes; /* of this reservation */
    uint32_t slots;
    uint32_t nfree;
    _Atomic uint32_t bump; /* written under the lock, read by anyone */
    uint8_t *guard;        /* one os_guard a slot; the slot's holder */
    uint8_t *listed;       /* one a slot; under the lock */
    uint32_t free[];       /* nfree slot numbers; under the lock */
} region;

typedef struct depot {
    _Alignas(WEFT__LINE) spin lock;
    size_t mapped, free;
    uint32_t nregions;
    _Atomic(region *) regions[MOST_REGIONS]; /* append-only; written under the lock, read by anyone */
} depot;

struct stack_pool {
    depot depots[STACK_CLASSES];
    size_t slot_bytes[STACK_CLASSES];
    size_t guard_bytes[STACK_CLASSES]; /* from the slot to lo */
    _Atomic uint32_t caches;
    _Atomic uint32_t canaries; /* 1: some stack, not tiny, has no guard in hardware, so puts must look */
};

typedef struct shelf {
    uint32_t n;
    char *slot[MOST_CACHED]; /* bases; the last is taken first */
} shelf;

struct stack_cache {
    stack_pool *pool;
    shelf shelves[STACK_CLASSES];
};

/* ---- sizes ---------------------------------------------------------------------------------- */

size_t weft__stack_class_bytes(stack_class cls) { return CLASS[cls].bytes; }

stack_class weft__stack_class_for(size_t bytes) {
    static const stack_class by_size[] = {STACK_16K, STACK_64K, STACK_256K, STACK_1M, STACK_8M};
    if (bytes == 0) return STACK_64K;
    for (size_t i = 0; i < sizeof by_size / sizeof *by_size; i++) {
        /* What is asked for is what a plain build would have: sanitizers add their factor. */
        if (bytes <= CLASS[by_size[i]].bytes / WEFT__SAN_STACKS) return by_size[i];
    }
    return STACK_CLASSES;
}

size_t weft__stack_slot_bytes(stack_class cls) {
    if (cls == STACK_2K) return CLASS[cls].bytes + CANARY_BYTES;
    size_t guard = weft__os_guard_bytes(), least = LEAST_PAGES * weft__os_page();
    size_t want = CLASS[cls].bytes, slot = 1;
    if (guard > 4096) want += guard;
    if (want < least) want = least;
    while (slot < want) slot <<= 1;
    return slot + weft__os_page();
}

/* Neighbours are an odd number of pages apart and 7 is odd, so that 16 of them have 16 different colours, 448 bytes from one
 * to the next rather than 64. */
static char *slot_top(const stack_pool *p, stack_class cls, char *slot) {
    if (cls == STACK_2K) return slot + p->slot_bytes[cls];
    size_t number = (uintptr_t)slot >> PAGE_SHIFT;
    return slot + p->slot_bytes[cls] - 64 * ((number * 7) % COLOURS);
}

static stack slot_stack(const stack_pool *p, stack_class cls, char *slot) {
    return (stack){.lo = slot + p->guard_bytes[cls], .top = slot_top(p, cls, slot), .cls = cls};
}

/* ---- regions -------------------------------------------------------------------------------- */

/* The class's region that holds `address`.  Any thread, signal handlers too.
 *   F1 load region, acquire   with F2 in region_add: its fields are written.
 * Regions are appended and never taken away, so the first NULL ends the search. */
static region *region_of(const depot *d, uintptr_t address) {
    for (uint32_t i = 0; i < MOST_REGIONS; i++) {
        region *r = atom_load_acq(&d->regions[i]); /* F1 */
        if (!r) return NULL;
        if (address - (uintptr_t)r->base < r->bytes) return r;
    }
    return NULL;
}

static size_t region_bytes(size_t slots, size_t slot_bytes) {
    size_t page = weft__os_page();
    return (slots * slot_bytes + page - 1) & ~(page - 1);
}

/* As much as fits.  Where the system refuses the full size (a limit, strict overcommit), the largest
 * piece that fits is not kept: an eighth of it leaves room for the rest of the process.  Where guards
 * cost mappings few stacks are expected, and emulators pay for each page: begin small, then double. */
static char *reserve_slots(size_t slot_bytes, uint32_t nregions, size_t *slots) {
    size_t want = REGION_BYTES / slot_bytes;
    if (want > REGION_SLOTS) want = REGION_SLOTS;
    if (weft__os_guard_kind() != OS_GUARD_MADVISE && nregions < 10) want >>= 10 - nregions;
    size_t n = want;
    char *base;
    while (!(base = weft__os_reserve(region_bytes(n, slot_bytes), REGION_ALIGN))) {
        if ((n /= 2) < LEAST_SLOTS) return NULL;
    }
    if (n < want && n > LEAST_SLOTS * MODEST_SHARE) {
        weft__os_release(base, region_bytes(n, slot_bytes));
        n /= MODEST_SHARE;
        base = weft__os_reserve(region_bytes(n, slot_bytes), REGION_ALIGN);
    }
    *slots = n;
    return base;
}

static size_t region_info_bytes(size_t slots) {
    size_t page = weft__os_page();
    return (sizeof(region) + slots * (sizeof(uint32_t) + 2) + page - 1) & ~(page - 1);
}

/* A region for the class, and room for all its slots in the depot.  The lock is held: this happens
 * once or a few times in a pool's life.
 *   F2 store region, release   with F1. */
static WEFT_COLD region *region_add(depot *d, size_t slot_bytes) {
    size_t slots = 0;
    if (d->nregions == MOST_REGIONS || weft__heap_should_fail()) return NULL;
    char *base = reserve_slots(slot_bytes, d->nregions, &slots);
    if (!base) return NULL;
    size_t info_bytes = region_info_bytes(slots);
    region *r = weft__heap_should_fail() ? NULL : weft__os_reserve(info_bytes, weft__os_page());
    if (!r) {
        weft__os_release(base, region_bytes(slots, slot_bytes));
        return NULL;
    }
    san_no_access(base, region_bytes(slots, slot_bytes));
    r->base = base;
    r->bytes = region_bytes(slots, slot_bytes);
    r->info_bytes = info_bytes;
    r->slots = (uint32_t)slots;
    r->guard = (uint8_t *)&r->free[slots];
    r->listed = r->guard + slots;
    atom_store_rel(&d->regions[d->nregions++], r); /* F2 */
    return r;
}

static void region_close(const stack_pool *p, stack_class cls, region *r) {
    uint32_t used = atom_load_rlx(&r->bump);
    size_t guard = p->guard_bytes[cls], usable = p->slot_bytes[cls] - guard;
    for (uint32_t i = 0; i < used; i++) {
        char *slot = r->base + (size_t)i * p->slot_bytes[cls];
        weft__os_unguard(slot, guard, (os_guard)r->guard[i]);
        san_unpoison(slot + guard, usable);
        san_root_drop(slot + guard, usable);
    }
    weft__os_release(r->base, r->bytes);
    weft__os_release(r, r->info_bytes);
}

/* ---- slots ---------------------------------------------------------------------------------- */

static uint32_t slot_number(const stack_pool *p, stack_class cls, const region *r, const char *slot) {
    return (uint32_t)((size_t)(slot - r->base) / p->slot_bytes[cls]);
}

static void canary_plant(char *lo) {
    uint64_t *word = (uint64_t *)(void *)lo;
    for (int i = 0; i < CANARY_WORDS; i++) word[i] = CANARY ^ (uintptr_t)&word[i];
}

static bool canary_damaged(const char *lo) {
    const uint64_t *word = (const uint64_t *)(const void *)lo;
    for (int i = 0; i < CANARY_WORDS; i++)
        if (word[i] != (CANARY ^ (uintptr_t)&word[i])) return true;
    return false;
}

static void canary_check(const char *lo) {
    if (canary_damaged(lo))
        weft__os_die("stack overflow: canary at %p is damaged; use a larger stack class", (const void *)lo);
}

/* A tiny stack's canary lies below lo, in the place of a guard. */
bool weft__stack_overflowed(const stack *s) { return s->cls == STACK_2K && canary_damaged(s->lo - CANARY_BYTES); }

/* The first use of a slot: guard, leak root.  Its holder only, no lock held. */
static void slot_prepare(stack_pool *p, stack_class cls, char *slot) {
    region *r = region_of(&p->depots[cls], (uintptr_t)slot);
    size_t guard = p->guard_bytes[cls];
    san_defined(slot, p->slot_bytes[cls]);
    os_guard kind = cls == STACK_2K ? OS_GUARD_CANARY : weft__os_guard(slot, guard);
    r->guard[slot_number(p, cls, r, slot)] = (uint8_t)kind;
    if (cls == STACK_2K) {
        canary_plant(slot);
    } else if (kind == OS_GUARD_CANARY) {
        canary_plant(slot + guard);
        atom_store_rlx(&p->canaries, 1); /* travels with the stack: whoever puts it was handed it */
    }
    san_root_add(slot + guard, p->slot_bytes[cls] - guard);
}

static WEFT_COLD void slot_check(stack_pool *p, const stack *s, char *slot) {
    region *r = region_of(&p->depots[s->cls], (uintptr_t)slot);
    if (!r) weft__os_die("stack %p was given back to a pool that it is not from", (void *)s->lo);
    if (s->cls == STACK_2K)
        canary_check(slot);
    else if (r->guard[slot_number(p, s->cls, r, slot)] == OS_GUARD_CANARY) {
        san_defined(s->lo, CANARY_BYTES);
        canary_check(s->lo);
    }
}

/* ---- depot and cache ------------------------------------------------------------------------ */

/* How many fresh slots to take at once: few for a program that needs few, since each costs a guard. */
static uint32_t fresh_batch(size_t mapped, uint32_t most) {
    size_t n = mapped / 4;
    return n < 1 ? 1 : n > most ? most : (uint32_t)n;
}

/* Under the lock: free slots first, of the oldest region first, so that late regions stay unused. */
static uint32_t depot_take_free(const stack_pool *p, stack_class cls, depot *d, char **out, uint32_t most) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->nregions && n < most && d->free > 0; i++) {
        region *r = atom_load_rlx(&d->regions[i]);
        while (r->nfree > 0 && n < most) {
            uint32_t number = r->free[--r->nfree];
            r->listed[number] = 0;
            out[n++] = r->base + (size_t)number * p->slot_bytes[cls];
            d->free--;
        }
    }
    return n;
}

/* Under the lock: slots nobody ever had, the lowest to be used first; the caller prepares them after it
 * let go. */
static uint32_t depot_take_fresh(const stack_pool *p, stack_class cls, depot *d, char **out, uint32_t most) {
    region *r = d->nregions ? atom_load_rlx(&d->regions[d->nregions - 1]) : NULL;
    if (!r || atom_load_rlx(&r->bump) == r->slots) r = region_add(d, p->slot_bytes[cls]);
    if (!r) return 0;
    uint32_t from = atom_load_rlx(&r->bump), n = fresh_batch(d->mapped, most);
    if (n > r->slots - from) n = r->slots - from;
    for (uint32_t i = 0; i < n; i++) out[n - 1 - i] = r->base + (size_t)(from + i) * p->slot_bytes[cls];
    atom_store_rlx(&r->bump, from + n);
    d->mapped += n;
    return n;
}

static WEFT_COLD bool shelf_fill(stack_cache *c, stack_class cls) {
    stack_pool *p = c->pool;
    depot *d = &p->depots[cls];
    shelf *s = &c->shelves[cls];
    uint32_t most = CLASS[cls].cached / 2, fresh = 0;
    spin_lock(&d->lock);
    s->n = depot_take_free(p, cls, d, s->slot, most);
    if (s->n == 0) s->n = fresh = depot_take_fresh(p, cls, d, s->slot, most);
    spin_unlock(&d->lock);
    for (uint32_t i = 0; i < fresh; i++) slot_prepare(p, cls, s->slot[i]);
    return s->n > 0;
}

/* Under the lock. */
static void depot_put(const stack_pool *p, stack_class cls, depot *d, char *slot, uint8_t flags) {
    region *r = region_of(d, (uintptr_t)slot);
    uint32_t number = slot_number(p, cls, r, slot);
    r->free[r->nfree++] = number;
    r->listed[number] = (uint8_t)(IN_DEPOT | flags);
    d->free++;
}

/* The n oldest of the shelf go to the depot. */
static WEFT_COLD void shelf_spill(stack_cache *c, stack_class cls, uint32_t n) {
    stack_pool *p = c->pool;
    depot *d = &p->depots[cls];
    shelf *s = &c->shelves[cls];
    spin_lock(&d->lock);
    for (uint32_t i = 0; i < n; i++) depot_put(p, cls, d, s->slot[i], 0);
    spin_unlock(&d->lock);
    s->n -= n;
    memmove(s->slot, s->slot + n, s->n * sizeof *s->slot);
}

bool weft__stack_get(stack_cache *c, stack_class cls, stack *out) {
    shelf *s = &c->shelves[cls];
    if (WEFT_UNLIKELY(s->n == 0) && !shelf_fill(c, cls)) return false;
    *out = slot_stack(c->pool, cls, s->slot[--s->n]);
    san_unpoison(out->lo, (size_t)(out->top - out->lo));
    return true;
}

void weft__stack_put(stack_cache *c, stack s) {
    shelf *h = &c->shelves[s.cls];
    char *slot = s.lo - c->pool->guard_bytes[s.cls];
    if (WEFT_UNLIKELY(s.cls == STACK_2K || atom_load_rlx(&c->pool->canaries))) slot_check(c->pool, &s, slot);
    if (WEFT_UNLIKELY(h->n == CLASS[s.cls].cached)) shelf_spill(c, s.cls, CLASS[s.cls].cached / 2);
    h->slot[h->n++] = slot;
}

stack_cache *weft__stack_cache_open(stack_pool *p) {
    stack_cache *c = weft__heap_alloc(sizeof *c, WEFT__LINE);
    if (!c) return NULL;
    c->pool = p;
    atom_add_rlx(&p->caches, 1);
    return c;
}

void weft__stack_cache_close(stack_cache *c) {
    for (stack_class cls = 0; cls < STACK_CLASSES; cls++) shelf_spill(c, cls, c->shelves[cls].n);
    atom_sub_ar(&c->pool->caches, 1);
    weft__heap_free(c, sizeof *c);
}

/* ---- the pool ------------------------------------------------------------------------------- */

weft_err weft__stack_pool_open(stack_pool **out) {
    stack_pool *p = weft__heap_alloc(sizeof *p, WEFT__LINE);
    if (!p) return WEFT_E_NOMEM;
    for (stack_class cls = 0; cls < STACK_CLASSES; cls++) {
        p->slot_bytes[cls] = weft__stack_slot_bytes(cls);
        p->guard_bytes[cls] = cls == STACK_2K ? CANARY_BYTES : weft__os_guard_bytes();
    }
    *out = p;
    return WEFT_OK;
}

void weft__stack_pool_close(stack_pool *p, bool abandon) {
    if (atom_load_acq(&p->caches)) weft__os_die("a stack pool was closed before its caches");
    for (stack_class cls = 0; cls < STACK_CLASSES; cls++) {
        depot *d = &p->depots[cls];
        if (!abandon && d->mapped != d->free) {
            weft__os_die("a stack pool was closed with %zu stacks of %zu bytes in use",
                         d->mapped - d->free, CLASS[cls].bytes);
        }
        for (uint32_t i = 0; i < d->nregions; i++) region_close(p, cls, atom_load_rlx(&d->regions[i]));
    }
    weft__heap_free(p, sizeof *p);
}

/* Under the lock: up to `most` slots whose pages were not given back since they came.  They leave the
 * depot, so that their holder may discard them without the lock. */
static uint32_t depot_take_dirty(const stack_pool *p, stack_class cls, depot *d, char **out, uint32_t most) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->nregions && n < most; i++) {
        region *r = atom_load_rlx(&d->regions[i]);
        uint32_t kept = 0;
        for (uint32_t k = 0; k < r->nfree; k++) {
            uint32_t number = r->free[k];
            if (n == most || (r->listed[number] & CLEAN)) {
                r->free[kept++] = number;
                continue;
            }
            r->listed[number] = 0;
            out[n++] = r->base + (size_t)number * p->slot_bytes[cls];
        }
        r->nfree = kept;
    }
    d->free -= n;
    return n;
}

/* A stack without a hardware guard keeps the page of its canary. */
static void slot_discard(const stack_pool *p, stack_class cls, char *slot) {
    size_t keep = p->guard_bytes[cls];
    const region *r = region_of(&p->depots[cls], (uintptr_t)slot);
    if (r->guard[slot_number(p, cls, r, slot)] == OS_GUARD_CANARY) keep += weft__os_page();
    weft__os_discard(slot + keep, p->slot_bytes[cls] - keep);
}

size_t weft__stack_pool_trim(stack_pool *p, size_t most) {
    size_t sum = 0;
    for (stack_class cls = 0; cls < STACK_CLASSES; cls++) {
        depot *d = &p->depots[cls];
        if (cls == STACK_2K) continue; /* a page may hold others that are in use */
        for (uint32_t n = 1; n > 0 && sum < most; sum += n) {
            char *slot[MOST_CACHED];
            uint32_t want = most - sum < MOST_CACHED ? (uint32_t)(most - sum) : MOST_CACHED;
            spin_lock(&d->lock);
            n = depot_take_dirty(p, cls, d, slot, want);
            spin_unlock(&d->lock);
            for (uint32_t i = 0; i < n; i++) slot_discard(p, cls, slot[i]);
            spin_lock(&d->lock);
            for (uint32_t i = 0; i < n; i++) depot_put(p, cls, d, slot[i], CLEAN);
            spin_unlock(&d->lock);
        }
    }
    return sum;
}

__attribute__((no_sanitize("address", "thread"))) static size_t tiny_high_water(const stack *s) {
    const volatile char *low = s->lo;
    while (low < s->top && !*low) low++;
    return (size_t)(s->top - low);
}

size_t weft__stack_high_water(const stack *s) {
    if (s->cls == STACK_2K) return tiny_high_water(s);
    uintptr_t page = weft__os_page(), end = ((uintptr_t)s->top + page - 1) & ~(page - 1);
    const char *low = weft__os_first_resident(s->lo, end - (uintptr_t)s->lo);
    return low < s->top ? (size_t)(s->top - low) : 0;
}

/* Slots that nobody ever had belong to no stack; bump may be read late, not early, by the thread that
 * runs on the stack in question. */
bool weft__stack_find(const stack_pool *p, uintptr_t address, stack *out, bool *in_guard) {
    for (stack_class cls = 0; cls < STACK_CLASSES; cls++) {
        const region *r = region_of(&p->depots[cls], address);
        if (!r) continue;
        uint32_t number = slot_number(p, cls, r, (const char *)address);
        if (number >= atom_load_rlx(&r->bump)) return false;
        *out = slot_stack(p, cls, r->base + (size_t)number * p->slot_bytes[cls]);
        *in_guard = address < (uintptr_t)out->lo;
        return true;
    }
    return false;
}

stack_stats weft__stack_pool_stats(stack_pool *p) {
    stack_stats sum = {.guard = weft__os_guard_kind()};
    for (stack_class cls = 0; cls < STACK_CLASSES; cls++) {
        depot *d = &p->depots[cls];
        spin_lock(&d->lock);
        sum.mapped += d->mapped;
        sum.free += d->free;
        sum.regions += d->nregions;
        spin_unlock(&d->lock);
    }
    return sum;
}

/* Under the lock.  Marks every slot of the free list, then takes the marks off. */
static void region_audit(region *r) {
    uint32_t used = atom_load_rlx(&r->bump), marked = 0;
    if (used > r->slots || r->nfree > used) weft__os_die("stack region: %u free of %u used", r->nfree, used);
    for (uint32_t k = 0; k < r->nfree; k++) {
        uint32_t number = r->free[k];
        if (number >= used) weft__os_die("stack region: slot %u is free and was never used", number);
        if (r->listed[number] & SEEN) weft__os_die("stack region: slot %u is free twice", number);
        if (!(r->listed[number] & IN_DEPOT)) weft__os_die("stack region: slot %u is free and in use", number);
        r->listed[number] |= SEEN;
    }
    for (uint32_t i = 0; i < used; i++) {
        marked += (r->listed[i] & IN_DEPOT) != 0;
        r->listed[i] &= (uint8_t)~SEEN;
    }
    if (marked != r->nfree) weft__os_die("stack region: %u slots say free, %u are listed", marked, r->nfree);
}

void weft__stack_pool_audit(stack_pool *p) {
    for (stack_class cls = 0; cls < STACK_CLASSES; cls++) {
        depot *d = &p->depots[cls];
        size_t mapped = 0, free = 0;
        spin_lock(&d->lock);
        for (uint32_t i = 0; i < d->nregions; i++) {
            region *r = atom_load_rlx(&d->regions[i]);
            region_audit(r);
            mapped += atom_load_rlx(&r->bump);
            free += r->nfree;
        }
        if (mapped != d->mapped || free != d->free) {
            weft__os_die("stack depot: the counts of class %d disagree", (int)cls);
        }
        spin_unlock(&d->lock);
    }
}
