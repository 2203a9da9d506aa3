/* effect/scope.c -- scopes: entering with options, ending, finalizers, the arena.
 *
 * The end of a scope, in this order; from the first step on its owner only waits:
 *   1 left early, or fn failed: cancel it
 *   2 children that nobody took are called, those that were taken are joined (a cancelled scope's are not started)
 *   3 fibers that belong to it are waited for; when only daemons are left they are cancelled
 *   4 its deadline is taken off the clock
 *   5 finalizers, last first, each in a shield of its own
 *   6 its exit is made: failures, else the deadline, else who cancelled it, else the caller's own interrupt
 *   7 causes it received are let go, its arena is freed, it is taken out of the tree
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/scope.h"
#include "alloc/heap.h"
#include "sched/cancel.h"
#include "sched/cause.h"
#include "sched/clock.h"
#include "sched/det.h"
#include "sched/exit.h"
#include "sched/fail.h"
#include "sched/local.h"
#include "sched/misuse.h"
#include "sched/quiet.h"
#include "sched/thread.h"
#include <string.h>

#define CHUNK_LEAST 4000 /* bytes of the arena's second piece, the first lies in the scope */
#define CHUNK_MOST (64 * 1024)

/* Bits of a scope's node. */
enum {
    SCOPE_DEFERRED = NODE_SCOPE_0,
    SCOPE_CHUNKS = NODE_SCOPE_0 << 1,
    SCOPE_OPTIONS = NODE_SCOPE_0 << 2,    /* entered with options */
    SCOPE_FINALIZED = NODE_SCOPE_0 << 3,  /* deferred functions run at once from now on */
    SCOPE_SUPPRESSED = NODE_SCOPE_0 << 4,
    SCOPE_GREW = NODE_SCOPE_0 << 5,
};

typedef struct weft__deferred {
    struct weft__deferred *older;
    weft_finalizer_fn *fn;
    void *arg;
    weft_duration budget;
} deferred;

typedef struct weft__chunk {
    struct weft__chunk *older;
    size_t bytes;
    uintptr_t unused[2]; /* what follows is aligned to 16 */
} chunk;

_Static_assert(offsetof(weft_scope, region) == 0 && offsetof(weft_scope, deadline) == sizeof(weft__region),
               "sched/ knows this");

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

static weft__node *node_of(weft_scope *s) { return &s->region.node; }
static bool has(weft_scope *s, uint64_t bits) { return atom_load_acq(&node_of(s)->state) & bits; }
static void mark(weft_scope *s, uint64_t bits) { atom_or_ar(&node_of(s)->state, bits); }

/* ---- entering ----------------------------------------------------------------------------------------- */

static weft_exit bad_options(const weft_scope_options *o) {
    if (o->timeout < 0 || o->grace < 0)
        return FAILED(WEFT_E_INVALID, "WEFT_SCOPE: a duration is negative");
    if ((unsigned)o->policy > WEFT_COLLECT) return FAILED(WEFT_E_INVALID, "WEFT_SCOPE: there is no such policy");
    return success;
}

static bool timed(const weft_scope_options *o) { return o->timeout || o->deadline; }

static void set_deadline(weft_scope *s, fiber *f, const weft_scope_options *o) {
    weft__deadline *d = &s->deadline;
    int64_t until = INT64_MAX, now = clock_now(f->w->rt);
    if (o->timeout && !weft__deadline_of(now, o->timeout, &until)) until = INT64_MAX;
    d->at = o->deadline && o->deadline < until ? o->deadline : until;
    d->entered = 0;
    d->armed = DEADLINE_LAZY;
    d->grace = o->grace;
    mark(s, NODE_TIMED);
    cancel_look_again(f);
}

/* On a plain thread the node is in no tree. */
static void enter_thread(weft_scope *s, weft_exit *out) {
    memset(&s->region, 0, sizeof s->region);
    s->region.node.kind = WEFT__SCOPE;
    s->out = out;
    s->free = s->room;
    s->end = s->room + WEFT__SCOPE_ROOM;
    s->ended = 0;
}

