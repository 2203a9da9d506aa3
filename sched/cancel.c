/* sched/cancel.c -- cancelling: down the tree to wake, up the tree to look.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/cancel.h"
#include "alloc/arch.h"
#include "alloc/heap.h"
#include "sched/cause.h"
#include "sched/det.h"
#include "sched/clock.h"
#include "sched/exit.h"
#include "sched/local.h"
#include "sched/registry.h"
#include "sched/switch.h"

const weft_site weft__region_site = {NULL, "scope", __FILE__, __LINE__};

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* ---- publishing --------------------------------------------------------------------------------------- */

static void link_inner(weft__node *outer, weft__node *n) {
    n->prev = NULL;
    n->next = node_inner(outer);
    if (n->next) n->next->prev = n;
    atom_store_rel(&outer->inner, (uintptr_t)n);
}

void weft__node_publish(weft__node *n) {
    while (n->outer && !(atom_load_acq(&n->state) & NODE_PUBLISHED)) {
        weft__node *outer = n->outer;
        node_lock(outer);
        if (!(atom_load_rlx(&n->state) & NODE_PUBLISHED)) {
            link_inner(outer, n);
            atom_or_ar(&n->state, NODE_PUBLISHED); /* linked first: who sees it waits without the lock, and reach_fiber has none */
        }
        node_unlock(outer);
        n = outer;
    }
}

void weft__node_retract(weft__node *n) {
    weft__node *outer = n->outer;
    node_lock(outer);
    if (n->next) n->next->prev = n->prev;
    if (n->prev)
        n->prev->next = n->next;
    else
        atom_store_rlx(&outer->inner, (uintptr_t)n->next);
    node_unlock(outer);
}

weft__node *weft__node_home(fiber *f) {
    weft__node *n = f->pub.scope;
    for (; n->outer; n = n->outer) {
        if (n->kind == WEFT__SCOPE) return n;
        if (n->kind == WEFT__BASE && !node_owner(n)->strand) return &f->w->rt->root;
    }
    return n;
}

weft_fiber *weft__part_of(const fiber *f) {
    while (f && f->strand) f = node_owner(f->base.outer);
    return f ? f->self : NULL;
}

/* The list of a scope: newest first. */
bool weft__node_join(weft__node *n, weft_fiber *s) {
    fiber *f = thread_fiber();
    if (f && cancel_due(f)) weft__deadlines_arm(f); /* it must be stopped in time, wherever it runs */
    weft__node_publish(n);
    node_lock(n);
    bool open = !(atom_load_rlx(&n->state) & NODE_CLOSED);
    if (open) {
        atom_or_rlx(&n->state, NODE_MEMBERS);
        s->in[0] = n->fibers;
        s->in[1] = NULL;
        if (n->fibers) n->fibers->in[1] = s;
        n->fibers = s;
        n->live++;
        n->regular += !(s->flags & SPAWN_DAEMON);
    }
    node_unlock(n);
    return open;
}

/* Lock held.  Returns the owner if it is to be woken. */
static fiber *leave_list(weft__node *n, weft_fiber *s) {
    if (s->in[0]) s->in[0]->in[1] = s->in[1];
    if (s->in[1])
        s->in[1]->in[0] = s->in[0];
    else
        n->fibers = s->in[0];
    n->live--;
    n->regular -= !(s->flags & SPAWN_DAEMON);
    fiber *owner = n->live == 0 || n->regular == 0 ? n->closing : NULL;
    if (owner) n->closing = NULL;
    return owner;
}

static void keep_ended(weft__node *n, weft_fiber *s) {
    s->flags |= SPAWN_KEPT;
    s->task.newer = NULL;
    s->task.older = n->ended;
    if (n->ended) n->ended->newer = &s->task;
    n->ended = &s->task;
}

/* Ended fibers are kept, through the links of their tasks, until their handles are dropped, at the latest by the scope.
 * Who unlocks without having linked s is done with n: it may be gone a moment later. */
