# The simulated world: programs as they are, linked against a network, a store,
# slots, threads and clocks that tests/sim/world makes up.
set(SINTER_SCHEDULES 10000 CACHE STRING "Schedules that the tests simulate")
set(world coverage dealer network keep keep_port oracle oracle_log oracle_wire
  oracle_end process slots system time brokers workers clients families sabotage
  universe)
list(TRANSFORM world PREPEND sim/world/)
list(TRANSFORM world APPEND .c)
set(world_wraps eventfd read write close poll __poll_chk getrandom
  pthread_create pthread_join pthread_cond_signal pthread_cond_broadcast)
list(TRANSFORM world_wraps PREPEND -Wl,--wrap=)
add_library(sim_world OBJECT ${world})
target_link_libraries(sim_world PUBLIC sinter_flags sinter_broker sinter_worker
  sinter_client)
target_link_options(sim_world PUBLIC ${world_wraps})

# One thread with stacks of its own is nothing for ThreadSanitizer.
if(NOT SINTER_SANITIZE MATCHES "thread")
  add_executable(sim_universe sim/sim_universe.c)
  target_link_libraries(sim_universe PRIVATE sim_world)
  # Ten times slower with sanitizers, and too few there to see everything.
  set(coverage --coverage)
  set(part ${SINTER_SCHEDULES})
  set(farms 20)
  if(SINTER_SANITIZE MATCHES "address")
    math(EXPR part "${SINTER_SCHEDULES} / 100")
    set(coverage "")
    set(farms 4)
  endif()
  math(EXPR part "${part} / 2")
  foreach(half 0 1)
    math(EXPR from "${half} * ${part}")
    add_test(NAME sim.universe.${half} COMMAND sim_universe ${coverage}
      --seeds ${part} --from ${from})
    set_tests_properties(sim.universe.${half} PROPERTIES LABELS sim TIMEOUT 600)
  endforeach()
  sinter_test(sim/test_world.c LABEL sim TIMEOUT 120 LINK sim_world ARGS ${farms})
  sinter_test(sim/test_sabotage.c LABEL sim TIMEOUT 240 LINK sim_world)
endif()
