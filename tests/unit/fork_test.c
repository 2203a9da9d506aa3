/* Fork and join: every order, every form, on plain threads and on 1, 2 and 8 workers.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include <weft/fork.h>
#include <weft/kernel.h>
#include <weft/runtime.h>

static const unsigned worker_counts[] = {1, 2, 8};

/* Runs body(arg) on a plain thread, then on runtimes of each size. */
static void everywhere(void (*body)(void *), void *arg) {
    body(arg);
    for (unsigned i = 0; i < sizeof worker_counts / sizeof *worker_counts; i++) {
        weft_options o = WEFT_OPTIONS(.workers = worker_counts[i]);
        CHECK_EQ(weft_run(&o, body, arg), WEFT_OK);
    }
}

/* ---- recursion --------------------------------------------------------------------------------------- */

static long fib(long n);
WEFT_TASK(fib, long, long);
static long fib(long n) {
    if (n < 2) return n;
    fib_task child;
    weft_fork(&child, fib, n - 2);
    long a = fib(n - 1);
    return a + weft_join(&child, fib);
}

static long fib_k(weft_head k, long n);
WEFT_KERNEL(fib_k, long, long);
static long fib_k(weft_head k, long n) {
    if (n < 2) return n;
    long a;
    {
        fib_k_task child;
        a = fib_k(weft_kernel_fork(k, &child, fib_k, n - 2), n - 1);
        k = weft_kernel_take(&child);
        if (!k) return a + weft_out(&child);
        n = weft_in(&child);
    }
    return a + fib_k(k, n);
}

static void fib_body(void *arg) {
    (void)arg;
    CHECK_EQ(fib(22), 17711);
}
TEST(a_recursion_gives_the_answer_of_plain_calls) { everywhere(fib_body, NULL); }

static void fib_k_body(void *arg) {
    (void)arg;
    CHECK_EQ(fib_k(weft_kernel_head(), 24), 46368);
}
TEST(a_kernel_gives_the_answer_of_plain_calls) { everywhere(fib_k_body, NULL); }

/* ---- join orders ------------------------------------------------------------------------------------- */

static int twice(int x);
WEFT_TASK(twice, int, int);
static int twice(int x) { return 2 * x; }

enum { MANY = 3000 };

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* order[i]: which child is joined as number i. */
static void fork_and_join(const int *order) {
    twice_task *t = malloc(MANY * sizeof *t);
    for (int i = 0; i < MANY; i++) weft_fork(&t[i], twice, i);
    for (int i = 0; i < MANY; i++) CHECK_EQ(weft_join(&t[order[i]], twice), 2 * order[i]);
    free(t);
}

static void join_orders(void *arg) {
    (void)arg;
    int order[MANY];
    for (int i = 0; i < MANY; i++) order[i] = MANY - 1 - i;
    fork_and_join(order);
    for (int i = 0; i < MANY; i++) order[i] = i;
    fork_and_join(order);
    for (uint32_t seed = 1; seed <= 5; seed++) {
        uint32_t s = seed;
        for (int i = MANY - 1; i > 0; i--) {
            int j = (int)(next_random(&s) % (uint32_t)(i + 1)), x = order[i];
            order[i] = order[j];
            order[j] = x;
        }
        fork_and_join(order);
    }
}
TEST(children_may_be_joined_in_any_order) { everywhere(join_orders, NULL); }

/* fork a; fork b; join a; join b, over and over: nothing is left behind each round. */
static void first_in_first_out(void *arg) {
    (void)arg;
    for (int i = 0; i < 20000; i++) {
        twice_task a, b;
        weft_fork(&a, twice, i);
        weft_fork(&b, twice, i + 1);
        CHECK_EQ(weft_join(&a, twice), 2 * i);
        CHECK_EQ(weft_join(&b, twice), 2 * i + 2);
    }
}
TEST(joins_in_fork_order_leave_nothing_behind) { everywhere(first_in_first_out, NULL); }

/* ---- forms ------------------------------------------------------------------------------------------- */

typedef struct triple {
    long a, b, c;
} triple;
static triple turn(triple t);
WEFT_TASK(turn, triple, triple);
static triple turn(triple t) { return (triple){t.c, t.a, t.b}; }

typedef struct big {
    char bytes[1000];
} big;
static big grow(big b);
WEFT_TASK(grow, big, big);
static big grow(big b) {
    for (size_t i = 0; i < sizeof b.bytes; i++) b.bytes[i]++;
    return b;
}

