/* weft/sync.h -- locks and meeting points: mutex, read-write lock, condition, semaphore, barrier, latch, wait group, once, ref.
 *
 *   static weft_mutex lock = WEFT_MUTEX;
 *
 *   weft_exit e = weft_mutex_lock(&lock);
 *   if (!weft_ok(e)) return e;                    // asked to stop while it waited: not locked
 *   ...                                           // may wait, and come back on another thread
 *   weft_mutex_unlock(&lock);
 *
 * All of them work between the fibers of one runtime, of several, and plain threads, which block.  The memory is the caller's;
 * none is allocated.  It may go when nobody uses it any more; who was let through last may free it at once.
 *
 * Interrupts.  A call that would wait returns {INTERRUPT, WEFT_E_INTERRUPTED} instead when the fiber is asked to stop, and then has
 * changed nothing.  A call that need not wait is no cancellation point: a lock that is free is locked, a permit that is there is
 * taken, whoever asks.  So what cleans up can lock what nobody holds; where somebody may hold it, mask (weft/cancel.h).  What
 * was handed to a fiber that is then interrupted before it goes on is its own: the call returns ok.  Nothing is lost on the way.
 *
 * Waiting is in order of arrival for each object, but where its text says otherwise.  Times are of the caller's clock;
 * WEFT_FOREVER is no limit; one in the past only tries.
 *
 * Deadlock.  weft_run, and the deterministic executor, know who waits for whom, and name rings of fibers and mutexes.  While a plain
 * thread or another runtime holds a mutex that is waited for, nobody is called deadlocked.  Who will release a permit, or signal,
 * is not known in advance: a thread that will do so is announced by weft_outside_begin.
 *
 * Source: Go (mutex, wait group, once), doeff (semaphore), effectpy (Ref), Java and Trio (barrier).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SYNC_H
#define WEFT_SYNC_H

#include <weft/exit.h>
#include <weft/fork.h>
#include <weft/time.h>

WEFT_BEGIN_C

#ifdef __cplusplus
#define WEFT__SYNC_ZERO {}
#else
#define WEFT__SYNC_ZERO {0}
#endif

/* ---- what is inlined ---------------------------------------------------------------------------------- */

typedef uintptr_t __attribute__((may_alias)) weft__word;
typedef WEFT__ATOMIC(uintptr_t) weft__atomic_word;

static inline __attribute__((always_inline)) bool weft__swap(weft__atomic_word *word, uintptr_t from, uintptr_t to) {
    return __sync_bool_compare_and_swap((weft__word *)word, from, to);
}
/* What the word holds, if nobody holds the mutex: the rest, of those who wait, stays as it is. */
static inline __attribute__((always_inline)) bool weft__mutex_grab(weft__atomic_word *word, struct weft__fiber *f) {
    uintptr_t w = (uintptr_t)weft__look(word);
    return WEFT_LIKELY(w <= 7) && weft__swap(word, w, w | (uintptr_t)f);
}

/* An unlock is a poll, or who does nothing but lock would keep ready work to itself.  While all that is wanted is work (a worker
 * that finds none asks for it all the time) every eighth is. */
static inline __attribute__((always_inline)) bool weft__unlock_slow(struct weft__fiber *f) {
    uintptr_t wanted = weft__attn();
    return WEFT__CHECKED || (WEFT_UNLIKELY(wanted) && (wanted != 1 || ++f->turns % 8 == 0));
}

/* The slow path: on a plain thread, or in the deterministic executor.  Other bits of the attention word can wait. */
static inline __attribute__((always_inline)) bool weft__sync_slow(void) {
    return WEFT_UNLIKELY(WEFT__CHECKED || (weft__attn() & (2 | 8)));
}
static inline __attribute__((always_inline)) weft_exit weft__fine(void) {
    weft_exit e = {WEFT_EXIT_OK, 0, NULL};
    return e;
}