weft_scope *weft__scope_enter_slow(weft_scope *s, weft_exit *out, const weft_scope_options *o) {
    fiber *f = thread_fiber();
    weft_exit bad = bad_options(o);
    if (!weft_ok(bad)) {
        s->ended = WEFT__OVER;
        if (out) *out = bad;
        return NULL;
    }
    if (f)
        weft__scope_set_up(s, &f->pub, out);
    else
        enter_thread(s, out);
    node_of(s)->name = o->name;
    /* A thread's scope has nobody to cancel. */
    node_of(s)->policy = (uint8_t)(f || o->policy == WEFT_SUPERVISE ? o->policy : WEFT_COLLECT);
    mark(s, SCOPE_OPTIONS);
    if (!f) return s;
    if (o->shield) {
        node_of(s)->shield = 1;
        s->epoch = f->floor; /* until the end */
        f->floor = node_of(s)->depth;
    }
    if (timed(o)) set_deadline(s, f, o);
    return s;
}

/* ---- ending ------------------------------------------------------------------------------------------- */

/* Of a child that was forgotten the block may be over: the address sanitizer is not asked, the misuse is told below. */
__attribute__((no_sanitize("address"), noinline)) static bool is_started(const weft_task *t) {
    return t->site & WEFT__STARTED && (t->site & ~(uintptr_t)WEFT__SITE_BITS) != (uintptr_t)&weft__region_site;
}

/* The newest child, here and now; its failure is the scope's. */
static void run_here(fiber *f, weft__node *n, weft_task *t) {
    const weft_site *site = (const weft_site *)(t->site & ~(uintptr_t)WEFT__SITE_BITS);
    if (!weft__take(t)) return; /* run elsewhere, the scope was told */
    weft_exit own = f->exit;
    f->exit = success;
    if (!cancel_point(f) || weft_ok(weft__look_up(f))) site->run(t, f->pub.head);
    weft_exit e = f->exit;
    f->exit = own;
    if (weft_ok(e)) return;
    weft__node_failed(n, e);
    weft__cause_drop(e.cause);
}

static void join_children(fiber *f, weft_scope *s) {
    while (f->pub.head != &s->region.mark) {
        if (!is_started(f->pub.head))
            weft__misuse("a scope ended with a forked child, or an inner scope or mask, outstanding; join it, or end it, "
                         "before leaving the scope it was begun in");
        run_here(f, node_of(s), f->pub.head);
    }
}

static weft_exit own_exit(weft_exit e) {
    weft__cause_keep(e.cause);
    return e;
}

/* One finalizer, in a shield with its budget.  The exit's reference is the caller's. */
static weft_exit finalize(deferred *d) {
    weft_exit late = success, e = success;
    WEFT_SCOPE(inside, &late, .shield = true, .timeout = d->budget, .name = "finalizer") e = own_exit(d->fn(d->arg));
    if (weft_ok(late) || late.tag == WEFT_EXIT_INTERRUPT) return e; /* that the scope itself is stopped is no news */
    weft__cause_drop(e.cause);
    if (late.code == WEFT_E_TIMEOUT) return FAILED(WEFT_E_TIMEOUT, "a finalizer exceeded its budget");
    return own_exit(late);
}

/* The same, and what weft_fail said in it is its failure, if it returned none. */
static weft_exit finalize_on(fiber *f, deferred *d) {
    if (!f) return finalize(d);
    weft_exit own = f->exit;
    f->exit = success;
    weft_exit e = finalize(d), said = f->exit;
    f->exit = own;
    if (weft_ok(e)) return said;
    weft__cause_drop(said.cause);
    return e;
}

static weft_exit run_finalizers(weft_scope *s, weft_exit e) {
    fiber *f = thread_fiber();
    mark(s, SCOPE_FINALIZED);
    while (has(s, SCOPE_DEFERRED) && s->deferred) {
        deferred *d = s->deferred;
        s->deferred = d->older;
        weft_exit x = finalize_on(f, d);
        if (!weft_ok(x)) e = weft__exit_then(e, x);
    }
    return e;
}

