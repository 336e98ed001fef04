#!/bin/sh
# Puts a kernel for the QEMU guest of the tests into a directory, once: `guest-kernel.sh DIR`.
# It is Debian's for virtual machines, unpacked and not installed: this host goes on booting its own. Beside it goes the
# guest's first file system: what it takes to see the files of this host. Without either, the tests that need the guest
# say `skipped: why`.
set -eu
dir=$1
# To be raised with every change of what is made here.
version=2
[ "$(cat "$dir/version" 2>/dev/null)" != $version ] || exit 0
without() {
    echo "no kernel for the QEMU guest, what needs it will be skipped: $1" >&2
    exit 0
}

command -v apt-get >/dev/null || without "this system has no apt-get"
busybox=$(command -v busybox) || without "install the package busybox-static"
! ldd "$busybox" >/dev/null 2>&1 || without "$busybox needs libraries, busybox-static does not"
work=$dir.build
rm -rf "$work"
mkdir -p "$work/files" "$work/tree/bin" "$work/tree/modules" "$work/tree/host" "$work/tree/dev" "$work/tree/proc"
cd "$work"

package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -n 1)
[ -n "$package" ] || without "there is no package linux-image-cloud-amd64"
echo "fetching $package for the QEMU guest" >&2
apt-get download -qq -o APT::Sandbox::User=root "$package" || without "$package cannot be had"
dpkg-deb -x "$package"_*.deb files

# In the order in which they need each other.
n=10
for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk fuse virtiofs bfq \
    quota_tree quota_v2 libcrc32c xfs; do
    found=$(find files/lib/modules -name "$module.ko" | head -n 1)
    [ -n "$found" ] || without "$package has no module $module"
    cp "$found" "tree/modules/$n-$module.ko"
    n=$((n + 1))
done
cp "$busybox" tree/bin/busybox
cat >tree/init <<'INIT'
#!/bin/busybox sh
# Loads what it takes to see the host's files, makes them the root, and leaves the rest to the program named after
# `proffer.init=` on the kernel's command line.
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /bin/busybox insmod "$module"; done
for word in $(/bin/busybox cat /proc/cmdline); do
    case $word in proffer.init=*) init=${word#proffer.init=} ;; esac
done
/bin/busybox umount /proc
/bin/busybox mount -t virtiofs host /host || /bin/busybox poweroff -f
/bin/busybox mount --move /dev /host/dev
exec /bin/busybox switch_root /host "$init"
INIT
chmod +x tree/init
(cd tree && find . | "$busybox" cpio -o -H newc 2>/dev/null) >initramfs
mkdir -p "$dir"
mv initramfs "$dir/initramfs"
mv files/boot/vmlinuz-* "$dir/vmlinuz"
# Last, since it is what tells that the directory is whole.
echo $version >"$dir/version"
rm -rf "$work"
