/* alloc/slab.h -- small fixed-size objects with per-worker caches and remote free.
 *
 * A slab pool serves objects of one size.  Each worker has a cache: a private LIFO of free objects
 * (owner only) plus a remote list that any thread pushes to (Treiber push, drained whole by the owner
 * with one exchange, so there is no ABA).  An object remembers nothing: its chunk's header, found by
 * masking the address, names the cache it came from, and a free on another thread goes home.
 *
 * Memory of a free object stays mapped until the pool closes.  Its first 8 bytes are the free list's;
 * under ASan the rest is poisoned, unless the pool leaves that to its user.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_ALLOC_SLAB_H
#define WEFT_ALLOC_SLAB_H

#include "alloc/arch.h"
#include <weft/base.h>

typedef struct slab_pool slab_pool;   /* shared: chunks, depot of closed caches */
typedef struct slab_cache slab_cache; /* one a worker */

/* Objects of `bytes` (16 to 4096, else WEFT_E_INVALID), aligned to 16; if bytes is a multiple of 64, to
 * 64; of 128, to 128. */
weft_err weft__slab_pool_open(slab_pool **out, size_t bytes);
/* Nothing of the pool's free objects is poisoned but what the user poisons before a put (a get lifts it all): for objects
 * of which others read some words at any time.  Before the first cache is opened. */
void weft__slab_pool_user_poisons(slab_pool *p);
/* pre: every cache is closed (else aborts with a text) and no thread still frees; live objects vanish. */
void weft__slab_pool_close(slab_pool *p);
slab_cache *weft__slab_cache_open(slab_pool *p); /* NULL: no memory */
/* Its objects, free or live, are adopted by the next cache opened. */
void weft__slab_cache_close(slab_cache *c);

void *weft__slab_get(slab_cache *c); /* owner only; not zeroed; NULL: no memory */
/* c: the caller's own cache; the object's home may be another. */
void weft__slab_put(slab_cache *c, void *object);
void weft__slab_put_foreign(void *object); /* any thread, no cache of its own */
void weft__slab_audit(slab_cache *c);      /* owner only: every object on at most one list, or aborts */
/* Visit every object of the pool that was ever handed out, free ones too; others may get and put meanwhile, so the
 * visitor must know from the object what it is.  Any thread; under the pool's lock. */
void weft__slab_each(slab_pool *p, void (*visit)(void *object, void *arg), void *arg);
size_t weft__slab_live(slab_cache *c); /* owner only: objects from this cache not yet given back by anyone */

#endif
