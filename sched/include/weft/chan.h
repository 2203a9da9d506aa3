/* weft/chan.h -- channels: values handed from fiber to fiber, by copy.
 *
 *   WEFT_CHAN(numbers, long);                     // the type numbers_chan: a channel of long
 *
 *   numbers_chan c;
 *   weft_err err = weft_chan_open(&c, .capacity = 128);
 *
 *   weft_exit e = weft_send(c, 42);               // waits while it is full
 *   long n;
 *   e = weft_receive(c, &n);                      // waits while it is empty
 *
 *   weft_chan_close(c);                           // what is in it can still be received, then {FAIL, WEFT_E_CLOSED}
 *   weft_chan_destroy(c);
 *
 * Capacity 0 is a rendezvous: a send ends when its value was received.  A value goes straight from the sender to a receiver that
 * waits, and the other way round.  First in, first out: for values, for those who wait to send, for those who wait to
 * receive; so each sender's values arrive in its order.
 *
 * Whose a value is.  A send that returns ok has given it away: it is received once, or goes to the drop hook.  A send that
 * returns anything else (closed, interrupted, too late, would block) has not: it is the sender's, as if nothing had been called.
 * An interrupted receive has received nothing.  Whoever has a value when he is interrupted keeps it: the value wins.
 *
 * Any number of senders and receivers, on fibers of any runtime and on plain threads.  If only threads outside of Weft send, say
 * so (.outside), or a program in which nothing else goes on is called deadlocked.
 * Source: Go's channels; effectpy's Queue and Channel.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_CHAN_H
#define WEFT_CHAN_H

#include <weft/fiber.h>
#include <weft/time.h>

WEFT_BEGIN_C

typedef struct weft_chan weft_chan;

/* What a send does when there is no room, and nobody waits to receive. */
typedef enum weft_chan_policy {
    WEFT_BLOCK = 0, /* waits */
    WEFT_DROPPING,  /* loses its value: the newest */
    WEFT_SLIDING,   /* loses the oldest that is in the channel */
    WEFT_LATEST,    /* the same with room for one: what is received is the newest, once */
} weft_chan_policy;

#define WEFT_UNBOUNDED INT64_MAX
#define WEFT_ELEMENT_MAX (1 << 20)

/* Zero means default everywhere. */
typedef struct weft_chan_options {
    int64_t capacity;          /* values it holds; 0: none; WEFT_UNBOUNDED: as many as there is memory for */
    weft_chan_policy policy;
    void (*drop)(void *value); /* called with each value that was given away and is not received any more: lost by a policy, or
                                * still there when the channel is destroyed.  Must not suspend.  NULL: nothing */
    struct weft_runtime *outside; /* until it is closed, threads outside of Weft use it: the clock of this runtime does not
                                * jump, and nobody calls its fibers deadlocked */
} weft_chan_options;

/* WEFT_CHAN(name, T)
 * Defines name_chan, a channel of T.  It is a pointer, and passed by value. */
#define WEFT_CHAN(name, T)                                                                   \
    typedef union name##_chan {                                                              \
        weft_chan *chan;                                                                     \
        T *type; /* never read */                                                            \
    } name##_chan

/* weft_err weft_chan_open(name_chan *c, options...)
 * Errors: WEFT_E_INVALID (a negative capacity; an element of no bytes or more than WEFT_ELEMENT_MAX; WEFT_SLIDING with capacity 0;
 * no such policy; capacity times element is more than there are addresses), WEFT_E_NOMEM, WEFT_E_CLOSED (.outside is).  On error
 * c->chan is NULL.  [any thread] [never suspends] */
#define weft_chan_open(c, ...)                                                               \
    __extension__({                                                                          \
        weft_chan_options weft_o_ = {__VA_ARGS__};                                           \
        weft_chan_new(&(c)->chan, sizeof *(c)->type, &weft_o_);                              \
    })

/* weft_exit weft_send(name_chan c, T value)
 * Errors (tag FAIL): WEFT_E_CLOSED, also if it is closed while the sender waits; WEFT_E_NOMEM (unbounded); WEFT_E_INVALID (no
 * channel); or the interrupt.  The value is then still the sender's.
 * [any thread] [suspends: cancellation point; blocks a plain thread] */
