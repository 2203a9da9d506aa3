/* sched/barrier.c -- latches, wait groups, barriers: counts under the lock of a queue, whose release is the last access.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/sync_wait.h"

/* Lock held: everybody goes on; the queue's word becomes `word`. */
static void let_all_go(wait_queue *q, uintptr_t queue, uintptr_t word) {
    waiter *won = weft__queue_win_each(&queue, true, 0);
    queue_unlock(q, word);
    weft__wake_each(won);
}

static weft_exit wait_for(fiber *f, wait_queue *q, wait_have *have, void *arg, const char *what, const void *on) {
    weft_exit why = sync_fine;
    if (f) waits_for(f, what, on);
    return sync_wait(f, q, have, arg, INT64_MAX, 0, &why) == WAIT_CANCEL ? why : sync_fine;
}

/* ---- latch: DONE at 0 ---------------------------------------------------------------------------------- */

weft_err weft_latch_init(weft_latch *l, int64_t count) {
    if (count < 0) return WEFT_E_INVALID;
    *l = (weft_latch){.queue = count ? 0 : QUEUE_DONE, .left = count};
    return WEFT_OK;
}

weft_err weft_latch_count_down(weft_latch *l, int64_t n) {
    uintptr_t queue = 0;
    weft_err err = WEFT_OK;
    if (n < 0) return WEFT_E_INVALID;
    if (!queue_lock(&l->queue, &queue)) return n ? WEFT_E_INVALID : WEFT_OK;
    if (n > l->left)
        err = WEFT_E_INVALID;
    else
        l->left -= n;
    if (l->left == 0)
        let_all_go(&l->queue, queue, QUEUE_DONE);
    else
        queue_unlock(&l->queue, queue);
    sync_point();
    return err;
}

weft_exit weft_latch_wait(weft_latch *l) {
    fiber *f = sync_point();
    if (atom_load_acq(&l->queue) & QUEUE_DONE) return sync_fine;
    return wait_for(f, &l->queue, NULL, NULL, "a latch", l);
}

int64_t weft_latch_left(weft_latch *l) {
    uintptr_t queue = 0;
    sync_point();
    if (!queue_lock(&l->queue, &queue)) return 0;
    int64_t left = l->left;
    queue_unlock(&l->queue, queue);
    return left;
}

/* ---- wait group ---------------------------------------------------------------------------------------- */

weft_err weft_group_add(weft_group *g, int64_t n) {
    uintptr_t queue = 0;
    int64_t count;
    queue_lock(&g->queue, &queue);
    bool fits = !__builtin_add_overflow(g->count, n, &count) && count >= 0;
    if (fits) g->count = count;
    if (fits && count == 0)
        let_all_go(&g->queue, queue, 0);
    else
        queue_unlock(&g->queue, queue);
    sync_point();
    return fits ? WEFT_OK : WEFT_E_INVALID;
}

weft_err weft_group_done(weft_group *g) { return weft_group_add(g, -1); }

static bool group_have(void *arg) { return ((weft_group *)arg)->count == 0; }

weft_exit weft_group_wait(weft_group *g) {
    fiber *f = sync_point();
    uintptr_t queue = 0;
    queue_lock(&g->queue, &queue); /* the last one to be done may still hold it */
    bool there = g->count == 0;
    queue_unlock(&g->queue, queue);
    return there ? sync_fine : wait_for(f, &g->queue, group_have, g, "a wait group", g);
}

/* ---- barrier ------------------------------------------------------------------------------------------- */

weft_err weft_barrier_init(weft_barrier *b, uint32_t parties) {
    if (!parties) return WEFT_E_INVALID;
    *b = (weft_barrier){.parties = parties};
    return WEFT_OK;
}

/* Lock held, and let go: if all are there a new round begins. */
static bool look_whether_all(weft_barrier *b, uintptr_t queue) {
    bool all = b->there && b->there == b->parties;
    if (!all) return queue_unlock(&b->queue, queue), false;
    b->there = 0;
    b->round++;
    let_all_go(&b->queue, queue, 0);
    return true;
}

typedef struct party {
    weft_barrier *b;
    uint64_t round;
} party;

static bool barrier_have(void *arg) {
    const party *p = arg;
    return p->b->round != p->round;
}

/* Interrupted.  False: all were there before that. */
static bool take_back(const party *p) {
    uintptr_t queue = 0;
    queue_lock(&p->b->queue, &queue);
    bool still = p->b->round == p->round;
    if (still) p->b->there--;
    queue_unlock(&p->b->queue, queue);
    return still;
}

weft_exit weft_barrier_wait(weft_barrier *b, bool *last) {
    fiber *f = sync_point();
    uintptr_t queue = 0;
    queue_lock(&b->queue, &queue);
    party p = {b, b->round};
    b->there++;
    bool all = look_whether_all(b, queue);
    if (last) *last = all;
    if (all) return sync_fine;
    weft_exit e = wait_for(f, &b->queue, barrier_have, &p, "the other parties of a barrier", b);
    return weft_ok(e) || !take_back(&p) ? sync_fine : e;
}

weft_err weft_barrier_leave(weft_barrier *b) {
    uintptr_t queue = 0;
    queue_lock(&b->queue, &queue);
    bool only = b->parties == 1;
    if (!only) b->parties--;
    look_whether_all(b, queue);
    sync_point();
    return only ? WEFT_E_INVALID : WEFT_OK;
}
