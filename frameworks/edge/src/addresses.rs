//! Virtual addresses of services, on this host's loopback interface.
//!
//! An address that an edge adds carries a label of edges, and any edge removes one that has it once no socket of the host uses
//! the address and no service wants it. So nothing has to be handed over when an edge follows another, or died, and an address
//! that the operator added stays.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::{fs, io};

use futures::TryStreamExt as _;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::{Handle, new_connection};
use tracing::{debug, info};

/// The loopback interface, and the label of addresses that edges added there.
const LOOPBACK: &str = "lo";
const LABEL: &str = "lo:proffer";

/// Adds and removes addresses.
#[derive(Debug, Default)]
pub(crate) struct Addresses;

impl Addresses {
    /// Adds an address to the loopback interface.
    pub(crate) async fn add(&self, address: IpAddr) -> io::Result<()> {
        let in_context =
            |error: io::Error| io::Error::new(error.kind(), format!("cannot add {address} to lo: {error}"));
        let netlink = Netlink::connect().map_err(in_context)?;
        let index = netlink.loopback().await.map_err(in_context)?;
        let mut request = netlink.handle.address().add(index, address, prefix(address));
        request
            .message_mut()
            .attributes
            .push(AddressAttribute::Label(LABEL.to_owned()));
        match request.execute().await.map_err(io_error) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(in_context(error)),
            Ok(()) => {
                info!(%address, "added to lo");
                Ok(())
            }
        }
    }

    /// Removes the addresses of edges that are neither wanted nor used by a socket of this host.
    pub(crate) async fn tidy(&self, wanted: &BTreeSet<IpAddr>) {
        if let Err(error) = tidy(wanted).await {
            debug!(%error, "cannot look for addresses that nobody uses");
        }
    }
}

async fn tidy(wanted: &BTreeSet<IpAddr>) -> io::Result<()> {
    let netlink = Netlink::connect()?;
    let ours = netlink.labelled().await?;
    let idle = ours.into_iter().filter(|(address, _)| !wanted.contains(address));
    let idle: Vec<_> = idle.collect();
    if idle.is_empty() {
        return Ok(());
    }
    let used = used()?;
    for (address, message) in idle.into_iter().filter(|(address, _)| !used.contains(address)) {
        netlink
            .handle
            .address()
            .del(message)
            .execute()
            .await
            .map_err(io_error)?;
        info!(%address, "removed from lo");
    }
    Ok(())
}

fn prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

struct Netlink {
    handle: Handle,
}

impl Netlink {
    fn connect() -> io::Result<Self> {
        let (connection, handle, _) = new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    async fn loopback(&self) -> io::Result<u32> {
        let mut found = self.handle.link().get().match_name(LOOPBACK.to_owned()).execute();
        let link = found.try_next().await.map_err(io_error)?;
        link.map(|link| link.header.index)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The addresses with the label of edges.
    async fn labelled(&self) -> io::Result<Vec<(IpAddr, AddressMessage)>> {
        let all: Vec<AddressMessage> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(io_error)?;
        let ours = |message: AddressMessage| {
            let is_ours = message
                .attributes
                .contains(&AddressAttribute::Label(LABEL.to_owned()));
            let address = message.attributes.iter().find_map(|attribute| {
                if let AddressAttribute::Address(address) = attribute {
                    return Some(*address);
                }
                None
            });
            address.filter(|_| is_ours).map(|address| (address, message))
        };
        Ok(all.into_iter().filter_map(ours).collect())
    }
}

fn io_error(error: rtnetlink::Error) -> io::Error {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others are no answers of the kernel"
    )]
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    }
}

/// The IPv4 addresses at this end of every TCP and UDP socket of the host (proc_pid_net(5)).
fn used() -> io::Result<BTreeSet<IpAddr>> {
    let mut used = BTreeSet::new();
    for table in ["tcp", "udp"] {
        let text = fs::read_to_string(format!("/proc/self/net/{table}"))?;
        used.extend(text.lines().filter_map(local_address));
    }
    Ok(used)
}

/// `  0: 0100007F:1F90 00000000:0000 0A ..`: the address as the kernel's word of this machine's byte order.
fn local_address(line: &str) -> Option<IpAddr> {
    // Established, half open, listening, and what UDP has: the others are on their way out (net/tcp_states.h).
    const IN_USE: [&str; 4] = ["01", "03", "0A", "07"];
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = fields.next()?;
    let (_, state) = (fields.next()?, fields.next()?);
    let (address, _) = local.split_once(':')?;
    let address = u32::from_str_radix(address, 16).ok()?;
    IN_USE
        .contains(&state)
        .then(|| Ipv4Addr::from(address.to_ne_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_used_by_every_socket_that_is_not_on_its_way_out() {
        let line = |address: u32, state: &str| format!("   0: {address:08X}:1F90 00000000:0000 {state} 0 0");
        let word = u32::from_ne_bytes([10, 96, 0, 7]);
        let address = IpAddr::from([10, 96, 0, 7]);
        assert_eq!(local_address(&line(word, "0A")), Some(address));
        assert_eq!(local_address(&line(word, "06")), None);
        assert_eq!(local_address("  sl  local_address rem_address   st"), None);
        let listener = std::net::TcpListener::bind("127.77.0.1:0").unwrap();
        assert!(used().unwrap().contains(&IpAddr::from([127, 77, 0, 1])));
        drop(listener);
        assert!(!used().unwrap().contains(&IpAddr::from([127, 77, 0, 1])));
    }
}
