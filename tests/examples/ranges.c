/* A runtime that stays open, a task with several inputs, children joined in fork order. */
#include <stdio.h>
#include <weft/fork.h>
#include <weft/runtime.h>

typedef struct range {
    const int *value;
    long from, to;
} range;

typedef struct summary {
    long sum, largest;
} summary;

static summary summarise(range r);
WEFT_TASK(summarise, summary, range);

static summary summarise(range r) {
    if (r.to - r.from <= 1000) {
        summary s = {0, r.value[r.from]};
        for (long i = r.from; i < r.to; i++) {
            s.sum += r.value[i];
            if (r.value[i] > s.largest) s.largest = r.value[i];
        }
        return s;
    }
    long middle = (r.from + r.to) / 2;
    summarise_task left, right;
    weft_fork(&left, summarise, .value = r.value, .from = r.from, .to = middle);
    weft_fork(&right, summarise, .value = r.value, .from = middle, .to = r.to);
    summary a = weft_join(&left, summarise), b = weft_join(&right, summarise);
    return (summary){a.sum + b.sum, a.largest > b.largest ? a.largest : b.largest};
}

static int value[1000000];

static void body(void *arg) { *(summary *)arg = summarise((range){value, 0, 1000000}); }

int main(void) {
    weft_runtime *rt;
    weft_options options = WEFT_OPTIONS(.workers = 2);
    weft_err err = weft_open(&options, &rt);
    if (err != WEFT_OK) return fprintf(stderr, "%s\n", weft_err_text(err)), 1;
    for (int round = 1; round <= 3; round++) {
        for (int i = 0; i < 1000000; i++) value[i] = (int)(i * 7919L % 1000) * round;
        summary s;
        weft_call(rt, body, &s);
        printf("round %d: sum %ld, largest %ld\n", round, s.sum, s.largest);
    }
    weft_close(rt);
    return 0;
}
