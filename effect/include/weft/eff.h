/* weft/eff.h -- effect values: descriptions of work, which do nothing until they are run, any number of times.
 *
 *   WEFT_EFF(eff_long, long);                          // the type of effects that give a long
 *
 *   static long fetch(const char *url);
 *   WEFT_TASK(fetch, long, const char *);              // weft/fork.h
 *   static eff_long again(weft_eff_arena *a, long n);
 *   WEFT_EFF_NEXT(again, eff_long, long);
 *
 *   eff_long get = weft_eff_call(eff_long, fetch, "z");
 *   eff_long all = weft_eff_timeout(eff_long, weft_eff_flat_map(eff_long, get, again), weft_ms(50));
 *   long n;
 *   weft_exit e = weft_run_effect(all, &n);            // on the current fiber
 *   e = weft_run_here(all, &n);                        // directly: on any thread, nothing beside it
 *
 * An effect ends with a value, a failure (tag FAIL), a defect (DIE), or an interrupt.  What catches errors catches failures and
 * nothing else.  A task, or any other function given to an effect, fails by weft_fail, as a fiber does; one that noticed that
 * it is asked to stop, and returned, was interrupted.
 *
 * E, the first argument of most constructors, names the type of what is made; a wrong type is a compile error (C; with
 * -Werror=incompatible-pointer-types, which the CMake target asks for).
 *
 * How long an effect lives.  What a constructor makes is a literal: it lies in the block it is written in, and lives until that
 * ends.  weft_eff_keep copies it, and all it is made of, into an arena, where it lives until the arena is closed.  A function
 * that returns an effect is handed an arena for it.  An effect that is used after its arena was closed is noticed, in every
 * build: the run dies, and its cause says so; the same for a literal of a function that has returned, while nothing else lies
 * on the stack there.
 *
 * Values have at most 1 KiB and are copied; no effect owns one.  Up to 64 bytes they never leave the run's frame.
 *
 * Stack.  Effects run in a loop: what is still to be done lies in frames on the heap, the first of them in the run's own frame,
 * so that chains and nests of any depth need some 2 KiB of stack, and short ones allocate nothing.  Only branches of parallel
 * effects are runs of their own.
 *
 * Source: effectpy's Effect; ZIO's fiber loop; Oleg Kiselyov's freer monads for what a step is.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EFF_H
#define WEFT_EFF_H

#include <weft/cancel.h>
#include <weft/fork.h>
#include <weft/promise.h>
#include <weft/schedule.h>
#include <weft/sync.h>

WEFT_BEGIN_C

/* ---- what an effect is made of -------------------------------------------------------------------- */

/* Where a constructor was written, and the name of what it was given: the function, or what the constructor is called. */
typedef struct weft_eff_site {
    const char *name, *file;
    int line;
} weft_eff_site;

/* Memory for effects, and for what flat_map's functions make.  Zeroed is open and empty.  The fields are the library's. */
typedef struct weft_eff_arena {
    struct weft__eff_block *blocks; /* the newest first */
    struct weft__eff_bytes *bytes;
    uint32_t used, from;            /* nodes of the newest block; those before are over */
    bool failed;                    /* there was no memory */
    uint32_t room;                  /* of a run: bytes `now` has for a value */
    void *now;
} weft_eff_arena;

/* A function's adapter: in and with may be NULL; *out is a value, or the reference of an effect. */
typedef void weft__eff_fn(weft_eff_arena *a, const void *in, const void *with, void *out);
typedef void weft__eff_each(const void *items, void *results, size_t i); /* a task's, weft/fork.h */

typedef uint64_t weft__eff_word(uint64_t in);                          /* the same in registers */

/* A function of a step, and as many as a node holds itself; more are in an array that nodes of an arena share. */
typedef union weft__eff_step {
    weft__eff_word *word;
    weft__eff_each *each;
    weft__eff_fn *next;
    union weft__eff_step *all;
} weft__eff_step;
enum { WEFT__EFF_FUSED = 3 };

/* A step that lies in an arena: its functions are in it, or in fn[0].all. */
enum { WEFT__EFF_KEPT = 1, WEFT__EFF_WIDE = 2 };

