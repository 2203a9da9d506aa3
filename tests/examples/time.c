/* Time: sleeping, periods without drift, waits that have an end.  On an automatic clock, so it takes no time. */
#include <stdio.h>
#include <weft/promise.h>
#include <weft/scope.h>

static void say(const char *what) { printf("%5lld ms  %s\n", (long long)(weft_now() / weft_ms(1)), what); }

typedef struct pulse {
    weft_duration every;
    int times;
    const char *name;
} pulse;

/* Deadlines, not pauses: the time the work takes does not add up. */
static int beat(pulse p);
WEFT_TASK(beat, int, pulse);
static int beat(pulse p) {
    weft_time next = weft_now();
    for (int i = 0; i < p.times; i++) {
        if (!weft_ok(weft_sleep_until(next += p.every))) break;
        say(p.name);
        weft_sleep(weft_ms(7)); /* work */
    }
    return p.times;
}

static weft_exit slow_answer(void *arg) {
    (void)arg;
    return weft_sleep(weft_s(10));
}

static void body(void *arg) {
    beat_fiber tick, tock;
    weft_promise never = WEFT_PROMISE;
    (void)arg;
    weft_spawn(&tick, beat, .every = weft_ms(100), .times = 5, .name = "tick");
    weft_spawn(&tock, beat, .every = weft_ms(250), .times = 2, .name = "  tock");

    weft_exit e = weft_await_for(tock, beat, NULL, weft_ms(330)); /* it goes on */
    say(e.code == WEFT_E_TIMEOUT ? "the second tock is not there yet" : "?");
    weft_await(tick, beat, NULL);
    weft_await(tock, beat, NULL);
    weft_drop(tick);
    weft_drop(tock);

    e = weft_promise_await_for(&never, NULL, weft_s(1));
    say(e.code == WEFT_E_TIMEOUT ? "no value came" : "?");
    e = weft_timeout(weft_s(2), slow_answer, NULL);
    say(e.code == WEFT_E_TIMEOUT ? "no answer came" : "?");
    weft_sleep(weft_s(24 * 60 * 60));
    say("a day later");
}

int main(void) {
    weft_err err = weft_run(&WEFT_OPTIONS(.workers = 2, .clock = WEFT_CLOCK_AUTO), body, NULL);
    if (err != WEFT_OK) return fprintf(stderr, "%s\n", weft_err_text(err)), 1;
    return 0;
}
