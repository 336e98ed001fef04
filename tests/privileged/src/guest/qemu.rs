//! QEMU without the host's help (no KVM), with a distribution's kernel; the host's files come through virtiofs.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use super::{FileSystem, Guest};
use crate::eventually;

/// Where Debian puts it.
const MKFS_XFS: &str = "/usr/sbin/mkfs.xfs";

const QEMU: &str = "/usr/bin/qemu-system-x86_64";

/// Where Debian puts what serves the host's files.
const FILE_SERVERS: [&str; 2] = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"];

/// Bytes of swap.
const SWAP_BYTES: u64 = 64 << 20;

pub(super) struct Qemu {
    /// Where `scripts/guest-kernel.sh` puts the kernel.
    kernel: PathBuf,
    with_project_quotas: Option<FileSystem>,
}

impl Default for Qemu {
    fn default() -> Self {
        let var = |name| std::env::var_os(name).map(PathBuf::from);
        let home = || var("HOME").map(|home| home.join(".cache"));
        let cache = var("PROFFER_CACHE").or_else(|| {
            let all = var("XDG_CACHE_HOME").or_else(home)?;
            Some(all.join("proffer"))
        });
        Self {
            kernel: cache.unwrap_or_default().join("guest-kernel"),
            with_project_quotas: None,
        }
    }
}

impl Qemu {
    pub(super) fn with_project_quotas(file_system: FileSystem) -> Self {
        Self {
            with_project_quotas: Some(file_system),
            ..Self::default()
        }
    }

    fn file_server() -> Option<&'static str> {
        FILE_SERVERS.into_iter().find(|path| Path::new(path).exists())
    }
}

impl Guest for Qemu {
    fn lacks(&self) -> Option<String> {
        if !Path::new(QEMU).exists() || Self::file_server().is_none() {
            return Some("no QEMU guest: install the package qemu-system-x86".to_owned());
        }
        if self.with_project_quotas == Some(FileSystem::Xfs) && !Path::new(MKFS_XFS).exists() {
            return Some("no XFS: install the package xfsprogs".to_owned());
        }
        let kernel = self.kernel.join("version");
        (!kernel.exists()).then(|| {
            format!(
                "no QEMU guest: no kernel at `{}`, `make test` puts it there",
                kernel.display()
            )
        })
    }

    fn prelude(&self) -> &'static str {
        "mkdir -p /dev/shm /dev/pts /dev/mqueue\n\
         mount -t devpts devpts /dev/pts\n\
         ip link set lo up\n\
         echo 8 >/proc/sys/vm/nr_hugepages\n\
         disk=/dev/vda\n\
         mkswap /dev/vdb >/dev/null && swapon /dev/vdb"
    }

    fn mount(&self) -> &'static str {
        match self.with_project_quotas {
            None => "mkfs.ext4 -q \"$disk\" && mount -t ext4 \"$disk\"",
            Some(FileSystem::Ext4) => {
                "mkfs.ext4 -q -O quota,project -E quotatype=prjquota \"$disk\" && mount -t ext4 -o prjquota \"$disk\""
            }
            Some(FileSystem::Xfs) => "mkfs.xfs -q \"$disk\" && mount -t xfs -o prjquota \"$disk\"",
        }
    }

    fn command(&self, script: &Path, disk: &Path) -> Result<(Command, Vec<Child>)> {
        let socket = disk.with_file_name("files.socket");
        let server = Command::new(Self::file_server().context("no virtiofsd")?)
            .arg(format!("--socket-path={}", socket.display()))
            .args(["-o", "source=/", "-o", "cache=auto", "-o", "sandbox=chroot"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        eventually("virtiofsd", || Ok(socket.exists().then_some(())))?;
        let option = |before: &str, path: &Path, after: &str| {
            let mut option = OsString::from(before);
            option.push(path);
            option.push(after);
            option
        };
        let swap = disk.with_file_name("swap");
        File::create(&swap)?.set_len(SWAP_BYTES)?;
        let mut command = Command::new(QEMU);
        command
            .args(["-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1024"])
            .args([
                "-nodefaults",
                "-no-reboot",
                "-display",
                "none",
                "-serial",
                "stdio",
            ])
            .args(["-object", "memory-backend-memfd,id=memory,size=1024M,share=on"])
            .args(["-numa", "node,memdev=memory"])
            .arg("-chardev")
            .arg(option("socket,id=files,path=", &socket, ""))
            .args(["-device", "vhost-user-fs-pci,chardev=files,tag=host"])
            .arg("-drive")
            .arg(option("if=virtio,format=raw,file=", disk, ""))
            .arg("-drive")
            .arg(option("if=virtio,format=raw,file=", &swap, ""))
            .arg("-kernel")
            .arg(self.kernel.join("vmlinuz"))
            .arg("-initrd")
            .arg(self.kernel.join("initramfs"))
            .arg("-append")
            .arg(option(
                "console=ttyS0 quiet panic=-1 psi=1 proffer.init=",
                script,
                "",
            ));
        Ok((command, vec![server]))
    }
}
