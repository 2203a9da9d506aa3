/* tests/model/spin_model.c -- alloc/spin.h: threads that count under one lock.
 *
 * What must hold: one at a time, who sees what the last one wrote; and everybody gets it.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/spin.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { P_ROUNDS };

static spin lock;
static model_data count;

/* Mutants by flag. */
static bool look_then_take, no_unlock, unlock_early;

void weft__os_yield(void) {}

static void setup(void) {
    atomic_init(&lock.held, 0);
    memset(&count, 0, sizeof count);
}

static void take_in_two_steps(void) {
    while (atom_load_acq(&lock.held)) arch_relax();
    atom_store_rlx(&lock.held, 1);
}

static void thread(unsigned self) {
    (void)self;
    for (int i = 0; i < model_instance_->param[P_ROUNDS]; i++) {
        model_forget((uint64_t)i);
        if (look_then_take)
            take_in_two_steps();
        else
            spin_lock(&lock);
        if (unlock_early) spin_unlock(&lock);
        model_write(&count, model_read(&count) + 1);
        if (!no_unlock && !unlock_early) spin_unlock(&lock);
    }
}

static void finish(void) {
    model_check(count.value == model_instance_->threads * (unsigned)model_instance_->param[P_ROUNDS]);
}

static const model_instance instances[] = {
    {.name = "two", .threads = 2, .param = {2}},
    {.name = "three", .threads = 3, .param = {2}},
    {.name = "four", .threads = 4, .param = {1}},
    {0},
};

static const model_mutant mutants[] = {
    {"look-then-take", "two", &look_then_take, NULL, NULL, NULL},
    {"no-unlock", "two", &no_unlock, NULL, NULL, NULL},
    {"unlock-early", "two", &unlock_early, NULL, NULL, NULL},
    {0},
};

const model the_model = {"spin", setup, thread, finish, NULL, 0, instances, mutants};
