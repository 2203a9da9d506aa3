/* weft/loop.h -- loops over indices on all workers: parallel_for, array_map, reduce, scan.
 *
 *   typedef struct vectors { double a; const double *x; double *y; } vectors;
 *   static inline void axpy(size_t i, vectors v) { v.y[i] += v.a * v.x[i]; }
 *   WEFT_LOOP(axpy, vectors);
 *
 *   weft_exit e = weft_parallel_for(axpy, n, .a = 2, .x = x, .y = y);
 *
 * The body is an ordinary function of an index and the input; it is inlined into a loop over a piece of the indices, and
 * vectorised there as any loop is.  (The input comes by value so that the compiler knows that nobody writes it.)
 *
 * Pieces.  The caller goes through the indices in order, in chunks of some microseconds, which are found by measuring.
 * Between two of them it looks whether a worker has asked for work, and then offers the farther half of what is left; who
 * takes it does the same.  Nobody asks, nothing is split: on one worker a parallel loop is a plain loop in chunks.  A loop
 * of few iterations is split before it is known how long they take.  With .grain a chunk is that many iterations, and
 * nothing is measured.
 *
 * Stopping.  A loop is a scope (weft/scope.h): between chunks it is a cancellation point; the first failure of a body
 * stops the others, those that wait included, and is the exit, with those that followed attached.  weft_fail in a body
 * fails the loop, not the fiber that called it.  What was begun has ended when the call returns.
 *
 * For computing.  A body that waits keeps its chunk waiting: for many waits at once spawn fibers.
 *
 * reduce and scan combine in index order, in blocks whose borders depend on n and .grain alone: the same input gives the
 * same bits on any number of workers, in any schedule.  (They are not the bits of a plain loop, for an operator that is
 * associative only almost, such as the addition of doubles.)
 *
 * On a plain thread all of these are plain loops.
 *
 * Source: lazy binary splitting (Tzannes, Caragea, Barua, Vishkin 2010); two-pass scan (Blelloch 1990).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_LOOP_H
#define WEFT_LOOP_H

#include <weft/fork.h>

WEFT_BEGIN_C

/* Zero means default everywhere. */
typedef struct weft_loop_options {
    size_t grain; /* iterations of a chunk; of reduce and scan: of a block.  0: it is found out */
} weft_loop_options;

/* ---- parallel_for ------------------------------------------------------------------------------------- */

#define WEFT__LOOP_TYPES(name, In, run_piece)                                                \
    typedef In name##_in;                                                                    \
    __attribute__((unused)) static weft_exit name##__piece(size_t weft_from_, size_t weft_to_, void *weft_p_) { \
        const name##_in weft_in_ = *(name##_in *)weft_p_;                                    \
        weft_exit weft_e_ = {WEFT_EXIT_OK, 0, NULL};                                         \
        run_piece;                                                                           \
        return weft_e_;                                                                      \
    }                                                                                        \
    WEFT__STATIC_ASSERT(sizeof(In) > 0, "")

/* WEFT_LOOP(name, In);
 * Makes `void name(size_t i, In)`, declared before, the body of a loop.  In: a complete type that can be assigned, of any
 * size.  Defines name_in. */
#define WEFT_LOOP(name, In)                                                                  \
    WEFT__LOOP_TYPES(name, In, for (size_t weft_i_ = weft_from_; weft_i_ < weft_to_; weft_i_++) name(weft_i_, weft_in_))

/* WEFT_LOOP_EXIT(name, In);
 * The same of `weft_exit name(size_t i, In)`: what is not ok ends the loop. */
#define WEFT_LOOP_EXIT(name, In)                                                             \
    WEFT__LOOP_TYPES(name, In,                                                               \
                     for (size_t weft_i_ = weft_from_; weft_i_ < weft_to_ && weft_ok(weft_e_); weft_i_++) \
                         weft_e_ = name(weft_i_, weft_in_))

/* WEFT_LOOP_RANGE(name, In);
 * The same of `weft_exit name(size_t from, size_t to, In)`, which goes through from to to - 1 itself; from < to. */
#define WEFT_LOOP_RANGE(name, In) WEFT__LOOP_TYPES(name, In, weft_e_ = name(weft_from_, weft_to_, weft_in_))

