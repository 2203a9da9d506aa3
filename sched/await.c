/* sched/await.c -- how spawned fibers end, and what is done with handles: await, drop, detach, questions.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/cause.h"
#include "sched/det.h"
#include "sched/carried.h"
#include "sched/evidence.h"
#include "sched/fail.h"
#include "sched/local.h"
#include "sched/quiet.h"
#include "sched/spawn_run.h"

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* ---- the end ------------------------------------------------------------------------------------------ */

/* Those who wait, oldest first, are won under the lock and woken after it; unless there is one already, the first fiber
 * among them is returned instead, to be switched to. */
static WEFT_COLD fiber *end_with_waiters(worker *w, weft_fiber *s, fiber *next) {
    waiter *won = weft__queue_win_all(end_lock(&s->task.join));
    if (end_finish_locked(&s->task.join)) weft__block_free(s);
    while (won) {
        waiter *at = won;
        won = at->next;
        fiber *f = at->f;
        if (!next && f && f->w->rt == w->rt && (f->bound == BOUND_NOWHERE || f->bound == w->index))
            next = f;
        else
            weft__wait_over(at);
    }
    return next;
}

WEFT_COLD fiber *weft__spawn_end_slow(worker *w, weft_fiber *s, bool waiters, fiber *next) {
    if (waiters) return end_with_waiters(w, s, next);
    weft__block_free(s); /* nobody has the handle */
    return next;
}

/* How it ended: what weft_fail said, else, if it noticed that it should stop, that; and it leaves its scope. */
WEFT_COLD void weft__spawn_exit(fiber *self, weft_fiber *s) {
    weft_exit e = self->exit;
    self->exit = success;
    if (weft_ok(e) && self->seen) {
        const weft_cause *why = spawn_why(s) ? weft__cause_keep(spawn_why(s)) : weft__why_stopped(self);
        e = (weft_exit){WEFT_EXIT_INTERRUPT, WEFT_E_CANCELLED, why};
    }
    if (e.tag == WEFT_EXIT_INTERRUPT && e.code == WEFT_E_INTERRUPTED) e.code = WEFT_E_CANCELLED; /* its own, by expect */
    self->seen = false;
    evidence_set(self, self->env = &weft__no_evidence);
    self->carried = NULL;
    weft__task_leaves(self);
    weft_status how = weft_ok(e) ? WEFT_STATUS_DONE : e.tag == WEFT_EXIT_INTERRUPT ? WEFT_STATUS_CANCELLED : WEFT_STATUS_FAILED;
    atom_store_rlx(&s->status, (uint8_t)how);
    spawn_more *m = atom_load_acq(&s->more);
    if (m) weft__queue_finish(&m->started);
    if (weft__node_keeps(s))
        weft__node_ended(s->scope, s, e);
    else
        s->exit = e;
}

/* The task of a fiber that helps (weft__help): put aside, and back afterwards. */
fiber *weft__spawn_run_helping(fiber *self, weft_fiber *s) {
    weft_task *task = self->task;
    weft_fiber *outer = self->self;
    weft_exit exit = self->exit;
    uint32_t where = self->where;
    fiber *then = self->then;
    uint64_t then_ticket = self->then_ticket;
    uint16_t odd = self->odd;
    const weft__evidence *env = self->pub.env, *began = self->env;
    carried *carries = self->carried;
    char *low = self->pub.low;
    self->then = NULL;
    self->odd = 0;
    self->exit = success;
    evidence_set(self, self->env = &weft__no_evidence);
    fiber *next = spawn_run(self, s, true);
    self->env = began;
    self->carried = carries;
    evidence_put_back(self, env, low);
    self->task = task;
    self->self = outer;
    self->exit = exit;
    self->where = where;
    self->then = then;
    self->then_ticket = then_ticket;
    self->odd = odd;
    return next;
}

