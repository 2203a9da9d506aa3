/* tests/model/cond_model.c -- sched/cond.c: the mutex is let go while the lock of the queue is held, so that no signal is lost.
 *
 * The mutex is alloc/spin.h's, for the model of sched/mutex_core.h is another one.  What each thread is, the instance's script says, a
 * letter each:
 *   W  takes a thing, and waits until there is one
 *   I  the same, and gives up when it is asked to stop; P_BACK: puts back what it took, and signals.  At most one
 *   w i  the same, and wait from the start, in the order of the script
 *   C  asks it
 *   S  puts P_THINGS things, one after the other, and signals each, after the mutex was let go
 *   B  puts them all at once, and broadcasts while it holds the mutex
 * What must hold: nobody is left waiting; each sees what was put.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/spin.h"
#include "sched/wait.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { P_THINGS, P_BACK };
enum { THREADS = 4 };

static spin mutex;
static wait_queue queue;
static _Atomic uint64_t winner[THREADS];
static _Atomic uint32_t run[THREADS], asked;
static model_data ring, things;

static struct {
    waiter record[THREADS];
    uint64_t put, taken;
} p; /* the_model.plain */

/* Mutants by flag. */
static bool let_go_first, hand_to_loser, signal_nobody, broadcast_one;

void weft__os_yield(void) {}

static char role(unsigned i) { return i < model_instance_->threads ? model_instance_->script[i] : 0; }
static bool waits_at_first(unsigned i) { return role(i) == 'w' || role(i) == 'i'; }

#define FIRST_TICKET ((uint64_t)1 << 24 | WAIT_OPEN) /* as wait_begin gives it */

static void setup(void) {
    uintptr_t q = 0;
    memset(&ring, 0, sizeof ring);
    memset(&things, 0, sizeof things);
    memset(&p, 0, sizeof p);
    for (unsigned i = 0; i < THREADS; i++) {
        if (waits_at_first(i)) q = queue_link(q, &p.record[i]);
        p.record[i].ticket = waits_at_first(i) ? FIRST_TICKET : 0;
        atomic_init(&winner[i], p.record[i].ticket);
        atomic_init(&run[i], 0);
    }
    atomic_init(&mutex.held, 0);
    atomic_init(&queue, q);
    atomic_init(&asked, 0);
}

static unsigned index_of(const waiter *w) { return (unsigned)(w - p.record); }

/* The links, as data. */
static void ring_changed(void) {
    uint64_t all = 0;
    for (int i = 0; i < THREADS; i++) all = all * 8 + (p.record[i].next ? index_of(p.record[i].next) + 1 : 0);
    model_write(&ring, all);
}

/* ---- signal, broadcast ---------------------------------------------------------------------------------- */

static void wake(bool all) {
    uintptr_t q = 0;
    unsigned won = 0;
    if (!atom_load_rlx(&queue)) return; /* = sched/cond.c:weft_cond_signal */
    if (signal_nobody) return;
    queue_lock(&queue, &q);
    (void)model_read(&ring);
    while (queue_newest(q) && (all || !won)) {
        waiter *oldest = queue_newest(q)->next;
        q = queue_unlink(q, oldest);
        ring_changed();
        if (wait_win(&winner[index_of(oldest)], oldest->ticket, WAIT_WOKEN) || hand_to_loser) won |= 1u << index_of(oldest);
        if (broadcast_one) break;
    }
    queue_unlock(&queue, q);
    for (unsigned i = 0; i < THREADS; i++)
        if (won & 1u << i) atom_store_rel(&run[i], 1);
}

/* ---- wait ----------------------------------------------------------------------------------------------- */

static bool is_set(void *arg) { return model_peek((_Atomic uint32_t *)arg) != 0; }

