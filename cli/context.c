#include "cli/context.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/file.h"
#include "common/limits.h"
#include "common/memory.h"

/* $XDG_CONFIG_HOME/sinter/contexts.json, or below ~/.config; NULL: neither is
 * set. The caller frees. */
static char *file_path(void)
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");

    if (config != NULL && config[0] == '/')
        return xasprintf("%s/sinter/contexts.json", config);
    if (home == NULL || home[0] != '/')
        return NULL;
    return xasprintf("%s/.config/sinter/contexts.json", home);
}

struct status context_load(json_t **ret_all)
{
    AUTO(free_pointer) char *path = file_path();
    AUTO(json_release) json_t *all = NULL;
    json_t *contexts = NULL;

    if (path == NULL || !file_exists(path)) {
        *ret_all = json_pack("{s:{}}", "contexts");
        return SUCCESS;
    }
    TRY_PLAIN(json_parse_file(path, LIMIT_CONFIG, &all));
    TRY(json_member_object(all, "contexts", &contexts), "%s", path);
    *ret_all = json_incref(all);
    return SUCCESS;
}

struct status context_save(const json_t *all)
{
    AUTO(free_pointer) char *path = file_path();
    AUTO(free_pointer) char *shown = json_shown(all);
    AUTO(free_pointer) char *text = xasprintf("%s\n", shown);
    char *slash;

    if (path == NULL)
        return FAIL(STATUS_INVALID, "neither HOME nor XDG_CONFIG_HOME says "
                                    "where contexts are kept: set one");
    slash = strrchr(path, '/');
    *slash = '\0';
    TRY_PLAIN(file_make_directories(path));
    *slash = '/';
    TRY_PLAIN(file_write(path, text, strlen(text)));
    (void)chmod(path, S_IRUSR | S_IWUSR);
    return SUCCESS;
}

/* "lab, home"; the caller frees. */
static char *list_names(const json_t *contexts)
{
    struct buf names;
    struct status st = SUCCESS;
    const char *name = NULL;
    json_t *value = NULL;

    buf_init(&names, STATUS_MESSAGE_SIZE / 2);
    json_object_foreach((json_t *)(uintptr_t)contexts, name, value)
    {
        if (!status_failed(&st))
            st = buf_print(&names, "%s%s", names.size == 0 ? "" : ", ", name);
    }
    return buf_take(&names);
}

MUST_CHECK static struct status unknown(const char *name,
                                        const json_t *contexts)
{
    AUTO(free_pointer) char *names = list_names(contexts);

    if (names[0] == '\0')
        return FAIL(STATUS_NOT_FOUND,
                    "there is no context %s, nor any other; make one: sinter "
                    "login %s --broker URL",
                    name, name);
    return FAIL(STATUS_NOT_FOUND, "there is no context %s; there are: %s", name,
                names);
}

struct status context_find(const char *name, struct context *ret)
{
    AUTO(json_release) json_t *all = NULL;
    json_t *contexts = NULL;
    json_t *one = NULL;

    memset(ret, 0, sizeof *ret);
    TRY_PLAIN(context_load(&all));
    contexts = json_object_get(all, "contexts");
    if (name == NULL)
        name = json_text_or(all, "current", NULL);
    if (name == NULL)
        return SUCCESS;
    one = json_object_get(contexts, name);
    if (!json_is_object(one))
        return unknown(name, contexts);
    *ret = (struct context){
        .json = json_pack("{s:s, s:O}", "name", name, "is", one),
        .broker = json_text_or(one, "broker", ""),
        .key = json_text_or(one, "key", NULL),
        .broker_key = json_text_or(one, "broker_key", NULL),
        .http_token_file = json_text_or(one, "http_token_file", NULL),
        .plaintext = json_bool_or(one, "plaintext", false),
    };
    ret->name = json_text_or(ret->json, "name", "?");
    return SUCCESS;
}

void context_release(struct context *c)
{
    json_decref(c->json);
    memset(c, 0, sizeof *c);
}
