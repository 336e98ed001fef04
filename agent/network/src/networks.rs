//! All container networks of one agent.
//!
//! A network is a namespace and what it is connected to. It stands from its first member to its last; a member is a
//! container, alone or in a group. What is on disk is ahead of the kernel: see `record`.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use proffer_linux::netns;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::addresses::Pool;
use crate::bridge::{Bridge, Plug};
use crate::cni::{Chain, Cni, CniError, Target};
use crate::config::{Config, Subnet};
use crate::error::{AttachError, BridgeError, DetachError, OpenError, chain};
use crate::links::Links;
use crate::ports;
use crate::record::{Record, Records};
use crate::request::{Attached, Dns, MAX_PORTS, Mode, Port, Request, is_id};
use crate::rules::Element;

/// So many networks may be worked on at once; two whose ids fall together wait for each other.
const N_TURNS: usize = 64;

/// All container networks of one agent. A clone is the same.
#[derive(Debug, Clone)]
pub struct Networks {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    is_rootless: bool,
    subnet: Subnet,
    records: Records,
    bridge: Bridge,
    cni: Cni,
    state: Mutex<State>,
    /// One piece of work on a network at a time.
    turns: Vec<tokio::sync::Mutex<()>>,
    /// Whenever nobody is given a network any more.
    attached: Notify,
}

#[derive(Debug)]
struct State {
    networks: BTreeMap<String, Record>,
    /// Whose records cannot be read, until the start is done.
    damaged: Vec<String>,
    pool: Pool,
    /// Containers that are being given a network, whether or not anybody waits for it.
    attaching: BTreeSet<String>,
}

