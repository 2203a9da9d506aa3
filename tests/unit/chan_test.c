/* Channels: rendezvous, bounded, unbounded; closing; policies; limits of time; interrupts; plain threads; other runtimes.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/san.h"
#include "support/runs.h"
#include <pthread.h>
#include <weft/chan.h>
#include <weft/promise.h>
#include <weft/scope.h>
#include <weft/test.h>

WEFT_CHAN(numbers, long);

static bool failed(weft_exit e, int code) { return e.tag == WEFT_EXIT_FAIL && e.code == code; }
static bool ok(weft_exit e) { return weft_ok(e); }

static numbers_chan opened(int64_t capacity, weft_chan_policy policy) {
    numbers_chan c;
    CHECK_EQ(weft_chan_open(&c, .capacity = capacity, .policy = policy), WEFT_OK);
    return c;
}

/* A fiber that sends from, from + 1, ..., or receives that many; how many times it was ok. */
typedef struct job {
    numbers_chan c;
    long from, n;
    long *got; /* receiver: where they go, may be NULL */
    weft_exit *last;
} job;
static long sending(job j);
WEFT_TASK(sending, long, job);
static long sending(job j) {
    for (long i = 0; i < j.n; i++) {
        weft_exit e = weft_send(j.c, j.from + i);
        if (j.last) *j.last = e;
        if (!weft_ok(e)) return i;
    }
    return j.n;
}
static long receiving(job j);
WEFT_TASK(receiving, long, job);
static long receiving(job j) {
    for (long i = 0; i < j.n; i++) {
        long v = -1;
        weft_exit e = weft_receive(j.c, &v);
        if (j.last) *j.last = e;
        if (!weft_ok(e)) return i;
        if (j.got) j.got[i] = v;
    }
    return j.n;
}
static sending_fiber send_fiber(job j) {
    sending_fiber f;
    CHECK(ok(weft_spawn(&f, sending, j.c, j.from, j.n, j.got, j.last)));
    return f;
}
static receiving_fiber receive_fiber(job j) {
    receiving_fiber f;
    CHECK(ok(weft_spawn(&f, receiving, j.c, j.from, j.n, j.got, j.last)));
    return f;
}
static long end_of(receiving_fiber f) {
    long n = -1;
    CHECK(ok(weft_await(f, receiving, &n)));
    CHECK_EQ(weft_drop(f), WEFT_OK);
    return n;
}
static long end_of_sender(sending_fiber f) {
    long n = -1;
    CHECK(ok(weft_await(f, sending, &n)));
    CHECK_EQ(weft_drop(f), WEFT_OK);
    return n;
}
static void until_waits(weft_handle h) {
    while (weft_fiber_status(h) != WEFT_STATUS_SUSPENDED) CHECK(ok(weft_yield()));
}

/* ---- sending and receiving ---------------------------------------------------------------------------- */

static void in_order(void *arg) {
    (void)arg;
    static const int64_t capacities[] = {0, 1, 3, 128, WEFT_UNBOUNDED};
    for (unsigned k = 0; k < sizeof capacities / sizeof *capacities; k++) {
        long got[300];
        numbers_chan c = opened(capacities[k], WEFT_BLOCK);
        sending_fiber s = send_fiber((job){.c = c, .from = 5, .n = 300});
        receiving_fiber r = receive_fiber((job){.c = c, .n = 300, .got = got});
        CHECK_EQ(end_of(r), 300);
        CHECK_EQ(end_of_sender(s), 300);
        for (long i = 0; i < 300; i++) CHECK_EQ(got[i], 5 + i);
        CHECK_EQ(weft_chan_count(c), 0);
        weft_chan_destroy(c);
    }
}
TEST(values_arrive_once_and_in_order) { often(WEFT_CLOCK_AUTO, in_order, 20); }

