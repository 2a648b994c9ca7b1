/* golden_paser.c -- compares the mathematics of selection with numbers of an
 * independent implementation:
 *
 *     golden_paser DIR [CASE...]
 *
 * reads DIR/manifest.json, which names the files of each case; they lie at
 * that path below DIR or beside the manifest. A CASE is an id or a family. */
#include "tests/golden/golden_paser.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

static const struct {
    const char *name;
    paser_run *run;
} families[] = {
    { "jsd", paser_jsd },
    { "diffusion", paser_diffusion },
    { "diffusion_knn", paser_diffusion_knn },
    { "cluster", paser_cluster },
    { "budget", paser_budget },
    { "ies", paser_ies },
    { "ccg", paser_ccg },
    { "concepts", paser_concepts },
    { "e2e", paser_e2e },
};

/* --- what cases share -----------------------------------------------------------
 */

const json_t *paser_expected(const struct paser_case *c, const char *name)
{
    return json_object_get(json_object_get(c->json, "expected"), name);
}

const json_t *paser_param(const struct paser_case *c, const char *name)
{
    return json_object_get(json_object_get(c->json, "params"), name);
}

double paser_tolerance(const struct paser_case *c, const char *name)
{
    const json_t *first = json_object_get(c->entry, "tolerance");

    if (json_object_get(first, name) != NULL)
        return json_real_or(first, name, 0.0);
    return json_real_or(json_object_get(c->json, "tolerance"), name, 0.0);
}

double paser_number(const json_t *json)
{
    const char *text = json_string_value(json);

    if (text == NULL)
        return json_is_number(json) ? json_number_value(json) : (double)NAN;
    if (strcmp(text, "inf") == 0)
        return HUGE_VAL;
    return strcmp(text, "-inf") == 0 ? -HUGE_VAL : (double)NAN;
}

double *paser_numbers(const json_t *array)
{
    size_t count = json_array_size(array);
    double *numbers = xcalloc(count + 1, sizeof(*numbers));

    for (size_t i = 0; i < count; i++)
        numbers[i] = paser_number(json_array_get(array, i));
    return numbers;
}

void paser_expect(struct verdict *v, bool right, const char *format, ...)
{
    va_list arguments;

    if (right || v->worst > 1.0)
        return;
    v->worst = HUGE_VAL;
    va_start(arguments, format);
    (void)vsnprintf(v->where, sizeof(v->where), format, arguments);
    va_end(arguments);
}

void paser_compare(struct verdict *v, const char *name, size_t i, double is,
                   double should, double absolute, double relative)
{
    if (isnan(should))
        paser_expect(v, isnan(is), "%s[%zu] is %g, not a number expected", name,
                     i, is);
    else
        golden_compare(v, name, i, is, should,
                       (struct tolerance){ absolute, relative });
}

void paser_compare_labels(struct verdict *v, const json_t *expected,
                          const uint32_t *labels, size_t n)
{
    paser_expect(v, json_array_size(expected) == n, "%zu labels expected",
                 json_array_size(expected));
    for (size_t i = 0; i < n && i < json_array_size(expected); i++) {
        json_int_t should = json_integer_value(json_array_get(expected, i));

        paser_expect(v, labels[i] == (uint32_t)should,
                     "sample %zu is in cluster %u, %d expected", i, labels[i],
                     (int)should);
    }
}

struct status paser_sized(const json_t *array, const char *name, size_t count)
{
    if (json_array_size(array) == count && json_is_array(array))
        return SUCCESS;
    return FAIL(STATUS_CORRUPT, "\"%s\" has %zu entries, not %zu", name,
                json_array_size(array), count);
}

struct status paser_texts(const json_t *array, const char *name)
{
    for (size_t i = 0; i < json_array_size(array); i++)
        if (!json_is_string(json_array_get(array, i)))
            return FAIL(STATUS_CORRUPT, "\"%s\": entry %zu is no text", name,
                        i);
    return json_is_array(array)
               ? SUCCESS
               : FAIL(STATUS_CORRUPT, "\"%s\" is no list of texts", name);
}

struct status paser_rows(const struct paser_case *c, const char *name,
                         size_t *ret_n, size_t *ret_width, float **ret_rows)
{
    const struct tensor *t;

    if (c->model == NULL)
        return FAIL(STATUS_CORRUPT, "%s names no tensors", c->name);
    TRY_PLAIN(golden_need(st_model_tensors(c->model), name, &t));
    if (t->rank != 2 || !dtype_is_float(t->dtype))
        return FAIL(STATUS_CORRUPT,
                    "\"%s\" is %s of %u dimensions: it should be rows of "
                    "floats",
                    name, dtype_name(t->dtype), t->rank);
    *ret_n = (size_t)t->shape[0];
    *ret_width = (size_t)t->shape[1];
    *ret_rows = golden_floats(t);
    return SUCCESS;
}

