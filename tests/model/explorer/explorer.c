/* tests/model/explorer/explorer.c -- runs every execution of a model.
 *
 *   PROGRAM                     the names of instances and mutants
 *   PROGRAM INSTANCE            passes when no execution violates
 *   PROGRAM mutant NAME         passes when some execution violates
 *   PROGRAM sites LIMIT INSTANCE...     the accesses that are executed
 *   PROGRAM weaken FILE LINE OPERATION ORDER LIMIT INSTANCE...
 *                               one access with another order, until an instance notices: killed, holds, or open when
 *                               LIMIT states did not decide.  For tests/model/mutants.py.
 *
 * A model thread is a context (sched/ctx.h).  At each atomic operation it stops and says what it is about to
 * do.  The explorer picks a thread and, for a load, a value; the picks of an execution are a path, and paths
 * are walked depth first, each one executed from the start.
 *
 * Pruning: a thread is a function of what its operations returned; a state whose hash of that and of memory
 * (machine.c) was seen has been explored.  Of the n! orders of independent steps each intermediate state is
 * visited once.  64 bits of hash: with 10 million states the chance that one was taken for another is 3 in a
 * million.  A step that loses nothing by going first (machine.h) is taken without alternatives.
 *
 * Rejected: partial order reduction by sleep or source sets (together with a visited set it is easily
 * unsound, and alone it does not merge executions that meet again); snapshots of stacks instead of execution from the
 * start (a path of 60 steps takes two microseconds).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/ctx.h"
#include "tests/model/explorer/machine.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_BYTES = 64 * 1024, STEPS = 1000, CELLS = 32 };

typedef enum state { READY, WAITING, ENDED } state;

typedef struct thread {
    ctx c;
    state state;
    view v;
    uint64_t history, before; /* before the last operation */
    model_site *site;
    access a; /* READY: what it is about to do */
    uint64_t result;
    bool (*condition)(void *); /* WAITING */
    void *arg;
    uint64_t spun_on; /* value */
} thread;

typedef struct step {
    unsigned by[MODEL_THREADS], options, chosen; /* options of each thread, together */
    unsigned thread;                             /* for the report */
    const model_site *site;
    access a;
    uint64_t result;
} step;

const model_instance *model_instance_;

static _Alignas(64) char stacks[MODEL_THREADS][STACK_BYTES];
static thread threads[MODEL_THREADS];
static unsigned n_threads;
static thread *running;
static ctx home;

static step path[STEPS];
static unsigned path_length, depth;

static const char *violation; /* of this execution */
static int violation_line;
static bool pruned, undecided;

static model_site *sites;
static const model_mutant *mutant_now;
static const char *mutant_file; /* of `weaken`, else NULL; with the line */
static int mutant_line;
static uint64_t state_limit = UINT64_MAX;

/* ---- visited states --------------------------------------------------------------------------------- */

static uint64_t *seen;
static uint64_t seen_size, seen_count;

static void seen_clear(void) {
    free(seen);
    seen_size = UINT64_C(1) << 16;
    seen_count = 0;
    seen = calloc(seen_size, sizeof *seen);
    if (!seen) abort();
}

static bool seen_insert(uint64_t h) {
    h |= h == 0;
    uint64_t i = h & (seen_size - 1);
    for (; seen[i]; i = (i + 1) & (seen_size - 1))
        if (seen[i] == h) return false;
    seen[i] = h;
    seen_count++;
    return true;
}

static bool seen_add(uint64_t h) {
    if (2 * seen_count > seen_size) {
        uint64_t *old = seen, n = seen_size;
        seen_size *= 2;
        seen_count = 0;
        seen = calloc(seen_size, sizeof *seen);
        if (!seen) abort();
        for (uint64_t i = 0; i < n; i++)
            if (old[i]) seen_insert(old[i]);
        free(old);
    }
    return seen_insert(h);
}

/* ---- what model threads call ------------------------------------------------------------------------ */

unsigned model_self(void) {
    return (unsigned)(running - threads);
}

static void stop(void) {
    weft__ctx_native_switch(&running->c, &home, NULL);
}

_Noreturn void model_exit(void) {
    running->state = ENDED;
    stop();
    abort();
}

_Noreturn void model_fail(const char *what, int line) {
    if (!violation) {
        violation = what;
        violation_line = line;
    }
    if (running) model_exit();
    abort();
}

void model_assume(bool c) {
    if (c) return;
    pruned = true;
    model_exit();
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), k = strlen(end);
    return n >= k && !strcmp(s + n - k, end);
}

