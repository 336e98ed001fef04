//! The agent's bridge: what is connected to it, and what leads to it from outside.
//!
//! It is made with the first container that wants it, and is gone when none is left at a start or an end of the agent.
//! An interface is named by the agent and the address of its container, so what is left of one can be told.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use tokio::sync::Mutex;
use tracing::info;

use crate::config::{Config, Subnet, Tag};
use crate::error::{BridgeError, RulesError};
use crate::links::{INSIDE, Links, Pair};
use crate::reaper::Reaper;
use crate::request::Bandwidth;
use crate::rules::{Element, Rules};
use crate::shaping;

const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

#[derive(Debug)]
pub(crate) struct Bridge {
    name: String,
    tag: Tag,
    subnet: Subnet,
    set_ip_forward: bool,
    links: Links,
    reaper: Reaper,
    rules: Rules,
    /// Its index, once it stands with its rules.
    ready: Mutex<Option<u32>>,
}

/// A container's place on the bridge.
#[derive(Debug)]
pub(crate) struct Plug<'a> {
    pub(crate) address: Ipv4Addr,
    pub(crate) namespace: &'a Path,
    /// The interfaces in that namespace.
    pub(crate) inside: &'a Links,
    pub(crate) bandwidth: Bandwidth,
}

impl Bridge {
    /// Changes nothing yet. Must be called on a runtime.
    pub(crate) fn new(config: &Config) -> io::Result<Self> {
        let links = Links::connect()?;
        let lock = File::create(config.records.with_extension("lock"))?;
        Ok(Self {
            name: format!("pf{}", config.tag),
            tag: config.tag,
            subnet: config.bridge_subnet,
            set_ip_forward: config.set_ip_forward,
            reaper: Reaper::new(links.clone(), config.tag.interface_group()),
            links,
            rules: Rules::new(&config.tag, lock),
            ready: Mutex::new(None),
        })
    }

    /// Makes what is missing of the bridge and its rules. `published` is asked what the rules have to hold, if they are
    /// made anew.
    pub(crate) async fn ensure(&self, published: impl Fn() -> Vec<Element>) -> Result<u32, BridgeError> {
        let mut ready = self.ready.lock().await;
        if let Some(index) = *ready {
            return Ok(index);
        }
        self.ensure_forwarding()?;
        let index = match self.index().await? {
            Some(index) => index,
            None => self.make().await?,
        };
        // Also of one that was found: whoever made it may have been killed before it had an address.
        let (gateway, prefix) = (self.subnet.gateway(), self.subnet.prefix());
        let set = self.links.add_address(index, gateway, prefix).await;
        set.map_err(|source| self.error("set the address of the bridge", source))?;
        self.rules.reset(&self.name, self.subnet, &published()).await?;
        // After the rule that keeps it harmless.
        self.let_localhost_out()?;
        *ready = Some(index);
        Ok(index)
    }

    async fn index(&self) -> Result<Option<u32>, BridgeError> {
        self.links
            .index(&self.name)
            .await
            .map_err(|source| self.error("look for the bridge", source))
    }

    async fn make(&self) -> Result<u32, BridgeError> {
        let addresses = self.links.addresses().await;
        let addresses = addresses.map_err(|source| self.error("choose addresses for the bridge", source))?;
        if let Some((interface, address, prefix)) = addresses
            .into_iter()
            .find(|(_, address, prefix)| self.subnet.overlaps(*address, *prefix))
        {
            return Err(BridgeError::Overlap {
                subnet: self.subnet,
                address: format!("{address}/{prefix}"),
                interface,
            });
        }
        let mac = mac(self.subnet.gateway());
        let made = self.links.add_bridge(&self.name, mac).await;
        made.map_err(|source| self.error("make the bridge", source))?;
        let Some(index) = self.index().await? else {
            return Err(self.error("make the bridge", io::Error::other("it is gone again")));
        };
        info!(bridge = self.name, subnet = %self.subnet, "made a bridge for containers");
        Ok(index)
    }

    fn ensure_forwarding(&self) -> Result<(), BridgeError> {
        let path = Path::new(IP_FORWARD);
        let sysctl = |source| BridgeError::Sysctl {
            path: path.to_owned(),
            source,
        };
        if fs::read_to_string(path).map_err(sysctl)?.trim() != "0" {
            return Ok(());
        }
        if !self.set_ip_forward {
            return Err(BridgeError::NotForwarding);
        }
        fs::write(path, "1").map_err(sysctl)?;
        info!("this host forwards packets from now on");
        Ok(())
    }

    fn let_localhost_out(&self) -> Result<(), BridgeError> {
        let path = PathBuf::from(format!("/proc/sys/net/ipv4/conf/{}/route_localnet", self.name));
        fs::write(&path, "1").map_err(|source| BridgeError::Sysctl { path, source })
    }

