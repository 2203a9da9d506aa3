/* sched/spawn.c -- blocks of spawned fibers, the limit on them, and spawning.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/spawn.h"
#include "sched/det.h"
#include "alloc/san.h"
#include "sched/join.h"
#include "sched/queue.h"
#include "sched/quiet.h"
#include "sched/registry.h"
#include "sched/spawn_run.h"
#include "alloc/heap.h"
#include "sched/carried.h"
#include "sched/cause.h"
#include "sched/evidence.h"
#include "sched/fail.h"
#include "sched/interrupt.h"
#include "sched/local.h"
#include "sched/record.h"
#include "sched/quiet.h"

_Static_assert(offsetof(struct weft_fiber, bound) == 56 && offsetof(struct weft_fiber, task) == 64,
               "block_init writes the last eight bytes at once");
_Static_assert(offsetof(struct weft_fiber, task) == WEFT__FIBER_TASK, "weft/fork.h knows this place");

/* Block sizes: a task with a small input, and three for inputs and results up to 1 KiB. */
static const size_t block_bytes[SPAWN_CLASSES] = {128, 256, 512, 1152};

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

spawn_more *weft__spawn_more(weft_fiber *s) {
    spawn_more *m = atom_load_acq(&s->more);
    if (m) return m;
    spawn_more *mine = weft__heap_alloc(sizeof *mine, 0);
    if (!mine || atom_cas_ar(&s->more, &m, mine)) return mine;
    weft__heap_free(mine, sizeof *mine);
    return m;
}

static WEFT_COLD void more_free(runtime *rt, spawn_more *m) {
    grace *g = atom_load_acq(&m->grace);
    if (g) weft__grace_free(rt, g);
    weft__locals_free(m->locals);
    if (m->env) weft__evidence_drop(m->env);
    if (m->carried) m->carried->ops->drop(m->carried);
    weft__heap_free(m, sizeof *m);
}

/* A failure that nobody looked at: told once. */
static WEFT_COLD void tell_unobserved(runtime *rt, weft_fiber *s) {
    if (rt->on_unobserved && !(atom_load_rlx(&s->asked) & ASKED_SEEN)) rt->on_unobserved(rt->hook_arg, s->exit, spawn_name(s));
}

/* All of a free block but its id, its word and what the free list uses: stale handles read those at any time, also while
 * the block is being given back, so they are never poisoned, not for a moment. */
static inline void hide_block(weft_fiber *s, size_t bytes) {
    char *word = (char *)&s->task.join, *after = word + sizeof s->task.join, *body = (char *)(&s->id + 1);
    san_poison(body, (size_t)(word - body));
    san_poison(after, (size_t)((char *)s + bytes - after));
}

/* Give the block back. */
void weft__block_free(weft_fiber *s) {
    runtime *rt = s->rt;
    if (WEFT_UNLIKELY(!weft_ok(s->exit))) {
        if (s->exit.tag != WEFT_EXIT_INTERRUPT) tell_unobserved(rt, s);
        weft__cause_drop(s->exit.cause);
    }
    spawn_more *m = atom_load_acq(&s->more);
    if (WEFT_UNLIKELY(m != NULL)) more_free(rt, m);
    if (WEFT_UNLIKELY(spawn_why(s) != NULL)) weft__cause_drop(spawn_why(s));
    unsigned c = s->size_class;
    fiber *f = thread_fiber();
    atom_store_rlx(&s->id, 0);
    hide_block(s, block_bytes[c]);
    if (f && f->w->rt == rt && f->w->blocks[c])
        weft__slab_put(f->w->blocks[c], s);
    else
        weft__slab_put_foreign(s);
}

bool weft__spawn_open(runtime *rt) {
    for (unsigned c = 0; c < SPAWN_CLASSES; c++) {
        if (weft__slab_pool_open(&rt->blocks[c], block_bytes[c]) != WEFT_OK) return false;
        weft__slab_pool_user_poisons(rt->blocks[c]);
    }
    return true;
}

static void abandon(void *object, void *arg) {
    weft_fiber *s = object;
    if (!atom_load_rlx(&s->id) || s->rt != arg) return;
    fiber *f = atom_load_acq(&s->on);
    if (f) weft__task_leaves(f);
    spawn_more *m = atom_load_acq(&s->more);
    if (m) more_free(s->rt, m);
    weft__cause_drop(spawn_why(s));
}

