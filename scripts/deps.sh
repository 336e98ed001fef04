#!/bin/sh
# Makes sure the Debian packages a purpose needs are there: `deps.sh build [test] [bench]`.
# Installs what is missing when run as root on Debian or Ubuntu; otherwise says what to install.
set -eu

# `command or file to look for` = `Debian package that brings it`
wanted() {
    case $1 in
    build) printf '%s\n' gcc=gcc g++=g++ libclang=libclang-dev protoc=protobuf-compiler \
        /usr/include/google/protobuf/descriptor.proto=libprotobuf-dev ;;
    test) printf '%s\n' python3=python3 'ensurepip=python3-venv' linux.uml=user-mode-linux modprobe=kmod \
        qemu-system-x86_64=qemu-system-x86 busybox=busybox-static mkfs.ext4=e2fsprogs mkfs.xfs=xfsprogs dmsetup=dmsetup strace=strace etcd=etcd-server \
        curl=curl newuidmap=uidmap nft=nftables ip=iproute2 iptables=iptables /usr/lib/cni/portmap=containernetworking-plugins \
        nginx=nginx-light wrk=wrk docker-registry=docker-registry skopeo=skopeo umoci=umoci htpasswd=apache2-utils prometheus=prometheus ;;
    bench) printf '%s\n' bwrap=bubblewrap crun=crun runc=runc etcd=etcd-server linux.uml=user-mode-linux nft=nftables /usr/lib/cni/portmap=containernetworking-plugins iptables=iptables \
        ip=iproute2 python3=python3 'ensurepip=python3-venv' nginx=nginx-light wrk=wrk haproxy=haproxy dnsmasq=dnsmasq-base slurmctld=slurmctld slurmd=slurmd srun=slurm-client ;;
    *) echo "deps.sh: unknown purpose '$1'" >&2; exit 2 ;;
    esac
}

present() {
    case $1 in
    # Not libclang-cpp, which bindgen does not take.
    libclang) find /usr/lib /usr/local/lib "${LIBCLANG_PATH:-/nonexistent}" \( -name 'libclang.so*' -o -name 'libclang-[0-9]*.so*' \) 2>/dev/null | grep -q . ;;
    ensurepip) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    /*) [ -e "$1" ] ;;
    *) PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null ;;
    esac
}

command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }

missing=''
for purpose in "$@"; do
    for pair in $(set -f; wanted "$purpose"); do
        present "${pair%%=*}" || missing="$missing ${pair#*=}"
    done
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "these packages are missing:$missing" >&2
    echo "install them, for example with: sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
for package in $missing; do
    if apt-get install -y -qq --no-install-recommends "$package" >/dev/null; then
        # Debian starts it; tests start their own.
        [ "$package" != prometheus ] || [ ! -d /run/systemd/system ] || systemctl disable --now prometheus >/dev/null 2>&1 || true
        continue
    fi
    case $package in
    # A test or a benchmark without it says `skipped: why`.
    nginx-light | wrk | haproxy | dnsmasq-base | docker-registry | skopeo | umoci | apache2-utils | prometheus | uidmap | user-mode-linux | qemu-system-x86 | busybox-static | xfsprogs | dmsetup | strace | etcd-server | bubblewrap | crun | runc | slurmctld | slurmd | slurm-client) echo "$package cannot be had on this system: what needs it will be skipped" >&2 ;;
    *) exit 1 ;;
    esac
done
