#include "jobs/train_init.h"

#include <string.h>

#include "common/memory.h"
#include "jobs/training.h"
#include "model/arch.h"
#include "model/tokenizer.h"

static const char *const activation_words[] = { "relu", "gelu", "gelu_new",
                                                NULL };

#define SIZE(name_, most_, help_)                                          \
    {                                                                      \
        .name = (name_), .type = KEY_INTEGER, .least = 1, .most = (most_), \
        .help = (help_)                                                    \
    }
#define NUMBER(name_, least_, most_, help_)                     \
    {                                                           \
        .name = (name_), .type = KEY_NUMBER, .least = (least_), \
        .most = (most_), .help = (help_)                        \
    }

static const struct catalog_key size_row[] = {
    SIZE("*", 1 << 20, "width"),
    { .name = NULL },
};

const struct catalog_key train_init_keys[] = {
    { .name = "architecture",
      .type = KEY_TEXT,
      .otherwise = "\"llama\"",
      .help = "of the fresh model" },
    SIZE("hidden", 16384, "width of the residual stream; 128"),
    SIZE("layers", 256, "blocks; 4"),
    SIZE("heads", 256, "attention heads; 4"),
    SIZE("kv_heads", 256, "key-value heads; as many as heads"),
    SIZE("intermediate", 65536, "feed-forward width; 3 or 4 x hidden"),
    { .name = "vocab",
      .type = KEY_INTEGER,
      .least = TOKENIZER_VOCAB,
      .most = 1 << 20,
      .help = "tokens; 258: bytes, beginning and end" },
    SIZE("positions", 65536, "longest sequence, tokens; 512"),
    SIZE("window", 65536, "mistral: tokens a token sees; all"),
    NUMBER("rope_theta", 2.0, 1e9, "base of the rotary angles; 10000"),
    NUMBER("rotary", 0.01, 1.0, "gpt_neox: share of a head turned; 0.25"),
    { .name = "activation",
      .type = KEY_WORD,
      .words = activation_words,
      .help = "of the feed-forward layer; as published models have it" },
    NUMBER("norm_eps", 1e-12, 1e-2, "added in the norms; 1e-5"),
    { .name = "tied",
      .type = KEY_BOOL,
      .help = "the head is the embedding; true" },
    { .name = "sizes",
      .type = KEY_LIST,
      .keys = size_row,
      .help = "mlp: widths from pixels to classes" },
    { .name = "widths",
      .type = KEY_LIST,
      .keys = size_row,
      .help = "preresnet: channels of the stages" },
    { .name = "blocks",
      .type = KEY_LIST,
      .keys = size_row,
      .help = "preresnet: blocks of each stage" },
    SIZE("channels", 65536, "preresnet: of an image; 3"),
    SIZE("height", 4096, "preresnet: of an image; 32"),
    SIZE("width", 4096, "preresnet: of an image; 32"),
    SIZE("classes", 65536, "preresnet; 10"),
    { .name = NULL },
};

static bool knows(const struct arch *arch, const char *key)
{
    const struct arch_init *row = arch->init;

    while (row->key != NULL && strcmp(row->key, key) != 0)
        row++;
    return row->key != NULL;
}

static void fill_defaults(json_t *init, const struct arch *arch)
{
    for (const struct arch_init *row = arch->init; row->key != NULL; row++)
        if (row->otherwise != NULL && json_object_get(init, row->key) == NULL)
            (void)json_object_set_new(
                init, row->key,
                json_loads(row->otherwise, JSON_DECODE_ANY, NULL));
}

static bool refuse_architecture(const char *name,
                                struct catalog_problem *ret_problem)
{
    char known[sizeof(ret_problem->suggestion)] = "", message[96];
    size_t size = 0;

    for (size_t i = 0; archs[i] != NULL && size < sizeof(known); i++)
        size += (size_t)snprintf(known + size, sizeof(known) - size, "%s%s",
                                 i == 0 ? "" : ", ", archs[i]->model_type);
    (void)snprintf(message, sizeof(message),
                   "there is no architecture \"%.40s\"", name);
    return catalog_refuse(ret_problem, "/init/architecture", known, "%s",
                          message);
}

