/* Thread creation fails at each place: fewer workers, or an error, never something half-open.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/heap.h"
#include "alloc/os.h"
#include <weft/fork.h>
#include <weft/runtime.h>

static long fib(long n);
WEFT_TASK(fib, long, long);
static long fib(long n) {
    if (n < 2) return n;
    fib_task child;
    weft_fork(&child, fib, n - 2);
    long a = fib(n - 1);
    return a + weft_join(&child, fib);
}
static void body(void *arg) { *(long *)arg = fib(18); }

enum { WORKERS = 4 };

TEST(a_thread_that_cannot_be_started_leaves_fewer_workers) {
    for (unsigned n = 1; n <= WORKERS + 2; n++) { /* the monitor is number WORKERS + 1 */
        uint64_t live = weft__heap_live();
        weft_runtime *rt;
        long got = 0;
        weft__os_thread_fail_at(n);
        weft_err err = weft_open(&WEFT_OPTIONS(.workers = WORKERS), &rt);
        weft__os_thread_fail_at(0);
        if (n == 1) {
            CHECK_EQ(err, WEFT_E_THREAD);
            CHECK(rt == NULL);
        } else {
            CHECK_EQ(err, WEFT_OK);
            CHECK_EQ(weft_workers(rt), n <= WORKERS ? n - 1 : WORKERS);
            CHECK_EQ(weft_call(rt, body, &got), WEFT_OK);
            CHECK_EQ(got, 2584);
            CHECK_EQ(weft_close(rt), WEFT_OK);
        }
        CHECK_EQ(weft__heap_live(), live);
    }
}

TEST_MAIN
