/* effect/log.c -- the log of a run, and who listens to it.
 *
 * A listener is a handler of weft_tell that copies what it hears and passes on, so that outer ones hear it, and the log gets
 * it.  Fibers that are spawned under it may outlive it: so its `self` is no address but a number, looked up under the run's
 * lock among those that still listen.
 * Rejected: a buffer for each fiber, merged at the end: the order of what different fibers told would be lost.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/run.h"
#include "alloc/heap.h"
#include "sched/fail.h"
#include <stdio.h>
#include <string.h>

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

static weft_exit no_memory(void) { return FAILED(WEFT_E_NOMEM, "weft_do_tell: no memory for another entry"); }
static weft_exit no_run(void) {
    return FAILED(WEFT_E_MISSING, "there is no log here; run it under weft_run_sync, weft_run_async or weft_run_inside");
}

static size_t entry_bytes(const char *text) { return sizeof(weft_log_entry) + strlen(text) + 1; }

weft_log_entry *weft__log_entry(const char *text, const weft_place *at) {
    size_t bytes = entry_bytes(text);
    fiber *f = thread_fiber();
    weft_log_entry *e = weft__heap_alloc(bytes, 0);
    if (!e) return NULL;
    memcpy((char *)(e + 1), text, bytes - sizeof *e);
    e->text = (const char *)(e + 1);
    e->time = weft_now();
    e->fiber = f && f->self ? atom_load_rlx(&f->self->id) : 0;
    e->at = *at;
    return e;
}

void weft__log_add(weft_log *log, weft_log_entry *e) {
    if (log->last)
        log->last->next = e;
    else
        log->first = e;
    log->last = e;
    log->n++;
}

void weft_log_free(weft_log *log) {
    while (log->first) {
        weft_log_entry *e = log->first;
        log->first = e->next;
        weft__heap_free(e, entry_bytes(e->text));
    }
    *log = (weft_log){NULL, NULL, 0};
}

/* ---- telling ------------------------------------------------------------------------------------------ */

weft_exit weft__tell(const weft_place *at, const char *format, ...) {
    char text[512], none;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const weft_tell_op op = {text, at};
    return weft__perform(&weft_tell_effect, &op, &none, at);
}

static weft_exit on_tell(const weft_tell_op *op, char *reply, void *self) {
    store *s = store_of(thread_fiber());
    (void)reply, (void)self;
    if (!s) return no_run();
    weft_log_entry *e = weft__log_entry(op->text, op->at);
    if (!e) return no_memory();
    spin_lock(&s->run->lock);
    weft__log_add(&s->run->log, e);
    spin_unlock(&s->run->lock);
    return success;
}

const weft_clause weft__clauses_log[1] = {WEFT_TAIL(weft_tell, on_tell)};

/* ---- listening ---------------------------------------------------------------------------------------- */

static listener *listener_of(run *r, uint64_t ticket) {
    listener *l = r->listeners;
    while (l && l->ticket != ticket) l = l->next;
    return l;
}

static weft_exit on_heard(const weft_tell_op *op, char *reply, void *ticket) {
    store *s = store_of(thread_fiber());
    (void)reply;
    weft_log_entry *e = s ? weft__log_entry(op->text, op->at) : NULL;
    if (!s) return weft_pass;
    if (!e) return no_memory();
    spin_lock(&s->run->lock);
    listener *l = listener_of(s->run, (uint64_t)(uintptr_t)ticket);
    if (l) weft__log_add(&l->log, e);
    spin_unlock(&s->run->lock);
    if (!l) weft_log_free(&(weft_log){e, e, 1}); /* it does not listen any more */
    return weft_pass;
}

static void listener_enter(run *r, listener *l) {
    static _Atomic uint64_t tickets;
    *l = (listener){.ticket = atom_add_rlx(&tickets, 1) + 1};
    spin_lock(&r->lock);
    l->next = r->listeners;
    r->listeners = l;
    spin_unlock(&r->lock);
}

static void listener_leave(run *r, listener *l) {
    spin_lock(&r->lock);
    listener **at = &r->listeners;
    while (*at != l) at = &(*at)->next;
    *at = l->next;
    spin_unlock(&r->lock);
}

weft_exit weft__listen(weft_log *log, const weft__body *body) {
    static const weft_clause hears[1] = {WEFT_TAIL(weft_tell, on_heard)};
    store *s = store_of(thread_fiber());
    *log = (weft_log){NULL, NULL, 0};
    if (!s) return no_run();
    run *r = s->run; /* it lives as long as the store, which lives as long as the fiber */
    listener l;
    listener_enter(r, &l);
    const weft_handler h = {hears, 1, (void *)(uintptr_t)l.ticket, NULL, "listen", {body->site->file, body->site->line}, true};
    weft_exit e = weft__handle(&h, 1, body);
    listener_leave(r, &l);
    if (weft_ok(e))
        *log = l.log;
    else
        weft_log_free(&l.log);
    return e;
}
