# shellcheck shell=bash
# shellcheck disable=SC2034 # of the scripts
# images.sh -- images for the scripts that run containers, made by the engine
# at DOCKER_HOST. WORK is a directory to write to; `fail` and `skip` are there.
#
# A mirror is not needed: what Debian's images have and what a build installs
# are the packages of this machine, as dpkg knows them.

images_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
IMAGE=sinter:local
BASE=localhost/debian:bookworm-slim
TOOLS=localhost/tools
SERVERS=localhost/servers # in place of redis:7-bookworm and nginx:stable

have() { docker image inspect "$1" >/dev/null 2>&1; }

packed() { # TAG TREE IMPORT-OPTION... -- PACKAGE...: with what TREE has
    local tag=$1 tree=$2 options=()
    shift 2
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    have "$tag" && return
    mkdir -p "$tree"
    python3 "$images_here/packed.py" "$tree" "${@:2}" >"$tree.list" 2>packed.log ||
        skip "no $tag: $(tail -n 1 packed.log)"
    tar -c -C / --no-recursion --no-unquote -T "$tree.list" |
        docker import "${options[@]}" - "$tag" >/dev/null || fail "no $tag"
    rm -rf "$tree" "$tree.list"
}

# What `bootstrap tools` finds, so that it has nothing to install.
build_packages() {
    sed -n '/^build_packages="/,/"$/ { s/^build_packages=//; s/"//g; p; }' "$images_here/../../bootstrap"
}

base() { packed $BASE "$WORK/base" --; }
# shellcheck disable=SC2046 # words are names
tools() { packed $TOOLS "$WORK/tools" -- $(build_packages); }
servers() {
    install -d -o 999 -g 999 "$WORK/servers/data"
    packed $SERVERS "$WORK/servers" -c 'WORKDIR /data' -c 'USER 999:999' -- \
        redis-server redis-tools nginx-light
}

build() { # DOCKERFILE TAG CONTEXT BUILD-OPTION...
    docker build -f "$1" -t "$2" --build-arg BASE="$BASE" "${@:4}" "$3" >build.log 2>&1 ||
        fail "build of $2: $(tail -n 20 build.log)"
}

sinter_image() { # BUILD-OPTION...
    base
    tools
    build "$images_here/../../deploy/Dockerfile" $IMAGE "$images_here/../.." \
        --build-arg TOOLS=$TOOLS "$@"
}
