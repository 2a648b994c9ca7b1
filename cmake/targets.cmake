# sinter_library(NAME file... [LINK target...] [OPTIONS flag...])
function(sinter_library name)
  cmake_parse_arguments(ARG "" "" "LINK;OPTIONS" ${ARGN})
  if(NOT ARG_UNPARSED_ARGUMENTS)
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE sinter_flags ${ARG_LINK})
    return()
  endif()
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  if(SINTER_FUZZ)
    # Not what only computes: it reads nothing that a stranger wrote, and its
    # threads would fight for the counters.
    foreach(file ${ARG_UNPARSED_ARGUMENTS})
      if(NOT file MATCHES "/(tensor|jobs/merge|model/op)[^.]*[.]c$" OR
          file MATCHES "safetensors|body|config|files|plan|statistic|text|tokenizer|vocabulary")
        set_property(SOURCE ${file} APPEND PROPERTY COMPILE_OPTIONS -fsanitize=fuzzer-no-link)
      endif()
    endforeach()
  endif()
  target_link_libraries(${name} PUBLIC sinter_flags ${ARG_LINK})
  target_compile_options(${name} PRIVATE ${ARG_OPTIONS})
endfunction()

# sinter_program(NAME file... [LINK target...]): lands in the build's bin/.
function(sinter_program name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/main.c)
    return()
  endif()
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE sinter_flags ${ARG_LINK})
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  install(TARGETS ${name} RUNTIME DESTINATION bin)
endfunction()

# sinter_test(unit/common/test_wire.c [file...] [LABEL unit] [TIMEOUT s]
#             [LINK target...] [ARGS arg...])
# The test's name follows its path: unit.common.wire.
function(sinter_test file)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "LINK;ARGS" ${ARGN})
  string(REGEX REPLACE "\\.c$" "" path ${file})
  string(REPLACE "/test_" "/" path ${path})
  string(REPLACE "/" "." name ${path})
  string(REPLACE "." "_" target test.${name})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  # What many tests are made with is compiled once.
  set(parts)
  foreach(part ${ARG_UNPARSED_ARGUMENTS})
    string(MAKE_C_IDENTIFIER "part_${part}" object)
    if(NOT TARGET ${object})
      add_library(${object} OBJECT ${part})
      target_link_libraries(${object} PRIVATE sinter_flags PkgConfig::CMOCKA ${ARG_LINK})
      target_compile_definitions(${object} PRIVATE
        TEST_DATA="${PROJECT_SOURCE_DIR}/tests")
    endif()
    list(APPEND parts $<TARGET_OBJECTS:${object}>)
  endforeach()
  add_executable(${target} ${file} ${parts})
  target_link_libraries(${target} PRIVATE sinter_flags PkgConfig::CMOCKA ${ARG_LINK})
  target_compile_definitions(${target} PRIVATE
    TEST_DATA="${PROJECT_SOURCE_DIR}/tests")
  add_test(NAME ${name} COMMAND ${target} ${ARG_ARGS})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}"
    TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "OPENBLAS_NUM_THREADS=1;UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1;ASAN_OPTIONS=detect_leaks=1")
endfunction()

# sinter_fuzz(NAME [LINK target...]): fuzz_NAME from tests/fuzz/fuzz_NAME.c,
# run over tests/fuzz/corpus/NAME. With clang's libFuzzer when SINTER_FUZZ is
# on; otherwise a plain program that replays the corpus as a test.
function(sinter_fuzz name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  if(SINTER_FUZZ)
    add_executable(fuzz_${name} fuzz/fuzz_${name}.c)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(fuzz_${name} fuzz/fuzz_${name}.c fuzz/replay.c)
    add_test(NAME fuzz.${name}.corpus COMMAND fuzz_${name}
      ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
    set_tests_properties(fuzz.${name}.corpus PROPERTIES LABELS unit TIMEOUT 60)
  endif()
  target_link_libraries(fuzz_${name} PRIVATE sinter_flags ${ARG_LINK})
endfunction()
