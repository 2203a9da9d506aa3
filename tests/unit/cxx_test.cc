/* Weft from C++17: the headers, tasks, and exceptions that are in flight while a fiber moves between threads.
 *
 * The C++ runtime keeps the exceptions that are being handled in a list of the thread.  A fiber that suspends inside a
 * catch block may resume on another thread, and must find its own exceptions there.
 * Public headers only: the others are C.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include <atomic>
#include <exception>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <weft/continuation.h>
#include <weft/env.h>
#include <weft/errno.h>
#include <weft/exit.h>
#include <weft/fiber.h>
#include <weft/fork.h>
#include <weft/kernel.h>
#include <weft/loop.h>
#include <weft/par.h>
#include <weft/runtime.h>
#include <weft/select.h>
#include <weft/service.h>
#include <weft/sort.h>

static weft_options on(unsigned workers) {
    weft_options o = {};
    o.size = sizeof o;
    o.workers = workers;
    return o;
}
static void on_each_size(void (*body)(void *), void *arg) {
    for (unsigned workers : {1u, 2u, 8u}) {
        weft_options o = on(workers);
        CHECK_EQ(weft_run(&o, body, arg), WEFT_OK);
    }
}

/* ---- tasks -------------------------------------------------------------------------------------------- */

static long fib(long n);
WEFT_TASK(fib, long, long);
static long fib(long n) {
    if (n < 2) return n;
    fib_task child;
    weft_fork(&child, fib, n - 2);
    long a = fib(n - 1);
    return a + weft_join(&child, fib);
}

static long kfib(weft_head k, long n);
WEFT_KERNEL(kfib, long, long);
static long kfib(weft_head k, long n) {
    if (n < 2) return n;
    kfib_task child;
    long a = kfib(weft_kernel_fork(k, &child, kfib, n - 2), n - 1);
    return a + weft_kernel_join(&child, kfib);
}

static void branches(void *) {
    long a = 0, b = 0, items[] = {10, 11, 12}, results[3] = {};
    size_t who = 9, i;
    CHECK(weft_ok(weft_zip_par(WEFT_BR(fib, &a, 10), WEFT_BR(fib, &b, 11))));
    CHECK_EQ(a + b, 144);
    CHECK(weft_ok(weft_zip_par()));
    CHECK(weft_ok(weft_race(&who, WEFT_BR(fib, &a, 10), WEFT_BR(fib, &a, 10))));
    CHECK_EQ(a, 55);
    CHECK(weft_ok(weft_for_each_par(fib, items, 3, results)));
    CHECK_EQ(results[0] + results[1], results[2]);
    weft_stream s;
    CHECK(weft_ok(weft_stream_open(&s, fib, items, 3)));
    while (weft_stream_next(&s, fib, &i, &a)) CHECK_EQ(a, results[i]);
    CHECK(weft_ok(weft_stream_close(&s)));
}
TEST(branches_are_typed) { on_each_size(branches, nullptr); }

struct request {
    const char *url;
    int tries;
};
struct answer {
    size_t length;
    int tries;
};
static answer fetch(request r);
WEFT_TASK(fetch, answer, request);
static answer fetch(request r) {
    weft_yield();
    return answer{strlen(r.url), r.tries};
}

static void tasks(void *) {
    CHECK_EQ(fib(15), 610);
    CHECK_EQ(kfib(weft_kernel_head(), 15), 610);
    fetch_fiber f;
    answer a = {};
    CHECK(weft_ok(weft_spawn(&f, fetch, "http://a", 3)));
    CHECK(weft_ok(weft_await(f, fetch, &a)));
    CHECK_EQ(a.length, 8);
    CHECK_EQ(a.tries, 3);
    CHECK_EQ(weft_drop(f), WEFT_OK);
    weft_spawn_options o = {};
    o.name = "bound";
    o.bound = true;
    CHECK(weft_ok(weft_spawn_with(&f, fetch, o, "", 1)));
    CHECK(strcmp(weft_fiber_name(f.handle), "bound") == 0);
    CHECK(weft_ok(weft_expect(f, fetch, &a)));
    CHECK_EQ(weft_drop(f), WEFT_OK);
    errno = 5;
    weft_yield();
    CHECK_EQ(errno, 5);
}
TEST(tasks_are_forked_and_spawned_from_cxx) { on_each_size(tasks, nullptr); }