static void meets(void *arg) {
    (void)arg;
    numbers_chan c = opened(0, WEFT_BLOCK);
    sending_fiber s = send_fiber((job){.c = c, .from = 7, .n = 1});
    until_waits(s.handle);
    CHECK_EQ(weft_chan_count(c), 0);
    CHECK(!weft_is_done(s));
    long v = 0;
    CHECK(ok(weft_receive(c, &v)) && v == 7);
    CHECK_EQ(end_of_sender(s), 1);
    weft_chan_destroy(c);
}
TEST(a_rendezvous_ends_when_the_value_was_received) { on_clock(WEFT_CLOCK_AUTO, meets); }

static void holds(void *arg) {
    (void)arg;
    numbers_chan c = opened(2, WEFT_BLOCK);
    CHECK(ok(weft_send(c, 1)));
    CHECK(ok(weft_send(c, 2)));
    CHECK_EQ(weft_chan_count(c), 2);
    sending_fiber s = send_fiber((job){.c = c, .from = 3, .n = 2});
    until_waits(s.handle);
    for (long i = 1; i <= 4; i++) {
        long v = 0;
        CHECK(ok(weft_receive(c, &v)));
        CHECK_EQ(v, i);
    }
    CHECK_EQ(end_of_sender(s), 2);
    weft_chan_destroy(c);
}
TEST(a_full_channel_makes_the_sender_wait) { on_clock(WEFT_CLOCK_AUTO, holds); }

static void in_turn(void *arg) {
    (void)arg;
    numbers_chan c = opened(0, WEFT_BLOCK);
    long got[4];
    receiving_fiber r[4];
    for (int i = 0; i < 4; i++) {
        r[i] = receive_fiber((job){.c = c, .n = 1, .got = &got[i]});
        until_waits(r[i].handle);
    }
    for (long i = 0; i < 4; i++) CHECK(ok(weft_send(c, i)));
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(end_of(r[i]), 1);
        CHECK_EQ(got[i], i);
    }
    weft_chan_destroy(c);
}
TEST(who_waits_longest_is_served_first) { on_clock(WEFT_CLOCK_AUTO, in_turn); }

typedef struct odd {
    char text[3];
} odd;
typedef struct big {
    long number[200];
} big;
WEFT_CHAN(bytes, char);
WEFT_CHAN(odds, odd);
WEFT_CHAN(bigs, big);
static void any_size(void *arg) {
    (void)arg;
    static const int64_t capacities[] = {1, 5, WEFT_UNBOUNDED};
    for (int k = 0; k < 3; k++) {
        bytes_chan a;
        odds_chan b;
        bigs_chan d;
        CHECK_EQ(weft_chan_open(&a, .capacity = capacities[k]), WEFT_OK);
        CHECK_EQ(weft_chan_open(&b, .capacity = capacities[k]), WEFT_OK);
        CHECK_EQ(weft_chan_open(&d, .capacity = capacities[k]), WEFT_OK);
        for (int i = 0; i < 20; i++) {
            char x = 0;
            odd y;
            big *z = malloc(sizeof *z), *sent = calloc(1, sizeof *sent);
            sent->number[199] = i;
            CHECK(ok(weft_send(a, (char)i)) && ok(weft_receive(a, &x)));
            CHECK_EQ(x, i);
            CHECK(ok(weft_send(b, (odd){"ab"})) && ok(weft_receive(b, &y)));
            CHECK(strcmp(y.text, "ab") == 0);
            CHECK(ok(weft_chan_send(d.chan, sent)) && ok(weft_receive(d, z)));
            CHECK_EQ(z->number[199], i);
            free(z);
            free(sent);
        }
        weft_chan_destroy(a);
        weft_chan_destroy(b);
        weft_chan_destroy(d);
    }
}
TEST(values_are_of_any_size) { on_clock(WEFT_CLOCK_AUTO, any_size); }

