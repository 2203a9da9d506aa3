/* weft/fork.h -- fork and join: a child is a plain call until it must be a fiber.
 *
 *   static long fib(long n);
 *   WEFT_TASK(fib, long, long);                  // makes `long fib(long)` forkable
 *
 *   static long fib(long n) {
 *       if (n < 2) return n;
 *       fib_task child;                          // the descriptor lives in this frame
 *       weft_fork(&child, fib, n - 2);           // may run on another worker from now on
 *       long a = fib(n - 1);
 *       return a + weft_join(&child, fib);       // nobody took it: an ordinary call of fib
 *   }
 *
 * fork puts the descriptor on a list of the running fiber and returns: no allocation, no atomic
 * operation, no way to fail.  join takes it back and calls the child on the joiner's stack.  Only when
 * an idle worker asked for work and took the child does join wait, and only then does the parent
 * become a suspended fiber (its worker goes on with other work).
 *
 * Rules.  Join every forked child exactly once, before the frame that holds its descriptor returns.
 * The joiner is the function that forked, or one it calls.  Any join order works, last in first out is
 * the fast one.  A child may run before, during or after any statement between fork and join, or not
 * before join: it must not wait for something its parent does after joining it.  Code between fork and
 * join may come back on another thread only across calls that suspend; weft_join is one of them.
 *
 * On a plain thread (outside any runtime) fork and join work too: the child is called at join.
 *
 * Source: lazy task creation (Mohr, Kranz, Halstead 1991), private task lists shared on request
 * (Acar, Chargueraud, Rainey 2013).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_FORK_H
#define WEFT_FORK_H

#include <weft/exit.h>

WEFT_BEGIN_C

#ifdef __cplusplus
#define WEFT__ATOMIC(T) T /* same size and layout; only the library touches it */
#define WEFT__STATIC_ASSERT static_assert
#else
#define WEFT__ATOMIC(T) _Atomic(T)
#define WEFT__STATIC_ASSERT _Static_assert
#endif

struct weft_task;
typedef struct weft_task *weft_head; /* the newest outstanding child: see weft/kernel.h */

/* Where a child was forked and how a thief runs it; one static object for each place. */
typedef struct weft_site {
    void (*run)(struct weft_task *task, weft_head head);
    const char *name, *file;
    int line;
} weft_site;

/* The part of a descriptor that every task type shares.  Its fields are the library's.
 *
 * `site` doubles as the state the owner tests: no low bit set = private, the child can be called by
 * whoever joins; WEFT__SHARED = it was offered to other workers (or the thread has no runtime), ask the
 * slow path; WEFT__JOINED = over.  WEFT__STARTED marks a child of a scope (weft/scope.h).  site, older and newer are only touched by the fiber that forked;
 * join and place belong to the sharing protocol (sched/deque.h, sched/join.h). */
typedef struct weft_task {
    uintptr_t site;
    struct weft_task *older, *newer; /* children of one fiber in fork order */
    WEFT__ATOMIC(uintptr_t) join;
    WEFT__ATOMIC(uint64_t) place;
} weft_task;

enum { WEFT__SHARED = 1, WEFT__SPAWNED = 2, WEFT__JOINED = 3, WEFT__STARTED = 4, WEFT__SITE_BITS = 7 };

/* A spawned fiber (weft/fiber.h), whatever its task.  Every task type brings a handle type of its own around it. */
typedef struct weft_handle {
    struct weft_fiber *fiber;
    uint64_t id;
} weft_handle;

/* Its task's descriptor lies at a fixed place in its block. */
#define WEFT__FIBER_TASK 64
static inline weft_task *weft__task_of(weft_handle h) {
    return (weft_task *)(void *)((char *)h.fiber + WEFT__FIBER_TASK);
}
WEFT_API weft_exit weft_fiber_await(weft_handle h);

