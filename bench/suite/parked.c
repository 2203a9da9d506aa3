/* bench/suite/parked.c -- parked/fibers:1000000, parked/tiny:1000000: a million fibers that wait at once.
 *
 * The baseline is what the kernel wants for as many stacks: reserve them, install the guard each has, touch a page of
 * each (of tiny ones, which have no guard, a byte of each).  Every row, baseline and subject, is a process of its own:
 * what one leaves behind in the heap would not count as growth in the next.
 *
 * Memory: growth of VmRSS and VmPTE while the fibers are spawned and park; what the benchmark itself needs is touched
 * before.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/fiber.h>

#include "../common/clock.h"
#include "../common/load.h"
#include "../common/samples.h"
#include "machinery.h"
#include "sched/gate.h"
#include "workload.h"

enum { PARKED = 1000000, BATCH = 64, ROWS = 16 };

typedef struct row {
    double ns, baseline_ns, bytes;
    int64_t maps, maps_more;
    bool disturbed;
} row;

/* ---- what the kernel says about this process ---- */

static int64_t status_kb(const char *name) {
    char line[256];
    int64_t kb = -1;
    size_t n = strlen(name);
    FILE *f = fopen("/proc/self/status", "re");
    if (!f) bench_die("parked: no /proc/self/status");
    while (kb < 0 && fgets(line, sizeof line, f))
        if (strncmp(line, name, n) == 0) kb = strtoll(line + n, NULL, 10);
    fclose(f);
    if (kb < 0) bench_die("parked: /proc/self/status has no %s", name);
    return kb;
}

static double memory_bytes(void) {
    return 1024.0 * (double)(status_kb("VmRSS:") + status_kb("VmPTE:"));
}

/* Mappings that meet [low, high]. */
static int64_t mappings(uintptr_t low, uintptr_t high) {
    char *line = NULL;
    size_t room = 0;
    int64_t n = 0;
    FILE *f = fopen("/proc/self/maps", "re");
    if (!f) bench_die("parked: no /proc/self/maps");
    while (getline(&line, &room, f) > 0) {
        uintptr_t from = 0, to = 0;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &from, &to) == 2) n += from <= high && to > low;
    }
    free(line);
    fclose(f);
    return n;
}

/* ---- the subject ---- */

static struct {
    bool tiny;
    gate *doors;
    int64_t parked, sum;
    uintptr_t low, high; /* of their frames */
    row *out;
} crowd;

static long park(long number);
WEFT_TASK(park, long, long);

__attribute__((noinline)) static long park(long number) {
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if (here < crowd.low) crowd.low = here;
    if (here > crowd.high) crowd.high = here;
    crowd.parked++;
    gate_wait(&crowd.doors[number]);
    crowd.sum += number;
    return number;
}

static void spawn_all(void) {
    weft_spawn_options o = {.stack_bytes = crowd.tiny ? WEFT_STACK_TINY : 0};
    for (long i = 0; i < PARKED; i++) {
        must(weft_spawn_with(NULL, park, o, i));
        if (i % BATCH == BATCH - 1) must(weft_yield());
    }
    while (crowd.parked < PARKED) must(weft_yield());
}

static void crowd_body(void *arg) {
    (void)arg;
    int64_t maps = mappings(0, UINTPTR_MAX);
    double bytes = memory_bytes();
    int64_t start = wall_ns();
    spawn_all();
    crowd.out->ns = (double)(wall_ns() - start) / PARKED;
    crowd.out->bytes = (memory_bytes() - bytes) / PARKED;
    crowd.out->maps = mappings(crowd.low, crowd.high);
    crowd.out->maps_more = mappings(0, UINTPTR_MAX) - maps;
    runtime *rt = thread_fiber()->w->rt;
    for (long i = 0; i < PARKED; i++) gate_open(&crowd.doors[i], rt);
}

static void subject(bool tiny, row *out) {
    weft_runtime *rt;
    weft_options o = WEFT_OPTIONS(.workers = 1, .pin = true);
    crowd.tiny = tiny;
    crowd.out = out;
    crowd.low = UINTPTR_MAX;
    crowd.doors = malloc(PARKED * sizeof(gate));
    if (!crowd.doors) bench_die("parked: not enough memory");
    memset(crowd.doors, 0, PARKED * sizeof(gate));
    weft_err err = weft_open(&o, &rt);
    if (!err) err = weft_call(rt, crowd_body, NULL);
    if (!err) err = weft_close(rt); /* all have ended */
    if (err) bench_die("parked: %s", weft_err_text(err));
    if (crowd.sum != (int64_t)PARKED * (PARKED - 1) / 2) bench_die("parked: wrong answer %" PRId64, crowd.sum);
    free(crowd.doors);
}

