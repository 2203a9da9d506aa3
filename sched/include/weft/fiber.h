/* weft/fiber.h -- spawn and await: work with a handle.
 *
 *   static long fetch(request r);
 *   WEFT_TASK(fetch, long, request);              // weft/fork.h
 *
 *   fetch_fiber f;
 *   weft_exit e = weft_spawn(&f, fetch, .url = "http://a", .tries = 3);
 *   long n;
 *   e = weft_await(f, fetch, &n);                 // any number of times, from anywhere
 *   weft_drop(f);
 *
 * A spawned fiber is eager: it is queued at once, and runs whether or not anybody awaits it.  It runs next on its worker, before
 * those that were spawned there earlier and have not begun: newest first, so that a tree of fibers is worked depth first
 * and few of them are begun at once.  Other workers take the oldest; a yield lets all of them go first, oldest first; and so that
 * none waits for ever, now and then the oldest has its turn.  Who was woken takes turns with them.
 * It has an identity (id, name, spawn site, status) and outlives the function that spawned it; its input is
 * copied.  Until it first waits it is a plain call at the bottom of a worker's stack; a fiber that never waits
 * never needs one of its own.  For children that end before their parent, weft/fork.h costs a tenth.
 *
 * Handles.  weft_spawn gives one, weft_drop gives it back; the fiber's memory goes when it has ended and the handle
 * is dropped.  Awaiting copies the result and leaves the handle alone.  A handle that was dropped is noticed and
 * refused (WEFT_E_STALE) as long as its runtime is open.
 *
 * A fiber that is spawned inside a scope (weft/scope.h) belongs to it: the scope does not end before the fiber has, and
 * then drops its handle, if nobody did.  Outside of any scope a fiber belongs to the runtime.
 *
 * weft_run and weft_close return when every fiber has ended that is not a daemon.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_FIBER_H
#define WEFT_FIBER_H

#include <weft/exit.h>
#include <weft/fork.h>
#include <weft/runtime.h>

WEFT_BEGIN_C

typedef enum weft_status {
    WEFT_STATUS_NONE = 0,  /* no such fiber: dropped, or never spawned */
    WEFT_STATUS_PENDING,   /* queued, not started */
    WEFT_STATUS_RUNNING,   /* on a worker, or ready to go on */
    WEFT_STATUS_SUSPENDED, /* waits for something */
    WEFT_STATUS_DONE,      /* returned */
    WEFT_STATUS_FAILED,    /* returned after weft_fail */
    WEFT_STATUS_CANCELLED, /* returned because it was interrupted, or never started for that reason */
} weft_status;

/* Kept across every wait; fibers of one priority take turns. */
typedef enum weft_priority { WEFT_PRIORITY_NORMAL = 0, WEFT_PRIORITY_HIGH, WEFT_PRIORITY_LOW } weft_priority;

struct weft_scope;

/* Zero means default everywhere. */
typedef struct weft_spawn_options {
    weft_runtime *runtime; /* where to run; NULL: the caller's.  Plain threads must say */
    const char *name;      /* shown in reports; NULL: the function's name.  Must outlive the fiber */
    size_t stack_bytes;    /* 0: the runtime's; at least WEFT_STACK_MIN, rounded up to a class; or WEFT_STACK_TINY */
    bool daemon;           /* does not keep the runtime open; abandoned where it waits when the rest has ended.  In a scope:
                            * interrupted once the scope's other fibers have ended */
    bool bound;            /* never leaves the worker it starts on */
    bool detached;         /* belongs to the runtime, not to the scope it is spawned in */
    bool ready;            /* weft_spawn_with returns when the fiber has called weft_started, or has ended */
    weft_priority priority;
    struct weft_scope *scope; /* belongs to this one (weft/scope.h), not to the innermost open scope of the caller */
} weft_spawn_options;

