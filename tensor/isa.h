/* isa.h -- one portable binary, compiled for what the machine has. */
#ifndef SINTER_TENSOR_ISA_H
#define SINTER_TENSOR_ISA_H

/* Compile the function for each instruction set and choose when the program
 * is loaded. Results are the same bits: contraction to FMA is off, and what
 * sums does so in lanes that the source fixes. Not under sanitizers, whose
 * run time is not up yet when the choice is made. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ISA_CLONES  \
    __attribute__(( \
        target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ISA_CLONES
#endif

#endif
