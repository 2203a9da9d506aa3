/* Causes: shapes of trees, their bounds, texts, counts; exits in one word and combined; without memory.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/heap.h"
#include "sched/cause.h"
#include "sched/exit.h"
#include "sched/thread.h"
#include <pthread.h>
#include <sys/mman.h>
#include <weft/fiber.h>

enum { MY_ERROR = 300 };
static const weft_exit ok;

static const weft_cause *fail(int code, const char *text) {
    return weft__cause_leaf(WEFT_CAUSE_FAIL, code, text, "a.c", code - 288);
}
static const weft_cause *interrupt(void) { return weft__cause_interrupt(12, "main", "shutting down", "x.c", 5); }
static weft_exit failed(int code, const weft_cause *c) { return (weft_exit){WEFT_EXIT_FAIL, code, c}; }
static weft_exit interrupted(const weft_cause *c) { return (weft_exit){WEFT_EXIT_INTERRUPT, 0, c}; }

#define CHECK_TEXT(got, expected)                                                          \
    do {                                                                                   \
        const char *got_ = (got), *expected_ = (expected);                                 \
        if (strcmp(got_, expected_) != 0) {                                                \
            fprintf(stderr, "%s:%d: got\n%s\nexpected\n%s\n", __FILE__, __LINE__, got_, expected_); \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

static char text[16384];
static char *line_of(weft_exit e) { return weft_exit_format(e, text, sizeof text); }
static char *tree_of(weft_exit e) { return weft_exit_render(e, text, sizeof text); }

/* Every test leaves the heap as it found it. */
#define LEAKS_NOTHING(name)                                                                \
    static void name##_body(void);                                                         \
    TEST(name) {                                                                           \
        uint64_t live = weft__heap_live();                                                 \
        name##_body();                                                                     \
        CHECK_EQ(weft__heap_live(), live);                                                 \
    }                                                                                      \
    static void name##_body(void)

/* ---- leaves ------------------------------------------------------------------------------------------- */

LEAKS_NOTHING(a_leaf_keeps_what_it_was_made_of) {
    char reason[] = "no route";
    const weft_cause *c = weft__cause_leaf(WEFT_CAUSE_DIE, 7, reason, "a.c", 12);
    memset(reason, 'x', 8);
    CHECK_EQ(c->kind, WEFT_CAUSE_DIE);
    CHECK_EQ(c->code, 7);
    CHECK_EQ(c->line, 12);
    CHECK_EQ(c->nodes, 1);
    CHECK_EQ(c->dropped, 0);
    CHECK(!c->first && !c->second && c->bytes);
    CHECK_TEXT(c->text, "no route");
    CHECK_TEXT(c->file, "a.c");
    weft__cause_drop(c);
}

LEAKS_NOTHING(an_interrupt_keeps_who_asked_and_why) {
    char name[] = "main", reason[] = "shutting down";
    const weft_cause *c = weft__cause_interrupt(12, name, reason, "x.c", 5);
    memset(name, 'x', 4), memset(reason, 'x', 8);
    CHECK_EQ(c->who, 12);
    CHECK_TEXT(c->who_name, "main");
    CHECK_TEXT(c->text, "shutting down");
    weft__cause_drop(c);
    c = weft__cause_interrupt(0, NULL, NULL, "x.c", 5);
    CHECK(!c->who_name && !*c->text);
    weft__cause_drop(c);
}

LEAKS_NOTHING(long_texts_and_names_are_cut_between_characters) {
    char longest[600];
    for (size_t n = 0; n < sizeof longest; n++) {
        memset(longest, 'a', n);
        longest[n] = 0;
        const weft_cause *c = weft__cause_interrupt(1, longest, longest, "x.c", 5);
        CHECK_EQ(strlen(c->text), n < WEFT_CAUSE_TEXT_MAX ? n : WEFT_CAUSE_TEXT_MAX);
        CHECK_EQ(strlen(c->who_name), n < WEFT_CAUSE_NAME_MAX ? n : WEFT_CAUSE_NAME_MAX);
        weft__cause_drop(c);
    }
    memset(longest, 'a', WEFT_CAUSE_TEXT_MAX - 2);
    strcpy(longest + WEFT_CAUSE_TEXT_MAX - 2, "\xe2\x82\xac"); /* a euro sign, of which two bytes would fit */
    const weft_cause *c = fail(MY_ERROR, longest);
    CHECK_EQ(strlen(c->text), WEFT_CAUSE_TEXT_MAX - 2);
    weft__cause_drop(c);
}

/* ---- combining ---------------------------------------------------------------------------------------- */

LEAKS_NOTHING(an_absent_part_leaves_the_other_alone) {
    const weft_cause *c = fail(MY_ERROR, "no route");
    CHECK(weft__cause_both(c, NULL) == c);
    CHECK(weft__cause_both(NULL, c) == c);
    CHECK(weft__cause_then(c, NULL) == c);
    CHECK(weft__cause_then(NULL, c) == c);
    CHECK(!weft__cause_both(NULL, NULL));
    CHECK(!weft__cause_then(NULL, NULL));
    CHECK(!weft__cause_note(NULL, "of nothing", "a.c", 1));
    weft__cause_drop(c);
    weft__cause_drop(NULL);
    CHECK(!weft__cause_keep(NULL));
}

