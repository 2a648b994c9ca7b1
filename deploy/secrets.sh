#!/bin/sh
# Keys, tokens and passwords of a farm in containers, made once and never
# written over:
#
#   deploy/secrets.sh [DIR]               into DIR, secrets beside this script
#                                         unless given: for compose
#   deploy/secrets.sh [DIR] kubernetes    prints those of DIR as Secrets:
#                                         ... | kubectl apply -f -
#
# By `sinter` if it is here or SINTER names it, else by docker and the image
# sinter:${SINTER_TAG:-local}. docs/security.md says who may do what with which.
set -eu
umask 077
dir=${1:-$(dirname "$0")/secrets}
inside=65532 # user of the image

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

contained() { # OPTION... -- ARGUMENT...: of docker, of the program
    docker run --rm -v "$full:/secrets" "$@"
}

keygen() {
    program=${SINTER:-$(command -v sinter || true)}
    if [ -n "$program" ]; then
        "$program" keygen "$dir" >&2
    else
        contained -u "$(id -u):$(id -g)" "sinter:${SINTER_TAG:-local}" keygen /secrets >&2
    fi
}

# A file is mounted into a container with its owner and mode.
give() {
    [ -n "${SINTER:-}" ] && [ "$(id -u)" != 0 ] && return
    if [ "$(id -u)" = 0 ]; then
        chown "$inside:$inside" "$full"/*
    else
        contained -u 0 --entrypoint chown "sinter:${SINTER_TAG:-local}" -R \
            "$inside:$inside" /secrets
    fi
}

make() {
    mkdir -p "$dir"
    full=$(cd "$dir" && pwd)
    keygen
    cat "$dir"/*.pub >"$dir/allow"
    write=$(random) read=$(random) redis=$(random)
    echo "$write" >"$dir/token"
    echo "$read" >"$dir/read-token"
    printf 'write %s\nread %s\n' "$write" "$read" >"$dir/tokens"
    echo sinter >"$dir/redis-user"
    echo "$redis" >"$dir/redis-password"
    random >"$dir/grafana-password"
    # Redis has the digest only. Nobody comes in as its default user, which may
    # do everything nevertheless: as it Redis 7.0 reads the transactions of its
    # own AOF, and would drop what that user may not.
    printf 'user default off resetpass ~* &* +@all\n' >"$dir/redis.acl"
    printf 'user health on nopass resetkeys ~none resetchannels -@all +ping +lpushx\n' >>"$dir/redis.acl"
    printf 'user sinter on #%s ~sn:{sinter}:* +@all -@dangerous -@admin +info +config|get\n' \
        "$(printf %s "$redis" | sha256sum | cut -d' ' -f1)" >>"$dir/redis.acl"
    chmod 0444 "$dir/redis.acl" # read by the user of another image
    chmod 0700 "$dir"
    give
    echo "made $dir" >&2
}

secret() { # NAME FILE...
    name=$1
    shift
    printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n' "$name"
    printf '  labels: {app.kubernetes.io/part-of: sinter}\ntype: Opaque\ndata:\n'
    for file; do
        printf '  %s: %s\n' "$file" "$(base64 <"$dir/$file" | tr -d '\n')"
    done
}

kubernetes() {
    secret sinter-broker broker.key allow tokens redis-user redis-password
    secret sinter-worker worker.key broker.pub token
    secret sinter-client client.key admin.key broker.pub token
    secret sinter-redis redis.acl
    secret sinter-read read-token
}

case ${2:-make} in
make) make ;;
kubernetes) kubernetes ;;
*)
    sed -n '2,11s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
