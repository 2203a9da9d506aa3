/* Testing with time: a runtime on a manual clock, advanced by a plain thread, exact with any number of workers. */
#include <stdio.h>
#include <weft/fiber.h>

/* What is tested: three tries, the pause doubles each time. */
static int tries;

static int retry(int most);
WEFT_TASK(retry, int, int);
static int retry(int most) {
    weft_duration pause = weft_s(1);
    for (tries = 1; tries < most; tries++, pause *= 2)
        if (!weft_ok(weft_sleep(pause))) break;
    return tries;
}

static void after(weft_runtime *rt, weft_duration d) {
    weft_exit e = weft_clock_advance(rt, d); /* returns when everything waits again */
    printf("after %lld ms more: try %d\n", (long long)(d / weft_ms(1)), tries);
    if (!weft_ok(e)) puts("the clock does not go on");
}

int main(void) {
    weft_runtime *rt;
    weft_err err = weft_open(&WEFT_OPTIONS(.workers = 2, .clock = WEFT_CLOCK_MANUAL), &rt);
    if (err != WEFT_OK) return fprintf(stderr, "%s\n", weft_err_text(err)), 1;
    retry_fiber f;
    weft_spawn_with(&f, retry, ((weft_spawn_options){.runtime = rt}), 4);
    after(rt, 0);
    after(rt, weft_ms(999));
    after(rt, weft_ms(1));
    after(rt, weft_ms(1999));
    after(rt, weft_ms(1));
    after(rt, weft_s(3600));
    int n = 0;
    weft_await(f, retry, &n);
    printf("gave up after %d tries\n", n);
    weft_drop(f);
    weft_close(rt);
    return 0;
}
