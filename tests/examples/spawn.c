/* Spawn, await, yield, expect: fibers with handles. */
#include <stdio.h>
#include <weft/fiber.h>

typedef struct order {
    const char *dish;
    int minutes;
} order;
typedef struct meal {
    const char *dish;
    int steps;
} meal;

enum { E_NO_OVEN = WEFT_E_USER + 1 };

/* Cooks a while, and lets the others cook, too. */
static meal cook(order o);
WEFT_TASK(cook, meal, order);

static meal cook(order o) {
    meal m = {o.dish, 0};
    if (o.minutes > 30) {
        weft_fail(E_NO_OVEN, "that takes an oven");
        return m;
    }
    for (; m.steps < o.minutes; m.steps++) weft_yield();
    return m;
}

/* A fiber that awaits fibers.  weft_expect makes their failure its own. */
static int dinner(int guests);
WEFT_TASK(dinner, int, int);

static int dinner(int guests) {
    cook_fiber soup, roast;
    meal m = {0};
    int steps = 0;
    weft_spawn(&soup, cook, .dish = "soup", .minutes = 10);
    weft_spawn(&roast, cook, .dish = "roast", .minutes = guests > 2 ? 90 : 25);
    if (weft_ok(weft_expect(soup, cook, &m))) steps += m.steps;
    if (weft_ok(weft_expect(roast, cook, &m))) steps += m.steps;
    weft_drop(soup);
    weft_drop(roast);
    return steps;
}

static void serve(int guests) {
    dinner_fiber f;
    char why[200];
    int steps = 0;
    weft_exit e = weft_spawn_with(&f, dinner, ((weft_spawn_options){.name = "dinner party"}), guests);
    if (weft_ok(e)) e = weft_await(f, dinner, &steps);
    if (weft_ok(e))
        printf("%s for %d: %d steps\n", weft_fiber_name(f.handle), guests, steps);
    else
        printf("no dinner for %d, code %d: %s\n", guests, (int)e.code, e.cause ? e.cause->text : weft_exit_format(e, why, sizeof why));
    weft_drop(f);
    printf("dropped twice: %s\n", weft_drop(f) == WEFT_E_STALE ? "refused" : "accepted");
}

static void body(void *arg) {
    cook_fiber f[3];
    static const order orders[] = {{"salad", 3}, {"pasta", 12}, {"tea", 5}};
    (void)arg;
    for (int i = 0; i < 3; i++) weft_spawn(&f[i], cook, orders[i].dish, orders[i].minutes);
    for (int i = 2; i >= 0; i--) { /* in any order */
        meal m = {0};
        if (weft_ok(weft_await(f[i], cook, &m))) printf("%s after %d steps\n", m.dish, m.steps);
        weft_drop(f[i]);
    }
    serve(2);
    serve(4);
}

int main(void) {
    weft_err err = weft_run(&WEFT_OPTIONS(.workers = 2), body, NULL);
    if (err != WEFT_OK) return fprintf(stderr, "%s\n", weft_err_text(err)), 1;
    return 0;
}
