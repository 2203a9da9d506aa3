/* Select over channels, time, promises; and the hub.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/san.h"
#include "support/runs.h"
#include <pthread.h>
#include <weft/hub.h>
#include <weft/scope.h>
#include <weft/select.h>
#include <weft/test.h>

WEFT_CHAN(numbers, long);

static bool failed(weft_exit e, int code) { return e.tag == WEFT_EXIT_FAIL && e.code == code; }
static bool ok(weft_exit e) { return weft_ok(e); }

static numbers_chan opened(int64_t capacity) {
    numbers_chan c;
    CHECK_EQ(weft_chan_open(&c, .capacity = capacity), WEFT_OK);
    return c;
}
static void until_waits(weft_handle h) {
    while (weft_fiber_status(h) != WEFT_STATUS_SUSPENDED) CHECK(ok(weft_yield()));
}

/* Receives from the first of several; returns which, and adds what it got to *got. */
enum { MOST = 8 };
typedef struct chooser {
    numbers_chan c[MOST];
    int n;
    long *got;
    weft_exit *exit;
} chooser;
typedef chooser *chooser_ref;
static long choosing(chooser *in);
WEFT_TASK(choosing, long, chooser_ref);
static long choosing(chooser *in) {
    weft_arm arms[MOST];
    weft_arm_room rooms[MOST];
    int which = -5;
    long value = 0;
    for (int i = 0; i < in->n; i++) arms[i] = WEFT_RECEIVE(in->c[i], &value);
    weft_exit e = weft_select_arms(&which, arms, rooms, (size_t)in->n);
    if (in->exit) *in->exit = e;
    if (in->got) *in->got += value;
    return which;
}
static long end_of(choosing_fiber f) {
    long which = -9;
    CHECK(ok(weft_await(f, choosing, &which)));
    weft_drop(f);
    return which;
}

/* ---- one of several ----------------------------------------------------------------------------------- */

static void ready_arms(void *arg) {
    (void)arg;
    numbers_chan a = opened(1), b = opened(1);
    int which;
    long v = 0, w = 3;
    CHECK(ok(weft_select(&which, WEFT_RECEIVE(a, &v), WEFT_SEND(b, &w))));
    CHECK_EQ(which, 1);
    CHECK(ok(weft_select(&which, WEFT_RECEIVE(b, &v), WEFT_RECEIVE(a, &v))));
    CHECK_EQ(which, 0);
    CHECK_EQ(v, 3);
    CHECK(ok(weft_select(&which, WEFT_RECEIVE(a, &v), WEFT_RECEIVE(b, &v), WEFT_OTHERWISE)));
    CHECK_EQ(which, 2);
    CHECK(ok(weft_send(a, 9)));
    CHECK(ok(weft_select(&which, WEFT_RECEIVE(a, &v), WEFT_RECEIVE(b, &v), WEFT_OTHERWISE)));
    CHECK_EQ(which, 0);
    CHECK_EQ(v, 9);
    numbers_chan off = {NULL};
    CHECK(ok(weft_select(&which, WEFT_RECEIVE(off, &v), WEFT_OTHERWISE)));
    CHECK_EQ(which, 1);
    weft_chan_destroy(a);
    weft_chan_destroy(b);
}
TEST(an_arm_that_is_ready_is_taken) {
    on_clock(WEFT_CLOCK_AUTO, ready_arms);
    ready_arms(NULL);
}

static void waits(void *arg) {
    (void)arg;
    for (int n = 1; n <= MOST; n++)
        for (int at = 0; at < n; at++) {
            long got = 0;
            chooser in = {.n = n, .got = &got};
            for (int i = 0; i < n; i++) in.c[i] = opened(0);
            choosing_fiber f;
            CHECK(ok(weft_spawn(&f, choosing, &in)));
            until_waits(f.handle);
            CHECK(ok(weft_send(in.c[at], 40 + at)));
            CHECK_EQ(end_of(f), at);
            CHECK_EQ(got, 40 + at);
            for (int i = 0; i < n; i++) CHECK_EQ(weft_try_send(in.c[i], 1), WEFT_E_WOULDBLOCK); /* nobody waits any more */
            for (int i = 0; i < n; i++) weft_chan_destroy(in.c[i]);
        }
}
TEST(a_select_waits_for_the_first_arm_and_leaves_the_others) { on_clock(WEFT_CLOCK_AUTO, waits); }

