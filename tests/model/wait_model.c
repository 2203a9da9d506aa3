/* tests/model/wait_model.c -- sched/wait.h: one fiber, several who may end its waits.
 *
 * What each thread is, the instance's script says, a letter each:
 *   F  runs the fiber first: a few waits, one after the other, with the same winner word, record and frame
 *   W  sends values: to the oldest on the queue whose wait it wins, else it keeps the value in the queue
 *   C  cancels: the flag, the epoch, the poke.  c: the same, for something that does not concern the fiber
 *   T  fires the fiber's limits, under the lock of the timers
 *   P  a plain thread that waits on the queue
 *   H  ends the child that the fiber waits for
 *
 * With P_THEN the fiber's first wait is through `then` (sched/cancel.c): no record, the child's carrier knows the ticket.
 * With P_LEAVES the fiber leaves what C cancels after its first wait: the second one is another.
 * With P_LATE, W sends when somebody waits.
 * With P_SHOWN the lock is taken as if by its owner (sched/bias.h), and the word stored once more.
 *
 * The waiter's side is wait_on of sched/switch.h, step by step.  Whoever wins the fiber's wait runs it from there on, on
 * its own thread: so what it must see, it sees through the protocol alone.
 *
 * What must hold: the fiber is run by one at a time, each wait ends once, after the context was saved; each value is
 * delivered or kept, once; nobody touches record, limit or frame when the wait is over; a mask is not reached; CANCEL
 * is returned only to who was meant; and the fiber gets to its end, so nothing is lost.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/spin.h"
#include "sched/wait.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { P_WAITS, P_VALUES, P_FLOOR, P_THEN, P_LEAVES, P_LATE, P_SHOWN };
enum { CONCERNS = 1, OTHER = 2, LOOK = 0xffff, RECORDS = 2 };
enum { AGAIN = 100, AWAY }; /* besides wait_state */

static wait_queue queue, child_queue;
static _Atomic uint64_t winner;
static _Atomic uint32_t flag, epoch, armed, child_parked;
static spin timers;
static model_data ring, kept, limit_, context, place, seen, result, then_ticket, why; /* place, seen: the fiber's own */
static model_data frame[RECORDS], slot[RECORDS];

static struct {
    waiter record[RECORDS];
    uint64_t away, done, got, kept, masked_cancels;
} p; /* the_model.plain; all but the records for the checks alone */

/* Mutants by flag. */
static bool no_parking, parking_late, no_fence, no_look, look_first, open_before_save, unlock_before_open, win_unlocked,
    no_leave, poke_once, floor_ignored, epoch_first, poke_first, no_generation, win_by_store, give_to_loser, no_limit_cancel,
    touch_limit, cancel_taken_for_meant, have_before_lock, no_poke, no_then_look, epoch_read_late, keep_linked, open_early,
    touch_after_over, touch_after_unlock;

static bool has(char role) { return strchr(model_instance_->script, role) != NULL; }

void weft__os_yield(void) {}

static void setup(void) {
    atomic_init(&queue, 0);
    atomic_init(&child_queue, 0);
    atomic_init(&winner, 0);
    atomic_init(&flag, 0);
    atomic_init(&epoch, 0);
    atomic_init(&armed, 0);
    atomic_init(&child_parked, 0);
    atomic_init(&timers.held, 0);
    model_data *all[] = {&ring, &kept, &limit_, &context, &place, &seen, &result, &then_ticket, &why, &frame[0], &frame[1], &slot[0], &slot[1]};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) memset(all[i], 0, sizeof **all);
    memset(&p, 0, sizeof p);
}

static unsigned index_of(const waiter *w) { return (unsigned)(w - p.record); }

/* The links, as data. */
static void ring_changed(void) {
    uint64_t all = 0;
    for (int i = 0; i < RECORDS; i++) all = all * 8 + (p.record[i].next ? index_of(p.record[i].next) + 1 : 0);
    model_write(&ring, all);
}

