/* The acceptance scenarios of the seeds that concern fibers, interrupts and time: each on one worker, on two, and by some
 * schedules of the deterministic executor (thousands: tests/search), with the same result.  Names: the letter of the seed family, the letter of the scenario.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/runs.h"
#include <stdatomic.h>
#include <weft/chan.h>
#include <weft/par.h>
#include <weft/promise.h>
#include <weft/scope.h>

static const weft_exit fine = {WEFT_EXIT_OK, 0, NULL};

/* A worker of some steps, each of a time; fails at one of them. */
typedef struct job {
    int id, steps;
    weft_duration step;
    int fails_at; /* 0: at none */
} job;
static _Atomic int steps_done[8], cleaned[8];
static void fresh(void) {
    memset((void *)steps_done, 0, sizeof steps_done);
    memset((void *)cleaned, 0, sizeof cleaned);
}
static int worker_job(job j);
WEFT_TASK(worker_job, int, job);
static int worker_job(job j) {
    int done = 0;
    for (; done < j.steps; done++) {
        if (done + 1 == j.fails_at) {
            weft_failf(300 + j.id, "worker %d failed at step %d", j.id, j.fails_at);
            break;
        }
        if (!weft_ok(weft_sleep(j.step))) break;
        atomic_fetch_add(&steps_done[j.id], 1);
    }
    atomic_fetch_add(&cleaned[j.id], 1);
    return j.id * 100 + done;
}

/* ---- E-A ------------------------------------------------------------------------------------------------ */

static void five_steps(void *arg) {
    (void)arg;
    worker_job_fiber f;
    int result = 0;
    fresh();
    CHECK(weft_ok(weft_spawn(&f, worker_job, 1, 5, weft_ms(100), 0)));
    CHECK_EQ(weft_now(), 0); /* spawn does not wait */
    CHECK(!weft_is_done(f));
    CHECK(weft_ok(weft_await(f, worker_job, &result)));
    CHECK_EQ(result, 105);
    CHECK_EQ(weft_now(), weft_ms(500));
    CHECK_EQ(weft_fiber_status(f.handle), WEFT_STATUS_DONE);
    CHECK(!strcmp(weft_fiber_name(f.handle), "worker_job"));
    weft_drop(f);
}
TEST(E_A_fork_and_await_a_five_step_worker) { on_clock(WEFT_CLOCK_AUTO, five_steps); }

/* ---- E-B ------------------------------------------------------------------------------------------------ */

static void interrupt_one_of_three(void *arg) {
    (void)arg;
    worker_job_fiber f[3];
    fresh();
    for (int i = 0; i < 3; i++) CHECK(weft_ok(weft_spawn(&f[i], worker_job, i, 10, weft_ms(300), 0)));
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK(weft_ok(weft_interrupt(f[1], "not needed any more")));
    CHECK_EQ(weft_now(), weft_s(1));
    CHECK_EQ(steps_done[1], 3);
    CHECK_EQ(cleaned[1], 1);
    for (int i = 0; i < 3; i++) {
        int result = 0;
        weft_exit e = weft_await(f[i], worker_job, &result);
        CHECK_EQ(e.code, i == 1 ? WEFT_E_CANCELLED : 0);
        CHECK_EQ(result, i == 1 ? 0 : i * 100 + 10);
        CHECK_EQ(weft_fiber_status(f[i].handle), i == 1 ? WEFT_STATUS_CANCELLED : WEFT_STATUS_DONE);
        weft_drop(f[i]);
    }
    CHECK_EQ(weft_now(), weft_s(3));
}
TEST(E_B_one_of_three_is_interrupted_and_the_others_finish_ten_steps) { on_clock(WEFT_CLOCK_AUTO, interrupt_one_of_three); }

/* ---- E-C ------------------------------------------------------------------------------------------------ */

static void collect_in_order(void *arg) {
    (void)arg;
    worker_job_fiber f[5];
    fresh();
    for (int i = 0; i < 5; i++) /* the first ones take longest */
        CHECK(weft_ok(weft_spawn(&f[i], worker_job, i, 5 - i, weft_ms(100), i == 3 ? 2 : 0)));
    for (int i = 0; i < 5; i++) {
        int result = -1;
        weft_exit e = weft_await(f[i], worker_job, &result);
        if (i == 3) {
            CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
            CHECK_EQ(e.code, 303);
            CHECK(!strcmp(e.cause->text, "worker 3 failed at step 2"));
        } else {
            CHECK(weft_ok(e));
            CHECK_EQ(result, i * 100 + 5 - i);
        }
        weft_drop(f[i]);
    }
    CHECK_EQ(weft_now(), weft_ms(500));
}
TEST(E_C_five_workers_are_collected_in_order_with_the_error_of_each) { on_clock(WEFT_CLOCK_AUTO, collect_in_order); }

