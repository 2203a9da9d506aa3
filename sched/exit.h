/* sched/exit.h -- an exit in one word, for the way from a stolen child to its parent.
 *
 * {code:16 | cause:48}: causes are static objects below 2^47, codes at most WEFT_CODE_MAX.  0 is success.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_EXIT_H
#define WEFT_SCHED_EXIT_H

#include <weft/exit.h>

static inline uint64_t exit_pack(weft_exit e) {
    return weft_ok(e) ? 0 : (uint64_t)(uint32_t)e.code << 48 | (uint64_t)(uintptr_t)e.cause;
}

static inline weft_exit exit_unpack(uint64_t word) {
    const weft_cause *cause = (const weft_cause *)(uintptr_t)(word & ((UINT64_C(1) << 48) - 1));
    return (weft_exit){word ? WEFT_EXIT_FAIL : WEFT_EXIT_OK, (int32_t)(word >> 48), cause};
}

#endif
