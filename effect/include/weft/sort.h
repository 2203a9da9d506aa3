/* weft/sort.h -- sorting arrays on all workers, with the comparison inlined.
 *
 *   static inline bool before(long a, long b) { return a < b; }
 *   WEFT_SORT(before, long);
 *
 *   weft_exit e = weft_sort(before, a, n);          // in place, O(n log n) whatever the input, no memory
 *   weft_exit e = weft_sort_stable(before, a, n);   // equal ones keep their order; n elements of memory
 *
 * before(a, b): must a come before b?  A strict weak order: never of an element and itself, transitive, and so is being
 * equal.  With a function that is none the result is some mixture of the elements, and nothing else is touched.
 *
 * weft_sort is quicksort.  A partition is a loop without a branch that depends on the elements, so that random input costs
 * no mispredictions; up to 32 elements are sorted by merging short runs, likewise.  The larger side of each partition is
 * forked, and a large partition is made by two workers if one asks for work.  Pivots are medians of 3 to 255 elements; if partitions are uneven all the same too often, heapsort does the
 * rest.  Elements equal to an earlier pivot are set aside at once: few different keys take less time, not more.  An array
 * that is in order, or in the opposite one, is noticed in one pass.
 *
 * weft_sort_stable is merge sort: halves are forked, merges are without branches from both ends, and split in two when a
 * worker asks for work.
 *
 * For elements of up to some 64 bytes; sort pointers to, or indices of, what is larger.
 *
 * Source: Lomuto's partition without branches, with a hole in place of swaps (Alexandrescu 2020, Peters 2023); pattern-
 * defeating quicksort (Peters 2021); merging from both ends (Peters, van den Hoven 2021); introsort (Musser 1997).
 * Rejected: partitions by blocks of offsets (a buffer, and twice the code, for the same speed); sorting networks for up to 32
 * (their size, for each type).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SORT_H
#define WEFT_SORT_H

#include <weft/cancel.h>

WEFT_BEGIN_C

enum {
    WEFT__SORT_SMALL = 32,            /* sorted by merging runs; */
    WEFT__SORT_INSERT = 8,            /* of large elements by insertion, up to here; */
    WEFT__SORT_LARGE = 64,            /* above so many bytes there are no runs: they would need much of a stack */
    WEFT__SORT_LARGEST = 256,
    WEFT__SORT_MEDIAN_9 = 128,        /* from here on the pivot is a median of medians of 9, */
    WEFT__SORT_MEDIAN_81 = 2048,      /* of 81, */
    WEFT__SORT_MEDIAN_255 = 1 << 18,  /* the median of 255 elements */
    WEFT__SORT_ALONE = 4096,          /* not forked below this, */
    WEFT__SORT_CUT = 1 << 17,         /* nor partitioned by two workers */
};

/* 0 or 1, as the compiler cannot know: it would make a branch of what is chosen by it. */
static inline __attribute__((always_inline)) size_t weft__sort_opaque(bool is) {
    size_t n = is;
    __asm__("" : "+r"(n));
    return n;
}
static inline __attribute__((always_inline)) const void *weft__sort_pick(size_t is, const void *yes, const void *no) {
    return (const void *)((uintptr_t)no ^ (((uintptr_t)no ^ (uintptr_t)yes) & (0 - is)));
}

/* WEFT_SORT(name, T);
 * Makes `bool name(T a, T b)`, declared before, an order to sort by.  T: a complete type that can be assigned, of at
 * most 256 bytes.
 *
 * weft_exit weft_sort(name, T *a, size_t n)
 * Sorts a[0] to a[n - 1].  {INTERRUPT, WEFT_E_INTERRUPTED}: the caller is asked to stop; the elements are all there, in
 * some order.  [any thread] [suspends: cancellation point; allocates nothing]
 *
 * weft_exit weft_sort_stable(name, T *a, size_t n)
 * The same; elements neither of which is before the other stay in their order.
 * Errors: also WEFT_E_NOMEM (nothing was moved).  [any thread] [suspends: cancellation point] */
