#!/bin/busybox sh
# The first process of the machine that `cargo xtask kernels --minimal` boots: a kernel, this shell and one static binary;
# no disk, no /etc, no /sys, no service manager. What the smallest host lacks is tried first, then everything else.
set -u
export PATH=/bin
. /checks.sh

# in a form that fits on one line of a check: the message of a start that was refused
refusal() {
    said "$@" | sed 's/ *$//'
}

# names TEXT COMMAND...: does the message hold the text, and is the status that of a refusal?
names() {
    text=$1
    shift
    case $(refusal "$@") in *"$text"*'status 125') echo named ;; *) refusal "$@" ;; esac
}

# Older kernels' first root cannot be left (pivot_root(2)): that is said, and a root of tmpfs is enough.
in_the_first_root() {
    busybox mkdir -p /dev /proc
    busybox mount -t devtmpfs none /dev
    busybox mount -t proc none /proc
    case $(busybox uname -r) in
    [0-6].*) names 'the root is the initramfs' ringfence run -- /bin/busybox true ;;
    *) ringfence run -- /bin/busybox echo named 2>&1 | busybox tail -n 1 ;;
    esac >/first
    busybox umount /proc
    busybox umount /dev
    busybox mkdir /new
    busybox mount -t tmpfs -o mode=755 none /new
    for name in bin init checks.sh first; do busybox cp -a "/$name" /new; done
    exec busybox switch_root /new /bin/busybox sh /init machine
}

before_anything_is_mounted() {
    mkdir /dev /proc
    nothing=$(names 'mount a proc' ringfence run -- /bin/busybox true)
    mount -t proc none /proc
    no_devices=$(names '`/dev/null` cannot be shown' ringfence run -- /bin/busybox true)
    mount -t devtmpfs none /dev
    exec </dev/null >/dev/console 2>&1
    mkdir /root /run
}

more() {
    check first_root named "$(cat /first)"
    check without_proc named "$nothing"
    check without_devices named "$no_devices"
    check doctor 0 "$(status ringfence doctor)"
    check memory_without_cgroups named "$(names 'cannot guarantee `memory`' ringfence run --memory 64M -- /bin/true)"
    check nothing_but_ours 'bin checks.sh dev first init proc root run' "$(echo $(ls /))"
    mv /run /away
    check without_run 'ran' "$(ringfence run -- /bin/echo ran 2>/dev/null)"
    check without_run_said 1 "$(ringfence run -- /bin/true 2>&1 | grep -c 'will not know this run.*RINGFENCE_RUNTIME_DIR')"
    mv /away /run
}

with_cgroups() {
    mkdir /sys
    mount -t sysfs none /sys
    mount -t cgroup2 none /sys/fs/cgroup
    check memory 'status 0 ' "$(said ringfence run --memory 64M --pids 20 -- /bin/true)"
    check memory_holds 137 "$(status ringfence run --memory 16M -- /bin/sh -c 'dd if=/dev/zero of=/dev/null bs=256M count=1')"
}

# Before Linux 6.3 a tmpfs, which is all that there is here, cannot map ids (mount_setattr(2)): root is refused a folder
# of it by name, and runs without one.
root_without_maps() {
    cd /bin || exit 1
    check a_folder_that_cannot_be_mapped named "$(names 'cannot map ids' ringfence run -- /bin/true)"
    cd /
    check without_a_folder 'ran' "$(ringfence run -- /bin/echo ran 2>/dev/null)"
    cd /bin || exit 1
    check doctor_says_so 1 "$(ringfence doctor | grep -c '^  id-mapped-mounts *NO')"
    conclude
}

as_root() {
    case $(uname -r) in
    6.[012].*) (root_without_maps) ;;
    *)
        (checks more)
        echo "guest: status $? the smallest host"
        (checks with_cgroups)
        ;;
    esac
    echo "guest: status $? the smallest host, with what it can have"
}

# WORD...: the shell, as a user.
shell_as_a_user() {
    start-stop-daemon -S -q -u user -c user -x /bin/busybox -- sh "$@"
}

machine() {
    before_anything_is_mounted
    echo "guest: kernel $(uname -r) $(uname -m), nothing but a static binary"
    export HOME=/root
    echo 'guest: user root'
    as_root
    echo 'guest: user user'
    mkdir -p /etc /user/run
    echo user:x:1000:1000::/user:/bin/sh >/etc/passwd
    chown 1000:1000 /user /user/run
    HOME=/user RINGFENCE_RUNTIME_DIR=/user/run shell_as_a_user /init checks
    echo "guest: status $? the smallest host"
    echo 'guest: done'
    poweroff -f
}

case ${1-} in
checks) checks ;;
machine) machine ;;
*) in_the_first_root ;;
esac
