/* effect/eff.c -- running an effect: the loop.
 *
 * What it knows itself is what chains are made of: values, calls, maps and flat_maps.  Everything else has a frame
 * (effect/eff_frame.c) and is entered, given values and failures by a call.
 *
 *   enter   what the reference names: a leaf gives its value, others are pushed and lead further in
 *   value   v has one, the newest word or frame takes it
 *   failed  frames are popped until one goes on
 *
 * A step here takes a few nanoseconds, so the top of the stack is kept in a register; whoever is called gets it from the run.
 * The loop does not recurse.  It polls every EFF_POLL functions or so.
 *
 * Rejected: direct calls of nested effects (a chain of a million would need a stack of gigabytes); compiling an effect before
 * it is run (most are run once).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/eff.h"
#include "alloc/heap.h"
#include "effect/eff_frame.h"
#include "sched/cause.h"
#include "sched/clock.h"
#include "sched/exit.h"
#include "sched/fail.h"
#include "sched/local.h"
#include <string.h>

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* What functions return that have put a value where the run takes it from. */
static const weft_eff_site now_site = {"now", __FILE__, __LINE__};
const weft_eff_node weft__eff_now = {.kind = WEFT__EFF_NOW, .site = &now_site};

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

struct eff_chunk {
    eff_chunk *older;
    size_t bytes;
    uintptr_t *limit; /* of the one before */
    uintptr_t level;  /* how many are older, and one */
};

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

/* ---- the loop ------------------------------------------------------------------------------------- */

/* A literal that lies where this stack has nothing any more. */
EFF_INLINE bool dead_literal(const eff_run *r, eff_ref ref) { return ref >= r->floor && ref < (uintptr_t)weft__sp(); }

#define NOW ((eff_ref)&weft__eff_now)

/* ---- arenas of a run ------------------------------------------------------------------------------
 * What functions return lives in the run's arena, as long as anything pending may name it.  A loop is a function that returns a
 * flat_map over itself: whenever it is called, nothing is pending that was not before its first call, and all that was kept
 * since is over, but what it is called with.  So it is handed the run's other arena, and when it has returned the first one is
 * emptied. */

static uintptr_t level_of(const eff_run *r) { return r->chunks ? r->chunks->level : 0; }

static void mark(eff_run *r, const uintptr_t *top) {
    r->mark = top;
    r->mark_level = level_of(r);
}

/* Does nothing below `top` name anything in the arena? */
static bool all_over(const eff_run *r, const uintptr_t *top) {
    uintptr_t level = level_of(r);
    return level < r->mark_level || (level == r->mark_level && top <= r->mark);
}

/* The arena to be emptied when the function has returned that is called next; NULL: none. */
EFF_INLINE weft_eff_arena *turn(eff_run *r, const uintptr_t *top) {
    weft_eff_arena *old = r->arena;
    if (WEFT_LIKELY(eff_arena_empty(old)) || !all_over(r, top)) return NULL;
    r->arena = &r->arenas[old == r->arenas];
    mark(r, top);
    return old;
}

uintptr_t weft__eff_next(eff_run *r, weft__eff_fn *fn, const void *in, const void *with) {
    eff_ref next = 0;
    if (eff_arena_empty(r->arena)) mark(r, r->top);
    r->arena->now = r->w;
    fn(r->arena, in, with, &next);
    if (eff_ill(r)) return weft__eff_said(r);
    if (next == NOW) {
        eff_swap(r);
        return EFF_VALUE;
    }
    return !next || dead_literal(r, next) ? weft__eff_stale(r) : next;
}

uintptr_t weft__eff_next_last(eff_run *r, weft__eff_fn *fn, const void *in, const void *with) {
    weft_eff_arena *old = turn(r, r->top);
    uintptr_t next = weft__eff_next(r, fn, in, with);
    if (old) weft__eff_arena_reset(old);
    return next;
}

/* Function i of the step n did not end well: it is that of a node further in. */
WEFT_COLD static void step_ended_ill(eff_run *r, const weft_eff_node *n, unsigned i) {
    while (n && n->count > i + 1u) n = eff_node(n->a);
    r->at = n;
    weft__eff_said(r);
}

/* Frames are popped until one goes on: what with, as a handler says. */
WEFT_COLD static uintptr_t unwind(eff_run *r) {
    const weft__eff_trace *t = r->o->trace;
    if (t && !r->known) t->failed((weft__eff_trace *)(uintptr_t)t, r->exit, r->at, (weft__eff_pending){.at = r->top});
    r->known = false;
    for (;;) {
        if (!(r->top[-1] & EFF_FRAME)) {
            r->top -= r->top[-1] & EFF_INDEXED ? 2 : 1;
            continue;
        }
        uintptr_t next = weft__eff_failure(r, eff_top(r));
        if (next != EFF_FAILED) return next;
    }
}

WEFT_COLD static bool watch(eff_run *r, const weft_eff_node *n, eff_ref ref) {
    weft_eff_node watched = *n;
    watched.kind = EFF_WATCHED;
    eff_frame *f = eff_push(r, &watched, ref, sizeof *f);
    if (!f) return false;
    f->state = n->kind;
    r->o->watch->enter(r->o->watch, n);
    return true;
}

