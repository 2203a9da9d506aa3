/* effect/test.c -- the test kit: runs, what must hold after each, and the minimising of schedules.
 *
 *   SEARCH    runs by the strategy, until one fails or there are no more
 *   REPEAT    the same schedule again: does it fail in the same way?  If not, there is nothing to minimise
 *   MINIMISE  without a part of the turns, in halves, then quarters, down to single turns, and all over again, until nothing
 *             can be spared (delta debugging: Zeller and Hildebrandt 2002)
 *   OVER      the report
 *
 * The body is the loop's; so whatever runs it again is a state of this machine.  With .isolate it runs in a child process only,
 * which leaves its findings in shared memory.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <weft/test.h>
#include "alloc/heap.h"
#include "alloc/mix.h"
#include "alloc/os.h"
#include "sched/cause.h"
#include "sched/clock.h"
#include "sched/coro.h"
#include "sched/det.h"
#include "sched/dump.h"
#include "sched/end.h"
#include "sched/fail.h"
#include "sched/misuse.h"
#include "sched/registry.h"
#include "sched/spawn.h"
#include "sched/thread.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINIMISING_MOST 500
#define DFS_RUNS_MOST 100000
#define TURNS_OF_A_RUN 1000000
#define TEXT_MOST 2048

typedef enum phase { SEARCH, REPEAT, MINIMISE, OVER } phase;

/* What a run has found; of an isolated one, in shared memory. */
typedef struct finding {
    weft_test_failure failure;
    char text[TEXT_MOST];
    /* the explorer's, for the parent process */
    uint32_t choices, n_turns, n_outside, n_widths;
    bool diverged, random; /* it drew random numbers */
    bool over;             /* an isolated one has come to its end */
    bool left;             /* by break or return, so it cannot be run again to be minimised */
    turn turns[TURNS_MOST];
    uint64_t outside[TURNS_MOST];
    uint16_t widths[DFS_CHOICES];
} finding;

struct weft__test {
    weft_test_options o;
    char name[128];
    const char *file;
    int line;
    phase phase;
    weft_test_result r;
    explorer explorer; /* lent to each run */
    runtime *rt;       /* of the run that goes on, else NULL */
    uint64_t live;     /* bytes of Weft's before it */
    uint64_t random;
    finding *now;      /* of the last run */
    finding *failed;   /* the run to explain: the shortest so far */
    uint32_t part, at; /* turns left out of it next, from which on */
    uint32_t whole;    /* turns that it had when parts were halves last */
    bool in_child;
};

typedef struct weft__test test;

/* ---- what is found ------------------------------------------------------------------------------------- */

/* The first failure of a run is its failure. */
__attribute__((format(printf, 3, 4))) static void fail(test *t, weft_test_failure how, const char *format, ...) {
    va_list args;
    if (t->now->failure) return;
    t->now->failure = how;
    va_start(args, format);
    vsnprintf(t->now->text, TEXT_MOST, format, args);
    va_end(args);
}

bool weft__test_failed(test *t, const char *text, const char *file, int line) {
    fail(t, WEFT_TEST_CHECK, "check failed: %s (%s:%d)", text, file, line);
    return false;
}

