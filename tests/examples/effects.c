/* Effects: work as a value, which is put together first, and run afterwards, as often as one likes. */
#include <stdio.h>
#include <weft/eff.h>

enum { E_BUSY = WEFT_E_USER + 1 };

WEFT_EFF(eff_int, int);
typedef struct both {
    int first, second;
} both;
WEFT_EFF(eff_both, both);

/* A server that is busy twice. */
static int asked;
static int ask(int ms);
WEFT_TASK(ask, int, int);
static int ask(int ms) {
    if (!weft_ok(weft_sleep(weft_ms(ms)))) return printf("         stopped\n"), 0;
    if (++asked % 3) weft_failf(E_BUSY, "busy, question %d", asked);
    return asked;
}

static int add(both b);
WEFT_TASK(add, int, both);
static int add(both b) { return b.first + b.second; }

/* What is done with an answer is known when it is there. */
static eff_int judge(weft_eff_arena *a, int answer);
WEFT_EFF_NEXT(judge, eff_int, int);
static eff_int judge(weft_eff_arena *a, int answer) {
    if (answer > 3) return weft_eff_now(eff_int, a, answer);
    return weft_eff_keep(eff_int, a, weft_eff_fail(eff_int, 300, "too small"));
}

static eff_int instead(weft_eff_arena *a, weft_exit e);
WEFT_EFF_NEXT(instead, eff_int, weft_exit);
static eff_int instead(weft_eff_arena *a, weft_exit e) { return weft_eff_now(eff_int, a, -e.code); }

static weft_exit shut(int door, const weft_exit *e);
WEFT_EFF_FN(shut, weft_exit, int, weft_exit);
static weft_exit shut(int door, const weft_exit *e) {
    printf("         door %d is shut, %s\n", door, weft_ok(*e) ? "all is well" : "something went wrong");
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}

/* Run it, and say what came of it, and when. */
static void show(const char *what, eff_int effect) {
    int value = 0;
    weft_exit e = weft_run_effect(effect, &value);
    printf("%4d ms  %s: ", (int)(weft_now() / weft_ms(1)), what);
    if (weft_ok(e)) printf("%d\n", value);
    else printf("%s\n", e.cause ? e.cause->text : "failed");
}

static void body(void *arg) {
    (void)arg;

    eff_int question = weft_eff_call(eff_int, ask, 10);
    show("asked once", question);
    eff_int patient = weft_eff_retry(eff_int, question, weft_schedule_times(weft_schedule_exponential(weft_ms(5), 2), 4));
    show("patiently", patient);
    show("again", patient);

    eff_int pair = weft_eff_map(eff_int, weft_eff_zip_par(eff_both, patient, patient), add);
    show("two at once, together", pair);
    show("at most 15 ms", weft_eff_timeout(eff_int, patient, weft_ms(15)));

    eff_int judged = weft_eff_flat_map(eff_int, weft_eff_succeed(eff_int, 2), judge);
    show("judged", judged);
    show("or else", weft_eff_catch_all(eff_int, judged, instead));
    eff_int behind = weft_eff_acquire_release(eff_int, weft_eff_succeed(eff_int, 1), judge, shut);
    show("behind a door", behind);
}

int main(void) {
    weft_err err = weft_run(&WEFT_OPTIONS(.workers = 1, .clock = WEFT_CLOCK_AUTO), body, NULL);
    if (err != WEFT_OK) return fprintf(stderr, "%s\n", weft_err_text(err)), 1;

    int n = 0; /* the same without a runtime */
    weft_exit e = weft_run_here(weft_eff_flat_map(eff_int, weft_eff_succeed(eff_int, 7), judge), &n);
    printf("directly: %d\n", weft_ok(e) ? n : -1);
    return 0;
}
