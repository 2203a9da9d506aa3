/* effect/eff_time.c -- waiting, timeouts, trying again, remembering.
 *
 * On a fiber a timeout is a scope with a deadline in its frame, as in weft_timeout: no look at the clock unless something
 * waits.  On a plain thread nobody could interrupt it, so the run knows the earliest deadline: waits end then, and polls look
 * at it. SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/atomic.h"
#include "effect/eff_frame.h"
#include "effect/scope.h"
#include "sched/cause.h"
#include "sched/fail.h"
#include "sched/local.h"
#include <weft/promise.h>

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* ---- waiting -------------------------------------------------------------------------------------- */

/* On a plain thread: not beyond the run's deadline.  False: it has passed, and the run fails. */
static uintptr_t ended(eff_run *r, weft_exit e) {
    if (WEFT_UNLIKELY(!r->f) && weft__eff_too_late(r)) return EFF_FAILED;
    return WEFT_LIKELY(weft_ok(e)) ? EFF_VALUE : weft__eff_fail_lent(r, e);
}

uintptr_t weft__eff_sleep(eff_run *r, weft_duration d) {
    if (WEFT_LIKELY(r->f != NULL) || r->deadline == WEFT_FOREVER) return ended(r, weft_sleep(d));
    weft_time now = weft_now();
    return ended(r, d < 0 || d < r->deadline - now ? weft_sleep(d) : weft_sleep_until(r->deadline));
}

static uintptr_t await(eff_run *r, weft_promise *p) {
    if (!p) return eff_fail(r, FAILED(WEFT_E_INVALID, "weft_eff_from_promise: there is no promise"));
    bool bounded = !r->f && r->deadline != WEFT_FOREVER;
    void *value = NULL;
    weft_exit e = bounded ? weft_promise_await_until(p, &value, r->deadline) : weft_promise_await(p, &value);
    if (WEFT_LIKELY(weft_ok(e))) { /* it wins over the end of the time */
        *(void **)(void *)r->v = value;
        return EFF_VALUE;
    }
    return ended(r, e);
}

static uintptr_t never(eff_run *r) {
    uintptr_t next;
    do next = weft__eff_sleep(r, WEFT_FOREVER);
    while (next == EFF_VALUE);
    return next;
}

uintptr_t weft__eff_wait(eff_run *r, const weft_eff_node *n) {
    switch (n->kind) {
    case WEFT__EFF_SLEEP: return weft__eff_sleep(r, n->u.leaf.number);
    case WEFT__EFF_PROMISE: return await(r, (weft_promise *)(uintptr_t)n->u.leaf.with);
    default: return never(r);
    }
}

/* ---- timeouts ------------------------------------------------------------------------------------- */

static weft_time end_of(weft_duration d) {
    weft_time now = weft_now();
    return d > INT64_MAX - now ? WEFT_FOREVER : now + d;
}

uintptr_t weft__eff_limit_enter(eff_run *r, const weft_eff_node *n, eff_ref ref) {
    weft_duration d = n->u.leaf.number;
    if (d < 0) return eff_fail(r, FAILED(WEFT_E_INVALID, "weft_eff_timeout: the duration is negative"));
    eff_limit *l = eff_push(r, n, ref, sizeof *l);
    if (!l) return EFF_FAILED;
    if (WEFT_LIKELY(r->f != NULL)) {
        weft__timeout_begin(&l->scope, &r->f->pub, d);
        r->depth = r->f->pub.scope->depth;
        r->f->told = TOLD_NOTHING;
    } else {
        l->deadline = r->deadline;
        l->at = end_of(d);
        if (l->at < r->deadline) r->deadline = l->at;
    }
    return n->a;
}

static weft_exit out_of_time(void) { return FAILED(WEFT_E_TIMEOUT, "the time of an effect is over"); }

static void thread_limit(eff_run *r, eff_limit *l) {
    r->deadline = l->deadline;
    if (r->exit.tag != WEFT_EXIT_INTERRUPT || l->at == WEFT_FOREVER || weft_now() < l->at) return;
    weft__cause_drop(r->exit.cause);
    r->exit = out_of_time();
}

uintptr_t weft__eff_limit_leave(eff_run *r, eff_limit *l) {
    fiber *f = r->f;
    weft_exit of_scope;
    if (WEFT_UNLIKELY(!f)) {
        thread_limit(r, l);
    } else {
        if (!weft__timeout_leave(&l->scope, &f->pub) && !weft__timeout_counts(&l->scope, r->exit, &of_scope)) {
            weft__cause_drop(r->exit.cause);
            weft__cause_keep(of_scope.cause);
            r->exit = of_scope;
        }
        r->depth = f->pub.scope->depth;
        f->told = TOLD_NOTHING;
    }
    eff_pop(r, &l->f);
    return weft_ok(r->exit) ? EFF_VALUE : EFF_FAILED;
}

