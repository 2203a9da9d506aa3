/* effect/loop.c -- loops over indices: chunks, splitting, stopping.
 *
 *   go over [from, to):   while something is left
 *                             asked to stop?                       leave
 *                             asked for work, and enough is left?  fork the farther half, go over the nearer one, take the
 *                                                                  farther half back (and go on with it) or join it
 *                             else                                 the piece of one chunk
 *
 * Splitting only on request keeps the common case a plain loop, and a fork in a frame of its own for each split bounds the
 * depth by the logarithm of n: each split halves.
 *
 * A chunk takes about CHUNK_US: found by growing from 1, since nothing is known of the body.  Until then nothing is split
 * (it takes no longer than two chunks, and waking a worker does), unless the loop has only few iterations: then each may be
 * long, and to run one first could double the time of the whole.  Measured by the clock of the processor, so who splits
 * where is a matter of time; on the deterministic executor, and when a record is written, a chunk is a part of n instead.
 *
 * Children are forked in the loop's scope: cancelling it reaches all of them.
 *
 * Rejected: splitting down to a grain beforehand (its cost is paid whether or not anybody is idle, and the grain is wrong on
 * half of the machines); a shared counter of chunks (a contended line, and neighbours no longer on one worker).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <weft/loop.h>
#include "alloc/heap.h"
#include "sched/cancel.h"
#include "sched/cause.h"
#include "sched/evidence.h"
#include "sched/fail.h"
#include "sched/local.h"
#include "sched/thread.h"
#include <weft/scope.h>

#define CHUNK_US 5
#define FEW 64       /* iterations: each may be long */
#define DET_CHUNKS 8 /* of a loop without a grain, where nothing is measured */
#define ROUND 64     /* splits are at multiples of this, where it does not matter: borders of cache lines */

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

typedef struct loop {
    weft__piece_fn *piece;
    void *in;
    size_t n;
    weft_scope *scope;
    uint64_t ticks;            /* a chunk should take so long; 0: a chunk is a fixed number of iterations */
    _Atomic size_t chunk;      /* iterations of the last one: where a worker that comes anew begins */
    _Atomic uint32_t known;    /* has a chunk been long enough to tell how long the rest takes? */
    _Atomic uint32_t left;     /* somebody was asked to stop, and left iterations undone */
    _Atomic uint32_t claimed;  /* `stopped` is taken */
    weft_exit stopped;         /* a body returned an interrupt that was not the loop's; its reference is ours */
} loop;

/* ---- stopping ----------------------------------------------------------------------------------------- */

static bool asked_to_stop(loop *l) {
    if (WEFT_LIKELY(weft_ok(weft_checkpoint()))) return false;
    atom_store_rlx(&l->left, 1);
    return true;
}

/* A body returned e, or said it by weft_fail.  The cause is lent. */
static void stop(loop *l, weft_exit e) {
    if (e.tag != WEFT_EXIT_INTERRUPT) {
        weft__node_failed(&l->scope->region.node, e);
        return;
    }
    if (asked_to_stop(l)) return; /* it only said what is known */
    if (!atom_xchg_ar(&l->claimed, 1)) {
        weft__cause_keep(e.cause);
        l->stopped = e;
    }
    weft_scope_cancel(l->scope, "an iteration of the loop was interrupted");
}

/* One piece.  False: that was the last. */
static bool run_piece(loop *l, fiber *f, size_t from, size_t to) {
    weft_exit e = l->piece(from, to, l->in), said = f->exit;
    if (WEFT_LIKELY(weft_ok(e) && weft_ok(said))) return true;
    f->exit = success;
    bool same = e.tag == said.tag && e.code == said.code && e.cause == said.cause; /* return weft_fail() */
    if (!weft_ok(e) && !same) stop(l, e);
    if (!weft_ok(said)) stop(l, said);
    weft__cause_drop(said.cause);
    return false;
}

/* ---- going over a range ------------------------------------------------------------------------------- */

typedef struct range {
    loop *loop;
    size_t from, to;
} range;

static int go_over(range r);
WEFT_TASK(go_over, int, range);

/* How many iterations the next chunk has, now that the last one took so long. */
static size_t next_chunk(loop *l, size_t chunk, uint64_t took) {
    if (took >= l->ticks / 2) {
        if (!atom_load_rlx(&l->known)) atom_store_rlx(&l->known, 1);
        if (took < l->ticks * 2 || chunk == 1) return chunk;
        chunk /= 2;
    } else {
        chunk *= took < l->ticks / 16 ? 8 : 2; /* at most to half of what it should be */
    }
    atom_store_rlx(&l->chunk, chunk);
    return chunk;
}

