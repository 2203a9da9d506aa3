/* effect/eff_frame.h -- the frames of a run: what each of them holds, and how they are pushed and popped.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EFFECT_EFF_FRAME_H
#define WEFT_EFFECT_EFF_FRAME_H

#include "effect/eff.h"

/* Kinds beside those of nodes. */
enum {
    EFF_BOTTOM = WEFT__EFF_KINDS, /* the run is over */
    EFF_EDGE,                     /* the rest lies in an older piece */
    EFF_WATCHED,                  /* run.o->watch is told */
};

/* How far a frame is. */
enum {
    EFF_FIRST,  /* its effect runs; */
    EFF_SECOND, /* what comes after */
};

/* The node is copied, so that a frame can be left whatever became of it. */
struct eff_frame {
    weft_eff_node n;
    eff_ref ref;
    uintptr_t *below; /* the top without it */
    uint32_t state, unused;
    uintptr_t unused2;
};

/* What follows an eff_frame, by kind. */
struct eff_chunk {
    eff_chunk *older;
    size_t bytes;
    uintptr_t *limit; /* of the one before */
    uintptr_t level;  /* how many are older, and one */
};

typedef struct eff_saved { /* ZIP: the first value.  TAP: the value */
    eff_frame f;
    char value[];
} eff_saved;

typedef struct eff_caught { /* CATCH_ALL: what is handled.  ANY, in a direct run: what came before */
    eff_frame f;
    weft_exit exit;
} eff_caught;

/* ENSURING, ON_INTERRUPT, ACQUIRE, PROVIDE, UNINTERRUPTIBLE, RESTORE (effect/eff_guard.c) */
struct eff_guard {
    eff_frame f;
    weft_mask mask;
    eff_guard *outer;   /* run.guard, and run.deadline, */
    weft_time deadline; /* outside */
    weft_exit exit;
    uint32_t room;      /* bytes of value */
    char value[] __attribute__((aligned(16)));
};

typedef struct eff_limit { /* TIMEOUT */
    eff_frame f;
    weft_scope scope;
    weft_time at, deadline; /* of a plain thread: its own, and run.deadline outside */
} eff_limit;

typedef struct eff_again { /* RETRY, REPEAT */
    eff_frame f;
    weft_schedule_state state;
} eff_again;

typedef struct eff_loop { /* EACH, in a direct run */
    eff_frame f;
    size_t begun;
} eff_loop;

/* False: no memory. */
bool weft__eff_grow(eff_run *r, size_t bytes);
/* The newest frame is the edge of a piece: go on in the older one. */
void weft__eff_shrink(eff_run *r, eff_frame *edge);

/* A frame of `bytes`; NULL: no memory, and the run fails. */
EFF_INLINE void *eff_push(eff_run *r, const weft_eff_node *n, eff_ref ref, size_t bytes) {
    bytes = (bytes + 15) & ~(size_t)15;
    if (WEFT_UNLIKELY((size_t)((char *)r->limit - (char *)r->top) < bytes + 16 + sizeof *r->top)) {
        if (!weft__eff_grow(r, bytes)) return weft__eff_no_memory(r), NULL;
    }
    eff_frame *f = (eff_frame *)(((uintptr_t)r->top + 15) & ~(uintptr_t)15);
    f->n = *n;
    f->ref = ref;
    f->below = r->top;
    f->state = EFF_FIRST;
    r->top = (uintptr_t *)(void *)((char *)f + bytes);
    *r->top++ = (uintptr_t)f | EFF_FRAME;
    return f;
}
EFF_INLINE void eff_pop(eff_run *r, eff_frame *f) { r->top = f->below; }
EFF_INLINE eff_frame *eff_top(const eff_run *r) { return (eff_frame *)(r->top[-1] & ~(uintptr_t)EFF_FRAME); }
EFF_INLINE bool eff_lives(const eff_frame *f) { return eff_node(f->ref) != NULL; }

/* Run the effect, and what is pending above the bottom, to the end. */
void weft__eff_loop(eff_run *r, eff_ref ref);
/* n, which is not among those that the loop knows, is to be run: what to do next. */
uintptr_t weft__eff_enter(eff_run *r, const weft_eff_node *n, eff_ref ref);
/* The frame on top gets the value in v. */
uintptr_t weft__eff_value(eff_run *r, eff_frame *f);
/* The frame on top gets run.exit, which is not ok. */
uintptr_t weft__eff_failure(eff_run *r, eff_frame *f);

/* effect/eff_par.c */
uintptr_t weft__eff_par(eff_run *r, const weft_eff_node *n, eff_ref ref);
uintptr_t weft__eff_par_value(eff_run *r, eff_frame *f);
uintptr_t weft__eff_par_failure(eff_run *r, eff_frame *f);

/* effect/eff_time.c.  Those that leave look at run.exit. */
uintptr_t weft__eff_sleep(eff_run *r, weft_duration d);
uintptr_t weft__eff_wait(eff_run *r, const weft_eff_node *n);
uintptr_t weft__eff_limit_enter(eff_run *r, const weft_eff_node *n, eff_ref ref);
uintptr_t weft__eff_limit_leave(eff_run *r, eff_limit *l);
uintptr_t weft__eff_again_enter(eff_run *r, const weft_eff_node *n, eff_ref ref);
uintptr_t weft__eff_again(eff_run *r, eff_again *a);
uintptr_t weft__eff_memo_enter(eff_run *r, const weft_eff_node *n, eff_ref ref);
uintptr_t weft__eff_memo_leave(eff_run *r, eff_frame *f);

/* effect/eff_guard.c */
uintptr_t weft__eff_guard_enter(eff_run *r, const weft_eff_node *n, eff_ref ref);
uintptr_t weft__eff_guard_value(eff_run *r, eff_guard *g);
uintptr_t weft__eff_guard_failure(eff_run *r, eff_guard *g);

#endif
