/* alloc/arch.h -- what differs between x86-64 and AArch64 below the context switch: the spin hint,
 * the cycle counter, the stack pointer.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_ALLOC_ARCH_H
#define WEFT_ALLOC_ARCH_H

#include <stddef.h>
#include <stdint.h>

/* Two lines: the adjacent-line prefetcher makes pairs of 64-byte lines travel together. */
#define WEFT__LINE 128

#if defined(__x86_64__)

static inline void arch_relax(void) { __builtin_ia32_pause(); }
static inline uint64_t arch_ticks(void) { return __builtin_ia32_rdtsc(); }
static inline char *arch_sp(void) {
    char *sp;
    __asm__("movq %%rsp, %0" : "=r"(sp));
    return sp;
}

#elif defined(__aarch64__)

static inline void arch_relax(void) { __asm__ volatile("isb" ::: "memory"); }
static inline uint64_t arch_ticks(void) {
    uint64_t t;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
    return t;
}
static inline char *arch_sp(void) {
    char *sp;
    __asm__("mov %0, sp" : "=r"(sp));
    return sp;
}

#else
#error "Weft runs on x86-64 and AArch64"
#endif

#endif
