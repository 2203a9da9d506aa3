/* The paths whose instructions are counted (count.py): paths PATH N runs one of them N times on one worker.
 *
 * Nothing here depends on time.  The worker never idles, but for `sleep`, whose search is cut to one look; and there is
 * no monitor: what a thread does that comes by every so many milliseconds would be counted with the rest.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "sched/clock.h"
#include "sched/gate.h"
#include "sched/thread.h"
#include "test.h"
#include <weft/kernel.h>
#include <weft/promise.h>
#include <weft/runtime.h>
#include <weft/scope.h>
#include <weft/select.h>
#include <weft/sync.h>
#include <weft/time.h>

static void must(weft_exit e) { CHECK(weft_ok(e)); }

static worker *here(void) { return thread_fiber()->w; }

static long same(long n);
WEFT_TASK(same, long, long);
__attribute__((noinline)) static long same(long n) {
    __asm__ volatile("" : "+r"(n));
    return n;
}

/* ---- fork, join -------------------------------------------------------------------------------------- */

static void fork_join(long n) {
    for (long i = 0; i < n; i++) {
        same_task t;
        weft_fork(&t, same, i);
        CHECK(weft_join(&t, same) == i);
    }
}

static long kernel(weft_head k, long n);
WEFT_KERNEL(kernel, long, long);
__attribute__((noinline)) static long kernel(weft_head k, long n) {
    (void)k;
    __asm__ volatile("" : "+r"(n));
    return n;
}

static void kernel_fork_join(long n) {
    weft_head k = weft_kernel_head();
    for (long i = 0; i < n; i++) {
        kernel_task t;
        weft_kernel_fork(k, &t, kernel, i);
        CHECK(weft_kernel_join(&t, kernel) == i);
    }
}

/* What must be noticed: fork_join, but every so often a fork finds its attention asked for. */
static void planted_slow_path(long n) {
    worker *w = here();
    for (long i = 0; i < n; i++) {
        same_task t;
        if (i % 64 == 0) atom_or_rlx(w->attn, ATTN_WANT);
        weft_fork(&t, same, i);
        CHECK(weft_join(&t, same) == i);
    }
}

/* ---- spawn, await ------------------------------------------------------------------------------------ */

static void spawn_never_blocks(long n) {
    for (long i = 0; i < n; i++) {
        same_fiber f;
        long got = 0;
        must(weft_spawn(&f, same, i));
        must(weft_await(f, same, &got));
        CHECK(got == i);
        weft_drop(f);
    }
}

typedef gate *gate_ref;
static int pass(gate *g);
WEFT_TASK(pass, int, gate_ref);
static int pass(gate *g) {
    must(gate_wait(g));
    return 0;
}

/* The yield lets the child run until it parks. */
static void spawn_blocks_once(long n) {
    runtime *rt = here()->rt;
    for (long i = 0; i < n; i++) {
        gate g = {0};
        pass_fiber f;
        must(weft_spawn(&f, pass, &g));
        must(weft_yield());
        gate_open(&g, rt);
        must(weft_await(f, pass, NULL));
        weft_drop(f);
    }
}

/* ---- park, resume ------------------------------------------------------------------------------------ */

static int yielding(long n);
WEFT_TASK(yielding, int, long);
static int yielding(long n) {
    for (long i = 0; i < n; i++) must(weft_yield());
    return 0;
}

/* Two take turns. */
static void yield(long n) {
    yielding_fiber f[2];
    for (int i = 0; i < 2; i++) must(weft_spawn(&f[i], yielding, n / 2));
    for (int i = 0; i < 2; i++) {
        must(weft_await(f[i], yielding, NULL));
        weft_drop(f[i]);
    }
}

/* One waits for the promise that stands here, the other completes it. */
typedef struct post {
    weft_promise *promise;
    long n;
} post;
typedef post *post_ref;

static int completing(post *p);
WEFT_TASK(completing, int, post_ref);
static int completing(post *p) {
    for (long i = 0; i < p->n; i++) {
        while (!p->promise) must(weft_yield());
        weft_promise *mine = p->promise;
        p->promise = NULL;
        CHECK_EQ(weft_promise_complete(mine, p), WEFT_OK);
    }
    return 0;
}

static void promise(long n) {
    post p = {NULL, n};
    completing_fiber f;
    must(weft_spawn(&f, completing, &p));
    for (long i = 0; i < n; i++) {
        weft_promise mine = WEFT_PROMISE;
        void *got = NULL;
        p.promise = &mine;
        must(weft_promise_await(&mine, &got));
        CHECK(got == &p);
    }
    must(weft_await(f, completing, NULL));
    weft_drop(f);
}

/* Each waits at its own gate and opens the other's. */
typedef struct player {
    gate mine, *other;
    long n;
} player;
typedef player *player_ref;

