/* effect/par.c -- weft_zip_par, weft_race, weft_any, weft_all_settled.
 *
 * The owner forks branches n-1 to 1, calls branch 0, then joins 1 to n-1: in the order of the arguments where nobody helps.
 * What must hold: effect/par.h.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/par.h"
#include "sched/cause.h"
#include "sched/det.h"
#include "sched/exit.h"
#include "sched/fail.h"
#include "sched/local.h"

/* ---- the region --------------------------------------------------------------------------------------- */

void weft__par_cancel(par *p) {
    static const weft_cause over = WEFT__CAUSE_STATIC(WEFT_CAUSE_INTERRUPT, "another branch has decided");
    weft__node_cancel(&p->region.node, &over);
}

weft_exit weft__par_leave_slow(par *p, fiber *f) {
    weft__node *n = &p->region.node;
    if (atom_load_acq(&n->state) & NODE_MEMBERS) weft__node_close(f, n);
    uint64_t state = atom_load_acq(&n->state);
    weft_exit e = state & NODE_FAILED ? n->failure : par_success;
    if (state & NODE_HELD) weft__release_held(f, n);
    const weft_cause *why = n->why;
    weft__region_end(&p->region, f);
    par_restore(p, f);
    weft__cause_drop(why);
    return e;
}

weft_exit weft__par_interrupt(fiber *f) {
    static const weft_cause stopped = WEFT__CAUSE_STATIC(WEFT_CAUSE_INTERRUPT, "the branch was stopped");
    cancel_look_again(f);
    weft_exit e = weft__look_up(f);
    return weft_ok(e) ? (weft_exit){WEFT_EXIT_INTERRUPT, WEFT_E_CANCELLED, &stopped} : e;
}

/* ---- a branch ----------------------------------------------------------------------------------------- */

bool weft__branch_decides(const par *p, const weft_branch *b) {
    switch (p->kind) {
    case PAR_ALL: return b->state != BRANCH_ENDED_WELL;
    case PAR_RACE: return b->state != BRANCH_STOPPED;
    case PAR_ANY: return b->state == BRANCH_ENDED_WELL;
    case PAR_SETTLE: break;
    }
    return false;
}

void weft__branch_note_end(weft_branch *b, fiber *f, unsigned depth) {
    b->exit = f->exit;
    f->exit = par_success;
    if (!weft_ok(b->exit))
        b->state = BRANCH_ENDED_ILL;
    else
        b->state = f->told <= depth ? BRANCH_STOPPED : BRANCH_ENDED_WELL;
}

void weft__branch_run_elsewhere(weft_branch *b, fiber *f, weft_head head) {
    par *p = b->par;
    b->run(b->call, head);
    weft__branch_note_end(b, f, 0);
    if (weft__branch_decides(p, b) && par_decide(p, (uint64_t)(b - p->branches) + 1)) weft__par_cancel(p);
}

/* Run by somebody else, or by its owner on top of its own wait when stacks have run out. */
void weft__branch_run(weft_task *task, weft_head head) {
    weft_branch *b = (weft_branch *)task;
    fiber *f = thread_fiber();
    uint16_t told = f->told;
    f->told = TOLD_NOTHING;
    if (par_goes_on(f)) weft__branch_run_elsewhere(b, f, head);
    f->told = told;
}

PAR_INLINE void fork_rest(par *p, weft_branch *b, size_t n) {
    for (size_t i = n; i-- > 1;) {
        b[i].par = p;
        b[i].state = BRANCH_NOT_BEGUN;
        weft__fork(&b[i].task, b[i].site);
    }
}

/* The first branch, then those nobody took, as long as nothing is decided; whoever was taken has ended. */
PAR_INLINE bool call_all(par *p, fiber *f, weft_branch *b, size_t n) {
    bool well = false;
    fork_rest(p, b, n);
    b->state = BRANCH_NOT_BEGUN;
    if (par_goes_on(f) && !(well = branch_call_here(p, f, b))) branch_decide_here(p, b);
    for (size_t i = 1; i < n; i++) {
        if (!weft__take(&b[i].task)) {
            if (b[i].state != BRANCH_ENDED_WELL) well = false;
            continue;
        }
        if (atom_load_acq(&p->first) || !par_goes_on(f))
            well = false;
        else if (!branch_call_here(p, f, &b[i])) {
            branch_decide_here(p, &b[i]);
            well = false;
        }
    }
    return well;
}