/* ---- E-D ------------------------------------------------------------------------------------------------ */

static int runs;
static int flaky(int good_at);
WEFT_TASK(flaky, int, int);
static int flaky(int good_at) {
    runs++;
    weft_sleep(weft_ms(500));
    if (runs < good_at) weft_failf(350 + runs, "attempt %d failed", runs);
    return runs;
}
typedef struct supervisor {
    int max_restarts, restarts;
} supervisor;
static weft_exit supervise(supervisor *s, int good_at, int *result) {
    for (;;) {
        flaky_fiber f;
        CHECK(weft_ok(weft_spawn(&f, flaky, good_at)));
        weft_exit e = weft_await(f, flaky, result);
        weft_drop(f);
        if (weft_ok(e) || weft_exit_interrupted(e) || ++s->restarts >= s->max_restarts) return e;
        e = weft_sleep(weft_s(INT64_C(1) << s->restarts));
        if (!weft_ok(e)) return e;
    }
}
static void supervised(void *arg) {
    (void)arg;
    supervisor s = {3, 0};
    int result = 0;
    runs = 0;
    weft_exit e = supervise(&s, 100, &result);
    CHECK_EQ(e.code, 353);
    CHECK(!strcmp(e.cause->text, "attempt 3 failed"));
    CHECK_EQ(s.restarts, 3);
    CHECK_EQ(weft_now(), weft_ms(1500) + weft_s(2 + 4));
    s.restarts = runs = 0;
    CHECK(weft_ok(supervise(&s, 3, &result)));
    CHECK_EQ(result, 3);
    CHECK_EQ(weft_now(), 2 * (weft_ms(1500) + weft_s(2 + 4)));
}
TEST(E_D_a_flaky_task_is_restarted_with_backoff_until_its_last_error_is_reported) { on_clock(WEFT_CLOCK_AUTO, supervised); }

/* ---- E-E ------------------------------------------------------------------------------------------------ */

static void partial_failure(void *arg) {
    (void)arg;
    worker_job_fiber f[5];
    int good = 0, bad = 0, last_bad = -1;
    fresh();
    for (int i = 0; i < 5; i++) CHECK(weft_ok(weft_spawn(&f[i], worker_job, i, 2, weft_ms(100), i == 3 ? 1 : 0)));
    for (int i = 0; i < 5; i++) {
        if (weft_ok(weft_await(f[i], worker_job, NULL))) good++;
        else bad++, last_bad = i;
        weft_drop(f[i]);
    }
    CHECK_EQ(good, 4);
    CHECK_EQ(bad, 1);
    CHECK_EQ(last_bad, 3);
}
TEST(E_E_of_five_items_one_fails_and_four_successes_are_reported) { on_clock(WEFT_CLOCK_AUTO, partial_failure); }

/* ---- E-F ------------------------------------------------------------------------------------------------ */

static _Atomic int looks, goodbyes;
static int monitor(weft_duration every);
WEFT_TASK(monitor, int, weft_duration);
static int monitor(weft_duration every) {
    while (weft_ok(weft_sleep(every))) atomic_fetch_add(&looks, 1);
    atomic_fetch_add(&goodbyes, 1);
    return 0;
}
static void monitor_at_exit(void *arg) {
    (void)arg;
    looks = goodbyes = 0;
    monitor_fiber m;
    worker_job_fiber f;
    fresh();
    CHECK(weft_ok(weft_spawn(&m, monitor, weft_ms(400))));
    CHECK(weft_ok(weft_spawn(&f, worker_job, 1, 10, weft_ms(300), 0)));
    CHECK(weft_ok(weft_await(f, worker_job, NULL)));
    CHECK(weft_ok(weft_interrupt(m, "the program ends")));
    CHECK_EQ(looks, 7);
    CHECK_EQ(goodbyes, 1);
    CHECK_EQ(weft_now(), weft_s(3));
    weft_drop(f);
    weft_drop(m);
    /* the same as a daemon of a scope: nobody has to remember it */
    looks = goodbyes = 0;
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        weft_exit spawned = weft_spawn_with((monitor_fiber *)NULL, monitor, {.daemon = true}, weft_ms(400));
        CHECK(weft_ok(spawned));
        CHECK(weft_ok(weft_spawn((worker_job_fiber *)NULL, worker_job, 1, 10, weft_ms(300), 0)));
    }
    CHECK(weft_ok(e));
    CHECK_EQ(looks, 7);
    CHECK_EQ(goodbyes, 1);
    CHECK_EQ(weft_now(), weft_s(6));
}
TEST(E_F_a_background_monitor_is_interrupted_at_exit) { on_clock(WEFT_CLOCK_AUTO, monitor_at_exit); }

