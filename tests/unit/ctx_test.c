/* tests/unit/ctx_test.c -- the context switch keeps its contract: both implementations by name, and the
 * one the build chose through weft__ctx_switch.
 *
 * Every behaviour is written once over a table of implementations.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#define _GNU_SOURCE
#include "sched/ctx.h"
#include "tests/test.h"
#include <pthread.h>
#include <unwind.h>

enum { STACK = 256 * 1024 };

typedef struct impl {
    const char *name;
    void (*init)(ctx *c, char *lo, char *top, void (*entry)(void *payload));
    void *(*go)(ctx *from, ctx *to, void *payload);
} impl;

static __attribute__((noinline)) void *go_fcontext(ctx *from, ctx *to, void *p) {
    return weft__ctx_fcontext_switch(from, to, p);
}
static __attribute__((noinline)) void *go_native(ctx *from, ctx *to, void *p) {
    return weft__ctx_native_switch(from, to, p);
}
static __attribute__((noinline)) void *go_chosen(ctx *from, ctx *to, void *p) {
    return weft__ctx_switch(from, to, p);
}

static const impl impls[] = {
    {"fcontext", weft__ctx_fcontext_init, go_fcontext},
    {"native", weft__ctx_native_init, go_native},
    {"chosen", weft__ctx_init, go_chosen},
};

static const impl *now; /* the one under test */

#define EACH_IMPL for (now = impls; now < impls + sizeof impls / sizeof *impls; now++)

typedef struct fiber {
    ctx c;
    char *stack;
} fiber;

static void fiber_open(fiber *f, size_t bytes, void (*entry)(void *)) {
    f->stack = aligned_alloc(64, bytes);
    CHECK(f->stack != NULL);
    memset(f->stack, 0xa5, bytes);
    now->init(&f->c, f->stack, f->stack + bytes, entry);
}

static void fiber_close(fiber *f) {
    weft__ctx_fini(&f->c);
    free(f->stack);
}

static ctx home; /* the test's own stack; one test at a time */

/* ---- payloads ----------------------------------------------------------------------------------- */

static fiber echo;

static void echo_entry(void *p) {
    for (;;) p = now->go(&echo.c, &home, (void *)((uintptr_t)p + 1));
}

TEST(payloads_arrive_in_both_directions) {
    EACH_IMPL {
        weft__ctx_adopt(&home);
        fiber_open(&echo, STACK, echo_entry);
        for (uintptr_t i = 0; i < 1000; i++)
            CHECK_EQ((uintptr_t)now->go(&home, &echo.c, (void *)(i * 3)), i * 3 + 1);
        fiber_close(&echo);
        weft__ctx_fini(&home);
    }
}

TEST(the_chosen_implementation_has_a_name) {
    CHECK(!strcmp(weft__ctx_name(), "fcontext") || !strcmp(weft__ctx_name(), "native"));
}

/* ---- what lives across a switch ------------------------------------------------------------------- */

static fiber other;

/* Overwrites every callee-saved register and many others by having many values live at once. */
static __attribute__((noinline)) uint64_t churn(ctx *from, ctx *to, uint64_t seed) {
    volatile uint64_t in[16];
    for (unsigned i = 0; i < 16; i++) in[i] = seed * (2 * i + 1) + i;
    uint64_t a = in[0], b = in[1], c = in[2], d = in[3], e = in[4], f = in[5], g = in[6], h = in[7];
    double x = (double)in[8], y = (double)in[9], z = (double)in[10], w = (double)in[11];
    float s = (float)(seed % 1000) / 8, t = s * 2;
    long double l = (long double)in[12] / 3;
    now->go(from, to, NULL);
    uint64_t ints = a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;
    uint64_t want = in[0] + 2 * in[1] + 3 * in[2] + 4 * in[3] + 5 * in[4] + 6 * in[5] + 7 * in[6] + 8 * in[7];
    CHECK_EQ(ints, want);
    CHECK(x == (double)in[8] && y == (double)in[9] && z == (double)in[10] && w == (double)in[11]);
    CHECK(s == (float)(seed % 1000) / 8 && t == s * 2 && l == (long double)in[12] / 3);
    return ints;
}

static void churn_entry(void *p) {
    (void)p;
    for (uint64_t seed = 77;; seed++) churn(&other.c, &home, seed);
}

TEST(registers_locals_and_floating_point_values_survive) {
    EACH_IMPL {
        weft__ctx_adopt(&home);
        fiber_open(&other, STACK, churn_entry);
        for (uint64_t seed = 1; seed < 2000; seed++) churn(&home, &other.c, seed * 0x9e3779b9u);
        fiber_close(&other);
        weft__ctx_fini(&home);
    }
}

