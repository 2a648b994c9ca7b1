foreach(module slot slot_log kept health)
  sinter_test(unit/worker/test_${module}.c LABEL unit LINK sinter_worker)
endforeach()
sinter_test(unit/worker/test_serve.c support/nginx.c LABEL integration
  LINK sinter_worker test_support)
foreach(module session session_slots)
  sinter_test(sim/test_${module}.c sim/session_story.c LABEL sim LINK sinter_worker_core test_support)
endforeach()
foreach(module session_batches session_retract session_walk)
  sinter_test(sim/test_${module}.c LABEL sim LINK sinter_worker_core test_support)
endforeach()
if(TARGET sinter-worker)
  sinter_test(integration/test_worker.c support/nginx.c LABEL integration
    LINK sinter_common test_support PkgConfig::ZMQ)
  target_compile_definitions(test_integration_worker PRIVATE
    WORKER_PROGRAM="$<TARGET_FILE:sinter-worker>")
  add_dependencies(test_integration_worker sinter-worker)
endif()
