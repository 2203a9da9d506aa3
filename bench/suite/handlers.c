/* bench/suite/handlers.c -- handler/...: programs of effect-handlers-bench over tail, abort and one-shot clauses.
 *
 * One operation is one perform, of product_early one run: a handler around a thousand frames, ended from the innermost.  The
 * baselines are in handlers_serial.c, but of handler/depth:N: that is the same program without the N handlers between, so the
 * ratio is what they cost.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "handlers.h"

#include <stdlib.h>
#include <weft/continuation.h>
#include <weft/fiber.h>
#include <weft/handler.h>

WEFT_EFFECT(get, int64_t);
WEFT_EFFECT(put, char, int64_t to;);
WEFT_EFFECT(emit, char, int64_t value;);
WEFT_EFFECT(read_char, int);
WEFT_EFFECT(stop, char);
WEFT_EFFECT(done, char, int64_t with;);
WEFT_EFFECT(prime, bool, int number;);
WEFT_EFFECT(idle, char);
WEFT_EFFECT(yield, char, int64_t value;);
WEFT_EFFECT(operate, char, int64_t x;);

static int64_t identity(int64_t n) { return n; }
static int64_t zero(int64_t n) { return (void)n, 0; }
static int64_t twice(int64_t n) { return 2 * n; }
static int64_t sum_to(int64_t n) { return n * (n + 1) / 2; }

/* ---- countdown, and the same with idle handlers between ------------------------------------------------- */

static weft_exit on_get(const get_op *op, int64_t *reply, void *self) {
    (void)op;
    *reply = *(int64_t *)self;
    return weft_done;
}
static weft_exit on_put(const put_op *op, char *reply, void *self) {
    (void)reply;
    *(int64_t *)self = op->to;
    return weft_done;
}
static weft_exit on_idle(const idle_op *op, char *reply, void *self) {
    (void)op, (void)reply, (void)self;
    return weft_done;
}

static int64_t countdown(int idle);
WEFT_TASK(countdown, int64_t, int);
static int64_t countdown(int between) {
    if (between) {
        int64_t out = -1;
        weft_handler h = WEFT_HANDLER(NULL, WEFT_TAIL(idle, on_idle));
        must(weft_handle(&h, countdown, &out, between - 1));
        return out;
    }
    for (;;) {
        int64_t i;
        must(weft_perform(get, &i));
        if (i == 0) return i;
        must(weft_perform(put, NULL, i - 1));
    }
}
static int64_t counts_down(int64_t n, int between) {
    int64_t out = -1;
    weft_handler h = WEFT_HANDLER(&n, WEFT_TAIL(get, on_get), WEFT_TAIL(put, on_put));
    must(weft_handle(&h, countdown, &out, between));
    return out;
}
static int64_t countdown_run(void *data, int64_t n) { return (void)data, counts_down(n, 0); }
static int64_t depth_10_run(void *data, int64_t n) { return (void)data, counts_down(n, 10); }
static int64_t depth_100_run(void *data, int64_t n) { return (void)data, counts_down(n, 100); }
static int64_t depth_1000_run(void *data, int64_t n) { return (void)data, counts_down(n, 1000); }

/* ---- iterator ------------------------------------------------------------------------------------------- */

static weft_exit on_emit(const emit_op *op, char *reply, void *self) {
    (void)reply;
    *(int64_t *)self += op->value;
    return weft_done;
}
static int emits(int64_t n);
WEFT_TASK(emits, int, int64_t);
static int emits(int64_t n) {
    for (int64_t i = 0; i <= n; i++) must(weft_perform(emit, NULL, i));
    return 0;
}
static int64_t iterator_run(void *data, int64_t n) {
    int64_t sum = 0;
    (void)data;
    weft_handler h = WEFT_HANDLER(&sum, WEFT_TAIL(emit, on_emit));
    must(weft_handle(&h, emits, NULL, n));
    return sum;
}

/* ---- parsing_dollars ------------------------------------------------------------------------------------ */

typedef struct feed {
    int64_t i, j, n;
} feed;

static weft_exit on_read_char(const read_char_op *op, int *reply, void *self) {
    feed *f = self;
    (void)op;
    if (f->i > f->n) return weft_perform(stop, NULL);
    if (f->j == 0) {
        f->j = ++f->i;
        *reply = NEWLINE;
    } else {
        f->j--;
        *reply = DOLLAR;
    }
    return weft_done;
}
static weft_exit on_stop(const stop_op *op, void *answer, void *self) { return (void)op, (void)answer, (void)self, weft_done; }

