/* bench/suite/idle.c -- what an idle runtime costs: everybody should be asleep.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <errno.h>
#include <time.h>
#include <weft/runtime.h>

#include "../common/clock.h"
#include "../common/machine.h"
#include "machinery.h"

static void sleep_until(int64_t ns) {
    struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) continue;
}

static void nothing(void *arg) {
    (void)arg;
}

bool idle_second(idle_report *out, const char **why) {
    machine m;
    weft_runtime *rt;
    machine_read(&m);
    weft_options o = WEFT_OPTIONS(.workers = m.cpus > 2 ? (unsigned)m.cpus : 2);
    weft_err err = weft_open(&o, &rt);
    if (!err) {
        err = weft_call(rt, nothing, NULL);
        if (err) weft_close(rt);
    }
    if (err) {
        *why = weft_err_text(err);
        return false;
    }
    /* The workers have seen work; let them find out that there is no more. */
    sleep_until(wall_ns() + 100000000);
    int64_t wall = wall_ns(), cpu = process_cpu_ns();
    sleep_until(wall + 1000000000);
    out->cpu_us = (double)(process_cpu_ns() - cpu) / 1e3;
    out->wall_ns = (double)(wall_ns() - wall);
    weft_close(rt);
    return true;
}
