# shellcheck shell=bash
# shellcheck disable=SC2034 # of engine.sh
# mirror.sh -- for engine.sh: the base image by debootstrap and packages by
# apt, as a user's build has them. Out of the engine's network leads nothing
# but a proxy for the package mirror of this machine.

PROXY_PORT=3142

mirrors() { # URI SUITE: where this machine has its packages from
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' \
        'Component: main' | grep -E '^http://.* bookworm' | sort -u
}

forward() { # DIRECTORY LISTEN PASS DIRECTIVES: nginx that passes requests on
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

mirror_outside() {
    [ -n "$(mirrors)" ] || { echo "SKIPPED: no mirror for bookworm by http"; exit 77; }
    DOOR=$(mktemp -d /tmp/sinter-door.XXXXXX)
    export DOOR
    # shellcheck disable=SC2016 # nginx' variables
    forward "$DOOR" "unix:$DOOR/socket" 'http://$http_host$request_uri' \
        "resolver $(sed -n 's/^nameserver *\([0-9.]*\)$/\1/p' /etc/resolv.conf | head -1) ipv6=off;
         proxy_cache_path $STATE/packages keys_zone=packages:1m max_size=1g inactive=1d;
         proxy_cache packages; proxy_cache_valid 200 1h;"
}

mirror_inside() { # its process is PROXY_PID
    forward "$WORK/proxy" 127.0.0.1:$PROXY_PORT "http://unix:$DOOR/socket:" ''
    BASE=localhost/debian:debootstrap
}

tools() { :; }
base() { # debian:bookworm-slim, made here
    local root=$WORK/base uri suite
    have "$BASE" && return
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
    tar -C "$root" -c . | docker import - "$BASE" >/dev/null
    rm -rf "$root"
}

# By the network of the engine itself: a bridge, its address and its rules are
# nothing that a build could wait for.
sinter_image() { # BUILD-OPTION...
    base
    build "$SOURCE/deploy/Dockerfile" "$IMAGE" "$SOURCE" --network host \
        --build-arg http_proxy=http://127.0.0.1:$PROXY_PORT "$@"
}
