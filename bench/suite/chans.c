/* bench/suite/chans.c -- channels and select: a round trip, a message, a node.
 *
 * chan/pingpong     two fibers, two rendezvous channels; the op is there and back
 * chan/bounded128   senders and receivers over one channel with room for 128; the op is a message
 * select/N          one waits on N rendezvous channels and answers on another, the other sends on each in turn; the op is there
 *                   and back
 * chan/pingpong/apart   the two bound to two workers, over the round trip of a cache line between the same two
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <inttypes.h>
#include <stdatomic.h>
#include <weft/cancel.h>
#include <weft/select.h>

#include "../common/clock.h"
#include "../common/samples.h"
#include "alloc/arch.h"
#include "machinery.h"
#include "workload.h"

WEFT_CHAN(numbers, long);

static numbers_chan opened(int64_t capacity) {
    numbers_chan c;
    weft_err err = weft_chan_open(&c, .capacity = capacity);
    if (err) bench_die("a channel cannot be opened: %s", weft_err_text(err));
    return c;
}

/* ---- chan/pingpong ---- */

typedef struct link {
    numbers_chan in, out;
    long n;
} link;
static long echo(link l);
WEFT_TASK(echo, long, link);
static long echo(link l) {
    for (long i = 0, v; i < l.n; i++) {
        must(weft_receive(l.in, &v));
        must(weft_send(l.out, v));
    }
    return l.n;
}

static int64_t run_pingpong(void *data, int64_t n) {
    numbers_chan there = opened(0), back = opened(0);
    echo_fiber f;
    int64_t sum = 0;
    (void)data;
    must(weft_spawn(&f, echo, there, back, n));
    for (long i = 0, v; i < n; i++) {
        must(weft_send(there, i));
        must(weft_receive(back, &v));
        sum += v;
    }
    must(weft_await(f, echo, NULL));
    weft_drop(f);
    weft_chan_destroy(there);
    weft_chan_destroy(back);
    return sum;
}

/* ---- chan/bounded128 ---- */

enum { PAIRS = 4 };

static long sending(link l);
WEFT_TASK(sending, long, link);
static long sending(link l) {
    for (long i = 0; i < l.n; i++) must(weft_send(l.out, i));
    return l.n;
}
static long receiving(link l);
WEFT_TASK(receiving, long, link);
static long receiving(link l) {
    long sum = 0;
    for (long v; weft_ok(weft_receive(l.in, &v));) sum += v;
    return sum;
}

static int64_t run_bounded(int64_t n, int pairs) {
    numbers_chan c = opened(128);
    sending_fiber s[PAIRS];
    receiving_fiber r[PAIRS];
    int64_t sum = 0;
    for (int i = 0; i < pairs; i++) must(weft_spawn(&r[i], receiving, c, c, 0));
    for (int i = 0; i < pairs; i++) must(weft_spawn(&s[i], sending, c, c, n / pairs));
    for (int i = 0; i < pairs; i++) {
        must(weft_await(s[i], sending, NULL));
        weft_drop(s[i]);
    }
    weft_chan_close(c);
    for (int i = 0; i < pairs; i++) {
        long one = 0;
        must(weft_await(r[i], receiving, &one));
        weft_drop(r[i]);
        sum += one;
    }
    weft_chan_destroy(c);
    return sum;
}
static int64_t run_one_pair(void *data, int64_t n) {
    (void)data;
    return run_bounded(n, 1);
}
static int64_t run_four_pairs(void *data, int64_t n) {
    (void)data;
    return run_bounded(n, PAIRS);
}

static int64_t answer_sum(int64_t n) { return n * (n - 1) / 2; }
static int64_t answer_pairs(int64_t n) { return PAIRS * answer_sum(n / PAIRS); }
static int64_t ops_same(int64_t n) { return n; }

/* ---- select/N ---- */