#define WEFT_SORT(name, T)                                                                   \
    WEFT__SORT_SHORT(name, T)                                                                \
    WEFT__SORT_PARTITION(name)                                                               \
    WEFT__SORT_CUT_IN_TWO(name)                                                              \
    WEFT__SORT_HEAP(name)                                                                    \
    WEFT__SORT_QUICK(name)                                                                   \
    WEFT__SORT_MERGE(name)

#define weft_sort(name, a, n) name##__sort((a), (n))
#define weft_sort_stable(name, a, n) name##__sort_stable((a), (n))

/* ---- short ranges -------------------------------------------------------------------------------------
 * Stable.  `small` sorts eighths (quarters, halves) of two to four elements, and merges them level by level.  A merge fills
 * its destination from both ends: two chains of loads that do not wait for each other, and no test for the end of a run,
 * since the runs' lengths differ by at most one. */
#define WEFT__SORT_SHORT(name, T)                                                            \
    typedef T name##_element;                                                                \
    enum { name##_short = sizeof(T) > WEFT__SORT_LARGE ? (int)WEFT__SORT_INSERT : (int)WEFT__SORT_SMALL }; \
    __attribute__((unused)) static void name##__insert(name##_element *a, size_t n) {        \
        for (size_t i = 1; i < n; i++) {                                                     \
            name##_element x = a[i];                                                         \
            size_t k = i;                                                                    \
            for (; k > 0 && name(x, a[k - 1]); k--) a[k] = a[k - 1];                         \
            a[k] = x;                                                                        \
        }                                                                                    \
    }                                                                                        \
    __attribute__((unused, always_inline)) static inline void name##__two(name##_element *a) { \
        name##_element x = a[0], y = a[1];                                                   \
        bool swap = name(y, x);                                                              \
        a[0] = swap ? y : x;                                                                 \
        a[1] = swap ? x : y;                                                                 \
    }                                                                                        \
    __attribute__((unused, always_inline)) static inline void name##__run_of(name##_element *a, size_t n) { \
        if (sizeof(T) > 8) {                                                                 \
            name##__insert(a, n);                                                            \
            return;                                                                          \
        }                                                                                    \
        if (n < 2) return;                                                                   \
        name##__two(a);                                                                      \
        if (n == 2) return;                                                                  \
        if (n == 4) name##__two(a + 2);                                                      \
        name##__two(a + 1);                                                                  \
        name##__two(a);                                                                      \
        if (n == 3) return;                                                                  \
        name##__two(a + 2);                                                                  \
        name##__two(a + 1);                                                                  \
    }                                                                                        \
    __attribute__((unused, always_inline)) static inline void name##__both_ends(const name##_element *l, size_t m, \
                                                                                const name##_element *r, size_t n, \
                                                                                name##_element *to) { \
        const name##_element *last = l + m - 1, *end = r + n - 1, *p;                        \
        name##_element *to_end = to + m + n - 1;                                             \
        for (size_t steps = (m + n) / 2; steps > 0; steps--) {                               \
            size_t right = weft__sort_opaque(name(*r, *l)), left = weft__sort_opaque(name(*end, *last)); \
            p = (const name##_element *)weft__sort_pick(right, r, l);                        \
            *to++ = *p;                                                                      \
            r += right;                                                                      \
            l += 1 - right;                                                                  \
            p = (const name##_element *)weft__sort_pick(left, last, end);                    \
            *to_end-- = *p;                                                                  \
            last -= left;                                                                    \
            end -= 1 - left;                                                                 \
        }                                                                                    \
        if ((m + n) & 1) *to = l <= last ? *l : *r;                                          \
    }                                                                                        \
    __attribute__((unused, noinline)) static void name##__small(name##_element *a, size_t n) { \
        if (n <= 4 || (sizeof(T) > 16 && n <= WEFT__SORT_INSERT)) {                          \
            if (n <= 4) name##__run_of(a, n);                                                \
            else name##__insert(a, n);                                                       \
            return;                                                                          \
        }                                                                                    \
        name##_element room[name##_short], *from = a, *to = room;                            \
        unsigned runs = n > 16 ? 8 : n > 8 ? 4 : 2;                                          \
        for (unsigned i = 0; i < runs; i++) {                                                \
            size_t at = i * n / runs;                                                        \
            name##__run_of(a + at, (i + 1) * n / runs - at);                                 \
        }                                                                                    \
        for (; runs > 1; runs /= 2) {                                                        \
            for (unsigned i = 0; i < runs; i += 2) {                                         \
                size_t at = i * n / runs, mid = (i + 1) * n / runs, end = (i + 2) * n / runs; \
                name##__both_ends(from + at, mid - at, from + mid, end - mid, to + at);      \
            }                                                                                \
            name##_element *other = from;                                                    \
            from = to;                                                                       \
            to = other;                                                                      \
        }                                                                                    \
        if (from != a) __builtin_memcpy((void *)a, (const void *)from, n * sizeof(T));       \
    }