static int parses(int64_t dollars);
WEFT_TASK(parses, int, int64_t);
static int parses(int64_t dollars) {
    for (;;) {
        int c;
        if (!weft_ok(weft_perform(read_char, &c))) return 0;
        if (c == DOLLAR) {
            dollars++;
        } else if (c == NEWLINE) {
            must(weft_perform(emit, NULL, dollars));
            dollars = 0;
        }
    }
}
static int64_t dollars_run(void *data, int64_t n) {
    int64_t sum = 0;
    feed f = {0, 0, n};
    (void)data;
    weft_handler h[] = {WEFT_HANDLER(&sum, WEFT_TAIL(emit, on_emit)), WEFT_HANDLER(NULL, WEFT_ABORT(stop, on_stop)),
                        WEFT_HANDLER(&f, WEFT_TAIL(read_char, on_read_char))};
    must(weft_handle_list(h, 3, parses, NULL, 0));
    return sum;
}
/* The newline before each line of i dollars, the dollars, and the read that finds nothing. */
static int64_t dollars_reads(int64_t n) { return (n + 1) * (n + 4) / 2 + 1; }

/* ---- product_early -------------------------------------------------------------------------------------- */

static weft_exit on_done(const done_op *op, void *answer, void *self) {
    (void)self;
    *(int64_t *)answer = op->with;
    return weft_done;
}
/* Apart, so that a frame of the recursion is no larger than one of the plain program. */
__attribute__((noinline, cold)) static int64_t finds_zero(void) {
    weft_perform(done, NULL, 0);
    return 0; /* goes nowhere */
}
__attribute__((noinline, aligned(64))) static int64_t product(const numbers *list) {
    if (!list) return 0;
    if (list->first == 0) return finds_zero();
    return list->first * frame_of(product(list->rest));
}
typedef const numbers *numbers_ref;
static int64_t multiplies(numbers_ref list);
WEFT_TASK(multiplies, int64_t, numbers_ref);
static int64_t multiplies(numbers_ref list) { return product(list); }
static int64_t products(void *data, int64_t n) {
    const numbers *list = product_numbers();
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i < n; i++) {
        int64_t out = -1;
        weft_handler h = WEFT_HANDLER(NULL, WEFT_ABORT(done, on_done));
        must(weft_handle(&h, multiplies, &out, list));
        sum += out;
    }
    return sum;
}

/* A thousand frames want a larger stack than most fibers have. */
typedef struct roomy {
    work_fn *run;
    int64_t n;
} roomy;
static int64_t has_room(roomy r);
WEFT_TASK(has_room, int64_t, roomy);
static int64_t has_room(roomy r) { return r.run(NULL, r.n); }
static int64_t run_with_room(work_fn *run, int64_t n) {
    has_room_fiber f;
    int64_t out = -1;
    must(weft_spawn_with(&f, has_room, {.stack_bytes = 256 << 10}, run, n));
    must(weft_await(f, has_room, &out));
    weft_drop(f);
    return out;
}
static int64_t product_run(void *data, int64_t n) { return (void)data, run_with_room(products, n); }
static int64_t product_plain_run(void *data, int64_t n) { return (void)data, run_with_room(product_serial_run, n); }

/* ---- handler_sieve -------------------------------------------------------------------------------------- */

static weft_exit on_prime(const prime_op *op, bool *reply, void *self) {
    (void)op, (void)self;
    *reply = true;
    return weft_done;
}
/* `self` is the divisor. */
static weft_exit divides(const prime_op *op, bool *reply, void *self) {
    if (op->number % (int)(intptr_t)self) return weft_pass;
    *reply = false;
    return weft_done;
}
typedef struct stretch {
    int from, to;
    int64_t sum;
} stretch;
static int64_t sieves(stretch s);
WEFT_TASK(sieves, int64_t, stretch);
static int64_t sieves(stretch s) {
    for (int i = s.from; i < s.to; i++) {
        bool is_prime;
        must(weft_perform(prime, &is_prime, i));
        if (!is_prime) continue;
        int64_t out = -1;
        weft_handler h = WEFT_HANDLER((void *)(intptr_t)i, WEFT_TAIL(prime, divides));
        must(weft_handle(&h, sieves, &out, i + 1, s.to, s.sum + i));
        return out;
    }
    return s.sum;
}
static int64_t sieve_run(void *data, int64_t n) {
    int64_t out = -1;
    (void)data;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_TAIL(prime, on_prime));
    must(weft_handle(&h, sieves, &out, 2, (int)n, 0));
    return out;
}
static int64_t sieve_answer(int64_t n) { return sieve_serial_run(NULL, n); }

