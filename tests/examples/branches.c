/* Branches at once: all of them, the first, the first good one, many items with a limit, something instead. */
#include <stdio.h>
#include <weft/par.h>

enum { E_NO_ROUTE = WEFT_E_USER + 1 };

typedef struct source {
    const char *name;
    int ms;
    bool fails;
} source;

/* The time is what it returns. */
static int fetch(source s);
WEFT_TASK(fetch, int, source);
static int fetch(source s) {
    if (!weft_ok(weft_sleep(weft_ms(s.ms)))) return printf("  %s: stopped\n", s.name), 0;
    if (s.fails) return (void)weft_fail(E_NO_ROUTE, "no route to host"), 0;
    return s.ms;
}

static double half(double x);
WEFT_TASK(half, double, double);
static double half(double x) { return x / 2; }

static void show(const char *what, weft_exit e, int value) {
    int ms = (int)(weft_now() / weft_ms(1));
    if (weft_ok(e)) printf("%4d ms  %s: %d\n", ms, what, value);
    else printf("%4d ms  %s: %s\n", ms, what, e.cause ? e.cause->text : "failed");
}

static weft_exit print(void *arg, size_t i, void *value) {
    printf("%s%d", i ? ", " : (const char *)arg, *(int *)value);
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}

static void body(void *arg) {
    int a = 0, b = 0;
    double h = 0;
    size_t who;
    (void)arg;

    weft_exit e = weft_zip_par(WEFT_BR(fetch, &a, .name = "x", .ms = 20), WEFT_BR(fetch, &b, .name = "y", .ms = 30),
                               WEFT_BR(half, &h, 5.0));
    show("all", e, a + b);
    printf("         half of 5: %.1f\n", h);
    e = weft_zip_par(WEFT_BR(fetch, &a, .name = "x", .ms = 90),
                     WEFT_BR(fetch, &b, .name = "y", .ms = 10, .fails = true));
    show("all, one fails", e, 0);

    e = weft_race(&who, WEFT_BR(fetch, &a, .name = "primary", .ms = 50),
                  WEFT_BR(fetch, &a, .name = "mirror", .ms = 40));
    show(who ? "the mirror" : "the primary", e, a);
    e = weft_any(&who, WEFT_BR(fetch, &a, .name = "primary", .ms = 10, .fails = true),
                 WEFT_BR(fetch, &a, .name = "mirror", .ms = 40));
    show("any", e, a);
    e = weft_timeout_to(weft_ms(50),
                        WEFT_BR(fetch, &a, .name = "slow", .ms = 200), WEFT_BR(fetch, &a, .name = "cache", .ms = 1));
    show("or the cache", e, a);
    e = weft_hedge(&who, weft_ms(10),
                   WEFT_BR(fetch, &a, .name = "first try", .ms = 100), WEFT_BR(fetch, &a, .name = "second try", .ms = 20));
    show("hedged", e, a);

    source many[10];
    int took[10];
    for (int i = 0; i < 10; i++) many[i] = (source){"page", 10 * (i % 3 + 1), false};
    e = weft_for_each_par(fetch, many, 10, took, .parallelism = 4);
    show("ten pages, four at a time; the last", e, took[9]);
    char text[] = "         one by one: ";
    e = weft_stream_each(fetch, many, 10, print, text, .parallelism = 4);
    printf("\n");
    show("that was", e, 10);
}

int main(void) {
    weft_err err = weft_run(&WEFT_OPTIONS(.workers = 1, .clock = WEFT_CLOCK_AUTO), body, NULL);
    if (err != WEFT_OK) return fprintf(stderr, "%s\n", weft_err_text(err)), 1;
    return 0;
}
