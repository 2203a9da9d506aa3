/* Random programs of fibers: each node once, each result at every awaiter, whatever migrates.
 *
 * A program is a tree drawn from a seed.  A node makes children of many kinds (spawned, spawned bound, on another
 * stack class, forked, behind a gate that the node opens later, awaited by several, failing, dropped at once, a
 * daemon), yields in between, waits for them in a random order and drops their handles at random moments.  Nodes
 * also run on plain threads at the same time.  The same tree by plain calls gives the expected sum; every node
 * adds itself to two counters, which gives conservation for those that nobody awaits.
 *   fiber_stress [seed [programs]]
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/heap.h"
#include "alloc/san.h"
#include "sched/audit.h"
#include "sched/gate.h"
#include "sched/registry.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <weft/errno.h>
#include <weft/fiber.h>

enum { WIDTH = 6, DEPTH = 7, THREADS = 2, HELPERS = 3 };

static uint64_t base_seed = 1;
static int programs = WEFT__SAN_STACKS > 1 ? 10 : 100;

typedef struct node_in {
    uint64_t seed;
    int depth;
    bool bound;
} node_in;

static uint64_t mix(uint64_t x) {
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}
static uint64_t draw(node_in in, unsigned what, uint64_t below) {
    return mix(in.seed ^ (what + 1) * UINT64_C(0x9e3779b97f4a7c15)) % below;
}

typedef enum kind { SPAWNED, BOUND, STACKED, FORKED, GATED, SHARED, FAILING, DROPPED, DAEMON, KINDS } kind;

static int width_of(node_in in) { return in.depth == 0 ? 0 : (int)draw(in, 1, WIDTH + 1); }
static kind kind_of(node_in in, int i) { return (kind)draw(in, 100 + (unsigned)i, KINDS); }
static node_in child_of(node_in in, int i) {
    return (node_in){mix(in.seed + 0x9e37u * (unsigned)(i + 1)), in.depth - 1, kind_of(in, i) == BOUND};
}
static int code_of(node_in in) { return WEFT_E_USER + (int)draw(in, 2, 1000); }

/* ---- what must come out --------------------------------------------------------------------------------- */

typedef struct counts {
    uint64_t nodes, checksum;
} counts;

static void count_plain(counts *c, node_in in) {
    c->nodes++;
    c->checksum += mix(in.seed ^ 77);
}
static uint64_t plain(counts *c, node_in in) {
    uint64_t sum = mix(in.seed ^ 5);
    count_plain(c, in);
    for (int i = 0, n = width_of(in); i < n; i++) {
        node_in child = child_of(in, i);
        switch (kind_of(in, i)) {
        case FAILING:
            count_plain(c, child);
            sum = sum * 31 + (uint64_t)code_of(child);
            break;
        case DAEMON:
            break;
        case DROPPED:
            (void)plain(c, child);
            break;
        default:
            sum = sum * 31 + plain(c, child);
        }
    }
    return sum;
}

/* ---- the fibers ----------------------------------------------------------------------------------------- */

static weft_runtime *rt;
static _Atomic uint64_t nodes, checksum;

static void count_me(node_in in) {
    atomic_fetch_add(&nodes, 1);
    atomic_fetch_add(&checksum, mix(in.seed ^ 77));
}

/* Fibers may leave the runtime out; plain threads must say. */
static weft_spawn_options options(node_in in) {
    bool say = !thread_fiber() || draw(in, 3, 2);
    return (weft_spawn_options){.runtime = say ? rt : NULL};
}

/* A suspension keeps errno, and a bound fiber its worker. */
static void paused(node_in in, int home, bool (*pause)(void *), void *arg) {
    bool fiber = thread_fiber() != NULL;
    int mine = (int)draw(in, 4, 100) + 1;
    if (fiber) errno = mine;
    bool kept = pause(arg);
    if (fiber && kept) CHECK_EQ(errno, mine);
    if (in.bound) CHECK_EQ(weft_worker_index(), home);
}
static bool yields(void *arg) {
    (void)arg;
    CHECK(weft_ok(weft_yield()));
    return true;
}
static bool waits_at(void *gate_) {
    gate_wait(gate_);
    return true;
}
static void dawdle(node_in in, int home, unsigned what) {
    uint64_t d = draw(in, what, 24);
    if (d < 3) paused(in, home, yields, NULL);
    if (d == 5) sched_yield();
    if (d == 6)
        for (volatile int i = 0; i < 2000; i++) {}
}

