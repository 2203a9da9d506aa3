/* bench/common/load.c -- reads /proc/stat and the schedstat of this process's threads.
 * What cannot be read (no /proc, a kernel without schedstat) counts as nothing.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "load.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"

static void read_machine(load_mark *m) {
    /* user nice system idle iowait irq softirq steal; guest time is part of user. */
    long long t[8] = {0};
    FILE *f = fopen("/proc/stat", "re");
    if (f) {
        int got = fscanf(f, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &t[0], &t[1], &t[2], &t[3], &t[4],
                         &t[5], &t[6], &t[7]);
        fclose(f);
        if (got < 7) memset(t, 0, sizeof t);
    }
    long hz = sysconf(_SC_CLK_TCK);
    int64_t tick = 1000000000 / (hz > 0 ? hz : 100);
    m->busy_ns = (t[0] + t[1] + t[2] + t[5] + t[6]) * tick;
    m->steal_ns = t[7] * tick;
}

/* The second number of a schedstat file: nanoseconds spent waiting for a CPU. */
static int64_t thread_waited(int tasks, const char *tid) {
    char name[64], text[128];
    snprintf(name, sizeof name, "%.20s/schedstat", tid);
    int fd = openat(tasks, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return 0;
    text[n] = 0;
    char *second = strchr(text, ' ');
    return second ? strtoll(second, NULL, 10) : 0;
}

static int64_t read_waited(void) {
    int64_t sum = 0;
    DIR *d = opendir("/proc/self/task");
    if (!d) return 0;
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') sum += thread_waited(dirfd(d), e->d_name);
    closedir(d);
    return sum;
}

/* Of those that were waited for. */
static int64_t children_cpu_ns(void) {
    struct rusage r;
    if (getrusage(RUSAGE_CHILDREN, &r) != 0) return 0;
    return (int64_t)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000000 +
           (int64_t)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1000;
}

void load_read(load_mark *m) {
    m->waited_ns = read_waited();
    read_machine(m);
    m->own_cpu_ns = process_cpu_ns() + children_cpu_ns();
    m->wall_ns = wall_ns();
}

static double cpus(void) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (double)n : 1;
}

/* Ticks are rounded, so a difference may come out below zero. */
static double at_least_zero(int64_t ns) {
    return ns > 0 ? (double)ns : 0;
}

load_share load_between(const load_mark *a, const load_mark *b) {
    double all = at_least_zero(b->wall_ns - a->wall_ns) * cpus();
    load_share s = {0, 0};
    if (all <= 0) return s;
    s.foreign = at_least_zero((b->busy_ns - a->busy_ns) - (b->own_cpu_ns - a->own_cpu_ns)) / all;
    s.steal = at_least_zero(b->steal_ns - a->steal_ns) / all;
    return s;
}

bool load_disturbed(const load_mark *a, const load_mark *b) {
    int64_t wall = b->wall_ns - a->wall_ns;
    int64_t foreign = (b->busy_ns - a->busy_ns) - (b->own_cpu_ns - a->own_cpu_ns);
    return b->waited_ns - a->waited_ns > wall / 50 || b->steal_ns - a->steal_ns > wall / 100 ||
           foreign > 20000000 + wall / 10;
}
