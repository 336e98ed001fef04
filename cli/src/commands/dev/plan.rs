//! What a dev cluster consists of: children, their arguments and addresses.

use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::thread::available_parallelism;

use anyhow::{Context as _, Result};
use proffer_types::Resources;
use proffer_types::resources::format::format_millis;

use crate::logging::LogArgs;

/// Ports taken when any will do. Below the kernel's ephemeral range: a master that is away must find its port free
/// when it is back, and a client that dials it meanwhile must not be connected to itself.
const FREE_PORTS: std::ops::Range<u16> = 20_000..30_000;

/// What a child is; children of one kind start and stop together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Master,
    Agent,
    Framework,
}

/// What the user asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) data_dir: PathBuf,
    pub(super) listen: SocketAddr,
    pub(super) n_agents: u16,
    pub(super) resources: Option<Resources>,
    pub(super) allocator: Option<String>,
    pub(super) log: LogArgs,
}

/// One process to be kept running.
#[derive(Debug, Clone)]
pub(super) struct Child {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) args: Vec<OsString>,
    /// Absent when the child takes a free port and tells the master itself.
    pub(super) address: Option<SocketAddr>,
    pub(super) log: PathBuf,
}

/// The whole cluster.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) master: SocketAddr,
    pub(super) n_agents: u16,
    pub(super) children: Vec<Child>,
}

impl Plan {
    /// Decides on ports and arguments.
    pub(super) fn new(wanted: &Wanted) -> Result<Self> {
        let mut ports = Ports::new(wanted.listen);
        let master = SocketAddr::new(wanted.listen.ip(), ports.next()?);
        let address = master.to_string();
        let mut args = vec!["master", "--listen", &address];
        let allocator = wanted.allocator.as_deref();
        args.extend(allocator.iter().flat_map(|name| ["--allocator", name]));
        let mut children = vec![wanted.child("master", Kind::Master, &args)];
        children[0].address = Some(master);
        for n in 1..=wanted.n_agents {
            let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), ports.next()?);
            children.push(wanted.agent(n, address, master)?);
        }
        for name in ["batch", "service"] {
            let args = ["framework", name, "--master", &master.to_string()];
            children.push(wanted.child(name, Kind::Framework, &args));
        }
        Ok(Self {
            master,
            n_agents: wanted.n_agents,
            children,
        })
    }

    /// Fails when another process listens where a child is to: the frameworks would join a stranger's cluster.
    pub(super) fn check_addresses(&self) -> Result<()> {
        for child in &self.children {
            let Some(address) = child.address else { continue };
            TcpListener::bind(address).with_context(|| {
                let name = &child.name;
                format!("{name} cannot listen on {address}; stop what does, or give another --listen")
            })?;
        }
        Ok(())
    }
}

impl Wanted {
    fn agent(&self, n: u16, address: SocketAddr, master: SocketAddr) -> Result<Child> {
        let (address_text, master) = (address.to_string(), master.to_string());
        let mut args = vec![
            "agent",
            "--listen",
            &address_text,
            "--master",
            &master,
            "--kill-tasks-on-stop",
        ];
        let resources = match &self.resources {
            Some(resources) => Some(resources.to_string()),
            None if self.n_agents > 1 => Some(even_share(self.n_agents)?),
            None => None,
        };
        args.extend(
            resources
                .iter()
                .flat_map(|resources| ["--resources", resources.as_str()]),
        );
        let mut child = self.child(&format!("agent-{n}"), Kind::Agent, &args);
        child.address = Some(address);
        Ok(child)
    }

    fn child(&self, name: &str, kind: Kind, args: &[&str]) -> Child {
        let mut args: Vec<OsString> = args.iter().map(OsString::from).collect();
        args.extend(["--data-dir".into(), self.data_dir.join(name).into()]);
        args.extend(self.log.pass_on().map(OsString::from));
        Child {
            name: name.to_owned(),
            kind,
            args,
            address: None,
            log: self.data_dir.join(format!("{name}.log")),
        }
    }
}

/// One of `n` equal parts of this machine's cores and memory.
fn even_share(n: u16) -> Result<String> {
    let cores = available_parallelism()
        .context("cannot count this machine's cores; give --resources")?
        .get();
    let meminfo =
        fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo; give --resources")?;
    let mem = meminfo
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()
        })
        .context("no MemTotal in /proc/meminfo; give --resources")?;
    let n = u64::from(n);
    // Whole mebibytes, so that what is written is what is meant.
    let mem = (mem / 1024 / n) << 20;
    Ok(format!(
        "cpus:{};mem:{}B",
        format_millis(cores as u64 * 1000 / n),
        mem
    ))
}

