/* sched/spawn.c -- spawn, run, await, drop.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/spawn.h"
#include "alloc/san.h"
#include "sched/join.h"
#include "sched/queue.h"
#include "sched/registry.h"
#include "sched/spawn_run.h"

_Static_assert(offsetof(struct weft_fiber, task) == WEFT__FIBER_TASK, "weft/fork.h knows this place");

/* Block sizes: a task with a small input, and three for inputs and results up to 1 KiB. */
static const size_t block_bytes[SPAWN_CLASSES] = {128, 256, 512, 1152};

static weft_exit failed(weft_err err, const weft_cause *why) {
    return (weft_exit){WEFT_EXIT_FAIL, (int32_t)err, why};
}
#define FAILED(err, text_)                                                                   \
    __extension__({                                                                          \
        static const weft_cause cause_ = {text_, __FILE__, __LINE__};                        \
        failed((err), &cause_);                                                              \
    })

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* ---- blocks ------------------------------------------------------------------------------------------- */

static inline unsigned class_for(size_t task_bytes) {
    unsigned c = 0;
    while (block_bytes[c] < WEFT__FIBER_TASK + task_bytes) c++;
    return c;
}

static inline weft_fiber *block_from(slab_cache **cache, slab_pool *pool) {
    if (WEFT_UNLIKELY(!*cache) && !(*cache = weft__slab_cache_open(pool))) return NULL;
    return weft__slab_get(*cache);
}

/* Give the block back; its id stays readable, as 0, for stale handles. */
static void block_free(weft_fiber *s) {
    runtime *rt = s->rt;
    unsigned c = s->size_class;
    fiber *f = thread_fiber();
    atom_store_rlx(&s->id, 0);
    if (f && f->w->rt == rt && f->w->blocks[c])
        weft__slab_put(f->w->blocks[c], s);
    else
        weft__slab_put_foreign(s);
    san_unpoison(&s->id, sizeof s->id);
}

bool weft__spawn_open(runtime *rt) {
    for (unsigned c = 0; c < SPAWN_CLASSES; c++)
        if (weft__slab_pool_open(&rt->blocks[c], block_bytes[c]) != WEFT_OK) return false;
    return true;
}

void weft__spawn_close(runtime *rt) {
    for (unsigned c = 0; c < SPAWN_CLASSES; c++) {
        if (rt->foreign_blocks[c]) weft__slab_cache_close(rt->foreign_blocks[c]);
        if (rt->blocks[c]) weft__slab_pool_close(rt->blocks[c]);
    }
}

/* ---- the limit on fibers ------------------------------------------------------------------------------ */

static bool limit_take(runtime *rt) {
    uint64_t n = atom_load_rlx(&rt->alive_fibers);
    while (n < rt->max_fibers)
        if (atom_cas_ar(&rt->alive_fibers, &n, n + 1)) return true;
    return false;
}

static void waiter_wake(worker *w, waiter *it) {
    fiber *f = it->f;
    if (!f) {
        _Atomic uint32_t *word = &it->woken;
        atom_store_rel(word, 1);
        weft__os_futex_wake(word, 1);
    } else if (w && f->w->rt == w->rt) {
        weft__ready(w, f);
    } else { /* of another runtime, or no worker wakes it */
        weft__inject_visiting(f->w->rt, item_of_fiber(f));
    }
}

/* The place passes to the spawner that waits longest, if one does. */
static void limit_give(runtime *rt) {
    if (!rt->max_fibers) return;
    spin_lock(&rt->limit_lock);
    waiter *first = rt->limit_first;
    if (first) {
        rt->limit_first = (waiter *)first->next;
        if (!rt->limit_first) rt->limit_last = &rt->limit_first;
    } else {
        atom_sub_ar(&rt->alive_fibers, 1);
    }
    spin_unlock(&rt->limit_lock);
    fiber *f = thread_fiber();
    if (first) waiter_wake(f && f->w->rt == rt ? f->w : NULL, first);
}

