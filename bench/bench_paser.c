/* bench_paser.c -- clusters and a selection of many samples, from embeddings
 * and divergences that are given: seconds of each stage, and the peak of
 * memory against one matrix of all pairs in float64, of which the released
 * program of the method holds five.
 *
 *     paser [SAMPLES [WIDTH [THREADS [CLUSTERS]]]]
 *
 * Samples are points about themes of different size, with texts made of the
 * theme's words; CLUSTERS 0: as the eigengap says. */
#include <math.h>
#include <sys/resource.h>

#include "bench/bench.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/philox.h"
#include "jobs/select/cluster.h"
#include "jobs/select/pick.h"

enum {
    THEMES = 14,
    WORDS = 400,     /* of a theme */
    TEXT_WORDS = 24, /* of a sample */
    TEXT_SIZE = 12 * TEXT_WORDS,
};

struct pool {
    size_t n, width;
    float *embeddings;
    double *jsd;
    uint32_t *x, *y;
    char *texts; /* [n][TEXT_SIZE] */
};

/* Theme t has about 2^-(t / 3) of the samples of the first. */
static size_t theme_of(size_t i)
{
    const struct philox_key key = { 1, 1, 0 };
    double total = 0.0, at = (double)philox_word(key, i) * 0x1p-32;

    for (size_t t = 0; t < THEMES; t++)
        total += exp2(-(double)t / 3.0);
    for (size_t t = 0; t < THEMES; t++) {
        at -= exp2(-(double)t / 3.0) / total;
        if (at < 0.0)
            return t;
    }
    return THEMES - 1;
}

/* Cosines of about 0.1 within a theme, of about 0 between two, each give or
 * take 0.05: neighbours are of several themes. */
static void fill_row(struct pool *p, size_t i, size_t theme)
{
    const struct philox_key centre = { 1, 2, 0 }, noise = { 1, 3, 0 };
    float *row = p->embeddings + i * p->width;
    double norm = 0.0;

    for (size_t k = 0; k < p->width; k++) {
        row[k] = philox_normal(centre, theme * p->width + k) +
                 3.5F * philox_normal(noise, i * p->width + k);
        norm += (double)row[k] * (double)row[k];
    }
    for (size_t k = 0; k < p->width; k++)
        row[k] = (float)((double)row[k] / sqrt(norm));
}

static void fill_text(struct pool *p, size_t i, size_t theme)
{
    const struct philox_key key = { 1, 4, 0 };
    char *text = p->texts + i * TEXT_SIZE;
    size_t used = 0;

    for (size_t w = 0; w < TEXT_WORDS; w++) {
        uint32_t word = philox_below(key, i * TEXT_WORDS + w, WORDS);
        int size = w % 3 == 2
                       ? snprintf(text + used, TEXT_SIZE - used, "and ")
                       : snprintf(text + used, TEXT_SIZE - used, "w%zux%u ",
                                  theme, word * word / WORDS);

        used += (size_t)size;
    }
}

static void pool_fill(struct pool *p)
{
    const struct philox_key key = { 1, 5, 0 };

    for (size_t i = 0; i < p->n; i++) {
        size_t theme = theme_of(i);

        fill_row(p, i, theme);
        fill_text(p, i, theme);
        p->jsd[i] = 0.02 * (double)(1 + theme % 5) *
                    (1.0 + (double)philox_word(key, 3 * i) * 0x1p-32);
        p->x[i] = 8 + philox_below(key, 3 * i + 1, 40);
        p->y[i] = 1 + philox_below(key, 3 * i + 2, 200);
    }
}

static void must(struct status st)
{
    if (status_failed(&st)) {
        fprintf(stderr, "%s\n", st.message);
        exit(1);
    }
}

static double seconds_since(int64_t begin)
{
    return (double)(clock_now() - begin) / (double)NS_PER_S;
}