static void unbounded(void *arg) {
    (void)arg;
    numbers_chan c = opened(WEFT_UNBOUNDED, WEFT_BLOCK);
    long next = 0, v;
    for (long i = 0; i < 5000; i++) {
        CHECK(ok(weft_send(c, i)));
        if (i % 3) continue;
        CHECK(ok(weft_receive(c, &v)));
        CHECK_EQ(v, next++);
    }
    while (weft_chan_count(c)) {
        CHECK(ok(weft_receive(c, &v)));
        CHECK_EQ(v, next++);
    }
    CHECK_EQ(next, 5000);
    for (long i = 0; i < 1200; i++) CHECK(ok(weft_send(c, i)));
    weft_chan_destroy(c);
}
TEST(an_unbounded_channel_never_makes_its_senders_wait) { on_clock(WEFT_CLOCK_AUTO, unbounded); }

static void tries(void *arg) {
    (void)arg;
    long v = 77;
    numbers_chan c = opened(1, WEFT_BLOCK), r = opened(0, WEFT_BLOCK);
    CHECK_EQ(weft_try_receive(c, &v), WEFT_E_WOULDBLOCK);
    CHECK_EQ(weft_try_send(c, 1), WEFT_OK);
    CHECK_EQ(weft_try_send(c, 2), WEFT_E_WOULDBLOCK);
    CHECK_EQ(v, 77);
    CHECK_EQ(weft_try_receive(c, &v), WEFT_OK);
    CHECK_EQ(v, 1);
    CHECK_EQ(weft_try_send(r, 3), WEFT_E_WOULDBLOCK);
    CHECK_EQ(weft_try_receive(r, &v), WEFT_E_WOULDBLOCK);
    if (thread_fiber()) {
        long got = 0;
        receiving_fiber f = receive_fiber((job){.c = r, .n = 1, .got = &got});
        until_waits(f.handle);
        CHECK_EQ(weft_try_send(r, 4), WEFT_OK);
        CHECK_EQ(end_of(f), 1);
        CHECK_EQ(got, 4);
    }
    CHECK_EQ(weft_chan_close(c), WEFT_OK);
    CHECK_EQ(weft_try_send(c, 1), WEFT_E_CLOSED);
    CHECK_EQ(weft_try_receive(c, &v), WEFT_E_CLOSED);
    weft_chan_destroy(c);
    weft_chan_destroy(r);
}
TEST(to_try_never_waits) {
    on_clock(WEFT_CLOCK_AUTO, tries);
    tries(NULL);
}

/* ---- closing ------------------------------------------------------------------------------------------ */

static void closes(void *arg) {
    (void)arg;
    numbers_chan c = opened(3, WEFT_BLOCK);
    long v = 0;
    weft_exit last = {0};
    for (long i = 0; i < 3; i++) CHECK(ok(weft_send(c, i)));
    sending_fiber s = send_fiber((job){.c = c, .from = 3, .n = 1, .last = &last});
    until_waits(s.handle);
    CHECK_EQ(weft_chan_close(c), WEFT_OK);
    CHECK_EQ(weft_chan_close(c), WEFT_E_CLOSED);
    CHECK_EQ(end_of_sender(s), 0); /* and its value is its own */
    CHECK(failed(last, WEFT_E_CLOSED));
    CHECK(failed(weft_send(c, 9), WEFT_E_CLOSED));
    for (long i = 0; i < 3; i++) {
        CHECK(ok(weft_receive(c, &v)));
        CHECK_EQ(v, i);
    }
    CHECK(failed(weft_receive(c, &v), WEFT_E_CLOSED));
    CHECK(failed(weft_receive_for(c, &v, weft_s(1)), WEFT_E_CLOSED));
    CHECK_EQ(v, 2);
    weft_chan_destroy(c);
}
TEST(closed_it_is_drained_and_what_waits_to_send_fails) { on_clock(WEFT_CLOCK_AUTO, closes); }