/* A scope ends: what handles are left are dropped. */
void weft__spawn_forget(weft_fiber *s) {
    s->flags = (uint8_t)(s->flags & ~SPAWN_KEPT);
    uintptr_t old = end_drop(&s->task.join);
    if ((old & (END_DONE | END_DROPPED)) == END_DONE) weft__block_free(s);
}

bool weft__drained(runtime *rt) {
    uint64_t ended = 0, spawned = 0;
    for (unsigned i = 0; i < rt->n_workers; i++) ended += atom_load_acq(&rt->workers[i].ended);
    for (unsigned i = 0; i < rt->n_workers; i++) spawned += atom_load_rlx(&rt->workers[i].spawned);
    return ended == spawned + atom_load_acq(&rt->foreign_spawned);
}

/* ---- await -------------------------------------------------------------------------------------------- */

/* A handle that was dropped is none, even while the fiber runs on; but a fiber may ask about itself.  The fiber of one that
 * was dropped may end at this moment, and its block be another's: the word is its own only if the id is so after it, too.
 * (Acquire: with the release of the word in block_init, which follows the store of the id that ended the old one.) */
static inline bool live(weft_handle h) {
    weft_fiber *s = h.fiber;
    if (!s || atom_load_acq(&s->id) != h.id) return false;
    return !(atom_load_acq(&s->task.join) & END_DROPPED) && atom_load_rlx(&s->id) == h.id;
}
bool weft__alive(weft_handle h) { return live(h); }
bool weft__known(weft_handle h) {
    fiber *f = thread_fiber();
    return live(h) || (h.fiber && f && f->self == h.fiber && atom_load_rlx(&h.fiber->id) == h.id);
}

static bool has_ended(void *s) { return end_done(&((weft_fiber *)s)->task.join); }

static weft_exit await_on_thread(weft_fiber *s, int64_t deadline) {
    if (s->rt->det) weft__det_drive_for(s->rt, has_ended, s, deadline);
    if (weft__queue_wait_thread(&s->task.join, deadline)) return success;
    return FAILED(WEFT_E_TIMEOUT, "weft_await_for: the fiber has not ended in time");
}

/* Unstarted, and in this worker's own queue?  Then take it out. */
static inline bool take_unstarted(worker *w, weft_fiber *s) {
    unsigned home = atom_load_rlx(&s->home);
    if (s->rt != w->rt || (home & ~(unsigned)HOME_OLD) != w->index) return false;
    if (atom_load_rlx(&s->status) != WEFT_STATUS_PENDING) return false;
    item i = item_of_task(&s->task);
    if (w->queue.runnext == i)
        w->queue.runnext = 0;
    else
        weft__queue_remove(&w->queue, i, s->priority, home & HOME_OLD);
    return true;
}

/* What is awaited will be run, or gone on with, by `to`, which is told who waits.  No waiter is added: if the task
 * suspends, `then` stays with its fiber, and the wait is opened then (sched/cancel.h). */
SWITCH_INLINE void hand_over_and_wait(fiber *f, fiber *to) {
    to->then = f;
    to->then_ticket = 0;
    if (f->self) atom_store_rlx(&f->self->status, WEFT_STATUS_SUSPENDED);
    fiber_hand_over(f, to);
    if (f->self) atom_store_rlx(&f->self->status, WEFT_STATUS_RUNNING);
}

/* Unstarted and still in this worker's own queue: take it out and run it now, on a carrier.  Not on this stack: an await
 * may have to end before what it waits for (weft/fiber.h). */
SWITCH_INLINE bool await_now(fiber *f, weft_fiber *s) {
    worker *w = f->w;
    if (!take_unstarted(w, s)) return false;
    fiber *carrier = weft__carrier_get(w);
    if (WEFT_UNLIKELY(!carrier)) {
        weft__ready_task(w, &s->task);
        return false;
    }
    carrier->first = &s->task;
    hand_over_and_wait(f, carrier);
    return true;
}