#define weft_send(c, ...) WEFT__SENT(c, weft_chan_send((c).chan, &weft_v_), __VA_ARGS__)
/* The same, at most for a duration, or until a time of the caller's clock: then {FAIL, WEFT_E_TIMEOUT}.  A place that comes with
 * the end of the time is taken. */
#define weft_send_for(c, duration, ...) WEFT__SENT(c, weft_chan_send_for((c).chan, &weft_v_, (duration)), __VA_ARGS__)
#define weft_send_until(c, time, ...) WEFT__SENT(c, weft_chan_send_until((c).chan, &weft_v_, (time)), __VA_ARGS__)
/* weft_err weft_try_send(name_chan c, T value)
 * Errors: WEFT_E_WOULDBLOCK, WEFT_E_CLOSED, WEFT_E_NOMEM, WEFT_E_INVALID.  [any thread] [never suspends] */
#define weft_try_send(c, ...) WEFT__SENT(c, weft_chan_try_send((c).chan, &weft_v_), __VA_ARGS__)
#define WEFT__SENT(c, call, ...)                                                             \
    __extension__({                                                                          \
        __typeof__(*(c).type) weft_v_ = __VA_ARGS__;                                         \
        call;                                                                                \
    })

/* weft_exit weft_receive(name_chan c, T *value)
 * Errors (tag FAIL): WEFT_E_CLOSED: it is closed and empty; WEFT_E_INVALID (no channel); or the interrupt.  *value is then as it was.
 * [any thread] [suspends: cancellation point; blocks a plain thread] */
#define weft_receive(c, value) weft_chan_receive((c).chan, WEFT__TYPED(c, value))
#define weft_receive_for(c, value, duration) weft_chan_receive_for((c).chan, WEFT__TYPED(c, value), (duration))
#define weft_receive_until(c, value, time) weft_chan_receive_until((c).chan, WEFT__TYPED(c, value), (time))
/* As weft_try_send.  [any thread] [never suspends] */
#define weft_try_receive(c, value) weft_chan_try_receive((c).chan, WEFT__TYPED(c, value))
#define WEFT__TYPED(c, value) (1 ? (value) : (c).type) /* a pointer to another type is told by the compiler */

/* No more sends; those that wait fail, receivers go on until it is empty, and those that wait find it closed.
 * WEFT_E_CLOSED if it was closed before.  [any thread] [never suspends] */
#define weft_chan_close(c) weft_chan_shut((c).chan)
/* It is not used any more: nobody is in a call on it (one that waits is noticed, and ends the program).  What is in it goes to
 * the drop hook.  Does nothing for NULL.  [any thread] [never suspends] */
#define weft_chan_destroy(c) weft_chan_free((c).chan)
/* Values in it, at this moment.  [any thread] [never suspends] */
#define weft_chan_count(c) weft_chan_length((c).chan)

/* ---- the same, untyped -------------------------------------------------------------------------------- */

WEFT_API weft_err weft_chan_new(weft_chan **out, size_t element, const weft_chan_options *options);
WEFT_API weft_exit weft_chan_send(weft_chan *c, const void *value);
WEFT_API weft_exit weft_chan_send_until(weft_chan *c, const void *value, weft_time t);
WEFT_API weft_exit weft_chan_send_for(weft_chan *c, const void *value, weft_duration d);
WEFT_API weft_err weft_chan_try_send(weft_chan *c, const void *value);
WEFT_API weft_exit weft_chan_receive(weft_chan *c, void *value);
WEFT_API weft_exit weft_chan_receive_until(weft_chan *c, void *value, weft_time t);
WEFT_API weft_exit weft_chan_receive_for(weft_chan *c, void *value, weft_duration d);
WEFT_API weft_err weft_chan_try_receive(weft_chan *c, void *value);
WEFT_API weft_err weft_chan_shut(weft_chan *c);
WEFT_API void weft_chan_free(weft_chan *c);
WEFT_API size_t weft_chan_length(weft_chan *c);

WEFT_END_C
#endif