static bool starts(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

static void on_report(void *arg, const char *text) {
    weft_test_failure how = starts(text, "deadlock") ? WEFT_TEST_DEADLOCK : WEFT_TEST_TIME;
    fail(arg, starts(text, "endless") ? WEFT_TEST_ENDLESS : how, "%s", text);
}

static void on_unobserved(void *arg, weft_exit e, const char *name) {
    char text[512];
    weft_exit_render(e, text, sizeof text);
    fail(arg, WEFT_TEST_UNOBSERVED, "nobody looked at the failure of '%s':\n%s", name, text);
}

/* ---- one run ------------------------------------------------------------------------------------------- */

static const char *environment_for(const test *t) {
    const char *only = weft__os_environment("WEFT_TEST");
    return only && strcmp(only, t->name) != 0 ? NULL : weft__os_environment("WEFT_REPLAY");
}

static bool given_schedule(const test *t) { return t->phase != SEARCH || t->o.schedule; }

/* The explorer is lent: what it allocates is not the run's. */
static void lend(test *t, det *d) {
    weft__explore_end(&d->explorer);
    weft_explore how = given_schedule(t) ? WEFT_EXPLORE_REPLAY : t->o.explore;
    weft__explore_restart(&t->explorer, how, t->r.seed, t->now->choices);
    d->explorer = t->explorer;
}

static void take_back(test *t, det *d) {
    t->explorer = d->explorer;
    d->explorer = (explorer){.how = WEFT_EXPLORE_FIFO};
}

static bool run_begins(test *t) {
    weft_runtime *handle;
    weft_options o = WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, .explore = WEFT_EXPLORE_FIFO, .on_report = on_report,
                                  .on_unobserved = on_unobserved, .hook_arg = t, .stack_bytes = t->o.stack_bytes,
                                  .max_fibers = t->o.max_fibers);
    o.clock = t->o.real_clock ? WEFT_CLOCK_REAL : t->o.manual_clock ? WEFT_CLOCK_MANUAL : WEFT_CLOCK_AUTO;
    t->live = weft__heap_live();
    t->now->failure = WEFT_TEST_PASSED;
    t->now->random = false;
    weft_err err = thread_fiber() ? WEFT_E_INSIDE : weft__run_open(&o, &handle);
    if (err != WEFT_OK) {
        fail(t, WEFT_TEST_BROKEN, "the run could not be begun: %s", weft_err_text(err));
        return false;
    }
    t->rt = weft__registry_enter(handle);
    weft__registry_leave(handle);
    lend(t, t->rt->det);
    t->rt->det->most = t->o.turns ? t->o.turns : TURNS_OF_A_RUN;
    t->random = t->r.seed;
    weft__det_enter(t->rt);
    return true;
}

static void on_leak(void *arg, const char *text) { fail(arg, WEFT_TEST_LEAK, "%s", text); }

/* The body is over: so should be all that it has begun. */
static void look_for_fibers(test *t) {
    runtime *rt = t->rt;
    if (t->o.forgets || t->now->failure || weft__drained(rt)) return;
    rt->on_report = on_leak;
    weft__report_waiters(rt, "leaked: the body has ended, these fibers have not");
    rt->on_report = on_report;
}

static void look_for_continuations(test *t) {
    uint64_t kept = weft__coros_kept(t->rt);
    if (kept)
        fail(t, WEFT_TEST_LEAK, "leaked: %" PRIu64 " continuation%s kept, and never used; resume or discontinue each one", kept,
             kept == 1 ? " was" : "s were");
}

/* Fibers that have ended, and whose handles nobody has dropped: some of them. */
typedef struct undropped {
    const runtime *rt;
    weft_fiber *some[32];
    unsigned n;
} undropped;

static void look_at_block(void *object, void *arg) {
    weft_fiber *s = object;
    undropped *u = arg;
    if (u->n == sizeof u->some / sizeof *u->some || !atom_load_rlx(&s->id) || s->rt != u->rt) return;
    if (end_done(&s->task.join) && !(atom_load_rlx(&s->task.join) & END_DROPPED)) u->some[u->n++] = s;
}

/* They are dropped then: what they hold is not the next run's. */
static void look_for_handles(test *t) {
    undropped u = {.rt = t->rt};
    for (unsigned c = 0; c < SPAWN_CLASSES && !t->o.forgets; c++) {
        do {
            u.n = 0;
            weft__slab_each(t->rt->blocks[c], look_at_block, &u);
            for (unsigned i = 0; i < u.n; i++) {
                const weft_site *site = spawn_site(u.some[i]);
                fail(t, WEFT_TEST_LEAK, "leaked: the handle of '%s' (spawned at %s:%d) was not dropped", spawn_name(u.some[i]),
                     site->file, site->line);
                weft__spawn_forget(u.some[i]);
            }
        } while (u.n);
    }
}

static bool drained(void *rt) { return weft__drained(rt); }

