/* arch_rows.h -- the rows of `archs`, each from a file of its own. */
#ifndef SINTER_MODEL_ARCH_ROWS_H
#define SINTER_MODEL_ARCH_ROWS_H

#include "model/arch.h"

extern const struct arch arch_llama, arch_mistral, arch_qwen2; /* _llama.c */
extern const struct arch arch_opt;                             /* _opt.c */
extern const struct arch arch_gpt2;                            /* _gpt2.c */
extern const struct arch arch_neox;                            /* _neox.c */
extern const struct arch arch_mlp;                             /* _mlp.c */
extern const struct arch arch_preresnet; /* _preresnet.c */

#endif
