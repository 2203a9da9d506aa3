/* Loops over arrays on all workers: an inlined body, a reduction, a scan. */
#include <stdio.h>
#include <weft/loop.h>
#include <weft/runtime.h>

enum { N = 1000000 };

/* y = a x + y */
typedef struct vectors {
    double a;
    const double *x;
    double *y;
} vectors;
static inline void axpy(size_t i, vectors v) { v.y[i] += v.a * v.x[i]; }
WEFT_LOOP(axpy, vectors);

/* Terms, and how to combine them: in the same order on any number of workers. */
static inline double add(double a, double b) { return a + b; }
static inline double element(size_t i, const double *x) { return x[i]; }
WEFT_REDUCE(element, double, const double *, add);

/* Where does line i begin, if line i - 1 has length[i - 1] bytes? */
static inline long plus(long a, long b) { return a + b; }
static inline long length(size_t i, const long *lengths) { return lengths[i]; }
WEFT_SCAN(length, long, const long *, plus);

/* A body may fail: the loop ends, and says so. */
static weft_exit check(size_t i, const double *x) {
    if (x[i] > 2 * 777777.0 + 1) return weft_failf(300, "element %zu is too large", i);
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}
WEFT_LOOP_EXIT(check, const double *);

static double x[N], y[N];

static void body(void *arg) {
    (void)arg;
    weft_exit e = weft_parallel_for(axpy, N, .a = 2, .x = x, .y = y);
    double sum = 0;
    if (weft_ok(e)) e = weft_reduce(element, &sum, N, 0.0, y);
    printf("%s, the sum is %.0f\n", weft_ok(e) ? "ok" : "failed", sum);

    long at[5] = {12, 3, 0, 40, 7};
    e = weft_scan_exclusive(length, at, 5, 0, at);
    printf("lines begin at %ld %ld %ld %ld %ld\n", at[0], at[1], at[2], at[3], at[4]);

    e = weft_parallel_for_with(check, N, {.grain = 1000}, y);
    printf("%s, code %d\n", weft_ok(e) ? "ok" : "failed", (int)e.code);
}

int main(void) {
    for (int i = 0; i < N; i++) x[i] = i, y[i] = 1;
    return weft_run(NULL, body, NULL) == WEFT_OK ? 0 : 1;
}