/* What waits for ever is a deadlock, and interrupted. */
static void end_fibers(test *t) {
    weft__det_drive(t->rt, drained, t->rt, DET_REST);
    if (!weft__drained(t->rt))
        weft__misuse("WEFT_TEST '%s': fibers of the body wait on although they were interrupted\n%s", t->name, t->now->text);
}

static void run_ends(test *t) {
    runtime *rt = t->rt;
    rt->det->calm = true;
    weft_exit e = weft__det_leave(rt);
    if (!weft_ok(e)) on_unobserved(t, e, "the body");
    weft__cause_drop(e.cause);
    look_for_fibers(t);
    end_fibers(t);
    look_for_continuations(t);
    look_for_handles(t);
    t->now->choices = rt->det->explorer.choices;
    take_back(t, rt->det);
    weft__run_close(rt->handle);
    t->rt = NULL;
    uint64_t left = weft__heap_live() - t->live;
    if (left && !t->o.forgets)
        fail(t, WEFT_TEST_MEMORY, "leaked: %" PRId64 " bytes of Weft's (causes that are held, arenas, locals) are left", (int64_t)left);
}

/* What the explorer has seen, to where another process, or a later run, finds it. */
static void keep_schedule(const explorer *e, finding *to) {
    const schedule *s = &e->made;
    to->choices = e->choices;
    to->diverged = e->diverged;
    to->n_turns = s->n;
    to->n_outside = s->n_outside;
    to->n_widths = e->n_widths;
    if (to->turns != s->turns) memcpy(to->turns, s->turns, s->n * sizeof *s->turns);
    memcpy(to->outside, s->outside, s->n_outside * sizeof *s->outside);
    memcpy(to->widths, e->widths, e->n_widths * sizeof *e->widths);
}

/* ---- runs in a child process ---------------------------------------------------------------------------- */

/* The one test that runs isolated in this process, for its death. */
static test *dying;

/* Async-signal-safe. */
static void tell_death(int signal) {
    test *t = dying;
    dying = NULL;
    if (!t) return;
    keep_schedule(t->rt ? &t->rt->det->explorer : &t->explorer, t->now);
    if (!t->now->failure) t->now->failure = WEFT_TEST_DIED;
    (void)signal;
}

static void tell_exit(void) { tell_death(0); }

/* The address sanitizer ends a process in its own way. */
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));
static void tell_sanitizer(void) { tell_death(0); }

static void prepare_death(test *t) {
    dying = t;
    t->in_child = true;
    weft__os_dying(tell_death, t->o.schedule != NULL);
    atexit(tell_exit);
    if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(tell_sanitizer);
}

static const char *signal_text(int status, char *to, size_t room) {
    if (status & 0x7f)
        snprintf(to, room, "died by signal %d", status & 0x7f);
    else
        snprintf(to, room, "ended with status %d", status >> 8);
    return to;
}

_Noreturn static void child_over(test *t) {
    t->now->over = true;
    weft__os_child_ends();
}

/* True in the child, which runs the body. */
static bool run_isolated(test *t) {
    char how[64];
    int status = 0;
    finding *f = t->now;
    f->failure = WEFT_TEST_PASSED;
    f->over = f->left = false;
    f->n_outside = f->n_widths = 0;
    memset(f->turns, 0, sizeof f->turns);
    switch (weft__os_child(&status)) {
    case OS_CHILD_IS:
        prepare_death(t);
        t->explorer.made.turns = f->turns; /* seen even if it is killed */
        if (run_begins(t)) return true;
        keep_schedule(&t->explorer, t->now);
        child_over(t);
    case OS_CHILD_ENDED:
        if (!f->over)
            for (f->n_turns = 0; f->n_turns < TURNS_MOST && f->turns[f->n_turns].chosen;) f->n_turns++;
        if (!f->over && (!f->failure || f->failure == WEFT_TEST_DIED)) {
            f->failure = WEFT_TEST_PASSED;
            fail(t, WEFT_TEST_DIED, "the run %s; what it said is seen when it is replayed", signal_text(status, how, sizeof how));
        }
        break;
    case OS_CHILD_NONE:
        fail(t, WEFT_TEST_BROKEN, "the run could not be begun: there is no process to be had");
    }
    return false;
}