/* weft_exit weft_parallel_for(name, size_t n, input...)
 * weft_exit weft_parallel_for_with(name, size_t n, weft_loop_options options, input...)
 * name(i, input) for each i < n, once each, in any order and at once; `input` initialises a name_in, which is kept in the
 * caller's frame.  When it returns ok all of them have; else some may have, and the others have not begun.
 * Returns the first failure; {INTERRUPT, WEFT_E_INTERRUPTED}: the caller is asked to stop.  n = 0 is ok.
 * [any thread] [suspends: cancellation point; allocates nothing] */
#define weft_parallel_for(name, n, ...)                                                      \
    __extension__({                                                                          \
        name##_in weft_in_ = {__VA_ARGS__};                                                  \
        weft__loop_run(name##__piece, (void *)&weft_in_, (n), 0);                            \
    })
#define weft_parallel_for_with(name, n, options, ...)                                        \
    __extension__({                                                                          \
        const weft_loop_options weft_o_ = options;                                           \
        name##_in weft_in_ = {__VA_ARGS__};                                                  \
        weft__loop_run(name##__piece, (void *)&weft_in_, (n), weft_o_.grain);                \
    })

/* ---- map ---------------------------------------------------------------------------------------------- */

/* WEFT_ARRAY_MAP(name, Out, In);
 * Makes `Out name(In)`, declared before, a function that can be mapped over arrays.
 *
 * weft_exit weft_array_map(name, Out *out, const In *in, size_t n)
 * out[i] = name(in[i]) for each i < n.  out may be in.  Otherwise as weft_parallel_for. */
#define WEFT_ARRAY_MAP(name, Out, In)                                                        \
    typedef Out name##_map_out;                                                              \
    typedef In name##_map_in;                                                                \
    typedef struct name##_arrays {                                                           \
        name##_map_out *out;                                                                 \
        const name##_map_in *in;                                                             \
    } name##_arrays;                                                                         \
    __attribute__((unused, always_inline)) static inline void name##__map_one(size_t weft_i_, name##_arrays weft_a_) { \
        weft_a_.out[weft_i_] = name(weft_a_.in[weft_i_]);                                    \
    }                                                                                        \
    WEFT_LOOP(name##__map_one, name##_arrays)
#define weft_array_map(name, out, in, n) weft_parallel_for(name##__map_one, (n), (out), (in))

/* ---- reduce and scan ---------------------------------------------------------------------------------- */

/* What a pass over blocks works on; a block is `block` indices, the last one what is left. */
#define WEFT__BLOCKS_TYPES(name, T, In)                                                      \
    typedef In name##_in;                                                                    \
    typedef T name##_out;                                                                    \
    typedef struct name##_blocks {                                                           \
        name##_in in;                                                                        \
        size_t n, block, done;                                                               \
        name##_out *partial, *out, start;                                                    \
        bool exclusive;                                                                      \
    } name##_blocks

/* partial[b] = the terms of block b, combined. */
#define WEFT__BLOCKS_SUM(name, combine)                                                      \
    __attribute__((unused)) static weft_exit name##__sums(size_t weft_from_, size_t weft_to_, void *weft_p_) { \
        const name##_blocks weft_k_ = *(name##_blocks *)weft_p_;                             \
        const weft_exit weft_ok_ = {WEFT_EXIT_OK, 0, NULL};                                  \
        for (; weft_from_ < weft_to_; weft_from_++) {                                        \
            size_t weft_i_ = weft_from_ * weft_k_.block, weft_room_ = weft_k_.n - weft_i_;   \
            size_t weft_end_ = weft_i_ + (weft_room_ < weft_k_.block ? weft_room_ : weft_k_.block); \
            name##_out weft_t_ = name(weft_i_, weft_k_.in);                                  \
            while (++weft_i_ < weft_end_) weft_t_ = combine(weft_t_, name(weft_i_, weft_k_.in)); \
            weft_k_.partial[weft_from_] = weft_t_;                                           \
        }                                                                                    \
        return weft_ok_;                                                                     \
    }

