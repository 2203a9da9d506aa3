/* A generator, and a scheduler: two things to do with a continuation.
 *
 * walk() visits a tree, and knows nothing of who wants its nodes, or when: it yields them.  The generator's clause keeps the
 * rest of the walk for the next time.  The scheduler's clause puts it at the end of a line, and lets the first in the line go on. */
#include <stdio.h>
#include <weft/continuation.h>
#include <weft/runtime.h>

WEFT_EFFECT(yield, char, int value;);

typedef struct tree {
    const struct tree *left, *right;
    int value;
} tree;
static const tree leaves[] = {{NULL, NULL, 1}, {NULL, NULL, 3}, {NULL, NULL, 5}};
static const tree inner = {&leaves[0], &leaves[1], 2}, root = {&inner, &leaves[2], 4};

static int walk(const tree *t);
WEFT_TASK(walk, int, const tree *);
static int walk(const tree *t) {
    if (!t) return 0;
    int below = walk(t->left);
    if (!weft_ok(weft_perform(yield, NULL, t->value))) return below; /* nobody wants more */
    return below + 1 + walk(t->right);
}

/* ---- a generator ---------------------------------------------------------------------------------------- */

typedef struct generator {
    weft_k rest;
    int value;
    bool more;
} generator;

static weft_exit on_yield(weft_k k, const yield_op *op, void *answer, void *self) {
    generator *g = self;
    (void)answer;
    g->value = op->value;
    g->more = true;
    g->rest = weft_keep(k); /* weft_handle, or weft_resume, returns now */
    return weft_done;
}

static void generate(void) {
    generator g = {.more = false};
    int nodes = 0;
    weft_handler h = WEFT_HANDLER(&g, WEFT_ONESHOT(yield, on_yield));
    weft_exit e = weft_handle(&h, walk, &nodes, &root);
    while (g.more && weft_ok(e)) {
        g.more = false;
        printf("%d\n", g.value);
        e = weft_resume(g.rest, yield, 0, &nodes);
    }
    printf("%d nodes\n", nodes);
    e = weft_handle(&h, walk, NULL, &root); /* only the first of another walk */
    printf("first: %d\n", g.value);
    weft_discontinue(g.rest, (weft_exit){.tag = WEFT_EXIT_INTERRUPT, .code = WEFT_E_CANCELLED}, NULL);
    (void)e;
}

/* ---- a scheduler ---------------------------------------------------------------------------------------- */

typedef struct scheduler {
    weft_k line[4];
    unsigned first, n;
} scheduler;

static weft_exit take_turns(weft_k k, const yield_op *op, void *answer, void *self) {
    scheduler *s = self;
    (void)answer;
    printf("%d ", op->value);
    s->line[(s->first + s->n++) % 4] = weft_keep(k);
    return weft_done;
}

static void schedule(void) {
    scheduler s = {.n = 0};
    weft_handler h = WEFT_HANDLER(&s, WEFT_ONESHOT(yield, take_turns));
    for (int i = 0; i < 3; i++) weft_handle(&h, walk, NULL, i % 2 ? &inner : &root);
    while (s.n) {
        weft_k next = s.line[s.first++ % 4];
        s.n--;
        weft_resume(next, yield, 0, NULL);
    }
    printf("\n");
}

static void both(void *arg) {
    (void)arg;
    generate();
    schedule();
}

int main(void) { return weft_run(NULL, both, NULL) != WEFT_OK; }