/* The head of a fiber's control block, which inlined code reads. */
struct weft__node;
struct weft__evidence;
struct weft__fiber {
    weft_task *head; /* newest outstanding child, or a sentinel */
    char *low;       /* below this a child no longer fits on the stack: join takes the slow path; WEFT__APART: always */
    struct weft__node *scope; /* innermost scope, mask or shield (weft/cancel.h) */
    uint64_t epoch;  /* of its runtime, when it last looked whether it is asked to stop (sched/cancel.h) */
    uint32_t locks;  /* mutexes that it holds, and read-write locks for writing (weft/sync.h) */
    uint32_t turns;  /* releases while others wait or want work: now and then the clock is read, and work given */
    const struct weft__evidence *env; /* handlers and environment in force (weft/evidence.h) */
};

/* ---- reaching the current fiber -----------------------------------------------------------------
 * The thread's block is { fiber, attn } at a thread-local symbol.  Compilers cache the address of a
 * thread-local variable across calls, and with it a fiber that resumes on another thread would look at
 * its old thread; so the whole access, address and load, is one volatile asm, evaluated anew each time.
 * The fiber itself may be kept: it is the same one on every thread. */
#if defined(__x86_64__)

static inline __attribute__((always_inline)) struct weft__fiber *weft__self(void) {
    struct weft__fiber *f;
    __asm__ volatile("movq weft__tls@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=r"(f));
    return f;
}
/* Go to `label` if somebody wants this thread's attention, or the thread has no runtime. */
#define WEFT__POLL(label)                                                                    \
    __asm__ goto("movq weft__tls@gottpoff(%%rip), %%rax\n\tcmpl $0, %%fs:8(%%rax)\n\tjne %l[" #label "]" \
                 : : : "rax", "cc", "memory" : label)
/* The attention word.  Bit 0 is set whenever anything is. */
static inline __attribute__((always_inline)) uintptr_t weft__attn(void) {
    uintptr_t a;
    __asm__ volatile("movq weft__tls@gottpoff(%%rip), %0\n\tmovl %%fs:8(%0), %k0" : "=r"(a));
    return a;
}
static inline __attribute__((always_inline)) char *weft__sp(void) {
    char *sp;
    __asm__ volatile("movq %%rsp, %0" : "=r"(sp));
    return sp;
}

/* The processor's time stamp. */
static inline __attribute__((always_inline)) uint64_t weft__ticks_now(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}
/* What a shared word holds, in no order. */
static inline __attribute__((always_inline)) uint64_t weft__look(const void *word) {
    uint64_t v;
    __asm__ volatile("movq %1, %0" : "=r"(v) : "m"(*(const uint64_t *)word));
    return v;
}

#elif defined(__aarch64__)

static inline __attribute__((always_inline)) uint64_t weft__ticks_now(void) {
    uint64_t t;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
    return t;
}
static inline __attribute__((always_inline)) uint64_t weft__look(const void *word) {
    uint64_t v;
    __asm__ volatile("ldr %0, %1" : "=r"(v) : "m"(*(const uint64_t *)word));
    return v;
}
static inline __attribute__((always_inline)) struct weft__fiber *weft__self(void) {
    struct weft__fiber *f;
    uintptr_t offset;
    __asm__ volatile("adrp %1, :gottprel:weft__tls\n\tldr %1, [%1, :gottprel_lo12:weft__tls]\n\t"
                     "mrs %0, tpidr_el0\n\tldr %0, [%0, %1]"
                     : "=&r"(f), "=&r"(offset));
    return f;
}
#define WEFT__POLL(label)                                                                    \
    __asm__ goto("adrp x9, :gottprel:weft__tls\n\tldr x9, [x9, :gottprel_lo12:weft__tls]\n\t" \
                 "mrs x10, tpidr_el0\n\tadd x9, x9, x10\n\tldr w9, [x9, #8]\n\tcbnz w9, %l[" #label "]" \
                 : : : "x9", "x10", "memory" : label)
