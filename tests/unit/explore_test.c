/* Schedules and strategies, without an executor: choices among numbers.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "sched/explore.h"
#include "test.h"

/* ---- schedules as texts --------------------------------------------------------------------------------- */

static void comes_back(const char *text) {
    schedule s;
    char again[256];
    CHECK_EQ(weft__schedule_parse(&s, text), WEFT_OK);
    CHECK_EQ(weft__schedule_print(&s, again, sizeof again), strlen(text));
    test_note("'%s' became '%s'", text, again);
    CHECK(!strcmp(text, again));
    test_note(NULL);
    weft__schedule_free(&s);
}
TEST(what_is_printed_is_parsed_and_the_other_way_round) {
    static const char *const texts[] = {
        "", "0:1", "12:1,40:2", "0:1,1:1,2:1", "4294967295:65535", "12:1;21,9", ";1", ";18446744073709551615", ";3,3,3",
        ("1:1,2:2,3:3,4:4,5:5,6:6,7:7,8:8,9:9,10:10,11:11,12:12,13:13,14:14,15:15,16:16,17:17,18:18;"
        "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"),
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) comes_back(texts[i]);
}
TEST(what_is_no_schedule_is_refused_and_leaves_nothing) {
    static const char *const texts[] = {
        "x", "1", "1:", ":1", "1:0", "1:1,", ",1:1", "1:1,1:1", "2:1,1:1", "1:1 ", " 1:1", "1:-1", "-1:1", "+1:1", "1:+1", "1: 1",
        "1:1:1", "1:1,,2:1", "4294967296:1", "1:65536", "99999999999999999999:1", "1:99999999999999999999", "1:1;", "1:1;,1",
        "1:1;1,", "1:1;1;2", "1:1;x", "1:1;-1", ";", ";99999999999999999999", "1:1;1:1", "0x1:1",
    };
    uint64_t live = weft__heap_live();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        schedule s;
        test_note("'%s'", texts[i]);
        CHECK_EQ(weft__schedule_parse(&s, texts[i]), WEFT_E_INVALID);
        CHECK(s.n == 0 && s.n_outside == 0 && s.room == 0 && s.room_outside == 0);
        CHECK_EQ(weft__heap_live(), live);
    }
    test_note(NULL);
}
TEST(a_text_that_does_not_fit_is_cut_and_its_length_told) {
    schedule s;
    char to[8];
    CHECK_EQ(weft__schedule_parse(&s, "12:1,40:2;21"), WEFT_OK);
    for (size_t room = 0; room <= sizeof to; room++) {
        memset(to, '#', sizeof to);
        CHECK_EQ(weft__schedule_print(&s, to, room), 12);
        if (room) CHECK(memcmp(to, "12:1,40:2", room - 1) == 0 && to[room - 1] == 0);
        if (room < sizeof to) CHECK_EQ(to[room], '#');
    }
    weft__schedule_free(&s);
}

/* Of many turns. */
static char *long_text(unsigned turns) {
    char *text = malloc(turns * 12 + 1), *at = text;
    *at = 0;
    for (unsigned i = 0; i < turns; i++) at += sprintf(at, "%s%u:1", i ? "," : "", i);
    return text;
}
TEST(a_schedule_has_so_many_turns_at_most) {
    schedule s;
    char *text = long_text(TURNS_MOST);
    CHECK_EQ(weft__schedule_parse(&s, text), WEFT_OK);
    CHECK_EQ(s.n, TURNS_MOST);
    CHECK(!s.cut);
    weft__schedule_free(&s);
    free(text);
    text = long_text(TURNS_MOST + 1);
    CHECK_EQ(weft__schedule_parse(&s, text), WEFT_E_INVALID);
    CHECK_EQ(s.n, 0);
    free(text);
}

/* ---- random --------------------------------------------------------------------------------------------- */

static const uint64_t names[8] = {11, 12, 13, 14, 15, 16, 17, 18};

TEST(a_seed_is_a_sequence) {
    for (weft_explore how = WEFT_EXPLORE_RANDOM; how <= WEFT_EXPLORE_PCT; how++) {
        explorer a, b, c;
        unsigned others = 0;
        CHECK_EQ(weft__explore_begin(&a, how, 7, 0, ""), WEFT_OK);
        CHECK_EQ(weft__explore_begin(&b, how, 7, 0, ""), WEFT_OK);
        CHECK_EQ(weft__explore_begin(&c, how, 8, 0, ""), WEFT_OK);
        for (uint32_t i = 0; i < 500; i++) {
            explore_where where = i % 3 ? EXPLORE_GO_ON : EXPLORE_NEXT;
            uint32_t n = 2 + i % 6, got = weft__explore_choose(&a, names, n, where);
            CHECK(got < n);
            CHECK_EQ(weft__explore_choose(&b, names, n, where), got);
            others += weft__explore_choose(&c, names, n, where) != got;
        }
        CHECK(others > 20);
        CHECK_EQ(a.choices, 500);
        weft__explore_end(&a);
        weft__explore_end(&b);
        weft__explore_end(&c);
    }
}

