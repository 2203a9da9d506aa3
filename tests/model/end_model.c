/* tests/model/end_model.c -- sched/end.h over sched/wait.h: an executor, awaiters, and the holder of the handle who drops it.
 *
 * Thread 0 runs the fiber to its end (as sched/spawn.c, end_with_waiters).  Thread 1 holds the handle: it awaits or not,
 * then drops.  The others await through the same handle; the holder drops only after them (they tell it), as weft/fiber.h
 * asks.  An awaiter is a fiber (wait_on of sched/switch.h; leaving its stack is left out, see wait_model.c), a plain
 * thread, or a thread whose time is up at once (weft__queue_wait_thread).  A last thread cancels the holder's await.
 *
 * What must hold: whoever awaited sees the result; each wait is ended once; a record is not touched after its wait; the
 * block is freed exactly once, by somebody to whom all earlier uses, also of the word itself, are visible.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/end.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { P_AWAITERS, P_CANCELLER }; /* P_AWAITERS: {what thread 1, 2, 3 is}, decimal digits */
enum { NONE, FIBER, THREAD, IMPATIENT };
enum { WAITERS = 4, BUSY = 1, OVER = 2 };

static wait_queue word;
static waiter record[WAITERS]; /* plain */
static model_data result, block, ring, frame[WAITERS];
static _Atomic uint64_t winner[WAITERS];
static _Atomic uint32_t resumed[WAITERS], finished_awaits, epoch;
static model_count freed, ended[WAITERS];

/* Mutants by flag. */
static bool never_free_at_end, always_free_at_drop, wake_nobody, wake_newest, touch_after_finish, touch_after_wake, finish_storing,
    finish_blindly, no_leave, free_if_seen_locked, wake_unwon, unlink_late;

void weft__os_yield(void) {}

static void setup(void) {
    atomic_init(&word, 0);
    memset(record, 0, sizeof record);
    memset(&result, 0, sizeof result);
    memset(&block, 0, sizeof block);
    memset(&ring, 0, sizeof ring);
    memset(frame, 0, sizeof frame);
    for (int i = 0; i < WAITERS; i++) {
        atomic_init(&winner[i], 0);
        atomic_init(&resumed[i], 0);
        ended[i] = 0;
    }
    atomic_init(&finished_awaits, 0);
    atomic_init(&epoch, 0);
    freed = 0;
}

static unsigned index_of(const waiter *w) { return (unsigned)(w - record); }

/* The links, as data: read under the lock by whoever follows them, written by whoever changes them. */
static void ring_changed(void) {
    uint64_t all = 0;
    for (int i = 0; i < WAITERS; i++) all = all * 8 + (record[i].next ? index_of(record[i].next) + 1 : 0);
    model_write(&ring, all);
}

static void free_block(void) {
    model_write(&block, 2); /* conflicts with every use that is not over */
    model_reuse(&word, 0);
    model_check(model_count_add(&freed, 1) == 1);
}

/* ---- the end ------------------------------------------------------------------------------------------ */

static void wake(waiter *w) {
    unsigned i = index_of(w);
    (void)model_read(&frame[i]);
    bool is_fiber = w->f != NULL;
    model_check(model_count_add(&ended[i], 1) == 1);
    if (is_fiber)
        atom_store_rel(&resumed[i], 1);
    else
        atom_store_rel(&w->woken, 1); /* = sched/spawn.c:weft__wait_over */
    if (touch_after_wake) (void)model_read(&frame[i]);
}

static bool finish_in_two_steps(void) {
    uintptr_t old = atom_load_acq(&word);
    queue_unlock(&word, END_DONE);
    return old & END_DROPPED;
}

