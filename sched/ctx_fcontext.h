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

/* Jump, and note where the side that jumps back was left.  Returns that side's hop. */
CTX_INLINE ctx_hop *weft__ctx_fcontext_jump(ctx_hop *hop) {
    transfer_t t = jump_fcontext(hop->to->sp, hop);
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