void weft__node_ended(weft__node *n, weft_fiber *s, weft_exit e) {
    if (!weft_ok(e)) weft__node_failed(n, e);
    node_lock(n);
    fiber *closing = leave_list(n, s);
    s->exit = e;
    if (n->policy != WEFT__SUPERVISE) atom_or_rlx(&s->asked, ASKED_SEEN); /* by the scope */
    if (!(atom_load_rlx(&s->task.join) & END_DROPPED)) keep_ended(n, s);
    node_unlock(n);
    if (closing) weft__wake(closing);
}

/* The handle of s is given up: under the lock, since its end looks whether it was. */
uintptr_t weft__node_drop(weft__node *n, weft_fiber *s) {
    node_lock(n);
    if (s->flags & SPAWN_KEPT) {
        s->flags = (uint8_t)(s->flags & ~SPAWN_KEPT);
        if (s->task.older) s->task.older->newer = s->task.newer;
        if (s->task.newer)
            s->task.newer->older = s->task.older;
        else
            n->ended = s->task.older;
    }
    uintptr_t old = end_drop(&s->task.join);
    node_unlock(n);
    return old;
}

/* s belongs to the runtime from now on.  False: it has ended. */
bool weft__node_detach(weft__node *n, weft_fiber *s) {
    node_lock(n);
    bool live = !(atom_or_ar(&s->asked, ASKED_DETACHING) & (ASKED_ENDING | ASKED_DETACHING));
    fiber *closing = live ? leave_list(n, s) : NULL;
    if (live) {
        s->exit = success;
        spin_lock(&s->rt->walk_lock);
        atom_or_ar(&s->asked, ASKED_DETACHED);
        spin_unlock(&s->rt->walk_lock);
    }
    node_unlock(n);
    if (closing) weft__wake(closing);
    return live;
}

/* The fiber itself, ending: does it still belong to its scope?  Whoever of it and who detaches it comes first decides. */
bool weft__node_keeps(weft_fiber *s) {
    if (s->scope == &s->rt->root) return false;
    if (!(atom_or_ar(&s->asked, ASKED_ENDING) & ASKED_DETACHING)) return true;
    while (!(atom_load_acq(&s->asked) & ASKED_DETACHED)) weft__os_yield();
    return false;
}

void weft__node_failed(weft__node *n, weft_exit e) {
    if (n->policy == WEFT__SUPERVISE || e.tag == WEFT_EXIT_INTERRUPT) return;
    node_lock(n);
    weft__cause_keep(e.cause);
    bool first = weft_ok(n->failure);
    n->failure = weft__exit_both(n->failure, e);
    atom_or_rlx(&n->state, NODE_FAILED);
    node_unlock(n);
    if (first && n->policy == WEFT__FAIL_FAST) weft__node_cancel(n, weft__cause_keep(e.cause));
}

/* Owner, lock held: may it go on, now that no regular fiber is left?  Daemons are cancelled then. */
static bool only_daemons(const weft__node *n) {
    return n->live && !n->regular && !(atom_load_rlx(&n->state) & NODE_CANCELLED);
}

/* One step of waiting.  What to go on with is picked before the lock is taken: that may serve timers, which cancel. */
static void wait_for_fibers(fiber *f, weft__node *n) {
    before_leaving(f);
    weft__look_and_stay(f);
    item next = weft__queue_pop(f->w);
    fiber *to = next_context(f->w, next);
    if (!to) return weft__help(f);
    waits_for(f, "the fibers of its scope", n);
    node_lock(n);
    if (!n->live || only_daemons(n)) {
        node_unlock(n);
        weft__leave_not(f, to, next);
        return;
    }
    n->closing = f;
    fiber_leave(f, to, (after){AFTER_LOCK, f, NULL, (void *)&n->lock});
}

static void drop_ended(weft_task *t) {
    for (weft_task *older; t; t = older) {
        older = t->older;
        weft__spawn_forget(spawn_of_task(t));
    }
}

void weft__node_close(fiber *f, weft__node *n) {
    node_lock(n);
    while (n->live) {
        bool daemons = only_daemons(n);
        node_unlock(n);
        if (daemons)
            weft__node_cancel(n, NULL);
        else
            wait_for_fibers(f, n);
        node_lock(n);
    }
    atom_or_rlx(&n->state, NODE_CLOSED);
    weft_task *ended = n->ended;
    n->ended = NULL;
    node_unlock(n);
    drop_ended(ended);
}