static void end_with_waiters(void) {
    uintptr_t w = end_lock(&word);
    (void)model_read(&ring);
    waiter *newest = queue_newest(w), *won[WAITERS];
    unsigned n = 0;
    for (waiter *at = newest ? newest->next : NULL, *after; at; at = after) {
        (void)model_read(&frame[index_of(at)]);
        after = at == newest ? NULL : at->next;
        at->next = NULL;
        if (at->f && !wait_win(&winner[index_of(at)], at->ticket, WAIT_WOKEN) && !wake_unwon) continue;
        won[n++] = at;
    }
    ring_changed();
    if (unlink_late) n = 0, end_finish_locked(&word);
    else if (finish_storing ? finish_in_two_steps() : end_finish_locked(&word)) free_block();
    if (unlink_late && newest) won[n++] = newest->next ? newest->next : newest, (void)model_read(&ring);
    if (wake_newest && n) won[0] = won[n - 1], n = 1;
    for (unsigned i = 0; i < n && !wake_nobody; i++) wake(won[i]);
}

static void execute(void) {
    (void)model_read(&block);
    model_write(&result, 42);
    uintptr_t found;
    bool alone = finish_blindly ? (found = atom_xchg_ar(&word, END_DONE), true) : end_finish(&word, &found);
    if (touch_after_finish) (void)model_read(&block);
    if (!alone)
        end_with_waiters();
    else if (found & END_DROPPED && !never_free_at_end)
        free_block();
}

/* ---- await -------------------------------------------------------------------------------------------- */

static bool is_set(void *arg) { return model_peek((_Atomic uint32_t *)arg) != 0; }

static bool cancellable(unsigned i) { return i == 1 && model_instance_->param[P_CANCELLER]; }

static void link(unsigned i, uintptr_t *w, bool is_fiber, uint64_t ticket) {
    (void)model_read(&ring);
    model_write(&frame[i], BUSY);
    record[i].f = is_fiber ? (struct fiber *)&record[i] : NULL;
    record[i].ticket = ticket;
    *w = queue_link(*w, &record[i]);
    ring_changed();
}

/* True: it has ended. */
static bool await_fiber(unsigned i) {
    uintptr_t w;
    uint64_t ticket = wait_begin(&winner[i], 0);
    if (!queue_lock(&word, &w)) {
        wait_end(&winner[i]);
        return true;
    }
    atom_fence_after_rmw();
    if (cancellable(i) && atom_load_seq(&epoch)) {
        queue_unlock(&word, w);
        wait_end(&winner[i]);
        return false;
    }
    link(i, &w, true, ticket);
    wait_open(&winner[i], ticket);
    queue_unlock(&word, w);
    model_await(is_set, &resumed[i]);
    (void)atom_load_acq(&resumed[i]);
    wait_state how = wait_end(&winner[i]);
    if (how != WAIT_WOKEN && !no_leave) queue_leave(&word, &record[i]);
    model_write(&frame[i], OVER);
    return how == WAIT_WOKEN;
}

static bool await_thread(unsigned i, bool impatient) {
    uintptr_t w;
    if (!queue_lock(&word, &w)) return true;
    link(i, &w, false, 0);
    queue_unlock(&word, w);
    if (impatient && !atom_load_acq(&record[i].woken) && queue_lock(&word, &w)) {
        (void)model_read(&ring);
        w = queue_unlink(w, &record[i]);
        ring_changed();
        queue_unlock(&word, w);
        model_write(&frame[i], OVER);
        return false;
    }
    model_await(is_set, &record[i].woken);
    (void)atom_load_acq(&record[i].woken); /* = sched/spawn.c:weft__wait_thread */
    model_write(&frame[i], OVER);
    return true;
}

static void await(unsigned i) {
    static const int digit[] = {0, 100, 10, 1};
    int kind = model_instance_->param[P_AWAITERS] / digit[i] % 10;
    if (kind == NONE) return;
    (void)model_read(&block);
    bool over = end_done(&word) || (kind == FIBER ? await_fiber(i) : await_thread(i, kind == IMPATIENT));
    if (over) model_check(model_read(&result) == 42);
}

static unsigned awaiting_threads(void) {
    return model_instance_->threads - 1 - (unsigned)(model_instance_->param[P_CANCELLER] != 0);
}

static bool others_done(void *arg) {
    (void)arg;
    return model_peek(&finished_awaits) == awaiting_threads() - 1;
}

static void hold_and_drop(void) {
    await(1);
    model_await(others_done, NULL);
    (void)atom_load_acq(&finished_awaits);
    (void)model_read(&block); /* the holder may look at it until it drops it */
    uintptr_t old = end_drop(&word);
    if (old & END_DONE || always_free_at_drop || (free_if_seen_locked && old & QUEUE_LOCK)) free_block();
}

