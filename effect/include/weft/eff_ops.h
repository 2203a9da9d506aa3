/* weft/eff_ops.h -- constructors and combinators of effect values; included by weft/eff.h, which says what they are.
 *
 * Every one of these makes a literal and does nothing else.  E is the type of the effect that is made, T what it gives; `next`
 * is declared with WEFT_EFF_NEXT, `next_with` with WEFT_EFF_NEXT_WITH, `task` with WEFT_TASK.  [any thread] [never suspends]
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EFF_OPS_H
#define WEFT_EFF_OPS_H

#include <weft/eff.h>

WEFT_BEGIN_C

typedef enum weft__eff_kind {
    WEFT__EFF_SUCCEED = 1,
    WEFT__EFF_FAIL,
    WEFT__EFF_EXIT,
    WEFT__EFF_CALL,
    WEFT__EFF_PERFORM,
    WEFT__EFF_PROMISE,
    WEFT__EFF_SLEEP,
    WEFT__EFF_NEVER,
    WEFT__EFF_SUSPEND,
    WEFT__EFF_MAP,
    WEFT__EFF_MAP_WORD, /* a map whose function has a register's worth of input and value */
    WEFT__EFF_MAP_WITH,
    WEFT__EFF_FLAT_MAP,
    WEFT__EFF_TAP,
    WEFT__EFF_MAP_ERROR,
    WEFT__EFF_CATCH_ALL,
    WEFT__EFF_FOLD,
    WEFT__EFF_ZIP,
    WEFT__EFF_ZIP_PAR,
    WEFT__EFF_RACE,
    WEFT__EFF_ANY,
    WEFT__EFF_EACH,
    WEFT__EFF_TIMEOUT,
    WEFT__EFF_RETRY,
    WEFT__EFF_REPEAT,
    WEFT__EFF_ENSURING,
    WEFT__EFF_ON_INTERRUPT,
    WEFT__EFF_ACQUIRE,
    WEFT__EFF_PROVIDE,
    WEFT__EFF_UNINTERRUPTIBLE,
    WEFT__EFF_RESTORE,
    WEFT__EFF_MEMOISE,
    WEFT__EFF_ANNOTATE,
    WEFT__EFF_NOW,
    WEFT__EFF_KINDS,
} weft__eff_kind;

/* ---- what the macros share ------------------------------------------------------------------------
 * Each argument that is an effect is named once: who nests constructors gets a text as long as his own. */

#define WEFT__EFF_T(E) __typeof__(*((E *)0)->ty)
/* e's reference, if it gives what E does; if it gives a T. */
#define WEFT__EFF_SAME(E, e) ((uintptr_t)(__typeof__(((E *)0)->ty)){(e).ty})
#define WEFT__EFF_OF(T, e) ((uintptr_t)(__typeof__(T) *){(e).ty})
#define WEFT__EFF_ANY(e) ((uintptr_t)(const void *){(e).ty})
/* 0, if E gives a T; if E is what f returns. */
#define WEFT__EFF_GIVES(E, T) (0 * sizeof((__typeof__(T) *){((E *)0)->ty}))
#define WEFT__EFF_IS(E, F) (0 * sizeof((__typeof__(((E *)0)->ty)){((F *)0)->ty}))

#define WEFT__EFF_SITE(name)                                                                 \
    __extension__({                                                                          \
        static const weft_eff_site weft_site_ = {name, __FILE__, __LINE__};                  \
        &weft_site_;                                                                         \
    })
#define WEFT__EFF_NODE(E, kind_, name, ...)                                                  \
    &(weft_eff_node) {                                                                       \
        .kind = kind_, .bytes = sizeof(WEFT__EFF_T(E)), .room = sizeof(WEFT__EFF_T(E)),      \
        .site = WEFT__EFF_SITE(name), __VA_ARGS__                                            \
    }
#define WEFT__EFF_LEAF(E, kind, name, ...) ((E){(uintptr_t)WEFT__EFF_NODE(E, kind, name, __VA_ARGS__)})
#define WEFT__EFF_OVER(E, kind, name, a, ...) ((E){weft__eff_over(WEFT__EFF_NODE(E, kind, name, __VA_ARGS__), (a))})

