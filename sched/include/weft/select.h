/* weft/select.h -- waiting for the first of several things: values, room, time, promises.
 *
 *   int which;
 *   weft_exit e = weft_select(&which,
 *                             WEFT_RECEIVE(in, &request),
 *                             WEFT_SEND(out, &reply),
 *                             WEFT_AFTER(weft_ms(100)));
 *   switch (which) {
 *   case 0: ... request                           // e is ok, or WEFT_E_CLOSED: `in` is
 *   case 1: ... reply was sent
 *   case 2: ... neither in time
 *   default: return e;                            // interrupted
 *   }
 *
 * One arm happens, the others do not: nothing is received or sent by them.  Of several that could, one is taken at random, so
 * none starves; an arm that waits is served in its turn among all that wait on the channel.  A value that comes with the end
 * of the time wins.
 *
 * Source: Go's select; libdill's choose.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SELECT_H
#define WEFT_SELECT_H

#include <weft/chan.h>
#include <weft/promise.h>

WEFT_BEGIN_C

enum { WEFT_SELECT_MOST = 256 }; /* arms */

typedef enum weft_arm_kind {
    WEFT_ARM_NEVER, /* one that is switched off */
    WEFT_ARM_RECEIVE,
    WEFT_ARM_SEND,
    WEFT_ARM_AFTER,
    WEFT_ARM_UNTIL,
    WEFT_ARM_PROMISE,
    WEFT_ARM_OTHERWISE,
} weft_arm_kind;

typedef struct weft_arm {
    weft_arm_kind kind;
    void *on;     /* a weft_chan or a weft_promise; NULL: never ready */
    void *value;
    int64_t time;
} weft_arm;

/* For each arm, in the caller's frame; nothing in it need be set. */
typedef struct weft_arm_room {
    uintptr_t words[10];
} weft_arm_room;

static inline weft_arm weft__arm(weft_arm_kind kind, void *on, void *value, int64_t time) {
    weft_arm a = {kind, on, value, time};
    return a;
}

/* The arms.  A channel that is none (.chan is NULL) is never ready: so an arm is switched off.
 * WEFT_RECEIVE(name_chan c, T *value)       a value is received; or closed and empty: the exit is {FAIL, WEFT_E_CLOSED}
 * WEFT_SEND(name_chan c, T *value)          *value is sent; or closed: the same
 * WEFT_AFTER(duration), WEFT_UNTIL(time)    the time has come, on the caller's clock, and nothing else has
 * WEFT_COMPLETED(promise, void **value)     it is completed: as weft_promise_await; value may be NULL
 * WEFT_OTHERWISE                            none of the others is ready at once */
#define WEFT_RECEIVE(c, value) weft__arm(WEFT_ARM_RECEIVE, (c).chan, WEFT__TYPED(c, value), 0)
#define WEFT_SEND(c, value) weft__arm(WEFT_ARM_SEND, (c).chan, (void *)(uintptr_t)WEFT__TYPED(c, value), 0)
#define WEFT_AFTER(duration) weft__arm(WEFT_ARM_AFTER, NULL, NULL, (duration))
#define WEFT_UNTIL(time) weft__arm(WEFT_ARM_UNTIL, NULL, NULL, (time))
#define WEFT_COMPLETED(promise, value) weft__arm(WEFT_ARM_PROMISE, (promise), (void *)(value), 0)
#define WEFT_OTHERWISE weft__arm(WEFT_ARM_OTHERWISE, NULL, NULL, 0)

/* weft_exit weft_select(int *which, arms...)
 * *which is the number of the arm that happened, -1 if none did.  The exit is ok, but for what is said above, and
 * INTERRUPT: the caller is asked to stop; FAIL, WEFT_E_INVALID: no arm, or none that could ever be ready, a negative or too
 * long duration; WEFT_E_LIMIT: more than WEFT_SELECT_MOST arms; WEFT_E_NOMEM (sending to an unbounded channel).
 * [any thread] [suspends, but not with WEFT_OTHERWISE: cancellation point; blocks a plain thread] */
#define weft_select(which, ...)                                                              \
    __extension__({                                                                          \
        weft_arm weft_a_[] = {__VA_ARGS__};                                                  \
        weft_arm_room weft_r_[sizeof weft_a_ / sizeof(weft_arm) + 1];                        \
        weft_select_arms((which), weft_a_, weft_r_, sizeof weft_a_ / sizeof(weft_arm));      \
    })

/* The same with n arms, and as many rooms. */
WEFT_API weft_exit weft_select_arms(int *which, const weft_arm *arms, weft_arm_room *room, size_t n);

WEFT_END_C
#endif
