/* bench/suite/switch.c -- the raw context switch, both implementations, inline as the scheduler has it.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <stdint.h>
#include <stdlib.h>

#include "../common/clock.h"
#include "../common/samples.h"
#include "machinery.h"
#include "sched/ctx.h"
#include "workload.h"

enum { STACK = 64 * 1024, ROUNDS = 200000 };

typedef struct pair {
    ctx outside, inside;
} pair;

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* `native` is a constant wherever this is used. */
ALWAYS_INLINE void *go(bool native, ctx *from, ctx *to, void *payload) {
    return native ? weft__ctx_native_switch(from, to, payload) : weft__ctx_fcontext_switch(from, to, payload);
}

/* The first payload says where the pair is; every later one is sent back, one higher. */
ALWAYS_INLINE void echo(bool native, void *payload) {
    pair *p = payload;
    char *got = go(native, &p->inside, &p->outside, NULL);
    for (;;) got = go(native, &p->inside, &p->outside, got + 1);
}

static void entry_fcontext(void *payload) {
    echo(false, payload);
}
static void entry_native(void *payload) {
    echo(true, payload);
}

ALWAYS_INLINE double slice(bool native, pair *p) {
    char *count = NULL;
    int64_t start = wall_ns();
    for (int i = 0; i < ROUNDS; i++) count = go(native, &p->outside, &p->inside, count);
    int64_t ns = wall_ns() - start;
    if ((uintptr_t)count != ROUNDS) bench_die("switch: %zu round trips, not %d", (size_t)count, ROUNDS);
    return (double)ns / ROUNDS;
}

static double slice_fcontext(void *arg) {
    return slice(false, arg);
}
static double slice_native(void *arg) {
    return slice(true, arg);
}

double switch_round_trip(bool native, double seconds, int *again) {
    samples taken;
    pair p;
    party one = {native ? slice_native : slice_fcontext, &p};
    char *stack = aligned_alloc(4096, STACK);
    if (!stack) bench_die("switch: not enough memory for a stack");
    weft__ctx_adopt(&p.outside);
    if (native) {
        weft__ctx_native_init(&p.inside, stack, stack + STACK, entry_native);
        go(true, &p.outside, &p.inside, &p);
    } else {
        weft__ctx_fcontext_init(&p.inside, stack, stack + STACK, entry_fcontext);
        go(false, &p.outside, &p.inside, &p);
    }
    double fit = seconds * 1e9 / (one.slice(one.arg) * ROUNDS);
    int rows = fit > SAMPLES_ROWS / 2 ? SAMPLES_ROWS / 2 : (int)fit;
    samples_take(&taken, &one, 1, rows > 3 ? rows : 3);
    weft__ctx_fini(&p.inside);
    weft__ctx_fini(&p.outside);
    free(stack);
    *again = taken.again;
    return samples_median(&taken, 0);
}
