/* What a parent offers, and to how many.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "sched/registry.h"
#include "sched/thread.h"
#include <sched.h>
#include <stdatomic.h>
#include <weft/fork.h>
#include <weft/runtime.h>

enum { WORKERS = 4 };

static unsigned asleep(runtime *rt) {
    return (unsigned)__builtin_popcountll(atom_load_seq(&rt->idle.mask[0]));
}

static uint64_t published(runtime *rt) {
    uint64_t n = 0;
    for (unsigned i = 0; i < rt->n_workers; i++) n += atom_load_rlx(&rt->workers[i].stats.published);
    return n;
}

static _Atomic int go;
static int waits(int x);
WEFT_TASK(waits, int, int);
static int waits(int x) {
    while (!atomic_load(&go)) sched_yield();
    return x;
}

/* All the others sleep; then as many children are forked, and nothing else is done. */
static void forks_for_all(void *arg) {
    (void)arg;
    runtime *rt = thread_fiber()->w->rt;
    waits_task t[WORKERS - 1];
    atomic_store(&go, 0);
    while (asleep(rt) != WORKERS - 1) sched_yield();
    uint64_t before = published(rt);
    for (int i = 0; i < WORKERS - 1; i++) weft_fork(&t[i], waits, i);
    CHECK_EQ(published(rt) - before, WORKERS - 1);
    atomic_store(&go, 1);
    for (int i = WORKERS - 2; i >= 0; i--) CHECK_EQ(weft_join(&t[i], waits), i);
}

TEST(a_parent_offers_as_many_children_as_workers_sleep) {
    for (int i = 0; i < 20; i++)
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = WORKERS), forks_for_all, NULL), WEFT_OK);
}

/* Forked before anybody asked, offered between the joins. */
static void joins_offer(void *arg) {
    enum { MANY = 200 };
    (void)arg;
    runtime *rt = thread_fiber()->w->rt;
    waits_task t[MANY];
    atomic_store(&go, 1);
    for (int i = 0; i < MANY; i++) weft_fork(&t[i], waits, i);
    uint64_t before = published(rt);
    for (int i = MANY - 1; i >= 0; i--) {
        if (i % 10 == 0) atom_or_rlx(thread_fiber()->w->attn, ATTN_WANT);
        CHECK_EQ(weft_join(&t[i], waits), i);
    }
    CHECK(published(rt) > before);
}
TEST(a_join_offers_what_is_left) {
    if (WEFT__RARE) return; /* everything is offered at once */
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), joins_offer, NULL), WEFT_OK);
}

TEST_MAIN
