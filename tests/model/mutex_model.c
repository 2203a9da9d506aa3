/* tests/model/mutex_model.c -- sched/mutex_core.h: a few who lock and unlock, by the steps of sched/mutex.c.
 *
 * What each thread is, the instance's script says, a letter each:
 *   L  locks and unlocks P_ROUNDS times
 *   H  the same, and holds it from the start
 *   W  waits for it from the start, in the order of the script; then locks and unlocks once
 *   I  as L, and gives up when it is asked to stop.  At most one of I and V
 *   V  as W, and gives up
 *   C  asks it
 * P_LOOK says what a release does that finds somebody waiting: LOOK_NOT, what the word says; LOOK_HAND, it hands over; LOOK_IN_VAIN, it
 * looks, and nobody has waited for long.  With P_ASKED the one that gives up was asked before, and who asked it comes too late.
 *
 * A waiter waits for its own word `run`, which whoever ends its wait sets last: what it must see, it sees through that
 * and the protocol.  What must hold: one at a time, and each sees what the one before it did; nobody is left waiting; in the end
 * the mutex is free.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/mutex_core.h"
#include "sched/wait.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { P_ROUNDS, P_LOOK, P_ASKED };
enum { LOOK_NOT, LOOK_HAND, LOOK_IN_VAIN };
enum { LOCKERS = 4 };

static mutex_word word;
static wait_queue queue;
static _Atomic uint64_t winner[LOCKERS];
static _Atomic uint32_t run[LOCKERS], asked;
static model_data ring, data;

static struct {
    waiter record[LOCKERS];
    uint64_t had;
} p; /* the_model.plain */

/* Mutants by flag. */
static bool no_pass_on, woken_stays, free_always, have_before_lock, no_win, hand_to_loser, no_waiters;

void weft__os_yield(void) {}

static uintptr_t name_of(unsigned i) { return (uintptr_t)(i + 1) * 8; }
static unsigned index_of(const waiter *w) { return (unsigned)(w - p.record); }
static char role(unsigned i) { return model_instance_->script[i]; }
static bool interruptible(unsigned i) { return role(i) == 'I' || role(i) == 'V'; }
static bool waits_at_first(unsigned i) { return role(i) == 'W' || role(i) == 'V'; }

#define FIRST_TICKET ((uint64_t)1 << 24 | WAIT_OPEN) /* as wait_begin gives it */

static void setup(void) {
    uintptr_t holder = 0, q = 0;
    memset(&ring, 0, sizeof ring);
    memset(&data, 0, sizeof data);
    memset(&p, 0, sizeof p);
    for (unsigned i = 0; i < LOCKERS; i++) {
        bool waits = i < model_instance_->threads && waits_at_first(i);
        if (i < model_instance_->threads && role(i) == 'H') holder = name_of(i);
        if (waits) q = queue_link(q, &p.record[i]);
        p.record[i].ticket = waits ? FIRST_TICKET : 0;
        atomic_init(&winner[i], p.record[i].ticket);
        atomic_init(&run[i], 0);
    }
    atomic_init(&word, holder | (q ? MUTEX_WAITERS : 0));
    atomic_init(&queue, q);
    atomic_init(&asked, (uint32_t)model_instance_->param[P_ASKED]);
}

/* The links, as data. */
static void ring_changed(void) {
    uint64_t all = 0;
    for (int i = 0; i < LOCKERS; i++) all = all * 8 + (p.record[i].next ? index_of(p.record[i].next) + 1 : 0);
    model_write(&ring, all);
}

/* ---- unlock, as choose and unlock_slow of sched/mutex.c ------------------------------------------------- */

static waiter *win_oldest(uintptr_t *q) {
    (void)model_read(&ring);
    while (queue_newest(*q)) {
        waiter *oldest = queue_newest(*q)->next;
        *q = queue_unlink(*q, oldest);
        ring_changed();
        if (no_win || wait_win(&winner[index_of(oldest)], oldest->ticket, WAIT_WOKEN) || hand_to_loser) return oldest;
    }
    return NULL;
}