static inline __attribute__((always_inline)) uintptr_t weft__attn(void) {
    uintptr_t a, offset;
    __asm__ volatile("adrp %1, :gottprel:weft__tls\n\tldr %1, [%1, :gottprel_lo12:weft__tls]\n\t"
                     "mrs %0, tpidr_el0\n\tadd %0, %0, %1\n\tldr %w0, [%0, #8]"
                     : "=&r"(a), "=&r"(offset));
    return a;
}
static inline __attribute__((always_inline)) char *weft__sp(void) {
    char *sp;
    __asm__ volatile("mov %0, sp" : "=r"(sp));
    return sp;
}

#else
#error "Weft runs on x86-64 and AArch64"
#endif

/* ---- slow paths -----------------------------------------------------------------------------------
 * An ordinary call, even one that is hardly ever made, makes the compiler keep everything that lives across
 * it in callee-saved registers, and a small function then spends more on saving those than on its work.  So on
 * x86-64 the slow paths preserve all general registers (sched/slow_x86_64.S), and the compiler is told: by
 * the calling convention `preserve_most` where it knows that one, by inline assembly where it does not.  The
 * call to weft__never, which is not made, keeps the compiler from using the red zone below the stack pointer.
 * Called through the global offset table: on its first call through a lazily bound procedure linkage table the
 * dynamic linker does not preserve r10.  Named as lost: what an ordinary call loses, but for the registers that only
 * AVX-512 has; a compiler that was not told of AVX-512 here may still use them in a function that was, so the slow
 * paths keep those, too. */
#if defined(__x86_64__) && !defined(__clang__)

#define WEFT__SLOW_CLOBBERS                                                                  \
    "r11", "cc", "memory", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
        "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

WEFT_API __attribute__((noreturn, cold)) void weft__never(void);

static inline __attribute__((always_inline)) void weft__fork_slow(weft_task *t, const weft_site *site,
                                                                  weft_task *head) {
    uintptr_t r;
    __asm__ volatile("call *weft__fork_slow_keep@GOTPCREL(%%rip)"
                     : "=a"(r) : "D"(t), "S"(site), "d"(head) : WEFT__SLOW_CLOBBERS);
    if (WEFT_UNLIKELY(!r)) weft__never();
}
static inline __attribute__((always_inline)) bool weft__take_slow(weft_task *t) {
    uintptr_t r;
    __asm__ volatile("call *weft__take_slow_keep@GOTPCREL(%%rip)" : "=a"(r) : "D"(t) : WEFT__SLOW_CLOBBERS);
    if (WEFT_UNLIKELY(r == 2)) weft__never();
    return r;
}

#elif defined(__x86_64__)

__attribute__((preserve_most)) WEFT_API WEFT_COLD uintptr_t weft__fork_slow_keep(weft_task *t, const weft_site *site,
                                                                                 weft_task *head);
