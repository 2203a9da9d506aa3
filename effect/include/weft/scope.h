/* weft/scope.h -- scopes: children that cannot outlive a block.
 *
 *   weft_exit e;
 *   WEFT_SCOPE(s, &e, .timeout = weft_ms(200)) {
 *       for (int i = 0; i < n; i++) weft_start(s, fetch, .url = url[i]);
 *       if (give_up) return -1;                  // cancels what was started, and waits for it
 *   }                                            // waits for all of it
 *   if (!weft_ok(e)) ...                         // a child failed, or the time was over
 *
 * A scope ends when all that belongs to it has ended: the children started in it, and the fibers spawned in it.  Leaving
 * the block at its end waits for them; leaving it early, by return, break or goto, cancels them first.  (continue leaves it as
 * its end does: it belongs to the statement's own loop.)
 *
 *   failure      the first child that fails cancels the others; the scope's exit is that failure, with those that
 *                followed attached.  Other policies: WEFT_COLLECT waits for all of them, WEFT_SUPERVISE lets failures
 *                be.  A child that was interrupted has not failed.
 *   deadline     a field of the scope: when it passes the scope is cancelled, and its exit is {FAIL, WEFT_E_TIMEOUT}, if
 *                anybody noticed; what is complete by then counts.  Inner scopes end with outer ones, so the
 *                earliest deadline around is the one that holds.
 *   shield       what is outside does not interrupt what is inside; with a timeout, for so long
 *   finalizers   weft_defer: run at the end, last first, shielded, all of them, each with a time of its own
 *   arena        weft_alloc: memory until the end
 *
 * weft_start is lazy, as weft_fork is: a child is a plain call at the end of the scope, unless somebody took it before, or
 * its parent waited for something.  Two children that wait for each other should be spawned.
 *
 * On a plain thread a scope works without a runtime: children run where they are started, nothing is cancelled.
 *
 * Source: Trio's nurseries and cancel scopes, Kotlin's coroutineScope, ZIO's Scope.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCOPE_H
#define WEFT_SCOPE_H

#include <weft/cancel.h>

WEFT_BEGIN_C

typedef enum weft_policy {
    WEFT_FAIL_FAST = WEFT__FAIL_FAST, /* the first failure cancels the rest */
    WEFT_SUPERVISE = WEFT__SUPERVISE, /* failures concern nobody else; the scope's exit is ok */
    WEFT_COLLECT = WEFT__COLLECT,     /* all run to their ends; the scope's exit has all failures */
} weft_policy;

/* Zero means default everywhere. */
typedef struct weft_scope_options {
    const char *name;       /* for dumps; a literal */
    weft_duration timeout;  /* from now on; 0: none */
    weft_time deadline;     /* on the runtime's clock; 0: none.  With both the earlier one holds */
    weft_duration grace;    /* at the deadline first only weft_stopping() turns true, and after this it is cancelled */
    weft_policy policy;
    bool shield;
} weft_scope_options;

typedef weft_exit weft_finalizer_fn(void *arg);

enum { WEFT__SCOPE_ROOM = 192, WEFT__OVER = 2 };

typedef struct weft_scope {
    weft__region region;     /* the fields are the library's */
    weft__deadline deadline; /* directly behind the region */
    weft_exit *out;
    char *free, *end;        /* the arena's current piece */
    uint64_t epoch;
    uint8_t ended;           /* 0, and once nobody else knows it any more WEFT__OVER */
    /* what follows is not initialised before it is used */
    struct weft__deferred *deferred;
    struct weft__chunk *chunks, *grown; /* all pieces; the one free and end are in */
    weft_exit suppressed;
    char room[WEFT__SCOPE_ROOM] __attribute__((aligned(16)));
} weft_scope;

#ifdef __cplusplus
#define WEFT__SCOPE_OPTIONS(...) (weft_scope_options{__VA_ARGS__})
#else
#define WEFT__SCOPE_OPTIONS(...) ((weft_scope_options){__VA_ARGS__})
#endif

/* WEFT_SCOPE(s, weft_exit *exit, options...) { ... }
 * s: the name of a weft_scope * inside.  *exit (exit may be NULL) is set at the end.
 * *exit is {FAIL, WEFT_E_INVALID} and the block is skipped if an option is out of range.
 * [any thread] [suspends at the end; not a cancellation point for the children's sake: it waits for them in any case,
 * and then says that the caller is interrupted] */