static void one_only(void *arg) {
    (void)arg;
    long got = 0;
    chooser in = {.n = 2, .got = &got, .c = {opened(1), opened(1)}};
    choosing_fiber f;
    CHECK(ok(weft_spawn(&f, choosing, &in)));
    until_waits(f.handle);
    CHECK(ok(weft_send(in.c[0], 1)));
    CHECK(ok(weft_send(in.c[1], 2)));
    long which = end_of(f), left = 0;
    CHECK_EQ(got, which + 1);
    CHECK_EQ(weft_try_receive(in.c[1 - which], &left), WEFT_OK);
    CHECK_EQ(left, 2 - which);
    CHECK_EQ(weft_try_receive(in.c[which], &left), WEFT_E_WOULDBLOCK);
    weft_chan_destroy(in.c[0]);
    weft_chan_destroy(in.c[1]);
}
TEST(one_arm_happens_and_no_other) { often(WEFT_CLOCK_AUTO, one_only, 20); }

/* ---- both sides --------------------------------------------------------------------------------------- */

typedef struct side {
    numbers_chan a, b;
    long n, sent, got, sum;
} side;
typedef side *side_ref;
/* Sends n on either, and receives n from either. */
static long both_ways(side *s);
WEFT_TASK(both_ways, long, side_ref);
static long both_ways(side *s) {
    while (s->sent < s->n || s->got < s->n) {
        numbers_chan off = {NULL};
        long v = s->sent + 1, in = 0;
        bool more = s->sent < s->n, want = s->got < s->n;
        int which;
        CHECK(ok(weft_select(&which, WEFT_SEND(more ? s->a : off, &v), WEFT_SEND(more ? s->b : off, &v),
                             WEFT_RECEIVE(want ? s->a : off, &in), WEFT_RECEIVE(want ? s->b : off, &in))));
        if (which < 2) {
            s->sent++;
        } else {
            s->got++;
            s->sum += in;
        }
    }
    return s->n;
}
static void meet(void *arg) {
    (void)arg;
    enum { N = 60 };
    numbers_chan a = opened(0), b = opened(0);
    side s[2] = {{.a = a, .b = b, .n = N}, {.a = b, .b = a, .n = N}};
    both_ways_fiber f[2];
    for (int i = 0; i < 2; i++) CHECK(ok(weft_spawn(&f[i], both_ways, &s[i])));
    for (int i = 0; i < 2; i++) {
        CHECK(ok(weft_await(f[i], both_ways, NULL)));
        weft_drop(f[i]);
    }
    for (int i = 0; i < 2; i++) CHECK_EQ(s[i].sum, N * (N + 1) / 2);
    weft_chan_destroy(a);
    weft_chan_destroy(b);
}
TEST(two_selects_meet_and_none_meets_itself) { often(WEFT_CLOCK_AUTO, meet, 50); }

static void same_channel(void *arg) {
    (void)arg;
    long got = 0;
    numbers_chan c = opened(0), d = opened(0);
    chooser in = {.n = 4, .got = &got, .c = {c, d, c, d}};
    choosing_fiber f;
    CHECK(ok(weft_spawn(&f, choosing, &in)));
    until_waits(f.handle);
    CHECK(ok(weft_send(d, 5)));
    long which = end_of(f);
    CHECK(which == 1 || which == 3);
    CHECK_EQ(got, 5);
    CHECK_EQ(weft_try_send(c, 1), WEFT_E_WOULDBLOCK);
    CHECK_EQ(weft_try_send(d, 1), WEFT_E_WOULDBLOCK);
    weft_chan_destroy(c);
    weft_chan_destroy(d);
}
TEST(one_channel_may_be_in_several_arms) { often(WEFT_CLOCK_AUTO, same_channel, 10); }

/* ---- closing, interrupts ------------------------------------------------------------------------------ */

