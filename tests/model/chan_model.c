/* tests/model/chan_model.c -- sched/chan.h and sched/select.c over sched/wait.h: senders, receivers, selects, a close, a cancel.
 *
 * Each thread is a party that does one thing, named by a letter of the instance's script; channels a and b:
 *   S, T  sends on a, on b          R  receives from a       K  closes a       C  cancels party 0
 *   X  select: receive a, receive b      Y  select: send a, receive b      Z  select: send b, receive a
 *   M  select: send a, receive a         D  select: receive a, receive a
 * A party that waits is away: its thread goes on unlocking (A5) and ends, and whoever wins its wait runs the rest of it, on its
 * own thread (A6).  So the two meet in its frame if anything allows it.
 *
 * What must hold: each wait ends once; each value is received once, is in the buffer, or is its sender's; nobody touches a frame
 * that is over; in the end nobody waits for whom he could meet (I2, I3), nor on a closed channel (I4), nor when cancelled.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/wait.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { P_CAPACITY };
enum { CHANNELS = 2, PARTIES = 4, ARMS = 2 };
enum { NOT, DONE, CLOSED, CANCELLED };

typedef struct record {
    waiter w; /* must be first */
    unsigned party, channel;
    bool sends;
    unsigned how;
} record;

typedef struct channel {
    uintptr_t receivers, senders;
    unsigned n, closed;
} channel;

static wait_queue lock_of[CHANNELS];
static _Atomic uint64_t winner[PARTIES];
static _Atomic uint32_t asked, epoch;
static model_data state_of[CHANNELS], buffer[CHANNELS], frame[PARTIES], value[PARTIES], got[PARTIES];

static struct {
    record record[PARTIES][ARMS];
    channel channel[CHANNELS];
    uint64_t away[PARTIES], over[PARTIES], result[PARTIES], given, taken;
} p; /* the_model.plain */

/* Mutants by flag. */
static bool give_to_loser, forget_senders, forget_receivers, closed_not_seen, no_leave, unlock_before_open, touch_after_unlock,
    no_scan, link_before_scan, any_order, win_by_store, leave_first_only, unlock_between, look_before_parking, skip_won_channel,
    lock_twice, copy_after_wake, unlock_at_first;

void weft__os_yield(void) {}

static void setup(void) {
    for (int i = 0; i < CHANNELS; i++) {
        atomic_init(&lock_of[i], 0);
        memset(&state_of[i], 0, sizeof state_of[i]);
        memset(&buffer[i], 0, sizeof buffer[i]);
    }
    for (int i = 0; i < PARTIES; i++) {
        atomic_init(&winner[i], 0);
        memset(&frame[i], 0, sizeof frame[i]);
        memset(&value[i], 0, sizeof value[i]);
        memset(&got[i], 0, sizeof got[i]);
    }
    atomic_init(&asked, 0);
    atomic_init(&epoch, 0);
    memset(&p, 0, sizeof p);
}

static void resume(unsigned party);

/* ---- the lock, and what it guards, as data --------------------------------------------------------------- */

static uint64_t ring_value(uintptr_t word) {
    uint64_t all = 0;
    waiter *newest = queue_newest(word);
    for (waiter *at = newest ? newest->next : NULL; at; at = at == newest ? NULL : at->next)
        all = all * 16 + (uint64_t)((record *)at - &p.record[0][0]) + 1;
    return all;
}
static void changed(unsigned c) {
    channel *k = &p.channel[c];
    model_write(&state_of[c], ((ring_value(k->receivers) * 65536 + ring_value(k->senders)) * 4 + k->n) * 2 + k->closed);
}
static void lock(unsigned c) {
    uintptr_t word;
    queue_lock(&lock_of[c], &word);
    (void)model_read(&state_of[c]);
}
static void unlock(unsigned c) { queue_unlock(&lock_of[c], 0); }

/* As waiter_win. */
static bool win(record *r) {
    (void)model_read(&frame[r->party]);
    if (!win_by_store) return wait_win(&winner[r->party], r->w.ticket, WAIT_WOKEN);
    if (atom_load_acq(&winner[r->party]) != r->w.ticket) return false;
    atom_store_rel(&winner[r->party], (r->w.ticket & ~(uint64_t)0xff) | WAIT_WOKEN);
    return true;
}

/* As chan_win. */
static record *win_oldest(uintptr_t *ring, unsigned how) {
    while (*ring) {
        record *r = (record *)queue_newest(*ring)->next;
        *ring = queue_unlink(*ring, &r->w);
        if (!win(r) && !give_to_loser) continue;
        r->how = how;
        return r;
    }
    return NULL;
}