static int play(player *p);
WEFT_TASK(play, int, player_ref);
static int play(player *p) {
    runtime *rt = here()->rt;
    for (long i = 0; i < p->n; i++) {
        must(gate_wait(&p->mine));
        p->mine = (gate){0};
        gate_open(p->other, rt);
    }
    return 0;
}

static void gates(long n) {
    player a = {.n = n}, b = {.n = n, .other = &a.mine};
    a.other = &b.mine;
    play_fiber f;
    must(weft_spawn(&f, play, &b));
    gate_open(&b.mine, here()->rt);
    (void)play(&a);
    must(weft_await(f, play, NULL));
    weft_drop(f);
}

/* ---- time -------------------------------------------------------------------------------------------- */

/* The runtime's own path to a worker's wheel.  Times are fixed: the place in a wheel follows from them. */
static void timer_arm_cancel(long n) {
    worker *w = here();
    static limit l;
    for (long i = 0; i < n; i++) {
        spin *lock = clock_lock(w);
        clock_link(w, &l.alert, ALERT_WAIT, INT64_MAX / 2 + i * 1000000);
        spin_unlock(lock);
        CHECK(clock_cancel(w->rt, &l.alert));
    }
}

static void sleep_virtual(long n) {
    here()->rt->search_ticks = 0;
    for (long i = 0; i < n; i++) must(weft_sleep(weft_ms(1)));
}

/* ---- scopes ------------------------------------------------------------------------------------------ */

static void scope_empty(long n) {
    for (long i = 0; i < n; i++) {
        weft_exit e;
        WEFT_SCOPE(s, &e) {}
        must(e);
    }
}

static void scope_one_child(long n) {
    for (long i = 0; i < n; i++) {
        weft_exit e;
        WEFT_SCOPE(s, &e) must(weft_start(s, same, i));
        must(e);
    }
}

/* ---- channels ---------------------------------------------------------------------------------------- */

WEFT_CHAN(numbers, long);
static numbers_chan opened(int64_t capacity) {
    numbers_chan c;
    CHECK_EQ(weft_chan_open(&c, .capacity = capacity), WEFT_OK);
    return c;
}

typedef struct ends {
    numbers_chan in, out;
    long n;
} ends;
static long echo(ends l);
WEFT_TASK(echo, long, ends);
static long echo(ends l) {
    for (long i = 0, v; i < l.n; i++) {
        must(weft_receive(l.in, &v));
        must(weft_send(l.out, v));
    }
    return 0;
}
static long echo_select(ends l);
WEFT_TASK(echo_select, long, ends);
static long echo_select(ends l) {
    numbers_chan never = opened(0);
    for (long i = 0, v; i < l.n; i++) {
        int which;
        must(weft_select(&which, WEFT_RECEIVE(l.in, &v), WEFT_RECEIVE(never, &v)));
        must(weft_send(l.out, v));
    }
    weft_chan_destroy(never);
    return 0;
}

static void there_and_back(numbers_chan there, numbers_chan back, weft_handle other, long n) {
    for (long i = 0, v; i < n; i++) {
        must(weft_send(there, i));
        must(weft_receive(back, &v));
        CHECK(v == i);
    }
    must(weft_fiber_await(other));
    weft_fiber_drop(other);
    weft_chan_destroy(there);
    weft_chan_destroy(back);
}
static void chan_rendezvous(long n) {
    numbers_chan there = opened(0), back = opened(0);
    echo_fiber f;
    must(weft_spawn(&f, echo, there, back, n));
    there_and_back(there, back, f.handle, n);
}
static void select_two(long n) {
    numbers_chan there = opened(0), back = opened(0);
    echo_select_fiber f;
    must(weft_spawn(&f, echo_select, there, back, n));
    there_and_back(there, back, f.handle, n);
}

static long sending(ends l);
WEFT_TASK(sending, long, ends);
static long sending(ends l) {
    for (long i = 0; i < l.n; i++) must(weft_send(l.out, i));
    return 0;
}
static void chan_bounded(long n) {
    numbers_chan c = opened(128);
    sending_fiber f;
    must(weft_spawn(&f, sending, c, c, n));
    for (long i = 0, v; i < n; i++) {
        must(weft_receive(c, &v));
        CHECK(v == i);
    }
    must(weft_await(f, sending, NULL));
    weft_drop(f);
    weft_chan_destroy(c);
}

/* ---- locks ------------------------------------------------------------------------------------------- */

static void mutex_alone(long n) {
    weft_mutex m = WEFT_MUTEX;
    for (long i = 0; i < n; i++) {
        must(weft_mutex_lock(&m));
        CHECK(weft_mutex_unlock(&m) == WEFT_OK);
    }
}

static void semaphore_alone(long n) {
    weft_sem s;
    CHECK(weft_sem_init(&s, 2, 0) == WEFT_OK);
    for (long i = 0; i < n; i++) {
        must(weft_sem_acquire(&s));
        CHECK(weft_sem_release(&s) == WEFT_OK);
    }
}

