#!/bin/sh
# Wrong uses of typed tasks are compile errors, in gcc and in clang, and the compiler says what is wrong; the right
# uses beside them compile.  usage: misuse.sh ROOT
# SPDX-License-Identifier: Apache-2.0 OR MIT
set -eu
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
warnings="-Wall -Wextra -Werror=incompatible-pointer-types -Werror=int-conversion -Werror=implicit-function-declaration"
dirs="-I$root/alloc/include -I$root/sched/include -I$root/effect/include"

cat > "$work/prelude.h" <<'END'
#include <weft/continuation.h>
#include <weft/eff.h>
#include <weft/eff_env.h>
#include <weft/continuation.h>
#include <weft/fiber.h>
#include <weft/handler.h>
#include <weft/kernel.h>
#include <weft/par.h>
#include <weft/sync.h>
typedef struct request {
    const char *url;
    int tries;
} request;
typedef struct answer {
    long length;
} answer;
typedef struct huge {
    char bytes[1025];
} huge;
static answer fetch(request r);
WEFT_TASK(fetch, answer, request);
static answer fetch(request r) { return (answer){r.tries}; }
static long twice(long x);
WEFT_TASK(twice, long, long);
static long twice(long x) { return 2 * x; }
static long kernel(weft_head k, long x);
WEFT_KERNEL(kernel, long, long);
static long kernel(weft_head k, long x) { return k ? x : 0; }
WEFT_EFF(eff_long, long);
WEFT_EFF(eff_answer, answer);
typedef struct pair {
    long first;
    answer second;
} pair;
WEFT_EFF(eff_pair, pair);
static eff_long next(weft_eff_arena *a, long x);
WEFT_EFF_NEXT(next, eff_long, long);
static eff_long next(weft_eff_arena *a, long x) { return weft_eff_now(eff_long, a, x); }
static eff_long caught(weft_eff_arena *a, weft_exit e);
WEFT_EFF_NEXT(caught, eff_long, weft_exit);
static eff_long caught(weft_eff_arena *a, weft_exit e) { return weft_eff_now(eff_long, a, e.code); }
static weft_exit gone(long x, const weft_exit *e);
WEFT_EFF_FN(gone, weft_exit, long, weft_exit);
static weft_exit gone(long x, const weft_exit *e) { return x ? *e : *e; }
WEFT_EFFECT(ask, long, const char *key;);
WEFT_EFFECT(tell, char, long number;);
static inline weft_exit on_ask(const ask_op *op, long *reply, void *self) { return *reply = op->key ? 1 : 2, (void)self, weft_done; }
static inline weft_exit on_tell(const tell_op *op, char *reply, void *self) { return (void)op, (void)reply, (void)self, weft_pass; }
static inline weft_exit ends_tell(const tell_op *op, void *answer, void *self) { return *(long *)answer = op->number, (void)self, weft_done; }
WEFT_KEY(port, long);
WEFT_KEY(target, request);
static inline weft_exit opens(long *value, void *arg) { return *value = 1, (void)arg, weft_done; }
static inline weft_exit keeps_ask(weft_k k, const ask_op *op, void *answer, void *self) {
    (void)op, (void)self;
    return weft_resume(k, ask, 5, answer);
}
END

# compiles COMPILER FILE: its messages go to $work/said
compiles() {
    # shellcheck disable=SC2086
    LC_ALL=C "$1" -std=gnu11 $warnings $dirs -I"$work" -fsyntax-only "$2" 2> "$work/said"
}

# body NAME STATEMENTS, or at file scope with "top NAME TEXT"
body() { printf '#include "prelude.h"\nvoid body(void);\nvoid body(void) {\n%s\n}\n' "$2" > "$work/$1.c"; }
top() { printf '#include "prelude.h"\n%s\n' "$2" > "$work/$1.c"; }

checked=0
right() {
    for compiler in $compilers; do
        compiles "$compiler" "$work/$1.c" || { cat "$work/said"; echo "$compiler: $1 should compile" >&2; exit 1; }
        if [ -s "$work/said" ]; then cat "$work/said"; echo "$compiler: $1 should compile without a warning" >&2; exit 1; fi
        checked=$((checked + 1))
    done
}
# wrong NAME EXPRESSION: refused, and an error line matches the extended regular expression
wrong() {
    for compiler in $compilers; do
        if compiles "$compiler" "$work/$1.c"; then echo "$compiler: $1 should be an error" >&2; exit 1; fi
        if ! grep -E 'error:' "$work/said" | grep -qE "$2"; then
            cat "$work/said"
            echo "$compiler: $1 is an error, but not for the reason \"$2\"" >&2
            exit 1
        fi
        checked=$((checked + 1))
    done
}

