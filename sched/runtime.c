/* sched/runtime.c -- opening and closing a runtime, and the way in from plain threads.
 *
 * Start: the opening thread makes everything, starts the threads one by one, waits until each has arrived with
 * a carrier of its own, fixes the number of workers and opens the gate.  A thread that cannot be started ends
 * the row there: the runtime goes on with those that were.  Nothing runs before the gate, so a failure only
 * has to send the arrived threads home.
 *
 * Stop: no call is in progress (the registry saw to that), so there is no work.  `stopping` is set, sleepers are
 * woken, and each worker leaves its loop; none of the threads ends before all have left, because a searching
 * worker may still write to another one's attention word, which is thread-local.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <weft/runtime.h>
#include "alloc/heap.h"
#include "sched/cancel.h"
#include "sched/cause.h"
#include "sched/clock.h"
#include "sched/coro.h"
#include "sched/det.h"
#include "sched/dump.h"
#include "sched/evidence.h"
#include "sched/interrupt.h"
#include "sched/join.h"
#include "sched/quiet.h"
#include "sched/record.h"
#include "sched/registry.h"
#include "sched/report.h"
#include "sched/thread.h"
#include "sched/worker.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING_FIRST (WEFT__RARE ? 4 : 256) /* slots of a worker's first ring */
#define SEARCH_US 50                      /* search this long before sleeping, with a processor each */
#define DRAIN_LOOK_NS 10000000
#define STOP_LOOK_NS 1000000              /* closing: look this often for workers that are still there */

/* ---- workers ---------------------------------------------------------------------------------------- */

static void gate_wait(runtime *rt) {
    while (atom_load_acq(&rt->gate) == GATE_SHUT) weft__os_futex_wait(&rt->gate, GATE_SHUT, -1);
}

/* Arrivals and departures share one futex word; `alive` never passes through a value twice in one direction. */
static void alive_change(runtime *rt, uint32_t by) {
    atom_add_ar(&rt->alive, by);
    weft__os_futex_wake(&rt->alive, INT32_MAX);
}

static void alive_wait(runtime *rt, uint32_t value) {
    for (uint32_t now; (now = atom_load_acq(&rt->alive)) != value;) weft__os_futex_wait(&rt->alive, now, -1);
}

/* What it has of its own, by the thread that was the worker. */
static void worker_leaves(worker *w) {
    weft__carriers_drop(w);
    weft__coros_drop(w);
    weft__stack_cache_close(w->stacks);
    for (unsigned c = 0; c < SPAWN_CLASSES; c++)
        if (w->blocks[c]) weft__slab_cache_close(w->blocks[c]);
    if (w->limits) weft__slab_cache_close(w->limits);
    weft__cause_drop(w->last_why);
}

void weft__worker_thread(void *arg) {
    worker *w = arg;
    runtime *rt = w->rt;
    _Atomic uint32_t *attn = weft__thread_attn();
    w->attn = attn;
    w->thread_errno = weft__thread_errno();
    w->thread_exceptions = weft__thread_exceptions();
    if (rt->pin) weft__os_pin(w->index);
    weft__os_precise_timers();
    weft__ctx_adopt(&w->thread);
    fiber *first = weft__carrier_get(w);
    w->started = first != NULL;
    alive_change(rt, 1);
    gate_wait(rt);
    if (first && atom_load_rlx(&rt->gate) == GATE_OPEN) {
        /* The others may have asked already, and this store would hide it. */
        atom_store_rlx(attn, (rt->n_workers > 1 ? ATTN_WANT : 0) | (rt->record ? ATTN_POINTS : 0));
        weft__fiber_enter(w, first);
        atom_store_rlx(attn, ATTN_PLAIN);
        first = w->running;
    }
    if (first) weft__carrier_drop(w, first);
    worker_leaves(w);
    weft__ctx_fini(&w->thread);
    alive_change(rt, (uint32_t)-1);
    alive_wait(rt, 0);
}

