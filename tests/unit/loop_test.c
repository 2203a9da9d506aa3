/* Loops over indices: each index once, whatever the size, the grain, the workers; results of reductions and scans against
 * those of plain loops; stopping.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/mix.h"
#include "support/runs.h"
#include <stdatomic.h>
#include <weft/loop.h>
#include <weft/scope.h>
#include <weft/time.h>

static const size_t sizes[] = {0, 1, 2, 3, 63, 64, 65, 1000, 4097, 20000};
enum { SIZES = sizeof sizes / sizeof *sizes, MOST = 20000 };
static const size_t grains[] = {0, 1, 7, 512, 1000000};
enum { GRAINS = sizeof grains / sizeof *grains };

static bool few_only(void) { return thread_fiber() && thread_fiber()->w->rt->det; } /* a schedule for each split */

/* ---- parallel_for -------------------------------------------------------------------------------------- */

static unsigned char seen[MOST];

static inline void count(size_t i, unsigned char *s) { s[i]++; }
WEFT_LOOP(count, unsigned char *);

static weft_exit count_range(size_t from, size_t to, unsigned char *s) {
    CHECK(from < to);
    while (from < to) s[from++]++;
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}
WEFT_LOOP_RANGE(count_range, unsigned char *);

static void all_seen(size_t n, int times) {
    for (size_t i = 0; i < MOST; i++) CHECK_EQ(seen[i], i < n ? times : 0);
    memset(seen, 0, n);
}

static void each_index(void *arg) {
    (void)arg;
    for (size_t k = 0; k < SIZES; k++) {
        CHECK(weft_ok(weft_parallel_for(count, sizes[k], seen)));
        CHECK(weft_ok(weft_parallel_for(count_range, sizes[k], seen)));
        all_seen(sizes[k], 2);
        for (size_t g = 0; g < GRAINS; g++) {
            if (few_only() && grains[g] && sizes[k] / grains[g] > 70) continue;
            CHECK(weft_ok(weft_parallel_for_with(count, sizes[k], {.grain = grains[g]}, seen)));
            all_seen(sizes[k], 1);
        }
    }
}
TEST(each_index_is_visited_once) { on_clock(WEFT_CLOCK_AUTO, each_index); }
TEST(a_plain_thread_runs_the_loop_itself) { each_index(NULL); }

/* Random sizes and grains on four workers, which is more than there are processors. */
static void at_random(void *arg) {
    uint64_t *state = arg;
    for (int i = 0; i < 300; i++) {
        *state = mixed(*state);
        size_t n = (size_t)(*state >> 7) % MOST, grain = (size_t)(*state >> 40) % 100;
        CHECK(weft_ok(weft_parallel_for_with(count, n, {.grain = grain}, seen)));
        all_seen(n, 1);
    }
}
TEST(random_sizes_and_grains) {
    for (unsigned workers = 1; workers <= 4; workers++) {
        uint64_t state = workers;
        run_ends(&WEFT_OPTIONS(.workers = workers), at_random, &state, WEFT_OK);
    }
}

/* A wide input, and a body that suspends. */
typedef struct wide {
    atomic_long *sum;
    long values[40];
} wide;
static void naps(size_t i, wide w) {
    if (i % 3 == 0) CHECK(weft_ok(weft_sleep(weft_ms((int64_t)(i % 5)))));
    if (i % 4 == 1) CHECK(weft_ok(weft_yield()));
    atomic_fetch_add(w.sum, w.values[i % 40]);
}
WEFT_LOOP(naps, wide);
static void bodies_wait(void *arg) {
    (void)arg;
    atomic_long sum = 0;
    CHECK(weft_ok(weft_parallel_for(naps, 50, &sum, {[3] = 3, [39] = 39})));
    CHECK_EQ(sum, 2 * 3 + 39);
    CHECK(weft_ok(weft_parallel_for_with(naps, 40, {.grain = 2}, &sum, {[39] = 39})));
    CHECK_EQ(sum, 2 * 3 + 2 * 39);
}
TEST(a_body_may_wait) { on_clock(WEFT_CLOCK_AUTO, bodies_wait); }

