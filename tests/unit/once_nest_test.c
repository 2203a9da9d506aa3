/* Once clauses among other handlers: nested, passed on, aborted, around and inside; what goes along with a body; depth.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "unit/once_bodies.h"
#include "alloc/san.h"
#include <errno.h>
#include <weft/local.h>

/* ---- nested --------------------------------------------------------------------------------------------- */

/* The outer handler's clause gets both stacks at once, whoever performed. */
static weft_exit keeps_other(weft_k k, const other_op *op, void *answer, void *self) {
    kept *to = self;
    (void)answer;
    to->x = op->x;
    to->n++;
    to->k = weft_keep(k);
    return weft_done;
}
static long both(long n);
WEFT_TASK(both, long, long);
static long both(long n) {
    long sum = 0;
    for (long i = 0; i < n; i++) {
        long a = 0;
        int b = 0;
        CHECK(weft_ok(weft_perform(ask, &a, i)));
        CHECK(weft_ok(weft_perform(other, &b, (int)i)));
        sum += a * 100 + b;
        if (i % 2) CHECK(weft_ok(weft_sleep(weft_us(1))));
    }
    return sum;
}
typedef struct inner_of {
    kept *asked;
    long n;
} inner_of;
static long handles_ask(inner_of in);
WEFT_TASK(handles_ask, long, inner_of);
static long handles_ask(inner_of in) {
    long out = -1;
    weft_handler h = KEEPER(in.asked);
    CHECK(weft_ok(weft_handle(&h, both, &out, in.n)));
    while (out < 0) CHECK(weft_ok(weft_resume(in.asked->k, ask, 1, &out)));
    return out;
}
static long goes_on(kept *to);
WEFT_TASK(goes_on, long, kept *);
static long goes_on(kept *to) {
    long out = -1;
    CHECK(weft_ok(weft_resume(to->k, other, 2, &out)));
    return out;
}
static void two_stacks(void *arg) {
    enum { N = 20 };
    kept asked = {.n = 0}, othered = {.n = 0};
    long out = -1;
    weft_handler h = WEFT_HANDLER(&othered, WEFT_ONESHOT(other, keeps_other));
    (void)arg;
    CHECK(weft_ok(weft_handle(&h, handles_ask, &out, &asked, N)));
    for (int i = 0; i < N; i++) {
        CHECK_EQ(othered.x, i);
        CHECK_EQ(out, -1);
        if (i % 3) {
            goes_on_fiber f;
            CHECK(weft_ok(weft_spawn(&f, goes_on, &othered)));
            CHECK(weft_ok(weft_await(f, goes_on, &out)));
            weft_drop(f);
        } else {
            CHECK(weft_ok(weft_resume(othered.k, other, 2, &out)));
        }
    }
    CHECK_EQ(out, N * 102);
    CHECK_EQ(asked.n, N);
}
TEST(an_outer_clause_has_the_stacks_of_inner_bodies_too) { often(WEFT_CLOCK_AUTO, two_stacks, 20); }

/* Dropped by the outer one: both bodies end, inside out. */
typedef struct order {
    int at[4], n;
} order;
static order ends;
static weft_exit notes_end(void *which) {
    ends.at[ends.n++] = (int)(intptr_t)which;
    return weft_done;
}
static long innermost(long x);
WEFT_TASK(innermost, long, long);
static long innermost(long x) {
    WEFT_SCOPE(s, NULL) {
        weft_defer(s, notes_end, (void *)(intptr_t)1, 0);
        CHECK_EQ(weft_perform(other, NULL, 1).code, WEFT_E_ABORTED);
        CHECK_EQ(weft_perform(other, NULL, 1).code, WEFT_E_ABORTED); /* still over */
    }
    return x;
}
static long in_between(kept *to);
WEFT_TASK(in_between, long, kept *);
static long in_between(kept *to) {
    long out = 0;
    WEFT_SCOPE(s, NULL) {
        weft_defer(s, notes_end, (void *)(intptr_t)2, 0);
        weft_handler h = KEEPER(to);
        weft_handle(&h, innermost, &out, 1);
    }
    return out;
}
static weft_exit drops_other(weft_k k, const other_op *op, void *answer, void *self) {
    (void)k, (void)op, (void)self;
    *(long *)answer = 99;
    return weft_done;
}
static void both_dropped(void *arg) {
    kept to = {.n = 0};
    long out = 0;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(other, drops_other));
    (void)arg;
    ends.n = 0;
    CHECK(weft_ok(weft_handle(&h, in_between, &out, &to)));
    CHECK_EQ(out, 99);
    CHECK_EQ(ends.n, 2);
    CHECK_EQ(ends.at[0], 1);
    CHECK_EQ(ends.at[1], 2);
}
TEST(a_dropped_continuation_ends_all_bodies_in_it_inside_out) { on_clock(WEFT_CLOCK_AUTO, both_dropped); }

