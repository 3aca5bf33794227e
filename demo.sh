#!/bin/sh
# What `make demo` does: a server on a folder that is thrown away, and a simulated fleet that plays against it.
# Ctrl-C ends the fleet first, so that it can finish and sum up, then the server.
set -eu
bin=$1 host=$2 port=$3
shift 3
data=$(mktemp -d) fleet= server=

end() {
    trap '' INT TERM
    [ -z "$server" ] || { kill "$server" 2>/dev/null || :; wait "$server" || :; }
    rm -rf "$data"
}
trap end EXIT
trap '[ -z "$fleet" ] || kill -TERM "$fleet" 2>/dev/null || :' INT TERM

HELIOGRAPH_KEY=$("$bin/heliograph" init --data "$data" 2>/dev/null | sed 's/^key: //')
export HELIOGRAPH_KEY
# In a session of its own, for Ctrl-C reaches all programs of a terminal's at once.
"$bin/python" -c 'import os, sys; os.setsid(); os.execv(sys.argv[1], sys.argv[1:])' \
    "$bin/heliograph" serve --data "$data" --host "$host" --port "$port" >"$data/out" 2>&1 &
server=$!
until grep -q '"url": "http' "$data/heliograph.lock" 2>/dev/null; do
    kill -0 "$server" 2>/dev/null || { cat "$data/out" >&2; exit 1; }
    sleep 0.1
done
echo "Heliograph answers at http://$host:$port until this ends."
echo "key: $HELIOGRAPH_KEY"
"$bin/heliograph" simulate --data "$data" "$@" &
fleet=$!
code=0
while kill -0 "$fleet" 2>/dev/null; do
    code=0
    wait "$fleet" || code=$?
done
exit "$code"
