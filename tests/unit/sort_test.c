/* Sorting: against the C library's, every pattern, element sizes, workers; stable where it says so; the number of comparisons
 * is bounded; interrupts; no memory.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/mix.h"
#include "support/runs.h"
#include <limits.h>
#include <stdatomic.h>
#include <weft/sort.h>
#include <weft/time.h>

static uint64_t state = 1;
static uint64_t random_below(uint64_t n) { return mixed_next(&state) % n; }

static inline bool less_long(long a, long b) { return a < b; }
WEFT_SORT(less_long, long);
static inline bool less_byte(unsigned char a, unsigned char b) { return a < b; }
WEFT_SORT(less_byte, unsigned char);
typedef struct pair {
    int key, at;
} pair;
static inline bool less_pair(pair a, pair b) { return a.key < b.key; }
WEFT_SORT(less_pair, pair);
typedef struct wide {
    char name[60];
    short key;
    unsigned at;
} wide;
static inline bool less_wide(wide a, wide b) { return a.key < b.key; }
WEFT_SORT(less_wide, wide);
typedef struct odd {
    unsigned char key[3];
} odd;
typedef struct largest {
    int key;
    char room[252];
} largest;
static inline bool less_largest(largest a, largest b) { return a.key < b.key; }
WEFT_SORT(less_largest, largest);
static inline bool less_odd(odd a, odd b) { return memcmp(a.key, b.key, 3) < 0; }
WEFT_SORT(less_odd, odd);

#ifdef WEFT_TEST_EMULATED
enum { MOST = 5000, LARGE = 140000, ROUNDS = 2000 };
#else
enum { MOST = 30000, LARGE = 1000000, ROUNDS = 50000 };
#endif
_Static_assert((int)LARGE > (int)WEFT__SORT_CUT, "large enough for two to partition it");
static const size_t sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100, 127, 128, 1000, 2048, 4097, MOST};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* ---- patterns ------------------------------------------------------------------------------------------ */

static long of_pattern(int pattern, size_t i, size_t n) {
    switch (pattern) {
    case 0: return (long)mixed_next(&state);
    case 1: return 7;
    case 2: return (long)i;
    case 3: return (long)(n - i);
    case 4: return (long)(i < n / 2 ? i : n - i);   /* an organ pipe, */
    case 5: return (long)(i < n / 2 ? n - i : i);   /* and one upside down */
    case 6: return (long)random_below(4);
    case 7: return (long)(i % 17);                  /* a saw */
    case 8: return i == n / 3 ? -1 : (long)i;       /* one out of place */
    case 9: return i + 1 == n ? 0 : (long)i + 1;
    case 10: return (long)(i & 1 ? i : n - i);
    case 11: return (long)(i / 100 * 100 + 100 - i % 100); /* short runs, each reversed */
    case 12: return (long)random_below(n / 10 + 1);
    case 13: return i & 1 ? 1 : LONG_MIN + (long)i;
    default: return -1;
    }
}
enum { PATTERNS = 14 };

