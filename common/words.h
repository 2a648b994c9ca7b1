/* words.h -- the words of a line. */
#ifndef SINTER_COMMON_WORDS_H
#define SINTER_COMMON_WORDS_H

#include <stddef.h>

/* Cuts the line at blanks, tabs and returns; how many words there are. More
 * than `most` are counted only. They point into the line. */
size_t words_split(char *line, char **words, size_t most);

#endif
