/* weft/builtin.h -- effects that come with handlers: state, log, time, tasks, random numbers, failures.
 *
 *   WEFT_STATE(counter, long);                            // a key of the store, typed
 *
 *   static long count(int n);
 *   WEFT_TASK(count, long, int);
 *   static long count(int n) {
 *       long c = 0;
 *       for (int i = 0; i < n; i++) {
 *           if (!weft_must(weft_do_get(counter, &c))) return 0;
 *           weft_do_put(counter, c + 1);
 *       }
 *       weft_do_tell("counted to %ld", c + 1);
 *       return c + 1;
 *   }
 *
 * weft_do_x performs the effect weft_x.  A driver (weft/driver.h) brings handlers for all of them, a preset; another handler,
 * appended to the preset or further in, gives one of them another meaning, in a line:
 *
 *   static weft_exit noon(const weft_get_time_op *op, weft_time *now, void *self) { *now = weft_s(43200); return weft_done; }
 *   weft_handler handlers[] = {WEFT_SYNC_PRESET, WEFT_SHARED_HANDLER(NULL, WEFT_TAIL(weft_get_time, noon))};
 *
 * The store.  A fiber has one store: keys and their values, plain data.  What is put is seen at once; a failure that is caught
 * takes nothing back.  A fiber that is spawned starts with a snapshot of its spawner's: neither sees what the other puts
 * afterwards (what they are to share goes by reference).  A snapshot is one count; the first put to it copies.  A forked
 * child or a branch (weft_do_gather, weft_zip_par) is part of its fiber, taken by another worker or not, and has its fiber's
 * store: each get, put and modify is one step then, in no promised order.  So a program that only spawns, or only
 * reads in its branches, is the same on any number of workers.
 *
 * All of them return an exit (weft/exit.h): not ok is what the handler said, or {DIE, WEFT_E_UNHANDLED} where there is none.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_BUILTIN_H
#define WEFT_BUILTIN_H

#include <weft/handler.h>
#include <weft/par.h>
#include <weft/promise.h>
#include <weft/service.h>

WEFT_BEGIN_C

/* e is ok; or the caller's task fails with it, as weft_expect does, and the return is false:
 * `if (!weft_must(...)) return 0;`  [on a fiber] [never suspends] */
static inline bool weft_must(weft_exit e) {
    if (WEFT_LIKELY(weft_ok(e))) return true;
    weft__expect(e);
    return false;
}

/* This place in the source, static. */
#define WEFT_HERE                                                                            \
    __extension__({                                                                          \
        static const weft_place weft_here_ = {__FILE__, __LINE__};                           \
        &weft_here_;                                                                         \
    })