/* --- the files of a case --------------------------------------------------------
 */

/* `name` below the folder, or its last part in it; the caller frees. */
static char *find_file(const char *directory, const char *name)
{
    const char *last = strrchr(name, '/');
    char *path = xasprintf("%s/%s", directory, name);

    if (last == NULL || file_exists(path))
        return path;
    free(path);
    return xasprintf("%s/%s", directory, last + 1);
}

static const char *file_of(const json_t *entry, const char *suffix)
{
    const json_t *files = json_object_get(entry, "files");

    for (size_t i = 0; i < json_array_size(files); i++) {
        const char *name = json_string_value(json_array_get(files, i));
        size_t size = name == NULL ? 0 : strlen(name);

        if (size > strlen(suffix) &&
            strcmp(name + size - strlen(suffix), suffix) == 0)
            return name;
    }
    return NULL;
}

MUST_CHECK static struct status open_case(const char *directory,
                                          struct paser_case *c)
{
    const char *name = file_of(c->entry, ".json");
    const char *tensors = file_of(c->entry, ".safetensors");

    if (name == NULL)
        return FAIL(STATUS_CORRUPT, "%s names no file", c->name);
    {
        AUTO(free_pointer) char *path = find_file(directory, name);

        TRY_PLAIN(json_parse_file(path, 16 << 20, &c->json));
    }
    if (tensors == NULL)
        return SUCCESS;
    {
        AUTO(free_pointer) char *path = find_file(directory, tensors);

        return st_model_open(path, &c->model);
    }
}

static void close_case(struct paser_case *c)
{
    json_decref(c->json);
    st_model_close(c->model);
}

/* --- all of them ----------------------------------------------------------------
 */

static paser_run *find_family(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(families); i++)
        if (strcmp(families[i].name, name) == 0)
            return families[i].run;
    return NULL;
}

static bool wanted(const json_t *entry, char *const *names)
{
    if (*names == NULL)
        return true;
    for (; *names != NULL; names++)
        if (strcmp(*names, json_text_or(entry, "id", "")) == 0 ||
            strcmp(*names, json_text_or(entry, "family", "")) == 0)
            return true;
    return false;
}

/* False: it failed. */
static bool run_case(const char *directory, const json_t *entry)
{
    AUTO(close_case)
    struct paser_case c = { .entry = entry,
                            .name = json_text_or(entry, "id", "?") };
    const char *family = json_text_or(entry, "family", "?");
    paser_run *run = find_family(family);
    struct verdict v = { .where = "exact" };
    struct status st;

    if (run == NULL) {
        printf("fail %s: this program knows no family %s\n", c.name, family);
        return false;
    }
    st = open_case(directory, &c);
    if (!status_failed(&st))
        st = run(&c, &v);
    if (status_failed(&st)) {
        printf("fail %s: %s\n", c.name, st.message);
        return false;
    }
    printf("%s %s: largest error %.3g of its tolerance: %s\n",
           v.worst <= 1.0 ? "pass" : "fail", c.name, v.worst, v.where);
    return v.worst <= 1.0;
}

int main(int argc, char **argv)
{
    AUTO(free_pointer) char *path = NULL;
    AUTO(json_release) json_t *manifest = NULL;
    const json_t *all;
    size_t ran = 0, failed = 0;
    struct status st;

    if (argc < 2) {
        fprintf(stderr, "usage: golden_paser DIR [CASE...]\n");
        return 2;
    }
    path = xasprintf("%s/manifest.json", argv[1]);
    st = json_parse_file(path, 16 << 20, &manifest);
    if (status_failed(&st)) {
        fprintf(stderr, "%s\n", st.message);
        return 2;
    }
    all = json_object_get(manifest, "cases");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *entry = json_array_get(all, i);

        if (!wanted(entry, argv + 2))
            continue;
        ran++;
        failed += !run_case(argv[1], entry);
    }
    if (ran == 0)
        fprintf(stderr, "%s names no case%s\n", path,
                argc > 2 ? " that was asked for" : "");
    printf("%zu cases, %zu failed\n", ran, failed);
    return ran == 0 || failed > 0 ? 1 : 0;
}