static void link(uintptr_t *word, unsigned i, uint64_t ticket) {
    (void)model_read(&ring);
    model_write(&frame[i], 1);
    p.record[i].f = i == 0 ? (struct fiber *)&p : NULL;
    p.record[i].ticket = ticket;
    *word = queue_link(*word, &p.record[i]);
    ring_changed();
}

static bool have(void) {
    uint64_t n = model_read(&kept);
    if (n == 0) return false;
    model_write(&kept, n - 1);
    p.kept--;
    p.got++;
    return true;
}

/* ---- the fiber: who calls these runs it ---------------------------------------------------------------- */

static unsigned the_floor(void) { return (unsigned)model_instance_->param[P_FLOOR]; }

static bool cancel_due(void) {
    return model_read(&seen) != atom_load_seq(&epoch); /* = sched/cancel.h:cancel_due */
}

/* As weft__look_up: a mask ends the walk. */
static bool look_up(void) {
    uint64_t now = atom_load_seq(&epoch); /* = sched/cancel.c:weft__look_up */
    bool left = model_instance_->param[P_LEAVES] && model_read(&place) >= 4;
    uint32_t flags = atom_load_acq(&flag); /* = sched/cancel.c:stopped_by */
    bool stop = flags & CONCERNS && !the_floor() && !left;
    model_check(!stop || model_read(&why) == CONCERNS);
    model_write(&seen, stop ? LOOK : now);
    return stop;
}

static uint64_t begin(void) {
    if (no_parking) return ((atom_load_rlx(&winner) >> 24) + 1) << 24 | WAIT_OPEN;
    if (no_generation) {
        atom_store_rlx(&winner, (uint64_t)the_floor() << 8 | WAIT_PARKING);
        return (uint64_t)the_floor() << 8 | WAIT_OPEN;
    }
    return wait_begin(&winner, the_floor());
}

static void save(void) {
    model_write(&context, model_read(&place));
    model_check(!p.away);
    p.away = 1;
}

/* From A1 to A5.  AWAY: it is somebody else's now. */
static int wait_begins(void) {
    uintptr_t word = 0;
    bool early = look_first && cancel_due(), early_have = have_before_lock && have(), limited = has('T');
    uint64_t ticket = parking_late ? 0 : begin(); /* A1 */
    if (open_early) wait_open(&winner, ticket);
    bool queued = queue_lock(&queue, &word); /* A2 */
    if (model_instance_->param[P_SHOWN]) wait_show(&winner, ticket);
    if (limited && queued) spin_lock(&timers);
    if (!no_fence) atom_fence_after_rmw(); /* = sched/switch.h:wait_on_as */
    bool due = look_first ? early : !no_look && cancel_due();
    bool there = !queued || (have_before_lock ? early_have : !due && have());
    if (parking_late) ticket = begin();
    if (there || due) { /* A3 */
        if (limited && queued) spin_unlock(&timers);
        if (queued) queue_unlock(&queue, word);
        wait_end(&winner);
        if (due && look_up()) return WAIT_CANCEL;
        return there ? WAIT_WOKEN : AGAIN;
    }
    link(&word, 0, ticket);
    if (limited) {
        model_write(&limit_, ticket);
        atom_store_rlx(&armed, 1);
    }
    if (open_before_save) wait_open(&winner, ticket);
    save();                                             /* A4 */
    if (unlock_before_open) queue_unlock(&queue, word); /* A5 */
    if (!open_before_save && !open_early) wait_open(&winner, ticket);
    if (limited) spin_unlock(&timers);
    if (!unlock_before_open) queue_unlock(&queue, word);
    if (touch_after_unlock) (void)model_read(&frame[0]);
    return AWAY;
}

static void limit_cancel(void) {
    spin_lock(&timers);
    atom_store_rlx(&armed, 0);
    spin_unlock(&timers);
}

