/* companion.h -- the files that belong to a model beside weights and
 * config.json: what is fetched and what a merge hands on are the same. */
#ifndef SINTER_COMMON_COMPANION_H
#define SINTER_COMMON_COMPANION_H

/* Names; a model may lack any of them. Ends with NULL. */
extern const char *const companion_files[];

#endif
