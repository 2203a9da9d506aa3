/* tests/model/tree_model.c -- a cancel that goes down the tree of scopes (sched/cancel.c), against who enters it.
 *
 * Forked tasks on other workers wait for the first time, and publish their nodes for that: each its own in the one they
 * share, that in the fiber's.  Meanwhile the fiber is cancelled: as a node (weft__node_cancel), or through its handle, which
 * looks without the lock whether anything is below it (reach_fiber).  Steps transcribed from there; the waits are
 * sched/wait.h, leaving the stack left out (wait_model.c).
 *
 *   fiber's base <- shared <- base of task 1, 2, ..        with P_SHALLOW the tasks hang on the fiber's base directly
 *
 * With P_STAYS they end with their waits, their nodes still in.  With P_JOINER the first only publishes the shared node
 * (weft__node_join).
 *
 * What must hold: nobody waits on (each looks and finds that it is to stop, or is woken); a node is not touched after it was
 * taken out.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/spin.h"
#include "sched/wait.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { P_TASKS, P_BY_HANDLE, P_SHALLOW, P_STAYS, P_JOINER };
enum { FIBER, SHARED, TASK, NODES = TASK + 2 };
enum { CANCELLED = 1, PUBLISHED = 4 };

typedef struct node {
    spin lock;
    _Atomic uint32_t state;
    _Atomic(uintptr_t) inner;
    struct node *outer, *next, *prev;
} node;

static node nodes[NODES]; /* the_model.plain; what is plain in it is guarded: */
static model_data links[NODES], memory[NODES];
static _Atomic uint64_t winner[NODES], epoch;
static _Atomic uint32_t resumed[NODES];

/* Mutants by flag. */
static bool linked_last, look_before_publish, no_publish, no_fence, look_before_epoch, no_retract, walk_unlocked;

void weft__os_yield(void) {}

static unsigned param(int i) { return (unsigned)model_instance_->param[i]; }
static unsigned index_of(const node *n) { return (unsigned)(n - nodes); }

static void setup(void) {
    memset(nodes, 0, sizeof nodes);
    memset(links, 0, sizeof links);
    memset(memory, 0, sizeof memory);
    for (unsigned i = SHARED; i < NODES; i++) nodes[i].outer = &nodes[i == SHARED || param(P_SHALLOW) ? FIBER : SHARED];
    for (unsigned i = 0; i < NODES; i++) {
        atomic_init(&winner[i], 0);
        atomic_init(&resumed[i], 0);
    }
    atomic_init(&epoch, 0);
}

/* ---- the tree ------------------------------------------------------------------------------------------ */

static node *inner_of(node *n) { return (node *)atom_load_rlx(&n->inner); }

static void link_inner(node *outer, node *n) {
    model_write(&links[index_of(outer)], index_of(n));
    n->prev = NULL;
    n->next = inner_of(outer);
    if (n->next) n->next->prev = n;
    atom_store_rel(&outer->inner, (uintptr_t)n); /* = sched/cancel.c:link_inner */
}

static void publish_one(node *n) {
    node *outer = n->outer;
    spin_lock(&outer->lock);
    if (linked_last) {
        if (!(atom_or_ar(&n->state, PUBLISHED) & PUBLISHED)) link_inner(outer, n);
    } else if (!(atom_load_rlx(&n->state) & PUBLISHED)) { /* = sched/cancel.c:weft__node_publish */
        link_inner(outer, n);
        atom_or_ar(&n->state, PUBLISHED); /* = sched/cancel.c:weft__node_publish */
    }
    spin_unlock(&outer->lock);
}

static void publish(node *n) {
    while (n->outer && !(atom_load_acq(&n->state) & PUBLISHED)) { /* = sched/cancel.c:weft__node_publish */
        publish_one(n);
        n = n->outer;
        model_forget(index_of(n));
    }
}

static void retract(node *n) {
    node *outer = n->outer;
    spin_lock(&outer->lock);
    model_write(&links[index_of(outer)], NODES + index_of(n));
    if (n->next) n->next->prev = n->prev;
    if (n->prev)
        n->prev->next = n->next;
    else
        atom_store_rlx(&outer->inner, (uintptr_t)n->next); /* = sched/cancel.c:weft__node_retract */
    spin_unlock(&outer->lock);
}

static void poke(unsigned i) {
    if (wait_poke(&winner[i], 0)) atom_store_rel(&resumed[i], 1);
}

