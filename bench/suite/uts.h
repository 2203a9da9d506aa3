/* bench/suite/uts.h -- the unbalanced tree search: a node, its children.
 *
 * T1 of the benchmark's published sample trees: geometric, fixed branching factor 4, depth limit 10, root
 * seed 19.  A node is a 20-byte SHA-1 state.  The root's is the digest of 16 zero bytes and the seed; child
 * i's is the digest of the parent's state and i (32-bit big-endian, both).  The last word of the state,
 * without its sign bit, is the random number that says how many children the node has: geometric with
 * mean 4, none at the depth limit.
 *
 * Source: S. Olivier and others, "UTS: An Unbalanced Tree Search Benchmark", LCPC 2006.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef BENCH_UTS_H
#define BENCH_UTS_H

#include <math.h>
#include <nettle/sha1.h>
#include <stdint.h>
#include <string.h>

enum { UTS_BRANCHING = 4, UTS_SEED = 19, UTS_CHILDREN_MAX = 100 };

typedef struct uts_node {
    uint8_t state[SHA1_DIGEST_SIZE];
    int32_t depth;
} uts_node;

static inline void uts_big_endian(uint8_t *out, uint32_t v) {
    for (int i = 0; i < 4; i++) out[i] = (uint8_t)(v >> (24 - 8 * i));
}

static inline uts_node uts_root(void) {
    uint8_t seed[20] = {0};
    uts_node n = {.depth = 0};
    struct sha1_ctx sha;
    uts_big_endian(seed + 16, UTS_SEED);
    sha1_init(&sha);
    sha1_update(&sha, sizeof seed, seed);
    sha1_digest(&sha, sizeof n.state, n.state);
    return n;
}

static inline uts_node uts_child(const uts_node *parent, int index) {
    uint8_t number[4];
    uts_node n = {.depth = parent->depth + 1};
    struct sha1_ctx sha;
    uts_big_endian(number, (uint32_t)index);
    sha1_init(&sha);
    sha1_update(&sha, sizeof parent->state, parent->state);
    sha1_update(&sha, sizeof number, number);
    sha1_digest(&sha, sizeof n.state, n.state);
    return n;
}

static inline int uts_children(const uts_node *n, int64_t depth_limit) {
    if (n->depth >= depth_limit) return 0;
    const uint8_t *w = n->state + 16;
    uint32_t random = (uint32_t)(w[0] & 0x7f) << 24 | (uint32_t)w[1] << 16 | (uint32_t)w[2] << 8 | w[3];
    double u = random / 2147483648.0, p = 1.0 / (1 + UTS_BRANCHING);
    int children = (int)floor(log(1 - u) / log(1 - p));
    return children < UTS_CHILDREN_MAX ? children : UTS_CHILDREN_MAX;
}

/* What a subtree counts: nodes in the upper half, leaves in the lower, so that one addition does both. */
typedef int64_t uts_count;
#define UTS_COUNT(nodes, leaves) ((uts_count)(nodes) << 32 | (uts_count)(leaves))

#endif
