/* folder.h -- one folder for all tests of a program: the group's setup and
 * teardown make and remove it. */
#ifndef SINTER_TESTS_SUPPORT_FOLDER_H
#define SINTER_TESTS_SUPPORT_FOLDER_H

#include "common/file.h"

#include <stdlib.h>

static char folder[] = "/tmp/sinter-test-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    struct status st = file_remove_tree(folder);

    (void)state;
    return status_failed(&st);
}

#endif
