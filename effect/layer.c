/* effect/layer.c -- building layers, and releasing what was built.  What must hold: effect/layer.h.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/layer.h"
#include "alloc/atomic.h"
#include "effect/env.h"
#include "effect/scope.h"
#include "sched/cancel.h"
#include "sched/cause.h"
#include "sched/exit.h"
#include "sched/fail.h"
#include "sched/local.h"
#include "sched/thread.h"
#include <string.h>
#include <weft/par.h>

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* A reference of an exit that is lent; a plain thread has it already. */
static weft_exit own(fiber *f, weft_exit e) {
    if (f) weft__cause_keep(e.cause);
    return e;
}

/* ---- one layer ----------------------------------------------------------------------------------------- */

typedef weft_exit make_fn(void *value, void *arg);

static weft_exit call_acquire(void *arg) {
    layer_step *s = arg;
    return ((make_fn *)s->layer->acquire)(s->value, s->layer->arg);
}

static weft_exit call_release(void *arg) {
    layer_step *s = arg;
    return ((make_fn *)s->layer->release)(s->value, s->layer->arg);
}

static weft_exit call_seeing(build *b, layer_step *s, weft_exit (*fn)(void *)) {
    weft_binding *list = __builtin_alloca(b->n * sizeof *list);
    return weft__env_call_with(list, weft__layer_sees(b, s->sees, list), fn, s);
}

/* The caller's interrupt, a reference. */
static weft_exit look(void) { return own(thread_fiber(), weft_checkpoint()); }

static weft_exit acquire(build *b, layer_step *s) {
    weft_exit e = look();
    if (!weft_ok(e)) return e;
    weft_mask m;
    weft_mask_begin(&m);
    e = call_seeing(b, s, call_acquire);
    if (weft_ok(e)) {
        spin_lock(&b->lock);
        s->older = b->acquired;
        b->acquired = s;
        spin_unlock(&b->lock);
    }
    weft_mask_end(&m);
    return e;
}

static weft_exit release(build *b, layer_step *s) {
    weft_exit late = success, e = success;
    WEFT_SCOPE(inside, &late, .shield = true, .timeout = s->layer->budget, .name = "release") {
        e = call_seeing(b, s, call_release);
    }
    if (weft_ok(late) || late.tag == WEFT_EXIT_INTERRUPT) return e; /* that the build itself is stopped is no news */
    weft__cause_drop(e.cause);
    if (late.code == WEFT_E_TIMEOUT) return FAILED(WEFT_E_TIMEOUT, "the release of a layer exceeded its budget");
    return own(thread_fiber(), late);
}

/* Newest first, all of them.  The exit's reference is the caller's. */
static weft_exit release_all(build *b) {
    weft_exit e = success;
    for (layer_step *s; (s = b->acquired) != NULL;) {
        b->acquired = s->older;
        if (s->layer->release) e = weft__exit_then(e, release(b, s));
    }
    return e;
}

/* ---- steps ----------------------------------------------------------------------------------------------
 * Exits have references. */

static weft_exit build_step(build *b, layer_step *s, const seen *sees);

typedef struct part {
    build *b;
    layer_step *s;
    const seen *sees;
} part;

static int build_part(part p);
WEFT_TASK(build_part, int, part);
static int build_part(part p) {
    weft__cause_drop(build_step(p.b, p.s, p.sees).cause);
    return 0;
}

static bool is_over(layer_step *s) { return weft_promise_is_done(&s->ended); }

/* The first in their order leads. */
static weft_exit exit_of_all(build *b, const weft_layer *l) {
    weft_exit e = success;
    for (size_t i = 0; i < l->n; i++) {
        layer_step *s = weft__layer_step(b, l->of[i]);
        if (!is_over(s) || weft_ok(s->exit) || (s->exit.cause && s->exit.cause == e.cause)) continue;
        weft__cause_keep(s->exit.cause);
        e = weft__exit_both(e, s->exit);
    }
    return e;
}

static weft_exit build_at_once(build *b, const weft_layer *l, const seen *sees) {
    if (l->n == 1) return build_step(b, weft__layer_step(b, l->of[0]), sees);
    weft_branch *branches = __builtin_alloca((l->n + 1) * sizeof *branches);
    build_part_task *calls = __builtin_alloca((l->n + 1) * sizeof *calls);
    static const weft_site site = {weft__branch_run, "build_part", __FILE__, __LINE__};
    for (size_t i = 0; i < l->n; i++) {
        calls[i] = build_part__with((part){b, weft__layer_step(b, l->of[i]), sees});
        branches[i] = weft__branch(&site, build_part__run, &calls[i].task, NULL, NULL, sizeof *calls,
                                   offsetof(build_part_task, io), sizeof(int));
    }
    weft_exit settled = weft_settle_of(NULL, branches, l->n), e = exit_of_all(b, l);
    return weft_ok(e) ? own(thread_fiber(), settled) : e; /* stopped before one began; or what one spawned failed */
}