/* ---- partitions ---------------------------------------------------------------------------------------
 * split: a[0] is the pivot.  Those of the rest that go left (before it; or, `equal`, not behind it) are moved to the front,
 * the pivot between them and the others; returns how many they are.  In the loop, of b = a + 1:
 *
 *   b[0 .. k) go left | b[k .. i-1) do not | b[i-1] is the hole | b[i ..] not looked at
 *
 * b[k] goes into the hole, the new element into b[k], and k moves on if it goes left: two loads, two stores, no branch. */
#define WEFT__SORT_PARTITION(name)                                                           \
    __attribute__((unused, always_inline)) static inline size_t name##__split_by(name##_element *a, size_t n, bool equal) { \
        const name##_element pivot = a[0];                                                   \
        name##_element *b = a + 1, first = b[0];                                             \
        size_t k = 0;                                                                        \
        for (size_t i = 1; i < n - 1; i++) {                                                 \
            name##_element x = b[i];                                                         \
            b[i - 1] = b[k];                                                                 \
            b[k] = x;                                                                        \
            k += equal ? !name(pivot, x) : name(x, pivot);                                   \
        }                                                                                    \
        b[n - 2] = b[k];                                                                     \
        b[k] = first;                                                                        \
        k += equal ? !name(pivot, first) : name(first, pivot);                               \
        a[0] = a[k];                                                                         \
        a[k] = pivot;                                                                        \
        return k;                                                                            \
    }                                                                                        \
    __attribute__((unused, noinline)) static size_t name##__split(name##_element *a, size_t n) { \
        return name##__split_by(a, n, false);                                                \
    }                                                                                        \
    __attribute__((unused, noinline)) static size_t name##__split_equal(name##_element *a, size_t n) { \
        return name##__split_by(a, n, true);                                                 \
    }                                                                                        \
    __attribute__((unused, always_inline)) static inline size_t name##__median(const name##_element *a, size_t i, size_t j, \
                                                                               size_t k) {   \
        bool ij = name(a[i], a[j]), jk = name(a[j], a[k]), ik = name(a[i], a[k]);            \
        size_t outer = ij == ik ? k : i;                                                     \
        return ij == jk ? j : outer;                                                         \
    }                                                                                        \
    __attribute__((unused)) static size_t name##__median_9(const name##_element *a, size_t at, size_t step) { \
        size_t i = name##__median(a, at, at + step, at + 2 * step);                          \
        size_t j = name##__median(a, at + 3 * step, at + 4 * step, at + 5 * step);           \
        return name##__median(a, i, j, name##__median(a, at + 6 * step, at + 7 * step, at + 8 * step)); \
    }                                                                                        \
    __attribute__((unused, noinline)) static size_t name##__median_81(const name##_element *a, size_t n) { \
        size_t of[9], step = n / 82;                                                         \
        for (size_t i = 0; i < 9; i++) of[i] = name##__median_9(a, (1 + 9 * i) * step, step); \
        size_t i = name##__median(a, of[0], of[1], of[2]), j = name##__median(a, of[3], of[4], of[5]); \
        return name##__median(a, i, j, name##__median(a, of[6], of[7], of[8]));              \
    }                                                                                        \
    __attribute__((unused)) static inline void name##__swap(name##_element *a, size_t i, size_t j) { \
        name##_element x = a[i];                                                             \
        a[i] = a[j];                                                                         \
        a[j] = x;                                                                            \
    }                                                                                        \
    static void name##__quick(name##_element *a, size_t n, unsigned limit, bool first);      \
    /* The pivot, to a[0]. */                                                                \
    __attribute__((unused, always_inline)) static inline void name##__pivot(name##_element *a, size_t n) { \
        size_t p;                                                                            \
        if (n < WEFT__SORT_MEDIAN_9) {                                                       \
            p = name##__median(a, n / 4, n / 2, n / 2 + n / 4);                              \
        } else if (n < WEFT__SORT_MEDIAN_81) {                                               \
            p = name##__median_9(a, n / 18, n / 9);                                          \
        } else if (n < WEFT__SORT_MEDIAN_255) {                                              \
            p = name##__median_81(a, n);                                                     \
        } else {                                                                             \
            for (size_t i = 0; i < 255; i++) name##__swap(a, i, n / 256 * i + i);            \
            name##__quick(a, 255, 16, true);                                                 \
            p = 127;                                                                         \
        }                                                                                    \
        name##__swap(a, 0, p);                                                               \
    }

