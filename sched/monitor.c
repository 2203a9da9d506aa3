/* sched/monitor.c -- the tick monitor.
 *
 * A thread that comes by now and then and, while some workers sleep and others compute, asks the busy ones for
 * work on behalf of the sleepers: at their next poll they make an offer.  The request protocol does not need it (a
 * worker asks everybody before it sleeps), so it is a net under it.
 *
 * After a burst it gives memory back: while all workers sleep, the pages of stacks that lie in the depot unused.
 *
 * It costs the workers nothing: they never wake it.  It looks every TICK_NS while there is something to look
 * after, half as often after each look that found nothing, and every REST_NS once all workers sleep.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/thread.h"
#include "sched/worker.h"

#define TICK_NS INT64_C(10000000)
#define REST_NS INT64_C(1280000000)
#define TRIM_MOST 512 /* stacks whose memory is given back at a look */

static bool asleep(runtime *rt, unsigned i) {
    return atom_load_rlx(&rt->idle.mask[i / 64]) >> (i % 64) & 1;
}

/* Returns the pause until the next look. */
static int64_t tick(runtime *rt, int64_t pause) {
    unsigned sleeping = 0;
    for (unsigned i = 0; i < rt->n_workers; i++) sleeping += asleep(rt, i);
    if (sleeping == rt->n_workers) return weft__stack_pool_trim(rt->pool, TRIM_MOST) ? TICK_NS : REST_NS;
    if (sleeping == 0) return pause < REST_NS / 2 ? pause * 2 : REST_NS;
    for (unsigned i = 0; i < rt->n_workers; i++)
        if (!asleep(rt, i)) atom_or_rlx(rt->workers[i].attn, ATTN_WANT);
    return TICK_NS;
}

static void monitor(void *arg) {
    runtime *rt = arg;
    for (int64_t pause = TICK_NS; !atom_load_acq(&rt->monitor_stop); pause = tick(rt, pause))
        weft__os_futex_wait(&rt->monitor_stop, 0, pause);
}

void weft__monitor_start(runtime *rt) {
    rt->monitor_started = weft__os_thread_start(&rt->monitor, "weft-monitor", monitor, rt) == WEFT_OK;
}

void weft__monitor_stop(runtime *rt) {
    if (!rt->monitor_started) return;
    atom_store_rel(&rt->monitor_stop, 1);
    weft__os_futex_wake(&rt->monitor_stop, 1);
    weft__os_thread_join(rt->monitor);
}
