/* tests/model/shadow/alloc/arch.h -- alloc/arch.h for the explorer: a spin waits for a change.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_ALLOC_ARCH_H
#define WEFT_ALLOC_ARCH_H

#include "tests/model/explorer/model.h"

static inline void arch_relax(void) { model_spin(); }

#endif
