# shellcheck shell=bash
# hosts.sh -- hosts on a network that is nobody else's: each a network
# namespace with one link, to a bridge. For scripts that have a mount and a
# network namespace of their own (tests/integration/alone.sh), and lib.sh.
#
# AT[host] is its address.

declare -A AT=()

network() { # what is left of it is in this mount and this network
    mkdir -p /run/netns
    mount -t tmpfs none /run/netns
    ip link add bridge type bridge 2>>net.log || skip "no bridge here: $(cat net.log)"
    ip link set bridge up
    trap vanished EXIT
}

on_leaving() { :; } # a script may have more to take away

vanished() {
    local status=$?
    on_leaving
    umount -l /run/netns 2>/dev/null || true
    (exit "$status") || cleanup
    cleanup
}

plug() { # HOST
    ip netns add "$1"
    ip -n "$1" link set lo up
    ip link add "p-$1" type veth peer name eth0 netns "$1"
    ip link set "p-$1" master bridge up
    ip -n "$1" addr add "${AT[$1]}/24" dev eth0
    ip -n "$1" link set eth0 up
}
cut_off() { ip link set "p-$1" down; }
heal() { ip link set "p-$1" up; }
vanish() { ip link del "p-$1"; } # no connection of it is ever closed
