/* sched/cond.c -- condition variables: a queue, and a mutex that is let go while its lock is held.
 *
 * So whoever signals after the mutex was let go finds the lock of the queue taken, and then the waiter in it: what it changed under
 * the mutex comes after that, so a relaxed glance at the queue does not find it empty.
 * A waiter that is woken without having been meant has left the queue for a moment and may have missed a signal: it
 * returns as if there had been one.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/sync_wait.h"

typedef struct letting_go {
    weft_mutex *m;
    fiber *f;
    bool done;
} letting_go;

static bool let_go(void *arg) {
    letting_go *l = arg;
    if (l->done) return true;
    l->done = true;
    weft__mutex_let_go(l->m, l->f);
    return false;
}

/* Whatever it is asked; but for a deadlock that is undone, where masks do not count. */
static weft_exit lock_again(weft_mutex *m) {
    weft_mask mask;
    weft_mask_begin(&mask);
    weft_exit e = weft__mutex_lock(m);
    weft_mask_end(&mask);
    return e;
}

weft_exit weft_cond_wait_until(weft_cond *c, weft_mutex *m, weft_time t) {
    fiber *f = sync_point();
    letting_go l = {m, f, false};
    weft_exit why = sync_fine;
    if (!weft_mutex_is_mine(m)) return FAILED(WEFT_E_NOT_HELD, "weft_cond_wait: the caller does not hold the mutex");
    if (f) waits_for(f, "a condition", c);
    wait_state how = sync_wait(f, &c->queue, let_go, &l, t, 0, &why);
    weft_exit again = l.done ? lock_again(m) : sync_fine;
    if (how == WAIT_CANCEL) return why;
    if (how == WAIT_TIMEOUT && weft_ok(again))
        return FAILED(WEFT_E_TIMEOUT, "weft_cond_wait: the condition was not signalled in time");
    return again;
}

weft_exit weft_cond_wait(weft_cond *c, weft_mutex *m) { return weft_cond_wait_until(c, m, WEFT_FOREVER); }

weft_exit weft_cond_wait_for(weft_cond *c, weft_mutex *m, weft_duration d) {
    int64_t at;
    if (!weft__deadline_of(weft_now(), d, &at))
        return FAILED(WEFT_E_INVALID, "weft_cond_wait_for: the duration is negative, or too long for the clock");
    return weft_cond_wait_until(c, m, at);
}

void weft_cond_signal(weft_cond *c) {
    uintptr_t queue = 0;
    if (!atom_load_rlx(&c->queue)) return;
    queue_lock(&c->queue, &queue);
    waiter *to = queue_win_oldest(&queue);
    queue_unlock(&c->queue, queue);
    if (to) weft__wait_over(to);
    sync_point();
}

void weft_cond_broadcast(weft_cond *c) {
    uintptr_t queue = 0;
    if (!atom_load_rlx(&c->queue)) return;
    queue_lock(&c->queue, &queue);
    waiter *won = weft__queue_win_each(&queue, true, 0);
    queue_unlock(&c->queue, queue);
    weft__wake_each(won);
    sync_point();
}
