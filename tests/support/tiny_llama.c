#include "support/tiny_llama.h"

#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "support/test.h"

json_t *tiny_json(const char *format, ...)
{
    char text[4096];
    json_t *json;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (char *c = text; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    assert_ok(json_parse(text, strlen(text), "test", &json));
    return json;
}

json_t *tiny_train(int steps)
{
    return tiny_json("{'init':{'hidden':16,'layers':1,'heads':2,'kv_heads':1,"
                     "'intermediate':24},"
                     "'data':{'builtin':'tasks','mix':{'sort':1,'close':1},"
                     "'shortest':2,'longest':3,'split':'train'},"
                     "'steps':%d,'batch':8,'optimizer':{'lr':0.01},'seed':0}",
                     steps);
}

struct status tiny_run(struct fake_context *f, const char *kind,
                       const json_t *params, json_t **ret_result)
{
    /* A job finds its scratch empty. */
    assert_ok(file_remove_tree(f->scratch));
    assert_ok(file_make_directories(f->scratch));
    return job_kind_find(kind)->run(params, &f->context, ret_result);
}

json_t *tiny_model(struct fake_context *f, int steps)
{
    json_t *params = tiny_train(steps);
    json_t *result = NULL;
    const char *digest;
    json_t *model;

    assert_ok(tiny_run(f, "train", params, &result));
    assert_ok(json_member_text(result, "artifact", &digest));
    fake_context_set_job(f, "aa11", digest);
    model = tiny_json("{'$job':'aa11'}");
    json_decref(params);
    json_decref(result);
    return model;
}

void tiny_refuses(const char *kind, const char *body, const char *path,
                  const char *message)
{
    json_t *json = tiny_json("%s", body);
    struct catalog_problem problem = { .path = "" };

    assert_false(job_kind_find(kind)->catalog.normalise(json, &problem));
    assert_string_equal(problem.path, path);
    if (strstr(problem.message, message) == NULL)
        fail_msg("%s: \"%s\" is not in \"%s\"", body, message, problem.message);
    json_decref(json);
}

double tiny_metric(const json_t *result, const char *name)
{
    double value = -1.0;

    assert_ok(
        json_member_real(json_object_get(result, "metrics"), name, &value));
    return value;
}
