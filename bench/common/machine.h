/* bench/common/machine.h -- what was measured on: printed above every table, kept in every JSON file.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct machine {
    char cpu[128];
    int cpus;         /* this process may use */
    char kernel[128]; /* "Linux 6.18.5 x86_64" */
    const char *compiler;
    const char *weft;    /* version of the library */
    const char *context; /* "fcontext" or "native" */
    const char *allocator;
} machine;

void machine_read(machine *m);

#ifdef __cplusplus
}
#endif
#endif
