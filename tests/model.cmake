foreach(name op simd optim tasks prose images config model section trainer)
  sinter_test(unit/model/test_${name}.c support/op_reference.c
    support/reference.c support/tiny_models.c LABEL unit LINK sinter_model)
endforeach()
# The runner stands at a path people may type: build/PRESET/tests/.
add_executable(golden_pruning golden/golden_pruning.c golden/golden.c
  golden/golden_models.c golden/golden_images.c golden/golden_optim.c
  golden/golden_perp.c golden/golden_prune.c golden/golden_compare.c golden/golden_regime.c
  golden/golden_teacher.c)
target_link_libraries(golden_pruning PRIVATE sinter_flags sinter_jobs)
set_target_properties(golden_pruning PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
add_test(NAME golden.pruning
  COMMAND golden_pruning ${CMAKE_CURRENT_SOURCE_DIR}/golden/pruning)
set_tests_properties(golden.pruning PROPERTIES LABELS golden TIMEOUT 60)

foreach(name train evaluate command)
  sinter_test(unit/jobs/test_${name}.c support/fake_context.c
    support/tiny_llama.c LABEL unit LINK sinter_jobs)
endforeach()
foreach(name retrain reconstruct reconstruct_images)
  sinter_test(unit/jobs/test_${name}.c support/fake_context.c support/healing.c
    support/tiny_llama.c LABEL unit LINK sinter_jobs)
endforeach()
sinter_test(unit/jobs/test_training.c support/fake_context.c
  support/tiny_llama.c support/tiny_files.c support/tiny_models.c
  support/reference.c support/tiny_tokenizer.c LABEL unit LINK sinter_jobs)
sinter_test(unit/jobs/test_compare.c support/fake_context.c
  support/tiny_llama.c support/tiny_mlp.c LABEL unit LINK sinter_jobs)
sinter_test(unit/jobs/test_data.c support/fake_context.c
  support/tiny_llama.c LABEL unit LINK sinter_jobs)
sinter_test(unit/jobs/test_data_text.c support/fake_context.c
  support/tiny_llama.c support/tiny_tokenizer.c LABEL unit LINK sinter_jobs)
sinter_test(unit/jobs/test_evaluate_text.c support/fake_context.c
  support/tiny_llama.c support/tiny_mlp.c support/tiny_tokenizer.c LABEL unit
  LINK sinter_jobs)
sinter_fuzz(images LINK sinter_model)
sinter_fuzz(data LINK sinter_jobs)
sinter_test(unit/model/test_tokenizer.c support/tiny_tokenizer.c LABEL unit
  LINK sinter_model)
sinter_fuzz(tokenizer LINK sinter_model)
sinter_fuzz(wordpiece LINK sinter_model)
