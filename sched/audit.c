/* sched/audit.c -- invariants, walked.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/audit.h"
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
