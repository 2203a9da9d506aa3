/* Scopes: children that cannot outlive a block, what fails in them, deadlines, finalizers. */
#include <stdio.h>
#include <weft/scope.h>

enum { E_NO_ROUTE = WEFT_E_USER + 1 };

typedef struct request {
    const char *host;
    int ms;
    bool fails;
} request;

static int fetch(request r);
WEFT_TASK(fetch, int, request);
static int fetch(request r) {
    if (!weft_ok(weft_sleep(weft_ms(r.ms)))) {
        printf("  %s: stopped at %d ms\n", r.host, (int)(weft_now() / weft_ms(1)));
        return 0;
    }
    if (r.fails) return (void)weft_fail(E_NO_ROUTE, "no route to host"), 0;
    printf("  %s: there\n", r.host);
    return 1;
}

static weft_exit close_log(void *arg) {
    printf("  closing %s\n", (const char *)arg);
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}

static void show(const char *what, weft_exit e) {
    char text[400];
    const char *why = e.cause ? e.cause->text : weft_exit_format(e, text, sizeof text);
    printf("%s: %s\n", what, weft_ok(e) ? "ok" : e.code == WEFT_E_TIMEOUT ? "timeout" : why);
}

/* The block ends when all that was started in it has ended. */
static weft_exit load(const char *log, weft_duration timeout, bool fails) {
    weft_exit e;
    WEFT_SCOPE(s, &e, .timeout = timeout) {
        weft_defer(s, close_log, (void *)(uintptr_t)log, weft_ms(100));
        weft_spawn((fetch_fiber *)NULL, fetch, .host = "a", .ms = 10);
        weft_spawn((fetch_fiber *)NULL, fetch, .host = "b", .ms = 20, .fails = fails);
        weft_spawn((fetch_fiber *)NULL, fetch, .host = "c", .ms = 30);
    }
    return e;
}

/* Left early, a scope stops its children, and waits for them. */
static int first_only(void) {
    WEFT_SCOPE(s, NULL) {
        weft_spawn((fetch_fiber *)NULL, fetch, .host = "d", .ms = 500);
        if (weft_ok(weft_sleep(weft_ms(5)))) return 1;
    }
    return 0;
}

static void body(void *arg) {
    (void)arg;
    show("all of them", load("log 1", 0, false));
    show("one fails", load("log 2", 0, true));
    show("too slow", load("log 3", weft_ms(25), false));
    printf("left early: %d\n", first_only());
}

int main(void) {
    weft_err err = weft_run(&WEFT_OPTIONS(.workers = 1, .clock = WEFT_CLOCK_AUTO), body, NULL);
    if (err != WEFT_OK) return fprintf(stderr, "%s\n", weft_err_text(err)), 1;
    return 0;
}