LEAKS_NOTHING(a_tree_has_its_parts_and_counts_its_nodes) {
    const weft_cause *a = fail(MY_ERROR, "a"), *b = fail(MY_ERROR + 1, "b"), *i = interrupt();
    const weft_cause *then = weft__cause_then(a, b), *both = weft__cause_both(then, i);
    const weft_cause *note = weft__cause_note(both, "n", "a.c", 38);
    CHECK_EQ(note->kind, WEFT_CAUSE_NOTE);
    CHECK(note->first == both && !note->second);
    CHECK(both->kind == WEFT_CAUSE_BOTH && both->first == then && both->second == i);
    CHECK(then->kind == WEFT_CAUSE_THEN && then->first == a && then->second == b);
    CHECK(*then->text == 0 && *both->text == 0);
    CHECK_EQ(then->nodes, 3);
    CHECK_EQ(both->nodes, 5);
    CHECK_EQ(note->nodes, 6);
    CHECK_EQ(weft__cause_leaves(note), 3);
    weft__cause_drop(note);
}

LEAKS_NOTHING(a_tree_knows_which_kinds_it_has) {
    const weft_cause *c = weft__cause_note(weft__cause_both(fail(MY_ERROR, "a"), interrupt()), "n", "a.c", 38);
    CHECK(weft_cause_has(c, WEFT_CAUSE_FAIL));
    CHECK(weft_cause_has(c, WEFT_CAUSE_INTERRUPT));
    CHECK(weft_cause_has(c, WEFT_CAUSE_BOTH));
    CHECK(weft_cause_has(c, WEFT_CAUSE_NOTE));
    CHECK(!weft_cause_has(c, WEFT_CAUSE_DIE));
    CHECK(!weft_cause_has(c, WEFT_CAUSE_THEN));
    CHECK(!weft_cause_has(NULL, WEFT_CAUSE_FAIL));
    weft__cause_drop(c);
}

/* ---- the bound ---------------------------------------------------------------------------------------- */

/* Equations that hold for each node, and each is visited as often as it should. */
static void check_node(const weft_cause *c) {
    unsigned parts = (c->first ? c->first->nodes : 0u) + (c->second ? c->second->nodes : 0u);
    uint32_t dropped = (c->first ? c->first->dropped : 0u) + (c->second ? c->second->dropped : 0u);
    CHECK_EQ(c->nodes, 1 + parts);
    CHECK(c->nodes <= WEFT_CAUSE_NODES_MAX);
    CHECK(c->dropped >= dropped);
    CHECK_EQ(c->first != NULL, !cause_is_leaf(c));
    CHECK_EQ(c->second != NULL, c->kind == WEFT_CAUSE_BOTH || c->kind == WEFT_CAUSE_THEN);
}

static void check_tree(const weft_cause *c) {
    cause_walk w;
    cause_visit v;
    unsigned at = 0, after = 0, joined = 0, twice = 0;
    for (weft__cause_walk(&w, c); weft__cause_next(&w, &v);) {
        check_node(v.cause);
        CHECK(v.depth < WEFT_CAUSE_NODES_MAX / 2);
        at += v.kind == CAUSE_AT, after += v.kind == CAUSE_AFTER, joined += v.kind == CAUSE_JOINED;
        twice += v.kind == CAUSE_AT && (v.cause->kind == WEFT_CAUSE_THEN || v.cause->kind == WEFT_CAUSE_NOTE);
    }
    CHECK_EQ(at + joined, c->nodes);
    CHECK_EQ(after, twice);
    CHECK(strlen(tree_of(failed(MY_ERROR, c))) < sizeof text - 1);
}

/* A BOTH of n leaves, built as siblings end, one after the other. */
static const weft_cause *siblings(int n) {
    const weft_cause *c = NULL;
    for (int i = 0; i < n; i++) c = weft__cause_both(c, fail(MY_ERROR + i, "x"));
    return c;
}

LEAKS_NOTHING(a_full_tree_drops_and_counts_the_newer_parts) {
    enum { FULL = WEFT_CAUSE_NODES_MAX / 2 };
    for (int n = 1; n <= 3 * FULL; n++) {
        const weft_cause *c = siblings(n);
        CHECK_EQ(weft__cause_leaves(c), n < FULL ? n : FULL);
        CHECK_EQ(c->dropped, n < FULL ? 0 : n - FULL);
        CHECK_EQ(c->nodes, 2 * weft__cause_leaves(c) - 1);
        weft__cause_drop(c);
    }
}

LEAKS_NOTHING(a_tree_that_just_fits_is_whole) {
    const weft_cause *c = weft__cause_both(siblings(31), weft__cause_note(fail(MY_ERROR, "last"), "n", "a.c", 1));
    CHECK_EQ(c->nodes, WEFT_CAUSE_NODES_MAX);
    CHECK_EQ(c->dropped, 0);
    check_tree(c);
    weft__cause_drop(c);
}