/* WEFT_REDUCE(name, T, In, combine);
 * Makes `T name(size_t i, In)`, the i-th term, and the associative `T combine(T, T)`, both declared before, a reduction.
 *
 * weft_exit weft_reduce(name, T *out, size_t n, T start, input...)
 * weft_exit weft_reduce_with(name, T *out, size_t n, T start, weft_loop_options options, input...)
 * *out = start combined with the terms 0 to n - 1, from left to right in blocks (see above); only if it returns ok.
 * Errors: those of weft_parallel_for; WEFT_E_NOMEM: a block's result has no place (up to 512 of them, if not for .grain).
 * [any thread] [suspends: cancellation point] */
#define WEFT_REDUCE(name, T, In, combine)                                                    \
    WEFT__BLOCKS_TYPES(name, T, In);                                                         \
    WEFT__BLOCKS_SUM(name, combine)                                                          \
    __attribute__((unused)) static weft_exit name##__reduce(name##_out *weft_out_, size_t weft_n_, size_t weft_grain_, \
                                                            name##_out weft_start_, name##_in weft_in_) { \
        uint64_t weft_room_[32] __attribute__((aligned(16))); \
        size_t weft_count_, weft_block_ = weft__loop_blocks(weft_n_, weft_grain_, &weft_count_); \
        name##_out *weft_sums_ = (name##_out *)weft__loop_memory(weft_count_, sizeof(name##_out), weft_room_, sizeof weft_room_); \
        if (!weft_sums_) return weft__loop_no_memory();                                      \
        name##_blocks weft_k_ = {weft_in_, weft_n_, weft_block_, 0, weft_sums_, NULL, weft_start_, false}; \
        weft_exit weft_e_ = weft__loop_run(name##__sums, (void *)&weft_k_, weft_count_, weft_grain_ ? 1 : 0); \
        if (weft_ok(weft_e_)) {                                                              \
            for (size_t weft_b_ = 0; weft_b_ < weft_count_; weft_b_++)                       \
                weft_start_ = combine(weft_start_, weft_sums_[weft_b_]);                     \
            *weft_out_ = weft_start_;                                                        \
        }                                                                                    \
        weft__loop_memory_free(weft_sums_, weft_count_, sizeof(name##_out), weft_room_);     \
        return weft_e_;                                                                      \
    }                                                                                        \
    WEFT__STATIC_ASSERT(sizeof(T) > 0, "")

#define weft_reduce(name, out, n, start, ...)                                                \
    __extension__({                                                                          \
        const name##_in weft_i_ = {__VA_ARGS__};                                             \
        name##__reduce((out), (n), 0, (start), weft_i_);                                     \
    })
#define weft_reduce_with(name, out, n, start, options, ...)                                  \
    __extension__({                                                                          \
        const weft_loop_options weft_o_ = options;                                           \
        const name##_in weft_i_ = {__VA_ARGS__};                                             \
        name##__reduce((out), (n), weft_o_.grain, (start), weft_i_);                         \
    })

/* Block b, with partial[b] = all that is to the left of it: out[i] = that and the terms up to i, i included or not. */
#define WEFT__BLOCKS_WRITE(name, combine)                                                    \
    __attribute__((unused, always_inline)) static inline void name##__write(const name##_blocks *weft_k_, size_t weft_b_) { \
        size_t weft_i_ = weft_b_ * weft_k_->block, weft_room_ = weft_k_->n - weft_i_;        \
        size_t weft_end_ = weft_i_ + (weft_room_ < weft_k_->block ? weft_room_ : weft_k_->block); \
        name##_out weft_t_ = weft_k_->partial[weft_b_], *weft_to_ = weft_k_->out;            \
        const name##_in weft_in_ = weft_k_->in;                                              \
        if (weft_k_->exclusive)                                                              \
            for (; weft_i_ < weft_end_; weft_i_++) {                                         \
                name##_out weft_x_ = name(weft_i_, weft_in_);                                \
                weft_to_[weft_i_] = weft_t_;                                                 \
                weft_t_ = combine(weft_t_, weft_x_);                                         \
            }                                                                                \
        else                                                                                 \
            for (; weft_i_ < weft_end_; weft_i_++)                                           \
                weft_to_[weft_i_] = weft_t_ = combine(weft_t_, name(weft_i_, weft_in_));     \
    }                                                                                        \
    __attribute__((unused)) static weft_exit name##__writes(size_t weft_from_, size_t weft_to_, void *weft_p_) { \
        const name##_blocks weft_k_ = *(name##_blocks *)weft_p_;                             \
        const weft_exit weft_ok_ = {WEFT_EXIT_OK, 0, NULL};                                  \
        for (; weft_from_ < weft_to_; weft_from_++) name##__write(&weft_k_, weft_from_);     \
        return weft_ok_;                                                                     \
    }