/* ---- from run to run ------------------------------------------------------------------------------------ */

static bool same_failure(const finding *a, const finding *b) {
    return a->failure == b->failure && (a->failure != WEFT_TEST_CHECK || strcmp(a->text, b->text) == 0);
}

static void give(test *t, uint32_t without_from, uint32_t without) {
    const finding *f = t->failed;
    schedule *s = &t->explorer.given;
    weft__schedule_copy(s, f->turns, without_from, f->outside, f->n_outside);
    uint32_t after = without_from + without;
    if (after < f->n_turns) memcpy(s->turns + s->n, f->turns + after, (f->n_turns - after) * sizeof *s->turns);
    if (after < f->n_turns) s->n += f->n_turns - after;
}

static bool next_schedule(test *t) {
    explorer *e = &t->explorer;
    e->n_widths = t->now->n_widths;
    memcpy(e->widths, t->now->widths, e->n_widths * sizeof *e->widths);
    t->r.exhausted = !weft__explore_next(e);
    return !t->r.exhausted;
}

static phase after_search(test *t) {
    t->r.runs++;
    if (t->now->failure) {
        memcpy(t->failed, t->now, sizeof *t->now);
        t->r.turns = t->failed->n_turns;
        t->r.repeatable = t->o.schedule; /* this was it */
        if (t->o.schedule) return OVER;
        bool again = t->failed->failure != WEFT_TEST_BROKEN && t->failed->n_turns < TURNS_MOST;
        give(t, t->failed->n_turns, 0);
        return again && !t->now->left ? REPEAT : OVER;
    }
    if (t->now->left || t->r.runs >= t->o.runs) return OVER;
    if (t->o.explore == WEFT_EXPLORE_DFS) return next_schedule(t) ? SEARCH : OVER;
    t->r.seed++;
    return SEARCH;
}

static phase begin_part(test *t) {
    if (t->part == 0 || t->r.minimising >= MINIMISING_MOST) return OVER;
    uint32_t left = t->failed->n_turns - t->at;
    give(t, t->at, t->part < left ? t->part : left);
    return MINIMISE;
}

static void begin_with_halves(test *t) {
    t->whole = t->failed->n_turns;
    t->part = (t->whole + 1) / 2;
}

static phase after_repeat(test *t) {
    t->r.repeatable = same_failure(t->now, t->failed);
    if (!t->r.repeatable) return OVER;
    t->at = 0;
    begin_with_halves(t);
    return begin_part(t);
}

/* Two turns that one does not spare without the other were a part perhaps of what is left only. */
static void next_pass(test *t) {
    t->at = 0;
    t->part /= 2;
    if (t->part == 0 && t->failed->n_turns < t->whole) begin_with_halves(t);
}

static phase after_part(test *t) {
    t->r.minimising++;
    if (same_failure(t->now, t->failed) && t->now->n_turns < t->failed->n_turns) {
        memcpy(t->failed, t->now, sizeof *t->now);
    } else {
        t->at += t->part;
    }
    if (t->failed->n_turns == 0) return OVER;
    if (t->at >= t->failed->n_turns) next_pass(t);
    return begin_part(t);
}

static phase next_phase(test *t) {
    switch (t->phase) {
    case SEARCH: return after_search(t);
    case REPEAT: return after_repeat(t);
    case MINIMISE: return after_part(t);
    default: return OVER;
    }
}

bool weft__test_next(weft_test *out) {
    test *t = out->test;
    if (!t) return false;
    if (t->rt) {
        run_ends(t);
        keep_schedule(&t->explorer, t->now);
        if (t->in_child) child_over(t);
        t->phase = next_phase(t);
    }
    while (t->phase != OVER) {
        if (t->o.isolate ? run_isolated(t) : run_begins(t)) {
            out->seed = t->r.seed;
            out->run = t->phase == SEARCH ? t->r.runs : t->r.runs - 1; /* it is that run again */
            return true;
        }
        t->phase = next_phase(t);
    }
    return false;
}

/* ---- the whole ------------------------------------------------------------------------------------------ */