/* From when it is linked until it has the mutex again.  False: asked to stop. */
static bool parked(unsigned i) {
    uintptr_t q = 0;
    model_await(is_set, &run[i]);
    (void)atom_load_acq(&run[i]);
    atom_store_rlx(&run[i], 0);
    bool woken = wait_end(&winner[i]) == WAIT_WOKEN;
    if (!woken) {
        queue_lock(&queue, &q);
        (void)model_read(&ring);
        if (p.record[i].next) q = queue_unlink(q, &p.record[i]);
        ring_changed();
        queue_unlock(&queue, q);
    }
    spin_lock(&mutex);
    return woken;
}

/* Holder of the mutex, and again on return.  False: asked to stop. */
static bool waits(unsigned i) {
    uintptr_t q = 0;
    uint64_t ticket = wait_begin(&winner[i], 0);
    if (let_go_first) spin_unlock(&mutex);
    queue_lock(&queue, &q);
    atom_fence_after_rmw();
    if ((role(i) == 'I' || role(i) == 'i') && atom_load_seq(&asked)) {
        queue_unlock(&queue, q);
        wait_end(&winner[i]);
        if (let_go_first) spin_lock(&mutex);
        return false;
    }
    if (!let_go_first) spin_unlock(&mutex);
    (void)model_read(&ring);
    p.record[i].ticket = ticket;
    q = queue_link(q, &p.record[i]);
    ring_changed();
    wait_open(&winner[i], ticket);
    queue_unlock(&queue, q);
    return parked(i);
}

static void put(uint64_t n) {
    model_write(&things, model_read(&things) + n);
    p.put += n;
}

static void put_and_signal(void) {
    spin_lock(&mutex);
    put(1);
    spin_unlock(&mutex);
    wake(false);
}

static void take(unsigned i) {
    bool go_on = true;
    if (waits_at_first(i))
        go_on = parked(i);
    else
        spin_lock(&mutex);
    while (go_on && model_read(&things) == 0) go_on = waits(i);
    if (go_on) {
        model_write(&things, model_read(&things) - 1);
        p.taken++;
    }
    spin_unlock(&mutex);
    if (go_on && model_instance_->param[P_BACK] && (role(i) == 'I' || role(i) == 'i')) put_and_signal();
}

static void thread(unsigned i) {
    uint64_t n = (uint64_t)model_instance_->param[P_THINGS];
    switch (role(i)) {
    case 'C': {
        unsigned of = (unsigned)strcspn(model_instance_->script, "Ii");
        atom_store_seq(&asked, 1);
        if (wait_poke(&winner[of], 0)) atom_store_rel(&run[of], 1);
        break;
    }
    case 'S':
        for (; n > 0; n--) put_and_signal();
        break;
    case 'B':
        spin_lock(&mutex);
        put(n);
        wake(true);
        spin_unlock(&mutex);
        break;
    default: take(i);
    }
}

static void finish(void) {
    model_check(queue_newest(model_peek(&queue)) == NULL);
    model_check(things.value + p.taken == p.put);
}

static const model_instance instances[] = {
    /* {things, put back} */
    {.name = "signal", .threads = 2, .param = {1}, .script = "WS"},
    {.name = "broadcast", .threads = 2, .param = {1}, .script = "WB"},
    {.name = "two-signals", .threads = 3, .param = {2}, .script = "WWS", .sc = true},
    {.name = "broadcast-to-two", .threads = 3, .param = {2}, .script = "WWB", .sc = true},
    {.name = "interrupted", .threads = 3, .param = {1}, .script = "ISC"},
    {.name = "interrupted-another", .threads = 4, .param = {1, 1}, .script = "iwSC"},
    {0},
};

static const model_mutant mutants[] = {
    {"let-go-first", "signal", &let_go_first, NULL, NULL, NULL},
    {"signal-nobody", "signal", &signal_nobody, NULL, NULL, NULL},
    {"broadcast-one", "broadcast-to-two", &broadcast_one, NULL, NULL, NULL},
    {"hand-to-loser", "interrupted-another", &hand_to_loser, NULL, NULL, NULL},
    {0},
};

const model the_model = {"cond", setup, thread, finish, &p, sizeof p, instances, mutants};
