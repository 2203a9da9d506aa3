/* bench/suite/wake.c -- wake/latency: from a plain thread's spawn until the fiber runs on a worker that
 * slept, against FUTEX_WAKE until a bare thread runs that slept.
 *
 * Both sleepers are pinned to the first CPU, the waking thread to the second.  Each sample begins when both
 * have been asleep for a while: the worker says that it parked, the thread that it is about to, and then
 * the waking thread sleeps, too.  Samples alternate, every second pair backwards.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <weft/fiber.h>

#include "../common/clock.h"
#include "../common/load.h"
#include "../common/samples.h"
#include "machinery.h"
#include "workload.h"

enum { SAMPLES = 240, REST_NS = 200000 };

typedef _Atomic int64_t moment; /* when the sleeper ran; 0: not yet */

typedef struct bare {
    pthread_t thread;
    _Atomic uint32_t word; /* 1: awake, 2: awake and end */
    _Atomic uint32_t naps;
    moment ran;
} bare;

typedef struct bench {
    weft_runtime *rt;
    bare b;
    moment ran;
    uint64_t parks; /* of the worker, before it was woken last */
    uint32_t naps;
    cpu_set_t usual;
} bench;

static void futex(_Atomic uint32_t *word, int op, uint32_t value) {
    syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

/* The waking thread has a CPU of its own, where there are two. */
static int64_t wait_for(moment *m) {
    int64_t t;
    while (!(t = atomic_load_explicit(m, memory_order_acquire))) sched_yield();
    atomic_store_explicit(m, 0, memory_order_relaxed);
    return t;
}

static void *bare_sleeper(void *arg) {
    bare *b = arg;
    for (;;) {
        uint32_t word;
        atomic_fetch_add(&b->naps, 1);
        while (!(word = atomic_load_explicit(&b->word, memory_order_acquire))) futex(&b->word, FUTEX_WAIT, 0);
        if (word == 2) return NULL;
        int64_t now = wall_ns();
        atomic_store_explicit(&b->word, 0, memory_order_relaxed);
        atomic_store_explicit(&b->ran, now, memory_order_release);
    }
}

static void bare_wake(bare *b, uint32_t word) {
    atomic_store_explicit(&b->word, word, memory_order_release);
    futex(&b->word, FUTEX_WAKE, 1);
}

typedef moment *moment_ref;
static int note(moment *m);
WEFT_TASK(note, int, moment_ref);

static int note(moment *m) {
    atomic_store_explicit(m, wall_ns(), memory_order_release);
    return 0;
}

/* ---- one sample of each ---- */

static void rest(void) {
    const struct timespec t = {.tv_nsec = REST_NS};
    nanosleep(&t, NULL);
}

static uint64_t parks(const bench *b) {
    weft_stats s = {.size = sizeof s};
    weft_runtime_stats(b->rt, &s);
    return s.parks;
}

/* Both have gone to sleep since they were woken last. */
static void wait_until_asleep(bench *b) {
    do rest();
    while (parks(b) <= b->parks || atomic_load(&b->b.naps) <= b->naps);
    rest();
}

static double sample_bare(bench *b) {
    wait_until_asleep(b);
    b->naps = atomic_load(&b->b.naps);
    int64_t start = wall_ns();
    bare_wake(&b->b, 1);
    return (double)(wait_for(&b->b.ran) - start);
}

static double sample_weft(bench *b) {
    wait_until_asleep(b);
    b->parks = parks(b);
    int64_t start = wall_ns();
    must(weft_spawn_with(NULL, note, ((weft_spawn_options){.runtime = b->rt}), &b->ran));
    return (double)(wait_for(&b->ran) - start);
}

static void take_samples(bench *b, wake_report *out) {
    double woken[SAMPLES], spawned[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        if (i % 2) spawned[i] = sample_weft(b);
        woken[i] = sample_bare(b);
        if (i % 2 == 0) spawned[i] = sample_weft(b);
    }
    out->bare_ns = median(woken, SAMPLES);
    out->weft_ns = median(spawned, SAMPLES);
    out->ratio = out->weft_ns / out->bare_ns;
}

/* ---- around them ---- */

/* The nth CPU of the usual ones; the last if there are fewer. */
static cpu_set_t nth_cpu(const cpu_set_t *usual, int n) {
    cpu_set_t one;
    size_t found = 0;
    for (size_t i = 0; i < CPU_SETSIZE && n >= 0; i++)
        if (CPU_ISSET(i, usual)) {
            found = i;
            n--;
        }
    CPU_ZERO(&one);
    CPU_SET(found, &one);
    return one;
}

static weft_err bench_open(bench *b) {
    weft_options o = WEFT_OPTIONS(.workers = 1, .pin = true);
    if (sched_getaffinity(0, sizeof b->usual, &b->usual)) return WEFT_E_INVALID;
    weft_err err = weft_open(&o, &b->rt);
    if (err) return err;
    if (pthread_create(&b->b.thread, NULL, bare_sleeper, &b->b)) {
        weft_close(b->rt);
        return WEFT_E_THREAD;
    }
    cpu_set_t first = nth_cpu(&b->usual, 0), second = nth_cpu(&b->usual, 1);
    pthread_setaffinity_np(b->b.thread, sizeof first, &first);
    sched_setaffinity(0, sizeof second, &second);
    return WEFT_OK;
}

static void bench_close(bench *b) {
    bare_wake(&b->b, 2);
    pthread_join(b->b.thread, NULL);
    weft_close(b->rt);
    sched_setaffinity(0, sizeof b->usual, &b->usual);
}

bool wake_latency(wake_report *out, const char **why) {
    bench b = {0};
    load_mark before, after;
    weft_err err = bench_open(&b);
    if (err) {
        *why = weft_err_text(err);
        return false;
    }
    sample_weft(&b); /* untimed: pages, caches */
    sample_bare(&b);
    *out = (wake_report){.samples = SAMPLES};
    for (int tries = 0; tries < 2; tries++) {
        load_read(&before);
        take_samples(&b, out);
        load_read(&after);
        if (!load_disturbed(&before, &after)) break;
        out->again++;
    }
    bench_close(&b);
    return true;
}
