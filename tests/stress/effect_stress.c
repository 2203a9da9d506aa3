/* Effects by chance: what they mean, evaluated without Weft, is what they do, run in each way there is.
 *
 *   on a fiber        on the deterministic executor under several schedules, and in parallel on one and on two workers
 *   watched           the same, with counters
 *   directly          on a fiber, and on a plain thread (where nothing sleeps and no time is ever over)
 *
 * Compared are the exit, the value, the time it took on the virtual clock, and how often each part of the program did what.
 * A program that differs is made as small as it stays different, and printed, with the seed that brings it back.
 *   WEFT_FUZZ_SEED=n   the first program;  WEFT_FUZZ_RUNS=n   how many;  WEFT_FUZZ_WAY=n   one way alone
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/runs.h"
#include "alloc/san.h"
#include "support/meant.h"
#include <weft/explain.h>

typedef struct way {
    const char *name;
    bool direct, thread, watched;
    unsigned workers; /* 0: the deterministic executor, */
    weft_explore how; /* so */
} way;
static const way ways[] = {
    {"on a fiber, fifo", .how = WEFT_EXPLORE_FIFO},
    {"on a fiber, random", .how = WEFT_EXPLORE_RANDOM},
    {"on a fiber, pct", .how = WEFT_EXPLORE_PCT},
    {"on a fiber, watched", .how = WEFT_EXPLORE_RANDOM, .watched = true},
    {"on one worker", .workers = 1},
    {"on two workers", .workers = 2},
    {"on two workers, watched", .workers = 2, .watched = true},
    {"directly, on a fiber", .direct = true, .how = WEFT_EXPLORE_FIFO},
    {"directly, on a thread", .direct = true, .thread = true},
};
enum { WAYS = sizeof ways / sizeof *ways, INPUT = 5 };

static weft_runtime *parallel[3];

/* ---- one program, one way --------------------------------------------------------------------------------- */

typedef struct run {
    const spec *program;
    const way *way;
    outcome got;
    weft_time took;
    weft_err ended;
    int made[SPECS][NOTES];
} run;

/* What was watched has run once, and as long as the whole did. */
static void check_counts(weft_counters *c, eff_long e, weft_exit x, weft_duration took) {
    weft_count k;
    CHECK(weft_counters_get(c, e, &k));
    CHECK_EQ(k.runs, 1);
    CHECK_EQ(k.failures, !weft_ok(x));
    CHECK_EQ(k.total, took);
    CHECK(k.own >= 0 && k.own <= took);
    weft_counters_close(c);
}

static void perform(void *arg) {
    run *r = arg;
    weft_eff_arena arena;
    long value = 0;
    weft_eff_arena_open(&arena);
    eff_long e = build(&arena, r->program, INPUT);
    weft_time from = weft_now();
    weft_counters c = {NULL};
    if (r->way->watched) CHECK_EQ(weft_counters_open(&c, e), WEFT_OK);
    weft_eff_options how = {.direct = r->way->direct, .watch = weft_counters_watch(&c)};
    weft_exit x = weft_run_effect_with(e, &value, &how);
    r->took = weft_now() - from;
    if (r->way->watched) check_counts(&c, e, x, r->took);
    r->got = (outcome){x.tag, x.tag == WEFT_EXIT_INTERRUPT ? 0 : x.code, value};
    if (!weft_ok(x)) r->got.value = 0;
    weft_exit_drop(x);
    weft_eff_arena_close(&arena);
}

static void do_it(run *r, uint64_t seed) {
    for (int i = 0; i < SPECS; i++) {
        atomic_store(&attempts[i], 0);
        for (int k = 0; k < NOTES; k++) atomic_store(&noted[i][k], 0);
    }
    uint64_t live = weft__heap_live();
    if (r->way->thread)
        perform(r), r->ended = WEFT_OK;
    else if (r->way->workers)
        r->ended = weft_call(parallel[r->way->workers], perform, r);
    else
        r->ended = weft_run(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, .seed = seed, .explore = r->way->how,
                                          .clock = WEFT_CLOCK_AUTO), perform, r);
    for (int i = 0; i < SPECS; i++) weft_eff_memo_drop(&memos[i].memo);
    if (!r->way->workers) CHECK_EQ(weft__heap_live(), live);
    for (int i = 0; i < SPECS; i++)
        for (int k = 0; k < NOTES; k++) r->made[i][k] = atomic_load(&noted[i][k]);
}

