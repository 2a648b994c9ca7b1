foreach(check layers docs)
  add_test(NAME lint.${check} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/check_${check}.sh)
endforeach()
add_test(NAME lint.symbols
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/check_symbols.sh ${PROJECT_BINARY_DIR})
set_tests_properties(lint.layers lint.docs lint.symbols
  PROPERTIES LABELS lint TIMEOUT 60)