/* ---- downwards ---------------------------------------------------------------------------------------- */

void weft__wake(fiber *f) {
    fiber *me = thread_fiber();
    if (me && me->rt == f->rt)
        weft__ready(me->w, f);
    else
        weft__inject_visiting(f->rt, item_of_fiber(f));
}

static void poke(fiber *f, unsigned depth) {
    if (WEFT_UNLIKELY(atom_load_rlx(&f->rt->forced))) depth = WAIT_FLOOR_MAX;
    if (wait_poke(&f->winner, depth)) weft__wake(f);
}

static void reach_fiber(weft_fiber *s);

/* Through masks and shields as well: whom they cover looks, and waits again. */
static void reach_below(weft__node *n) {
    node_lock(n);
    for (weft_fiber *s = n->fibers; s; s = s->in[0]) reach_fiber(s);
    for (weft__node *m = node_inner(n); m; m = m->next) {
        if (m->kind == WEFT__BASE) poke(node_owner(m), 0);
        reach_below(m);
    }
    node_unlock(n);
}

static void reach_fiber(weft_fiber *s) {
    fiber *f = atom_load_seq(&s->on);
    if (!f) return;
    poke(f, 0);
    if (WEFT_UNLIKELY(atom_load_seq(&f->base.inner))) reach_below(&f->base); /* who publishes after this, looks after it */
}

void weft__node_reach(weft__node *n) {
    if (n->owner) poke(node_owner(n), n->depth);
    reach_below(n);
}

static void new_epoch(runtime *rt) { atom_add_seq(&rt->epoch, 1); }

static runtime *runtime_of(weft__node *n) {
    return n->owner ? node_owner(n)->rt : (runtime *)((char *)n - offsetof(runtime, root));
}

void weft__node_cancel(weft__node *n, const weft_cause *why) {
    node_lock(n);
    bool first = !n->why;
    if (first) n->why = why;
    node_unlock(n);
    if (!first) weft__cause_drop(why);
    atom_or_ar(&n->state, NODE_CANCELLED | NODE_STOPPING);
    new_epoch(runtime_of(n));
    weft__node_reach(n);
}

void weft__node_stopping(weft__node *n) {
    atom_or_ar(&n->state, NODE_STOPPING);
    new_epoch(runtime_of(n));
}

/* The block may be about to be freed and used again: then its new fiber looks once in vain. */
void weft__fiber_cancel(weft_fiber *s, const weft_cause *why, bool soft) {
    runtime *rt = s->rt;
    uint64_t none = 0;
    if (soft || !atom_cas_ar(spawn_why_word(s), &none, (uint64_t)(uintptr_t)why)) weft__cause_drop(why);
    atom_or_ar(&s->asked, (uint8_t)(soft ? ASKED_SOON : ASKED_STOP | ASKED_SOON));
    new_epoch(rt);
    if (!soft) reach_fiber(s);
}

/* ---- upwards ------------------------------------------------------------------------------------------ */

/* A walk outwards.  What lies around a task stays while the task does, and around a fiber in a scope its scope, unless the
 * fiber is detached meanwhile: so who goes on from the base of such a fiber has `walk_lock` until the end of the walk, and
 * who detaches takes it too. */
typedef struct walk {
    const weft__node *open; /* a mask that is restored here; of several that further out */
    runtime *locked;
} walk;

static weft_fiber *fiber_of_base(const weft__node *n) {
    return n->kind == WEFT__BASE && n->owner ? node_owner(n)->self : NULL;
}

static weft__node *outwards(weft__node *n, walk *k) {
    weft_fiber *s = fiber_of_base(n);
    if (!s || s->scope == &s->rt->root) return n->outer;
    if (!k->locked) {
        k->locked = s->rt;
        spin_lock(&s->rt->walk_lock);
    }
    return atom_load_acq(&s->asked) & ASKED_DETACHED ? &s->rt->root : n->outer;
}

