//! An agent that launches one container, says where it is, and waits to be killed.
//!
//! `doomed-agent CGROUP_ROOT DIR COMMAND..`: the container is `survivor`, with its files below DIR. With `--destroy` before
//! the rest it does not wait, but destroys the container again and ends.

use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result};
use proffer_container::{ContainerConfig, ContainerId, plan};
use proffer_linux::{Config, Containerizer};
use proffer_privileged_tests::{DESTROYED, LAUNCHING};
use proffer_types::{ContainerSpec, Resources};

#[expect(clippy::print_stdout, reason = "its output is what the test reads")]
fn main() -> Result<()> {
    let mut args = std::env::args().skip(1).peekable();
    let destroys = args.next_if(|first| first == "--destroy").is_some();
    let cgroup_root = args.next().context("no cgroup root")?;
    let dir = PathBuf::from(args.next().context("no directory")?);
    let containerizer = Containerizer::new(&Config {
        cgroup_root,
        cgroup_mount: PathBuf::from("/sys/fs/cgroup"),
    })?;
    let spec = ContainerSpec {
        command: args.collect(),
        ..ContainerSpec::default()
    };
    let resources = Resources::of(500, proffer_privileged_tests::MEM_BYTES, 0);
    let id = ContainerId::new("survivor")?;
    let config = ContainerConfig::new(id, spec, resources, proffer_privileged_tests::files(&dir));
    let plan = plan(&config, containerizer.host_facts())?;
    if destroys {
        println!("{LAUNCHING}");
    }
    let launched = containerizer.launch(&plan)?;
    println!("{} {}", launched.pid, launched.start_time);
    if destroys {
        containerizer.destroy(&plan.container_id)?;
        println!("{DESTROYED}");
        return Ok(());
    }
    loop {
        thread::park();
    }
}