/* ---- passing -------------------------------------------------------------------------------------------- */

static weft_exit passes(weft_k k, const ask_op *op, void *answer, void *self) {
    (void)k, (void)op, (void)answer;
    ++*(int *)self;
    return weft_pass;
}
static weft_exit tail_ten(const ask_op *op, long *reply, void *self) {
    (void)self;
    *reply = op->x * 10;
    return weft_done;
}
static weft_exit aborts_with(const ask_op *op, void *answer, void *self) {
    (void)self;
    *(long *)answer = op->x + 500;
    return weft_done;
}
static weft_exit transfers(weft_k k, const ask_op *op, void *answer, void *self) {
    (void)answer, (void)self;
    return weft_transfer(k, ask, op->x);
}
static void passed(void *arg) {
    const long n = *(long *)arg;
    int passed = 0;
    long out = 0;
    weft_handler pass = WEFT_HANDLER(&passed, WEFT_ONESHOT(ask, passes));
    weft_handler to_tail[] = {WEFT_HANDLER(NULL, WEFT_TAIL(ask, tail_ten)), pass, pass};
    CHECK(weft_ok(weft_handle_list(to_tail, 3, sums, &out, n)));
    CHECK_EQ(out, 10 * (n * (n + 1) / 2));
    CHECK_EQ(passed, 2 * n);
    weft_handler to_once[] = {WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, transfers)), pass, pass};
    CHECK(weft_ok(weft_handle_list(to_once, 3, sums, &out, n)));
    CHECK_EQ(out, n * (n + 1) / 2);
    weft_handler to_abort[] = {WEFT_HANDLER(NULL, WEFT_ABORT(ask, aborts_with)), pass, pass};
    CHECK(weft_ok(weft_handle_list(to_abort, 3, sums, &out, n)));
    CHECK_EQ(out, 501);
    CHECK(weft_ok(weft_handle_list(&to_abort[1], 2, sums, &out, 3))); /* nobody: each perform fails */
    CHECK_EQ(out, 0);
}
TEST(a_once_clause_passes_to_tail_once_and_abort_clauses_further_out) {
    long few = 5;
    for (unsigned workers = 1; workers <= 2; workers++) run_ends(&WEFT_OPTIONS(.workers = workers), passed, &few, WEFT_OK);
    run_ends(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, .explore = WEFT_EXPLORE_RANDOM), passed, &few, WEFT_OK);
}
TEST(a_million_passes_take_no_more_memory_than_one) { /* two stacks of 64 KiB: more would be a fault */
    long many = WEFT__SAN_STACKS > 1 ? 10000 : 1000000;
    run_ends(&WEFT_OPTIONS(.workers = 1), passed, &many, WEFT_OK);
}

/* ---- abort clauses -------------------------------------------------------------------------------------- */