/* ---- mutex -------------------------------------------------------------------------------------------- */

/* Held by one fiber or thread at a time, which has to unlock it; forked children that are called in place are part of their
 * fiber.  Not recursive.  Who comes just when it is free gets it, before others who wait; but once somebody has waited for a
 * millisecond it is handed over in order of arrival, until nobody waits as long.
 * A task that returns while it holds one is a checked abort. */
typedef struct weft_mutex {
    WEFT__ATOMIC(uintptr_t) word; /* the fields are the library's: the holder (sched/mutex_core.h) */
    WEFT__ATOMIC(uintptr_t) queue;
} weft_mutex;
#define WEFT_MUTEX WEFT__SYNC_ZERO

WEFT_API weft_exit weft__mutex_lock(weft_mutex *m);
WEFT_API bool weft__mutex_try(weft_mutex *m);
WEFT_API weft_err weft__mutex_unlock(weft_mutex *m);

/* As WEFT_MUTEX.  [any thread] [never suspends] */
static inline void weft_mutex_init(weft_mutex *m) {
    weft_mutex fresh = WEFT_MUTEX;
    *m = fresh;
}

/* {OK}: locked.  Errors (tag FAIL): WEFT_E_INSIDE (the caller holds it); INTERRUPT.
 * [any thread] [may suspend: cancellation point if it has to wait; blocks a plain thread] */
static inline __attribute__((always_inline)) weft_exit weft_mutex_lock(weft_mutex *m) {
    if (weft__sync_slow()) return weft__mutex_lock(m);
    struct weft__fiber *f = weft__self();
    if (WEFT_UNLIKELY(!weft__mutex_grab(&m->word, f))) return weft__mutex_lock(m);
    f->locks++;
    return weft__fine();
}

/* Is it locked now, by the caller?  False: it was not free.  [any thread] [never suspends] */
static inline __attribute__((always_inline)) bool weft_mutex_try(weft_mutex *m) {
    if (weft__sync_slow()) return weft__mutex_try(m);
    struct weft__fiber *f = weft__self();
    if (WEFT_UNLIKELY(!weft__mutex_grab(&m->word, f))) return weft__mutex_try(m);
    f->locks++;
    return true;
}

/* Errors: WEFT_E_NOT_HELD (by the caller; nothing is changed).  [who locked it] [never suspends] */
static inline __attribute__((always_inline)) weft_err weft_mutex_unlock(weft_mutex *m) {
    struct weft__fiber *f = weft__self();
    uintptr_t w = (uintptr_t)weft__look(&m->word); /* a swap that fails costs as much as one that does not */
    if (weft__unlock_slow(f) || WEFT_UNLIKELY(w != (uintptr_t)f || !weft__swap(&m->word, w, 0))) return weft__mutex_unlock(m);
    f->locks--;
    return WEFT_OK;
}

/* As lock; {FAIL, WEFT_E_TIMEOUT}: it was not free in time.  Errors: also WEFT_E_INVALID (negative duration).
 * [any thread] [may suspend: cancellation point if it has to wait] */
WEFT_API weft_exit weft_mutex_lock_until(weft_mutex *m, weft_time t);
WEFT_API weft_exit weft_mutex_lock_for(weft_mutex *m, weft_duration d);

/* Does the caller hold it?  [any thread] [never suspends] */
WEFT_API bool weft_mutex_is_mine(const weft_mutex *m);

/* ---- semaphore ---------------------------------------------------------------------------------------- */

/* Permits, which belong to nobody: any fiber or thread may release.  A released permit goes straight to who waits longest; nobody
 * who comes later can take it. */
typedef struct weft_sem {
    WEFT__ATOMIC(uintptr_t) state; /* the fields are the library's: {permits:63 | somebody may wait} */
    WEFT__ATOMIC(uintptr_t) queue;
    uint64_t most; /* permits, twice; 0: no limit was given */
} weft_sem;

