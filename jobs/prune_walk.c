#include "jobs/prune_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/model_input.h"

enum {
    GROUP_ROWS = 2048, /* tokens that go together, or one sample */
    GROUP_IMAGES = 64,
    SAMPLES = 128,
    MOST_SAMPLES = 1 << 20,
};

const struct catalog_key prune_calibration_keys[] = {
    { .name = "data",
      .type = KEY_DATA,
      .required = true,
      .keys = data_keys,
      .help = "what the model is fed" },
    { .name = "samples",
      .type = KEY_INTEGER,
      .least = 1,
      .most = MOST_SAMPLES,
      .otherwise = "128",
      .help = "so many sequences or images of it" },
    { .name = "length",
      .type = KEY_INTEGER,
      .least = 1,
      .most = LIMIT_SEQUENCE,
      .help = "tokens of a sequence; as long as items are if not given" },
    { .name = "seed",
      .type = KEY_INTEGER,
      .least = 0,
      .most = UINT32_MAX,
      .otherwise = "0",
      .help = "which ones are drawn" },
    { .name = NULL },
};

/* ---- what lies between sections --------------------------------------------- */

static void stream_unmap(struct prune_stream *s)
{
    if (s->data != NULL)
        (void)munmap(s->data, s->size);
    *s = (struct prune_stream){ .size = 0 };
}

/* The file has no name any more when this returns. Its blocks are taken
 * beforehand: a full disk must not be met while writing to memory. */
MUST_CHECK static struct status stream_map(struct prune_stream *s, size_t size,
                                           const char *directory)
{
    AUTO(free_pointer) char *path = xasprintf("%s/stream-XXXXXX", directory);
    int fd = mkostemp(path, O_CLOEXEC);
    int error;
    void *data;

    if (fd < 0)
        return FAIL(file_error(errno), "create %s: %s", path, strerror(errno));
    (void)unlink(path);
    error = posix_fallocate(fd, 0, (off_t)size);
    data = error != 0
               ? MAP_FAILED
               : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    error = error != 0 ? error : errno;
    (void)close(fd);
    if (data == MAP_FAILED)
        return FAIL(file_error(error), "%zu bytes for activations in %s: %s",
                    size, directory, strerror(error));
    s->data = data;
    s->size = size;
    return SUCCESS;
}

/* ---- samples ------------------------------------------------------------------- */

MUST_CHECK static struct status add_sample(struct prune_walk *w,
                                           const struct batch *b)
{
    size_t pixels = w->model->graph->pixels;
    size_t rows = w->rows + b->rows;

    if (rows > UINT32_MAX)
        return FAIL(STATUS_TOO_BIG, "calibration: so many tokens are not "
                                    "looked at; use fewer samples");
    if (pixels == 0) {
        w->tokens = xrealloc(w->tokens, rows * sizeof(*w->tokens));
        memcpy(w->tokens + w->rows, b->tokens, b->rows * sizeof(*b->tokens));
    } else {
        w->pixels = xrealloc(w->pixels, rows * pixels * sizeof(*w->pixels));
        memcpy(w->pixels + w->rows * pixels, b->pixels,
               b->rows * pixels * sizeof(*b->pixels));
    }
    w->rows = rows;
    w->starts[++w->samples] = (uint32_t)rows;
    return SUCCESS;
}

/* One at a time, so that each is a sample whatever else there is. */
MUST_CHECK static struct status draw_samples(struct prune_walk *w, size_t count,
                                             uint32_t seed)
{
    AUTO(batch_release) struct batch b = { .rows = 0 };

    if (data_has_images(&w->data))
        batch_init_images(&b, 1, w->model->graph->pixels);
    else
        batch_init(&b, 1, w->data.window);
    w->data.together = 1;
    w->starts = xcalloc(count + 1, sizeof(*w->starts));
    for (size_t i = 0; i < count; i++) {
        bool added = false;

        batch_clear(&b);
        TRY(data_draw(&w->data, seed, i, &b, &added), "calibration");
        if (!added || b.rows == 0)
            return FAIL(STATUS_INVALID, "calibration: sample %zu is empty", i);
        TRY_PLAIN(add_sample(w, &b));
    }
    return SUCCESS;
}

