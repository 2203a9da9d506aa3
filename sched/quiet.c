/* sched/quiet.c -- what happens at rest: virtual time, and deadlock.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/quiet.h"
#include "sched/cancel.h"
#include "sched/cause.h"
#include "sched/det.h"
#include "sched/dump.h"
#include "sched/exit.h"
#include "sched/fail.h"
#include "sched/interrupt.h"
#include "sched/local.h"
#include "sched/misuse.h"
#include "sched/quiet_core.h"
#include "sched/registry.h"
#include "sched/switch.h"
#include <stdio.h>

#define BUSY_NS INT64_C(1000000000) /* an advance without progress for so long is given up */

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* One who advances a manual clock: on its stack; under quiet_lock. */
typedef struct advance {
    int64_t target;
    wait_queue over;
    weft_exit exit;
    uint64_t progress; /* last seen by the monitor, at */
    int64_t seen_at;
} advance;

/* ---- at rest ------------------------------------------------------------------------------------------ */

/* Whoever waits for the advance is won and woken; true if that made a fiber ready. */
static void finish(runtime *rt, weft_exit e) {
    advance *a = rt->advance;
    rt->advance = NULL;
    atom_store_rlx(&rt->advancing, 0);
    a->exit = e;
    weft__queue_finish(&a->over);
}

static bool step_manual(worker *w) {
    runtime *rt = w->rt;
    if (!rt->advance) return false;
    atom_add_rlx(&rt->progress, 1);
    if (weft__clock_step(w, rt->advance->target)) return true;
    atom_store_rel(&rt->virtual_now, rt->advance->target);
    finish(rt, success);
    return true;
}

static bool unfinished(runtime *rt) { return atom_load_acq(&rt->roots) || !weft__drained(rt); }

/* A manual clock of the deterministic executor, and nobody advances it: another thread could, but it is not announced. */
static bool time_stands(runtime *rt) { return rt->det && rt->clock == WEFT_CLOCK_MANUAL; }

/* Locks are given back from outside without being announced.  So it is looked for who has them, and that nobody of this runtime ran
 * meanwhile: who was made ready before the look at it is seen to be, who is after it, by the next look for rest. */
static bool ends_from_outside(worker *w) {
    runtime *rt = w->rt;
    uint64_t before = atom_load_seq(&rt->claims);
    return !quiet_asleep(&rt->idle, w->index) || weft__waits_outside(rt) || quiet_work(&rt->idle) ||
           atom_load_seq(&rt->claims) != before;
}

/* First everything is asked to stop; what does not because it is masked is asked again, masks or not. */
static void stop_all(runtime *rt, const weft_cause *cause) {
    if (rt->deadlocked++ == 0) {
        weft__report_waiters(rt, cause->text);
        weft__node_cancel(&rt->root, cause);
    } else {
        atom_store_seq(&rt->forced, 1);
        atom_add_seq(&rt->epoch, 1);
    }
    weft__reach_all(rt);
}

void weft__quiet_endless(runtime *rt) {
    static const weft_cause cause = WEFT__CAUSE_STATIC(WEFT_CAUSE_FAIL, "endless: so many turns, and these have not ended");
    if (rt->deadlocked > 1) weft__misuse("a fiber goes on although it was interrupted; end at WEFT_E_INTERRUPTED");
    stop_all(rt, &cause);
}

static WEFT_COLD bool deadlock(worker *w) {
    static const weft_cause nothing = WEFT__CAUSE_STATIC(WEFT_CAUSE_FAIL,
        "deadlock: everything that is left waits, and nothing can end any of these waits");
    static const weft_cause time = WEFT__CAUSE_STATIC(WEFT_CAUSE_FAIL,
        "time never advanced: everything that is left waits, some of it for a time, and nobody is left to advance the clock");
    runtime *rt = w->rt;
    bool armed = rt->was_armed;
    if (!rt->in_run || (armed && !time_stands(rt)) || !rt->was_unfinished || rt->deadlocked > 1) return false;
    if (ends_from_outside(w)) return false;
    stop_all(rt, armed ? &time : &nothing);
    return true;
}

static bool act(worker *w) {
    runtime *rt = w->rt;
    if (rt->det && rt->det->outside.n) return true; /* kept for its turn until what is announced is there: look again */
    if (rt->clock == WEFT_CLOCK_AUTO && weft__clock_step(w, INT64_MAX - 1)) return true;
    if (rt->clock == WEFT_CLOCK_MANUAL && step_manual(w)) return true;
    return deadlock(w);
}

static runtime *runtime_of(idle *d) { return (runtime *)((char *)d - offsetof(runtime, idle)); }

/* What comes from outside is announced, counted, made public and then no longer announced, in this order: counted just
 * now, it is announced, or will be found.  A timer is looked for here, and not when there is rest: a sleeper whose time has
 * come is awake, which the look notices (Q6), before the timer is gone; afterwards it may be gone and the look over. */
bool weft__quiet_expects(idle *d) {
    runtime *rt = runtime_of(d);
    rt->was_unfinished = unfinished(rt);
    rt->was_armed = weft__clock_armed(rt) != 0;
    return atom_load_seq(&rt->foreign);
}

bool weft__quiet_act(idle *d, unsigned worker) { return act(&runtime_of(d)->workers[worker]); }

