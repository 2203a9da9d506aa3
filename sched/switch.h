/* sched/switch.h -- leaving a fiber and coming back, inlined.
 *
 * A return that follows a switch is mispredicted, since the processor's return stack remembers the other fiber's
 * calls: 5 ns each, as much as the switch.  So everything between a public function that may suspend and the jump
 * itself is inlined into it, and one return is left.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_SWITCH_H
#define WEFT_SCHED_SWITCH_H

#include "sched/cancel.h"
#include "sched/clock.h"
#include "sched/join.h"
#include "sched/queue.h"
#include "sched/spawn.h"
#include "sched/thread.h"
#include "sched/timer.h"
#include "sched/worker.h"

#define SWITCH_INLINE static inline __attribute__((always_inline))

/* ---- leaving a stack to wait (sched/wait.h) ----------------------------------------------------------- */

/* What is left behind, on the waiter's stack: what to open, and the locks to let go. */
typedef struct leave {
    uint64_t ticket;
    wait_queue *queue; /* NULL: none; else locked, to be unlocked to */
    uintptr_t word;    /* this */
    spin *timers;      /* NULL: none */
} leave;

/* A5: the context is saved, so from here on anybody may end the wait; and the moment it is open and the locks are free,
 * the waiter's frame may be gone. */
SWITCH_INLINE void leave_open(fiber *from, const leave *what) {
    leave l = *what;
    wait_open(&from->winner, l.ticket);
    if (WEFT_UNLIKELY(l.timers != NULL)) spin_unlock(l.timers);
    if (WEFT_LIKELY(l.queue != NULL)) queue_unlock(l.queue, l.word);
}

void weft__select_open(fiber *from, const void *what); /* the same for several queues */

/* Executed on the side that was switched to, first thing.  Copies the note before acting: it lies on the
 * stack of `from`, which may be running elsewhere the moment it is visible. */
SWITCH_INLINE void after_switch(fiber *self, const after *note) {
    if (!note) return;
    after a = *note;
    if (WEFT_LIKELY(a.kind == AFTER_WAIT)) return leave_open(a.from, a.what);
    switch (a.kind) {
    case AFTER_WAIT: /* above */
    case AFTER_FREE:
        weft__carrier_put(self->w, a.from);
        break;
    case AFTER_YIELD:
        weft__ready_last(self->w, a.from);
        weft__ready_slow(self->w, item_of_fiber(a.from));
        break;
    case AFTER_LOCK:
        spin_unlock(a.what);
        break;
    case AFTER_PARK:
        if (!join_park(&a.task->join, (uintptr_t)a.from)) weft__ready(self->w, a.from);
        break;
    case AFTER_RUN:
        self->first = a.task;
        break;
    case AFTER_SELECT:
        weft__select_open(a.from, a.what);
        break;
    }
}

/* What belongs to the thread but follows the fiber: errno, and the C++ runtime's exceptions in flight. */
SWITCH_INLINE void leave_thread(fiber *f, const worker *w) {
    f->saved_errno = *w->thread_errno;
    if (WEFT_UNLIKELY(w->thread_exceptions != NULL)) {
        f->exceptions[0] = w->thread_exceptions[0];
        f->exceptions[1] = w->thread_exceptions[1];
    }
}

SWITCH_INLINE void enter_thread(const fiber *f) {
    const worker *w = f->w;
    *w->thread_errno = f->saved_errno;
    if (WEFT_UNLIKELY(w->thread_exceptions != NULL)) {
        w->thread_exceptions[0] = f->exceptions[0];
        w->thread_exceptions[1] = f->exceptions[1];
    }
}

/* Leave `from`, the running fiber, for `to`; what `note` says, if not NULL, happens on the other side.  Returns when
 * somebody switches back, possibly on another worker. */
SWITCH_INLINE void fiber_switch_noting(fiber *from, fiber *to, after *note) {
    worker *w = from->w;
    leave_thread(from, w);
    to->w = w;
    w->running = to;
    weft__thread_set(to);
    const after *got = weft__ctx_switch(&from->ctx, &to->ctx, note);
    after_switch(from, got); /* maybe on another worker: from->w was rewritten */
    enter_thread(from);
}

SWITCH_INLINE void fiber_switch(fiber *from, fiber *to, after note) { fiber_switch_noting(from, to, &note); }

/* `from` is known to whoever resumes it already. */
SWITCH_INLINE void fiber_hand_over(fiber *from, fiber *to) { fiber_switch_noting(from, to, NULL); }

/* What a fiber is left for: the next ready fiber itself, one switch; else a carrier, to run the next task or to look
 * for work.  NULL: there is no stack for one; the item is back in the queue. */
SWITCH_INLINE fiber *next_context(worker *w, item i) {
    fiber *f = item_fiber(i);
    if (f) return f;
    f = weft__carrier_get(w);
    if (WEFT_LIKELY(f != NULL))
        f->first = item_task(i);
    else if (i)
        weft__ready_task(w, item_task(i));
    return f;
}

/* Before a fiber leaves: its children are offered, and whatever must be known of it while it is away, is. */
SWITCH_INLINE void before_leaving(fiber *from) {
    if (WEFT_UNLIKELY(from->anchor != from->pub.head)) weft__share_all(from);
}

/* Leave for `to`. */
SWITCH_INLINE void fiber_leave(fiber *from, fiber *to, after note) {
    worker_count(&from->w->stats.suspended);
    struct weft_fiber *s = from->self;
    if (s) atom_store_rlx(&s->status, WEFT_STATUS_SUSPENDED);
    fiber_switch(from, to, note);
    if (s) atom_store_rlx(&s->status, WEFT_STATUS_RUNNING);
}

