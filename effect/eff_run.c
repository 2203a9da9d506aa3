/* effect/eff_run.c -- a run of an effect: how it begins and ends, its memory, and how it fails.
 *
 * A run lies in the frame of the function that runs an effect, with room for a few words and small values.  What is pending beyond
 * that lies in pieces from the heap, each twice as large as the one before; one that is empty is kept, so that a stack that moves
 * about an edge does not ask for it again and again.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "effect/eff_frame.h"
#include "sched/cause.h"
#include "sched/exit.h"
#include "sched/fail.h"
#include "sched/local.h"

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* ---- failing -------------------------------------------------------------------------------------- */

uintptr_t weft__eff_fail_lent(eff_run *r, weft_exit e) {
    weft__cause_keep(e.cause);
    return eff_fail(r, e);
}

/* It failed, or it noticed that it is asked to stop. */
WEFT_COLD uintptr_t weft__eff_said(eff_run *r) {
    static const weft_cause stopped = WEFT__CAUSE_STATIC(WEFT_CAUSE_INTERRUPT, "the effect was stopped");
    weft_exit e = *r->said;
    *r->said = success;
    if (!weft_ok(e)) return eff_fail(r, e);
    cancel_look_again(r->f);
    e = weft__look_up(r->f);
    return weft__eff_fail_lent(r, weft_ok(e) ? (weft_exit){WEFT_EXIT_INTERRUPT, WEFT_E_CANCELLED, &stopped} : e);
}

WEFT_COLD uintptr_t weft__eff_stale(eff_run *r) {
    static const weft_cause stale = WEFT__CAUSE_STATIC(
        WEFT_CAUSE_DIE, "an effect was used after its arena was closed, or after the function had returned that it was "
                        "written in; weft_eff_keep it in an arena that outlives its runs");
    return eff_fail(r, (weft_exit){WEFT_EXIT_DIE, WEFT_E_STALE, &stale});
}

WEFT_COLD uintptr_t weft__eff_no_memory(eff_run *r) {
    return eff_fail(r, FAILED(WEFT_E_NOMEM, "no memory for what is pending in an effect's run"));
}

/* ---- memory of a run ------------------------------------------------------------------------------ */

enum { CHUNK_LEAST = 4096, CHUNK_MOST = 512 * 1024 };

static eff_chunk *chunk_for(eff_run *r, size_t bytes) {
    eff_chunk *c = r->spare;
    if (c && c->bytes >= bytes) {
        r->spare = NULL;
        return c;
    }
    size_t size = r->chunks ? r->chunks->bytes * 2 : CHUNK_LEAST;
    if (size > CHUNK_MOST) size = CHUNK_MOST;
    if (size < bytes) size = bytes;
    c = weft__heap_alloc(size, 16);
    if (c) c->bytes = size;
    return c;
}

WEFT_COLD bool weft__eff_grow(eff_run *r, size_t bytes) {
    static const weft_eff_node edge = {.kind = EFF_EDGE};
    eff_chunk *c = chunk_for(r, sizeof *c + sizeof(eff_frame) + bytes + 64);
    if (!c) return false;
    c->older = r->chunks;
    c->limit = r->limit;
    c->level = c->older ? c->older->level + 1 : 1;
    r->chunks = c;
    eff_frame *f = (eff_frame *)(void *)(c + 1);
    f->n = edge;
    f->below = r->top;
    r->top = (uintptr_t *)(void *)(f + 1);
    *r->top++ = (uintptr_t)f | EFF_FRAME;
    r->limit = (uintptr_t *)(void *)((char *)c + c->bytes) - 1;
    return true;
}

WEFT_COLD void weft__eff_shrink(eff_run *r, eff_frame *edge) {
    eff_chunk *c = r->chunks;
    r->top = edge->below;
    r->limit = c->limit;
    r->chunks = c->older;
    if (r->spare) weft__heap_free(r->spare, r->spare->bytes);
    r->spare = c;
}

WEFT_COLD bool weft__eff_values_grow(eff_run *r, size_t bytes) {
    size_t room = (bytes + 15) & ~(size_t)15;
    char *large = weft__heap_alloc(2 * room, 16);
    if (!large) return false;
    if (r->large) weft__heap_free(r->large, 2 * (size_t)r->room);
    r->large = r->v = large;
    r->w = large + room;
    r->room = r->arenas[0].room = r->arenas[1].room = (uint32_t)room;
    return true;
}

static void free_memory(eff_run *r) {
    for (eff_chunk *c = r->chunks, *older; c; c = older) {
        older = c->older;
        weft__heap_free(c, c->bytes);
    }
    if (r->spare) weft__heap_free(r->spare, r->spare->bytes);
    if (r->large) weft__heap_free(r->large, 2 * (size_t)r->room);
    for (int i = 0; i < 2; i++)
        if (eff_arena_used(&r->arenas[i])) weft_eff_arena_close(&r->arenas[i]);
}

