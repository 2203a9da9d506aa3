/* stub until written */
#include "effect/handler.h"
#include "sched/fail.h"
weft_exit weft__handle_once(fiber *f, const weft_handler *h, const weft__body *b) { (void)f;(void)h;(void)b; return FAILED(WEFT_E_INVALID, "once"); }
weft_exit weft__perform_once(fiber *f, const weft__entry *e, const weft_effect *effect, const void *payload, void *reply,
                             const weft_place *at) { (void)f;(void)e;(void)effect;(void)payload;(void)reply;(void)at; return FAILED(WEFT_E_INVALID, "once"); }
