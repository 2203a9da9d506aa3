/* tests/model/explorer/machine.c -- see machine.h.
 *
 * The hash of a state leaves out what no thread can read any more, and counts positions from the newest
 * message: two executions that differ only in the order of independent steps, in values that were overwritten
 * or in how often something happened before, meet again.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "tests/model/explorer/machine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool machine_sc;

static location locations[LOCATIONS];
static unsigned n_locations;

/* Which threads ever stored to an address, in any execution; beyond these bits: it was reused, it was read
 * by a load that is not seq_cst. */
enum { REUSED = 1 << MODEL_THREADS, LOADED = 2 << MODEL_THREADS, STORED = REUSED - 1 };
static struct {
    volatile void *address;
    unsigned threads;
} writers[LOCATIONS * 4];
static unsigned n_writers;
static bool learnt;

uint64_t machine_mix(uint64_t a, uint64_t b) {
    uint64_t x = a * UINT64_C(0x9e3779b97f4a7c15) ^ (b + UINT64_C(0x2545f4914f6cdd1d));
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ x >> 29) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

void machine_start_thread(view *v, unsigned thread) {
    memset(v, 0, sizeof *v);
    v->clock[thread] = 1;
}

static uint64_t fetch(volatile void *p, size_t bytes) {
    uint64_t v = 0;
    memcpy(&v, (void *)p, bytes);
    return v;
}

static location *locate(volatile void *p, size_t bytes) {
    for (unsigned i = 0; i < n_locations; i++)
        if (locations[i].address == p) return &locations[i];
    if (n_locations == LOCATIONS) {
        fprintf(stderr, "model: more than %d atomic variables\n", LOCATIONS);
        exit(2);
    }
    location *l = &locations[n_locations++];
    memset(l, 0, offsetof(location, m));
    l->address = p;
    l->bytes = bytes;
    memset(&l->m[0], 0, sizeof l->m[0]);
    l->m[0].value = fetch(p, bytes);
    return l;
}

static void join(view *to, const view *from) {
    for (unsigned i = 0; i < LOCATIONS; i++)
        if (to->at[i] < from->at[i]) to->at[i] = from->at[i];
    for (unsigned i = 0; i < MODEL_THREADS; i++)
        if (to->clock[i] < from->clock[i]) to->clock[i] = from->clock[i];
}

static bool acquires(int order) {
    return order == MODEL_ACQ || order == MODEL_AR || order == MODEL_SEQ;
}
static bool releases(int order) {
    return order == MODEL_REL || order == MODEL_AR || order == MODEL_SEQ;
}

/* As alloc/atomic.h has it. */
static int failure_order(int order) {
    return order == MODEL_RLX || order == MODEL_REL ? MODEL_RLX : MODEL_ACQ;
}

static unsigned oldest_readable(const view *v, const location *l, int order) {
    if (machine_sc) return l->newest;
    unsigned at = v->at[l - locations];
    return order == MODEL_SEQ && l->newest_seq > at ? l->newest_seq : at;
}

/* A compare-and-exchange that finds what it expects succeeds, and then it has read the newest. */
static bool cas_may_read(const location *l, const access *a, unsigned i) {
    return i == l->newest || l->m[i].value != a->expected;
}

static int load_order(const access *a) {
    return a->kind == MODEL_CAS ? failure_order(a->order) : a->order;
}

unsigned machine_options(const view *v, const access *a) {
    if (a->kind != MODEL_LOAD && a->kind != MODEL_CAS) return 1;
    location *l = locate(a->p, a->bytes);
    unsigned n = 0;
    for (unsigned i = oldest_readable(v, l, load_order(a)); i <= l->newest; i++)
        if (a->kind == MODEL_LOAD || cas_may_read(l, a, i)) n++;
    return n;
}

/* Option 0 is the newest. */
static unsigned pick(const view *v, const location *l, const access *a, unsigned option) {
    unsigned oldest = oldest_readable(v, l, load_order(a)), i = l->newest;
    for (;; i--) {
        if (a->kind == MODEL_CAS && !cas_may_read(l, a, i)) continue;
        if (option-- == 0) return i;
        if (i == oldest) abort();
    }
}

