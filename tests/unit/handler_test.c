/* Handlers of effects, in one task: who is asked, what a clause sees, what becomes of a body.  Children: handler_child_test.c.
 * Each body runs on a plain thread too, but those that wait.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/handler_effects.h"

/* ---- who is asked --------------------------------------------------------------------------------------- */

static long nested(int n);
WEFT_TASK(nested, long, int);
static long nested(int n) {
    CHECK_EQ(asked(), n);
    if (n == 3) return asked();
    const long mine = n + 1;
    weft_handler h = WEFT_HANDLER((void *)(uintptr_t)&mine, WEFT_TAIL(who, on_who));
    long inner = 0;
    CHECK(weft_ok(weft_handle(&h, nested, &inner, n + 1)));
    CHECK_EQ(asked(), n); /* the one around is back */
    return inner * 10 + asked();
}
static void innermost(void *arg) {
    (void)arg;
    CHECK_EQ(asked(), 0);
    CHECK_EQ(nested(0), 3210);
    CHECK_EQ(asked(), 0);
}
TEST(the_innermost_handler_is_asked_and_the_one_around_is_back_afterwards) { everywhere(innermost); }

static long twice_of(long n);
WEFT_TASK(twice_of, long, long);
static long twice_of(long n) {
    long r = 0;
    weft_exit e = weft_perform(twice, &r, .of = n);
    CHECK(weft_ok(e));
    CHECK(weft_ok(weft_perform(twice, NULL, n))); /* the reply may be left alone */
    CHECK_EQ(asked(), 5);
    return r;
}
static void others_between(void *arg) {
    (void)arg;
    long r = 0;
    weft_handler both[] = {WEFT_HANDLER(NULL, WEFT_TAIL(twice, on_twice)), NUMBERED(5)};
    CHECK(weft_ok(weft_handle_list(both, 2, twice_of, &r, 21)));
    CHECK_EQ(r, 42);
    CHECK(weft_ok(weft_handle_list(both, 2, twice_of, NULL, 21))); /* so may the result */
}
TEST(a_handler_of_another_effect_between_is_not_asked) { everywhere(others_between); }

static void lists(void *arg) {
    (void)arg;
    long r = 0;
    weft_handler two[] = {NUMBERED(1), NUMBERED(2)};
    CHECK(weft_ok(weft_handle_list(two, 2, asks, &r, 0)));
    CHECK_EQ(r, 2);
    CHECK(weft_ok(weft_handle_list(two, 1, asks, &r, 0)));
    CHECK_EQ(r, 1);
    CHECK(weft_ok(weft_handle_list(two, 0, asks, &r, 100)));
    CHECK_EQ(r, 100);
    CHECK(weft_ok(weft_handle_list((const weft_handler *)NULL, 0, asks, &r, 7)));
    CHECK_EQ(r, 7);
}
TEST(of_a_list_the_first_is_the_outermost_and_the_last_is_asked) { everywhere(lists); }

/* Each adds its number to what the next one out says. */
static weft_exit adds(const who_op *op, long *reply, void *self) {
    long further = 0;
    (void)op;
    weft_exit e = weft_perform(who, &further);
    *reply = *(long *)self + (weft_ok(e) ? 100 * further : 0);
    weft_exit_drop(e);
    return weft_done;
}
static void outside_of_itself(void *arg) {
    (void)arg;
    long r = 0, one = 1, two = 2, three = 3;
    weft_handler all[] = {WEFT_HANDLER(&one, WEFT_TAIL(who, adds)), WEFT_HANDLER(&two, WEFT_TAIL(who, adds)),
                          WEFT_HANDLER(&three, WEFT_TAIL(who, adds))};
    CHECK(weft_ok(weft_handle_list(all, 3, asks, &r, 0)));
    CHECK_EQ(r, 10203);
}
TEST(a_clause_runs_outside_of_its_own_handler) { everywhere(outside_of_itself); }

/* A clause that installs a handler and calls a body under it. */
static weft_exit installs(const who_op *op, long *reply, void *self) {
    (void)op;
    weft_handler h = NUMBERED(4);
    long in = 0;
    CHECK(weft_ok(weft_handle(&h, asks, &in, 0)));
    CHECK_EQ(in, 4);
    *reply = 10 * asked() + in;
    return (void)self, weft_done;
}
static void clause_installs(void *arg) {
    (void)arg;
    long r = 0;
    weft_handler two[] = {NUMBERED(1), WEFT_HANDLER(NULL, WEFT_TAIL(who, installs))};
    CHECK(weft_ok(weft_handle_list(two, 2, asks, &r, 0)));
    CHECK_EQ(r, 14);
}
TEST(a_clause_may_install_handlers_of_its_own) { everywhere(clause_installs); }

