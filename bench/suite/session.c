/* bench/suite/session.c -- see session.h.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <weft/runtime.h>

#include "../common/clock.h"
#include "../common/samples.h"

enum { SERIAL, SUBJECT, ONE_WORKER, PARTIES };
_Static_assert((int)PARTIES <= (int)SAMPLES_PARTIES, "");

typedef struct slice {
    const session *s;
    work_fn *fn;
    weft_runtime *rt;
    peer_fn *peer; /* in place of fn; and without a runtime, on the calling thread */
    int64_t answer, ns, wall_ns; /* ns: of what is measured of it */
} slice;

struct session {
    const workload *w;
    unsigned workers;
    int64_t size, answer, ops;
    void *data;
    weft_runtime *one, *many; /* many is NULL in entries with one worker */
    slice slices[PARTIES];
    party parties[PARTIES];
    int at[PARTIES]; /* among the parties, or -1 */
    int party_count;
    double row_seconds;
};

/* On a worker, or of a peer on the calling thread.  Only the work is timed, not the way into the runtime. */
static void slice_body(void *arg) {
    slice *l = arg;
    bench_own_ns = -1;
    int64_t start = wall_ns();
    l->answer = l->peer ? l->peer(l->s->data, l->s->size, l->s->workers) : l->fn(l->s->data, l->s->size);
    l->wall_ns = wall_ns() - start;
    l->ns = bench_own_ns < 0 ? l->wall_ns : bench_own_ns;
}

static double slice_run(void *arg) {
    slice *l = arg;
    const session *s = l->s;
    weft_err err = WEFT_OK;
    if (l->rt) err = weft_call(l->rt, slice_body, l);
    else slice_body(l);
    if (err) bench_die("%s: weft_call: %s", s->w->name, weft_err_text(err));
    if (l->answer != s->answer)
        bench_die("%s on %u workers: wrong answer %" PRId64 ", not %" PRId64, s->w->name, s->workers,
                  l->answer, s->answer);
    return (double)l->ns / (double)s->ops;
}

/* NULL: there is none of this kind. */
static void add_party(session *s, int at, work_fn *fn, weft_runtime *rt) {
    s->at[at] = -1;
    if (!fn) return;
    s->slices[s->party_count] = (slice){.s = s, .fn = fn, .rt = rt};
    s->parties[s->party_count] = (party){slice_run, &s->slices[s->party_count]};
    s->at[at] = s->party_count++;
}

/* The baseline of a workload that is compared with another library.  Alone, it runs where a serial one would; threads of its
 * own would inherit that one's CPU. */
static void add_peer(session *s) {
    const peer *p = peer_of(s->w);
    if (!p || !p->run) return;
    s->slices[s->party_count] = (slice){.s = s, .peer = p->run, .rt = s->many ? NULL : s->one};
    s->parties[s->party_count] = (party){slice_run, &s->slices[s->party_count]};
    s->at[SERIAL] = s->party_count++;
}

/* The untimed row: pages, caches and stacks get touched, and a row's length is known afterwards.  What a slice prepares
 * only once counts as if it did each time, so one that prepares something runs twice. */
static void warm_up(session *s) {
    int64_t ns = 0;
    for (int i = 0; i < s->party_count; i++) {
        slice *l = &s->slices[i];
        slice_run(l);
        if (l->ns != l->wall_ns) slice_run(l);
        ns += l->wall_ns;
    }
    s->row_seconds = (double)ns / 1e9;
}

static weft_err open_runtime(unsigned workers, weft_runtime **out) {
    weft_options o = WEFT_OPTIONS(.workers = workers, .pin = true);
    weft_err err = weft_open(&o, out);
    if (err || weft_workers(*out) == workers) return err;
    weft_close(*out);
    *out = NULL;
    return WEFT_E_THREAD;
}

session *session_open(const workload *w, unsigned workers, const char **why) {
    session *s = calloc(1, sizeof *s);
    *why = "not enough memory";
    if (!s) return NULL;
    s->w = w;
    s->workers = workers;
    s->size = workers > 1 ? w->many : w->one;
    s->answer = w->answer(s->size);
    s->ops = w->ops(s->size);
    if (w->open && !(s->data = w->open(s->size))) {
        free(s);
        return NULL;
    }
    weft_err err = open_runtime(1, &s->one);
    if (!err && workers > 1) err = open_runtime(workers, &s->many);
    if (err) {
        *why = err == WEFT_E_THREAD ? "not all worker threads could be started" : weft_err_text(err);
        session_close(s);
        return NULL;
    }
    add_party(s, SERIAL, w->serial, s->one);
    add_peer(s);
    add_party(s, SUBJECT, w->weft, s->many ? s->many : s->one);
    add_party(s, ONE_WORKER, s->many ? w->weft : NULL, s->one);
    warm_up(s);
    return s;
}

void session_measure(session *s, double seconds, int rows_min, measured *out) {
    samples taken;
    double fit = seconds / s->row_seconds;
    int rows = fit > SAMPLES_ROWS / 2 ? SAMPLES_ROWS / 2 : (int)fit;
    samples_take(&taken, s->parties, s->party_count, rows > rows_min ? rows : rows_min);
    int serial = s->at[SERIAL], subject = s->at[SUBJECT], one_worker = s->at[ONE_WORKER];
    *out = (measured){
        .ns_per_op = samples_median(&taken, subject),
        .rows = taken.rows,
        .again = taken.again,
    };
    if (serial >= 0) {
        out->baseline_ns = samples_median(&taken, serial);
        out->ratio = samples_quotient(&taken, subject, serial);
    }
    if (one_worker < 0) return;
    out->one_worker_ns = samples_median(&taken, one_worker);
    out->speedup = samples_quotient(&taken, one_worker, subject);
    out->over_one_worker_ns = samples_difference(&taken, subject, one_worker);
}

void session_close(session *s) {
    if (s->many) weft_close(s->many);
    if (s->one) weft_close(s->one);
    if (s->w->close) s->w->close(s->data);
    free(s);
}