/* Ready, and next on this worker: switch to it.  Nobody else can, so it may be told who waits without a waiter. */
SWITCH_INLINE bool await_next(fiber *f, weft_fiber *s) {
    worker *w = f->w;
    fiber *to = atom_load_rlx(&s->on);
    if (!to || w->queue.runnext != item_of_fiber(to) || to->then || to->self != s) return false;
    w->queue.runnext = 0;
    hand_over_and_wait(f, to);
    return true;
}

/* Of another runtime: for this one that is work outside. */
static WEFT_COLD weft_exit await_abroad(fiber *f, weft_fiber *s) {
    weft_exit why = success;
    runtime *rt = f->w->rt;
    weft__foreign_begins(rt);
    waits_for(f, "the end of", s);
    wait_state how = wait_on(f, &s->task.join, NULL, NULL, NULL, &why);
    weft__foreign_ends(rt);
    return how == WAIT_CANCEL ? why : success;
}

/* {OK} when s has ended. */
SWITCH_INLINE weft_exit await_on_fiber(fiber *f, weft_fiber *s) {
    weft_exit why = success;
    if (WEFT_UNLIKELY(s->rt != f->w->rt)) return await_abroad(f, s);
    if (WEFT_UNLIKELY(f->anchor != f->pub.head)) weft__share_all(f);
    if (WEFT_UNLIKELY(cancel_point(f)) && !weft_ok(why = weft__look_up(f))) return why;
    waits_for(f, "the end of", s);
    if (WEFT_UNLIKELY(f->strand)) weft__node_publish(&f->base);
    if (await_now(f, s) || await_next(f, s)) {
        if (WEFT_LIKELY(wait_end(&f->winner) != WAIT_CANCEL)) return why;
        if (!weft_ok(why = weft__look_up(f))) return why;
    }
    return wait_on(f, &s->task.join, NULL, NULL, NULL, &why) == WAIT_CANCEL ? why : success;
}

static WEFT_COLD weft_exit await_until(fiber *f, weft_fiber *s, int64_t deadline) {
    weft_exit why = success;
    limit until = {.deadline = deadline, .f = f};
    waits_for(f, "the end of", s);
    switch (wait_on(f, &s->task.join, &until, NULL, NULL, &why)) {
    case WAIT_CANCEL: return why;
    case WAIT_TIMEOUT:
        if (!end_done(&s->task.join)) return FAILED(WEFT_E_TIMEOUT, "weft_await_for: the fiber has not ended in time");
        return success;
    default: return success;
    }
}

/* Somebody looked; and a cause that is not static lives on in the scope that received it. */
static WEFT_COLD weft_exit received(weft_fiber *s) {
    if (!(atom_load_rlx(&s->asked) & ASKED_SEEN)) atom_or_rlx(&s->asked, ASKED_SEEN);
    return weft__hold(thread_fiber(), s->exit);
}

weft_exit weft_fiber_await(weft_handle h) {
    weft_fiber *s = h.fiber;
    fiber *f = thread_fiber();
    if (WEFT_LIKELY(f != NULL)) scheduling_point(f); /* others may drop the handle */
    if (WEFT_UNLIKELY(!live(h))) return FAILED(WEFT_E_STALE, "weft_await: no such fiber");
    if (!end_done(&s->task.join)) {
        bool itself = f && (f->self == s || (f->strand && weft__part_of(f) == s));
        if (WEFT_UNLIKELY(itself)) return FAILED(WEFT_E_INSIDE, "weft_await: a fiber awaits itself");
        weft_exit e = f ? await_on_fiber(f, s) : await_on_thread(s, INT64_MAX);
        if (WEFT_UNLIKELY(!weft_ok(e))) return e;
    } else if (WEFT_UNLIKELY(f && cancel_point(f))) {
        weft_exit e = weft__look_up(f);
        if (!weft_ok(e)) return e;
    }
    return WEFT_LIKELY(weft_ok(s->exit)) ? s->exit : received(s);
}

