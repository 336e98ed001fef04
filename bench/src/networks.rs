//! What a container's network takes, by itself: a namespace, and one on the bridge with a published port, beside the chain
//! of CNI plugins that other runtimes use for the same. In a network made for the benchmark.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use proffer_linux::netns;
use proffer_network::{Bandwidth, Config, Mode, Networks, Port, Request, Subnet, Tag, Transport};

use crate::launches::ours::{Kind, Network, Ours};
use crate::launches::{DIR, stamp};
use crate::report::{Report, Row, median};

/// Runs of each, in turn.
const RUNS: u16 = 50;

/// Where Debian has the plugins.
const PLUGINS: &str = "/usr/lib/cni";

/// Milliseconds until each network stood.
#[derive(Debug, Default)]
struct Took {
    namespace: Vec<f64>,
    bridge: Vec<f64>,
    /// From the order for that network to the execution of a container's program in it.
    launched: Vec<f64>,
    plugins: Option<Vec<f64>>,
}

pub(crate) fn run(report: &mut Report) -> Result<()> {
    let dir = tempfile::tempdir_in(DIR)?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    let host = dir.path().join("host");
    let measured = netns::create(&host, || measure(dir.path()));
    netns::remove(&host)?;
    let took = measured??;
    let row = |case: &str, values| {
        Row::new(
            "networks",
            format!("{case}, median of {RUNS}"),
            median(values),
            "ms",
        )
    };
    report.add(row("namespace with loopback", took.namespace))?;
    let plugins = took
        .plugins
        .map(median)
        .with_context(|| format!("no plugins in {PLUGINS}"));
    report.add(row(
        "that, and a container's program executed in it",
        took.launched,
    ))?;
    let bridge = row("namespace on the bridge, with a published port", took.bridge);
    report.add(bridge.beside("CNI bridge, host-local, portmap", plugins))
}

fn measure(dir: &Path) -> Result<Took> {
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    let has_plugins = Path::new(PLUGINS).join("portmap").exists();
    let cni_config_dir = dir.join("cni");
    fs::create_dir(&cni_config_dir)?;
    let chain = serde_json::json!({
        "cniVersion": "1.0.0", "name": "other", "plugins": [
            { "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "ipam": {
                "type": "host-local", "dataDir": dir.join("leases"), "ranges": [[{ "subnet": "10.77.0.0/16" }]],
                "routes": [{ "dst": "0.0.0.0/0" }],
            } },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    });
    fs::write(cni_config_dir.join("other.conflist"), chain.to_string())?;
    let ours = Ours::new(dir, &stamp::build(dir)?)?;
    let config = Config {
        tag: Tag::new(0xbe9c),
        is_rootless: false,
        records: dir.join("records"),
        bridge_subnet: Subnet::default(),
        set_ip_forward: false,
        cni_config_dir,
        cni_plugin_dirs: vec![PLUGINS.into()],
    };
    // One thread, so that all of it is in the network made for it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let networks = Networks::open(config).await?;
        let mut took = Took {
            plugins: has_plugins.then(Vec::new),
            ..Took::default()
        };
        // One of each first, so that all are warm; and the bridge stays for the others.
        attach(&networks, dir, "first", Mode::Bridge, &[]).await?;
        for run in 0..=RUNS {
            let namespace = timed(&networks, dir, Mode::None, &[]).await?;
            let bridge = attach(&networks, dir, "c", Mode::Bridge, &[port(31000 + run)]).await?;
            let launched = ours.run(Kind {
                network: Network::Joined(&dir.join("netns-c")),
                ..Kind::default()
            });
            networks.detach("c").await?;
            let launched = bridge + launched?.executed;
            let plugins = match has_plugins {
                true => Some(
                    timed(
                        &networks,
                        dir,
                        Mode::Cni("other".to_owned()),
                        &[port(32000 + run)],
                    )
                    .await?,
                ),
                false => None,
            };
            if run == 0 {
                continue;
            }
            took.namespace.push(namespace);
            took.bridge.push(bridge);
            took.launched.push(launched);
            took.plugins.iter_mut().for_each(|all| all.extend(plugins));
        }
        networks.detach("first").await?;
        networks.remove_unused().await?;
        ensure!(
            fs::read_dir(dir.join("records"))?.count() == 0,
            "a network is left"
        );
        Ok(took)
    })
}

fn port(host: u16) -> Port {
    Port {
        host,
        container: 80,
        transport: Transport::Tcp,
    }
}

async fn attach(networks: &Networks, dir: &Path, id: &str, mode: Mode, ports: &[Port]) -> Result<f64> {
    let namespace: PathBuf = dir.join(format!("netns-{id}"));
    let request = Request {
        network_id: id.to_owned(),
        member: id.to_owned(),
        namespace,
        mode,
        ports: ports.to_vec(),
        bandwidth: Bandwidth::default(),
    };
    let start = Instant::now();
    networks.attach(request).await?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

async fn timed(networks: &Networks, dir: &Path, mode: Mode, ports: &[Port]) -> Result<f64> {
    let took = attach(networks, dir, "c", mode, ports).await?;
    networks.detach("c").await?;
    Ok(took)
}
