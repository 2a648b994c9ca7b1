sinter_test(unit/sources/test_span.c LABEL unit LINK sinter_sources)
sinter_test(unit/sources/test_held.c LABEL unit LINK sinter_sources)
sinter_test(unit/sources/test_served.c LABEL unit LINK sinter_sources)
foreach(module source source_ranges source_hub source_s3)
  sinter_test(unit/sources/test_${module}.c support/nginx.c
    support/source_place.c LABEL integration LINK sinter_sources test_support)
endforeach()
