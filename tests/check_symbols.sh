#!/bin/bash
# The pure parts call nothing that asks the world: no input or output, no
# sockets, no time, no chance, no threads, no environment. What their objects
# leave undefined is compared with a list of such names:
# tests/check_symbols.sh BUILD-DIRECTORY
set -euo pipefail
build=${1:?usage: tests/check_symbols.sh BUILD-DIRECTORY}
fault=0

archives='
broker/libsinter_broker_core.a
worker/libsinter_worker_core.a
sweep/libsinter_sweep.a
'

# Regular expressions of whole names, C library first, then ours.
refused='
socket|socketpair|connect|bind|listen|accept4?|shutdown|[gs]etsockopt
send|sendto|sendmsg|recv|recvfrom|recvmsg|getaddrinfo|gethostby.*
p?poll|p?select|epoll_.*|eventfd|timerfd_.*|signalfd|inotify_.*
clock_.*|gettimeofday|time|times|nanosleep|u?sleep|alarm|[gs]etitimer|timer_.*
localtime.*|gmtime.*|strftime
random.*|s?rand|rand_r|.*rand48.*|getrandom|getentropy|arc4random.*
pthread_.*|thrd_.*|mtx_.*|cnd_.*|sem_.*|fork|vfork|clone|posix_spawn.*|exec.*|system|p?open|pclose
open64|openat.*|creat|f?close|close_range|p?readv?(64|2)?|p?writev?(64|2)?|lseek|mmap|munmap|ioctl|fcntl
fopen.*|fdopen|freopen.*|fread|fgets|fgetc|getc|getline|getdelim|v?fscanf|scanf
v?printf|puts|putchar|perror|v?dprintf|syslog|stdin|stdout
mkdir.*|rmdir|unlink.*|rename.*|f?l?stat|f?truncate|opendir|readdir|access|mkstemp|mkdtemp|remove
(secure_)?getenv|setenv|putenv|environ|getpid|gethostname|uname|sysconf|signal|sigaction|raise|kill|exit|_exit
zmq_.*|curl_.*|redis.*|sqlite3_.*|MHD_.*|cblas_.*
clock_now|clock_wall_ms|clock_sleep_ms|log_.*|http_.*|dealer_.*|store_(sqlite|redis).*
file_(read|write|make.*|remove.*|sync.*|exists)|json_parse_file|json_(load|dump)_?f.*|digest_of_file|option_parse
'

# Written only to a stream that the caller gives; not for the cores.
streams='v?fprintf|fputs|fputc|putc|fwrite|fflush|stderr'

pattern=$(tr '\n' '|' <<<"$refused" | sed 's/||*/|/g; s/^|//; s/|$//')
for archive in $archives; do
    if [ ! -e "$build/$archive" ]; then
        echo "$build/$archive is not built"
        fault=1
        continue
    fi
    list=$pattern
    [ "$archive" = sweep/libsinter_sweep.a ] || list="$list|$streams"
    # OBJECT SYMBOL, and the plain name: fortified calls are __NAME_chk.
    while read -r object symbol _; do
        echo "$archive: $object calls $symbol"
        fault=1
    done < <(nm -uA "$build/$archive" 2>/dev/null | sort -u |
        sed -nE 's/^[^:]*:([^:]*): *[A-Za-z] (.*)$/\1 \2 \2/p' |
        sed -E 's/ __([^ ]*)_chk$/ \1/' | grep -E " ($list)\$" || true)
    echo "$archive: $(nm -u "$build/$archive" 2>/dev/null | awk 'NF == 2 { print $2 }' | sort -u | wc -l) names"
done
exit $fault
