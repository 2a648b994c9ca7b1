foreach(name yaml expr order space compiled plan spec)
  sinter_test(unit/sweep/test_${name}.c LABEL unit LINK sinter_sweep)
endforeach()
sinter_test(unit/sweep/test_expansion.c support/random_sweep.c
  support/expansion_twin.c LABEL unit LINK sinter_sweep test_support)
sinter_test(unit/sweep/test_spec_body.c LABEL unit LINK sinter_jobs)
sinter_test(contract/test_spec_errors.c LABEL contract LINK sinter_jobs)
sinter_test(contract/test_spec_good.c support/expansion_twin.c LABEL contract
  LINK sinter_jobs test_support)
sinter_fuzz(yaml LINK sinter_sweep)
sinter_fuzz(spec LINK sinter_jobs)
sinter_fuzz(compiled LINK sinter_sweep)
