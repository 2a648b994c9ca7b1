# The executable is also for folders of the same form elsewhere.
add_executable(golden_merging golden/golden_merging.c)
target_link_libraries(golden_merging PRIVATE sinter_flags sinter_jobs)
set_target_properties(golden_merging PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
add_test(NAME golden.merging
  COMMAND golden_merging ${CMAKE_CURRENT_SOURCE_DIR}/golden/merging)
set_tests_properties(golden.merging PROPERTIES LABELS golden TIMEOUT 120)

add_executable(golden_paser golden/golden_paser.c golden/golden_paser_space.c
  golden/golden_paser_pick.c golden/golden.c)
target_link_libraries(golden_paser PRIVATE sinter_flags sinter_jobs)
set_target_properties(golden_paser PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
add_test(NAME golden.paser
  COMMAND golden_paser ${CMAKE_CURRENT_SOURCE_DIR}/golden/paser)
add_test(NAME golden.paser_wrong
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/golden/golden_paser_wrong.py
          $<TARGET_FILE:golden_paser> ${CMAKE_CURRENT_SOURCE_DIR}/golden/paser)
set_tests_properties(golden.paser golden.paser_wrong PROPERTIES LABELS golden
  TIMEOUT 60)

sinter_fuzz(vocabulary LINK sinter_jobs)
sinter_fuzz(statistic LINK sinter_jobs)

set(support support/fake_context.c support/small_model.c)
foreach(name depth merge_draw merge_config merge_statistics merge recipe
    export noop)
  sinter_test(unit/jobs/test_${name}.c ${support} LABEL unit LINK sinter_jobs)
endforeach()
sinter_test(unit/jobs/test_stream_model.c ${support} LABEL unit TIMEOUT 180
  LINK sinter_jobs)
foreach(name merge_methods merge_points)
  sinter_test(unit/jobs/test_${name}.c ${support} support/one_tensor.c
    LABEL unit TIMEOUT 300 LINK sinter_jobs)
endforeach()
foreach(name merge_rows merge_run merge_parts merge_stream merge_load)
  sinter_test(unit/jobs/test_${name}.c ${support} support/merge_case.c
    LABEL unit TIMEOUT 300 LINK sinter_jobs)
endforeach()
# The pinned bytes once more on a machine without AVX-512, which valgrind plays.
# Builds of clang, and with sanitizers, have kernels for neither that nor AVX2.
find_program(VALGRIND valgrind)
if(VALGRIND AND CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT SINTER_SANITIZE)
  add_test(NAME unit.jobs.merge_rows_avx2
    COMMAND ${VALGRIND} --tool=none --quiet $<TARGET_FILE:test_unit_jobs_merge_rows>
            test_the_bytes_of_a_merge_never_change)
  set_tests_properties(unit.jobs.merge_rows_avx2 PROPERTIES LABELS unit
    TIMEOUT 300 ENVIRONMENT OPENBLAS_NUM_THREADS=1)
elseif(NOT VALGRIND)
  message(STATUS "valgrind is not there: no merges on a machine without AVX-512")
endif()
foreach(name merge_recipes merge_faults merge_files merge_slices)
  sinter_test(unit/jobs/test_${name}.c ${support} support/llama_shape.c
    LABEL unit LINK sinter_jobs)
endforeach()
sinter_test(unit/jobs/test_merge_maths.c LABEL unit LINK sinter_jobs)
sinter_test(unit/jobs/test_merge_wide.c LABEL unit LINK sinter_jobs)
sinter_test(unit/jobs/test_merge_count.c ${support} LABEL unit LINK sinter_jobs)
sinter_test(contract/test_job_kinds.c LABEL contract LINK sinter_jobs)
foreach(name merge_family recipe_fusion)
  sinter_test(unit/jobs/test_${name}.c ${support} LABEL unit LINK sinter_jobs)
endforeach()
sinter_test(unit/jobs/test_inspect.c ${support} LABEL unit LINK sinter_jobs)
sinter_test(unit/jobs/test_merge_text.c LABEL unit LINK sinter_jobs)
sinter_test(unit/jobs/test_soup.c ${support} support/tiny_llama.c LABEL unit
  LINK sinter_jobs)
sinter_test(unit/jobs/test_verify.c support/fake_context.c support/tiny_llama.c
  LABEL unit LINK sinter_jobs)
set(tiny support/fake_context.c support/tiny_files.c support/tiny_models.c
  support/tiny_llama.c support/reference.c)
foreach(name prune prune_faults prune_fit prune_large select select_passes)
  sinter_test(unit/jobs/test_${name}.c ${tiny} LABEL unit LINK sinter_jobs)
endforeach()
sinter_test(unit/jobs/test_select_samples.c support/fake_context.c
  support/tiny_tokenizer.c LABEL unit LINK sinter_jobs)
foreach(name select_embed select_minilm)
  sinter_test(unit/jobs/test_${name}.c support/fake_context.c LABEL unit
    LINK sinter_jobs)
endforeach()
foreach(name jsd spectrum cluster budget concepts pick sweep)
  sinter_test(unit/jobs/test_select_${name}.c LABEL unit LINK sinter_jobs)
endforeach()