/* ---- E-G ------------------------------------------------------------------------------------------------ */

typedef struct answer {
    int results[5];
    int32_t codes[5];
    weft_time at;
} answer;
static void same_program(void *arg) {
    answer *a = arg;
    worker_job_fiber f[5];
    fresh();
    weft_time start = weft_now();
    for (int i = 0; i < 5; i++) CHECK(weft_ok(weft_spawn(&f[i], worker_job, i, 3 + i, weft_ms(10), i == 2 ? 2 : 0)));
    CHECK(weft_ok(weft_sleep(weft_ms(35))));
    CHECK(weft_ok(weft_interrupt(f[4], NULL)));
    for (int i = 0; i < 5; i++) {
        a->codes[i] = weft_await(f[i], worker_job, &a->results[i]).code;
        weft_drop(f[i]);
    }
    a->at = weft_now() - start;
}
/* The other back ends of this library: more workers, another clock, a runtime that stays open. */
TEST(E_G_other_back_ends_give_the_same_result) {
    answer first = {.at = 0};
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1, .clock = WEFT_CLOCK_AUTO), same_program, &first), WEFT_OK);
    CHECK_EQ(first.at, weft_ms(60));
    for (unsigned n = 1; n <= 4; n++) {
        answer again = {.at = 0};
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = n, .clock = WEFT_CLOCK_AUTO), same_program, &again), WEFT_OK);
        CHECK(!memcmp(&again, &first, sizeof first));
    }
    for (unsigned seed = 0; seed < seeds(); seed++) {
        answer again = {.at = 0};
        weft_options o = WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, .seed = seed, .clock = WEFT_CLOCK_AUTO);
        CHECK_EQ(weft_run(&o, same_program, &again), WEFT_OK);
        CHECK(!memcmp(&again, &first, sizeof first));
    }
    weft_runtime *rt;
    answer open = {.at = 0};
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 2, .clock = WEFT_CLOCK_AUTO), &rt), WEFT_OK);
    CHECK_EQ(weft_call(rt, same_program, &open), WEFT_OK);
    CHECK_EQ(weft_close(rt), WEFT_OK);
    CHECK(!memcmp(&open, &first, sizeof first));
}

/* ---- E-H, C-I, C-J, C-M: the manual clock --------------------------------------------------------------- */

typedef struct nap {
    weft_duration d;
    int id;
} nap;
static _Atomic int woken_n;
static int woken[8];
static weft_time woken_at[8];
static int napper(nap n);
WEFT_TASK(napper, int, nap);
static int napper(nap n) {
    if (!weft_ok(weft_sleep(n.d))) return -1;
    int i = atomic_fetch_add(&woken_n, 1);
    woken[i] = n.id;
    woken_at[i] = weft_now();
    return n.id;
}
static void one_and_two_seconds(void *arg) {
    (void)arg;
    napper_fiber a, b;
    woken_n = 0;
    CHECK(weft_ok(weft_spawn(&b, napper, weft_s(2), 2)));
    CHECK(weft_ok(weft_spawn(&a, napper, weft_s(1), 1)));
    CHECK(weft_ok(weft_clock_advance(NULL, 0)));
    CHECK_EQ(woken_n, 0);
    CHECK(weft_ok(weft_clock_advance(NULL, weft_ms(999))));
    CHECK_EQ(woken_n, 0);
    CHECK(weft_ok(weft_clock_advance(NULL, weft_ms(1))));
    CHECK(weft_is_done(a) && !weft_is_done(b));
    CHECK_EQ(weft_now(), weft_s(1));
    CHECK(weft_ok(weft_clock_advance(NULL, weft_s(1))));
    CHECK(weft_is_done(b));
    CHECK_EQ(woken_at[0], weft_s(1));
    CHECK_EQ(woken_at[1], weft_s(2));
    weft_drop(a);
    weft_drop(b);
    /* in one step: each sees its own deadline */
    woken_n = 0;
    WEFT_SCOPE(s, NULL) {
        for (int i = 0; i < 5; i++) CHECK(weft_ok(weft_spawn((napper_fiber *)NULL, napper, weft_s(5 - i), i)));
        CHECK(weft_ok(weft_clock_advance(NULL, weft_s(10))));
        CHECK_EQ(woken_n, 5);
    }
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(woken[i], 4 - i);
        CHECK_EQ(woken_at[i], weft_s(2) + weft_s(i + 1));
    }
    CHECK_EQ(weft_now(), weft_s(12));
}
TEST(E_H_sleepers_of_one_and_two_seconds_on_a_manual_clock) { on_clock(WEFT_CLOCK_MANUAL, one_and_two_seconds); }