/* Goes on with who runs with a probability of 1/2, 3/4, 7/8 or 15/16, each for a quarter of the seeds; else any. */
TEST(random_goes_on_as_often_as_it_says) {
    unsigned seeds[5] = {0};
    for (uint64_t seed = 0; seed < 400; seed++) {
        explorer e;
        enum { N = 4, TIMES = 4000 };
        unsigned counts[N] = {0};
        CHECK_EQ(weft__explore_begin(&e, WEFT_EXPLORE_RANDOM, seed, 0, ""), WEFT_OK);
        CHECK(e.stay >= 1 && e.stay <= 4);
        if (seeds[e.stay]++ < 5) {
            double leave = 1.0 / (1 << e.stay);
            for (int i = 0; i < TIMES; i++) counts[weft__explore_choose(&e, names, N, EXPLORE_GO_ON)]++;
            for (int i = 1; i < N; i++) {
                double expected = TIMES * leave / N;
                test_note("seed %llu, stay %u: %u of %.0f", (unsigned long long)seed, e.stay, counts[i], expected);
                CHECK(counts[i] > expected * 0.6 && counts[i] < expected * 1.4);
            }
            memset(counts, 0, sizeof counts);
            for (int i = 0; i < TIMES; i++) counts[weft__explore_choose(&e, names, N, EXPLORE_NEXT)]++;
            for (int i = 0; i < N; i++) CHECK(counts[i] > TIMES / N * 0.85 && counts[i] < TIMES / N * 1.15);
        }
        weft__explore_end(&e);
    }
    for (int stay = 1; stay <= 4; stay++) CHECK(seeds[stay] > 60 && seeds[stay] < 140);
    test_note(NULL);
}
TEST(a_coin_has_two_sides) {
    for (weft_explore how = WEFT_EXPLORE_RANDOM; how <= WEFT_EXPLORE_PCT; how++) {
        explorer e;
        unsigned heads = 0;
        CHECK_EQ(weft__explore_begin(&e, how, 3, 0, ""), WEFT_OK);
        for (int i = 0; i < 1000; i++) heads += weft__explore_flip(&e);
        CHECK(heads > 400 && heads < 600);
        CHECK_EQ(e.made.n, heads);
        CHECK_EQ(e.choices, 1000);
        weft__explore_end(&e);
    }
}
TEST(fifo_is_zero) {
    explorer e;
    CHECK_EQ(weft__explore_begin(&e, WEFT_EXPLORE_FIFO, 9, 0, ""), WEFT_OK);
    CHECK(!explore_asks(&e));
    for (int i = 0; i < 100; i++) CHECK_EQ(weft__explore_choose(&e, names, 5, EXPLORE_NEXT), 0);
    CHECK_EQ(weft__explore_flip(&e), false);
    CHECK_EQ(e.made.n, 0);
    weft__explore_end(&e);
}

/* ---- PCT ------------------------------------------------------------------------------------------------ */

