/* sched/record.c -- records of scheduling points.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/record.h"
#include "alloc/mix.h"
#include "alloc/os.h"
#include "sched/det.h"
#include "sched/spawn.h"
#include "sched/thread.h"
#include <string.h>

#define RECORD_ROOM (UINT64_C(4) << 20) /* entries; the file is sparse */

static const char magic[8] = {'w', 'e', 'f', 't', 'l', 'o', 'g', '1'};

weft_err weft__record_open(runtime *rt, const char *path) {
    record *r = weft__os_map_file_new(path, sizeof *r + RECORD_ROOM * sizeof(record_entry));
    if (!r) return WEFT_E_INVALID;
    memcpy(r->magic, magic, sizeof magic);
    r->room = RECORD_ROOM;
    rt->record = r;
    rt->named = true;
    return WEFT_OK;
}

void weft__record_close(runtime *rt) {
    record *r = rt->record;
    if (r) weft__os_unmap_file(r, sizeof *r + r->room * sizeof(record_entry));
}

void weft__record_point(runtime *rt, const fiber *f) {
    record *r = rt->record;
    uint64_t name = weft__record_name(f);
    if (!name) return;
    uint64_t i = atom_add_ar(&r->n, 1);
    if (i < r->room) r->entries[i] = (record_entry){name, f->w->index, 0};
}

record_entry *weft__record_load(const char *path, uint64_t *n, void **mapped, size_t *bytes) {
    record *r = weft__os_map_file_copy(path, bytes);
    if (!r) return NULL;
    *mapped = r;
    bool is = *bytes >= sizeof *r && memcmp(r->magic, magic, sizeof magic) == 0;
    if (is && r->room <= (*bytes - sizeof *r) / sizeof(record_entry)) {
        *n = atom_load_rlx(&r->n);
        if (*n > r->room) *n = r->room;
        return r->entries;
    }
    weft__os_unmap_file(r, *bytes);
    return NULL;
}

/* ---- names -------------------------------------------------------------------------------------------- */

uint64_t weft__record_name_of_block(const weft_fiber *s) {
    const spawn_more *m = atom_load_acq(&s->more);
    return m ? m->path : 0;
}

uint64_t weft__record_name(const fiber *f) {
    if (f->self) return weft__record_name_of_block(f->self);
    return f->strand ? 0 : RECORD_ROOT;
}

/* Never 0, nor RECORD_ROOT. */
static uint64_t name_made_of(uint64_t x) { return mixed(x) | UINT64_C(1) << 63; }

/* A fiber's children are counted by itself; the others', which have no name, by nobody. */
uint64_t weft__record_child(runtime *rt, fiber *f) {
    if (!f) return name_made_of(atom_add_rlx(&rt->births, 1) << 1 | 1);
    uint64_t name = weft__record_name(f);
    if (!name) return 0;
    spawn_more *m = f->self ? atom_load_acq(&f->self->more) : NULL;
    uint64_t n = m ? m->births++ : atom_add_rlx(&rt->births, 1);
    return name_made_of(mixed(name) + n);
}

/* ---- points ------------------------------------------------------------------------------------------- */

void weft__point(fiber *f) {
    runtime *rt = f->w->rt;
    if (rt->det) return weft__det_point(f);
    if (rt->record) weft__record_point(rt, f);
}

void weft__record_yield(fiber *f) {
    runtime *rt = f->w->rt;
    if (!rt->det || explore_follows(&rt->det->explorer)) weft__point(f);
}

void weft_point(void) {
    fiber *f = thread_fiber();
    if (f) scheduling_point(f);
}
