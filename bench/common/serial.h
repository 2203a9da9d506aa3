/* bench/common/serial.h -- how the plain functions are compiled that everything is compared with.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef BENCH_SERIAL_H
#define BENCH_SERIAL_H

/* A recursive function of a baseline: called as written, neither inlined into itself nor specialised. */
#ifdef __clang__
#define BENCH_SERIAL __attribute__((noinline)) static
#else
#define BENCH_SERIAL __attribute__((noinline, noclone)) static
#endif

#endif
