/* Conservation: whatever the schedule, whoever fails and whoever is interrupted when, each branch that began has ended before
 * its combinator returns, and each value that was made was delivered once or dropped once.  Trees of combinators, made by
 * chance.  Ten thousand seeds of each strategy.
 *   WEFT_SEEDS=n in the environment for more or fewer.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/san.h"
#include "test.h"
#include <weft/test.h>

static unsigned runs(void) {
    const char *n = getenv("WEFT_SEEDS");
    return n ? (unsigned)atoi(n) : WEFT__SAN_STACKS > 1 ? 300 : 10000;
}

static weft_test the;
#define TREE_CHECK(condition) weft_check(the, condition)
#include "support/trees.h"
static int of_root;

static int root(spec s);
WEFT_TASK(root, int, spec);
static int root(spec s) {
    of_root = grow(s);
    weft_check(the, begun == ended);
    return of_root;
}

static void trees(weft_test t) {
    the = t;
    trees_anew();
    of_root = 0;
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
