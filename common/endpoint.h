/* endpoint.h -- is an address reached from this machine only? */
#ifndef SINTER_COMMON_ENDPOINT_H
#define SINTER_COMMON_ENDPOINT_H

#include <stdbool.h>

/* ipc:// and inproc://; of TCP ("tcp://HOST:PORT", "HOST:PORT") the addresses
 * 127.x.x.x and ::1 and the name localhost. Whatever else: false. */
bool endpoint_is_private(const char *endpoint);

#endif