MUST_CHECK static struct status open_data(struct prune_walk *w,
                                          const json_t *calibration,
                                          const struct tokenizer *tokenizer)
{
    const struct data_use use = {
        .tokenizer = tokenizer,
        .window = (size_t)json_int_or(calibration, "length", 0),
        .positions = w->model->config.positions,
    };
    int64_t samples = json_int_or(calibration, "samples", SAMPLES);

    if (samples < 1 || samples > MOST_SAMPLES)
        return FAIL(STATUS_INVALID, "calibration: %" PRId64 " samples",
                    samples);
    TRY(data_open(json_object_get(calibration, "data"), &use, w->context,
                  &w->data),
        "calibration");
    TRY(data_check(&w->data, w->model), "calibration");
    return draw_samples(w, (size_t)samples,
                        (uint32_t)json_int_or(calibration, "seed", 0));
}

/* ---- room ---------------------------------------------------------------------- */

static struct pass_room room_of(const struct prune_walk *w, size_t section)
{
    size_t longest = w->longest < w->most_rows ? w->longest : w->most_rows;

    return (struct pass_room){
        .rows = w->most_rows,
        .longest = w->model->graph->pixels == 0 ? longest : w->most_rows,
        .alone = true,
        .section = section,
    };
}

size_t prune_walk_bytes(const struct prune_walk *w, size_t section)
{
    const struct pass_room room = room_of(w, section);
    size_t pixels = w->model->graph->pixels;

    return pass_bytes_of(w->model, &room) +
           w->rows * (pixels == 0 ? sizeof(int32_t) : pixels * sizeof(float)) +
           w->samples * 2 * sizeof(uint32_t);
}

static size_t widest(const struct graph *g)
{
    size_t most = 1;

    for (size_t s = 0; s + 1 < g->sections; s++)
        if (graph_width(g, g->streams[s]) > most)
            most = graph_width(g, g->streams[s]);
    return most;
}

MUST_CHECK static struct status take_room(struct prune_walk *w)
{
    size_t longest = 0, size;

    for (size_t i = 0; i < w->samples; i++)
        if (w->starts[i + 1] - w->starts[i] > longest)
            longest = w->starts[i + 1] - w->starts[i];
    if (w->model->graph->pixels > 0)
        w->most_rows = GROUP_IMAGES;
    else
        w->most_rows = longest > GROUP_ROWS ? longest : GROUP_ROWS;
    if (w->most_rows > w->rows)
        w->most_rows = w->rows;
    w->longest = longest;
    w->group = xcalloc(w->samples + 1, sizeof(*w->group));
    size = w->rows * widest(w->model->graph) * sizeof(float);
    TRY_PLAIN(stream_map(&w->read, size, w->context->scratch));
    return stream_map(&w->written, size, w->context->scratch);
}

struct status prune_walk_open(struct prune_walk *w, const json_t *calibration,
                              const struct tokenizer *tokenizer,
                              const struct model *model, size_t sections,
                              struct job_context *context)
{
    *w = (struct prune_walk){ .context = context, .model = model };
    TRY_PLAIN(open_data(w, calibration, tokenizer));
    data_release(&w->data); /* samples are all that is needed of it */
    w->data = (struct data){ .items = 0 };
    w->total = (uint64_t)w->samples * sections;
    return take_room(w);
}

void prune_walk_release(struct prune_walk *w)
{
    pass_free(w->pass);
    stream_unmap(&w->read);
    stream_unmap(&w->written);
    data_release(&w->data);
    free(w->starts);
    free(w->tokens);
    free(w->pixels);
    free(w->group);
}

/* ---- sections ------------------------------------------------------------------- */

struct status prune_walk_enter(struct prune_walk *w, size_t section)
{
    const struct pass_room room = room_of(w, section);