/* ---- generator ------------------------------------------------------------------------------------------ */

typedef struct generator {
    int64_t value;
    weft_k rest;
    bool more;
} generator;

static weft_exit on_yield(weft_k k, const yield_op *op, void *answer, void *self) {
    generator *g = self;
    (void)answer;
    g->value = op->value;
    g->rest = weft_keep(k);
    g->more = true;
    return weft_done;
}
static void iterate(const tree *t) {
    if (!t) return;
    iterate(t->left);
    must(weft_perform(yield, NULL, t->value));
    iterate(t->right);
}
typedef const tree *tree_ref;
static int walks(tree_ref t);
WEFT_TASK(walks, int, tree_ref);
static int walks(tree_ref t) {
    iterate(t);
    return 0;
}
static int64_t generator_run(void *data, int64_t depth) {
    generator g = {0};
    int64_t sum = 0;
    (void)data;
    weft_handler h = WEFT_HANDLER(&g, WEFT_ONESHOT(yield, on_yield));
    must(weft_handle(&h, walks, NULL, generator_tree(depth)));
    while (g.more) {
        sum += g.value;
        g.more = false;
        must(weft_resume(g.rest, yield, 0, NULL));
    }
    return sum;
}
static int64_t generator_answer(int64_t depth) { return generator_serial_run(NULL, depth); }
static int64_t generator_yields(int64_t depth) { return ((int64_t)1 << depth) - 1; }

/* ---- resume_nontail ------------------------------------------------------------------------------------- */

static weft_exit on_operate(weft_k k, const operate_op *op, void *answer, void *self) {
    int64_t x = op->x;
    (void)self;
    weft_exit e = weft_resume(k, operate, 0, answer);
    *(int64_t *)answer = nontail_step(x, *(int64_t *)answer);
    return e;
}
typedef struct loop {
    int64_t n, result;
} loop;
static int64_t operates(loop l);
WEFT_TASK(operates, int64_t, loop);
static int64_t operates(loop l) {
    for (int64_t i = l.n; i > 0; i--) must(weft_perform(operate, NULL, i));
    return l.result;
}
static int64_t nontail_run(void *data, int64_t n) {
    int64_t s = 0;
    (void)data;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(operate, on_operate));
    for (int64_t i = 0; i < n; i++) must(weft_handle(&h, operates, &s, RESUME_DEPTH, s));
    return s;
}
static int64_t nontail_answer(int64_t n) { return nontail_serial_run(NULL, n); }
static int64_t nontail_ops(int64_t n) { return n * RESUME_DEPTH; }

/* ---- the workloads -------------------------------------------------------------------------------------- */

#define HANDLER(text, of, plain, run, size, right, count)                                                            \
    {                                                                                                                \
        .name = "handler/" text, .op = of, .serial = plain, .weft = run, .one = size, .many = size, .answer = right, \
        .ops = count                                                                                                 \
    }
const workload handler_countdown = HANDLER("countdown", "operation", countdown_serial_run, countdown_run, 2000000, zero, twice);
const workload handler_iterator = HANDLER("iterator", "emit", iterator_serial_run, iterator_run, 4000000, sum_to, identity);
const workload handler_dollars =
    HANDLER("parsing_dollars", "read", dollars_serial_run, dollars_run, 2000, sum_to, dollars_reads);
const workload handler_product = HANDLER("product_early", "run", product_plain_run, product_run, 3000, zero, identity);
const workload handler_sieve =
    HANDLER("handler_sieve", "hop", sieve_serial_run, sieve_run, 6000, sieve_answer, sieve_hops);
const workload handler_depth[] = {
    HANDLER("depth:0", "operation", countdown_serial_run, countdown_run, 20000000, zero, twice),
    HANDLER("depth:10", "operation", countdown_run, depth_10_run, 20000000, zero, twice),
    HANDLER("depth:100", "operation", countdown_run, depth_100_run, 20000000, zero, twice),
    HANDLER("depth:1000", "operation", countdown_run, depth_1000_run, 20000000, zero, twice),
};
const workload handler_generator =
    HANDLER("generator", "yield", generator_serial_run, generator_run, 20, generator_answer, generator_yields);
const workload handler_nontail =
    HANDLER("resume_nontail", "operation", nontail_serial_run, nontail_run, 50, nontail_answer, nontail_ops);
