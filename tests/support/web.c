#include "support/web.h"

#include "support/settle.h"

#include "common/clock.h"
#include "common/file.h"
#include "common/memory.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_MS = 5000, LIMIT_LOG_FILE = 16 << 20 };

/* Paths are below the folder, which is given as the prefix. */
static const char configuration[] =
    "daemon off; master_process off; pid nginx.pid;\n"
    "error_log error.log warn;\n"
    "events { worker_connections 64; }\n"
    "http {\n"
    "  log_format test '$request_method $uri $status $http_range "
    "$body_bytes_sent';\n"
    "  access_log access.log test;\n"
    "  client_body_temp_path body; proxy_temp_path proxy;\n"
    "  fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;\n"
    "  scgi_temp_path scgi;\n"
    "  client_max_body_size 64m; sendfile on; keepalive_timeout 5;\n"
    "  server {\n"
    "    listen 127.0.0.1:%d; server_name localhost;\n"
    "    location /files/ { alias www/; }\n"
    "    location /slow/ { alias www/; limit_rate 2m; }\n"
    "    location /norange/ { alias www/; max_ranges 0; }\n"
    "    location /liar/ { alias www/; max_ranges 0;\n"
    "                      add_header Accept-Ranges bytes; }\n"
    "    location /nohead/ { alias www/;\n"
    "                        if ($request_method = HEAD) { return 403; } }\n"
    "    location /moved/ { rewrite ^/moved/(.*) /files/$1 redirect; }\n"
    "    location /loop { return 302 /loop; }\n"
    "    location /away/ { rewrite ^/away/(.*) http://localhost:%d/$1 "
    "redirect; }\n"
    "    location /near/ { rewrite ^/near/(.*) http://127.0.0.1:%d/$1 "
    "redirect; }\n"
    "    location /private/ { alias www/;\n"
    "      if ($http_authorization = \"\") { return 401; }\n"
    "      if ($http_authorization != \"Bearer secret\") { return 403; } }\n"
    "    location /whoami { return 200 \"<$http_authorization>\"; }\n"
    "    location /busy { return 503 \"come back later\"; }\n"
    "    location /dav/ { alias dav/; dav_methods PUT;\n"
    "                     create_full_put_path on; }\n"
    "  }\n"
    "}\n";

static int free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int port = -1;

    if (bind(fd, (const struct sockaddr *)&address, size) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &size) == 0)
        port = ntohs(address.sin_port);
    (void)close(fd);
    return port;
}

static bool answers(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes =
        connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;

    (void)close(fd);
    return yes;
}

char *web_path(const struct web *w, const char *name)
{
    return xasprintf("%s/%s", w->folder, name);
}

char *web_url(const struct web *w, const char *path)
{
    return xasprintf("http://127.0.0.1:%d%s", w->port, path);
}

/* False if the port was taken meanwhile. */
static bool wait_for(struct web *w)
{
    const int64_t end = clock_now() + START_MS * NS_PER_MS;

    while (clock_now() < end) {
        if (waitpid(w->pid, NULL, WNOHANG) == w->pid) {
            w->pid = 0;
            return false;
        }
        if (answers(w->port))
            return true;
        clock_sleep_ms(10);
    }
    return false;
}

static bool run(struct web *w)
{
    char program[] = "nginx";
    char prefix_flag[] = "-p";
    char file_flag[] = "-c";
    char error_flag[] = "-e";
    char *conf = web_path(w, "nginx.conf");
    char *log = web_path(w, "error.log");
    char *argv[] = { program, prefix_flag, w->folder, file_flag,
                     conf,    error_flag,  log,       NULL };

    w->pid = fork();
    if (w->pid == 0) {
        /* A crashed test must not leave it behind. */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execv("/usr/sbin/nginx", argv);
        _exit(127);
    }
    free(conf);
    free(log);
    return w->pid > 0 && wait_for(w);
}

static void must(struct status st)
{
    if (status_failed(&st)) {
        (void)fprintf(stderr, "%s\n", st.message);
        abort();
    }
}

static void make_files(struct web *w)
{
    static const char *const folders[] = { "www", "dav", "out" };
    char *path;
    char *text;

    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        path = web_path(w, folders[i]);
        must(file_make_directories(path));
        free(path);
    }
    path = web_path(w, "nginx.conf");
    text = xasprintf(configuration, w->port, w->port, w->port);
    must(file_write(path, text, strlen(text)));
    free(text);
    free(path);
}

bool web_start(struct web *w)
{
    enum { TRIES = 5 };

    if (access("/usr/sbin/nginx", X_OK) != 0)
        return false;
    *w = (struct web){ .folder = "/tmp/sinter-web-XXXXXX" };
    if (mkdtemp(w->folder) == NULL)
        abort();
    for (int i = 0; i < TRIES; i++) {
        w->port = free_port();
        make_files(w);
        if (run(w))
            return true;
    }
    (void)fprintf(stderr, "nginx does not start in %s\n", w->folder);
    abort();
}

void web_stop(struct web *w)
{
    if (w->pid > 0) {
        (void)kill(w->pid, SIGKILL);
        (void)waitpid(w->pid, NULL, 0);
    }
    w->pid = 0;
}

void web_again(struct web *w)
{
    if (!run(w))
        abort();
}

void web_release(struct web *w)
{
    web_stop(w);
    must(file_remove_tree(w->folder));
}

static int read_log(const struct web *w, const char *words,
                    long long *ret_bytes)
{
    char *path = web_path(w, "access.log");
    char *text = NULL;
    size_t size;
    int count = 0;
    char *rest;
    char *line;

    *ret_bytes = 0;
    if (w->pid > 0)
        settle(w->port);
    must(file_read(path, LIMIT_LOG_FILE, &text, &size));
    rest = text;
    while ((line = strsep(&rest, "\n")) != NULL)
        if (strstr(line, words) != NULL) {
            count++;
            *ret_bytes += strtoll(strrchr(line, ' '), NULL, 10);
        }
    free(text);
    free(path);
    return count;
}

int web_count(const struct web *w, const char *words)
{
    long long bytes;

    return read_log(w, words, &bytes);
}

long long web_bytes(const struct web *w, const char *words)
{
    long long bytes;

    (void)read_log(w, words, &bytes);
    return bytes;
}
