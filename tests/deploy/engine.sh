# shellcheck shell=bash
# engine.sh -- for the scripts that run containers: a Docker engine of their
# own in namespaces of its own, so that no bridge, rule, mount or process of it
# is left, whatever becomes of them. Where it cannot start they are skipped.
#
#   set -euo pipefail
#   . "$(dirname "$0")/engine.sh" "$@"     # PROGRAMS STATE
#
# STATE holds the images that one script leaves for the next. Nothing leads out
# of the engine's network, unless SINTER_TEST_MIRROR is set (mirror.sh).

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SOURCE=$(cd "$here/../.." && pwd)
STATE=${2:?usage: $0 PROGRAMS STATE}
PATH=$PATH:/usr/sbin:/sbin
. "$here/images.sh"
programs=(dockerd docker docker-compose ip iptables jq python3)
if [ -n "${SINTER_TEST_MIRROR:-}" ]; then
    . "$here/mirror.sh"
    programs+=(debootstrap nginx setpriv)
fi
if [ -z "${SINTER_TEST_ALONE:-}" ]; then
    for program in "${programs[@]}"; do
        command -v "$program" >/dev/null ||
            { echo "SKIPPED: no $program here"; exit 77; }
    done
    [ -z "${SINTER_TEST_MIRROR:-}" ] || mirror_outside
fi
. "$SOURCE/tests/integration/alone.sh" "an engine" --mount --net --pid --fork \
    --kill-child --mount-proc -- "$@"
. "$SOURCE/tests/integration/lib.sh" "$1"

GROUP=/${WORK##*/}
engine_stop() {
    local status=$?
    trap - EXIT
    docker ps -aq 2>/dev/null | xargs -r docker rm -fv >/dev/null 2>&1 || true
    if [ -n "${PID[engine]:-}" ]; then stop engine; fi
    find /sys/fs/cgroup -depth -path "*$GROUP*" -type d -exec rmdir {} + 2>/dev/null || true
    rm -rf "${DOOR:-}"
    umount "$WORK"/run/* "$WORK"/run/netns/* 2>/dev/null || true
    (exit "$status") || cleanup
    cleanup
}
trap engine_stop EXIT

export DOCKER_HOST=unix://$WORK/docker.sock DOCKER_BUILDKIT=0 HOME=$WORK
ip link set lo up 2>engine.log || skip "no network here: $(cat engine.log)"
if [ -n "${SINTER_TEST_MIRROR:-}" ]; then
    mirror_inside
    PID["proxy"]=$PROXY_PID
fi
# Without --bip an engine that starts for the first time does not say what the
# address of its bridge is.
start engine dockerd --data-root "$STATE/docker" --exec-root "$WORK/run" --bip 172.17.0.1/16 \
    --pidfile "$WORK/docker.pid" -H "$DOCKER_HOST" --cgroup-parent "$GROUP"
engine_up() { docker version >"$WORK/version" 2>&1; }
for _ in $(seq 300); do
    engine_up && break
    running engine || skip "the engine does not start: $(tail -n 3 engine.log)"
    read -r -t 0.1 <> <(:) || true
done
engine_up || fail "the engine does not answer"
docker ps -aq | xargs -r docker rm -fv >/dev/null
docker network prune -f >/dev/null
docker volume prune -f >/dev/null
