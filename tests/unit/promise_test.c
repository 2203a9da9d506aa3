/* Promises, those completed from outside, and blocking calls on helper threads.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/heap.h"
#include "alloc/os.h"
#include "alloc/san.h"
#include <pthread.h>
#include <stdatomic.h>
#include <weft/promise.h>
#include <weft/scope.h>

enum { MANY = WEFT__SAN_STACKS > 1 ? 300 : 3000 };

static const unsigned worker_counts[] = {1, 2};

static void on_each_clock(weft_clock clock, void (*body)(void *)) {
    for (unsigned i = 0; i < 2; i++) {
        uint64_t before = weft__heap_live();
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = worker_counts[i], .clock = clock), body, NULL), WEFT_OK);
        CHECK_EQ(weft__heap_live(), before);
    }
}
static void on_each_size(void (*body)(void *)) { on_each_clock(WEFT_CLOCK_REAL, body); }

static bool failed(weft_exit e, int code) { return e.tag == WEFT_EXIT_FAIL && e.code == code; }

static int one, two;

/* ---- completing --------------------------------------------------------------------------------------- */

static void once(void *arg) {
    (void)arg;
    weft_promise p = WEFT_PROMISE;
    void *value = NULL;
    CHECK(!weft_promise_is_done(&p));
    CHECK_EQ(weft_promise_complete(&p, &one), WEFT_OK);
    CHECK(weft_promise_is_done(&p));
    CHECK_EQ(weft_promise_complete(&p, &two), WEFT_E_TWICE);
    CHECK_EQ(weft_promise_fail(&p, (weft_exit){WEFT_EXIT_FAIL, 300, NULL}), WEFT_E_TWICE);
    for (int i = 0; i < 3; i++) {
        value = NULL;
        CHECK(weft_ok(weft_promise_await(&p, &value)));
        CHECK(value == &one);
    }
    CHECK(weft_ok(weft_promise_await(&p, NULL)));
    CHECK(weft_ok(weft_promise_await_for(&p, &value, 0)));
    weft_promise_drop(&p);
    weft_promise_init(&p);
    CHECK_EQ(weft_promise_complete(&p, NULL), WEFT_OK); /* NULL is a value */
    value = &one;
    CHECK(weft_ok(weft_promise_await(&p, &value)));
    CHECK(value == NULL);
}
TEST(a_promise_is_completed_once_and_awaited_any_number_of_times) {
    on_each_size(once);
    once(NULL); /* on a plain thread */
}

static void fails(void *arg) {
    (void)arg;
    weft_promise p = WEFT_PROMISE;
    CHECK_EQ(weft_promise_fail(&p, (weft_exit){WEFT_EXIT_OK, 0, NULL}), WEFT_E_INVALID);
    char text[200];
    weft_exit e = weft_failf(300, "number %d", 7);
    CHECK_EQ(weft_promise_fail(&p, e), WEFT_OK);
    CHECK_EQ(weft_promise_fail(&p, e), WEFT_E_TWICE);
    void *value = &one;
    weft_exit got = weft_promise_await(&p, &value);
    CHECK(failed(got, 300));
    CHECK(value == &one);
    CHECK(strstr(weft_exit_format(got, text, sizeof text), "number"));
    if (weft_worker_index() < 0) weft_exit_drop(got);
    weft_promise_drop(&p);
}
static long failing(long x);
WEFT_TASK(failing, long, long);
static long failing(long x) {
    fails(NULL);
    return x;
}
static void fails_in_a_fiber(void *arg) {
    (void)arg;
    failing_fiber f;
    CHECK(weft_ok(weft_spawn(&f, failing, 1)));
    CHECK(failed(weft_await(f, failing, NULL), 300));
    weft_drop(f);
}
TEST(a_promise_may_fail_and_keeps_the_cause) {
    on_each_size(fails_in_a_fiber);
    uint64_t before = weft__heap_live();
    fails(NULL);
    CHECK_EQ(weft__heap_live(), before);
}

/* ---- waiting ------------------------------------------------------------------------------------------ */

static weft_promise door;
static _Atomic int waiting, through;

static long visitor(long x);
WEFT_TASK(visitor, long, long);
static long visitor(long x) {
    void *value = NULL;
    atomic_fetch_add(&waiting, 1);
    weft_exit e = weft_promise_await(&door, &value);
    if (e.tag == WEFT_EXIT_INTERRUPT) return -1;
    CHECK(weft_ok(e));
    CHECK(value == &one);
    atomic_fetch_add(&through, 1);
    return x;
}