compilers=""
for compiler in gcc clang; do
    if command -v $compiler >/dev/null 2>&1; then compilers="$compilers $compiler"; else echo "$compiler: not installed, skipped"; fi
done
[ -n "$compilers" ]

# ---- what is right --------------------------------------------------------------------------------------------
body good '
    fetch_fiber f;
    answer a;
    weft_exit e = weft_spawn(&f, fetch, .url = "http://a", .tries = 3);
    e = weft_spawn((fetch_fiber *)NULL, fetch, "http://b", 1);
    e = weft_spawn_with(&f, fetch, ((weft_spawn_options){.daemon = true}), "http://b", 1);
    e = weft_await(f, fetch, &a);
    e = weft_await(f, fetch, NULL);
    e = weft_expect(f, fetch, &a);
    (void)e;
    weft_drop(f);
    twice_task t;
    weft_fork(&t, twice, 21);
    long x = weft_join(&t, twice);
    kernel_task k;
    weft_head h = weft_kernel_fork(weft_kernel_head(), &k, kernel, x);
    x = kernel(h, 1) + weft_kernel_join(&k, kernel);
    e = weft_zip_par(WEFT_BR(fetch, &a, .url = "http://a", .tries = 3), WEFT_BR(twice, &x, 1), WEFT_BR(twice, NULL, 1));
    const long in[2] = {1, 2};
    long out[2];
    e = weft_for_each_par(twice, in, 2, out, .parallelism = 2);
    e = weft_map(twice, in, 2, NULL);
    long state = 0;
    weft_handler one = WEFT_HANDLER(&state, WEFT_TAIL(ask, on_ask), WEFT_TAIL(tell, on_tell));
    weft_handler both[] = {WEFT_SHARED_HANDLER(NULL, WEFT_ABORT(tell, ends_tell), WEFT_PASS(ask)), one,
                           WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, keeps_ask))};
    e = weft_handle(&one, twice, &x, 21);
    e = weft_handle_list(both, 3, fetch, NULL, .url = "http://a", .tries = 1);
    e = weft_perform(ask, &x, .key = "a");
    e = weft_perform(ask, NULL, "a");
    e = weft_perform(tell, NULL, 1);
    const weft_binding list[] = {WEFT_BIND(port, 1), WEFT_BIND(target, {.url = "a"}), WEFT_BIND_LAZY(port, opens, NULL)};
    const weft_layer low = WEFT_LAYER(port, opens, NULL), high = WEFT_LAYER(port, opens, opens, .name = "high", WEFT_NEEDS(&low));
    request r = {"b", 2};
    WEFT_PROVIDE(target, r) WEFT_PROVIDE(port, 1) e = weft_env_get(port, &x);
    WEFT_PROVIDE_LIST(list, 3) x = *weft_env(port);
    e = weft_provide(port, 3, fetch, &a, .tries = 1);
    e = weft_provide_list(list, 3, twice, NULL, 1);
    e = weft_provide_layer(weft_layer_both(weft_layer_plus(&low, &high), &low), twice, &x, 3);
    weft_once once = WEFT_ONCE;
    (void)once;
    (void)x;'
right good
body good_effects '
    weft_eff_arena arena = {0};
    eff_long one = weft_eff_call(eff_long, twice, 1);
    eff_answer a = weft_eff_call(eff_answer, fetch, .url = "http://a", .tries = 3);
    eff_pair p = weft_eff_zip_par(eff_pair, weft_eff_map(eff_long, weft_eff_flat_map(eff_long, one, next), twice), a);
    one = weft_eff_race(eff_long, weft_eff_catch_all(eff_long, one, caught), weft_eff_acquire_release(eff_long, one, next, gone));
    one = weft_eff_timeout(eff_long, weft_eff_ensuring(eff_long, one, weft_eff_sleep(1)), weft_ms(1));
    one = weft_eff_keep(eff_long, &arena, one);
    pair out;
    weft_exit e = weft_run_effect(p, &out);
    e = weft_run_here(one, NULL);
    weft_eff_arena_close(&arena);
    (void)e;'
right good_effects
top good_size 'typedef struct limit { char bytes[1024]; } limit; limit most(limit x); WEFT_TASK(most, limit, limit); limit most(limit x) { return x; }'
right good_size

