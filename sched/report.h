/* sched/report.h -- what is written when a fiber's stack overflows.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_REPORT_H
#define WEFT_SCHED_REPORT_H

#include <weft/base.h>

/* Counted: the handler is installed by the first open runtime and removed with the last. */
weft_err weft__report_open(void);
void weft__report_close(void);

#endif