/* A mutant of the sources names the access, one of `weaken` the place and the operation. */
static bool is_mutated(const model_site *s) {
    const model_mutant *m = mutant_now;
    if (!m || !m->access) return false;
    if (!mutant_file) return !strcmp(m->func, s->func) && !strcmp(m->access, s->access);
    size_t n = strlen(m->access);
    return s->line == mutant_line && ends_with(s->file, mutant_file) && !strncmp(s->access, m->access, n) && s->access[n] == '(';
}

static void meet(model_site *s) {
    if (s->known) return;
    s->known = true;
    s->order_now = s->order;
    s->next = sites;
    sites = s;
    static const char *const names[] = {"rlx", "acq", "rel", "ar", "seq"};
    for (int i = 0; i < 5 && is_mutated(s); i++)
        if (!strcmp(names[i], mutant_now->becomes)) s->order_now = i;
}

static void act(model_site *s) {
    meet(s);
    running->site = s;
    running->a.order = s->order_now;
    running->state = READY;
    stop();
    if (running->a.unordered) model_fail("access to a variable whose new tenant it cannot know of", s->line);
}

uint64_t model_atomic(model_site *s, volatile void *p, size_t bytes, uint64_t operand) {
    running->a = (access){.kind = s->kind, .p = p, .bytes = bytes, .operand = operand};
    act(s);
    return running->result;
}

bool model_cas(model_site *s, volatile void *p, size_t bytes, void *expected, uint64_t desired) {
    running->a = (access){.kind = MODEL_CAS, .p = p, .bytes = bytes, .operand = desired};
    memcpy(&running->a.expected, expected, bytes);
    act(s);
    memcpy(expected, &running->result, bytes);
    return running->a.succeeded;
}

static bool peek_commits; /* the waiter goes on: what its condition saw, it saw */

uint64_t model_peek_(const volatile void *p, size_t bytes) {
    view *v = peek_commits ? &running->v : NULL;
    uint64_t value = machine_newest((volatile void *)p, bytes, v);
    if (v) running->history = machine_mix(running->history, value);
    return value;
}

void model_await(bool (*condition)(void *arg), void *arg) {
    running->condition = condition;
    running->arg = arg;
    running->site = NULL;
    running->state = WAITING;
    stop();
    peek_commits = true;
    condition(arg);
    peek_commits = false;
}

static bool changed(void *spinner) {
    thread *t = spinner;
    return model_peek_(t->a.p, t->a.bytes) != t->spun_on;
}

/* What was read in vain is forgotten: rounds of a spin are one.  After a compare-and-exchange that failed the loop has
 * not yet looked at what that found. */
void model_spin(void) {
    if (running->a.kind != MODEL_LOAD) return;
    running->spun_on = running->result;
    running->history = machine_mix(running->before, 0x5b1);
    running->result = 0;
    running->a.succeeded = false;
    model_await(changed, running);
}

void model_forget(uint64_t state) {
    running->history = machine_mix(state, model_self());
}

void model_reuse_(volatile void *p, size_t bytes, uint64_t value) {
    if (!machine_reuse(&running->v, model_self(), p, bytes, value))
        model_fail("variable reused while somebody may still access it", 0);
}

/* Every model_data of this execution. */
static model_data *cells[CELLS];
static unsigned n_cells;

static void meet_cell(model_data *d) {
    for (unsigned i = 0; i < n_cells; i++)
        if (cells[i] == d) return;
    if (n_cells == CELLS) {
        fprintf(stderr, "model: more than %d model_data\n", CELLS);
        exit(2);
    }
    cells[n_cells++] = d;
}

void model_write(model_data *d, uint64_t value) {
    const uint32_t *clock = running->v.clock;
    meet_cell(d);
    bool ordered = d->written <= clock[d->writer];
    for (unsigned i = 0; i < MODEL_THREADS; i++) ordered &= d->read[i] <= clock[i];
    if (!ordered) model_fail("data race: a write is not ordered with an earlier access", 0);
    d->writer = model_self();
    d->written = clock[model_self()];
    d->value = value;
}

uint64_t model_read(model_data *d) {
    const uint32_t *clock = running->v.clock;
    meet_cell(d);
    if (d->written > clock[d->writer])
        model_fail("data race: a read is not ordered with an earlier write", 0);
    d->read[model_self()] = clock[model_self()];
    running->history = machine_mix(running->history, d->value);
    return d->value;
}

/* ---- one execution ---------------------------------------------------------------------------------- */

static void thread_entry(void *payload) {
    the_model.thread((unsigned)(uintptr_t)payload);
    model_exit();
}

static void resume(thread *t) {
    running = t;
    weft__ctx_native_switch(&home, &t->c, (void *)(uintptr_t)(t - threads));
    running = NULL;
}

