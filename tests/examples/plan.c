/* An effect as a plan: what it is made of before it is run, and what each part of it did afterwards. */
#include <stdio.h>
#include <weft/explain.h>
#include <weft/runtime.h>
#include <weft/schedule.h>

WEFT_EFF(eff_long, long);
typedef struct both {
    long first, second;
} both;
WEFT_EFF(eff_both, both);

/* The first two calls find the line busy. */
static int calls;
static long dial(long ms) {
    weft_sleep(weft_ms(ms));
    if (++calls <= 2) weft_fail(WEFT_E_USER, "busy");
    return ms;
}
WEFT_TASK(dial, long, long);

static long look_up(long ms) { return weft_sleep(weft_ms(ms)), ms; }
WEFT_TASK(look_up, long, long);
static long total(both b) { return b.first + b.second; }
WEFT_TASK(total, long, both);

static eff_long confirm(weft_eff_arena *a, long n);
WEFT_EFF_NEXT(confirm, eff_long, long);
static eff_long confirm(weft_eff_arena *a, long n) {
    return weft_eff_keep(eff_long, a, weft_eff_call(eff_long, look_up, n / 10));
}

static void run(void *arg) {
    (void)arg;
    char text[2000];
    long n = 0;
    eff_long number = weft_eff_call(eff_long, look_up, 5);
    eff_long call = weft_eff_timeout(eff_long, weft_eff_call(eff_long, dial, 20), weft_ms(50));
    weft_schedule gently = weft_schedule_times(weft_schedule_exponential(weft_ms(10), 2), 3);
    eff_long talk = weft_eff_flat_map(eff_long, weft_eff_retry(eff_long, call, gently), confirm);
    eff_both at_once = weft_eff_zip_par(eff_both, talk, number);
    eff_both again = weft_eff_zip(eff_both, weft_eff_map(eff_long, at_once, total), number);
    eff_long all = weft_eff_map(eff_long, again, total);

    weft_explain_options o = {.no_places = true};
    weft_explain_with(all, &o, text, sizeof text);
    printf("%s\n", text);

    weft_counters c;
    if (weft_counters_open(&c, all) != WEFT_OK) return;
    weft_exit e = weft_run_effect_with(all, &n, (&(weft_eff_options){.watch = weft_counters_watch(&c)}));
    printf("%s, %ld, after %lld ms\n\n", weft_ok(e) ? "ok" : "not ok", n, (long long)(weft_now() / weft_ms(1)));
    o.counters = &c;
    weft_explain_with(all, &o, text, sizeof text);
    printf("%s", text);
    weft_counters_close(&c);
}

int main(void) { return weft_run(&WEFT_OPTIONS(.workers = 1, .clock = WEFT_CLOCK_AUTO), run, NULL) != WEFT_OK; }
