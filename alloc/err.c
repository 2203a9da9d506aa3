/* alloc/err.c -- error codes as sentences, and the version of the linked library.
 *
 * A sentence says what happened and what to do.  There is no table indexed by the code: a switch lets
 * the compiler name the code that lacks a sentence.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <weft/base.h>

const char *weft_err_text(weft_err err) {
    switch (err) {
    case WEFT_OK: return "success; nothing needs to be done";
    case WEFT_E_INVALID:
        return "an argument is out of range; compare it with the function's comment in the header";
    case WEFT_E_SIZE:
        return "the options struct has an unknown size; initialise it with its macro and build against the "
               "headers of the linked library";
    case WEFT_E_NOMEM:
        return "memory or address space is exhausted; raise the memory limit (cgroup, ulimit -v) or keep "
               "fewer fibers suspended";
    case WEFT_E_THREAD:
        return "no worker thread could be started; raise the limit on threads (ulimit -u, cgroup pids.max)";
    case WEFT_E_CLOSED: return "the runtime or channel is closed or was never open; open it first, and close it last";
    case WEFT_E_INSIDE:
        return "the call would wait for the runtime it is made from; make it from a plain thread, or use the "
               "form that suspends the fiber";
    case WEFT_E_LIMIT:
        return "a documented limit is reached; release what is no longer used or raise the limit";
    case WEFT_E_STALE:
        return "the handle was dropped, or is of no fiber; drop a handle last, and check what weft_spawn returned";
    case WEFT_E_FORKED:
        return "the runtime belongs to the parent process; open a new one in the child of fork(2)";
    case WEFT_E_INTERRUPTED:
        return "the caller was asked to stop; clean up and return, or mask what must be finished first";
    case WEFT_E_CANCELLED: return "the fiber was interrupted before it had a result; its cause says by whom";
    case WEFT_E_TIMEOUT: return "the time was over first; allow more, or give up what was waited for";
    case WEFT_E_DEADLOCK:
        return "everything waited and nothing could end any of the waits; the report lists who waits for what";
    case WEFT_E_BUSY: return "something has not ended or does not come to rest; wait, or interrupt it";
    case WEFT_E_TWICE: return "it was done already, or somebody else is doing it; do it once";
    case WEFT_E_ENDED: return "the scope is closed; use it between its begin and its end";
    case WEFT_E_UNBALANCED: return "begin and end do not belong together; end what was begun last";
    case WEFT_E_MODE: return "the runtime's clock is of another kind; choose it with .clock when opening the runtime";
    case WEFT_E_BROKEN: return "the promise was given up without a value; whoever had to complete it failed to";
    case WEFT_E_WOULDBLOCK: return "it cannot be done without waiting; try again later, or use the form that waits";
    case WEFT_E_NOT_HELD: return "the lock is not held by the caller; unlock what the same fiber or thread has locked, once";
    case WEFT_E_UNHANDLED: return "no handler here handles the effect; install one with weft_handle around the perform";
    case WEFT_E_ABORTED: return "an effect has ended the body of its handler; clean up and return, as when interrupted";
    case WEFT_E_MISSING: return "there is no value under this key; provide one around the code that asks for it";
    case WEFT_E_CYCLE: return "it needs itself, by way of what the cause names; break the circle";
    }
    return "unknown error code; the headers and the linked library may be of different versions";
}

const char *weft_version(void) { return WEFT_VERSION_STRING; }
