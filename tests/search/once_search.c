/* Programs that use continuations wrongly, each in a way people do: random schedules and PCT find it, and the same program
 * without the mistake passes.
 *
 *   double resume          two fibers look for something to go on with, and both take the same
 *   dropped continuation   what is kept in one place is kept over by the next before anybody has taken it
 *   used after its frame   a shared handler is used by a child that outlives it
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "search/gallery.h"
#include <weft/continuation.h>

WEFT_EFFECT(pause, long, long x;);

typedef struct place {
    weft_k k;
    bool filled;
} place;
static weft_exit keeps(weft_k k, const pause_op *op, void *answer, void *self) {
    place *p = self;
    (void)op, (void)answer;
    p->k = weft_keep(k);
    p->filled = true;
    return weft_done;
}
static long steps(long n);
WEFT_TASK(steps, long, long);
static long steps(long n) {
    for (long i = 0; i < n; i++)
        if (!weft_ok(weft_perform(pause, NULL, i))) return -1;
    return n;
}

/* ---- double resume -------------------------------------------------------------------------------------- */

typedef struct taker {
    place *p;
    weft_test t;
    bool careful;
} taker;
static long takes(taker in);
WEFT_TASK(takes, long, taker);
static long takes(taker in) {
    if (!in.p->filled) return 0;
    if (in.careful) in.p->filled = false; /* taken, before anybody else can look */
    weft_k k = in.p->k;
    weft_point();
    in.p->filled = false;
    weft_check(in.t, weft_ok(weft_resume(k, pause, 1, NULL)));
    return 1;
}
static void two_takers(weft_test t, bool careful) {
    place p = {.filled = false};
    takes_fiber f[2];
    weft_handler h = WEFT_HANDLER(&p, WEFT_ONESHOT(pause, keeps));
    weft_handle(&h, steps, NULL, 1);
    for (int i = 0; i < 2; i++) weft_spawn(&f[i], takes, &p, t, careful);
    for (int i = 0; i < 2; i++) {
        weft_await(f[i], takes, NULL);
        weft_drop(f[i]);
    }
}
static void both_take(weft_test t) { two_takers(t, false); }
static void one_takes(weft_test t) { two_takers(t, true); }
TEST(double_resume) {
    exhibit(&(specimen){.name = "double resume", .bad = both_take, .good = one_takes, .expected = WEFT_TEST_CHECK,
                        .because = "weft_ok(weft_resume(k, pause, 1, NULL))"});
}

/* ---- dropped continuation ------------------------------------------------------------------------------- */

typedef struct line {
    place last;
    weft_k all[2];
    int n;
    bool careful;
} line;
static weft_exit queues(weft_k k, const pause_op *op, void *answer, void *self) {
    line *l = self;
    if (l->careful) {
        l->all[l->n++] = weft_keep(k);
        return weft_done;
    }
    return keeps(k, op, answer, &l->last);
}
static long begins(line *l);
WEFT_TASK(begins, long, line *);
static long begins(line *l) {
    weft_handler h = WEFT_HANDLER(l, WEFT_ONESHOT(pause, queues));
    weft_handle(&h, steps, NULL, 1);
    weft_point();
    if (l->last.filled) {
        l->last.filled = false;
        weft_resume(l->last.k, pause, 1, NULL);
    } else if (l->n) {
        weft_resume(l->all[--l->n], pause, 1, NULL);
    }
    return 0;
}
static void two_begin(bool careful) {
    line l = {.careful = careful};
    begins_fiber f[2];
    for (int i = 0; i < 2; i++) weft_spawn(&f[i], begins, &l);
    for (int i = 0; i < 2; i++) {
        weft_await(f[i], begins, NULL);
        weft_drop(f[i]);
    }
}
static void one_place(weft_test t) { (void)t, two_begin(false); }
static void a_place_each(weft_test t) { (void)t, two_begin(true); }
TEST(dropped_continuation) {
    exhibit(&(specimen){.name = "dropped continuation", .bad = one_place, .good = a_place_each, .expected = WEFT_TEST_LEAK,
                        .because = "1 continuation was kept, and never used"});
}

/* ---- used after its frame ------------------------------------------------------------------------------- */

WEFT_EFFECT(give_up, char, long why;);
static weft_exit on_give_up(const give_up_op *op, void *answer, void *self) {
    (void)self;
    *(long *)answer = op->why;
    return weft_done;
}
typedef struct work {
    weft_test t;
    weft_gate *other_work; /* takes long enough, mostly; not the handler's, whose body may be aborted while that is opened */
    bool careful;
} work;
static long gives_up(work w);
WEFT_TASK(gives_up, long, work);
static long gives_up(work w) {
    weft_check(w.t, weft_perform(give_up, NULL, 7).code != WEFT_E_STALE);
    return 0;
}
static long opens(weft_gate *g);
WEFT_TASK(opens, long, weft_gate *);
static long opens(weft_gate *g) {
    weft_gate_open(g);
    return 0;
}
static long starts_one(work w);
WEFT_TASK(starts_one, long, work);
static long starts_one(work w) {
    gives_up_fiber f;
    if (!weft_ok(weft_spawn(&f, gives_up, w.t, w.other_work, w.careful))) return 0;
    if (w.careful) weft_await(f, gives_up, NULL);
    weft_spawn((opens_fiber *)NULL, opens, w.other_work);
    weft_gate_wait(w.other_work);
    weft_drop(f);
    return 1;
}
static void outlived(weft_test t, bool careful) {
    long out = 0;
    weft_gate other_work;
    weft_gate_init(&other_work);
    weft_handler h = WEFT_SHARED_HANDLER(NULL, WEFT_ABORT(give_up, on_give_up));
    WEFT_SCOPE(s, NULL) weft_handle(&h, starts_one, &out, t, &other_work, careful);
}
static void child_outlives(weft_test t) { outlived(t, false); }
static void child_is_awaited(weft_test t) { outlived(t, true); }
TEST(handler_used_after_its_frame) {
    exhibit(&(specimen){.name = "handler used after its frame", .bad = child_outlives, .good = child_is_awaited,
                        .expected = WEFT_TEST_CHECK, .because = "code != WEFT_E_STALE"});
}

TEST_MAIN