static int wait_ends(void) {
    wait_state how = wait_end(&winner);
    if (how == WAIT_CANCEL && the_floor()) p.masked_cancels++;
    if (has('T') && how != WAIT_TIMEOUT && !no_limit_cancel) limit_cancel();
    if (how == WAIT_WOKEN && has('W')) {
        model_check(model_read(&slot[0]) != 0);
        p.got++;
    }
    if (how != WAIT_WOKEN && !no_leave) queue_leave(&queue, &p.record[0]);
    model_write(&frame[0], 2); /* record and limit are over */
    model_write(&slot[0], 0);
    if (has('T')) model_write(&limit_, 0);
    model_check(how == WAIT_WOKEN || how == WAIT_TIMEOUT || how == WAIT_CANCEL);
    if (how != WAIT_CANCEL || look_up() || cancel_taken_for_meant) return (int)how;
    return AGAIN;
}

/* The first wait, through `then`: the child runs here and leaves its stack, waiting for H. */
static int then_wait_begins(void) {
    uintptr_t word = 0;
    uint64_t mine = model_read(&seen);
    save();
    uint64_t ticket = begin(); /* weft__then_open */
    model_write(&then_ticket, ticket);
    wait_open(&winner, ticket);
    queue_lock(&child_queue, &word);
    if (!no_fence) atom_fence_after_rmw(); /* = sched/switch.h:wait_on_as */
    if (epoch_read_late) mine = model_read(&seen);
    bool differs = !no_then_look && mine != atom_load_seq(&epoch); /* = sched/cancel.c:weft__then_look */
    bool woken = differs && wait_win(&winner, ticket, WAIT_CANCEL);
    queue_unlock(&child_queue, word);
    atom_store_rel(&child_parked, 1);
    return woken ? AGAIN : AWAY;
}

static int then_wait_ends(void) {
    if (wait_end(&winner) != WAIT_CANCEL) return WAIT_WOKEN;
    return look_up() ? WAIT_CANCEL : AGAIN;
}

static void wait_over(int how) {
    model_check(how != WAIT_CANCEL || (atom_load_rlx(&flag) & CONCERNS));
    if (has('H') && !has('W') && how == WAIT_WOKEN) model_check(model_read(&result) == 42);
    model_write(&place, (model_read(&place) / 4 + 1) * 4);
}

/* place: 4n: before wait n, + IN_THEN: in it, through `then`, + TRIED: that is over, and the child may not have ended. */
enum { IN_THEN = 1, TRIED = 2 };

static void run_fiber(bool resumed) {
    for (int how;;) {
        uint64_t at = model_read(&place);
        if (resumed) {
            model_check(p.away);
            p.away = 0;
            model_check(model_read(&context) == at);
            if (at == IN_THEN) model_write(&place, TRIED);
            how = at == IN_THEN ? then_wait_ends() : wait_ends();
            resumed = false;
        } else if (at >= 4 * (unsigned)model_instance_->param[P_WAITS]) {
            break;
        } else if (model_instance_->param[P_THEN] && at == 0) {
            model_write(&place, IN_THEN);
            how = then_wait_begins();
            resumed = how == AGAIN;
        } else {
            how = wait_begins();
        }
        if (how == AWAY) return;
        if (how != AGAIN) wait_over(how);
    }
    model_check(!p.done);
    p.done = 1;
}

/* ---- the others ---------------------------------------------------------------------------------------- */

static bool win(const waiter *w) {
    if (!w->f) return true;
    if (win_unlocked) (void)model_read(&frame[0]);
    if (!win_by_store) return wait_win(&winner, w->ticket, WAIT_WOKEN);
    if (atom_load_acq(&winner) != w->ticket) return false;
    atom_store_rel(&winner, (w->ticket & ~(uint64_t)0xff) | WAIT_WOKEN);
    return true;
}