/* With one worker: all in one pass, by the same operations in the same order. */
#define WEFT__BLOCKS_IN_ONE_PASS(name, combine)                                              \
    __attribute__((unused)) static weft_exit name##__pass(size_t weft_from_, size_t weft_to_, void *weft_p_) { \
        name##_blocks *weft_b_ = (name##_blocks *)weft_p_;                                   \
        const weft_exit weft_ok_ = {WEFT_EXIT_OK, 0, NULL};                                  \
        for (; weft_from_ < weft_to_; weft_from_++) {                                        \
            const name##_blocks weft_k_ = *weft_b_;                                          \
            size_t weft_i_ = weft_k_.done, weft_room_ = weft_k_.n - weft_i_;                 \
            size_t weft_end_ = weft_i_ + (weft_room_ < weft_k_.block ? weft_room_ : weft_k_.block); \
            name##_out weft_x_ = name(weft_i_, weft_k_.in), weft_sum_ = weft_x_, weft_t_ = weft_k_.start; \
            for (;;) {                                                                       \
                name##_out weft_next_ = combine(weft_t_, weft_x_);                           \
                weft_k_.out[weft_i_] = weft_k_.exclusive ? weft_t_ : weft_next_;             \
                weft_t_ = weft_next_;                                                        \
                if (++weft_i_ == weft_end_) break;                                           \
                weft_x_ = name(weft_i_, weft_k_.in);                                         \
                weft_sum_ = combine(weft_sum_, weft_x_);                                     \
            }                                                                                \
            weft_b_->start = combine(weft_k_.start, weft_sum_);                              \
            weft_b_->done = weft_end_;                                                       \
        }                                                                                    \
        return weft_ok_;                                                                     \
    }                                                                                        \
    __attribute__((unused)) static weft_exit name##__scan_alone(name##_blocks *weft_k_, size_t weft_count_) { \
        weft_exit weft_e_ = {WEFT_EXIT_OK, 0, NULL};                                         \
        while (weft_count_ > 0 && weft_ok(weft_e_)) {                                        \
            size_t weft_few_ = weft_count_ < 8 ? weft_count_ : 8;                            \
            weft_e_ = weft__loop_run(name##__pass, (void *)weft_k_, weft_few_, weft_few_);   \
            weft_count_ -= weft_few_;                                                        \
        }                                                                                    \
        return weft_e_;                                                                      \
    }

/* WEFT_SCAN(name, T, In, combine);
 * Makes `T name(size_t i, In)`, the i-th term, and the associative `T combine(T, T)`, both declared before, a scan.  A
 * term may be asked for twice; it must be the same.
 *
 * weft_exit weft_scan(name, T *out, size_t n, T start, input...)
 * weft_exit weft_scan_exclusive(name, T *out, size_t n, T start, input...)
 * weft_exit weft_scan_with(name, T *out, size_t n, T start, bool exclusive, weft_loop_options options, input...)
 * out[i] = start combined with the terms 0 to i (exclusive: to i - 1), from left to right in blocks.  If the i-th term is
 * made of element i of an array alone, out may be that array.  Not ok: parts of out are written.
 * Errors: as weft_reduce (with one worker no memory is needed).  [any thread] [suspends: cancellation point] */