static void closed_arm(void *arg) {
    (void)arg;
    weft_exit e = {0};
    chooser in = {.n = 3, .exit = &e, .c = {opened(0), opened(0), opened(0)}};
    choosing_fiber f;
    CHECK(ok(weft_spawn(&f, choosing, &in)));
    until_waits(f.handle);
    CHECK_EQ(weft_chan_close(in.c[1]), WEFT_OK);
    CHECK_EQ(end_of(f), 1);
    CHECK(failed(e, WEFT_E_CLOSED));
    int which;
    long v = 4;
    CHECK(failed(weft_select(&which, WEFT_SEND(in.c[1], &v), WEFT_SEND(in.c[0], &v)), WEFT_E_CLOSED));
    CHECK_EQ(which, 0);
    for (int i = 0; i < 3; i++) weft_chan_destroy(in.c[i]);
}
TEST(a_channel_that_is_closed_is_an_arm_that_happens) { often(WEFT_CLOCK_AUTO, closed_arm, 10); }

static void interrupted(void *arg) {
    (void)arg;
    weft_exit e = {0};
    long got = 0;
    chooser in = {.n = 2, .exit = &e, .got = &got, .c = {opened(0), opened(0)}};
    choosing_fiber f;
    CHECK(ok(weft_spawn(&f, choosing, &in)));
    until_waits(f.handle);
    CHECK(ok(weft_interrupt(f, "enough")));
    CHECK_EQ(e.code, WEFT_E_INTERRUPTED);
    CHECK_EQ(weft_try_send(in.c[0], 1), WEFT_E_WOULDBLOCK);
    CHECK_EQ(weft_try_send(in.c[1], 1), WEFT_E_WOULDBLOCK);
    CHECK_EQ(got, 0);
    weft_drop(f);
    for (int i = 0; i < 2; i++) weft_chan_destroy(in.c[i]);
}
TEST(an_interrupted_select_has_done_nothing) { on_clock(WEFT_CLOCK_AUTO, interrupted); }

/* ---- time, promises ----------------------------------------------------------------------------------- */

static void timed(void *arg) {
    (void)arg;
    numbers_chan c = opened(0);
    int which;
    long v = 0;
    weft_time began = weft_now();
    CHECK(ok(weft_select(&which, WEFT_RECEIVE(c, &v), WEFT_AFTER(weft_ms(50)), WEFT_AFTER(weft_ms(3)))));
    CHECK_EQ(which, 2);
    CHECK(weft_now() - began >= weft_ms(3));
    CHECK(ok(weft_select(&which, WEFT_RECEIVE(c, &v), WEFT_UNTIL(began))));
    CHECK_EQ(which, 1);
    CHECK(ok(weft_select(&which, WEFT_AFTER(weft_ms(1)))));
    CHECK_EQ(which, 0);
    CHECK(ok(weft_select(&which, WEFT_RECEIVE(c, &v), WEFT_AFTER(weft_s(9)), WEFT_OTHERWISE)));
    CHECK_EQ(which, 2);
    CHECK(failed(weft_select(&which, WEFT_RECEIVE(c, &v), WEFT_AFTER(-1)), WEFT_E_INVALID));
    CHECK_EQ(which, -1);
    weft_chan_destroy(c);
}
TEST(the_earliest_time_is_an_arm) {
    on_clock(WEFT_CLOCK_AUTO, timed);
    on_clock(WEFT_CLOCK_REAL, timed);
    timed(NULL);
}

