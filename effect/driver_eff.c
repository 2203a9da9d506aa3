/* effect/driver_eff.c -- an effect value as the program of a driver.
 *
 * It is run by a task that is like any other program, but that what was pending in the interpreter when it went wrong is part
 * of the result's continuation.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "effect/eff.h"
#include "effect/run.h"
#include "sched/cause.h"
#include "sched/exit.h"

typedef struct program {
    weft_task task;
    uintptr_t ref;
    size_t bytes;
    weft__eff_trace trace;
    _Alignas(16) char value[];
} program;

static void add(run *r, const weft_eff_node *n) {
    if (!n) return;
    if (r->n_pending < LEVELS_MOST)
        r->pending[r->n_pending] = (level){weft__eff_kind_name(n->kind), n->site->name, n->site->file, n->site->line};
    r->n_pending++;
}

/* Branches may fail at once; what is told last is what counts. */
static void note_pending(weft__eff_trace *t, weft_exit e, const weft_eff_node *at, weft__eff_pending first) {
    store *s = store_of(thread_fiber());
    (void)t, (void)e;
    if (!s) return;
    spin_lock(&s->run->lock);
    s->run->n_pending = 0;
    add(s->run, at);
    while (weft__eff_pending_next(&first)) add(s->run, first.node);
    spin_unlock(&s->run->lock);
}

void weft__eff_program(weft_task *task, weft_head head) {
    program *p = (program *)(void *)task;
    (void)head;
    weft_exit e = weft__eff_run(p->ref, p->value, p->bytes, &(const weft_eff_options){.trace = &p->trace});
    if (weft_ok(e)) return;
    weft__cause_keep(e.cause);
    weft__exit_record(e);
}

weft_result *weft__drive_eff(int how, const weft_run_with *with, uintptr_t ref, size_t bytes, const weft_site *site) {
    size_t size = sizeof(program) + bytes;
    program *p = weft__heap_alloc(size, 16);
    if (!p) return weft__result_lost();
    p->ref = ref;
    p->bytes = bytes;
    p->trace.failed = note_pending;
    const weft__body body = {&p->task, site, NULL, size, offsetof(program, value), bytes, NULL};
    weft_result *r = weft__drive(how, with, &body);
    weft__heap_free(p, size);
    return r;
}
