#!/bin/busybox sh
# What runs in the machine that `cargo xtask kernels` boots: first as the kernel's first program, which finds the disks;
# then, on Debian's own files, as the first process or as a service of systemd. It runs the tests, as root and as an
# ordinary user with a delegated cgroup, and switches the machine off.
#
# xtask/src/console.rs reads what is printed: lines that begin with `guest: `, and those of Rust's test harness.
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
here=/opt/ringfence

find_the_disks() {
    b=/bin/busybox
    $b mkdir -p /dev /proc /new
    $b mount -t devtmpfs none /dev
    $b mount -t proc none /proc
    for driver in /drivers/*.ko; do $b insmod $driver; done
    while [ ! -b /dev/vdb ]; do $b sleep 0.1; done
    $b mount -t ext4 /dev/vda /new
    $b mkdir -p /new$here
    $b mount -t ext4 -o ro /dev/vdb /new$here
    if $b grep -q ringfence.systemd /proc/cmdline; then
        $b cp /test.service /new/etc/systemd/system/ringfence-test.service
        $b ln -s /etc/systemd/system/ringfence-test.service /new/etc/systemd/system/multi-user.target.wants/
        $b umount /proc
        exec $b switch_root /new /sbin/init
    fi
    $b umount /proc
    exec $b switch_root /new /bin/sh $here/guest.sh machine
}

prepare() {
    mount -t proc none /proc
    mount -t sysfs none /sys
    mount -t cgroup2 none /sys/fs/cgroup
    mkdir -p /dev/pts /dev/shm
    mount -t devpts none /dev/pts
    mount -t tmpfs -o mode=1777 none /dev/shm
    mount -t tmpfs -o mode=755 none /run
    [ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
    exec </dev/null >/dev/console 2>&1
    ip link set lo up
    hostname guest
}

# A subtree that is the user's own, as an administrator delegates it (cgroups(7)), and a child for what starts there.
delegate() {
    cgroups=/sys/fs/cgroup
    for controller in cpu memory pids cpuset io; do echo "+$controller" >$cgroups/cgroup.subtree_control; done
    mkdir -p $cgroups/delegated/shell
    for file in . cgroup.procs cgroup.subtree_control shell shell/cgroup.procs; do
        chown user:user "$cgroups/delegated/$file"
    done
}

# as USER COMMAND...
as() {
    user=$1
    shift
    sh -c 'if [ -n "$0" ]; then echo 0 >"$0/cgroup.procs"; fi; exec "$@"' "${home-}" \
        setpriv --reuid "$user" --regid "$user" --init-groups --inh-caps=-all --reset-env -- \
        env PATH="$PATH" ${bus:+XDG_RUNTIME_DIR=$bus} "$@"
}

# tests_as LABEL USER
tests_as() {
    echo "guest: user $1"
    while read -r file filter; do
        (cd /usr && as "$2" "$here/deps/$file" --show-output --color=never --test-threads=2 $filter)
        echo "guest: status $? $file $filter"
    done <$here/tests
}

# A service manager takes its time to remove what is empty.
count_cgroups() {
    tries=50
    while find /sys/fs/cgroup -name 'ringfence-[0-9]*' | grep -q . && [ $tries -gt 0 ]; do
        tries=$((tries - 1))
        sleep 0.1
    done
    find /sys/fs/cgroup -name 'ringfence-[0-9]*' -exec sh -c 'echo "$1: $(cat "$1/cgroup.procs" | tr "\n" " ")" >&2' sh {} ';'
    find /sys/fs/cgroup -name 'ringfence-[0-9]*' | grep -c .
}

machine() {
    prepare
    echo "guest: kernel $(uname -r) $(uname -m), cgroup v2"
    delegate
    tests_as 'root' root
    # The user's processes are born in the delegated child, and root has none there: Linux 6.1 answers EPERM to a user
    # who enables cpuset over a process of root's.
    home=/sys/fs/cgroup/delegated/shell
    tests_as 'a user with a delegated subtree' user
    home=
    echo "guest: cgroups left: $(count_cgroups)"
    echo 'guest: done'
    echo o >/proc/sysrq-trigger
    sleep 60
}

systemd() {
    echo "guest: kernel $(uname -r) $(uname -m), $(systemctl --version | sed -n 1p)"
    loginctl enable-linger user
    tries=300
    while [ ! -S /run/user/1000/bus ] && [ $tries -gt 0 ]; do
        tries=$((tries - 1))
        sleep 0.1
    done
    tests_as 'root beside systemd' root
    bus=/run/user/1000
    tests_as 'a user with a service manager' user
    echo "guest: cgroups left: $(count_cgroups)"
    echo 'guest: done'
    echo o >/proc/sysrq-trigger
    sleep 60
}

case ${1-} in
machine) machine ;;
systemd) systemd ;;
*) find_the_disks ;;
esac
