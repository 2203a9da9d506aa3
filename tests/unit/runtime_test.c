/* Opening, calling, closing: what works and what is refused, with which code.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/heap.h"
#include "alloc/san.h"
#include "sched/registry.h"
#include <pthread.h>
#include <weft/fork.h>
#include <weft/runtime.h>

static void add_one(void *arg) { ++*(int *)arg; }

TEST(run_runs_the_function_on_a_worker_and_returns) {
    int x = 1;
    CHECK_EQ(weft_run(NULL, add_one, &x), WEFT_OK);
    CHECK_EQ(x, 2);
    weft_options o = WEFT_OPTIONS(.workers = 3, .pin = true, .stack_bytes = 1 << 20);
    CHECK_EQ(weft_run(&o, add_one, &x), WEFT_OK);
    CHECK_EQ(x, 3);
}

TEST(bad_options_are_refused_with_a_code) {
    weft_runtime *rt = (weft_runtime *)&rt;
    weft_options o = WEFT_OPTIONS(.workers = 1025);
    CHECK_EQ(weft_open(&o, &rt), WEFT_E_INVALID);
    CHECK(rt == NULL);
    o = WEFT_OPTIONS(.workers = 1u << 31);
    CHECK_EQ(weft_run(&o, add_one, NULL), WEFT_E_INVALID);
    o = WEFT_OPTIONS(.stack_bytes = (size_t)1 << 40);
    CHECK_EQ(weft_open(&o, &rt), WEFT_E_INVALID);
    o = (weft_options){.workers = 1};
    CHECK_EQ(weft_open(&o, &rt), WEFT_E_SIZE);
    o = (weft_options){.size = sizeof o + 8};
    CHECK_EQ(weft_open(&o, &rt), WEFT_E_SIZE);
    CHECK_EQ(weft_open(NULL, NULL), WEFT_E_INVALID);
    CHECK_EQ(weft_run(NULL, NULL, NULL), WEFT_E_INVALID);
}

TEST(zero_workers_means_one_for_each_processor) {
    weft_runtime *rt;
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 0), &rt), WEFT_OK);
    CHECK_EQ(weft_workers(rt), weft__os_cpus());
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

TEST(every_code_has_a_text_that_is_a_sentence) {
    for (int e = WEFT_OK; e <= WEFT_E_FORKED + 1; e++) CHECK(strlen(weft_err_text((weft_err)e)) > 10);
}

TEST(a_closed_runtime_is_an_error_not_a_crash) {
    weft_runtime *rt, *other;
    int x = 0;
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 1), &rt), WEFT_OK);
    CHECK_EQ(weft_call(rt, add_one, &x), WEFT_OK);
    CHECK_EQ(weft_call(rt, NULL, &x), WEFT_E_INVALID);
    CHECK_EQ(weft_close(rt), WEFT_OK);
    CHECK_EQ(weft_call(rt, add_one, &x), WEFT_E_CLOSED);
    CHECK_EQ(weft_close(rt), WEFT_E_CLOSED);
    CHECK_EQ(weft_workers(rt), 0);
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 1), &other), WEFT_OK);
    CHECK_EQ(weft_call(rt, add_one, &x), WEFT_E_CLOSED); /* its slot has a new tenant */
    CHECK_EQ(weft_call(NULL, add_one, &x), WEFT_E_CLOSED);
    CHECK_EQ(weft_call((weft_runtime *)&x, add_one, &x), WEFT_E_CLOSED);
    CHECK_EQ(weft_close(other), WEFT_OK);
    CHECK_EQ(x, 1);
}

typedef struct inside {
    weft_runtime *rt;
    weft_err run, call, close;
    unsigned workers;
    int index;
} inside;

static void from_inside(void *arg) {
    inside *in = arg;
    int x = 0;
    in->run = weft_run(NULL, add_one, &x);
    in->call = weft_call(in->rt, add_one, &x);
    in->close = weft_close(in->rt);
    in->workers = weft_workers(NULL);
    in->index = weft_worker_index();
    CHECK_EQ(x, 0);
}

