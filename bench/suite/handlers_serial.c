/* bench/suite/handlers_serial.c -- the programs of handlers.c without handlers: who would perform calls.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "handlers.h"

#include <stdbool.h>
#include <stdlib.h>

#include "../common/serial.h"

/* ---- countdown ---- */

BENCH_SERIAL int64_t get(const int64_t *state) {
    __asm__ volatile("" ::: "memory");
    return *state;
}
BENCH_SERIAL void put(int64_t *state, int64_t to) {
    *state = to;
    __asm__ volatile("" ::: "memory");
}
int64_t countdown_serial_run(void *data, int64_t n) {
    int64_t state = n;
    (void)data;
    for (;;) {
        int64_t i = get(&state);
        if (i == 0) return i;
        put(&state, i - 1);
    }
}

/* ---- iterator ---- */

BENCH_SERIAL void emit(int64_t *sum, int64_t value) {
    *sum += value;
    __asm__ volatile("" ::: "memory");
}
int64_t iterator_serial_run(void *data, int64_t n) {
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i <= n; i++) emit(&sum, i);
    return sum;
}

/* ---- parsing_dollars ---- */

typedef struct feed {
    int64_t i, j, n;
} feed;

/* False: there is no more. */
BENCH_SERIAL bool read_char(feed *f, int *c) {
    __asm__ volatile("" ::: "memory");
    if (f->i > f->n) return false;
    if (f->j == 0) {
        f->j = ++f->i;
        *c = NEWLINE;
    } else {
        f->j--;
        *c = DOLLAR;
    }
    return true;
}
int64_t dollars_serial_run(void *data, int64_t n) {
    feed f = {0, 0, n};
    int64_t sum = 0, dollars = 0;
    int c;
    (void)data;
    while (read_char(&f, &c)) {
        if (c == DOLLAR) {
            dollars++;
        } else {
            emit(&sum, dollars);
            dollars = 0;
        }
    }
    return sum;
}

/* ---- product_early ---- */

static numbers product_list[PRODUCT_LENGTH + 1];

const numbers *product_numbers(void) {
    for (int i = 0; i <= PRODUCT_LENGTH; i++)
        product_list[i] = (numbers){i < PRODUCT_LENGTH ? &product_list[i + 1] : NULL, PRODUCT_LENGTH - i};
    return product_list;
}

/* As in handlers.c, so that both recursions are the same instructions. */
__attribute__((cold)) BENCH_SERIAL int64_t finds_zero(void) {
    __asm__ volatile("");
    return 0;
}
__attribute__((aligned(64))) BENCH_SERIAL int64_t product(const numbers *list) {
    if (!list) return 0;
    if (list->first == 0) return finds_zero();
    return list->first * frame_of(product(list->rest));
}
int64_t product_serial_run(void *data, int64_t n) {
    const numbers *list = product_numbers();
    int64_t sum = 0;
    (void)data;
    for (int64_t i = 0; i < n; i++) sum += product(list);
    return sum;
}

/* ---- handler_sieve ---- */

typedef struct divisor {
    const struct divisor *outer;
    int n;
} divisor;

BENCH_SERIAL bool divides(const divisor *d, int e) {
    __asm__ volatile("" : "+r"(e));
    return e % d->n == 0;
}
static int64_t hops;
static int64_t sieve_from(int i, int n, int64_t sum, const divisor *d) {
    for (; i < n; i++) {
        const divisor *at = d;
        for (; at; at = at->outer) {
            hops++;
            if (divides(at, i)) break;
        }
        if (at) continue;
        divisor own = {d, i};
        return sieve_from(i + 1, n, sum + i, &own);
    }
    return sum;
}
int64_t sieve_serial_run(void *data, int64_t n) {
    (void)data;
    return sieve_from(2, (int)n, 0, NULL);
}
int64_t sieve_hops(int64_t n) {
    hops = 0;
    sieve_serial_run(NULL, n);
    return hops;
}

/* ---- generator ---- */

const tree *generator_tree(int64_t depth) {
    static tree nodes[64];
    const tree *t = NULL;
    for (int64_t i = 1; i <= depth; i++) {
        nodes[i] = (tree){t, t, i};
        t = &nodes[i];
    }
    return t;
}
static void iterate(const tree *t, int64_t *sum) {
    if (!t) return;
    iterate(t->left, sum);
    emit(sum, t->value);
    iterate(t->right, sum);
}
int64_t generator_serial_run(void *data, int64_t n) {
    int64_t sum = 0;
    (void)data;
    iterate(generator_tree(n), &sum);
    return sum;
}

/* ---- resume_nontail ---- */

/* What the clauses make of it, innermost first: there is no need of a stack. */
int64_t nontail_serial_run(void *data, int64_t n) {
    int64_t s = 0;
    (void)data;
    for (int64_t i = 0; i < n; i++)
        for (int64_t x = 1; x <= RESUME_DEPTH; x++) s = nontail_step(x, s);
    return s;
}
