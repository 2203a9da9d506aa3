/* sched/promise.c -- promises, and the queue operations they share with others that end once.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <weft/promise.h>
#include "sched/cause.h"
#include "sched/det.h"
#include "sched/fail.h"
#include "sched/local.h"
#include "sched/promise.h"
#include "sched/quiet.h"
#include "sched/registry.h"
#include "sched/switch.h"

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* ---- queues that end once ----------------------------------------------------------------------------- */

/* Lock held, the word's value given.  Those whose waits were won, oldest first, through `next`; the others look after
 * themselves once the lock is free. */
waiter *weft__queue_win_all(uintptr_t word) {
    waiter *newest = queue_newest(word), *won = NULL, **last = &won;
    for (waiter *at = newest ? newest->next : NULL, *after; at; at = after) {
        after = at == newest ? NULL : at->next;
        at->next = NULL;
        if (!waiter_win(at)) continue;
        *last = at;
        last = &at->next;
    }
    return won;
}

/* DONE: the last access to the queue. */
static void finish_locked(wait_queue *q, uintptr_t word) {
    waiter *won = weft__queue_win_all(word);
    queue_unlock(q, QUEUE_DONE);
    while (won) {
        waiter *at = won;
        won = at->next;
        weft__wait_over(at);
    }
}

void weft__queue_finish(wait_queue *q) {
    uintptr_t word;
    if (queue_lock(q, &word)) finish_locked(q, word);
}

/* False: the time was over first. */
bool weft__queue_wait_thread(wait_queue *q, int64_t deadline) {
    waiter me = {.f = NULL};
    uintptr_t word;
    if (!queue_lock(q, &word)) return true;
    queue_unlock(q, queue_link(word, &me));
    while (!atom_load_acq(&me.woken)) {
        int64_t left = deadline == INT64_MAX ? -1 : deadline - weft__os_now();
        if (deadline != INT64_MAX && left <= 0) break;
        weft__os_futex_wait(&me.woken, 0, left);
    }
    if (atom_load_acq(&me.woken)) return true;
    if (queue_lock(q, &word)) {
        queue_unlock(q, queue_unlink(word, &me));
        return false;
    }
    weft__wait_thread(&me); /* finished meanwhile: the wake is on its way */
    return true;
}

/* ---- promises ----------------------------------------------------------------------------------------- */

void weft_promise_init(weft_promise *p) { *p = (weft_promise){.announced = NULL}; }

weft_err weft_promise_external(weft_promise *p, weft_runtime *handle) {
    fiber *f = thread_fiber();
    weft_promise_init(p);
    if (!handle && !f) return WEFT_E_INVALID;
    if (!handle) handle = f->w->rt->handle;
    runtime *rt = weft__registry_enter(handle);
    if (!rt) return WEFT_E_CLOSED;
    weft__foreign_begins(rt);
    p->announced = handle;
    weft__registry_leave(handle);
    return WEFT_OK;
}

static weft_err complete(weft_promise *p, void *value, weft_exit e) {
    uintptr_t word;
    scheduling_point_here();
    if (!queue_lock(&p->queue, &word)) return WEFT_E_TWICE;
    weft_runtime *announced = p->announced;
    runtime *rt = announced ? weft__registry_enter(announced) : NULL;
    p->value = value;
    p->exit = e;
    finish_locked(&p->queue, word);
    if (rt) weft__foreign_ends(rt); /* after the waiters are ready: rest must not be seen between */
    if (rt) weft__registry_leave(announced);
    return WEFT_OK;
}

weft_err weft_promise_complete(weft_promise *p, void *value) { return complete(p, value, success); }

weft_err weft_promise_fail(weft_promise *p, weft_exit e) {
    if (weft_ok(e)) return WEFT_E_INVALID;
    if (e.cause) weft__cause_keep(e.cause);
    weft_err err = complete(p, NULL, e);
    if (err != WEFT_OK && e.cause) weft__cause_drop(e.cause);
    return err;
}

bool weft__queue_done(void *q) { return atom_load_acq((wait_queue *)q) & QUEUE_DONE; }

bool weft_promise_is_done(weft_promise *p) {
    scheduling_point_here();
    return weft__queue_done(&p->queue);
}

static inline weft_exit outcome(weft_promise *p, void **value) {
    if (WEFT_UNLIKELY(!weft_ok(p->exit))) return weft__hold(thread_fiber(), p->exit);
    if (value) *value = p->value;
    return success;
}

weft_exit weft__promise_outcome(weft_promise *p, void **value) { return outcome(p, value); }

#define LATE FAILED(WEFT_E_TIMEOUT, "weft_promise_await: the promise was not completed in time")

weft_exit weft_promise_await(weft_promise *p, void **value) {
    fiber *f = thread_fiber();
    weft_exit why = success;
    if (!f) {
        weft__queue_wait_thread(&p->queue, INT64_MAX);
        return outcome(p, value);
    }
    scheduling_point(f);
    if (weft__queue_done(&p->queue)) {
        if (WEFT_UNLIKELY(cancel_point(f)) && !weft_ok(why = weft__look_up(f))) return why;
        return outcome(p, value);
    }
    waits_for(f, "a promise", p);
    return wait_on(f, &p->queue, NULL, NULL, NULL, &why) == WAIT_CANCEL ? why : outcome(p, value);
}

weft_exit weft_promise_await_until(weft_promise *p, void **value, weft_time t) {
    fiber *f = thread_fiber();
    weft_exit why = success;
    if (!f) return weft__queue_wait_thread(&p->queue, t) ? outcome(p, value) : LATE;
    scheduling_point(f);
    limit until = {.deadline = t, .f = f};
    waits_for(f, "a promise", p);
    wait_state how = wait_on(f, &p->queue, &until, NULL, NULL, &why);
    if (how == WAIT_CANCEL) return why;
    return how == WAIT_TIMEOUT && !weft__queue_done(&p->queue) ? LATE : outcome(p, value);
}

weft_exit weft_promise_await_for(weft_promise *p, void **value, weft_duration d) {
    int64_t at;
    if (!weft__deadline_of(weft_now(), d, &at))
        return FAILED(WEFT_E_INVALID, "weft_promise_await_for: the duration is negative, or too long for the clock");
    return weft_promise_await_until(p, value, at);
}

void weft_promise_drop(weft_promise *p) {
    weft_exit broken = FAILED(WEFT_E_BROKEN, "weft_promise_drop: the promise was given up before anybody completed it");
    if (complete(p, NULL, broken) == WEFT_OK) return; /* those who waited look at the exit now */
    if (p->exit.cause) weft__cause_drop(p->exit.cause);
    p->exit.cause = NULL;
}
