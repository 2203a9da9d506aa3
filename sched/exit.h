/* sched/exit.h -- exits: in one word, for the way from a stolen child to its parent; combined; recorded.
 *
 * A reference to a cause travels with the exit that carries it.  Below, "takes over" means that the caller's reference
 * is the callee's from then on, "lends" that the caller keeps it.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_EXIT_H
#define WEFT_SCHED_EXIT_H

#include <weft/exit.h>

/* {code:16 | cause:45 | tag:3}: causes are aligned to 8 and lie below 2^48, codes are at most WEFT_CODE_MAX.
 * 0 is success and nothing else is: no other tag is 0. */
#define EXIT_TAG_MASK UINT64_C(7)
#define EXIT_CAUSE_MASK (((UINT64_C(1) << 48) - 1) & ~EXIT_TAG_MASK)

_Static_assert(_Alignof(weft_cause) == 8, "the low three bits of a cause are the tag's");
_Static_assert(WEFT_EXIT_OK == 0 && WEFT_EXIT_INTERRUPT <= 7, "a tag has three bits");

static inline uint64_t exit_pack(weft_exit e) {
    return weft_ok(e) ? 0 : (uint64_t)(uint32_t)e.code << 48 | (uint64_t)(uintptr_t)e.cause | e.tag;
}

static inline weft_exit exit_unpack(uint64_t word) {
    const weft_cause *cause = (const weft_cause *)(uintptr_t)(word & EXIT_CAUSE_MASK);
    return (weft_exit){(uint32_t)(word & EXIT_TAG_MASK), (int32_t)(word >> 48), cause};
}

/* Two ends of one thing.  Tag and code are the first one's that is not ok; but of two concurrent ones an interrupt
 * gives way to what is none, since a failing sibling is why the others are interrupted.  The causes become one tree,
 * which loses, if they do not fit or there is no memory, the one whose tag does not count.
 * Each takes over what a and b carry, and returns what the result carries.  [any thread] */
weft_exit weft__exit_both(weft_exit a, weft_exit b);
weft_exit weft__exit_then(weft_exit a, weft_exit b);
/* Unchanged if ok.  text is copied.  Takes over what e carries. */
weft_exit weft__exit_note(weft_exit e, const char *text, const char *file, int line);

/* The running fiber ends as e, if e is the first that is not ok.  Takes over what e carries; what does not count is
 * dropped, so the caller goes on without e.  weft__expect (weft/fiber.h) is the same for an e that is lent. */
void weft__exit_record(weft_exit e);

/* On a plain thread what weft_fail says is nobody's, but for who asks: from now on the first goes to *to, which is ok; NULL: to nobody.
 * Returns what was asked for before.  The cause is the asker's reference. */
weft_exit *weft__said_to(weft_exit *to);

#endif
