/* The driver: runs, sweeps, the command line.
 *
 *   points [SCENARIO|all] [GROUP|KIND|all] [K] [once|persistently] [WORKERS]
 *
 * Groups: memory (alloc map thread fd errno any), cancel (cancel beside wreck), schedule (spurious delay steal migrate
 * jumble); any, wreck and jumble are several at once, beside is an interrupt that comes from another fiber, after K turns.  `points coverage` runs
 * every scenario without a fault and names the exported functions that none of them called.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fault/driver.h"
#include "alloc/heap.h"
#include "alloc/os.h"
#include "alloc/san.h"

enum { WATCHDOG_SECONDS = 30 };

#define BIT(kind) (UINT32_C(1) << FAULT_##kind)
#define REFUSALS (BIT(ALLOC) | BIT(MAP) | BIT(STACK) | BIT(THREAD) | BIT(FD) | BIT(ERRNO))

tally even;

/* ---- what is being run, for whoever dies of it --------------------------------------------------------- */

static fault_plan plan;
static bool beside;    /* no point fails: it is interrupted from another fiber, after k turns */
static uint64_t turns; /* of that one, */
static bool met;       /* and was it still there? */
static char now_running[256];

static void describe(const scenario *s, const char *kind, unsigned workers) {
    snprintf(now_running, sizeof now_running, "in: points %s %s %llu %s %u\n", s->name, kind, (unsigned long long)plan.k,
             plan.persistent ? "persistently" : "once", workers);
}
static void say_what(void) {
    weft__fault_disarm();
    weft__os_write_err(now_running, strlen(now_running));
}
static void on_abort(int sig) {
    static const char hang[] = "it hangs, ";
    if (sig == SIGALRM) weft__os_write_err(hang, sizeof hang - 1);
    say_what();
    signal(SIGABRT, SIG_DFL);
    abort();
}
static void watch(void) {
    signal(SIGALRM, on_abort);
    signal(SIGABRT, on_abort);
#if defined(WEFT__ASAN)
    extern void __sanitizer_set_death_callback(void (*)(void));
    __sanitizer_set_death_callback(say_what);
#endif
}

/* ---- judging ------------------------------------------------------------------------------------------ */

bool refusing(void) { return plan.k && plan.kinds & REFUSALS; }
bool stopping(void) { return plan.k && (beside || plan.kinds & BIT(CANCEL)); }

static bool explained(weft_exit e) {
    if (e.tag == WEFT_EXIT_INTERRUPT) return stopping();
    if (e.tag != WEFT_EXIT_FAIL) return false;
    switch (e.code) {
    case WEFT_E_NOMEM:
    case WEFT_E_THREAD:
    case WEFT_E_LIMIT: return refusing();
    default: return false;
    }
}

bool fine(weft_exit e, const char *file, int line) {
    char text[512];
    if (weft_ok(e)) return true;
    if (explained(e)) return false;
    fprintf(stderr, "%s:%d: no fault explains this: %s\n", file, line, weft_exit_format(e, text, sizeof text));
    abort();
}

/* ---- one run ------------------------------------------------------------------------------------------ */

static int as_fiber(const scenario *s);
WEFT_TASK(as_fiber, int, const scenario *);
static int as_fiber(const scenario *s) {
    s->body();
    return 1;
}

/* Interrupt it after k turns: it is met where it waits, not at its cancellation points.  Turns are yields, and now and then
 * half a millisecond: the scenarios' times are whole ones. */
static void interrupt_beside(as_fiber_fiber f) {
    uint64_t i = 0;
    for (; (!plan.k || i < plan.k) && !weft_is_done(f); i++) CHECK(weft_ok(i % 4 < 3 ? weft_yield() : weft_sleep(weft_us(500))));
    met = plan.k && !weft_is_done(f);
    if (plan.k) CHECK(weft_ok(weft_interrupt(f, "from beside")));
    turns = i;
}

/* Armed from here: what opening does is a scenario of its own. */
static void root(void *arg) {
    const scenario *s = arg;
    as_fiber_fiber f;
    weft__fault_arm(plan);
    if (!FINE(weft_spawn(&f, as_fiber, s))) {
        s->body();
        return;
    }
    if (beside) interrupt_beside(f);
    FINE(UNTIL_ENDED(f, as_fiber, NULL));
    CHECK_EQ(weft_drop(f), WEFT_OK);
    CHECK(weft_ok(weft_sleep(weft_ms(1)))); /* time goes on: nothing is announced any more */
}

