/* effect/eff_guard.c -- what is done whatever happens: ensuring, on_interrupt, acquire_release, provide; and masks.
 *
 * All of them are one frame, which holds a mask, and what has to wait until the other half is over: the value, or the exit, or
 * the resource.  It has room for that before anything begins, so nothing that was acquired is lost for want of memory.
 *
 *   what              first, masked?     second, masked?     kept meanwhile
 *   ensuring          e, no              the finalizer, yes  e's value, or exit
 *   acquire_release   acquire, yes       use, no             the resource, until release is called, masked
 *   provide           e, no              leave, yes: called  the state
 *   uninterruptible   e, yes
 *   restore           e, as outside of the innermost uninterruptible
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/eff_frame.h"
#include "sched/cause.h"
#include "sched/exit.h"

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* ---- regions -------------------------------------------------------------------------------------- */

static void moved(eff_run *r) {
    if (!r->f) return;
    r->depth = r->f->pub.scope->depth;
    r->f->told = TOLD_NOTHING;
}

/* `restorable`: what is inside may ask for what is outside. */
static void mask_begin(eff_run *r, eff_guard *g, bool restorable) {
    weft_mask_begin(&g->mask);
    g->outer = r->guard;
    g->deadline = r->deadline;
    r->guard = restorable ? g : NULL;
    r->deadline = WEFT_FOREVER;
    moved(r);
}

static void restore_begin(eff_run *r, eff_guard *g) {
    weft_mask_restore(&g->mask, &r->guard->mask);
    g->outer = r->guard;
    g->deadline = r->deadline;
    r->deadline = r->guard->deadline;
    r->guard = r->guard->outer;
    moved(r);
}

static void mask_end(eff_run *r, eff_guard *g) {
    weft_mask_end(&g->mask);
    r->guard = g->outer;
    r->deadline = g->deadline;
    moved(r);
}

/* ---- the second half ------------------------------------------------------------------------------ */

/* The run goes on as it was going to, unless x, of what was done meanwhile, failed. */
static uintptr_t go_on(eff_run *r, weft_exit before, weft_exit x) {
    r->exit = weft__exit_then(before, x);
    r->known = !weft_ok(before);
    return weft_ok(r->exit) ? EFF_VALUE : EFF_FAILED;
}

/* What a function that cleans up ended with: what it returned, or else said.  A reference. */
static weft_exit outcome(eff_run *r, weft_exit e) {
    weft_exit said = *r->said;
    *r->said = success;
    if (weft_ok(e)) return said;
    weft__cause_keep(e.cause);
    weft__cause_drop(said.cause);
    return e;
}

static uintptr_t finalizer(eff_run *r, eff_guard *g) {
    g->f.state = EFF_SECOND;
    g->exit = r->exit;
    r->exit = success;
    mask_begin(r, g, false);
    return g->f.n.u.two.b;
}

static uintptr_t finalized(eff_run *r, eff_guard *g) {
    weft_exit x = r->exit;
    mask_end(r, g);
    if (weft_ok(g->exit)) eff_copy(r->v, g->value, g->f.n.bytes);
    eff_pop(r, &g->f);
    return go_on(r, g->exit, x);
}

static uintptr_t use(eff_run *r, eff_guard *g, size_t bytes) {
    g->f.state = EFF_SECOND;
    eff_copy(g->value, r->v, bytes);
    mask_end(r, g);
    if (!eff_lives(&g->f)) return weft__eff_stale(r);
    return weft__eff_next(r, g->f.n.u.next.fn, g->value, g->f.n.u.next.with);
}

static uintptr_t release(eff_run *r, eff_guard *g) {
    weft_exit e = r->exit, made = success;
    mask_begin(r, g, false);
    g->f.n.u.next.release(NULL, g->value, &e, &made);
    made = outcome(r, made);
    mask_end(r, g);
    eff_pop(r, &g->f);
    return go_on(r, e, made);
}

typedef struct provided {
    weft_eff_provider by;
    void *state;
} provided;

