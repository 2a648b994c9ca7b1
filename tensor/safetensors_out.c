#include "tensor/safetensors_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"

enum {
    FILE_BUFFER = 1 << 20,   /* small pieces are gathered up to this */
    WRITE_BEHIND = 16 << 20, /* then the disk begins to write */
};

void st_out_release(struct st_out *out)
{
    if (out->file != NULL)
        (void)fclose(out->file);
    if (out->hash != NULL)
        (void)digest_end(out->hash);
    free(out->buffer);
    free(out->path);
    *out = (struct st_out){ 0 };
}

struct status st_out_open(struct st_out *out, char *path, const char *mode,
                          bool hashed)
{
    st_out_release(out);
    out->path = path;
    out->file = fopen(path, mode);
    if (out->file == NULL)
        return FAIL_ERRNO("create", path);
    out->buffer = xcalloc(FILE_BUFFER, 1);
    (void)setvbuf(out->file, out->buffer, _IOFBF, FILE_BUFFER);
    if (hashed)
        out->hash = digest_begin();
    return SUCCESS;
}

/* Dirty pages must not pile up until a sync. The call is only a hint. */
static void write_behind(struct st_out *out)
{
    if (out->size - out->told < WRITE_BEHIND)
        return;
    (void)sync_file_range(fileno(out->file), (off_t)out->told,
                          (off_t)(out->size - out->told),
                          SYNC_FILE_RANGE_WRITE);
    out->told = out->size;
}

struct status st_out_write(struct st_out *out, const void *data, size_t size)
{
    if (size > 0 && fwrite(data, 1, size, out->file) != size)
        return FAIL_ERRNO("write", out->path);
    if (out->hash != NULL)
        digest_add(out->hash, data, size);
    out->size += size;
    write_behind(out);
    return SUCCESS;
}

struct status st_out_sync(struct st_out *out)
{
    if (fflush(out->file) != 0)
        return FAIL_ERRNO("write", out->path);
    if (fsync(fileno(out->file)) != 0)
        return FAIL_ERRNO("sync", out->path);
    (void)posix_fadvise(fileno(out->file), 0, (off_t)out->size,
                        POSIX_FADV_DONTNEED);
    return SUCCESS;
}

struct status st_out_close(struct st_out *out)
{
    struct status st = SUCCESS;

    if (fflush(out->file) != 0)
        st = FAIL_ERRNO("write", out->path);
    else if (fsync(fileno(out->file)) != 0)
        st = FAIL_ERRNO("sync", out->path);
    st_out_release(out);
    return st;
}
