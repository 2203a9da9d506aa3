/* tests/model/semaphore_model.c -- sched/sem_core.h: permits handed over, by the steps of sched/semaphore.c.
 *
 * What each thread is, the instance's script says, a letter each:
 *   A  acquires a permit and keeps it; P_BACK: gives it back
 *   I  the same, and gives up when it is asked to stop.  At most one
 *   C  asks it
 *   R  releases P_GIVES permits
 * What must hold: each permit is had once, or is there in the end; nobody is left waiting; one who gave up has none; who has
 * the only permit sees what the one before it did.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/sem_core.h"
#include "sched/wait.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { P_PERMITS, P_GIVES, P_BACK };
enum { THREADS = 4, MANY = 100 };

static sem_state state;
static wait_queue queue;
static _Atomic uint64_t winner[THREADS];
static _Atomic uint32_t run[THREADS], asked;
static model_data ring, data;

static struct {
    waiter record[THREADS];
    uint64_t had, given;
} p; /* the_model.plain */

/* Mutants by flag. */
static bool no_win, hand_to_loser, nobody_stays, nobody_always, have_before_lock, give_always, no_waiters;

void weft__os_yield(void) {}

static void setup(void) {
    atomic_init(&state, (uintptr_t)model_instance_->param[P_PERMITS] * SEM_ONE);
    atomic_init(&queue, 0);
    atomic_init(&asked, 0);
    for (int i = 0; i < THREADS; i++) {
        atomic_init(&winner[i], 0);
        atomic_init(&run[i], 0);
    }
    memset(&ring, 0, sizeof ring);
    memset(&data, 0, sizeof data);
    memset(&p, 0, sizeof p);
}

static unsigned index_of(const waiter *w) { return (unsigned)(w - p.record); }
static void ring_changed(void) {
    uint64_t all = 0;
    for (int i = 0; i < THREADS; i++) all = all * 8 + (p.record[i].next ? index_of(p.record[i].next) + 1 : 0);
    model_write(&ring, all);
}

static waiter *win_oldest(uintptr_t *q) {
    while (queue_newest(*q)) {
        waiter *oldest = queue_newest(*q)->next;
        *q = queue_unlink(*q, oldest);
        ring_changed();
        if (no_win || wait_win(&winner[index_of(oldest)], oldest->ticket, WAIT_WOKEN) || hand_to_loser) return oldest;
    }
    return NULL;
}

static bool hand_over(void) {
    uintptr_t q = 0;
    queue_lock(&queue, &q);
    (void)model_read(&ring);
    bool waiters = nobody_always || sem_has_waiters(&state);
    waiter *to = waiters ? win_oldest(&q) : NULL;
    if (waiters && !to && !nobody_stays) sem_nobody(&state);
    queue_unlock(&queue, q);
    if (to) atom_store_rel(&run[index_of(to)], 1);
    return to != NULL;
}

static void give(void) {
    if (give_always) {
        atom_add_ar(&state, SEM_ONE);
        return;
    }
    for (unsigned tries = 0;; tries++) {
        model_check(tries < 8);
        sem_given how = sem_give(&state, MANY * SEM_ONE);
        model_check(how != SEM_FULL);
        if (how == SEM_GIVEN || hand_over()) return;
    }
}

static bool is_set(void *arg) { return model_peek((_Atomic uint32_t *)arg) != 0; }

static bool acquire(unsigned i) {
    uintptr_t q = 0;
    if (sem_take(&state)) return true;
    bool early = have_before_lock && sem_take_or_wait(&state);
    uint64_t ticket = wait_begin(&winner[i], 0);
    queue_lock(&queue, &q);
    atom_fence_after_rmw();
    bool due = !early && model_instance_->script[i] == 'I' && atom_load_seq(&asked);
    bool there = have_before_lock ? early : !due && (no_waiters ? sem_take(&state) : sem_take_or_wait(&state));
    if (due || there) {
        queue_unlock(&queue, q);
        wait_end(&winner[i]);
        return there;
    }
    (void)model_read(&ring);
    p.record[i].ticket = ticket;
    q = queue_link(q, &p.record[i]);
    ring_changed();
    wait_open(&winner[i], ticket);
    queue_unlock(&queue, q);
    model_await(is_set, &run[i]);
    (void)atom_load_acq(&run[i]);
    if (wait_end(&winner[i]) == WAIT_WOKEN) return true;
    queue_lock(&queue, &q);
    (void)model_read(&ring);
    if (p.record[i].next) q = queue_unlink(q, &p.record[i]);
    ring_changed();
    queue_unlock(&queue, q);
    return false;
}

static void thread(unsigned i) {
    const char *script = model_instance_->script;
    switch (script[i]) {
    case 'R':
        for (int n = 0; n < model_instance_->param[P_GIVES]; n++, p.given++) give();
        break;
    case 'C': {
        atom_store_seq(&asked, 1);
        unsigned of = (unsigned)(strchr(script, 'I') - script);
        if (wait_poke(&winner[of], 0)) atom_store_rel(&run[of], 1);
        break;
    }
    default:
        if (!acquire(i)) break;
        p.had++;
        if (!model_instance_->param[P_BACK]) break;
        if (model_instance_->param[P_PERMITS] == 1) model_write(&data, model_read(&data) + 1);
        p.given++;
        give();
    }
}

static void finish(void) {
    uint64_t there = model_peek(&state) / SEM_ONE;
    model_check(there + p.had == (uint64_t)model_instance_->param[P_PERMITS] + p.given);
    model_check(queue_newest(model_peek(&queue)) == NULL);
}

static const model_instance instances[] = {
    /* {permits, each R gives, given back} */
    {.name = "two-share", .threads = 2, .param = {1, 0, 1}, .script = "AA"},
    {.name = "three-share", .threads = 3, .param = {1, 0, 1}, .script = "AAA", .sc = true},
    {.name = "given", .threads = 2, .param = {0, 2, 0}, .script = "AR"},
    {.name = "two-give", .threads = 3, .param = {0, 1, 0}, .script = "ARR"},
    {.name = "interrupted", .threads = 3, .param = {0, 2, 0}, .script = "IRC"},
    {.name = "interrupted-share", .threads = 4, .param = {1, 0, 1}, .script = "AAIC", .sc = true},
    {.name = "two-give-interrupted", .threads = 4, .param = {0, 1, 0}, .script = "RRIC", .sc = true},
    {0},
};

static const model_mutant mutants[] = {
    {"no-win", "interrupted", &no_win, NULL, NULL, NULL},
    {"hand-to-loser", "interrupted", &hand_to_loser, NULL, NULL, NULL},
    {"nobody-stays", "interrupted", &nobody_stays, NULL, NULL, NULL},
    {"nobody-always", "two-give-interrupted", &nobody_always, NULL, NULL, NULL},
    {"have-before-lock", "two-share", &have_before_lock, NULL, NULL, NULL},
    {"give-always", "given", &give_always, NULL, NULL, NULL},
    {"no-waiters", "given", &no_waiters, NULL, NULL, NULL},
    {0},
};

const model the_model = {"semaphore", setup, thread, finish, &p, sizeof p, instances, mutants};
