/* sched/clock.c -- sleeping, and what happens when the time has come.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/clock.h"
#include "alloc/arch.h"
#include "alloc/heap.h"
#include "sched/cause.h"
#include "sched/fail.h"
#include "sched/interrupt.h"
#include "sched/registry.h"
#include "sched/switch.h"
#include <string.h>

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* ---- firing ------------------------------------------------------------------------------------------- */

/* What fired, in order, dealt with when the container's lock is free: making a fiber ready may take that lock again, and
 * cancelling takes others. */
typedef struct firing {
    worker *w;
    alert *first, **last; /* through timer.link.next */
} firing;

static alert **next_of(alert *a) { return (alert **)(void *)&a->timer.link.next; }

/* Under the lock.  A wait that is won stays where it is until its fiber is made ready. */
static void fire(timer *t, void *arg) {
    firing *now = arg;
    alert *a = (alert *)t;
    if (a->kind == ALERT_WAIT && !wait_win(&((limit *)a)->f->winner, ((limit *)a)->ticket, WAIT_TIMEOUT)) return;
    if (a->kind == ALERT_SCOPE) {
        weft__deadline *d = (weft__deadline *)((char *)a - offsetof(weft__deadline, timer));
        atom_store_rel((_Atomic uint64_t *)&d->armed, DEADLINE_FIRING);
    }
    *next_of(a) = NULL;
    *now->last = a;
    now->last = next_of(a);
}

static weft__region *region_timed(weft__deadline *d) { return (weft__region *)((char *)d - sizeof(weft__region)); }

/* With a grace the scope is told first, and cancelled when that is over, too. */
static void scope_timeout(worker *w, weft__deadline *d) {
    static const weft_cause cause = WEFT__CAUSE_STATIC(WEFT_CAUSE_FAIL, "the scope's deadline has passed");
    _Atomic uint64_t *armed = (_Atomic uint64_t *)&d->armed;
    weft__node *n = &region_timed(d)->node;
    int64_t grace = d->grace;
    if (grace > 0) {
        d->grace = 0;
        weft__node_stopping(n);
        spin *lock = clock_lock(w);
        clock_link(w, (alert *)d->timer, ALERT_SCOPE, d->at > INT64_MAX - grace ? INT64_MAX : d->at + grace);
        atom_store_rel(armed, DEADLINE_ARMED);
        spin_unlock(lock);
        return;
    }
    atom_or_rlx(&n->state, NODE_TIMEOUT);
    weft__node_cancel(n, &cause);
    atom_store_rel(armed, DEADLINE_OVER); /* the last access to the scope */
}

static void deal_with(worker *w, alert *a) {
    switch ((alert_kind)a->kind) {
    case ALERT_WAIT: weft__ready(w, ((limit *)a)->f); break;
    case ALERT_SCOPE: scope_timeout(w, (weft__deadline *)((char *)a - offsetof(weft__deadline, timer))); break;
    case ALERT_GRACE: weft__grace_over(a); break;
    case ALERT_NOTHING: break;
    }
}

static void deal_with_all(const firing *all) {
    for (alert *a = all->first, *next; a; a = next) {
        next = *next_of(a);
        deal_with(all->w, a);
    }
}

void weft__clock_serve(worker *w, worker *v, int64_t now) {
    firing all = {.w = w};
    all.last = &all.first;
    if (wheel_expire(&v->wheel, now, fire, &all) == 0) return;
    deal_with_all(&all);
    if (wheel_count(&v->wheel)) weft__monitor_look(w->rt);
}

bool weft__clock_step(worker *w, int64_t limit) {
    runtime *rt = w->rt;
    int64_t first;
    if (!timeline_first(&rt->timeline, &first) || first > limit) return false;
    if (first > atom_load_rlx(&rt->virtual_now)) atom_store_rel(&rt->virtual_now, first);
    firing all = {.w = w};
    all.last = &all.first;
    timeline_pop_one(&rt->timeline, first, fire, &all);
    deal_with_all(&all);
    return true;
}

size_t weft__clock_armed(runtime *rt) {
    size_t n = timeline_count(&rt->timeline);
    for (unsigned i = 0; i < rt->n_workers; i++) n += wheel_count(&rt->workers[i].wheel);
    return n;
}

size_t weft_clock_pending(weft_runtime *handle) {
    fiber *f = thread_fiber();
    if (!handle) return f ? weft__clock_armed(f->rt) : 0;
    runtime *rt = weft__registry_enter(handle);
    size_t n = rt ? weft__clock_armed(rt) : 0;
    if (rt) weft__registry_leave(handle);
    return n;
}

/* ---- deadlines of scopes ------------------------------------------------------------------------------ */

bool weft__deadline_of(int64_t now, int64_t d, int64_t *at) {
    if (d < 0) return false;
    if (d == WEFT_FOREVER) {
        *at = INT64_MAX;
        return true;
    }
    return !__builtin_add_overflow(now, d, at) && *at != INT64_MAX;
}

/* A duration counts from the entry, whose time in ticks was noted. */
static void resolve(runtime *rt, weft__deadline *d) {
    int64_t now = clock_now(rt);
    if (d->entered && !clock_virtual(rt)) {
        uint64_t since = arch_ticks() - d->entered;
        now -= (int64_t)((double)since * 1000 / (double)rt->ticks_per_us);
    }
    if (d->entered && !weft__deadline_of(now, d->at, &d->at)) d->at = INT64_MAX;
    d->entered = 0;
}

