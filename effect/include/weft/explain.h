/* weft/explain.h -- what an effect is made of, as a plan; and what each part of it did.
 *
 *   char text[4096];
 *   weft_explain(e, WEFT_EXPLAIN_TEXT, text, sizeof text);
 *
 *   retry  times(exponential(10ms, 2), 3)  load.c:31
 *     timeout  50ms  load.c:30
 *       flat_map parse  load.c:29
 *         call fetch  load.c:28
 *
 * What an effect is made of is known before it is run, but for what the functions given to flat_map and the like will
 * return.  A part that is used in several places is shown in the first of them, and referred to by a number in the others.
 *
 *   weft_counters c;
 *   weft_counters_open(&c, e);
 *   weft_exit x = weft_run_effect_with(e, &n, &(weft_eff_options){.watch = weft_counters_watch(&c)});
 *   weft_explain_with(e, &(weft_explain_options){.counters = &c}, text, sizeof text);
 *   weft_counters_close(&c);
 *
 *   retry  times(exponential(10ms, 2), 3)  load.c:31  -- 1 run, 93ms, own 30ms
 *     timeout  50ms  load.c:30  -- 3 runs, 2 failed, 63ms, own 0ns
 *       flat_map parse  load.c:29  -- 3 runs, 2 failed, 63ms, own 0ns
 *         call fetch  load.c:28  -- 3 runs, 2 failed, 63ms, own 63ms
 *         : succeed  load.c:12  -- 1 run, 0ns, own 0ns                    made by parse, while it ran
 *
 * Source: SQL's EXPLAIN and EXPLAIN ANALYZE; ZIO's and effectpy's lack of one.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EXPLAIN_H
#define WEFT_EXPLAIN_H

#include <weft/eff.h>

WEFT_BEGIN_C

typedef enum weft_explain_format {
    WEFT_EXPLAIN_TEXT = 0, /* an indented tree, a line for each node */
    WEFT_EXPLAIN_JSON,     /* {"nodes": [...], "edges": [...], "total": n}, flat, each node once */
    WEFT_EXPLAIN_DOT,      /* a graph for Graphviz */
    WEFT_EXPLAIN_SVG,      /* a picture */
} weft_explain_format;

struct weft_counters;

/* Zero means default everywhere. */
typedef struct weft_explain_options {
    weft_explain_format format;
    uint32_t most;  /* nodes that are shown; 0: 1000.  What is left out is counted: "... 17 more" */
    uint32_t depth; /* how far below the root they are; 0: 100 */
    bool no_places; /* without files and lines */
    const struct weft_counters *counters; /* of a run of the same effect */
} weft_explain_options;

/* size_t weft_explain(E e, weft_explain_format format, char *buffer, size_t bytes)
 * size_t weft_explain_with(E e, const weft_explain_options *options, char *buffer, size_t bytes)
 * Write the plan of e, cut to `bytes`, terminated (if bytes > 0).  Returns the length of the whole, as snprintf does; 0: no
 * memory.  Runs nothing.  Takes a few KiB of stack however large e is, and heap in proportion to it while it works.  A part
 * that does not live any more is said to be so.  options may be NULL.
 * [any thread] [never suspends] */
#define weft_explain(e, format_, buffer, bytes) \
    weft__explain((e).ref, &(const weft_explain_options){.format = (format_)}, (buffer), (bytes))
#define weft_explain_with(e, options, buffer, bytes) weft__explain((e).ref, (options), (buffer), (bytes))

WEFT_API size_t weft__explain(uintptr_t ref, const weft_explain_options *options, char *buffer, size_t bytes);

/* ---- counters ----------------------------------------------------------------------------------------- */

/* What the nodes of one effect did, in any number of runs, also at once.  The fields are the library's. */
typedef struct weft_counters {
    struct weft__counters *all; /* NULL: not open */
} weft_counters;

/* What one of them did. */
typedef struct weft_count {
    uint64_t runs;
    uint64_t failures;      /* of those: all that did not end well */
    weft_duration total;    /* from the beginning to the end of each run, on the runtime's clock */
    weft_duration own;      /* the same without what was made of other nodes meanwhile, by the same fiber */
} weft_count;

/* weft_err weft_counters_open(weft_counters *c, E e)
 * For runs of e, which lives until they are over and explained.  Errors: WEFT_E_NOMEM.  [any thread] [never suspends] */
#define weft_counters_open(c, e) weft__counters_open((c), (e).ref)
/* No run uses them any more.  Of none that are open nothing is done.  [any thread] [never suspends] */
WEFT_API void weft_counters_close(weft_counters *c);
/* For weft_eff_options.watch.  While a run is watched, each node costs two looks at the clock and a lock.  Counts that find no
 * memory are lost.  [any thread] [never suspends] */
WEFT_API struct weft__eff_watch *weft_counters_watch(weft_counters *c);
/* bool weft_counters_get(const weft_counters *c, E e, weft_count *count)
 * What the node e did, a part of the effect that c was opened for.  False: it is none.  [any thread] [never suspends] */
#define weft_counters_get(c, e, count) weft__counters_get((c), (e).ref, (count))

WEFT_API weft_err weft__counters_open(weft_counters *c, uintptr_t ref);
WEFT_API bool weft__counters_get(const weft_counters *c, uintptr_t ref, weft_count *count);

WEFT_END_C
#endif