static int fails(int code);
WEFT_TASK(fails, int, int);
static int fails(int code) {
    weft_fail(code, "no such thing");
    return 0;
}
static void failing(void *) {
    fails_fiber f;
    char line[200];
    CHECK(weft_ok(weft_spawn(&f, fails, WEFT_E_USER + 1)));
    weft_exit e = weft_await(f, fails, nullptr);
    CHECK_EQ(e.code, WEFT_E_USER + 1);
    CHECK(strstr(weft_exit_format(e, line, sizeof line), "no such thing"));
    weft_drop(f);
}
TEST(failures_are_values_in_cxx) { on_each_size(failing, nullptr); }

/* ---- exceptions inside a fiber ------------------------------------------------------------------------ */

[[gnu::noinline]] static void thrower(long n) {
    std::string on_the_heap(100, 'x'); /* destroyed by the unwinder */
    if (n >= 0) throw std::runtime_error("number " + std::to_string(n) + on_the_heap.substr(99));
}
static long catches(long n);
WEFT_TASK(catches, long, long);
static long catches(long n) {
    long caught = 0;
    int flying = std::uncaught_exceptions(); /* a forked child may be a plain call inside a catch block */
    std::exception_ptr handled = std::current_exception();
    for (int i = 0; i < 20; i++) {
        try {
            thrower(n);
        } catch (const std::exception &e) {
            caught += std::string(e.what()) == "number " + std::to_string(n) + "x";
        }
    }
    CHECK_EQ(std::uncaught_exceptions(), flying);
    CHECK(std::current_exception() == handled);
    return caught;
}
static void catching(void *) {
    enum { N = 50 };
    catches_fiber f[N];
    catches_task t;
    for (long i = 0; i < N; i++) CHECK(weft_ok(weft_spawn(&f[i], catches, i)));
    weft_fork(&t, catches, 5);
    CHECK_EQ(weft_join(&t, catches), 20);
    for (auto &one : f) {
        long caught = 0;
        CHECK(weft_ok(weft_await(one, catches, &caught)));
        CHECK_EQ(caught, 20);
        weft_drop(one);
    }
}
TEST(an_exception_is_thrown_and_caught_inside_a_fiber) { on_each_size(catching, nullptr); }

/* ---- suspended inside a catch block ------------------------------------------------------------------- */

static std::atomic<int> migrations, wrong;

/* Ends when the fiber that waits for it has left its worker, or nearly: its status says so just before.  On the same
 * worker it must not wait for that. */
struct partner {
    weft_handle waiter;
    int worker;
};
static int ends_after(partner p);
WEFT_TASK(ends_after, int, partner);
static int ends_after(partner p) {
    if (weft_worker_index() != p.worker)
        while (weft_fiber_status(p.waiter) != WEFT_STATUS_SUSPENDED) sched_yield();
    for (int i = 0; i < 3; i++) sched_yield();
    return weft_worker_index();
}

enum how { BY_AWAIT, BY_JOIN, BY_YIELD };

[[gnu::noinline]] static void suspend(how h) {
    partner p = {weft_self(), weft_worker_index()};
    if (h == BY_YIELD) {
        weft_yield();
    } else if (h == BY_AWAIT) {
        ends_after_fiber f;
        CHECK(weft_ok(weft_spawn(&f, ends_after, p.waiter, p.worker)));
        sched_yield(); /* somebody may take it */
        CHECK(weft_ok(weft_await(f, ends_after, nullptr)));
        weft_drop(f);
    } else {
        ends_after_task t;
        weft_fork(&t, ends_after, p.waiter, p.worker);
        sched_yield();
        catches_task poll;
        weft_fork(&poll, catches, 1);
        CHECK_EQ(weft_join(&poll, catches), 20); /* exceptions come and go meanwhile */
        (void)weft_join(&t, ends_after);
    }
    migrations += weft_worker_index() != p.worker;
}

/* A body that performs inside of a catch block, and a clause that goes on with it inside of another: each has its own. */
WEFT_EFFECT(give, long, long n;);
static weft_exit on_give(weft_k k, const give_op *op, void *answer, void *) {
    weft_exit e = weft_done;
    try {
        throw std::to_string(op->n);
    } catch (std::string &) {
        long n = op->n;
        e = weft_resume(k, give, n, answer);
        try {
            throw;
        } catch (std::string &mine) {
            wrong += mine != std::to_string(n);
        } catch (...) {
            wrong++;
        }
    }
    return e;
}
static long takes(long n);
WEFT_TASK(takes, long, long);
static long takes(long n) {
    for (long i = 0; i < 5; i++) {
        try {
            throw n + i;
        } catch (long &) {
            long r = 0;
            if (!weft_ok(weft_perform(give, &r, n + i))) wrong++;
            suspend(i % 2 ? BY_YIELD : BY_AWAIT);
            try {
                throw;
            } catch (long &mine) {
                wrong += mine != r;
            } catch (...) {
                wrong++;
            }
        }
    }
    return n;
}
static long handled(long n);
WEFT_TASK(handled, long, long);
static long handled(long n) {
    const weft_clause clauses[] = {WEFT_ONESHOT(give, on_give)};
    weft_handler h = {clauses, 1, nullptr, nullptr, nullptr, {__FILE__, __LINE__}, false};
    long out = -1;
    CHECK(weft_ok(weft_handle(&h, takes, &out, n)));
    return out;
}
static void performing(void *) {
    enum { N = 20 };
    handled_fiber f[N];
    for (long i = 0; i < N; i++) CHECK(weft_ok(weft_spawn(&f[i], handled, i)));
    for (long i = 0; i < N; i++) {
        long n = -1;
        CHECK(weft_ok(weft_await(f[i], handled, &n)));
        CHECK_EQ(n, i);
        weft_drop(f[i]);
    }
}
TEST(a_body_and_the_clause_that_goes_on_with_it_have_their_own_exceptions) {
    wrong = 0;
    on_each_size(performing, nullptr);
    CHECK_EQ(wrong.load(), 0);
}

