/* Programs with channels that are wrong, each in a way people get wrong: the search finds it, and replays it.
 *
 *   lost message    a job is received and finished after a cancellation point; interrupted there, the job is gone
 *   missed close    the end is told by a flag beside the channel: who looked before waits for ever
 *   early close     the first of several senders that has finished closes
 *   try, then wait  a value is looked for, and taken for granted later
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include <weft/cancel.h>
#include <weft/select.h>
#include <weft/test.h>

WEFT_CHAN(jobs, int);

/* The search finds a failure of this kind, which can be had again. */
static void found(void (*program)(weft_test), weft_test_failure kind, weft_explore how) {
    static weft_test_result r;
    WEFT_TEST(t, .name = "wrong", .runs = 5000, .explore = how, .result = &r) { program(t); }
    if (r.failure != kind) fprintf(stderr, "%s\n", r.report);
    CHECK_EQ(r.failure, kind);
    CHECK(r.repeatable);
    static weft_test_result again;
    WEFT_TEST(t, .name = "wrong", .schedule = r.schedule, .seed = r.seed, .result = &again) { program(t); }
    CHECK_EQ(again.failure, kind);
}
static void not_found(void (*program)(weft_test), weft_explore how) {
    WEFT_TEST(t, .name = "right", .runs = 1000, .explore = how) { program(t); }
}
static void both(void (*wrong)(weft_test), weft_test_failure kind, void (*right)(weft_test)) {
    for (weft_explore how = WEFT_EXPLORE_RANDOM; how <= WEFT_EXPLORE_PCT; how++) {
        found(wrong, kind, how);
        not_found(right, how);
    }
}

static int done;

/* ---- lost message -------------------------------------------------------------------------------------- */

typedef struct work {
    jobs_chan in;
    bool careful;
} work;
static int worker(work w);
WEFT_TASK(worker, int, work);
static int worker(work w) {
    int job;
    while (weft_ok(weft_receive(w.in, &job))) {
        weft_mask m;
        if (w.careful) weft_mask_begin(&m); /* what was received is finished */
        weft_exit e = weft_yield();
        if (weft_ok(e)) done++;
        if (w.careful) weft_mask_end(&m);
        if (!weft_ok(e)) break;
    }
    return 0;
}
static void jobs(weft_test t, bool careful) {
    jobs_chan c;
    worker_fiber w;
    done = 0;
    int left = 0, job, sent = 0;
    weft_chan_open(&c, .capacity = 4);
    weft_spawn(&w, worker, c, careful);
    for (; sent < 3; sent++) weft_send(c, sent);
    weft_interrupt(w, "enough");
    weft_drop(w);
    while (weft_try_receive(c, &job) == WEFT_OK) left++;
    weft_check(t, done + left == sent);
    weft_chan_destroy(c);
}
static void lost_message(weft_test t) { jobs(t, false); }
static void no_lost_message(weft_test t) { jobs(t, true); }
TEST(a_message_lost_on_cancel_is_found) { both(lost_message, WEFT_TEST_CHECK, no_lost_message); }

/* ---- missed close -------------------------------------------------------------------------------------- */

static bool over;
static int flagged(work w);
WEFT_TASK(flagged, int, work);
static int flagged(work w) {
    int job, n = 0;
    for (;; n++) {
        weft_point();
        if (!w.careful && over) break;
        if (!weft_ok(weft_receive(w.in, &job))) break;
    }
    return n;
}
static void ends(bool careful) {
    jobs_chan c;
    weft_mask m; /* a deadlock is undone by asking all to stop: this one stays to clean up */
    weft_mask_begin(&m);
    flagged_fiber f;
    over = false;
    weft_chan_open(&c, .capacity = 1);
    weft_spawn(&f, flagged, c, careful);
    weft_send(c, 1);
    weft_point();
    over = true;
    if (careful) weft_chan_close(c);
    weft_await(f, flagged, NULL);
    weft_drop(f);
    weft_chan_destroy(c);
    weft_mask_end(&m);
}
static void missed_close(weft_test t) { (void)t, ends(false); }
static void closed(weft_test t) { (void)t, ends(true); }
TEST(a_missed_close_is_found) { both(missed_close, WEFT_TEST_DEADLOCK, closed); }

/* ---- closed by the first of two ------------------------------------------------------------------------ */

static int live;
static int sender(work w);
WEFT_TASK(sender, int, work);
static int sender(work w) {
    int n = 0;
    for (int i = 0; i < 2; i++) n += weft_ok(weft_send(w.in, i));
    if (!w.careful || --live == 0) weft_chan_close(w.in);
    return n;
}
static void two_senders(weft_test t, bool careful) {
    jobs_chan c;
    sender_fiber s[2];
    int job, n = 0;
    live = 2;
    weft_chan_open(&c, .capacity = 1);
    for (int i = 0; i < 2; i++) weft_spawn(&s[i], sender, c, careful);
    while (weft_ok(weft_receive(c, &job))) n++;
    for (int i = 0; i < 2; i++) {
        weft_await(s[i], sender, NULL);
        weft_drop(s[i]);
    }
    weft_check(t, n == 4);
    weft_chan_destroy(c);
}
static void early_close(weft_test t) { two_senders(t, false); }
static void last_close(weft_test t) { two_senders(t, true); }
TEST(a_close_by_the_first_of_two_senders_is_found) { both(early_close, WEFT_TEST_CHECK, last_close); }

/* ---- looked for, then taken for granted ----------------------------------------------------------------- */

static int grabber(work w);
WEFT_TASK(grabber, int, work);
static int grabber(work w) {
    int job = 0;
    if (w.careful) return weft_try_receive(w.in, &job) == WEFT_OK;
    if (weft_chan_count(w.in) == 0) return 0;
    weft_receive(w.in, &job); /* somebody else may have had it */
    return 1;
}
static void grab(bool careful) {
    jobs_chan c;
    weft_mask m;
    weft_mask_begin(&m);
    grabber_fiber g[2];
    weft_chan_open(&c, .capacity = 1);
    weft_send(c, 1);
    for (int i = 0; i < 2; i++) weft_spawn(&g[i], grabber, c, careful);
    for (int i = 0; i < 2; i++) {
        weft_await(g[i], grabber, NULL);
        weft_drop(g[i]);
    }
    weft_chan_destroy(c);
    weft_mask_end(&m);
}
static void looked(weft_test t) { (void)t, grab(false); }
static void tried(weft_test t) { (void)t, grab(true); }
TEST(a_value_that_was_only_seen_is_found) { both(looked, WEFT_TEST_DEADLOCK, tried); }

TEST_MAIN
