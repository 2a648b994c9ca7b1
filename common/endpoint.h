/* endpoint.h -- is an address reached from this machine only? */
#ifndef SINTER_COMMON_ENDPOINT_H
#define SINTER_COMMON_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

/* ipc:// and inproc://; of TCP ("tcp://HOST:PORT", "HOST:PORT") the addresses
 * 127.x.x.x and ::1 and the name localhost. Whatever else: false. */
bool endpoint_is_private(const char *endpoint);

/* TCP that is bound to all addresses of the machine: no place to go to. */
bool endpoint_is_everywhere(const char *endpoint);

/* "http://HOST:PORT" and nothing else, in 300 bytes at most: where a worker
 * says that it can be asked. */
bool endpoint_is_http(const char *text, size_t size);

/* How others may reach what is bound to `endpoint`: at `host`, if that is
 * given (neither NULL nor ""), or where it is bound to all addresses, by the
 * name of this machine. Not of TCP, or bound to one: as it is. The caller
 * frees. */
char *endpoint_advertised(const char *endpoint, const char *host);

#endif
