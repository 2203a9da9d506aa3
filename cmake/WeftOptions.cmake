# The options, each checked here, so that a misspelt value is an error instead of a default.
# SPDX-License-Identifier: Apache-2.0 OR MIT

function(weft_choice name default help)
  set(${name} "${default}" CACHE STRING "${help}: one of [${ARGN}]")
  set_property(CACHE ${name} PROPERTY STRINGS ${ARGN})
  if(NOT "${${name}}" IN_LIST ARGN)
    list(JOIN ARGN ", " choices)
    message(FATAL_ERROR "${name} is \"${${name}}\"; it must be one of: ${choices}")
  endif()
endfunction()

weft_choice(WEFT_CONTEXT fcontext "What switches stacks of fibers; both are compiled in" fcontext native)
weft_choice(WEFT_ALLOC jemalloc "The heap behind slabs and stacks" jemalloc system)
weft_choice(WEFT_DEBUG 0 "Checks in the library: none, cheap, all" 0 1 2)

set(WEFT_SANITIZE "" CACHE STRING "Instrument the library and all that links it: empty, address or thread")
set_property(CACHE WEFT_SANITIZE PROPERTY STRINGS "" address thread)
if(NOT WEFT_SANITIZE MATCHES "^(address|thread)?$")
  message(FATAL_ERROR "WEFT_SANITIZE is \"${WEFT_SANITIZE}\"; it must be empty, address or thread")
endif()

option(WEFT_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(WEFT_BUILD_BENCH "Build weft-compare and weft-bench (needs C++17)" ${PROJECT_IS_TOP_LEVEL})
option(WEFT_FAULTS "Compile in fault points, for tests that make the library fail (alloc/fault.h)" OFF)
option(WEFT_WERROR "Treat warnings as errors" OFF)
option(WEFT_INSTALL "Generate the install rules" ${PROJECT_IS_TOP_LEVEL})
set(WEFT_TEST_LAUNCHER "" CACHE STRING "Command, as a list, that every test program is started with")

if(WEFT_SANITIZE STREQUAL "thread" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
  # gcc 12's runtime ends at 8128 threads and fibers, at 840 KB each.
  message(FATAL_ERROR "WEFT_SANITIZE=thread needs clang: cmake --preset tsan")
endif()