static bool worker_make(runtime *rt, unsigned i) {
    worker *w = &rt->workers[i];
    w->rt = rt;
    w->index = i;
    w->rng = UINT64_C(0x9e3779b97f4a7c15) * (i + 1);
    w->share = 1;
    wheel_init(&w->wheel, weft__os_now());
    w->stacks = weft__stack_cache_open(rt->pool);
    deque_ring *r = weft__heap_alloc(DEQUE_RING_BYTES(RING_FIRST), 64);
    if (r) r->capacity = RING_FIRST;
    atom_store_rlx(&w->deque.ring, r);
    return w->stacks && r;
}

static void worker_free(worker *w) {
    deque_ring *r = atom_load_rlx(&w->deque.ring);
    while (r) {
        deque_ring *older = r->replaced;
        weft__heap_free(r, DEQUE_RING_BYTES(r->capacity));
        r = older;
    }
}

/* ---- open and close --------------------------------------------------------------------------------- */

/* Their bodies cannot be ended any more, since a fiber would have to: what they hold is lost. */
static bool tell_of_kept(const runtime *rt) {
    uint64_t kept = weft__coros_kept(rt);
    char text[200];
    if (!kept) return false;
    snprintf(text, sizeof text, "leaked: the runtime was closed with %" PRIu64 " continuation%s kept that nobody has used; "
                                "resume or discontinue each one", kept, kept == 1 ? "" : "s");
    if (rt->on_report) rt->on_report(rt->hook_arg, text);
    return true;
}

static void runtime_free(runtime *rt) {
    bool kept = tell_of_kept(rt);
    if (rt->workers) weft__spawn_abandon(rt);
    weft__det_close(rt);
    weft__record_close(rt);
    for (unsigned i = 0; rt->workers && i < rt->workers_bytes / sizeof(worker); i++) worker_free(&rt->workers[i]);
    weft__heap_free(rt->workers, rt->workers_bytes);
    weft__spawn_close(rt);
    weft__limits_close(rt);
    if (rt->pool) weft__stack_pool_close(rt->pool, kept || atom_load_rlx(&rt->daemons) != 0);
    weft__heap_free(rt, sizeof *rt);
}

static void close_unused_caches(runtime *rt, unsigned from) {
    for (unsigned i = from; i < rt->workers_bytes / sizeof(worker); i++)
        if (rt->workers[i].stacks) weft__stack_cache_close(rt->workers[i].stacks);
}

static runtime *runtime_make(unsigned workers, stack_class cls, const weft_options *o, bool in_run) {
    runtime *rt = weft__heap_alloc(sizeof *rt, WEFT__LINE);
    if (!rt) return NULL;
    rt->pin = o->pin;
    rt->in_run = in_run;
    rt->watched = in_run || o->clock != WEFT_CLOCK_REAL;
    rt->max_fibers = o->max_fibers;
    rt->spawn_slow = o->max_fibers != 0;
    rt->clock = o->clock;
    rt->on_unobserved = o->on_unobserved;
    rt->on_report = o->on_report;
    rt->hook_arg = o->hook_arg;
    rt->root.kind = WEFT__SCOPE;
    atom_store_rlx(&rt->epoch, 1);
    timeline_init(&rt->timeline);
    rt->pid = weft__os_pid();
    rt->stack_cls = cls;
    rt->ticks_per_us = weft__os_ticks_per_us();
    rt->search_ticks = (workers == 1 || workers <= weft__os_cpus() ? SEARCH_US : 1) * rt->ticks_per_us;
    rt->workers_bytes = workers * sizeof(worker);
    rt->workers = weft__heap_alloc(rt->workers_bytes, _Alignof(worker));
    bool ok = rt->workers && weft__stack_pool_open(&rt->pool) == WEFT_OK && weft__spawn_open(rt) && weft__limits_open(rt);
    for (unsigned i = 0; ok && i < workers; i++) ok = worker_make(rt, i);
    if (ok) return rt;
    if (rt->workers) close_unused_caches(rt, 0);
    runtime_free(rt);
    return NULL;
}

