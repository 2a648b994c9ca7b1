/* merge_angle.h -- angles with the same bits on every machine: only + - * /
 * and square roots, within a few units in the last place of libm's. */
#ifndef SINTER_JOBS_MERGE_ANGLE_H
#define SINTER_JOBS_MERGE_ANGLE_H

/* In [0, pi]; the cosine is clamped to [-1, 1]. */
double merge_angle(double cosine);
/* |angle| up to 1e9; absolute error below 1e-15 (1 + |angle|). */
double merge_sine(double angle);

#endif
