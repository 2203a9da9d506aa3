/* weft/driver.h -- drivers: run a program of effects to its end, and say all that is known about it.
 *
 *   weft_result *r = weft_run_sync(count, WEFT_WITH(WEFT_STORE(WEFT_SET(counter, 0))), 10);
 *   long n;
 *   if (weft_ok(weft_result_value(r, count, &n))) printf("%ld\n", n);
 *   else fputs(weft_result_format(r, true, text, sizeof text), stderr);
 *   weft_result_free(r);
 *
 * A program is a typed task (weft/fork.h) that performs effects.  Three drivers run the same program:
 *
 *   weft_run_sync    on the deterministic executor, on the caller's thread: the same order each time, decided by a seed
 *   weft_run_async   on worker threads, with work stealing
 *   weft_run_inside  on the caller's runtime, whatever it is: in a WEFT_TEST, or where there is one anyway
 *
 * The program runs as a fiber of its name under the handlers, in a scope: what it spawns has ended when the driver returns, a
 * failure of a fiber concerns who waits for it and nobody else.  A driver always returns a result; what the program did wrong
 * is in it: a failure, a defect, an unhandled effect (of the task that performed it, whether or not it looked), a deadlock with
 * the list of those that wait.  A runtime inside of a runtime is refused: weft_run_sync and weft_run_async on a fiber give
 * {FAIL, WEFT_E_INSIDE}.
 *
 * Source: doeff's sync_run, async_run and RuntimeResult.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_DRIVER_H
#define WEFT_DRIVER_H

#include <weft/builtin.h>
#include <weft/eff.h>
#include <weft/runtime.h>

WEFT_BEGIN_C

/* A value for the store to begin with. */
typedef struct weft_setting {
    const weft_state *key;
    const void *value;
} weft_setting;
#define WEFT_SET(name, ...) {&name##_state, (const name##_value[1]){__VA_ARGS__}}

/* Zero means default everywhere. */
typedef struct weft_run_with {
    const weft_handler *handlers; /* the first is the outermost; NULL: the preset */
    size_t n_handlers;
    const weft_binding *env; /* around the handlers (weft/env.h) */
    size_t n_env;
    const weft_setting *store;
    size_t n_store;
    bool trace;           /* the call tree: each effect that is performed is counted, and no longer a plain call */
    uint64_t seed;        /* of random numbers; sync: also of the order, unless 0: then first come, first served */
    weft_clock clock;     /* not for weft_run_inside */
    unsigned workers;     /* async; 0: one per CPU */
    weft_explore explore; /* sync: the strategy */
    const char *schedule; /* sync: replay this one */
    size_t stack_bytes, max_fibers; /* as in weft_options */
    weft_unobserved_fn *on_unobserved; /* a fiber's failure that nobody looked at; not for weft_run_inside */
    void *hook_arg;
} weft_run_with;

/* WEFT_WITH(fields...), among them WEFT_HANDLERS(handlers...), WEFT_ENV(bindings...), WEFT_STORE(settings...): the second
 * argument of a driver. */
#define WEFT_WITH(...) (&(const weft_run_with){__VA_ARGS__})
#define WEFT_HANDLERS(...)                                                                   \
    .handlers = (const weft_handler[]){__VA_ARGS__},                                         \
    .n_handlers = sizeof((const weft_handler[]){__VA_ARGS__}) / sizeof(weft_handler)
#define WEFT_ENV(...)                                                                        \
    .env = (const weft_binding[]){__VA_ARGS__}, .n_env = sizeof((const weft_binding[]){__VA_ARGS__}) / sizeof(weft_binding)
#define WEFT_STORE(...)                                                                      \
    .store = (const weft_setting[]){__VA_ARGS__}, .n_store = sizeof((const weft_setting[]){__VA_ARGS__}) / sizeof(weft_setting)

typedef struct weft_result weft_result;

/* weft_result *weft_run_sync(name, const weft_run_with *with, input...)
 * weft_result *weft_run_async(name, const weft_run_with *with, input...)
 * weft_result *weft_run_inside(name, const weft_run_with *with, input...)
 * name(input), a typed task, to its end.  with may be NULL.  Never NULL: the caller frees it.
 * sync, async: [plain thread] [blocks the thread]; inside: [on a fiber] [suspends: cancellation point]
 * Errors, as the result's: those of weft_run; WEFT_E_INSIDE; WEFT_E_NOMEM; inside: WEFT_E_INVALID (on a plain thread). */
#define weft_run_sync(name, with, ...) WEFT__DRIVE(WEFT__SYNC, name, with, __VA_ARGS__)
#define weft_run_async(name, with, ...) WEFT__DRIVE(WEFT__ASYNC, name, with, __VA_ARGS__)
#define weft_run_inside(name, with, ...) WEFT__DRIVE(WEFT__INSIDE, name, with, __VA_ARGS__)