LEAKS_NOTHING(what_a_dropped_part_had_dropped_counts_too) {
    const weft_cause *a = siblings(40), *b = siblings(50); /* 32 + 8, 32 + 18 */
    const weft_cause *c = weft__cause_then(a, b);
    CHECK_EQ(c->kind, WEFT_CAUSE_BOTH);
    CHECK_EQ(c->dropped, 8 + 50);
    CHECK_EQ(weft__cause_leaves(c), 32);
    c = weft__cause_both(fail(MY_ERROR, "first"), c); /* a leaf, too, can have lost something */
    CHECK_EQ(c->kind, WEFT_CAUSE_FAIL);
    CHECK_EQ(c->dropped, 90);
    CHECK_TEXT(line_of(failed(MY_ERROR, c)), "failed (code 300) at a.c:12: first (and 90 more)");
    CHECK_TEXT(tree_of(failed(MY_ERROR, c)), "failed (code 300) at a.c:12: first\n(and 90 more, left out)");
    weft__cause_drop(c);
}

LEAKS_NOTHING(a_shared_tree_is_copied_at_the_root_before_it_counts) {
    const weft_cause *full = siblings(32), *left = weft__cause_keep(full)->first;
    const weft_cause *c = weft__cause_both(full, fail(MY_ERROR, "too many"));
    CHECK(c != full && c->first == left);
    CHECK_EQ(c->dropped, 1);
    CHECK_EQ(full->dropped, 0);
    weft__cause_drop(full);
    CHECK_EQ(weft__cause_leaves(c), 32);
    weft__cause_drop(c);
}

LEAKS_NOTHING(a_copied_node_has_texts_of_its_own) {
    const weft_cause *old = interrupt();
    const weft_cause *c = weft__cause_both(weft__cause_keep(old), siblings(32));
    CHECK(c != old);
    weft__cause_drop(old);
    CHECK_TEXT(c->text, "shutting down");
    CHECK_TEXT(c->who_name, "main");
    CHECK_TEXT(line_of(interrupted(c)), "interrupted by fiber 12 'main' at x.c:5: shutting down (and 32 more)");
    weft__cause_drop(c);
}

LEAKS_NOTHING(notes_stop_at_the_bound) {
    const weft_cause *c = fail(MY_ERROR, "a");
    for (int i = 0; i < 200; i++) c = weft__cause_note(c, "n", "a.c", i);
    CHECK_EQ(c->nodes, WEFT_CAUSE_NODES_MAX);
    CHECK_EQ(c->line, WEFT_CAUSE_NODES_MAX - 2);
    CHECK_EQ(c->dropped, 0);
    size_t lines = 1;
    for (const char *p = tree_of(failed(MY_ERROR, c)); *p; p++) lines += *p == '\n';
    CHECK_EQ(lines, WEFT_CAUSE_NODES_MAX);
    weft__cause_drop(c);
}

/* A stream of numbers that is the same in each run. */
static uint64_t seed = 88172645463325252u;
static unsigned any(unsigned n) {
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (unsigned)(seed % n);
}

static void grow(const weft_cause **a, const weft_cause **b) {
    switch (any(6)) {
    case 0: *a = weft__cause_both(*a, fail(MY_ERROR, "f")); break;
    case 1: *a = weft__cause_then(interrupt(), *a); break;
    case 2: *a = weft__cause_note(*a, "n", "a.c", 1); break;
    case 3: *a = weft__cause_both(*a, weft__cause_keep(*b)); break;
    case 4: *a = weft__cause_then(weft__cause_keep(*b), *a); break;
    default: weft__cause_drop(*a); *a = fail(MY_ERROR, "again"); break;
    }
}

LEAKS_NOTHING(random_trees_keep_their_equations) {
    enum { TREES = 6 };
    const weft_cause *t[TREES] = {NULL};
    for (int i = 0; i < 20000; i++) {
        const weft_cause **a = &t[any(TREES)], **b = &t[any(TREES)];
        grow(a, b);
        if (*a) check_tree(*a);
    }
    for (int i = 0; i < TREES; i++) weft__cause_drop(t[i]);
}

/* ---- the count ---------------------------------------------------------------------------------------- */

TEST(the_last_reference_frees_and_no_earlier_one) {
    uint64_t live = weft__heap_live();
    const weft_cause *a = fail(MY_ERROR, "a"), *tree = weft__cause_both(a, interrupt());
    uint64_t full = weft__heap_live();
    CHECK(weft__cause_keep(tree) == tree);
    weft__cause_drop(tree);
    CHECK_EQ(weft__heap_live(), full);
    weft__cause_keep(a);
    weft__cause_drop(tree);
    CHECK(weft__heap_live() > live && weft__heap_live() < full);
    CHECK_TEXT(a->text, "a");
    weft__cause_drop(a);
    CHECK_EQ(weft__heap_live(), live);
}

static void *keep_and_drop(void *tree) {
    char mine[512];
    for (int i = 0; i < 20000; i++) {
        const weft_cause *c = weft__cause_both(weft__cause_keep(tree), fail(MY_ERROR, "mine"));
        weft__cause_drop(weft__cause_note(weft__cause_keep(c), "n", "a.c", i));
        CHECK_EQ(weft__cause_leaves(c), 3);
        if (i % 1000 == 0) weft_exit_format(failed(MY_ERROR, c), mine, sizeof mine);
        weft__cause_drop(c);
    }
    weft__cause_drop(tree);
    return NULL;
}

