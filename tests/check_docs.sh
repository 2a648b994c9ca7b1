#!/bin/bash
# Every file that README.md and docs/ name in backticks or link to is there,
# and the programs know every option that stands behind their names (docs/cli.md
# and docs/operations.md are made from them): tests/check_docs.sh [ROOT]
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"
fault=0
count=0

# named FILE: paths with a folder, as `broker/core/sched.c` or `docs/x.md`.
# shellcheck disable=SC2016 # the backticks are the page's
named() { grep -oE '`[A-Za-z0-9_.][A-Za-z0-9_./-]*/[A-Za-z0-9_.-]+\.(c|h|md|sh|ya?ml|cmake)`' "$1" | tr -d '`' || true; }

# linked FILE: targets of [text](target) that are no URL, without #section.
linked() { grep -oE '\]\([^)#: ]+' "$1" | cut -c3- || true; }

options() { grep -oE -- '--[a-z][a-z-]+' || true; }
known=$(
    options <docs/cli.md
    grep -E '^\| `--' docs/operations.md | cut -d'|' -f2 | options
)

# used FILE: options in commands, as in `sinter run X --workers 2`; a line that
# ends with a backslash goes on.
# shellcheck disable=SC2016 # the backticks are the page's
used() {
    sed -e ':more' -e '/\\$/{N;s/\\\n//;b more' -e '}' "$1" |
        grep -oE '(^|[ `(])sinter(-broker|-worker)? [^`|;#]*' | options
}

while read -r page; do
    while read -r option; do
        count=$((count + 1))
        if ! grep -qxF -- "$option" <<<"$known"; then
            echo "$page has an option $option, which no program knows"
            fault=1
        fi
    done < <(used "$page" | sort -u)
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
echo "$count paths and options"
exit $fault