static void walk_end(walk *k) {
    if (k->locked) spin_unlock(&k->locked->walk_lock);
}

/* The next node outwards as far as cancels are concerned: from a restored part of a mask past the mask, from within a
 * mask or a shield nowhere. */
static weft__node *beyond(weft__node *n, walk *k) {
    const weft__node *of = n->kind == WEFT__RESTORE ? (const weft__node *)(const void *)n->why : NULL;
    if (of && (!k->open || of->depth < k->open->depth)) k->open = of;
    bool shut = (n->kind == WEFT__MASK || n->shield) && !atom_load_rlx(&node_owner(n)->rt->forced);
    if (n == k->open)
        k->open = NULL;
    else if (shut && !k->open)
        return NULL;
    return outwards(n, k);
}

static bool base_stopped(const weft__node *n, unsigned bit) {
    weft_fiber *s = fiber_of_base(n);
    return s && atom_load_acq(&s->asked) & bit;
}

/* The node that stops f, NULL if none does.  The walk goes on until walk_end: n stays until then. */
static weft__node *stopped_by(fiber *f, walk *k) {
    for (weft__node *n = f->pub.scope; n; n = beyond(n, k)) {
        if (n->kind != WEFT__RESTORE && n->kind != WEFT__MASK && atom_load_acq(&n->state) & NODE_CANCELLED) return n;
        if (base_stopped(n, ASKED_STOP)) return n;
    }
    return NULL;
}

static const weft_cause *why_of(const weft__node *n) {
    if (n->why) return n->why;
    weft_fiber *s = fiber_of_base(n);
    return s ? spawn_why(s) : NULL;
}

const weft_cause *weft__why_stopped(fiber *f) {
    walk k = {NULL, NULL};
    weft__node *n = stopped_by(f, &k);
    const weft_cause *why = n ? weft__cause_keep(why_of(n)) : NULL;
    walk_end(&k);
    return why;
}

/* Is n one of the scopes of f's own task, and not its base? */
static bool within(const fiber *f, const weft__node *n) { return n->owner == &f->pub && n->kind != WEFT__BASE; }

static weft_exit told_to_stop(fiber *f, weft__node *n) {
    uint16_t depth = within(f, n) ? n->depth : 0;
    if (!depth) f->seen = true;
    if (depth < f->told) f->told = depth;
    if (!(atom_load_rlx(&n->state) & NODE_NOTICED)) atom_or_rlx(&n->state, NODE_NOTICED);
    bool deadlock = !n->outer && f->rt->deadlocked;
    return (weft_exit){WEFT_EXIT_INTERRUPT, deadlock ? WEFT_E_DEADLOCK : WEFT_E_INTERRUPTED, why_of(n)};
}

WEFT_COLD weft_exit weft__look_up(fiber *f) {
    uint64_t now = atom_load_seq(&f->w->rt->epoch);
    if (f->then) {
        if (!f->then_ticket) weft__then_open(f);
        weft__then_look(f);
    }
    weft__deadlines_arm(f);
    walk k = {NULL, NULL};
    weft__node *n = stopped_by(f, &k);
    f->pub.epoch = n ? EPOCH_LOOK : now;
    weft_exit e = n ? told_to_stop(f, n) : success;
    if (k.locked) weft__cause_keep(e.cause); /* n may go as soon as the walk is over */
    walk_end(&k);
    return k.locked ? weft__hold_own(f, e) : e;
}

/* ---- those who wait through `then` -------------------------------------------------------------------- */

/* Outermost first: the moment one is open it may run, and end, and must then find the next one out open. */
WEFT_COLD fiber *weft__then_open(fiber *f) {
    fiber *reversed = NULL, *first = f->then;
    for (fiber *c = f; c->then && !c->then_ticket; c = c->then) {
        c->below = reversed;
        reversed = c;
    }
    while (reversed) {
        fiber *c = reversed;
        reversed = c->below;
        c->then_ticket = wait_begin(&c->then->winner, c->then->floor);
        wait_open(&c->then->winner, c->then_ticket);
    }
    return first;
}

