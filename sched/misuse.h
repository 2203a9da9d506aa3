/* sched/misuse.h -- the end of a program that broke a rule of the API.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_MISUSE_H
#define WEFT_SCHED_MISUSE_H

/* Write "weft: <text>" to standard error and abort.  The text says what was done and what to do instead. */
__attribute__((noreturn, cold, noinline, format(printf, 1, 2))) void weft__misuse(const char *format, ...);

#endif