/* ---- comparing -------------------------------------------------------------------------------------------- */

typedef enum verdict { AGREE, DIFFER, SKIPPED } verdict;

static char difference[300];
#define DIFFERS(...) (snprintf(difference, sizeof difference, __VA_ARGS__), DIFFER)

static verdict compare(const spec *program, const way *w, uint64_t seed) {
    run r = {.program = program, .way = w};
    int64_t end;
    timeless = w->thread;
    meant_directly = w->direct;
    outcome o = meaning(program, INPUT, &end);
    if (now_is.vague || now_is.hangs) return SKIPPED;
    do_it(&r, seed);
    if (r.ended != WEFT_OK) return DIFFERS("the run ended with %s", weft_err_text(r.ended));
    if (o.tag != r.got.tag || o.code != r.got.code || o.value != r.got.value)
        return DIFFERS("it should end with {tag %u, code %d, value %ld}; it ended with {tag %u, code %d, value %ld}", o.tag,
                       o.code, o.value, r.got.tag, r.got.code, r.got.value);
    for (int i = 0; i < SPECS; i++)
        for (int k = 0; k < NOTES; k++)
            if (now_is.noted[i][k] != r.made[i][k])
                return DIFFERS("#%d should do (%d) %d times; it did %d times", i, k, now_is.noted[i][k], r.made[i][k]);
    if (!w->thread && end != r.took)
        return DIFFERS("it should take %lldns; it took %lldns", (long long)end, (long long)r.took);
    return AGREE;
}

/* ---- making it small -------------------------------------------------------------------------------------- */

static bool still_differs(const spec *root, const way *w, uint64_t seed) { return compare(root, w, seed) == DIFFER; }

/* One step: something of what is at *at is left out, and it still differs. */
static bool shrink_at(spec **root, spec **at, const way *w, uint64_t seed) {
    spec *s = *at, was = *s;
    unsigned subs = subs_of(s->kind, s->n);
    for (unsigned i = 0; i < subs; i++) {
        *at = s->sub[i];
        if (still_differs(*root, w, seed)) return true;
    }
    *at = s;
    if (s->kind != SUCCEED) {
        s->kind = SUCCEED;
        if (still_differs(*root, w, seed)) return true;
        *s = was;
    }
    if ((s->kind == RACE || s->kind == ANY || s->kind == EACH) && s->n > 1) {
        s->n--;
        if (still_differs(*root, w, seed)) return true;
        *s = was;
    }
    for (unsigned i = 0; i < subs; i++)
        if (shrink_at(root, &s->sub[i], w, seed)) return true;
    return false;
}

static void report(spec *root, const way *w, uint64_t seed) {
    static char plan[1 << 16];
    weft_eff_arena arena;
    compare(root, w, seed);
    fprintf(stderr, "%s, program %llu (WEFT_FUZZ_SEED=%llu WEFT_FUZZ_RUNS=1): %s\n", w->name, (unsigned long long)seed,
            (unsigned long long)seed, difference);
    write_spec(stderr, root, 1);
    weft_eff_arena_open(&arena);
    weft_explain_with(build(&arena, root, INPUT), (&(weft_explain_options){.no_places = true}), plan, sizeof plan);
    weft_eff_arena_close(&arena);
    fprintf(stderr, "as Weft sees it:\n%s", plan);
}

/* ---- many ------------------------------------------------------------------------------------------------- */

static spec pool[SPECS];
static spec *program_of(uint64_t seed) {
    maker m = {.random = seed, .pool = pool, .most = SPECS / 2};
    draw_theme(&m);
    return make(&m, 0, 1 + (int)(seed % 8));
}