#define WEFT_SCOPE(s, exit, ...)                                                             \
    for (weft_scope s##_scope_ __attribute__((cleanup(weft__scope_cleanup))),                \
         *s = weft__scope_enter(&s##_scope_, (exit), WEFT__SCOPE_OPTIONS(__VA_ARGS__));      \
         s; s = weft__scope_end(s))

/* The same as a function: fn(s, arg) inside a scope.  Its own exit counts as that of a child: a failure cancels the
 * children.  options may be NULL.  Returns the scope's exit. */
WEFT_API weft_exit weft_scope_run(const weft_scope_options *options, weft_exit (*fn)(weft_scope *s, void *arg), void *arg);

/* weft_exit weft_start(weft_scope *s, name, input...)
 * name(input) as a child of the scope; its result is dropped.  Cheap and lazy in the scope's own block, where its input is
 * kept in the arena until the scope ends (who starts children for ever should spawn them); from within an inner scope or
 * mask, or from another fiber, it is spawned.
 * Errors (tag FAIL): WEFT_E_NOMEM, WEFT_E_ENDED (the scope is closed), those of weft_spawn.
 * [while the scope is open] [never suspends, but at max_fibers] */
#define weft_start(s, name, ...)                                                             \
    __extension__({                                                                          \
        static const weft_site weft_site_ = {name##__run, #name, __FILE__, __LINE__};        \
        weft_scope *weft_s_ = (s);                                                           \
        weft_exit weft_r_ = {WEFT_EXIT_OK, 0, NULL};                                         \
        if (WEFT_LIKELY(weft__scope_here(weft_s_))) {                                        \
            name##_task *weft_t_ = (name##_task *)weft_alloc(weft_s_, sizeof(name##_task));  \
            if (WEFT_LIKELY(weft_t_ != NULL)) {                                              \
                name##_in weft_i_ = {__VA_ARGS__};                                           \
                weft_t_->io.in = weft_i_;                                                    \
                weft__scope_fork(&weft_t_->task, &weft_site_);                               \
            } else {                                                                         \
                weft_r_ = weft__scope_no_memory();                                           \
            }                                                                                \
        } else if (WEFT_UNLIKELY(weft_s_->ended == WEFT__OVER)) {                            \
            weft_r_ = weft__scope_over();                                                    \
        } else if (weft__scope_direct(weft_s_)) {                                            \
            name##_task weft_d_;                                                             \
            name##_in weft_j_ = {__VA_ARGS__};                                               \
            weft_d_.io.in = weft_j_;                                                         \
            weft__scope_call(&weft_d_.task, &weft_site_);                                    \
        } else {                                                                             \
            weft_spawn_options weft_so_ = weft__scope_spawn_options(weft_s_);                \
            weft_r_ = WEFT__SPAWN((name##_fiber *)NULL, name, &weft_so_, __VA_ARGS__);       \
        }                                                                                    \
        weft_r_;                                                                             \
    })

/* Cancel the scope: everything in it is interrupted, the block of its owner too.  Its exit, if anybody noticed, is
 * {INTERRUPT, WEFT_E_CANCELLED}.  reason is copied.  [while the scope is open, any thread] [never suspends] */
#define weft_scope_cancel(s, reason) weft__scope_cancel((s), (reason), __FILE__, __LINE__)

/* fn(arg) at the end of the scope: last first, shielded, all of them; what fails is attached to the scope's exit.  budget:
 * the time it may take before it is interrupted; 0: any.  After the end of the scope's block it runs at once.
 * Errors: WEFT_E_NOMEM (fn was not registered, and has not run).  [while the scope is open] [never suspends, but late] */
WEFT_API weft_err weft_defer(weft_scope *s, weft_finalizer_fn *fn, void *arg, weft_duration budget);

/* Acquire and register the release, as one: acquire(arg, &resource) runs masked, and if it is ok release(resource) is
 * deferred before anything else can happen.  *resource may be used until then.
 * Errors: WEFT_E_NOMEM (acquire was not called); whatever acquire returns.
 * [while the scope is open] [suspends if acquire does] */
WEFT_API weft_exit weft_acquire(weft_scope *s, weft_exit (*acquire)(void *arg, void **resource), void *arg,
                                weft_finalizer_fn *release, weft_duration budget, void **resource);

WEFT_API void *weft__scope_alloc_slow(weft_scope *s, size_t bytes);

/* `bytes` aligned to 16, until the scope ends; not zeroed.  NULL: no memory.
 * [the scope's owner] [never suspends] */
static inline void *weft_alloc(weft_scope *s, size_t bytes) {
    size_t n = (bytes + 15) & ~(size_t)15;
    if (WEFT_UNLIKELY(n > (size_t)(s->end - s->free) || n < bytes)) return weft__scope_alloc_slow(s, bytes);
    char *at = s->free;
    s->free = at + n;
    return at;
}

/* The earliest deadline that holds for the caller, WEFT_FOREVER if there is none.  [any thread] [never suspends] */
WEFT_API weft_time weft_deadline(void);

/* fn(arg), at most for d: then it is interrupted, and the result is {FAIL, WEFT_E_TIMEOUT} once it has returned.  If it
 * is done by then, or does not notice, its own exit counts.  No fiber, and no look at the clock unless it waits.
 * Errors: WEFT_E_INVALID (negative).  [any thread] [suspends if fn does] */
static inline weft_exit weft_timeout(weft_duration d, weft_exit (*fn)(void *arg), void *arg);

/* ---- below: what the macros use ----------------------------------------------------------------------- */

WEFT_API weft_scope *weft__scope_enter_slow(weft_scope *s, weft_exit *out, const weft_scope_options *o);
WEFT_API void weft__scope_end_slow(weft_scope *s);
WEFT_API void weft__scope_left_early(weft_scope *s);
WEFT_API weft_exit weft__timeout_end(weft_scope *s, weft_exit e);
WEFT_API void weft__scope_cancel(weft_scope *s, const char *reason, const char *file, int line);
WEFT_API weft_exit weft__scope_no_memory(void);
WEFT_API weft_exit weft__scope_over(void);
WEFT_API void weft__scope_call(weft_task *t, const weft_site *site);

static inline __attribute__((always_inline)) void weft__scope_set_up(weft_scope *s, struct weft__fiber *f, weft_exit *out) {
    weft__region_enter(&s->region, f, WEFT__SCOPE);
    s->out = out;
    s->free = s->room;
    s->end = s->room + WEFT__SCOPE_ROOM;
    s->ended = 0;
}

static inline __attribute__((always_inline)) weft_scope *weft__scope_enter(weft_scope *s, weft_exit *out,
                                                                           weft_scope_options o) {
    struct weft__fiber *f = weft__self();
    if (WEFT_UNLIKELY(!f) || o.name || o.timeout || o.deadline || o.grace || o.policy || o.shield)
        return weft__scope_enter_slow(s, out, &o);
    weft__scope_set_up(s, f, out);
    return s;
}

static inline __attribute__((always_inline)) weft_scope *weft__scope_end(weft_scope *s) {
    struct weft__fiber *f = weft__self();
    if (WEFT_LIKELY(f != NULL && weft__region_untouched(&s->region, f))) {
        s->ended = WEFT__OVER;
        weft__region_leave(&s->region, f);
        if (s->out) {
            s->out->tag = WEFT_EXIT_OK;
            s->out->code = 0;
            s->out->cause = NULL;
        }
    } else {
        weft__scope_end_slow(s);
    }
    return NULL;
}

static inline __attribute__((always_inline)) void weft__scope_cleanup(weft_scope *s) {
    if (WEFT_UNLIKELY(!s->ended)) weft__scope_left_early(s);
}

static inline __attribute__((always_inline)) bool weft__scope_here(const weft_scope *s) {
    struct weft__fiber *f = weft__self();
    return f && f->scope == &s->region.node;
}

/* Of a plain thread: its children run where they are started. */
static inline bool weft__scope_direct(const weft_scope *s) { return !s->region.node.owner && !weft__self(); }

/* A child of a scope is marked in its site. */
static inline __attribute__((always_inline)) void weft__scope_fork(weft_task *t, const weft_site *site) {
    weft__fork(t, (const weft_site *)(const void *)((const char *)site + WEFT__STARTED));
}

static inline weft_spawn_options weft__scope_spawn_options(weft_scope *s) {
    weft_spawn_options o;
    __builtin_memset(&o, 0, sizeof o);
    o.scope = s;
    return o;
}

/* On a fiber: what is done from here on has at most d. */
static inline __attribute__((always_inline)) void weft__timeout_begin(weft_scope *s, struct weft__fiber *f, weft_duration d) {
    weft__scope_set_up(s, f, NULL);
    *(uint64_t *)&s->region.node.state = WEFT__TIMED;
    s->deadline.at = d;
    s->deadline.entered = weft__ticks_now();
    s->deadline.armed = 0;
    s->deadline.grace = 0;
    s->epoch = f->epoch;
    f->epoch = UINT64_MAX;
}

/* False: something happened, and it is still open. */
static inline __attribute__((always_inline)) bool weft__timeout_leave(weft_scope *s, struct weft__fiber *f) {
    if (WEFT_UNLIKELY(weft__look(&s->region.node.state) != WEFT__TIMED || s->deadline.armed ||
                      s->region.mark.site & WEFT__SHARED || f->head != &s->region.mark))
        return false;
    weft__region_leave(&s->region, f);
    if (f->epoch == UINT64_MAX) f->epoch = s->epoch;
    return true;
}

static inline weft_exit weft_timeout(weft_duration d, weft_exit (*fn)(void *arg), void *arg) {
    weft_scope s;
    struct weft__fiber *f = weft__self();
    if (WEFT_UNLIKELY(!f || d < 0)) {
        weft_scope_options o;
        __builtin_memset(&o, 0, sizeof o);
        o.timeout = d;
        weft_exit bad = {WEFT_EXIT_OK, 0, NULL};
        if (!weft__scope_enter_slow(&s, &bad, &o)) return bad;
    } else {
        weft__timeout_begin(&s, f, d);
    }
    weft_exit e = fn(arg);
    return WEFT_LIKELY(f != NULL) && weft__timeout_leave(&s, f) ? e : weft__timeout_end(&s, e);
}

WEFT_END_C
#endif
