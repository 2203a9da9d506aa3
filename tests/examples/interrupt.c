/* Interrupting: a fiber is asked to stop, notices at its next wait, cleans up and returns. */
#include <stdio.h>
#include <weft/cancel.h>

static void say(const char *what) { printf("%4lld ms  %s\n", (long long)(weft_now() / weft_ms(1)), what); }

/* Every wait tells; cleaning up may wait, behind a mask. */
static int server(int connections);
WEFT_TASK(server, int, int);
static int server(int connections) {
    while (weft_ok(weft_sleep(weft_ms(100)))) connections++;
    weft_mask m;
    weft_mask_begin(&m);
    say("server: closing connections");
    weft_sleep(weft_ms(30));
    weft_mask_end(&m);
    say("server: closed");
    return connections;
}

/* A computation asks now and then. */
static long counter(long from);
WEFT_TASK(counter, long, long);
static long counter(long from) {
    while (weft_ok(weft_checkpoint())) {
        from++;
        weft_sleep(weft_ms(1)); /* so that the virtual clock goes on */
    }
    say("counter: stopped");
    return from;
}

/* First asked softly: it finishes its round, and need not be interrupted. */
static int worker(int rounds);
WEFT_TASK(worker, int, int);
static int worker(int rounds) {
    for (; !weft_stopping(); rounds++) weft_sleep(weft_ms(40));
    say("worker: finished its round");
    return rounds;
}

static void body(void *arg) {
    char text[300];
    int rounds = 0;
    (void)arg;
    server_fiber s;
    counter_fiber c;
    worker_fiber w;
    weft_spawn(&s, server, 0);
    weft_spawn(&c, counter, 0);
    weft_spawn(&w, worker, 0);
    weft_sleep(weft_ms(250));

    say("main: interrupting the server");
    weft_interrupt(s, "maintenance"); /* returns when it has ended */
    weft_exit e = weft_await(s, server, NULL);
    say(e.code == WEFT_E_CANCELLED && e.cause ? e.cause->text : weft_exit_format(e, text, sizeof text));

    weft_interrupt_async(c, "enough"); /* and does not wait */
    weft_interrupt_grace(w, "soon", weft_s(1));
    weft_await(c, counter, NULL);
    e = weft_await(w, worker, &rounds);
    printf("worker: %s after %d rounds\n", weft_ok(e) ? "completed" : "interrupted", rounds);
    weft_drop(s);
    weft_drop(c);
    weft_drop(w);
}

int main(void) {
    weft_err err = weft_run(&WEFT_OPTIONS(.workers = 1, .clock = WEFT_CLOCK_AUTO), body, NULL);
    if (err != WEFT_OK) return fprintf(stderr, "%s\n", weft_err_text(err)), 1;
    return 0;
}
