foreach(name dtype tensor elementwise elementary reduce select blas gemm lapack)
  sinter_test(unit/tensor/test_${name}.c support/reference.c LABEL unit
    LINK sinter_tensor)
endforeach()
foreach(name safetensors safetensors_header safetensors_writer
        safetensors_resume)
  sinter_test(unit/tensor/test_${name}.c support/st_text.c LABEL unit
    LINK sinter_tensor)
endforeach()
sinter_fuzz(safetensors LINK sinter_tensor)