LEAKS_NOTHING(threads_share_a_tree) {
    enum { THREADS = 4 };
    pthread_t thread[THREADS];
    const weft_cause *tree = weft__cause_both(fail(MY_ERROR, "shared"), interrupt());
    for (int i = 0; i < THREADS; i++) {
        weft__cause_keep(tree);
        CHECK_EQ(pthread_create(&thread[i], NULL, keep_and_drop, (void *)(uintptr_t)tree), 0);
    }
    weft__cause_drop(tree); /* who comes last frees it */
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
}

/* A tree that was shared until just now is written where it is: the former owner's reads come before. */
static void *read_and_drop(void *tree) {
    CHECK_EQ(((const weft_cause *)tree)->dropped, 0);
    weft__cause_drop(tree);
    return NULL;
}
LEAKS_NOTHING(a_tree_is_written_only_after_others_have_let_go) {
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        const weft_cause *full = weft__cause_keep(siblings(32)), *extra = fail(MY_ERROR, "too many");
        CHECK_EQ(pthread_create(&thread, NULL, read_and_drop, (void *)(uintptr_t)full), 0);
        const weft_cause *c = weft__cause_both(full, extra);
        CHECK_EQ(c->dropped, 1);
        pthread_join(thread, NULL);
        weft__cause_drop(c);
    }
}

LEAKS_NOTHING(a_static_cause_is_never_written) {
    static const weft_cause made = WEFT__CAUSE_AT(WEFT_CAUSE_FAIL, "static", "s.c", 3);
    weft_cause *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    *page = made;
    CHECK_EQ(mprotect(page, 4096, PROT_READ), 0);
    CHECK(weft__cause_keep(page) == page);
    weft__cause_drop(page);
    weft__cause_drop(page);
    const weft_cause *c = weft__cause_then(weft__cause_both(page, page), page);
    CHECK(c->first->first == page && c->second == page);
    weft__cause_drop(weft__cause_note(c, "n", "a.c", 1));
    c = weft__cause_both(page, siblings(32)); /* counted in a copy */
    CHECK(c != page && c->dropped == 32 && c->bytes && c->text == page->text);
    weft__cause_drop(c);
    c = weft__cause_with_code(page, 5);
    CHECK(c != page && c->code == 5 && page->code == 0);
    weft__cause_drop(c);
    weft_exit e = weft__exit_note(failed(MY_ERROR, page), "n", "a.c", 1);
    CHECK_TEXT(tree_of(e), "failed (code 300) at s.c:3: static\nnote at a.c:1: n");
    weft__cause_drop(e.cause);
    munmap(page, 4096);
}

/* ---- one word ----------------------------------------------------------------------------------------- */

LEAKS_NOTHING(a_packed_exit_comes_back_whole) {
    static const weft_cause made = WEFT__CAUSE_STATIC(WEFT_CAUSE_FAIL, "static");
    const weft_cause *causes[] = {NULL, &made, fail(MY_ERROR, "a")};
    const int32_t codes[] = {0, 1, 255, 256, 0x7fff, 0x8000, WEFT_CODE_MAX};
    for (uint32_t tag = WEFT_EXIT_FAIL; tag <= WEFT_EXIT_INTERRUPT; tag++)
        for (size_t c = 0; c < 3; c++)
            for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
                uint64_t word = exit_pack((weft_exit){tag, codes[i], causes[c]});
                CHECK(word != 0);
                weft_exit e = exit_unpack(word);
                CHECK_EQ(e.tag, tag);
                CHECK_EQ(e.code, codes[i]);
                CHECK(e.cause == causes[c]);
            }
    weft__cause_drop(causes[2]);
    CHECK_EQ(exit_pack(ok), 0);
    CHECK(weft_ok(exit_unpack(0)) && exit_unpack(0).code == 0 && !exit_unpack(0).cause);
}

TEST(an_exit_is_two_registers_and_a_cause_one_line) {
    CHECK_EQ(sizeof(weft_exit), 16);
    CHECK_EQ(sizeof(weft_cause), 64);
}

/* ---- two exits ---------------------------------------------------------------------------------------- */

static void check_exit(weft_exit e, uint32_t tag, int code, const char *expected) {
    CHECK_EQ(e.tag, tag);
    CHECK_EQ(e.code, code);
    CHECK_TEXT(tree_of(e), expected);
    weft__cause_drop(e.cause);
}

LEAKS_NOTHING(a_success_is_absent) {
    const char *expected = "failed (code 300) at a.c:12: a";
    CHECK(weft_ok(weft__exit_both(ok, ok)) && weft_ok(weft__exit_then(ok, ok)));
    CHECK(weft_ok(weft__exit_note(ok, "n", "a.c", 1)));
    check_exit(weft__exit_both(ok, failed(300, fail(300, "a"))), WEFT_EXIT_FAIL, 300, expected);
    check_exit(weft__exit_both(failed(300, fail(300, "a")), ok), WEFT_EXIT_FAIL, 300, expected);
    check_exit(weft__exit_then(ok, failed(300, fail(300, "a"))), WEFT_EXIT_FAIL, 300, expected);
    check_exit(weft__exit_then(failed(300, fail(300, "a")), ok), WEFT_EXIT_FAIL, 300, expected);
}

