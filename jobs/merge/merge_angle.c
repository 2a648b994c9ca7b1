#include "jobs/merge/merge_angle.h"

#include <math.h>
#include <stddef.h>

static const double pi = 3.14159265358979323846;
/* What the double above is short of. */
static const double pi_rest = 1.2246467991473532e-16;

/* Half the angle three times, then the series: 0 <= x <= 1 gives arguments up
 * to 0.0985, of which term 9 is below 2^-60. */
static double arc_tangent(double x)
{
    enum { HALVINGS = 3, TERMS = 9 };
    double square;
    double sum = 0.0;

    for (int i = 0; i < HALVINGS; i++)
        x = x / (1.0 + sqrt(1.0 + x * x));
    square = x * x;
    for (int k = TERMS; k-- > 0;)
        sum = 1.0 / (2.0 * k + 1.0) - square * sum;
    return (double)(1 << HALVINGS) * x * sum;
}

/* The half angle has tangent sqrt((1 - c) / (1 + c)). */
double merge_angle(double cosine)
{
    double c = cosine > 1.0 ? 1.0 : cosine < -1.0 ? -1.0 : cosine;

    if (c >= 0.0)
        return 2.0 * arc_tangent(sqrt((1.0 - c) / (1.0 + c)));
    return pi - 2.0 * arc_tangent(sqrt((1.0 + c) / (1.0 - c)));
}

double merge_sine(double angle)
{
    enum { LAST = 23 }; /* (pi / 2)^25 / 25! is below 2^-60 */
    double turns = floor(angle / pi + 0.5);
    double x = (angle - turns * pi) - turns * pi_rest;
    double square = x * x;
    double sum = 1.0;

    /* x (1 - x^2 / (2 3) (1 - x^2 / (4 5) (1 - ...))) */
    for (int k = LAST; k > 1; k -= 2)
        sum = 1.0 - square / (double)(k * (k - 1)) * sum;
    return fmod(turns, 2.0) == 0.0 ? x * sum : -(x * sum);
}
