/* sched/rwlock.c -- read-write locks over sched/rwlock_core.h.
 *
 *   the last reader leaves     the oldest writer goes in; without one, all readers
 *   a writer leaves            all readers who wait go in; without one, the oldest writer
 *   a writer gives up          among readers: if no other writer waits, the readers who wait go in
 *
 * Those who go in have what they waited for the moment their waits are won.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/rwlock_core.h"
#include "sched/sync_wait.h"

enum { READS, WRITES }; /* tags of records */

static bool read_have(void *l) { return rwlock_read_or_wait(&((weft_rwlock *)l)->state); }
static bool write_have(void *l) { return rwlock_write_or_wait(&((weft_rwlock *)l)->state); }

/* ---- letting others in ---------------------------------------------------------------------------------- */

/* The oldest writer that can be won. */
static waiter *win_writer(uintptr_t *queue) {
    waiter *at = queue_newest(*queue) ? queue_newest(*queue)->next : NULL, *end = queue_newest(*queue), *after;
    for (; at; at = after) {
        after = at == end ? NULL : at->next;
        if (at->tag != WRITES) continue;
        *queue = queue_unlink(*queue, at);
        at->prev = NULL;
        if (!at->f || wait_win(&at->f->winner, at->ticket, WAIT_WOKEN)) return at;
    }
    return NULL;
}

static uintptr_t count(const waiter *won) {
    uintptr_t n = 0;
    for (; won; won = won->prev) n++;
    return n;
}

/* The queue is locked, its word *queue, and the caller is the last one in; who comes after it?  NULL: nobody, and WAITERS is
 * cleared; the caller is still in. */
static waiter *let_next_in(weft_rwlock *l, uintptr_t *queue, bool readers_first, uintptr_t self) {
    waiter *won = readers_first ? weft__queue_win_each(queue, false, READS) : NULL;
    waiter *writer = won ? NULL : win_writer(queue);
    if (!won && !writer) won = weft__queue_win_each(queue, false, READS);
    if (!won && !writer) return rwlock_nobody(&l->state, self), NULL;
    atom_store_rlx(&l->writer, writer ? sync_who(writer) : 0);
    rwlock_let_in(&l->state, writer ? RWLOCK_WRITER : count(won) * RWLOCK_READER, queue_newest(*queue) != NULL);
    return writer ? writer : won;
}

static bool has_writers(uintptr_t queue) {
    const waiter *newest = queue_newest(queue), *at = newest;
    if (at) do
        if ((at = at->next)->tag == WRITES) return true;
    while (at != newest);
    return false;
}

/* Somebody has given up waiting.  If that was the only writer, what kept readers out is gone. */
static void look_again(weft_rwlock *l) {
    uintptr_t queue = 0;
    waiter *won = NULL;
    queue_lock(&l->queue, &queue);
    if (rwlock_may_read(&l->state) && !has_writers(queue)) {
        won = weft__queue_win_each(&queue, true, 0);
        rwlock_join(&l->state, count(won));
    }
    queue_unlock(&l->queue, queue);
    weft__wake_each(won);
}

/* ---- waiting -------------------------------------------------------------------------------------------- */

static weft_exit give_up(weft_rwlock *l, wait_state how, weft_exit why) {
    look_again(l);
    return how == WAIT_CANCEL ? why : FAILED(WEFT_E_TIMEOUT, "weft_rwlock: it was not to be had in time");
}

weft_exit weft_rwlock_read_until(weft_rwlock *l, weft_time t) {
    fiber *f = sync_point();
    weft_exit why = sync_fine;
    if (!rwlock_read(&l->state)) {
        if (f) waits_for(f, "a read-write lock, to read", l);
        wait_state how = sync_wait(f, &l->queue, read_have, l, t, READS, &why);
        if (how != WAIT_WOKEN) return give_up(l, how, why);
    }
    if (f) f->pub.locks++;
    return sync_fine;
}

weft_exit weft_rwlock_write_until(weft_rwlock *l, weft_time t) {
    fiber *f = sync_point();
    weft_exit why = sync_fine;
    if (!rwlock_write(&l->state)) {
        if (atom_load_rlx(&l->writer) == sync_me(f))
            return FAILED(WEFT_E_INSIDE, "weft_rwlock_write: the caller writes already; it is not recursive");
        if (f) waits_for(f, "a read-write lock, to write", l);
        wait_state how = sync_wait(f, &l->queue, write_have, l, t, WRITES, &why);
        if (how != WAIT_WOKEN) return give_up(l, how, why);
    }
    atom_store_rlx(&l->writer, sync_me(f));
    if (f) f->pub.locks++;
    return sync_fine;
}

weft_exit weft_rwlock_read(weft_rwlock *l) { return weft_rwlock_read_until(l, WEFT_FOREVER); }
weft_exit weft_rwlock_write(weft_rwlock *l) { return weft_rwlock_write_until(l, WEFT_FOREVER); }

bool weft_rwlock_try_read(weft_rwlock *l) {
    fiber *f = sync_point();
    bool got = rwlock_read(&l->state);
    if (got && f) f->pub.locks++;
    return got;
}

bool weft_rwlock_try_write(weft_rwlock *l) {
    fiber *f = sync_point();
    if (!rwlock_write(&l->state)) return false;
    atom_store_rlx(&l->writer, sync_me(f));
    if (f) f->pub.locks++;
    return true;
}

/* ---- leaving -------------------------------------------------------------------------------------------- */

/* The last one in.  False: nobody came after it, or it is not the last one any more. */
static bool leave_to_next(weft_rwlock *l, bool writes, uintptr_t self) {
    uintptr_t queue = 0;
    queue_lock(&l->queue, &queue);
    waiter *next = rwlock_is_last(&l->state, self) ? let_next_in(l, &queue, writes, self) : NULL;
    queue_unlock(&l->queue, queue);
    weft__wake_each(next);
    return next != NULL;
}

static void go_out(weft_rwlock *l, uintptr_t self) {
    while (!rwlock_leave(&l->state, self) && !leave_to_next(l, self == RWLOCK_WRITER, self)) {}
}

weft_err weft_rwlock_read_end(weft_rwlock *l) {
    fiber *f = thread_fiber();
    if (atom_load_rlx(&l->state) < RWLOCK_READER || (f && !f->pub.locks)) return WEFT_E_NOT_HELD;
    if (f) f->pub.locks--;
    go_out(l, RWLOCK_READER);
    if (f) scheduling_point(f);
    return WEFT_OK;
}

weft_err weft_rwlock_write_end(weft_rwlock *l) {
    fiber *f = thread_fiber();
    if (!(atom_load_rlx(&l->state) & RWLOCK_WRITER) || atom_load_rlx(&l->writer) != sync_me(f)) return WEFT_E_NOT_HELD;
    if (f) f->pub.locks--;
    atom_store_rlx(&l->writer, 0);
    go_out(l, RWLOCK_WRITER);
    if (f) scheduling_point(f);
    return WEFT_OK;
}
