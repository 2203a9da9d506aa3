/* Once clauses: what becomes of the rest of the body, whoever goes on with it and how often.
 *
 * Each body runs on one worker, on two, and on the deterministic executor under a few schedules; no memory is left behind.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/once_bodies.h"

/* ---- resume --------------------------------------------------------------------------------------------- */

static weft_exit adds_after(weft_k k, const ask_op *op, void *answer, void *self) {
    long got = 0;
    weft_exit e = weft_resume(k, ask, op->x * 10, &got);
    ++*(int *)self;
    *(long *)answer = got + 1;
    return e;
}
static void resumed(void *arg) {
    int clauses = 0;
    long out = -1;
    weft_handler h = WEFT_HANDLER(&clauses, WEFT_ONESHOT(ask, adds_after));
    (void)arg;
    CHECK(weft_ok(weft_handle(&h, sums, &out, 4)));
    CHECK_EQ(clauses, 4);
    CHECK_EQ(out, 10 + 20 + 30 + 40 + 4); /* each clause adds one to what the rest said */
    clauses = 0;
    CHECK(weft_ok(weft_handle(&h, sums, &out, 0)));
    CHECK_EQ(out, 0);
    CHECK_EQ(clauses, 0);
    CHECK(weft_ok(weft_handle(&h, sums, NULL, 3)));
    CHECK_EQ(clauses, 3);
}
TEST(a_clause_that_resumes_goes_on_when_the_rest_of_the_body_has_answered) { on_clock(WEFT_CLOCK_AUTO, resumed); }

/* Deep: the resumed body is under its handler; the clause is not. */
static weft_exit outer_one(const ask_op *op, ask_reply *reply, void *self) {
    ++*(int *)self;
    *reply = op->x + 1000;
    return weft_done;
}
static weft_exit asks_outwards(weft_k k, const ask_op *op, void *answer, void *self) {
    long more = 0;
    (void)self, (void)answer;
    CHECK(weft_ok(weft_perform(ask, &more, op->x)));
    return weft_transfer(k, ask, more);
}
static void deep(void *arg) {
    int outer = 0;
    long out = 0;
    weft_handler h[] = {WEFT_HANDLER(&outer, WEFT_TAIL(ask, outer_one)), WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, asks_outwards))};
    (void)arg;
    CHECK(weft_ok(weft_handle_list(h, 2, sums, &out, 3)));
    CHECK_EQ(outer, 3);
    CHECK_EQ(out, 1001 + 1002 + 1003);
}
static weft_exit asks_outwards_in_vain(weft_k k, const ask_op *op, void *answer, void *self) {
    (void)self, (void)answer;
    weft_exit e = weft_perform(ask, NULL, op->x);
    CHECK_EQ(e.tag, WEFT_EXIT_DIE);
    CHECK_EQ(e.code, WEFT_E_UNHANDLED);
    return weft_transfer(k, ask, 1);
}
static void deep_in_vain(void *arg) {
    long out = 0;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, asks_outwards_in_vain));
    (void)arg;
    CHECK(weft_ok(weft_handle(&h, sums, &out, 3)));
    CHECK_EQ(out, 3);
}
TEST(a_resumed_body_is_under_its_handler_and_the_clause_is_not) {
    on_clock(WEFT_CLOCK_AUTO, deep_in_vain);
    on_clock(WEFT_CLOCK_AUTO, deep);
}

/* ---- transfer ------------------------------------------------------------------------------------------- */

static weft_exit doubles(weft_k k, const ask_op *op, void *answer, void *self) {
    char here;
    uintptr_t *at = self;
    (void)answer;
    if (!*at) *at = (uintptr_t)&here;
    CHECK(*at == (uintptr_t)&here); /* the stack does not grow */
    return weft_transfer(k, ask, 2 * op->x);
}
static void transferred(void *arg) {
    uintptr_t at = 0;
    long out = 0;
    weft_handler h = WEFT_HANDLER(&at, WEFT_ONESHOT(ask, doubles));
    (void)arg;
    CHECK(weft_ok(weft_handle(&h, sums, &out, 1000)));
    CHECK_EQ(out, 1000 * 1001);
}
TEST(a_transfer_replies_in_the_clauses_place) { on_clock(WEFT_CLOCK_AUTO, transferred); }

