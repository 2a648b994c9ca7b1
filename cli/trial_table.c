#include "cli/trial_table.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "cli/number.h"
#include "cli/view.h"
#include "common/memory.h"

enum { WEIGHT_MORE = 10, WEIGHT_TIME = 5, WEIGHT_VALUES = 100 };

static const char *const states[] = { "waiting", "running",   "done",
                                      "failed",  "cancelled", NULL };

static void add_name(json_t *names, json_t *seen, const char *name)
{
    if (name == NULL || json_object_get(seen, name) != NULL)
        return;
    (void)json_object_set_new(seen, name, json_true());
    (void)json_array_append_new(names, json_string(name));
}

static void add_all(json_t *names, json_t *seen, const json_t *list,
                    const char *member)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);

        add_name(names, seen,
                 member == NULL ? json_string_value(item)
                                : json_text_or(item, member, NULL));
    }
}

/* Every column there could be, most useful first. */
static json_t *known_columns(const json_t *spec, bool usual)
{
    json_t *names = json_array();
    AUTO(json_release) json_t *seen = json_object();
    AUTO(json_release) json_t *varying = view_varying(spec);
    size_t main = 0;
    AUTO(json_release) json_t *metrics = view_metrics(spec, &main);

    add_name(names, seen, "id");
    add_name(names, seen, "state");
    add_all(names, seen, varying, NULL);
    if (!usual) {
        add_name(names, seen, "case");
        add_all(names, seen, json_object_get(spec, "parameters"), "name");
        add_all(names, seen, json_object_get(spec, "derive"), "name");
        add_name(names, seen, "seed");
    }
    for (size_t i = 0; i < json_array_size(metrics); i++) {
        if (!usual || main == 0 || i < main)
            add_name(names, seen,
                     json_string_value(json_array_get(metrics, i)));
    }
    add_name(names, seen, "time");
    add_name(names, seen, "worker");
    if (!usual) {
        add_name(names, seen, "read");
        add_name(names, seen, "fetched");
        add_name(names, seen, "reason");
    }
    return names;
}

static struct status no_column(const json_t *known, const char *wanted)
{
    struct buf list;
    struct status st = SUCCESS;
    char text[160];

    buf_init(&list, sizeof text);
    for (size_t i = 0; i < json_array_size(known) && !status_failed(&st); i++)
        st = buf_print(&list, "%s%s", i == 0 ? "" : ", ",
                       json_string_value(json_array_get(known, i)));
    (void)snprintf(text, sizeof text, "%.150s",
                   list.data == NULL ? "" : list.data);
    buf_release(&list);
    return FAIL(STATUS_INVALID, "no column `%s`; there are: %s%s", wanted, text,
                status_failed(&st) ? " ..." : "");
}

struct status trial_columns(const json_t *spec, const char *wanted,
                            json_t **ret_names)
{
    AUTO(json_release) json_t *known = known_columns(spec, false);
    AUTO(json_release) json_t *names = json_array();
    AUTO(json_release) json_t *seen = json_object();
    AUTO(free_pointer) char *copy = NULL;
    char *rest = NULL;

    if (wanted == NULL) {
        *ret_names = known_columns(spec, true);
        return SUCCESS;
    }
    copy = xstrdup(wanted);
    for (char *name = strtok_r(copy, ", ", &rest); name != NULL;
         name = strtok_r(NULL, ", ", &rest)) {
        size_t before = json_object_size(seen);
        bool again = json_object_get(seen, name) != NULL;

        for (size_t i = 0; i < json_array_size(known); i++) {
            const char *at = json_string_value(json_array_get(known, i));

            if (fnmatch(name, at, 0) == 0)
                add_name(names, seen, at);
        }
        if (json_object_size(seen) == before && !again)
            return no_column(known, name);
    }
    *ret_names = json_incref(names);
    return SUCCESS;
}

static bool is_metric(const json_t *spec, const char *name)
{
    size_t main = 0;
    AUTO(json_release) json_t *metrics = view_metrics(spec, &main);

    for (size_t i = 0; i < json_array_size(metrics); i++) {
        if (strcmp(json_string_value(json_array_get(metrics, i)), name) == 0)
            return true;
    }
    return false;
}

/* A value or metric of a trial; NULL: it has none. */
static const json_t *value_of(const json_t *trial, const char *name)
{
    const json_t *value =
        json_object_get(json_object_get(trial, "values"), name);

    if (value == NULL)
        value = json_object_get(json_object_get(trial, "metrics"), name);
    return value;
}