static void virtual_second(void *arg) {
    (void)arg;
    napper_fiber f;
    int id = 0;
    woken_n = 0;
    CHECK(weft_ok(weft_spawn(&f, napper, weft_s(1), 5)));
    CHECK(weft_ok(weft_clock_advance(NULL, weft_s(1))));
    CHECK(weft_is_done(f));
    CHECK(weft_ok(weft_await(f, napper, &id)));
    CHECK_EQ(id, 5);
    CHECK_EQ(weft_now(), weft_s(1));
    weft_drop(f);
}
TEST(C_I_an_operation_of_a_virtual_second) { on_clock(WEFT_CLOCK_MANUAL, virtual_second); }

/* The first of two wins; the other is stopped, and waited for, before the race is over. */
static int racer(nap n);
WEFT_TASK(racer, int, nap);
static int racer(nap n) {
    if (!weft_ok(weft_sleep(n.d))) atomic_fetch_add(&cleaned[n.id], 1);
    return n.id;
}
static int race(int n);
WEFT_TASK(race, int, int);
static int race(int n) {
    int winner = 0;
    CHECK(weft_ok(weft_race(NULL, WEFT_BR(racer, &winner, weft_s(2), 2), WEFT_BR(racer, &winner, weft_s(1), 1))));
    CHECK_EQ(cleaned[2], n);
    return winner;
}
static void virtual_race(void *arg) {
    (void)arg;
    race_fiber f;
    int winner = 0;
    fresh();
    CHECK(weft_ok(weft_spawn(&f, race, 1)));
    CHECK(weft_ok(weft_clock_advance(NULL, weft_s(1))));
    CHECK(weft_is_done(f));
    CHECK(weft_ok(weft_await(f, race, &winner)));
    CHECK_EQ(winner, 1);
    weft_drop(f);
    CHECK_EQ(pending(), 0);
}
TEST(C_J_a_race_in_virtual_time_is_won_by_the_shorter_sleep) { on_clock(WEFT_CLOCK_MANUAL, virtual_race); }

static weft_exit sleeps_ten(void *arg) {
    atomic_fetch_add((_Atomic int *)arg, 1);
    return weft_sleep(weft_s(10));
}
static int limited(int n);
WEFT_TASK(limited, int, int);
static _Atomic int calls;
static int limited(int n) {
    weft_exit e = weft_timeout(weft_s(5), sleeps_ten, (void *)&calls);
    CHECK_EQ(weft_now(), weft_s(5));
    return e.tag == WEFT_EXIT_FAIL && e.code == WEFT_E_TIMEOUT ? n : -1;
}
static void timeout_advanced(void *arg) {
    (void)arg;
    limited_fiber f;
    int got = 0;
    calls = 0;
    CHECK(weft_ok(weft_spawn(&f, limited, 6)));
    CHECK(weft_ok(weft_clock_advance(NULL, weft_s(4))));
    CHECK(!weft_is_done(f));
    CHECK(weft_ok(weft_clock_advance(NULL, weft_s(2))));
    CHECK(weft_is_done(f));
    CHECK(weft_ok(weft_await(f, limited, &got)));
    CHECK_EQ(got, 6);
    CHECK_EQ(calls, 1);
    CHECK_EQ(weft_now(), weft_s(6));
    weft_drop(f);
}
TEST(C_M_a_timeout_of_five_seconds_advanced_by_six) { on_clock(WEFT_CLOCK_MANUAL, timeout_advanced); }

/* ---- C-D ------------------------------------------------------------------------------------------------ */

/* Of a source that takes its time, and of another. */
static int ask(nap n);
WEFT_TASK(ask, int, nap);
static int ask(nap n) {
    weft_exit e = weft_sleep(n.d);
    return weft_ok(e) ? n.id : -1;
}
static void fallback(void *arg) {
    (void)arg;
    int source = 0;
    CHECK(weft_ok(weft_timeout_to(weft_ms(500), WEFT_BR(ask, &source, weft_s(2), 1), WEFT_BR(ask, &source, 0, 2))));
    CHECK_EQ(source, 2);
    CHECK_EQ(weft_now(), weft_ms(500));
}
TEST(C_D_a_fallback_after_half_a_second_and_not_after_two) { on_clock(WEFT_CLOCK_AUTO, fallback); }

/* ---- C-A, C-B, C-C, C-F, C-G, C-H, C-K ---------------------------------------------------------------------- */

static int twice(int n);
WEFT_TASK(twice, int, int);
static int twice(int n) {
    CHECK(weft_ok(weft_sleep(weft_ms(100) * n)));
    return 2 * n;
}
static void zip_of_three(void *arg) {
    (void)arg;
    int a, b, c;
    CHECK(weft_ok(weft_zip_par(WEFT_BR(twice, &a, 1), WEFT_BR(twice, &b, 2), WEFT_BR(twice, &c, 3))));
    CHECK_EQ(a * 100 + b * 10 + c, 246);
    CHECK_EQ(weft_now(), weft_ms(300)); /* as long as the longest, not as all */
}
TEST(C_A_three_in_parallel_take_as_long_as_the_longest) { on_clock(WEFT_CLOCK_AUTO, zip_of_three); }