typedef struct own {
    weft_effect effect;
    char name[16];
} own;
static own *many_effects(int n) {
    own *e = calloc((size_t)n, sizeof *e);
    for (int i = 0; i < n; i++) {
        snprintf(e[i].name, sizeof e[i].name, "many %d", i);
        e[i].effect = (weft_effect){0, e[i].name, __FILE__, __LINE__, sizeof(long), sizeof(long)};
    }
    return e;
}
static weft_exit on_any(const void *payload, void *reply, void *self) {
    *(long *)reply = *(const long *)payload * 1000 + *(long *)self;
    return weft_done;
}
enum { MANY = 200, EACH = 20 };
static own *many;
static long all_of_them(int from);
WEFT_TASK(all_of_them, long, int);
static long all_of_them(int from) {
    static const weft_place here = {__FILE__, __LINE__};
    long n = 0;
    for (long i = 0; i < MANY; i++) {
        long reply = 0;
        weft_exit e = weft__perform(&many[i].effect, &i, &reply, &here);
        if (i < from) {
            CHECK(weft_ok(e));
            CHECK_EQ(reply, i * 1000 + i / EACH);
            n++;
        } else {
            CHECK_EQ(e.code, WEFT_E_UNHANDLED);
            weft_exit_drop(e);
        }
    }
    return n;
}
static void a_crowd_of_effects(void *arg) {
    (void)arg;
    weft_clause c[MANY];
    weft_handler h[MANY / EACH];
    long numbers[MANY / EACH], n = 0;
    for (int i = 0; i < MANY; i++) c[i] = (weft_clause){&many[i].effect, (void (*)(void))on_any, WEFT__TAIL};
    for (int i = 0; i < MANY / EACH; i++) {
        numbers[i] = i;
        h[i] = (weft_handler){.clauses = &c[i * EACH], .n = EACH, .self = &numbers[i]};
    }
    for (int i = 0; i <= MANY; i += EACH) {
        CHECK(weft_ok(weft_handle_list(h, (size_t)i / EACH, all_of_them, &n, i)));
        CHECK_EQ(n, i);
    }
}
TEST(any_number_of_effects_may_be_handled_at_once) {
    many = many_effects(MANY);
    everywhere(a_crowd_of_effects);
    free(many);
}

/* handler_elsewhere.c */
weft_exit handled_elsewhere(weft_exit (*body)(void *), void *arg);
static weft_exit asks_here(void *arg) {
    *(long *)arg = asked();
    return fine;
}
static void two_files(void *arg) {
    long n = 0;
    (void)arg;
    CHECK(weft_ok(handled_elsewhere(asks_here, &n)));
    CHECK_EQ(n, 11);
}
TEST(effects_of_one_name_are_one_in_all_files) { everywhere(two_files); }

/* ---- passing -------------------------------------------------------------------------------------------- */

static _Atomic int passed;
static weft_exit passes(const who_op *op, long *reply, void *self) {
    (void)op, (void)self;
    *reply = -7; /* means nothing */
    passed++;
    return weft_pass;
}
static const char *lowest;
static weft_exit passes_from(const who_op *op, long *reply, void *self) {
    const char *here = __builtin_frame_address(0);
    (void)op, (void)reply, (void)self;
    if (!lowest || here < lowest) lowest = here;
    passed++;
    return weft_pass;
}

static long under_passing(int n);
WEFT_TASK(under_passing, long, int);
static long under_passing(int n) {
    if (n == 0) {
        const char *here = __builtin_frame_address(0);
        long r = asked();
        if (lowest) CHECK(here - lowest < 2048);
        return r;
    }
    weft_handler h = WEFT_HANDLER(NULL, WEFT_TAIL(who, passes_from));
    long r = 0;
    CHECK(weft_ok(weft_handle(&h, under_passing, &r, n - 1)));
    return r;
}
static void through_many(void *arg) {
    (void)arg;
    enum { DEEP = 20 };
    weft_handler h = NUMBERED(9);
    long r = 0;
    passed = 0;
    lowest = NULL;
    CHECK(weft_ok(weft_handle(&h, under_passing, &r, DEEP)));
    CHECK_EQ(r, 9);
    CHECK_EQ(passed, DEEP);
    passed = 0;
    lowest = NULL;
    CHECK_EQ(under_passing(3), 0); /* nobody left: unhandled */
    CHECK_EQ(passed, 3);
}
TEST(passing_goes_outwards_through_many_in_memory_for_one) { everywhere(through_many); }

static void declared(void *arg) {
    (void)arg;
    long r = 0, self = 3;
    weft_handler three[] = {NUMBERED(9), WEFT_HANDLER(&self, WEFT_PASS(who), WEFT_TAIL(twice, on_twice)),
                            WEFT_HANDLER(NULL, WEFT_TAIL(who, passes))};
    passed = 0;
    CHECK(weft_ok(weft_handle_list(three, 3, asks, &r, 0)));
    CHECK_EQ(r, 9);
    CHECK_EQ(passed, 1);
}
TEST(a_declared_pass_is_not_there) { everywhere(declared); }

