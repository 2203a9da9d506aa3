/* alloc/fault.c -- the plan of fault points, and their counters.
 *
 * All words are relaxed: what is read together was written while nothing ran, and a counter's additions are each one
 * read-modify-write, so each number is given out once.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/fault.h"

#if defined(WEFT_FAULTS) && WEFT_FAULTS

_Atomic uint32_t weft__fault_kinds;
static _Atomic uint64_t passed, failed, at;
static _Atomic uint32_t lasting;

bool weft__fault_hit(void) {
    uint64_t nth = atom_add_rlx(&passed, 1) + 1, k = atom_load_rlx(&at);
    bool fails = k != 0 && (nth == k || (nth > k && atom_load_rlx(&lasting)));
    if (fails) atom_add_rlx(&failed, 1);
    return fails;
}

void weft__fault_arm(fault_plan plan) {
    atom_store_rlx(&weft__fault_kinds, 0);
    atom_store_rlx(&passed, 0);
    atom_store_rlx(&failed, 0);
    atom_store_rlx(&at, plan.k);
    atom_store_rlx(&lasting, plan.persistent);
    atom_store_rlx(&weft__fault_kinds, plan.kinds);
}

void weft__fault_disarm(void) { atom_store_rlx(&weft__fault_kinds, 0); }

uint64_t weft__fault_passed(void) { return atom_load_rlx(&passed); }
uint64_t weft__fault_failed(void) { return atom_load_rlx(&failed); }

const char *weft__fault_name(fault_kind kind) {
    static const char *const names[FAULT_KINDS] = {
        [FAULT_ALLOC] = "alloc", [FAULT_MAP] = "map", [FAULT_STACK] = "stack",
        [FAULT_THREAD] = "thread", [FAULT_FD] = "fd",
        [FAULT_ERRNO] = "errno", [FAULT_SPURIOUS] = "spurious", [FAULT_DELAY] = "delay", [FAULT_STEAL] = "steal",
        [FAULT_MIGRATE] = "migrate", [FAULT_CANCEL] = "cancel",
    };
    return kind < FAULT_KINDS ? names[kind] : "?";
}

#endif