static void reset(void) {
    weft_promise_init(&door);
    atomic_store(&waiting, 0);
    atomic_store(&through, 0);
}

static void many(void *arg) {
    (void)arg;
    reset();
    WEFT_SCOPE(s, NULL) {
        for (long i = 0; i < MANY; i++) CHECK(weft_ok(weft_spawn((visitor_fiber *)NULL, visitor, i)));
        while (atomic_load(&waiting) < MANY) weft_yield();
        CHECK_EQ(atomic_load(&through), 0);
        CHECK_EQ(weft_promise_complete(&door, &one), WEFT_OK);
    }
    CHECK_EQ(atomic_load(&through), MANY);
}
TEST(everybody_who_waits_is_woken) { on_each_size(many); }

static int arrived[16];
static _Atomic int arrivals;
static long in_turn(long x);
WEFT_TASK(in_turn, long, long);
static long in_turn(long x) {
    CHECK(weft_ok(weft_promise_await(&door, NULL)));
    arrived[atomic_fetch_add(&arrivals, 1)] = (int)x;
    return x;
}
static void first_come(void *arg) {
    (void)arg;
    reset();
    atomic_store(&arrivals, 0);
    in_turn_fiber f[16];
    for (long i = 0; i < 16; i++) {
        CHECK(weft_ok(weft_spawn(&f[i], in_turn, i)));
        while (weft_fiber_status(f[i].handle) != WEFT_STATUS_SUSPENDED) weft_yield();
    }
    weft_promise_complete(&door, &one);
    bool seen[16] = {false};
    for (int i = 0; i < 16; i++) CHECK(weft_ok(weft_await(f[i], in_turn, NULL)));
    for (int i = 0; i < 16; i++) seen[arrived[i]] = true;
    for (int i = 0; i < 16; i++) CHECK(seen[i]);
    for (int i = 0; i < 16; i++) weft_drop(f[i]);
}
TEST(each_of_those_who_wait_is_woken_once) { on_each_size(first_come); }

static void cancelled(void *arg) {
    (void)arg;
    reset();
    visitor_fiber f[3];
    for (long i = 0; i < 3; i++) CHECK(weft_ok(weft_spawn(&f[i], visitor, i)));
    while (atomic_load(&waiting) < 3) weft_yield();
    CHECK(weft_ok(weft_interrupt(f[1], "not you")));
    CHECK_EQ(weft_await(f[1], visitor, NULL).code, WEFT_E_CANCELLED);
    weft_promise_complete(&door, &one);
    long got = 0;
    CHECK(weft_ok(weft_await(f[0], visitor, &got)) && got == 0);
    CHECK(weft_ok(weft_await(f[2], visitor, &got)) && got == 2);
    CHECK_EQ(atomic_load(&through), 2);
    for (int i = 0; i < 3; i++) weft_drop(f[i]);
}
TEST(one_who_is_interrupted_stops_waiting_and_the_others_do_not) { on_each_size(cancelled); }

static void timed(void *arg) {
    (void)arg;
    weft_promise p = WEFT_PROMISE;
    weft_time began = weft_now();
    CHECK(failed(weft_promise_await_for(&p, NULL, weft_ms(2)), WEFT_E_TIMEOUT));
    CHECK(weft_now() - began >= weft_ms(2));
    CHECK(failed(weft_promise_await_until(&p, NULL, began), WEFT_E_TIMEOUT));
    CHECK(failed(weft_promise_await_for(&p, NULL, -1), WEFT_E_INVALID));
    CHECK(!weft_promise_is_done(&p));
    weft_promise_complete(&p, &two);
    void *value = NULL;
    CHECK(weft_ok(weft_promise_await_until(&p, &value, began))); /* the value wins */
    CHECK(value == &two);
}
TEST(a_wait_for_a_promise_may_have_an_end) {
    on_each_size(timed);
    on_each_clock(WEFT_CLOCK_AUTO, timed);
    timed(NULL);
}

/* The memory goes the moment the await has returned, while the completer is still about to wake others. */
static void *complete_it(void *p) {
    weft_promise_complete(p, p);
    return NULL;
}
static long completer(weft_promise *p);
WEFT_TASK(completer, long, weft_promise *);
static long completer(weft_promise *p) {
    weft_promise_complete(p, p);
    return 0;
}
static void gone_at_once(void *arg) {
    (void)arg;
    for (int i = 0; i < MANY; i++) {
        weft_promise *p = malloc(sizeof *p);
        void *value = NULL;
        weft_promise_init(p);
        CHECK(weft_ok(weft_spawn((completer_fiber *)NULL, completer, p)));
        CHECK(weft_ok(weft_promise_await(p, &value)));
        CHECK(value == p);
        memset(p, 0x5a, sizeof *p);
        free(p);
    }
}
TEST(the_memory_may_go_when_it_is_completed_and_awaited) { on_each_size(gone_at_once); }

