/* effect/eff_frame.c -- what the frames of a run do, but for those that guard, wait, or have branches.
 *
 * A function given to an effect is called between a frame's push and its pop, or after its pop, never in between: who fails
 * there finds the stack as it was.  A frame on top always says what has begun and not ended.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/eff_frame.h"
#include "sched/cause.h"
#include "sched/exit.h"
#include <string.h>

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* ---- leaves --------------------------------------------------------------------------------------- */

static uintptr_t fail(eff_run *r, const weft_eff_node *n) {
    const weft_cause *c = n->u.leaf.with;
    int64_t code = n->u.leaf.number;
    return eff_fail(r, (weft_exit){c->kind, code < 1 || code > WEFT_CODE_MAX ? WEFT_E_INVALID : (int32_t)code, c});
}

static uintptr_t ends_as(eff_run *r, const weft_eff_node *n) {
    static const weft_cause ok =
        WEFT__CAUSE_STATIC(WEFT_CAUSE_DIE, "weft_eff_exit was given an exit that is ok; use weft_eff_succeed");
    const weft_exit *e = n->u.leaf.with;
    return weft_ok(*e) ? eff_fail(r, (weft_exit){WEFT_EXIT_DIE, WEFT_E_INVALID, &ok}) : weft__eff_fail_lent(r, *e);
}

static uintptr_t not_now(eff_run *r) {
    static const weft_cause stored = WEFT__CAUSE_STATIC(
        WEFT_CAUSE_DIE, "what weft_eff_now made was not returned at once, but became a part of another effect, or was stored; "
                        "use weft_eff_keep with weft_eff_succeed");
    return eff_fail(r, (weft_exit){WEFT_EXIT_DIE, WEFT_E_STALE, &stored});
}

static uintptr_t perform(eff_run *r, const weft_eff_node *n) {
    weft_exit e = ((weft__eff_perform_fn *)n->u.leaf.spare)(n->u.leaf.with, r->v);
    if (WEFT_UNLIKELY(!weft_ok(e))) {
        weft_exit said = *r->said; /* a perform that says and returns the same says it once */
        *r->said = success;
        weft__cause_keep(e.cause);
        weft__cause_drop(said.cause);
        return eff_fail(r, e);
    }
    return eff_called(r);
}

/* ---- one after the other -------------------------------------------------------------------------- */

static uintptr_t push(eff_run *r, const weft_eff_node *n, eff_ref ref, size_t bytes) {
    return eff_push(r, n, ref, bytes) ? n->a : EFF_FAILED;
}

static uintptr_t map_with(eff_run *r, eff_frame *f) {
    eff_pop(r, f);
    if (!eff_lives(f)) return weft__eff_stale(r);
    f->n.u.next.fn(NULL, r->v, f->n.u.next.with, r->w);
    eff_swap(r);
    return eff_called(r);
}

/* First e's value, then what comes of it, whose value is dropped. */
static uintptr_t tap(eff_run *r, eff_saved *s) {
    if (s->f.state == EFF_SECOND) {
        eff_copy(r->v, s->value, s->f.n.bytes);
        eff_pop(r, &s->f);
        return EFF_VALUE;
    }
    if (!eff_lives(&s->f)) return weft__eff_stale(r);
    s->f.state = EFF_SECOND;
    eff_copy(s->value, r->v, s->f.n.bytes);
    return weft__eff_next(r, s->f.n.u.next.fn, s->value, s->f.n.u.next.with);
}

static uint16_t bytes_of(eff_ref ref) {
    const weft_eff_node *n = eff_node(ref);
    return n ? n->bytes : 0;
}

static uintptr_t zip(eff_run *r, eff_saved *s) {
    const weft_eff_node *n = &s->f.n;
    if (!eff_lives(&s->f)) return weft__eff_stale(r);
    if (s->f.state == EFF_FIRST) {
        s->f.state = EFF_SECOND;
        eff_copy(s->value, r->v, bytes_of(n->a));
        return n->u.two.b;
    }
    eff_copy(r->w + n->u.two.at[0], s->value, bytes_of(n->a));
    eff_copy(r->w + n->u.two.at[1], r->v, bytes_of(n->u.two.b));
    eff_swap(r);
    eff_pop(r, &s->f);
    return EFF_VALUE;
}

/* ---- errors --------------------------------------------------------------------------------------- */

static bool typed(const eff_run *r) { return r->exit.tag == WEFT_EXIT_FAIL; }