enum { SELECT_MOST = 4 };
typedef struct choice {
    numbers_chan in[SELECT_MOST], out;
    long n;
} choice;
static long choosing_two(choice c);
WEFT_TASK(choosing_two, long, choice);
static long choosing_two(choice c) {
    for (long i = 0, v = 0; i < c.n; i++) {
        int which;
        must(weft_select(&which, WEFT_RECEIVE(c.in[0], &v), WEFT_RECEIVE(c.in[1], &v)));
        must(weft_send(c.out, v));
    }
    return c.n;
}
static long choosing_four(choice c);
WEFT_TASK(choosing_four, long, choice);
static long choosing_four(choice c) {
    for (long i = 0, v = 0; i < c.n; i++) {
        int which;
        must(weft_select(&which, WEFT_RECEIVE(c.in[0], &v), WEFT_RECEIVE(c.in[1], &v), WEFT_RECEIVE(c.in[2], &v),
                         WEFT_RECEIVE(c.in[3], &v)));
        must(weft_send(c.out, v));
    }
    return c.n;
}

static int64_t run_select(int64_t n, int arms) {
    choice c = {.out = opened(0), .n = n};
    int64_t sum = 0;
    choosing_two_fiber two;
    choosing_four_fiber four;
    for (int i = 0; i < SELECT_MOST; i++) c.in[i] = opened(0);
    if (arms == 2)
        must(weft_spawn(&two, choosing_two, {c.in[0], c.in[1], c.in[2], c.in[3]}, c.out, n));
    else
        must(weft_spawn(&four, choosing_four, {c.in[0], c.in[1], c.in[2], c.in[3]}, c.out, n));
    for (long i = 0, v; i < n; i++) {
        must(weft_send(c.in[i % arms], i));
        must(weft_receive(c.out, &v));
        sum += v;
    }
    weft_handle h = arms == 2 ? two.handle : four.handle;
    must(weft_fiber_await(h));
    weft_fiber_drop(h);
    for (int i = 0; i < SELECT_MOST; i++) weft_chan_destroy(c.in[i]);
    weft_chan_destroy(c.out);
    return sum;
}
static int64_t run_select_two(void *data, int64_t n) {
    (void)data;
    return run_select(n, 2);
}
static int64_t run_select_four(void *data, int64_t n) {
    (void)data;
    return run_select(n, 4);
}

/* ---- skynet/channels: a fiber for each node, which sends its result to its parent ---- */

enum { LEAVES = 1000000, NODES = 1111111, CHILDREN = 10 };
typedef struct span {
    numbers_chan up;
    long first, leaves;
} span;
static long node(span s);
WEFT_TASK(node, long, span);
static long node(span s) {
    long sum = s.first;
    if (s.leaves > 1) {
        numbers_chan c = opened(CHILDREN);
        sum = 0;
        for (int i = 0; i < CHILDREN; i++)
            must(weft_spawn((node_fiber *)NULL, node, c, s.first + i * (s.leaves / CHILDREN), s.leaves / CHILDREN));
        for (int i = 0; i < CHILDREN; i++) {
            long below;
            must(weft_receive(c, &below));
            sum += below;
        }
        weft_chan_destroy(c);
    }
    must(weft_send(s.up, sum));
    return 0;
}

static int64_t run_skynet(void *data, int64_t rounds) {
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i < rounds; i++) {
        numbers_chan c = opened(1);
        long got;
        must(weft_spawn((node_fiber *)NULL, node, c, 0, LEAVES));
        must(weft_receive(c, &got));
        weft_chan_destroy(c);
        sum += got;
    }
    return sum;
}
static int64_t answer_skynet(int64_t rounds) { return rounds * ((int64_t)LEAVES * (LEAVES - 1) / 2); }
static int64_t ops_skynet(int64_t rounds) { return rounds * NODES; }

/* ---- chan/pingpong/apart ---- */

enum { APART_TRIPS = 20000 };
typedef struct apart {
    numbers_chan there, back;
    _Alignas(64) _Atomic long line;
    _Alignas(64) _Atomic int started;
    _Atomic bool channels;
    weft_runtime *rt;
    double ns;
} apart;
typedef apart *apart_ref;

/* Answers, on the line or on the channels. */
static long far_side(apart *a);
WEFT_TASK(far_side, long, apart_ref);
static long far_side(apart *a) {
    atomic_store(&a->started, weft_worker_index() + 1);
    if (atomic_load(&a->channels)) return echo((link){a->there, a->back, APART_TRIPS});
    for (long i = 0; i < APART_TRIPS; i++) {
        while (atomic_load_explicit(&a->line, memory_order_acquire) != 2 * i + 1) arch_relax();
        atomic_store_explicit(&a->line, 2 * i + 2, memory_order_release);
    }
    return 0;
}