/* A body with a large result, gone on with from a clause whose answer has room for a small one. */
typedef struct large {
    long words[16];
} large;
static large fills(long n);
WEFT_TASK(fills, large, long);
static large fills(long n) {
    large out;
    long r = 0;
    if (!weft_ok(weft_perform(ask, &r, n))) r = -1;
    for (int i = 0; i < 16; i++) out.words[i] = r;
    return out;
}
static weft_exit goes_on_with_another(weft_k k, const ask_op *op, void *answer, void *self) {
    weft_keep(k);
    *(weft_k *)((void **)self)[1] = k;
    (void)op, (void)answer;
    return weft_transfer(*(weft_k *)((void **)self)[0], ask, 5);
}
static void sizes(void *arg) {
    kept large_one = {0};
    weft_k small_one;
    void *both[] = {&large_one.k, &small_one};
    struct {
        long before, answer, after;
    } out = {1, 2, 3};
    weft_handler h = KEEPER(&large_one), g = WEFT_HANDLER(both, WEFT_ONESHOT(ask, goes_on_with_another));
    (void)arg;
    CHECK(weft_ok(weft_handle(&h, fills, NULL, 1)));
    CHECK(weft_ok(weft_handle(&g, sums, &out.answer, 1)));
    CHECK_EQ(out.before, 1);
    CHECK_EQ(out.answer, 2);
    CHECK_EQ(out.after, 3);
    CHECK(weft_ok(weft_resume(small_one, ask, 9, &out.answer)));
    CHECK_EQ(out.answer, 9);
}
TEST(a_transfer_to_a_body_with_a_result_of_another_size_writes_nowhere) { on_clock(WEFT_CLOCK_AUTO, sizes); }

/* Two bodies that take turns, by transfers to each other's continuation: a symmetric scheduler. */
enum { TURNS = 1000 };
typedef struct turns {
    weft_k other;
    long who[2 * TURNS + 8];
    int n;
} turns;
static weft_exit switches(weft_k k, const ask_op *op, void *answer, void *self) {
    turns *t = self;
    weft_k next = t->other;
    (void)answer;
    t->who[t->n++] = op->x;
    t->other = weft_keep(k);
    return next.body ? weft_transfer(next, ask, op->x) : weft_done;
}
typedef struct player {
    long id, turns;
} player;
static long plays(player p);
WEFT_TASK(plays, long, player);
static long plays(player p) {
    for (long i = 0; i < p.turns; i++) {
        long r = 0;
        CHECK(weft_ok(weft_perform(ask, &r, p.id)));
        CHECK_EQ(r, 3 - p.id); /* the one before was the other's */
    }
    return p.id;
}
static void symmetric(void *arg) {
    turns t = {.n = 0};
    long out = 0;
    weft_handler h = WEFT_HANDLER(&t, WEFT_ONESHOT(ask, switches));
    (void)arg;
    CHECK(weft_ok(weft_handle(&h, plays, &out, 1, TURNS))); /* kept at its first turn */
    CHECK_EQ(out, 0);
    CHECK(weft_ok(weft_handle(&h, plays, &out, 2, TURNS))); /* until one of the two ends: the first */
    CHECK_EQ(out, 1);
    CHECK_EQ(t.n, 2 * TURNS);
    for (int i = 0; i < t.n; i++) CHECK_EQ(t.who[i], 1 + i % 2);
    weft_k last = t.other;
    t.other = (weft_k){NULL, 0};
    CHECK(weft_ok(weft_resume(last, ask, 1, &out)));
    CHECK_EQ(out, 2);
    CHECK_EQ(t.n, 2 * TURNS);
}
TEST(bodies_take_turns_by_transfers_to_what_another_clause_kept) { on_clock(WEFT_CLOCK_AUTO, symmetric); }

