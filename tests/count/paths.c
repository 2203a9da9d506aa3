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
#include <weft/handler.h>
#include <weft/kernel.h>
#include <weft/par.h>
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

/* ---- combinators ------------------------------------------------------------------------------------- */

static void zip_par_two(long n) {
    for (long i = 0; i < n; i++) {
        long a, b;
        must(weft_zip_par(WEFT_BR(same, &a, i), WEFT_BR(same, &b, i)));
        CHECK(a + b == 2 * i);
    }
}

/* ---- handlers ---------------------------------------------------------------------------------------- */

WEFT_EFFECT(look, long);
WEFT_EFFECT(halt, char, long with;);

static weft_exit on_look(const look_op *op, long *reply, void *self) {
    (void)op;
    *reply = *(long *)self;
    return weft_done;
}
static weft_exit on_halt(const halt_op *op, void *answer, void *self) {
    (void)self;
    *(long *)answer = op->with;
    return weft_done;
}
static weft_exit passes_look(const look_op *op, long *reply, void *self) {
    (void)op, (void)reply, (void)self;
    return weft_pass;
}

static int looks(long n);
WEFT_TASK(looks, int, long);
static int looks(long n) {
    for (long i = 0; i < n; i++) {
        long v = -1;
        must(weft_perform(look, &v));
        CHECK(v == 7);
    }
    return 0;
}
static void perform_tail(long n) {
    long seven = 7;
    weft_handler h = WEFT_HANDLER(&seven, WEFT_TAIL(look, on_look));
    must(weft_handle(&h, looks, NULL, n));
}
/* Through two that pass. */
static void perform_passed(long n) {
    long seven = 7;
    weft_handler h[] = {WEFT_HANDLER(&seven, WEFT_TAIL(look, on_look)), WEFT_HANDLER(NULL, WEFT_TAIL(look, passes_look)),
                        WEFT_HANDLER(NULL, WEFT_TAIL(look, passes_look))};
    must(weft_handle_list(h, 3, looks, NULL, n));
}
static void handle_nothing(long n) {
    long seven = 7;
    weft_handler h = WEFT_HANDLER(&seven, WEFT_TAIL(look, on_look));
    for (long i = 0; i < n; i++) {
        long out;
        must(weft_handle(&h, same, &out, i));
        CHECK(out == i);
    }
}
static long halts(long n);
WEFT_TASK(halts, long, long);
static long halts(long n) {
    weft_perform(halt, NULL, n);
    return -1;
}
static void handle_abort(long n) {
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ABORT(halt, on_halt));
    for (long i = 0; i < n; i++) {
        long out;
        must(weft_handle(&h, halts, &out, i));
        CHECK(out == i);
    }
}

/* What the body is called for. */
typedef void counted_fn(long n);
typedef struct under {
    counted_fn *run;
    long n;
} under;
static int runs(under u);
WEFT_TASK(runs, int, under);
static int runs(under u) {
    u.run(u.n);
    return 0;
}
/* The copy of what is shared is made once. */
static void spawn_shared(long n) {
    long seven = 7;
    weft_handler h = WEFT_SHARED_HANDLER(&seven, WEFT_TAIL(look, on_look));
    must(weft_handle(&h, runs, NULL, spawn_never_blocks, n));
}
/* Children must not see what their parent does. */
static void fork_join_apart(long n) {
    long seven = 7;
    weft_handler h = WEFT_HANDLER(&seven, WEFT_TAIL(look, on_look));
    must(weft_handle(&h, runs, NULL, fork_join, n));
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
    {"zip_par_two", WEFT_CLOCK_REAL, zip_par_two},
    {"perform_tail", WEFT_CLOCK_REAL, perform_tail},
    {"perform_passed", WEFT_CLOCK_REAL, perform_passed},
    {"handle_nothing", WEFT_CLOCK_REAL, handle_nothing},
    {"handle_abort", WEFT_CLOCK_REAL, handle_abort},
    {"spawn_shared", WEFT_CLOCK_REAL, spawn_shared},
    {"fork_join_apart", WEFT_CLOCK_REAL, fork_join_apart},
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
