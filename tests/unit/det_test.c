/* The deterministic executor: its order, which is documented; that it is the same each time; what comes from outside; and that
 * pure programs do the same there as on workers.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "sched/det.h"
#include "sched/thread.h"
#include "test.h"
#include <pthread.h>
#include <stdatomic.h>
#include <weft/local.h>
#include <weft/promise.h>
#include <weft/scope.h>
#include <weft/test.h>

/* ---- events --------------------------------------------------------------------------------------------- */

static char events[4096];
static size_t n_events;
static void event(char c) {
    if (n_events + 1 < sizeof events) events[n_events++] = c;
    events[n_events] = 0;
}
static void fresh(void) { events[n_events = 0] = 0; }

static const weft_options fifo_options = {.size = sizeof(weft_options), .executor = WEFT_DETERMINISTIC, .clock = WEFT_CLOCK_AUTO};

static void in_order(void (*body)(void *), const char *expected) {
    fresh();
    CHECK_EQ(weft_run(&fifo_options, body, NULL), WEFT_OK);
    if (strcmp(events, expected) != 0) fprintf(stderr, "expected %s\n     got %s\n", expected, events);
    CHECK(strcmp(events, expected) == 0);
}

/* A fiber's name when it begins, and in capitals when it goes on and ends. */
static int twice(int name);
WEFT_TASK(twice, int, int);
static int twice(int name) {
    event((char)name);
    weft_yield();
    event((char)(name - 'a' + 'A'));
    return name;
}
static int once(int name);
WEFT_TASK(once, int, int);
static int once(int name) {
    event((char)name);
    return name;
}

/* ---- first in, first out -------------------------------------------------------------------------------- */

/* Spawned fibers wait in line, in the order of spawning, while their spawner goes on; and so do those that yield. */
static void spawns(void *arg) {
    (void)arg;
    WEFT_SCOPE(s, NULL) {
        for (int i = 0; i < 3; i++) weft_spawn((twice_fiber *)NULL, twice, 'a' + i);
        event('.');
        weft_yield();
        event('!');
    }
    event('/');
}
TEST(spawned_fibers_run_in_the_order_of_spawning) { in_order(spawns, ".abc!ABC/"); }

/* What is awaited is in line like others, and so is who awaited it, from its end on. */
static void awaits(void *arg) {
    (void)arg;
    twice_fiber a, b;
    once_fiber c;
    weft_spawn(&a, twice, 'a');
    weft_spawn(&b, twice, 'b');
    weft_spawn(&c, once, 'c');
    weft_await(c, once, NULL);
    event('.');
    weft_await(a, twice, NULL);
    event('!');
    weft_await(b, twice, NULL);
    event('/');
    weft_drop(a);
    weft_drop(b);
    weft_drop(c);
}
TEST(an_await_lets_those_in_line_run_first) { in_order(awaits, "abcAB.!/"); }

/* Higher priority first, whenever it became ready; low priority when nothing else is. */
static void priorities(void *arg) {
    (void)arg;
    WEFT_SCOPE(s, NULL) {
        weft_spawn_options low = {.priority = WEFT_PRIORITY_LOW}, high = {.priority = WEFT_PRIORITY_HIGH};
        weft_spawn_with((twice_fiber *)NULL, twice, low, 'l');
        weft_spawn((twice_fiber *)NULL, twice, 'n');
        weft_spawn_with((twice_fiber *)NULL, twice, high, 'h');
        weft_spawn((twice_fiber *)NULL, twice, 'm');
        weft_spawn_with((twice_fiber *)NULL, twice, high, 'i');
        weft_spawn_with((twice_fiber *)NULL, twice, low, 'k');
    }
}
TEST(priorities_come_first_and_last) { in_order(priorities, "hiHInmNMlkLK"); }