/* Two exceptions deep, suspended at each depth; each must be there afterwards, and be the one that is rethrown. */
static void nested(long n, how h) {
    try {
        throw n;
    } catch (long &) {
        suspend(h);
        try {
            throw std::runtime_error(std::to_string(n));
        } catch (std::exception &) {
            suspend(h);
            try {
                throw; /* the inner one */
            } catch (std::runtime_error &inner) {
                suspend(h);
                wrong += std::string(inner.what()) != std::to_string(n);
            } catch (...) {
                wrong++;
            }
        }
        suspend(h);
        try {
            throw; /* the outer one */
        } catch (long &outer) {
            wrong += outer != n;
        } catch (...) {
            wrong++;
        }
    }
    wrong += std::uncaught_exceptions() != 0 || std::current_exception() != nullptr;
}

/* Suspended while an exception flies: in a destructor that the unwinder runs. */
struct suspends {
    how h;
    explicit suspends(how way) : h(way) {}
    ~suspends() {
        wrong += std::uncaught_exceptions() != 1;
        suspend(h);
        wrong += std::uncaught_exceptions() != 1;
    }
};
static void unwinding(long n, how h) {
    try {
        suspends s(h);
        throw n;
    } catch (long &m) {
        wrong += m != n;
    }
}

static long in_catch(long n);
WEFT_TASK(in_catch, long, long);
static long in_catch(long n) {
    for (int i = 0; i < 30; i++) {
        nested(n * 100 + i, (how)(i % 3));
        unwinding(n * 100 + i, (how)(i % 3));
    }
    return n;
}
static void many_in_catch(void *) {
    enum { N = 16 };
    in_catch_fiber f[N];
    for (long i = 0; i < N; i++) CHECK(weft_ok(weft_spawn(&f[i], in_catch, i)));
    for (auto &one : f) {
        CHECK(weft_ok(weft_await(one, in_catch, nullptr)));
        weft_drop(one);
    }
}
TEST(a_fiber_that_moves_inside_a_catch_block_keeps_its_exceptions) {
    migrations = wrong = 0;
    on_each_size(many_in_catch, nullptr);
    for (int i = 0; i < 100 && migrations < 50; i++) on_each_size(many_in_catch, nullptr);
    fprintf(stderr, "    %d migrations\n", migrations.load());
    CHECK_EQ(wrong.load(), 0);
    CHECK(migrations > 0);
}

/* ---- an exception that escapes ------------------------------------------------------------------------ */

/* Channels and select, in another language. */
struct point {
    int x;
    double y;
};
WEFT_CHAN(points, point);
WEFT_CHAN(counts, long);
static void talks(void *) {
    points_chan p;
    counts_chan c;
    CHECK_EQ(weft_chan_open(&p, 2, WEFT_BLOCK, nullptr, nullptr), WEFT_OK);
    CHECK_EQ(weft_chan_open(&c, 1, WEFT_LATEST, nullptr, nullptr), WEFT_OK);
    CHECK(weft_ok(weft_send(p, point{1, 2.5})));
    int which = -1;
    point got = {0, 0};
    long n = 0, seven = 7;
    CHECK(weft_ok(weft_select(&which, WEFT_RECEIVE(p, &got), WEFT_RECEIVE(c, &n))));
    CHECK(which == 0 && got.x == 1 && got.y == 2.5);
    CHECK(weft_ok(weft_select(&which, WEFT_RECEIVE(p, &got), WEFT_SEND(c, &seven), WEFT_AFTER(weft_s(1)))));
    CHECK_EQ(which, 1);
    CHECK_EQ(weft_try_receive(c, &n), WEFT_OK);
    CHECK_EQ(n, 7);
    weft_chan_destroy(p);
    weft_chan_destroy(c);
}
TEST(channels_carry_values_of_any_type) {
    weft_options o = on(2);
    CHECK_EQ(weft_run(&o, talks, nullptr), WEFT_OK);
}

