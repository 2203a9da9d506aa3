/* Random fork/join programs: each child exactly once, each result at its joiner, whatever is stolen.
 *
 * A program is a tree drawn from a seed: each node forks a random number of children, some in the general form
 * and some in the kernel form, joins them in a random legal order, and adds up.  Leaves count themselves in a
 * bitmap with an atomic exchange, so that a child run twice or not at all is seen.  The same tree run by plain
 * calls gives the expected sum.
 *   fork_stress [seed [programs]]
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/san.h"
#include "sched/audit.h"
#include "sched/registry.h"
#include <sched.h>
#include <stdatomic.h>
#include <weft/kernel.h>
#include <weft/runtime.h>

enum { WIDTH = 6, DEPTH = 7, IDS = 1 << 16 };

static uint64_t base_seed = 1;
static int programs = WEFT__SAN_STACKS > 1 ? 20 : 150;
static _Atomic unsigned char seen[IDS];
static _Atomic uint32_t next_id;

typedef struct node_in {
    uint64_t seed;
    int depth;
} node_in;

static uint64_t mix(uint64_t x) {
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static int width_of(node_in in) { return in.depth == 0 ? 0 : (int)(mix(in.seed) % (WIDTH + 1)); }
static node_in child_of(node_in in, int i) {
    return (node_in){mix(in.seed + 0x9e37u * (unsigned)(i + 1)), in.depth - 1};
}

static uint64_t plain(node_in in) {
    uint64_t sum = mix(in.seed ^ 5);
    for (int i = 0, n = width_of(in); i < n; i++) sum = sum * 31 + plain(child_of(in, i));
    return sum;
}

static void count_me(void) {
    uint32_t id = atomic_fetch_add(&next_id, 1);
    if (id < IDS) CHECK_EQ(atomic_exchange(&seen[id], 1), 0);
}

/* Some nodes dawdle, so that joins find their children stolen and unfinished. */
static void dawdle(uint64_t seed) {
    if (mix(seed ^ 9) % 16) return;
    for (volatile int i = 0; i < 2000; i++) {}
    if (mix(seed ^ 10) % 4 == 0) sched_yield();
}

static uint64_t general(node_in in);
WEFT_TASK(general, uint64_t, node_in);
static uint64_t kernel(weft_head k, node_in in);
WEFT_KERNEL(kernel, uint64_t, node_in);

/* Joined in a random order. */
static uint64_t general(node_in in) {
    count_me();
    dawdle(in.seed);
    general_task t[WIDTH];
    uint64_t got[WIDTH], sum = mix(in.seed ^ 5);
    int n = width_of(in), order[WIDTH];
    for (int i = 0; i < n; i++) {
        node_in c = child_of(in, i);
        weft_fork(&t[i], general, c.seed, c.depth);
        order[i] = i;
    }
    for (int i = n - 1; i > 0; i--) {
        int j = (int)(mix(in.seed + (unsigned)i) % (uint64_t)(i + 1)), x = order[i];
        order[i] = order[j];
        order[j] = x;
    }
    for (int i = 0; i < n; i++) got[order[i]] = weft_join(&t[order[i]], general);
    for (int i = 0; i < n; i++) sum = sum * 31 + got[i];
    return sum;
}

/* Joined last in, first out; every fourth child is a call of the general form. */
static uint64_t kernel(weft_head k, node_in in) {
    count_me();
    dawdle(in.seed);
    kernel_task t[WIDTH];
    uint64_t got[WIDTH], sum = mix(in.seed ^ 5);
    int n = width_of(in);
    weft_head h = k;
    for (int i = 0; i < n; i++) {
        node_in c = child_of(in, i);
        if (i % 4 != 3) h = weft_kernel_fork(h, &t[i], kernel, c.seed, c.depth);
    }
    for (int i = n - 1; i >= 0; i--)
        got[i] = i % 4 != 3 ? weft_kernel_join(&t[i], kernel) : general(child_of(in, i));
    for (int i = 0; i < n; i++) sum = sum * 31 + got[i];
    return sum;
}

typedef struct program {
    node_in root;
    uint64_t answer;
    bool use_kernel;
} program;

static void run_program(void *arg) {
    program *p = arg;
    p->answer = p->use_kernel ? kernel(weft_kernel_head(), p->root) : general(p->root);
}

static void stress(unsigned workers) {
    weft_runtime *rt;
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = workers), &rt), WEFT_OK);
    for (int i = 0; i < programs; i++) {
        program p = {.root = {mix(base_seed + (uint64_t)i), DEPTH}, .use_kernel = i & 1};
        memset((void *)seen, 0, sizeof seen);
        atomic_store(&next_id, 0);
        CHECK_EQ(weft_call(rt, run_program, &p), WEFT_OK);
        if (p.answer != plain(p.root)) {
            fprintf(stderr, "seed %llu program %d on %u workers: wrong answer\n", (unsigned long long)base_seed, i,
                    workers);
            abort();
        }
    }
    weft_stats s = {.size = sizeof s};
    CHECK_EQ(weft_runtime_stats(rt, &s), WEFT_OK);
    fprintf(stderr, "    published %llu, stolen %llu, taken back %llu, suspended %llu\n",
            (unsigned long long)s.published, (unsigned long long)s.stolen, (unsigned long long)s.taken_back,
            (unsigned long long)s.suspended);
    if (workers == 1) CHECK_EQ(s.stolen, 0);
    runtime *inner = weft__registry_enter(rt);
    weft__audit_quiet(inner);
    weft__registry_leave(rt);
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

TEST(each_child_runs_once_on_one_worker) { stress(1); }
TEST(each_child_runs_once_on_two_workers) { stress(2); }
TEST(each_child_runs_once_on_eight_workers) { stress(8); }

int main(int argc, char **argv) {
    if (argc > 1) base_seed = strtoull(argv[1], NULL, 0);
    if (argc > 2) programs = atoi(argv[2]);
    fprintf(stderr, "seed %llu, %d programs\n", (unsigned long long)base_seed, programs);
    return test_main(1, argv);
}