static const seen *sees_all(build *b, layer_step *s, const seen *sees) {
    for (size_t i = 0; i < s->layer->n; i++) {
        s->gives[i] = (seen){weft__layer_step(b, s->layer->of[i]), sees};
        sees = &s->gives[i];
    }
    return sees;
}

static weft_exit build_leaf(build *b, layer_step *s, const seen *sees) {
    weft_exit e = build_at_once(b, s->layer, sees);
    if (!weft_ok(e) || s->layer->value) return e;
    s->sees = sees_all(b, s, sees);
    return acquire(b, s);
}

static weft_exit build_in_turn(build *b, layer_step *s, const seen *sees) {
    for (size_t i = 0; i < s->layer->n; i++) {
        layer_step *next = weft__layer_step(b, s->layer->of[i]);
        weft_exit e = build_step(b, next, sees);
        if (!weft_ok(e)) return e;
        s->gives[i] = (seen){next, sees};
        sees = &s->gives[i];
    }
    return success;
}

static weft_exit build_kind(build *b, layer_step *s, const seen *sees) {
    switch (s->layer->kind) {
    case WEFT__PLUS: return build_in_turn(b, s, sees);
    case WEFT__BOTH: return build_at_once(b, s->layer, sees);
    default: return build_leaf(b, s, sees);
    }
}

static weft_exit build_step(build *b, layer_step *s, const seen *sees) {
    uint32_t fresh = 0;
    if (!atom_cas_ar(&s->claimed, &fresh, 1)) {
        weft_exit waited = weft_promise_await(&s->ended, NULL); /* B1 */
        if (!weft_ok(waited)) return own(thread_fiber(), waited);
    } else {
        s->exit = build_kind(b, s, sees);
        weft_promise_complete(&s->ended, NULL);
    }
    weft__cause_keep(s->exit.cause);
    return s->exit;
}

/* ---- builds -------------------------------------------------------------------------------------------- */

/* The exit is lent by the block, which goes afterwards. */
static weft_exit end_build(void *arg) {
    build *b = arg;
    return b->end = release_all(b);
}

static weft_exit free_build(void *arg) {
    weft__build_free(arg);
    return success;
}

/* False: no memory. */
static bool belongs_to(weft_scope *s, build *b) {
    if (weft_defer(s, free_build, b, 0) == WEFT_OK) return weft_defer(s, end_build, b, 0) == WEFT_OK;
    weft__build_free(b);
    return false;
}

weft_exit weft_layer_build(weft_scope *s, const weft_layer *l, weft_built *built) {
    fiber *f = thread_fiber();
    build *b;
    if (weft__scope_is_closed(s)) return FAILED(WEFT_E_ENDED, "weft_layer_build: the scope is closed");
    weft_exit e = weft__layer_plan(l, &b);
    if (!weft_ok(e)) return e;
    if (!belongs_to(s, b))
        return FAILED(WEFT_E_NOMEM, "weft_layer_build: no memory to register the release; nothing was acquired");
    layer_step *root = &b->steps[b->n - 1];
    e = build_step(b, root, NULL);
    if (weft_ok(e)) e = look(); /* acquires noticed nothing */
    if (weft_ok(e)) {
        *built = (weft_built){b->list, weft__layer_gives(b, root, b->list)};
        return e;
    }
    e = weft__exit_then(e, release_all(b));
    return f ? weft__hold_own(f, e) : e;
}

weft_exit weft__provide_layer(const weft_layer *l, const weft__body *body) {
    fiber *f = thread_fiber();
    weft_exit e = success, end;
    uint16_t told = 0;
    bool seen = false;
    WEFT_SCOPE(s, &end) {
        weft_built b;
        e = weft_layer_build(s, l, &b);
        if (weft_ok(e)) e = weft__provide(b.list, b.n, body);
        e = own(f, e);
        if (f) told = f->told, seen = f->seen;
    }
    if (weft_ok(e) && end.tag == WEFT_EXIT_INTERRUPT) { /* a value wins: what the end was told, the caller is not */
        if (f) f->told = told, f->seen = seen;
        return e;
    }
    if (end.tag == WEFT_EXIT_INTERRUPT && e.tag == WEFT_EXIT_INTERRUPT) end = success;
    if (!weft_ok(end)) e = weft__exit_then(e, own(f, end));
    return weft_ok(e) || !f ? e : weft__hold_own(f, e);
}

const weft_layer *weft_layer_keep(weft_scope *s, const weft_layer *l) {
    weft_layer *copy = weft_alloc(s, sizeof *copy);
    const weft_layer **of = l->n ? weft_alloc(s, l->n * sizeof *of) : NULL;
    if (!copy || (l->n && !of)) return NULL;
    *copy = *l;
    if (l->n) memcpy(of, l->of, l->n * sizeof *of);
    copy->of = of;
    return copy;
}