/* The member of a trial that a column of bytes shows; NULL: it is none. */
static const char *bytes_member(const char *name)
{
    static const char *const columns[][2] = {
        { "read", "bytes_read" },
        { "fetched", "bytes_fetched" },
    };

    for (size_t i = 0; i < COUNT_OF(columns); i++) {
        if (strcmp(columns[i][0], name) == 0)
            return columns[i][1];
    }
    return NULL;
}

static bool is_number_column(const char *name, const json_t *trials)
{
    for (size_t i = 0; i < json_array_size(trials); i++) {
        const json_t *value = value_of(json_array_get(trials, i), name);

        if (value != NULL && !json_is_null(value) && !json_is_number(value))
            return false;
    }
    return true;
}

void trial_table_columns(struct table *t, const json_t *spec,
                         const json_t *names, const json_t *trials)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));

        if (strcmp(name, "id") == 0)
            table_column(t, name, TABLE_TEXT, TABLE_ALWAYS);
        else if (strcmp(name, "state") == 0 || strcmp(name, "reason") == 0)
            table_column(t, name, TABLE_TEXT, WEIGHT_VALUES);
        else if (strcmp(name, "worker") == 0)
            table_column(t, name, TABLE_TEXT, WEIGHT_TIME);
        else if (strcmp(name, "time") == 0 || bytes_member(name) != NULL)
            table_column(t, name, TABLE_RIGHT, WEIGHT_TIME);
        else if (is_metric(spec, name))
            table_column(t, name, TABLE_MEASURED, WEIGHT_MORE);
        else
            table_column(t, name,
                         is_number_column(name, trials) ? TABLE_RIGHT
                                                        : TABLE_TEXT,
                         WEIGHT_VALUES);
    }
}

static void add_id(struct table *t, const json_t *trial)
{
    AUTO(json_release)
    json_t *raw = json_integer(json_int_or(trial, "trial", 0));
    char text[NUMBER_TEXT];

    (void)snprintf(text, sizeof text, "#%lld",
                   (long long)json_integer_value(raw));
    table_add(t, text, raw);
}

/* Milliseconds for people as "12s", for programs in seconds. */
static void add_time(struct table *t, const json_t *trial)
{
    int64_t ms = json_int_or(trial, "wall_ms", 0);
    AUTO(json_release) json_t *raw = json_real((double)ms / 1000.0);
    char text[NUMBER_TEXT];

    number_duration(ms, text);
    if (ms > 0)
        table_add(t, text, raw);
    else
        table_add(t, "", NULL);
}

/* Bytes for people as "1.4 GB". */
static void add_bytes(struct table *t, const json_t *trial, const char *member)
{
    json_t *raw = json_object_get(trial, member);
    char text[NUMBER_TEXT];

    number_bytes((uint64_t)json_integer_value(raw), text);
    table_add(t, raw == NULL ? "" : text, raw);
}

static void add_workers(struct table *t, const json_t *trial)
{
    const json_t *workers = json_object_get(trial, "workers");
    struct buf text;
    struct status st = SUCCESS;

    buf_init(&text, 256);
    for (size_t i = 0; i < json_array_size(workers) && !status_failed(&st);
         i++) {
        const char *name = json_string_value(json_array_get(workers, i));

        st = buf_print(&text, "%s%s", i == 0 ? "" : " ",
                       name == NULL ? "?" : name);
    }
    table_add(t, text.data == NULL ? "" : text.data, NULL);
    buf_release(&text);
}

static void add_cell(struct table *t, const char *name, const json_t *trial)
{
    const json_t *value = NULL;

    if (strcmp(name, "id") == 0) {
        add_id(t, trial);
    } else if (strcmp(name, "time") == 0) {
        add_time(t, trial);
    } else if (strcmp(name, "worker") == 0) {
        add_workers(t, trial);
    } else if (bytes_member(name) != NULL) {
        add_bytes(t, trial, bytes_member(name));
    } else if (strcmp(name, "state") == 0) {
        table_add_value(t, json_object_get(trial, "state"));
    } else if (strcmp(name, "reason") == 0) {
        value = json_object_get(json_object_get(trial, "failure"), "message");
        table_add_value(t, value);
    } else {
        value = value_of(trial, name);
        table_add_value(t, json_is_null(value) ? NULL : value);
    }
}

void trial_table_rows(struct table *t, const json_t *names,
                      const json_t *trials)
{
    for (size_t i = 0; i < json_array_size(trials); i++) {
        for (size_t j = 0; j < json_array_size(names); j++)
            add_cell(t, json_string_value(json_array_get(names, j)),
                     json_array_get(trials, i));
    }
}

