/* weft/errno.h -- errno for code on fibers.
 *
 * The C library's errno is the thread's, at an address that compilers take for a constant of the function.  A fiber
 * that suspends may resume on another thread, and then reads and writes the errno of the old one.  Include this
 * header instead of <errno.h> in code that runs on fibers: the same name, found anew at each use.  Weft saves its
 * value when a fiber suspends and restores it when the fiber goes on.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_ERRNO_H
#define WEFT_ERRNO_H

#include <errno.h>
#include <weft/base.h>

WEFT_BEGIN_C

/* The address of the calling thread's errno, not to be kept across a call that may suspend. */
WEFT_API int *weft_errno(void);

#undef errno
#define errno (*weft_errno())

WEFT_END_C
#endif