/* ---- the baseline ---- */

static void baseline_body(void *arg) {
    row *out = arg;
    stack_class cls = crowd.tiny ? STACK_2K : STACK_64K;
    size_t slot = weft__stack_slot_bytes(cls), guard = weft__os_guard_bytes(), page = weft__os_page();
    size_t bytes = (slot * PARKED + page - 1) / page * page;
    char *base = weft__os_reserve(bytes, (size_t)2 << 20);
    if (!base) bench_die("parked: no address space for a million stacks");
    int64_t start = wall_ns();
    for (char *at = base; at < base + slot * PARKED; at += slot) {
        if (!crowd.tiny) weft__os_guard(at, guard);
        *(volatile char *)(at + slot - 64) = 1;
    }
    out->baseline_ns = (double)(wall_ns() - start) / PARKED;
    weft__os_release(base, bytes);
}

/* On a worker, too: a thread of the same kind, pinned in the same way. */
static void baseline(bool tiny, row *out) {
    weft_options o = WEFT_OPTIONS(.workers = 1, .pin = true);
    weft_runtime *rt;
    crowd.tiny = tiny;
    weft_err err = weft_open(&o, &rt);
    if (!err) err = weft_call(rt, baseline_body, out);
    if (!err) err = weft_close(rt);
    if (err) bench_die("parked: %s", weft_err_text(err));
}

/* ---- rows, each in a process ---- */

int parked_child(const char *what) {
    row out = {0};
    load_mark before, after;
    bool tiny = strstr(what, "tiny") != NULL, backwards = strstr(what, "backwards") != NULL;
    load_read(&before);
    for (int i = 0; i < 2; i++) ((i == 0) == backwards ? subject : baseline)(tiny, &out);
    load_read(&after);
    out.disturbed = load_disturbed(&before, &after);
    return write(STDOUT_FILENO, &out, sizeof out) == (ssize_t)sizeof out ? 0 : 1;
}

static bool run_row(bool tiny, bool backwards, row *out) {
    char what[32];
    int ends[2], status = 0;
    snprintf(what, sizeof what, "%s%s", tiny ? "tiny" : "fibers", backwards ? " backwards" : "");
    if (pipe(ends) != 0) return false;
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl("/proc/self/exe", "weft-bench", "--parked", what, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    ssize_t n = child > 0 ? read(ends[0], out, sizeof *out) : -1;
    close(ends[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return false;
    return n == (ssize_t)sizeof *out && status == 0;
}

static double median_of(const row *rows, int n, double (*of)(const row *)) {
    double v[ROWS];
    for (int i = 0; i < n; i++) v[i] = of(&rows[i]);
    return median(v, (size_t)n);
}
static double ns_of(const row *r) {
    return r->ns;
}
static double baseline_of(const row *r) {
    return r->baseline_ns;
}
static double ratio_of(const row *r) {
    return r->ns / r->baseline_ns;
}
static double bytes_of(const row *r) {
    return r->bytes;
}

static int64_t available_kb(void) {
    char line[256];
    int64_t kb = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "MemAvailable:", 13) == 0) kb = strtoll(line + 13, NULL, 10);
    if (f) fclose(f);
    return kb;
}

bool parked_million(bool tiny, int rows, parked_report *out, const char **why) {
    row taken[ROWS];
    *out = (parked_report){.rows = rows < ROWS ? rows : ROWS};
    *why = "not enough memory for a million parked fibers";
    if (available_kb() / PARKED < (tiny ? 3 : 6)) return false;
    *why = "weft-bench --parked failed";
    for (int i = 0; i < out->rows; i++) {
        if (!run_row(tiny, i % 2 == 1, &taken[i])) return false;
        out->again += taken[i].disturbed;
        if (taken[i].maps > out->maps) out->maps = taken[i].maps;
        if (taken[i].maps_more > out->maps_more) out->maps_more = taken[i].maps_more;
    }
    out->ns = median_of(taken, out->rows, ns_of);
    out->baseline_ns = median_of(taken, out->rows, baseline_of);
    out->ratio = median_of(taken, out->rows, ratio_of);
    out->bytes = median_of(taken, out->rows, bytes_of);
    return true;
}