/* Those who wait for one promise go on in the order in which they began to wait, after who completes it. */
static weft_promise door;
static int waits(int name);
WEFT_TASK(waits, int, int);
static int waits(int name) {
    event((char)name);
    weft_promise_await(&door, NULL);
    event((char)(name - 'a' + 'A'));
    return 0;
}
static void promise_wakes(void *arg) {
    (void)arg;
    weft_promise_init(&door);
    WEFT_SCOPE(s, NULL) {
        for (int i = 0; i < 4; i++) weft_spawn((waits_fiber *)NULL, waits, 'a' + i);
        weft_yield();
        weft_promise_complete(&door, NULL);
        event('.');
        weft_spawn((once_fiber *)NULL, once, 'z');
    }
}
TEST(a_promise_wakes_in_the_order_of_waiting) { in_order(promise_wakes, "abcd.ABCDz"); }

/* Joined, a child is a call.  What a parent that waits leaves behind runs beside the line, oldest first, in turns with it. */
static void joins(void *arg) {
    (void)arg;
    once_task a, b;
    weft_fork(&a, once, 'a');
    weft_fork(&b, once, 'b');
    event('.');
    weft_join(&b, once);
    weft_join(&a, once);
    event('/');
}
TEST(joined_children_are_calls) { in_order(joins, ".ba/"); }

static void forks_and_waits(void *arg) {
    (void)arg;
    once_task f, g, h;
    WEFT_SCOPE(s, NULL) {
        weft_spawn((once_fiber *)NULL, once, 'x');
        weft_spawn((once_fiber *)NULL, once, 'y');
        weft_fork(&f, once, 'f');
        weft_fork(&g, once, 'g');
        weft_fork(&h, once, 'h');
        event('.');
        weft_sleep(weft_ms(1));
        event('!');
        weft_join(&h, once);
        weft_join(&g, once);
        weft_join(&f, once);
    }
}
TEST(children_left_behind_take_turns_with_the_line) { in_order(forks_and_waits, ".xfygh!"); }

/* Of one time: in the order of going to sleep. */
static int sleeps(int name);
WEFT_TASK(sleeps, int, int);
static int sleeps(int name) {
    weft_sleep(weft_ms(name < 'm' ? 20 : 10));
    event((char)name);
    return 0;
}
static void sleepers(void *arg) {
    (void)arg;
    WEFT_SCOPE(s, NULL) {
        static const char names[] = "amboc";
        for (int i = 0; names[i]; i++) weft_spawn((sleeps_fiber *)NULL, sleeps, names[i]);
    }
}
TEST(sleepers_wake_by_time_then_by_going_to_sleep) { in_order(sleepers, "moabc"); }

/* ---- the same each time --------------------------------------------------------------------------------- */

static int branch(int depth);
WEFT_TASK(branch, int, int);
static int branch(int depth) {
    event((char)('0' + depth));
    if (depth == 0) return 1;
    branch_task child;
    weft_fork(&child, branch, depth - 1);
    weft_point();
    if (depth % 2) weft_sleep(weft_ms(depth));
    event((char)('A' + depth));
    int other = branch(depth - 1);
    return other + weft_join(&child, branch);
}
static void mixed(void *arg) {
    (void)arg;
    weft_promise_init(&door);
    WEFT_SCOPE(s, NULL) {
        for (int i = 0; i < 3; i++) weft_spawn((waits_fiber *)NULL, waits, 'a' + i);
        for (int i = 0; i < 3; i++) weft_spawn((twice_fiber *)NULL, twice, 'p' + i);
        weft_spawn((branch_fiber *)NULL, branch, 4);
        weft_start(s, branch, 3);
        weft_sleep(weft_ms(3));
        weft_promise_complete(&door, NULL);
        event('.');
    }
}
static void traced(uint64_t seed, weft_explore how, char *to, size_t room) {
    fresh();
    weft_options o = fifo_options;
    o.seed = seed;
    o.explore = how;
    CHECK_EQ(weft_run(&o, mixed, NULL), WEFT_OK);
    snprintf(to, room, "%s", events);
}
TEST(a_seed_is_a_trace_and_another_is_another) {
    static char first[4096], again[4096];
    for (weft_explore how = WEFT_EXPLORE_FIFO; how <= WEFT_EXPLORE_PCT; how++) {
        unsigned others = 0;
        for (uint64_t seed = 1; seed <= 20; seed++) {
            traced(seed, how, first, sizeof first);
            traced(seed, how, again, sizeof again);
            CHECK(!strcmp(first, again));
            traced(seed + 1, how, again, sizeof again);
            others += strcmp(first, again) != 0;
        }
        if (how == WEFT_EXPLORE_FIFO)
            CHECK_EQ(others, 0);
        else
            CHECK(others >= 17);
    }
}

