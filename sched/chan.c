/* sched/chan.c -- channels (sched/chan.h): opening and closing, sending and receiving.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/chan.h"
#include "alloc/heap.h"
#include "sched/det.h"
#include "sched/fail.h"
#include "sched/misuse.h"
#include "sched/quiet.h"
#include "sched/registry.h"

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

#define NO_CHANNEL FAILED(WEFT_E_INVALID, "a channel is used that is none: weft_chan_open said why")
#define SEND_CLOSED FAILED(WEFT_E_CLOSED, "weft_send: the channel is closed")
#define RECEIVE_CLOSED FAILED(WEFT_E_CLOSED, "weft_receive: the channel is closed, and empty")
#define SEND_LATE FAILED(WEFT_E_TIMEOUT, "weft_send: nobody made room in time")
#define RECEIVE_LATE FAILED(WEFT_E_TIMEOUT, "weft_receive: nothing came in time")
#define NO_MEMORY FAILED(WEFT_E_NOMEM, "weft_send: no memory for another value")
#define NO_TIME FAILED(WEFT_E_INVALID, "the duration is negative, or too long for the clock")

enum { CHUNK_BYTES = 4096, ALIGN = 16, BLOCK_BYTES = (sizeof(weft_chan) + 63) & ~(size_t)63 };

bool weft__bias_possible(void) { return weft__os_barrier_works(); }

/* ---- opening and closing ------------------------------------------------------------------------------ */

/* False: it can't be. */
static bool sizes(const weft_chan_options *o, size_t element, size_t *capacity, size_t *ring) {
    bool unbounded = o->capacity == WEFT_UNBOUNDED;
    if (o->capacity < 0 || element == 0 || element > WEFT_ELEMENT_MAX || (unsigned)o->policy > WEFT_LATEST) return false;
    if (o->policy == WEFT_SLIDING && o->capacity == 0) return false;
    *capacity = o->policy == WEFT_LATEST ? 1 : unbounded ? SIZE_MAX : (size_t)o->capacity;
    *ring = 0;
    if (*capacity == SIZE_MAX) return true;
    return !__builtin_mul_overflow(*capacity, element, ring) && *ring <= PTRDIFF_MAX - (size_t)BLOCK_BYTES;
}

static bool announce(weft_runtime *handle) {
    runtime *rt = weft__registry_enter(handle);
    if (!rt) return false;
    weft__foreign_begins(rt);
    weft__registry_leave(handle);
    return true;
}

static void announced_ends(weft_runtime *handle) {
    runtime *rt = weft__registry_enter(handle);
    if (!rt) return;
    weft__foreign_ends(rt);
    weft__registry_leave(handle);
}

weft_err weft_chan_new(weft_chan **out, size_t element, const weft_chan_options *o) {
    size_t capacity, ring;
    *out = NULL;
    if (!sizes(o, element, &capacity, &ring)) return WEFT_E_INVALID;
    weft_chan *c = weft__heap_alloc(BLOCK_BYTES + ring, 64);
    if (!c) return WEFT_E_NOMEM;
    if (o->outside && !announce(o->outside)) {
        weft__heap_free(c, BLOCK_BYTES + ring);
        return WEFT_E_CLOSED;
    }
    bias_init(&c->lock);
    c->capacity = capacity;
    c->size = (uint32_t)element;
    c->policy = (uint8_t)o->policy;
    c->special = c->policy != WEFT_BLOCK || capacity == SIZE_MAX;
    atom_store_rlx(&c->simple, !c->special && element == sizeof(uint64_t));
    c->drop = o->drop;
    c->outside = o->outside;
    c->block_bytes = BLOCK_BYTES + ring;
    c->ring = c->put = c->take = (char *)c + BLOCK_BYTES;
    c->put_end = c->take_end = c->ring + ring;
    if (capacity == SIZE_MAX) {
        c->put = c->put_end = c->take = c->take_end = NULL;
        size_t most = (CHUNK_BYTES - sizeof(chan_chunk)) / element;
        c->chunk_bytes = sizeof(chan_chunk) + (most < 8 ? 8 : most) * element;
    }
    *out = c;
    return WEFT_OK;
}

