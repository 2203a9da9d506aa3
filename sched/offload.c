/* sched/offload.c -- blocking calls on helper threads.
 *
 * A call is shared by the fiber that waits and the thread that runs it, and freed by the second of them to let go.
 * Who gets the result is decided once, by `outcome`: DONE (the thread, when fn has returned) or GIVEN_UP (the fiber, when it
 * is interrupted first).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/offload.h"
#include "alloc/heap.h"
#include "sched/fail.h"
#include "sched/quiet.h"
#include "sched/switch.h"
#include <weft/promise.h>

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

enum { RUNNING, DONE, GIVEN_UP };

struct weft_offload_call {
    struct weft_offload_call *next;
    weft_offload_fn *fn;
    void *arg, *result;
    void (*drop)(void *);
    runtime *rt;
    wait_queue over;
    _Atomic uint32_t outcome, refs;
};

bool weft_offload_cancelled(const weft_offload_call *call) {
    return atom_load_acq(&((weft_offload_call *)call)->outcome) == GIVEN_UP;
}

static void let_go(weft_offload_call *c) {
    if (atom_sub_ar(&c->refs, 1) == 1) weft__heap_free(c, sizeof *c);
}

static bool decide(weft_offload_call *c, uint32_t how) {
    uint32_t running = RUNNING;
    return atom_cas_ar(&c->outcome, &running, how);
}

/* ---- the threads -------------------------------------------------------------------------------------- */

static weft_offload_call *next_call(offload *o, bool *stop) {
    for (;;) {
        uint32_t seen = atom_load_acq(&o->calls);
        spin_lock(&o->lock);
        weft_offload_call *c = o->first;
        *stop = o->stop;
        if (c && !(o->first = c->next)) o->last = &o->first;
        if (c) o->idle--;
        spin_unlock(&o->lock);
        if (c || *stop) return c;
        weft__os_futex_wait(&o->calls, seen, -1);
    }
}

static void run(weft_offload_call *c) {
    runtime *rt = c->rt;
    c->result = c->fn(c->arg, c);
    if (decide(c, DONE)) {
        weft__queue_finish(&c->over);
        weft__foreign_ends(rt);
    } else if (c->drop) {
        c->drop(c->result);
    }
    let_go(c);
}

static void helper(void *arg) {
    offload *o = arg;
    bool stop;
    for (weft_offload_call *c; (c = next_call(o, &stop)) != NULL;) {
        run(c);
        spin_lock(&o->lock);
        o->idle++;
        spin_unlock(&o->lock);
    }
}

/* A thread for a call that finds none idle.  Without one the call waits for those there are. */
static weft_err more_threads(offload *o) {
    unsigned n = o->threads;
    weft_err err = weft__os_thread_start(&o->os[n], "weft-offload", helper, o);
    if (err == WEFT_OK) {
        o->threads++;
        o->idle++;
    }
    return o->threads ? WEFT_OK : err;
}

static weft_err submit(offload *o, weft_offload_call *c) {
    weft_err err = WEFT_OK;
    spin_lock(&o->lock);
    if (!o->last) o->last = &o->first;
    unsigned queued = 1;
    for (weft_offload_call *at = o->first; at; at = at->next) queued++;
    if (o->idle < queued && o->threads < OFFLOAD_THREADS_MAX) err = more_threads(o);
    if (err == WEFT_OK) {
        c->next = NULL;
        *o->last = c;
        o->last = &c->next;
        atom_add_ar(&o->calls, 1);
    }
    spin_unlock(&o->lock);
    weft__os_futex_wake(&o->calls, 1);
    return err;
}

void weft__offload_stop(offload *o) {
    spin_lock(&o->lock);
    o->stop = true;
    atom_add_ar(&o->calls, 1);
    spin_unlock(&o->lock);
    weft__os_futex_wake(&o->calls, INT32_MAX);
    for (unsigned i = 0; i < o->threads; i++) weft__os_thread_join(o->os[i]);
}

/* ---- the fiber ---------------------------------------------------------------------------------------- */

static weft_exit wait_for(fiber *f, weft_offload_call *c, void **result) {
    weft_exit why = success;
    waits_for(f, "a blocking call", c);
    if (wait_on(f, &c->over, NULL, NULL, NULL, &why) == WAIT_CANCEL && decide(c, GIVEN_UP)) {
        weft__foreign_ends(c->rt);
        return why;
    }
    while (!(atom_load_acq(&c->over) & QUEUE_DONE)) arch_relax(); /* decided, about to be said */
    if (result) *result = c->result;
    else if (c->drop) c->drop(c->result);
    return success;
}

weft_exit weft_offload(weft_offload_fn *fn, void *arg, void **result, void (*drop)(void *result)) {
    fiber *f = thread_fiber();
    weft_offload_call *c = weft__heap_alloc(sizeof *c, 0);
    if (!c) return FAILED(WEFT_E_NOMEM, "weft_offload: no memory for the call");
    *c = (weft_offload_call){.fn = fn, .arg = arg, .drop = drop, .rt = f ? f->w->rt : NULL};
    atom_store_rlx(&c->refs, f ? 2 : 1);
    weft_exit e = success;
    if (!f) {
        void *value = fn(arg, c);
        if (result)
            *result = value;
        else if (drop)
            drop(value);
        let_go(c);
        return e;
    }
    if (cancel_point(f) && !weft_ok(e = weft__look_up(f))) {
        weft__heap_free(c, sizeof *c);
        return e;
    }
    weft__foreign_begins(c->rt);
    weft_err err = submit(&c->rt->offload, c);
    if (err != WEFT_OK) {
        weft__foreign_ends(c->rt);
        weft__heap_free(c, sizeof *c);
        return FAILED(err, "weft_offload: no helper thread could be started");
    }
    e = wait_for(f, c, result);
    let_go(c);
    return e;
}
