#!/usr/bin/env python3
"""Writes model/unicode_folds.c: what letters are without accents and in lower
case, and which code points are marks, punctuation or control characters.

    python3 model/unicode_fold.py > model/unicode_folds.c
"""
import sys
import unicodedata

HANGUL = range(0xAC00, 0xD7A4)  # computed


def everything():
    return (c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF)


def category(c):
    return unicodedata.category(chr(c))


def ranges(wanted):
    found, first = [], None
    for c in range(0x110001):
        there = c < 0x110000 and wanted(c)
        if there and first is None:
            first = c
        if not there and first is not None:
            found.append((first, c - 1))
            first = None
    return found


def fold(c):
    parts = unicodedata.normalize("NFD", chr(c))
    return [ord(x) for p in parts if category(ord(p)) != "Mn" for x in p.lower()]


def changed():
    folds = {}
    for c in everything():
        if c in HANGUL or category(c) == "Mn":
            continue
        if fold(c) != [c]:
            folds[c] = fold(c)
    return folds


def longest_run(one, c):
    best = (1, 1, 0)
    for step in (1, 2):
        for rise in (0, 1, 2):
            n = 1
            while (
                one.get(c + n * step) == one[c] + n * rise
                and (step == 1 or c + n * step - 1 not in one)
            ):
                n += 1
            if n > best[0]:
                best = (n, step, rise)
    return best


def runs(one):
    """(first, last, step, to, rise): every `step`th of them, rising by `rise`.
    They do not overlap."""
    found = []
    for c in sorted(one):
        if found and c <= found[-1][1]:
            continue
        n, step, rise = longest_run(one, c)
        found.append((c, c + (n - 1) * step, step, one[c], rise))
    return found


def table(kind, name, rows, form, abreast):
    print(f"const struct {kind} {name}[] = {{")
    for at in range(0, len(rows), abreast):
        print("    " + " ".join(form % r for r in rows[at : at + abreast]))
    print("};")
    print(f"const size_t {name}_count = {len(rows)};\n")


def main():
    folds = changed()
    one = {c: f[0] for c, f in folds.items() if len(f) == 1}
    more = [
        (c, *(f + [0])[:3]) for c, f in sorted(folds.items()) if len(f) > 1
    ]
    assert all(len(f) <= 3 for f in folds.values())
    print("/* unicode_folds.c -- made by model/unicode_fold.py from Unicode")
    print(f" * {unicodedata.unidata_version}; change that, not this. */")
    print('#include "model/unicode_fold.h"\n')
    print("/* clang-format off */")
    pair = "{ 0x%X, 0x%X },"
    table("unicode_run", "unicode_runs", runs(one), "{ 0x%X, 0x%X, %d, 0x%X, %d },", 3)
    table("unicode_parts", "unicode_parted", more, "{ 0x%X, { 0x%X, 0x%X, 0x%X } },", 2)
    table("unicode_range", "unicode_marks", ranges(lambda c: category(c) == "Mn"), pair, 4)
    table("unicode_range", "unicode_punctuation", ranges(lambda c: category(c)[0] == "P"), pair, 4)
    table("unicode_range", "unicode_controls", ranges(lambda c: category(c) in ("Cc", "Cf", "Co")), pair, 4)
    print("/* clang-format on */")


if __name__ == "__main__":
    sys.exit(main())