/* ---- threads ------------------------------------------------------------------------------------------ */

static void from_threads(void *arg) {
    (void)arg;
    for (int i = 0; i < MANY / 10; i++) {
        pthread_t t;
        weft_promise *p = malloc(sizeof *p);
        void *value = NULL;
        CHECK_EQ(weft_promise_external(p, NULL), WEFT_OK);
        pthread_create(&t, NULL, complete_it, p);
        CHECK(weft_ok(weft_promise_await(p, &value)));
        CHECK(value == p);
        pthread_join(t, NULL);
        free(p);
    }
}
TEST(a_plain_thread_completes_it) {
    on_each_size(from_threads);
    on_each_clock(WEFT_CLOCK_AUTO, from_threads);
}

static _Atomic int winners;
static void *race(void *p) {
    if (weft_promise_complete(p, &one) == WEFT_OK) atomic_fetch_add(&winners, 1);
    return NULL;
}
TEST(of_many_who_complete_it_one_does) {
    for (int i = 0; i < 200; i++) {
        pthread_t t[4];
        weft_promise p = WEFT_PROMISE;
        atomic_store(&winners, 0);
        for (int k = 0; k < 4; k++) pthread_create(&t[k], NULL, race, &p);
        CHECK(weft_ok(weft_promise_await(&p, NULL)));
        for (int k = 0; k < 4; k++) pthread_join(t[k], NULL);
        CHECK_EQ(atomic_load(&winners), 1);
    }
}

static void complete_door(void *arg) {
    (void)arg;
    CHECK_EQ(weft_promise_complete(&door, &one), WEFT_OK);
}
static void *wait_at_door(void *arg) {
    void *value = NULL;
    (void)arg;
    CHECK(weft_ok(weft_promise_await(&door, &value)));
    CHECK(value == &one);
    return NULL;
}
TEST(a_plain_thread_awaits_what_a_fiber_completes) {
    for (unsigned i = 0; i < 2; i++) {
        reset();
        weft_runtime *rt;
        pthread_t t[3];
        CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = worker_counts[i]), &rt), WEFT_OK);
        for (int k = 0; k < 3; k++) pthread_create(&t[k], NULL, wait_at_door, NULL);
        CHECK_EQ(weft_call(rt, complete_door, NULL), WEFT_OK);
        for (int k = 0; k < 3; k++) pthread_join(t[k], NULL);
        CHECK_EQ(weft_close(rt), WEFT_OK);
    }
}

/* ---- announced ---------------------------------------------------------------------------------------- */

static long broken(long x);
WEFT_TASK(broken, long, long);
static long broken(long x) {
    CHECK(failed(weft_promise_await(&door, NULL), WEFT_E_BROKEN));
    return x;
}
static void given_up(void *arg) {
    (void)arg;
    CHECK_EQ(weft_promise_external(&door, NULL), WEFT_OK);
    broken_fiber f;
    CHECK(weft_ok(weft_spawn(&f, broken, 1)));
    while (weft_fiber_status(f.handle) != WEFT_STATUS_SUSPENDED) weft_yield();
    weft_promise_drop(&door);
    CHECK(weft_ok(weft_await(f, broken, NULL)));
    CHECK_EQ(weft_promise_complete(&door, &one), WEFT_E_TWICE);
    weft_promise_drop(&door);
    weft_drop(f);
    CHECK(weft_ok(weft_sleep(weft_ms(1)))); /* nothing is announced any more: an automatic clock goes on */
}
TEST(an_announced_promise_that_is_dropped_is_broken) {
    on_each_size(given_up);
    on_each_clock(WEFT_CLOCK_AUTO, given_up);
}

TEST(a_promise_is_announced_to_an_open_runtime) {
    weft_promise p;
    weft_runtime *rt;
    CHECK_EQ(weft_promise_external(&p, NULL), WEFT_E_INVALID);
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 1), &rt), WEFT_OK);
    CHECK_EQ(weft_promise_external(&p, rt), WEFT_OK);
    CHECK_EQ(weft_close(rt), WEFT_OK); /* does not wait for it */
    CHECK_EQ(weft_promise_complete(&p, &one), WEFT_OK);
    CHECK_EQ(weft_promise_external(&p, rt), WEFT_E_CLOSED);
}

