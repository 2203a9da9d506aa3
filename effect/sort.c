/* effect/sort.c -- sorting: the memory of a stable sort.  The rest is inlined code, in weft/sort.h.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <weft/sort.h>
#include "alloc/heap.h"
#include "sched/fail.h"

void *weft__sort_memory(size_t n, size_t bytes) { return n > SIZE_MAX / 2 / bytes ? NULL : weft__heap_alloc(n * bytes, 64); }

void weft__sort_memory_free(void *p, size_t n, size_t bytes) { weft__heap_free(p, n * bytes); }

weft_exit weft__sort_no_memory(void) {
    return FAILED(WEFT_E_NOMEM, "weft_sort_stable: no memory for a second array; weft_sort needs none");
}