__attribute__((preserve_most)) WEFT_API WEFT_COLD uintptr_t weft__take_slow_keep(weft_task *t);
#define WEFT__GOT(f)                                                                         \
    __extension__({                                                                          \
        __typeof__(&f) weft_p_;                                                              \
        __asm__("movq " #f "@GOTPCREL(%%rip), %0" : "=r"(weft_p_));                          \
        weft_p_;                                                                             \
    })
#define weft__fork_slow(t, site, head) ((void)WEFT__GOT(weft__fork_slow_keep)((t), (site), (head)))
#define weft__take_slow(t) ((bool)WEFT__GOT(weft__take_slow_keep)(t))

#else

WEFT_API WEFT_COLD uintptr_t weft__fork_slow_call(weft_task *t, const weft_site *site, weft_task *head);
WEFT_API WEFT_COLD uintptr_t weft__take_slow_call(weft_task *t);
#define weft__fork_slow(t, site, head) ((void)weft__fork_slow_call((t), (site), (head)))
#define weft__take_slow(t) ((bool)weft__take_slow_call(t))

#endif

/* Compiled with WEFT_DEBUG > 0, every fork and join takes the slow path, where all checks are. */
#if defined(WEFT_DEBUG) && WEFT_DEBUG > 0
#define WEFT__CHECKED 1
#undef WEFT__POLL
#define WEFT__POLL(label) \
    if (WEFT__CHECKED) goto label
#else
#define WEFT__CHECKED 0
#endif

/* ---- fork and take ------------------------------------------------------------------------------ */

static inline __attribute__((always_inline)) void weft__fork(weft_task *t, const weft_site *site) {
    struct weft__fiber *f;
    WEFT__POLL(slow);
    f = weft__self();
    t->site = (uintptr_t)site;
    t->older = f->head;
    f->head->newer = t;
    f->head = t;
    return;
slow:
    weft__fork_slow(t, site, 0);
}

/* Polls as fork does: a parent that forked all its children before anybody asked offers them between the joins. */
static inline __attribute__((always_inline)) bool weft__take(weft_task *t) {
    struct weft__fiber *f;
    if (WEFT__CHECKED || WEFT_UNLIKELY((weft__attn() | t->site) & WEFT__SHARED)) goto slow;
    f = weft__self();
    if (WEFT_UNLIKELY(f->head != t) || WEFT_UNLIKELY(weft__sp() < f->low)) goto slow;
    f->head = t->older;
    t->site = WEFT__JOINED;
    return true;
slow:
    return weft__take_slow(t);
}

/* ---- typed tasks -------------------------------------------------------------------------------- */

#define WEFT__TASK_TYPES(name, Out, In)                                                      \
    typedef In name##_in;                                                                    \
    typedef Out name##_out;                                                                  \
    typedef struct name##_task {                                                             \
        weft_task task;                                                                      \
        union {                                                                              \
            In in;                                                                           \
            Out out;                                                                         \
            uintptr_t room[3];                                                               \
        } io;                                                                                \
    } name##_task;                                                                           \
    __attribute__((unused, always_inline)) static inline name##_task name##__with(name##_in weft_in_) { \
        name##_task weft_t_; /* the rest is written when it is forked */                     \
        weft_t_.io.in = weft_in_;                                                            \
        return weft_t_;                                                                      \
    }                                                                                        \
    typedef struct name##_fiber {                                                            \
        weft_handle handle;                                                                  \
    } name##_fiber;                                                                          \
    __attribute__((unused)) static inline weft_exit name##__await(name##_fiber weft_f_, name##_out *weft_out_) { \
        weft_exit weft_e_ = weft_fiber_await(weft_f_.handle);                                \
        if (weft_out_ && weft_ok(weft_e_))                                                   \
            *weft_out_ = ((name##_task *)(void *)weft__task_of(weft_f_.handle))->io.out;     \
        return weft_e_;                                                                      \
    }                                                                                        \
    WEFT__STATIC_ASSERT(sizeof(In) <= 1024 && sizeof(Out) <= 1024,                           \
                        "a task's input and result are copied: pass more than 1 KiB by reference")

/* The function for an input and a result that fit into a register each (weft/eff.h). */
#ifdef __cplusplus
#define WEFT__TASK_WORD(name)
#else
#define WEFT__TASK_WORD(name)                                                                \
    __attribute__((unused)) static uint64_t name##__word(uint64_t weft_word_) {              \
        union {                                                                              \
            uint64_t word;                                                                   \
            name##_in in;                                                                    \
            name##_out out;                                                                  \
        } weft_u_ = {weft_word_};                                                            \
        name##_out weft_out_ = name(weft_u_.in);                                             \
        weft_u_.out = weft_out_;                                                             \
        return weft_u_.word;                                                                 \
    }
#endif

