/* httpd.h -- HTTP in, through libmicrohttpd: what the ports of broker and
 * worker have in common. Who asks for what is theirs. */
#ifndef SINTER_HTTPD_HTTPD_H
#define SINTER_HTTPD_HTTPD_H

#include "common/digest.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

#include <microhttpd.h>

enum { HTTPD_ADDRESS = 300 };

struct httpd_settings {
    const char *option;  /* "--http", for people */
    const char *address; /* "127.0.0.1:7422", "[::]:7422", "localhost:0" */
    unsigned threads, connections;
    unsigned idle_s; /* a connection on which nothing moves is closed after */
    MHD_AccessHandlerCallback request;
    MHD_RequestCompletedCallback completed;
    void *self;
};

/* Has threads of its own, which call `request` and `completed`, until
 * MHD_stop_daemon(). `ret_address` has the real port. */
MUST_CHECK struct status httpd_listen(const struct httpd_settings *settings,
                                      struct MHD_Daemon **ret_daemon,
                                      char ret_address[HTTPD_ADDRESS]);

/* `type` NULL: none is said. */
enum MHD_Result httpd_answer(struct MHD_Connection *c, unsigned code,
                             struct MHD_Response *r, const char *type);
/* Takes `text`. */
enum MHD_Result httpd_answer_text(struct MHD_Connection *c, unsigned code,
                                  char *text, const char *type);
enum MHD_Result httpd_answer_failure(struct MHD_Connection *c,
                                     const struct status *st);
enum MHD_Result httpd_not_found(struct MHD_Connection *c, const char *url);
/* The file with that digest, or the range of it that is asked for. Takes the
 * descriptor. */
enum MHD_Result httpd_answer_file(struct MHD_Connection *c,
                                  const struct digest *digest, int fd,
                                  uint64_t size);

#endif