weft_exit weft_fiber_await_until(weft_handle h, weft_time deadline) {
    weft_fiber *s = h.fiber;
    fiber *f = thread_fiber();
    if (f) scheduling_point(f);
    if (!live(h)) return FAILED(WEFT_E_STALE, "weft_await: no such fiber");
    if (f && weft__part_of(f) == s) return FAILED(WEFT_E_INSIDE, "weft_await: a fiber awaits itself");
    weft_exit e = f && cancel_point(f) ? weft__look_up(f) : success;
    if (weft_ok(e) && !end_done(&s->task.join)) e = f ? await_until(f, s, deadline) : await_on_thread(s, deadline);
    if (!weft_ok(e)) return e;
    return weft_ok(s->exit) ? s->exit : received(s);
}

weft_exit weft_fiber_await_for(weft_handle h, weft_duration d) {
    int64_t at;
    if (!weft__deadline_of(weft_now(), d, &at))
        return FAILED(WEFT_E_INVALID, "weft_await_for: the duration is negative, or too long for the clock");
    return weft_fiber_await_until(h, at);
}

weft_exit weft__await_end(weft_handle h) {
    fiber *f = thread_fiber();
    weft_fiber *s = h.fiber;
    if (end_done(&s->task.join)) return success;
    return f ? await_on_fiber(f, s) : await_on_thread(s, INT64_MAX);
}

weft_err weft_fiber_drop(weft_handle h) {
    weft_fiber *s = h.fiber;
    scheduling_point_here();
    if (WEFT_UNLIKELY(!live(h))) return WEFT_E_STALE;
    bool scoped = s->special && s->scope != &s->rt->root && !(atom_load_acq(&s->asked) & ASKED_DETACHED);
    uintptr_t old = WEFT_UNLIKELY(scoped) ? weft__node_drop(s->scope, s) : end_drop(&s->task.join);
    if (WEFT_UNLIKELY(old & END_DROPPED)) return WEFT_E_STALE;
    if (old & END_DONE) weft__block_free(s);
    return WEFT_OK;
}

/* Out of its scope, and the handle is given up. */
weft_err weft_fiber_detach(weft_handle h) {
    weft_fiber *s = h.fiber;
    if (!live(h)) return WEFT_E_STALE;
    if (s->scope != &s->rt->root && !(atom_load_acq(&s->asked) & ASKED_DETACHED)) weft__node_detach(s->scope, s);
    return weft_fiber_drop(h);
}

/* ---- yield -------------------------------------------------------------------------------------------- */

weft_exit weft_yield(void) {
    fiber *f = thread_fiber();
    if (!f) return success;
    if (WEFT_UNLIKELY(cancel_point(f))) {
        weft_exit e = weft__look_up(f);
        if (!weft_ok(e)) return e;
    }
    worker *w = f->w;
    if (WEFT_UNLIKELY(weft__attn() & ATTN_POINTS)) weft__record_yield(f);
    if (weft__queue_empty(w)) {
        if (WEFT_UNLIKELY(w->rt->det != NULL)) {
            weft__det_yield(f);
            return success;
        }
        clock_serve_own(w);
        weft__queue_collect(w, true);
        if (weft__attn()) weft__attend(f);
        bool stopping = atom_load_rlx(&w->rt->stopping); /* only daemons are left, and leave by yielding */
        if (weft__queue_empty(w) && deque_size(&w->deque) == 0 && run_queue_size(&w->open) == 0 && !stopping) return success;
    }
    fiber_yield(f);
    return success;
}

/* ---- starting ----------------------------------------------------------------------------------------- */

WEFT_COLD bool weft__spawn_special(fiber *self, weft_fiber *s) {
    if (s->bound != BOUND_NOWHERE) self->bound = s->bound = (uint16_t)self->w->index;
    self->priority = s->priority;
    return !(s->flags & SPAWN_DAEMON);
}

