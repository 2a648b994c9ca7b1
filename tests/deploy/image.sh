#!/bin/bash
# The image: built by a real engine, no larger than promised, and its programs
# run as nobody in particular on a root that cannot be written to.
#
#   image.sh PROGRAMS STATE
set -euo pipefail
. "$(dirname "$0")/engine.sh" "$@"
. "$SOURCE/tests/integration/noop.sh"

MOST_MB=60 # beyond the base
took() { # WHAT COMMAND...
    local began=$SECONDS
    "${@:2}"
    echo "$1: $((SECONDS - began)) s"
}
took base base
took "base and tools" tools
took image sinter_image --build-arg VERSION=0.0.7 --build-arg REVISION=0123456789abcdef

# ---- how large, and of what

size() { docker image inspect -f '{{.Size}}' "$1"; }
more=$((($(size $IMAGE) - $(size $BASE)) / 1000000))
content() { # IMAGE
    docker create --name content "$1" true >/dev/null
    docker export content | tar -tv | awk '$1 ~ "^-" { print $3, $6 }' | sort >"$2"
    docker rm content >/dev/null
}
content $IMAGE content
content $BASE base.content
echo "image: $more MB beyond the base, of that:"
comm -23 content base.content | sort -rn | awk 'NR <= 12 { printf "%6.1f %s\n", $1 / 1e6, $2 }'
[ $more -lt $MOST_MB ] || fail "the image is $more MB beyond its base, the most is $MOST_MB"
label() { docker image inspect -f "{{index .Config.Labels \"org.opencontainers.image.$1\"}}" $IMAGE; }
assert_equal title "$(label title)" sinter
assert_equal version "$(label version)" 0.0.7
assert_equal revision "$(label revision)" 0123456789abcdef
assert_equal licence "$(label licenses)" Apache-2.0
[ -n "$(label description)" ] || fail "the image does not say what it is"
! grep -E ' (usr/bin/(gcc|cmake)|usr/include/)' content || fail "tools of the build in the image"

# ---- each program, as strictly as a cluster would have it

strictly=(--read-only --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp)
for program in sinter sinter-broker sinter-worker; do
    docker run --rm "${strictly[@]}" --network none --entrypoint $program $IMAGE --version >out.txt
    assert_equal "version of $program" "$(cut -d' ' -f1 out.txt)" $program
done
docker network create farm >/dev/null
farm() { # NAME PROGRAM OPTION...
    docker run -d --name "$1" "${strictly[@]}" --network farm --entrypoint "$2" \
        -v /data -v /cache $IMAGE "${@:3}" >/dev/null
}
pid_of() { docker inspect -f '{{.State.Pid}}' "$1"; }
farm broker sinter-broker --workers 'tcp://*:7420' --clients 'tcp://*:7421' --plaintext \
    --http 0.0.0.0:7422 --http-open
farm worker sinter-worker --broker tcp://broker:7420 --plaintext --cache /cache --slots 1
healthy() { docker exec "$1" "${@:2}"; }
wait_until 20 "a healthy broker" healthy broker sinter-broker health
wait_until 20 "a healthy worker" healthy worker sinter-worker health --cache /cache
joined() { docker exec broker sinter -q workers -b tcp://127.0.0.1:7421 | grep .; }
wait_until 20 "the worker at the broker" joined
for name in broker worker; do
    pid=$(pid_of $name)
    assert_equal "user of $name" "$(awk '/^Uid/ { print $2 }' "/proc/$pid/status")" 65532
    assert_equal "rights of $name" "$(awk '/^CapEff/ { print $2 }' "/proc/$pid/status")" \
        0000000000000000
done

# ---- process 1: reaps what is left to it, ends when told

zombies() { ps -o stat= --ppid "$(pid_of "$1")" | grep -c Z || true; }
none() { [ "$(zombies "$1")" = 0 ]; }
for name in broker worker; do
    docker exec $name sh -c 'sleep 0.2 & sleep 0.2 &'
done
noop_sweep job.yaml job 1 1500ms
docker exec -i broker sinter submit -b tcp://127.0.0.1:7421 - <job.yaml >/dev/null
slots() { children "$(pid_of worker)"; }
has_slot() { slots | grep .; }
wait_until 20 "a slot" has_slot
slot=$(slots | head -n 1)
kill -9 "$slot"
gone() { [ ! -e "/proc/$1" ]; }
wait_until 10 "the dead slot to be reaped" gone "$slot"
read -r -t 0.5 <> <(:) || true
wait_until 5 "orphans of the worker to be reaped" none worker
wait_until 5 "orphans of the broker to be reaped" none broker
wait_until 20 "the worker after its slot died" healthy worker sinter-worker health --cache /cache
for name in worker broker; do
    began=$SECONDS
    docker stop -t 30 $name >/dev/null
    [ $((SECONDS - began)) -lt 15 ] || fail "$name took $((SECONDS - began)) s to stop"
    assert_equal "exit of $name" "$(docker inspect -f '{{.State.ExitCode}}' $name)" 0
done