static const char *const strategies[] = {"default", "fifo", "random", "pct", "dfs", "replay"};

static void write_report(test *t) {
    weft_test_result *r = &t->r;
    schedule made = {.turns = t->failed->turns, .n = t->failed->n_turns, .outside = t->failed->outside,
                     .n_outside = t->failed->n_outside};
    r->failure = t->failed->failure;
    size_t bytes = weft__schedule_print(&made, r->schedule, sizeof r->schedule);
    const char *how = strategies[t->o.schedule ? WEFT_EXPLORE_REPLAY : t->o.explore];
    int n = snprintf(r->report, sizeof r->report, "%s:%d: '%s' failed in run %u (%s, seed %" PRIu64 "): %s", t->file, t->line,
                     t->name, r->runs, how, r->seed, t->failed->text);
    if (n < 0 || (size_t)n >= sizeof r->report) n = sizeof r->report - 1;
    char *to = r->report + n;
    size_t room = sizeof r->report - (size_t)n;
    if (r->failure == WEFT_TEST_BROKEN) return;
    char seed[40] = "";
    if (t->failed->random) snprintf(seed, sizeof seed, " WEFT_SEED=%" PRIu64, r->seed);
    if (bytes >= sizeof r->schedule)
        snprintf(to, room, "\nreplay: WEFT_TEST='%s' WEFT_SEED=%" PRIu64 " WEFT_RUNS=1 and the program (the schedule has %" PRIu32 " turns)",
                 t->name, r->seed, made.n);
    else if (t->failed->left)
        snprintf(to, room, "\nreplay: WEFT_TEST='%s'%s WEFT_REPLAY='%s' and the program, also under a debugger; not minimised, since "
                           "the body was left by break or return", t->name, seed, r->schedule);
    else if (r->repeatable)
        snprintf(to, room, "\nreplay: WEFT_TEST='%s'%s WEFT_REPLAY='%s' and the program, also under a debugger; %u runs to minimise it",
                 t->name, seed, r->schedule, r->minimising);
    else
        snprintf(to, room, "\nnot repeatable by its schedule '%s': the body depends on more than that, real time, other threads, or "
                           "what an earlier run has left", r->schedule);
}

static void from_environment(test *t) {
    const char *seed = weft__os_environment("WEFT_SEED"), *runs = weft__os_environment("WEFT_RUNS");
    const char *replay = environment_for(t);
    if (seed) t->o.seed = strtoull(seed, NULL, 10);
    if (runs) t->o.runs = (unsigned)strtoul(runs, NULL, 10);
    if (replay) t->o.schedule = replay;
}

/* plain: without the environment it is a single run.  One of a search is a run by its strategy, also alone. */
static void defaults(test *t, bool plain) {
    weft_test_options *o = &t->o;
    if (o->schedule) o->runs = 1;
    if (!o->runs) o->runs = o->explore == WEFT_EXPLORE_DFS ? DFS_RUNS_MOST : 1;
    plain = plain && o->runs == 1 && !o->seed;
    if (o->explore == WEFT_EXPLORE_DEFAULT) o->explore = plain ? WEFT_EXPLORE_FIFO : WEFT_EXPLORE_RANDOM;
}

/* All that a test needs is there before its first run, or it has none. */
static bool make(test *t) {
    schedule given = {.n = 0};
    t->now = weft__os_reserve_shared(sizeof *t->now);
    t->failed = weft__heap_alloc(sizeof *t->failed, 0);
    if (!t->now || !t->failed || !weft__explore_reserve(&t->explorer)) return false;
    weft_err err = t->o.schedule ? weft__schedule_parse(&given, t->o.schedule) : WEFT_OK;
    if (err == WEFT_OK && (given.n || given.n_outside)) weft__schedule_copy(&t->explorer.given, given.turns, given.n, given.outside, given.n_outside);
    weft__schedule_free(&given);
    bool fits = (unsigned)t->o.explore <= WEFT_EXPLORE_DFS && !(t->o.real_clock && t->o.manual_clock);
    if (err != WEFT_OK) fail(t, WEFT_TEST_BROKEN, "'%s' is no schedule: it looks like 12:1,40:2", t->o.schedule);
    if (!fits) fail(t, WEFT_TEST_BROKEN, "no such strategy, or two clocks");
    if (!fits) t->o.explore = WEFT_EXPLORE_DEFAULT;
    if (t->now->failure) memcpy(t->failed, t->now, sizeof *t->now);
    return true;
}

