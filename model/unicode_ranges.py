#!/usr/bin/env python3
"""Writes model/unicode_ranges.c: which code points are letters, numbers, or
need care in normal form C, as sorted ranges.

    python3 model/unicode_ranges.py > model/unicode_ranges.c
"""
import sys
import unicodedata


def ranges(wanted):
    found, first = [], None
    for c in range(0x110000):
        if wanted(c) and first is None:
            first = c
        if not wanted(c) and first is not None:
            found.append((first, c - 1))
            first = None
    return found


def category(letter):
    return lambda c: unicodedata.category(chr(c))[0] == letter


def not_composed():
    """What normal form C could change: it decomposes for good, has a class of
    its own, or may be swallowed by what stands in front of it."""
    second = set()
    for c in range(0x110000):
        parts = unicodedata.decomposition(chr(c)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            second.add(int(parts[1], 16))
    second.update(range(0x1161, 0x1176))  # vowels and finals of Hangul
    second.update(range(0x11A8, 0x11C3))

    def wanted(c):
        if 0xD800 <= c <= 0xDFFF:
            return False
        text = chr(c)
        return (
            c in second
            or unicodedata.combining(text) != 0
            or unicodedata.normalize("NFC", text) != text
        )

    return wanted


def table(name, found):
    print(f"const struct unicode_range {name}[] = {{")
    for at in range(0, len(found), 3):
        row = " ".join("{ 0x%X, 0x%X }," % r for r in found[at : at + 3])
        print("    " + row)
    print("};")
    print(f"const size_t {name}_count = {len(found)};\n")


def main():
    print("/* unicode_ranges.c -- made by model/unicode_ranges.py from Unicode")
    print(f" * {unicodedata.unidata_version}; change that, not this. */")
    print('#include "model/unicode.h"\n')
    print("/* clang-format off */")
    table("unicode_letters", ranges(category("L")))
    table("unicode_numbers", ranges(category("N")))
    table("unicode_not_composed", ranges(not_composed()))
    print("/* clang-format on */")


if __name__ == "__main__":
    sys.exit(main())