#define TRACE "WEFT_TEST_TRACE"
__attribute__((unused)) static void another_process(void *arg) { /* not where programs are emulated */
    setenv(TRACE, arg, 1);
    dup2(2, 1);
    execl("/proc/self/exe", "det_test", "a_trace_on_request", (char *)NULL);
}
TEST(a_trace_on_request) {
    const char *seed = getenv(TRACE);
    if (!seed) return;
    char text[4096];
    void *heap = malloc(1); /* somewhere else in each process */
    free(heap);
    for (weft_explore how = WEFT_EXPLORE_FIFO; how <= WEFT_EXPLORE_PCT; how++) {
        traced((uint64_t)atoi(seed), how, text, sizeof text);
        fprintf(stderr, "%s\n", text);
    }
}
TEST(a_seed_is_a_trace_in_each_process) {
#ifndef WEFT_TEST_EMULATED
    static char first[16384], again[16384];
    CHECK_EQ(test_in_child(another_process, (void *)"7", first, sizeof first), 0);
    CHECK_EQ(test_in_child(another_process, (void *)"7", again, sizeof again), 0);
    CHECK(strlen(first) > 150);
    CHECK(!strcmp(first, again));
    CHECK_EQ(test_in_child(another_process, (void *)"8", again, sizeof again), 0);
    CHECK(strcmp(first, again) != 0);
#endif
}

/* ---- by the environment --------------------------------------------------------------------------------- */

static void says_how(void *arg) {
    (void)arg;
    const runtime *rt = thread_fiber()->w->rt;
    const explorer *e = rt->det ? &rt->det->explorer : NULL;
    if (e) fprintf(stderr, "%d,%d,%u;", (int)e->how, (int)e->seed, e->given.n);
    else fprintf(stderr, "parallel;");
}
static void run_in(void *arg) {
    for (const char *const *pairs = arg; *pairs; pairs += 2) setenv(pairs[0], pairs[1], 1);
    weft_err err = weft_run(NULL, says_how, NULL);
    weft_run(&WEFT_OPTIONS(.executor = WEFT_PARALLEL, .workers = 1), says_how, NULL);
    fprintf(stderr, "%d", (int)err);
}
#define RUN_IN(expected, ...)                                                                \
    do {                                                                                     \
        char said[256];                                                                      \
        CHECK_EQ(test_in_child(run_in, (const char *[]){__VA_ARGS__, NULL}, said, sizeof said), 0); \
        test_note("%s", said);                                                               \
        CHECK(!strcmp(said, expected));                                                      \
        test_note(NULL);                                                                     \
    } while (0)
TEST(the_environment_makes_a_run_deterministic_unless_it_says_which) {
    RUN_IN("parallel;parallel;0", "OTHER", "1");
    RUN_IN("1,0,0;parallel;0", "WEFT_SEED", "0");
    RUN_IN("2,5,0;parallel;0", "WEFT_SEED", "5");
    RUN_IN("3,5,0;parallel;0", "WEFT_SEED", "5", "WEFT_EXPLORE", "pct");
    RUN_IN("1,5,0;parallel;0", "WEFT_SEED", "5", "WEFT_EXPLORE", "fifo");
    RUN_IN("5,5,2;parallel;0", "WEFT_SEED", "5", "WEFT_REPLAY", "3:1,9:1");
}

/* ---- from outside --------------------------------------------------------------------------------------- */

