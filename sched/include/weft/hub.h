/* weft/hub.h -- broadcast: what is published goes to each subscriber.
 *
 *   weft_hub *h;
 *   weft_err err = weft_hub_open(&h, sizeof(long), NULL);
 *
 *   numbers_chan in;                              // WEFT_CHAN(numbers, long): a subscription is a channel
 *   err = weft_subscribe(h, &in, .capacity = 16, .policy = WEFT_SLIDING);
 *   weft_receive(in, &n);                         // or an arm of a select
 *   weft_unsubscribe(h, in);
 *
 *   weft_publish(h, &n);
 *
 * Each subscriber has a channel of its own, with its own capacity and policy: one that blocks makes publishers wait for it
 * (back-pressure), a lossy one loses its own values and hinders nobody.  A subscriber receives what is published after it
 * has subscribed: of each publisher in order.  Two who publish at the same time may be seen in different orders.
 *
 * Unsubscribing while somebody publishes is allowed, and the publisher notices nothing.
 * Source: effectpy's Hub; ZIO's Hub.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_HUB_H
#define WEFT_HUB_H

#include <weft/chan.h>

WEFT_BEGIN_C

typedef struct weft_hub weft_hub;

typedef struct weft_hub_options {
    void (*copied)(void *value); /* called with each copy that is made for a subscriber, before it is sent; NULL: nothing */
    void (*drop)(void *value);   /* and with each copy that is not received: lost by a policy, or because the subscriber has left */
} weft_hub_options;

/* options may be NULL.  Errors: WEFT_E_INVALID (as weft_chan_open), WEFT_E_NOMEM.  [any thread] [never suspends] */
WEFT_API weft_err weft_hub_open(weft_hub **h, size_t element, const weft_hub_options *options);

/* weft_err weft_subscribe(weft_hub *h, name_chan *c, options...)
 * *c is a channel to receive from; options as in weft_chan_open, but for .drop, which is the hub's.
 * Errors: those of weft_chan_open; WEFT_E_CLOSED (the hub is); WEFT_E_INVALID (the element is of another size).
 * [any thread] [never suspends] */
#define weft_subscribe(h, c, ...)                                                            \
    __extension__({                                                                          \
        weft_chan_options weft_o_ = {__VA_ARGS__};                                           \
        weft_hub_subscribe((h), &(c)->chan, sizeof *(c)->type, &weft_o_);                    \
    })

/* The channel is closed and not used any more: nobody is in a call on it.  What is in it goes to the drop hook.
 * WEFT_E_INVALID: it is no subscription of h.  [any thread] [never suspends] */
#define weft_unsubscribe(h, c) weft_hub_unsubscribe((h), (c).chan)

/* Send *value to each who has subscribed before; in turn, waiting for those whose channel is full and blocks.
 * Errors (tag FAIL): WEFT_E_CLOSED, also if it is closed meanwhile; WEFT_E_NOMEM; or the interrupt: some have received it, and the
 * others will not.  [any thread] [suspends: cancellation point; blocks a plain thread] */
WEFT_API weft_exit weft_publish(weft_hub *h, const void *value);

/* Nothing is published any more; publishers that wait fail; subscribers receive what they have, and then find their
 * channels closed.  WEFT_E_CLOSED if it was closed before.  [any thread] [never suspends] */
WEFT_API weft_err weft_hub_close(weft_hub *h);
/* All have unsubscribed, or the program ends with a text.  Does nothing for NULL.  [any thread] [never suspends] */
WEFT_API void weft_hub_destroy(weft_hub *h);
/* At this moment.  [any thread] [never suspends] */
WEFT_API size_t weft_hub_subscribers(weft_hub *h);

WEFT_API weft_err weft_hub_subscribe(weft_hub *h, weft_chan **c, size_t element, const weft_chan_options *options);
WEFT_API weft_err weft_hub_unsubscribe(weft_hub *h, weft_chan *c);

WEFT_END_C
#endif
