/* bench/common/machine.c -- the machine, from /proc/cpuinfo and uname.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "machine.h"

#include <ctype.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <weft/base.h>

#include "alloc/heap.h"
#include "sched/ctx.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

/* "model name : AMD EPYC" on x86-64; ARM64 kernels give no name, only the implementer's number. */
static void read_cpu(char *out, size_t room) {
    char line[256];
    snprintf(out, room, "unknown CPU");
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f) return;
    while (fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (!colon || (strncmp(line, "model name", 10) && strncmp(line, "CPU part", 8))) continue;
        char *text = colon + 1;
        while (isspace((unsigned char)*text)) text++;
        text[strcspn(text, "\n")] = 0;
        snprintf(out, room, "%s%s", line[0] == 'C' ? "CPU part " : "", text);
        break;
    }
    fclose(f);
}

static int usable_cpus(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

void machine_read(machine *m) {
    struct utsname u;
    memset(m, 0, sizeof *m);
    read_cpu(m->cpu, sizeof m->cpu);
    m->cpus = usable_cpus();
    if (uname(&u) == 0)
        snprintf(m->kernel, sizeof m->kernel, "%.32s %.60s %.32s", u.sysname, u.release, u.machine);
    m->compiler = COMPILER;
    m->weft = weft_version();
    m->context = weft__ctx_name();
    m->allocator = weft__heap_name();
}
