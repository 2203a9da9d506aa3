/* sched/ctx_fcontext.c -- contexts of Boost.Context: how one starts.
 *
 * Boost's own first frame is replaced as the end of the stack for unwinders: the return address of `start`
 * is declared undefined, and the frame pointer it saved (which Boost fills with an address in its code) is
 * cleared.  Boost would end the process with status 0, silently, if `start` returned; it traps instead.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/ctx.h"

static __attribute__((noinline, no_sanitize("address", "thread", "undefined"))) void start(transfer_t t) {
#ifdef __GCC_HAVE_DWARF2_CFI_ASM
#if defined(__x86_64__)
    __asm__ volatile(".cfi_undefined rip");
#else
    __asm__ volatile(".cfi_undefined x30");
#endif
#endif
    *(void *volatile *)__builtin_frame_address(0) = NULL;
    ctx_hop *hop = (ctx_hop *)t.data;
    hop->from->sp = t.fctx;
    weft__ctx_note_arrival(hop);
    hop->to->entry(hop->payload);
    __builtin_trap();
}

void weft__ctx_fcontext_init(ctx *c, char *lo, char *top, void (*entry)(void *payload)) {
    weft__ctx_note_init(c, lo, top, entry);
    c->sp = make_fcontext(top, (size_t)(top - lo), start);
}
