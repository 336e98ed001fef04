//! Hosts of their own, each a network namespace with a cable to a switch; a cable can be cut, one way or both.
//!
//! They are held by files in a directory, and end with it. A cable may also lead to a kernel of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
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
        lan.shell(SWITCH, "nft add table bridge cut")?;
        for (n, host) in lan.hosts.iter().enumerate() {
            let file = lan.file(host);
            netns::create(&file, || ())?;
            let cable = format!(
                "ip link add p{n} type veth peer name eth0 netns {}",
                file.display()
            );
            lan.plug(n, &cable)?;
            let up = format!("ip link set lo up; ip addr add {host}/24 dev eth0; ip link set eth0 up");
            lan.shell(host, &up)?;
        }
        Ok(lan)
    }

    /// Lays a cable from the switch, for a host that is somebody else's to make; returns the interface at its end.
    pub fn tap(&mut self, host: &str) -> Result<String> {
        let n = self.hosts.len();
        self.plug(n, &format!("ip tuntap add mode tap name p{n}"))?;
        self.hosts.push(host.to_owned());
        Ok(format!("p{n}"))
    }

    /// Makes the switch's end of a cable, and what cuts it.
    fn plug(&self, n: usize, cable: &str) -> Result<()> {
        let table = format!(
            "nft 'table bridge cut {{
                chain from{n} {{ type filter hook prerouting priority 0; }}
                chain to{n} {{ type filter hook postrouting priority 0; }}
            }}'"
        );
        self.shell(
            SWITCH,
            &format!("{cable}; ip link set p{n} master br0 up; {table}"),
        )
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

    fn number(&self, host: &str) -> Result<usize> {
        let number = self.hosts.iter().position(|own| own == host);
        number.with_context(|| format!("there is no host {host}"))
    }

    /// Cuts a host's cable, beside what is cut of it already.
    pub fn cut(&self, host: &str, cut: Cut<'_>) -> Result<()> {
        let n = self.number(host)?;
        let drop_in = format!("nft add rule bridge cut to{n} oifname p{n}");
        let drop_out = format!("nft add rule bridge cut from{n} iifname p{n} drop");
        let script = match cut {
            Cut::Both => format!("{drop_in} drop; {drop_out}"),
            Cut::In => format!("{drop_in} drop"),
            Cut::Out => drop_out,
            Cut::From(other) => format!("{drop_in} ip saddr {other} drop"),
        };
        self.shell(SWITCH, &script)
    }

    /// Undoes all cuts of a host's cable.
    pub fn mend(&self, host: &str) -> Result<()> {
        let n = self.number(host)?;
        let script = format!("nft flush chain bridge cut to{n}; nft flush chain bridge cut from{n}");
        self.shell(SWITCH, &script)
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for host in self.hosts.iter().map(String::as_str).chain([SWITCH]) {
            let _ = netns::remove(&self.file(host));
        }
    }
}
