# What is checked of `ringfence` itself in an emulated machine, in plain shell: sourced by guest.sh and minimal.sh. It prints
# lines as Rust's test harness does, which xtask/src/console.rs reads.

passed=0
failed=0

# check NAME WANTED FOUND
check() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "test $1 ... ok"
    else
        failed=$((failed + 1))
        echo "test $1 ... FAILED"
        echo "    wanted: $2"
        echo "    found:  $3"
    fi
}

# What a command prints, on one line, and its exit status.
said() {
    { "$@" 2>&1 && echo 'status 0' || echo "status $?"; } | tr '\n' ' '
}

status() {
    "$@" >/dev/null 2>&1
    echo $?
}

# Inside, in shell.
inside() {
    ringfence run -- /bin/sh -c "$1"
}

# How many processes have this argument, or are some sandbox's PID 1: the supervisor, PID 1, the program. The pattern
# does not match itself.
count() {
    grep -lzx -e "${1%?}[${1#"${1%?}"}]" -e 'ringfence-ini[t]' /proc/[0-9]*/cmdline 2>/dev/null | grep -c .
}

# wait_for WANTED ARGUMENT: says the last count.
wait_for() {
    tries=100
    while [ "$(count "$2")" != "$1" ] && [ $tries -gt 0 ]; do
        tries=$((tries - 1))
        sleep 0.05
    done
    count "$2"
}

check_program() {
    check hello 'hello status 0 ' "$(said ringfence run -- /bin/busybox echo hello)"
    check machine "$(uname -m) status 0 " "$(said ringfence run -- /bin/uname -m)"
    check processes '1 2 status 0 ' "$(said inside 'cd /proc && echo [0-9]*')"
    check input 'piped status 0 ' "$(echo piped | said ringfence run -- /bin/cat)"
    check output out "$(inside 'echo out; echo err >&2' 2>/dev/null)"
    check errors err "$(inside 'echo out; echo err >&2' 2>&1 >/dev/null)"
    check capabilities '5 status 0 ' "$(said inside 'grep -c "^Cap.*0000000000000000$" /proc/self/status')"
    check privileges 'NoNewPrivs: 1 status 0 ' "$(said inside 'grep NoNewPrivs /proc/self/status' | tr '\t' ' ')"
    check read_only 'refused status 0 ' "$(said inside 'touch /etc/made 2>/dev/null && echo made || echo refused')"
    touch "$HOME/secret"
    check home 'status 0 ' "$(said inside 'ls -A "$HOME"')"
}

check_statuses() {
    for number in 0 1 7 255; do check "status_$number" $number "$(status inside "exit $number")"; done
    check status_missing 127 "$(status ringfence run -- /bin/missing)"
    check status_not_executable 126 "$(status ringfence run -- /etc/passwd)"
    check status_refused 125 "$(status ringfence run --ro /missing -- /bin/true)"
    for pair in HUP:129 ABRT:134 KILL:137 SEGV:139 TERM:143; do
        check "status_signal_${pair%:*}" "${pair#*:}" "$(status inside "kill -s ${pair%:*} \$\$")"
    done
    check status_timeout 124 "$(status ringfence run --timeout 300ms -- /bin/sleep 60)"
    check status_timeout_ignored 124 \
        "$(status ringfence run --timeout 300ms --grace 300ms -- /bin/sh -c 'trap "" TERM; sleep 60; sleep 60')"
}

check_ends() {
    ringfence run -- /bin/sleep 6161 &
    check control_three_processes 3 "$(wait_for 3 6161)"
    kill -KILL $!
    wait $! 2>/dev/null
    check a_killed_supervisor_leaves_nothing 0 "$(wait_for 0 6161)"
    ringfence run --timeout 1s -- /bin/sh -c 'setsid sleep 6262 & sleep 6262' &
    wait $!
    check a_timeout_leaves_nothing '124 0' "$? $(wait_for 0 6262)"
}

# checks [MORE]: all of them, and those of another function.
checks() {
    # Shown inside, so that nothing is said about it.
    cd /bin || exit 1
    check_program
    check_statuses
    check_ends 2>/dev/null
    [ $# = 0 ] || "$@"
    conclude
}

# The last line, and the status.
conclude() {
    word=ok
    [ $failed = 0 ] || word=FAILED
    echo "test result: $word. $passed passed; $failed failed; 0 ignored"
    [ $failed = 0 ]
}
