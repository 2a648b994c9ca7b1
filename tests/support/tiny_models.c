#include "support/tiny_models.h"

#include "common/memory.h"
#include "support/reference.h"
#include "support/test.h"

const struct tiny_model tiny_models[] = {
    { "llama", "{'model_type':'llama','hidden_size':16,'intermediate_size':24,"
               "'num_hidden_layers':2,'num_attention_heads':4,"
               "'num_key_value_heads':2,'vocab_size':29,'rms_norm_eps':1e-5,"
               "'max_position_embeddings':32}" },
    { "llama-tied-biased",
      "{'model_type':'llama','hidden_size':16,'intermediate_size':24,"
      "'num_hidden_layers':2,'num_attention_heads':4,'vocab_size':29,"
      "'max_position_embeddings':32,'tie_word_embeddings':true,"
      "'attention_bias':true,'mlp_bias':true}" },
    { "mistral",
      "{'model_type':'mistral','hidden_size':16,'intermediate_size':24,"
      "'num_hidden_layers':2,'num_attention_heads':2,'vocab_size':29,"
      "'max_position_embeddings':32,'sliding_window':4}" },
    { "qwen2", "{'model_type':'qwen2','hidden_size':16,'intermediate_size':24,"
               "'num_hidden_layers':2,'num_attention_heads':4,"
               "'num_key_value_heads':2,'vocab_size':29,"
               "'max_position_embeddings':32,'sliding_window':4}" },
    { "opt", "{'model_type':'opt','hidden_size':16,'ffn_dim':24,"
             "'num_hidden_layers':2,'num_attention_heads':4,'vocab_size':29,"
             "'max_position_embeddings':32}" },
    { "opt-untied-gelu",
      "{'model_type':'opt','hidden_size':16,'ffn_dim':24,"
      "'num_hidden_layers':2,'num_attention_heads':4,'vocab_size':29,"
      "'max_position_embeddings':32,'activation_function':'gelu',"
      "'tie_word_embeddings':false}" },
    { "gpt2", "{'model_type':'gpt2','n_embd':16,'n_layer':2,'n_head':4,"
              "'vocab_size':29,'n_positions':32}" },
    { "gpt_neox",
      "{'model_type':'gpt_neox','hidden_size':16,'intermediate_size':24,"
      "'num_hidden_layers':2,'num_attention_heads':2,'vocab_size':29,"
      "'max_position_embeddings':32,'rotary_pct':0.25}" },
    { "gpt_neox-sequential",
      "{'model_type':'gpt_neox','hidden_size':16,'num_hidden_layers':2,"
      "'num_attention_heads':2,'vocab_size':29,'rotary_pct':0.5,"
      "'max_position_embeddings':32,'use_parallel_residual':false,"
      "'tie_word_embeddings':true}" },
    { "mlp", "{'model_type':'mlp','sizes':[12,9,7,5]}" },
    { "preresnet",
      "{'model_type':'preresnet','widths':[4,6,8],'blocks':[1,2,1],"
      "'channels':3,'height':8,'width':8,'classes':5}" },
    { NULL, NULL },
};

struct model_config tiny_config(const struct tiny_model *t)
{
    char *text = xstrdup(t->config);
    struct model_config c;
    json_t *json;

    for (char *at = text; *at != '\0'; at++)
        *at = *at == '\'' ? '"' : *at;
    assert_ok(json_parse(text, strlen(text), t->name, &json));
    assert_ok(model_config_read(json, &c));
    json_decref(json);
    free(text);
    return c;
}

struct model_config tiny_config_of(const char *name)
{
    for (const struct tiny_model *t = tiny_models; t->name != NULL; t++)
        if (strcmp(t->name, name) == 0)
            return tiny_config(t);
    fail_msg("there is no tiny model %s", name);
    abort();
}

static void fill_text(struct tiny_batch *b, unsigned vocab, int number)
{
    for (uint32_t s = 0; s < 3; s++) {
        b->starts[s + 1] = b->starts[s] + 5 + 3 * s;
        for (uint32_t t = b->starts[s]; t < b->starts[s + 1]; t++) {
            unsigned i = t - b->starts[s];

            b->tokens[t] =
                (int32_t)((i * i + 7 * s + (unsigned)number) % vocab);
            b->labels[t] =
                i < 1 || t + 1 == b->starts[s + 1]
                    ? OP_NO_LABEL
                    : (int32_t)(((i + 1) * (i + 1) + 7 * s + (unsigned)number) %
                                vocab);
        }
    }
    b->view.segments = 3;
    b->view.tokens = b->tokens;
}

static void fill_images(struct tiny_batch *b, const struct model *m, int number)
{
    b->starts[1] = 12;
    b->pixels = xcalloc(12 * m->graph->pixels, sizeof(*b->pixels));
    reference_fill(b->pixels, 12 * m->graph->pixels, (uint32_t)number + 1);
    for (int i = 0; i < 12; i++)
        b->labels[i] = (int32_t)((unsigned)(i * i + number) % m->config.vocab);
    b->view.segments = 1;
    b->view.pixels = b->pixels;
}

void tiny_batch_init(struct tiny_batch *b, const struct model *m, int number)
{
    *b = (struct tiny_batch){ .pixels = NULL };
    if (m->graph->pixels == 0)
        fill_text(b, m->config.vocab, number);
    else
        fill_images(b, m, number);
    b->view.starts = b->starts;
    b->view.labels = b->labels;
}

void tiny_batch_release(struct tiny_batch *b)
{
    free(b->pixels);
}

struct pass_room tiny_room(const struct model *m, bool gradients)
{
    return (struct pass_room){
        .rows = 24,
        .longest = m->graph->pixels == 0 ? 11 : 24,
        .gradients = gradients,
    };
}
