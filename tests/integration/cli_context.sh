#!/bin/bash
# Brokers by name: login, context, --context, and which of several ways to
# name one counts.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/noop.sh"
unset SINTER_KEY SINTER_BROKER_KEY SINTER_HTTP_TOKEN_FILE SINTER_PLAINTEXT SINTER_CONTEXT
export XDG_CONFIG_HOME=$WORK/config
file=$XDG_CONFIG_HOME/sinter/contexts.json

assert_exit 0 sinter context
assert_contains err.txt "sinter login NAME --broker"
assert_exit 5 sinter ls --context lab
assert_contains err.txt "there is no context lab, nor any other"
assert_exit 1 env -u HOME -u XDG_CONFIG_HOME sinter login lab --broker lab --offline
assert_contains err.txt "neither HOME nor XDG_CONFIG_HOME"

# Two farms, one of them with keys.
assert_exit 0 sinter keygen keys
broker plain
plain=$CLIENTS
unset HTTP
broker secret --key keys/broker.key --allow keys
secret=$CLIENTS
noop_sweep one.yaml one 2 0
noop_sweep two.yaml two 2 0

# login tries the broker, and keeps where the keys are from here.
assert_exit 2 sinter login lab
assert_contains err.txt "say --broker URL"
assert_exit 2 sinter login "a b" --broker "$plain"
assert_exit 6 sinter login lab --broker "ipc://$WORK/nothing" --timeout 300ms
[ ! -e "$file" ] || fail "a broker that does not answer is kept"
assert_exit 1 sinter login lab --broker "$secret" --key nokey
assert_contains err.txt nokey
assert_exit 0 sinter login plain --broker "$plain"
assert_contains err.txt "plain is the current context now"
assert_exit 0 sinter login lab --broker "$secret" --key keys/client.key --broker-key keys/broker.pub
assert_exit 0 sinter login away --broker away.lab --offline
assert_equal "mode" "$(stat -c %a "$file")" 600
assert_exit 0 sinter context use lab
assert_exit 0 sinter context ls
assert_contains out.txt "$WORK/keys/client.key"
grep -q '^ *lab *current ' out.txt || fail "lab is not current: $(cat out.txt)"
assert_exit 0 sinter context -q
assert_equal "names" "$(tr '\n' ' ' <out.txt)" "plain lab away "
assert_exit 0 sinter context --json
assert_contains out.txt '"current": "lab"'

# From elsewhere, by whatever names it.
mkdir elsewhere
cd elsewhere
assert_exit 0 sinter submit ../one.yaml # the current one: lab
assert_exit 0 sinter --context plain submit ../two.yaml
is() { # WHICH COMMAND...: it sees this sweep and no other
    local which=$1
    shift
    assert_exit 0 "$@" ls
    sed -n '2,$p' out.txt | awk '{print $2}' >seen.txt
    assert_equal "sweeps of $*" "$(cat seen.txt)" "$which"
}
is one sinter
is two sinter --context plain
is two sinter -b "$plain"
is two env SINTER_CONTEXT=plain sinter
is two env SINTER_BROKER="$plain" sinter
is one env SINTER_BROKER="$plain" sinter --context lab
is two env SINTER_CONTEXT=lab sinter -b "$plain"
is one env SINTER_BROKER="$plain" SINTER_CONTEXT=lab sinter
# A key of one's own goes before that of the context.
assert_exit 4 sinter --context lab gc
assert_exit 0 sinter --context lab --key ../keys/admin.key gc
assert_exit 1 sinter --context lab --key nokey gc
assert_exit 2 sinter ls --context lab --broker "$plain"
assert_contains err.txt "one of them"

# A farm in the directory is nearer than the current context.
assert_exit 0 sinter run ../one.yaml --workers 1
noop_sweep three.yaml three 1 0
assert_exit 0 sinter run three.yaml --workers 1
assert_exit 0 sinter -q ls
assert_equal "sweeps of this directory" "$(wc -l <out.txt)" 2
is one sinter --context lab
cd ..

assert_exit 5 sinter context use nobody
assert_contains err.txt "there are: plain, lab, away"
assert_exit 2 sinter context rm
assert_exit 2 sinter context drop
assert_exit 0 sinter context rm lab
assert_exit 6 sinter ls --timeout 300ms
assert_contains err.txt "there is no farm in .sinter"
assert_exit 0 sinter context use plain
is two sinter
assert_exit 0 sinter context use
assert_exit 6 sinter ls --timeout 300ms
echo nonsense >"$file"
assert_exit 1 sinter context
assert_contains err.txt contexts.json
assert_exit 0 sinter -b "$plain" ls # asks nobody

rm "$file"
assert_exit 0 sinter login plain --broker "$plain"
stop plain
assert_exit 6 sinter ls --timeout 300ms # whose broker that is, is said
assert_contains err.txt "context plain: "
stop secret
