# The targets.  The layers' CMakeLists.txt add their sources to weft_objects.
# SPDX-License-Identifier: Apache-2.0 OR MIT

if(NOT TARGET weft::boost_context)
  message(FATAL_ERROR "libboost_context was not found: apt-get install libboost-context1.81-dev")
endif()
if(WEFT_ALLOC STREQUAL "jemalloc")
  if(NOT TARGET weft::jemalloc)
    message(FATAL_ERROR "libjemalloc was not found: apt-get install libjemalloc-dev, "
                        "or configure with -DWEFT_ALLOC=system")
  endif()
  # Inlined into code that migrates between threads, jemalloc's cached thread-local addresses have
  # corrupted heaps in production (jemalloc #2890, ClickHouse #102460).
  string(TOUPPER "${CMAKE_BUILD_TYPE}" weft_config)
  set(weft_c_flags "${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${weft_config}} ${CMAKE_EXE_LINKER_FLAGS}")
  if(WEFT_JEMALLOC_LIBRARY MATCHES "\\.a$" AND
     (CMAKE_INTERPROCEDURAL_OPTIMIZATION OR weft_c_flags MATCHES "(^| )-flto"))
    message(FATAL_ERROR "link-time optimisation with a static jemalloc (${WEFT_JEMALLOC_LIBRARY}) "
                        "corrupts memory once fibers migrate: take the shared library, drop -flto, "
                        "or configure with -DWEFT_ALLOC=system")
  endif()
endif()

# Warnings of Weft's own files; never handed on to those who link it.
add_library(weft_flags INTERFACE)
target_compile_options(weft_flags INTERFACE -Wall -Wextra -Wconversion $<$<BOOL:${WEFT_WERROR}>:-Werror>)

# A sanitizer must see every object of a program, so this one is handed on, inside the build tree.
set(weft_sanitize_compile "")
set(weft_sanitize_link "")
if(WEFT_SANITIZE STREQUAL "address")
  set(weft_sanitize_link -fsanitize=address,undefined)
  set(weft_sanitize_compile ${weft_sanitize_link} -fno-sanitize-recover=all -O1 -g -fno-omit-frame-pointer)
elseif(WEFT_SANITIZE STREQUAL "thread")
  set(weft_sanitize_link -fsanitize=thread)
  set(weft_sanitize_compile ${weft_sanitize_link} -O1 -g -fno-omit-frame-pointer)
endif()
add_library(weft_sanitize INTERFACE)
target_compile_options(weft_sanitize INTERFACE ${weft_sanitize_compile})
target_link_options(weft_sanitize INTERFACE ${weft_sanitize_link})

# How this library was configured: private to its own files and to the tests.
add_library(weft_private INTERFACE)
target_compile_definitions(weft_private INTERFACE
  WEFT_DEBUG=${WEFT_DEBUG}
  $<$<BOOL:${WEFT_FAULTS}>:WEFT_FAULTS=1>
  $<$<STREQUAL:${WEFT_CONTEXT},native>:WEFT_CONTEXT_NATIVE=1>
  $<$<STREQUAL:${WEFT_ALLOC},system>:WEFT_ALLOC_SYSTEM=1>)
target_include_directories(weft_private INTERFACE "${PROJECT_SOURCE_DIR}")

set(weft_public_dirs "")
foreach(layer alloc sched effect)
  if(IS_DIRECTORY "${PROJECT_SOURCE_DIR}/${layer}/include")
    list(APPEND weft_public_dirs "${PROJECT_SOURCE_DIR}/${layer}/include")
  endif()
endforeach()

# Position independent for all three: an archive that can go into somebody's plug-in is worth more
# than the code it costs, which the linker relaxes away in a program.
add_library(weft_objects OBJECT)
set_target_properties(weft_objects PROPERTIES
  C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS ON
  C_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON)
target_include_directories(weft_objects PRIVATE ${weft_public_dirs})
target_link_libraries(weft_objects PRIVATE weft_flags weft_private weft_sanitize Threads::Threads)
# Calls from one exported function to another stay inside the library, and may be inlined.
target_compile_options(weft_objects PRIVATE $<$<COMPILE_LANGUAGE:C>:-fno-semantic-interposition>)

# weft_sources(file...): sources of the calling layer, relative to its folder.
function(weft_sources)
  target_sources(weft_objects PRIVATE ${ARGN})
endfunction()

# A C file that no list names would be dead text, or a function missed only at the link.
function(weft_check_sources)
  get_target_property(listed weft_objects SOURCES)
  foreach(layer IN LISTS ARGN)
    file(GLOB there CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${layer}/*.c")
    list(REMOVE_ITEM there ${listed} "")
    foreach(source IN LISTS there)
      message(WARNING "${layer}/CMakeLists.txt does not list ${source}")
    endforeach()
  endforeach()
endfunction()

add_library(weft SHARED)
add_library(weft_static STATIC)
add_library(weft_testing STATIC)
set_target_properties(weft_testing PROPERTIES EXCLUDE_FROM_ALL ON)
set_target_properties(weft_static PROPERTIES OUTPUT_NAME weft)
set_target_properties(weft PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
  LINK_DEPENDS "${PROJECT_SOURCE_DIR}/cmake/weft.map")

foreach(lib weft weft_static weft_testing)
  # An object library's objects do not come along with target_link_libraries(PUBLIC), and an exported
  # target could not name it; the expression below is replaced by files.
  target_sources(${lib} PRIVATE $<TARGET_OBJECTS:weft_objects>)
  set_target_properties(${lib} PROPERTIES LINKER_LANGUAGE C)
  foreach(dir IN LISTS weft_public_dirs)
    target_include_directories(${lib} PUBLIC "$<BUILD_INTERFACE:${dir}>")
  endforeach()
  target_include_directories(${lib} INTERFACE "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
  # Inline code in public headers checks more when the library behind it does.
  if(NOT WEFT_DEBUG STREQUAL "0")
    target_compile_definitions(${lib} INTERFACE WEFT_DEBUG=${WEFT_DEBUG})
  endif()
  target_link_libraries(${lib} PUBLIC "$<BUILD_INTERFACE:weft_sanitize>")
  target_link_libraries(${lib} PRIVATE Threads::Threads weft::boost_context)
  if(WEFT_ALLOC STREQUAL "jemalloc")
    target_link_libraries(${lib} PRIVATE weft::jemalloc)
  endif()
endforeach()

# Binding at start: a first call resolved lazily would need some 3 KB of a small stack.
target_link_options(weft PRIVATE
  "LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/weft.map"
  LINKER:-z,now LINKER:-z,relro LINKER:-z,noexecstack LINKER:-Bsymbolic-functions
  # Sanitizer runtimes are only in the program, so their symbols stay open in the library.
  $<$<NOT:$<BOOL:${WEFT_SANITIZE}>>:LINKER:-z,defs>)
target_link_options(weft_static INTERFACE LINKER:-z,now)
target_link_options(weft_testing INTERFACE LINKER:-z,now)

target_link_libraries(weft_testing INTERFACE weft_private)

add_library(weft::weft ALIAS weft)
add_library(weft::weft_static ALIAS weft_static)
