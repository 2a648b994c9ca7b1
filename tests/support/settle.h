/* settle.h -- nginx answers first and writes its log afterwards. It does one
 * thing at a time: once a request of ours is answered, the lines of those
 * before it are written. */
#ifndef SINTER_TESTS_SUPPORT_SETTLE_H
#define SINTER_TESTS_SUPPORT_SETTLE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* For the server on this port of loopback; nothing if there is none. */
static inline void settle(int port)
{
    static const char request[] = "GET /settled HTTP/1.0\r\n\r\n";
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char answer[512];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
        send(fd, request, strlen(request), MSG_NOSIGNAL) > 0)
        while (recv(fd, answer, sizeof answer, 0) > 0)
            continue;
    (void)close(fd);
}

#endif