static void reach_below(node *n) {
    if (!walk_unlocked) spin_lock(&n->lock);
    (void)model_read(&links[index_of(n)]);
    for (node *m = inner_of(n); m; m = m->next) {
        (void)model_read(&memory[index_of(m)]);
        if (index_of(m) >= TASK) poke(index_of(m));
        reach_below(m);
    }
    if (!walk_unlocked) spin_unlock(&n->lock);
}

/* As weft__node_cancel, weft__fiber_cancel. */
static void cancel(node *n) {
    bool below = look_before_epoch && atom_load_seq(&n->inner);
    atom_or_ar(&n->state, CANCELLED);
    atom_add_seq(&epoch, 1); /* = sched/cancel.c:new_epoch */
    if (!look_before_epoch && param(P_BY_HANDLE)) below = atom_load_seq(&n->inner); /* = sched/cancel.c:reach_fiber */
    if (below || (!look_before_epoch && !param(P_BY_HANDLE))) reach_below(n);
}

/* ---- tasks --------------------------------------------------------------------------------------------- */

static bool is_set(void *arg) { return model_peek((_Atomic uint32_t *)arg) != 0; }

/* From A1 to the end; false: it was asked to stop before.  A read-modify-write stands for the lock of the queue. */
static bool wait_until_woken(unsigned i) {
    uint64_t ticket = wait_begin(&winner[i], 0);
    atom_or_ar(&nodes[i].state, 0);
    if (!no_fence) atom_fence_after_rmw(); /* = sched/switch.h:wait_on_as */
    if (!look_before_publish && atom_load_seq(&epoch)) { /* = sched/cancel.h:cancel_due */
        wait_end(&winner[i]);
        return false;
    }
    wait_open(&winner[i], ticket);
    model_forget(10);
    model_await(is_set, &resumed[i]);
    (void)atom_load_acq(&resumed[i]);
    return wait_end(&winner[i]) == WAIT_CANCEL;
}

static void task(unsigned i) {
    node *n = &nodes[i];
    model_write(&memory[i], 1);
    if (look_before_publish && atom_load_seq(&epoch)) return;
    if (!no_publish) publish(n);
    model_forget(11);
    wait_until_woken(i);
    if (param(P_STAYS)) return;
    model_check(atom_load_acq(&nodes[FIBER].state) & CANCELLED);
    if (!no_retract) retract(n);
    model_write(&memory[i], 2); /* somebody else's now */
}

static void thread(unsigned self) {
    if (self == 0)
        cancel(&nodes[FIBER]);
    else if (self == 1 && param(P_JOINER))
        publish(&nodes[SHARED]);
    else
        task(TASK + self - 1);
}

static const model_instance instances[] = {
    {.name = "node-one-task", .threads = 2, .param = {1, 0, 0}},
    {.name = "handle-one-task", .threads = 2, .param = {1, 1, 0}},
    {.name = "handle-shallow", .threads = 2, .param = {1, 1, 1}},
    {.name = "handle-joined", .threads = 3, .param = {2, 1, 0, 1, 1}},
    {.name = "node-joined", .threads = 3, .param = {2, 0, 0, 1, 1}},
    {.name = "node-two-tasks", .threads = 3, .param = {2, 0, 0, 1}, .sc = true},
    {.name = "handle-two-tasks", .threads = 3, .param = {2, 1, 0, 1}, .sc = true},
    {.name = "handle-two-shallow", .threads = 3, .param = {2, 1, 1}, .sc = true},
    {0},
};

static const model_mutant mutants[] = {
    {"published-before-linked", "handle-joined", &linked_last, NULL, NULL, NULL},
    {"look-before-publish", "node-one-task", &look_before_publish, NULL, NULL, NULL},
    {"not-published", "node-one-task", &no_publish, NULL, NULL, NULL},
    {"no-fence", "handle-shallow", &no_fence, NULL, NULL, NULL},
    {"look-below-before-epoch", "handle-shallow", &look_before_epoch, NULL, NULL, NULL},
    {"not-retracted", "node-one-task", &no_retract, NULL, NULL, NULL},
    {"walk-without-lock", "node-one-task", &walk_unlocked, NULL, NULL, NULL},
    {0},
};

const model the_model = {"tree", setup, thread, NULL, nodes, sizeof nodes, instances, mutants};