static void start_execution(void) {
    machine_reset();
    the_model.setup();
    violation = NULL;
    pruned = false;
    depth = n_cells = 0;
    for (unsigned i = 0; i < n_threads; i++) {
        thread *t = &threads[i];
        t->history = i + 1;
        machine_start_thread(&t->v, i);
        weft__ctx_native_init(&t->c, stacks[i], stacks[i] + STACK_BYTES, thread_entry);
    }
    for (unsigned i = 0; i < n_threads && !violation; i++) resume(&threads[i]);
}

static void end_execution(void) {
    for (unsigned i = 0; i < n_threads; i++) weft__ctx_fini(&threads[i].c);
}

static unsigned options_of(thread *t) {
    if (t->state == ENDED) return 0;
    if (t->state == READY) return machine_options(&t->v, &t->a);
    running = t;
    bool can = t->condition(t->arg);
    running = NULL;
    return can;
}

/* Which accesses to plain data a clock knows of. */
static uint64_t knows(const uint32_t *clock) {
    uint64_t h = 0;
    for (unsigned i = 0; i < n_cells; i++) {
        const model_data *d = cells[i];
        unsigned bits = d->written > clock[d->writer];
        for (unsigned t = 0; t < MODEL_THREADS; t++) bits |= (d->read[t] > clock[t] ? 2u : 0u) << t;
        if (bits) h += machine_mix((uintptr_t)d, bits);
    }
    return h;
}

/* What a thread did so far is a function of what its operations returned. */
static uint64_t state_hash(void) {
    uint64_t h = 0;
    const view *views[MODEL_THREADS];
    unsigned n = 0;
    for (unsigned i = 0; i < n_threads; i++) {
        h = machine_mix(h, threads[i].state == ENDED ? 0 : threads[i].history);
        if (threads[i].state != ENDED) views[n++] = &threads[i].v;
    }
    for (unsigned i = 0; i < n_cells; i++) h += machine_mix((uintptr_t)cells[i], cells[i]->value);
    const char *plain = the_model.plain;
    for (size_t i = 0; i + 8 <= the_model.plain_bytes; i += 8) {
        uint64_t word;
        memcpy(&word, plain + i, 8);
        h = machine_mix(h, word);
    }
    return h + machine_hash(views, n, knows);
}

static void do_step(void) {
    step *s = &path[depth];
    unsigned i = 0, option = s->chosen;
    for (; option >= s->by[i]; i++) option -= s->by[i];
    thread *t = &threads[i];
    t->before = t->history;
    if (t->state == READY) t->result = machine_do(&t->v, i, &t->a, option);
    t->history = machine_mix(t->history, t->result + t->a.succeeded);
    s->thread = i;
    s->site = t->site;
    s->a = t->a;
    s->result = t->result;
    resume(t);
}

/* All threads stand still: fine if all have ended. */
static void settle(void) {
    for (unsigned i = 0; i < n_threads; i++) {
        if (threads[i].state == ENDED) continue;
        violation = "nobody can run, and somebody waits (lost wake-up)";
        return;
    }
}

static void finish_entry(void *payload) {
    (void)payload;
    the_model.finish();
    model_exit();
}

static void run_finish(void) {
    thread *t = &threads[0];
    weft__ctx_fini(&t->c);
    weft__ctx_native_init(&t->c, stacks[0], stacks[0] + STACK_BYTES, finish_entry);
    resume(t);
}

/* Is there a step that may be taken without looking at the alternatives?  Then it is the only option. */
static bool goes_first(unsigned *options) {
    for (unsigned i = 0; i < n_threads; i++) {
        if (threads[i].state != READY || !machine_goes_first(&threads[i].v, i, &threads[i].a)) continue;
        options[i] = 1;
        return true;
    }
    return false;
}

/* One more step with its options, all untried.  False: there is none, or nothing new lies beyond. */
static bool extend_path(void) {
    step *s = &path[depth];
    *s = (step){0};
    bool first = goes_first(s->by);
    for (unsigned i = 0; i < n_threads; i++) {
        if (!first) s->by[i] = options_of(&threads[i]);
        s->options += s->by[i];
    }
    if (s->options == 0) {
        settle();
        if (!violation && the_model.finish) run_finish();
        return false;
    }
    if (!first && !seen_add(state_hash())) return false;
    path_length++;
    if (depth + 1 == STEPS) violation = "an execution does not end";
    return !violation;
}

/* Follow the path, then extend it with first choices. */
static void execute(void) {
    start_execution();
    while (!violation && !pruned && !machine_learnt()) {
        if (depth == path_length && !extend_path()) break;
        do_step();
        depth++;
    }
    end_execution();
}

