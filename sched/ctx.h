/* sched/ctx.h -- the context switch: the contract, and the only door to fcontext.
 *
 * A context is either running, or suspended with everything it needs on its own stack and `sp` saying
 * where.  Two implementations keep this contract and are both compiled into every build, so that they can
 * be measured side by side; `ctx_switch` is the one the build chose (WEFT_CONTEXT).
 *
 *   fcontext   Boost.Context's assembly; saves the callee-saved registers and, on x86-64, the floating
 *              point control words.
 *   native     inline assembly that names every other register as clobbered, so that the compiler saves
 *              only what is live; leaves the floating point control words alone (they belong to the
 *              thread, not to the fiber).
 *
 * What is seen across a switch: the payload that the switching side passed.  Sanitizers and Valgrind are
 * told here and nowhere else.  The call frame information ends at a context's entry, so that debuggers and
 * unwinders stop there; the entry never returns (it traps if it does).
 *
 * Who may call: the thread that runs `from`.  `to` must be suspended and visible to nobody else.
 *
 * The switches are inline.  Each `ret` executed after a switch is mispredicted (about 5 ns): an out-of-line
 * switch that ended in one cost 19 ns a round trip (native) and 24 (fcontext), against 2.0 and 9.4 inline;
 * ended in pop and jmp it cost 5.6.  So the caller decides where its one `ret` is.  Inlining adds no
 * new danger: the address of a thread-local variable is kept across a call just as across inline assembly,
 * so whoever switches must in any case not touch one on both sides in one function.
 *
 * Under ASan and TSan the switches are functions in ctx.c that tell them; the assembly is the same.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_CTX_H
#define WEFT_SCHED_CTX_H

#include "alloc/san.h"
#include <stdbool.h>
#include <stddef.h>

#if defined(WEFT__ASAN) || defined(WEFT__TSAN)
#define WEFT__CTX_HOOKED 1
#endif

typedef struct ctx {
    void *sp;                     /* meaningful while suspended */
    void (*entry)(void *payload); /* NULL: adopted */
    const void *bottom;           /* lowest address of the stack, for ASan */
    size_t bytes;
    void *tsan; /* TSan's name of this context */
    void *fake; /* ASan's fake stack, while suspended */
    unsigned valgrind;
} ctx;

/* Make *c a context on the stack [lo, top) whose first switch-in runs entry(payload).  `top` is 16-byte
 * aligned.  `entry` never returns. */
void weft__ctx_init(ctx *c, char *lo, char *top, void (*entry)(void *payload));

/* Make *c stand for the calling thread's own stack, so that it can be switched away from. */
void weft__ctx_adopt(ctx *c);

/* Forget *c, which is suspended and will never run again, or was adopted.  Its stack may be reused. */
void weft__ctx_fini(ctx *c);

/* Suspend the caller as *from and continue *to with `payload`.  Returns the payload of the switch that
 * comes back. */
static inline void *weft__ctx_switch(ctx *from, ctx *to, void *payload);

/* The same for the last time: *from never runs again, and *to may call weft__ctx_fini on it.  With a plain
 * switch instead, ASan would keep the fake stack of *from for ever. */
static inline void weft__ctx_exit(ctx *from, ctx *to, void *payload);

/* The two implementations by name, for tests and benchmarks.  A context is initialised and switched by
 * the same one. */
void weft__ctx_fcontext_init(ctx *c, char *lo, char *top, void (*entry)(void *payload));
void weft__ctx_native_init(ctx *c, char *lo, char *top, void (*entry)(void *payload));
#ifdef WEFT__CTX_HOOKED
void *weft__ctx_fcontext_switch(ctx *from, ctx *to, void *payload);
void *weft__ctx_native_switch(ctx *from, ctx *to, void *payload);
#else
static inline void *weft__ctx_fcontext_switch(ctx *from, ctx *to, void *payload);
static inline void *weft__ctx_native_switch(ctx *from, ctx *to, void *payload);
#endif

const char *weft__ctx_name(void); /* "fcontext" or "native" */

/* ---- below: how the above is inlined ---------------------------------------------------------------- */

/* What the switching side leaves on its stack for the side that continues. */
typedef struct ctx_hop {
    ctx *from, *to;
    void *payload;
} ctx_hop;

/* ctx.c: what sanitizers and Valgrind must hear about a new context; `to` the hop that just arrived; and
 * the last switch of hop->from. */
void weft__ctx_note_init(ctx *c, char *lo, char *top, void (*entry)(void *payload));
#ifdef WEFT__CTX_HOOKED
void weft__ctx_note_arrival(ctx_hop *hop);
#else
static inline void weft__ctx_note_arrival(ctx_hop *hop) {
    (void)hop;
}
#endif
void weft__ctx_hooked_exit(ctx *from, ctx *to, void *payload);

#define CTX_INLINE static inline __attribute__((always_inline, no_sanitize("address", "thread", "undefined")))

#include "sched/ctx_native.h"
#include "sched/ctx_fcontext.h" /* after it: shares the list of clobbers */

#ifdef WEFT_CONTEXT_NATIVE
#define WEFT__CTX(what) weft__ctx_native_##what
#else
#define WEFT__CTX(what) weft__ctx_fcontext_##what
#endif

static inline void *weft__ctx_switch(ctx *from, ctx *to, void *payload) {
    return WEFT__CTX(switch)(from, to, payload);
}

static inline void weft__ctx_exit(ctx *from, ctx *to, void *payload) {
#ifdef WEFT__CTX_HOOKED
    weft__ctx_hooked_exit(from, to, payload);
#else
    weft__ctx_switch(from, to, payload);
#endif
    __builtin_trap();
}

#endif
