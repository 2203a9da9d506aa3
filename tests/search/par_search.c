/* Conservation: whatever the schedule, whoever fails and whoever is interrupted when, each branch that began has ended before
 * its combinator returns, and each value that was made was delivered once or dropped once.  Trees of combinators, made by
 * chance.  Ten thousand seeds of each strategy.
 *   WEFT_SEEDS=n in the environment for more or fewer.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/san.h"
#include "test.h"
#include <weft/par.h>
#include <weft/scope.h>
#include <weft/test.h>

static unsigned runs(void) {
    const char *n = getenv("WEFT_SEEDS");
    return n ? (unsigned)atoi(n) : WEFT__SAN_STACKS > 1 ? 300 : 10000;
}

static weft_test the;
static int begun, ended, made, got, dropped, of_root;

/* A value is 1; who was stopped or failed has made none. */
static void drop(void *value) {
    weft_check(the, *(int *)value == 1);
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
        for (int i = 0; i < WIDE; i++) weft_check(the, weft_ok(each[i]) == (out[i] == 1));
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

static int root(spec s);
WEFT_TASK(root, int, spec);
static int root(spec s) {
    of_root = grow(s);
    weft_check(the, begun == ended);
    return of_root;
}

static void trees(weft_test t) {
    the = t;
    begun = ended = made = got = dropped = of_root = 0;
    unsigned chance = (unsigned)weft_test_random(t);
    root_fiber f;
    weft_spawn(&f, root, chance, 1 + chance % 2);
    unsigned who = (unsigned)weft_test_random(t);
    for (unsigned n = who % 8; n > 0; n--) weft_yield();
    if (who & 8) weft_sleep(weft_us(who >> 4 & 3));
    if (who & 64) weft_interrupt_async(f, "by chance");
    weft_await(f, root, NULL);
    weft_drop(f);
    weft_check(t, begun == ended);
    weft_check(t, made == got + dropped + of_root);
}
TEST(branches_lose_no_value_random) {
    WEFT_TEST(t, .name = "branches", .runs = runs(), .explore = WEFT_EXPLORE_RANDOM) { trees(t); }
}
TEST(branches_lose_no_value_pct) {
    WEFT_TEST(t, .name = "branches", .runs = runs(), .explore = WEFT_EXPLORE_PCT) { trees(t); }
}

TEST_MAIN