static void wakes_receivers(void *arg) {
    (void)arg;
    numbers_chan c = opened(0, WEFT_BLOCK);
    weft_exit last[5];
    receiving_fiber r[5];
    for (int i = 0; i < 5; i++) r[i] = receive_fiber((job){.c = c, .n = 1, .last = &last[i]});
    for (int i = 0; i < 5; i++) until_waits(r[i].handle);
    CHECK_EQ(weft_chan_close(c), WEFT_OK);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(end_of(r[i]), 0);
        CHECK(failed(last[i], WEFT_E_CLOSED));
    }
    weft_chan_destroy(c);
}
TEST(closed_all_who_wait_to_receive_are_told) { on_clock(WEFT_CLOCK_AUTO, wakes_receivers); }

/* The receiver may destroy it once it has the last value, though the sender has not returned. */
static long last_one(numbers_chan c);
WEFT_TASK(last_one, long, numbers_chan);
static long last_one(numbers_chan c) { return weft_ok(weft_send(c, 1)); }
static void destroyed_by_the_receiver(void *arg) {
    (void)arg;
    for (int i = 0; i < 50; i++) {
        long v = 0;
        numbers_chan c = opened(i % 2, WEFT_BLOCK);
        last_one_fiber f;
        CHECK(ok(weft_spawn(&f, last_one, c.chan)));
        CHECK(ok(weft_receive(c, &v)) && v == 1);
        weft_chan_destroy(c);
        CHECK(ok(weft_await(f, last_one, &v)) && v == 1);
        weft_drop(f);
    }
}
TEST(who_receives_the_last_value_may_destroy_the_channel) { often(WEFT_CLOCK_AUTO, destroyed_by_the_receiver, 10); }

/* ---- policies and the drop hook ----------------------------------------------------------------------- */

static _Atomic long dropped, dropped_sum;
static void drop_number(void *value) {
    dropped++;
    dropped_sum += *(long *)value;
}
static numbers_chan hooked(int64_t capacity, weft_chan_policy policy) {
    numbers_chan c;
    dropped = dropped_sum = 0;
    CHECK_EQ(weft_chan_open(&c, .capacity = capacity, .policy = policy, .drop = drop_number), WEFT_OK);
    return c;
}

static void policies(void *arg) {
    (void)arg;
    long v = 0;
    numbers_chan c = hooked(2, WEFT_DROPPING);
    for (long i = 1; i <= 5; i++) CHECK(ok(weft_send(c, i)));
    CHECK_EQ(dropped, 3);
    CHECK_EQ(dropped_sum, 3 + 4 + 5);
    CHECK(ok(weft_receive(c, &v)) && v == 1);
    CHECK(ok(weft_receive(c, &v)) && v == 2);
    weft_chan_destroy(c);

    c = hooked(2, WEFT_SLIDING);
    for (long i = 1; i <= 5; i++) CHECK_EQ(weft_try_send(c, i), WEFT_OK);
    CHECK_EQ(dropped, 3);
    CHECK_EQ(dropped_sum, 1 + 2 + 3);
    CHECK(ok(weft_receive(c, &v)) && v == 4);
    weft_chan_destroy(c);
    CHECK_EQ(dropped_sum, 1 + 2 + 3 + 5);

    c = hooked(100, WEFT_LATEST);
    for (long i = 1; i <= 5; i++) CHECK(ok(weft_send(c, i)));
    CHECK_EQ(weft_chan_count(c), 1);
    CHECK(ok(weft_receive(c, &v)) && v == 5);
    CHECK_EQ(weft_try_receive(c, &v), WEFT_E_WOULDBLOCK);
    CHECK_EQ(dropped_sum, 1 + 2 + 3 + 4);
    CHECK_EQ(weft_chan_close(c), WEFT_OK);
    CHECK(failed(weft_send(c, 1), WEFT_E_CLOSED));
    CHECK_EQ(dropped, 4);
    weft_chan_destroy(c);

    c = hooked(0, WEFT_DROPPING);
    CHECK(ok(weft_send(c, 8)));
    CHECK_EQ(dropped_sum, 8);
    weft_chan_destroy(c);
}
TEST(policies_lose_the_newest_or_the_oldest) {
    on_clock(WEFT_CLOCK_AUTO, policies);
    policies(NULL);
}