static weft_exit taken(eff_run *r) {
    weft_exit e = r->exit;
    r->exit = success;
    return e;
}

static uintptr_t map_error(eff_run *r, eff_frame *f) {
    static const weft_cause ok =
        WEFT__CAUSE_STATIC(WEFT_CAUSE_DIE, "what weft_eff_map_error was given returned an exit that is ok; "
                                           "to go on after a failure use weft_eff_catch_all");
    eff_pop(r, f);
    if (!typed(r) || !eff_lives(f)) return EFF_FAILED;
    weft_exit e = taken(r), made;
    f->n.u.fold.ill(&e, &made, 0);
    weft_exit said = *r->said;
    *r->said = success;
    if (weft_ok(made) && weft_ok(said)) made = (weft_exit){WEFT_EXIT_DIE, WEFT_E_INVALID, &ok};
    if (weft_ok(said)) weft__cause_keep(made.cause);
    weft__cause_drop(e.cause);
    return eff_fail(r, weft_ok(said) ? made : said);
}

static uintptr_t caught(eff_run *r, eff_caught *c) {
    if (c->f.state == EFF_SECOND || !typed(r) || !eff_lives(&c->f)) {
        if (c->f.state == EFF_SECOND) weft__cause_drop(c->exit.cause);
        eff_pop(r, &c->f);
        return EFF_FAILED;
    }
    c->f.state = EFF_SECOND;
    c->exit = taken(r);
    return weft__eff_next(r, c->f.n.u.next.fn, &c->exit, c->f.n.u.next.with);
}

static uintptr_t not_caught(eff_run *r, eff_caught *c) {
    if (c->f.state == EFF_SECOND) weft__cause_drop(c->exit.cause);
    eff_pop(r, &c->f);
    return EFF_VALUE;
}

static uintptr_t folded_well(eff_run *r, eff_frame *f) {
    eff_pop(r, f);
    if (!eff_lives(f)) return weft__eff_stale(r);
    f->n.u.fold.well(r->v, r->w, 0);
    eff_swap(r);
    return eff_called(r);
}

static uintptr_t folded_ill(eff_run *r, eff_frame *f) {
    eff_pop(r, f);
    if (!typed(r) || !eff_lives(f)) return EFF_FAILED;
    weft_exit e = taken(r);
    f->n.u.fold.ill(&e, r->v, 0);
    uintptr_t next = eff_called(r);
    weft__cause_drop(e.cause);
    return next;
}

static uintptr_t annotated(eff_run *r, eff_frame *f) {
    eff_pop(r, f);
    if (eff_lives(f)) r->exit = weft__exit_note(r->exit, f->n.u.leaf.with, f->n.site->file, f->n.site->line);
    return EFF_FAILED;
}

/* ---- being watched -------------------------------------------------------------------------------- */

static uintptr_t watched(eff_run *r, eff_frame *f, weft_exit e) {
    weft_eff_node n = f->n;
    n.kind = (uint8_t)f->state;
    eff_pop(r, f);
    r->o->watch->leave(r->o->watch, &n, e);
    return weft_ok(e) ? EFF_VALUE : EFF_FAILED;
}

/* ---- by kind -------------------------------------------------------------------------------------- */

uintptr_t weft__eff_enter(eff_run *r, const weft_eff_node *n, eff_ref ref) {
    switch (n->kind) {
    case WEFT__EFF_FAIL: return fail(r, n);
    case WEFT__EFF_EXIT: return ends_as(r, n);
    case WEFT__EFF_PERFORM: return perform(r, n);
    case WEFT__EFF_SUSPEND: {
        uintptr_t next = weft__eff_next_last(r, n->u.next.fn, n->u.next.with, NULL);
        if (next <= EFF_END) return next;
        return WEFT_LIKELY(--r->budget > 0) || weft__eff_poll(r) ? next : EFF_FAILED;
    }
    case WEFT__EFF_SLEEP:
    case WEFT__EFF_NEVER:
    case WEFT__EFF_PROMISE: return weft__eff_wait(r, n);
    case WEFT__EFF_TIMEOUT: return weft__eff_limit_enter(r, n, ref);
    case WEFT__EFF_RETRY:
    case WEFT__EFF_REPEAT: return weft__eff_again_enter(r, n, ref);
    case WEFT__EFF_MEMOISE: return weft__eff_memo_enter(r, n, ref);
    case WEFT__EFF_ENSURING:
    case WEFT__EFF_ON_INTERRUPT:
    case WEFT__EFF_ACQUIRE:
    case WEFT__EFF_PROVIDE:
    case WEFT__EFF_UNINTERRUPTIBLE:
    case WEFT__EFF_RESTORE: return weft__eff_guard_enter(r, n, ref);
    case WEFT__EFF_ZIP_PAR:
    case WEFT__EFF_RACE:
    case WEFT__EFF_ANY:
    case WEFT__EFF_EACH: return weft__eff_par(r, n, ref);
    case WEFT__EFF_TAP: return push(r, n, ref, sizeof(eff_saved) + n->bytes);
    case WEFT__EFF_ZIP: return push(r, n, ref, sizeof(eff_saved) + bytes_of(n->a));
    case WEFT__EFF_CATCH_ALL: return push(r, n, ref, sizeof(eff_caught));
    case WEFT__EFF_MAP_WITH:
    case WEFT__EFF_MAP_ERROR:
    case WEFT__EFF_FOLD:
    case WEFT__EFF_ANNOTATE: return push(r, n, ref, sizeof(eff_frame));
    case WEFT__EFF_NOW: return not_now(r);
    default: return weft__eff_stale(r);
    }
}

