#include "broker/zap.h"

#include <string.h>

#include "broker/core/outbox.h"
#include "common/digest.h"

const char *const zap_domains[PEER_SIDES + 1] = { "sinter.workers",
                                                  "sinter.clients", NULL };

enum { VERSION, ID, DOMAIN, ADDRESS, IDENTITY, MECHANISM, KEY };

static bool is(const struct zap_frame *f, const char *text)
{
    return f->size == strlen(text) && memcmp(f->data, text, f->size) == 0;
}

struct status zap_decode(const struct zap_frame *frames, size_t count,
                         struct zap_request *ret)
{
    *ret = (struct zap_request){ .domain = PEER_SIDES };
    if (count > ID && frames[ID].size <= ZAP_ID_MOST)
        ret->id = frames[ID];
    if (count > ADDRESS)
        ret->address = frames[ADDRESS];
    if (count != ZAP_FRAMES)
        return FAIL(STATUS_INVALID, "%zu frames, not %d", count,
                    (int)ZAP_FRAMES);
    if (!is(&frames[VERSION], "1.0"))
        return FAIL(STATUS_INVALID, "another version of ZAP than 1.0");
    if (frames[ID].size > ZAP_ID_MOST)
        return FAIL(STATUS_INVALID, "the request's id is too long");
    for (size_t i = 0; zap_domains[i] != NULL; i++)
        if (is(&frames[DOMAIN], zap_domains[i]))
            ret->domain = i;
    if (ret->domain == PEER_SIDES)
        return FAIL(STATUS_INVALID, "a domain that is none of ours");
    if (!is(&frames[MECHANISM], "CURVE") || frames[KEY].size != CURVE_BYTES)
        return FAIL(STATUS_INVALID, "it shows no CURVE key");
    memcpy(ret->key, frames[KEY].data, CURVE_BYTES);
    return SUCCESS;
}

const struct curve_key *zap_judge(const struct curve_ring *ring,
                                  const struct zap_request *request)
{
    static const bool may[PEER_SIDES][CURVE_ROLES] = {
        [PEER_WORKER] = { [CURVE_WORKER] = true },
        [PEER_CLIENT] = { [CURVE_CLIENT] = true, [CURVE_ADMIN] = true },
    };
    const struct curve_key *key = curve_ring_find(ring, request->key);

    if (key == NULL || request->domain >= PEER_SIDES)
        return NULL;
    return may[request->domain][key->role] ? key : NULL;
}

void zap_user(const uint8_t key[CURVE_BYTES], char ret_user[ZAP_USER])
{
    struct digest d;

    memcpy(d.bytes, key, CURVE_BYTES);
    digest_to_text(&d, ret_user);
}

bool zap_user_key(const char *user, uint8_t ret_key[CURVE_BYTES])
{
    struct digest d;

    if (!digest_from_text(user, &d))
        return false;
    memcpy(ret_key, d.bytes, CURVE_BYTES);
    return true;
}
