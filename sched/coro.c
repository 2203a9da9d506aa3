/* sched/coro.c -- coros: kept, begun, ended.  What must hold: sched/coro.h.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/coro.h"
#include "sched/carried.h"
#include "sched/det.h"
#include "sched/evidence.h"
#include "sched/exit.h"

/* The fiber is the same on every worker. */
static void coro_entry(void *note) {
    fiber *self = thread_fiber();
    (void)note;
    for (;;) self->coro_fn(self->coro_arg);
}

/* C5.  From its last owner's hands, when no continuation of it is open. */
static void coro_drop(worker *w, fiber *c) {
    uint64_t last = atom_load_rlx(&c->ticket), most = atom_load_rlx(&w->rt->last_ticket);
    while (last > most && !atom_cas_ar(&w->rt->last_ticket, &most, last)) {}
    weft__carrier_drop(w, c);
}

fiber *weft__coro_get(worker *w) {
    fiber *c = w->coros;
    if (weft_fault_point(FAULT_STACK)) return NULL;
    if (WEFT_LIKELY(c != NULL)) {
        w->coros = c->below;
        w->n_coros--;
        return c;
    }
    c = weft__fiber_fresh(w, w->rt->stack_cls);
    if (!c) return NULL;
    weft__ctx_native_init(&c->ctx, c->stk.lo, (char *)c, coro_entry);
    atom_store_rlx(&c->ticket, atom_load_rlx(&w->rt->last_ticket));
    return c;
}

void weft__coro_put(worker *w, fiber *c) {
    if (w->n_coros >= CARRIERS_KEPT) {
        coro_drop(w, c);
        return;
    }
    c->below = w->coros;
    w->coros = c;
    w->n_coros++;
}

void weft__coros_drop(worker *w) {
    while (w->coros) {
        fiber *c = w->coros;
        w->coros = c->below;
        coro_drop(w, c);
    }
    w->n_coros = 0;
}

uint64_t weft__coros_kept(const runtime *rt) {
    uint64_t kept = 0;
    for (unsigned i = 0; rt->workers && i < rt->workers_bytes / sizeof(worker); i++) {
        const worker_stats *s = &rt->workers[i].stats;
        kept += atom_load_rlx(&s->kept) - atom_load_rlx(&s->used);
    }
    return kept;
}

void weft__coro_driven(fiber *f) {
    before_leaving(f);
    if (f->then) weft__look_and_stay(f);
    if (f->pub.epoch == EPOCH_LOOK) weft__look_around(f);
}

void weft__coro_begins(fiber *c, fiber *f, weft_task *t, void (*fn)(void *arg), void *arg, bool is_f) {
    if (coro_cares(f)) weft__coro_driven(f);
    weft__task_begins(c, t, f->pub.scope);
    if (WEFT_UNLIKELY(c->carried != NULL)) c->carried->ops->lend(c->carried, f, c, is_f);
    c->where = f->where;
    c->told = TOLD_NOTHING;
    c->coro_fn = fn;
    c->coro_arg = arg;
    c->driver = f;
    if (WEFT_UNLIKELY(f->rt->det != NULL)) c->name = weft__det_strand(f->rt->det);
}

void weft__coro_ends(fiber *c) {
    c->where = WHERE_ANY;
    atom_store_rlx(&c->drives, NULL);
    carried *lent = c->carried;
    weft__task_ends(c);
    if (WEFT_UNLIKELY(lent != NULL)) lent->ops->unlend(lent, c, c->driver);
}

/* ---- more stack --------------------------------------------------------------------------------------- */

typedef struct aside {
    weft_task task;
    void (*fn)(void *arg);
    void *arg;
    weft_exit said;
} aside;

static void call_aside(void *arg) {
    aside *a = arg;
    fiber *self = thread_fiber(), *driver;
    weft_task *head = self->pub.head;
    a->fn(a->arg);
    check_over(self, &a->task, head, 0);
    a->said = self->exit;
    self->exit = (weft_exit){WEFT_EXIT_OK, 0, NULL};
    weft__coro_ends(self);
    driver = self->driver;
    coro_switch(self, driver, NULL);
}

static const weft_site aside_site = {NULL, "more stack", __FILE__, __LINE__};

bool weft__coro_call(fiber *f, void (*fn)(void *arg), void *arg) {
    aside a = {.fn = fn, .arg = arg};
    fiber *c = weft__coro_get(f->w);
    if (!c) return false;
    a.task.site = (uintptr_t)&aside_site;
    weft__coro_begins(c, f, &a.task, call_aside, &a, true);
    evidence_set(c, c->env = f->pub.env);
    atom_store_rlx(&f->drives, c);
    coro_switch(f, c, NULL);
    atom_store_rlx(&f->drives, NULL);
    bool told = c->told == 0;
    weft__coro_put(f->w, c);
    weft__exit_record(a.said);
    if (told) (void)weft__look_up(f); /* what was told there is f's: it is one task */
    return true;
}

/* ---- where there is no assembly for it ------------------------------------------------------------------- */

#ifndef WEFT__CORO_ASSEMBLY
weft_exit weft__coro_hop(ctx *from, ctx *to, void *note, const weft_exit *result) {
    weft__ctx_native_switch(from, to, note);
    return *result;
}

weft_exit weft__coro_drive(void *a1, uint64_t a2, const void *a3, const void *a4, void *a5, coro_begin *begin) {
    coro_drive d;
    for (ctx *to = begin(a1, a2, a3, a4, a5, &d); to;) to = d.step(&d, weft__ctx_native_switch(d.from, to, NULL));
    return d.exit;
}
#else
_Static_assert(sizeof(coro_drive) <= 160 && offsetof(coro_drive, from) == 16 && offsetof(coro_drive, step) == 24,
               "coro_x86_64.S knows this");
_Static_assert(offsetof(ctx, sp) == 0, "and this");
#endif
