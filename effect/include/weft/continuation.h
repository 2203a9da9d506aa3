/* weft/continuation.h -- what a once clause does with the rest of the body that performed.
 *
 *   WEFT_EFFECT(yield, char, int value;)
 *
 *   static weft_exit on_yield(weft_k k, const yield_op *op, void *answer, void *self) {
 *       generator *g = self;
 *       g->value = op->value;
 *       g->rest = weft_keep(k);                           // for later: the clause, and weft_handle, return now
 *       return weft_done;
 *   }
 *   ...
 *   e = weft_handle(&gen, walk, NULL, tree);              // up to the first yield, or the end
 *   e = weft_resume(g.rest, yield, 0, NULL);              // up to the next
 *
 * A body under a handler with a once clause runs on a stack of its own, as part of the fiber that drives it: who calls
 * weft_handle, and later who resumes it.  A perform leaves that stack as it is, and the clause runs on the driver's; it has the
 * rest of the body as a continuation, and uses it at most once:
 *
 *   weft_resume       go on with the body, here and now; returns when it has ended, or when another clause of this handler
 *                     that it came to has returned: with what that one returns.  So clauses nest, on the driver's stack, which
 *                     is continued on another one when it runs short
 *   weft_transfer     the same as the last act of a clause: `return weft_transfer(k, ...)`: the stack does not grow
 *   weft_discontinue  end the body: its perform returns that exit, everything in it that may suspend an interrupt, until it has
 *                     returned
 *   weft_keep         later, by anybody: any fiber of the runtime, on any worker.  Who has it goes on with it in the end, or
 *                     discontinues it: a body that is kept and forgotten is a leak, told to the runtime's .on_report when
 *                     that is closed, and a failure of a WEFT_TEST (weft/test.h)
 *
 * A clause that does none of these: with an exit that is not ok, the perform returns that, and the body goes on; with ok, the body is
 * discontinued, and the clause's answer is that of weft_handle.  A second use is {DIE, WEFT_E_TWICE}, and changes nothing.
 *
 * A clause is part of its driver: what it says by weft_fail is the driver's failure, beside the exit that it returns.
 *
 * What is around the body (scopes and their deadlines, who interrupts it, handlers that are not shared) is what is around its
 * driver of the moment; handlers that are shared, and the environment, are those around weft_handle.
 *
 * Source: one-shot continuations as in OCaml 5 and libseff; doeff's Resume, Transfer, ResumeThrow.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_CONTINUATION_H
#define WEFT_CONTINUATION_H

#include <weft/handler.h>

WEFT_BEGIN_C

/* weft_exit weft_resume(weft_k k, name, name_reply reply, void *answer)
 * The perform of `name` that k waits in returns ok and that reply.  answer: where the body's result, or a clause's answer, goes
 * (NULL: nowhere): what `out` is to weft_handle; in a clause, usually its own `answer`.
 * Returns as weft_handle does.  Errors: {DIE, WEFT_E_TWICE} (used before); {FAIL, WEFT_E_CLOSED} (of a runtime that is closed, or of
 * another one); {DIE, WEFT_E_INVALID} (it waits in another effect; it can still be used), {FAIL, WEFT_E_NOMEM} (no stack; the same).
 * [a fiber of its runtime] [suspends if the body does] */
#define weft_resume(k, name, reply, answer)                                                  \
    __extension__({                                                                          \
        name##_reply weft_r_ = (reply);                                                      \
        weft__resume((k), &name##_effect, &weft_r_, (answer));                               \
    })

/* weft_exit weft_transfer(weft_k k, name, name_reply reply)
 * The same when this clause has returned what this returns, in its place.  k may be another one than the clause's own, which then is to
 * be kept; if that one's body has a result of another size, the result goes nowhere.  An error is returned as weft_resume does.  [in a once clause, last] [never suspends] */
#define weft_transfer(k, name, reply)                                                        \
    __extension__({                                                                          \
        name##_reply weft_r_ = (reply);                                                      \
        weft__transfer((k), &name##_effect, &weft_r_);                                       \
    })

/* The perform that k waits in returns e, which is not ok, and the body is stopped.  Returns the body's exit, or that of an abort
 * clause that it came to.  Errors: as weft_resume; {FAIL, WEFT_E_INVALID} (e is ok).
 * [a fiber of its runtime] [suspends if the body does] */
WEFT_API weft_exit weft_discontinue(weft_k k, weft_exit e, void *answer);

/* k does not end with this clause.  Returns k.  A no-op for one that was used or kept before.  [in its clause] [never suspends] */
WEFT_API weft_k weft_keep(weft_k k);

/* Can it still be used?  A moment's view.  [a fiber of its runtime] [never suspends] */
WEFT_API bool weft_k_is_open(weft_k k);

/* ---- below: what the macros use ----------------------------------------------------------------------- */

WEFT_API weft_exit weft__resume(weft_k k, const weft_effect *effect, const void *reply, void *answer);
WEFT_API weft_exit weft__transfer(weft_k k, const weft_effect *effect, const void *reply);

WEFT_END_C
#endif