static void lossy_hands_over(void *arg) {
    (void)arg;
    for (weft_chan_policy p = WEFT_DROPPING; p <= WEFT_LATEST; p++) {
        numbers_chan c = hooked(1, p);
        long got = 0;
        receiving_fiber r = receive_fiber((job){.c = c, .n = 1, .got = &got});
        until_waits(r.handle);
        CHECK(ok(weft_send(c, 6)));
        CHECK_EQ(end_of(r), 1);
        CHECK_EQ(got, 6);
        CHECK_EQ(dropped, 0);
        weft_chan_destroy(c);
    }
}
TEST(a_receiver_that_waits_gets_it_whatever_the_policy) { on_clock(WEFT_CLOCK_AUTO, lossy_hands_over); }

static void big_dropped(void *value) { dropped_sum += ((big *)value)->number[199]; }
static void drops_big(void *arg) {
    (void)arg;
    bigs_chan c;
    big *b = calloc(1, sizeof *b);
    dropped_sum = 0;
    CHECK_EQ(weft_chan_open(&c, .capacity = 2, .policy = WEFT_SLIDING, .drop = big_dropped), WEFT_OK);
    for (long i = 1; i <= 6; i++) {
        b->number[199] = i;
        CHECK(ok(weft_chan_send(c.chan, b)));
    }
    CHECK_EQ(dropped_sum, 1 + 2 + 3 + 4);
    weft_chan_destroy(c);
    CHECK_EQ(dropped_sum, 1 + 2 + 3 + 4 + 5 + 6);
    free(b);
}
TEST(what_is_left_is_dropped_with_the_channel) {
    on_clock(WEFT_CLOCK_AUTO, drops_big);
    numbers_chan c = hooked(WEFT_UNBOUNDED, WEFT_BLOCK);
    for (long i = 0; i < 2000; i++) CHECK(ok(weft_send(c, i)));
    long v;
    for (long i = 0; i < 700; i++) CHECK(ok(weft_receive(c, &v)));
    CHECK_EQ(dropped, 0);
    weft_chan_destroy(c);
    CHECK_EQ(dropped, 1300);
}

/* ---- time --------------------------------------------------------------------------------------------- */

static void timed(void *arg) {
    (void)arg;
    long v = 0;
    numbers_chan c = opened(0, WEFT_BLOCK);
    weft_time began = weft_now();
    CHECK(failed(weft_receive_for(c, &v, weft_ms(2)), WEFT_E_TIMEOUT));
    CHECK(weft_now() - began >= weft_ms(2));
    CHECK(failed(weft_send_for(c, weft_ms(2), 1), WEFT_E_TIMEOUT));
    CHECK(weft_now() - began >= weft_ms(4));
    CHECK(failed(weft_receive_until(c, &v, began), WEFT_E_TIMEOUT));
    CHECK(failed(weft_send_until(c, began, 1), WEFT_E_TIMEOUT));
    CHECK(failed(weft_receive_for(c, &v, -1), WEFT_E_INVALID));
    CHECK(failed(weft_send_for(c, -1, 1), WEFT_E_INVALID));
    weft_chan_destroy(c);
    c = opened(1, WEFT_BLOCK);
    CHECK(ok(weft_send_until(c, began, 5))); /* the place wins */
    CHECK(ok(weft_receive_until(c, &v, began)) && v == 5);
    weft_chan_destroy(c);
}
TEST(waits_may_have_an_end) {
    on_clock(WEFT_CLOCK_AUTO, timed);
    on_clock(WEFT_CLOCK_REAL, timed);
    timed(NULL);
}

