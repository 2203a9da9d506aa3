/* sched/sync_wait.h -- waiting for what is counted or held under the lock of a queue, by fibers and plain threads.
 *
 * One who waits asks under that lock whether there is what it wants (`have`, which makes it its own), and is linked if
 * not.  One who gives takes the lock, wins the oldest waits, changes the state for them, unlocks, and makes them runnable:
 * what they want is theirs by then.  `have` may be asked again after a wake-up that was not meant.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_SYNC_WAIT_H
#define WEFT_SCHED_SYNC_WAIT_H

#include "sched/fail.h"
#include "sched/switch.h"
#include <weft/sync.h>

/* The record of a plain thread; `who` is its name. */
typedef struct thread_waiter {
    waiter record;
    uintptr_t who;
} thread_waiter;

/* A plain thread's turn; `have` may be NULL.  WAIT_WOKEN or WAIT_TIMEOUT. */
wait_state weft__sync_wait_thread(thread_waiter *self, wait_queue *q, wait_have *have, void *arg, int64_t deadline, bool first);

/* A block of the calling plain thread, by which it is known as long as it lives; fibers are known by theirs. */
static inline uintptr_t sync_me(const fiber *f) {
    return f ? (uintptr_t)f : (uintptr_t)weft__thread_attn() & ~(uintptr_t)15;
}
/* By its record. */
static inline uintptr_t sync_who(const waiter *w) { return w->f ? (uintptr_t)w->f : ((const thread_waiter *)w)->who; }

/* The caller's wait; f is NULL on a plain thread.  As wait_on. */
SWITCH_INLINE wait_state sync_wait(fiber *f, wait_queue *q, wait_have *have, void *arg, int64_t deadline, uintptr_t tag,
                                   weft_exit *why) {
    if (!f) {
        thread_waiter me = {.record = {.tag = tag}, .who = sync_me(NULL)};
        return weft__sync_wait_thread(&me, q, have, arg, deadline, false);
    }
    if (deadline == INT64_MAX) return wait_on_as(f, q, NULL, have, arg, why, tag, false);
    limit until = {.deadline = deadline, .f = f};
    return wait_on_as(f, q, &until, have, arg, why, tag, false);
}

/* Holder of the lock, whose word is *word.  Take out the oldest, and those whose waits have ended otherwise, up to the first
 * that is won.  NULL: there is none, and the queue is empty.  Plain threads are always won. */
static inline waiter *queue_win_oldest(uintptr_t *word) {
    while (queue_newest(*word)) {
        waiter *oldest = queue_newest(*word)->next;
        *word = queue_unlink(*word, oldest);
        if (!oldest->f || wait_win(&oldest->f->winner, oldest->ticket, WAIT_WOKEN)) return oldest;
    }
    return NULL;
}

/* The same for all, or those with this tag: a list through `prev`, oldest first.  (Through `next` a thread whose time is
 * up would take itself for linked.) */
waiter *weft__queue_win_each(uintptr_t *word, bool all, uintptr_t tag);
/* Lock free: make them runnable. */
void weft__wake_each(waiter *won);

/* A scheduling point, of a fiber; which it is. */
static inline fiber *sync_point(void) {
    fiber *f = thread_fiber();
    if (f) scheduling_point(f);
    return f;
}

/* Of a mutex's holder: let it go, without a scheduling point (sched/mutex.c). */
void weft__mutex_let_go(weft_mutex *m, fiber *f);

static const weft_exit sync_fine = {WEFT_EXIT_OK, 0, NULL};

#endif