#define WEFT_STACK_MIN 4096
/* Half a page in place of a page and more, for functions whose frames are known: without a guard.  An overflow damages
 * its neighbour; it is noticed, and ends the program with a text, when the fiber has ended.  Of the 2 KiB the
 * function and what it calls may use WEFT_STACK_TINY_ROOM bytes, waiting in any way not counted.  It may await, expect
 * and yield; not fork, spawn, allocate or print, which take more.  Link with -z now: so does resolving a symbol.
 * Sanitizers and builds without optimisation give it 16 KiB. */
#define WEFT_STACK_TINY 2048
#define WEFT_STACK_TINY_ROOM 448

/* weft_exit weft_spawn_with(name_fiber *f, name, weft_spawn_options options, input...)
 * weft_exit weft_spawn(name_fiber *f, name, input...)
 * Spawns name(input).  *f is the handle; with f NULL nobody will await it.  `input` initialises a name_in, as in
 * weft_fork.
 * Errors (tag FAIL): WEFT_E_NOMEM, WEFT_E_CLOSED, WEFT_E_ENDED (its scope is closed), WEFT_E_INVALID (no runtime on this
 * thread and none given; stack size or priority out of range).  On error *f is a handle of no fiber.
 * With .ready the exit of a fiber that ended before weft_started is returned, if it failed; *f is its handle all the same.
 * [any thread] [may suspend: when the runtime's max_fibers is reached, or for .ready: a cancellation point then; blocks a
 * plain thread] */
#define weft_spawn(f, name, ...) WEFT__SPAWN((f), name, NULL, __VA_ARGS__)
#define weft_spawn_with(f, name, options, ...)                                               \
    __extension__({                                                                          \
        weft_spawn_options weft_o_ = options;                                                \
        WEFT__SPAWN((f), name, &weft_o_, __VA_ARGS__);                                       \
    })
