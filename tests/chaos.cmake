# A farm while everything around it breaks; seeds are fixed here, more by hand:
# tests/chaos/chaos.sh.
foreach(tool proxy history)
  add_executable(chaos_${tool} chaos/${tool}.c)
  target_link_libraries(chaos_${tool} PRIVATE sinter_flags sinter_broker)
endforeach()
function(sinter_chaos name)
  add_test(NAME chaos.${name}
    COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/chaos/chaos.sh
            ${PROJECT_BINARY_DIR}/bin ${CMAKE_CURRENT_BINARY_DIR} ${ARGN})
  set_tests_properties(chaos.${name} PROPERTIES LABELS chaos TIMEOUT 300)
endfunction()
sinter_chaos(redis 7 20 redis)
sinter_chaos(sqlite 8 15 sqlite)
sinter_chaos(snapshots 9 15 redis 300ms)
# Skipped, in words, where there may be no networks of one's own.
add_test(NAME chaos.network
  COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/chaos/network.sh
          ${PROJECT_BINARY_DIR}/bin ${CMAKE_CURRENT_BINARY_DIR})
set_tests_properties(chaos.network PROPERTIES
  LABELS chaos TIMEOUT 300 SKIP_RETURN_CODE 77)
# With the tool that reads a history; what takes mounts of its own is skipped, in
# words, where there may be none.
foreach(script full_disk full_disk_jobs replica)
  add_test(NAME integration.${script}
    COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/integration/${script}.sh
            ${PROJECT_BINARY_DIR}/bin ${CMAKE_CURRENT_BINARY_DIR})
  set_tests_properties(integration.${script} PROPERTIES
    LABELS integration TIMEOUT 300 SKIP_RETURN_CODE 77)
endforeach()
