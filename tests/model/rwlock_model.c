/* tests/model/rwlock_model.c -- sched/rwlock_core.h: readers and writers, by the steps of sched/rwlock.c.
 *
 * What each thread is, the instance's script says, a letter each:
 *   R W   goes in to read, to write, and out again, P_ROUNDS times
 *   r w   the same, and waits for it from the start, in the order of the script; once
 *   H h   is in from the start, to write, to read; and goes out
 *   k     as h, but goes out only after an r was in: so that r is let in while it reads
 *   I     as w, and gives up when it is asked to stop.  At most one
 *   C     asks it
 * What must hold: a writer is in alone; each sees what writers before it did, and writes after those who read before are gone;
 * nobody is left waiting; in the end the lock is free.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/rwlock_core.h"
#include "sched/wait.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { P_ROUNDS };
enum { THREADS = 4, READS = 0, WRITES = 1 };

static rwlock_state state;
static wait_queue queue;
static _Atomic uint64_t winner[THREADS];
static _Atomic uint32_t run[THREADS], asked, came;
static model_data ring, data;

static struct {
    waiter record[THREADS];
    uint64_t wrote;
} p; /* the_model.plain */

/* Mutants by flag. */
static bool no_look_again, nobody_stays, not_last, no_waiters, hand_to_loser;

void weft__os_yield(void) {}

static unsigned index_of(const waiter *w) { return (unsigned)(w - p.record); }
static char role(unsigned i) { return i < model_instance_->threads ? model_instance_->script[i] : 0; }
static bool waits_at_first(unsigned i) { return role(i) == 'r' || role(i) == 'w' || role(i) == 'I'; }
static bool writes(unsigned i) { return strchr("WwHI", role(i)) != NULL; }

#define FIRST_TICKET ((uint64_t)1 << 24 | WAIT_OPEN) /* as wait_begin gives it */

static void setup(void) {
    uintptr_t q = 0, in = 0;
    memset(&ring, 0, sizeof ring);
    memset(&data, 0, sizeof data);
    memset(&p, 0, sizeof p);
    for (unsigned i = 0; i < THREADS; i++) {
        if (role(i) == 'H') in = RWLOCK_WRITER;
        if (role(i) == 'h' || role(i) == 'k') in += RWLOCK_READER;
        if (waits_at_first(i)) q = queue_link(q, &p.record[i]);
        p.record[i].ticket = waits_at_first(i) ? FIRST_TICKET : 0;
        p.record[i].tag = role(i) && writes(i) ? WRITES : READS;
        atomic_init(&winner[i], p.record[i].ticket);
        atomic_init(&run[i], 0);
    }
    atomic_init(&state, in | (q ? RWLOCK_WAITERS : 0));
    atomic_init(&queue, q);
    atomic_init(&asked, 0);
    atomic_init(&came, 0);
}

/* The links, as data. */
static void ring_changed(void) {
    uint64_t all = 0;
    for (int i = 0; i < THREADS; i++) all = all * 8 + (p.record[i].next ? index_of(p.record[i].next) + 1 : 0);
    model_write(&ring, all);
}

/* ---- letting others in, as let_next_in and look_again ---------------------------------------------------- */

/* Those won, a bit each, of one kind: all, or the oldest. */
static unsigned win(uintptr_t *q, uintptr_t tag, bool all) {
    unsigned won = 0;
    waiter *end = queue_newest(*q), *at = end ? end->next : NULL, *after;
    for (; at && (all || !won); at = after) {
        after = at == end ? NULL : at->next;
        if (at->tag != tag) continue;
        *q = queue_unlink(*q, at);
        ring_changed();
        if (wait_win(&winner[index_of(at)], at->ticket, WAIT_WOKEN) || hand_to_loser) won |= 1u << index_of(at);
    }
    return won;
}

static bool has_writers(uintptr_t q) {
    waiter *end = queue_newest(q), *at = end;
    if (at) do
        if ((at = at->next)->tag == WRITES) return true;
    while (at != end);
    return false;
}

static void make_run(unsigned won) {
    for (unsigned i = 0; i < THREADS; i++)
        if (won & 1u << i) atom_store_rel(&run[i], 1);
}

static bool leave_to_next(uintptr_t self) {
    uintptr_t q = 0;
    unsigned won = 0, writer = 0;
    queue_lock(&queue, &q);
    (void)model_read(&ring);
    if (not_last || rwlock_is_last(&state, self)) {
        if (self == RWLOCK_WRITER) won = win(&q, READS, true);
        if (!won) writer = win(&q, WRITES, false);
        if (!won && !writer) won = win(&q, READS, true);
        if (won || writer)
            rwlock_let_in(&state, writer ? RWLOCK_WRITER : (uintptr_t)__builtin_popcount(won) * RWLOCK_READER, queue_newest(q) != NULL);
        else if (!nobody_stays)
            rwlock_nobody(&state, self);
    }
    queue_unlock(&queue, q);
    make_run(won | writer);
    return won || writer;
}