static weft_exit on_stop(const stop_op *op, void *answer, void *self) {
    ++*(int *)self;
    *(long *)answer = op->with;
    return weft_done;
}
static long asks_and_stops(long n);
WEFT_TASK(asks_and_stops, long, long);
static long asks_and_stops(long n) {
    long r = 0;
    WEFT_SCOPE(s, NULL) {
        weft_defer(s, notes_end, (void *)(intptr_t)7, 0);
        for (long i = 0; i < n; i++)
            if (!weft_ok(weft_perform(ask, &r, i))) break;
        CHECK_EQ(weft_perform(stop, NULL, 42).code, WEFT_E_ABORTED);
        CHECK(!weft_ok(weft_sleep(weft_s(1))));
    }
    return r;
}
static weft_exit counts_self(weft_k k, const ask_op *op, void *answer, void *self) {
    (void)self, (void)answer;
    return weft_transfer(k, ask, op->x);
}
static long under_once(long n);
WEFT_TASK(under_once, long, long);
static long under_once(long n) {
    long out = -1;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, counts_self));
    weft_handle(&h, asks_and_stops, &out, n);
    return out;
}
static long stops_inside(int *stopped);
WEFT_TASK(stops_inside, long, int *);
static long stops_inside(int *stopped) {
    long out = 0;
    weft_handler h = WEFT_HANDLER(stopped, WEFT_ABORT(stop, on_stop));
    CHECK(weft_ok(weft_handle(&h, asks_and_stops, &out, 4)));
    CHECK(weft_ok(weft_checkpoint()));
    return out + 1;
}
static void aborts(void *arg) {
    int stopped = 0;
    long out = 0;
    (void)arg;
    ends.n = 0;
    weft_handler same = WEFT_HANDLER(&stopped, WEFT_ABORT(stop, on_stop), WEFT_ONESHOT(ask, counts_self));
    CHECK(weft_ok(weft_handle(&same, asks_and_stops, &out, 3)));
    CHECK_EQ(out, 42);
    CHECK_EQ(stopped, 1);
    weft_handler outside = WEFT_HANDLER(&stopped, WEFT_ABORT(stop, on_stop));
    CHECK(weft_ok(weft_handle(&outside, under_once, &out, 3)));
    CHECK_EQ(out, 42);
    CHECK_EQ(stopped, 2);
    weft_handler inside = WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, counts_self));
    CHECK(weft_ok(weft_handle(&inside, stops_inside, &out, &stopped)));
    CHECK_EQ(out, 43);
    CHECK_EQ(stopped, 3);
    CHECK_EQ(ends.n, 3);
    CHECK(weft_ok(weft_checkpoint()));
}
TEST(abort_clauses_end_bodies_of_once_handlers_in_the_same_and_further_out_and_in) { on_clock(WEFT_CLOCK_AUTO, aborts); }

/* Kept, and stopped in another fiber. */
static long resumes(kept *to);
WEFT_TASK(resumes, long, kept *);
static long resumes(kept *to) {
    long out = 0;
    CHECK(weft_ok(weft_resume(to->k, ask, 1, &out)));
    return out;
}
static void aborted_elsewhere(void *arg) {
    kept to = {.n = 0};
    int stopped = 0;
    long out = 0;
    resumes_fiber f;
    weft_handler h = WEFT_HANDLER(&to, WEFT_ABORT(stop, (stop__abort *)NULL), WEFT_ONESHOT(ask, keeps));
    (void)arg;
    CHECK_EQ(weft_handle(&h, asks_and_stops, &out, 1).code, WEFT_E_INVALID); /* a clause without a function */
    weft_handler both_kinds = WEFT_HANDLER(&to, WEFT_ONESHOT(ask, keeps));
    weft_handler out_of_it = WEFT_HANDLER(&stopped, WEFT_ABORT(stop, on_stop));
    weft_handler list[] = {both_kinds, out_of_it};
    ends.n = 0;
    CHECK(weft_ok(weft_handle_list(list, 2, asks_and_stops, &out, 1)));
    CHECK(weft_ok(weft_spawn(&f, resumes, &to)));
    CHECK(weft_ok(weft_await(f, resumes, &out)));
    weft_drop(f);
    CHECK_EQ(out, 42);
    CHECK_EQ(stopped, 1);
    CHECK_EQ(ends.n, 1);
}
TEST(a_body_that_moved_is_ended_by_an_abort_clause_inside_of_it) { often(WEFT_CLOCK_AUTO, aborted_elsewhere, 20); }

/* ---- what goes along, and what is found where the driver is --------------------------------------------- */