/// Hands out ports: consecutive ones, or free ones.
enum Ports {
    From(u16),
    Free(u16),
}

impl Ports {
    fn new(listen: SocketAddr) -> Self {
        match listen.port() {
            0 => {
                let span = u64::from(FREE_PORTS.end - FREE_PORTS.start);
                let random = RandomState::new().build_hasher().finish() % span;
                Self::Free(FREE_PORTS.start + u16::try_from(random).unwrap_or(0))
            }
            port => Self::From(port),
        }
    }

    fn next(&mut self) -> Result<u16> {
        match self {
            Self::From(next) => {
                let port = *next;
                *next = next.checked_add(1).context("no port is left after --listen's")?;
                Ok(port)
            }
            Self::Free(next) => {
                for _ in FREE_PORTS {
                    let port = *next;
                    *next = if port + 1 == FREE_PORTS.end {
                        FREE_PORTS.start
                    } else {
                        port + 1
                    };
                    if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                        return Ok(port);
                    }
                }
                anyhow::bail!("no port from {} to {} is free", FREE_PORTS.start, FREE_PORTS.end)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::logging::LogFormat;

    fn wanted(listen: &str, n_agents: u16) -> Wanted {
        Wanted {
            data_dir: PathBuf::from("/d"),
            listen: listen.parse().unwrap(),
            n_agents,
            resources: Some("cpus:1;mem:1GiB".parse().unwrap()),
            allocator: Some("fifo".to_owned()),
            log: LogArgs {
                log_level: Some("debug".to_owned()),
                log_format: LogFormat::Text,
            },
        }
    }

    #[test]
    fn agents_take_the_ports_after_the_masters() {
        let plan = Plan::new(&wanted("127.0.0.1:5050", 2)).unwrap();
        let lines: Vec<String> = plan
            .children
            .iter()
            .map(|child| {
                let args: Vec<_> = child.args.iter().map(|arg| arg.to_string_lossy()).collect();
                format!("{}: {}\n", child.name, args.join(" "))
            })
            .collect();
        expect![[r#"
            master: master --listen 127.0.0.1:5050 --allocator fifo --data-dir /d/master --log-level debug --log-format text
            agent-1: agent --listen 127.0.0.1:5051 --master 127.0.0.1:5050 --kill-tasks-on-stop --resources cpus:1;mem:1GiB --data-dir /d/agent-1 --log-level debug --log-format text
            agent-2: agent --listen 127.0.0.1:5052 --master 127.0.0.1:5050 --kill-tasks-on-stop --resources cpus:1;mem:1GiB --data-dir /d/agent-2 --log-level debug --log-format text
            batch: framework batch --master 127.0.0.1:5050 --data-dir /d/batch --log-level debug --log-format text
            service: framework service --master 127.0.0.1:5050 --data-dir /d/service --log-level debug --log-format text
        "#]].assert_eq(&lines.concat());
    }

    #[test]
    fn port_0_takes_free_ports_outside_the_ephemeral_range() {
        let plan = Plan::new(&wanted("127.0.0.1:0", 1)).unwrap();
        let ports: Vec<u16> = plan
            .children
            .iter()
            .filter_map(|child| Some(child.address?.port()))
            .collect();
        assert_eq!(ports.len(), 2);
        assert!(ports.iter().all(|port| FREE_PORTS.contains(port)), "{ports:?}");
        assert_ne!(ports[0], ports[1]);
    }

    #[test]
    fn an_address_in_use_is_named_before_anything_starts() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let plan = Plan::new(&wanted(&address.to_string(), 0)).unwrap();
        let error = plan.check_addresses().unwrap_err();
        let told = format!("master cannot listen on {address}; stop what does, or give another --listen");
        assert_eq!(error.to_string(), told);
        drop(taken);
        plan.check_addresses().unwrap();
    }

    #[test]
    fn even_shares_are_valid_resources() {
        let share: Resources = even_share(3).unwrap().parse().unwrap();
        assert!(share.cpu_millis() > 0 && share.mem_bytes() > 0);
    }
}
