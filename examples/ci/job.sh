#!/bin/sh
# A job of three steps, each in a sandbox of its own, all of them under one policy file. A step that misbehaves ends
# alone, and its report says why; the others go on.
#
#   MIRROR    where the sources come from
#   REPORTS   a folder for the reports, outside of the project: no step can write there
#   FLAGS     for every step, where the host needs them: in a container whose engine covers /proc (Docker's default),
#             `--allow-degraded processes`; `ringfence doctor` says so
set -u
failed=0

# step NAME [FLAG...] -- COMMAND...
step() {
    name=$1
    shift
    # shellcheck disable=SC2086 # they are words
    ringfence run -p ./ci.toml ${FLAGS-} --report "$REPORTS/$name.json" "$@"
    status=$?
    echo "$name: $status"
    [ "$status" -eq 0 ] || failed=1
}

step fetch --net host -- ./fetch.sh "$MIRROR"
step build -- make
step test -- make check
exit "$failed"