/* What the machine can do is not misjudged for good because of a moment's failure. */
typedef struct machine {
    os_guard guard;
    size_t budget;
} machine;
static machine look_at_machine(void) { return (machine){weft__os_guard_kind(), weft__os_guard_budget()}; }

static void check_machine(machine before) {
    machine now = look_at_machine();
    CHECK_EQ(now.guard, before.guard);
    CHECK_EQ(now.budget, before.budget);
}

static void check_even(void) {
    CHECK_EQ(atomic_load(&even.held), 0);
    CHECK_EQ(atomic_load(&even.finalized), atomic_load(&even.deferred));
}

/* Returns how many points there were, and in *failed how many of them failed. */
static uint64_t run(const scenario *s, const char *kind, unsigned workers, uint64_t *failed) {
    even = (tally){0};
    turns = met = 0;
    describe(s, kind, workers);
    alarm(WATCHDOG_SECONDS);
    uint64_t live = weft__heap_live();
    machine best = look_at_machine();
    if (s->outside) {
        weft__os_forget();
        weft__fault_arm(plan);
        s->outside(workers);
    } else {
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = workers, .clock = WEFT_CLOCK_AUTO), root, (void *)(uintptr_t)s), WEFT_OK);
    }
    weft__fault_disarm();
    CHECK_EQ(weft__heap_live(), live);
    check_even();
    check_machine(best);
    *failed = beside ? met : weft__fault_failed();
    return beside ? turns : weft__fault_passed();
}

/* ---- sweeps ------------------------------------------------------------------------------------------- */

typedef struct sweep_kind {
    const char *name, *group;
    uint32_t kinds;
    unsigned workers;
    uint64_t most, most_lasting; /* runs of each sort: where a schedule decides, the count is different each time */
} sweep_kind;

static const sweep_kind sweeps[] = {
    {"alloc", "memory", BIT(ALLOC), 1, 500, 500},
    {"map", "memory", BIT(MAP), 1, 500, 500},
    {"stack", "memory", BIT(STACK), 1, 500, 0}, /* who waits without one polls, and virtual time stands still: never for good */
    {"stack", "memory", BIT(STACK), 2, 40, 0},
    {"thread", "memory", BIT(THREAD), 1, 500, 500},
    {"fd", "memory", BIT(FD), 1, 500, 500},
    {"errno", "memory", BIT(ERRNO), 1, 20, 2},
    {"any", "memory", BIT(ALLOC) | BIT(MAP) | BIT(THREAD), 2, 40, 40},
    {"cancel", "cancel", BIT(CANCEL), 1, 500, 500},
    {"cancel", "cancel", BIT(CANCEL), 2, 60, 30},
    {"beside", "cancel", 0, 1, 500, 0},
    {"beside", "cancel", 0, 2, 40, 0},
    {"wreck", "cancel", BIT(ALLOC) | BIT(MAP) | BIT(THREAD) | BIT(CANCEL), 1, 0, 500},
    {"wreck", "cancel", BIT(ALLOC) | BIT(MAP) | BIT(THREAD) | BIT(CANCEL), 2, 0, 40},
    {"spurious", "schedule", BIT(SPURIOUS), 1, 30, 3},
    {"spurious", "schedule", BIT(SPURIOUS), 2, 30, 3},
    {"delay", "schedule", BIT(DELAY), 1, 500, 100},
    {"delay", "schedule", BIT(DELAY), 2, 50, 5},
    {"steal", "schedule", BIT(STEAL), 2, 20, 3},
    {"migrate", "schedule", BIT(MIGRATE), 2, 50, 10},
    {"jumble", "schedule", BIT(DELAY) | BIT(STEAL) | BIT(MIGRATE) | BIT(SPURIOUS), 2, 0, 20},
};

/* Every point fails in turn, until a run passes fewer.  Returns how many did. */
static uint64_t sweep(const scenario *s, const sweep_kind *w, bool persistent) {
    uint64_t most = persistent ? w->most_lasting : w->most, failed = 1, k = 0;
    while (failed && k < most) {
        plan = (fault_plan){w->kinds, ++k, persistent};
        run(s, w->name, w->workers, &failed);
    }
    return failed ? k : k - 1;
}

static bool in_detail; /* a line for each sweep: when one scenario is asked for, else what failed would be lost among them */
static uint64_t runs;

