/* effect/eff_env.c -- effects and the environment.
 *
 * What an effect is provided with is a bracket (effect/env.h) that lies on the heap: the frames of effects lie there, too.
 * It is entered and left by the run's own fiber, last in first out, as the frames are. SPDX-License-Identifier: Apache-2.0
 * OR MIT */
#include <weft/eff_env.h>
#include "alloc/heap.h"
#include "effect/env.h"
#include "sched/exit.h"
#include "sched/fail.h"
#include "sched/thread.h"

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

void weft__eff_ask(const void *questions, void *values, size_t i) {
    const weft__eff_question *q = (const weft__eff_question *)questions + i;
    weft_exit e = weft__env_get(q->key, (char *)values + i * q->key->reply, &q->at);
    if (weft_ok(e)) return;
    weft__expect(e);
    weft_exit_drop(e);
}

/* ---- values -------------------------------------------------------------------------------------------- */

typedef struct local {
    size_t bytes;
    weft__provided *in;
    _Alignas(16) char room[];
} local;

weft_exit weft__eff_local_enter(void *values, void **state) {
    const weft_built *v = values;
    for (size_t i = 0; i < v->n; i++)
        if (!v->list || !v->list[i].key || !(v->list[i].value || v->list[i].make))
            return FAILED(WEFT_E_INVALID, "weft_eff_local: a binding has no key, or neither value nor function; make bindings "
                                          "with WEFT_BIND or WEFT_BIND_LAZY");
    size_t bytes = sizeof(local) + weft__provide_room(v->list, v->n);
    local *l = weft__heap_alloc(bytes, 16);
    if (!l) return FAILED(WEFT_E_NOMEM, "weft_eff_local: no memory for what is provided");
    l->bytes = bytes;
    l->in = weft__provide_begin(l->room, v->list, v->n);
    *state = l;
    return success;
}

weft_exit weft__eff_local_leave(void *values, void *state, weft_exit e) {
    local *l = state;
    (void)values;
    (void)e;
    weft__provide_end(l->in);
    weft__heap_free(l, l->bytes);
    return success;
}

/* ---- layers -------------------------------------------------------------------------------------------- */

typedef struct built {
    weft_scope scope;
    weft_built values;
    weft_exit end;
    void *in;
} built;

/* An exit that is returned is lent, and on a plain thread nobody would own it: there it is said. */
static weft_exit lent(weft_exit e) {
    if (weft_ok(e) || thread_fiber()) return e;
    weft__exit_record(e);
    return success;
}

static void end_scope(built *b) {
    weft__scope_end(&b->scope);
    if (b->end.tag == WEFT_EXIT_INTERRUPT) b->end = success; /* the effect is told by itself */
}

weft_exit weft__eff_layer_enter(void *layer, void **state) {
    built *b = weft__heap_alloc(sizeof *b, 16);
    if (!b) return FAILED(WEFT_E_NOMEM, "weft_eff_provide_layer: no memory for a scope");
    weft__scope_enter(&b->scope, &b->end, (weft_scope_options){.name = "layer"});
    weft_exit e = weft_layer_build(&b->scope, layer, &b->values);
    if (weft_ok(e)) e = weft__eff_local_enter(&b->values, &b->in);
    if (weft_ok(e)) {
        *state = b;
        return e;
    }
    if (thread_fiber()) weft_exit_keep(e); /* the scope's end is not its end */
    end_scope(b);
    weft__heap_free(b, sizeof *b);
    return lent(e);
}

weft_exit weft__eff_layer_leave(void *layer, void *state, weft_exit e) {
    built *b = state;
    (void)layer;
    weft__eff_local_leave(&b->values, b->in, e);
    end_scope(b);
    weft_exit end = b->end;
    weft__heap_free(b, sizeof *b);
    return lent(end);
}