/* All that wait: those won, oldest first; taken out. */
static waiter *close_ring(chan_ring *ring, waiter **last) {
    waiter *won = NULL;
    *last = NULL;
    for (chan_record *r; (r = chan_win(ring, CHAN_CLOSED)) != NULL; *last = &r->waiter) {
        if (*last)
            (*last)->prev = &r->waiter; /* next NULL says that it is on no ring */
        else
            won = &r->waiter;
        r->waiter.prev = NULL;
    }
    return won;
}

static void wake_all(fiber *me, waiter *won) {
    while (won) {
        waiter *at = won;
        won = at->prev;
        chan_wake(me, (chan_record *)at);
    }
}

weft_err weft_chan_shut(weft_chan *c) {
    waiter *last;
    if (!c) return WEFT_E_INVALID;
    weft_point();
    fiber *f = thread_fiber();
    wait_queue *held = chan_lock(c, f);
    if (atom_load_rlx(&c->closed)) {
        chan_unlock(held);
        return WEFT_E_CLOSED;
    }
    atom_store_rlx(&c->closed, 1);
    atom_store_rlx(&c->simple, false);
    waiter *senders = close_ring(&c->senders, &last), *receivers = close_ring(&c->receivers, &last);
    weft_runtime *outside = c->outside;
    chan_unlock(held);
    wake_all(f, senders);
    wake_all(f, receivers);
    if (outside) announced_ends(outside); /* after they are ready: rest must not be seen between */
    return WEFT_OK;
}

static void free_chunks(weft_chan *c) {
    for (chan_chunk *at = c->first, *next; at; at = next) {
        next = at->next;
        weft__heap_free(at, c->chunk_bytes);
    }
    if (c->spare) weft__heap_free(c->spare, c->chunk_bytes);
}

void weft_chan_free(weft_chan *c) {
    if (!c) return;
    wait_queue *held = chan_lock(c, thread_fiber());
    if (atom_load_rlx(&c->receivers) || atom_load_rlx(&c->senders))
        weft__misuse("weft_chan_destroy: somebody waits on the channel; close it, and destroy it when nobody uses it any more");
    bool closed = atom_load_rlx(&c->closed);
    chan_unlock(held);
    while (atom_load_rlx(&c->n)) {
        if (c->take == c->take_end) weft__chan_next_take(c);
        char *value = c->take;
        chan_take(c, NULL);
        if (c->drop) c->drop(value);
    }
    if (c->outside && !closed) announced_ends(c->outside);
    free_chunks(c);
    weft__heap_free(c, c->block_bytes);
}

size_t weft_chan_length(weft_chan *c) {
    weft_point();
    return c ? atom_load_rlx(&c->n) : 0;
}

/* ---- the buffer --------------------------------------------------------------------------------------- */

static void chunk_range(const weft_chan *c, chan_chunk *k, char **from, char **to) {
    *from = k->values;
    *to = k->values + (c->chunk_bytes - sizeof *k);
}

static void chunk_append(weft_chan *c) {
    chan_chunk *k = c->spare;
    c->spare = NULL;
    k->next = NULL;
    if (c->last)
        c->last->next = k;
    else
        c->first = k;
    c->last = k;
    chunk_range(c, k, &c->put, &c->put_end);
    if (c->first == k) chunk_range(c, k, &c->take, &c->take_end);
}

bool weft__chan_next_put(weft_chan *c) {
    if (c->capacity != SIZE_MAX) {
        c->put = c->ring;
        return true;
    }
    if (!c->spare) return false;
    chunk_append(c);
    return true;
}

/* pre: n > 0, so a chunk follows. */
void weft__chan_next_take(weft_chan *c) {
    if (c->capacity != SIZE_MAX) {
        c->take = c->ring;
        return;
    }
    chan_chunk *k = c->first;
    c->first = k->next;
    chunk_range(c, c->first, &c->take, &c->take_end);
    if (c->spare)
        weft__heap_free(k, c->chunk_bytes);
    else
        c->spare = k;
}

bool weft__chan_grow(weft_chan *c) {
    chan_chunk *k = weft__heap_alloc(c->chunk_bytes, ALIGN);
    if (!k) return false;
    wait_queue *held = chan_lock(c, thread_fiber());
    bool used = !c->spare;
    if (used) c->spare = k;
    chan_unlock(held);
    if (!used) weft__heap_free(k, c->chunk_bytes);
    return true;
}

