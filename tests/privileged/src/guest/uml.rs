//! User-Mode Linux: the kernel as a program of this host.

use std::path::Path;
use std::process::{Child, Command};

use anyhow::Result;

use super::Guest;

/// Where Debian puts the kernel.
pub(super) const KERNEL: &str = "/usr/bin/linux.uml";

pub(super) struct Uml;

impl Uml {
    /// What tells the kernel its memory, its console, its disk and its first process; its files are this host's.
    pub(super) fn arguments(script: &Path, disk: &Path) -> Vec<String> {
        let fixed = "mem=1024M root=/dev/root rootfstype=hostfs hostfs=/ rw quiet con=null con0=fd:0,fd:1";
        let own = [
            format!("ubd0={}", disk.display()),
            format!("init={}", script.display()),
        ];
        fixed.split(' ').map(str::to_owned).chain(own).collect()
    }
}

impl Guest for Uml {
    fn lacks(&self) -> Option<String> {
        let why = "no cgroup v2 guest: install the package user-mode-linux";
        (!Path::new(KERNEL).exists()).then(|| why.to_owned())
    }

    fn prelude(&self) -> &'static str {
        // Its `/dev` is the host's, which has no such node, and overlayfs is a module.
        "disk=tmp/disk; mknod \"$disk\" b 98 0\n\
         insmod /usr/lib/uml/modules/$(uname -r)/kernel/fs/overlayfs/overlay.ko"
    }

    fn command(&self, script: &Path, disk: &Path) -> Result<(Command, Vec<Child>)> {
        let mut command = Command::new(KERNEL);
        command.args(Self::arguments(script, disk));
        Ok((command, Vec::new()))
    }
}
