/* Requests of ZAP: whatever comes, only a key of the list gets in, and only
 * where its role belongs. Input: frames, each with a byte of size before. */
#include "broker/core/outbox.h"
#include "broker/zap.h"
#include "common/file.h"
#include "common/macros.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One worker, whose key is 32 times 'w', and one client, of 'c'. */
static struct curve_ring *load_ring(void)
{
    static const char list[] =
        "worker w 7777777777777777777777777777777777777777777777777777777777777"
        "777\nclient c 63636363636363636363636363636363636363636363636363636363"
        "63636363\n";
    char path[] = "/tmp/sinter-fuzz-XXXXXX";
    int fd = mkstemp(path);
    struct curve_ring *ring = NULL;
    struct status st;

    if (fd < 0)
        abort();
    (void)close(fd);
    st = file_write(path, list, strlen(list));
    if (!status_failed(&st))
        st = curve_ring_load(path, &ring);
    (void)unlink(path);
    if (status_failed(&st))
        abort();
    return ring;
}

static size_t split(const uint8_t *data, size_t size,
                    struct zap_frame frames[ZAP_FRAMES_MOST])
{
    size_t count = 0;
    size_t at = 0;

    while (at < size) {
        size_t part = data[at++];

        part = part > size - at ? size - at : part;
        if (count < ZAP_FRAMES_MOST) /* a block of its own: ASan sees its end */
            frames[count] = (struct zap_frame){
                memcpy(malloc(part + (part == 0)), data + at, part), part
            };
        count++;
        at += part;
    }
    return count;
}

static void check(const struct zap_request *q, const struct curve_key *key)
{
    char user[ZAP_USER];
    uint8_t back[CURVE_BYTES];
    bool worker = key->role == CURVE_WORKER;

    if (memcmp(key->open, q->key, CURVE_BYTES) != 0 ||
        worker != (q->domain == PEER_WORKER))
        abort();
    zap_user(q->key, user);
    if (!zap_user_key(user, back) || memcmp(back, q->key, CURVE_BYTES) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct curve_ring *ring;
    struct zap_frame frames[ZAP_FRAMES_MOST] = { { NULL, 0 } };
    struct zap_request q;
    const struct curve_key *key;
    struct status st;
    size_t count = split(data, size, frames);

    if (ring == NULL)
        ring = load_ring();
    st = zap_decode(frames, count, &q);
    key = status_failed(&st) ? NULL : zap_judge(ring, &q);
    if (key != NULL)
        check(&q, key);
    for (size_t i = 0; i < ZAP_FRAMES_MOST; i++)
        free((void *)(uintptr_t)frames[i].data);
    return 0;
}
