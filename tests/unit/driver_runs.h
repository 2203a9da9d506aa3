/* A program under every driver: the deterministic one in order and by seeds, the parallel one with one to three workers, and
 * many schedules of the deterministic executor, searched.
 *
 * Time is virtual (it stands still while anything can run), so each time is exact.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_TESTS_DRIVER_RUNS_H
#define WEFT_TESTS_DRIVER_RUNS_H

#include "test.h"
#include <weft/driver.h>
#include <weft/test.h>

enum { SEEDS = 20, SCHEDULES = 200, WORKERS = 3 };

static char text[8192];

/* What a failed check says besides. */
static void note_result(const char *driver, const weft_result *r) {
    char line[120];
    test_note("%s: %s", driver, weft_exit_format(weft_result_error(r), line, sizeof line));
}

/* check(r) is to hold, whoever runs the program. */
#define UNDER_ALL(check, name, with_, ...)                                                   \
    do {                                                                                     \
        weft_run_with with_here_ = *(with_);                                                 \
        with_here_.clock = WEFT_CLOCK_AUTO;                                                  \
        for (int n_ = 0; n_ < SEEDS + WORKERS; n_++) {                                       \
            bool sync_ = n_ < SEEDS;                                                         \
            with_here_.seed = sync_ ? (uint64_t)n_ : 0;                                      \
            with_here_.workers = sync_ ? 0 : (unsigned)(n_ - SEEDS + 1);                     \
            weft_result *r_ = sync_ ? weft_run_sync(name, &with_here_, __VA_ARGS__)          \
                                    : weft_run_async(name, &with_here_, __VA_ARGS__);        \
            note_result(sync_ ? "sync" : "async", r_);                                       \
            check(r_);                                                                       \
            weft_result_free(r_);                                                            \
        }                                                                                    \
        WEFT_TEST(t, .runs = SCHEDULES) {                                                    \
            weft_result *r_ = weft_run_inside(name, &with_here_, __VA_ARGS__);               \
            note_result("inside", r_);                                                       \
            check(r_);                                                                       \
            weft_result_free(r_);                                                            \
        }                                                                                    \
        test_note(NULL);                                                                     \
    } while (0)

#define VALUE(r, name)                                                                       \
    __extension__({                                                                          \
        name##_out value_;                                                                   \
        CHECK(weft_ok(weft_result_value(r, name, &value_)));                                 \
        value_;                                                                              \
    })

static inline bool logged(const weft_result *r, const char *what) {
    for (const weft_log_entry *e = weft_result_log(r)->first; e; e = e->next)
        if (strcmp(e->text, what) == 0) return true;
    return false;
}

#endif