# Would it notice?  A right program passed off as wrong must be told, and so must one refused for another reason.
if (wrong good 'error') >/dev/null 2>&1; then echo "misuse.sh does not notice that a wrong use compiles" >&2; exit 2; fi
body typo 'int x = nowhere;'
if (wrong typo 'incompatible') >/dev/null 2>&1; then echo "misuse.sh does not look at the diagnosis" >&2; exit 2; fi
if (right typo) >/dev/null 2>&1; then echo "misuse.sh does not notice that a right use is refused" >&2; exit 2; fi

# ---- what is wrong --------------------------------------------------------------------------------------------
pointer="incompatible[- ]pointer[- ]type"
value="incompatible type"

# The handle or descriptor of another task.
body join_other 'fetch_task t; weft_fork(&t, fetch, "", 1); long x = weft_join(&t, twice); (void)x;'
wrong join_other "$pointer"
body join_fiber 'twice_fiber f; weft_spawn(&f, twice, 1); long x = weft_join(&f, twice); (void)x;'
wrong join_fiber "$pointer"
body fork_other 'fetch_task t; weft_fork(&t, twice, 1);'
wrong fork_other "$pointer"
body kernel_join_other 'twice_task t; weft_fork(&t, twice, 1); long x = weft_kernel_join(&t, kernel); (void)x;'
wrong kernel_join_other "$pointer"
body spawn_other 'fetch_fiber f; weft_spawn(&f, twice, 1);'
wrong spawn_other "$pointer"
body spawn_task 'twice_task t; weft_spawn(&t, twice, 1);'
wrong spawn_task "$pointer"
body spawn_with_other 'fetch_fiber f; weft_spawn_with(&f, twice, ((weft_spawn_options){0}), 1);'
wrong spawn_with_other "$pointer"
body await_other 'fetch_fiber f; long x; weft_spawn(&f, fetch, "", 1); weft_await(f, twice, &x);'
wrong await_other "$value"
body await_address 'twice_fiber f; long x; weft_spawn(&f, twice, 1); weft_await(&f, twice, &x);'
wrong await_address "$value"
body await_plain_handle 'twice_fiber f; long x; weft_spawn(&f, twice, 1); weft_await(f.handle, twice, &x);'
wrong await_plain_handle "$value"
body expect_other 'fetch_fiber f; weft_spawn(&f, fetch, "", 1); weft_expect(f, twice, NULL);'
wrong expect_other "$value"
body drop_task 'twice_task t; weft_fork(&t, twice, 1); weft_drop(t);'
wrong drop_task "no member named .handle."

# The result.
body result_pointer 'twice_fiber f; int x; weft_spawn(&f, twice, 1); weft_await(f, twice, &x);'
wrong result_pointer "$pointer"
body branch_out 'int x; weft_zip_par(WEFT_BR(twice, &x, 1));'
wrong branch_out "$pointer"
body branch_other 'long x; weft_race(NULL, WEFT_BR(twice, &x, 1), WEFT_BR(fetch, &x, "", 1));'
wrong branch_other "$pointer"
body branch_in 'long x; weft_any(NULL, WEFT_BR(twice, &x, "1"));'
wrong branch_in "integer"
body each_items 'int in[2] = {0}; long out[2]; weft_for_each_par(twice, in, 2, out);'
wrong each_items "$pointer"
body each_results 'long in[2] = {0}; int out[2]; weft_map(twice, in, 2, out);'
wrong each_results "$pointer"
body stream_value 'weft_stream s; long in[2] = {0}; answer x; weft_stream_open(&s, twice, in, 2); weft_stream_next(&s, twice, NULL, &x);'
wrong stream_value "$pointer"
body result_struct 'fetch_fiber f; long x; weft_spawn(&f, fetch, "", 1); weft_await(f, fetch, &x);'
wrong result_struct "$pointer"
body result_value 'twice_fiber f; long x = 0; weft_spawn(&f, twice, 1); weft_await(f, twice, x);'
wrong result_value "pointer from integer|integer to pointer|passing 'long'"
body joined_struct 'fetch_task t; weft_fork(&t, fetch, "", 1); long x = weft_join(&t, fetch); (void)x;'
wrong joined_struct "incompatible type|invalid initializer"
body exit_as_result 'twice_fiber f; weft_spawn(&f, twice, 1); long x = weft_await(f, twice, NULL); (void)x;'
wrong exit_as_result "incompatible type|invalid initializer"