/* Under the lock, so that a place given back meanwhile is not missed: give looks under it too. */
static bool limit_queue(runtime *rt, waiter *me) {
    spin_lock(&rt->limit_lock);
    bool got = limit_take(rt);
    if (!got) {
        me->next = 0;
        *rt->limit_last = me;
        rt->limit_last = (waiter **)&me->next;
    }
    spin_unlock(&rt->limit_lock);
    return !got;
}

static void wait_woken(waiter *me) {
    while (!atom_load_acq(&me->woken)) weft__os_futex_wait(&me->woken, 0, -1);
}

/* A fiber waits by yielding to a gate of its own: limit_give resumes it through its waiter, so it must be off its
 * stack before it is in the list; the after-switch action puts it there. */
void weft__limit_park(worker *w, fiber *from, void *what) {
    if (!limit_queue(w->rt, what)) weft__ready(w, from);
}

static WEFT_COLD bool limit_wait(runtime *rt, fiber *f) {
    waiter me = {0, f, 0};
    if (limit_take(rt)) return true;
    if (f) return fiber_suspend(f, (after){AFTER_LIMIT, f, NULL, &me});
    if (limit_queue(rt, &me)) wait_woken(&me);
    return true;
}

/* ---- spawn -------------------------------------------------------------------------------------------- */

static inline void block_init(weft_fiber *s, runtime *rt, const weft_site *site, unsigned c, stack_class cls,
                              uint64_t id) {
    s->rt = rt;
    s->exit = success;
    s->name = NULL;
    atom_store_rlx(&s->on, NULL);
    s->bound = BOUND_NOWHERE;
    atom_store_rlx(&s->status, WEFT_STATUS_PENDING);
    s->flags = 0;
    s->cls = (uint8_t)cls;
    s->size_class = (uint8_t)c;
    atom_store_rlx(&s->home, BOUND_NOWHERE);
    s->task.site = (uintptr_t)site | WEFT__SPAWNED;
    atom_store_rlx(&s->task.join, JOIN_PENDING);
    atom_store_rel(&s->id, id);
}

/* Ids: {counter:40 | who:11 | 1}, so that workers number without asking each other and no id is 0. */
static uint64_t id_of(uint64_t n, unsigned who) { return n << 12 | (uint64_t)who << 1 | 1; }

static inline weft_fiber *block_here(worker *w, unsigned c, uint64_t *id) {
    *id = id_of(++w->ids, w->index);
    return block_from(&w->blocks[c], w->rt->blocks[c]);
}

static weft_fiber *block_foreign(runtime *rt, unsigned c, uint64_t *id) {
    spin_lock(&rt->foreign_lock);
    *id = id_of(++rt->foreign_ids, IDLE_WORKERS_MAX);
    weft_fiber *s = block_from(&rt->foreign_blocks[c], rt->blocks[c]);
    spin_unlock(&rt->foreign_lock);
    return s;
}

static bool forked(const runtime *rt) { return rt->pid != atom_load_rlx(&weft__os_process); }

/* With options, a limit, or from another thread (f NULL). */
static WEFT_COLD weft_exit begin_slow(weft_handle *out, runtime *rt, fiber *f, const weft_site *site, size_t bytes,
                                      const weft_spawn_options *o) {
    static const weft_spawn_options none;
    if (!o) o = &none;
    bool tiny = o->stack_bytes == WEFT_STACK_TINY;
    stack_class cls = tiny ? STACK_2K : o->stack_bytes ? weft__stack_class_for(o->stack_bytes) : rt->stack_cls;
    if (cls == STACK_CLASSES || (!tiny && o->stack_bytes && o->stack_bytes < WEFT_STACK_MIN))
        return FAILED(WEFT_E_INVALID, "weft_spawn: stack_bytes is below WEFT_STACK_MIN or above 8 MiB");
    if (forked(rt)) return FAILED(WEFT_E_FORKED, "weft_spawn: the runtime belongs to the parent of this process");
    if (rt->max_fibers && !limit_wait(rt, f))
        return FAILED(WEFT_E_NOMEM, "weft_spawn: no stack to wait on for a place below max_fibers");
    unsigned c = class_for(bytes);
    uint64_t id;
    weft_fiber *s = f ? block_here(f->w, c, &id) : block_foreign(rt, c, &id);
    if (!s) {
        limit_give(rt);
        return FAILED(WEFT_E_NOMEM, "weft_spawn: no memory for another fiber");
    }
    block_init(s, rt, site, c, cls, id);
    s->name = o->name;
    if (o->bound) s->bound = 0;
    if (o->daemon) s->flags = SPAWN_DAEMON;
    *out = (weft_handle){s, id};
    return success;
}

