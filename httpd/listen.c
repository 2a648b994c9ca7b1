#include "httpd/httpd.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static bool is_port(const char *text)
{
    enum { DIGITS_MOST = 5 };
    size_t digits = strspn(text, "0123456789");

    return digits > 0 && digits <= DIGITS_MOST && text[digits] == '\0' &&
           strtol(text, NULL, 10) <= UINT16_MAX;
}

/* "host:port" or "[v6]:port". */
MUST_CHECK static struct status resolve(const struct httpd_settings *settings,
                                        char host[HTTPD_ADDRESS],
                                        struct addrinfo **ret_info)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                                    .ai_flags = AI_PASSIVE };
    const char *address = settings->address;
    const char *colon = strrchr(address, ':');
    const char *begin = address[0] == '[' ? address + 1 : address;
    const char *end = colon;
    int result;

    if (colon == NULL || !is_port(colon + 1) ||
        strlen(address) >= HTTPD_ADDRESS)
        return FAIL(STATUS_INVALID, "%s is HOST:PORT, not \"%s\"",
                    settings->option, address);
    if (begin != address && end > begin && end[-1] == ']')
        end--;
    (void)snprintf(host, HTTPD_ADDRESS, "%.*s", (int)(end - begin), begin);
    result = getaddrinfo(host, colon + 1, &hints, ret_info);
    if (result != 0)
        return FAIL(STATUS_INVALID, "%s %s: %s", settings->option, address,
                    gai_strerror(result));
    return SUCCESS;
}

static struct MHD_Daemon *start(const struct httpd_settings *settings,
                                const struct addrinfo *info)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD;

    if (info->ai_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    return MHD_start_daemon(flags, 0, NULL, NULL, settings->request,
                            settings->self, MHD_OPTION_SOCK_ADDR, info->ai_addr,
                            MHD_OPTION_THREAD_POOL_SIZE, settings->threads,
                            MHD_OPTION_CONNECTION_LIMIT, settings->connections,
                            MHD_OPTION_CONNECTION_TIMEOUT, settings->idle_s,
                            MHD_OPTION_NOTIFY_COMPLETED, settings->completed,
                            settings->self, MHD_OPTION_END);
}

struct status httpd_listen(const struct httpd_settings *settings,
                           struct MHD_Daemon **ret_daemon,
                           char ret_address[HTTPD_ADDRESS])
{
    struct addrinfo *info = NULL;
    char host[HTTPD_ADDRESS];
    struct MHD_Daemon *daemon;

    TRY_PLAIN(resolve(settings, host, &info));
    daemon = start(settings, info);
    freeaddrinfo(info);
    if (daemon == NULL)
        return FAIL(STATUS_UNAVAILABLE,
                    "cannot listen for HTTP at %s: is "
                    "the port in use?",
                    settings->address);
    (void)snprintf(
        ret_address, HTTPD_ADDRESS,
        strchr(host, ':') == NULL ? "%s:%u" : "[%s]:%u", host,
        MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    *ret_daemon = daemon;
    return SUCCESS;
}
