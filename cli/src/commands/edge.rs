//! `proffer edge`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use proffer_edge::EdgeConfig;

use crate::daemon::until_signal;
use crate::spec::Span;

/// How long what is under way at the end may take.
const DRAIN: Duration = Duration::from_secs(30);

/// Run the DNS server and balancer of one host, which serves what the service framework tells it
#[derive(Debug, Args)]
pub(crate) struct EdgeArgs {
    /// Addresses of the masters, `host:port`, separated by commas
    #[arg(
        long,
        env = "PROFFER_MASTER",
        default_value = "127.0.0.1:5050",
        value_delimiter = ',',
        value_name = "ADDRESS"
    )]
    master: Vec<String>,
    /// What the edge is called in reports; absent means the host's name
    #[arg(long, env = "PROFFER_EDGE_NAME", value_name = "NAME")]
    name: Option<String>,
    /// Where DNS is answered, by UDP and TCP, separated by commas. The default needs no privilege and leaves 53 and 5353
    /// to a resolver and to multicast DNS; containers ask an address of the host's that they reach, at port 53
    #[arg(
        long,
        env = "PROFFER_DNS_LISTEN",
        default_value = "127.0.0.1:8053",
        value_delimiter = ',',
        value_name = "ADDRESS"
    )]
    dns_listen: Vec<SocketAddr>,
    /// DNS servers that are asked for names that do not end in `.proffer`, one after the other, separated by commas;
    /// without them such questions are refused
    #[arg(
        long,
        env = "PROFFER_DNS_UPSTREAM",
        value_delimiter = ',',
        value_name = "ADDRESS"
    )]
    upstream: Vec<SocketAddr>,
    /// Where `/metrics` and `/healthz` are; absent means nowhere
    #[arg(long, env = "PROFFER_STATUS_LISTEN", value_name = "ADDRESS")]
    status_listen: Option<SocketAddr>,
    /// How long what is under way at the end may take; absent means 30s
    #[arg(long, env = "PROFFER_DRAIN", value_name = "DURATION")]
    drain: Option<Span>,
}

pub(super) async fn edge(args: EdgeArgs) -> Result<u8> {
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    let config = EdgeConfig {
        masters: args.master,
        name: args.name.unwrap_or_else(host),
        dns_listen: args.dns_listen,
        upstreams: args.upstream,
        status_listen: args.status_listen,
        drain: args.drain.map_or(DRAIN, |span| span.0),
    };
    until_signal(|shutdown| proffer_edge::run(config, shutdown))
        .await
        .context("the edge ended")
}
