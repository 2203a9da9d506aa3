/* sched/semaphore.c -- counting semaphores.
 *
 *   state   {permits:63 | WAITERS}
 *
 * WAITERS: somebody may be on the queue.  It is set only while there is no permit, and cleared under the lock of the queue; as long as
 * it is set only holders of that lock change the state.  So who waits is never overtaken: a permit is released to who waits
 * longest, or, if nobody can be won, WAITERS is cleared first and the permit is then there for all.
 *
 * A permit that is handed over is the waiter's the moment its wait is won.  One who is cancelled was not won, and has none: none is on
 * the way to be sent on, or back.
 *
 * The last access of a release is the CAS on the state, or comes before the waiter is made runnable.
 * Model: tests/model.  SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/sync_wait.h"

#define WAITERS ((uintptr_t)1)
#define ONE ((uintptr_t)2)

weft_err weft_sem_init(weft_sem *s, int64_t permits, int64_t most) {
    if (most == 0) most = WEFT_SEM_MOST;
    if (permits < 0 || most < 0 || permits > most || most > WEFT_SEM_MOST) return WEFT_E_INVALID;
    *s = (weft_sem){.state = (uintptr_t)permits * ONE, .most = (uint64_t)most * ONE};
    return WEFT_OK;
}

static bool take(weft_sem *s) {
    uintptr_t state = atom_load_rlx(&s->state);
    while (state >= ONE && !(state & WAITERS))
        if (atom_cas_acq(&s->state, &state, state - ONE)) return true;
    return false;
}

/* Under the lock of the queue. */
static bool sem_have(void *arg) {
    weft_sem *s = arg;
    uintptr_t state = atom_load_rlx(&s->state);
    for (;;) {
        if (state & WAITERS) return false;
        if (atom_cas_acq(&s->state, &state, state >= ONE ? state - ONE : WAITERS)) return state >= ONE;
    }
}

weft_exit weft__sem_acquire(weft_sem *s) {
    fiber *f = sync_point();
    weft_exit why = sync_fine;
    if (take(s)) return why;
    if (f) waits_for(f, "a permit", s);
    return sync_wait(f, &s->queue, sem_have, s, INT64_MAX, 0, &why) == WAIT_CANCEL ? why : sync_fine;
}

bool weft__sem_try(weft_sem *s) {
    sync_point();
    return take(s);
}

weft_exit weft_sem_acquire_until(weft_sem *s, weft_time t) {
    fiber *f = sync_point();
    weft_exit why = sync_fine;
    if (take(s)) return why;
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

/* The permit goes to who waits longest.  False: nobody does any more.  Without WAITERS, which somebody else may have cleared
 * meanwhile, the state is everybody's. */
static bool hand_over(weft_sem *s) {
    uintptr_t queue = 0;
    queue_lock(&s->queue, &queue);
    waiter *to = queue_win_oldest(&queue);
    if (!to && atom_load_rlx(&s->state) & WAITERS) atom_store_rlx(&s->state, 0);
    queue_unlock(&s->queue, queue);
    if (to) weft__wait_over(to);
    return to != NULL;
}

static weft_err release(weft_sem *s) {
    uintptr_t state = atom_load_rlx(&s->state), most = s->most ? s->most : WEFT_SEM_MOST * ONE;
    for (;;) {
        if (state & WAITERS) {
            if (hand_over(s)) return WEFT_OK;
            state = atom_load_rlx(&s->state);
        } else if (state >= most) {
            return WEFT_E_LIMIT;
        } else if (atom_cas_rel(&s->state, &state, state + ONE)) {
            return WEFT_OK;
        }
    }
}

weft_err weft__sem_release(weft_sem *s) {
    weft_err err = release(s);
    sync_point();
    return err;
}

int64_t weft_sem_permits(const weft_sem *s) {
    return (int64_t)(atom_load_rlx((_Atomic(uintptr_t) *)(uintptr_t)&s->state) / ONE);
}