/* Six values that are only in registers: the compiler keeps them in callee-saved ones across the call. */
static __attribute__((noinline)) void pinned(ctx *from, ctx *to, uintptr_t v) {
#define PINNED(n, k) uintptr_t n = v + (uintptr_t)k
#define TIE(n) __asm__ volatile("" : "+r"(n))
    PINNED(a, 1);
    PINNED(b, 2);
    PINNED(c, 3);
    PINNED(d, 4);
    PINNED(e, 5);
    PINNED(f, 6);
    TIE(a);
    TIE(b);
    TIE(c);
    TIE(d);
    TIE(e);
    TIE(f);
    now->go(from, to, NULL);
    TIE(a);
    TIE(b);
    TIE(c);
    TIE(d);
    TIE(e);
    TIE(f);
    CHECK(a == v + 1 && b == v + 2 && c == v + 3 && d == v + 4 && e == v + 5 && f == v + 6);
}

static void pinned_entry(void *p) {
    (void)p;
    for (uintptr_t v = 1u << 20;; v += 10) pinned(&other.c, &home, v);
}

TEST(callee_saved_registers_survive_a_switch_that_is_one_call_away) {
    EACH_IMPL {
        weft__ctx_adopt(&home);
        fiber_open(&other, STACK, pinned_entry);
        for (uintptr_t v = 0; v < 1000; v++) pinned(&home, &other.c, v);
        fiber_close(&other);
        weft__ctx_fini(&home);
    }
}

/* A leaf function may keep locals below the stack pointer; the inlined switch must step over them. */
#define LEAF(which)                                                                           \
    static __attribute__((noinline)) uint64_t leaf_##which(ctx *from, ctx *to, uint64_t n) {  \
        volatile uint64_t local[12];                                                          \
        for (unsigned i = 0; i < 12; i++) local[i] = n + i;                                   \
        weft__ctx_##which##_switch(from, to, NULL);                                           \
        uint64_t sum = 0;                                                                     \
        for (unsigned i = 0; i < 12; i++) sum += local[i];                                    \
        return sum;                                                                           \
    }                                                                                         \
    static void leaf_##which##_entry(void *p) {                                               \
        (void)p;                                                                              \
        for (uint64_t n = 500;; n++) CHECK_EQ(leaf_##which(&other.c, &home, n), 12 * n + 66); \
    }
LEAF(fcontext)
LEAF(native)

TEST(locals_below_the_stack_pointer_of_a_leaf_survive_an_inlined_switch) {
    now = &impls[0];
    weft__ctx_adopt(&home);
    fiber_open(&other, STACK, leaf_fcontext_entry);
    for (uint64_t n = 0; n < 100; n++) CHECK_EQ(leaf_fcontext(&home, &other.c, n), 12 * n + 66);
    fiber_close(&other);
    now = &impls[1];
    fiber_open(&other, STACK, leaf_native_entry);
    for (uint64_t n = 0; n < 100; n++) CHECK_EQ(leaf_native(&home, &other.c, n), 12 * n + 66);
    fiber_close(&other);
    weft__ctx_fini(&home);
}

/* An over-aligned local beside a variable-sized one: the function needs a base pointer. */
static __attribute__((noinline)) void based(ctx *from, ctx *to, size_t n) {
    _Alignas(64) volatile char aligned[64];
    volatile char room[n];
    aligned[5] = (char)n;
    room[n - 1] = (char)(n + 1);
    weft__ctx_native_switch(from, to, NULL);
    CHECK(((uintptr_t)aligned & 63) == 0 && aligned[5] == (char)n && room[n - 1] == (char)(n + 1));
}

static void based_entry(void *p) {
    (void)p;
    for (size_t n = 900;; n++) based(&other.c, &home, n);
}

TEST(a_base_pointer_survives_the_native_switch) {
    now = &impls[1];
    weft__ctx_adopt(&home);
    fiber_open(&other, STACK, based_entry);
    for (size_t n = 1; n < 300; n++) based(&home, &other.c, n);
    fiber_close(&other);
    weft__ctx_fini(&home);
}

/* ---- the entry ---------------------------------------------------------------------------------- */

static uintptr_t entry_frame;

static void align_entry(void *p) {
    (void)p;
    _Alignas(16) volatile char probe[16];
    probe[0] = 1;
    entry_frame = (uintptr_t)__builtin_frame_address(0);
    CHECK_EQ((uintptr_t)probe & 15, 0);
    for (;;) now->go(&other.c, &home, NULL);
}

TEST(the_stack_is_aligned_at_the_entry) {
    EACH_IMPL {
        for (size_t cut = 0; cut < 256; cut += 16) {
            weft__ctx_adopt(&home);
            fiber_open(&other, STACK, align_entry);
            weft__ctx_fini(&other.c);
            now->init(&other.c, other.stack, other.stack + STACK - cut, align_entry);
            now->go(&home, &other.c, NULL);
            CHECK_EQ(entry_frame & 15, 0);
            CHECK(entry_frame > (uintptr_t)other.stack && entry_frame < (uintptr_t)other.stack + STACK - cut);
            fiber_close(&other);
            weft__ctx_fini(&home);
        }
    }
}

