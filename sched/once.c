/* sched/once.c -- once, and ref cells.
 *
 * A once is a queue that is DONE when it is done.  `by`, under its lock: who calls.  Who fails hands the call to the oldest
 * waiter, as a semaphore its permit.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/sync_wait.h"

typedef struct caller {
    weft_once *o;
    uintptr_t me;
} caller;

static bool once_have(void *arg) {
    const caller *c = arg;
    if (atom_load_rlx(&c->o->by)) return false;
    atom_store_rlx(&c->o->by, c->me);
    return true;
}

static bool is_done(weft_once *o) { return atom_load_acq(&o->queue) & QUEUE_DONE; }

static void over(weft_once *o, bool done) {
    uintptr_t queue = 0;
    waiter *won, *next = NULL;
    queue_lock(&o->queue, &queue);
    if (done) {
        won = weft__queue_win_each(&queue, true, 0);
        queue_unlock(&o->queue, QUEUE_DONE);
        weft__wake_each(won);
        return;
    }
    next = queue_win_oldest(&queue);
    atom_store_rlx(&o->by, next ? sync_who(next) : 0);
    queue_unlock(&o->queue, queue);
    if (next) weft__wait_over(next);
}

/* {OK}: it is done, or to be done by the caller. */
static weft_exit wait_for_turn(caller *c, fiber *f) {
    weft_exit why = sync_fine;
    uintptr_t queue = 0;
    if (!queue_lock(&c->o->queue, &queue)) return why;
    bool mine = once_have(c);
    queue_unlock(&c->o->queue, queue);
    if (mine) return why;
    if (f) waits_for(f, "what is done once", c->o);
    return sync_wait(f, &c->o->queue, once_have, c, INT64_MAX, 0, &why) == WAIT_CANCEL ? why : sync_fine;
}

weft_exit weft_once_call(weft_once *o, weft_exit (*fn)(void *), void *arg) {
    fiber *f = sync_point();
    caller c = {o, sync_me(f)};
    if (WEFT_LIKELY(is_done(o))) return sync_fine;
    if (atom_load_rlx(&o->by) == c.me) return FAILED(WEFT_E_INSIDE, "weft_once_call: called from the very function it calls");
    weft_exit e = wait_for_turn(&c, f);
    if (!weft_ok(e) || is_done(o)) return e;
    e = fn(arg);
    over(o, weft_ok(e));
    sync_point();
    return e;
}

bool weft_once_is_done(weft_once *o) {
    sync_point();
    return is_done(o);
}

/* ---- ref ----------------------------------------------------------------------------------------------- */

void weft_ref_init(weft_ref *r, void *value) { *r = (weft_ref){.value = (uintptr_t)value}; }

static void *value_of(weft_ref *r) { return (void *)atom_load_acq(&r->value); }
static void become(weft_ref *r, void *value) { atom_store_rel(&r->value, (uintptr_t)value); }

void *weft_ref_get(weft_ref *r) {
    sync_point();
    return value_of(r);
}

static void *is_value(void *value, void *arg) {
    (void)value;
    return arg;
}

weft_exit weft_ref_set(weft_ref *r, void *value) { return weft_ref_update(r, is_value, value, NULL); }

weft_exit weft_ref_update(weft_ref *r, void *(*fn)(void *, void *), void *arg, void **now) {
    weft_exit e = weft_mutex_lock(&r->lock);
    if (!weft_ok(e)) return e;
    void *value = fn(value_of(r), arg);
    become(r, value);
    if (now) *now = value;
    weft_mutex_unlock(&r->lock);
    return e;
}

weft_exit weft_ref_swap_if(weft_ref *r, void *from, void *to, bool *swapped) {
    weft_exit e = weft_mutex_lock(&r->lock);
    if (!weft_ok(e)) return e;
    bool is = value_of(r) == from;
    if (is) become(r, to);
    if (swapped) *swapped = is;
    weft_mutex_unlock(&r->lock);
    return e;
}