/* ---- discontinue, drop, error --------------------------------------------------------------------------- */

static weft_exit discontinues(weft_k k, const ask_op *op, void *answer, void *self) {
    static const weft_cause why = WEFT__CAUSE_STATIC(WEFT_CAUSE_FAIL, "no more");
    (void)op, (void)self;
    weft_exit e = weft_discontinue(k, (weft_exit){WEFT_EXIT_FAIL, 301, &why}, answer);
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT); /* its scope noticed */
    *(long *)answer = 5;
    return fine;
}
static void discontinued(void *arg) {
    weft_exit said = fine;
    int finalized = 0;
    long out = 0;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, discontinues));
    (void)arg;
    CHECK(weft_ok(weft_handle(&h, tells, &out, &said, &finalized)));
    CHECK_EQ(out, 5);
    CHECK_EQ(said.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(said.code, 301);
    CHECK_EQ(finalized, 1);
}
TEST(a_discontinued_body_is_told_why_and_runs_its_finalizers) { on_clock(WEFT_CLOCK_AUTO, discontinued); }

static weft_exit drops(weft_k k, const ask_op *op, void *answer, void *self) {
    (void)k, (void)self;
    *(long *)answer = op->x * 11;
    return weft_done;
}
static void dropped(void *arg) {
    weft_exit said = fine;
    int finalized = 0;
    long out = 0;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, drops));
    (void)arg;
    CHECK(weft_ok(weft_handle(&h, tells, &out, &said, &finalized)));
    CHECK_EQ(out, 77); /* the body's own result is nobody's */
    CHECK_EQ(said.tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(said.code, WEFT_E_ABORTED);
    CHECK_EQ(finalized, 1);
    CHECK(weft_ok(weft_checkpoint())); /* it was the body that was stopped, not who drove it */
}
TEST(a_continuation_that_its_clause_leaves_alone_is_discontinued_and_the_clause_answers) { on_clock(WEFT_CLOCK_AUTO, dropped); }

static const weft_cause clause_failed = WEFT__CAUSE_STATIC(WEFT_CAUSE_FAIL, "the clause failed");
static const weft_exit failed_300 = {WEFT_EXIT_FAIL, 300, &clause_failed};
static weft_exit fails_before(weft_k k, const ask_op *op, void *answer, void *self) {
    (void)k, (void)op, (void)answer, (void)self;
    return failed_300;
}
static weft_exit fails_after(weft_k k, const ask_op *op, void *answer, void *self) {
    (void)op, (void)self;
    CHECK(weft_ok(weft_resume(k, ask, 8, answer)));
    return failed_300;
}
static weft_exit keeps_and_fails(weft_k k, const ask_op *op, void *answer, void *self) {
    keeps(k, op, answer, self);
    return failed_300;
}
static void errors(void *arg) {
    weft_exit said = fine;
    int finalized = 0;
    long out = 0;
    kept to = {.n = 0};
    weft_handler before = WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, fails_before)),
                 after = WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, fails_after)),
                 keeping = WEFT_HANDLER(&to, WEFT_ONESHOT(ask, keeps_and_fails));
    (void)arg;
    weft_exit e = weft_handle(&before, tells, &out, &said, &finalized);
    CHECK(weft_ok(e)); /* the body knows what to do about it */
    CHECK_EQ(out, -1);
    CHECK_EQ(said.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(said.code, 300);
    e = weft_handle(&after, tells, &out, &said, &finalized);
    CHECK_EQ(e.code, 300);
    CHECK(weft_ok(said));
    CHECK_EQ(out, 8);
    CHECK_EQ(finalized, 2);
    e = weft_handle(&keeping, tells, &out, &said, &finalized);
    CHECK_EQ(e.code, 300);
    CHECK_EQ(finalized, 2);
    CHECK(weft_ok(weft_resume(to.k, ask, 9, &out)));
    CHECK_EQ(out, 9);
    CHECK_EQ(finalized, 3);
}
TEST(a_clause_that_fails_fails_the_perform_until_its_continuation_is_used_and_its_handler_after) {
    on_clock(WEFT_CLOCK_AUTO, errors);
}

