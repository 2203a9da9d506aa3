/* effect/driver.c -- runs: the program's fiber, and the runtimes around it.
 *
 *   weft_run_sync, _async    open a runtime; its main task is drive()
 *   weft_run_inside          drive(), here
 *   drive                    spawns the program's fiber, which carries the run's first store, and waits for it
 *   that fiber               installs the handlers, opens a scope, calls the program, waits for what it has spawned
 *
 * So the store is there before the program's fiber starts, and as long as it runs (sched/carried.h), and handlers end before
 * the frames of their `self` do: everything that was spawned inside has ended then, but for what was detached.
 *
 * Rejected: the handlers on the caller's stack (a child that was forked before the run, and is taken meanwhile, would carry its
 * store).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "effect/par.h"
#include "effect/run.h"
#include "sched/cause.h"
#include "sched/fail.h"
#include "sched/local.h"
#include <string.h>
#include <weft/scope.h>

/* ---- runs --------------------------------------------------------------------------------------------- */

run *weft__run_new(const weft_site *program, bool trace) {
    run *r = weft__heap_alloc(sizeof *r, 0);
    if (!r) return NULL;
    atom_store_rlx(&r->refs, 1);
    r->site = *program;
    r->trace = trace;
    return r;
}

run *weft__run_keep(run *r) {
    atom_add_rlx(&r->refs, 1);
    return r;
}

void weft__run_drop(run *r) {
    if (!r || atom_sub_ar(&r->refs, 1) != 1) return;
    weft_log_free(&r->log);
    weft__failures_free(r);
    weft__tree_free(r->tree);
    weft__heap_free(r, sizeof *r);
}

/* ---- stores of a run ---------------------------------------------------------------------------------- */

static void store_drop(carried *c) {
    store *s = (store *)(void *)c;
    if (atom_sub_ar(&s->refs, 1) != 1) return;
    weft__table_drop(s->table);
    weft__run_drop(s->run);
    weft__heap_free(s, sizeof *s);
}

/* More stack for f: if f is alone with the store (S1), that is alone with it.  Else the store is lent. */
static void store_lend(carried *c, fiber *f, fiber *to, bool is_f) {
    store *s = (store *)(void *)c;
    bool moves = is_f && store_alone(s, f);
    if (!moves) atom_add_rlx(&s->refs, 1);
    spin_lock(&s->lock);
    if (moves)
        c->home = to;
    else
        s->lent++;
    atom_store_rel(&c->on, moves ? to : NULL);
    spin_unlock(&s->lock);
}

/* Whatever else it was lent to may still go on. */
static void store_unlend(carried *c, fiber *to, fiber *f) {
    store *s = (store *)(void *)c;
    spin_lock(&s->lock);
    bool moved = c->home == to;
    if (moved)
        c->home = f;
    else
        s->lent--;
    if (s->lent == 0) atom_store_rel(&c->on, c->home);
    spin_unlock(&s->lock);
    if (!moved) store_drop(c);
}

static void store_failed(carried *c, fiber *f, weft_exit e, bool passed_on) {
    weft__run_note_failure((store *)(void *)c, f, e, passed_on);
}

static carried *store_inherit(carried *from, fiber *f, weft_fiber *child);
static const carried_ops ops = {store_inherit, store_lend, store_unlend, store_drop, store_failed};

store *weft__store_new(run *r, uint64_t seed) {
    store *s = weft__heap_alloc(sizeof *s, 0);
    if (!s) return NULL;
    s->carried.ops = &ops;
    atom_store_rlx(&s->refs, 1);
    s->random = seed;
    s->run = weft__run_keep(r);
    return s;
}

static carried *store_inherit(carried *from, fiber *f, weft_fiber *child) {
    store *parent = (store *)(void *)from, *s = weft__store_new(parent->run, weft__store_random(parent, f));
    run *r = parent->run;
    if (!s) return NULL;
    store_set_table(s, weft__store_snapshot(parent, f));
    if (r->trace) {
        const weft_site *site = spawn_site(child);
        spin_lock(&r->lock);
        s->task = weft__tree_at(r, parent->task, "fiber", site->name, site->file, site->line);
        spin_unlock(&r->lock);
    }
    return &s->carried;
}

/* ---- the program's fiber ------------------------------------------------------------------------------ */

typedef struct drive {
    const weft_run_with *with;
    const weft__body *program;
    weft_result *r;
    store *store;           /* until its fiber has it */
    weft_handler *handlers; /* with the observer, if there is one */
    size_t n;
    bool began;
} drive;

typedef struct drive_task {
    weft_task task;
    drive *d;
} drive_task;

typedef struct scoped {
    weft_task call;
    drive *d;
} scoped;