void weft__spawn_abandon(runtime *rt) {
    for (unsigned c = 0; c < SPAWN_CLASSES; c++)
        if (rt->blocks[c]) weft__slab_each(rt->blocks[c], abandon, rt);
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

/* By who has won the wait of a fiber, or holds what a thread waits for: the last access to it. */
void weft__wait_over(waiter *me) {
    if (me->f) return weft__wake(me->f);
    _Atomic uint32_t *word = me->ticket ? &((wait_thread *)(uintptr_t)me->ticket)->woken : &me->woken;
    atom_store_rel(word, 1);
    weft__os_futex_wake(word, 1);
}

void weft__wait_thread(waiter *me) {
    while (!atom_load_acq(&me->woken)) weft__os_futex_wait(&me->woken, 0, -1);
}

/* The place passes to the spawner that waits longest, if one does.  The queue is locked while the count is changed, so
 * that no place is missed by who is about to wait. */
static WEFT_COLD void limit_give(runtime *rt) {
    if (!rt->max_fibers) return;
    uintptr_t word = 0;
    queue_lock(&rt->limit_queue, &word);
    waiter *first = NULL;
    while (!first && queue_newest(word)) {
        waiter *oldest = queue_newest(word)->next;
        word = queue_unlink(word, oldest);
        if (!oldest->f || wait_win(&oldest->f->winner, oldest->ticket, WAIT_WOKEN)) first = oldest;
    }
    if (!first) atom_sub_ar(&rt->alive_fibers, 1);
    queue_unlock(&rt->limit_queue, word);
    if (first) weft__wait_over(first);
}

void weft__limit_give(runtime *rt) { limit_give(rt); }

static bool limit_have(void *rt) { return limit_take(rt); }

static bool is_woken(void *me) { return atom_load_acq(&((waiter *)me)->woken); }

static void limit_wait_thread(runtime *rt) {
    waiter me = {.f = NULL};
    uintptr_t word = 0;
    queue_lock(&rt->limit_queue, &word);
    bool got = limit_take(rt);
    queue_unlock(&rt->limit_queue, got ? word : queue_link(word, &me));
    if (got) return;
    if (rt->det) weft__det_drive(rt, is_woken, &me, DET_WAIT);
    weft__wait_thread(&me);
}

static WEFT_COLD weft_exit limit_wait(runtime *rt, fiber *f) {
    weft_exit why = success;
    if (limit_take(rt)) return why;
    if (!f) {
        limit_wait_thread(rt);
        return why;
    }
    waits_for(f, "a place below max_fibers", rt);
    wait_on(f, &rt->limit_queue, NULL, limit_have, rt, &why);
    return why;
}

/* ---- spawn -------------------------------------------------------------------------------------------- */

static inline void block_init(weft_fiber *s, runtime *rt, const weft_site *site, unsigned c, stack_class cls,
                              uint64_t id) {
    s->rt = rt;
    s->exit = success;
    s->scope = &rt->root;
    atom_store_rlx(&s->on, NULL);
    atom_store_rlx(&s->more, NULL);
    /* From bound to special, in one store: both machines are little-endian. */
    uint64_t small = (uint64_t)(cls & 7) << 56 | (uint64_t)(c & 3) << 59 | (uint64_t)WEFT_STATUS_PENDING << 32 | UINT32_MAX;
    atom_store_rlx((_Atomic uint64_t *)(void *)&s->bound, small);
    s->task.site = (uintptr_t)site | WEFT__SPAWNED;
    atom_store_rlx(&s->task.place, 0);
    atom_store_rel(&s->task.join, 0); /* who looks at it through a stale handle sees that the id has changed */
    atom_store_rel(&s->id, id);
}

/* What the options ask for beyond the block.  False: no memory. */
static WEFT_COLD bool block_options(weft_fiber *s, fiber *f, const weft_spawn_options *o) {
    if (o->bound) s->bound = 0;
    if (o->daemon) s->flags = SPAWN_DAEMON;
    s->priority = (unsigned)o->priority & 3;
    if (!o->name && !o->ready && !s->rt->named) return true;
    spawn_more *m = weft__spawn_more(s);
    if (!m) return false;
    m->name = o->name;
    if (s->rt->named) m->path = weft__record_child(s->rt, f);
    return true;
}

/* It sees what its spawner's children see: a fiber's, of whatever runtime, or a plain thread's.  False: no memory. */
static bool inherit_evidence(weft_fiber *s) {
    fiber *f = thread_fiber();
    const weft__evidence *e = f ? f->pub.env : weft__evidence_of_thread();
    if (e->shared == &weft__no_evidence) return true;
    spawn_more *m = weft__spawn_more(s);
    return m && (m->env = weft__evidence_keep(e));
}

/* False: no memory. */
static bool inherit_carried(weft_fiber *s, fiber *f) {
    if (!f->carried) return true;
    spawn_more *m = weft__spawn_more(s);
    return m && (m->carried = f->carried->ops->inherit(f->carried, f, s));
}

/* Where it belongs, and what it inherits from the fiber that spawns it.  NULL: done. */
static WEFT_COLD const weft_exit *block_belongs(weft_fiber *s, fiber *f, const weft_spawn_options *o) {
    static const weft_cause closed = WEFT__CAUSE_STATIC(WEFT_CAUSE_FAIL, "weft_spawn: the scope is closed; spawn before its end");
    static const weft_cause memory = WEFT__CAUSE_STATIC(WEFT_CAUSE_FAIL, "weft_spawn: no memory for what the fiber inherits");
    static const weft_exit ended = {WEFT_EXIT_FAIL, WEFT_E_ENDED, &closed}, nomem = {WEFT_EXIT_FAIL, WEFT_E_NOMEM, &memory};
    bool ok = !f || (weft__locals_inherit(f, s) && inherit_carried(s, f));
    if (!ok || !inherit_evidence(s)) return &nomem;
    weft__node *home = &s->rt->root;
    if (o && o->scope)
        home = &((weft__region *)o->scope)->node; /* a scope begins with its region */
    else if (f && !(o && o->detached))
        home = weft__node_home(f);
    if (home == &s->rt->root) return NULL;
    if (!weft__node_join(home, s)) return &ended;
    s->scope = home;
    return NULL;
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

static weft_exit give_up(weft_fiber *s, runtime *rt, weft_exit e) {
    if (s) weft__block_free(s);
    limit_give(rt);
    return e;
}

/* With options, a limit, a scope, locals to inherit, or from another thread (f NULL). */
static WEFT_COLD weft_exit begin_slow(weft_handle *out, runtime *rt, fiber *f, const weft_site *site, size_t bytes,
                                      const weft_spawn_options *o) {
    static const weft_spawn_options none;
    if (!o) o = &none;
    bool tiny = o->stack_bytes == WEFT_STACK_TINY;
    stack_class cls = tiny ? STACK_2K : o->stack_bytes ? weft__stack_class_for(o->stack_bytes) : rt->stack_cls;
    if (cls == STACK_CLASSES || (!tiny && o->stack_bytes && o->stack_bytes < WEFT_STACK_MIN))
        return FAILED(WEFT_E_INVALID, "weft_spawn: stack_bytes is below WEFT_STACK_MIN or above 8 MiB");
    if ((unsigned)o->priority >= PRIORITIES)
        return FAILED(WEFT_E_INVALID, "weft_spawn: priority is none of WEFT_PRIORITY_LOW, NORMAL and HIGH");
    if (forked(rt)) return FAILED(WEFT_E_FORKED, "weft_spawn: the runtime belongs to the parent of this process");
    if (atom_load_rlx(&rt->refusing) && !(f && !atom_load_rlx(&rt->closing_hard)))
        return FAILED(WEFT_E_CLOSED, "weft_spawn: the runtime is shutting down");
    weft_exit waited = rt->max_fibers ? limit_wait(rt, f) : success;
    if (!weft_ok(waited)) return waited;
    unsigned c = class_for(bytes);
    uint64_t id;
    weft_fiber *s = f ? block_here(f->w, c, &id) : block_foreign(rt, c, &id);
    if (!s) return give_up(NULL, rt, FAILED(WEFT_E_NOMEM, "weft_spawn: no memory for another fiber"));
    block_init(s, rt, site, c, cls, id);
    if (!block_options(s, f, o)) return give_up(s, rt, FAILED(WEFT_E_NOMEM, "weft_spawn: no memory for a fiber's options"));
    const weft_exit *why = block_belongs(s, f, o);
    if (why) return give_up(s, rt, *why);
    s->special = s->bound != BOUND_NOWHERE || s->flags || s->priority || s->scope != &rt->root || atom_load_rlx(&s->more);
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
    if (WEFT_UNLIKELY(o || atom_load_rlx(&rt->spawn_slow) || forked(rt) || f->pub.scope != &f->base || f->strand || f->locals ||
                      f->carried || f->pub.env != &weft__no_evidence))
        return begin_slow(out, rt, f, site, bytes, o);
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
        atom_store_rlx(&s->home, (uint16_t)w->index);
        if (WEFT_LIKELY(s->priority == PRIORITY_NORMAL))
            weft__ready_task(w, &s->task);
        else
            weft__ready_special(w, item_of_task(&s->task));
        scheduling_point(f);
        return;
    }
    weft_runtime *handle = rt->handle;
    weft__foreign_begins(rt); /* until it is to be found */
    if (counted) atom_add_ar(&rt->foreign_spawned, 1);
    weft__inject(rt, item_of_task(&s->task));
    weft__foreign_ends(rt);
    weft__registry_leave(handle);
}