/* ---- keep ----------------------------------------------------------------------------------------------- */

static void generator(void *arg) {
    kept to = {.n = 0};
    long out = -1;
    weft_handler h = KEEPER(&to);
    (void)arg;
    weft_exit e = weft_handle(&h, sums, &out, 100);
    for (long i = 1; i <= 100; i++) {
        CHECK(weft_ok(e));
        CHECK_EQ(to.x, i);
        CHECK_EQ(out, -1);
        CHECK(weft_k_is_open(to.k));
        weft_k k = to.k;
        e = weft_resume(k, ask, i * i, &out);
        CHECK(!weft_k_is_open(k));
    }
    CHECK(weft_ok(e));
    CHECK_EQ(to.n, 100);
    CHECK_EQ(out, 338350);
}
TEST(a_kept_continuation_goes_on_after_the_handling_call_has_returned) { on_clock(WEFT_CLOCK_AUTO, generator); }

static weft_handler keeper_of(kept *to, weft_clause *room) {
    *room = (weft_clause)WEFT_ONESHOT(ask, keeps);
    return (weft_handler){.clauses = room, .n = 1, .self = to};
}
static weft_exit begins_deep_below(kept *to, int depth, long *out) {
    volatile char deep[256];
    deep[0] = (char)depth;
    if (depth) return begins_deep_below(to, depth - 1 + deep[1] * 0, out);
    weft_clause room;
    weft_handler h = keeper_of(to, &room);
    weft_exit e = weft_handle(&h, sums, out, 10);
    memset(&h, 0xff, sizeof h);
    memset(&room, 0xff, sizeof room);
    return e;
}
static void frame_gone(void *arg) {
    kept to = {.n = 0};
    long out = 0;
    (void)arg;
    CHECK(weft_ok(begins_deep_below(&to, 20, &out)));
    for (long i = 0; i < 10; i++) CHECK(weft_ok(weft_resume(to.k, ask, 2, &out)));
    CHECK_EQ(out, 20);
    CHECK_EQ(to.n, 10);
}
TEST(a_body_takes_its_handler_along_when_that_ones_frame_has_gone) { on_clock(WEFT_CLOCK_AUTO, frame_gone); }

static void kept_discontinued(void *arg) {
    kept to = {.n = 0};
    weft_exit said = fine;
    int finalized = 0;
    long out = -1;
    weft_handler h = KEEPER(&to);
    (void)arg;
    CHECK(weft_ok(weft_handle(&h, tells, &out, &said, &finalized)));
    CHECK_EQ(finalized, 0);
    weft_exit e = weft_discontinue(to.k, failed_300, &out);
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(said.code, 300);
    CHECK_EQ(finalized, 1);
    CHECK_EQ(out, -1);
}
TEST(what_was_kept_can_be_discontinued_later) { on_clock(WEFT_CLOCK_AUTO, kept_discontinued); }

/* ---- a second use --------------------------------------------------------------------------------------- */

