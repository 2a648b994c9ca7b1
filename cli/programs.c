#include "cli/programs.h"

#include <string.h>

#include "common/digest.h"
#include "common/file.h"
#include "common/memory.h"

static bool is_relative(const char *word)
{
    return strncmp(word, "./", 2) == 0 || strncmp(word, "../", 3) == 0;
}

static char *absolute(const char *directory, const char *word)
{
    while (strncmp(word, "./", 2) == 0)
        word += 2;
    return xasprintf("%s/%s", directory, word);
}

static void add_digest(const struct cli *cli, const char *word,
                       const char *path, json_t *digests)
{
    struct digest digest;
    char text[DIGEST_TEXT];
    struct status st = digest_of_file(path, &digest);

    if (status_failed(&st)) {
        cli_warn(cli, "command word %s: %s", word, st.message);
        return;
    }
    digest_to_text(&digest, text);
    (void)json_object_set_new(digests, word, json_string(text));
}

/* A script that the job will look for in its scratch directory, in vain. */
static void warn_of_bare(const struct cli *cli, const char *directory,
                         const char *word)
{
    AUTO(free_pointer) char *path = xasprintf("%s/%s", directory, word);

    if (word[0] != '/' && word[0] != '-' && strpbrk(word, "$ ") == NULL &&
        strchr(word, '.') != NULL && file_exists(path))
        cli_warn(cli,
                 "command word %s: commands run in a directory of their own; "
                 "for the file beside the sweep file write ./%s",
                 word, word);
}

static void complete_words(const struct cli *cli, const char *directory,
                           json_t *params)
{
    json_t *command = json_object_get(params, "command");
    json_t *digests = json_object();

    for (size_t i = 0; i < json_array_size(command); i++) {
        const char *word = json_string_value(json_array_get(command, i));
        AUTO(free_pointer) char *path = NULL;

        if (word == NULL)
            continue;
        if (!is_relative(word)) {
            warn_of_bare(cli, directory, word);
            continue;
        }
        path = absolute(directory, word);
        add_digest(cli, word, path, digests);
        (void)json_array_set_new(command, i, json_string(path));
    }
    if (json_object_size(digests) > 0)
        (void)json_object_set(params, "digests", digests);
    json_decref(digests);
}

void programs_complete(const struct cli *cli, const char *directory,
                       json_t *document)
{
    const json_t *evaluators = json_object_get(document, "evaluate");

    for (size_t i = 0; i < json_array_size(evaluators); i++) {
        const json_t *variants =
            json_object_get(json_array_get(evaluators, i), "variants");

        for (size_t j = 0; j < json_array_size(variants); j++)
            complete_words(
                cli, directory,
                json_object_get(json_array_get(variants, j), "params"));
    }
}