    /// Connects a namespace that is connected to nothing. On failure [`Bridge::unplug`] undoes what was done.
    pub(crate) async fn plug(&self, bridge: u32, plug: &Plug<'_>) -> Result<(), BridgeError> {
        let name = self.port_name(plug.address);
        let error = |what, source| BridgeError::Link {
            what,
            name: name.clone(),
            source,
        };
        let namespace =
            File::open(plug.namespace).map_err(|source| error("find the namespace for", source))?;
        let pair = Pair {
            name: &name,
            bridge,
            namespace: &namespace,
            inside_mac: mac(plug.address),
        };
        let mut made = self.links.add_pair(&pair).await;
        if matches!(&made, Err(error) if error.kind() == io::ErrorKind::AlreadyExists) {
            // What is left of another container: the address is nobody else's.
            self.unplug(plug.address).await?;
            made = self.links.add_pair(&pair).await;
        }
        if made.is_err() {
            // Somebody may have removed the bridge: it is looked for the next time.
            *self.ready.lock().await = None;
        }
        made.map_err(|source| error("make the interface", source))?;
        let (inside, outside) = tokio::join!(self.set_up_inside(plug), self.set_up_outside(&name, plug));
        inside
            .and(outside)
            .map_err(|source| error("set up the interface", source))
    }

    async fn set_up_inside(&self, plug: &Plug<'_>) -> io::Result<()> {
        let links = plug.inside;
        let index = links.index(INSIDE).await?.ok_or(io::ErrorKind::NotFound)?;
        links.set_up(index).await?;
        links
            .add_address(index, plug.address, self.subnet.prefix())
            .await?;
        links.add_default_route(self.subnet.gateway()).await?;
        match plug.bandwidth.egress_kbps {
            Some(kbps) => shaping::limit(links, index, kbps).await,
            None => Ok(()),
        }
    }

    async fn set_up_outside(&self, name: &str, plug: &Plug<'_>) -> io::Result<()> {
        self.links.set_hairpin(name).await?;
        let Some(kbps) = plug.bandwidth.ingress_kbps else {
            return Ok(());
        };
        let index = self.links.index(name).await?.ok_or(io::ErrorKind::NotFound)?;
        shaping::limit(&self.links, index, kbps).await
    }

    /// Removes a container's interface; one that is not there is no error.
    pub(crate) async fn unplug(&self, address: Ipv4Addr) -> Result<(), BridgeError> {
        self.unplug_name(self.port_name(address)).await
    }

    async fn unplug_name(&self, name: String) -> Result<(), BridgeError> {
        let removed = self.reaper.remove(name.clone()).await;
        removed.map_err(|source| BridgeError::Link {
            what: "remove the interface",
            name,
            source,
        })
    }

    /// Publishes ports of a container on the bridge.
    pub(crate) async fn publish(
        &self,
        elements: &[Element],
        published: impl Fn() -> Vec<Element>,
    ) -> Result<(), BridgeError> {
        match self.rules.add(elements).await {
            Err(error) if error.is_no_table() || error.is_taken() => {
                // Somebody removed our table, or what an agent that was killed had begun was finished after it: it is
                // made anew, with all that belongs into it.
                *self.ready.lock().await = None;
                self.ensure(published).await.map(drop)
            }
            result => Ok(result?),
        }
    }

    pub(crate) async fn withdraw(&self, elements: &[Element]) -> Result<(), RulesError> {
        self.rules.delete(elements).await
    }

    /// Takes the bridge of an earlier run back: with exactly these interfaces and elements. Without any, it is removed.
    pub(crate) async fn recover(&self, used: &[Ipv4Addr], published: &[Element]) -> Result<(), BridgeError> {
        let Some(bridge) = self.index().await? else {
            return Ok(());
        };
        let names: Vec<String> = used.iter().map(|address| self.port_name(*address)).collect();
        let ports = self.links.ports(bridge).await;
        for port in ports.map_err(|source| self.error("look through the bridge", source))? {
            // What an operator put there stays.
            if port.starts_with(&self.port_prefix()) && !names.contains(&port) {
                info!(interface = port, "removing an interface that no container has");
                self.unplug_name(port).await?;
            }
        }
        if used.is_empty() {
            return self.remove().await;
        }
        let published = published.to_vec();
        self.ensure(|| published.clone()).await.map(drop)
    }

    /// Removes the bridge and its rules; nobody is on it.
    pub(crate) async fn remove(&self) -> Result<(), BridgeError> {
        let mut ready = self.ready.lock().await;
        // It is made before its rules, and removed after them.
        if self.index().await?.is_none() {
            return Ok(());
        }
        self.rules.remove().await?;
        *ready = None;
        self.links
            .delete(&self.name)
            .await
            .map_err(|source| self.error("remove the bridge", source))
    }

    fn port_prefix(&self) -> String {
        format!("p{}", self.tag)
    }

    /// 15 bytes at most: the tag's 8, and 24 bits of host number.
    fn port_name(&self, address: Ipv4Addr) -> String {
        let host = address.to_bits() & (u32::MAX >> self.subnet.prefix());
        format!("{}{host:06x}", self.port_prefix())
    }

    fn error(&self, what: &'static str, source: io::Error) -> BridgeError {
        BridgeError::Link {
            what,
            name: self.name.clone(),
            source,
        }
    }
}

/// A locally administered hardware address that goes with an IP address: what neighbours remember of one stays right
/// when it is given to another container.
fn mac(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x50, a, b, c, d]
}
