/* one_thread.h -- holds OpenBLAS to the thread that calls it, from the start
 * of the program on: with more of them sums are cut elsewhere, and a job has
 * threads of its own. For the files that are doors to it. */
#ifndef SINTER_TENSOR_ONE_THREAD_H
#define SINTER_TENSOR_ONE_THREAD_H

#include <cblas.h>

__attribute__((constructor)) static void one_thread(void)
{
    openblas_set_num_threads(1);
}

#endif
