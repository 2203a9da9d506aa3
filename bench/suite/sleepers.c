/* bench/suite/sleepers.c -- timer/sleepers:100000: that many fibers sleep on one worker, 300 to 1300 ms each.
 *
 * They wait on one gate.  Once it is open each goes to sleep until its own random time after the opening; when
 * all sleep, the process's CPU time is read, and again when the last has woken.  Each notes how late it woke.  A
 * first round, shorter and not counted, gives stacks and blocks their memory.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <weft/fiber.h>
#include <weft/time.h>

#include "../common/clock.h"
#include "../common/load.h"
#include "../common/samples.h"
#include "machinery.h"
#include "sched/gate.h"
#include "workload.h"

enum { SLEEPERS = 100000, TURN = 64, ROWS = 16 };
#define LEAST_NS INT64_C(300000000)
#define MOST_NS INT64_C(1300000000)

static long sleeps(long number);
WEFT_TASK(sleeps, long, long);

static struct {
    gate start, done;
    int64_t begin, least, most; /* sleep until begin + least .. begin + most */
    int64_t waiting, asleep, awake, cpu_before, cpu_after;
    double late[SLEEPERS]; /* us */
    uint32_t random[SLEEPERS];
    bool early;
} crowd;

static int64_t cpu_ns(void) {
    struct rusage r;
    if (getrusage(RUSAGE_SELF, &r) != 0) bench_die("sleepers: getrusage failed");
    return (int64_t)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000000 +
           (int64_t)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1000;
}

static long sleeps(long number) {
    crowd.waiting++;
    must(gate_wait(&crowd.start));
    weft_time until = crowd.begin + crowd.least +
                      (int64_t)((double)crowd.random[number] / UINT32_MAX * (double)(crowd.most - crowd.least));
    crowd.asleep++;
    must(weft_sleep_until(until));
    int64_t late = weft_now() - until;
    crowd.early |= late < 0;
    crowd.late[number] = (double)late / 1e3;
    if (++crowd.awake < SLEEPERS) return number;
    crowd.cpu_after = cpu_ns();
    gate_open(&crowd.done, thread_fiber()->w->rt);
    return number;
}

static void night(void *arg) {
    int64_t most = *(int64_t *)arg;
    crowd.start = crowd.done = (gate){0};
    crowd.waiting = crowd.asleep = crowd.awake = 0;
    crowd.least = most < LEAST_NS ? most : LEAST_NS;
    crowd.most = most;
    for (long i = 0; i < SLEEPERS; i++) {
        must(weft_spawn(NULL, sleeps, i));
        if (i % TURN == TURN - 1) must(weft_yield());
    }
    while (crowd.waiting < SLEEPERS) must(weft_yield());
    crowd.begin = weft_now();
    gate_open(&crowd.start, thread_fiber()->w->rt);
    while (crowd.asleep < SLEEPERS) must(weft_yield());
    if (crowd.awake) bench_die("sleepers: %" PRId64 " woke before all slept", crowd.awake);
    crowd.cpu_before = cpu_ns();
    must(gate_wait(&crowd.done));
}

static weft_err one_night(weft_runtime *rt, int64_t most) {
    return weft_call(rt, night, &most);
}

bool sleepers(int rows, sleepers_report *out, const char **why) {
    double cpu[ROWS], p50[ROWS], p99[ROWS];
    weft_runtime *rt;
    weft_options o = WEFT_OPTIONS(.workers = 1, .pin = true);
    weft_err err = weft_open(&o, &rt);
    uint64_t state = 88172645463325252u;
    *out = (sleepers_report){.rows = rows < ROWS ? rows : ROWS};
    for (int i = 0; i < SLEEPERS; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        crowd.random[i] = (uint32_t)(state >> 32);
    }
    if (!err) err = one_night(rt, LEAST_NS);
    for (int i = 0; i < out->rows && !err; i++) {
        load_mark before, after;
        load_read(&before);
        err = one_night(rt, MOST_NS);
        load_read(&after);
        out->again += load_disturbed(&before, &after);
        if (crowd.early) bench_die("sleepers: one woke before its time");
        cpu[i] = (double)(crowd.cpu_after - crowd.cpu_before) / 1e6;
        p50[i] = median(crowd.late, SLEEPERS); /* sorts */
        p99[i] = crowd.late[SLEEPERS / 100 * 99];
    }
    if (!err) err = weft_close(rt);
    if (err) {
        *why = weft_err_text(err);
        return false;
    }
    out->cpu_ms = median(cpu, (size_t)out->rows);
    out->late_p50_us = median(p50, (size_t)out->rows);
    out->late_p99_us = median(p99, (size_t)out->rows);
    out->cpu_ns = out->cpu_ms * 1e6 / SLEEPERS;
    return true;
}