/* What the scope says for itself. */
static weft_exit outcome(weft_scope *s, fiber *f) {
    static const weft_cause timeout = WEFT__CAUSE_STATIC(WEFT_CAUSE_FAIL, "the scope's deadline has passed");
    weft__node *n = node_of(s);
    uint64_t state = atom_load_acq(&n->state);
    if (state & NODE_FAILED) return n->failure;
    if (state & NODE_NOTICED && state & NODE_TIMEOUT) return (weft_exit){WEFT_EXIT_FAIL, WEFT_E_TIMEOUT, &timeout};
    if (state & NODE_NOTICED && state & NODE_CANCELLED && n->why)
        return (weft_exit){WEFT_EXIT_INTERRUPT, WEFT_E_CANCELLED, weft__cause_keep(n->why)};
    (void)f;
    return success;
}

/* Failures of children of a scope that is left early have nobody to return to: they are attached to what ends the scope
 * around it. */
static void hand_to_outer(fiber *f, weft_exit e) {
    weft__node *n = f->pub.scope;
    while (n->owner == &f->pub && n->kind != WEFT__BASE && n->kind != WEFT__SCOPE) n = n->outer;
    if (n->owner != &f->pub || n->kind != WEFT__SCOPE) return;
    weft_scope *outer = (weft_scope *)region_of(n);
    weft__cause_keep(e.cause);
    outer->suppressed = has(outer, SCOPE_SUPPRESSED) ? weft__exit_both(outer->suppressed, e) : e;
    mark(outer, SCOPE_SUPPRESSED);
}

static weft_exit with_suppressed(weft_scope *s, weft_exit e) {
    if (!has(s, SCOPE_SUPPRESSED)) return e;
    if (!weft_ok(e)) return weft__exit_then(e, s->suppressed);
    weft__cause_drop(s->suppressed.cause);
    return e;
}

static void free_chunks(weft_scope *s) {
    for (chunk *c = has(s, SCOPE_CHUNKS) ? s->chunks : NULL, *older; c; c = older) {
        older = c->older;
        weft__heap_free(c, c->bytes);
    }
}

static void leave_tree(weft_scope *s, fiber *f) {
    weft__node *n = node_of(s);
    if (has(s, NODE_HELD)) weft__release_held(f, n);
    if (n->shield) f->floor = (uint16_t)s->epoch;
    const weft_cause *why = n->why;
    weft__region_end(&s->region, f);
    s->ended = WEFT__OVER;
    weft__cause_drop(why);
}

/* The steps; the scope's own exit is its holder's from then on. */
static weft_exit finish(weft_scope *s, bool cancel, weft_exit own) {
    static const weft_cause left = WEFT__CAUSE_STATIC(WEFT_CAUSE_INTERRUPT, "the scope was left early");
    fiber *f = thread_fiber();
    if (!f) {
        weft_exit e = run_finalizers(s, weft_ok(node_of(s)->failure) ? own : node_of(s)->failure);
        free_chunks(s);
        s->ended = WEFT__OVER;
        return e;
    }
    weft__node *n = node_of(s);
    scheduling_point(f);
    if (n != f->pub.scope)
        weft__misuse("a scope was ended inside another scope or mask; end what was begun last");
    if (cancel) weft__node_cancel(n, &left);
    join_children(f, s);
    if (WEFT_LIKELY(weft__region_untouched(&s->region, &f->pub) && weft_ok(own))) { /* it only had children that ran here */
        weft__region_leave(&s->region, &f->pub);
        s->ended = WEFT__OVER;
        return success;
    }
    if (has(s, NODE_MEMBERS)) weft__node_close(f, n);
    mark(s, NODE_CLOSED);
    if (has(s, NODE_TIMED)) weft__deadline_over(f, &s->deadline);
    weft_exit e = outcome(s, f);
    if (!weft_ok(own) && weft_ok(e)) e = own;
    e = with_suppressed(s, run_finalizers(s, e));
    free_chunks(s);
    leave_tree(s, f);
    return weft_ok(e) ? e : weft__hold_own(f, e);
}