/* A part of an effect.  Its fields are the library's (effect/eff.h). */
typedef struct __attribute__((aligned(16))) weft_eff_node {
    uint64_t self;        /* in an arena: its reference; else 0 */
    uint8_t kind, count;  /* functions of a step, branches of a race */
    uint16_t bytes, room; /* of its value; of the largest value on the way to it */
    uint16_t data;        /* bytes `with` points to, 0: the program's.  A step: WEFT__EFF_KEPT, _WIDE */
    const weft_eff_site *site;
    uintptr_t a;          /* what it is about; 0: nothing */
    union {
        struct {
            weft__eff_each *each; /* call */
            const void *with;     /* its input; the value of succeed, the code and cause of fail */
            int64_t number;
            uintptr_t spare;
        } leaf;
        struct {
            uintptr_t base; /* maps over maps are one step, and flat_maps without closures: from the inside outwards */
            weft__eff_step fn[WEFT__EFF_FUSED];
        } step;
        struct {
            weft__eff_fn *fn;
            const void *with;
            weft__eff_fn *release;
            uintptr_t spare;
        } next;
        struct {
            weft__eff_each *well, *ill;
            uintptr_t spare[2];
        } fold;
        struct {
            uintptr_t b;
            uint16_t at[2]; /* where in the pair the two values go */
        } two;
    } u;
} weft_eff_node;

WEFT__STATIC_ASSERT(sizeof(weft_eff_node) == 64, "a cache line");

/* What an effect gave, kept for who asks again (weft_eff_memoise).  Zeroed is empty. */
typedef struct weft_eff_memo {
    weft_mutex lock;      /* the fields are the library's */
    WEFT__ATOMIC(uint32_t) known;
    weft_exit exit;
} weft_eff_memo;
/* Forget it: the next run asks anew.  Nobody runs it meanwhile.  [any thread] [never suspends] */
WEFT_API void weft_eff_memo_drop(weft_eff_memo *m);

/* WEFT_EFF(name, T);
 * The type `name` of effects that give a T: a complete type that can be assigned, at most 1 KiB. */
#define WEFT_EFF(name, T)                                                                    \
    typedef union name {                                                                     \
        uintptr_t ref; /* 0: none */                                                         \
        T *ty;         /* never followed */                                                  \
    } name;                                                                                  \
    typedef struct name##_memo {                                                             \
        weft_eff_memo memo;                                                                  \
        T value;                                                                             \
    } name##_memo;                                                                           \
    WEFT__STATIC_ASSERT(sizeof(T) <= 1024, "an effect's value is copied: give more than 1 KiB by reference")


/* What an effect gives that gives nothing. */
typedef struct weft_unit {
    char none;
} weft_unit;
WEFT_EFF(weft_eff_unit, weft_unit);
WEFT_EFF(weft_eff_pointer, void *);

/* ---- functions given to effects ------------------------------------------------------------------- */

/* WEFT_EFF_NEXT(name, E, In);
 * WEFT_EFF_NEXT_WITH(name, E, In, With);
 * Makes the function `E name(weft_eff_arena *a, In)`, or `E name(weft_eff_arena *a, In, const With *)`, declared before, one
 * that flat_map and others call.  What it returns lies in the arena it is handed (weft_eff_keep), or lives elsewhere.  That arena
 * is the run's: what is kept there is over when nothing that is pending in the run is made of it any more.  The run knows what
 * effects are made of, but not what is in closures and values: an effect that is handed on in one of these belongs in an arena
 * of the program's. */
#define WEFT_EFF_NEXT(name, E, In) WEFT__EFF_NEXT(name, E, In, weft_unit, name(weft_a_, *(const In *)weft_in_))
#define WEFT_EFF_NEXT_WITH(name, E, In, With)                                                \
    WEFT__EFF_NEXT(name, E, In, With, name(weft_a_, *(const In *)weft_in_, (const With *)weft_with_))
#define WEFT__EFF_NEXT(name, E, In, With, call)                                              \
    typedef In name##_in;                                                                    \
    typedef E name##_out;                                                                    \
    typedef With name##_with;                                                                \
    __attribute__((unused)) static void name##__eff(weft_eff_arena *weft_a_, const void *weft_in_, const void *weft_with_, \
                                                    void *weft_out_) {                       \
        (void)weft_with_;                                                                    \
        E weft_e_ = call;                                                                    \
        *(uintptr_t *)weft_out_ = weft_e_.ref;                                               \
    }                                                                                        \
    WEFT__STATIC_ASSERT(sizeof(In) <= 1024 && sizeof(With) <= 1024, "more than 1 KiB is passed by reference")

