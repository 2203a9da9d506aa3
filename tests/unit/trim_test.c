/* After a burst of fibers the memory of their stacks comes back, without anybody asking.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/san.h"
#include "sched/gate.h"
#include "sched/registry.h"
#include <sched.h>
#include <weft/fiber.h>

enum { FIBERS = WEFT__SAN_STACKS > 1 ? 300 : 4000 };

static gate door;
static long gated(long x);
WEFT_TASK(gated, long, long);
static long gated(long x) {
    gate_wait(&door);
    return x;
}
static weft_handle first;
static long awaiter(long x);
WEFT_TASK(awaiter, long, long);
static long awaiter(long x) {
    (void)weft_fiber_await(first);
    return x;
}

/* All are on stacks of their own at once. */
static void burst(void *arg) {
    static awaiter_fiber f[FIBERS];
    gated_fiber g;
    (void)arg;
    door = (gate){0};
    CHECK(weft_ok(weft_spawn(&g, gated, 1)));
    first = g.handle;
    for (long i = 0; i < FIBERS; i++) CHECK(weft_ok(weft_spawn(&f[i], awaiter, i)));
    for (bool all = false; !all;) {
        weft_yield();
        all = true;
        for (long i = 0; i < FIBERS && all; i++) all = weft_fiber_status(f[i].handle) == WEFT_STATUS_SUSPENDED;
    }
    gate_open(&door, thread_fiber()->w->rt);
    for (long i = 0; i < FIBERS; i++) {
        CHECK(weft_ok(weft_await(f[i], awaiter, NULL)));
        weft_drop(f[i]);
    }
    CHECK(weft_ok(weft_await(g, gated, NULL)));
    weft_drop(g);
}

static long resident_kb(void) {
    char line[256];
    long value = -1;
    FILE *f = fopen("/proc/self/status", "r");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, "VmRSS:", 6) == 0) value = atol(line + 6);
    fclose(f);
    return value;
}

/* Each stack had a page at least; the depot's are given back, the workers' caches keep theirs.  A hang is the failure. */
TEST(memory_comes_back_after_a_burst) {
    weft_runtime *rt;
    long before = resident_kb();
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 1), &rt), WEFT_OK);
    CHECK_EQ(weft_call(rt, burst, NULL), WEFT_OK);
#ifndef WEFT_TEST_EMULATED /* an emulator's memory is not ours to count */
    if (WEFT__SAN_STACKS == 1)
        while (resident_kb() > before + FIBERS * 4 / 2) sched_yield();
#endif
    (void)before;
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

TEST_MAIN
