#include "support/nginx.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/settle.h"
#include "support/test.h"

#include "common/clock.h"
#include "common/file.h"
#include "common/memory.h"

static const char configuration[] =
    "daemon off;\n"
    "master_process off;\n"
    "pid %s/nginx.pid;\n"
    "error_log %s/error.log;\n"
    "events { worker_connections 256; }\n"
    "http {\n"
    "  log_format bytes '$request_method $uri $body_bytes_sent';\n"
    "  log_format all '$request_method $request_uri $status $body_bytes_sent "
    "$http_host $http_x_amz_date $http_x_amz_content_sha256 "
    "$http_x_amz_security_token|$http_authorization';\n"
    "  access_log %s/access.log bytes;\n"
    "  client_body_temp_path %s/body;\n"
    "  proxy_temp_path %s/proxy;\n"
    "  fastcgi_temp_path %s/fastcgi;\n"
    "  uwsgi_temp_path %s/uwsgi;\n"
    "  scgi_temp_path %s/scgi;\n"
    "  client_max_body_size 64m;\n"
    "  server {\n"
    "    listen 127.0.0.1:%d;\n"
    "    root %s/www;\n"
    "    limit_rate %dk;\n"
    "    dav_methods PUT;\n"
    "    create_full_put_path on;\n"
    "    %s\n"
    "  }\n"
    "  %s\n"
    "}\n";

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)port),
                                 .sin_addr = { htonl(INADDR_LOOPBACK) } };
}

int nginx_free_port(void)
{
    struct sockaddr_in at = loopback(0);
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    (void)close(fd);
    return ntohs(at.sin_port);
}

static bool answers(int port)
{
    struct sockaddr_in at = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = connect(fd, (struct sockaddr *)&at, sizeof at) == 0;

    (void)close(fd);
    return ok;
}

static void write_configuration(const struct nginx *n, const char *path)
{
    const char *d = n->directory;
    char *text = xasprintf(configuration, d, d, d, d, d, d, d, d, n->port, d,
                           n->rate_kib, n->locations, n->servers);

    assert_ok(file_write(path, text, strlen(text)));
    free(text);
}

void nginx_restart(struct nginx *n)
{
    enum { WAIT_MS = 10 * 1000, STEP_MS = 10 };
    char path[300];
    const char *const argv[] = { "nginx", "-p", n->directory, "-c",
                                 path,    "-e", "stderr",     NULL };

    (void)snprintf(path, sizeof path, "%s/nginx.conf", n->directory);
    write_configuration(n, path);
    assert_int_equal(n->pid, 0);
    n->pid = fork();
    if (n->pid == 0) { /* a failed test leaves it to the kernel */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execv("/usr/sbin/nginx", (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    assert_true(n->pid > 0);
    for (int waited = 0; !answers(n->port); waited += STEP_MS) {
        assert_true(waited < WAIT_MS);
        assert_int_equal(waitpid(n->pid, NULL, WNOHANG), 0);
        clock_sleep_ms(STEP_MS);
    }
}

static void start(struct nginx *n, const char *directory)
{
    char path[300];

    (void)snprintf(n->directory, sizeof n->directory, "%s", directory);
    (void)snprintf(n->url, sizeof n->url, "http://127.0.0.1:%d", n->port);
    (void)snprintf(path, sizeof path, "%s/www", directory);
    assert_ok(file_make_directories(path));
    nginx_restart(n);
}

void nginx_start(struct nginx *n, const char *directory, int rate_kib)
{
    *n = (struct nginx){ .rate_kib = rate_kib,
                         .port = nginx_free_port(),
                         .locations = "",
                         .servers = "" };
    start(n, directory);
}

void nginx_start_with(struct nginx *n, const char *directory,
                      const char *locations, const char *servers)
{
    *n = (struct nginx){ .port = nginx_free_port(),
                         .locations = locations,
                         .servers = servers };
    start(n, directory);
}

void nginx_stop(struct nginx *n)
{
    if (n->pid == 0)
        return;
    (void)kill(n->pid, SIGKILL);
    (void)waitpid(n->pid, NULL, 0);
    n->pid = 0;
}

/* Of each line of the log with this method (NULL: any) and path. */
static int count(const struct nginx *n, const char *method, const char *path,
                 int64_t *ret_bytes)
{
    char name[300];
    char line[1024];
    int lines = 0;
    FILE *f;

    *ret_bytes = 0;
    if (n->pid != 0)
        settle(n->port);
    (void)snprintf(name, sizeof name, "%s/access.log", n->directory);
    f = fopen(name, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        const char *last = strrchr(line, ' ');

        if (strstr(line, path) == NULL ||
            (method != NULL && strncmp(line, method, strlen(method)) != 0))
            continue;
        lines++;
        *ret_bytes += strtoll(last, NULL, 10);
    }
    if (f != NULL)
        (void)fclose(f);
    return lines;
}

int64_t nginx_sent(const struct nginx *n, const char *path)
{
    int64_t bytes;

    (void)count(n, "GET", path, &bytes);
    return bytes;
}

int nginx_requests(const struct nginx *n, const char *method, const char *path)
{
    int64_t bytes;

    return count(n, method, path, &bytes);
}
