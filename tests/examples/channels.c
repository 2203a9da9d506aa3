/* Channels: a pipeline that ends by closing, a select with a limit of time, a hub; typed, values copied. */
#include <stdio.h>
#include <weft/hub.h>
#include <weft/select.h>

WEFT_CHAN(numbers, long);

/* numbers -> squares; each stage ends, and closes what it feeds, when what feeds it is closed and empty. */
typedef struct stage {
    numbers_chan in, out;
} stage;
static long square(stage s);
WEFT_TASK(square, long, stage);
static long square(stage s) {
    long n, count = 0;
    for (; weft_ok(weft_receive(s.in, &n)); count++) weft_send(s.out, n * n);
    weft_chan_close(s.out);
    return count;
}

static long produce(stage s);
WEFT_TASK(produce, long, stage);
static long produce(stage s) {
    for (long i = 1; i <= 10; i++) weft_send(s.out, i); /* waits when it is four ahead */
    weft_chan_close(s.out);
    return 10;
}

static void pipeline(void) {
    numbers_chan a, b;
    produce_fiber p;
    square_fiber q;
    long n, sum = 0, squared = 0;
    weft_chan_open(&a, .capacity = 4);
    weft_chan_open(&b); /* a rendezvous */
    weft_spawn(&p, produce, a, a);
    weft_spawn(&q, square, a, b);
    while (weft_ok(weft_receive(b, &n))) sum += n;
    weft_await(q, square, &squared);
    weft_await(p, produce, NULL);
    weft_drop(p);
    weft_drop(q);
    printf("%ld squares, sum %ld\n", squared, sum);
    weft_chan_destroy(a);
    weft_chan_destroy(b);
}

static void first_of_several(void) {
    numbers_chan in, out;
    long n = 0, reply = 7;
    int which;
    weft_chan_open(&in);
    weft_chan_open(&out, .capacity = 1);
    for (int turn = 0; turn < 2; turn++) {
        weft_exit e = weft_select(&which, WEFT_RECEIVE(in, &n), WEFT_SEND(out, &reply), WEFT_AFTER(weft_ms(5)));
        switch (which) {
        case 0: printf("received %ld\n", n); break;
        case 1: printf("sent, %zu waits in there\n", weft_chan_count(out)); break;
        case 2: printf("neither in time\n"); break;
        default: printf("interrupted: %d\n", e.code); break;
        }
    }
    weft_chan_destroy(in);
    weft_chan_destroy(out);
}

static void broadcast(void) {
    weft_hub *h;
    numbers_chan all, latest;
    long n;
    weft_hub_open(&h, sizeof(long), NULL);
    weft_subscribe(h, &all, .capacity = 8);                                 /* full, it would make the publisher wait */
    weft_subscribe(h, &latest, .capacity = 1, .policy = WEFT_SLIDING);      /* loses what is old */
    for (n = 1; n <= 5; n++) weft_publish(h, &n);
    weft_hub_close(h);
    printf("all:");
    while (weft_ok(weft_receive(all, &n))) printf(" %ld", n);
    printf("\nlatest:");
    while (weft_ok(weft_receive(latest, &n))) printf(" %ld", n);
    printf("\n");
    weft_unsubscribe(h, all);
    weft_unsubscribe(h, latest);
    weft_hub_destroy(h);
}

static void body(void *arg) {
    (void)arg;
    pipeline();
    first_of_several();
    broadcast();
}

int main(void) {
    weft_err err = weft_run(&WEFT_OPTIONS(.workers = 2), body, NULL);
    if (err != WEFT_OK) return fprintf(stderr, "%s\n", weft_err_text(err)), 1;
    return 0;
}
