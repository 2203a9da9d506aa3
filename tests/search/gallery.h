/* tests/search/gallery.h -- exhibits: a program with a mistake that users make, and the same program without it.
 *
 *   TEST(lost_update) {
 *       exhibit(&(specimen){.name = "lost update", .bad = reads_and_writes, .good = adds_results,
 *                           .expected = WEFT_TEST_CHECK, .because = "counter == 6"});
 *   }
 *
 * A plain run of the bad one passes, else it would be no matter of a search (.plain: it is none); random schedules and PCT
 * find it, within 1000 runs, for the reason given; what they find is repeatable, minimised, and replayed from its text;
 * and 1000 runs of either find nothing in the good one.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_TESTS_GALLERY_H
#define WEFT_TESTS_GALLERY_H

#include "test.h"
#include <weft/scope.h>
#include <weft/test.h>

enum { SEARCH_RUNS = 1000 };

typedef struct specimen {
    const char *name;
    void (*bad)(weft_test t), (*good)(weft_test t);
    weft_test_failure expected;
    const char *because; /* in the report */
    bool plain;          /* fifo finds it, too */
    bool kills;          /* in a process of its own */
    bool manual_clock;
} specimen;

static weft_test_result result;

static void run(const specimen *s, void (*body)(weft_test), weft_test_options o) {
    o.name = s->name;
    o.manual_clock = s->manual_clock;
    o.result = &result;
    test_note("%s, strategy %d", s->name, (int)o.explore);
    WEFT_TEST(t, .name = o.name, .runs = o.runs, .explore = o.explore, .schedule = o.schedule, .seed = o.seed,
              .manual_clock = o.manual_clock, .isolate = o.isolate, .result = o.result) {
        body(t);
    }
}

static void passes(const char *report) {
    if (*report) fprintf(stderr, "%s\n", report);
    CHECK(!*report);
}

/* It fails as it should, and not in another way. */
static void fails_for_its_reason(const specimen *s) {
    if (result.failure != s->expected || !strstr(result.report, s->because))
        fprintf(stderr, "expected failure %d because of '%s', got %d:\n%s\n", (int)s->expected, s->because,
                (int)result.failure, result.report);
    CHECK(result.failure == s->expected);
    CHECK(strstr(result.report, s->because) != NULL);
}

static unsigned turns_of(const char *schedule) {
    unsigned n = 0;
    for (const char *at = schedule; *at && *at != ';'; at++) n += *at == ':';
    return n;
}

static void found_by(const specimen *s, weft_explore how) {
    static const char *const names[] = {"", "fifo", "random", "pct", "dfs"};
    static weft_test_result first;
    run(s, s->bad, (weft_test_options){.runs = how == WEFT_EXPLORE_DFS ? 0 : SEARCH_RUNS, .explore = how, .isolate = s->kills});
    fails_for_its_reason(s);
    CHECK(result.runs <= SEARCH_RUNS);
    CHECK(result.repeatable);
    CHECK(turns_of(result.schedule) <= result.turns);
    first = result;
    run(s, s->bad, (weft_test_options){.schedule = first.schedule, .isolate = s->kills});
    fails_for_its_reason(s);
    CHECK_EQ(result.runs, 1);
    if (strcmp(result.schedule, first.schedule) != 0) fprintf(stderr, "%s, then %s\n", first.schedule, result.schedule);
    CHECK(strcmp(result.schedule, first.schedule) == 0);
    printf("%-34s %-7s %4u %6u -> %u   %s\n", s->name, names[how], first.runs, first.turns, turns_of(first.schedule),
           first.schedule);
}

__attribute__((unused)) static void exhibit(const specimen *s) {
    static bool headed;
    if (!headed) printf("%-34s %-7s %4s %6s -> %s\n", "program", "by", "runs", "turns", "turns, schedule");
    headed = true;
    if (!s->plain) {
        run(s, s->bad, (weft_test_options){.runs = 1, .isolate = s->kills});
        passes(result.report);
    }
    for (weft_explore how = WEFT_EXPLORE_RANDOM; how <= WEFT_EXPLORE_DFS; how++) found_by(s, how);
    for (weft_explore how = WEFT_EXPLORE_RANDOM; how <= WEFT_EXPLORE_PCT; how++) {
        run(s, s->good, (weft_test_options){.runs = SEARCH_RUNS, .explore = how});
        passes(result.report);
        CHECK_EQ(result.runs, SEARCH_RUNS);
    }
    test_note(NULL);
}

#endif