static int compare_long(const void *a, const void *b) {
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

static void patterns(void *arg) {
    static long a[MOST], b[MOST], c[MOST];
    (void)arg;
    bool det = thread_fiber() && thread_fiber()->w->rt->det;
    for (int p = 0; p < PATTERNS; p++)
        for (size_t k = 0; k < SIZES; k++) {
            size_t n = sizes[k];
            if (det && n == MOST && p % 4) continue;
            for (size_t i = 0; i < n; i++) a[i] = b[i] = c[i] = of_pattern(p, i, n);
            qsort(a, n, sizeof *a, compare_long);
            CHECK(weft_ok(weft_sort(less_long, b, n)));
            CHECK(weft_ok(weft_sort_stable(less_long, c, n)));
            CHECK(!memcmp(a, b, n * sizeof *a));
            CHECK(!memcmp(a, c, n * sizeof *a));
        }
}
TEST(every_pattern_is_sorted) { on_clock(WEFT_CLOCK_AUTO, patterns); }
TEST(a_plain_thread_sorts) { patterns(NULL); }

/* Large enough for all kinds of pivots, and to be shared by four workers. */
static void large(void *arg) {
    enum { N = LARGE };
    static long a[N];
    (void)arg;
    for (int p = 0; p < PATTERNS; p++) {
        bool stable = p & 1;
        uint64_t sum = 0;
        for (size_t i = 0; i < N; i++) sum += mixed((uint64_t)(a[i] = of_pattern(p, i, N)));
        CHECK(weft_ok(stable ? weft_sort_stable(less_long, a, N) : weft_sort(less_long, a, N)));
        for (size_t i = 0; i < N; i++) sum -= mixed((uint64_t)a[i]);
        for (size_t i = 1; i < N; i++) CHECK(a[i - 1] <= a[i]);
        CHECK_EQ(sum, 0);
    }
}
TEST(large_arrays_are_sorted) {
    for (unsigned workers = 1; workers <= 4; workers++) run_ends(&WEFT_OPTIONS(.workers = workers), large, NULL, WEFT_OK);
}

/* A partition over two pieces, as if they were one; what lies between is left alone. */
TEST(two_pieces_are_partitioned_as_one) {
    for (int round = 0; round < ROUNDS; round++) {
        long a[64], b[64], by = (long)random_below(12);
        size_t n = 1 + random_below(40), m = 1 + random_below(n), gap = random_below(5), fewer = 0;
        for (size_t i = 0; i < 64; i++) a[i] = i < m || (i >= m + gap && i < n + gap) ? (long)random_below(12) : -1;
        for (size_t i = 0; i < 64; i++) fewer += a[i] >= 0 && a[i] < by;
        memcpy(b, a, sizeof a);
        CHECK_EQ(less_long__sweep(a, m, a + m + gap, n - m, &by), fewer);
        for (size_t i = 0; i < n; i++) CHECK((a[i < m ? i : i + gap] < by) == (i < fewer));
        for (size_t i = 0; i < 64; i++) CHECK((i >= m && i < m + gap) || i >= n + gap ? a[i] == -1 : a[i] >= 0);
        qsort(a, 64, sizeof *a, compare_long);
        qsort(b, 64, sizeof *b, compare_long);
        CHECK(!memcmp(a, b, sizeof a));
    }
}

/* ---- elements ------------------------------------------------------------------------------------------ */

static bool kept(const unsigned *at, size_t n) {
    static unsigned char seen[MOST];
    memset(seen, 0, n);
    for (size_t i = 0; i < n; i++)
        if (at[i] >= n || seen[at[i]]++) return false;
    return true;
}

static void elements(void *arg) {
    static unsigned char bytes[MOST];
    static pair pairs[MOST];
    static wide wides[MOST];
    static odd odds[MOST];
    static unsigned at[MOST];
    (void)arg;
    for (size_t k = 0; k < SIZES; k++)
        for (int stable = 0; stable < 2; stable++) {
            size_t n = sizes[k] > 5000 ? 5000 : sizes[k];
            for (size_t i = 0; i < n; i++) {
                bytes[i] = (unsigned char)mixed_next(&state);
                pairs[i] = (pair){(int)random_below(n / 3 + 1), (int)i};
                wides[i] = (wide){"wide", (short)random_below(100), (unsigned)i};
                uint64_t x = mixed_next(&state);
                memcpy(odds[i].key, &x, 3);
            }
            CHECK(weft_ok(stable ? weft_sort_stable(less_byte, bytes, n) : weft_sort(less_byte, bytes, n)));
            CHECK(weft_ok(stable ? weft_sort_stable(less_pair, pairs, n) : weft_sort(less_pair, pairs, n)));
            CHECK(weft_ok(stable ? weft_sort_stable(less_wide, wides, n) : weft_sort(less_wide, wides, n)));
            CHECK(weft_ok(stable ? weft_sort_stable(less_odd, odds, n) : weft_sort(less_odd, odds, n)));
            for (size_t i = 1; i < n; i++) {
                CHECK(bytes[i - 1] <= bytes[i]);
                CHECK(memcmp(odds[i - 1].key, odds[i].key, 3) <= 0);
                pair p = pairs[i - 1], q = pairs[i];
                CHECK(p.key < q.key || (p.key == q.key && (!stable || p.at < q.at)));
                CHECK(wides[i - 1].key < wides[i].key || (wides[i - 1].key == wides[i].key && (!stable || wides[i - 1].at < wides[i].at)));
                CHECK(!strcmp(wides[i].name, "wide"));
            }
            for (size_t i = 0; i < n; i++) at[i] = (unsigned)pairs[i].at;
            CHECK(kept(at, n));
            for (size_t i = 0; i < n; i++) at[i] = wides[i].at;
            CHECK(kept(at, n));
        }
}
TEST(elements_of_all_sizes_and_the_order_of_equal_ones) { on_clock(WEFT_CLOCK_AUTO, elements); }

/* The largest elements there may be, on the stack of a fiber. */
static void of_largest(void *arg) {
    static largest a[MOST];
    (void)arg;
    for (int stable = 0; stable < 2; stable++) {
        for (size_t i = 0; i < MOST; i++) a[i] = (largest){(int)random_below(1000000), {0}};
        CHECK(weft_ok(stable ? weft_sort_stable(less_largest, a, MOST) : weft_sort(less_largest, a, MOST)));
        for (size_t i = 1; i < MOST; i++) CHECK(a[i - 1].key <= a[i].key);
    }
}
TEST(the_largest_elements_fit_on_a_fiber_s_stack) {
    for (unsigned workers = 1; workers <= 2; workers++) run_ends(&WEFT_OPTIONS(.workers = workers), of_largest, NULL, WEFT_OK);
}

/* ---- how many comparisons ------------------------------------------------------------------------------ */

static _Atomic uint64_t compared;
static bool counting(long a, long b) {
    atomic_fetch_add_explicit(&compared, 1, memory_order_relaxed);
    return a < b;
}
WEFT_SORT(counting, long);

/* McIlroy's adversary: an element's value is decided when it must be, against whoever picks pivots. */
static long *adversary_value, adversary_next, adversary_candidate, adversary_gas;
static bool adversarial(long a, long b) {
    atomic_fetch_add_explicit(&compared, 1, memory_order_relaxed);
    long *v = adversary_value;
    if (v[a] == adversary_gas && v[b] == adversary_gas) v[a == adversary_candidate ? a : b] = adversary_next++;
    if (v[a] == adversary_gas) adversary_candidate = a;
    else if (v[b] == adversary_gas) adversary_candidate = b;
    return v[a] < v[b];
}
WEFT_SORT(adversarial, long);

static void bounded(void *arg) {
    enum { N = 200000 };
    static long a[N], v[N];
    (void)arg;
    const uint64_t most = 6ull * N * 18; /* heapsort takes twice n log n, after as much has been tried in vain */
    for (int p = 0; p < PATTERNS; p++) {
        for (size_t i = 0; i < N; i++) a[i] = of_pattern(p, i, N);
        atomic_store(&compared, 0);
        CHECK(weft_ok(weft_sort(counting, a, N)));
        test_note("pattern %d: %llu comparisons", p, (unsigned long long)compared);
        CHECK(compared < most / 3);
    }
    adversary_value = v;
    adversary_next = 0;
    adversary_gas = N;
    for (long i = 0; i < N; i++) a[i] = i, v[i] = N;
    atomic_store(&compared, 0);
    CHECK(weft_ok(weft_sort(adversarial, a, N)));
    test_note("the adversary: %llu comparisons", (unsigned long long)compared);
    CHECK(compared < most);
    for (size_t i = 1; i < N; i++) CHECK(v[a[i - 1]] <= v[a[i]]);
    test_note(NULL);
}
TEST(comparisons_are_bounded) { run_ends(&WEFT_OPTIONS(.workers = 1), bounded, NULL, WEFT_OK); }

/* A function that is no order at all: nothing but the array is touched. */
static bool never_the_same(long a, long b) {
    (void)a, (void)b;
    return mixed_next(&state) & 1;
}
WEFT_SORT(never_the_same, long);
static bool always(long a, long b) { return a <= b || a > b; }
WEFT_SORT(always, long);
TEST(what_is_no_order_does_no_harm) {
    for (int round = 0; round < 20; round++)
        for (size_t k = 0; k < SIZES; k++) {
            long *a = malloc((sizes[k] + 1) * sizeof *a);
            for (size_t i = 0; i < sizes[k]; i++) a[i] = (long)i;
            CHECK(weft_ok(weft_sort(never_the_same, a, sizes[k])));
            CHECK(weft_ok(weft_sort_stable(never_the_same, a, sizes[k])));
            CHECK(weft_ok(weft_sort(always, a, sizes[k])));
            CHECK(weft_ok(weft_sort_stable(always, a, sizes[k])));
            for (size_t i = 0; i < sizes[k]; i++) CHECK(a[i] >= 0 && a[i] < (long)sizes[k]);
            free(a);
        }
}

/* ---- stopping, memory ---------------------------------------------------------------------------------- */

static int sorts(long *a);
WEFT_TASK(sorts, int, long *);
static int sorts(long *a) {
    CHECK(weft_ok(weft_sleep(weft_ms(1))));
    for (int i = 0;; i++) {
        uint64_t sum = 0;
        for (size_t k = 0; k < MOST; k++) sum += (uint64_t)(a[k] = (long)mixed_next(&state));
        weft_exit e = i & 1 ? weft_sort_stable(less_long, a, MOST) : weft_sort(less_long, a, MOST);
        for (size_t k = 0; k < MOST; k++) sum -= (uint64_t)a[k];
        CHECK_EQ(sum, 0);
        if (weft_ok(e)) continue;
        CHECK_EQ(e.code, WEFT_E_INTERRUPTED);
        return i;
    }
}
static void interrupted(void *arg) {
    static long a[MOST];
    sorts_fiber f;
    (void)arg;
    CHECK(weft_ok(weft_spawn(&f, sorts, a)));
    CHECK(weft_ok(weft_sleep(weft_ms(20))));
    CHECK(weft_ok(weft_interrupt(f, "enough")));
    weft_drop(f);
}
TEST(an_interrupted_sort_keeps_the_elements) {
    for (int i = 0; i < 5; i++) run_ends(&WEFT_OPTIONS(.workers = 2), interrupted, NULL, WEFT_OK);
}

static void no_memory(void *arg) {
    long a[1000], b[1000];
    (void)arg;
    for (int i = 0; i < 1000; i++) a[i] = b[i] = (long)mixed_next(&state);
    weft__heap_fail_at(1, 1);
    CHECK_EQ(weft_sort_stable(less_long, a, 1000).code, WEFT_E_NOMEM);
    CHECK(!memcmp(a, b, sizeof a));
    CHECK(weft_ok(weft_sort_stable(less_long, a, 32)));
    CHECK(weft_ok(weft_sort(less_long, b, 1000)));
    weft__heap_fail_at(0, 0);
    for (int i = 1; i < 1000; i++) CHECK(b[i - 1] <= b[i]);
}
TEST(only_a_stable_sort_needs_memory) { run_ends(&WEFT_OPTIONS(.workers = 1), no_memory, NULL, WEFT_OK); }

TEST_MAIN
