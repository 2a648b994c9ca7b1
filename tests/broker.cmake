foreach(unit core config hatch http_range)
  sinter_test(unit/broker/test_${unit}.c LABEL unit LINK sinter_broker)
endforeach()
foreach(unit depot link_zmq)
  sinter_test(unit/broker/test_${unit}.c support/process.c LABEL unit LINK sinter_broker)
endforeach()
sinter_test(contract/test_store.c support/process.c LABEL contract LINK sinter_broker)
sinter_test(sim/test_sched_stories.c sim/farm.c LABEL sim LINK sinter_broker)
sinter_test(sim/test_sched_families.c sim/farm.c LABEL sim LINK sinter_broker)
sinter_test(sim/test_sched_walk.c sim/farm.c LABEL sim TIMEOUT 240
  LINK sinter_broker)
sinter_test(integration/broker/test_broker.c support/process.c support/peers.c
  LABEL integration LINK sinter_broker ARGS $<TARGET_FILE:sinter-broker>)