static void race_of_three(void *arg) {
    (void)arg;
    int home = -1;
    size_t who = 9;
    fresh();
    CHECK(weft_ok(weft_race(&who, WEFT_BR(racer, &home, weft_ms(300), 0), WEFT_BR(racer, &home, weft_ms(200), 1),
                            WEFT_BR(racer, &home, weft_ms(400), 2))));
    CHECK_EQ(who, 1);
    CHECK_EQ(home, 1);
    CHECK_EQ(cleaned[0] + cleaned[2], 2);
    CHECK_EQ(weft_now(), weft_ms(200));
}
TEST(C_B_of_three_the_second_wins) { on_clock(WEFT_CLOCK_AUTO, race_of_three); }

typedef struct range {
    int from, to;
} range;
static int sum_of(range r);
WEFT_TASK(sum_of, int, range);
static int sum_of(range r) {
    int sum = 0;
    for (int i = r.from; i < r.to; i++) sum += i;
    return sum;
}
static void five_chunks(void *arg) {
    (void)arg;
    range chunk[5];
    int part[5], sum = 0;
    for (int i = 0; i < 5; i++) chunk[i] = (range){i * 20, i * 20 + 20};
    CHECK(weft_ok(weft_map(sum_of, chunk, 5, part)));
    for (int i = 0; i < 5; i++) sum += part[i];
    CHECK_EQ(sum, 4950);
}
/* Ten users, three at a time: four rounds of a tenth of a second. */
static _Atomic int asking, most_asking;
static int profile(int user);
WEFT_TASK(profile, int, int);
static int profile(int user) {
    int now = atomic_fetch_add(&asking, 1) + 1, most = most_asking;
    while (now > most && !atomic_compare_exchange_weak(&most_asking, &most, now)) {}
    CHECK(weft_ok(weft_sleep(weft_ms(100))));
    atomic_fetch_sub(&asking, 1);
    return user * 10;
}
static void ten_users(void *arg) {
    (void)arg;
    int user[10], got[10];
    asking = most_asking = 0;
    for (int i = 0; i < 10; i++) user[i] = i;
    CHECK(weft_ok(weft_for_each_par(profile, user, 10, got, .parallelism = 3)));
    for (int i = 0; i < 10; i++) CHECK_EQ(got[i], i * 10);
    CHECK_EQ(most_asking, 3);
    CHECK_EQ(weft_now(), weft_ms(400));
}
TEST(C_C_ten_users_at_most_three_at_a_time) { on_clock(WEFT_CLOCK_AUTO, ten_users); }

static int square(int n);
WEFT_TASK(square, int, int);
static int square(int n) { return n * n; }

/* Twenty batches of fifty, five batches at a time. */
static int batch_of(range r);
WEFT_TASK(batch_of, int, range);
static int thousand[1000];
static int batch_of(range r) {
    int at[50], got[50];
    for (int i = r.from; i < r.to; i++) at[i - r.from] = i;
    profile(0);
    CHECK(weft_ok(weft_for_each_par(square, at, (size_t)(r.to - r.from), got, .parallelism = 8)));
    memcpy(thousand + r.from, got, sizeof got);
    return r.to - r.from;
}
static void thousand_items(void *arg) {
    (void)arg;
    range batch[20];
    int done[20];
    asking = most_asking = 0;
    memset(thousand, 0, sizeof thousand);
    for (int i = 0; i < 20; i++) batch[i] = (range){50 * i, 50 * i + 50};
    CHECK(weft_ok(weft_for_each_par(batch_of, batch, 20, done, .parallelism = 5)));
    for (int i = 0; i < 20; i++) CHECK_EQ(done[i], 50);
    for (int i = 0; i < 1000; i++) CHECK_EQ(thousand[i], i * i);
    CHECK_EQ(most_asking, 5);
    CHECK_EQ(weft_now(), weft_ms(400));
}
TEST(C_K_a_thousand_items_in_batches_of_fifty_five_at_a_time) { on_clock(WEFT_CLOCK_AUTO, thousand_items); }

TEST(C_F_a_hundred_numbers_in_five_chunks_are_4950) { on_clock(WEFT_CLOCK_AUTO, five_chunks); }

