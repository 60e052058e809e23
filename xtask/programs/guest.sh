#!/bin/busybox sh
# The first process of the machine that `cargo xtask emulate` boots. It runs what the image holds, as root and as an
# ordinary user, and switches the machine off.
#
# xtask/src/emulate.rs reads what is printed: lines that begin with `guest: `, and those of Rust's test harness,
# whose words the checks below use too.
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
tests=/opt/ringfence/deps

# pivot_root(2) refuses the kernel's first root, where everything was unpacked: the tests get one of their own.
leave_the_first_root() {
    busybox mkdir /new
    busybox mount -t tmpfs -o mode=755 none /new
    for name in etc init opt usr; do busybox cp -a "/$name" /new; done
    # One set of folders, as installed systems have it: packages may still bring two.
    for name in bin lib sbin; do
        [ ! -d "/$name" ] || busybox cp -a "/$name" /new/usr
        busybox ln -s "usr/$name" "/new/$name"
    done
    # From here on Debian's shell: the other one takes its own applets for every program that it has.
    exec busybox switch_root /new /bin/dash /init machine
}

prepare() {
    cd /
    mkdir -p dev home/user proc root run sys tmp
    mount -t devtmpfs none /dev
    exec </dev/null >/dev/console 2>&1
    mkdir /dev/pts /dev/shm
    mount -t devpts none /dev/pts
    mount -t proc none /proc
    mount -t sysfs none /sys
    mount -t cgroup2 none /sys/fs/cgroup
    mount -t tmpfs -o mode=1777 none /dev/shm
    mount -t tmpfs -o mode=1777 none /tmp
    mount -t tmpfs -o mode=755 none /run
    ln -s /proc/self/fd /dev/fd
    printf '%s\n' root:x:0:0::/root:/bin/sh user:x:1000:1000::/home/user:/bin/sh >/etc/passwd
    printf '%s\n' root:x:0: others:x:500:user user:x:1000: >/etc/group
    printf '%s\n' 'root:*:1::::::' 'user:*:1::::::' >/etc/shadow
    chmod 600 /etc/shadow
    mkdir -p /etc/pam.d
    # For su, which row 38 of the escape checks starts and never answers.
    printf '%s\n' 'auth required pam_unix.so' 'account required pam_unix.so' >/etc/pam.d/other
    chown user:user /home/user
    chmod 700 /root /home/user
    busybox ifconfig lo up
    busybox hostname guest
}

# as USER COMMAND...
as() {
    user=$1
    shift
    setpriv --reuid "$user" --regid "$user" --init-groups --inh-caps=-all --reset-env -- \
        env PATH="$PATH" RINGFENCE_KILL_ROUNDS=50 RINGFENCE_ORACLE=10 "$@"
}

everything_as() {
    echo "guest: user $1"
    # Before 6.3 a tmpfs, which is all that there is here, cannot map ids (mount_setattr(2)): root is refused, and rightly.
    case $1,$(uname -r) in root,6.[012].*)
        echo 'guest: skipped: on this kernel root needs a disk'
        return
        ;;
    esac
    as "$1" /bin/dash /init checks
    echo "guest: status $? the command line"
    for file in "$tests"/*; do
        as "$1" "$file" --show-output
        echo "guest: status $? ${file##*/}"
    done
}

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
    check machine 'aarch64 status 0 ' "$(said ringfence run -- /bin/uname -m)"
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

checks() {
    # Shown inside, so that nothing is said about it.
    cd /usr || exit 1
    check_program
    check_statuses
    check_ends 2>/dev/null
    word=ok
    [ $failed = 0 ] || word=FAILED
    echo "test result: $word. $passed passed; $failed failed; 0 ignored"
    [ $failed = 0 ]
}

case ${1-} in
checks) checks ;;
machine)
    prepare
    echo "guest: kernel $(uname -r) $(uname -m)"
    everything_as root
    everything_as user
    echo 'guest: done'
    busybox poweroff -f
    ;;
*) leave_the_first_root ;;
esac