/* Whoever is highest is chosen as long as nobody is lowered; twice somebody is, and is then chosen last. */
TEST(pct_follows_its_priorities_and_changes_them_twice) {
    unsigned firsts[4] = {0};
    for (uint64_t seed = 0; seed < 300; seed++) {
        explorer e;
        enum { N = 4, LENGTH = 100 };
        uint32_t last = N, changes = 0;
        CHECK_EQ(weft__explore_begin(&e, WEFT_EXPLORE_PCT, seed, LENGTH, ""), WEFT_OK);
        for (int i = 0; i < PCT_CHANGES; i++) CHECK(e.pct.change[i] < LENGTH);
        for (uint32_t i = 0; i < 2 * LENGTH; i++) {
            uint32_t got = weft__explore_choose(&e, names, N, EXPLORE_NEXT);
            if (last == N && e.pct.change[0] && e.pct.change[1]) firsts[got]++;
            bool change = i == e.pct.change[0] || i == e.pct.change[1];
            if (got != last && last < N) {
                CHECK(change);
                changes++;
            } else if (change && last < N) {
                CHECK(false);
            }
            last = got;
        }
        CHECK(changes <= PCT_CHANGES);
        /* lowered ones come last, the later the lower; when alone with one that was not, never */
        for (int i = 0; i < PCT_CHANGES; i++) {
            uint64_t two[] = {e.pct.low[i], 999};
            if (two[0]) CHECK_EQ(weft__explore_choose(&e, two, 2, EXPLORE_NEXT), 1);
        }
        weft__explore_end(&e);
    }
    for (int i = 0; i < 4; i++) CHECK(firsts[i] > 40); /* each is the highest for some seeds */
}
/* Spinning by yields does not go on for ever; by checkpoints: sched/det.c makes a yield of every so many. */
TEST(pct_does_not_starve_others) {
    explorer e;
    uint64_t two[2] = {1, 2};
    CHECK_EQ(weft__explore_begin(&e, WEFT_EXPLORE_PCT, 1, 1, ""), WEFT_OK);
    weft__explore_choose(&e, two, 2, EXPLORE_NEXT);
    uint32_t high = weft__explore_choose(&e, two, 2, EXPLORE_NEXT);
    uint64_t me_first[2] = {two[high], two[1 - high]};
    unsigned others;
    others = 0;
    for (int i = 0; i < 100; i++) others += weft__explore_choose(&e, me_first, 2, EXPLORE_YIELD) == 1;
    CHECK(others > 10 && others < 50);
    weft__explore_end(&e);
}

/* ---- replay --------------------------------------------------------------------------------------------- */

TEST(what_was_made_is_made_again) {
    for (weft_explore how = WEFT_EXPLORE_RANDOM; how <= WEFT_EXPLORE_PCT; how++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            explorer e, again;
            uint32_t chosen[300];
            char text[4096];
            CHECK_EQ(weft__explore_begin(&e, how, seed, 0, ""), WEFT_OK);
            for (uint32_t i = 0; i < 300; i++) chosen[i] = weft__explore_choose(&e, names, 2 + i % 5, EXPLORE_GO_ON);
            weft__explore_let_in(&e, 77);
            weft__explore_let_in(&e, 5);
            CHECK(weft__schedule_print(&e.made, text, sizeof text) < sizeof text);
            CHECK_EQ(weft__explore_begin(&again, WEFT_EXPLORE_REPLAY, 0, 0, text), WEFT_OK);
            for (uint32_t i = 0; i < 300; i++)
                CHECK_EQ(weft__explore_choose(&again, names, 2 + i % 5, EXPLORE_GO_ON), chosen[i]);
            CHECK_EQ(weft__explore_outside(&again), 77);
            weft__explore_let_in(&again, 77);
            CHECK_EQ(weft__explore_outside(&again), 5);
            weft__explore_let_in(&again, 5);
            CHECK_EQ(weft__explore_outside(&again), 0);
            CHECK(!again.diverged);
            weft__explore_end(&e);
            weft__explore_end(&again);
        }
}
TEST(an_alternative_that_is_not_there_is_a_divergence) {
    explorer e;
    CHECK_EQ(weft__explore_begin(&e, WEFT_EXPLORE_REPLAY, 0, 0, "1:3,2:1"), WEFT_OK);
    CHECK_EQ(weft__explore_choose(&e, names, 2, EXPLORE_NEXT), 0);
    CHECK_EQ(weft__explore_choose(&e, names, 3, EXPLORE_NEXT), 0);
    CHECK(e.diverged);
    CHECK_EQ(weft__explore_choose(&e, names, 2, EXPLORE_NEXT), 1);
    CHECK_EQ(weft__explore_choose(&e, names, 9, EXPLORE_NEXT), 0);
    CHECK_EQ(e.made.n, 1);
    weft__explore_end(&e);
}
TEST(turns_beyond_the_most_are_made_and_not_written_down) {
    explorer e;
    CHECK_EQ(weft__explore_begin(&e, WEFT_EXPLORE_RANDOM, 1, 0, ""), WEFT_OK);
    unsigned turns = 0;
    while (turns <= TURNS_MOST + 10) turns += weft__explore_choose(&e, names, 8, EXPLORE_NEXT) != 0;
    CHECK_EQ(e.made.n, TURNS_MOST);
    CHECK(e.made.cut);
    for (uint64_t i = 0; i < TURNS_MOST + 5; i++) weft__explore_let_in(&e, i + 1);
    CHECK_EQ(e.made.n_outside, TURNS_MOST);
    CHECK_EQ(e.made.outside[TURNS_MOST - 1], TURNS_MOST);
    weft__explore_end(&e);
}

