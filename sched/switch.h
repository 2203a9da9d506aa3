/* sched/switch.h -- leaving a fiber and coming back, inlined.
 *
 * A return that follows a switch is mispredicted, since the processor's return stack remembers the other fiber's
 * calls: 5 ns each, as much as the switch.  So everything between a public function that may suspend and the jump
 * itself is inlined into it, and one return is left.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_SWITCH_H
#define WEFT_SCHED_SWITCH_H

#include "sched/join.h"
#include "sched/queue.h"
#include "sched/spawn.h"
#include "sched/thread.h"
#include "sched/worker.h"

#define SWITCH_INLINE static inline __attribute__((always_inline))

/* Executed on the side that was switched to, first thing.  Copies the note before acting: it lies on the
 * stack of `from`, which may be running elsewhere the moment it is visible. */
SWITCH_INLINE void after_switch(fiber *self, const after *note) {
    if (!note) return;
    after a = *note;
    switch (a.kind) {
    case AFTER_FREE:
        weft__carrier_put(self->w, a.from);
        break;
    case AFTER_AWAIT:
        if (!weft__waiter_add(spawn_of_task(a.task), a.what)) weft__ready(self->w, a.from);
        break;
    case AFTER_PARK:
        if (!join_park(&a.task->join, (uintptr_t)a.from)) weft__ready(self->w, a.from);
        break;
    case AFTER_GATE:
        if (!join_park(a.what, (uintptr_t)a.from)) weft__ready(self->w, a.from);
        break;
    case AFTER_LIMIT:
        weft__limit_park(self->w, a.from, a.what);
        break;
    case AFTER_RUN:
        self->first = a.task;
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

/* Leave `from` for whatever is ready, or for a carrier that looks for work.  False: there is no stack for that; nothing
 * was done. */
SWITCH_INLINE bool fiber_suspend(fiber *from, after note) {
    if (WEFT_UNLIKELY(from->anchor != from->pub.head)) weft__share_all(from);
    fiber *to = next_context(from->w, weft__queue_pop(from->w));
    if (WEFT_UNLIKELY(!to)) return false;
    worker_count(&from->w->stats.suspended);
    struct weft_fiber *s = from->self;
    if (s) atom_store_rlx(&s->status, WEFT_STATUS_SUSPENDED);
    fiber_switch(from, to, note);
    if (s) atom_store_rlx(&s->status, WEFT_STATUS_RUNNING);
    return true;
}

/* Let other ready work of this worker run, then go on. */
SWITCH_INLINE void fiber_yield(fiber *f) {
    worker *w = f->w;
    if (WEFT_UNLIKELY(f->anchor != f->pub.head)) weft__share_all(f);
    fiber *to = next_context(w, atom_load_rlx(&w->rt->stopping) ? 0 : weft__queue_pop(w));
    if (WEFT_UNLIKELY(!to)) return;
    weft__ready_last(w, f);
    fiber_hand_over(f, to);
}

#endif