static void make_run(unsigned i) { atom_store_rel(&run[i], 1); }

static void release(unsigned i) {
    uintptr_t me = name_of(i), q = 0;
    bool look = model_instance_->param[P_LOOK] != LOOK_NOT, due = model_instance_->param[P_LOOK] == LOOK_HAND;
    for (bool again = true; again;) {
        if (free_always) {
            atom_and_ar(&word, MUTEX_WAITERS | MUTEX_WOKEN);
            return;
        }
        mutex_released how = mutex_release(&word, me, look);
        model_check(how != MUTEX_NOT_MINE);
        if (how == MUTEX_FREE) return;
        queue_lock(&queue, &q);
        (void)model_read(&ring);
        uintptr_t was = atom_load_rlx(&word);
        bool hand = was & MUTEX_STARVING || (due && queue_newest(q)), wakes = hand || !(was & MUTEX_WOKEN);
        waiter *to = wakes ? win_oldest(&q) : NULL;
        bool more = queue_newest(q) != NULL;
        again = wakes && !to;
        if (to && hand)
            mutex_hand_over(&word, name_of(index_of(to)), more);
        else if (to)
            mutex_free_for(&word, more);
        else if (wakes)
            mutex_nobody(&word, me);
        else
            mutex_free_again(&word);
        queue_unlock(&queue, q);
        if (to) make_run(index_of(to));
    }
}

/* ---- lock, as lock_contended ---------------------------------------------------------------------------- */

static bool is_set(void *arg) { return model_peek((_Atomic uint32_t *)arg) != 0; }

static void give_up(unsigned i) {
    uintptr_t q = 0;
    if (no_pass_on) return;
    queue_lock(&queue, &q);
    bool mine = woken_stays ? false : mutex_give_up(&word, name_of(i));
    queue_unlock(&queue, q);
    if (mine) release(i);
}

/* From when it is linked to the end of the wait. */
static wait_state parked(unsigned i) {
    uintptr_t q = 0;
    model_await(is_set, &run[i]);
    (void)atom_load_acq(&run[i]);
    atom_store_rlx(&run[i], 0);
    wait_state how = wait_end(&winner[i]);
    if (how != WAIT_WOKEN) {
        queue_lock(&queue, &q);
        (void)model_read(&ring);
        if (p.record[i].next) q = queue_unlink(q, &p.record[i]);
        ring_changed();
        queue_unlock(&queue, q);
    }
    return how;
}

/* One wait.  RUNNING: it was there. */
static wait_state wait_once(unsigned i, bool *woken, bool starving, bool first) {
    uintptr_t q = 0, me = name_of(i);
    bool early = have_before_lock && mutex_take_or_wait(&word, me, *woken, starving);
    uint64_t ticket = wait_begin(&winner[i], 0);
    queue_lock(&queue, &q);
    atom_fence_after_rmw();
    bool due = interruptible(i) && atom_load_seq(&asked);
    if (due && !early) {
        queue_unlock(&queue, q);
        wait_end(&winner[i]);
        return WAIT_CANCEL;
    }
    bool there = have_before_lock ? early : no_waiters ? mutex_take(&word, me, *woken) : mutex_take_or_wait(&word, me, *woken, starving);
    *woken = false;
    if (there) {
        queue_unlock(&queue, q);
        wait_end(&winner[i]);
        return WAIT_RUNNING;
    }
    (void)model_read(&ring);
    p.record[i].ticket = ticket;
    q = first ? queue_link_oldest(q, &p.record[i]) : queue_link(q, &p.record[i]);
    ring_changed();
    wait_open(&winner[i], ticket);
    queue_unlock(&queue, q);
    return parked(i);
}

static bool acquire(unsigned i, bool waits) {
    bool woken = false, starving = false;
    if (!waits && mutex_take(&word, name_of(i), false)) return true;
    for (bool first = false;; first = true, waits = false) {
        wait_state how = waits ? parked(i) : wait_once(i, &woken, starving, first);
        if (how == WAIT_RUNNING) return true;
        if (how == WAIT_CANCEL) {
            if (woken) give_up(i);
            return false;
        }
        if (mutex_holder(atom_load_rlx(&word)) == name_of(i)) return true;
        woken = true;
        if (mutex_take(&word, name_of(i), true)) return true;
        starving = true;
    }
}