static long late_sender(numbers_chan c);
WEFT_TASK(late_sender, long, numbers_chan);
static long late_sender(numbers_chan c) {
    CHECK(ok(weft_sleep(weft_ms(5))));
    return weft_ok(weft_send_for(c, weft_ms(1), 9));
}
static void at_the_same_time(void *arg) {
    (void)arg;
    long v = 0, sent = 0;
    numbers_chan c = opened(0, WEFT_BLOCK);
    late_sender_fiber f;
    CHECK(ok(weft_spawn(&f, late_sender, c.chan)));
    weft_exit e = weft_receive_for(c, &v, weft_ms(5));
    CHECK(ok(weft_await(f, late_sender, &sent)));
    CHECK_EQ(sent, weft_ok(e)); /* both, or neither */
    weft_drop(f);
    weft_chan_destroy(c);
}
TEST(a_value_that_comes_with_the_end_of_the_time_is_received_or_kept) { on_clock(WEFT_CLOCK_AUTO, at_the_same_time); }

/* ---- interrupts --------------------------------------------------------------------------------------- */

static void interrupted(void *arg) {
    (void)arg;
    numbers_chan c = hooked(0, WEFT_BLOCK);
    weft_exit last = {0};
    long got[2] = {0, 0};
    receiving_fiber r[2];
    for (int i = 0; i < 2; i++) {
        r[i] = receive_fiber((job){.c = c, .n = 1, .got = &got[i], .last = &last});
        until_waits(r[i].handle);
    }
    CHECK(ok(weft_interrupt(r[0], "not you")));
    CHECK_EQ(last.code, WEFT_E_INTERRUPTED);
    CHECK(ok(weft_send(c, 3)));
    CHECK_EQ(end_of(r[1]), 1);
    CHECK_EQ(got[1], 3);
    CHECK_EQ(got[0], 0);
    weft_drop(r[0]);

    sending_fiber s[2];
    for (int i = 0; i < 2; i++) {
        s[i] = send_fiber((job){.c = c, .from = i, .n = 1, .last = &last});
        until_waits(s[i].handle);
    }
    CHECK(ok(weft_interrupt(s[0], NULL)));
    CHECK_EQ(last.code, WEFT_E_INTERRUPTED);
    CHECK(ok(weft_receive(c, &got[0])) && got[0] == 1);
    CHECK_EQ(end_of_sender(s[1]), 1);
    weft_drop(s[0]);
    CHECK_EQ(dropped, 0);
    weft_chan_destroy(c);
}
TEST(an_interrupted_wait_loses_nothing) { on_clock(WEFT_CLOCK_AUTO, interrupted); }

static long stubborn(numbers_chan c);
WEFT_TASK(stubborn, long, numbers_chan);
static long stubborn(numbers_chan c) {
    weft_mask m;
    long v = 0;
    weft_mask_begin(&m);
    CHECK(ok(weft_receive(c, &v)));
    CHECK_EQ(weft_mask_end(&m), WEFT_OK);
    CHECK_EQ(weft_receive(c, &v).code, WEFT_E_INTERRUPTED); /* at once, and again and again */
    CHECK_EQ(weft_send(c, v).code, WEFT_E_INTERRUPTED);
    return v;
}
static void masked(void *arg) {
    (void)arg;
    numbers_chan c = opened(0, WEFT_BLOCK);
    stubborn_fiber f;
    CHECK(ok(weft_spawn(&f, stubborn, c.chan)));
    until_waits(f.handle);
    CHECK_EQ(weft_interrupt_async(f, NULL).tag, WEFT_EXIT_OK);
    for (int i = 0; i < 5; i++) weft_yield();
    CHECK(ok(weft_send(c, 4)));
    CHECK_EQ(weft_await(f, stubborn, NULL).code, WEFT_E_CANCELLED);
    weft_drop(f);
    weft_chan_destroy(c);
}
TEST(a_masked_wait_goes_on) { on_clock(WEFT_CLOCK_AUTO, masked); }

/* ---- threads, other runtimes -------------------------------------------------------------------------- */