/* WEFT_EFF_FN(name, Out, In, With);
 * Makes the function `Out name(In, const With *)` one that map_with and acquire_release call. */
#define WEFT_EFF_FN(name, Out, In, With)                                                     \
    typedef In name##_in;                                                                    \
    typedef Out name##_out;                                                                  \
    typedef With name##_with;                                                                \
    __attribute__((unused)) static void name##__eff(weft_eff_arena *weft_a_, const void *weft_in_, const void *weft_with_, \
                                                    void *weft_out_) {                       \
        (void)weft_a_;                                                                       \
        Out weft_o_ = name(*(const In *)weft_in_, (const With *)weft_with_);                 \
        *(Out *)weft_out_ = weft_o_;                                                         \
    }                                                                                        \
    WEFT__STATIC_ASSERT(sizeof(In) <= 1024 && sizeof(Out) <= 1024 && sizeof(With) <= 1024,   \
                        "more than 1 KiB is passed by reference")

/* ---- running -------------------------------------------------------------------------------------- */

/* How a run reports what was pending when it went wrong, and what it does: for whoever builds on runs (effect/eff.h). */
struct weft__eff_trace;
struct weft__eff_watch;

/* Zero means default everywhere. */
typedef struct weft_eff_options {
    bool direct; /* as weft_run_here */
    struct weft__eff_trace *trace;
    struct weft__eff_watch *watch;
} weft_eff_options;

/* weft_exit weft_run_effect(E e, T *out)
 * Run e on the current fiber; ok: *out (may be NULL) is its value.  On a plain thread as weft_run_here.
 * A cause that is not static lives until the caller's innermost scope ends.  Errors: those of e; {DIE, WEFT_E_STALE} (e, or a
 * part of it, does not live any more), {FAIL, WEFT_E_NOMEM} (no memory for what is pending).
 * [any thread] [suspends if e does; now and then a cancellation point] */
#define weft_run_effect(e, out) weft__eff_run((e).ref, (__typeof__((e).ty)){out}, sizeof *(e).ty, NULL)

/* weft_exit weft_run_here(E e, T *out)
 * The same directly: no other fiber, and no runtime is needed.  Parallel effects are worked on in the order of the arguments, a
 * race is its first branch; who sleeps, or awaits, on a plain thread blocks it, and a timeout there bounds such waits, and is
 * looked at now and then. */
#define weft_run_here(e, out)                                                                \
    weft__eff_run((e).ref, (__typeof__((e).ty)){out}, sizeof *(e).ty, &(const weft_eff_options){.direct = true})

/* weft_exit weft_run_effect_with(E e, T *out, const weft_eff_options *options) */
#define weft_run_effect_with(e, out, options) \
    weft__eff_run((e).ref, (__typeof__((e).ty)){out}, sizeof *(e).ty, (options))

/* ---- arenas --------------------------------------------------------------------------------------- */

struct weft_scope;

/* As zeroed memory.  [any thread] [never suspends] */
WEFT_API void weft_eff_arena_open(weft_eff_arena *a);
/* What was kept in it is over.  Nobody runs any of it.  a is open and empty again.  [any thread] [never suspends] */
WEFT_API void weft_eff_arena_close(weft_eff_arena *a);
/* Open one that the end of a scope closes; it lies in the scope's arena.  NULL: no memory.  [the scope's owner] [never
 * suspends] */
WEFT_API weft_eff_arena *weft_eff_arena_in(struct weft_scope *s);

/* E weft_eff_keep(E, weft_eff_arena *a, E e)
 * e, with all it is made of and all inputs and closures, copied into the arena; what lies in a already is not copied.  A part
 * of another arena that is used twice is copied twice.  No memory: an effect that fails with WEFT_E_NOMEM.
 * [one thread at a time for each arena] [never suspends] */
#define weft_eff_keep(E, arena, e) ((E){weft__eff_keep((arena), WEFT__EFF_SAME(E, e))})

/* ---- below: what the macros use ------------------------------------------------------------------- */

WEFT_API weft_exit weft__eff_run(uintptr_t ref, void *out, size_t bytes, const weft_eff_options *options);
WEFT_API uintptr_t weft__eff_keep(weft_eff_arena *a, uintptr_t ref);

WEFT_END_C

#include <weft/eff_ops.h>
#endif