static weft_promise told[2];
static int listens(int i);
WEFT_TASK(listens, int, int);
static int listens(int i) {
    weft_promise_await(&told[i], NULL);
    event((char)('0' + i));
    return i;
}
static void *tells(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) weft_promise_complete(&told[i], NULL);
    return NULL;
}
static void thread_over(void *(*body)(void *), void *arg) {
    pthread_t t;
    CHECK_EQ(pthread_create(&t, NULL, body, arg), 0);
    pthread_join(t, NULL);
}
static uint64_t let_in[2];
static uint32_t n_let_in;
static void outside_comes_last(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) CHECK_EQ(weft_promise_external(&told[i], NULL), WEFT_OK);
    listens_fiber f[2];
    for (int i = 0; i < 2; i++) weft_spawn(&f[i], listens, i);
    weft_yield();
    weft_yield();
    thread_over(tells, NULL); /* both are ready from now on, and outside */
    twice_fiber g;
    weft_spawn(&g, twice, 'a');
    weft_yield();
    weft_yield();
    event('.');
    weft_await(g, twice, NULL);
    for (int i = 0; i < 2; i++) weft_await(f[i], listens, NULL);
    for (int i = 0; i < 2; i++) weft_drop(f[i]);
    weft_drop(g);
    const explorer *e = &thread_fiber()->w->rt->det->explorer;
    n_let_in = e->made.n_outside;
    for (uint32_t i = 0; i < n_let_in && i < 2; i++) let_in[i] = e->made.outside[i];
}
TEST(what_comes_from_outside_is_let_in_when_nothing_else_can_go_on) {
    in_order(outside_comes_last, "aA.01");
    CHECK_EQ(n_let_in, 0); /* fifo: nobody wants to know */
    for (uint64_t seed = 1; seed < 20; seed++) {
        weft_options o = fifo_options;
        o.seed = seed;
        fresh();
        CHECK_EQ(weft_run(&o, outside_comes_last, NULL), WEFT_OK);
        CHECK_EQ(n_let_in, 2);
        CHECK(strchr(events, 'A') < strchr(events, '0'));
        CHECK(let_in[0] < let_in[1]); /* in order of spawning, as they were told */
    }
    /* in the order of a schedule that is replayed */
    char schedule[64];
    snprintf(schedule, sizeof schedule, ";%llu,%llu", (unsigned long long)let_in[1], (unsigned long long)let_in[0]);
    weft_options o = fifo_options;
    o.schedule = schedule;
    fresh();
    CHECK_EQ(weft_run(&o, outside_comes_last, NULL), WEFT_OK);
    CHECK(!strcmp(events, "aA.10"));
}

static void *spawns_and_leaves(void *rt) {
    for (int i = 0; i < 2; i++) {
        weft_exit e = weft_spawn_with((once_fiber *)NULL, once, {.runtime = rt}, 'x' + i);
        CHECK(weft_ok(e));
    }
    return NULL;
}
static void spawned_outside(void *arg) {
    (void)arg;
    twice_fiber g;
    thread_over(spawns_and_leaves, thread_fiber()->w->rt->handle);
    weft_spawn(&g, twice, 'a');
    weft_yield();
    weft_yield();
    event('.');
    weft_await(g, twice, NULL);
    weft_drop(g);
    const explorer *e = &thread_fiber()->w->rt->det->explorer;
    n_let_in = e->made.n_outside;
    weft_sleep(weft_ms(1)); /* nothing else can go on */
    CHECK_EQ(e->made.n_outside, explore_asks(e) ? 2 : 0);
}
TEST(what_another_thread_spawns_is_let_in_when_nothing_else_can_go_on) {
    in_order(spawned_outside, "aA.xy");
    for (uint64_t seed = 1; seed < 10; seed++) {
        weft_options o = fifo_options;
        o.seed = seed;
        fresh();
        CHECK_EQ(weft_run(&o, spawned_outside, NULL), WEFT_OK);
        CHECK_EQ(n_let_in, 0);
        CHECK(strchr(events, 'A') < strchr(events, 'x'));
    }
}

static void *blocks(void *arg, weft_offload_call *call) {
    (void)call;
    return (char *)arg + 1;
}
static void offloads(void *arg) {
    (void)arg;
    char two[2];
    void *result = NULL;
    CHECK(weft_ok(weft_offload(blocks, two, &result, NULL)));
    CHECK(result == &two[1]);
    event('o');
}
TEST(an_offloaded_call_returns) {
    for (uint64_t seed = 0; seed < 5; seed++) {
        weft_options o = fifo_options;
        o.seed = seed;
        fresh();
        CHECK_EQ(weft_run(&o, offloads, NULL), WEFT_OK);
        CHECK(!strcmp(events, "o"));
    }
}