bool train_init_normalise(json_t *init, struct catalog_problem *ret_problem)
{
    const char *name = json_string_value(json_object_get(init, "architecture"));
    const struct arch *arch;
    char path[64], message[96];
    const char *key;
    json_t *value;

    if (name == NULL)
        return true; /* another in each point */
    arch = arch_find(name);
    if (arch == NULL)
        return refuse_architecture(name, ret_problem);
    json_object_foreach(init, key, value)
    {
        if (strcmp(key, "architecture") == 0 || knows(arch, key))
            continue;
        (void)snprintf(path, sizeof(path), "/init/%.40s", key);
        (void)snprintf(message, sizeof(message), "`%.40s` means nothing to %s",
                       key, name);
        return catalog_refuse(ret_problem, path, "leave it out", "%s", message);
    }
    if (knows(arch, "sizes") &&
        json_array_size(json_object_get(init, "sizes")) < 2)
        return catalog_refuse(ret_problem, "/init", "sizes: [64, 64, 64, 10]",
                              "an mlp needs `sizes` from pixels to classes");
    fill_defaults(init, arch);
    return true;
}

/* In the words of the architecture's own config.json, where it has lists. */
static void copy_lists(const json_t *init, json_t *json)
{
    static const char *const lists[] = { "sizes", "widths", "blocks" };

    for (size_t i = 0; i < COUNT_OF(lists); i++)
        if (json_object_get(init, lists[i]) != NULL)
            (void)json_object_set(json, lists[i],
                                  json_object_get(init, lists[i]));
}

static uint32_t number(const json_t *init, const char *key, int64_t otherwise)
{
    return (uint32_t)json_int_or(init, key, otherwise);
}

static const struct op *curve_of(const json_t *init)
{
    const char *name = json_text_or(init, "activation", "relu");

    if (strcmp(name, "gelu") == 0)
        return &op_gelu;
    return strcmp(name, "gelu_new") == 0 ? &op_gelu_tanh : &op_relu;
}

/* What the words say; read and checked again from what is written of it. */
static struct model_config first_guess(const json_t *init,
                                       const struct arch *arch)
{
    uint32_t hidden = number(init, "hidden", 128);
    uint32_t heads = number(init, "heads", 4);
    uint32_t head_dim = heads == 0 ? 0 : hidden / heads;

    return (struct model_config){
        .arch = arch,
        .hidden = hidden,
        .layers = number(init, "layers", 4),
        .heads = heads,
        .kv_heads = number(init, "kv_heads", heads),
        .head_dim = head_dim,
        .inner = number(init, "intermediate", (int64_t)arch->inner * hidden),
        .vocab = number(init, "vocab", TOKENIZER_VOCAB),
        .positions = number(init, "positions", 512),
        .window = number(init, "window", 0),
        .rope_theta = json_real_or(init, "rope_theta", 10000.0),
        .rotary =
            (uint32_t)(json_real_or(init, "rotary", 0.25) * head_dim + 1e-6),
        .norm_eps = (float)json_real_or(init, "norm_eps", 1e-5),
        .tied = json_bool_or(init, "tied", true),
        .parallel = true,
        .curve = curve_of(init),
        .channels = number(init, "channels", 3),
        .height = number(init, "height", 32),
        .width = number(init, "width", 32),
        .classes = number(init, "classes", 10),
    };
}

struct status train_init_config(const json_t *init,
                                struct model_config *ret_config)
{
    const char *name = json_text_or(init, "architecture", "llama");
    const struct arch *arch = arch_find(name);
    AUTO(json_release) json_t *whole = json_deep_copy(init);
    AUTO(json_release) json_t *json = NULL;
    struct model_config c;

    if (arch == NULL)
        return FAIL(STATUS_INVALID, "there is no architecture \"%.40s\"", name);
    fill_defaults(whole, arch);
    c = first_guess(whole, arch);
    if (c.heads == 0 || c.hidden % c.heads != 0)
        return FAIL(STATUS_INVALID,
                    "`hidden` %u is no multiple of %u attention heads",
                    c.hidden, c.heads);
    json = model_config_write(&c, "float32");
    copy_lists(whole, json);
    return model_config_read(json, ret_config);
}

json_t *train_init_json(const struct model_config *c)
{
    json_t *json = model_config_write(c, "float32");

    if (c->positions == 0) /* images */
        return json;
    (void)json_object_set_new(json, "tokenizer_class",
                              json_string(tokenizer_class));
    (void)json_object_set_new(json, "bos_token_id", json_integer(TOKEN_BEGIN));
    (void)json_object_set_new(json, "eos_token_id", json_integer(TOKEN_END));
    return json;
}
