foreach(module roster curve endpoint status buf varint map json digest decimal philox file option clock log utf8
        machine)
  sinter_test(unit/common/test_${module}.c LABEL unit LINK sinter_common)
endforeach()
sinter_test(contract/test_wire.c LABEL contract
  LINK sinter_common PkgConfig::MSGPACK)
sinter_test(contract/test_dealer.c LABEL contract LINK sinter_common)
sinter_fuzz(wire LINK sinter_common PkgConfig::MSGPACK)
sinter_test(integration/test_http.c support/web.c LABEL integration TIMEOUT 120
  LINK sinter_common test_support)
sinter_test(integration/test_http_odd.c LABEL integration LINK sinter_common)
sinter_test(integration/test_http_redirect.c support/nginx.c support/process.c
  LABEL integration LINK sinter_common test_support)