/* WEFT_TASK(name, Out, In);
 * Makes the function `Out name(In)`, declared before, forkable.  In and Out are complete types that can
 * be assigned (a struct for several values), at most 1 KiB each.  Defines the types name_in, name_out, name_task,
 * the descriptor of a forked child (64 bytes while In and Out have at most 24), and name_fiber, the handle of a
 * spawned one. */
#define WEFT_TASK(name, Out, In)                                                             \
    WEFT__TASK_TYPES(name, Out, In);                                                         \
    __attribute__((unused)) static void name##__run(weft_task *weft_task_, weft_head weft_head_) { \
        name##_task *weft_t_ = (name##_task *)weft_task_;                                    \
        name##_out weft_out_ = name(weft_t_->io.in);                                         \
        weft_t_->io.out = weft_out_;                                                         \
        (void)weft_head_;                                                                    \
    }                                                                                        \
    __attribute__((unused)) static void name##__each(const void *weft_items_, void *weft_results_, size_t weft_i_) { \
        name##_out weft_out_ = name(((const name##_in *)weft_items_)[weft_i_]);              \
        if (weft_results_) ((name##_out *)weft_results_)[weft_i_] = weft_out_;               \
    }                                                                                        \
    WEFT__TASK_WORD(name)                                                                    \
    __attribute__((unused, always_inline)) static inline name##_out name##__join(name##_task *weft_t_) { \
        return WEFT_LIKELY(weft__take(&weft_t_->task)) ? name(weft_t_->io.in) : weft_t_->io.out; \
    }                                                                                        \
    WEFT__STATIC_ASSERT(sizeof(name##_task) >= sizeof(weft_task), "")

/* weft_fork(name_task *t, name, input...)
 * Forks name(input) into the caller-owned descriptor *t; `input` is an initialiser of name_in, e.g.
 * `n - 1` or `.dir = d, .depth = 3`.  *t must stay where it is, untouched, until it is joined.
 * [any thread] [never suspends] [cannot fail, allocates nothing] */
#define weft_fork(t, name, ...)                                                              \
    do {                                                                                     \
        static const weft_site weft_site_ = {name##__run, #name, __FILE__, __LINE__};        \
        name##_task *weft_t_ = (t);                                                          \
        name##_in weft_in_ = {__VA_ARGS__};                                                  \
        weft_t_->io.in = weft_in_;                                                           \
        weft__fork(&weft_t_->task, &weft_site_);                                             \
    } while (0)

/* Out weft_join(name_task *t, name)
 * The result of the forked child: calls it here if nobody took it, else waits until it is done.
 * Joining twice is a checked abort.  [the fiber or plain thread that forked] [may suspend] */
#define weft_join(t, name) name##__join(t)

/* bool weft_take(name_task *t)
 * The first half of a join.  True: nobody took the child, it is yours; call it yourself, as any function
 * (weft_in(t) is its input), and *t is over.  False: it was run elsewhere, weft_out(t) is its result.
 * `return a + fib(n - 2)` after a take is a tail call the compiler can turn into a loop.
 * [the fiber or plain thread that forked] [may suspend] */
#define weft_take(t) weft__take(&(t)->task)
#define weft_in(t) ((t)->io.in)
#define weft_out(t) ((t)->io.out)

/* ---- a function known only at run time ---------------------------------------------------------- */

typedef struct weft_closure {
    void (*fn)(void *arg);
    void *arg;
} weft_closure;

static inline int weft_call_closure(weft_closure c) {
    c.fn(c.arg);
    return 0;
}
WEFT_TASK(weft_call_closure, int, weft_closure);
typedef weft_call_closure_task weft_fn_task;

/* weft_fork_fn(weft_fn_task *t, void (*fn)(void *), void *arg); weft_join_fn(weft_fn_task *t)
 * The same for a function pointer; results go where arg points. */
#define weft_fork_fn(t, fn, arg) weft_fork(t, weft_call_closure, (fn), (arg))
#define weft_join_fn(t) ((void)weft_join(t, weft_call_closure))

WEFT_END_C
#endif
