#include "common/endpoint.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <unistd.h>

#include "common/memory.h"

enum { LOOPBACK_NET = 127, NET_SHIFT = 24 };

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool is_loopback(const char *host)
{
    struct in_addr four;
    struct in6_addr six;

    if (strcmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> NET_SHIFT == LOOPBACK_NET;
    return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

bool endpoint_is_private(const char *endpoint)
{
    const char *host = begins(endpoint, "tcp://") ? endpoint + 6 : endpoint;
    const char *colon = strrchr(host, ':');
    char text[INET6_ADDRSTRLEN];
    size_t size;

    if (begins(endpoint, "ipc://") || begins(endpoint, "inproc://"))
        return true;
    if (colon == NULL)
        return false;
    size = (size_t)(colon - host);
    if (size >= 2 && host[0] == '[' && host[size - 1] == ']') {
        host++;
        size -= 2;
    }
    if (size >= sizeof text)
        return false;
    (void)snprintf(text, sizeof text, "%.*s", (int)size, host);
    return is_loopback(text);
}

/* A name, four numbers, or an address of IPv6 in brackets. */
static bool is_host(const char *text, size_t size)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr six;

    if (size < 2 || text[0] != '[')
        return size > 0 && memchr(text, ':', size) == NULL &&
               memchr(text, '[', size) == NULL &&
               memchr(text, ']', size) == NULL;
    if (text[size - 1] != ']' || size - 2 >= sizeof address)
        return false;
    (void)snprintf(address, sizeof address, "%.*s", (int)(size - 2), text + 1);
    return inet_pton(AF_INET6, address, &six) == 1;
}

bool endpoint_is_http(const char *text, size_t size)
{
    static const char scheme[] = "http://";
    static const char host[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:[]";
    enum { MOST = 300, DIGITS_MOST = 5 };
    size_t digits = 0;

    if (size <= sizeof scheme - 1 || size > MOST ||
        memcmp(text, scheme, sizeof scheme - 1) != 0)
        return false;
    for (size_t i = sizeof scheme - 1; i < size; i++)
        if (text[i] == '\0' || strchr(host, text[i]) == NULL)
            return false;
    while (text[size - 1 - digits] >= '0' && text[size - 1 - digits] <= '9')
        digits++;
    return digits > 0 && digits <= DIGITS_MOST &&
           text[size - 1 - digits] == ':' &&
           size - 1 - digits >= sizeof scheme &&
           is_host(text + sizeof scheme - 1, size - digits - sizeof scheme);
}

/* Without "tcp://". */
static const char *bound_of(const char *endpoint)
{
    return endpoint + (begins(endpoint, "tcp://") ? strlen("tcp://") : 0);
}

bool endpoint_is_everywhere(const char *endpoint)
{
    static const char *const all[] = { "*:", "0.0.0.0:", "[::]:" };

    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (begins(bound_of(endpoint), all[i]))
            return true;
    return false;
}

char *endpoint_advertised(const char *endpoint, const char *host)
{
    const char *bound = bound_of(endpoint);
    const char *colon = strrchr(bound, ':');
    char machine[HOST_NAME_MAX + 1] = "";

    if (colon == NULL || strstr(bound, "://") != NULL)
        return xstrdup(endpoint);
    if ((host == NULL || host[0] == '\0') && endpoint_is_everywhere(endpoint) &&
        gethostname(machine, sizeof machine - 1) == 0)
        host = machine;
    if (host == NULL || host[0] == '\0')
        return xstrdup(endpoint);
    /* an address of IPv6 has colons of its own */
    return xasprintf(strchr(host, ':') != NULL && host[0] != '[' ? "%.*s[%s]%s"
                                                                 : "%.*s%s%s",
                     (int)(bound - endpoint), endpoint, host, colon);
}
