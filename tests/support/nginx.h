/* nginx.h -- a real web server for tests, on a free port of loopback. */
#ifndef SINTER_TESTS_SUPPORT_NGINX_H
#define SINTER_TESTS_SUPPORT_NGINX_H

#include <stdint.h>
#include <sys/types.h>

struct nginx {
    char directory[256]; /* of its own; "www" below it is served */
    char url[64];        /* "http://127.0.0.1:PORT" */
    int port;
    pid_t pid;    /* 0: stopped */
    int rate_kib; /* per second and connection; 0: no limit */
    const char *locations, *servers;
};

/* Fails the test if it cannot; `directory` exists. GET, HEAD, PUT. */
void nginx_start(struct nginx *n, const char *directory, int rate_kib);
/* With directives for this server, and others beside it; borrowed. Each may
 * keep a log of its own; the format "all" has the request's Authorization. */
void nginx_start_with(struct nginx *n, const char *directory,
                      const char *locations, const char *servers);
int nginx_free_port(void);
/* On the same port, with the present `rate_kib`. */
void nginx_restart(struct nginx *n);
/* At once, in the middle of whatever it does. */
void nginx_stop(struct nginx *n);

/* Body bytes sent, and requests with this method, for paths that contain
 * `path`, since the start. */
int64_t nginx_sent(const struct nginx *n, const char *path);
int nginx_requests(const struct nginx *n, const char *method, const char *path);

#endif