/* Starts as many of the threads as there are to be had; returns how many. */
static unsigned start_threads(runtime *rt, unsigned wanted, weft_err *err) {
    unsigned n = 0;
    for (; n < wanted; n++) {
        char name[] = "weft-0000";
        for (unsigned d = n, at = 8; d; d /= 10) name[at--] = (char)('0' + d % 10);
        *err = weft__os_thread_start(&rt->workers[n].os, name, weft__worker_thread, &rt->workers[n]);
        if (*err != WEFT_OK) break;
    }
    alive_wait(rt, n);
    return n;
}

static bool all_started(const runtime *rt, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        if (!rt->workers[i].started) return false;
    return true;
}

static void open_gate(runtime *rt, uint32_t how) {
    atom_store_rel(&rt->gate, how);
    weft__os_futex_wake(&rt->gate, INT32_MAX);
}

static void join_threads(runtime *rt, unsigned n) {
    for (unsigned i = 0; i < n; i++) weft__os_thread_join(rt->workers[i].os);
}

/* Threads and gate.  On error nothing of it is left. */
static weft_err runtime_start(runtime *rt, unsigned wanted, const char *record) {
    weft_err err = WEFT_OK;
    unsigned n = start_threads(rt, wanted, &err);
    close_unused_caches(rt, n);
    if (n == 0) return err;
    if (!all_started(rt, n)) {
        open_gate(rt, GATE_ABANDONED);
        join_threads(rt, n);
        return WEFT_E_NOMEM;
    }
    rt->n_workers = rt->idle.workers = n;
    if (record && (err = weft__record_open(rt, record)) != WEFT_OK) {
        open_gate(rt, GATE_ABANDONED);
        join_threads(rt, n);
        return err;
    }
    rt->spawn_slow = rt->spawn_slow || record;
    open_gate(rt, GATE_OPEN);
    weft__monitor_start(rt);
    return WEFT_OK;
}

/* No thread is needed. */
static weft_err runtime_start_det(runtime *rt, const weft_options *o) {
    weft_err err = weft__det_open(rt, o);
    if (err != WEFT_OK) {
        close_unused_caches(rt, 0);
        return err;
    }
    rt->n_workers = rt->idle.workers = 1;
    rt->workers[0].attn = weft__thread_attn();
    return WEFT_OK;
}

static bool drained(void *rt) { return weft__drained(rt); }

static void runtime_stop_det(runtime *rt) {
    rt->det->calm = true;
    weft__det_drive(rt, drained, rt, DET_WAIT);
    weft__offload_stop(&rt->offload);
    atom_store_seq(&rt->stopping, 1);
    worker_leaves(&rt->workers[0]);
}

/* Until every fiber has ended that is not a daemon.  A wake may be missed, the look is then late by DRAIN_LOOK_NS. */
static void drain(runtime *rt) {
    atom_store_seq(&rt->draining, 1);
    for (;;) {
        uint32_t seen = atom_load_acq(&rt->drain);
        if (weft__drained(rt)) return;
        weft__os_futex_wait(&rt->drain, seen, DRAIN_LOOK_NS);
    }
}

void weft__drain_look(runtime *rt) {
    atom_add_ar(&rt->drain, 1);
    weft__os_futex_wake(&rt->drain, 1);
}

static void runtime_stop_workers(runtime *rt) {
    drain(rt);
    weft__offload_stop(&rt->offload);
    weft__monitor_stop(rt);
    atom_store_seq(&rt->stopping, 1);
    for (uint32_t now; (now = atom_load_acq(&rt->alive)) != 0;) {
        weft__wake_all(rt);
        weft__os_futex_wait(&rt->alive, now, STOP_LOOK_NS);
    }
    join_threads(rt, rt->n_workers);
}