typedef struct outsider {
    numbers_chan in, out;
    long n;
} outsider;
static void *echo_thread(void *arg) {
    outsider *o = arg;
    for (long v; weft_ok(weft_receive(o->in, &v)); o->n++) CHECK(ok(weft_send(o->out, v + 1)));
    return NULL;
}
static void with_a_thread(void *arg) {
    (void)arg;
    outsider o = {opened(0, WEFT_BLOCK), opened(1, WEFT_BLOCK), 0};
    pthread_t t;
    pthread_create(&t, NULL, echo_thread, &o);
    for (long i = 0; i < 200; i++) {
        long v = 0;
        CHECK(ok(weft_send(o.in, i)));
        CHECK(ok(weft_receive(o.out, &v)));
        CHECK_EQ(v, i + 1);
    }
    CHECK_EQ(weft_chan_close(o.in), WEFT_OK);
    pthread_join(t, NULL);
    CHECK_EQ(o.n, 200);
    weft_chan_destroy(o.in);
    weft_chan_destroy(o.out);
}
/* Announced, so that nobody is called deadlocked. */
static void with_a_thread_outside(void *arg) {
    (void)arg;
    outsider o = {.n = 0};
    CHECK_EQ(weft_chan_open(&o.in, .outside = thread_fiber()->w->rt->handle), WEFT_OK);
    CHECK_EQ(weft_chan_open(&o.out, .outside = thread_fiber()->w->rt->handle), WEFT_OK);
    pthread_t t;
    pthread_create(&t, NULL, echo_thread, &o);
    for (long i = 0; i < 50; i++) {
        long v = 0;
        CHECK(ok(weft_send(o.in, i)));
        CHECK(ok(weft_receive(o.out, &v)));
    }
    CHECK_EQ(weft_chan_close(o.in), WEFT_OK);
    pthread_join(t, NULL);
    CHECK_EQ(weft_chan_close(o.out), WEFT_OK);
    weft_chan_destroy(o.in);
    weft_chan_destroy(o.out);
}
TEST(plain_threads_take_part) {
    with_a_thread(NULL); /* two threads */
    on_clock(WEFT_CLOCK_REAL, with_a_thread_outside);
    on_clock(WEFT_CLOCK_AUTO, with_a_thread_outside);
}

typedef struct abroad {
    weft_runtime *rt;
    outsider *o;
} abroad;
static void echo_body(void *arg) { echo_thread(arg); }
static void *echo_on(void *arg) {
    abroad *a = arg;
    CHECK_EQ(weft_call(a->rt, echo_body, a->o), WEFT_OK);
    return NULL;
}
TEST(two_runtimes_talk) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        weft_runtime *a, *b;
        CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = workers), &a), WEFT_OK);
        CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = workers), &b), WEFT_OK);
        outsider o = {opened(0, WEFT_BLOCK), opened(1, WEFT_BLOCK), 0};
        abroad there = {b, &o};
        sending_fiber s;
        receiving_fiber r;
        weft_spawn_options on_a = {.runtime = a};
        pthread_t t;
        long n = 0;
        pthread_create(&t, NULL, echo_on, &there);
        CHECK(ok(weft_spawn_with(&s, sending, on_a, o.in, 0, 500, NULL, NULL)));
        CHECK(ok(weft_spawn_with(&r, receiving, on_a, o.out, 0, 500, NULL, NULL)));
        CHECK(ok(weft_await(s, sending, &n)) && n == 500);
        CHECK(ok(weft_await(r, receiving, &n)) && n == 500);
        CHECK_EQ(weft_chan_close(o.in), WEFT_OK);
        pthread_join(t, NULL);
        weft_drop(s);
        weft_drop(r);
        weft_chan_destroy(o.in);
        weft_chan_destroy(o.out);
        CHECK_EQ(weft_close(a), WEFT_OK);
        CHECK_EQ(weft_close(b), WEFT_OK);
    }
}

/* ---- bad input ---------------------------------------------------------------------------------------- */