static void sweep_both(const scenario *s, const sweep_kind *w) {
    uint64_t failed, once = 0, lasting = 0;
    beside = !w->kinds;
    plan = (fault_plan){w->kinds, 0, false};
    run(s, w->name, w->workers, &failed); /* what is kept for later runs, is there */
    uint64_t n = run(s, w->name, w->workers, &failed);
    if (n == 0) return;
    if (w->most) once = sweep(s, w, false);
    if (w->most_lasting) lasting = sweep(s, w, true);
    runs += once + lasting;
    if (!in_detail) return;
    printf("  %-18s %-8s %u worker%s: ", s->name, w->name, w->workers, w->workers > 1 ? "s" : " ");
    if (w->most) printf("%llu of %llu points passed  ", (unsigned long long)once, (unsigned long long)n);
    if (w->most_lasting) printf("%llu of %llu persistently", (unsigned long long)lasting, (unsigned long long)n);
    printf("\n");
    fflush(stdout);
}

/* ---- coverage ----------------------------------------------------------------------------------------- */

/* Made by entries.py: how often each exported function was called from outside of its own file. */
typedef struct entry {
    const char *name;
    uint64_t calls;
} entry;
extern entry weft_entries[];

/* How often each one was called is counted by a thunk in front of it (entries.py). */
static int uncalled(void) {
    int n = 0, bad = 0;
    for (entry *e = weft_entries; e->name; e++, n++) {
        if (e->calls) continue;
        fprintf(stderr, "%s: no scenario calls it\n", e->name);
        bad++;
    }
    printf("%d of %d exported functions called\n", n - bad, n);
    return bad || !n;
}

/* ---- the command line --------------------------------------------------------------------------------- */

static const scenario *const files[] = {spawn_scenarios, cancel_scenarios, scope_scenarios, wait_scenarios,
                                        outside_scenarios, kit_scenarios, chan_scenarios, sync_scenarios,
                                        data_scenarios, par_scenarios, schedule_scenarios, eff_scenarios, env_scenarios,
                                        driver_scenarios, handler_scenarios};

static bool named(const char *want, const char *name) { return strcmp(want, "all") == 0 || strcmp(want, name) == 0; }

/* One kind, at one point or at each. */
static void run_kind(const scenario *s, const sweep_kind *w, int argc, char **argv) {
    uint64_t failed;
    if (argc <= 3) {
        sweep_both(s, w);
        return;
    }
    unsigned workers = argc > 5 ? (unsigned)atoi(argv[5]) : w->workers;
    beside = !w->kinds;
    if (workers != w->workers) return;
    plan = (fault_plan){w->kinds, 0, false};
    run(s, w->name, workers, &failed);
    plan = (fault_plan){w->kinds, strtoull(argv[3], NULL, 10), argc > 4 && strcmp(argv[4], "persistently") == 0};
    uint64_t n = run(s, w->name, workers, &failed);
    printf("  %s %s, %u workers: %llu points, %llu failed\n", s->name, w->name, workers, (unsigned long long)n,
           (unsigned long long)failed);
}

static unsigned run_scenario(const scenario *s, int argc, char **argv, const char *kinds) {
    uint64_t failed;
    unsigned n = 0;
    bool none = strcmp(kinds, "none") == 0;
    for (unsigned workers = 1; workers <= 2 && none; workers++, n++) {
        plan = (fault_plan){0, 0, false};
        run(s, "none", workers, &failed);
        plan = (fault_plan){REFUSALS & ~(BIT(ERRNO) | BIT(STACK)), 1, true}; /* nothing is to be had, from the beginning */
        run(s, "none", workers, &failed);
    }
    for (size_t i = 0; i < sizeof sweeps / sizeof *sweeps; i++) {
        if (!named(kinds, sweeps[i].name) && !named(kinds, sweeps[i].group)) continue;
        run_kind(s, &sweeps[i], argc, argv);
        n++;
    }
    return n;
}

int main(int argc, char **argv) {
    bool coverage = argc > 1 && strcmp(argv[1], "coverage") == 0;
    const char *name = argc > 1 && !coverage ? argv[1] : "all", *kinds = coverage ? "none" : argc > 2 ? argv[2] : "all";
    unsigned n = 0;
    in_detail = strcmp(name, "all") != 0;
    watch();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (const scenario *s = files[i]; s->name; s++)
            if (named(name, s->name)) n += run_scenario(s, argc, argv, kinds);
    alarm(0);
    if (coverage) return uncalled();
    printf("%u sweeps passed, with %llu runs\n", n, (unsigned long long)runs);
    return n ? 0 : 1;
}