/* ---- results ------------------------------------------------------------------------------------------ */

void weft__branch_drop(weft_branch *b) {
    if (b->state == BRANCH_ENDED_WELL && b->drop) b->drop(branch_value(b));
}

static void drop_values(weft_branch *b, size_t n, size_t but) {
    for (size_t i = 0; i < n; i++)
        if (i != but) weft__branch_drop(&b[i]);
}

/* The failures: that of `lead` first, then in the order of the arguments.  References are taken over. */
static weft_exit combined(weft_branch *b, size_t n, size_t lead, weft_exit also) {
    weft_exit e = lead < n && b[lead].state == BRANCH_ENDED_ILL ? b[lead].exit : par_success;
    for (size_t i = 0; i < n; i++)
        if (i != lead && b[i].state == BRANCH_ENDED_ILL) e = weft__exit_both(e, b[i].exit);
    return weft__exit_both(e, also);
}

static bool any_missing(const weft_branch *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (b[i].state == BRANCH_NOT_BEGUN || b[i].state == BRANCH_STOPPED) return true;
    return false;
}

static size_t decided_by(par *p) { return (size_t)atom_load_acq(&p->first) - 1; }

/* ---- on a plain thread -------------------------------------------------------------------------------- */

static weft_exit call_on_thread(weft_branch *b, size_t n, size_t *who) {
    const weft__evidence *own = evidence_child_begins(NULL);
    for (size_t i = 0; i < n; i++) {
        b[i].run(b[i].call, NULL);
        branch_deliver(&b[i]);
    }
    evidence_child_ends(NULL, own);
    if (who) *who = 0;
    return par_success;
}

/* ---- all ---------------------------------------------------------------------------------------------- */

static weft_exit not_all(par *p, fiber *f, weft_branch *b, size_t n, weft_exit also) {
    weft_exit e = combined(b, n, decided_by(p), also);
    drop_values(b, n, n);
    if (!weft_ok(e)) return weft__hold_own(f, e);
    return weft__par_interrupt(f);
}

static weft_exit refuse(void) {
    return FAILED(WEFT_E_INVALID, "a combinator was given a number of branches, but no branches; pass an array of WEFT_BR");
}

static bool keeps(const weft_par_options *o) { return WEFT_UNLIKELY(o != NULL) && o->rest == WEFT_KEEP; }

weft_exit weft_all_of(weft_branch *b, size_t n, const weft_par_options *o) {
    fiber *f = thread_fiber();
    par p;
    if (WEFT_UNLIKELY(n == 0)) return par_success;
    if (WEFT_UNLIKELY(!b)) return refuse();
    if (WEFT_UNLIKELY(!f)) return call_on_thread(b, n, NULL);
    if (keeps(o)) return weft__par_keep(PAR_ALL, NULL, b, n);
    scheduling_point(f);
    p.kind = PAR_ALL;
    p.branches = b;
    par_enter(&p, f);
    bool well = call_all(&p, f, b, n);
    weft_exit also = par_success;
    if (WEFT_LIKELY(par_private(&p)))
        par_leave(&p, f);
    else
        also = weft__par_leave_slow(&p, f);
    if (WEFT_UNLIKELY(!well) || !weft_ok(also)) return not_all(&p, f, b, n, also);
    for (size_t i = 0; i < n; i++) branch_deliver(&b[i]);
    return par_success;
}

/* ---- the first ---------------------------------------------------------------------------------------- */

/* The region is left, and somebody has decided. */
static weft_exit won(weft_branch *b, size_t n, size_t first, fiber *f, weft_exit also) {
    weft_branch *w = &b[first];
    drop_values(b, n, first);
    if (w->state == BRANCH_ENDED_ILL) return weft__hold_own(f, combined(b, n, first, also));
    for (size_t i = 0; i < n; i++)
        if (b[i].state == BRANCH_ENDED_ILL) weft__cause_drop(b[i].exit.cause);
    weft__cause_drop(also.cause);
    branch_deliver(w);
    return par_success;
}

/* Nobody has: stopped, or (weft_any) all failed. */
static weft_exit nobody_won(weft_branch *b, size_t n, fiber *f, weft_exit also) {
    weft_exit e = combined(b, n, 0, also);
    if (weft_ok(also) && any_missing(b, n)) {
        weft__cause_drop(e.cause);
        return weft__par_interrupt(f);
    }
    return weft__hold_own(f, e);
}

