#!/bin/bash
# Every file that README.md and docs/ name in backticks or link to is there:
# tests/check_docs.sh [ROOT]
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"
fault=0
count=0

# named FILE: paths with a folder, as `broker/core/sched.c` or `docs/x.md`.
# shellcheck disable=SC2016 # the backticks are the page's
named() { grep -oE '`[A-Za-z0-9_.][A-Za-z0-9_./-]*/[A-Za-z0-9_.-]+\.(c|h|md|sh|ya?ml|cmake)`' "$1" | tr -d '`' || true; }

# linked FILE: targets of [text](target) that are no URL, without #section.
linked() { grep -oE '\]\([^)#: ]+' "$1" | cut -c3- || true; }

while read -r page; do
    while read -r path; do
        count=$((count + 1))
        if [ ! -e "$path" ]; then
            echo "$page names $path, which is not there"
            fault=1
        fi
    done < <(named "$page" | sort -u)
    while read -r path; do
        count=$((count + 1))
        if [ ! -e "$(dirname "$page")/$path" ]; then
            echo "$page links to $path, which is not there"
            fault=1
        fi
    done < <(linked "$page" | sort -u)
done < <(find README.md docs -name '*.md')
echo "$count paths"
exit $fault
