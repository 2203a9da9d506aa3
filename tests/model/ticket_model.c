/* tests/model/ticket_model.c -- effect/ticket.h: a body's driver, and others who have its continuation.
 *
 * Letters of the script: K drives it to a perform, keeps it, and only then hands the continuation out; H hands it out while it
 * is held, and goes on by itself; O keeps and takes it alone, as a runtime with one worker does.  T takes it when it has been
 * handed out; G takes it, and gives it back if it could; A takes it, drives it to its next perform, keeps that one and hands it
 * out; L takes that one.  B does as A, but hands it out while it is held, and goes on by itself; X is K, who tries that one.
 * Handing out orders nothing, but where it is told: whoever has a continuation has a number.
 *
 * What must hold: one at a time has the body, and sees all that was done to it; each perform is gone on with at most once.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/ticket.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { P_TOLD }; /* handing out is a release: then whoever gets one can use it.  1: always; 2: of the first perform */
enum { PERFORMS = 4 };
static bool told(unsigned n) { return model_instance_->param[P_TOLD] == 1 || (model_instance_->param[P_TOLD] && n == 0); }

static ticket_word word;
static ticket_holder holder;
static _Atomic uint64_t handed[PERFORMS]; /* the continuation of each perform, and one bit */
static model_data body;
static model_count performs, used[PERFORMS];

/* Mutants by flag. */
static bool same_generation, anybody_holds, take_by_store;

static void setup(void) {
    atomic_init(&word, TICKET_STATES * 5); /* of runtime 5 */
    atomic_init(&holder, 0);
    for (int i = 0; i < PERFORMS; i++) {
        atomic_init(&handed[i], 0);
        used[i] = 0;
    }
    memset(&body, 0, sizeof body);
    performs = 0;
}

/* The number of a perform. */
static unsigned perform_of(uint64_t ticket) { return (unsigned)(ticket / TICKET_GENERATION) - 1; }

static uint64_t perform(unsigned self) {
    model_write(&body, model_read(&body) + 1);
    atom_store_rlx(&holder, self + 1);
    if (same_generation && atom_load_rlx(&word) >= TICKET_GENERATION)
        atom_store_rlx(&word, atom_load_rlx(&word) - TICKET_GENERATION);
    ticket_hold(&word);
    model_count_add(&performs, 1);
    return atom_load_rlx(&word) - TICKET_HELD;
}

static void hand_out(uint64_t ticket) {
    _Atomic uint64_t *to = &handed[perform_of(ticket)];
    if (told(perform_of(ticket)))
        atom_store_rel(to, ticket | 1);
    else
        atom_store_rlx(to, ticket | 1);
}

static void keep(uint64_t ticket) {
    model_check(ticket_is_held(&word, ticket));
    ticket_keep(&word, ticket);
    hand_out(ticket);
}

static bool take(unsigned self, uint64_t ticket, bool alone, uint64_t *was) {
    if (take_by_store) {
        *was = TICKET_KEPT;
        if ((atom_load_acq(&word) ^ ticket) != TICKET_KEPT) return false;
        atom_store_rlx(&word, ticket);
        return true;
    }
    ticket_holder himself;
    if (!anybody_holds) return ticket_take(&word, ticket, &holder, self + 1, alone, was);
    atomic_init(&himself, self + 1);
    return ticket_take(&word, ticket, &himself, self + 1, alone, was);
}

/* Has it: alone with the body. */
static void go_on(uint64_t ticket) {
    model_check(model_count_add(&used[perform_of(ticket)], 1) == 1);
    model_write(&body, model_read(&body) + 1);
}

static bool is_handed(void *arg) { return model_peek((_Atomic uint64_t *)arg) != 0; }

static void others(unsigned self, char letter, unsigned n) {
    uint64_t was;
    model_await(is_handed, &handed[n]);
    uint64_t ticket = (told(n) ? atom_load_acq(&handed[n]) : atom_load_rlx(&handed[n])) & ~(uint64_t)1;
    (void)ticket_is_open(&word, ticket);
    if (!take(self, ticket, false, &was)) return;
    if (letter == 'G') {
        (void)model_read(&body); /* waits in another effect */
        ticket_give_back(&word, ticket, was);
        return;
    }
    go_on(ticket);
    if (letter == 'A') keep(perform(self));
    if (letter != 'B') return;
    ticket = perform(self);
    hand_out(ticket);
    model_check(take(self, ticket, false, &was));
    go_on(ticket);
}

static void thread(unsigned self) {
    char letter = model_instance_->script[self];
    uint64_t was, ticket;
    if (self) {
        others(self, letter, letter == 'L' ? 1 : 0);
        return;
    }
    ticket_begin(&word, 5);
    ticket = perform(0);
    if (letter == 'H') {
        hand_out(ticket);
        model_check(take(0, ticket, false, &was));
        go_on(ticket);
    } else {
        keep(ticket);
        if (letter == 'X') others(0, 'T', 1);
        if (letter == 'O' && take(0, ticket, true, &was)) go_on(ticket);
    }
}

static void finish(void) {
    uint64_t all = 0;
    for (int i = 0; i < PERFORMS; i++) {
        model_check(used[i] <= 1);
        all += used[i];
    }
    model_check(body.value == performs + all);
    if (model_instance_->param[P_TOLD] == 1) model_check(all == performs);
}

static const model_instance instances[] = {
    {.name = "one-takes", .threads = 2, .script = "KT"},
    {.name = "two-take", .threads = 3, .script = "KTT"},
    {.name = "three-take", .threads = 4, .script = "KTTT"},
    {.name = "held", .threads = 2, .script = "HT"},
    {.name = "held-two", .threads = 3, .script = "HTT"},
    {.name = "given-back", .threads = 3, .script = "KGA"},
    {.name = "again", .threads = 3, .script = "KAA"},
    {.name = "again-and-later", .threads = 3, .param = {1}, .script = "KAL"},
    {.name = "one-is-told", .threads = 2, .param = {1}, .script = "KT"},
    {.name = "two-are-told", .threads = 3, .param = {1}, .script = "KTT"},
    {.name = "held-by-another", .threads = 2, .param = {2}, .script = "XB"},
    {.name = "alone", .threads = 1, .script = "O"},
    {0},
};

static const model_mutant mutants[] = {
    {"same-generation", "again", &same_generation, NULL, NULL, NULL},
    {"anybody-holds", "held", &anybody_holds, NULL, NULL, NULL},
    {"take-by-store", "two-take", &take_by_store, NULL, NULL, NULL},
    {"hold-relaxed", "held-by-another", NULL, "ticket_hold", "store_rel(word)", "rlx"},
    {"keep-relaxed", "one-takes", NULL, "ticket_keep", "store_rel(word)", "rlx"},
    {"give-back-relaxed", "given-back", NULL, "ticket_give_back", "store_rel(word)", "rlx"},
    {0},
};

const model the_model = {"ticket", setup, thread, finish, NULL, 0, instances, mutants};
