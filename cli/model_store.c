#include "cli/model_store.h"

#include <stdlib.h>
#include <string.h>

#include "cli/interrupt.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/json.h"
#include "common/memory.h"

static char *cache_directory(const char *given)
{
    const char *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");

    if (given != NULL)
        return xstrdup(given);
    if (xdg != NULL && xdg[0] == '/')
        return xasprintf("%s/sinter", xdg);
    /* Not below /tmp, where somebody else may have made the directory. */
    return home == NULL ? xstrdup(".sinter/cache")
                        : xasprintf("%s/.cache/sinter", home);
}

static bool cancelled(void *self)
{
    (void)self;
    return interrupt_seen();
}

static void show(void *self, uint64_t done, uint64_t total)
{
    struct model_store *s = self;

    meter_show(&s->meter, "fetched", done, total, clock_now());
}

void model_store_init(struct model_store *s, struct cli *cli, const char *cache,
                      int64_t give_up_ms)
{
    struct source_settings settings = { .give_up_ms = give_up_ms,
                                        .cancelled = cancelled,
                                        .progress = show,
                                        .self = s };

    *s = (struct model_store){ .cache = cache_directory(cache) };
    meter_init(&s->meter, &cli->err, cli->options->quiet || cli->options->json);
    settings.directory = s->cache;
    s->store = source_store_new(&settings);
}

void model_store_release(struct model_store *s)
{
    if (s->store == NULL)
        return;
    meter_end(&s->meter);
    source_pins_release(&s->pins);
    source_store_free(s->store);
    free(s->cache);
}

struct status model_store_fetch(struct model_store *s, const json_t *source,
                                const struct source_choice *choice,
                                const char **ret_path)
{
    struct source_pin *pin = NULL;

    if (choice == NULL)
        TRY_PLAIN(source_fetch(s->store, source, &pin));
    else
        TRY_PLAIN(source_fetch_tensors(s->store, source, choice, &pin));
    meter_end(&s->meter);
    *ret_path = source_pins_add(&s->pins, pin);
    return SUCCESS;
}

struct status model_store_path(struct model_store *s, const char *text,
                               const char **ret_path)
{
    AUTO(free_pointer) char *url = NULL;
    AUTO(json_release) json_t *source = NULL;

    *ret_path = text;
    url = source_url(text);
    if (file_exists(text) || strstr(url, "://") == NULL)
        return SUCCESS; /* what is not there is said by who opens it */
    source = json_pack("{s:s}", "url", url);
    return model_store_fetch(s, source, NULL, ret_path);
}
