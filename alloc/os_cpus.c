/* alloc/os_cpus.c -- how many processors the process may really use.
 *
 * Concepts
 *   affinity  the processors the calling thread may run on
 *   quota     processor time a period that a control group allows; every group above ours counts, the
 *             tightest wins.  Version 2 has one hierarchy and cpu.max, version 1 one for the controller
 *             `cpu` and two files.  Inside a container the path in /proc/self/cgroup may name groups
 *             that the mount does not show: a missing file means no quota, and the walk goes on upwards.
 *
 * Part of the os.h contract, apart from os_linux.c because it only reads files.
 * Rejected: sysconf(_SC_NPROCESSORS_ONLN), which counts the machine's.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "alloc/os.h"
#include "alloc/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_CPUS = 16384 };

/* The mask is fixed and large: the system call fills what it knows and refuses a mask that is too
 * small, which no machine makes this one. */
typedef struct cpu_mask {
    unsigned long word[MOST_CPUS / (8 * sizeof(unsigned long))];
} cpu_mask;

static bool read_mask(cpu_mask *m) {
    memset(m, 0, sizeof *m);
    return sched_getaffinity(0, sizeof *m, (cpu_set_t *)(void *)m->word) == 0;
}

bool weft__os_pin(unsigned nth) {
    enum { BITS = 8 * sizeof(unsigned long) };
    cpu_mask have, one;
    if (!read_mask(&have)) return false;
    for (size_t cpu = 0; cpu < MOST_CPUS; cpu++) {
        unsigned long bit = 1UL << (cpu % BITS);
        if (!(have.word[cpu / BITS] & bit) || nth-- != 0) continue;
        memset(&one, 0, sizeof one);
        one.word[cpu / BITS] = bit;
        return sched_setaffinity(0, sizeof one, (cpu_set_t *)(void *)one.word) == 0;
    }
    return false;
}

static unsigned affinity_count(void) {
    cpu_mask m;
    unsigned n = 0;
    if (!read_mask(&m)) return 1;
    for (size_t i = 0; i < sizeof m.word / sizeof *m.word; i++) n += (unsigned)__builtin_popcountl(m.word[i]);
    return n ? n : 1;
}

/* The start of a small file, as text; false when there is none. */
static bool read_text(const char *path, char *text, size_t size) {
    int fd = weft_fault_call(FAULT_FD, EMFILE, open(path, O_RDONLY | O_CLOEXEC));
    if (fd < 0) return false;
    size_t used = 0;
    while (used + 1 < size) {
        ssize_t n = read(fd, text + used, size - 1 - used);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        used += (size_t)n;
    }
    close(fd);
    text[used] = 0;
    return used > 0;
}

/* quota / period rounded up; 0: none. */
static unsigned whole_cpus(long long quota, long long period) {
    if (quota <= 0 || period <= 0) return 0;
    long long n = (quota - 1) / period + 1;
    return n > MOST_CPUS ? MOST_CPUS : (unsigned)n;
}

static unsigned quota_v2(const char *group) {
    char path[PATH_MAX + 32], text[128];
    long long quota = 0, period = 0;
    snprintf(path, sizeof path, "%s/cpu.max", group);
    if (!read_text(path, text, sizeof text) || sscanf(text, "%lld %lld", &quota, &period) != 2) return 0;
    return whole_cpus(quota, period);
}

static unsigned quota_v1(const char *group) {
    char path[PATH_MAX + 32], quota[64], period[64];
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", group);
    if (!read_text(path, quota, sizeof quota)) return 0;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", group);
    if (!read_text(path, period, sizeof period)) return 0;
    return whole_cpus(atoll(quota), atoll(period));
}

/* The tightest quota from `mount`/`path` up to `mount` itself. */
static unsigned tightest(const char *mount, const char *path, unsigned (*quota)(const char *)) {
    char group[PATH_MAX];
    unsigned least = 0;
    int n = snprintf(group, sizeof group, "%s%s", mount, path);
    if (n < 0 || (size_t)n >= sizeof group) return 0;
    for (size_t root = strlen(mount);;) {
        unsigned here = quota(group);
        if (here && (!least || here < least)) least = here;
        char *slash = strrchr(group, '/');
        if (!slash || slash < group + root) return least;
        *slash = 0;
    }
}

/* One line of /proc/self/cgroup, "number:controllers:path". */
static unsigned quota_of_line(char *line, const char *mount) {
    char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
    char root[PATH_MAX];
    unsigned n;
    if (!path) return 0;
    *controllers++ = 0;
    *path++ = 0;
    if (*controllers == 0) {
        n = tightest(mount, path, quota_v2);
        if (n) return n;
        snprintf(root, sizeof root, "%s/unified", mount); /* both versions side by side */
        return tightest(root, path, quota_v2);
    }
    if (strcmp(controllers, "cpu") != 0 && strncmp(controllers, "cpu,", 4) != 0 &&
        strcmp(controllers, "cpuacct,cpu") != 0) {
        return 0;
    }
    snprintf(root, sizeof root, "%s/%s", mount, controllers);
    n = tightest(root, path, quota_v1);
    if (n) return n;
    snprintf(root, sizeof root, "%s/cpu", mount);
    return tightest(root, path, quota_v1);
}

unsigned weft__os_cpu_quota(const char *proc, const char *mount) {
    char text[8192];
    unsigned least = 0;
    if (!read_text(proc, text, sizeof text)) return 0;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        unsigned here = quota_of_line(line, mount);
        if (here && (!least || here < least)) least = here;
    }
    return least;
}

unsigned weft__os_cpus(void) {
    unsigned have = affinity_count(), quota = weft__os_cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    return quota && quota < have ? quota : have;
}
