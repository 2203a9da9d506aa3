/* Scenarios: effect values, what they wait for, guard, and run at once.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fault/driver.h"
#include <weft/eff.h>

WEFT_EFF(eff_long, long);
typedef struct pair {
    long first, second;
} pair;
WEFT_EFF(eff_pair, pair);
typedef struct big {
    char text[700];
} big;
WEFT_EFF(eff_big, big);

/* Sleeps so many ms; fails with 300 if that is odd. */
static long toils(long ms);
WEFT_TASK(toils, long, long);
static long toils(long ms) {
    void *p = take();
    weft_exit e = ms ? weft_sleep(weft_ms(ms)) : weft_checkpoint();
    give(p);
    if (weft_ok(e) && ms % 2) weft_failf(300, "after %ld ms", ms);
    return ms;
}
static eff_long next(weft_eff_arena *a, long ms);
WEFT_EFF_NEXT(next, eff_long, long);
static eff_long next(weft_eff_arena *a, long ms) { return weft_eff_keep(eff_long, a, weft_eff_call(eff_long, toils, ms)); }

static eff_long caught(weft_eff_arena *a, weft_exit e);
WEFT_EFF_NEXT(caught, eff_long, weft_exit);
static eff_long caught(weft_eff_arena *a, weft_exit e) { return weft_eff_now(eff_long, a, e.code); }

static weft_exit same_exit(weft_exit e);
WEFT_TASK(same_exit, weft_exit, weft_exit);
static weft_exit same_exit(weft_exit e) { return e; }

#define TOIL(ms) weft_eff_call(eff_long, toils, (ms))

/* What it gives, or why not: as it should, or as the faults explain. */
#define GIVES(e, value)                                                                      \
    do {                                                                                     \
        long got_ = (value);                                                                 \
        if (FINE(weft_run_effect(e, &got_))) CHECK_EQ(got_, (value));                        \
    } while (0)
#define ENDS(e, with) ends(weft_run_effect(e, NULL), (with))
static void ends(weft_exit e, int code) {
    CHECK(!weft_ok(e));
    if (e.code != code) FINE(e);
}

static void kept(void) {
    weft_eff_arena a;
    weft_eff_arena_open(&a);
    eff_long chain = weft_eff_keep(eff_long, &a, weft_eff_succeed(eff_long, 0)), maps = chain;
    for (int i = 0; i < 150; i++) chain = weft_eff_keep(eff_long, &a, weft_eff_flat_map(eff_long, chain, next));
    for (int i = 0; i < 150; i++) maps = weft_eff_keep(eff_long, &a, weft_eff_map(eff_long, maps, toils));
    GIVES(chain, 0);
    GIVES(maps, 0);
    weft_exit x;
    WEFT_SCOPE(s, &x) {
        weft_eff_arena *inner = weft_eff_arena_in(s);
        if (inner) GIVES(weft_eff_keep(eff_long, inner, weft_eff_map(eff_long, chain, toils)), 0);
    }
    FINE(x);
    weft_eff_arena_close(&a);
}

static void errors(void) {
    eff_long fails = weft_eff_annotate(eff_long, TOIL(1), "on purpose");
    ENDS(fails, 300);
    long n = 0;
    weft_exit e = weft_run_effect(weft_eff_catch_all(eff_long, fails, caught), &n);
    if (weft_ok(e)) /* a fault is a failure as well */
        CHECK(n == 300 || n == WEFT_E_NOMEM);
    else
        FINE(e);
    ENDS(weft_eff_retry(eff_long, TOIL(1), weft_schedule_times(weft_schedule_spaced(weft_ms(1)), 2)), 300);
    GIVES(weft_eff_repeat(eff_long, TOIL(2), weft_schedule_recurs(2)), 2);
    ENDS(weft_eff_timeout(eff_long, TOIL(100), weft_ms(3)), WEFT_E_TIMEOUT);
    eff_big b = weft_eff_map_error(eff_big, weft_eff_fail(eff_big, 301, "no"), same_exit);
    ENDS(b, 301);
}

static weft_exit give_back(long n, const weft_exit *e);
WEFT_EFF_FN(give_back, weft_exit, long, weft_exit);
static weft_exit give_back(long n, const weft_exit *e) {
    (void)n;
    (void)e;
    give(&even);
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}
static long taken(long n);
WEFT_TASK(taken, long, long);
static long taken(long n) {
    take();
    return n;
}

/* What was taken is given back whatever fails. */
static void guarded(void) {
    GIVES(weft_eff_acquire_release(eff_long, weft_eff_call(eff_long, taken, 2), next, give_back), 2);
    ENDS(weft_eff_acquire_release(eff_long, weft_eff_call(eff_long, taken, 1), next, give_back), 300);
    eff_long both = weft_eff_acquire_release(eff_long, weft_eff_call(eff_long, taken, 2), next, give_back);
    for (int i = 0; i < 3; i++) GIVES(weft_eff_uninterruptible(eff_long, weft_eff_restore(eff_long, both)), 2);
    eff_long_memo m = {.value = 0};
    eff_long e = weft_eff_memoise(eff_long, both, &m);
    GIVES(e, 2);
    GIVES(e, 2);
    weft_eff_memo_drop(&m.memo);
}

static void at_once(void) {
    long items[4] = {2, 0, 4, 2}, results[4];
    pair p = {2, 4};
    if (FINE(weft_run_effect(weft_eff_zip_par(eff_pair, TOIL(2), TOIL(4)), &p))) CHECK(p.first == 2 && p.second == 4);
    GIVES(weft_eff_race(eff_long, TOIL(4), TOIL(2)), 2);
    ENDS(weft_eff_any(eff_long, TOIL(1), TOIL(3)), 300);
    if (FINE(weft_run_effect(weft_eff_for_each_par(items, 4, results, 2, next), NULL)))
        for (int i = 0; i < 4; i++) CHECK_EQ(results[i], items[i]);
    long n = 2;
    if (FINE(weft_run_here(weft_eff_race(eff_long, TOIL(2), TOIL(4)), &n))) CHECK_EQ(n, 2);
}

const scenario eff_scenarios[] = {
    {"effects_kept", kept, NULL},       {"effects_failing", errors, NULL}, {"effects_guarded", guarded, NULL},
    {"effects_at_once", at_once, NULL}, {NULL, NULL, NULL},
};
