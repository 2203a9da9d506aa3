/* sched/timeline.c -- the pairing heap behind sched/timeline.h.
 *
 * Two trees meld by one comparison: the later root becomes the eldest child of the earlier.  The children of a timer
 * that leaves are paired from the eldest on, then the pairs melded from the last one back; the pairs wait in a stack
 * through their own links.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/timeline.h"

static bool before(const timer *a, const timer *b) {
    return a->deadline != b->deadline ? a->deadline < b->deadline : a->seq < b->seq;
}

/* pre: both are roots; b may be NULL. */
static timer *meld(timer *a, timer *b) {
    if (!b) return a;
    if (before(b, a)) {
        timer *swap = a;
        a = b;
        b = swap;
    }
    b->back = a;
    b->sibling = a->child;
    if (a->child) a->child->back = b;
    a->child = b;
    return a;
}

/* Takes one tree off a list of siblings. */
static timer *take_first(timer **list) {
    timer *t = *list;
    if (!t) return NULL;
    *list = t->sibling;
    t->sibling = t->back = NULL;
    return t;
}

/* One tree of a list of siblings. */
static timer *join_siblings(timer *list) {
    timer *pairs = NULL;
    while (list) {
        timer *a = take_first(&list);
        a = meld(a, take_first(&list));
        a->sibling = pairs;
        pairs = a;
    }
    timer *root = take_first(&pairs);
    while (pairs) root = meld(root, take_first(&pairs));
    return root;
}

/* Takes t with the tree below it out of its parent's children.  pre: t is not the root. */
static void cut(timer *t) {
    timer *back = t->back;
    if (back->child == t) back->child = t->sibling;
    else back->sibling = t->sibling;
    if (t->sibling) t->sibling->back = back;
}

/* Lock held. */
static void unlink_timer(timeline *l, timer *t) {
    timer *rest = join_siblings(t->child);
    if (t == l->root) l->root = rest;
    else {
        cut(t);
        l->root = meld(l->root, rest);
    }
    atom_store_rel(&l->count, timeline_count(l) - 1);
    atom_store_rlx(&t->home, 0);
}

#define SEQ_LATE ((uint64_t)1 << 63) /* in seq */

static inline __attribute__((always_inline)) void link_as(timeline *l, timer *t, int64_t deadline, uint64_t seq) {
    t->sibling = t->back = t->child = NULL;
    t->deadline = deadline;
    t->seq = seq;
    atom_store_rlx(&t->home, (uintptr_t)l);
    l->root = meld(t, l->root);
    atom_store_rlx(&l->count, timeline_count(l) + 1);
}

void weft__timeline_link(timeline *l, timer *t, int64_t deadline) { link_as(l, t, deadline, l->seq++); }
void weft__timeline_link_late(timeline *l, timer *t, int64_t deadline) { link_as(l, t, deadline, l->seq++ | SEQ_LATE); }

void weft__timeline_arm(timeline *l, timer *t, int64_t deadline) {
    timeline_lock(l);
    weft__timeline_link(l, t, deadline);
    timeline_unlock(l);
}

/* The lock is taken even for a timer that is not armed: its callback may be running. */
bool weft__timeline_cancel(timeline *l, timer *t) {
    timeline_lock(l);
    bool armed = atom_load_rlx(&t->home) == (uintptr_t)l;
    if (armed) unlink_timer(l, t);
    timeline_unlock(l);
    return armed;
}

bool weft__timeline_first(timeline *l, int64_t *deadline) {
    timeline_lock(l);
    bool any = l->root != NULL;
    if (any) *deadline = l->root->deadline;
    timeline_unlock(l);
    return any;
}

/* Lock held. */
static timer *pop(timeline *l, int64_t limit) {
    timer *t = l->root;
    if (!t || t->deadline > limit) return NULL;
    unlink_timer(l, t);
    return t;
}

timer *weft__timeline_pop(timeline *l, int64_t limit) {
    timeline_lock(l);
    timer *t = pop(l, limit);
    timeline_unlock(l);
    return t;
}

size_t weft__timeline_pop_until(timeline *l, int64_t limit, timer_fire *fire, void *arg) {
    size_t fired = 0;
    timeline_lock(l);
    for (timer *t; (t = pop(l, limit)) != NULL; fired++) fire(t, arg);
    timeline_unlock(l);
    return fired;
}

bool weft__timeline_pop_one(timeline *l, int64_t limit, timer_fire *fire, void *arg) {
    timeline_lock(l);
    timer *t = pop(l, limit);
    if (t) fire(t, arg);
    timeline_unlock(l);
    return t != NULL;
}

/* ---- audit ------------------------------------------------------------------------------------------- */

static bool links_sound(const timeline *l, const timer *t) {
    if (atom_load_rlx(&t->home) != (uintptr_t)l || (t->seq & ~SEQ_LATE) >= l->seq) return false;
    if (t->child && (t->child->back != t || !before(t, t->child))) return false;
    return !t->sibling || t->sibling->back == t;
}

/* The parent; NULL for the root. */
static timer *parent_of(timer *t) {
    while (t->back && t->back->child != t) t = t->back;
    return t->back;
}

/* The next timer, parents before children. */
static timer *walk(timer *t) {
    if (t->child) return t->child;
    while (t && !t->sibling) t = parent_of(t);
    return t ? t->sibling : NULL;
}

/* Each timer's parent is found by a walk to the eldest sibling: quadratic in the worst case. */
bool weft__timeline_audit(timeline *l) {
    timeline_lock(l);
    size_t timers = 0;
    bool sound = !l->root || (!l->root->back && !l->root->sibling);
    for (timer *t = l->root; sound && t; t = walk(t), timers++) {
        const timer *parent = parent_of(t);
        sound = links_sound(l, t) && (!parent || before(parent, t));
    }
    sound = sound && timers == timeline_count(l);
    timeline_unlock(l);
    return sound;
}