struct order {
    const char *name;
    bool descending;
};

static const json_t *sort_value(const json_t *trial, const char *name)
{
    if (strcmp(name, "id") == 0)
        return json_object_get(trial, "trial");
    if (strcmp(name, "time") == 0)
        return json_object_get(trial, "wall_ms");
    if (strcmp(name, "state") == 0)
        return json_object_get(trial, "state");
    if (bytes_member(name) != NULL)
        return json_object_get(trial, bytes_member(name));
    return value_of(trial, name);
}

static int compare_values(const json_t *x, const json_t *y)
{
    double a = json_number_value(x);
    double b = json_number_value(y);

    if (json_is_string(x) && json_is_string(y))
        return strcmp(json_string_value(x), json_string_value(y));
    if (json_is_string(x) != json_is_string(y))
        return json_is_string(x) ? 1 : -1;
    return a < b ? -1 : a > b;
}

static int compare_trials(const void *left, const void *right, void *self)
{
    const struct order *order = self;
    const json_t *a = *(json_t *const *)left;
    const json_t *b = *(json_t *const *)right;
    const json_t *x = sort_value(a, order->name);
    const json_t *y = sort_value(b, order->name);
    bool no_x = x == NULL || json_is_null(x);
    bool no_y = y == NULL || json_is_null(y);
    int result = 0;

    if (no_x != no_y)
        return no_x ? 1 : -1;
    if (!no_x)
        result = compare_values(x, y);
    if (result != 0)
        return order->descending ? -result : result;
    return compare_values(json_object_get(a, "trial"),
                          json_object_get(b, "trial"));
}

static void sort_array(json_t *trials, struct order *order)
{
    size_t count = json_array_size(trials);
    AUTO(free_pointer) json_t **items = xcalloc(count + 1, sizeof(void *));

    for (size_t i = 0; i < count; i++)
        items[i] = json_incref(json_array_get(trials, i));
    if (count > 1)
        qsort_r(items, count, sizeof(void *), compare_trials, order);
    for (size_t i = 0; i < count; i++)
        (void)json_array_set_new(trials, i, items[i]);
}

struct status trial_sort(const json_t *spec, const char *key, json_t *trials)
{
    size_t size = strcspn(key, ":");
    AUTO(free_pointer) char *name = xstrndup(key, size);
    AUTO(json_release) json_t *known = known_columns(spec, false);
    struct order order = { .name = name };
    bool found = false;

    if (key[size] == ':' && strcmp(key + size, ":desc") != 0 &&
        strcmp(key + size, ":asc") != 0)
        return FAIL(STATUS_INVALID, "`%s`: write NAME, NAME:asc or NAME:desc",
                    key);
    order.descending = strcmp(key + size, ":desc") == 0;
    for (size_t i = 0; i < json_array_size(known); i++)
        found = found ||
                strcmp(json_string_value(json_array_get(known, i)), name) == 0;
    if (!found)
        return no_column(known, name);
    sort_array(trials, &order);
    return SUCCESS;
}

static bool is_listed(const char *list, const char *word)
{
    size_t size = strlen(word);

    for (const char *at = list; *at != '\0';) {
        size_t next = strcspn(at, ",");

        if (next == size && strncmp(at, word, size) == 0)
            return true;
        at += next + (at[next] == ',' ? 1 : 0);
    }
    return false;
}

MUST_CHECK static struct status check_states(const char *list)
{
    AUTO(free_pointer) char *copy = xstrdup(list);
    char *rest = NULL;

    for (char *name = strtok_r(copy, ",", &rest); name != NULL;
         name = strtok_r(NULL, ",", &rest)) {
        size_t i = 0;

        while (states[i] != NULL && strcmp(states[i], name) != 0)
            i++;
        if (states[i] == NULL)
            return FAIL(STATUS_INVALID,
                        "no state `%s`; there are: waiting, running, done, "
                        "failed, cancelled",
                        name);
    }
    return SUCCESS;
}

struct status trial_filter(const char *list, json_t *trials)
{
    TRY_PLAIN(check_states(list));
    for (size_t i = json_array_size(trials); i > 0; i--) {
        const json_t *trial = json_array_get(trials, i - 1);

        if (!is_listed(list, json_text_or(trial, "state", "?")))
            (void)json_array_remove(trials, i - 1);
    }
    return SUCCESS;
}