/* References of effects in arenas are odd: {generation:16 | address:42 | generation:2 | 0:3 | 1}.  The same word is in the
 * node as long as it lives. */
#define WEFT__EFF_ADDRESS UINT64_C(0x0000ffffffffffc0)
static inline __attribute__((always_inline)) const weft_eff_node *weft__eff_at(uintptr_t ref) {
    return (const weft_eff_node *)(ref & 1 ? ref & WEFT__EFF_ADDRESS : ref);
}

static inline __attribute__((always_inline)) void weft__eff_room(weft_eff_node *n, uintptr_t a) {
    if (a && weft__eff_at(a)->room > n->room) n->room = weft__eff_at(a)->room;
}
static inline __attribute__((always_inline)) uintptr_t weft__eff_over(weft_eff_node *n, uintptr_t a) {
    n->a = a;
    weft__eff_room(n, a);
    return (uintptr_t)n;
}
/* A map over a map is one step with the functions of both, as long as there is room for them; the same for flat_map. */
static inline __attribute__((always_inline)) uintptr_t weft__eff_step_over(weft_eff_node *n, uintptr_t a, weft__eff_step fn) {
    const weft_eff_node *on = a ? weft__eff_at(a) : n;
    weft__eff_over(n, a);
    n->u.step.base = a;
    if (on->kind == n->kind && on->count && on->count < WEFT__EFF_FUSED) {
        n->u.step = on->u.step;
        n->count = on->count;
    }
    n->u.step.fn[n->count++] = fn;
    return (uintptr_t)n;
}
static inline __attribute__((always_inline)) uintptr_t weft__eff_map(weft_eff_node *n, uintptr_t a, weft__eff_each *each,
                                                                     weft__eff_word *word) {
    weft__eff_step fn;
    if (n->kind == WEFT__EFF_MAP)
        fn.each = each;
    else
        fn.word = word;
    return weft__eff_step_over(n, a, fn);
}
static inline __attribute__((always_inline)) uintptr_t weft__eff_chain(weft_eff_node *n, uintptr_t a, weft__eff_fn *next) {
    weft__eff_step fn;
    fn.next = next;
    return weft__eff_step_over(n, a, fn);
}
static inline uintptr_t weft__eff_both(weft_eff_node *n, uintptr_t a, uintptr_t b) {
    n->u.two.b = b;
    weft__eff_room(n, b);
    return weft__eff_over(n, a);
}
/* The branches end with a 0. */
static inline uintptr_t weft__eff_branches(weft_eff_node *n) {
    const uintptr_t *b = (const uintptr_t *)n->u.leaf.with;
    for (; b[n->count] && n->count < UINT8_MAX; n->count++) weft__eff_room(n, b[n->count]);
    n->data = (uint16_t)((n->count + 1u) * sizeof *b);
    return (uintptr_t)n;
}

/* ---- leaves --------------------------------------------------------------------------------------- */

/* E weft_eff_succeed(E, value...): the value that `value` initialises.  E weft_eff_value(E, T v): v. */
#define weft_eff_succeed(E, ...)                                                             \
    WEFT__EFF_LEAF(E, WEFT__EFF_SUCCEED, "succeed", .data = sizeof(WEFT__EFF_T(E)),          \
                   .u.leaf = {.with = &(const WEFT__EFF_T(E)){__VA_ARGS__}})
#define weft_eff_value(E, v)                                                                 \
    WEFT__EFF_LEAF(E, WEFT__EFF_SUCCEED, "succeed", .data = sizeof(WEFT__EFF_T(E)),          \
                   .u.leaf = {.with = (const WEFT__EFF_T(E)[1]){v}})

/* E weft_eff_now(E, weft_eff_arena *a, value...)
 * What a function that is handed `a` returns if the effect it would return is to succeed: the same, and nothing is kept for it.
 *  It is returned at once; anywhere else it is a defect to run it. */