/* Returns whether there was a deadlock. */
static bool runtime_stop(runtime *rt) {
    (rt->det ? runtime_stop_det : runtime_stop_workers)(rt);
    while (atom_load_acq(&rt->visitors)) weft__os_yield();
    weft__report_close();
    bool deadlocked = rt->deadlocked;
    runtime_free(rt);
    return deadlocked;
}

static weft_err runtime_open(const weft_options *o, bool in_run, runtime **out) {
    weft_options defaults = {.size = sizeof defaults};
    if (!o) o = &defaults;
    if (o->size != sizeof *o) return WEFT_E_SIZE;
    stack_class cls = weft__stack_class_for(o->stack_bytes);
    if (o->workers > IDLE_WORKERS_MAX || cls == STACK_CLASSES || (unsigned)o->clock > WEFT_CLOCK_AUTO) return WEFT_E_INVALID;
    if ((unsigned)o->executor > WEFT_DETERMINISTIC || (unsigned)o->explore > WEFT_EXPLORE_REPLAY) return WEFT_E_INVALID;
    if (o->explore == WEFT_EXPLORE_DFS) return WEFT_E_INVALID; /* one run is none */
    bool det = o->executor == WEFT_DETERMINISTIC;
    unsigned workers = det ? 1 : o->workers ? o->workers : weft__os_cpus();
    if (workers > IDLE_WORKERS_MAX) workers = IDLE_WORKERS_MAX;
    weft_err err = weft__report_open();
    if (err != WEFT_OK) return err;
    runtime *rt = runtime_make(workers, cls, o, in_run);
    err = !rt ? WEFT_E_NOMEM : det ? runtime_start_det(rt, o) : runtime_start(rt, workers, o->record);
    if (err == WEFT_OK) {
        *out = rt;
        return WEFT_OK;
    }
    if (rt) runtime_free(rt);
    weft__report_close();
    return err;
}

static weft_err open_as(const weft_options *options, bool in_run, weft_runtime **out) {
    *out = NULL;
    runtime *rt = NULL;
    weft_err err = runtime_open(options, in_run, &rt);
    if (err != WEFT_OK) return err;
    *out = weft__registry_add(rt); /* also in rt->handle */
    if (*out) return WEFT_OK;
    runtime_stop(rt);
    return WEFT_E_LIMIT;
}

weft_err weft__run_open(const weft_options *options, weft_runtime **out) { return open_as(options, true, out); }

weft_err weft_open(const weft_options *options, weft_runtime **out) {
    return out ? open_as(options, false, out) : WEFT_E_INVALID;
}

static weft_err close_it(weft_runtime *handle, bool *deadlocked) {
    if (thread_fiber()) return WEFT_E_INSIDE;
    runtime *rt = weft__registry_enter(handle);
    if (!rt) return WEFT_E_CLOSED;
    bool mine = rt->pid == weft__os_pid();
    weft__registry_leave(handle);
    if (!mine) return WEFT_E_FORKED;
    rt = weft__registry_retire(handle);
    if (!rt) return WEFT_E_CLOSED;
    *deadlocked = runtime_stop(rt);
    return WEFT_OK;
}

weft_err weft_close(weft_runtime *handle) {
    bool deadlocked;
    return close_it(handle, &deadlocked);
}

bool weft__run_close(weft_runtime *handle) {
    bool deadlocked = false;
    close_it(handle, &deadlocked);
    return deadlocked;
}

/* ---- shutting down in steps --------------------------------------------------------------------------- */

static bool all_ended(void *arg) {
    runtime *rt = arg;
    return weft__drained(rt) && atom_load_acq(&rt->roots) == 0;
}