/* As weft__wait_over of sched/spawn.c. */
static void over(waiter *w) {
    if (w->f) {
        run_fiber(true);
    } else {
        atom_store_rel(&w->woken, 1); /* = sched/spawn.c:weft__wait_over */
        if (touch_after_over) (void)model_read(&frame[index_of(w)]);
    }
}

/* As limit_give of sched/spawn.c: to one, or into the queue. */
static void send(unsigned value) {
    uintptr_t word = 0;
    waiter *won = NULL;
    queue_lock(&queue, &word);
    (void)model_read(&ring);
    while (!won && queue_newest(word)) {
        waiter *oldest = queue_newest(word)->next;
        (void)model_read(&frame[index_of(oldest)]);
        if (!keep_linked) word = queue_unlink(word, oldest);
        ring_changed();
        if (win_unlocked) queue_unlock(&queue, word);
        if (win(oldest) || give_to_loser) won = oldest;
        if (won) model_write(&slot[index_of(won)], value);
        if (win_unlocked && !won) queue_lock(&queue, &word);
        if (keep_linked && !won) break;
    }
    if (!won) {
        model_write(&kept, model_read(&kept) + 1);
        p.kept++;
    }
    if (!(win_unlocked && won)) queue_unlock(&queue, word);
    if (won) over(won);
}

static bool poke_trying_once(void) {
    uint64_t word = atom_load_seq(&winner);
    return wait_state_of(word) == WAIT_OPEN && wait_floor_of(word) == 0 && wait_win(&winner, word, WAIT_CANCEL);
}

static void cancel(unsigned bit) {
    bool poked = false;
    if (poke_first) poked = wait_poke(&winner, 0);
    if (epoch_first) atom_add_seq(&epoch, 1);
    if (bit == CONCERNS) model_write(&why, bit);
    atom_or_ar(&flag, bit); /* C1 */ /* = sched/cancel.c:weft__node_cancel */
    if (!epoch_first) atom_add_seq(&epoch, 1); /* = sched/cancel.c:new_epoch */
    if (!poke_first && !no_poke) poked = poke_once ? poke_trying_once() : wait_poke(&winner, floor_ignored ? WAIT_FLOOR_MAX : 0);
    if (poked) run_fiber(true);
}

static bool armed_or_done(void *arg) {
    (void)arg;
    return model_peek(&armed) || p.done;
}

/* As fire of sched/clock.c. */
static void fire_all(void) {
    for (;;) {
        model_await(armed_or_done, NULL);
        bool won = false;
        spin_lock(&timers);
        if (!atom_load_rlx(&armed)) { /* cancelled, or the end */
            spin_unlock(&timers);
            if (p.done) return;
            continue;
        }
        atom_store_rlx(&armed, 0);
        uint64_t ticket = model_read(&limit_);
        won = wait_win(&winner, ticket, WAIT_TIMEOUT);
        spin_unlock(&timers);
        if (touch_limit && !won) (void)model_read(&limit_);
        if (won) run_fiber(true);
    }
}

static bool is_set(void *arg) { return model_peek((_Atomic uint32_t *)arg) != 0; }

static void wait_as_thread(void) {
    uintptr_t word = 0;
    queue_lock(&queue, &word);
    bool there = have();
    if (!there) link(&word, 1, 0);
    queue_unlock(&queue, word);
    if (there) return;
    model_await(is_set, &p.record[1].woken);
    (void)atom_load_acq(&p.record[1].woken); /* = sched/spawn.c:weft__wait_thread */
    model_check(model_read(&slot[1]) != 0);
    p.got++;
    model_write(&frame[1], 2);
}