static void thread(unsigned i) {
    if (role(i) == 'C') {
        unsigned of = (unsigned)strcspn(model_instance_->script, "IV");
        atom_store_seq(&asked, 1);
        if (wait_poke(&winner[of], 0)) make_run(of);
        return;
    }
    for (int n = 0; n < (waits_at_first(i) ? 1 : model_instance_->param[P_ROUNDS]); n++) {
        if ((n > 0 || role(i) != 'H') && !acquire(i, waits_at_first(i))) return;
        model_write(&data, model_read(&data) + 1);
        p.had++;
        release(i);
    }
}

static void finish(void) {
    model_check(mutex_holder(model_peek(&word)) == 0);
    model_check(!(model_peek(&word) & MUTEX_WOKEN));
    model_check(queue_newest(model_peek(&queue)) == NULL);
    model_check(data.value == p.had);
}

static const model_instance instances[] = {
    /* {rounds, look, asked} */
    {.name = "two", .threads = 2, .param = {2, LOOK_NOT}, .script = "LL"},
    {.name = "two-hand-over", .threads = 2, .param = {2, LOOK_HAND}, .script = "LL"},
    {.name = "three", .threads = 3, .param = {1, LOOK_NOT}, .script = "LLL", .sc = true},
    {.name = "three-hand-over", .threads = 3, .param = {1, LOOK_HAND}, .script = "LLL", .sc = true},
    {.name = "barged", .threads = 3, .param = {1, LOOK_NOT}, .script = "HWL"},
    {.name = "barged-hand-over", .threads = 3, .param = {1, LOOK_HAND}, .script = "HWL"},
    {.name = "one-on-the-way", .threads = 3, .param = {2, LOOK_NOT}, .script = "HWW"},
    {.name = "looked-in-vain", .threads = 3, .param = {2, LOOK_IN_VAIN}, .script = "HWW"},
    {.name = "interrupted", .threads = 3, .param = {1, LOOK_NOT}, .script = "LIC"},
    {.name = "interrupted-hand-over", .threads = 3, .param = {1, LOOK_HAND}, .script = "LIC"},
    {.name = "woken-and-asked", .threads = 3, .param = {2, LOOK_NOT, 1}, .script = "HVW"},
    {.name = "woken-and-interrupted", .threads = 3, .param = {2, LOOK_NOT}, .script = "HVC"},
    {.name = "woken-interrupted-another", .threads = 4, .param = {2, LOOK_NOT}, .script = "HVWC", .sc = true},
    {0},
};

static const model_mutant mutants[] = {
    {"no-pass-on", "woken-and-interrupted", &no_pass_on, NULL, NULL, NULL},
    {"woken-stays", "woken-and-interrupted", &woken_stays, NULL, NULL, NULL},
    {"free-always", "two", &free_always, NULL, NULL, NULL},
    {"have-before-lock", "two", &have_before_lock, NULL, NULL, NULL},
    {"no-waiters", "two", &no_waiters, NULL, NULL, NULL},
    {"no-win", "interrupted", &no_win, NULL, NULL, NULL},
    {"hand-to-loser", "interrupted-hand-over", &hand_to_loser, NULL, NULL, NULL},
    {"take-relaxed", "two", NULL, "mutex_take", "cas_acq(m)", "rlx"},
    {"take-or-wait-relaxed", "two", NULL, "mutex_take_or_wait", "cas_acq(m)", "rlx"},
    {"release-relaxed", "two", NULL, "mutex_release", "cas_rel(m)", "rlx"},
    {"free-relaxed", "three", NULL, "mutex_free_for", "store_rel(m)", "rlx"},
    {0},
};

const model the_model = {"mutex", setup, thread, finish, &p, sizeof p, instances, mutants};
