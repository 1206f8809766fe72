# One place for compiler rules and for the shape of a folder's CMakeLists.txt.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)

# docs/decisions/001-compiler.md: GCC below 14 miscompiles coroutines.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  message(FATAL_ERROR "GCC ${CMAKE_CXX_COMPILER_VERSION} miscompiles coroutines. Use a preset (clang-19) or GCC 14.")
endif()

option(LATCHKEY_FUZZ "Build the fuzz targets (clang only)" OFF)
option(LATCHKEY_BENCH "Build the benchmarks" OFF)
set(LATCHKEY_SANITIZE "" CACHE STRING "Value for -fsanitize=, e.g. address,undefined")

add_compile_options(-Wall -Wextra -Wpedantic -Werror -fno-omit-frame-pointer)
# A designated initialiser leaves the rest value-initialised on purpose.
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-missing-designated-field-initializers>)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # Keeps the precompiled header cacheable.
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>")
endif()
if(LATCHKEY_SANITIZE)
  add_compile_options(-fsanitize=${LATCHKEY_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${LATCHKEY_SANITIZE})
endif()
if(LATCHKEY_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# All test programs; all fuzz targets.
add_custom_target(unit_tests)
add_custom_target(fuzz_all)

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(GTest REQUIRED)
include(FindPkgConfig)
include(GNUInstallDirs)

# lk_library(<folder as target> SOURCES a.cpp … DEPS lk::base …)
# The target is lk_<name>, alias lk::<name>.
function(lk_library name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(lk_${name} STATIC ${A_SOURCES})
  add_library(lk::${name} ALIAS lk_${name})
  target_include_directories(lk_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/latchkey>)
  target_link_libraries(lk_${name} PUBLIC ${A_DEPS} PRIVATE ${A_PRIVATE_DEPS})
  if(name STREQUAL "base")
    # What programs outside of the tree need beside the headers (cmake/package.cmake).
    target_compile_features(lk_base PUBLIC cxx_std_23)
    if(LATCHKEY_SANITIZE)
      target_link_options(lk_base INTERFACE $<INSTALL_INTERFACE:-fsanitize=${LATCHKEY_SANITIZE}>)
    endif()
  else()
    target_precompile_headers(lk_${name} REUSE_FROM lk_base)
    target_link_libraries(lk_${name} PUBLIC lk::base)
  endif()
endfunction()

# lk_test(<name> SOURCES a_test.cpp … DEPS lk::x …): one gtest program, one ctest entry.
function(lk_test name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;ARGS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE ${A_DEPS} lk::base GTest::gmock GTest::gtest_main)
  target_precompile_headers(${name} REUSE_FROM lk_base)
  target_compile_definitions(${name} PRIVATE LATCHKEY_FIXTURES="${PROJECT_SOURCE_DIR}/tests/fixtures")
  add_test(NAME ${name} COMMAND ${name} ${A_ARGS})
  add_dependencies(unit_tests ${name})
endfunction()

# lk_fuzz(<name> SOURCE fuzz_x.cpp DEPS … CORPUS <folder>): built under the asan preset only; tests/fuzz.sh runs all.
function(lk_fuzz name)
  if(NOT LATCHKEY_FUZZ)
    return()
  endif()
  cmake_parse_arguments(A "" "SOURCE" "DEPS" ${ARGN})
  add_executable(${name} ${A_SOURCE})
  target_link_libraries(${name} PRIVATE ${A_DEPS} lk::base)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_property(TARGET ${name} PROPERTY RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  add_dependencies(fuzz_all ${name})
endfunction()

# lk_bench(<name> SOURCES … DEPS …): Google Benchmark programs, built with -DLATCHKEY_BENCH=ON.
function(lk_bench name)
  if(NOT LATCHKEY_BENCH)
    return()
  endif()
  find_package(benchmark REQUIRED)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE ${A_DEPS} lk::base benchmark::benchmark_main)
  set_property(TARGET ${name} PROPERTY RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
endfunction()