static void return_entry(void *p) {
    (void)p;
}

static void run_to_return(void *p) {
    (void)p;
    fprintf(stderr, "started\n");
    weft__ctx_adopt(&home);
    fiber_open(&other, STACK, return_entry);
    signal(SIGILL, SIG_DFL);
    signal(SIGTRAP, SIG_DFL);
    now->go(&home, &other.c, NULL);
}

#if defined(__x86_64__)
#define TRAP_SIGNAL SIGILL
#else
#define TRAP_SIGNAL SIGTRAP
#endif

TEST(an_entry_that_returns_traps) {
    EACH_IMPL EXPECT_DEATH(run_to_return, NULL, TRAP_SIGNAL, "started");
}

typedef struct trace {
    int frames;
    bool saw_home;
    uintptr_t outermost;
} trace;

static _Unwind_Reason_Code count_frame(struct _Unwind_Context *u, void *arg) {
    trace *t = arg;
    uintptr_t sp = (uintptr_t)_Unwind_GetCFA(u);
    if (sp < (uintptr_t)other.stack || sp > (uintptr_t)other.stack + STACK) t->saw_home = true;
    t->outermost = (uintptr_t)_Unwind_GetIP(u);
    return ++t->frames > 100 ? _URC_NORMAL_STOP : _URC_NO_REASON;
}

static __attribute__((noinline)) void trace_at(int depth, trace *t) {
    if (depth > 0)
        trace_at(depth - 1, t);
    else
        _Unwind_Backtrace(count_frame, t);
    __asm__ volatile("" ::: "memory");
}

static trace traced;

static void trace_entry(void *p) {
    (void)p;
    for (;;) {
        traced = (trace){0};
        trace_at(6, &traced);
        now->go(&other.c, &home, NULL);
    }
}

TEST(a_backtrace_ends_at_the_entry) {
    EACH_IMPL {
        weft__ctx_adopt(&home);
        fiber_open(&other, STACK, trace_entry);
        for (int i = 0; i < 2; i++) {
            now->go(&home, &other.c, NULL);
            CHECK(traced.frames >= 8 && traced.frames <= 13); /* 7 of trace_at, the entry, what started it */
            CHECK(!traced.saw_home);
        }
        fiber_close(&other);
        weft__ctx_fini(&home);
    }
}

static void chase_entry(void *p) {
    (void)p;
    traced = (trace){0};
    for (void **fp = __builtin_frame_address(0); fp && traced.frames < 100; fp = (void **)*fp) {
        if ((char *)fp < other.stack || (char *)fp >= other.stack + STACK) traced.saw_home = true;
        if (traced.saw_home) break;
        traced.frames++;
    }
    for (;;) now->go(&other.c, &home, NULL);
}

TEST(the_chain_of_frame_pointers_ends_at_the_entry) {
    EACH_IMPL {
        weft__ctx_adopt(&home);
        fiber_open(&other, STACK, chase_entry);
        now->go(&home, &other.c, NULL);
        CHECK(!traced.saw_home);
        CHECK(traced.frames >= 1 && traced.frames <= 4);
        fiber_close(&other);
        weft__ctx_fini(&home);
    }
}

/* ---- many contexts -------------------------------------------------------------------------------- */

enum { NEST = 50 };
static fiber nest[NEST];
static int nest_log;

/* Each context starts the next, waits for it, and answers the one before. */
static void nest_entry(void *p) {
    int me = (int)(intptr_t)p;
    int below = 0;
    if (me + 1 < NEST) {
        fiber_open(&nest[me + 1], STACK / 4, nest_entry);
        below = (int)(intptr_t)now->go(&nest[me].c, &nest[me + 1].c, (void *)(intptr_t)(me + 1));
        fiber_close(&nest[me + 1]);
    }
    nest_log++;
    now->go(&nest[me].c, me ? &nest[me - 1].c : &home, (void *)(intptr_t)(below + 1));
    abort(); /* resumed after the end */
}

TEST(contexts_nest) {
    EACH_IMPL {
        nest_log = 0;
        weft__ctx_adopt(&home);
        fiber_open(&nest[0], STACK / 4, nest_entry);
        CHECK_EQ((intptr_t)now->go(&home, &nest[0].c, NULL), NEST);
        CHECK_EQ(nest_log, NEST);
        fiber_close(&nest[0]);
        weft__ctx_fini(&home);
    }
}

enum { RING = 400, LAPS = 50 };
static fiber ring[RING];

