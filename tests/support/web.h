/* web.h -- a real nginx on a free port of 127.0.0.1, for tests of HTTP.
 *
 * Serves FOLDER/www: /files/ plainly, /slow/ at 2 MB/s a connection, /norange/
 * without ranges, /liar/ without ranges that it claims, /nohead/ refusing
 * HEAD, /moved/ through a redirect, /loop through endless ones, /away/ to
 * another host name, /private/ for "Bearer secret" only, /whoami says which
 * Authorization it got, /busy answers 503, /dav/ takes PUT. */
#ifndef SINTER_TESTS_SUPPORT_WEB_H
#define SINTER_TESTS_SUPPORT_WEB_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct web {
    char folder[64];
    int port;
    pid_t pid;
};

/* False: there is no nginx here. */
bool web_start(struct web *w);
void web_stop(struct web *w);    /* kills it at once; the folder stays */
void web_again(struct web *w);   /* on the same port */
void web_release(struct web *w); /* stops and removes the folder */

/* http://127.0.0.1:PORT + path; the caller frees. */
char *web_url(const struct web *w, const char *path);
/* A path below the folder; the caller frees. */
char *web_path(const struct web *w, const char *name);
/* Lines of the access log ("METHOD PATH STATUS RANGE BYTES") that hold
 * `words`. */
int web_count(const struct web *w, const char *words);
/* Bytes of the bodies that such lines tell of. */
long long web_bytes(const struct web *w, const char *words);

#endif
