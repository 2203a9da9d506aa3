# What is installed: headers, both libraries, the CMake package, weft.pc.  All relocatable.
# SPDX-License-Identifier: Apache-2.0 OR MIT
include(CMakePackageConfigHelpers)

if(WEFT_SANITIZE)
  message(STATUS "WEFT_SANITIZE=${WEFT_SANITIZE}: no install rules, such a library serves its own tests only")
  return()
endif()

foreach(dir IN LISTS weft_public_dirs)
  install(DIRECTORY "${dir}/weft" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
endforeach()
install(TARGETS weft weft_static EXPORT weft-targets
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")

set(weft_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/weft")
install(EXPORT weft-targets NAMESPACE weft:: DESTINATION "${weft_package_dir}")
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/weft-config.cmake.in"
  "${PROJECT_BINARY_DIR}/weft-config.cmake" INSTALL_DESTINATION "${weft_package_dir}")
# Before 1.0 a minor version may break its users.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(compatibility SameMinorVersion)
else()
  set(compatibility SameMajorVersion)
endif()
write_basic_package_version_file("${PROJECT_BINARY_DIR}/weft-config-version.cmake"
  COMPATIBILITY ${compatibility})
install(FILES
  "${PROJECT_BINARY_DIR}/weft-config.cmake"
  "${PROJECT_BINARY_DIR}/weft-config-version.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/WeftDependencies.cmake"
  DESTINATION "${weft_package_dir}")

# weft.pc finds its prefix from its own place.
set(weft_pc_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}/${weft_pc_dir}"
           OUTPUT_VARIABLE weft_pc_prefix)
set(weft_pc_private "-lboost_context -pthread -Wl,-z,now")
if(WEFT_ALLOC STREQUAL "jemalloc")
  string(PREPEND weft_pc_private "-ljemalloc ")
endif()
set(weft_pc_cflags "")
if(NOT WEFT_DEBUG STREQUAL "0")
  set(weft_pc_cflags " -DWEFT_DEBUG=${WEFT_DEBUG}")
endif()
configure_file("${CMAKE_CURRENT_LIST_DIR}/weft.pc.in" "${PROJECT_BINARY_DIR}/weft.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/weft.pc" DESTINATION "${weft_pc_dir}")

install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