/* As chan_send and chan_receive. */
static unsigned send(unsigned c, unsigned me, record **partner) {
    channel *k = &p.channel[c];
    if (k->closed && !closed_not_seen) return CLOSED;
    if ((*partner = win_oldest(&k->receivers, DONE))) {
        if (!copy_after_wake) model_write(&got[(*partner)->party], model_read(&value[me]));
    } else if (k->n < (unsigned)model_instance_->param[P_CAPACITY]) {
        model_write(&buffer[c], model_read(&value[me]));
        k->n++;
    } else {
        return NOT;
    }
    changed(c);
    p.given++;
    return DONE;
}
static unsigned receive(unsigned c, unsigned me, record **partner) {
    channel *k = &p.channel[c];
    if (k->n) {
        model_write(&got[me], model_read(&buffer[c]));
        k->n--;
        if ((*partner = win_oldest(&k->senders, DONE))) {
            model_write(&buffer[c], model_read(&value[(*partner)->party]));
            k->n++;
            p.given++;
        }
    } else if ((*partner = win_oldest(&k->senders, DONE))) {
        model_write(&got[me], model_read(&value[(*partner)->party]));
        p.given++;
    } else {
        return k->closed ? CLOSED : NOT;
    }
    changed(c);
    return DONE;
}

/* ---- a party --------------------------------------------------------------------------------------------- */

/* Arms as {channel, sends}; returns how many. */
static unsigned arms_of(unsigned me, unsigned *channels, bool *sends) {
    switch (model_instance_->script[me]) {
    case 'S': return channels[0] = 0, sends[0] = true, 1;
    case 'T': return channels[0] = 1, sends[0] = true, 1;
    case 'R': return channels[0] = 0, sends[0] = false, 1;
    case 'X': return channels[0] = 0, channels[1] = 1, sends[0] = sends[1] = false, 2;
    case 'Y': return channels[0] = 0, channels[1] = 1, sends[0] = true, sends[1] = false, 2;
    case 'Z': return channels[0] = 0, channels[1] = 1, sends[0] = false, sends[1] = true, 2;
    case 'M': return channels[0] = channels[1] = 0, sends[0] = true, sends[1] = false, 2;
    case 'D': return channels[0] = channels[1] = 0, sends[0] = sends[1] = false, 2;
    default: return 0;
    }
}

static void ends(unsigned me, unsigned how, bool sent) {
    model_check(!p.over[me]);
    model_write(&frame[me], 2); /* records, arms and rooms are gone */
    if (how == DONE && !sent) {
        model_check(model_read(&got[me]) != 0);
        p.taken++;
    }
    p.over[me] = 1;
    p.result[me] = how;
}

static uintptr_t *ring_of(unsigned c, bool sends) { return sends ? &p.channel[c].senders : &p.channel[c].receivers; }

static void link(unsigned me, unsigned i, unsigned c, bool sends, uint64_t ticket) {
    record *r = &p.record[me][i];
    r->w.f = (struct fiber *)&p;
    r->w.ticket = ticket;
    r->party = me;
    r->channel = c;
    r->sends = sends;
    r->how = NOT;
    *ring_of(c, sends) = queue_link(*ring_of(c, sends), &r->w);
    changed(c);
}

/* As select_wait of sched/select.c, with one arm chan_wait of sched/chan.c. */
static void begin(unsigned me) {
    unsigned c[ARMS], n = arms_of(me, c, (bool[ARMS]){0}), how = NOT, arm = 0;
    bool sends[ARMS];
    arms_of(me, c, sends);
    record *partner = NULL;
    bool same = n == 2 && c[0] == c[1], turn = any_order && me == 1 && n == 2 && !same;
    model_write(&value[me], me + 1);
    bool early = look_before_parking && atom_load_seq(&epoch);
    uint64_t ticket = wait_begin(&winner[me], 0); /* A1 */
    for (unsigned i = 0; i < n; i++) /* A2 */
        if (i == 0 || !same || lock_twice) lock(c[turn ? n - 1 - i : i]);
    atom_fence_after_rmw();
    bool due = me == 0 && (look_before_parking ? early : atom_load_seq(&epoch) != 0);
    model_write(&frame[me], 1);
    if (link_before_scan)
        for (unsigned i = 0; i < n; i++) link(me, i, c[i], sends[i], ticket), wait_open(&winner[me], ticket);
    for (unsigned i = 0; i < n && !due && how == NOT && !no_scan; i++) {
        arm = i;
        how = sends[i] ? send(c[i], me, &partner) : receive(c[i], me, &partner);
    }
    if (due || how != NOT) { /* A3 */
        for (unsigned i = 0; i < n; i++)
            if (i == 0 || !same) unlock(c[i]);
        wait_end(&winner[me]);
        unsigned to = partner ? partner->party : 0;
        if (partner) resume(to);
        if (partner && copy_after_wake && sends[arm]) model_write(&got[to], me + 1);
        ends(me, due ? CANCELLED : how, sends[arm]);
        return;
    }
    if (unlock_between)
        for (unsigned i = 0; i < n; i++)
            if (i == 0 || !same) unlock(c[i]), lock(c[i]);
    if (!link_before_scan)
        for (unsigned i = 0; i < n; i++) link(me, i, c[i], sends[i], ticket);
    p.away[me] = 1; /* A4 */
    if (unlock_before_open) unlock(c[0]);
    if (!link_before_scan) wait_open(&winner[me], ticket); /* A5 */
    for (unsigned i = unlock_before_open; i < n; i++) {
        (void)model_read(&frame[me]); /* what comes next */
        if (!same || (unlock_at_first ? i == 0 : i == n - 1)) unlock(c[i]); /* the last arm on it */
    }
    if (touch_after_unlock) (void)model_read(&frame[me]);
}

