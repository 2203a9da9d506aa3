/* effect/builtin.c -- the clauses of time, tasks, random numbers and failures.
 *
 * A clause runs outside of its handler, and what it begins would see what holds there.  What it does for the performer
 * shall see what the performer does: so some payloads bring the performer's evidence along.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/run.h"
#include "sched/evidence.h"
#include "sched/fail.h"
#include <string.h>

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* Returns what is to be put back. */
static const weft__evidence *under(const weft__evidence *performer) {
    fiber *f = thread_fiber();
    const weft__evidence *own = f ? f->pub.env : NULL;
    if (f && performer) evidence_set(f, performer);
    return own;
}

static void back_to(const weft__evidence *own) {
    fiber *f = thread_fiber();
    if (f) evidence_set(f, own);
}

/* ---- time, and the environment ------------------------------------------------------------------------ */

static weft_exit on_delay(const weft_delay_op *op, char *reply, void *self) {
    (void)reply, (void)self;
    const weft__evidence *own = under(op->under);
    weft_exit e = weft_clock_sleep(op->d);
    back_to(own);
    return e;
}

static weft_exit on_wait_until(const weft_wait_until_op *op, char *reply, void *self) {
    (void)reply, (void)self;
    const weft__evidence *own = under(op->under);
    weft_exit e = weft_clock_sleep_until(op->t);
    back_to(own);
    return e;
}

static weft_exit on_get_time(const weft_get_time_op *op, weft_time *now, void *self) {
    fiber *f = thread_fiber();
    store *s = store_of(f);
    (void)self;
    if (s && weft__store_get(s, f, &weft_current_time_state, now)) return success;
    const weft__evidence *own = under(op->under);
    *now = weft_clock_now();
    back_to(own);
    return success;
}

const weft_clause weft__clauses_time[3] = {WEFT_TAIL(weft_delay, on_delay), WEFT_TAIL(weft_wait_until, on_wait_until),
                                           WEFT_TAIL(weft_get_time, on_get_time)};

static weft_exit on_ask(const weft_ask_op *op, char *reply, void *self) {
    (void)reply, (void)self;
    const weft__evidence *own = under(op->under);
    weft_exit e = weft__env_get(op->key, op->to, op->at);
    back_to(own);
    return e;
}

const weft_clause weft__clauses_ask[1] = {WEFT_TAIL(weft_ask, on_ask)};

/* ---- tasks -------------------------------------------------------------------------------------------- */

static weft_exit on_spawn(const weft_spawn_op *op, char *reply, void *self) {
    weft_handle h;
    (void)reply, (void)self;
    const weft__evidence *own = under(op->under);
    weft_exit e = weft__spawn_begin(&h, op->site, op->bytes, op->options);
    if (weft_ok(e)) {
        memcpy((char *)weft__task_of(h) + op->at, op->input, op->input_bytes);
        bool waits = weft__spawn_waits(op->options);
        weft__spawn_go(h, !op->handle && !waits);
        if (waits) e = weft__spawn_wait(h, !op->handle);
    }
    if (op->handle) *op->handle = h;
    back_to(own);
    return e;
}

static weft_exit on_wait(const weft_wait_op *op, char *reply, void *self) {
    (void)reply, (void)self;
    weft_exit e = weft_fiber_await(op->handle);
    if (op->out && weft_ok(e)) memcpy(op->out, (char *)weft__task_of(op->handle) + op->at, op->bytes);
    return e;
}

static weft_exit on_gather(const weft_gather_op *op, char *reply, void *self) {
    (void)reply, (void)self;
    const weft__evidence *own = under(op->under);
    weft_exit e = weft_all_of(op->branches, op->n, op->options);
    back_to(own);
    return e;
}

static weft_exit on_race(const weft_race_op *op, char *reply, void *self) {
    (void)reply, (void)self;
    const weft__evidence *own = under(op->under);
    weft_exit e = weft_race_of(op->who, op->branches, op->n, op->options);
    back_to(own);
    return e;
}

static weft_exit on_cancel(const weft_cancel_op *op, bool *pending, void *self) {
    (void)self;
    *pending = weft_fiber_status(op->handle) != WEFT_STATUS_NONE && !weft_fiber_is_done(op->handle);
    return weft__interrupt(op->handle, op->reason, op->at->file, op->at->line, false);
}

static weft_exit on_is_done(const weft_is_done_op *op, bool *done, void *self) {
    (void)self;
    *done = weft_fiber_is_done(op->handle);
    return success;
}

static weft_exit on_await(const weft_await_op *op, char *reply, void *self) {
    (void)reply, (void)self;
    return weft_promise_await(op->promise, op->value);
}

static weft_exit on_blocking(const weft_blocking_op *op, char *reply, void *self) {
    (void)reply, (void)self;
    return weft_offload(op->fn, op->arg, op->result, op->drop);
}

const weft_clause weft__clauses_tasks[8] = {
    WEFT_TAIL(weft_spawn, on_spawn),   WEFT_TAIL(weft_wait, on_wait),       WEFT_TAIL(weft_gather, on_gather),
    WEFT_TAIL(weft_race, on_race),     WEFT_TAIL(weft_cancel, on_cancel),   WEFT_TAIL(weft_is_done, on_is_done),
    WEFT_TAIL(weft_await, on_await),   WEFT_TAIL(weft_blocking, on_blocking),
};

/* ---- random numbers, failures -------------------------------------------------------------------------- */

static weft_exit on_random(const weft_random_op *op, uint64_t *number, void *self) {
    fiber *f = thread_fiber();
    store *s = store_of(f);
    (void)self;
    const weft__evidence *own = under(op->under);
    bool provided = weft_env(weft_random);
    if (provided) *number = weft_random_next();
    back_to(own);
    if (provided) return success;
    if (!s) return FAILED(WEFT_E_MISSING, "there are no random numbers here; run it under weft_run_sync, weft_run_async or "
                                          "weft_run_inside");
    *number = weft__store_random(s, f);
    return success;
}

const weft_clause weft__clauses_random[1] = {WEFT_TAIL(weft_random, on_random)};

static weft_exit on_fail(const weft_fail_op *op, char *reply, void *self) {
    (void)reply, (void)self;
    return weft__fail(op->exit.code, op->exit.cause);
}

const weft_clause weft__clauses_fail[1] = {WEFT_TAIL(weft_fail, on_fail)};