static uintptr_t enter(eff_run *r, eff_guard *g) {
    provided *p = (provided *)(void *)g->value;
    p->by = *(const weft_eff_provider *)g->f.n.u.leaf.with;
    p->state = NULL;
    weft_exit e = outcome(r, p->by.enter(p->by.arg, &p->state));
    if (WEFT_LIKELY(weft_ok(e))) {
        if (p->by.bracket) moved(r);
        return g->f.n.a;
    }
    eff_pop(r, &g->f);
    return eff_fail(r, e);
}

static uintptr_t leave(eff_run *r, eff_guard *g) {
    provided *p = (provided *)(void *)g->value;
    weft_exit e = r->exit;
    if (!p->by.bracket) mask_begin(r, g, false);
    weft_exit x = outcome(r, p->by.leave(p->by.arg, p->state, e));
    if (p->by.bracket)
        moved(r);
    else
        mask_end(r, g);
    eff_pop(r, &g->f);
    return go_on(r, e, x);
}

/* ---- by kind -------------------------------------------------------------------------------------- */

static size_t room_of(const weft_eff_node *n) {
    const weft_eff_node *a = eff_node(n->a);
    switch (n->kind) {
    case WEFT__EFF_ACQUIRE: return a ? a->bytes : 0;
    case WEFT__EFF_PROVIDE: return sizeof(provided);
    case WEFT__EFF_ENSURING: return n->bytes;
    default: return 0;
    }
}

uintptr_t weft__eff_guard_enter(eff_run *r, const weft_eff_node *n, eff_ref ref) {
    if (n->kind == WEFT__EFF_RESTORE && !r->guard) return n->a;
    size_t room = room_of(n);
    eff_guard *g = eff_push(r, n, ref, sizeof *g + room);
    if (!g) return EFF_FAILED;
    g->room = (uint32_t)room;
    switch (n->kind) {
    case WEFT__EFF_ACQUIRE: mask_begin(r, g, false); break;
    case WEFT__EFF_UNINTERRUPTIBLE: mask_begin(r, g, true); break;
    case WEFT__EFF_RESTORE: restore_begin(r, g); break;
    case WEFT__EFF_PROVIDE: return enter(r, g);
    default: break;
    }
    return n->a;
}

uintptr_t weft__eff_guard_value(eff_run *r, eff_guard *g) {
    switch (g->f.n.kind) {
    case WEFT__EFF_ENSURING:
        if (g->f.state == EFF_SECOND) return finalized(r, g);
        eff_copy(g->value, r->v, g->room);
        return finalizer(r, g);
    case WEFT__EFF_ON_INTERRUPT:
        if (g->f.state == EFF_SECOND) return finalized(r, g);
        eff_pop(r, &g->f);
        return EFF_VALUE;
    case WEFT__EFF_ACQUIRE: return g->f.state == EFF_SECOND ? release(r, g) : use(r, g, g->room);
    case WEFT__EFF_PROVIDE: return leave(r, g);
    default:
        mask_end(r, g);
        eff_pop(r, &g->f);
        return EFF_VALUE;
    }
}

uintptr_t weft__eff_guard_failure(eff_run *r, eff_guard *g) {
    switch (g->f.n.kind) {
    case WEFT__EFF_ENSURING: return g->f.state == EFF_SECOND ? finalized(r, g) : finalizer(r, g);
    case WEFT__EFF_ON_INTERRUPT:
        if (g->f.state == EFF_SECOND) return finalized(r, g);
        if (r->exit.tag == WEFT_EXIT_INTERRUPT) return finalizer(r, g);
        eff_pop(r, &g->f);
        return EFF_FAILED;
    case WEFT__EFF_ACQUIRE:
        if (g->f.state == EFF_SECOND) return release(r, g);
        break;
    case WEFT__EFF_PROVIDE: return leave(r, g);
    default: break;
    }
    mask_end(r, g);
    eff_pop(r, &g->f);
    return EFF_FAILED;
}
