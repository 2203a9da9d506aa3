/* sched/interrupt.c -- interrupting a spawned fiber, at once or after a grace, and waiting for its end.
 *
 * Who waits for the end of somebody who waits for one's own end would wait for ever.  Unmasked it does not: the
 * other's interrupt ends the wait.  Masked it would; so a waiting interrupt is written down (`waits_end_of`) under one lock of
 * the runtime, and one that would close a ring only asks.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/interrupt.h"
#include "alloc/heap.h"
#include "sched/cancel.h"
#include "sched/cause.h"
#include "sched/det.h"
#include "sched/fail.h"
#include "sched/quiet.h"
#include "sched/thread.h"
#include <string.h>

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* Is c what would be made of these?  Who interrupts a thousand fibers gives all of them one cause. */
static bool same(const weft_cause *c, uint64_t who, const char *reason, const char *file, int line) {
    return c && c->who == who && c->line == line && c->file == file && strncmp(c->text, reason, WEFT_CAUSE_TEXT_MAX) == 0;
}

static const weft_cause *cause_of(const char *reason, const char *file, int line) {
    fiber *f = thread_fiber();
    weft_fiber *me = f ? weft__part_of(f) : NULL;
    uint64_t who = me ? atom_load_rlx(&me->id) : 0;
    if (!reason) reason = "";
    if (f && same(f->w->last_why, who, reason, file, line)) return weft__cause_keep(f->w->last_why);
    const weft_cause *c = weft__cause_interrupt(who, f ? weft__fiber_name(f) : NULL, reason, file, line);
    if (f) {
        weft__cause_drop(f->w->last_why);
        f->w->last_why = weft__cause_keep(c);
    }
    return c;
}

/* Does `s` wait, over however many steps, for the end of `me`?  Lock held. */
static bool leads_to(weft_fiber *s, const weft_fiber *me) {
    for (fiber *f; s; s = f ? f->waits_end_of : NULL) {
        if (s == me) return true;
        f = atom_load_acq(&s->on);
    }
    return false;
}

static weft_exit wait_for_end(weft_handle h) {
    fiber *f = thread_fiber();
    weft_fiber *me = f ? weft__part_of(f) : NULL;
    if (!me) return weft__await_end(h);
    runtime *rt = me->rt;
    fiber *on = atom_load_acq(&me->on); /* not f, in a forked child */
    spin_lock(&rt->interrupt_lock);
    bool ring = leads_to(h.fiber, me);
    if (!ring) on->waits_end_of = h.fiber;
    spin_unlock(&rt->interrupt_lock);
    if (ring)
        return FAILED(WEFT_E_INSIDE, "weft_interrupt: the fiber waits for the caller's end; it was only asked to stop");
    weft_exit e = weft__await_end(h);
    spin_lock(&rt->interrupt_lock);
    on->waits_end_of = NULL;
    spin_unlock(&rt->interrupt_lock);
    return e;
}

weft_exit weft__interrupt(weft_handle h, const char *reason, const char *file, int line, bool wait) {
    scheduling_point_here();
    if (!weft__known(h)) return FAILED(WEFT_E_STALE, "weft_interrupt: no such fiber");
    fiber *f = thread_fiber();
    runtime *abroad = f && f->rt == h.fiber->rt ? NULL : h.fiber->rt;
    if (abroad) weft__foreign_begins(abroad); /* between a wait that is won and its fiber in the inbox there is no rest */
    if (!end_done(&h.fiber->task.join)) weft__fiber_cancel(h.fiber, cause_of(reason, file, line), false);
    if (abroad) weft__foreign_ends(abroad);
    return wait ? wait_for_end(h) : success;
}

/* ---- grace -------------------------------------------------------------------------------------------- */

/* Belongs to the fiber's block, which is not freed before it is over. */
struct grace {
    alert alert;
    weft_fiber *of;
    const weft_cause *why;
    _Atomic uint32_t over;
};

void weft__grace_over(alert *a) {
    grace *g = (grace *)a;
    weft__fiber_cancel(g->of, g->why, false);
    atom_store_rel(&g->over, 1);
}

void weft__grace_free(runtime *rt, grace *g) {
    if (clock_cancel(rt, &g->alert)) weft__cause_drop(g->why);
    else
        while (!atom_load_acq(&g->over)) weft__os_yield();
    weft__heap_free(g, sizeof *g);
}

static void arm(runtime *rt, grace *g, int64_t at) {
    fiber *f = thread_fiber();
    worker *w = f && f->w->rt == rt ? f->w : &rt->workers[0];
    spin *lock = clock_lock(w);
    clock_link(w, &g->alert, ALERT_GRACE, at);
    spin_unlock(lock);
    if (!f || f->w != w) weft__wake_for_timer(w); /* it sleeps until a later time */
    weft__monitor_look(rt);
}

/* The first request counts. */
weft_err weft__interrupt_grace(weft_handle h, const char *reason, const char *file, int line, weft_duration d) {
    int64_t at;
    if (!weft__known(h)) return WEFT_E_STALE;
    runtime *rt = h.fiber->rt;
    if (!weft__deadline_of(clock_now(rt), d, &at)) return WEFT_E_INVALID;
    if (end_done(&h.fiber->task.join)) return WEFT_OK;
    spawn_more *m = weft__spawn_more(h.fiber);
    grace *g = m ? weft__heap_alloc(sizeof *g, 0) : NULL, *none = NULL;
    if (!g) return WEFT_E_NOMEM;
    g->of = h.fiber;
    g->why = cause_of(reason, file, line);
    weft__fiber_cancel(h.fiber, NULL, true);
    if (atom_cas_ar(&m->grace, &none, g)) {
        arm(rt, g, at);
        return WEFT_OK;
    }
    weft__cause_drop(g->why);
    weft__heap_free(g, sizeof *g);
    return WEFT_OK;
}