/* Lossy, full, nobody to receive. */
attempt weft__chan_lose(weft_chan *c, const void *value, chan_deal *d) {
    if (c->policy == WEFT_DROPPING) {
        d->lost = (void *)(uintptr_t)value;
        return CHAN_DONE;
    }
    d->lost = d->room;
    chan_take(c, d->room);
    chan_put(c, value);
    return CHAN_DONE;
}

bool weft__chan_room(const weft_chan *c, chan_deal *d, void *room) {
    if (!c->drop || (c->policy != WEFT_SLIDING && c->policy != WEFT_LATEST)) return true;
    d->room = c->size <= CHAN_ROOM ? room : weft__heap_alloc(c->size, ALIGN);
    return d->room != NULL;
}

void weft__chan_room_end(const weft_chan *c, chan_deal *d, void *room) {
    if (d->room && d->room != room) weft__heap_free(d->room, c->size);
}

/* ---- without waiting ---------------------------------------------------------------------------------- */

/* Lossy or unbounded. */
static WEFT_COLD attempt send_special(weft_chan *c, fiber *f, const void *value) {
    _Alignas(ALIGN) char room[CHAN_ROOM];
    chan_deal d = {NULL, NULL, NULL};
    if (!weft__chan_room(c, &d, room)) return CHAN_GROW;
    for (attempt a;;) {
        wait_queue *held = chan_lock(c, f);
        a = chan_send(c, value, &d);
        chan_unlock(held);
        if (a == CHAN_GROW && weft__chan_grow(c)) continue;
        chan_settle(c, f, &d);
        weft__chan_room_end(c, &d, room);
        return a;
    }
}

SWITCH_INLINE attempt try_once(weft_chan *c, fiber *f, bool sends, void *value) {
    chan_deal d = {NULL, NULL, NULL};
    wait_queue *held = chan_lock(c, f);
    attempt a = chan_try(c, sends, value, &d);
    chan_unlock(held);
    if (d.partner) chan_wake(f, d.partner);
    return a;
}

static weft_err err_of(attempt a) {
    return a == CHAN_DONE ? WEFT_OK : a == CHAN_CLOSED ? WEFT_E_CLOSED : a == CHAN_GROW ? WEFT_E_NOMEM : WEFT_E_WOULDBLOCK;
}

weft_err weft_chan_try_send(weft_chan *c, const void *value) {
    if (WEFT_UNLIKELY(!c)) return WEFT_E_INVALID;
    fiber *f = thread_fiber();
    if (f) scheduling_point(f);
    if (WEFT_UNLIKELY(c->special)) return err_of(send_special(c, f, value));
    return chan_may_send(c) ? err_of(try_once(c, f, true, (void *)(uintptr_t)value)) : WEFT_E_WOULDBLOCK;
}

weft_err weft_chan_try_receive(weft_chan *c, void *value) {
    if (WEFT_UNLIKELY(!c)) return WEFT_E_INVALID;
    fiber *f = thread_fiber();
    if (f) scheduling_point(f);
    return chan_may_receive(c) ? err_of(try_once(c, f, false, value)) : WEFT_E_WOULDBLOCK;
}

/* ---- waiting ------------------------------------------------------------------------------------------ */

/* Its wait has ended some other way. */
static void leave_ring(weft_chan *c, bool sends, chan_record *r) {
    wait_queue *held = chan_lock(c, thread_fiber());
    chan_unlink(chan_ring_of(c, sends), &r->waiter);
    chan_unlock(held);
}

/* Too late; what has come meanwhile is still taken. */
static WEFT_COLD wait_state too_late(weft_chan *c, fiber *f, bool sends, chan_record *r) {
    r->how = try_once(c, f, sends, r->value);
    return r->how == CHAN_NOT ? WAIT_TIMEOUT : WAIT_WOKEN;
}

/* No stack to leave this one for: is the wait over?  If not (WAIT_RUNNING) somebody had a turn on this one; try again. */
static WEFT_COLD wait_state wait_helping(weft_chan *c, fiber *f, bool sends, chan_record *r, int64_t deadline, weft_exit *why) {
    if (cancel_due(f) && !weft_ok(*why = weft__look_up(f))) return WAIT_CANCEL;
    if ((r->how = try_once(c, f, sends, r->value)) != CHAN_NOT) return WAIT_WOKEN;
    if (deadline != INT64_MAX && clock_now(f->w->rt) >= deadline) return WAIT_TIMEOUT;
    clock_serve_own(f->w);
    weft__help_until(f, deadline);
    return WAIT_RUNNING;
}