# The input.
body input_type 'fetch_fiber f; int x = 1; weft_spawn(&f, fetch, .url = &x, .tries = 3);'
wrong input_type "$pointer"
body input_struct 'request r = {"", 1}; twice_fiber f; weft_spawn(&f, twice, r);'
wrong input_struct "incompatible type"
body input_member 'fetch_fiber f; weft_spawn(&f, fetch, .uri = "a");'
wrong input_member "no (field|member) named .uri.|does not refer to any field"
body fork_input_type 'fetch_task t; weft_fork(&t, fetch, .url = &t);'
wrong fork_input_type "$pointer"
top input_too_large 'int f(huge x); WEFT_TASK(f, int, huge);'
wrong input_too_large "more than 1 KiB"
top result_too_large 'huge f(int x); WEFT_TASK(f, huge, int);'
wrong result_too_large "more than 1 KiB"

# The task.
body not_declared 'twice_fiber f; weft_spawn(&f, thrice, 1);'
wrong not_declared "thrice"
body fork_not_declared 'twice_task t; weft_fork(&t, thrice, 1);'
wrong fork_not_declared "thrice"
top no_function 'WEFT_TASK(nowhere, long, long);'
wrong no_function "nowhere"
top other_signature 'static long f(request *r); WEFT_TASK(f, long, request); static long f(request *r) { return r->tries; }'
wrong other_signature "incompatible type"
top other_result 'static answer f(long x); WEFT_TASK(f, long, long); static answer f(long x) { return (answer){x}; }'
wrong other_result "incompatible type|invalid initializer"
top kernel_as_task 'static long f(weft_head k, long x); WEFT_TASK(f, long, long); static long f(weft_head k, long x) { return k ? x : 0; }'
wrong kernel_as_task "too few arguments|from integer|integer to pointer"
body option_unknown 'twice_fiber f; weft_spawn_with(&f, twice, ((weft_spawn_options){.demon = true}), 1);'
wrong option_unknown "demon"
body option_other 'twice_fiber f; weft_spawn_with(&f, twice, ((weft_options){.workers = 1}), 1);'
wrong option_other "incompatible type|invalid initializer"