/* Two who always find it taken: each has it over a yield, in which the other one begins to wait. */
typedef struct two {
    weft_mutex m;
    weft_sem s;
    long n;
} two;
typedef two *two_ref;

static int locking(two *t);
WEFT_TASK(locking, int, two_ref);
static int locking(two *t) {
    for (long i = 0; i < t->n; i++) {
        must(weft_mutex_lock(&t->m));
        must(weft_yield());
        CHECK(weft_mutex_unlock(&t->m) == WEFT_OK);
        must(weft_yield()); /* or it would have it again before the one that was woken */
    }
    return 0;
}

static int acquiring(two *t);
WEFT_TASK(acquiring, int, two_ref);
static int acquiring(two *t) {
    for (long i = 0; i < t->n; i++) {
        must(weft_sem_acquire(&t->s));
        must(weft_yield());
        CHECK(weft_sem_release(&t->s) == WEFT_OK);
    }
    return 0;
}

static void mutex_pair(long n) {
    two t = {.m = WEFT_MUTEX, .n = n / 2};
    locking_fiber f;
    must(weft_spawn(&f, locking, &t));
    (void)locking(&t);
    must(weft_await(f, locking, NULL));
    weft_drop(f);
}

static void semaphore_pair(long n) {
    two t = {.n = n / 2};
    acquiring_fiber f;
    CHECK(weft_sem_init(&t.s, 1, 1) == WEFT_OK);
    must(weft_spawn(&f, acquiring, &t));
    (void)acquiring(&t);
    must(weft_await(f, acquiring, NULL));
    weft_drop(f);
}

/* ---- which, and how often ---------------------------------------------------------------------------- */

/* CMakeLists.txt makes a test of each line. */
static const struct path {
    const char *name;
    weft_clock clock;
    void (*run)(long n);
} PATHS[] = {
    {"fork_join", WEFT_CLOCK_REAL, fork_join},
    {"kernel_fork_join", WEFT_CLOCK_REAL, kernel_fork_join},
    {"spawn_never_blocks", WEFT_CLOCK_REAL, spawn_never_blocks},
    {"spawn_blocks_once", WEFT_CLOCK_REAL, spawn_blocks_once},
    {"yield", WEFT_CLOCK_REAL, yield},
    {"promise", WEFT_CLOCK_REAL, promise},
    {"gates", WEFT_CLOCK_REAL, gates},
    {"timer_arm_cancel", WEFT_CLOCK_REAL, timer_arm_cancel},
    {"sleep_virtual", WEFT_CLOCK_AUTO, sleep_virtual},
    {"scope_empty", WEFT_CLOCK_REAL, scope_empty},
    {"scope_one_child", WEFT_CLOCK_REAL, scope_one_child},
    {"chan_rendezvous", WEFT_CLOCK_REAL, chan_rendezvous},
    {"chan_bounded", WEFT_CLOCK_REAL, chan_bounded},
    {"select_two", WEFT_CLOCK_REAL, select_two},
    {"mutex_alone", WEFT_CLOCK_REAL, mutex_alone},
    {"semaphore_alone", WEFT_CLOCK_REAL, semaphore_alone},
    {"mutex_pair", WEFT_CLOCK_REAL, mutex_pair},
    {"semaphore_pair", WEFT_CLOCK_REAL, semaphore_pair},
    /* for `count.py notices` */ {"planted_slow_path", WEFT_CLOCK_REAL, planted_slow_path},
};

typedef struct order {
    const struct path *path;
    long n;
} order;

static void run(void *arg) {
    order *o = arg;
    runtime *rt = here()->rt;
    weft__monitor_stop(rt);
    rt->monitor_started = false;
    o->path->run(o->n);
}

/* jemalloc's, if that is the allocator. */
__attribute__((weak)) int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes);

/* What the counts depend on besides the compiler. */
static void print_build(void) {
    const char *version = "";
    size_t bytes = sizeof version;
    if (mallctl) mallctl("version", &version, &bytes, NULL, 0);
    printf("%s %s%s%.*s\n", weft__ctx_name(), weft__heap_name(), *version ? "-" : "", (int)strcspn(version, "-"), version);
}

int main(int argc, char **argv) {
    (void)test_main, (void)test_last;
    if (argc == 2 && strcmp(argv[1], "--build") == 0) return print_build(), 0;
    for (size_t i = 0; argc == 3 && i < sizeof PATHS / sizeof *PATHS; i++) {
        order o = {&PATHS[i], atol(argv[2])};
        if (strcmp(argv[1], o.path->name) != 0) continue;
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1, .clock = o.path->clock), run, &o), WEFT_OK);
        return 0;
    }
    fprintf(stderr, "usage: paths PATH N, or paths --build\n");
    return 2;
}