/* Whoever has won its wait runs it. */
static void resume(unsigned me) {
    unsigned c[ARMS], how = NOT, won = ARMS;
    bool sends[ARMS], sent = false;
    unsigned n = arms_of(me, c, sends);
    wait_state state = wait_end(&winner[me]);
    (void)model_read(&frame[me]); /* what A4 has saved */
    model_check(p.away[me]);
    p.away[me] = 0;
    for (unsigned i = 0; i < n && state == WAIT_WOKEN; i++)
        if (p.record[me][i].how != NOT) how = p.record[me][i].how, sent = sends[i], won = i;
    model_check((state == WAIT_WOKEN) == (how != NOT));
    bool same = n == 2 && c[0] == c[1];
    for (unsigned i = 0; i < n && !no_leave; i++) { /* A6 */
        if (same ? i == 1 : i == won) continue;
        if (same && skip_won_channel && won < n) continue;
        if (leave_first_only && i > 0) continue;
        lock(c[i]);
        for (unsigned j = same ? 0 : i; j <= (same ? 1 : i); j++)
            if (p.record[me][j].w.next) *ring_of(c[j], sends[j]) = queue_unlink(*ring_of(c[j], sends[j]), &p.record[me][j].w);
        changed(c[i]);
        unlock(c[i]);
    }
    ends(me, state == WAIT_CANCEL ? CANCELLED : how, sent);
}

/* As weft_chan_shut. */
static void close_a(void) {
    record *all[PARTIES * ARMS];
    unsigned n = 0, party[PARTIES * ARMS];
    lock(0);
    p.channel[0].closed = 1;
    while (!forget_senders && (all[n] = win_oldest(&p.channel[0].senders, CLOSED))) n++;
    while (!forget_receivers && (all[n] = win_oldest(&p.channel[0].receivers, CLOSED))) n++;
    changed(0);
    unlock(0);
    for (unsigned i = 0; i < n; i++) party[i] = all[i]->party;
    for (unsigned i = 0; i < n; i++) resume(party[i]);
}

static void cancel_first(void) {
    atom_store_rel(&asked, 1);
    atom_add_seq(&epoch, 1);
    if (wait_poke(&winner[0], 0)) resume(0);
}

static void thread(unsigned self) {
    switch (model_instance_->script[self]) {
    case 'K': close_a(); break;
    case 'C': cancel_first(); break;
    default: begin(self);
    }
}

static void finish(void) {
    const char *script = model_instance_->script;
    uint64_t left = 0;
    for (int c = 0; c < CHANNELS; c++) left += p.channel[c].n;
    model_check(p.given == p.taken + left);
    if (strchr(script, 'C')) model_check(p.over[0]);
    for (int i = 0; i < PARTIES; i++)
        for (int k = 0; k < ARMS; k++) model_check(!p.over[i] || !p.record[i][k].w.next);
    for (unsigned c = 0; c < CHANNELS; c++) {
        unsigned senders = 0, receivers = 0; /* parties that wait, a bit each */
        for (unsigned i = 0; i < model_instance_->threads; i++) {
            unsigned at[ARMS];
            bool sends[ARMS];
            for (unsigned k = 0, n = arms_of(i, at, sends); k < n && p.away[i]; k++)
                if (at[k] == c) *(sends[k] ? &senders : &receivers) |= 1u << i;
        }
        model_check(!receivers || !p.channel[c].n);                                             /* I2 */
        model_check(!senders || p.channel[c].n == (unsigned)model_instance_->param[P_CAPACITY]); /* I3 */
        model_check(!receivers || !senders || (receivers == senders && (senders & (senders - 1)) == 0));
        model_check(!p.channel[c].closed || !(receivers | senders)); /* I4 */
    }
}