/* ---- blocking calls ----------------------------------------------------------------------------------- */

static _Atomic int called, dropped;
static _Atomic bool hold;

static void *doubles(void *arg, weft_offload_call *call) {
    CHECK_EQ(weft_worker_index(), -1);
    CHECK(!weft_offload_cancelled(call));
    atomic_fetch_add(&called, 1);
    return (void *)(2 * (uintptr_t)arg);
}
static void count_drop(void *result) {
    CHECK(result != NULL);
    atomic_fetch_add(&dropped, 1);
}
static void calls(void *arg) {
    (void)arg;
    atomic_store(&called, 0);
    atomic_store(&dropped, 0);
    void *result = NULL;
    for (uintptr_t i = 1; i <= 50; i++) {
        CHECK(weft_ok(weft_offload(doubles, (void *)i, &result, count_drop)));
        CHECK_EQ((uintptr_t)result, 2 * i);
    }
    CHECK_EQ(atomic_load(&dropped), 0);
    CHECK(weft_ok(weft_offload(doubles, &one, NULL, count_drop))); /* nobody wants it */
    CHECK_EQ(atomic_load(&dropped), 1);
    CHECK(weft_ok(weft_offload(doubles, &one, NULL, NULL)));
    CHECK_EQ(atomic_load(&called), 52);
}
TEST(a_blocking_call_gives_its_result) {
    on_each_size(calls);
    on_each_clock(WEFT_CLOCK_AUTO, calls);
    on_each_clock(WEFT_CLOCK_MANUAL, calls);
}
TEST(on_a_plain_thread_a_blocking_call_is_a_call) {
    void *result = NULL;
    uint64_t before = weft__heap_live();
    atomic_store(&called, 0);
    CHECK(weft_ok(weft_offload(doubles, (void *)(uintptr_t)21, &result, NULL)));
    CHECK_EQ((uintptr_t)result, 42);
    atomic_store(&dropped, 0);
    CHECK(weft_ok(weft_offload(doubles, (void *)(uintptr_t)21, NULL, count_drop)));
    CHECK_EQ(atomic_load(&dropped), 1);
    CHECK_EQ(weft__heap_live(), before);
}

/* Blocks all together until the last of them has come: so there is a thread for each. */
enum { TOGETHER = 64, QUEUED = 150 };
static void *meets(void *arg, weft_offload_call *call) {
    (void)call;
    atomic_fetch_add(&called, 1);
    while (atomic_load(&called) < TOGETHER) weft__os_yield();
    return arg;
}
static long caller(uintptr_t i);
WEFT_TASK(caller, long, uintptr_t);
static long caller(uintptr_t i) {
    void *result = NULL;
    CHECK(weft_ok(weft_offload(meets, (void *)i, &result, NULL)));
    CHECK_EQ((uintptr_t)result, i);
    return 0;
}
static void crowd(void *arg) {
    (void)arg;
    atomic_store(&called, 0);
    WEFT_SCOPE(s, NULL)
        for (uintptr_t i = 1; i <= QUEUED; i++) CHECK(weft_ok(weft_spawn((caller_fiber *)NULL, caller, i)));
    CHECK_EQ(atomic_load(&called), QUEUED);
}
TEST(sixty_four_calls_block_at_once_and_more_queue) { on_each_size(crowd); }

/* ---- blocking calls that are given up ----------------------------------------------------------------- */

static void *held(void *arg, weft_offload_call *call) {
    atomic_fetch_add(&called, 1);
    while (!weft_offload_cancelled(call)) weft__os_yield();
    while (atomic_load(&hold)) weft__os_yield();
    return arg;
}
static long gives_up(long x);
WEFT_TASK(gives_up, long, long);
static long gives_up(long x) {
    void *result = &two;
    weft_exit e = weft_offload(held, &one, &result, x ? count_drop : NULL);
    CHECK_EQ(e.tag, WEFT_EXIT_INTERRUPT);
    CHECK(result == &two);
    return x;
}
static void interrupted(void *arg) {
    (void)arg;
    atomic_store(&called, 0);
    atomic_store(&dropped, 0);
    atomic_store(&hold, true);
    for (long drops = 0; drops < 2; drops++) {
        gives_up_fiber f;
        CHECK(weft_ok(weft_spawn(&f, gives_up, drops)));
        while (atomic_load(&called) <= drops) weft_yield();
        CHECK(weft_ok(weft_interrupt(f, "no longer needed"))); /* returns although the call goes on */
        weft_drop(f);
    }
    CHECK_EQ(atomic_load(&dropped), 0);
    atomic_store(&hold, false);
}
TEST(a_call_that_is_given_up_goes_on_and_its_result_is_dropped_once) {
    for (unsigned i = 0; i < 2; i++) {
        uint64_t before = weft__heap_live();
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = worker_counts[i]), interrupted, NULL), WEFT_OK);
        CHECK_EQ(atomic_load(&dropped), 1); /* closing waited for it */
        CHECK_EQ(weft__heap_live(), before);
    }
}

