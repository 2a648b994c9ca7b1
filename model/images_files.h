/* images_files.h -- images from files: IDX, as MNIST and its kin come, and the
 * binary form of CIFAR. Bytes come from outside: every fault is CORRUPT and
 * names file and offset. */
#ifndef SINTER_MODEL_IMAGES_FILES_H
#define SINTER_MODEL_IMAGES_FILES_H

#include "model/images.h"

struct images_file {
    const char *name;
    const uint8_t *bytes;
    size_t size;
};

enum { IMAGES_SIDE_MOST = 4096, IMAGES_CLASSES_MOST = 256 };

/* One file of images (count, height, width, or count, channels, height,
 * width) and one of as many labels below `classes`. */
MUST_CHECK struct status images_read_idx(const struct images_file *images,
                                         const struct images_file *labels,
                                         uint32_t classes,
                                         struct images *ret_images);
/* Puts the records of a file behind the images there are (none: a zeroed
 * struct). With `fine` those of CIFAR-100 and its 100 classes. */
MUST_CHECK struct status images_add_cifar(struct images *im,
                                          const struct images_file *file,
                                          bool fine);
/* (byte / 255 - mean) / deviation, by channel. */
void images_scale(struct images *im, const double *mean,
                  const double *deviation);

#endif