static bool next_path(void) {
    while (path_length > 0) {
        step *s = &path[path_length - 1];
        if (++s->chosen < s->options) return true;
        path_length--;
    }
    return false;
}

/* ---- reports ---------------------------------------------------------------------------------------- */

static void report(void) {
    printf("violation: %s", violation);
    printf(violation_line ? " (line %d)\n" : "\n", violation_line);
    for (unsigned i = 0; i < depth; i++) {
        const step *s = &path[i];
        if (!s->site) {
            printf("  %u %*s goes on\n", s->thread, (int)(12 * s->thread), "");
            continue;
        }
        printf("  %u %*s %s:%d %s", s->thread, (int)(12 * s->thread), "", s->site->func, s->site->line,
               s->site->access);
        if (s->a.kind != MODEL_STORE && s->a.kind != MODEL_FENCE) printf(" -> %#" PRIx64, s->result);
        if (s->a.old) printf(" (old)");
        if (s->a.kind == MODEL_CAS) printf(s->a.succeeded ? " taken" : " failed");
        if (s->a.kind != MODEL_LOAD && s->a.kind != MODEL_FENCE) printf(" [%#" PRIx64 "]", s->a.operand);
        printf("\n");
    }
}

/* True: some execution violates. */
static bool explore(bool tell) {
    seen_clear();
    path_length = 0;
    n_threads = model_instance_->threads;
    machine_sc = model_instance_->sc;
    weft__ctx_adopt(&home);
    uint64_t executions = 0;
    machine_forget_writers();
    undecided = false;
    do {
        violation_line = 0;
        execute();
        executions++;
        if (machine_learnt()) {
            seen_clear();
            path_length = 0;
        } else if (!violation && !next_path())
            break;
        undecided = !violation && seen_count > state_limit;
    } while (!violation && !undecided);
    if (violation && tell) report();
    if (tell)
        printf("%s %s: %" PRIu64 " states, %" PRIu64 " executions: %s\n", the_model.name,
               model_instance_->name, seen_count, executions, violation ? "violated" : "holds");
    return violation != NULL;
}

static const model_instance *instance_named(const char *name) {
    for (const model_instance *i = the_model.instances; i->name; i++)
        if (!strcmp(i->name, name)) return i;
    fprintf(stderr, "%s: no instance %s\n", the_model.name, name);
    exit(2);
}

static int run_mutant(const char *name) {
    for (const model_mutant *m = the_model.mutants; m->name; m++) {
        if (strcmp(m->name, name)) continue;
        model_instance_ = instance_named(m->instance);
        mutant_now = m;
        if (m->flag) *m->flag = true;
        bool killed = explore(true);
        printf("mutant %s: %s\n", name, killed ? "killed" : "SURVIVED");
        return !killed;
    }
    fprintf(stderr, "%s: no mutant %s\n", the_model.name, name);
    return 2;
}

static int list_sites(int n, char **instance) {
    for (int i = 0; i < n; i++) {
        model_instance_ = instance_named(instance[i]);
        if (explore(false)) return 1;
        for (; sites; sites = sites->next) {
            printf("%s %s %d %s\n", instance[i], sites->file, sites->line, sites->access);
            sites->known = false;
        }
    }
    return 0;
}

static int weaken(const model_mutant *m, int n, char **instance) {
    mutant_now = m;
    for (int i = 0; i < n; i++) {
        model_instance_ = instance_named(instance[i]);
        bool killed = explore(false);
        printf("%s %s\n", killed ? "killed" : undecided ? "open" : "holds", instance[i]);
        if (killed) break;
    }
    return 0;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 2) {
        for (const model_instance *i = the_model.instances; i->name; i++) printf("instance %s%s\n", i->name, i->sc ? " sc" : "");
        for (const model_mutant *m = the_model.mutants; m->name; m++) printf("mutant %s\n", m->name);
        return 0;
    }
    if (argc == 3 && !strcmp(argv[1], "mutant")) return run_mutant(argv[2]);
    if (argc > 3 && !strcmp(argv[1], "sites")) {
        state_limit = strtoull(argv[2], NULL, 10);
        return list_sites(argc - 3, argv + 3);
    }
    if (argc > 7 && !strcmp(argv[1], "weaken")) {
        mutant_file = argv[2];
        mutant_line = atoi(argv[3]);
        state_limit = strtoull(argv[6], NULL, 10);
        static model_mutant m;
        m.access = argv[4];
        m.becomes = argv[5];
        return weaken(&m, argc - 7, argv + 7);
    }
    model_instance_ = instance_named(argv[1]);
    return explore(true);
}