/* An open wait may be over, and its fiber elsewhere, while this reads: then what is read is old or new, fits no wait, and
 * its ticket wins nothing.  The thread sanitizer is not told. */
__attribute__((no_sanitize("thread"))) WEFT_COLD void weft__then_look(fiber *f) {
    fiber *at = f->then;
    uint64_t ticket = f->then_ticket;
    while (at) {
        fiber *outer = at->then;
        uint64_t outer_ticket = at->then_ticket;
        if (atom_load_seq(&at->winner) != ticket) return; /* it goes on by itself, and looks after who waits for it */
        if (at->pub.epoch != atom_load_seq(&f->rt->epoch) && wait_win(&at->winner, ticket, WAIT_CANCEL)) weft__wake(at);
        at = outer;
        ticket = outer_ticket;
    }
}

WEFT_COLD void weft__look_and_stay(fiber *f) {
    if (f->then && !f->then_ticket) {
        weft__then_open(f);
        atom_or_ar(&f->base.state, 0); /* a read-modify-write, for the fence */
        atom_fence_after_rmw();
        weft__then_look(f);
    }
    if (cancel_due(f)) weft__deadlines_arm(f);
}

weft_exit weft_checkpoint(void) {
    fiber *f = thread_fiber();
    if (!f) return success;
    if (WEFT_UNLIKELY(weft__attn())) { /* a poll as good as a fork */
        weft__attend_timers(f->w);
        weft__attend(f);
        if (f->w->rt->det) weft__det_minor_point(f);
    }
    return cancel_point(f) ? weft__look_up(f) : success;
}

/* Masks do not hide it: who is masked wants to know. */
bool weft_stopping(void) {
    fiber *f = thread_fiber();
    walk k = {NULL, NULL};
    bool stopping = false;
    for (weft__node *n = f ? f->pub.scope : NULL; n && !stopping; n = outwards(n, &k)) {
        stopping = atom_load_acq(&n->state) & (NODE_CANCELLED | NODE_STOPPING) && n->kind != WEFT__RESTORE;
        stopping = stopping || base_stopped(n, ASKED_SOON);
    }
    walk_end(&k);
    return stopping;
}

/* The earliest deadline around f, as far as nothing shuts it out. */
int64_t weft__deadline_around(fiber *f) {
    walk k = {NULL, NULL};
    int64_t at = INT64_MAX;
    weft__deadlines_arm(f);
    for (weft__node *n = f->pub.scope; n; n = n->shield || n->kind == WEFT__MASK ? NULL : outwards(n, &k)) {
        if (!(atom_load_acq(&n->state) & NODE_TIMED)) continue;
        int64_t d = ((weft__deadline *)(region_of(n) + 1))->at;
        if (d < at) at = d;
    }
    walk_end(&k);
    return at;
}

/* ---- masks -------------------------------------------------------------------------------------------- */

void weft_mask_begin(weft_mask *m) {
    fiber *f = thread_fiber();
    if (!f) return;
    weft__region_enter(&m->region, &f->pub, WEFT__MASK);
    m->floor = f->floor;
    f->floor = m->region.node.depth; /* what is inside can still be cancelled by itself */
}

static bool is_open(const fiber *f, const weft__node *n) {
    for (const weft__node *at = f->pub.scope; at && at->kind != WEFT__BASE; at = at->outer)
        if (at == n) return true;
    return false;
}

weft_err weft_mask_restore(weft_mask *m, weft_mask *of) {
    fiber *f = thread_fiber();
    if (!f) return WEFT_OK;
    if (!is_open(f, &of->region.node) || of->region.node.kind != WEFT__MASK) return WEFT_E_UNBALANCED;
    weft__region_enter(&m->region, &f->pub, WEFT__RESTORE);
    m->region.node.why = (const weft_cause *)(const void *)&of->region.node; /* which mask: it has no cause of its own */
    m->floor = f->floor;
    if (of->floor < f->floor) f->floor = (uint16_t)of->floor; /* inside another restored part it may be lower already */
    cancel_look_again(f);
    return WEFT_OK;
}

