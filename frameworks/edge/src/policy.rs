//! Network policies on this host: the tables of its packet filter are kept as the cluster wants them.
//!
//! They stand in the kernel, so they hold while no edge runs, and the next one goes on with them. They are removed when there
//! is no policy any more, and made again where somebody else removed them, such as a firewall that starts.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use proffer_edge_core::policy::{BRIDGE_SET, Host, INET_SET, NO_BRIDGE, NO_INET, Network, Ruleset, ruleset};
use proffer_types::edge_report::PolicyReport;
use proffer_types::policy::ClusterNetwork;
use proffer_wire::policy::MAX_AGENTS_OF_HOST;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::{Handle, new_connection};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::nft;
use crate::state::Shared;

/// How often it is looked whether the tables are still there, and the host's addresses are as they were.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How soon it is tried again after a failure.
const RETRY: Duration = Duration::from_secs(2);
/// Changes that come closer together are made at once.
const PAUSE: Duration = Duration::from_millis(10);

/// The two tables, as they were made last.
#[derive(Debug, PartialEq, Eq)]
struct Tables {
    inet: String,
    bridge: String,
}

impl Tables {
    /// Other than any that are wanted.
    fn unknown() -> Self {
        Self {
            inet: String::new(),
            bridge: String::new(),
        }
    }

    fn of(ruleset: Option<&Ruleset>) -> Self {
        Self {
            inet: ruleset.map_or_else(|| NO_INET.to_owned(), Ruleset::inet),
            bridge: ruleset.map_or_else(|| NO_BRIDGE.to_owned(), Ruleset::bridge),
        }
    }
}

/// Enforces policies until `shutdown`. What is enforced then stays.
pub(crate) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    shutdown.run_until_cancelled(enforce(&shared)).await;
}

async fn enforce(shared: &Shared) {
    let mut changes = shared.changes();
    let mut made: Option<Tables> = None;
    let mut look_at = Instant::now();
    loop {
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = sleep_until(look_at) => {}
        }
        look_at = Instant::now() + LOOK_EVERY;
        if !shared.is_complete() {
            continue;
        }
        let cluster = shared.network.load_full();
        let outcome = settle(shared, &cluster, &mut made).await;
        let report = match outcome {
            Ok(hosts) => PolicyReport {
                hosts,
                problem: String::new(),
            },
            // What was never made needs no removal, and there may be no `nft` at all.
            Err(problem) if cluster.policies.is_empty() && made.is_none() => {
                debug!(problem, "rules of an earlier edge are not looked for");
                made = Some(Tables::of(None));
                PolicyReport::default()
            }
            Err(problem) => {
                made = Some(Tables::unknown());
                look_at = Instant::now() + RETRY;
                PolicyReport {
                    hosts: Vec::new(),
                    problem,
                }
            }
        };
        let before = shared.policy.swap(Arc::new(report.clone()));
        if !report.problem.is_empty() && before.problem != report.problem {
            warn!(
                problem = report.problem,
                "network policies are not enforced; trying again"
            );
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Makes the tables as they are to be; tells for which agents that holds.
async fn settle(
    shared: &Shared,
    cluster: &ClusterNetwork,
    made: &mut Option<Tables>,
) -> Result<Vec<IpAddr>, String> {
    let host = match cluster.policies.is_empty() {
        true => Host::default(),
        false => host()
            .await
            .map_err(|error| format!("cannot read this host's addresses: {error}"))?,
    };
    let tables = Tables::of(ruleset(&shared.services.load(), cluster, &host).as_ref());
    if made.as_ref() != Some(&tables) || !are_there(&tables).await {
        let started = Instant::now();
        nft::run(&tables.inet).await.map_err(|error| error.to_string())?;
        let bridge = nft::run(&tables.bridge).await;
        bridge.map_err(|error| format!("between containers of one bridge: {error}"))?;
        let took_ms = started.elapsed().as_millis();
        match cluster.policies.len() {
            0 if made.is_some() => info!("there is no network policy any more"),
            0 => debug!("there is no network policy"),
            policies => info!(policies, took_ms, "network policies are enforced"),
        }
        *made = Some(tables);
    }
    let here = cluster
        .hosts
        .iter()
        .filter(|address| host.addresses.contains(address));
    Ok(here.copied().take(MAX_AGENTS_OF_HOST).collect())
}

/// Whether tables that were made are still there.
async fn are_there(tables: &Tables) -> bool {
    (tables.inet == NO_INET || nft::has_set(INET_SET).await)
        && (tables.bridge == NO_BRIDGE || nft::has_set(BRIDGE_SET).await)
}

/// The host's addresses, and the networks they are in.
async fn host() -> io::Result<Host> {
    let (connection, handle, _) = new_connection()?;
    let connection = tokio::spawn(connection);
    let host = read(&handle).await.map_err(io::Error::other);
    connection.abort();
    host
}

async fn read(handle: &Handle) -> Result<Host, rtnetlink::Error> {
    let links: Vec<_> = handle.link().get().execute().try_collect().await?;
    let addresses: Vec<_> = handle.address().get().execute().try_collect().await?;
    let mut host = Host::default();
    for message in &addresses {
        let (mut local, mut plain) = (None, None);
        for attribute in &message.attributes {
            if let AddressAttribute::Local(address) = attribute {
                local = Some(*address);
            } else if let AddressAttribute::Address(address) = attribute {
                plain = Some(*address);
            }
        }
        // Of a point-to-point link the plain one is the peer's.
        let Some(address) = local.or(plain) else { continue };
        host.addresses.insert(address);
        let IpAddr::V4(address) = address else { continue };
        let link = links
            .iter()
            .find(|link| link.header.index == message.header.index);
        let mac = link.and_then(|link| {
            let mut attributes = link.attributes.iter();
            attributes.find_map(|attribute| {
                if let LinkAttribute::Address(mac) = attribute {
                    return <[u8; 6]>::try_from(mac.as_slice()).ok();
                }
                None
            })
        });
        let prefix = message.header.prefix_len;
        host.networks
            .extend(mac.map(|mac| Network { address, prefix, mac }));
    }
    Ok(host)
}
