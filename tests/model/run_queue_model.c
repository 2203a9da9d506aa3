/* tests/model/run_queue_model.c -- sched/run_queue.h with two slots: one producer that also pops, thieves that take half.
 *
 * Items are numbers from 1; a push writes the item's plain contents first.  What must hold: each item is got by exactly
 * one, who sees its contents; nothing is got that was not pushed; a slot is not overwritten while somebody may still get
 * what was in it.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#define RUN_QUEUE_SLOTS 2u
#include "sched/run_queue.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { P_PUSHES, P_POPS, P_TAKES, P_START };
enum { ITEMS = 8 };

static run_queue q;
static model_data contents[ITEMS];
static model_count got[ITEMS], taken;

/* Mutants by flag. */
static bool no_room_test, read_late;

static void setup(void) {
    uint32_t start = (uint32_t)model_instance_->param[P_START];
    atomic_init(&q.head, start);
    atomic_init(&q.tail, start);
    for (unsigned i = 0; i < RUN_QUEUE_SLOTS; i++) atomic_init(&q.slot[i], 0);
    memset(contents, 0, sizeof contents);
    memset(got, 0, sizeof got);
    taken = 0;
}

static void get(uintptr_t item) {
    model_check(item >= 1 && item < ITEMS);
    model_check(model_count_add(&got[item], 1) == 1);
    model_check(model_read(&contents[item]) == item + 100);
    model_count_add(&taken, 1);
}

static bool push_anyway(uintptr_t item) {
    uint32_t tail = atom_load_rlx(&q.tail);
    atom_store_rlx(&q.slot[tail % RUN_QUEUE_SLOTS], item);
    atom_store_seq(&q.tail, tail + 1);
    return true;
}

static void produce(void) {
    uintptr_t next = 1;
    for (int i = 0; i < model_instance_->param[P_PUSHES]; i++, next++) {
        model_write(&contents[next], next + 100);
        if (!(no_room_test ? push_anyway(next) : run_queue_push(&q, next))) get(next); /* full: it stays private */
    }
    for (int i = 0; i < model_instance_->param[P_POPS]; i++) {
        uintptr_t item;
        bool lost = false;
        if (run_queue_take(&q, &item, 1, &lost)) get(item);
    }
}

/* The slots are read after the claim. */
static uint32_t take_reading_late(uintptr_t *out) {
    uint32_t head = atom_load_acq(&q.head), n = atom_load_acq(&q.tail) - head;
    if (n == 0 || n > RUN_QUEUE_SLOTS) return 0;
    n -= n / 2;
    if (!atom_cas_ar(&q.head, &head, head + n)) return 0;
    for (uint32_t i = 0; i < n; i++) out[i] = atom_load_rlx(&q.slot[(head + i) % RUN_QUEUE_SLOTS]);
    return n;
}

static void steal(void) {
    for (int i = 0; i < model_instance_->param[P_TAKES]; i++) {
        uintptr_t out[RUN_QUEUE_SLOTS];
        bool lost = false;
        uint32_t n = read_late ? take_reading_late(out) : run_queue_take(&q, out, RUN_QUEUE_SLOTS, &lost);
        for (uint32_t k = 0; k < n; k++) get(out[k]);
    }
}

static void thread(unsigned self) {
    if (self == 0)
        produce();
    else
        steal();
}

/* What was not taken is still there. */
static void finish(void) {
    uint32_t left = atomic_load_explicit(&q.tail, memory_order_relaxed) - atomic_load_explicit(&q.head, memory_order_relaxed);
    model_check(taken + left == (unsigned)model_instance_->param[P_PUSHES]);
}

static const model_instance instances[] = {
    {.name = "one-thief", .threads = 2, .param = {3, 1, 2, 0}},
    {.name = "one-thief-long", .threads = 2, .param = {5, 2, 3, 0}},
    {.name = "two-thieves", .threads = 3, .param = {3, 1, 1, 0}},
    {.name = "wrap", .threads = 2, .param = {4, 1, 2, -2}},
    {0},
};

static const model_mutant mutants[] = {
    {"push-relaxed", "one-thief", NULL, "run_queue_push", "store_seq(&q->tail)", "rlx"},
    {"tail-relaxed", "one-thief", NULL, "run_queue_take", "load_acq(&q->tail)", "rlx"},
    {"no-room-test", "one-thief-long", &no_room_test, NULL, NULL, NULL},
    {"slots-read-after-claim", "one-thief-long", &read_late, NULL, NULL, NULL},
    {0},
};

const model the_model = {"run_queue", setup, thread, finish, NULL, 0, instances, mutants};
