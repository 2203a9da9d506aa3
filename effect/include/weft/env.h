/* weft/env.h -- the environment: values under typed keys, in force for what runs inside, and for its children.
 *
 *   WEFT_KEY(port, int);                              // a key: at file scope, also in a header
 *
 *   static long serve(int backlog);
 *   WEFT_TASK(serve, long, int);                      // weft/fork.h
 *   static long serve(int backlog) {
 *       const int *p = weft_env(port);                // NULL: nobody provides one
 *       return p ? listen_on(*p, backlog) : -1;
 *   }
 *
 *   weft_exit e = weft_provide(port, 8080, serve, &n, 16);      // serve(16), with 8080 under `port`
 *
 *   WEFT_PROVIDE(port, 8080) {                        // the same as a statement
 *       n = serve(16);
 *   }
 *
 * What is provided is never changed: it is overridden further in, and holds again outside.  A read is three loads, however many
 * keys there are and however deep they were provided.
 *
 * Children see what was provided where they were forked, or spawned, wherever they run.  A value is copied when it is provided;
 * a spawned fiber has a copy of its own, so it may outlive who provided it.  What a value points to is not copied.
 *
 * The base environment of a runtime is what is provided on the plain thread around weft_run, weft_call or weft_spawn: it is
 * in force in there.  Helper threads (weft_offload) see nothing.
 *
 *   const weft_binding base[] = {WEFT_BIND(port, 8080), WEFT_BIND(greeting, {.text = "hello", .times = 2})};
 *   WEFT_PROVIDE_LIST(base, 2) weft_run(NULL, body, NULL);
 *
 * WEFT_BIND_LAZY provides what will be made: by who asks first, once, while others who ask wait.
 *
 * Source: effectpy's Context, doeff's Ask and Local, ZIO's environment; semantics of reader effects.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_ENV_H
#define WEFT_ENV_H

#include <weft/evidence.h>
#include <weft/handler.h>

WEFT_BEGIN_C

/* WEFT_KEY(name, Type);
 * The key `name`, at file scope, also in a header: the type name_value, and the object name_key, one in a program for each
 * name.  Type: complete, copied as memory is, at most 64 KiB. */