weft_err weft_mask_end(weft_mask *m) {
    fiber *f = thread_fiber();
    if (!f) return WEFT_OK;
    weft__node *n = &m->region.node;
    if (f->pub.scope != n || f->pub.head != &m->region.mark) return WEFT_E_UNBALANCED;
    f->floor = (uint16_t)m->floor;
    weft__region_end(&m->region, f);
    return WEFT_OK;
}

/* Leave a node to which something may have happened; its fibers have ended. */
void weft__region_end(weft__region *r, fiber *f) {
    if (atom_load_acq(&r->node.state) & NODE_PUBLISHED) weft__node_retract(&r->node);
    if (f->anchor == &r->mark) {
        f->anchor = r->mark.older;
        f->anchor_scope = r->node.outer;
    }
    weft__region_leave(r, &f->pub);
    cancel_look_again(f);
}

/* ---- leaving a stack: the rare cases ------------------------------------------------------------------- */

void weft__leave_not(fiber *f, fiber *picked, item i) {
    worker *w = f->w;
    if (!item_fiber(i)) {
        picked->first = NULL;
        weft__carrier_put(w, picked);
    }
    if (WEFT_UNLIKELY(w->rt->det != NULL) && i) return weft__det_put_back(w, i);
    if (i) weft__queue_put_back(w, i); /* in its own line: one that is bound, or of low priority, must not run next elsewhere */
}

/* Is what is waited for there? */
static bool there(wait_queue *q, bool (*have)(void *), void *arg) {
    uintptr_t word;
    if (!q) return false;
    if (!have) return atom_load_acq(q) & QUEUE_DONE;
    queue_lock(q, &word);
    bool got = have(arg);
    queue_unlock(q, word);
    return got;
}

/* In the deterministic executor the one worker is at rest when nothing but such waits is left: a virtual clock must know until
 * when they wait. */
void weft__help_until(fiber *f, int64_t deadline) {
    alert until = {.kind = ALERT_NOTHING};
    bool armed = f->rt->det && clock_virtual(f->rt) && deadline != INT64_MAX;
    if (armed) {
        spin *lock = clock_lock(f->w);
        clock_link(f->w, &until, ALERT_NOTHING, deadline);
        spin_unlock(lock);
    }
    weft__help(f);
    if (armed) clock_cancel(f->rt, &until);
}

wait_state weft__wait_without_stack(fiber *f, wait_queue *q, int64_t deadline, bool (*have)(void *), void *arg,
                                    weft_exit *why) {
    if (cancel_point(f) && !weft_ok(*why = weft__look_up(f))) return WAIT_CANCEL;
    if (there(q, have, arg)) return WAIT_WOKEN;
    if (deadline != INT64_MAX && clock_now(f->w->rt) >= deadline) return WAIT_TIMEOUT;
    clock_serve_own(f->w);
    weft__help_until(f, deadline);
    return WAIT_RUNNING;
}

/* ---- fault points -------------------------------------------------------------------------------------- */

#if defined(WEFT_FAULTS) && WEFT_FAULTS

/* As weft_interrupt_async does. */
void weft__fault_cancel(const fiber *f) {
    static const weft_cause cause = WEFT__CAUSE_STATIC(WEFT_CAUSE_INTERRUPT, "a fault point asks to stop");
    weft_fiber *s = weft__part_of(f);
    if (!s || atom_load_rlx(&s->asked) & ASKED_STOP) return; /* once is enough: each would wake it to look again */
    if (weft_fault_point(FAULT_CANCEL)) weft__fiber_cancel(s, &cause, false);
}

#endif

/* ---- everything at once -------------------------------------------------------------------------------- */

/* A glance at blocks that may be freed and made meanwhile, whose words stay words; who is reached in vain looks in vain. */
__attribute__((no_sanitize("thread", "address"))) static void reach_block(void *object, void *arg) {
    weft_fiber *s = object;
    if (atom_load_rlx(&s->id) && s->rt == arg && s->scope == &s->rt->root) reach_fiber(s);
}

void weft__reach_all(runtime *rt) {
    for (unsigned c = 0; c < SPAWN_CLASSES; c++) weft__slab_each(rt->blocks[c], reach_block, rt);
    weft__node_reach(&rt->root);
}