LEAKS_NOTHING(the_first_failure_gives_tag_and_code) {
    check_exit(weft__exit_both(failed(300, fail(300, "a")), failed(301, fail(301, "b"))), WEFT_EXIT_FAIL, 300,
               "both:\n  failed (code 300) at a.c:12: a\n  failed (code 301) at a.c:13: b");
    check_exit(weft__exit_then(failed(300, fail(300, "a")), failed(301, fail(301, "b"))), WEFT_EXIT_FAIL, 300,
               "failed (code 300) at a.c:12: a\nthen:\n  failed (code 301) at a.c:13: b");
    weft_exit died = {WEFT_EXIT_DIE, 9, weft__cause_leaf(WEFT_CAUSE_DIE, 300, "d", "d.c", 1)};
    check_exit(weft__exit_both(failed(300, fail(300, "a")), died), WEFT_EXIT_FAIL, 300,
               "both:\n  failed (code 300) at a.c:12: a\n  died (code 300) at d.c:1: d");
}

#define BY_MAIN "interrupted by fiber 12 'main' at x.c:5: shutting down"

LEAKS_NOTHING(an_interrupt_does_not_mask_a_sibling) {
    weft_exit e = weft__exit_both(interrupted(interrupt()), failed(300, fail(300, "a")));
    CHECK(!weft_exit_interrupted(e));
    CHECK_TEXT(line_of(e), "failed (code 300) at a.c:12: a (and 1 more)");
    check_exit(e, WEFT_EXIT_FAIL, 300, "both:\n  " BY_MAIN "\n  failed (code 300) at a.c:12: a");
    e = weft__exit_both(failed(300, fail(300, "a")), interrupted(interrupt()));
    check_exit(e, WEFT_EXIT_FAIL, 300, "both:\n  failed (code 300) at a.c:12: a\n  " BY_MAIN);
    weft_exit died = {WEFT_EXIT_DIE, 300, weft__cause_leaf(WEFT_CAUSE_DIE, 300, "d", "d.c", 1)};
    e = weft__exit_both(interrupted(interrupt()), died);
    check_exit(e, WEFT_EXIT_DIE, 300, "both:\n  " BY_MAIN "\n  died (code 300) at d.c:1: d");
    e = weft__exit_both(interrupted(interrupt()), interrupted(interrupt()));
    CHECK(weft_exit_interrupted(e));
    check_exit(e, WEFT_EXIT_INTERRUPT, 0, "both:\n  " BY_MAIN "\n  " BY_MAIN);
}

LEAKS_NOTHING(a_later_error_does_not_replace_an_interrupt) {
    weft_exit e = weft__exit_then(interrupted(interrupt()), failed(300, fail(300, "a")));
    CHECK(weft_exit_interrupted(e));
    check_exit(e, WEFT_EXIT_INTERRUPT, 0, BY_MAIN "\nthen:\n  failed (code 300) at a.c:12: a");
}

LEAKS_NOTHING(a_failure_outlives_a_tree_full_of_interrupts) {
    weft_exit e = ok;
    for (int i = 0; i < 50; i++) e = weft__exit_both(e, interrupted(interrupt()));
    CHECK(weft_exit_interrupted(e));
    e = weft__exit_both(e, failed(300, fail(300, "a")));
    CHECK_TEXT(line_of(e), "failed (code 300) at a.c:12: a (and 50 more)");
    check_exit(e, WEFT_EXIT_FAIL, 300, "failed (code 300) at a.c:12: a\n(and 50 more, left out)");
}

LEAKS_NOTHING(the_code_of_an_exit_is_its_leads_alone) {
    static const weft_cause one = WEFT__CAUSE_AT(WEFT_CAUSE_FAIL, "one", "s.c", 1);
    static const weft_cause two = WEFT__CAUSE_AT(WEFT_CAUSE_FAIL, "two", "s.c", 2);
    check_exit(failed(300, weft__cause_both(&one, &two)), WEFT_EXIT_FAIL, 300,
               "both:\n  failed (code 300) at s.c:1: one\n  failed at s.c:2: two");
}

LEAKS_NOTHING(codes_of_static_causes_come_into_the_tree) {
    static const weft_cause one = WEFT__CAUSE_AT(WEFT_CAUSE_FAIL, "one", "s.c", 1);
    static const weft_cause two = WEFT__CAUSE_AT(WEFT_CAUSE_DIE, "two", "s.c", 2);
    weft_exit e = weft__exit_both(failed(300, &one), (weft_exit){WEFT_EXIT_DIE, 301, &two});
    e = weft__exit_then(e, failed(302, NULL));
    e = weft__exit_then(e, interrupted(NULL));
    check_exit(e, WEFT_EXIT_FAIL, 300,
               "both:\n  failed (code 300) at s.c:1: one\n  died (code 301) at s.c:2: two\n"
               "then:\n  failed (code 302)\nthen:\n  interrupted");
}

/* ---- texts -------------------------------------------------------------------------------------------- */