TEST(calls_that_would_block_a_worker_are_refused) {
    inside in = {0};
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 2), &in.rt), WEFT_OK);
    CHECK_EQ(weft_call(in.rt, from_inside, &in), WEFT_OK);
    CHECK_EQ(in.run, WEFT_E_INSIDE);
    CHECK_EQ(in.call, WEFT_E_INSIDE);
    CHECK_EQ(in.close, WEFT_E_INSIDE);
    CHECK_EQ(in.workers, 2);
    CHECK(in.index == 0 || in.index == 1);
    CHECK_EQ(weft_worker_index(), -1);
    CHECK_EQ(weft_workers(NULL), 0);
    CHECK_EQ(weft_close(in.rt), WEFT_OK);
}

TEST(many_runtimes_may_be_open_and_one_more_is_refused) {
    /* Sanitizers have little address space to spare beside their shadows. */
    enum { MOST = WEFT__SAN_STACKS > 1 ? 16 : REGISTRY_SLOTS };
    weft_runtime *rt[MOST], *more;
    int x = 0;
    unsigned n = 0;
    for (; n < MOST; n++)
        if (weft_open(&WEFT_OPTIONS(.workers = 1, .stack_bytes = 16384), &rt[n]) != WEFT_OK) break;
    CHECK(n >= 8); /* threads or address space may be short; slots are not */
    if (n == REGISTRY_SLOTS) CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 1), &more), WEFT_E_LIMIT);
    for (unsigned i = 0; i < n; i++) CHECK_EQ(weft_call(rt[i], add_one, &x), WEFT_OK);
    CHECK_EQ(x, (int)n);
    for (unsigned i = 0; i < n; i++) CHECK_EQ(weft_close(rt[i]), WEFT_OK);
}

/* ---- many callers ------------------------------------------------------------------------------------ */

static long sum_to(long n);
WEFT_TASK(sum_to, long, long);
static long sum_to(long n) {
    if (n <= 8) return n * (n + 1) / 2;
    sum_to_task t;
    weft_fork(&t, sum_to, n - 1);
    return n + weft_join(&t, sum_to);
}
static void call_sum(void *arg) { *(long *)arg = sum_to(*(long *)arg); }

static void *caller(void *arg) {
    for (long i = 0; i < 200; i++) {
        long n = 100 + i % 7, want = n * (n + 1) / 2;
        CHECK_EQ(weft_call(arg, call_sum, &n), WEFT_OK);
        CHECK_EQ(n, want);
    }
    return NULL;
}

TEST(plain_threads_may_call_at_the_same_time) {
    weft_runtime *rt;
    pthread_t t[4];
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 2), &rt), WEFT_OK);
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&t[i], NULL, caller, rt), 0);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

TEST(the_idle_mask_has_room_for_more_workers_than_a_word) {
    weft_runtime *rt;
    long n = 1000;
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 130, .stack_bytes = 16384), &rt), WEFT_OK);
    CHECK_EQ(weft_workers(rt), 130);
    for (int i = 0; i < 20; i++) {
        n = 1000;
        CHECK_EQ(weft_call(rt, call_sum, &n), WEFT_OK);
        CHECK_EQ(n, 500500);
    }
    weft_stats s = {.size = sizeof s};
    CHECK_EQ(weft_runtime_stats(rt, &s), WEFT_OK);
    s.size = 3;
    CHECK_EQ(weft_runtime_stats(rt, &s), WEFT_E_SIZE);
    CHECK_EQ(weft_runtime_stats(rt, NULL), WEFT_E_INVALID);
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

TEST(opening_and_closing_leaves_no_memory_behind) {
    int x = 0;
    weft_run(NULL, add_one, &x);
    uint64_t before = weft__heap_live();
    for (int i = 0; i < 50; i++) CHECK_EQ(weft_run(NULL, add_one, &x), WEFT_OK);
    CHECK_EQ(weft__heap_live(), before);
}

TEST_MAIN