static void arm(fiber *f, weft__deadline *d) {
    resolve(f->w->rt, d);
    memset(d->timer, 0, sizeof d->timer);
    atom_store_rlx((_Atomic uint64_t *)&d->armed, DEADLINE_ARMED);
    if (d->at == INT64_MAX) return;
    if (d->at <= clock_now(f->w->rt)) return scope_timeout(f->w, d);
    spin *lock = clock_lock(f->w);
    clock_link(f->w, (alert *)d->timer, ALERT_SCOPE, d->at);
    spin_unlock(lock);
    weft__monitor_look(f->w->rt);
}

void weft__deadlines_arm(fiber *f) {
    for (weft__node *n = f->pub.scope; n && n->owner == &f->pub && n->kind != WEFT__BASE; n = n->outer) {
        if (!(atom_load_rlx(&n->state) & NODE_TIMED)) continue;
        weft__deadline *d = (weft__deadline *)(region_of(n) + 1);
        if (atom_load_rlx((_Atomic uint64_t *)&d->armed) == DEADLINE_LAZY) arm(f, d);
    }
}

void weft__deadline_over(fiber *f, weft__deadline *d) {
    _Atomic uint64_t *armed = (_Atomic uint64_t *)&d->armed;
    for (unsigned spins = 0;;) {
        uint64_t state = atom_load_acq(armed);
        if (state == DEADLINE_LAZY || state == DEADLINE_OVER) return;
        if (state == DEADLINE_ARMED && clock_cancel(f->w->rt, (alert *)d->timer)) return;
        if (state == DEADLINE_ARMED && d->at == INT64_MAX) return; /* never was on any clock */
        arch_relax();
        if (++spins % 128 == 0) weft__os_yield();
    }
}

/* ---- sleeping ----------------------------------------------------------------------------------------- */

bool weft__limits_open(runtime *rt) { return weft__slab_pool_open(&rt->limits, sizeof(limit)) == WEFT_OK; }
void weft__limits_close(runtime *rt) {
    if (rt->limits) weft__slab_pool_close(rt->limits);
}

limit *weft__limit_get(fiber *f, limit *spare, int64_t deadline) {
    worker *w = f->w;
    if (WEFT_UNLIKELY(!w->limits)) w->limits = weft__slab_cache_open(w->rt->limits);
    limit *l = w->limits ? weft__slab_get(w->limits) : NULL;
    if (!l) l = spare;
    *l = (limit){.deadline = deadline, .f = f};
    return l;
}

/* The fiber may have come back on another worker. */
void weft__limit_put(fiber *f, limit *l, limit *spare) {
    if (l == spare) return;
    if (f->w->limits)
        weft__slab_put(f->w->limits, l);
    else
        weft__slab_put_foreign(l);
}

static weft_exit sleep_on_fiber(fiber *f, int64_t at) {
    weft_exit why = success;
    wait_queue never = 0;
    waits_for(f, "sleep", NULL);
    if (at == INT64_MAX) return wait_on(f, &never, NULL, NULL, NULL, &why) == WAIT_CANCEL ? why : success;
    limit spare, *until = weft__limit_get(f, &spare, at);
    wait_state how = wait_on(f, NULL, until, NULL, NULL, &why);
    weft__limit_put(f, until, &spare);
    return how == WAIT_CANCEL ? why : success;
}

static weft_exit sleep_on_thread(int64_t at) {
    _Atomic uint32_t nobody = 0;
    for (int64_t now; (now = weft__os_now()) < at;) weft__os_futex_wait(&nobody, 0, at - now);
    return success;
}

weft_exit weft_sleep_until(weft_time t) {
    fiber *f = thread_fiber();
    if (!f) return sleep_on_thread(t);
    if (t <= clock_now(f->w->rt)) return weft_yield();
    return sleep_on_fiber(f, t);
}

weft_exit weft_sleep(weft_duration d) {
    fiber *f = thread_fiber();
    int64_t at;
    if (f && d == 0) return weft_yield();
    if (!weft__deadline_of(f ? clock_now(f->w->rt) : weft__os_now(), d, &at))
        return FAILED(WEFT_E_INVALID, "weft_sleep: the duration is negative, or too long for the clock");
    return f ? sleep_on_fiber(f, at) : sleep_on_thread(at);
}

weft_time weft_now(void) {
    fiber *f = thread_fiber();
    return f ? clock_now(f->w->rt) : weft__os_now();
}

int64_t weft_wall_now(void) { return weft__os_wall_now(); }

weft_exit weft_wall_wait_until(int64_t unix_ns) {
    fiber *f = thread_fiber();
    if (f && clock_virtual(f->w->rt))
        return FAILED(WEFT_E_MODE, "weft_wall_wait_until: this runtime's clock is virtual; use weft_sleep_until");
    for (;;) {
        int64_t left = unix_ns - weft_wall_now();
        if (left <= 0) return weft_yield();
        weft_exit e = weft_sleep(left < weft_s(1) ? left : weft_s(1));
        if (!weft_ok(e)) return e;
    }
}
