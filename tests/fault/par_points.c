/* Scenarios: branches at once, many items, streams.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fault/driver.h"
#include <weft/par.h>

/* ---- branches: each that begins, ends ------------------------------------------------------------------ */

typedef struct job {
    int ms, value, fails;
} job;
static long toils(job j);
WEFT_TASK(toils, long, job);
static long toils(job j) {
    void *p = take();
    weft_exit e = j.ms ? weft_sleep(weft_ms(j.ms)) : weft_checkpoint();
    give(p);
    if (!weft_ok(e)) return -1; /* the others may have stopped it */
    if (j.fails) weft_failf(j.fails, "after %d ms", j.ms);
    return j.value;
}

/* Ended well: with what it should; else with `code`, or explained. */
static bool ends(weft_exit e, int code) { return weft_ok(e) || (e.code != code && !FINE(e)) ? weft_ok(e) : false; }

static _Atomic int dropped;
static void drop(void *value) {
    CHECK(*(long *)value > 0);
    atomic_fetch_add(&dropped, 1);
}

static void branches(void) {
    long a = 0, b = 0, c = 0;
    size_t who;
    weft_exit exits[3];
    if (FINE(weft_zip_par(WEFT_BR(toils, &a, 2, 1, 0), WEFT_BR(toils, &b, 0, 2, 0), WEFT_BR(toils, &c, 3, 3, 0)))) CHECK_EQ(a + b + c, 6);
    if (FINE(weft_race(&who, WEFT_BR_DROP(toils, &a, drop, 3, 5, 0), WEFT_BR_DROP(toils, &a, drop, 1, 6, 0))))
        CHECK_EQ(a, who ? 6 : 5);
    if (FINE(weft_any(&who, WEFT_BR(toils, &a, 1, 7, 300), WEFT_BR_DROP(toils, &a, drop, 2, 8, 0)))) CHECK_EQ(a, 8);
    if (FINE(weft_all_settled(exits, WEFT_BR(toils, &a, 1, 9, 0), WEFT_BR(toils, NULL, 2, 1, 301), WEFT_BR(toils, &b, 3, 9, 0)))) {
        CHECK(weft_ok(exits[0]) && weft_ok(exits[2]));
        CHECK_EQ(exits[1].code, 301);
    }
}

static void branches_fail(void) {
    char text[512];
    weft_exit e = weft_zip_par(WEFT_BR_DROP(toils, NULL, drop, 0, 1, 0), WEFT_BR(toils, NULL, 2, 2, 301), WEFT_BR(toils, NULL, 2, 2, 302));
    CHECK(!weft_ok(e));
    if (e.code != 301) ends(e, 302);
    weft_exit_render(e, text, sizeof text);
    e = weft_any(NULL, WEFT_BR(toils, NULL, 1, 2, 301), WEFT_BR(toils, NULL, 2, 2, 302));
    CHECK(!weft_ok(e));
    if (e.code != 302) ends(e, 301);
    weft_exit_drop(e);
    CHECK(!weft_ok(weft_race(NULL, WEFT_BR(toils, NULL, 1, 2, 301), WEFT_BR(toils, NULL, 5, 2, 0))));
    FAILS(weft_race(NULL), WEFT_E_INVALID);
    FAILS(weft_settle_of(NULL, NULL, 3), WEFT_E_INVALID);
}

/* In branches, with fibers of their own. */
static long nests(int depth);
WEFT_TASK(nests, long, int);
static long nests(int depth) {
    long a = 0, b = 0;
    if (depth == 0) {
        FINE(weft_spawn((toils_fiber *)NULL, toils, 2, 1, 0));
        return toils((job){1, 1, 0});
    }
    weft_exit e = depth & 1 ? weft_zip_par(WEFT_BR(nests, &a, depth - 1), WEFT_BR(nests, &b, depth - 1))
                            : weft_all_settled(NULL, WEFT_BR(nests, &a, depth - 1), WEFT_BR(nests, &b, depth - 1));
    return weft_ok(e) ? a + b : -1;
}
static void nested(void) {
    long n = 0;
    if (FINE(weft_race(NULL, WEFT_BR(nests, &n, 3), WEFT_BR(toils, &n, 100, 99, 0))) && !refusing() && !stopping()) CHECK_EQ(n, 8);
}

/* ---- kept ----------------------------------------------------------------------------------------------- */

