# shellcheck shell=bash
# alone.sh -- for scripts that mount disks or cut networks: they run in
# namespaces of their own, so that nothing of it is left, whatever becomes of
# them.
#
#   . alone.sh "disks to fill" --mount -- "$@"     # unshare(1) takes the rest
#
# Where that is not permitted the script ends as skipped (ctest knows the 77)
# and says so.

skip() {
    echo "SKIPPED: $*"
    exit 77
}

alone() { # WHAT FLAG... -- ARGUMENT...
    local what=$1 flags=(--propagation private)
    shift
    while [ "$1" != -- ]; do
        flags+=("$1")
        shift
    done
    [ -z "${SINTER_TEST_ALONE:-}" ] || return 0
    # /mnt is only looked at: a mount is the least that everybody needs.
    unshare "${flags[@]}" mount -t tmpfs none /mnt 2>/dev/null ||
        skip "no right to have $what here (unshare ${flags[*]})"
    export SINTER_TEST_ALONE=1
    exec unshare "${flags[@]}" bash "$0" "${@:2}"
}
alone "$@"
unset SINTER_TEST_ALONE
