//! `NetworkPolicy`: who may reach the services of a namespace.

use std::collections::BTreeMap;

use proffer_types::container::Protocol;
use proffer_types::policy::{Block, MAX_RULES};
use proffer_wire::v1;
use proffer_wire::v1::{policy_peer, policy_port};

use super::fields::{Fields, Item};
use super::metadata::{Metadata, dns_label, labels};
use super::ports::{Target, protocol, target};
use super::tree::Wrong;

/// The one label that a namespace has: its name.
const NAME_OF_NAMESPACE: &str = "kubernetes.io/metadata.name";

/// Reads the rest of a NetworkPolicy.
pub(super) fn network_policy(
    object: &mut Fields<'_>,
    metadata: &Metadata,
) -> Result<v1::NetworkPolicy, Wrong> {
    let mut spec = object.need("spec")?.fields()?;
    let selector = pod_selector(&spec.need("podSelector")?)?;
    for item in spec.items("policyTypes")? {
        match item.text()?.as_str() {
            "Ingress" => {}
            "Egress" => return Err(item.wrong("what services send is not policed; only Ingress is taken")),
            _ => return Err(item.wrong("expected Ingress")),
        }
    }
    spec.refuse(
        "egress",
        "what services send is not policed; only ingress is taken",
    )?;
    let rules = bounded(spec.items("ingress")?)?;
    let ingress = rules.iter().map(ingress_rule).collect::<Result<_, _>>()?;
    spec.done()?;
    Ok(v1::NetworkPolicy {
        name: metadata.full_name(),
        selector,
        ingress,
    })
}

/// As many as a policy may have.
fn bounded(items: Vec<Item<'_>>) -> Result<Vec<Item<'_>>, Wrong> {
    match items.get(MAX_RULES) {
        Some(item) => Err(item.wrong(&format!("at most {MAX_RULES} are taken"))),
        None => Ok(items),
    }
}

fn ingress_rule(item: &Item<'_>) -> Result<v1::IngressRule, Wrong> {
    let mut fields = item.fields()?;
    let from = bounded(fields.items("from")?)?;
    let ports = bounded(fields.items("ports")?)?;
    fields.done()?;
    Ok(v1::IngressRule {
        from: from.iter().map(peer).collect::<Result<_, _>>()?,
        ports: ports.iter().map(policy_port).collect::<Result<_, _>>()?,
    })
}

fn peer(item: &Item<'_>) -> Result<v1::PolicyPeer, Wrong> {
    let mut fields = item.fields()?;
    let block = fields.map("ipBlock", |item| ip_block(&item))?;
    let namespace = fields.map("namespaceSelector", |item| namespace(&item))?;
    let selector = fields.map("podSelector", |item| pod_selector(&item))?;
    fields.done()?;
    let peer = match (block, namespace, selector) {
        (Some(block), None, None) => policy_peer::Peer::Addresses(block),
        (Some(_), ..) => return Err(item.wrong("ipBlock stands alone")),
        (None, None, None) => {
            return Err(item.wrong("expected one of podSelector, namespaceSelector and ipBlock"));
        }
        (None, namespace, selector) => policy_peer::Peer::Services(v1::ServicePeers {
            namespace: namespace.unwrap_or_default(),
            selector: selector.unwrap_or_default(),
        }),
    };
    Ok(v1::PolicyPeer { peer: Some(peer) })
}

/// Labels that must all be there.
fn pod_selector(item: &Item<'_>) -> Result<BTreeMap<String, String>, Wrong> {
    let mut fields = item.fields()?;
    fields.refuse("matchExpressions", "is not supported; only matchLabels are")?;
    let selector = fields
        .map("matchLabels", |item| labels(&item))?
        .unwrap_or_default();
    fields.done()?;
    Ok(selector)
}

/// All namespaces, or the one of a name.
fn namespace(item: &Item<'_>) -> Result<String, Wrong> {
    let mut fields = item.fields()?;
    fields.refuse("matchExpressions", "is not supported; only matchLabels are")?;
    let mut name = "*".to_owned();
    for (key, value) in fields
        .map("matchLabels", |item| item.entries())?
        .unwrap_or_default()
    {
        if key != NAME_OF_NAMESPACE {
            return Err(value.wrong(&format!(
                "a namespace has no label but {NAME_OF_NAMESPACE}, its name"
            )));
        }
        name = dns_label(&value)?;
    }
    fields.done()?;
    Ok(name)
}

fn ip_block(item: &Item<'_>) -> Result<v1::AddressBlock, Wrong> {
    let block = |item: &Item<'_>| {
        let text = item.text()?;
        let block = text.parse::<Block>();
        block.map_err(|error| item.wrong(&error.to_string()))
    };
    let mut fields = item.fields()?;
    let whole = block(&fields.need("cidr")?)?;
    let mut except = Vec::new();
    for item in bounded(fields.items("except")?)? {
        let part = block(&item)?;
        if !whole.holds(part) {
            return Err(item.wrong(&format!("{part} is not within {whole}")));
        }
        except.push(part.to_string());
    }
    fields.done()?;
    Ok(v1::AddressBlock {
        cidr: whole.to_string(),
        except,
    })
}

fn policy_port(item: &Item<'_>) -> Result<v1::PolicyPort, Wrong> {
    let mut fields = item.fields()?;
    let protocol = match protocol(&mut fields)? {
        Protocol::Tcp => v1::PortProtocol::PortTcp,
        Protocol::Udp => v1::PortProtocol::PortUdp,
    };
    let port = fields.map("port", |item| target(&item))?;
    let end = fields.get("endPort");
    let last = match (&port, &end) {
        (_, None) => 0,
        (Some(Target::Number(first)), Some(item)) => item.whole(*first, u16::MAX)?,
        (Some(Target::Name(_)) | None, Some(item)) => {
            return Err(item.wrong("stands beside a number in `port`"));
        }
    };
    fields.done()?;
    Ok(v1::PolicyPort {
        protocol: protocol.into(),
        port: port.map(|port| match port {
            Target::Number(number) => policy_port::Port::Number(number.into()),
            Target::Name(name) => policy_port::Port::Name(name),
        }),
        last: last.into(),
    })
}
