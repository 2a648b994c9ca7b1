set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# CMake's own flags of this build type add -DNDEBUG; assertions stay on.
set(SINTER_DEBUG_INFO "-g" CACHE STRING "Kind of debug information; none for programs that are stripped")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 ${SINTER_DEBUG_INFO}")
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

option(SINTER_WERROR "Warnings are errors (on in CI)" OFF)
option(SINTER_FUZZ "Build the libFuzzer targets (clang only)" OFF)
set(SINTER_VERSION "${PROJECT_VERSION}" CACHE STRING "What the programs say they are")
set(SINTER_SANITIZE "" CACHE STRING "For -fsanitize=: address,undefined or thread")

add_library(sinter_flags INTERFACE)
target_include_directories(sinter_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(sinter_flags INTERFACE
  _GNU_SOURCE SINTER_VERSION="${SINTER_VERSION}")
target_compile_options(sinter_flags INTERFACE
  -include ${PROJECT_SOURCE_DIR}/common/banned.h
  # no path of this machine in logs and binaries
  -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wcast-qual
  -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
  -Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wdouble-promotion
  -Wimplicit-fallthrough
  -ffp-contract=off -fno-common -fno-omit-frame-pointer -fstack-protector-strong
  $<$<C_COMPILER_ID:GNU>:-Wlogical-op -Wduplicated-cond>
  $<$<BOOL:${SINTER_WERROR}>:-Werror>)
target_link_options(sinter_flags INTERFACE -Wl,-z,relro,-z,now)
# Some 250 programs are linked in a build; these take a third of the time, and
# gold has a warning for each symbol of clang's sanitizers.
if(CMAKE_C_COMPILER_ID MATCHES "Clang")
  set(linker lld)
else()
  set(linker gold)
endif()
include(CheckLinkerFlag)
check_linker_flag(C -fuse-ld=${linker} SINTER_LINKER_${linker})
if(SINTER_LINKER_${linker})
  target_link_options(sinter_flags INTERFACE -fuse-ld=${linker})
endif()
if(NOT SINTER_SANITIZE STREQUAL "")
  target_compile_options(sinter_flags INTERFACE
    -fsanitize=${SINTER_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(sinter_flags INTERFACE -fsanitize=${SINTER_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  target_compile_options(sinter_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