/* Bound to this worker, it does not let go of it before the other side runs: on the other worker. */
static long near_side(apart *a);
WEFT_TASK(near_side, long, apart_ref);
static long near_side(apart *a) {
    far_side_fiber f;
    must(weft_spawn_with(&f, far_side, ((weft_spawn_options){.bound = true}), a));
    while (!atomic_load(&a->started)) must(weft_checkpoint());
    if (atomic_load(&a->started) == weft_worker_index() + 1) bench_die("chan/pingpong/apart: both on one worker");
    int64_t start = wall_ns();
    for (long i = 0, v; i < APART_TRIPS; i++) {
        if (atomic_load_explicit(&a->channels, memory_order_relaxed)) {
            must(weft_send(a->there, i));
            must(weft_receive(a->back, &v));
            if (v != i) bench_die("chan/pingpong/apart: wrong answer");
        } else {
            atomic_store_explicit(&a->line, 2 * i + 1, memory_order_release);
            while (atomic_load_explicit(&a->line, memory_order_acquire) != 2 * i + 2) arch_relax();
        }
    }
    a->ns = (double)(wall_ns() - start) / APART_TRIPS;
    must(weft_await(f, far_side, NULL));
    weft_drop(f);
    return 0;
}

static double apart_slice(apart *a, bool channels) {
    near_side_fiber f;
    atomic_store(&a->line, 0);
    atomic_store(&a->started, 0);
    atomic_store(&a->channels, channels);
    must(weft_spawn_with(&f, near_side, ((weft_spawn_options){.runtime = a->rt, .bound = true}), a));
    must(weft_await(f, near_side, NULL));
    weft_drop(f);
    return a->ns;
}
static double line_slice(void *arg) { return apart_slice(arg, false); }
static double channel_slice(void *arg) { return apart_slice(arg, true); }

bool channels_apart(double seconds, int rows_min, apart_report *out, const char **why) {
    samples taken;
    apart a = {.line = 0};
    weft_options o = WEFT_OPTIONS(.workers = 2, .pin = true);
    weft_err err = weft_open(&o, &a.rt);
    if (!err && weft_workers(a.rt) != 2) {
        weft_close(a.rt);
        err = WEFT_E_THREAD;
    }
    if (err) {
        *why = weft_err_text(err);
        return false;
    }
    a.there = opened(0);
    a.back = opened(0);
    party p[2] = {{line_slice, &a}, {channel_slice, &a}};
    double fit = seconds * 1e9 / ((line_slice(&a) + channel_slice(&a)) * APART_TRIPS);
    int rows = fit > SAMPLES_ROWS / 2 ? SAMPLES_ROWS / 2 : (int)fit;
    samples_take(&taken, p, 2, rows > rows_min ? rows : rows_min);
    *out = (apart_report){samples_median(&taken, 1), samples_median(&taken, 0), samples_quotient(&taken, 1, 0), taken.rows,
                          taken.again};
    weft_chan_destroy(a.there);
    weft_chan_destroy(a.back);
    weft_close(a.rt);
    return true;
}

enum { TRIPS = 400000, MESSAGES = 1000000 };

const workload chan_pingpong = {.name = "chan/pingpong", .op = "round trip", .weft = run_pingpong, .one = TRIPS, .many = TRIPS,
                                .answer = answer_sum, .ops = ops_same};
const workload chan_one_pair = {.name = "chan/bounded128/1p1c", .op = "message", .weft = run_one_pair, .one = MESSAGES,
                                .many = MESSAGES, .answer = answer_sum, .ops = ops_same};
const workload chan_four_pairs = {.name = "chan/bounded128/4p4c", .op = "message", .weft = run_four_pairs, .one = MESSAGES,
                                  .many = MESSAGES, .answer = answer_pairs, .ops = ops_same};
const workload select_two = {.name = "select/2", .op = "round trip", .weft = run_select_two, .one = TRIPS, .many = TRIPS,
                             .answer = answer_sum, .ops = ops_same};
const workload select_four = {.name = "select/4", .op = "round trip", .weft = run_select_four, .one = TRIPS, .many = TRIPS,
                              .answer = answer_sum, .ops = ops_same};
const workload skynet_channels = {.name = "skynet/channels", .op = "node", .serial = skynet_serial_run, .weft = run_skynet,
                                  .one = 1, .many = 1, .answer = answer_skynet, .ops = ops_skynet};
