/* The public run queue under fire: one owner pushes and pops, thieves take half; each item exactly once, in order.
 *
 * Items are numbers in the order of their pushes.  Whoever gets one marks it with an exchange.  A batch must be a run
 * of consecutive numbers, and each consumer's numbers must grow: first in, first out.  The indices start shortly
 * before 2^32, so every run wraps.  The owner's moves come from a seed.
 *   run_queue_stress [seed]
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/san.h"
#include "sched/run_queue.h"
#include <pthread.h>
#include <sched.h>

enum { ITEMS = WEFT__SAN_STACKS > 1 ? 200000 : 2000000, MOST_THIEVES = 8, WRAP_AFTER = 1000 };

typedef struct cell {
    uint32_t number; /* plain: published with the item */
    _Atomic uint32_t taken;
} cell;

static cell cells[ITEMS];
static run_queue q;
static _Atomic uint32_t closed, there;
static uint64_t seed = 1;

static uint64_t draw(uint64_t below) {
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % below;
}

/* `next`: the smallest number this consumer may still see. */
static void got(uintptr_t item, uint32_t *next) {
    cell *c = (cell *)item;
    CHECK(c >= cells && c < cells + ITEMS);
    CHECK_EQ(c->number, (uint32_t)(c - cells));
    CHECK_EQ(atom_xchg_rlx(&c->taken, 1), 0);
    CHECK(c->number >= *next);
    *next = c->number + 1;
}

/* Items taken by one thief, and how often somebody was faster. */
typedef struct thief_log {
    uint64_t taken, batches, lost;
} thief_log;

static void *thief(void *arg) {
    thief_log *log = arg;
    uintptr_t out[RUN_QUEUE_SLOTS / 2];
    uint32_t next = 0;
    atom_add_ar(&there, 1);
    for (;;) {
        bool lost, last = atom_load_acq(&closed);
        uint32_t n = run_queue_take(&q, out, RUN_QUEUE_SLOTS / 2, &lost);
        CHECK(n <= RUN_QUEUE_SLOTS / 2);
        CHECK(n == 0 || !lost);
        for (uint32_t i = 0; i < n; i++) {
            if (i) CHECK_EQ(((cell *)out[i])->number, ((cell *)out[i - 1])->number + 1);
            got(out[i], &next);
        }
        log->taken += n;
        log->batches += n != 0;
        log->lost += lost;
        if (n == 0 && !lost && last) return NULL;
        if (n == 0 && !lost) sched_yield();
    }
}

/* Returns how many it got itself. */
static uint64_t owner(int thieves) {
    uint64_t mine = 0;
    uint32_t pushed = 0, next = 0;
    while (pushed < ITEMS) {
        for (uint64_t n = 1 + draw(RUN_QUEUE_SLOTS + 40); n > 0 && pushed < ITEMS; n--) {
            cells[pushed].number = pushed;
            if (!run_queue_push(&q, (uintptr_t)&cells[pushed])) break; /* full: the same one again later */
            pushed++;
        }
        CHECK(run_queue_size(&q) <= RUN_QUEUE_SLOTS);
        for (uint64_t n = thieves ? draw(100) : RUN_QUEUE_SLOTS; n > 0; n--) {
            uintptr_t item = run_queue_pop(&q);
            if (!item) break;
            got(item, &next);
            mine++;
        }
        if (draw(8) == 0) sched_yield();
    }
    for (uintptr_t item; (item = run_queue_pop(&q)) != 0; mine++) got(item, &next);
    return mine;
}

static void run(int thieves) {
    pthread_t t[MOST_THIEVES];
    thief_log log[MOST_THIEVES];
    uint64_t stolen = 0, batches = 0, lost = 0;
    memset(cells, 0, sizeof cells);
    memset(log, 0, sizeof log);
    memset(&q, 0, sizeof q);
    atom_store_rlx(&q.head, 0u - WRAP_AFTER);
    atom_store_rlx(&q.tail, 0u - WRAP_AFTER);
    atom_store_rlx(&closed, 0);
    atom_store_rlx(&there, 0);
    for (int i = 0; i < thieves; i++) CHECK_EQ(pthread_create(&t[i], NULL, thief, &log[i]), 0);
    while (atom_load_acq(&there) != (uint32_t)thieves) sched_yield();
    uint64_t mine = owner(thieves);
    atom_store_rel(&closed, 1);
    for (int i = 0; i < thieves; i++) {
        pthread_join(t[i], NULL);
        stolen += log[i].taken;
        batches += log[i].batches;
        lost += log[i].lost;
    }
    CHECK_EQ(mine + stolen, ITEMS);
    for (int i = 0; i < ITEMS; i++) CHECK_EQ(atom_load_rlx(&cells[i].taken), 1);
    CHECK_EQ(run_queue_size(&q), 0);
    CHECK_EQ(atom_load_rlx(&q.head), (uint32_t)ITEMS - WRAP_AFTER); /* wrapped */
    fprintf(stderr, "    %d thieves took %llu of %d in %llu batches, lost %llu races\n", thieves,
            (unsigned long long)stolen, ITEMS, (unsigned long long)batches, (unsigned long long)lost);
}

TEST(the_owner_alone_gets_every_item_in_order) { run(0); }
TEST(with_one_thief_each_item_is_got_once) { run(1); }
TEST(with_two_thieves_each_item_is_got_once) { run(2); }
TEST(with_eight_thieves_each_item_is_got_once) { run(8); }

TEST(a_full_queue_refuses_and_an_empty_one_gives_nothing_also_across_the_wrap) {
    for (uint32_t start = 0u - RUN_QUEUE_SLOTS - 2; start != 3; start++) {
        uintptr_t out[RUN_QUEUE_SLOTS];
        bool lost;
        memset(&q, 0, sizeof q);
        atom_store_rlx(&q.head, start);
        atom_store_rlx(&q.tail, start);
        CHECK_EQ(run_queue_pop(&q), 0);
        for (uintptr_t i = 1; i <= RUN_QUEUE_SLOTS; i++) CHECK(run_queue_push(&q, i));
        CHECK(!run_queue_push(&q, 999));
        CHECK_EQ(run_queue_size(&q), RUN_QUEUE_SLOTS);
        CHECK_EQ(run_queue_take(&q, out, RUN_QUEUE_SLOTS, &lost), RUN_QUEUE_SLOTS / 2); /* half */
        CHECK(!lost && out[0] == 1 && out[RUN_QUEUE_SLOTS / 2 - 1] == RUN_QUEUE_SLOTS / 2);
        CHECK_EQ(run_queue_take(&q, out, 5, &lost), 5);
        for (uintptr_t i = RUN_QUEUE_SLOTS / 2 + 6; i <= RUN_QUEUE_SLOTS; i++) CHECK_EQ(run_queue_pop(&q), i);
        CHECK_EQ(run_queue_pop(&q), 0);
        CHECK(run_queue_push(&q, 7));
        CHECK_EQ(run_queue_take(&q, out, RUN_QUEUE_SLOTS, &lost), 1); /* the half of one is one */
    }
}

int main(int argc, char **argv) {
    if (argc > 1) seed = strtoull(argv[1], NULL, 0);
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    return test_main(1, argv);
}
