/* sched/take.c -- the slow halves of fork and join.
 *
 * Both come here when the worker's attention is wanted, or on a plain thread; join also when the child was offered
 * to others, is not the newest, or would not fit on the stack.  Three ways out of a join:
 *
 *   take it   private, or shared and still the newest of this worker's deque: the caller calls it
 *   wait      stolen, or under newer items: look briefly, then leave the stack; whoever finishes the child
 *             goes on with this fiber
 *   move it   the stack is short: the child runs on a stack of its own, this fiber waits for it
 *
 * Who runs a child inline joins it: no unrelated work ever runs on top of a fiber's stack, with one exception
 * when stacks have run out (weft__help), where waiting would be the end.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/take.h"
#include "alloc/arch.h"
#include "sched/audit.h"
#include "sched/det.h"
#include "sched/evidence.h"
#include "sched/exit.h"
#include "sched/join.h"
#include "sched/misuse.h"
#include "sched/switch.h"
#include <weft/fiber.h>

#define LOOK_TICKS_US 1 /* look this long for a stolen child to end before leaving the stack */

static const weft_site *site_of(const weft_task *t) {
    return (const weft_site *)(t->site & ~(uintptr_t)WEFT__SITE_BITS);
}

/* The newest child must lie in a live frame: below `sp`, on this stack, nothing is alive. */
static void check_alive(const fiber *f, const char *sp) {
    const char *head = (const char *)f->pub.head;
    if (WEFT_LIKELY(head == (const char *)&f->root || head < f->stk.lo || head >= sp)) {
        if (WEFT__RARE) weft__audit_children(f);
        return;
    }
    weft__misuse("a child was forked and its descriptor's frame returned before it was joined; join every "
                 "child in the function that forked it");
}

/* ---- fork ------------------------------------------------------------------------------------------- */

uintptr_t weft__fork_slow_at(weft_task *t, const weft_site *site, weft_task *head, const char *sp) {
    fiber *f = thread_fiber();
    if (!f) { /* plain thread: whoever joins calls it */
        t->site = (uintptr_t)site | WEFT__SHARED;
        t->older = head;
        return 1;
    }
    check_alive(f, sp);
    weft__attend_timers(f->w);
    if (head && head != f->pub.head)
        weft__misuse("a kernel forked '%s' at %s:%d below a head that is not the newest child; pass on the head "
                     "that weft_kernel_fork returned, and join in reverse order",
                     site->name, site->file, site->line);
    t->site = (uintptr_t)site;
    t->older = f->pub.head;
    t->older->newer = t;
    f->pub.head = t;
    weft__attend(f);
    if (WEFT_UNLIKELY(f->w->rt->det != NULL)) weft__det_forked(f);
    return 1;
}

/* ---- join ------------------------------------------------------------------------------------------- */

/* Take t out of its fiber's list of children. */
static void unlink_child(fiber *f, weft_task *t) {
    if (f->pub.head == t) {
        f->pub.head = t->older;
    } else {
        t->newer->older = t->older;
        t->older->newer = t->newer;
    }
    if (f->anchor == t) f->anchor = t->older;
}

static bool stack_is_short(const fiber *f) {
    if (WEFT__RARE && !f->rt->det && arch_ticks() % 5 == 0) return true;
    return arch_sp() < f->low;
}

/* Run t on a stack of its own and wait for it.  False: there is no stack to be had. */
static bool run_elsewhere(fiber *f, weft_task *t) {
    fiber *carrier = weft__carrier_get(f->w);
    if (!carrier) return false;
    weft__share_all(f);
    atom_store_rlx(&t->join, (uintptr_t)f);
    worker_count(&f->w->stats.suspended);
    fiber_switch(f, carrier, (after){AFTER_RUN, f, t, NULL});
    return true;
}

static bool done_soon(worker *w, weft_task *t) {
    if (w->rt->n_workers == 1) return false; /* who runs it waits, too */
    uint64_t until = arch_ticks() + LOOK_TICKS_US * w->rt->ticks_per_us;
    do {
        if (join_done(&t->join)) return true;
        arch_relax();
    } while (arch_ticks() < until);
    return false;
}

static void wait_for(fiber *f, weft_task *t) {
    worker *w = f->w;
    if (place_worker(atom_load_rlx(&t->place)) == w->index) weft__offer_waited(w);
    if (join_done(&t->join) || done_soon(w, t)) return;
    while (!join_done(&t->join)) {
        if (fiber_suspend(f, (after){AFTER_PARK, f, t, NULL})) return;
        weft__help(f); /* no stack to leave this one for */
    }
}

/* A shared child: true if it is ours again. */
static bool take_back(fiber *f, weft_task *t) {
    worker *w = f->w;
    uint64_t place = atom_load_rlx(&t->place);
    if (place_worker(place) != w->index) return false;
    if (deque_take(&w->deque, place_index(place), t) != DEQUE_OK) return false;
    worker_count(&w->stats.taken_back);
    weft__offer_unpaid(w);
    return true;
}

/* The parent may have handlers that its children do not see: the child is called from here. */
static void run_apart(fiber *f, weft_task *t) {
    const weft_site *site = site_of(t);
    const weft__evidence *own = evidence_child_begins(f);
    site->run(t, f ? f->pub.head : NULL);
    evidence_child_ends(f, own);
}

static void check_joinable(const weft_task *t) {
    if (WEFT_LIKELY(t->site != WEFT__JOINED && site_of(t))) return;
    weft__misuse("a child was joined twice, or its descriptor was never forked; join each forked child once");
}

uintptr_t weft__take_slow_at(weft_task *t, const char *sp) {
    fiber *f = thread_fiber();
    check_joinable(t);
    if (!f) {
        run_apart(NULL, t);
        t->site = WEFT__JOINED;
        return false;
    }
    check_alive(f, sp);
    weft__attend_timers(f->w);
    if (WEFT_UNLIKELY(f->w->rt->det != NULL)) weft__det_minor_point(f);
    bool shared = t->site & WEFT__SHARED, mine = !shared;
    unlink_child(f, t);
    if (shared) mine = take_back(f, t); /* before others are offered on top of it */
    weft__attend(f);
    if (!mine)
        wait_for(f, t);
    else if (stack_is_short(f) && run_elsewhere(f, t))
        mine = false;
    else if (WEFT_UNLIKELY(evidence_is_apart(f))) {
        run_apart(f, t);
        t->site = WEFT__JOINED;
        return false;
    }
    if (!mine && WEFT_UNLIKELY(atom_load_rlx(&t->place) != 0)) weft__exit_record(exit_unpack(atom_load_rlx(&t->place)));
    t->site = WEFT__JOINED;
    return mine;
}

#if defined(__x86_64__)
/* Read by slow_x86_64.S.  On processors with AVX-512 but without its 64-bit masks (Knights Landing) not set. */
__attribute__((visibility("hidden"))) unsigned char weft__wide_vectors;
__attribute__((constructor)) static void look_at_vectors(void) {
    weft__wide_vectors = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

WEFT_API void weft__never(void) { weft__misuse("a slow path returned nothing: this is a defect of Weft"); }
#else
uintptr_t weft__fork_slow_call(weft_task *t, const weft_site *site, weft_task *head) {
    return weft__fork_slow_at(t, site, head, __builtin_dwarf_cfa());
}
uintptr_t weft__take_slow_call(weft_task *t) { return weft__take_slow_at(t, __builtin_dwarf_cfa()); }
#endif
