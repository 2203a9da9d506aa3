/* sched/chan.h -- a channel, and what sending and receiving do under its lock.
 *
 * A record (chan_record) is a waiter with a value: what is sent, or where what is received goes.  It lies in the waiter's frame,
 * on the channel's ring of senders or of receivers; one wait may have many, on several channels, with the same winner word
 * (sched/select.c).
 *
 * Under the lock, whenever it is free:
 *   I1  0 <= n <= capacity; the buffer holds n values, oldest at `take`
 *   I2  a receiver waits (its wait not yet won)  =>  n == 0 and no sender waits, but one of the same wait
 *   I3  a sender waits                           =>  n == capacity and no receiver waits, but one of the same wait
 *   I4  closed                                   =>  nobody waits, or will
 * A record that is linked, but whose wait was won elsewhere (another arm, a timer, a cancel), does not count: whoever meets it
 * takes it out, and its owner, who locks every channel it has a record on before its call returns, finds it gone.
 *
 * Who has a value.  One moves in the step that decides: the win of the receiver's wait (then it is copied, before the receiver is
 * made runnable), the win of a sender's wait, or the copy into or out of the buffer, all under the lock.  Whoever fails to win
 * has moved nothing.  So each value is received once, is in the buffer, or is still its sender's; and a wait that was
 * won by a cancel or a timer neither takes nor gives.
 *
 *   send                                            receive
 *   S1 closed?  refused                             R1 n > 0: the oldest is copied out;
 *   S2 win the oldest receiver that can be won:        win the oldest sender: its value is copied in
 *      copied to it                                 R2 win the oldest sender: copied from it   (capacity 0)
 *   S3 n < capacity: copied in                      R3 closed?  refused
 *   S4 the policy, or wait                          R4 wait
 *
 * After the lock is free nothing of the channel is touched, and after a record's owner is made runnable nothing of the record:
 * so who receives the last value may destroy the channel.
 *
 * The lock is biased (sched/bias.h): who uses a channel alone needs no locked instruction for a send or a receive, and waits with one
 * (A2), the one that the look for a cancel must follow.
 *
 * Rejected: a lock-free ring with waiters beside it (a locked instruction for a send and one for a receive, and then a fence
 * and a look for waiters in each); two locks, for senders and receivers (who waits is known to both).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_CHAN_H
#define WEFT_SCHED_CHAN_H

#include "sched/bias.h"
#include "sched/switch.h"
#include <string.h>
#include <weft/chan.h>

typedef enum attempt {
    CHAN_NOT, /* it would have to wait */
    CHAN_DONE,
    CHAN_CLOSED,
    CHAN_GROW, /* unbounded, and full: weft__chan_grow, and again */
} attempt;

typedef struct chan_record {
    waiter waiter; /* must be first */
    void *value;
    attempt how;   /* written by who wins the wait for this record: DONE or CLOSED; else NOT */
} chan_record;

/* Of an unbounded channel: so many values one after the other, then the next. */
typedef struct chan_chunk {
    struct chan_chunk *next;
    size_t unused; /* values lie at a multiple of 16 */
    char values[];
} chan_chunk;

typedef _Atomic(uintptr_t) chan_ring; /* newest record, as a queue's word; relaxed: the lock orders it, others glance */

struct weft_chan {
    biased lock;
    chan_ring receivers, senders;
    _Atomic size_t n;
    size_t capacity;
    char *put, *put_end, *take, *take_end; /* at an end: first to the beginning, or the next chunk */
    uint32_t size;
    uint8_t policy;
    bool special;           /* lossy or unbounded: a send never waits */
    _Atomic bool simple;    /* not special, not closed, values of eight bytes (written under the lock) */
    _Atomic uint8_t closed;
    char *ring;             /* bounded: its values */
    chan_chunk *first, *last, *spare; /* unbounded */
    size_t block_bytes, chunk_bytes;
    void (*drop)(void *value);
    weft_runtime *outside;
};

/* What follows once the lock is free. */
typedef struct chan_deal {
    chan_record *partner; /* to be woken */
    void *lost;           /* to be dropped; lies in room, or is the sender's */
    void *room;           /* for one value, if the channel is lossy and has a hook */
} chan_deal;

/* By `me`, who runs here; NULL: a plain thread.  Returns what lets it go. */
SWITCH_INLINE wait_queue *chan_lock(weft_chan *c, const fiber *me) { return bias_lock(&c->lock, me ? (uintptr_t)me->w : 0); }
SWITCH_INLINE void chan_unlock(wait_queue *held) { bias_unlock(held); }

SWITCH_INLINE void chan_copy(void *to, const void *from, size_t size) {
    if (WEFT_LIKELY(size == sizeof(uint64_t)))
        __builtin_memcpy(to, from, sizeof(uint64_t));
    else
        memcpy(to, from, size);
}

/* A glance without the lock: would it have to wait?  What it says was true at some time after whatever the caller has seen. */
static inline bool chan_may_send(const weft_chan *c) {
    return atom_load_rlx(&c->receivers) || atom_load_rlx(&c->n) < c->capacity || atom_load_rlx(&c->closed) || c->special;
}
static inline bool chan_may_receive(const weft_chan *c) {
    return atom_load_rlx(&c->n) || atom_load_rlx(&c->senders) || atom_load_rlx(&c->closed);
}

