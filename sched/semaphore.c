/* sched/semaphore.c -- counting semaphores over sched/sem_core.h.
 *
 * A permit that is handed over is the waiter's the moment its wait is won.  One who is cancelled was not won, and has none: none is on
 * the way to be sent on, or back.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/sem_core.h"
#include "sched/sync_wait.h"

weft_err weft_sem_init(weft_sem *s, int64_t permits, int64_t most) {
    if (most == 0) most = WEFT_SEM_MOST;
    if (permits < 0 || most < 0 || permits > most || most > WEFT_SEM_MOST) return WEFT_E_INVALID;
    *s = (weft_sem){.state = (uintptr_t)permits * SEM_ONE, .most = (uint64_t)most * SEM_ONE};
    return WEFT_OK;
}

static bool sem_have(void *s) { return sem_take_or_wait(&((weft_sem *)s)->state); }

weft_exit weft__sem_acquire(weft_sem *s) {
    fiber *f = sync_point();
    weft_exit why = sync_fine;
    if (sem_take(&s->state)) return why;
    if (f) waits_for(f, "a permit", s);
    return sync_wait(f, &s->queue, sem_have, s, INT64_MAX, 0, &why) == WAIT_CANCEL ? why : sync_fine;
}

bool weft__sem_try(weft_sem *s) {
    sync_point();
    return sem_take(&s->state);
}

weft_exit weft_sem_acquire_until(weft_sem *s, weft_time t) {
    fiber *f = sync_point();
    weft_exit why = sync_fine;
    if (sem_take(&s->state)) return why;
    if (f) waits_for(f, "a permit", s);
    switch (sync_wait(f, &s->queue, sem_have, s, t, 0, &why)) {
    case WAIT_CANCEL: return why;
    case WAIT_TIMEOUT: return FAILED(WEFT_E_TIMEOUT, "weft_sem_acquire: there was no permit in time");
    default: return sync_fine;
    }
}

weft_exit weft_sem_acquire_for(weft_sem *s, weft_duration d) {
    int64_t at;
    if (!weft__deadline_of(weft_now(), d, &at))
        return FAILED(WEFT_E_INVALID, "weft_sem_acquire_for: the duration is negative, or too long for the clock");
    return weft_sem_acquire_until(s, at);
}

/* The permit goes to who waits longest.  False: nobody does any more. */
static bool hand_over(weft_sem *s) {
    uintptr_t queue = 0;
    queue_lock(&s->queue, &queue);
    bool waiters = sem_has_waiters(&s->state);
    waiter *to = waiters ? queue_win_oldest(&queue) : NULL;
    if (waiters && !to) sem_nobody(&s->state);
    queue_unlock(&s->queue, queue);
    if (to) weft__wait_over(to);
    return to != NULL;
}

static weft_err release(weft_sem *s) {
    for (;;) {
        sem_given how = sem_give(&s->state, s->most ? s->most : WEFT_SEM_MOST * SEM_ONE);
        if (how == SEM_FULL) return WEFT_E_LIMIT;
        if (how == SEM_GIVEN || hand_over(s)) return WEFT_OK;
    }
}

weft_err weft__sem_release(weft_sem *s) {
    weft_err err = release(s);
    sync_point();
    return err;
}

int64_t weft_sem_permits(const weft_sem *s) {
    return (int64_t)(atom_load_rlx((_Atomic(uintptr_t) *)(uintptr_t)&s->state) / SEM_ONE);
}
