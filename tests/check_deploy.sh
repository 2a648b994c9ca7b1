#!/bin/bash
# Every flag that a manifest gives to a program of ours is one the program
# knows: tests/check_deploy.sh BIN-DIRECTORY
set -euo pipefail
bin=$(cd "${1:?usage: check_deploy.sh BIN-DIRECTORY}" && pwd)
cd "$(dirname "$0")/.."
fault=0

# known PROGRAM: its flags, one a line.
known() { "$bin/$1" --help | grep -oE '(^|[ ,])--[a-z-]+' | tr -d ' ,' | sort -u; }

# given FILE PROGRAM: flags of the list that starts at the line naming PROGRAM.
given() {
    awk -v program="$2" '
        $0 ~ "[[ ]" program "([],]|$)" { inside = 1; next }
        inside && /^ *(ports|volumes|volumeMounts|env|resources|command|healthcheck):/ { inside = 0 }
        inside { print }' "$1" | grep -oE '[-] --[a-z-]+' | cut -c3- | sort -u
}

for program in sinter-broker sinter-worker; do
    for file in deploy/compose/compose.yaml deploy/k8s/base/*.yaml deploy/k8s/overlays/*/*.yaml; do
        flags=$(given "$file" "$program" || true)
        [ -z "$flags" ] && continue
        unknown=$(comm -13 <(known "$program") <(printf '%s\n' "$flags"))
        for flag in $unknown; do
            echo "$file gives $program $flag, which it does not know"
            fault=1
        done
        echo "$file: $program $(wc -w <<<"$flags") flags"
    done
done
# What renders them, where it is there: no manifest is lost, no patch misses.
for overlay in deploy/k8s/base deploy/k8s/overlays/*; do
    command -v kubectl >/dev/null || break
    made=$(kubectl kustomize "$overlay") || fault=1
    echo "$overlay: $(grep -c '^kind:' <<<"$made") objects"
done
if command -v docker-compose >/dev/null; then
    docker-compose -f deploy/compose/compose.yaml --profile ha config -q || fault=1
fi
exit $fault