/* The loop's own view of the run: `top` is a register, and said, told and depth need not be looked up. */
#define OUT (r->top = top)
#define IN (top = r->top)
#define ILL (WEFT_UNLIKELY(said->tag != WEFT_EXIT_OK) || WEFT_UNLIKELY(*told <= r->depth))

static void loop(eff_run *r, eff_ref ref) {
    const bool watching = r->o->watch != NULL;
    const weft_exit *const said = r->said;
    const uint16_t *const told = r->told;
    const weft_eff_node *n;
    uintptr_t *top = r->top;
    unsigned i;
enter:
    n = eff_node(ref);
    if (WEFT_UNLIKELY(!n)) goto stale;
    if (WEFT_UNLIKELY(n->room > r->room) && !weft__eff_values_grow(r, n->room)) {
        OUT;
        weft__eff_no_memory(r);
        goto failed;
    }
    if (WEFT_UNLIKELY(watching)) {
        OUT;
        if (!watch(r, n, ref)) goto failed;
        IN;
    }
    switch (n->kind) {
    case WEFT__EFF_SUCCEED: eff_copy(r->v, n->u.leaf.with, n->bytes); goto value;
    case WEFT__EFF_CALL:
        n->u.leaf.each(n->u.leaf.with, r->v, 0);
        if (!ILL) {
            r->budget--;
            goto go_on;
        }
        OUT;
        r->at = n;
        weft__eff_said(r);
        goto failed;
    case WEFT__EFF_MAP:
    case WEFT__EFF_MAP_WORD:
    case WEFT__EFF_FLAT_MAP:
        if (WEFT_UNLIKELY(top >= r->limit)) {
            OUT;
            if (!weft__eff_grow(r, sizeof ref)) {
                weft__eff_no_memory(r);
                goto failed;
            }
            IN;
        }
        if (WEFT_LIKELY(n->count && !watching)) { /* the whole step */
            *top++ = ref;
            ref = n->u.step.base;
        } else {
            if (n->count > 1) *top++ = n->count - 1u, ref |= EFF_INDEXED;
            *top++ = ref;
            ref = n->a;
        }
        goto enter;
    default:
        OUT;
        r->at = n;
        ref = weft__eff_enter(r, n, ref);
        goto next;
    }
value:
    ref = top[-1];
    if (ref & EFF_FRAME) {
        OUT;
        ref = weft__eff_value(r, eff_top(r));
        goto next;
    }
    top--;
    i = 0;
    if (WEFT_UNLIKELY(ref & EFF_INDEXED)) {
        i = (unsigned)*--top;
        ref &= ~(uintptr_t)EFF_INDEXED;
    }
    n = eff_node(ref);
    if (WEFT_UNLIKELY(!n)) goto stale;
    const weft__eff_step *fn = eff_functions(n);
    char *v = r->v, *w = r->w, *x;
    if (n->kind == WEFT__EFF_MAP_WORD) {
        uint64_t word;
        memcpy(&word, v, sizeof word);
        do {
            word = fn[i].word(word);
            if (ILL) goto ill;
        } while (++i < n->count);
        memcpy(v, &word, sizeof word);
        r->budget -= (int32_t)i;
        goto go_on;
    }
    if (n->kind == WEFT__EFF_MAP) {
        do {
            fn[i].each(v, w, 0);
            x = v, v = w, w = x;
            if (ILL) goto ill;
        } while (++i < n->count);
        r->v = v;
        r->w = w;
        r->budget -= (int32_t)i;
        goto go_on;
    }
    const unsigned count = n->count;
    weft_eff_arena *old = NULL, *a = r->arena;
    eff_ref next;
    if (eff_arena_empty(a)) mark(r, top);
    do {
        if (i + 1 >= count) { /* nothing else needs n */
            old = turn(r, top);
            a = r->arena;
        }
        next = 0;
        a->now = w;
        if (WEFT_LIKELY(count)) {
            __builtin_prefetch(&fn[i + 32]);
            fn[i].next(a, v, NULL, &next);
        } else {
            n->u.next.fn(a, v, n->u.next.with, &next);
        }
        if (ILL) goto ill;
        r->budget--;
        i++;
        if (WEFT_UNLIKELY(next != NOW)) break;
        x = v, v = w, w = x;
    } while (i < count);
    r->v = v;
    r->w = w;
    if (WEFT_UNLIKELY(old != NULL)) weft__eff_arena_reset(old); /* and n, perhaps, with it */
    if (next == NOW) goto go_on;
    if (WEFT_UNLIKELY(dead_literal(r, next))) goto stale;
    if (i < count) { /* there is room for two words: one was taken, another is spare */
        *top++ = i;
        *top++ = ref | EFF_INDEXED;
    }
    ref = next;
    if (WEFT_LIKELY(r->budget > 0)) goto enter;
    OUT;
    if (weft__eff_poll(r)) goto enter;
    goto failed;
go_on: /* there is a value */
    if (WEFT_LIKELY(r->budget > 0)) goto value;
    OUT;
    if (weft__eff_poll(r)) goto value;
    goto failed;
ill:
    OUT;
    step_ended_ill(r, n, i);
    goto failed;
stale:
    OUT;
    r->at = NULL;
    weft__eff_stale(r);
failed:
    ref = unwind(r);
next:
    IN;
    if (ref > EFF_END) goto enter;
    if (ref == EFF_VALUE) goto value;
    if (ref == EFF_FAILED) goto failed;
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
        loop(r, s.ref);
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
