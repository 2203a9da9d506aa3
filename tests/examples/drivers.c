/* Drivers: one program of effects, run in order and in parallel, with other handlers, and what its result says. */
#include <stdio.h>
#include <string.h>
#include <weft/driver.h>

WEFT_STATE(counter, long);
WEFT_KEY(name, const char *);

/* State: what is put is there for the next get. */
static long count(int times);
WEFT_TASK(count, long, int);
static long count(int times) {
    long n = 0;
    for (int i = 0; i < times; i++) {
        if (!weft_must(weft_do_get(counter, &n))) return 0;
        weft_do_put(counter, n + 1);
    }
    return n + 1;
}

/* The environment. */
static int greet(int exclamations);
WEFT_TASK(greet, int, int);
static int greet(int exclamations) {
    const char *who;
    if (!weft_must(weft_do_ask(name, &who))) return 0;
    weft_do_tell("Hello, %s%.*s", who, exclamations, "!!!");
    return (int)strlen(who);
}

/* Tasks: each has a snapshot of the store, and waits on its own. */
static long compute(int n);
WEFT_TASK(compute, long, int);
static long compute(int n) {
    weft_do_put(counter, 1000);
    weft_do_delay(weft_s(n));
    return n * n;
}
static long parallel_work(int n);
WEFT_TASK(parallel_work, long, int);
static long parallel_work(int n) {
    compute_fiber task[3];
    long sum = 0, each, kept = 0;
    weft_time start, end;
    weft_do_get_time(&start);
    for (int i = 0; i < n; i++)
        if (!weft_must(weft_do_spawn(&task[i], compute, i + 1))) return 0;
    for (int i = 0; i < n; i++) {
        if (!weft_must(weft_do_wait(task[i], compute, &each))) return 0;
        sum += each;
    }
    weft_do_get_time(&end);
    weft_do_get(counter, &kept);
    weft_do_tell("%d tasks in %d s, and the counter is %ld", n, (int)((end - start) / weft_s(1)), kept);
    return sum;
}

static long risky(int n);
WEFT_TASK(risky, long, int);
static long risky(int n) { return weft_fail(300, "something went wrong"), n; }

static void show(const char *what, const weft_result *r) {
    for (const weft_log_entry *e = weft_result_log(r)->first; e; e = e->next) printf("%s: [log] %s\n", what, e->text);
    if (weft_result_is_ok(r)) return;
    weft_exit e = weft_result_error(r);
    printf("%s: %s\n", what, e.code == WEFT_E_MISSING ? "nobody provides what it asks for" : e.cause->text);
}

static weft_exit shout(const weft_tell_op *op, char *reply, void *self) {
    (void)reply;
    printf("%s%s\n", (const char *)self, op->text);
    return weft_done;
}

/* A driver is a function; so a program is run by any of them. */
static void both(bool parallel) {
    const char *what = parallel ? "async" : "sync";
    long n = 0, left = 0;
    weft_result *r = parallel ? weft_run_async(count, WEFT_WITH(WEFT_STORE(WEFT_SET(counter, 0))), 3)
                              : weft_run_sync(count, WEFT_WITH(WEFT_STORE(WEFT_SET(counter, 0))), 3);
    weft_result_value(r, count, &n);
    weft_result_get(r, counter, &left);
    printf("%s: %ld, and in the store %ld\n", what, n, left);
    weft_result_free(r);

    const weft_run_with *with = WEFT_WITH(WEFT_STORE(WEFT_SET(counter, 5)), .clock = WEFT_CLOCK_AUTO);
    r = parallel ? weft_run_async(parallel_work, with, 3) : weft_run_sync(parallel_work, with, 3);
    weft_result_value(r, parallel_work, &n);
    show(what, r);
    printf("%s: %ld\n", what, n);
    weft_result_free(r);
}

int main(void) {
    both(false);
    both(true);

    weft_result *r = weft_run_sync(greet, WEFT_WITH(WEFT_ENV(WEFT_BIND(name, "World"))), 1);
    show("greet", r);
    weft_result_free(r);
    r = weft_run_sync(greet, NULL, 1);
    show("greet nobody", r);
    weft_result_free(r);

    /* Another meaning for one effect: a handler after the preset, which sees it first. */
    weft_handler handlers[] = {WEFT_SYNC_PRESET, WEFT_SHARED_HANDLER("> ", WEFT_TAIL(weft_tell, shout))};
    const weft_run_with *loud = WEFT_WITH(.handlers = handlers, .n_handlers = sizeof handlers / sizeof *handlers,
                                          WEFT_ENV(WEFT_BIND(name, "World")));
    r = weft_run_sync(greet, loud, 3);
    printf("in the log: %zu\n", weft_result_log(r)->n);
    weft_result_free(r);

    r = weft_run_sync(risky, NULL, 1);
    show("risky", r);
    weft_result_free(r);
    return 0;
}
