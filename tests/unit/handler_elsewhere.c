/* Another file of handler_test: it declares the effect `who` again.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <weft/handler.h>

WEFT_EFFECT(who, long);

static weft_exit on_who(const who_op *op, long *reply, void *self) {
    (void)op, (void)self;
    *reply = 11;
    return weft_done;
}

typedef struct job {
    weft_exit (*body)(void *);
    void *arg;
} job;
static int calls(job j);
WEFT_TASK(calls, int, job);
static int calls(job j) { return j.body(j.arg).code; }

weft_exit handled_elsewhere(weft_exit (*body)(void *), void *arg);
weft_exit handled_elsewhere(weft_exit (*body)(void *), void *arg) {
    weft_handler h = WEFT_HANDLER(NULL, WEFT_TAIL(who, on_who));
    return weft_handle(&h, calls, NULL, body, arg);
}