uintptr_t weft__eff_value(eff_run *r, eff_frame *f) {
    switch (f->n.kind) {
    case EFF_BOTTOM: return EFF_END;
    case EFF_EDGE: weft__eff_shrink(r, f); return EFF_VALUE;
    case EFF_WATCHED: return watched(r, f, success);
    case WEFT__EFF_MAP_WITH: return map_with(r, f);
    case WEFT__EFF_TAP: return tap(r, (eff_saved *)f);
    case WEFT__EFF_ZIP:
    case WEFT__EFF_ZIP_PAR: return zip(r, (eff_saved *)f);
    case WEFT__EFF_CATCH_ALL: return not_caught(r, (eff_caught *)f);
    case WEFT__EFF_FOLD: return folded_well(r, f);
    case WEFT__EFF_TIMEOUT: return weft__eff_limit_leave(r, (eff_limit *)f);
    case WEFT__EFF_RETRY:
    case WEFT__EFF_REPEAT: return weft__eff_again(r, (eff_again *)f);
    case WEFT__EFF_MEMOISE: return weft__eff_memo_leave(r, f);
    case WEFT__EFF_ENSURING:
    case WEFT__EFF_ON_INTERRUPT:
    case WEFT__EFF_ACQUIRE:
    case WEFT__EFF_PROVIDE:
    case WEFT__EFF_UNINTERRUPTIBLE:
    case WEFT__EFF_RESTORE: return weft__eff_guard_value(r, (eff_guard *)f);
    case WEFT__EFF_ANY:
    case WEFT__EFF_EACH: return weft__eff_par_value(r, f);
    default: eff_pop(r, f); return EFF_VALUE;
    }
}

uintptr_t weft__eff_failure(eff_run *r, eff_frame *f) {
    switch (f->n.kind) {
    case EFF_BOTTOM: return EFF_END;
    case EFF_EDGE: weft__eff_shrink(r, f); return EFF_FAILED;
    case EFF_WATCHED: return watched(r, f, r->exit);
    case WEFT__EFF_CATCH_ALL: return caught(r, (eff_caught *)f);
    case WEFT__EFF_MAP_ERROR: return map_error(r, f);
    case WEFT__EFF_FOLD: return folded_ill(r, f);
    case WEFT__EFF_ANNOTATE: return annotated(r, f);
    case WEFT__EFF_TIMEOUT: return weft__eff_limit_leave(r, (eff_limit *)f);
    case WEFT__EFF_RETRY:
    case WEFT__EFF_REPEAT: return weft__eff_again(r, (eff_again *)f);
    case WEFT__EFF_MEMOISE: return weft__eff_memo_leave(r, f);
    case WEFT__EFF_ENSURING:
    case WEFT__EFF_ON_INTERRUPT:
    case WEFT__EFF_ACQUIRE:
    case WEFT__EFF_PROVIDE:
    case WEFT__EFF_UNINTERRUPTIBLE:
    case WEFT__EFF_RESTORE: return weft__eff_guard_failure(r, (eff_guard *)f);
    case WEFT__EFF_ANY:
    case WEFT__EFF_EACH: return weft__eff_par_failure(r, f);
    default: eff_pop(r, f); return EFF_FAILED;
    }
}