static int escapes(int x);
WEFT_TASK(escapes, int, int);
static int escapes(int x) {
    weft_yield();
    if (x) throw std::runtime_error("out of the task");
    return x;
}
static void escape_spawned(void *) {
    escapes_fiber f;
    weft_spawn(&f, escapes, 1);
    weft_await(f, escapes, nullptr);
}
static void escape_from_main(void *) { escapes(1); }
/* Even with somebody to catch it in the parent: a child is not always a plain call, so the rule is the same. */
static void run_2(void *fn) {
    weft_options o = on(2);
    try {
        weft_run(&o, (void (*)(void *))fn, nullptr);
    } catch (...) {
        fprintf(stderr, "came through weft_run\n");
    }
}
// ---- loops and sorts over arrays
static inline long squared(long x) { return x * x; }
WEFT_ARRAY_MAP(squared, long, long);
static inline void negate(size_t i, long *a) { a[i] = -a[i]; }
WEFT_LOOP(negate, long *);
static inline long sum_of(long a, long b) { return a + b; }
static inline long element(size_t i, const long *a) { return a[i]; }
WEFT_REDUCE(element, long, const long *, sum_of);
static inline long prefix(size_t i, const long *a) { return a[i]; }
WEFT_SCAN(prefix, long, const long *, sum_of);
static inline bool less_than(long a, long b) { return a < b; }
WEFT_SORT(less_than, long);

static void over_arrays(void *) {
    const size_t n = 10000;
    static long a[n], b[n];
    long sum = 0;
    for (size_t i = 0; i < n; i++) a[i] = static_cast<long>(i);
    CHECK(weft_ok(weft_array_map(squared, b, a, n)));
    CHECK(weft_ok(weft_parallel_for_with(negate, n, {.grain = 100}, b)));
    CHECK(weft_ok(weft_sort(less_than, b, n)));
    for (size_t i = 0; i < n; i++) CHECK_EQ(b[i], -squared(static_cast<long>(n - 1 - i)));
    CHECK(weft_ok(weft_parallel_for(negate, n, b)));
    CHECK(weft_ok(weft_sort_stable(less_than, b, n)));
    CHECK(weft_ok(weft_reduce(element, &sum, n, 1, a)));
    CHECK_EQ(sum, 1 + static_cast<long>(n * (n - 1) / 2));
    CHECK(weft_ok(weft_scan_exclusive(prefix, a, n, 5, a)));
    CHECK_EQ(a[3], 8);
}
TEST(loops_and_sorts_in_cxx) { on_each_size(over_arrays, nullptr); }

/* ---- environment -------------------------------------------------------------------------------------- */

struct address {
    const char *host;
    int port;
};
WEFT_KEY(peer, address);
WEFT_KEY(limit, int);

static int limited(int n);
WEFT_TASK(limited, int, int);
static int limited(int n) {
    const address *a = weft_env(peer);
    const int *most = weft_env(limit);
    return (a ? a->port : 0) + (most ? *most : 0) + n;
}
static weft_exit make_limit(int *value, void *) { return *value = 40, weft_done; }

static void environments(void *) {
    int n = 0;
    const address a = {"here", 80};
    CHECK(weft_ok(weft_provide(peer, a, limited, &n, 1)));
    CHECK_EQ(n, 81);
    const weft_binding list[] = {WEFT_BIND_LAZY(limit, make_limit, nullptr), {&peer_key, &a, nullptr, nullptr}};
    CHECK(weft_ok(weft_provide_list(list, 2, limited, &n, 1)));
    CHECK_EQ(n, 121);
    CHECK_EQ(weft_env_get(limit, &n).code, WEFT_E_MISSING);
    weft_random_state state;
    CHECK(weft_ok(weft_provide(weft_random, weft_random_seeded(&state, 1), limited, &n, 2)));
    CHECK_EQ(n, 2);
}
TEST(the_environment_in_cxx) { on_each_size(environments, nullptr); }

TEST(an_exception_that_escapes_a_task_ends_the_program) {
    EXPECT_DEATH(run_2, (void *)escape_spawned, SIGABRT, "terminate called");
    EXPECT_DEATH(run_2, (void *)escape_spawned, SIGABRT, "out of the task");
    EXPECT_DEATH(run_2, (void *)escape_from_main, SIGABRT, "out of the task");
}

TEST_MAIN