/* The end of the child: `then` first, as spawn_run; then those who are on the queue, as finish_locked. */
static void end_child(void) {
    uintptr_t word = 0;
    model_await(is_set, &child_parked);
    (void)atom_load_acq(&child_parked);
    model_write(&result, 42);
    bool then = wait_win(&winner, model_read(&then_ticket), WAIT_WOKEN), won = false;
    if (model_instance_->param[P_LEAVES]) { /* nobody else awaits it */
        if (then) run_fiber(true);
        return;
    }
    queue_lock(&queue, &word);
    (void)model_read(&ring);
    waiter *at = queue_newest(word);
    if (at) {
        (void)model_read(&frame[0]);
        at->next = NULL;
        won = wait_win(&winner, at->ticket, WAIT_WOKEN);
        ring_changed();
    }
    queue_unlock(&queue, QUEUE_DONE);
    model_check(!(then && won));
    if (then || won) run_fiber(true);
}

static bool somebody_waits(void *arg) {
    (void)arg;
    return model_peek(&queue) & ~QUEUE_FLAGS;
}

static void thread(unsigned self) {
    switch (model_instance_->script[self]) {
    case 'F': run_fiber(false); break;
    case 'W':
        if (model_instance_->param[P_LATE]) model_await(somebody_waits, NULL);
        for (int i = 1; i <= model_instance_->param[P_VALUES]; i++) send((unsigned)i);
        break;
    case 'C': cancel(CONCERNS); break;
    case 'c': cancel(OTHER); break;
    case 'T': fire_all(); break;
    case 'P': wait_as_thread(); break;
    case 'H': end_child(); break;
    }
}

static void finish(void) {
    model_check(p.done);
    uint64_t sent = 0;
    for (const char *c = model_instance_->script; *c; c++) sent += *c == 'W' ? (unsigned)model_instance_->param[P_VALUES] : 0;
    model_check(p.got + p.kept == sent);
    model_check(p.masked_cancels == 0);
    model_check(queue_newest(model_peek(&queue)) == NULL);
}

static const model_instance instances[] = {
    /* {waits, values of each W, floor, through `then`, leaves, late} */
    {.name = "cancel", .threads = 2, .param = {1, 0, 0}, .script = "FC"},
    {.name = "shown-cancel", .threads = 3, .param = {1, 1, 0, 0, 0, 0, 1}, .script = "FWC"},
    {.name = "cancel-two-waits", .threads = 2, .param = {2, 0, 0}, .script = "FC"},
    {.name = "cancelled-and-poked", .threads = 3, .param = {2, 0, 0}, .script = "FCc"},
    {.name = "wake", .threads = 2, .param = {2, 2, 0}, .script = "FW"},
    {.name = "two-wakers", .threads = 3, .param = {2, 1, 0}, .script = "FWW"},
    {.name = "wake-cancel", .threads = 3, .param = {1, 1, 0}, .script = "FWC"},
    {.name = "wake-cancel-two-waits", .threads = 3, .param = {2, 2, 0}, .script = "FWC"},
    {.name = "spurious", .threads = 3, .param = {1, 1, 0}, .script = "FWc"},
    {.name = "spurious-two-waits", .threads = 3, .param = {2, 2, 0}, .script = "FWc"},
    {.name = "masked", .threads = 3, .param = {2, 2, 1}, .script = "FWC"},
    {.name = "time", .threads = 2, .param = {2, 0, 0}, .script = "FT"},
    {.name = "wake-time", .threads = 3, .param = {1, 1, 0}, .script = "FWT"},
    {.name = "wake-time-two-waits", .threads = 3, .param = {2, 1, 0}, .script = "FWT"},
    {.name = "time-cancel", .threads = 3, .param = {1, 0, 0}, .script = "FTC"},
    {.name = "wake-time-cancel", .threads = 4, .param = {1, 1, 0}, .script = "FWTC"},
    {.name = "thread", .threads = 3, .param = {1, 2, 0}, .script = "FPW"},
    {.name = "thread-cancel", .threads = 4, .param = {1, 2, 0, 0, 0, 1}, .script = "FPWC"},
    {.name = "then", .threads = 2, .param = {1, 0, 0, 1}, .script = "FH"},
    {.name = "then-cancel", .threads = 2, .param = {1, 0, 0, 1}, .script = "FC"},
    {.name = "then-ends-or-cancel", .threads = 3, .param = {1, 0, 0, 1}, .script = "FHC"},
    {.name = "then-spurious", .threads = 3, .param = {1, 0, 0, 1}, .script = "FHc"},
    {.name = "then-next-wait", .threads = 4, .param = {2, 1, 0, 1, 1, 1}, .script = "FHCW"},
    {0},
};

