/* sched/exit.c -- exits as text; how a fiber is made to fail.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/exit.h"
#include "sched/thread.h"
#include <stdio.h>
#include <weft/fiber.h>

char *weft_exit_format(weft_exit e, char *buffer, size_t bytes) {
    static const char *const tags[] = {"ok", "failed", "died", "interrupted"};
    const char *tag = e.tag < sizeof tags / sizeof *tags ? tags[e.tag] : "unknown exit";
    if (weft_ok(e)) {
        snprintf(buffer, bytes, "%s", tag);
        return buffer;
    }
    const char *text = e.code > 0 && e.code < WEFT_E_USER ? weft_err_text((weft_err)e.code) : "";
    if (e.cause)
        snprintf(buffer, bytes, "%s (code %d) at %s:%d: %s%s%s", tag, e.code, e.cause->file, e.cause->line,
                 e.cause->text, *text ? "; " : "", text);
    else
        snprintf(buffer, bytes, "%s (code %d)%s%s", tag, e.code, *text ? ": " : "", text);
    return buffer;
}

/* The first failure of a fiber counts. */
static weft_exit record(weft_exit e) {
    fiber *f = thread_fiber();
    if (f && weft_ok(f->exit)) f->exit = e;
    return e;
}

weft_exit weft__fail(int code, const weft_cause *cause) {
    if (code < 1 || code > WEFT_CODE_MAX) code = WEFT_E_INVALID;
    return record((weft_exit){WEFT_EXIT_FAIL, code, cause});
}

weft_exit weft__expect(weft_exit e) { return weft_ok(e) ? e : record(e); }
