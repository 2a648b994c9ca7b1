#include "common/words.h"

#include <string.h>

size_t words_split(char *line, char **words, size_t most)
{
    size_t count = 0;
    char *word;

    while ((word = strsep(&line, " \t\r")) != NULL) {
        if (*word == '\0')
            continue;
        if (count < most)
            words[count] = word;
        count++;
    }
    return count;
}