bool weft__quiet_look(worker *w) {
    runtime *rt = w->rt;
    if (!rt->watched || atom_load_rlx(&rt->stopping) || !quiet_maybe(&rt->idle)) return false;
    spin_lock(&rt->quiet_lock);
    bool acted = quiet_look(&rt->idle, &rt->claims, w->index);
    spin_unlock(&rt->quiet_lock);
    return acted;
}

bool weft__quiet_alone(worker *w) {
    runtime *rt = w->rt;
    spin_lock(&rt->quiet_lock);
    bool expects = weft__quiet_expects(&rt->idle); /* first: what is not announced any more is public */
    bool acted = !expects && !quiet_work(&rt->idle) && act(w);
    spin_unlock(&rt->quiet_lock);
    return acted;
}

/* Any sleeper will do: it looks around, and before it sleeps again, here. */
void weft__quiet_changed(runtime *rt) {
    if (!rt->watched) return;
    quiet_moved(&rt->claims);
    weft__wake_this(&rt->workers[0]);
}

/* Counted only where somebody looks: the word is shared by all threads. */
void weft__foreign_begins(runtime *rt) {
    if (rt->watched) atom_add_seq(&rt->foreign, 1);
}

void weft__foreign_ends(runtime *rt) {
    if (rt->watched && atom_sub_seq(&rt->foreign, 1) == 1) weft__quiet_changed(rt);
}

/* ---- advancing a manual clock ------------------------------------------------------------------------- */

static weft_exit advance_begin(runtime *rt, advance *a, weft_duration d) {
    spin_lock(&rt->quiet_lock);
    bool taken = rt->advance != NULL, fits = weft__deadline_of(clock_now(rt), d, &a->target);
    if (!taken && fits) {
        rt->advance = a;
        atom_store_rlx(&rt->advancing, 1);
    }
    a->seen_at = weft__os_now();
    spin_unlock(&rt->quiet_lock);
    if (!fits) return FAILED(WEFT_E_INVALID, "weft_clock_advance: the duration is negative, or too long for the clock");
    if (taken) return FAILED(WEFT_E_TWICE, "weft_clock_advance: somebody else advances this clock; one at a time");
    weft__monitor_look(rt);
    return success;
}

/* Interrupted: the advance is given up, unless it ends at this moment. */
static void advance_forget(runtime *rt, advance *a) {
    spin_lock(&rt->quiet_lock);
    if (rt->advance == a) {
        rt->advance = NULL;
        atom_store_rlx(&rt->advancing, 0);
    }
    spin_unlock(&rt->quiet_lock);
}

static weft_exit advance_wait(runtime *rt, advance *a) {
    fiber *f = thread_fiber();
    weft_exit why = success;
    if (f && f->w->rt == rt) {
        waits_for(f, "its own advance of the clock", rt);
        if (wait_on(f, &a->over, NULL, NULL, NULL, &why) != WAIT_CANCEL) return weft__hold_own(f, a->exit);
        advance_forget(rt, a);
        return why;
    }
    weft__quiet_changed(rt);
    if (rt->det) weft__det_drive(rt, weft__queue_done, &a->over, DET_WAIT);
    weft__queue_wait_thread(&a->over, INT64_MAX);
    return a->exit;
}

weft_exit weft_clock_advance(weft_runtime *handle, weft_duration d) {
    fiber *f = thread_fiber();
    runtime *rt = handle ? weft__registry_enter(handle) : f ? f->w->rt : NULL;
    if (!rt && handle) return FAILED(WEFT_E_CLOSED, "weft_clock_advance: the runtime is closed");
    if (!rt) return FAILED(WEFT_E_INVALID, "weft_clock_advance: no runtime on this thread; name one");
    if (f && f->rt != rt) {
        if (handle) weft__registry_leave(handle);
        return FAILED(WEFT_E_INSIDE, "weft_clock_advance: a fiber can only advance its own runtime's clock");
    }
    advance a = {.over = 0, .exit = success};
    weft_exit e = rt->clock != WEFT_CLOCK_MANUAL
                      ? FAILED(WEFT_E_MODE, "weft_clock_advance: only a manual clock can be advanced; open the runtime with "
                                            ".clock = WEFT_CLOCK_MANUAL")
                      : advance_begin(rt, &a, d);
    if (weft_ok(e)) e = advance_wait(rt, &a);
    if (handle) weft__registry_leave(handle);
    return e;
}

/* ---- the monitor looks -------------------------------------------------------------------------------- */

static weft_exit busy(runtime *rt) {
    char text[WEFT_CAUSE_TEXT_MAX];
    if (atom_load_seq(&rt->foreign))
        snprintf(text, sizeof text, "the clock cannot go on: announced work outside (an offload or an external promise) "
                                    "has not ended");
    else
        snprintf(text, sizeof text, "the clock cannot go on: '%s' runs and does not wait", weft__busy_name(rt));
    const weft_cause *cause = weft__cause_leaf(WEFT_CAUSE_FAIL, WEFT_E_BUSY, text, __FILE__, __LINE__);
    return (weft_exit){WEFT_EXIT_FAIL, WEFT_E_BUSY, cause};
}

void weft__advance_watch(runtime *rt, int64_t now) {
    spin_lock(&rt->quiet_lock);
    advance *a = rt->advance;
    uint64_t progress = atom_load_rlx(&rt->progress);
    if (a && a->progress != progress) {
        a->progress = progress;
        a->seen_at = now;
    } else if (a && now - a->seen_at >= BUSY_NS) {
        finish(rt, busy(rt));
    }
    spin_unlock(&rt->quiet_lock);
}
