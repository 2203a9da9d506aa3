/* tests/support/trees.h -- trees of combinators, made by chance, that count what they make.
 *
 * Define TREE_CHECK(condition) before.  After a tree: begun == ended, and made == got + dropped + what grow returned.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_TESTS_TREES_H
#define WEFT_TESTS_TREES_H

#include <stdatomic.h>
#include <weft/par.h>
#include <weft/scope.h>

static _Atomic int begun, ended, made, got, dropped;

/* A value is 1; who was stopped or failed has made none. */
static void drop(void *value) {
    TREE_CHECK(*(int *)value == 1);
    dropped++;
}

typedef struct spec {
    unsigned seed, depth;
} spec;
static unsigned next(unsigned *seed) {
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}
static spec below(spec *s) {
    unsigned of = next(&s->seed);
    return (spec){of, s->depth - 1};
}

static int grow(spec s);
WEFT_TASK(grow, int, spec);

static weft_exit nap(void *arg) { return weft_sleep(weft_us(*(unsigned *)arg)); }

/* 1, or fails, or notices that it is to stop. */
static int leaf(spec s) {
    unsigned way = next(&s.seed) % 8, us = next(&s.seed) % 4;
    weft_exit e = {WEFT_EXIT_OK, 0, NULL};
    if (way & 1) e = weft_sleep(weft_us(us));
    if (way == 2) e = weft_yield();
    if (way == 4) { /* its own deadline is its own affair */
        unsigned longer = 9;
        e = weft_timeout(weft_us(us), nap, &longer);
        if (e.tag == WEFT_EXIT_FAIL) e = (weft_exit){WEFT_EXIT_OK, 0, NULL};
    }
    if (!weft_ok(e)) return 0;
    if (way == 5 || way == 6) return (void)weft_fail(300, "by chance"), 0;
    made++;
    return 1;
}

enum { WIDE = 3 };

static weft_exit combine(spec *s, unsigned way, int out[WIDE]) {
    spec a = below(s), b = below(s), c = below(s), items[WIDE] = {a, b, c};
    weft_duration d = weft_us(next(&s->seed) % 4);
#define BRANCH(i, of) WEFT_BR_DROP(grow, &out[i], drop, of.seed, of.depth)
    switch (way) {
    case 0: return weft_zip_par(BRANCH(0, a), BRANCH(1, b), BRANCH(2, c));
    case 1: return weft_race(NULL, BRANCH(0, a), BRANCH(0, b), BRANCH(0, c));
    case 2: return weft_any(NULL, BRANCH(0, a), BRANCH(0, b), BRANCH(0, c));
    case 3: {
        weft_exit each[WIDE];
        weft_exit e = weft_all_settled(each, BRANCH(0, a), BRANCH(1, b), BRANCH(2, c));
        for (int i = 0; i < WIDE; i++) TREE_CHECK(weft_ok(each[i]) == (out[i] == 1));
        return e;
    }
    case 4: return weft_timeout_to(d, BRANCH(0, a), BRANCH(0, b));
    case 5: return weft_hedge(NULL, d, BRANCH(0, a), BRANCH(0, b));
    case 6: return weft_for_each_par(grow, items, WIDE, out, .parallelism = 1 + next(&s->seed) % 3);
    case 7: {
        weft_stream t;
        int value, n = 0;
        if (!weft_ok(weft_stream_open(&t, grow, items, WIDE, .parallelism = 1 + next(&s->seed) % 3, .unordered = s->seed & 64,
                                      .drop = drop)))
            return weft_fail(301, "no stream");
        int most = (int)(next(&s->seed) % (WIDE + 1));
        while (n < most && weft_stream_next(&t, grow, NULL, &value)) out[n++] = value;
        return weft_stream_close(&t);
    }
    default: { /* those that go on belong to a scope here, for a fiber's own belong to the runtime */
        weft_exit all, e = {WEFT_EXIT_OK, 0, NULL};
        weft_branch branch[] = {BRANCH(0, a), BRANCH(1, b), BRANCH(2, c)};
        const weft_par_options keep = {.rest = WEFT_KEEP};
        WEFT_SCOPE(t, &all)
            e = weft_exit_keep(way == 8 ? weft_all_of(branch, WIDE, &keep) : weft_race_of(NULL, branch, WIDE, &keep));
        return weft_ok(e) ? all : e;
    }
    }
}

static int grow_here(spec s) {
    int out[WIDE] = {0};
    if (s.depth == 0) return leaf(s);
    unsigned way = next(&s.seed) % 10;
    weft_exit e = combine(&s, way, out);
    for (int i = 0; i < WIDE; i++) got += out[i];
    if (e.tag == WEFT_EXIT_INTERRUPT) return 0;
    if (!weft_ok(e)) {
        weft__expect(e);
        return 0;
    }
    made++;
    return 1;
}
static int grow(spec s) {
    begun++;
    int value = grow_here(s);
    ended++;
    return value;
}

static void trees_anew(void) { begun = ended = made = got = dropped = 0; }

#endif