static void *spawns_from_outside(void *rt) {
    once_fiber f;
    int got = 0;
    weft_exit e = weft_spawn_with(&f, once, {.runtime = rt}, 'x');
    CHECK(weft_ok(e));
    CHECK(weft_ok(weft_await(f, once, &got)));
    CHECK_EQ(got, 'x');
    weft_drop(f);
    return NULL;
}
TEST(another_thread_spawns_and_awaits) {
    weft_runtime *rt;
    CHECK_EQ(weft_open(&fifo_options, &rt), WEFT_OK);
    fresh();
    thread_over(spawns_from_outside, rt);
    spawns_from_outside(rt); /* and so does this one */
    CHECK(!strcmp(events, "xx"));
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

/* Calls of several threads take turns: nobody else is inside meanwhile. */
static weft_runtime *shared;
static int inside, total;
static void one_call(void *arg) {
    (void)arg;
    CHECK_EQ(inside++, 0);
    total++;
    CHECK_EQ(--inside, 0);
    WEFT_SCOPE(s, NULL) weft_spawn((once_fiber *)NULL, once, 'c');
}
static void *many_calls(void *arg) {
    for (int i = 0; i < 50; i++) CHECK_EQ(weft_call(shared, one_call, arg), WEFT_OK);
    return NULL;
}
TEST(calls_of_several_threads_take_turns) {
    pthread_t t[4];
    fresh();
    total = 0;
    CHECK_EQ(weft_open(&fifo_options, &shared), WEFT_OK);
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&t[i], NULL, many_calls, NULL), 0);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    CHECK_EQ(total, 200);
    CHECK_EQ(n_events, 200);
    CHECK_EQ(weft_close(shared), WEFT_OK);
    CHECK_EQ(weft_call(shared, one_call, NULL), WEFT_E_CLOSED);
}

