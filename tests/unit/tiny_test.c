/* Fibers on tiny stacks.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/san.h"
#include "sched/gate.h"
#include <weft/fiber.h>

enum { FIBERS = WEFT__SAN_STACKS > 1 ? 200 : 5000, ROUNDS = 3 };

static const weft_spawn_options tiny = {.stack_bytes = WEFT_STACK_TINY};

/* In the parent's frame would be no less safe, but ASan counts that as its stack. */
static gate doors[FIBERS];
static _Atomic int parked;
static stack stacks[FIBERS];
static _Atomic size_t at_entry; /* bytes between the top and the frame of a task */

typedef struct visit {
    int number;
} visit;

static long visitor(visit v);
WEFT_TASK(visitor, long, visit);

/* Waits in each of the ways there are. */
__attribute__((noinline)) static long visitor(visit v) {
    fiber *f = thread_fiber();
    stacks[v.number] = f->stk;
    atomic_store(&at_entry, (size_t)(f->stk.top - (char *)__builtin_frame_address(0)));
    atomic_fetch_add(&parked, 1);
    gate_wait(&doors[v.number]);
    CHECK(weft_ok(weft_yield()));
    CHECK(thread_fiber() == f);
    return v.number;
}

static weft_handle first;
static long awaiter(long x);
WEFT_TASK(awaiter, long, long);
static long awaiter(long x) {
    CHECK(weft_ok(weft_fiber_await(first)));
    return x;
}

static void park_and_go_on(void *arg) {
    static visitor_fiber f[FIBERS];
    static awaiter_fiber a[FIBERS];
    runtime *rt = thread_fiber()->w->rt;
    (void)arg;
    memset(doors, 0, sizeof doors);
    atomic_store(&parked, 0);
    for (int i = 0; i < FIBERS; i++) CHECK(weft_ok(weft_spawn_with(&f[i], visitor, tiny, i)));
    first = f[FIBERS - 1].handle;
    for (long i = 0; i < FIBERS; i++) CHECK(weft_ok(weft_spawn_with(&a[i], awaiter, tiny, i)));
    while (atomic_load(&parked) < FIBERS) CHECK(weft_ok(weft_yield()));
    for (int i = 0; i < FIBERS; i++) gate_open(&doors[i], rt);
    for (long i = 0; i < FIBERS; i++) {
        long got = -1;
        CHECK(weft_ok(weft_await(f[i], visitor, &got)) && got == i);
        CHECK(weft_ok(weft_await(a[i], awaiter, &got)) && got == i);
        weft_drop(f[i]);
        weft_drop(a[i]);
    }
}

static void on_workers(unsigned workers, void (*body)(void *)) {
    weft_runtime *rt;
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = workers), &rt), WEFT_OK);
    for (int i = 0; i < ROUNDS; i++) CHECK_EQ(weft_call(rt, body, NULL), WEFT_OK);
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

TEST(tiny_fibers_wait_and_go_on) { on_workers(1, park_and_go_on); }
TEST(tiny_fibers_wait_and_go_on_elsewhere) { on_workers(2, park_and_go_on); }

/* ---- room --------------------------------------------------------------------------------------------- */

/* What is promised in weft/fiber.h is left for the task's own frames. */
static void measure(void *arg) {
    park_and_go_on(arg);
#if defined(__OPTIMIZE__)
    size_t most = 0;
    for (int i = 0; i < FIBERS; i++) {
        size_t used = weft__stack_high_water(&stacks[i]);
        CHECK_EQ(stacks[i].cls, STACK_2K);
        most = used > most ? used : most;
    }
    fprintf(stderr, "    %zu bytes, %zu of them above the task's frame, %zu the control block\n", most,
            atomic_load(&at_entry), sizeof(fiber));
    CHECK(most + WEFT_STACK_TINY_ROOM <= weft__stack_class_bytes(STACK_2K));
#endif
}

TEST(the_room_that_is_promised_is_left) {
    weft_runtime *rt;
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 1), &rt), WEFT_OK);
    CHECK_EQ(weft_call(rt, measure, NULL), WEFT_OK);
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

/* ---- sizes -------------------------------------------------------------------------------------------- */

static void ask(void *arg) {
    visitor_fiber f;
    (void)arg;
    CHECK_EQ(weft_spawn_with(&f, visitor, ((weft_spawn_options){.stack_bytes = WEFT_STACK_TINY - 1}), 0).code,
             WEFT_E_INVALID);
    CHECK_EQ(weft_spawn_with(&f, visitor, ((weft_spawn_options){.stack_bytes = WEFT_STACK_TINY + 1}), 0).code,
             WEFT_E_INVALID);
}

TEST(no_other_size_below_the_minimum_is_taken) { on_workers(1, ask); }

static size_t own_class(void) { return weft__stack_class_bytes(thread_fiber()->stk.cls); }
static void of_runtime(void *arg) { *(size_t *)arg = own_class(); }

TEST(a_runtime_s_own_stacks_are_never_tiny) {
    weft_runtime *rt;
    size_t bytes = 0;
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 1, .stack_bytes = WEFT_STACK_TINY), &rt), WEFT_OK);
    CHECK_EQ(weft_call(rt, of_runtime, &bytes), WEFT_OK);
    CHECK_EQ(bytes, weft__stack_class_bytes(STACK_16K));
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

/* ---- overflow ----------------------------------------------------------------------------------------- */

static long deep(long x);
WEFT_TASK(deep, long, long);
/* As a frame that is too large would. */
static long deep(long x) {
    stack s = thread_fiber()->stk;
    *(volatile char *)(s.lo - 1) = (char)x;
    return x;
}

static void overflow(void *arg) {
    deep_fiber f;
    (void)arg;
    CHECK(weft_ok(weft_spawn_with(&f, deep, tiny, 1)));
    (void)weft_await(f, deep, NULL);
    weft_drop(f);
}

static void overflowing_program(void *arg) {
    (void)arg;
    on_workers(1, overflow);
}

TEST(an_overflow_is_found_when_the_fiber_has_ended) {
    EXPECT_DEATH(overflowing_program, NULL, SIGABRT, "stack overflow: canary");
}

TEST_MAIN