/* From another thread the runtime is entered here and left in weft__spawn_go. */
static WEFT_COLD weft_exit begin_foreign(weft_handle *out, const weft_site *site, size_t bytes,
                                         const weft_spawn_options *o) {
    runtime *rt = o && o->runtime ? weft__registry_enter(o->runtime) : NULL;
    if (!rt)
        return o && o->runtime ? FAILED(WEFT_E_CLOSED, "weft_spawn: the runtime is closed")
                               : FAILED(WEFT_E_INVALID, "weft_spawn: no runtime on this thread; set .runtime");
    weft_exit e = begin_slow(out, rt, NULL, site, bytes, o);
    if (!weft_ok(e)) weft__registry_leave(o->runtime);
    return e;
}

weft_exit weft__spawn_begin(weft_handle *out, const weft_site *site, size_t bytes, const weft_spawn_options *o) {
    fiber *f = thread_fiber();
    *out = (weft_handle){NULL, 0};
    if (WEFT_UNLIKELY(!f || (o && o->runtime && o->runtime != f->w->rt->handle)))
        return begin_foreign(out, site, bytes, o);
    worker *w = f->w;
    runtime *rt = w->rt;
    if (WEFT_UNLIKELY(o || rt->max_fibers || forked(rt))) return begin_slow(out, rt, f, site, bytes, o);
    unsigned c = class_for(bytes);
    uint64_t id;
    weft_fiber *s = block_here(w, c, &id);
    if (WEFT_UNLIKELY(!s)) return FAILED(WEFT_E_NOMEM, "weft_spawn: no memory for another fiber");
    block_init(s, rt, site, c, rt->stack_cls, id);
    *out = (weft_handle){s, id};
    return success;
}

void weft__spawn_go(weft_handle h, bool nobody) {
    weft_fiber *s = h.fiber;
    runtime *rt = s->rt;
    fiber *f = thread_fiber();
    if (nobody) atom_store_rlx(&s->task.join, END_DROPPED);
    bool counted = !(s->flags & SPAWN_DAEMON);
    if (!counted) atom_add_ar(&rt->daemons, 1);
    if (WEFT_LIKELY(f && f->w->rt == rt)) {
        worker *w = f->w;
        if (counted) atom_store_rlx(&w->spawned, atom_load_rlx(&w->spawned) + 1);
        atom_store_rlx(&s->home, w->index);
        weft__ready_task(w, &s->task);
        return;
    }
    weft_runtime *handle = rt->handle;
    if (counted) atom_add_ar(&rt->foreign_spawned, 1);
    weft__inject(rt, item_of_task(&s->task));
    weft__registry_leave(handle);
}

/* ---- the end ------------------------------------------------------------------------------------------ */

/* Wakes the waiters in the order they came; unless there is one already, the first fiber among them is returned
 * instead, to be switched to. */
static WEFT_COLD fiber *wake_all(worker *w, uintptr_t newest, fiber *next) {
    waiter *oldest = NULL;
    for (waiter *it = (waiter *)newest; it;) {
        waiter *older = (waiter *)it->next;
        it->next = (uintptr_t)oldest;
        oldest = it;
        it = older;
    }
    while (oldest) {
        waiter *it = oldest;
        oldest = (waiter *)it->next;
        if (!next && it->f && it->f->w->rt == w->rt && (it->f->bound == BOUND_NOWHERE || it->f->bound == w->index))
            next = it->f;
        else
            waiter_wake(w, it);
    }
    return next;
}

