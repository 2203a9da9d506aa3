/* sched/misuse.c -- checked misuse: a text, how to come there again in the deterministic executor, then abort.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/misuse.h"
#include "alloc/os.h"
#include "sched/det.h"
#include "sched/thread.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void weft__misuse(const char *format, ...) {
    char text[512];
    int n = snprintf(text, sizeof text, "weft: ");
    va_list args;
    va_start(args, format);
    int m = vsnprintf(text + n, sizeof text - (size_t)n - 1, format, args);
    va_end(args);
    size_t length = (size_t)n + (m > 0 ? (size_t)m : 0);
    if (length > sizeof text - 2) length = sizeof text - 2;
    text[length++] = '\n';
    weft__os_write_err(text, length);
    fiber *f = thread_fiber();
    if (f && f->w->rt->det) weft__det_tell(f->w->rt->det);
    abort();
}
