/* sched/ctx_fcontext.h -- the switch by Boost.Context 1.81; with ctx_fcontext.c the only file that knows
 * fcontext.  Included by sched/ctx.h alone.
 *
 * jump_fcontext tells the continued side where the other one was left (`fctx`), not the side that left:
 * so the arriving side writes `sp` of the context it came from.  Nobody else can see that context before
 * the arriving side publishes it.  `data` points to a ctx_hop on the stack that was left.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_CTX_FCONTEXT_H
#define WEFT_SCHED_CTX_FCONTEXT_H

typedef struct transfer_t {
    void *fctx; /* where the side that jumped is suspended */
    void *data;
} transfer_t;

extern transfer_t jump_fcontext(void *to, void *data);
extern void *make_fcontext(void *top, size_t bytes, void (*start)(transfer_t));

/* jump_fcontext continues the other side by an indirect jump, so a call to it leaves an entry on the processor's return
 * stack that no return takes off, and every return after it is predicted wrongly: 5 ns each.  So on x86-64 it is
 * entered by a jump, too, with the return address pushed by hand: below the red zone, where the compiler may keep
 * locals. */
CTX_INLINE transfer_t weft__ctx_fcontext_enter(void *to, void *data) {
#if defined(__x86_64__)
    transfer_t t;
    __asm__ volatile(
        "leaq -128(%%rsp), %%rsp\n\t"
        "leaq 1f(%%rip), %%rcx\n\t"
        "pushq %%rcx\n\t"
        "jmp *jump_fcontext@GOTPCREL(%%rip)\n"
        "1:\tleaq 128(%%rsp), %%rsp"
        : "=a"(t.fctx), "=d"(t.data), "+D"(to), "+S"(data)
        :
        : "rcx", "r8", "r9", "r10", "r11", CTX_CLOBBER_SSE CTX_CLOBBER_AVX512, "memory", "cc");
    return t;
#else
    return jump_fcontext(to, data);
#endif
}

/* Jump, and note where the side that jumps back was left.  Returns that side's hop. */
CTX_INLINE ctx_hop *weft__ctx_fcontext_jump(ctx_hop *hop) {
    transfer_t t = weft__ctx_fcontext_enter(hop->to->sp, hop);
    ctx_hop *back = (ctx_hop *)t.data;
    back->from->sp = t.fctx;
    return back;
}

#ifndef WEFT__CTX_HOOKED
static inline __attribute__((always_inline)) void *weft__ctx_fcontext_switch(ctx *from, ctx *to,
                                                                             void *payload) {
    ctx_hop hop = {from, to, payload};
    return weft__ctx_fcontext_jump(&hop)->payload;
}
#endif

#endif
