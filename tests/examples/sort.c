/* Sorting: the comparison is inlined, all workers take part; and a stable one, for records with equal keys. */
#include <stdio.h>
#include <weft/runtime.h>
#include <weft/sort.h>

static inline bool ascending(long a, long b) { return a < b; }
WEFT_SORT(ascending, long);

typedef struct record {
    int year;
    const char *title;
} record;
static inline bool earlier(record a, record b) { return a.year < b.year; }
WEFT_SORT(earlier, record);

enum { N = 1000000 };
static long number[N];

static void body(void *arg) {
    (void)arg;
    unsigned long x = 1;
    for (int i = 0; i < N; i++) number[i] = (long)((x = x * 6364136223846793005ul + 1442695040888963407ul) >> 33);
    weft_exit e = weft_sort(ascending, number, N);
    int in_order = 1;
    for (int i = 1; i < N; i++) in_order &= number[i - 1] <= number[i];
    printf("%s, %s\n", weft_ok(e) ? "ok" : "failed", in_order ? "in order" : "not in order");

    record shelf[] = {{1999, "A"}, {1968, "B"}, {1999, "C"}, {1968, "D"}, {1605, "E"}};
    e = weft_sort_stable(earlier, shelf, 5);
    for (int i = 0; weft_ok(e) && i < 5; i++) printf("%d %s\n", shelf[i].year, shelf[i].title);
}

int main(void) { return weft_run(NULL, body, NULL) == WEFT_OK ? 0 : 1; }