# Effects.
body eff_out 'eff_long e = weft_eff_succeed(eff_long, 1); int x; weft_run_effect(e, &x);'
wrong eff_out "$pointer"
body eff_call 'eff_long e = weft_eff_call(eff_long, fetch, "", 1); (void)e;'
wrong eff_call "$pointer"
body eff_call_in 'eff_long e = weft_eff_call(eff_long, twice, "1"); (void)e;'
wrong eff_call_in "integer"
body eff_map_in 'eff_long e = weft_eff_map(eff_long, weft_eff_call(eff_answer, fetch, "", 1), twice); (void)e;'
wrong eff_map_in "$pointer"
body eff_map_out 'eff_answer e = weft_eff_map(eff_answer, weft_eff_succeed(eff_long, 1), twice); (void)e;'
wrong eff_map_out "$pointer"
body eff_next_in 'eff_long e = weft_eff_flat_map(eff_long, weft_eff_call(eff_answer, fetch, "", 1), next); (void)e;'
wrong eff_next_in "$pointer"
body eff_next_out 'eff_answer e = weft_eff_flat_map(eff_answer, weft_eff_succeed(eff_long, 1), next); (void)e;'
wrong eff_next_out "$pointer"
body eff_as_other 'eff_answer e = weft_eff_succeed(eff_long, 1); (void)e;'
wrong eff_as_other "incompatible type|invalid initializer"
body eff_timeout_other 'eff_answer e = weft_eff_timeout(eff_answer, weft_eff_succeed(eff_long, 1), 1); (void)e;'
wrong eff_timeout_other "$pointer"
body eff_zip_swapped 'eff_long x = weft_eff_succeed(eff_long, 1); eff_pair e = weft_eff_zip(eff_pair, x, x); (void)e;'
wrong eff_zip_swapped "$pointer"
body eff_zip_no_pair 'eff_long x = weft_eff_succeed(eff_long, 1); eff_long e = weft_eff_zip(eff_long, x, x); (void)e;'
wrong eff_zip_no_pair "first|not a structure"
body eff_branch_other 'eff_long e = weft_eff_race(eff_long, weft_eff_succeed(eff_long, 1), weft_eff_call(eff_answer, fetch, "", 1)); (void)e;'
wrong eff_branch_other "incompatible type|invalid initializer"
body eff_catch_in 'eff_long e = weft_eff_catch_all(eff_long, weft_eff_succeed(eff_long, 1), next); (void)e;'
wrong eff_catch_in "$pointer"
body eff_release_in 'eff_answer a = weft_eff_call(eff_answer, fetch, "", 1); eff_long e = weft_eff_acquire_release(eff_long, a, next, gone); (void)e;'
wrong eff_release_in "$pointer"
body eff_memo_other 'eff_answer_memo m; eff_long e = weft_eff_memoise(eff_long, weft_eff_succeed(eff_long, 1), &m); (void)e;'
wrong eff_memo_other "$pointer"
body eff_items 'int in[2]; weft_eff_unit e = weft_eff_for_each_par(in, 2, NULL, 1, next); (void)e;'
wrong eff_items "$pointer"
body eff_results 'long in[2]; int out[2]; weft_eff_unit e = weft_eff_for_each_par(in, 2, out, 1, next); (void)e;'
wrong eff_results "$pointer"
top eff_too_large 'WEFT_EFF(eff_huge, huge);'
wrong eff_too_large "more than 1 KiB"
# Effects and handlers.
body perform_reply 'int r; weft_perform(ask, &r, "a");'
wrong perform_reply "$pointer"
body perform_payload 'long r; weft_perform(ask, &r, .number = 1);'
wrong perform_payload "no (field|member) named .number.|does not refer to any field"
body perform_unknown 'long r; weft_perform(nobody, &r);'
wrong perform_unknown "nobody_"
body perform_as_value 'long r = weft_perform(ask, NULL, "a"); (void)r;'
wrong perform_as_value "incompatible type|invalid initializer"
top clause_reply 'static weft_exit f(const ask_op *op, int *reply, void *self) { return (void)op, (void)reply, (void)self, weft_done; }
const weft_clause c = WEFT_TAIL(ask, f);'
wrong clause_reply "not compatible with any association|no type compatible|no.*association"
top clause_effect 'const weft_clause c = WEFT_TAIL(ask, on_tell);'
wrong clause_effect "not compatible with any association|no type compatible|no.*association"
top clause_unknown 'const weft_clause c = WEFT_TAIL(nobody, on_ask);'
wrong clause_unknown "nobody_"
top clause_tail_as_abort 'const weft_clause c = WEFT_ABORT(tell, on_tell);'
wrong clause_tail_as_abort "not compatible with any association|no type compatible|no.*association"
top clause_abort_as_tail 'const weft_clause c = WEFT_TAIL(tell, ends_tell);'
wrong clause_abort_as_tail "not compatible with any association|no type compatible|no.*association"
top clause_tail_as_oneshot 'const weft_clause c = WEFT_ONESHOT(ask, on_ask);'
wrong clause_tail_as_oneshot "not compatible with any association|no type compatible|no.*association"
top clause_no_exit 'static void f(const ask_op *op, long *reply, void *self) { (void)op, (void)reply, (void)self; }
const weft_clause c = WEFT_TAIL(ask, f);'
wrong clause_no_exit "not compatible with any association|no type compatible|no.*association"
body handle_result 'weft_handler h = WEFT_HANDLER(NULL, WEFT_PASS(ask)); int x; weft_handle(&h, twice, &x, 1);'
wrong handle_result "$pointer"
body handle_input 'weft_handler h = WEFT_HANDLER(NULL, WEFT_PASS(ask)); weft_handle(&h, twice, NULL, "1");'
wrong handle_input "integer"
body handle_unknown 'weft_handler h = WEFT_HANDLER(NULL, WEFT_PASS(ask)); weft_handle(&h, thrice, NULL, 1);'
wrong handle_unknown "thrice"
body handle_clause 'const weft_clause c = WEFT_PASS(ask); weft_handle(&c, twice, NULL, 1);'
wrong handle_clause "$pointer"
body resume_reply 'weft_k k = {NULL, 0}; weft_resume(k, ask, "a", NULL);'
wrong resume_reply "integer"
body resume_unknown 'weft_k k = {NULL, 0}; weft_resume(k, nobody, 1, NULL);'
wrong resume_unknown "nobody_"

