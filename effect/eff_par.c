/* effect/eff_par.c -- effects at once: zip_par, race, any, for_each_par.
 *
 * On a fiber a branch is a run of its own, and the branches of a node are those of a combinator (effect/par.h), or the items of
 * a loop; what they work on lies in a frame of the node's run.  In a direct run they are effects like others, one after the
 * other.
 *
 * A branch's stack is its own only if it waited, so a parallel effect in a branch of a parallel effect, and so on, is a nest of
 * calls.  Where the stack runs short it goes on in a fiber of its own.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/eff_frame.h"
#include "sched/cause.h"
#include "sched/exit.h"
#include "sched/fail.h"
#include <weft/fiber.h>
#include <weft/par.h>

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* ---- a branch ------------------------------------------------------------------------------------- */

typedef struct arm {
    weft_task task;
    eff_start start;
    void *out;
    size_t bytes;
    const weft_eff_options *o;
} arm;

/* A branch says how it ended as any function does; if it was told to stop, who stopped it knows. */
static void say(weft_exit e) {
    fiber *f = thread_fiber();
    if (e.tag == WEFT_EXIT_INTERRUPT && f->told <= f->pub.scope->depth)
        weft__cause_drop(e.cause);
    else if (!weft_ok(e))
        weft__exit_record(e);
}

static void run_arm(weft_task *task, weft_head head) {
    arm *a = (arm *)task;
    (void)head;
    say(weft__eff_exec(a->start, a->out, a->bytes, a->o));
}

/* In the frame of the node: a branch for each, and values where they do not go to their places. */
typedef struct arms {
    eff_frame f;
    weft_site site;
    size_t n;
    arm *arm;
    weft_branch *branch;
    char *value;
} arms;

static arms *make(eff_run *r, const weft_eff_node *node, eff_ref ref, size_t n, size_t bytes) {
    bytes = (bytes + 15) & ~(size_t)15;
    arms *a = eff_push(r, node, ref, sizeof *a + n * (sizeof(arm) + sizeof(weft_branch) + bytes) + 16);
    if (!a) return NULL;
    a->site = (weft_site){weft__branch_run, node->site->name, node->site->file, node->site->line};
    a->n = n;
    a->value = (char *)(((uintptr_t)(a + 1) + 15) & ~(uintptr_t)15);
    a->arm = (arm *)(void *)(a->value + n * bytes);
    a->branch = (weft_branch *)(void *)(a->arm + n);
    for (size_t i = 0; i < n; i++)
        a->branch[i] = (weft_branch){.site = &a->site, .run = run_arm, .call = &a->arm[i].task, .size = sizeof(arm)};
    return a;
}

static void set(const eff_run *r, arms *a, size_t i, eff_ref ref, void *out, size_t bytes) {
    a->arm[i] = (arm){.start.ref = ref, .out = out, .bytes = bytes, .o = r->o};
}

static uintptr_t over(eff_run *r, eff_frame *f, weft_exit e) {
    eff_pop(r, f);
    return WEFT_LIKELY(weft_ok(e)) ? EFF_VALUE : weft__eff_fail_lent(r, e);
}

static size_t bytes_of(eff_ref ref) {
    const weft_eff_node *n = eff_node(ref);
    return n ? n->bytes : 0;
}

static uintptr_t both(eff_run *r, const weft_eff_node *n, eff_ref ref) {
    arms *a = make(r, n, ref, 2, 0);
    if (!a) return EFF_FAILED;
    set(r, a, 0, n->a, r->v + n->u.two.at[0], bytes_of(n->a));
    set(r, a, 1, n->u.two.b, r->v + n->u.two.at[1], bytes_of(n->u.two.b));
    return over(r, &a->f, weft_all_of(a->branch, 2, NULL));
}

static uintptr_t first(eff_run *r, const weft_eff_node *n, eff_ref ref) {
    const eff_ref *branch = n->u.leaf.with;
    size_t who = n->count, step = (n->bytes + 15u) & ~15u;
    arms *a = make(r, n, ref, n->count, n->bytes);
    if (!a) return EFF_FAILED;
    for (size_t i = 0; i < n->count; i++) set(r, a, i, branch[i], a->value + i * step, n->bytes);
    weft_exit e = n->kind == WEFT__EFF_RACE ? weft_race_of(&who, a->branch, n->count, NULL)
                                            : weft_any_of(&who, a->branch, n->count, NULL);
    if (weft_ok(e)) eff_copy(r->v, a->value + who * step, n->bytes);
    return over(r, &a->f, e);
}

/* ---- many items ----------------------------------------------------------------------------------- */

typedef struct crowd {
    const weft__eff_each_spec *spec;
    const weft_eff_options *o;
} crowd;

static eff_start start_of(const weft__eff_each_spec *s, size_t i) {
    return (eff_start){.fn = s->fn, .in = (const char *)s->items + i * s->stride, .with = s->with};
}
static void *result(const weft__eff_each_spec *s, size_t i) {
    return s->results ? (char *)s->results + i * s->bytes : NULL;
}

static void run_item(const void *items, void *results, size_t i) {
    const crowd *c = items;
    (void)results;
    say(weft__eff_exec(start_of(c->spec, i), result(c->spec, i), c->spec->bytes, c->o));
}

static uintptr_t each(eff_run *r, const weft_eff_node *n) {
    const weft__eff_each_spec *s = n->u.leaf.with;
    const crowd c = {s, r->o};
    const weft_site site = {weft__lane_run, n->site->name, n->site->file, n->site->line};
    const weft__each_call call = {run_item, &c, NULL, s->n, &site};
    const weft_each_options o = {.parallelism = s->parallelism};
    weft_exit e = weft__for_each(&call, &o);
    return WEFT_LIKELY(weft_ok(e)) ? EFF_VALUE : weft__eff_fail_lent(r, e);
}

