/* sched/fail.h -- exits that the library itself makes.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_FAIL_H
#define WEFT_SCHED_FAIL_H

#include <weft/exit.h>

/* {FAIL, err} with a text and this place. */
#define FAILED(err, text_)                                                                   \
    __extension__({                                                                          \
        static const weft_cause cause_ = WEFT__CAUSE_STATIC(WEFT_CAUSE_FAIL, text_);         \
        (weft_exit){WEFT_EXIT_FAIL, (int32_t)(err), &cause_};                                \
    })

#endif
