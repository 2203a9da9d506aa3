/* tests/model/end_model.c -- sched/end.h: an executor, awaiters, and the holder of the handle who drops it.
 *
 * Thread 0 runs the fiber to its end.  Thread 1 holds the handle: it awaits or not, then drops.  The others await through
 * the same handle; the holder drops only after them (they tell it), as weft/fiber.h asks.
 *
 * What must hold: whoever awaited sees the result; each waiter that was added is woken once; the block is freed exactly
 * once, by somebody to whom all earlier uses are visible.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/end.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { P_HOLDER_AWAITS };
enum { WAITERS = 4 };

static _Atomic(uintptr_t) word;
static model_data result, block;
static model_data older[WAITERS];          /* the waiters' links */
static _Atomic uint32_t woken[WAITERS], finished_awaits;
static model_count freed, wakes;

/* Mutants by flag. */
static bool never_free_at_end, always_free_at_drop, keep_nobody, forget_older, touch_after_finish;

static void setup(void) {
    atomic_init(&word, 0);
    memset(&result, 0, sizeof result);
    memset(&block, 0, sizeof block);
    memset(older, 0, sizeof older);
    for (int i = 0; i < WAITERS; i++) atomic_init(&woken[i], 0);
    atomic_init(&finished_awaits, 0);
    freed = wakes = 0;
}

static void free_block(void) {
    model_write(&block, 2); /* conflicts with every use that is not over */
    model_check(model_count_add(&freed, 1) == 1);
}

/* Waiter i has the address 16 * (i + 1). */
static void wake_all(uintptr_t newest) {
    while (newest) {
        unsigned i = (unsigned)(newest / 16 - 1);
        uintptr_t next = forget_older ? 0 : model_read(&older[i]);
        model_count_add(&wakes, 1);
        atom_store_rel(&woken[i], 1);
        newest = next;
    }
}

static void execute(void) {
    (void)model_read(&block);
    model_write(&result, 42);
    uintptr_t old = end_finish(&word);
    if (touch_after_finish) (void)model_read(&block);
    if (old & END_DROPPED && !never_free_at_end) free_block();
    if (!keep_nobody) wake_all(old & ~END_FLAGS);
}

static bool is_woken(void *arg) {
    return model_peek((_Atomic uint32_t *)arg) != 0;
}

static void await(unsigned i) {
    (void)model_read(&block);
    if (!end_done(&word)) {
        /* end_await writes the link before its CAS; here it is written as model data, to the value that the
         * executions looked at find. */
        uintptr_t seen = atom_load_acq(&word), link = 0;
        model_write(&older[i], seen & ~END_FLAGS);
        if (end_await(&word, 16 * (i + 1), &link)) {
            model_assume(link == (seen & ~END_FLAGS));
            model_await(is_woken, &woken[i]);
            model_check(atom_load_acq(&woken[i]) == 1);
        }
    }
    model_check(model_read(&result) == 42);
}

static bool others_done(void *arg) {
    (void)arg;
    return model_peek(&finished_awaits) == model_instance_->threads - 2;
}

static void hold_and_drop(void) {
    if (model_instance_->param[P_HOLDER_AWAITS]) await(1);
    model_await(others_done, NULL);
    (void)atom_load_acq(&finished_awaits);
    (void)model_read(&block); /* the holder may look at it until it drops it */
    uintptr_t old = end_drop(&word);
    if (old & END_DONE || always_free_at_drop) free_block();
}

static void thread(unsigned self) {
    if (self == 0) execute();
    if (self == 1) hold_and_drop();
    if (self > 1) {
        await(self);
        atom_add_ar(&finished_awaits, 1);
    }
}

static void finish(void) { model_check(freed == 1); }

static const model_instance instances[] = {
    {.name = "drop-races-end", .threads = 2, .param = {0}},
    {.name = "holder-awaits", .threads = 2, .param = {1}},
    {.name = "another-awaits", .threads = 3, .param = {0}},
    {.name = "three-await", .threads = 4, .param = {1}},
    {0},
};

static const model_mutant mutants[] = {
    {"finish-acquire", "holder-awaits", NULL, "end_finish", "xchg_ar(word)", "acq"},
    {"finish-release", "holder-awaits", NULL, "end_finish", "xchg_ar(word)", "rel"},
    {"look-relaxed", "holder-awaits", NULL, "end_done", "load_acq(word)", "rlx"},
    {"await-acquire", "holder-awaits", NULL, "end_await", "cas_ar(word)", "acq"},
    {"drop-acquire", "drop-races-end", NULL, "end_drop", "or_ar(word)", "acq"},
    {"drop-look-relaxed", "drop-races-end", NULL, "end_drop", "load_acq(word)", "rlx"},
    {"drop-release", "drop-races-end", NULL, "end_drop", "or_ar(word)", "rel"},
    {"never-free-at-end", "drop-races-end", &never_free_at_end, NULL, NULL, NULL},
    {"always-free-at-drop", "drop-races-end", &always_free_at_drop, NULL, NULL, NULL},
    {"wake-nobody", "holder-awaits", &keep_nobody, NULL, NULL, NULL},
    {"wake-the-newest-only", "three-await", &forget_older, NULL, NULL, NULL},
    {"touch-after-finish", "drop-races-end", &touch_after_finish, NULL, NULL, NULL},
    {0},
};

const model the_model = {"end", setup, thread, finish, NULL, 0, instances, mutants};