/* ---- again ---------------------------------------------------------------------------------------- */

uintptr_t weft__eff_again_enter(eff_run *r, const weft_eff_node *n, eff_ref ref) {
    eff_again *a = eff_push(r, n, ref, sizeof *a);
    if (!a) return EFF_FAILED;
    if (WEFT_LIKELY(weft_schedule_begin(&a->state, n->u.leaf.with, weft_now()) == WEFT_OK)) return n->a;
    eff_pop(r, &a->f);
    return eff_fail(r, FAILED(WEFT_E_INVALID, "weft_eff_retry, weft_eff_repeat: the schedule is in error; "
                                              "see weft_schedule_check"));
}

/* After an attempt that ended as e, which is the frame's now: false, no other. */
static bool once_more(eff_run *r, eff_again *a, int32_t code, weft_duration *delay) {
    if (!eff_lives(&a->f)) return false;
    if (!weft_schedule_next(&a->state, weft_now(), code, delay)) return false;
    weft__cause_drop(r->exit.cause);
    r->exit = success;
    return true;
}

static uintptr_t wait_for_it(eff_run *r, eff_again *a, weft_duration delay) {
    uintptr_t next = weft__eff_sleep(r, delay);
    if (next == EFF_VALUE) return a->f.n.a;
    eff_pop(r, &a->f);
    return next;
}

uintptr_t weft__eff_again(eff_run *r, eff_again *a) {
    weft_duration delay;
    uint32_t wanted = a->f.n.kind == WEFT__EFF_RETRY ? WEFT_EXIT_FAIL : WEFT_EXIT_OK;
    if (r->exit.tag == wanted && once_more(r, a, r->exit.code, &delay)) return wait_for_it(r, a, delay);
    eff_pop(r, &a->f);
    return weft_ok(r->exit) ? EFF_VALUE : EFF_FAILED;
}

/* ---- remembering ----------------------------------------------------------------------------------
 *   M1 store known, release   the value and exit were written before
 *   M2 load known, acquire    with M1: they are there, and nobody writes them again */

static weft_eff_memo *memo_of(const weft_eff_node *n) { return (weft_eff_memo *)(uintptr_t)n->u.leaf.with; }
static char *value_of(const weft_eff_node *n) { return (char *)memo_of(n) + n->u.leaf.number; }

static uintptr_t remembered(eff_run *r, const weft_eff_node *n) {
    weft_eff_memo *m = memo_of(n);
    if (!weft_ok(m->exit)) return weft__eff_fail_lent(r, m->exit);
    eff_copy(r->v, value_of(n), n->bytes);
    return EFF_VALUE;
}

static weft_exit lock(eff_run *r, weft_eff_memo *m) {
    if (WEFT_LIKELY(r->f != NULL) || r->deadline == WEFT_FOREVER) return weft_mutex_lock(&m->lock);
    return weft_mutex_lock_until(&m->lock, r->deadline);
}

uintptr_t weft__eff_memo_enter(eff_run *r, const weft_eff_node *n, eff_ref ref) {
    weft_eff_memo *m = memo_of(n);
    if (atom_load_acq(&m->known)) return remembered(r, n); /* M2 */
    eff_frame *f = eff_push(r, n, ref, sizeof *f);
    if (!f) return EFF_FAILED;
    weft_exit e = lock(r, m);
    if (weft_ok(e) && !atom_load_acq(&m->known)) return n->a;
    eff_pop(r, f);
    if (!weft_ok(e)) return ended(r, e);
    weft_mutex_unlock(&m->lock);
    return remembered(r, n);
}

uintptr_t weft__eff_memo_leave(eff_run *r, eff_frame *f) {
    weft_eff_memo *m = memo_of(&f->n);
    bool well = weft_ok(r->exit);
    if (r->exit.tag != WEFT_EXIT_INTERRUPT) {
        if (well) eff_copy(value_of(&f->n), r->v, f->n.bytes);
        m->exit = r->exit;
        weft__cause_keep(m->exit.cause);
        atom_store_rel(&m->known, 1); /* M1 */
    }
    eff_pop(r, f);
    weft_mutex_unlock(&m->lock);
    return well ? EFF_VALUE : EFF_FAILED;
}

void weft_eff_memo_drop(weft_eff_memo *m) {
    atom_store_rel(&m->known, 0);
    weft__cause_drop(m->exit.cause);
    m->exit = success;
}