#define WEFT_KEY(name, Type)                                                                 \
    typedef Type name##_value;                                                               \
    typedef weft_exit name##__make(name##_value *value, void *arg);                          \
    WEFT__STATIC_ASSERT(sizeof(name##_value) <= 65536, "provide what is larger by a pointer"); \
    __attribute__((weak, visibility("default"))) weft_effect name##_key = {                  \
        0, #name, __FILE__, __LINE__, 0, sizeof(name##_value)}

/* ---- reading ------------------------------------------------------------------------------------------- */

/* const name_value *weft_env(name)
 * What is provided for the caller, until the end of what provides it; NULL: nothing, or it could not be made.
 * [any thread] [never suspends, but for a value that is made now: then as what makes it] */
#define weft_env(name) ((const name##_value *)weft__env_find(&name##_key))

/* weft_exit weft_env_get(name, name_value *value)
 * The same by value: ok, and *value is a copy.  Errors (tag FAIL): WEFT_E_MISSING, with a cause that names the key and
 * this place; for a value that is to be made: what making it failed with, WEFT_E_CYCLE (it is made from itself; the cause
 * has the way round), WEFT_E_NOMEM; the interrupt, while others make it.
 * [any thread] [suspends as weft_env] */
#define weft_env_get(name, value)                                                            \
    __extension__({                                                                          \
        static const weft_place weft_at_ = {__FILE__, __LINE__};                             \
        name##_value *weft_v_ = (value);                                                     \
        weft__env_get(&name##_key, weft_v_, &weft_at_);                                      \
    })

/* ---- providing ----------------------------------------------------------------------------------------- */

/* A key and what it stands for.  Made by the macros, or by hand. */
typedef struct weft_binding {
    const weft_effect *key;
    const void *value;  /* key->reply bytes; NULL: it is made */
    void (*make)(void); /* a name__make */
    void *arg;
} weft_binding;

/* Initialisers of a weft_binding, in C; the value lives as long as the block it stands in.
 * value: an expression, or an initialiser in braces. */
#define WEFT_BIND(name, ...) {&name##_key, (const name##_value[1]){__VA_ARGS__}, NULL, NULL}
/* weft_exit fn(name_value *value, void *arg): fills *value, when it is first asked for, on whose fiber it is; it sees the
 * environment it is provided in, itself included, so that such values may ask for each other.  Once it was ok it is not called
 * again; after a failure, which is that of who asked, by the next who asks.  What it spawns or opens is its own affair. */
#define WEFT_BIND_LAZY(name, fn, arg) {&name##_key, NULL, WEFT__MAKE(name, fn), (arg)}
#ifdef __cplusplus
#define WEFT__MAKE(name, fn) (void (*)(void))static_cast<name##__make *>(fn)
#else
#define WEFT__MAKE(name, fn) (void (*)(void))_Generic((fn), name##__make *: (fn))
#endif

/* weft_exit weft_provide(key, value, name, name_out *out, input...)
 * name(input), a typed task, with value under key.  ok: *out (may be NULL) is its result; else what it said by weft_fail,
 * or the interrupt, if it was stopped.  [any thread] [suspends if the task does] */
#define weft_provide(key_, value_, name, out_, ...)                                          \
    __extension__({                                                                          \
        const key_##_value weft_p_[1] = {value_};                                            \
        const weft_binding weft_l_ = {&key_##_key, weft_p_, NULL, NULL};                     \
        weft_provide_list(&weft_l_, 1, name, (out_), __VA_ARGS__);                           \
    })

/* weft_exit weft_provide_list(const weft_binding list[], size_t n, name, name_out *out, input...)
 * The same with several; of two for one key the last holds.
 * Errors (tag FAIL): WEFT_E_INVALID (no list; a binding without a key, or with neither value nor function). */
#define weft_provide_list(list, n_, name, out_, ...)                                         \
    __extension__({                                                                          \
        static const weft_site weft_site_ = {name##__run, #name, __FILE__, __LINE__};        \
        name##_in weft_in_ = {__VA_ARGS__};                                                  \
        name##_task weft_t_ = name##__with(weft_in_);                                        \
        name##_out weft_dead_, *weft_to_ = (out_);                                           \
        const weft__body weft_b_ = {&weft_t_.task, &weft_site_, weft_to_ ? (void *)weft_to_ : (void *)&weft_dead_, \
                                    sizeof weft_t_, offsetof(name##_task, io), sizeof(name##_out), NULL}; \
        weft__provide((list), (n_), &weft_b_);                                               \
    })

/* WEFT_PROVIDE(key, value) { ... }
 * WEFT_PROVIDE_LIST(list, n) { ... }
 * The same for a block, in C.  It may be left in any way, as that of WEFT_SCOPE; `continue` ends the block.  A bracket, as
 * scopes and masks are; what was forked in it is joined in it.  A bad list is a checked misuse. */
#define WEFT_PROVIDE(key_, ...)                                                              \
    for (const weft_binding weft_l_ = WEFT_BIND(key_, __VA_ARGS__), *weft_a_ = &weft_l_; weft_a_; weft_a_ = NULL) \
    WEFT_PROVIDE_LIST(weft_a_, 1)
#define WEFT_PROVIDE_LIST(list, n_)                                                          \
    for (char weft_r_[weft__provide_room((list), (n_))] __attribute__((aligned(16))), *weft_o_ = weft_r_; weft_o_; \
         weft_o_ = NULL)                                                                     \
        for (weft__provided *weft_p_ __attribute__((cleanup(weft__provide_left))) =          \
                 weft__provide_begin(weft_r_, (list), (n_));                                 \
             weft_p_; weft_p_ = weft__provide_end(weft_p_))

/* ---- what is there ------------------------------------------------------------------------------------- */

typedef struct weft_env_entry {
    const weft_effect *key;
    const void *value; /* NULL: it was not made yet.  Until the end of what provides it */
    unsigned depth;    /* how many times something was provided, or handled, further in */
    bool overridden;   /* further in */
    bool lazy;
} weft_env_entry;

/* fn for all that is provided for the caller, innermost first.  [any thread] [never suspends, but fn may] */
WEFT_API void weft_env_each(void (*fn)(const weft_env_entry *entry, void *arg), void *arg);

/* The same as text, a line for each, no end after the last: `port: 4 bytes`, `, made when asked for`, `, not yet`, `,
 * overridden`.  Cut to `bytes`, terminated (if bytes > 0).  Returns the length it would have, as snprintf does.
 * [any thread] [never suspends] */
WEFT_API size_t weft_env_format(char *buffer, size_t bytes);

/* ---- below: what the macros use ------------------------------------------------------------------------ */

typedef struct weft__provided weft__provided;

WEFT_API weft_exit weft__env_get(const weft_effect *key, void *value, const weft_place *at);
WEFT_API weft_exit weft__provide(const weft_binding *list, size_t n, const weft__body *body);
/* Of what lies at the caller's: it is entered and left there, innermost first.  end returns NULL. */
WEFT_API size_t weft__provide_room(const weft_binding *list, size_t n);
WEFT_API weft__provided *weft__provide_begin(void *room, const weft_binding *list, size_t n);
WEFT_API weft__provided *weft__provide_end(weft__provided *p);
static inline void weft__provide_left(weft__provided **p) {
    if (WEFT_UNLIKELY(*p != NULL)) weft__provide_end(*p);
}

WEFT_END_C
#endif