LEAKS_NOTHING(one_line_says_what_where_and_why) {
    static const weft_cause made = WEFT__CAUSE_AT(WEFT_CAUSE_FAIL, "no such thing", "s.c", 3);
    char expected[300];
    CHECK_TEXT(line_of(ok), "ok");
    CHECK_TEXT(line_of(failed(300, &made)), "failed (code 300) at s.c:3: no such thing");
    CHECK_TEXT(line_of(failed(300, NULL)), "failed (code 300)");
    CHECK_TEXT(line_of((weft_exit){WEFT_EXIT_DIE, 65535, NULL}), "died (code 65535)");
    CHECK_TEXT(line_of((weft_exit){WEFT_EXIT_INTERRUPT, 0, NULL}), "interrupted");
    CHECK_TEXT(line_of((weft_exit){77, -5, NULL}), "unknown exit (code -5)");
    snprintf(expected, sizeof expected, "failed (code 3) at s.c:3: no such thing; %s", weft_err_text(WEFT_E_NOMEM));
    CHECK_TEXT(line_of(failed(WEFT_E_NOMEM, &made)), expected);
    snprintf(expected, sizeof expected, "failed (code 3): %s", weft_err_text(WEFT_E_NOMEM));
    CHECK_TEXT(line_of(failed(WEFT_E_NOMEM, NULL)), expected);
    CHECK_TEXT(tree_of(failed(WEFT_E_NOMEM, NULL)), expected);
    CHECK_TEXT(tree_of(ok), "ok");
}

static void check_interrupt(uint64_t who, const char *name, const char *reason, const char *expected) {
    const weft_cause *c = weft__cause_interrupt(who, name, reason, "x.c", 5);
    CHECK_TEXT(line_of(interrupted(c)), expected);
    CHECK_TEXT(tree_of(interrupted(c)), expected);
    weft__cause_drop(c);
}

LEAKS_NOTHING(an_interrupt_says_who_and_why) {
    check_interrupt(12, "main", "shutting down", "interrupted by fiber 12 'main' at x.c:5: shutting down");
    check_interrupt(12, NULL, "shutting down", "interrupted by fiber 12 at x.c:5: shutting down");
    check_interrupt(0, "deadline", NULL, "interrupted by 'deadline' at x.c:5");
    check_interrupt(0, NULL, "bye", "interrupted from outside at x.c:5: bye");
    check_interrupt(UINT64_MAX, "", "", "interrupted by fiber 18446744073709551615 '' at x.c:5");
}

LEAKS_NOTHING(a_tree_on_one_line_is_its_lead_and_a_number) {
    const weft_cause *c = weft__cause_then(interrupt(), fail(301, "b"));
    c = weft__cause_note(weft__cause_both(c, fail(300, "a")), "n", "a.c", 1);
    CHECK_TEXT(line_of(failed(300, c)), "failed (code 300) at a.c:12: a (and 2 more)");
    CHECK_TEXT(line_of(failed(301, c)), "failed (code 301) at a.c:13: b (and 2 more)");
    CHECK_TEXT(line_of(interrupted(c)), BY_MAIN " (and 2 more)");
    CHECK_TEXT(line_of((weft_exit){WEFT_EXIT_DIE, 1, c}), BY_MAIN " (and 2 more)"); /* none fits: the first */
    weft__cause_drop(c);
    c = weft__cause_note(fail(300, "a"), "n", "a.c", 1);
    CHECK_TEXT(line_of(failed(300, c)), "failed (code 300) at a.c:12: a");
    weft__cause_drop(c);
}

/* The example at the head of weft/exit.h. */
static weft_exit documented(void) {
    weft_exit a = failed(300, weft__cause_leaf(WEFT_CAUSE_FAIL, 300, "no route", "net.c", 12));
    weft_exit b = interrupted(weft__cause_interrupt(12, "main", "shutting down", "main.c", 40));
    b = weft__exit_then(b, failed(301, weft__cause_leaf(WEFT_CAUSE_FAIL, 301, "disk full", "file.c", 9)));
    return weft__exit_note(weft__exit_both(a, b), "while loading the table", "main.c", 38);
}
#define DOCUMENTED                                                                         \
    "both:\n"                                                                              \
    "  failed (code 300) at net.c:12: no route\n"                                          \
    "  interrupted by fiber 12 'main' at main.c:40: shutting down\n"                       \
    "  then:\n"                                                                            \
    "    failed (code 301) at file.c:9: disk full\n"                                       \
    "note at main.c:38: while loading the table"

LEAKS_NOTHING(a_tree_is_indented) { check_exit(documented(), WEFT_EXIT_FAIL, 300, DOCUMENTED); }

LEAKS_NOTHING(nested_boths_are_one_list) {
    const weft_cause *left = siblings(3), *right = weft__cause_both(fail(303, "x"), siblings(2));
    check_exit(failed(300, weft__cause_both(left, right)), WEFT_EXIT_FAIL, 300,
               "all of:\n  failed (code 300) at a.c:12: x\n  failed (code 301) at a.c:13: x\n"
               "  failed (code 302) at a.c:14: x\n  failed (code 303) at a.c:15: x\n"
               "  failed (code 300) at a.c:12: x\n  failed (code 301) at a.c:13: x");
}