static uint64_t setting(const char *name, uint64_t otherwise) {
    const char *n = getenv(name);
    return n ? strtoull(n, NULL, 10) : otherwise;
}

static void open_parallel(void) {
    for (unsigned n = 1; n <= 2; n++)
        CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = n, .clock = WEFT_CLOCK_AUTO), &parallel[n]), WEFT_OK);
}
static void close_parallel(void) {
    for (unsigned n = 1; n <= 2; n++) CHECK_EQ(weft_close(parallel[n]), WEFT_OK);
}

/* From program `first` on; one that differs is printed, and the end.  *seen: how many were compared, each way. */
static void compare_many(uint64_t first, uint64_t runs, uint64_t only, uint64_t *seen) {
    for (uint64_t seed = first; seed < first + runs; seed++) {
        for (unsigned i = 0; i < WAYS; i++) {
            if (only < WAYS && i != only) continue;
            spec *root = program_of(seed);
            test_note("program %llu, %s", (unsigned long long)seed, ways[i].name);
            verdict v = compare(root, &ways[i], seed);
            seen[i] += v != SKIPPED;
            if (v != DIFFER) continue;
            while (shrink_at(&root, &root, &ways[i], seed)) continue;
            report(root, &ways[i], seed);
            abort();
        }
    }
    test_note(NULL);
}

TEST(effects_do_what_they_mean_however_they_are_run) {
    uint64_t first = setting("WEFT_FUZZ_SEED", 1), runs = setting("WEFT_FUZZ_RUNS", WEFT__SAN_STACKS > 1 ? 600 : 2500);
    uint64_t only = setting("WEFT_FUZZ_WAY", WAYS), seen[WAYS] = {0};
    run_ends(NULL, nothing, NULL, WEFT_OK);
    open_parallel();
    compare_many(first, runs, only, seen);
    close_parallel();
    for (unsigned i = 0; i < WAYS; i++) {
        fprintf(stderr, "    %s: %llu of %llu programs compared\n", ways[i].name, (unsigned long long)seen[i],
                (unsigned long long)runs);
        CHECK(only < WAYS || runs < 100 || seen[i] > runs / 2);
    }
}

/* Would it notice?  The evaluator is made wrong in one way after the other. */
TEST(a_planted_error_is_found_and_made_small) {
    static const char *const errors[] = {"", "defects are tried again", "finalizers are forgotten", "interrupts are caught",
                                         "a loser wins", "losers are stopped late"};
    run_ends(NULL, nothing, NULL, WEFT_OK);
    for (planted p = RETRIES_DEFECTS; p <= LATE_CANCEL; p++) {
        uint64_t seed = 1;
        plant = p;
        while (seed < 20000 && compare(program_of(seed), &ways[0], seed) != DIFFER) seed++;
        CHECK(seed < 20000);
        spec *root = program_of(seed);
        int before = size_of(root);
        while (shrink_at(&root, &root, &ways[0], seed)) continue;
        fprintf(stderr, "    %s: found in program %llu, %d parts of %d\n", errors[p], (unsigned long long)seed, size_of(root),
                before);
        CHECK(compare(root, &ways[0], seed) == DIFFER);
        CHECK(size_of(root) <= 12);
        plant = NOTHING;
        CHECK(compare(root, &ways[0], seed) == AGREE);
    }
}

static void catch_interrupts(void *arg) {
    uint64_t seen[WAYS] = {0};
    (void)arg;
    plant = CATCHES_INTERRUPTS;
    compare_many(1, 1000, 0, seen);
}
TEST(what_differs_is_printed_as_a_program_and_as_a_plan_with_its_seed) {
    EXPECT_DEATH(catch_interrupts, NULL, SIGABRT, "on a fiber, fifo, program ");
    EXPECT_DEATH(catch_interrupts, NULL, SIGABRT, " WEFT_FUZZ_RUNS=1): it should end with {tag ");
    EXPECT_DEATH(catch_interrupts, NULL, SIGABRT, "  catch_all #");
    EXPECT_DEATH(catch_interrupts, NULL, SIGABRT, "  catch_all on_failure\n");
}

TEST_MAIN