static void cancel(void) {
    atom_add_seq(&epoch, 1);
    if (!wait_poke(&winner[1], 0)) return;
    model_check(model_count_add(&ended[1], 1) == 1);
    atom_store_rel(&resumed[1], 1);
}

static void thread(unsigned self) {
    if (self == 0) {
        execute();
    } else if (self == 1) {
        hold_and_drop();
    } else if (self <= awaiting_threads()) {
        await(self);
        atom_add_ar(&finished_awaits, 1);
    } else {
        cancel();
    }
}

static void finish(void) { model_check(freed == 1); }

static const model_instance instances[] = {
    {.name = "drop-races-end", .threads = 2, .param = {0, 0}},
    {.name = "holder-awaits", .threads = 2, .param = {100, 0}},
    {.name = "another-awaits", .threads = 3, .param = {10, 0}},
    {.name = "two-await", .threads = 3, .param = {110, 0}},
    {.name = "thread-and-fiber", .threads = 3, .param = {120, 0}},
    {.name = "thread-gives-up", .threads = 2, .param = {300, 0}},
    {.name = "one-gives-up-one-awaits", .threads = 3, .param = {310, 0}},
    {.name = "cancelled", .threads = 3, .param = {100, 1}},
    {.name = "cancelled-another-awaits", .threads = 4, .param = {110, 1}},
    {.name = "three-await", .threads = 4, .param = {222, 0}},
    {0},
};

static const model_mutant mutants[] = {
    {"finish-acquire", "holder-awaits", NULL, "end_finish", "cas_ar(q)", "acq"},
    {"finish-release", "drop-races-end", NULL, "end_finish", "cas_ar(q)", "rel"},
    {"finish-locked-acquire", "cancelled", NULL, "end_finish_locked", "cas_ar(q)", "acq"},
    {"finish-locked-release", "cancelled", NULL, "end_finish_locked", "cas_ar(q)", "rel"},
    {"look-relaxed", "holder-awaits", NULL, "end_done", "load_acq(word)", "rlx"},
    {"lock-look-relaxed", "holder-awaits", NULL, "queue_lock", "load_acq(q)", "rlx"},
    {"lock-relaxed", "two-await", NULL, "queue_lock", "cas_seq(q)", "rlx"},
    {"unlock-relaxed", "two-await", NULL, "queue_unlock", "store_rel(q)", "rlx"},
    {"drop-acquire", "drop-races-end", NULL, "end_drop", "or_ar(q)", "acq"},
    {"drop-look-relaxed", "drop-races-end", NULL, "end_drop", "load_acq(q)", "rlx"},
    {"drop-release", "drop-races-end", NULL, "end_drop", "or_ar(q)", "rel"},
    {"never-free-at-end", "drop-races-end", &never_free_at_end, NULL, NULL, NULL},
    {"always-free-at-drop", "drop-races-end", &always_free_at_drop, NULL, NULL, NULL},
    {"free-if-seen-locked", "cancelled", &free_if_seen_locked, NULL, NULL, NULL},
    {"wake-nobody", "holder-awaits", &wake_nobody, NULL, NULL, NULL},
    {"wake-the-newest-only", "two-await", &wake_newest, NULL, NULL, NULL},
    {"wake-who-was-not-won", "cancelled", &wake_unwon, NULL, NULL, NULL},
    {"touch-after-finish", "drop-races-end", &touch_after_finish, NULL, NULL, NULL},
    {"touch-after-wake", "holder-awaits", &touch_after_wake, NULL, NULL, NULL},
    {"finish-in-two-steps", "cancelled", &finish_storing, NULL, NULL, NULL},
    {"finish-without-lock", "holder-awaits", &finish_blindly, NULL, NULL, NULL},
    {"follow-links-after-finish", "cancelled", &unlink_late, NULL, NULL, NULL},
    {"no-leave", "cancelled", &no_leave, NULL, NULL, NULL},
    {0},
};

const model the_model = {"end", setup, thread, finish, record, sizeof record, instances, mutants};
