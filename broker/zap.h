/* zap.h -- who may connect: requests of ZAP (rfc.zeromq.org/spec/27) as frames
 * of bytes, judged. Pure, and closed to whatever it does not understand. */
#ifndef SINTER_BROKER_ZAP_H
#define SINTER_BROKER_ZAP_H

#include "common/curve.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

/* What the two sockets call themselves, in the order of enum peer_side. */
extern const char *const zap_domains[];

struct zap_frame {
    const void *data;
    size_t size;
};

enum {
    ZAP_FRAMES = 7,      /* of a request that shows a CURVE key */
    ZAP_FRAMES_MOST = 8, /* read of one; more cannot be right */
    ZAP_ID_MOST = 255,
    ZAP_USER = 2 * CURVE_BYTES + 1,
};

struct zap_request {
    struct zap_frame id;      /* as it was; to be sent back */
    struct zap_frame address; /* where it comes from, for people */
    size_t domain;            /* in zap_domains[] */
    uint8_t key[CURVE_BYTES];
};

/* INVALID says what is wrong; `id` is set if there was one. */
MUST_CHECK struct status zap_decode(const struct zap_frame *frames,
                                    size_t count, struct zap_request *ret);

/* May the owner of this key use this socket? NULL: no. */
const struct curve_key *zap_judge(const struct curve_ring *ring,
                                  const struct zap_request *request);

/* The key as the user id that the connection's messages will carry, and back.
 * False: it is none. */
void zap_user(const uint8_t key[CURVE_BYTES], char ret_user[ZAP_USER]);
bool zap_user_key(const char *user, uint8_t ret_key[CURVE_BYTES]);

#endif