/* Passes a counter to the next; the last one passes it home. */
static void ring_entry(void *p) {
    size_t me = (size_t)((uintptr_t)p >> 32);
    uint32_t n = (uint32_t)(uintptr_t)p;
    for (;;) {
        ctx *to = me + 1 < RING ? &ring[me + 1].c : &home;
        p = now->go(&ring[me].c, to, (void *)(((uintptr_t)(me + 1) << 32) | (uintptr_t)(n + 1)));
        CHECK_EQ((uintptr_t)p >> 32, me);
        n = (uint32_t)(uintptr_t)p;
    }
}

TEST(many_contexts_pass_a_token_round_a_ring) {
    EACH_IMPL {
        weft__ctx_adopt(&home);
        for (size_t i = 0; i < RING; i++) fiber_open(&ring[i], 16384, ring_entry);
        uint32_t n = 0;
        for (int lap = 0; lap < LAPS; lap++)
            n = (uint32_t)(uintptr_t)now->go(&home, &ring[0].c, (void *)(uintptr_t)n);
        CHECK_EQ(n, RING * LAPS);
        for (size_t i = 0; i < RING; i++) fiber_close(&ring[i]);
        weft__ctx_fini(&home);
    }
}

static __attribute__((noinline)) uint64_t deep(int n) {
    volatile uint64_t here = (uint64_t)n;
    now->go(&other.c, &home, NULL);
    uint64_t below = n ? deep(n - 1) : 0;
    now->go(&other.c, &home, NULL);
    return below + here;
}

static void deep_entry(void *p) {
    (void)p;
    uint64_t sum = deep(300);
    for (;;) now->go(&other.c, &home, (void *)(uintptr_t)sum);
}

TEST(deep_frames_are_left_and_entered_in_the_middle) {
    EACH_IMPL {
        weft__ctx_adopt(&home);
        fiber_open(&other, STACK, deep_entry);
        for (int i = 0; i < 2 * 301; i++) now->go(&home, &other.c, NULL);
        CHECK_EQ((uintptr_t)now->go(&home, &other.c, NULL), 300 * 301 / 2);
        fiber_close(&other);
        weft__ctx_fini(&home);
    }
}

static void last_entry(void *p) {
    weft__ctx_exit(&other.c, &home, (void *)((uintptr_t)p + 5));
}

TEST(a_context_leaves_for_the_last_time_and_its_stack_is_used_again) {
    now = &impls[2];
    weft__ctx_adopt(&home);
    char *stack = aligned_alloc(64, STACK);
    CHECK(stack != NULL);
    for (uintptr_t i = 0; i < 500; i++) {
        weft__ctx_init(&other.c, stack, stack + STACK, last_entry);
        CHECK_EQ((uintptr_t)weft__ctx_switch(&home, &other.c, (void *)i), i + 5);
        weft__ctx_fini(&other.c);
    }
    weft__ctx_fini(&home);
    free(stack);
}

/* ---- threads -------------------------------------------------------------------------------------- */

enum { MOVES = 200 };
static fiber traveller;
static ctx *port; /* the context of the thread that resumed the traveller */
static pthread_t seen[MOVES];
static double odometer;

/* pthread_self is declared const: a compiler may keep its value across a switch. */
static __attribute__((noinline)) pthread_t this_thread(void) {
    __asm__ volatile("" ::: "memory");
    return pthread_self();
}

static void travel_entry(void *p) {
    (void)p;
    double local = 0.5;
    for (int i = 0; i < MOVES; i++) {
        seen[i] = this_thread();
        local += 1;
        odometer = local;
        now->go(&traveller.c, port, (void *)(intptr_t)(i + 1));
    }
    for (;;) now->go(&traveller.c, port, NULL);
}

static void *resume_once(void *p) {
    (void)p;
    ctx mine;
    weft__ctx_adopt(&mine);
    port = &mine;
    void *got = now->go(&mine, &traveller.c, NULL);
    weft__ctx_fini(&mine);
    return got;
}

TEST(a_context_suspended_on_one_thread_continues_on_another) {
    EACH_IMPL {
        fiber_open(&traveller, STACK, travel_entry);
        for (int i = 0; i < MOVES; i++) {
            void *got;
            if (i % 2) {
                pthread_t t;
                CHECK(pthread_create(&t, NULL, resume_once, NULL) == 0);
                CHECK(pthread_join(t, &got) == 0);
                CHECK(!pthread_equal(seen[i], pthread_self()));
            } else {
                got = resume_once(NULL);
                CHECK(pthread_equal(seen[i], pthread_self()));
            }
            CHECK_EQ((intptr_t)got, i + 1);
            CHECK(odometer == i + 1.5);
        }
        fiber_close(&traveller);
    }
}

TEST_MAIN
