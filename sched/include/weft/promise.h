/* weft/promise.h -- a value that somebody will provide: completed once, from any thread, awaited by any number.
 *
 *   weft_promise p = WEFT_PROMISE;
 *   ...                                          // hand &p to whoever will know
 *   weft_exit e = weft_promise_await(&p, &value);
 *
 *   weft_promise_complete(&p, value);            // there
 *
 * The memory is the caller's; it may go as soon as the promise is completed and everybody who awaited has returned: completing
 * touches it for the last time before anybody is woken.
 *
 * A promise that a thread outside of Weft will complete is announced by weft_promise_external: until it is completed,
 * an automatic clock does not jump and nobody calls its waiters deadlocked.
 * Source: effectpy's Deferred, doeff's external promise.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_PROMISE_H
#define WEFT_PROMISE_H

#include <weft/fiber.h>

WEFT_BEGIN_C

typedef struct weft_promise {
    WEFT__ATOMIC(uintptr_t) queue; /* the fields are the library's */
    weft_runtime *announced;
    void *value;
    weft_exit exit;
} weft_promise;

#ifdef __cplusplus
#define WEFT_PROMISE {}
#else
#define WEFT_PROMISE {.announced = NULL}
#endif

/* As WEFT_PROMISE.  [any thread] [never suspends] */
WEFT_API void weft_promise_init(weft_promise *p);
/* The same, announced to rt (NULL: the caller's runtime).
 * Errors: WEFT_E_CLOSED, WEFT_E_INVALID (no runtime).  [any thread] [never suspends] */
WEFT_API weft_err weft_promise_external(weft_promise *p, weft_runtime *rt);

/* Complete it: with a value, or as a failure (an exit that is not ok, whose cause the promise holds until it is dropped).
 * Errors: WEFT_E_TWICE (it was completed before, and stays as it is), WEFT_E_INVALID (fail with ok).
 * [any thread] [never suspends; a scheduling point] */
WEFT_API weft_err weft_promise_complete(weft_promise *p, void *value);
WEFT_API weft_err weft_promise_fail(weft_promise *p, weft_exit e);

/* Wait until it is completed.  ok: *value (may be NULL) is its value; else the exit it was failed with.
 * [any thread] [suspends: cancellation point; blocks a plain thread] */
WEFT_API weft_exit weft_promise_await(weft_promise *p, void **value);
/* The same, at most until a time of the caller's clock: then {FAIL, WEFT_E_TIMEOUT}. */
WEFT_API weft_exit weft_promise_await_until(weft_promise *p, void **value, weft_time t);
WEFT_API weft_exit weft_promise_await_for(weft_promise *p, void **value, weft_duration d);

/* [any thread] [never suspends] */
WEFT_API bool weft_promise_is_done(weft_promise *p);

/* Before its memory goes, if it was announced or may have failed: one that was never completed fails with WEFT_E_BROKEN, and
 * the cause of a failure is let go.  [any thread] [never suspends] */
WEFT_API void weft_promise_drop(weft_promise *p);

/* ---- blocking calls ----------------------------------------------------------------------------------- */

/* What a blocking call sees of itself. */
typedef struct weft_offload_call weft_offload_call;
typedef void *weft_offload_fn(void *arg, weft_offload_call *call);

/* Run fn(arg) on a helper thread, where it may block, and wait for it without blocking a worker.  *result (may be NULL) is
 * what it returned.
 * Interrupted, the wait ends at once, with the interrupt, and fn goes on: weft_offload_cancelled(call) turns true there, `arg`
 * must stay valid until it returns, and what it returns goes to `drop` (may be NULL), called on the helper thread.  A
 * result that has arrived is never dropped: it wins.
 * At most 64 helper threads; more calls queue.  They count as announced work, until they return or are given up.
 * Errors (tag FAIL): WEFT_E_NOMEM, WEFT_E_THREAD (no helper thread at all).  On a plain thread fn is simply called.
 * [any thread] [suspends: cancellation point] */
WEFT_API weft_exit weft_offload(weft_offload_fn *fn, void *arg, void **result, void (*drop)(void *result));
/* [in fn] */
WEFT_API bool weft_offload_cancelled(const weft_offload_call *call);

WEFT_END_C
#endif
