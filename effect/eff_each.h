/* effect/eff_each.h -- what a parallel loop of effects goes through.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EFFECT_EFF_EACH_H
#define WEFT_EFFECT_EFF_EACH_H
#include <weft/eff.h>
#endif