/* Nobody runs the fibers but who waits for them. */
TEST(fibers_run_while_a_thread_waits_in_close_or_shutdown) {
    weft_runtime *rt;
    for (int how = 0; how < 2; how++) {
        fresh();
        CHECK_EQ(weft_open(&fifo_options, &rt), WEFT_OK);
        weft_spawn_with((sleeps_fiber *)NULL, sleeps, {.runtime = rt}, 'a');
        weft_spawn_with((once_fiber *)NULL, once, {.runtime = rt}, 'b');
        CHECK_EQ(n_events, 0);
        CHECK_EQ(how ? weft_shutdown(rt, weft_s(5), weft_s(5), NULL) : weft_close(rt), WEFT_OK);
        CHECK(!strcmp(events, "ba"));
    }
}
TEST(a_manual_clock_is_driven_by_who_advances_it) {
    weft_runtime *rt;
    weft_options o = fifo_options;
    o.clock = WEFT_CLOCK_MANUAL;
    fresh();
    CHECK_EQ(weft_open(&o, &rt), WEFT_OK);
    weft_spawn_with((sleeps_fiber *)NULL, sleeps, {.runtime = rt}, 'a');
    weft_spawn_with((sleeps_fiber *)NULL, sleeps, {.runtime = rt}, 'm');
    CHECK(weft_ok(weft_clock_advance(rt, weft_ms(9))));
    CHECK(!strcmp(events, ""));
    CHECK(weft_ok(weft_clock_advance(rt, weft_ms(1))));
    CHECK(!strcmp(events, "m"));
    CHECK(weft_ok(weft_clock_advance(rt, weft_s(1))));
    CHECK(!strcmp(events, "ma"));
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

/* ---- what is reported ----------------------------------------------------------------------------------- */

static char reported[2048];
static void on_report(void *arg, const char *text) {
    (void)arg;
    snprintf(reported, sizeof reported, "%s", text);
}
static void waits_for_ever(void *arg) {
    (void)arg;
    weft_promise_init(&door);
    WEFT_SCOPE(s, NULL) weft_spawn((waits_fiber *)NULL, waits, 'a');
}
static void sleeps_long(void *arg) {
    (void)arg;
    event(weft_ok(weft_sleep(weft_s(1))) ? 'y' : 'n');
}
TEST(a_deadlock_and_time_that_stands_are_reported) {
    weft_options o = fifo_options;
    o.on_report = on_report;
    for (o.seed = 0; o.seed < 5; o.seed++) {
        reported[0] = 0;
        CHECK_EQ(weft_run(&o, waits_for_ever, NULL), WEFT_E_DEADLOCK);
        CHECK(strncmp(reported, "deadlock", 8) == 0);
        CHECK(strstr(reported, "'waits' at ") && strstr(reported, "waits for a promise"));
    }
    o.clock = WEFT_CLOCK_MANUAL;
    o.seed = 0;
    fresh();
    reported[0] = 0;
    CHECK_EQ(weft_run(&o, sleeps_long, NULL), WEFT_E_DEADLOCK);
    CHECK(strncmp(reported, "time never advanced", 19) == 0);
    CHECK(!strcmp(events, "n"));
}

/* ---- options -------------------------------------------------------------------------------------------- */

static int ticks(int n);
WEFT_TASK(ticks, int, int);
static int ticks(int n) {
    while (weft_ok(weft_sleep(weft_ms(n)))) event('t');
    return n;
}
static void has_a_daemon(void *arg) {
    (void)arg;
    weft_spawn_with((ticks_fiber *)NULL, ticks, {.daemon = true}, 4);
    weft_sleep(weft_ms(10));
    event('.');
}
TEST(daemons_keep_nothing_open) {
    for (uint64_t seed = 0; seed < 5; seed++) {
        weft_options o = fifo_options;
        o.seed = seed;
        fresh();
        CHECK_EQ(weft_run(&o, has_a_daemon, NULL), WEFT_OK);
        CHECK(!strncmp(events, "tt.", 3));
    }
}

static int alive, most_alive;
static int lives(int n);
WEFT_TASK(lives, int, int);
static int lives(int n) {
    if (++alive > most_alive) most_alive = alive;
    weft_sleep(weft_ms(n));
    alive--;
    return n;
}
static void ten_live(void *arg) {
    (void)arg;
    WEFT_SCOPE(s, NULL) {
        for (int i = 0; i < 10; i++) CHECK(weft_ok(weft_spawn((lives_fiber *)NULL, lives, 10 - i)));
    }
}
TEST(there_are_at_most_so_many_fibers) {
    for (uint64_t seed = 0; seed < 20; seed++) {
        weft_options o = fifo_options;
        o.seed = seed;
        o.max_fibers = 3;
        alive = most_alive = 0;
        CHECK_EQ(weft_run(&o, ten_live, NULL), WEFT_OK);
        CHECK_EQ(alive, 0);
        CHECK(most_alive <= 3 && most_alive >= 1);
    }
}

TEST(without_memory_it_is_not_opened_and_leaves_nothing) {
    for (int replay = 0; replay < 2; replay++) {
        weft_options o = fifo_options;
        o.seed = 1;
        o.schedule = replay ? "3:1,4:1;7" : NULL;
        weft_runtime *rt;
        uint64_t live = weft__heap_live();
        weft_err err = WEFT_E_NOMEM;
        for (uint64_t n = 1; err != WEFT_OK && n < 200; n++) {
            weft__heap_fail_at(n, 0);
            err = weft_open(&o, &rt);
            weft__heap_fail_at(0, 0);
            CHECK(err == WEFT_OK || err == WEFT_E_NOMEM);
            if (err == WEFT_OK) CHECK_EQ(weft_close(rt), WEFT_OK);
            else CHECK(rt == NULL);
            CHECK_EQ(weft__heap_live(), live);
        }
        CHECK_EQ(err, WEFT_OK);
    }
}

static int tiny(int name);
WEFT_TASK(tiny, int, int);
static int tiny(int name) {
    weft_yield();
    weft_promise_await(&door, NULL);
    return name;
}
static void tiny_ones(void *arg) {
    (void)arg;
    tiny_fiber f[20];
    int sum = 0;
    weft_promise_init(&door);
    for (int i = 0; i < 20; i++) {
        weft_exit e = weft_spawn_with(&f[i], tiny, {.stack_bytes = WEFT_STACK_TINY}, i);
        CHECK(weft_ok(e));
    }
    weft_yield();
    weft_promise_complete(&door, NULL);
    for (int i = 0; i < 20; i++) {
        int n = 0;
        CHECK(weft_ok(weft_await(f[i], tiny, &n)));
        weft_drop(f[i]);
        sum += n;
    }
    CHECK_EQ(sum, 190);
}
TEST(tiny_stacks_do) {
    for (uint64_t seed = 0; seed < 20; seed++) {
        weft_options o = fifo_options;
        o.seed = seed;
        CHECK_EQ(weft_run(&o, tiny_ones, NULL), WEFT_OK);
    }
}

/* ---- a handle at a scheduling point ----------------------------------------------------------------------- */

typedef struct given {
    once_fiber f;
} given;
static int drops(given g);
WEFT_TASK(drops, int, given);
static int drops(given g) { return (int)weft_drop(g.f); }

/* It has ended; so an await does not wait, and finds it, or that it was dropped, but never what has become of its memory. */
TEST(a_handle_is_looked_at_after_the_point_at_which_others_may_drop_it) {
    static weft_test_result r;
    unsigned seen[2] = {0}, dropped[2] = {0};
    WEFT_TEST(t, .explore = WEFT_EXPLORE_DFS, .result = &r) {
        once_fiber f, another;
        drops_fiber d;
        int got = -1, how = -1;
        weft_spawn(&f, once, 'f');
        weft_await(f, once, NULL);
        weft_spawn(&d, drops, f);
        weft_spawn(&another, once, 'g'); /* perhaps where it was */
        weft_exit e = weft_await(f, once, &got);
        CHECK(weft_ok(e) ? got == 'f' : e.code == WEFT_E_STALE);
        seen[weft_ok(e)]++;
        dropped[weft_drop(f) == WEFT_OK]++;
        weft_await(d, drops, &how);
        CHECK(how == WEFT_OK || how == WEFT_E_STALE);
        weft_await(another, once, &got);
        CHECK_EQ(got, 'g');
        weft_drop(another);
        weft_drop(d);
        fresh();
    }
    CHECK_EQ(r.failure, WEFT_TEST_PASSED);
    CHECK(r.exhausted);
    CHECK(seen[0] && seen[1] && dropped[0] && dropped[1]);
}

/* Every await is a point, also one with a time limit. */
static int answers_first(int n);
WEFT_TASK(answers_first, int, int);
static int answers_first(int n) {
    event('a');
    return n;
}
TEST(a_timed_await_is_a_scheduling_point) {
    static weft_test_result r;
    unsigned ran_before = 0;
    WEFT_TEST(t, .explore = WEFT_EXPLORE_DFS, .result = &r) {
        answers_first_fiber f;
        weft_promise p = WEFT_PROMISE;
        weft_promise_complete(&p, NULL);
        fresh();
        weft_spawn(&f, answers_first, 1);
        size_t before = n_events;
        weft_promise_await_for(&p, NULL, weft_s(1)); /* is there: it does not wait */
        ran_before += n_events > before;
        weft_await(f, answers_first, NULL);
        weft_drop(f);
    }
    CHECK_EQ(r.failure, WEFT_TEST_PASSED);
    CHECK_EQ(ran_before, 1); /* of all schedules, the one that turns there */
}

/* ---- one worker, many, and none but the caller's thread -------------------------------------------------- */

/* Pure programs: what they answer is a matter of what they are, not of the order in which it is done. */
typedef struct answers {
    int64_t tree, scoped, promised, failed, local;
    weft_time time;
} answers;

static int64_t sum_of(int depth);
WEFT_TASK(sum_of, int64_t, int);
static int64_t sum_of(int depth) {
    if (depth == 0) return 1;
    sum_of_task a, b;
    weft_fork(&a, sum_of, depth - 1);
    weft_fork(&b, sum_of, depth - 1);
    if (depth % 3 == 0) weft_yield();
    int64_t y = weft_join(&b, sum_of);
    return depth + y + 2 * weft_join(&a, sum_of);
}
static weft_promise cells[16];
static int cell(int i);
WEFT_TASK(cell, int, int);
static int cell(int i) {
    void *v = NULL;
    if (i && !weft_ok(weft_promise_await(&cells[i - 1], &v))) return -1;
    weft_promise_complete(&cells[i], (void *)((intptr_t)v * 3 % 1000003 + i));
    return i;
}
static int part(int i);
WEFT_TASK(part, int, int);
static _Atomic int64_t parts;
static int part(int i) {
    if (i % 3 == 0) weft_sleep(weft_ms(i));
    atomic_fetch_add(&parts, (int64_t)i * i);
    return i;
}
static int fails_late(int i);
WEFT_TASK(fails_late, int, int);
static int fails_late(int i) {
    if (weft_ok(weft_sleep(weft_ms(100 - i))) && i == 7) weft_fail(WEFT_E_USER + 7, "seven");
    return i;
}
static const weft_local key = WEFT_LOCAL(.name = "key");
static int reads_local(int i);
WEFT_TASK(reads_local, int, int);
static int reads_local(int i) {
    intptr_t inherited = (intptr_t)weft_local_get(&key);
    weft_local_set(&key, (void *)(inherited + i));
    weft_yield();
    return (int)(intptr_t)weft_local_get(&key);
}
static void pure(void *arg) {
    answers *a = arg;
    a->tree = sum_of(7);
    parts = 0;
    WEFT_SCOPE(s, NULL) {
        for (int i = 0; i < 20; i++) {
            if (i % 2) weft_start(s, part, i);
            else weft_spawn((part_fiber *)NULL, part, i);
        }
    }
    a->scoped = parts;
    for (int i = 0; i < 16; i++) weft_promise_init(&cells[i]);
    void *v = NULL;
    WEFT_SCOPE(s, NULL) {
        for (int i = 16; i-- > 0;) weft_spawn((cell_fiber *)NULL, cell, i);
        weft_promise_await(&cells[15], &v);
    }
    a->promised = (intptr_t)v;
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        for (int i = 0; i < 8; i++) weft_spawn((fails_late_fiber *)NULL, fails_late, i);
    }
    a->failed = e.code;
    reads_local_fiber f[4];
    weft_local_set(&key, (void *)100);
    for (int i = 0; i < 4; i++) weft_spawn(&f[i], reads_local, i);
    for (int i = 0; i < 4; i++) {
        int got = 0;
        weft_await(f[i], reads_local, &got);
        weft_drop(f[i]);
        a->local = a->local * 1000 + got;
    }
    a->time = weft_now();
}
TEST(pure_programs_answer_the_same_on_any_executor) {
    answers first = {0};
    CHECK_EQ(weft_run(&fifo_options, pure, &first), WEFT_OK);
    CHECK_EQ(first.failed, WEFT_E_USER + 7);
    CHECK_EQ(first.scoped, 2470);
    CHECK_EQ(first.local, INT64_C(100101102103));
    CHECK_EQ(first.time, weft_ms(18 + 93));
    for (weft_explore how = WEFT_EXPLORE_RANDOM; how <= WEFT_EXPLORE_PCT; how++)
        for (uint64_t seed = 1; seed <= 25; seed++) {
            answers again = {0};
            weft_options o = fifo_options;
            o.seed = seed;
            o.explore = how;
            test_note("strategy %d, seed %llu", (int)how, (unsigned long long)seed);
            CHECK_EQ(weft_run(&o, pure, &again), WEFT_OK);
            CHECK(!memcmp(&again, &first, sizeof first));
        }
    for (unsigned workers = 1; workers <= 4; workers *= 2)
        for (int times = 0; times < 5; times++) {
            answers again = {0};
            test_note("%u workers", workers);
            weft_options o = WEFT_OPTIONS(.executor = WEFT_PARALLEL, .workers = workers, .clock = WEFT_CLOCK_AUTO);
            CHECK_EQ(weft_run(&o, pure, &again), WEFT_OK);
            CHECK(!memcmp(&again, &first, sizeof first));
        }
    test_note(NULL);
}

TEST_MAIN
