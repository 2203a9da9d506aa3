/* tests/model/bias_model.c -- sched/bias.h: threads that count under one lock, of which one may be the owner.
 *
 * Letters of the script: W the owner's worker, V another worker, P a thread that is never an owner.  As a parameter: whether W is
 * the owner at first.  What must hold: one at a time, who sees what the last one wrote; and everybody gets it.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#define BIAS_AFTER 1u
#include "sched/bias.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { P_OWNED, P_FIRST, P_OTHERS }; /* rounds of the first thread, and of each other one */

static biased b;
static model_data count;

/* Mutants by flag. */
static bool unlock_early, home_changes, no_second_look, no_wait;

void weft__os_yield(void) {}
bool weft__bias_possible(void) { return true; }

static void setup(void) {
    uintptr_t owner = model_instance_->param[P_OWNED] ? 'W' : 0;
    memset(&b, 0, sizeof b);
    bias_init(&b);
    atomic_init(&b.lock, 0);
    atomic_init(&b.held, 0);
    atomic_init(&b.owner, owner);
    b.home = owner;
    b.given = owner != 0;
    memset(&count, 0, sizeof count);
}

static wait_queue *lock(uintptr_t me) {
    if (no_second_look && atom_load_rlx(&b.owner) == me) {
        atom_store_rlx(&b.held, QUEUE_LOCK);
        return &b.held;
    }
    if (no_wait) {
        uintptr_t word;
        queue_lock(&b.lock, &word);
        atom_store_rlx(&b.owner, 0);
        return &b.lock;
    }
    return bias_lock(&b, me);
}

static void thread(unsigned self) {
    char letter = model_instance_->script[self];
    uintptr_t me = letter == 'P' ? 0 : (uintptr_t)letter;
    int rounds = model_instance_->param[self ? P_OTHERS : P_FIRST];
    for (int i = 0; i < rounds; i++) {
        model_forget((uint64_t)i);
        wait_queue *held = (self && no_wait) || no_second_look ? lock(me) : bias_lock(&b, me);
        if (home_changes && held == &b.lock) b.given = false;
        if (unlock_early) bias_unlock(held);
        model_write(&count, model_read(&count) + 1);
        if (!unlock_early) bias_unlock(held);
    }
}

static void finish(void) {
    unsigned others = model_instance_->threads - 1;
    model_check(count.value == (unsigned)model_instance_->param[P_FIRST] + others * (unsigned)model_instance_->param[P_OTHERS]);
}

static const model_instance instances[] = {
    {.name = "owner-and-another", .threads = 2, .param = {1, 2, 1}, .script = "WP"},
    {.name = "owner-and-two", .threads = 3, .param = {1, 2, 1}, .script = "WPV"},
    {.name = "becomes-owner", .threads = 2, .param = {0, 4, 1}, .script = "WP"},
    {.name = "owner-again", .threads = 2, .param = {1, 5, 1}, .script = "WV"},
    {.name = "another-often", .threads = 2, .param = {1, 1, 5}, .script = "WV"},
    {.name = "two-workers", .threads = 2, .param = {0, 3, 3}, .script = "WV"},
    {0},
};

static const model_mutant mutants[] = {
    {"unlock-early", "owner-and-another", &unlock_early, NULL, NULL, NULL},
    {"home-changes", "another-often", &home_changes, NULL, NULL, NULL},
    {"no-second-look", "owner-and-another", &no_second_look, NULL, NULL, NULL},
    {"owner-not-waited-for", "owner-and-another", &no_wait, NULL, NULL, NULL},
    {"no-light-fence", "owner-and-another", NULL, "bias_take", "fence_light()", "rlx"},
    {"no-heavy-fence", "owner-and-another", NULL, "bias_look", "fence_heavy()", "rlx"},
    {"unlock-relaxed", "owner-and-another", NULL, "queue_unlock", "store_rel(q)", "rlx"},
    {"wait-relaxed", "owner-and-another", NULL, "bias_look", "load_acq(&b->held)", "rlx"},
    {0},
};

const model the_model = {"bias", setup, thread, finish, &b.home, sizeof b - offsetof(biased, home), instances, mutants};