#define WEFT__SPAWN(f, name, options, ...)                                                   \
    __extension__({                                                                          \
        static const weft_site weft_site_ = {name##__run, #name, __FILE__, __LINE__};        \
        name##_fiber *weft_f_ = (f);                                                         \
        weft_handle weft_h_;                                                                 \
        name##_in weft_in_ = {__VA_ARGS__};                                                  \
        weft_exit weft_e_ = weft__spawn_begin(&weft_h_, &weft_site_, sizeof(name##_task), options); \
        if (weft_f_) weft_f_->handle = weft_h_;                                              \
        if (WEFT_LIKELY(weft_ok(weft_e_))) {                                                 \
            ((name##_task *)(void *)weft__task_of(weft_h_))->io.in = weft_in_;               \
            bool weft_w_ = weft__spawn_waits(options);                                       \
            weft__spawn_go(weft_h_, weft_f_ == NULL && !weft_w_);                            \
            if (weft_w_) weft_e_ = weft__spawn_wait(weft_h_, weft_f_ == NULL);               \
        }                                                                                    \
        weft_e_;                                                                             \
    })

/* weft_exit weft_await(name_fiber f, name, name_out *out)
 * Waits until the fiber has ended; returns its exit and, if that is ok, copies its result to *out (may be NULL).
 * {INTERRUPT, WEFT_E_CANCELLED}: the fiber was interrupted.  {INTERRUPT, WEFT_E_INTERRUPTED}: the caller is, and f goes on.
 * Errors (tag FAIL): WEFT_E_STALE (dropped, or of no fiber), WEFT_E_INSIDE (a fiber awaits itself).
 * A cause that is not static lives until the caller's innermost scope ends (weft_exit_keep, weft_exit_drop).
 * [any thread] [suspends: cancellation point; blocks a plain thread] */
#define weft_await(f, name, out) name##__await((f), (out))

/* The same, at most for a duration, or until a time of the runtime's clock: then {FAIL, WEFT_E_TIMEOUT}, and the fiber
 * goes on.  Errors: also WEFT_E_INVALID (negative duration). */
#define weft_await_for(f, name, out, duration) WEFT__TIMED((f), name, (out), weft_fiber_await_for(weft_f_.handle, (duration)))
#define weft_await_until(f, name, out, time) WEFT__TIMED((f), name, (out), weft_fiber_await_until(weft_f_.handle, (time)))
#define WEFT__TIMED(f, name, out, wait)                                                      \
    __extension__({                                                                          \
        name##_fiber weft_f_ = (f);                                                          \
        weft_exit weft_w_ = wait;                                                            \
        weft_ok(weft_w_) ? name##__await(weft_f_, (out)) : weft_w_;                          \
    })

/* The same, and a failure becomes the caller's own: as if it had called weft_fail with that exit.
 * [on a fiber] [suspends] */
#define weft_expect(f, name, out) weft__expect(name##__await((f), (out)))

/* The handle is not used any more.  Nobody may be awaiting through it.
 * Returns WEFT_E_STALE if it was dropped before.  [any thread] [never suspends; a scheduling point] */
#define weft_drop(f) weft_fiber_drop((f).handle)

/* The fiber belongs to the runtime from now on, not to its scope, and the handle is not used any more.
 * Returns WEFT_E_STALE if it was dropped before.  [in the fiber's scope] [never suspends] */
#define weft_detach(f) weft_fiber_detach((f).handle)

/* Has it ended?  false for a stale handle.  [any thread] [never suspends; a scheduling point] */
#define weft_is_done(f) weft_fiber_is_done((f).handle)

/* The caller, spawned with .ready, has come far enough for its spawner to go on.  A no-op otherwise, and the second time.
 * [on a fiber] [never suspends] */
WEFT_API void weft_started(void);

/* Let other ready fibers of this worker run first.  A no-op on a plain thread.
 * [any thread] [may suspend: cancellation point] */
WEFT_API weft_exit weft_yield(void);

/* ---- any fiber, whatever its task -------------------------------------------------------------------- */

WEFT_API weft_err weft_fiber_drop(weft_handle h);
WEFT_API weft_err weft_fiber_detach(weft_handle h);
WEFT_API bool weft_fiber_is_done(weft_handle h);
/* Wait, without the result.  [any thread] [suspends: cancellation point] */
WEFT_API weft_exit weft_fiber_await_for(weft_handle h, weft_duration d);
WEFT_API weft_exit weft_fiber_await_until(weft_handle h, weft_time t);
/* weft_exit weft_fiber_await(weft_handle h): wait, without the result; declared in weft/fork.h.  As weft_await.
 * [any thread] [suspends] */
/* A moment's view.  WEFT_STATUS_NONE for a stale handle.  [any thread] [never suspends] */
WEFT_API weft_status weft_fiber_status(weft_handle h);
/* Name and spawn site of a live handle, NULL for a stale one.  [any thread] [never suspends] */
WEFT_API const char *weft_fiber_name(weft_handle h);
WEFT_API const weft_site *weft_fiber_site(weft_handle h);
/* The running fiber; its handle belongs to whoever spawned it.  {NULL, 0} on a plain thread, in the function
 * given to weft_run, and in a forked child that was stolen.  In the body of a handler (weft/continuation.h) that of who drives it.
 * [any thread] [never suspends] */
WEFT_API weft_handle weft_self(void);

/* ---- below: what the macros use ---------------------------------------------------------------------- */

/* options may be NULL. */
WEFT_API weft_exit weft__spawn_begin(weft_handle *out, const weft_site *site, size_t bytes,
                                     const weft_spawn_options *options);
WEFT_API void weft__spawn_go(weft_handle h, bool nobody);
static inline bool weft__spawn_waits(const weft_spawn_options *o) { return o && o->ready; }
WEFT_API weft_exit weft__spawn_wait(weft_handle h, bool nobody);
WEFT_API weft_exit weft__expect(weft_exit e);

WEFT_END_C
#endif
