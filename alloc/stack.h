/* alloc/stack.h -- the stack pool.
 *
 * A pool serves the stacks of one runtime.  Each size class owns regions: one reservation of equal slots, a power of
 * two and a page each, never huge pages, so that a million stacks are one line in /proc/self/maps.  A slot is
 * [guard | usable stack | colour], guard at the low end; the top is moved down by a colour (a multiple of 64 bytes) so
 * that the tops of many stacks do not fall into the same cache sets.
 *
 *   slot base                                                        slot base + slot bytes
 *   | guard | lo ................ usable ................ top | colour |
 *
 * On x86-64 a class is what is usable, less up to 960 bytes of colour; on AArch64, where the guard alone is 64 KiB, the
 * slot is the next power of two above class + guard, and a page.  Under ASan and TSan classes are four times as large.
 *
 * Tiny stacks are 2 KiB and a cache line, packed without regard to pages.  The line at the low end is a canary in place
 * of the guard, always.  33 lines from one to the next colour them without a byte lost.
 *
 * Free stacks travel: per-worker cache (owner only, LIFO, 64; fewer of large classes) <-> depot of the
 * pool (spin lock, half a cache at a time) <-> bump pointer of a region.  A stack keeps its guard for
 * life.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_ALLOC_STACK_H
#define WEFT_ALLOC_STACK_H

#include "alloc/arch.h"
#include "alloc/os.h"
#include <weft/base.h>

typedef enum stack_class {
    STACK_64K, /* the default */
    STACK_16K, /* opt-in */
    STACK_256K,
    STACK_1M,
    STACK_8M,
    STACK_2K, /* tiny: for functions whose frames are known; must be asked for by name */
    STACK_CLASSES
} stack_class;

typedef struct stack {
    char *lo;  /* lowest usable byte, just above the guard, or a tiny stack's canary */
    char *top; /* one past the highest usable byte, 64-byte aligned, coloured */
    stack_class cls;
} stack;

typedef struct stack_pool stack_pool;   /* one a runtime; shared */
typedef struct stack_cache stack_cache; /* one a worker; owner only */

/* The smallest class that holds `bytes` (0: the default), never STACK_2K; STACK_CLASSES when none does. */
stack_class weft__stack_class_for(size_t bytes);
size_t weft__stack_class_bytes(stack_class cls);
size_t weft__stack_slot_bytes(stack_class cls); /* address space of one stack: the stride of a region */

weft_err weft__stack_pool_open(stack_pool **out);
/* pre: every stack and every cache was given back; aborts with a text when one was not. */
/* pre: every cache was closed, and every stack given back; with `abandon` stacks may be in use: nothing runs on them any
 * more, and they go with the pool. */
void weft__stack_pool_close(stack_pool *p, bool abandon);

stack_cache *weft__stack_cache_open(stack_pool *p); /* NULL: no memory */
void weft__stack_cache_close(stack_cache *c);       /* its stacks go to the depot */

/* A stack of class `cls`.  false when neither cache, depot nor the system has one.
 * Owner of the cache only; allocates no heap memory once the class has a region. */
bool weft__stack_get(stack_cache *c, stack_class cls, stack *out);
/* Give it back, to any cache of the same pool.  A damaged canary aborts with a text.  Never fails:
 * room in the depot is reserved with the region.  Nothing runs on the stack any more, or only the
 * caller, which leaves it before the cache's owner does anything else.  Owner of the cache only. */
void weft__stack_put(stack_cache *c, stack s);

/* Give the pages of the stacks in the depot back to the system, up to `most` stacks; how many were
 * discarded.  Stacks in caches and in use keep theirs, and so do tiny ones, which share pages.  Any thread. */
size_t weft__stack_pool_trim(stack_pool *p, size_t most);

/* Bytes between the top and the lowest byte ever touched since the slot was last discarded, page
 * granular: the high-water mark.  Of a tiny stack: the lowest byte that is not zero, whoever wrote it. */
size_t weft__stack_high_water(const stack *s);

/* Has a tiny stack's canary been written over?  Its holder only. */
bool weft__stack_overflowed(const stack *s);

/* Which stack of the pool holds `address`, guard included?  Lock-free and async-signal-safe.  *in_guard says
 * whether the guard, or a tiny stack's canary, was hit. */
bool weft__stack_find(const stack_pool *p, uintptr_t address, stack *out, bool *in_guard);

typedef struct stack_stats {
    size_t mapped; /* slots ever taken from a region, all classes */
    size_t free;   /* of these, in the depot (not in caches) */
    size_t regions; /* reservations made */
    os_guard guard;
} stack_stats;
stack_stats weft__stack_pool_stats(stack_pool *p);

/* Walk the pool: every free list is a list, counts agree.  Aborts with a text when not. */
void weft__stack_pool_audit(stack_pool *p);

#endif