/* What has failed is not waited for any longer than it takes to stop the rest. */
static void run_scoped(weft_task *task, weft_head head) {
    drive *d = ((scoped *)task)->d;
    const weft__body *b = d->program;
    fiber *f = thread_fiber();
    (void)head;
    WEFT_SCOPE(s, NULL, .policy = WEFT_SUPERVISE, .name = "program") {
        b->site->run(b->call, f->pub.head);
        if (!weft_ok(f->exit)) weft_scope_cancel(s, "the program has failed");
    }
    if (weft_ok(f->exit)) par_copy(d->r->value, (const char *)b->call + b->at, b->bytes);
}

static void set_exit(weft_result *r, weft_exit e) {
    weft__cause_keep(e.cause);
    weft__cause_drop(r->exit.cause);
    r->exit = e;
}

static weft_site site_of(const drive *d, void (*run)(weft_task *, weft_head)) {
    const weft_site *s = d->program->site;
    return (weft_site){run, s->name, s->file, s->line};
}

/* Without memory it is missing in the result. */
static void keep_value(const weft_env_entry *e, void *result) {
    weft_result *r = result;
    if (!e->value || e->overridden) return;
    asked *a = weft__heap_alloc(sizeof *a + e->key->reply, 16);
    if (!a) return;
    a->next = r->env;
    a->key = e->key;
    memcpy(a->value, e->value, e->key->reply);
    r->env = a;
}

/* In the environment. */
static void run_handled(weft_task *task, weft_head head) {
    drive *d = ((scoped *)task)->d;
    (void)head;
    const weft_site site = site_of(d, run_scoped);
    scoped call = {.d = d};
    const weft__body body = {&call.call, &site, d->r->value, sizeof call, offsetof(scoped, call), 0, NULL};
    set_exit(d->r, weft__handle(d->handlers, d->n, &body));
    weft_env_each(keep_value, d->r);
}

static void run_program(weft_task *task, weft_head head) {
    drive *d = ((drive_task *)(void *)task)->d;
    fiber *f = thread_fiber();
    (void)head;
    d->began = true;
    const weft_site site = site_of(d, run_handled);
    scoped call = {.d = d};
    const weft__body body = {&call.call, &site, NULL, sizeof call, offsetof(scoped, call), 0, NULL};
    weft_exit e = weft_done;
    if (d->with->n_env)
        e = weft__provide(d->with->env, d->with->n_env, &body);
    else
        run_handled(&call.call, head);
    if (!weft_ok(e) && weft_ok(d->r->exit)) set_exit(d->r, e);
    d->r->table = weft__store_snapshot(store_of(f), f);
}

/* ---- driving ------------------------------------------------------------------------------------------ */

/* Waits, whatever is asked of the caller meanwhile, which then is asked of the program. */
static weft_exit wait_for(weft_handle h) {
    weft_mask m;
    weft_exit e = weft_fiber_await(h);
    if (weft_fiber_is_done(h)) return e;
    weft__interrupt(h, "who runs the program is interrupted", __FILE__, __LINE__, false);
    weft_mask_begin(&m);
    e = weft_fiber_await(h);
    weft_mask_end(&m);
    return e;
}

static void drive_here(void *arg) {
    drive *d = arg;
    weft_handle h;
    const weft_spawn_options o = {.name = d->program->site->name, .stack_bytes = d->with->stack_bytes};
    weft_exit e = weft__spawn_begin(&h, &d->r->run->site, sizeof(drive_task), &o);
    if (weft_ok(e)) {
        spawn_more *m = atom_load_acq(&h.fiber->more); /* it has a name */
        if (m->carried) m->carried->ops->drop(m->carried);
        m->carried = &d->store->carried;
        d->store = NULL;
        ((drive_task *)(void *)weft__task_of(h))->d = d;
        weft__spawn_go(h, false);
        e = wait_for(h);
        weft_fiber_drop(h);
    }
    if (!d->began) set_exit(d->r, e);
}

static void on_report(void *arg, const char *text) {
    drive *d = arg;
    size_t bytes = strlen(text) + 1;
    if (d->r->report || strncmp(text, "deadlock", 8) != 0) return;
    d->r->report = weft__heap_alloc(bytes, 0);
    d->r->report_bytes = bytes;
    if (d->r->report) memcpy(d->r->report, text, bytes);
}

static void on_unobserved(void *arg, weft_exit e, const char *name) {
    drive *d = arg;
    if (d->with->on_unobserved) d->with->on_unobserved(d->with->hook_arg, e, name);
}

static void fail_with(weft_result *r, weft_err err, const char *text) {
    const weft_site *at = r->program;
    weft_exit e = {WEFT_EXIT_FAIL, (int)err, weft__cause_leaf(WEFT_CAUSE_FAIL, (int)err, text, at->file, at->line)};
    set_exit(r, e);
    weft__cause_drop(e.cause);
}