/* As wait_on of sched/switch.h, whose steps these are; looked for under the lock is a partner, or room, or a value.
 * WAIT_WOKEN: r->how says what came of it. */
SWITCH_INLINE wait_state chan_wait(weft_chan *c, fiber *f, bool sends, chan_record *r, limit *until, weft_exit *why) {
    r->waiter.f = f;
    for (;;) {
        leave l = {0, NULL, 0, NULL};
        chan_deal d = {NULL, NULL, NULL};
        before_leaving(f);
        if (WEFT_UNLIKELY(f->strand)) weft__node_publish(&f->base);
        fiber *opened = WEFT_UNLIKELY(f->then && !f->then_ticket) ? weft__then_open(f) : NULL;
        item next = weft__queue_pop(f->w); /* may serve timers, so before A1 */
        fiber *to = next_context(f->w, next);
        if (WEFT_UNLIKELY(!to)) {
            wait_state how = wait_helping(c, f, sends, r, until ? until->deadline : INT64_MAX, why);
            if (how == WAIT_RUNNING) continue;
            return how;
        }
        r->how = CHAN_NOT;
        l.ticket = r->waiter.ticket = wait_begin(&f->winner, f->floor); /* A1 */
        l.queue = chan_lock(c, f);                                      /* A2 */
        if (bias_is_held(&c->lock, l.queue)) wait_show(&f->winner, l.ticket);
        if (until) l.timers = clock_lock(f->w);
        atom_fence_after_rmw();
        if (WEFT_UNLIKELY(opened != NULL)) weft__then_look(f);
        bool due = cancel_due(f);
        attempt a = WEFT_UNLIKELY(due) ? CHAN_NOT : chan_try(c, sends, r->value, &d);
        if (WEFT_UNLIKELY(due || a != CHAN_NOT)) { /* A3 */
            if (l.timers) spin_unlock(l.timers);
            chan_unlock(l.queue);
            wait_end(&f->winner);
            weft__leave_not(f, to, next);
            if (d.partner) chan_wake(f, d.partner);
            if (due && !weft_ok(*why = weft__look_up(f))) return WAIT_CANCEL;
            if (due) continue;
            r->how = a;
            return WAIT_WOKEN;
        }
        chan_link(chan_ring_of(c, sends), &r->waiter);
        if (until) {
            until->ticket = l.ticket;
            clock_link(f->w, &until->alert, ALERT_WAIT, until->deadline);
            if (!clock_virtual(f->rt)) weft__monitor_look(f->rt);
        }
        fiber_leave(f, to, (after){AFTER_WAIT, f, NULL, &l}); /* A4, A5 */
        wait_state how = wait_end(&f->winner);
        if (until && how != WAIT_TIMEOUT) clock_cancel(f->w->rt, &until->alert);
        if (WEFT_LIKELY(how == WAIT_WOKEN)) return how;
        leave_ring(c, sends, r);
        if (how == WAIT_TIMEOUT) return too_late(c, f, sends, r);
        if (!weft_ok(*why = weft__look_up(f))) return WAIT_CANCEL;
    }
}

bool weft__thread_waits(wait_thread *t, int64_t deadline) {
    while (!atom_load_acq(&t->woken)) {
        int64_t left = deadline == INT64_MAX ? -1 : deadline - weft__os_now();
        if (deadline != INT64_MAX && left <= 0 && wait_win(&t->winner, WAIT_OPEN, WAIT_TIMEOUT)) return false;
        weft__os_futex_wait(&t->woken, 0, deadline != INT64_MAX && left <= 0 ? -1 : left);
    }
    return true;
}

/* CHAN_NOT: too late. */
static WEFT_COLD attempt wait_on_thread(weft_chan *c, bool sends, void *value, int64_t deadline) {
    wait_thread t = {WAIT_OPEN, 0};
    chan_record r = {.waiter = {.f = NULL, .ticket = (uintptr_t)&t}, .value = value, .how = CHAN_NOT};
    chan_deal d = {NULL, NULL, NULL};
    wait_queue *held = chan_lock(c, NULL);
    attempt a = chan_try(c, sends, value, &d);
    if (a == CHAN_NOT) chan_link(chan_ring_of(c, sends), &r.waiter);
    chan_unlock(held);
    if (d.partner) chan_wake(NULL, d.partner);
    if (a != CHAN_NOT) return a;
    if (weft__thread_waits(&t, deadline)) return r.how;
    leave_ring(c, sends, &r);
    return try_once(c, NULL, sends, value);
}

