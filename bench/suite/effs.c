/* bench/suite/effs.c -- effect/flat_map_1e6, effect/map_fused: what a step of an effect value costs.
 *
 * Chains of a million flat_maps, each over the one before, whose functions return a value at once; and of 250 maps, run
 * as often as that makes a million.  They are built before timing.  The baseline calls the function of a step as often.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <stdlib.h>
#include <weft/eff.h>

#include "workload.h"

enum { CHAIN = 1000000, MAPS = 100 };

WEFT_EFF(eff_int, int64_t);

static int64_t inc(int64_t n);
WEFT_TASK(inc, int64_t, int64_t);
static int64_t inc(int64_t n) {
    __asm__ volatile("" : "+r"(n));
    return n + 1;
}

static eff_int next(weft_eff_arena *a, int64_t n);
WEFT_EFF_NEXT(next, eff_int, int64_t);
static eff_int next(weft_eff_arena *a, int64_t n) {
    return weft_eff_now(eff_int, a, inc(n));
}

typedef struct chain {
    weft_eff_arena arena;
    eff_int e;
} chain;

static void *open_flat_map(int64_t n) {
    chain *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->e = weft_eff_keep(eff_int, &c->arena, weft_eff_succeed(eff_int, 0));
    for (int64_t i = 0; i < n; i++) c->e = weft_eff_keep(eff_int, &c->arena, weft_eff_flat_map(eff_int, c->e, next));
    return c;
}

static void *open_map(int64_t n) {
    chain *c = calloc(1, sizeof *c);
    (void)n;
    if (!c) return NULL;
    c->e = weft_eff_keep(eff_int, &c->arena, weft_eff_succeed(eff_int, 0));
    for (int i = 0; i < MAPS; i++) c->e = weft_eff_keep(eff_int, &c->arena, weft_eff_map(eff_int, c->e, inc));
    return c;
}

static void close_chain(void *data) {
    chain *c = data;
    weft_eff_arena_close(&c->arena);
    free(c);
}

static int64_t run_flat_map(void *data, int64_t n) {
    chain *c = data;
    int64_t got = 0;
    (void)n;
    must(weft_run_effect(c->e, &got));
    return got;
}

static int64_t run_map(void *data, int64_t n) {
    chain *c = data;
    int64_t sum = 0, got = 0;
    for (int64_t i = 0; i < n; i += MAPS) {
        must(weft_run_effect(c->e, &got));
        sum += got;
    }
    return sum;
}

static int64_t same(int64_t n) {
    return n;
}

const workload eff_flat_map = {.name = "effect/flat_map_1e6", .op = "step", .serial = effs_serial_run, .weft = run_flat_map,
                               .one = CHAIN, .many = CHAIN, .answer = same, .ops = same, .open = open_flat_map,
                               .close = close_chain};
const workload eff_map = {.name = "effect/map_fused", .op = "map", .serial = effs_serial_run, .weft = run_map, .one = CHAIN,
                          .many = CHAIN, .answer = same, .ops = same, .open = open_map, .close = close_chain};