impl Networks {
    /// Reads what is remembered of an earlier run; changes nothing yet but its own directory. Must be called on a
    /// runtime with IO and time enabled, and [`Networks::recover`] before anything else.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let path = config.records.clone();
        let opened = spawn_blocking(move || Records::open(path)).await;
        let opened = opened.unwrap_or_else(|error| Err(io::Error::other(error)));
        let (records, found) = opened.map_err(|source| OpenError::Directory {
            path: config.records.clone(),
            source,
        })?;
        let mut pool = Pool::new(config.bridge_subnet);
        for record in &found.records {
            let Some(address) = record.address.filter(|address| !pool.take_back(*address)) else {
                continue;
            };
            return Err(OpenError::SubnetChanged {
                network_id: record.network_id.clone(),
                address,
                subnet: config.bridge_subnet,
            });
        }
        let bridge = Bridge::new(&config).map_err(|source| OpenError::Netlink { source })?;
        let networks = found
            .records
            .into_iter()
            .map(|record| (record.network_id.clone(), record))
            .collect();
        let inner = Inner {
            is_rootless: config.is_rootless,
            subnet: config.bridge_subnet,
            records,
            bridge,
            cni: Cni::new(config.cni_config_dir, config.cni_plugin_dirs),
            state: Mutex::new(State {
                networks,
                damaged: found.damaged,
                pool,
                attaching: BTreeSet::new(),
            }),
            turns: (0..N_TURNS).map(|_| tokio::sync::Mutex::default()).collect(),
            attached: Notify::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Gives a container its network: makes it, or joins it when another member has made it. On failure nothing of it
    /// is left. Goes on to its end when the caller does not wait for it.
    pub async fn attach(&self, request: Request) -> Result<Attached, AttachError> {
        let attaching = Attaching::new(&self.inner, &request.member);
        let work = tokio::spawn(async move { attaching.inner.attach(request).await });
        work.await.unwrap_or(Err(AttachError::CutOff))
    }

    /// Takes a container out of its network, and the network away with its last member. One that has none is no error.
    /// Goes on to its end when the caller does not wait for it, and begins when nobody gives it one any more.
    pub async fn detach(&self, member: &str) -> Result<(), DetachError> {
        self.inner.settled(member).await;
        let Some(network_id) = self.inner.network_of(member) else {
            return Ok(());
        };
        let (inner, member) = (Arc::clone(&self.inner), member.to_owned());
        let cut_off = |id| DetachError {
            network_id: id,
            causes: vec!["the work was cut off".to_owned()],
        };
        let of = network_id.clone();
        let work = tokio::spawn(async move { inner.detach(&of, &member).await });
        work.await.unwrap_or_else(|_| Err(cut_off(network_id)))
    }

    /// Where a container is reached; empty for one without a network.
    #[must_use]
    pub fn addresses(&self, member: &str) -> Vec<IpAddr> {
        let Some(network_id) = self.inner.network_of(member) else {
            return Vec::new();
        };
        let state = self.inner.state();
        let record = state.networks.get(&network_id);
        let attached = record.and_then(|record| attached(record).ok());
        attached.map_or_else(Vec::new, |attached| attached.addresses)
    }

    /// Takes away, after a start, whatever belongs to none of the containers that are known or has a damaged record, and
    /// mends the rest. `namespace` tells where one would be bound whose record is lost. What fails is logged, and tried
    /// again at the next start.
    pub async fn recover(&self, is_known: impl Fn(&str) -> bool, namespace: impl Fn(&str) -> PathBuf) {
        let strangers: Vec<(String, Vec<String>)> = {
            let state = self.inner.state();
            let strange = |record: &Record| {
                record
                    .members
                    .keys()
                    .filter(|member| !is_known(member))
                    .cloned()
                    .collect()
            };
            state
                .networks
                .iter()
                .map(|(id, record)| (id.clone(), strange(record)))
                .collect()
        };
        for (network_id, members) in strangers {
            for member in members {
                info!(member, "removing the network of a container that is not there");
                if let Err(error) = self.inner.detach(&network_id, &member).await {
                    warn!(%error, "cannot remove a network; the next start tries again");
                }
            }
            // One whose removal failed in an earlier run has no members.
            if let Err(error) = self.inner.remove_if_empty(&network_id).await {
                warn!(%error, "cannot remove a network; the next start tries again");
            }
        }
        let damaged = std::mem::take(&mut self.inner.state().damaged);
        for network_id in damaged {
            if let Err(error) = self
                .inner
                .undo_damaged(&network_id, &namespace(&network_id))
                .await
            {
                warn!(%error, "cannot remove a network whose record is damaged; the next start tries again");
            }
        }
        let used = self.inner.addresses();
        if let Err(error) = self.inner.bridge.recover(&used, &self.inner.elements()).await {
            warn!(
                error = chain(&error),
                "cannot mend the bridge; the next container that uses it tries again"
            );
        }
    }

    /// Removes the bridge when nobody is on it.
    pub async fn remove_unused(&self) -> Result<(), BridgeError> {
        match self.inner.addresses().is_empty() {
            true => self.inner.bridge.remove().await,
            false => Ok(()),
        }
    }
}

/// A container that is being given a network, until this is dropped.
struct Attaching {
    inner: Arc<Inner>,
    member: String,
}

impl Attaching {
    fn new(inner: &Arc<Inner>, member: &str) -> Self {
        inner.state().attaching.insert(member.to_owned());
        Self {
            inner: Arc::clone(inner),
            member: member.to_owned(),
        }
    }
}

impl Drop for Attaching {
    fn drop(&mut self) {
        self.inner.state().attaching.remove(&self.member);
        self.inner.attached.notify_waiters();
    }
}

impl Inner {
    /// Waits until nobody gives a container a network.
    async fn settled(&self, member: &str) {
        loop {
            let attached = self.attached.notified();
            if !self.state().attaching.contains(member) {
                return;
            }
            attached.await;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Every change of the state is one call that does not panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn turn(&self, network_id: &str) -> tokio::sync::MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        network_id.hash(&mut hasher);
        let nth = usize::try_from(hasher.finish() % N_TURNS as u64).unwrap_or(0);
        self.turns[nth].lock().await
    }

    fn network_of(&self, member: &str) -> Option<String> {
        let state = self.state();
        let mut networks = state.networks.values();
        networks
            .find(|record| record.members.contains_key(member))
            .map(|record| record.network_id.clone())
    }

    /// Every published port of the bridge.
    fn elements(&self) -> Vec<Element> {
        self.state()
            .networks
            .values()
            .flat_map(|record| {
                let ports = record.members.values().flatten();
                record
                    .address
                    .into_iter()
                    .flat_map(move |address| ports.clone().map(move |port| Element { port: *port, address }))
            })
            .collect()
    }

    fn addresses(&self) -> Vec<Ipv4Addr> {
        self.state()
            .networks
            .values()
            .filter_map(|record| record.address)
            .collect()
    }

    async fn attach(self: &Arc<Self>, request: Request) -> Result<Attached, AttachError> {
        check(&request)?;
        if self.is_rootless && request.mode != Mode::None {
            return Err(AttachError::Rootless(request.mode));
        }
        let _turn = self.turn(&request.network_id).await;
        let (record, is_first) = self.admit(&request)?;
        let made = match is_first {
            true => self.make(record, &request.ports).await,
            false => self.join(record, &request.ports).await,
        };
        if made.is_err()
            && let Err(error) = self.leave(&request.network_id, &request.member).await
        {
            warn!(%error, "cannot undo a network; the next start tries again");
        }
        made
    }

    /// Takes a member into the state, if it may have what it asks for.
    fn admit(&self, request: &Request) -> Result<(Record, bool), AttachError> {
        let mut state = self.state();
        let state = &mut *state;
        for record in state.networks.values() {
            if record.members.contains_key(&request.member) {
                return Err(AttachError::Exists(request.member.clone()));
            }
            for (member, theirs) in &record.members {
                let is_same = |a: &Port, b: &Port| (a.host, a.transport) == (b.host, b.transport);
                if let Some(port) = theirs
                    .iter()
                    .find(|port| request.ports.iter().any(|own| is_same(own, port)))
                {
                    let member = member.clone();
                    return Err(AttachError::PortTaken {
                        port: port.host,
                        transport: port.transport,
                        member,
                    });
                }
            }
        }
        let member = request.member.clone();
        if let Some(record) = state.networks.get_mut(&request.network_id) {
            if (&record.mode, record.bandwidth) != (&request.mode, request.bandwidth) {
                return Err(AttachError::Mismatch { member });
            }
            if matches!(record.mode, Mode::Cni(_)) && !request.ports.is_empty() {
                return Err(AttachError::LatePorts { member });
            }
            record.members.insert(member, request.ports.clone());
            return Ok((record.clone(), false));
        }
        let (id, namespace) = (request.network_id.clone(), request.namespace.clone());
        let mut record = Record::new(id.clone(), namespace, request.mode.clone(), request.bandwidth);
        if record.mode == Mode::Bridge {
            record.address = Some(state.pool.take().ok_or(AttachError::NoAddress(self.subnet))?);
        }
        record.members.insert(member, request.ports.clone());
        state.networks.insert(id, record.clone());
        Ok((record, true))
    }

    async fn make(self: &Arc<Self>, mut record: Record, ports: &[Port]) -> Result<Attached, AttachError> {
        let bridge = match record.mode {
            Mode::Bridge => Some(self.bridge.ensure(|| self.elements()).await?),
            Mode::None | Mode::Cni(_) => None,
        };
        let (this, wanted) = (Arc::clone(self), ports.to_vec());
        let runtime = Handle::current();
        let prepared = spawn_blocking(move || {
            ports::check_free(&wanted)?;
            if let Mode::Cni(name) = &record.mode {
                record.chain = Some(this.cni.chain(name, &wanted, record.bandwidth)?);
            }
            this.remember(&record)?;
            let connect = || {
                let _context = runtime.enter();
                Links::connect()
            };
            let inside = match record.mode {
                Mode::Bridge => Some(netns::create(&record.namespace, connect)?),
                Mode::None | Mode::Cni(_) => {
                    netns::create(&record.namespace, || ())?;
                    None
                }
            };
            Ok::<_, AttachError>((record, inside))
        });
        let (mut record, inside) = prepared.await.map_err(|_| AttachError::CutOff)??;
        if let (Some(bridge), Some(inside), Some(address)) = (bridge, inside, record.address) {
            let inside = inside.map_err(|source| BridgeError::Link {
                what: "look into the namespace of",
                name: record.network_id.clone(),
                source,
            })?;
            let plug = Plug {
                address,
                namespace: &record.namespace,
                inside: &inside,
                bandwidth: record.bandwidth,
            };
            let elements = elements(address, ports);
            let (plugged, published) = tokio::join!(
                self.bridge.plug(bridge, &plug),
                self.bridge.publish(&elements, || self.elements()),
            );
            plugged.and(published)?;
        }
        let Some(mut chain) = record.chain.take() else {
            return Ok(attached(&record)?);
        };
        let target = Target {
            network_id: &record.network_id,
            namespace: &record.namespace,
        };
        let added = self.cni.add(&mut chain, target).await;
        record.chain = Some(chain);
        // Also what a chain returned that failed later is needed to undo it.
        let this = Arc::clone(self);
        let remembered = spawn_blocking(move || this.remember(&record)).await;
        let (addresses, dns) = added?;
        remembered.map_err(|_| AttachError::CutOff)??;
        Ok(Attached { addresses, dns })
    }

    async fn join(self: &Arc<Self>, record: Record, ports: &[Port]) -> Result<Attached, AttachError> {
        let (this, wanted, remembered) = (Arc::clone(self), ports.to_vec(), record.clone());
        let prepared = spawn_blocking(move || {
            ports::check_free(&wanted)?;
            this.remember(&remembered)
        });
        prepared.await.map_err(|_| AttachError::CutOff)??;
        if let Some(address) = record.address {
            self.bridge
                .publish(&elements(address, ports), || self.elements())
                .await?;
        }
        Ok(attached(&record)?)
    }

    /// Writes a record down, here and on disk. Blocks.
    fn remember(&self, record: &Record) -> Result<(), AttachError> {
        self.state()
            .networks
            .insert(record.network_id.clone(), record.clone());
        let path = || self.records.path(&record.network_id);
        self.records
            .write(record)
            .map_err(|source| AttachError::Record { path: path(), source })
    }

    async fn detach(self: &Arc<Self>, network_id: &str, member: &str) -> Result<(), DetachError> {
        let _turn = self.turn(network_id).await;
        self.leave(network_id, member).await
    }

    /// Takes a member out; the last one takes the network with it.
    async fn leave(self: &Arc<Self>, network_id: &str, member: &str) -> Result<(), DetachError> {
        let (record, ports) = {
            let mut state = self.state();
            let Some(record) = state.networks.get_mut(network_id) else {
                return Ok(());
            };
            let ports = record.members.remove(member).unwrap_or_default();
            (record.clone(), ports)
        };
        let mut causes = Vec::new();
        if let Some(address) = record.address {
            let withdrawn = self.bridge.withdraw(&elements(address, &ports)).await;
            causes.extend(withdrawn.err().map(|error| chain(&error)));
        }
        if record.members.is_empty() {
            return self.tear_down(record, causes).await;
        }
        let (this, network_id) = (Arc::clone(self), network_id.to_owned());
        let remembered = spawn_blocking(move || this.records.write(&record)).await;
        let remembered = remembered.unwrap_or_else(|error| Err(io::Error::other(error)));
        causes.extend(
            remembered
                .err()
                .map(|error| format!("cannot write its record: {error}")),
        );
        if causes.is_empty() {
            Ok(())
        } else {
            Err(DetachError { network_id, causes })
        }
    }

    async fn remove_if_empty(self: &Arc<Self>, network_id: &str) -> Result<(), DetachError> {
        let _turn = self.turn(network_id).await;
        let record = self.state().networks.get(network_id).cloned();
        match record {
            Some(record) if record.members.is_empty() => self.tear_down(record, Vec::new()).await,
            Some(_) | None => Ok(()),
        }
    }

    /// Undoes a network, as far as it was made; forgets it once nothing of it is left.
    async fn tear_down(self: &Arc<Self>, record: Record, mut causes: Vec<String>) -> Result<(), DetachError> {
        if let Some(plugins) = &record.chain {
            // Plugins take a namespace that is gone for undone, and refuse a file that is none.
            let gone = netns::remove_unbound(&record.namespace);
            causes.extend(gone.err().map(|error| chain(&error)));
            let target = Target {
                network_id: &record.network_id,
                namespace: &record.namespace,
            };
            causes.extend(self.cni.delete(plugins, target).await.err().into_iter().flatten());
        }
        if let Some(address) = record.address {
            let unplugged = self.bridge.unplug(address).await;
            causes.extend(unplugged.err().map(|error| chain(&error)));
        }
        let (this, network_id) = (Arc::clone(self), record.network_id.clone());
        let undone =
            spawn_blocking(move || this.forget(&record, &mut causes).then_some(()).ok_or(causes)).await;
        let undone = undone.unwrap_or_else(|error| Err(vec![error.to_string()]));
        undone.map_err(|causes| DetachError { network_id, causes })
    }

    /// Undoes what plugins may have done for a network whose record is lost; what it has on the bridge goes with all that
    /// no record speaks of, the namespace with its container.
    async fn undo_damaged(&self, network_id: &str, namespace: &Path) -> Result<(), DetachError> {
        let failed = |causes| DetachError {
            network_id: network_id.to_owned(),
            causes,
        };
        let target = Target {
            network_id,
            namespace,
        };
        let complaints = self.cni.delete_any(target).await;
        if !complaints.is_empty() {
            return Err(failed(complaints));
        }
        let removed = self.records.remove(network_id);
        removed.map_err(|error| failed(vec![format!("cannot remove its record: {error}")]))
    }

    /// Removes the namespace, and the record if nothing else is left either. Blocks.
    fn forget(&self, record: &Record, causes: &mut Vec<String>) -> bool {
        causes.extend(netns::remove(&record.namespace).err().map(|error| chain(&error)));
        let left = match causes.is_empty() {
            true => self.records.remove(&record.network_id),
            false => self.records.write(record),
        };
        causes.extend(
            left.err()
                .map(|error| format!("cannot change its record: {error}")),
        );
        let is_gone = causes.is_empty();
        if is_gone {
            let mut state = self.state();
            state.networks.remove(&record.network_id);
            if let Some(address) = record.address {
                state.pool.release(address);
            }
        }
        is_gone
    }
}

fn elements(address: Ipv4Addr, ports: &[Port]) -> Vec<Element> {
    ports
        .iter()
        .map(|port| Element { port: *port, address })
        .collect()
}

fn attached(record: &Record) -> Result<Attached, CniError> {
    let on_bridge = record.address.into_iter().map(IpAddr::from).collect();
    let told = record.chain.as_ref().map(Chain::told);
    let (addresses, dns) = told.transpose()?.unwrap_or((on_bridge, Dns::default()));
    Ok(Attached { addresses, dns })
}

/// What can be refused without looking at the host.
fn check(request: &Request) -> Result<(), AttachError> {
    for id in [&request.network_id, &request.member] {
        if !is_id(id) {
            return Err(AttachError::BadId(id.escape_debug().to_string()));
        }
    }
    if request.ports.len() > MAX_PORTS {
        return Err(AttachError::TooManyPorts(request.ports.len()));
    }
    if request.bandwidth.has_zero() {
        return Err(AttachError::ZeroBandwidth);
    }
    let wants_way_out = request.bandwidth.is_limited() || !request.ports.is_empty();
    if request.mode == Mode::None && wants_way_out {
        return Err(AttachError::NothingToLimit);
    }
    Ok(())
}
