//! Hosts of their own, each a network namespace with a cable to a switch; a cable can be cut, one way or both.
//!
//! They are held by files in a directory, and end with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use proffer_linux::netns;

use crate::text;

/// The switch, where clients are.
pub const SWITCH: &str = "10.78.0.254";

/// The switch and the hosts.
#[derive(Debug)]
pub struct Lan {
    dir: PathBuf,
    hosts: Vec<String>,
}

/// What of a host's cable is cut.
#[derive(Debug, Clone, Copy)]
pub enum Cut<'a> {
    /// It hears nothing and is not heard.
    Both,
    /// It hears nothing.
    In,
    /// It is not heard.
    Out,
    /// It hears nothing from that host, which goes on hearing it.
    From(&'a str),
}

impl Lan {
    /// Puts up the switch, and hosts with a cable to it.
    pub fn new(dir: PathBuf, hosts: &[&str]) -> Result<Self> {
        std::fs::create_dir(&dir)?;
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let lan = Self { dir, hosts };
        netns::create(&lan.file(SWITCH), || ())?;
        let bridge = "ip link set lo up; ip link add br0 type bridge; ip link set br0 up";
        lan.shell(SWITCH, &format!("{bridge}; ip addr add {SWITCH}/24 dev br0"))?;
        for (n, host) in lan.hosts.iter().enumerate() {
            let file = lan.file(host);
            netns::create(&file, || ())?;
            let cable = format!(
                "ip link add p{n} type veth peer name eth0 netns {}",
                file.display()
            );
            lan.shell(SWITCH, &format!("{cable}; ip link set p{n} master br0 up"))?;
            let up = format!("ip link set lo up; ip addr add {host}/24 dev eth0; ip link set eth0 up");
            let table = "nft 'table inet cut {
                chain in { type filter hook input priority 0; }
                chain out { type filter hook output priority 0; }
            }'";
            lan.shell(host, &format!("{up}; {table}"))?;
        }
        Ok(lan)
    }

    fn file(&self, host: &str) -> PathBuf {
        self.dir.join(host)
    }

    /// A program on a host. Its files are those of all.
    #[must_use]
    pub fn on(&self, host: &str, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.file(host).display()));
        command.arg(program).stdin(Stdio::null());
        command
    }

    fn shell(&self, host: &str, script: &str) -> Result<()> {
        let ran = self.on(host, Path::new("sh")).args(["-ec", script]).output()?;
        ensure!(ran.status.success(), "{host}: {script}: {}", text(&ran.stderr));
        Ok(())
    }

    /// Cuts a host's cable, beside what is cut of it already.
    pub fn cut(&self, host: &str, cut: Cut<'_>) -> Result<()> {
        let drop_in = "nft add rule inet cut in iifname eth0 drop";
        let drop_out = "nft add rule inet cut out oifname eth0 drop";
        match cut {
            Cut::Both => self.shell(host, &format!("{drop_in}; {drop_out}")),
            Cut::In => self.shell(host, drop_in),
            Cut::Out => self.shell(host, drop_out),
            Cut::From(other) => self.shell(host, &format!("nft add rule inet cut in ip saddr {other} drop")),
        }
    }

    /// Undoes all cuts of a host's cable.
    pub fn mend(&self, host: &str) -> Result<()> {
        self.shell(host, "nft flush chain inet cut in; nft flush chain inet cut out")
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for host in self.hosts.iter().map(String::as_str).chain([SWITCH]) {
            let _ = netns::remove(&self.file(host));
        }
    }
}
