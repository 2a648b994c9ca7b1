#include "cli/number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/memory.h"

enum { MOST_DECIMALS = 9, DIGITS = 4 };

static int within(int decimals)
{
    if (decimals < 0)
        return 0;
    return decimals > MOST_DECIMALS ? MOST_DECIMALS : decimals;
}

int number_decimals(const double *values, size_t count)
{
    double most = 0.0;
    bool whole = true;

    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            continue;
        most = fmax(most, fabs(values[i]));
        whole = whole && values[i] == floor(values[i]);
    }
    if (whole || most == 0.0)
        return 0;
    /* 0.8412 and 1.234 both show DIGITS digits. */
    return within(most < 1.0 && most >= 0.1
                      ? DIGITS
                      : DIGITS - 1 - (int)floor(log10(most)));
}

/* Decimals that an error justifies: its first digit, two if that is a 1. */
static int decimals_of_error(double error)
{
    int place = 0;

    if (!(error > 0.0) || !isfinite(error))
        return DIGITS;
    place = (int)floor(log10(error));
    /* 0.096 rounds to 0.10: its first digit is a 1 after rounding. */
    if (error / pow(10.0, place) >= 9.5)
        place++;
    if (error / pow(10.0, place) < 1.95)
        return within(1 - place);
    return within(-place);
}

void number_fixed(double value, int decimals, char text[NUMBER_TEXT])
{
    enum { HUGE_AT = 1000000 };

    if (!isfinite(value))
        (void)snprintf(text, NUMBER_TEXT, "%s",
                       isnan(value)  ? "nan"
                       : value > 0.0 ? "inf"
                                     : "-inf");
    else if (fabs(value) >= (double)HUGE_AT)
        (void)snprintf(text, NUMBER_TEXT, "%.6g", value);
    else
        (void)snprintf(text, NUMBER_TEXT, "%.*f", decimals, value);
}

void number_short(double value, char text[NUMBER_TEXT])
{
    enum { SHORT = 6 };

    json_format_real(value, text, NUMBER_TEXT);
    if (strlen(text) > SHORT)
        number_fixed(value, number_decimals(&value, 1), text);
}

char *number_value_text(const json_t *value)
{
    char text[NUMBER_TEXT];

    if (json_is_string(value))
        return xstrdup(json_string_value(value));
    if (!json_is_number(value))
        return json_canonical(value);
    number_short(json_number_value(value), text);
    return xstrdup(text);
}

void number_with_error(double value, double error, bool utf8,
                       char text[NUMBER_TEXT])
{
    int decimals = decimals_of_error(error);
    char left[32];
    char right[32];

    if (!(error > 0.0)) {
        number_short(value, text);
        return;
    }
    (void)snprintf(left, sizeof left, "%.*f", decimals, value);
    (void)snprintf(right, sizeof right, "%.*f", decimals, error);
    (void)snprintf(text, NUMBER_TEXT, "%s %s%s", left, utf8 ? "±" : "+-",
                   right);
}

void number_duration(int64_t ms, char text[NUMBER_TEXT])
{
    int64_t s = (ms + 500) / 1000;

    if (ms < 1000)
        (void)snprintf(text, NUMBER_TEXT, "%dms", (int)ms);
    else if (ms < 9950)
        (void)snprintf(text, NUMBER_TEXT, "%.1fs", (double)ms / 1000.0);
    else if (s < 60)
        (void)snprintf(text, NUMBER_TEXT, "%ds", (int)s);
    else if (s < 3600)
        (void)snprintf(text, NUMBER_TEXT, "%dm%02ds", (int)(s / 60),
                       (int)(s % 60));
    else if (s < 86400)
        (void)snprintf(text, NUMBER_TEXT, "%dh%02d", (int)(s / 3600),
                       (int)(s / 60 % 60));
    else
        (void)snprintf(text, NUMBER_TEXT, "%lldd%02dh", (long long)(s / 86400),
                       (int)(s / 3600 % 24));
}

void number_bytes(uint64_t bytes, char text[NUMBER_TEXT])
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 999.95 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000.0;
        unit++;
    }
    (void)snprintf(text, NUMBER_TEXT, unit == 0 ? "%.0f %s" : "%.1f %s", value,
                   units[unit]);
}

const char *number_plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}
