# A farm while everything around it breaks; seeds are fixed here, more by hand:
# tests/chaos/chaos.sh.
foreach(tool proxy history)
  add_executable(chaos_${tool} chaos/${tool}.c)
  target_link_libraries(chaos_${tool} PRIVATE sinter_flags sinter_broker)
endforeach()
foreach(store redis sqlite)
  add_test(NAME chaos.${store}
    COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/chaos/chaos.sh
            ${PROJECT_BINARY_DIR}/bin ${CMAKE_CURRENT_BINARY_DIR} 7 20 ${store})
  set_tests_properties(chaos.${store} PROPERTIES LABELS chaos TIMEOUT 300)
endforeach()