/* ---- partitions by several workers --------------------------------------------------------------------
 * If somebody asks for work: one takes the inner half, the other the outer quarters, as if they were one array (sweep).  With
 * a good pivot the left quarter then goes left and the right one right, but for a few: at the seam between the left quarter and
 * the inner half, or between that and the right quarter, some are on the wrong side, and change places. */
#define WEFT__SORT_CUT_IN_TWO(name)                                                          \
    /* split's loop over l[0 .. m) and r[0 .. n), by a pivot that lies elsewhere; m > 0. */  \
    __attribute__((unused, noinline)) static size_t name##__sweep(name##_element *l, size_t m, name##_element *r, size_t n, \
                                                                  const name##_element *by) { \
        const name##_element pivot = *by, first = *l;                                        \
        name##_element *k = l, *hole = l, *l_end = l + m, *i = l + 1;                        \
        size_t left = m - 1, room = m;                                                       \
        for (bool in_l = true;;) {                                                           \
            for (size_t steps = left < room ? left : room; steps > 0; steps--) {             \
                name##_element x = *i;                                                       \
                *hole = *k;                                                                  \
                *k = x;                                                                      \
                hole = i++;                                                                  \
                k += name(x, pivot);                                                         \
            }                                                                                \
            if (k == l_end) k = r;                                                           \
            left = (size_t)((in_l ? l_end : r + n) - i);                                     \
            if (left == 0) {                                                                 \
                if (!in_l || n == 0) break;                                                  \
                in_l = false;                                                                \
                i = r;                                                                       \
                left = n;                                                                    \
            }                                                                                \
            room = k >= l && k < l_end ? (size_t)(l_end - k) : left;                         \
        }                                                                                    \
        *hole = *k;                                                                          \
        *k = first;                                                                          \
        k += name(first, pivot);                                                             \
        return k >= l && k <= l_end ? (size_t)(k - l) : m + (size_t)(k - r);                 \
    }                                                                                        \
    typedef struct name##_cuts {                                                             \
        name##_element *a;                                                                   \
        size_t n;                                                                            \
        const name##_element *by;                                                            \
    } name##_cuts;                                                                           \
    static size_t name##__cut(name##_cuts c);                                                \
    WEFT_TASK(name##__cut, size_t, name##_cuts);                                             \
    static size_t name##__cut(name##_cuts c) {                                               \
        if (c.n < WEFT__SORT_CUT || !(weft__attn() & 1)) return name##__sweep(c.a, c.n, c.a + c.n, 0, c.by); \
        size_t q = c.n / 4, in = c.n - 2 * q;                                                \
        name##__cut_task half;                                                               \
        weft_fork(&half, name##__cut, c.a + q, in, c.by);                                    \
        size_t outer = name##__sweep(c.a, q, c.a + q + in, q, c.by), inner = weft_join(&half, name##__cut); \
        size_t seam = outer <= q ? q : q + in, right = outer <= q ? outer : q + inner; /* from here to the seam: go right, */ \
        size_t left = outer <= q ? inner : outer - q;                                  /* and so many behind it left */ \
        size_t m = seam - right < left ? seam - right : left;                                \
        for (size_t i = 0; i < m; i++) name##__swap(c.a, right + i, seam + left - m + i);    \
        return outer + inner;                                                                \
    }                                                                                        \
    /* The same as split. */                                                                 \
    __attribute__((unused)) static size_t name##__split_shared(name##_element *a, size_t n) { \
        if (n < WEFT__SORT_CUT || !(weft__attn() & 1)) return name##__split(a, n);           \
        name##_cuts c = {a + 1, n - 1, a};                                                   \
        size_t k = name##__cut(c);                                                           \
        name##__swap(a, 0, k);                                                               \
        return k;                                                                            \
    }