/* With something to look at first: it may have been asked to stop, or has locals.  False: it must not run. */
WEFT_COLD bool weft__spawn_starts(fiber *self, weft_fiber *s) {
    spawn_more *m = atom_load_acq(&s->more);
    if (m && m->locals) {
        for (binding *b = m->locals; b; b = b->older) b->of = self;
        self->locals = m->locals;
        self->untidy = true;
        m->locals = NULL;
    }
    if (m && m->env) evidence_set(self, self->env = m->env);
    if (m && m->carried) {
        self->carried = m->carried;
        self->carried->home = self;
        atom_store_rlx(&self->carried->on, self);
    }
    return weft_ok(weft__look_up(self));
}

void weft_started(void) {
    fiber *f = thread_fiber();
    spawn_more *m = f && f->self ? atom_load_acq(&f->self->more) : NULL;
    if (!m) return;
    atom_store_rel(&m->did_start, 1);
    weft__queue_finish(&m->started);
}

/* The handle stays with the spawner, so the block does. */
static weft_exit wait_for_start(weft_handle h) {
    weft_fiber *s = h.fiber;
    fiber *f = thread_fiber();
    weft_exit why = success;
    wait_queue *q = &atom_load_acq(&s->more)->started;
    if (!f) {
        if (s->rt->det) weft__det_drive(s->rt, weft__queue_done, q, DET_WAIT);
        weft__queue_wait_thread(q, INT64_MAX);
    } else {
        waits_for(f, "the start of", s);
        if (wait_on(f, q, NULL, NULL, NULL, &why) == WAIT_CANCEL) return why;
    }
    return atom_load_acq(&atom_load_acq(&s->more)->did_start) ? success : weft_fiber_await(h);
}

weft_exit weft__spawn_wait(weft_handle h, bool nobody) {
    weft_exit e = wait_for_start(h);
    if (nobody) weft_fiber_drop(h);
    return e;
}

/* ---- questions ---------------------------------------------------------------------------------------- */

/* It drives a body that has a stack of its own (sched/coro.h): does that one wait? */
static bool waits_in_a_body(fiber *f) {
    fiber *in = f, *next;
    while ((next = atom_load_rlx(&in->drives))) in = next;
    wait_state how = wait_state_of(atom_load_acq(&in->winner));
    return in != f && (how == WAIT_PARKING || how == WAIT_OPEN);
}

weft_status weft_fiber_status(weft_handle h) {
    if (!weft__known(h)) return WEFT_STATUS_NONE;
    weft_status status = (weft_status)atom_load_rlx(&h.fiber->status);
    fiber *f = status == WEFT_STATUS_RUNNING ? atom_load_acq(&h.fiber->on) : NULL;
    return f && waits_in_a_body(f) ? WEFT_STATUS_SUSPENDED : status;
}

const weft_site *weft_fiber_site(weft_handle h) { return weft__known(h) ? spawn_site(h.fiber) : NULL; }

const char *weft_fiber_name(weft_handle h) { return weft__known(h) ? spawn_name(h.fiber) : NULL; }

bool weft_fiber_is_done(weft_handle h) {
    scheduling_point_here();
    return live(h) && end_done(&h.fiber->task.join);
}

const char *weft__fiber_name(const fiber *f) {
    if (f->self) return spawn_name(f->self);
    return f->task ? ((const weft_site *)(f->task->site & ~(uintptr_t)WEFT__SITE_BITS))->name : NULL;
}

weft_handle weft_self(void) {
    fiber *f = thread_fiber();
    while (f && !f->self && f->coro_fn) f = f->driver; /* a body is part of who drives it */
    if (!f || !f->self) return (weft_handle){NULL, 0};
    return (weft_handle){f->self, atom_load_rlx(&f->self->id)};
}