#define WEFT_SCAN(name, T, In, combine)                                                      \
    WEFT__BLOCKS_TYPES(name, T, In);                                                         \
    WEFT__BLOCKS_SUM(name, combine)                                                          \
    WEFT__BLOCKS_WRITE(name, combine)                                                        \
    WEFT__BLOCKS_IN_ONE_PASS(name, combine)                                                  \
    __attribute__((unused)) static weft_exit name##__scan(name##_out *weft_out_, size_t weft_n_, bool weft_exclusive_, \
                                                          size_t weft_grain_, name##_out weft_start_, \
                                                          name##_in weft_in_) {              \
        uint64_t weft_room_[32] __attribute__((aligned(16))); \
        size_t weft_count_, weft_block_ = weft__loop_blocks(weft_n_, weft_grain_, &weft_count_); \
        name##_blocks weft_k_ = {weft_in_, weft_n_, weft_block_, 0, NULL, weft_out_, weft_start_, weft_exclusive_}; \
        if (weft__loop_alone()) return name##__scan_alone(&weft_k_, weft_count_);            \
        name##_out *weft_sums_ = (name##_out *)weft__loop_memory(weft_count_, sizeof(name##_out), weft_room_, sizeof weft_room_); \
        if (!weft_sums_) return weft__loop_no_memory();                                      \
        weft_k_.partial = weft_sums_;                                                        \
        weft_exit weft_e_ = weft__loop_run(name##__sums, (void *)&weft_k_, weft_count_, weft_grain_ ? 1 : 0); \
        if (weft_ok(weft_e_)) {                                                              \
            for (size_t weft_b_ = 0; weft_b_ < weft_count_; weft_b_++) {                     \
                name##_out weft_t_ = weft_sums_[weft_b_];                                    \
                weft_sums_[weft_b_] = weft_start_;                                           \
                weft_start_ = combine(weft_start_, weft_t_);                                 \
            }                                                                                \
            weft_e_ = weft__loop_run(name##__writes, (void *)&weft_k_, weft_count_, weft_grain_ ? 1 : 0); \
        }                                                                                    \
        weft__loop_memory_free(weft_sums_, weft_count_, sizeof(name##_out), weft_room_);     \
        return weft_e_;                                                                      \
    }                                                                                        \
    WEFT__STATIC_ASSERT(sizeof(T) > 0, "")

#define weft_scan(name, out, n, start, ...) WEFT__SCAN(name, out, n, start, false, 0, __VA_ARGS__)
#define weft_scan_exclusive(name, out, n, start, ...) WEFT__SCAN(name, out, n, start, true, 0, __VA_ARGS__)
#define weft_scan_with(name, out, n, start, exclusive, options, ...)                         \
    __extension__({                                                                          \
        const weft_loop_options weft_o_ = options;                                           \
        WEFT__SCAN(name, out, n, start, exclusive, weft_o_.grain, __VA_ARGS__);              \
    })
#define WEFT__SCAN(name, out, n, start, exclusive, grain, ...)                               \
    __extension__({                                                                          \
        const name##_in weft_i_ = {__VA_ARGS__};                                             \
        name##__scan((out), (n), (exclusive), (grain), (start), weft_i_);                    \
    })

/* ---- below: what the macros use ----------------------------------------------------------------------- */

typedef weft_exit weft__piece_fn(size_t from, size_t to, void *in);
WEFT_API weft_exit weft__loop_run(weft__piece_fn *piece, void *in, size_t n, size_t grain);

WEFT_API bool weft__loop_alone(void); /* is there no other worker? */

/* Blocks of n indices: how long, and how many; of n and grain alone.  So many that they can be shared out evenly, and so few
 * that what is done once for each is nothing. */
static inline size_t weft__loop_blocks(size_t n, size_t grain, size_t *count) {
    size_t block = grain ? grain : n / 512 + (n % 512 != 0);
    *count = n ? (n - 1) / block + 1 : 0;
    return block;
}

/* `count` results of `bytes` each: in `room` if they fit. */
WEFT_API void *weft__loop_memory_slow(size_t count, size_t bytes);
WEFT_API void weft__loop_memory_free_slow(void *p, size_t count, size_t bytes);
WEFT_API weft_exit weft__loop_no_memory(void);
static inline void *weft__loop_memory(size_t count, size_t bytes, void *room, size_t room_bytes) {
    return count <= room_bytes / bytes ? room : weft__loop_memory_slow(count, bytes);
}
static inline void weft__loop_memory_free(void *p, size_t count, size_t bytes, void *room) {
    if (p != room) weft__loop_memory_free_slow(p, count, bytes);
}

WEFT_END_C
#endif