static uint64_t node(node_in in);
WEFT_TASK(node, uint64_t, node_in);

typedef struct gated_in {
    node_in in;
    gate *at;
} gated_in;
static uint64_t gated(gated_in g);
WEFT_TASK(gated, uint64_t, gated_in);
static uint64_t gated(gated_in g) {
    paused(g.in, -1, waits_at, g.at);
    return node(g.in);
}

static int failing(node_in in);
WEFT_TASK(failing, int, node_in);
static int failing_child(node_in in);
WEFT_TASK(failing_child, int, node_in);
static int failing_child(node_in in) {
    dawdle(in, -1, 5);
    weft_fail(code_of(in), "a child failed");
    return 1;
}
static int failing(node_in in) {
    count_me(in);
    dawdle(in, -1, 6);
    if (draw(in, 7, 2)) {
        weft_fail(code_of(in), "failed");
    } else {
        failing_child_task t;
        weft_fork(&t, failing_child, .seed = in.seed);
        (void)weft_join(&t, failing_child);
    }
    dawdle(in, -1, 8);
    return 0;
}

/* Stays behind when the runtime is closed; or ends, for some. */
static int lingers(node_in in);
WEFT_TASK(lingers, int, node_in);
static int lingers(node_in in) {
    gate never = {0};
    for (uint64_t n = draw(in, 9, 4); n > 0; n--) weft_yield();
    if (draw(in, 10, 4) == 0) gate_wait(&never);
    return 0;
}

/* One more who awaits a node, and sees the same result. */
static uint64_t helper(weft_handle h);
WEFT_TASK(helper, uint64_t, weft_handle);
static uint64_t helper(weft_handle h) {
    uint64_t got = 0;
    CHECK(weft_ok(weft_await((node_fiber){h}, node, &got)));
    return got;
}

typedef struct child {
    union {
        node_fiber fiber;
        gated_fiber gated;
        failing_fiber failing;
        node_task task;
    } u;
    helper_fiber helper[HELPERS];
    gate at;
    bool handle; /* to be dropped */
} child;

static void start(node_in in, int i, child *c) {
    node_in ci = child_of(in, i);
    weft_spawn_options o = options(ci);
    weft_exit e = {0};
    switch (kind_of(in, i)) {
    case SPAWNED:
        e = weft_spawn_with(&c->u.fiber, node, o, .seed = ci.seed, .depth = ci.depth);
        break;
    case BOUND:
        o.bound = true;
        e = weft_spawn_with(&c->u.fiber, node, o, .seed = ci.seed, .depth = ci.depth, .bound = true);
        break;
    case STACKED:
        o.stack_bytes = draw(ci, 11, 2) ? 256 << 10 : 32 << 10;
        e = weft_spawn_with(&c->u.fiber, node, o, .seed = ci.seed, .depth = ci.depth);
        break;
    case FORKED:
        weft_fork(&c->u.task, node, .seed = ci.seed, .depth = ci.depth);
        return;
    case GATED:
        c->at = (gate){0};
        e = weft_spawn_with(&c->u.gated, gated, o, ci, &c->at);
        break;
    case SHARED:
        e = weft_spawn_with(&c->u.fiber, node, o, .seed = ci.seed, .depth = ci.depth);
        for (int k = 0; k < HELPERS; k++) {
            CHECK(weft_ok(weft_spawn_with(&c->helper[k], helper, o, c->u.fiber.handle.fiber, c->u.fiber.handle.id)));
            dawdle(ci, -1, 12 + (unsigned)k);
        }
        break;
    case FAILING:
        e = weft_spawn_with(&c->u.failing, failing, o, .seed = ci.seed);
        break;
    case DAEMON:
        o.daemon = true;
        e = weft_spawn_with((lingers_fiber *)NULL, lingers, o, .seed = ci.seed);
        break;
    default:
        e = weft_spawn_with(draw(ci, 16, 2) ? &c->u.fiber : NULL, node, o, .seed = ci.seed, .depth = ci.depth);
        if (draw(ci, 16, 2)) CHECK_EQ(weft_drop(c->u.fiber), WEFT_OK); /* started or not */
    }
    CHECK(weft_ok(e));
}

