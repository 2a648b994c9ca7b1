# Whole sweeps on real processes; each script gets the directory of the
# programs.
foreach(script merge prune select shards_restart sources_hub faults bad_input own_data identical fusion statistics quickstart
               dashboard export_resume train_resume gc verdicts security standby snapshot_restart peers)
  add_test(NAME integration.${script}
    COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/integration/${script}.sh
            ${PROJECT_BINARY_DIR}/bin)
  set_tests_properties(integration.${script} PROPERTIES
    LABELS integration TIMEOUT 300 SKIP_RETURN_CODE 77)
endforeach()
if(SINTER_SANITIZE) # ten times slower
  set_tests_properties(integration.train_resume PROPERTIES
    ENVIRONMENT STEPS=50)
endif()
# Whole examples, minutes of training: ten times that with sanitizers.
if(NOT SINTER_SANITIZE)
  foreach(script three_regime perp paser)
    add_test(NAME integration.${script}
      COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/integration/${script}.sh
              ${PROJECT_BINARY_DIR}/bin)
    set_tests_properties(integration.${script} PROPERTIES
      LABELS "integration;slow" TIMEOUT 900)
  endforeach()
endif()
