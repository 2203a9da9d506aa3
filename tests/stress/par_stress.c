/* Combinators under load: trees of them, made by chance, on several workers, with interrupts at any moment.  Each branch that
 * began has ended, each value that was made was delivered or dropped, once.  A hang is the failure of the test's time limit.
 * And programs that only compute have the same result on any number of workers.
 *   par_stress [seed [rounds]]
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/san.h"
#include "support/runs.h"
#define TREE_CHECK(condition) CHECK(condition)
#include "support/trees.h"

enum { PLANTS = 64 };

static unsigned seed = 1, rounds = WEFT__SAN_STACKS > 1 ? 10 : 60;

/* ---- trees ---------------------------------------------------------------------------------------------- */

static _Atomic int of_plants;
static int plant(spec s);
WEFT_TASK(plant, int, spec);
static int plant(spec s) {
    atomic_fetch_add(&of_plants, grow(s));
    return 0;
}
static void forest(void *arg) {
    plant_fiber f[PLANTS];
    (void)arg;
    of_plants = 0;
    trees_anew();
    for (int i = 0; i < PLANTS; i++) CHECK(weft_ok(weft_spawn(&f[i], plant, next(&seed), 1 + next(&seed) % 3)));
    for (unsigned n = next(&seed) % 8; n > 0; n--) weft_yield();
    for (int i = 0; i < PLANTS; i++) {
        if (next(&seed) % 4 == 0) weft_interrupt_async(f[i], "by chance");
        if (next(&seed) % 8 == 0) weft_sleep(weft_us(next(&seed) % 20));
    }
    for (int i = 0; i < PLANTS; i++) {
        weft_await(f[i], plant, NULL);
        weft_drop(f[i]);
    }
    CHECK_EQ(begun, ended);
    CHECK_EQ(made, got + dropped + of_plants);
}
TEST(trees_lose_no_value_on_any_number_of_workers) {
    for (unsigned i = 0; i < rounds; i++)
        run_ends(&WEFT_OPTIONS(.workers = 1 + i % 4, .clock = i % 8 < 4 ? WEFT_CLOCK_REAL : WEFT_CLOCK_AUTO), forest, NULL, WEFT_OK);
}

/* ---- the same result ------------------------------------------------------------------------------------ */

typedef struct sum {
    unsigned from, depth;
} sum;
static unsigned hash_of(sum s);
WEFT_TASK(hash_of, unsigned, sum);

static weft_exit add(void *arg, size_t i, void *value) {
    unsigned *h = arg;
    *h = *h * 31 + *(unsigned *)value + (unsigned)i;
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}
static unsigned hash_of(sum s) {
    enum { N = 5 };
    unsigned h = s.from, a = 0, b = 0, out[N] = {0};
    sum in[N];
    if (s.depth == 0) return h * 2654435761u >> 7;
    for (unsigned i = 0; i < N; i++) in[i] = (sum){s.from * 7 + i, s.depth - 1};
    switch (s.from % 4) {
    case 0: CHECK(weft_ok(weft_zip_par(WEFT_BR(hash_of, &a, in[0].from, s.depth - 1), WEFT_BR(hash_of, &b, in[1].from, s.depth - 1)))); break;
    case 1: CHECK(weft_ok(weft_for_each_par(hash_of, in, N, out, .parallelism = 3))); break;
    case 2: CHECK(weft_ok(weft_map(hash_of, in, N, out))); break;
    default: CHECK(weft_ok(weft_stream_each(hash_of, in, N, add, &a, .parallelism = 3, .window = 4)));
    }
    if (s.from % 3 == 0) CHECK(weft_ok(weft_yield()));
    for (unsigned i = 0; i < N; i++) h = h * 31 + out[i];
    return h * 31 + a * 5 + b;
}
static void hashes(void *arg) {
    unsigned h = 0;
    for (unsigned i = 0; i < 12; i++) h = h * 31 + hash_of((sum){i, 4});
    *(unsigned *)arg = h;
}
TEST(what_only_computes_has_one_result_on_any_number_of_workers) {
    unsigned first = 0, h = 1;
    hashes(&first); /* on a plain thread */
    for (unsigned workers = 1; workers <= 4; workers++) {
        run_ends(&WEFT_OPTIONS(.workers = workers), hashes, &h, WEFT_OK);
        CHECK_EQ(h, first);
    }
    for (unsigned i = 0; i < 20; i++) {
        run_ends(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, .seed = i, .explore = WEFT_EXPLORE_RANDOM), hashes, &h, WEFT_OK);
        CHECK_EQ(h, first);
    }
}

int main(int argc, char **argv) {
    if (argc > 1) seed = (unsigned)strtoul(argv[1], NULL, 0);
    if (argc > 2) rounds = (unsigned)atoi(argv[2]);
    return test_main(1, argv);
}
