/* weft/layer.h -- layers: how values of the environment come into being, in what order, and how they go.
 *
 *   static weft_exit open_config(config_value *c, void *arg);
 *   static weft_exit open_store(store_value *s, void *arg);    // may ask for weft_env(config)
 *   static weft_exit close_store(store_value *s, void *arg);
 *
 *   static const weft_layer config_file = WEFT_LAYER(config, open_config, NULL);
 *   static const weft_layer disk = WEFT_LAYER(store, open_store, close_store, WEFT_NEEDS(&config_file));
 *   static const weft_layer mail = WEFT_LAYER(mailer, open_mailer, close_mailer, WEFT_NEEDS(&config_file));
 *
 *   weft_exit e = weft_provide_layer(weft_layer_both(&disk, &mail), serve, &n, 8080);
 *
 *   WEFT_LAYER             one key: acquire makes its value, release ends it
 *   WEFT_LAYER_VALUE       one key: a value that is there
 *   weft_layer_plus        one after the other, each sees those before
 *   weft_layer_both        at once, none sees another
 *
 * A layer is a description, and a value: it may be built any number of times.  In one build each layer, known by its address,
 * is built once, however many need it: above, config_file.  One that is in a build in several places is built where it is
 * come to first, so a layer should name what it needs (WEFT_NEEDS) rather than stand behind it by chance.
 *
 * acquire runs masked, as that of weft_acquire (weft/scope.h), and sees what is provided where the build is, and of the build
 * what it needs, and what the layers around it say that it sees.  release sees the same, and runs shielded, with a budget.
 *
 * What an acquire spawns belongs to the build, which waits for it, or to its scope, which waits before it releases anything.
 * So a fiber that shall run as long as the layer is spawned .detached (weft/fiber.h), and release interrupts it.
 *
 * A build that fails, or is interrupted, has released all that it had acquired before it returns; those that are being
 * acquired at once are waited for.  Releases run one after the other, the last acquired first: so nothing goes before what
 * needed it.  What a release fails with is attached (WEFT_CAUSE_THEN); the others run all the same.
 *
 * Source: effectpy's Layer, ZIO's ZLayer.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_LAYER_H
#define WEFT_LAYER_H

#include <weft/env.h>
#include <weft/scope.h>

WEFT_BEGIN_C

enum { WEFT__LEAF, WEFT__PLUS, WEFT__BOTH };

/* Made by the macros, in C.  What it points to lives as long as it is used. */
typedef struct weft_layer {
    uint32_t kind;
    const weft_effect *key;
    const void *value; /* or NULL: acquired */
    void (*acquire)(void), (*release)(void); /* release: or NULL */
    void *arg;               /* of both */
    weft_duration budget;    /* the time release may take before it is interrupted; 0: any */
    const char *name;        /* in causes; NULL: the key's */
    const struct weft_layer *const *of; /* what it needs; or its parts */
    size_t n;
    weft_place at;
} weft_layer;

/* How deep layers may be nested, needs and parts alike. */
enum { WEFT_LAYER_DEPTH_MAX = 64 };

/* WEFT_LAYER(key, acquire, release, members...)
 * Initialiser of a weft_layer; what it points to lives as long as the block it stands in, outside of functions as the
 * program (so in a function the layer is not static).  weft_exit acquire(name_value *value, void *arg): fills *value.
 * weft_exit release(name_value *value, void *arg).  Both may suspend, and fail, also by weft_fail.  members: .arg = ,
 * .budget = , .name = , WEFT_NEEDS(layers...). */