static const model_mutant mutants[] = {
    {"no-parking", "cancel", &no_parking, NULL, NULL, NULL},
    {"parking-after-look", "cancel", &parking_late, NULL, NULL, NULL},
    {"no-fence", "cancel", &no_fence, NULL, NULL, NULL},
    {"no-look", "cancel", &no_look, NULL, NULL, NULL},
    {"look-before-parking", "cancel", &look_first, NULL, NULL, NULL},
    {"have-before-lock", "wake", &have_before_lock, NULL, NULL, NULL},
    {"open-at-the-start", "cancel", &open_early, NULL, NULL, NULL},
    {"open-before-save", "cancel", &open_before_save, NULL, NULL, NULL},
    {"unlock-before-open", "wake", &unlock_before_open, NULL, NULL, NULL},
    {"touch-after-unlock", "wake", &touch_after_unlock, NULL, NULL, NULL},
    {"win-after-unlock", "wake-cancel", &win_unlocked, NULL, NULL, NULL},
    {"win-by-store", "wake-cancel", &win_by_store, NULL, NULL, NULL},
    {"give-to-who-was-not-won", "wake-cancel", &give_to_loser, NULL, NULL, NULL},
    {"keep-linked", "wake", &keep_linked, NULL, NULL, NULL},
    {"touch-after-wake", "thread", &touch_after_over, NULL, NULL, NULL},
    {"no-leave", "wake-cancel", &no_leave, NULL, NULL, NULL},
    {"no-limit-cancel", "wake-time", &no_limit_cancel, NULL, NULL, NULL},
    {"touch-limit-after-lock", "time-cancel", &touch_limit, NULL, NULL, NULL},
    {"no-poke", "cancel", &no_poke, NULL, NULL, NULL},
    {"poke-does-not-wait", "cancel", &poke_once, NULL, NULL, NULL},
    {"poke-before-epoch", "cancel", &poke_first, NULL, NULL, NULL},
    {"epoch-before-flag", "cancel", &epoch_first, NULL, NULL, NULL},
    {"floor-ignored", "masked", &floor_ignored, NULL, NULL, NULL},
    {"cancel-taken-for-meant", "spurious", &cancel_taken_for_meant, NULL, NULL, NULL},
    {"no-generation", "then-next-wait", &no_generation, NULL, NULL, NULL},
    {"no-look-after-then-open", "then-cancel", &no_then_look, NULL, NULL, NULL},
    {"then-epoch-read-when-open", "then-cancel", &epoch_read_late, NULL, NULL, NULL},
    {"then-no-fence", "then-cancel", &no_fence, NULL, NULL, NULL},
    {"open-relaxed", "cancel", NULL, "wait_open", "store_rel(winner)", "rlx"},
    {"poke-acquire", "cancel", NULL, "wait_poke", "load_seq(winner)", "acq"},
    {"epoch-acq_rel", "cancel", NULL, "cancel", "add_seq(&epoch)", "ar"},
    {"lock-relaxed", "wake", NULL, "queue_lock", "cas_seq(q)", "rlx"},
    {"lock-look-relaxed", "then-spurious", NULL, "queue_lock", "load_acq(q)", "rlx"},
    {"unlock-relaxed", "wake", NULL, "queue_unlock", "store_rel(q)", "rlx"},
    {0},
};

const model the_model = {"wait", setup, thread, finish, &p, sizeof p, instances, mutants};
