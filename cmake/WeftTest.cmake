# Tests.  A test is called by its folder below tests/ and its program: unit.alloc_stack_test.
# SPDX-License-Identifier: Apache-2.0 OR MIT

# Emulated and instrumented programs run several times slower.
set(weft_test_slowdown 1)
if(CMAKE_CROSSCOMPILING OR WEFT_SANITIZE)
  set(weft_test_slowdown 4)
endif()

# clang 14's thread sanitizer dies where the kernel randomises mappings over more than 28 bits.  A
# container may forbid to switch that off; where it does, the programs are started as they are.
if(WEFT_SANITIZE STREQUAL "thread" AND NOT WEFT_TEST_LAUNCHER)
  find_program(WEFT_SETARCH setarch)
  mark_as_advanced(WEFT_SETARCH)
  set(setarch_status 1)
  if(WEFT_SETARCH)
    execute_process(COMMAND ${WEFT_SETARCH} -R true RESULT_VARIABLE setarch_status OUTPUT_QUIET ERROR_QUIET)
  endif()
  if(setarch_status EQUAL 0)
    set(WEFT_TEST_LAUNCHER ${WEFT_SETARCH} -R)
  endif()
endif()

set(weft_test_environment "")
if(WEFT_SANITIZE STREQUAL "address")
  list(APPEND weft_test_environment UBSAN_OPTIONS=print_stacktrace=1)
  list(APPEND weft_test_environment ASAN_OPTIONS=strict_string_checks=1)
elseif(WEFT_SANITIZE STREQUAL "thread")
  # Death tests fork while threads run, and only write a message in the child.
  list(APPEND weft_test_environment "TSAN_OPTIONS=halt_on_error=1:die_after_fork=0:second_deadlock_stack=1")
endif()

# The command, in `out`, that runs target `target`: under the launcher, or the emulator of a cross build.
function(weft_test_command out target)
  if(WEFT_TEST_LAUNCHER)
    set(${out} ${WEFT_TEST_LAUNCHER} $<TARGET_FILE:${target}> PARENT_SCOPE)
  else()
    set(${out} ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:${target}> PARENT_SCOPE)
  endif()
endfunction()

# The folder of the calling CMakeLists.txt below tests/, with dots: "unit", "model".
function(weft_test_folder out)
  cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY "${PROJECT_SOURCE_DIR}/tests"
             OUTPUT_VARIABLE folder)
  string(REPLACE "/" "." folder "${folder}")
  set(${out} "${folder}" PARENT_SCOPE)
endfunction()

# The properties all tests share.  TIMEOUT is in seconds of a plain native build, and there to end what hangs: a machine that
# others use as well may take ten times what it takes alone.
function(weft_test_properties name labels timeout)
  if(CMAKE_CROSSCOMPILING)
    list(APPEND labels arm64)
  endif()
  math(EXPR timeout "${timeout} * ${weft_test_slowdown}")
  set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${timeout}
                       ENVIRONMENT "${weft_test_environment}" SKIP_RETURN_CODE 77)
endfunction()

# weft_test(NAME src... [LABELS label..] [TIMEOUT seconds] [LINK target..] [ARGS arg..] [SERIAL])
# A program that passes by exit status 0 (77: skipped).  It links weft_testing, so it reaches
# internals as "layer/name.h".  The first label, and the default timeout, follow from the folder;
# SERIAL keeps it alone on the machine, for what measures time.
function(weft_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL" "TIMEOUT" "LABELS;LINK;ARGS")
  if(NOT arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "weft_test(${name}): no sources")
  endif()
  weft_test_folder(folder)
  string(REGEX REPLACE "\\..*" "" kind "${folder}")
  if(NOT arg_TIMEOUT)
    if(kind STREQUAL "unit")
      set(arg_TIMEOUT 180)
    else()
      set(arg_TIMEOUT 300)
    endif()
  endif()
  set(target ${folder}.${name})
  add_executable(${target} ${arg_UNPARSED_ARGUMENTS})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
    C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS ON CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(${target} PRIVATE weft_flags weft_testing Threads::Threads ${arg_LINK})
  weft_test_command(command ${target})
  add_test(NAME ${target} COMMAND ${command} ${arg_ARGS})
  weft_test_properties(${target} "${kind};${arg_LABELS}" ${arg_TIMEOUT})
  set_tests_properties(${target} PROPERTIES RUN_SERIAL "${arg_SERIAL}")
  if(NOT kind STREQUAL "unit")
    # Stress and fault tests start as many workers as there are processors.
    cmake_host_system_information(RESULT cores QUERY NUMBER_OF_LOGICAL_CORES)
    set_tests_properties(${target} PROPERTIES PROCESSORS ${cores})
  endif()
endfunction()

# Every file of the folder that matches a pattern is a test program of its own, named after the file.
# The keywords of weft_test may follow the patterns, after WITH.
function(weft_test_each)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "WITH")
  file(GLOB sources CONFIGURE_DEPENDS ${arg_UNPARSED_ARGUMENTS})
  foreach(source IN LISTS sources)
    cmake_path(GET source STEM name)
    weft_test(${name} "${source}" ${arg_WITH})
  endforeach()
endfunction()

# weft_example(NAME source expected): a program over the public headers and the shared library alone,
# whose standard output must be the file `expected`.
function(weft_example name source expected)
  set(target examples.${name})
  add_executable(${target} "${source}")
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
    C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS ON)
  target_link_libraries(${target} PRIVATE weft_flags weft::weft)
  weft_test_command(command ${target})
  add_test(NAME ${target} COMMAND sh "${PROJECT_SOURCE_DIR}/cmake/expect-output.sh" "${expected}" ${command})
  weft_test_properties(${target} "unit;examples" 60)
endfunction()