#define weft_eff_now(E, arena, ...)                                                          \
    __extension__({                                                                          \
        weft_eff_arena *weft_n_ = (arena);                                                   \
        const WEFT__EFF_T(E) weft_v_ = {__VA_ARGS__};                                        \
        E weft_e_ = {(uintptr_t)&weft__eff_now};                                             \
        if (WEFT_LIKELY(sizeof weft_v_ <= weft_n_->room))                                    \
            *(WEFT__EFF_T(E) *)weft_n_->now = weft_v_;                                       \
        else                                                                                 \
            weft_e_.ref = weft__eff_keep(weft_n_, weft_eff_value(E, weft_v_).ref);           \
        weft_e_;                                                                             \
    })
WEFT_API extern const weft_eff_node weft__eff_now;

/* E weft_eff_fail(E, int code, const char *text), weft_eff_die: a failure, or a defect, of this place; as weft_fail. */
#define weft_eff_fail(E, code, text) WEFT__EFF_FAILS(E, WEFT_CAUSE_FAIL, "fail", code, text)
#define weft_eff_die(E, code, text) WEFT__EFF_FAILS(E, WEFT_CAUSE_DIE, "die", code, text)
#define WEFT__EFF_FAILS(E, cause, name, code, text)                                          \
    WEFT__EFF_LEAF(E, WEFT__EFF_FAIL, name, .u.leaf = {.with = __extension__({               \
                       static const weft_cause weft_cause_ = WEFT__CAUSE_STATIC(cause, text); \
                       &weft_cause_;                                                         \
                   }), .number = (code)})
/* E weft_eff_exit(E, weft_exit e): ends as e, which is not ok.  Its cause is the caller's, as long as the effect is used. */
#define weft_eff_exit(E, e) \
    WEFT__EFF_LEAF(E, WEFT__EFF_EXIT, "exit", .data = sizeof(weft_exit), .u.leaf = {.with = (const weft_exit[1]){e}})

