# The farm in containers and on clusters. What needs an engine is skipped, in
# words, where none starts.

# The same broker and worker as they would be of the next minor version: what
# says so is compiled anew, and comes before the libraries' own.
function(sinter_next name)
  add_executable(next.${name} ${ARGN})
  target_link_libraries(next.${name} PRIVATE sinter_flags
    $<IF:$<STREQUAL:${name},sinter-broker>,sinter_broker,sinter_worker>)
  target_compile_options(next.${name} PRIVATE
    -USINTER_VERSION "-DSINTER_VERSION=\"${PROJECT_VERSION_MAJOR}.99.0\"")
  set_target_properties(next.${name} PROPERTIES OUTPUT_NAME ${name}
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/next)
endfunction()
sinter_next(sinter-broker ../broker/main.c)
sinter_next(sinter-worker ../worker/main.c ../worker/loop.c ../worker/slot_child.c)

set(programs ${PROJECT_BINARY_DIR}/bin)
set(state ${PROJECT_BINARY_DIR}/deploy)
function(sinter_deploy name)
  add_test(NAME deploy.${name}
    COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/deploy/${name}.sh ${ARGN})
  set_tests_properties(deploy.${name} PROPERTIES
    LABELS deploy TIMEOUT 600 SKIP_RETURN_CODE 77)
endfunction()
sinter_deploy(backup ${programs})
sinter_deploy(bad_input ${programs})
sinter_deploy(manifests ${programs} ${state})
sinter_deploy(observability ${programs} ${state})
sinter_deploy(pods ${programs} ${CMAKE_CURRENT_BINARY_DIR})
sinter_deploy(upgrade ${programs} ${CMAKE_CURRENT_BINARY_DIR})
add_test(NAME deploy.settings
  COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/deploy/settings.py ${programs}
          ${PROJECT_SOURCE_DIR}/docs/operations.md)
set_tests_properties(deploy.settings PROPERTIES LABELS deploy)

# These share the images they make; what the engine kept goes at the end.
sinter_deploy(image ${programs} ${state})
sinter_deploy(compose ${programs} ${state})
add_test(NAME deploy.clean COMMAND rm -rf ${state}/docker)
set_tests_properties(deploy.image deploy.compose PROPERTIES
  RESOURCE_LOCK engine FIXTURES_REQUIRED engine)
set_tests_properties(deploy.compose PROPERTIES DEPENDS deploy.image)
set_tests_properties(deploy.clean PROPERTIES LABELS deploy FIXTURES_CLEANUP engine)
