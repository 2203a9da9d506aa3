/* alloc/heap.h -- the general heap: jemalloc by default, the C library with WEFT_ALLOC=system.
 * heap.c is the only file that knows which.
 *
 * Not for hot paths: those take from slabs and stack caches.  Every block says its size when it is
 * freed.  Any thread; never suspends.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_ALLOC_HEAP_H
#define WEFT_ALLOC_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* `bytes` > 0 of zeroed memory aligned to `align` (a power of two; 0 means 16).  NULL when there is
 * none: the caller reports WEFT_E_NOMEM and leaves nothing half-done. */
void *weft__heap_alloc(size_t bytes, size_t align);

/* pre: `block` is NULL or came from weft__heap_alloc(bytes, ...). */
void weft__heap_free(void *block, size_t bytes);

/* "jemalloc" or "system". */
const char *weft__heap_name(void);

/* Test hook: let allocation number n from now fail (1 = the next); `persistent` lets every later one
 * fail too; n = 0 turns it off.  Covers slabs, stacks (reservations) and the heap alike, since all
 * of them ask weft__heap_should_fail first.  In every build; with WEFT_FAULTS these are points as well (alloc/fault.h). */
void weft__heap_fail_at(uint64_t n, int persistent);
int weft__heap_should_fail(void);

uint64_t weft__heap_asked(void); /* allocations asked for since fail_at was last called */
uint64_t weft__heap_live(void); /* bytes allocated and not yet freed */

#endif