enum { WEFT_SEM_MOST = 0x7fffffff }; /* permits at a time */

WEFT_API weft_exit weft__sem_acquire(weft_sem *s);
WEFT_API bool weft__sem_try(weft_sem *s);
WEFT_API weft_err weft__sem_release(weft_sem *s);

/* `permits` to begin with, and at most `most` ever (0: WEFT_SEM_MOST).
 * Errors: WEFT_E_INVALID (negative, or more permits than `most`).  [any thread] [never suspends] */
WEFT_API weft_err weft_sem_init(weft_sem *s, int64_t permits, int64_t most);

static inline __attribute__((always_inline)) bool weft__sem_grab(weft_sem *s) {
    uintptr_t state = (uintptr_t)weft__look(&s->state);
    return WEFT_LIKELY(state >= 2 && !(state & 1)) && weft__swap(&s->state, state, state - 2);
}

/* {OK}: the caller has a permit.  Errors: INTERRUPT.
 * [any thread] [may suspend: cancellation point if it has to wait; blocks a plain thread] */
static inline __attribute__((always_inline)) weft_exit weft_sem_acquire(weft_sem *s) {
    if (weft__sync_slow() || WEFT_UNLIKELY(!weft__sem_grab(s))) return weft__sem_acquire(s);
    return weft__fine();
}

/* Is there a permit, now the caller's?  False: none, or others wait.  [any thread] [never suspends] */
static inline __attribute__((always_inline)) bool weft_sem_try(weft_sem *s) {
    if (weft__sync_slow() || WEFT_UNLIKELY(!weft__sem_grab(s))) return weft__sem_try(s);
    return true;
}

/* Errors: WEFT_E_LIMIT (there are as many permits as there may be; nothing is changed).  [any thread] [never suspends] */
static inline __attribute__((always_inline)) weft_err weft_sem_release(weft_sem *s) {
    uintptr_t state = (uintptr_t)weft__look(&s->state);
    if (weft__sync_slow() || WEFT_UNLIKELY(state & 1 || state >= s->most || !weft__swap(&s->state, state, state + 2)))
        return weft__sem_release(s);
    return WEFT_OK;
}

/* As acquire; {FAIL, WEFT_E_TIMEOUT}: there was none in time.  Errors: also WEFT_E_INVALID (negative duration).
 * [any thread] [may suspend: cancellation point if it has to wait] */
WEFT_API weft_exit weft_sem_acquire_until(weft_sem *s, weft_time t);
WEFT_API weft_exit weft_sem_acquire_for(weft_sem *s, weft_duration d);

/* A moment's view.  [any thread] [never suspends] */
WEFT_API int64_t weft_sem_permits(const weft_sem *s);

/* ---- condition ---------------------------------------------------------------------------------------- */

/* Something that holds under a mutex has changed:
 *
 *   while (weft_ok(e) && !there) e = weft_cond_wait(&changed, &m);
 *
 * A signal given after the wait has begun, which is when the mutex is let go, ends one wait.  A wait may also end without one. */
typedef struct weft_cond {
    WEFT__ATOMIC(uintptr_t) queue; /* the library's */
} weft_cond;
#define WEFT_COND WEFT__SYNC_ZERO

/* Let m, which the caller holds, go; wait for a signal; lock m again.  On return the caller holds m, whatever the exit says.
 * {OK}: woken, by a signal or not.  Errors (tag FAIL): WEFT_E_NOT_HELD (m; then it does not on return either); INTERRUPT: of the
 * wait; locking again cannot be interrupted (but where a deadlock is undone: see weft_mutex_is_mine).
 * [any thread] [suspends: cancellation point] */