typedef struct await_call {
    weft_handle h;
    uint64_t *out;
    bool gated;
} await_call;
static bool awaits(void *arg) {
    await_call *a = arg;
    weft_exit e = a->gated ? weft_await((gated_fiber){a->h}, gated, a->out) : weft_await((node_fiber){a->h}, node, a->out);
    CHECK(weft_ok(e));
    CHECK_EQ(weft_fiber_status(a->h), WEFT_STATUS_DONE);
    return true;
}

/* Waits for child i; true if it counts in the sum. */
static bool finish(node_in in, int home, int i, child *c, uint64_t *got) {
    node_in ci = child_of(in, i);
    kind k = kind_of(in, i);
    await_call a = {c->u.fiber.handle, got, k == GATED};
    switch (k) {
    case FORKED:
        *got = weft_join(&c->u.task, node);
        return true;
    case GATED:
        a.h = c->u.gated.handle;
        paused(in, home, awaits, &a);
        break;
    case FAILING: {
        weft_exit e = weft_await(c->u.failing, failing, NULL);
        CHECK_EQ(e.tag, WEFT_EXIT_FAIL);
        CHECK_EQ(e.code, code_of(ci));
        CHECK_EQ(weft_fiber_status(c->u.failing.handle), WEFT_STATUS_FAILED);
        *got = (uint64_t)e.code;
        a.h = c->u.failing.handle;
        break;
    }
    case DAEMON:
    case DROPPED:
        return false;
    default:
        paused(in, home, awaits, &a);
    }
    if (k == SHARED)
        for (int n = 0; n < HELPERS; n++) {
            uint64_t same = 0;
            CHECK(weft_ok(weft_await(c->helper[n], helper, &same)));
            CHECK_EQ(same, *got);
            CHECK_EQ(weft_drop(c->helper[n]), WEFT_OK);
        }
    if (draw(ci, 17, 2)) { /* at once, or at the end */
        CHECK_EQ(weft_fiber_drop(a.h), WEFT_OK);
        CHECK_EQ(weft_fiber_drop(a.h), WEFT_E_STALE);
        CHECK_EQ(weft_fiber_status(a.h), WEFT_STATUS_NONE);
    } else {
        c->handle = true;
    }
    return true;
}

static void shuffled(node_in in, unsigned what, int *order, int n) {
    for (int i = 0; i < n; i++) order[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)draw(in, what + (unsigned)i, (uint64_t)(i + 1)), x = order[i];
        order[i] = order[j];
        order[j] = x;
    }
}

static uint64_t node(node_in in) {
    child c[WIDTH];
    uint64_t got[WIDTH] = {0}, sum = mix(in.seed ^ 5);
    bool counts[WIDTH] = {0};
    int n = width_of(in), order[WIDTH], home = weft_worker_index();
    count_me(in);
    dawdle(in, home, 20);
    for (int i = 0; i < n; i++) {
        c[i].handle = false;
        start(in, i, &c[i]);
        dawdle(in, home, 30 + (unsigned)i);
    }
    shuffled(in, 40, order, n);
    for (int i = 0; i < n; i++)
        if (kind_of(in, order[i]) == GATED) {
            runtime *inner = thread_fiber() ? thread_fiber()->w->rt : NULL;
            if (!inner) inner = weft__registry_enter(rt);
            gate_open(&c[order[i]].at, inner);
            if (!thread_fiber()) weft__registry_leave(rt);
            dawdle(in, home, 50 + (unsigned)i);
        }
    shuffled(in, 60, order, n);
    for (int i = 0; i < n; i++) counts[order[i]] = finish(in, home, order[i], &c[order[i]], &got[order[i]]);
    for (int i = 0; i < n; i++) {
        if (counts[i]) sum = sum * 31 + got[i];
        if (!c[i].handle) continue;
        CHECK_EQ(weft_fiber_drop(kind_of(in, i) == GATED ? c[i].u.gated.handle : c[i].u.fiber.handle), WEFT_OK);
    }
    return sum;
}

