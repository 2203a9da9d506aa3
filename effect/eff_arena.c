/* effect/eff_arena.c -- arenas of effects: slots with generations, and copying into them.
 *
 * A block is a page: a header and 63 slots.  Blocks come from the process's pool, newest last, and go back to it; their
 * addresses are never given back to the system, since a reference may be looked at as long as the program runs.  There are as
 * many as were in use at once.
 *
 *   self of a slot   {generation | address | 1} taken; the same with an even end: free, with the generation it had last
 *
 * Whoever takes a slot, or closes the arena, is the arena's one user; others look at `self` at any time.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "alloc/os.h"
#include "alloc/spin.h"
#include "effect/eff.h"
#include <string.h>

enum { BLOCK = 4096, SLOTS = BLOCK / sizeof(weft_eff_node) - 1, BLOCKS_AT_ONCE = 16 };
enum { BYTES_LEAST = 1008, BYTES_MOST = 64 * 1024 };
enum { STEP_SOME = 16, STEP_MOST = 255, STEP_DEEP = 32 }; /* functions of a step; how deep a chain is kept as one */

typedef struct weft__eff_block {
    struct weft__eff_block *older, *newer;
    weft_eff_arena *arena;
    bool worn; /* a slot's generations have run out */
    uint64_t unused[4];
    weft_eff_node slots[SLOTS];
} block;

typedef struct weft__eff_bytes {
    struct weft__eff_bytes *older;
    size_t size, used, unused;
} bytes;

_Static_assert(sizeof(block) == BLOCK && offsetof(block, slots) == 64, "slots are aligned to 64");

/* ---- the pool ------------------------------------------------------------------------------------- */

static struct {
    spin lock;
    block *first, *last; /* through older */
} pool;

static void pool_put(block *b) {
    b->older = NULL;
    spin_lock(&pool.lock);
    if (pool.first)
        pool.last->older = b;
    else
        pool.first = b;
    pool.last = b;
    spin_unlock(&pool.lock);
}

static block *pool_take(void) {
    spin_lock(&pool.lock);
    block *b = pool.first;
    if (b) pool.first = b->older;
    spin_unlock(&pool.lock);
    return b;
}

static block *pool_get(void) {
    block *b = pool_take();
    if (b) return b;
    char *more = weft__os_reserve(BLOCKS_AT_ONCE * BLOCK, BLOCK);
    if (!more) return NULL;
    for (int i = 1; i < BLOCKS_AT_ONCE; i++) pool_put((block *)(void *)(more + i * BLOCK));
    return (block *)(void *)more;
}

/* ---- slots ---------------------------------------------------------------------------------------- */

#define ADDRESS WEFT__EFF_ADDRESS

static uint32_t generation_of(uint64_t self) { return (uint32_t)(self >> 48 << 2 | (self >> 4 & 3)); }

static uint64_t self_of(const weft_eff_node *n, uint32_t generation) {
    return (uint64_t)(generation >> 2) << 48 | ((uintptr_t)n & ADDRESS) | (uint64_t)(generation & 3) << 4 | EFF_ARENA;
}

enum { GENERATIONS = 1 << 18 };

static void set_self(weft_eff_node *n, uint64_t self) { atom_store_rlx((_Atomic uint64_t *)&n->self, self); }

static bool add_block(weft_eff_arena *a) {
    block *b = pool_get();
    if (!b) return false;
    b->older = a->blocks;
    b->newer = NULL;
    b->arena = a;
    if (a->blocks) a->blocks->newer = b;
    a->blocks = b;
    a->used = a->from = 0;
    return true;
}

/* A copy of n; NULL: no memory. */
static weft_eff_node *take_slot(weft_eff_arena *a, const weft_eff_node *n) {
    if (WEFT_UNLIKELY(!a->blocks || a->used == SLOTS) && !add_block(a)) {
        a->failed = true;
        return NULL;
    }
    weft_eff_node *slot = &a->blocks->slots[a->used++];
    uint32_t generation = generation_of(slot->self) + 1;
    memcpy((char *)slot + sizeof slot->self, (const char *)n + sizeof n->self, sizeof *n - sizeof n->self);
    set_self(slot, self_of(slot, generation));
    return slot;
}

static void give_back(block *b, uint32_t used) {
    for (uint32_t i = 0; i < used; i++) {
        weft_eff_node *n = &b->slots[i];
        if (generation_of(n->self) + 1 >= GENERATIONS) b->worn = true;
        set_self(n, n->self & ~(uint64_t)EFF_ARENA);
    }
    if (WEFT_UNLIKELY(b->worn))
        weft__os_discard(b, BLOCK); /* it reads as zero from now on, which is no reference */
    else
        pool_put(b);
}

static block *block_of(eff_ref ref) { return (block *)(ref & ADDRESS & ~(uintptr_t)(BLOCK - 1)); }

/* ---- bytes ---------------------------------------------------------------------------------------- */