typedef struct later {
    weft_promise *p;
    void *value;
} later;
static long completing(later l);
WEFT_TASK(completing, long, later);
static long completing(later l) {
    CHECK(ok(weft_sleep(weft_ms(1))));
    CHECK_EQ(weft_promise_complete(l.p, l.value), WEFT_OK);
    return 0;
}
static void promised(void *arg) {
    (void)arg;
    numbers_chan c = opened(0);
    weft_promise p = WEFT_PROMISE, q = WEFT_PROMISE;
    int which;
    long v = 0, here = 1;
    void *value = NULL;
    completing_fiber f;
    CHECK(ok(weft_spawn(&f, completing, &p, &here)));
    CHECK(ok(weft_select(&which, WEFT_RECEIVE(c, &v), WEFT_COMPLETED(&q, NULL), WEFT_COMPLETED(&p, &value),
                         WEFT_COMPLETED(&p, &value), WEFT_AFTER(weft_s(100)))));
    CHECK(which == 2 || which == 3);
    CHECK(value == &here);
    CHECK(ok(weft_select(&which, WEFT_RECEIVE(c, &v), WEFT_COMPLETED(&p, NULL), WEFT_OTHERWISE)));
    CHECK_EQ(which, 1);
    CHECK_EQ(weft_promise_fail(&q, (weft_exit){WEFT_EXIT_FAIL, 300, NULL}), WEFT_OK);
    CHECK(failed(weft_select(&which, WEFT_RECEIVE(c, &v), WEFT_COMPLETED(&q, NULL)), 300));
    CHECK_EQ(which, 1);
    CHECK(ok(weft_await(f, completing, NULL)));
    weft_drop(f);
    weft_chan_destroy(c);
}
TEST(a_promise_is_an_arm) { often(WEFT_CLOCK_AUTO, promised, 10); }

/* ---- plain threads ------------------------------------------------------------------------------------ */

typedef struct outsider {
    numbers_chan a, b, done;
    weft_promise *stop;
    long sum;
} outsider;
static void *thread(void *arg) {
    outsider *o = arg;
    for (;;) {
        int which;
        long v = 0;
        CHECK(ok(weft_select(&which, WEFT_RECEIVE(o->a, &v), WEFT_RECEIVE(o->b, &v), WEFT_COMPLETED(o->stop, NULL))));
        if (which == 2) return NULL;
        o->sum += v;
        CHECK(ok(weft_send(o->done, v)));
    }
}
static void from_a_thread(void *arg) {
    (void)arg;
    weft_promise stop = WEFT_PROMISE;
    outsider o = {.stop = &stop};
    weft_runtime *rt = thread_fiber() ? thread_fiber()->w->rt->handle : NULL;
    CHECK_EQ(weft_chan_open(&o.a, .outside = rt), WEFT_OK);
    CHECK_EQ(weft_chan_open(&o.b, .capacity = 2), WEFT_OK);
    CHECK_EQ(weft_chan_open(&o.done), WEFT_OK);
    pthread_t t;
    long v;
    pthread_create(&t, NULL, thread, &o);
    for (long i = 0; i < 100; i++) {
        CHECK(ok(weft_send(i % 2 ? o.a : o.b, i)));
        CHECK(ok(weft_receive(o.done, &v)));
    }
    CHECK_EQ(weft_promise_complete(&stop, NULL), WEFT_OK);
    pthread_join(t, NULL);
    CHECK_EQ(o.sum, 4950);
    weft_chan_destroy(o.a);
    weft_chan_destroy(o.b);
    weft_chan_destroy(o.done);
}
TEST(a_plain_thread_may_select) {
    from_a_thread(NULL);
    on_clock(WEFT_CLOCK_REAL, from_a_thread);
}

/* ---- fairness, bad input ------------------------------------------------------------------------------ */

static void fair(void *arg) {
    (void)arg;
    enum { N = 4, ROUNDS = 4000 };
    numbers_chan c[N];
    int count[N] = {0};
    for (int i = 0; i < N; i++) {
        c[i] = opened(1);
        CHECK(ok(weft_send(c[i], i)));
    }
    for (int i = 0; i < ROUNDS; i++) {
        int which;
        long v;
        CHECK(ok(weft_select(&which, WEFT_RECEIVE(c[0], &v), WEFT_RECEIVE(c[1], &v), WEFT_RECEIVE(c[2], &v),
                             WEFT_RECEIVE(c[3], &v))));
        CHECK_EQ(v, which);
        count[which]++;
        CHECK(ok(weft_send(c[which], which)));
    }
    for (int i = 0; i < N; i++) {
        CHECK(count[i] > ROUNDS / N * 3 / 4 && count[i] < ROUNDS / N * 5 / 4);
        weft_chan_destroy(c[i]);
    }
}
TEST(arms_that_are_ready_have_the_same_chance) {
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), fair, NULL), WEFT_OK);
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC), fair, NULL), WEFT_OK);
}

