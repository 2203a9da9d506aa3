/* weft/local.h -- fiber-locals: values that go with a fiber.
 *
 *   static const weft_local request = WEFT_LOCAL(.name = "request");
 *   weft_local_set(&request, r);
 *   handle(weft_local_get(&request));            // in this fiber, wherever it runs, and in those it spawns
 *
 * A value is a pointer.  What a spawned fiber gets of it, when it is spawned, is the key's policy:
 *
 *   WEFT_LOCAL_INHERIT   the same pointer (the default)
 *   WEFT_LOCAL_OWN       nothing: each fiber starts without
 *   copy                 what copy(value) returns; drop(value) when the fiber ends
 *   merge                after weft_local_join(f) the caller's value is merge(own, the ended fiber's)
 *
 * What a fiber sets, its spawner does not see.  A forked child is part of its fiber: it sees the values of its parent,
 * stolen or not; what it sets itself may or may not be seen by the parent afterwards, so it should not.
 * Source: effectpy's FiberRef, ZIO's inheritRefs.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_LOCAL_H
#define WEFT_LOCAL_H

#include <weft/fiber.h>

WEFT_BEGIN_C

typedef enum weft_local_policy { WEFT_LOCAL_INHERIT = 0, WEFT_LOCAL_OWN } weft_local_policy;

/* A key: an object that lives as long as its fibers; its address is its identity. */
typedef struct weft_local {
    const char *name;
    weft_local_policy policy;
    void *(*copy)(void *value);                 /* for a spawned fiber; must not suspend */
    void *(*merge)(void *own, void *others);    /* takes both over, returns the new value; own may be NULL */
    void (*drop)(void *value);                  /* of a value that copy or merge made */
} weft_local;

#define WEFT_LOCAL(...) {__VA_ARGS__}

/* NULL if it was not set.  [any thread] [never suspends] */
WEFT_API void *weft_local_get(const weft_local *key);

/* Errors: WEFT_E_NOMEM (nothing changed), WEFT_E_INVALID (NULL key, or on a plain thread).
 * [on a fiber] [never suspends] */
WEFT_API weft_err weft_local_set(const weft_local *key, void *value);

/* Merge what an ended fiber left under keys with `merge` into the caller's values; once for each fiber.
 * Errors: WEFT_E_STALE, WEFT_E_BUSY (it has not ended), WEFT_E_NOMEM, WEFT_E_INVALID (on a plain thread).
 * [on a fiber] [never suspends] */
WEFT_API weft_err weft_local_join(weft_handle h);

WEFT_END_C
#endif
