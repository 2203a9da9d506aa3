/* sched/ctx_native.c -- native contexts: how one starts, and where its call frames end.
 *
 * The first frame is written by hand: the first switch-in jumps to the entry as if `entry_returned` had
 * called it.  That address has call frame information which says there is no caller; it traps.  The frame
 * pointer starts as zero, for unwinders that follow those.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/ctx.h"
#include <stdint.h>

/* Assembled here rather than compiled: a function cannot say that it has no caller from its first byte on,
 * and unwinders look a return address up at the byte before it, hence the nop. */
extern char weft__ctx_native_returned[] __attribute__((visibility("hidden")));
__asm__(".pushsection .text\n\t"
        ".balign 16\n\t"
        ".cfi_startproc\n\t"
#if defined(__x86_64__)
        ".cfi_def_cfa rsp, 0\n\t"
        ".cfi_undefined rip\n\t"
#else
        ".cfi_undefined x30\n\t"
#endif
        "nop\n\t"
        ".globl weft__ctx_native_returned\n\t"
        ".hidden weft__ctx_native_returned\n\t"
        ".type weft__ctx_native_returned, %function\n"
        "weft__ctx_native_returned:\n\t"
#if defined(__x86_64__)
        "ud2\n\t"
#else
        "brk #1000\n\t"
#endif
        ".cfi_endproc\n\t"
        ".size weft__ctx_native_returned, . - weft__ctx_native_returned\n\t"
        ".popsection");

#ifdef WEFT__CTX_HOOKED
static __attribute__((no_sanitize("address", "thread", "undefined"))) void hooked_entry(void *arrived) {
    ctx_hop *hop = (ctx_hop *)arrived;
    weft__ctx_note_arrival(hop);
    hop->to->entry(hop->payload);
}
#endif

void weft__ctx_native_init(ctx *c, char *lo, char *top, void (*entry)(void *payload)) {
    weft__ctx_note_init(c, lo, top, entry);
#ifdef WEFT__CTX_HOOKED
    entry = hooked_entry;
#endif
    /* On x86-64 the last word is the return address, where rsp is at the entry; on AArch64 it is x30. */
    uintptr_t *frame = (uintptr_t *)(void *)top - 4;
    frame[0] = (uintptr_t)entry;
    frame[1] = 0;
    frame[2] = 0;
    frame[3] = (uintptr_t)weft__ctx_native_returned;
    c->sp = frame;
}