/* ---- under the lock ----------------------------------------------------------------------------------- */

static inline void chan_link(chan_ring *ring, waiter *w) { atom_store_rlx(ring, queue_link(atom_load_rlx(ring), w)); }
static inline void chan_unlink(chan_ring *ring, waiter *w) {
    if (w->next) atom_store_rlx(ring, queue_unlink(atom_load_rlx(ring), w));
}

/* The oldest whose wait can be won; those before it are over already.  Taken out. */
SWITCH_INLINE chan_record *chan_win(chan_ring *ring, attempt how) {
    for (uintptr_t word; (word = atom_load_rlx(ring));) {
        waiter *oldest = queue_newest(word)->next;
        atom_store_rlx(ring, queue_unlink(word, oldest));
        if (WEFT_UNLIKELY(!waiter_win(oldest))) continue;
        chan_record *r = (chan_record *)oldest;
        r->how = how;
        return r;
    }
    return NULL;
}

bool weft__chan_next_put(weft_chan *c); /* false: there is no chunk */
void weft__chan_next_take(weft_chan *c);

SWITCH_INLINE bool chan_put(weft_chan *c, const void *value) {
    if (WEFT_UNLIKELY(c->put == c->put_end) && !weft__chan_next_put(c)) return false;
    chan_copy(c->put, value, c->size);
    c->put += c->size;
    atom_store_rlx(&c->n, atom_load_rlx(&c->n) + 1);
    return true;
}

SWITCH_INLINE void chan_take(weft_chan *c, void *value) {
    if (WEFT_UNLIKELY(c->take == c->take_end)) weft__chan_next_take(c);
    if (value) chan_copy(value, c->take, c->size);
    c->take += c->size;
    atom_store_rlx(&c->n, atom_load_rlx(&c->n) - 1);
}

attempt weft__chan_lose(weft_chan *c, const void *value, chan_deal *d);

SWITCH_INLINE attempt chan_send(weft_chan *c, const void *value, chan_deal *d) {
    if (WEFT_UNLIKELY(atom_load_rlx(&c->closed))) return CHAN_CLOSED; /* S1 */
    if (atom_load_rlx(&c->receivers) && (d->partner = chan_win(&c->receivers, CHAN_DONE)) != NULL) { /* S2 */
        chan_copy(d->partner->value, value, c->size);
        return CHAN_DONE;
    }
    if (atom_load_rlx(&c->n) < c->capacity) return chan_put(c, value) ? CHAN_DONE : CHAN_GROW; /* S3 */
    return WEFT_UNLIKELY(c->special) ? weft__chan_lose(c, value, d) : CHAN_NOT;
}

SWITCH_INLINE attempt chan_receive(weft_chan *c, void *value, chan_deal *d) {
    if (atom_load_rlx(&c->n)) { /* R1 */
        chan_take(c, value);
        if (atom_load_rlx(&c->senders) && (d->partner = chan_win(&c->senders, CHAN_DONE)) != NULL)
            chan_put(c, d->partner->value);
        return CHAN_DONE;
    }
    if (atom_load_rlx(&c->senders) && (d->partner = chan_win(&c->senders, CHAN_DONE)) != NULL) { /* R2 */
        chan_copy(value, d->partner->value, c->size);
        return CHAN_DONE;
    }
    return atom_load_rlx(&c->closed) ? CHAN_CLOSED : CHAN_NOT; /* R3 */
}

SWITCH_INLINE attempt chan_try(weft_chan *c, bool sends, void *value, chan_deal *d) {
    return sends ? chan_send(c, value, d) : chan_receive(c, value, d);
}
static inline bool chan_may(const weft_chan *c, bool sends) { return sends ? chan_may_send(c) : chan_may_receive(c); }
static inline chan_ring *chan_ring_of(weft_chan *c, bool sends) { return sends ? &c->senders : &c->receivers; }

/* ---- the lock is free --------------------------------------------------------------------------------- */

/* By `me`, who runs here; NULL: a plain thread.  The last access to the record. */
SWITCH_INLINE void chan_wake(fiber *me, chan_record *r) {
    fiber *f = r->waiter.f;
    if (WEFT_LIKELY(me && f && me->rt == f->rt))
        weft__ready(me->w, f);
    else
        weft__wait_over(&r->waiter);
}

static inline void chan_settle(weft_chan *c, fiber *me, const chan_deal *d) {
    if (d->partner) chan_wake(me, d->partner);
    if (WEFT_UNLIKELY(d->lost != NULL) && c->drop) c->drop(d->lost);
}

/* Memory for more in an unbounded channel that has none left.  False: there is none. */
bool weft__chan_grow(weft_chan *c);
/* With room for a value that a lossy channel loses; false: no memory. */
#define CHAN_ROOM 256
bool weft__chan_room(const weft_chan *c, chan_deal *d, void *room);
void weft__chan_room_end(const weft_chan *c, chan_deal *d, void *room);

/* A plain thread waits until it is woken, or (false) the time of its clock comes first. */
bool weft__thread_waits(wait_thread *t, int64_t deadline);

#endif