/* Loops in loops, and in forked children. */
static void row(size_t i, unsigned char *s) { CHECK(weft_ok(weft_parallel_for(count, 100, s + 100 * i))); }
WEFT_LOOP(row, unsigned char *);
static void nested(void *arg) {
    (void)arg;
    CHECK(weft_ok(weft_parallel_for(row, few_only() ? 10 : 200, seen)));
    all_seen(few_only() ? 1000 : 20000, 1);
}
TEST(loops_nest) { often(WEFT_CLOCK_AUTO, nested, 20); }

/* Both workers take part, if iterations take long: two that wait for each other. */
static void meet(size_t i, atomic_int *here) {
    (void)i;
    atomic_fetch_add(here, 1);
    while (atomic_load(here) < 2) {}
}
WEFT_LOOP(meet, atomic_int *);
static void two_meet(void *arg) {
    (void)arg;
    atomic_int here = 0;
    CHECK(weft_ok(weft_parallel_for(meet, 2, &here)));
    CHECK_EQ(here, 2);
}
TEST(two_long_iterations_run_at_once) { run_ends(&WEFT_OPTIONS(.workers = 2), two_meet, NULL, WEFT_OK); }

/* ---- stopping ------------------------------------------------------------------------------------------ */

static weft_exit fails_at(size_t i, size_t at) {
    if (i == at) return weft_fail(300, "as asked");
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}
WEFT_LOOP_EXIT(fails_at, size_t);
static void says_at(size_t i, size_t at) {
    if (i == at) weft_failf(301, "at %zu", i);
}
WEFT_LOOP(says_at, size_t);
static void failing(void *arg) {
    (void)arg;
    for (size_t k = 1; k < SIZES; k++) {
        size_t n = sizes[k];
        for (size_t at = 0; at < n; at += n / 3 + 1) {
            weft_exit e = weft_parallel_for(fails_at, n, at);
            CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
            CHECK_EQ(e.code, 300);
            CHECK(weft_cause_has(e.cause, WEFT_CAUSE_FAIL) && !weft_cause_has(e.cause, WEFT_CAUSE_BOTH));
            e = weft_parallel_for(says_at, n, at);
            CHECK_EQ(e.code, 301);
            CHECK(!strncmp(e.cause->text, "at ", 3));
        }
        CHECK(weft_ok(weft_parallel_for(fails_at, n, n)));
    }
}
/* The fiber itself has not failed. */
TEST(a_failure_is_the_loop_s) { on_clock(WEFT_CLOCK_AUTO, failing); }

/* The others stop, those that wait included. */
static void waits_or_fails(size_t i, atomic_int *stopped) {
    if (i == 0) {
        CHECK(weft_ok(weft_sleep(weft_ms(5))));
        weft_fail(302, "one of many");
    } else if (!weft_ok(weft_sleep(weft_s(3600)))) {
        atomic_fetch_add(stopped, 1);
    }
}
WEFT_LOOP(waits_or_fails, atomic_int *);
static void others_stop(void *arg) {
    (void)arg;
    atomic_int stopped = 0;
    weft_time before = weft_now();
    weft_exit e = weft_parallel_for_with(waits_or_fails, 8, {.grain = 1}, &stopped);
    CHECK_EQ(e.code, 302);
    if (!(weft_workers(NULL) == 1)) CHECK(weft_now() < before + weft_s(3600));
}
TEST(the_first_failure_stops_the_others) { often(WEFT_CLOCK_AUTO, others_stop, 20); }

static weft_exit interrupted_at(size_t i, size_t at) {
    return (weft_exit){i == at ? WEFT_EXIT_INTERRUPT : WEFT_EXIT_OK, i == at ? WEFT_E_CANCELLED : 0, NULL};
}
WEFT_LOOP_EXIT(interrupted_at, size_t);
static void interrupts(void *arg) {
    (void)arg;
    weft_exit e = weft_parallel_for(interrupted_at, 1000, 500);
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(e.code, WEFT_E_CANCELLED);
    CHECK(weft_ok(weft_checkpoint()));
}
TEST(an_interrupt_that_a_body_returns_ends_the_loop) { on_clock(WEFT_CLOCK_AUTO, interrupts); }