/* Given up at every moment: the result arrives, or is dropped, never both. */
static _Atomic int kept;
static void *quick(void *arg, weft_offload_call *call) {
    (void)call;
    return arg;
}
static long may_give_up(long x);
WEFT_TASK(may_give_up, long, long);
static long may_give_up(long x) {
    void *result = NULL;
    weft_exit e = weft_offload(quick, &one, &result, count_drop);
    if (weft_ok(e)) {
        CHECK(result == &one);
        atomic_fetch_add(&kept, 1);
    } else {
        CHECK(e.tag == WEFT_EXIT_INTERRUPT && result == NULL);
        atomic_fetch_add(&called, 1);
    }
    return x;
}
static void at_any_moment(void *arg) {
    (void)arg;
    for (int i = 0; i < MANY; i++) {
        may_give_up_fiber f;
        CHECK(weft_ok(weft_spawn(&f, may_give_up, i)));
        for (int k = 0; k < i % 13; k++) weft_yield();
        weft_exit e = weft_interrupt(f, NULL);
        CHECK(weft_ok(e));
        weft_drop(f);
    }
}
TEST(a_result_arrives_or_is_dropped) {
    for (unsigned i = 0; i < 2; i++) {
        atomic_store(&called, 0);
        atomic_store(&dropped, 0);
        atomic_store(&kept, 0);
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = worker_counts[i]), at_any_moment, NULL), WEFT_OK);
        CHECK(atomic_load(&kept) + atomic_load(&called) <= MANY); /* some never started */
        CHECK(atomic_load(&dropped) <= atomic_load(&called));     /* some never called */
    }
}

static void abandoned(void *arg) {
    (void)arg;
    atomic_store(&called, 0);
    atomic_store(&dropped, 0);
    atomic_store(&hold, true);
    gives_up_fiber f;
    CHECK(weft_ok(weft_spawn(&f, gives_up, 1)));
    while (!atomic_load(&called)) weft_yield();
    CHECK(weft_ok(weft_interrupt(f, NULL)));
    weft_drop(f);
}
static void *let_go(void *arg) {
    (void)arg;
    for (int i = 0; i < 1000; i++) weft__os_yield();
    CHECK_EQ(atomic_load(&dropped), 0);
    atomic_store(&hold, false);
    return NULL;
}
TEST(closing_waits_for_calls_that_were_given_up) {
    for (unsigned i = 0; i < 2; i++) {
        weft_runtime *rt;
        pthread_t t;
        uint64_t before = weft__heap_live();
        CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = worker_counts[i]), &rt), WEFT_OK);
        CHECK_EQ(weft_call(rt, abandoned, NULL), WEFT_OK);
        pthread_create(&t, NULL, let_go, NULL);
        CHECK_EQ(weft_close(rt), WEFT_OK);
        CHECK_EQ(atomic_load(&dropped), 1);
        pthread_join(t, NULL);
        CHECK_EQ(weft__heap_live(), before);
    }
}

static void no_thread(void *arg) {
    (void)arg;
    void *result = &two;
    weft__os_thread_fail_at(1);
    CHECK(failed(weft_offload(doubles, &one, &result, NULL), WEFT_E_THREAD));
    weft__os_thread_fail_at(0);
    CHECK(result == &two);
    weft__heap_fail_at(1, 0);
    CHECK(failed(weft_offload(doubles, &one, &result, NULL), WEFT_E_NOMEM));
    weft__heap_fail_at(0, 0);
    CHECK(weft_ok(weft_offload(doubles, (void *)(uintptr_t)4, &result, NULL)));
    CHECK_EQ((uintptr_t)result, 8);
}
TEST(without_a_thread_or_memory_a_blocking_call_is_refused) {
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), no_thread, NULL), WEFT_OK);
}

TEST_MAIN