/* Leave `from` for whatever is ready, or for a carrier that looks for work, in a wait that nobody cancels.  False: there
 * is no stack for that; nothing was done. */
SWITCH_INLINE bool fiber_suspend(fiber *from, after note) {
    before_leaving(from);
    if (WEFT_UNLIKELY(cancel_due(from) || from->then)) weft__look_and_stay(from);
    fiber *to = next_context(from->w, weft__queue_pop(from->w));
    if (WEFT_UNLIKELY(!to)) return false;
    fiber_leave(from, to, note);
    return true;
}

/* Nothing is left after all: what was picked to go on with is put back. */
void weft__leave_not(fiber *f, fiber *picked, item i);
/* No stack to leave this one for: somebody else has a turn on it.  Of a wait until the deadline, INT64_MAX: none. */
void weft__help_until(fiber *f, int64_t deadline);
/* No stack to leave this one for: is the wait over?  If not (WAIT_RUNNING) somebody had a turn; try again. */
wait_state weft__wait_without_stack(fiber *f, wait_queue *q, int64_t deadline, bool (*have)(void *), void *arg,
                                    weft_exit *why);

/* For reports. */
SWITCH_INLINE void waits_for(fiber *f, const char *what, const void *on) {
    f->waits_for = what;
    f->waits_on = on;
}

/* ---- waits that can be cancelled ---------------------------------------------------------------------- */

/* What is waited for may be there already: asked under the lock of the queue, which makes it the caller's. */
typedef bool wait_have(void *arg);

/* The wait of `f` on `q` (NULL: only for the time), from A1 to its end.  WAIT_WOKEN also if q is DONE, or `have` (may be
 * NULL) says yes; WAIT_CANCEL: f is asked to stop, *why says so; WAIT_TIMEOUT only with a limit.
 * The record carries `tag`; `first`: it is linked as the queue's oldest. */
SWITCH_INLINE wait_state wait_on_as(fiber *f, wait_queue *q, limit *until, wait_have *have, void *arg, weft_exit *why,
                                    uintptr_t tag, bool first) {
    waiter me = {.f = f, .tag = tag};
    for (;;) {
        weft__fault_cancel(f);
        leave l = {0, q, 0, NULL};
        before_leaving(f);
        if (WEFT_UNLIKELY(f->strand)) weft__node_publish(&f->base);
        fiber *opened = WEFT_UNLIKELY(f->then && !f->then_ticket) ? weft__then_open(f) : NULL;
        item next = weft__queue_pop(f->w); /* may serve timers, so before A1 */
        fiber *to = next_context(f->w, next);
        if (WEFT_UNLIKELY(!to)) {
            wait_state how = weft__wait_without_stack(f, q, until ? until->deadline : INT64_MAX, have, arg, why);
            if (how == WAIT_RUNNING) continue;
            return how;
        }
        l.ticket = me.ticket = wait_begin(&f->winner, f->floor); /* A1 */
        bool queued = !q || queue_lock(q, &l.word);              /* A2 */
        if (until && queued) l.timers = clock_lock(f->w);
        atom_fence_after_rmw();
        if (WEFT_UNLIKELY(opened != NULL)) weft__then_look(f);
        bool due = cancel_due(f), there = !queued || (have && !due && have(arg));
        if (WEFT_UNLIKELY(there || due)) { /* A3 */
            if (l.timers) spin_unlock(l.timers);
            if (q && queued) queue_unlock(q, l.word);
            wait_end(&f->winner);
            weft__leave_not(f, to, next);
            if (due && !weft_ok(*why = weft__look_up(f))) return WAIT_CANCEL;
            if (there) return WAIT_WOKEN;
            continue;
        }
        if (q) l.word = first ? queue_link_oldest(l.word, &me) : queue_link(l.word, &me);
        if (until) {
            until->ticket = l.ticket;
            clock_link(f->w, &until->alert, ALERT_WAIT, until->deadline);
            if (!clock_virtual(f->rt)) weft__monitor_look(f->rt);
        }
        fiber_leave(f, to, (after){AFTER_WAIT, f, NULL, &l}); /* A4, A5 */
        wait_state how = wait_end(&f->winner);
        if (until && how != WAIT_TIMEOUT) clock_cancel(f->w->rt, &until->alert);
        if (WEFT_LIKELY(how == WAIT_WOKEN)) return how;
        if (q) queue_leave(q, &me);
        if (how == WAIT_TIMEOUT) return how;
        if (!weft_ok(*why = weft__look_up(f))) return WAIT_CANCEL;
    }
}

SWITCH_INLINE wait_state wait_on(fiber *f, wait_queue *q, limit *until, wait_have *have, void *arg, weft_exit *why) {
    return wait_on_as(f, q, until, have, arg, why, 0, false);
}

/* Let other ready work of this worker run, then go on. */
SWITCH_INLINE void fiber_yield(fiber *f) {
    worker *w = f->w;
    if (WEFT_UNLIKELY(f->anchor != f->pub.head)) weft__share_all(f);
    weft__queue_age_any(w);
    fiber *to = next_context(w, atom_load_rlx(&w->rt->stopping) ? 0 : weft__queue_pop(w));
    if (WEFT_UNLIKELY(!to)) {
        if (atom_load_rlx(&w->rt->stopping)) weft__fiber_leave(f);
        return;
    }
    if (w->rt->n_workers > 1) weft__ask_for_others(w);
    if (WEFT_UNLIKELY(atom_load_rlx(w->attn))) { /* somebody is without work: once off its stack this is theirs */
        fiber_switch(f, to, (after){AFTER_YIELD, f, NULL, NULL});
        return;
    }
    weft__ready_last(w, f);
    fiber_hand_over(f, to);
}

#endif
