/* Runtimes opened and closed ten thousand times leave nothing behind; fibers by the hundred thousand are spawned, park
 * and are drained.
 *   lifecycle_stress [fibers]
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/heap.h"
#include "alloc/san.h"
#include "sched/gate.h"
#include <sched.h>
#include <stdatomic.h>
#include <weft/fiber.h>

/* An emulator keeps some megabytes of every large mapping there ever was, and in the end is killed for it. */
#ifndef WEFT_TEST_EMULATED
#define WEFT_TEST_EMULATED 0
#endif

enum {
    CYCLES = WEFT_TEST_EMULATED ? 50 : WEFT__SAN_STACKS > 1 ? 300 : 10000,
    WARM_UP = CYCLES / 10, /* heaps and thread caches grow at first */
    RSS_SLACK_KB = 4096,
    MAPS_SLACK = 20, /* the heap's own mappings come and go */
};

static long fibers = WEFT__SAN_STACKS > 1 || WEFT_TEST_EMULATED ? 2000 : 100000;

/* A number of /proc/self/status. */
static long status_of(const char *key) {
    char line[256];
    long value = -1;
    FILE *f = fopen("/proc/self/status", "r");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0) value = atol(line + strlen(key));
    fclose(f);
    return value;
}
static long map_lines(void) {
    long n = 0;
    FILE *f = fopen("/proc/self/maps", "r");
    CHECK(f != NULL);
    for (int c; (c = fgetc(f)) != EOF;) n += c == '\n';
    fclose(f);
    return n;
}

typedef struct footprint {
    uint64_t heap;
    long rss_kb, threads, maps;
} footprint;
static footprint now(void) {
    return (footprint){weft__heap_live(), status_of("VmRSS:"), status_of("Threads:"), map_lines()};
}

static long twice(long x);
WEFT_TASK(twice, long, long);
static long twice(long x) {
    weft_yield();
    return 2 * x;
}

static void one_cycle(long i) {
    weft_runtime *rt;
    twice_fiber f;
    long got = 0;
    CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = 2), &rt), WEFT_OK);
    CHECK(weft_ok(weft_spawn_with(&f, twice, ((weft_spawn_options){.runtime = rt}), i)));
    CHECK(weft_ok(weft_spawn_with((twice_fiber *)NULL, twice, ((weft_spawn_options){.runtime = rt}), i)));
    if (i % 2) { /* the others are left to the closing, handle and all */
        CHECK(weft_ok(weft_await(f, twice, &got)));
        CHECK_EQ(got, 2 * i);
        CHECK_EQ(weft_drop(f), WEFT_OK);
    }
    CHECK_EQ(weft_close(rt), WEFT_OK);
}

TEST(opening_and_closing_leaves_nothing_behind) {
    for (long i = 0; i < WARM_UP; i++) one_cycle(i);
    footprint before = now();
    for (long i = 0; i < CYCLES; i++) one_cycle(i);
    footprint after = now();
    fprintf(stderr, "    %d cycles: VmRSS %ld to %ld KB, %ld to %ld threads, %ld to %ld mappings\n", CYCLES,
            before.rss_kb, after.rss_kb, before.threads, after.threads, before.maps, after.maps);
    CHECK_EQ(after.heap, before.heap);
    CHECK(after.threads <= before.threads + 1); /* a joined thread may still be on its way out */
    if (WEFT__SAN_STACKS > 1 || WEFT_TEST_EMULATED) return; /* quarantines, shadows and the emulator grow */
    CHECK(after.rss_kb <= before.rss_kb + RSS_SLACK_KB);
    CHECK(after.maps <= before.maps + MAPS_SLACK);
}

/* ---- many parked fibers ------------------------------------------------------------------------------- */

static gate door;
static _Atomic long arrived, ended;

static long gated(long x);
WEFT_TASK(gated, long, long);
static long gated(long x) {
    gate_wait(&door);
    return x;
}
static long parks(weft_handle h);
WEFT_TASK(parks, long, weft_handle);
static long parks(weft_handle h) {
    long got = 0;
    atomic_fetch_add(&arrived, 1);
    CHECK(weft_ok(weft_await((gated_fiber){h}, gated, &got)));
    atomic_fetch_add(&ended, 1);
    return got;
}

static long suspended(runtime *rt) {
    uint64_t n = 0;
    for (unsigned i = 0; i < rt->n_workers; i++) n += atom_load_rlx(&rt->workers[i].stats.suspended);
    return (long)n;
}

static void park_them_all(void *arg) {
    runtime *rt = thread_fiber()->w->rt;
    gated_fiber g;
    long rss = status_of("VmRSS:");
    (void)arg;
    door = (gate){0};
    atomic_store(&arrived, 0);
    atomic_store(&ended, 0);
    CHECK(weft_ok(weft_spawn(&g, gated, 7)));
    for (long i = 0; i < fibers; i++)
        CHECK(weft_ok(weft_spawn((parks_fiber *)NULL, parks, g.handle.fiber, g.handle.id)));
    while (atomic_load(&arrived) < fibers || suspended(rt) < fibers) {
        weft_yield();
        sched_yield();
    }
    CHECK_EQ(atomic_load(&ended), 0);
    fprintf(stderr, "    %ld fibers parked, %.2f KB each\n", fibers, (double)(status_of("VmRSS:") - rss) / (double)fibers);
    gate_open(&door, rt);
    long got = 0;
    CHECK(weft_ok(weft_await(g, gated, &got)));
    CHECK_EQ(got, 7);
    while (atomic_load(&ended) < fibers) { /* they hold the handle's fiber: not dropped before */
        weft_yield();
        sched_yield();
    }
    CHECK_EQ(weft_drop(g), WEFT_OK);
}

TEST(parked_fibers_are_all_woken_and_drained) {
    uint64_t live = weft__heap_live();
    for (unsigned workers = 1; workers <= 2; workers++) {
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = workers), park_them_all, NULL), WEFT_OK);
        CHECK_EQ(weft__heap_live(), live);
        CHECK_EQ(atomic_load(&ended), fibers);
    }
}

int main(int argc, char **argv) {
    if (argc > 1) fibers = atol(argv[1]);
    return test_main(1, argv);
}