#define WEFT_LAYER(key_, acquire_, release_, ...)                                            \
    {.kind = WEFT__LEAF, .key = &key_##_key, .acquire = WEFT__MAKE(key_, acquire_),          \
     .release = (void (*)(void))_Generic((release_), key_##__make *: (release_), void *: (release_)), \
     .at = {__FILE__, __LINE__}, __VA_ARGS__}
/* Pointers to the layers that it needs, built before it, at once; they are seen by it alone. */
#define WEFT_NEEDS(...) .of = (const weft_layer *const[]){__VA_ARGS__}, .n = WEFT__LAYERS(__VA_ARGS__)
/* value: an expression, or an initialiser in braces. */
#define WEFT_LAYER_VALUE(key_, ...) \
    {.kind = WEFT__LEAF, .key = &key_##_key, .value = (const key_##_value[1]){__VA_ARGS__}, .at = {__FILE__, __LINE__}}

/* const weft_layer *weft_layer_plus(layers...)     pointers to layers
 * The first, then the second, which sees what the first gives, and so on.  It gives what they all give; of two values for
 * one key the later holds.  One that fails is the end: those before it are released.  A literal: it lives as long as the
 * block it stands in, outside of functions as the program. */
#define weft_layer_plus(...) WEFT__LAYER_OF(WEFT__PLUS, "plus", __VA_ARGS__)
/* const weft_layer *weft_layer_both(layers...)
 * All at once.  If one fails the others are waited for, and what they acquired is released; the failure is that of the
 * first in the order of the arguments, with the others attached.  Of two values for one key that of the later argument
 * holds. */
#define weft_layer_both(...) WEFT__LAYER_OF(WEFT__BOTH, "both", __VA_ARGS__)

#define WEFT__LAYERS(...) (sizeof((const weft_layer *const[]){__VA_ARGS__}) / sizeof(const weft_layer *))
#define WEFT__LAYER_OF(kind_, name_, ...)                                                    \
    (&(const weft_layer){.kind = kind_, .name = name_, .of = (const weft_layer *const[]){__VA_ARGS__}, \
                         .n = WEFT__LAYERS(__VA_ARGS__), .at = {__FILE__, __LINE__}})

/* A copy of the layer, and of its list, but not of what is in the list, in the arena of s: for a layer that is put together
 * in a function that returns it.  It is another layer than l.  NULL: no memory.  [the scope's owner] [never suspends] */
WEFT_API const weft_layer *weft_layer_keep(weft_scope *s, const weft_layer *l);

/* What a build gives: a list for weft_provide_list and WEFT_PROVIDE_LIST. */
typedef struct weft_built {
    const weft_binding *list;
    size_t n;
} weft_built;

/* Build l into the scope: ok, and *built is there until the finalizers of s run, which release all of it.
 *
 *   WEFT_SCOPE(s, &e) {
 *       weft_built b;
 *       if (weft_ok(weft_layer_build(s, app, &b)))
 *           WEFT_PROVIDE_LIST(b.list, b.n) serve(8080);
 *   }
 *
 * Errors (tag FAIL): what an acquire failed with; WEFT_E_CYCLE (a layer needs itself: the cause has the names on the way round;
 * nothing was acquired), WEFT_E_LIMIT (WEFT_LAYER_DEPTH_MAX), WEFT_E_INVALID (a layer that is none), WEFT_E_NOMEM,
 * WEFT_E_ENDED (the scope is closed).  INTERRUPT: the caller was asked to stop.
 * [while the scope is open] [suspends: cancellation point] */
WEFT_API weft_exit weft_layer_build(weft_scope *s, const weft_layer *l, weft_built *built);

/* weft_exit weft_provide_layer(const weft_layer *l, name, name_out *out, input...)
 * name(input), a typed task, with what l gives, which is released when it has returned.  ok: *out (may be NULL) is its result.
 * Else what building failed with; what the task said by weft_fail; what a release failed with, attached to that; or the
 * interrupt.
 * [any thread] [suspends: cancellation point] */
#define weft_provide_layer(l, name, out_, ...)                                               \
    __extension__({                                                                          \
        static const weft_site weft_site_ = {name##__run, #name, __FILE__, __LINE__};        \
        name##_in weft_in_ = {__VA_ARGS__};                                                  \
        name##_task weft_t_ = name##__with(weft_in_);                                        \
        name##_out weft_dead_, *weft_to_ = (out_);                                           \
        const weft__body weft_b_ = {&weft_t_.task, &weft_site_, weft_to_ ? (void *)weft_to_ : (void *)&weft_dead_, \
                                    sizeof weft_t_, offsetof(name##_task, io), sizeof(name##_out), NULL}; \
        weft__provide_layer((l), &weft_b_);                                                  \
    })

/* ---- below: what the macros use ------------------------------------------------------------------------ */

WEFT_API weft_exit weft__provide_layer(const weft_layer *l, const weft__body *body);

WEFT_END_C
#endif