/* ---- when pivots do not help -------------------------------------------------------------------------- */
#define WEFT__SORT_HEAP(name)                                                                \
    __attribute__((unused)) static void name##__sink(name##_element *a, size_t i, size_t n) { \
        name##_element x = a[i];                                                             \
        for (size_t child; (child = 2 * i + 1) < n; i = child) {                             \
            if (child + 1 < n && name(a[child], a[child + 1])) child++;                      \
            if (!name(x, a[child])) break;                                                   \
            a[i] = a[child];                                                                 \
        }                                                                                    \
        a[i] = x;                                                                            \
    }                                                                                        \
    __attribute__((unused, noinline)) static void name##__heap(name##_element *a, size_t n) { \
        for (size_t i = n / 2; i-- > 0;) name##__sink(a, i, n);                              \
        for (size_t i = n; i-- > 1;) {                                                       \
            name##__swap(a, 0, i);                                                           \
            name##__sink(a, 0, i);                                                           \
        }                                                                                    \
    }

/* ---- quicksort ----------------------------------------------------------------------------------------
 * first: nothing is to the left; else a[-1] is there, in its place for good, and not behind any of these.
 * limit: uneven partitions that are still tolerated. */
#define WEFT__SORT_QUICK(name)                                                               \
    typedef struct name##_part {                                                             \
        name##_element *a;                                                                   \
        size_t n;                                                                            \
        uint32_t limit;                                                                      \
        bool first;                                                                          \
    } name##_part;                                                                           \
    /* One partition: p becomes the larger side, *other the smaller one.  False: there is nothing more to do. */ \
    __attribute__((unused, always_inline)) static inline bool name##__divide(name##_part *p, name##_part *other, \
                                                                             bool shared) {  \
        if (WEFT_UNLIKELY(p->limit == 0)) {                                                  \
            name##__heap(p->a, p->n);                                                        \
            return false;                                                                    \
        }                                                                                    \
        name##__pivot(p->a, p->n);                                                           \
        *other = *p;                                                                         \
        if (!p->first && !name(p->a[-1], p->a[0])) { /* they are equal, and so are all that go left */ \
            size_t k = name##__split_equal(p->a, p->n) + 1;                                  \
            p->a += k;                                                                       \
            p->n -= k;                                                                       \
            other->n = 0;                                                                    \
            return true;                                                                     \
        }                                                                                    \
        size_t k = shared ? name##__split_shared(p->a, p->n) : name##__split(p->a, p->n), m = p->n - k - 1; \
        if (k < p->n / 8 || m < p->n / 8) other->limit = --p->limit;                         \
        if (k < m) {                                                                         \
            other->n = k;                                                                    \
            p->a += k + 1;                                                                   \
            p->n = m;                                                                        \
            p->first = false;                                                                \
        } else {                                                                             \
            other->a += k + 1;                                                               \
            other->n = m;                                                                    \
            other->first = false;                                                            \
            p->n = k;                                                                        \
        }                                                                                    \
        return true;                                                                         \
    }                                                                                        \
    static void name##__quick(name##_element *a, size_t n, unsigned limit, bool first) {     \
        name##_part p = {a, n, limit, first}, smaller;                                       \
        while (p.n > (size_t)name##_short) {                                                 \
            if (!name##__divide(&p, &smaller, false)) return;                                \
            if (smaller.n > (size_t)name##_short) name##__quick(smaller.a, smaller.n, smaller.limit, smaller.first); \
            else name##__small(smaller.a, smaller.n);                                        \
        }                                                                                    \
        name##__small(p.a, p.n);                                                             \
    }                                                                                        \
    static int name##__order(name##_part p);                                                 \
    WEFT_TASK(name##__order, int, name##_part);                                              \
    static int name##__order(name##_part p) {                                                \
        name##_part smaller;                                                                 \
        while (p.n > WEFT__SORT_ALONE) {                                                     \
            if (!weft_ok(weft_checkpoint())) return 0;                                       \
            if (!name##__divide(&p, &smaller, true)) return 0;                               \
            name##__order_task larger;                                                       \
            weft_fork(&larger, name##__order, p.a, p.n, p.limit, p.first);                   \
            name##__order(smaller);                                                          \
            if (!weft_take(&larger)) return 0;                                               \
        }                                                                                    \
        name##__quick(p.a, p.n, p.limit, p.first);                                           \
        return 0;                                                                            \
    }                                                                                        \
    /* In order already, or exactly the other way round? */                                  \
    __attribute__((unused)) static bool name##__in_order(name##_element *a, size_t n) {      \
        size_t i = 1;                                                                        \
        if (!name(a[1], a[0])) {                                                             \
            while (i < n && !name(a[i], a[i - 1])) i++;                                      \
            return i == n;                                                                   \
        }                                                                                    \
        while (i < n && name(a[i], a[i - 1])) i++;                                           \
        if (i < n) return false;                                                             \
        for (size_t k = 0; k < n / 2; k++) name##__swap(a, k, n - 1 - k);                    \
        return true;                                                                         \
    }                                                                                        \
    __attribute__((unused)) static weft_exit name##__sort(name##_element *a, size_t n) {     \
        if (n > 1 && !name##__in_order(a, n)) {                                              \
            name##_part p = {a, n, 64 - (unsigned)__builtin_clzll(n), true};                 \
            name##__order(p);                                                                \
        }                                                                                    \
        return weft_checkpoint();                                                            \
    }

/* ---- merge sort ---------------------------------------------------------------------------------------
 * a and b are two places for the same elements, which are in a; `into_b` says where they are wanted, sorted. */
#define WEFT__SORT_MERGE(name)                                                               \
    typedef struct name##_halves {                                                           \
        name##_element *a, *b;                                                               \
        size_t n;                                                                            \
        bool into_b;                                                                         \
    } name##_halves;                                                                         \
    typedef struct name##_runs {                                                             \
        const name##_element *l, *r;                                                         \
        size_t m, n; /* how many in l, in r */                                               \
        name##_element *to;                                                                  \
    } name##_runs;                                                                           \
    /* How many elements of a sorted run come before x; with `same`, those that are equal, too. */ \
    __attribute__((unused)) static size_t name##__place(const name##_element *a, size_t n, name##_element x, bool same) { \
        size_t from = 0;                                                                     \
        while (n > 0) {                                                                      \
            size_t half = n / 2;                                                             \
            bool right = same ? !name(x, a[from + half]) : name(a[from + half], x);          \
            from += right ? half + 1 : 0;                                                    \
            n = right ? n - half - 1 : half;                                                 \
        }                                                                                    \
        return from;                                                                         \
    }                                                                                        \
    __attribute__((unused, noinline)) static void name##__merge_all(const name##_runs *k) {  \
        const name##_element *l = k->l, *r = k->r, *l_end = l + k->m, *r_end = r + k->n, *p; \
        name##_element *to = k->to;                                                          \
        if (k->m + 1 - k->n <= 2) {                                                          \
            name##__both_ends(l, k->m, r, k->n, to);                                         \
            return;                                                                          \
        }                                                                                    \
        for (;;) {                                                                           \
            size_t safe = (size_t)(l_end - l) < (size_t)(r_end - r) ? (size_t)(l_end - l) : (size_t)(r_end - r); \
            if (safe == 0) break;                                                            \
            for (; safe > 0; safe--) {                                                       \
                size_t right = weft__sort_opaque(name(*r, *l));                              \
                p = (const name##_element *)weft__sort_pick(right, r, l);                    \
                *to++ = *p;                                                                  \
                r += right;                                                                  \
                l += 1 - right;                                                              \
            }                                                                                \
        }                                                                                    \
        while (l < l_end) *to++ = *l++;                                                      \
        while (r < r_end) *to++ = *r++;                                                      \
    }                                                                                        \
    static int name##__merge(name##_runs k);                                                 \
    WEFT_TASK(name##__merge, int, name##_runs);                                              \
    static int name##__merge(name##_runs k) {                                                \
        while (k.m + k.n > WEFT__SORT_ALONE && weft__attn() & 1) {                           \
            size_t i, j;                                                                     \
            if (k.m > k.n) {                                                                 \
                i = k.m / 2;                                                                 \
                j = name##__place(k.r, k.n, k.l[i], false);                                  \
            } else {                                                                         \
                j = k.n / 2;                                                                 \
                i = name##__place(k.l, k.m, k.r[j], true);                                   \
            }                                                                                \
            name##__merge_task farther;                                                      \
            weft_fork(&farther, name##__merge, k.l + i, k.r + j, k.m - i, k.n - j, k.to + i + j); \
            k.m = i;                                                                         \
            k.n = j;                                                                         \
            name##__merge(k);                                                                \
            if (!weft_take(&farther)) return 0;                                              \
            k = weft_in(&farther);                                                           \
        }                                                                                    \
        name##__merge_all(&k);                                                               \
        return 0;                                                                            \
    }                                                                                        \
    static int name##__halve(name##_halves h);                                               \
    WEFT_TASK(name##__halve, int, name##_halves);                                            \
    static int name##__halve(name##_halves h) {                                              \
        if (h.n <= (size_t)name##_short) {                                                   \
            name##__small(h.a, h.n);                                                         \
            if (h.into_b) __builtin_memcpy((void *)h.b, (const void *)h.a, h.n * sizeof *h.a); \
            return 0;                                                                        \
        }                                                                                    \
        size_t m = h.n / 2;                                                                  \
        if (h.n <= WEFT__SORT_ALONE) {                                                       \
            name##_halves l = {h.a, h.b, m, !h.into_b}, r = {h.a + m, h.b + m, h.n - m, !h.into_b}; \
            name##__halve(l);                                                                \
            name##__halve(r);                                                                \
            if (h.into_b) name##__both_ends(h.a, m, h.a + m, h.n - m, h.b);                  \
            else name##__both_ends(h.b, m, h.b + m, h.n - m, h.a);                           \
            return 0;                                                                        \
        }                                                                                    \
        name##__halve_task right;                                                            \
        name##_halves l = {h.a, h.b, m, !h.into_b};                                          \
        weft_fork(&right, name##__halve, h.a + m, h.b + m, h.n - m, !h.into_b);              \
        name##__halve(l);                                                                    \
        (void)weft_join(&right, name##__halve);                                              \
        name##_element *from = h.into_b ? h.a : h.b;                                         \
        name##_runs k = {from, from + m, m, h.n - m, h.into_b ? h.b : h.a};                  \
        name##__merge(k);                                                                    \
        return 0;                                                                            \
    }                                                                                        \
    __attribute__((unused)) static bool name##__in_order_stable(const name##_element *a, size_t n) { \
        size_t i = 1;                                                                        \
        while (i < n && !name(a[i], a[i - 1])) i++;                                          \
        return i >= n;                                                                       \
    }                                                                                        \
    __attribute__((unused)) static weft_exit name##__sort_stable(name##_element *a, size_t n) { \
        if (name##__in_order_stable(a, n)) return weft_checkpoint();                         \
        weft_exit e = weft_checkpoint();                                                     \
        if (!weft_ok(e)) return e;                                                           \
        if (n <= (size_t)name##_short) {                                                     \
            name##__small(a, n);                                                             \
            return e;                                                                        \
        }                                                                                    \
        name##_element *b = (name##_element *)weft__sort_memory(n, sizeof *a);               \
        if (!b) return weft__sort_no_memory();                                               \
        name##_halves h = {a, b, n, false};                                                  \
        name##__halve(h);                                                                    \
        weft__sort_memory_free(b, n, sizeof *a);                                             \
        return weft_checkpoint();                                                            \
    }                                                                                        \
    WEFT__STATIC_ASSERT(sizeof(name##_element) <= WEFT__SORT_LARGEST, "larger elements are sorted by pointer or index")

/* ---- below: what the macros use ----------------------------------------------------------------------- */

WEFT_API void *weft__sort_memory(size_t n, size_t bytes);
WEFT_API void weft__sort_memory_free(void *p, size_t n, size_t bytes);
WEFT_API weft_exit weft__sort_no_memory(void);

WEFT_END_C
#endif