static void look_again(void) {
    uintptr_t q = 0;
    unsigned won = 0;
    if (no_look_again) return;
    queue_lock(&queue, &q);
    (void)model_read(&ring);
    if (rwlock_may_read(&state) && !has_writers(q)) {
        won = win(&q, READS, true);
        rwlock_join(&state, (uintptr_t)__builtin_popcount(won));
    }
    queue_unlock(&queue, q);
    make_run(won);
}

static void go_out(uintptr_t self) {
    for (int tries = 0; !rwlock_leave(&state, self) && !leave_to_next(self); tries++) model_check(tries < 8);
}

/* ---- waiting -------------------------------------------------------------------------------------------- */

static bool is_set(void *arg) { return model_peek((_Atomic uint32_t *)arg) != 0; }

/* From when it is linked to the end of the wait. */
static bool parked(unsigned i) {
    uintptr_t q = 0;
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

static void waits(unsigned i) {
    uintptr_t q = 0;
    uint64_t ticket = wait_begin(&winner[i], 0);
    queue_lock(&queue, &q);
    bool there = no_waiters ? writes(i) ? rwlock_write(&state) : rwlock_read(&state)
                 : writes(i) ? rwlock_write_or_wait(&state) : rwlock_read_or_wait(&state);
    if (there) {
        queue_unlock(&queue, q);
        wait_end(&winner[i]);
        return;
    }
    (void)model_read(&ring);
    p.record[i].ticket = ticket;
    q = queue_link(q, &p.record[i]);
    ring_changed();
    wait_open(&winner[i], ticket);
    queue_unlock(&queue, q);
    model_check(parked(i));
    atom_store_rlx(&run[i], 0);
}

static void use(unsigned i) {
    uint64_t before = model_read(&data);
    if (!writes(i)) return;
    p.wrote++;
    model_write(&data, before + 1);
}

static void thread(unsigned i) {
    uintptr_t self = writes(i) ? RWLOCK_WRITER : RWLOCK_READER;
    switch (role(i)) {
    case 'C': {
        unsigned of = (unsigned)strcspn(model_instance_->script, "I");
        atom_store_seq(&asked, 1);
        if (wait_poke(&winner[of], 0)) make_run(1u << of);
        return;
    }
    case 'R': case 'W':
        for (int n = 0; n < model_instance_->param[P_ROUNDS]; n++) {
            if (!(writes(i) ? rwlock_write(&state) : rwlock_read(&state))) waits(i);
            use(i);
            go_out(self);
        }
        return;
    case 'H': case 'h': break;
    case 'k':
        model_await(is_set, &came);
        break;
    default:
        if (!parked(i)) return look_again();
    }
    use(i);
    if (role(i) == 'r') atom_store_rlx(&came, 1);
    go_out(self);
}

static void finish(void) {
    model_check(model_peek(&state) == 0);
    model_check(queue_newest(model_peek(&queue)) == NULL);
    model_check(data.value == p.wrote);
}

static const model_instance instances[] = {
    /* {rounds} */
    {.name = "read-write", .threads = 2, .param = {2}, .script = "RW"},
    {.name = "write-write", .threads = 2, .param = {2}, .script = "WW"},
    {.name = "readers-then-writer", .threads = 3, .param = {1}, .script = "hhw"},
    {.name = "writer-then-readers", .threads = 3, .param = {1}, .script = "Hrr"},
    {.name = "writer-then-both", .threads = 3, .param = {1}, .script = "Hwr"},
    {.name = "reader-comes", .threads = 3, .param = {1}, .script = "HrR"},
    {.name = "writer-comes", .threads = 3, .param = {1}, .script = "hrW"},
    {.name = "given-up", .threads = 3, .param = {1}, .script = "hIC"},
    {.name = "given-up-before-readers", .threads = 4, .param = {1}, .script = "hIrC"},
    {.name = "given-up-writer-in", .threads = 4, .param = {1}, .script = "HIrC"},
    {.name = "given-up-reader-stays", .threads = 4, .param = {1}, .script = "kIrC"},
    {.name = "three", .threads = 3, .param = {1}, .script = "RWW", .sc = true},
    {0},
};

static const model_mutant mutants[] = {
    {"no-look-again", "given-up-reader-stays", &no_look_again, NULL, NULL, NULL},
    {"nobody-stays", "given-up", &nobody_stays, NULL, NULL, NULL},
    {"not-last", "given-up-before-readers", &not_last, NULL, NULL, NULL},
    {"no-waiters", "read-write", &no_waiters, NULL, NULL, NULL},
    {"hand-to-loser", "given-up", &hand_to_loser, NULL, NULL, NULL},
    {"last-relaxed", "readers-then-writer", NULL, "rwlock_is_last", "load_acq(s)", "rlx"},
    {0},
};

const model the_model = {"rwlock", setup, thread, finish, &p, sizeof p, instances, mutants};