/* ---- running them --------------------------------------------------------------------------------------- */

typedef struct program {
    node_in root;
    uint64_t answer;
} program;

static void run_program(void *arg) {
    program *p = arg;
    p->answer = node(p->root);
}
static void *run_program_on_thread(void *arg) {
    run_program(arg);
    return NULL;
}

static program program_of(int i, int who) { return (program){.root = {mix(base_seed + (uint64_t)(i * 8 + who)), DEPTH, 0}}; }

/* Everything has ended, and all workers sleep: only then may anybody else look at their queues. */
static void quiet(runtime *inner, counts want) {
    while (atomic_load(&nodes) < want.nodes) sched_yield();
    while (!weft__drained(inner)) sched_yield();
    while ((unsigned)__builtin_popcountll(atom_load_seq(&inner->idle.mask[0])) != inner->n_workers) sched_yield();
    weft__audit_quiet(inner);
    CHECK_EQ(atomic_load(&nodes), want.nodes);
    CHECK_EQ(atomic_load(&checksum), want.checksum);
}

static void round_of(runtime *inner, int i, unsigned workers) {
    pthread_t t[THREADS];
    program p[THREADS + 1];
    counts want = {0};
    atomic_store(&nodes, 0);
    atomic_store(&checksum, 0);
    int threads = i % 3 == 0 ? THREADS : 0;
    for (int k = 0; k <= threads; k++) p[k] = program_of(i, k);
    for (int k = 0; k < threads; k++) CHECK_EQ(pthread_create(&t[k], NULL, run_program_on_thread, &p[k + 1]), 0);
    CHECK_EQ(weft_call(rt, run_program, &p[0]), WEFT_OK);
    for (int k = 0; k < threads; k++) pthread_join(t[k], NULL);
    for (int k = 0; k <= threads; k++) {
        if (p[k].answer == plain(&want, p[k].root)) continue;
        fprintf(stderr, "seed %llu program %d.%d on %u workers: wrong answer\n", (unsigned long long)base_seed, i, k,
                workers);
        abort();
    }
    quiet(inner, want);
}

static void stress(unsigned workers) {
    uint64_t live = weft__heap_live();
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = workers), &rt), WEFT_OK);
    runtime *inner = weft__registry_enter(rt);
    weft__registry_leave(rt);
    for (int i = 0; i < programs; i++) round_of(inner, i, workers);
    weft_stats s = {.size = sizeof s};
    CHECK_EQ(weft_runtime_stats(rt, &s), WEFT_OK);
    fprintf(stderr, "    suspended %llu, published %llu, wakes %llu, parks %llu, stacks %llu\n",
            (unsigned long long)s.suspended, (unsigned long long)s.published, (unsigned long long)s.wakes,
            (unsigned long long)s.parks, (unsigned long long)s.stacks);
    CHECK_EQ(weft_close(rt), WEFT_OK);
    CHECK_EQ(weft__heap_live(), live);
}

TEST(programs_of_fibers_on_one_worker) { stress(1); }
TEST(programs_of_fibers_on_two_workers) { stress(2); }
TEST(programs_of_fibers_on_eight_workers) { stress(8); }

/* ---- max_fibers ----------------------------------------------------------------------------------------- */

static _Atomic int alive, most_alive;
enum { LEAVES = WEFT__SAN_STACKS > 1 ? 300 : 2000 };

