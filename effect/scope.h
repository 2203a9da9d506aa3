/* effect/scope.h -- scopes, for other files of this folder.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EFFECT_SCOPE_H
#define WEFT_EFFECT_SCOPE_H

#include <weft/scope.h>

/* End the scope of a timeout, on a fiber.  True: what was done in it ended as e, and that counts; else *of_scope does, whose cause is
 * held. */
bool weft__timeout_counts(weft_scope *s, weft_exit e, weft_exit *of_scope);

/* Nothing can be begun in it any more: what is deferred now runs at once. */
bool weft__scope_is_closed(weft_scope *s);

#endif