/* Of three the second fails: all or nothing, or each for itself. */
static void fail_fast(void *arg) {
    (void)arg;
    int got[3];
    weft_exit each[3];
    fresh();
    weft_exit e = weft_zip_par(WEFT_BR(worker_job, &got[0], 0, 3, weft_ms(100), 0), WEFT_BR(worker_job, &got[1], 1, 3, weft_ms(100), 2),
                               WEFT_BR(worker_job, &got[2], 2, 3, weft_ms(100), 0));
    CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
    CHECK_EQ(e.code, 301);
    CHECK(steps_done[0] <= 1 && steps_done[2] <= 1);
    CHECK_EQ(cleaned[0] + cleaned[1] + cleaned[2], 3);
    CHECK_EQ(weft_now(), weft_ms(100));
    CHECK(weft_ok(weft_all_settled(each, WEFT_BR(worker_job, &got[0], 3, 3, weft_ms(100), 0),
                                   WEFT_BR(worker_job, &got[1], 4, 3, weft_ms(100), 2),
                                   WEFT_BR(worker_job, &got[2], 5, 3, weft_ms(100), 0))));
    CHECK(weft_ok(each[0]) && weft_ok(each[2]));
    CHECK_EQ(each[1].code, 304);
    CHECK_EQ(got[0] * 1000 + got[2], 303503);
    CHECK_EQ(steps_done[3] * 100 + steps_done[4] * 10 + steps_done[5], 313);
}
TEST(C_G_one_failure_of_three_stops_the_others_or_is_reported_beside_two_successes) { on_clock(WEFT_CLOCK_AUTO, fail_fast); }

/* C-L: a pool of three connections, ten queries at once; the pool is the limit, and what is borrowed comes back, whatever happens. */
WEFT_CHAN(pool, int);
static pool_chan connections;
static _Atomic int in_use[3], borrowed, most_borrowed;
static int query(int n);
WEFT_TASK(query, int, int);
static int query(int n) {
    int c = -1;
    if (!weft_ok(weft_receive(connections, &c))) return -1;
    CHECK_EQ(atomic_fetch_add(&in_use[c], 1), 0);
    int now = atomic_fetch_add(&borrowed, 1) + 1, most = most_borrowed;
    while (now > most && !atomic_compare_exchange_weak(&most_borrowed, &most, now)) {}
    weft_exit e = weft_sleep(weft_ms(100));
    atomic_fetch_sub(&borrowed, 1);
    CHECK_EQ(atomic_fetch_sub(&in_use[c], 1), 1);
    CHECK_EQ(weft_try_send(connections, c), WEFT_OK);
    if (n == 100) weft_fail(310, "the query is wrong");
    return weft_ok(e) ? n : -1;
}
static void ten_queries(void *arg) {
    (void)arg;
    int q[10], got[10];
    most_borrowed = 0;
    CHECK_EQ(weft_chan_open(&connections, .capacity = 3), WEFT_OK);
    for (int i = 0; i < 3; i++) CHECK_EQ(weft_try_send(connections, i), WEFT_OK);
    for (int i = 0; i < 10; i++) q[i] = i;
    CHECK(weft_ok(weft_map(query, q, 10, got)));
    for (int i = 0; i < 10; i++) CHECK_EQ(got[i], i);
    CHECK_EQ(most_borrowed, 3);
    CHECK_EQ(weft_now(), weft_ms(400));
    q[4] = 100;
    CHECK_EQ(weft_map(query, q, 10, got).code, 310);
    CHECK_EQ(weft_chan_count(connections), 3);
    weft_chan_destroy(connections);
}
TEST(C_L_ten_queries_over_a_pool_of_three) { on_clock(WEFT_CLOCK_AUTO, ten_queries); }

/* What is optional is settled, what is critical must not fail. */
static int optional_part(int fails);
WEFT_TASK(optional_part, int, int);
static int optional_part(int fails) {
    weft_exit e;
    int got = -1;
    if (!weft_ok(weft_all_settled(&e, WEFT_BR(worker_job, &got, 2, 5, weft_ms(50), fails)))) return -1;
    return weft_ok(e) ? got : 0; /* instead */
}
static void critical_beside_optional(void *arg) {
    (void)arg;
    for (int fails = 0; fails < 4; fails++) {
        int critical = -1, optional = -1;
        weft_time start = weft_now();
        fresh();
        weft_exit e = weft_zip_par(WEFT_BR(worker_job, &critical, 1, 5, weft_ms(100), fails & 1 ? 3 : 0),
                                   WEFT_BR(optional_part, &optional, fails & 2 ? 4 : 0));
        CHECK_EQ(e.code, fails & 1 ? 301 : 0);
        CHECK_EQ(weft_now() - start, fails & 1 ? weft_ms(200) : weft_ms(500));
        CHECK_EQ(critical, fails & 1 ? -1 : 105);
        CHECK_EQ(optional, fails & 1 ? -1 : fails & 2 ? 0 : 205);
    }
}
TEST(C_H_what_is_optional_may_fail_beside_what_is_critical) { on_clock(WEFT_CLOCK_AUTO, critical_beside_optional); }

