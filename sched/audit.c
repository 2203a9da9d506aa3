/* sched/audit.c -- invariants, walked.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/audit.h"
#include "sched/evidence.h"
#include "sched/misuse.h"

#define AUDIT(condition, text)                                                               \
    do {                                                                                     \
        if (!(condition)) weft__misuse("audit: %s (%s); this is a defect of Weft", text, #condition); \
    } while (0)

void weft__audit_children(const fiber *f) {
    bool past_anchor = f->anchor == &f->root;
    const weft_task *t = &f->root;
    for (; t != f->pub.head; t = t->newer) {
        const weft_task *next = t->newer;
        AUDIT(next->older == t, "children are linked both ways");
        AUDIT(next->site != WEFT__JOINED, "a joined child is not outstanding");
        AUDIT(((next->site & WEFT__SHARED) != 0) == !past_anchor, "shared children are the older ones");
        if (next == f->anchor) past_anchor = true;
    }
    AUDIT(past_anchor, "the anchor is among the children");
}

/* Each slot leads to what was installed here, or where the one around it leads; a body with a stack of its own begins anew. */
static void audit_vector(const weft__evidence *e) {
    const weft__evidence *outer = e->outer;
    bool root = e->own == NULL;
    AUDIT(e->slots >= 1 && !e->at[0], "slot 0 is nobody's");
    AUDIT(e->fast == (e->observers ? 1 : e->slots), "performs look for themselves where nobody observes");
    AUDIT(e->shared->shared == e->shared, "children of children see what children do");
    AUDIT(root || e->slots >= outer->slots, "what is around is seen inside");
    uint32_t found = 0;
    for (uint32_t i = 0; i < e->slots && !root; i++) {
        const weft__entry *at = e->at[i], *around = i < outer->slots ? outer->at[i] : NULL;
        bool own = at >= e->own && at < e->own + e->n_own;
        AUDIT(own || at == around, "an entry is the vector's own, or the one around it");
        AUDIT(!own || at->next == around, "an entry knows the next one out");
        found += own;
    }
    AUDIT(found <= e->n_own, "no entry stands in two slots");
    for (uint32_t i = 0; i < e->n_own; i++) AUDIT(e->own[i].outer == outer, "a clause runs outside of its own handler");
    const weft__copy *c = atom_load_acq((_Atomic(weft__copy *) *)(uintptr_t)&e->copy);
    if (!c) return;
    AUDIT(atom_load_rlx(&c->refs) > 0, "a copy that a frame has is referred to");
    AUDIT(c->evidence.n_own == e->n_own && c->evidence.slots == e->slots, "a copy is of the same entries");
    AUDIT(c->evidence.shared == &c->evidence, "of a copy everything is shared");
}

void weft__audit_evidence(const fiber *f) {
    AUDIT(evidence_is_apart(f) || f->pub.env->shared == f->pub.env, "E4: children called here do not see what is not shared");
    for (const weft__evidence *e = f->pub.env; e != &weft__no_evidence; e = e->outer) {
        audit_vector(e);
        if (e->shared != e && e->shared != e->outer->shared) audit_vector(e->shared);
    }
}

/* A worker that searches touches its queues; one that sleeps does not, and then others may look. */
static bool all_asleep(runtime *rt) {
    unsigned n = 0;
    for (unsigned i = 0; i < idle_words(&rt->idle); i++)
        n += (unsigned)__builtin_popcountll(atom_load_seq(&rt->idle.mask[i]));
    return n == rt->n_workers;
}

void weft__audit_quiet(runtime *rt) {
    while (!all_asleep(rt)) weft__os_yield();
    AUDIT(!inbox_any(&rt->outside), "nothing from outside is left");
    AUDIT(atom_load_seq(&rt->idle.nsearch) <= rt->n_workers, "only workers search");
    AUDIT(timeline_audit(&rt->timeline), "the timeline is sound");
    AUDIT(atom_load_acq(&rt->roots) || !atom_load_acq(&rt->root.inner), "without tasks from outside nothing is published at the root");
    for (unsigned i = 0; i < rt->n_workers; i++) {
        worker *w = &rt->workers[i];
        AUDIT(wheel_audit(&w->wheel), "the wheel is sound");
        AUDIT(deque_size(&w->deque) == 0, "no shared child is left");
        AUDIT(deque_audit(&w->deque, NULL, NULL), "the ring is sound");
        AUDIT(weft__queue_empty(w) && !inbox_any(&w->inbox), "no ready work is left");
        AUDIT(run_queue_size(&w->open) == 0, "the public queue is empty");
    }
}