static void *take_bytes(weft_eff_arena *a, size_t n) {
    bytes *b = a->bytes;
    n = (n + 15) & ~(size_t)15;
    if (!b || b->size - b->used < n) {
        size_t size = !b ? BYTES_LEAST : b->size * 2 < BYTES_MOST ? b->size * 2 : BYTES_MOST;
        if (size < n) size = n;
        bytes *more = weft__heap_alloc(sizeof *more + size, 16);
        if (!more) {
            a->failed = true;
            return NULL;
        }
        *more = (bytes){b, size, 0, 0};
        a->bytes = b = more;
    }
    void *at = (char *)(b + 1) + b->used;
    b->used += n;
    return at;
}

/* `data` bytes at *with, kept: in the slot itself if there is room. */
static void keep_bytes(weft_eff_arena *a, const void **with, size_t n, void *spare, size_t room) {
    void *to = n <= room ? spare : take_bytes(a, n);
    if (to) memcpy(to, *with, n);
    *with = to;
}

/* ---- opening and closing -------------------------------------------------------------------------- */

void weft_eff_arena_open(weft_eff_arena *a) { memset(a, 0, sizeof *a); }

static void free_bytes(bytes *b) {
    for (bytes *older; b; b = older) {
        older = b->older;
        weft__heap_free(b, sizeof *b + b->size);
    }
}

void weft_eff_arena_close(weft_eff_arena *a) {
    uint32_t used = a->used;
    for (block *b = a->blocks, *older; b; b = older) {
        older = b->older;
        give_back(b, used);
        used = SLOTS;
    }
    free_bytes(a->bytes);
    weft_eff_arena_open(a);
}

void weft__eff_arena_reset(weft_eff_arena *a) {
    block *b = a->blocks;
    for (block *at = b ? b->older : NULL, *older; at; at = older) {
        older = at->older;
        give_back(at, SLOTS);
    }
    if (b) {
        b->older = NULL;
        for (uint32_t i = a->from; i < a->used; i++) set_self(&b->slots[i], b->slots[i].self & ~(uint64_t)EFF_ARENA);
        a->from = a->used;
        if (a->used == SLOTS) {
            give_back(b, SLOTS);
            a->blocks = NULL;
            a->used = a->from = 0;
        }
    }
    if (a->bytes) {
        free_bytes(a->bytes->older);
        a->bytes->older = NULL;
        a->bytes->used = 0;
    }
}

static weft_exit close_at_end(void *a) {
    weft_eff_arena_close(a);
    return (weft_exit){WEFT_EXIT_OK, 0, NULL};
}

weft_eff_arena *weft_eff_arena_in(weft_scope *s) {
    weft_eff_arena *a = weft_alloc(s, sizeof *a);
    if (!a) return NULL;
    weft_eff_arena_open(a);
    return weft_defer(s, close_at_end, a, 0) ? NULL : a;
}

/* ---- copying ------------------------------------------------------------------------------------------- *
 * The slots themselves are the list of what is still to be looked through: each copy's children are copied behind it. */

static weft_eff_node *slot_of(weft_eff_arena *a, eff_ref ref) {
    return ref & EFF_ARENA && block_of(ref)->arena == a ? (weft_eff_node *)(ref & ADDRESS) : NULL;
}

static bool is_step(const weft_eff_node *n) {
    return n->count && (n->kind == WEFT__EFF_MAP || n->kind == WEFT__EFF_MAP_WORD || n->kind == WEFT__EFF_FLAT_MAP);
}

/* Of a copy whose step is not made yet. */
static void own_function_only(weft_eff_node *n) {
    n->u.step.fn[0] = n->data == WEFT__EFF_WIDE ? n->u.step.fn[0].all[n->count - 1] : n->u.step.fn[n->count - 1];
    n->data = 0;
}

static void keep_data(weft_eff_arena *a, weft_eff_node *n) {
    switch (n->kind) {
    case WEFT__EFF_SUSPEND:
    case WEFT__EFF_MAP_WITH:
    case WEFT__EFF_FLAT_MAP:
    case WEFT__EFF_ACQUIRE:
    case WEFT__EFF_TAP:
    case WEFT__EFF_CATCH_ALL: keep_bytes(a, &n->u.next.with, n->data, &n->u.next.spare, sizeof n->u.next.spare); break;
    case WEFT__EFF_PERFORM: keep_bytes(a, &n->u.leaf.with, n->data, &n->u.leaf.number, sizeof n->u.leaf.number); break;
    case WEFT__EFF_RACE:
    case WEFT__EFF_ANY:
    case WEFT__EFF_EACH:
    case WEFT__EFF_PROVIDE:
    case WEFT__EFF_RETRY:
    case WEFT__EFF_REPEAT: keep_bytes(a, &n->u.leaf.with, n->data, NULL, 0); break;
    default:
        keep_bytes(a, &n->u.leaf.with, n->data, &n->u.leaf.number, sizeof n->u.leaf.number + sizeof n->u.leaf.spare);
        break;
    }
}

