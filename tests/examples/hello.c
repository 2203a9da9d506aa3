/* The smallest complete program: fork, join, run. */
#include <stdio.h>
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

static void body(void *arg) { *(long *)arg = fib(30); }

int main(void) {
    long answer = 0;
    weft_err err = weft_run(NULL, body, &answer);
    if (err != WEFT_OK) return fprintf(stderr, "%s\n", weft_err_text(err)), 1;
    printf("fib(30) = %ld\n", answer);
    return 0;
}