static void bad(void *arg) {
    (void)arg;
    int which = 7;
    long v;
    numbers_chan off = {NULL};
    CHECK(failed(weft_select(&which), WEFT_E_INVALID));
    CHECK_EQ(which, -1);
    CHECK(failed(weft_select(&which, WEFT_RECEIVE(off, &v), WEFT_SEND(off, &v)), WEFT_E_INVALID));
    static weft_arm arms[WEFT_SELECT_MOST + 1];
    static weft_arm_room rooms[WEFT_SELECT_MOST + 1];
    CHECK(failed(weft_select_arms(&which, arms, rooms, WEFT_SELECT_MOST + 1), WEFT_E_LIMIT));
    CHECK(failed(weft_select_arms(&which, arms, rooms, WEFT_SELECT_MOST), WEFT_E_INVALID)); /* all of them never ready */
    CHECK(ok(weft_select(&which, WEFT_OTHERWISE)));
    CHECK_EQ(which, 0);
}
TEST(a_select_that_could_never_end_is_refused) {
    on_clock(WEFT_CLOCK_AUTO, bad);
    bad(NULL);
}

/* ---- the hub ------------------------------------------------------------------------------------------ */

typedef struct listener {
    numbers_chan c;
    long n, sum;
} listener;
typedef listener *listener_ref;
/* Until it is closed. */
static long listening(listener *l);
WEFT_TASK(listening, long, listener_ref);
static long listening(listener *l) {
    for (long v, last = 0; weft_ok(weft_receive(l->c, &v)); last = v) {
        CHECK(v > last);
        l->n++;
        l->sum += v;
    }
    return l->n;
}

static weft_hub *opened_hub(const weft_hub_options *o) {
    weft_hub *h;
    CHECK_EQ(weft_hub_open(&h, sizeof(long), o), WEFT_OK);
    return h;
}

static void broadcast(void *arg) {
    (void)arg;
    enum { N = 5 };
    weft_hub *h = opened_hub(NULL);
    listener l[N] = {{.n = 0}};
    listening_fiber f[N];
    long early = 1000;
    CHECK(ok(weft_publish(h, &early))); /* nobody hears it */
    for (int i = 0; i < N; i++) {
        CHECK_EQ(weft_subscribe(h, &l[i].c, .capacity = i), WEFT_OK);
        CHECK(ok(weft_spawn(&f[i], listening, &l[i])));
    }
    CHECK_EQ(weft_hub_subscribers(h), N);
    for (long v = 1; v <= 100; v++) CHECK(ok(weft_publish(h, &v)));
    CHECK_EQ(weft_hub_close(h), WEFT_OK);
    CHECK_EQ(weft_hub_close(h), WEFT_E_CLOSED);
    CHECK(failed(weft_publish(h, &early), WEFT_E_CLOSED));
    for (int i = 0; i < N; i++) {
        CHECK(ok(weft_await(f[i], listening, NULL)));
        weft_drop(f[i]);
        CHECK_EQ(l[i].n, 100);
        CHECK_EQ(l[i].sum, 5050);
        CHECK_EQ(weft_unsubscribe(h, l[i].c), WEFT_OK);
    }
    numbers_chan c;
    CHECK_EQ(weft_subscribe(h, &c), WEFT_E_CLOSED);
    weft_hub_destroy(h);
}
TEST(what_is_published_goes_to_every_subscriber) { often(WEFT_CLOCK_AUTO, broadcast, 10); }

static _Atomic long copies, lost;
static void copied(void *value) { copies += *(long *)value != 0; }
static void lose(void *value) { lost += *(long *)value != 0; }

static long publishing(weft_hub *h);
typedef weft_hub *hub_ref;
WEFT_TASK(publishing, long, hub_ref);
static long publishing(weft_hub *h) {
    long v = 1;
    for (; v <= 10; v++)
        if (!weft_ok(weft_publish(h, &v))) break;
    return v - 1;
}

