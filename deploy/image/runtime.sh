#!/bin/sh
# What programs need at run time and a base image lacks, as a tree to copy
# onto it: their libraries with licences and dpkg's records of them (scanners
# of images read /var/lib/dpkg/status.d), certificates, a font for pictures.
#
#   runtime.sh BASE OUT PROGRAM...     BASE: dpkg's status of what it has
set -eu
base=$1
out=$2
shift 2

# Of /lib and /usr/lib, one and the same today, packages name either.
owner() {
    { dpkg -S "$1" || dpkg -S "/usr$1" || dpkg -S "${1#/usr}"; } 2>/dev/null |
        sed 's/[:,].*//;q'
}

record() { # PACKAGE
    [ -e "$out/var/lib/dpkg/status.d/$1" ] && return
    mkdir -p "$out/var/lib/dpkg/status.d" "$out/usr/share/doc/$1"
    dpkg-query -s "$1" >"$out/var/lib/dpkg/status.d/$1"
    [ ! -e "/usr/share/doc/$1/copyright" ] || # some bases have none
        cp "/usr/share/doc/$1/copyright" "$out/usr/share/doc/$1/"
}

keep() { # FILE PACKAGE: under the name the file is asked for by
    grep -qxF "Package: $2" "$base" && return
    mkdir -p "$out${1%/*}"
    cp -L "$1" "$out$1"
    record "$2"
}

libraries() { ldd "$@" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | sort -u; }

libraries "$@" | while read -r library; do
    package=$(owner "$(readlink -f "$library")")
    [ -n "$package" ] || {
        echo "runtime.sh: no package has $library" >&2
        exit 1
    }
    keep "/usr${library#/usr}" "$package"
done

# OpenBLAS brings all of BLAS and LAPACK, the latter twice. Linked anew from
# the same objects, with what is called here and for as many kinds of
# processors, it is 27 MB instead of 44.
blas=$(libraries "$@" | grep '/libopenblas\.so\.0$')
archive=$(dirname "$(readlink -f "$blas")")/libopenblas.a
slim=$out/usr${blas#/usr}
nm -D --defined-only "$blas" | awk '{ print $3 }' | sort -u >/tmp/has
# shellcheck disable=SC2046 # words are names
nm -D --undefined-only "$@" $(libraries "$@" | grep '/libarpack') |
    awk '$1 == "U" { sub("@.*", "", $2); print $2 }' | sort -u | comm -12 - /tmp/has >/tmp/called
# shellcheck disable=SC2046
gcc -shared -Wl,-soname,libopenblas.so.0 -Wl,--gc-sections -s -o "$slim" \
    $(sed 's/^/-Wl,-u,/' /tmp/called) "$archive" \
    $(libraries "$@" | grep '/libgfortran\.') -lm
for twin in libblas.so.3 liblapack.so.3; do
    ln -sf libopenblas.so.0 "${slim%/*}/$twin"
done
for program; do
    missing=$(LD_LIBRARY_PATH=${slim%/*} ldd -r "$program" 2>&1 | grep -E 'undefined|not found' || true)
    [ -z "$missing" ] || {
        echo "runtime.sh: $program: $missing" >&2
        exit 1
    }
done

keep /etc/ssl/certs/ca-certificates.crt ca-certificates
keep /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf fonts-dejavu-core
keep /etc/fonts/fonts.conf fontconfig-config