static WEFT_COLD weft_exit said(attempt a, bool sends) {
    switch (a) {
    case CHAN_DONE: return success;
    case CHAN_CLOSED: return sends ? SEND_CLOSED : RECEIVE_CLOSED;
    case CHAN_NOT: return sends ? SEND_LATE : RECEIVE_LATE;
    default: return NO_MEMORY;
    }
}

SWITCH_INLINE weft_exit waits(weft_chan *c, fiber *f, bool sends, void *value, limit *until) {
    weft_exit why = success;
    chan_record r;
    r.value = value;
    r.waiter.next = NULL;
    waits_for(f, sends ? "room in a channel" : "a value from a channel", c);
    if (until) until->f = f;
    wait_state how = chan_wait(c, f, sends, &r, until, &why);
    if (WEFT_UNLIKELY(how == WAIT_CANCEL)) return why;
    if (WEFT_UNLIKELY(how == WAIT_TIMEOUT)) return said(CHAN_NOT, sends);
    return WEFT_LIKELY(r.how == CHAN_DONE) ? why : said(r.how, sends);
}

/* Without a limit: of their own, to be entered by a jump from several places. */
static __attribute__((noinline)) weft_exit send_waits(weft_chan *c, fiber *f, void *value) { return waits(c, f, true, value, NULL); }
static __attribute__((noinline)) weft_exit receive_waits(weft_chan *c, fiber *f, void *value) { return waits(c, f, false, value, NULL); }

/* What both do, with and without a limit; value is read only if it sends. */
SWITCH_INLINE weft_exit transfer(weft_chan *c, bool sends, void *value, limit *until) {
    weft_exit why = success;
    if (WEFT_UNLIKELY(!c)) return NO_CHANNEL;
    fiber *f = thread_fiber();
    if (WEFT_UNLIKELY(!f)) {
        if (sends && c->special) return said(send_special(c, NULL, value), true);
        return said(wait_on_thread(c, sends, value, until ? until->deadline : INT64_MAX), sends);
    }
    scheduling_point(f);
    if (WEFT_UNLIKELY(cancel_due(f)) && !weft_ok(why = weft__look_up(f))) return why;
    if (sends && WEFT_UNLIKELY(c->special)) return said(send_special(c, f, value), true);
    if (chan_may(c, sends)) {
        attempt a = try_once(c, f, sends, value);
        if (WEFT_LIKELY(a == CHAN_DONE)) return why;
        if (a != CHAN_NOT) return said(a, sends);
    }
    if (until) return waits(c, f, sends, value, until);
    return (sends ? send_waits : receive_waits)(c, f, value);
}

static __attribute__((noinline)) weft_exit send_slow(weft_chan *c, const void *value) {
    return transfer(c, true, (void *)(uintptr_t)value, NULL);
}
static __attribute__((noinline)) weft_exit receive_slow(weft_chan *c, void *value) { return transfer(c, false, value, NULL); }

/* ---- eight bytes, by the owner of the lock -------------------------------------------------------------
 * Without a frame of their own.  What is read of the channel before the lock is taken is true if it is got: its owner was its owner all
 * the time. */

/* Its own worker's, and there is nothing to look at first. */
SWITCH_INLINE bool undisturbed_owner(const weft_chan *c, const fiber *f) {
    return WEFT_LIKELY(c && f) && atom_load_rlx(&c->lock.owner) == (uintptr_t)f->w && !(weft__attn() & ATTN_POINTS) && !cancel_due(f);
}

/* The lock is held: the oldest of the ring, if it is a fiber of this runtime that may run here, and its wait can be won.  Taken out.
 * NULL: nothing was done, or one that is over was taken out. */
SWITCH_INLINE chan_record *win_here(const weft_chan *c, chan_ring *ring, const fiber *f) {
    uintptr_t word = atom_load_rlx(ring);
    waiter *oldest = queue_newest(word)->next;
    if (WEFT_UNLIKELY(!atom_load_rlx(&c->simple) || !oldest->f || oldest->f->rt != f->rt)) return NULL;
    atom_store_rlx(ring, queue_unlink(word, oldest));
    return WEFT_LIKELY(waiter_win(oldest)) ? (chan_record *)oldest : NULL;
}

