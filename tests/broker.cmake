foreach(unit leader reads resources zap token rights core config hatch descriptors store_group ledger)
  sinter_test(unit/broker/test_${unit}.c LABEL unit LINK sinter_broker)
endforeach()
sinter_test(unit/httpd/test_range.c LABEL unit LINK sinter_httpd)
foreach(unit depot gate link_zmq)
  sinter_test(unit/broker/test_${unit}.c support/process.c LABEL unit LINK sinter_broker)
endforeach()
sinter_test(contract/test_store.c support/process.c support/store_case.c
  LABEL contract LINK sinter_broker)
sinter_test(contract/test_store_redis.c support/process.c support/store_case.c
  LABEL contract TIMEOUT 120 LINK sinter_broker)
set(farm sim/farm.c sim/farm_documents.c sim/replica.c)
foreach(name progress sched_stories sched_families sched_flow sched_hello sched_locality
    sched_artifacts sched_blame sched_commands sched_busy sched_demand sched_why
    sched_million sched_collect)
  sinter_test(sim/test_${name}.c ${farm} LABEL sim LINK sinter_broker m)
endforeach()
sinter_test(sim/test_sched_share.c ${farm} LABEL sim TIMEOUT 240 LINK sinter_broker)
sinter_test(sim/test_sched_lend.c LABEL sim LINK sinter_broker)
set(walks 1000)
if(SINTER_SANITIZE) # eight times slower
  set(walks 250)
endif()
sinter_test(sim/test_sched_walk.c ${farm} LABEL sim TIMEOUT 240
  LINK sinter_broker ARGS ${walks})
sinter_test(integration/broker/test_broker.c support/process.c support/peers.c
  LABEL integration LINK sinter_broker ARGS $<TARGET_FILE:sinter-broker>)
sinter_test(integration/broker/test_hostile.c support/process.c support/peers.c
  LABEL integration TIMEOUT 180 LINK sinter_broker
  ARGS $<TARGET_FILE:sinter-broker> $<TARGET_FILE:sinter-worker>)
sinter_test(integration/broker/test_backlog.c support/process.c support/peers.c
  LABEL integration TIMEOUT 180 LINK sinter_broker sinter_client
  ARGS $<TARGET_FILE:sinter-broker>)
sinter_fuzz(store LINK sinter_broker)
sinter_fuzz(zap LINK sinter_broker)
sinter_fuzz(http LINK sinter_broker)