/* Performs it, with a place that its members may name. */
#define WEFT__DO(name, reply, ...)                                                           \
    __extension__({                                                                          \
        static const weft_place weft_at_ = {__FILE__, __LINE__};                             \
        name##_reply weft_nobody_, *weft_r_ = (reply);                                       \
        const name##_op weft_op_ = {__VA_ARGS__};                                            \
        weft__perform(&name##_effect, &weft_op_, weft_r_ ? weft_r_ : &weft_nobody_, &weft_at_); \
    })

/* What holds where an effect is performed, for a handler that starts work on the performer's behalf. */
static inline const struct weft__evidence *weft__under(void) {
    struct weft__fiber *f = weft__self();
    return f ? f->env : 0;
}

/* ---- state -------------------------------------------------------------------------------------------- */

/* A key: its address is its identity.  Made by WEFT_STATE. */
typedef struct weft_state {
    WEFT__ATOMIC(uint64_t) slot; /* 0: never put */
    const char *name, *file;
    int line;
    uint32_t bytes;
} weft_state;

/* WEFT_STATE(name, Type);
 * The key `name` of stores, at file scope, also in a header: the type name_value, the object name_state.  Values are copied as
 * bytes, at most 64 KiB.  Keys of one name are one key, in all of a program. */
#define WEFT_STATE(name, Type)                                                               \
    typedef Type name##_value;                                                               \
    WEFT__STATIC_ASSERT(sizeof(Type) <= 65536, "a value of the store is copied: put more than 64 KiB by reference"); \
    __attribute__((weak, visibility("default"))) weft_state name##_state = {0, #name, __FILE__, __LINE__, sizeof(Type)}

/* Changes a value in place; not ok: the value stays as it was.  Must neither suspend nor use the store; may be called again, if
 * another branch was faster. */
typedef weft_exit weft_modify_fn(void *value, void *arg);

WEFT_EFFECT(weft_get, char, const weft_state *key; void *to; const weft_place *at;);
WEFT_EFFECT(weft_put, char, const weft_state *key; const void *from; const weft_place *at;);
WEFT_EFFECT(weft_modify, char, const weft_state *key; weft_modify_fn *fn; void *arg; void *to; const weft_place *at;);

/* weft_exit weft_do_get(name, name_value *to)
 * {FAIL, WEFT_E_MISSING}: nothing was put, and the driver was given nothing.  [any thread] [never suspends] */
#define weft_do_get(name, to) WEFT__DO(weft_get, NULL, &name##_state, (name##_value *){to}, &weft_at_)

/* weft_exit weft_do_put(name, value)
 * Errors: WEFT_E_NOMEM (nothing is changed), WEFT_E_MISSING (no store: not under a driver). */
#define weft_do_put(name, ...)                                                               \
    __extension__({                                                                          \
        const name##_value weft_v_ = __VA_ARGS__;                                            \
        WEFT__DO(weft_put, NULL, &name##_state, &weft_v_, &weft_at_);                 \
    })

/* weft_exit weft_do_modify(name, weft_exit (*fn)(name_value *value, void *arg), void *arg, name_value *to)
 * Get, fn, put in one step; *to (may be NULL) is the new value.  Errors: of both; what fn returns. */
#define weft_do_modify(name, fn, arg, to)                                                    \
    __extension__({                                                                          \
        weft_exit (*weft_m_)(name##_value *, void *) = (fn);                                 \
        WEFT__DO(weft_modify, NULL, &name##_state, (weft_modify_fn *)(void (*)(void))weft_m_, (arg), \
                 (name##_value *){to}, &weft_at_);                                           \
    })

/* Of a reply that says nothing. */
static inline char *weft_none(void) { return 0; }

/* ---- log ---------------------------------------------------------------------------------------------- */

typedef struct weft_log_entry {
    struct weft_log_entry *next;
    const char *text;
    weft_time time; /* on the runtime's clock */
    uint64_t fiber; /* id of the spawned fiber that told it, 0: none */
    weft_place at;
} weft_log_entry;

/* Entries in the order in which they were told; zero: none. */
typedef struct weft_log {
    weft_log_entry *first, *last;
    size_t n;
} weft_log;

/* Frees the entries, which are the caller's.  [any thread] [never suspends] */
WEFT_API void weft_log_free(weft_log *log);

WEFT_EFFECT(weft_tell, char, const char *text; const weft_place *at;);

/* weft_exit weft_do_tell(format, ...)
 * Adds a text, made as printf makes it and cut to 511 bytes, to the run's log; fibers and branches of a run have one log.
 * Errors: WEFT_E_NOMEM, WEFT_E_MISSING (not under a driver).  [any thread] [never suspends] */
#define weft_do_tell(...) weft__tell(WEFT_HERE, __VA_ARGS__)
__attribute__((format(printf, 2, 3))) WEFT_API weft_exit weft__tell(const weft_place *at, const char *format, ...);

/* weft_exit weft_do_listen(weft_log *log, name, name_out *out, input...)
 * name(input), a typed task, and in *log, which the caller frees, copies of what it told, its children and what it spawned
 * included, until it returned.  The entries are in the log all the same, and an outer listener hears them, too.
 * Returns as weft_handle does; not ok: *log is empty.  Errors: also WEFT_E_NOMEM, WEFT_E_MISSING (not under a driver).
 * [on a fiber] [suspends if name does] */
#define weft_do_listen(log, name, out_, ...) WEFT__BODY(weft__listen((log), &weft_b_), name, out_, __VA_ARGS__)

/* weft_exit weft_do_safe(name, name_out *out, input...)
 * name(input), and how it ended, as a value: the caller goes on.  What it put stays put.  An interrupt is returned, too, and is
 * noticed again by the caller's next cancellation point.
 * [any thread] [suspends if name does] */
#define weft_do_safe(name, out_, ...) WEFT__BODY(weft__handle(0, 0, &weft_b_), name, out_, __VA_ARGS__)

#define WEFT__BODY(call, name, out_, ...)                                                    \
    __extension__({                                                                          \
        static const weft_site weft_site_ = {name##__run, #name, __FILE__, __LINE__};        \
        name##_in weft_in_ = {__VA_ARGS__};                                                  \
        name##_task weft_t_ = name##__with(weft_in_);                                        \
        name##_out weft_dead_, *weft_to_ = (out_);                                           \
        const weft__body weft_b_ = {&weft_t_.task, &weft_site_, weft_to_ ? weft_to_ : &weft_dead_, sizeof weft_t_, \
                                    offsetof(name##_task, io), sizeof(name##_out), 0};       \
        call;                                                                                \
    })
WEFT_API weft_exit weft__listen(weft_log *log, const weft__body *body);

/* ---- the environment ---------------------------------------------------------------------------------- */

WEFT_EFFECT(weft_ask, char, const weft_effect *key; void *to; const weft_place *at; const struct weft__evidence *under;);

/* weft_exit weft_do_ask(key, key_value *to)
 * What is provided under a key of the environment (weft/env.h): by the driver, or further in.  Errors: as weft_env_get.
 * [any thread] [suspends if the value is to be made] */
#define weft_do_ask(name, to) WEFT__DO(weft_ask, NULL, &name##_key, (name##_value *){to}, &weft_at_, weft__under())

/* weft_exit weft_do_local(key, value, name, name_out *out, input...)
 * name(input), with another value under the key, which holds again afterwards, however it ends; the store is not touched.
 * It is weft_provide. */
#define weft_do_local(...) weft_provide(__VA_ARGS__)

/* ---- time --------------------------------------------------------------------------------------------- */

/* Put or given under this key: what weft_do_get_time says, whatever the clock does.  Else time is that of the clock that is
 * provided (weft/service.h), or the runtime's. */
WEFT_STATE(weft_current_time, weft_time);

WEFT_EFFECT(weft_delay, char, weft_duration d; const weft_place *at; const struct weft__evidence *under;);
WEFT_EFFECT(weft_wait_until, char, weft_time t; const weft_place *at; const struct weft__evidence *under;);
WEFT_EFFECT(weft_get_time, weft_time, const weft_place *at; const struct weft__evidence *under;);

/* Others run meanwhile.  Errors: WEFT_E_INVALID (negative).  [any thread] [suspends: cancellation point] */
#define weft_do_delay(d) WEFT__DO(weft_delay, NULL, (d), &weft_at_, weft__under())
/* A time of the runtime's clock, as weft_do_get_time gives it; in the past: at once.
 * [any thread] [suspends: cancellation point] */
#define weft_do_wait_until(t) WEFT__DO(weft_wait_until, NULL, (t), &weft_at_, weft__under())
/* weft_exit weft_do_get_time(weft_time *now)  [any thread] [never suspends] */
#define weft_do_get_time(now) WEFT__DO(weft_get_time, (weft_time *){now}, &weft_at_, weft__under())

/* ---- tasks -------------------------------------------------------------------------------------------- */

WEFT_EFFECT(weft_spawn, char, const weft_site *site; const void *input; uint32_t at, input_bytes, bytes;
            const weft_spawn_options *options; weft_handle *handle; const struct weft__evidence *under;);
WEFT_EFFECT(weft_wait, char, weft_handle handle; void *out; uint32_t at, bytes;);
WEFT_EFFECT(weft_gather, char, weft_branch *branches; size_t n; const weft_par_options *options;
            const struct weft__evidence *under;);
WEFT_EFFECT(weft_race, char, size_t *who; weft_branch *branches; size_t n; const weft_par_options *options;
            const struct weft__evidence *under;);
WEFT_EFFECT(weft_cancel, bool, weft_handle handle; const char *reason; const weft_place *at;);
WEFT_EFFECT(weft_is_done, bool, weft_handle handle;);
WEFT_EFFECT(weft_await, char, weft_promise *promise; void **value;);
WEFT_EFFECT(weft_blocking, char, weft_offload_fn *fn; void *arg; void **result; void (*drop)(void *result););

/* weft_exit weft_do_spawn(name_fiber *f, name, input...)
 * As weft_spawn (weft/fiber.h): with the handle in *f, which is dropped by weft_drop, or with the run.  A handler may refuse.
 * [on a fiber] [may suspend: when max_fibers is reached] */
#define weft_do_spawn(f, name, ...)                                                          \
    __extension__({                                                                          \
        static const weft_site weft_site_ = {name##__run, #name, __FILE__, __LINE__};        \
        const name##_in weft_in_ = {__VA_ARGS__};                                            \
        name##_fiber *weft_f_ = (f);                                                         \
        WEFT__DO(weft_spawn, NULL, &weft_site_, &weft_in_, offsetof(name##_task, io), sizeof weft_in_, \
                 sizeof(name##_task), 0, weft_f_ ? &weft_f_->handle : 0, weft__under());     \
    })

/* weft_exit weft_do_wait(name_fiber f, name, name_out *out)
 * The exit of the fiber, and its value, once it has ended: any number of times, by any number.  A fiber that was cancelled is
 * {INTERRUPT, WEFT_E_CANCELLED}, and who waits goes on.  Errors: as weft_await.  [any thread] [suspends: cancellation point] */
#define weft_do_wait(f, name, out)                                                           \
    WEFT__DO(weft_wait, NULL, (f).handle, (name##_out *){out}, offsetof(name##_task, io), sizeof(name##_out))

/* weft_exit weft_do_gather(branches...), weft_do_race(size_t *who, branches...)
 * As weft_zip_par and weft_race (weft/par.h).  [any thread] [suspends: cancellation point] */
#define weft_do_gather(...) \
    WEFT__PAR(WEFT__DO(weft_gather, NULL, weft_b_, weft_n_, 0, weft__under()), __VA_ARGS__)
#define weft_do_race(who, ...) \
    WEFT__PAR(WEFT__DO(weft_race, NULL, (who), weft_b_, weft_n_, 0, weft__under()), __VA_ARGS__)

/* weft_exit weft_do_cancel(name_fiber f, const char *reason, bool *was_pending)
 * Asks it to stop, and does not wait: who waits for it is woken when it has ended.  was_pending: it had not ended.
 * Errors: WEFT_E_STALE.  [any thread] [never suspends] */
#define weft_do_cancel(f, reason, was_pending) \
    WEFT__DO(weft_cancel, (bool *){was_pending}, (f).handle, (reason), &weft_at_)
/* weft_exit weft_do_is_done(name_fiber f, bool *done)  [any thread] [never suspends] */
#define weft_do_is_done(f, done) WEFT__DO(weft_is_done, (bool *){done}, (f).handle)

/* weft_exit weft_do_await(weft_promise *p, void **value): as weft_promise_await, for what somebody else will provide.
 * weft_exit weft_do_blocking(weft_offload_fn *fn, void *arg, void **result, void (*drop)(void *)): as weft_offload, for a
 * call that blocks a thread; the others run meanwhile.  [any thread] [suspends: cancellation point] */
#define weft_do_await(p, value) WEFT__DO(weft_await, NULL, (p), (value))
#define weft_do_blocking(fn, arg, result, drop) WEFT__DO(weft_blocking, NULL, (fn), (arg), (result), (drop))

/* ---- random numbers, failures -------------------------------------------------------------------------- */

WEFT_EFFECT(weft_random, uint64_t, const weft_place *at; const struct weft__evidence *under;);
WEFT_EFFECT(weft_fail, char, weft_exit exit;);

/* weft_exit weft_do_random(uint64_t *number)
 * Of the service that is provided (weft/service.h); else by the seed of the run, and of each spawned fiber its own sequence,
 * whoever is faster.  Errors: WEFT_E_MISSING (not under a
 * driver).  [any thread] [never suspends] */
#define weft_do_random(number) WEFT__DO(weft_random, (uint64_t *){number}, &weft_at_, weft__under())

/* weft_exit weft_do_fail(int code, const char *text)
 * As weft_fail (weft/exit.h), unless a handler decides otherwise: ok, if it does.  text: a literal. */
#define weft_do_fail(code_, text_)                                                           \
    __extension__({                                                                          \
        static const weft_cause weft_why_ = WEFT__CAUSE_STATIC(WEFT_CAUSE_FAIL, text_);      \
        WEFT__DO(weft_fail, NULL, {WEFT_EXIT_FAIL, (code_), &weft_why_});             \
    })

/* ---- presets ------------------------------------------------------------------------------------------- */

/* Elements of an array of handlers, the first the outermost: those of a kind, and all.  The effects mean the same on both
 * executors, since there is one way to wait and one clock; so both presets are the same list. */
#define WEFT_STATE_HANDLER WEFT__PRESET(state, 3)
#define WEFT_LOG_HANDLER WEFT__PRESET(log, 1)
#define WEFT_TIME_HANDLER WEFT__PRESET(time, 3)
#define WEFT_TASKS_HANDLER WEFT__PRESET(tasks, 8)
#define WEFT_RANDOM_HANDLER WEFT__PRESET(random, 1)
#define WEFT_FAIL_HANDLER WEFT__PRESET(fail, 1)
#define WEFT_ASK_HANDLER WEFT__PRESET(ask, 1)
#define WEFT_SYNC_PRESET                                                                     \
    WEFT_FAIL_HANDLER, WEFT_RANDOM_HANDLER, WEFT_ASK_HANDLER, WEFT_TASKS_HANDLER, WEFT_TIME_HANDLER, WEFT_LOG_HANDLER, \
        WEFT_STATE_HANDLER
#define WEFT_ASYNC_PRESET WEFT_SYNC_PRESET

#define WEFT__PRESET(kind, n_) {weft__clauses_##kind, n_, 0, 0, #kind, {__FILE__, __LINE__}, true}
WEFT_API extern const weft_clause weft__clauses_state[3], weft__clauses_log[1], weft__clauses_time[3], weft__clauses_tasks[8],
    weft__clauses_random[1], weft__clauses_fail[1], weft__clauses_ask[1];

WEFT_END_C
#endif