/* weft_result *weft_run_sync_eff(E e, const weft_run_with *with), _async_eff, _inside_eff
 * The same for an effect value (weft/eff.h), whose functions and tasks perform effects.  What was pending in it when it
 * failed is part of the result's continuation. */
#define weft_run_sync_eff(e, with) WEFT__DRIVE_EFF(WEFT__SYNC, e, with)
#define weft_run_async_eff(e, with) WEFT__DRIVE_EFF(WEFT__ASYNC, e, with)
#define weft_run_inside_eff(e, with) WEFT__DRIVE_EFF(WEFT__INSIDE, e, with)

/* ---- results: all below [any thread] [never suspends] -------------------------------------------------- */

WEFT_API bool weft_result_is_ok(const weft_result *r);
WEFT_API bool weft_result_is_err(const weft_result *r);
/* How the program ended; ok if it ended well.  Its cause lives as long as the result. */
WEFT_API weft_exit weft_result_error(const weft_result *r);

/* weft_exit weft_result_value(r, name, name_out *to)
 * ok: the program's value.  Else the error, and *to is not touched.  WEFT_E_INVALID: the result is not of this task. */
#define weft_result_value(r, name, to) \
    weft__result_value((r), #name, sizeof(name##_out), (name##_out *){to})

/* weft_exit weft_result_value_eff(r, T *to): that of an effect value. */
#define weft_result_value_eff(r, to) weft__result_value((r), 0, sizeof *(to), (to))

/* weft_exit weft_result_get(r, key, key_value *to)
 * What the program's fiber had in its store at the end.  {FAIL, WEFT_E_MISSING}: nothing. */
#define weft_result_get(r, key, to) weft__result_get((r), &key##_state, (key##_value *){to})

/* weft_exit weft_result_ask(r, key, key_value *to)
 * What the program had in its environment; what was never asked for was not made.  {FAIL, WEFT_E_MISSING}: nothing. */
#define weft_result_ask(r, key, to) weft__result_ask((r), &key##_key, (key##_value *){to})

/* What was told, in order; lives as long as the result.  Of weft_run_inside: to be looked at when detached fibers have ended,
 * too. */
WEFT_API const weft_log *weft_result_log(const weft_result *r);

/* Texts.  Each is cut to `bytes` and terminated; returns buffer.
 *   continuation   where the failure was made: the fiber, and the handlers and scopes in force there, innermost first
 *   effects        the call tree: fibers and the effects they performed, how often, and where it failed; of a run that was
 *                  not traced only the way to the failure
 *   places         file:line of the failure and what led to it, innermost first
 *   format         short: the error, where, and who; verbose: all of the above, the environment, the store, the log */
WEFT_API char *weft_result_continuation(const weft_result *r, char *buffer, size_t bytes);
WEFT_API char *weft_result_effects(const weft_result *r, char *buffer, size_t bytes);
WEFT_API char *weft_result_places(const weft_result *r, char *buffer, size_t bytes);
WEFT_API char *weft_result_format(const weft_result *r, bool verbose, char *buffer, size_t bytes);

/* NULL is ignored. */
WEFT_API void weft_result_free(weft_result *r);

/* ---- below: what the macros use ----------------------------------------------------------------------- */

enum { WEFT__SYNC, WEFT__ASYNC, WEFT__INSIDE };

#define WEFT__DRIVE(how, name, with, ...)                                                    \
    __extension__({                                                                          \
        static const weft_site weft_site_ = {name##__run, #name, __FILE__, __LINE__};        \
        name##_in weft_in_ = {__VA_ARGS__};                                                  \
        name##_task weft_t_ = name##__with(weft_in_);                                        \
        const weft__body weft_b_ = {&weft_t_.task, &weft_site_, 0, sizeof weft_t_, offsetof(name##_task, io), \
                                    sizeof(name##_out), 0};                                  \
        weft__drive(how, (with), &weft_b_);                                                  \
    })
#define WEFT__DRIVE_EFF(how, e, with)                                                        \
    __extension__({                                                                          \
        static const weft_site weft_site_ = {weft__eff_program, "effect", __FILE__, __LINE__}; \
        __typeof__(e) weft_e_ = (e);                                                         \
        weft__drive_eff(how, (with), weft_e_.ref, sizeof *weft_e_.ty, &weft_site_);          \
    })
WEFT_API void weft__eff_program(weft_task *task, weft_head head);
WEFT_API weft_result *weft__drive_eff(int how, const weft_run_with *with, uintptr_t ref, size_t bytes, const weft_site *site);
WEFT_API weft_result *weft__drive(int how, const weft_run_with *with, const weft__body *program);
WEFT_API weft_exit weft__result_value(const weft_result *r, const char *name, size_t bytes, void *to);
WEFT_API weft_exit weft__result_ask(const weft_result *r, const weft_effect *key, void *to);
WEFT_API weft_exit weft__result_get(const weft_result *r, const weft_state *key, void *to);

WEFT_END_C
#endif