/* The reference of ref's copy; a stale one stays what it is, for the run to tell. */
static eff_ref copy(weft_eff_arena *a, eff_ref ref) {
    const weft_eff_node *n = ref ? eff_node(ref) : NULL;
    if (!n || slot_of(a, ref)) return ref;
    weft_eff_node *to = take_slot(a, n);
    if (!to) return 0;
    if (is_step(to))
        own_function_only(to);
    else if (to->data)
        keep_data(a, to);
    return to->self;
}

/* A larger array of n's functions. */
static weft__eff_step *more_functions(weft_eff_arena *a, const weft_eff_node *n) {
    size_t most = n->count < STEP_SOME ? STEP_SOME : STEP_MOST;
    weft__eff_step *all = take_bytes(a, most * sizeof *all);
    if (all) memset(all, 0, most * sizeof *all);
    if (all) memcpy(all, eff_functions(n), n->count * sizeof *all);
    return all;
}

/* n, the newest of its step, over `on`, of the same arena: their functions are one array, to which the next one adds its own,
 * as long as nobody else has added to it.  Else n begins a step. */
static void join_step(weft_eff_arena *a, weft_eff_node *n, const weft_eff_node *on, weft__eff_step own) {
    n->count = 1;
    n->data = WEFT__EFF_KEPT;
    n->u.step.base = n->a;
    n->u.step.fn[0] = own;
    if (!on || on->kind != n->kind || on->count == 0) return;
    unsigned at = on->count;
    if (at < WEFT__EFF_FUSED) {
        n->u.step = on->u.step;
        n->u.step.fn[at] = own;
    } else {
        weft__eff_step *all = on->u.step.fn[0].all;
        if (at == STEP_MOST) return;
        if (at == WEFT__EFF_FUSED || at == STEP_SOME) all = more_functions(a, on);
        if (!all || all[at].word) return;
        n->u.step.base = on->u.step.base;
        n->u.step.fn[0].all = all;
        n->data = WEFT__EFF_WIDE;
        all[at] = own;
    }
    n->count = (uint8_t)(at + 1);
}

/* The functions of a step are kept from the innermost outwards: those further in first, but for those of a chain too long. */
static void copy_step(weft_eff_arena *a, weft_eff_node *n, unsigned deep) {
    if (n->data) return;
    n->a = copy(a, n->a);
    weft_eff_node *on = slot_of(a, n->a);
    if (on && is_step(on) && !on->data) {
        if (deep < STEP_DEEP)
            copy_step(a, on, deep + 1);
        else
            on = NULL;
    }
    join_step(a, n, on, n->u.step.fn[0]);
}

static void copy_children(weft_eff_arena *a, weft_eff_node *n) {
    if (is_step(n)) return copy_step(a, n, 0);
    n->a = copy(a, n->a);
    switch (n->kind) {
    case WEFT__EFF_ZIP:
    case WEFT__EFF_ZIP_PAR:
    case WEFT__EFF_ENSURING:
    case WEFT__EFF_ON_INTERRUPT: n->u.two.b = copy(a, n->u.two.b); break;
    case WEFT__EFF_RACE:
    case WEFT__EFF_ANY: {
        eff_ref *b = (eff_ref *)(uintptr_t)n->u.leaf.with;
        for (unsigned i = 0; b && i < n->count; i++) b[i] = copy(a, b[i]);
        break;
    }
    case WEFT__EFF_EACH: {
        weft__eff_each_spec *e = (weft__eff_each_spec *)(uintptr_t)n->u.leaf.with;
        if (e && e->data) keep_bytes(a, &e->with, e->data, NULL, 0);
        break;
    }
    default: break;
    }
}

static void look_through(weft_eff_arena *a, block *b, uint32_t from) {
    for (; b; b = b->newer, from = 0)
        for (; from < (b->newer ? SLOTS : a->used); from++) copy_children(a, &b->slots[from]);
}

uintptr_t weft__eff_keep(weft_eff_arena *a, uintptr_t ref) {
    static const weft_cause nothing =
        WEFT__CAUSE_STATIC(WEFT_CAUSE_FAIL, "weft_eff_keep: there was no memory to keep an effect");
    static const weft_eff_site site = {"keep", __FILE__, __LINE__};
    static const weft_eff_node lost = {
        .kind = WEFT__EFF_FAIL, .site = &site, .u.leaf = {.with = &nothing, .number = WEFT_E_NOMEM}};
    if (slot_of(a, ref)) return ref;
    block *b = a->blocks;
    uint32_t from = a->used;
    a->failed = false;
    eff_ref made = copy(a, ref);
    if (!b || from == SLOTS) from = 0, b = b ? b->newer : a->blocks;
    if (made && !a->failed) look_through(a, b, from);
    return a->failed ? (uintptr_t)&lost : made;
}