static long leaf(long x);
WEFT_TASK(leaf, long, long);
static long leaf(long x) {
    int now = atomic_fetch_add(&alive, 1) + 1, most = atomic_load(&most_alive);
    while (now > most && !atomic_compare_exchange_weak(&most_alive, &most, now)) {}
    if (x % 3 == 0) weft_yield();
    if (x % 50 == 0) sched_yield();
    atomic_fetch_sub(&alive, 1);
    return 3 * x;
}

/* Keeps a window of handles, awaits them in turn; the leaves end without it, so a place comes free at last. */
static void limited(void *arg) {
    enum { WINDOW = 7 };
    leaf_fiber f[WINDOW];
    long done = 0;
    (void)arg;
    for (long i = 0; i < LEAVES + WINDOW; i++) {
        if (i >= WINDOW) {
            long got, want = 3 * (i - WINDOW);
            CHECK(weft_ok(weft_await(f[i % WINDOW], leaf, &got)));
            CHECK_EQ(got, want);
            CHECK_EQ(weft_drop(f[i % WINDOW]), WEFT_OK);
            done++;
        }
        if (i < LEAVES) CHECK(weft_ok(weft_spawn_with(&f[i % WINDOW], leaf, ((weft_spawn_options){.runtime = rt}), i)));
    }
    CHECK_EQ(done, LEAVES);
}
static void *limited_thread(void *arg) {
    limited(arg);
    return NULL;
}
TEST(never_more_fibers_than_allowed_and_every_spawner_has_its_turn) {
    static const unsigned workers[] = {1, 2, 8};
    static const size_t limits[] = {1, 2, 5};
    for (int i = 0; i < 9; i++) {
        pthread_t t[THREADS];
        CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = workers[i % 3], .max_fibers = limits[i / 3]), &rt), WEFT_OK);
        atomic_store(&most_alive, 0);
        for (int k = 0; k < THREADS; k++) CHECK_EQ(pthread_create(&t[k], NULL, limited_thread, NULL), 0);
        CHECK_EQ(weft_call(rt, limited, NULL), WEFT_OK);
        for (int k = 0; k < THREADS; k++) pthread_join(t[k], NULL);
        CHECK_EQ(atomic_load(&alive), 0);
        CHECK(atomic_load(&most_alive) <= (int)limits[i / 3]);
        CHECK_EQ(weft_close(rt), WEFT_OK);
    }
}

/* ---- stale handles ------------------------------------------------------------------------------------- */

enum { TURNS = 20 * LEAVES };
static weft_handle stale[TURNS];
static atomic_int n_stale;

/* One block, or a few, are freed and used again all the time. */
static void turns_over(void *arg) {
    (void)arg;
    for (int i = 0; i < TURNS; i++) {
        leaf_fiber f;
        CHECK(weft_ok(weft_spawn(&f, leaf, i)));
        CHECK(weft_ok(weft_await(f, leaf, NULL)));
        stale[i] = f.handle;
        CHECK_EQ(weft_drop(f), WEFT_OK);
        atomic_store(&n_stale, i + 1);
    }
}
static void *asks_the_stale(void *arg) {
    int n;
    while ((n = atomic_load(&n_stale)) < TURNS)
        if (n) CHECK_EQ(weft_fiber_drop(stale[n - 1]), WEFT_E_STALE);
    return arg;
}
/* Under ASan also: the words that such a question reads are never poisoned, not for a moment. */
TEST(stale_handles_may_be_asked_while_their_blocks_are_given_back) {
    pthread_t t[THREADS];
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 2), &rt), WEFT_OK);
    for (int k = 0; k < THREADS; k++) CHECK_EQ(pthread_create(&t[k], NULL, asks_the_stale, NULL), 0);
    CHECK_EQ(weft_call(rt, turns_over, NULL), WEFT_OK);
    for (int k = 0; k < THREADS; k++) pthread_join(t[k], NULL);
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

int main(int argc, char **argv) {
    if (argc > 1) base_seed = strtoull(argv[1], NULL, 0);
    if (argc > 2) programs = atoi(argv[2]);
    fprintf(stderr, "seed %llu, %d programs\n", (unsigned long long)base_seed, programs);
    return test_main(1, argv);
}
