#!/bin/busybox sh
# The first process of the machine that `cargo xtask emulate` boots. It runs what the image holds, as root and as an
# ordinary user, and switches the machine off.
#
# xtask/src/emulate.rs reads what is printed: lines that begin with `guest: `, and those of Rust's test harness,
# whose words the checks below use too.
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
tests=/opt/ringfence/deps
. /checks.sh

# pivot_root(2) refuses the kernel's first root, where everything was unpacked: the tests get one of their own.
leave_the_first_root() {
    busybox mkdir /new
    busybox mount -t tmpfs -o mode=755 none /new
    for name in checks.sh etc init opt usr; do busybox cp -a "/$name" /new; done
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