/* False: not within d ns. */
static bool ends_within(runtime *rt, int64_t d) {
    int64_t until = weft__os_now() + d;
    if (rt->det) weft__det_drive_for(rt, all_ended, rt, until);
    for (;;) {
        uint32_t seen = atom_load_acq(&rt->drain);
        if (all_ended(rt)) return true;
        int64_t left = until - weft__os_now();
        if (left <= 0) return false;
        weft__os_futex_wait(&rt->drain, seen, left < DRAIN_LOOK_NS ? left : DRAIN_LOOK_NS);
    }
}

static void interrupt_all(runtime *rt) {
    static const weft_cause cause = WEFT__CAUSE_STATIC(WEFT_CAUSE_INTERRUPT, "the runtime is shut down");
    atom_store_seq(&rt->closing_hard, 1);
    weft__node_cancel(&rt->root, &cause);
    weft__reach_all(rt);
}

static weft_err shut_down(runtime *rt, weft_duration drain, weft_duration grace, size_t *left) {
    atom_store_seq(&rt->refusing, 1);
    atom_store_seq(&rt->spawn_slow, 1);
    atom_store_seq(&rt->draining, 1);
    if (ends_within(rt, drain)) return WEFT_OK;
    interrupt_all(rt);
    if (ends_within(rt, grace)) return WEFT_OK;
    *left = weft__report_waiters(rt, "shutdown: these have not ended");
    return *left == 0 && all_ended(rt) ? WEFT_OK : WEFT_E_BUSY; /* the last one may just have ended */
}

weft_err weft_shutdown(weft_runtime *handle, weft_duration drain, weft_duration grace, size_t *left) {
    size_t none;
    if (!left) left = &none;
    *left = 0;
    if (drain < 0 || grace < 0) return WEFT_E_INVALID;
    if (thread_fiber()) return WEFT_E_INSIDE;
    runtime *rt = weft__registry_enter(handle);
    if (!rt) return WEFT_E_CLOSED;
    weft_err err = shut_down(rt, drain, grace, left);
    weft__registry_leave(handle);
    return err == WEFT_OK ? weft_close(handle) : err;
}

/* ---- tasks from outside ----------------------------------------------------------------------------- */

static void root_run(weft_task *task, weft_head head) {
    root_task *root = (root_task *)task;
    fiber *f = thread_fiber();
    const weft__evidence *own = f->env; /* of a task that it runs on top of */
    (void)head;
    evidence_set(f, f->env = root->env);
    root->fn(root->arg);
    f->env = own;
}

/* The waiting thread may free the root as soon as it sees `done`; the wake then goes to an address nobody
 * waits at, which the kernel ignores. */
void weft__root_done(runtime *rt, root_task *root, weft_exit exit) {
    _Atomic uint32_t *done = &root->done;
    root->exit = exit;
    atom_sub_ar(&rt->roots, 1);
    atom_store_rel(done, 1);
    weft__os_futex_wake(done, 1);
}

static weft_err call_det(runtime *rt, void (*fn)(void *), void *arg) {
    weft_exit e = weft__det_call(rt, fn, arg);
    weft__cause_drop(e.cause);
    return (weft_err)e.code;
}

static weft_err call(runtime *rt, void (*fn)(void *), void *arg) {
    if (rt->det) return call_det(rt, fn, arg);
    static const weft_site site = {root_run, "main task", "weft_call", 0};
    root_task root = {.fn = fn, .arg = arg, .env = weft__evidence_of_thread()->shared};
    root.task.site = (uintptr_t)&site | WEFT__SHARED;
    atom_store_rlx(&root.task.join, (uintptr_t)&root | JOIN_ROOT);
    weft__foreign_begins(rt); /* until it is to be found: counted and not there yet, it would look like a deadlock */
    atom_add_ar(&rt->roots, 1);
    weft__inject(rt, item_of_task(&root.task));
    weft__foreign_ends(rt);
    while (!atom_load_acq(&root.done)) weft__os_futex_wait(&root.done, 0, -1);
    weft__cause_drop(root.exit.cause);
    return (weft_err)root.exit.code;
}