static weft_exit shared_answer(const other_op *op, int *reply, void *self) {
    *reply = op->x + *(int *)self;
    return weft_done;
}
static long asks_other(long x);
WEFT_TASK(asks_other, long, long);
static long asks_other(long x) {
    int r = 0;
    CHECK(weft_ok(weft_perform(other, &r, (int)x)));
    return r;
}
static long with_children(long n);
WEFT_TASK(with_children, long, long);
static long with_children(long n) {
    long sum = 0;
    for (long i = 0; i < n; i++) {
        asks_other_fiber f;
        asks_other_task t;
        long r = 0;
        weft_fork(&t, asks_other, i);
        CHECK(weft_ok(weft_perform(ask, NULL, i)));
        CHECK(weft_ok(weft_spawn(&f, asks_other, i)));
        CHECK(weft_ok(weft_await(f, asks_other, &r)));
        weft_drop(f);
        sum += r + weft_join(&t, asks_other) + asks_other(i);
    }
    return sum;
}
static int base_value = 1000;
static weft_exit begins_below_shared(kept *to, long *out) {
    weft_handler list[] = {WEFT_SHARED_HANDLER(&base_value, WEFT_TAIL(other, shared_answer)), KEEPER(to)};
    return weft_handle_list(list, 2, with_children, out, 4);
}
static void shared_goes_along(void *arg) {
    kept to = {.n = 0};
    long out = -1;
    (void)arg;
    CHECK(weft_ok(begins_below_shared(&to, &out))); /* both frames have gone */
    while (out < 0) {
        if (to.n % 2) {
            resumes_fiber f;
            long got = -1;
            int n = to.n;
            CHECK(weft_ok(weft_spawn(&f, resumes, &to)));
            CHECK(weft_ok(weft_await(f, resumes, &got)));
            weft_drop(f);
            if (to.n == n) out = got;
        } else {
            CHECK(weft_ok(weft_resume(to.k, ask, 1, &out)));
        }
    }
    CHECK_EQ(out, 3 * (4 * 1000 + 6));
}
TEST(shared_handlers_around_a_body_go_along_and_its_children_see_them) { often(WEFT_CLOCK_AUTO, shared_goes_along, 20); }

static weft_exit own_answer(const other_op *op, int *reply, void *self) { return shared_answer(op, reply, self); }
typedef struct asks_both {
    long n;
    int *seen;
} asks_both;
static long asks_around(asks_both a);
WEFT_TASK(asks_around, long, asks_both);
static long asks_around(asks_both a) {
    for (long i = 0; i < a.n; i++) {
        a.seen[i] = -1;
        weft_perform(other, &a.seen[i], 0);
        weft_perform(ask, NULL, i);
    }
    return 1;
}
static long resume_under(kept *to);
WEFT_TASK(resume_under, long, kept *);
static long resume_under(kept *to) { return resumes(to); }
static long keep_under(asks_both a);
WEFT_TASK(keep_under, long, asks_both);
static kept under;
static long keep_under(asks_both a) {
    long out = -1;
    weft_handler h = KEEPER(&under);
    CHECK(weft_ok(weft_handle(&h, asks_around, &out, a.n, a.seen)));
    return out;
}
static void others_are_the_drivers(void *arg) {
    int seen[3], one = 1, two = 2;
    weft_handler first = WEFT_HANDLER(&one, WEFT_TAIL(other, own_answer)),
                 second = WEFT_HANDLER(&two, WEFT_TAIL(other, own_answer));
    long out = 0;
    (void)arg;
    under = (kept){.n = 0};
    CHECK(weft_ok(weft_handle(&first, keep_under, &out, 3, seen)));
    CHECK(weft_ok(weft_handle(&second, resume_under, &out, &under)));
    CHECK_EQ(resumes(&under), 0); /* kept again: nothing was written */
    CHECK_EQ(weft_resume(under.k, ask, 1, &out).code, 0);
    CHECK_EQ(out, 1);
    CHECK_EQ(seen[0], 1);
    CHECK_EQ(seen[1], 2);
    CHECK_EQ(seen[2], -1); /* none around the last driver */
}
TEST(handlers_that_are_not_shared_are_those_around_the_driver_of_the_moment) {
    on_clock(WEFT_CLOCK_AUTO, others_are_the_drivers);
}

/* ---- fiber-locals, errno, names, failures --------------------------------------------------------------- */

static const weft_local colour = WEFT_LOCAL(.name = "colour");
static const weft_local own_key = WEFT_LOCAL(.name = "own");
typedef struct painted {
    intptr_t seen[8];
    bool own;
} painted;
static long looks(painted *p);
WEFT_TASK(looks, long, painted *);
static long looks(painted *p) {
    if (p->own) CHECK_EQ(weft_local_set(&own_key, p), WEFT_OK);
    for (int i = 0; i < 8; i++) {
        p->seen[i] = (intptr_t)weft_local_get(&colour);
        CHECK(weft_local_get(&own_key) == (p->own ? p : NULL));
        CHECK(weft_ok(weft_perform(ask, NULL, i)));
    }
    return 1;
}
typedef struct brush {
    kept *to;
    intptr_t colour;
} brush;
static long paints(brush b);
WEFT_TASK(paints, long, brush);
static long paints(brush b) {
    if (b.colour) CHECK_EQ(weft_local_set(&colour, (void *)b.colour), WEFT_OK);
    return resumes(b.to);
}
static void locals(void *arg) {
    (void)arg;
    for (int own = 0; own < 2; own++) {
        kept to = {.n = 0};
        painted p = {.own = own};
        weft_handler h = KEEPER(&to);
        CHECK(weft_ok(weft_handle(&h, looks, NULL, &p)));
        for (intptr_t i = 1; i <= 8; i++) { /* fibers one after the other, on the same stack */
            paints_fiber f;
            CHECK(weft_ok(weft_spawn(&f, paints, &to, i % 3)));
            CHECK(weft_ok(weft_await(f, paints, NULL)));
            weft_drop(f);
        }
        CHECK_EQ(p.seen[0], 0);
        for (int i = 1; i < 8; i++) CHECK_EQ(p.seen[i], i % 3);
    }
}
TEST(a_body_sees_its_own_locals_and_those_of_its_driver) { often(WEFT_CLOCK_AUTO, locals, 20); }

