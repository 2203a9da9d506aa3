/* What somebody who links Weft writes: compiled as C and as C++, with nothing of Weft's own build.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <stdio.h>
#include <string.h>
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

static void body(void *result) { *(long *)result = fib(20); }

int main(void) {
    if (strcmp(weft_version(), WEFT_VERSION_STRING) != 0) return 1;
    long result = 0;
    weft_err err = weft_run(NULL, body, &result);
    if (err != WEFT_OK) {
        fprintf(stderr, "%s\n", weft_err_text(err));
        return 1;
    }
    printf("fib(20) = %ld\n", result);
    return 0;
}