/* What weft_fail said goes into the block: fields one by one, and only if there is something, since a copy of 16 bytes
 * just written by halves stalls the processor. */
WEFT_COLD void weft__spawn_failed(fiber *self, weft_fiber *s) {
    s->exit = self->exit;
    self->exit = success;
}

/* The task of a fiber that helps (weft__help): put aside, and back afterwards. */
fiber *weft__spawn_run_helping(fiber *self, weft_fiber *s) {
    weft_task *task = self->task;
    weft_fiber *outer = self->self;
    weft_exit exit = self->exit;
    uint32_t bound = self->bound;
    fiber *then = self->then;
    self->then = NULL;
    self->exit = success;
    fiber *next = spawn_run(self, s);
    self->task = task;
    self->self = outer;
    self->exit = exit;
    self->bound = bound;
    self->then = then;
    return next;
}

/* The rare things at the end of a fiber. */
WEFT_COLD fiber *weft__spawn_end_slow(worker *w, weft_fiber *s, uintptr_t old, fiber *next) {
    if (old & END_DROPPED) block_free(s);
    if (old & ~END_FLAGS) next = wake_all(w, old & ~END_FLAGS, next);
    return next;
}

void weft__limit_give(runtime *rt) { limit_give(rt); }

bool weft__drained(runtime *rt) {
    uint64_t ended = 0, spawned = 0;
    for (unsigned i = 0; i < rt->n_workers; i++) ended += atom_load_acq(&rt->workers[i].ended);
    for (unsigned i = 0; i < rt->n_workers; i++) spawned += atom_load_rlx(&rt->workers[i].spawned);
    return ended == spawned + atom_load_acq(&rt->foreign_spawned);
}

/* ---- await -------------------------------------------------------------------------------------------- */

/* A handle that was dropped is none, even while the fiber runs on; but a fiber may ask about itself. */
static inline bool live(weft_handle h) {
    return h.fiber && atom_load_rlx(&h.fiber->id) == h.id && !(atom_load_rlx(&h.fiber->task.join) & END_DROPPED);
}
static bool known(weft_handle h) {
    fiber *f = thread_fiber();
    return live(h) || (h.fiber && f && f->self == h.fiber && atom_load_rlx(&h.fiber->id) == h.id);
}

bool weft__waiter_add(weft_fiber *s, waiter *w) { return end_await(&s->task.join, (uintptr_t)w, &w->next); }

static void await_on_thread(weft_fiber *s) {
    waiter me = {0, NULL, 0};
    if (weft__waiter_add(s, &me)) wait_woken(&me);
}

/* Unstarted, and in this worker's own queue?  Then take it out. */
static inline bool take_unstarted(worker *w, weft_fiber *s) {
    if (s->rt != w->rt || atom_load_rlx(&s->home) != w->index) return false;
    if (atom_load_rlx(&s->status) != WEFT_STATUS_PENDING) return false;
    item i = item_of_task(&s->task);
    if (w->queue.runnext == i)
        w->queue.runnext = 0;
    else
        fifo_remove(&w->queue.mine, i);
    return true;
}

/* No stack to leave this one for.  Run what is awaited on it, if it has not started: a task run here must end before this
 * one goes on, so it had better be the one this one waits for.  Else whatever is ready. */
static WEFT_COLD void await_without_stack(fiber *f, weft_fiber *s) {
    while (!end_done(&s->task.join)) {
        if (!take_unstarted(f->w, s)) {
            weft__help(f);
            continue;
        }
        fiber *next = weft__task_run(f, &s->task);
        if (next) weft__ready(f->w, next);
    }
}

/* Unstarted and still in this worker's own queue: take it out and run it now, on a carrier.  Not on this stack: an await
 * may have to end before what it waits for (weft/fiber.h).  The carrier knows who waits, so no waiter is added: if the
 * task suspends, the carrier is its fiber and `then` stays with it. */