WEFT_API weft_exit weft_cond_wait(weft_cond *c, weft_mutex *m);
/* At most so long: then {FAIL, WEFT_E_TIMEOUT}, and m is held.  Errors: also WEFT_E_INVALID (negative duration). */
WEFT_API weft_exit weft_cond_wait_until(weft_cond *c, weft_mutex *m, weft_time t);
WEFT_API weft_exit weft_cond_wait_for(weft_cond *c, weft_mutex *m, weft_duration d);

/* End the wait of who waits longest; of all.  One who was interrupted before does not count.
 * [any thread] [never suspends] */
WEFT_API void weft_cond_signal(weft_cond *c);
WEFT_API void weft_cond_broadcast(weft_cond *c);

/* ---- latch, wait group, barrier ----------------------------------------------------------------------- */

/* Counts down to 0, once.  Who waited may free it at once. */
typedef struct weft_latch {
    WEFT__ATOMIC(uintptr_t) queue; /* the fields are the library's */
    int64_t left;
} weft_latch;

/* Errors: WEFT_E_INVALID (negative).  [any thread] [never suspends] */
WEFT_API weft_err weft_latch_init(weft_latch *l, int64_t count);
/* Errors: WEFT_E_INVALID (n is negative, or more than is left; nothing is changed).  [any thread] [never suspends] */
WEFT_API weft_err weft_latch_count_down(weft_latch *l, int64_t n);
/* Until it is 0.  Errors: INTERRUPT.  [any thread] [suspends: cancellation point if it has to wait] */
WEFT_API weft_exit weft_latch_wait(weft_latch *l);
/* [any thread] [never suspends] */
WEFT_API int64_t weft_latch_left(weft_latch *l);

/* Counts what is going on; again and again. */
typedef struct weft_group {
    WEFT__ATOMIC(uintptr_t) queue; /* the fields are the library's */
    int64_t count;
} weft_group;
#define WEFT_GROUP WEFT__SYNC_ZERO

/* n more (n < 0: less); one less.  At 0 all who wait go on.
 * Errors: WEFT_E_INVALID (the count would be negative, or too large; nothing is changed).  [any thread] [never suspends] */
WEFT_API weft_err weft_group_add(weft_group *g, int64_t n);
WEFT_API weft_err weft_group_done(weft_group *g);
/* Until the count is, or has been, 0.  Errors: INTERRUPT.  [any thread] [suspends: cancellation point if it has to wait] */
WEFT_API weft_exit weft_group_wait(weft_group *g);

/* A number of parties wait for each other, again and again. */
typedef struct weft_barrier {
    WEFT__ATOMIC(uintptr_t) queue; /* the fields are the library's */
    uint32_t parties, there;
    uint64_t round;
} weft_barrier;

/* Errors: WEFT_E_INVALID (no parties).  [any thread] [never suspends] */
WEFT_API weft_err weft_barrier_init(weft_barrier *b, uint32_t parties);
/* Until all parties are there; *last (may be NULL): the caller was the last to come.  Interrupted, a party has not come, and the
 * others go on waiting, for it or for another one in its place; once all were there, the return is ok.
 * Errors: INTERRUPT.  [any thread] [suspends: cancellation point if it has to wait] */
WEFT_API weft_exit weft_barrier_wait(weft_barrier *b, bool *last);
/* One party less for good, which is not there.  Errors: WEFT_E_INVALID (it is the only one).  [any thread] [never suspends] */
WEFT_API weft_err weft_barrier_leave(weft_barrier *b);

/* ---- once, ref ---------------------------------------------------------------------------------------- */

/* Something is done once, by who comes first; others wait until it is done. */
typedef struct weft_once {
    WEFT__ATOMIC(uintptr_t) queue; /* the fields are the library's */
    WEFT__ATOMIC(uintptr_t) by;
} weft_once;
#define WEFT_ONCE WEFT__SYNC_ZERO

/* {OK}: it is done.  fn, called without a lock, says how it went; after any exit but ok it is not done, its caller gets that exit,
 * and one of those who wait calls its own fn.
 * Errors (tag FAIL): WEFT_E_INSIDE (called from fn); INTERRUPT while it waits.
 * [any thread] [suspends: cancellation point if it has to wait] */
