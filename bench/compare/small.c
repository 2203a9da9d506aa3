/* bench/compare/small.c -- the workloads whose tasks do next to nothing: fib, skynet, small100.
 * Compiled at -O2.  The direct functions are the forking ones without the forks,
 * and the spawning ones are those with weft_spawn for weft_fork and weft_await for weft_join.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <pthread.h>

#include "../common/serial.h"
#include "compare.h"

/* ---- fib: a task is an internal node of the call tree, which forks one child ---- */

BENCH_SERIAL long fib(long n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static long fib_forked(long n);
WEFT_TASK(fib_forked, long, long);

static long fib_forked(long n) {
    if (n < 2) return n;
    fib_forked_task child;
    weft_fork(&child, fib_forked, n - 2);
    long a = fib_forked(n - 1);
    return a + weft_join(&child, fib_forked);
}

static long fib_spawned(long n);
WEFT_TASK(fib_spawned, long, long);

static long fib_spawned(long n) {
    if (n < 2) return n;
    fib_spawned_fiber child;
    long b = 0;
    must(weft_spawn(&child, fib_spawned, n - 2));
    long a = fib_spawned(n - 1);
    must(weft_await(child, fib_spawned, &b));
    weft_drop(child);
    return a + b;
}

static uint64_t fib_nodes(long n) {
    uint64_t a = 0, b = 1; /* fib(n + 1) - 1 of them */
    for (long i = 0; i <= n; i++) {
        uint64_t next = a + b;
        a = b;
        b = next;
    }
    return a - 1;
}

static long fib_size(job *j) {
    long n = ((const sizes *)j->data)->fib;
    j->tasks = fib_nodes(n);
    return n;
}

static uint64_t fib_direct_round(job *j) {
    return (uint64_t)fib(fib_size(j));
}
static uint64_t fib_fork_round(job *j) {
    return (uint64_t)fib_forked(fib_size(j));
}
static uint64_t fib_fiber_round(job *j) {
    return (uint64_t)fib_spawned(fib_size(j));
}

const workload work_fib = {
    .name = "fib",
    .task = "a call that forks",
    .round = {[MODE_DIRECT] = fib_direct_round, [MODE_FORK] = fib_fork_round, [MODE_FIBER] = fib_fiber_round},
};

/* ---- skynet: ten children each down to the leaves, which answer their number; a task is a node ---- */

enum { CHILDREN = 10 };

BENCH_SERIAL long node(long first, long leaves) {
    if (leaves == 1) return first;
    long sum = 0, each = leaves / CHILDREN;
    for (int i = 0; i < CHILDREN; i++) sum += node(first + i * each, each);
    return sum;
}

typedef struct span {
    long first, leaves;
} span;

static long node_forked(span s);
WEFT_TASK(node_forked, long, span);

static long node_forked(span s) {
    if (s.leaves == 1) return s.first;
    node_forked_task child[CHILDREN];
    long sum = 0, each = s.leaves / CHILDREN;
    for (int i = 0; i < CHILDREN; i++) weft_fork(&child[i], node_forked, s.first + i * each, each);
    for (int i = CHILDREN; i-- > 0;) sum += weft_join(&child[i], node_forked);
    return sum;
}

static long node_spawned(span s);
WEFT_TASK(node_spawned, long, span);

static long node_spawned(span s) {
    if (s.leaves == 1) return s.first;
    node_spawned_fiber child[CHILDREN];
    long sum = 0, each = s.leaves / CHILDREN;
    for (int i = 0; i < CHILDREN; i++) must(weft_spawn(&child[i], node_spawned, s.first + i * each, each));
    for (int i = 0; i < CHILDREN; i++) {
        long below = 0;
        must(weft_await(child[i], node_spawned, &below));
        weft_drop(child[i]);
        sum += below;
    }
    return sum;
}

static long skynet_size(job *j) {
    long leaves = ((const sizes *)j->data)->leaves;
    j->tasks = 0;
    for (long level = leaves; level > 0; level /= CHILDREN) j->tasks += (uint64_t)level;
    return leaves;
}

static uint64_t skynet_direct_round(job *j) {
    return (uint64_t)node(0, skynet_size(j));
}
static uint64_t skynet_fork_round(job *j) {
    return (uint64_t)node_forked((span){0, skynet_size(j)});
}
static uint64_t skynet_fiber_round(job *j) {
    return (uint64_t)node_spawned((span){0, skynet_size(j)});
}

const workload work_skynet = {
    .name = "skynet",
    .task = "a node",
    .round = {[MODE_DIRECT] = skynet_direct_round,
              [MODE_FORK] = skynet_fork_round,
              [MODE_FIBER] = skynet_fiber_round},
};

/* ---- small100: a hundred tasks from one parent, task i answers 2 * i ---- */

enum { SMALL = 100 };

__attribute__((noinline)) static long twice(long id) {
    __asm__ volatile("" : "+r"(id));
    return 2 * id;
}
WEFT_TASK(twice, long, long);

static uint64_t small_direct_round(job *j) {
    long sum = 0;
    j->tasks = SMALL;
    for (long i = 0; i < SMALL; i++) sum += twice(i);
    return (uint64_t)sum;
}

static uint64_t small_fork_round(job *j) {
    twice_task task[SMALL];
    long sum = 0;
    j->tasks = SMALL;
    for (long i = 0; i < SMALL; i++) weft_fork(&task[i], twice, i);
    for (long i = SMALL; i-- > 0;) sum += weft_join(&task[i], twice);
    return (uint64_t)sum;
}

static uint64_t small_fiber_round(job *j) {
    twice_fiber fiber[SMALL];
    long sum = 0;
    j->tasks = SMALL;
    for (long i = 0; i < SMALL; i++) must(weft_spawn(&fiber[i], twice, i));
    for (long i = 0; i < SMALL; i++) {
        long got = 0;
        must(weft_await(fiber[i], twice, &got));
        weft_drop(fiber[i]);
        sum += got;
    }
    return (uint64_t)sum;
}

static void *small_thread(void *arg) {
    return (void *)twice((long)arg);
}

static uint64_t small_threads_round(job *j) {
    pthread_t thread[SMALL];
    long sum = 0, started = 0;
    j->tasks = SMALL;
    while (started < SMALL && pthread_create(&thread[started], NULL, small_thread, (void *)started) == 0)
        started++;
    for (long i = 0; i < started; i++) {
        void *got;
        pthread_join(thread[i], &got);
        sum += (long)got;
    }
    if (started < SMALL) j->error = "100 threads cannot be started here";
    return (uint64_t)sum;
}

const workload work_small100 = {
    .name = "small100",
    .task = "a function that returns twice its number",
    .threads = SMALL,
    .round = {[MODE_DIRECT] = small_direct_round,
              [MODE_FORK] = small_fork_round,
              [MODE_FIBER] = small_fiber_round,
              [MODE_THREADS] = small_threads_round},
};