LEAKS_NOTHING(a_chain_of_thens_reads_downwards) {
    const weft_cause *c = weft__cause_then(weft__cause_then(fail(300, "a"), fail(301, "b")), fail(302, "c"));
    check_exit(failed(300, c), WEFT_EXIT_FAIL, 300,
               "failed (code 300) at a.c:12: a\nthen:\n  failed (code 301) at a.c:13: b\nthen:\n"
               "  failed (code 302) at a.c:14: c");
    c = weft__cause_then(fail(300, "a"), weft__cause_then(fail(301, "b"), fail(302, "c")));
    check_exit(failed(300, c), WEFT_EXIT_FAIL, 300,
               "failed (code 300) at a.c:12: a\nthen:\n  failed (code 301) at a.c:13: b\n  then:\n"
               "    failed (code 302) at a.c:14: c");
    c = weft__cause_then(fail(300, "a"), weft__cause_both(fail(301, "b"), fail(302, "c")));
    check_exit(failed(300, c), WEFT_EXIT_FAIL, 300,
               "failed (code 300) at a.c:12: a\nthen:\n  both:\n    failed (code 301) at a.c:13: b\n"
               "    failed (code 302) at a.c:14: c");
}

LEAKS_NOTHING(a_note_stands_below_what_it_is_about) {
    const weft_cause *c = weft__cause_note(fail(300, "a"), "first", NULL, 0);
    c = weft__cause_both(weft__cause_note(c, "second", "n.c", 2), fail(301, "b"));
    check_exit(failed(300, c), WEFT_EXIT_FAIL, 300,
               "both:\n  failed (code 300) at a.c:12: a\n  note: first\n  note at n.c:2: second\n"
               "  failed (code 301) at a.c:13: b");
}

LEAKS_NOTHING(a_text_of_several_lines_stays_on_its_own) {
    const weft_cause *c = fail(300, "one\n\ttwo");
    CHECK_TEXT(line_of(failed(300, c)), "failed (code 300) at a.c:12: one  two");
    weft__cause_drop(c);
}

static void check_cuts(char *(*print)(weft_exit, char *, size_t), weft_exit e) {
    char whole[1024];
    print(e, whole, sizeof whole);
    size_t n = strlen(whole);
    for (size_t bytes = 0; bytes <= n + 2; bytes++) {
        char *cut = malloc(bytes + 1); /* exact, for AddressSanitizer */
        memset(cut, '#', bytes + 1);
        CHECK(print(e, cut, bytes) == cut);
        CHECK_EQ(cut[bytes], '#');
        if (bytes) {
            CHECK_EQ(strlen(cut), bytes - 1 < n ? bytes - 1 : n);
            CHECK(strncmp(cut, whole, strlen(cut)) == 0);
        }
        free(cut);
    }
}

LEAKS_NOTHING(a_cut_text_is_terminated_and_the_beginning_of_the_whole) {
    weft_exit e = documented(), full = failed(300, weft__cause_both(fail(300, "a"), siblings(32)));
    const weft_exit each[] = {ok, failed(3, NULL), e, full, interrupted(e.cause)};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        check_cuts(weft_exit_format, each[i]);
        check_cuts(weft_exit_render, each[i]);
    }
    weft__cause_drop(e.cause);
    weft__cause_drop(full.cause);
}

/* ---- failing ------------------------------------------------------------------------------------------ */

TEST(failing_on_a_plain_thread_only_makes_the_exit) {
    uint64_t live = weft__heap_live();
    weft_exit e = weft_fail(MY_ERROR, "no such thing");
    CHECK(e.tag == WEFT_EXIT_FAIL && e.code == MY_ERROR && e.cause->line == __LINE__ - 1 && !e.cause->bytes);
    e = weft_die(MY_ERROR, "a rule");
    CHECK(e.tag == WEFT_EXIT_DIE && e.code == MY_ERROR && e.cause->kind == WEFT_CAUSE_DIE);
    e = weft_failf(MY_ERROR, "%d %s", 7, "x"); /* nobody would own a copy */
    CHECK(e.tag == WEFT_EXIT_FAIL && e.cause->line == __LINE__ - 1 && !e.cause->bytes);
    CHECK_TEXT(e.cause->text, "%d %s");
    CHECK_TEXT(weft_failf(MY_ERROR, "alone").cause->text, "alone");
    CHECK_EQ(weft_die(0, "").code, WEFT_E_INVALID);
    CHECK_EQ(weft_failf(WEFT_CODE_MAX + 1, "x").code, WEFT_E_INVALID);
    CHECK_EQ(weft__heap_live(), live);
}

/* Takes what the running fiber recorded, so that it ends well, and checks that nothing else was allocated. */
static void check_recorded(uint64_t live, uint32_t tag, const char *expected) {
    weft_exit e = thread_fiber()->exit;
    CHECK_TEXT(weft_failf(MY_ERROR + 1, "%s", "the first failure counts").cause->text, "%s");
    weft__exit_record(failed(MY_ERROR + 1, fail(MY_ERROR, "late")));
    weft__exit_record(ok);
    weft__expect(failed(MY_ERROR + 1, NULL));
    CHECK(thread_fiber()->exit.cause == e.cause);
    CHECK_EQ(e.tag, tag);
    CHECK_EQ(e.code, MY_ERROR);
    CHECK_TEXT(e.cause->text, expected);
    CHECK_EQ(weft__heap_live() - live, e.cause->bytes);
    thread_fiber()->exit = ok;
    weft__cause_drop(e.cause);
}