/* Each way to use k is refused, and the body, held, is as it was. */
static void is_refused(weft_k k) {
    long untouched = 4711;
    is_used(weft_resume(k, ask, 1, &untouched));
    is_used(weft_discontinue(k, failed_300, &untouched));
    is_used(weft_transfer(k, ask, 1));
    is_used(weft_resume(k, other, 1, &untouched));
    CHECK(!weft_k_is_open(k));
    CHECK(weft_keep(k).body == k.body);
    CHECK_EQ(untouched, 4711);
}
static weft_exit uses_twice(weft_k k, const ask_op *op, void *answer, void *self) {
    weft_k *first = self;
    if (op->x == 1) *first = k;
    else is_refused(*first); /* used, and its body, held now for another, alive */
    CHECK(weft_k_is_open(k));
    CHECK(weft_ok(weft_resume(k, ask, op->x, answer)));
    is_refused(k); /* the body is over */
    return weft_done;
}
static void twice(void *arg) {
    weft_k first = {NULL, 0};
    long out = 0;
    weft_handler h = WEFT_HANDLER(&first, WEFT_ONESHOT(ask, uses_twice));
    (void)arg;
    is_refused((weft_k){NULL, 0});
    CHECK(weft_ok(weft_handle(&h, sums, &out, 3)));
    CHECK_EQ(out, 6);
    is_refused(first);
    for (int i = 0; i < 40; i++) CHECK(weft_ok(weft_handle(&h, sums, NULL, 1))); /* others on the same stack */
    kept to = {.n = 0};
    weft_handler keeping = KEEPER(&to);
    CHECK(weft_ok(weft_handle(&keeping, sums, &out, 2)));
    weft_k old = to.k;
    CHECK(weft_ok(weft_resume(old, ask, 5, &out)));
    is_refused(old);
    CHECK(weft_ok(weft_resume(to.k, ask, 5, &out)));
    is_refused(old);
    is_refused(to.k);
    CHECK_EQ(out, 10);
}
TEST(a_second_use_of_any_kind_is_refused_and_changes_nothing) { on_clock(WEFT_CLOCK_AUTO, twice); }

static void of_another_effect(void *arg) {
    kept to = {.n = 0};
    long out = 0;
    weft_handler h = KEEPER(&to);
    (void)arg;
    CHECK(weft_ok(weft_handle(&h, sums, &out, 1)));
    weft_exit e = weft_resume(to.k, other, 3, &out);
    CHECK_EQ(e.tag, WEFT_EXIT_DIE);
    CHECK_EQ(e.code, WEFT_E_INVALID);
    e = weft_transfer(to.k, other, 3);
    CHECK_EQ(e.code, WEFT_E_INVALID);
    e = weft_discontinue(to.k, fine, &out);
    CHECK_EQ(e.code, WEFT_E_INVALID);
    CHECK(weft_k_is_open(to.k));
    CHECK(weft_ok(weft_resume(to.k, ask, 3, &out)));
    CHECK_EQ(out, 3);
}
TEST(the_reply_of_another_effect_is_refused_and_the_right_one_still_accepted) { on_clock(WEFT_CLOCK_AUTO, of_another_effect); }

static weft_exit other_in_its_clause(weft_k k, const ask_op *op, void *answer, void *self) {
    (void)answer, (void)self;
    CHECK_EQ(weft_resume(k, other, 3, NULL).code, WEFT_E_INVALID);
    CHECK_EQ(weft_transfer(k, other, 3).code, WEFT_E_INVALID);
    CHECK_EQ(weft_discontinue(k, fine, NULL).code, WEFT_E_INVALID);
    return weft_transfer(k, ask, op->x);
}
static void other_held(void *arg) {
    long out = 0;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, other_in_its_clause));
    (void)arg;
    CHECK(weft_ok(weft_handle(&h, sums, &out, 3)));
    CHECK_EQ(out, 6);
}
TEST(the_same_in_the_clause_itself) { on_clock(WEFT_CLOCK_AUTO, other_held); }

