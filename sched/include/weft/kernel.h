/* weft/kernel.h -- the kernel form: fork and join with the head of the list in a register.
 *
 *   static long fib(weft_head k, long n);
 *   WEFT_KERNEL(fib, long, long);
 *
 *   static long fib(weft_head k, long n) {
 *       if (n < 2) return n;
 *       fib_task child;
 *       long a = fib(weft_kernel_fork(k, &child, fib, n - 2), n - 1);
 *       return a + weft_kernel_join(&child, fib);
 *   }
 *   long r = fib(weft_kernel_head(), 40);
 *
 * Every kernel function takes the head, the newest outstanding child of the running fiber, as its first
 * parameter.  fork returns the new head, to be passed to what is called while the child is out; join
 * passes the old one to the child.  Nothing is loaded to find the list, so this is the form for
 * recursions whose bodies take nanoseconds.  The head is also written to memory, so a kernel function may
 * call any other code, and that may fork, join and suspend.
 *
 * Beyond the rules of weft/fork.h: join in the reverse order of forking; the head passed to a fork is the newest child
 * outstanding, so fork no child of the general form between two forks with the same head (checked where the slow path
 * is taken, always with WEFT_DEBUG); the stack is not tested at a
 * join (a recursion deeper than the stack class ends at the guard, with a report).  Joining twice is
 * checked in builds with WEFT_DEBUG only.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_KERNEL_H
#define WEFT_KERNEL_H

#include <weft/fork.h>

WEFT_BEGIN_C

/* The head to enter a kernel with.  [any thread] [never suspends] */
WEFT_API weft_head weft_kernel_head(void);

static inline __attribute__((always_inline)) weft_head weft__kernel_fork(weft_head k, weft_task *t,
                                                                         const weft_site *site) {
    WEFT__POLL(slow);
    t->site = (uintptr_t)site;
    t->older = k;
    k->newer = t;
    weft__self()->head = t;
    return t;
slow:
    weft__fork_slow(t, site, k);
    return t;
}

static inline __attribute__((always_inline)) weft_head weft__kernel_take(weft_task *t) {
    weft_head k;
    if (WEFT__CHECKED || WEFT_UNLIKELY((weft__attn() | t->site) & WEFT__SHARED)) goto slow;
    k = t->older;
    if (!k) __builtin_unreachable();
    weft__self()->head = k;
    return k;
slow:
    return weft__take_slow(t) ? t->older : 0;
}

/* WEFT_KERNEL(name, Out, In);
 * Makes `Out name(weft_head, In)`, declared before, a kernel task: the types name_in, name_out and
 * name_task as WEFT_TASK defines them. */
#define WEFT_KERNEL(name, Out, In)                                                           \
    WEFT__TASK_TYPES(name, Out, In);                                                         \
    __attribute__((unused)) static void name##__run(weft_task *weft_task_, weft_head weft_head_) { \
        name##_task *weft_t_ = (name##_task *)weft_task_;                                    \
        name##_out weft_out_ = name(weft_head_, weft_t_->io.in);                             \
        weft_t_->io.out = weft_out_;                                                         \
    }                                                                                        \
    __attribute__((unused, always_inline)) static inline name##_out name##__join(name##_task *weft_t_) { \
        weft_head weft_k_ = weft__kernel_take(&weft_t_->task);                               \
        return WEFT_LIKELY(weft_k_ != 0) ? name(weft_k_, weft_t_->io.in) : weft_t_->io.out;  \
    }                                                                                        \
    WEFT__STATIC_ASSERT(sizeof(name##_task) >= sizeof(weft_task), "")

/* weft_head weft_kernel_fork(weft_head k, name_task *t, name, input...)
 * Forks name(input) below head k and returns the head to pass on.
 * [any thread] [never suspends] [cannot fail, allocates nothing] */
#define weft_kernel_fork(k, t, name, ...)                                                    \
    __extension__({                                                                          \
        static const weft_site weft_site_ = {name##__run, #name, __FILE__, __LINE__};        \
        name##_task *weft_t_ = (t);                                                          \
        name##_in weft_in_ = {__VA_ARGS__};                                                  \
        weft_t_->io.in = weft_in_;                                                           \
        weft__kernel_fork((k), &weft_t_->task, &weft_site_);                                 \
    })

/* Out weft_kernel_join(name_task *t, name)
 * The result of the newest outstanding child.  [the fiber or plain thread that forked] [may suspend] */
#define weft_kernel_join(t, name) name##__join(t)

/* weft_head weft_kernel_take(name_task *t)
 * The first half of a join.  Not NULL: the child is yours, call it with this head and weft_in(t).  NULL:
 * it was run elsewhere, weft_out(t) is its result.  [the fiber or plain thread that forked] [may suspend] */
#define weft_kernel_take(t) weft__kernel_take(&(t)->task)

WEFT_END_C
#endif
