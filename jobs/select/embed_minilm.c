/* embed_minilm.c -- what a BERT encoder of sentences makes of an instruction:
 * the mean of its last states. A text is a pass of its own, so that its row
 * does not depend on its neighbours. */
#include "jobs/select/embed.h"

#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "model/arch_bert.h"
#include "model/pass.h"
#include "model/wordpiece.h"
#include "tensor/safetensors.h"

enum {
    LONGEST = 256, /* word pieces of a text */
    FILE_LIMIT = 1 << 27,
};

struct select_minilm {
    struct st_model *files;
    struct model *model; /* parameters stay in the files */
    struct wordpiece *pieces;
};

void select_minilm_close(struct select_minilm *m)
{
    if (m == NULL)
        return;
    wordpiece_free(m->pieces);
    model_free(m->model);
    st_model_close(m->files);
    free(m);
}

size_t select_minilm_width(const struct select_minilm *m)
{
    return m->model->config.hidden;
}

/* tokenizer_config.json says whether vocab.txt is without case. */
static struct status check_case(const char *directory)
{
    AUTO(free_pointer)
    char *path = xasprintf("%s/tokenizer_config.json", directory);
    AUTO(json_release) json_t *json = NULL;

    if (!file_exists(path))
        return SUCCESS;
    TRY_PLAIN(json_parse_file(path, FILE_LIMIT, &json));
    if (!json_bool_or(json, "do_lower_case", true))
        return FAIL(STATUS_INVALID,
                    "%s: \"do_lower_case\" is false; encoders with case are "
                    "not known",
                    path);
    return SUCCESS;
}

static struct status open_pieces(const char *directory,
                                 struct wordpiece **ret_pieces)
{
    static const struct {
        const char *name;
        struct status (*parse)(const char *text, size_t size, const char *what,
                               struct wordpiece **ret_pieces);
    } files[] = {
        { "tokenizer.json", wordpiece_parse_json },
        { "vocab.txt", wordpiece_parse_list },
    };

    TRY_PLAIN(check_case(directory));
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        AUTO(free_pointer)
        char *path = xasprintf("%s/%s", directory, files[i].name);
        AUTO(free_pointer) char *text = NULL;
        size_t size;

        if (!file_exists(path))
            continue;
        TRY_PLAIN(file_read(path, FILE_LIMIT, &text, &size));
        return files[i].parse(text, size, path, ret_pieces);
    }
    return FAIL(STATUS_INVALID,
                "%s has neither a tokenizer.json nor a vocab.txt", directory);
}

static struct status open_model(struct select_minilm *m, const char *directory)
{
    AUTO(free_pointer) char *path = xasprintf("%s/config.json", directory);
    AUTO(json_release) json_t *json = NULL;
    struct model_config config;

    TRY_PLAIN(json_parse_file(path, FILE_LIMIT, &json));
    TRY(arch_bert_config(json, &config), "%s", directory);
    TRY_PLAIN(st_model_open(directory, &m->files));
    TRY(model_load(&config, st_model_tensors(m->files), MODEL_BORROW,
                   &m->model),
        "%s", directory);
    return SUCCESS;
}

static struct status open_all(struct select_minilm *m, const char *directory)
{
    TRY_PLAIN(open_model(m, directory));
    TRY_PLAIN(open_pieces(directory, &m->pieces));
    if (wordpiece_size(m->pieces) > m->model->config.vocab)
        return FAIL(STATUS_INVALID,
                    "%s: there are tokens up to %zu, the encoder has %u",
                    directory, wordpiece_size(m->pieces) - 1,
                    m->model->config.vocab);
    return SUCCESS;
}

struct status select_minilm_open(const char *directory,
                                 struct select_minilm **ret_minilm)
{
    struct select_minilm *m = xnew(struct select_minilm);
    struct status st = open_all(m, directory);

    if (status_failed(&st))
        select_minilm_close(m);
    else
        *ret_minilm = m;
    return st;
}

static size_t longest_of(const struct select_minilm *m)
{
    uint32_t positions = m->model->config.positions;

    return positions < LONGEST ? positions : LONGEST;
}

static struct status embed_text(const struct select_minilm *m, struct pass *p,
                                struct data_span text, float *ret_row)
{
    int32_t tokens[LONGEST], labels[LONGEST];
    size_t count = wordpiece_encode(m->pieces, text.bytes, text.size,
                                    longest_of(m), tokens);
    const uint32_t starts[] = { 0, (uint32_t)count };
    const struct pass_batch batch = {
        .segments = 1, .starts = starts, .tokens = tokens, .labels = labels
    };
    size_t width = select_minilm_width(m);
    double loss;

    memset(ret_row, 0, width * sizeof(*ret_row));
    if (count == 2)
        return SUCCESS; /* nothing between the beginning and the end */
    for (size_t i = 0; i < count; i++)
        labels[i] = OP_NO_LABEL;
    TRY_PLAIN(pass_forward(p, &batch, &loss));
    select_pool(pass_logits(p), count, width, ret_row);
    select_unit(ret_row, width, NULL);
    return SUCCESS;
}

struct status select_minilm_embed(const struct select_minilm *m,
                                  const struct select_samples *s, size_t first,
                                  size_t count, struct job_context *context,
                                  float *ret_rows)
{
    const struct pass_room room = { .rows = longest_of(m),
                                    .longest = longest_of(m) };
    AUTO(pass_release) struct pass *p = NULL;

    TRY_PLAIN(pass_new(m->model, &room, &p));
    for (size_t i = 0; i < count; i++) {
        const struct select_sample one =
            select_samples_get(s, s->kept[first + i]);

        if (context->cancelled(context->self))
            return FAIL(STATUS_CANCELLED, "cancelled at sample %zu of %zu",
                        i + 1, count);
        TRY(embed_text(m, p, one.instruction,
                       ret_rows + i * select_minilm_width(m)),
            "embedding");
        context->progress(context->self, i + 1, count, "sample");
    }
    return SUCCESS;
}
