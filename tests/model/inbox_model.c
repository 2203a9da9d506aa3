/* tests/model/inbox_model.c -- sched/inbox.h, and the sleep of the worker it belongs to.
 *
 * Pushers push and then look whether the owner sleeps (weft__wake_this); the owner drains, announces its sleep, looks once
 * more (weft__idle_own in idle_park), and sleeps until it is woken.  A second thread may drain, too (the injection list).
 *
 * What must hold: each item is drained once, with its contents and link visible; the owner does not sleep for ever
 * while something lies there.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/inbox.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { P_PUSHERS, P_EACH, P_DRAINERS };
enum { ITEMS = 8 };

static inbox box;
static model_data contents[ITEMS], links[ITEMS];
static _Atomic uint32_t asleep, permit, drained;
static model_count got[ITEMS];

/* Mutants by flag. */
static bool look_before_push, sleep_without_look, drain_by_two;

static unsigned total(void) {
    return (unsigned)(model_instance_->param[P_PUSHERS] * model_instance_->param[P_EACH]);
}

static void setup(void) {
    atomic_init(&box.newest, 0);
    atomic_init(&asleep, 0);
    atomic_init(&permit, 0);
    atomic_init(&drained, 0);
    memset(contents, 0, sizeof contents);
    memset(links, 0, sizeof links);
    memset(got, 0, sizeof got);
}

static void wake_owner(void) {
    if (atom_load_seq(&asleep) && atom_and_seq(&asleep, 0u)) atom_store_rel(&permit, 1);
}

/* inbox_push writes the link before each try; here it is the model's to see, so one try at a time. */
static void push(uintptr_t item) {
    model_write(&contents[item], item + 100);
    if (look_before_push) wake_owner();
    uintptr_t link = 0;
    model_write(&links[item], atom_load_rlx(&box.newest));
    inbox_push(&box, item, &link);
    model_assume(link == links[item].value);
    if (!look_before_push) wake_owner();
}

static uintptr_t drain_in_two_steps(void) {
    uintptr_t all = atom_load_acq(&box.newest);
    if (all) atom_store_rlx(&box.newest, 0);
    return all;
}

static void drain(void) {
    uint32_t n = 0;
    for (uintptr_t i = drain_by_two ? drain_in_two_steps() : inbox_drain(&box); i; n++) {
        model_check(i < ITEMS);
        model_check(model_count_add(&got[i], 1) == 1);
        model_check(model_read(&contents[i]) == i + 100);
        i = (uintptr_t)model_read(&links[i]);
    }
    if (n) atom_add_rlx(&drained, n);
}

static bool woken_or_over(void *arg) {
    (void)arg;
    return model_peek(&permit) != 0 || model_peek(&drained) == total();
}

static void own(void) {
    for (unsigned round = 0; round <= 2 * total(); round++) { /* a wake may find nothing left */
        drain();
        if (atom_load_rlx(&drained) == total()) return;
        atom_or_seq(&asleep, 1u);
        if (!sleep_without_look && inbox_any(&box) && atom_and_seq(&asleep, 0u)) continue;
        model_await(woken_or_over, NULL);
        if (!atom_load_acq(&permit)) return;
        atom_store_rlx(&permit, 0);
    }
}

static void thread(unsigned self) {
    unsigned pushers = (unsigned)model_instance_->param[P_PUSHERS];
    if (self == 0) {
        own();
    } else if (self <= pushers) {
        for (int k = 0; k < model_instance_->param[P_EACH]; k++)
            push(1 + (self - 1) * (unsigned)model_instance_->param[P_EACH] + (unsigned)k);
    } else {
        drain();
    }
}

static void finish(void) {
    for (unsigned i = 1; i <= total(); i++) model_check(got[i] == 1);
}

static const model_instance instances[] = {
    {.name = "one-pusher", .threads = 2, .param = {1, 2, 0}},
    {.name = "two-pushers", .threads = 3, .param = {2, 1, 0}},
    {.name = "second-drainer", .threads = 3, .param = {1, 2, 1}},
    {0},
};

static const model_mutant mutants[] = {
    {"push-acq_rel", "one-pusher", NULL, "inbox_push", "cas_seq(&b->newest)", "ar"},
    {"push-relaxed", "one-pusher", NULL, "inbox_push", "cas_seq(&b->newest)", "rlx"},
    {"drain-relaxed", "one-pusher", NULL, "inbox_drain", "xchg_acq(&b->newest)", "rlx"},
    {"any-acquire", "one-pusher", NULL, "inbox_any", "load_seq(&b->newest)", "acq"},
    {"look-before-push", "one-pusher", &look_before_push, NULL, NULL, NULL},
    {"sleep-without-look", "one-pusher", &sleep_without_look, NULL, NULL, NULL},
    {"drain-in-two-steps", "two-pushers", &drain_by_two, NULL, NULL, NULL},
    {0},
};

const model the_model = {"inbox", setup, thread, finish, NULL, 0, instances, mutants};