weft_err weft_call(weft_runtime *handle, void (*fn)(void *), void *arg) {
    if (!fn) return WEFT_E_INVALID;
    if (thread_fiber()) return WEFT_E_INSIDE;
    runtime *rt = weft__registry_enter(handle);
    if (!rt) return WEFT_E_CLOSED;
    weft_err err = WEFT_E_FORKED;
    if (rt->pid == weft__os_pid()) err = atom_load_rlx(&rt->refusing) ? WEFT_E_CLOSED : call(rt, fn, arg);
    weft__registry_leave(handle);
    return err;
}

/* What makes a failed run repeatable without compiling it again. */
static weft_err from_environment(weft_options *o) {
    static const char *const names[] = {NULL, "fifo", "random", "pct"};
    const char *seed = weft__os_environment("WEFT_SEED"), *how = weft__os_environment("WEFT_EXPLORE");
    const char *schedule = weft__os_environment("WEFT_REPLAY");
    if (o->executor != WEFT_EXECUTOR_DEFAULT) return WEFT_OK;
    if (!o->record) o->record = weft__os_environment("WEFT_RECORD");
    if (!(seed || schedule)) return WEFT_OK;
    char *end = NULL;
    o->executor = WEFT_DETERMINISTIC;
    o->schedule = schedule;
    if (seed) o->seed = strtoull(seed, &end, 10);
    if (end && (*end || end == seed)) return WEFT_E_INVALID;
    if (!how) return WEFT_OK;
    for (unsigned i = 1; i < sizeof names / sizeof *names; i++)
        if (strcmp(how, names[i]) == 0) o->explore = (weft_explore)i;
    return o->explore ? WEFT_OK : WEFT_E_INVALID;
}

weft_err weft_run(const weft_options *options, void (*fn)(void *), void *arg) {
    if (!fn) return WEFT_E_INVALID;
    if (thread_fiber()) return WEFT_E_INSIDE;
    if (options && options->size != sizeof *options) return WEFT_E_SIZE;
    weft_options o = options ? *options : WEFT_OPTIONS(.workers = 0);
    weft_err err = from_environment(&o);
    weft_runtime *handle;
    if (err == WEFT_OK) err = weft__run_open(&o, &handle);
    if (err != WEFT_OK) return err;
    err = weft_call(handle, fn, arg);
    return weft__run_close(handle) ? WEFT_E_DEADLOCK : err;
}

/* ---- questions -------------------------------------------------------------------------------------- */

unsigned weft_workers(weft_runtime *handle) {
    if (!handle) {
        fiber *f = thread_fiber();
        return f ? f->w->rt->n_workers : 0;
    }
    runtime *rt = weft__registry_enter(handle);
    if (!rt) return 0;
    unsigned n = rt->n_workers;
    weft__registry_leave(handle);
    return n;
}

weft_err weft_runtime_stats(weft_runtime *handle, weft_stats *out) {
    if (!out) return WEFT_E_INVALID;
    if (out->size != sizeof *out) return WEFT_E_SIZE;
    runtime *rt = weft__registry_enter(handle);
    if (!rt) return WEFT_E_CLOSED;
    *out = (weft_stats){.size = sizeof *out};
    for (unsigned i = 0; i < rt->n_workers; i++) {
        worker_stats *s = &rt->workers[i].stats;
        out->published += atom_load_rlx(&s->published);
        out->stolen += atom_load_rlx(&s->stolen);
        out->taken_back += atom_load_rlx(&s->taken_back);
        out->suspended += atom_load_rlx(&s->suspended);
        out->wakes += atom_load_rlx(&s->wakes);
        out->parks += atom_load_rlx(&s->parks);
        out->stacks += atom_load_rlx(&s->stacks);
    }
    if (rt->det) {
        out->choices = rt->det->explorer.choices;
        out->bends = rt->det->explorer.bends;
    }
    weft__registry_leave(handle);
    return WEFT_OK;
}
