# Cross build for ARM64 with Debian's gcc; tests run under qemu-user.  The libraries of the target come
# from a folder of unpacked packages made by cmake/aarch64-sysroot.sh: installed by multiarch,
# libjemalloc-dev:arm64 would throw out libjemalloc-dev:amd64.
# SPDX-License-Identifier: Apache-2.0 OR MIT
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

set(WEFT_AARCH64_ROOT "${CMAKE_CURRENT_LIST_DIR}/../build/aarch64-sysroot/root" CACHE PATH
    "Unpacked arm64 packages")
get_filename_component(WEFT_AARCH64_ROOT "${WEFT_AARCH64_ROOT}" ABSOLUTE)
if(NOT EXISTS "${WEFT_AARCH64_ROOT}/usr/lib/aarch64-linux-gnu")
  message(FATAL_ERROR "no arm64 libraries in ${WEFT_AARCH64_ROOT}: run sh cmake/aarch64-sysroot.sh")
endif()
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES WEFT_AARCH64_ROOT)

set(CMAKE_FIND_ROOT_PATH "${WEFT_AARCH64_ROOT}" /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L /usr/aarch64-linux-gnu
    -E "LD_LIBRARY_PATH=${WEFT_AARCH64_ROOT}/usr/lib/aarch64-linux-gnu")
