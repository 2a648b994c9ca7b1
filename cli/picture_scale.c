/* picture_scale.c -- colours and numbers of heat maps. */
#include <math.h>
#include <stdio.h>

#include "cli/picture.h"
#include "common/macros.h"

/* viridis at 0, 1/8 ... 1. */
static const struct picture_colour scale[] = {
    { 0.267, 0.005, 0.329 }, { 0.278, 0.173, 0.478 }, { 0.231, 0.318, 0.545 },
    { 0.173, 0.443, 0.557 }, { 0.129, 0.565, 0.553 }, { 0.153, 0.678, 0.506 },
    { 0.361, 0.784, 0.388 }, { 0.667, 0.863, 0.196 }, { 0.993, 0.906, 0.144 },
};

struct picture_colour picture_colour(const struct picture_panel *panel,
                                     double value)
{
    enum { LAST = COUNT_OF(scale) - 2 }; /* beginning of the last step */
    double range = panel->light - panel->dark;
    double share = range == 0.0 ? 0.0 : (value - panel->dark) / range;
    double at = fmin(fmax(share, 0.0), 1.0) * (LAST + 1);
    size_t i = at >= LAST ? LAST : (size_t)at;
    double part = at - (double)i;
    const struct picture_colour *a = &scale[i], *b = &scale[i + 1];

    return (struct picture_colour){ a->red + part * (b->red - a->red),
                                    a->green + part * (b->green - a->green),
                                    a->blue + part * (b->blue - a->blue) };
}

/* As the eye weighs it. */
bool picture_is_bright(struct picture_colour c)
{
    return 0.2126 * c.red + 0.7152 * c.green + 0.0722 * c.blue > 0.45;
}

void picture_number(const struct picture_panel *panel, double value,
                    char text[PICTURE_NUMBER])
{
    double least = 0.5 * pow(10.0, -panel->decimals);

    if (value == 0.0 || (panel->decimals > 0 && fabs(value) < least))
        (void)snprintf(text, PICTURE_NUMBER, "0");
    else if (panel->decimals > 0)
        (void)snprintf(text, PICTURE_NUMBER, "%.*f", panel->decimals, value);
    else
        (void)snprintf(text, PICTURE_NUMBER, "%.3g", value);
}

bool picture_has_border(const struct picture *p, size_t a, size_t b)
{
    return p->regions != NULL && p->regions[a] != p->regions[b];
}
