/* Handlers: code says what it needs by performing effects; who calls it decides what they mean. */
#include <stdio.h>
#include <weft/handler.h>
#include <weft/par.h>
#include <weft/runtime.h>

WEFT_EFFECT(price, long, const char *of;); /* replies a number, and carries a name */
WEFT_EFFECT(sold_out, char, const char *what;);

/* ---- a program, which knows of no shop ------------------------------------------------------------------ */

typedef const char *name;
static long buy(name what);
WEFT_TASK(buy, long, name);
static long buy(name what) {
    long cost = 0;
    if (!weft_ok(weft_perform(price, &cost, .of = what))) return 0; /* the body is over: return */
    return cost;
}

static long breakfast(int eggs);
WEFT_TASK(breakfast, long, int);
static long breakfast(int eggs) {
    long tea = 0, bread = 0;
    weft_exit e = weft_zip_par(WEFT_BR(buy, &tea, "tea"), WEFT_BR(buy, &bread, "bread")); /* children perform, too */
    if (!weft_ok(e)) return 0;
    return tea + bread + eggs * buy("egg");
}

/* ---- what it may mean ----------------------------------------------------------------------------------- */

typedef struct shop {
    const char *sells;
    long at;
} shop;

/* A tail clause is a plain call, and may pass: then the next handler out is asked. */
static weft_exit asked(const price_op *op, long *reply, void *self) {
    const shop *s = self;
    if (s->sells && s->sells[0] != op->of[0]) return weft_pass;
    *reply = s->at;
    return weft_done;
}
/* What a clause performs goes further out. */
static weft_exit nobody_sells(const price_op *op, long *reply, void *self) {
    (void)reply;
    (void)self;
    return weft_perform(sold_out, NULL, op->of);
}
/* An abort clause ends the body, wherever it is, and answers for it. */
static weft_exit goes_home(const sold_out_op *op, void *answer, void *self) {
    printf("  no %s today\n", op->what);
    *(long *)answer = -1;
    return (void)self, weft_done;
}
/* An observer sees every effect, and handles none. */
static weft_exit counts(const weft_effect *effect, const void *payload, const weft_place *at, void *self) {
    (void)effect, (void)payload, (void)at;
    __atomic_add_fetch((int *)self, 1, __ATOMIC_RELAXED); /* children are observed where they run */
    return weft_done;
}

static void morning(void *arg) {
    shop tea = {"tea", 3}, bread = {"bread", 4}, eggs = {"egg", 2}, all = {NULL, 10};
    long cost = 0;
    int seen = 0;
    (void)arg;

    weft_handler market = WEFT_SHARED_HANDLER(&all, WEFT_TAIL(price, asked));
    weft_handle(&market, breakfast, &cost, 2);
    printf("at one price: %ld\n", cost);

    weft_handler street[] = {WEFT_SHARED_HANDLER(NULL, WEFT_ABORT(sold_out, goes_home)),
                             WEFT_SHARED_HANDLER(NULL, WEFT_TAIL(price, nobody_sells)),
                             WEFT_SHARED_HANDLER(&tea, WEFT_TAIL(price, asked)),
                             WEFT_SHARED_HANDLER(&bread, WEFT_TAIL(price, asked)),
                             WEFT_SHARED_HANDLER(&eggs, WEFT_TAIL(price, asked)),
                             WEFT_OBSERVER(counts, &seen)};
    weft_handle_list(street, 6, breakfast, &cost, 2);
    printf("in three shops: %ld, asked %d times\n", cost, seen);
    street[4] = street[3]; /* the third has closed */
    weft_handle_list(street, 5, breakfast, &cost, 2);
    printf("in two: %ld\n", cost);

    weft_exit e = weft_perform(price, NULL, .of = "tea");
    printf("without any: %s\n", weft_err_text((weft_err)e.code));
}

int main(void) { return weft_run(NULL, morning, NULL) != WEFT_OK; }