static long fails(int how);
WEFT_TASK(fails, long, int);
static long fails(int how) {
    char longest[WEFT_CAUSE_TEXT_MAX + 1] = {0};
    uint64_t live = weft__heap_live();
    weft_failf(MY_ERROR, "%d of %s", 7, "them");
    check_recorded(live, WEFT_EXIT_FAIL, "7 of them");
    weft_failf(MY_ERROR, "%0500d", 1);
    check_recorded(live, WEFT_EXIT_FAIL, memset(longest, '0', WEFT_CAUSE_TEXT_MAX));
    weft__exit_record((weft_exit){WEFT_EXIT_INTERRUPT, MY_ERROR, interrupt()});
    check_recorded(live, WEFT_EXIT_INTERRUPT, "shutting down");
    const weft_cause *lent = fail(MY_ERROR, "lent");
    CHECK(weft__expect(failed(MY_ERROR, lent)).cause == lent);
    weft__cause_drop(lent);
    check_recorded(live, WEFT_EXIT_FAIL, "lent");
    CHECK_EQ(weft__heap_live(), live);
    if (how) weft_die(MY_ERROR, "a rule");
    return 0;
}

static void on_a_fiber(void *arg) {
    (void)arg;
    for (int how = 0; how < 2; how++) {
        fails_fiber f;
        CHECK(weft_ok(weft_spawn(&f, fails, how)));
        weft_exit e = weft_await(f, fails, NULL);
        CHECK_EQ(e.tag, how ? WEFT_EXIT_DIE : WEFT_EXIT_OK);
        CHECK_EQ(e.code, how ? MY_ERROR : 0);
        weft_drop(f);
    }
}
TEST(the_first_failure_of_a_fiber_counts_and_owns_its_cause) {
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), on_a_fiber, NULL), WEFT_OK);
}

/* ---- without memory ----------------------------------------------------------------------------------- */

static void no_memory(void) { weft__heap_fail_at(1, 1); }
static void memory(void) { weft__heap_fail_at(0, 0); }

LEAKS_NOTHING(without_memory_a_leaf_says_so) {
    for (unsigned kind = WEFT_CAUSE_FAIL; kind <= WEFT_CAUSE_INTERRUPT; kind++) {
        no_memory();
        const weft_cause *c = weft__cause_leaf((weft_cause_kind)kind, MY_ERROR, "a", "a.c", 1);
        memory();
        CHECK(c->kind == kind && !c->bytes && strstr(c->text, "no memory"));
    }
    no_memory();
    const weft_cause *c = interrupt();
    memory();
    CHECK_TEXT(line_of(interrupted(c)), "interrupted: (no memory was left to record why)");
}

LEAKS_NOTHING(without_memory_the_first_part_stays_and_counts_the_other) {
    const weft_cause *a = fail(300, "a"), *b = siblings(3);
    no_memory();
    const weft_cause *c = weft__cause_both(a, b);
    memory();
    CHECK(c == a && c->dropped == 3);
    const weft_cause *kept = weft__cause_keep(c), *extra = fail(301, "b");
    no_memory();
    c = weft__cause_then(c, extra); /* shared: it cannot be written, nor copied */
    c = weft__cause_note(c, "n", "a.c", 1);
    memory();
    CHECK(c == kept && c->dropped == 3);
    weft__cause_drop(c);
    weft__cause_drop(kept);
}

LEAKS_NOTHING(without_memory_the_part_whose_tag_counts_stays) {
    weft_exit a = interrupted(interrupt()), b = failed(300, fail(300, "a"));
    no_memory();
    weft_exit e = weft__exit_both(a, b);
    memory();
    check_exit(e, WEFT_EXIT_FAIL, 300, "failed (code 300) at a.c:12: a\n(and 1 more, left out)");
}

LEAKS_NOTHING(without_memory_a_format_stands_for_its_text) {
    static const weft_cause made = WEFT__CAUSE_AT(WEFT_CAUSE_FAIL, "%d", "s.c", 1);
    va_list none;
    memset(&none, 0, sizeof none);
    no_memory();
    const weft_cause *c = weft__cause_format(&made, 300, "%d", none);
    memory();
    CHECK(c == &made);
}

/* Every allocation fails once. */
static weft_exit story(void) {
    static const weft_cause made = WEFT__CAUSE_AT(WEFT_CAUSE_FAIL, "static", "s.c", 1);
    weft_exit e = weft__exit_both(failed(MY_ERROR, &made), interrupted(interrupt()));
    e = weft__exit_both(e, failed(302, siblings(40)));
    weft_exit kept = {e.tag, e.code, weft__cause_keep(e.cause)};
    e = weft__exit_then(weft__exit_note(e, "n", "a.c", 1), kept);
    return weft__exit_both(interrupted(NULL), e);
}
LEAKS_NOTHING(any_single_failure_loses_a_part_and_no_memory) {
    for (int persistent = 0; persistent < 2; persistent++)
        for (uint64_t n = 1;; n++) {
            weft__heap_fail_at(n, persistent);
            weft_exit e = story();
            bool over = weft__heap_asked() < n;
            memory();
            CHECK(e.tag == WEFT_EXIT_FAIL && e.code == MY_ERROR && e.cause);
            if (e.cause->nodes > 1 || e.cause->bytes) check_tree(e.cause);
            CHECK(strncmp(line_of(e), "failed (code 300) at s.c:1: static", 34) == 0);
            weft__cause_drop(e.cause);
            if (over) break;
            CHECK(n < 1000);
        }
}

TEST_MAIN
