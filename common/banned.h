/* banned.h -- included before everything: functions that do not belong here
 * do not compile. The headers that declare them come first. */
#ifndef SINTER_COMMON_BANNED_H
#define SINTER_COMMON_BANNED_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets
#pragma GCC poison atoi atol atof strtok asctime ctime localtime gmtime
#pragma GCC poison system tmpnam mktemp

#endif
