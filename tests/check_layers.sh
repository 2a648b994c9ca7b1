#!/bin/bash
# Who may include whom (docs/architecture.md), each third-party header only in
# the files made for it, and every folder in the image's build too:
# tests/check_layers.sh [ROOT]
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"
fault=0

# FOLDER: folders whose headers it may include, itself among them. The longest
# FOLDER that a file is in counts.
layers='
common       common
tensor       common tensor
sources      common tensor sources
model        common tensor model
sweep        common sweep
jobs         common tensor model sweep jobs
httpd        common httpd
client       common client
broker/core  common sweep broker/core
broker       common sweep httpd broker/core broker
worker/core  common worker/core
worker       common tensor sources model jobs httpd worker/core worker
cli          common tensor sources sweep jobs client cli
bench        common tensor model sweep jobs client broker/core broker bench
tests        common tensor sources model sweep jobs httpd client broker/core broker worker/core worker cli bench tests support
'

# HEADER: the files that may include it. A '*' is any part of a path.
doors='
jansson.h       common/json.h
msgpack.h       tests/contract/test_wire.c tests/fuzz/fuzz_wire.c
zmq.h           common/curve.c common/dealer.c broker/gate.c broker/link_zmq.c bench/bench_fleet.c tests/*
curl/*          common/http_internal.h
openssl/*       common/digest.c
cblas.h         tensor/blas.c tensor/lapack.c tensor/one_thread.h
openblas*       tensor/blas.c
lapack*.h       tensor/lapack.c
arpack*         tensor/lapack.c
yaml.h          sweep/yaml.c
sqlite3.h       broker/store_sqlite.h
hiredis/*       broker/store_redis.h
microhttpd.h    httpd/httpd.h
cairo*          cli/canvas.h cli/canvas.c
cmocka.h        tests/support/test.h
'

# FOLDER: headers of ours that do not belong in it, for it owns no socket, no
# clock and no log. Cores take the units of time from clock.h; that they do
# not ask for the time is seen by tests/check_symbols.sh.
pure='
broker/core  common/dealer.h common/http.h common/log.h
worker/core  common/dealer.h common/http.h common/log.h
sweep        common/dealer.h common/http.h common/log.h common/clock.h
tensor       common/dealer.h common/http.h common/log.h common/clock.h
model        common/dealer.h common/http.h common/log.h common/clock.h
jobs         common/dealer.h common/http.h common/log.h common/clock.h
'

declare -A may refuses door
while read -r name rest; do
    [ -n "$name" ] && may[$name]=$rest
done <<<"$layers"
while read -r name rest; do
    [ -n "$name" ] && refuses[$name]=$rest
done <<<"$pure"
while read -r name rest; do
    [ -n "$name" ] && door[$name]=$rest
done <<<"$doors"

complain() {
    echo "$1"
    fault=1
}

# Sets $folder to the longest one of the table that PATH is in; "": none.
find_folder() { # PATH
    folder=${1%/*}
    while [ -z "${may[$folder]-}" ]; do
        if [ "$folder" = "${folder%/*}" ]; then
            folder=
            return
        fi
        folder=${folder%/*}
    done
}

# is_one_of WORD PATTERN...
is_one_of() {
    local word=$1 pattern
    shift
    for pattern in "$@"; do
        # shellcheck disable=SC2053 # the pattern is meant as one
        [[ $word == $pattern ]] && return 0
    done
    return 1
}

check_own() { # FILE HEADER
    local from allowed refused
    find_folder "$1"
    from=$folder
    find_folder "$2"
    [[ $2 == support/* ]] && folder=support
    read -ra allowed <<<"${may[$from]}"
    read -ra refused <<<"${refuses[$from]-}"
    if [ -z "$folder" ]; then
        complain "$1 includes \"$2\": write the path from the root"
    elif ! is_one_of "$folder" "${allowed[@]}"; then
        complain "$1 includes \"$2\": $from may include ${allowed[*]}"
    elif is_one_of "$2" ${refused[@]+"${refused[@]}"}; then
        complain "$1 includes \"$2\": $from owns no such thing"
    fi
}

check_foreign() { # FILE HEADER
    local header allowed
    for header in "${!door[@]}"; do
        read -ra allowed <<<"${door[$header]}"
        if is_one_of "$2" "$header" && ! is_one_of "$1" "${allowed[@]}"; then
            complain "$1 includes <$2>: its door is ${allowed[*]}"
        fi
    done
}

count=0
while IFS=: read -r file line; do
    header=${line#*[\"<]}
    header=${header%%[\">]*}
    case $line in
    *\"*) check_own "$file" "$header" ;;
    *) check_foreign "$file" "$header" ;;
    esac
    count=$((count + 1))
done < <(grep -rE --include='*.[ch]' '^ *# *include *["<]' \
    common tensor sources model sweep jobs httpd client broker worker cli bench tests)
# Folders of a build without tests are what an image is built from.
for folder in $(sed -n 's/^add_subdirectory(\(.*\))$/\1/p' CMakeLists.txt); do
    grep -qx "!$folder" .dockerignore ||
        complain "$folder is built, but .dockerignore keeps it from the image"
done
echo "$count includes"
[ $count -gt 0 ] && exit $fault
