/* sched/ctx.c -- contexts: what both implementations share, and what tools are told.
 *
 *   ASan       the bounds of the stack that runs, its fake stack (use after return), and that poison left
 *              behind by frames that never returned is void (alloc/stack.c names stacks as roots for LSan)
 *   TSan       one of its fibers for each context; each switch orders the two
 *   Valgrind   the range of each stack, only asked for when it is running us; and that nothing is in it before its
 *              context is made, nor after it is forgotten
 *
 * The switches in hooked builds are bare: instrumented code between the announcement and the jump would
 * be accounted to the wrong stack.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/ctx.h"
#include <stdint.h>

#ifdef WEFT__ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#ifdef WEFT__TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

#ifdef WEFT__MEMCHECK
static bool on_valgrind;
__attribute__((constructor)) static void look_for_valgrind(void) {
    on_valgrind = RUNNING_ON_VALGRIND != 0;
}
#endif

const char *weft__ctx_name(void) {
#ifdef WEFT_CONTEXT_NATIVE
    return "native";
#else
    return "fcontext";
#endif
}

void weft__ctx_init(ctx *c, char *lo, char *top, void (*entry)(void *payload)) {
    WEFT__CTX(init)(c, lo, top, entry);
}

void weft__ctx_note_init(ctx *c, char *lo, char *top, void (*entry)(void *payload)) {
    *c = (ctx){.entry = entry, .bottom = lo, .bytes = (size_t)(top - lo)};
    san_unpoison(lo, c->bytes);
#ifdef WEFT__TSAN
    c->tsan = __tsan_create_fiber(0);
#endif
#ifdef WEFT__MEMCHECK
    if (__builtin_expect(on_valgrind, 0)) {
        c->valgrind = (unsigned)VALGRIND_STACK_REGISTER(lo, top);
        san_undefined(lo, c->bytes);
    }
#endif
}

/* An adopted stack's bounds are learnt from ASan when it is switched away from. */
void weft__ctx_adopt(ctx *c) {
    *c = (ctx){.entry = NULL};
#ifdef WEFT__TSAN
    c->tsan = __tsan_get_current_fiber();
#endif
}

void weft__ctx_fini(ctx *c) {
    if (!c->entry) return;
#ifdef WEFT__TSAN
    __tsan_destroy_fiber(c->tsan);
#endif
#ifdef WEFT__MEMCHECK
    if (__builtin_expect(on_valgrind, 0)) {
        VALGRIND_STACK_DEREGISTER(c->valgrind);
        san_no_access(c->bottom, c->bytes);
    }
#endif
    c->entry = NULL;
}

#ifdef WEFT__CTX_HOOKED

#define CTX_BARE __attribute__((noinline, no_sanitize("address", "thread", "undefined")))

/* The last words of hop->from: nothing instrumented may run between this and the jump. */
CTX_INLINE void announce(ctx_hop *hop, bool last) {
#ifdef WEFT__TSAN
    __tsan_switch_to_fiber(hop->to->tsan, 0);
#endif
#ifdef WEFT__ASAN
    __sanitizer_start_switch_fiber(last ? NULL : &hop->from->fake, hop->to->bottom, hop->to->bytes);
#endif
    (void)hop;
    (void)last;
}

CTX_BARE void *weft__ctx_fcontext_switch(ctx *from, ctx *to, void *payload) {
    ctx_hop hop = {from, to, payload};
    announce(&hop, false);
    ctx_hop *back = weft__ctx_fcontext_jump(&hop);
    weft__ctx_note_arrival(back);
    return back->payload;
}

CTX_BARE void *weft__ctx_native_switch(ctx *from, ctx *to, void *payload) {
    ctx_hop hop = {from, to, payload};
    announce(&hop, false);
    ctx_hop *back = (ctx_hop *)weft__ctx_native_jump(&from->sp, &to->sp, &hop);
    weft__ctx_note_arrival(back);
    return back->payload;
}

CTX_BARE void weft__ctx_hooked_exit(ctx *from, ctx *to, void *payload) {
    ctx_hop hop = {from, to, payload};
    announce(&hop, true);
#ifdef WEFT_CONTEXT_NATIVE
    weft__ctx_native_jump(&from->sp, &to->sp, &hop);
#else
    weft__ctx_fcontext_jump(&hop);
#endif
    __builtin_trap();
}

CTX_BARE void weft__ctx_note_arrival(ctx_hop *hop) {
#ifdef WEFT__ASAN
    __sanitizer_finish_switch_fiber(hop->to->fake, &hop->from->bottom, &hop->from->bytes);
    hop->to->fake = NULL;
#endif
    (void)hop;
}

#endif