WEFT_API weft_exit weft_once_call(weft_once *o, weft_exit (*fn)(void *arg), void *arg);
/* [any thread] [never suspends] */
WEFT_API bool weft_once_is_done(weft_once *o);

/* A pointer-sized value that is changed under a lock, and read without. */
typedef struct weft_ref {
    weft_mutex lock; /* the fields are the library's */
    WEFT__ATOMIC(uintptr_t) value;
} weft_ref;
#define WEFT_REF WEFT__SYNC_ZERO

/* [any thread] [never suspends] */
WEFT_API void weft_ref_init(weft_ref *r, void *value);
WEFT_API void *weft_ref_get(weft_ref *r);

/* Changes are one after the other.  Exits as of weft_mutex_lock; then nothing is changed.
 * update: the value becomes fn(value, arg), which may wait, but not change the same cell; *now (may be NULL) is what it became.
 * swap_if: it becomes `to` if it is `from`; *swapped (may be NULL): it was.
 * [any thread] [may suspend: cancellation point if it has to wait] */
WEFT_API weft_exit weft_ref_set(weft_ref *r, void *value);
WEFT_API weft_exit weft_ref_update(weft_ref *r, void *(*fn)(void *value, void *arg), void *arg, void **now);
WEFT_API weft_exit weft_ref_swap_if(weft_ref *r, void *from, void *to, bool *swapped);

/* ---- read-write lock ---------------------------------------------------------------------------------- */

/* Held by one writer or any number of readers.  Phases alternate: readers who come while a writer waits wait, too; when a writer
 * is done all who wait to read go in together; then who waits longest to write.  So neither kind starves.
 * Not recursive, no upgrade. */
typedef struct weft_rwlock {
    WEFT__ATOMIC(uintptr_t) state; /* the fields are the library's: {readers | a writer | somebody may wait} */
    WEFT__ATOMIC(uintptr_t) queue;
    WEFT__ATOMIC(uintptr_t) writer;
} weft_rwlock;
#define WEFT_RWLOCK WEFT__SYNC_ZERO

/* Errors: INTERRUPT; for writing (tag FAIL) WEFT_E_INSIDE (the caller writes).
 * [any thread] [may suspend: cancellation point if it has to wait] */
WEFT_API weft_exit weft_rwlock_read(weft_rwlock *l);
WEFT_API weft_exit weft_rwlock_write(weft_rwlock *l);
/* The same, at most until a time: then {FAIL, WEFT_E_TIMEOUT}. */
WEFT_API weft_exit weft_rwlock_read_until(weft_rwlock *l, weft_time t);
WEFT_API weft_exit weft_rwlock_write_until(weft_rwlock *l, weft_time t);
/* [any thread] [never suspends] */
WEFT_API bool weft_rwlock_try_read(weft_rwlock *l);
WEFT_API bool weft_rwlock_try_write(weft_rwlock *l);
/* Errors: WEFT_E_NOT_HELD (nobody reads; the caller does not write).  [who locked it] [never suspends] */
WEFT_API weft_err weft_rwlock_read_end(weft_rwlock *l);
WEFT_API weft_err weft_rwlock_write_end(weft_rwlock *l);

/* ---- threads that take part --------------------------------------------------------------------------- */

/* Between begin and end something outside of rt (NULL: the caller's) may end waits of its fibers: until then nobody
 * calls them deadlocked, and an automatic clock does not jump.  Calls are counted.
 * Errors: WEFT_E_CLOSED, WEFT_E_INVALID (no runtime).  [any thread] [never suspends] */
WEFT_API weft_err weft_outside_begin(struct weft_runtime *rt);
WEFT_API weft_err weft_outside_end(struct weft_runtime *rt);

WEFT_END_C
#endif
