/* sched/coro.h -- a call on a stack of its own, left and come back to by one switch, without the scheduler.
 *
 * A coro is a fiber like any other: while it runs it may fork, wait, and come back on another worker.  But who begins it waits
 * for it off every queue, and it is left not only by ending:
 *
 *   f --weft__coro_get, coro_switch--> c ... c --coro_switch(c, c->driver)--> f ... --coro_switch--> c ... c's last switch
 *
 *   C1 `driver` is the fiber that runs again when c is left that way.  Between such a switch from c and the next one to it nobody
 *      drives it, and `driver` means nothing: c is data, and whoever has it may drive it, on any worker of the runtime
 *   C2 switches to and from coros are native in every build, and a coro's context is made so; a wait inside it is the build's
 *      own.  The two never meet: who left by one way is come back to by the same
 *   C3 a call ends by a last switch to its driver from its own frame, which is intact until the driver gives c back
 *   C4 errno goes through, as through a call; the C++ runtime's exceptions in flight stay with each side
 *   C5 a fresh coro's ticket counts on from those of all that were given back to the stack pool: the memory of one may have
 *      been given back to the system meanwhile, and with it its own
 *
 * Rejected: carriers (their loop is left and entered by the scheduler's switches, with a note for what was left, and a ready
 * queue in between).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_CORO_H
#define WEFT_SCHED_CORO_H

#include "sched/switch.h"

/* Idle, of the runtime's stack class.  NULL: there is no stack. */
fiber *weft__coro_get(worker *w);
/* Its call has ended: C3.  Owner of w. */
void weft__coro_put(worker *w, fiber *c);
void weft__coros_drop(worker *w);
/* Continuations that were kept (effect/once.c) and not used yet.  Exact while no worker runs. */
uint64_t weft__coros_kept(const struct runtime *rt);

/* fn(arg) on f's behalf, on a coro, when f's own stack runs short; returns when it has.  It sees all that f does.
 * False: there is no stack; nothing was called. */
bool weft__coro_call(fiber *f, void (*fn)(void *arg), void *arg);

/* c, idle, begins a task on behalf of f, and ends it.  c's first switch calls fn(arg).  is_f: nothing but more stack for f. */
void weft__coro_begins(fiber *c, fiber *f, weft_task *t, void (*fn)(void *arg), void *arg, bool is_f);
void weft__coro_ends(fiber *c);

/* All of a switch but the jump. */
SWITCH_INLINE void coro_pass(fiber *from, fiber *to) {
    worker *w = from->w;
    if (WEFT_UNLIKELY(w->thread_exceptions != NULL)) {
        from->exceptions[0] = w->thread_exceptions[0];
        from->exceptions[1] = w->thread_exceptions[1];
        w->thread_exceptions[0] = to->exceptions[0];
        w->thread_exceptions[1] = to->exceptions[1];
    }
    to->w = w;
    w->running = to;
    weft__thread_set(to);
}

/* f is about to drive a coro, which may wait for what f's children do.  Whoever waits for f's task is to be reached meanwhile,
 * and f's deadlines are to pass. */
SWITCH_INLINE bool coro_cares(const fiber *f) {
    return f->then || f->anchor != f->pub.head || f->pub.epoch == EPOCH_LOOK;
}
void weft__coro_driven(fiber *f);

SWITCH_INLINE void *coro_switch(fiber *from, fiber *to, void *note) {
    coro_pass(from, to);
    return weft__ctx_native_switch(&from->ctx, &to->ctx, note);
}

/* ---- without a return that is mispredicted (coro_x86_64.S; elsewhere coro.c has plain ones) --------------------
 * Both are for the end of a function, as its value. */

#if defined(__x86_64__) && !defined(WEFT__CTX_HOOKED)
#define WEFT__CORO_ASSEMBLY 1
#define weft__coro_hop weft__coro_hop_jump
#define weft__coro_drive weft__coro_drive_jump
#endif

/* The jump; when somebody has jumped back, *result.  After coro_pass. */
weft_exit weft__coro_hop(ctx *from, ctx *to, void *note, const weft_exit *result);

/* begin(a1 ... a5, d) with room for a drive; then, as long as there is a context to go on in, the jump to it, and what
 * step makes of the note it comes back with; then d->exit.  begin and step have done the passing. */
typedef struct coro_drive {
    weft_exit exit;
    ctx *from;
    ctx *(*step)(struct coro_drive *d, void *note);
    uintptr_t room[16]; /* theirs */
} coro_drive;
typedef ctx *coro_begin(void *a1, uint64_t a2, const void *a3, const void *a4, void *a5, coro_drive *d);
weft_exit weft__coro_drive(void *a1, uint64_t a2, const void *a3, const void *a4, void *a5, coro_begin *begin);

#endif
