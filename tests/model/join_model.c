/* tests/model/join_model.c -- sched/join.h: one child after the other in the same frame, on two workers or
 * three.
 *
 * A fiber forks a child in each round, offers it, and joins.  Whoever runs the fiber tests, then saves its
 * context and parks on the join word; whoever ran the child goes on with the fiber if it was waiting.  The
 * frame (result, join word) is used again in the next round at once.
 *
 * What must hold: the joiner sees the result; the resumer sees the saved context; the fiber is run by one at
 * a time; nobody touches the frame of a round that is over; nobody waits for ever.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/join.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { P_ROUNDS };
enum { NOTHING, TASK, OVER };

static _Atomic(uintptr_t) word;
static _Atomic uint32_t offered;           /* NOTHING, TASK, OVER: stands for the deque */
static model_data result, context, round_; /* round_: the fiber's own variable */
static model_count running_;

/* Mutants by flag. */
static bool touch_after_finish, save_after_park, finish_by_two, touch_after_park, resume_always, pending_bare;

/* The word of round n: what it carries differs from round to round. */
static uintptr_t pending(uint64_t round) { return join_pending((const void *)(uintptr_t)(8 * round)); }

static void setup(void) {
    atomic_init(&word, pending(0));
    atomic_init(&offered, NOTHING);
    memset(&result, 0, sizeof result);
    memset(&context, 0, sizeof context);
    memset(&round_, 0, sizeof round_);
    running_ = 0;
}

/* ---- the fiber: who calls these runs it ---------------------------------------------------------------- */

static void on_fiber(int change) {
    model_check(model_count_add(&running_, change) <= 1);
}

static void fork_child(void) {
    model_reuse(&word, pending(model_read(&round_)));
    model_write(&result, 0);
    atom_add_seq(&offered, TASK - NOTHING);
}

static void joined(void) {
    uint64_t round = model_read(&round_);
    model_check(model_read(&result) == round + 100);
    model_write(&round_, round + 1);
}

/* Returns true when the fiber has suspended: it is somebody else's. */
static bool join_child(void) {
    if (join_done(&word)) return false;
    if (!save_after_park) model_write(&context, model_read(&round_));
    on_fiber(-1);
    bool parked = join_park(&word, 64);
    if (parked) {
        if (save_after_park) model_write(&context, model_read(&round_));
        if (touch_after_park) (void)join_done(&word);
        return true;
    }
    on_fiber(+1);
    return false;
}

/* The fiber from its start, or (`resumed`) from the join it waited in. */
static void run_fiber(bool resumed) {
    on_fiber(+1);
    if (resumed) {
        model_check(model_read(&context) == model_read(&round_));
        joined();
    }
    while (model_read(&round_) < (unsigned)model_instance_->param[P_ROUNDS]) {
        fork_child();
        if (join_child()) return;
        joined();
    }
    on_fiber(-1);
    atom_add_seq(&offered, OVER);
}

/* ---- executors --------------------------------------------------------------------------------------- */

static uintptr_t finish_in_two_steps(void) {
    uintptr_t waiter = atom_load_acq(&word);
    atom_store_rel(&word, JOIN_DONE);
    return waiter;
}

static uintptr_t finish_taking_pending_for_bare(void) {
    uintptr_t old = atom_xchg_ar(&word, JOIN_DONE);
    return old == JOIN_PENDING ? 0 : old;
}

/* As sched/worker.c: whose child it is, from what the word carries or from who waits. */
static void forked_in(uint64_t round) {
    uintptr_t found = atom_load_acq(&word); /* = sched/worker.c:forked_in */
    if (found & JOIN_PENDING)
        model_check(found == pending(round));
    else
        model_check(found == 64 && model_read(&context) == round);
}

static void run_child(void) {
    uint64_t round = model_read(&round_);
    forked_in(round);
    model_write(&result, round + 100);
    uintptr_t waiter = finish_by_two  ? finish_in_two_steps()
                       : pending_bare ? finish_taking_pending_for_bare()
                                      : join_finish(&word);
    if (touch_after_finish) (void)join_done(&word);
    if (waiter || resume_always) run_fiber(true);
}

static bool something_offered(void *arg) {
    (void)arg;
    return model_peek(&offered) != NOTHING;
}

static void thread(unsigned self) {
    if (self == 0) run_fiber(false);
    for (;;) {
        model_forget(0);
        model_await(something_offered, NULL);
        uint32_t found = atom_load_acq(&offered);
        if (found >= OVER) return;
        if (found == TASK && atom_cas_acq(&offered, &found, NOTHING)) run_child();
    }
}

static void finish(void) {
    model_check(round_.value == (unsigned)model_instance_->param[P_ROUNDS]);
}

static const model_instance instances[] = {
    {.name = "two-workers", .threads = 2, .param = {3}},
    {.name = "three-workers", .threads = 3, .param = {2}},
    {.name = "four-rounds", .threads = 2, .param = {4}},
    {0},
};

static const model_mutant mutants[] = {
    {"finish-acquire", "two-workers", NULL, "join_finish", "xchg_ar(word)", "acq"},
    {"finish-release", "two-workers", NULL, "join_finish", "xchg_ar(word)", "rel"},
    {"test-relaxed", "two-workers", NULL, "join_done", "load_acq(word)", "rlx"},
    {"park-acquire", "two-workers", NULL, "join_park", "cas_ar(word)", "acq"},
    {"park-release", "two-workers", NULL, "join_park", "cas_ar(word)", "rel"},
    {"whose-relaxed", "two-workers", NULL, "forked_in", "load_acq(&word)", "rlx"},
    {"pending-taken-for-bare", "two-workers", &pending_bare, NULL, NULL, NULL},
    {"touch-after-finish", "two-workers", &touch_after_finish, NULL, NULL, NULL},
    {"touch-after-park", "two-workers", &touch_after_park, NULL, NULL, NULL},
    {"save-after-park", "two-workers", &save_after_park, NULL, NULL, NULL},
    {"finish-in-two-steps", "two-workers", &finish_by_two, NULL, NULL, NULL},
    {"resume-always", "two-workers", &resume_always, NULL, NULL, NULL},
    {0},
};

const model the_model = {"join",          setup,     thread, finish, (void *)&running_,
                         sizeof running_, instances, mutants};