static uint64_t combine(const access *a, uint64_t old) {
    switch (a->kind) {
    case MODEL_ADD: return old + a->operand;
    case MODEL_SUB: return old - a->operand;
    case MODEL_OR: return old | a->operand;
    case MODEL_AND: return old & a->operand;
    default: return a->operand;
    }
}

static uint64_t truncate_to(uint64_t v, size_t bytes) {
    return bytes == 8 ? v : v & ((UINT64_C(1) << 8 * bytes) - 1);
}

/* ---- who stores where ------------------------------------------------------------------------------- */

static unsigned *writers_of(volatile void *p) {
    for (unsigned i = 0; i < n_writers; i++)
        if (writers[i].address == p) return &writers[i].threads;
    if (n_writers == sizeof writers / sizeof *writers) {
        fprintf(stderr, "model: too many atomic variables\n");
        exit(2);
    }
    writers[n_writers].address = p;
    return &writers[n_writers++].threads;
}

static void learn(volatile void *p, unsigned bits) {
    unsigned *w = writers_of(p), before = *w;
    *w |= bits;
    learnt |= before != *w;
}

bool machine_learnt(void) {
    return learnt;
}

void machine_reset(void) {
    n_locations = 0;
    learnt = false;
}

void machine_forget_writers(void) {
    memset(writers, 0, sizeof writers);
    n_writers = 0;
}

bool machine_goes_first(const view *v, unsigned thread, const access *a) {
    if (machine_sc || a->order == MODEL_SEQ) return false;
    if (a->kind != MODEL_STORE && a->kind != MODEL_LOAD) return false;
    unsigned stored = *writers_of(a->p) & STORED;
    if (stored & ~(1u << thread)) return false;
    if (a->kind == MODEL_STORE) return true;
    return stored && machine_options(v, a) == 1;
}

/* ---- accesses --------------------------------------------------------------------------------------- */

static void touch(location *l, const view *v, unsigned thread, access *a) {
    a->unordered = l->born > v->clock[l->born_by];
    l->accessed[thread] = v->clock[thread];
}

/* Append a message; `continued`: the one a read-modify-write read. */
static void append(location *l, view *v, unsigned thread, const access *a, uint64_t value,
                   const message *continued) {
    if (++l->newest == MESSAGES) {
        fprintf(stderr, "model: more than %d stores to one variable\n", MESSAGES);
        exit(2);
    }
    unsigned id = (unsigned)(l - locations);
    message *m = &l->m[l->newest];
    v->at[id] = (uint8_t)l->newest;
    if (releases(a->order))
        m->carried = *v;
    else
        memset(&m->carried, 0, sizeof m->carried);
    if (continued) join(&m->carried, &continued->carried);
    if (a->order == MODEL_SEQ) l->newest_seq = l->newest;
    m->value = truncate_to(value, l->bytes);
    memcpy((void *)l->address, &m->value, l->bytes);
    learn(l->address, 1u << thread);
    if (releases(a->order)) v->clock[thread]++;
}

/* Ordering of plain data is left to what is read: a fence alone synchronises with nothing. */
static void fence(view *v) {
    for (unsigned i = 0; i < n_locations; i++) {
        if (v->at[i] < locations[i].newest_seq)
            v->at[i] = (uint8_t)locations[i].newest_seq;
        else
            locations[i].newest_seq = v->at[i];
    }
}

