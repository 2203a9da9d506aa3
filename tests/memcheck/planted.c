/* One planted fault in a fiber, which memcheck must report (CMakeLists.txt says in which words); `none` it must not.
 *   planted FAULT
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/gate.h"
#include "sched/thread.h"
#include "test.h"
#include <valgrind/memcheck.h>
#include <weft/fiber.h>
#include <weft/runtime.h>

#define OUT_OF_LINE __attribute__((noinline))

static volatile long sink;
static long *volatile kept;

/* The compiler would see the faults as well. */
OUT_OF_LINE static long *hidden(volatile long *p) {
    __asm__ volatile("" : "+r"(p));
    return (long *)p;
}

static void must(weft_exit e) { CHECK(weft_ok(e)); }

/* Deeper than the 128 bytes below the stack pointer, which belong to leaf functions. */
OUT_OF_LINE static void keep_a_local(void) {
    volatile long locals[64];
    for (int i = 0; i < 64; i++) locals[i] = i;
    kept = hidden(&locals[0]);
}

/* ---- faults: each with a suspension in between ------------------------------------------------------- */

/* A frame that has returned. */
static void dead_frame(void) {
    keep_a_local();
    must(weft_yield());
    sink = *kept;
}

static int keeps(int x);
WEFT_TASK(keeps, int, int);
static int keeps(int x) {
    keep_a_local();
    return x;
}

/* The stack of a fiber that has ended. */
static void ended_fiber(void) {
    keeps_fiber f;
    must(weft_spawn(&f, keeps, 1));
    must(weft_await(f, keeps, NULL));
    weft_drop(f);
    sink = *kept;
}

/* The only pointer to the freed block is on a fiber's stack. */
static void freed_block(void) {
    long *volatile p = malloc(sizeof *p);
    *p = 1;
    must(weft_yield());
    free(p);
    must(weft_yield());
    sink = *p;
}

static void uninitialised(void) {
    volatile long local[2];
    must(weft_yield());
    if (*hidden(&local[1]) == 5) sink = 1;
}

/* The stack of another fiber is made of memory that was used before: what an earlier one left there is no value. */
static int reads_what_was_left(int x);
WEFT_TASK(reads_what_was_left, int, int);
static int reads_what_was_left(int x) {
    volatile long locals[64];
    if (*hidden(&locals[7]) == 7) sink = 1;
    return x;
}
static void left_by_another(void) {
    keeps_fiber f;
    must(weft_spawn(&f, keeps, 1));
    must(weft_await(f, keeps, NULL));
    weft_drop(f);
    reads_what_was_left_fiber g;
    must(weft_spawn(&g, reads_what_was_left, 1));
    must(weft_await(g, reads_what_was_left, NULL));
    weft_drop(g);
}

OUT_OF_LINE static void leak(void) {
    kept = malloc(100);
    must(weft_yield());
    kept = NULL;
}

/* ---- none -------------------------------------------------------------------------------------------- */

static int waiting;

typedef gate *gate_ref;
static int holds(gate *g);
WEFT_TASK(holds, int, gate_ref);
/* The only pointer to a block, in a frame of a suspended fiber. */
static int holds(gate *g) {
    char *volatile block = malloc(100);
    memset(block, 1, 100);
    waiting++;
    must(gate_wait(g));
    CHECK_EQ(block[99], 1);
    free(block);
    return 0;
}

/* Many stacks, each left and come back to; leaks are looked for while all wait. */
static void none(void) {
    enum { FIBERS = 50 };
    static gate g;
    holds_fiber f[FIBERS];
    for (int i = 0; i < FIBERS; i++) must(weft_spawn(&f[i], holds, &g));
    for (int i = 0; i < FIBERS; i++) must(weft_yield());
    CHECK_EQ(waiting, FIBERS);
    unsigned long lost = 0, perhaps = 0, reachable = 0, suppressed = 0;
    VALGRIND_DO_QUICK_LEAK_CHECK;
    VALGRIND_COUNT_LEAKS(lost, perhaps, reachable, suppressed);
    (void)perhaps, (void)suppressed; /* of threads' storage libc keeps pointers to the middle */
    CHECK_EQ(lost, 0);
    CHECK(reachable > FIBERS * 100);
    gate_open(&g, thread_fiber()->w->rt);
    for (int i = 0; i < FIBERS; i++) {
        must(weft_await(f[i], holds, NULL));
        weft_drop(f[i]);
    }
}

/* ---- which ------------------------------------------------------------------------------------------- */

static const struct planted {
    const char *name;
    void (*body)(void);
} PLANTED[] = {
    {"dead_frame", dead_frame},
    {"ended_fiber", ended_fiber},
    {"freed_block", freed_block},
    {"uninitialised", uninitialised},
    {"left_by_another", left_by_another},
    {"leak", leak},
    {"none", none},
};

static void run(void *planted) { ((const struct planted *)planted)->body(); }

int main(int argc, char **argv) {
    (void)test_main, (void)test_last;
    for (size_t i = 0; argc == 2 && i < sizeof PLANTED / sizeof *PLANTED; i++) {
        struct planted p = PLANTED[i];
        if (strcmp(argv[1], p.name) == 0) return weft_run(&WEFT_OPTIONS(.workers = 1), run, &p) == WEFT_OK ? 0 : 1;
    }
    fprintf(stderr, "usage: planted FAULT\n");
    return 2;
}
