/* weft/eff_env.h -- effects and the environment: asking for a value, and providing values for an effect.
 *
 *   eff_long all = weft_eff_local(eff_long, weft_eff_map(eff_long, weft_eff_ask(eff_int, port), twice), &values);
 *
 * Source: doeff's Ask and Local, effectpy's provide.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EFF_ENV_H
#define WEFT_EFF_ENV_H

#include <weft/eff.h>
#include <weft/layer.h>

WEFT_BEGIN_C

/* E weft_eff_ask(E, key): what is provided under key where the effect runs (weft_env_get); else it fails as that does.  E
 * gives a key_value. */
#define weft_eff_ask(E, key)                                                                 \
    WEFT__EFF_LEAF(E, WEFT__EFF_CALL, #key, .data = sizeof(weft__eff_question) + WEFT__EFF_GIVES(E, key##_value), \
                   .u.leaf = {.each = weft__eff_ask, .with = &(const weft__eff_question){&key##_key, {__FILE__, __LINE__}}})

/* E weft_eff_local(E, e, const weft_built *values): e with a list of values in force; the list, and what it points to,
 * lives as long as the effect is used.  Fails also with WEFT_E_NOMEM, WEFT_E_INVALID (a bad list). */
#define weft_eff_local(E, e, values) \
    WEFT__EFF_BRACKET(E, e, "local", weft__eff_local_enter, weft__eff_local_leave, weft_built, values)

/* E weft_eff_provide_layer(E, e, const weft_layer *l): e with what l gives, built when it runs and released when it has
 * ended, as by weft_provide_layer.  l lives as long as the effect is used. */
#define weft_eff_provide_layer(E, e, l) \
    WEFT__EFF_BRACKET(E, e, "layer", weft__eff_layer_enter, weft__eff_layer_leave, weft_layer, l)

/* ---- below: what the macros use ------------------------------------------------------------------------ */

#define WEFT__EFF_BRACKET(E, e, name, enter, leave, T, p) \
    weft_eff_provide(E, e, name, &((weft_eff_provider){enter, leave, (void *)(uintptr_t)(const T *){p}, true}))

typedef struct weft__eff_question {
    const weft_effect *key;
    weft_place at;
} weft__eff_question;

WEFT_API void weft__eff_ask(const void *questions, void *values, size_t i);
WEFT_API weft_exit weft__eff_local_enter(void *values, void **state);
WEFT_API weft_exit weft__eff_local_leave(void *values, void *state, weft_exit e);
WEFT_API weft_exit weft__eff_layer_enter(void *layer, void **state);
WEFT_API weft_exit weft__eff_layer_leave(void *layer, void *state, weft_exit e);

WEFT_END_C
#endif