TEST(bad_input_is_refused) {
    numbers_chan c;
    weft_chan *raw;
    CHECK_EQ(weft_chan_open(&c, .capacity = -1), WEFT_E_INVALID);
    CHECK(c.chan == NULL);
    CHECK_EQ(weft_chan_open(&c, .capacity = (int64_t)(size_t)-5), WEFT_E_INVALID);
    CHECK_EQ(weft_chan_open(&c, .capacity = INT64_MAX - 1), WEFT_E_INVALID); /* times 8 */
    weft__heap_fail_at(1, 0);
    CHECK_EQ(weft_chan_open(&c, .capacity = 4), WEFT_E_NOMEM);
    weft__heap_fail_at(0, 0);
    CHECK_EQ(weft_chan_open(&c, .policy = WEFT_SLIDING), WEFT_E_INVALID);
    CHECK_EQ(weft_chan_open(&c, .policy = (weft_chan_policy)4), WEFT_E_INVALID);
    CHECK_EQ(weft_chan_new(&raw, 0, &(weft_chan_options){.capacity = 1}), WEFT_E_INVALID);
    CHECK_EQ(weft_chan_new(&raw, WEFT_ELEMENT_MAX + 1, &(weft_chan_options){.capacity = 1}), WEFT_E_INVALID);
    long v;
    c.chan = NULL;
    CHECK(failed(weft_send(c, 1), WEFT_E_INVALID));
    CHECK(failed(weft_receive(c, &v), WEFT_E_INVALID));
    CHECK_EQ(weft_try_send(c, 1), WEFT_E_INVALID);
    CHECK_EQ(weft_try_receive(c, &v), WEFT_E_INVALID);
    CHECK_EQ(weft_chan_close(c), WEFT_E_INVALID);
    CHECK_EQ(weft_chan_count(c), 0);
    weft_chan_destroy(c);
    weft_runtime *rt;
    CHECK_EQ(weft_open(NULL, &rt), WEFT_OK);
    CHECK_EQ(weft_close(rt), WEFT_OK);
    uint64_t live = weft__heap_live();
    CHECK_EQ(weft_chan_open(&c, .outside = rt), WEFT_E_CLOSED);
    CHECK_EQ(weft__heap_live(), live);
}

static void no_memory(void *arg) {
    (void)arg;
    numbers_chan c = opened(WEFT_UNBOUNDED, WEFT_BLOCK);
    weft__heap_fail_at(1, 1);
    weft_exit e = weft_send(c, 1);
    weft_err err = weft_try_send(c, 1);
    weft__heap_fail_at(0, 0);
    CHECK(failed(e, WEFT_E_NOMEM));
    CHECK_EQ(err, WEFT_E_NOMEM);
    CHECK(ok(weft_send(c, 2)));
    long v = 0;
    CHECK(ok(weft_receive(c, &v)) && v == 2);
    weft_chan_destroy(c);
}
TEST(an_unbounded_channel_without_memory_refuses) { no_memory(NULL); }

static void destroys(void *arg) {
    (void)arg;
    numbers_chan c = opened(0, WEFT_BLOCK);
    receiving_fiber r = receive_fiber((job){.c = c, .n = 1});
    until_waits(r.handle);
    weft_chan_destroy(c);
}
static void misuse(void *arg) { weft_run(NULL, destroys, arg); }
TEST(destroying_a_channel_on_which_somebody_waits_ends_the_program) {
    EXPECT_DEATH(misuse, NULL, SIGABRT, "somebody waits on the channel");
}

static void deadlocks(void *arg) {
    long v;
    CHECK_EQ(weft_receive(*(numbers_chan *)arg, &v).code, WEFT_E_DEADLOCK);
}
TEST(a_wait_that_nobody_can_end_is_a_deadlock) {
    numbers_chan c = opened(0, WEFT_BLOCK);
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 2), deadlocks, &c), WEFT_E_DEADLOCK);
    weft_chan_destroy(c);
}

TEST_MAIN
