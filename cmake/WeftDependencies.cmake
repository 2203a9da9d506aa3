# What the library itself needs: Boost.Context, jemalloc unless it was built without, threads.
# Used by the build and, installed beside weft-config.cmake, by programs that link weft_static; hence
# imported targets: a path of the build machine must not reach the installed package.
# SPDX-License-Identifier: Apache-2.0 OR MIT

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

# The fcontext functions are declared in sched/ctx*, so only the library is looked for, no header.
find_library(WEFT_BOOST_CONTEXT_LIBRARY boost_context DOC "libboost_context")
mark_as_advanced(WEFT_BOOST_CONTEXT_LIBRARY)
if(WEFT_BOOST_CONTEXT_LIBRARY AND NOT TARGET weft::boost_context)
  add_library(weft::boost_context UNKNOWN IMPORTED)
  set_target_properties(weft::boost_context PROPERTIES IMPORTED_LOCATION "${WEFT_BOOST_CONTEXT_LIBRARY}")
endif()

if(NOT WEFT_ALLOC STREQUAL "system")
  find_library(WEFT_JEMALLOC_LIBRARY jemalloc DOC "libjemalloc, the shared one")
  mark_as_advanced(WEFT_JEMALLOC_LIBRARY)
  if(WEFT_JEMALLOC_LIBRARY AND NOT TARGET weft::jemalloc)
    add_library(weft::jemalloc UNKNOWN IMPORTED)
    set_target_properties(weft::jemalloc PROPERTIES IMPORTED_LOCATION "${WEFT_JEMALLOC_LIBRARY}")
  endif()
endif()