/* The same, and a cancellation point. */
static weft_exit end(weft_scope *s, bool cancel, weft_exit own) {
    weft_exit e = finish(s, cancel, own);
    fiber *f = thread_fiber();
    return f && weft_ok(e) && WEFT_UNLIKELY(cancel_point(f)) ? weft__look_up(f) : e;
}

void weft__scope_end_slow(weft_scope *s) {
    weft_exit *out = s->out, e = end(s, false, success);
    if (out) *out = e;
}

void weft__scope_left_early(weft_scope *s) {
    weft_exit *out = s->out;
    fiber *f = thread_fiber();
    weft_exit e = end(s, true, success);
    bool interrupted = e.tag == WEFT_EXIT_INTERRUPT;
    if (f && !weft_ok(e) && !interrupted) hand_to_outer(f, e);
    if (out) *out = e;
}

weft_exit weft_scope_run(const weft_scope_options *options, weft_exit (*fn)(weft_scope *s, void *arg), void *arg) {
    static const weft_scope_options none;
    weft_exit out = success;
    weft_scope s;
    if (!weft__scope_enter(&s, &out, options ? *options : none)) return out;
    weft_exit e = fn(&s, arg);
    if (e.tag == WEFT_EXIT_FAIL || e.tag == WEFT_EXIT_DIE) weft__node_failed(node_of(&s), e);
    if (weft_ok(e) || e.tag == WEFT_EXIT_INTERRUPT) return end(&s, false, success);
    return end(&s, false, node_of(&s)->policy == WEFT_SUPERVISE ? (weft__cause_keep(e.cause), e) : success);
}

bool weft__timeout_counts(weft_scope *s, weft_exit e, weft_exit *of_scope) {
    fiber *f = thread_fiber();
    uint16_t told = f->told;
    bool seen = f->seen;
    bool stopped = e.tag == WEFT_EXIT_INTERRUPT;
    *of_scope = stopped ? end(s, false, success) : finish(s, false, success); /* a value does not notice a timeout around */
    bool counts = of_scope->tag == WEFT_EXIT_INTERRUPT ? !stopped : weft_ok(*of_scope) || (!stopped && !weft_ok(e));
    if (counts) { /* what the end of the scope was told, the caller is not */
        f->told = told;
        f->seen = seen;
    }
    return counts;
}

weft_exit weft__timeout_end(weft_scope *s, weft_exit e) {
    fiber *f = thread_fiber();
    weft_exit of_scope;
    if (!f) {
        end(s, false, success);
        return e;
    }
    weft__cause_keep(e.cause); /* it may have come to this very scope */
    if (weft__timeout_counts(s, e, &of_scope)) return weft__hold_own(f, e);
    weft__cause_drop(e.cause);
    return of_scope;
}

void weft__scope_cancel(weft_scope *s, const char *reason, const char *file, int line) {
    fiber *f = thread_fiber();
    if (!node_of(s)->owner || s->ended == WEFT__OVER) return;
    runtime *rt = node_owner(node_of(s))->rt, *abroad = f && f->rt == rt ? NULL : rt;
    weft_fiber *me = f ? weft__part_of(f) : NULL;
    uint64_t who = me ? atom_load_rlx(&me->id) : 0;
    if (abroad) weft__foreign_begins(abroad); /* between a wait that is won and its fiber in the inbox there is no rest */
    const char *name = f ? weft__fiber_name(f) : NULL;
    weft__node_cancel(node_of(s), weft__cause_interrupt(who, name, reason ? reason : "", file, line));
    if (abroad) weft__foreign_ends(abroad);
}

weft_time weft_deadline(void) {
    fiber *f = thread_fiber();
    return f ? weft__deadline_around(f) : WEFT_FOREVER;
}

/* ---- the arena ---------------------------------------------------------------------------------------- */

