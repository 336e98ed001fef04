//! Interfaces, addresses and routes by netlink (rtnetlink(7)).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd as _;

use futures::TryStreamExt as _;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoPortKind, InfoVeth, LinkAttribute, LinkMessage};
use rtnetlink::{Handle, LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, RouteMessageBuilder};

/// The interface of a container.
pub(crate) const INSIDE: &str = "eth0";

/// Interfaces of one network namespace: that of the thread that made the connection.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    handle: Handle,
}

/// One end in this namespace, the other, [`INSIDE`], in another.
#[derive(Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) name: &'a str,
    /// The bridge's index.
    pub(crate) bridge: u32,
    pub(crate) namespace: &'a File,
    pub(crate) inside_mac: [u8; 6],
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

impl Links {
    /// Connects to the namespace of the thread that calls. Must be called in the context of a runtime.
    pub(crate) fn connect() -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The index of an interface; `None` when there is none of that name.
    pub(crate) async fn index(&self, name: &str) -> io::Result<Option<u32>> {
        let mut found = self.handle.link().get().match_name(name).execute();
        match found.try_next().await.map_err(io_error) {
            Ok(link) => Ok(link.map(|link| link.header.index)),
            Err(error) if error.raw_os_error() == Some(NO_DEVICE) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names of a bridge's ports.
    pub(crate) async fn ports(&self, bridge: u32) -> io::Result<Vec<String>> {
        let all = self.all().await?;
        let is_port = |link: &&LinkMessage| link.attributes.contains(&LinkAttribute::Controller(bridge));
        Ok(all.iter().filter(is_port).map(name).collect())
    }

    /// All IPv4 addresses: interface name, address, prefix.
    pub(crate) async fn addresses(&self) -> io::Result<Vec<(String, Ipv4Addr, u8)>> {
        let names: BTreeMap<u32, String> = self
            .all()
            .await?
            .iter()
            .map(|link| (link.header.index, name(link)))
            .collect();
        let addresses: Vec<_> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(io_error)?;
        let mut found = Vec::new();
        for message in addresses {
            let interface = names.get(&message.header.index).cloned().unwrap_or_default();
            for attribute in &message.attributes {
                if let AddressAttribute::Address(IpAddr::V4(address)) = attribute {
                    found.push((interface.clone(), *address, message.header.prefix_len));
                }
            }
        }
        Ok(found)
    }

    async fn all(&self) -> io::Result<Vec<LinkMessage>> {
        self.handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(io_error)
    }

    /// Makes a bridge that is up. Its hardware address is given, as it would change with its ports otherwise.
    pub(crate) async fn add_bridge(&self, name: &str, mac: [u8; 6]) -> io::Result<()> {
        let bridge = LinkBridge::new(name).address(mac.to_vec()).build();
        self.handle.link().add(bridge).execute().await.map_err(io_error)
    }

    /// Makes both ends in one call; the other one is not up, as the kernel takes no such wish for it.
    pub(crate) async fn add_pair(&self, pair: &Pair<'_>) -> io::Result<()> {
        let mut peer = LinkMessage::default();
        peer.attributes = vec![
            LinkAttribute::IfName(INSIDE.to_owned()),
            LinkAttribute::Address(pair.inside_mac.to_vec()),
            LinkAttribute::NetNsFd(pair.namespace.as_raw_fd()),
        ];
        let message = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Veth)
            .name(pair.name)
            .controller(pair.bridge)
            .up()
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .build();
        self.handle.link().add(message).execute().await.map_err(io_error)
    }

    /// Lets a port of a bridge send back to where a packet came from: where the kernel shows bridged packets to the
    /// rules (br_netfilter), a container could not reach itself by a published port otherwise.
    pub(crate) async fn set_hairpin(&self, port: &str) -> io::Result<()> {
        let message = LinkMessageBuilder::<LinkBridgePort>::default()
            .name(port)
            .set_port_kind(InfoPortKind::Bridge)
            .hairpin(true)
            .build();
        self.handle
            .link()
            .set_port(message)
            .execute()
            .await
            .map_err(io_error)
    }

    pub(crate) async fn set_up(&self, index: u32) -> io::Result<()> {
        let message = LinkUnspec::new_with_index(index).up().build();
        self.handle.link().set(message).execute().await.map_err(io_error)
    }

    /// Removes an interface; one that is not there is no error.
    pub(crate) async fn delete(&self, name: &str) -> io::Result<()> {
        let message = LinkUnspec::new_with_name(name).build();
        present(self.handle.link().del_with_message(message).execute().await)
    }

    /// Puts an interface into a group; false when there is none of that name.
    pub(crate) async fn set_group(&self, name: &str, group: u32) -> io::Result<bool> {
        let message = LinkUnspec::new_with_name(name).link_group(group).build();
        match self.handle.link().set(message).execute().await.map_err(io_error) {
            Err(error) if error.raw_os_error() == Some(NO_DEVICE) => Ok(false),
            result => result.map(|()| true),
        }
    }

    /// Removes all interfaces of a group; an empty one is no error.
    pub(crate) async fn delete_group(&self, group: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.attributes = vec![LinkAttribute::Group(group)];
        present(self.handle.link().del_with_message(message).execute().await)
    }

    pub(crate) async fn add_address(&self, index: u32, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let request = self.handle.address().add(index, address.into(), prefix).replace();
        request.execute().await.map_err(io_error)
    }

    pub(crate) async fn add_default_route(&self, gateway: Ipv4Addr) -> io::Result<()> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).build();
        self.handle.route().add(route).execute().await.map_err(io_error)
    }
}

/// `ENODEV` (asm-generic/errno-base.h).
const NO_DEVICE: i32 = 19;

/// What is not there need not be removed.
fn present(removed: Result<(), rtnetlink::Error>) -> io::Result<()> {
    match removed.map_err(io_error) {
        Err(error) if error.raw_os_error() == Some(NO_DEVICE) => Ok(()),
        result => result,
    }
}

fn name(link: &LinkMessage) -> String {
    let mut names = link.attributes.iter().filter_map(|attribute| {
        if let LinkAttribute::IfName(name) = attribute {
            Some(name.clone())
        } else {
            None
        }
    });
    names.next_back().unwrap_or_default()
}
