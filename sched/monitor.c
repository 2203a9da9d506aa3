/* sched/monitor.c -- the tick monitor.
 *
 * A thread that comes by now and then and looks for what nobody else would notice in time:
 *   - some workers sleep while others compute: it asks the busy ones for work on behalf of the sleepers
 *   - a busy worker's timers are overdue: it asks the worker to serve them at its next poll, and wakes another one that
 *     serves them if that poll does not come
 *   - a manual clock is being advanced and does not get on
 *   - after a burst, all sleep: the pages of stacks that lie in the depot unused are given back
 *
 * It looks every TICK_NS while there is something to look after, every TIMERS_NS while a busy worker has timers, half as
 * often after each look that found nothing, and every REST_NS once all workers sleep.  Only who arms a timer or advances a
 * clock wakes it, and only if it is at rest.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/clock.h"
#include "sched/quiet.h"
#include "sched/thread.h"
#include "sched/worker.h"

#define TICK_NS INT64_C(10000000)
#define TIMERS_NS INT64_C(1000000)
#define REST_NS INT64_C(1280000000)
#define STAY 64       /* looks after a wake-up before it may rest again */
#define TRIM_MOST 512 /* stacks whose memory is given back at a look */

static bool asleep(runtime *rt, unsigned i) {
    return atom_load_rlx(&rt->idle.mask[i / 64]) >> (i % 64) & 1;
}

/* Timers of a worker that is not there to serve them. */
static bool look_at_timers(runtime *rt, int64_t now) {
    bool any = false, overdue = false;
    for (unsigned i = 0; i < rt->n_workers; i++) {
        worker *w = &rt->workers[i];
        if (asleep(rt, i) || !wheel_count(&w->wheel)) continue;
        any = true;
        if (wheel_next(&w->wheel) > now) continue;
        overdue = true;
        atom_or_rlx(w->attn, ATTN_TICK);
    }
    if (overdue && idle_any(&rt->idle)) idle_wake_one(&rt->idle);
    return any;
}

/* Went any worker to sleep since the last look?  Then it sleeps between two timers, and will want its stacks again. */
static bool slept_since(runtime *rt) {
    uint64_t parks = 0;
    for (unsigned i = 0; i < rt->n_workers; i++) parks += atom_load_rlx(&rt->workers[i].stats.parks);
    bool more = parks != rt->parks_seen;
    rt->parks_seen = parks;
    return more;
}

static int64_t look_at_work(runtime *rt, int64_t pause) {
    unsigned sleeping = 0;
    for (unsigned i = 0; i < rt->n_workers; i++) sleeping += asleep(rt, i);
    if (sleeping == rt->n_workers && slept_since(rt)) return TICK_NS;
    if (sleeping == rt->n_workers) return weft__stack_pool_trim(rt->pool, TRIM_MOST) ? TICK_NS : REST_NS;
    if (sleeping == 0) return pause < REST_NS / 2 ? pause * 2 : REST_NS;
    for (unsigned i = 0; i < rt->n_workers; i++)
        if (!asleep(rt, i)) atom_or_rlx(rt->workers[i].attn, ATTN_WANT);
    return TICK_NS;
}

/* Returns the pause until the next look. */
static int64_t tick(runtime *rt, int64_t pause, unsigned *stay) {
    int64_t now = weft__os_now(), next = look_at_work(rt, pause);
    if (rt->clock == WEFT_CLOCK_MANUAL) {
        weft__advance_watch(rt, now);
        if (next > TICK_NS && atom_load_rlx(&rt->advancing)) next = TICK_NS;
    }
    if (look_at_timers(rt, now) && next > TIMERS_NS) next = TIMERS_NS;
    if (*stay == 0) return next;
    --*stay;
    return next < TICK_NS ? next : TICK_NS;
}

static void monitor(void *arg) {
    runtime *rt = arg;
    unsigned stay = 0;
    int64_t pause = TICK_NS;
    while (atom_load_acq(&rt->monitor_word) != MONITOR_STOP) {
        if (pause > TICK_NS) {
            uint32_t awake = MONITOR_AWAKE;
            if (atom_cas_ar(&rt->monitor_word, &awake, MONITOR_RESTS))
                weft__os_futex_wait(&rt->monitor_word, MONITOR_RESTS, pause);
            uint32_t rests = MONITOR_RESTS;
            if (!atom_cas_ar(&rt->monitor_word, &rests, MONITOR_AWAKE)) stay = STAY; /* woken */
        } else {
            weft__os_futex_wait(&rt->monitor_word, MONITOR_AWAKE, pause);
        }
        pause = tick(rt, pause, &stay);
    }
}

void weft__monitor_start(runtime *rt) {
    rt->monitor_started = weft__os_thread_start(&rt->monitor, "weft-monitor", monitor, rt) == WEFT_OK;
}

WEFT_COLD void weft__monitor_wake(runtime *rt) {
    uint32_t rests = MONITOR_RESTS;
    if (atom_cas_ar(&rt->monitor_word, &rests, MONITOR_AWAKE)) weft__os_futex_wake(&rt->monitor_word, 1);
}

void weft__monitor_stop(runtime *rt) {
    if (!rt->monitor_started) return;
    atom_store_rel(&rt->monitor_word, MONITOR_STOP);
    weft__os_futex_wake(&rt->monitor_word, 1);
    weft__os_thread_join(rt->monitor);
}
