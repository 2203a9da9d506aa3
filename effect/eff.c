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
#include "effect/eff_frame.h"
#include <string.h>

/* What functions return that have put a value where the run takes it from. */
static const weft_eff_site now_site = {"now", __FILE__, __LINE__};
const weft_eff_node weft__eff_now = {.kind = WEFT__EFF_NOW, .site = &now_site};

/* ---- what functions return --------------------------------------------------------------------------- */

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
    if (eff_arena_empty(r->arena) || all_over(r, r->top)) mark(r, r->top); /* what it keeps may be named from here on */
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

/* What few nodes need before they are run. */
static bool prepare(eff_run *r, const weft_eff_node *n, eff_ref ref) {
    if (n->room > r->room && !weft__eff_values_grow(r, n->room)) {
        weft__eff_no_memory(r);
        return false;
    }
    return !r->o->watch || watch(r, n, ref);
}

/* ---- functions of a step, from number i on ---------------------------------------------------------------- */

/* Of registers. */
EFF_INLINE bool run_words(eff_run *r, const weft_eff_node *n, unsigned i) {
    const weft__eff_step *all = eff_functions(n), *fn = all + i, *const end = all + n->count;
    const weft_exit *const said = r->said;
    const uint16_t *const told = r->told;
    const unsigned depth = r->depth;
    uint64_t word;
    memcpy(&word, r->v, sizeof word);
    do {
        word = fn->word(word);
        if (WEFT_UNLIKELY((said->tag != WEFT_EXIT_OK) | (*told <= depth))) {
            step_ended_ill(r, n, (unsigned)(fn - all));
            return false;
        }
    } while (++fn != end);
    memcpy(r->v, &word, sizeof word);
    r->budget -= n->count;
    return true;
}

EFF_INLINE bool run_maps(eff_run *r, const weft_eff_node *n, unsigned i) {
    const weft__eff_step *fn = eff_functions(n);
    char *v = r->v, *w = r->w, *x;
    do {
        fn[i].each(v, w, 0);
        x = v, v = w, w = x;
        if (eff_ill(r)) {
            step_ended_ill(r, n, i);
            return false;
        }
    } while (++i < n->count);
    r->v = v;
    r->w = w;
    r->budget -= (int32_t)i;
    return true;
}

/* NOW: all have been run, and v has the value.  EFF_FAILED.  Else the effect that number *i - 1 returned; those from *i on are
 * pending.  top: without the step. */
EFF_INLINE eff_ref run_nexts(eff_run *r, const weft_eff_node *n, unsigned *at, const uintptr_t *top) {
    const weft__eff_step *fn = eff_functions(n);
    const weft_exit *const said = r->said;
    const uint16_t *const told = r->told;
    const unsigned count = n->count;
    weft_eff_arena *old = NULL, *a = r->arena;
    char *v = r->v, *w = r->w, *x;
    eff_ref next;
    unsigned i = *at;
    if (eff_arena_empty(a) || all_over(r, top)) mark(r, top);
    do {
        if (i + 1 >= count) { /* nothing else needs n */
            old = turn(r, top);
            a = r->arena;
        }
        next = 0;
        a->now = w;
        if (WEFT_LIKELY(count)) {
            __builtin_prefetch(&fn[i + 96]);
            fn[i].next(a, v, NULL, &next);
        } else {
            n->u.next.fn(a, v, n->u.next.with, &next);
        }
        if (WEFT_UNLIKELY(said->tag != WEFT_EXIT_OK) || WEFT_UNLIKELY(*told <= r->depth)) {
            step_ended_ill(r, n, i);
            return EFF_FAILED;
        }
        r->budget--;
        i++;
        if (WEFT_UNLIKELY(next != NOW)) break;
        x = v, v = w, w = x;
    } while (i < count);
    r->v = v;
    r->w = w;
    *at = i < count ? i : 0;
    if (WEFT_UNLIKELY(old != NULL)) weft__eff_arena_reset(old); /* and n, perhaps, with it */
    return next;
}

/* ---- the loop itself ---------------------------------------------------------------------------------------- */

#define OUT (r->top = top) /* before anybody else looks at the run */
#define IN (top = r->top)

void weft__eff_loop(eff_run *r, eff_ref ref) {
    const bool watching = r->o->watch != NULL;
    const weft_eff_node *n;
    uintptr_t *top = r->top;
    unsigned i;
enter:
    n = eff_node(ref);
    if (WEFT_UNLIKELY(!n)) goto stale;
    if (WEFT_UNLIKELY(n->room > r->room || watching)) {
        OUT;
        if (!prepare(r, n, ref)) goto failed;
        IN;
    }
    switch (n->kind) {
    case WEFT__EFF_SUCCEED: eff_copy(r->v, n->u.leaf.with, n->bytes); goto value;
    case WEFT__EFF_CALL:
        OUT;
        r->at = n;
        n->u.leaf.each(n->u.leaf.with, r->v, 0);
        r->budget--;
        if (WEFT_LIKELY(eff_called(r) == EFF_VALUE)) goto polled_value;
        goto failed;
    case WEFT__EFF_MAP:
    case WEFT__EFF_MAP_WORD:
    case WEFT__EFF_FLAT_MAP:
        if (WEFT_UNLIKELY(top >= r->limit)) {
            OUT;
            if (!weft__eff_grow(r, sizeof ref)) goto no_memory;
            IN;
        }
        if (WEFT_UNLIKELY(watching) && n->count > 1) {
            *top++ = n->count - 1u;
            *top++ = ref | EFF_INDEXED;
        } else {
            *top++ = ref;
        }
        ref = WEFT_LIKELY(n->count && !watching) ? n->u.step.base : n->a; /* the whole step, or one function */
        goto enter;
    default:
        OUT;
        r->at = n;
        ref = weft__eff_enter(r, n, ref);
        goto next;
    }
polled_value:
    if (WEFT_UNLIKELY(r->budget <= 0)) {
        OUT;
        if (!weft__eff_poll(r)) goto failed;
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
    OUT;
    if (n->kind != WEFT__EFF_FLAT_MAP) {
        if (n->kind == WEFT__EFF_MAP_WORD ? run_words(r, n, i) : run_maps(r, n, i)) goto polled_value;
        goto failed;
    }
    eff_ref made = run_nexts(r, n, &i, top);
    if (made == NOW) goto polled_value;
    if (WEFT_UNLIKELY(made == EFF_FAILED)) goto failed;
    if (WEFT_UNLIKELY(dead_literal(r, made))) goto stale;
    if (i) { /* there is room for two words: one was taken, another is spare */
        *top++ = i;
        *top++ = ref | EFF_INDEXED;
        OUT;
    }
    ref = made;
    if (WEFT_LIKELY(r->budget > 0) || weft__eff_poll(r)) goto enter;
    goto failed;
stale:
    OUT;
    r->at = NULL;
    weft__eff_stale(r);
    goto failed;
no_memory:
    weft__eff_no_memory(r);
failed:
    ref = unwind(r);
next:
    IN;
    if (ref > EFF_END) goto enter;
    if (ref == EFF_VALUE) goto value;
    if (ref == EFF_FAILED) goto failed;
}
