/* bench/suite/workloads.c -- the list of them.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "workload.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const workload *const workloads[] = {
    &fib_kernel, &fib_api,       &flat_kernel, &flat_api,   &seq_kernel,
    &seq_api,    &skynet_kernel, &skynet_api,  &nqueens_12, &uts_t1,
};
const int workload_count = (int)(sizeof workloads / sizeof *workloads);

void bench_die(const char *format, ...) {
    va_list ap;
    fputs("weft-bench: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}
