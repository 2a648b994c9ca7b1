/* arch_bert.h -- BERT's encoder: every token sees the whole text.
 *
 * It predicts nothing that follows, so it is no row of `archs`: nothing that
 * trains, measures or prunes models takes it. Its "logits" (pass_logits()) are
 * the last layer's states [rows][hidden]; labels mean nothing. */
#ifndef SINTER_MODEL_ARCH_BERT_H
#define SINTER_MODEL_ARCH_BERT_H

#include "model/arch.h"

extern const struct arch arch_bert;

/* config.json, as model_config_read() does it for the others. */
MUST_CHECK struct status arch_bert_config(const json_t *json,
                                          struct model_config *ret_config);

#endif