static weft_exit sets_errno(weft_k k, const ask_op *op, void *answer, void *self) {
    (void)answer, (void)self;
    CHECK_EQ(errno, (int)op->x);
    errno = (int)op->x + 1;
    return weft_transfer(k, ask, 0);
}
static long has_errno(long n);
WEFT_TASK(has_errno, long, long);
static long has_errno(long n) {
    for (long i = 0; i < n; i++) {
        errno = (int)i * 2;
        CHECK(weft_ok(weft_perform(ask, NULL, i * 2)));
        CHECK_EQ(errno, (int)i * 2 + 1);
    }
    return n;
}
static void errnos(void *arg) {
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, sets_errno));
    (void)arg;
    CHECK(weft_ok(weft_handle(&h, has_errno, NULL, 10)));
}
TEST(errno_goes_through_a_perform_as_through_a_call) { on_clock(WEFT_CLOCK_AUTO, errnos); }

static long fails(long n);
WEFT_TASK(fails, long, long);
static long fails(long n) {
    weft_failf(310, "in the body, before %ld", n);
    CHECK(weft_ok(weft_perform(ask, NULL, n)));
    return n;
}
static void failing(void *arg) {
    kept to = {.n = 0};
    char text[512];
    weft_handler h = KEEPER(&to), dropping = WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, transfers));
    (void)arg;
    weft_exit e = weft_handle(&dropping, fails, NULL, 5);
    CHECK_EQ(e.code, 310);
    CHECK(weft_ok(weft_handle(&h, fails, NULL, 6)));
    e = weft_resume(to.k, ask, 1, NULL);
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, 310);
    CHECK(strstr(weft_exit_render(e, text, sizeof text), "in the body, before 6") != NULL);
}
TEST(a_failure_of_the_body_is_what_its_last_driver_is_told) { on_clock(WEFT_CLOCK_AUTO, failing); }

/* ---- depth ---------------------------------------------------------------------------------------------- */

static weft_exit resumes_on(weft_k k, const ask_op *op, void *answer, void *self) {
    (void)self;
    weft_exit e = weft_resume(k, ask, op->x, answer);
    CHECK(weft_ok(e));
    ++*(long *)answer;
    return e;
}
static void deep_resumes(void *arg) {
    long n = *(long *)arg, out = 0;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, resumes_on));
    weft_exit e = weft_handle(&h, sums, &out, n);
    CHECK(weft_ok(e));
    CHECK_EQ(out, n * (n + 1) / 2 + n);
}
TEST(resumes_nest_a_million_deep) {
    long n = WEFT__SAN_STACKS > 1 ? 3000 : 1000000;
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), deep_resumes, &n), WEFT_OK);
}

static long handles_deep(long n);
WEFT_TASK(handles_deep, long, long);
static long handles_deep(long n) {
    long out = 0, r = 0;
    if (n == 0) {
        CHECK(weft_ok(weft_perform(ask, &r, 5)));
        return r;
    }
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(other, drops_other));
    weft_exit e = weft_handle(&h, handles_deep, &out, n - 1);
    return weft_ok(e) ? out + 1 : -1;
}
static void deep_handles(void *arg) {
    long n = *(long *)arg, out = 0;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, transfers));
    CHECK(weft_ok(weft_handle(&h, handles_deep, &out, n)));
    CHECK_EQ(out, n + 5);
}
TEST(handlers_nest_deep) {
    long n = WEFT__SAN_STACKS > 1 ? 500 : 10000;
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), deep_handles, &n), WEFT_OK);
}

TEST_MAIN
