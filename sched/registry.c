/* sched/registry.c -- handles of open runtimes.
 *
 * Orders: entering is a CAS that acquires what `add` released with the open bit; leaving releases to `retire`,
 * whose reads of the word acquire, so that the runtime is freed after its last use.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/registry.h"

#define OPEN (UINT64_C(1) << 31)
#define USERS (OPEN - 1)

typedef struct slot {
    _Atomic uint64_t word;
    _Atomic uint32_t claimed; /* 1 while the slot belongs to a runtime, open or closing */
    _Atomic uint32_t left;    /* futex: changes when a user leaves a closing runtime */
    runtime *rt;              /* written before the open bit is set */
} slot;

static slot table[REGISTRY_SLOTS];

/* Handles are odd and small, so that they are told from addresses at a glance. */
static weft_runtime *handle_of(unsigned i, uint32_t generation) {
    return (weft_runtime *)(((uintptr_t)generation << 16) | ((uintptr_t)i << 1) | 1);
}
static slot *slot_of(weft_runtime *h) {
    uintptr_t v = (uintptr_t)h;
    return (v & 1) && (v >> 1 & 0x7fff) < REGISTRY_SLOTS ? &table[v >> 1 & 0x7fff] : NULL;
}
static uint32_t generation_of(weft_runtime *h) { return (uint32_t)((uintptr_t)h >> 16); }

weft_runtime *weft__registry_add(runtime *rt) {
    for (unsigned i = 0; i < REGISTRY_SLOTS; i++) {
        slot *s = &table[i];
        uint32_t free_ = 0;
        if (!atom_cas_acq(&s->claimed, &free_, 1)) continue;
        uint32_t generation = (uint32_t)(atom_load_rlx(&s->word) >> 32) + 1;
        s->rt = rt;
        rt->handle = handle_of(i, generation);
        atom_store_rel(&s->word, (uint64_t)generation << 32 | OPEN);
        return handle_of(i, generation);
    }
    return NULL;
}

runtime *weft__registry_enter(weft_runtime *h) {
    slot *s = slot_of(h);
    if (!s) return NULL;
    uint64_t word = atom_load_acq(&s->word);
    while ((uint32_t)(word >> 32) == generation_of(h) && (word & OPEN))
        if (atom_cas_acq(&s->word, &word, word + 1)) return s->rt;
    return NULL;
}

void weft__registry_leave(weft_runtime *h) {
    slot *s = slot_of(h);
    uint64_t before = atom_sub_ar(&s->word, 1);
    if (before & OPEN) return;
    atom_add_ar(&s->left, 1);
    weft__os_futex_wake(&s->left, INT32_MAX);
}

runtime *weft__registry_retire(weft_runtime *h) {
    slot *s = slot_of(h);
    if (!s) return NULL;
    uint64_t word = atom_load_acq(&s->word);
    do {
        if ((uint32_t)(word >> 32) != generation_of(h) || !(word & OPEN)) return NULL;
    } while (!atom_cas_acq(&s->word, &word, word & ~OPEN));
    for (;;) {
        uint32_t left = atom_load_acq(&s->left);
        if ((atom_load_acq(&s->word) & USERS) == 0) break;
        weft__os_futex_wait(&s->left, left, -1);
    }
    runtime *rt = s->rt;
    s->rt = NULL;
    atom_store_rel(&s->claimed, 0);
    return rt;
}