SWITCH_INLINE bool await_now(fiber *f, weft_fiber *s) {
    worker *w = f->w;
    if (!take_unstarted(w, s)) return false;
    fiber *carrier = weft__carrier_get(w);
    if (WEFT_UNLIKELY(!carrier)) {
        weft__ready_task(w, &s->task);
        return false;
    }
    carrier->first = &s->task;
    carrier->then = f;
    if (f->self) atom_store_rlx(&f->self->status, WEFT_STATUS_SUSPENDED);
    fiber_hand_over(f, carrier);
    if (f->self) atom_store_rlx(&f->self->status, WEFT_STATUS_RUNNING);
    return true;
}

/* Ready, and next on this worker: switch to it.  Nobody else can, so it may be told who waits without a waiter. */
SWITCH_INLINE bool await_next(fiber *f, weft_fiber *s) {
    worker *w = f->w;
    fiber *to = atom_load_rlx(&s->on);
    if (!to || w->queue.runnext != item_of_fiber(to) || to->then || to->self != s) return false;
    w->queue.runnext = 0;
    to->then = f;
    if (f->self) atom_store_rlx(&f->self->status, WEFT_STATUS_SUSPENDED);
    fiber_hand_over(f, to);
    if (f->self) atom_store_rlx(&f->self->status, WEFT_STATUS_RUNNING);
    return true;
}

SWITCH_INLINE void await_on_fiber(fiber *f, weft_fiber *s) {
    waiter me = {0, f, 0};
    if (WEFT_UNLIKELY(f->anchor != f->pub.head)) weft__share_all(f);
    if (await_now(f, s) || await_next(f, s)) return;
    if (!fiber_suspend(f, (after){AFTER_AWAIT, f, &s->task, &me})) await_without_stack(f, s);
}

weft_exit weft_fiber_await(weft_handle h) {
    weft_fiber *s = h.fiber;
    if (WEFT_UNLIKELY(!live(h))) return FAILED(WEFT_E_STALE, "weft_await: no such fiber");
    if (!end_done(&s->task.join)) {
        fiber *f = thread_fiber();
        if (WEFT_UNLIKELY(f && f->self == s)) return FAILED(WEFT_E_INSIDE, "weft_await: a fiber awaits itself");
        if (f)
            await_on_fiber(f, s);
        else
            await_on_thread(s);
    }
    return s->exit;
}

weft_err weft_fiber_drop(weft_handle h) {
    weft_fiber *s = h.fiber;
    if (WEFT_UNLIKELY(!live(h))) return WEFT_E_STALE;
    uintptr_t old = end_drop(&s->task.join);
    if (WEFT_UNLIKELY(old & END_DROPPED)) return WEFT_E_STALE;
    if (old & END_DONE) block_free(s);
    return WEFT_OK;
}

/* ---- yield -------------------------------------------------------------------------------------------- */

weft_exit weft_yield(void) {
    fiber *f = thread_fiber();
    if (!f) return success;
    worker *w = f->w;
    if (weft__queue_empty(w)) {
        weft__queue_collect(w, true);
        if (weft__attn()) weft__attend(f);
        bool stopping = atom_load_rlx(&w->rt->stopping); /* only daemons are left, and leave by yielding */
        if (weft__queue_empty(w) && deque_size(&w->deque) == 0 && !stopping) return success;
    }
    fiber_yield(f);
    return success;
}

/* ---- questions ---------------------------------------------------------------------------------------- */

weft_status weft_fiber_status(weft_handle h) {
    if (!known(h)) return WEFT_STATUS_NONE;
    return (weft_status)atom_load_rlx(&h.fiber->status);
}

const weft_site *weft_fiber_site(weft_handle h) {
    return known(h) ? (const weft_site *)(h.fiber->task.site & ~(uintptr_t)WEFT__JOINED) : NULL;
}

const char *weft_fiber_name(weft_handle h) {
    if (!known(h)) return NULL;
    return h.fiber->name ? h.fiber->name : weft_fiber_site(h)->name;
}

weft_handle weft_self(void) {
    fiber *f = thread_fiber();
    if (!f || !f->self) return (weft_handle){NULL, 0};
    return (weft_handle){f->self, atom_load_rlx(&f->self->id)};
}