uint64_t machine_do(view *v, unsigned thread, access *a, unsigned option) {
    if (a->kind == MODEL_FENCE) {
        if (a->order == MODEL_SEQ) fence(v);
        return 0;
    }
    location *l = locate(a->p, a->bytes);
    unsigned id = (unsigned)(l - locations);
    touch(l, v, thread, a);
    a->old = false;
    if (a->kind == MODEL_STORE) {
        append(l, v, thread, a, a->operand, NULL);
        return 0;
    }
    unsigned i = l->newest;
    int order = a->order;
    bool stores = a->kind != MODEL_LOAD;
    if (a->kind == MODEL_LOAD || a->kind == MODEL_CAS) i = pick(v, l, a, option);
    if (a->kind == MODEL_CAS) {
        a->succeeded = stores = l->m[i].value == a->expected;
        if (!stores) order = failure_order(order);
    }
    const message *m = &l->m[i];
    if (!stores && order != MODEL_SEQ) learn(a->p, LOADED);
    uint64_t value = m->value;
    a->old = i != l->newest;
    v->at[id] = (uint8_t)i;
    if (acquires(order)) join(v, &m->carried);
    if (stores) append(l, v, thread, a, combine(a, value), m);
    return value;
}

uint64_t machine_newest(volatile void *p, size_t bytes, view *v) {
    location *l = locate(p, bytes);
    if (v) v->at[l - locations] = (uint8_t)l->newest;
    return l->m[l->newest].value;
}

bool machine_reuse(view *v, unsigned thread, volatile void *p, size_t bytes, uint64_t value) {
    location *l = locate(p, bytes);
    bool ordered = true;
    for (unsigned i = 0; i < MODEL_THREADS; i++)
        if (l->accessed[i] > v->clock[i]) ordered = false;
    access a = {.kind = MODEL_STORE, .order = MODEL_RLX};
    append(l, v, thread, &a, value, NULL);
    learn(p, REUSED);
    l->m[l->newest].carried = *v; /* as an initial value: there before whoever may look */
    l->born_by = thread;
    l->born = v->clock[thread];
    l->accessed[thread] = v->clock[thread];
    return ordered;
}

/* ---- hashes ----------------------------------------------------------------------------------------- */

static unsigned oldest[LOCATIONS]; /* message that some thread may still read */
static bool is_reused[LOCATIONS];

static uint64_t hash_view(const view *v, uint64_t (*knows)(const uint32_t *clock)) {
    uint64_t h = knows(v->clock);
    for (unsigned i = 0; i < n_locations; i++) {
        const location *l = &locations[i];
        unsigned at = v->at[i] > oldest[i] ? v->at[i] : oldest[i];
        if (at != l->newest) h += machine_mix((uintptr_t)l->address, l->newest - at);
        if (!is_reused[i]) continue;
        for (unsigned t = 0; t < MODEL_THREADS; t++)
            h = machine_mix(h, (l->accessed[t] > v->clock[t] ? 1u : 0u) +
                                   (l->born > v->clock[l->born_by] ? 2u : 0u));
    }
    return h;
}

static uint64_t hash_location(unsigned i, uint64_t (*knows)(const uint32_t *clock)) {
    const location *l = &locations[i];
    unsigned seq = l->newest_seq > oldest[i] ? l->newest_seq : oldest[i];
    uint64_t h = machine_mix((uintptr_t)l->address, l->newest - seq);
    for (unsigned m = oldest[i]; m <= l->newest; m++) {
        h = machine_mix(h, l->m[m].value);
        h = machine_mix(h, hash_view(&l->m[m].carried, knows));
    }
    return h;
}

uint64_t machine_hash(const view *const *views, unsigned n, uint64_t (*knows)(const uint32_t *clock)) {
    uint64_t h = 0;
    for (unsigned i = 0; i < n_locations; i++) {
        oldest[i] = locations[i].newest;
        unsigned known = *writers_of(locations[i].address);
        is_reused[i] = known & REUSED;
        for (unsigned t = 0; t < n; t++)
            if (!machine_sc && views[t]->at[i] < oldest[i]) oldest[i] = views[t]->at[i];
        if (!(known & LOADED) && locations[i].newest_seq > oldest[i]) oldest[i] = locations[i].newest_seq;
    }
    for (unsigned i = 0; i < n_locations; i++) h += hash_location(i, knows);
    for (unsigned t = 0; t < n; t++) h = machine_mix(h, hash_view(views[t], knows));
    return h;
}
