# shellcheck shell=bash
# engine.sh -- for the scripts that run containers: a Docker engine of their
# own in namespaces of its own, so that no bridge, rule, mount or process of it
# is left, whatever becomes of them. Where it cannot start they are skipped.
#
#   set -euo pipefail
#   . "$(dirname "$0")/engine.sh" "$@"     # PROGRAMS STATE
#
# STATE holds what one script leaves for the next: images and fetched packages.
# Out of its network leads only a proxy for the package mirror of this machine.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SOURCE=$(cd "$here/../.." && pwd)
BASE=localhost/debian:bookworm-slim
# shellcheck disable=SC2034 # of the scripts
IMAGE=sinter:local
PROXY_PORT=3142

# ---- the way to the mirror, begun outside

mirrors() { # URI SUITE: where this machine has its packages from
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' \
        'Component: main' | grep -E '^http://.* bookworm' | sort -u
}

forward() { # DIRECTORY LISTEN PASS: nginx that passes requests on
    mkdir -p "$1" "$STATE/packages"
    cat >"$1/nginx.conf" <<CONF
daemon off;
master_process off; # or its child outlives a kill -9
user root;
error_log $1/error.log;
pid $1/nginx.pid;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $1/body;
    proxy_temp_path $1/proxy;
    fastcgi_temp_path $1/fastcgi;
    uwsgi_temp_path $1/uwsgi;
    scgi_temp_path $1/scgi;
    proxy_max_temp_file_size 0;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host \$http_host;
    $4
    server {
        listen $2;
        location / { proxy_pass $3; }
    }
}
CONF
    setpriv --pdeathsig KILL nginx -e "$1/error.log" -p "$1" -c "$1/nginx.conf" &
    PROXY_PID=$!
}

STATE=${2:?usage: $0 PROGRAMS STATE}
PATH=$PATH:/usr/sbin:/sbin
if [ -z "${SINTER_TEST_ALONE:-}" ]; then
    for program in dockerd docker docker-compose debootstrap nginx ip iptables setpriv; do
        command -v $program >/dev/null ||
            { echo "SKIPPED: no $program here"; exit 77; }
    done
    [ -n "$(mirrors)" ] || { echo "SKIPPED: no mirror for bookworm by http"; exit 77; }
    DOOR=$(mktemp -d /tmp/sinter-door.XXXXXX)
    export DOOR
    # shellcheck disable=SC2016 # nginx' variables
    forward "$DOOR" "unix:$DOOR/socket" 'http://$http_host$request_uri' \
        "resolver $(sed -n 's/^nameserver *\([0-9.]*\)$/\1/p' /etc/resolv.conf | head -1) ipv6=off;
         proxy_cache_path $STATE/packages keys_zone=packages:1m max_size=1g inactive=1d;
         proxy_cache packages; proxy_cache_valid 200 1h;"
fi
. "$SOURCE/tests/integration/alone.sh" "an engine" --mount --net --pid --fork \
    --kill-child --mount-proc -- "$@"
. "$SOURCE/tests/integration/lib.sh" "$1"

# ---- the engine

GROUP=/${WORK##*/}
engine_stop() {
    local status=$?
    trap - EXIT
    docker ps -aq 2>/dev/null | xargs -r docker rm -fv >/dev/null 2>&1 || true
    if [ -n "${PID[engine]:-}" ]; then stop engine; fi
    find /sys/fs/cgroup -maxdepth 2 -path "*$GROUP" -exec rmdir {} + 2>/dev/null || true
    rm -rf "$DOOR"
    umount "$WORK"/run/* 2>/dev/null || true
    (exit "$status") || cleanup
    cleanup
}
trap engine_stop EXIT

export DOCKER_HOST=unix://$WORK/docker.sock DOCKER_BUILDKIT=0 HOME=$WORK
ip link set lo up
# shellcheck disable=SC2016
forward "$WORK/proxy" $PROXY_PORT "http://unix:$DOOR/socket:" ''
PID[proxy]=$PROXY_PID
start engine dockerd --data-root "$STATE/docker" --exec-root "$WORK/run" \
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
PROXY=http://$(docker network inspect bridge -f '{{(index .IPAM.Config 0).Gateway}}'):$PROXY_PORT

# ---- images

have() { docker image inspect "$1" >/dev/null 2>&1; }

base() { # debian:bookworm-slim, made here
    local root=$WORK/base uri suite
    have $BASE && return
    mkdir -p "$root/etc/dpkg/dpkg.cfg.d"
    printf '%s\n' force-unsafe-io 'path-exclude=/usr/share/doc/*' \
        'path-include=/usr/share/doc/*/copyright' 'path-exclude=/usr/share/man/*' \
        'path-exclude=/usr/share/locale/*' >"$root/etc/dpkg/dpkg.cfg.d/slim"
    read -r uri suite < <(mirrors | grep ' bookworm$')
    http_proxy=http://127.0.0.1:$PROXY_PORT debootstrap --variant=minbase "$suite" \
        "$root" "$uri" >debootstrap.log 2>&1 || skip "no base: $(tail -n 2 debootstrap.log)"
    mirrors | sed 's/^/deb /; s/$/ main/' >"$root/etc/apt/sources.list"
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* \
        "$root"/usr/share/{man,locale}/*
    find "$root/usr/share/doc" -type f ! -name copyright -delete
    printf '%s;\n' 'Acquire::Languages "none"' 'Acquire::Retries "5"' \
        'APT::Update::Error-Mode "any"' >"$root/etc/apt/apt.conf.d/slim"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    tar -C "$root" -c . | docker import - $BASE >/dev/null
    rm -rf "$root"
}

build() { # DOCKERFILE TAG CONTEXT [OPTION...]
    docker build -q -f "$1" -t "$2" --build-arg BASE=$BASE --build-arg http_proxy="$PROXY" \
        "${@:4}" "$3" >build.log 2>&1 || fail "build of $2: $(tail -n 20 build.log)"
}

sinter_image() { have $IMAGE || { base; build "$SOURCE/deploy/Dockerfile" $IMAGE "$SOURCE"; }; }