/* ---- one after the other -------------------------------------------------------------------------- */

static uintptr_t next_branch(eff_run *r, eff_frame *f) {
    eff_caught *c = (eff_caught *)f;
    const eff_ref *branch = f->n.u.leaf.with;
    if (r->exit.tag != WEFT_EXIT_INTERRUPT && eff_lives(f) && ++f->state < f->n.count) {
        c->exit = weft__exit_both(c->exit, r->exit);
        r->exit = success;
        return branch[f->state];
    }
    if (r->exit.tag == WEFT_EXIT_INTERRUPT)
        weft__cause_drop(c->exit.cause);
    else
        r->exit = weft__exit_both(c->exit, r->exit);
    eff_pop(r, f);
    return EFF_FAILED;
}

static uintptr_t next_item(eff_run *r, eff_loop *l) {
    if (!eff_lives(&l->f)) return weft__eff_stale(r);
    const weft__eff_each_spec *s = l->f.n.u.leaf.with;
    if (l->begun) { /* it has a value */
        void *to = result(s, l->begun - 1);
        if (to) eff_copy(to, r->v, s->bytes);
    }
    if (l->begun == s->n) {
        eff_pop(r, &l->f);
        return EFF_VALUE;
    }
    eff_start i = start_of(s, l->begun++);
    return weft__eff_next(r, i.fn, i.in, i.with);
}

static uintptr_t directly(eff_run *r, const weft_eff_node *n, eff_ref ref) {
    const eff_ref *branch = n->u.leaf.with;
    switch (n->kind) {
    case WEFT__EFF_ZIP_PAR: return eff_push(r, n, ref, sizeof(eff_saved) + bytes_of(n->a)) ? n->a : EFF_FAILED;
    case WEFT__EFF_RACE: return branch[0];
    case WEFT__EFF_ANY: {
        eff_caught *c = eff_push(r, n, ref, sizeof *c);
        if (c) c->exit = success;
        return c ? branch[0] : EFF_FAILED;
    }
    default: {
        eff_loop *l = eff_push(r, n, ref, sizeof *l);
        if (!l) return EFF_FAILED;
        l->begun = 0;
        return next_item(r, l);
    }
    }
}

uintptr_t weft__eff_par_value(eff_run *r, eff_frame *f) {
    if (f->n.kind == WEFT__EFF_EACH) return next_item(r, (eff_loop *)f);
    weft__cause_drop(((eff_caught *)f)->exit.cause);
    eff_pop(r, f);
    return EFF_VALUE;
}

uintptr_t weft__eff_par_failure(eff_run *r, eff_frame *f) {
    if (f->n.kind == WEFT__EFF_ANY) return next_branch(r, f);
    eff_pop(r, f);
    return EFF_FAILED;
}

/* ---- by kind -------------------------------------------------------------------------------------- */

static uintptr_t refuse(eff_run *r, const weft_eff_node *n) {
    if (n->kind != WEFT__EFF_EACH)
        return eff_fail(r, FAILED(WEFT_E_INVALID, "weft_eff_race, weft_eff_any: no branch could ever end; pass at least one"));
    return eff_fail(r, FAILED(WEFT_E_INVALID, "weft_eff_for_each_par: the parallelism is negative, or there is a number of items, "
                                              "but no items"));
}

static bool bad(const weft_eff_node *n) {
    const weft__eff_each_spec *s = n->u.leaf.with;
    if (n->kind == WEFT__EFF_ZIP_PAR) return false;
    return n->kind == WEFT__EFF_EACH ? s->parallelism < 0 || (s->n && !s->items) : n->count == 0;
}

static uintptr_t at_once(eff_run *r, const weft_eff_node *n, eff_ref ref) {
    switch (n->kind) {
    case WEFT__EFF_ZIP_PAR: return both(r, n, ref);
    case WEFT__EFF_EACH: return each(r, n);
    default: return first(r, n, ref);
    }
}

/* ---- where the stack runs short ------------------------------------------------------------------- */

enum { STACK_FOR_BRANCHES = 8 * 1024 };

typedef struct elsewhere {
    eff_ref ref;
    void *out;
    size_t bytes;
    const weft_eff_options *o;
} elsewhere;

static int run_elsewhere(elsewhere *e) {
    say(weft__eff_exec((eff_start){.ref = e->ref}, e->out, e->bytes, e->o));
    return 0;
}
typedef elsewhere *elsewhere_ref;
WEFT_TASK(run_elsewhere, int, elsewhere_ref);

static uintptr_t on_a_new_stack(eff_run *r, const weft_eff_node *n, eff_ref ref) {
    elsewhere e = {ref, r->v, n->bytes, r->o};
    weft_exit x = success, began = success;
    WEFT_SCOPE(s, &x) began = weft_spawn((run_elsewhere_fiber *)NULL, run_elsewhere, &e);
    if (weft_ok(began)) began = x;
    return weft_ok(began) ? EFF_VALUE : weft__eff_fail_lent(r, began);
}

uintptr_t weft__eff_par(eff_run *r, const weft_eff_node *n, eff_ref ref) {
    if (WEFT_UNLIKELY(bad(n))) return refuse(r, n);
    if (!r->f || r->o->direct) return directly(r, n, ref);
    if (WEFT_UNLIKELY((uintptr_t)weft__sp() - (uintptr_t)r->f->stk.lo < STACK_FOR_BRANCHES)) return on_a_new_stack(r, n, ref);
    return at_once(r, n, ref);
}