static void kept(void) {
    long a, b;
    const weft_par_options keep = {.rest = WEFT_KEEP};
    size_t who;
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        weft_branch race[] = {WEFT_BR_DROP(toils, &a, drop, 3, 1, 0), WEFT_BR_DROP(toils, &a, drop, 1, 2, 0)};
        FINE(weft_race_of(&who, race, 2, &keep));
        weft_branch all[] = {WEFT_BR_DROP(toils, &a, drop, 3, 1, 0), WEFT_BR_DROP(toils, &b, drop, 1, 2, 301)};
        ends(weft_all_of(all, 2, &keep), 301);
        weft_branch both[] = {WEFT_BR(toils, &a, 1, 1, 0), WEFT_BR(toils, &b, 0, 2, 0)};
        FINE(weft_all_of(both, 2, &keep));
        weft_branch any[] = {WEFT_BR(toils, &a, 1, 1, 301), WEFT_BR(toils, &b, 0, 2, 302)};
        weft_exit none = weft_any_of(&who, any, 2, &keep);
        if (none.code != 302) ends(none, 301);
    }
    ends(e, WEFT_E_CANCELLED);
}

/* ---- time ----------------------------------------------------------------------------------------------- */

static void timed(void) {
    long n = 0;
    size_t who;
    FINE(weft_timeout_to(weft_ms(2), WEFT_BR_DROP(toils, &n, drop, 5, 1, 0), WEFT_BR(toils, &n, 1, 2, 0)));
    FINE(weft_timeout_to(weft_ms(5), WEFT_BR(toils, &n, 2, 1, 0), WEFT_BR(toils, &n, 1, 2, 0)));
    ends(weft_timeout_to(weft_ms(5), WEFT_BR(toils, &n, 2, 1, 301), WEFT_BR(toils, &n, 1, 2, 0)), 301);
    FINE(weft_hedge(&who, weft_ms(1), WEFT_BR(toils, &n, 5, 1, 0), WEFT_BR(toils, &n, 1, 2, 0)));
    FINE(weft_hedge(&who, weft_ms(5), WEFT_BR(toils, &n, 2, 1, 303), WEFT_BR(toils, &n, 1, 2, 0)));
    FINE(weft_hedge(&who, weft_ms(5), WEFT_BR(toils, &n, 0, 1, 0), WEFT_BR(toils, &n, 1, 2, 0)));
}

/* ---- many ----------------------------------------------------------------------------------------------- */

enum { MANY = 12 };
static void many(void) {
    job in[MANY];
    long out[MANY];
    for (int i = 0; i < MANY; i++) in[i] = (job){i % 3, i + 1, 0};
    if (FINE(weft_for_each_par(toils, in, MANY, out, .parallelism = 4)))
        for (int i = 0; i < MANY; i++) CHECK_EQ(out[i], i + 1);
    if (FINE(weft_map(toils, in, MANY, out))) CHECK_EQ(out[MANY - 1], MANY);
    in[5].fails = 305;
    in[7].fails = 307;
    weft_exit e = weft_for_each_par(toils, in, MANY, NULL, .parallelism = 3, .grain = 2);
    CHECK(!weft_ok(e));
    if (e.code != 307) ends(e, 305);
    FAILS(weft_for_each_par(toils, in, MANY, NULL, .grain = -1), WEFT_E_INVALID);
}

static weft_exit counts(void *arg, size_t i, void *value) {
    CHECK_EQ(*(long *)value, (long)i + 1);
    ++*(int *)arg;
    return weft_checkpoint();
}
static void streams(void) {
    job in[MANY];
    for (int unordered = 0; unordered < 2; unordered++) {
        weft_stream s;
        long value;
        size_t i, n = 0;
        int seen = 0;
        for (int k = 0; k < MANY; k++) in[k] = (job){k % 3, k + 1, 0};
        weft_exit e = weft_stream_open(&s, toils, in, MANY, .parallelism = 3, .window = 5, .unordered = unordered != 0, .drop = drop);
        if (FINE(e)) {
            while (weft_stream_next(&s, toils, &i, &value)) CHECK(value == (long)i + 1 && ++n <= MANY);
            if (FINE(weft_stream_close(&s))) CHECK_EQ(n, MANY);
        }
        if (FINE(weft_stream_open(&s, toils, in, MANY, .parallelism = 3, .window = 5, .unordered = unordered != 0, .drop = drop))) {
            for (n = 0; n < 4 && weft_stream_next(&s, toils, NULL, NULL); n++) {}
            FINE(weft_stream_close(&s));
        }
        if (FINE(weft_stream_each(toils, in, MANY, counts, &seen, .parallelism = 4, .unordered = unordered != 0))) CHECK_EQ(seen, MANY);
        in[6].fails = 306;
        e = weft_stream_each(toils, in, MANY, counts, &seen, .parallelism = 4, .unordered = unordered != 0);
        CHECK(!weft_ok(e));
        ends(e, 306);
    }
}

const scenario par_scenarios[] = {
    {"branches", branches, NULL}, {"branches_fail", branches_fail, NULL}, {"nested", nested, NULL}, {"kept", kept, NULL},
    {"timed", timed, NULL},       {"many", many, NULL},                   {"streams", streams, NULL}, {NULL, NULL, NULL},
};
