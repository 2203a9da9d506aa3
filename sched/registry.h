/* sched/registry.h -- handles of open runtimes.
 *
 * A weft_runtime pointer is not an address but {generation, slot}: using a closed one finds another generation
 * and is an error, not a crash.  Each slot has one word {generation:32 | open:1 | users:31}: `enter` counts a
 * user in if the handle's generation is the open one, `retire` closes the door and waits for the users to leave.
 *
 * The table is the only thing the runtimes of a process share.  Any thread; never suspends.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_REGISTRY_H
#define WEFT_SCHED_REGISTRY_H

#include "sched/worker.h"
#include <weft/runtime.h>

#define REGISTRY_SLOTS 256

weft_runtime *weft__registry_add(runtime *rt);          /* NULL: all slots are taken */
runtime *weft__registry_enter(weft_runtime *handle);    /* NULL: closed or never open; else leave later */
void weft__registry_leave(weft_runtime *handle);
runtime *weft__registry_retire(weft_runtime *handle);   /* the caller closes it now; NULL: closed already */

#endif
