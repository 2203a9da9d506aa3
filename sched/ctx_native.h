/* sched/ctx_native.h -- the switch by inline assembly.  Included by sched/ctx.h alone.
 *
 * A suspended context's frame, at ctx.sp, ends where its stack pointer will be:
 *
 *   x86-64    pc, rbp, rbx              sp = frame + 24
 *   AArch64   pc, x29, x19, x30         sp = frame + 32
 *
 * Every other register is either named as clobbered, so that the compiler saves it if (and only if) it is
 * live here, or belongs to the thread (floating point control words, thread pointer).  The frame pointer
 * cannot be named; rbx and x19 must not, since LLVM uses them as base pointer in functions that align their
 * stack and allocate dynamically.
 *
 * The payload travels in the first argument register: a fresh context's pc is its entry itself, no stub in
 * between; it finds the return address that traps on its stack or in x30.
 *
 * x86-64: the compiler may keep locals in the 128 bytes below rsp, so the frame goes below those, and rsp
 * moves before the frame is written (signal handlers write below rsp too).  A frame is read through another
 * register before rsp moves up past it, for the same reason.  The jump is a jmp, never a ret: the return
 * stack would predict a ret wrongly every time.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_CTX_NATIVE_H
#define WEFT_SCHED_CTX_NATIVE_H

#if defined(__x86_64__)

#define CTX_CLOBBER_SSE                                                                                   \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",     \
        "xmm12", "xmm13", "xmm14", "xmm15", "mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7", "st", \
        "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"
#ifdef __AVX512F__
#define CTX_CLOBBER_AVX512                                                                               \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", \
        "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define CTX_CLOBBER_AVX512
#endif

/* Save into *from, continue at *to; the payload of whoever continues us. */
CTX_INLINE void *weft__ctx_native_jump(void **from, void **to, void *payload) {
    __asm__ volatile("leaq -152(%%rsp), %%rsp\n\t"
                     "leaq 1f(%%rip), %%rcx\n\t"
                     "movq %%rcx, (%%rsp)\n\t"
                     "movq %%rbp, 8(%%rsp)\n\t"
                     "movq %%rbx, 16(%%rsp)\n\t"
                     "movq (%1), %%rdx\n\t"
                     "movq %%rsp, (%0)\n\t"
                     "movq 8(%%rdx), %%rbp\n\t"
                     "movq 16(%%rdx), %%rbx\n\t"
                     "leaq 24(%%rdx), %%rsp\n\t"
                     "jmp *(%%rdx)\n"
                     "1:\tleaq 128(%%rsp), %%rsp"
                     : "+a"(from), "+S"(to), "+D"(payload)
                     :
                     : "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                       CTX_CLOBBER_SSE CTX_CLOBBER_AVX512, "memory", "cc");
    return payload;
}

#elif defined(__aarch64__)

#ifdef __ARM_FEATURE_SVE
#define CTX_CLOBBER_SVE \
    , "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13", "p14", "p15"
#else
#define CTX_CLOBBER_SVE
#endif

/* No red zone here.  x16, because an indirect jump through it may land on any kind of BTI pad; the pad at
 * the label is a hint, and nothing on processors without BTI. */
CTX_INLINE void *weft__ctx_native_jump(void **from, void **to, void *payload) {
    register void **from_ __asm__("x1") = from;
    register void **to_ __asm__("x2") = to;
    register void *payload_ __asm__("x0") = payload;
    __asm__ volatile("adr x16, 1f\n\t"
                     "stp x19, x30, [sp, #-16]!\n\t"
                     "stp x16, x29, [sp, #-16]!\n\t"
                     "ldr x9, [%1]\n\t"
                     "mov x10, sp\n\t"
                     "str x10, [%0]\n\t"
                     "ldp x16, x29, [x9]\n\t"
                     "ldp x19, x30, [x9, #16]\n\t"
                     "add sp, x9, #32\n\t"
                     "br x16\n"
                     "1:\thint #36" /* bti j */
                     : "+r"(from_), "+r"(to_), "+r"(payload_)
                     :
                     : "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
                       "x16", "x17", "x18", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28",
                       "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13",
                       "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",
                       "v26", "v27", "v28", "v29", "v30", "v31" CTX_CLOBBER_SVE, "memory", "cc");
    return payload_;
}

#else
#error "Weft runs on x86-64 and AArch64"
#endif

#ifndef WEFT__CTX_HOOKED
static inline __attribute__((always_inline)) void *weft__ctx_native_switch(ctx *from, ctx *to,
                                                                           void *payload) {
    return weft__ctx_native_jump(&from->sp, &to->sp, payload);
}
#endif

#endif