static bool may_split(loop *l, size_t left, size_t chunk) {
    return left > chunk && (atom_load_rlx(&l->known) || l->n < FEW);
}

static size_t middle(size_t from, size_t to) {
    size_t half = (to - from) / 2, mid = to - half;
    return half >= 8 * ROUND ? mid & ~(size_t)(ROUND - 1) : mid;
}

/* The farther half, for whoever asked.  True: it came back, and is what is left of r. */
static bool split(range *r) {
    size_t mid = middle(r->from, r->to);
    go_over_task farther;
    weft_fork(&farther, go_over, r->loop, mid, r->to);
    go_over((range){r->loop, r->from, mid});
    if (!weft_take(&farther)) return false;
    r->from = mid;
    return true;
}

/* The fiber is the same one after any wait; its worker need not be. */
static int go_over(range r) {
    loop *l = r.loop;
    fiber *f = thread_fiber();
    size_t chunk = atom_load_rlx(&l->chunk);
    uint64_t begun = l->ticks ? weft__ticks_now() : 0;
    while (r.from < r.to && !asked_to_stop(l)) {
        size_t left = r.to - r.from;
        if (weft__attn() & 1 && may_split(l, left, chunk)) {
            if (!split(&r)) return 0;
            chunk = atom_load_rlx(&l->chunk);
            if (l->ticks) begun = weft__ticks_now();
            continue;
        }
        if (chunk > left) chunk = left;
        if (!run_piece(l, f, r.from, r.from + chunk)) return 0;
        r.from += chunk;
        if (!l->ticks) continue;
        uint64_t now = weft__ticks_now();
        chunk = next_chunk(l, chunk, now - begun);
        begun = now;
    }
    return 0;
}

/* ---- a loop ------------------------------------------------------------------------------------------- */

static void set_up(loop *l, fiber *f, size_t grain) {
    runtime *rt = f->w->rt;
    bool counted = rt->det || rt->record;
    l->ticks = grain || counted ? 0 : CHUNK_US * rt->ticks_per_us;
    atom_store_rlx(&l->known, !l->ticks);
    size_t chunk = grain ? grain : counted ? l->n / DET_CHUNKS : 1;
    atom_store_rlx(&l->chunk, chunk ? chunk : 1);
    atom_store_rlx(&l->left, 0);
    atom_store_rlx(&l->claimed, 0);
}

/* What the loop says, given what its scope says. */
static weft_exit outcome(loop *l, fiber *f, weft_exit e) {
    bool claimed = atom_load_rlx(&l->claimed);
    if (claimed && (weft_ok(e) || e.tag == WEFT_EXIT_INTERRUPT)) return weft__hold_own(f, l->stopped);
    if (claimed) weft__cause_drop(l->stopped.cause);
    if (!weft_ok(e) || !atom_load_rlx(&l->left)) return e;
    e = weft_checkpoint(); /* who was asked still is */
    return weft_ok(e) ? (weft_exit){WEFT_EXIT_INTERRUPT, WEFT_E_INTERRUPTED, NULL} : e;
}

weft_exit weft__loop_run(weft__piece_fn *piece, void *in, size_t n, size_t grain) {
    fiber *f = thread_fiber();
    if (n == 0) return success;
    if (!f) {
        const weft__evidence *own = evidence_child_begins(NULL);
        weft_exit e = piece(0, n, in);
        evidence_child_ends(NULL, own);
        return e;
    }
    loop l = {.piece = piece, .in = in, .n = n};
    set_up(&l, f, grain);
    weft_exit e, own = f->exit;
    f->exit = success;
    const weft__evidence *env = evidence_child_begins(f);
    WEFT_SCOPE(s, &e) {
        l.scope = s;
        go_over((range){&l, 0, n});
    }
    evidence_child_ends(f, env);
    f->exit = own;
    return outcome(&l, f, e);
}

bool weft__loop_alone(void) {
    fiber *f = thread_fiber();
    return !f || (f->w->rt->n_workers == 1 && !f->w->rt->det);
}

/* ---- results of blocks -------------------------------------------------------------------------------- */

void *weft__loop_memory_slow(size_t count, size_t bytes) {
    return count > SIZE_MAX / 2 / bytes ? NULL : weft__heap_alloc(count * bytes, 64);
}

void weft__loop_memory_free_slow(void *p, size_t count, size_t bytes) { weft__heap_free(p, count * bytes); }

weft_exit weft__loop_no_memory(void) {
    return FAILED(WEFT_E_NOMEM, "a reduction or a scan: no memory for the results of its blocks; a larger .grain needs less");
}