weft_exit weft__par_first_end(par *p, fiber *f, size_t n, size_t *who) {
    weft_branch *b = p->branches;
    weft_exit also = par_private(p) ? (par_leave(p, f), par_success) : weft__par_leave_slow(p, f);
    size_t first = decided_by(p);
    if (who) *who = first < n ? first : n;
    return first < n ? won(b, n, first, f, also) : nobody_won(b, n, f, also);
}

PAR_INLINE weft_exit first_of(par_kind kind, size_t *who, weft_branch *b, size_t n) {
    fiber *f = thread_fiber();
    par p;
    if (WEFT_UNLIKELY(!f)) return call_on_thread(b, 1, who);
    scheduling_point(f);
    p.kind = kind;
    p.branches = b;
    par_enter(&p, f);
    fork_rest(&p, b, n);
    b->state = BRANCH_NOT_BEGUN;
    if (par_goes_on(f)) {
        if (WEFT_LIKELY(branch_call_here(&p, f, b)) && WEFT_LIKELY(par_private(&p))) { /* the others were never known to anybody */
            par_leave(&p, f);
            if (who) *who = 0;
            branch_deliver(b);
            return par_success;
        }
        branch_decide_here(&p, b);
    }
    for (size_t i = 1; i < n; i++) {
        if (!weft__take(&b[i].task) || atom_load_acq(&p.first) || !par_goes_on(f)) continue;
        branch_call_here(&p, f, &b[i]);
        branch_decide_here(&p, &b[i]);
    }
    return weft__par_first_end(&p, f, n, who);
}

weft_exit weft_race_of(size_t *who, weft_branch *b, size_t n, const weft_par_options *o) {
    if (WEFT_UNLIKELY(n == 0))
        return FAILED(WEFT_E_INVALID, "weft_race: no branch could ever complete; pass at least one");
    if (WEFT_UNLIKELY(!b)) return refuse();
    if (keeps(o) && thread_fiber()) return weft__par_keep(PAR_RACE, who, b, n);
    return first_of(PAR_RACE, who, b, n);
}

weft_exit weft_any_of(size_t *who, weft_branch *b, size_t n, const weft_par_options *o) {
    if (WEFT_UNLIKELY(n == 0))
        return FAILED(WEFT_E_INVALID, "weft_any: no branch could ever end well; pass at least one");
    if (WEFT_UNLIKELY(!b)) return refuse();
    if (keeps(o) && thread_fiber()) return weft__par_keep(PAR_ANY, who, b, n);
    return first_of(PAR_ANY, who, b, n);
}

/* ---- settled ------------------------------------------------------------------------------------------ */

static weft_exit settled(weft_branch *b, fiber *f) {
    static const weft_cause stopped = WEFT__CAUSE_STATIC(WEFT_CAUSE_INTERRUPT, "the branch was stopped");
    switch (b->state) {
    case BRANCH_ENDED_WELL: branch_deliver(b); return par_success;
    case BRANCH_ENDED_ILL: return weft__hold_own(f, b->exit);
    default: return (weft_exit){WEFT_EXIT_INTERRUPT, WEFT_E_CANCELLED, &stopped};
    }
}

weft_exit weft_settle_of(weft_exit *exits, weft_branch *b, size_t n) {
    fiber *f = thread_fiber();
    par p;
    if (n == 0) return par_success;
    if (!b) return refuse();
    if (!f) {
        for (size_t i = 0; i < n && exits; i++) exits[i] = par_success;
        return call_on_thread(b, n, NULL);
    }
    scheduling_point(f);
    p.kind = PAR_SETTLE;
    p.branches = b;
    par_enter(&p, f);
    p.region.node.policy = WEFT__COLLECT;
    bool well = call_all(&p, f, b, n);
    weft_exit also = par_private(&p) ? (par_leave(&p, f), par_success) : weft__par_leave_slow(&p, f);
    bool missing = !well && any_missing(b, n);
    for (size_t i = 0; i < n; i++) {
        weft_exit e = settled(&b[i], f);
        if (exits) exits[i] = e;
    }
    if (!weft_ok(also)) return weft__hold_own(f, also);
    return missing ? weft__par_interrupt(f) : par_success;
}