static void drive_runtime(drive *d, bool sync) {
    const weft_run_with *w = d->with;
    weft_options o = WEFT_OPTIONS(.workers = w->workers, .clock = w->clock, .stack_bytes = w->stack_bytes,
                                  .max_fibers = w->max_fibers, .on_report = on_report, .on_unobserved = on_unobserved,
                                  .hook_arg = d);
    o.executor = sync ? WEFT_DETERMINISTIC : WEFT_PARALLEL;
    if (sync) {
        o.seed = w->seed;
        o.explore = w->explore;
        o.schedule = w->schedule;
    }
    weft_err err = weft_run(&o, drive_here, d);
    if (err == WEFT_E_DEADLOCK)
        fail_with(d->r, err, "the result's report lists who waits");
    else if (err != WEFT_OK && !d->began)
        fail_with(d->r, err, "");
}

/* ---- results ------------------------------------------------------------------------------------------ */

static const weft_cause without_memory = WEFT__CAUSE_STATIC(WEFT_CAUSE_FAIL, "no memory for a run and its result");
static weft_result lost = {.exit = {WEFT_EXIT_FAIL, WEFT_E_NOMEM, &without_memory}}; /* constant */

weft_result *weft__result_lost(void) { return &lost; }

static const weft_handler preset[] = {WEFT_SYNC_PRESET};

static bool drive_begins(drive *d) {
    const weft_run_with *w = d->with;
    const weft_handler *given = w->handlers ? w->handlers : preset;
    size_t n = w->handlers ? w->n_handlers : sizeof preset / sizeof *preset;
    const weft_site site = site_of(d, run_program);
    run *r = d->r->run = weft__run_new(&site, w->trace);
    d->n = n + w->trace;
    d->handlers = weft__heap_alloc((d->n + 1) * sizeof *d->handlers, 0);
    d->store = r ? weft__store_new(r, w->seed) : NULL;
    if (!d->handlers || !d->store) return false;
    if (w->trace) {
        d->handlers[0] = (weft_handler)WEFT_OBSERVER(weft__run_observe, r);
        d->handlers[0].name = "trace";
        d->store->task = weft__tree_at(r, NULL, "program", r->site.name, r->site.file, r->site.line);
    }
    if (n) memcpy(d->handlers + w->trace, given, n * sizeof *given);
    for (size_t i = w->trace; !w->handlers && i < d->n; i++) d->handlers[i].at = (weft_place){r->site.file, r->site.line};
    for (size_t i = 0; i < w->n_store; i++)
        if (!weft__store_put(d->store, w->store[i].key, w->store[i].value)) return false;
    return true;
}

static void drive_ends(drive *d) {
    weft_result *r = d->r;
    if (d->store) store_drop(&d->store->carried);
    if (d->handlers) weft__heap_free(d->handlers, (d->n + 1) * sizeof *d->handlers);
    if (r->run && !weft_ok(r->exit)) r->where = weft__failure_of(r->run, r->exit);
}

static void drive_how(drive *d, int how) {
    if (!drive_begins(d)) return set_exit(d->r, lost.exit);
    bool on_fiber = thread_fiber();
    if (how != WEFT__INSIDE && on_fiber)
        fail_with(d->r, WEFT_E_INSIDE, "a driver was called on a fiber, which has a runtime; call weft_run_inside");
    else if (how == WEFT__INSIDE && !on_fiber)
        fail_with(d->r, WEFT_E_INVALID, "weft_run_inside needs a fiber; on a plain thread call weft_run_sync or _async");
    else if (how == WEFT__INSIDE)
        drive_here(d);
    else
        drive_runtime(d, how == WEFT__SYNC);
}

weft_result *weft__drive(int how, const weft_run_with *with, const weft__body *program) {
    static const weft_run_with defaults;
    weft_result *r = weft__heap_alloc(sizeof *r + program->bytes, 16);
    if (!r) return &lost;
    r->program = program->site;
    r->bytes = program->bytes;
    drive d = {.with = with ? with : &defaults, .program = program, .r = r};
    drive_how(&d, how);
    drive_ends(&d);
    return r;
}

void weft_result_free(weft_result *r) {
    if (!r || r == &lost) return;
    weft__cause_drop(r->exit.cause);
    weft__table_drop(r->table);
    while (r->env) {
        asked *a = r->env;
        r->env = a->next;
        weft__heap_free(a, sizeof *a + a->key->reply);
    }
    if (r->where) weft__heap_free(r->where, sizeof *r->where);
    if (r->report) weft__heap_free(r->report, r->report_bytes);
    weft__run_drop(r->run);
    weft__heap_free(r, sizeof *r + r->bytes);
}
