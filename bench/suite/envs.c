/* bench/suite/envs.c -- env/read/depth:0, env/read/depth:1000: a value of the environment is read; with a thousand others
 * provided between it and the reader, one inside of the other.
 *
 * The baseline reads the same value through a pointer that lies in memory.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <stdlib.h>
#include <weft/env.h>

#include "../common/clock.h"
#include "workload.h"

enum { READS = 4000000, DEEP = 1000 };

WEFT_KEY(bench_value, int64_t);
static weft_effect others[DEEP];

__attribute__((noinline)) static int64_t read_all(int64_t n) {
    int64_t sum = 0, began = wall_ns();
    for (int64_t i = 0; i < n; i++) {
        const int64_t *v = weft_env(bench_value);
        if (!v) bench_die("env/read: nothing is provided");
        sum += *v;
        __asm__ volatile("" : "+r"(sum));
    }
    bench_own_ns = wall_ns() - began;
    return sum;
}

static int64_t run_flat(void *data, int64_t n) {
    int64_t sum = 0;
    (void)data;
    WEFT_PROVIDE(bench_value, 3) sum = read_all(n);
    return sum;
}

/* The brackets lie on the heap: a thousand of them, each with room for a thousand keys, are too much for a stack. */
static int64_t run_deep(void *data, int64_t n) {
    void *room[DEEP];
    weft__provided *in[DEEP];
    int64_t sum = 0, other = 4;
    (void)data;
    WEFT_PROVIDE(bench_value, 3) {
        for (int i = 0; i < DEEP; i++) {
            if (!others[i].name) others[i] = (weft_effect){.name = "another", .reply = sizeof other};
            const weft_binding b = {&others[i], &other, NULL, NULL};
            room[i] = malloc(weft__provide_room(&b, 1));
            if (!room[i]) bench_die("env/read: no memory");
            in[i] = weft__provide_begin(room[i], &b, 1);
        }
        sum = read_all(n);
        for (int i = DEEP; i-- > 0;) {
            weft__provide_end(in[i]);
            free(room[i]);
        }
    }
    return sum;
}

static int64_t answer_three(int64_t n) {
    return 3 * n;
}
static int64_t identity(int64_t n) {
    return n;
}

const workload env_read_0 = {.name = "env/read/depth:0", .op = "read", .serial = envs_serial_run, .weft = run_flat,
                             .one = READS, .many = READS, .answer = answer_three, .ops = identity};
const workload env_read_1000 = {.name = "env/read/depth:1000", .op = "read", .serial = envs_serial_run, .weft = run_deep,
                                .one = READS, .many = READS, .answer = answer_three, .ops = identity};
