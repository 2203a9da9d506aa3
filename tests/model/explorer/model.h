/* tests/model/explorer/model.h -- what a model is: a few threads over a protocol header, what must hold, and
 * mutants of the protocol that must break it.
 *
 * The explorer runs every execution of the threads, of any interleaving and of any value that the C11 memory
 * model lets a load return (explorer.c says which model exactly).  A thread is a function; every operation
 * of alloc/atomic.h in it is a scheduling point.
 *
 *   wait        model_await(condition) stands for a loop that spins until the condition holds.  When nobody
 *               can run and somebody waits, that is a lost wake-up, and a violation.
 *   spin        a loop of the protocol itself with arch_relax() in it waits there until what it last read changes.
 *   data        plain memory that threads hand to each other is a model_data; an access that does not happen
 *               after the conflicting one before it is a violation.
 *   reuse       model_reuse: memory of an atomic variable gets a new tenant; accesses of the old one that are
 *               not over are violations.
 *   bound       model_assume(c): executions where c is false are not looked at.
 *   mutant      a flag that the model tests, or one call of alloc/atomic.h with another order, named by
 *               function, operation and operand as they stand in the source.
 *
 * With WEFT_MODEL_GENMC the same model is a pthread program for a weak-memory checker (model_genmc.h).
 *
 * Threads may keep anything on their stacks, and must be functions of what their operations (model_read
 * included) return: what one thread leaves for another in plain memory is a model_data, or a model_count that
 * only model_check reads.  SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_MODEL_H
#define WEFT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MODEL_THREADS = 5, MODEL_PARAMS = 8 };

typedef struct model_instance {
    const char *name;
    unsigned threads;
    int param[MODEL_PARAMS];
    const char *script; /* for the model's own use */
    bool sc;            /* interleavings only: what is too large for the full memory model */
} model_instance;

typedef struct model_mutant {
    const char *name, *instance;
    bool *flag;                /* either: set for the run */
    const char *func, *access; /* or: in `func`, "cas_ar(&d->ts)" ... */
    const char *becomes;       /* ... is done with this order: rlx, acq, rel, ar, seq */
} model_mutant;

typedef struct model {
    const char *name;
    void (*setup)(void);           /* before each execution: every variable to its initial value */
    void (*thread)(unsigned self); /* 0 .. threads-1 */
    void (*finish)(void);          /* after each execution in which all threads ended; may be NULL */
    const void *plain;             /* see model_forget; a multiple of 8 bytes */
    size_t plain_bytes;
    const model_instance *instances;
    const model_mutant *mutants;
} model;

extern const model the_model;                 /* defined by the model */
extern const model_instance *model_instance_; /* the one that runs */

#ifdef WEFT_MODEL_GENMC
#include "tests/model/explorer/model_genmc.h"
#else

typedef struct model_data {
    uint64_t value;
    uint32_t writer, written, read[MODEL_THREADS]; /* epochs */
} model_data;

void model_write(model_data *d, uint64_t value);
uint64_t model_read(model_data *d);

/* The condition is a function of `arg` over model_peek, the newest value of an atomic variable. */
void model_await(bool (*condition)(void *arg), void *arg);
uint64_t model_peek_(const volatile void *p, size_t bytes);
#define model_peek(p) model_peek_((p), sizeof *(p))

/* A count of the checks, kept by all threads, ordering nothing. */
typedef uint64_t model_count;
static inline uint64_t model_count_add(model_count *c, int n) {
    return *c += (uint64_t)(int64_t)n;
}

/* What the calling thread does from now on depends on `state`, on its model_data and on `plain` alone, not on
 * what its operations returned before: executions that agree in this are one.  Plain variables that a
 * model_check reads must lie in model.plain when threads forget. */
void model_forget(uint64_t state);

/* The atomic variable *p is initialised anew by this thread. */
void model_reuse_(volatile void *p, size_t bytes, uint64_t value);
#define model_reuse(p, v) model_reuse_((p), sizeof *(p), (uint64_t)(uintptr_t)(v))

unsigned model_self(void); /* number of the calling thread */
void model_assume(bool c);
_Noreturn void model_exit(void); /* ends the calling thread */
_Noreturn void model_fail(const char *what, int line);
#define model_check(c)                      \
    do {                                    \
        if (!(c)) model_fail(#c, __LINE__); \
    } while (0)

/* ---- for the shadow of alloc/atomic.h ----------------------------------------------------------------- */

enum { MODEL_RLX, MODEL_ACQ, MODEL_REL, MODEL_AR, MODEL_SEQ };
enum { MODEL_LOAD, MODEL_STORE, MODEL_XCHG, MODEL_ADD, MODEL_SUB, MODEL_OR, MODEL_AND, MODEL_CAS, MODEL_FENCE };

/* One call in the source. */
typedef struct model_site {
    const char *file, *func, *access;
    int kind, order, line;
    bool known;
    int order_now; /* unless a mutant says otherwise, `order` */
    struct model_site *next;
} model_site;

uint64_t model_atomic(model_site *s, volatile void *p, size_t bytes, uint64_t operand);
bool model_cas(model_site *s, volatile void *p, size_t bytes, void *expected, uint64_t desired);

/* ---- for the shadow of alloc/arch.h -------------------------------------------------------------------- */

/* Once round a loop that spins: goes on when the variable last read has another value than was read. */
void model_spin(void);

#endif
#endif
