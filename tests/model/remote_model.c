/* tests/model/remote_model.c -- alloc/remote_list.h as alloc/slab.c uses it: others free objects, the owner hands them out
 * again, so that the same node comes back.
 *
 * What must hold: each object that was freed is got back once, and the owner may write to it: what the one who freed it did
 * is over.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/remote_list.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { P_EACH, P_DRAINS, P_AGAIN };
enum { OBJECTS = 6 };

static remote_list list;
static remote_node node[OBJECTS]; /* the_model.plain */
static model_data content[OBJECTS];
static model_count freed[OBJECTS], got, pushed;
static _Atomic uint32_t handed[OBJECTS]; /* the owner gives it to a pusher */

/* Mutants by flag. */
static bool drain_in_two_steps, push_by_store, touch_after_push, link_last;

static void setup(void) {
    atomic_init(&list.head, NULL);
    memset(node, 0, sizeof node);
    memset(content, 0, sizeof content);
    memset(freed, 0, sizeof freed);
    for (int i = 0; i < OBJECTS; i++) atomic_init(&handed[i], 0);
    got = pushed = 0;
}

static void push(unsigned i) {
    model_write(&content[i], i + 100);
    model_check(model_count_add(&freed[i], 1) == 1);
    model_count_add(&pushed, 1);
    if (push_by_store) {
        node[i].next = atom_load_rlx(&list.head);
        atom_store_rel(&list.head, &node[i]);
    } else if (link_last) {
        remote_node *first = atom_xchg_ar(&list.head, &node[i]);
        model_write(&content[i], 1);
        node[i].next = first;
    } else {
        remote_push(&list, &node[i]);
    }
    if (touch_after_push) (void)model_read(&content[i]);
}

static bool is_handed(void *arg) { return model_peek((_Atomic uint32_t *)arg) != 0; }

static void pusher(unsigned self) {
    unsigned each = (unsigned)model_instance_->param[P_EACH], first = self * each;
    for (unsigned i = first; i < first + each; i++) push(i);
    if (!model_instance_->param[P_AGAIN] || self) return;
    model_await(is_handed, &handed[0]);
    if (atom_load_acq(&handed[0]) == 1) push(0);
}

static remote_node *take_all(void) {
    if (!drain_in_two_steps) return remote_drain(&list);
    remote_node *all = atom_load_acq(&list.head);
    if (all) atom_store_rlx(&list.head, (remote_node *)0);
    return all;
}

static void drain(void) {
    for (remote_node *n = take_all(), *next; n; n = next) {
        unsigned i = (unsigned)(n - node);
        next = n->next;
        model_check(model_count_add(&freed[i], -1) == 0);
        model_count_add(&got, 1);
        model_write(&content[i], 7); /* made into something else */
        if (i == 0 && model_instance_->param[P_AGAIN]) atom_store_rel(&handed[0], 1);
    }
}

static void owner(void) {
    for (int i = 0; i < model_instance_->param[P_DRAINS]; i++) drain();
    if (model_instance_->param[P_AGAIN] && !atom_load_rlx(&handed[0])) atom_store_rel(&handed[0], 2);
}

static void thread(unsigned self) {
    if (self == 0)
        owner();
    else
        pusher(self - 1);
}

/* What was not got is in the list. */
static void finish(void) {
    uint64_t left = 0;
    for (const remote_node *n = (const remote_node *)(uintptr_t)model_peek(&list.head); n && left <= OBJECTS; n = n->next) left++;
    model_check(got + left == pushed);
}

static const model_instance instances[] = {
    {.name = "one-pusher", .threads = 2, .param = {2, 2}},
    {.name = "again", .threads = 2, .param = {2, 3, 1}},
    {.name = "two-pushers", .threads = 3, .param = {2, 2}},
    {.name = "two-pushers-again", .threads = 3, .param = {1, 3, 1}},
    {.name = "three-pushers", .threads = 4, .param = {1, 2}},
    {0},
};

static const model_mutant mutants[] = {
    {"drain-in-two-steps", "one-pusher", &drain_in_two_steps, NULL, NULL, NULL},
    {"push-by-store", "two-pushers", &push_by_store, NULL, NULL, NULL},
    {"touch-after-push", "one-pusher", &touch_after_push, NULL, NULL, NULL},
    {"linked-after-push", "one-pusher", &link_last, NULL, NULL, NULL},
    {0},
};

const model the_model = {"remote", setup, thread, finish, node, sizeof node, instances, mutants};