/* A piece of its own, known to the scope.  Any thread. */
static chunk *add_chunk(weft_scope *s, size_t size) {
    chunk *c = weft__heap_alloc(size, 16);
    if (!c) return NULL;
    c->bytes = size;
    node_lock(node_of(s));
    c->older = has(s, SCOPE_CHUNKS) ? s->chunks : NULL;
    s->chunks = c;
    mark(s, SCOPE_CHUNKS);
    node_unlock(node_of(s));
    return c;
}

/* Each piece twice as large as the one before. */
void *weft__scope_alloc_slow(weft_scope *s, size_t bytes) {
    size_t size = CHUNK_LEAST;
    if (bytes > SIZE_MAX / 2) return NULL;
    if (has(s, SCOPE_GREW)) size = (size_t)(s->end - (char *)s->grown) * 2;
    if (size > CHUNK_MOST) size = CHUNK_MOST;
    if (size < bytes + sizeof(chunk) + 16) size = bytes + sizeof(chunk) + 16;
    chunk *c = add_chunk(s, size);
    if (!c) return NULL;
    s->grown = c;
    mark(s, SCOPE_GREW);
    s->free = (char *)(c + 1);
    s->end = (char *)c + size;
    return weft_alloc(s, bytes);
}

/* The arena's current piece is its owner's alone. */
static void *alloc_anywhere(weft_scope *s, size_t bytes) {
    fiber *f = thread_fiber();
    if (!node_of(s)->owner || (f && node_of(s)->owner == &f->pub)) return weft_alloc(s, bytes);
    chunk *c = add_chunk(s, sizeof(chunk) + bytes);
    return c ? c + 1 : NULL;
}

weft_exit weft__scope_no_memory(void) {
    return FAILED(WEFT_E_NOMEM, "weft_start: no memory for another child in this scope");
}

weft_exit weft__scope_over(void) {
    return FAILED(WEFT_E_ENDED, "weft_start: the scope has ended; start children before its end");
}

/* ---- finalizers --------------------------------------------------------------------------------------- */

static void push(weft_scope *s, deferred *d) {
    weft__node *n = node_of(s);
    node_lock(n);
    d->older = has(s, SCOPE_DEFERRED) ? s->deferred : NULL;
    s->deferred = d;
    mark(s, SCOPE_DEFERRED);
    node_unlock(n);
}

weft_err weft_defer(weft_scope *s, weft_finalizer_fn *fn, void *arg, weft_duration budget) {
    if (!fn || budget < 0) return WEFT_E_INVALID;
    deferred now = {NULL, fn, arg, budget};
    if (s->ended == WEFT__OVER || has(s, SCOPE_FINALIZED)) {
        weft__cause_drop(finalize_on(thread_fiber(), &now).cause);
        return WEFT_OK;
    }
    deferred *d = alloc_anywhere(s, sizeof *d);
    if (!d) return WEFT_E_NOMEM;
    *d = now;
    push(s, d);
    return WEFT_OK;
}

weft_exit weft_acquire(weft_scope *s, weft_exit (*acquire)(void *arg, void **resource), void *arg,
                       weft_finalizer_fn *release, weft_duration budget, void **resource) {
    if (!acquire || !release || !resource || budget < 0)
        return FAILED(WEFT_E_INVALID, "weft_acquire: a function is missing, or the budget is negative");
    if (s->ended == WEFT__OVER || has(s, NODE_CLOSED)) return FAILED(WEFT_E_ENDED, "weft_acquire: the scope is closed");
    deferred *d = alloc_anywhere(s, sizeof *d);
    if (!d) return FAILED(WEFT_E_NOMEM, "weft_acquire: no memory to register the release; nothing was acquired");
    weft_mask m;
    weft_mask_begin(&m);
    weft_exit e = acquire(arg, resource);
    if (weft_ok(e)) {
        *d = (deferred){NULL, release, *resource, budget};
        push(s, d);
    }
    weft_mask_end(&m);
    return e;
}