/* Interrupted from outside, and by a deadline, while bodies wait, and before it begins. */
static weft_exit waits(size_t i, atomic_int *begun) {
    (void)i;
    atomic_fetch_add(begun, 1);
    return weft_sleep(weft_s(1));
}
WEFT_LOOP_EXIT(waits, atomic_int *);
static int loops(atomic_int *begun);
WEFT_TASK(loops, int, atomic_int *);
static int loops(atomic_int *begun) {
    weft_exit e = weft_parallel_for_with(waits, 10000, {.grain = 10}, begun);
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(e.code, WEFT_E_INTERRUPTED);
    int so_far = atomic_load(begun);
    CHECK(so_far < 10000);
    CHECK_EQ(weft_parallel_for(waits, 5, begun).tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(atomic_load(begun), so_far);
    return 1;
}
static void from_outside(void *arg) {
    (void)arg;
    loops_fiber f;
    atomic_int begun = 0;
    CHECK(weft_ok(weft_spawn(&f, loops, &begun)));
    CHECK(weft_ok(weft_sleep(weft_ms(5500))));
    CHECK(weft_ok(weft_interrupt(f, "enough")));
    CHECK_EQ(weft_await(f, loops, NULL).code, WEFT_E_CANCELLED);
    weft_drop(f);
    weft_exit e;
    WEFT_SCOPE(s, &e, .timeout = weft_ms(2500)) {
        atomic_store(&begun, 0);
        CHECK_EQ(weft_parallel_for(waits, 1000, &begun).code, WEFT_E_INTERRUPTED);
        CHECK(begun >= 3);
    }
    CHECK_EQ(e.code, WEFT_E_TIMEOUT);
}
TEST(an_interrupt_stops_a_loop) { on_clock(WEFT_CLOCK_AUTO, from_outside); }

/* ---- map ----------------------------------------------------------------------------------------------- */

typedef struct three {
    unsigned char b[3];
} three;
static inline three widen(short x) { return (three){{(unsigned char)x, (unsigned char)(x >> 8), 7}}; }
WEFT_ARRAY_MAP(widen, three, short);
static inline short twice(short x) { return (short)(2 * x); }
WEFT_ARRAY_MAP(twice, short, short);
static void maps(void *arg) {
    (void)arg;
    enum { N = 5000 };
    static short in[N];
    static three out[N];
    for (int i = 0; i < N; i++) in[i] = (short)i;
    CHECK(weft_ok(weft_array_map(twice, in, in, N)));
    CHECK(weft_ok(weft_array_map(widen, out, in, N)));
    for (int i = 0; i < N; i++) CHECK(in[i] == 2 * i && out[i].b[0] + 256 * out[i].b[1] == 2 * i && out[i].b[2] == 7);
}
TEST(arrays_are_mapped) { on_clock(WEFT_CLOCK_AUTO, maps); }

/* ---- reduce and scan ----------------------------------------------------------------------------------- */

/* Associative, not commutative: a word over two letters as a product of matrices, modulo 2^64. */
typedef struct matrix {
    uint64_t a, b, c, d;
} matrix;
static inline matrix times(matrix x, matrix y) {
    return (matrix){x.a * y.a + x.b * y.c, x.a * y.b + x.b * y.d, x.c * y.a + x.d * y.c, x.c * y.b + x.d * y.d};
}
static inline matrix letter(size_t i, uint64_t salt) {
    return mixed(i + salt) & 1 ? (matrix){1, 1, 0, 1} : (matrix){1, 0, 1, 1};
}
WEFT_REDUCE(letter, matrix, uint64_t, times);
static inline matrix letter_of(size_t i, const matrix *m) { return m[i]; }
WEFT_SCAN(letter_of, matrix, const matrix *, times);

static bool same(matrix x, matrix y) { return x.a == y.a && x.b == y.b && x.c == y.c && x.d == y.d; }

static void words(void *arg) {
    (void)arg;
    const matrix start = {2, 3, 5, 7};
    for (size_t k = 0; k < SIZES; k++)
        for (size_t g = 0; g < GRAINS; g++) {
            if (few_only() && grains[g] && sizes[k] / grains[g] > 70) continue;
            matrix word = {0, 0, 0, 0}, plain = start;
            for (size_t i = 0; i < sizes[k]; i++) plain = times(plain, letter(i, k));
            CHECK(weft_ok(weft_reduce_with(letter, &word, sizes[k], start, {.grain = grains[g]}, k)));
            CHECK(same(word, plain));
        }
}
TEST(a_reduction_is_the_plain_loop_s) { on_clock(WEFT_CLOCK_AUTO, words); }

static matrix prefix[MOST];
static void scans(void *arg) {
    (void)arg;
    const matrix start = {2, 3, 5, 7};
    for (size_t k = 0; k < SIZES; k++)
        for (size_t g = 0; g < GRAINS; g++)
            for (int exclusive = 0; exclusive < 2; exclusive++) {
                if (few_only() && grains[g] && sizes[k] / grains[g] > 70) continue;
                for (size_t i = 0; i < sizes[k]; i++) prefix[i] = letter(i, g);
                CHECK(weft_ok(weft_scan_with(letter_of, prefix, sizes[k], start, exclusive, {.grain = grains[g]}, prefix)));
                matrix plain = start;
                for (size_t i = 0; i < sizes[k]; i++) {
                    matrix next = times(plain, letter(i, g));
                    CHECK(same(prefix[i], exclusive ? plain : next));
                    plain = next;
                }
            }
    CHECK(weft_ok(weft_scan(letter_of, prefix, 3, start, prefix)));
    CHECK(weft_ok(weft_scan_exclusive(letter_of, prefix, 3, start, prefix)));
    CHECK(same(prefix[0], start));
}
TEST(a_scan_in_place_is_the_plain_loop_s) { on_clock(WEFT_CLOCK_AUTO, scans); }
TEST(a_plain_thread_reduces_and_scans) {
    words(NULL);
    scans(NULL);
}

static inline double add(double a, double b) { return a + b; }
static inline double root_of(size_t i, uint64_t salt) { return (double)mixed(i + salt) / ((double)i + 0.1); }
WEFT_REDUCE(root_of, double, uint64_t, add);
static inline double root_again(size_t i, uint64_t salt) { return root_of(i, salt); }
WEFT_SCAN(root_again, double, uint64_t, add);
static double bits[3], sums[MOST], sums_before[MOST];
static void sum_up(void *arg) {
    CHECK(weft_ok(weft_reduce(root_of, &bits[0], MOST, 0.0, 5)));
    CHECK(weft_ok(weft_reduce_with(root_of, &bits[1], MOST, 1.0, {.grain = 333}, 6)));
    CHECK(weft_ok(weft_scan(root_again, sums, MOST, 0.5, 7)));
    (void)arg;
}
TEST(sums_of_doubles_have_the_same_bits_everywhere) {
    double before[2];
    sum_up(NULL);
    memcpy(before, bits, sizeof before);
    memcpy(sums_before, sums, sizeof sums);
    for (unsigned workers = 1; workers <= 4; workers++)
        for (int i = 0; i < 10; i++) {
            run_ends(&WEFT_OPTIONS(.workers = workers), sum_up, NULL, WEFT_OK);
            CHECK(!memcmp(before, bits, sizeof before) && !memcmp(sums_before, sums, sizeof sums));
        }
}

/* No memory: said, and nothing is written. */
static void no_memory(void *arg) {
    (void)arg;
    matrix word = {1, 2, 3, 4}, start = {2, 3, 5, 7};
    weft__heap_fail_at(1, 0);
    CHECK_EQ(weft_reduce(letter, &word, 1000, start, 1).code, WEFT_E_NOMEM);
    CHECK(same(word, (matrix){1, 2, 3, 4}));
    weft__heap_fail_at(1, 0);
    CHECK_EQ(weft_scan(letter_of, prefix, 1000, start, prefix).code, WEFT_E_NOMEM);
    weft__heap_fail_at(1, 1);
    CHECK(weft_ok(weft_reduce(letter, &word, 8, start, 1))); /* few results lie in the frame */
    weft__heap_fail_at(0, 0);
}
TEST(without_memory_a_reduction_says_so) { run_ends(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC), no_memory, NULL, WEFT_OK); }

TEST_MAIN