/* What a clause returns counts once: to pass on what was used is a second use. */
static weft_exit passes_what_it_used(weft_k k, const ask_op *op, void *answer, void *self) {
    (void)self;
    CHECK(weft_ok(weft_resume(k, ask, op->x, answer)));
    return weft_pass;
}
static weft_exit passes_what_it_kept(weft_k k, const ask_op *op, void *answer, void *self) {
    keeps(k, op, answer, self);
    return weft_pass;
}
static void passed_too_late(void *arg) {
    kept to = {.n = 0};
    long out = 0;
    weft_handler used = WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, passes_what_it_used)),
                 keeping = WEFT_HANDLER(&to, WEFT_ONESHOT(ask, passes_what_it_kept));
    (void)arg;
    is_used(weft_handle(&used, sums, &out, 1));
    is_used(weft_handle(&keeping, sums, &out, 1));
    CHECK(weft_ok(weft_resume(to.k, ask, 3, &out)));
}
TEST(a_clause_that_passes_after_using_its_continuation_is_told_so) { on_clock(WEFT_CLOCK_AUTO, passed_too_late); }

/* ---- elsewhere ------------------------------------------------------------------------------------------ */

static kept outlives;
static void keeps_for_later(void *arg) {
    weft_handler h = KEEPER(&outlives);
    (void)arg;
    outlives = (kept){.n = 0};
    CHECK(weft_ok(weft_handle(&h, sums, NULL, 1)));
    CHECK(weft_k_is_open(outlives.k));
}
static void is_elsewhere(void) {
    CHECK(!weft_k_is_open(outlives.k));
    CHECK_EQ(weft_resume(outlives.k, ask, 1, NULL).code, WEFT_E_CLOSED);
    CHECK_EQ(weft_transfer(outlives.k, ask, 1).code, WEFT_E_CLOSED);
    CHECK_EQ(weft_discontinue(outlives.k, failed_300, NULL).code, WEFT_E_CLOSED);
    CHECK(weft_keep(outlives.k).body == outlives.k.body);
}
static void uses_anothers(void *arg) {
    (void)arg;
    is_elsewhere();
}
TEST(a_continuation_of_a_runtime_that_is_closed_or_another_one_is_refused) {
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), keeps_for_later, NULL), WEFT_OK);
    is_elsewhere(); /* on a plain thread */
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), uses_anothers, NULL), WEFT_OK);
    weft_runtime *rt;
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 1), &rt), WEFT_OK);
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), uses_anothers, NULL), WEFT_OK);
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

static void remembers(void *to, const char *text) { snprintf(to, 200, "%s", text); }
TEST(a_kept_continuation_that_nobody_used_is_reported_when_its_runtime_is_closed) {
    char told[200] = "";
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1, .on_report = remembers, .hook_arg = told), keeps_for_later, NULL), WEFT_OK);
    CHECK(strstr(told, "1 continuation kept that nobody has used") != NULL);
}

TEST(a_handler_with_a_once_clause_needs_a_fiber) {
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, drops));
    CHECK_EQ(weft_handle(&h, sums, NULL, 1).code, WEFT_E_INVALID);
}

/* A stale continuation is still refused when the memory of its body's stack was given back to the system meanwhile. */
static void trimmed(void *arg) {
    enum { MANY = 300 }; /* more than a worker keeps at hand */
    static weft_k old[MANY];
    static kept to[MANY];
    (void)arg;
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < MANY; i++) {
            weft_handler h = KEEPER(&to[i]);
            to[i].n = 0;
            CHECK(weft_ok(weft_handle(&h, sums, NULL, 1)));
        }
        for (int i = 0; again && i < MANY; i++) is_refused(old[i]);
        for (int i = 0; i < MANY; i++) CHECK(weft_ok(weft_resume(old[i] = to[i].k, ask, 1, NULL)));
        if (!again) CHECK(weft__stack_pool_trim(thread_fiber()->rt->pool, SIZE_MAX) > 0);
    }
}
TEST(a_stale_continuation_is_refused_after_its_stack_was_trimmed) {
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), trimmed, NULL), WEFT_OK);
}

TEST_MAIN
