/* golden_pruning.c -- compares with numbers of an independent implementation:
 *
 *     golden_pruning DIR [CASE...]
 *
 * reads DIR/manifest.json, which says of each case how it was made, runs those
 * it covers, prints a line for each and fails if one of them does. */
#include "tests/golden/golden.h"

struct golden_case {
    const char *name;
    const char *part; /* what of it is compared; "": all */
    golden_run *run;
};

/* Its file is large and may be left out of a folder. */
static const char large[] = "teacher10k";

static const struct golden_case cases[] = {
    { "llama_tiny_gradcheck", "", golden_text_model },
    { "opt_tiny_gradcheck", "", golden_text_model },
    { "mlp_bn_gradcheck", "", golden_mlp },
    { "mlp_bn_gradcheck_masked", "", golden_mlp },
    { "mlp_bn_train", "", golden_mlp_train },
    { "preresnet_gradcheck", "", golden_preresnet },
    { "optim", "", golden_optim },
    { "lora_variants", "", golden_lora },
    { "perp_opt_tiny", "", golden_perp },
    { "cka", "", golden_cka },
    { "lmc", "", golden_lmc },
    { "teacher10k", "", golden_teacher },
    { "regime", "", golden_regime },
    { "magnitude", "", golden_magnitude },
    { "wanda", "", golden_wanda },
    { "antidote", "", golden_antidote },
    { "hessian_accumulate", "", golden_hessian },
    { "sparsegpt", "", golden_sparsegpt },
};

static const struct golden_case *find_case(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (strcmp(cases[i].name, name) == 0)
            return &cases[i];
    return NULL;
}

static bool wanted(const char *name, char *const *names)
{
    if (*names == NULL)
        return true;
    for (; *names != NULL; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

static bool has_file(const char *directory, const json_t *entry)
{
    AUTO(free_pointer)
    char *path = xasprintf("%s/%s", directory, json_text_or(entry, "file", ""));

    return file_exists(path);
}

/* False: it failed. */
static bool run_case(const char *directory, const json_t *entry)
{
    const char *name = json_text_or(entry, "case", "?");
    const struct golden_case *c = find_case(name);
    struct verdict v = { .where = "exact" };
    struct status st;

    if (c == NULL) {
        printf("skip %s: this program computes nothing of it\n", name);
        return true;
    }
    if (strcmp(name, large) == 0 && !has_file(directory, entry)) {
        printf("skip %s: its file is not there\n", name);
        return true;
    }
    st = c->run(directory, entry, &v);
    if (status_failed(&st)) {
        printf("fail %s%s: %s\n", name, c->part, st.message);
        return false;
    }
    printf("%s %s%s: largest error %.3g of its tolerance: %s\n",
           v.worst <= 1.0 ? "pass" : "fail", name, c->part, v.worst, v.where);
    return v.worst <= 1.0;
}

static int run_manifest(const char *directory, const json_t *manifest,
                        char *const *names)
{
    const json_t *all = json_object_get(manifest, "cases");
    size_t ran = 0, failed = 0;

    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *entry = json_array_get(all, i);

        if (!wanted(json_text_or(entry, "case", ""), names))
            continue;
        ran++;
        failed += !run_case(directory, entry);
    }
    printf("%zu cases, %zu failed\n", ran, failed);
    return ran == 0 || failed > 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
    AUTO(free_pointer) char *path = NULL;
    AUTO(json_release) json_t *manifest = NULL;
    struct status st;

    if (argc < 2) {
        fprintf(stderr, "usage: golden_pruning DIR [CASE...]\n");
        return 2;
    }
    path = xasprintf("%s/manifest.json", argv[1]);
    st = json_parse_file(path, 1 << 20, &manifest);
    if (status_failed(&st)) {
        fprintf(stderr, "%s\n", st.message);
        return 2;
    }
    return run_manifest(argv[1], manifest, argv + 2);
}