# Handlers.
body perform_reply 'int r; weft_perform(ask, &r, "a");'
wrong perform_reply "$pointer"
body perform_payload 'long r; weft_perform(ask, &r, .number = 1);'
wrong perform_payload "no (field|member) named .number.|does not refer to any field"
body perform_unknown 'long r; weft_perform(nobody, &r);'
wrong perform_unknown "nobody_"
body perform_as_value 'long r = weft_perform(ask, NULL, "a"); (void)r;'
wrong perform_as_value "incompatible type|invalid initializer"
top clause_reply 'static weft_exit f(const ask_op *op, int *reply, void *self) { return (void)op, (void)reply, (void)self, weft_done; }
const weft_clause c = WEFT_TAIL(ask, f);'
wrong clause_reply "not compatible with any association|no type compatible|no.*association"
top clause_effect 'const weft_clause c = WEFT_TAIL(ask, on_tell);'
wrong clause_effect "not compatible with any association|no type compatible|no.*association"
top clause_unknown 'const weft_clause c = WEFT_TAIL(nobody, on_ask);'
wrong clause_unknown "nobody_"
top clause_tail_as_abort 'const weft_clause c = WEFT_ABORT(tell, on_tell);'
wrong clause_tail_as_abort "not compatible with any association|no type compatible|no.*association"
top clause_abort_as_tail 'const weft_clause c = WEFT_TAIL(tell, ends_tell);'
wrong clause_abort_as_tail "not compatible with any association|no type compatible|no.*association"
top clause_tail_as_oneshot 'const weft_clause c = WEFT_ONESHOT(ask, on_ask);'
wrong clause_tail_as_oneshot "not compatible with any association|no type compatible|no.*association"
top clause_no_exit 'static void f(const ask_op *op, long *reply, void *self) { (void)op, (void)reply, (void)self; }
const weft_clause c = WEFT_TAIL(ask, f);'
wrong clause_no_exit "not compatible with any association|no type compatible|no.*association"
body handle_result 'weft_handler h = WEFT_HANDLER(NULL, WEFT_PASS(ask)); int x; weft_handle(&h, twice, &x, 1);'
wrong handle_result "$pointer"
body handle_input 'weft_handler h = WEFT_HANDLER(NULL, WEFT_PASS(ask)); weft_handle(&h, twice, NULL, "1");'
wrong handle_input "integer"
body handle_unknown 'weft_handler h = WEFT_HANDLER(NULL, WEFT_PASS(ask)); weft_handle(&h, thrice, NULL, 1);'
wrong handle_unknown "thrice"
body handle_clause 'const weft_clause c = WEFT_PASS(ask); weft_handle(&c, twice, NULL, 1);'
wrong handle_clause "$pointer"
body resume_reply 'weft_k k = {NULL, 0}; weft_resume(k, ask, "a", NULL);'
wrong resume_reply "integer"
body resume_unknown 'weft_k k = {NULL, 0}; weft_resume(k, nobody, 1, NULL);'
wrong resume_unknown "nobody_"

# ---- the environment ------------------------------------------------------------------------------------------
association="not compatible with any association|no type compatible|no.*association"
body env_read 'const int *p = weft_env(port); (void)p;'
wrong env_read "$pointer"
body env_get 'int x; weft_env_get(port, &x);'
wrong env_get "$pointer"
body env_unknown 'weft_env(nobody);'
wrong env_unknown "nobody_"
body bind_value 'const char *s = "80"; const weft_binding b = WEFT_BIND(port, s); (void)b;'
wrong bind_value "integer"
body provide_value 'request r = {"a", 1}; WEFT_PROVIDE(port, r) {}'
wrong provide_value "incompatible type"
body provide_member 'WEFT_PROVIDE(target, {.nobody = 1}) {}'
wrong provide_member "no (field|member) named .nobody.|does not refer to any field"
body provide_result 'answer a; weft_provide(port, 1, twice, &a, 1);'
wrong provide_result "$pointer"
top lazy_value 'static weft_exit f(int *v, void *arg) { return (void)v, (void)arg, weft_done; }
const weft_binding b = WEFT_BIND_LAZY(port, f, NULL);'
wrong lazy_value "$association"
top layer_acquire 'static weft_exit f(int *v, void *arg) { return (void)v, (void)arg, weft_done; }
const weft_layer l = WEFT_LAYER(port, f, NULL);'
wrong layer_acquire "$association"
top layer_release 'const weft_layer l = WEFT_LAYER(port, opens, on_ask);'
wrong layer_release "$association"
body layer_needs 'const weft_layer l = WEFT_LAYER(port, opens, NULL, WEFT_NEEDS(opens)); (void)l;'
wrong layer_needs "$pointer"
body eff_ask_other 'eff_answer e = weft_eff_ask(eff_answer, port); (void)e;'
wrong eff_ask_other "$pointer"

echo "$checked passed, 0 failed"