/* Concepts of all samples; returns the seconds it took. */
static double make_concepts(const struct pool *p, struct pick_samples *s)
{
    struct concepts *all = concepts_new(&concept_stops_english);
    uint64_t *begin = xcalloc(p->n + 1, sizeof *begin);
    uint32_t *concepts = xcalloc(p->n * TEXT_WORDS, sizeof *concepts);
    int64_t since = clock_now();

    for (size_t i = 0; i < p->n; i++) {
        const char *text = p->texts + i * TEXT_SIZE;
        uint32_t *found = NULL;
        size_t count = concepts_of(all, text, strlen(text), &found);

        memcpy(concepts + begin[i], found, count * sizeof *found);
        begin[i + 1] = begin[i] + count;
        free(found);
    }
    s->concepts = concepts;
    s->begin = begin;
    concepts_free(all);
    return seconds_since(since);
}

static void report_peak(size_t n)
{
    struct rusage usage;
    double pairs = (double)n * (double)n * sizeof(double);

    (void)getrusage(RUSAGE_SELF, &usage);
    bench_print("paser.matrix", pairs / 1e9, "GB", 0.0, NULL);
    bench_print("paser.peak", (double)usage.ru_maxrss * 1024.0 / 1e9, "GB",
                (double)usage.ru_maxrss * 1024.0 / pairs, "paser.matrix");
}

static size_t argument(int argc, char **argv, int at, size_t otherwise)
{
    return argc > at ? (size_t)strtoull(argv[at], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    struct pool p = { .n = argument(argc, argv, 1, 50000),
                      .width = argument(argc, argv, 2, 384) };
    const struct crew crew = { .threads = argument(argc, argv, 3, 2) };
    const struct spectrum_how how = { .route = SPECTRUM_AUTO };
    const struct cluster_how cluster = { .k = argument(argc, argv, 4, 0) };
    struct pick_how pick = { .conflicts = true,
                             .budget = { .budget = p.n / 5 } };
    struct pick_samples samples = { .n = p.n };
    struct spectrum s;
    struct clusters c;
    double seconds[4], total = 0.0;
    char note[256];
    int64_t since;

    p.embeddings = xcalloc(p.n * p.width, sizeof *p.embeddings);
    p.jsd = xcalloc(p.n, sizeof *p.jsd);
    p.x = xcalloc(p.n, sizeof *p.x);
    p.y = xcalloc(p.n, sizeof *p.y);
    p.texts = xcalloc(p.n, TEXT_SIZE);
    pool_fill(&p);

    since = clock_now();
    must(spectrum_make(&crew, p.embeddings, p.n, p.width, &how, &s));
    seconds[0] = seconds_since(since);
    spectrum_note(&s, note, sizeof note);
    fprintf(stderr, "%s\n", note);
    since = clock_now();
    must(cluster_make(&crew, &s, &cluster, &c));
    seconds[1] = seconds_since(since);
    cluster_note(&c, note, sizeof note);
    fprintf(stderr, "%s; error %.3g after %zu iterations\n", note, c.error,
            c.iterations);
    seconds[2] = make_concepts(&p, &samples);
    samples.jsd = p.jsd;
    samples.labels = c.labels;
    samples.clusters = c.count;
    samples.x_tokens = p.x;
    samples.y_tokens = p.y;
    since = clock_now();
    for (pick.method = 0; pick.method < PICK_METHODS; pick.method++) {
        struct pick result;

        if (pick.method == PICK_IFD)
            continue;
        must(pick_make(&crew, &samples, &pick, &result));
        fprintf(stderr, "%s: %zu of %zu, %zu conflicts\n",
                pick_method_name(pick.method), result.count, result.budget,
                result.reasons[PICK_CONFLICT]);
        pick_release(&result);
    }
    seconds[3] = seconds_since(since);
    for (size_t i = 0; i < COUNT_OF(seconds); i++)
        total += seconds[i];
    bench_print("paser.spectrum", seconds[0], "s", 0.0, NULL);
    bench_print("paser.clusters", seconds[1], "s", 0.0, NULL);
    bench_print("paser.concepts", seconds[2], "s", 0.0, NULL);
    bench_print("paser.select", seconds[3], "s, seven methods", 0.0, NULL);
    bench_print("paser.total", total, "s", 0.0, NULL);
    report_peak(p.n);
    return 0;
}