weft_exit weft_chan_send(weft_chan *c, const void *value) {
    fiber *f = thread_fiber();
    if (WEFT_UNLIKELY(!undisturbed_owner(c, f))) return send_slow(c, value);
    worker *w = f->w;
    size_t n = atom_load_rlx(&c->n);
    if (atom_load_rlx(&c->receivers)) {
        if (!bias_take(&c->lock, (uintptr_t)w)) return send_slow(c, value);
        chan_record *r = win_here(c, &c->receivers, f);
        if (WEFT_LIKELY(r != NULL)) {
            r->how = CHAN_DONE;
            __builtin_memcpy(r->value, value, sizeof(uint64_t));
            bias_unlock(&c->lock.held);
            weft__ready(w, r->waiter.f);
            return success;
        }
        bias_unlock(&c->lock.held);
        return send_slow(c, value);
    }
    if (n >= c->capacity) return WEFT_LIKELY(atom_load_rlx(&c->simple)) ? send_waits(c, f, (void *)(uintptr_t)value) : send_slow(c, value);
    if (!bias_take(&c->lock, (uintptr_t)w)) return send_slow(c, value);
    char *at = c->put;
    if (WEFT_UNLIKELY(at == c->put_end || !atom_load_rlx(&c->simple))) {
        bias_unlock(&c->lock.held);
        return send_slow(c, value);
    }
    __builtin_memcpy(at, value, sizeof(uint64_t));
    c->put = at + sizeof(uint64_t);
    atom_store_rlx(&c->n, n + 1);
    bias_unlock(&c->lock.held);
    return success;
}

weft_exit weft_chan_receive(weft_chan *c, void *value) {
    fiber *f = thread_fiber();
    if (WEFT_UNLIKELY(!undisturbed_owner(c, f))) return receive_slow(c, value);
    worker *w = f->w;
    size_t n = atom_load_rlx(&c->n);
    if (atom_load_rlx(&c->senders)) {
        if (WEFT_UNLIKELY(n != 0) || !bias_take(&c->lock, (uintptr_t)w)) return receive_slow(c, value);
        chan_record *r = win_here(c, &c->senders, f);
        if (WEFT_LIKELY(r != NULL)) {
            r->how = CHAN_DONE;
            __builtin_memcpy(value, r->value, sizeof(uint64_t));
            bias_unlock(&c->lock.held);
            weft__ready(w, r->waiter.f);
            return success;
        }
        bias_unlock(&c->lock.held);
        return receive_slow(c, value);
    }
    if (n == 0) return WEFT_LIKELY(atom_load_rlx(&c->simple)) ? receive_waits(c, f, value) : receive_slow(c, value);
    if (!bias_take(&c->lock, (uintptr_t)w)) return receive_slow(c, value);
    char *at = c->take;
    if (WEFT_UNLIKELY(at == c->take_end || !atom_load_rlx(&c->simple))) {
        bias_unlock(&c->lock.held);
        return receive_slow(c, value);
    }
    __builtin_memcpy(value, at, sizeof(uint64_t));
    c->take = at + sizeof(uint64_t);
    atom_store_rlx(&c->n, n - 1);
    bias_unlock(&c->lock.held);
    return success;
}

weft_exit weft_chan_send_until(weft_chan *c, const void *value, weft_time t) {
    limit until = {.deadline = t};
    return transfer(c, true, (void *)(uintptr_t)value, &until);
}

weft_exit weft_chan_receive_until(weft_chan *c, void *value, weft_time t) {
    limit until = {.deadline = t};
    return transfer(c, false, value, &until);
}

weft_exit weft_chan_send_for(weft_chan *c, const void *value, weft_duration d) {
    int64_t at;
    if (!weft__deadline_of(weft_now(), d, &at)) return NO_TIME;
    return weft_chan_send_until(c, value, at);
}

weft_exit weft_chan_receive_for(weft_chan *c, void *value, weft_duration d) {
    int64_t at;
    if (!weft__deadline_of(weft_now(), d, &at)) return NO_TIME;
    return weft_chan_receive_until(c, value, at);
}