static const model_instance instances[] = {
    {.name = "rendezvous", .threads = 2, .param = {0}, .script = "SR"},
    {.name = "two-senders", .threads = 3, .param = {0}, .script = "SRS"},
    {.name = "buffered", .threads = 3, .param = {1}, .script = "SSR"},
    {.name = "cancel", .threads = 2, .param = {0}, .script = "RC"},
    {.name = "receiver-cancelled", .threads = 3, .param = {0}, .script = "RSC"},
    {.name = "receiver-cancelled-another", .threads = 4, .param = {0}, .script = "RRSC"},
    {.name = "sender-cancelled", .threads = 3, .param = {0}, .script = "SRC"},
    {.name = "sender-cancelled-buffered", .threads = 4, .param = {1}, .script = "SSRC"},
    {.name = "close-receiver", .threads = 2, .param = {0}, .script = "RK"},
    {.name = "close-sender", .threads = 2, .param = {0}, .script = "SK"},
    {.name = "close-both", .threads = 3, .param = {0}, .script = "SRK"},
    {.name = "close-buffered", .threads = 4, .param = {1}, .script = "SSRK"},
    {.name = "close-cancel", .threads = 3, .param = {0}, .script = "RKC"},
    {.name = "select", .threads = 2, .param = {0}, .script = "XS"},
    {.name = "select-two-senders", .threads = 3, .param = {0}, .script = "XST"},
    {.name = "select-cancelled", .threads = 3, .param = {0}, .script = "XSC"},
    {.name = "select-close", .threads = 3, .param = {0}, .script = "XKT"},
    {.name = "select-buffered", .threads = 3, .param = {1}, .script = "YRT"},
    {.name = "two-selects", .threads = 3, .param = {0}, .script = "XXS"},
    {.name = "selects-meet", .threads = 2, .param = {0}, .script = "YZ"},
    {.name = "selects-meet-cancel", .threads = 3, .param = {0}, .script = "YZC"},
    {.name = "alone", .threads = 1, .param = {0}, .script = "M"},
    {.name = "same-channel", .threads = 2, .param = {0}, .script = "MM"},
    {.name = "same-channel-twice", .threads = 3, .param = {0}, .script = "DSC"},
    {0},
};

static const model_mutant mutants[] = {
    {"give-to-who-was-not-won", "receiver-cancelled", &give_to_loser, NULL, NULL, NULL},
    {"win-by-store", "receiver-cancelled", &win_by_store, NULL, NULL, NULL},
    {"close-forgets-senders", "close-sender", &forget_senders, NULL, NULL, NULL},
    {"close-forgets-receivers", "close-receiver", &forget_receivers, NULL, NULL, NULL},
    {"closed-not-seen", "close-sender", &closed_not_seen, NULL, NULL, NULL},
    {"no-leave", "receiver-cancelled", &no_leave, NULL, NULL, NULL},
    {"leave-first-only", "select-two-senders", &leave_first_only, NULL, NULL, NULL},
    {"skip-channel-of-winner", "same-channel-twice", &skip_won_channel, NULL, NULL, NULL},
    {"unlock-before-open", "select", &unlock_before_open, NULL, NULL, NULL},
    {"touch-after-unlock", "rendezvous", &touch_after_unlock, NULL, NULL, NULL},
    {"no-scan-under-lock", "rendezvous", &no_scan, NULL, NULL, NULL},
    {"unlock-between-scan-and-link", "rendezvous", &unlock_between, NULL, NULL, NULL},
    {"link-before-scan", "alone", &link_before_scan, NULL, NULL, NULL},
    {"lock-in-any-order", "selects-meet", &any_order, NULL, NULL, NULL},
    {"lock-twice", "alone", &lock_twice, NULL, NULL, NULL},
    {"copy-after-wake", "rendezvous", &copy_after_wake, NULL, NULL, NULL},
    {"look-before-parking", "cancel", &look_before_parking, NULL, NULL, NULL},
    {"unlock-at-first-arm", "same-channel", &unlock_at_first, NULL, NULL, NULL},
    {"open-relaxed", "cancel", NULL, "wait_open", "store_rel(winner)", "rlx"},
    {"lock-relaxed", "rendezvous", NULL, "queue_lock", "cas_seq(q)", "rlx"},
    {"unlock-relaxed", "rendezvous", NULL, "queue_unlock", "store_rel(q)", "rlx"},
    {0},
};

const model the_model = {"chan", setup, thread, finish, &p, sizeof p, instances, mutants};