/* ---- errors of clauses ---------------------------------------------------------------------------------- */

static weft_exit refuses(const who_op *op, long *reply, void *self) {
    (void)op, (void)self;
    *reply = -8;
    return (weft_exit){WEFT_EXIT_FAIL, 301, NULL};
}
static long sees_refusal(int n);
WEFT_TASK(sees_refusal, long, int);
static long sees_refusal(int n) {
    long r = 0;
    weft_exit e = weft_perform(who, &r);
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, 301);
    return n;
}
static void surfaces(void *arg) {
    (void)arg;
    long r = 0;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_TAIL(who, refuses));
    CHECK(weft_ok(weft_handle(&h, sees_refusal, &r, 5))); /* the body's affair */
    CHECK_EQ(r, 5);
}
TEST(what_a_tail_clause_returns_is_what_the_perform_returns) { everywhere(surfaces); }

static long fails(int code);
WEFT_TASK(fails, long, int);
static long fails(int code) {
    weft_failf(code, "failure number %d", code);
    return 5;
}
static weft_exit fails_itself(const who_op *op, long *reply, void *self) {
    (void)op, (void)self;
    *reply = 1;
    weft_fail(302, "in a clause");
    return weft_done;
}
static int failures(int n);
WEFT_TASK(failures, int, int);
static int failures(int n) {
    char text[300];
    long r = 77;
    weft_handler h = NUMBERED(1), clause = WEFT_HANDLER(NULL, WEFT_TAIL(who, fails_itself));
    weft_exit e = weft_handle(&h, fails, &r, 303);
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, 303);
    CHECK(strstr(weft_exit_format(e, text, sizeof text), "failure number 303"));
    CHECK_EQ(r, 77); /* not delivered */
    e = weft_handle(&clause, asks, &r, 0); /* on the performer's stack, so the body's failure */
    CHECK_EQ(e.code, 302);
    weft_handler both[] = {h, clause};
    e = weft_handle_list(both, 2, fails, &r, 304);
    CHECK_EQ(e.code, 304);
    CHECK(strstr(weft_exit_format(e, text, sizeof text), "failure number 304"));
    return n;
}
static void failures_stay_inside(void *arg) {
    failures_fiber f;
    int n = 0;
    (void)arg;
    CHECK(weft_ok(weft_spawn(&f, failures, 3)));
    CHECK(weft_ok(weft_await(f, failures, &n))); /* none is the caller's */
    CHECK_EQ(n, 3);
    weft_drop(f);
}
TEST(a_failure_of_the_body_is_what_handling_it_says_and_not_the_callers) { on_clock(WEFT_CLOCK_AUTO, failures_stay_inside); }