/* One blocks, one loses; the publisher waits for the first alone; it leaves, and the publisher goes on. */
static void leaves(void *arg) {
    (void)arg;
    copies = lost = 0;
    weft_hub *h = opened_hub(&(weft_hub_options){.copied = copied, .drop = lose});
    numbers_chan slow, lossy, last;
    CHECK_EQ(weft_subscribe(h, &lossy, .capacity = 3, .policy = WEFT_SLIDING), WEFT_OK);
    CHECK_EQ(weft_subscribe(h, &slow, .capacity = 2), WEFT_OK);
    CHECK_EQ(weft_subscribe(h, &last, .capacity = 100), WEFT_OK);
    publishing_fiber f;
    long v = 0, done = 0;
    CHECK(ok(weft_spawn(&f, publishing, h)));
    until_waits(f.handle);
    CHECK_EQ(weft_chan_count(slow), 2);
    CHECK_EQ(weft_chan_count(last), 2);
    CHECK_EQ(weft_chan_count(lossy), 3);
    CHECK(ok(weft_receive(slow, &v)) && v == 1);
    CHECK_EQ(weft_unsubscribe(h, slow), WEFT_OK);
    CHECK_EQ(weft_unsubscribe(h, slow), WEFT_E_INVALID);
    CHECK(ok(weft_await(f, publishing, &done)));
    CHECK_EQ(done, 10);
    weft_drop(f);
    CHECK_EQ(weft_chan_count(last), 10);
    CHECK(ok(weft_receive(lossy, &v)) && v == 8);
    CHECK_EQ(weft_unsubscribe(h, lossy), WEFT_OK);
    CHECK_EQ(weft_unsubscribe(h, last), WEFT_OK);
    CHECK_EQ(weft_hub_subscribers(h), 0);
    CHECK_EQ(lost + 2, copies); /* two were received */
    weft_hub_destroy(h);
}
TEST(who_leaves_in_the_middle_does_not_fail_the_publisher) { often(WEFT_CLOCK_AUTO, leaves, 10); }

static void closes_meanwhile(void *arg) {
    (void)arg;
    weft_hub *h = opened_hub(NULL);
    numbers_chan slow;
    long v = 0, done = 0;
    CHECK_EQ(weft_subscribe(h, &slow, .capacity = 1), WEFT_OK);
    publishing_fiber f;
    CHECK(ok(weft_spawn(&f, publishing, h)));
    until_waits(f.handle);
    CHECK_EQ(weft_hub_close(h), WEFT_OK);
    CHECK(ok(weft_await(f, publishing, &done)));
    CHECK_EQ(done, 1);
    weft_drop(f);
    CHECK(ok(weft_receive(slow, &v)) && v == 1);
    CHECK(failed(weft_receive(slow, &v), WEFT_E_CLOSED));
    CHECK_EQ(weft_unsubscribe(h, slow), WEFT_OK);

    weft_hub_destroy(h);
    h = opened_hub(NULL);
    CHECK_EQ(weft_subscribe(h, &slow), WEFT_OK);
    CHECK(ok(weft_spawn(&f, publishing, h)));
    until_waits(f.handle);
    CHECK(ok(weft_interrupt(f, NULL)));
    weft_drop(f);
    CHECK_EQ(weft_unsubscribe(h, slow), WEFT_OK);
    weft_hub_destroy(h);
}
TEST(a_publisher_that_waits_is_told_of_the_end) { on_clock(WEFT_CLOCK_AUTO, closes_meanwhile); }

static void hub_misuse(void *arg) {
    weft_hub *h = opened_hub(NULL);
    numbers_chan c;
    CHECK_EQ(weft_subscribe(h, &c), WEFT_OK);
    weft_hub_destroy(h);
    (void)arg;
}
TEST(bad_input_of_the_hub_is_refused) {
    weft_hub *h;
    numbers_chan c;
    WEFT_CHAN(letters, char);
    letters_chan other;
    CHECK_EQ(weft_hub_open(&h, 0, NULL), WEFT_E_INVALID);
    CHECK(h == NULL);
    CHECK(failed(weft_publish(h, &h), WEFT_E_INVALID));
    CHECK_EQ(weft_subscribe(h, &c), WEFT_E_INVALID);
    h = opened_hub(NULL);
    CHECK_EQ(weft_subscribe(h, &other), WEFT_E_INVALID);
    CHECK_EQ(weft_subscribe(h, &c, .capacity = -1), WEFT_E_INVALID);
    weft_hub_destroy(h);
    EXPECT_DEATH(hub_misuse, NULL, SIGABRT, "still subscribes");
}

TEST_MAIN