/* ---- D-B ------------------------------------------------------------------------------------------------ */

static void spawn_three_wait_three(void *arg) {
    (void)arg;
    twice_fiber f[3];
    int sum = 0, got;
    for (int i = 0; i < 3; i++) CHECK(weft_ok(weft_spawn(&f[i], twice, i)));
    for (int i = 2; i >= 0; i--) {
        CHECK(weft_ok(weft_await(f[i], twice, &got)));
        sum += got;
        weft_drop(f[i]);
    }
    CHECK_EQ(sum, 6);
}
TEST(D_B_three_are_spawned_and_three_are_waited_for) { on_clock(WEFT_CLOCK_AUTO, spawn_three_wait_three); }

/* ---- E-I ------------------------------------------------------------------------------------------------ */

static int millisecond(int n);
WEFT_TASK(millisecond, int, int);
static int millisecond(int n) {
    CHECK(weft_ok(weft_sleep(weft_ms(1))));
    return n;
}
static void hundred(void *arg) {
    (void)arg;
    millisecond_fiber f[100];
    for (int i = 0; i < 100; i++) CHECK_EQ(millisecond(i), i);
    CHECK_EQ(weft_now(), weft_ms(100));
    for (int i = 0; i < 100; i++) CHECK(weft_ok(weft_spawn(&f[i], millisecond, i)));
    for (int i = 0; i < 100; i++) {
        int got = -1;
        CHECK(weft_ok(weft_await(f[i], millisecond, &got)));
        CHECK_EQ(got, i);
        weft_drop(f[i]);
    }
    CHECK_EQ(weft_now(), weft_ms(101));
    WEFT_SCOPE(s, NULL)
        for (int i = 0; i < 100; i++) CHECK(weft_ok(weft_start(s, millisecond, i)));
    CHECK_EQ(weft_now(), weft_ms(102));
}
TEST(E_I_a_hundred_tasks_of_a_millisecond_take_one_as_fibers) { on_clock(WEFT_CLOCK_AUTO, hundred); }

/* ---- E-J ------------------------------------------------------------------------------------------------ */

static _Atomic int opened, closed;
static weft_exit open_file(void *arg, void **resource) {
    opened++;
    *resource = arg;
    return fine;
}
static weft_exit close_file(void *resource) {
    (void)resource;
    weft_exit e = weft_sleep(weft_ms(100)); /* flushing takes a while */
    closed++;
    return e;
}
static int uses_file(int fails);
WEFT_TASK(uses_file, int, int);
static int uses_file(int fails) {
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        void *file;
        CHECK(weft_ok(weft_acquire(s, open_file, (void *)&opened, close_file, 0, &file)));
        if (fails == 1) {
            weft_fail(390, "while it uses the file");
            return -1;
        }
        if (!weft_ok(weft_sleep(weft_s(10)))) return -2;
    }
    return 0;
}
static void cleanup(void *arg) {
    (void)arg;
    uses_file_fiber f;
    opened = closed = 0;
    CHECK(weft_ok(weft_spawn(&f, uses_file, 0))); /* success */
    CHECK(weft_ok(weft_await(f, uses_file, NULL)));
    weft_drop(f);
    CHECK_EQ(closed, 1);
    CHECK_EQ(weft_now(), weft_ms(10100));
    CHECK(weft_ok(weft_spawn(&f, uses_file, 1))); /* failure */
    CHECK_EQ(weft_await(f, uses_file, NULL).code, 390);
    weft_drop(f);
    CHECK_EQ(closed, 2);
    CHECK(weft_ok(weft_spawn(&f, uses_file, 0))); /* interrupt */
    CHECK(weft_ok(weft_sleep(weft_s(1))));
    CHECK(weft_ok(weft_interrupt(f, NULL)));
    CHECK_EQ(closed, 3);
    CHECK_EQ(opened, 3);
    CHECK_EQ(weft_now(), weft_ms(10200) + weft_ms(1100));
    weft_drop(f);
}
TEST(E_J_what_was_opened_is_closed_after_success_failure_and_interrupt) { on_clock(WEFT_CLOCK_AUTO, cleanup); }

/* ---- E-K ------------------------------------------------------------------------------------------------ */