static void bad_clauses(void *arg) {
    (void)arg;
    long r = 7;
    weft_handler bad[] = {
        {.clauses = NULL, .n = 1},
        {.clauses = &(weft_clause){NULL, (void (*)(void))on_who, WEFT__TAIL}, .n = 1},
        {.clauses = &(weft_clause){&who_effect, NULL, WEFT__TAIL}, .n = 1},
        {.clauses = &(weft_clause){&who_effect, NULL, WEFT__ABORT}, .n = 1},
        {.clauses = &(weft_clause){&who_effect, (void (*)(void))on_who, 9}, .n = 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        weft_handler list[] = {NUMBERED(1), bad[i]};
        CHECK_EQ(weft_handle(&bad[i], asks, &r, 0).code, WEFT_E_INVALID);
        CHECK_EQ(weft_handle_list(list, 2, asks, &r, 0).code, WEFT_E_INVALID);
    }
    CHECK_EQ(weft_handle_list((const weft_handler *)NULL, 2, asks, &r, 0).code, WEFT_E_INVALID);
    CHECK_EQ(r, 7);
    CHECK_EQ(asked(), 0);
}
TEST(a_clause_without_effect_or_function_is_refused) { everywhere(bad_clauses); }

typedef const char *name_ref;
static int nobody(name_ref name);
WEFT_TASK(nobody, int, name_ref);
static int nobody(name_ref name) {
    char text[300], place[80];
    snprintf(place, sizeof place, "handler_test.c:%d by %s", __LINE__ + 1, name);
    weft_exit e = weft_perform(unknown, NULL, 3);
    CHECK_EQ(e.tag, WEFT_EXIT_DIE);
    CHECK_EQ(e.code, WEFT_E_UNHANDLED);
    weft_exit_format(e, text, sizeof text);
    CHECK(strstr(text, "effect 'unknown' performed at "));
    CHECK(strstr(text, place));
    weft_exit_drop(e);
    return 0;
}
static void unhandled(void *arg) {
    nobody_fiber f;
    weft_handler h = NUMBERED(1);
    name_ref name = arg ? arg : "a plain thread";
    nobody(name);
    CHECK(weft_ok(weft_handle(&h, nobody, NULL, name)));
    if (!arg) return;
    CHECK(weft_ok(weft_spawn_with(&f, nobody, {.name = "nemo"}, "nemo")));
    CHECK(weft_ok(weft_await(f, nobody, NULL)));
    weft_drop(f);
}
TEST(an_unhandled_effect_names_effect_fiber_and_place) {
    unhandled(NULL);
    run_ends(&WEFT_OPTIONS(.workers = 2), unhandled, "main task", WEFT_OK);
}

/* ---- observers ------------------------------------------------------------------------------------------ */

static char seen[16];
static weft_exit sees(const weft_effect *effect, const void *payload, const weft_place *at, void *self) {
    size_t n = strlen(seen);
    CHECK(at->line > 0 && strstr(at->file, "handler"));
    if (effect == &twice_effect) CHECK(((const twice_op *)payload)->of > 0);
    CHECK(n + 1 < sizeof seen);
    seen[n] = *(const char *)self;
    seen[n + 1] = 0;
    return fine;
}
static weft_exit sees_no(const weft_effect *effect, const void *payload, const weft_place *at, void *self) {
    sees(effect, payload, at, self);
    return (weft_exit){WEFT_EXIT_FAIL, 310, NULL};
}
/* What it performs is seen by those further out. */
static weft_exit sees_and_asks(const weft_effect *effect, const void *payload, const weft_place *at, void *self) {
    sees(effect, payload, at, self);
    if (effect == &twice_effect) CHECK_EQ(asked(), 1);
    return fine;
}
static long observed(int n);
WEFT_TASK(observed, long, int);
static long observed(int n) {
    long r = 0;
    CHECK(weft_ok(weft_perform(twice, &r, n)));
    CHECK_EQ(r, 2 * n);
    return r;
}
static long refused(int code);
WEFT_TASK(refused, long, int);
static long refused(int code) {
    long r = 4;
    CHECK_EQ(weft_perform(twice, &r, 1).code, code);
    CHECK_EQ(r, 4);
    return 0;
}
static void observers(void *arg) {
    (void)arg;
    weft_handler h[] = {WEFT_OBSERVER(sees, "a"), NUMBERED(1), WEFT_HANDLER(NULL, WEFT_TAIL(twice, on_twice)),
                        WEFT_OBSERVER(sees, "b"), WEFT_OBSERVER(sees, "c")};
    seen[0] = 0;
    CHECK(weft_ok(weft_handle_list(h, 5, observed, NULL, 2)));
    CHECK(!strcmp(seen, "cba"));
    seen[0] = 0;
    CHECK(weft_ok(weft_handle_list(h, 3, observed, NULL, 2))); /* further out than the handler, and sees all the same */
    CHECK(!strcmp(seen, "a"));
    seen[0] = 0;
    h[3].observe = sees_and_asks;
    CHECK(weft_ok(weft_handle_list(h, 5, observed, NULL, 2)));
    CHECK(!strcmp(seen, "cbaa"));
    seen[0] = 0;
    h[3].observe = sees_no;
    CHECK(weft_ok(weft_handle_list(h, 5, refused, NULL, 310)));
    CHECK(!strcmp(seen, "cb"));
    seen[0] = 0;
    CHECK(weft_ok(weft_handle_list(h, 1, asks, NULL, 0))); /* also what nobody handles */
    CHECK(!strcmp(seen, "a"));
}
TEST(observers_see_what_is_performed_innermost_first_and_may_refuse) { everywhere(observers); }

static weft_exit asks_around(const twice_op *op, long *reply, void *self) {
    (void)self;
    *reply = op->of * asked();
    return weft_done;
}
static long of_clauses(int n);
WEFT_TASK(of_clauses, long, int);
static long of_clauses(int n) {
    long r = 0;
    CHECK(weft_ok(weft_perform(twice, &r, n)));
    return r;
}
static void observed_clauses(void *arg) {
    (void)arg;
    long r = 0;
    weft_handler h[] = {NUMBERED(5), WEFT_OBSERVER(sees, "a"), WEFT_HANDLER(NULL, WEFT_TAIL(twice, asks_around)),
                        WEFT_OBSERVER(sees, "b")};
    seen[0] = 0;
    CHECK(weft_ok(weft_handle_list(h, 4, of_clauses, &r, 3)));
    CHECK_EQ(r, 15);
    CHECK(!strcmp(seen, "baa")); /* what the clause performs is seen outside of its handler */
}
TEST(what_a_clause_performs_is_seen_by_those_outside_of_it) { everywhere(observed_clauses); }

TEST_MAIN
