/* alloc/mix.h -- a bijection of 64-bit words in which each bit of the result depends on each of the argument: for random
 * numbers (of a counter) and names (of what they are made of).  Not for keys that somebody else chooses.
 * Source: splitmix64, Steele, Lea, Flood, OOPSLA 2014.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_ALLOC_MIX_H
#define WEFT_ALLOC_MIX_H

#include <stdint.h>

static inline uint64_t mixed(uint64_t x) {
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* The next of the sequence that *state, any number, began. */
static inline uint64_t mixed_next(uint64_t *state) { return mixed(*state += UINT64_C(0x9e3779b97f4a7c15)); }

#endif
