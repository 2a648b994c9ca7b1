foreach(name number table selector leaderboard trial_table outputs artifact
        meter passes progress verify phase pivot crew)
  sinter_test(unit/cli/test_${name}.c LABEL unit LINK sinter_cli)
endforeach()
# Fontconfig never gives back what it read of its own files.
set_property(TEST unit.cli.phase APPEND PROPERTY ENVIRONMENT
  "LSAN_OPTIONS=suppressions=${CMAKE_CURRENT_SOURCE_DIR}/support/fonts.supp:print_suppressions=0")
sinter_test(contract/test_commands.c LABEL contract TIMEOUT 120 LINK sinter_cli
  ARGS $<TARGET_FILE:sinter>)
add_test(NAME contract.cli_manual
  COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/contract/cli_manual.sh
          ${PROJECT_BINARY_DIR}/bin)
set_tests_properties(contract.cli_manual PROPERTIES LABELS contract)

# Real processes; each script gets the directory of the programs.
foreach(script run errors interrupt kill farm control context export commands inspect verify recipe report
        soup)
  add_test(NAME integration.cli.${script}
    COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/integration/cli_${script}.sh
            ${PROJECT_BINARY_DIR}/bin)
  list(APPEND integration integration.cli.${script})
endforeach()
add_test(NAME integration.cli.kill_redis
  COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/integration/cli_kill.sh
          ${PROJECT_BINARY_DIR}/bin redis)
set_tests_properties(${integration} integration.cli.kill_redis
  PROPERTIES LABELS integration TIMEOUT 180)