/* The first runtime of a process leaves things that later ones use again. */
static void warm_up(void) {
    weft_runtime *rt;
    if (thread_fiber()) return; /* where it could not be closed; there is one anyway */
    if (weft_open(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC), &rt) == WEFT_OK) weft_close(rt);
}

static void unmake(test *t) {
    weft__explore_end(&t->explorer);
    if (t->now) weft__os_release_shared(t->now, sizeof *t->now);
    if (t->failed) weft__heap_free(t->failed, sizeof *t->failed);
    weft__heap_free(t, sizeof *t);
}

/* Said without any: the body does not run. */
static weft_test no_memory(const weft_test_options *o, const char *file, int line) {
    if (!o->result) weft__misuse("WEFT_TEST at %s:%d: no memory", file, line);
    *o->result = (weft_test_result){.failure = WEFT_TEST_BROKEN, .seed = o->seed};
    snprintf(o->result->report, sizeof o->result->report, "%s:%d: the test could not be begun: no memory", file, line);
    return (weft_test){o->seed, 0, NULL};
}

weft_test weft__test_begin(const weft_test_options *o, const char *file, int line) {
    test *t = weft__heap_alloc(sizeof *t, 0);
    if (!t) return no_memory(o, file, line);
    t->o = *o;
    t->file = file;
    t->line = line;
    if (o->name) snprintf(t->name, sizeof t->name, "%s", o->name);
    else snprintf(t->name, sizeof t->name, "%s:%d", file, line);
    from_environment(t);
    defaults(t, o->runs <= 1 && !o->seed);
    t->r.seed = t->o.seed;
    if (!make(t)) {
        unmake(t);
        return no_memory(o, file, line);
    }
    if (t->failed->failure) t->phase = OVER;
    warm_up();
    return (weft_test){t->o.seed, 0, t};
}

/* Left by break or return: that run counts as it is. */
static void left_early(test *t) {
    run_ends(t);
    t->now->left = true;
    keep_schedule(&t->explorer, t->now);
    if (t->in_child) child_over(t);
    if (t->phase == SEARCH) after_search(t);
}

void weft__test_end(weft_test *out) {
    test *t = out->test;
    out->test = NULL;
    if (!t) return;
    if (t->rt) left_early(t);
    if (t->failed->failure) write_report(t);
    weft_test_result *result = t->o.result;
    if (result) *result = t->r;
    if (!result && t->failed->failure) {
        fprintf(stderr, "%s\n", t->r.report);
        abort();
    }
    unmake(t);
}

/* ---- in the body ---------------------------------------------------------------------------------------- */

uint64_t weft_test_random(weft_test t) {
    t.test->now->random = true;
    return mixed_next(&t.test->random);
}

weft_exit weft_wait_all_blocked(void) {
    fiber *f = thread_fiber();
    if (!f || !f->w->rt->det)
        return FAILED(WEFT_E_MODE, "weft_wait_all_blocked: only the deterministic executor knows that moment");
    return weft__det_blocked(f);
}

void weft_sequencer_init(weft_sequencer *s) {
    for (unsigned i = 0; i <= WEFT_SEQUENCE_MOST; i++) weft_gate_init(&s->turn[i]);
    weft_gate_open(&s->turn[0]);
}

weft_exit weft_turn_begin(weft_sequencer *s, unsigned n) {
    if (n >= WEFT_SEQUENCE_MOST) return FAILED(WEFT_E_INVALID, "weft_turn_begin: turns are numbered from 0 to 63");
    return weft_gate_wait(&s->turn[n]);
}

void weft_turn_end(weft_sequencer *s, unsigned n) {
    if (n < WEFT_SEQUENCE_MOST) weft_gate_open(&s->turn[n + 1]);
}
