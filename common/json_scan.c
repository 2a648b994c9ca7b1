#include "common/json_scan.h"

#include <string.h>

enum {
    DEPTH_MOST = 16,
    NAMES_MOST = 32,  /* of one object: each is compared with all */
    DIGITS_MOST = 17, /* before and behind the point together */
    EXPONENT_DIGITS = 2,
};

struct scan {
    const char *at, *end;
    int depth;
};

struct name {
    const char *text;
    size_t size;
};

static bool take(struct scan *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static void skip_blanks(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' ||
                              *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

static bool take_text(struct scan *s, struct name *ret_text)
{
    if (!take(s, '"'))
        return false;
    ret_text->text = s->at;
    while (s->at < s->end && *s->at != '"') {
        if (*s->at < ' ' || *s->at > '~' || *s->at == '\\')
            return false;
        s->at++;
    }
    ret_text->size = (size_t)(s->at - ret_text->text);
    return take(s, '"');
}

static int take_digits(struct scan *s)
{
    const char *from = s->at;

    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return (int)(s->at - from > 100 ? 100 : s->at - from);
}

static bool take_exponent(struct scan *s)
{
    int digits;

    if (!take(s, 'e') && !take(s, 'E'))
        return true;
    if (!take(s, '-'))
        (void)take(s, '+');
    digits = take_digits(s);
    return digits > 0 && digits <= EXPONENT_DIGITS;
}

static bool take_number(struct scan *s)
{
    int digits;

    (void)take(s, '-');
    if (take(s, '0'))
        digits = 1;
    else
        digits = take_digits(s);
    if (digits == 0)
        return false;
    if (take(s, '.')) {
        int more = take_digits(s);

        if (more == 0)
            return false;
        digits += more;
    }
    return digits <= DIGITS_MOST && take_exponent(s);
}

static bool take_word(struct scan *s, const char *word)
{
    size_t size = strlen(word);

    if ((size_t)(s->end - s->at) < size || memcmp(s->at, word, size) != 0)
        return false;
    s->at += size;
    return true;
}

static bool take_value(struct scan *s);

static bool is_new(const struct name *names, size_t count,
                   const struct name *name)
{
    for (size_t i = 0; i < count; i++)
        if (names[i].size == name->size &&
            memcmp(names[i].text, name->text, name->size) == 0)
            return false;
    return true;
}

static bool take_object(struct scan *s)
{
    struct name names[NAMES_MOST];
    size_t count = 0;

    if (!take(s, '{'))
        return false;
    skip_blanks(s);
    if (take(s, '}'))
        return true;
    do {
        skip_blanks(s);
        if (count == NAMES_MOST || !take_text(s, &names[count]) ||
            !is_new(names, count, &names[count]))
            return false;
        count++;
        skip_blanks(s);
        if (!take(s, ':') || !take_value(s))
            return false;
        skip_blanks(s);
    } while (take(s, ','));
    return take(s, '}');
}

static bool take_array(struct scan *s)
{
    if (!take(s, '['))
        return false;
    skip_blanks(s);
    if (take(s, ']'))
        return true;
    do {
        if (!take_value(s))
            return false;
        skip_blanks(s);
    } while (take(s, ','));
    return take(s, ']');
}

static bool take_any(struct scan *s)
{
    struct name text;

    switch (*s->at) {
    case '{':
        return take_object(s);
    case '[':
        return take_array(s);
    case '"':
        return take_text(s, &text);
    case 't':
        return take_word(s, "true");
    case 'f':
        return take_word(s, "false");
    case 'n':
        return take_word(s, "null");
    default:
        return take_number(s);
    }
}

static bool take_value(struct scan *s)
{
    bool taken;

    skip_blanks(s);
    if (s->at == s->end || ++s->depth > DEPTH_MOST)
        return false;
    taken = take_any(s);
    s->depth--;
    return taken;
}

bool json_is_plain_object(const char *text, size_t size)
{
    struct scan s = { .at = text, .end = text + size };

    if (size == 0)
        return false;
    skip_blanks(&s);
    if (!take_object(&s))
        return false;
    skip_blanks(&s);
    return s.at == s.end;
}

const char *json_end_of_text(const char *at, const char *end)
{
    while (at < end && *at != '"')
        at += *at == '\\' && end - at > 1 ? 2 : 1;
    return at < end ? at : NULL;
}