/* E weft_eff_call(E, task, input...): task(input), called on the run's stack. */
#define weft_eff_call(E, task, ...)                                                          \
    WEFT__EFF_LEAF(E, WEFT__EFF_CALL, #task, .data = sizeof(task##_in) + WEFT__EFF_GIVES(E, task##_out), \
                   .u.leaf = {.each = task##__each, .with = &(const task##_in){__VA_ARGS__}})

/* E weft_eff_suspend(E, next, input...): the effect that next(arena, input) returns, each time it is run. */
#define weft_eff_suspend(E, next_, ...)                                                       \
    WEFT__EFF_LEAF(E, WEFT__EFF_SUSPEND, #next_, .data = sizeof(next_##_in) + WEFT__EFF_IS(E, next_##_out), \
                   .u.next = {.fn = next_##__eff, .with = &(const next_##_in){__VA_ARGS__}})

/* weft_eff_pointer weft_eff_from_promise(weft_promise *p): what it is completed with (weft/promise.h). */
#define weft_eff_from_promise(p) \
    WEFT__EFF_LEAF(weft_eff_pointer, WEFT__EFF_PROMISE, "promise", .u.leaf = {.with = (weft_promise *){p}})

/* weft_eff_unit weft_eff_sleep(weft_duration d): wait on the runtime's clock, as weft_sleep. */
#define weft_eff_sleep(d) WEFT__EFF_LEAF(weft_eff_unit, WEFT__EFF_SLEEP, "sleep", .u.leaf = {.number = (d)})

/* E weft_eff_never(E): waits until it is interrupted. */
#define weft_eff_never(E) WEFT__EFF_LEAF(E, WEFT__EFF_NEVER, "never")

/* E weft__eff_perform(E, name, perform, payload, bytes)
 * weft_exit perform(const void *payload, void *reply): asked for a T.  For whoever makes typed effects for handlers. */
typedef weft_exit weft__eff_perform_fn(const void *payload, void *reply);
#define weft__eff_perform(E, name, perform, payload, bytes)                                  \
    WEFT__EFF_LEAF(E, WEFT__EFF_PERFORM, name, .data = (uint16_t)(bytes),                    \
                   .u.leaf = {.with = (payload), .spare = (uintptr_t)(weft__eff_perform_fn *){perform}})

/* ---- one after the other -------------------------------------------------------------------------- */

/* E weft_eff_map(E, e, task): task of e's value.  Maps over maps, and over a call, are one step. */
#define weft_eff_map(E, e, task)                                                             \
    ((E){weft__eff_map(                                                                      \
        WEFT__EFF_NODE(E, (sizeof(task##_in) <= 8 && sizeof(task##_out) <= 8 ? WEFT__EFF_MAP_WORD : WEFT__EFF_MAP), #task, \
                       .count = WEFT__EFF_GIVES(E, task##_out)),                             \
        WEFT__EFF_OF(task##_in, e), task##__each, task##__word)})
/* E weft_eff_map_with(E, e, fn, closure...): the same with a closure; fn is declared with WEFT_EFF_FN. */
#define weft_eff_map_with(E, e, fn_, ...)                                                    \
    WEFT__EFF_OVER(E, WEFT__EFF_MAP_WITH, #fn_, WEFT__EFF_OF(fn_##_in, e),                   \
                   .data = sizeof(fn_##_with) + WEFT__EFF_GIVES(E, fn_##_out),               \
                   .u.next = {.fn = fn_##__eff, .with = &(const fn_##_with){__VA_ARGS__}})

/* E weft_eff_flat_map(E, e, next): the effect that next(arena, e's value) returns.
 * E weft_eff_flat_map_with(E, e, next_with, closure...) */
#define weft_eff_flat_map(E, e, next_)                                                       \
    ((E){weft__eff_chain(WEFT__EFF_NODE(E, WEFT__EFF_FLAT_MAP, #next_, .count = WEFT__EFF_IS(E, next_##_out)), \
                         WEFT__EFF_OF(next_##_in, e), next_##__eff)})
#define weft_eff_flat_map_with(E, e, next_, ...)                                             \
    WEFT__EFF_OVER(E, WEFT__EFF_FLAT_MAP, #next_, WEFT__EFF_OF(next_##_in, e),               \
                   .data = sizeof(next_##_with) + WEFT__EFF_IS(E, next_##_out),              \
                   .u.next = {.fn = next_##__eff, .with = &(const next_##_with){__VA_ARGS__}})

/* E weft_eff_tap(E, e, next): e's value, after the effect that next returns for it; what that gives is dropped.
 * E weft_eff_tap_with(E, e, next_with, closure...) */
#define weft_eff_tap(E, e, next_)                                                            \
    WEFT__EFF_OVER(E, WEFT__EFF_TAP, #next_, WEFT__EFF_SAME(E, e), .u.next = {.fn = next_##__eff}, \
                   .data = WEFT__EFF_GIVES(E, next_##_in))
#define weft_eff_tap_with(E, e, next_, ...)                                                  \
    WEFT__EFF_OVER(E, WEFT__EFF_TAP, #next_, WEFT__EFF_SAME(E, e),                           \
                   .data = sizeof(next_##_with) + WEFT__EFF_GIVES(E, next_##_in),            \
                   .u.next = {.fn = next_##__eff, .with = &(const next_##_with){__VA_ARGS__}})

/* E weft_eff_zip(E, x, y): both, x first.  T is a struct with members `first` and `second`. */
#define weft_eff_zip(E, x, y) WEFT__EFF_PAIR(E, WEFT__EFF_ZIP, "zip", x, y)
#define WEFT__EFF_PAIR(E, kind, name, x, y)                                                  \
    ((E){weft__eff_both(WEFT__EFF_NODE(E, kind, name,                                        \
                                       .u.two = {.at = {offsetof(WEFT__EFF_T(E), first), offsetof(WEFT__EFF_T(E), second)}}), \
                        WEFT__EFF_OF(((E *)0)->ty->first, x), WEFT__EFF_OF(((E *)0)->ty->second, y))})

/* ---- errors --------------------------------------------------------------------------------------- */

/* E weft_eff_map_error(E, e, task): a failure of e becomes the exit that task, from weft_exit to weft_exit, makes of it. */
#define weft_eff_map_error(E, e, task)                                                       \
    WEFT__EFF_OVER(E, WEFT__EFF_MAP_ERROR, #task, WEFT__EFF_SAME(E, e), .u.fold = {.ill = task##__each}, \
                   .count = 0 * sizeof((weft_exit *){(task##_in *)0}) + 0 * sizeof((weft_exit *){(task##_out *)0}))

/* E weft_eff_catch_all(E, e, next): if e fails, the effect that next(arena, weft_exit) returns.  The exit's cause lives until
 * that has ended.  E weft_eff_catch_all_with(E, e, next_with, closure...) */
#define weft_eff_catch_all(E, e, next_)                                                      \
    WEFT__EFF_OVER(E, WEFT__EFF_CATCH_ALL, #next_, WEFT__EFF_SAME(E, e), .u.next = {.fn = next_##__eff}, \
                   .data = WEFT__EFF_IS(E, next_##_out) + 0 * sizeof((weft_exit *){(next_##_in *)0}))
#define weft_eff_catch_all_with(E, e, next_, ...)                                            \
    WEFT__EFF_OVER(E, WEFT__EFF_CATCH_ALL, #next_, WEFT__EFF_SAME(E, e),                     \
                   .data = sizeof(next_##_with) + WEFT__EFF_IS(E, next_##_out) + 0 * sizeof((weft_exit *){(next_##_in *)0}), \
                   .u.next = {.fn = next_##__eff, .with = &(const next_##_with){__VA_ARGS__}})

/* E weft_eff_fold(E, e, well, ill): the task `well` of e's value, or the task `ill` of its failure, a weft_exit.  What `well`
 * says itself is not folded. */
#define weft_eff_fold(E, e, well_, ill_)                                                     \
    WEFT__EFF_OVER(E, WEFT__EFF_FOLD, #well_, WEFT__EFF_OF(well_##_in, e),                   \
                   .u.fold = {.well = well_##__each, .ill = ill_##__each},                   \
                   .count = WEFT__EFF_GIVES(E, well_##_out) + WEFT__EFF_GIVES(E, ill_##_out) + \
                            0 * sizeof((weft_exit *){(ill_##_in *)0}))

/* E weft_eff_annotate(E, e, const char *text): if e does not end well, its cause has a note of this place. */
#define weft_eff_annotate(E, e, text) \
    WEFT__EFF_OVER(E, WEFT__EFF_ANNOTATE, "annotate", WEFT__EFF_SAME(E, e), .u.leaf = {.with = (const char *){text}})

/* ---- time ----------------------------------------------------------------------------------------- */

/* E weft_eff_timeout(E, e, weft_duration d): e, at most for d, then it is interrupted and the failure is {FAIL,
 * WEFT_E_TIMEOUT}, as of weft_timeout: a value that is there by then counts, and cleaning up is waited for. */
#define weft_eff_timeout(E, e, d) \
    WEFT__EFF_OVER(E, WEFT__EFF_TIMEOUT, "timeout", WEFT__EFF_SAME(E, e), .u.leaf = {.number = (d)})

/* E weft_eff_retry(E, e, weft_schedule s): e, and again when it fails, as the schedule says (weft/schedule.h).  Each run
 * follows it from its beginning; defects and interrupts are not tried again; the last failure counts. */
#define weft_eff_retry(E, e, s) WEFT__EFF_AGAIN(E, WEFT__EFF_RETRY, "retry", e, s)
/* E weft_eff_repeat(E, e, weft_schedule s): e, and again as long as it succeeds and the schedule goes on; the last value. */
#define weft_eff_repeat(E, e, s) WEFT__EFF_AGAIN(E, WEFT__EFF_REPEAT, "repeat", e, s)
#define WEFT__EFF_AGAIN(E, kind, name, e, s)                                                 \
    WEFT__EFF_OVER(E, kind, name, WEFT__EFF_SAME(E, e), .data = sizeof(weft_schedule),       \
                   .u.leaf = {.with = (const weft_schedule[1]){s}})

/* ---- resources and interrupts --------------------------------------------------------------------- */

/* E weft_eff_ensuring(E, e, finalizer): e, and whatever becomes of it, then the finalizer, an effect of any type, which nothing
 * interrupts.  If it fails, its cause is attached (WEFT_CAUSE_THEN). */
#define weft_eff_ensuring(E, e, finalizer) WEFT__EFF_AFTER(E, WEFT__EFF_ENSURING, "ensuring", e, finalizer)
/* E weft_eff_on_interrupt(E, e, finalizer): the same only if e is interrupted. */
#define weft_eff_on_interrupt(E, e, finalizer) WEFT__EFF_AFTER(E, WEFT__EFF_ON_INTERRUPT, "on_interrupt", e, finalizer)
#define WEFT__EFF_AFTER(E, kind, name, e, finalizer) \
    ((E){weft__eff_both(WEFT__EFF_NODE(E, kind, name, .u.two = {.b = 0}), WEFT__EFF_SAME(E, e), WEFT__EFF_ANY(finalizer))})

/* E weft_eff_acquire_release(E, acquire, use, release)
 * The effect acquire gives a resource R, and nothing interrupts it; use(arena, R) returns what is done with it; and whatever
 * becomes of that, release(R, const weft_exit *e) is called, which nothing interrupts either, where e is how it ended.  release
 * is declared with WEFT_EFF_FN(release, weft_exit, R, weft_exit); a failure that it returns, or says, is attached
 * (WEFT_CAUSE_THEN). E weft_eff_acquire_release_with(E, acquire, use_with, release, closure...): the closure is use's. */
#define weft_eff_acquire_release(E, acquire, use, release_)                                  \
    WEFT__EFF_OVER(E, WEFT__EFF_ACQUIRE, #use, WEFT__EFF_OF(use##_in, acquire),              \
                   .u.next = {.fn = use##__eff, .release = release_##__eff},                 \
                   .data = WEFT__EFF_IS(E, use##_out) + WEFT__EFF_RELEASES(release_, use))
#define weft_eff_acquire_release_with(E, acquire, use, release_, ...)                        \
    WEFT__EFF_OVER(E, WEFT__EFF_ACQUIRE, #use, WEFT__EFF_OF(use##_in, acquire),              \
                   .data = sizeof(use##_with) + WEFT__EFF_IS(E, use##_out) + WEFT__EFF_RELEASES(release_, use), \
                   .u.next = {.fn = use##__eff, .with = &(const use##_with){__VA_ARGS__}, .release = release_##__eff})
#define WEFT__EFF_RELEASES(release, use)                                                     \
    (0 * sizeof((weft_exit *){(release##_out *)0}) + 0 * sizeof((weft_exit *){(release##_with *)0}) + \
     0 * sizeof((use##_in *){(release##_in *)0}))

/* E weft_eff_provide(E, e, const char *name, weft_eff_provider *p)
 * e between enter and leave.  enter may fail, and sets *state if it does not; leave gets it, with e's exit, and nothing
 * interrupts it; what it returns is attached as a finalizer's failure is.  bracket: enter has opened a scope, or the like, which leave
 * ends; then leave is not masked, but masks what needs it itself. */
typedef struct weft_eff_provider {
    weft_exit (*enter)(void *arg, void **state);
    weft_exit (*leave)(void *arg, void *state, weft_exit e);
    void *arg;
    bool bracket;
} weft_eff_provider;
#define weft_eff_provide(E, e, name, p)                                                      \
    WEFT__EFF_OVER(E, WEFT__EFF_PROVIDE, name, WEFT__EFF_SAME(E, e), .data = sizeof(weft_eff_provider), \
                   .u.leaf = {.with = (const weft_eff_provider *){p}})

/* E weft_eff_uninterruptible(E, e): nothing interrupts e; what would have is noticed after it.
 * E weft_eff_restore(E, e): e, as if the innermost uninterruptible effect of the same run around it were not there. */
#define weft_eff_uninterruptible(E, e) \
    WEFT__EFF_OVER(E, WEFT__EFF_UNINTERRUPTIBLE, "uninterruptible", WEFT__EFF_SAME(E, e), .count = 0)
#define weft_eff_restore(E, e) WEFT__EFF_OVER(E, WEFT__EFF_RESTORE, "restore", WEFT__EFF_SAME(E, e), .count = 0)

/* E weft_eff_memoise(E, e, E##_memo *m)
 * What e gave, or how it failed or died, the first time that it was run through *m; who asks meanwhile waits.  A run that was
 * interrupted leaves nothing behind.  *m is the program's, zeroed before, and outlives the effect (weft_eff_memo_drop). */
#define weft_eff_memoise(E, e, m)                                                            \
    WEFT__EFF_OVER(E, WEFT__EFF_MEMOISE, "memoise", WEFT__EFF_SAME(E, e),                    \
                   .u.leaf = {.with = &((E##_memo *){m})->memo, .number = offsetof(E##_memo, value)})

/* ---- at once -------------------------------------------------------------------------------------- */

/* Branches are run as those of weft/par.h: calls, until they must be fibers; no combinator ends before each of them has. */

/* E weft_eff_zip_par(E, x, y): as weft_eff_zip, both at once; the first failure cancels the other. */
#define weft_eff_zip_par(E, x, y) WEFT__EFF_PAIR(E, WEFT__EFF_ZIP_PAR, "zip_par", x, y)

/* E weft_eff_race(E, branches...): how the first ends that fails or has a value.
 * E weft_eff_any(E, branches...): the first value; if none has one, all their causes combined. */
#define weft_eff_race(E, ...) WEFT__EFF_BRANCHES(E, WEFT__EFF_RACE, "race", __VA_ARGS__)
#define weft_eff_any(E, ...) WEFT__EFF_BRANCHES(E, WEFT__EFF_ANY, "any", __VA_ARGS__)
#define WEFT__EFF_BRANCHES(E, kind, name, ...) \
    ((E){weft__eff_branches(WEFT__EFF_NODE(E, kind, name, .u.leaf = {.with = (const E[]){__VA_ARGS__, {0}}}))})

/* weft_eff_unit weft_eff_for_each_par(const In items[], size_t n, T results[], int64_t parallelism, next)
 * weft_eff_unit weft_eff_for_each_par_with(..., next_with, closure...)
 * results[i] is what the effect gives that next(arena, items[i]) returns; results may be NULL.  At most so many at once (0: 1);
 * as weft_for_each_par.  Items and results are the program's. */
#define weft_eff_for_each_par(items, n, results, parallelism, next) \
    WEFT__EFF_EACH_OF(items, n, results, parallelism, next, NULL, 0)
#define weft_eff_for_each_par_with(items, n, results, parallelism, next, ...)                \
    WEFT__EFF_EACH_OF(items, n, results, parallelism, next, (&(const next##_with){__VA_ARGS__}), sizeof(next##_with))
#define WEFT__EFF_EACH_OF(items_, n_, results_, parallelism_, next, with_, data_)            \
    WEFT__EFF_LEAF(weft_eff_unit, WEFT__EFF_EACH, #next, .data = sizeof(weft__eff_each_spec), \
                   .u.leaf = {.with = &(const weft__eff_each_spec){                          \
                                  .items = (const next##_in *){items_},                      \
                                  .results = (__typeof__(((next##_out *)0)->ty)){results_},  \
                                  .n = (n_), .stride = sizeof(next##_in), .fn = next##__eff, .with = with_, \
                                  .parallelism = (parallelism_), .bytes = sizeof(WEFT__EFF_T(next##_out)), .data = data_}})
typedef struct weft__eff_each_spec {
    const void *items;
    void *results;
    size_t n, stride; /* bytes of an item */
    weft__eff_fn *fn;
    const void *with;
    int64_t parallelism;
    uint32_t bytes, data; /* of a result; of what `with` points to */
} weft__eff_each_spec;

WEFT_END_C
#endif
