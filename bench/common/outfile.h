/* bench/common/outfile.h -- a result file that is either complete or not there.
 *
 * outfile_check tells before a long run whether the file can be written, and leaves nothing behind;
 * outfile_write puts the text beside the old file and renames, so that a full disk or an interrupt never
 * costs the results of an earlier run.  Pipes and devices (/dev/stdout) are written to directly.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef BENCH_OUTFILE_H
#define BENCH_OUTFILE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 0, or an errno. */
int outfile_check(const char *path);
int outfile_write(const char *path, const char *text, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
