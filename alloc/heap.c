/* alloc/heap.c -- the general heap, and the one place that knows which allocator is behind it.
 *
 * Concepts
 *   asked    allocations asked for since the test hook was last set; heap blocks, slab chunks and
 *            stack regions alike, because all of them call weft__heap_should_fail first
 *   live     bytes handed out and not yet given back, as the callers counted them
 *
 * jemalloc is reached through its own entry points (mallocx, dallocx), so it need not replace malloc.
 * Rejected: sdallocx, which frees faster but needs the alignment of the allocation again, or it puts
 * the block into the wrong size class (48 bytes aligned to 64 live in the class of 64).
 * Rejected: counters per thread; nothing on a hot path comes here.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "alloc/atomic.h"
#include "alloc/fault.h"
#include <stdlib.h>
#include <string.h>
#include <weft/base.h>

enum { LEAST_ALIGN = 16 };

#if defined(WEFT_ALLOC_SYSTEM) && WEFT_ALLOC_SYSTEM

static const char NAME[] = "system";

static void *raw_alloc(size_t bytes, size_t align) {
    if (align <= LEAST_ALIGN) return calloc(1, bytes);
    void *p = NULL;
    if (posix_memalign(&p, align, bytes) != 0) return NULL;
    return memset(p, 0, bytes);
}

static void raw_free(void *block) { free(block); }

#else

#include <jemalloc/jemalloc.h>

static const char NAME[] = "jemalloc";

static void *raw_alloc(size_t bytes, size_t align) {
    return mallocx(bytes, MALLOCX_ALIGN(align) | MALLOCX_ZERO);
}

static void raw_free(void *block) { dallocx(block, 0); }

#endif

/* Any thread writes.  The hook is set while nothing else runs, so relaxed is enough. */
static _Atomic uint64_t asked, live, fail_at;
static _Atomic int fail_on;

const char *weft__heap_name(void) { return NAME; }

void weft__heap_fail_at(uint64_t n, int persistent) {
    atom_store_rlx(&fail_at, n);
    atom_store_rlx(&fail_on, persistent);
    atom_store_rlx(&asked, 0);
}

int weft__heap_should_fail(void) {
    if (weft_fault_point(FAULT_ALLOC)) return 1;
    uint64_t nth = atom_add_rlx(&asked, 1) + 1;
    uint64_t at = atom_load_rlx(&fail_at);
    if (WEFT_LIKELY(at == 0)) return 0;
    return nth == at || (nth > at && atom_load_rlx(&fail_on));
}

uint64_t weft__heap_asked(void) { return atom_load_rlx(&asked); }

uint64_t weft__heap_live(void) { return atom_load_rlx(&live); }

void *weft__heap_alloc(size_t bytes, size_t align) {
    if (weft__heap_should_fail()) return NULL;
    void *p = raw_alloc(bytes, align < LEAST_ALIGN ? LEAST_ALIGN : align);
    if (p) atom_add_rlx(&live, bytes);
    return p;
}

void weft__heap_free(void *block, size_t bytes) {
    if (!block) return;
    atom_add_rlx(&live, (uint64_t)0 - bytes);
    raw_free(block);
}