/* ---- polling -------------------------------------------------------------------------------------- */

bool weft__eff_too_late(eff_run *r) {
    static const weft_cause late = WEFT__CAUSE_STATIC(WEFT_CAUSE_INTERRUPT, "the time of an effect is over");
    if (r->deadline == WEFT_FOREVER || weft_now() < r->deadline) return false;
    eff_fail(r, (weft_exit){WEFT_EXIT_INTERRUPT, WEFT_E_INTERRUPTED, &late});
    return true;
}

WEFT_COLD bool weft__eff_poll(eff_run *r) {
    r->budget = EFF_POLL;
    if (!r->f) return !weft__eff_too_late(r);
    weft_exit e = ++r->polls % EFF_POLLS_A_YIELD ? weft_checkpoint() : weft_yield();
    if (weft_ok(e)) return true;
    weft__eff_fail_lent(r, e);
    return false;
}

/* ---- a run ---------------------------------------------------------------------------------------- */

static const eff_frame bottom = {.n = {.kind = EFF_BOTTOM}};

static void begin(eff_run *r, fiber *f, const weft_eff_options *o) {
    uintptr_t sp = (uintptr_t)weft__sp();
    r->f = f;
    r->floor = sp - 16 * 1024;
    if (f) {
        r->said = &f->exit;
        r->told = &f->told;
        r->depth = f->pub.scope->depth;
        if (r->floor < (uintptr_t)f->stk.lo) r->floor = (uintptr_t)f->stk.lo;
    } else {
        r->said_here = success;
        r->said = &r->said_here;
        r->told_here = TOLD_NOTHING;
        r->told = &r->told_here;
        r->depth = 0;
    }
    r->budget = EFF_POLL;
    r->polls = 0;
    r->o = o;
    for (int i = 0; i < 2; i++) {
        r->arenas[i].blocks = NULL;
        r->arenas[i].bytes = NULL;
        r->arenas[i].used = r->arenas[i].from = 0;
        r->arenas[i].room = EFF_VALUE_ROOM;
    }
    r->arena = r->arenas;
    r->exit = success;
    r->at = NULL;
    r->known = false;
    r->guard = NULL;
    r->deadline = WEFT_FOREVER;
    r->chunks = r->spare = NULL;
    r->large = NULL;
    r->v = r->values[0];
    r->w = r->values[1];
    r->room = EFF_VALUE_ROOM;
    r->words[0] = (uintptr_t)&bottom | EFF_FRAME;
    r->top = r->words + 1;
    r->limit = r->words + EFF_WORDS - 1;
}

static void go(eff_run *r, eff_start s) {
    if (s.fn) s.ref = weft__eff_next(r, s.fn, s.in, s.with);
    if (s.ref > EFF_END)
        weft__eff_loop(r, s.ref);
    else if (!s.fn)
        weft__eff_stale(r);
}

/* What the fiber said before is put aside; who gets an interrupt is told again (effect/par.h, P5). */
static void go_on_fiber(eff_run *r, fiber *f, eff_start s) {
    weft_exit own = f->exit;
    uint16_t told = f->told;
    bool seen = f->seen;
    f->exit = success;
    f->told = TOLD_NOTHING;
    go(r, s);
    f->exit = own;
    f->told = told;
    f->seen = seen;
    if (WEFT_UNLIKELY(r->exit.tag == WEFT_EXIT_INTERRUPT)) {
        cancel_look_again(f);
        (void)weft__look_up(f);
    }
}

static void go_on_thread(eff_run *r, eff_start s) {
    weft_exit *outer = weft__said_to(r->said);
    go(r, s);
    weft__said_to(outer);
}

weft_exit weft__eff_exec(eff_start s, void *out, size_t bytes, const weft_eff_options *o) {
    static const weft_eff_options none;
    fiber *f = thread_fiber();
    eff_run r;
    begin(&r, f, o ? o : &none);
    if (WEFT_LIKELY(f != NULL))
        go_on_fiber(&r, f, s);
    else
        go_on_thread(&r, s);
    weft_exit e = r.exit;
    if (WEFT_LIKELY(weft_ok(e)) && out) eff_copy(out, r.v, bytes);
    if (WEFT_UNLIKELY(r.chunks || r.spare || r.large || eff_arena_used(&r.arenas[0]) || eff_arena_used(&r.arenas[1])))
        free_memory(&r);
    return e;
}

weft_exit weft__eff_run(uintptr_t ref, void *out, size_t bytes, const weft_eff_options *o) {
    fiber *f = thread_fiber();
    if (f) scheduling_point(f);
    weft_exit e = weft__eff_exec((eff_start){.ref = ref}, out, bytes, o);
    return WEFT_LIKELY(weft_ok(e)) ? e : f ? weft__hold_own(f, e) : e;
}
