/* Promises: a value that somebody will provide; a fiber, a thread of one's own, a blocking call on a helper thread. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft/promise.h>

/* Many await one value. */
static weft_promise config = WEFT_PROMISE;

static int reader(int number);
WEFT_TASK(reader, int, int);
static int reader(int number) {
    void *value;
    if (!weft_ok(weft_promise_await(&config, &value))) return 0;
    return number * *(int *)value;
}

/* A thread that knows nothing of fibers.  Announced, so that nobody takes its absence for a deadlock. */
static void *callback(void *promise) {
    static int answer = 42;
    weft_promise_complete(promise, &answer);
    return NULL;
}

static void *read_slowly(void *arg, weft_offload_call *call) {
    (void)call; /* may block: no worker does */
    return realpath(arg, NULL);
}

static void body(void *arg) {
    int seven = 7, sum = 0;
    void *value = NULL;
    reader_fiber r[10];
    (void)arg;
    for (int i = 0; i < 10; i++) weft_spawn(&r[i], reader, i);
    weft_yield();
    weft_promise_complete(&config, &seven);
    for (int i = 0; i < 10; i++) {
        int one = 0;
        weft_await(r[i], reader, &one);
        weft_drop(r[i]);
        sum += one;
    }
    printf("ten readers: %d\n", sum);
    printf("completed twice: %s\n", weft_promise_complete(&config, NULL) == WEFT_E_TWICE ? "refused" : "accepted");

    weft_promise reply;
    pthread_t thread;
    weft_promise_external(&reply, NULL);
    pthread_create(&thread, NULL, callback, &reply);
    if (weft_ok(weft_promise_await(&reply, &value))) printf("from a thread: %d\n", *(int *)value);
    pthread_join(thread, NULL);

    if (weft_ok(weft_offload(read_slowly, "/tmp/../", &value, free)))
        printf("from a blocking call: %s\n", (char *)value);
    free(value);

    weft_promise lost = WEFT_PROMISE;
    weft_promise_drop(&lost);
    weft_exit e = weft_promise_await(&lost, NULL);
    printf("given up: %s\n", e.code == WEFT_E_BROKEN ? "broken" : "?");
}

int main(void) {
    weft_err err = weft_run(&WEFT_OPTIONS(.workers = 2), body, NULL);
    if (err != WEFT_OK) return fprintf(stderr, "%s\n", weft_err_text(err)), 1;
    return 0;
}