static void critical_and_optional(void *arg) {
    (void)arg;
    weft_exit e, optional;
    for (int critical_fails = 0; critical_fails <= 1; critical_fails++) {
        worker_job_fiber extra;
        weft_time start = weft_now();
        fresh();
        optional = fine;
        WEFT_SCOPE(s, &e) {
            CHECK(weft_ok(weft_spawn((worker_job_fiber *)NULL, worker_job, 1, 5, weft_ms(100), critical_fails ? 3 : 0)));
            WEFT_SCOPE(t, NULL, .policy = WEFT_SUPERVISE) {
                CHECK(weft_ok(weft_spawn(&extra, worker_job, 2, 5, weft_ms(50), 4)));
                optional = weft_exit_keep(weft_await(extra, worker_job, NULL));
            }
            CHECK_EQ(optional.code, 302);
            CHECK(strstr(optional.cause->text, "worker 2"));
        }
        CHECK_EQ(e.code, critical_fails ? 301 : 0);
        CHECK_EQ(weft_now() - start, critical_fails ? weft_ms(200) : weft_ms(500));
    }
}
TEST(E_K_an_optional_fiber_may_fail_and_a_critical_one_may_not) { on_clock(WEFT_CLOCK_AUTO, critical_and_optional); }

/* ---- D-C, D-D ------------------------------------------------------------------------------------------- */

static char log_text[16];
static _Atomic int log_n;
static void says(char c) { log_text[log_n++] = c; }
static int delayed(int n);
WEFT_TASK(delayed, int, int);
static int delayed(int n) {
    says('a');
    CHECK(weft_ok(weft_sleep(weft_ms(200))));
    says('z');
    return n;
}
static int runnable(int c);
WEFT_TASK(runnable, int, int);
static int runnable(int c) {
    for (int i = 0; i < 3; i++) {
        says((char)c);
        CHECK(weft_ok(weft_yield()));
        CHECK_EQ(weft_now(), 0); /* time stands still while anything can run */
    }
    return c;
}
static void delay_with_peers(void *arg) {
    (void)arg;
    log_n = 0;
    memset(log_text, 0, sizeof log_text);
    WEFT_SCOPE(s, NULL) {
        CHECK(weft_ok(weft_spawn((delayed_fiber *)NULL, delayed, 1)));
        CHECK(weft_ok(weft_spawn((runnable_fiber *)NULL, runnable, 'b')));
        CHECK(weft_ok(weft_spawn((runnable_fiber *)NULL, runnable, 'c')));
    }
    CHECK_EQ(strlen(log_text), 8);
    CHECK_EQ(log_text[7], 'z');
    CHECK_EQ(weft_now(), weft_ms(200));
}
TEST(D_C_a_delay_lets_two_runnable_peers_run) { on_clock(WEFT_CLOCK_AUTO, delay_with_peers); }

static void elapsed(void *arg) {
    weft_time before = weft_now();
    CHECK(weft_ok(weft_sleep_until(before + weft_s(1))));
    weft_duration took = weft_now() - before;
    CHECK(took >= weft_s(1) && took < weft_s(*(int *)arg));
}
TEST(D_D_a_delay_of_a_second_takes_a_second_on_a_virtual_clock) {
    int limit = 2;
    for (unsigned n = 1; n <= 2; n++)
        run_ends(&WEFT_OPTIONS(.workers = n, .clock = WEFT_CLOCK_AUTO), elapsed, &limit, WEFT_OK);
    run_ends(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, .clock = WEFT_CLOCK_AUTO), elapsed, &limit, WEFT_OK);
}
static void elapsed_really(void *arg) {
    (void)arg;
    weft_time before = weft_now();
    CHECK(weft_ok(weft_sleep(weft_ms(20))));
    CHECK(weft_now() - before >= weft_ms(20));
}
TEST(D_D_a_delay_takes_at_least_its_time_on_the_real_clock) { on_clock(WEFT_CLOCK_REAL, elapsed_really); }

/* ---- D-I ------------------------------------------------------------------------------------------------ */

static void cancel_then_wait(void *arg) {
    (void)arg;
    worker_job_fiber f;
    fresh();
    CHECK(weft_ok(weft_spawn(&f, worker_job, 1, 10, weft_s(1), 0)));
    CHECK(weft_ok(weft_sleep(weft_ms(2500))));
    CHECK(!weft_is_done(f));
    CHECK(weft_ok(weft_interrupt_async(f, "task.cancel")));
    weft_exit e = weft_await(f, worker_job, NULL);
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    CHECK_EQ(e.code, WEFT_E_CANCELLED);
    CHECK(weft_is_done(f));
    CHECK_EQ(steps_done[1], 2);
    CHECK_EQ(cleaned[1], 1);
    CHECK_EQ(weft_now(), weft_ms(2500));
    CHECK(weft_ok(weft_sleep(weft_s(1)))); /* who waited is not cancelled */
    weft_drop(f);
}
TEST(D_I_waiting_for_a_cancelled_task_says_so_and_does_not_cancel_the_waiter) { on_clock(WEFT_CLOCK_AUTO, cancel_then_wait); }

TEST_MAIN