/* ---- depth first ---------------------------------------------------------------------------------------- */

/* How many alternatives a choice has depends on those before: a tree, of which each leaf is a schedule. */
typedef struct tree {
    uint32_t choices;
    uint32_t (*width)(uint32_t choice, const uint32_t *chosen);
} tree;
static uint32_t even_tree(uint32_t choice, const uint32_t *chosen) {
    (void)choice;
    (void)chosen;
    return 3;
}
static uint32_t odd_tree(uint32_t choice, const uint32_t *chosen) {
    uint32_t sum = choice;
    for (uint32_t i = 0; i < choice; i++) sum += chosen[i] * (i + 1);
    return 2 + sum % 3;
}

/* Leaves below, of at most DFS_TURNS turns: the slow way. */
static unsigned leaves(const tree *t, uint32_t at, uint32_t *chosen, unsigned turns) {
    if (at == t->choices) return 1;
    unsigned n = 0;
    uint32_t width = t->width(at, chosen);
    for (chosen[at] = 0; chosen[at] < width; chosen[at]++)
        if (!chosen[at] || turns < DFS_TURNS) n += leaves(t, at + 1, chosen, turns + (chosen[at] != 0));
    return n;
}
static void enumerated(const tree *t) {
    enum { MOST = 4000 };
    static uint32_t all[MOST][16];
    uint32_t chosen[16];
    unsigned n = 0, expected = leaves(t, 0, chosen, 0);
    explorer e;
    CHECK_EQ(weft__explore_begin(&e, WEFT_EXPLORE_DFS, 0, 0, ""), WEFT_OK);
    CHECK(weft__explore_reserve(&e));
    do {
        CHECK(n < MOST);
        weft__explore_restart(&e, WEFT_EXPLORE_DFS, 0, 0);
        for (uint32_t i = 0; i < t->choices; i++) {
            uint32_t width = t->width(i, all[n]);
            all[n][i] = weft__explore_choose(&e, names, width, EXPLORE_NEXT);
            CHECK(all[n][i] < width);
        }
        CHECK(!e.diverged);
        CHECK(e.made.n <= DFS_TURNS);
        for (unsigned k = 0; k < n; k++) CHECK(memcmp(all[k], all[n], t->choices * sizeof(uint32_t)) != 0);
        n++;
    } while (weft__explore_next(&e));
    CHECK_EQ(n, expected);
    weft__explore_end(&e);
}
TEST(depth_first_makes_each_schedule_once) {
    for (uint32_t choices = 0; choices <= 12; choices++) {
        enumerated(&(tree){choices, even_tree});
        enumerated(&(tree){choices, odd_tree});
    }
    /* by hand, three alternatives each: none, one of two at one of n, and pairs */
    uint32_t chosen[16];
    CHECK_EQ(leaves(&(tree){12, even_tree}, 0, chosen, 0), 1 + 12 * 2 + 66 * 4);
}
TEST(depth_first_forgets_choices_beyond_its_bound) {
    explorer e;
    CHECK_EQ(weft__explore_begin(&e, WEFT_EXPLORE_DFS, 0, 0, ""), WEFT_OK);
    for (uint32_t i = 0; i < DFS_CHOICES + 100; i++) CHECK_EQ(weft__explore_choose(&e, names, 2, EXPLORE_NEXT), 0);
    CHECK_EQ(e.n_widths, DFS_CHOICES);
    CHECK(weft__explore_next(&e));
    CHECK_EQ(e.given.n, 1);
    CHECK_EQ(e.given.turns[0].at, DFS_CHOICES - 1);
    weft__explore_end(&e);
}

TEST(nothing_is_left) {
    uint64_t live = weft__heap_live();
    explorer e;
    CHECK_EQ(weft__explore_begin(&e, WEFT_EXPLORE_REPLAY, 0, 0, "1:1;2"), WEFT_OK);
    weft__explore_choose(&e, names, 2, EXPLORE_NEXT);
    weft__explore_choose(&e, names, 2, EXPLORE_NEXT);
    CHECK(weft__explore_reserve(&e));
    weft__explore_end(&e);
    CHECK_EQ(weft__heap_live(), live);
    CHECK_EQ(weft__explore_begin(&e, WEFT_EXPLORE_REPLAY, 0, 0, "1:1;"), WEFT_E_INVALID);
    weft__explore_end(&e);
    CHECK_EQ(weft__heap_live(), live);
}

TEST_MAIN
