/* source_internal.h -- what the files of sources/ share; nobody else includes
 * it. */
#ifndef SINTER_SOURCES_SOURCE_INTERNAL_H
#define SINTER_SOURCES_SOURCE_INTERNAL_H

#include "common/http.h"
#include "sources/cache.h"
#include "sources/served.h"
#include "sources/source.h"

/* Of one store; each is made when it is needed. */
enum source_client {
    CLIENT_WEB,
    CLIENT_HUB,
    CLIENT_S3,    /* signs */
    CLIENT_DEPOT, /* gives up sooner: it may be at another place */
    CLIENT_COUNT
};

struct source_store {
    struct source_settings settings;
    struct cache *cache;
    struct http *clients[CLIENT_COUNT];
    char *depot;        /* that CLIENT_DEPOT may show its token to */
    uint64_t forgotten; /* bytes received by clients that are gone */

    /* Of source_pull.c: */
    struct lender *lenders;
    size_t lender_count;
    struct digest asked;      /* the source or artifact that is being fetched,
                                 as the broker calls it ... */
    struct served_name entry; /* ... and as the cache does */
    struct source_pulls pulls;
    int64_t window_at; /* ns */
    uint64_t window_done, pull_done;
    bool is_slow;
};

struct source_pin {
    struct source_pin *next; /* held together */
    char *path;
    struct cache_entry *entry; /* NULL: used in place */
};

/* Have the cache; have a client. */
MUST_CHECK struct status source_open_cache(struct source_store *s);
MUST_CHECK struct status source_open_client(struct source_store *s,
                                            enum source_client which,
                                            struct http **ret_http);
/* Without a last slash; the caller frees. */
char *source_hub_base(const struct source_store *s);
/* As settings of a client: its keys are of the environment. NULL: none. */
const struct http_signing *source_s3_signing(struct http_signing *signing);

/* Takes the entry over. */
struct source_pin *source_pin_new(const char *path, struct cache_entry *entry);
void source_close_entry(struct cache_entry **entry); /* for AUTO() */

/* A relative path that stays below where it is put. */
bool source_is_plain_path(const char *path);

/* A source's URL, understood: where its files are asked for. */
struct source_origin {
    struct http *http;          /* borrowed */
    struct source_store *store; /* the same */
    char *url;                  /* as written */
    char *base;  /* what names of files follow, with a slash between */
    char *query; /* "?key=1", behind each */
    char *file;  /* the one file wanted; NULL: a model */
    char *file_url;
    json_t *names;   /* the files there are, as keys; NULL: not known */
    char commit[48]; /* of a hub's model; "": none */
};

/* `source` is {"url", "version"?}. INVALID for a URL of no known form. */
MUST_CHECK struct status source_origin_open(struct source_store *s,
                                            const json_t *source,
                                            struct source_origin *ret_origin);
void source_origin_release(struct source_origin *o); /* fine if all zero */
/* Where a file of it is asked for; the caller frees. */
char *source_origin_url(const struct source_origin *o, const char *name);
/* Known not to be there. */
bool source_origin_lacks(const struct source_origin *o, const char *name);

/* One row for each scheme: fill what source_origin_open() has left empty. */
MUST_CHECK struct status source_hub_open(struct source_store *s,
                                         const json_t *source,
                                         struct source_origin *o);
MUST_CHECK struct status source_s3_open(struct source_store *s,
                                        const json_t *source,
                                        struct source_origin *o);
/* A hub's revision may move on: the source with the commit it means now. All
 * others as they are. A new object. */
MUST_CHECK struct status source_hub_settle(struct source_store *s,
                                           const json_t *source,
                                           json_t **ret_source);

enum { SOURCE_VERSION = 17 };

/* What a server says of a file, as a value of `names` below. */
json_t *source_served(const struct http_info *info);
/* What all files of the weights are at one time: 16 hex digits. */
void source_version(json_t *names, char text[SOURCE_VERSION]);
/* CORRUPT if they are not what was submitted; the last is for files that are
 * used in place. */
MUST_CHECK struct status source_match_version(const json_t *source,
                                              const char *now);
MUST_CHECK struct status source_check_version(const json_t *source,
                                              json_t *names);
MUST_CHECK struct status source_check_here(struct source_store *s,
                                           const json_t *source);

/* The name of the one file that a URL is of; NULL: of a model. The caller
 * frees. */
char *source_single_file(const char *url);
/* The same of a hub's, where nothing can be told from how a URL ends. */
char *source_hub_file(const char *url);
/* `text` as part of a URL's path; the caller frees. */
char *source_escape(const char *text);

extern const char source_weights_file[], source_index_file[];
/* The distinct file names of an index, as the keys of a new object. */
MUST_CHECK struct status source_index_names(const json_t *index,
                                            const char *url,
                                            json_t **ret_names);
/* The failure means that there is no such file. */
bool source_is_absent(const struct status *st);

/* The entry's name on a shelf: what was asked for, not where it is kept. */
void source_entry_name(const json_t *source, char name[DIGEST_TEXT]);
/* The digest the sweep gives for a file: "sha256": {file: hex}, or one hex for
 * a single file. */
MUST_CHECK struct status source_expected(const json_t *source, const char *name,
                                         struct digest *ret_digest,
                                         bool *ret_has);

/* A settled remote source into the cache: all of it, or at least the tensors
 * that are chosen. */
MUST_CHECK struct status source_fetch_whole(struct source_store *s,
                                            const json_t *source,
                                            struct source_pin **ret_pin);
MUST_CHECK struct status source_fetch_chosen(struct source_store *s,
                                             const json_t *source,
                                             const struct source_choice *choice,
                                             struct source_pin **ret_pin);
/* Put the small files of a model into `folder` of the entry ("", or with a
 * slash behind): its index, if it has one, then config and tokenizer.
 * `ret_names`: the files of its weights. */
MUST_CHECK struct status source_have_index(struct cache_entry *e,
                                           const char *folder,
                                           const struct source_origin *o,
                                           const json_t *source,
                                           json_t **ret_names);
MUST_CHECK struct status source_have_extras(struct cache_entry *e,
                                            const char *folder,
                                            const struct source_origin *o,
                                            const json_t *source);
/* Without an index: model.safetensors, or of a hub the only *.safetensors. */
MUST_CHECK struct status source_sole_weights(const struct source_origin *o,
                                             json_t **ret_names);
/* HEAD of one file, with the hub's commit checked. */
MUST_CHECK struct status source_look_at(const struct source_origin *o,
                                        const char *url,
                                        struct http_info *ret_info);
struct source_want {
    const char *name;              /* below the entry's files */
    const char *url;               /* where it is from */
    const struct digest *expected; /* NULL: not known */
    uint64_t size;                 /* 0: not known */
};

/* Have the file and note it in the entry. One left whole by an earlier try is
 * taken if its digest is right. */
MUST_CHECK struct status source_have_file(struct source_store *s,
                                          struct http *http,
                                          struct cache_entry *e,
                                          const struct source_want *w);
/* To `path`, from a worker that has it. False: none gave it. */
bool source_pull(struct source_store *s, const char *path,
                 const struct source_want *w);
/* Nothing is left of such a try. */
void source_forget_pull(const char *path);
uint64_t source_pull_received(const struct source_store *s);

#endif