    return pass_new(w->model, &room, &w->pass);
}

void prune_walk_leave(struct prune_walk *w)
{
    struct prune_stream read = w->read;

    w->read = w->written;
    w->written = read;
    pass_free(w->pass);
    w->pass = NULL;
}

struct tensor prune_walk_stream(const struct prune_walk *w, size_t section,
                                const char *name)
{
    const struct graph *g = w->model->graph;
    uint64_t width = graph_width(g, g->streams[section - 1]);

    return (struct tensor){ .name = name,
                            .dtype = DTYPE_F32,
                            .rank = 2,
                            .shape = { w->rows, width },
                            .count = w->rows * width,
                            .data = w->read.data };
}

struct status prune_walk_resume(struct prune_walk *w, size_t section,
                                const struct tensor *stream)
{
    const struct tensor wanted = prune_walk_stream(w, section, stream->name);

    if (stream->dtype != DTYPE_F32 || !tensor_same_shape(&wanted, stream))
        return FAIL(STATUS_INVALID, "activations of other samples");
    memcpy(w->read.data, stream->data, (size_t)tensor_bytes(stream));
    w->done = (uint64_t)w->samples * section;
    return SUCCESS;
}

/* How many samples from `first` on go together: at least one. Images are rows
 * of one segment. */
static size_t group_at(const struct prune_walk *w, size_t first)
{
    size_t count = 1;

    while (first + count < w->samples &&
           w->starts[first + count + 1] - w->starts[first] <= w->most_rows)
        count++;
    return count;
}

static struct pass_batch view_of(struct prune_walk *w, size_t section,
                                 size_t first, size_t count)
{
    const struct graph *g = w->model->graph;
    size_t row = w->starts[first];
    struct pass_batch view = { .segments = count, .starts = w->group };

    for (size_t i = 0; i <= count; i++)
        w->group[i] = w->starts[first + i] - w->starts[first];
    if (g->pixels > 0) {
        view.segments = 1;
        w->group[1] = (uint32_t)count;
    }
    if (section > 0)
        view.stream =
            w->read.data + row * graph_width(g, g->streams[section - 1]);
    else if (g->pixels > 0)
        view.pixels = w->pixels + row * g->pixels;
    else
        view.tokens = w->tokens + row;
    return view;
}

MUST_CHECK static struct status keep_stream(const struct prune_walk *w,
                                            size_t section, size_t first,
                                            size_t rows)
{
    const struct graph *g = w->model->graph;
    size_t width = graph_width(g, g->streams[section]);
    float *to = w->written.data + w->starts[first] * width;

    memcpy(to, pass_stream(w->pass, section), rows * width * sizeof(float));
    if (dtype_find_not_finite(DTYPE_F32, to, rows * width) < rows * width)
        return FAIL(STATUS_FAILED,
                    "the numbers of section %zu overflow on sample %zu of the "
                    "calibration",
                    section, first + 1);
    return SUCCESS;
}

struct status prune_walk_through(
    struct prune_walk *w, size_t section, bool leave,
    struct status (*look)(void *self, const struct pass *pass, size_t rows,
                          size_t samples),
    void *self)
{
    for (size_t first = 0; first < w->samples;) {
        size_t count = group_at(w, first);
        size_t rows = w->starts[first + count] - w->starts[first];
        struct pass_batch view = view_of(w, section, first, count);
        double loss;

        if (w->context->cancelled(w->context->self))
            return FAIL(STATUS_CANCELLED, "cancelled in section %zu", section);
        TRY_PLAIN(pass_forward(w->pass, &view, &loss));
        if (look != NULL)
            TRY_PLAIN(look(self, w->pass, rows, count));
        if (leave) {
            TRY_PLAIN(keep_stream(w, section, first, rows));
            w->done += count;
            w->context->progress(w->context->self, w->done, w->total, "sample");
        }
        first += count;
    }
    return SUCCESS;
}
