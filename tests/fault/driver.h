/* tests/fault/driver.h -- a scenario, with each of its fault points failing in turn.
 *
 * A scenario is a small program over the public headers.  It runs once for the count of its points of a kind, then again
 * for k = 1, 2, ...: point k fails, once, and in another round all from k on do.  It runs as a spawned fiber (its points are
 * cancellation points of a fiber that may be asked to stop), or, `outside`, on a plain thread with runtimes of its own.
 * After each run: nothing crashed, hung, or was left behind; all that was taken was given back, each registered finalizer
 * ran once; and whatever did not succeed said so, with an error that such a fault may cause (FINE).
 *
 * What a scenario has to do: ask FINE of every exit and error, and go on without what it did not get.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_TESTS_FAULT_DRIVER_H
#define WEFT_TESTS_FAULT_DRIVER_H

#include "alloc/fault.h"
#include "test.h"
#include <stdatomic.h>
#include <weft/dump.h>
#include <weft/errno.h>
#include <weft/kernel.h>
#include <weft/local.h>
#include <weft/promise.h>
#include <weft/scope.h>

typedef struct scenario {
    const char *name;
    void (*body)(void);                /* on a fiber, with an automatic clock; or */
    void (*outside)(unsigned workers); /* on a plain thread */
} scenario;

/* One file of scenarios each, ended by an empty one. */
extern const scenario spawn_scenarios[], cancel_scenarios[], scope_scenarios[], wait_scenarios[], outside_scenarios[],
    kit_scenarios[], chan_scenarios[], sync_scenarios[], data_scenarios[], par_scenarios[], schedule_scenarios[],
    eff_scenarios[], env_scenarios[], driver_scenarios[], handler_scenarios[];

/* What must be even at the end of a run. */
typedef struct tally {
    atomic_int held;      /* taken, not given back */
    atomic_int deferred;  /* finalizers registered, */
    atomic_int finalized; /* and run */
} tally;
extern tally even;

static inline void *take(void) {
    atomic_fetch_add(&even.held, 1);
    return &even;
}
static inline void give(void *p) {
    CHECK(p == &even);
    CHECK(atomic_fetch_sub(&even.held, 1) > 0);
}

/* Did it succeed?  If not, it must be for a reason that the armed faults explain. */
#define FINE(e) fine((e), __FILE__, __LINE__)
#define FINE_ERR(err) fine(exit_of(err), __FILE__, __LINE__)
static inline weft_exit exit_of(weft_err err) { return (weft_exit){err ? WEFT_EXIT_FAIL : WEFT_EXIT_OK, (int)err, NULL}; }
bool fine(weft_exit e, const char *file, int line);

/* Failed as it should, or as the armed faults explain. */
#define FAILS(e, with) fails((e), (with), __FILE__, __LINE__)
static inline void fails(weft_exit e, weft_err with, const char *file, int line) {
    if (e.tag == WEFT_EXIT_FAIL && e.code == (int)with) return;
    if (weft_ok(e)) {
        fprintf(stderr, "%s:%d: succeeded; expected: %s\n", file, line, weft_err_text(with));
        abort();
    }
    fine(e, file, line);
}

bool refusing(void); /* may memory, threads, files be refused in this run? */
bool stopping(void); /* may a fiber be asked to stop? */

/* The exit of f, once it has ended: through any number of refusals, and if the caller is asked to stop, masked. */
#define UNTIL_ENDED(f, name, out)                                                            \
    __extension__({                                                                          \
        weft_exit ended_ = weft_await((f), name, (out));                                     \
        if (!weft_ok(ended_)) {                                                              \
            weft_mask wait_;                                                                 \
            weft_mask_begin(&wait_);                                                         \
            do ended_ = weft_await((f), name, (out));                                        \
            while (!weft_is_done(f));                                                        \
            weft_mask_end(&wait_);                                                           \
        }                                                                                    \
        ended_;                                                                              \
    })

#endif
