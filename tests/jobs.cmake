# The executable is also for folders of the same form elsewhere.
add_executable(golden_merging golden/golden_merging.c)
target_link_libraries(golden_merging PRIVATE sinter_flags sinter_jobs)
set_target_properties(golden_merging PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
add_test(NAME golden.merging
  COMMAND golden_merging ${CMAKE_CURRENT_SOURCE_DIR}/golden/merging)
set_tests_properties(golden.merging PROPERTIES LABELS golden TIMEOUT 120)

set(support support/fake_context.c support/small_model.c)
foreach(name depth merge_draw merge_config merge_run merge recipe export noop)
  sinter_test(unit/jobs/test_${name}.c ${support} LABEL unit LINK sinter_jobs)
endforeach()
sinter_test(contract/test_job_kinds.c LABEL contract LINK sinter_jobs)