static void set_seven(void *arg) { *(int *)arg = 7; }

static void forms(void *arg) {
    (void)arg;
    turn_task t;
    weft_fork(&t, turn, .a = 1, .b = 2, .c = 3);
    triple got = weft_join(&t, turn);
    CHECK(got.a == 3 && got.b == 1 && got.c == 2);
    grow_task g;
    weft_fork(&g, grow, {1, 2, 3});
    big b = weft_join(&g, grow);
    CHECK(b.bytes[0] == 2 && b.bytes[2] == 4 && b.bytes[999] == 1);
    int seven = 0;
    weft_fn_task f;
    weft_fork_fn(&f, set_seven, &seven);
    weft_join_fn(&f);
    CHECK_EQ(seven, 7);
    CHECK_EQ(sizeof(fib_task), 64);
}
TEST(inputs_and_results_are_structs_by_value_or_pointers) { everywhere(forms, NULL); }

/* A kernel calls a function that uses the general form, and the other way round. */
static long mixed(weft_head k, long n);
WEFT_KERNEL(mixed, long, long);
static long mixed(weft_head k, long n) {
    if (n < 2) return n;
    mixed_task child;
    weft_head h = weft_kernel_fork(k, &child, mixed, n - 2);
    long a = n % 3 ? mixed(h, n - 1) : fib(n - 1);
    return a + weft_kernel_join(&child, mixed);
}
static void mixed_body(void *arg) {
    (void)arg;
    fib_task outside;
    weft_fork(&outside, fib, 10);
    CHECK_EQ(mixed(weft_kernel_head(), 22), 17711);
    CHECK_EQ(weft_join(&outside, fib), 55);
}
TEST(kernels_and_the_general_form_mix) { everywhere(mixed_body, NULL); }

/* ---- depth ------------------------------------------------------------------------------------------- */

/* Each level forks the next and joins it at once: a chain of inlined calls far deeper than one stack. */
static long chain(long n);
WEFT_TASK(chain, long, long);
static long chain(long n) {
    volatile char frame[256];
    frame[0] = (char)n;
    if (n == 0) return 0;
    chain_task child;
    weft_fork(&child, chain, n - 1);
    return weft_join(&child, chain) + 1 + (frame[0] - (char)n);
}
static void chain_body(void *arg) { CHECK_EQ(chain(*(long *)arg), *(long *)arg); }
TEST(a_join_that_would_not_fit_moves_to_another_stack) {
    for (unsigned i = 0; i < 3; i++) {
        long depth = 20000;
        weft_options o = WEFT_OPTIONS(.workers = worker_counts[i]);
        CHECK_EQ(weft_run(&o, chain_body, &depth), WEFT_OK);
        o.stack_bytes = 16 * 1024;
        CHECK_EQ(weft_run(&o, chain_body, &depth), WEFT_OK);
    }
}

/* ---- misuse ------------------------------------------------------------------------------------------ */

static void joined_twice(void *arg) {
    (void)arg;
    twice_task t;
    weft_fork(&t, twice, 1);
    (void)weft_join(&t, twice);
    (void)weft_join(&t, twice);
}
static void run_1(void *fn) {
    weft_options o = WEFT_OPTIONS(.workers = 1);
    weft_run(&o, (void (*)(void *))fn, NULL);
}
TEST(a_second_join_is_refused) {
    EXPECT_DEATH(run_1, joined_twice, SIGABRT, "joined twice");
    EXPECT_DEATH(joined_twice, NULL, SIGABRT, "joined twice");
}

static void never_joined(void *arg) {
    (void)arg;
    static twice_task t;
    weft_fork(&t, twice, 1);
}
TEST(a_task_that_returns_with_a_child_outstanding_is_refused) {
    EXPECT_DEATH(run_1, never_joined, SIGABRT, "without joining a child");
}

__attribute__((noinline)) static void forks_and_returns(void) {
    twice_task t;
    weft_fork(&t, twice, 1);
    __asm__ volatile("" ::"r"(&t) : "memory");
}
static void outlived(void *arg) {
    (void)arg;
    twice_task mine;
    weft_fork(&mine, twice, 1);
    forks_and_returns();
    (void)weft_join(&mine, twice);
}
TEST(a_descriptor_that_outlives_its_frame_is_refused) {
    EXPECT_DEATH(run_1, outlived, SIGABRT, "frame returned before it was joined");
}

TEST_MAIN
