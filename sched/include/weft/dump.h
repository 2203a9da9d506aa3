/* weft/dump.h -- what every fiber of a runtime is doing, as text.
 *
 *   weft_dump(stderr);
 *
 *   runtime: 2 workers, real clock, 1 timer; 3 fibers and 1 call have not ended
 *   main task: waits for the end of 4097 'fetch'
 *   4097 'fetch' at main.c:12: waits for the fibers of its scope
 *     scope: 2 fibers, deadline in 0.2 s
 *       8193 'part' at main.c:9: waits for a promise (0x7ffd1c), asked to stop by 4097 'fetch': one is enough
 *       12289 'part' at main.c:9: running on worker 1
 *
 * Below each fiber stand the scopes, masks and forked children of it that others have to know of, and in each scope
 * the fibers that belong to it.  More than eight fibers in one place that do the same are one line and a count.
 * Fibers that await each other in a ring are named at the end.
 *
 * Nothing stops for it: what is shown is each fiber's state at a moment of its own.  The text is written when
 * everything has been looked at.  A name given with .name is shown if the fiber cannot end meanwhile, otherwise its
 * function's.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_DUMP_H
#define WEFT_DUMP_H

#include <stdio.h>
#include <weft/runtime.h>

WEFT_BEGIN_C

/* The caller's runtime.  Errors: WEFT_E_INVALID (NULL file, or on a plain thread), WEFT_E_NOMEM (what found no room is
 * missing, and the text says so).  [on a fiber] [never suspends, but blocks as writing to the file does] */
WEFT_API weft_err weft_dump(FILE *out);

/* Of rt (NULL: the caller's).  Errors: also WEFT_E_CLOSED.  [any thread] [as above] */
WEFT_API weft_err weft_dump_runtime(FILE *out, weft_runtime *rt);

WEFT_END_C
#endif
