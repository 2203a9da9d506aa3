/* effect/par_time.c -- branches and time: weft_timeout_to, weft_hedge.
 *
 * Both need no fiber as long as the first branch does not wait, and no timer either: the timeout's deadline is armed by the
 * first wait inside (weft_timeout), the backup of a hedge is a forked child that sleeps first, and that is not even started
 * then.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/par.h"
#include "sched/cause.h"
#include "sched/clock.h"
#include "sched/fail.h"
#include "sched/local.h"
#include <weft/promise.h>
#include <weft/scope.h>

/* ---- a timeout with something instead ------------------------------------------------------------------- */

static weft_exit limited(void *arg) {
    weft_branch *b = arg;
    fiber *f = thread_fiber();
    if (!f) {
        const weft__evidence *own = evidence_child_begins(NULL);
        b->run(b->call, NULL);
        evidence_child_ends(NULL, own);
        b->state = BRANCH_ENDED_WELL;
        return par_success;
    }
    unsigned depth = f->pub.scope->depth; /* of the timeout */
    weft_exit own = f->exit;
    f->exit = par_success;
    f->told = TOLD_NOTHING;
    const weft__evidence *env = evidence_child_begins(f);
    b->run(b->call, f->pub.head);
    evidence_child_ends(f, env);
    weft__branch_note_end(b, f, depth);
    f->exit = own;
    return par_success;
}

weft_exit weft_timeout_to_of(weft_duration d, weft_branch *b, size_t n) {
    if (n != 2 || !b)
        return FAILED(WEFT_E_INVALID, "weft_timeout_to: needs two branches, what is tried and what is done instead");
    fiber *f = thread_fiber();
    uint16_t told = f ? f->told : 0;
    bool seen = f && f->seen;
    b->state = BRANCH_NOT_BEGUN;
    weft_exit e = weft_timeout(d, limited, b);
    if (f) { /* who is told is the branch; the caller is told below */
        f->told = told;
        f->seen = seen;
    }
    bool late = e.tag == WEFT_EXIT_FAIL && e.code == WEFT_E_TIMEOUT;
    switch (b->state) {
    case BRANCH_NOT_BEGUN: return e;
    case BRANCH_ENDED_ILL: return weft__hold_own(f, b->exit);
    case BRANCH_ENDED_WELL:
        if (!weft_ok(e) && !late && e.tag != WEFT_EXIT_INTERRUPT) { /* a fiber that it spawned failed */
            weft__branch_drop(b);
            return e;
        }
        branch_deliver(b);
        return par_success;
    default: break;
    }
    if (!late) return weft_ok(e) || e.tag == WEFT_EXIT_INTERRUPT ? weft__par_interrupt(f) : e;
    return weft_all_of(b + 1, 1, NULL);
}

/* ---- a backup ------------------------------------------------------------------------------------------- */

typedef struct hedge {
    par par;
    weft_promise failed; /* the first branch has */
    weft_time at;        /* when the backup starts */
} hedge;

static void run_backup(weft_task *task, weft_head head) {
    weft_branch *b = (weft_branch *)task;
    hedge *h = (hedge *)(void *)b->par;
    fiber *f = thread_fiber();
    uint16_t told = f->told;
    f->told = TOLD_NOTHING;
    weft_exit e = weft_promise_await_until(&h->failed, NULL, h->at);
    if (e.tag != WEFT_EXIT_INTERRUPT && par_goes_on(f)) weft__branch_run_elsewhere(b, f, head);
    f->told = told;
}

weft_exit weft_hedge_of(size_t *who, weft_duration delay, weft_branch *b, size_t n) {
    fiber *f = thread_fiber();
    hedge h;
    if (n != 2 || !b) return FAILED(WEFT_E_INVALID, "weft_hedge: needs two branches, the first and its backup");
    if (delay < 0) return FAILED(WEFT_E_INVALID, "weft_hedge: the delay is negative");
    if (!f) return weft_any_of(who, b, 1, NULL);
    scheduling_point(f);
    const weft_site site = {run_backup, b[1].site->name, b[1].site->file, b[1].site->line};
    if (!weft__deadline_of(clock_now(f->w->rt), delay, &h.at)) h.at = WEFT_FOREVER;
    weft_promise_init(&h.failed);
    h.par.kind = PAR_ANY;
    h.par.branches = b;
    par_enter(&h.par, f);
    b[1].par = &h.par;
    b[0].state = b[1].state = BRANCH_NOT_BEGUN;
    weft__fork(&b[1].task, &site);
    if (par_goes_on(f)) {
        if (!branch_call_here(&h.par, f, b)) weft_promise_complete(&h.failed, NULL);
        branch_decide_here(&h.par, b);
    }
    if (weft__take(&b[1].task) && !atom_load_acq(&h.par.first) && par_goes_on(f)) {
        branch_call_here(&h.par, f, &b[1]);
        branch_decide_here(&h.par, &b[1]);
    }
    return weft__par_first_end(&h.par, f, 2, who);
}
