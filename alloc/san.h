/* alloc/san.h -- what the allocation layer tells AddressSanitizer, LeakSanitizer and memcheck.
 *
 * A pooled stack is reused without unwinding, so red zones of dead frames must be lifted; heap blocks
 * may be referenced only from a suspended fiber's stack, so stacks are roots of the leak search;
 * objects on a slab's free list are poisoned, so that a use after free is reported.
 *
 * Memcheck learns which parts of a stack region are stacks (sched/ctx.c tells it which stacks are in use): else it takes
 * tens of gigabytes of reserve for memory, and searches it for pointers at the end.  Nothing is said of slabs: a
 * request costs instructions also where nobody listens, and those paths are hot.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_ALLOC_SAN_H
#define WEFT_ALLOC_SAN_H

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT__ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define WEFT__TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(WEFT__ASAN)
#define WEFT__ASAN 1
#endif
#if defined(__SANITIZE_THREAD__) && !defined(WEFT__TSAN)
#define WEFT__TSAN 1
#endif

/* Instrumented frames are larger: stacks grow by this factor. */
#if defined(WEFT__ASAN) || defined(WEFT__TSAN)
#define WEFT__SAN_STACKS 4
#else
#define WEFT__SAN_STACKS 1
#endif

#if defined(WEFT__ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
static inline void san_poison(const void *p, size_t n) { __asan_poison_memory_region(p, n); }
static inline void san_unpoison(const void *p, size_t n) { __asan_unpoison_memory_region(p, n); }
static inline void san_root_add(const void *p, size_t n) { __lsan_register_root_region(p, n); }
static inline void san_root_drop(const void *p, size_t n) { __lsan_unregister_root_region(p, n); }
#else
static inline void san_poison(const void *p, size_t n) { (void)p, (void)n; }
static inline void san_unpoison(const void *p, size_t n) { (void)p, (void)n; }
static inline void san_root_add(const void *p, size_t n) { (void)p, (void)n; }
static inline void san_root_drop(const void *p, size_t n) { (void)p, (void)n; }
#endif

#if !defined(NVALGRIND) && defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define WEFT__MEMCHECK 1
#endif
#endif

#ifdef WEFT__MEMCHECK
static inline void san_no_access(const void *p, size_t n) { (void)VALGRIND_MAKE_MEM_NOACCESS(p, n); }
static inline void san_undefined(const void *p, size_t n) { (void)VALGRIND_MAKE_MEM_UNDEFINED(p, n); }
static inline void san_defined(const void *p, size_t n) { (void)VALGRIND_MAKE_MEM_DEFINED(p, n); }
#else
static inline void san_no_access(const void *p, size_t n) { (void)p, (void)n; }
static inline void san_undefined(const void *p, size_t n) { (void)p, (void)n; }
static inline void san_defined(const void *p, size_t n) { (void)p, (void)n; }
#endif

#endif
